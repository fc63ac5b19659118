package e2e_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"orgate/e2e"
	"orgate/e2e/idp"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/gateway"
	"orgate/host/hosttest"
	"orgate/jwks"
)

// TestOutage rotates, breaks, hangs, kills and restarts an identity provider on
// the loopback interface while clients send tokens, good and bad, through the
// gateway with four workers.
//
// # The model
//
// At each moment a token must pass, must be refused, or may be either. A key that
// every worker is known to have must pass, whatever becomes of the provider, until
// the provider publishes a set without it and can be reached again: from then on
// tokens may pass or not, until all workers are known to refuse them, and then
// they must be refused. A key that is published for the first time may be either
// from when the provider can be reached until all workers are known to have it.
// Nothing else ever passes. What a request gets must be right at some moment
// between its beginning and its end. A refusal is 401; it may be 503 from when the
// provider fails until all workers are known to be well again.
//
// That a state is reached at all is the other half: the test polls for it, with a
// deadline that follows from the cool-down, the back-off and the tick.
func TestOutage(t *testing.T) {
	o := newOutage(t)
	begin := time.Now()
	o.reach("the first key", 5*time.Second, func() bool { return o.all(o.token(0), 200) })
	o.now(0, pass)
	stop := o.load(6)

	// Two fetches for unknown kids are 5 s apart, and a kid that was asked for
	// before it was published is asked for again 5 s later.
	const rotation = 15 * time.Second
	o.now(1, either)
	o.provider.Rotate("org1", o.rotation(1, true))
	o.reach("a key more", rotation, func() bool { return o.all(o.token(1), 200) })
	o.now(1, pass)

	// It hangs, then fails, then sends documents that are none. That changes
	// nothing, however often they are fetched.
	o.well(false)
	for _, fault := range []idp.Fault{{Kind: idp.Hang}, {Kind: idp.Fail, Status: 503}, {Kind: idp.Truncated},
		{Kind: idp.Cut}, {Kind: idp.Huge}} {
		o.provider.Break("org1", idp.JWKS, fault)
		o.reach("fetches meet "+string(fault.Kind), rotation, o.fetched(1))
		o.provider.Heal("org1", idp.JWKS) // lets go of what hangs
	}

	// It is killed, and comes back on the same port with only another key.
	o.kill()
	o.provider.Rotate("org1", o.rotation(2, false))
	o.reach("tokens pass without a provider", rotation, func() bool {
		return o.all(o.token(1), 200) &&
			o.all(o.token(2), 503)
	})
	for key := range 3 {
		o.now(key, either)
	}
	o.serve()
	o.reach("only another key after a restart", rotation, func() bool {
		return o.all(o.token(2), 200) && o.all(o.token(1), 401) && o.all(o.token(0), 401)
	})
	for key := range 2 {
		o.now(key, refuse)
	}
	o.now(2, pass)
	o.well(true)
	o.reach("the end", 5*time.Second, func() bool { return o.all(o.token(2), 200) })

	requests := stop()
	elapsed, fetches := time.Since(begin), o.provider.Requests()["/org1/jwks"]
	t.Logf("%d requests and %d fetches in %v", requests, fetches, elapsed.Round(time.Millisecond))
	if requests < 500 {
		t.Errorf("%d requests: too quiet", requests)
	}
	// Unknown kids fetch 12 times a minute. At the start of an outage failures
	// come at short intervals, and each worker sees for itself.
	if most := int(elapsed/(5*time.Second)) + 6*12; fetches > most {
		t.Errorf("%d fetches in %v, at most %d", fetches, elapsed, most)
	}
}

// must is what must become of a token.
type must string

const (
	pass   must = "pass"
	refuse must = "be refused"
	either must = "pass or be refused"
)

type outage struct {
	t        *testing.T
	provider *idp.Provider
	address  string
	server   *http.Server
	gateway  string
	client   *http.Client
	keys     []*rsa.PrivateKey
	tokens   []string // by key
	bad      []string // never pass

	mu     sync.Mutex
	states []moment // all there have been
}

// moment is what must become of the keys' tokens, and whether a refusal may be 503
// because the provider is not well.
type moment struct {
	tokens []must
	unwell bool
}

