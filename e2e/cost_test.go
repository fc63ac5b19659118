package e2e_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"orgate/e2e/scenario"
	"orgate/host"
)

// TestHostCallsOfATokenSeenBefore: with all five identity headers there are
// twelve host calls, one of which reads the header map, however many issuers
// and rules there are. The collector of garbage asks for the time now and then;
// that is not of the request.
func TestHostCallsOfATokenSeenBefore(t *testing.T) {
	want := map[string]int{
		"proxy_get_header_map_pairs":         1,
		"proxy_get_current_time_nanoseconds": 1,
		"proxy_remove_header_map_value":      1,
		"proxy_add_header_map_value":         5,
		"proxy_set_property":                 3,
		"proxy_increment_metric":             1,
	}
	for _, n := range []int{1, 100} {
		w := newWorker(t, benchConfig(n, ""))
		request := scenario.Request{Path: "/orders/4711?page=2", Token: benchToken()}
		for _, name := range scenario.Identity[:5] {
			if got := w.Serve(request).Upstream.Values(name); len(got) != 1 {
				t.Errorf("%s: %q, want one value", name, got)
			}
		}
		before := w.VM.HostCalls()
		w.Serve(request)
		got := w.VM.HostCalls()
		for name, calls := range before {
			got[name] -= calls
		}
		maps.DeleteFunc(got, func(name string, calls int) bool { return calls == 0 || name == "clock_time_get" })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d issuers: host calls (-want +got):\n%s", n, diff)
		}
	}
}

// TestRefusalsVerifyNothing: what is refused for its shape, its algorithm, its
// issuer or its time is refused before its signature is looked at. The host
// verifies here, and counts.
func TestRefusalsVerifyNothing(t *testing.T) {
	verifications := 0
	w := newWorker(t, benchConfig(1, `"signatureVerification": "host",`), func(c *host.Config) {
		c.Foreign = map[string]host.ForeignFunction{"verify_signature": func(arguments []byte) ([]byte, host.Status) {
			verifications++
			return host.VerifySignature(arguments)
		}}
	})
	verifications = 0 // without those of the self-test
	for _, refused := range refusals() {
		for i := range 3 {
			s := w.NewStream()
			if got := s.RequestHeaders(refused.request(i), true); got != host.Answer {
				t.Errorf("%s: %v, want an answer", refused.name, got)
			}
			s.Close()
		}
	}
	if verifications != 0 {
		t.Errorf("%d signatures were verified, want none", verifications)
	}
	forged := scenario.Request{Path: "/orders", Token: scenario.Stranger().Token()}
	if got := verdict(w.Serve(forged)); got != "401 bad_signature" || verifications != 1 {
		t.Errorf("a forged token: %s with %d signatures verified, want one", got, verifications)
	}
}
