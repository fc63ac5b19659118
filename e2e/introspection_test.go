package e2e_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
)

// opaque is a configuration with an issuer of opaque tokens that begin with "a_", and
// one of those that begin with "b_". The members, each with a comma before it, are
// further ones of the first one's introspection and of the top level's.
func opaque(introspection, top string) string {
	issuer := `{"name": "%[1]s", "issuer": "https://%[1]s.example/", "organization": "org1",
		"tokenHandling": {"kind": "REFERENCE", "pattern": "%[2]s_[a-z0-9]+"},
		"introspection": {"url": "https://%[1]s.example/introspect?x=y", "cluster": "%[1]s"%[3]s}}`
	return `{"issuers": [` + fmt.Sprintf(issuer, "idp1", "a", introspection) + `, ` + fmt.Sprintf(issuer, "idp2", "b", "") + `,
		{"name": "idp", "issuer": "https://idp.example/", "organization": "org1",
			"signatureValidation": {"jwks": {"url": "https://idp.example/jwks", "cluster": "idp"}}}]` + top + `}`
}

// asked ticks and returns the introspections that this begins. Fetches of keys are
// lost.
func asked(w *e2e.Worker) (calls []*host.Callout) {
	w.Tick()
	for _, c := range w.VM.TakeCallouts() {
		if c.Headers.Values(":method")[0] == "POST" {
			calls = append(calls, c)
		}
	}
	return calls
}

// askedAbout is the token that a provider is asked about.
func askedAbout(t *testing.T, c *host.Callout) string {
	t.Helper()
	form, err := url.ParseQuery(string(c.Body))
	if err != nil || len(form) != 2 || form.Get("token_type_hint") != "access_token" {
		t.Fatalf("form %q: %v", c.Body, err)
	}
	return form.Get("token")
}

// say answers an introspection.
func say(t *testing.T, c *host.Callout, answer string) {
	t.Helper()
	if err := c.Respond(host.Headers{{":status", "200"}}, []byte(answer), nil); err != nil {
		t.Fatal(err)
	}
}

// active is the answer for a good token that ends at a time.
func active(exp time.Time) string {
	return fmt.Sprintf(`{"active":true,"sub":"alice","exp":%d}`, exp.Unix())
}

// one ticks and returns the one introspection that this begins.
func one(t *testing.T, w *e2e.Worker) *host.Callout {
	t.Helper()
	calls := asked(w)
	if len(calls) != 1 {
		t.Fatalf("%d introspections, want 1", len(calls))
	}
	return calls[0]
}

