package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"orgate/e2e/scenario"
	"orgate/host/hosttest"
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
		return map[string]string{"orgate.json": fmt.Sprintf(`{"issuers": [{"name": "idp", "issuer": %q,
			"organization": "org1", "signatureValidation": {"jwks": {"url": "https://keys.example/jwks", "cluster": "idp"}}}], "rules": [%s]}`,
			issuer, rule)}
	}
	rows := []given{
		{name: "values with a provider of the chart's own", args: "import values.yaml --organization default",
			files: values("apk", "idp: {enabled: true, listener: {hostname: login.acme.test}}\n"),
			says: []string{`"issuer": "https://login.acme.test/token"`, `"localClaim": "x-wso2-groups"`,
				`"remoteClaim": "groups"`, "note: Helm values: idp: not carried over"}},
		{name: "values with a provider of the chart's own, disabled", args: "import values.yaml --organization default",
			files: values("apk", "idp: {enabled: false}\n"),
			says:  []string{`"issuer": "https://login.acme.test/token"`}},
		{name: "values of chart 2.0", args: "import values.yaml --organization default", files: values("kgw", ""),
			says: []string{`"issuer": "https://login.acme.test/token"`, `"localClaim": "x-wso2-groups"`}},
		{name: "tokens as APK takes them", args: "import x.yaml --organization default",
			files: resources(tokenIssuer("a", "default", mapping)),
			says: []string{`"RS384"`, `"RS512"`, `"ES256"`, `"ES384"`,
				`"missingUsername": "omit"`, "note: tokens: not as in APK, those signed with ES512 and those that " +
					"are not valid" +
					" yet (nbf) are refused"}},
		{name: "the pair of the documents", args: "import x.yaml",
			files: resources(tokenIssuer("a", "apk-system", mapping), tokenIssuer("b", "default", mapping)),
			says:  []string{"note: TokenIssuer default/a: " + lockedOut}},
		{name: "six organizations of one provider, and a claim in five", args: "import x.yaml", status: 1,
			files: resources(tokenIssuer("a", "default", ""), tokenIssuer("b", "apk-system", mapping),
				tokenIssuer("c", "org1", mapping), tokenIssuer("d", "org2", mapping), tokenIssuer("e", "org3", mapping),
				tokenIssuer("f", "org4", mapping)), says: []string{oneClaimless, "\n1 error: nothing was written\n"}},
		{name: "much that is not for the plugin", args: "import x.yaml --organization default",
			files: resources(tokenIssuer("a", "default", mapping),
				strings.Repeat("---\nkind: Service\nmetadata: {name: s}\n",
					40), strings.Repeat("---\nkind: Backend\n", 23)), lines: 5, // kinds, targetRef, tokens and clusters
			says: []string{
				"Service default/s: kind: skipped: nothing in it is for the plugin (lines 18, 21, 24 and 36 more as" +
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
		"Authentik": {"https://sso.acme.test/application/o/shop/", "https://sso.acme.test/application/o/shop"},
		"Google":    {"https://accounts.google.com", "https://accounts.google.com/"},
		"Firebase":  {"https://securetoken.google.com/shop", "https://securetoken.google.com/shop/"},
		"Cognito": {"https://cognito-idp.eu-west-1.amazonaws.com/p",
			"https://cognito-idp.eu-west-1.amazonaws.com/p/"},
		"Cloudflare": {"https://acme.cloudflareaccess.com", "https://acme.cloudflareaccess.com/"},
		"Azure AD B2C": {"https://acme.b2clogin.com/" + tenant + "/v2.0/",
			"https://acme.b2clogin.com/" + tenant + "/v2.0"},
	} {
		rows = append(rows, given{name: provider + " with another slash", args: "check orgate.json",
			files: document(issuers[1], ""), says: []string{fmt.Sprintf("%q (issuer-slash)", issuers[0])}})
	}
	charts, err := filepath.Glob("../../admin/apk/testdata/charts/*.yaml")
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
			row.files["ca.yaml"] = readFile(t, "../../admin/apk/testdata/chart-ca.yaml")
			row.args += " ca.yaml --namespace apk"
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { row.test(t) })
	}
}

// TestRunSaysWhatItDoes: what "orgate run" answers without the plugin, and what it
// cuts off, is in its log. Which certificates it takes, and that it finds the plugin
// beside the command, is in TestRunServesUntilASignal.
func TestRunSaysWhatItDoes(t *testing.T) {
	asked := make(chan bool, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			asked <- true
			<-r.Context().Done()
		}
	}))
	defer upstream.Close()
	file := write(t, "orgate.json", []byte(`{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/",
		"organization": "org1", "signatureValidation": {"jwks": {"inline": `+scenario.JWKS(scenario.First())+`}}}],
		"rules": [{"public": true}]}`))
	wasm := write(t, "orgate.wasm", hosttest.Wasm(t))
	g := run(t, "orgate", "--config", file, "--wasm", wasm, "--upstream", upstream.URL, "--workers", "1")
	wanted := []string{}
	for request, want := range map[string]struct{ answer, log string }{
		"GET / HTTP/1.1\r\nHost: a b\r\n\r\n": {"400 Bad Request",
			`status=400 refused="Bad Request: malformed Host header"`},
		"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + strings.Repeat("x", 100<<10) + "\r\n\r\n": {
			"431 Request Header Fields Too Large", `status=431 refused="Request Header Fields Too Large"`},
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n": {"501 Not Implemented",
			`status=501 refused="Not Implemented"`},
		"POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
			"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n": {"200 OK", "path=/two status=200"},
	} {
		wanted = append(wanted, want.log)
		if got := exchange(t, g.listen, request); len(got) != 1 || !strings.HasPrefix(got[0], want.answer) {
			t.Errorf("%.60q: answered %.60q, want %s alone", request, got, want.answer)
		}
	}
	cut := make(chan []string)
	go func() { cut <- exchange(t, g.listen, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n") }()
	<-asked
	log := g.stop(t, syscall.SIGTERM)
	if got := <-cut; len(got) != 0 {
		t.Errorf("the request that was cut off is answered %q", got)
	}
	for _, want := range append(wanted, `path=/slow status=0`, `note="cut off: the gateway stops"`,
		`level=WARN msg="requests were cut off"`) {
		if !strings.Contains(log, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(log, "smuggled") || t.Failed() {
		t.Errorf("log:\n%s", log)
	}
}

// exchange sends what is no request to some, and returns the responses that come
// until the connection is closed, without their first word.
func exchange(t *testing.T, address, request string) []string {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Error(err)
	}
	all, _ := io.ReadAll(conn) // which may end with a reset
	return strings.Split(string(all), "HTTP/1.1 ")[1:]
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
