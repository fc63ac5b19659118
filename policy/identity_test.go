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
	{"line end in an array", `["a", "b\n"]`, "", spaceAround},
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
			claims := claimsOf(t, `{"iss":"`+iss+`","v":`+tt.json+`}`)
			v, ok := claims.Lookup("v")
			if !ok {
				t.Fatal("no claim")
			}
			got, problem := render(v)
			if problem != tt.problem || problem == "" && got != tt.want {
				t.Errorf("got %q, %q; want %q, %q", got, problem, tt.want, tt.problem)
			}
		})
	}
}

func TestIdentify(t *testing.T) {
	roles := func(i *config.Issuer) { i.RolesClaim = named("realm_access.roles") }
	mapped := func(i *config.Issuer) {
		roles(i)
		i.RoleMappings = []config.RoleMapping{{RemoteRole: "r-admin", LocalRole: "admin"}, {RemoteRole: "r-admin", LocalRole: "editor"}, {RemoteRole: "r-edit", LocalRole: "editor"}}
	}
	claims := func(pairs ...string) func(*config.Issuer) {
		return func(i *config.Issuer) {
			for n := 0; n < len(pairs); n += 2 {
				i.ClaimMappings = append(i.ClaimMappings, config.ClaimMapping{RemoteClaim: named(pairs[n]), LocalClaim: pairs[n+1]})
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*config.Issuer)
		token  string // besides iss and sub
		want   Identity
	}{
		{
			"username alone", nil, ``,
			Identity{},
		},
		{
			"scopes in a string", nil, `,"scope":" b  a b"`,
			Identity{Scopes: []string{"b", "a", "b"}, Headers: [][2]string{{"x-wso2-scopes", "b a b"}}},
		},
		{
			"scopes in an array", func(i *config.Issuer) { i.ScopesClaim = named("scp") }, `,"scp":["a","","b"]`,
			Identity{Scopes: []string{"a", "b"}, Headers: [][2]string{{"x-wso2-scopes", "a b"}}},
		},
		{
			"scopes null", nil, `,"scope":null`,
			Identity{},
		},
		{
			"consumer key", nil, `,"azp":"app","client_id":"other"`,
			Identity{ConsumerKey: "app", Headers: [][2]string{{"x-wso2-consumer-key", "app"}}},
		},
		{
			"consumer key from client_id", nil, `,"client_id":"app"`,
			Identity{ConsumerKey: "app", Headers: [][2]string{{"x-wso2-consumer-key", "app"}}},
		},
		{
			"consumer key from client_id where azp is empty", nil, `,"azp":"","client_id":"app"`,
			Identity{ConsumerKey: "app", Headers: [][2]string{{"x-wso2-consumer-key", "app"}}},
		},
		{
			"roles are not read unless asked for", nil, `,"realm_access":{"roles":7}`,
			Identity{},
		},
		{
			"roles without mappings", roles, `,"realm_access":{"roles":["b","a","b"]}`,
			Identity{Roles: []string{"b", "a"}, Headers: [][2]string{{"x-wso2-roles", "b,a"}}},
		},
		{
			"one role in a string", roles, `,"realm_access":{"roles":"site admin"}`,
			Identity{Roles: []string{"site admin"}, Headers: [][2]string{{"x-wso2-roles", "site admin"}}},
		},
		{
			"mapped roles", mapped, `,"realm_access":{"roles":["r-edit","r-admin","admin","cn=x,ou=y"]}`,
			Identity{Roles: []string{"editor", "admin"}, Headers: [][2]string{{"x-wso2-roles", "editor,admin"}}},
		},
		{
			"mapped roles and others", func(i *config.Issuer) { mapped(i); i.ExcludeUnmappedRoles = false }, `,"realm_access":{"roles":["r-edit","x"]}`,
			Identity{Roles: []string{"editor", "x"}, Headers: [][2]string{{"x-wso2-roles", "editor,x"}}},
		},
		{
			"mapped claims", claims("tier", "X-Tier", "address.city", "x-city", "gone", "x-gone"), `,"tier":["a",1],"address":{"city":"Köln"},"gone":null`,
			Identity{Headers: [][2]string{{"x-tier", "a,1"}, {"x-city", "Köln"}}},
		},
		{
			"mapping to the username header does not replace it", claims("email", "X-WSO2_Username"), `,"email":"x"`,
			Identity{},
		},
		{
			"mapping to the organization header does not replace it", claims("o", "x-wso2-organization"), `,"o":"org2"`,
			Identity{},
		},
		{
			"mapping to the roles header, without roles", claims("o", "x-wso2-roles"), `,"o":"admin"`,
			Identity{},
		},
		{
			"mapping to the report header", claims("o", ReportHeader), `,"o":"x"`,
			Identity{},
		},
		{
			"mapping to the payload's header", claims("o", "X-Payload"), `,"o":"x"`,
			Identity{},
		},
		{
			"two mappings to one header", claims("a", "x-a", "b", "x_a"), `,"a":"1","b":"2"`,
			Identity{Headers: [][2]string{{"x-a", "1"}}},
		},
		{
			"required claim present", func(i *config.Issuer) { i.RequiredClaims = []config.ClaimName{named("tier")} }, `,"tier":false`,
			Identity{},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entry := issuer("idp", "org1")
			if tt.change != nil {
				tt.change(&entry)
			}
			p := New(&config.Config{Issuers: []config.Issuer{entry}, Headers: defaultHeaders, ForwardPayload: "x-payload"})
			token := claimsOf(t, `{"iss":"`+iss+`","sub":"me"`+tt.token+`}`)
			i, err := p.Issuer(p.rest, "org1", token)
			if err != nil {
				t.Fatal(err)
			}
			id, err := i.Identify(token)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Organization, tt.want.Username = "org1", "me"
			tt.want.Headers = append([][2]string{{"x-wso2-organization", "org1"}, {"x-wso2-username", "me"}}, tt.want.Headers...)
			if diff := cmp.Diff(tt.want, *id, cmpopts.IgnoreUnexported(Identity{})); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			checkHeaders(t, id.Headers)
			if err := p.rest.Authorize("org1", i, id); err != nil {
				t.Errorf("not authorized: %v", err)
			}
		})
	}
}