func TestIntrospectionRequest(t *testing.T) {
	w := newWorker(t, opaque(`, "clientId": "or gate", "clientSecret": "s:3c/ret"`, ""))
	w.Open(request("a_1"))
	c := one(t, w)
	got := map[string]string{"cluster": c.Cluster, "token": askedAbout(t, c), "timeout": c.Timeout.String()}
	for _, h := range c.Headers {
		got[h[0]] = h[1]
	}
	want := map[string]string{"cluster": "idp1", "token": "a_1", "timeout": "5s", ":method": "POST", ":scheme": "https",
		":authority": "idp1.example", ":path": "/introspect?x=y", "accept": "application/json", "user-agent": "orgate",
		"content-length": "38",
		"content-type":   "application/x-www-form-urlencoded",
		"authorization":  "Basic " + base64.StdEncoding.EncodeToString([]byte("or+gate:s%3A3c%2Fret"))}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

// TestOneIntrospectionForAll: requests with one token wait for one answer, and those
// that come later need none until it is old.
func TestOneIntrospectionForAll(t *testing.T) {
	w := newWorker(t, opaque(`, "cacheFor": "30s"`, ""))
	var streams []*host.Stream
	for range 3 {
		streams = append(streams, w.Open(request("a_1")))
	}
	c := one(t, w)
	streams = append(streams, w.Open(request("a_1")))
	equal(t, "further introspections", len(asked(w)), 0)
	say(t, c, active(w.Time.Add(time.Hour)))
	for _, s := range streams {
		judged(t, s, 200, "ok")
	}
	equal(t, "verdict of one more", judgement(w, "a_1"), "200 ok")
	w.Time = w.Time.Add(30*time.Second - 1)
	equal(t, "verdict just before the answer is old", judgement(w, "a_1"), "200 ok")
	w.Time = w.Time.Add(1)
	equal(t, "verdict once it is old", judgement(w, "a_1"), "waits")
	say(t, one(t, w), `{"active":false}`)
	equal(t, "verdict of a token that was revoked", judgement(w, "a_1"), "401 inactive")
	equal(t, "of a refusal, introspections", len(asked(w)), 0)
	w.Time = w.Time.Add(10 * time.Second)
	equal(t, "verdict 10 s later", judgement(w, "a_1"), "waits")
}

// TestAnswerIsNotKeptBeyondItsExpiry, not even by the skew.
func TestAnswerIsNotKeptBeyondItsExpiry(t *testing.T) {
	w := newWorker(t, opaque(`, "cacheFor": "1h"`, ""))
	w.Open(request("a_1"))
	say(t, one(t, w), active(w.Time.Add(20*time.Second)))
	equal(t, "verdict", judgement(w, "a_1"), "200 ok")
	w.Time = w.Time.Add(20 * time.Second)
	equal(t, "verdict once it has expired", judgement(w, "a_1"), "waits")
	// A provider that lets tokens outlive themselves is not asked each time.
	say(t, one(t, w), active(w.Time.Add(-2*time.Minute)))
	equal(t, "verdict of an active token that has expired", judgement(w, "a_1"), "401 expired")
	equal(t, "introspections", len(asked(w)), 0)
}

// TestProviderThatSaysNothing: every failure is 503, with Retry-After, and the next
// request asks anew.
func TestProviderThatSaysNothing(t *testing.T) {
	answers := map[string]func(*host.Callout) error{
		"status 401": func(c *host.Callout) error { return c.Respond(host.Headers{{":status", "401"}}, nil, nil) },
		"no JSON": func(c *host.Callout) error {
			return c.Respond(host.Headers{{":status", "200"}}, []byte("<html>"), nil)
		},
		"too large": func(c *host.Callout) error {
			return c.Respond(host.Headers{{":status", "200"}},
				[]byte(`{"active":true,"x":"`+strings.Repeat("x", 1<<20)+`"}`), nil)
		},
		"a failed call": (*host.Callout).Fail,
		"a time-out":    func(c *host.Callout) error { return c.FailStatus(504) },
	}
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t, opaque(`, "clientId": "id", "clientSecret": "s3cret"`, ""))
			for range 2 {
				s := w.Open(request("a_1secret"))
				if err := answers[name](one(t, w)); err != nil {
					t.Fatal(err)
				}
				judged(t, s, 503, "introspection_unavailable")
				equal(t, "Retry-After", e2e.Outcome(s).Headers.Values("retry-after"), []string{"1"})
			}
			log := strings.Join(w.Log, "\n")
			if !strings.Contains(log, "issuer idp1: introspection at https://idp1.example/introspect: ") ||
				strings.Contains(log, "secret") || strings.Contains(log, "s3cret") || strings.Contains(log, "x=y") {
				t.Errorf("log:\n%s", log)
			}
			equal(t, "lines about it", strings.Count(log, "introspection at"), 1)
		})
	}
}

// TestSlowProvider: a request waits for as long as it may. A provider that does not
// answer takes half of the calls, the odd one too, and other providers' tokens pass.
func TestSlowProvider(t *testing.T) {
	w := newWorker(t, opaque("", `, "limits": {"fetches": 7, "waitingRequests": 64, "keyWait": "3s"}`))
	w.Tick()
	for _, c := range w.VM.TakeCallouts() { // those for keys
		answer(t, c, scenario.First())
	}
	var slow []*host.Stream
	for n := range 40 {
		slow = append(slow, w.Open(request(fmt.Sprintf("a_%d", n))))
	}
	refused := 0
	for _, s := range slow {
		if o := e2e.Outcome(s); !o.Waiting {
			judged(t, s, 503, "introspection_unavailable")
			refused++
		}
	}
	equal(t, "requests that find no room", refused, 40-32)
	equal(t, "introspections of the slow one", len(asked(w)), 4)
	equal(t, "further ones", len(asked(w)), 0)
	s := w.Open(request("b_1"))
	c := one(t, w)
	equal(t, "cluster", c.Cluster, "idp2")
	say(t, c, active(w.Time.Add(time.Hour)))
	judged(t, s, 200, "ok")
	equal(t, "verdict of a JWT", judgement(w, scenario.First().Token(scenario.Claims{"iss": "https://idp.example/"})),
		"200 ok")
	w.Time = w.Time.Add(3 * time.Second)
	for len(asked(w)) > 0 || w.Time.Before(scenario.Now.Add(4*time.Second)) {
		w.Time = w.Time.Add(time.Second)
	}
	for _, s := range slow {
		judged(t, s, 503, "introspection_unavailable")
	}
}

