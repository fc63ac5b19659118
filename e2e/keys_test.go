package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
)

// fetching is the configuration of one issuer whose keys are fetched.
const fetching = `{
  "issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
    "signatureValidation": {"jwks": {"url": "https://idp1.example/oauth2/jwks?v=1", "cluster": "idp1"}}}],
  "limits": {"waitingRequests": 2, "keyWait": "3s"}
}`

func newWorker(t *testing.T, configuration string, change ...func(*host.Config)) *e2e.Worker {
	t.Helper()
	w, err := e2e.NewWorker(hosttest.Plugin(t), configuration, change...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.VM.Close() })
	return w
}

// fetch ticks and returns the one callout that this must make.
func fetch(t *testing.T, w *e2e.Worker) *host.Callout {
	t.Helper()
	w.Tick()
	callouts := w.VM.TakeCallouts()
	if len(callouts) != 1 {
		t.Fatalf("%d callouts, want 1", len(callouts))
	}
	return callouts[0]
}

// answer answers a callout with a JWK Set.
func answer(t *testing.T, c *host.Callout, signers ...*scenario.Signer) {
	t.Helper()
	headers := host.Headers{{":status", "200"}, {"content-type", "application/json"}}
	if err := c.Respond(headers, []byte(scenario.JWKS(signers...)), nil); err != nil {
		t.Fatal(err)
	}
}

// judged checks what became of a stream.
func judged(t *testing.T, s *host.Stream, status int, reason string) {
	t.Helper()
	got := e2e.Outcome(s)
	if got.Passed {
		got.Status = 200
	}
	if got.Waiting || got.Status != status || got.Reason != reason {
		t.Errorf("status %d, reason %q, waiting %v; want %d, %q", got.Status, got.Reason, got.Waiting, status, reason)
	}
}

// verdict is an outcome in short: "200 ok".
func verdict(o scenario.Outcome) string {
	if o.Passed {
		o.Status = 200
	}
	return fmt.Sprint(o.Status, " ", o.Reason)
}

func request(token string, headers ...[2]string) scenario.Request {
	return scenario.Request{Token: token, Headers: headers}
}

func TestRequestWaitsForTheFirstKeys(t *testing.T) {
	w := newWorker(t, fetching)
	if period := w.TickPeriod(); period != time.Millisecond {
		t.Errorf("first tick after %v, want it soon", period)
	}
	s := w.Open(request(scenario.First().Token(), [2]string{"x-wso2-organization", "org2"}))
	if !e2e.Outcome(s).Waiting {
		t.Fatal("the request does not wait")
	}
	c := fetch(t, w)
	want := &host.Callout{ID: c.ID, Cluster: "idp1", Timeout: 5 * time.Second, Headers: host.Headers{
		{":method", "GET"}, {":scheme", "https"}, {":authority", "idp1.example"}, {":path", "/oauth2/jwks?v=1"},
		{"accept", "application/json, application/jwk-set+json"}, {"user-agent", "orgate"},
	}}
	if diff := cmp.Diff([]any{want.Cluster, want.Timeout, want.Headers}, []any{c.Cluster, c.Timeout,
		c.Headers}); diff != "" {
		t.Errorf("callout (-want +got):\n%s", diff)
	}
	answer(t, c, scenario.First())
	judged(t, s, 200, "ok")
	if got := s.RequestHeaderMap(); len(got.Values("authorization")) > 0 ||
		!cmp.Equal(got.Values("x-wso2-organization"), []string{"org1"}) {
		t.Errorf("headers to the upstream: %v", got)
	}
	s.Close()
	if got := w.Metrics.Values()["orgate_jwks_keysissuer=.=idp1;.;"]; got != 1 {
		t.Errorf("gauge of keys %d, want 1", got)
	}
}

// TestWaitingRequestsAreJudgedEachByItself: several wait for the same keys, and
// one of them is not signed with any.
func TestWaitingRequestsAreJudgedEachByItself(t *testing.T) {
	w := newWorker(t, fetching)
	good := w.Open(request(scenario.First().Token()))
	forged := w.Open(request(scenario.Stranger().Token()))
	answer(t, fetch(t, w), scenario.First())
	judged(t, good, 200, "ok")
	judged(t, forged, 401, "bad_signature")
}

