package e2e_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"orgate/e2e"
	"orgate/e2e/emulator"
	"orgate/e2e/generate"
	"orgate/e2e/scenario"
	"orgate/host/hosttest"
)

// TestGenerated sends made-up requests under made-up configurations through the
// built plugin. What it does must be what package generate says, and what the
// filter does natively.
func TestGenerated(t *testing.T) {
	cases := 200
	if testing.Short() {
		cases = 20
	}
	plugin := hosttest.Plugin(t)
	random := rand.New(rand.NewPCG(3, 4))
	for n := range cases {
		data := make([]byte, 800)
		for i := range data {
			if random.IntN(3) > 0 {
				data[i] = byte(random.Uint32())
			}
		}
		c := generate.New(data)
		worker, err := e2e.NewWorker(plugin, c.Document(false))
		if err != nil {
			t.Fatalf("case %d: %v\n%s", n, err, c.Document(false))
		}
		native, err := emulator.New(c.Document(false))
		if err != nil {
			t.Fatalf("case %d: %v", n, err)
		}
		for range 2 {
			for _, request := range c.Requests {
				got := worker.Serve(request)
				if problem := c.Check(request, got, false); problem != "" {
					t.Errorf("case %d: %s\nrequest: %+v\noutcome: %+v\nconfiguration: %s", n, problem, request, got, c.Document(false))
				}
				if diff := cmp.Diff(comparable(request, native.Serve(request)), comparable(request, got), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("case %d (-native +wasm):\n%s\nrequest: %+v\nconfiguration: %s", n, diff, request, c.Document(false))
				}
			}
		}
		native.Close()
		worker.VM.Close()
	}
}

// comparable is what the two hosts must agree on: the emulator does not keep
// headers of the same name apart, shows no trailers, and reports no gRPC status
// as -1.
func comparable(r scenario.Request, o scenario.Outcome) scenario.Outcome {
	o.Upstream = slices.DeleteFunc(o.Upstream.Sorted(), func(h [2]string) bool { return len(r.Map().Values(h[0])) > 1 })
	o.GRPC, o.Trailers = max(o.GRPC, 0), nil
	return o
}
