package e2e_test

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/orgate/orgate/e2e/idp"
	"github.com/orgate/orgate/host/gateway"
	"github.com/orgate/orgate/host/hosttest"
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
