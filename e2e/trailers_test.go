package e2e_test

import (
	"testing"

	"orgate/e2e/scenario"
	"orgate/host"
)

// TestTrailersAreStrippedWhileTheRequestWaits: a proxy that hands trailers over
// while the headers are held back must not keep what they forge.
func TestTrailersAreStrippedWhileTheRequestWaits(t *testing.T) {
	w := newWorker(t, fetching)
	s := w.NewStream()
	s.RequestHeaders(host.Headers(request(scenario.First().Token()).Map()), false)
	if s.RequestAction() != host.Pause {
		t.Fatalf("%v, want the request to wait", s.RequestAction())
	}
	s.RequestTrailers(host.Headers{{"x-wso2-organization", "org2"}, {"X_WSO2_Username", "mallory"},
		{"grpc-timeout", "1S"}})
	answer(t, fetch(t, w), scenario.First())
	judged(t, s, 200, "ok")
	got := s.RequestTrailerMap()
	if len(got) != 1 || got[0] != [2]string{"grpc-timeout", "1S"} {
		t.Errorf("trailers %q", got)
	}
}
