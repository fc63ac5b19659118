package host

import (
	"strings"
	"time"
)

// The host calls of the ABI. Each takes its arguments from the stack and
// returns a [Status].

// Greatest values of arguments.
const (
	maxMapType    = 7
	maxBufferType = 8
	maxStreamType = 3
)

func proxyLog(vm *VM, stack []uint64) uint32 {
	level := LogLevel(stack[0])
	if level > LogCritical {
		return uint32(BadArgument)
	}
	message, ok := vm.read(stack[1], stack[2])
	if !ok {
		return uint32(InvalidMemoryAccess)
	}
	if vm.config.Log != nil && level >= vm.config.LogLevel {
		vm.config.Log(level, string(message))
	}
	return uint32(OK)
}

func proxyGetLogLevel(vm *VM, stack []uint64) uint32 {
	return wrote(vm.write32(stack[0], uint32(vm.config.LogLevel)))
}

func proxyGetCurrentTime(vm *VM, stack []uint64) uint32 {
	return wrote(vm.memory.WriteUint64Le(uint32(stack[0]), uint64(vm.config.Clock().UnixNano())))
}

func proxySetTickPeriod(vm *VM, stack []uint64) uint32 {
	vm.context().root.tickPeriod = time.Duration(uint32(stack[0])) * time.Millisecond
	return uint32(OK)
}

func proxySetEffectiveContext(vm *VM, stack []uint64) uint32 {
	g := vm.contexts[uint32(stack[0])]
	if g == nil {
		return uint32(BadArgument)
	}
	vm.effective = g
	return uint32(OK)
}

// proxyDone lets a root go that was not done when it was asked.
func proxyDone(vm *VM, _ []uint64) uint32 {
	r := vm.context().root
	if !r.ending || r.gone {
		return uint32(NotFound)
	}
	r.ending = false
	vm.later(r.delete)
	return uint32(OK)
}

// Buffers.

// buffer is what a buffer type stands for. A nil buffer of a type that exists
// is empty and cannot be written.
func (vm *VM) buffer(kind uint32) (data []byte, writable *[]byte, status Status) {
	g := vm.context()
	switch kind {
	case request, response:
		if b := g.buffers[kind]; b != nil {
			return *b, b, OK
		}
		return nil, nil, OK
	case 4:
		if g.root == nil || g.root.response.body == nil {
			return nil, nil, NotFound
		}
		return *g.root.response.body, nil, OK
	case 2, 3, 5, maxBufferType:
		return nil, nil, OK // TCP, gRPC and foreign functions have none here.
	case 6:
		return vm.config.VMConfiguration, nil, OK
	case 7:
		if g.root == nil || !g.root.configuring || g.root.configuration == nil {
			return nil, nil, NotFound
		}
		return g.root.configuration, nil, OK
	}
	return nil, nil, BadArgument
}

// proxyGetBufferBytes leaves the address and size alone where there are no
// bytes, as Envoy does.
func proxyGetBufferBytes(vm *VM, stack []uint64) uint32 {
	data, _, status := vm.buffer(uint32(stack[0]))
	if status != OK {
		return uint32(status)
	}
	start, length := stack[1], stack[2]
	if start > uint64(len(data)) {
		return uint32(BadArgument)
	}
	data = data[start:]
	if length < uint64(len(data)) {
		data = data[:length]
	}
	if len(data) == 0 {
		return uint32(OK)
	}
	return uint32(vm.give(data, stack[3], stack[4]))
}

func proxyGetBufferStatus(vm *VM, stack []uint64) uint32 {
	data, _, status := vm.buffer(uint32(stack[0]))
	if status != OK {
		return uint32(status)
	}
	return wrote(vm.write32(stack[1], uint32(len(data))) && vm.write32(stack[2], 0))
}

