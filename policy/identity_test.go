package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"orgate/config"
)

// rendered are claims and the headers they become.
var rendered = []struct {
	name, json    string
	want, problem string
}{
	{"string", `"gold"`, "gold", ""},
	{"string with a comma", `"Doe, Jane"`, "Doe, Jane", ""},
	{"string beyond ASCII", `"Zoë"`, "Zoë", ""},
	{"string with an escape", `"a\u0062"`, "ab", ""},
	{"empty string", `""`, "", ""},
	{"null", `null`, "", ""},
	{"number", `7`, "7", ""},
	{"number with the token's digits", `1.50e+03`, "1.50e+03", ""},
	{"number beyond any float", `123456789012345678901234567890`, "123456789012345678901234567890", ""},
	{"negative number", `-0`, "-0", ""},
	{"true", `true`, "true", ""},
	{"false", `false`, "false", ""},
	{"array of strings", `["a", "b"]`, "a,b", ""},
	{"array of scalars", `["a", 1.0, true]`, "a,1.0,true", ""},
	{"array with null and empty", `["a", null, "", "b"]`, "a,b", ""},
	{"array of null", `[null]`, "", ""},
	{"empty array", `[ ]`, "", ""},
	{"object", "{\"a\" : [1, \"b c\"],\n\"d\": {} }", `{"a":[1,"b c"],"d":{}}`, ""},
	{"object with an escaped quote", `{"a": "\" , \\" , "b": 1}`, `{"a":"\" , \\","b":1}`, ""},
	{"object with an escaped control character", `{"a": "\u0000\n"}`, `{"a":"\u0000\n"}`, ""},
	{"empty object", `{ }`, "", ""},
	{"array with an object", `["a,b", {"c": 1}]`, `["a,b",{"c":1}]`, ""},
	{"array with an array", `[["a"], "b"]`, `[["a"],"b"]`, ""},

	{"line end", `"a\r\nx-admin: 1"`, "", controlChar},
	{"NUL", `"a\u0000"`, "", controlChar},
	{"tab", `"a\tb"`, "", controlChar},
	{"DEL", `"a\u007f"`, "", controlChar},
	{"next line, U+0085", `"a\u0085b"`, "", controlChar},
	{"raw DEL in an object", "{\"a\": \"\x7f\"}", "", controlChar},
	{"line end in an array", `["a", "b\n"]`, "", controlChar},
	{"line end within an element", `["a", "b\nc"]`, "", controlChar},
	{"space before", `" admin"`, "", spaceAround},
	{"space after", `"admin "`, "", spaceAround},
	{"no-break space before", `"\u00a0admin"`, "", spaceAround},
	{"spaces alone", `" "`, "", spaceAround},
	{"element with a comma", `["a", "b,admin"]`, "", joinedSeparator},
	{"only element with a comma", `["b,admin"]`, "", joinedSeparator},
	{"element with space before", `["a", " admin"]`, "", spaceAround},
}

func TestClaimsAsHeaders(t *testing.T) {
	for _, tt := range rendered {
		t.Run(tt.name, func(t *testing.T) {
			claims := claimsOf(t, `"v":`+tt.json)
			v, ok := claims.Lookup("v")
			if !ok {
				t.Fatal("no claim")
			}
			got, problem := render(v, false)
			if problem != tt.problem || problem == "" && got != tt.want {
				t.Errorf("got %q, %q; want %q, %q", got, problem, tt.want, tt.problem)
			}
		})
	}
}

// TestListsAsJSON: nothing in a list makes it unfit but a control character.
func TestListsAsJSON(t *testing.T) {
	for _, tt := range []struct{ name, json, want, problem string }{
		{"string", `"a, b"`, "a, b", ""},
		{"array of strings", `["a", "b"]`, `["a","b"]`, ""},
		{"elements with a comma and space at their ends", `["CN=a, OU=b", " c "]`, `["CN=a, OU=b"," c "]`, ""},
		{"elements with quotes and backslashes", `["a\"b", "\\"]`, `["a\"b","\\"]`, ""},
		{"array of scalars", `["a", 1.0, true]`, `["a",1.0,true]`, ""},
		{"array of null and empty", `[null, ""]`, "", ""},
		{"empty array", `[]`, "", ""},
		{"line end in an array", `["b\n"]`, "", controlChar},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, ok := claimsOf(t, `"v":`+tt.json).Lookup("v")
			if !ok {
				t.Fatal("no claim")
			}
			got, problem := render(v, true)
			if problem != tt.problem || problem == "" && got != tt.want {
				t.Errorf("got %q, %q; want %q, %q", got, problem, tt.want, tt.problem)
			}
		})
	}
}

