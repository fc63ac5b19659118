package host_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/host"
	"orgate/host/hosttest"
)

const (
	notFound    = "error status returned by host: not found"
	badArgument = "error status returned by host: bad argument"

	unimplemented = "error status returned by host: unimplemented"
)

// TestHostCalls has the guest make each host call of the ABI and say what came
// of it.
func TestHostCalls(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	metrics := host.NewMetrics()
	tests := []struct {
		what    string
		words   []string
		headers [][2]string
		want    []string
	}{
		{
			what:    "maps",
			headers: [][2]string{{"X-Two", "1"}, {"x-two", "2"}, {"x-empty", ""}},
			want: []string{
				`all [[":method" "GET"] [":path" "/a?b=c"] [":authority" "example.com"] [":scheme" "https"] ["x-do" "maps"] ` +
					`["x-two" "1"] ["x-two" "2"] ["x-empty" ""] ["x-plugin" ""]] <nil>`,
				`size 89 <nil>`,
				`first of two "1" <nil>`,
				`empty "" <nil>`,
				`none "" ` + notFound,
				`trailer "" ` + badArgument,
				`trailers [] ` + notFound, // Of the SDK: the host answers OK and no bytes.
				`add to trailers ` + badArgument,
				`response header "" ` + badArgument,
				`call-out headers [] ` + notFound,
				`call-out body "" ` + notFound,
			},
		},
		{
			what: "properties",
			want: []string{
				`plugin_name "the plugin" <nil>`,
				`plugin_root_id "the root" <nil>`,
				`plugin_vm_id "vm" <nil>`,
				`metadata filter_metadata x "given to the stream" <nil>`,
				`given.to.root "r" <nil>`,
				`empty "" <nil>`,
				`unknown "" ` + notFound,
				`set <nil>`,
				`get "why" <nil>`,
				`set empty data must not be empty`, // Of the SDK.
				`get empty "" ` + notFound,
				`set two <nil>`,
				`get two "" ` + notFound,
			},
		},
		{
			what: "data",
			want: []string{
				`none "" 0 ` + notFound,
				`set <nil>`,
				`get "v" 1 <nil>`,
				`wrong error status returned by host: cas mismatch`,
				`right <nil>`,
				`get empty "" 2 <nil>`,
				`any <nil>`,
			},
		},
		{
			what: "metrics",
			want: []string{`ids 4 8 5 6`, `values 7 7 3`},
		},
		{
			what:  "beyond",
			words: []string{"some", "words"},
			want: []string{
				`level 2 <nil>`,
				`now ` + strconv.FormatInt(now.UnixNano(), 10) + ` <nil>`,
				`clock ` + strconv.FormatInt(now.UnixNano(), 10),
				`vm configuration 10 0 <nil>`,
				`plugin configuration ` + notFound,
				`request body 0 0 <nil>`,
				`no such buffer ` + badArgument,
				`no such map ` + badArgument,
				`grpc call ` + unimplemented,
				`grpc stream ` + unimplemented,
				`grpc send ` + unimplemented,
				`grpc cancel ` + unimplemented,
				`grpc close ` + unimplemented,
				`status 0 "" <nil>`,
				`effective ` + badArgument,
				`register queue ` + unimplemented,
				`resolve queue ` + unimplemented,
				`dequeue ` + unimplemented,
				`enqueue ` + unimplemented,
				`continue tcp ` + unimplemented,
				`close tcp ` + unimplemented,
			},
		},
		{
			what: "foreign",
			want: []string{
				`echo "argument" <nil>`,
				`empty "" <nil>`,
				`missing "" ` + notFound,
				`refuse "" ` + badArgument,
				`no argument "" <nil>`,
			},
		},
		{
			what: "status",
			want: []string{
				`0 <nil>`,
				`1 ` + notFound,
				`2 ` + badArgument,
				`3 unknown status code: 3`,
				`4 unknown status code: 4`,
				`5 unknown status code: 5`,
				`6 unknown status code: 6`,
				`7 error status returned by host: empty`,
				`8 error status returned by host: cas mismatch`,
				`9 unknown status code: 9`,
				`10 error status returned by host: internal failure`,
				`11 unknown status code: 11`,
				`12 error status returned by host: unimplemented`,
				`13 unknown status code: 13`,
			},
		},
		{
			what: "callouts",
			want: []string{`call <nil>`, `unknown ` + badArgument, `no method ` + badArgument},
		},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			foreign := map[string]host.ForeignFunction{
				"echo":   func(b []byte) ([]byte, host.Status) { return b, host.OK },
				"empty":  func([]byte) ([]byte, host.Status) { return nil, host.OK },
				"refuse": func([]byte) ([]byte, host.Status) { return []byte("not read"), host.BadArgument },
			}
			for i := range 14 {
				foreign["status "+strconv.Itoa(i)] = func([]byte) ([]byte, host.Status) { return nil, host.Status(i) }
			}
			p, err := tryProbe(t, host.Config{
				VMID: "vm", Clusters: []string{"idp"}, LogLevel: host.LogInfo, Metrics: metrics, Foreign: foreign,
				Clock: func() time.Time { return now },
			}, host.RootConfig{
				Name: "the plugin", RootID: "the root",
				Properties: map[string][]byte{"given.to.root": []byte("r"), "empty": nil},
			}, tt.words...)
			if err != nil {
				t.Fatal(err)
			}
			stream := p.root.NewStream()
			stream.SetProperty([]byte("given to the stream"), "metadata", "filter_metadata", "x")
			headers := append(append(get.Clone(), [2]string{"x-do", tt.what}), tt.headers...)
			if action := stream.RequestHeaders(headers, true); action != host.Answer {
				t.Fatalf("%s\n%s", action, strings.Join(*p.logs, "\n"))
			}
			got := strings.Split(strings.TrimSuffix(string(stream.LocalResponse().Body), "\n"), "\n")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if tt.what == "properties" {
				value, ok := stream.Property("probe.reason")
				if string(value) != "why" || !ok {
					t.Errorf("property %q %t", value, ok)
				}
			}
			stream.Close()
		})
	}
	if diff := cmp.Diff(map[string]uint64{"c": 7, "g": 3}, metrics.Values()); diff != "" {
		t.Error(diff)
	}
}

