//go:build wasip1

// Command headers is a test guest that copies every request header in several
// ways, makes garbage, and echoes the copies.
package main

import (
	"strconv"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/wasip1"
)

func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

type plugin struct {
	types.DefaultPluginContext
	// What streams leave behind: garbage, some of it old.
	kept [256][]byte
	n    int
	// The header map of the stream before, read in two ways.
	whole, lean [][2]string
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext { return &stream{plugin: p} }

type stream struct {
	types.DefaultHttpContext
	plugin  *plugin
	headers [][2]string
}

func (s *stream) OnHttpRequestHeaders(n int, _ bool) types.Action {
	headers, err := proxywasm.GetHttpRequestHeaders()
	if err != nil {
		panic(err)
	}
	if len(headers) != n {
		panic("the number of headers is " + strconv.Itoa(len(headers)))
	}
	s.headers = headers
	s.plugin.readLean(headers)
	for _, header := range headers {
		s.plugin.garbage(len(header[1]))
		value, err := proxywasm.GetHttpRequestHeader(header[0])
		if err != nil {
			panic(err)
		}
		if value != header[1] {
			panic("header " + header[0] + " read by name differs from the map")
		}
		if err := proxywasm.SetSharedData(header[0], []byte(value), 0); err != nil {
			panic(err)
		}
	}
	for _, header := range headers {
		value, _, err := proxywasm.GetSharedData(header[0])
		if err != nil {
			panic(err)
		}
		if string(value) != header[1] {
			panic("header " + header[0] + " read from shared data differs from the map")
		}
	}
	return types.ActionContinue
}

func (s *stream) OnHttpResponseHeaders(int, bool) types.Action {
	if err := proxywasm.ReplaceHttpResponseHeaders(s.headers); err != nil {
		panic(err)
	}
	return types.ActionContinue
}

func (p *plugin) garbage(size int) {
	block := make([]byte, size+1)
	for i := range block {
		block[i] = 0xa5
	}
	p.kept[p.n%len(p.kept)] = block
	p.n += 7
}

// readLean reads the header map in another way, and compares what that, and the
// same for the stream before, has kept.
func (p *plugin) readLean(whole [][2]string) {
	wanted := func(name string) bool { return len(name)%2 == 0 }
	lean, err := wasip1.RequestHeaders(func(name string, value []byte) string {
		if wanted(name) {
			return string(value)
		}
		return ""
	})
	if err != nil {
		panic(err)
	}
	for _, maps := range [...][2][][2]string{{whole, lean}, {p.whole, p.lean}} {
		if len(maps[0]) != len(maps[1]) {
			panic("a header map has another length when it is read leanly")
		}
		for i, header := range maps[0] {
			if !wanted(header[0]) {
				header[1] = ""
			}
			if header != maps[1][i] {
				panic("header " + header[0] + " is another when it is read leanly")
			}
		}
	}
	p.whole, p.lean = whole, lean
}
