package kube

import (
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
		"--grpcAddr", "127.0.0.1:"+grpc, "--secureGRPCAddr", "", "--monitoringAddr", "127.0.0.1:"+port(c.t), "--ctrlz_port", "0")
	istiod.Env = append(os.Environ(), "ENABLE_CA_SERVER=false", "PILOT_CERT_PROVIDER=none", "POD_NAMESPACE=istio-system", "POD_NAME=istiod",
		"CLUSTER_ID=Kubernetes", "ENABLE_LEADER_ELECTION=false", "INJECT_ENABLED=false")
	istiod.Env = append(istiod.Env, environment...)
	istiod.Dir = c.dir
	start(c.t, istiod)
	metadata, err := structpb.NewStruct(map[string]any{"NAMESPACE": "infra", "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.29.0",
		"LABELS": map[string]any{"istio": "ingressgateway"}})
	if err != nil {
		c.t.Fatal(err)
	}
	return connect(c.t, "127.0.0.1:"+grpc, &corev3.Node{Id: "router~10.1.1.1~gw.infra~infra.svc.cluster.local", Cluster: "gw.infra",
		Metadata: metadata}, "")
}

// istioPolicy is the policy for Istio.
func istioPolicy(t testing.TB) string {
	return strings.NewReplacer("EnvoyGateway", "Istio", "targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: eg}",
		"selector: {istio: ingressgateway}", "registry.example.com/orgate:1.0.0", image(t)).Replace(policy)
}

// TestIstio: what is applied reaches a proxy of Istio's.
func TestIstio(t *testing.T) {
	for name, environment := range map[string]string{"all clusters": "X=Y", "clusters that are named alone": "PILOT_FILTER_GATEWAY_CLUSTER_CONFIG=true"} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.controller()
			p := c.istiod(environment)
			c.apply(ingress)
			text := istioPolicy(t)
			if environment != "X=Y" {
				text = strings.Replace(text, "  configuration:", "  istio: {filteredClusters: true}\n  configuration:", 1)
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
