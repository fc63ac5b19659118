//go:build wasip1

package wasip1

import (
	"unsafe"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// The callbacks of the ABI, under the names that the proxy calls. Those with a
// verdict enter the SDK through [stream], [connection] or [accepted], which
// decide how a panic ends; the others [enter] and [leave].

//go:wasmexport proxy_abi_version_0_2_1
func proxyABIVersion021() {}

//go:wasmexport proxy_on_memory_allocate
func proxyOnMemoryAllocate(size uint32) unsafe.Pointer {
	return unsafe.Pointer(allocate(size))
}

//go:wasmexport proxy_on_context_create
func proxyOnContextCreate(contextID, parentContextID uint32) {
	enter(perCallback)
	defer leave("proxy_on_context_create")
	internal.ProxyOnContextCreate(contextID, parentContextID)
}

//go:wasmexport proxy_on_vm_start
func proxyOnVMStart(contextID, configurationSize uint32) uint32 {
	return accepted("proxy_on_vm_start", func() bool {
		return bool(internal.ProxyOnVMStart(contextID, int(configurationSize)))
	})
}

//go:wasmexport proxy_on_configure
func proxyOnConfigure(contextID, configurationSize uint32) uint32 {
	return accepted("proxy_on_configure", func() bool {
		defer CollectNow()
		return bool(internal.ProxyOnConfigure(contextID, int(configurationSize)))
	})
}

//go:wasmexport proxy_on_tick
func proxyOnTick(contextID uint32) {
	enter(measureEvery)
	defer leave("proxy_on_tick")
	internal.ProxyOnTick(contextID)
}

//go:wasmexport proxy_on_queue_ready
func proxyOnQueueReady(contextID, queueID uint32) {
	enter(measureEvery)
	defer leave("proxy_on_queue_ready")
	internal.ProxyOnQueueReady(contextID, queueID)
}

//go:wasmexport proxy_on_done
func proxyOnDone(contextID uint32) (done uint32) {
	// A context whose end panicked is as done as it will be: the proxy must
	// not wait for it.
	done = 1
	enter(perCallback)
	defer leave("proxy_on_done")
	if !internal.ProxyOnDone(contextID) {
		done = 0
	}
	return done
}

//go:wasmexport proxy_on_log
func proxyOnLog(contextID uint32) {
	enter(perCallback)
	defer leave("proxy_on_log")
	internal.ProxyOnLog(contextID)
}

//go:wasmexport proxy_on_delete
func proxyOnDelete(contextID uint32) {
	enter(perCallback)
	defer leave("proxy_on_delete")
	internal.ProxyOnDelete(contextID)
}

//go:wasmexport proxy_on_request_headers
func proxyOnRequestHeaders(contextID, headers, endOfStream uint32) uint32 {
	return stream("proxy_on_request_headers", func() types.Action {
		return internal.ProxyOnRequestHeaders(contextID, int(headers), endOfStream != 0)
	})
}

//go:wasmexport proxy_on_request_body
func proxyOnRequestBody(contextID, size, endOfStream uint32) uint32 {
	return stream("proxy_on_request_body", func() types.Action {
		return internal.ProxyOnRequestBody(contextID, int(size), endOfStream != 0)
	})
}

//go:wasmexport proxy_on_request_trailers
func proxyOnRequestTrailers(contextID, trailers uint32) uint32 {
	return stream("proxy_on_request_trailers", func() types.Action {
		return internal.ProxyOnRequestTrailers(contextID, int(trailers))
	})
}

//go:wasmexport proxy_on_request_metadata
func proxyOnRequestMetadata(contextID, elements uint32) uint32 {
	return uint32(types.ActionContinue) // The SDK has no callback for it.
}

//go:wasmexport proxy_on_response_headers
func proxyOnResponseHeaders(contextID, headers, endOfStream uint32) uint32 {
	return stream("proxy_on_response_headers", func() types.Action {
		return internal.ProxyOnResponseHeaders(contextID, int(headers), endOfStream != 0)
	})
}

//go:wasmexport proxy_on_response_body
func proxyOnResponseBody(contextID, size, endOfStream uint32) uint32 {
	return stream("proxy_on_response_body", func() types.Action {
		return internal.ProxyOnResponseBody(contextID, int(size), endOfStream != 0)
	})
}

//go:wasmexport proxy_on_response_trailers
func proxyOnResponseTrailers(contextID, trailers uint32) uint32 {
	return stream("proxy_on_response_trailers", func() types.Action {
		return internal.ProxyOnResponseTrailers(contextID, int(trailers))
	})
}

//go:wasmexport proxy_on_response_metadata
func proxyOnResponseMetadata(contextID, elements uint32) uint32 {
	return uint32(types.ActionContinue) // The SDK has no callback for it.
}

//go:wasmexport proxy_on_new_connection
func proxyOnNewConnection(contextID uint32) uint32 {
	return connection("proxy_on_new_connection", func() types.Action {
		return internal.ProxyOnNewConnection(contextID)
	})
}

//go:wasmexport proxy_on_downstream_data
func proxyOnDownstreamData(contextID, size, endOfStream uint32) uint32 {
	return connection("proxy_on_downstream_data", func() types.Action {
		return internal.ProxyOnDownstreamData(contextID, int(size), endOfStream != 0)
	})
}

//go:wasmexport proxy_on_downstream_connection_close
func proxyOnDownstreamConnectionClose(contextID, peer uint32) {
	enter(perCallback)
	defer leave("proxy_on_downstream_connection_close")
	internal.ProxyOnDownstreamConnectionClose(contextID, types.PeerType(peer))
}

//go:wasmexport proxy_on_upstream_data
func proxyOnUpstreamData(contextID, size, endOfStream uint32) uint32 {
	return connection("proxy_on_upstream_data", func() types.Action {
		return internal.ProxyOnUpstreamData(contextID, int(size), endOfStream != 0)
	})
}

//go:wasmexport proxy_on_upstream_connection_close
func proxyOnUpstreamConnectionClose(contextID, peer uint32) {
	enter(perCallback)
	defer leave("proxy_on_upstream_connection_close")
	internal.ProxyOnUpstreamConnectionClose(contextID, types.PeerType(peer))
}

//go:wasmexport proxy_on_http_call_response
func proxyOnHTTPCallResponse(contextID, callID, headers, bodySize, trailers uint32) {
	enter(measureEvery)
	defer leave("proxy_on_http_call_response")
	internal.ProxyOnHttpCallResponse(contextID, callID, int(headers), int(bodySize), int(trailers))
}

// The SDK has no callback for the responses to gRPC calls and for foreign
// functions. They are exported because a proxy may look for them.

//go:wasmexport proxy_on_grpc_receive_initial_metadata
func proxyOnGRPCReceiveInitialMetadata(contextID, callID, elements uint32) {}

//go:wasmexport proxy_on_grpc_receive
func proxyOnGRPCReceive(contextID, callID, size uint32) {}

//go:wasmexport proxy_on_grpc_receive_trailing_metadata
func proxyOnGRPCReceiveTrailingMetadata(contextID, callID, elements uint32) {}

//go:wasmexport proxy_on_grpc_close
func proxyOnGRPCClose(contextID, callID, status uint32) {}

//go:wasmexport proxy_on_foreign_function
func proxyOnForeignFunction(contextID, functionID, size uint32) {}
