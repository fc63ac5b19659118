package kube

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"orgate/internal/page"
)

// TestGuides does what the guides say, from the definitions of the resources to
// the cleaning up. What needs containers or a proxy is left out.
func TestGuides(t *testing.T) {
	for _, guide := range []string{"kubernetes-envoy-gateway", "kubernetes-istio"} {
		t.Run(guide, func(t *testing.T) {
			c := newCluster(t)
			controller := c.controller()
			plugin := "wasmplugin"
			if strings.HasSuffix(guide, "gateway") {
				c.envoyGateway()
				plugin = "envoyextensionpolicy"
			}
			c.apply(tokenIssuer("apk", "others", "org9", keysAt("others.example.com")))
			blocks, err := page.Read(root + "/docs/guides/" + guide + ".md")
			if err != nil {
				t.Fatal(err)
			}
			home := t.TempDir()
			if err := os.CopyFS(home+"/deploy", os.DirFS(root+"/deploy")); err != nil {
				t.Fatal(err)
			}
			for file, kind := range map[string]string{"token-issuer.yaml": "TokenIssuer", "route.yaml": "HTTPRoute"} {
				for _, text := range page.Texts(blocks, "yaml") {
					if strings.Contains(text, "kind: "+kind+"\n") {
						write(t, home+"/"+file, text)
					}
				}
			}
			registry, _, _ := strings.Cut(image(t), "/")
			ran, forwarded := 0, false
			for _, b := range blocks {
				if b.Info != "sh" {
					continue
				}
				for _, line := range b.Commands() {
					first, _, _ := strings.Cut(line, " ")
					forwards := strings.HasPrefix(line, "kubectl port-forward ")
					switch {
					case first == "export":
						continue // REGISTRY is the test's
					case first == "docker" && !strings.Contains(line, "$REGISTRY/"):
						t.Errorf("the image has another name: %s", line)
					case first == "docker", first == "make", first == "build/orgate", first == "curl":
						continue
					case strings.HasPrefix(line, "kubectl delete "):
						line += " --wait=false" // nobody finalizes namespaces here
						if strings.Contains(line, " -k ") {
							if err := controller.Process.Kill(); err != nil { // as its Deployment's end does
								t.Fatal(err)
							}
						}
					case forwards:
						line = "echo " + strings.TrimSuffix(line, "&")
					}
					ran++
					// What a control plane makes for a Gateway takes a moment.
					var out []byte
					eventually(t, func() error {
						cmd := exec.Command("sh", "-c", line)
						cmd.Dir, cmd.Env = home, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"),
							"KUBECONFIG="+c.config, "REGISTRY="+registry)
						var err error
						if out, err = cmd.CombinedOutput(); err != nil {
							t.Fatalf("%s: %v\n%s", line, err, out)
						}
						if forwards && !regexp.MustCompile(` service/\S+ 8888:80\n`).Match(out) {
							return fmt.Errorf("no service: %s", out)
						}
						return nil
					})
					t.Logf("$ %s\n%s", line, out)
					forwarded = forwarded || forwards
					if strings.Contains(line, "get events -n team-two") &&
						!strings.Contains(string(out), "tokenissuer/auth0") {
						t.Errorf("%s:\n%s", line, out)
					}
					if strings.HasPrefix(line, "kubectl wait organizationpolicy/apis ") {
						c.condition("organizationpolicy", "orgate-system", "apis", "Programmed", "True")
					}
				}
				switch {
				case strings.Contains(b.Text, "kubectl apply -n team-one -f "):
					installed(t, c, registry, plugin)
				case strings.Contains(b.Text, "kubectl delete namespace orgate-system"):
					uninstalled(t, c)
				}
			}
			if ran < 20 || !forwarded {
				t.Errorf("%d commands, a port forwarded: %v", ran, forwarded)
			}
		})
	}
}

