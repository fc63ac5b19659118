package filter

import "testing"

func TestVerifyResult(t *testing.T) {
	for _, c := range []struct {
		name   string
		result string
		valid  bool
		clear  bool
	}{
		{"yes", "\x08\x01", true, true},
		{"yes, with an empty error", "\x08\x01\x12\x00", true, true},
		{"no", "\x08\x00", false, true},
		{"nothing", "", false, true},
		{"an error", "\x12\x03bad", false, true},
		{"yes and an error", "\x08\x01\x12\x03bad", false, false},
		{"yes and no", "\x08\x01\x08\x00", false, false},
		{"more than yes", "\x08\x02", false, false},
		{"yes in another field", "\x18\x01", false, false},
		{"yes of another type", "\x0a\x01\x01", false, false},
		{"cut off", "\x08", false, false},
		{"error cut off", "\x12\x05bad", false, false},
		{"endless number", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", false, false},
	} {
		valid, err := verifyResult([]byte(c.result))
		if valid != c.valid || (err == nil) != c.clear {
			t.Errorf("%s: %v, %v", c.name, valid, err)
		}
	}
}

// FuzzVerifyResult checks that yes is said in one way alone.
func FuzzVerifyResult(f *testing.F) {
	f.Add([]byte("\x08\x01"))
	f.Add([]byte("\x08\x01\x12\x00"))
	f.Add([]byte("\x12\x03bad"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if valid, err := verifyResult(b); valid && (err != nil || b[0] != 8 && b[0] != 0x12) {
			t.Errorf("%q is a yes, %v", b, err)
		}
	})
}
