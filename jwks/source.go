package jwks

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// MaxDocument is the length of the longest document read, in bytes. Of a longer
// body it suffices to hand over the first MaxDocument+1 bytes.
const MaxDocument = 256 << 10

// MaxBackoff is the longest wait from one failed fetch to the next fetch.
const MaxBackoff = 5 * time.Minute

const (
	// minLifetime is the least time from one fetch to the next, while
	// fetches succeed.
	minLifetime = time.Minute
	// slack is how long after its timeout a fetch is still believed to be
	// under way.
	slack = 5 * time.Second
	// firstBackoff is the longest wait after the first failure; it doubles
	// with every failure up to MaxBackoff.
	firstBackoff = time.Second
	// longest bounds every duration of a policy, and every step of the clock,
	// so that sums cannot overflow.
	longest = 365 * 24 * time.Hour
)

// Policy says how the keys of one location are kept. Values out of their range
// are brought into it, so that the zero value fetches rarely and keeps nothing
// beyond its freshness.
type Policy struct {
	// RefreshInterval is how long a document is fresh, at least 1 minute. An
	// answer's Cache-Control may shorten it, to no less than 1 minute.
	RefreshInterval time.Duration
	// MaxStale is how long the last good keys outlive their freshness, 0 or
	// more.
	MaxStale time.Duration
	// UnknownKidCooldown is the least time between two fetches made for an
	// unknown kid, at least 1 second.
	UnknownKidCooldown time.Duration
	// Timeout is how long one fetch may take, at least 1 second.
	Timeout time.Duration
	// Pins are the thumbprints of the only keys to use: see [Set.Pin].
	Pins []string
}

// State is where a [Source] is in its life. The zero value has no keys.
type State int

const (
	// StateEmpty means that there have been no keys yet, and none are being
	// fetched.
	StateEmpty State = iota
	// StateFetching means that the first keys are being fetched.
	StateFetching
	// StateFresh means that there are keys, and they are fresh.
	StateFresh
	// StateStale means that there are keys which should have been fetched
	// anew, and are used still.
	StateStale
	// StateExpired means that the last good keys are too old to be used.
	StateExpired
)

// String is the state's name in the design: "empty", "fetching", …
func (s State) String() string {
	switch s {
	case StateEmpty:
		return "empty"
	case StateFetching:
		return "fetching"
	case StateFresh:
		return "fresh"
	case StateStale:
		return "stale"
	case StateExpired:
		return "expired"
	}
	return "State(" + strconv.Itoa(int(s)) + ")"
}

// Result is what became of a fetch, as the metrics name it.
type Result string

const (
	// ResultOK means that the document has been taken.
	ResultOK Result = "ok"
	// ResultNoAnswer means that there was no answer: no connection, a
	// timeout, a call that the proxy refused.
	ResultNoAnswer Result = "no_answer"
	// ResultStatus means that the answer's status was not 200.
	ResultStatus Result = "status"
	// ResultEmpty means that the answer had no body.
	ResultEmpty Result = "empty"
	// ResultTooLarge means that the body was longer than [MaxDocument].
	ResultTooLarge Result = "too_large"
	// ResultNotSet means that the body was no JWK Set: see [ErrNotSet].
	ResultNotSet Result = "not_a_jwk_set"
	// ResultNoUsableKey means that no key of the set may be used, because of
	// what it is or because it is not pinned: see [ErrNoUsableKey].
	ResultNoUsableKey Result = "no_usable_key"
	// ResultDiscovery means that the discovery document was read, and does not
	// lead to keys of the issuer: see [Answer.Misdirected].
	ResultDiscovery Result = "discovery"
	// ResultLate means that the answer was not looked at, because a newer
	// fetch has begun, or a newer document has been taken.
	ResultLate Result = "late"
)

// Fetch is one fetch of a [Source].
type Fetch struct {
	// At is when it began. Its document is as old as that.
	At time.Time
	// Wanted says that it was made for an unknown kid.
	Wanted bool

	id uint64 // from 1
}

// Answer is what came of a fetch.
type Answer struct {
	// Status is the HTTP status, 0 if there was no answer.
	Status int
	// CacheControl is the value of Cache-Control (RFC 9111 §5.2); the values
	// of several such fields are joined with commas.
	CacheControl string
	// Body is the document.
	Body string
	// Misdirected, if not nil, says why the discovery document that should have
	// led to the JWK Set did not. There is then nothing else in the answer.
	Misdirected error
}

// Outcome says what an [Answer] meant.
type Outcome struct {
	// Result is the fetch's label in the metrics.
	Result Result
	// Err is nil if Result is [ResultOK], or else the reason, for the log. It
	// holds nothing of the answer but its status, and kids.
	Err error
	// Changed says that the keys are others than before.
	Changed bool
}

