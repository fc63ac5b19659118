package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/orgate/orgate/e2e"
	"github.com/orgate/orgate/e2e/scenario"
	"github.com/orgate/orgate/host"
	"github.com/orgate/orgate/host/hosttest"
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
	good, bob := scenario.First().Token(), scenario.Second().Token(scenario.OfOrg2(), scenario.Claims{"https://example.com/tier": "gold"})
	basic := [2]string{"authorization", "Basic abc"}
	for _, c := range []struct {
		name    string
		request scenario.Request
	}{
		{"good token", scenario.Request{Path: "/org1", Token: good, Headers: append(spoofed, basic)}},
		{"token in the query", scenario.Request{Path: "/org1?a=b&t=" + good, Headers: spoofed}},
		{"token in a cookie", scenario.Request{Path: "/org1", Headers: append(spoofed, [2]string{"cookie", "a=b; t=" + good})}},
		{"of another organization, reported", scenario.Request{Path: "/org1", Token: bob, Headers: spoofed}},
		{"claim in a header", scenario.Request{Path: "/org2", Token: bob, Headers: spoofed}},
		{"public", scenario.Request{Path: "/public", Token: good, Headers: spoofed}},
		{"refused", scenario.Request{Path: "/org2", Token: good, Headers: spoofed}},
		{"trailers", scenario.Request{Path: "/org1", Token: good, Trailers: scenario.Headers{{"x-wso2-username", "root"}, {"a", "b"}}}},
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

// sameOrRefused says what is wrong with an outcome where a host call has
// failed.
func sameOrRefused(want, got scenario.Outcome, same bool) string {
	switch {
	case got.Waiting && !same:
		return "" // not even the answer could be sent
	case !got.Passed && !same && (want.Passed && got.Reason == "internal" && got.Status == 500 || !want.Passed):
		return ""
	}
	if w, g := fmt.Sprint(want.Passed, want.Upstream, want.Trailers, want.Status), fmt.Sprint(got.Passed, got.Upstream, got.Trailers, got.Status); w != g {
		return g + ", want " + w
	}
	return ""
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
	s := w.Open(scenario.Request{Path: "/org1", Token: scenario.First().Token(), Trailers: scenario.Headers{{"a", "b"}}})
	defer s.Close()
	missing = true
	s.RequestTrailers(host.Headers{{"a", "b"}})
	judged(t, s, 200, "ok")
}
