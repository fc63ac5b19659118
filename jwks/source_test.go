package jwks_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/jwks"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// policy is the defaults of the configuration.
var policy = jwks.Policy{
	RefreshInterval:    10 * time.Minute,
	MaxStale:           24 * time.Hour,
	UnknownKidCooldown: 30 * time.Second,
	Timeout:            5 * time.Second,
}

// with is the policy with a change.
func with(change func(*jwks.Policy)) jwks.Policy {
	p := policy
	change(&p)
	return p
}

// slack is how long after its timeout a fetch is given up.
const slack = 5 * time.Second

func ok(doc string) jwks.Answer { return jwks.Answer{Status: 200, Body: doc} }

var (
	docA  = jwkSet(jwk(1, kid("a")))
	docB  = jwkSet(jwk(2, kid("b")))
	docAB = jwkSet(jwk(1, kid("a")), jwk(2, kid("b")))
	docBA = jwkSet(jwk(2, kid("b")), jwk(1, kid("a")))

	unavailable = jwks.Answer{Status: 503, Body: "Service Unavailable"}
)

// kids is what a source holds now: the kids of its keys and its state.
func kids(s *jwks.Source, now time.Time) string {
	set, state := s.Keys(now)
	var ids []string
	if set != nil {
		for _, key := range set.Keys {
			ids = append(ids, key.ID)
		}
	}
	return strings.Join(append(ids, state.String()), " ")
}

// fetched is a source that has taken a document at the start.
func fetched(t *testing.T, p jwks.Policy, a jwks.Answer) *jwks.Source {
	t.Helper()
	s := jwks.NewSource(p, nil)
	if out := s.Finish(start, s.Begin(start), a); out.Result != jwks.ResultOK {
		t.Fatalf("%+v", out)
	}
	return s
}

// world drives a source as the plugin does, at every tick, against a provider.
type world struct {
	t        *testing.T
	source   *jwks.Source
	now      time.Time     // what the clock says
	passed   time.Duration // how much time has passed
	tick     time.Duration
	provider func() jwks.Answer // its answer at the time a fetch begins
	latency  time.Duration

	flying   bool
	fetch    jwks.Fetch
	answer   jwks.Answer
	arrives  time.Duration
	fetches  []time.Duration // when they began
	outcomes []jwks.Result
}

func newWorld(t *testing.T, p jwks.Policy) *world {
	random := rand.New(rand.NewPCG(1, 2))
	return &world{
		t:        t,
		source:   jwks.NewSource(p, random.Float64),
		now:      start,
		tick:     time.Second,
		provider: func() jwks.Answer { return ok(docA) },
		latency:  300 * time.Millisecond,
	}
}

// run lets time pass. At every tick, each function is called first.
func (w *world) run(d time.Duration, each ...func()) {
	w.t.Helper()
	for end := w.passed + d; w.passed < end; {
		for _, f := range each {
			f()
		}
		w.drive()
		w.now = w.now.Add(w.tick)
		w.passed += w.tick
	}
}

// drive does what there is to do at a tick.
func (w *world) drive() {
	w.t.Helper()
	if w.flying && w.passed >= w.arrives {
		w.flying = false
		w.outcomes = append(w.outcomes, w.source.Finish(w.now, w.fetch, w.answer).Result)
	}
	due, next := w.source.Due(w.now), w.source.Next(w.now)
	if due != !next.After(w.now) {
		w.t.Fatalf("after %v: due is %v, but next is in %v", w.passed, due, next.Sub(w.now))
	}
	if due {
		if w.flying {
			w.t.Fatalf("after %v: a second fetch is due while one is in flight", w.passed)
		}
		w.flying, w.fetch, w.answer, w.arrives = true, w.source.Begin(w.now), w.provider(), w.passed+w.latency
		w.fetches = append(w.fetches, w.passed)
		if w.source.Due(w.now) {
			w.t.Fatalf("after %v: due while in flight", w.passed)
		}
	}
}

// takeFetches is the number of fetches since the last call.
func (w *world) takeFetches() int {
	n := len(w.fetches)
	w.fetches = nil
	return n
}

func (w *world) keys() string { return kids(w.source, w.now) }

func (w *world) want(keys string) {
	w.t.Helper()
	if got := w.keys(); got != keys {
		w.t.Errorf("after %v: %q, want %q", w.passed, got, keys)
	}
}

func TestSourceStates(t *testing.T) {
	s := jwks.NewSource(policy, nil)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	check := func(d time.Duration, keys string, due bool, next time.Duration) {
		t.Helper()
		now := at(d)
		if got := kids(s, now); got != keys {
			t.Errorf("after %v: %q, want %q", d, got, keys)
		}
		if got := s.Due(now); got != due {
			t.Errorf("after %v: due %v, want %v", d, got, due)
		}
		if got := s.Next(now).Sub(start); got != next {
			t.Errorf("after %v: next after %v, want %v", d, got, next)
		}
	}
	check(0, "empty", true, 0)
	check(time.Hour, "empty", true, time.Hour)

	s = jwks.NewSource(policy, nil)
	fetch := s.Begin(at(0))
	check(0, "fetching", false, policy.Timeout+slack)
	check(time.Second, "fetching", false, policy.Timeout+slack)
	if s.Generation() != 0 || s.Age(at(time.Second)) != 0 {
		t.Errorf("generation %d, age %v", s.Generation(), s.Age(at(time.Second)))
	}
	out := s.Finish(at(time.Second), fetch, ok(docA))
	if diff := cmp.Diff(jwks.Outcome{Result: jwks.ResultOK, Changed: true}, out); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
	if s.Generation() == 0 || s.Age(at(time.Second)) != time.Second {
		t.Errorf("generation %d, age %v", s.Generation(), s.Age(at(time.Second)))
	}

	// The document is as old as its request, and 80 % of 10 minutes pass.
	check(time.Second, "a fresh", false, 8*time.Minute)
	check(8*time.Minute-1, "a fresh", false, 8*time.Minute)
	check(8*time.Minute, "a fresh", true, 8*time.Minute)
	check(10*time.Minute-1, "a fresh", true, 10*time.Minute-1)
	check(10*time.Minute, "a stale", true, 10*time.Minute)
	check(10*time.Minute+24*time.Hour-1, "a stale", true, 10*time.Minute+24*time.Hour-1)
	check(10*time.Minute+24*time.Hour, "expired", true, 10*time.Minute+24*time.Hour)
	check(1000*time.Hour, "expired", true, 1000*time.Hour)

	fetch = s.Begin(at(1000 * time.Hour))
	check(1000*time.Hour, "expired", false, 1000*time.Hour+policy.Timeout+slack)
	generation := s.Generation()
	out = s.Finish(at(1000*time.Hour), fetch, ok(docA))
	if out.Result != jwks.ResultOK || out.Changed || s.Generation() != generation {
		t.Errorf("the same keys again: %+v, generation %d, was %d", out, s.Generation(), generation)
	}
	check(1000*time.Hour, "a fresh", false, 1000*time.Hour+8*time.Minute)
}

