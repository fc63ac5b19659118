package gate

import (
	"slices"
	"testing"
	"time"

	"orgate/jwks"
	"orgate/policy"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// next is the order in which a room gives its ready requests out.
func next(r *Room[string]) (order []string) {
	for {
		request, _, ok := r.Next()
		if !ok {
			return order
		}
		order = append(order, request)
	}
}

func someKeys() Awaited { return Awaited{Source: new(jwks.Source)} }

// TestRoomOfIntrospections: those of one provider stand in one line, and each is
// woken by itself.
func TestRoomOfIntrospections(t *testing.T) {
	g, _ := asking(t, "")
	one, two := new(policy.Provider), new(policy.Provider)
	about := func(provider *policy.Provider) Awaited {
		return Awaited{Introspection: &Introspection{Provider: provider, gate: g}}
	}
	a, b, c, d := about(one), about(one), about(one), about(two)
	r := NewRoom[string](8, 2)
	for _, w := range []struct {
		request string
		awaited Awaited
		enters  bool
	}{{"a1", a, true}, {"b1", b, true}, {"a2", a, true}, {"c1", c, true}, {"c2", c, false}, {"d1", d, true}} {
		if r.Enter(w.request, w.awaited, noon) != w.enters {
			t.Fatalf("%s enters: %v", w.request, !w.enters)
		}
	}
	want := []*Introspection{a.Introspection, d.Introspection, b.Introspection}
	if got := r.Introspections(2); !slices.Equal(got, want) || len(r.Sources()) != 0 {
		t.Errorf("%d are to be asked for, want a, d, b", len(got))
	}
	a.Introspection.begun = noon
	if got := r.Introspections(1); !slices.Equal(got, []*Introspection{b.Introspection, d.Introspection}) {
		t.Errorf("%d are to be asked for, want b, d", len(got))
	}
	r.Wake(a)
	if got, want := next(r), []string{"a1", "a2"}; !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
	r.Wake(d)
	r.Wake(c)
	r.Leave("c1")
	if got, want := next(r), []string{"d1"}; !slices.Equal(got, want) || r.Len() != 1 {
		t.Errorf("order %q, want %q; %d wait", got, want, r.Len())
	}
}

func TestRoomTakesSourcesInTurn(t *testing.T) {
	a, b, c := someKeys(), someKeys(), someKeys()
	r := NewRoom[string](100, 3)
	for _, w := range []struct {
		request string
		source  Awaited
	}{{"a1", a}, {"a2", a}, {"b1", b}, {"a3", a}, {"c1", c}, {"b2", b}} {
		if !r.Enter(w.request, w.source, noon) {
			t.Fatalf("%s: no room", w.request)
		}
	}
	if got := r.Sources(); r.Ready() || r.Len() != 6 ||
		!slices.Equal(got, []*jwks.Source{a.Source, b.Source, c.Source}) {
		t.Errorf("ready %v, %d wait, for %v", r.Ready(), r.Len(), got)
	}
	r.Wake(a)
	r.Wake(b)
	r.Enter("a4", a, noon) // after the news
	if got, want := next(r), []string{"a1", "b1", "a2", "b2", "a3"}; !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
	r.Return("of the configuration before", Awaited{}, noon)
	if got := r.Sources(); len(got) != 2 {
		t.Errorf("they wait for %v, want c and a", got)
	}
	r.WakeAll()
	if got, want := next(r), []string{"c1", "of the configuration before", "a4"}; !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
	if r.Len() != 0 || len(r.Sources()) != 0 || r.Ready() {
		t.Errorf("%d wait still", r.Len())
	}
}

func TestRoomIsBounded(t *testing.T) {
	a, b := someKeys(), someKeys()
	enter := func(r *Room[int], source Awaited, first int) (entered int) {
		for i := range 50 {
			if r.Enter(first+i, source, noon) {
				entered++
			}
		}
		return entered
	}
	if got := enter(NewRoom[int](10, 1), a, 0); got != 10 {
		t.Errorf("%d requests wait for the only source, want 10", got)
	}
	if got := enter(NewRoom[int](0, 1), a, 0); got != 0 {
		t.Errorf("%d requests wait where there is no room", got)
	}
	r := NewRoom[int](10, 2)
	if got := enter(r, a, 0); got != 5 {
		t.Errorf("%d requests wait for one of two sources, want 5", got)
	}
	if got := enter(r, b, 100); got != 3 {
		t.Errorf("%d requests wait for the other, want 3", got)
	}
	for range 10 { // It keeps its place, whoever else comes.
		r.Return(1000, b, noon)
	}
	if r.Len() != 18 {
		t.Errorf("%d requests wait, want 18", r.Len())
	}
}

func TestRoomLeave(t *testing.T) {
	a, b := someKeys(), someKeys()
	r := NewRoom[string](100, 2)
	for _, request := range []string{"a1", "a2", "a3", "a4"} {
		r.Enter(request, a, noon)
	}
	r.Enter("b1", b, noon)
	r.Wake(a)
	r.Enter("a5", a, noon)
	for _, request := range []string{"a2", "a5", "b1", "unknown"} {
		r.Leave(request)
	}
	if got, want := next(r), []string{"a1", "a3", "a4"}; !slices.Equal(got, want) {
		t.Errorf("ready are %q, want %q", got, want)
	}
	if r.Len() != 0 {
		t.Errorf("%d wait still", r.Len())
	}
}

// TestRoomLeaveOfAWholeLine: the turn passes to the line behind it, and to no line
// twice.
func TestRoomLeaveOfAWholeLine(t *testing.T) {
	a, b, c := someKeys(), someKeys(), someKeys()
	for leaves, want := range map[string][]string{
		"before the first turn": {"b1", "c1", "b2", "c2"},
		"of its turn":           {"a1", "c1", "a2", "c2"},
		"after its turn":        {"a1", "b1", "c1", "b2", "c2"},
	} {
		r := NewRoom[string](100, 3)
		for _, request := range []string{"a1", "a2", "b1", "b2", "c1", "c2"} {
			r.Enter(request, map[byte]Awaited{'a': a, 'b': b, 'c': c}[request[0]], noon)
		}
		r.WakeAll()
		var got []string
		take := func() {
			request, _, _ := r.Next()
			got = append(got, request)
		}
		switch leaves {
		case "before the first turn":
			r.Leave("a1")
			r.Leave("a2")
		case "of its turn":
			take()
			r.Leave("b1")
			r.Leave("b2")
		case "after its turn":
			take()
			take()
			r.Leave("a2")
		}
		if got = append(got, next(r)...); !slices.Equal(got, want) {
			t.Errorf("%s: order %q, want %q", leaves, got, want)
		}
	}
}

func TestRoomExpire(t *testing.T) {
	a := someKeys()
	r := NewRoom[string](100, 1)
	for i, request := range []string{"1s", "2s", "3s"} {
		r.Enter(request, a, noon.Add(time.Duration(i+1)*time.Second))
	}
	r.Return("early", a, noon.Add(500*time.Millisecond)) // Its wait began before.
	r.Expire(noon, 5*time.Second)
	if got := next(r); got != nil {
		t.Errorf("%q have expired at once", got)
	}
	r.Expire(noon.Add(time.Second), 5*time.Second)
	if got, want := next(r), []string{"1s", "early"}; !slices.Equal(got, want) {
		t.Errorf("%q have expired after a second, want %q", got, want)
	}
	// The clock is set back by an hour: the waits end in two seconds all the same.
	r.Expire(noon.Add(-time.Hour), 2*time.Second)
	if got := next(r); got != nil {
		t.Errorf("%q have expired when the clock was set back", got)
	}
	r.Expire(noon.Add(-time.Hour+2*time.Second), 2*time.Second)
	if got, want := next(r), []string{"2s", "3s"}; !slices.Equal(got, want) {
		t.Errorf("%q have expired then, want %q", got, want)
	}
}

// TestRoomExpiredComeInOrder: those that expire join those that are ready.
func TestRoomExpiredComeInOrder(t *testing.T) {
	a := someKeys()
	r := NewRoom[string](100, 1)
	r.Enter("ready", a, noon.Add(time.Hour))
	r.Wake(a)
	r.Enter("long", a, noon.Add(time.Hour))
	r.Enter("short", a, noon)
	r.Enter("short, too", a, noon)
	r.Expire(noon, 2*time.Hour)
	if got, want := next(r), []string{"ready", "short", "short, too"}; !slices.Equal(got, want) {
		t.Errorf("ready are %q, want %q", got, want)
	}
	if r.Len() != 1 {
		t.Errorf("%d wait, want one", r.Len())
	}
}
