package wasmfile_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/host/hosttest"
	"orgate/internal/wasmfile"
)

// The plugin of this repository is one that proxies load.
func TestPlugin(t *testing.T) {
	if diff := cmp.Diff([]string(nil), wasmfile.Check(hosttest.Wasm(t))); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}
