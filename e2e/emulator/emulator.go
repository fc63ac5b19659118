// Package emulator runs the filter without Wasm, in the SDK's emulator of a
// proxy. It is for tests: the emulator runs one filter at a time, and merges
// headers of the same name where a proxy keeps them apart.
package emulator

import (
	"cmp"
	"fmt"
	"io"
	"log"
	"sync"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	"orgate/e2e/scenario"
	"orgate/filter"
)

// Proxy is an emulator with the filter in it.
type Proxy struct {
	proxytest.HostEmulator
	close func()
}

// New starts the filter. The clock stands at [scenario.Now]. Until the proxy is
// closed, no other can be started.
func New(configuration string) (*Proxy, error) {
	log.SetOutput(io.Discard) // where the emulator repeats the filter's log
	emulator, reset := proxytest.NewHostEmulator(proxytest.NewEmulatorOption().
		WithVMContext(&filter.VM{Now: func() time.Time { return scenario.Now }}).
		WithPluginConfiguration([]byte(configuration)))
	if emulator.StartVM() != types.OnVMStartStatusOK || emulator.StartPlugin() != types.OnPluginStartStatusOK {
		defer reset()
		return nil, fmt.Errorf("the configuration was refused: %q", emulator.GetErrorLogs())
	}
	return &Proxy{emulator, sync.OnceFunc(reset)}, nil
}

// Close ends the filter. It may be called again.
func (p *Proxy) Close() { p.close() }

// properties are those that the filter sets. The emulator has one of each for
// all streams.
var properties = []string{"orgate.reason", "orgate.issuer", "orgate.organization"}

// Serve implements [scenario.Proxy].
func (p *Proxy) Serve(r scenario.Request) scenario.Outcome {
	for _, name := range properties {
		p.set("", name)
	}
	p.set("", "xds", "route_metadata", "filter_metadata", "orgate", "organization")
	for name, value := range r.RouteMetadata {
		p.set(value, "xds", "route_metadata", "filter_metadata", name[0], name[1])
	}
	p.set(r.Digest(), "connection", "sha256_peer_certificate_digest")
	id := p.InitializeHttpContext()
	defer p.CompleteHttpContext(id)
	action := p.CallOnRequestHeaders(id, r.Map(), len(r.Trailers) == 0)
	outcome := scenario.Outcome{Reason: p.property(0), Issuer: p.property(1), Organization: p.property(2)}
	answer := p.GetSentLocalResponse(id)
	if action == types.ActionPause && answer == nil && Introspect(p, r) {
		action, answer = p.GetCurrentHttpStreamAction(id), p.GetSentLocalResponse(id)
		outcome.Reason, outcome.Issuer, outcome.Organization = p.property(0), p.property(1), p.property(2)
	}
	if answer != nil {
		outcome.Status, outcome.Headers = int(answer.StatusCode), answer.Headers
		outcome.Body, outcome.GRPC = string(answer.Data), answer.GRPCStatus
	}
	if action == types.ActionContinue {
		outcome.Passed, outcome.Upstream = true, p.GetCurrentRequestHeaders(id)
	}
	outcome.Waiting = action == types.ActionPause && answer == nil
	return outcome
}

// Introspect has the provider answer if a request waits for an introspection, and
// reports whether one does.
func Introspect(p proxytest.HostEmulator, r scenario.Request) bool {
	before := len(p.GetCalloutAttributesFromContext(proxytest.PluginContextID))
	p.Tick()
	calls := p.GetCalloutAttributesFromContext(proxytest.PluginContextID)
	for _, call := range calls[before:] {
		status, body := r.Answer()
		p.CallOnHttpCallResponse(call.CalloutID, [][2]string{{":status", status}}, nil, body)
	}
	return len(calls) > before
}

// unset stands for no value, since the emulator takes none back.
const unset = "\x00"

func (p *Proxy) set(value string, path ...string) {
	if err := p.SetProperty(path, []byte(cmp.Or(value, unset))); err != nil {
		panic(err)
	}
}

func (p *Proxy) property(n int) string {
	value, err := p.GetProperty(properties[n : n+1])
	if err != nil || string(value) == unset {
		return ""
	}
	return string(value)
}