// Source is the life of the keys behind one location. Keys are
//
//	empty → fetching → fresh → stale → expired
//
// and a document that is taken makes them fresh again from wherever they are.
// A document is taken only if it holds at least one usable key; until then, the
// last good keys stay.
//
// A fetch is due
//
//   - at the start;
//   - before the keys cease to be fresh: when 80 % to 95 % of their lifetime has
//     passed, or earlier where a fetch may take longer than the rest, but not
//     within a minute of the document's own fetch. Their lifetime is the
//     policy's RefreshInterval or the max-age of the answer's Cache-Control,
//     whichever is shorter, but at least a minute; no-store and no-cache are a
//     max-age of 0. Where that minute leaves less time than a fetch may take,
//     they stay fresh until it must have ended;
//   - when an unknown kid has been seen: see [Source.Want];
//   - after a failure, once the back-off is over, which goes before the other
//     reasons: between half of 1 s and 1 s after the first failure, and twice
//     that for each further one, up to the RefreshInterval or 5 minutes,
//     whichever is shorter.
//
// There is one fetch in flight at a time. A fetch that is not answered within
// the policy's Timeout and 5 s more has failed. Its answer is taken if it
// comes after all, unless a newer fetch has begun.
//
// # Clocks
//
// The source counts the time that passes from one call to the next. When the
// clock is set back, that is none: what was due in a minute still is, and keys
// live no longer than they would have. When the clock is set forward, that is
// time like any other: keys may expire, and are fetched at once.
//
// A Source must not be used by several goroutines at once.
type Source struct {
	policy Policy
	jitter func() float64

	// The clock: how much time has passed since the first call. All the times
	// below are counted like this.
	started bool
	last    time.Time
	elapsed time.Duration

	// The keys; set is nil until there were some.
	set        *Set
	generation uint64
	fetched    time.Duration // when the fetch of the set began
	refresh    time.Duration // when the next fetch is due
	fresh      time.Duration // end of freshness
	stale      time.Duration // end of use

	// The last fetch.
	fetch  Fetch
	open   bool          // it has no answer yet,
	lapsed bool          // and has been given up
	begun  time.Duration // when it began

	failures int           // since the last success
	retry    time.Duration // when the back-off ends, if there are failures

	wanted bool          // an unknown kid asks for a fetch
	cooled time.Duration // when an unknown kid may ask again
}

// NewSource is a source that has no keys yet. Jitter gives random numbers from 0
// up to 1, exclusively, that spread the fetches of many proxies; nil is no
// randomness.
func NewSource(p Policy, jitter func() float64) *Source {
	p.RefreshInterval = min(max(p.RefreshInterval, minLifetime), longest)
	p.MaxStale = min(max(p.MaxStale, 0), longest)
	p.UnknownKidCooldown = min(max(p.UnknownKidCooldown, time.Second), longest)
	p.Timeout = min(max(p.Timeout, time.Second), longest)
	return &Source{policy: p, jitter: jitter}
}

// Due reports whether a fetch should begin now.
func (s *Source) Due(now time.Time) bool {
	s.observe(now)
	return s.isDue()
}

// Next is the earliest time at which Due can be true, if no unknown kid asks
// for a fetch before. It is now if Due is true.
func (s *Source) Next(now time.Time) time.Time {
	s.observe(now)
	if s.inFlight() {
		return now.Add(s.lapse() - s.elapsed)
	}
	return now.Add(max(0, s.due()-s.elapsed))
}

// Begin says that a fetch begins, whose answer is given to [Source.Finish]. The
// caller has seen that it is [Source.Due]. A fetch that is still in flight is
// given up: its answer is late.
func (s *Source) Begin(now time.Time) Fetch {
	s.observe(now)
	s.fetch = Fetch{At: now, Wanted: s.wanted, id: s.fetch.id + 1}
	s.open, s.lapsed, s.begun = true, false, s.elapsed
	if s.wanted {
		s.wanted = false
		s.cooled = s.elapsed + s.policy.UnknownKidCooldown
	}
	return s.fetch
}

// Finish takes the answer to a fetch, which is given once. Every fetch that
// began is finished, one that could not even be sent included, with the zero
// [Answer].
func (s *Source) Finish(now time.Time, f Fetch, a Answer) Outcome {
	s.observe(now)
	if !s.open || f.id != s.fetch.id {
		return Outcome{Result: ResultLate, Err: errors.New("a newer fetch has begun")}
	}
	s.open = false
	if s.overtaken() {
		return Outcome{Result: ResultLate, Err: errors.New("a newer document has been taken")}
	}
	set, result, err := s.read(a)
	if err != nil {
		if !s.lapsed { // Or else the failure has been counted.
			s.fail()
		}
		return Outcome{Result: result, Err: err}
	}
	return Outcome{Result: ResultOK, Changed: s.take(set, s.begun, a)}
}

