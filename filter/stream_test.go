package filter

import (
	"testing"
	"time"

	"orgate/config"
	"orgate/e2e/scenario"
	"orgate/gate"
)

// TestFaultOfARequestThatCannotBeRead tells nothing of the request before it: in
// metrics and access logs that one's issuer would stand for this one's.
func TestFaultOfARequestThatCannotBeRead(t *testing.T) {
	c, err := config.Parse(scenario.Config())
	if err != nil {
		t.Fatal(err)
	}
	p := &plugin{}
	if p.gate, _, err = gate.New(c, gate.Options{Now: func() time.Time { return scenario.Now }}); err != nil {
		t.Fatal(err)
	}
	p.gate.Judge(&gate.Request{Headers: scenario.Request{Path: "/org1", Token: scenario.First().Token()}.Map()})
	s := &stream{plugin: p}
	if d := s.soFar(); d.Rule != nil || d.Issuer != nil || d.Place.Kind != "" {
		t.Errorf("before it is judged: rule %v, issuer %v, place %v", d.Rule, d.Issuer, d.Place)
	}
	s.phase = judged
	if d := s.soFar(); d.Rule == nil || d.Issuer == nil || d.Verdict != gate.Refuse {
		t.Errorf("when it is judged: rule %v, issuer %v, verdict %v", d.Rule, d.Issuer, d.Verdict)
	}
}
