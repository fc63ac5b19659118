package kube

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"orgate/internal/page"
)

// TestGuides does what the guides say, from the definitions of the resources to
// the cleaning up. What needs containers or a proxy is left out.
func TestGuides(t *testing.T) {
	for _, guide := range []string{"kubernetes-envoy-gateway", "kubernetes-istio"} {
		t.Run(guide, func(t *testing.T) {
			c := newCluster(t)
			c.controller()
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
					case first == "kubectl" && strings.Contains(line, " delete "):
						line += " --wait=false" // nobody finalizes namespaces here
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
	for _, o := range []string{c.kubectl("", "get", "deployment,"+plugin, "-n", "orgate-system", "-o", "yaml")} {
		if strings.Contains(o, "registry.example.com") || strings.Count(o, registry+"/orgate") < 2 {
			t.Errorf("images of another registry:\n%s", o)
		}
	}
	text := c.kubectl("", "get", plugin, "apis", "-n", "orgate-system", "-o", "json")
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
