package host

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// The WASI functions, as proxy-wasm-cpp-host has them.

// maxRandom is the greatest number of random bytes in one call.
const maxRandom = 64 << 10

// errno is what a WASI function returns.
type errno uint32

const (
	errnoSuccess errno = 0
	errnoBadf    errno = 8
	errnoFault   errno = 21
	errnoInval   errno = 28
	errnoNoent   errno = 44
	errnoNosys   errno = 52
	errnoNotsup  errno = 58
)

// always is a function that answers the same always.
func always(n errno) func(*VM, []uint64) uint32 {
	return func(*VM, []uint64) uint32 { return uint32(n) }
}

// fdWrite logs what is written: one line for each call, at info level from
// standard output and at error level from standard error.
func fdWrite(vm *VM, stack []uint64) uint32 {
	level := LogInfo
	switch uint32(stack[0]) {
	case 1:
	case 2:
		level = LogError
	default:
		return uint32(errnoBadf)
	}
	if stack[2] > 1024 {
		return uint32(errnoInval)
	}
	vectors, ok := vm.read(stack[1], 8*stack[2])
	if !ok {
		return uint32(errnoFault)
	}
	var text []byte
	for ; len(vectors) > 0; vectors = vectors[8:] {
		part, ok := vm.memory.Read(binary.LittleEndian.Uint32(vectors), binary.LittleEndian.Uint32(vectors[4:]))
		if !ok {
			return uint32(errnoFault)
		}
		text = append(text, part...)
	}
	if !vm.write32(stack[3], uint32(len(text))) {
		return uint32(errnoFault)
	}
	if n := len(text); n > 0 {
		if text[n-1] == '\n' {
			text = text[:n-1]
		}
		vm.log(level, string(text))
	}
	return uint32(errnoSuccess)
}

// fdFdstatGet knows standard output and standard error alone.
func fdFdstatGet(vm *VM, stack []uint64) uint32 {
	const rightFDWrite = 64
	if fd := uint32(stack[0]); fd != 1 && fd != 2 {
		return uint32(errnoBadf)
	}
	stat, ok := vm.read(stack[1], 24)
	if !ok {
		return uint32(errnoFault)
	}
	clear(stat)
	binary.LittleEndian.PutUint64(stat[8:], rightFDWrite)
	return uint32(errnoSuccess)
}

func environGet(vm *VM, stack []uint64) uint32 {
	pointer, text := uint32(stack[0]), uint32(stack[1])
	for _, variable := range vm.environ {
		if !vm.memory.WriteUint32Le(pointer, text) || !vm.memory.WriteString(text, variable+"\x00") {
			return uint32(errnoFault)
		}
		pointer += 4
		text += uint32(len(variable)) + 1
	}
	return uint32(errnoSuccess)
}

func environSizesGet(vm *VM, stack []uint64) uint32 {
	size := 0
	for _, variable := range vm.environ {
		size += len(variable) + 1
	}
	return sizes(vm, stack, len(vm.environ), size)
}

func argsSizesGet(vm *VM, stack []uint64) uint32 { return sizes(vm, stack, 0, 0) }

func sizes(vm *VM, stack []uint64, count, size int) uint32 {
	if !vm.write32(stack[0], uint32(count)) || !vm.write32(stack[1], uint32(size)) {
		return uint32(errnoFault)
	}
	return uint32(errnoSuccess)
}

// clockTimeGet has the configured clock for the time of day (0), and a
// monotonic one (1).
func clockTimeGet(vm *VM, stack []uint64) uint32 {
	var nanoseconds int64
	switch uint32(stack[0]) {
	case 0:
		nanoseconds = vm.config.Clock().UnixNano()
	case 1:
		vm.stepped += vm.config.ClockStep
		nanoseconds = int64(time.Since(vm.born) + vm.stepped)
	default:
		return uint32(errnoNotsup)
	}
	if !vm.memory.WriteUint64Le(uint32(stack[2]), uint64(nanoseconds)) {
		return uint32(errnoFault)
	}
	return uint32(errnoSuccess)
}

func randomGet(vm *VM, stack []uint64) uint32 {
	if stack[1] > maxRandom {
		return uint32(errnoInval)
	}
	block, ok := vm.read(stack[0], stack[1])
	if !ok {
		return uint32(errnoFault)
	}
	rand.Read(block) // Never fails.
	return uint32(errnoSuccess)
}

func pollOneoff(vm *VM, stack []uint64) uint32 {
	if !vm.config.Poll {
		return uint32(errnoNosys)
	}
	if !vm.write32(stack[3], 0) {
		return uint32(errnoFault)
	}
	return uint32(errnoSuccess)
}

// procExit ends the VM.
func procExit(_ *VM, stack []uint64) uint32 {
	trap("the plugin exited with status %d", uint32(stack[0]))
	return 0
}
