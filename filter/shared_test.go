package filter

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"orgate/jwks"
)

var (
	sharing   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	turnsType = cmp.AllowUnexported(turns{})
)

// after is a time in an entry.
func after(d time.Duration) int64 { return sharing.Add(d).UnixNano() }

func TestTurnsEncode(t *testing.T) {
	for name, want := range map[string]turns{
		"none": {},
		"all":  {math.MaxUint64, after(0), after(time.Second), true, math.MaxUint32, after(2), after(3), after(4)},
		"odd":  {1, math.MinInt64, math.MaxInt64, false, 1, -1, math.MinInt64, math.MaxInt64},
	} {
		if diff := cmp.Diff(want, decodeTurns(want.encode()), turnsType); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDecodeTurnsOfOthers(t *testing.T) {
	good := (&turns{1, 2, 3, true, 4, 5, 6, 7}).encode()
	change := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	for name, entry := range map[string][]byte{
		"nothing":         nil,
		"the version":     good[:1],
		"truncated":       good[:len(good)-1],
		"longer":          append(bytes.Clone(good), 0),
		"version 0":       change(0, 0),
		"the next":        change(0, recordVersion+1),
		"no truth value":  change(25, 2),
		"text":            []byte("orgate"),
		"text that long":  bytes.Repeat([]byte("x"), len(good)),
		"zeros that long": make([]byte, len(good)),
	} {
		if got := decodeTurns(entry); got != (turns{}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestBelieve(t *testing.T) {
	held := func(since, until int64) turns { return turns{holder: 7, since: since, until: until, over: true} }
	failed := func(count uint32, retry int64) turns { return turns{failures: count, retry: retry} }
	none := turns{}
	for _, c := range []struct {
		name     string
		in, want turns
	}{
		{"a turn", held(after(-time.Second), after(5*time.Second)), held(after(-time.Second), after(5*time.Second))},
		{"the longest turn", held(after(0), after(longestTurn)), held(after(0), after(longestTurn))},
		{"a turn that lasts longer", held(after(0), after(longestTurn+1)), none},
		{"a turn that is over", held(after(-time.Second), after(0)), none},
		{"a turn of a clock that is a little ahead", held(after(ahead), after(2*ahead)), held(after(ahead), after(2*ahead))},
		{"a turn of the future", held(after(ahead+1), after(2*ahead)), none},
		{"a turn of the far future", held(math.MaxInt64-1, math.MaxInt64), none},
		{"a turn that began before time", held(math.MinInt64, math.MaxInt64), none},
		{"a turn that began long before its end", held(0, math.MaxInt64), none},
		{"a turn that ends before it begins", held(after(0), math.MinInt64), none},
		{"nobody's turn", turns{since: after(0), until: after(1), over: true}, none},
		{"a failure", failed(3, after(time.Minute)), failed(3, after(time.Minute))},
		{"a failure that defers for the longest time", failed(1, after(jwks.MaxBackoff)), failed(1, after(jwks.MaxBackoff))},
		{"a failure that defers for longer", failed(1, after(jwks.MaxBackoff+1)), none},
		{"a failure that defers forever", failed(1, math.MaxInt64), none},
		{"a failure whose back-off is over", failed(1, after(-time.Second)), failed(1, after(-time.Second))},
		{"a failure before time", failed(1, math.MinInt64), none},
		{"very many failures", failed(math.MaxUint32, after(1)), failed(soFar, after(1))},
		{"no failure, but deferred", failed(0, after(1)), none},
		{"a document", turns{document: after(0)}, turns{document: after(0)}},
		{"a document of the future", turns{document: after(1)}, none},
		{"a document of before 1970", turns{document: -1}, none},
		{"a fetch for an unknown kid", turns{wanted: after(0)}, turns{wanted: after(0)}},
		{"a fetch for an unknown kid in the future", turns{wanted: after(1)}, none},
		{"a fetch for an unknown kid before 1970", turns{wanted: -1}, none},
	} {
		got := c.in
		got.believe(sharing)
		if diff := cmp.Diff(c.want, got, turnsType); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestFree(t *testing.T) {
	for _, c := range []struct {
		name    string
		turns   turns
		waiting bool
		want    bool
	}{
		{"nobody's turn", turns{}, false, true},
		{"one's own turn", turns{holder: 1, since: after(0)}, false, true},
		{"another's turn", turns{holder: 2, since: after(-time.Minute)}, false, false},
		{"another's turn that has just begun, requests wait", turns{holder: 2, since: after(1 - promptly)}, true, false},
		{"another's turn, requests wait for too long", turns{holder: 2, since: after(-promptly)}, true, true},
		{"another's turn that was taken over, requests wait", turns{holder: 2, since: after(-time.Minute), over: true}, true, false},
	} {
		if got := c.turns.free(1, sharing, c.waiting); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestDocumentEncode(t *testing.T) {
	for name, want := range map[string]document{
		"empty":      {},
		"usual":      {after(0), "max-age=60", `{"keys":[]}`},
		"no body":    {math.MinInt64, "no-store", ""},
		"binary":     {math.MaxInt64, "\x00\xff", strings.Repeat("\x00\xff", 1000)},
		"body alone": {1, "", "x"},
	} {
		got, ok := decodeDocument(want.encode())
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(document{})); !ok || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, ok, diff)
		}
	}
}

func TestDecodeDocumentOfOthers(t *testing.T) {
	good := (&document{1, "ab", "cd"}).encode()
	long := bytes.Clone(good)
	long[9] = 5 // octets of Cache-Control, of four that follow
	most := bytes.Clone(good)
	copy(most[9:], []byte{0xff, 0xff, 0xff, 0xff})
	for name, entry := range map[string][]byte{
		"nothing":                        nil,
		"a head that is cut":             good[:headOfDocument-1],
		"version 0":                      append([]byte{0}, good[1:]...),
		"the next version":               append([]byte{recordVersion + 1}, good[1:]...),
		"a part longer than the rest":    long,
		"a part as long as there may be": most,
	} {
		if got, ok := decodeDocument(entry); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestSupersedes(t *testing.T) {
	entry := func(at int64) []byte { return (&document{at: at}).encode() }
	for _, c := range []struct {
		name  string
		entry []byte
		want  bool
	}{
		{"nothing", nil, true},
		{"garbage", []byte("garbage of some length"), true},
		{"another version", append([]byte{recordVersion + 1}, entry(after(0))[1:]...), true},
		{"an older one", entry(after(-2)), true},
		{"the same", entry(after(-1)), false},
		{"a newer one", entry(after(0)), false},
		{"one from the future", entry(after(1)), true},
		{"one from the end of time", entry(math.MaxInt64), true},
		{"one from the beginning of time", entry(math.MinInt64), true},
	} {
		if got := (&document{at: after(-1)}).supersedes(c.entry, sharing); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestUpdate runs against the SDK's emulator, which compares version 0 with
// entries like any other, as nginx does and Envoy does not. What Envoy does is
// tried by all tests through the built plugin.
func TestUpdate(t *testing.T) {
	_, reset := proxytest.NewHostEmulator(proxytest.NewEmulatorOption())
	defer reset()
	var seen []string
	write := func(value string) func([]byte) []byte {
		return func(entry []byte) []byte {
			seen = append(seen, string(entry))
			if value == "" {
				return nil
			}
			return []byte(value)
		}
	}
	for _, value := range []string{"", "a", "b", "", "c", ""} {
		if err := update("key", write(value)); err != nil {
			t.Fatalf("%q: %v", value, err)
		}
	}
	if want := []string{"", "", "a", "b", "b", "c"}; !slices.Equal(seen, want) {
		t.Errorf("seen %q, want %q", seen, want)
	}

	// Another worker comes first, once.
	others := 1
	seen = nil
	interrupted := func(entry []byte) []byte {
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
		return write("mine")(entry)
	}
	if err := update("key", interrupted); err != nil {
		t.Fatal(err)
	}
	if want := []string{"c", "other"}; !slices.Equal(seen, want) {
		t.Errorf("seen %q, want %q", seen, want)
	}

	// Others come first, always.
	others = math.MaxInt
	if err := update("key", interrupted); !errors.Is(err, errContended) {
		t.Errorf("%v, want %v", err, errContended)
	}
}

// FuzzTurns: whatever stands in the entry, it blocks nobody for long, and what is
// believed of it is kept by those who write it anew.
func FuzzTurns(f *testing.F) {
	f.Add([]byte(nil), int64(0))
	f.Add((&turns{}).encode(), after(0))
	f.Add((&turns{7, after(0), after(time.Second), true, 1, after(1), after(0), after(0)}).encode(), after(0))
	f.Add((&turns{7, math.MinInt64, math.MaxInt64, false, math.MaxUint32, math.MaxInt64, math.MaxInt64, math.MaxInt64}).encode(), after(0))
	f.Fuzz(func(t *testing.T, entry []byte, at int64) {
		// Clocks from 1970 to what fits in an entry beside the longest turn.
		at = max(0, min(at, math.MaxInt64-int64(time.Hour)))
		now := time.Unix(0, at)
		read := decodeTurns(entry)
		if read != (turns{}) && !bytes.Equal(read.encode(), entry) {
			t.Errorf("%x is written as %x", entry, read.encode())
		}
		read.believe(now)
		again := decodeTurns(read.encode())
		again.believe(now)
		if diff := cmp.Diff(read, again, turnsType); diff != "" {
			t.Errorf("what is believed is not believed again (-want +got):\n%s", diff)
		}
		later := now.Add(longestTurn + ahead)
		afterwards := read
		afterwards.believe(later)
		if !afterwards.free(1, later, false) {
			t.Errorf("%+v is still held against the others", read)
		}
		if soon := now.Add(ahead + promptly); !read.over && !read.free(1, soon, true) {
			t.Errorf("%+v cannot be taken over", read)
		}
		if read.retry != 0 && time.Unix(0, read.retry).Sub(now) > jwks.MaxBackoff {
			t.Errorf("%+v defers for too long", read)
		}
		if read.document > at || read.wanted > at || read.failures > soFar {
			t.Errorf("%+v is believed", read)
		}
	})
}

// FuzzDocument: what is read of an entry is what was written, and nothing keeps a
// newer document out.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(nil))
	f.Add((&document{after(0), "max-age=1", `{"keys":[]}`}).encode())
	f.Add([]byte{recordVersion, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 'x'})
	f.Fuzz(func(t *testing.T, entry []byte) {
		d, ok := decodeDocument(entry)
		if ok && !bytes.Equal(d.encode(), entry) {
			t.Errorf("%x is written as %x", entry, d.encode())
		}
		if !ok && d != (document{}) {
			t.Errorf("%x is refused, and read as %+v", entry, d)
		}
		fresh := document{at: after(0)}
		if at := decodeAt(entry); at != after(0) && !fresh.supersedes(entry, sharing) {
			t.Errorf("%x keeps a newer document out", entry)
		}
	})
}

// decodeAt is when the document of an entry was fetched, 0 if there is none.
func decodeAt(entry []byte) int64 {
	d, _ := decodeDocument(append(bytes.Clone(entry[:min(len(entry), 9)]), 0, 0, 0, 0))
	return d.at
}