const outageConfig = `{
  "issuers": [{"name": "idp1", "issuer": %q, "organization": "org1", "usernameClaim": "sub",
    "signatureValidation": {"jwks": {"url": %q, "cluster": "idp",
      "refreshInterval": "1m", "timeout": "1s", "unknownKidCooldown": "5s"}}}],
  "limits": {"keyWait": "10s"}
}`

func newOutage(t *testing.T) *outage {
	o := &outage{t: t, keys: make([]*rsa.PrivateKey, 4), client: &http.Client{Timeout: 15 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	var group sync.WaitGroup
	for i := range o.keys {
		group.Go(func() { o.keys[i] = idp.GenerateKey() })
	}
	group.Wait()
	l := o.listen("127.0.0.1:0")
	o.address = l.Addr().String()
	o.provider = idp.New(idp.WithURL("http://"+o.address), idp.WithTenant(idp.Tenant{Name: "org1", KeyID: "key-0",
		Key: o.keys[0]}))
	o.serveOn(l)
	t.Cleanup(func() {
		o.kill()
		o.provider.Close()
	})
	for i := range 3 {
		o.tokens = append(o.tokens, o.provider.Mint("org1", idp.Header("kid", fmt.Sprint("key-", i)),
			idp.SignedBy(o.keys[i])))
		o.bad = append(o.bad,
			o.provider.Mint("org1", idp.Header("kid", fmt.Sprint("key-", i)), idp.SignedBy(o.keys[3])),
			o.provider.Mint("org1", idp.Header("kid", fmt.Sprint("made-up-", i)), idp.SignedBy(o.keys[3])),
			o.provider.Expired("org1", idp.Header("kid", fmt.Sprint("key-", i)), idp.SignedBy(o.keys[i])))
	}
	o.states = []moment{{tokens: []must{either, refuse, refuse}}}

	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Wso2-Organization") != "org1" || r.Header.Get("Authorization") != "" {
			t.Errorf("a request came to the upstream with %v", r.Header)
		}
	}))
	t.Cleanup(upstream.Close)
	parse := func(text string) *url.URL {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	g, err := gateway.New(gateway.Config{
		Plugin:        hosttest.Plugin(t),
		Configuration: fmt.Appendf(nil, outageConfig, o.provider.Issuer("org1"), o.provider.JWKSURL("org1")),
		Upstream:      parse(upstream.URL),
		Clusters:      map[string]*url.URL{"idp": parse("http://" + o.address)},
		Workers:       4,
	})
	if err != nil {
		t.Fatal(err)
	}
	front := o.listen("127.0.0.1:0")
	o.gateway = "http://" + front.Addr().String() + "/orders"
	served := make(chan error, 1)
	go func() { served <- g.Serve(front) }()
	t.Cleanup(func() {
		o.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(g.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return o
}

func (o *outage) listen(address string) net.Listener {
	o.t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		o.t.Fatal(err)
	}
	return l
}

// serve starts the provider again, on the port that it had.
func (o *outage) serve() {
	o.t.Helper()
	o.serveOn(o.listen(o.address))
}

func (o *outage) serveOn(l net.Listener) {
	server := &http.Server{Handler: o.provider, ReadHeaderTimeout: time.Second}
	o.server = server
	go func() { _ = server.Serve(l) }()
}

// kill closes the provider's port and all of its connections.
func (o *outage) kill() { _ = o.server.Close() }

func (o *outage) rotation(key int, overlap bool) idp.Rotation {
	return idp.Rotation{KeyID: fmt.Sprint("key-", key), Key: o.keys[key], Overlap: overlap}
}

func (o *outage) token(key int) string { return o.tokens[key] }

// now says what must become of a key's tokens from now on.
func (o *outage) now(key int, m must) {
	o.mu.Lock()
	defer o.mu.Unlock()
	state := o.states[len(o.states)-1]
	state.tokens = slices.Clone(state.tokens)
	state.tokens[key] = m
	o.states = append(o.states, state)
}

// well says whether the provider is well from now on.
func (o *outage) well(well bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	state := o.states[len(o.states)-1]
	state.unwell = !well
	o.states = append(o.states, state)
}

// state is the number of the present state.
func (o *outage) state() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.states) - 1
}

// fetched waits for that many fetches from now on.
func (o *outage) fetched(n int) func() bool {
	before := o.provider.Requests()["/org1/jwks"]
	return func() bool {
		_, err := o.send(o.bad[1]) // of an unknown kid
		return err == nil && o.provider.Requests()["/org1/jwks"] >= before+n
	}
}

