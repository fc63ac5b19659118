package kube

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

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

// TestLife: what is applied, changed and deleted, on a real API server, with the
// rights that the chart gives.
func TestLife(t *testing.T) {
	c := newCluster(t)
	first := c.controller()
	c.apply(policy)
	c.plugin("envoyextensionpolicy", holds("nobody")) // closed from the start

	// Two organizations, and one of them broken.
	c.apply(tokenIssuer("one", "a", "org1", "certificate: {secretRef: {name: signer, key: key}}") + "---" + tokenIssuer(
		"two", "b", "org2", keysAt("b.example.com")))
	c.plugin("envoyextensionpolicy", holds("two/b", "!one/a", "!nobody"))
	c.condition("tokenissuer", "one", "a", "ResolvedRefs",
		"False RefNotFound: OrganizationPolicy infra/orgate: Secret one/signer does not exist")
	c.condition("tokenissuer", "two", "b", "Accepted", "True")

	// A Secret that comes, is rotated, and goes.
	c.apply(secret(scenario.First().PublicKey()))
	with := c.plugin("envoyextensionpolicy", holds("two/b", "one/a"))
	c.apply(secret(scenario.Rotated().PublicKey()))
	c.plugin("envoyextensionpolicy", func(configuration string) error {
		if configuration == with {
			return fmt.Errorf("the old key is still there")
		}
		return holds("one/a")(configuration)
	})
	c.kubectl("", "delete", "secret", "signer", "-n", "one")
	c.condition("tokenissuer", "one", "a", "ResolvedRefs", "False RefNotFound")
	c.plugin("envoyextensionpolicy", holds("one/a"))

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
	c.plugin("envoyextensionpolicy", holds("!thief", "!stranger"))

	// Drift: what opens the gateway is closed again.
	for _, patch := range []string{
		`{"spec": {"wasm": [{"name": "orgate", "rootID": "orgate", "failOpen": true, "code": {"type": "Image", "image": {"url": "evil"}}}]}}`,
		`{"spec": {"wasm": null}}`,
	} {
		c.kubectl("", "patch", "envoyextensionpolicy", "orgate", "-n", "infra", "--type=merge", "-p", patch)
		c.plugin("envoyextensionpolicy", holds("two/b", "one/a"))
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

	// A restart in the middle: what changes meanwhile is seen, and nothing is
	// written without a change.
	stop(t, first)
	version := c.get("envoyextensionpolicy", "infra", "orgate").GetResourceVersion()
	c.controller()
	c.condition("organizationpolicy", "infra", "orgate", "Accepted", "True")
	c.quiet("envoyextensionpolicy")
	if now := c.get("envoyextensionpolicy", "infra", "orgate").GetResourceVersion(); now != version {
		t.Errorf("written without a change: %s, before %s", now, version)
	}

	// Delete and prune.
	c.kubectl("", "delete", "tokenissuer", "b", "-n", "two")
	c.plugin("envoyextensionpolicy", holds("!two/b"))
	eventually(t, func() error {
		if left := c.kubectl("", "get", "httproutes,backends,backendtlspolicies", "-n", "infra", "-o",
			"name"); left != "" {
			return fmt.Errorf("left: %s", left)
		}
		return nil
	})
	c.plugin("envoyextensionpolicy", holds("one/a"))
	c.kubectl("", "delete", "tokenissuer", "a", "-n", "one")
	c.plugin("envoyextensionpolicy", holds("nobody", "!one/a"))

	// Two policies for one Gateway.
	c.apply(strings.Replace(policy, "name: orgate", "name: second", 1))
	c.condition("organizationpolicy", "infra", "second", "Accepted",
		"False Conflicted: the older OrganizationPolicy infra/orgate")
	if o := c.get("envoyextensionpolicy", "infra", "second"); o != nil {
		t.Errorf("written: %v", o.Object)
	}
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
