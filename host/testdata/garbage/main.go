//go:build wasip1

// Command garbage is a test guest that allocates much in every callback and
// keeps little of it, whose content it checks. Its plugin configuration is "tcp"
// if it is to take connections in place of streams, "long" if its ticks are to
// waste 100 MiB each, "quiet" if they are to waste nothing, and "holes" if they
// are to do what drives the runtime's scavenger to work. "lean" has streams read
// their headers with as little garbage as can be, and then waste what the header
// x-waste says.
package main

import (
	"runtime"
	"slices"
	"strconv"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/wasip1"
)

func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

// kept are blocks that live on for a while, filled with a number each.
var (
	kept [256][]byte
	next int
)

// waste allocates a number of bytes in blocks of all sizes.
func waste(bytes int) {
	for bytes > 0 {
		size := 1 << (next % 17)
		block := slices.Repeat([]byte{byte(next)}, size)
		if next%7 == 0 && size <= 8<<10 {
			old := &kept[next/7%len(kept)]
			for _, b := range *old {
				if b != (*old)[0] {
					panic("a block that was kept has changed")
				}
			}
			*old = block
		}
		bytes -= size
		next++
	}
}

// long is the last block of 64 KiB, and pages are blocks of a page of the heap,
// one in each stretch of eight: no block of 64 KiB fits between them.
var (
	long  []byte
	pages = make([][]byte, 0, 128)
)

// wasteLong allocates a number of blocks of 64 KiB, from a stack that grows out
// of as many KiB.
func wasteLong(blocks int) byte {
	for len(pages) < cap(pages) {
		for range 8 {
			long = make([]byte, 8<<10)
		}
		pages = append(pages, long)
	}
	var frame [1 << 10]byte
	frame[blocks] = byte(blocks)
	if blocks == 0 {
		return 0
	}
	long = make([]byte, 64<<10)
	return wasteLong(blocks-1) + frame[blocks-1]
}

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

type plugin struct {
	types.DefaultPluginContext
	configuration string
	stats         runtime.MemStats
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	waste(1 << 20)
	configuration, _ := proxywasm.GetPluginConfiguration()
	p.configuration = string(configuration)
	return types.OnPluginStartStatusOK
}

// OnTick logs how many collections there were, and how many of them somebody
// asked for. It also makes a call.
func (p *plugin) OnTick() {
	switch p.configuration {
	case "long":
		for range 100 {
			waste(1 << 20)
			wasip1.Collect()
		}
	case "quiet":
	case "holes":
		wasteLong(100)
	default:
		waste(1 << 20)
	}
	runtime.ReadMemStats(&p.stats)
	proxywasm.LogInfo("collections " + strconv.Itoa(int(p.stats.NumGC)) + " " + strconv.Itoa(int(p.stats.NumForcedGC)))
	call := [][2]string{{":method", "GET"}, {":path", "/"}, {":authority", "idp"}}
	if _, err := proxywasm.DispatchHttpCall("idp", call, nil, nil, 0, func(int, int, int) { waste(1 << 20) }); err != nil {
		panic(err)
	}
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext {
	return &stream{lean: p.configuration == "lean"}
}

type stream struct {
	types.DefaultHttpContext
	lean bool
}

func (s *stream) OnHttpRequestHeaders(int, bool) types.Action {
	if s.lean {
		bytes := 0
		_, err := wasip1.RequestHeaders(func(name string, value []byte) string {
			if name == "x-waste" {
				bytes, _ = strconv.Atoi(string(value))
			}
			return ""
		})
		if err != nil {
			panic(err)
		}
		waste(bytes)
		return types.ActionContinue
	}
	waste(16 << 10)
	if _, err := proxywasm.GetHttpRequestHeader("x-panic"); err == nil {
		waste(1 << 20)
		panic("told to")
	}
	return types.ActionContinue
}

func (s *stream) OnHttpRequestBody(size int, _ bool) types.Action {
	if _, err := proxywasm.GetHttpRequestBody(0, size); err != nil {
		panic(err)
	}
	return types.ActionContinue
}

func (s *stream) OnHttpResponseHeaders(int, bool) types.Action {
	waste(16 << 10)
	return types.ActionContinue
}
