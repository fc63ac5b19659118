package advice_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/admin/advice"
)

// TestYAML: YAML is read as JSON is, and findings have the places of the YAML.
func TestYAML(t *testing.T) {
	const isYAML = "1:1 : this command reads YAML and the plugin does not: --print writes it as JSON (yaml)"
	for _, c := range []struct {
		name, document string
		want           []string
	}{
		{"sound", `# the gateway
x-keys: &keys
issuers:
- name: idp
  issuer: https://idp.example
  organization: org1
  audiences: [api]
  clockSkew: 30s
  signatureValidation: {jwks: {url: "https://idp.example/jwks", cluster: idp}}
limits: {tokenBytes: 0x4000}
`, []string{`2:9 x-keys: unknown field (error)`}},
		{"advice", `issuers:
- name: idp
  issuer: https://tenant.eu.auth0.com
  organization: org1
  signatureValidation:
    jwks:
      url: http://idp.example/jwks
      cluster: idp
`, []string{
			isYAML,
			`2:3 issuers[0].audiences: the audience is not checked: a token that idp issued for any other service is ` +
				`good here, too (no-audience)`,
			`3:11 issuers[0].issuer: Auth0 issues tokens with a slash after the domain: ` +
				`"https://tenant.eu.auth0.com/" (issuer-slash)`,
			`7:12 issuers[0].signatureValidation.jwks.url: the keys come over plain http: whoever is on the way can put ` +
				`in one of their own and sign tokens with it; use https, or pin the keys (pins) (plain-http)`,
		}},
		{"anchors", `issuers:
- &first
  name: one
  issuer: https://one.example
  organization: org1
  audiences: [api]
  signatureValidation: {jwks: {url: "https://one.example/jwks", cluster: idp}}
- <<: *first
  name: two
  issuer: https://two.example
`, []string{isYAML}},
		{"errors", `rules:
- match: {pathPrefix: orders}
  public: yes
issuers:
- name: idp
  organisation: org1
  issuer: 2024-01-01
  requireExpiration: "true"
  signatureValidation: {jwks: {url: "https://idp.example/jwks", cluster: idp}}
`, []string{
			`2:23 rules[0].match.pathPrefix: must begin with "/", got "orders" (error)`,
			`3:11 rules[0].public: must be true or false, got a string (error)`,
			`5:3 issuers[0].organization: is required (error)`,
			`6:17 issuers[0].organisation: unknown field; did you mean "organization"? (error)`,
			`8:22 issuers[0].requireExpiration: must be true or false, got a string (error)`,
		}},
		{"a key twice", "issuers: []\nissuers: []\n",
			[]string{`2:1 : neither JSON nor YAML: key "issuers" already set in map (error)`}},
		{"neither", "issuers:\n\t- name: a\n",
			[]string{`2:1 : neither JSON nor YAML: found character that cannot start any token (error)`}},
		{"two documents", "issuers: []\n---\nrules: []\n",
			[]string{`3:1 : a second document: a configuration is one (error)`}},
		{"a word", "orgate.json\n", []string{`1:1 : must be an object, got a string (error)`}},
		{"JSON with comments", "// ours\n{\"issuers\": []}",
			[]string{`1:1 : invalid JSON: JSON has no comments (error)`}},
		{"JSON with an error is no YAML", "{\"issuers\": [],}", []string{`1:16 : invalid JSON (error)`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := advice.Read(c.document)
			var got []string
			for _, m := range r.Errors {
				got = append(got, fmt.Sprintf("%d:%d %s: %s (error)", m.Line, m.Column, m.Path, m.Message))
			}
			for _, a := range r.Warnings {
				got = append(got, fmt.Sprintf("%d:%d %s: %s (%s)", a.Line, a.Column, a.Path, a.Message, a.Code))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