func TestIdentify(t *testing.T) {
	const (
		roles  = `"rolesClaim": "realm_access.roles"`
		mapped = roles + `, "roleMappings": [{"remoteRole": "r-admin", "localRole": "admin"},
			{"remoteRole": "r-admin", "localRole": "editor"}, {"remoteRole": "r-edit", "localRole": "editor"}]`
		claims = `"claimMappings": [{"remoteClaim": "tier", "localClaim": "X-Tier"},
			{"remoteClaim": "gone", "localClaim": "x-gone"}, {"remoteClaim": "never", "localClaim": "x-never"},
			{"remoteClaim": "address.city", "localClaim": "x-city"}]`
	)
	for _, tt := range []struct {
		name, issuer string
		token        string // besides iss and sub
		want         Identity
	}{
		{
			"username alone", ``, ``,
			Identity{},
		},
		{
			"scopes in a string", ``, `, "scope":" b  a b"`,
			Identity{Scopes: []string{"b", "a", "b"}, Headers: [][2]string{{"x-wso2-scopes", "b a b"}}},
		},
		{
			"scopes in an array", `"scopesClaim": "scp"`, `, "scp":["a","","b"]`,
			Identity{Scopes: []string{"a", "b"}, Headers: [][2]string{{"x-wso2-scopes", "a b"}}},
		},
		{
			"scopes null", ``, `, "scope":null`,
			Identity{},
		},
		{
			"consumer key", ``, `, "azp":"app","client_id":"other"`,
			Identity{ConsumerKey: "app", Headers: [][2]string{{"x-wso2-consumer-key", "app"}}},
		},
		{
			"consumer key from client_id", ``, `, "client_id":"app"`,
			Identity{ConsumerKey: "app", Headers: [][2]string{{"x-wso2-consumer-key", "app"}}},
		},
		{
			"consumer key from client_id where azp is empty", ``, `, "azp":"","client_id":"app"`,
			Identity{ConsumerKey: "app", Headers: [][2]string{{"x-wso2-consumer-key", "app"}}},
		},
		{
			"roles are not read unless asked for", ``, `, "realm_access":{"roles":7}`,
			Identity{},
		},
		{
			"roles without mappings", roles, `, "realm_access":{"roles":["b","a","b"]}`,
			Identity{Roles: []string{"b", "a"}, Headers: [][2]string{{"x-wso2-roles", "b,a"}}},
		},
		{
			"one role in a string", roles, `, "realm_access":{"roles":"site admin"}`,
			Identity{Roles: []string{"site admin"}, Headers: [][2]string{{"x-wso2-roles", "site admin"}}},
		},
		{
			"mapped roles", mapped, `, "realm_access":{"roles":["r-edit","r-admin","admin","cn=x,ou=y"]}`,
			Identity{Roles: []string{"editor", "admin"}, Headers: [][2]string{{"x-wso2-roles", "editor,admin"}}},
		},
		{
			"mapped roles and others", mapped + `, "excludeUnmappedRoles": false`,
			`, "realm_access":{"roles":["r-edit","x"]}`,
			Identity{Roles: []string{"editor", "x"}, Headers: [][2]string{{"x-wso2-roles", "editor,x"}}},
		},
		{
			"mapped claims", claims, `, "tier":["a",1],"address":{"city":"Köln"},"gone":null`,
			Identity{Headers: [][2]string{{"x-tier", "a,1"}, {"x-city", "Köln"}}},
		},
		{
			"required claim present", `"requiredClaims": ["tier"]`, `, "tier":false`,
			Identity{},
		},
		{
			"a number for a client", ``, `, "azp":7`,
			Identity{ConsumerKey: "7", Headers: [][2]string{{"x-wso2-consumer-key", "7"}}},
		},
		{
			"a client that the upstream would trim", ``, `, "azp":"app "`,
			Identity{ConsumerKey: "app ", LeftOut: []LeftOut{{"x-wso2-consumer-key", spaceAround}}},
		},
		{
			"an array for a client", ``, `, "azp":["app"]`,
			Identity{LeftOut: []LeftOut{{"x-wso2-consumer-key", notIdentifier}}},
		},
		{
			"a number for a scope", ``, `, "scope":1`,
			Identity{Scopes: []string{"1"}, Headers: [][2]string{{"x-wso2-scopes", "1"}}},
		},
		{
			"an object for scopes", ``, `, "scope":{"a":1}`,
			Identity{LeftOut: []LeftOut{{"x-wso2-scopes", notList}}},
		},
		{
			"scopes that are no text", ``, `, "scope":["a",null,{"b":1}]`,
			Identity{Scopes: []string{"a"}, LeftOut: []LeftOut{{"x-wso2-scopes", notText}}},
		},
		{
			"a scope with a space in an array", ``, `, "scope":["a admin"]`,
			Identity{Scopes: []string{"a admin"}, LeftOut: []LeftOut{{"x-wso2-scopes", joinedSeparator}}},
		},
		{
			"roles with commas", roles, `, "realm_access":{"roles":["CN=API Admins,OU=x","b"]}`,
			Identity{Roles: []string{"CN=API Admins,OU=x", "b"}, LeftOut: []LeftOut{{"x-wso2-roles", joinedSeparator}}},
		},
		{
			"a role that the upstream would trim", roles, `, "realm_access":{"roles":["x"," admin"]}`,
			Identity{Roles: []string{"x", " admin"}, LeftOut: []LeftOut{{"x-wso2-roles", spaceAround}}},
		},
		{
			"a role that is an object", roles, `, "realm_access":{"roles":["x",{"name":"admin"}]}`,
			Identity{Roles: []string{"x"}, LeftOut: []LeftOut{{"x-wso2-roles", notText}}},
		},
		{
			"a role that is an object and none that is mapped", mapped,
			`, "realm_access":{"roles":["r-edit",{"name":"admin"}]}`,
			Identity{Roles: []string{"editor"}, Headers: [][2]string{{"x-wso2-roles", "editor"}}},
		},
		{
			"an object of roles", `"rolesClaim": ["urn:zitadel:iam:org:project:roles"]`,
			`, "urn:zitadel:iam:org:project:roles":{"editor":{"1":"acme.example"},"viewer":{"1":"acme.example"}}`,
			Identity{Roles: []string{"editor", "viewer"}, Headers: [][2]string{{"x-wso2-roles", "editor,viewer"}}},
		},
		{
			"mapped claims that can't be written", claims, `, "tier":["a,b"],"address":{"city":"Köln "}`,
			Identity{LeftOut: []LeftOut{{"x-tier", joinedSeparator}, {"x-city", spaceAround}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := policyOf(t, []string{issuer("idp", "org1", tt.issuer)}, nil, `"forwardPayload": "x-payload"`)
			i, id, err := judged(t, p, p.rules[0], "org1", claimsOf(t, `"sub":"me"`+tt.token))
			if err != nil {
				t.Fatalf("issuer %v: %v", i, err)
			}
			tt.want.Organization, tt.want.Username = "org1", "me"
			tt.want.Headers = append([][2]string{{"x-wso2-organization", "org1"}, {"x-wso2-username", "me"}},
				tt.want.Headers...)
			if diff := cmp.Diff(tt.want, *id, cmpopts.IgnoreUnexported(Identity{})); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			checkHeaders(t, id.Headers)
		})
	}
}

// TestUsernames: who a token without a user's name speaks for.
func TestUsernames(t *testing.T) {
	for _, tt := range []struct{ name, missing, token, want string }{
		{"a name", "refuse", `"sub":"me","azp":"app"`, "me"},
		{"a number", "refuse", `"sub":12345678901234567890,"azp":"app"`, "12345678901234567890"},
		{"a name though the client could stand in", "consumerKey", `"sub":"me","azp":"app"`, "me"},
		{"the client for an absent name", "consumerKey", `"azp":"app"`, "app"},
		{"the client for an empty name", "consumerKey", `"sub":"","client_id":"app"`, "app"},
		{"the client for null", "consumerKey", `"sub":null,"azp":7`, "7"},
		{"no client either", "consumerKey", `"sub":""`, "refused"},
		{"nobody", "refuse", `"azp":"app"`, "refused"},
		{"nobody, and no header", "omit", `"azp":"app"`, ""},
		{"an empty name, and no header", "omit", `"sub":""`, ""},
		{"a name though it could be left out", "omit", `"sub":"me"`, "me"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := policyOf(t, []string{issuer("idp", "org1", `"missingUsername": `+quote(tt.missing))}, nil)
			_, id, err := judged(t, p, p.rules[0], "org1", claimsOf(t, tt.token))
			if refused := errors.Is(err, ErrMissingClaim); refused || err != nil {
				if !refused || tt.want != "refused" {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				return
			}
			header := ""
			for _, h := range id.Headers {
				if h[0] == "x-wso2-username" {
					header = h[1]
				}
			}
			if id.Username != tt.want || header != tt.want {
				t.Errorf("got %q, header %q, want %q", id.Username, header, tt.want)
			}
		})
	}
}

// TestOrganizationsInContainers: an organization is one, however it is written.
func TestOrganizationsInContainers(t *testing.T) {
	p := policyOf(t, []string{issuer("idp", "*", byClaim)}, nil, anyone)
	for written, want := range map[string]string{
		`"acme"`: "acme", `["acme"]`: "acme", `{"acme":{"id":"7d2"}}`: "acme", `{"ac\u006de":null}`: "acme",
		`4711`: "4711", `[4711]`: "4711", `12345678901234567890`: "12345678901234567890",
	} {
		_, id, err := judged(t, p, p.rules[0], config.Any, claimsOf(t, `"sub":"me","org":`+written))
		if err != nil || id.Organization != want {
			t.Errorf("%s: got %+v, %v, want %s", written, id, err, want)
		}
	}
}

func TestHeadersThatAreTurnedOff(t *testing.T) {
	p := policyOf(t, []string{issuer("idp", "org1",
		`"claimMappings": [{"remoteClaim": "t", "localClaim": "X-WSO2-Roles"}]`)}, nil,
		`"headers": {"username": "X-User", "organization": "", "consumerKey": "", "scopes": "", "roles": ""}`)
	_, id := identified(t, p, claimsOf(t, `"sub":"me","scope":["a b","c\n"],"azp":"app "`))
	if diff := cmp.Diff([][2]string{{"x-user", "me"}}, id.Headers); diff != "" || id.LeftOut != nil {
		t.Error(diff, id.LeftOut)
	}
}

// TestTokensRefusedByIdentify and not by a rule: these are enforced even where
// an issuer is in report-only mode.
func TestTokensRefusedByIdentify(t *testing.T) {
	const roles, tier = `"rolesClaim": "roles"`, `"claimMappings": [{"remoteClaim": "tier", "localClaim": "x-tier"}]`
	const machines = `"missingUsername": "consumerKey"`
	for _, tt := range []struct{ name, issuer, claims, want string }{
		{"username an array", ``, `"sub":["me"]`, "username claim: neither a string nor a number"},
		{"username a boolean", ``, `"sub":true`, "username claim: neither a string nor a number"},
		{"username with a line end", ``, `"sub":"me\nx"`, "username claim: a control character"},
		{"username that the upstream would trim", ``, `"sub":" admin"`, "username claim: space at an end"},
		{"client in the user's place that the upstream would trim", machines, `"azp":"app "`,
			"username claim: space at an end"},
		{"organization a boolean", byClaim, `"sub":"me","org":true`,
			"organization claim: neither a string nor a number"},
		{"organization empty", byClaim, `"sub":"me","org":""`, "organization claim: empty"},
		{"organizations in an array", byClaim, `"sub":"me","org":["org1","org2"]`,
			"organization claim: more than one value"},
		{"an organization twice in an array", byClaim, `"sub":"me","org":["org1","org1"]`,
			"organization claim: more than one value"},
		{"organizations in an object", byClaim, `"sub":"me","org":{"org1":{},"org2":{}}`,
			"organization claim: more than one value"},
		{"no organization in an array", byClaim, `"sub":"me","org":[]`, "organization claim: empty"},
		{"no organization in an object", byClaim, `"sub":"me","org":{}`, "organization claim: empty"},
		{"organization an array in an array", byClaim, `"sub":"me","org":[["org1"]]`,
			"organization claim: neither a string nor a number"},
		{"organization an object in an array", byClaim, `"sub":"me","org":[{"org1":{}}]`,
			"organization claim: neither a string nor a number"},
		{"organization without a name", byClaim, `"sub":"me","org":{"":{}}`, "organization claim: empty"},
		{"organization with a NUL", byClaim, `"sub":"me","org":"org1\u0000"`,
			"organization claim: a control character"},
		{"organization that the upstream would trim", byClaim, `"sub":"me","org":"org1 "`,
			"organization claim: space at an end"},
		{"scope with a line end", ``, `"sub":"me","scope":"a\nb"`, "scopes claim: a control character"},
		{"role with a control character", roles, `"sub":"me","roles":["a\u0001"]`, "roles claim: a control character"},
		{"role with a control character beside one with a comma", roles, `"sub":"me","roles":["a\u0001","b,c"]`,
			"roles claim: a control character"},
		{"consumer key with a control character", ``, `"sub":"me","client_id":"a\u0000"`,
			"consumer key claim: a control character"},
		{"mapped claim with a line end", tier, `"sub":"me","tier":"a\r\nb"`, "mapped claim: a control character"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := policyOf(t, []string{issuer("idp", "org1", tt.issuer)}, nil)
			id, err := p.groups[iss].issuers[0].Identify(claimsOf(t, tt.claims))
			if id != nil || !errors.Is(err, ErrClaim) || ByRule(err) || err.Error() != tt.want {
				t.Errorf("got %v, %v; want %s", id, err, tt.want)
			}
		})
	}
}

