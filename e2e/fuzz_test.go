package e2e_test

import (
	"math/rand/v2"
	"testing"

	"orgate/e2e"
	"orgate/e2e/generate"
	"orgate/host/hosttest"
)

// TestGenerated sends made-up requests under made-up configurations through the
// built plugin. What it does must be what package generate says.
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
		for range 2 {
			for _, request := range c.Requests {
				got := worker.Serve(request)
				if problem := c.Check(request, got); problem != "" {
					t.Errorf("case %d: %s\nrequest: %+v\noutcome: %+v\nconfiguration: %s", n, problem, request, got,
						c.Document(false))
				}
			}
		}
		worker.VM.Close()
	}
}
