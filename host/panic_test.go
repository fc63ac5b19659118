package host_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/host"
)

// panicAnswer is what the bridge answers when a stream's callback panics.
var panicAnswer = &host.LocalResponse{Status: 500, Details: "orgate_panic", Headers: host.Headers{}, GRPCStatus: 13}

// checkPanic finds a panic in the log, all of it at error level.
func checkPanic(t *testing.T, logs []string, callback, value string) {
	t.Helper()
	for i, line := range logs {
		if line != "4 panic in "+callback {
			continue
		}
		if i+2 >= len(logs) || logs[i+1] != "4 panic: "+value || !strings.HasPrefix(logs[i+2], "4 goroutine ") {
			t.Fatalf("after %q in the log:\n%s", line, strings.Join(logs[i+1:], "\n"))
		}
		return
	}
	t.Fatalf("no panic in %s in the log:\n%s", callback, strings.Join(logs, "\n"))
}

// serves checks that a request which meets no panic is served.
func (p probe) serves(t *testing.T) {
	t.Helper()
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	if got := p.lines(t, "status"); !strings.HasPrefix(got, "0 ") {
		t.Errorf("got %q", got)
	}
}

func TestPanicRefusesConfiguration(t *testing.T) {
	tests := []struct{ word, callback string }{
		{"context_create", "proxy_on_context_create"},
		{"vm_start", "proxy_on_vm_start"},
		{"configure", "proxy_on_configure"},
	}
	for _, tt := range tests {
		t.Run(tt.word, func(t *testing.T) {
			p, err := tryProbe(t, host.Config{}, host.RootConfig{}, tt.word)
			if !errors.Is(err, host.ErrRefused) {
				t.Errorf("got %v, want %v", err, host.ErrRefused)
			}
			checkPanic(t, *p.logs, tt.callback, "told to panic in "+tt.word)
			if tt.word == "context_create" {
				// The context that the guest does not know is configured and
				// deleted, which panics as well.
				checkPanic(t, *p.logs, "proxy_on_delete", "invalid context on proxy_on_delete")
			}
			if err := p.Err(); err != nil {
				t.Errorf("the VM is closed: %v", err)
			}
			if n := p.LiveContexts(); n != 0 {
				t.Errorf("%d contexts are left", n)
			}
		})
	}
}

