package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/jwks"
)

// What is remembered of a token, and of a location, is remembered of that one
// under those circumstances and of no other.

// TestForgeryIsForgottenWithTheKeys: a token that no key fits is refused, and
// accepted when its key has come to be the one with its kid.
func TestForgeryIsForgottenWithTheKeys(t *testing.T) {
	w := newWorker(t, fetching)
	answer(t, fetch(t, w), scenario.First())
	token := scenario.Second().Token() // under the same kid
	for range 2 {
		judged(t, w.Open(request(token)), 401, "bad_signature")
	}
	w.Time = w.Time.Add(10 * time.Minute)
	answer(t, fetch(t, w), scenario.Second())
	judged(t, w.Open(request(token)), 200, "ok")
}

// TestForgeryToOneIssuerIsGoodToAnother that has the same "iss" and other keys.
func TestForgeryToOneIssuerIsGoodToAnother(t *testing.T) {
	w := newWorker(t, scenario.Expand(`{
  "issuers": [
    {"name": "a", "issuer": "https://idp1.example/", "organization": "org1", "sharedAcrossOrganizations": true,
     "signatureValidation": {"jwks": {"inline": $FIRST}}},
    {"name": "b", "issuer": "https://idp1.example/", "organization": "org2", "sharedAcrossOrganizations": true,
     "signatureValidation": {"jwks": {"inline": $SECOND}}}
  ],
  "rules": [
    {"match": {"pathPrefix": "/1"}, "organization": "org1"},
    {"match": {"pathPrefix": "/2"}, "organization": "org2"}
  ]
}`))
	token := scenario.Second().Token()
	for range 2 {
		for path, want := range map[string]string{"/1": "401 bad_signature", "/2": "200 ok"} {
			if got := verdict(w.Serve(scenario.Request{Path: path, Token: token})); got != want {
				t.Errorf("%s: %s, want %s", path, got, want)
			}
		}
	}
}

// thumbprint is the RFC 7638 thumbprint of a signer's key.
func thumbprint(t *testing.T, s *scenario.Signer) string {
	t.Helper()
	set, err := jwks.Parse(scenario.JWKS(s))
	if err != nil {
		t.Fatal(err)
	}
	return set.Keys[0].Thumbprint
}

// TestIssuersWithOtherPinsHaveOtherKeys, though they name the same location.
func TestIssuersWithOtherPinsHaveOtherKeys(t *testing.T) {
	issuer := func(name, iss, pin string) string {
		return fmt.Sprintf(`{"name": %q, "issuer": %q, "organization": "org1",
			"signatureValidation": {"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1", "pins": [%q]}}}`,
			name, iss, pin)
	}
	w := newWorker(t, `{"issuers": [`+issuer("a", "https://a.example", thumbprint(t, scenario.First()))+`,`+
		issuer("b", "https://b.example", thumbprint(t, scenario.Rotated()))+`]}`)
	w.Tick()
	for _, c := range w.VM.TakeCallouts() {
		answer(t, c, scenario.First(), scenario.Rotated())
	}
	for iss, passes := range map[string]*scenario.Signer{"https://a.example": scenario.First(),
		"https://b.example": scenario.Rotated()} {
		for _, signer := range []*scenario.Signer{scenario.First(), scenario.Rotated()} {
			got := w.Serve(request(signer.Token(scenario.Claims{"iss": iss})))
			if got.Passed != (signer == passes) {
				t.Errorf("token of %s signed with %s: %s", iss, signer.KeyID, verdict(got))
			}
		}
	}
}

// TestDiscoveryIsForOneIssuer, though another one names the same document.
func TestDiscoveryIsForOneIssuer(t *testing.T) {
	issuer := func(name, iss string) string {
		return fmt.Sprintf(`{"name": %q, "issuer": %q, "organization": "org1",
			"signatureValidation": {"jwks": {"wellKnown": "https://idp1.example/openid", "cluster": "idp1"}}}`, name, iss)
	}
	w := newWorker(t, `{"issuers": [`+issuer("a", "https://a.example")+`,`+issuer("b", "https://b.example")+`]}`)
	w.Tick()
	for callouts := w.VM.TakeCallouts(); len(callouts) > 0; callouts = append(callouts[1:], w.VM.TakeCallouts()...) {
		if path, _ := callouts[0].Headers.Get(":path"); path == "/openid" {
			document := `{"issuer": "https://a.example", "jwks_uri": "https://idp1.example/jwks"}`
			if err := callouts[0].Respond(host.Headers{{":status", "200"}}, []byte(document), nil); err != nil {
				t.Fatal(err)
			}
		} else {
			answer(t, callouts[0], scenario.First())
		}
	}
	for iss, want := range map[string]string{"https://a.example": "200 ok",
		"https://b.example": "503 keys_unavailable"} {
		if got := verdict(w.Serve(request(scenario.First().Token(scenario.Claims{"iss": iss})))); got != want {
			t.Errorf("%s: %s, want %s", iss, got, want)
		}
	}
}

// TestAWaitEndsThoughTheClockIsSetBack, after the time that it was to take.
func TestAWaitEndsThoughTheClockIsSetBack(t *testing.T) {
	w := newWorker(t, fetching)
	s := w.Open(request(scenario.First().Token()))
	fetch(t, w)
	w.Time = w.Time.Add(-time.Hour)
	w.Tick()
	if !e2e.Outcome(s).Waiting {
		t.Fatal("the wait ended early")
	}
	w.Time = w.Time.Add(3 * time.Second)
	w.Tick()
	judged(t, s, 503, "keys_unavailable")
}