func TestNoMoreThanTheLimitWait(t *testing.T) {
	w := newWorker(t, fetching)
	for range 2 {
		if s := w.Open(request(scenario.First().Token())); !e2e.Outcome(s).Waiting {
			t.Fatal("a request does not wait")
		}
	}
	judged(t, w.Open(request(scenario.First().Token())), 503, "keys_unavailable")
}

// TestWhoeverGoesMakesRoom: streams that ended do not count as waiting.
func TestWhoeverGoesMakesRoom(t *testing.T) {
	w := newWorker(t, fetching)
	for range 5 {
		s := w.Open(request(scenario.First().Token()))
		if !e2e.Outcome(s).Waiting {
			t.Fatal("a request does not wait")
		}
		s.Close()
	}
}

func TestAWaitEnds(t *testing.T) {
	w := newWorker(t, fetching)
	s := w.Open(request(scenario.First().Token()))
	c := fetch(t, w)
	w.Time = w.Time.Add(3*time.Second - time.Millisecond)
	w.Tick()
	if !e2e.Outcome(s).Waiting {
		t.Fatal("the wait ended early")
	}
	if period := w.TickPeriod(); period > 100*time.Millisecond {
		t.Errorf("ticks every %v while a request waits", period)
	}
	w.Time = w.Time.Add(time.Millisecond)
	w.Tick()
	judged(t, s, 503, "keys_unavailable")
	if retry := s.LocalResponse().Headers.Values("retry-after"); !cmp.Equal(retry, []string{"1"}) {
		t.Errorf("retry-after %q", retry)
	}
	answer(t, c, scenario.First()) // too late for that one
	judged(t, w.Open(request(scenario.First().Token())), 200, "ok")
}

func TestStreamThatEndedWhileWaitingIsForgotten(t *testing.T) {
	w := newWorker(t, fetching)
	gone, stays := w.Open(request(scenario.First().Token())), w.Open(request(scenario.First().Token()))
	c := fetch(t, w)
	gone.Close()
	answer(t, c, scenario.First())
	judged(t, stays, 200, "ok")
	stays.Close()
	if live := w.VM.LiveContexts(); live != 1 {
		t.Errorf("%d contexts are left", live)
	}
}

func TestFailedFetches(t *testing.T) {
	for _, c := range []struct {
		name   string
		fail   func(*host.Callout) error
		result string
		log    string
	}{
		{"no headers", (*host.Callout).Fail, "no_answer", ": no answer; there are no keys"},
		{"503 made up by the proxy", func(c *host.Callout) error { return c.FailStatus(503) }, "no_answer",
			`: no answer: the proxy says "no healthy upstream" (status 503)`},
		{"504 made up by the proxy", func(c *host.Callout) error { return c.FailStatus(504) }, "no_answer",
			`: no answer: the proxy says "upstream request timeout" (status 504)`},
		{"503 of the provider", func(c *host.Callout) error {
			return c.Respond(host.Headers{{":status", "503"}, {"content-type", "text/plain"}, {"date",
				"Sun, 22 Nov 2026 12:00:00 GMT"}}, []byte("upstream down"), nil)
		}, "status", `: status 503; content-type "text/plain"`},
		{"404", func(c *host.Callout) error { return c.Respond(host.Headers{{":status", "404"}}, []byte("x"), nil) },
			"status", "status 404"},
		{"a redirect", func(c *host.Callout) error {
			return c.Respond(host.Headers{{":status", "302"}, {"location", "https://idp1.example/login?state=s"}},
				nil, nil)
		}, "status", `: status 302, a redirect to "https://idp1.example/login", which is not followed; there are no keys`},
		{"a page", func(c *host.Callout) error {
			return c.Respond(host.Headers{{":status", "200"}, {"content-type", "text/html"}}, []byte("<html>"), nil)
		}, "not_a_jwk_set", `: not a JWK Set: invalid JSON at byte 0; content-type "text/html"`},
		{"compressed", func(c *host.Callout) error {
			return c.Respond(host.Headers{{":status", "200"}, {"content-type", "application/json"},
				{"content-encoding", "gzip"}}, []byte("\x1f\x8b"), nil)
		}, "not_a_jwk_set", `: not a JWK Set: invalid JSON at byte 0; content-encoding "gzip"`},
		{"empty", func(c *host.Callout) error { return c.Respond(host.Headers{{":status", "200"}}, nil, nil) },
			"empty", "no body"},
		{"truncated", func(c *host.Callout) error {
			return c.Respond(host.Headers{{":status", "200"}}, []byte(scenario.JWKS(scenario.First())[:100]), nil)
		}, "not_a_jwk_set", "not a JWK Set"},
		{"huge", func(c *host.Callout) error {
			return c.Respond(host.Headers{{":status", "200"}}, []byte(strings.Repeat(" ", 600<<10)), nil)
		}, "too_large", "more than 262144 bytes"},
		{"no key", func(c *host.Callout) error {
			return c.Respond(host.Headers{{":status", "200"}}, []byte(`{"keys":[]}`), nil)
		}, "no_usable_key", "no usable key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorker(t, fetching)
			s := w.Open(request(scenario.First().Token()))
			if err := c.fail(fetch(t, w)); err != nil {
				t.Fatal(err)
			}
			judged(t, s, 503, "keys_unavailable")
			name := fmt.Sprintf("orgate_jwks_fetchesissuer=.=idp1;.;result=.=%s;.;", c.result)
			if got := w.Metrics.Values()[name]; got != 1 {
				t.Errorf("%s is %d, want 1, of %v", name, got, w.Metrics.Values())
			}
			log := strings.Join(w.Log, "\n")
			if !strings.Contains(log, "3 issuer idp1: fetch of https://idp1.example/oauth2/jwks?v=1: ") ||
				!strings.Contains(log, c.log) {
				t.Errorf("log %q, want %q in it", log, c.log)
			}
			if strings.Contains(log, "keys from") {
				t.Errorf("log %q reads as success", log)
			}
			// It recovers by itself.
			w.Time = w.Time.Add(2 * time.Second)
			answer(t, fetch(t, w), scenario.First())
			judged(t, w.Open(request(scenario.First().Token())), 200, "ok")
		})
	}
}

