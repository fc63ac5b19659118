package e2e_test

import (
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
)

// meter counts what the proxy verifies, in verifications with 2048 bits.
type meter struct{ spent, most float64 }

func (m *meter) function(size func() float64) func(*host.Config) {
	return func(c *host.Config) {
		c.Foreign = map[string]host.ForeignFunction{"verify_signature": func(arguments []byte) ([]byte, host.Status) {
			m.spent += size()
			return host.VerifySignature(arguments)
		}}
	}
}

// callback runs one callback of the plugin and takes down what it verified.
func (m *meter) callback(f func()) {
	before := m.spent
	f()
	m.most = max(m.most, m.spent-before)
}

// waitingFor has the proxy verify, and requests wait for two providers.
const waitingFor = `{"signatureVerification": "host", "issuers": [
	{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"signatureValidation": {"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1"}}},
	{"name": "idp2", "issuer": "https://idp2.example/realms/org2", "organization": "org2",
		"signatureValidation": {"jwks": {"url": "https://idp2.example/jwks", "cluster": "idp2"}}}],
	"rules": [{"organization": "*"}]}`

// TestOneCallbackVerifiesNoMoreThanItsBudget: hundreds of forged tokens without a
// kid wait for a provider that then publishes ten long keys. Each callback
// verifies for about two milliseconds, and another provider's token, which came
// last, is judged among the first.
func TestOneCallbackVerifiesNoMoreThanItsBudget(t *testing.T) {
	const budget, one = 8, 4 // units: a callback's, and one verification with 4096 bits
	m := new(meter)
	verifying := 1.0
	w := newWorker(t, waitingFor, m.function(func() float64 { return verifying }))
	m.spent, verifying = 0, one

	forge := forger(scenario.First().With(scenario.Claims{"kid": nil}), 512)
	var forged []*host.Stream
	for range 400 {
		s := w.Open(request(forge()))
		if s.RequestAction() == host.Pause {
			forged = append(forged, s)
		}
	}
	if len(forged) != 400 {
		t.Fatalf("%d requests wait, want 400", len(forged))
	}
	good := w.Open(request(scenario.Second().Token(scenario.OfOrg2())))

	w.Tick()
	for _, c := range w.VM.TakeCallouts() {
		body := scenario.JWKS(scenario.Second())
		if c.Cluster == "idp1" {
			var keys []string
			for i := range 10 {
				n := new(big.Int).SetBit(big.NewInt(int64(2*i+1)), 4095, 1)
				keys = append(keys, `{"kty":"RSA","e":"AQAB","n":"`+base64.RawURLEncoding.EncodeToString(n.Bytes())+
					`"}`)
			}
			body = `{"keys":[` + strings.Join(keys, ",") + `]}`
		}
		m.callback(func() {
			if err := c.Respond(host.Headers{{":status", "200"}}, []byte(body), nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	for range 2 {
		m.callback(w.Tick)
	}
	judged(t, good, 200, "ok")
	ticks := 0
	for ; waiting(forged) > 0 && ticks < 1000; ticks++ {
		if w.TickPeriod() > 10*time.Millisecond {
			t.Fatalf("the next tick is in %v though %d requests are ready", w.TickPeriod(), waiting(forged))
		}
		m.callback(w.Tick)
	}
	if n := waiting(forged); n > 0 {
		t.Errorf("%d requests wait still", n)
	}
	if m.most > budget+one {
		t.Errorf("one callback verified %v, want at most %v", m.most, budget+one)
	}
	reasons := map[string]int{}
	for _, s := range forged {
		reasons[e2e.Outcome(s).Reason]++
	}
	if reasons["bad_signature"]+reasons["keys_unavailable"] != len(forged) || reasons["bad_signature"] > 63 {
		t.Errorf("reasons %v: half a second's tenth is 250 units, 62 verifications", reasons)
	}
}

// forger makes distinct tokens of one by giving it signatures of so many bytes
// that nobody has made.
func forger(token string, size int) func() string {
	unsigned := token[:strings.LastIndexByte(token, '.')+1]
	n := 0
	return func() string {
		n++
		return unsigned + base64.RawURLEncoding.EncodeToString(big.NewInt(int64(n)).FillBytes(make([]byte, size)))
	}
}

// waiting counts the streams that are held back.
func waiting(streams []*host.Stream) (n int) {
	for _, s := range streams {
		if s.RequestAction() == host.Pause {
			n++
		}
	}
	return n
}

// TestForgedTokensOfOneIssuerDoNotCostTheOthers: a flood of forged tokens in an
// issuer's name takes a tenth of the time. Its unseen tokens are put off
// meanwhile, with Retry-After; its other ones and those of others pass.
func TestForgedTokensOfOneIssuerDoNotCostTheOthers(t *testing.T) {
	m := new(meter)
	w := newWorker(t, scenario.Expand(`{"signatureVerification": "host", "issuers": [
		{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1", "signatureValidation": {"jwks": {"inline": $FIRST}}},
		{"name": "idp2", "issuer": "https://idp2.example/realms/org2", "organization": "org2",
			"signatureValidation": {"jwks": {"inline": $SECOND}}}],
		"rules": [{"organization": "*"}]}`), m.function(func() float64 { return 1 }))
	m.spent = 0
	seen := scenario.First().Token()
	judged(t, w.Open(request(seen)), 200, "ok")
	forge := forger(seen, 256)
	flood := func(n int) {
		for range n {
			w.Serve(request(forge()))
		}
	}
	flood(600)
	if m.spent > 252 {
		t.Errorf("%v signatures were verified at once", m.spent)
	}
	unseen := w.Open(request(scenario.First().Token(scenario.Claims{"jti": "unseen"})))
	judged(t, unseen, 503, "keys_unavailable")
	if got := unseen.LocalResponse().Headers.Values("retry-after"); len(got) != 1 {
		t.Errorf("retry-after: %q", got)
	}
	judged(t, w.Open(request(seen)), 200, "ok")
	judged(t, w.Open(request(scenario.Second().Token(scenario.OfOrg2()))), 200, "ok")
	m.spent = 0
	for range 40 { // two seconds
		w.Time = w.Time.Add(50 * time.Millisecond)
		flood(100)
	}
	if m.spent > 1050 {
		t.Errorf("%v signatures were verified in two seconds, want 1000: a tenth of the time", m.spent)
	}
}
