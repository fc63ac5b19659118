package gate

import (
	"slices"
	"time"

	"orgate/jwks"
)

// Room is where requests wait for keys: one line for each source, in the order
// in which they came. W stands for a request.
//
// A provider that does not answer must not keep another one's tokens from
// waiting. So of several sources none takes more places than it leaves free.
type Room[W comparable] struct {
	places  int // in all
	sources int // that there are
	waiting int // requests
	lines   []*line[W]
	next    int // the line whose turn it is in [Room.Next]
}

// line is the requests that wait for one source.
type line[W comparable] struct {
	source  *jwks.Source
	waiters []waiter[W]
	ready   int // how many of them, from the first, may be judged
}

type waiter[W comparable] struct {
	request  W
	deadline time.Time
}

// NewRoom is a room for so many requests that wait for so many sources.
func NewRoom[W comparable](places, sources int) *Room[W] {
	return &Room[W]{places: places, sources: sources}
}

// Enter has a request wait for a source until the deadline. It reports whether
// there was room.
func (r *Room[W]) Enter(request W, source *jwks.Source, deadline time.Time) bool {
	l := r.line(source)
	free := r.places - r.waiting
	if free <= 0 || r.sources > 1 && l != nil && len(l.waiters) >= free {
		return false
	}
	r.Return(request, source, deadline)
	return true
}

// Return has a request wait again that has waited before: its place is its own.
func (r *Room[W]) Return(request W, source *jwks.Source, deadline time.Time) {
	l := r.line(source)
	if l == nil {
		l = &line[W]{source: source}
		r.lines = append(r.lines, l)
	}
	l.waiters = append(l.waiters, waiter[W]{request, deadline})
	r.waiting++
}

// Leave drops a request, wherever it waits.
func (r *Room[W]) Leave(request W) {
	for at, l := range r.lines {
		i := slices.IndexFunc(l.waiters, func(w waiter[W]) bool { return w.request == request })
		if i < 0 {
			continue
		}
		l.waiters = slices.Delete(l.waiters, i, i+1)
		if i < l.ready {
			l.ready--
		}
		r.left(at)
		return
	}
}

// Wake makes those ready that wait for a source now.
func (r *Room[W]) Wake(source *jwks.Source) {
	if l := r.line(source); l != nil {
		l.ready = len(l.waiters)
	}
}

// WakeAll makes all ready.
func (r *Room[W]) WakeAll() {
	for _, l := range r.lines {
		l.ready = len(l.waiters)
	}
}

// Expire makes those ready whose deadline is not after now. A clock that was set
// back makes no wait longer than the longest one.
func (r *Room[W]) Expire(now time.Time, longest time.Duration) {
	latest := now.Add(longest)
	for _, l := range r.lines {
		for i := range l.waiters {
			w := &l.waiters[i]
			if w.deadline.After(latest) {
				w.deadline = latest
			}
			if i >= l.ready && !now.Before(w.deadline) {
				// The ready ones come first, in their order.
				expired := *w
				copy(l.waiters[l.ready+1:i+1], l.waiters[l.ready:i])
				l.waiters[l.ready] = expired
				l.ready++
			}
		}
	}
}

// Next takes a ready request out of the room, and its deadline: one of each
// source in turn, so that the requests of one provider hold nobody else's up.
func (r *Room[W]) Next() (request W, deadline time.Time, ok bool) {
	for range r.lines {
		at := r.next % len(r.lines)
		l := r.lines[at]
		r.next = at + 1
		if l.ready == 0 {
			continue
		}
		w := l.waiters[0]
		l.waiters[0] = waiter[W]{}
		l.waiters = l.waiters[1:]
		l.ready--
		r.left(at)
		return w.request, w.deadline, true
	}
	return request, deadline, false
}

// left notes that a request has left the line at a place.
func (r *Room[W]) left(at int) {
	r.waiting--
	if len(r.lines[at].waiters) > 0 {
		return
	}
	r.lines = slices.Delete(r.lines, at, at+1)
	if at < r.next {
		r.next--
	}
}

// Ready reports whether [Room.Next] has a request.
func (r *Room[W]) Ready() bool {
	return slices.ContainsFunc(r.lines, func(l *line[W]) bool { return l.ready > 0 })
}

// Len is how many requests wait.
func (r *Room[W]) Len() int { return r.waiting }

// Sources are those that requests wait for, from the one that has been waited for
// the longest.
func (r *Room[W]) Sources() []*jwks.Source {
	sources := make([]*jwks.Source, 0, len(r.lines))
	for _, l := range r.lines {
		if l.source != nil {
			sources = append(sources, l.source)
		}
	}
	return sources
}

func (r *Room[W]) line(source *jwks.Source) *line[W] {
	for _, l := range r.lines {
		if l.source == source {
			return l
		}
	}
	return nil
}
