package kube

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// cluster is an API server of Kubernetes with etcd, and nothing else: no node, no
// controller but those that a test starts.
type cluster struct {
	t      testing.TB
	dir    string
	url    string
	config string // the administrator's kubeconfig
}

// newCluster starts one, and creates the resources that all tests need.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	for _, program := range []string{apiServerProgram, kubectlProgram, controllerProgram} {
		needs(t, program)
	}
	c := &cluster{t: t, dir: t.TempDir()}
	client, peer := "http://127.0.0.1:"+port(t), "http://127.0.0.1:"+port(t)
	etcd := embed.NewConfig()
	etcd.Dir, etcd.UnsafeNoFsync, etcd.LogLevel = c.dir+"/etcd", true, "panic"
	etcd.ListenClientUrls, etcd.AdvertiseClientUrls = []url.URL{location(t, client)}, []url.URL{location(t, client)}
	etcd.ListenPeerUrls, etcd.AdvertisePeerUrls = []url.URL{location(t, peer)}, []url.URL{location(t, peer)}
	etcd.InitialCluster = etcd.InitialClusterFromName(etcd.Name)
	e, err := embed.StartEtcd(etcd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	<-e.Server.ReadyNotify()

	write(t, c.dir+"/tokens.csv", `admin,admin,1,"system:masters"`+"\n")
	write(t, c.dir+"/sa.key", run(t, "", "openssl", "genrsa", "2048"))
	secure := port(t)
	c.url = "https://127.0.0.1:" + secure
	start(t, exec.Command(bin+"/kube-apiserver", "--etcd-servers="+client, "--bind-address=127.0.0.1",
		"--secure-port="+secure,
		"--advertise-address=127.0.0.1", "--cert-dir="+c.dir+"/certs", "--service-account-issuer="+c.url,
		"--service-account-key-file="+c.dir+"/sa.key", "--service-account-signing-key-file="+c.dir+"/sa.key",
		"--service-cluster-ip-range=10.0.0.0/24", "--disable-admission-plugins=ServiceAccount",
		"--authorization-mode=RBAC",
		"--token-auth-file="+c.dir+"/tokens.csv", "--v=0"))
	c.config = c.kubeconfig("admin", "admin")
	eventually(t, func() error {
		_, err := c.try("", "get", "--raw", "/readyz")
		return err
	})
	for _, namespace := range []string{"orgate-system", "apk", "infra", "one", "two"} {
		c.kubectl("", "create", "namespace", namespace)
	}
	c.kubectl("", "apply", "--server-side", "-f",
		crds(t, "github.com/envoyproxy/gateway", "charts/gateway-helm/charts/crds/crds/gatewayapi-crds.yaml"),
		"-f", crds(t, "github.com/envoyproxy/gateway", "charts/gateway-helm/charts/crds/crds/generated"),
		"-f", crds(t, "istio.io/istio", "manifests/charts/base/files/crd-all.gen.yaml"))
	c.kubectl("", "apply", "--server-side", "-k", root+"/deploy/kustomize")
	c.kubectl("", "wait", "--for=condition=Established", "--all", "crd", "--timeout=60s")
	return c
}

// crds is a file of a module.
func crds(t testing.TB, module, file string) string {
	t.Helper()
	return filepath.Join(strings.TrimSpace(run(t, "", "go", "list", "-m", "-f", "{{.Dir}}", module)), file)
}

// port is one that nobody listens on.
func port(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func location(t testing.TB, text string) url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return *u
}

