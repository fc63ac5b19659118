package advice_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"orgate/admin/advice"
	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host/hosttest"
)

// keys is where an issuer's keys come from in most tests.
const keys = `"signatureValidation": {"jwks": {"url": "https://idp.example/jwks", "cluster": "idp"}}`

// issuer is a sound one, with more members.
func issuer(members string) string {
	if members != "" {
		members = ", " + members
	}
	return `{"name": "idp", "issuer": "https://idp.example", "organization": "org1", "audiences": ["api"], ` + keys +
		members + `}`
}

// named is a sound issuer of its own name, "iss" and organization.
func named(name, members string) string {
	if members != "" {
		members = ", " + members
	}
	return fmt.Sprintf(`{"name": %[1]q, "issuer": "https://%[1]s.example", "organization": %[1]q, "audiences": `+
		`["api"], %[2]s%[3]s}`, name, keys, members)
}

// lines are the pieces of advice, each as "code path: message".
func lines(t *testing.T, document string) []string {
	t.Helper()
	r := advice.Read(document)
	if len(r.Errors) > 0 {
		t.Fatalf("errors: %v\n%s", r.Errors, document)
	}
	var all []string
	for _, a := range r.Warnings {
		all = append(all, a.Code+" "+a.Path+": "+a.Message)
	}
	return all
}

