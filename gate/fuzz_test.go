package gate_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"orgate/e2e/generate"
	"orgate/e2e/scenario"
)

// FuzzRequests judges requests that are made of the fuzzer's bytes, under
// configurations that are too, and compares the verdicts with those of package
// generate. Each request is sent twice, with the token cache and without it:
// all four verdicts must be the same.
func FuzzRequests(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 64 {
		data := make([]byte, 600)
		for i := range data {
			if random.IntN(2) == 0 { // more often than not what is usual
				data[i] = byte(random.Uint32())
			}
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := generate.New(data)
		var first []scenario.Outcome
		for _, uncached := range []bool{false, true} {
			proxy := open(t, c.Document(uncached))
			for round := range 2 {
				for i, request := range c.Requests {
					outcome := proxy.Serve(request)
					if len(first) < len(c.Requests) {
						first = append(first, outcome)
						if problem := c.Check(request, outcome); problem != "" {
							t.Errorf("%s\nrequest: %+v\noutcome: %+v\nconfiguration: %s", problem, request, outcome,
								c.Document(false))
						}
						continue
					}
					if diff := cmp.Diff(first[i], outcome, cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("round %d, uncached %v (-first +this):\n%s\nrequest: %+v\nconfiguration: %s", round,
							uncached, diff, request, c.Document(uncached))
					}
				}
			}
		}
	})
}
