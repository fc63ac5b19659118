package host_test

import (
	"fmt"
	"strings"
	"testing"

	"orgate/host"
	"orgate/host/hosttest"
)

// probe is a VM with testdata/probe in it, and what it logged.
type probe struct {
	*host.VM
	root *host.Root
	logs *[]string
}

// newProbe starts the guest with words that tell it what to do.
func newProbe(t *testing.T, c host.Config, words ...string) probe {
	t.Helper()
	p, err := tryProbe(t, c, host.RootConfig{}, words...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryProbe(t *testing.T, c host.Config, rc host.RootConfig, words ...string) (probe, error) {
	t.Helper()
	logs := &[]string{}
	c.VMConfiguration = []byte(strings.Join(words, " "))
	c.Log = func(level host.LogLevel, message string) {
		*logs = append(*logs, fmt.Sprintf("%d %s", level, message))
	}
	vm, err := hosttest.Compile(t, "testdata/probe").NewVM(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	root, err := vm.NewRoot(rc)
	return probe{vm, root, logs}, err
}

func (p probe) takeLogs() []string {
	logs := *p.logs
	*p.logs = nil
	return logs
}

var get = host.Headers{{":method", "GET"}, {":path", "/a?b=c"}, {":authority", "example.com"}, {":scheme", "https"}}

// do sends a request that has the guest do something.
func (p probe) do(what string, more ...[2]string) (*host.Stream, host.Action) {
	stream := p.root.NewStream()
	return stream, stream.RequestHeaders(append(append(get.Clone(), [2]string{"x-do", what}), more...), true)
}

// lines sends a request whose answer is lines.
func (p probe) lines(t *testing.T, what string, more ...[2]string) string {
	t.Helper()
	stream, action := p.do(what, more...)
	defer stream.Close()
	if action != host.Answer || stream.LocalResponse().Status != 200 {
		t.Fatalf("%s: %s %+v\n%s", what, action, stream.LocalResponse(), strings.Join(*p.logs, "\n"))
	}
	return string(stream.LocalResponse().Body)
}