// proxySetBufferBytes prepends, replaces all or appends, which is what Envoy
// can do.
func proxySetBufferBytes(vm *VM, stack []uint64) uint32 {
	data, ok := vm.read(stack[3], stack[4])
	if !ok {
		return uint32(InvalidMemoryAccess)
	}
	old, buffer, status := vm.buffer(uint32(stack[0]))
	if status != OK {
		return uint32(status)
	}
	if buffer == nil {
		return uint32(BadArgument)
	}
	start, length := stack[1], stack[2]
	size := uint64(len(old))
	switch {
	case start == 0 && length == 0:
		*buffer = append(append(make([]byte, 0, len(data)+len(old)), data...), old...)
	case start == 0 && length >= size:
		*buffer = append([]byte(nil), data...)
	case start > 0 && start >= size:
		*buffer = append(old[:size:size], data...)
	default:
		return uint32(BadArgument)
	}
	return uint32(OK)
}

// Header maps.

// readable is a map as it can be read, or nil.
func (g *guest) readable(kind uint32) *Headers {
	if g.logging {
		switch kind {
		case 0:
			return &g.stream.ways[request].headers
		case 2:
			if g.stream.ways[response].stage != beforeHeaders {
				return &g.stream.ways[response].headers
			}
			return nil
		case 3:
			if g.stream.ways[response].hasTrailers {
				return &g.stream.ways[response].trailers
			}
			return nil
		}
	}
	switch {
	case kind < 4:
		return g.maps[kind]
	case kind == 6 && g.root != nil:
		return g.root.response.headers
	case kind == 7 && g.root != nil:
		return g.root.response.trailers
	}
	return nil
}

// writable is a map as it can be written, or nil. Trailers come into being at
// the end of a body.
func (g *guest) writable(kind uint32) *Headers {
	if kind > 3 {
		return nil
	}
	if d := kind / 2; kind&1 == 1 && g.maps[kind] == nil && g.buffers[d] != nil && g.stream != nil &&
		g.stream.endOfWay {
		w := &g.stream.ways[d]
		w.hasTrailers = true
		g.maps[kind] = &w.trailers
	}
	return g.maps[kind]
}

func proxyGetHeaderMapSize(vm *VM, stack []uint64) uint32 {
	if stack[0] > maxMapType {
		return uint32(BadArgument)
	}
	h := vm.context().writable(uint32(stack[0]))
	if h == nil {
		return uint32(BadArgument)
	}
	return wrote(vm.write32(stack[1], h.byteSize()))
}

func proxyGetHeaderMapPairs(vm *VM, stack []uint64) uint32 {
	if stack[0] > maxMapType {
		return uint32(BadArgument)
	}
	h := vm.context().readable(uint32(stack[0]))
	if h == nil || len(*h) == 0 {
		return uint32(vm.give(nil, stack[1], stack[2]))
	}
	block, status := vm.allocate(pairsSize(*h), stack[1], stack[2])
	if status == OK {
		marshalPairs(block, *h)
	}
	return uint32(status)
}

func proxySetHeaderMapPairs(vm *VM, stack []uint64) uint32 {
	return editHeaders(vm, stack, 1, func(_ Headers, blocks [2][]byte) Headers {
		return vm.pairs(blocks[0])
	})
}

// pairs reads a map that the guest hands over. Envoy silently takes a malformed
// one for an empty one, which no plugin can mean: it is a trap here.
func (vm *VM) pairs(block []byte) Headers {
	h, ok := unmarshalPairs(block)
	if !ok {
		trap("a malformed header map of %d bytes", len(block))
	}
	return h
}

func proxyGetHeaderMapValue(vm *VM, stack []uint64) uint32 {
	if stack[0] > maxMapType {
		return uint32(BadArgument)
	}
	key, ok := vm.read(stack[1], stack[2])
	if !ok {
		return uint32(InvalidMemoryAccess)
	}
	g := vm.context()
	h := g.readable(uint32(stack[0]))
	if h == nil {
		if g.logging {
			return uint32(NotFound)
		}
		return uint32(BadArgument)
	}
	value, ok := h.Get(lowerName(key))
	if !ok {
		return uint32(NotFound)
	}
	return uint32(vm.giveString(value, stack[3], stack[4]))
}