func TestStateString(t *testing.T) {
	var zero jwks.State
	if zero.String() != "empty" || jwks.State(9).String() != "State(9)" {
		t.Errorf("%v, %v", zero, jwks.State(9))
	}
}

func TestFinishResults(t *testing.T) {
	long := `{"keys":[` + jwk(2, kid("b")) + strings.Repeat(" ", jwks.MaxDocument) + `]}`
	longest := docB + strings.Repeat(" ", jwks.MaxDocument-len(docB))
	tests := []struct {
		name   string
		answer jwks.Answer
		pins   []string
		result jwks.Result
		text   string
		is     error
		keys   string
	}{
		{"a set", ok(docB), nil, jwks.ResultOK, "", nil, "b fresh"},
		{"the longest set", ok(longest), nil, jwks.ResultOK, "", nil, "b fresh"},
		{"a discovery document that leads elsewhere", jwks.Answer{Misdirected: errors.New("another issuer")}, nil, jwks.ResultDiscovery, "another issuer", nil, "a fresh"},
		{"no answer", jwks.Answer{}, nil, jwks.ResultNoAnswer, "no answer", nil, "a fresh"},
		{"no status, but a body", jwks.Answer{Body: docB}, nil, jwks.ResultNoAnswer, "no answer", nil, "a fresh"},
		{"an error with keys in it", jwks.Answer{Status: 500, Body: docB}, nil, jwks.ResultStatus, "status 500", nil, "a fresh"},
		{"a redirect", jwks.Answer{Status: 302}, nil, jwks.ResultStatus, "status 302", nil, "a fresh"},
		{"another success", jwks.Answer{Status: 203, Body: docB}, nil, jwks.ResultStatus, "status 203", nil, "a fresh"},
		{"no body", ok(""), nil, jwks.ResultEmpty, "no body", nil, "a fresh"},
		{"too large", ok(long), nil, jwks.ResultTooLarge, "more than 262144 bytes", nil, "a fresh"},
		{"a page", ok("<html>secret</html>"), nil, jwks.ResultNotSet, "", jwks.ErrNotSet, "a fresh"},
		{"a set that is cut", ok(docB[:len(docB)-1]), nil, jwks.ResultNotSet, "", jwks.ErrNotSet, "a fresh"},
		{"no keys", ok(`{"keys":[]}`), nil, jwks.ResultNoUsableKey, "no usable key: the set is empty", jwks.ErrNoUsableKey, "a fresh"},
		{"no usable key", ok(jwkSet(jwk(2, `"use":"enc"`), `{"kty":"EC","kid":"x"}`)), nil, jwks.ResultNoUsableKey,
			`no usable key: keys[0]: use is not sig; keys[1] (kid "x"): kty is not RSA`, jwks.ErrNoUsableKey, "a fresh"},
		{"many unusable keys", ok(jwkSet(slices.Repeat([]string{`{}`}, 9)...)), nil, jwks.ResultNoUsableKey,
			"no usable key: keys[0]: no kty; keys[1]: no kty; keys[2]: no kty; keys[3]: no kty; keys[4]: no kty; and 4 more", jwks.ErrNoUsableKey, "a fresh"},
		{"no pinned key", ok(docB), []string{thumb(1)}, jwks.ResultNoUsableKey,
			`no usable key: key (kid "b") with thumbprint ` + thumb(2) + ": not pinned", jwks.ErrNoUsableKey, "a fresh"},
		{"one pinned key", ok(docBA), []string{thumb(1)}, jwks.ResultOK, "", nil, "a fresh"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := fetched(t, with(func(p *jwks.Policy) { p.Pins = test.pins }), ok(docA))
			generation := s.Generation()
			now := start.Add(9 * time.Minute)
			out := s.Finish(now, s.Begin(now), test.answer)
			if out.Result != test.result || (out.Err == nil) != (test.result == jwks.ResultOK) {
				t.Errorf("%+v, want %v", out, test.result)
			}
			if test.text != "" && (out.Err == nil || out.Err.Error() != test.text) {
				t.Errorf("error %q, want %q", out.Err, test.text)
			}
			if test.is != nil && !errors.Is(out.Err, test.is) {
				t.Errorf("error %q, want %q", out.Err, test.is)
			}
			if out.Err != nil && strings.Contains(out.Err.Error(), "secret") {
				t.Errorf("the error holds content: %q", out.Err)
			}
			if got := kids(s, now); got != test.keys {
				t.Errorf("keys %q, want %q", got, test.keys)
			}
			if changed := s.Generation() != generation; changed != out.Changed || changed != (test.keys == "b fresh") {
				t.Errorf("generation %d, was %d; changed: %v", s.Generation(), generation, out.Changed)
			}
		})
	}
}

func TestGeneration(t *testing.T) {
	tests := []struct {
		name          string
		before, after string
		changed       bool
	}{
		{"the same", docAB, docAB, false},
		{"the same keys in another order", docAB, docBA, false},
		{"a key more that is not usable", docAB, jwkSet(jwk(1, kid("a")), jwk(2, kid("b")), `{}`), false},
		{"a key more", docA, docAB, true},
		{"a key less", docAB, docA, true},
		{"another key", docA, docB, true},
		{"another key with the same kid", docA, jwkSet(jwk(2, kid("a"))), true},
		{"the same key with another kid", docA, jwkSet(jwk(1, kid("b"))), true},
		{"the same key for another algorithm", docA, jwkSet(jwk(1, kid("a"), `"alg":"RS256"`)), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := fetched(t, policy, ok(test.before))
			generation := s.Generation()
			out := s.Finish(start, s.Begin(start), ok(test.after))
			if out.Changed != test.changed || (s.Generation() != generation) != test.changed {
				t.Errorf("%+v, generation %d, was %d", out, s.Generation(), generation)
			}
		})
	}
}

