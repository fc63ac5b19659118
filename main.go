//go:build wasip1

// Command orgate is the plugin: it authenticates API calls with tokens of
// third-party identity providers and keeps organizations apart. Build it with
// "make build"; the README says how a proxy loads it.
package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	_ "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/wasip1"
	"orgate/filter"
)

// A reactor module has no main to run: the plugin is registered while the
// module is initialized.
func init() {
	proxywasm.SetVMContext(&filter.VM{})
}

func main() {}
