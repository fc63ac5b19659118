// Package wasip1 lets a plugin written against proxy-wasm-go-sdk run when it is
// built by the official Go compiler with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared
//
// The SDK declares its host calls and callbacks for TinyGo alone. Under any
// other compiler it asks a replaceable [internal.ProxyWasmHost] instead, meant
// for tests, and offers its callbacks as ordinary Go functions. This package
// stands at that seam: it implements the host with the functions that the proxy
// imports into the module ("env" "proxy_*"), and exports the callbacks under
// the names that the proxy calls ("proxy_on_*"). A plugin imports it for its
// side effects and registers its contexts with the SDK in an init function:
// main does not run in a reactor module.
//
// The interface is Proxy-Wasm ABI 0.2.1
// (https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1). Every
// callback of it is exported, used or not, since some proxies crash if one is
// missing. The SDK has no word for a few of the host calls; those are
// exported from here as Go functions.
//
// # Memory
//
// A host call that returns data has the proxy call proxy_on_memory_allocate,
// copy the data into the block, and store the block's address in 32 bits of
// memory. The garbage collector does not see it there. So each block stays
// reachable from its allocation until its host call has returned and its address
// was exchanged for a Go pointer. The address of no such block is refused: the
// call returns InternalFailure.
//
// What the SDK returns refers to these blocks. [RequestHeaders] reads a header
// map with less garbage.
//
// # Garbage
//
// A plugin never yields to the runtime's own goroutines, which mark and sweep
// elsewhere. Left alone, the runtime would collect in small steps while it
// allocates, and would not finish on a busy machine. So it never begins. This
// package collects all garbage at the end of a callback if the heap has grown
// enough since the last time. A long callback calls [Collect] when much of its
// memory is garbage. GOGC and GOMEMLIMIT in the VM's environment have no effect.
// Nothing is collected while the proxy asks for memory.
//
// A collection makes no host call but reading the clock. RATIONALE.md says how
// the runtime is kept from poll_oneoff.
//
// # Panics
//
// A panic is recovered at the callback's entry, and logged with its stack at
// error level. Then nothing passes: a stream gets a local response 500 and is
// paused, and a configuration is refused. Callbacks that decide nothing only log
// it. The zero value of the ABI's action means "continue"; no path out of a panic
// returns it.
//
// The package knows the SDK alone. Built for anything but wasip1 it is empty.
//
// The import path lies below the SDK's because the seam is in its internal
// package. A replace directive in the root module brings this folder in.
package wasip1