// many are tokens of the first issuer, that take all entries there are or, with
// padding, all octets.
func many(padding int) (tokens []string) {
	for n := range 1000 {
		tokens = append(tokens, fmt.Sprintf("a_%d%s", n, strings.Repeat("x", padding/(n/400+1))))
		if n >= 600 {
			padding = 0
		}
	}
	return tokens
}

// TestRequestsThatHaveGone: a client that begins requests and drops them takes nothing
// from others.
func TestRequestsThatHaveGone(t *testing.T) {
	for name, padding := range map[string]int{"short": 0, "long": 4000} {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t, opaque("", `, "limits": {"waitingRequests": 700}`))
			for _, token := range many(padding) {
				w.Open(request(token)).Close()
			}
			for _, token := range []string{"a_good", "b_good"} {
				s := w.Open(request(token))
				say(t, one(t, w), active(w.Time.Add(time.Hour)))
				judged(t, s, 200, "ok")
			}
		})
	}
}

// TestRequestsWithoutRoom: requests that find no room, for themselves or their tokens,
// take none of another provider's.
func TestRequestsWithoutRoom(t *testing.T) {
	for name, padding := range map[string]int{"short": 0, "long": 4000} {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t, opaque("", `, "limits": {"waitingRequests": 700}`))
			for _, token := range many(padding) {
				w.Open(request(token))
			}
			asked(w) // nobody answers
			s := w.Open(request("b_good"))
			say(t, one(t, w), active(w.Time.Add(time.Hour)))
			judged(t, s, 200, "ok")
		})
	}
}

// TestReconfigurationWhileAsked: what a provider has said, or is about to say, by the
// configuration before is nothing by the next one.
func TestReconfigurationWhileAsked(t *testing.T) {
	first := opaque("", "")
	second := strings.ReplaceAll(first, `"org1"`, `"org2"`)
	w := newWorker(t, first)
	w.Open(request("a_known"))
	say(t, one(t, w), active(w.Time.Add(time.Hour)))
	equal(t, "verdict", judgement(w, "a_known"), "200 ok")
	s := w.Open(request("a_1"))
	before := one(t, w)
	if err := w.Configure([]byte(second)); err != nil {
		t.Fatal(err)
	}
	say(t, before, active(w.Time.Add(time.Hour)))
	if o := e2e.Outcome(s); !o.Waiting {
		t.Fatalf("by the answer to the configuration before: %s", verdict(o))
	}
	equal(t, "verdict of what was known", judgement(w, "a_known"), "waits")
	var calls []*host.Callout
	for range 3 {
		calls = append(calls, asked(w)...)
	}
	equal(t, "introspections", len(calls), 2)
	for _, c := range calls {
		if askedAbout(t, c) == "a_1" {
			say(t, c, active(w.Time.Add(time.Hour)))
		}
	}
	judged(t, s, 200, "ok")
	equal(t, "organization", e2e.Outcome(s).Upstream.Values("x-wso2-organization"), []string{"org2"})

	s = w.Open(request("a_2"))
	last := one(t, w)
	if err := w.Configure([]byte(`{}`)); err == nil {
		t.Fatal("a configuration without issuers was accepted")
	}
	say(t, last, active(w.Time.Add(time.Hour)))
	w.Tick()
	judged(t, s, 500, "internal")
	equal(t, "verdict without a configuration", judgement(w, "a_1"), "500 internal")
	if err := w.Configure([]byte(first)); err != nil {
		t.Fatal(err)
	}
	for _, c := range calls { // the other one is late
		if askedAbout(t, c) == "a_known" {
			say(t, c, active(w.Time.Add(time.Hour)))
		}
	}
	equal(t, "verdict in the end", judgement(w, "a_1"), "waits")
	if log := strings.Join(w.Log, "\n"); strings.Contains(log, "panic") || strings.Contains(log, "a_") {
		t.Errorf("log:\n%s", log)
	}
}

