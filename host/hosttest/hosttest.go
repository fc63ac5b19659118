// Package hosttest builds plugins for tests and compiles them for the host. A
// module is built and compiled once per test process.
package hosttest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"orgate/host"
)

var (
	mu      sync.Mutex
	modules = map[string]*built{}
)

type built struct {
	build   func() ([]byte, error)
	compile func() (*host.Plugin, error)
}

// Build builds the package in a directory as a plugin, with the given build
// tags, and returns the module. The directory is that of a main package,
// relative to the test's.
func Build(t testing.TB, dir string, tags ...string) []byte {
	t.Helper()
	wasm, err := module(t, dir, tags).build()
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// Compile builds as [Build] does, and compiles the module. The plugin is not
// closed: other tests use it as well.
func Compile(t testing.TB, dir string, tags ...string) *host.Plugin {
	t.Helper()
	plugin, err := module(t, dir, tags).compile()
	if err != nil {
		t.Fatal(err)
	}
	return plugin
}

// Plugin is the plugin of this repository, compiled.
func Plugin(t testing.TB) *host.Plugin {
	t.Helper()
	return Compile(t, root(t))
}

// Wasm is the plugin of this repository.
func Wasm(t testing.TB) []byte {
	t.Helper()
	return Build(t, root(t))
}

func module(t testing.TB, dir string, tags []string) *built {
	t.Helper()
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	key := dir + "\n" + strings.Join(tags, ",")
	if modules[key] == nil {
		build := sync.OnceValues(func() ([]byte, error) { return goBuild(dir, tags) })
		modules[key] = &built{
			build: build,
			compile: sync.OnceValues(func() (*host.Plugin, error) {
				wasm, err := build()
				if err != nil {
					return nil, err
				}
				return host.Compile(context.Background(), wasm)
			}),
		}
	}
	return modules[key]
}

func goBuild(dir string, tags []string) ([]byte, error) {
	out, err := os.MkdirTemp("", "orgate")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(out)
	file := filepath.Join(out, "plugin.wasm")
	if err := noteInputs(dir, tags); err != nil {
		return nil, err
	}
	command := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-tags",
		strings.Join(tags, ","), "-o", file, ".")
	command.Dir = dir
	command.Env = wasm()
	if output, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", dir, err, output)
	}
	return os.ReadFile(file)
}

// noteInputs opens the files that the plugin is made of, those of the standard
// library and of other modules excepted. "go test" remembers which files a test
// opens and runs it again when they change; it knows nothing of what a compiler
// reads that the test started.
func noteInputs(dir string, tags []string) error {
	list := exec.Command("go", "list", "-deps", "-tags", strings.Join(tags, ","), "-f",
		`{{if and .Module (or .Module.Main .Module.Replace)}}{{$dir := .Dir}}{{range `+
			`.GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{end}}`, ".")
	list.Dir = dir
	list.Env = wasm()
	output, err := list.Output()
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	for file := range strings.FieldsSeq(string(output)) {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		f.Close()
	}
	return nil
}

// wasm is the environment that a plugin is built in.
func wasm() []string { return append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=") }

// root is the directory of the repository's go.mod, above the test's.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
}
