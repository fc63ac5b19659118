package filter_test

import (
	"io"
	"log"
	"testing"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	"orgate/e2e/emulator"
	"orgate/e2e/scenario"
	"orgate/filter"
)

// native runs the filter in the SDK's emulator.
type native struct{ proxytest.HostEmulator }

// start configures the filter, at [scenario.Now].
func start(t *testing.T, config string, properties map[[2]string]string) native {
	t.Helper()
	return startAt(t, config, properties, func() time.Time { return scenario.Now })
}

func startAt(t *testing.T, config string, properties map[[2]string]string, now func() time.Time) native {
	t.Helper()
	log.SetOutput(io.Discard) // where the emulator repeats the filter's log
	option := proxytest.NewEmulatorOption().
		WithVMContext(&filter.VM{Now: now}).
		WithPluginConfiguration([]byte(config))
	for name, value := range properties {
		if value == "" {
			continue // the emulator cannot hand it over
		}
		option.WithProperty([]string{"xds", "route_metadata", "filter_metadata", name[0], name[1]}, []byte(value))
	}
	emulator, reset := proxytest.NewHostEmulator(option)
	t.Cleanup(reset)
	if emulator.StartVM() != types.OnVMStartStatusOK || emulator.StartPlugin() != types.OnPluginStartStatusOK {
		t.Fatalf("the configuration was refused: %q", emulator.GetErrorLogs())
	}
	return native{emulator}
}

func (n native) Serve(r scenario.Request) scenario.Outcome {
	if digest := r.Digest(); digest != "" { // the emulator cannot hand over an empty one
		if err := n.SetProperty([]string{"connection", "sha256_peer_certificate_digest"}, []byte(digest)); err != nil {
			panic(err)
		}
	}
	id := n.InitializeHttpContext()
	action := n.CallOnRequestHeaders(id, r.Map(), len(r.Trailers) == 0)
	outcome := n.outcome(id, action)
	if outcome.Waiting && emulator.Introspect(n, r) {
		outcome = n.outcome(id, n.GetCurrentHttpStreamAction(id))
	}
	if outcome.Passed && len(r.Trailers) > 0 {
		n.CallOnRequestTrailers(id, r.Trailers)
		trailers, err := proxywasm.GetHttpRequestTrailers() // of the stream called last
		if err != nil {
			panic(err)
		}
		outcome.Trailers = trailers
	}
	n.CompleteHttpContext(id)
	return outcome
}

func (n native) outcome(id uint32, action types.Action) scenario.Outcome {
	outcome := scenario.Outcome{
		Reason:       n.property("orgate.reason"),
		Issuer:       n.property("orgate.issuer"),
		Organization: n.property("orgate.organization"),
	}
	switch answer := n.GetSentLocalResponse(id); {
	case answer != nil && action == types.ActionPause:
		outcome.Status, outcome.Headers, outcome.Body, outcome.GRPC = int(answer.StatusCode), answer.Headers, string(answer.Data), answer.GRPCStatus
	case answer == nil && action == types.ActionContinue:
		outcome.Passed, outcome.Upstream = true, n.GetCurrentRequestHeaders(id)
	case answer == nil:
		outcome.Waiting = true
	}
	return outcome
}

func (n native) property(name string) string {
	value, err := n.GetProperty([]string{name})
	if err != nil {
		return ""
	}
	return string(value)
}

func TestScenarios(t *testing.T) {
	for _, c := range scenario.All() {
		if c.Apart {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			proxy := start(t, c.Configuration(), c.Request.RouteMetadata)
			if diff := c.Check(proxy.Serve(c.Request)); diff != "" {
				t.Errorf("verdict (-want +got):\n%s\nlog: %q", diff, proxy.GetDebugLogs())
			}
		})
	}
}
