package jwks_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/jwks"
)

// leaseLength is how long the leases of the tests last.
const leaseLength = 6 * time.Second

// ns is a time in an entry.
func ns(d time.Duration) int64 { return start.Add(d).UnixNano() }

func TestRelease(t *testing.T) {
	lease := jwks.Lease{Owner: 1, Begun: ns(0), Ends: ns(leaseLength), Taken: true}
	for _, c := range []struct {
		name   string
		worker uint64
		begun  time.Duration
		want   jwks.Lease
	}{
		{"one's own", 1, 0, jwks.Lease{}},
		{"another's", 2, 0, lease},
		{"a later one of one's own", 1, -time.Second, lease},
	} {
		if diff := cmp.Diff(c.want, lease.Release(c.worker, start.Add(c.begun))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
