//go:build wasip1

package wasip1

import (
	"math"
	"unsafe"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal"
)

// proxyHost carries the SDK's host calls to the proxy.
type proxyHost struct{}

var _ internal.ProxyWasmHost = proxyHost{}

// releaseHost gives the SDK's host free for another: see [Rehearse].
var releaseHost = internal.RegisterMockWasmHost(proxyHost{})

// returned exchanges what a host call stored for what the SDK expects: a
// pointer and a size in Go's widths.
func returned(status, address, size uint32, data **byte, n *int) internal.Status {
	if status != 0 {
		release()
		return internal.Status(status)
	}
	pointer, length, ok := take(address, size)
	if !ok {
		return internal.StatusInternalFailure
	}
	*data, *n = pointer, length
	return internal.StatusOK
}

// clamp narrows a size or an offset; the SDK says "everything" with the
// greatest int32.
func clamp(n int) uint32 {
	if n < 0 {
		return 0
	}
	if uint64(n) > math.MaxUint32 {
		return math.MaxUint32
	}
	return uint32(n)
}

func (proxyHost) ProxyLog(level internal.LogLevel, message *byte, size int) internal.Status {
	return internal.Status(proxyLog(uint32(level), unsafe.Pointer(message), uint32(size)))
}

func (proxyHost) ProxySetProperty(path *byte, pathSize int, value *byte, valueSize int) internal.Status {
	return internal.Status(proxySetProperty(unsafe.Pointer(path), uint32(pathSize), unsafe.Pointer(value),
		uint32(valueSize)))
}

func (proxyHost) ProxyGetProperty(path *byte, pathSize int, value **byte, valueSize *int) internal.Status {
	var address, size uint32
	status := proxyGetProperty(unsafe.Pointer(path), uint32(pathSize), &address, &size)
	return returned(status, address, size, value, valueSize)
}

func (proxyHost) ProxySendLocalResponse(code uint32, details *byte, detailsSize int, body *byte, bodySize int,
	headers *byte, headersSize int, grpcStatus int32) internal.Status {
	return internal.Status(proxySendLocalResponse(code, unsafe.Pointer(details), uint32(detailsSize),
		unsafe.Pointer(body), uint32(bodySize), unsafe.Pointer(headers), uint32(headersSize), grpcStatus))
}

func (proxyHost) ProxyGetSharedData(key *byte, keySize int, value **byte, valueSize *int, cas *uint32) internal.Status {
	var address, size, version uint32
	status := proxyGetSharedData(unsafe.Pointer(key), uint32(keySize), &address, &size, &version)
	if status == 0 {
		*cas = version
	}
	return returned(status, address, size, value, valueSize)
}

func (proxyHost) ProxySetSharedData(key *byte, keySize int, value *byte, valueSize int, cas uint32) internal.Status {
	return internal.Status(proxySetSharedData(unsafe.Pointer(key), uint32(keySize), unsafe.Pointer(value),
		uint32(valueSize), cas))
}

func (proxyHost) ProxyRegisterSharedQueue(name *byte, nameSize int, id *uint32) internal.Status {
	return internal.Status(proxyRegisterSharedQueue(unsafe.Pointer(name), uint32(nameSize), id))
}

func (proxyHost) ProxyResolveSharedQueue(vmID *byte, vmIDSize int, name *byte, nameSize int,
	id *uint32) internal.Status {
	return internal.Status(proxyResolveSharedQueue(unsafe.Pointer(vmID), uint32(vmIDSize), unsafe.Pointer(name),
		uint32(nameSize), id))
}

func (proxyHost) ProxyDequeueSharedQueue(id uint32, value **byte, valueSize *int) internal.Status {
	var address, size uint32
	status := proxyDequeueSharedQueue(id, &address, &size)
	return returned(status, address, size, value, valueSize)
}

func (proxyHost) ProxyEnqueueSharedQueue(id uint32, value *byte, valueSize int) internal.Status {
	return internal.Status(proxyEnqueueSharedQueue(id, unsafe.Pointer(value), uint32(valueSize)))
}

func (proxyHost) ProxyGetHeaderMapValue(mapType internal.MapType, key *byte, keySize int, value **byte,
	valueSize *int) internal.Status {
	var address, size uint32
	status := proxyGetHeaderMapValue(uint32(mapType), unsafe.Pointer(key), uint32(keySize), &address, &size)
	return returned(status, address, size, value, valueSize)
}

