package policy

import (
	"fmt"
	"testing"
)

// TestAsked: of providers whose patterns match it is the first that the rule allows,
// and a pattern that many have is matched once.
func TestAsked(t *testing.T) {
	var issuers []string
	for n, pattern := range []string{"x.+", "x[0-9]+", "x.+", "[a-z]+"} {
		issuers = append(issuers, object(fmt.Sprintf(`"name": "%d", "issuer": "https://%[1]d/", "organization": "org1",
			"tokenHandling": {"kind": "REFERENCE", "pattern": %q},
			"introspection": {"url": "https://%[1]d/", "cluster": "c"}`, n, pattern)))
	}
	var rules []string
	for _, allowed := range []string{`["2", "1", "0"]`, `["2", "1"]`, `["2"]`, `["3", "2"]`} {
		rules = append(rules, `{"issuers": `+allowed+`}`)
	}
	p := policyOf(t, issuers, rules)
	if len(p.patterns) != 3 {
		t.Errorf("%d patterns are matched, want 3", len(p.patterns))
	}
	for token, want := range map[string][4]string{
		"x1": {"0", "1", "2", "2"}, "xx": {"0", "2", "2", "2"}, "x": {"", "", "", "3"}, "y1": {},
	} {
		var got [4]string
		for n, r := range p.rules {
			if v := p.Asked(r, token, nil); v != nil {
				got[n] = v.Config.Name
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", token, got, want)
		}
	}
}