// kubeconfig writes one for a bearer of a token.
func (c *cluster) kubeconfig(name, token string) string {
	return write(c.t, c.dir+"/"+name+".kubeconfig", fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c",
"clusters": [{"name": "c", "cluster": {"server": %q, "insecure-skip-tls-verify": true}}],
"users": [{"name": "u", "user": {"token": %q}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}`, c.url, token))
}

func (c *cluster) try(stdin string, args ...string) (string, error) {
	return try(stdin, bin+"/kubectl", append([]string{"--kubeconfig", c.config}, args...)...)
}

func (c *cluster) kubectl(stdin string, args ...string) string {
	c.t.Helper()
	out, err := c.try(stdin, args...)
	if err != nil {
		c.t.Fatalf("kubectl %q: %v", args, err)
	}
	return out
}

// apply applies manifests.
func (c *cluster) apply(manifests string) {
	c.t.Helper()
	c.kubectl(manifests, "apply", "--server-side", "-f", "-")
}

// get reads an object; nil: there is none.
func (c *cluster) get(kind, namespace, name string) *unstructured.Unstructured {
	c.t.Helper()
	text := c.kubectl("", "get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
	if text == "" {
		return nil
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON([]byte(text)); err != nil {
		c.t.Fatal(err)
	}
	return o
}

// controller starts the controller as the service account that deploy/kustomize
// gives it, with a policy's namespace more to write to.
func (c *cluster) controller(args ...string) *exec.Cmd {
	c.t.Helper()
	c.kubectl("", "apply", "--server-side", "-n", "infra", "-f", root+"/deploy/kustomize/examples/namespace.yaml")
	return c.startController("orgate-system", args...)
}

// startController starts it as the service account in a namespace.
func (c *cluster) startController(namespace string, args ...string) *exec.Cmd {
	c.t.Helper()
	token := strings.TrimSpace(c.kubectl("", "create", "token", "orgate", "-n", namespace))
	cmd := exec.Command(bin+"/controller", append(
		[]string{"--kubeconfig", c.kubeconfig("controller", token), "--metrics-address=0", "--restarts-every=0",
			"--health-address=0", "--leader-elect", "--leader-election-namespace=" + namespace}, args...)...)
	log := start(c.t, cmd)
	c.t.Cleanup(func() {
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "forbidden") {
				c.t.Errorf("the controller lacks a right: %s", line)
			}
		}
	})
	return cmd
}

// condition waits until a condition of a resource is as it should be: "True
// Programmed", or its beginning and the message.
func (c *cluster) condition(kind, namespace, name, condition, want string) {
	c.t.Helper()
	eventually(c.t, func() error {
		o := c.get(kind, namespace, name)
		if o == nil {
			return fmt.Errorf("no %s %s/%s", kind, namespace, name)
		}
		list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		for _, one := range list {
			is := one.(map[string]any)
			if is["type"] != condition {
				continue
			}
			if got := fmt.Sprint(is["status"], " ", is["reason"], ": ", is["message"]); !strings.HasPrefix(got, want) {
				return fmt.Errorf("%s %s is %s, want %s", name, condition, got, want)
			}
			return nil
		}
		return fmt.Errorf("%s has no condition %s: %v", name, condition, list)
	})
}

// plugin waits until the plugin's configuration is as it should be, and returns
// it. The function's error says what is missing.
func (c *cluster) plugin(kind string, want func(configuration string) error) string {
	c.t.Helper()
	var text string
	eventually(c.t, func() error {
		o := c.get(kind, "infra", "orgate")
		if o == nil {
			return fmt.Errorf("no %s", kind)
		}
		value, ok, _ := unstructured.NestedMap(o.Object, "spec", "pluginConfig")
		if !ok {
			list, _, _ := unstructured.NestedSlice(o.Object, "spec", "wasm")
			if len(list) == 0 {
				return fmt.Errorf("%s without plugin: %v", kind, o.Object)
			}
			value = list[0].(map[string]any)["config"].(map[string]any)
		}
		configuration, err := json.Marshal(value)
		if err != nil {
			return err
		}
		text = string(configuration)
		return want(text)
	})
	return text
}

// holds is what a configuration has, and has not, as text.
func holds(texts ...string) func(string) error {
	return func(configuration string) error {
		for _, text := range texts {
			text, not := strings.CutPrefix(text, "!")
			if strings.Contains(configuration, text) == not {
				return fmt.Errorf("%q: there must be no such thing: %v, in %.2000s", text, not, configuration)
			}
		}
		return nil
	}
}
