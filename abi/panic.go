//go:build wasip1

package wasip1

import (
	"runtime/debug"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// stream runs a callback of an HTTP stream. If it panics, the stream is
// refused with 500 and paused.
func stream(name string, callback func() types.Action) (action uint32) {
	action = uint32(types.ActionPause)
	enter(perCallback)
	defer leave(name)
	defer func() {
		if caught(name, recover()) {
			refuse()
		}
	}()
	return uint32(callback())
}

// connection runs a callback of a TCP connection. If it panics, the connection
// is closed and paused.
func connection(name string, callback func() types.Action) (action uint32) {
	action = uint32(types.ActionPause)
	enter(perCallback)
	defer leave(name)
	defer func() {
		if caught(name, recover()) {
			proxyCloseStream(uint32(internal.StreamTypeDownstream))
			proxyCloseStream(uint32(internal.StreamTypeUpstream))
		}
	}()
	return uint32(callback())
}

// accepted runs a callback that accepts or refuses a configuration. If it
// panics, the configuration is refused.
func accepted(name string, callback func() bool) (status uint32) {
	enter(measureEvery)
	defer leave(name)
	if callback() {
		status = 1
	}
	return status
}

// leave, deferred, ends what [enter] began: a panic in a callback that has no
// verdict, and the callback.
func leave(name string) {
	caught(name, recover())
	if stressCollector || collector.estimate >= measureEvery {
		collectBeyond(max(leastGarbage, collector.kept/4))
	}
	collector.running--
}

// caught reports whether there was a panic, and logs it. The panic's own value
// is formatted last and apart from the rest: it may itself panic.
func caught(callback string, value any) bool {
	if value == nil {
		return false
	}
	release()
	collector.estimate += measureEvery
	logError("panic in " + callback)
	logError(describe(value))
	logError(string(debug.Stack()))
	return true
}

// describe writes a panic's value as a line.
func describe(value any) (text string) {
	defer func() {
		if recover() != nil {
			text = "panic: a value whose text cannot be had"
		}
	}()
	switch value := value.(type) {
	case error:
		return "panic: " + value.Error()
	case interface{ String() string }:
		return "panic: " + value.String()
	case string:
		return "panic: " + value
	default:
		return "panic: a value of another type"
	}
}

func logError(message string) {
	proxyLog(uint32(internal.LogLevelError), stringData(message), uint32(len(message)))
}

// refuse refuses the current stream with 500 and no further words.
func refuse() {
	const details = "orgate_panic"
	noHeaders := internal.SerializeMap(nil)
	proxySendLocalResponse(500, stringData(details), uint32(len(details)), nil, 0, bytesData(noHeaders),
		uint32(len(noHeaders)), grpcInternal)
}

// grpcInternal is the gRPC status INTERNAL, which proxies send in place of the
// HTTP status if the request was gRPC.
const grpcInternal = 13
