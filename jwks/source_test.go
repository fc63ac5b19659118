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

func ok(doc string) jwks.Response { return jwks.Response{Status: 200, Body: doc} }

var (
	docA  = jwkSet(jwk(1, kid("a")))
	docB  = jwkSet(jwk(2, kid("b")))
	docAB = jwkSet(jwk(1, kid("a")), jwk(2, kid("b")))
	docBA = jwkSet(jwk(2, kid("b")), jwk(1, kid("a")))

	unavailable = jwks.Response{Status: 503, Body: "Service Unavailable"}
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
func fetched(t *testing.T, p jwks.Policy, a jwks.Response) *jwks.Source {
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
	provider func() jwks.Response // its response at the time a fetch begins
	latency  time.Duration

	flying   bool
	fetch    jwks.Fetch
	response jwks.Response
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
		provider: func() jwks.Response { return ok(docA) },
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
		w.outcomes = append(w.outcomes, w.source.Finish(w.now, w.fetch, w.response).Result)
	}
	due, next := w.source.Due(w.now), w.source.Next(w.now)
	if due != !next.After(w.now) {
		w.t.Fatalf("after %v: due is %v, but next is in %v", w.passed, due, next.Sub(w.now))
	}
	if due {
		if w.flying {
			w.t.Fatalf("after %v: a second fetch is due while one is in flight", w.passed)
		}
		w.flying, w.fetch, w.response, w.arrives = true, w.source.Begin(w.now), w.provider(), w.passed+w.latency
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
	if diff := cmp.Diff(jwks.Outcome{Result: jwks.ResultOK,
		Record: jwks.Record{Document: start.UnixNano()}}, out); diff != "" {
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
	if out.Result != jwks.ResultOK || s.Generation() != generation {
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
		name     string
		response jwks.Response
		pins     []string
		result   jwks.Result
		text     string
		is       error
		keys     string
	}{
		{"a set", ok(docB), nil, jwks.ResultOK, "", nil, "b fresh"},
		{"the longest set", ok(longest), nil, jwks.ResultOK, "", nil, "b fresh"},
		{"a discovery document that leads elsewhere", jwks.Response{Status: 200,
			Misdirected: errors.New("another issuer")}, nil,
			jwks.ResultDiscovery, "discovery document: another issuer", nil, "a fresh"},
		{"a page for a discovery document", jwks.Response{Status: 200, ContentType: "text/html",
			Misdirected: errors.New("invalid JSON")}, nil,
			jwks.ResultDiscovery, `discovery document: invalid JSON; content-type "text/html"`, nil, "a fresh"},
		{"no answer", jwks.Response{}, nil, jwks.ResultNoAnswer, "no answer", nil, "a fresh"},
		{"the proxy's own response", jwks.Response{Status: 504, Local: "upstream request timeout"}, nil,
			jwks.ResultNoAnswer,
			`no answer: the proxy says "upstream request timeout" (status 504)`, nil, "a fresh"},
		{"no status, but a body", jwks.Response{Body: docB}, nil, jwks.ResultNoAnswer, "no answer", nil, "a fresh"},
		{"an error with keys in it", jwks.Response{Status: 500, Body: docB}, nil, jwks.ResultStatus, "status 500",
			nil, "a fresh"},
		{"an error page", jwks.Response{Status: 502, ContentType: "text/html; charset=utf-8"}, nil, jwks.ResultStatus,
			`status 502; content-type "text/html; charset=utf-8"`, nil, "a fresh"},
		{"a redirect", jwks.Response{Status: 302, Location: "https://a.example/login?state=secret",
			ContentType: "text/html"}, nil, jwks.ResultStatus,
			`status 302, a redirect to "https://a.example/login", which is not followed`, nil, "a fresh"},
		{"a redirect to nowhere", jwks.Response{Status: 302}, nil, jwks.ResultStatus, "status 302", nil, "a fresh"},
		{"an error in JSON", jwks.Response{Status: 404, ContentType: "application/problem+json"}, nil,
			jwks.ResultStatus, "status 404", nil, "a fresh"},
		{"another success", jwks.Response{Status: 203, Body: docB}, nil, jwks.ResultStatus, "status 203", nil,
			"a fresh"},
		{"no body", ok(""), nil, jwks.ResultEmpty, "no body", nil, "a fresh"},
		{"too large", ok(long), nil, jwks.ResultTooLarge, "more than 262144 bytes", nil, "a fresh"},
		{"a page", ok("<html>secret</html>"), nil, jwks.ResultNotSet, "", jwks.ErrNotSet, "a fresh"},
		{"a page that says so", jwks.Response{Status: 200, ContentType: "text/html", Body: "<html>secret</html>"},
			nil, jwks.ResultNotSet,
			`not a JWK Set: invalid JSON at byte 0; content-type "text/html"`, jwks.ErrNotSet, "a fresh"},
		{"a set that is compressed", jwks.Response{Status: 200, ContentType: "application/json",
			ContentEncoding: "gzip", Body: "\x1f\x8b"}, nil, jwks.ResultNotSet,
			`not a JWK Set: invalid JSON at byte 0; content-encoding "gzip"`, jwks.ErrNotSet, "a fresh"},
		{"a set that is cut", ok(docB[:len(docB)-1]), nil, jwks.ResultNotSet, "", jwks.ErrNotSet, "a fresh"},
		{"no keys", ok(`{"keys":[]}`), nil, jwks.ResultNoUsableKey, "no usable key: the set is empty",
			jwks.ErrNoUsableKey, "a fresh"},
		{"no usable key", ok(jwkSet(jwk(2, `"use":"enc"`), `{"kty":"oct","kid":"x"}`)), nil, jwks.ResultNoUsableKey,
			`no usable key: keys[0]: use is not sig; keys[1] (kid "x"): kty is neither RSA, EC nor OKP`,
			jwks.ErrNoUsableKey,
			"a fresh"},
		{"many unusable keys", ok(jwkSet(slices.Repeat([]string{`{}`}, 9)...)), nil, jwks.ResultNoUsableKey,
			"no usable key: keys[0]: no kty; keys[1]: no kty; keys[2]: no kty; keys[3]: no kty; keys[4]: no kty; " +
				"and 4 more",
			jwks.ErrNoUsableKey, "a fresh"},
		{"no pinned key", ok(docB), []string{thumb(1)}, jwks.ResultNoUsableKey,
			`no usable key: key (kid "b") with thumbprint ` + thumb(2) + ": not pinned", jwks.ErrNoUsableKey,
			"a fresh"},
		{"one pinned key", ok(docBA), []string{thumb(1)}, jwks.ResultOK, "", nil, "a fresh"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := fetched(t, with(func(p *jwks.Policy) { p.Pins = test.pins }), ok(docA))
			generation := s.Generation()
			now := start.Add(9 * time.Minute)
			out := s.Finish(now, s.Begin(now), test.response)
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
			if changed := s.Generation() != generation; changed != (test.keys == "b fresh") {
				t.Errorf("generation %d, was %d", s.Generation(), generation)
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
			if out.Result != jwks.ResultOK || (s.Generation() != generation) != test.changed {
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
		{"a shorter max-age", policy, "public, max-age=300", 4 * time.Minute, 5 * time.Minute, 4*time.Minute +
			45*time.Second},
		{"a longer max-age", policy, "max-age=86400", 8 * time.Minute, 10 * time.Minute, 9*time.Minute +
			30*time.Second},
		{"max-age=0", policy, "max-age=0", time.Minute, 70 * time.Second, time.Minute},
		{"max-age=61", policy, "max-age=61", time.Minute, 70 * time.Second, time.Minute},
		{"no-cache", policy, "no-cache", time.Minute, 70 * time.Second, time.Minute},
		{"no-store", policy, "no-store, max-age=600", time.Minute, 70 * time.Second, time.Minute},
		{"a short interval and a long timeout", refresh(3*time.Minute, time.Minute), "", 88 * time.Second,
			3 * time.Minute, 115 * time.Second},
		{"the least interval and a long timeout", refresh(time.Minute, time.Minute), "", time.Minute, 2*time.Minute +
			slack, time.Minute},
		{"an interval below the least", refresh(time.Millisecond, 0), "", time.Minute, time.Minute + time.Second +
			slack, time.Minute},
		{"a day", refresh(24*time.Hour, time.Second), "", 19*time.Hour + 12*time.Minute, 24 * time.Hour,
			22*time.Hour + 48*time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for jitter, want := range map[float64]time.Duration{0: test.earliest, 0.999999: test.latest} {
				s := jwks.NewSource(test.policy, func() float64 { return jitter })
				s.Finish(start, s.Begin(start), jwks.Response{Status: 200, Body: docA, CacheControl: test.cacheControl})
				if got := s.Next(start).Sub(start).Round(time.Second); got != want {
					t.Errorf("jitter %v: next after %v, want %v", jitter, got, want)
				}
			}
			s := fetched(t, test.policy, jwks.Response{Status: 200, Body: docA, CacheControl: test.cacheControl})
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
		{"shortest", 10 * time.Minute, nil, []time.Duration{500 * time.Millisecond, 1 * time.Second, 2 * time.Second,
			4 * time.Second, 8 * time.Second,
			16 * time.Second, 32 * time.Second, 64 * time.Second, 128 * time.Second, 150 * time.Second,
			150 * time.Second}},
		{"longest", 10 * time.Minute, func() float64 { return 0.9999999 }, []time.Duration{1 * time.Second,
			2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second,
			32 * time.Second, 64 * time.Second, 128 * time.Second, 256 * time.Second, 300 * time.Second,
			300 * time.Second}},
		{"up to a short interval", time.Minute, func() float64 { return 0.9999999 }, []time.Duration{1 * time.Second,
			2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second,
			32 * time.Second, 60 * time.Second, 60 * time.Second}},
		{"random numbers out of range", 10 * time.Minute, func() float64 { return 17 },
			[]time.Duration{500 * time.Millisecond, 1 * time.Second}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := jwks.NewSource(with(func(p *jwks.Policy) { p.RefreshInterval = test.refresh }), test.jitter)
			now := start
			fail := func() time.Duration {
				s.Finish(now, s.Begin(now), jwks.Response{})
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
	s.Finish(start, fetch, jwks.Response{})
	check("a wait of half a second", start, time.Second)
	check("back-off over", at(time.Second), time.Second)
	for range 4 {
		s.Finish(at(time.Second), s.Begin(at(time.Second)), jwks.Response{})
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

// A provider whose responses may not be kept is asked once a minute, and its keys
// are always there, even if they may not outlive their freshness.
func TestUncacheableAnswers(t *testing.T) {
	w := newWorld(t, with(func(p *jwks.Policy) { p.MaxStale = 0 }))
	w.provider = func() jwks.Response {
		return jwks.Response{Status: 200, Body: docA, CacheControl: "no-store, no-cache"}
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
	w.provider = func() jwks.Response {
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
	w.run(5*time.Minute + 2*time.Second) // The longest back-off, a tick and the response.
	w.want("a fresh")
}

// The very first fetches fail, and the keys come soon after the provider does.
func TestOutageAtStart(t *testing.T) {
	w := newWorld(t, policy)
	down := true
	w.provider = func() jwks.Response {
		if down {
			return jwks.Response{}
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
	w.provider = func() jwks.Response { return ok(doc) }
	w.run(5 * time.Minute)
	w.want("a fresh")
	generation := w.source.Generation()

	doc = docB
	if got := w.source.Want(w.now, "b"); got != jwks.Wait {
		t.Errorf("a token with the new kid: %v", got)
	}
	w.run(2 * time.Second)
	w.want("b fresh") // and the removed key is gone
	if w.source.Generation() == generation {
		t.Error("cached verdicts stay")
	}
	if got := w.source.Want(w.now, "b"); got != jwks.Unknown {
		t.Errorf("a kid that is known: %v", got)
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
	w.provider = func() jwks.Response { return ok(doc) }
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
	type ask struct {
		at   time.Duration
		kid  string
		want jwks.Prospect
	}
	asks := func(t *testing.T, s *jwks.Source, asks ...ask) {
		t.Helper()
		for _, a := range asks {
			if got := s.Want(at(a.at), a.kid); got != a.want {
				t.Errorf("kid %q after %v: %v, want %v", a.kid, a.at, got, a.want)
			}
		}
	}
	// demanded is a source that has fetched once more, for the kid.
	demanded := func(t *testing.T, kid string, r jwks.Response) *jwks.Source {
		t.Helper()
		s := fetched(t, policy, ok(docA))
		asks(t, s, ask{0, kid, jwks.Wait})
		if r, _ := s.Claim(at(0), jwks.Record{}, 1, false); r.Demanded == 0 {
			t.Fatal("nothing tells that tokens asked")
		}
		fetch := s.Begin(at(0))
		s.Finish(at(time.Second), fetch, r)
		return s
	}
	due := func(t *testing.T, s *jwks.Source, now, want time.Duration) {
		t.Helper()
		if got := s.Next(at(now)).Sub(start); got != want {
			t.Errorf("the next fetch is due after %v, want %v", got, want)
		}
	}

	t.Run("the first unknown kid asks at once, and others wait with it", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		asks(t, s, ask{0, "x", jwks.Wait}, ask{0, "y", jwks.Wait})
		due(t, s, time.Second, time.Second)
		s.Begin(at(time.Second))
		asks(t, s, ask{time.Second, "x", jwks.Wait}, ask{2 * time.Second, "z", jwks.Wait})
	})
	t.Run("a kid that was asked for in vain is unknown for the cool-down", func(t *testing.T) {
		s := demanded(t, "x", ok(docA))
		asks(t, s, ask{time.Second, "x", jwks.Unknown}, ask{30*time.Second - 1, "x", jwks.Unknown})
		due(t, s, 30*time.Second-1, 8*time.Minute)
		asks(t, s, ask{30 * time.Second, "x", jwks.Wait})
		if !s.Due(at(30 * time.Second)) {
			t.Error("asks for nothing after the cool-down")
		}
	})
	t.Run("another kid is fetched for 5 s after the last one", func(t *testing.T) {
		s := demanded(t, "x", ok(docA))
		asks(t, s, ask{time.Second, "y", jwks.Wait})
		due(t, s, time.Second, 5*time.Second)
	})
	t.Run("a kid that comes while a fetch is in flight is fetched for anew", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		asks(t, s, ask{0, "x", jwks.Wait})
		fetch := s.Begin(at(0))
		asks(t, s, ask{0, "y", jwks.Wait})
		s.Finish(at(time.Second), fetch, ok(docA))
		asks(t, s, ask{time.Second, "y", jwks.Wait})
		due(t, s, time.Second, 5*time.Second)
		s.Finish(at(6*time.Second), s.Begin(at(5*time.Second)), ok(docA))
		asks(t, s, ask{6 * time.Second, "y", jwks.Unknown})
	})
	t.Run("a fetch made for another reason is in vain for those who asked, and no other", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		if r, _ := s.Claim(at(8*time.Minute), jwks.Record{}, 1, false); r.Demanded != 0 {
			t.Error("tokens are said to have asked")
		}
		fetch := s.Begin(at(8 * time.Minute))
		asks(t, s, ask{8 * time.Minute, "x", jwks.Wait})
		s.Finish(at(8*time.Minute), fetch, ok(docA))
		if s.Due(at(8 * time.Minute)) {
			t.Error("due, although nobody has asked since")
		}
		asks(t, s, ask{8 * time.Minute, "x", jwks.Wait})
		if !s.Due(at(8 * time.Minute)) {
			t.Error("a kid that is still unknown asks for nothing")
		}
	})
	t.Run("while the last fetch has failed keys are unavailable", func(t *testing.T) {
		s := demanded(t, "x", unavailable)
		asks(t, s, ask{time.Second, "x", jwks.Unavailable}, ask{time.Second, "y", jwks.Unavailable}, ask{time.Second,
			"a", jwks.Unknown})
		due(t, s, time.Second, 1500*time.Millisecond)
		asks(t, s, ask{1500 * time.Millisecond, "x", jwks.Wait})
		s.Finish(at(2*time.Second), s.Begin(at(2*time.Second)), ok(docA))
		asks(t, s, ask{2 * time.Second, "x", jwks.Unknown})
	})
	t.Run("a refresh that fails leaves no kid unknown", func(t *testing.T) {
		s := demanded(t, "x", ok(docA))
		s.Finish(at(8*time.Minute), s.Begin(at(8*time.Minute)), unavailable)
		asks(t, s, ask{8 * time.Minute, "x", jwks.Unavailable})
	})
	t.Run("a token shortens a long back-off to the cool-down", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		for range 10 {
			s.Finish(at(0), s.Begin(at(0)), unavailable)
		}
		due(t, s, 0, 150*time.Second)
		asks(t, s, ask{time.Second, "x", jwks.Unavailable})
		due(t, s, time.Second, 30*time.Second)
		if got := s.RetryAfter(at(time.Second)); got != 29*time.Second {
			t.Errorf("retry after %v", got)
		}
		s.Finish(at(30*time.Second), s.Begin(at(30*time.Second)), unavailable)
		if got := s.Next(at(30 * time.Second)); !got.Equal(at(180 * time.Second)) {
			t.Errorf("next after %v, though nobody has asked since", got.Sub(start))
		}
	})
	t.Run("and so does one that finds no keys at all", func(t *testing.T) {
		s := jwks.NewSource(policy, nil)
		asks(t, s, ask{0, "x", jwks.Wait})
		for range 10 {
			s.Finish(at(0), s.Begin(at(0)), jwks.Response{})
		}
		asks(t, s, ask{time.Second, "x", jwks.Unavailable})
		due(t, s, time.Second, 30*time.Second)
	})
	t.Run("the cool-down is 5 seconds at least", func(t *testing.T) {
		s := fetched(t, with(func(p *jwks.Policy) { p.UnknownKidCooldown = time.Second }), ok(docA))
		asks(t, s, ask{0, "x", jwks.Wait})
		s.Finish(at(0), s.Begin(at(0)), ok(docA))
		asks(t, s, ask{5*time.Second - 1, "x", jwks.Unknown}, ask{5 * time.Second, "x", jwks.Wait})
	})
	t.Run("a kid that is known asks for nothing", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		asks(t, s, ask{0, "a", jwks.Unknown})
		due(t, s, 0, 8*time.Minute)
	})
	t.Run("a token without a kid may ask", func(t *testing.T) {
		s := fetched(t, policy, ok(jwkSet(jwk(1))))
		asks(t, s, ask{0, "", jwks.Wait})
		s.Finish(at(0), s.Begin(at(0)), ok(jwkSet(jwk(1))))
		asks(t, s, ask{0, "", jwks.Unknown})
	})
	t.Run("expired keys know no kid", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		asks(t, s, ask{1000 * time.Hour, "a", jwks.Wait})
	})
	t.Run("more kids than are remembered", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		asks(t, s, ask{0, "retired", jwks.Wait})
		s.Finish(at(0), s.Begin(at(0)), ok(docA))
		for n := range 100 {
			asks(t, s, ask{time.Second, fmt.Sprint("made-up-", n), jwks.Wait})
		}
		s.Finish(at(5*time.Second), s.Begin(at(5*time.Second)), ok(docA))
		for n := range 100 { // those that came first are remembered
			if got := s.Want(at(5*time.Second), fmt.Sprint("made-up-", n)); (got == jwks.Unknown) != (n < 32) {
				t.Errorf("kid %d: %v", n, got)
			}
		}
		due(t, s, 5*time.Second, 10*time.Second)
	})
	t.Run("a kid that comes when a fetch is given up, whose response comes after all", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		asks(t, s, ask{0, "x", jwks.Wait})
		fetch := s.Begin(at(0))
		asks(t, s, ask{policy.Timeout + slack, "y", jwks.Unavailable})
		s.Finish(at(11*time.Second), fetch, ok(docA))
		asks(t, s, ask{11 * time.Second, "x", jwks.Unknown}, ask{11 * time.Second, "y", jwks.Wait})
	})
	t.Run("the demand is told once", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		told := 0
		s.OnDemand(func() { told++ })
		asks(t, s, ask{0, "x", jwks.Wait}, ask{0, "x", jwks.Wait}, ask{0, "y", jwks.Wait}, ask{0, "a", jwks.Unknown})
		if told != 1 {
			t.Errorf("told %d times", told)
		}
	})
}

// A provider is down for a while and has another key when it is back. Tokens of
// that key pass within the cool-down and a tick, however long the outage was, and
// nobody is told meanwhile that there is no such key.
func TestRotationInAnOutage(t *testing.T) {
	for _, outage := range []time.Duration{20 * time.Second, 100 * time.Second, time.Hour} {
		w := newWorld(t, policy)
		down := false
		w.provider = func() jwks.Response {
			if down {
				return unavailable
			}
			return ok(docB)
		}
		w.run(time.Minute, func() {})
		w.provider, down = func() jwks.Response {
			if down {
				return unavailable
			}
			return ok(docA)
		}, true
		w.run(9 * time.Minute)
		w.takeFetches()
		ask := func() {
			if got := w.source.Want(w.now, "a"); got == jwks.Unknown && w.keys() != "a fresh" {
				t.Errorf("outage of %v: unknown after %v", outage, w.passed)
			}
		}
		w.run(outage, ask)
		if most := int(outage/policy.UnknownKidCooldown) + 8; w.takeFetches() > most {
			t.Errorf("outage of %v: more than %d fetches", outage, most)
		}
		down = false
		w.run(policy.UnknownKidCooldown+2*time.Second, ask)
		w.want("a fresh")
	}
}

// Kids are made up all the time, and cause 12 fetches a minute at most. A provider
// rotates its keys without an overlap: tokens of the new key wait 5 s at most.
func TestRotationWhileKidsAreMadeUp(t *testing.T) {
	w := newWorld(t, policy)
	w.tick = 100 * time.Millisecond
	w.latency = 0
	doc := docA
	w.provider = func() jwks.Response { return ok(doc) }
	n := 0
	flood := func() {
		for range 10 {
			n++
			w.source.Want(w.now, fmt.Sprint("made-up-", n))
		}
	}
	w.run(time.Minute)
	w.takeFetches()
	w.run(10*time.Minute, flood)
	for i, begun := range w.fetches {
		if i+12 < len(w.fetches) && w.fetches[i+12]-begun < time.Minute {
			t.Fatalf("13 fetches within a minute, the first after %v", begun)
		}
	}
	for round := range 7 {
		w.run(time.Duration(round)*700*time.Millisecond, flood)
		doc = docB
		if round%2 == 1 {
			doc = docA
		}
		changed := w.source.Generation()
		w.run(5*time.Second+w.tick, flood, func() { w.source.Want(w.now, "b") })
		if w.source.Generation() == changed {
			t.Errorf("round %d: the new key is not there after 5 s", round)
		}
	}
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
		if n := len(w.fetches); n > 12*60+1 {
			t.Errorf("%d fetches in an hour", n)
		}
	})
	t.Run("one kid", func(t *testing.T) {
		w := newWorld(t, policy)
		w.tick = 100 * time.Millisecond
		w.run(time.Hour, func() { w.source.Want(w.now, "retired") })
		if n := len(w.fetches); n > 3600/30+1 {
			t.Errorf("%d fetches in an hour", n)
		}
	})
	for name, latency := range map[string]time.Duration{"provider that is down": 0,
		"provider that does not answer": policy.Timeout} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, policy)
			w.tick = 100 * time.Millisecond
			w.run(time.Minute)
			w.takeFetches()
			w.latency = latency
			w.provider = func() jwks.Response { return jwks.Response{} }
			w.run(time.Hour, flood(w))
			if n := len(w.fetches); n > 10+3600/30 {
				t.Errorf("%d fetches in an hour", n)
			}
		})
	}
}

// The host loses a response: the fetch is given up, and not waited for forever.
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
	if out := s.Finish(now, first, ok(docA)); out.Result != jwks.ResultLate || out.Err == nil {
		t.Errorf("the lost response, after another fetch has begun: %+v", out)
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
		w.provider = func() jwks.Response { return unavailable }
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
		response := jwks.Response{}
		w.provider = func() jwks.Response { return response }
		w.drive()
		w.now = w.now.AddDate(-1, 0, 0)
		w.run(10 * time.Second)
		w.now = w.now.AddDate(-1, 0, 0)
		response = ok(docA)
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
	document := func(d time.Duration, a jwks.Response) jwks.Document {
		return jwks.Document{At: at(d), Response: a}
	}
	t.Run("before the first fetch", func(t *testing.T) {
		s := jwks.NewSource(policy, nil)
		out := s.Adopt(at(time.Minute), document(0, ok(docA)))
		if out.Result != jwks.ResultOK || s.Generation() == 0 {
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
			if out := s.Adopt(now, test.d); out.Result != test.result ||
				(out.Err == nil) != (test.result == jwks.ResultOK) {
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
		if got := s.Next(at(given)); !got.Equal(at(8*time.Minute + time.Second)) {
			t.Errorf("next after %v", got.Sub(start))
		}
		if got := s.Want(at(given), "x"); got != jwks.Wait {
			t.Errorf("the lost fetch counts as a failure: %v", got)
		}
	})
}

func TestMerge(t *testing.T) {
	at := func(d time.Duration) time.Time { return start.Add(d) }
	ns := func(d time.Duration) int64 { return at(d).UnixNano() }
	empty := func() *jwks.Source { return jwks.NewSource(policy, nil) }
	failing := func(failures int) *jwks.Source {
		s := empty()
		for range failures {
			s.Finish(start, s.Begin(start), unavailable)
		}
		return s
	}
	fresh := func() *jwks.Source { return fetched(t, policy, ok(docA)) }
	failures := func(count uint32, retry time.Duration) jwks.Record {
		return jwks.Record{Failed: ns(0), Failures: count, Retry: ns(retry)}
	}
	const lease = 6 * time.Second
	for _, test := range []struct {
		name   string
		source *jwks.Source
		now    time.Duration
		record jwks.Record
		failed bool
		newer  bool
		next   time.Duration
	}{
		{"nothing", empty(), 0, jwks.Record{}, false, false, 0},
		{"the first failure", empty(), 0, failures(1, time.Second), true, false, time.Second},
		{"one more failure", failing(1), 0, failures(2, time.Second), true, false, time.Second},
		{"as many failures and a longer wait", failing(1), 0, failures(1, 4*time.Minute), true, false, 4 * time.Minute},
		{"fewer failures and a shorter wait", failing(2), 0, failures(1, time.Millisecond), false, false, time.Second},
		{"a wait that is over", failing(1), 0, failures(2, -time.Second), true, false, 500 * time.Millisecond},
		{"a wait too long to be one", failing(1), 0, failures(2, 5*time.Minute+1), false, false,
			500 * time.Millisecond},
		{"a wait of a source that has not failed itself", empty(), 0, failures(20, 5*time.Minute), true, false, lease},
		{"a wait of one that has", failing(1), 0, failures(20, 5*time.Minute), true, false, 5 * time.Minute},
		{"a refresh", fresh(), 9 * time.Minute, jwks.Record{Failed: ns(9 * time.Minute), Failures: 9,
			Retry: ns(12 * time.Minute)}, true, false, 9 * time.Minute},
		{"a refresh that is just due", fresh(), 8 * time.Minute, jwks.Record{Failed: ns(8 * time.Minute), Failures: 9,
			Retry: ns(12 * time.Minute)}, true, false, 8*time.Minute + lease},
		{"a failure older than the keys", fresh(), time.Minute, jwks.Record{Failed: ns(0), Failures: 9,
			Retry: ns(2 * time.Minute)}, false, false, 8 * time.Minute},
		{"a newer document", fresh(), time.Minute, jwks.Record{Document: ns(time.Second)}, false, true,
			8 * time.Minute},
		{"the same document", fresh(), time.Minute, jwks.Record{Document: ns(0)}, false, false, 8 * time.Minute},
		{"a document of the future", fresh(), time.Minute, jwks.Record{Document: ns(time.Minute) + 1}, false, false,
			8 * time.Minute},
		{"a document, without keys", empty(), time.Minute, jwks.Record{Document: 1}, false, true, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := at(test.now)
			failed, newer := test.source.Merge(now, test.record)
			if failed != test.failed || newer != test.newer {
				t.Errorf("failures %v, document %v, want %v, %v", failed, newer, test.failed, test.newer)
			}
			next := test.source.Next(now).Sub(start)
			if next != test.next {
				t.Errorf("next after %v, want %v", next, test.next)
			}
			if failed, _ := test.source.Merge(now, test.record); failed {
				t.Error("the same failures are news again")
			}
			if again := test.source.Next(now).Sub(start); again != next {
				t.Errorf("next after %v, after %v at first", again, next)
			}
		})
	}

	t.Run("failures written again and again defer by one lease", func(t *testing.T) {
		s := fresh()
		for d := 8 * time.Minute; !s.Due(at(d)); d += time.Second {
			if d > 8*time.Minute+lease {
				t.Fatal("not due after a lease")
			}
			s.Merge(at(d), jwks.Record{Failed: ns(d), Failures: 60, Retry: ns(d + 5*time.Minute)})
		}
	})
	t.Run("and so for a token that asks", func(t *testing.T) {
		s := fresh()
		s.Want(at(time.Minute), "x")
		for d := time.Minute; !s.Due(at(d)); d += time.Second {
			if d > time.Minute+lease {
				t.Fatal("not due after a lease")
			}
			s.Merge(at(d), jwks.Record{Failed: ns(d), Failures: 60, Retry: ns(d + 5*time.Minute)})
		}
	})
	for name, after := range map[string]time.Duration{"by an hour": time.Hour,
		"by the longest back-off for a token that asks": 5 * time.Minute} {
		t.Run("once it has failed itself, "+name, func(t *testing.T) {
			s := failing(1)
			if after < time.Hour {
				s.Want(start, "x")
			}
			d := time.Duration(0)
			for ; d < 2*time.Hour && !s.Due(at(d)); d += time.Second {
				s.Merge(at(d), jwks.Record{Failed: ns(d), Failures: 60, Retry: ns(d + 5*time.Minute)})
			}
			if d != after {
				t.Errorf("due after %v, want %v", d, after)
			}
		})
	}
	t.Run("the wait after another's failures is the next one", func(t *testing.T) {
		s := empty()
		s.Merge(start, failures(3, 0))
		s.Finish(start, s.Begin(start), unavailable)
		if got := s.Next(start).Sub(start); got != 4*time.Second {
			t.Errorf("the next wait is %v", got)
		}
	})
	t.Run("an unknown kid while another worker's fetch has failed", func(t *testing.T) {
		s := fresh()
		s.Merge(at(time.Second), jwks.Record{Failed: ns(time.Second), Failures: 1, Retry: ns(2 * time.Second)})
		if got := s.Want(at(time.Second), "x"); got != jwks.Unavailable {
			t.Errorf("%v", got)
		}
	})
	t.Run("fetches that tokens of all workers ask for are 5 s apart", func(t *testing.T) {
		s := fresh()
		s.Merge(at(3*time.Second), jwks.Record{Demanded: ns(2 * time.Second)})
		s.Want(at(3*time.Second), "x")
		if got := s.Next(at(3 * time.Second)).Sub(start); got != 7*time.Second {
			t.Errorf("next after %v", got)
		}
	})
	t.Run("also one that began after the token had asked", func(t *testing.T) {
		s := fresh()
		s.Want(at(time.Second), "x")
		s.Merge(at(6*time.Second), jwks.Record{Demanded: ns(6*time.Second - 1)})
		if got := s.Next(at(6 * time.Second)).Sub(start); got != 11*time.Second-1 {
			t.Errorf("next after %v", got)
		}
	})
	t.Run("however long tokens have been asking", func(t *testing.T) {
		s := fresh()
		for d := time.Duration(0); d < time.Minute; d += 5 * time.Second {
			begun := d + 4*time.Second
			s.Want(at(d+time.Second), fmt.Sprint("x", d))
			s.Want(at(begun+1), fmt.Sprint("y", d))
			s.Merge(at(d+5*time.Second), jwks.Record{Demanded: ns(begun)})
			s.Adopt(at(d+5*time.Second), jwks.Document{At: at(begun), Response: ok(docA)})
			if got := s.Next(at(d + 5*time.Second)).Sub(start); got != begun+5*time.Second {
				t.Fatalf("after %v: next after %v", d+5*time.Second, got)
			}
		}
	})
	t.Run("a wait longer than this source's longest", func(t *testing.T) {
		s := jwks.NewSource(with(func(p *jwks.Policy) { p.RefreshInterval = time.Minute }), nil)
		s.Merge(start, failures(1, time.Minute+1))
		if got := s.Next(start); !got.Equal(start) {
			t.Errorf("next after %v", got.Sub(start))
		}
	})
	t.Run("but bind no longer than a lease more", func(t *testing.T) {
		s := fresh()
		s.Want(at(0), "x")
		for d := time.Duration(0); !s.Due(at(d)); d += time.Second {
			if d > 5*time.Second+lease {
				t.Fatal("not due in time")
			}
			s.Merge(at(d), jwks.Record{Demanded: ns(d)})
		}
	})
	t.Run("what a fetch shows is what another source learns", func(t *testing.T) {
		one, other := failing(2), empty()
		out := one.Finish(at(time.Second), one.Begin(at(time.Second)), unavailable)
		if diff := cmp.Diff(jwks.Record{Failed: ns(time.Second), Failures: 3, Retry: ns(3 * time.Second)},
			out.Record); diff != "" {
			t.Errorf("record (-want +got):\n%s", diff)
		}
		other.Merge(at(time.Second), out.Record)
		if got := other.Next(at(time.Second)).Sub(start); got != 3*time.Second {
			t.Errorf("next after %v", got)
		}
	})
}

func TestClaim(t *testing.T) {
	at := func(d time.Duration) time.Time { return start.Add(d) }
	const lease = 6 * time.Second
	held := func(begun time.Duration) jwks.Record {
		return jwks.Record{Lease: jwks.Lease{Owner: 7, Begun: at(begun).UnixNano(), Ends: at(begun + lease).UnixNano()}}
	}
	t.Run("nothing is due", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		if r, ok := s.Claim(at(time.Minute), jwks.Record{}, 1, true); ok || r != (jwks.Record{}) {
			t.Errorf("%+v", r)
		}
	})
	t.Run("nobody has it", func(t *testing.T) {
		s := jwks.NewSource(policy, nil)
		r, ok := s.Claim(start, jwks.Record{Document: 5}, 1, false)
		want := jwks.Record{Document: 5, Lease: jwks.Lease{Owner: 1, Begun: start.UnixNano(),
			Ends: at(lease).UnixNano()}}
		if diff := cmp.Diff(want, r); !ok || diff != "" {
			t.Errorf("%v (-want +got):\n%s", ok, diff)
		}
	})
	t.Run("for tokens that ask", func(t *testing.T) {
		s := fetched(t, policy, ok(docA))
		s.Want(at(time.Minute), "x")
		if r, ok := s.Claim(at(time.Minute), jwks.Record{}, 1, false); !ok || r.Demanded != at(time.Minute).UnixNano() {
			t.Errorf("%v %+v", ok, r)
		}
	})
	t.Run("leases taken out again and again refuse a worker for two", func(t *testing.T) {
		s := jwks.NewSource(policy, nil)
		s.Due(start)
		for d := time.Duration(0); ; d += time.Second {
			r, ok := s.Claim(at(d), held(d), 1, false)
			if ok != (d >= 2*lease) {
				t.Fatalf("after %v: %v", d, ok)
			}
			if ok {
				if !r.Lease.Taken {
					t.Errorf("%+v", r)
				}
				break
			}
		}
	})
	t.Run("a worker that was refused starts anew once it has fetched", func(t *testing.T) {
		s := jwks.NewSource(policy, nil)
		s.Due(start)
		s.Claim(at(time.Second), held(0), 1, false)
		s.Finish(at(2*time.Second), s.Begin(at(2*time.Second)), unavailable)
		if r, ok := s.Claim(at(14*time.Second), held(14*time.Second), 1, false); ok {
			t.Errorf("%+v", r)
		}
	})
}

func TestAdoptMissed(t *testing.T) {
	at := func(d time.Duration) time.Time { return start.Add(d) }
	one, other := fetched(t, policy, ok(docA)), fetched(t, policy, ok(docA))
	one.Want(at(10*time.Second), "retired")
	fetch := one.Begin(at(10 * time.Second))
	one.Finish(at(11*time.Second), fetch, ok(docB))
	document := one.Share(at(11*time.Second), fetch, ok(docB))
	if len(document.Missed) != 1 || document.Missed[0].At != at(10*time.Second).UnixNano() {
		t.Errorf("%+v", document.Missed)
	}
	// The kid was asked for here, too, a little later.
	other.Want(at(12*time.Second), "retired")
	other.Adopt(at(12*time.Second), document)
	if got := other.Want(at(40*time.Second-1), "retired"); got != jwks.Unknown {
		t.Errorf("within the cool-down: %v", got)
	}
	if other.Due(at(40*time.Second - 1)) {
		t.Error("a fetch is due for a kid that another worker has fetched for in vain")
	}
	if got := other.Want(at(40*time.Second), "retired"); got != jwks.Wait {
		t.Errorf("after the cool-down: %v", got)
	}
	// Kids are not told of for ever.
	if missed := one.Share(at(40*time.Second), fetch, ok(docB)).Missed; len(missed) > 0 {
		t.Errorf("%+v", missed)
	}
	// Of two fetches in vain the later one counts.
	later := fetched(t, policy, ok(docA))
	later.Want(at(20*time.Second), "retired")
	later.Finish(at(20*time.Second), later.Begin(at(20*time.Second)), ok(docA))
	document.At = at(21 * time.Second)
	later.Adopt(at(22*time.Second), document)
	if got := later.Want(at(50*time.Second-1), "retired"); got != jwks.Unknown {
		t.Errorf("within the cool-down of the later fetch: %v", got)
	}
	document.At = at(10 * time.Second)
	// A document that began after the kid was asked for is in vain for it.
	third := fetched(t, policy, ok(docA))
	third.Want(at(5*time.Second), "x")
	document.Missed = nil
	third.Adopt(at(12*time.Second), document)
	if got := third.Want(at(12*time.Second), "x"); got != jwks.Unknown {
		t.Errorf("asked for before the fetch began: %v", got)
	}
	if got := third.Want(at(12*time.Second), "y"); got != jwks.Wait {
		t.Errorf("another one: %v", got)
	}
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
	w.provider = func() jwks.Response { return unavailable }
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
//     after a success, or 5 s if tokens ask;
//   - with a healthy provider, there are fresh keys again in due time.
func TestRandomEvents(t *testing.T) {
	docs := []string{docA, docB, docAB, docBA, jwkSet(jwk(3))}
	bad := []jwks.Response{{}, unavailable, ok(""), ok("{}"), ok(`{"keys":[]}`), ok(jwkSet(`{}`))}
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
				UnknownKidCooldown: pick(5*time.Second, 30*time.Second, time.Hour),
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
			finish := func(a jwks.Response) {
				generation := s.Generation()
				out := s.Finish(now, fetch, a)
				flying = false
				if out.Result != jwks.ResultOK {
					if failed = true; s.Generation() != generation {
						t.Fatalf("after %v: a failure changes the generation", passed)
					}
					return
				}
				if changed := !slices.Equal(sorted(doc), sorted(a.Body)); (s.Generation() != generation) != changed {
					t.Fatalf("after %v: generation %d, was %d; the keys have changed: %v", passed, s.Generation(),
						generation, changed)
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
				claimed, _ := s.Claim(now, jwks.Record{}, 1, false)
				demanded := claimed.Demanded != 0
				fetch, flying, begun = s.Begin(now), true, passed
				if first {
					return
				}
				switch gap := passed - previous; {
				case failed:
					if gap < firstWait {
						t.Fatalf("after %v: %v between fetches after a failure", passed, gap)
					}
				case demanded:
					if gap := passed - lastWanted; gap < 5*time.Second {
						t.Fatalf("after %v: %v between fetches for an unknown kid", passed, gap)
					}
				case gap < time.Minute:
					t.Fatalf("after %v: %v between fetches", passed, gap)
				}
				if demanded {
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
			response := func() jwks.Response {
				return jwks.Response{Status: 200, Body: docs[random.IntN(len(docs))],
					CacheControl: controls[random.IntN(len(controls))]}
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
					switch s.Want(now, fmt.Sprint(random.IntN(50))) {
					case jwks.Wait:
						if s.Next(now).Sub(now) > 5*time.Second && !flying {
							t.Fatalf("after %v: nothing to wait for", passed)
						}
					case jwks.Unavailable:
						if next := s.Next(now).Sub(now); !failed || next > p.UnknownKidCooldown {
							t.Fatalf("after %v: unavailable, failed %v, next in %v", passed, failed, next)
						}
					default:
						if set, _ := s.Keys(now); set == nil {
							t.Fatalf("after %v: unknown, though there are no keys", passed)
						}
					}
				case 6, 7:
					if s.Due(now) {
						begin()
					}
				case 8:
					if flying {
						finish(response())
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
					finish(response())
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
