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

// tenantAttacks are tokens that try to be another tenant's, or no one's.
func tenantAttacks() []Case {
	first, second, unknown, badSignature := First(), Second(), invalid("unknown_issuer"), invalid("bad_signature")
	of := func(organization string) Want {
		return passing(map[string][]string{"x-wso2-organization": {organization}})
	}
	direct := manyTenants(`"organization": "*", "organizationClaim": "tid"`)
	mapped := manyTenants(`"organization": "*", "organizationClaim": "tid", "organizationMapping": {"t-1": "org1"}`)
	iss := func(iss string) Claims { return Claims{"iss": iss, "tid": "org1"} }
	var cases []Case
	for name, c := range ordered(map[string]struct {
		token string
		want  Want
	}{
		"as it should be":             {first.Token(ofTenant("org1")), isAlice},
		"a dot":                       {first.Token(ofTenant("a.b")), of("a.b")},
		"a slash":                     {first.Token(ofTenant("org1/v2.0")), unknown},
		"a slash, encoded":            {first.Token(ofTenant("org1%2fv2.0")), unknown},
		"a backslash":                 {first.Token(ofTenant(`org1\v2.0`)), unknown},
		"a query":                     {first.Token(ofTenant("org1?")), unknown},
		"a fragment":                  {first.Token(ofTenant("org1#")), unknown},
		"an at sign":                  {first.Token(ofTenant("org1@evil.example")), unknown},
		"empty":                       {first.Token(ofTenant("")), unknown},
		"a blank":                     {first.Token(ofTenant(" org1")), unknown},
		"a NUL":                       {first.Token(ofTenant("org1\x00")), unknown},
		"a line end":                  {first.Token(ofTenant("org1\n")), unknown},
		"a comma":                     {first.Token(ofTenant("org1,org2")), unknown},
		"a letter that looks alike":   {first.Token(ofTenant("\u043erg1")), unknown},
		"any":                         {first.Token(ofTenant("*")), unknown},
		"the placeholder of the keys": {first.Token(ofTenant("{tenantid}")), unknown},
		"a number":                    {first.Token(ofTenant("7"), Claims{"tid": 7}), unknown},
		"true":                        {first.Token(ofTenant("true"), Claims{"tid": true}), unknown},
		"an array":                    {first.Token(ofTenant("org1"), Claims{"tid": []string{"org1"}}), unknown},
		"an object":                   {first.Token(ofTenant("org1"), Claims{"tid": Claims{"org1": 1}}), unknown},
		"null": {first.Raw(`"tid":null`, iss("https://login.example/null/v2.0"), Claims{"tid": nil}),
			unknown},
		"twice":                       {first.Raw(`"tid":"org2"`, ofTenant("org1")), invalid("malformed")},
		"twice, once escaped":         {first.Raw(`"t\u0069d":"org2"`, ofTenant("org1")), invalid("malformed")},
		"under another case":          {first.Token(ofTenant("org1"), Claims{"tid": nil, "TID": "org1"}), unknown},
		"in another case than in iss": {first.Token(ofTenant("org1"), Claims{"tid": "ORG1"}), unknown},
		"of another than iss":         {first.Token(ofTenant("org2"), Claims{"tid": "org1"}), unknown},
		"a beginning of that in iss":  {first.Token(iss("https://login.example/org12/v2.0")), unknown},
		"an end of that in iss":       {first.Token(iss("https://login.example/xorg1/v2.0")), unknown},
		"iss with a slash more":       {first.Token(iss("https://login.example/org1/v2.0/")), unknown},
		"iss of another version":      {first.Token(iss("https://login.example/org1/v1.0")), unknown},
		"iss broken off":              {first.Token(iss("https://login.example/org1")), unknown},
		"iss with the tenant twice":   {first.Token(iss("https://login.example/org1/org1/v2.0")), unknown},
		"iss of another host":         {first.Token(iss("https://login.example.evil/org1/v2.0")), unknown},
		"iss without TLS":             {first.Token(iss("http://login.example/org1/v2.0")), unknown},
		"by a stranger":               {Stranger().Token(ofTenant("org1")), badSignature},
	}) {
		cases = append(cases, Case{Name: "tenant: " + name, Config: direct, Request: get("/any", c.token),
			Want: c.want})
	}
	for _, tenant := range []string{"T-1", "t-1.", "org1", "t-"} {
		cases = append(cases, Case{Name: "tenant: mapped, " + tenant, Config: mapped,
			Request: get("/any", first.Token(ofTenant(tenant))), Want: foreign})
	}

	// Keys with one kid that say whose tokens they verify.
	key := func(s *Signer, issuer string) string {
		return strings.TrimSuffix(s.JWK(), "}") + `,"issuer":` + issuer + `}`
	}
	config := func(issuer string, keys ...string) string {
		return `{"issuers": [{"name": "entra", "issuer": "` + issuer + `", "organization": "*",
			"organizationClaim": "tid", "signatureValidation": {"jwks": {"inline": {"keys": [` +
			strings.Join(keys, ",") + `]}}}}], "organization": "*"}`
	}
	const usual = "https://login.example/{tid}/v2.0"
	ofEach := config(usual, key(first, `"https://login.example/org1/v2.0"`),
		key(second, `"https://login.example/org2/v2.0"`))
	rotated := Rotated().JWK()
	for name, c := range ordered(map[string]struct {
		config, token string
		want          Want
	}{
		"its own":                       {ofEach, first.Token(ofTenant("org1")), isAlice},
		"its own, the second":           {ofEach, second.Token(ofTenant("org2")), of("org2")},
		"the other tenant's":            {ofEach, second.Token(ofTenant("org1")), badSignature},
		"the other tenant's, the first": {ofEach, first.Token(ofTenant("org2")), badSignature},
		"a third tenant's":              {ofEach, first.Token(ofTenant("org3")), invalid("unknown_key")},
		"of another provider": {config(usual, key(first, `"https://evil.example/{tenantid}/v2.0"`), rotated),
			first.Token(ofTenant("org1")), invalid("unknown_key")},
		"of an issuer that is a number": {config(usual, key(first, `7`), rotated), first.Token(ofTenant("org1")),
			invalid("unknown_key")},
		"of an issuer in an array": {config(usual, key(first, `["https://login.example/org1/v2.0"]`), rotated),
			first.Token(ofTenant("org1")), invalid("unknown_key")},
		"of an issuer in another case": {config(usual, key(first, `"https://login.example/ORG1/v2.0"`), rotated),
			first.Token(ofTenant("org1")), invalid("unknown_key")},
		"of no issuer": {config(usual, key(first, `""`), rotated), first.Token(ofTenant("org1")), isAlice},
		"two placeholders": {config("https://{tid}.example/{tid}/", first.JWK()),
			first.Token(Claims{"iss": "https://org1.example/org1/", "tid": "org1"}), isAlice},
		"two placeholders, two tenants": {config("https://{tid}.example/{tid}/", first.JWK()),
			first.Token(Claims{"iss": "https://org2.example/org1/", "tid": "org1"}), unknown},
		"two placeholders, the other way": {config("https://{tid}.example/{tid}/", first.JWK()),
			first.Token(Claims{"iss": "https://org1.example/org2/", "tid": "org1"}), unknown},
	}) {
		cases = append(cases, Case{Name: "tenant's key: " + name, Config: c.config, Request: get("/", c.token),
			Want: c.want})
	}

	// One tenant has an issuer of its own, with keys of its own; and two issuers
	// of many tenants fit the tenant "v2.0".
	entry := func(name, issuer, members, keys string) string {
		return `{"name": "` + name + `", "issuer": "` + issuer + `", ` + members +
			`, "signatureValidation": {"jwks": {"inline": ` + keys + `}}}`
	}
	const many = `"organization": "*", "organizationClaim": "tid"`
	beside := `{"issuers": [` + entry("all", usual, many, "$FIRST") + "," +
		entry("own", "https://login.example/org1/v2.0", `"organization": "org1"`, "$SECOND") + "," +
		entry("other", "https://login.example/v2.0/{tid}", many, "$FIRST") + `], "organization": "*"}`
	for name, c := range ordered(map[string]struct {
		token string
		want  Want
	}{
		"its keys":                       {second.Token(ofTenant("org1")), isAlice},
		"everybody's keys":               {first.Token(ofTenant("org1")), badSignature},
		"its keys, of another tenant":    {second.Token(ofTenant("org2")), badSignature},
		"its keys, and another's tid":    {second.Token(ofTenant("org1"), Claims{"tid": "org2"}), isAlice},
		"another tenant":                 {first.Token(ofTenant("org2")), of("org2")},
		"a tenant that fits two issuers": {first.Token(ofTenant("v2.0")), unknown},
	}) {
		cases = append(cases, Case{Name: "tenant with an issuer of its own: " + name, Config: beside,
			Request: get("/", c.token), Want: c.want})
	}
	// What the provider says of opaque tokens is of a tenant as well.
	told := strings.Replace(reference(`, "organizationClaim": "tid"`), idp1+`"`, usual+`"`, 1)
	for name, c := range ordered(map[string]struct {
		claims Claims
		want   Want
	}{
		"as it should be":    {ofTenant("org1"), isAlice},
		"another than iss":   {Claims{"iss": "https://login.example/org2/v2.0", "tid": "org1"}, unknown},
		"none":               {Claims{"iss": "https://login.example/org1/v2.0"}, unknown},
		"a number":           {Claims{"iss": "https://login.example/7/v2.0", "tid": 7}, unknown},
		"the placeholder":    {ofTenant("{tid}"), unknown},
		"no iss":             {Claims{"iss": nil, "tid": "org1"}, isAlice},
		"no iss, another":    {Claims{"iss": nil, "tid": "org2"}, foreign},
		"no iss, and no tid": {Claims{"iss": nil}, invalid("claim")},
		"a slash":            {ofTenant("org1/v2.0"), unknown},
	}) {
		cases = append(cases, Case{Name: "tenant, as the provider says: " + name, Config: told,
			Request: asking(opaque, said(c.claims)), Want: c.want})
	}
	return cases
}