func TestRefresh(t *testing.T) {
	refresh := func(interval, timeout time.Duration) jwks.Policy {
		return with(func(p *jwks.Policy) { p.RefreshInterval, p.Timeout = interval, timeout })
	}
	tests := []struct {
		name            string
		policy          jwks.Policy
		cacheControl    string
		earliest, fresh time.Duration
		latest          time.Duration
	}{
		{"no Cache-Control", policy, "", 8 * time.Minute, 10 * time.Minute, 9*time.Minute + 30*time.Second},
		{"a shorter max-age", policy, "public, max-age=300", 4 * time.Minute, 5 * time.Minute, 4*time.Minute + 45*time.Second},
		{"a longer max-age", policy, "max-age=86400", 8 * time.Minute, 10 * time.Minute, 9*time.Minute + 30*time.Second},
		{"max-age=0", policy, "max-age=0", time.Minute, 70 * time.Second, time.Minute},
		{"max-age=61", policy, "max-age=61", time.Minute, 70 * time.Second, time.Minute},
		{"no-cache", policy, "no-cache", time.Minute, 70 * time.Second, time.Minute},
		{"no-store", policy, "no-store, max-age=600", time.Minute, 70 * time.Second, time.Minute},
		{"a short interval and a long timeout", refresh(3*time.Minute, time.Minute), "", 88 * time.Second, 3 * time.Minute, 115 * time.Second},
		{"the least interval and a long timeout", refresh(time.Minute, time.Minute), "", time.Minute, 2*time.Minute + slack, time.Minute},
		{"an interval below the least", refresh(time.Millisecond, 0), "", time.Minute, time.Minute + time.Second + slack, time.Minute},
		{"a day", refresh(24*time.Hour, time.Second), "", 19*time.Hour + 12*time.Minute, 24 * time.Hour, 22*time.Hour + 48*time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for jitter, want := range map[float64]time.Duration{0: test.earliest, 0.999999: test.latest} {
				s := jwks.NewSource(test.policy, func() float64 { return jitter })
				s.Finish(start, s.Begin(start), jwks.Answer{Status: 200, Body: docA, CacheControl: test.cacheControl})
				if got := s.Next(start).Sub(start).Round(time.Second); got != want {
					t.Errorf("jitter %v: next after %v, want %v", jitter, got, want)
				}
			}
			s := fetched(t, test.policy, jwks.Answer{Status: 200, Body: docA, CacheControl: test.cacheControl})
			if got := kids(s, start.Add(test.fresh-1)); got != "a fresh" {
				t.Errorf("just before %v: %q", test.fresh, got)
			}
			if got := kids(s, start.Add(test.fresh)); got != "a stale" {
				t.Errorf("at %v: %q", test.fresh, got)
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	tests := []struct {
		name    string
		refresh time.Duration
		jitter  func() float64
		want    []time.Duration
	}{
		{"shortest", 10 * time.Minute, nil, []time.Duration{500 * time.Millisecond, 1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
			16 * time.Second, 32 * time.Second, 64 * time.Second, 128 * time.Second, 150 * time.Second, 150 * time.Second}},
		{"longest", 10 * time.Minute, func() float64 { return 0.9999999 }, []time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second,
			32 * time.Second, 64 * time.Second, 128 * time.Second, 256 * time.Second, 300 * time.Second, 300 * time.Second}},
		{"up to a short interval", time.Minute, func() float64 { return 0.9999999 }, []time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second,
			32 * time.Second, 60 * time.Second, 60 * time.Second}},
		{"random numbers out of range", 10 * time.Minute, func() float64 { return 17 }, []time.Duration{500 * time.Millisecond, 1 * time.Second}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := jwks.NewSource(with(func(p *jwks.Policy) { p.RefreshInterval = test.refresh }), test.jitter)
			now := start
			fail := func() time.Duration {
				s.Finish(now, s.Begin(now), jwks.Answer{})
				wait := s.Next(now).Sub(now)
				if s.Due(now.Add(wait-1)) || !s.Due(now.Add(wait)) {
					t.Errorf("not due exactly after %v", wait)
				}
				now = now.Add(wait)
				return wait.Round(time.Millisecond)
			}
			var got []time.Duration
			for range test.want {
				got = append(got, fail())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("waits (-want +got):\n%s", diff)
			}
			s.Finish(now, s.Begin(now), ok(docA)) // A success forgets the failures.
			if got := fail(); got != test.want[0] {
				t.Errorf("first wait after a success is %v, want %v", got, test.want[0])
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	s := jwks.NewSource(policy, nil)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	check := func(name string, now time.Time, want time.Duration) {
		t.Helper()
		if got := s.RetryAfter(now); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	check("nothing fetched yet", start, time.Second)
	fetch := s.Begin(start)
	check("in flight", start, time.Second)
	s.Finish(start, fetch, jwks.Answer{})
	check("a wait of half a second", start, time.Second)
	check("back-off over", at(time.Second), time.Second)
	for range 4 {
		s.Finish(at(time.Second), s.Begin(at(time.Second)), jwks.Answer{})
	}
	check("a wait of eight seconds", at(time.Second), 8*time.Second)
	check("a wait of eight seconds less a little", at(time.Second+time.Millisecond), 8*time.Second)
	check("a wait of eight seconds less a second", at(2*time.Second), 7*time.Second)
}

func TestHealthyWeek(t *testing.T) {
	w := newWorld(t, policy)
	w.run(2 * time.Second)
	w.run(7*24*time.Hour, func() { w.want("a fresh") })
	// Every 8 to 9.5 minutes.
	if n := len(w.fetches); n < 7*24*60*2/19 || n > 7*24*60/8+1 {
		t.Errorf("%d fetches in a week", n)
	}
}

// A provider whose answers may not be kept is asked once a minute, and its keys
// are always there, even if they may not outlive their freshness.
func TestUncacheableAnswers(t *testing.T) {
	w := newWorld(t, with(func(p *jwks.Policy) { p.MaxStale = 0 }))
	w.provider = func() jwks.Answer {
		return jwks.Answer{Status: 200, Body: docA, CacheControl: "no-store, no-cache"}
	}
	w.latency = 4 * time.Second
	w.run(5 * time.Second)
	w.run(24*time.Hour, func() { w.want("a fresh") })
	if n := len(w.fetches); n > 24*60+1 {
		t.Errorf("%d fetches in a day", n)
	}
}

func TestOutage(t *testing.T) {
	w := newWorld(t, policy)
	down := false
	w.provider = func() jwks.Answer {
		if down {
			return unavailable
		}
		return ok(docA)
	}
	w.run(time.Hour)
	w.want("a fresh")

	down = true
	w.takeFetches()
	w.run(23 * time.Hour)
	w.want("a stale")
	// Waits of at least 2.5 minutes, once they have grown.
	if n := w.takeFetches(); n > 23*60*2/5+10 {
		t.Errorf("%d fetches in an outage of 23 hours", n)
	}
	w.run(90 * time.Minute)
	w.want("expired")
	if retry := w.source.RetryAfter(w.now); retry < time.Second || retry > 5*time.Minute {
		t.Errorf("retry after %v", retry)
	}

	down = false
	w.run(5*time.Minute + 2*time.Second) // The longest back-off, a tick and the answer.
	w.want("a fresh")
}

// The very first fetches fail, and the keys come soon after the provider does.
func TestOutageAtStart(t *testing.T) {
	w := newWorld(t, policy)
	down := true
	w.provider = func() jwks.Answer {
		if down {
			return jwks.Answer{}
		}
		return ok(docA)
	}
	w.run(20 * time.Second)
	if _, state := w.source.Keys(w.now); state != jwks.StateEmpty && state != jwks.StateFetching {
		t.Errorf("state %v", state)
	}
	if n := w.takeFetches(); n < 4 || n > 7 {
		t.Errorf("%d fetches in 20 seconds", n)
	}
	down = false
	w.run(18 * time.Second)
	w.want("a fresh")
}

func TestRotationWithoutOverlap(t *testing.T) {
	w := newWorld(t, policy)
	doc := docA
	w.provider = func() jwks.Answer { return ok(doc) }
	w.run(5 * time.Minute)
	w.want("a fresh")
	generation := w.source.Generation()

	doc = docB
	if !w.source.Want(w.now, "b") {
		t.Error("a token with the new kid is not to wait")
	}
	w.run(2 * time.Second)
	w.want("b fresh") // and the removed key is gone
	if w.source.Generation() == generation {
		t.Error("cached verdicts stay")
	}
	if w.source.Want(w.now, "b") {
		t.Error("a kid that is known is wanted")
	}
	if set, _ := w.source.Keys(w.now); len(set.Keys) != 1 || set.Keys[0].Thumbprint != thumb(2) {
		t.Errorf("%v", names(set.Keys))
	}
}

// A key that the provider withdraws is gone with the next document, though no
// unknown kid tells of it.
func TestRemovedKey(t *testing.T) {
	w := newWorld(t, policy)
	doc := docAB
	w.provider = func() jwks.Answer { return ok(doc) }
	w.run(time.Minute)
	w.want("a b fresh")
	generation := w.source.Generation()
	doc = docB
	w.run(10 * time.Minute)
	w.want("b fresh")
	if w.source.Generation() == generation {
		t.Error("cached verdicts stay")
	}
}

func TestWant(t *testing.T) {
	at := func(d time.Duration) time.Time { return start.Add(d) }
	t.Run("the cool-down is between fetches for unknown kids", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		if !s.Want(at(0), "x") || !s.Due(at(0)) || !s.Next(at(0)).Equal(at(0)) {
			t.Fatal("the first unknown kid asks for nothing")
		}
		if !s.Want(at(0), "y") {
			t.Error("another unknown kid is not to wait for the same fetch")
		}
		fetch := s.Begin(at(time.Second))
		if !fetch.Wanted || !fetch.At.Equal(at(time.Second)) {
			t.Errorf("%+v", fetch)
		}
		if !s.Want(at(time.Second), "x") {
			t.Error("not to wait for the fetch in flight")
		}
		s.Finish(at(2*time.Second), fetch, ok(docA))
		for _, d := range []time.Duration{2 * time.Second, 31*time.Second - 1} {
			if s.Want(at(d), "x") || s.Due(at(d)) {
				t.Errorf("asks again %v after the start", d)
			}
		}
		if s.Due(at(31 * time.Second)) {
			t.Error("a kid is remembered through the cool-down")
		}
		if !s.Want(at(31*time.Second), "x") || !s.Due(at(31*time.Second)) {
			t.Error("asks for nothing after the cool-down")
		}
	})
	t.Run("a fetch made for another reason begins no cool-down", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		fetch := s.Begin(at(8 * time.Minute))
		if fetch.Wanted || !s.Want(at(8*time.Minute), "x") {
			t.Errorf("%+v", fetch)
		}
		s.Finish(at(8*time.Minute), fetch, ok(docA))
		if s.Due(at(8 * time.Minute)) {
			t.Error("due, although nobody has asked since")
		}
		if !s.Want(at(8*time.Minute), "x") || !s.Due(at(8*time.Minute)) {
			t.Error("a kid that is still unknown asks for nothing")
		}
	})
	t.Run("an unknown kid does not shorten the back-off", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		s.Want(at(0), "x")
		s.Finish(at(0), s.Begin(at(0)), unavailable)
		if s.Want(at(499*time.Millisecond), "x") || s.Due(at(499*time.Millisecond)) {
			t.Error("due in the back-off")
		}
		if !s.Want(at(500*time.Millisecond), "x") || !s.Due(at(500*time.Millisecond)) {
			t.Error("not due after the back-off")
		}
	})
	t.Run("a kid seen in the back-off is not remembered", func(t *testing.T) {
		s := fetched(t, with(func(p *jwks.Policy) { p.UnknownKidCooldown = time.Second }), ok(docA))
		for range 4 {
			s.Finish(at(0), s.Begin(at(0)), unavailable)
		}
		if s.Want(at(3*time.Second), "x") {
			t.Error("to wait in the back-off")
		}
		if fetch := s.Begin(at(4 * time.Second)); fetch.Wanted {
			t.Errorf("%+v", fetch)
		}
	})
	t.Run("the cool-down is a second at least", func(t *testing.T) {
		s := fetched(t, jwks.Policy{}, ok(docA))
		s.Want(at(0), "x")
		s.Finish(at(0), s.Begin(at(0)), ok(docA))
		if s.Want(at(time.Second-1), "x") || !s.Want(at(time.Second), "x") {
			t.Error("not exactly a second")
		}
	})
	t.Run("a kid that is known asks for nothing", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		if s.Want(at(0), "a") || s.Due(at(0)) {
			t.Error("asks")
		}
	})
	t.Run("a token without a kid may ask", func(t *testing.T) {
		s := fetched(t, policy, ok(jwkSet(jwk(1))))
		if !s.Want(at(0), "") || !s.Due(at(0)) {
			t.Error("asks for nothing")
		}
	})
	t.Run("without keys there is only the fetch to wait for", func(t *testing.T) {
		s := jwks.NewSource(policy, nil)
		if !s.Want(at(0), "x") {
			t.Error("not to wait for the first fetch")
		}
		fetch := s.Begin(at(0))
		if fetch.Wanted || !s.Want(at(0), "x") {
			t.Errorf("%+v", fetch)
		}
		s.Finish(at(0), fetch, jwks.Answer{})
		if s.Want(at(0), "x") {
			t.Error("to wait in the back-off")
		}
	})
	t.Run("expired keys know no kid", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		if now := at(1000 * time.Hour); !s.Want(now, "a") {
			t.Error("not to wait for the fetch that is due")
		}
	})
}

