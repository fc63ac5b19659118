package e2e_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/binary"
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
// between its beginning and its end.
//
// That a state is reached at all is the other half: the test polls for it, with a
// deadline that follows from the cool-down, the back-off and the tick.
func TestOutage(t *testing.T) {
	o := newOutage(t)
	begin := time.Now()
	o.reach("the first key", 5*time.Second, func() bool { return o.all(o.token(0), 200) })
	o.now(0, pass)
	stop := o.load(6)

	o.now(1, either)
	o.provider.Rotate("org1", o.rotation(1, true))
	o.reach("a key more", 5*time.Second, func() bool { return o.all(o.token(1), 200) })
	o.now(1, pass)

	// It fails, and has another key when it is well again.
	o.provider.Break("org1", idp.JWKS, idp.Fault{Kind: idp.Fail, Status: 503})
	o.provider.Rotate("org1", o.rotation(2, true))
	o.reach("fetches fail", 5*time.Second, o.fetched(2))
	o.now(2, either)
	o.provider.Heal("org1", idp.JWKS)
	o.reach("another key after errors", 10*time.Second, func() bool { return o.all(o.token(2), 200) })
	o.now(2, pass)

	// It hangs, and has only another key when it goes on.
	o.provider.Break("org1", idp.JWKS, idp.Fault{Kind: idp.Hang})
	o.reach("a fetch hangs", 5*time.Second, o.fetched(1))
	for key := range 3 {
		o.now(key, either)
	}
	o.now(3, either)
	o.provider.Rotate("org1", o.rotation(3, false))
	o.provider.Heal("org1", idp.JWKS)
	o.reach("only another key after a hang", 10*time.Second, func() bool {
		return o.all(o.token(3), 200) && o.all(o.token(2), 401) && o.all(o.token(0), 401)
	})
	for key := range 3 {
		o.now(key, refuse)
	}
	o.now(3, pass)

	// Documents that are none change nothing, however often they are fetched.
	for _, kind := range []idp.FaultKind{idp.Truncated, idp.Cut, idp.Huge} {
		o.provider.Break("org1", idp.JWKS, idp.Fault{Kind: kind})
		o.reach(string(kind), 5*time.Second, o.fetched(1))
		o.provider.Heal("org1", idp.JWKS)
		o.reach("well after "+string(kind), 10*time.Second, o.fetched(1))
	}

	// It is killed, and comes back on the same port with only another key.
	o.kill()
	o.provider.Rotate("org1", o.rotation(4, false))
	o.reach("tokens pass without a provider", 5*time.Second, func() bool { return o.all(o.token(3), 200) && o.all(o.token(4), 401) })
	o.now(3, either)
	o.now(4, either)
	o.serve()
	o.reach("only another key after a restart", 10*time.Second, func() bool { return o.all(o.token(4), 200) && o.all(o.token(3), 401) })
	o.now(3, refuse)
	o.now(4, pass)
	o.reach("the end", 5*time.Second, func() bool { return o.all(o.token(4), 200) })

	requests := stop()
	elapsed, fetches := time.Since(begin), o.provider.Requests()["/org1/jwks"]
	t.Logf("%d requests and %d fetches in %v", requests, fetches, elapsed.Round(time.Millisecond))
	if requests < 500 {
		t.Errorf("%d requests: too quiet", requests)
	}
	// An unknown kid fetches once a second, and so does a turn that is taken
	// over; failures at the start of an outage come twice a second.
	if most := 2*int(elapsed/time.Second) + 20; fetches > most {
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
	states [][]must // of the keys' tokens, all there have been
}

const outageConfig = `{
  "issuers": [{"name": "idp1", "issuer": %q, "organization": "org1", "usernameClaim": "sub",
    "signatureValidation": {"jwks": {"url": %q, "cluster": "idp", "refreshInterval": "1m", "timeout": "1s", "unknownKidCooldown": "1s"}}}]
}`

func newOutage(t *testing.T) *outage {
	o := &outage{t: t, keys: make([]*rsa.PrivateKey, 6), client: &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	var group sync.WaitGroup
	for i := range o.keys {
		group.Go(func() { o.keys[i] = idp.GenerateKey() })
	}
	group.Wait()
	l := o.listen("127.0.0.1:0")
	o.address = l.Addr().String()
	o.provider = idp.New(idp.WithURL("http://"+o.address), idp.WithTenant(idp.Tenant{Name: "org1", KeyID: "key-0", Key: o.keys[0]}))
	o.serveOn(l)
	t.Cleanup(func() {
		o.kill()
		o.provider.Close()
	})
	for i := range 5 {
		o.tokens = append(o.tokens, o.provider.Mint("org1", idp.Header("kid", fmt.Sprint("key-", i)), idp.SignedBy(o.keys[i])))
		o.bad = append(o.bad,
			o.provider.Mint("org1", idp.Header("kid", fmt.Sprint("key-", i)), idp.SignedBy(o.keys[5])),
			o.provider.Mint("org1", idp.Header("kid", fmt.Sprint("made-up-", i)), idp.SignedBy(o.keys[5])),
			o.provider.Expired("org1", idp.Header("kid", fmt.Sprint("key-", i)), idp.SignedBy(o.keys[i])))
	}
	o.states = [][]must{{either, refuse, refuse, refuse, refuse}}

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
	state := slices.Clone(o.states[len(o.states)-1])
	state[key] = m
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

// all reports whether every worker gives a token this status. They take turns,
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

// check sends a token of a key and holds the answer against the model.
func (o *outage) check(key int) {
	from := o.state()
	status, err := o.send(o.tokens[key])
	o.mu.Lock()
	states := o.states[from:]
	o.mu.Unlock()
	var musts []must
	for _, state := range states {
		musts = append(musts, state[key])
	}
	mayPass := slices.ContainsFunc(musts, func(m must) bool { return m != refuse })
	mayFail := slices.ContainsFunc(musts, func(m must) bool { return m != pass })
	if err != nil || status != 200 && status != 401 || status == 200 && !mayPass || status == 401 && !mayFail {
		o.t.Errorf("a token of key %d got %d (%v), and must %v", key, status, err, musts)
	}
}

// checkBad sends a token that never passes.
func (o *outage) checkBad(i int) {
	if status, err := o.send(o.bad[i]); err != nil || status != 401 {
		o.t.Errorf("bad token %d got %d (%v), want 401", i, status, err)
	}
}

// turnsEntry is the entry that says who fetches, as another party may write it.
type turnsEntry struct {
	holder       uint64
	since, until int64
	over         byte
	failures     uint32
	retry        int64
	document     int64
	wanted       int64
}

func (e turnsEntry) encode() []byte {
	b := []byte{1}
	b = binary.LittleEndian.AppendUint64(b, e.holder)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.since))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.until))
	b = append(b, e.over)
	b = binary.LittleEndian.AppendUint32(b, e.failures)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.retry))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.document))
	return binary.LittleEndian.AppendUint64(b, uint64(e.wanted))
}

