package scenario

import (
	"fmt"
	"strings"
)

// Sent is what providers put in their tokens and clients in their requests, as
// they are.
func Sent() []Case {
	var cases []Case
	for _, group := range [][]Case{
		sentWithoutUsers(), sentLists(), sentIdentifiers(), sentTwice(), sentBySomebody(), sentPaths(), sentOnTheWeb(),
	} {
		for _, c := range group {
			c.Name = "sent: " + c.Name
			cases = append(cases, c)
		}
	}
	return cases
}

// upstream is a verdict: the request passes with these headers, and no other
// identity.
func upstream(headers map[string][]string) Want {
	return Want{Status: 200, Reason: "ok", Upstream: headers}
}

// sentWithoutUsers are tokens of machines.
func sentWithoutUsers() []Case {
	machine := func(claims ...Claims) Request {
		return get("/", First().Token(append([]Claims{{"sub": nil, "azp": nil, "scope": nil}}, claims...)...))
	}
	stands, omitted := issued(`, "missingUsername": "consumerKey"`), issued(`, "missingUsername": "omit"`)
	access := issued(`, "missingUsername": "consumerKey", "consumerKeyClaim": "common_name"`)
	return []Case{
		{Name: "IdentityServer4: a machine has client_id alone", Config: stands,
			Request: machine(Claims{"client_id": "m2m.client", "scope": []string{"api1"}}),
			Want: upstream(map[string][]string{"x-wso2-organization": {"org1"}, "x-wso2-username": {"m2m.client"},
				"x-wso2-consumer-key": {"m2m.client"}, "x-wso2-scopes": {"api1"}})},
		{Name: "Keycloak: a lightweight token", Config: omitted,
			Request: machine(Claims{"azp": "daemon", "typ": "Bearer"}),
			Want:    upstream(map[string][]string{"x-wso2-organization": {"org1"}, "x-wso2-consumer-key": {"daemon"}})},
		{Name: "Cloudflare Access: an empty sub", Config: access,
			Request: machine(Claims{"sub": "", "common_name": "88bf3b6d.access", "type": "app"}),
			Want: upstream(map[string][]string{"x-wso2-organization": {"org1"}, "x-wso2-username": {"88bf3b6d.access"},
				"x-wso2-consumer-key": {"88bf3b6d.access"}})},
		{Name: "oauth2-mock-server: nobody at all", Config: omitted, Request: machine(),
			Want: upstream(map[string][]string{"x-wso2-organization": {"org1"}})},
		{Name: "nobody at all, where somebody has to stand in", Config: stands, Request: machine(),
			Want: invalid("claim")},
		{Name: "a machine, by default", Config: issued(""), Request: machine(Claims{"client_id": "m"}),
			Want: invalid("claim")},
		{Name: "a user, where machines come as well", Config: stands, Request: get("/", First().Token()),
			Want: isAlice},
	}
}

