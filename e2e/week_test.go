package e2e_test

import (
	"cmp"
	"crypto/rsa"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"orgate/e2e"
	"orgate/e2e/idp"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
)

// TestWeek plays seven days of eight workers that share data and four identity
// providers whose faults are scripted, through the built plugin, and holds every
// verdict and every fetch against a model that shares no code with the plugin.
//
// # The model
//
// Of each location the model knows the documents that were answered and were
// good, because it wrote the answers: the fetch of a document began at one moment,
// it was answered at another, and it holds certain keys. It follows what each
// worker may have:
//
//   - the worker that fetched a document has it as soon as it is answered;
//   - the others may have it from their next tick on, and must have it from their
//     first tick that comes a second or more after the answer;
//   - a worker whose clock has been set, or goes wrong, may have any of the
//     documents of that time, until one comes that was fetched by a worker with
//     the same clock afterwards.
//
// A document is used until its lifetime (refreshInterval or max-age) and maxStale
// have passed, by the worker's clock, give or take what the policy leaves open.
// What a worker has decides: a token's kid is in the document with the key that
// signed it (200), or with another (401 bad_signature), or it is not (401
// unknown_key, or 503 while the last fetch has failed); no document that may be
// used is 503. A request that asks for an unknown kid may wait, and is judged by
// what its worker has when the wait ends. If keyWait is over it may be 503. So a
// rotation leaves exactly the time between two fetches, and from worker to worker
// the time between two ticks, in which either verdict is right.
//
// That documents are fetched at all is checked apart: while a provider has been
// well for as long as the refreshInterval and the longest back-off together,
// there is a document that young, and a published key is unknown to nobody except
// within the cool-down after it was fetched for in vain.
//
// # The bound on fetches
//
// Each fetch must have a reason in the policy, for all workers together: it is
// the first; 80 % of the newest document's lifetime, and a minute, are over; the
// back-off after the last failure is over (at least half of 1, 2, 4, … s, up to
// the refreshInterval or 5 minutes); a kid was asked for that was not fetched for
// in vain within the cool-down, and the last such fetch began 5 s ago, or, after a
// failure, as long as the cool-down; the fetch under way takes more than a second,
// requests wait, and nobody has taken its lease over yet; or it has taken as long
// as a lease lasts. After a failure of another worker, a worker may also see for
// itself: when its fetch has been due for as long as a lease, and then once an
// hour, or in the longest back-off if it is asked. Workers whose clocks disagree cannot share: their fetches
// without such a reason are counted, and may be no more than what they would make
// by themselves. No worker has more fetches under way than limits.fetches.
//
// # The bound on verifying
//
// The proxy verifies, and counts. Waiting requests are judged in the callback that
// brings keys and in ticks, for a budget of eight verifications each.
func TestWeek(t *testing.T) {
	w := newWeek(t)
	script := w.script()
	for _, e := range script {
		for w.truth < e.at {
			w.step(min(w.pace(), e.at-w.truth))
		}
		w.events[e.name]++
		w.restless = 7
		e.do()
	}
	faults := 0
	for _, name := range slices.Sorted(maps.Keys(w.events)) {
		if !slices.Contains([]string{"well again", "and is right again", "removal of the old key", "the end"}, name) {
			faults += w.events[name]
		}
		t.Logf("%4d × %s", w.events[name], name)
	}
	t.Logf("%d verdicts: %v", w.judgements, w.verdicts)
	for _, p := range w.places {
		t.Logf("%s: %d fetches, %d documents; reasons %v; at most %d", p.name, p.fetches, p.documents, p.reasons,
			p.most(w))
		if p.fetches > p.most(w) {
			t.Errorf("%s: %d fetches, at most %d", p.name, p.fetches, p.most(w))
		}
		if p.extra > w.jumps*16 {
			t.Errorf("%s: %d fetches by workers with wrong clocks, %d jumps", p.name, p.extra, w.jumps)
		}
	}
	most := 0.0 // verifications in one callback
	for _, m := range w.workers {
		most = max(most, m.meter.most)
	}
	// A budget is spent once it is used up, by a token that may fit several keys.
	if t.Logf("at most %v verifications in one callback", most); most < 8 || most > 8+3 {
		t.Errorf("at most %v verifications in one callback, want 8 to 11", most)
	}
	if faults < 100 {
		t.Errorf("%d faults, want a hundred", faults)
	}
	for _, v := range []string{"200 ok", "401 unknown_key", "401 bad_signature", "401 expired",
		"503 keys_unavailable"} {
		if w.verdicts[v] < 100 {
			t.Errorf("%d times %s: the week is too quiet", w.verdicts[v], v)
		}
	}
}

const (
	aWeek   = 7 * 24 * time.Hour
	keyWait = 5 * time.Second
	timeout = 5 * time.Second
	// within is what a second may turn out to be.
	within = 50 * time.Millisecond
	// spacing is between two fetches for unknown kids.
	spacing = 5 * time.Second
	// most is limits.fetches.
	most = 2
	// longestBackoff is how long a provider may be well before it is asked.
	longestBackoff = 5 * time.Minute
)

// week is the world of TestWeek.
type week struct {
	t        *testing.T
	random   *rand.Rand
	shared   *host.SharedData
	plugin   *host.Plugin
	config   string
	stranger *scenario.Signer
	places   []*place
	workers  []*member

	truth    time.Duration // the time that has passed
	pending  []*coming
	restless int // small steps left
	jumps    int
	jumped   []jump

	events     map[string]int
	verdicts   map[string]int
	judgements int
}

// jump is a clock that was set.
type jump struct {
	at, by time.Duration
}