func TestFloodOfUnknownKids(t *testing.T) {
	n := 0
	flood := func(w *world) func() {
		return func() {
			for range 10 {
				n++
				w.source.Want(w.now, fmt.Sprint("made-up-", n))
			}
		}
	}
	t.Run("healthy provider", func(t *testing.T) {
		w := newWorld(t, policy)
		w.tick = 100 * time.Millisecond
		w.run(time.Hour, flood(w))
		w.want("a fresh")
		if n := len(w.fetches); n > 3600/30+3 {
			t.Errorf("%d fetches in an hour", n)
		}
	})
	t.Run("provider that is down", func(t *testing.T) {
		w := newWorld(t, policy)
		w.tick = 100 * time.Millisecond
		w.run(time.Minute)
		w.takeFetches()
		w.provider = func() jwks.Answer { return unavailable }
		w.run(time.Hour, flood(w))
		if n := len(w.fetches); n > 10+60*2/5 {
			t.Errorf("%d fetches in an hour", n)
		}
	})
	t.Run("provider that does not answer", func(t *testing.T) {
		w := newWorld(t, policy)
		w.tick = 100 * time.Millisecond
		w.run(time.Minute)
		w.takeFetches()
		w.latency = policy.Timeout
		w.provider = func() jwks.Answer { return jwks.Answer{} }
		w.run(time.Hour, flood(w))
		if n := len(w.fetches); n > 10+60*2/5 {
			t.Errorf("%d fetches in an hour", n)
		}
	})
}

