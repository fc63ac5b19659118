package kube

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// ingress is a gateway of Istio's with a route.
const ingress = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ingress, namespace: infra}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: api, namespace: infra}
spec:
  hosts: ["*"]
  gateways: [ingress]
  http: [{directResponse: {status: 200}}]
`

// istiod starts Istio's control plane, and connects a proxy of the gateway.
func (c *cluster) istiod(environment ...string) *proxy {
	c.t.Helper()
	needs(c.t, istiodProgram)
	c.kubectl("", "create", "namespace", "istio-system")
	grpc := port(c.t)
	istiod := exec.Command(bin+"/pilot-discovery", "discovery", "--registries=Kubernetes", "--kubeconfig", c.config,
		"--meshConfig", write(c.t, c.dir+"/mesh.yaml", "{}\n"), "--httpAddr", "127.0.0.1:"+port(c.t), "--httpsAddr", "",
		"--grpcAddr", "127.0.0.1:"+grpc, "--secureGRPCAddr", "", "--monitoringAddr", "127.0.0.1:"+port(c.t),
		"--ctrlz_port", "0")
	istiod.Env = append(os.Environ(), "ENABLE_CA_SERVER=false", "PILOT_CERT_PROVIDER=none",
		"POD_NAMESPACE=istio-system", "POD_NAME=istiod",
		"CLUSTER_ID=Kubernetes", "ENABLE_LEADER_ELECTION=false", "INJECT_ENABLED=false")
	istiod.Env = append(istiod.Env, environment...)
	istiod.Dir = c.dir
	start(c.t, istiod)
	return connect(c.t, "127.0.0.1:"+grpc, ingressProxy(c.t, "infra"), "")
}

// ingressProxy is a proxy of the ingress gateway, as it names itself.
func ingressProxy(t testing.TB, namespace string) *corev3.Node {
	t.Helper()
	metadata, err := structpb.NewStruct(map[string]any{"NAMESPACE": namespace, "CLUSTER_ID": "Kubernetes",
		"ISTIO_VERSION": "1.29.0",
		"LABELS":        map[string]any{"istio": "ingressgateway"}})
	if err != nil {
		t.Fatal(err)
	}
	return &corev3.Node{Id: "router~10.1.1.1~gw." + namespace + "~" + namespace + ".svc.cluster.local",
		Cluster: "gw." + namespace, Metadata: metadata}
}

// istioPolicy is the policy for Istio.
func istioPolicy(t testing.TB) string {
	return strings.NewReplacer("EnvoyGateway", "Istio",
		"targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: eg}",
		"selector: {istio: ingressgateway}").Replace(withImage(t, policy))
}

// TestIstio: what is applied reaches a proxy of Istio's.
func TestIstio(t *testing.T) {
	for name, environment := range map[string]string{"all clusters": "X=Y",
		"clusters that are named alone": "PILOT_FILTER_GATEWAY_CLUSTER_CONFIG=true"} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.controller()
			p := c.istiod(environment)
			c.apply(ingress)
			text := istioPolicy(t)
			if environment != "X=Y" {
				text = strings.Replace(text, "  configuration:", "  istio: {filteredClusters: true}\n  configuration:",
					1)
			}
			c.apply(text)
			c.apply(tokenIssuer("one", "a", "org1", keysAt("a.example.com")))
			want := c.plugin("wasmplugin", holds("one/a"))
			hosts := map[string]string{"outbound|443||a.example.com": "a.example.com"}
			p.until(t, guarded(want, hosts))

			began := time.Now()
			c.apply(tokenIssuer("two", "b", "org2", keysAt("b.example.com")))
			want = c.plugin("wasmplugin", holds("two/b"))
			hosts["outbound|443||b.example.com"] = "b.example.com"
			p.until(t, guarded(want, hosts))
			t.Log("from kubectl apply to the proxy:", time.Since(began).Round(time.Millisecond))
			c.condition("organizationpolicy", "infra", "orgate", "Programmed", "True")
		})
	}
}

// TestAuthorities: the certificate authorities that a TokenIssuer names for the
// connection to its keys reach the proxy.
func TestAuthorities(t *testing.T) {
	c := newCluster(t)
	c.controller()
	p := c.istiod()
	c.apply(ingress)
	c.apply(istioPolicy(t))
	authority, err := os.ReadFile(root + "/admin/apk/testdata/chart-ca.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c.apply(strings.Replace(string(authority), "namespace: apk", "namespace: one", 1))
	c.apply(tokenIssuer("one", "a", "org1", `jwks: {url: "https://a.example.com/jwks", tls: {configMapRef: {name: idp-tls, key: ca.crt}}}`))
	want := c.plugin("wasmplugin", holds("one/a"))
	p.until(t, guarded(want, map[string]string{"outbound|443||a.example.com": "a.example.com"}))
	p.until(t, func(s *state) error {
		for _, context := range contexts(s.Clusters["outbound|443||a.example.com"]) {
			name := context.CommonTlsContext.GetCombinedValidationContext().GetValidationContextSdsSecretConfig().GetName()
			if strings.HasPrefix(name, "configmap://infra/orgate-keys-a-example-com") {
				return nil
			}
		}
		return fmt.Errorf("no authorities: %v", s.Clusters["outbound|443||a.example.com"])
	})
}

// TestThousand: a thousand issuers, and how long one more takes.
func TestThousand(t *testing.T) {
	c := newCluster(t)
	c.controller()
	p := c.istiod()
	c.apply(ingress)
	c.apply(istioPolicy(t))
	var all strings.Builder
	for i := range 1000 {
		all.WriteString(strings.Replace(tokenIssuer("apk", fmt.Sprintf("i%d", i), fmt.Sprintf("org%d", i),
			keysAt(fmt.Sprintf("h%d.example.com", i%10))),
			"scopesClaim: scope,", "scopesClaim: scope, claimMappings: [{localClaim: x-wso2-organization, "+
				"remoteClaim: org}],", 1) + "---")
	}
	began := time.Now()
	c.apply(strings.TrimSuffix(all.String(), "---"))
	t.Log("kubectl apply:", time.Since(began).Round(time.Millisecond))
	count := func(n int) func(string) error {
		return func(configuration string) error {
			if got := strings.Count(configuration, `"name":"apk/`); got != n {
				return fmt.Errorf("%d issuers, want %d", got, n)
			}
			return nil
		}
	}
	want := c.plugin("wasmplugin", count(1000))
	p.until(t, guarded(want, nil))
	t.Log("all of them at the proxy:", time.Since(began).Round(time.Millisecond))
	t.Log("the object:", len(c.kubectl("", "get", "wasmplugin", "orgate", "-n", "infra", "-o", "json")),
		"bytes; the configuration:", len(want))
	eventually(t, func() error {
		programmed := c.kubectl("", "get", "tokenissuers", "-n", "apk", "-o",
			`jsonpath={.items[*].status.conditions[?(@.type=="Programmed")].status}`)
		if n := strings.Count(programmed, "True"); n < 1000 {
			return fmt.Errorf("%d have a status", n)
		}
		return nil
	})
	t.Log("all of them have a status:", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	c.apply(tokenIssuer("one", "more", "org1", keysAt("h0.example.com")))
	p.until(t, func(s *state) error {
		plugins, err := s.plugins()
		if err != nil || len(plugins) == 0 {
			return fmt.Errorf("no plugin: %w", err)
		}
		text, err := configuration(plugins[0])
		if err != nil || !strings.Contains(text, "one/more") {
			return fmt.Errorf("one more is missing: %w", err)
		}
		return nil
	})
	t.Log("one more:", time.Since(began).Round(time.Millisecond))
	c.condition("organizationpolicy", "infra", "orgate", "Programmed", "True Programmed: 1001 TokenIssuers")
}