func documentEntry(at int64, body string) []byte {
	b := binary.LittleEndian.AppendUint64([]byte{1}, uint64(at))
	return append(binary.LittleEndian.AppendUint32(b, 0), body...)
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
	location := []string{"idp1", "https://idp1.example/oauth2/jwks?v=1"}
	for _, d := range []time.Duration{5 * time.Second, 10 * time.Minute, 24 * time.Hour, 30 * time.Second} {
		location = append(location, strconv.FormatInt(int64(d), 10))
	}
	return workers, func(entry string, value []byte) {
		t.Helper()
		if status := shared.Set("", "orgate."+entry+"\x00"+strings.Join(location, "\x00"), value, 0); status != host.OK {
			t.Fatal(status)
		}
	}
}

// TestPoisonKnowsTheEntries: what the tests below write is where the workers read,
// and is laid out as they write it.
func TestPoisonKnowsTheEntries(t *testing.T) {
	workers, write := poisoned(t)
	now := scenario.Now.UnixNano()
	write("turns", turnsEntry{holder: 7, since: now, until: now + int64(time.Minute)}.encode())
	if n := len(tick(workers)); n != 0 {
		t.Errorf("%d fetches during another's turn", n)
	}
	write("turns", turnsEntry{document: now - 1}.encode())
	write("document", documentEntry(now-1, scenario.JWKS(scenario.First())))
	advance(workers, time.Second)
	if n := len(tick(workers)); n != 0 {
		t.Errorf("%d fetches although there is a document", n)
	}
	judged(t, workers[0].Open(request(scenario.First().Token())), 200, "ok")
}

