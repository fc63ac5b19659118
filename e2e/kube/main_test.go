package kube

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const root = "../.."

// jobs is how many packages are compiled at once. Those of control planes are
// large: two at once take 4 GB.
const jobs = "1"

// programs are what the tests run.
var programs = []string{
	"k8s.io/kubernetes/cmd/kube-apiserver",
	"k8s.io/kubernetes/cmd/kubectl",
	"github.com/envoyproxy/gateway/cmd/envoy-gateway",
	"istio.io/istio/pilot/cmd/pilot-discovery",
	"orgate/cmd/orgate",
	"orgate/controller",
}

var built = sync.OnceValue(build)

// needs builds the programs. Tests that need none do without.
func needs(t testing.TB) {
	t.Helper()
	if err := built(); err != nil {
		t.Fatal(err)
	}
}

// build builds the programs, and the plugin. Go knows what is up to date.
func build() error {
	var err error
	if bin, err = filepath.Abs(root + "/build/kube"); err != nil {
		return err
	}
	started := time.Now()
	fmt.Println("building the control planes: 25 minutes of a processor if nothing is cached")
	cmd := exec.Command("go", append([]string{"build", "-p", jobs, "-o", bin + "/"}, programs...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	plugin := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", bin+"/orgate.wasm", ".")
	plugin.Dir = root
	plugin.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := plugin.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(plugin.Args, " "), err, out)
	}
	fmt.Println("built in", time.Since(started).Round(time.Second))
	return nil
}
