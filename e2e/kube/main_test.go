package kube

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const root = "../.."

// What tests run: packages of the programs, whose last elements are their names.
const (
	apiServerProgram    = "k8s.io/kubernetes/cmd/kube-apiserver"
	kubectlProgram      = "k8s.io/kubernetes/cmd/kubectl"
	envoyGatewayProgram = "github.com/envoyproxy/gateway/cmd/envoy-gateway"
	istiodProgram       = "istio.io/istio/pilot/cmd/pilot-discovery"
	controllerProgram   = "orgate/controller"
	commandProgram      = "orgate/cmd/orgate"
)

// bin is where programs are built.
var bin, _ = filepath.Abs(root + "/build/kube")

// jobs is how many packages are compiled at once: those of control planes take
// gigabytes.
const jobs = "1"

var built = map[string]bool{}

// needs builds a program. Go knows what is up to date.
func needs(t testing.TB, program string) {
	t.Helper()
	if built[program] {
		return
	}
	folder := "."
	if program == commandProgram {
		folder = root // this module does not know all that it is made of
	}
	build(t, nil, folder, "-o", bin+"/"+path.Base(program), program)
	built[program] = true
}

// needsPlugin builds the plugin.
func needsPlugin(t testing.TB) {
	t.Helper()
	if !built["plugin"] {
		build(t, []string{"GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=-buildvcs=false"}, root, "-buildmode=c-shared",
			"-trimpath", "-ldflags=-s -w", "-o", bin+"/orgate.wasm", ".")
		built["plugin"] = true
	}
}

func build(t testing.TB, environment []string, folder string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"build", "-p", jobs}, args...)...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), environment...)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	if took := time.Since(began); took > 10*time.Second {
		fmt.Printf("%s was built in %s\n", args[len(args)-1], took.Round(time.Second))
	}
}