// TestBoundTokenSeenBefore: whatever connection a bound token was first shown over, it
// is good over its own alone.
func TestBoundTokenSeenBefore(t *testing.T) {
	digest := sha256.Sum256([]byte("cert"))
	bound := fmt.Sprintf(`{"active":true,"sub":"alice","cnf":{"x5t#S256":%q}}`,
		base64.RawURLEncoding.EncodeToString(digest[:]))
	for _, mode := range []string{"enforce", "require"} {
		for _, order := range [][]string{{"cert", "other", ""}, {"", "cert", "other"}, {"other", "", "cert"}} {
			w := newWorker(t, strings.Replace(opaque("", ""), `"name": "idp1",`,
				`"name": "idp1", "certificateBinding": "`+mode+`",`, 1))
			s := w.Open(scenario.Request{Token: "a_1", Certificate: order[0]})
			say(t, one(t, w), bound)
			for n, certificate := range append(order, order...) {
				if n > 0 {
					s = w.Open(scenario.Request{Token: "a_1", Certificate: certificate})
				}
				if certificate == "cert" {
					judged(t, s, 200, "ok")
				} else {
					judged(t, s, 401, "binding")
				}
			}
		}
	}
}

// TestClockSetBackKeepsNoAnswer: an answer is not kept for the hour that the clock is set
// back by.
func TestClockSetBackKeepsNoAnswer(t *testing.T) {
	for answer, want := range map[string]string{`{"active":true,"sub":"alice"}`: "200 ok",
		`{"active":false}`: "401 inactive"} {
		w := newWorker(t, opaque("", ""))
		w.Open(request("a_1"))
		say(t, one(t, w), answer)
		equal(t, "verdict", judgement(w, "a_1"), want)
		w.Time = w.Time.Add(-time.Hour)
		equal(t, "verdict an hour before", judgement(w, "a_1"), "waits")
	}
}

// TestAnswersOfTwoProviders: what one provider says of a token is nothing to a rule that
// takes another one's, remembered or not.
func TestAnswersOfTwoProviders(t *testing.T) {
	issuer := `{"name": "%[1]s", "issuer": "https://%[1]s.example/", "organization": "%[2]s",
		"tokenHandling": {"kind": "REFERENCE", "pattern": "a_.+"},
		"introspection": {"url": "https://%[1]s.example/introspect", "cluster": "%[1]s"}}`
	w := newWorker(t, `{"issuers": [`+fmt.Sprintf(issuer, "idp1", "org1")+`, `+fmt.Sprintf(issuer, "idp2", "org2")+`],
		"rules": [{"match": {"pathPrefix": "/1"}, "organization": "*", "issuers": ["idp1"]},
			{"match": {"pathPrefix": "/2"}, "organization": "*", "issuers": ["idp2"]},
			{"organization": "*"}]}`)
	at := func(path string) *host.Stream { return w.Open(scenario.Request{Path: path, Token: "a_1"}) }
	organization := func(s *host.Stream) string {
		return strings.Join(e2e.Outcome(s).Upstream.Values("x-wso2-organization"), ",")
	}
	both := map[string]*host.Stream{"/1": at("/1"), "/2": at("/2")}
	for _, c := range asked(w) {
		say(t, c, active(w.Time.Add(time.Hour)))
	}
	for range 2 {
		equal(t, "organizations", []string{organization(both["/1"]), organization(both["/2"])},
			[]string{"org1", "org2"})
		for _, path := range []string{"/1", "/2"} {
			s := at(path)
			if e2e.Outcome(s).Waiting {
				c := one(t, w)
				equal(t, "cluster that is asked for "+path, c.Cluster, "idp"+path[1:])
				say(t, c, active(w.Time.Add(time.Hour)))
			}
			both[path] = s
		}
	}
}