// reach polls until the condition holds.
func (o *outage) reach(what string, within time.Duration, condition func() bool) {
	o.t.Helper()
	for deadline := time.Now().Add(within); !condition(); {
		if time.Now().After(deadline) {
			o.t.Fatalf("%s: not within %v", what, within)
		}
	}
}

// all reports whether every worker gives a token this status. They are asked one after the other,
// and other clients' requests come between: forty requests leave hardly one out.
func (o *outage) all(token string, status int) bool {
	for range 40 {
		if got, err := o.send(token); err != nil || got != status {
			return false
		}
	}
	return true
}

func (o *outage) send(token string) (status int, err error) {
	req, err := http.NewRequest(http.MethodGet, o.gateway, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := o.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// load starts clients, which send a token every few milliseconds each. Stop waits
// for them, and returns how many requests they made.
func (o *outage) load(clients int) (stop func() int) {
	done := make(chan struct{})
	var group sync.WaitGroup
	counts := make([]int, clients)
	for i := range clients {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 11))
			ticker := time.NewTicker(8 * time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-done:
					return
				case <-ticker.C:
				}
				counts[i]++
				if key := random.IntN(2 * len(o.tokens)); key < len(o.tokens) {
					o.check(key)
				} else {
					o.checkBad(random.IntN(len(o.bad)))
				}
			}
		})
	}
	stop = sync.OnceValue(func() int {
		close(done)
		group.Wait()
		sum := 0
		for _, n := range counts {
			sum += n
		}
		return sum
	})
	o.t.Cleanup(func() { stop() })
	return stop
}

// check sends a token of a key and holds the verdict against the model.
func (o *outage) check(key int) {
	states, status, err := o.during(o.tokens[key])
	var musts []must
	for _, state := range states {
		musts = append(musts, state.tokens[key])
	}
	mayPass := slices.ContainsFunc(musts, func(m must) bool { return m != refuse })
	mayFail := slices.ContainsFunc(musts, func(m must) bool { return m != pass })
	if err != nil || status == 200 && !mayPass || status != 200 && !(mayFail && o.refused(status, states)) {
		o.t.Errorf("a token of key %d got %d (%v), and must %v", key, status, err, musts)
	}
}

// checkBad sends a token that never passes.
func (o *outage) checkBad(i int) {
	if states, status, err := o.during(o.bad[i]); err != nil || !o.refused(status, states) {
		o.t.Errorf("bad token %d got %d (%v), want 401", i, status, err)
	}
}

// during sends a token, and returns the states that there were meanwhile.
func (o *outage) during(token string) (states []moment, status int, err error) {
	from := o.state()
	status, err = o.send(token)
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.states[from:], status, err
}

// refused reports whether a status is a refusal in one of the states.
func (o *outage) refused(status int, states []moment) bool {
	return status == 401 || status == 503 && slices.ContainsFunc(states, func(s moment) bool { return s.unwell })
}

// documentEntry is the document's entry, as another party may write it.
func documentEntry(at int64, body string) []byte {
	return jwks.Document{At: time.Unix(0, at), Response: jwks.Response{Body: body}}.Encode()
}

// location is how entries name the location of the configuration [fetching].
func location() string {
	parts := []string{"idp1", "https://idp1.example/oauth2/jwks?v=1"}
	for _, d := range []time.Duration{5 * time.Second, 10 * time.Minute, 24 * time.Hour, 30 * time.Second} {
		parts = append(parts, strconv.FormatInt(int64(d), 10))
	}
	return strings.Join(parts, "\x00")
}

// poisoned are two workers of the configuration [fetching], and a function that
// overwrites what they share.
func poisoned(t *testing.T) (workers []*e2e.Worker, write func(entry string, value []byte)) {
	t.Helper()
	shared := host.NewSharedData()
	workers = make([]*e2e.Worker, 2)
	for i := range workers {
		workers[i] = newWorker(t, fetching, func(c *host.Config) { c.Shared = shared })
	}
	return workers, func(entry string, value []byte) {
		t.Helper()
		if status := shared.Set("orgate", "orgate."+entry+"\x00"+location(), value, 0); status != host.OK {
			t.Fatal(status)
		}
	}
}

