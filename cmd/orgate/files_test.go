package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// given is what users have, what they ask the command, and what it says.
type given struct {
	name    string
	args    string // with the files' names
	files   map[string]string
	status  int
	says    []string // parts of standard output or standard error
	without string   // no part of either
	lines   int      // on standard error, if not 0
}

// TestFiles: files as users have them.
func TestFiles(t *testing.T) {
	const (
		lockedOut = `spec.organization: no provider says "apk-system" in its claim "orgId" by itself, and until yours does ` +
			`everybody is locked out of the system APIs`
		oneClaimless = `x.yaml:5: error: TokenIssuer default/a: spec.claimMappings: the issuer https://idp.example is in ` +
			`the organizations "default", "apk-system", "org1", "org2", "org3" and "org4", and this resource names no claim`
	)
	values := func(section, own string) map[string]string {
		return map[string]string{"values.yaml": "wso2:\n  " + section + `:
    idp:
      issuer: https://login.acme.test/token
      usernameClaim: sub
      organizationClaim: organization
      groupsClaim: groups
      signing: {jwksEndpoint: "https://login.acme.test/oauth2/jwks"}
` + own}
	}
	const mapping = "  claimMappings: [{localClaim: x-wso2-organization, remoteClaim: orgId}]\n"
	tokenIssuer := func(name, organization, more string) string {
		return strings.NewReplacer("NAME", name, "ORG", organization).Replace(`---
apiVersion: dp.wso2.com/v1alpha2
kind: TokenIssuer
metadata: {name: NAME}
spec:
  name: NAME
  organization: ORG
  issuer: https://idp.example
  consumerKeyClaim: azp
  scopesClaim: scope
  signatureValidation: {jwks: {url: "https://idp.example/jwks"}}
  targetRef: {kind: Gateway, name: default}
`) + more
	}
	resources := func(texts ...string) map[string]string { return map[string]string{"x.yaml": strings.Join(texts, "")} }
	document := func(issuer string, rule string) map[string]string {
		return map[string]string{"orgate.json": fmt.Sprintf(`{"issuers": [{"name": "idp", "issuer": %q, "organization": "org1",
			"signatureValidation": {"jwks": {"url": "https://keys.example/jwks", "cluster": "idp"}}}], "rules": [%s]}`,
			issuer, rule)}
	}
	rows := []given{
		{name: "values with a provider of the chart's own", args: "import values.yaml --organization default",
			files: values("apk", "idp: {enabled: true, listener: {hostname: login.acme.test}}\n"),
			says: []string{`"issuer": "https://login.acme.test/token"`, `"localClaim": "x-wso2-groups"`,
				`"remoteClaim": "groups"`, "note: Helm values: idp: not carried over"}},
		{name: "values with a provider of the chart's own, disabled", args: "import values.yaml --organization default",
			files: values("apk", "idp: {enabled: false}\n"), says: []string{`"issuer": "https://login.acme.test/token"`}},
		{name: "values of chart 2.0", args: "import values.yaml --organization default", files: values("kgw", ""),
			says: []string{`"issuer": "https://login.acme.test/token"`, `"localClaim": "x-wso2-groups"`}},
		{name: "tokens as APK takes them", args: "import x.yaml --organization default",
			files: resources(tokenIssuer("a", "default", mapping)), says: []string{`"RS384"`, `"RS512"`, `"ES256"`, `"ES384"`,
				`"missingUsername": "omit"`, "note: tokens: not as in APK, those signed with ES512 and those that are not valid" +
					" yet (nbf) are refused"}},
		{name: "the pair of the documents", args: "import x.yaml",
			files: resources(tokenIssuer("a", "apk-system", mapping), tokenIssuer("b", "default", mapping)),
			says:  []string{"note: TokenIssuer default/a: " + lockedOut}},
		{name: "six organizations of one provider, and a claim in five", args: "import x.yaml", status: 1,
			files: resources(tokenIssuer("a", "default", ""), tokenIssuer("b", "apk-system", mapping),
				tokenIssuer("c", "org1", mapping), tokenIssuer("d", "org2", mapping), tokenIssuer("e", "org3", mapping),
				tokenIssuer("f", "org4", mapping)), says: []string{oneClaimless, "\n1 error: nothing was written\n"}},
		{name: "much that is not for the plugin", args: "import x.yaml --organization default",
			files: resources(tokenIssuer("a", "default", mapping), strings.Repeat("---\nkind: Service\nmetadata: {name: s}\n",
				40), strings.Repeat("---\nkind: Backend\n", 23)), lines: 5, // kinds, targetRef, tokens and clusters
			says: []string{"Service default/s: kind: skipped: nothing in it is for the plugin (lines 18, 21, 24 and 36 more as" +
				" well)"}},
		{name: "a version to come", args: "import x.yaml --organization default",
			files: resources(strings.Replace(tokenIssuer("a", "default", mapping), "v1alpha2", "v1alpha3", 1)),
			says: []string{`"issuer": "https://idp.example"`, "note: TokenIssuer default/a: apiVersion: " +
				"dp.wso2.com/v1alpha3 is read as v1alpha2"}},

		{name: "a literal {tenantid}", args: "check orgate.json",
			files: document("https://login.microsoftonline.com/{tenantid}/v2.0", ""),
			says:  []string{`"{tenantid}" stands in Entra ID's discovery document`, `"{tid}" stands for`}},
		{name: "Cognito's access tokens", args: "check --strict orgate.json",
			files: document("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC", `{"organization": "org1",
				"consumerKeys": ["app"], "claims": [{"claim": "token_use", "in": ["access"]}]}`),
			without: "no-audience"},
		{name: "Cognito's tokens of any kind", args: "check --strict orgate.json", status: 1,
			files: document("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC", `{"consumerKeys": ["app"]}`),
			says:  []string{"token_use", "(no-audience)"}},
		{name: "YAML", args: "check orgate.yaml", files: map[string]string{"orgate.yaml": `issuers:
- name: idp
  issuer: https://idp.example
  organization: org1
  audiences: [api]
  signatureValidation: {jwks: {url: "https://idp.example/jwks", cluster: idp}}
`}, says: []string{"orgate.yaml:1:1: ", "--print writes it as JSON (yaml)"}},
	}
	for provider, issuers := range map[string][2]string{ // the provider's own, and the other
		"Authentik":    {"https://sso.acme.test/application/o/shop/", "https://sso.acme.test/application/o/shop"},
		"Google":       {"https://accounts.google.com", "https://accounts.google.com/"},
		"Firebase":     {"https://securetoken.google.com/shop", "https://securetoken.google.com/shop/"},
		"Cognito":      {"https://cognito-idp.eu-west-1.amazonaws.com/p_1", "https://cognito-idp.eu-west-1.amazonaws.com/p_1/"},
		"Cloudflare":   {"https://acme.cloudflareaccess.com", "https://acme.cloudflareaccess.com/"},
		"Azure AD B2C": {"https://acme.b2clogin.com/" + tenant + "/v2.0/", "https://acme.b2clogin.com/" + tenant + "/v2.0"},
	} {
		rows = append(rows, given{name: provider + " with another slash", args: "check orgate.json",
			files: document(issuers[1], ""), says: []string{fmt.Sprintf("%q (issuer-slash)", issuers[0])}})
	}
	charts, err := filepath.Glob("../../internal/apk/testdata/charts/*.yaml")
	if err != nil || len(charts) < 7 {
		t.Fatal(charts, err)
	}
	for _, chart := range charts {
		name := filepath.Base(chart)
		row := given{name: "chart " + name, args: "import " + name + " --organization default",
			files: map[string]string{name: readFile(t, chart)}, says: []string{`"issuer": "https://`}}
		switch name {
		case "1.x-truststore.yaml": // which is no values
			continue
		case "1.2-primary.yaml":
			row.files["ca.yaml"] = readFile(t, "../../internal/apk/testdata/chart-ca.yaml")
			row.args += " ca.yaml --namespace apk"
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { row.test(t) })
	}
}

const tenant = "3aa4a235-b6e2-48d5-9195-7fcf05b459b0"

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (g *given) test(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range g.files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	status := execute(t.Context(), strings.Fields(g.args), &stdout, &stderr)
	all := stdout.String() + stderr.String()
	if status != g.status {
		t.Errorf("status %d, want %d", status, g.status)
	}
	for _, part := range g.says {
		if !strings.Contains(all, part) {
			t.Errorf("%q is missing", part)
		}
	}
	if g.without != "" && strings.Contains(all, g.without) {
		t.Errorf("%q is there", g.without)
	}
	if lines := strings.Count(stderr.String(), "\n"); g.lines != 0 && lines != g.lines {
		t.Errorf("%d lines on standard error, want %d", lines, g.lines)
	}
	if t.Failed() {
		t.Log(all)
	}
}
