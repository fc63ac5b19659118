//go:build wasip1

// Command counted is the plugin, with one thing added: with each tick it logs
// how many objects and bytes were allocated so far and how often garbage was
// collected, once before the plugin's own tick and once after it, as
// "allocated objects bytes collections".
package main

import (
	"runtime"
	"strconv"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	_ "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/wasip1"
	"orgate/filter"
)

func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

type vm struct{ filter.VM }

func (v *vm) NewPluginContext(id uint32) types.PluginContext {
	return &plugin{PluginContext: v.VM.NewPluginContext(id)}
}

type plugin struct {
	types.PluginContext
	stats runtime.MemStats
}

func (p *plugin) OnTick() {
	p.report()
	p.PluginContext.OnTick()
	p.report()
}

func (p *plugin) report() {
	runtime.ReadMemStats(&p.stats)
	proxywasm.LogCritical("allocated " + strconv.FormatUint(p.stats.Mallocs, 10) + " " +
		strconv.FormatUint(p.stats.TotalAlloc, 10) + " " + strconv.FormatUint(uint64(p.stats.NumGC), 10))
}
