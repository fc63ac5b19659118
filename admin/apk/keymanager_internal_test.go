package apk

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestKeyManagersTokens: which tokens are a Key Manager's, and what proves them,
// with the fields that package config does not read yet, and without.
func TestKeyManagersTokens(t *testing.T) {
	const uuid = `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}`
	rsa := []string{"RS256", "RS384", "RS512"}
	jwks := func(url, cluster string) validation { return validation{JWKS: &location{URL: url, Cluster: cluster}} }
	auth0 := settings{Name: "Auth0", Issuer: "https://tenant.us.auth0.com/", Organization: "carbon.super",
		Algorithms:          rsa,
		SignatureValidation: jwks("https://tenant.us.auth0.com/.well-known/jwks.json", "idp-tenant-us-auth0-com"),
		ScopesClaim:         "scope", ConsumerKeyClaim: "azp"}
	wellKnown := settings{Name: "Auth0", Issuer: "https://tenant.us.auth0.com/", Organization: "carbon.super",
		Algorithms: rsa, SignatureValidation: validation{JWKS: &location{Cluster: "idp-tenant-us-auth0-com",
			WellKnown: "https://tenant.us.auth0.com/.well-known/openid-configuration"}}}
	opaque := settings{Name: "WSO2 IS", Issuer: "https://is.acme.test:9443/oauth2/token", Organization: "carbon.super",
		Algorithms:          rsa,
		SignatureValidation: jwks("https://is.acme.test:9443/oauth2/jwks", "idp-is-acme-test-9443")}
	introspected := settings{Name: "Okta", Issuer: "https://acme.okta.com/oauth2/default", Organization: "carbon.super",
		Algorithms: rsa}
	for _, c := range []struct {
		file         string
		fieldsToCome bool
		want         settings
		with         func(*settings)
		problem      string
	}{
		{file: "auth0.json", want: auth0},
		{file: "auth0.json", fieldsToCome: true, want: auth0},
		{file: "well-known.json", want: wellKnown},
		{file: "opaque.json", want: opaque},
		{file: "opaque.json", fieldsToCome: true, want: opaque, with: func(s *settings) {
			s.TokenHandling = &handling{"CUSTOM", jwtPattern + "|.*(?:" + uuid + ").*"}
			s.Introspection = &introspection{"https://is.acme.test:9443/oauth2/introspect", "idp-is-acme-test-9443",
				"gateway", fromEnvironment{"ORGATE_WSO2_IS_SECRET"}}
		}},
		{file: "introspected.json", want: introspected,
			problem: "the tokens are to be introspected, which the plugin cannot do"},
		{file: "introspected.json", fieldsToCome: true, want: introspected, with: func(s *settings) {
			s.TokenHandling = &handling{"REFERENCE", ".*(?:^opaque-[a-z]+$).*"}
			s.Introspection = &introspection{"https://acme.okta.com/oauth2/default/v1/introspect", "idp-acme-okta-com",
				"gateway", fromEnvironment{"ORGATE_OKTA_SECRET"}}
		}},
	} {
		name := c.file
		if c.fieldsToCome {
			name += " with the fields to come"
		}
		t.Run(name, func(t *testing.T) {
			withFieldsToCome(t, c.fieldsToCome)
			text, err := os.ReadFile("testdata/keymanagers/" + c.file)
			if err != nil {
				t.Fatal(err)
			}
			c.want.MissingUsername = "omit"
			if c.with != nil {
				c.with(&c.want)
			}
			im := read([]Source{{Name: "x", Text: string(text)}}, Options{TrustedCA: "/ca"})
			im.document()
			if diff := cmp.Diff(c.want, im.issuers[0].settings); diff != "" {
				t.Errorf("issuer (-want +got):\n%s", diff)
			}
			problem := ""
			for _, f := range im.findings {
				if f.Problem {
					problem += f.Message
				}
			}
			if problem != c.problem {
				t.Errorf("problem %q, want %q", problem, c.problem)
			}
		})
	}
}

// TestAnywhere: an expression for the whole token finds what API Manager finds.
func TestAnywhere(t *testing.T) {
	tokens := []string{"", "a", "ab", "xab", "abx", "xabx", "b", "xb", "a$", "xa$x"}
	for _, expression := range []string{"ab", "^ab", "ab$", "^ab$", "^a|b$", `a\$`, "a", "a*$"} {
		find, whole := regexp.MustCompile(expression), regexp.MustCompile("^(?:"+anywhere(expression)+")$")
		for _, token := range tokens {
			if find.MatchString(token) != whole.MatchString(token) {
				t.Errorf("%s finds %q: %v; %s: %v", expression, token, find.MatchString(token), whole,
					whole.MatchString(token))
			}
		}
	}
}
