package host

import (
	"encoding/binary"
	"strings"
)

// The limits of proxy-wasm-cpp-host on a serialized map that the guest hands
// over.
const (
	maxPairsBytes = 1 << 20
	maxPairs      = 1024
)

// pairsSize is the size of a serialized map in bytes.
func pairsSize(h Headers) int {
	size := 4
	for i := range h {
		size += 8 + len(h[i][0]) + 1 + len(h[i][1]) + 1
	}
	return size
}

// marshalPairs serializes a map into a block of pairsSize.
func marshalPairs(block []byte, h Headers) {
	binary.LittleEndian.PutUint32(block, uint32(len(h)))
	at := 4
	for i := range h {
		binary.LittleEndian.PutUint32(block[at:], uint32(len(h[i][0])))
		binary.LittleEndian.PutUint32(block[at+4:], uint32(len(h[i][1])))
		at += 8
	}
	for i := range h {
		for _, text := range h[i] {
			at += copy(block[at:], text)
			block[at] = 0
			at++
		}
	}
}

// unmarshalPairs reads a serialized map, with names in lower case. Like
// proxy-wasm-cpp-host it takes a malformed one for an empty one; ok says which.
func unmarshalPairs(block []byte) (h Headers, ok bool) {
	if len(block) == 0 {
		return nil, true
	}
	if len(block) < 4 || len(block) > maxPairsBytes {
		return nil, false
	}
	n := binary.LittleEndian.Uint32(block)
	if n > maxPairs || 4+8*uint64(n) > uint64(len(block)) {
		return nil, false
	}
	sizes, rest := block[4:4+8*n], block[4+8*n:]
	text := func() (string, bool) {
		size := uint64(binary.LittleEndian.Uint32(sizes))
		sizes = sizes[4:]
		if size+1 > uint64(len(rest)) || rest[size] != 0 {
			return "", false
		}
		text := string(rest[:size])
		rest = rest[size+1:]
		return text, true
	}
	h = make(Headers, n)
	for i := range h {
		name, nameOK := text()
		value, valueOK := "", false
		if nameOK {
			value, valueOK = text()
		}
		if !valueOK {
			return nil, false
		}
		h[i] = [2]string{strings.ToLower(name), value}
	}
	return h, len(rest) == 0
}
