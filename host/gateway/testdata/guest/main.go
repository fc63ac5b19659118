//go:build wasip1

// Command guest is the plugin of the gateway's tests. The request header x-do
// says what it does.
package main

import (
	"strconv"
	"syscall"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	_ "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/wasip1"
)

func main() {}

func init() {
	proxywasm.SetVMContext(&vm{})
}

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

type plugin struct {
	types.DefaultPluginContext
	waiting []uint32
	streams proxywasm.MetricCounter
	live    proxywasm.MetricGauge
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	c, _ := proxywasm.GetPluginConfiguration()
	switch string(c) {
	case "refuse":
		proxywasm.LogError("first mistake")
		proxywasm.LogError("second mistake")
		return types.OnPluginStartStatusFailed
	case "tick":
		_ = proxywasm.SetTickPeriodMilliSeconds(20)
	}
	p.streams = proxywasm.DefineCounterMetric("guest_streams")
	p.live = proxywasm.DefineGaugeMetric("guest_live")
	proxywasm.LogInfo("guest started")
	return types.OnPluginStartStatusOK
}

func (p *plugin) OnTick() {
	for _, id := range p.waiting {
		if proxywasm.SetEffectiveContext(id) == nil {
			_ = proxywasm.ResumeHttpRequest()
		}
	}
	p.waiting = nil
}

func (p *plugin) NewHttpContext(id uint32) types.HttpContext {
	p.streams.Increment(1)
	p.live.Add(1)
	return &stream{p: p, id: id}
}

type stream struct {
	types.DefaultHttpContext
	p  *plugin
	id uint32
	do string
}

func header(name string) string {
	v, _ := proxywasm.GetHttpRequestHeader(name)
	return v
}

func (s *stream) OnHttpRequestHeaders(int, bool) types.Action {
	s.do = header("x-do")
	for _, name := range []string{"reason", "issuer", "organization", "rule"} {
		if v := header("x-" + name); v != "" {
			_ = proxywasm.SetProperty([]string{"orgate." + name}, []byte(v))
		}
	}
	_ = proxywasm.RemoveHttpRequestHeader("x-remove")
	_ = proxywasm.AddHttpRequestHeader("x-guest", "was here")
	if _, err := proxywasm.GetHttpRequestHeader("user-agent"); err == nil {
		_ = proxywasm.AddHttpRequestHeader("x-agent", "named")
	}
	switch s.do {
	case "answer":
		_ = proxywasm.SendHttpResponse(401, [][2]string{{"content-type", "text/plain"}, {"x-local", "yes"}}, []byte("no entry\n"), 16)
		return types.ActionPause
	case "forever":
		return types.ActionPause
	case "tick":
		s.p.waiting = append(s.p.waiting, s.id)
		return types.ActionPause
	case "callout":
		_, err := proxywasm.DispatchHttpCall(header("x-cluster"), [][2]string{
			{":method", "GET"}, {":path", header("x-callout-path")}, {":authority", header("x-authority")}, {"x-sent", "by the guest"},
		}, nil, nil, 1000, s.answered)
		if err != nil {
			_ = proxywasm.AddHttpRequestHeader("x-callout", "refused: "+err.Error())
			return types.ActionContinue
		}
		return types.ActionPause
	case "trap":
		syscall.Exit(3)
	}
	return types.ActionContinue
}

func (s *stream) answered(headers, size, _ int) {
	status := "none"
	if headers > 0 {
		h, _ := proxywasm.GetHttpCallResponseHeaders()
		for _, pair := range h {
			if pair[0] == ":status" {
				status = pair[1]
			}
		}
	}
	_ = proxywasm.AddHttpRequestHeader("x-callout", status+" "+strconv.Itoa(size))
	_ = proxywasm.ResumeHttpRequest()
}

func (s *stream) OnHttpRequestTrailers(int) types.Action {
	if s.do == "answer-trailers" {
		_ = proxywasm.SendHttpResponse(403, nil, []byte("bad trailers\n"), -1)
		return types.ActionPause
	}
	_ = proxywasm.RemoveHttpRequestTrailer("x-remove")
	_ = proxywasm.AddHttpRequestTrailer("x-guest-trailer", "1")
	return types.ActionContinue
}

func (s *stream) OnHttpStreamDone() { s.p.live.Add(-1) }
