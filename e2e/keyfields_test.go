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
)

// keyFields are the fields about keys that are fetched, and about what takes
// time. Each function runs the plugin with the field and without it.
var keyFields = map[string]func(*testing.T){
	"issuers[].signatureValidation.jwks.url":                testURL,
	"issuers[].signatureValidation.jwks.wellKnown":          testWellKnown,
	"issuers[].signatureValidation.jwks.allowOtherOrigin":   testAllowOtherOrigin,
	"issuers[].signatureValidation.jwks.cluster":            testCluster,
	"issuers[].signatureValidation.jwks.timeout":            testTimeout,
	"issuers[].signatureValidation.jwks.refreshInterval":    testRefreshInterval,
	"issuers[].signatureValidation.jwks.maxStale":           testMaxStale,
	"issuers[].signatureValidation.jwks.unknownKidCooldown": testUnknownKidCooldown,
	"issuers[].introspection.url":                           testIntrospectionPlace,
	"issuers[].introspection.cluster":                       testIntrospectionPlace,
	"issuers[].introspection.clientId":                      testIntrospectionClient,
	"issuers[].introspection.clientSecret":                  testIntrospectionClient,
	"issuers[].introspection.clientSecret.fromEnvironment":  testIntrospectionSecret,
	"issuers[].introspection.timeout":                       testIntrospectionTimeout,
	"issuers[].introspection.cacheFor":                      testCacheFor,
	"limits.keyWait":                                        testKeyWait,
	"limits.waitingRequests":                                testWaitingRequests,
	"limits.cachedTokens":                                   testCachedTokens,
	"limits.fetches":                                        testFetches,
	"sharing.key":                                           testSharingKey,
	"signatureVerification":                                 testSignatureVerification,
}

func TestKeyFields(t *testing.T) {
	for field, test := range keyFields {
		t.Run(field, test)
	}
}

// fetched starts a plugin with one issuer whose keys are fetched. The members,
// each with a comma before it, are further ones of jwks and of the top level.
func fetched(t *testing.T, jwks, top string, change ...func(*host.Config)) *e2e.Worker {
	t.Helper()
	if !strings.Contains(jwks, "url") && !strings.Contains(jwks, "wellKnown") {
		jwks += `, "url": "https://idp1.example/jwks"`
	}
	if !strings.Contains(jwks, "cluster") {
		jwks += `, "cluster": "idp1"`
	}
	return newWorker(t, fmt.Sprintf(`{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"signatureValidation": {"jwks": {%s}}}]%s}`, strings.TrimPrefix(jwks, ", "), top), change...)
}

// fetches ticks and returns how many callouts that makes. They are lost.
func fetches(w *e2e.Worker) int {
	w.Tick()
	return len(w.VM.TakeCallouts())
}

// judgement is what becomes of a request with a token.
func judgement(w *e2e.Worker, token string) string {
	s := w.Open(request(token))
	o := e2e.Outcome(s)
	if o.Waiting {
		return "waits" // and stays open
	}
	s.Close()
	return verdict(o)
}

