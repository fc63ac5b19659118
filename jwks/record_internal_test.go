package jwks

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// ns is a time in an entry.
func ns(d time.Duration) int64 { return noon.Add(d).UnixNano() }

func TestAcquire(t *testing.T) {
	const length = 6 * time.Second
	of := func(owner uint64, begun, ends int64) Lease {
		return Lease{Owner: owner, Begun: begun, Ends: ends}
	}
	other := func(begun time.Duration) Lease { return of(2, ns(begun), ns(begun+length)) }
	taken := func(l Lease) Lease { l.Taken = true; return l }
	mine := of(1, ns(0), ns(length))
	worker, waiting := claimant{worker: 1}, claimant{worker: 1, waiting: true}
	refused := func(d time.Duration) claimant { return claimant{worker: 1, refused: d} }
	for _, c := range []struct {
		name     string
		lease    Lease
		claimant claimant
		want     Lease // the same lease: refused
	}{
		{"nobody's", Lease{}, worker, mine},
		{"nobody's, with times", of(0, ns(0), ns(length)), worker, mine},
		{"one's own", of(1, ns(-time.Second), ns(length)), worker, mine},
		{"another's", other(-time.Second), worker, other(-time.Second)},
		{"another's that is over", other(-length), worker, mine},
		{"another's that is not quite over", other(1 - length), worker, other(1 - length)},
		{"another's that has just begun, requests wait", other(1 - time.Second), waiting, other(1 - time.Second)},
		{"another's, requests wait for too long", other(-time.Second), waiting, taken(mine)},
		{"another's that was taken, requests wait", taken(other(-time.Second)), waiting, taken(other(-time.Second))},
		{"another's, refused for nearly as long as two leases last", other(0), refused(2*length - 1), other(0)},
		{"another's, refused for as long as two leases last", other(0), refused(2 * length), taken(mine)},
		{"another's that was taken, refused for as long", taken(other(0)), refused(2 * length), taken(other(0))},
		{"another's that was taken, refused for nearly as long as three leases last", taken(other(0)),
			refused(3*length - 1), taken(other(0))},
		{"another's that was taken, refused for as long as three leases last", taken(other(0)), refused(3 * length),
			taken(mine)},
		{"of a clock that is a little ahead", other(time.Second), worker, other(time.Second)},
		{"of the future", other(time.Second + 1), worker, mine},
		{"of the far future", of(2, math.MaxInt64-1, math.MaxInt64), worker, mine},
		{"longer than a lease", of(2, ns(0), ns(length)+1), worker, mine},
		{"without end", of(2, ns(0), math.MaxInt64), worker, mine},
		{"of all time", of(2, math.MinInt64, math.MaxInt64), worker, mine},
		{"of all time since 1970", of(2, 0, math.MaxInt64), worker, mine},
		{"that ends before it begins", of(2, ns(0), math.MinInt64), worker, mine},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := c.lease.acquire(c.claimant, noon, length)
			if diff := cmp.Diff(c.want, got); diff != "" || ok != (c.want != c.lease) {
				t.Errorf("%v (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestValid(t *testing.T) {
	failed := func(at int64, count uint32, retry int64) Record {
		return Record{Failed: at, Failures: count, Retry: retry}
	}
	none, lease := Record{}, Lease{Owner: 1, Begun: math.MinInt64, Ends: math.MaxInt64, Taken: true}
	for _, c := range []struct {
		name     string
		in, want Record
	}{
		{"a document", Record{Document: ns(0)}, Record{Document: ns(0)}},
		{"a document of the future", Record{Document: ns(1)}, none},
		{"a document of before 1970", Record{Document: -1}, none},
		{"a fetch that tokens asked for", Record{Demanded: ns(0)}, Record{Demanded: ns(0)}},
		{"one in the future", Record{Demanded: ns(1)}, none},
		{"one before 1970", Record{Demanded: -1}, none},
		{"a failure", failed(ns(0), 3, ns(time.Minute)), failed(ns(0), 3, ns(time.Minute))},
		{"a failure that defers for the longest time", failed(ns(0), 1, ns(MaxBackoff)), failed(ns(0), 1,
			ns(MaxBackoff))},
		{"a failure that defers for longer", failed(ns(0), 1, ns(MaxBackoff+1)), none},
		{"a failure that defers forever", failed(ns(0), 1, math.MaxInt64), none},
		{"a failure whose back-off is over", failed(ns(-1), 1, ns(-time.Second)), failed(ns(-1), 1, ns(-time.Second))},
		{"a failure of the future", failed(ns(1), 1, ns(2)), none},
		{"a failure before time", failed(math.MinInt64, 1, math.MinInt64), none},
		{"very many failures", failed(ns(0), math.MaxUint32, ns(1)), failed(ns(0), 64, ns(1))},
		{"no failure, but deferred", failed(ns(0), 0, ns(1)), none},
		{"the lease is judged apart", Record{Lease: lease}, Record{Lease: lease}},
	} {
		if diff := cmp.Diff(c.want, c.in.valid(noon)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// FuzzValid: what is valid is so again when it is read, is kept by those who write
// the entry anew, and is bounded.
func FuzzValid(f *testing.F) {
	f.Add([]byte(nil), int64(0))
	f.Add((Record{
		Document: ns(-time.Hour), Failed: ns(0), Failures: 9, Retry: ns(5 * time.Minute), Demanded: ns(0),
		Lease: Lease{Owner: 7, Begun: ns(time.Second), Ends: ns(7 * time.Second)},
	}).Encode(), ns(0))
	f.Fuzz(func(t *testing.T, entry []byte, at int64) {
		// Clocks from 1970 to what fits in an entry beside the longest wait.
		at = max(1, min(at, math.MaxInt64-int64(time.Hour)))
		now := time.Unix(0, at)
		valid := ParseRecord(entry).valid(now)
		if diff := cmp.Diff(valid, valid.valid(now)); diff != "" {
			t.Errorf("what is valid is not (-want +got):\n%s", diff)
		}
		if valid.Document > at || valid.Demanded > at || valid.Failed > at || valid.Failures > maxFailures ||
			time.Unix(0, valid.Retry).Sub(now) > MaxBackoff {
			t.Errorf("%+v is valid", valid)
		}
		if diff := cmp.Diff(valid, ParseRecord(valid.Merge(now, Record{}).Encode())); diff != "" {
			t.Errorf("what is valid is not kept (-want +got):\n%s", diff)
		}
	})
}
