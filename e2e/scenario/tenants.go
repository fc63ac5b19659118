package scenario

import "strings"

// manyTenants is a configuration with one provider of many tenants, whose keys are
// those of the signers: the first's are any tenant's, and the second's are tenant
// t-2's alone.
func manyTenants(members string) string {
	keyOf := func(s *Signer, issuer string) string {
		return strings.TrimSuffix(s.JWK(), "}") + `,"issuer":"` + issuer + `"}`
	}
	return `{"issuers": [{"name": "entra", "issuer": "https://login.example/{tid}/v2.0", ` + members + `,
		"signatureValidation": {"jwks": {"inline": {"keys": [` + keyOf(First(), "https://login.example/{tenantid}/v2.0") +
		`, ` + keyOf(Rotated(), "https://login.example/t-2/v2.0") + `]}}}}],
		"rules": [{"match": {"pathPrefix": "/any"}, "organization": "*"}, {"organization": "org1"}]}`
}

// ofTenant is the claims of a tenant's token.
func ofTenant(tenant string) Claims {
	return Claims{"iss": "https://login.example/" + tenant + "/v2.0", "tid": tenant}
}

func tenantFields() []Case {
	const issuer, claim = "issuers[].issuer", "issuers[].organizationClaim"
	mapped := manyTenants(`"organization": "*", "organizationClaim": "tid", "organizationMapping": {"t-1": "org1", "t-2": "org2"}`)
	bound := manyTenants(`"organization": "org1", "organizationClaim": "tid", "organizationMapping": {"t-1": "org1"}`)
	direct := manyTenants(`"organization": "*", "organizationClaim": "tid"`)
	of := func(organization string) Want {
		return passing(map[string][]string{"x-wso2-organization": {organization}})
	}
	other := map[string]string{issuer: `"https://login.example/t-9/v2.0"`}
	unknown, first, rotated := invalid("unknown_issuer"), First(), Rotated()
	return []Case{
		{Name: "a tenant, mapped", Config: mapped, Request: get("/", first.Token(ofTenant("t-1"))), Want: isAlice,
			Fields: []string{issuer, "issuers[].organizationMapping"}, Instead: other},
		{Name: "another tenant, mapped", Config: mapped, Request: get("/", first.Token(ofTenant("t-2"))), Want: foreign,
			Fields: []string{issuer}, Instead: other},
		{Name: "another tenant, mapped, where any will do", Config: mapped,
			Request: get("/any", first.Token(ofTenant("t-2"))), Want: of("org2"), Fields: []string{issuer},
			Instead: other},
		{Name: "a tenant that is not mapped", Config: mapped, Request: get("/any", first.Token(ofTenant("t-3"))),
			Want: foreign, Fields: []string{issuer}, Instead: other},
		{Name: "a tenant that has the name of an organization, not mapped", Config: mapped,
			Request: get("/", first.Token(ofTenant("org1"))), Want: foreign},
		{Name: "the tenant that the issuer is bound to", Config: bound, Request: get("/", first.Token(ofTenant("t-1"))),
			Want: isAlice, Fields: []string{issuer, claim},
			Instead: map[string]string{issuer: other[issuer], claim: `"sub"`}},
		{Name: "a tenant that the issuer is not bound to", Config: bound,
			Request: get("/any", first.Token(ofTenant("t-2"))),
			Want:    foreign},
		{Name: "the tenant is the organization", Config: direct, Request: get("/", first.Token(ofTenant("org1"))),
			Want: isAlice, Fields: []string{issuer}, Instead: other},
		{Name: "the tenant is another organization", Config: direct, Request: get("/", first.Token(ofTenant("org2"))),
			Want: foreign, Fields: []string{issuer}, Instead: other},
		{Name: "a tenant in another one's name", Config: mapped, Want: unknown,
			Request: get("/", first.Token(ofTenant("t-2"), Claims{"tid": "t-1"}))},
		{Name: "a tenant that does not say so", Config: mapped, Want: unknown,
			Request: get("/", first.Token(ofTenant("t-1"), Claims{"tid": nil}))},
		{Name: "the placeholder as the tenant", Config: direct, Want: unknown,
			Request: get("/any", first.Token(ofTenant("{tid}")))},
		{Name: "a tenant with a slash", Config: direct, Want: unknown,
			Request: get("/any", first.Token(ofTenant("org1/x")))},
		{Name: "a key of this tenant alone", Config: mapped, Request: get("/any", rotated.Token(ofTenant("t-2"))),
			Want: of("org2"), Fields: []string{issuer}, Instead: other},
		{Name: "a key of another tenant", Config: mapped, Request: get("/", rotated.Token(ofTenant("t-1"))),
			Want: invalid("unknown_key")},
		{Name: "a key of another tenant, no kid", Config: mapped, Want: invalid("bad_signature"),
			Request: get("/", rotated.With(Claims{"kid": nil}, ofTenant("t-1")))},
	}
}
