//go:build wasip1

// Command probe is a test guest that does what it is told. The VM's
// configuration is a list of words: a callback's name to panic in, "once" to
// panic there the first time alone, "error", "stringer" or "int" for the kind
// of value, "refuse" and the like; the
// header x-do of a request names a function of the table below, whose lines
// are sent back as the body of a local response.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/wasip1"
)

func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

var words []string

func told(word string) bool { return slices.Contains(words, word) }

// hurts says that the guest has panicked as it was told to.
var hurts bool

// hurt panics where it was told to.
func hurt(callback string) {
	if !told(callback) || hurts && told("once") {
		return
	}
	hurts = true
	switch {
	case told("error"):
		panic(badError{})
	case told("stringer"):
		panic(badStringer{})
	case told("int"):
		panic(42)
	case told("nil"):
		none()["x"] = 1
	}
	panic("told to panic in " + callback)
}

func none() map[string]int { return nil }

type badError struct{}

func (badError) Error() string { panic("an error that panics") }

type badStringer struct{}

func (badStringer) String() string { panic("a stringer that panics") }

type vm struct{ types.DefaultVMContext }

func (*vm) OnVMStart(int) types.OnVMStartStatus {
	hurt("vm_start")
	return types.OnVMStartStatus(!told("refuse_start"))
}

func (*vm) NewPluginContext(id uint32) types.PluginContext {
	if configuration, err := proxywasm.GetVMConfiguration(); err == nil {
		words = strings.Fields(string(configuration))
	}
	hurt("context_create")
	return &plugin{id: id}
}

type plugin struct {
	types.DefaultPluginContext
	id            uint32
	configuration string
	waiting       []uint32
}