// TestRevokedForOneOrganization: a provider's word that a token is not good ends what it
// has said before, for all its organizations.
func TestRevokedForOneOrganization(t *testing.T) {
	issuer := `{"name": "%[1]s", "issuer": "https://idp1.example/", "organization": "%[1]s",
		"sharedAcrossOrganizations": true, "tokenHandling": {"kind": "REFERENCE", "pattern": "a_.+"},
		"introspection": {"url": "https://idp1.example/introspect", "cluster": "idp1"}}`
	w := newWorker(t, `{"issuers": [`+fmt.Sprintf(issuer, "org1")+`, `+fmt.Sprintf(issuer, "org2")+`],
		"rules": [{"match": {"pathPrefix": "/1"}, "organization": "org1"}, {"organization": "org2"}]}`)
	at := func(path string) *host.Stream { return w.Open(scenario.Request{Path: path, Token: "a_1"}) }
	s := at("/1")
	say(t, one(t, w), active(w.Time.Add(time.Hour)))
	judged(t, s, 200, "ok")
	judged(t, at("/1"), 200, "ok")
	s = at("/2")
	say(t, one(t, w), `{"active":false}`)
	judged(t, s, 401, "inactive")
	judged(t, at("/2"), 401, "inactive")
	judged(t, at("/1"), 401, "inactive")
}

// TestInventedTokens: what strangers make up costs the provider no more than ten
// calls a second, once a hundred have been tried, and other issuers nothing.
func TestInventedTokens(t *testing.T) {
	w := newWorker(t, opaque("", ""))
	w.Open(request("a_good"))
	say(t, one(t, w), active(w.Time.Add(time.Hour)))
	try := func(n int) (calls int) {
		w.Open(request(fmt.Sprintf("a_%d", n)))
		for _, c := range asked(w) {
			calls++
			say(t, c, `{"active":false}`)
		}
		return calls
	}
	calls := 0
	for n := range 300 {
		calls += try(n)
	}
	equal(t, "calls", calls, 100)
	equal(t, "verdict of one more", judgement(w, "a_more"), "503 introspection_unavailable")
	equal(t, "verdict of one that is known", judgement(w, "a_good"), "200 ok")
	equal(t, "verdict of another issuer's", judgement(w, "b_1"), "waits")
	say(t, one(t, w), active(w.Time.Add(time.Hour)))
	w.Time = w.Time.Add(time.Second)
	calls = 0
	for n := range 100 {
		calls += try(1000 + n)
	}
	equal(t, "calls a second later", calls, 10)
	// Garbage costs nothing.
	for _, garbage := range []string{"c_1", "a_", "a_A", "a_" + strings.Repeat("x", 5000)} {
		equal(t, "verdict of garbage", judgement(w, garbage), "401 opaque")
	}
	equal(t, "calls for garbage", len(asked(w)), 0)
	equal(t, "introspections counted as inactive", metric(w, "orgate_introspections", "inactive"), uint64(110))
	for name := range w.Metrics.Values() { // The configuration has no rules.
		if strings.HasPrefix(name, "orgate_requests") && !strings.Contains(name, "rule=.=none;") {
			t.Errorf("counted: %s", name)
		}
	}
}

// TestInventedTokensThatAreNoAnswer: tokens for which a provider has no answer but an
// error, or none in time, cost it no more than those that are not active.
func TestInventedTokensThatAreNoAnswer(t *testing.T) {
	for name, end := range map[string]func(*host.Callout) error{
		"status 400":    func(c *host.Callout) error { return c.Respond(host.Headers{{":status", "400"}}, nil, nil) },
		"a failed call": (*host.Callout).Fail,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t, opaque("", ""))
			calls := 0
			for n := range 300 {
				w.Open(request(fmt.Sprintf("a_%d", n)))
				for _, c := range asked(w) {
					calls++
					if err := end(c); err != nil {
						t.Fatal(err)
					}
				}
			}
			equal(t, "calls", calls, 100)
			equal(t, "verdict of one more", judgement(w, "a_good"), "503 introspection_unavailable")
			w.Time = w.Time.Add(200 * time.Millisecond)
			s := w.Open(request("a_good"))
			say(t, one(t, w), active(w.Time.Add(time.Hour)))
			judged(t, s, 200, "ok")
		})
	}
}

