package host

import "strings"

// Headers is a header map in order. Names are lower-case; pseudo-headers
// (":path") are headers like any other.
type Headers [][2]string

// Get is the first value of a header. The name is lower-case.
func (h Headers) Get(name string) (value string, ok bool) {
	for i := range h {
		if h[i][0] == name {
			return h[i][1], true
		}
	}
	return "", false
}

// Values are the values of a header in order. The name is lower-case.
func (h Headers) Values(name string) []string {
	var values []string
	for i := range h {
		if h[i][0] == name {
			values = append(values, h[i][1])
		}
	}
	return values
}

// Clone is a copy.
func (h Headers) Clone() Headers { return append(Headers(nil), h...) }

// remove drops each header of the name from the given index on, in place.
func (h Headers) remove(name string, from int) Headers {
	kept := h[:from]
	for _, header := range h[from:] {
		if header[0] != name {
			kept = append(kept, header)
		}
	}
	clear(h[len(kept):])
	return kept
}

// replace sets a header: its first occurrence takes the value, the others are
// dropped.
func (h Headers) replace(name, value string) Headers {
	for i := range h {
		if h[i][0] == name {
			h[i][1] = value
			return h.remove(name, i+1)
		}
	}
	return append(h, [2]string{name, value})
}

// lower copies headers with lower-case names.
func (h Headers) lower() Headers {
	lowered := make(Headers, len(h))
	for i := range h {
		lowered[i] = [2]string{strings.ToLower(h[i][0]), h[i][1]}
	}
	return lowered
}

// byteSize is what Envoy counts: names and values.
func (h Headers) byteSize() uint32 {
	var size int
	for i := range h {
		size += len(h[i][0]) + len(h[i][1])
	}
	return uint32(size)
}
