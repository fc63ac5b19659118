package gate_test

import (
	"testing"

	"orgate/e2e/scenario"
	"orgate/gate"
)

// BenchmarkJudge is what a decision takes without a proxy.
func BenchmarkJudge(b *testing.B) {
	p := open(b, scenario.Config())
	for _, c := range []struct {
		name    string
		request scenario.Request
	}{
		{"seen", scenario.Request{Path: "/org1/orders/4711?page=2", Token: scenario.First().Token()}},
		{"public", scenario.Request{Path: "/public"}},
		{"missing", scenario.Request{Path: "/org1"}},
		{"expired", scenario.Request{Path: "/org1", Token: scenario.First().Token(scenario.Claims{"exp": 1})}},
	} {
		b.Run(c.name, func(b *testing.B) {
			request := &gate.Request{Headers: c.request.Map(), EndOfStream: true}
			b.ReportAllocs()
			for b.Loop() {
				p.Judge(request)
			}
		})
	}
}