func TestAuthorize(t *testing.T) {
	any := func(field string, values ...string) string { return quote(field) + ": " + marshal(values) }
	all := func(field string, values ...string) string {
		return quote(field) + `: {"all": ` + marshal(values) + "}"
	}
	claim := func(name string, in ...string) string {
		return `"claims": [{"claim": ` + quote(name) + `, "in": ` + marshal(in) + `}]`
	}
	anyOf := func(alternatives ...string) string {
		return `"anyOf": [{` + strings.Join(alternatives, "}, {") + "}]"
	}
	const org2 = `"organization": "org2"`
	const token = `"sub":"me","scope":"read write","roles":["user","editor"],"azp":"app","tier":"gold","level":7.0,"vip":true,
		"aud":["b","c"],"groups":["a",2,null,{"x":1}],"none":null,"realm":{"tier":"silver"},"o":{"a":1}`
	for _, tt := range []struct {
		name, rule string
		token      string // "" for the one above
		want       error
	}{
		{"nothing asked", ``, "", nil},
		{"any scope, first", any("scopes", "read", "admin"), "", nil},
		{"any scope, second", any("scopes", "admin", "read"), "", nil},
		{"any scope, none", any("scopes", "admin", "READ"), "", ErrScope},
		{"any scope, token without scopes", any("scopes", "read"), `"sub":"me"`, ErrScope},
		{"all scopes", all("scopes", "write", "read"), "", nil},
		{"all scopes, one missing", all("scopes", "write", "admin"), "", ErrScope},
		{"all scopes, token without scopes", all("scopes", "write"), `"sub":"me"`, ErrScope},
		{"part of a scope", any("scopes", "rea"), "", ErrScope},
		{"any role", any("roles", "admin", "editor"), "", nil},
		{"any role, none", any("roles", "admin"), "", ErrRole},
		{"all roles", all("roles", "user", "editor"), "", nil},
		{"all roles, one missing", all("roles", "user", "admin"), "", ErrRole},
		{"scope is no role", any("roles", "read"), "", ErrRole},
		{"consumer key", any("consumerKeys", "x", "app"), "", nil},
		{"other consumer key", any("consumerKeys", "x"), "", ErrConsumerKey},
		{"no consumer key", any("consumerKeys", "app"), `"sub":"me"`, ErrConsumerKey},
		{"claim", claim("tier", "silver", "gold"), "", nil},
		{"claim with another value", claim("tier", "silver"), "", ErrClaimRule},
		{"claim in other letters", claim("tier", "Gold"), "", ErrClaimRule},
		{"claim absent", claim("gone", "x"), "", ErrClaimRule},
		{"claim null", claim("none", "null"), "", ErrClaimRule},
		{"claim a number", claim("level", "7.0"), "", nil},
		{"claim a number with other digits", claim("level", "7"), "", ErrClaimRule},
		{"claim a boolean", claim("vip", "true"), "", nil},
		{"claim a boolean, the other", claim("vip", "false"), "", ErrClaimRule},
		{"claim an array", claim("groups", "a"), "", nil},
		{"claim an array with a number", claim("groups", "2"), "", nil},
		{"claim an array without the value", claim("groups", "b", "null", `{"x":1}`), "", ErrClaimRule},
		{"claim an object", claim("o", `{"a":1}`), "", ErrClaimRule},
		{"claim in an object", claim("realm.tier", "silver"), "", nil},
		{"two claims", `"claims": [{"claim": "tier", "in": ["gold"]}, {"claim": "vip", "in": ["true"]}]`, "", nil},
		{"two claims, one wrong", `"claims": [{"claim": "tier", "in": ["gold"]}, {"claim": "vip", "in": ["false"]}]`,
			"", ErrClaimRule},
		{"organization before scope", org2 + ", " + any("scopes", "admin"), "", ErrOrganization},
		{"scope before role", any("scopes", "admin") + ", " + any("roles", "admin"), "", ErrScope},
		{"role before consumer key", any("roles", "admin") + ", " + any("consumerKeys", "x"), "", ErrRole},
		{"consumer key before claim", any("consumerKeys", "x") + ", " + claim("gone", "x"), "", ErrConsumerKey},
		{"any of two, the first", anyOf(any("scopes", "read"), any("roles", "admin")), "", nil},
		{"any of two, the second", anyOf(any("scopes", "admin"), any("roles", "user")), "", nil},
		{"any of two, none: the first one's refusal", anyOf(any("scopes", "admin"), any("roles", "admin")), "",
			ErrScope},
		{"any of two, none, in another order", anyOf(any("roles", "admin"), any("scopes", "admin")), "", ErrRole},
		{"an alternative asks for all that it says", anyOf(any("scopes", "read") + ", " + any("roles", "admin")), "",
			ErrRole},
		{"an alternative with all scopes", anyOf(all("scopes", "read", "admin"), all("scopes", "read", "write")), "",
			nil},
		{"an alternative for clients", anyOf(any("consumerKeys", "x")), "", ErrConsumerKey},
		{"an alternative for claims", anyOf(claim("tier", "silver"), claim("vip", "true")), "", nil},
		{"an alternative for claims of another value", anyOf(claim("tier", "silver")), "", ErrClaimRule},
		{"alternatives besides the rule's own", any("roles", "admin") + ", " + anyOf(any("scopes", "read")), "",
			ErrRole},
		{"the rule's own besides alternatives", any("roles", "user") + ", " + anyOf(any("scopes", "admin")), "",
			ErrScope},
		{
			"alternatives for an audience", anyOf(any("audiences", "a")+", "+any("scopes", "admin"),
				any("audiences", "b")),
			"", nil},
		{"alternatives for other audiences",
			any("audiences", "b") + ", " + anyOf(any("audiences", "x"), any("audiences", "y")), "", ErrClaimRule},
		{"an alternative for another issuer", anyOf(any("issuers", "other"), any("scopes", "read")), "", nil},
		{"an alternative for another issuer, refused", anyOf(any("issuers", "other"), any("scopes", "admin")), "",
			ErrScope},
		{"organization before alternatives", org2 + ", " + anyOf(any("scopes", "read")), "", ErrOrganization},
		{"missing username before organization", org2, `"scope":"read"`, ErrMissingClaim},
		{"null username", ``, `"sub":null`, ErrMissingClaim},
		{"empty username", ``, `"sub":""`, ErrMissingClaim},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// A rule before it asks for claims of its own.
			p := policyOf(t, []string{issuer("idp", "org1", `"rolesClaim": "roles"`),
				issuer("other", "org1", of("other"))},
				[]string{`{"match": {"path": "/x"}, ` + claim("other", "x") + "}", "{" + tt.rule + "}"})
			if tt.token == "" {
				tt.token = token
			}
			q := &Request{Method: "GET", Path: "/"}
			r, err := p.Route(q)
			if err != nil {
				t.Fatal(err)
			}
			required, err := r.RequiredOrganization(q)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = judged(t, p, r, required, claimsOf(t, `"other":"y",`+tt.token))
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if err != nil && !ByRule(err) {
				t.Errorf("%v is not by rule", err)
			}
		})
	}
}