// Document is an answer that another worker has shared.
type Document struct {
	// At is when the fetch that brought it began.
	At time.Time
	// Answer is what was given to that worker's Finish.
	Answer Answer
}

// Adopt takes a document that another worker has fetched, if it is newer than
// the source's own and not from the future, and is good: or else nothing
// changes, and the outcome says why ([ResultLate] if it is not newer). What
// Adopt returns is no fetch of this source, and not to be counted as one.
func (s *Source) Adopt(now time.Time, d Document) Outcome {
	s.observe(now)
	age := now.Sub(d.At)
	at := s.elapsed - min(age, longest)
	if age < 0 || s.set != nil && at <= s.fetched {
		return Outcome{Result: ResultLate, Err: errors.New("not newer than the document at hand")}
	}
	set, result, err := s.read(d.Answer)
	if err != nil {
		return Outcome{Result: result, Err: err}
	}
	return Outcome{Result: ResultOK, Changed: s.take(set, at, d.Answer)}
}

// Cool says that another worker began a fetch for an unknown kid at the given
// time, whatever became of it: the cool-down is everybody's. A time in the
// future says nothing.
func (s *Source) Cool(now, at time.Time) {
	s.observe(now)
	if age := now.Sub(at); age >= 0 {
		s.cooled = max(s.cooled, s.elapsed-min(age, longest)+s.policy.UnknownKidCooldown)
	}
}

// Failure is a fetch of another worker that failed.
type Failure struct {
	// Count is how many have failed in a row, at least 1.
	Count int
	// Retry is when the next fetch may begin.
	Retry time.Time
}

// Failure is the last fetch, if it failed, and when the next may begin.
func (s *Source) Failure(now time.Time) (Failure, bool) {
	s.observe(now)
	if s.failures == 0 {
		return Failure{}, false
	}
	return Failure{s.failures, now.Add(max(0, s.retry-s.elapsed))}, true
}

// Defer takes another worker's failure for its own, so that all of them
// together ask a provider that is down no more often than one would. The next
// fetch begins no earlier than the failure says, which may be now, and the
// back-off after it is that after as many failures as either has seen. A failure
// that would defer the next fetch for longer than a back-off of this source can
// be changes nothing.
func (s *Source) Defer(now time.Time, f Failure) {
	s.observe(now)
	wait := max(0, f.Retry.Sub(now))
	if f.Count < 1 || wait > s.maxBackoff() {
		return
	}
	s.failures = max(s.failures, f.Count)
	s.retry = max(s.retry, s.elapsed+wait)
}

// Keys is the keys that may be used now, nil if there are none, and the state.
// The set's Unusable says what was left out of the document.
//
// A verdict on a token that was reached with these keys may be used again
// while Keys returns a set and [Source.Generation] is the same.
func (s *Source) Keys(now time.Time) (*Set, State) {
	s.observe(now)
	switch {
	case s.set == nil && s.inFlight():
		return nil, StateFetching
	case s.set == nil:
		return nil, StateEmpty
	case s.elapsed < s.fresh:
		return s.set, StateFresh
	case s.elapsed < s.stale:
		return s.set, StateStale
	}
	return nil, StateExpired
}

// Want says that a token has come whose kid no key has, or, with an empty kid,
// that has none and that no key fits. It reports whether to wait, because keys
// may come: a fetch is in flight, or is due.
//
// To make one due, the cool-down since the last fetch that was made for this
// reason must be over, and no failure waiting for its back-off. Otherwise
// nothing is kept of the kid: it may be made up. A kid that the keys have is
// not unknown, and wants nothing.
//
// A caller whose token is still unknown after the fetch asks again: it is told
// to wait where only a fetch that had begun before has ended, and not to wait
// once the fetch made for it has ended.
func (s *Source) Want(now time.Time, kid string) bool {
	set, _ := s.Keys(now)
	if set != nil && kid != "" && set.HasKeyID(kid) {
		return false
	}
	if s.inFlight() {
		return true
	}
	if set != nil && s.failures == 0 && s.elapsed >= s.cooled {
		s.wanted = true
	}
	return s.isDue()
}

// Generation changes whenever the keys change. It is 0 until there are keys,
// and never again. It does not change when keys expire: see [Source.Keys].
func (s *Source) Generation() uint64 { return s.generation }

// Age is the age of the keys' document, 0 if there is none. It goes on counting
// when keys are expired.
func (s *Source) Age(now time.Time) time.Duration {
	s.observe(now)
	if s.set == nil {
		return 0
	}
	return s.elapsed - s.fetched
}

