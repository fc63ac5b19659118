package jwks

import (
	"errors"
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
	// slack is how long after its timeout a fetch is given up.
	slack = 5 * time.Second
	// leaseSlack is how much longer than a fetch a lease lasts.
	leaseSlack = time.Second
	// spacing is the least time between two fetches that tokens without a key
	// ask for, whatever their kids: 12 a minute at most.
	spacing = 5 * time.Second
	// reliance is how long a worker whose own fetch has failed leaves it to the
	// others to try again.
	reliance = time.Hour
	// firstBackoff is the longest wait after the first failure; it doubles
	// with every failure up to MaxBackoff.
	firstBackoff = time.Second
	// longest bounds every duration of a policy, and every step of the clock,
	// so that sums cannot overflow.
	longest = 365 * 24 * time.Hour
	// never is a time before all that is counted.
	never = -longest
)

// Policy says how the keys of one location are kept. Values out of their range
// are brought into it, so that the zero value fetches rarely and keeps nothing
// beyond its freshness.
type Policy struct {
	// RefreshInterval is how long a document is fresh, at least 1 minute. A
	// response's Cache-Control may shorten it, to no less than 1 minute.
	RefreshInterval time.Duration
	// MaxStale is how long the last good keys outlive their freshness, 0 or
	// more.
	MaxStale time.Duration
	// UnknownKidCooldown is the least time between two fetches for one unknown
	// kid, and between two that fail while tokens ask for keys. At least 5
	// seconds.
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
	// ResultNoAnswer means that no response came: no connection, a
	// timeout, a call that the proxy refused.
	ResultNoAnswer Result = "no_answer"
	// ResultStatus means that the provider's status was not 200.
	ResultStatus Result = "status"
	// ResultEmpty means that the response had no body.
	ResultEmpty Result = "empty"
	// ResultTooLarge means that the body was longer than [MaxDocument].
	ResultTooLarge Result = "too_large"
	// ResultNotSet means that the body was no JWK Set: see [ErrNotSet].
	ResultNotSet Result = "not_a_jwk_set"
	// ResultNoUsableKey means that no key of the set may be used, because of
	// what it is or because it is not pinned: see [ErrNoUsableKey].
	ResultNoUsableKey Result = "no_usable_key"
	// ResultDiscovery means that the discovery document was read, and does not
	// lead to keys of the issuer: see [Response.Misdirected].
	ResultDiscovery Result = "discovery"
	// ResultLate means that the response was not looked at, because a newer
	// fetch has begun, or a newer document has been taken.
	ResultLate Result = "late"
)

// Prospect is what a token without a key may hope for. The zero value is nothing.
type Prospect int

const (
	// Unknown means that the issuer has no such key: 401.
	Unknown Prospect = iota
	// Unavailable means that there is no telling, since the last fetch failed:
	// 503.
	Unavailable
	// Wait means that keys may come: a fetch is under way or about to begin.
	Wait
)

// Fetch is one fetch of a [Source].
type Fetch struct {
	// At is when it began. Its document is as old as that.
	At       time.Time
	demanded bool   // tokens asked for it whose key the keys did not hold
	id       uint64 // from 1
}

// Response is what came of a fetch.
type Response struct {
	// Status is the HTTP status, 0 if there was no response.
	Status int
	// CacheControl is the value of Cache-Control (RFC 9111 §5.2); the values
	// of several such fields are joined with commas.
	CacheControl string
	// Body is the document.
	Body string

	// ContentType, ContentEncoding and Location are the fields of these names.
	// They are for the log.
	ContentType, ContentEncoding, Location string
	// Local is the text of a response that the proxy made up, because there was
	// none. Then no response came, whatever the status.
	Local string
	// Misdirected, if not nil, says why the discovery document that should have
	// led to the JWK Set did not.
	Misdirected error
}

