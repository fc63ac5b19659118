package scenario

import (
	"fmt"
	"strings"

	"orgate/config"
	"orgate/e2e/scenario/grid"
)

// Organizations is every cell of the grid of organizations that a configuration
// can have.
func Organizations() []Case {
	var cases []Case
	for _, kind := range grid.Issuers {
		if kind.Refused() {
			continue
		}
		for n, token := range grid.Tokens {
			signed := First().Token(Claims{"org": nil})
			claim := token.Claim
			if kind.Mapped {
				claim = token.Mapped
			}
			if claim != "" {
				signed = First().Raw(`"org":` + claim)
			}
			for s, source := range grid.Sources {
				cases = append(cases, Case{
					// Several sources have the same title.
					Name:   fmt.Sprintf("grid: %s/%s/%s (%d)", kind.Title, token.Title, source.Title, s),
					Config: gridConfig(kind, source),
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

// gridConfig has a rule for each source, so that one configuration does for
// all; only where the top level names no organization it is another. In that
// one, requests match no rule, and the issuers differ: else theirs would be
// required.
func gridConfig(kind grid.Issuer, source grid.Source) string {
	const keys = `"signatureValidation": {"jwks": {"inline": $FIRST}}`
	var issuers, rules []string
	for _, e := range kind.Entries {
		issuers = append(issuers, gridIssuer(e, keys))
	}
	if source.Rule.IsZero() && source.Top.IsZero() {
		issuers = append(issuers, `{"name": "z", "issuer": "https://z.example/", "organization": "z", `+keys+`}`)
		return `{"issuers": [` + strings.Join(issuers, ",") + `], "rules": [{"match": {"methods": ["GET"]}, "organization": "org1"}]}`
	}
	for s, source := range grid.Sources {
		rule := fmt.Sprintf(`"match": {"methods": [%q]}`, gridMethod(s))
		if !source.Rule.IsZero() {
			rule += `, "organization": ` + organizationJSON(source.Rule)
		}
		rules = append(rules, "{"+rule+"}")
	}
	return `{"issuers": [` + strings.Join(issuers, ",") + `], "rules": [` + strings.Join(rules, ",") + `], "organization": "org1"}`
}

func gridIssuer(e grid.Entry, keys string) string {
	issuer := fmt.Sprintf(`"name": %q, "issuer": "https://idp1.example/", "organization": %q, %s`, e.Name, e.Organization, keys)
	if e.Claim {
		issuer += `, "organizationClaim": "org"`
	}
	if e.OrIssuer {
		issuer += `, "missingOrganization": "issuer"`
	}
	if e.Shared {
		issuer += `, "sharedAcrossOrganizations": true`
	}
	if len(e.Mapping) > 0 {
		issuer += `, "organizationMapping": ` + encode(e.Mapping)
	}
	return "{" + issuer + "}"
}

func organizationJSON(o config.Organization) string {
	switch {
	case o.FromHost != "":
		return encode(map[string]string{"fromHost": o.FromHost})
	case o.FromPath != "":
		return encode(map[string]string{"fromPath": o.FromPath})
	case o.FromRouteMetadata != "":
		return encode(map[string]string{"fromRouteMetadata": o.FromRouteMetadata})
	}
	return encode(o.Literal)
}
