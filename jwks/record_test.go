package jwks_test

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/jwks"
)

// odd is a record that has everything, and nothing that is valid.
var odd = jwks.Record{
	Document: -1, Failed: math.MinInt64, Failures: math.MaxUint32, Retry: math.MaxInt64, Demanded: math.MaxInt64,
	Lease: jwks.Lease{Owner: math.MaxUint64, Begun: math.MinInt64, Ends: math.MaxInt64, Taken: true},
}

func TestRecordEncode(t *testing.T) {
	for name, want := range map[string]jwks.Record{
		"none": {},
		"odd":  odd,
		"all":  {1, 2, 3, 4, 5, jwks.Lease{Owner: 6, Begun: 7, Ends: 8}},
	} {
		if diff := cmp.Diff(want, jwks.ParseRecord(want.Encode())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestParseRecordOfOthers(t *testing.T) {
	good := odd.Encode()
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
		"the last one":    change(0, good[0]-1),
		"the next one":    change(0, good[0]+1),
		"no truth value":  change(len(good)-1, 2),
		"text":            []byte("orgate"),
		"text that long":  bytes.Repeat([]byte("x"), len(good)),
		"zeros that long": make([]byte, len(good)),
	} {
		if got := jwks.ParseRecord(entry); got != (jwks.Record{}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestRecordMerge(t *testing.T) {
	document := func(at time.Duration) jwks.Record { return jwks.Record{Document: ns(at)} }
	failed := func(at time.Duration, count uint32, retry time.Duration) jwks.Record {
		return jwks.Record{Failed: ns(at), Failures: count, Retry: ns(retry)}
	}
	both := func(d, f jwks.Record) jwks.Record { f.Document = d.Document; return f }
	lease := jwks.Lease{Owner: 1, Begun: 2, Ends: 3}
	for _, c := range []struct {
		name             string
		in, news, merged jwks.Record
	}{
		{"nothing", odd, jwks.Record{}, odd},
		{"the first document", jwks.Record{}, document(-1), document(-1)},
		{"a newer document", document(-2), document(-1), document(-1)},
		{"an older document", document(-1), document(-2), document(-1)},
		{"a document in place of one of the future", document(time.Hour), document(-1), document(-1)},
		{"a document after failures", failed(-3, 2, time.Minute), document(-2), document(-2)},
		{"a document that is older than the failures", failed(-1, 2, time.Minute), document(-2), both(document(-2),
			failed(-1, 2, time.Minute))},
		{"a document after invalid failures", failed(time.Hour, 2, 2*time.Hour), document(-2), document(-2)},
		{"the first failure", jwks.Record{}, failed(-1, 1, time.Second), failed(-1, 1, time.Second)},
		{"a further failure", failed(-2, 1, time.Second), failed(-1, 2, 2*time.Second), failed(-1, 2, 2*time.Second)},
		{"a failure with fewer before it", failed(-2, 5, time.Minute), failed(-1, 1, time.Second), failed(-1, 5,
			time.Minute)},
		{"an older failure", failed(-1, 1, time.Second), failed(-2, 2, time.Minute), failed(-1, 1, time.Second)},
		{"a failure older than the document", document(-1), failed(-2, 1, time.Second), document(-1)},
		{"a failure of a worker whose clock is behind", document(time.Hour), failed(-1, 1, time.Second),
			both(document(time.Hour), failed(-1, 1, time.Second))},
		{"a fetch that tokens asked for", jwks.Record{Demanded: ns(-2)}, jwks.Record{Demanded: ns(-1)},
			jwks.Record{Demanded: ns(-1)}},
		{"an older one", jwks.Record{Demanded: ns(-1)}, jwks.Record{Demanded: ns(-2)}, jwks.Record{Demanded: ns(-1)}},
		{"one in place of one of the future", jwks.Record{Demanded: ns(1)}, jwks.Record{Demanded: ns(-2)},
			jwks.Record{Demanded: ns(-2)}},
		{"the lease stays", jwks.Record{Lease: lease}, jwks.Record{Lease: odd.Lease}, jwks.Record{Lease: lease}},
	} {
		t.Run(c.name, func(t *testing.T) {
			merged := c.in.Merge(start, c.news)
			if diff := cmp.Diff(c.merged, merged); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(merged, merged.Merge(start, c.news)); diff != "" {
				t.Errorf("merging again changes it (-first +second):\n%s", diff)
			}
		})
	}
}

// shared is a document of another worker.
func shared(at time.Duration, cacheControl, body string, missed ...jwks.Miss) jwks.Document {
	return jwks.Document{At: time.Unix(0, ns(at)), Response: jwks.Response{Status: 200, CacheControl: cacheControl,
		Body: body}, Missed: missed}
}

func TestDocumentEncode(t *testing.T) {
	for name, want := range map[string]jwks.Document{
		"empty": shared(0, "", ""),
		"usual": shared(-time.Second, "max-age=60", docA, jwks.Miss{Kid: 1, At: 2},
			jwks.Miss{Kid: math.MaxUint64, At: math.MinInt64}),
		"no body":    shared(0, "no-store", ""),
		"binary":     shared(0, "\x00\xff", strings.Repeat("\x00\xff", 1000)),
		"body alone": shared(1, "", "x"),
	} {
		got, ok := jwks.ParseDocument(want.Encode())
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, ok, diff)
		}
	}
}

func TestParseDocumentOfOthers(t *testing.T) {
	good := shared(0, "ab", "cd").Encode()
	change := func(at int, to ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], to)
		return b
	}
	for name, entry := range map[string][]byte{
		"nothing":                        nil,
		"a head that is cut":             good[:13],
		"version 0":                      change(0, 0),
		"the last version":               change(0, good[0]-1),
		"the next version":               change(0, good[0]+1),
		"more kids than the rest holds":  change(9, 1),
		"more kids than there may be":    append(change(9, 33), make([]byte, 1000)...),
		"a part longer than the rest":    change(10, 5), // octets of Cache-Control, of four that follow
		"a part as long as there may be": change(10, 0xff, 0xff, 0xff, 0xff),
	} {
		if got, ok := jwks.ParseDocument(entry); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestSupersedes(t *testing.T) {
	entry := func(at time.Duration) []byte { return shared(at, "", "").Encode() }
	endOfTime := jwks.Document{At: time.Unix(0, math.MaxInt64)}
	for _, c := range []struct {
		name  string
		entry []byte
		want  bool
	}{
		{"nothing", nil, true},
		{"garbage", []byte("garbage of some length"), true},
		{"another version", append([]byte{9}, entry(0)[1:]...), true},
		{"an older one", entry(-2), true},
		{"the same", entry(-1), false},
		{"a newer one", entry(0), false},
		{"one from the future", entry(1), true},
		{"one from the end of time", endOfTime.Encode(), true},
	} {
		if got := shared(-1, "", "").Supersedes(c.entry, start); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// FuzzRecord: whatever stands in the entry, it does not keep a worker from fetching
// for long.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(nil), int64(0))
	f.Add((jwks.Record{}).Encode(), ns(0))
	f.Add(odd.Encode(), ns(0))
	f.Add((jwks.Record{
		Document: ns(-time.Hour), Failed: ns(0), Failures: 9, Retry: ns(5 * time.Minute), Demanded: ns(0),
		Lease: jwks.Lease{Owner: 7, Begun: ns(time.Second), Ends: ns(7 * time.Second)},
	}).Encode(), ns(0))
	f.Fuzz(func(t *testing.T, entry []byte, at int64) {
		// Clocks from 1970 to what fits in an entry beside the longest wait.
		at = max(1, min(at, math.MaxInt64-int64(time.Hour)))
		now := time.Unix(0, at)
		read := jwks.ParseRecord(entry)
		if read != (jwks.Record{}) && !bytes.Equal(read.Encode(), entry) {
			t.Errorf("%x is written as %x", entry, read.Encode())
		}
		// A worker that finds the entry at every tick: its first fetch begins in
		// time, and so does the next after the keys have gone.
		for _, waiting := range []bool{false, true} {
			s := jwks.NewSource(policy, nil)
			s.Due(now)
			if !claims(s, now, read, waiting, 4*leaseLength) {
				t.Errorf("%+v keeps a worker from its first fetch, requests wait: %v", read, waiting)
			}
			s.Finish(now, s.Begin(now), ok(docA))
			later := now.Add(8 * time.Minute)
			if !claims(s, later, read, waiting, 4*leaseLength) {
				t.Errorf("%+v keeps a worker from a refresh, requests wait: %v", read, waiting)
			}
		}
	})
}

// claims reports whether a source whose fetch is due can claim the lease within a
// time, with the record as it is.
func claims(s *jwks.Source, now time.Time, r jwks.Record, waiting bool, within time.Duration) bool {
	for end := now.Add(within); !now.After(end); now = now.Add(500 * time.Millisecond) {
		s.Merge(now, r)
		if _, ok := s.Claim(now, r, 1, waiting); ok {
			return true
		}
	}
	return false
}

// FuzzDocument: what is read of an entry is what was written, and nothing keeps a
// newer document out.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(shared(0, "max-age=1", docA, jwks.Miss{Kid: 1, At: 2}).Encode())
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 'x'})
	f.Fuzz(func(t *testing.T, entry []byte) {
		d, ok := jwks.ParseDocument(entry)
		if ok && !bytes.Equal(d.Encode(), entry) {
			t.Errorf("%x is written as %x", entry, d.Encode())
		}
		if !ok && (!d.At.IsZero() || d.Response != (jwks.Response{}) || d.Missed != nil) {
			t.Errorf("%x is refused, and read as %+v", entry, d)
		}
		if fresh := shared(0, "", ""); ok && !d.At.Equal(start) && !fresh.Supersedes(entry, start) {
			t.Errorf("%x keeps a newer document out", entry)
		}
	})
}
