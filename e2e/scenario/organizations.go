package scenario

import (
	"fmt"
	"strings"

	"orgate/e2e/scenario/grid"
)

// idp1 is the "iss" of those kinds of issuers that are not of many tenants.
const idp1 = "https://idp1.example/"

// Organizations is every cell of the grid of organizations. What is asked for once
// with a JWT from each source is asked for with other tokens from one of each kind.
func Organizations() []Case {
	var cases []Case
	for _, kind := range grid.Issuers {
		keys := gridConfig(kind, `"signatureValidation": {"jwks": {"inline": $FIRST}}`)
		asked := gridConfig(kind, `"tokenHandling": {"kind": "REFERENCE", "pattern": "op_[a-z0-9]+"},
			"introspection": {"url": "https://idp1.example/introspect", "cluster": "idp1"}`)
		for n, token := range grid.Tokens {
			members, claims := token.Members(kind), Claims{"iss": token.Iss(kind, idp1)}
			jwt, bound := First().Raw(members, claims), First().Raw(members, claims, boundTo("cert"))
			answer := payload(members, claims, Claims{"active": true})
			kinds := map[grid.Kind]bool{}
			for s, source := range grid.Sources {
				want := gridWant(kind, kind.Verdicts[n].Of(source.Kind))
				add := func(evidence, config string, r Request, want Want) {
					r.Method, r.Host, r.Path = gridMethod(s), grid.Host, grid.Path
					r.RouteMetadata = map[[2]string]string{{"orgate", "organization"}: "org1"}
					cases = append(cases, Case{
						Name:   fmt.Sprintf("grid: %s/%s/%s%s", kind.Title, token.Title, source.Title, evidence),
						Config: config, Request: r, Want: want,
					})
				}
				add("", keys, Request{Token: jwt}, want)
				if kinds[source.Kind] {
					continue
				}
				kinds[source.Kind] = true
				add("/opaque", asked, asking(opaque, answer), want)
				add("/bound", keys, Request{Token: bound, Certificate: "cert"}, want)
				if want.Status != 401 {
					add("/bound to another certificate", keys, Request{Token: bound, Certificate: "other"},
						invalid("binding"))
				}
			}
		}
	}
	return cases
}

func gridWant(kind grid.Issuer, verdict string) Want {
	switch {
	case verdict == grid.Forbidden:
		return foreign
	case verdict == grid.Invalid && kind.Tenants():
		return invalid("unknown_issuer")
	case verdict == grid.Invalid:
		return invalid("claim")
	}
	organization := strings.Trim(strings.TrimPrefix(verdict, "passes as "), "`")
	return Want{Status: 200, Reason: "ok", Upstream: with(alice, "x-wso2-organization", organization)}
}

// gridMethod is the method of requests to the rule with a source.
func gridMethod(source int) string { return fmt.Sprintf("SOURCE-%d", source) }

// gridConfig has a rule for each source, so that one configuration does for all. The
// evidence is what the issuers have of it, as members.
func gridConfig(kind grid.Issuer, evidence string) string {
	var issuers, rules []string
	for _, e := range kind.Entries {
		issuers = append(issuers, e.JSON(idp1, evidence))
	}
	top := ""
	for s, source := range grid.Sources {
		rule := fmt.Sprintf(`"match": {"methods": [%q]}`, gridMethod(s))
		if source.Rule != "" {
			rule += `, "organization": ` + source.Rule
		} else {
			top = source.Top
		}
		rules = append(rules, "{"+rule+"}")
	}
	return `{"issuers": [` + strings.Join(issuers, ", ") + `], "rules": [` + strings.Join(rules, ", ") +
		`], "organization": ` + top + `}`
}
