package kube

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// output keeps what a process wrote.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start starts a process that ends with the test, and keeps what it writes. A
// test that fails shows the end of it.
func start(t testing.TB, cmd *exec.Cmd) *output {
	t.Helper()
	log := &output{}
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig, cmd.SysProcAttr.Setpgid = syscall.SIGKILL, true
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-done
		}
		if t.Failed() {
			text := log.String()
			t.Logf("the end of what %s wrote:\n%s", filepath.Base(cmd.Path), text[max(0, len(text)-4000):])
		}
	})
	return log
}

// run runs a command to its end, and returns what it wrote to standard output.
func run(t testing.TB, stdin string, name string, args ...string) string {
	t.Helper()
	out, err := try(stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return out
}

func try(stdin string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader([]byte(stdin))
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		err = &failed{err, string(exit.Stderr)}
	}
	return string(out), err
}

type failed struct {
	error
	stderr string
}

func (f *failed) Error() string { return f.error.Error() + ": " + f.stderr }

// eventually waits until something holds: its error says why it does not.
func eventually(t testing.TB, holds func() error) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func write(t testing.TB, file, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	// By a new name, so that no watcher sees half of it.
	if err := os.WriteFile(file+".new", []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	return file
}
