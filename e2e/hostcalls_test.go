package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
)

// harmless are the host calls that decide nothing: where they fail the verdict
// is the same. Counting a request that passes is not among them: what passes
// is counted.
var harmless = []string{"proxy_log", "proxy_get_log_level"}

// TestFailedHostCall has each host call of a request fail in turn. No request
// passes that would not have passed, or with other headers, or with its token.
func TestFailedHostCall(t *testing.T) {
	plugin := hosttest.Plugin(t)
	config := strings.NewReplacer(
		`"rules"`, `"forwardPayload": "x-payload", "tokenSources": {"headers": [{"name": "authorization", "prefix": "Bearer "}], "query": ["t"], "cookies": ["t"]}, "rules"`,
		`"name": "idp2",`, `"name": "idp2", "reportOnly": true,`,
	).Replace(scenario.Config())
	spoofed := scenario.Headers{{"x-wso2-username", "root"}, {"x_tier", "gold"}}
	good, bob := scenario.First().Token(), scenario.Second().Token(scenario.OfOrg2(),
		scenario.Claims{"https://example.com/tier": "gold"})
	basic := [2]string{"authorization", "Basic abc"}
	for _, c := range []struct {
		name    string
		request scenario.Request
	}{
		{"good token", scenario.Request{Path: "/org1", Token: good, Headers: append(spoofed, basic)}},
		{"token in the query", scenario.Request{Path: "/org1?a=b&t=" + good, Headers: spoofed}},
		{
			"token in a cookie", scenario.Request{Path: "/org1",
				Headers: append(spoofed, [2]string{"cookie", "a=b; t=" + good})}},
		{"bound to a certificate", scenario.Request{Path: "/org1", Token: scenario.Bound("cert"), Certificate: "cert"}},
		{"of another organization, reported", scenario.Request{Path: "/org1", Token: bob, Headers: spoofed}},
		{"claim in a header", scenario.Request{Path: "/org2", Token: bob, Headers: spoofed}},
		{"public", scenario.Request{Path: "/public", Token: good, Headers: spoofed}},
		{
			"Connection", scenario.Request{Path: "/org1", Token: good,
				Headers: scenario.Headers{{"connection", "close, x-wso2-username"}}}},
		{"refused", scenario.Request{Path: "/org2", Token: good, Headers: spoofed}},
		{
			"trailers", scenario.Request{Path: "/org1", Token: good,
				Trailers: scenario.Headers{{"x-wso2-username", "root"}, {"a", "b"}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var calls []string
			failing, lost := -1, ""
			w, err := e2e.NewWorker(plugin, config, func(h *host.Config) {
				h.Fault = func(call string) host.Status {
					calls = append(calls, call)
					if len(calls)-1 == failing {
						lost = call
						return host.InternalFailure
					}
					return host.OK
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer w.VM.Close()
			serve := func(n int) scenario.Outcome {
				calls, failing, lost = nil, n, ""
				s := w.Open(c.request)
				defer s.Close()
				if e2e.Outcome(s).Passed && len(c.request.Trailers) > 0 {
					s.RequestTrailers(host.Headers(c.request.Trailers))
				}
				outcome := e2e.Outcome(s)
				outcome.Trailers = scenario.Headers(s.RequestTrailerMap())
				return outcome
			}
			serve(-1) // so that all metrics are there
			want := serve(-1)
			for n := range len(calls) {
				got := serve(n)
				if diff := sameOrRefused(want, got, slices.Contains(harmless, lost)); diff != "" {
					t.Errorf("host call %d, %s, fails: %s", n, lost, diff)
				}
			}
		})
	}
}

// TestUnreadRequest: a request that cannot be read does not pass, public or not:
// nothing was taken out of it.
func TestUnreadRequest(t *testing.T) {
	unreadable := false
	w := newWorker(t, strings.Replace(fetching, `"limits"`, `"rules": [{"public": true}], "limits"`, 1),
		func(h *host.Config) {
			h.Fault = func(call string) host.Status {
				if unreadable && call == "proxy_get_header_map_pairs" {
					return host.InternalFailure
				}
				return host.OK
			}
		})
	judged(t, w.Open(scenario.Request{}), 200, "public")
	unreadable = true
	judged(t, w.Open(scenario.Request{Headers: scenario.Headers{{"x-wso2-username", "root"}}}), 500, "internal")
}

// sameOrRefused says what is wrong with an outcome where a host call has failed. A
// request that would have passed must be refused, unless the call is one that
// makes no difference; a refusal stays one, whatever becomes of its answer.
func sameOrRefused(want, got scenario.Outcome, harmless bool) string {
	refused := !got.Passed && got.Status == 500 && got.Reason == "internal"
	switch {
	case harmless:
	case want.Passed && (refused || got.Waiting): // waiting: not even the answer could be sent
		return ""
	case want.Passed:
		return fmt.Sprint(got) + ", want a refusal"
	case !got.Passed:
		return ""
	}
	if w, g := fmt.Sprint(want), fmt.Sprint(got); w != g {
		return g + ", want " + w
	}
	return ""
}

// TestStreamThatCannotBeResumed is refused when its keys have come.
func TestStreamThatCannotBeResumed(t *testing.T) {
	w := newWorker(t, fetching, func(h *host.Config) {
		h.Fault = func(call string) host.Status {
			if call == "proxy_continue_stream" {
				return host.InternalFailure
			}
			return host.OK
		}
	})
	s := w.Open(request(scenario.First().Token()))
	defer s.Close()
	answer(t, fetch(t, w), scenario.First())
	judged(t, s, 500, "internal")
}

// TestNoTick: without ticks no keys would ever come. The plugin does not start.
func TestNoTick(t *testing.T) {
	for _, config := range []string{fetching, scenario.Config()} {
		w, err := e2e.NewWorker(hosttest.Plugin(t), config, func(h *host.Config) {
			h.Fault = func(call string) host.Status {
				if call == "proxy_set_tick_period_milliseconds" {
					return host.InternalFailure
				}
				return host.OK
			}
		})
		if err == nil {
			w.VM.Close()
			t.Error("the plugin started")
		}
	}
}

// TestTicksWithNothingToDo come once a second.
func TestTicksWithNothingToDo(t *testing.T) {
	w := newWorker(t, scenario.Config())
	logged := len(w.Log)
	w.Tick()
	if period := w.TickPeriod(); period != time.Second || len(w.Log) > logged {
		t.Errorf("ticks every %v, want 1s; logged %q", period, w.Log[logged:])
	}
}

// TestCountedTokens: tokens seen before are counted, and so are others.
func TestCountedTokens(t *testing.T) {
	w := newWorker(t, scenario.Config())
	for range 3 {
		w.Serve(scenario.Request{Path: "/org1", Token: scenario.First().Token()})
	}
	w.Tick()
	values := w.Metrics.Values()
	for result, want := range map[string]uint64{"hit": 2, "miss": 1} {
		if got := values["orgate_token_cacheresult=.="+result+";.;"]; got != want {
			t.Errorf("%s: %d, want %d", result, got, want)
		}
	}
}

// TestRotationThatKeepsTheKey: a token that was verified with a key that is
// still there is not verified again.
func TestRotationThatKeepsTheKey(t *testing.T) {
	verifications := 0
	w := newWorker(t, strings.Replace(fetching, `"limits"`, `"signatureVerification": "host", "limits"`, 1),
		func(h *host.Config) {
			h.Foreign = map[string]host.ForeignFunction{
				"verify_signature": func(arguments []byte) ([]byte, host.Status) {
					verifications++
					return host.VerifySignature(arguments)
				}}
		})
	verifications = 0 // without those of the self-test
	first := w.Open(request(scenario.First().Token()))
	answer(t, fetch(t, w), scenario.First())
	judged(t, first, 200, "ok")
	rotated := w.Open(request(scenario.Rotated().Token()))
	answer(t, fetch(t, w), scenario.First(), scenario.Rotated())
	judged(t, rotated, 200, "ok")
	for range 2 {
		judged(t, w.Open(request(scenario.First().Token())), 200, "ok")
	}
	if verifications != 2 {
		t.Errorf("%d verifications, want 2", verifications)
	}
}

// TestMissingFunctionIsAskedForOnce: a proxy that has no verify_signature will
// not have it later.
func TestMissingFunctionIsAskedForOnce(t *testing.T) {
	asked := 0
	w := newWorker(t, strings.Replace(scenario.Config(), `"rules"`, `"signatureVerification": "host", "rules"`, 1),
		func(h *host.Config) {
			h.Fault = func(call string) host.Status {
				if call == "proxy_call_foreign_function" {
					asked++
				}
				return host.OK
			}
		})
	for n := range 3 {
		judged(t, w.Open(scenario.Request{Path: "/org1", Token: scenario.First().Token(scenario.Claims{"jti": n})}),
			200, "ok")
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
}

// TestNoTrailersAfterAll: a proxy that has none to show is no fault.
func TestNoTrailersAfterAll(t *testing.T) {
	missing := false
	w := newWorker(t, scenario.Config(), func(h *host.Config) {
		h.Fault = func(call string) host.Status {
			if missing && call == "proxy_get_header_map_pairs" {
				return host.NotFound
			}
			return host.OK
		}
	})
	s := w.Open(scenario.Request{Path: "/org1", Token: scenario.First().Token(),
		Trailers: scenario.Headers{{"a", "b"}}})
	defer s.Close()
	missing = true
	s.RequestTrailers(host.Headers{{"a", "b"}})
	judged(t, s, 200, "ok")
}
