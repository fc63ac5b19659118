// Package filter is the plugin as the proxy sees it: it reads requests, asks
// the packages that decide, and writes what they decided.
//
// # The way of a request
//
// A [stream] reads the request's header map in one host call and removes every
// header that could be taken for an identity. It asks package policy for the
// rule, takes the token from the configured places, has package jwt parse it,
// finds the issuer and its keys, verifies the signature, and asks package
// policy again what the token may do here. It ends in exactly one of two ways:
// the identity headers are written and the request goes on, or one local
// response is sent. Where the keys are not there yet the stream pauses; the
// [plugin] judges it anew when they come or its time is up.
//
// # The life of the keys
//
// A [fetcher] holds one [jwks.Source] for each key location and drives all of
// them from the plugin's tick, the one place where a call out of the proxy can be
// made and its response is sure to come back.
//
// # Refusals
//
// Every error that a decision can end in stands in one table, [answers], with
// its status, its words and its metric label. An error that is not in the
// table, a panic and a failed host call are faults of the filter: 500.
//
// The package knows the SDK and everything below it; it does not know which
// compiler built it or which proxy runs it. Time comes from the plugin's
// clock, so that tests can set it.
package filter

import (
	"math/rand/v2"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// VM makes the plugin contexts of one Wasm VM. A proxy may configure several
// in the same VM. They share what all workers share, the documents of the same
// location, and nothing else.
type VM struct {
	types.DefaultVMContext
	// Now is the clock, the proxy's if nil.
	Now func() time.Time
}

// NewPluginContext makes the context of one plugin configuration. It refuses
// all requests until it is configured.
func (vm *VM) NewPluginContext(id uint32) types.PluginContext {
	now := vm.Now
	if now == nil {
		now = proxyTime
	}
	p := &plugin{id: id, now: now}
	p.fetcher = &fetcher{now: now, worker: rand.Uint64() | 1, finished: p.onFetched}
	return p
}
