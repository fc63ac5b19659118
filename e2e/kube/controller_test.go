package kube

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"orgate/e2e/scenario"
)

func tokenIssuer(namespace, name, org, keys string) string {
	return fmt.Sprintf(`
apiVersion: dp.wso2.com/v1alpha1
kind: TokenIssuer
metadata: {name: %s, namespace: %s}
spec: {name: idp, issuer: "https://%s.example.com/", organization: %s, consumerKeyClaim: azp, scopesClaim: scope, signatureValidation: {%s}}
`, name, namespace, name, org, keys)
}

func keysAt(host string) string { return `jwks: {url: "https://` + host + `/jwks"}` }

func secret(key string) string {
	return `
apiVersion: v1
kind: Secret
metadata: {name: signer, namespace: one}
data: {key: ` + base64.StdEncoding.EncodeToString([]byte(key)) + "}\n"
}

// TestLife: what is applied, changed and deleted reaches a proxy, with a real API
// server and the rights that the chart gives.
func TestLife(t *testing.T) {
	c := newCluster(t)
	metrics, health := "127.0.0.1:"+port(t), "127.0.0.1:"+port(t)
	first := c.controller("--metrics-address="+metrics, "--health-address="+health)
	c.apply(gateways)
	c.apply(withImage(t, policy))
	p := c.envoyGateway()
	hosts := map[string]string{}
	plugin := func(want func(configuration string) error) string {
		t.Helper()
		configuration := c.plugin("envoyextensionpolicy", want)
		p.until(t, guarded(configuration, hosts))
		p.until(t, onEveryRoute)
		return configuration
	}
	plugin(holds("nobody")) // closed from the start

	// Two organizations, and one of them broken.
	c.apply(tokenIssuer("one", "a", "org1", "certificate: {secretRef: {name: signer, key: key}}") + "---" + tokenIssuer(
		"two", "b", "org2", keysAt("b.example.com")))
	const before = "httproute/infra/orgate-keys-b-example-com/rule/0/backend/0"
	hosts[before] = "b.example.com"
	plugin(holds("two/b", "!one/a", "!nobody"))
	c.condition("tokenissuer", "one", "a", "ResolvedRefs",
		"False RefNotFound: OrganizationPolicy infra/orgate: Secret one/signer does not exist")
	c.condition("tokenissuer", "two", "b", "Accepted", "True")
	serves(t, "http://"+health+"/healthz", "ok")
	serves(t, "http://"+health+"/readyz", "ok")
	serves(t, "http://"+metrics+"/metrics", `orgate_controller_token_issuers{state="LeftOut"} 1`,
		`orgate_controller_token_issuers{state="Used"} 1`,
		`orgate_controller_policy{condition="Accepted",name="orgate",namespace="infra"} 1`)

	// A change of where the keys are.
	c.apply(tokenIssuer("two", "b", "org2", keysAt("keys.example.com")))
	const cluster = "httproute/infra/orgate-keys-keys-example-com/rule/0/backend/0"
	delete(hosts, before)
	hosts[cluster] = "keys.example.com"
	plugin(holds("two/b", "keys.example.com", "!//b.example.com/jwks"))
	p.until(t, func(s *state) error {
		if s.Clusters[before] != nil {
			return fmt.Errorf("the proxy has %s", before)
		}
		return nil
	})

	// A Secret that comes, is rotated, and goes.
	c.apply(secret(scenario.First().PublicKey()))
	with := plugin(holds("two/b", "one/a"))
	c.apply(secret(scenario.Rotated().PublicKey()))
	plugin(func(configuration string) error {
		if configuration == with {
			return fmt.Errorf("the old key is still there")
		}
		return holds("one/a")(configuration)
	})
	c.kubectl("", "delete", "secret", "signer", "-n", "one")
	c.condition("tokenissuer", "one", "a", "ResolvedRefs", "False RefNotFound")
	plugin(holds("one/a"))

	// An organization that is another's, and a namespace that is nobody's.
	c.apply(tokenIssuer("two", "thief", "org1", keysAt("c.example.com")) + "---" + tokenIssuer("orgate-system",
		"stranger", "org1", keysAt("c.example.com")))
	c.condition("tokenissuer", "two", "thief", "Accepted", "False NotPermitted")
	c.condition("tokenissuer", "orgate-system", "stranger", "Accepted",
		"False NotPermitted: no OrganizationPolicy takes")
	eventually(t, func() error {
		events := c.kubectl("", "get", "events", "-A")
		for _, want := range []string{"tokenissuer/stranger", "tokenissuer/thief", "NotPermitted"} {
			if !strings.Contains(events, want) {
				return fmt.Errorf("no event has %q:\n%s", want, events)
			}
		}
		return nil
	})
	plugin(holds("!thief", "!stranger"))

	// Drift: what opens the gateway is closed again.
	for _, patch := range []string{
		`{"spec": {"wasm": [{"name": "orgate", "rootID": "orgate", "failOpen": true, "code": {"type": "Image", "image": {"url": "evil"}}}]}}`,
		`{"spec": {"wasm": null}}`,
	} {
		c.kubectl("", "patch", "envoyextensionpolicy", "orgate", "-n", "infra", "--type=merge", "-p", patch)
		plugin(holds("two/b", "one/a"))
		eventually(t, func() error {
			if o := c.get("envoyextensionpolicy", "infra", "orgate"); strings.Contains(fmt.Sprint(o.Object),
				"failOpen:true") {
				return fmt.Errorf("it is open: %v", o.Object)
			}
			return nil
		})
	}
	c.kubectl("", "patch", "envoyextensionpolicy", "orgate", "-n", "infra", "--type=merge", "-p",
		`{"spec": {"lua": [{"type": "Inline", "inline": "x"}]}}`)
	eventually(t, func() error {
		if o := c.get("envoyextensionpolicy", "infra", "orgate"); strings.Contains(fmt.Sprint(o.Object["spec"]),
			"lua") {
			return fmt.Errorf("it has what others added: %v", o.Object)
		}
		return nil
	})
	c.quiet("envoyextensionpolicy")

	// The leader dies, and another takes over: it sees what changed meanwhile, and
	// writes nothing without a change.
	c.controller()
	version := c.get("envoyextensionpolicy", "infra", "orgate").GetResourceVersion()
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.apply(tokenIssuer("two", "late", "org1", keysAt("c.example.com")))
	c.condition("tokenissuer", "two", "late", "Accepted", "False NotPermitted")
	c.quiet("envoyextensionpolicy")
	if now := c.get("envoyextensionpolicy", "infra", "orgate").GetResourceVersion(); now != version {
		t.Errorf("written without a change: %s, before %s", now, version)
	}

	// Delete and prune.
	c.kubectl("", "delete", "tokenissuer", "b", "-n", "two")
	delete(hosts, cluster)
	plugin(holds("!two/b"))
	eventually(t, func() error {
		if left := c.kubectl("", "get", "httproutes,backends,backendtlspolicies", "-n", "infra", "-l",
			"app.kubernetes.io/part-of=orgate", "-o", "name"); left != "" {
			return fmt.Errorf("left: %s", left)
		}
		return nil
	})
	p.until(t, func(s *state) error {
		if s.Clusters[cluster] != nil {
			return fmt.Errorf("the proxy has %s", cluster)
		}
		return nil
	})
	plugin(holds("one/a"))
	c.kubectl("", "delete", "tokenissuer", "a", "-n", "one")
	plugin(holds("nobody", "!one/a"))

	// Two policies for one Gateway.
	c.apply(strings.Replace(policy, "name: orgate", "name: second", 1))
	c.condition("organizationpolicy", "infra", "second", "Accepted",
		"False Conflicted: the older OrganizationPolicy infra/orgate")
	if o := c.get("envoyextensionpolicy", "infra", "second"); o != nil {
		t.Errorf("written: %v", o.Object)
	}
}