func TestHeadersThatAreTurnedOff(t *testing.T) {
	p := New(&config.Config{Issuers: []config.Issuer{issuer("idp", "org1")}, Headers: config.Headers{Username: "x-user"}})
	token := claimsOf(t, `{"iss":"`+iss+`","sub":"me","scope":"a","azp":"app"}`)
	id, err := p.groups[iss].issuers[0].Identify(token)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][2]string{{"x-user", "me"}}, id.Headers); diff != "" {
		t.Error(diff)
	}
}

// TestTokensRefusedByIdentify and not by a rule: these are enforced even where
// an issuer is in report-only mode.
func TestTokensRefusedByIdentify(t *testing.T) {
	roles := func(i *config.Issuer) { i.RolesClaim = named("roles") }
	tier := func(i *config.Issuer) {
		i.ClaimMappings = []config.ClaimMapping{{RemoteClaim: named("tier"), LocalClaim: "x-tier"}}
	}
	for _, tt := range []struct {
		name   string
		change func(*config.Issuer)
		claims string
		want   string
	}{
		{"username not a string", nil, `"sub":7`, "username claim: not a string"},
		{"username empty", nil, `"sub":""`, "username claim: empty"},
		{"username with a line end", nil, `"sub":"me\nx"`, "username claim: a control character"},
		{"username that the upstream would trim", nil, `"sub":" admin"`, "username claim: space at an end"},
		{"organization not a string", byClaim, `"sub":"me","org":["org1"]`, "organization claim: not a string"},
		{"organization empty", byClaim, `"sub":"me","org":""`, "organization claim: empty"},
		{"organization with a NUL", byClaim, `"sub":"me","org":"org1\u0000"`, "organization claim: a control character"},
		{"organization that the upstream would trim", byClaim, `"sub":"me","org":"org1 "`, "organization claim: space at an end"},
		{"scope a number", nil, `"sub":"me","scope":1`, "scopes claim: neither a string nor an array of strings"},
		{"scope an object", nil, `"sub":"me","scope":{}`, "scopes claim: neither a string nor an array of strings"},
		{"scope with a number in it", nil, `"sub":"me","scope":["a",1]`, "scopes claim: neither a string nor an array of strings"},
		{"scope with null in it", nil, `"sub":"me","scope":["a",null]`, "scopes claim: neither a string nor an array of strings"},
		{"scope with a space in an array", nil, `"sub":"me","scope":["a admin"]`, "scopes claim: an element with the separator in it"},
		{"scope with a line end", nil, `"sub":"me","scope":"a\nb"`, "scopes claim: a control character"},
		{"roles a boolean", roles, `"sub":"me","roles":true`, "roles claim: neither a string nor an array of strings"},
		{"role with a comma", roles, `"sub":"me","roles":["a,admin"]`, "roles claim: an element with the separator in it"},
		{"role with a control character", roles, `"sub":"me","roles":["a\u0001"]`, "roles claim: a control character"},
		{"role that the upstream would trim", roles, `"sub":"me","roles":["x"," admin"]`, "roles claim: space at an end"},
		{"consumer key a number", nil, `"sub":"me","azp":7`, "consumer key claim: not a string"},
		{"consumer key with a control character", nil, `"sub":"me","client_id":"a\u0000"`, "consumer key claim: a control character"},
		{"mapped claim with a line end", tier, `"sub":"me","tier":"a\r\nb"`, "mapped claim: a control character"},
		{"mapped array with a comma", tier, `"sub":"me","tier":["a,b"]`, "mapped claim: an element with the separator in it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entry := issuer("idp", "org1")
			if tt.change != nil {
				tt.change(&entry)
			}
			p := New(&config.Config{Issuers: []config.Issuer{entry}, Headers: defaultHeaders})
			id, err := p.groups[iss].issuers[0].Identify(claimsOf(t, `{"iss":"`+iss+`",`+tt.claims+`}`))
			if id != nil || !errors.Is(err, ErrClaim) || ByRule(err) || err.Error() != tt.want {
				t.Errorf("got %v, %v; want %s", id, err, tt.want)
			}
		})
	}
}