// sentLists are claims that no header can carry joined with commas.
func sentLists() []Case {
	const directory = "CN=API Admins,OU=Groups,DC=example"
	const by = `, "rolesClaim": "groups", "claimMappings": [{"remoteClaim": "name", "localClaim": "x-name"}]`
	member := First().Token(Claims{"groups": []string{directory, "staff"}})
	guids := func(n int) (groups []string) {
		for i := range n {
			groups = append(groups, fmt.Sprintf("%08x-0000-4000-8000-%012x", i, i*i))
		}
		return groups
	}
	zitadel := `, "rolesClaim": "urn:zitadel:iam:org:project:roles"`
	ofZitadel := First().Raw(`"urn:zitadel:iam:org:project:roles":{"editor":{"2651":"acme.zitadel.cloud"},` +
		`"viewer":{"2651":"acme.zitadel.cloud"}}`)
	auth0 := issued(`, "rolesClaim": "https://example.com/app_metadata.roles"`, `, "rules": [{"roles": ["admin"]}]`)
	cases := []Case{
		{Name: "roles with commas, and no rule", Config: issued(by), Request: get("/", member), Want: isAlice},
		{Name: "roles with commas, and a rule that asks for none",
			Config:  issued(by, `, "rules": [{"scopes": ["profile"]}]`),
			Request: get("/", member), Want: isAlice},
		{Name: "roles with commas, and a rule that asks for one",
			Config:  issued(by, `, "rules": [{"roles": {"all": ["`+directory+`", "staff"]}}]`),
			Request: get("/", member), Want: isAlice},
		{Name: "roles with commas are not two", Config: issued(by, `, "rules": [{"roles": ["CN=API Admins"]}]`),
			Request: get("/", member), Want: Want{Status: 403, Code: "900908", Reason: "role"}},
		{Name: "roles with commas, and no header for them", Config: issued(by, `, "headers": {"roles": ""}`),
			Request: get("/", member), Want: isAlice},
		{Name: "roles with commas, report only", Config: issued(by + `, "reportOnly": true`), Request: get("/", member),
			Want: isAlice},
		{Name: "roles with commas, mapped", Request: get("/", member),
			Want:   passing(map[string][]string{"x-wso2-roles": {"admin"}}),
			Config: issued(by + `, "roleMappings": [{"remoteRole": "` + directory + `", "localRole": "admin"}]`)},
		{Name: "roles with commas, as JSON", Config: issued(by, `, "headers": {"lists": "json"}`),
			Request: get("/", member),
			Want: passing(map[string][]string{"x-wso2-roles": {`["` + directory + `","staff"]`},
				"x-wso2-scopes": {`["orders:read","profile"]`}})},
		{Name: "a name with a blank at its end", Config: issued(by),
			Request: get("/", First().Token(Claims{"name": "Alice "})),
			Want:    passing(map[string][]string{"x-name": nil})},
		{Name: "Zitadel: an object of roles", Config: issued(zitadel), Request: get("/", ofZitadel),
			Want: passing(map[string][]string{"x-wso2-roles": {"editor,viewer"}})},
		{Name: "Zitadel: an object of roles, one asked for",
			Config:  issued(zitadel, `, "rules": [{"roles": ["viewer"]}]`),
			Request: get("/", ofZitadel), Want: passing(map[string][]string{"x-wso2-roles": {"editor,viewer"}})},
		{Name: "Auth0: roles in a claim with a dot in its name", Config: auth0,
			Request: get("/", First().Token(Claims{
				"https://example.com/app_metadata": Claims{"roles": []string{"admin"}},
				"https://example":                  Claims{"com/app_metadata": Claims{"roles": []string{"nobody"}}}})),
			Want: passing(map[string][]string{"x-wso2-roles": {"admin"}})},
	}
	entra := Claims{"oid": "8f4c1d52-7a0e-4b1b-9d1e-2f6b0c3d4e5f", "tid": "72f988bf-86f1-41af-91ab-2d7cd011db47",
		"rh": "0.AQEAv4j5cvGGr0GRqy180BHbR1-2CQABCDEFGHIJKLMNOP", "uti": "1pJ0Xb7yVkWn7bqZ6YwAAA", "ver": "2.0",
		"acr": "1",
		"amr": []string{"pwd", "mfa"}, "ipaddr": "203.0.113.7", "unique_name": "alice@contoso.example",
		"app_displayname": "Orders",
		"wids":            []string{"62e90394-69f5-4237-9190-012177145e10", "b79fbf4d-3ef9-4689-8143-76b194e85509"}}
	for n := 140; n <= 200; n += 60 {
		groups := guids(n)
		cases = append(cases, Case{Name: fmt.Sprintf("Entra: %d groups", n), Config: issued(by),
			Request: get("/", First().Token(entra, Claims{"groups": groups})),
			Want:    passing(map[string][]string{"x-wso2-roles": {strings.Join(groups, ",")}})})
	}
	return append(cases, Case{Name: "Entra: more groups than anybody reads", Config: issued(by),
		Request: get("/", First().Token(Claims{"groups": guids(400)})), Want: invalid("too_large")})
}

