package kube

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/config"
	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
)

const policy = `
apiVersion: orgate.io/v1alpha1
kind: OrganizationPolicy
metadata: {name: orgate, namespace: infra}
spec:
  controlPlane: EnvoyGateway
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: eg}
  image: {url: "registry.example.com/orgate:1.0.0"}
  namespaces:
  - {names: [apk], organizations: ["*"]}
  - {names: [one], organizations: [org1]}
  - {names: [two], organizations: [org2]}
  configuration:
    organization: {fromPath: "/t/{org}/"}
`

// judge runs the plugin with a configuration, gives it the keys that it asks
// for, and returns what becomes of a request for each path and token.
func judge(t *testing.T, configuration string, requests map[string]string) map[string]int {
	t.Helper()
	needsPlugin(t)
	wasm, err := os.ReadFile(bin + "/orgate.wasm")
	if err != nil {
		t.Fatal(err)
	}
	plugin, err := host.Compile(context.Background(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse(configuration)
	if err != nil {
		t.Fatal(err)
	}
	var clusters []string
	for i := range c.Issuers {
		if jwks := c.Issuers[i].SignatureValidation.JWKS; jwks != nil && jwks.Cluster != "" {
			clusters = append(clusters, jwks.Cluster)
		}
	}
	w, err := e2e.NewWorker(plugin, configuration, func(c *host.Config) { c.Clusters = clusters })
	if err != nil {
		t.Fatal(err)
	}
	defer w.VM.Close()
	w.Tick()
	for _, call := range w.VM.TakeCallouts() {
		if err := call.Respond(host.Headers{{":status", "200"}}, []byte(scenario.JWKS(scenario.First())),
			nil); err != nil {
			t.Fatal(err)
		}
	}
	statuses := map[string]int{}
	for path, token := range requests {
		outcome := w.Serve(scenario.Request{Path: path, Token: token})
		if statuses[path] = outcome.Status; outcome.Passed {
			statuses[path] = 200
		}
	}
	return statuses
}

// TestThirdPartyProvider is the page "Using a Third-Party IdP": both of its
// resources, as they were before their indentation was lost, are applied with
// kubectl, and tokens of each organization call the APIs of theirs.
func TestThirdPartyProvider(t *testing.T) {
	c := newCluster(t)
	c.controller()
	c.apply(policy)
	resources, err := os.ReadFile(root + "/admin/apk/testdata/filled-in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range parse(t, string(resources)) {
		text, err := json.Marshal(document.Object)
		if err != nil {
			t.Fatal(err)
		}
		c.kubectl(string(text), "apply", "-n", "apk", "-f", "-")
	}
	configuration := c.plugin("envoyextensionpolicy", holds("apk/auth0-idp-issuer", "apk/auth0-idp-org-issuer"))
	c.condition("tokenissuer", "apk", "auth0-idp-org-issuer", "Accepted", "True")

	token := func(organization string) string {
		return scenario.First().Token(scenario.Claims{"iss": "https://tenant.eu.auth0.com/", "orgId": organization})
	}
	got := judge(t, configuration, map[string]string{
		"/t/default/pets": token("default"), "/t/apk-system/organizations": token("apk-system"),
		"/t/apk-system/apis": token("default"), "/t/default/orders": token("apk-system"),
		"/t/default/none": "", "/t/default/other": token("another"),
	})
	want := map[string]int{"/t/default/pets": 200, "/t/apk-system/organizations": 200, "/t/apk-system/apis": 403,
		"/t/default/orders": 403,
		"/t/default/none":   401, "/t/default/other": 403}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

// TestAuth0 is the page "Using Auth0 as an IdP": the chart is installed with the
// four values of its section idp.
func TestAuth0(t *testing.T) {
	c := newCluster(t)
	text, err := helm("orgate", "infra", `
idp:
  issuer: "https://dev.eu.auth0.com/"
  jwksEndpoint: "https://dev.eu.auth0.com/.well-known/jwks.json"
  usernameClaim: "email"
  organizationClaim: "org_id"
policy: {configuration: {organization: {fromPath: "/t/{org}/"}}}
`)
	if err != nil {
		t.Fatal(err)
	}
	c.apply(text)
	c.startController("infra")
	configuration := c.plugin("envoyextensionpolicy", holds("infra/idp", `"usernameClaim":"email"`))
	token := func(organization string) string {
		return scenario.First().Token(scenario.Claims{"iss": "https://dev.eu.auth0.com/", "org_id": organization,
			"email": "a@example.com"})
	}
	got := judge(t, configuration, map[string]string{"/t/org1/a": token("org1"), "/t/org2/a": token("org2"),
		"/t/org1/b": token("org2"),
		"/t/org2/b": token("org1")})
	want := map[string]int{"/t/org1/a": 200, "/t/org2/a": 200, "/t/org1/b": 403, "/t/org2/b": 403}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}