// TestPoisonKnowsTheEntries: what the tests below write is where the workers read,
// and is laid out as they write it.
func TestPoisonKnowsTheEntries(t *testing.T) {
	workers, write := poisoned(t)
	now := scenario.Now.UnixNano()
	write("record", jwks.Record{Lease: jwks.Lease{Owner: 7, Begun: now, Ends: now + int64(6*time.Second)}}.Encode())
	if n := len(tick(workers)); n != 0 {
		t.Errorf("%d fetches during another's lease", n)
	}
	write("record", jwks.Record{Document: now - 1}.Encode())
	write("document", documentEntry(now-1, scenario.JWKS(scenario.First())))
	advance(workers, time.Second)
	if n := len(tick(workers)); n != 0 {
		t.Errorf("%d fetches although there is a document", n)
	}
	judged(t, workers[0].Open(request(scenario.First().Token())), 200, "ok")
}

// TestPoisonedRecord: whatever another party writes, the next fetch begins within
// the length of a lease, or of two or three if leases are written at every tick;
// and from then on the workers share again.
func TestPoisonedRecord(t *testing.T) {
	const lease, year = 6 * time.Second, int64(365 * 24 * time.Hour)
	of := func(owner uint64, begun, ends int64) func(int64) []byte {
		return func(now int64) []byte {
			return jwks.Record{Lease: jwks.Lease{Owner: owner, Begun: now + begun, Ends: now + ends}}.Encode()
		}
	}
	always := func(r jwks.Record) func(int64) []byte {
		entry := r.Encode()
		return func(int64) []byte { return entry }
	}
	failures := func(retry int64) func(int64) []byte {
		return func(now int64) []byte {
			return jwks.Record{Failed: now, Failures: math.MaxUint32, Retry: now + retry}.Encode()
		}
	}
	for _, c := range []struct {
		name    string
		entry   func(now int64) []byte
		waiting bool
		within  time.Duration // 0: at once
		again   bool          // written at every tick
	}{
		{"nothing", func(int64) []byte { return []byte{} }, false, 0, true},
		{"garbage", func(int64) []byte { return []byte("garbage") }, false, 0, true},
		{"garbage of the right length", func(int64) []byte {
			return bytes.Repeat([]byte{0xff},
				len(jwks.Record{}.Encode()))
		}, false, 0, true},
		{"truncated", func(now int64) []byte { return of(7, 0, int64(lease))(now)[:40] }, false, 0, true},
		{"another version", func(now int64) []byte { return append([]byte{9}, of(7, 0, int64(lease))(now)[1:]...) },
			false, 0, true},
		{"a lease that never ends", of(7, 0, year), false, 0, true},
		{"a lease of all time", always(jwks.Record{Lease: jwks.Lease{Owner: 7, Begun: math.MinInt64,
			Ends: math.MaxInt64}}), false, 0, true},
		{"a lease of all time, a request waits", always(jwks.Record{Lease: jwks.Lease{Owner: 7, Begun: math.MinInt64,
			Ends: math.MaxInt64}}), true, 0, true},
		{"a lease of the far future", of(7, year, year+1), false, 0, true},
		{"an owner that never releases", of(7, 0, int64(lease)), false, lease, false},
		{"an owner that never releases, a request waits", of(7, 0, int64(lease)), true, time.Second, false},
		{"an owner that leases again and again", of(7, 0, int64(lease)), false, 2 * lease, true},
		{"an owner that takes leases over again and again", func(now int64) []byte {
			return jwks.Record{Lease: jwks.Lease{Owner: 7, Begun: now, Ends: now + int64(lease), Taken: true}}.Encode()
		}, false, 3 * lease, true},
		{"an owner that leases again and again, a request waits", of(7, 0, int64(lease)), true, 2 * lease, true},
		{"failures until the far future", always(jwks.Record{Failed: 1, Failures: math.MaxUint32,
			Retry: math.MaxInt64}), false, 0, true},
		{"failures until next year", failures(year), false, 0, true},
		{"failures for as long as there may be", failures(int64(5 * time.Minute)), false, lease, false},
		{"failures again and again", failures(int64(5 * time.Minute)), false, lease, true},
		{"failures again and again, a request waits", failures(int64(5 * time.Minute)), true, lease, true},
		{"failures of before time", always(jwks.Record{Failed: math.MinInt64, Failures: 1, Retry: math.MinInt64}),
			false, 0, true},
		{"a document of the far future", always(jwks.Record{Document: math.MaxInt64}), false, 0, true},
		{"a document that is not there", always(jwks.Record{Document: 1}), false, 0, true},
		{"a fetch in the far future that tokens ask for", always(jwks.Record{Demanded: math.MaxInt64}), false, 0, true},
		{"fetches again and again that tokens ask for",
			func(now int64) []byte { return jwks.Record{Demanded: now}.Encode() }, true, 0, true},
		{"everything", always(jwks.Record{
			Document: math.MaxInt64, Failed: math.MaxInt64, Failures: math.MaxUint32, Retry: math.MaxInt64,
			Demanded: math.MaxInt64,
			Lease:    jwks.Lease{Owner: math.MaxUint64, Begun: -1, Ends: math.MaxInt64, Taken: true},
		}), true, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			workers, write := poisoned(t)
			poison := func() { write("record", c.entry(workers[0].Time.UnixNano())) }
			poison()
			if c.waiting {
				if s := workers[0].Open(request(scenario.First().Token())); !e2e.Outcome(s).Waiting {
					t.Fatal("the request does not wait")
				}
			}
			callouts := tick(workers[:1])
			for passed := time.Duration(0); passed < c.within; passed += 500 * time.Millisecond {
				if len(callouts) > 0 {
					t.Fatalf("a fetch after %v, before %v", passed, c.within)
				}
				advance(workers, 500*time.Millisecond)
				if c.again {
					poison()
				}
				callouts = tick(workers[:1])
			}
			if len(callouts) != 1 {
				t.Fatalf("%d fetches after %v, want 1", len(callouts), c.within)
			}
			answer(t, callouts[0], scenario.First())
			advance(workers, time.Second)
			if n := len(tick(workers)); n != 0 {
				t.Errorf("%d fetches more", n)
			}
			for _, w := range workers {
				judged(t, w.Open(request(scenario.First().Token())), 200, "ok")
			}
			// A new kid is fetched once for both, and failures are shared.
			advance(workers, time.Minute)
			for _, w := range workers {
				w.Open(request(scenario.Rotated().Token()))
			}
			callouts = tick(workers)
			if len(callouts) != 1 {
				t.Fatalf("%d fetches for a new kid, want 1", len(callouts))
			}
			if err := callouts[0].Fail(); err != nil {
				t.Fatal(err)
			}
			if n := len(tick(workers)); n != 0 {
				t.Errorf("%d fetches right after a failure", n)
			}
		})
	}
}