// TestPoisonedTurns: whatever another party writes, the next fetch begins in time,
// and from then on the workers share again.
func TestPoisonedTurns(t *testing.T) {
	now := scenario.Now.UnixNano()
	const year = int64(365 * 24 * time.Hour)
	good := turnsEntry{holder: 7, since: now, until: now + int64(3*time.Minute)}
	for _, c := range []struct {
		name    string
		entry   []byte
		waiting bool
		within  time.Duration
	}{
		{"nothing", []byte{}, false, 0},
		{"garbage", []byte("garbage"), false, 0},
		{"garbage of the right length", bytes.Repeat([]byte{0xff}, len(good.encode())), false, 0},
		{"truncated", good.encode()[:40], false, 0},
		{"another version", append([]byte{9}, good.encode()[1:]...), false, 0},
		{"a turn that never ends", turnsEntry{holder: 7, since: now, until: math.MaxInt64}.encode(), false, 0},
		{"a turn of all time", turnsEntry{holder: 7, since: math.MinInt64, until: math.MaxInt64}.encode(), false, 0},
		{"a turn of all time, a request waits", turnsEntry{holder: 7, since: math.MinInt64, until: math.MaxInt64}.encode(), true, 0},
		{"a turn of the far future", turnsEntry{holder: 7, since: now + year, until: now + year + 1}.encode(), false, 0},
		{"a holder that never releases", good.encode(), false, 3 * time.Minute},
		{"a holder that never releases, a request waits", good.encode(), true, time.Second},
		{"failures until the far future", turnsEntry{failures: math.MaxUint32, retry: math.MaxInt64}.encode(), false, 0},
		{"failures until next year", turnsEntry{failures: math.MaxUint32, retry: now + year}.encode(), false, 0},
		{"failures for as long as there may be", turnsEntry{failures: math.MaxUint32, retry: now + int64(5*time.Minute)}.encode(), false, 5 * time.Minute},
		{"failures of before time", turnsEntry{failures: 1, retry: math.MinInt64}.encode(), false, 0},
		{"a document of the far future", turnsEntry{document: math.MaxInt64}.encode(), false, 0},
		{"a document that is not there", turnsEntry{document: now - 1}.encode(), false, 0},
		{"an unknown kid in the far future", turnsEntry{wanted: math.MaxInt64}.encode(), false, 0},
		{"everything", turnsEntry{math.MaxUint64, -1, math.MaxInt64, 1, math.MaxUint32, math.MaxInt64, math.MaxInt64, math.MaxInt64}.encode(), true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			workers, write := poisoned(t)
			write("turns", c.entry)
			if c.waiting {
				if s := workers[0].Open(request(scenario.First().Token())); !e2e.Outcome(s).Waiting {
					t.Fatal("the request does not wait")
				}
			}
			if c.within > 0 {
				advance(workers, c.within-time.Millisecond)
				if n := len(tick(workers)); n != 0 {
					t.Fatalf("%d fetches before %v", n, c.within)
				}
				advance(workers, time.Millisecond)
			}
			callouts := tick(workers)
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

// TestPoisonedDocuments: a document that another party writes is believed if it is
// one that could have been fetched, and no other; and it is replaced by the next.
func TestPoisonedDocuments(t *testing.T) {
	const minute = int64(time.Minute)
	stranger := scenario.JWKS(scenario.Second())
	for _, c := range []struct {
		name     string
		document func(now int64) (at int64, entry []byte)
		believed bool
	}{
		{"nothing", func(now int64) (int64, []byte) { return now, []byte{} }, false},
		{"garbage", func(now int64) (int64, []byte) { return now, []byte("garbage of some length") }, false},
		{"truncated", func(now int64) (int64, []byte) { return now, documentEntry(now, stranger)[:100] }, false},
		{"another version", func(now int64) (int64, []byte) { return now, append([]byte{9}, documentEntry(now, stranger)[1:]...) }, false},
		{"an error page", func(now int64) (int64, []byte) { return now, documentEntry(now, "<html>") }, false},
		{"no keys", func(now int64) (int64, []byte) { return now, documentEntry(now, `{"keys":[]}`) }, false},
		{"too large", func(now int64) (int64, []byte) {
			return now, documentEntry(now, stranger+strings.Repeat(" ", 600<<10))
		}, false},
		{"of the future", func(now int64) (int64, []byte) { return now, documentEntry(now+minute, stranger) }, false},
		{"of the end of time", func(now int64) (int64, []byte) { return now, documentEntry(math.MaxInt64, stranger) }, false},
		{"of the beginning of time", func(now int64) (int64, []byte) { return now, documentEntry(math.MinInt64, stranger) }, false},
		{"older than the one at hand", func(now int64) (int64, []byte) { return now, documentEntry(now-30*minute, stranger) }, false},
		{"a good one", func(now int64) (int64, []byte) { return now, documentEntry(now, stranger) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			workers, write := poisoned(t)
			answer(t, tick(workers)[0], scenario.First())
			advance(workers, time.Minute)
			tick(workers)
			at, entry := c.document(workers[0].Time.UnixNano())
			write("document", entry)
			write("turns", turnsEntry{document: at}.encode())
			advance(workers, time.Second)
			tick(workers)
			for _, w := range workers {
				first, second := "200 ok", "401 bad_signature"
				if c.believed {
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
	// Within the cool-down, and once more after it: the token is not taken for
	// a forged one meanwhile.
	token := scenario.First().Token()
	judged(t, w.Open(request(token)), 401, "unknown_key")
	w.Time = w.Time.Add(30 * time.Second)
	s := w.Open(request(token))
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
	streams := []*host.Stream{workers[0].Open(request(scenario.First().Token())), workers[1].Open(request(scenario.First().Token()))}
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
	w.Tick()
	for i, c := range w.VM.TakeCallouts() {
		if i > 0 {
			answer(t, c, scenario.First())
		}
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
			"signatureValidation": {"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1", "pins": [%q]}}}]}`, signer.Thumbprint())
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

// TestWorkerWhoseClockIsBehind cannot believe what the others share, and leaves it
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
