package filter

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
)

// TestUpdate runs against the SDK's emulator, which compares version 0 with
// entries like any other, as nginx does and Envoy does not. What Envoy does is
// tried by all tests through the built plugin.
func TestUpdate(t *testing.T) {
	_, reset := proxytest.NewHostEmulator(proxytest.NewEmulatorOption())
	defer reset()
	s := sharing{open: true}
	var seen []string
	write := func(value string) func([]byte) []byte {
		return func(content []byte) []byte {
			seen = append(seen, string(content))
			if value == "" {
				return nil
			}
			return []byte(value)
		}
	}
	for _, value := range []string{"", "a", "b", "", "c", ""} {
		if wrote, err := s.update("key", write(value)); err != nil || wrote != (value != "") {
			t.Fatalf("%q: %v, %v", value, wrote, err)
		}
	}
	if want := []string{"", "", "a", "b", "b", "c"}; !slices.Equal(seen, want) {
		t.Errorf("seen %q, want %q", seen, want)
	}

	// Another worker comes first, once.
	others := 1
	seen = nil
	interrupted := func(content []byte) []byte {
		if others > 0 {
			others--
			_, version, err := proxywasm.GetSharedData("key")
			if err != nil {
				t.Fatal(err)
			}
			if err := proxywasm.SetSharedData("key", []byte("other"), version); err != nil {
				t.Fatal(err)
			}
		}
		return write("mine")(content)
	}
	if wrote, err := s.update("key", interrupted); err != nil || !wrote {
		t.Fatal(wrote, err)
	}
	if want := []string{"c", "other"}; !slices.Equal(seen, want) {
		t.Errorf("seen %q, want %q", seen, want)
	}

	// Others come first, always.
	others = math.MaxInt
	if wrote, err := s.update("key", interrupted); wrote || !errors.Is(err, errContended) {
		t.Errorf("%v, %v, want %v", wrote, err, errContended)
	}
}

// TestAuthentication: with a key, an entry is what a worker with the same key
// wrote under the same name, or it is none.
func TestAuthentication(t *testing.T) {
	key := strings.Repeat("k", 32)
	s, same, other, none := newSharing(key), newSharing(key), newSharing(key+"k"), sharing{open: true}
	name := s.name("record", "here")
	if same.name("record", "here") != name || other.name("record", "here") == name || s.name("record",
		"there") == name ||
		s.name("document", "here") == name || strings.Contains(name, key) {
		t.Error("names of entries")
	}
	content := []byte("content")
	entry := s.entry(name, content)
	for at := range entry {
		changed := bytes.Clone(entry)
		changed[at] ^= 1
		if got := s.content(name, changed); got != nil {
			t.Errorf("octet %d changed: %q", at, got)
		}
	}
	longest := s.entry(name, make([]byte, maxContent))
	for _, c := range []struct {
		name    string
		content []byte
		want    []byte
	}{
		{"authentic", same.content(name, entry), content},
		{"authentic and empty", s.content(name, s.entry(name, []byte{})), []byte{}},
		{"authentic and as long as there may be", s.content(name, longest), make([]byte, maxContent)},
		{"authentic and too long", s.content(name, s.entry(name, make([]byte, maxContent+1))), nil},
		{"not authenticated", s.content(name, none.entry(name, content)), nil},
		{"nothing", s.content(name, nil), nil},
		{"empty", s.content(name, []byte{}), nil},
		{"too short", s.content(name, entry[:31]), nil},
		{"truncated", s.content(name, entry[:len(entry)-1]), nil},
		{"longer", s.content(name, append(bytes.Clone(entry), 0)), nil},
		{"of another key", s.content(name, other.entry(name, content)), nil},
		{"of another name", s.content(name, s.entry(s.name("record", "there"), content)), nil},
		{"of another kind", s.content(name, s.entry(s.name("document", "here"), content)), nil},
		{"of a name that ends earlier", s.content(name, s.entry(name[:len(name)-1], append([]byte{name[len(name)-1]},
			content...))), nil},
		{"without a key", none.content(name, content), content},
		{"without a key and too long", none.content(name, make([]byte, maxContent+1)), nil},
	} {
		if !bytes.Equal(c.content, c.want) || (c.content == nil) != (c.want == nil) {
			t.Errorf("%s: %d octets %.20q, want %d", c.name, len(c.content), c.content, len(c.want))
		}
	}
}