// Outcome says what a [Response] meant.
type Outcome struct {
	// Result is the fetch's label in the metrics.
	Result Result
	// Err is nil if Result is [ResultOK], or else the reason, for the log. It
	// holds nothing of the response but its status, its content type, where it
	// redirects, and kids.
	Err error
	// Before is the keys until now, nil if there were none.
	Before *Set
	// Record is what the other workers should know: see [Record.Merge].
	Record Record
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
//     passed, or earlier if a fetch may take longer than the rest, but not
//     within a minute of the document's own fetch. Their lifetime is the
//     policy's RefreshInterval or the max-age of the response's Cache-Control,
//     whichever is shorter, but at least a minute; no-store and no-cache are a
//     max-age of 0. If that minute leaves less time than a fetch may take,
//     they stay fresh until it must have ended;
//   - after a failure, once the back-off is over: between half of 1 s and 1 s
//     after the first failure, and twice that for each further one, up to the
//     RefreshInterval or 5 minutes, whichever is shorter;
//   - when a token asks for a key that is not there.
//
// There is one fetch in flight at a time. A fetch without a response within
// the policy's Timeout and 5 s more has failed. Its response is taken if it
// comes after all, unless a newer fetch has begun.
//
// # Tokens without a key
//
// A token whose kid no key has may be signed with a new key, or its kid may be
// made up. Nothing but a fetch tells. [Source.Want] has one made, as follows.
//
//   - Two such fetches are 5 s apart. So a new key is found within 5 s however
//     many kids are made up, and these cause 12 fetches a minute at most.
//   - A kid that a fetch was made for in vain is unknown for the policy's
//     UnknownKidCooldown. So tokens of a key that was withdrawn cause one fetch
//     in that time. A few dozen such kids are remembered.
//   - While the last fetch has failed nobody knows: such tokens are told that
//     the keys are unavailable. They shorten the back-off: the next fetch is due
//     the UnknownKidCooldown after the failed one began, at the latest. The same
//     holds for tokens that come while there are no keys at all.
//
// # Other workers
//
// The workers of a proxy tell each other what they have seen of a location in a
// [Record]: [Source.Merge], [Source.Claim], [Outcome.Record]. A document that
// another worker fetched is read like a response: [Source.Adopt].
//
// Another worker's failures defer a fetch by the length of a lease at most,
// counted from when it would have been due without them: then this worker sees
// for itself. If its own fetch has failed, too, it leaves further ones to the
// others, so that all of them together ask as often as one would. It tries again
// itself an hour later, or after the longest back-off if tokens ask for keys.
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
	demand func() // is called when a token asks for a fetch

	clock  clock
	keys   keys
	flight flight
	// What is known of earlier fetches: of this source's own, and of those of
	// all workers.
	own, known history
	misses     misses

	wants   bool          // tokens ask for a fetch that has not begun
	asked   time.Duration // when the first of them did
	refused refusal
}

// keys are the keys of a location and their times. The set is nil until there
// are some.
type keys struct {
	set        *Set
	generation uint64
	fetched    time.Duration // when the fetch of the set began
	refresh    time.Duration // when the next fetch is due
	fresh      time.Duration // end of freshness
	stale      time.Duration // end of use
}

// refusal is for how long the lease has been refused, as often as it was asked
// for. A worker that asks rarely counts no more than a part of the time between.
type refusal struct {
	refused bool
	last    time.Duration
	total   time.Duration
}

func (r *refusal) again(now time.Duration) {
	const most = 2 * time.Second
	if r.refused {
		r.total += min(now-r.last, most)
	}
	r.refused, r.last = true, now
}

// flight is the last fetch.
type flight struct {
	Fetch
	open   bool          // it has no response yet,
	lapsed bool          // and has been given up
	begun  time.Duration // when it began
}

// history is what earlier fetches have shown.
type history struct {
	failures int           // since the last success
	failed   time.Duration // when the last of them began
	retry    time.Duration // when the back-off ends
	demanded time.Duration // when the last fetch began that tokens asked for
}

// NewSource is a source that has no keys yet. Jitter gives random numbers from 0
// up to 1, exclusively, that spread the fetches of many proxies; nil is no
// randomness.
func NewSource(p Policy, jitter func() float64) *Source {
	p.RefreshInterval = min(max(p.RefreshInterval, minLifetime), longest)
	p.MaxStale = min(max(p.MaxStale, 0), longest)
	p.UnknownKidCooldown = min(max(p.UnknownKidCooldown, spacing), longest)
	p.Timeout = min(max(p.Timeout, time.Second), longest)
	nothing := history{demanded: never}
	return &Source{policy: p, jitter: jitter, own: nothing, known: nothing}
}

// OnDemand has the function called when tokens begin to ask for a fetch, which
// may then be due earlier than [Source.Next] was.
func (s *Source) OnDemand(f func()) { s.demand = f }

