package policy

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"orgate/config"
	"orgate/jwt"
)

const iss = "https://idp.example.com/"

// parse reads a configuration. Tests have no other way to make one.
func parse(t testing.TB, document string) *config.Config {
	t.Helper()
	c, err := config.Parse(document)
	if err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	return c
}

// policyOf returns the policy of a configuration with these issuers and rules,
// and members of the top level, all of them JSON.
func policyOf(t testing.TB, issuers, rules []string, top ...string) *Policy {
	t.Helper()
	lists := []string{
		`"issuers": [` + strings.Join(issuers, ", ") + `]`,
		`"rules": [` + strings.Join(rules, ", ") + `]`,
	}
	return New(parse(t, "{"+strings.Join(append(lists, top...), ", ")+"}"))
}

// ruled returns a policy with these rules and one issuer for org1, whose
// organization rules require that name none.
func ruled(t testing.TB, rules ...string) *Policy {
	t.Helper()
	return policyOf(t, []string{issuer("idp", "org1")}, rules)
}

// issuer returns an issuer as JSON, with further members or others.
func issuer(name, organization string, members ...string) string {
	return object(append([]string{
		`"name": ` + quote(name), `"issuer": ` + quote(iss), `"organization": ` + quote(organization),
		`"signatureValidation": {"jwks": {"inline": {"keys": []}}}`,
	}, members...)...)
}

// object returns a JSON object of members, the last of those that are of one name.
func object(members ...string) string {
	all := map[string]json.RawMessage{}
	for _, m := range members {
		if err := json.Unmarshal([]byte("{"+m+"}"), &all); err != nil {
			panic(err.Error() + ": " + m)
		}
	}
	return marshal(all)
}

const (
	byClaim  = `"organizationClaim": "org"`
	orIssuer = `"missingOrganization": "issuer"`
	shared   = `"sharedAcrossOrganizations": true`
	// anyone is a top level's organization.
	anyone = `"organization": "*"`
)

func by(claim string) string { return `"organizationClaim": ` + quote(claim) }

func of(iss string) string { return `"issuer": ` + quote(iss) }

func mapping(m map[string]string) string { return `"organizationMapping": ` + marshal(m) }

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func quote(s string) string { return marshal(s) }

// claimsOf returns the claims of an unsigned token of [iss] with these members.
func claimsOf(t testing.TB, members string) jwt.Claims {
	t.Helper()
	if members != "" {
		members = ", " + members
	}
	return payloadClaims(t, `{"iss": `+quote(iss)+members+`}`)
}

func payloadClaims(t testing.TB, payload string) jwt.Claims {
	t.Helper()
	claims, err := parseClaims(payload)
	if err != nil {
		t.Fatalf("payload %s: %v", payload, err)
	}
	return claims
}

func parseClaims(payload string) (jwt.Claims, error) {
	encode := base64.RawURLEncoding.EncodeToString
	token, err := jwt.Parse(encode([]byte(`{"alg":"RS256"}`))+"."+encode([]byte(payload))+".AAAA", 1<<20)
	if err != nil {
		return jwt.Claims{}, err
	}
	return token.Claims, nil
}

// judged is what becomes of a token where a rule requires an organization: the
// issuer that it is judged by, who it speaks for, and why it is refused.
func judged(t testing.TB, p *Policy, r *Rule, required string, claims jwt.Claims) (*Issuer, *Identity, error) {
	t.Helper()
	proof, err := p.Proof(claims)
	if err != nil {
		return nil, nil, err
	}
	i, err := proof.Issuer(r, required)
	if err != nil {
		return nil, nil, err
	}
	id, err := i.Identify(claims)
	if err != nil {
		return i, nil, err
	}
	return i, id, r.Authorize(required, i, id)
}

// identified is who a token speaks for, to the only issuer with its "iss".
func identified(t testing.TB, p *Policy, claims jwt.Claims) (*Issuer, *Identity) {
	t.Helper()
	i := p.groups[claims.Issuer()].issuers[0]
	id, err := i.Identify(claims)
	if err != nil {
		t.Fatal(err)
	}
	return i, id
}