// installed looks at what the guides' resources made.
func installed(t *testing.T, c *cluster, registry, plugin string) {
	t.Helper()
	text := c.kubectl("", "get", "deployment,"+plugin, "-n", "orgate-system", "-o", "yaml")
	if strings.Contains(text, "registry.example.com") || strings.Count(text, registry+"/orgate") < 2 {
		t.Errorf("images of another registry:\n%s", text)
	}
	text = c.kubectl("", "get", plugin, "apis", "-n", "orgate-system", "-o", "json")
	for _, want := range []string{"team-one/auth0", "org_9ybsU1dN2dKfDkBi", "https://api.example.com"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in the plugin's configuration:\n%s", want, text)
		}
	}
	route := c.get("httproute", "team-one", "orders")
	if route == nil {
		t.Fatal("no route")
	}
	text = fmt.Sprint(route.Object["spec"])
	for _, want := range []string{"name:apis namespace:orgate-system", "value:/t/org1/orders", "name:orders port:8080"} {
		if !strings.Contains(text, want) {
			t.Errorf("the route has no %q: %s", want, text)
		}
	}
	if c.get("service", "team-one", "orders") == nil {
		t.Error("the route leads nowhere")
	}
	may := func() string {
		out, _ := c.try("", "auth", "can-i", "create", "wasmplugins.extensions.istio.io", "-n", "two",
			"--as=system:serviceaccount:orgate-system:orgate") // it fails if the word is no
		return strings.TrimSpace(out)
	}
	if got := may(); got != "no" {
		t.Errorf("the controller may write in any namespace: %s", got)
	}
	c.kubectl("", "apply", "--server-side", "-n", "two", "-f", root+"/deploy/kustomize/examples/namespace.yaml")
	if got := may(); got != "yes" {
		t.Errorf("the controller may not write beside another's Gateway: %s", got)
	}
}

// uninstalled: the controller is gone, and what is not orgate's is there.
func uninstalled(t *testing.T, c *cluster) {
	t.Helper()
	for _, gone := range []string{"deployment", "role", "clusterrole", "clusterrolebinding"} {
		if left := c.kubectl("", "get", gone, "-n", "orgate-system", "-o", "name",
			"-l", "app.kubernetes.io/name=orgate-controller"); left != "" {
			t.Errorf("left: %s", left)
		}
	}
	if c.get("tokenissuer", "apk", "others") == nil {
		t.Error("others' TokenIssuers are gone")
	}
}

// TestAnothersDefinition: if another product's installer brought the definition of
// TokenIssuers, kubectl says so, leaves it, and applies everything else. One that
// kubectl applied is replaced.
func TestAnothersDefinition(t *testing.T) {
	c := newCluster(t)
	definition := c.get("crd", "", "tokenissuers.dp.wso2.com")
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	unstructured.RemoveNestedField(versions[0].(map[string]any), "additionalPrinterColumns")
	for _, field := range []string{"managedFields", "uid", "resourceVersion", "creationTimestamp", "generation"} {
		unstructured.RemoveNestedField(definition.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(definition.Object, "status")
	if err := unstructured.SetNestedSlice(definition.Object, versions, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	text, err := definition.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(root + "/deploy/kustomize/controller.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		installed []string
		kept      bool
	}{
		{[]string{"create", "--field-manager=helm"}, true},
		{[]string{"apply", "--server-side"}, false},
		{[]string{"apply"}, false},
	} {
		t.Run(strings.Join(tt.installed, " "), func(t *testing.T) {
			c.kubectl("", "delete", "-k", root+"/deploy/kustomize", "-l", "app.kubernetes.io/name=orgate-controller")
			c.kubectl("", "delete", "crd", "tokenissuers.dp.wso2.com")
			c.kubectl(string(text), append(tt.installed, "-f", "-")...)
			before := c.get("crd", "", "tokenissuers.dp.wso2.com").Object["spec"]
			_, err := c.try("", "apply", "--server-side", "-k", root+"/deploy/kustomize")
			if tt.kept != (err != nil) ||
				tt.kept && !strings.Contains(err.Error(), `conflict with "helm" using apiextensions.k8s.io/v1`) {
				t.Errorf("error %v", err)
			}
			after := c.get("crd", "", "tokenissuers.dp.wso2.com").Object["spec"]
			if kept := cmp.Equal(before, after); kept != tt.kept {
				t.Errorf("their definition is kept: %v", kept)
			}
			for _, o := range parse(t, string(content)) {
				if c.get(o.GetKind(), o.GetNamespace(), o.GetName()) == nil {
					t.Errorf("no %s %s", o.GetKind(), o.GetName())
				}
			}
		})
	}
}