// editHeaders does what the calls that change a map have in common: they name
// it, and hand over one block or two.
func editHeaders(vm *VM, stack []uint64, number int, edit func(h Headers, blocks [2][]byte) Headers) uint32 {
	if stack[0] > maxMapType {
		return uint32(BadArgument)
	}
	var blocks [2][]byte
	for i := range number {
		var ok bool
		if blocks[i], ok = vm.read(stack[1+2*i], stack[2+2*i]); !ok {
			return uint32(InvalidMemoryAccess)
		}
	}
	h := vm.context().writable(uint32(stack[0]))
	if h == nil {
		return uint32(BadArgument)
	}
	*h = edit(*h, blocks)
	return uint32(OK)
}

func proxyAddHeaderMapValue(vm *VM, stack []uint64) uint32 {
	return editHeaders(vm, stack, 2, func(h Headers, blocks [2][]byte) Headers {
		return append(h, [2]string{lowerName(blocks[0]), string(blocks[1])})
	})
}

func proxyReplaceHeaderMapValue(vm *VM, stack []uint64) uint32 {
	return editHeaders(vm, stack, 2, func(h Headers, blocks [2][]byte) Headers {
		return h.replace(lowerName(blocks[0]), string(blocks[1]))
	})
}

func proxyRemoveHeaderMapValue(vm *VM, stack []uint64) uint32 {
	return editHeaders(vm, stack, 1, func(h Headers, blocks [2][]byte) Headers {
		return h.remove(lowerName(blocks[0]), 0)
	})
}

func lowerName(name []byte) string { return strings.ToLower(string(name)) }

// Streams.

// proxyContinueStream resumes a stream once the callback that runs has
// returned. The request's maps and buffers are closed at once, whichever
// direction is resumed, as in Envoy. To resume what is not paused makes Envoy
// run the rest of its filters twice: it is a trap here.
func proxyContinueStream(vm *VM, stack []uint64) uint32 {
	d := int(uint32(stack[0]))
	g := vm.context()
	switch {
	case d > maxStreamType:
		return uint32(BadArgument)
	case d > response:
		return uint32(Unimplemented) // TCP
	}
	if s := g.stream; s != nil && !s.over(d) {
		w := &s.ways[d]
		if w.action != Pause || w.stage == beforeHeaders || w.resuming || vm.current == g {
			trap("proxy_continue_stream(%d): context %d is not paused", d, g.id)
		}
		w.resuming = true
		vm.later(func() { s.resume(d) })
	}
	g.maps[0], g.maps[1], g.buffers[0] = nil, nil, nil
	return uint32(OK)
}

func proxyCloseStream(vm *VM, stack []uint64) uint32 {
	switch s := vm.context().stream; {
	case stack[0] > maxStreamType:
		return uint32(BadArgument)
	case stack[0] > response:
		return uint32(Unimplemented) // TCP
	case s != nil:
		vm.later(s.end)
	}
	return uint32(OK)
}

// proxySendLocalResponse returns OK and does nothing for what is no stream and
// for a stream that is answered already, as Envoy does. It stops the callback
// that runs, whichever stream it answers.
func proxySendLocalResponse(vm *VM, stack []uint64) uint32 {
	details, detailsOK := vm.read(stack[1], stack[2])
	body, bodyOK := vm.read(stack[3], stack[4])
	pairs, pairsOK := vm.read(stack[5], stack[6])
	if !detailsOK || !bodyOK || !pairsOK {
		return uint32(InvalidMemoryAccess)
	}
	if s := vm.context().stream; s != nil {
		l := &LocalResponse{
			Status:     uint32(stack[0]),
			Details:    strings.ReplaceAll(string(details), " ", "_"),
			Headers:    vm.pairs(pairs),
			GRPCStatus: int32(stack[7]),
		}
		if len(body) > 0 {
			l.Body = append([]byte(nil), body...)
		}
		vm.later(func() { s.answer(l) })
	}
	vm.stopNext = true
	return uint32(OK)
}

// Call-outs.

