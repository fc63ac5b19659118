package scenario

import (
	"fmt"
	"strings"

	"orgate/e2e/scenario/grid"
)

// Organizations is every cell of the grid of organizations.
func Organizations() []Case {
	var cases []Case
	for _, kind := range grid.Issuers {
		config := gridConfig(kind)
		for n, token := range grid.Tokens {
			signed := First().Token(Claims{"org": nil})
			if members := token.Members(kind); members != "" {
				signed = First().Raw(members)
			}
			for s, source := range grid.Sources {
				cases = append(cases, Case{
					Name:   fmt.Sprintf("grid: %s/%s/%s", kind.Title, token.Title, source.Title),
					Config: config,
					Request: Request{Method: gridMethod(s), Host: grid.Host, Path: grid.Path, Token: signed,
						RouteMetadata: map[[2]string]string{{"orgate", "organization"}: "org1"}},
					Want: gridWant(kind.Verdicts[n].Of(source.Kind)),
				})
			}
		}
	}
	return cases
}

func gridWant(verdict string) Want {
	switch verdict {
	case grid.Forbidden:
		return foreign
	case grid.Invalid:
		return invalid("claim")
	}
	organization := strings.Trim(strings.TrimPrefix(verdict, "passes as "), "`")
	return Want{Status: 200, Reason: "ok", Upstream: with(alice, "x-wso2-organization", organization)}
}

// gridMethod is the method of requests to the rule with a source.
func gridMethod(source int) string { return fmt.Sprintf("SOURCE-%d", source) }

// gridConfig has a rule for each source, so that one configuration does for all.
func gridConfig(kind grid.Issuer) string {
	var issuers, rules []string
	for _, e := range kind.Entries {
		issuers = append(issuers,
			e.JSON("https://idp1.example/", `"signatureValidation": {"jwks": {"inline": $FIRST}}`))
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
