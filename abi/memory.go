//go:build wasip1

package wasip1

import (
	"unsafe"
)

// pinned holds the blocks that the proxy asked for and nobody has taken yet.
// There is rarely more than one: a proxy asks for one block in each host call.
var pinned [][]byte

// allocate is proxy_on_memory_allocate: a block of the given size in bytes,
// reachable until [take] or [release].
func allocate(size uint32) *byte {
	if stressCollector {
		collect()
	}
	// A size of 0 gets an address as well: proxies take a null pointer for a
	// failed allocation.
	size = max(size, 1)
	block := lent
	if lent = nil; uint64(size) > uint64(len(block)) {
		block = make([]byte, size)
	}
	collector.estimate += uint64(size)
	pinned = append(pinned, block)
	if stressCollector {
		collect()
	}
	return &block[0]
}

// take exchanges the address and size that a host call stored for a Go
// pointer, and unpins every block. No data (a null address or size 0) is a nil
// pointer of size 0. It reports false for memory that was not allocated for
// this host call.
func take(address, size uint32) (data *byte, n int, ok bool) {
	defer release()
	if stressCollector {
		collect()
	}
	if address == 0 || size == 0 {
		return nil, 0, size == 0
	}
	for _, block := range pinned {
		if uint32(uintptr(unsafe.Pointer(&block[0]))) == address && uint64(size) <= uint64(len(block)) {
			return &block[0], int(size), true
		}
	}
	return nil, 0, false
}

// release unpins every block.
func release() {
	clear(pinned)
	pinned = pinned[:0]
}