// place is an identity provider, and its issuer.
type place struct {
	name                        string
	refresh, maxStale, cooldown time.Duration
	wellKnown, pinned           bool
	certificate                 *scenario.Signer
	ring                        []*scenario.Signer // its keys, one after the other

	tokens []*probeToken

	// What the provider does.
	signing   int            // the key in use
	published []int          // the keys that it publishes
	since     []publishing   // for each key, since when it has been so
	fault     string         // "" is none
	wellSince time.Duration  // since when there has been none
	docs      []*servedDoc   // the good ones, as they were answered
	flying    []*underway    // fetches under way
	reasons   map[string]int // why there were fetches

	fetches, extra int
	documents      int
	newest         *servedDoc
	failures       int           // since the last good document
	failed         time.Duration // when the last one was
	failedBegun    time.Duration // and when its fetch began
	failing        bool          // the last fetch failed, whoever made it
	wanted         time.Duration // when the last fetch for an unknown kid began
	vain           kids          // when fetches for kids began that did not bring them
	lost           time.Duration // when the last fetch began whose answer was
	outages        int
}

type publishing struct {
	published bool
	at        time.Duration
}

// servedDoc is a good document.
type servedDoc struct {
	keys            map[string]*rsa.PrivateKey
	begun, answered time.Duration
	lifetime        time.Duration
	offset          time.Duration // of the clock of the worker that fetched it
	maxAge          string
}

// of is when the document was fetched, the least duration if there is none.
func (d *servedDoc) of() time.Duration {
	if d == nil {
		return math.MinInt64
	}
	return d.begun
}

// underway is a fetch under way.
type underway struct {
	member *member
	place  *place
	begun  time.Duration
	over   bool // it has taken another's lease over
}

// coming is the answer to a callout.
type coming struct {
	at    time.Duration
	fetch *underway
	do    func()
}

// member is a worker.
type member struct {
	*e2e.Worker
	number int
	offset time.Duration // of its clock
	jumped time.Duration // when that was set
	born   time.Duration
	holds  map[*place][]*servedDoc // the documents that it may have; nil is none
	flying map[*place]*underway
	failed map[*place]time.Duration // when its own last fetch failed, since there was a good one
	asked  map[*place]kids          // that it has been asked for and nothing was fetched for
	vain   map[*place]kids          // that it was asked for, and a fetch did not bring
	waits  []*pendingRequest
	meter  meter
}

// kids are kids with a time each.
type kids map[string]time.Duration

// since is the first of the times.
func (k kids) since() (first time.Duration, ok bool) {
	for _, at := range k {
		if !ok || at < first {
			first, ok = at, true
		}
	}
	return first, ok
}

// probeToken is a token that requests are made with.
type probeToken struct {
	kind   string
	kid    string
	key    *rsa.PrivateKey
	text   string
	always string // the verdict, whatever the keys
}

type pendingRequest struct {
	stream *host.Stream
	place  *place
	token  *probeToken
	at     time.Duration
}

func newWeek(t *testing.T) *week {
	w := &week{
		t:        t,
		random:   rand.New(rand.NewPCG(7, 24)),
		shared:   host.NewSharedData(),
		plugin:   hosttest.Plugin(t),
		stranger: &scenario.Signer{KeyID: "stranger"},
		events:   map[string]int{},
		verdicts: map[string]int{},
		places: []*place{
			{name: "plain", refresh: 10 * time.Minute, maxStale: 24 * time.Hour, cooldown: 30 * time.Second},
			{name: "found", refresh: 5 * time.Minute, maxStale: 2 * time.Hour, cooldown: time.Minute, wellKnown: true},
			{name: "pinned", refresh: 30 * time.Minute, maxStale: 6 * time.Hour, cooldown: 45 * time.Second,
				pinned: true},
			{name: "certified", refresh: 3 * time.Minute, maxStale: 30 * time.Minute, cooldown: 10 * time.Second,
				certificate: &scenario.Signer{KeyID: "cert"}},
		},
	}
	w.generate()
	w.config = w.configuration()
	for _, p := range w.places {
		p.published, p.since = []int{0}, make([]publishing, len(p.ring))
		p.since[0].published = true
		p.reasons = map[string]int{}
		p.wanted, p.lost = -aWeek, -aWeek
		p.vain = kids{}
		w.mint(p)
	}
	for i := range 8 {
		m := &member{number: i}
		w.workers = append(w.workers, m)
		w.start(m)
	}
	t.Cleanup(func() {
		for _, m := range w.workers {
			m.VM.Close()
		}
	})
	return w
}

// generate makes all keys at once.
func (w *week) generate() {
	signers := []*scenario.Signer{w.stranger}
	for _, p := range w.places {
		for i := range 3 {
			p.ring = append(p.ring, &scenario.Signer{KeyID: fmt.Sprint(p.name, "-", i)})
		}
		signers = append(signers, p.ring...)
		if p.certificate != nil {
			signers = append(signers, p.certificate)
		}
	}
	var group sync.WaitGroup
	for _, s := range signers {
		group.Go(func() { s.Key = idp.GenerateKey() })
	}
	group.Wait()
}