// TestPoisonedDocuments: in a VM id of the plugin's own, a document is taken if it
// is one that could have been fetched, and no other; and it is replaced by the next.
func TestPoisonedDocuments(t *testing.T) {
	const minute = int64(time.Minute)
	stranger := scenario.JWKS(scenario.Second())
	for _, c := range []struct {
		name     string
		document func(now int64) (at int64, entry []byte)
		taken    bool
	}{
		{"nothing", func(now int64) (int64, []byte) { return now, []byte{} }, false},
		{"garbage", func(now int64) (int64, []byte) { return now, []byte("garbage of some length") }, false},
		{"truncated", func(now int64) (int64, []byte) { return now, documentEntry(now, stranger)[:100] }, false},
		{"another version", func(now int64) (int64, []byte) {
			return now, append([]byte{9}, documentEntry(now,
				stranger)[1:]...)
		}, false},
		{"an error page", func(now int64) (int64, []byte) { return now, documentEntry(now, "<html>") }, false},
		{"no keys", func(now int64) (int64, []byte) { return now, documentEntry(now, `{"keys":[]}`) }, false},
		{"too large", func(now int64) (int64, []byte) {
			return now, documentEntry(now, stranger+strings.Repeat(" ", 600<<10))
		}, false},
		{"of the future", func(now int64) (int64, []byte) { return now, documentEntry(now+minute, stranger) }, false},
		{"of the end of time", func(now int64) (int64, []byte) { return now, documentEntry(math.MaxInt64, stranger) },
			false},
		{"of the beginning of time", func(now int64) (int64, []byte) {
			return now, documentEntry(math.MinInt64,
				stranger)
		}, false},
		{"older than the one at hand", func(now int64) (int64, []byte) {
			return now, documentEntry(now-30*minute,
				stranger)
		}, false},
		{"a good one", func(now int64) (int64, []byte) { return now, documentEntry(now, stranger) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			workers, write := poisoned(t)
			answer(t, tick(workers)[0], scenario.First())
			advance(workers, time.Minute)
			tick(workers)
			at, entry := c.document(workers[0].Time.UnixNano())
			write("document", entry)
			write("record", jwks.Record{Document: at}.Encode())
			advance(workers, time.Second)
			tick(workers)
			for _, w := range workers {
				first, second := "200 ok", "401 bad_signature"
				if c.taken {
					first, second = second, first
				}
				if got := verdict(w.Serve(request(scenario.First().Token()))); got != first {
					t.Errorf("the issuer's token: %s, want %s", got, first)
				}
				if got := verdict(w.Serve(request(scenario.Second().Token()))); got != second {
					t.Errorf("a stranger's token: %s, want %s", got, second)
				}
			}
			advance(workers, 10*time.Minute)
			callouts := tick(workers)
			if len(callouts) != 1 {
				t.Fatalf("%d fetches, want 1", len(callouts))
			}
			answer(t, callouts[0], scenario.First(), scenario.Rotated())
			advance(workers, time.Second)
			if n := len(tick(workers)); n != 0 {
				t.Errorf("%d fetches more", n)
			}
			for _, w := range workers {
				judged(t, w.Open(request(scenario.First().Token())), 200, "ok")
				judged(t, w.Open(request(scenario.Rotated().Token())), 200, "ok")
				judged(t, w.Open(request(scenario.Second().Token())), 401, "bad_signature")
			}
		})
	}
}