func TestRequiredClaims(t *testing.T) {
	p := policyOf(t, []string{issuer("idp", "org1", `"requiredClaims": ["tier", "a.b"]`)}, nil)
	for token, want := range map[string]string{
		`"tier":"","a":{"b":0}`:        "",
		`"tier":[],"a.b":false`:        "",
		`"tier":null,"a":{"b":1}`:      "required claim: missing",
		`"a":{"b":1}`:                  "required claim: missing",
		`"tier":"gold","a":{"b":null}`: "required claim: missing",
		`"tier":"gold","a":1`:          "required claim: missing",
	} {
		i, id := identified(t, p, claimsOf(t, `"sub":"me",`+token))
		got := ""
		if err := p.rules[0].Authorize("org1", i, id); err != nil {
			if got = err.Error(); !errors.Is(err, ErrMissingClaim) || !errors.Is(err, ErrClaim) || !ByRule(err) {
				t.Errorf("%s: %v", token, err)
			}
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", token, got, want)
		}
	}
}

func TestErrorsSayNothingOfTokenOrConfiguration(t *testing.T) {
	for _, err := range []error{
		&ClaimError{Use: "required", Claim: config.ClaimName{Name: "secret"}, Problem: missing},
		&ScopeError{Scopes: []string{"secret"}, Challenge: "secret"},
		errNoOrganization, errNotBound, errNotMapped, errAsterisk, errSeveral, errOther, ErrNoRule, ErrRole,
		ErrConsumerKey, ErrClaimRule, ErrUnknownIssuer,
	} {
		if strings.Contains(err.Error(), "secret") || err.Error() == "" {
			t.Errorf("%q", err)
		}
	}
	for _, err := range []error{nil, ErrUnknownIssuer, ErrAmbiguousPath, ErrAmbiguousHost, ErrNoRule, errNoIdentity,
		ErrClaim,
		&ClaimError{Use: "username", Problem: empty}, errors.New("other")} {
		if ByRule(err) {
			t.Errorf("%v is by rule", err)
		}
	}
}