func (w *week) configuration() string {
	var issuers, rules []string
	for _, p := range w.places {
		location := fmt.Sprintf(`"url": "https://%s.example/keys"`, p.name)
		if p.wellKnown {
			location = fmt.Sprintf(`"wellKnown": "https://%s.example/.well-known/openid-configuration"`, p.name)
		}
		if p.pinned {
			var pins []string
			for _, s := range p.ring {
				pins = append(pins, `"`+s.Thumbprint()+`"`)
			}
			location += `, "pins": [` + strings.Join(pins, ",") + `]`
		}
		certificate := ""
		if p.certificate != nil {
			certificate = fmt.Sprintf(`, "certificate": {"certificateInline": %q}`, p.certificate.Certificate())
		}
		issuers = append(issuers, fmt.Sprintf(`{"name": %[1]q, "issuer": "https://%[1]s.example/", "organization": %[1]q,
			"signatureValidation": {"jwks": {%[2]s, "cluster": %[1]q,
			"refreshInterval": "%[3]v", "maxStale": "%[4]v", "unknownKidCooldown": "%[5]v"}%[6]s}}`,
			p.name, location, p.refresh, p.maxStale, p.cooldown, certificate))
		rules = append(rules, fmt.Sprintf(`{"match": {"pathPrefix": "/%[1]s"}, "organization": %[1]q}`, p.name))
	}
	return fmt.Sprintf(`{"issuers": [%s], "rules": [%s], "organization": "none", "limits": {"fetches": %d},
		"signatureVerification": "host"}`,
		strings.Join(issuers, ",\n"), strings.Join(rules, ",\n"), most)
}

// mint makes the tokens that requests to a place are made with. Their times are
// good however the clocks jump.
func (w *week) mint(p *place) {
	const month = 30 * 24 * 3600
	now := scenario.Now.Unix()
	add := func(kind, kid string, key *rsa.PrivateKey, expires int64, always string) {
		signer := &scenario.Signer{KeyID: kid, Key: key}
		claims := scenario.Claims{"iss": "https://" + p.name + ".example/", "org_id": nil, "iat": now - 2*month,
			"exp": expires, "jti": fmt.Sprint(len(p.tokens))}
		p.tokens = append(p.tokens, &probeToken{kind, kid, key, signer.Token(claims), always})
	}
	for _, s := range p.ring {
		for range 3 {
			add("signed", s.KeyID, s.Key, now+month, "")
		}
		add("forged", s.KeyID, w.stranger.Key, now+month, "")
		add("expired", s.KeyID, s.Key, now-month, "401 expired")
		// Other issuers' keys, of which the same provider may publish one.
		for _, other := range w.places {
			if other != p {
				add("foreign", s.KeyID, other.ring[0].Key, now+month, "")
			}
		}
	}
	for i := range 6 {
		add("made up", fmt.Sprint("made-up-", i), w.stranger.Key, now+month, "")
	}
	if p.certificate != nil {
		for range 2 {
			add("certificate", "cert", p.certificate.Key, now+month, "200 ok")
		}
	}
}