// Due reports whether a fetch should begin now.
func (s *Source) Due(now time.Time) bool {
	s.observe(now)
	return s.isDue()
}

// Next is the earliest time at which Due can be true, if no token asks for a
// fetch before. It is now if Due is true.
func (s *Source) Next(now time.Time) time.Time {
	s.observe(now)
	if s.inFlight() {
		return now.Add(s.lapse() - s.clock.elapsed)
	}
	return now.Add(max(0, s.due()-s.clock.elapsed))
}

// InFlight reports whether the response to a fetch is waited for.
func (s *Source) InFlight(now time.Time) bool {
	s.observe(now)
	return s.inFlight()
}

// Begin says that a fetch begins, whose response is given to [Source.Finish].
// The caller has seen that it is [Source.Due]. A fetch that is still in flight
// is given up: its response is late.
func (s *Source) Begin(now time.Time) Fetch {
	s.observe(now)
	elapsed := s.clock.elapsed
	s.flight = flight{Fetch: Fetch{At: now, demanded: s.demanded(), id: s.flight.id + 1}, open: true, begun: elapsed}
	if s.demanded() {
		s.own.demanded, s.known.demanded = elapsed, elapsed
	}
	s.wants = false
	s.refused = refusal{}
	return s.flight.Fetch
}

// Finish takes the response to a fetch, which is given once. Every fetch that
// began is finished, one that could not even be sent included, with the zero
// [Response].
func (s *Source) Finish(now time.Time, f Fetch, r Response) Outcome {
	s.observe(now)
	if !s.flight.open || f.id != s.flight.id {
		return Outcome{Result: ResultLate, Err: errors.New("a newer fetch has begun")}
	}
	s.flight.open = false
	if s.overtaken() {
		return Outcome{Result: ResultLate, Err: errors.New("a newer document has been taken")}
	}
	out := Outcome{Before: s.keys.set}
	if f.demanded {
		out.Record.Demanded = f.At.UnixNano()
	}
	set, result, err := s.read(r)
	if out.Result = result; err != nil {
		if !s.flight.lapsed { // Or else the failure has been counted.
			s.fail()
		}
		out.Err = err
		out.Record.Failed, out.Record.Failures = f.At.UnixNano(), uint32(s.known.failures)
		out.Record.Retry = s.clock.wall(now, s.known.retry)
		return out
	}
	s.misses.fetched(f.id, s.flight.begun)
	s.take(set, s.flight.begun, r)
	out.Record.Document = f.At.UnixNano()
	return out
}

// Adopt takes a document that another worker has fetched, if it is newer than
// the source's own and not from the future, and is good: or else nothing
// changes, and the outcome says why ([ResultLate] if it is not newer). What
// Adopt returns is no fetch of this source, and not to be counted as one.
func (s *Source) Adopt(now time.Time, d Document) Outcome {
	s.observe(now)
	at := s.clock.at(now, d.At)
	if at > s.clock.elapsed || s.keys.set != nil && at <= s.keys.fetched {
		return Outcome{Result: ResultLate, Err: errors.New("not newer than the document at hand")}
	}
	set, result, err := s.read(d.Response)
	if err != nil {
		return Outcome{Result: result, Err: err}
	}
	s.misses.adopted(at)
	for _, m := range d.Missed {
		if missed := s.clock.at(now, time.Unix(0, m.At)); missed <= s.clock.elapsed {
			s.misses.learn(m.Kid, missed)
		}
	}
	before := s.keys.set
	s.take(set, at, d.Response)
	return Outcome{Result: ResultOK, Before: before}
}

// Share is the document of the last response, for the other workers, with the
// kids that it was fetched for in vain.
func (s *Source) Share(now time.Time, f Fetch, r Response) Document {
	s.observe(now)
	d := Document{At: f.At, Response: Response{Status: r.Status, CacheControl: r.CacheControl, Body: r.Body}}
	for _, m := range s.misses {
		if m.vain && s.clock.elapsed < m.at+s.policy.UnknownKidCooldown {
			d.Missed = append(d.Missed, Miss{Kid: m.kid, At: s.clock.wall(now, m.at)})
		}
	}
	return d
}