func TestAdviceOnIssuers(t *testing.T) {
	const (
		noAudience = "no-audience issuers[0].audiences: the audience is not checked: a token that idp issued for any " +
			"other service is good here, too"
		plain = "the keys come over plain http: whoever is on the way can put in one of their own and sign tokens " +
			"with it; use https, or pin the keys (pins)"
	)
	bare := `{"name": "idp", "issuer": "https://idp.example", "organization": "org1", ` + keys + `}`
	located := func(jwks string) string {
		return `{"name": "idp", "issuer": "https://idp.example", "organization": "org1", "audiences": ["a"], ` +
			`"signatureValidation": {"jwks": ` + jwks + `}}`
	}
	tenants := func(organization, members string) string {
		return `{"name": "idp", "issuer": "https://idp.example/{tid}/", "organization": ` + organization +
			`, "audiences": ["a"], ` + keys + `, ` + members + `}`
	}
	const cognitoAudience = `no-audience issuers[0].audiences: the audience is not checked, and access tokens of ` +
		`Cognito have none: in each rule, name the clients (consumerKeys) and ask for access tokens (claims: ` +
		`[{"claim": "token_use", "in": ["access"]}]), or any client of the user pool may call`
	const certificates = "x509-keys issuers[0].signatureValidation.jwks.url: these are certificates by key id, which " +
		"are read, too; the same keys as a JWK Set are at "
	cognito := `{"name": "idp", "issuer": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC", "organization": ` +
		`"org1", ` + keys + `}`
	for _, c := range []struct {
		name, document string
		want           []string
	}{
		{"nothing to say", `{"issuers": [` + issuer("") + `]}`, nil},
		{"no audience", `{"issuers": [` + bare + `]}`, []string{noAudience}},
		{"no audience but in each rule, one of which takes everything",
			`{"issuers": [` + bare +
				`], "rules": [{"audiences": ["a"], "match": {"path": "/a"}}, {"audiences": ["b"]}]}`, nil},
		{"no audience but in each rule that looks at tokens",
			`{"issuers": [` + bare + `], "rules": [{"match": {"path": "/a"}, "public": true}, {"audiences": ["b"]}]}`,
			nil},
		{"no audience but in a rule that does not take everything: the rest is refused",
			`{"issuers": [` + bare + `], "rules": [{"audiences": ["a"], "match": {"path": "/a"}}]}`, nil},
		{"no audience but in each alternative",
			`{"issuers": [` + bare + `], "rules": [{"anyOf": [{"audiences": ["a"]}, ` +
				`{"audiences": ["b"], "roles": ["x"]}]}]}`,
			[]string{
				`roles-without-claim rules[0].anyOf[1].roles: it asks for roles, and no issuer that may be used here ` +
					`has a rolesClaim: it holds for no token`}},
		{"no audience in one of the alternatives",
			`{"issuers": [` + bare + `], "rules": [{"anyOf": [{"audiences": ["a"]}, {"scopes": ["b"]}]}]}`,
			[]string{noAudience}},
		{"no audience in one of the rules",
			`{"issuers": [` + bare + `], "rules": [{"match": {"path": "/a"}}, {"audiences": ["b"]}]}`,
			[]string{noAudience}},
		{"keys over http", `{"issuers": [` + located(`{"url": "http://idp.example/jwks", "cluster": "idp"}`) + `]}`,
			[]string{"plain-http issuers[0].signatureValidation.jwks.url: " + plain}},
		{"discovery over http", `{"issuers": [` + located(`{"wellKnown": "HTTP://idp.example/d", "cluster": "idp"}`) +
			`]}`,
			[]string{"plain-http issuers[0].signatureValidation.jwks.wellKnown: " + plain}},
		{"introspection over http", `{"issuers": [{"name": "idp", "issuer": "https://idp.example", "organization": "org1",
			"audiences": ["a"], "introspection": {"url": "http://idp.example/i", "cluster": "idp"}}]}`,
			[]string{
				"plain-http issuers[0].introspection.url: tokens and the client's secret go over plain http: " +
					"whoever is " +
					"on the way has them, and can say that any token is good; use https"}},
		{"discovery in place of keys",
			`{"issuers": [` + located(`{"url": "https://idp.example/.well-known/openid-configuration", "cluster": "idp"}`) + `]}`,
			[]string{"jwks-url issuers[0].signatureValidation.jwks.url: this is the location of a discovery document, and " +
				"url is that of a JWK Set: write wellKnown instead, or the jwks_uri that is in the document"}},
		{"pinned keys over http",
			`{"issuers": [` + located(`{"url": "http://idp.example/jwks", "cluster": "idp", "pins": `+
				`["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"]}`) + `]}`, nil},
		{"keys written down", `{"issuers": [` + located(`{"inline": `+scenario.JWKS(scenario.First())+`}`) + `]}`, nil},
		{"shared", `{"issuers": [` + issuer(`"sharedAcrossOrganizations": true`) + `,
			{"name": "two", "issuer": "https://idp.example", "organization": "org2", "audiences": ["a"],
				"sharedAcrossOrganizations": true, ` + keys + `}], "organization": "org1"}`,
			[]string{
				`shared-issuer issuers[0].sharedAcrossOrganizations: a token of https://idp.example that names no ` +
					`organization may call the APIs of "org1" and "org2" alike`,
				`shared-issuer issuers[1].sharedAcrossOrganizations: a token of https://idp.example that names no ` +
					`organization may call the APIs of "org1" and "org2" alike`,
			}},
		{"many tenants, mapped", `{"organization": "org1", "issuers": [` + tenants(`"*"`, `"organizationClaim": "tid",
			"organizationMapping": {"t-1": "org1"}`) + `]}`, nil},
		{"many tenants, by a claim of their own",
			`{"issuers": [` + tenants(`"org1"`, `"organizationClaim": "org"`) + `]}`,
			[]string{
				"any-tenant issuers[0].organizationClaim: a tenant's administrators decide what its tokens say in it: " +
					`only "tid" is the provider's`}},
		{"every tenant", `{"organization": "org1", "issuers": [` + tenants(`"*"`, `"organizationClaim": "tid"`) + `]}`,
			[]string{"any-tenant issuers[0].organizationMapping: without one, every tenant of the provider is an " +
				"organization, also where a rule takes any"}},
		{"one tenant", `{"issuers": [` + tenants(`"t-1"`, `"organizationClaim": "tid"`) + `]}`, nil},
		{"shared with nobody", `{"issuers": [` + issuer(`"sharedAcrossOrganizations": true`) + `]}`,
			[]string{"shared-issuer issuers[0].sharedAcrossOrganizations: allows what nobody asks for: the issuer " +
				"stands under one organization"}},
		{"shared although the claim tells",
			`{"issuers": [` + issuer(`"sharedAcrossOrganizations": true, "organizationClaim": "org"`) + `,
			{"name": "two", "issuer": "https://idp.example", "organization": "org2", "audiences": ["a"],
				"organizationClaim": "org", ` + keys + `}], "organization": "org1"}`,
			[]string{"shared-issuer issuers[0].sharedAcrossOrganizations: allows what nobody asks for: the " +
				"organization claim tells the organizations apart"}},
		{"shared, and one claim tells where it is",
			`{"issuers": [` + issuer(`"sharedAcrossOrganizations": true, "organizationClaim": "org", `+
				`"missingOrganization": "issuer"`) + `,
			{"name": "two", "issuer": "https://idp.example", "organization": "org2", "audiences": ["a"],
				"organizationClaim": "org", ` + keys + `}], "organization": "org1"}`,
			[]string{
				`shared-issuer issuers[0].sharedAcrossOrganizations: a token of https://idp.example that names no ` +
					`organization may call the APIs of "org1" and "org2" alike`,
			}},
		{"shared, and told by different claims",
			`{"issuers": [` + issuer(`"sharedAcrossOrganizations": true, "organizationClaim": "org"`) + `,
			{"name": "two", "issuer": "https://idp.example", "organization": "org2", "audiences": ["a"],
				"organizationClaim": "tenant", ` + keys + `}], "organization": "org1"}`,
			[]string{
				`shared-issuer issuers[0].sharedAcrossOrganizations: a token of https://idp.example that proves ` +
					`several organizations by different claims may call the APIs of "org1" and "org2" alike`,
			}},
		{"clusters of Istio without a key for sharing",
			`{"issuers": [` + strings.Replace(issuer(""), `"cluster": "idp"`, `"cluster": "outbound|443||idp.example"`,
				1) + `]}`,
			[]string{`no-sharing-key sharing: Istio gives the plugin no vm_id of its own, so each worker fetches all ` +
				`keys for itself;` +
				` with a key, made by "openssl rand -base64 32", one of them fetches for all`}},
		{"clusters of Istio with a key for sharing",
			`{"issuers": [` + strings.Replace(issuer(""), `"cluster": "idp"`, `"cluster": "outbound|443||idp.example"`,
				1) + `],
			"sharing": {"key": "0123456789abcdef0123456789abcdef"}}`, nil},
		{"unmapped roles pass", `{"issuers": [` +
			issuer(`"rolesClaim": "roles", "excludeUnmappedRoles": false, "roleMappings": [
			{"remoteRole": "a", "localRole": "admin"}, {"remoteRole": "b", "localRole": "admin"},
				{"remoteRole": "c", "localRole": "user"}]`) + `]}`,
			[]string{`unmapped-roles issuers[0].excludeUnmappedRoles: a role that no mapping names passes under its ` +
				`own name:` +
				` whoever names roles at the provider can grant every local role ("admin" and "user")`}},
		{"unmapped roles without mappings",
			`{"issuers": [` + issuer(`"rolesClaim": "roles", "excludeUnmappedRoles": false`) + `]}`, nil},
		{"claims whose names could end at a dot", `{"issuers": [` +
			issuer(`"usernameClaim": "https://example.com/user.name", "organizationClaim": "https://e.x/org",
				"rolesClaim": "realm_access.roles", "scopesClaim": "urn:a.b", "consumerKeyClaim": "https://example.com",
				"claimMappings": [{"remoteClaim": ["https://e.x/a.b"], "localClaim": "x-a"},
					{"remoteClaim": "https://e.x/v1.0/plan", "localClaim": "x-b"}, {"remoteClaim": "https://e.x/c.d", "localClaim": "x-c"}],
				"requiredClaims": ["https://e.x/meta.v.1"]`) +
			`], "rules": [{"claims": [{"claim": "http://e.x/c.d", "in": ["a"]}]}]}`,
			[]string{
				dotted("issuers[0].usernameClaim", "https://example.com/user", "name"),
				dotted("issuers[0].claimMappings", "https://e.x/c", "d"),
				dotted("issuers[0].requiredClaims", "https://e.x/meta.v", "1"),
				dotted("rules[0].claims", "http://e.x/c", "d"),
			}},
		{"an organization claim whose name could end at a dot", `{"issuers": [` +
			issuer(`"organizationClaim": "https://e.x/org.id"`) + `]}`,
			[]string{dotted("issuers[0].organizationClaim", "https://e.x/org", "id")}},
		{"an organization claim that a mapping implies", `{"issuers": [` +
			issuer(`"claimMappings": [{"remoteClaim": "https://e.x/org.id", "localClaim": "x-wso2-organization"}]`) +
			`]}`,
			[]string{dotted("issuers[0].claimMappings", "https://e.x/org", "id")}},
		{"mapping that never leads to the organization",
			`{"issuers": [` + issuer(`"organizationClaim": "o", "organizationMapping": {"x": "org2"}`) + `]}`,
			[]string{
				`unprovable-organization issuers[0].organizationMapping: no value of the organization claim leads to ` +
					`"org1", which the issuer is bound to: all of its tokens are refused`,
			}},
		{"Cognito without an audience", `{"issuers": [` + cognito + `]}`, []string{cognitoAudience}},
		{"Cognito with clients and the kind of token in each rule", `{"issuers": [` + cognito + `], "rules": [` +
			`{"match": {"path": "/a"}, "consumerKeys": ["app"], "claims": [{"claim": "token_use", "in": ["access"]}]},` +
			`{"match": {"path": "/b"}, "audiences": ["api"]}, {"match": {"path": "/c"}, "public": true}]}`, nil},
		{"Cognito with clients alone", `{"issuers": [` + cognito + `], "rules": [{"consumerKeys": ["app"]}]}`,
			[]string{cognitoAudience}},
		{"Cognito with either kind of token", `{"issuers": [` + cognito + `], "rules": [{"consumerKeys": ["app"], ` +
			`"claims": [{"claim": "token_use", "in": ["access", "id"]}]}]}`, []string{cognitoAudience}},
		{"Cognito with the kind of token alone", `{"issuers": [` + cognito + `], "rules": [{"claims": [{"claim": ` +
			`"token_use", "in": ["access"]}]}]}`, []string{cognitoAudience}},
		{"clients of another provider are no audience",
			`{"issuers": [` + bare + `], "rules": [{"consumerKeys": ["app"], ` +
				`"claims": [{"claim": "token_use", "in": ["access"]}]}]}`, []string{noAudience}},
		{"Google's certificates", `{"issuers": [` + located(`{"url": "https://www.googleapis.com/oauth2/v1/certs", `+
			`"cluster": "idp"}`) + `]}`, []string{certificates + "https://www.googleapis.com/oauth2/v3/certs"}},
		{"Firebase's certificates", `{"issuers": [` + located(`{"url": "https://www.googleapis.com/robot/v1/metadata/`+
			`x509/securetoken@system.gserviceaccount.com", "cluster": "idp"}`) + `]}`,
			[]string{certificates + "https://www.googleapis.com/service_accounts/v1/jwk/" +
				"securetoken@system.gserviceaccount.com"}},
		{"Google's JWK Set", `{"issuers": [` + located(`{"url": "https://www.googleapis.com/oauth2/v3/certs", `+
			`"cluster": "idp"}`) + `]}`, nil},
		{"issuers of another environment are not looked at, and places are the document's",
			`{"environment": "prod", "issuers": [{"name": "dev", "issuer": "https://dev.example", "organization": ` +
				`"org1", "environments": ["dev"], ` + keys + `}, ` + bare + `]}`,
			[]string{strings.Replace(noAudience, "issuers[0]", "issuers[1]", 1)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := lines(t, c.document)
			// What follows from an issuer that proves nothing is another test's.
			got = slices.DeleteFunc(got,
				func(l string) bool { return strings.HasPrefix(l, "unprovable-organization organization:") })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("advice (-want +got):\n%s", diff)
			}
		})
	}
}