// metric is the sum of the counters of a family whose names hold a text.
func metric(w *e2e.Worker, family, text string) (sum uint64) {
	for name, value := range w.Metrics.Values() {
		if strings.HasPrefix(name, family) && strings.Contains(name, "="+text+";") {
			sum += value
		}
	}
	return sum
}

// TestIntrospectionEndsAfterItsStream, after a new configuration, and after it was
// given up, and nothing comes of it.
func TestIntrospectionEndsLate(t *testing.T) {
	w := newWorker(t, opaque("", ""))
	s := w.Open(request("a_1"))
	c := one(t, w)
	s.Close()
	say(t, c, active(w.Time.Add(time.Hour)))
	equal(t, "verdict after a client has gone", judgement(w, "a_1"), "waits")

	w = newWorker(t, opaque("", ""))
	w.Open(request("a_1"))
	lost := one(t, w)
	w.Time = w.Time.Add(7 * time.Second) // beyond timeout and slack
	w.Tick()
	s = w.Open(request("a_1"))
	c = one(t, w)
	say(t, c, active(w.Time.Add(time.Hour)))
	judged(t, s, 200, "ok")
	say(t, lost, `{"active":false}`)
	equal(t, "verdict after a late answer", judgement(w, "a_1"), "200 ok")
}

func testIntrospectionPlace(t *testing.T) {
	for _, place := range []string{"idp1", "idp2"} {
		configuration := strings.NewReplacer("https://idp1.example/introspect", "http://"+place+".example:81/i",
			`"cluster": "idp1"`, `"cluster": "`+place+`"`).Replace(opaque("", ""))
		w := newWorker(t, configuration)
		w.Open(request("a_1"))
		c := one(t, w)
		equal(t, "place", []string{c.Cluster, c.Headers.Values(":scheme")[0], c.Headers.Values(":authority")[0],
			c.Headers.Values(":path")[0]},
			[]string{place, "http", place + ".example:81", "/i?x=y"})
	}
}

func testIntrospectionClient(t *testing.T) {
	for members, want := range map[string]string{
		"": "", `, "clientId": "a", "clientSecret": "b"`: "a:b",
		`, "clientId": "c", "clientSecret": {"fromEnvironment": "SECRET"}`: "c:hidden",
	} {
		w := newWorker(t, opaque(members, ""), func(c *host.Config) { c.Env = map[string]string{"SECRET": "hidden"} })
		w.Open(request("a_1"))
		basic := strings.Join(one(t, w).Headers.Values("authorization"), "")
		if want != "" {
			want = "Basic " + base64.StdEncoding.EncodeToString([]byte(want))
		}
		equal(t, "authorization with "+members, basic, want)
	}
}

// testIntrospectionSecret: a variable that is not there is a mistake.
func testIntrospectionSecret(t *testing.T) {
	testIntrospectionClient(t)
	for _, environment := range []map[string]string{nil, {"SECRET": ""}} {
		_, err := e2e.NewWorker(hosttest.Plugin(t),
			opaque(`, "clientId": "a", "clientSecret": {"fromEnvironment": "SECRET"}`, ""),
			func(c *host.Config) { c.Env = environment })
		if err == nil || !strings.Contains(err.Error(),
			"issuers[0].introspection.clientSecret.fromEnvironment: the proxy gives the plugin no variable") {
			t.Errorf("environment %v: %v", environment, err)
		}
	}
}

func testIntrospectionTimeout(t *testing.T) {
	for members, want := range map[string]time.Duration{"": 5 * time.Second,
		`, "timeout": "1500ms"`: 1500 * time.Millisecond} {
		w := newWorker(t, opaque(members, ""))
		w.Open(request("a_1"))
		equal(t, "timeout with "+members, one(t, w).Timeout, want)
	}
}

func testCacheFor(t *testing.T) {
	for members, want := range map[string]string{"": "200 ok", `, "cacheFor": "30s"`: "waits",
		`, "cacheFor": "0s"`: "waits"} {
		w := newWorker(t, opaque(members, ""))
		s := w.Open(request("a_1"))
		say(t, one(t, w), active(w.Time.Add(time.Hour)))
		judged(t, s, 200, "ok")
		w.Time = w.Time.Add(45 * time.Second)
		equal(t, "verdict after 45 s with "+members, judgement(w, "a_1"), want)
	}
}