// sentIdentifiers are names and organizations that are no strings.
func sentIdentifiers() []Case {
	const by = `, "organizationClaim": "organization"`
	acme := strings.Replace(issued(by), `"organization": "org1"`, `"organization": "acme"`, 1)
	mapped := issued(by + `, "organizationMapping": {"4711": "org1", "acme": "org1"}`)
	says := func(organization string) Request { return get("/", First().Raw(`"organization":`+organization)) }
	isOf := func(organization string) Want {
		return passing(map[string][]string{"x-wso2-organization": {organization}})
	}
	numbered := strings.Replace(issued(`, "organizationClaim": "tenant_id"`), `"organization": "org1"`,
		`"organization": "4711"`, 1)
	return []Case{
		{Name: "Keycloak: an organization in an array", Config: acme, Request: says(`["acme"]`), Want: isOf("acme")},
		{Name: "Keycloak: an organization with its id", Config: acme, Request: says(`{"acme":{"id":"42c3e46f"}}`),
			Want: isOf("acme")},
		{Name: "Keycloak: an organization, mapped", Config: mapped, Request: says(`{"acme":{"id":"42c3e46f"}}`),
			Want: isAlice},
		{Name: "Keycloak: two organizations in an array", Config: acme, Request: says(`["acme","other"]`),
			Want: invalid("claim")},
		{Name: "Keycloak: two organizations with their ids", Config: acme,
			Request: says(`{"acme":{"id":"1"},"other":{"id":"2"}}`),
			Want:    invalid("claim")},
		{Name: "Keycloak: another organization", Config: acme, Request: says(`["other"]`), Want: foreign},
		{Name: "an organization that is a number", Config: mapped, Request: says(`4711`), Want: isAlice},
		{Name: "a tenant that is a number", Config: numbered, Request: get("/", First().Raw(`"tenant_id":4711`)),
			Want: isOf("4711")},
		{Name: "a user that is a number", Config: issued(""),
			Request: get("/", First().Raw(`"sub":12345678901234567890`, Claims{"sub": nil})),
			Want:    as("12345678901234567890")},
	}
}

// sentTwice are tokens in two places, and cookies as they are written.
func sentTwice() []Case {
	config := issued("", `, "tokenSources": {"cookies": ["token"], "query": ["access_token"]}`)
	good, other := First().Token(), First().Token(Claims{"jti": "another"})
	cookie := func(value string) [2]string { return [2]string{"cookie", value} }
	clean := passing(map[string][]string{"cookie": {"theme=dark; lang=si"}, ":path": {"/"}})
	return []Case{
		{Name: "one token in a header and a cookie", Config: config, Want: clean,
			Request: get("/", good, cookie("theme=dark; token="+good+"; lang=si"))},
		{Name: "one token in a header, a cookie and the query", Config: config, Want: clean,
			Request: get("/?access_token="+good, good, cookie("theme=dark; token="+good+"; lang=si"))},
		{Name: "two tokens in a header and a cookie", Config: config, Want: invalid("several_tokens"),
			Request: get("/", good, cookie("token="+other))},
		{Name: "a cookie in quotes", Config: config,
			Request: get("/", "", cookie(`theme=dark; token="`+good+`"; lang=si`)),
			Want:    clean},
		{Name: "a cookie with Bearer", Config: config,
			Request: get("/", "", cookie("theme=dark; token=Bearer "+good+"; lang=si")),
			Want:    clean},
		{Name: "a cookie with Bearer, in quotes, and a header", Config: config,
			Request: get("/", good, cookie(`theme=dark; token="bearer `+good+`"; lang=si`)), Want: clean},
	}
}