// The host loses an answer: the fetch is given up, and not waited for forever.
func TestLostAnswer(t *testing.T) {
	s := jwks.NewSource(policy, nil)
	first := s.Begin(start)
	given := start.Add(policy.Timeout + slack)
	if s.Due(given.Add(-1)) || s.Due(given) || s.Due(given.Add(500*time.Millisecond-1)) {
		t.Error("due before the fetch is given up and the back-off over")
	}
	now := given.Add(500 * time.Millisecond)
	if !s.Due(now) {
		t.Fatal("not due again")
	}
	if got := kids(s, now); got != "empty" {
		t.Error(got)
	}
	second := s.Begin(now)
	if out := s.Finish(now, first, ok(docA)); out.Result != jwks.ResultLate || out.Err == nil || out.Changed {
		t.Errorf("the lost answer, after another fetch has begun: %+v", out)
	}
	if got := kids(s, now); got != "fetching" {
		t.Error(got)
	}
	if out := s.Finish(now, second, ok(docB)); out.Result != jwks.ResultOK {
		t.Errorf("%+v", out)
	}
	for name, fetch := range map[string]jwks.Fetch{"first": first, "second": second, "none": {}} {
		if out := s.Finish(now, fetch, ok(docA)); out.Result != jwks.ResultLate {
			t.Errorf("%s fetch, once more: %+v", name, out)
		}
	}
	if got := kids(s, now); got != "b fresh" {
		t.Error(got)
	}
}

func TestAnswerAfterGivingUp(t *testing.T) {
	late := start.Add(policy.Timeout + slack + time.Millisecond)
	t.Run("good", func(t *testing.T) {
		s := jwks.NewSource(policy, nil)
		fetch := s.Begin(start)
		s.Due(late)
		if out := s.Finish(late, fetch, ok(docA)); out.Result != jwks.ResultOK {
			t.Errorf("%+v", out)
		}
		if got, age := kids(s, late), s.Age(late); got != "a fresh" || age != late.Sub(start) {
			t.Errorf("%q, age %v", got, age)
		}
	})
	t.Run("bad: one failure, not two", func(t *testing.T) {
		s := jwks.NewSource(policy, nil)
		fetch := s.Begin(start)
		next := s.Next(late)
		if out := s.Finish(late, fetch, unavailable); out.Result != jwks.ResultStatus {
			t.Errorf("%+v", out)
		}
		if got := s.Next(late); !got.Equal(next) || got.Sub(late) != 500*time.Millisecond {
			t.Errorf("next in %v, was in %v", got.Sub(late), next.Sub(late))
		}
	})
}

