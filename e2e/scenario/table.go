package scenario

import "strings"

// Config is the configuration of cases that name none: two organizations with
// a provider each, both using the same kid.
func Config() string {
	return Expand(`{
  "issuers": [
    {"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1", "organizationClaim": "org_id",
     "audiences": ["https://api.example"],
     "signatureValidation": {"jwks": {"inline": $FIRST}}},
    {"name": "idp2", "issuer": "https://idp2.example/realms/org2", "organization": "org2",
     "rolesClaim": "realm_access.roles",
     "claimMappings": [{"remoteClaim": "https://example.com/tier", "localClaim": "x-tier"}],
     "signatureValidation": {"jwks": {"inline": $SECOND}}}
  ],
  "organization": "org1",
  "rules": [
    {"name": "open", "match": {"pathPrefix": "/public"}, "public": true},
    {"name": "admin", "match": {"pathPrefix": "/org1/admin"}, "organization": "org1", "scopes": ["orders:write"]},
    {"name": "org1", "match": {"pathPrefix": "/org1"}, "organization": "org1"},
    {"name": "org2", "match": {"pathPrefix": "/org2"}, "organization": "org2"},
    {"name": "any", "match": {"pathPrefix": "/any"}, "organization": "*"},
    {"name": "maybe", "match": {"pathPrefix": "/maybe"}, "organization": "org1", "optional": true}
  ]
}`)
}

// Expand replaces the names of the signers' JWK Sets by the sets.
func Expand(config string) string {
	return strings.NewReplacer(
		"$FIRST", JWKS(First()),
		"$SECOND", JWKS(Second()),
		"$ROTATED", JWKS(Rotated()),
		"$BOTH", JWKS(First(), Rotated()),
	).Replace(config)
}

// twoIssuers is a configuration with an issuer for org1 and one for org2, and
// these members of the top level.
func twoIssuers(top string) string {
	return `{"issuers": [
		{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
			"signatureValidation": {"jwks": {"inline": $FIRST}}},
		{"name": "idp2", "issuer": "https://idp2.example/realms/org2", "organization": "org2",
			"signatureValidation": {"jwks": {"inline": $SECOND}}}],
		` + top + `}`
}

// What the table's verdicts have in common.
var (
	alice = map[string][]string{
		"x-wso2-organization": {"org1"}, "x-wso2-username": {"alice"}, "x-wso2-consumer-key": {"client-1"},
		"x-wso2-scopes": {"orders:read profile"}, "authorization": nil,
	}
	bob = map[string][]string{
		"x-wso2-organization": {"org2"}, "x-wso2-username": {"bob"}, "x-wso2-consumer-key": {"client-2"},
		"x-wso2-scopes": {"orders:read profile"}, "authorization": nil,
	}
	noIdentity = map[string][]string{"authorization": nil}

	missing = Want{Status: 401, Code: "900902", Reason: "missing",
		Response: map[string][]string{"www-authenticate": {`Bearer realm="orgate"`}}}
	foreign = Want{Status: 403, Code: "900908", Reason: "organization",
		Response: map[string][]string{"www-authenticate": nil}}
	noRule = Want{Status: 403, Code: "900908", Reason: "no_rule",
		Response: map[string][]string{"www-authenticate": nil}}
	badPath  = Want{Status: 400, Reason: "path"}
	isAlice  = Want{Status: 200, Reason: "ok", Upstream: alice}
	isBob    = Want{Status: 200, Reason: "ok", Upstream: bob}
	isPublic = Want{Status: 200, Reason: "public", Upstream: noIdentity}
)

// invalid is a 401 with "Invalid Credentials".
func invalid(reason string) Want { return Want{Status: 401, Code: "900901", Reason: reason} }

func get(path, token string, headers ...[2]string) Request {
	return Request{Path: path, Token: token, Headers: headers}
}

