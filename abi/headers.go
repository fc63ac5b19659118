//go:build wasip1

package wasip1

import (
	"encoding/binary"
	"unsafe"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// mostScratch is how long a header map may be to be read without garbage.
// Proxies let 60 KiB of headers through by default.
const mostScratch = 64 << 10

// scratch is the block that header maps are read into, nil while one is read,
// and lent is the same block while the proxy may ask for it.
var scratch, lent []byte

// RequestHeaders reads the request's header map, as the SDK's function does,
// but of each value takes only what keep returns. The value that keep is given
// changes once keep has returned: it must copy what it wants of it.
//
// What the SDK's function returns refers to a block that a client can make as
// long as the proxy lets it, and that is garbage soon after. Here the block is
// used again, and only the names and what was kept become garbage.
func RequestHeaders(keep func(name string, value []byte) string) ([][2]string, error) {
	if rehearsing != nil {
		return readPairs(internal.SerializeMap(rehearsing.headers), keep)
	}
	block := scratch
	if block == nil {
		block = make([]byte, mostScratch)
	}
	scratch, lent = nil, block
	defer func() { scratch, lent = block, nil }()
	var address, size uint32
	status := proxyGetHeaderMapPairs(uint32(internal.MapTypeHttpRequestHeaders), &address, &size)
	lent = nil
	var data *byte
	var n int
	if err := internal.StatusToError(returned(status, address, size, &data, &n)); err != nil {
		return nil, err
	}
	if data == nil {
		return nil, types.ErrorStatusNotFound
	}
	return readPairs(unsafe.Slice(data, n), keep)
}

// readPairs reads a serialized map: the number of pairs, the lengths of their
// names and values, and then these, each with a NUL behind it.
func readPairs(block []byte, keep func(name string, value []byte) string) ([][2]string, error) {
	if len(block) < 4 {
		return nil, types.ErrorInternalFailure
	}
	n := uint64(binary.LittleEndian.Uint32(block))
	if 4+8*n > uint64(len(block)) {
		return nil, types.ErrorInternalFailure
	}
	lengths, texts := block[4:4+8*n], block[4+8*n:]
	var ofNames, ofAll uint64
	for i := 0; i < len(lengths); i += 8 {
		name, value := binary.LittleEndian.Uint32(lengths[i:]), binary.LittleEndian.Uint32(lengths[i+4:])
		ofNames += uint64(name)
		ofAll += uint64(name) + 1 + uint64(value) + 1
	}
	if ofAll > uint64(len(texts)) {
		return nil, types.ErrorInternalFailure
	}
	pairs := make([][2]string, n)
	names := make([]byte, 0, ofNames)
	for i := range pairs {
		name, value := binary.LittleEndian.Uint32(lengths[8*i:]), binary.LittleEndian.Uint32(lengths[8*i+4:])
		begin := len(names)
		names = append(names, texts[:name]...)
		texts = texts[name+1:]
		pairs[i][0] = unsafe.String(unsafe.SliceData(names[begin:]), int(name))
		pairs[i][1] = keep(pairs[i][0], texts[:value])
		texts = texts[value+1:]
	}
	return pairs, nil
}