func TestClockJumps(t *testing.T) {
	t.Run("back by a day, with keys", func(t *testing.T) {
		w := newWorld(t, policy)
		w.run(time.Hour)
		generation := w.source.Generation()
		next, age := w.source.Next(w.now).Sub(w.now), w.source.Age(w.now)
		w.now = w.now.Add(-24 * time.Hour)
		if got := w.source.Next(w.now).Sub(w.now); got != next {
			t.Errorf("next in %v, was in %v", got, next)
		}
		if got := w.source.Age(w.now); got != age {
			t.Errorf("age %v, was %v", got, age)
		}
		w.run(time.Hour, func() { w.want("a fresh") })
		if w.source.Generation() != generation {
			t.Error("generation has changed")
		}
	})
	t.Run("back by a day, in an outage: keys expire in time", func(t *testing.T) {
		w := newWorld(t, policy)
		w.run(time.Minute)
		w.provider = func() jwks.Answer { return unavailable }
		for range 12 {
			w.run(2 * time.Hour)
			w.want("a stale")
			w.now = w.now.Add(-2 * time.Hour)
		}
		w.run(time.Hour)
		w.want("expired")
	})
	t.Run("back by a year, in flight and in the back-off", func(t *testing.T) {
		w := newWorld(t, policy)
		answer := jwks.Answer{}
		w.provider = func() jwks.Answer { return answer }
		w.drive()
		w.now = w.now.AddDate(-1, 0, 0)
		w.run(10 * time.Second)
		w.now = w.now.AddDate(-1, 0, 0)
		answer = ok(docA)
		w.run(10 * time.Second)
		w.want("a fresh")
	})
	t.Run("forward by a year: expired, and fetched at once", func(t *testing.T) {
		w := newWorld(t, policy)
		w.run(time.Minute)
		w.takeFetches()
		w.now = w.now.AddDate(1, 0, 0)
		w.want("expired")
		w.run(2 * time.Second)
		w.want("a fresh")
		if n := w.takeFetches(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		w.now = w.now.AddDate(-1, 0, 0) // and right again
		w.run(time.Hour, func() { w.want("a fresh") })
	})
	t.Run("forward by an hour, in flight", func(t *testing.T) {
		w := newWorld(t, policy)
		w.drive()
		w.now = w.now.Add(time.Hour)
		w.run(5 * time.Second)
		w.want("a fresh")
	})
	t.Run("to the ends of time", func(t *testing.T) {
		w := newWorld(t, policy)
		w.run(time.Minute)
		for _, now := range []time.Time{{}, time.Unix(1<<40, 0), time.Unix(0, 0), start} {
			w.now = now
			w.run(2 * time.Second)
			w.want("a fresh")
		}
	})
}

func TestAdopt(t *testing.T) {
	at := func(d time.Duration) time.Time { return start.Add(d) }
	document := func(d time.Duration, a jwks.Answer) jwks.Document {
		return jwks.Document{At: at(d), Answer: a}
	}
	t.Run("before the first fetch", func(t *testing.T) {
		s := jwks.NewSource(policy, nil)
		out := s.Adopt(at(time.Minute), document(0, ok(docA)))
		if out.Result != jwks.ResultOK || !out.Changed || s.Generation() == 0 {
			t.Errorf("%+v", out)
		}
		if got := s.Age(at(time.Minute)); got != time.Minute {
			t.Errorf("age %v", got)
		}
		if got := s.Next(at(time.Minute)); !got.Equal(at(8 * time.Minute)) {
			t.Errorf("next after %v", got.Sub(start))
		}
	})
	t.Run("so old that it is expired", func(t *testing.T) {
		s := jwks.NewSource(policy, nil)
		s.Adopt(at(48*time.Hour), document(0, ok(docA)))
		if now := at(48 * time.Hour); kids(s, now) != "expired" || !s.Due(now) {
			t.Error(kids(s, now))
		}
	})
	t.Run("newer, older, the same, from the future, bad", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		for _, test := range []struct {
			name   string
			d      jwks.Document
			result jwks.Result
			keys   string
		}{
			{"older", document(-time.Minute, ok(docB)), jwks.ResultLate, "a fresh"},
			{"the same", document(0, ok(docB)), jwks.ResultLate, "a fresh"},
			{"from the future", document(11*time.Minute, ok(docB)), jwks.ResultLate, "a stale"},
			{"bad", document(5*time.Minute, unavailable), jwks.ResultStatus, "a stale"},
			{"empty", document(5*time.Minute, ok(`{"keys":[]}`)), jwks.ResultNoUsableKey, "a stale"},
			{"newer", document(5*time.Minute, ok(docB)), jwks.ResultOK, "b fresh"},
		} {
			now := at(10 * time.Minute)
			if test.keys == "a fresh" {
				now = at(time.Minute)
			}
			if out := s.Adopt(now, test.d); out.Result != test.result || (out.Err == nil) != (test.result == jwks.ResultOK) {
				t.Errorf("%s: %+v", test.name, out)
			}
			if got := kids(s, now); got != test.keys {
				t.Errorf("%s: %q, want %q", test.name, got, test.keys)
			}
		}
	})
	t.Run("ends the back-off", func(t *testing.T) {
		s := jwks.NewSource(policy, nil)
		s.Finish(at(0), s.Begin(at(0)), unavailable)
		s.Adopt(at(time.Second), document(time.Second, ok(docA)))
		if got := s.Next(at(time.Second)); !got.Equal(at(8*time.Minute + time.Second)) {
			t.Errorf("next after %v", got.Sub(start))
		}
	})
	t.Run("pins hold", func(t *testing.T) {
		s := jwks.NewSource(with(func(p *jwks.Policy) { p.Pins = []string{thumb(1)} }), nil)
		if out := s.Adopt(at(0), document(0, ok(docB))); out.Result != jwks.ResultNoUsableKey {
			t.Errorf("%+v", out)
		}
	})
	t.Run("overtakes a fetch in flight", func(t *testing.T) {
		s := jwks.NewSource(policy, nil)
		fetch := s.Begin(at(0))
		s.Adopt(at(2*time.Second), document(time.Second, ok(docB)))
		if out := s.Finish(at(3*time.Second), fetch, ok(docA)); out.Result != jwks.ResultLate {
			t.Errorf("%+v", out)
		}
		if got := kids(s, at(3*time.Second)); got != "b fresh" {
			t.Error(got)
		}
	})
	t.Run("overtakes a fetch that is lost: no failure", func(t *testing.T) {
		s := jwks.NewSource(policy, nil)
		s.Begin(at(0))
		s.Adopt(at(2*time.Second), document(time.Second, ok(docB)))
		given := policy.Timeout + slack
		if _, failed := s.Failure(at(given)); failed {
			t.Error("the lost fetch counts as a failure")
		}
		if got := s.Next(at(given)); !got.Equal(at(8*time.Minute + time.Second)) {
			t.Errorf("next after %v", got.Sub(start))
		}
	})
}