// certified is an issuer with a certificate beside its JWK Set.
func certified() string {
	return fmt.Sprintf(`{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"signatureValidation": {"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1"},
		"certificate": {"certificateInline": %q}}}]}`, scenario.Second().Certificate())
}

// TestCertificateBesideKeysThatAreNotThere: while there is no JWK Set the
// certificate's tokens pass, and the others are not called forged.
func TestCertificateBesideKeysThatAreNotThere(t *testing.T) {
	w := newWorker(t, certified())
	waiting := w.Open(request(scenario.First().Token()))
	judged(t, w.Open(request(scenario.Second().Token())), 200, "ok")
	if err := fetch(t, w).Fail(); err != nil {
		t.Fatal(err)
	}
	judged(t, waiting, 503, "keys_unavailable")
	judged(t, w.Open(request(scenario.First().Token())), 503, "keys_unavailable")
	w.Time = w.Time.Add(time.Second)
	answer(t, fetch(t, w), scenario.First())
	judged(t, w.Open(request(scenario.First().Token())), 200, "ok")
	// The JWK Set has a key of that kid now, which decides, also for a token
	// that passed before.
	judged(t, w.Open(request(scenario.Second().Token())), 401, "bad_signature")
}

// TestUnknownKidBesideACertificate: the certificate is tried with every kid, and
// is no reason not to ask for new keys.
func TestUnknownKidBesideACertificate(t *testing.T) {
	w := newWorker(t, certified())
	answer(t, fetch(t, w), scenario.First())
	certificates := scenario.Second().With(scenario.Claims{"kid": "c"})
	judged(t, w.Open(request(certificates)), 200, "ok")
	rotated := w.Open(request(scenario.Rotated().Token()))
	answer(t, fetch(t, w), scenario.Rotated())
	judged(t, rotated, 200, "ok")
	judged(t, w.Open(request(certificates)), 200, "ok")
	// A fetch is made for it, and once more after the cool-down: the token is not
	// taken for a forged one meanwhile.
	token := scenario.First().Token()
	w.Time = w.Time.Add(5 * time.Second)
	s := w.Open(request(token))
	answer(t, fetch(t, w), scenario.Rotated())
	judged(t, s, 401, "unknown_key")
	judged(t, w.Open(request(token)), 401, "unknown_key")
	w.Time = w.Time.Add(30 * time.Second)
	s = w.Open(request(token))
	answer(t, fetch(t, w), scenario.First())
	judged(t, s, 200, "ok")
}

// TestCertificateOutlivesTheJWKSet: a token that the certificate verified while
// the JWK Set was too old is judged anew when the very same set is back.
func TestCertificateOutlivesTheJWKSet(t *testing.T) {
	w := newWorker(t, certified())
	answer(t, fetch(t, w), scenario.First())
	token := scenario.Second().Token(scenario.Claims{"exp": scenario.Now.Unix() + 1_000_000})
	judged(t, w.Open(request(token)), 401, "bad_signature")
	w.Time = w.Time.Add(48 * time.Hour)
	judged(t, w.Open(request(token)), 200, "ok")
	answer(t, fetch(t, w), scenario.First())
	judged(t, w.Open(request(token)), 401, "bad_signature")
}