func TestEditHeaders(t *testing.T) {
	p := newProbe(t, host.Config{})
	given := append(get.Clone(), host.Headers{{"x-do", "edit"}, {"X-Two", "1"}, {"x-keep", "k"}, {"x-two", "2"},
		{"x-gone", "1"}, {"X-Gone", "2"}}...)
	copied := given.Clone()
	stream := p.root.NewStream()
	defer stream.Close()
	if action := stream.RequestHeaders(given, true); action != host.Continue {
		t.Fatal(action)
	}
	want := host.Headers{
		{":method", "GET"}, {":path", "/new"}, {":authority", "example.com"}, {":scheme", "https"}, {"x-do", "edit"},
		{"x-two", "only"}, {"x-keep", "k"}, {"x-plugin", ""}, {"x-added", "1"}, {"x-added", "2"}, {"x-new", ""},
	}
	if diff := cmp.Diff(want, stream.RequestHeaderMap()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(copied, given); diff != "" {
		t.Errorf("the caller's headers changed: %s", diff)
	}
}

func TestConfiguration(t *testing.T) {
	p := newProbe(t, host.Config{}, "tick")
	if got := p.root.TickPeriod(); got != 250*time.Millisecond {
		t.Errorf("tick period %s", got)
	}
	says := func() string {
		t.Helper()
		stream, action := p.do("nothing")
		defer stream.Close()
		if action != host.Continue {
			t.Fatal(action)
		}
		value, _ := stream.RequestHeaderMap().Get("x-plugin")
		return value
	}
	if err := p.root.Configure([]byte("second")); err != nil {
		t.Fatal(err)
	}
	if got := says(); got != "second" {
		t.Errorf("the plugin says %q", got)
	}
	if err := p.root.Configure([]byte("refuse")); !errors.Is(err, host.ErrRefused) {
		t.Errorf("got %v", err)
	}
	if _, err := tryProbe(t, host.Config{}, host.RootConfig{}, "refuse_start"); !errors.Is(err, host.ErrRefused) {
		t.Errorf("got %v", err)
	}
	if _, err := tryProbe(t, host.Config{}, host.RootConfig{Configuration: []byte("refuse")}); !errors.Is(err,
		host.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

// TestRoots has several plugins in one VM, with ids as proxies give them.
func TestRoots(t *testing.T) {
	p, err := tryProbe(t, host.Config{}, host.RootConfig{ID: 0xffffffff, Configuration: []byte("minus one")})
	if err != nil {
		t.Fatal(err)
	}
	roots := map[string]*host.Root{"minus one": p.root}
	for id, configuration := range map[uint32]string{0x80000000: "least", 1000: "thousand", 0: "next", 3: "three"} {
		root, err := p.NewRoot(host.RootConfig{ID: id, Configuration: []byte(configuration)})
		if err != nil {
			t.Fatal(err)
		}
		if id != 0 && root.ID() != id {
			t.Errorf("id %d, want %d", root.ID(), id)
		}
		roots[configuration] = root
	}
	if _, err := p.NewRoot(host.RootConfig{ID: 1000}); err == nil {
		t.Error("an id was given twice")
	}
	for range 3 {
		for configuration, root := range roots {
			stream := root.NewStream()
			if action := stream.RequestHeaders(get, true); action != host.Continue {
				t.Fatal(action)
			}
			if got, _ := stream.RequestHeaderMap().Get("x-plugin"); got != configuration {
				t.Errorf("the plugin %q says %q", configuration, got)
			}
			stream.Close()
		}
	}
	if n := p.LiveContexts(); n != len(roots) {
		t.Errorf("%d contexts, want %d", n, len(roots))
	}
	if !roots["thousand"].Close() {
		t.Error("the context is not gone")
	}
	stream := roots["thousand"].NewStream()
	if action := stream.RequestHeaders(get, true); action != host.Answer || stream.LocalResponse().Status != 503 {
		t.Errorf("a stream of a root that is gone: %s", action)
	}
	if err := roots["thousand"].Configure(nil); !errors.Is(err, host.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// TestLaterDone has the plugin ask for time, and be done in a later tick.
func TestLaterDone(t *testing.T) {
	p := newProbe(t, host.Config{}, "later", "tick_done")
	if p.root.Close() {
		t.Fatal("the context is gone at once")
	}
	if n := p.LiveContexts(); n != 1 {
		t.Fatalf("%d contexts", n)
	}
	p.root.Tick()
	if n := p.LiveContexts(); n != 0 {
		t.Errorf("%d contexts", n)
	}
	if err := p.Err(); err != nil {
		t.Error(err)
	}
}

func TestBodies(t *testing.T) {
	tests := []struct {
		name        string
		words       []string
		request     func(s *host.Stream) []host.Action
		want        []host.Action
		body        string
		trailers    host.Headers
		logs        []string
		beforeClose func(t *testing.T, s *host.Stream)
	}{
		{
			name: "chunks pass one by one",
			request: func(s *host.Stream) []host.Action {
				return []host.Action{s.RequestHeaders(get, false), s.RequestBody([]byte("one"), false),
					s.RequestBody(nil, false),
					s.RequestBody([]byte("two"), true)}
			},
			want: []host.Action{host.Continue, host.Continue, host.Continue, host.Continue},
			body: "onetwo",
			logs: []string{`2 request body 3 false "one" <nil>`, `2 request body 0 false "" ` + notFound,
				`2 request body 3 true "two" <nil>`},
		},
		{
			name:  "a paused body is buffered and read whole",
			words: []string{"buffer"},
			request: func(s *host.Stream) []host.Action {
				return []host.Action{s.RequestHeaders(get, false), s.RequestBody([]byte("one"), false),
					s.RequestBody([]byte("two"), false), s.RequestBody([]byte("three"), true)}
			},
			want: []host.Action{host.Continue, host.Pause, host.Pause, host.Continue},
			body: "onetwothree",
			logs: []string{`2 request body 3 false "one" <nil>`, `2 request body 6 false "onetwo" <nil>`,
				`2 request body 11 true "onetwothree" <nil>`},
		},
		{
			name:  "a body is replaced",
			words: []string{"replace"},
			request: func(s *host.Stream) []host.Action {
				return []host.Action{s.RequestHeaders(get, false), s.RequestBody([]byte("one"), true)}
			},
			want: []host.Action{host.Continue, host.Continue},
			body: "<replaced>",
			logs: []string{`2 request body 3 true "one" <nil>`},
		},
		{
			name: "trailers",
			request: func(s *host.Stream) []host.Action {
				return []host.Action{s.RequestHeaders(get, false), s.RequestBody([]byte("one"), false),
					s.RequestTrailers(host.Headers{{"T", "1"}})}
			},
			want:     []host.Action{host.Continue, host.Continue, host.Continue},
			body:     "one",
			trailers: host.Headers{{"t", "1"}, {"x-n", "1"}},
			logs:     []string{`2 request body 3 false "one" <nil>`},
		},
		{
			name:  "trailers let a buffered body pass",
			words: []string{"buffer"},
			request: func(s *host.Stream) []host.Action {
				return []host.Action{s.RequestHeaders(get, false), s.RequestBody([]byte("one"), false),
					s.RequestTrailers(nil)}
			},
			want:     []host.Action{host.Continue, host.Pause, host.Continue},
			body:     "one",
			trailers: host.Headers{{"x-n", "0"}},
			logs:     []string{`2 request body 3 false "one" <nil>`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProbe(t, host.Config{}, tt.words...)
			stream := p.root.NewStream()
			if diff := cmp.Diff(tt.want, tt.request(stream)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.body, string(stream.TakeRequestBody())); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.trailers, stream.RequestTrailerMap()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.logs, *p.logs); diff != "" {
				t.Error(diff)
			}
			stream.Close()
		})
	}
}

func TestResponse(t *testing.T) {
	p := newProbe(t, host.Config{})
	stream := p.root.NewStream()
	got := []host.Action{
		stream.RequestHeaders(get, true),
		stream.ResponseHeaders(host.Headers{{":status", "200"}, {"Server", "s"}}, false),
		stream.ResponseBody([]byte("hello"), false),
		stream.ResponseTrailers(host.Headers{{"grpc-status", "0"}}),
	}
	if diff := cmp.Diff([]host.Action{host.Continue, host.Continue, host.Continue, host.Continue}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(host.Headers{{":status", "200"}, {"server", "s"}, {"x-seen", "2"}},
		stream.ResponseHeaderMap()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(host.Headers{{"grpc-status", "0"}, {"x-n", "1"}}, stream.ResponseTrailerMap()); diff != "" {
		t.Error(diff)
	}
	if got := string(stream.TakeResponseBody()); got != "hello" {
		t.Errorf("body %q", got)
	}
	stream.Close()
	if diff := cmp.Diff([]string{`2 response body 5 false "hello" <nil>`, `2 done "/a?b=c" <nil> "200" <nil>`},
		*p.logs); diff != "" {
		t.Error(diff)
	}
}

// TestWaiting resumes paused streams from a tick: the body and the trailers
// that came in the meantime are delivered then, and not before.
func TestWaiting(t *testing.T) {
	p := newProbe(t, host.Config{}, "wait")
	var changed []host.Action
	var streams []*host.Stream
	for range 3 {
		stream := p.root.NewStream()
		stream.OnChange = func(s *host.Stream) { changed = append(changed, s.RequestAction()) }
		got := []host.Action{stream.RequestHeaders(get, false), stream.RequestBody([]byte("one"), false),
			stream.RequestBody([]byte("two"), false), stream.RequestTrailers(host.Headers{{"t", "1"}})}
		if diff := cmp.Diff([]host.Action{host.Pause, host.Pause, host.Pause, host.Pause}, got); diff != "" {
			t.Fatal(diff)
		}
		streams = append(streams, stream)
	}
	if len(*p.logs) != 0 {
		t.Errorf("delivered before resumed: %q", *p.logs)
	}
	streams[1].Close() // Before it is resumed.
	p.takeLogs()
	p.root.Tick()
	if diff := cmp.Diff([]host.Action{host.Continue, host.Continue}, changed); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`2 request body 6 false "onetwo" <nil>`, `2 request body 6 false "onetwo" <nil>`},
		p.takeLogs()); diff != "" {
		t.Error(diff)
	}
	for _, i := range []int{0, 2} {
		if got, _ := streams[i].RequestHeaderMap().Get("x-resumed"); got != strconv.Itoa(int(streams[i].ID())) {
			t.Errorf("resumed as %q", got)
		}
		if _, late := streams[i].RequestHeaderMap().Get("x-late"); late {
			t.Error("a resumed request was written")
		}
		if got := string(streams[i].TakeRequestBody()); got != "onetwo" {
			t.Errorf("body %q", got)
		}
		if diff := cmp.Diff(host.Headers{{"t", "1"}, {"x-n", "1"}}, streams[i].RequestTrailerMap()); diff != "" {
			t.Error(diff)
		}
		streams[i].Close()
	}
	if err := p.Err(); err != nil {
		t.Error(err)
	}
}

func TestCallouts(t *testing.T) {
	newCallout := func(t *testing.T, words ...string) (probe, *host.Callout) {
		t.Helper()
		p := newProbe(t, host.Config{Clusters: []string{"idp"}}, append(words, "tick_callout")...)
		p.root.Tick()
		calls := p.TakeCallouts()
		if len(calls) != 1 {
			t.Fatalf("%d call-outs", len(calls))
		}
		return p, calls[0]
	}
	t.Run("as sent", func(t *testing.T) {
		p, call := newCallout(t)
		want := host.Callout{
			ID: 1, Root: p.root, Cluster: "idp", Timeout: 1500 * time.Millisecond, Body: []byte("body"),
			Headers: host.Headers{{":method", "GET"}, {":path", "/keys"}, {":authority", "idp.example"}, {"x-test", ""},
				{"content-length", "4"}},
			Trailers: host.Headers{{"x-trailer", "t"}},
		}
		if diff := cmp.Diff(want, *call, cmp.Comparer(func(a, b *host.Root) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	})
	answers := []struct {
		name   string
		answer func(*host.Callout) error
		want   string
	}{
		{"an answer", func(c *host.Callout) error {
			return c.Respond(host.Headers{{":status", "200"}, {"ETag", ""}}, []byte("keys"), host.Headers{{"T", "1"}})
		}, `answer 1: 2 4 1: [[":status" "200"] ["etag" ""]] <nil> "keys" <nil> [["t" "1"]] <nil> 0 "" <nil>`},
		{"an answer without body and trailers", func(c *host.Callout) error {
			return c.Respond(host.Headers{{":status",
				"304"}}, nil, nil)
		},
			`answer 1: 1 0 0: [[":status" "304"]] <nil> "" ` + notFound + ` [] ` + notFound + ` 0 "" <nil>`},
		{"a broken connection", (*host.Callout).Fail,
			`answer 1: 0 0 0: [] ` + notFound + ` "" ` + notFound + ` [] ` + notFound + ` 11 "reset" <nil>`},
		{"no upstream", func(c *host.Callout) error { return c.FailStatus(503) },
			`answer 1: 3 19 0: [[":status" "503"] ["content-length" "19"] ["content-type" "text/plain"]] <nil> "no healthy ` +
				`upstream" <nil> [] ` + notFound + ` 0 "" <nil>`},
		{"time is up", func(c *host.Callout) error { return c.FailStatus(504) },
			`answer 1: 3 24 0: [[":status" "504"] ["content-length" "24"] ["content-type" "text/plain"]] <nil> "upstream ` +
				`request timeout" <nil> [] ` + notFound + ` 0 "" <nil>`},
	}
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			p, call := newCallout(t)
			if err := tt.answer(call); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"2 " + tt.want}, *p.logs); diff != "" {
				t.Error(diff)
			}
			if err := tt.answer(call); !errors.Is(err, host.ErrClosed) {
				t.Errorf("answered twice: %v", err)
			}
		})
	}
	t.Run("answers streams", func(t *testing.T) {
		p, call := newCallout(t, "wait", "answer_streams")
		var changed []host.Action
		stream := p.root.NewStream()
		stream.OnChange = func(s *host.Stream) { changed = append(changed, s.RequestAction()) }
		if action := stream.RequestHeaders(get, false); action != host.Pause {
			t.Fatal(action)
		}
		gone := p.root.NewStream()
		gone.RequestHeaders(get, false)
		gone.Close()
		if err := call.Fail(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]host.Action{host.Answer}, changed); diff != "" {
			t.Error(diff)
		}
		want := &host.LocalResponse{Status: 403, Details: "", Headers: host.Headers{{"x-from", "callout"}},
			Body: []byte("no"), GRPCStatus: 7}
		if diff := cmp.Diff(want, stream.LocalResponse()); diff != "" {
			t.Error(diff)
		}
		if action := stream.RequestBody([]byte("late"), true); action != host.Answer {
			t.Error(action)
		}
		stream.Close()
		p.root.Tick()
		if err := p.Err(); err != nil {
			t.Error(err)
		}
	})
	t.Run("answered when its stream is gone", func(t *testing.T) {
		p := newProbe(t, host.Config{Clusters: []string{"idp"}})
		p.lines(t, "callouts") // Closes the stream.
		calls := p.TakeCallouts()
		p.takeLogs()
		if err := calls[0].Respond(host.Headers{{":status", "200"}}, nil, nil); err != nil {
			t.Fatal(err)
		}
		// The SDK drops the answer.
		if diff := cmp.Diff([]string(nil), p.takeLogs()); diff != "" {
			t.Error(diff)
		}
		p.serves(t)
	})
	t.Run("answered from within the host call", func(t *testing.T) {
		p := newProbe(t, host.Config{Clusters: []string{"idp"}, Callout: func(c *host.Callout) host.Status {
			if err := c.Fail(); err != nil {
				t.Error(err)
			}
			return host.OK
		}}, "tick_callout")
		p.root.Tick()
		if len(*p.logs) != 1 || !strings.HasPrefix((*p.logs)[0], "2 answer 1: 0 0 0:") {
			t.Errorf("%q", *p.logs)
		}
	})
	t.Run("refused by the embedder", func(t *testing.T) {
		p := newProbe(t, host.Config{Clusters: []string{"idp"},
			Callout: func(c *host.Callout) host.Status { return host.InternalFailure }})
		if got := p.lines(t, "callouts"); !strings.HasPrefix(got,
			"call error status returned by host: internal failure\n") {
			t.Error(got)
		}
	})
	t.Run("answered when its root is gone", func(t *testing.T) {
		p, call := newCallout(t)
		p.root.Close()
		if err := call.Fail(); !errors.Is(err, host.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("while configuring", func(t *testing.T) {
		if _, err := tryProbe(t, host.Config{Clusters: []string{"idp"}}, host.RootConfig{},
			"callout_configure"); !errors.Is(err, host.ErrTrap) ||
			!strings.Contains(err.Error(), "proxy_http_call while configuring") {
			t.Errorf("got %v", err)
		}
	})
}

func TestLocalResponses(t *testing.T) {
	tests := []struct {
		name    string
		headers [][2]string
		want    host.Headers
		body    string
	}{
		{
			name: "to a browser",
			want: host.Headers{{":status", "401"}, {"x-first", "1"}, {"content-length", "5"},
				{"content-type", "text/plain"},
				{"x-seen", "4"}},
			body: "first",
		},
		{
			name:    "to a gRPC client",
			headers: [][2]string{{"content-type", "application/grpc+proto"}},
			want: host.Headers{{":status", "200"}, {"x-first", "1"}, {"content-type", "application/grpc"},
				{"grpc-status", "16"}, {"grpc-message", "first"}, {"x-seen", "5"}},
		},
		{
			name:    "to something else with a similar type",
			headers: [][2]string{{"content-type", "application/grpc-web"}},
			want: host.Headers{{":status", "401"}, {"x-first", "1"}, {"content-length", "5"},
				{"content-type", "text/plain"},
				{"x-seen", "4"}},
			body: "first",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProbe(t, host.Config{})
			stream, action := p.do("twice", tt.headers...)
			defer stream.Close()
			if action != host.Answer {
				t.Fatal(action)
			}
			// The second one is lost, whatever it was told.
			want := &host.LocalResponse{Status: 401, Headers: host.Headers{{"x-first", "1"}}, Body: []byte("first"),
				GRPCStatus: 16}
			if diff := cmp.Diff(want, stream.LocalResponse()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.want, stream.ResponseHeaderMap()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.body, string(stream.TakeResponseBody())); diff != "" {
				t.Error(diff)
			}
			if action := stream.ResponseHeaders(host.Headers{{":status", "200"}}, true); action != host.Answer {
				t.Errorf("an upstream's response to an answered request: %s", action)
			}
			for _, line := range []string{"2 to standard output", "4 to standard error"} {
				if !strings.Contains(strings.Join(*p.logs, "\n"), line) {
					t.Errorf("%q is not in the log: %q", line, *p.logs)
				}
			}
		})
	}
}

// TestAnswerAnother answers one stream from a callback of another one. The
// other one stops as well and is not resumed, as in Envoy: a plugin must not do
// this.
func TestAnswerAnother(t *testing.T) {
	p := newProbe(t, host.Config{})
	answered := p.root.NewStream()
	defer answered.Close()
	if action := answered.RequestHeaders(get, false); action != host.Continue {
		t.Fatal(action)
	}
	stopped, action := p.do("answer another")
	defer stopped.Close()
	if action != host.Pause || stopped.LocalResponse() != nil {
		t.Errorf("%s %+v, want a pause", action, stopped.LocalResponse())
	}
	if action := answered.RequestAction(); action != host.Answer || answered.LocalResponse().Status != 403 {
		t.Errorf("%s, want an answer", action)
	}
}

// TestTraps has the guest die: everything after it fails closed.
func TestTraps(t *testing.T) {
	tests := []struct {
		name  string
		words []string
		do    func(p probe)
		want  string
	}{
		{"an exit", []string{"tick_trap", "wait"}, func(p probe) { p.root.Tick() }, "exited with status 3"},
		{"a request resumed that is not paused", []string{"x"}, func(p probe) { p.do("resume") },
			"proxy_continue_stream(0): context"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProbe(t, host.Config{Clusters: []string{"idp"}}, tt.words...)
			var changed []host.Action
			waiting := p.root.NewStream()
			waiting.OnChange = func(s *host.Stream) { changed = append(changed, s.RequestAction()) }
			before := waiting.RequestHeaders(get, false)
			tt.do(p)
			if err := p.Err(); !errors.Is(err, host.ErrTrap) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if max := uint64(1 << 30); p.MemoryBytes() > max {
				t.Errorf("%d bytes of memory", p.MemoryBytes())
			}
			want := &host.LocalResponse{Status: 503, Details: "wasm_fail_stream", GRPCStatus: 14}
			for i, stream := range []*host.Stream{waiting, p.root.NewStream()} {
				action := stream.RequestAction()
				if i == 1 {
					action = stream.RequestHeaders(get, true)
				}
				if action != host.Answer {
					t.Errorf("%d: %s, want an answer", i, action)
				}
				if diff := cmp.Diff(want, stream.LocalResponse()); diff != "" {
					t.Error(diff)
				}
				if status, _ := stream.ResponseHeaderMap().Get(":status"); status != "503" {
					t.Errorf("status %s", status)
				}
				if action := stream.RequestBody([]byte("x"), true); i == 0 && action != host.Answer {
					t.Error(action)
				}
				stream.Close()
			}
			if wanted := []host.Action{host.Answer}; len(changed) != 1 {
				t.Errorf("changed %v, want %v; it was %s", changed, wanted, before)
			}
			p.root.Tick()
			if _, err := p.NewRoot(host.RootConfig{}); !errors.Is(err, host.ErrTrap) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestMemoryCeiling builds with a lower ceiling than the default's.
func TestMemoryCeiling(t *testing.T) {
	plugin := compile(t, hosttest.Build(t, "testdata/probe"), host.WithMaxMemory(96<<20))
	vm, err := plugin.NewVM(host.Config{VMConfiguration: []byte("tick_grow")})
	if err != nil {
		t.Fatal(err)
	}
	root, err := vm.NewRoot(host.RootConfig{})
	if err != nil {
		t.Fatal(err)
	}
	root.Tick()
	if err := vm.Err(); err != nil {
		t.Fatal(err)
	}
	root.Tick()
	if err := vm.Err(); !errors.Is(err, host.ErrTrap) {
		t.Errorf("got %v", err)
	}
	if n := vm.MemoryBytes(); n > 96<<20 {
		t.Errorf("%d bytes of memory", n)
	}
}

// TestClockStep: each reading of the monotonic clock is later by the step.
func TestClockStep(t *testing.T) {
	p := newProbe(t, host.Config{ClockStep: time.Hour})
	if got, want := p.lines(t, "elapsed"), "1h0m0s\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPoll has a guest sleep, which takes poll_oneoff. Where that answers ENOSYS
// the runtime gives up.
func TestPoll(t *testing.T) {
	for _, works := range []bool{false, true} {
		t.Run(strconv.FormatBool(works), func(t *testing.T) {
			p := newProbe(t, host.Config{Poll: works, ClockStep: time.Minute})
			stream, _ := p.do("sleep")
			stream.Close()
			if err := p.Err(); works != (err == nil) || !works && !errors.Is(err, host.ErrTrap) {
				t.Errorf("got %v", err)
			}
			if p.HostCalls()["poll_oneoff"] == 0 {
				t.Error("poll_oneoff was not called")
			}
		})
	}
}

// TestVMsShareData has VMs in goroutines count together with compare-and-swap.
func TestVMsShareData(t *testing.T) {
	const vms, ticks = 4, 200
	shared := host.NewSharedData()
	shared.Set("vm", "count", []byte("0"), 0)
	shared.Set("other", "count", []byte("untouched"), 0)
	var wait sync.WaitGroup
	for range vms {
		p := newProbe(t, host.Config{VMID: "vm", Shared: shared}, "tick_count")
		wait.Go(func() {
			for range ticks {
				p.root.Tick()
			}
			if logs := p.takeLogs(); len(logs) != 0 {
				t.Errorf("%q", logs)
			}
		})
	}
	wait.Wait()
	value, _, _ := shared.Get("vm", "count")
	if got := string(value); got != strconv.Itoa(vms*ticks) {
		t.Errorf("counted to %s, want %d", got, vms*ticks)
	}
	if value, _, _ := shared.Get("other", "count"); string(value) != "untouched" {
		t.Errorf("another VM's data is %q", value)
	}
}

func TestHostCallsAreCounted(t *testing.T) {
	p := newProbe(t, host.Config{})
	before := p.HostCalls()
	stream, _ := p.do("nothing")
	stream.Close()
	got := map[string]int{}
	for name, n := range p.HostCalls() {
		if n -= before[name]; n != 0 && strings.HasPrefix(name, "proxy_") {
			got[name] = n
		}
	}
	want := map[string]int{"proxy_add_header_map_value": 1, "proxy_get_header_map_value": 3, "proxy_log": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
