package jwks

import "time"

// Lease is the right of one worker to fetch for all of them. The zero value is
// nobody's. Times are in nanoseconds since 1970.
//
// A lease ends when its owner releases it, and no later than a fetch can take. A
// worker takes it over before that if requests wait with it, or if it has been
// refused for too long: the owner may be in a VM that is gone.
type Lease struct {
	// Owner is the worker that fetches, 0 for none.
	Owner uint64
	// Begun and Ends are when the lease began and when it ends by itself.
	Begun, Ends int64
	// Taken says that it was taken over. Such a lease is not taken over again, so
	// that a slow provider is asked twice at a time.
	Taken bool
}

const (
	// ahead is how far another worker's clock may be ahead: each of them reads
	// the clock as its tick begins.
	ahead = time.Second
	// promptly is how long requests that wait leave a lease to its owner.
	promptly = time.Second
)

// claimant is a worker that wants a lease.
type claimant struct {
	worker  uint64        // never 0
	waiting bool          // requests wait for the fetch
	refused time.Duration // for so long the worker has been refused the lease
}

// acquire is the lease in the claimant's hands, for the given length of time. It
// reports false if the lease stays as it is.
//
// An impossible lease binds nobody: one from the future, or one that is longer than
// the length, which is the same for all workers. So another's lease keeps a worker
// from fetching for one length at most. Leases that are written again and again
// bind for two lengths: one for an owner that is gone, and one for its successor.
// If they look as if they had been taken over, they bind for three.
func (l Lease) acquire(c claimant, now time.Time, length time.Duration) (Lease, bool) {
	at := now.UnixNano()
	held := l.Owner != 0 && l.Owner != c.worker && at < l.Ends &&
		0 <= l.Begun && l.Begun <= at+int64(ahead) && l.Ends-l.Begun <= int64(length)
	late := c.waiting && at-l.Begun >= int64(promptly) || c.refused >= 2*length
	if held && !(late && !l.Taken) && c.refused < 3*length {
		return l, false
	}
	return Lease{Owner: c.worker, Begun: at, Ends: at + int64(length), Taken: held}, true
}

// Release is the lease after the worker's fetch that began at the given time.
// Another worker's lease, or a later one, stays.
func (l Lease) Release(worker uint64, begun time.Time) Lease {
	if l.Owner != worker || l.Begun != begun.UnixNano() {
		return l
	}
	return Lease{}
}