// TestKeyReplacedUnderItsKid: a token that was seen before is bound to the key
// that verified it, not to its kid.
func TestKeyReplacedUnderItsKid(t *testing.T) {
	workers := newWorkers(t, 2, fetching)
	answer(t, tick(workers)[0], scenario.First())
	tick(workers)
	token := scenario.First().Token()
	for _, w := range workers {
		judged(t, w.Open(request(token)), 200, "ok")
	}
	advance(workers, 10*time.Minute)
	answer(t, tick(workers)[0], scenario.Stranger())
	tick(workers)
	for _, w := range workers {
		judged(t, w.Open(request(token)), 401, "bad_signature")
		judged(t, w.Open(request(scenario.Stranger().Token())), 200, "ok")
	}
}

// TestSlowProviderIsAskedTwice, although requests wait with all workers.
func TestSlowProviderIsAskedTwice(t *testing.T) {
	workers := newWorkers(t, 8, fetching)
	var streams []*host.Stream
	for _, w := range workers {
		streams = append(streams, w.Open(request(scenario.First().Token())))
	}
	var callouts []*host.Callout
	for range 29 { // up to 2.9 s: the requests wait for 3
		callouts = append(callouts, tick(workers)...)
		advance(workers, 100*time.Millisecond)
	}
	if len(callouts) != 2 {
		t.Fatalf("%d fetches, want one and one more after a second", len(callouts))
	}
	answer(t, callouts[0], scenario.First())
	tick(workers)
	for _, s := range streams {
		judged(t, s, 200, "ok")
	}
	// The second one is late, and takes nothing back.
	answer(t, callouts[1], scenario.First(), scenario.Rotated())
	if n := len(tick(workers)); n != 0 {
		t.Errorf("%d fetches more", n)
	}
}

// TestOlderDocumentTakesNothingBack: the fetch that began first ends last.
func TestOlderDocumentTakesNothingBack(t *testing.T) {
	workers := newWorkers(t, 3, fetching)
	slow := tick(workers)
	w := workers[1]
	if slow[0].Root == w.Root {
		w = workers[2]
	}
	stream := w.Open(request(scenario.Rotated().Token()))
	advance(workers, time.Second)
	quick := tick(workers)
	if len(slow) != 1 || len(quick) != 1 {
		t.Fatalf("%d and %d fetches, want 1 and 1", len(slow), len(quick))
	}
	answer(t, quick[0], scenario.Rotated())
	judged(t, stream, 200, "ok")
	answer(t, slow[0], scenario.First())
	tick(workers)
	for _, w := range workers {
		judged(t, w.Open(request(scenario.Rotated().Token())), 200, "ok")
		if s := w.Open(request(scenario.First().Token())); e2e.Outcome(s).Passed {
			t.Error("the older document is in use")
		}
	}
}

// TestFailureOfAnotherWorkerEndsTheWait: there is no hope within keyWait.
func TestFailureOfAnotherWorkerEndsTheWait(t *testing.T) {
	workers := newWorkers(t, 2, fetching)
	streams := []*host.Stream{workers[0].Open(request(scenario.First().Token())),
		workers[1].Open(request(scenario.First().Token()))}
	if err := tick(workers)[0].Fail(); err != nil {
		t.Fatal(err)
	}
	tick(workers)
	for _, s := range streams {
		judged(t, s, 503, "keys_unavailable")
	}
}

// TestWaitEndsThoughTheClockIsSetBack: by an hour, in the middle of it.
func TestWaitEndsThoughTheClockIsSetBack(t *testing.T) {
	w := newWorker(t, fetching)
	s := w.Open(request(scenario.First().Token()))
	fetch(t, w)
	w.Time = w.Time.Add(time.Second - time.Hour)
	w.Tick()
	w.Time = w.Time.Add(3*time.Second - time.Millisecond)
	w.Tick()
	if !e2e.Outcome(s).Waiting {
		t.Fatal("the wait ended early")
	}
	w.Time = w.Time.Add(time.Millisecond)
	w.Tick()
	judged(t, s, 503, "keys_unavailable")
}