// RetryAfter is when it makes sense to ask again for keys that are not there, in
// whole seconds, at least one: the value of Retry-After (RFC 9110 §10.2.3).
func (s *Source) RetryAfter(now time.Time) time.Duration {
	s.observe(now)
	if s.inFlight() {
		return time.Second
	}
	wait := s.due() - s.elapsed
	return max(time.Second, (wait + time.Second - 1).Truncate(time.Second))
}

// observe lets the source's clock run until now, and gives up a fetch that has
// taken too long.
func (s *Source) observe(now time.Time) {
	if s.started {
		s.elapsed += min(max(0, now.Sub(s.last)), longest)
	}
	s.started, s.last = true, now
	if s.open && !s.lapsed && s.elapsed >= s.lapse() {
		s.lapsed = true
		if !s.overtaken() {
			s.fail()
		}
	}
}

// inFlight reports whether an answer is waited for.
func (s *Source) inFlight() bool { return s.open && !s.lapsed }

// overtaken reports whether a document has been taken that is newer than what
// the last fetch can bring.
func (s *Source) overtaken() bool { return s.set != nil && s.begun < s.fetched }

// lapse is when the last fetch is given up.
func (s *Source) lapse() time.Duration { return s.begun + s.policy.Timeout + slack }

func (s *Source) isDue() bool { return !s.inFlight() && s.elapsed >= s.due() }

// due is when the next fetch is due, while none is in flight.
func (s *Source) due() time.Duration {
	switch {
	case s.failures > 0:
		return s.retry
	case s.set == nil || s.wanted:
		return s.elapsed
	}
	return s.refresh
}

// read makes keys of an answer.
func (s *Source) read(a Answer) (*Set, Result, error) {
	switch {
	case a.Misdirected != nil:
		return nil, ResultDiscovery, a.Misdirected
	case a.Status == 0:
		return nil, ResultNoAnswer, errors.New("no answer")
	case a.Status != 200:
		return nil, ResultStatus, fmt.Errorf("status %d", a.Status)
	case a.Body == "":
		return nil, ResultEmpty, errors.New("no body")
	case len(a.Body) > MaxDocument:
		return nil, ResultTooLarge, fmt.Errorf("more than %d bytes", MaxDocument)
	}
	set, err := Parse(a.Body)
	if err != nil {
		return nil, ResultNotSet, err
	}
	set = set.Pin(s.policy.Pins)
	if len(set.Keys) == 0 {
		return nil, ResultNoUsableKey, noUsableKey(set)
	}
	return set, ResultOK, nil
}

// noUsableKey is [ErrNoUsableKey] with the first few of the reasons.
func noUsableKey(set *Set) error {
	const most = 5
	if len(set.Unusable) == 0 {
		return fmt.Errorf("%w: the set is empty", ErrNoUsableKey)
	}
	text := ""
	for i, reason := range set.Unusable {
		if i == most {
			text += "; and " + strconv.Itoa(len(set.Unusable)-most) + " more"
			break
		}
		if i > 0 {
			text += "; "
		}
		text += reason.Error()
	}
	return fmt.Errorf("%w: %s", ErrNoUsableKey, text)
}

// take makes the set, whose fetch began at the given time, the source's keys,
// and reports whether they are others than before.
func (s *Source) take(set *Set, at time.Duration, a Answer) (changed bool) {
	if changed = !set.sameKeys(s.set); changed {
		s.generation++
	}
	lifetime := s.policy.RefreshInterval
	if age, ok := maxAge(a.CacheControl); ok {
		lifetime = min(age, lifetime)
	}
	// A fetch that begins at the latest refresh ends before the freshness does.
	// The minute before it may begin makes a shorter lifetime longer.
	fetch, spread := s.policy.Timeout+slack, lifetime*15/100
	latest := min(lifetime*95/100, lifetime-fetch)
	s.set = set
	s.fetched = at
	s.refresh = at + max(minLifetime, latest-spread+s.random(spread))
	s.fresh = max(at+lifetime, s.refresh+fetch)
	s.stale = s.fresh + s.policy.MaxStale
	s.failures = 0
	s.wanted = false
	return changed
}

// maxBackoff is the longest wait after a failure.
func (s *Source) maxBackoff() time.Duration { return min(MaxBackoff, s.policy.RefreshInterval) }

// fail begins the back-off after a failure.
func (s *Source) fail() {
	limit := s.maxBackoff()
	wait := firstBackoff
	for n := 0; n < s.failures && wait < limit; n++ {
		wait *= 2
	}
	wait = min(wait, limit)
	s.failures++
	s.retry = s.elapsed + wait/2 + s.random(wait/2)
}

// random is a random duration from 0 up to d, exclusively.
func (s *Source) random(d time.Duration) time.Duration {
	if s.jitter == nil {
		return 0
	}
	if j := s.jitter(); j > 0 && j < 1 {
		return time.Duration(j * float64(d))
	}
	return 0
}