// TestTheirDefinition: WSO2's own definition of TokenIssuers, installed before
// orgate, has no place for conditions. Then Events say the same, once.
func TestTheirDefinition(t *testing.T) {
	c := newCluster(t)
	definition := c.get("crd", "", "tokenissuers.dp.wso2.com")
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	for _, v := range versions {
		err := unstructured.SetNestedMap(v.(map[string]any), map[string]any{"type": "object"}, "schema",
			"openAPIV3Schema", "properties", "status")
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := unstructured.SetNestedSlice(definition.Object, versions, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	text, err := definition.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl(string(text), "replace", "-f", "-")
	c.controller()
	c.apply(istioPolicy(t))
	c.apply(tokenIssuer("one", "a", "org1", keysAt("a.example.com")) + "---" + tokenIssuer("two", "thief", "org1",
		keysAt("c.example.com")))
	c.plugin("wasmplugin", holds("one/a", "!thief"))
	events := func() string {
		return c.kubectl("", "get", "events", "-A", "-o",
			`jsonpath={range .items[*]}{.reason} {.involvedObject.name}{"\n"}{end}`)
	}
	eventually(t, func() error {
		got := events()
		for _, want := range []string{"NotPermitted thief\n", "Programmed a\n"} {
			if !strings.Contains(got, want) {
				return fmt.Errorf("no event %q:\n%s", want, got)
			}
		}
		return nil
	})
	c.quiet("wasmplugin")
	if n := strings.Count(events(), "thief"); n != 1 {
		t.Errorf("it is said %d times", n)
	}
	if status, _, _ := unstructured.NestedMap(c.get("tokenissuer", "two", "thief").Object, "status"); len(status) > 0 {
		t.Errorf("it keeps conditions: %v", status)
	}
}

// TestPace: a tenant that changes its TokenIssuer in a loop starts the plugin anew
// five times, and the others' changes come with the next time.
func TestPace(t *testing.T) {
	c := newCluster(t)
	c.controller("--restarts-every=20s")
	c.apply(istioPolicy(t))
	c.apply(tokenIssuer("one", "a", "org1", keysAt("a.example.com")))
	c.plugin("wasmplugin", holds("one/a"))
	before := c.get("wasmplugin", "infra", "orgate").GetGeneration()
	for i := range 15 {
		c.apply(tokenIssuer("one", "a", "org1", keysAt(fmt.Sprintf("h%d.example.com", i))))
	}
	c.apply(tokenIssuer("two", "b", "org2", keysAt("b.example.com")))
	c.condition("organizationpolicy", "infra", "orgate", "Programmed",
		"False Pending: each change starts the plugin anew, and there were many: this one is written within 20s")
	if n := c.get("wasmplugin", "infra", "orgate").GetGeneration() - before; n > 5 {
		t.Errorf("it was written %d times", n)
	}
	c.condition("tokenissuer", "one", "a", "Accepted", "True")
	c.plugin("wasmplugin", holds("two/b", "h14.example.com"))
	c.condition("organizationpolicy", "infra", "orgate", "Programmed", "True")
}

// serves waits until an address serves texts.
func serves(t testing.TB, url string, texts ...string) {
	t.Helper()
	eventually(t, func() error {
		resp, err := http.Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		for _, text := range texts {
			if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), text) {
				return fmt.Errorf("%s: %s, without %q:\n%s", url, resp.Status, text, body)
			}
		}
		return nil
	})
}