// TestTicksAreCheap: a request that waits for one of many locations has the
// worker look at that one often, and at the others as often as ever; and requests
// that keep coming make no tick come sooner.
func TestTicksAreCheap(t *testing.T) {
	const locations = 200
	var issuers []string
	for i := range locations {
		issuers = append(issuers, fmt.Sprintf(`{"name": "i%[1]d", "issuer": "https://i%[1]d.example/", "organization": "org1",
			"signatureValidation": {"jwks": {"url": "https://i%[1]d.example/jwks", "cluster": "idp1"}}}`, i))
	}
	reads := 0
	w := newWorker(t, `{"issuers": [`+strings.Join(issuers, ",")+`], "organization": "org1"}`, func(c *host.Config) {
		c.Fault = func(call string) host.Status {
			if call == "proxy_get_shared_data" {
				reads++
			}
			return host.OK
		}
	})
	var hangs *host.Callout
	for fetched := 0; fetched < locations-1; {
		w.Tick()
		for _, c := range w.VM.TakeCallouts() {
			if authority, _ := c.Headers.Get(":authority"); authority == "i0.example" {
				hangs = c
				continue
			}
			answer(t, c, scenario.First())
			fetched++
		}
	}
	if hangs == nil {
		t.Fatal("no fetch from the first location")
	}
	var last time.Duration
	reads = 0
	for i := range 40 { // a second
		token := scenario.First().Token(scenario.Claims{"iss": "https://i0.example/", "jti": strconv.Itoa(i)})
		if s := w.Open(request(token)); !e2e.Outcome(s).Waiting {
			t.Fatal("the request does not wait")
		}
		last = w.TickPeriod()
		w.Time = w.Time.Add(25 * time.Millisecond)
		w.Tick()
		if len(w.VM.TakeCallouts()) > 0 {
			t.Fatal("a fetch")
		}
	}
	if last < 20*time.Millisecond {
		t.Errorf("ticks every %v while a request waits for a fetch under way", last)
	}
	if most := 3*locations + 2*40; reads > most {
		t.Errorf("%d reads of shared data in a second, at most %d", reads, most)
	}
}

// TestPinsKeepApart: two contexts of one VM, and of shared data, name the same
// location, and do not both trust what it says.
func TestPinsKeepApart(t *testing.T) {
	config := func(signer *scenario.Signer) string {
		return fmt.Sprintf(`{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
			"signatureValidation": {"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1", "pins": [%q]}}}]}`,
			signer.Thumbprint())
	}
	w := newWorker(t, config(scenario.First()))
	root, err := w.VM.NewRoot(host.RootConfig{RootID: "other", Configuration: []byte(config(scenario.Rotated()))})
	if err != nil {
		t.Fatal(err)
	}
	other := &e2e.Worker{Root: root, VM: w.VM}
	for _, worker := range []*e2e.Worker{w, other} {
		answer(t, fetch(t, worker), scenario.First(), scenario.Rotated())
	}
	judged(t, w.Open(request(scenario.First().Token())), 200, "ok")
	judged(t, other.Open(request(scenario.Rotated().Token())), 200, "ok")
	for worker, signer := range map[*e2e.Worker]*scenario.Signer{w: scenario.Rotated(), other: scenario.First()} {
		s := worker.Open(request(signer.Token()))
		answer(t, fetch(t, worker), scenario.First(), scenario.Rotated())
		judged(t, s, 401, "unknown_key")
	}
}

// TestWorkerWhoseClockIsBehind cannot use what the others share, and leaves it
// to those who can: a new worker finds the document in the middle of an outage.
func TestWorkerWhoseClockIsBehind(t *testing.T) {
	shared := host.NewSharedData()
	share := func(c *host.Config) { c.Shared = shared }
	workers := []*e2e.Worker{newWorker(t, fetching, share), newWorker(t, fetching, share)}
	answer(t, tick(workers)[0], scenario.First())
	tick(workers)
	behind := workers[1:]
	advance(behind, -3*time.Hour)
	tick(behind)
	advance(behind, 10*time.Minute)
	if err := tick(behind)[0].Fail(); err != nil {
		t.Fatal(err)
	}
	judged(t, newWorker(t, fetching, share).Open(request(scenario.First().Token())), 200, "ok")
}