func TestScopeErrorTellsWhatTheRuleAsksFor(t *testing.T) {
	p := ruled(t, `{"scopes": {"all": ["a", "b"]}}`)
	i, id := identified(t, p, claimsOf(t, `"sub":"me"`))
	var scope *ScopeError
	if err := p.rules[0].Authorize("org1", i, id); !errors.As(err, &scope) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(&ScopeError{Scopes: []string{"a", "b"}, All: true, Challenge: "a b"}, scope); diff != "" {
		t.Error(diff)
	}
}

// TestNothingIsNoPermission: what was forgotten or mixed up is a fault of the
// caller. It is neither permission nor a refusal that report-only mode lets pass.
func TestNothingIsNoPermission(t *testing.T) {
	p := policyOf(t, []string{issuer("a", "org1"), issuer("b", "org1", of("b"))}, nil)
	a, id := identified(t, p, claimsOf(t, `"sub":"me"`))
	b := p.groups["b"].issuers[0]
	for _, tt := range []struct {
		name     string
		required string
		issuer   *Issuer
		id       *Identity
	}{
		{"no identity", "org1", a, nil},
		{"no issuer", "org1", nil, id},
		{"nothing at all", "", nil, nil},
		{"zero identity", "org1", a, &Identity{}},
		{"zero identity of no issuer", "org1", nil, &Identity{}},
		{"identity by another issuer", "org1", b, id},
		{"identity with an organization and no issuer", "org1", a, &Identity{Organization: "org1", Username: "me"}},
		{"identity without an organization", config.Any, a, &Identity{issuer: a}},
		{"identity of any organization", config.Any, a, &Identity{issuer: a, Organization: config.Any}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := p.rules[0].Authorize(tt.required, tt.issuer, tt.id)
			if err == nil || ByRule(err) || errors.Is(err, ErrClaim) {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := p.rules[0].Authorize("", a, id); !errors.Is(err, ErrOrganization) {
		t.Errorf("no organization required: %v", err)
	}
	if err := p.rules[0].Authorize("org1", a, id); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestIdentityHeaders(t *testing.T) {
	entry := issuer("idp", "org1",
		`"claimMappings": [{"remoteClaim": "t", "localClaim": "X-Tier"}, {"remoteClaim": "p", "localClaim": "-path"}]`)
	p := policyOf(t, []string{entry}, nil, `"headers": {"roles": "", "username": "X-User"}`,
		`"forwardPayload": "x-jwt-payload"`)
	for name, want := range map[string]bool{
		"x-tier": true, "X-Tier": true, "X_TIER": true, "x_tier": true, "x.tier": true, "x-wso2_organization": true,
		"-path": true, "x_orgate_report": true, "X-JWT_Payload": true, "x-user": true,
		// The default names of what is renamed and of what is off.
		"x-wso2-username": true, "X_WSO2_Username": true, "x-wso2-roles": true, "x_wso2_roles": true,
		"": false, ":path": false, ":": false, "x-tie": false, "x-tiers": false, "xtier": false, "y-tier": false,
		"x-wso2-role":   false,
		"authorization": false, strings.Repeat("x", 1000): false, "x-tier" + strings.Repeat(" ", 250): false,
	} {
		if got := p.IsIdentityHeader(name); got != want {
			t.Errorf("IsIdentityHeader(%q) = %v", name, got)
		}
	}
	for _, n := range []int{255, 256, 257, 1000} {
		name := "x-" + strings.Repeat("a", n-2)
		p := policyOf(t, []string{entry}, nil, `"forwardPayload": `+quote(name))
		if !p.IsIdentityHeader("X_"+name[2:]) || p.IsIdentityHeader(name+"a") {
			t.Errorf("a name of %d bytes is not told from others", n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { p.IsIdentityHeader("x_wso2_username") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAlternatives: which issuers and audiences a rule takes.
func TestAlternatives(t *testing.T) {
	entries := []string{issuer("a", "org1", of("a"), `"audiences": ["api"]`), issuer("b", "org1", of("b")),
		issuer("c", "org1", of("c"), `"audiences": ["api"]`)}
	for _, tt := range []struct {
		name, rule string
		want       map[string][]string // audiences by the issuers that are allowed
	}{
		{"no audiences", `"anyOf": [{"scopes": ["x"]}]`, map[string][]string{"a": {"api"}, "b": nil, "c": {"api"}}},
		{"audiences of its own", `"audiences": ["own"], "anyOf": [{"audiences": ["x"]}]`,
			map[string][]string{"a": {"own"}, "b": {"own"}, "c": {"own"}}},
		{"audiences in each", `"anyOf": [{"audiences": ["x"]}, {"audiences": ["y"]}]`,
			map[string][]string{"a": {"x", "y"}, "b": {"x", "y"}, "c": {"x", "y"}}},
		{"audiences in one", `"anyOf": [{"audiences": ["x"]}, {"scopes": ["y"]}]`,
			map[string][]string{"a": {"x", "api"}, "b": nil, "c": {"x", "api"}}},
		{"one for an issuer", `"anyOf": [{"issuers": ["a"], "audiences": ["x"]}, {"scopes": ["y"]}]`,
			map[string][]string{"a": {"x", "api"}, "b": nil, "c": {"api"}}},
		{"each for an issuer", `"anyOf": [{"issuers": ["a"]}, {"issuers": ["b"], "audiences": ["x"]}]`,
			map[string][]string{"a": {"api"}, "b": {"x"}}},
		{"for an issuer that the rule does not take", `"issuers": ["b", "c"], "anyOf": [{"issuers": ["a", "b"]}]`,
			map[string][]string{"b": nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := policyOf(t, entries, []string{"{" + tt.rule + "}"})
			got := map[string][]string{}
			for iss := range p.groups {
				proof, err := p.Proof(payloadClaims(t, `{"iss":`+quote(iss)+`}`))
				if err != nil {
					t.Fatal(err)
				}
				if i, err := proof.Issuer(p.rules[0], "org1"); err == nil {
					got[iss] = p.rules[0].Audiences(i)
				} else if !errors.Is(err, ErrUnknownIssuer) {
					t.Error(err)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
