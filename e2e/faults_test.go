package e2e_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"orgate/e2e/scenario"
	"orgate/host"
)

// TestAnswerToAFault: a plugin that has lost its configuration answers in the
// default form.
func TestAnswerToAFault(t *testing.T) {
	w := newWorker(t, scenario.Config())
	if err := w.Configure([]byte(`{}`)); err == nil {
		t.Fatal("a configuration without issuers was accepted")
	}
	for _, c := range []struct {
		name    string
		request scenario.Request
		want    host.LocalResponse
	}{
		{
			"HTTP", scenario.Request{}, host.LocalResponse{Status: 500, GRPCStatus: -1,
				Headers: host.Headers{{"content-type", "application/json"}},
				Body:    []byte(`{"error_message":"Unclassified Authentication Failure","code":"900900","error_description":"The request could not be authenticated."}`)}},
		{"HEAD", scenario.Request{Method: "HEAD"},
			host.LocalResponse{Status: 500, GRPCStatus: -1, Headers: host.Headers{{"content-type", "application/json"}},
				Body: []byte{}}},
		{"gRPC", scenario.Request{Method: "POST", Headers: scenario.Headers{{"content-type", "application/grpc"}}},
			host.LocalResponse{Status: 500, GRPCStatus: 13, Body: []byte("The request could not be authenticated.")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := w.Open(c.request)
			defer s.Close()
			judged(t, s, 500, "internal")
			if diff := cmp.Diff(c.want, *s.LocalResponse(),
				cmp.Transformer("text", func(b []byte) string { return string(b) }),
				cmp.Transformer("headers", func(h host.Headers) [][2]string {
					return append([][2]string{}, h...)
				})); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}
