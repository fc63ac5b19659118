package kube

import (
	"encoding/json"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"istio.io/istio/pilot/pkg/features"
	xdsfake "istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/log"
	istiotest "istio.io/istio/pkg/test"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"orgate/config"
)

// rendered is what "orgate render" writes for the configuration of the
// documentation.
func rendered(t testing.TB, args ...string) string {
	t.Helper()
	needs(t, commandProgram)
	return run(t, "", bin+"/orgate", append([]string{"render", args[0], "--config", root + "/deploy/orgate.json",
		"--image", image(t)}, args[1:]...)...)
}

// file is a file of the repository.
func file(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(root + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wanted is the plugin's configuration in manifests, and the host of each cluster
// that it names, "" without TLS.
func wanted(t testing.TB, manifests string) (configuration string, hosts map[string]string) {
	t.Helper()
	for _, o := range parse(t, manifests) {
		value, ok, _ := unstructured.NestedMap(o.Object, "spec", "pluginConfig")
		if list, _, _ := unstructured.NestedSlice(o.Object, "spec", "wasm"); len(list) > 0 {
			value, ok = list[0].(map[string]any)["config"].(map[string]any)
		}
		if !ok {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		configuration = string(text)
	}
	c, err := config.Parse(configuration)
	if err != nil {
		t.Fatal(err)
	}
	hosts = map[string]string{}
	for _, issuer := range c.Issuers {
		jwks := issuer.SignatureValidation.JWKS
		location := jwks.URL
		if location == "" {
			location = jwks.WellKnown
		}
		u, err := url.Parse(location)
		if err != nil {
			t.Fatal(err)
		}
		if hosts[jwks.Cluster] = u.Hostname(); u.Scheme != "https" {
			hosts[jwks.Cluster] = ""
		}
	}
	if len(hosts) < 2 {
		t.Fatalf("clusters %v", hosts)
	}
	return configuration, hosts
}

// TestRenderedForEnvoyGateway: Envoy Gateway by itself, with files in place of an
// API server, validates what is rendered with the rules of its definitions, and
// gives the plugin and its clusters to a proxy, whatever the listeners are.
func TestRenderedForEnvoyGateway(t *testing.T) {
	needs(t, envoyGatewayProgram)
	merged := strings.Replace(gateways, "  gatewayClassName: eg\n", "  gatewayClassName: eg\n  infrastructure: "+
		"{parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: merged}}\n", 1) + `---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {name: merged, namespace: infra}
spec: {mergeBackends: {}}
`
	ours := rendered(t, "envoy-gateway", "--namespace", "infra")
	tests := []struct{ name, namespace, gateway, ours string }{
		{"the files of deploy", "default", file(t, "deploy/envoy-gateway/gateway.yaml"),
			withImage(t, file(t, "deploy/envoy-gateway/orgate.yaml"))},
		{"a listener for some hosts", "infra", gateways, ours},
		{"merged backends", "infra", merged, ours},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			configuration, hosts := wanted(t, tt.ours)
			p := standalone(t, tt.namespace+"/eg", tt.gateway+"\n---\n"+tt.ours)
			p.until(t, guarded(configuration, hosts))
			p.until(t, onEveryRoute)
		})
	}
}

// standalone starts Envoy Gateway with resources in a file, and connects a proxy of
// a Gateway. It would fetch an Envoy and start it: the proxy for that is one that
// nobody runs.
func standalone(t testing.TB, gateway, resources string) *proxy {
	t.Helper()
	home := t.TempDir()
	certgen := exec.Command(bin+"/envoy-gateway", "certgen", "--local", "--config-home", home)
	if out, err := certgen.CombinedOutput(); err != nil {
		t.Fatalf("certgen: %v\n%s", err, out)
	}
	write(t, home+"/resources/all.yaml", resources)
	eg := exec.Command(bin+"/envoy-gateway", "server", "--config-path", write(t, home+"/eg.yaml", `
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
gateway: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
provider:
  type: Custom
  custom:
    resource: {type: File, file: {paths: ["`+home+`/resources"]}}
    infrastructure: {type: Host, host: {configHome: "`+home+`", dataHome: "`+home+`/data", stateHome: "`+home+
		`/state", runtimeDir: "`+home+`/run"}}
extensionApis: {enableBackend: true}
`))
	nowhere := "http://127.0.0.1:" + port(t)
	eg.Env = []string{"HOME=" + home, "TMPDIR=" + home, "HTTPS_PROXY=" + nowhere, "HTTP_PROXY=" + nowhere}
	start(t, eg)
	return connect(t, "127.0.0.1:18000", &corev3.Node{Id: "proxy", Cluster: gateway}, home+"/certs/envoy")
}

// TestRenderedForIstio: Istio's own discovery server for tests gives the plugin and
// its clusters to a proxy of the gateway.
func TestRenderedForIstio(t *testing.T) {
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.NoneLevel) // it says thousands of lines
	}
	inNamespace := strings.ReplaceAll(ingress, "namespace: infra", "namespace: istio-ingress")
	tests := []struct {
		name     string
		filtered bool // istiod gives a gateway the clusters alone that its routes name
		ours     string
	}{
		{"the file of deploy", false, file(t, "deploy/istio/orgate.yaml")},
		{"all clusters", false, rendered(t, "istio")},
		{"clusters that are named alone", true, rendered(t, "istio", "--filtered-clusters")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			istiotest.SetForTest(t, &features.FilterGatewayClusterConfig, tt.filtered)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			xdsfake.NewFakeDiscoveryServer(t, xdsfake.FakeOptions{ConfigString: inNamespace + "\n---\n" + tt.ours,
				ListenerBuilder: func() (net.Listener, error) { return l, nil }})
			configuration, hosts := wanted(t, tt.ours)
			connect(t, l.Addr().String(), ingressProxy(t, "istio-ingress"), "").until(t, guarded(configuration, hosts))
		})
	}
}
