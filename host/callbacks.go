package host

// callback numbers the functions that a module exports for the host.
type callback int

const (
	onMemoryAllocate callback = iota
	onContextCreate
	onVMStart
	onConfigure
	onTick
	onQueueReady
	onDone
	onLog
	onDelete
	onRequestHeaders
	onRequestBody
	onRequestTrailers
	onResponseHeaders
	onResponseBody
	onResponseTrailers
	onNewConnection
	onDownstreamData
	onDownstreamConnectionClose
	onUpstreamData
	onUpstreamConnectionClose
	onHTTPCallResponse
	callbacks
)

var exportNames = [callbacks]string{
	onMemoryAllocate:            "proxy_on_memory_allocate",
	onContextCreate:             "proxy_on_context_create",
	onVMStart:                   "proxy_on_vm_start",
	onConfigure:                 "proxy_on_configure",
	onTick:                      "proxy_on_tick",
	onQueueReady:                "proxy_on_queue_ready",
	onDone:                      "proxy_on_done",
	onLog:                       "proxy_on_log",
	onDelete:                    "proxy_on_delete",
	onRequestHeaders:            "proxy_on_request_headers",
	onRequestBody:               "proxy_on_request_body",
	onRequestTrailers:           "proxy_on_request_trailers",
	onResponseHeaders:           "proxy_on_response_headers",
	onResponseBody:              "proxy_on_response_body",
	onResponseTrailers:          "proxy_on_response_trailers",
	onNewConnection:             "proxy_on_new_connection",
	onDownstreamData:            "proxy_on_downstream_data",
	onDownstreamConnectionClose: "proxy_on_downstream_connection_close",
	onUpstreamData:              "proxy_on_upstream_data",
	onUpstreamConnectionClose:   "proxy_on_upstream_connection_close",
	onHTTPCallResponse:          "proxy_on_http_call_response",
}

// exportParams are the numbers of parameters, all of them i32.
var exportParams = [callbacks]int{
	onMemoryAllocate:            1,
	onContextCreate:             2,
	onVMStart:                   2,
	onConfigure:                 2,
	onTick:                      1,
	onQueueReady:                2,
	onDone:                      1,
	onLog:                       1,
	onDelete:                    1,
	onRequestHeaders:            3,
	onRequestBody:               3,
	onRequestTrailers:           2,
	onResponseHeaders:           3,
	onResponseBody:              3,
	onResponseTrailers:          2,
	onNewConnection:             1,
	onDownstreamData:            3,
	onDownstreamConnectionClose: 2,
	onUpstreamData:              3,
	onUpstreamConnectionClose:   2,
	onHTTPCallResponse:          5,
}