// Merge takes over what other workers have seen: failures newer than the keys,
// and fetches that tokens asked for. It reports whether there are failures that
// this source did not know of, and whether there is a newer document to adopt.
func (s *Source) Merge(now time.Time, r Record) (failed, newer bool) {
	s.observe(now)
	r = r.valid(now)
	elapsed := s.clock.elapsed
	at := func(t int64) time.Duration { return s.clock.at(now, time.Unix(0, t)) }
	if r.Demanded != 0 {
		s.known.demanded = max(s.known.demanded, at(r.Demanded))
	}
	before := s.known
	wait := max(0, time.Unix(0, r.Retry).Sub(now))
	if r.Failures > 0 && wait <= s.maxBackoff() && (s.keys.set == nil || at(r.Failed) > s.keys.fetched) {
		s.known.failures = max(before.failures, int(r.Failures))
		s.known.failed = max(before.failed, at(r.Failed))
		s.known.retry = max(before.retry, elapsed+wait)
		failed = s.known != before
	}
	if !s.isDue() {
		s.refused = refusal{}
	}
	newer = r.Document != 0 && (s.keys.set == nil || at(r.Document) > s.keys.fetched)
	return failed, newer
}

// Claim is the record with the lease in a worker's hands. It reports false if
// no fetch is due, or another worker has the lease. The record has been merged.
func (s *Source) Claim(now time.Time, r Record, worker uint64, waiting bool) (Record, bool) {
	s.observe(now)
	if !s.isDue() {
		return r, false
	}
	refused := s.refused
	refused.again(s.clock.elapsed)
	lease, ok := r.Lease.acquire(claimant{worker, waiting, refused.total}, now, s.lease())
	if !ok {
		s.refused = refused
		return r, false
	}
	r.Lease = lease
	if s.demanded() {
		r.Demanded = now.UnixNano()
	}
	return r, true
}

// Keys is the keys that may be used now, nil if there are none, and the state.
// The set's Unusable says what was left out of the document.
//
// A verdict on a token that was reached with these keys may be used again
// while Keys returns a set and [Source.Generation] is the same.
func (s *Source) Keys(now time.Time) (*Set, State) {
	s.observe(now)
	switch {
	case s.keys.set == nil && s.inFlight():
		return nil, StateFetching
	case s.keys.set == nil:
		return nil, StateEmpty
	case s.clock.elapsed < s.keys.fresh:
		return s.keys.set, StateFresh
	case s.clock.elapsed < s.keys.stale:
		return s.keys.set, StateStale
	}
	return nil, StateExpired
}

// Want says that a token has come whose kid no key has, or, with an empty kid,
// that has none and that no key fits. It returns what becomes of the token now,
// and has the keys fetched as the type's comment says. A kid that the keys have
// is not unknown, and wants nothing.
//
// A caller that was told to wait asks again when a fetch has ended. It is told
// to go on waiting if only a fetch that had begun before has ended.
func (s *Source) Want(now time.Time, kid string) Prospect {
	set, _ := s.Keys(now)
	if set != nil && kid != "" && set.HasKeyID(kid) {
		return Unknown
	}
	if s.inFlight() {
		return Wait
	}
	missed := s.misses.ask(kid, s.clock.elapsed, s.policy.UnknownKidCooldown, s.flight.id) && set != nil
	if !missed && !s.wants {
		s.wants, s.asked = true, s.clock.elapsed
		if s.demand != nil {
			s.demand()
		}
	}
	switch {
	case missed && s.known.failures == 0:
		return Unknown
	case s.known.failures > 0 && !s.isDue():
		return Unavailable
	}
	return Wait
}

// Generation changes whenever the keys change. It is 0 until there are keys,
// and never again. It does not change when keys expire: see [Source.Keys].
func (s *Source) Generation() uint64 { return s.keys.generation }

// Age is the age of the keys' document, 0 if there is none. It goes on counting
// when keys are expired.
func (s *Source) Age(now time.Time) time.Duration {
	s.observe(now)
	if s.keys.set == nil {
		return 0
	}
	return s.clock.elapsed - s.keys.fetched
}

// RetryAfter is when it makes sense to ask again for keys that are not there, in
// whole seconds, at least one: the value of Retry-After (RFC 9110 §10.2.3).
func (s *Source) RetryAfter(now time.Time) time.Duration {
	s.observe(now)
	if s.inFlight() {
		return time.Second
	}
	wait := s.due() - s.clock.elapsed
	return max(time.Second, (wait + time.Second - 1).Truncate(time.Second))
}