func (proxyHost) ProxyAddHeaderMapValue(mapType internal.MapType, key *byte, keySize int, value *byte,
	valueSize int) internal.Status {
	return internal.Status(proxyAddHeaderMapValue(uint32(mapType), unsafe.Pointer(key), uint32(keySize),
		unsafe.Pointer(value), uint32(valueSize)))
}

func (proxyHost) ProxyReplaceHeaderMapValue(mapType internal.MapType, key *byte, keySize int, value *byte,
	valueSize int) internal.Status {
	return internal.Status(proxyReplaceHeaderMapValue(uint32(mapType), unsafe.Pointer(key), uint32(keySize),
		unsafe.Pointer(value), uint32(valueSize)))
}

func (proxyHost) ProxyRemoveHeaderMapValue(mapType internal.MapType, key *byte, keySize int) internal.Status {
	return internal.Status(proxyRemoveHeaderMapValue(uint32(mapType), unsafe.Pointer(key), uint32(keySize)))
}

func (proxyHost) ProxyGetHeaderMapPairs(mapType internal.MapType, pairs **byte, pairsSize *int) internal.Status {
	var address, size uint32
	status := proxyGetHeaderMapPairs(uint32(mapType), &address, &size)
	return returned(status, address, size, pairs, pairsSize)
}

func (proxyHost) ProxySetHeaderMapPairs(mapType internal.MapType, pairs *byte, pairsSize int) internal.Status {
	return internal.Status(proxySetHeaderMapPairs(uint32(mapType), unsafe.Pointer(pairs), uint32(pairsSize)))
}

func (proxyHost) ProxyContinueStream(streamType internal.StreamType) internal.Status {
	return internal.Status(proxyContinueStream(uint32(streamType)))
}

func (proxyHost) ProxyCloseStream(streamType internal.StreamType) internal.Status {
	return internal.Status(proxyCloseStream(uint32(streamType)))
}

func (proxyHost) ProxyGetBufferBytes(bufferType internal.BufferType, start, maxSize int, data **byte,
	dataSize *int) internal.Status {
	var address, size uint32
	status := proxyGetBufferBytes(uint32(bufferType), clamp(start), clamp(maxSize), &address, &size)
	return returned(status, address, size, data, dataSize)
}

func (proxyHost) ProxySetBufferBytes(bufferType internal.BufferType, start, size int, data *byte,
	dataSize int) internal.Status {
	return internal.Status(proxySetBufferBytes(uint32(bufferType), clamp(start), clamp(size), unsafe.Pointer(data),
		uint32(dataSize)))
}

func (proxyHost) ProxyHttpCall(upstream *byte, upstreamSize int, headers *byte, headersSize int, body *byte,
	bodySize int, trailers *byte, trailersSize int, timeoutMilliseconds uint32, callID *uint32) internal.Status {
	return internal.Status(proxyHTTPCall(unsafe.Pointer(upstream), uint32(upstreamSize), unsafe.Pointer(headers),
		uint32(headersSize), unsafe.Pointer(body), uint32(bodySize), unsafe.Pointer(trailers), uint32(trailersSize),
		timeoutMilliseconds, callID))
}

func (proxyHost) ProxyCallForeignFunction(name *byte, nameSize int, arguments *byte, argumentsSize int, result **byte,
	resultSize *int) internal.Status {
	var address, size uint32
	status := proxyCallForeignFunction(unsafe.Pointer(name), uint32(nameSize), unsafe.Pointer(arguments),
		uint32(argumentsSize), &address, &size)
	return returned(status, address, size, result, resultSize)
}

func (proxyHost) ProxySetTickPeriodMilliseconds(period uint32) internal.Status {
	return internal.Status(proxySetTickPeriodMilliseconds(period))
}

func (proxyHost) ProxySetEffectiveContext(contextID uint32) internal.Status {
	return internal.Status(proxySetEffectiveContext(contextID))
}

func (proxyHost) ProxyDone() internal.Status {
	return internal.Status(proxyDone())
}

func (proxyHost) ProxyDefineMetric(metricType internal.MetricType, name *byte, nameSize int,
	id *uint32) internal.Status {
	return internal.Status(proxyDefineMetric(uint32(metricType), unsafe.Pointer(name), uint32(nameSize), id))
}

func (proxyHost) ProxyIncrementMetric(id uint32, offset int64) internal.Status {
	return internal.Status(proxyIncrementMetric(id, offset))
}

func (proxyHost) ProxyRecordMetric(id uint32, value uint64) internal.Status {
	return internal.Status(proxyRecordMetric(id, value))
}

func (proxyHost) ProxyGetMetric(id uint32, value *uint64) internal.Status {
	return internal.Status(proxyGetMetric(id, value))
}
