package filter_test

import (
	"fmt"
	"io"
	"log"
	"testing"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	"orgate/e2e/scenario"
	"orgate/filter"
)

// native runs the filter in the SDK's emulator.
type native struct{ proxytest.HostEmulator }

// configure runs the filter with a configuration, at [scenario.Now]. The error is
// the log of one that is refused.
func configure(t *testing.T, config string) (native, error) {
	t.Helper()
	log.SetOutput(io.Discard) // where the emulator repeats the filter's log
	emulator, reset := proxytest.NewHostEmulator(proxytest.NewEmulatorOption().
		WithVMContext(&filter.VM{Now: func() time.Time { return scenario.Now }}).
		WithPluginConfiguration([]byte(config)))
	t.Cleanup(reset)
	if emulator.StartVM() != types.OnVMStartStatusOK || emulator.StartPlugin() != types.OnPluginStartStatusOK {
		return native{}, fmt.Errorf("%q", emulator.GetErrorLogs())
	}
	return native{emulator}, nil
}

func start(t *testing.T, config string) native {
	t.Helper()
	proxy, err := configure(t, config)
	if err != nil {
		t.Fatal(err)
	}
	return proxy
}
