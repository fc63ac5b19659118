package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/host/hosttest"
)

// TestRuntimeNeverSleeps pins what keeps the plugin from poll_oneoff, which a
// proxy may answer with ENOSYS: the parts of Go's runtime that RATIONALE.md
// reasons from. If it fails after an update of Go, read again what has changed,
// with the reason beside it. If the reasoning still holds, put the new hash in;
// if it does not, the collector in package abi has to change.
func TestRuntimeNeverSleeps(t *testing.T) {
	hashes, users := readRuntime(t)
	for _, f := range []struct{ name, hash, does string }{
		{"netpoll", "738f4585f242", "calls poll_oneoff"},
		{"usleep", "2fca1543aa35", "calls poll_oneoff"},
		{"notetsleepg", "50e5088cab6b", "calls sched_yield"},
		{"(*timers).addHeap", "03edc2ef7b80", "initializes netpoll with the first timer"},
		{"netpollGenericInit", "95c3219ce0f7", "says that netpoll is initialized"},
		{"startTheWorldWithSema", "fdc167cc238b", "polls once netpoll is initialized"},
		{"findRunnable", "37ba6f20206c", "polls once netpoll is initialized, and runs mark workers before it gives up"},

		{"bgscavenge", "6db0cfab903a", "sleeps only if the scavenger has released something"},
		{"(*scavengerState).sleep", "ac6e1bc2372d", "arms the one timer of the runtime's own"},
		{"(*scavengerState).run", "2e9a41113e39", "asks shouldStop before it releases anything"},
		{"(*scavengerState).init", "1b6dfc13846f", "makes shouldStop compare the heap with two goals"},
		{"heapRetained", "eedc9a610adb", "adds up what is in use, and what is free and not released"},
		{"(*mheap).allocSpan", "ed9660f8d320", "counts what is in use and what is free"},
		{
			"gcPaceScavenger", "263c43f8b704",
			"puts the goals out of reach, unless much more than a tenth of what was in use is free"},
		{"gcControllerCommit", "54fa4aad9e9d", "sets the goals, by the heap goal and that of the last collection"},
		{"gcMarkTermination", "2278f4eefa24",
			"sets the goals before anything is swept, when it has noted what is in use"},
		{"(*gcControllerState).endCycle", "ef39f40d144f", "notes the heap goal for that"},
		{"(*gcControllerState).commit", "38d7e02bed14", "puts the heap goal out of reach for a negative percentage"},
		{"(*gcControllerState).heapGoalInternal", "246f96e87929",
			"takes the memory limit's heap goal if that is lower"},
		{"(*gcControllerState).memoryLimitHeapGoal", "498f433feca8", "depends on what is in use by some MiB of 8 EiB"},

		{
			"(gcTrigger).test", "f960b5a2ceb4",
			"starts a collection for the heap's size, for time, or because it is asked to"},
		{"(*gcControllerState).trigger", "d5a24bfcfb7a", "keeps the size out of reach if the heap goal is"},
		{"setGCPercent", "491e619e92b4", "sets the goals, and waits for a collection that runs"},
		{"setMemoryLimit", "c9d2a9b95496", "sets the goals if the limit is another one"},
		{"GC", "1e1f553179fd", "waits for the end of the mark phase, and sweeps all"},
		{"runtime_debug_freeOSMemory", "ef961ee4b9b5", "collects, and releases what is free"},
	} {
		if got := hashes[f.name]; got != f.hash {
			t.Errorf("%s is %q in %s, not %q: see whether it still %s, as RATIONALE.md has it", f.name, got,
				runtime.Version(), f.hash, f.does)
		}
	}
	for name, want := range map[string][]string{
		"poll_oneoff": {"netpoll", "usleep"},
		"sched_yield": {"notetsleepg"},
		"notetsleepg": {"(*profBuf).read", "signal_recv"},
		"usleep": {"entersyscallblock", "exitsyscall", "freezetheworld", "runqgrab", "sysmon",
			"usleep_no_g"},
		"netpoll":            {"findRunnable", "pollWork", "startTheWorldWithSema", "sysmon"},
		"netpollGenericInit": {"(*timers).addHeap", "poll_runtime_pollServerInit"},
		"gcPaceScavenger":    {"gcControllerCommit"},
		"gcControllerCommit": {"gcMarkTermination", "setGCPercent", "setMemoryLimit"},
		"gcTriggerCycle":     {"(gcTrigger).test", "GC", "gcStart"},
		"gcTriggerTime":      {"(*gcControllerState).startCycle", "(gcTrigger).test", "forcegchelper", "sysmon"},
	} {
		if diff := cmp.Diff(want, users[name]); diff != "" {
			t.Errorf("functions that use %s (-want +got):\n%s", name, diff)
		}
	}
}

// TestPluginHasNoTimer: one would initialize netpoll. A guest that sleeps shows
// that the names are found where they are.
func TestPluginHasNoTimer(t *testing.T) {
	plugin, sleeper := hosttest.Wasm(t), hosttest.Build(t, "../host/testdata/probe")
	for _, function := range []string{"time.Sleep", "time.newTimer"} {
		if bytes.Contains(plugin, []byte(function+"\x00")) {
			t.Errorf("%s is linked into the plugin", function)
		}
	}
	if !bytes.Contains(sleeper, []byte("time.Sleep\x00")) {
		t.Error("time.Sleep is not found in a guest that calls it")
	}
}

// readRuntime returns hashes of the functions of Go's runtime as it is built for
// the plugin, comments and layout apart, and who uses which name.
func readRuntime(t *testing.T) (hashes map[string]string, users map[string][]string) {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	platform := build.Default
	platform.GOOS, platform.GOARCH, platform.CgoEnabled = "wasip1", "wasm", false
	pkg, err := platform.ImportDir(filepath.Join(strings.TrimSpace(string(root)), "src", "runtime"), 0)
	if err != nil {
		t.Fatal(err)
	}
	hashes, users = map[string]string{}, map[string][]string{}
	for _, name := range pkg.GoFiles {
		source, err := os.ReadFile(filepath.Join(pkg.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			name := functionName(f)
			hashes[name] = hashOf(source[files.Position(f.Pos()).Offset:files.Position(f.End()).Offset])
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if used, ok := n.(*ast.Ident); ok && !slices.Contains(users[used.Name], name) {
					users[used.Name] = append(users[used.Name], name)
				}
				return true
			})
		}
	}
	for _, names := range users {
		slices.Sort(names)
	}
	return hashes, users
}

// hashOf is a short hash of the tokens of Go source.
func hashOf(source []byte) string {
	var s scanner.Scanner
	s.Init(token.NewFileSet().AddFile("", -1, len(source)), source, nil, 0)
	hash := sha256.New()
	for {
		_, kind, text := s.Scan()
		if kind == token.EOF {
			return hex.EncodeToString(hash.Sum(nil)[:6])
		}
		fmt.Fprintln(hash, kind, text)
	}
}

// functionName is a function's name, with its receiver's type as in "(*T).name".
func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	return "(" + types.ExprString(f.Recv.List[0].Type) + ")." + f.Name.Name
}