// quiet waits until nothing was written for a while.
func (c *cluster) quiet(kind string) {
	c.t.Helper()
	last, since := "", time.Now()
	eventually(c.t, func() error {
		if version := c.get(kind, "infra", "orgate").GetResourceVersion(); version != last {
			last, since = version, time.Now()
		}
		if time.Since(since) < 3*time.Second {
			return fmt.Errorf("it is written again and again: version %s", last)
		}
		return nil
	})
}

// TestDryRun shows what would be written, and writes nothing.
func TestDryRun(t *testing.T) {
	c := newCluster(t)
	c.apply(policy)
	c.apply(tokenIssuer("one", "a", "org1", keysAt("a.example.com")))
	out := run(t, "", bin+"/controller", "--kubeconfig", c.config, "--once", "--dry-run")
	for _, want := range []string{"kind: EnvoyExtensionPolicy", "kind: BackendTLSPolicy", "name: one/a"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if o := c.get("envoyextensionpolicy", "infra", "orgate"); o != nil {
		t.Errorf("written: %v", o.Object)
	}
	// What it shows is what kubectl takes.
	c.kubectl(out, "apply", "--server-side", "--dry-run=server", "-f", "-")
	out, err := try("", bin+"/controller", "--kubeconfig", c.config, "--once")
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	c.plugin("envoyextensionpolicy", holds("one/a"))
}