// Basics is the main job.
func Basics() []Case {
	good := First().Token()
	return []Case{
		{Name: "good token of org1", Request: get("/org1/orders", good), Want: isAlice},
		{Name: "good token of org2", Request: get("/org2", Second().Token(OfOrg2())), Want: isBob},
		{Name: "token of org2 on org1's API", Request: get("/org1/orders", Second().Token(OfOrg2())), Want: foreign},
		{Name: "token of org1 on org2's API", Request: get("/org2/orders", good), Want: foreign},
		{Name: "any organization", Request: get("/any", Second().Token(OfOrg2())), Want: isBob},
		{Name: "no rule matches", Request: get("/elsewhere", good), Want: noRule},
		{Name: "no rule matches, another organization", Request: get("/elsewhere", Second().Token(OfOrg2())),
			Want: noRule},
		{Name: "no rule matches, no token", Request: get("/elsewhere", ""), Want: noRule},
		{Name: "no rule matches, two tokens", Request: get("/elsewhere", good, [2]string{"authorization", "Bearer x"}),
			Want: noRule},
		{Name: "no rule matches, a forged token", Request: get("/elsewhere", Stranger().Token()), Want: noRule},
		{Name: "no rule matches, gRPC",
			Request: Request{Method: "POST", Path: "/elsewhere", Token: good,
				Headers: Headers{{"content-type", "application/grpc"}}},
			Want: Want{Status: 403, Reason: "no_rule", GRPC: 7}},
		{Name: "no rule matches, and one for another method would",
			Config:  ruled(`"match": {"path": "/org1", "methods": ["PUT"]}`),
			Request: get("/org1", good), Want: noRule},
		{Name: "no rules: the top level's organization", Config: twoIssuers(`"organization": "org1"`),
			Request: get("/elsewhere", good), Want: isAlice},
		{Name: "no rules: another organization", Config: twoIssuers(`"organization": "org1"`),
			Request: get("/", Second().Token(OfOrg2())), Want: foreign},
		{Name: "no rules: no token", Config: twoIssuers(`"organization": "org1"`), Request: get("/", ""),
			Want: missing},
		{Name: "a last rule without a match",
			Config: twoIssuers(`"organization": "org1", "rules": [{"match": {"path": "/a"}, "organization": ` +
				`"org2"}, {}]`),
			Request: get("/elsewhere", good), Want: isAlice},
		{Name: "an environment with issuers of one organization opens nothing", Request: get("/", good), Want: noRule,
			Config: strings.Replace(twoIssuers(`"environment": "prod", "rules": [{"match": {"path": "/a"}, `+
				`"organization": "org1"}]`),
				`"organization": "org2"`, `"organization": "org2", "environments": ["dev"]`, 1)},
		{Name: "no token", Request: get("/org1", ""), Want: missing},
		{Name: "other credentials", Request: get("/org1", "", [2]string{"authorization", "Basic YTpi"}), Want: missing},
		{Name: "an empty token", Request: get("/org1", "", [2]string{"authorization", "Bearer "}), Want: missing},
		{Name: "scheme in capitals", Request: get("/org1", "", [2]string{"authorization", "BEARER " + good}),
			Want: isAlice},
		{Name: "expired", Request: get("/org1", First().Token(Claims{"exp": Now.Unix() - 60})),
			Want: Want{Status: 401, Code: "900903", Reason: "expired"}},
		{Name: "expired within the skew", Request: get("/org1", First().Token(Claims{"exp": Now.Unix() - 59})),
			Want: isAlice},
		{Name: "not yet valid", Request: get("/org1", First().Token(Claims{"nbf": Now.Unix() + 61})),
			Want: invalid("not_yet_valid")},
		{Name: "not yet valid within the skew", Request: get("/org1", First().Token(Claims{"nbf": Now.Unix() + 60})),
			Want: isAlice},
		{Name: "no expiration", Request: get("/org1", First().Token(Claims{"exp": nil})), Want: invalid("claim")},
		{Name: "another audience", Request: get("/org1", First().Token(Claims{"aud": "https://other.example"})),
			Want: invalid("audience")},
		{Name: "no audience", Request: get("/org1", First().Token(Claims{"aud": nil})), Want: invalid("audience")},
		{Name: "unknown issuer", Request: get("/org1", First().Token(Claims{"iss": "https://idp1.example"})),
			Want: invalid("unknown_issuer")},
		{Name: "no issuer", Request: get("/org1", First().Token(Claims{"iss": nil})), Want: invalid("unknown_issuer")},
		{Name: "no username", Request: get("/org1", First().Token(Claims{"sub": nil})), Want: invalid("claim")},
		{Name: "no organization claim", Request: get("/org1", First().Token(Claims{"org_id": nil})),
			Want: invalid("claim")},
		{Name: "organization claim of another organization",
			Request: get("/org1", First().Token(Claims{"org_id": "org2"})), Want: foreign},
		{Name: "signed by the other provider under the same kid", Request: get("/org1", Second().Token()),
			Want: invalid("bad_signature")},
		{Name: "signed by a stranger under the same kid", Request: get("/org1", Stranger().Token()),
			Want: invalid("bad_signature")},
		{Name: "a forged token of another organization", Request: get("/org2", Stranger().Token()),
			Want: invalid("bad_signature")},
		{Name: "unknown kid", Request: get("/org1", Rotated().Token()), Want: invalid("unknown_key")},
		{Name: "alg none", Request: get("/org1", First().With(Claims{"alg": "none"})), Want: invalid("bad_algorithm")},
		{Name: "alg none, signature removed", Request: get("/org1", unsigned(First().With(Claims{"alg": "none"}))),
			Want: invalid("malformed")},
		{Name: "alg HS256", Request: get("/org1", First().With(Claims{"alg": "HS256"})),
			Want: invalid("bad_algorithm")},
		{Name: "scope missing", Request: get("/org1/admin", good),
			Want: Want{Status: 403, Code: "900910", Reason: "scope",
				Response: map[string][]string{"www-authenticate": {`Bearer realm="orgate", ` +
					`error="insufficient_scope", scope="orders:write"`}}}},
		{Name: "scope there", Request: get("/org1/admin", First().Token(Claims{"scope": "orders:write"})),
			Want: Want{Status: 200, Reason: "ok", Upstream: with(alice, "x-wso2-scopes", "orders:write")}},
		{Name: "public", Request: get("/public/a", ""), Want: isPublic},
		{Name: "public, with a bad token", Request: get("/public/a", "nonsense"), Want: isPublic},
		{Name: "public, with spoofed headers",
			Request: get("/public", "", [2]string{"x-wso2-organization", "org1"}, [2]string{"x-wso2-username", "root"}),
			Want:    isPublic},
		{Name: "spoofed organization", Request: get("/org1", good, [2]string{"x-wso2-organization", "org2"}),
			Want: isAlice},
		{Name: "spoofed organization, twice",
			Request: get("/org1", good, [2]string{"x-wso2-organization", "org2"},
				[2]string{"x-wso2-organization", "org3"}), Want: isAlice},
		{Name: "spoofed report", Request: get("/org1", good, [2]string{"x-orgate-report", "none"}), Want: isAlice},
		{
			Name: "two tokens", Request: get("/org1", good,
				[2]string{"authorization", "Bearer " + First().Token(Claims{"jti": "2"})}),
			Want: invalid("several_tokens")},
		{Name: "one token twice", Request: get("/org1", good, [2]string{"authorization", "Bearer " + good}),
			Want: isAlice},
		{Name: "two tokens in one header", Request: get("/org1", good+", Bearer "+good), Want: invalid("malformed")},
		{Name: "optional: none", Request: get("/maybe", ""), Want: isPublic},
		{Name: "optional: a good one", Request: get("/maybe", good), Want: isAlice},
		{Name: "optional: a bad one", Request: get("/maybe", "nonsense"), Want: invalid("opaque")},
		{Name: "preflight", Request: Request{Method: "OPTIONS", Path: "/org1", Headers: Headers{
			{"origin", "https://app.example"}, {"access-control-request-method", "POST"}, {"x-wso2-username", "root"}}},
			Want: isPublic},
		{Name: "OPTIONS that is no preflight", Request: Request{Method: "OPTIONS", Path: "/org1"}, Want: missing},
		{Name: "dot segments", Request: get("/public/../org1", ""), Want: badPath},
		{Name: "HEAD", Request: Request{Method: "HEAD", Path: "/org1"},
			Want: Want{Status: 401, Reason: "missing", Body: new(string)}},
		{Name: "gRPC without a token",
			Request: Request{Method: "POST", Path: "/org1",
				Headers: Headers{{"content-type", "application/grpc+proto"}}},
			Want: Want{Status: 401, Reason: "missing", GRPC: 16}},
	}
}

// unsigned empties a token's signature.
func unsigned(token string) string { return token[:strings.LastIndexByte(token, '.')+1] }

// with changes one header of a verdict.
func with(headers map[string][]string, name string, values ...string) map[string][]string {
	changed := map[string][]string{name: values}
	for n, v := range headers {
		if n != name {
			changed[n] = v
		}
	}
	return changed
}
