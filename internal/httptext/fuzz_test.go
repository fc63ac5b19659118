package httptext

import "testing"

// FuzzPath tests that an accepted path is read the same by everybody, and that
// its segments are those of the target, whatever the upstreams keep.
func FuzzPath(f *testing.F) {
	for _, tt := range paths {
		f.Add(tt.target, uint8(0))
	}
	f.Add("/a%2fb;c//d", uint8(7))
	f.Add("/a%2F%20./b", uint8(1))
	f.Fuzz(func(t *testing.T, target string, keep uint8) {
		checkReadings(t, target)
		checkKept(t, Paths{keep&1 != 0, keep&2 != 0, keep&4 != 0}, target)
	})
}
