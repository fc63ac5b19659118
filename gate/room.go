package gate

import (
	"slices"
	"time"

	"orgate/jwks"
)

// Awaited is what a request waits for: the keys of a source, or an introspection.
// The zero value is nothing.
type Awaited struct {
	Source        *jwks.Source
	Introspection *Introspection
}

// line is what those have in common that wait in one line: a source, or the
// provider that is asked.
func (a Awaited) line() any {
	if a.Introspection != nil {
		return a.Introspection.Provider
	}
	return a.Source
}

// Room is where requests wait: one line for each source and for each provider that
// is asked, in the order in which they came. W stands for a request.
//
// A provider that does not answer must not keep another one's tokens from
// waiting. So of several lines none takes more places than it leaves free.
type Room[W comparable] struct {
	places  int // in all
	most    int // lines that there can be
	waiting int // requests
	lines   []*line[W]
	next    int // the line whose turn it is in [Room.Next]
}

// line is the requests that wait in one line.
type line[W comparable] struct {
	of      any // [Awaited.line]
	waiters []waiter[W]
	ready   int // how many of them, from the first, may be judged
}

type waiter[W comparable] struct {
	request  W
	awaited  Awaited
	deadline time.Time
}

// NewRoom is a room for so many requests, in so many lines.
func NewRoom[W comparable](places, lines int) *Room[W] {
	return &Room[W]{places: places, most: lines}
}

// Enter has a request wait until the deadline. It reports whether there was room.
func (r *Room[W]) Enter(request W, awaited Awaited, deadline time.Time) bool {
	l := r.line(awaited)
	free := r.places - r.waiting
	if free <= 0 || r.most > 1 && l != nil && len(l.waiters) >= free {
		r.forget(awaited)
		return false
	}
	r.Return(request, awaited, deadline)
	return true
}

// Return has a request wait again that has waited before: its place is its own.
func (r *Room[W]) Return(request W, awaited Awaited, deadline time.Time) {
	l := r.line(awaited)
	if l == nil {
		l = &line[W]{of: awaited.line()}
		r.lines = append(r.lines, l)
	}
	l.waiters = append(l.waiters, waiter[W]{request, awaited, deadline})
	r.waiting++
}

// Leave drops a request, wherever it waits.
func (r *Room[W]) Leave(request W) {
	for at, l := range r.lines {
		i := slices.IndexFunc(l.waiters, func(w waiter[W]) bool { return w.request == request })
		if i < 0 {
			continue
		}
		awaited := l.waiters[i].awaited
		l.waiters = slices.Delete(l.waiters, i, i+1)
		if i < l.ready {
			l.ready--
		}
		r.left(at)
		r.forget(awaited)
		return
	}
}

// Wake makes those ready that wait for the keys or the introspection now.
func (r *Room[W]) Wake(awaited Awaited) {
	if l := r.line(awaited); l != nil {
		l.wake(func(w *waiter[W]) bool { return w.awaited == awaited })
	}
}

// wake makes those ready that are to be.
func (l *line[W]) wake(ready func(*waiter[W]) bool) {
	for i := l.ready; i < len(l.waiters); i++ {
		if ready(&l.waiters[i]) {
			// The ready ones come first, in their order.
			woken := l.waiters[i]
			copy(l.waiters[l.ready+1:i+1], l.waiters[l.ready:i])
			l.waiters[l.ready] = woken
			l.ready++
		}
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
			if w := &l.waiters[i]; w.deadline.After(latest) {
				w.deadline = latest
			}
		}
		l.wake(func(w *waiter[W]) bool { return !now.Before(w.deadline) })
	}
}

// Next takes a ready request out of the room, and its deadline: one of each
// line in turn, so that the requests of one provider hold nobody else's up.
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
		r.forget(w.awaited)
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

// forget drops an introspection that nobody waits for any more, and nobody was asked
// for: it holds no place.
func (r *Room[W]) forget(awaited Awaited) {
	i := awaited.Introspection
	if i == nil || !i.Pending() {
		return
	}
	if l := r.line(awaited); l != nil &&
		slices.ContainsFunc(l.waiters, func(w waiter[W]) bool { return w.awaited == awaited }) {
		return
	}
	i.forget()
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
		if source, _ := l.of.(*jwks.Source); source != nil {
			sources = append(sources, source)
		}
	}
	return sources
}

// Introspections are those that nobody has been asked for, up to a number for each
// provider: one of each in turn, the first ones first.
func (r *Room[W]) Introspections(most int) []*Introspection {
	var all []*Introspection
	var of [][]*Introspection
	for _, l := range r.lines {
		var pending []*Introspection
		for n := range l.waiters {
			i := l.waiters[n].awaited.Introspection
			if len(pending) < most && i != nil && i.Pending() && !slices.Contains(pending, i) {
				pending = append(pending, i)
			}
		}
		of = append(of, pending)
	}
	for n := range most {
		for _, pending := range of {
			if n < len(pending) {
				all = append(all, pending[n])
			}
		}
	}
	return all
}

func (r *Room[W]) line(awaited Awaited) *line[W] {
	of := awaited.line()
	for _, l := range r.lines {
		if l.of == of {
			return l
		}
	}
	return nil
}
