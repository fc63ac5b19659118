package scenario

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"maps"
	"strings"
)

// Refused in [Case.Instead] says that the configuration is refused without the
// field, which is all that the field is for.
const Refused = "refused"

// issued is a configuration with one issuer, whose keys are the first signer's.
// The members given, each with a comma before it, are the issuer's and the top
// level's.
func issued(issuer string, top ...string) string {
	return `{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"signatureValidation": {"jwks": {"inline": $FIRST}}` + issuer + `}]` + strings.Join(top, "") + `}`
}

// ruled is a configuration with one rule.
func ruled(rule string) string {
	return issued(`, "organizationClaim": "org_id", "rolesClaim": "roles", "audiences": ["https://api.example"]`,
		`, "rules": [{`+rule+`}]`)
}

// Fields are cases in which one field of the configuration makes the
// difference.
func Fields() []Case {
	var cases []Case
	for _, group := range [][]Case{
		sourceFields(), headerFields(), errorFields(), issuerFields(), keyFields(), claimFields(), mappingFields(),
		listFields(), reportFields(), ruleFields(), organizationFields(), pathFields(), tenantFields(), bindingFields(),
		opaqueFields(),
	} {
		for _, c := range group {
			c.Name = "field: " + c.Name
			cases = append(cases, c)
		}
	}
	return cases
}

// passing is [isAlice] with further headers, or other ones.
func passing(headers map[string][]string) Want {
	upstream := map[string][]string{}
	for _, h := range []map[string][]string{alice, headers} {
		for name, values := range h {
			upstream[name] = values
		}
	}
	return Want{Status: 200, Reason: "ok", Upstream: upstream}
}

func sourceFields() []Case {
	good := First().Token()
	custom := issued("", `, "tokenSources": {"headers": [{"name": "X-Access", "prefix": "Token "}]}`)
	from := issued("", `, "tokenSources": {"headers": [], "query": ["access_token"], "cookies": ["session"]}`)
	keeps := issued("", `, "forwardToken": true, "tokenSources": {"query": ["access_token"], "cookies": ["session"]}`)
	query := "/a?x=%20y&access_token=" + good + "&z=+&&"
	cookie := `a="b c"; session=` + good + `;  d=e`
	return []Case{
		{Name: "token in another header", Config: custom, Request: get("/", "", [2]string{"x-access", "token " + good}),
			Want:    passing(map[string][]string{"x-access": nil}),
			Fields:  []string{"tokenSources.headers", "tokenSources.headers[].name", "tokenSources.headers[].prefix"},
			Instead: map[string]string{"tokenSources.headers[].name": `"x-other"`}},
		{Name: "token in the usual header, which is not named", Config: custom, Request: get("/", good), Want: missing,
			Fields: []string{"tokenSources.headers"}},
		{Name: "no header, although there is a token", Config: from, Request: get("/", good), Want: missing,
			Fields: []string{"tokenSources.headers"}},
		{Name: "token in the query, taken out", Config: from, Request: get(query, ""),
			Want: passing(map[string][]string{":path": {"/a?x=%20y&z=+&&"}}), Fields: []string{"tokenSources.query"}},
		{Name: "token in a cookie, taken out", Config: from, Request: get("/", "", [2]string{"cookie", cookie}),
			Want: passing(map[string][]string{"cookie": {`a="b c";  d=e`}}), Fields: []string{"tokenSources.cookies"}},
		{Name: "token in the query, kept", Config: keeps, Request: get(query, ""),
			Want:   passing(map[string][]string{":path": {query}}),
			Fields: []string{"forwardToken", "tokenSources.query"}},
		{Name: "token in a cookie, kept", Config: keeps, Request: get("/", "", [2]string{"cookie", cookie}),
			Want:   passing(map[string][]string{"cookie": {cookie}}),
			Fields: []string{"forwardToken", "tokenSources.cookies"}},
		{Name: "token in the header, kept", Config: keeps, Request: get("/", good),
			Want: passing(map[string][]string{"authorization": {"Bearer " + good}}), Fields: []string{"forwardToken"}},
		{Name: "payload forwarded", Config: issued("", `, "forwardPayload": "X-JWT-Payload"`),
			Request: get("/", good, [2]string{"x-jwt-payload", "e30"}),
			Want:    passing(map[string][]string{"x-jwt-payload": {payloadOf(good)}}),
			Fields:  []string{"forwardPayload"}},
		{Name: "payload's header removed where there is no token",
			Config:  issued("", `, "forwardPayload": "x-jwt-payload", "rules": [{"public": true}]`),
			Request: get("/", "", [2]string{"x-jwt-payload", "e30"}),
			Want:    Want{Status: 200, Reason: "public", Upstream: map[string][]string{"x-jwt-payload": nil}},
			Fields:  []string{"forwardPayload", "rules[].public"}},
		{Name: "token a byte too long", Config: issued("", `, "limits": {"tokenBytes": 800}`),
			Request: get("/", First().Sized(801)), Want: invalid("too_large"), Fields: []string{"limits.tokenBytes"}},
		{Name: "token just short enough", Config: issued("", `, "limits": {"tokenBytes": 20000}`),
			Request: get("/", First().Sized(20000)), Want: isAlice, Fields: []string{"limits.tokenBytes"}},
		{Name: "preflight with a token only", Config: issued("", `, "bypassCORSPreflight": false`), Want: missing,
			Fields: []string{"bypassCORSPreflight"},
			Request: Request{Method: "OPTIONS",
				Headers: Headers{{"origin", "https://app.example"}, {"access-control-request-method", "POST"}}}},
	}
}

func headerFields() []Case {
	token := First().Token(Claims{"roles": []string{"admin"}})
	var cases []Case
	for member, usual := range ordered(map[string]string{
		"organization": "x-wso2-organization", "username": "x-wso2-username", "consumerKey": "x-wso2-consumer-key",
		"scopes": "x-wso2-scopes", "roles": "x-wso2-roles",
	}) {
		values := append([]string(nil), alice[usual]...)
		others := map[string][]string{"x-wso2-roles": {"admin"}}
		if usual == "x-wso2-roles" {
			values, others = []string{"admin"}, map[string][]string{}
		}
		renamed, off := map[string][]string{usual: nil, "x-own": values}, map[string][]string{usual: nil}
		for name, v := range others {
			renamed[name], off[name] = v, v
		}
		field := "headers." + member
		cases = append(cases,
			Case{Name: field + " renamed",
				Config:  issued(`, "rolesClaim": "roles"`, fmt.Sprintf(`, "headers": {%q: "X-Own"}`, member)),
				Request: get("/", token, [2]string{"x-own", "spoofed"}, [2]string{"x_own", "spoofed"}),
				Want:    passing(renamed), Fields: []string{field}},
			// The default name is no client's either way, in whatever spelling.
			Case{Name: field + " renamed, its default name spoofed",
				Config:  issued(`, "rolesClaim": "roles"`, fmt.Sprintf(`, "headers": {%q: "X-Own"}`, member)),
				Request: spoofed(token, usual), Want: passing(unspoofed(renamed, usual))},
			Case{Name: field + " off, its default name spoofed",
				Config:  issued(`, "rolesClaim": "roles"`, fmt.Sprintf(`, "headers": {%q: ""}`, member)),
				Request: spoofed(token, usual), Want: passing(unspoofed(off, usual))},
			Case{Name: field + " off, its default name spoofed, on a public rule",
				Config:  issued("", fmt.Sprintf(`, "headers": {%q: ""}, "rules": [{"public": true}]`, member)),
				Request: spoofed("", usual),
				Want:    Want{Status: 200, Reason: "public", Upstream: unspoofed(nil, usual)}},
			Case{Name: field + " off",
				Config:  issued(`, "rolesClaim": "roles"`, fmt.Sprintf(`, "headers": {%q: ""}`, member)),
				Request: get("/", token), Want: passing(off), Fields: []string{field}})
	}
	return cases
}