func TestCool(t *testing.T) {
	at := func(d time.Duration) time.Time { return start.Add(d) }
	t.Run("the cool-down is everybody's", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		s.Cool(at(3*time.Second), at(2*time.Second))
		if s.Want(at(3*time.Second), "x") || s.Want(at(32*time.Second-1), "x") {
			t.Error("asks again within the cool-down")
		}
		if !s.Want(at(32*time.Second), "x") {
			t.Error("asks for nothing after the cool-down")
		}
	})
	t.Run("an earlier one shortens none", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		s.Cool(at(9*time.Second), at(9*time.Second))
		s.Cool(at(9*time.Second), at(0))
		if s.Want(at(39*time.Second-1), "x") {
			t.Error("asks again within the cool-down")
		}
	})
	t.Run("one from the future is none", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		s.Cool(at(0), at(1))
		if !s.Want(at(0), "x") {
			t.Error("asks for nothing")
		}
	})
	t.Run("one from the beginning of time", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		s.Cool(at(0), time.Time{})
		if !s.Want(at(0), "x") {
			t.Error("asks for nothing")
		}
	})
}

func TestDefer(t *testing.T) {
	at := func(d time.Duration) time.Time { return start.Add(d) }
	failing := func(failures int) *jwks.Source {
		s := jwks.NewSource(policy, nil)
		for range failures {
			s.Finish(start, s.Begin(start), unavailable)
		}
		return s
	}
	tests := []struct {
		name    string
		source  *jwks.Source
		failure jwks.Failure
		next    time.Duration
	}{
		{"the first failure", failing(0), jwks.Failure{Count: 1, Retry: at(time.Second)}, time.Second},
		{"one more failure", failing(1), jwks.Failure{Count: 2, Retry: at(time.Second)}, time.Second},
		{"the longest wait", failing(0), jwks.Failure{Count: 20, Retry: at(5 * time.Minute)}, 5 * time.Minute},
		{"no failure", failing(0), jwks.Failure{Retry: at(time.Minute)}, 0},
		{"as many failures", failing(1), jwks.Failure{Count: 1, Retry: at(time.Minute)}, time.Minute},
		{"fewer failures", failing(2), jwks.Failure{Count: 1, Retry: at(time.Minute)}, time.Minute},
		{"fewer failures and a shorter wait", failing(2), jwks.Failure{Count: 1, Retry: at(time.Millisecond)}, time.Second},
		{"a wait that is over", failing(1), jwks.Failure{Count: 2, Retry: at(0)}, 500 * time.Millisecond},
		{"a wait that has long been over", failing(0), jwks.Failure{Count: 2, Retry: at(-time.Hour)}, 0},
		{"a wait too long to be one", failing(1), jwks.Failure{Count: 2, Retry: at(5*time.Minute + 1)}, 500 * time.Millisecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.source.Defer(start, test.failure)
			if got := test.source.Next(start).Sub(start); got != test.next {
				t.Errorf("next after %v, want %v", got, test.next)
			}
		})
	}

	t.Run("counts, even if the wait is over", func(t *testing.T) {
		s := failing(0)
		s.Defer(start, jwks.Failure{Count: 3, Retry: start})
		s.Finish(start, s.Begin(start), unavailable)
		if got := s.Next(start).Sub(start); got != 4*time.Second {
			t.Errorf("the next wait is %v", got)
		}
	})
	t.Run("a wait longer than this source's longest", func(t *testing.T) {
		s := jwks.NewSource(with(func(p *jwks.Policy) { p.RefreshInterval = time.Minute }), nil)
		s.Defer(start, jwks.Failure{Count: 1, Retry: at(time.Minute + 1)})
		if got := s.Next(start); !got.Equal(start) {
			t.Errorf("next after %v", got.Sub(start))
		}
	})
	t.Run("is what another source says", func(t *testing.T) {
		one, other := failing(3), failing(0)
		failure, ok := one.Failure(start)
		if diff := cmp.Diff(jwks.Failure{Count: 3, Retry: at(2 * time.Second)}, failure); !ok || diff != "" {
			t.Errorf("%v (-want +got):\n%s", ok, diff)
		}
		if failure, ok := other.Failure(start); ok {
			t.Errorf("%+v", failure)
		}
		other.Defer(start, failure)
		if got, ok := other.Failure(start); !ok || got != failure {
			t.Errorf("%+v, want %+v", got, failure)
		}
		other.Finish(at(2*time.Second), other.Begin(at(2*time.Second)), unavailable)
		if got := other.Next(at(2 * time.Second)).Sub(at(2 * time.Second)); got != 4*time.Second {
			t.Errorf("the next wait is %v", got)
		}
	})
}

// A policy that nobody has filled in neither storms the provider nor trusts keys
// for long.
func TestZeroPolicy(t *testing.T) {
	w := newWorld(t, jwks.Policy{})
	w.run(2 * time.Second)
	w.run(time.Hour, func() {
		w.want("a fresh")
		w.source.Want(w.now, "x")
	})
	if n := len(w.fetches); n > 3600 {
		t.Errorf("%d fetches in an hour", n)
	}
	w.takeFetches()
	w.provider = func() jwks.Answer { return unavailable }
	w.run(time.Minute + time.Second + slack)
	w.want("expired")
	w.run(time.Hour)
	if n := w.takeFetches(); n > 10+3600/30 {
		t.Errorf("%d fetches in an outage of an hour", n)
	}
}