func TestAuthorize(t *testing.T) {
	any := func(values ...string) config.AnyOrAll { return config.AnyOrAll{Values: values} }
	all := func(values ...string) config.AnyOrAll { return config.AnyOrAll{Values: values, All: true} }
	claim := func(name string, in ...string) config.Rule {
		return config.Rule{Claims: []config.ClaimRule{{Claim: named(name), In: in}}}
	}
	const token = `"sub":"me","scope":"read write","roles":["user","editor"],"azp":"app","tier":"gold","level":7.0,"vip":true,
		"groups":["a",2,null,{"x":1}],"none":null,"realm":{"tier":"silver"},"o":{"a":1}`
	for _, tt := range []struct {
		name  string
		rule  config.Rule
		token string // "" for the one above
		want  error
	}{
		{"nothing asked", config.Rule{}, "", nil},
		{"any scope, first", config.Rule{Scopes: any("read", "admin")}, "", nil},
		{"any scope, second", config.Rule{Scopes: any("admin", "read")}, "", nil},
		{"any scope, none", config.Rule{Scopes: any("admin", "READ")}, "", ErrScope},
		{"any scope, token without scopes", config.Rule{Scopes: any("read")}, `"sub":"me"`, ErrScope},
		{"all scopes", config.Rule{Scopes: all("write", "read")}, "", nil},
		{"all scopes, one missing", config.Rule{Scopes: all("write", "admin")}, "", ErrScope},
		{"all scopes, token without scopes", config.Rule{Scopes: all("write")}, `"sub":"me"`, ErrScope},
		{"all of no scopes", config.Rule{Scopes: all()}, "", nil},
		{"part of a scope", config.Rule{Scopes: any("rea")}, "", ErrScope},
		{"any role", config.Rule{Roles: any("admin", "editor")}, "", nil},
		{"any role, none", config.Rule{Roles: any("admin")}, "", ErrRole},
		{"all roles", config.Rule{Roles: all("user", "editor")}, "", nil},
		{"all roles, one missing", config.Rule{Roles: all("user", "admin")}, "", ErrRole},
		{"scope is no role", config.Rule{Roles: any("read")}, "", ErrRole},
		{"consumer key", config.Rule{ConsumerKeys: []string{"x", "app"}}, "", nil},
		{"other consumer key", config.Rule{ConsumerKeys: []string{"x"}}, "", ErrConsumerKey},
		{"no consumer key", config.Rule{ConsumerKeys: []string{"app"}}, `"sub":"me"`, ErrConsumerKey},
		{"no consumer key and an empty one in the rule", config.Rule{ConsumerKeys: []string{""}}, `"sub":"me"`, ErrConsumerKey},
		{"claim", claim("tier", "silver", "gold"), "", nil},
		{"claim with another value", claim("tier", "silver"), "", ErrClaimRule},
		{"claim in other letters", claim("tier", "Gold"), "", ErrClaimRule},
		{"claim absent", claim("gone", "x"), "", ErrClaimRule},
		{"claim absent, empty asked for", claim("gone", ""), "", ErrClaimRule},
		{"claim null", claim("none", "null", ""), "", ErrClaimRule},
		{"claim a number", claim("level", "7.0"), "", nil},
		{"claim a number with other digits", claim("level", "7"), "", ErrClaimRule},
		{"claim a boolean", claim("vip", "true"), "", nil},
		{"claim a boolean, the other", claim("vip", "false"), "", ErrClaimRule},
		{"claim an array", claim("groups", "a"), "", nil},
		{"claim an array with a number", claim("groups", "2"), "", nil},
		{"claim an array without the value", claim("groups", "b", "null", `{"x":1}`), "", ErrClaimRule},
		{"claim an object", claim("o", `{"a":1}`), "", ErrClaimRule},
		{"claim in an object", claim("realm.tier", "silver"), "", nil},
		{"two claims", config.Rule{Claims: []config.ClaimRule{{Claim: named("tier"), In: []string{"gold"}}, {Claim: named("vip"), In: []string{"true"}}}}, "", nil},
		{"two claims, one wrong", config.Rule{Claims: []config.ClaimRule{{Claim: named("tier"), In: []string{"gold"}}, {Claim: named("vip"), In: []string{"false"}}}}, "", ErrClaimRule},
		{"claim rule without values", claim("tier"), "", ErrClaimRule},
		{"organization before scope", config.Rule{Organization: literally("org2"), Scopes: any("admin")}, "", ErrOrganization},
		{"scope before role", config.Rule{Scopes: any("admin"), Roles: any("admin")}, "", ErrScope},
		{"role before consumer key", config.Rule{Roles: any("admin"), ConsumerKeys: []string{"x"}}, "", ErrRole},
		{"consumer key before claim", config.Rule{ConsumerKeys: []string{"x"}, Claims: claim("gone", "x").Claims}, "", ErrConsumerKey},
		{"missing username before organization", config.Rule{Organization: literally("org2")}, `"scope":"read"`, ErrMissingClaim},
		{"null username", config.Rule{}, `"sub":null`, ErrMissingClaim},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entry := issuer("idp", "org1", func(i *config.Issuer) { i.RolesClaim = named("roles") })
			p := New(&config.Config{
				// A rule before it asks for claims of its own.
				Rules:        []config.Rule{{Match: config.Match{Path: "/x"}, Claims: claim("other", "x").Claims}, tt.rule},
				Issuers:      []config.Issuer{entry},
				Organization: literally("org1"), Headers: defaultHeaders,
			})
			if tt.token == "" {
				tt.token = token
			}
			claims := claimsOf(t, `{"iss":"`+iss+`","other":"y",`+tt.token+`}`)
			q := &Request{Method: "GET", Path: "/"}
			r, err := p.Route(q)
			if err != nil {
				t.Fatal(err)
			}
			required, err := r.RequiredOrganization(q)
			if err != nil {
				t.Fatal(err)
			}
			i, err := p.Issuer(r, required, claims)
			if err != nil {
				t.Fatal(err)
			}
			id, err := i.Identify(claims)
			if err != nil {
				t.Fatal(err)
			}
			err = r.Authorize(required, i, id)
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
	p := New(&config.Config{Issuers: []config.Issuer{issuer("idp", "org1", func(i *config.Issuer) {
		i.RequiredClaims = []config.ClaimName{named("tier"), named("a.b")}
	})}})
	for token, want := range map[string]string{
		`"tier":"","a":{"b":0}`:        "",
		`"tier":[],"a.b":false`:        "",
		`"tier":null,"a":{"b":1}`:      "required claim: missing",
		`"a":{"b":1}`:                  "required claim: missing",
		`"tier":"gold","a":{"b":null}`: "required claim: missing",
		`"tier":"gold","a":1`:          "required claim: missing",
	} {
		i := p.groups[iss].issuers[0]
		id, err := i.Identify(claimsOf(t, `{"iss":"`+iss+`","sub":"me",`+token+`}`))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := p.rest.Authorize("org1", i, id); err != nil {
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
		&ClaimError{Use: "required", Claim: named("secret"), Problem: missing},
		&ScopeError{Scopes: []string{"secret"}, Challenge: "secret"},
		errNoOrganization, errNotBound, errOther, errUndecided, ErrRole, ErrConsumerKey, ErrClaimRule, ErrUnknownIssuer,
	} {
		if strings.Contains(err.Error(), "secret") || err.Error() == "" {
			t.Errorf("%q", err)
		}
	}
	for _, err := range []error{nil, ErrUnknownIssuer, ErrAmbiguousPath, ErrClaim, &ClaimError{Use: "username", Problem: empty}, errors.New("other")} {
		if ByRule(err) {
			t.Errorf("%v is by rule", err)
		}
	}
}

func TestScopeErrorTellsWhatTheRuleAsksFor(t *testing.T) {
	entry := issuer("idp", "org1")
	p := New(&config.Config{
		Issuers: []config.Issuer{entry}, Headers: defaultHeaders,
		Rules: []config.Rule{{Scopes: config.AnyOrAll{Values: []string{"a", "b"}, All: true}}},
	})
	i := p.groups[iss].issuers[0]
	id, err := i.Identify(claimsOf(t, `{"iss":"`+iss+`","sub":"me"}`))
	if err != nil {
		t.Fatal(err)
	}
	var scope *ScopeError
	if err := p.rules[0].Authorize("org1", i, id); !errors.As(err, &scope) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(&ScopeError{Scopes: []string{"a", "b"}, All: true, Challenge: "a b"}, scope); diff != "" {
		t.Error(diff)
	}
}

// TestNothingIsNoPermission: what was forgotten or mixed up is refused.
func TestNothingIsNoPermission(t *testing.T) {
	p := New(&config.Config{
		Issuers: []config.Issuer{issuer("a", "org1"), issuer("b", "org1", of("b"))}, Headers: defaultHeaders,
		Organization: literally("org1"),
	})
	a, b := p.groups[iss].issuers[0], p.groups["b"].issuers[0]
	id, err := a.Identify(claimsOf(t, `{"iss":"`+iss+`","sub":"me"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		required string
		issuer   *Issuer
		id       *Identity
	}{
		{"no organization required", "", a, id},
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
			if err := p.rest.Authorize(tt.required, tt.issuer, tt.id); !errors.Is(err, ErrOrganization) {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := p.rest.Authorize("org1", a, id); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestIdentityHeaders(t *testing.T) {
	entry := issuer("idp", "org1", func(i *config.Issuer) {
		i.ClaimMappings = []config.ClaimMapping{{RemoteClaim: named("t"), LocalClaim: "X-Tier"}, {RemoteClaim: named("p"), LocalClaim: "-path"}}
	})
	headers := defaultHeaders
	headers.Roles = ""
	p := New(&config.Config{Issuers: []config.Issuer{entry}, Headers: headers, ForwardPayload: "x-jwt-payload"})
	want := []string{"-path", "x-jwt-payload", "x-orgate-report", "x-tier", "x-wso2-consumer-key", "x-wso2-organization", "x-wso2-scopes", "x-wso2-username"}
	if diff := cmp.Diff(want, p.StripHeaders()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for name, want := range map[string]bool{
		"x-tier": true, "X-Tier": true, "X_TIER": true, "x_tier": true, "x.tier": true, "x-wso2_username": true,
		"x_orgate_report": true, "X-JWT_Payload": true,
		"": false, ":path": false, ":": false, "x-tie": false, "x-tiers": false, "xtier": false, "y-tier": false, "x-wso2-roles": false, "authorization": false,
		strings.Repeat("x", 1000): false, "x-tier" + strings.Repeat(" ", 250): false,
	} {
		if got := p.IsIdentityHeader(name); got != want {
			t.Errorf("IsIdentityHeader(%q) = %v", name, got)
		}
	}
	for _, name := range p.StripHeaders() {
		if !p.IsIdentityHeader(name) {
			t.Errorf("%s is to be stripped and not an identity header", name)
		}
	}
	for _, n := range []int{255, 256, 257, 1000} {
		name := "x-" + strings.Repeat("a", n-2)
		p := New(&config.Config{Issuers: []config.Issuer{entry}, ForwardPayload: name})
		if !p.IsIdentityHeader("X_"+name[2:]) || p.IsIdentityHeader(name+"a") {
			t.Errorf("a name of %d bytes is not told from others", n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { p.IsIdentityHeader("x_wso2_username") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