// spoofed is a request that brings a header along, in three spellings.
func spoofed(token, name string) Request {
	r := get("/", token, [2]string{name, "spoofed"}, [2]string{strings.ReplaceAll(name, "-", "_"), "spoofed"},
		[2]string{strings.ToUpper(name), "spoofed"})
	r.Trailers = Headers{{name, "spoofed"}}
	return r
}

// unspoofed are headers of which none is the spoofed one in another spelling.
func unspoofed(headers map[string][]string, name string) map[string][]string {
	all := map[string][]string{strings.ReplaceAll(name, "-", "_"): nil}
	maps.Copy(all, headers)
	return all
}

func errorFields() []Case {
	text := func(s string) *string { return &s }
	return []Case{
		{Name: "problem", Config: issued("", `, "errors": {"format": "problem"}`), Fields: []string{"errors.format"},
			Want: Want{Status: 401, Code: "900902", Reason: "missing",
				Body: text(`{"type":"about:blank","title":"Unauthorized","status":401,"detail":"Send an access ` +
					`token.","code":"900902"}`)}},
		{Name: "plain", Config: issued("", `, "errors": {"format": "plain"}`), Fields: []string{"errors.format"},
			Want: Want{Status: 401, Reason: "missing", Body: text("Send an access token.\n")}},
		{Name: "realm", Config: issued("", `, "errors": {"realm": "orders of org1"}`), Fields: []string{"errors.realm"},
			Want: Want{Status: 401, Code: "900902", Reason: "missing",
				Response: map[string][]string{"www-authenticate": {`Bearer realm="orders of org1"`}}}},
	}
}

func issuerFields() []Case {
	first, now := First(), Now.Unix()
	good := first.Token()
	environments := `{"issuers": [
		{"name": "prod", "issuer": "https://idp1.example/", "organization": "org1", "environments": ["prod", "stage"],
			"signatureValidation": {"jwks": {"inline": $FIRST}}},
		{"name": "dev", "issuer": "https://idp2.example/realms/org2", "organization": "org1", "environments": ["dev"],
			"signatureValidation": {"jwks": {"inline": $SECOND}}}],
		"environment": "prod"}`
	cases := []Case{
		{Name: "name in metrics and properties", Config: issued(""), Request: get("/", good), Want: isAlice,
			Fields: []string{"issuers[].name", "issuers[].issuer", "issuers[].organization"},
			Instead: map[string]string{"issuers[].name": `"other"`, "issuers[].issuer": `"https://other.example/"`,
				"issuers[].organization": `"org2"`}},
		{Name: "an issuer's slash at the end", Config: strings.Replace(issued(""), "idp1.example/", "idp1.example", 1),
			Request: get("/", good), Want: invalid("unknown_issuer"),
			Fields:  []string{"issuers[].issuer"},
			Instead: map[string]string{"issuers[].issuer": `"https://idp1.example/"`}},
		{Name: "issuer of the environment", Config: environments, Request: get("/", good), Want: isAlice},
		{Name: "issuer of another environment", Config: environments, Request: get("/", Second().Token(OfOrg2())),
			Want:   invalid("unknown_issuer"),
			Fields: []string{"environment", "issuers[].environments"}},
		{Name: "audience", Config: issued(`, "audiences": ["https://b.example", "https://c.example"]`),
			Request: get("/", good), Want: invalid("audience"), Fields: []string{"issuers[].audiences"}},
		{Name: "token type", Config: issued(`, "tokenTypes": ["at+jwt"]`), Request: get("/", good),
			Want: invalid("claim"), Fields: []string{"issuers[].tokenTypes"}},
		{Name: "skew shorter", Config: issued(`, "clockSkew": "0s"`),
			Request: get("/", first.Token(Claims{"exp": now - 1})),
			Want:    Want{Status: 401, Code: "900903", Reason: "expired"}, Fields: []string{"issuers[].clockSkew"}},
		{Name: "skew longer, exp", Config: issued(`, "clockSkew": "10m"`),
			Request: get("/", first.Token(Claims{"exp": now - 599})), Want: isAlice,
			Fields: []string{"issuers[].clockSkew"}},
		{Name: "skew longer, nbf", Config: issued(`, "clockSkew": "90s"`),
			Request: get("/", first.Token(Claims{"nbf": now + 90})), Want: isAlice,
			Fields: []string{"issuers[].clockSkew"}},
		{Name: "skew longer, iat", Config: issued(`, "clockSkew": "90s"`),
			Request: get("/", first.Token(Claims{"iat": now + 90})), Want: isAlice,
			Fields: []string{"issuers[].clockSkew"}},
		{Name: "skew longer, at its end", Config: issued(`, "clockSkew": "90s"`),
			Request: get("/", first.Token(Claims{"exp": now - 90})),
			Want:    Want{Status: 401, Code: "900903", Reason: "expired"}},
		{Name: "no expiration required", Config: issued(`, "requireExpiration": false`),
			Request: get("/", first.Token(Claims{"exp": nil})), Want: isAlice,
			Fields: []string{"issuers[].requireExpiration"}},
		{Name: "no expiration required, expired", Config: issued(`, "requireExpiration": false`),
			Request: get("/", first.Token(Claims{"exp": now - 60})),
			Want:    Want{Status: 401, Code: "900903", Reason: "expired"}},
		{Name: "maximum age", Config: issued(`, "maxTokenAge": "90s"`),
			Request: get("/", first.Token(Claims{"iat": now - 150})),
			Want:    Want{Status: 401, Code: "900903", Reason: "expired"}, Fields: []string{"issuers[].maxTokenAge"}},
		{Name: "maximum age, iat missing", Config: issued(`, "maxTokenAge": "90s"`),
			Request: get("/", first.Token(Claims{"iat": nil})), Want: invalid("claim"),
			Fields: []string{"issuers[].maxTokenAge"}},
		{Name: "required claim", Config: issued(`, "requiredClaims": ["sub", "tenant.id"]`), Request: get("/", good),
			Want: invalid("claim"), Fields: []string{"issuers[].requiredClaims"}},
		{Name: "required claim, null", Config: issued(`, "requiredClaims": ["jti"]`),
			Request: get("/", first.Raw(`"jti":null`)), Want: invalid("claim"),
			Fields: []string{"issuers[].requiredClaims"}},
		{Name: "required claim, there", Config: issued(`, "requiredClaims": ["sub", "tenant.id", ["a.b", "c"]]`),
			Request: get("/", first.Token(Claims{"tenant": Claims{"id": false}, "a.b": Claims{"c": ""}})),
			Want:    isAlice},
		{Name: "shared across organizations", Request: get("/", good), Want: isAlice,
			Config: `{"issuers": [
				{"name": "a", "issuer": "https://idp1.example/", "organization": "org1",
					"sharedAcrossOrganizations": true, "signatureValidation": {"jwks": {"inline": $FIRST}}},
				{"name": "b", "issuer": "https://idp1.example/", "organization": "org2",
					"sharedAcrossOrganizations": true, "signatureValidation": {"jwks": {"inline": $FIRST}}}],
						"organization": "org1"}`,
			Fields:  []string{"issuers[].sharedAcrossOrganizations"},
			Instead: map[string]string{"issuers[].sharedAcrossOrganizations": Refused}},
	}
	for _, algorithm := range []string{"RS384", "RS512", "PS256", "PS384", "PS512"} {
		config := strings.Replace(issued(`, "algorithms": ["RS256", "`+algorithm+`"]`), "$FIRST",
			`{"keys":[`+first.AnyAlgorithmJWK()+`]}`, 1)
		cases = append(cases,
			Case{Name: algorithm, Config: config, Request: get("/", first.SignAs(algorithm)), Want: isAlice,
				Fields: []string{"issuers[].algorithms"}},
			Case{Name: algorithm + ", with a key for RS256", Config: issued(`, "algorithms": ["` + algorithm + `"]`),
				Request: get("/", first.SignAs(algorithm)), Want: invalid("unknown_key"),
				Fields: []string{"issuers[].algorithms"}},
			Case{Name: algorithm + " alone, signed with RS256", Config: strings.Replace(config, `"RS256", `, "", 1),
				Request: get("/", good), Want: invalid("bad_algorithm"), Fields: []string{"issuers[].algorithms"}},
			Case{Name: algorithm + " in the header, signed with RS256", Config: config,
				Request: get("/", first.With(Claims{"alg": algorithm})), Want: invalid("bad_signature"),
				Fields: []string{"issuers[].algorithms"}})
	}
	return append(cases, curveFields()...)
}