func (p *plugin) OnPluginStart(size int) types.OnPluginStartStatus {
	hurt("configure")
	if told("callout_configure") {
		p.call("idp")
	}
	if size > 0 {
		configuration, err := proxywasm.GetPluginConfiguration()
		if err != nil {
			proxywasm.LogErrorf("configuration: %v", err)
			return types.OnPluginStartStatusFailed
		}
		p.configuration = string(configuration)
	}
	if p.configuration == "refuse" {
		return types.OnPluginStartStatusFailed
	}
	if told("tick") {
		proxywasm.SetTickPeriodMilliSeconds(250)
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) OnPluginDone() bool {
	hurt("plugin_done")
	return !told("later")
}

func (p *plugin) OnTick() {
	hurt("tick")
	switch {
	case told("tick_done"):
		proxywasm.PluginDone()
	case told("tick_callout"):
		p.call("idp")
	case told("tick_grow"):
		hog = append(hog, make([]byte, 64<<20))
	case told("tick_count"):
		count()
	case told("tick_trap"):
		trap()
	default:
		for _, id := range p.waiting {
			if err := proxywasm.SetEffectiveContext(id); err == nil {
				proxywasm.AddHttpRequestHeader("x-resumed", strconv.Itoa(int(id)))
				proxywasm.ResumeHttpRequest()
				if err := proxywasm.AddHttpRequestHeader("x-late", "1"); err != types.ErrorStatusBadArgument {
					panic("a resumed request can be written")
				}
			}
		}
		p.waiting = nil
	}
}

var hog [][]byte

// trap does what no recover can catch.
func trap() { os.Exit(3) }

// count increments a number in shared data with compare-and-swap.
func count() {
	for {
		value, cas, err := proxywasm.GetSharedData("count")
		if err != nil && !errors.Is(err, types.ErrorStatusNotFound) {
			panic(err)
		}
		if errors.Is(err, types.ErrorStatusNotFound) {
			panic("the host sets the first value")
		}
		n, _ := strconv.Atoi(string(value))
		err = proxywasm.SetSharedData("count", []byte(strconv.Itoa(n+1)), cas)
		if err == nil {
			return
		}
		if !errors.Is(err, types.ErrorStatusCasMismatch) {
			panic(err)
		}
	}
}

func (p *plugin) call(cluster string) error {
	id := uint32(0)
	id, err := proxywasm.DispatchHttpCall(cluster, [][2]string{{":method", "GET"}, {":path", "/keys"},
		{":authority", "idp.example"}, {"X-Test", ""}},
		[]byte("body"), [][2]string{{"x-trailer", "t"}}, 1500, func(headers, size, trailers int) {
			hurt("http_call_response")
			h, hErr := proxywasm.GetHttpCallResponseHeaders()
			b, bErr := proxywasm.GetHttpCallResponseBody(0, size)
			t, tErr := proxywasm.GetHttpCallResponseTrailers()
			code, message, sErr := wasip1.Status()
			proxywasm.LogInfof("answer %d: %d %d %d: %q %v %q %v %q %v %d %q %v", id, headers, size, trailers, h, hErr, b, bErr,
				t, tErr, code, message, sErr)
			if told("answer_streams") {
				for _, stream := range p.waiting {
					if proxywasm.SetEffectiveContext(stream) == nil {
						proxywasm.SendHttpResponse(403, [][2]string{{"x-from", "callout"}}, []byte("no"), 7)
					}
				}
				p.waiting = nil
			}
		})
	return err
}

func (p *plugin) NewHttpContext(id uint32) types.HttpContext {
	hurt("stream_create")
	return &stream{plugin: p, id: id}
}

type stream struct {
	types.DefaultHttpContext
	plugin *plugin
	id     uint32
}

func (s *stream) OnHttpRequestHeaders(n int, end bool) types.Action {
	hurt("request_headers")
	proxywasm.AddHttpRequestHeader("x-plugin", s.plugin.configuration)
	if told("wait") {
		s.plugin.waiting = append(s.plugin.waiting, s.id)
		return types.ActionPause
	}
	do, err := proxywasm.GetHttpRequestHeader("x-do")
	if err != nil {
		return types.ActionContinue
	}
	f := table[do]
	if f == nil {
		panic("told to do what nobody knows: " + do)
	}
	w := &lines{stream: s}
	action := f(w)
	if action != types.ActionPause {
		return action
	}
	if w.Len() > 0 {
		proxywasm.SendHttpResponse(200, nil, []byte(w.String()), -1)
	}
	return types.ActionPause
}

func (s *stream) OnHttpRequestBody(n int, end bool) types.Action {
	hurt("request_body")
	body, err := proxywasm.GetHttpRequestBody(0, n)
	proxywasm.LogInfof("request body %d %t %q %v", n, end, body, err)
	if told("buffer") && !end {
		return types.ActionPause
	}
	if told("replace") {
		proxywasm.ReplaceHttpRequestBody([]byte("replaced"))
		proxywasm.PrependHttpRequestBody([]byte("<"))
		proxywasm.AppendHttpRequestBody([]byte(">"))
	}
	return types.ActionContinue
}

func (s *stream) OnHttpRequestTrailers(n int) types.Action {
	hurt("request_trailers")
	proxywasm.AddHttpRequestTrailer("x-n", strconv.Itoa(n))
	return types.ActionContinue
}

func (s *stream) OnHttpResponseHeaders(n int, end bool) types.Action {
	hurt("response_headers")
	if _, err := proxywasm.GetHttpRequestHeader(":path"); err != types.ErrorStatusBadArgument {
		panic("request headers can be read in response headers")
	}
	proxywasm.AddHttpResponseHeader("x-seen", strconv.Itoa(n))
	return types.ActionContinue
}

func (s *stream) OnHttpResponseBody(n int, end bool) types.Action {
	hurt("response_body")
	body, err := proxywasm.GetHttpResponseBody(0, n)
	proxywasm.LogInfof("response body %d %t %q %v", n, end, body, err)
	return types.ActionContinue
}

func (s *stream) OnHttpResponseTrailers(n int) types.Action {
	hurt("response_trailers")
	proxywasm.AddHttpResponseTrailer("x-n", strconv.Itoa(n))
	return types.ActionContinue
}

func (s *stream) OnHttpStreamDone() {
	hurt("log")
	path, err := proxywasm.GetHttpRequestHeader(":path")
	status, sErr := proxywasm.GetHttpResponseHeader(":status")
	proxywasm.LogInfof("done %q %v %q %v", path, err, status, sErr)
}

// lines collects what is sent back.
type lines struct {
	strings.Builder
	stream *stream
}

func (w *lines) add(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

var table = map[string]func(*lines) types.Action{
	"maps": func(w *lines) types.Action {
		pairs, err := proxywasm.GetHttpRequestHeaders()
		w.add("all %q %v", pairs, err)
		size, err := wasip1.HeaderMapSize(0)
		w.add("size %d %v", size, err)
		value, err := proxywasm.GetHttpRequestHeader("X-Two")
		w.add("first of two %q %v", value, err)
		value, err = proxywasm.GetHttpRequestHeader("x-empty")
		w.add("empty %q %v", value, err)
		value, err = proxywasm.GetHttpRequestHeader("x-none")
		w.add("none %q %v", value, err)
		value, err = proxywasm.GetHttpRequestTrailer("x")
		w.add("trailer %q %v", value, err)
		pairs, err = proxywasm.GetHttpRequestTrailers()
		w.add("trailers %q %v", pairs, err)
		w.add("add to trailers %v", proxywasm.AddHttpRequestTrailer("x", "y"))
		value, err = proxywasm.GetHttpResponseHeader("x")
		w.add("response header %q %v", value, err)
		pairs, err = proxywasm.GetHttpCallResponseHeaders()
		w.add("call-out headers %q %v", pairs, err)
		body, err := proxywasm.GetHttpCallResponseBody(0, 10)
		w.add("call-out body %q %v", body, err)
		return types.ActionPause
	},
	"edit": func(w *lines) types.Action {
		proxywasm.ReplaceHttpRequestHeader("X-Two", "only")
		proxywasm.AddHttpRequestHeader("X-Added", "1")
		proxywasm.AddHttpRequestHeader("x-added", "2")
		proxywasm.RemoveHttpRequestHeader("X-Gone")
		proxywasm.ReplaceHttpRequestHeader("x-new", "")
		proxywasm.ReplaceHttpRequestHeader(":path", "/new")
		return types.ActionContinue
	},
	"properties": func(w *lines) types.Action {
		for _, path := range [][]string{
			{"plugin_name"}, {"plugin_root_id"}, {"plugin_vm_id"}, {"metadata", "filter_metadata", "x"}, {"given.to.root"},
			{"empty"}, {"unknown"},
		} {
			value, err := proxywasm.GetProperty(path)
			w.add("%s %q %v", strings.Join(path, " "), value, err)
		}
		w.add("set %v", proxywasm.SetProperty([]string{"probe.reason"}, []byte("why")))
		value, err := proxywasm.GetProperty([]string{"probe.reason"})
		w.add("get %q %v", value, err)
		w.add("set empty %v", proxywasm.SetProperty([]string{"probe.empty"}, nil))
		value, err = proxywasm.GetProperty([]string{"probe.empty"})
		w.add("get empty %q %v", value, err)
		w.add("set two %v", proxywasm.SetProperty([]string{"probe", "two"}, []byte("2")))
		value, err = proxywasm.GetProperty([]string{"probe", "two"})
		w.add("get two %q %v", value, err)
		return types.ActionPause
	},
	"data": func(w *lines) types.Action {
		value, cas, err := proxywasm.GetSharedData("k")
		w.add("none %q %d %v", value, cas, err)
		w.add("set %v", proxywasm.SetSharedData("k", []byte("v"), 77))
		value, cas, err = proxywasm.GetSharedData("k")
		w.add("get %q %d %v", value, cas, err)
		w.add("wrong %v", proxywasm.SetSharedData("k", []byte("w"), cas+1))
		w.add("right %v", proxywasm.SetSharedData("k", nil, cas))
		value, cas, err = proxywasm.GetSharedData("k")
		w.add("get empty %q %d %v", value, cas, err)
		w.add("any %v", proxywasm.SetSharedData("k", []byte("x"), 0))
		return types.ActionPause
	},
	"metrics": func(w *lines) types.Action {
		counter, again := proxywasm.DefineCounterMetric("c"), proxywasm.DefineCounterMetric("c")
		gauge, histogram := proxywasm.DefineGaugeMetric("g"), proxywasm.DefineHistogramMetric("h")
		w.add("ids %d %d %d %d", counter, again, gauge, histogram)
		counter.Increment(3)
		again.Increment(4)
		gauge.Add(5)
		gauge.Add(-2)
		histogram.Record(11)
		histogram.Record(12)
		w.add("values %d %d %d", counter.Value(), again.Value(), gauge.Value())
		return types.ActionPause
	},
	"beyond": func(w *lines) types.Action {
		level, err := wasip1.LogLevelInEffect()
		w.add("level %d %v", level, err)
		now, err := wasip1.Now()
		w.add("now %d %v", now.UnixNano(), err)
		w.add("clock %d", time.Now().UnixNano())
		size, flags, err := wasip1.BufferStatus(6)
		w.add("vm configuration %d %d %v", size, flags, err)
		_, _, err = wasip1.BufferStatus(7)
		w.add("plugin configuration %v", err)
		size, flags, err = wasip1.BufferStatus(0)
		w.add("request body %d %d %v", size, flags, err)
		_, _, err = wasip1.BufferStatus(9)
		w.add("no such buffer %v", err)
		_, err = wasip1.HeaderMapSize(8)
		w.add("no such map %v", err)
		_, err = wasip1.GRPCCall("svc", "s", "m", nil, nil, time.Second)
		w.add("grpc call %v", err)
		_, err = wasip1.GRPCStream("svc", "s", "m", nil)
		w.add("grpc stream %v", err)
		w.add("grpc send %v", wasip1.GRPCSend(1, nil, true))
		w.add("grpc cancel %v", wasip1.GRPCCancel(1))
		w.add("grpc close %v", wasip1.GRPCClose(1))
		code, message, err := wasip1.Status()
		w.add("status %d %q %v", code, message, err)
		w.add("effective %v", proxywasm.SetEffectiveContext(4711))
		_, err = proxywasm.RegisterSharedQueue("q")
		w.add("register queue %v", err)
		_, err = proxywasm.ResolveSharedQueue("", "q")
		w.add("resolve queue %v", err)
		_, err = proxywasm.DequeueSharedQueue(1)
		w.add("dequeue %v", err)
		w.add("enqueue %v", proxywasm.EnqueueSharedQueue(1, []byte("x")))
		w.add("continue tcp %v", proxywasm.ContinueTcpStream())
		w.add("close tcp %v", proxywasm.CloseDownstream())
		return types.ActionPause
	},
	"foreign": func(w *lines) types.Action {
		for _, name := range []string{"echo", "empty", "missing", "refuse"} {
			result, err := proxywasm.CallForeignFunction(name, []byte("argument"))
			w.add("%s %q %v", name, result, err)
		}
		result, err := proxywasm.CallForeignFunction("echo", nil)
		w.add("no argument %q %v", result, err)
		return types.ActionPause
	},
	"status": func(w *lines) types.Action {
		for i := range 14 {
			_, err := proxywasm.CallForeignFunction("status "+strconv.Itoa(i), nil)
			w.add("%d %v", i, err)
		}
		return types.ActionPause
	},
	"elapsed": func(w *lines) types.Action {
		begin := time.Now()
		w.add("%v", time.Since(begin).Round(time.Minute))
		return types.ActionPause
	},
	"callouts": func(w *lines) types.Action {
		w.add("call %v", w.stream.plugin.call("idp"))
		w.add("unknown %v", w.stream.plugin.call("nobody"))
		_, err := proxywasm.DispatchHttpCall("idp", [][2]string{{":path", "/"}}, nil, nil, 1, func(int, int, int) {})
		w.add("no method %v", err)
		return types.ActionPause
	},
	"twice": func(w *lines) types.Action {
		w.add("first")
		fmt.Println("to standard output")
		println("to standard error")
		proxywasm.SendHttpResponse(401, [][2]string{{"X-First", "1"}}, []byte("first"), 16)
		if err := proxywasm.SendHttpResponse(500, nil, nil, -1); err != nil {
			panic(err)
		}
		w.Reset()
		return types.ActionContinue
	},
	"nothing": func(w *lines) types.Action { return types.ActionContinue },
	"sleep": func(w *lines) types.Action {
		time.Sleep(time.Hour)
		return types.ActionContinue
	},
	"resume": func(w *lines) types.Action {
		proxywasm.ResumeHttpRequest()
		return types.ActionContinue
	},
	"answer another": func(w *lines) types.Action {
		proxywasm.SetEffectiveContext(w.stream.id - 1)
		proxywasm.SendHttpResponse(403, nil, nil, 7)
		return types.ActionContinue
	},
}
