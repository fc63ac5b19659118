//go:build wasip1

package wasip1

import (
	"time"
	"unsafe"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal"
)

// The host calls of ABI 0.2.1 that the SDK has no function for. Each returns
// the SDK's error for the proxy's status, and nil for OK.

// Values of a bufferType or mapType argument, as the ABI numbers them.
type (
	BufferType = internal.BufferType
	MapType    = internal.MapType
	LogLevel   = internal.LogLevel
)

// LogLevelDebug is the level of messages for those who look for a fault.
const LogLevelDebug = internal.LogLevelDebug

// LogLevelInEffect is the lowest level that the proxy writes out
// (proxy_get_log_level); messages below it need not be formatted.
func LogLevelInEffect() (LogLevel, error) {
	var level uint32
	err := statusError(proxyGetLogLevel(&level))
	return LogLevel(level), err
}

// Now is the proxy's clock (proxy_get_current_time_nanoseconds).
func Now() (time.Time, error) {
	var nanoseconds uint64
	err := statusError(proxyGetCurrentTimeNanoseconds(&nanoseconds))
	return time.Unix(0, int64(nanoseconds)), err
}

// BufferStatus is the size of a buffer in bytes and the flags that the proxy
// keeps with it (proxy_get_buffer_status).
func BufferStatus(bufferType BufferType) (size, flags uint32, err error) {
	err = statusError(proxyGetBufferStatus(uint32(bufferType), &size, &flags))
	return size, flags, err
}

// HeaderMapSize is the size of a header map in bytes
// (proxy_get_header_map_size).
func HeaderMapSize(mapType MapType) (size uint32, err error) {
	err = statusError(proxyGetHeaderMapSize(uint32(mapType), &size))
	return size, err
}

// Status is the code and message of the gRPC call whose response has come
// (proxy_get_status).
func Status() (code uint32, message string, err error) {
	var address, size uint32
	var data *byte
	var n int
	status := proxyGetStatus(&code, &address, &size)
	if err := internal.StatusToError(returned(status, address, size, &data, &n)); err != nil {
		return 0, "", err
	}
	return code, unsafe.String(data, n), nil
}

// GRPCCall sends one message to a gRPC service and returns the id under which
// the response will arrive (proxy_grpc_call). The metadata is serialized as the
// ABI serializes header maps.
func GRPCCall(upstream, service, method string, metadata [][2]string, message []byte, timeout time.Duration) (id uint32,
	err error) {
	pairs := internal.SerializeMap(metadata)
	err = statusError(proxyGRPCCall(stringData(upstream), uint32(len(upstream)), stringData(service),
		uint32(len(service)), stringData(method), uint32(len(method)),
		bytesData(pairs), uint32(len(pairs)), bytesData(message), uint32(len(message)), uint32(timeout.Milliseconds()),
		&id))
	return id, err
}

// GRPCStream opens a stream to a gRPC service (proxy_grpc_stream).
func GRPCStream(upstream, service, method string, metadata [][2]string) (id uint32, err error) {
	pairs := internal.SerializeMap(metadata)
	err = statusError(proxyGRPCStream(stringData(upstream), uint32(len(upstream)), stringData(service),
		uint32(len(service)), stringData(method), uint32(len(method)),
		bytesData(pairs), uint32(len(pairs)), &id))
	return id, err
}

// GRPCSend sends a message on a stream (proxy_grpc_send).
func GRPCSend(id uint32, message []byte, endOfStream bool) error {
	var end uint32
	if endOfStream {
		end = 1
	}
	return statusError(proxyGRPCSend(id, bytesData(message), uint32(len(message)), end))
}

// GRPCCancel resets a call or a stream (proxy_grpc_cancel).
func GRPCCancel(id uint32) error { return statusError(proxyGRPCCancel(id)) }

// GRPCClose half-closes a call or a stream (proxy_grpc_close).
func GRPCClose(id uint32) error { return statusError(proxyGRPCClose(id)) }

func statusError(status uint32) error {
	return internal.StatusToError(internal.Status(status))
}

func stringData(s string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(s)) }

func bytesData(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// text is a copy of what a pointer and a size stand for.
func text(data *byte, size int) string { return string(unsafe.Slice(data, size)) }
