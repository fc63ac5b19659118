package apk_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/admin/apk"
)

// lines writes findings with their files' base names; notes begin with "note: ".
// The note on tokens that are refused, which each import has, is left out.
func lines(result *apk.Result) []string {
	var all []string
	for _, f := range result.Findings {
		if strings.HasPrefix(f.Message, "tokens: ") {
			continue
		}
		if f.File != "" {
			f.File = filepath.Base(f.File)
		}
		line := f.String()
		if !f.Problem {
			line = "note: " + line
		}
		all = append(all, line)
	}
	return all
}

// TestCharts imports whole values of the charts, as they were over the years.
// What the chart deploys itself is no issuer, and what is left out is a note.
func TestCharts(t *testing.T) {
	const (
		claim = `organizationClaim: a token is of the organization that this claim says, whichever that is ` +
			`(organization "*")`
		own = `idp: not carried over: it is for the identity provider that the chart deploys, and says nothing of whose ` +
			`tokens are taken`
		asks   = `not carried over: the plugin checks tokens and asks for none`
		noKeys = `signing: there is neither a jwksEndpoint nor a certificate: the chart takes the certificate ` +
			`wso2carbon.pem of the Secret RELEASE…-enforcer-truststore-secret, which is in none of the files. The ` +
			`configuration looks for keys at https://login.acme.test:9095/oauth2/jwks, and until there are any tokens are ` +
			`answered 503`
		client    = `wso2.apk.dp.gatewayRuntime.deployment.enforcer.configs.JWKSClient.`
		unchecked = `: not carried over: the certificate of the server that has the keys is always checked, and must be ` +
			`the host's`
	)
	certificate, err := os.ReadFile("../../jwks/testdata/certificate.pem")
	if err != nil {
		t.Fatal(err)
	}
	type issuer = map[string]any
	jwks := func(url, cluster string) issuer {
		return issuer{"jwks": issuer{"url": url, "cluster": cluster}}
	}
	own9095 := jwks("https://login.acme.test:9095/oauth2/jwks", "idp-login-acme-test-9095")
	groups := []any{issuer{"remoteClaim": "groups", "localClaim": "x-wso2-groups"}}
	for _, c := range []struct {
		name     string
		files    []string
		want     issuer
		findings []string
	}{
		{"before 1.0", []string{"1.0-alpha.yaml"},
			issuer{"organizationClaim": "organization", "usernameClaim": "sub", "signatureValidation": own9095},
			[]string{
				"note: 1.0-alpha.yaml:9: Helm values: " + noKeys,
				"note: 1.0-alpha.yaml:11: Helm values: authorizeEndpoint: " + asks,
				"note: 1.0-alpha.yaml:12: Helm values: tokenEndpoint: " + asks,
				"note: 1.0-alpha.yaml:13: Helm values: revokeEndpoint: " + asks,
				"note: 1.0-alpha.yaml:15: Helm values: " + claim,
				"note: 1.0-alpha.yaml:16: Helm values: credentials: " + asks,
				"note: 1.0-alpha.yaml:32: Helm values: " + own,
			}},
		{"1.0", []string{"1.0.yaml"},
			issuer{"organizationClaim": "organization", "usernameClaim": "sub", "signatureValidation": own9095},
			[]string{
				"note: 1.0.yaml:12: Helm values: " + noKeys,
				"note: 1.0.yaml:15: Helm values: " + claim,
				"note: 1.0.yaml:28: Helm values: " + own,
			}},
		{"1.0 with the chart's Secret", []string{"1.0.yaml", "1.x-truststore.yaml"},
			issuer{"organizationClaim": "organization", "usernameClaim": "sub",
				"signatureValidation": issuer{"certificate": issuer{"certificateInline": string(certificate)}}},
			[]string{
				"note: 1.0.yaml:15: Helm values: " + claim,
				"note: 1.0.yaml:28: Helm values: " + own,
			}},
		{"1.2 with a provider in the place of the chart's", []string{"1.2-primary.yaml", "../chart-ca.yaml"},
			issuer{"issuer": "https://acme.eu.auth0.com/", "organizationClaim": "org_id", "usernameClaim": "sub",
				"consumerKeyClaim": "azp", "claimMappings": groups,
				"signatureValidation": jwks("https://acme.eu.auth0.com/.well-known/jwks.json",
					"idp-acme-eu-auth0-com")},
			[]string{
				"note: 1.2-primary.yaml:14: Helm values: " + claim,
				"note: 1.2-primary.yaml:36: Helm values: " + client + "skipSSLVerification" + unchecked,
				"note: 1.2-primary.yaml:37: Helm values: " + client + "hostnameVerifier" + unchecked,
				"note: 1.2-primary.yaml:39: Helm values: " + own,
			}},
		{"1.3", []string{"1.3.yaml"},
			issuer{"organizationClaim": "organization", "usernameClaim": "sub", "consumerKeyClaim": "clientId",
				"claimMappings": groups, "signatureValidation": own9095},
			[]string{
				"note: 1.3.yaml:10: Helm values: " + noKeys,
				"note: 1.3.yaml:13: Helm values: " + claim,
				"note: 1.3.yaml:30: Helm values: " + own,
			}},
		{"1.3, what a quick start changes", []string{"1.3-quick-start.yaml"},
			issuer{"organizationClaim": "organization", "signatureValidation": own9095},
			[]string{
				"note: 1.3-quick-start.yaml:5: Helm values: organizationClaim: a token is of the organization that " +
					"the claim " +
					`organization, the chart's default, says, whichever that is (organization "*")`,
				"note: 1.3-quick-start.yaml:5: Helm values: " + noKeys,
				"note: 1.3-quick-start.yaml:10: Helm values: " + own,
			}},
		{"2.0", []string{"2.0.yaml"},
			issuer{"organizationClaim": "organization", "usernameClaim": "sub", "consumerKeyClaim": "clientId",
				"claimMappings": groups, "signatureValidation": own9095},
			[]string{
				"note: 2.0.yaml:10: Helm values: listener: not carried over: it is for the identity provider that " +
					"the chart " +
					"deploys, and says nothing of whose tokens are taken",
				"note: 2.0.yaml:12: Helm values: " + claim,
				"note: 2.0.yaml:16: Helm values: signing.jwksEndpoint: the chart's gateway serves it with a " +
					"certificate of an " +
					"authority of the chart's own: name that in tls, or Envoy will not connect",
				"note: 2.0.yaml:36: Helm values: " + own,
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := c.files
			for i := range files {
				files[i] = filepath.Join("charts", files[i])
			}
			result := imported(t, options, sources(t, files...))
			var document struct{ Issuers []issuer }
			if err := json.Unmarshal(result.Configuration, &document); err != nil {
				t.Fatal(err)
			}
			algorithms := []any{"RS256", "RS384", "RS512", "ES256", "ES384"}
			want := issuer{"algorithms": algorithms, "missingUsername": "omit", "name": "idp",
				"issuer":       "https://login.acme.test/token",
				"organization": "*"}
			for name, value := range c.want {
				want[name] = value
			}
			if diff := cmp.Diff([]issuer{want}, document.Issuers); diff != "" {
				t.Errorf("issuers (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.findings, lines(result)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