// start starts a worker, or a new VM in its place.
func (w *week) start(m *member) {
	w.t.Helper()
	var err error
	m.Worker, err = e2e.NewWorker(w.plugin, w.config, func(c *host.Config) {
		c.Shared = w.shared
		c.Clusters = nil
		for _, p := range w.places {
			c.Clusters = append(c.Clusters, p.name)
		}
		c.Clock = func() time.Time { return scenario.Now.Add(w.truth + m.offset) }
		m.meter.function(func() float64 { return 1 })(c)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	m.born = w.truth
	m.holds, m.flying = map[*place][]*servedDoc{}, map[*place]*underway{}
	m.failed, m.asked, m.vain = map[*place]time.Duration{}, map[*place]kids{}, map[*place]kids{}
	for _, p := range w.places {
		m.asked[p], m.vain[p] = kids{}, kids{}
		m.holds[p] = []*servedDoc{nil}
	}
	w.learn(m)
}

// pace is how far to go before the next tick and the next requests.
func (w *week) pace() time.Duration {
	if w.restless > 0 {
		w.restless--
		if w.restless > 3 {
			return time.Second
		}
		return 10 * time.Second
	}
	return 5 * time.Minute
}

// step lets time pass, and sends requests at its end.
func (w *week) step(d time.Duration) {
	for end := w.truth + d; w.truth < end; {
		next := end
		for _, c := range w.pending { // and a tick soon after it
			next = min(next, max(c.at, w.truth)+time.Second)
		}
		if w.waiting() {
			next = min(next, w.truth+500*time.Millisecond)
		}
		w.deliver(next)
		w.truth = next
		for _, i := range w.random.Perm(len(w.workers)) {
			w.tick(w.workers[i])
		}
	}
	for range 1 + w.random.IntN(2) {
		p := w.places[w.random.IntN(len(w.places))]
		w.request(w.workers[w.random.IntN(len(w.workers))], p, p.tokens[w.random.IntN(len(p.tokens))])
	}
	if w.random.IntN(4) == 0 { // one that should pass
		p := w.places[w.random.IntN(len(w.places))]
		w.request(w.workers[w.random.IntN(len(w.workers))], p, p.tokens[0])
	}
	for _, p := range w.places {
		w.checkFresh(p)
	}
}

func (w *week) waiting() bool {
	return slices.ContainsFunc(w.workers, func(m *member) bool { return len(m.waits) > 0 })
}

// deliver brings the answers that arrive until then, in order.
func (w *week) deliver(until time.Duration) {
	for len(w.pending) > 0 {
		next := slices.MinFunc(w.pending, func(a, b *coming) int { return cmp.Compare(a.at, b.at) })
		if next.at > until {
			return
		}
		w.pending = slices.DeleteFunc(w.pending, func(c *coming) bool { return c == next })
		w.truth = max(w.truth, next.at)
		m := next.fetch.member
		m.meter.callback(next.do)
		w.collect(m)
		w.settle(m)
	}
}

func (w *week) tick(m *member) {
	m.meter.callback(m.Tick)
	w.learn(m)
	w.collect(m)
	w.settle(m)
}

// learn follows what a worker may have learned in a tick.
func (w *week) learn(m *member) {
	for _, p := range w.places {
		holds := m.holds[p]
		sure := func(d *servedDoc) bool { return d != nil && w.agree(m, d) && w.truth-d.answered >= time.Second }
		for _, d := range p.docs {
			if slices.ContainsFunc(holds, func(h *servedDoc) bool { return sure(h) && h.begun > d.begun }) {
				continue // older than what it has
			}
			if d.begun+time.Second < m.jumped-p.recovery() && d != p.newest || slices.Contains(holds, d) {
				continue
			}
			holds = append(holds, d)
		}
		// What is certain is so because all the others are older.
		for _, d := range slices.Clone(holds) {
			if sure(d) {
				holds = slices.DeleteFunc(holds, func(h *servedDoc) bool {
					return h == nil || h.begun < d.begun
				})
			}
		}
		m.holds[p] = holds
		// No document of long ago comes back.
		if len(p.docs) > 40 {
			p.docs = p.docs[len(p.docs)-40:]
		}
	}
}

// agree reports whether a worker is sure to understand when a document was
// fetched.
func (w *week) agree(m *member, d *servedDoc) bool {
	return d.offset == m.offset && m.jumped < d.begun
}

// took follows a good answer to a worker's own fetch.
func (w *week) took(m *member, p *place, d *servedDoc) {
	newer := func(h *servedDoc) bool { return h != nil && h.begun > d.begun }
	if slices.ContainsFunc(m.holds[p], newer) {
		m.holds[p] = append(m.holds[p], d)
		return
	}
	m.holds[p] = []*servedDoc{d}
}

// collect takes the callouts that a worker has made, and has them answered.
func (w *week) collect(m *member) {
	for {
		callouts := m.VM.TakeCallouts()
		if len(callouts) == 0 {
			return
		}
		for _, c := range callouts {
			p := w.place(c.Cluster)
			path, _ := c.Headers.Get(":path")
			f := m.flying[p]
			if path != "/keys" || !p.wellKnown {
				f = w.begin(m, p)
			}
			w.answer(f, c, path == "/keys")
		}
	}
}

func (w *week) place(name string) *place {
	for _, p := range w.places {
		if p.name == name {
			return p
		}
	}
	w.t.Fatalf("a callout to %s", name)
	return nil
}

// answer has a callout answered as the provider answers now.
func (w *week) answer(f *underway, c *host.Callout, keys bool) {
	p := f.place
	in := func(d time.Duration, do func()) {
		w.pending = append(w.pending, &coming{w.truth + d, f, do})
	}
	const quick = 30 * time.Millisecond
	respond := func(status string, headers host.Headers, body string) error {
		return c.Respond(append(host.Headers{{":status", status}}, headers...), []byte(body), nil)
	}
	fail := func(d time.Duration, answer func() error) {
		in(d, func() {
			w.failed(f)
			if err := answer(); err != nil && err != host.ErrClosed {
				w.t.Fatal(err)
			}
		})
	}
	good := func(d time.Duration, doc string) {
		if !keys {
			in(d, func() {
				if err := respond("200", nil, doc); err != nil && err != host.ErrClosed {
					w.t.Fatal(err)
				}
			})
			return
		}
		w.serve(in, f, d, p.own(), "", respond)
	}
	doc := scenario.JWKS(p.signers()...)
	if !keys {
		doc = fmt.Sprintf(`{"issuer":"https://%[1]s.example/","jwks_uri":"https://%[1]s.example/keys"}`, p.name)
	}
	switch p.fault {
	case "":
		maxAge := ""
		if w.random.IntN(5) == 0 {
			maxAge = []string{"90", "3600", "0"}[w.random.IntN(3)]
		}
		if keys && maxAge != "" {
			w.serve(in, f, quick, p.own(), maxAge, respond)
			return
		}
		good(quick, doc)
	case "slow":
		good(time.Duration(500+w.random.IntN(4000))*time.Millisecond, doc)
	case "no connection":
		fail(quick, func() error { return c.FailStatus(503) })
	case "broken connection":
		fail(quick, c.Fail)
	case "hangs":
		fail(c.Timeout, func() error { return c.FailStatus(504) })
	case "lost":
		p.lost = w.truth
		in(time.Minute, func() { w.ended(f) }) // for the model's books only
	case "error":
		fail(quick, func() error { return respond("500", nil, doc) })
	case "not found":
		fail(quick, func() error { return respond("404", nil, "x") })
	case "redirect":
		fail(quick, func() error { return respond("302", host.Headers{{"location", "https://evil.example/"}}, doc) })
	case "empty":
		fail(quick, func() error { return respond("200", nil, "") })
	case "truncated":
		fail(quick, func() error { return respond("200", nil, doc[:len(doc)/2]) })
	case "huge":
		fail(quick, func() error { return respond("200", nil, doc+strings.Repeat(" ", 600<<10)) })
	case "page":
		fail(quick, func() error { return respond("200", nil, "<html>maintenance</html>") })
	case "no keys":
		fail(quick, func() error { return respond("200", nil, `{"keys":[],"issuer":"https://`+p.name+`.example/"}`) })
	case "unusable keys":
		fail(quick, func() error {
			return respond("200", nil, strings.ReplaceAll(scenario.JWKS(p.signers()...), `"use":"sig"`, `"use":"enc"`))
		})
	case "other issuer's document":
		if !keys {
			fail(quick, func() error {
				return respond("200", nil,
					fmt.Sprintf(`{"issuer":"https://evil.example/","jwks_uri":"https://%s.example/keys"}`, p.name))
			})
			return
		}
		good(quick, doc)
	case "other origin":
		if !keys {
			fail(quick, func() error {
				return respond("200", nil,
					fmt.Sprintf(`{"issuer":"https://%s.example/","jwks_uri":"https://evil.example/keys"}`, p.name))
			})
			return
		}
		good(quick, doc)
	case "other issuer's keys":
		// Under the same kids. Whoever publishes them for the issuer makes
		// them its keys, unless keys are pinned.
		if !keys {
			good(quick, doc)
			return
		}
		other := w.places[(slices.Index(w.places, p)+1)%len(w.places)]
		foreign := map[string]*rsa.PrivateKey{p.ring[p.signing].KeyID: other.ring[0].Key}
		if p.pinned {
			fail(quick, func() error { return respond("200", nil, jwksOf(foreign)) })
			return
		}
		w.serve(in, f, quick, foreign, "", respond)
	default:
		w.t.Fatalf("no fault %q", p.fault)
	}
}

// serve has a good document answered.
func (w *week) serve(in func(time.Duration, func()), f *underway, d time.Duration, keys map[string]*rsa.PrivateKey,
	maxAge string,
	respond func(string, host.Headers, string) error) {
	p := f.place
	var headers host.Headers
	lifetime := p.refresh
	if maxAge != "" {
		headers = host.Headers{{"cache-control", "max-age=" + maxAge}}
		seconds, err := time.ParseDuration(maxAge + "s")
		if err != nil {
			w.t.Fatal(err)
		}
		lifetime = min(lifetime, max(seconds, time.Minute))
	}
	body := jwksOf(keys)
	in(d, func() {
		doc := &servedDoc{keys: keys, begun: f.begun, answered: w.truth, lifetime: lifetime, offset: f.member.offset,
			maxAge: maxAge}
		gone := f.member.flying[p] != f
		if !gone {
			w.ended(f)
			p.docs = append(p.docs, doc)
			p.documents++
			if p.newest == nil || p.newest.begun <= doc.begun {
				p.newest, p.failures, p.failing = doc, 0, false
				for _, m := range w.workers {
					delete(m.failed, p)
				}
			}
			for _, m := range w.workers {
				for kid, at := range m.asked[p] {
					if at < doc.begun {
						m.vain[p][kid], p.vain[kid] = doc.begun, doc.begun
						delete(m.asked[p], kid)
					}
				}
			}
			w.took(f.member, p, doc)
			w.askAgain(f.member, p)
		}
		if err := respond("200", headers, body); err != nil && err != host.ErrClosed {
			w.t.Fatal(err)
		}
	})
}

func jwksOf(keys map[string]*rsa.PrivateKey) string {
	var signers []*scenario.Signer
	for _, kid := range slices.Sorted(maps.Keys(keys)) {
		signers = append(signers, &scenario.Signer{KeyID: kid, Key: keys[kid]})
	}
	return scenario.JWKS(signers...)
}

func (p *place) signers() (signers []*scenario.Signer) {
	for _, i := range p.published {
		signers = append(signers, p.ring[i])
	}
	return signers
}

// own are the keys that the provider publishes.
func (p *place) own() map[string]*rsa.PrivateKey {
	keys := map[string]*rsa.PrivateKey{}
	for _, s := range p.signers() {
		keys[s.KeyID] = s.Key
	}
	return keys
}

// recovery is how long it takes at most until there is a new document from a
// provider that is well.
func (p *place) recovery() time.Duration {
	return p.refresh + min(longestBackoff, p.refresh) + 10*time.Second + 5*time.Minute
}

// lease is how long a lease lasts.
func (p *place) lease() time.Duration { return p.fetching() + time.Second }

// fetching is how long a fetch may take.
func (p *place) fetching() time.Duration {
	if p.wellKnown {
		return 2 * timeout
	}
	return timeout
}

// backoff is the longest wait after a failure.
func (p *place) backoff() time.Duration { return min(longestBackoff, p.refresh) }

// begin holds a fetch against the policy.
func (w *week) begin(m *member, p *place) *underway {
	f := &underway{member: m, place: p, begun: w.truth}
	reason := w.reason(f)
	if reason == "" {
		if !w.troubled(p.recovery()) {
			w.t.Errorf("after %v: worker %d fetches from %s for no reason; newest document of %v, %d failures until "+
				"%v, "+
				"last fetch for an unknown kid %v, asked for %v, due by itself %v",
				w.truth, m.number, p.name, p.newest.of(), p.failures, p.failed, p.wanted, m.asked[p], w.ownDue(m, p))
		}
		p.extra++
		reason = "clocks disagree"
	}
	p.reasons[reason]++
	p.fetches++
	if reason == "unknown kid" {
		p.wanted = w.truth
	}
	p.flying = append(p.flying, f)
	m.flying[p] = f
	underway := 0
	for _, f := range m.flying {
		if w.truth-f.begun < f.place.fetching()+5*time.Second {
			underway++
		}
	}
	if underway > most && w.truth-m.jumped > time.Minute {
		w.t.Errorf("after %v: worker %d has %d fetches under way, at most %d", w.truth, m.number, underway, most)
	}
	return f
}

func (w *week) reason(f *underway) string {
	p, now := f.place, w.truth
	var under *underway // the fetch that is under way, if its lease is not over
	for _, other := range p.flying {
		if now-other.begun < p.lease()-within && other.member.offset == f.member.offset {
			under = other
		}
	}
	if under != nil {
		waits := slices.ContainsFunc(f.member.waits, func(r *pendingRequest) bool { return r.place == p })
		if waits && !under.over && now-under.begun >= time.Second-within {
			f.over = true
			return "takes the lease over"
		}
		// It has been refused leases for so long that it waits no longer.
		refused := now - w.ownDue(f.member, p) + p.lease()
		if (p.failing || now-p.lost < 3*longestBackoff) && refused >= 2*p.lease()-within && (!under.over ||
			refused >= 3*p.lease()-within) {
			f.over = true
			return "is refused for too long"
		}
		return ""
	}
	if p.failures > 0 {
		backoff := p.backoff()
		if p.failures < 20 {
			backoff = min(time.Second<<(p.failures-1), backoff)
		}
		if now-p.failed >= backoff/2-within {
			return "retry"
		}
		if w.asked(p) && now-p.failedBegun >= p.cooldown-within {
			return "retry for unknown kid"
		}
		if now-w.ownDue(f.member, p) >= -within {
			return "sees for itself"
		}
		return ""
	}
	if p.newest == nil {
		return "first"
	}
	if now-p.lost < 3*longestBackoff { // which nobody tells the others
		return "an answer was lost"
	}
	if now-p.newest.begun >= p.due()-within {
		return "refresh"
	}
	if w.asked(p) && now-p.wanted >= spacing-within {
		return "unknown kid"
	}
	return ""
}

// asked reports whether a worker has been asked for a key that it does not have,
// and that nothing was fetched for.
func (w *week) asked(p *place) bool {
	return slices.ContainsFunc(w.workers, func(m *member) bool { return len(m.asked[p]) > 0 })
}

// due is how old the newest document is at least when the next is fetched: four
// fifths of its lifetime, or what leaves time for the longest fetch.
func (p *place) due() time.Duration {
	lifetime := p.newest.lifetime
	return max(time.Minute, min(lifetime*80/100, lifetime*85/100-p.fetching()-5*time.Second))
}

// ownDue is when a worker fetches at the earliest, whatever others say of failures.
func (w *week) ownDue(m *member, p *place) time.Duration {
	if failed, ok := m.failed[p]; ok {
		if _, asked := m.asked[p].since(); asked {
			return failed + p.backoff() - p.fetching()
		}
		return failed + time.Hour - p.fetching()
	}
	due := time.Duration(0)
	if p.newest != nil {
		due = p.newest.begun + p.due()
	}
	if asked, ok := m.asked[p].since(); ok {
		due = min(due, asked)
	}
	return due + p.lease()
}

// ended takes a fetch off the books.
func (w *week) ended(f *underway) {
	f.place.flying = slices.DeleteFunc(f.place.flying, func(other *underway) bool { return other == f })
	if f.member.flying[f.place] == f {
		delete(f.member.flying, f.place)
	}
}

// failed is the end of a fetch that failed.
func (w *week) failed(f *underway) {
	p := f.place
	known := slices.Contains(p.flying, f)
	w.ended(f)
	w.askAgain(f.member, p)
	if !known || p.newest != nil && p.newest.begun > f.begun {
		return
	}
	f.member.failed[p] = w.truth
	p.failing = true
	if f.over {
		return
	}
	p.failures++
	p.failed, p.failedBegun = w.truth, f.begun
}

// troubled reports whether a clock has been set lately, or is still wrong, or a
// worker is new, which knows nothing of failures.
func (w *week) troubled(lately time.Duration) bool {
	for _, m := range w.workers {
		if m.offset != w.workers[0].offset || m.born > 0 && w.truth-m.born < lately {
			return true
		}
	}
	for _, j := range w.jumped {
		if w.truth-j.at < lately+max(j.by, -j.by) {
			return true
		}
	}
	return false
}

// request sends a request to a worker.
func (w *week) request(m *member, p *place, token *probeToken) {
	s := m.Open(scenario.Request{Path: "/" + p.name + "/x", Token: token.text})
	r := &pendingRequest{s, p, token, w.truth}
	if f := m.flying[p]; f == nil || w.truth-f.begun >= p.fetching()+5*time.Second {
		w.ask(r, m)
	}
	m.waits = append(m.waits, r)
	w.settle(m)
}

// ask notes that a worker is asked for the key of a request, if it does not have
// it and does not say that there is none. While a fetch is in flight it asks when that has ended.
func (w *week) ask(r *pendingRequest, m *member) {
	p, kid := r.place, r.token.kid
	if o := e2e.Outcome(r.stream); r.token.always != "" || !o.Waiting && o.Status != 503 {
		return
	}
	if vain, ok := m.vain[p][kid]; ok && w.truth-vain < p.cooldown-within {
		return
	}
	for _, d := range m.holds[p] {
		if usable, expired := w.usable(m, p, d); usable && !expired && d.keys[kid] != nil {
			continue
		}
		if _, ok := m.asked[p][kid]; !ok {
			m.asked[p][kid] = w.truth
		}
	}
}

// askAgain notes the same of the requests that were waiting for a fetch.
func (w *week) askAgain(m *member, p *place) {
	for _, r := range m.waits {
		if r.place == p {
			w.ask(r, m)
		}
	}
}

// settle judges the verdicts that have been reached.
func (w *week) settle(m *member) {
	m.waits = slices.DeleteFunc(m.waits, func(r *pendingRequest) bool {
		o := e2e.Outcome(r.stream)
		if o.Waiting {
			if w.truth-r.at > keyWait+time.Second && w.truth-m.jumped > keyWait+time.Second {
				w.t.Fatalf("after %v: a request has been waiting with worker %d since %v", w.truth, m.number, r.at)
			}
			return false
		}
		r.stream.Close()
		w.judge(m, r, verdict(o))
		if verdict(o) == "401 unknown_key" {
			delete(m.asked[r.place], r.token.kid)
		}
		return true
	})
}

// judge holds a verdict against the model.
func (w *week) judge(m *member, r *pendingRequest, got string) {
	w.judgements++
	w.verdicts[got]++
	allowed := map[string]bool{}
	unknown := false // to one of the documents
	for _, d := range m.holds[r.place] {
		usable, expired := w.usable(m, r.place, d)
		if r.token.always != "" {
			allowed[r.token.always] = true
			continue
		}
		if expired {
			allowed["503 keys_unavailable"] = true
			unknown = true
		}
		if !usable {
			continue
		}
		switch key := d.keys[r.token.kid]; key {
		case nil:
			for verdict := range w.unknown(m, r.place) {
				allowed[verdict] = true
			}
			unknown = true
		case r.token.key:
			allowed["200 ok"] = true
		default:
			allowed["401 bad_signature"] = true
		}
	}
	// A worker with a wrong clock may have put its own document in a newer one's place.
	unknown = unknown || w.troubled(r.place.recovery())
	if waited := w.truth - r.at; unknown && r.token.always == "" && (waited >= keyWait || waited > 0 &&
		w.truth-m.jumped <= waited) {
		allowed["503 keys_unavailable"] = true
	}
	if got == "401 unknown_key" && w.mustFind(m, r) {
		delete(allowed, got)
	}
	if !allowed[got] {
		var docs []string
		for _, d := range m.holds[r.place] {
			if d == nil {
				docs = append(docs, "none")
				continue
			}
			docs = append(docs, fmt.Sprintf("of %v answered %v with %v", d.begun, d.answered,
				slices.Sorted(maps.Keys(d.keys))))
		}
		w.t.Errorf("after %v: worker %d (clock %v, set %v) answers %q to a %s token of %s with kid %s sent at %v, "+
			"want one of %v; its document may be %q; fault %q, newest of %v",
			w.truth, m.number, m.offset, m.jumped, got, r.token.kind, r.place.name, r.token.kid, r.at,
			slices.Collect(maps.Keys(allowed)), docs, r.place.fault, r.place.newest.of())
		w.t.FailNow() // what follows is mostly more of the same
	}
}

// unknown is what may become of a token of an unknown kid: there is no such key, or
// there is no telling while the last fetch has failed.
func (w *week) unknown(m *member, p *place) map[string]bool {
	verdicts := map[string]bool{}
	// Others hear of it with their next tick.
	told := !w.troubled(p.recovery()) && w.truth-p.lost > 3*longestBackoff
	if !p.failing || !told || w.truth-p.failed < 2*time.Second && m.failed[p] != p.failed {
		verdicts["401 unknown_key"] = true
	}
	if p.failing || !told || w.truth-p.newest.answered < 2*time.Second {
		verdicts["503 keys_unavailable"] = true
	}
	return verdicts
}

// usable reports whether a document may be in use, and whether it may be out of
// use.
func (w *week) usable(m *member, p *place, d *servedDoc) (usable, expired bool) {
	if d == nil {
		return false, true
	}
	age := w.truth - d.begun
	wrong := max(d.offset-m.offset, m.offset-d.offset)
	for _, j := range w.jumped {
		if j.at >= d.begun-j.by || j.at >= d.begun {
			wrong += max(j.by, -j.by)
		}
	}
	// A short lifetime is as long as the next fetch may take.
	usable = age-wrong <= max(d.lifetime, 90*time.Second)+p.maxStale
	expired = age+wrong >= d.lifetime+p.maxStale
	return usable, expired
}

// mustFind reports whether a request should have found the key of its token: it
// has been published all the time, the provider is well, and it was not fetched for
// in vain within the cool-down.
func (w *week) mustFind(m *member, r *pendingRequest) bool {
	p := r.place
	since := p.publishedSince(r.token)
	vain, ok := p.vain[r.token.kid]
	return since >= 0 && since < r.at && p.fault == "" && r.at-p.wellSince > p.recovery() &&
		w.truth-p.wellSince > p.recovery() &&
		!w.troubled(p.recovery()) && !(ok && r.at-vain <= p.cooldown+time.Second)
}

// publishedSince is since when the provider has published the token's key, -1 if
// it does not.
func (p *place) publishedSince(token *probeToken) time.Duration {
	for i, s := range p.ring {
		if s.Key == token.key && s.KeyID == token.kid && p.since[i].published {
			return p.since[i].at
		}
	}
	return -1
}

// checkFresh checks that there are young documents of a provider that is well.
func (w *week) checkFresh(p *place) {
	if p.fault != "" || w.truth-p.wellSince < p.recovery() || w.troubled(p.recovery()) {
		return
	}
	if age := w.truth - p.newest.begun; age > p.recovery() {
		w.t.Errorf("after %v: %s has been well since %v, and the newest document is %v old", w.truth, p.name,
			p.wellSince, age)
	}
	for _, m := range w.workers {
		for _, d := range m.holds[p] {
			if d == nil || w.truth-d.begun > p.recovery() {
				w.t.Errorf("after %v: %s has been well since %v, and worker %d may have a document of %+v", w.truth,
					p.name, p.wellSince, m.number, d)
			}
		}
	}
}

// most is how many fetches the policy allows in the week, by a bound that is
// rougher than the reasons: as many as a document's least lifetime fits in, as
// failures with the least back-off, and as unknown kids had a reason for.
func (p *place) most(w *week) int {
	refreshes := int(aWeek/(p.refresh*8/10)) + int(aWeek/time.Minute)*15/100 // with a short max-age
	perOutage := 12 + 6                                                      // growing, and taken over
	failures := p.outages*perOutage + int(aWeek/(min(longestBackoff, p.refresh)/2))
	asked := p.reasons["unknown kid"] + p.reasons["retry for unknown kid"] + p.reasons["sees for itself"]
	return refreshes + failures + asked + w.jumps*16
}

type weekEvent struct {
	at   time.Duration
	name string
	do   func()
}

// script is what happens in the week.
func (w *week) script() []weekEvent {
	var events []weekEvent
	at := func(t time.Duration, name string, do func()) {
		if t < aWeek {
			events = append(events, weekEvent{t, name, do})
		}
	}
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(w.random.Int64N(int64(most-least))).Truncate(time.Second)
	}
	faults := []string{"no connection", "slow", "broken connection", "hangs", "lost", "error", "not found",
		"redirect", "empty", "truncated",
		"huge", "page", "no keys", "unusable keys", "other issuer's keys", "other issuer's document", "other origin"}
	for _, p := range w.places {
		n := w.random.IntN(len(faults))
		for t := between(time.Hour, 2*time.Hour); t < aWeek; t += between(90*time.Minute, 4*time.Hour) {
			kind := faults[n%len(faults)]
			n++
			if !p.wellKnown && (kind == "other issuer's document" || kind == "other origin") {
				continue
			}
			length := between(2*time.Minute, time.Hour)
			if n%4 == 0 {
				length = between(time.Hour, 8*time.Hour) // down for hours
			}
			at(t, kind, func() { p.fault = kind; p.outages++ })
			t += length
			at(t, "well again", func() { p.fault, p.wellSince = "", w.truth })
		}
		for t := between(30*time.Minute, 4*time.Hour); t < aWeek; t += between(2*time.Hour, 10*time.Hour) {
			if w.random.IntN(2) == 0 {
				at(t, "rotation without overlap", func() { w.publish(p, true, false) })
				continue
			}
			at(t, "rotation with overlap", func() { w.publish(p, true, true) })
			t += between(time.Minute, 2*time.Hour)
			at(t, "removal of the old key", func() { w.publish(p, false, false) })
		}
		for t := between(time.Hour, 6*time.Hour); t < aWeek; t += between(12*time.Hour, 24*time.Hour) {
			at(t, "flood of unknown kids", func() { w.flood(p) })
		}
	}
	for t := between(3*time.Hour, 6*time.Hour); t < aWeek; t += between(5*time.Hour, 14*time.Hour) {
		by := between(time.Second, 3*time.Hour)
		if w.random.IntN(2) == 0 {
			by = -by
		}
		if w.random.IntN(2) == 0 {
			at(t, "all clocks jump", func() { w.jump(by, w.workers...) })
			continue
		}
		m := w.workers[1+w.random.IntN(len(w.workers)-1)]
		at(t, "a worker's clock jumps", func() { w.jump(by, m) })
		t += between(time.Minute, 2*time.Hour)
		at(t, "and is right again", func() { w.jump(-by, m) })
	}
	for t := between(4*time.Hour, 9*time.Hour); t < aWeek; t += between(8*time.Hour, 20*time.Hour) {
		m := w.workers[w.random.IntN(len(w.workers))]
		at(t, "a worker is replaced", func() { w.replace(m); w.crowd(m) })
		other := w.workers[w.random.IntN(len(w.workers))]
		at(t+time.Hour, "a worker is configured again", func() {
			if err := other.Configure([]byte(w.config)); err != nil {
				w.t.Fatal(err)
			}
			w.learn(other)
			w.settle(other)
		})
	}
	at(aWeek-1, "the end", func() {})
	slices.SortStableFunc(events, func(a, b weekEvent) int { return cmp.Compare(a.at, b.at) })
	return events
}

// publish changes the keys that a provider publishes: to the next one, or to the
// one that is in use.
func (w *week) publish(p *place, next, overlap bool) {
	old := p.signing
	if next {
		p.signing = (p.signing + 1) % len(p.ring)
	}
	p.published = []int{p.signing}
	if overlap {
		p.published = []int{old, p.signing}
	}
	for i := range p.since {
		if now := slices.Contains(p.published, i); now != p.since[i].published {
			p.since[i] = publishing{now, w.truth}
		}
	}
	// Somebody uses the new key at once, with every other worker.
	for i, m := range w.workers {
		if i%2 == 0 {
			w.request(m, p, p.tokenOf(p.signing))
		}
	}
}

func (p *place) tokenOf(key int) *probeToken {
	i := slices.IndexFunc(p.tokens, func(t *probeToken) bool { return t.kind == "signed" && t.key == p.ring[key].Key })
	return p.tokens[i]
}

// flood sends made-up kids to all workers for most of a minute.
func (w *week) flood(p *place) {
	var madeUp []*probeToken
	for _, token := range p.tokens {
		if token.kind == "made up" {
			madeUp = append(madeUp, token)
		}
	}
	for range 12 {
		for range 3 {
			w.request(w.workers[w.random.IntN(len(w.workers))], p, madeUp[w.random.IntN(len(madeUp))])
		}
		w.step(4 * time.Second)
	}
}

// crowd has more requests wait for a worker's keys than one callback may verify.
// Some of their tokens are forged.
func (w *week) crowd(m *member) {
	for range 40 {
		p := w.places[w.random.IntN(len(w.places))]
		w.request(m, p, p.tokens[w.random.IntN(len(p.tokens))])
	}
}

// jump sets clocks.
func (w *week) jump(by time.Duration, workers ...*member) {
	w.jumps++
	w.jumped = append(w.jumped, jump{w.truth, by})
	for _, m := range workers {
		m.offset += by
		m.jumped = w.truth
	}
}

// replace puts a new VM in a worker's place. Whatever it was waiting for is lost.
func (w *week) replace(m *member) {
	for _, r := range m.waits {
		r.stream.Close()
	}
	m.waits = nil
	m.VM.Close()
	w.start(m)
}