// curveFields are the algorithms of elliptic curves, with keys in each form.
func curveFields() []Case {
	const fields = "issuers[].algorithms"
	var cases []Case
	for _, c := range []struct {
		algorithm string
		signer    *Signer
		allowed   string
	}{
		{"ES256", P256(), "ES256"},
		{"ES384", P384(), "ES384"},
		{"EdDSA", Edwards(), "EdDSA"},
		{"EdDSA", Edwards(), "Ed25519"},
		{"Ed25519", Edwards(), "EdDSA"},
	} {
		name := c.algorithm + ", allowed as " + c.allowed
		config := func(keys string) string {
			return `{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
				"algorithms": ["RS256", "` + c.allowed + `"], "signatureValidation": {` + keys + `}}]}`
		}
		pem := func(text string) string { return `"certificate": {"certificateInline": ` + encode(text) + `}` }
		set := func(keys ...string) string { return `"jwks": {"inline": {"keys": [` + strings.Join(keys, ",") + `]}}` }
		first, stranger := First(), onCurve(curveOf(c.signer))
		good := get("/", c.signer.SignAs(c.algorithm))
		forged := get("/", stranger.SignAs(c.algorithm))
		add := func(what, keys string, request Request, want Want) {
			added := Case{Name: name + ": " + what, Config: config(keys), Request: request, Want: want}
			if request.Token == good.Token {
				added.Fields = []string{fields}
			}
			cases = append(cases, added)
		}
		add("a JWK", set(c.signer.JWK()), good, isAlice)
		add("a JWK without alg", set(c.signer.AnyAlgorithmJWK()), good, isAlice)
		add("a JWK beside RSA's", set(first.JWK(), c.signer.JWK()), good, isAlice)
		add("RS256 beside it", set(c.signer.JWK(), first.JWK()), get("/", first.Token()), isAlice)
		add("a public key", pem(c.signer.PublicKey()), good, isAlice)
		add("a certificate", pem(c.signer.Certificate()), good, isAlice)
		add("by a stranger", set(c.signer.JWK()), forged, invalid("bad_signature"))
		add("RS256 alone has a key", set(first.JWK()), good, invalid("unknown_key"))
		add("in the header, signed with RS256", set(first.AnyAlgorithmJWK(), c.signer.AnyAlgorithmJWK()),
			get("/", first.With(Claims{"alg": c.algorithm})), invalid("bad_signature"))
		add("RS256 in the header", set(first.AnyAlgorithmJWK(), c.signer.AnyAlgorithmJWK()),
			get("/", c.signer.With(Claims{"alg": "RS256"})), invalid("bad_signature"))
		cases = append(cases, Case{Name: name + ": not allowed", Request: good, Want: invalid("bad_algorithm"),
			Config: strings.Replace(config(set(c.signer.JWK())), `, "`+c.allowed+`"`, "", 1)})
	}
	return cases
}

func curveOf(s *Signer) elliptic.Curve {
	if key, ok := s.Curve.(*ecdsa.PrivateKey); ok {
		return key.Curve
	}
	return nil
}

// keyFields are the fields of keys that are written down. Those that are
// fetched need a provider, and time.
func keyFields() []Case {
	const inline, certificate, pins = "issuers[].signatureValidation.jwks.inline.keys",
		"issuers[].signatureValidation.certificate.certificateInline", "issuers[].signatureValidation.jwks.pins"
	first := First()
	with := func(validation string) string {
		return `{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1", ` +
			`"signatureValidation": {` + validation + `}}]}`
	}
	pem := func(s string) string { return `"certificate": {"certificateInline": ` + encode(s) + `}` }
	stranger := map[string]string{certificate: encode(Stranger().PublicKey())}
	return []Case{
		{Name: "inline keys", Config: with(`"jwks": {"inline": $FIRST}`), Request: get("/", first.Token()),
			Want:   isAlice,
			Fields: []string{inline}, Instead: map[string]string{inline: "[" + Stranger().JWK() + "]"}},
		{Name: "certificate", Config: with(pem(first.Certificate())), Request: get("/", first.Token()), Want: isAlice,
			Fields: []string{certificate}, Instead: stranger},
		{Name: "public key", Config: with(pem(first.PublicKey())), Request: get("/", first.Token()), Want: isAlice,
			Fields: []string{certificate}, Instead: stranger},
		// API Manager's gateway_certificate_alias: the certificate for tokens without a kid.
		{Name: "certificate, no kid", Config: with(pem(first.Certificate())),
			Request: get("/", first.With(Claims{"kid": nil})), Want: isAlice, Fields: []string{certificate},
			Instead: stranger},
		{Name: "certificate, no kid, another's token", Config: with(pem(first.Certificate())),
			Request: get("/", Stranger().With(Claims{"kid": nil})), Want: invalid("bad_signature")},
		{Name: "certificate beside keys of which none fits, no kid",
			Config: strings.Replace(with(`"jwks": {"inline": {"keys": [`+P256().JWK()+`]}}, `+pem(
				first.Certificate())), `"name"`, `"algorithms": ["RS256", "ES256"], "name"`, 1),
			Request: get("/", first.With(Claims{"kid": nil})), Want: isAlice, Fields: []string{certificate},
			Instead: stranger},
		{Name: "certificate beside keys that fit, no kid",
			Config:  with(`"jwks": {"inline": $ROTATED}, ` + pem(first.Certificate())),
			Request: get("/", first.With(Claims{"kid": nil})), Want: invalid("bad_signature")},
		{Name: "public key, another's token", Config: with(pem(first.PublicKey())),
			Request: get("/", Stranger().Token()), Want: invalid("bad_signature"), Fields: []string{certificate},
			Instead: stranger},
		{Name: "two public keys", Config: with(pem(Second().PublicKey() + first.Certificate())),
			Request: get("/", first.Token()), Want: isAlice, Fields: []string{certificate}, Instead: stranger},
		{Name: "certificate beside keys that have none for the token",
			Config:  with(`"jwks": {"inline": $FIRST}, ` + pem(Rotated().Certificate())),
			Request: get("/", Rotated().Token()), Want: isAlice,
			Fields: []string{certificate}, Instead: stranger},
		{Name: "certificate beside keys that have one for the token",
			Config:  with(`"jwks": {"inline": $FIRST}, ` + pem(Stranger().Certificate())),
			Request: get("/", Stranger().Token()), Want: invalid("bad_signature"),
			Fields: []string{inline}, Instead: map[string]string{inline: "[" + Rotated().JWK() + "]"}},
		{Name: "pinned key", Config: with(`"jwks": {"inline": $BOTH, "pins": ["` + first.Thumbprint() + `"]}`),
			Request: get("/", first.Token()), Want: isAlice,
			Fields: []string{pins}, Instead: map[string]string{pins: `["` + Rotated().Thumbprint() + `"]`}},
		{Name: "key that is not pinned",
			Config:  with(`"jwks": {"inline": $BOTH, "pins": ["` + first.Thumbprint() + `"]}`),
			Request: get("/", Rotated().Token()), Want: invalid("unknown_key"), Fields: []string{pins}},
		{Name: "key that is not pinned, no kid",
			Config:  with(`"jwks": {"inline": $BOTH, "pins": ["` + first.Thumbprint() + `"]}`),
			Request: get("/", Rotated().With(Claims{"kid": nil})), Want: invalid("bad_signature"),
			Fields: []string{pins}},
	}
}