func proxyHTTPCall(vm *VM, stack []uint64) uint32 {
	cluster, clusterOK := vm.read(stack[0], stack[1])
	headers, headersOK := vm.read(stack[2], stack[3])
	body, bodyOK := vm.read(stack[4], stack[5])
	trailers, trailersOK := vm.read(stack[6], stack[7])
	if !clusterOK || !headersOK || !bodyOK || !trailersOK || !vm.write32(stack[9], 0) {
		return uint32(InvalidMemoryAccess)
	}
	c := &Callout{
		Root:     vm.context().root,
		Cluster:  string(cluster),
		Headers:  vm.pairs(headers),
		Trailers: vm.pairs(trailers),
		Timeout:  time.Duration(int32(stack[8])) * time.Millisecond,
	}
	if len(body) > 0 {
		c.Body = append([]byte(nil), body...)
	}
	id, status := c.Root.httpCall(c)
	if status != OK {
		return uint32(status)
	}
	return wrote(vm.write32(stack[9], id))
}

func proxyGetStatus(vm *VM, stack []uint64) uint32 {
	r := vm.context().root
	if !vm.write32(stack[0], r.statusCode) {
		return uint32(InvalidMemoryAccess)
	}
	return uint32(vm.giveString(r.statusMessage, stack[1], stack[2]))
}

// Shared data.

func proxyGetSharedData(vm *VM, stack []uint64) uint32 {
	key, ok := vm.read(stack[0], stack[1])
	if !ok {
		return uint32(InvalidMemoryAccess)
	}
	value, cas, ok := vm.config.Shared.Get(vm.config.VMID, string(key))
	if !ok {
		return uint32(NotFound)
	}
	if status := vm.give(value, stack[2], stack[3]); status != OK {
		return uint32(status)
	}
	return wrote(vm.write32(stack[4], cas))
}

func proxySetSharedData(vm *VM, stack []uint64) uint32 {
	key, keyOK := vm.read(stack[0], stack[1])
	value, valueOK := vm.read(stack[2], stack[3])
	if !keyOK || !valueOK {
		return uint32(InvalidMemoryAccess)
	}
	return uint32(vm.config.Shared.Set(vm.config.VMID, string(key), value, uint32(stack[4])))
}

// Metrics.

func proxyDefineMetric(vm *VM, stack []uint64) uint32 {
	name, ok := vm.read(stack[1], stack[2])
	if !ok {
		return uint32(InvalidMemoryAccess)
	}
	id, status := vm.defineMetric(uint32(stack[0]), string(name))
	if status != OK {
		return uint32(status)
	}
	return wrote(vm.write32(stack[3], id))
}

func proxyIncrementMetric(vm *VM, stack []uint64) uint32 {
	return uint32(vm.incrementMetric(uint32(stack[0]), int64(stack[1])))
}

func proxyRecordMetric(vm *VM, stack []uint64) uint32 {
	return uint32(vm.recordMetric(uint32(stack[0]), stack[1]))
}

func proxyGetMetric(vm *VM, stack []uint64) uint32 {
	value, status := vm.getMetric(uint32(stack[0]))
	if status != OK {
		return uint32(status)
	}
	return wrote(vm.memory.WriteUint64Le(uint32(stack[1]), value))
}

// Foreign functions.

// proxyCallForeignFunction takes null for an address that the guest does not
// want.
func proxyCallForeignFunction(vm *VM, stack []uint64) uint32 {
	name, nameOK := vm.read(stack[0], stack[1])
	arguments, argumentsOK := vm.read(stack[2], stack[3])
	if !nameOK || !argumentsOK {
		return uint32(InvalidMemoryAccess)
	}
	f := vm.config.Foreign[string(name)]
	if f == nil {
		return uint32(NotFound)
	}
	result, status := f(arguments)
	resultAddress, sizeAddress := stack[4], stack[5]
	if resultAddress == 0 {
		if sizeAddress != 0 && !vm.write32(sizeAddress, uint32(len(result))) {
			return uint32(InvalidMemoryAccess)
		}
		return uint32(status)
	}
	if sizeAddress == 0 {
		trap("proxy_call_foreign_function: a result without a size")
	}
	if given := vm.give(result, resultAddress, sizeAddress); given != OK {
		return uint32(given)
	}
	return uint32(status)
}

// wrote is OK for a result that was stored.
func wrote(ok bool) uint32 {
	if !ok {
		return uint32(InvalidMemoryAccess)
	}
	return uint32(OK)
}
