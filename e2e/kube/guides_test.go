package kube

import (
	"io/fs"
	"os"
	"os/exec"
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
			if strings.HasSuffix(guide, "gateway") {
				c.envoyGateway()
			}
			blocks, err := page.Read(root + "/docs/guides/" + guide + ".md")
			if err != nil {
				t.Fatal(err)
			}
			home := t.TempDir()
			copyTree(t, root+"/deploy", home+"/deploy", "registry.example.com/orgate:1.0.0", image(t))
			write(t, home+"/token-issuer.yaml", page.Texts(blocks, "yaml")[0])
			ran := 0
			for _, b := range blocks {
				if b.Info != "sh" {
					continue
				}
				for _, line := range b.Commands() {
					if strings.HasPrefix(line, "docker ") || strings.HasPrefix(line, "orgate ") {
						continue
					}
					ran++
					if strings.HasPrefix(line, "kubectl delete ") {
						line += " --wait=false" // nobody finalizes namespaces here
					}
					cmd := exec.Command("sh", "-c", line)
					cmd.Dir, cmd.Env = home, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"),
						"KUBECONFIG="+c.config)
					out, err := cmd.CombinedOutput()
					if err != nil {
						t.Fatalf("%s: %v\n%s", line, err, out)
					}
					t.Logf("$ %s\n%s", line, out)
					if strings.Contains(line, "get events") && !strings.Contains(string(out), "tokenissuer/auth0") {
						t.Errorf("%s:\n%s", line, out)
					}
				}
			}
			if ran < 12 {
				t.Errorf("%d commands", ran)
			}
		})
	}
}

// copyTree copies manifests, with one text exchanged.
func copyTree(t testing.TB, from, to, old, text string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(from), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		content, err := os.ReadFile(from + "/" + path)
		if err == nil {
			write(t, to+"/"+path, strings.ReplaceAll(string(content), old, text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