func TestPanicInStream(t *testing.T) {
	body, trailers := []byte("body"), host.Headers{{"x", "y"}}
	ok := host.Headers{{":status", "200"}}
	steps := []struct {
		word, callback string
		step           func(*host.Stream) host.Action
		want           host.Action
	}{
		{"stream_create", "proxy_on_context_create", nil, 0},
		{"request_headers", "proxy_on_request_headers", func(s *host.Stream) host.Action {
			return s.RequestHeaders(get,
				false)
		}, host.Answer},
		{"request_body", "proxy_on_request_body",
			func(s *host.Stream) host.Action { return s.RequestBody(body, false) },
			host.Answer},
		{"request_trailers", "proxy_on_request_trailers",
			func(s *host.Stream) host.Action { return s.RequestTrailers(trailers) }, host.Answer},
		{"response_headers", "proxy_on_response_headers", func(s *host.Stream) host.Action {
			return s.ResponseHeaders(ok,
				false)
		}, host.Answer},
		// The status is on its way: all that is left is to cut the response.
		{"response_body", "proxy_on_response_body",
			func(s *host.Stream) host.Action { return s.ResponseBody(body, false) },
			host.Reset},
		{"response_trailers", "proxy_on_response_trailers",
			func(s *host.Stream) host.Action { return s.ResponseTrailers(trailers) }, host.Reset},
	}
	values := []struct{ kind, value string }{
		{"string", ""},
		{"error", "a value whose text cannot be had"},
		{"stringer", "a value whose text cannot be had"},
		{"int", "a value of another type"},
		{"nil", "assignment to entry in nil map"},
	}
	for i, panics := range steps {
		for _, v := range values {
			t.Run(panics.word+" "+v.kind, func(t *testing.T) {
				p := newProbe(t, host.Config{}, panics.word, v.kind, "once")
				value := v.value
				if value == "" {
					value = "told to panic in " + panics.word
				}
				stream := p.root.NewStream()
				for j, step := range steps {
					if step.step == nil {
						continue
					}
					got, want := step.step(stream), host.Continue
					if j >= i {
						want = panics.want
					}
					if i == 0 {
						want = host.Answer
					}
					if got != want {
						t.Fatalf("%s: %s, want %s", step.word, got, want)
					}
				}
				checkPanic(t, p.takeLogs(), panics.callback, value)
				if stream.RequestAction() == host.Answer {
					if diff := cmp.Diff(panicAnswer, stream.LocalResponse()); diff != "" {
						t.Error(diff)
					}
					if status, _ := stream.ResponseHeaderMap().Get(":status"); status != "500" {
						t.Errorf("status %s", status)
					}
				}
				passed := string(stream.TakeRequestBody()) + string(stream.TakeResponseBody())
				if want := map[string]string{"request_trailers": "body", "response_headers": "body",
					"response_body":     "body",
					"response_trailers": "bodybody"}[panics.word]; passed != want {
					t.Errorf("passed %q, want %q", passed, want)
				}
				stream.Close()
				if n := p.LiveContexts(); n != 1 {
					t.Errorf("%d contexts are left", n)
				}
				if err := p.Err(); err != nil {
					t.Error(err)
				}

				// The next one passes, every callback of it.
				p.takeLogs()
				next := p.root.NewStream()
				for _, step := range steps {
					if step.step == nil {
						continue
					}
					if got := step.step(next); got != host.Continue {
						t.Errorf("%s of the next stream: %s", step.word, got)
					}
				}
				next.Close()
				if logs := strings.Join(p.takeLogs(), "\n"); strings.Contains(logs, "panic") {
					t.Errorf("the next stream panicked:\n%s", logs)
				}
			})
		}
	}
}

// TestNextRequestAfterPanic panics on one request and serves the next one, many
// times over.
func TestNextRequestAfterPanic(t *testing.T) {
	p := newProbe(t, host.Config{})
	for range 50 {
		stream, action := p.do("what nobody knows")
		if action != host.Answer {
			t.Fatalf("got %s", action)
		}
		if diff := cmp.Diff(panicAnswer, stream.LocalResponse()); diff != "" {
			t.Fatal(diff)
		}
		stream.Close()
		p.serves(t)
	}
}

func TestPanicElsewhere(t *testing.T) {
	tests := []struct {
		word, callback string
		words          []string
		do             func(t *testing.T, p probe)
	}{
		{"tick", "proxy_on_tick", nil, func(t *testing.T, p probe) { p.root.Tick() }},
		{"http_call_response", "proxy_on_http_call_response", []string{"tick_callout"}, func(t *testing.T, p probe) {
			p.root.Tick()
			if err := p.TakeCallouts()[0].Respond(host.Headers{{":status", "200"}}, nil, nil); err != nil {
				t.Error(err)
			}
		}},
		{"log", "proxy_on_log", nil, func(t *testing.T, p probe) {
			stream, _ := p.do("nothing")
			stream.Close()
		}},
		{"plugin_done", "proxy_on_done", nil, func(t *testing.T, p probe) {
			other, err := p.NewRoot(host.RootConfig{})
			if err != nil {
				t.Fatal(err)
			}
			if !other.Close() {
				t.Error("the context is not gone")
			}
		}},
	}
	for _, tt := range tests {
		for _, kind := range []string{"string", "error"} {
			t.Run(tt.word+" "+kind, func(t *testing.T) {
				p := newProbe(t, host.Config{VMID: "vm", Clusters: []string{"idp"}}, append(tt.words, tt.word, kind)...)
				tt.do(t, p)
				value := "told to panic in " + tt.word
				if kind == "error" {
					value = "a value whose text cannot be had"
				}
				checkPanic(t, p.takeLogs(), tt.callback, value)
				p.serves(t)
			})
		}
	}
}