// observe lets the source's clock run until now, and gives up a fetch that has
// taken too long.
func (s *Source) observe(now time.Time) {
	s.clock.observe(now)
	if s.inFlight() && s.clock.elapsed >= s.lapse() {
		s.flight.lapsed = true
		if !s.overtaken() {
			s.fail()
		}
	}
}

// demanded reports whether tokens ask for a fetch that the keys do not hold a key
// for. The first fetch, which all tokens ask for, is none of these.
func (s *Source) demanded() bool { return s.wants && s.keys.set != nil }

// inFlight reports whether a response is waited for.
func (s *Source) inFlight() bool { return s.flight.open && !s.flight.lapsed }

// overtaken reports whether a document has been taken that is newer than what
// the last fetch can bring.
func (s *Source) overtaken() bool { return s.keys.set != nil && s.flight.begun < s.keys.fetched }

// lapse is when the last fetch is given up.
func (s *Source) lapse() time.Duration { return s.flight.begun + s.policy.Timeout + slack }

// lease is how long a lease lasts.
func (s *Source) lease() time.Duration { return s.policy.Timeout + leaseSlack }

func (s *Source) isDue() bool { return !s.inFlight() && s.clock.elapsed >= s.due() }

// due is when the next fetch is due, while none is in flight. What only other
// workers have seen defers it no further than the type's comment says.
func (s *Source) due() time.Duration {
	latest := s.dueAfter(s.own)
	switch {
	case s.own.failures > 0 && s.wants:
		latest = max(latest, s.own.failed+s.maxBackoff())
	case s.own.failures > 0:
		latest = max(latest, s.own.failed+reliance)
	case s.wants && s.known.failures == 0: // their demands count for the spacing
		latest = max(latest, s.asked+spacing) + s.lease()
	case s.wants:
		latest = max(latest, s.asked) + s.lease()
	default:
		latest += s.lease()
	}
	return min(s.dueAfter(s.known), latest)
}

// dueAfter is when the next fetch is due after what has been seen.
func (s *Source) dueAfter(h history) time.Duration {
	due := s.keys.refresh // at once if there are no keys
	if h.failures > 0 {
		due = h.retry
	}
	switch {
	case !s.wants:
		return due
	case h.failures > 0:
		return min(due, h.failed+s.policy.UnknownKidCooldown)
	}
	return min(due, h.demanded+spacing)
}

// read makes keys of a response.
func (s *Source) read(r Response) (*Set, Result, error) {
	set, result, err := r.Set()
	if err != nil {
		return nil, result, err
	}
	set = set.Pin(s.policy.Pins)
	if len(set.Keys) == 0 {
		return nil, ResultNoUsableKey, noUsableKey(set)
	}
	return set, ResultOK, nil
}

// take makes the set, whose fetch began at the given time, the source's keys.
func (s *Source) take(set *Set, at time.Duration, r Response) {
	k := &s.keys
	if !set.sameKeys(k.set) {
		k.generation++
	}
	lifetime := s.policy.RefreshInterval
	if age, ok := maxAge(r.CacheControl); ok {
		lifetime = min(age, lifetime)
	}
	// A fetch that begins at the latest refresh ends before the freshness does.
	// The minute before it may begin makes a shorter lifetime longer.
	fetch, spread := s.policy.Timeout+slack, lifetime*15/100
	latest := min(lifetime*95/100, lifetime-fetch)
	k.set = set
	k.fetched = at
	k.refresh = at + max(minLifetime, latest-spread+s.random(spread))
	k.fresh = max(at+lifetime, k.refresh+fetch)
	k.stale = k.fresh + s.policy.MaxStale
	s.own.failures, s.known.failures = 0, 0
	s.asked, s.wants = s.misses.pending()
	s.refused = refusal{}
}

// maxBackoff is the longest wait after a failure.
func (s *Source) maxBackoff() time.Duration { return min(MaxBackoff, s.policy.RefreshInterval) }

// fail begins the back-off after a failure.
func (s *Source) fail() {
	limit := s.maxBackoff()
	wait := firstBackoff
	for n := 0; n < s.known.failures && wait < limit; n++ {
		wait *= 2
	}
	wait = min(wait, limit)
	s.known.failures++
	s.known.failed = s.flight.begun
	s.known.retry = s.clock.elapsed + wait/2 + s.random(wait/2)
	demanded := s.own.demanded
	s.own = s.known
	s.own.demanded = demanded
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