// Whatever happens, in whatever order:
//
//   - a fetch is never due while one is in flight;
//   - keys are never used beyond the freshness of their document and MaxStale,
//     counted from the request, whatever the clock does;
//   - keys are those of a document that was good, and the newest one;
//   - the generation changes with the keys, and with nothing else;
//   - fetches are few: at least half of 1 s after a failure, at least a minute
//     or the cool-down after a success;
//   - with a healthy provider, there are fresh keys again in due time.
func TestRandomEvents(t *testing.T) {
	docs := []string{docA, docB, docAB, docBA, jwkSet(jwk(3))}
	bad := []jwks.Answer{{}, unavailable, ok(""), ok("{}"), ok(`{"keys":[]}`), ok(jwkSet(`{}`))}
	controls := []string{"", "max-age=30", "max-age=90", "no-store", "max-age=999999999"}
	expected := make(map[string][]string) // the keys of each document
	for _, doc := range docs {
		set, err := jwks.Parse(doc)
		if err != nil {
			t.Fatal(err)
		}
		expected[doc] = names(set.Keys)
	}
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			pick := func(durations ...time.Duration) time.Duration { return durations[random.IntN(len(durations))] }
			p := jwks.Policy{
				RefreshInterval:    pick(time.Minute, 3*time.Minute, 10*time.Minute, 24*time.Hour),
				MaxStale:           pick(0, time.Minute, time.Hour, 24*time.Hour),
				UnknownKidCooldown: pick(time.Second, 30*time.Second, time.Hour),
				Timeout:            pick(time.Second, 5*time.Second, time.Minute),
			}
			s := jwks.NewSource(p, random.Float64)

			now, passed := start, time.Duration(0) // the clock, and the truth
			var (
				flying     bool
				fetch      jwks.Fetch
				begun      time.Duration
				lastWanted time.Duration = -1 << 62
				failed     bool          // the last thing known of fetches is a failure
				doc        string
				docBegun   time.Duration
				limit      time.Duration // end of the keys' use
			)
			sorted := func(doc string) []string {
				keys := slices.Clone(expected[doc])
				slices.Sort(keys)
				return keys
			}
			step := func(d time.Duration) {
				passed += d
				now = now.Add(d)
				if flying && passed >= begun+p.Timeout+slack {
					failed = true
				}
			}
			finish := func(a jwks.Answer) {
				generation := s.Generation()
				out := s.Finish(now, fetch, a)
				flying = false
				if out.Result != jwks.ResultOK {
					if failed = true; s.Generation() != generation {
						t.Fatalf("after %v: a failure changes the generation", passed)
					}
					return
				}
				if changed := !slices.Equal(sorted(doc), sorted(a.Body)); out.Changed != changed || (s.Generation() != generation) != changed {
					t.Fatalf("after %v: generation %d, was %d; the keys have changed: %v", passed, s.Generation(), generation, changed)
				}
				failed, doc, docBegun = false, a.Body, begun
				limit = begun + max(p.RefreshInterval, time.Minute+p.Timeout+slack) + p.MaxStale
			}
			begin := func() {
				wasFlying := flying && passed < begun+p.Timeout+slack
				if wasFlying {
					t.Fatalf("after %v: due while in flight since %v", passed, begun)
				}
				previous := begun
				first := fetch.At.IsZero()
				fetch, flying, begun = s.Begin(now), true, passed
				if first {
					return
				}
				switch gap := passed - previous; {
				case failed:
					if gap < firstWait {
						t.Fatalf("after %v: %v between fetches after a failure", passed, gap)
					}
				case fetch.Wanted:
					if gap := passed - lastWanted; gap < p.UnknownKidCooldown {
						t.Fatalf("after %v: %v between fetches for an unknown kid", passed, gap)
					}
				case gap < time.Minute:
					t.Fatalf("after %v: %v between fetches", passed, gap)
				}
				if fetch.Wanted {
					lastWanted = passed
				}
			}
			check := func() {
				set, state := s.Keys(now)
				if (set == nil) == (state == jwks.StateFresh || state == jwks.StateStale) {
					t.Fatalf("after %v: %v with %v", passed, state, set)
				}
				if set != nil {
					if passed >= limit {
						t.Fatalf("after %v: keys of %v are used beyond %v", passed, docBegun, limit)
					}
					if got := names(set.Keys); !slices.Equal(expected[doc], got) {
						t.Fatalf("after %v: keys %q, want %q", passed, got, expected[doc])
					}
				}
				if next := s.Next(now); s.Due(now) != !next.After(now) {
					t.Fatalf("after %v: due %v, next in %v", passed, s.Due(now), next.Sub(now))
				}
				if retry := s.RetryAfter(now); retry < time.Second || retry%time.Second != 0 {
					t.Fatalf("after %v: retry after %v", passed, retry)
				}
				if s.Age(now) < 0 {
					t.Fatalf("after %v: age %v", passed, s.Age(now))
				}
			}
			answer := func() jwks.Answer {
				return jwks.Answer{Status: 200, Body: docs[random.IntN(len(docs))], CacheControl: controls[random.IntN(len(controls))]}
			}
			for range 400 {
				switch random.IntN(10) {
				case 0, 1:
					step(time.Duration(random.Int64N(int64(pick(time.Second, time.Minute, time.Hour, 10*time.Hour)))))
				case 2:
					step(max(0, s.Next(now).Sub(now)))
				case 3: // The clock is set back. No time has passed.
					s.Due(now)
					now = now.Add(-time.Duration(random.Int64N(int64(48 * time.Hour))))
				case 4, 5:
					if s.Want(now, fmt.Sprint(random.IntN(5))) && !s.Due(now) && !flying {
						t.Fatalf("after %v: nothing to wait for", passed)
					}
				case 6, 7:
					if s.Due(now) {
						begin()
					}
				case 8:
					if flying {
						finish(answer())
					}
				case 9:
					if flying {
						finish(bad[random.IntN(len(bad))])
					}
				}
				check()
			}

			// The provider is well again: the longest fetch, the longest back-off,
			// one more fetch.
			for end := passed + p.Timeout + slack + 5*time.Minute + 2*time.Second; passed < end; step(time.Second) {
				if flying && passed < begun+p.Timeout+slack && passed > begun {
					finish(answer())
				}
				if s.Due(now) {
					begin()
				}
				check()
			}
			if _, state := s.Keys(now); state != jwks.StateFresh && state != jwks.StateStale {
				t.Fatalf("stuck: %v", state)
			}
		})
	}
}

// firstWait is the shortest back-off.
const firstWait = 500 * time.Millisecond
