package host_test

import (
	"testing"

	"orgate/host"
	"orgate/host/hosttest"
)

// BenchmarkStream is the host's own share of a request: a stream whose guest
// reads one header.
func BenchmarkStream(b *testing.B) {
	vm, err := hosttest.Compile(b, "testdata/probe").NewVM(host.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer vm.Close()
	root, err := vm.NewRoot(host.RootConfig{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		stream := root.NewStream()
		if action := stream.RequestHeaders(get, true); action != host.Continue {
			b.Fatal(action)
		}
		stream.Close()
	}
}
