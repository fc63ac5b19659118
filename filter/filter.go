// Package filter is the plugin as the proxy sees it. It hands requests to package
// gate, and carries out the gate's decisions.
//
// A [stream] reads the request's header map in one host call, and has the gate
// judge it. Then it edits the headers and lets the request pass, sends a local
// response, or pauses until keys have come. Package gate draws the way of a
// request that waits.
//
// A [fetcher] holds one [jwks.Source] for each key location. It drives all of them
// from the plugin's tick, because only there is a callout's response sure to come
// back. Waiting streams are judged in ticks and when a response has come.
//
// A panic and a failed host call are faults of the plugin: they refuse.
//
// The package knows the SDK and everything below it. It knows neither the compiler
// nor the proxy. Time comes from the plugin's clock, so that tests can set it.
package filter

import (
	"math/rand/v2"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"orgate/gate"
)

// VM makes the plugin contexts of one Wasm VM. A proxy may configure several
// in the same VM. They share what all workers share, the documents of the same
// location, and nothing else.
type VM struct {
	types.DefaultVMContext
	// Now is the clock, the proxy's if nil.
	Now func() time.Time

	rehearsal *plugin // takes part in the self-test, nil but then
}

// NewPluginContext makes the context of one plugin configuration. It refuses
// all requests until it is configured.
func (vm *VM) NewPluginContext(id uint32) types.PluginContext {
	if vm.rehearsal != nil && id == rehearsalID {
		return vm.rehearsal
	}
	now := vm.Now
	if now == nil {
		now = proxyTime
	}
	return vm.newPlugin(id, now)
}

func (vm *VM) newPlugin(id uint32, now func() time.Time) *plugin {
	p := &plugin{vm: vm, id: id, now: now, room: gate.NewRoom[*stream](0, 0), metrics: newMetrics()}
	p.fetcher = &fetcher{now: now, worker: rand.Uint64() | 1, finished: p.onFetched}
	return p
}