// long is a good token for a day.
func long() string {
	return scenario.First().Token(scenario.Claims{"exp": scenario.Now.Add(48 * time.Hour).Unix()})
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func testURL(t *testing.T) {
	for url, want := range map[string][]string{
		"https://idp1.example/jwks":       {"https", "idp1.example", "/jwks"},
		"http://keys.example:8080/a?b=/c": {"http", "keys.example:8080", "/a?b=/c"},
		"https://idp1.example":            {"https", "idp1.example", "/"},
	} {
		h := fetch(t, fetched(t, fmt.Sprintf(`, "url": %q`, url), "")).Headers
		equal(t, url, []string{h.Values(":scheme")[0], h.Values(":authority")[0], h.Values(":path")[0]}, want)
	}
}

const discovered = `, "wellKnown": "https://idp1.example/.well-known/openid-configuration"`

// document answers a callout with a document.
func document(t *testing.T, c *host.Callout, body string) {
	t.Helper()
	if err := c.Respond(host.Headers{{":status", "200"}}, []byte(body), nil); err != nil {
		t.Fatal(err)
	}
}

func testWellKnown(t *testing.T) {
	w := fetched(t, discovered, "")
	s := w.Open(request(scenario.First().Token()))
	c := fetch(t, w)
	equal(t, "path of the first request", c.Headers.Values(":path"), []string{"/.well-known/openid-configuration"})
	document(t, c, `{"issuer": "https://idp1.example/", "jwks_uri": "https://idp1.example/keys"}`)
	callouts := w.VM.TakeCallouts()
	if len(callouts) != 1 {
		t.Fatalf("%d callouts for the keys", len(callouts))
	}
	equal(t, "path of the second request", callouts[0].Headers.Values(":path"), []string{"/keys"})
	answer(t, callouts[0], scenario.First())
	judged(t, s, 200, "ok")
}

// TestDiscoveryOfManyTenants: the document names none of them.
func TestDiscoveryOfManyTenants(t *testing.T) {
	for issuer, want := range map[string]int{"https://idp1.example/{tenantid}/": 1, "https://idp1.example/org1/": 0} {
		w := newWorker(t, `{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/{tid}/", "organization": "*",
			"organizationClaim": "tid", "signatureValidation": {"jwks": {"cluster": "idp1"`+discovered+`}}}],
			"organization": "org1"}`)
		s := w.Open(request(scenario.First().Token(
			scenario.Claims{"iss": "https://idp1.example/org1/", "tid": "org1"})))
		document(t, fetch(t, w), fmt.Sprintf(`{"issuer": %q, "jwks_uri": "https://idp1.example/keys"}`, issuer))
		callouts := w.VM.TakeCallouts()
		equal(t, "requests for the keys, "+issuer, len(callouts), want)
		if want == 1 && len(callouts) == 1 {
			answer(t, callouts[0], scenario.First())
			judged(t, s, 200, "ok")
		}
	}
}

func testAllowOtherOrigin(t *testing.T) {
	for allow, want := range map[string]int{"": 0, `, "allowOtherOrigin": true`: 1} {
		w := fetched(t, discovered+allow, "")
		document(t, fetch(t, w), `{"issuer": "https://idp1.example/", "jwks_uri": "https://keys.example/keys"}`)
		callouts := w.VM.TakeCallouts()
		equal(t, "requests to another origin, with"+allow, len(callouts), want)
		for _, c := range callouts {
			equal(t, "authority", c.Headers.Values(":authority"), []string{"keys.example"})
		}
	}
}

func testCluster(t *testing.T) {
	for _, cluster := range []string{"idp1", "idp2"} {
		equal(t, "cluster", fetch(t, fetched(t, fmt.Sprintf(`, "cluster": %q`, cluster), "")).Cluster, cluster)
	}
}

func testTimeout(t *testing.T) {
	for setting, want := range map[string]time.Duration{"": 5 * time.Second,
		`, "timeout": "700ms"`: 700 * time.Millisecond} {
		equal(t, "timeout with"+setting, fetch(t, fetched(t, setting, "")).Timeout, want)
	}
}

func testRefreshInterval(t *testing.T) {
	for setting, want := range map[string]int{"": 0, `, "refreshInterval": "2m"`: 1} {
		w := fetched(t, setting, "")
		answer(t, fetch(t, w), scenario.First())
		w.Time = w.Time.Add(time.Minute)
		equal(t, "fetches after a minute, with"+setting, fetches(w), 0)
		w.Time = w.Time.Add(time.Minute)
		equal(t, "fetches after two minutes, with"+setting, fetches(w), want)
	}
}

func testMaxStale(t *testing.T) {
	for setting, want := range map[string]string{"": "200 ok", `, "maxStale": "20m"`: "503 keys_unavailable"} {
		w := fetched(t, setting, "")
		answer(t, fetch(t, w), scenario.First())
		for minutes := 5; minutes <= 25; minutes += 5 { // fresh for 10 minutes, and stale from then on
			w.Time = scenario.Now.Add(time.Duration(minutes) * time.Minute)
			w.Tick()
			for _, c := range w.VM.TakeCallouts() {
				if err := c.Fail(); err != nil {
					t.Fatal(err)
				}
			}
			equal(t, fmt.Sprintf("after %d minutes, with%s", minutes, setting), judgement(w, long()), "200 ok")
		}
		w.Time = scenario.Now.Add(31 * time.Minute)
		w.Tick()
		for _, c := range w.VM.TakeCallouts() {
			if err := c.Fail(); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, "after 31 minutes, with"+setting, judgement(w, long()), want)
	}
}

func testUnknownKidCooldown(t *testing.T) {
	for setting, want := range map[string]string{"": "waits", `, "unknownKidCooldown": "5m"`: "401 unknown_key"} {
		w := fetched(t, setting, "")
		answer(t, fetch(t, w), scenario.First())
		w.Time = w.Time.Add(time.Minute)
		s := w.Open(request(scenario.Rotated().Token()))
		answer(t, fetch(t, w), scenario.First())
		judged(t, s, 401, "unknown_key")
		w.Time = w.Time.Add(time.Minute)
		equal(t, "unknown kid again after a minute, with"+setting, judgement(w, scenario.Rotated().Token()), want)
	}
}

func testKeyWait(t *testing.T) {
	for setting, want := range map[string]bool{"": true, `, "limits": {"keyWait": "2s"}`: false} {
		w := fetched(t, "", setting)
		s := w.Open(request(scenario.First().Token()))
		w.Tick()
		w.Time = w.Time.Add(2*time.Second - time.Millisecond)
		w.Tick()
		equal(t, "waits for almost two seconds, with"+setting, e2e.Outcome(s).Waiting, true)
		w.Time = w.Time.Add(time.Millisecond)
		w.Tick()
		equal(t, "waits for two seconds, with"+setting, e2e.Outcome(s).Waiting, want)
	}
}

func testWaitingRequests(t *testing.T) {
	for setting, want := range map[string]string{"": "waits",
		`, "limits": {"waitingRequests": 1}`: "503 keys_unavailable"} {
		w := fetched(t, "", setting)
		equal(t, "first request, with"+setting, judgement(w, scenario.First().Token()), "waits")
		equal(t, "second request, with"+setting, judgement(w, scenario.First().Token()), want)
	}
}

func testCachedTokens(t *testing.T) {
	for setting, want := range map[string]uint64{"": 2, `, "limits": {"cachedTokens": 0}`: 0} {
		w := fetched(t, "", setting)
		answer(t, fetch(t, w), scenario.First())
		for range 3 {
			equal(t, "verdict, with"+setting, judgement(w, scenario.First().Token()), "200 ok")
		}
		w.Tick()
		equal(t, "hits, with"+setting, w.Metrics.Values()["orgate_token_cacheresult=.=hit;.;"], want)
	}
	// One that is full forgets the oldest.
	w := fetched(t, "", `, "limits": {"cachedTokens": 1}`)
	answer(t, fetch(t, w), scenario.First())
	for i := range 4 {
		judgement(w, scenario.First().Token(scenario.Claims{"jti": i % 2}))
	}
	w.Tick()
	equal(t, "hits in a cache of one, of two tokens in turn", w.Metrics.Values()["orgate_token_cacheresult=.=hit;.;"],
		uint64(0))
}

func testFetches(t *testing.T) {
	for limits, want := range map[string]int{`{}`: 16, `{"fetches": 3}`: 3} {
		equal(t, "fetches at once, with limits "+limits, fetches(newWorker(t, manyLocations(20, false, limits))), want)
	}
}

func testSharingKey(t *testing.T) {
	for setting, want := range map[string]string{"": "waits",
		`, "sharing": {"key": "0123456789abcdef0123456789abcdef"}`: "200 ok"} {
		shared := host.NewSharedData()
		share := func(c *host.Config) { c.VMID, c.Shared = "", shared }
		answer(t, fetch(t, fetched(t, "", setting, share)), scenario.First())
		equal(t, "verdict of another worker, with"+setting,
			judgement(fetched(t, "", setting, share), scenario.First().Token()), want)
	}
}

func testSignatureVerification(t *testing.T) {
	for setting, want := range map[string]int{"": 0, `, "signatureVerification": "sandbox"`: 0,
		`, "signatureVerification": "host"`: 1} {
		calls := 0
		w := fetched(t, "", setting, func(c *host.Config) {
			c.Foreign = map[string]host.ForeignFunction{
				"verify_signature": func(arguments []byte) ([]byte, host.Status) {
					calls++
					return host.VerifySignature(arguments)
				}}
		})
		calls = 0 // without those of the self-test
		answer(t, fetch(t, w), scenario.First())
		equal(t, "verdict, with"+setting, judgement(w, scenario.First().Token()), "200 ok")
		equal(t, "calls of verify_signature, with"+setting, calls, want)
	}
}