// TestFetchesAreLogged: what happened, where, and which keys there are.
func TestFetchesAreLogged(t *testing.T) {
	w := newWorker(t, discovering)
	log := func(w *e2e.Worker, want ...string) {
		t.Helper()
		var got []string
		for _, line := range w.Log {
			if strings.Contains(line, "issuer idp1") && !strings.HasPrefix(line, "1 ") {
				got = append(got, line)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		w.Log = nil
	}
	respond := func(c *host.Callout, headers host.Headers, body string) {
		t.Helper()
		if err := c.Respond(headers, []byte(body), nil); err != nil {
			t.Fatal(err)
		}
	}
	ok := host.Headers{{":status", "200"}, {"content-type", "application/json"}}
	const discovery = `{"issuer":"https://idp1.example/","jwks_uri":"https://idp1.example/keys"}`
	// next is the call for the keys of the next fetch.
	next := func() *host.Callout {
		t.Helper()
		w.Time = w.Time.Add(10 * time.Minute)
		respond(fetch(t, w), ok, discovery)
		return w.VM.TakeCallouts()[0]
	}

	respond(fetch(t, w), host.Headers{{":status", "200"}, {"content-type", "text/html"}}, "<html>")
	log(w, `3 issuer idp1: fetch of https://idp1.example/.well-known/openid-configuration: `+
		`discovery document: invalid JSON at byte 0; content-type "text/html"; there are no keys`)
	respond(next(), host.Headers{{":status", "404"}, {"content-type", "text/html"}}, "<html>")
	log(w, `3 issuer idp1: fetch of https://idp1.example/keys: status 404; content-type "text/html"; there are no keys`)
	answer(t, next(), scenario.First())
	log(w, `2 issuer idp1: keys from https://idp1.example/keys: new "k1"`)
	answer(t, next(), scenario.First(), scenario.Rotated())
	log(w, `2 issuer idp1: keys from https://idp1.example/keys: old "k1", new "k2"`)
	answer(t, next(), scenario.Rotated())
	log(w, `2 issuer idp1: keys from https://idp1.example/keys: old "k2", gone "k1"`)
	respond(next(), ok, `{"keys":[{"kty":"oct","kid":"s","k":"AA"}]}`)
	log(w, `3 issuer idp1: fetch of https://idp1.example/keys: no usable key: keys[0] (kid "s"): kty is neither RSA, EC nor OKP; `+
		`there are keys 600 s old: old "k2"`)
}

func TestUnknownKidFetchesAgainOncePerCooldown(t *testing.T) {
	w := newWorker(t, fetching)
	answer(t, fetch(t, w), scenario.First())
	w.Time = w.Time.Add(time.Minute)
	w.Tick()
	regular := w.TickPeriod()
	rotated := w.Open(request(scenario.Rotated().Token()))
	if soon := w.TickPeriod(); regular != time.Second || soon > 25*time.Millisecond {
		t.Errorf("ticks every %v, and %v while a request waits", regular, soon)
	}
	answer(t, fetch(t, w), scenario.First(), scenario.Rotated())
	judged(t, rotated, 200, "ok")

	// Made-up kids wait for one fetch, and then for none.
	w.Time = w.Time.Add(30 * time.Second)
	madeUp := scenario.First().With(scenario.Claims{"kid": "made-up"})
	first := w.Open(request(madeUp))
	answer(t, fetch(t, w), scenario.First(), scenario.Rotated())
	judged(t, first, 401, "unknown_key")
	for range 100 {
		judged(t, w.Open(request(madeUp)), 401, "unknown_key")
	}
	w.Tick()
	if n := len(w.VM.TakeCallouts()); n != 0 {
		t.Errorf("%d fetches for made-up kids within the cool-down", n)
	}
}

func TestRemovedKeyStopsWorking(t *testing.T) {
	w := newWorker(t, fetching)
	answer(t, fetch(t, w), scenario.First(), scenario.Rotated())
	token := scenario.First().Token()
	judged(t, w.Open(request(token)), 200, "ok")
	w.Time = w.Time.Add(10 * time.Minute)
	answer(t, fetch(t, w), scenario.Rotated())
	// Its kid is unknown now, which asks the provider once more.
	s := w.Open(request(token))
	answer(t, fetch(t, w), scenario.Rotated())
	judged(t, s, 401, "unknown_key")
	judged(t, w.Open(request(token)), 401, "unknown_key")
}

func TestOutageKeepsTheKeysUntilTheyAreTooOld(t *testing.T) {
	w := newWorker(t, fetching)
	answer(t, fetch(t, w), scenario.First())
	token := scenario.First().Token(scenario.Claims{"exp": scenario.Now.Unix() + 200_000})
	for hours := 0; hours < 24; hours++ {
		w.Time = w.Time.Add(time.Hour)
		if err := fetch(t, w).Fail(); err != nil {
			t.Fatal(err)
		}
		judged(t, w.Open(request(token)), 200, "ok")
	}
	w.Time = w.Time.Add(time.Hour)
	if err := fetch(t, w).Fail(); err != nil {
		t.Fatal(err)
	}
	judged(t, w.Open(request(token)), 503, "keys_unavailable")
	if got := w.Metrics.Values()["orgate_jwks_age_secondsissuer=.=idp1;.;"]; got != 25*3600 {
		t.Errorf("the keys are %d s old, want 25 h", got)
	}
}

func TestIssuersShareALocation(t *testing.T) {
	w := newWorker(t, `{"issuers": [
		{"name": "a", "issuer": "https://idp1.example/", "organization": "org1", "organizationClaim": "org_id",
		 "signatureValidation": {"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1"}}},
		{"name": "b", "issuer": "https://idp1.example/", "organization": "org2", "organizationClaim": "org_id",
		 "signatureValidation": {"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1"}}}],
		"organization": "org2"}`)
	answer(t, fetch(t, w), scenario.First())
	judged(t, w.Open(request(scenario.First().Token(scenario.Claims{"org_id": "org2"}))), 200, "ok")
	judged(t, w.Open(request(scenario.First().Token())), 403, "organization")
}

// TestReconfigurationWhileRequestsWait: they are judged by the new
// configuration, and by none if it is refused.
func TestReconfigurationWhileRequestsWait(t *testing.T) {
	inline := scenario.Expand(`{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"signatureValidation": {"jwks": {"inline": $FIRST}}}]}`)
	w := newWorker(t, fetching)
	s := w.Open(request(scenario.First().Token()))
	if err := w.Configure([]byte(inline)); err != nil {
		t.Fatal(err)
	}
	w.Tick()
	judged(t, s, 200, "ok")

	w = newWorker(t, fetching)
	s = w.Open(request(scenario.First().Token()))
	if err := w.Configure([]byte(`{}`)); err == nil {
		t.Fatal("a configuration without issuers was accepted")
	}
	w.Tick()
	judged(t, s, 500, "internal")
	judged(t, w.Open(request(scenario.First().Token())), 500, "internal")
}