func claimFields() []Case {
	first := First()
	token := func(claims Claims) Request { return get("/", first.Token(claims)) }
	scopes := func(values ...string) Want { return passing(map[string][]string{"x-wso2-scopes": values}) }
	consumer := func(values ...string) Want { return passing(map[string][]string{"x-wso2-consumer-key": values}) }
	roles := func(values ...string) Want { return passing(map[string][]string{"x-wso2-roles": values}) }
	const mappings = `, "rolesClaim": "groups", "roleMappings": [{"remoteRole": "idp-admin", "localRole": "admin"}, ` +
		`{"remoteRole": "idp-admin", "localRole": "user"}]`
	groups := Claims{"groups": []string{"idp-admin", "guest"}}
	mapped := map[string]string{"issuers[].roleMappings[].remoteRole": `"x"`,
		"issuers[].roleMappings[].localRole": `"x"`}
	return []Case{
		{Name: "username claim", Config: issued(`, "usernameClaim": "preferred_username"`),
			Request: token(Claims{"preferred_username": "al"}), Want: as("al"),
			Fields: []string{"issuers[].usernameClaim"}},
		{Name: "username claim missing", Config: issued(`, "usernameClaim": "preferred_username"`), Request: token(nil),
			Want: invalid("claim"), Fields: []string{"issuers[].usernameClaim"}},
		{Name: "missing username, the client stands in", Config: issued(`, "missingUsername": "consumerKey"`),
			Request: token(Claims{"sub": ""}), Fields: []string{"issuers[].missingUsername"},
			Want: passing(map[string][]string{"x-wso2-username": {"client-1"}})},
		{Name: "missing username, no client either", Config: issued(`, "missingUsername": "consumerKey"`),
			Request: token(Claims{"sub": nil, "azp": nil}), Want: invalid("claim"),
			Fields:  []string{"issuers[].missingUsername"},
			Instead: map[string]string{"issuers[].missingUsername": `"omit"`}},
		{Name: "missing username, omitted", Config: issued(`, "missingUsername": "omit"`),
			Request: token(Claims{"sub": nil}),
			Want:    passing(map[string][]string{"x-wso2-username": nil}),
			Fields:  []string{"issuers[].missingUsername"}},
		{Name: "username claim further in", Config: issued(`, "usernameClaim": ["act.or", "sub"]`),
			Request: token(Claims{"act.or": Claims{"sub": "al"}}), Want: as("al"),
			Fields: []string{"issuers[].usernameClaim"}},
		{Name: "organization claim", Config: issued(`, "organizationClaim": "org_id"`),
			Request: token(Claims{"org_id": "org2"}), Want: foreign, Fields: []string{"issuers[].organizationClaim"}},
		{Name: "organization claim by URL", Config: issued(`, "organizationClaim": "https://example.com/org"`),
			Request: token(Claims{"https://example.com/org": "org2"}), Want: foreign,
			Fields: []string{"issuers[].organizationClaim"}},
		{Name: "organization claim missing", Config: issued(`, "organizationClaim": "tenant"`), Request: token(nil),
			Want: invalid("claim"), Fields: []string{"issuers[].organizationClaim"}},
		{Name: "organization claim implied by a mapping",
			Config:  issued(`, "claimMappings": [{"remoteClaim": "org_id", "localClaim": "X-WSO2-Organization"}]`),
			Request: token(Claims{"org_id": "org2"}), Want: foreign,
			Fields: []string{"issuers[].claimMappings", "issuers[].claimMappings[].remoteClaim",
				"issuers[].claimMappings[].localClaim"},
			Instead: map[string]string{"issuers[].claimMappings[].remoteClaim": `"tenant"`,
				"issuers[].claimMappings[].localClaim": `"x-org"`}},
		{Name: "missing organization claim, the issuer's",
			Config: issued(`, "organizationClaim": "tenant", "missingOrganization": "issuer"`), Request: token(nil),
			Want: isAlice, Fields: []string{"issuers[].missingOrganization"}},
		{Name: "empty organization claim is not missing",
			Config:  issued(`, "organizationClaim": "tenant", "missingOrganization": "issuer"`),
			Request: token(Claims{"tenant": ""}), Want: invalid("claim")},
		{Name: "organization mapping",
			Config:  issued(`, "organizationClaim": "tenant", "organizationMapping": {"t-1": "org1"}`),
			Request: token(Claims{"tenant": "t-1"}), Want: isAlice, Fields: []string{"issuers[].organizationMapping"}},
		{Name: "organization mapping, not listed",
			Config:  issued(`, "organizationClaim": "tenant", "organizationMapping": {"t-1": "org1"}`),
			Request: token(Claims{"tenant": "org1"}), Want: foreign, Fields: []string{"issuers[].organizationMapping"}},
		{Name: "scopes claim", Config: issued(`, "scopesClaim": "scp"`),
			Request: token(Claims{"scp": []string{"a", "b"}}), Want: scopes("a b"),
			Fields: []string{"issuers[].scopesClaim"}},
		{Name: "scopes claim missing", Config: issued(`, "scopesClaim": "scp"`), Request: token(nil), Want: scopes(),
			Fields: []string{"issuers[].scopesClaim"}},
		{Name: "consumer key claim", Config: issued(`, "consumerKeyClaim": "cid"`), Request: token(Claims{"cid": "c"}),
			Want: consumer("c"), Fields: []string{"issuers[].consumerKeyClaim"}},
		{Name: "consumer key claim missing", Config: issued(`, "consumerKeyClaim": "cid"`), Request: token(nil),
			Want: consumer(), Fields: []string{"issuers[].consumerKeyClaim"}},
		{Name: "consumer key claim missing, client_id", Config: issued(`, "consumerKeyClaim": "cid"`),
			Request: token(Claims{"client_id": "c"}), Want: consumer("c"),
			Fields: []string{"issuers[].consumerKeyClaim"}},
		{Name: "client_id where azp is missing", Config: issued(""),
			Request: token(Claims{"azp": nil, "client_id": "c"}), Want: consumer("c")},
		{Name: "roles claim", Config: issued(`, "rolesClaim": "groups"`), Request: token(groups),
			Want: roles("idp-admin,guest"), Fields: []string{"issuers[].rolesClaim"}},
		{Name: "roles claim, a string", Config: issued(`, "rolesClaim": "group"`),
			Request: token(Claims{"group": "a b"}), Want: roles("a b"), Fields: []string{"issuers[].rolesClaim"}},
		{Name: "roles, mapped", Config: issued(mappings), Request: token(groups), Want: roles("admin,user"),
			Fields: []string{"issuers[].roleMappings", "issuers[].roleMappings[].remoteRole",
				"issuers[].roleMappings[].localRole"}, Instead: mapped},
		{Name: "roles, mapped and others", Config: issued(mappings + `, "excludeUnmappedRoles": false`),
			Request: token(groups), Want: roles("admin,user,guest"),
			Fields: []string{"issuers[].excludeUnmappedRoles"}},
	}
}