// sentBySomebody are a user's token and a daemon's, and a public API's own
// credentials.
func sentBySomebody() []Case {
	entra := issued(`, "scopesClaim": "scp", "rolesClaim": "roles"`,
		`, "rules": [{"match": {"pathPrefix": "/orders"}, "anyOf": [{"scopes": ["Orders.Read"]},
			{"roles": ["Orders.Read.All"]}]}]`)
	sent := func(claims Claims) Request { return get("/orders", First().Token(Claims{"scope": nil}, claims)) }
	public := issued("", `, "rules": [{"match": {"pathPrefix": "/hooks"}, "public": true, "forwardToken": true},
		{"match": {"pathPrefix": "/assets"}, "public": true}]`)
	return []Case{
		{Name: "Entra: a user with a scope", Config: entra, Request: sent(Claims{"scp": "openid Orders.Read"}),
			Want: passing(map[string][]string{"x-wso2-scopes": {"openid Orders.Read"}})},
		{Name: "Entra: a daemon with a role", Config: entra,
			Request: sent(Claims{"roles": []string{"Orders.Read.All"}}),
			Want:    passing(map[string][]string{"x-wso2-scopes": nil, "x-wso2-roles": {"Orders.Read.All"}})},
		{Name: "Entra: neither", Config: entra,
			Request: sent(Claims{"scp": "openid", "roles": []string{"Orders.Write.All"}}),
			Want: Want{Status: 403, Code: "900910", Reason: "scope", Response: map[string][]string{"www-authenticate": {
				`Bearer realm="orgate", error="insufficient_scope", scope="Orders.Read"`}}}},
		{Name: "a public API's own credentials", Config: public, Request: get("/hooks/1", "of-the-api"),
			Want: Want{Status: 200, Reason: "public",
				Upstream: map[string][]string{"authorization": {"Bearer of-the-api"}}}},
		{Name: "what a public API has no use for", Config: public, Request: get("/assets/1", "of-the-api"),
			Want: isPublic},
	}
}

// sentPaths are paths that some upstreams take as they are, and a bad host.
func sentPaths() []Case {
	rules := `, "rules": [{"match": {"pathPrefix": "/api"}}, {"match": {"hosts": ["api.example"]}}]`
	refuse := issued("", rules)
	keep := issued("", rules, `, "paths": {"encodedSlash": "keep", "semicolon": "keep", "emptySegment": "keep"}`)
	cases := []Case{{Name: "a host that is none", Config: keep,
		Request: Request{Host: "api.exa mple", Path: "/api", Token: First().Token()},
		Want:    Want{Status: 400, Reason: "path", Body: &badHostBody}}}
	for _, path := range []string{
		"/api/v4/projects/ns%2Fproject", "/@scope%2fpkg", "/api/a;jsessionid=1", "//v1", "/api//v1",
	} {
		cases = append(cases,
			Case{Name: "kept: " + path, Config: keep, Request: get(path, First().Token()),
				Want: passing(map[string][]string{":path": {path}})},
			Case{Name: "not kept: " + path, Config: refuse, Request: get(path, First().Token()), Want: badPath})
	}
	return append(cases, Case{Name: "kept, and dots all the same", Config: keep,
		Request: get("/api/..%2Fv1", First().Token()), Want: badPath})
}

var badHostBody = `{"error_message":"Bad Request",` +
	`"error_description":"The request's host can be read in more than one way."}`

// sentOnTheWeb are requests of browsers: gRPC-Web and WebSockets.
func sentOnTheWeb() []Case {
	sockets := issued("", `, "tokenSources": {"headers": [{"name": "sec-websocket-protocol", "prefix": "bearer, "}]}`)
	const protocol = "sec-websocket-protocol"
	good := First().Token()
	web := Want{Status: 200, Reason: "missing", GRPC: 16,
		Response: map[string][]string{"grpc-status": {"16"}, "content-type": {"application/grpc-web+proto"}}}
	return []Case{
		{Name: "gRPC-Web without a token", Config: issued(""),
			Request: Request{Method: "POST", Headers: Headers{{"content-type", "application/grpc-web+proto"}}},
			Want:    web},
		{Name: "a WebSocket with a token and a protocol", Config: sockets,
			Request: get("/", "", [2]string{protocol, "graphql-ws, bearer, " + good}),
			Want:    passing(map[string][]string{protocol: {"graphql-ws"}})},
		{Name: "a WebSocket with a token before the protocol", Config: sockets,
			Request: get("/", "", [2]string{protocol, "bearer, " + good + ", graphql-ws"}),
			Want:    passing(map[string][]string{protocol: {"graphql-ws"}})},
		{Name: "a WebSocket with a token alone", Config: sockets,
			Request: get("/", "", [2]string{protocol, "bearer, " + good}),
			Want:    passing(map[string][]string{protocol: nil})},
	}
}
