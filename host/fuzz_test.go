package host

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzPairs reads arbitrary bytes as a header map. What is read is written back
// the same, but for the case of names.
func FuzzPairs(f *testing.F) {
	for _, h := range []Headers{nil, {{"", ""}}, {{":path", "/"}, {"x", ""}, {"x", "2"}}} {
		block := make([]byte, pairsSize(h))
		marshalPairs(block, h)
		f.Add(block)
	}
	f.Add([]byte{1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0})
	f.Add([]byte{255, 255, 255, 255})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, block []byte) {
		h, ok := unmarshalPairs(block)
		if !ok || len(block) == 0 {
			return
		}
		if size := pairsSize(h); size != len(block) {
			// Lower case may be longer or shorter than what it was, outside
			// of ASCII.
			return
		}
		again := make([]byte, pairsSize(h))
		marshalPairs(again, h)
		reread, ok := unmarshalPairs(again)
		if !ok {
			t.Fatal("what was written cannot be read")
		}
		if diff := cmp.Diff(h, reread); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestMalformedPairs(t *testing.T) {
	tests := map[string][]byte{
		"no count":              {1, 0, 0},
		"more than there are":   {2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"too many":              append([]byte{1, 4, 0, 0}, make([]byte, 1025*10)...),
		"a name over the end":   {1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"a size that overflows": {1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0},
		"no end of the name":    {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'x', 0},
		"no end of the value":   {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'x'},
		"trailing bytes":        {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"too large":             make([]byte, 1<<20+1),
	}
	for name, block := range tests {
		t.Run(name, func(t *testing.T) {
			if h, ok := unmarshalPairs(block); ok {
				t.Errorf("read as %q", h)
			}
		})
	}
}
