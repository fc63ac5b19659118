package translate

import (
	"errors"
	"testing"
)

// TestFitting: the oldest stay, and hundreds of mistakes are found by reading the
// list about a dozen times, not hundreds of times.
func TestFitting(t *testing.T) {
	tests := []struct {
		name string
		odd  func(i int) bool // whether a candidate does not fit beside another such
		left int
		most int // how many times the list is read
	}{
		{"none", func(int) bool { return false }, 0, 1},
		{"one", func(i int) bool { return i == 100 || i == 300 }, 1, 14},
		{"all but the oldest", func(int) bool { return true }, 511, 12},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			odd := map[*candidate]bool{}
			var list []*candidate
			for i := range 512 {
				c := &candidate{use: &entry{}}
				odd[c] = tt.odd(i)
				list = append(list, c)
			}
			read := 0
			fitting(list, func(some []*candidate) error {
				read += len(some)
				found := false
				for _, c := range some {
					if odd[c] && found {
						return errors.New("two of them")
					}
					found = found || odd[c]
				}
				return nil
			})
			left, oldest := 0, true
			for _, c := range list {
				if c.use == nil {
					left++
				}
				if odd[c] && oldest {
					oldest = false
					if c.use == nil {
						t.Error("the oldest is left out")
					}
				}
			}
			if left != tt.left {
				t.Errorf("%d are left out, want %d", left, tt.left)
			}
			if read > tt.most*len(list) {
				t.Errorf("%d are read, for a list of %d", read, len(list))
			}
		})
	}
}