// dotted is the advice on a claim's name that could end at its last dot.
func dotted(path, claim, within string) string {
	return fmt.Sprintf("dotted-claim %s: %q is the claim of that name, or, in a token without one, %q in the longest "+
		"beginning that is a claim, such as %q; to say which, write [%[4]q, %[3]q]", path, claim+"."+within, within,
		claim)
}

func TestIssuersAsProvidersWriteThem(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://tenant.eu.auth0.com/": "",
		"https://tenant.eu.auth0.com": `Auth0 issues tokens with a slash after the domain: ` +
			`"https://tenant.eu.auth0.com/"`,
		"https://tenant.auth0.com/oauth": `Auth0 issues tokens with a slash after the domain: ` +
			`"https://tenant.auth0.com/"`,
		"https://notauth0.com":                        "",
		"https://login.microsoftonline.com/0000/v2.0": "",
		"https://login.microsoftonline.com/0000/v2.0/": `Entra ID issues tokens of version 2.0 without a slash at ` +
			`the end: "https://login.microsoftonline.com/0000/v2.0"`,
		"https://login.microsoftonline.com/0000/": `Entra ID issues tokens of version 2.0 as ` +
			`"https://login.microsoftonline.com/0000/v2.0", and those of version 1.0 as ` +
			`"https://sts.windows.net/0000/"`,
		"https://login.microsoftonline.com/common/v2.0": `Entra ID issues tokens with the tenant's id, never with ` +
			`"common"`,
		"https://sts.windows.net/0000/": "",
		"https://sts.windows.net/0000": `Entra ID issues tokens of version 1.0 with a slash at the ` +
			`end: "https://sts.windows.net/0000/"`,
		"https://dev.okta.com": "",
		"https://dev.okta.com/": `Okta issues tokens without a slash at the end: ` +
			`"https://dev.okta.com"`,
		"https://dev.okta.com/oauth2/default/": `Okta issues tokens without a slash at the end: ` +
			`"https://dev.okta.com/oauth2/default"`,
		"https://api.asgardeo.io/t/org1/oauth2/token": "",
		"https://api.asgardeo.io/t/org1/oauth2/token/": `Asgardeo issues tokens without a slash at the end: ` +
			`"https://api.asgardeo.io/t/org1/oauth2/token"`,
		"https://api.asgardeo.io/t/org1": `Asgardeo issues tokens with the token endpoint as issuer: ` +
			`"https://api.asgardeo.io/t/org1/oauth2/token"`,
		"https://sso.example/realms/org1": "",
		"https://sso.example/auth/realms/org1/": `Keycloak issues tokens without a slash at the end: ` +
			`"https://sso.example/auth/realms/org1"`,
		"https://is.example:9443/oauth2/token": "",
		"https://is.example:9443/oauth2/token/": `WSO2 Identity Server issues tokens without a slash at the end: ` +
			`"https://is.example:9443/oauth2/token"`,
		"https://auth.example/application/o/orders/": "",
		"https://auth.example/application/o/orders": `authentik issues tokens with a slash at the end: ` +
			`"https://auth.example/application/o/orders/"`,
		"https://accounts.google.com": "",
		"https://accounts.google.com/": `Google issues tokens without a slash at the end: ` +
			`"https://accounts.google.com"`,
		"accounts.google.com":                   `Google issues tokens with the scheme: "https://accounts.google.com"`,
		"https://securetoken.google.com/shop-1": "",
		"https://securetoken.google.com/shop-1/": `Firebase issues tokens without a slash at the end: ` +
			`"https://securetoken.google.com/shop-1"`,
		"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC": "",
		"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC/": `Cognito issues tokens without a slash at the ` +
			`end: "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC"`,
		"https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_AbC/": `Cognito issues tokens without a slash at ` +
			`the end: "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_AbC"`,
		"https://cognito-idp.example/pool/": "",
		"https://acme.cloudflareaccess.com": "",
		"https://acme.cloudflareaccess.com/": `Cloudflare Access issues tokens without a slash at the end: ` +
			`"https://acme.cloudflareaccess.com"`,
		"https://acme.b2clogin.com/0000/v2.0/": "",
		"https://acme.b2clogin.com/0000/v2.0": `Azure AD B2C issues tokens with a slash at the end: ` +
			`"https://acme.b2clogin.com/0000/v2.0/"`,
		"https://acme.b2clogin.com/tfp/0000/b2c_1_signin/v2.0/": "",
		"https://acme.b2clogin.com/tfp/0000/b2c_1_signin/v2.0": `Azure AD B2C issues tokens with a slash at the end: ` +
			`"https://acme.b2clogin.com/tfp/0000/b2c_1_signin/v2.0/"`,
		"https://acme.b2clogin.com/acme.onmicrosoft.com/B2C_1_signin/v2.0": `Azure AD B2C issues tokens with the ` +
			`tenant's id, without the policy and with a slash at the end: "https://acme.b2clogin.com/<tenant id>/v2.0/"`,
		"https://login.microsoftonline.com/{tenantid}/v2.0": `"{tenantid}" stands in Entra ID's discovery document ` +
			`where tokens have the tenant's id; "{tid}" stands for each token's own`,
		"https://sts.windows.net/{tenantid}/": `"{tenantid}" stands in Entra ID's discovery document where tokens ` +
			`have the tenant's id; "{tid}" stands for each token's own`,
		"https://idp.example/": "",
		"https://idp.example":  "",
		"urn:somebody":         "",
	} {
		t.Run(issuer, func(t *testing.T) {
			document := fmt.Sprintf(`{"issuers": [{"name": "idp", "issuer": %q, "organization": "org1", "audiences": `+
				`["api"], %s}]}`, issuer, keys)
			var wanted []string
			if want != "" {
				wanted = []string{"issuer-slash issuers[0].issuer: " + want}
			}
			if diff := cmp.Diff(wanted, lines(t, document)); diff != "" {
				t.Errorf("advice (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAdviceOnRules(t *testing.T) {
	for _, c := range []struct {
		name, rules string
		want        []string
	}{
		{"same path", `{"name": "a", "match": {"path": "/x"}}, {"name": "b", "match": {"path": "/x", "methods": ` +
			`["GET"]}}`,
			[]string{`unreachable-rule rules[1]: rule "b" is never reached: every request that it matches falls ` +
				`under rule "a" (rules[0]) before it`}},
		{"another method", `{"name": "a", "match": {"path": "/x", "methods": ["POST"]}}, {"name": "b", "match": ` +
			`{"path": "/x", "methods": ["GET"]}}`, nil},
		{"methods shared out", `{"name": "a", "match": {"methods": ["GET"]}}, {"name": "b", "match": {"methods": ` +
			`["POST"]}}, {"name": "c", "match": {"path": "/x", "methods": ["GET", "POST"]}}`,
			[]string{`unreachable-rule rules[2]: rule "c" is never reached: every request that it matches falls ` +
				`under rule "a" (rules[0]) and rule "b" (rules[1]) before it`}},
		{"one method is left", `{"name": "a", "match": {"methods": ["GET"]}}, {"name": "c", "match": {"path": "/x", ` +
			`"methods": ["GET", "POST"]}}`, nil},
		{"every method is more than some",
			`{"name": "a", "match": {"methods": ["GET"]}}, {"name": "c", "match": {"path": "/x"}}`, nil},
		{"prefix before what is below",
			`{"name": "a", "match": {"pathPrefix": "/x"}}, {"name": "b", "match": {"pathTemplate": "/x/{id}/**"}}, ` +
				`{"name": "c", "match": {"path": "/x"}}`,
			[]string{
				`unreachable-rule rules[1]: rule "b" is never reached: every request that it matches falls under ` +
					`rule "a" (rules[0]) before it`,
				`unreachable-rule rules[2]: rule "c" is never reached: every request that it matches falls under ` +
					`rule "a" (rules[0]) before it`,
			}},
		{"prefix with a slash is for what is below alone",
			`{"name": "a", "match": {"pathPrefix": "/x/"}}, {"name": "b", "match": {"path": "/x"}}, {"name": "c", ` +
				`"match": {"path": "/x/"}}`,
			[]string{`unreachable-rule rules[2]: rule "c" is never reached: every request that it matches falls ` +
				`under rule "a" (rules[0]) before it`}},
		{"path before the prefix",
			`{"name": "a", "match": {"path": "/x"}}, {"name": "b", "match": {"pathPrefix": "/x"}}`, nil},
		{"longer before shorter",
			`{"name": "a", "match": {"pathPrefix": "/x/y"}}, {"name": "b", "match": {"pathPrefix": "/x"}}`, nil},
		{"prefix is on segments",
			`{"name": "a", "match": {"pathPrefix": "/x"}}, {"name": "b", "match": {"path": "/xy"}}`, nil},
		{"placeholder does not stand for an empty segment",
			`{"name": "a", "match": {"pathTemplate": "/x/*"}}, {"name": "b", "match": {"path": "/x/"}}, {"name": ` +
				`"c", "match": {"path": "/x/y"}}`,
			[]string{`unreachable-rule rules[2]: rule "c" is never reached: every request that it matches falls ` +
				`under rule "a" (rules[0]) before it`}},
		{"literal does not stand for a placeholder",
			`{"name": "a", "match": {"path": "/x/y"}}, {"name": "b", "match": {"pathTemplate": "/x/*"}}`, nil},
		{"percent-encoding is no difference",
			`{"name": "a", "match": {"path": "/a+b"}}, {"name": "b", "match": {"path": "/a%2Bb"}}`,
			[]string{`unreachable-rule rules[1]: rule "b" is never reached: every request that it matches falls ` +
				`under rule "a" (rules[0]) before it`}},
		{"any path is more than all of them", `{"name": "a", "match": {"pathPrefix": "/"}}, {"name": "b"}`, nil},
		{"hosts below", `{"name": "a", "match": {"hosts": ["*.x.example"]}}, {"name": "b", "match": {"hosts": ` +
			`["a.b.x.example", "*.y.x.example"]}}`,
			[]string{`unreachable-rule rules[1]: rule "b" is never reached: every request that it matches falls ` +
				`under rule "a" (rules[0]) before it`}},
		{"the domain is not below itself",
			`{"name": "a", "match": {"hosts": ["*.x.example"]}}, {"name": "b", "match": {"hosts": ["x.example"]}}`,
			nil},
		{"one host is left", `{"name": "a", "match": {"hosts": ["x.example"]}}, {"name": "b", "match": {"hosts": ` +
			`["x.example", "y.example"]}}`, nil},
		{"any host", `{"name": "a", "match": {"hosts": ["x.example"]}}, {"name": "b"}`, nil},
		{"public takes all of a rule",
			`{"name": "a", "match": {"pathPrefix": "/x"}, "public": true}, {"name": "b", "match": {"path": "/x/y"}}`,
			[]string{`unreachable-rule rules[1]: rule "b" is never reached: every request that it matches falls ` +
				`under the public rule "a" (rules[0]) before it`}},
		{"public takes some methods",
			`{"name": "a", "match": {"pathPrefix": "/x", "methods": ["GET", "HEAD"]}, "public": true}, {"name": "b", ` +
				`"match": {"path": "/x/y"}}`,
			[]string{`public-wider rules[0].public: public rule "a" comes before rule "b" (rules[1]) and takes ` +
				`requests of it: GET and HEAD need no token there`}},
		{"public takes some hosts",
			`{"name": "a", "match": {"hosts": ["x.example"]}, "public": true}, {"name": "b", "match": {"hosts": ` +
				`["x.example", "y.example"]}}`,
			[]string{`public-wider rules[0].public: public rule "a" comes before rule "b" (rules[1]) and takes ` +
				`requests of it, which need no token there`}},
		{"public that is never reached",
			`{"name": "a", "match": {"pathPrefix": "/x"}}, {"name": "b", "match": {"pathPrefix": "/x"}, "public": ` +
				`true}`,
			[]string{`unreachable-rule rules[1]: rule "b" is never reached: every request that it matches falls ` +
				`under rule "a" (rules[0]) before it`}},
		{"public with other methods",
			`{"name": "a", "match": {"methods": ["GET"]}, "public": true}, {"name": "b", "match": {"methods": ` +
				`["POST"]}}`, nil},
		{"public and narrower", `{"name": "a", "match": {"path": "/health"}, "public": true}, {"name": "b"}`, nil},
		{"public after", `{"name": "a", "match": {"path": "/x/y", "methods": ["POST"]}}, {"name": "b", "match": ` +
			`{"pathPrefix": "/x"}, "public": true}`,
			[]string{`public-wider rules[1].public: public rule "b" is wider than rule "a" (rules[0]): what narrowly ` +
				`misses that one, by a slash at the end or another method, needs no token`}},
		{"roles that nobody has", `{"name": "a", "roles": ["admin"]}`,
			[]string{`roles-without-claim rules[0].roles: rule "a" asks for roles, and no issuer that may be used ` +
				`here has a rolesClaim: every request is refused`}},
		{"roles that nobody has, in an alternative",
			`{"name": "a", "anyOf": [{"scopes": ["x"]}, {"roles": ["admin"]}]}`,
			[]string{`roles-without-claim rules[0].anyOf[1].roles: it asks for roles, and no issuer that may be used ` +
				`here has a rolesClaim: it holds for no token`}},
		{"organization that nobody has", `{"name": "a", "organization": "org9"}`,
			[]string{`unprovable-organization rules[0].organization: no issuer can prove "org9": every request under ` +
				`rule "a" is refused`}},
		{"organization that the issuers of the rule do not have", `{"name": "a", "issuers": ["org2"]}`,
			[]string{`unprovable-organization rules[0].organization: no issuer that may be used here can prove ` +
				`"org1": every request under rule "a" is refused`}},
		{"organization from the request", `{"name": "a", "organization": {"fromPath": "/t/{org}/"}}`, nil},
		{"any organization", `{"name": "a", "organization": "*"}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			document := `{"organization": "org1", "issuers": [` + named("org1", "") + "," + named("org2", "") +
				`], "rules": [` + c.rules + `]}`
			got := lines(t, document)
			// That nothing falls back to the top level's organization is another test's.
			got = slices.DeleteFunc(got, func(l string) bool { return strings.HasPrefix(l, "unused-organization") })
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("advice (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOrganizationsThatCanBeProven(t *testing.T) {
	const top = `unprovable-organization organization: no issuer can prove "org9": every request is refused`
	for _, c := range []struct {
		name, issuer string
		want         []string
	}{
		{"the issuer's own", named("org9", ""), nil},
		{"another", named("org1", ""), []string{top}},
		{"claimed", `{"name": "i", "issuer": "i", "organization": "*", "organizationClaim": "o", "audiences": ["a"], ` +
			keys + `}`, nil},
		{"mapped", `{"name": "i", "issuer": "i", "organization": "*", "organizationClaim": "o", ` +
			`"organizationMapping": {"x": "org9"}, "audiences": ["a"], ` + keys + `}`, nil},
		{"not mapped", `{"name": "i", "issuer": "i", "organization": "*", "organizationClaim": "o", ` +
			`"organizationMapping": {"org9": "x"}, "audiences": ["a"], ` + keys + `}`, []string{top}},
		{"not mapped, and the issuer's own without the claim",
			named("org9", `"organizationClaim": "o", "organizationMapping": {"x": "y"}, "missingOrganization": `+
				`"issuer"`), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, lines(t, `{"organization": "org9", "issuers": [`+c.issuer+`]}`)); diff != "" {
				t.Errorf("advice (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAdviceOnTheTopLevelsOrganization: it matters to rules that name none, and,
// without rules, to every request.
func TestAdviceOnTheTopLevelsOrganization(t *testing.T) {
	const unused = `unused-organization organization: nothing requires it: each rule names its own organization,` +
		` and what matches no rule is refused; a last rule without match would leave the rest to this organization`
	for _, c := range []struct {
		name, top string
		want      []string
	}{
		{"no rules", `"organization": "org1"`, nil},
		{"a rule that names none",
			`"organization": "org1", "rules": [{"organization": "org1", "match": {"path": "/a"}}, {}]`, nil},
		{"rules that name their own",
			`"organization": "org1", "rules": [{"organization": "org1", "match": {"path": "/a"}}, {"match": {"path": ` +
				`"/b"}, "public": true}]`, []string{unused}},
		{"rules that name their own, and none at the top", `"rules": [{"organization": "org1"}]`, nil},
		{"a rule that names none, and nobody has it", `"organization": "org9", "rules": [{}]`,
			[]string{`unprovable-organization organization: no issuer can prove "org9": every request under a rule ` +
				`that names no organization is refused`}},
		{"rules that name their own, and nobody has the top's",
			`"organization": "org9", "rules": [{"organization": "org1"}]`, []string{unused}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, lines(t, `{"issuers": [`+named("org1", "")+`], `+c.top+`}`)); diff != "" {
				t.Errorf("advice (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMistakesAreThePlugins: what keeps the built plugin from starting is
// found here, and nothing else is.
func TestMistakesAreThePlugins(t *testing.T) {
	plugin := hosttest.Plugin(t)
	inline := func(validation string) string {
		return `{"issuers": [{"name": "a", "issuer": "a", "organization": "o", "signatureValidation": ` + validation +
			`}]}`
	}
	for name, document := range map[string]string{
		"fine":     `{"issuers": [` + issuer("") + `]}`,
		"empty":    "",
		"not JSON": "{\n  \"issuers\": [,]}",
		"errors everywhere": `{"issuers": [{"name": "a", "oops": 1}], "rulez": [], "limits": {"tokenBytes": ` +
			`1}}`,
		"broken PEM": inline(`{"certificate": {"certificateInline": "-----BEGIN ` +
			`CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}}`),
		"unusable inline keys": inline(`{"jwks": {"inline": {"keys": [{"kty": "EC"}, {"kty": "RSA"}]}}}`),
		"an unusable inline key": inline(`{"jwks": {"inline": {"keys": [{"kty": "EC"}, ` + scenario.First().JWK() +
			`]}}}`),
		"no inline key":      inline(`{"jwks": {"inline": {"keys": []}}}`),
		"usable inline keys": inline(`{"jwks": {"inline": ` + scenario.JWKS(scenario.First()) + `}}`),
		"usable PEM": inline(`{"certificate": {"certificateInline": ` + fmt.Sprintf("%q",
			scenario.First().PublicKey()) + `}}`),
		"broken PEM and broken set": inline(`{"certificate": {"certificateInline": "-----BEGIN X-----"}, "jwks": ` +
			`{"inline": {"keys": [{"kty": "oct"}]}}}`),
		"broken keys elsewhere": `{"environment": "p", "issuers": [{"name": "x", "issuer": "x", "organization": "o", ` +
			`"environments": ["d"], "signatureValidation": {"jwks": {"inline": {"keys": []}}}}, ` + issuer("") + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			worker, err := e2e.NewWorker(plugin, document)
			if err == nil {
				worker.VM.Close()
			} else {
				for line := range strings.SplitSeq(err.Error(), "\n") {
					if _, message, ok := strings.Cut(line, "configuration: "); ok {
						said = append(said, message)
					}
				}
			}
			r := advice.Read(document)
			var found []string
			for _, m := range r.Errors {
				message := m.Message
				switch {
				case m.Path == "" && !strings.Contains(said[0], "column"):
				case m.Path == "":
					message = fmt.Sprintf("line %d, column %d: %s", m.Line, m.Column, m.Message)
				default:
					message = m.Path + ": " + message
				}
				found = append(found, message)
			}
			if diff := cmp.Diff(said, found); diff != "" {
				t.Errorf("errors (-plugin +check):\n%s", diff)
			}
			if (r.Config == nil) != (err != nil) {
				t.Errorf("a configuration: %v, the plugin starts: %v", r.Config != nil, err == nil)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	r := advice.Read("{\n  \"issuers\": [" + issuer("") +
		"],\n  \"rules\": [\n    {\"roles\": [\"é\"], \"name\": \"r\"}\n  ]\n}")
	if len(r.Warnings) != 1 {
		t.Fatalf("advice %v", r.Warnings)
	}
	got := r.Warnings[0]
	got.Message = ""
	want := advice.Finding{Code: "roles-without-claim", Path: "rules[0].roles", Line: 4, Column: 15}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("finding (-want +got):\n%s", diff)
	}
	for path, want := range map[string][2]int{
		"":                                   {1, 1},
		"rules":                              {3, 12},
		"rules[0].match.path":                {4, 5},
		"rules[7].name":                      {3, 12},
		`rules[0]["odd.name"]`:               {4, 5},
		"issuers[0].signatureValidation":     {2, 133},
		"issuers[0].signatureValidation.x.y": {2, 133},
	} {
		line, column := r.Place(path)
		if got := [2]int{line, column}; got != want {
			t.Errorf("%s is at %v, want %v", path, got, want)
		}
	}
}