// mappingFields are all kinds of values that a claim may have, in a header.
func mappingFields() []Case {
	var cases []Case
	add := func(name, remote, members string, want Want, matters bool) {
		c := Case{Name: "mapped claim: " + name,
			Config:  issued(`, "claimMappings": [{"remoteClaim": ` + remote + `, "localClaim": "X-Tier"}]`),
			Request: get("/", First().Raw(members), [2]string{"x-tier", "spoofed"}), Want: want}
		if matters {
			c.Fields = []string{"issuers[].claimMappings"}
		}
		cases = append(cases, c)
	}
	for name, c := range ordered(map[string]struct{ value, header string }{
		"string":                        {`"gold"`, "gold"},
		"string with escapes":           {`"g\u006fl\/d \"x\" \\"`, `gol/d "x" \`},
		"string in Unicode":             {`"z\u0142oto \ud83d\udc22"`, "złoto 🐢"},
		"string like a number":          {`"007"`, "007"},
		"number":                        {`5`, "5"},
		"number with an exponent":       {`1e3`, "1e3"},
		"number of twenty digits":       {`12345678901234567890`, "12345678901234567890"},
		"number with zeros":             {`1.50`, "1.50"},
		"number that no float can hold": {`1e999`, "1e999"},
		"minus zero":                    {`-0.0`, "-0.0"},
		"true":                          {`true`, "true"},
		"false":                         {`false`, "false"},
		"array":                         {`["a", 1e3, true, "b c"]`, "a,1e3,true,b c"},
		"array with what gives nothing": {`["", null, "a", null]`, "a"},
		"array in an array":             {`[ ["a" , 1] , {"b": "c d"} ]`, `[["a",1],{"b":"c d"}]`},
		"object":                        {`{ "a" : [1, "x y"] , "b":{ } }`, `{"a":[1,"x y"],"b":{}}`},
		"object with an escape":         {`{"a": "line\nline"}`, `{"a":"line\nline"}`},
	}) {
		add(name, `"tier"`, `"tier":`+c.value, passing(map[string][]string{"x-tier": {c.header}}), true)
	}
	for name, value := range ordered(map[string]string{
		"null": "null", "empty string": `""`, "empty array": "[]", "empty object": "{ }",
		"array of nothing": `["", null]`,
	}) {
		add(name, `"tier"`, `"tier":`+value, passing(map[string][]string{"x-tier": nil}), true)
	}
	for name, value := range ordered(map[string]string{
		"newline": `"a\nb"`, "carriage return": `"a\rb"`, "NUL": `"a\u0000b"`, "DEL": `"a\u007fb"`, "C1": `"a\u0085b"`,
		"tab": `"a\tb"`, "newline in an array": `["a", "b\n"]`,
		"DEL in an object": "{\"a\":\"\x7f\"}",
	}) {
		add(name, `"tier"`, `"tier":`+value, invalid("claim"), true)
	}
	for name, value := range ordered(map[string]string{
		"comma in an array": `["a,b"]`, "space around": `" a"`, "space around in an array": `["a", "b "]`,
	}) {
		add(name, `"tier"`, `"tier":`+value, passing(map[string][]string{"x-tier": nil}), true)
	}
	gold := passing(map[string][]string{"x-tier": {"gold"}})
	add("by URL", `"https://example.com/a.b"`, `"https://example.com/a.b":"gold"`, gold, true)
	add("further in", `"account.plan.tier"`, `"account":{"plan":{"tier":"gold"}}`, gold, true)
	add("further in, and literally", `"account.tier"`, `"account":{"tier":"silver"},"account.tier":"gold"`, gold, true)
	add("by a path that is not split", `["account.plan", "tier"]`,
		`"account.plan":{"tier":"gold"},"account":{"plan":{"tier":"silver"}}`, gold, true)
	add("with what would mean something in a pattern", `"a*"`, `"a*":"gold","ab":"silver"`, gold, true)
	add("with a number as in an array", `"tiers.0"`, `"tiers":["gold"]`, passing(map[string][]string{"x-tier": nil}),
		true)
	return cases
}

// listFields are lists as JSON.
func listFields() []Case {
	config := issued(`, "rolesClaim": "roles", "claimMappings": [{"remoteClaim": "tiers", "localClaim": "x-tiers"}]`,
		`, "headers": {"lists": "json"}`)
	return []Case{
		{Name: "lists as JSON", Config: config, Fields: []string{"headers.lists"},
			Request: get("/", First().Raw(`"roles":["CN=API Admins,OU=x"," b "],"tiers":["a,b", 1.50]`)),
			Want: passing(map[string][]string{"x-wso2-scopes": {`["orders:read","profile"]`},
				"x-wso2-roles": {`["CN=API Admins,OU=x"," b "]`}, "x-tiers": {`["a,b",1.50]`}})},
		{Name: "lists as JSON, empty", Config: config, Fields: []string{"headers.lists"},
			Request: get("/", First().Raw(`"roles":[],"tiers":[""]`)),
			Want: passing(map[string][]string{"x-wso2-scopes": {`["orders:read","profile"]`},
				"x-wso2-roles": nil, "x-tiers": nil})},
		{Name: "lists as JSON, a control character", Config: config, Request: get("/", First().Raw(`"roles":["a\n"]`)),
			Want: invalid("claim")},
	}
}

// reportFields are refusals that are reported, and those that never are.
func reportFields() []Case {
	first, now := First(), Now.Unix()
	const issuer = `, "reportOnly": true, "organizationClaim": "org_id", "requiredClaims": ["azp"], "audiences": ` +
		`["https://api.example"], "tokenTypes": ["JWT"], "rolesClaim": "roles"`
	rules := `, "rules": [{"match": {"path": "/scope"}, "scopes": ["x"]}, {"match": {"path": "/role"}, "roles": ["x"]},
		{"match": {"path": "/client"}, "consumerKeys": ["x"]},
		{"match": {"path": "/claim"}, "claims": [{"claim": "tier", "in": ["x"]}]},
			{"match": {"path": "/org2"}, "organization": "org2"},
		{"match": {"path": "/host"}, "organization": {"fromHost": "{org}.example.net"}},
			{"match": {"path": "/other"}, "issuers": ["idp2"]},
		{"match": {"path": "/"}}]`
	config := strings.Replace(issued(issuer, rules), `}],`,
		`}, {"name": "idp2", "issuer": "https://idp2.example/", "organization": "org1", "signatureValidation": `+
			`{"jwks": {"inline": $SECOND}}}],`, 1)
	reported := func(reason string, headers map[string][]string) Want {
		want := passing(headers)
		want.Reason = reason
		want.Upstream["x-orgate-report"] = []string{reason}
		return want
	}
	var cases []Case
	for name, c := range ordered(map[string]struct {
		request Request
		want    Want
	}{
		"scope":           {get("/scope", first.Token()), reported("scope", nil)},
		"role":            {get("/role", first.Token()), reported("role", nil)},
		"consumer key":    {get("/client", first.Token()), reported("claim", nil)},
		"claim rule":      {get("/claim", first.Token()), reported("claim", nil)},
		"organization":    {get("/org2", first.Token()), reported("organization", nil)},
		"no organization": {get("/host", first.Token()), reported("organization", nil)},
		"organization claim": {get("/", first.Token(Claims{"org_id": "org2"})),
			reported("organization", map[string][]string{"x-wso2-organization": nil})},
		"required claim": {get("/", first.Token(Claims{"azp": nil})),
			reported("claim", map[string][]string{"x-wso2-consumer-key": nil})},
		"missing username": {get("/", first.Token(Claims{"sub": nil})),
			reported("claim", map[string][]string{"x-wso2-username": nil})},
		"a spoofed report": {get("/scope", first.Token(), [2]string{"x-orgate-report", "none"},
			[2]string{"x_orgate_report", "none"}), reported("scope", map[string][]string{"x_orgate_report": nil})},
	}) {
		cases = append(cases, Case{Name: "reported: " + name, Config: config, Request: c.request, Want: c.want,
			Fields: []string{"issuers[].reportOnly"}})
	}
	for name, c := range ordered(map[string]struct {
		request Request
		want    Want
	}{
		"nothing to report": {get("/", first.Token()), isAlice},
		"signature":         {get("/scope", Stranger().Token()), invalid("bad_signature")},
		"signature, cut":    {get("/scope", unsigned(first.Token())+"AA"), invalid("bad_signature")},
		"unknown key":       {get("/scope", Rotated().Token()), invalid("unknown_key")},
		"algorithm":         {get("/scope", first.SignAs("PS256")), invalid("bad_algorithm")},
		"expired": {get("/scope", first.Token(Claims{"exp": now - 60})),
			Want{Status: 401, Code: "900903", Reason: "expired"}},
		"no expiration":          {get("/scope", first.Token(Claims{"exp": nil})), invalid("claim")},
		"too early":              {get("/scope", first.Token(Claims{"nbf": now + 61})), invalid("not_yet_valid")},
		"malformed":              {get("/scope", "x.y.z"), invalid("malformed")},
		"opaque":                 {get("/scope", "x"), invalid("opaque")},
		"a duplicate":            {get("/scope", first.Raw(`"sub":"root"`)), invalid("malformed")},
		"audience":               {get("/scope", first.Token(Claims{"aud": "x"})), invalid("audience")},
		"type":                   {get("/scope", first.With(Claims{"typ": "x"})), invalid("claim")},
		"username of a bad form": {get("/", first.Token(Claims{"sub": "a\nb"})), invalid("claim")},
		"organization, ill-typed": {get("/", first.Token(Claims{"org_id": []string{"org1", "org2"}})),
			invalid("claim")},
		"scopes, ill-typed": {get("/", first.Token(Claims{"scope": Claims{"x": 1}})),
			passing(map[string][]string{"x-wso2-scopes": nil})},
		"issuer not allowed": {get("/other", first.Token()), invalid("unknown_issuer")},
		"unknown issuer":     {get("/", first.Token(Claims{"iss": "x"})), invalid("unknown_issuer")},
		"another issuer": {get("/scope", Second().Token(Claims{"iss": "https://idp2.example/"})),
			Want{Status: 403, Code: "900910", Reason: "scope"}},
		"no token": {get("/scope", ""), missing},
		"several tokens": {get("/scope", first.Token(), [2]string{"authorization", "Bearer x"}),
			invalid("several_tokens")},
		"path":    {get("/scope//", first.Token()), badPath},
		"no rule": {get("/elsewhere", first.Token()), noRule},
	}) {
		cases = append(cases, Case{Name: "not reported: " + name, Config: config, Request: c.request, Want: c.want})
	}
	// A token of several organizations is of none, shared or not: it shows none.
	both := first.Raw(`"tenant":"org2"`)
	nobody := reported("organization", map[string][]string{"x-wso2-organization": nil})
	for name, shared := range ordered(map[string]string{"": "", ", shared": `, "sharedAcrossOrganizations": true`}) {
		entries := `{"issuers": [
			{"name": "a", "issuer": "https://idp1.example/", "organization": "org1", "organizationClaim": "org_id",
				"reportOnly": true` + shared + `,
			 "signatureValidation": {"jwks": {"inline": $FIRST}}},
			{"name": "b", "issuer": "https://idp1.example/", "organization": "org2", "organizationClaim": "tenant",
				"reportOnly": true` + shared + `,
			 "signatureValidation": {"jwks": {"inline": $FIRST}}}],
			"organization": "*", "rules": [{"match": {"path": "/org1"}, "organization": "org1"}, {}]}`
		named := nobody
		if shared != "" {
			named = isAlice
		}
		cases = append(cases,
			Case{Name: "reported: several organizations" + name + ", any", Config: entries, Request: get("/", both),
				Want: nobody},
			Case{Name: "reported: several organizations" + name + ", one", Config: entries, Request: get("/org1", both),
				Want: named})
	}
	return cases
}

func ruleFields() []Case {
	first := First()
	good := first.Token()
	forbidden := func(reason string) Want { return Want{Status: 403, Code: "900908", Reason: reason} }
	scope := Want{Status: 403, Code: "900910", Reason: "scope"}
	matching := func(name, match string, hit, miss Request, field string, instead string) []Case {
		config := ruled(`"match": {` + match + `}, "public": true`)
		in := map[string]string{}
		if instead != "" {
			in[field] = instead
		}
		return []Case{
			{Name: "rule for " + name + ", matching", Config: config, Request: hit, Want: isPublic,
				Fields: []string{"rules[].public"}},
			{Name: "rule for " + name + ", not matching", Config: config, Request: miss, Want: noRule,
				Fields: []string{field}, Instead: in},
		}
	}
	alternatives := ruled(`"anyOf": [{"scopes": {"all": ["orders:read", "profile"]}},
		{"roles": {"all": ["reader", "auditor"]}, "consumerKeys": ["client-1"],
			"claims": [{"claim": "sub", "in": ["alice"]}]}]`)
	cases := []Case{
		{Name: "rule's name in metrics", Config: ruled(`"name": "orders"`), Request: get("/", good), Want: isAlice,
			Fields: []string{"rules[].name"}},
		{Name: "rule's scopes", Config: ruled(`"scopes": ["a", "b"]`), Request: get("/", good), Want: scope,
			Fields: []string{"rules[].scopes"}},
		{Name: "rule's scopes, one there", Config: ruled(`"scopes": ["a", "profile"]`), Request: get("/", good),
			Want: isAlice, Fields: []string{"rules[].scopes"},
			Instead: map[string]string{"rules[].scopes": `{"all": ["a", "profile"]}`}},
		{Name: "rule's scopes, all", Config: ruled(`"scopes": {"all": ["profile", "a"]}`), Request: get("/", good),
			Want:    scope,
			Fields:  []string{"rules[].scopes", "rules[].scopes.all"},
			Instead: map[string]string{"rules[].scopes.all": `["profile", "orders:read"]`}},
		{Name: "rule's roles", Config: ruled(`"roles": ["admin"]`), Request: get("/", good), Want: forbidden("role"),
			Fields: []string{"rules[].roles"}},
		{Name: "rule's roles, one there", Config: ruled(`"roles": ["admin", "user"]`),
			Request: get("/", first.Token(Claims{"roles": []string{"user"}})),
			Want:    passing(map[string][]string{"x-wso2-roles": {"user"}}), Fields: []string{"rules[].roles"},
			Instead: map[string]string{"rules[].roles": `["admin"]`}},
		{Name: "rule's roles, all", Config: ruled(`"roles": {"all": ["admin", "user"]}`),
			Request: get("/", first.Token(Claims{"roles": []string{"user"}})), Want: forbidden("role"),
			Fields:  []string{"rules[].roles", "rules[].roles.all"},
			Instead: map[string]string{"rules[].roles.all": `["user"]`}},
		{Name: "rule's consumer keys", Config: ruled(`"consumerKeys": ["client-9"]`), Request: get("/", good),
			Want: forbidden("claim"), Fields: []string{"rules[].consumerKeys"}},
		{Name: "rule's consumer keys, none in the token", Config: ruled(`"consumerKeys": ["client-9"]`),
			Request: get("/", first.Token(Claims{"azp": nil})), Want: forbidden("claim"),
			Fields: []string{"rules[].consumerKeys"}},
		{Name: "rule's claims", Config: ruled(`"claims": [{"claim": "tier", "in": ["gold", "1e3", "true"]}]`),
			Request: get("/", first.Token(Claims{"tier": "silver", "plan": "gold"})), Want: forbidden("claim"),
			Fields:  []string{"rules[].claims", "rules[].claims[].claim", "rules[].claims[].in"},
			Instead: map[string]string{"rules[].claims[].claim": `"plan"`, "rules[].claims[].in": `["silver"]`}},
		{Name: "rule's claims, a number as it is written",
			Config: ruled(`"claims": [{"claim": "tier", "in": ["1e3"]}]`), Request: get("/", first.Raw(`"tier":1e3`)),
			Want:   isAlice,
			Fields: []string{"rules[].claims[].in"}, Instead: map[string]string{"rules[].claims[].in": `["1000"]`}},
		{Name: "rule's claims, one of an array",
			Config:  ruled(`"claims": [{"claim": "tiers", "in": ["true", "gold"]}]`),
			Request: get("/", first.Token(Claims{"tiers": []any{"x", true}})), Want: isAlice,
			Fields: []string{"rules[].claims[].in"}, Instead: map[string]string{"rules[].claims[].in": `["gold"]`}},
		{Name: "rule's audiences", Config: ruled(`"audiences": ["https://admin.example"]`), Request: get("/", good),
			Want: invalid("audience"), Fields: []string{"rules[].audiences"}},
		{Name: "rule's audiences instead of the issuer's", Config: ruled(`"audiences": ["https://admin.example"]`),
			Request: get("/", first.Token(Claims{"aud": "https://admin.example"})), Want: isAlice,
			Fields: []string{"rules[].audiences"}},
		{Name: "optional", Config: ruled(`"optional": true`), Request: get("/", ""), Want: isPublic,
			Fields: []string{"rules[].optional"}},
		{Name: "rule's forwardToken, public", Config: ruled(`"public": true, "forwardToken": true`),
			Request: get("/", "of-the-api", [2]string{"x-wso2-username", "root"}),
			Fields:  []string{"rules[].forwardToken"},
			Want: Want{Status: 200, Reason: "public",
				Upstream: map[string][]string{"authorization": {"Bearer of-the-api"}}}},
		{Name: "rule's forwardToken, a good token", Config: ruled(`"forwardToken": true`), Request: get("/", good),
			Want:   passing(map[string][]string{"authorization": {"Bearer " + good}}),
			Fields: []string{"rules[].forwardToken"}},
		{Name: "forwardToken, and a rule that does not say", Request: get("/", good),
			Want: passing(map[string][]string{"authorization": {"Bearer " + good}}), Fields: []string{"forwardToken"},
			Config: strings.Replace(ruled(""), `"rules"`, `"forwardToken": true, "rules"`, 1)},
		{Name: "rule's forwardToken, off", Request: get("/", good), Want: isAlice,
			Fields: []string{"rules[].forwardToken"},
			Config: strings.Replace(ruled(`"forwardToken": false`), `"rules"`, `"forwardToken": true, "rules"`, 1)},
		{Name: "alternatives, a user's scope", Config: alternatives, Request: get("/", good), Want: isAlice,
			Fields:  []string{"rules[].anyOf[].scopes", "rules[].anyOf[].scopes.all"},
			Instead: map[string]string{"rules[].anyOf[].scopes": `["x"]`, "rules[].anyOf[].scopes.all": `["x"]`}},
		{Name: "alternatives, a daemon's role", Config: alternatives,
			Request: get("/", first.Token(Claims{"scope": nil, "roles": []string{"reader", "auditor"}})),
			Want:    passing(map[string][]string{"x-wso2-scopes": nil, "x-wso2-roles": {"reader,auditor"}}),
			Fields: []string{"rules[].anyOf[].roles", "rules[].anyOf[].roles.all", "rules[].anyOf[].consumerKeys",
				"rules[].anyOf[].claims[].claim", "rules[].anyOf[].claims[].in"},
			Instead: map[string]string{"rules[].anyOf[].roles": `["x"]`, "rules[].anyOf[].roles.all": `["x"]`,
				"rules[].anyOf[].consumerKeys": `["x"]`, "rules[].anyOf[].claims[].claim": `"x"`,
				"rules[].anyOf[].claims[].in": `["x"]`}},
		{Name: "alternatives, none of them", Config: alternatives, Request: get("/", first.Token(Claims{"scope": nil})),
			Want: scope, Fields: []string{"rules[].anyOf"}},
		{Name: "alternatives for an audience", Request: get("/", first.Token(Claims{"aud": "https://admin.example"})),
			Config: ruled(`"anyOf": [{"audiences": ["https://admin.example"]}, {"roles": ["admin"]}]`), Want: isAlice,
			Fields:  []string{"rules[].anyOf[].audiences"},
			Instead: map[string]string{"rules[].anyOf[].audiences": `["x"]`}},
		{Name: "alternatives for an audience, not of this one", Request: get("/", good),
			Config: ruled(`"anyOf": [{"audiences": ["https://admin.example"]}, {"roles": ["admin"]}]`),
			Want:   forbidden("role")},
		{Name: "alternatives for an audience, of neither", Request: get("/", first.Token(Claims{"aud": "x"})),
			Config: ruled(`"anyOf": [{"audiences": ["https://admin.example"]}, {"roles": ["admin"]}]`),
			Want:   invalid("audience")},
		{Name: "alternatives for an issuer", Config: `{"issuers": [
			{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
				"signatureValidation": {"jwks": {"inline": $FIRST}}},
			{"name": "idp2", "issuer": "https://idp2.example/realms/org2", "organization": "org1",
				"signatureValidation": {"jwks": {"inline": $SECOND}}}],
			"rules": [{"anyOf": [{"issuers": ["idp2"]}]}]}`, Request: get("/", good), Want: invalid("unknown_issuer"),
			Fields:  []string{"rules[].anyOf[].issuers"},
			Instead: map[string]string{"rules[].anyOf[].issuers": `["idp1"]`}},
		{Name: "rule's issuers", Config: `{"issuers": [
			{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
				"signatureValidation": {"jwks": {"inline": $FIRST}}},
			{"name": "idp2", "issuer": "https://idp2.example/realms/org2", "organization": "org1",
				"signatureValidation": {"jwks": {"inline": $SECOND}}}],
			"rules": [{"issuers": ["idp2"]}]}`, Request: get("/", good), Want: invalid("unknown_issuer"),
			Fields: []string{"rules[].issuers"}},
	}
	method := func(m string) Request { return Request{Method: m, Path: "/a"} }
	host := func(h string) Request { return Request{Host: h, Path: "/a"} }
	cases = append(cases, matching("hosts", `"hosts": ["a.example", "*.b.example"]`, host("X.B.example:8080"),
		host("b.example"), "rules[].match.hosts", "")...)
	cases = append(cases, matching("a path", `"path": "/a"`, get("/a?b", ""), get("/a/b", ""), "rules[].match.path",
		"")...)
	cases = append(cases, matching("a prefix", `"pathPrefix": "/a"`, get("/a/b", ""), get("/ab", ""),
		"rules[].match.pathPrefix", "")...)
	cases = append(cases, matching("a template", `"pathTemplate": "/t/{org}/orders/*"`, get("/t/x/orders/1", ""),
		get("/t/x/orders/1/2", ""), "rules[].match.pathTemplate", "")...)
	cases = append(cases, matching("methods", `"methods": ["GET", "HEAD"]`, method("GET"), method("POST"),
		"rules[].match.methods", "")...)
	return cases
}

// pathFields are what upstreams take as it is.
func pathFields() []Case {
	const encodedSlash, semicolon, emptySegment = "paths.encodedSlash", "paths.semicolon", "paths.emptySegment"
	config := func(paths string) string {
		return issued(`, "organizationClaim": "org_id"`, `, "organization": "org1", "paths": {`+paths+`}, "rules": [
			{"name": "tenants", "match": {"pathPrefix": "/t"}, "organization": {"fromPath": "/t/{org}/"}},
			{"name": "open", "match": {"pathTemplate": "/open/*"}, "public": true},
			{"name": "deep", "match": {"pathPrefix": "/deep"}, "public": true}]`)
	}
	slash, parameter, empty := config(`"encodedSlash": "keep"`), config(`"semicolon": "keep"`),
		config(`"emptySegment": "keep"`)
	named := strings.Replace(slash, `"organization": "org1"`, `"organization": "*"`, 1)
	return []Case{
		{Name: "encoded slash in a segment", Config: slash, Request: get("/open/a%2fb", ""), Want: isPublic,
			Fields: []string{encodedSlash}},
		{Name: "encoded slash is no end of a segment", Config: slash, Request: get("/open%2fa", First().Token()),
			Want: noRule},
		{Name: "encoded slash beside dots", Config: slash, Request: get("/open/..%2fb", ""), Want: badPath},
		{Name: "encoded slash encoded twice", Config: slash, Request: get("/open/a%252fb", ""), Want: badPath},
		{Name: "encoded slash, and another structure", Config: slash, Request: get("/open/a%2fb;c", ""), Want: badPath},
		{Name: "encoded slash in an organization", Config: named,
			Request: get("/t/a%2Fb/x", First().Token(Claims{"org_id": "a/b"})),
			Want:    passing(map[string][]string{"x-wso2-organization": {"a/b"}}), Fields: []string{encodedSlash}},
		{Name: "encoded slash in another organization", Config: named,
			Request: get("/t/a%2Fb/x", First().Token(Claims{"org_id": "a"})), Want: foreign},
		{Name: "semicolon in a segment", Config: parameter, Request: get("/open/a;b=c", ""), Want: isPublic,
			Fields: []string{semicolon}},
		{Name: "semicolon that is encoded", Config: parameter, Request: get("/open/a%3bb", ""), Want: isPublic,
			Fields: []string{semicolon}},
		{Name: "semicolon in a rule's segment", Config: parameter, Request: get("/open;x/a", First().Token()),
			Want: noRule},
		{Name: "semicolon and a dot segment", Config: parameter, Request: get("/open/a;b/../c", ""), Want: badPath},
		{Name: "semicolon behind dots", Config: parameter, Request: get("/open/..;b", ""), Want: badPath},
		{Name: "semicolon that is encoded, behind dots", Config: parameter, Request: get("/open/.%3bb", ""),
			Want: badPath},
		{Name: "empty segment", Config: empty, Request: get("/deep//x/y", ""), Want: isPublic,
			Fields: []string{emptySegment}},
		{Name: "empty segment first", Config: empty, Request: get("//deep/x", First().Token()), Want: noRule},
		{Name: "empty segment is no value", Config: empty, Request: get("/open//", First().Token()), Want: noRule},
		{Name: "empty segment and a dot segment", Config: empty, Request: get("/deep//x/./y", ""), Want: badPath},
	}
}

// organizationFields are where the required organization comes from.
func organizationFields() []Case {
	var cases []Case
	issuer := `, "organizationClaim": "org_id"`
	anyIssuer := func(top string) string {
		return strings.Replace(issued(issuer, top), `"organization": "org1"`, `"organization": "*"`, 1)
	}
	org2 := First().Token(Claims{"org_id": "org2"})
	passes := passing(map[string][]string{"x-wso2-organization": {"org2"}})
	request := Request{Host: "org2.api.example.com", Path: "/t/org2/x", Token: org2,
		RouteMetadata: map[[2]string]string{{"orgate", "organization"}: "org2"}}
	for field, c := range ordered(map[string]struct{ value, instead string }{
		"":                   {`"org2"`, `"org1"`},
		".fromHost":          {`{"fromHost": "{org}.api.example.com"}`, `"{org}.api.example.net"`},
		".fromPath":          {`{"fromPath": "/t/{org}/"}`, `"/{org}/"`},
		".fromRouteMetadata": {`{"fromRouteMetadata": "orgate.organization"}`, `"orgate.other"`},
	}) {
		cases = append(cases,
			Case{Name: "top level's organization" + field, Config: anyIssuer(`, "organization": ` + c.value),
				Request: request, Want: passes,
				Fields:  []string{"organization" + field},
				Instead: map[string]string{"organization" + field: c.instead}},
			Case{Name: "rule's organization" + field,
				Config:  anyIssuer(`, "organization": "org1", "rules": [{"organization": ` + c.value + `}]`),
				Request: request, Want: passes,
				Fields:  []string{"rules[].organization", "rules[].organization" + field},
				Instead: map[string]string{"rules[].organization" + field: c.instead}})
	}
	return append(cases,
		Case{Name: "rule for any organization",
			Config: anyIssuer(`, "organization": "org1", "rules": [{"organization": "*"}]`), Request: request,
			Want: passes, Fields: []string{"rules[].organization"}},
		Case{Name: "an organization like any other", Config: issued("", `, "organization": "apk-system"`),
			Request: get("/", First().Token()), Want: foreign, Fields: []string{"organization"}},
		Case{Name: "issuer for any organization", Config: anyIssuer(`, "organization": "org2"`), Request: request,
			Want: passes, Fields: []string{"issuers[].organization"},
			Instead: map[string]string{"issuers[].organization": `"org1"`}},
	)
}
