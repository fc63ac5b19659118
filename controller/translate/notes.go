package translate

import (
	"encoding/json"
	"fmt"
	"strings"

	"orgate/admin/advice"
)

// mostNotes is how many notes are given: they go into a condition.
const mostNotes = 20

// notes are what is worth a look: what has no effect, and the warnings of "orgate
// check", each once.
func (p *Policy) notes(base map[string]json.RawMessage, all []*candidate) []string {
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	known, there := map[string]bool{}, map[string]bool{}
	for _, c := range all {
		known[c.Issuer.Issuer] = true
	}
	list := used(all)
	for _, c := range list {
		there[c.use.name] = true
	}
	for i, s := range p.Spec.IssuerSettings {
		for _, issuer := range s.Issuers {
			if !known[issuer] {
				note("issuerSettings[%d]: no TokenIssuer has the issuer %q", i, issuer)
			}
		}
	}
	for _, name := range named(base["rules"]) {
		if !there[name] {
			note("configuration.rules: no TokenIssuer %q is used (NAMESPACE/NAME), so nobody's tokens are those of it", name)
		}
	}
	first, more := map[string]string{}, map[string]int{}
	var codes []string
	for _, w := range advice.Read(p.document(base, complete(base, entries(list)))).Warnings {
		at, message := w.Path, w.Message
		var i int
		if _, err := fmt.Sscanf(at, "issuers[%d]", &i); err == nil {
			if i >= len(list) {
				continue // nobody's
			}
			at = list[i].use.name + strings.TrimPrefix(at, fmt.Sprintf("issuers[%d]", i))
		} else if at != "" {
			at = "configuration." + at
		}
		if first[w.Code] == "" {
			codes = append(codes, w.Code)
			first[w.Code] = strings.TrimPrefix(at+": "+message, ": ")
			continue
		}
		more[w.Code]++
	}
	for _, code := range codes {
		if n := more[code]; n > 0 {
			note("%s (and %d more)", first[code], n)
		} else {
			note("%s", first[code])
		}
	}
	if n := len(notes) - mostNotes; n > 0 {
		notes = append(notes[:mostNotes], fmt.Sprintf("and %d more", n))
	}
	return notes
}
