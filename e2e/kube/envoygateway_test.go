package kube

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"orgate/admin/render"
)

// gateways are two listeners, one of them for certain hosts, and a route on each.
const gateways = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: eg}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: eg, namespace: infra}
spec:
  gatewayClassName: eg
  listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: "*.example.com", allowedRoutes: {namespaces: {from: All}}}
  - {name: more, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: api, namespace: infra}
spec: {endpoints: [{ip: {address: 10.0.0.9, port: 8080}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api, namespace: infra}
spec:
  parentRefs: [{name: eg}]
  rules: [{backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: api}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: infra}
spec:
  parentRefs: [{name: eg, sectionName: http}]
  rules: [{matches: [{path: {type: PathPrefix, value: /orders}}], backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: api}]}]
`

// envoyGateway starts Envoy Gateway, and connects a proxy of the Gateway to it. It
// reads its certificates from /certs and writes below /var/lib, so it gets a root
// of its own.
func (c *cluster) envoyGateway() *proxy {
	c.t.Helper()
	needs(c.t, envoyGatewayProgram)
	c.kubectl("", "create", "namespace", "envoy-gateway-system")
	environment := append(os.Environ(), "KUBECONFIG="+c.config, "ENVOY_GATEWAY_NAMESPACE=envoy-gateway-system")
	certificates := exec.Command(bin+"/envoy-gateway", "certgen", "--disable-topology-injector")
	certificates.Env = environment
	if out, err := certificates.CombinedOutput(); err != nil {
		c.t.Fatalf("certgen: %v\n%s", err, out)
	}
	home := c.dir + "/root"
	c.files("envoy-gateway", home+"/certs")
	c.files("envoy", c.dir+"/proxy")
	write(c.t, home+"/tmp/none", "")
	kubeconfig, err := os.ReadFile(c.config)
	if err != nil {
		c.t.Fatal(err)
	}
	write(c.t, home+"/kubeconfig", string(kubeconfig))
	write(c.t, home+"/eg.yaml", `
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
gateway: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
provider: {type: Kubernetes, kubernetes: {leaderElection: {disable: true}, proxyTopologyInjector: {disabled: true}}}
extensionApis: {enableBackend: true}
`)
	link(c.t, bin+"/envoy-gateway", home+"/envoy-gateway")
	libraries, _ := exec.Command("ldd", bin+"/envoy-gateway").Output() // none, if it is static
	for _, library := range regexp.MustCompile(`/\S+`).FindAllString(string(libraries), -1) {
		link(c.t, library, home+library)
	}
	eg := exec.Command("/envoy-gateway", "server", "--config-path", "/eg.yaml")
	eg.Err = nil // it is there in its root
	eg.Dir, eg.Env = "/", []string{"KUBECONFIG=/kubeconfig", "ENVOY_GATEWAY_NAMESPACE=envoy-gateway-system",
		"HOME=/tmp", "TMPDIR=/tmp"}
	eg.SysProcAttr = &syscall.SysProcAttr{Chroot: home}
	if os.Getuid() != 0 {
		eg.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		eg.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		eg.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	start(c.t, eg)
	return connect(c.t, "127.0.0.1:18000", &corev3.Node{Id: "proxy", Cluster: "infra/eg"}, c.dir+"/proxy")
}

// files writes the files of a Secret of Envoy Gateway's.
func (c *cluster) files(secret, folder string) {
	c.t.Helper()
	data, _, _ := unstructured.NestedStringMap(c.get("secret", "envoy-gateway-system", secret).Object, "data")
	for name, value := range data {
		text, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			c.t.Fatal(err)
		}
		write(c.t, folder+"/"+name, string(text))
	}
}

// link has a file at another place.
func link(t testing.TB, file, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		t.Fatal(err)
	}
	file, err := filepath.EvalSymlinks(file)
	if err != nil {
		t.Fatal(err)
	}
	if os.Link(file, to) == nil {
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o777); err != nil {
		t.Fatal(err)
	}
}

// guarded is what a proxy must have: the plugin with this configuration, closed if
// it fails, and each of its clusters, with the TLS of its host.
func guarded(want string, hosts map[string]string) func(*state) error {
	return func(s *state) error {
		plugins, err := s.plugins()
		if err != nil {
			return err
		}
		if len(plugins) == 0 {
			return errors.New("no plugin")
		}
		for _, p := range plugins {
			if p.FailurePolicy != wasmv3.FailurePolicy_FAIL_CLOSED && !(p.FailurePolicy == 0 && !p.FailOpen) {
				return fmt.Errorf("failure policy %v", p.FailurePolicy)
			}
			got, err := configuration(p)
			if err != nil {
				return err
			}
			var a, b any
			if err := errors.Join(json.Unmarshal([]byte(want), &a), json.Unmarshal([]byte(got), &b)); err != nil {
				return err
			}
			if diff := cmp.Diff(a, b); diff != "" {
				return fmt.Errorf("configuration (-want +got):\n%s", diff)
			}
		}
		for name, host := range hosts {
			cluster := s.Clusters[name]
			if cluster == nil {
				return fmt.Errorf("no cluster %s", name)
			}
			if host == "" {
				continue
			}
			all := contexts(cluster)
			if len(all) == 0 {
				return fmt.Errorf("cluster %s without TLS", name)
			}
			for _, context := range all {
				validation := context.CommonTlsContext.GetCombinedValidationContext().GetDefaultValidationContext()
				if validation == nil {
					validation = context.CommonTlsContext.GetValidationContext()
				}
				var sans []string
				for _, m := range validation.GetMatchTypedSubjectAltNames() {
					sans = append(sans, m.Matcher.GetExact())
				}
				for _, m := range validation.GetMatchSubjectAltNames() { // Istio's
					sans = append(sans, m.GetExact())
				}
				if context.Sni != host || !slices.Equal(sans, []string{host}) {
					return fmt.Errorf("cluster %s: SNI %q, SANs %v", name, context.Sni, sans)
				}
			}
		}
		return nil
	}
}

// onEveryRoute is nil if the plugin is switched on for every route that is no
// route for keys. Envoy Gateway has it off in the listener.
func onEveryRoute(s *state) error {
	routes := 0
	for _, configuration := range s.Routes {
		for _, host := range configuration.VirtualHosts {
			for _, route := range host.Routes {
				if strings.Contains(route.Name, "orgate-keys") {
					continue
				}
				routes++
				on := false
				for name := range route.TypedPerFilterConfig {
					on = on || strings.Contains(name, "wasm")
				}
				if !on {
					return fmt.Errorf("route %s is without the plugin", route.Name)
				}
			}
		}
	}
	if routes == 0 {
		return errors.New("no routes")
	}
	return nil
}

// TestEnvoyGateway: what is applied reaches a proxy of Envoy Gateway's, whatever
// its listeners are, and each way of losing the plugin is said.
func TestEnvoyGateway(t *testing.T) {
	c := newCluster(t)
	c.controller()
	c.apply(gateways)
	c.apply(withImage(t, policy))
	c.apply(tokenIssuer("one", "a", "org1", keysAt("a.example.com")))
	p := c.envoyGateway()
	c.condition("organizationpolicy", "infra", "orgate", "Programmed", "True Programmed: 1 TokenIssuers are used")
	want := c.plugin("envoyextensionpolicy", holds("one/a"))
	hosts := map[string]string{"httproute/infra/orgate-keys-a-example-com/rule/0/backend/0": "a.example.com"}
	p.until(t, guarded(want, hosts))
	p.until(t, onEveryRoute)

	began := time.Now()
	c.apply(tokenIssuer("two", "b", "org2", `jwks: {url: "http://b.example.com:8080/jwks"}`))
	want = c.plugin("envoyextensionpolicy", holds("two/b"))
	names, err := render.ObjectNames("orgate", "http://b.example.com:8080/jwks")
	if err != nil {
		t.Fatal(err)
	}
	hosts["httproute/infra/"+names[0]+"/rule/0/backend/0"] = ""
	p.until(t, guarded(want, hosts))
	t.Log("from kubectl apply to the proxy:", time.Since(began).Round(time.Millisecond))
	p.until(t, onEveryRoute)
	c.condition("tokenissuer", "two", "b", "Programmed", "True")

	other := func(name, target, more string) string {
		return fmt.Sprintf(`
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {name: %s, namespace: infra}
spec: {targetRefs: [{group: gateway.networking.k8s.io, %s}]%s}
`, name, target, more)
	}
	plugins := `, wasm: [{name: theirs, code: {type: Image, image: {url: "` + image(t) + `"}}}]`
	for _, tt := range []struct{ name, policy, want string }{
		{
			"a policy on a listener", other("listener", "kind: Gateway, name: eg, sectionName: http",
				`, lua: [{type: Inline, inline: "x"}]`), "False Overridden"},
		{"a policy on a route", other("route", "kind: HTTPRoute, name: orders", `, lua: [{type: Inline, inline: "x"}]`),
			"False Overridden"},
		{"one that merges", other("strategic", "kind: HTTPRoute, name: orders", ", mergeType: StrategicMerge"+plugins),
			"False Overridden"},
		{"one that merges JSON", other("json", "kind: HTTPRoute, name: orders", ", mergeType: JSONMerge"+plugins),
			"False Overridden"},
	} {
		t.Log(tt.name)
		c.apply(tt.policy)
		c.condition("organizationpolicy", "infra", "orgate", "Programmed", tt.want)
		c.condition("tokenissuer", "two", "b", "Programmed", "False")
		c.kubectl(tt.policy, "delete", "-f", "-")
		c.condition("organizationpolicy", "infra", "orgate", "Programmed", "True")
	}

	// An older one for the same Gateway: the younger is ours.
	c.apply(strings.NewReplacer("name: eg, namespace", "name: late, namespace", "port: 80,", "port: 81,", "port: 8080,",
		"port: 8081,").Replace(
		strings.Split(gateways, "\n---\n")[1]))
	c.apply(other("older", "kind: Gateway, name: late", plugins))
	created := c.get("envoyextensionpolicy", "infra", "older").GetCreationTimestamp()
	eventually(t, func() error { // ages are in seconds
		if now := time.Now().Truncate(time.Second); !now.After(created.Time) {
			return fmt.Errorf("it was created at %v, and it is %v", created, now)
		}
		return nil
	})
	c.apply(strings.NewReplacer("name: orgate", "name: later", "name: eg}", "name: late}").Replace(
		withImage(t, policy)))
	c.condition("organizationpolicy", "infra", "later", "Programmed", "False Conflicted")
}

// TestMergedBackends: the clusters for keys keep their names where EnvoyProxy
// merges those of backends.
func TestMergedBackends(t *testing.T) {
	c := newCluster(t)
	c.controller()
	c.apply(`
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {name: merged, namespace: infra}
spec: {mergeBackends: {}}
`)
	c.apply(strings.Replace(gateways, "  gatewayClassName: eg\n",
		"  gatewayClassName: eg\n  infrastructure: {parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, "+
			"name: merged}}\n", 1))
	c.apply(withImage(t, policy))
	c.apply(tokenIssuer("one", "a", "org1", keysAt("a.example.com")))
	p := c.envoyGateway()
	c.condition("organizationpolicy", "infra", "orgate", "Programmed", "True")
	p.until(t, guarded(c.plugin("envoyextensionpolicy", holds("one/a")),
		map[string]string{"httproute/infra/orgate-keys-a-example-com/rule/0/backend/0": "a.example.com"}))
	p.until(t, func(s *state) error {
		for name := range s.Clusters {
			if strings.Contains(name, "api") && strings.HasPrefix(name, "httproute/") {
				return fmt.Errorf("nothing is merged: there is %s", name)
			}
		}
		return nil
	})
}
