package gate_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/config"
	"orgate/e2e/scenario"
	"orgate/gate"
	"orgate/jwks"
	"orgate/jwt"
)

// twoProviders are two organizations, each with a provider whose keys are fetched.
const twoProviders = `{"issuers": [
	{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"signatureValidation": {"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1"}}},
	{"name": "idp2", "issuer": "https://idp2.example/realms/org2", "organization": "org2",
		"signatureValidation": {"jwks": {"url": "https://idp2.example/jwks", "cluster": "idp2"}}}],
	"rules": [{"name": "all", "organization": "*"}]}`

// request has a token.
func request(token string) *gate.Request {
	return &gate.Request{Headers: scenario.Request{Token: token}.Map(), EndOfStream: true}
}

// publish has an issuer's source fetch a JWK Set of the signers' keys.
func (p *proxy) publish(t *testing.T, issuer int, signers ...*scenario.Signer) {
	t.Helper()
	source := p.sources[issuer]
	fetch := source.Begin(p.now)
	outcome := source.Finish(p.now, fetch, jwks.Response{Status: 200, Body: scenario.JWKS(signers...)})
	if outcome.Err != nil {
		t.Fatal(outcome.Err)
	}
}

func TestWaitForKeys(t *testing.T) {
	p := open(t, twoProviders)
	first := scenario.First().Token()
	d := p.Judge(request(first))
	if d.Verdict != gate.Wait || d.Source != p.sources[0] || d.Err != nil {
		t.Fatalf("%+v, want it to wait for the first issuer's keys", d)
	}
	p.publish(t, 0, scenario.First())
	if d = p.Judge(request(first)); d.Verdict != gate.Pass || d.Reason() != "ok" {
		t.Fatalf("%+v, want it to pass", d)
	}
	// A kid that the keys do not have is asked for.
	if d = p.Judge(request(scenario.Rotated().Token())); d.Verdict != gate.Wait {
		t.Fatalf("%+v, want it to wait for a new key", d)
	}
	p.publish(t, 0, scenario.Rotated())
	if d = p.Judge(request(scenario.Rotated().Token())); d.Verdict != gate.Pass {
		t.Fatalf("%+v, want it to pass", d)
	}
	// The key that is gone is not good any more, also for the token seen before.
	if d = p.Judge(request(first)); d.Verdict == gate.Pass {
		t.Error("a token passes whose key was removed")
	}
	if d = p.Judge(request(scenario.Second().Token(scenario.OfOrg2()))); d.Verdict != gate.Wait ||
		d.Source != p.sources[1] {
		t.Errorf("%+v, want it to wait for the other issuer's keys", d)
	}
}

// TestRotationThatKeepsTheKey: a token whose key is still there is not verified
// again.
func TestRotationThatKeepsTheKey(t *testing.T) {
	p := open(t, twoProviders)
	p.publish(t, 0, scenario.First())
	token := scenario.First().Token()
	p.Judge(request(token))
	p.publish(t, 0, scenario.Rotated(), scenario.First())
	for range 2 {
		if n := checks(func() { p.Judge(request(token)) }); n != 0 {
			t.Errorf("%d verifications, want none", n)
		}
	}
}

// TestKeyWithoutKid: a key without a kid fits tokens whose kid no key has. If it
// is not the one, a new key may be on its way.
func TestKeyWithoutKid(t *testing.T) {
	p := open(t, twoProviders)
	bare := func(signer *scenario.Signer) string { return strings.Replace(signer.JWK(), `"kid"`, `"x"`, 1) }
	source := p.sources[0]
	source.Finish(p.now, source.Begin(p.now),
		jwks.Response{Status: 200, Body: `{"keys":[` + bare(scenario.First()) + `]}`})
	for range 2 {
		if d := p.Judge(request(scenario.First().Token())); d.Verdict != gate.Pass {
			t.Fatalf("%s, want it to pass", d.Reason())
		}
	}
	if d := p.Judge(request(scenario.Rotated().Token())); d.Verdict != gate.Wait {
		t.Fatalf("%s, want it to wait for another key", d.Reason())
	}
	source.Finish(p.now, source.Begin(p.now),
		jwks.Response{Status: 200, Body: `{"keys":[` + bare(scenario.First()) + `]}`})
	if d := p.Judge(request(scenario.Rotated().Token())); d.Reason() != "unknown_key" {
		t.Errorf("%s, want unknown_key", d.Reason())
	}
}

// TestKeyOfAnotherIssuer: a key that names an issuer verifies no other's tokens.
func TestKeyOfAnotherIssuer(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://idp1.example/": "ok", "https://other.example/": "unknown_key", "https://{tenantid}/": "ok",
		"https://{tenantid}/v2.0": "unknown_key",
	} {
		p := open(t, twoProviders)
		source := p.sources[0]
		key := strings.Replace(scenario.First().JWK(), `{`, `{"issuer":"`+issuer+`",`, 1)
		source.Finish(p.now, source.Begin(p.now), jwks.Response{Status: 200, Body: `{"keys":[` + key + `]}`})
		for range 2 {
			if d := p.Judge(request(scenario.First().Token())); d.Reason() != want {
				t.Errorf("a key of %s: %s, want %s", issuer, d.Reason(), want)
			}
		}
	}
}

// TestBare: what waits keeps nothing of the request.
func TestBare(t *testing.T) {
	p := open(t, scenario.Config())
	d := p.Judge(&gate.Request{EndOfStream: true, Headers: scenario.Request{
		Method: "HEAD", Path: "/org1", Token: scenario.First().Token(),
		Headers: scenario.Headers{{"content-type", "application/grpc"}},
	}.Map()})
	if d.Verdict != gate.Pass || len(d.Edits()) == 0 {
		t.Fatalf("%+v", d)
	}
	bare := d.Bare()
	if bare.Rule != d.Rule || bare.Issuer != d.Issuer || bare.Place != d.Place || !bare.Head || bare.RPC != gate.GRPC {
		t.Errorf("%+v lacks what a refusal needs", bare)
	}
	v := reflect.ValueOf(bare)
	for _, name := range []string{"Token", "Identity", "Tried", "compact", "edits"} {
		if !v.FieldByName(name).IsZero() {
			t.Errorf("%s is kept", name)
		}
	}
	p.Refuse(&bare, gate.ErrKeysUnavailable)
	if response := p.Response(&bare); response.Status != 503 || response.GRPC != 14 {
		t.Errorf("%+v", response)
	}
}

// TestNoGate: without a configuration every request is a fault.
func TestNoGate(t *testing.T) {
	var none *gate.Gate
	d := none.Judge(request(scenario.First().Token()))
	if d.Verdict != gate.Refuse || d.Reason() != "internal" || none.Response(&d).Status != 500 {
		t.Errorf("%+v", d)
	}
	if hits, misses := none.CacheLookups(); hits+misses+uint64(none.Spent()) != 0 ||
		!none.IsIdentityHeader("anything") {
		t.Error("a gate that does not exist has done something")
	}
	for _, d := range []gate.Decision{{}, none.Fault()} {
		if d.Verdict != gate.Refuse || d.Reason() != "internal" || len(d.Edits()) > 0 {
			t.Errorf("the zero decision is %+v", d)
		}
	}
}

// TestFault: if a decision can't be carried out, the response is of its form.
func TestFault(t *testing.T) {
	p := open(t, scenario.Config())
	p.Judge(&gate.Request{Headers: scenario.Request{Method: "HEAD", Path: "/public"}.Map()})
	d := p.Fault()
	if d.Verdict != gate.Refuse || d.Reason() != "internal" || !d.Head || d.Rule == nil {
		t.Errorf("%+v", d)
	}
}

// TestClaims: what a refused token said of itself is known, also if the token was
// seen before.
func TestClaims(t *testing.T) {
	p := open(t, scenario.Config())
	token := scenario.First().Token(scenario.Claims{"jti": "one"})
	for range 2 {
		d := p.Judge(&gate.Request{Headers: scenario.Request{Path: "/org2", Token: token}.Map()})
		kid, claims := d.Claims()
		if d.Reason() != "organization" || kid != "k1" || claims.ID() != "one" ||
			claims.Issuer() != "https://idp1.example/" {
			t.Errorf("%s: kid %q, jti %q, iss %q", d.Reason(), kid, claims.ID(), claims.Issuer())
		}
		if d.TokenBytes() != len(token) {
			t.Errorf("%d bytes, want %d", d.TokenBytes(), len(token))
		}
	}
	if d := p.Judge(&gate.Request{Headers: scenario.Request{Path: "/org1", Token: "x"}.Map()}); d.TokenBytes() != 1 {
		t.Errorf("%d bytes of a token that can't be read, want 1", d.TokenBytes())
	} else if kid, claims := d.Claims(); kid != "" || claims.ID() != "" {
		t.Errorf("kid %q", kid)
	}
}

// steps is an observer that writes down.
type steps []string

func (s *steps) Step(step gate.Step, _ *gate.Decision, err error) {
	line := step.String()
	if err != nil {
		line += ": " + err.Error()
	}
	*s = append(*s, line)
}

func TestObserver(t *testing.T) {
	c, err := config.Parse(scenario.Config())
	if err != nil {
		t.Fatal(err)
	}
	var seen steps
	g, _, err := gate.New(c, gate.Options{Now: func() time.Time { return scenario.Now }, Observer: &seen})
	if err != nil {
		t.Fatal(err)
	}
	authenticated := []string{"rule", "token", "issuer", "algorithm", "time", "key", "type", "audience"}
	for _, r := range []struct {
		name    string
		request scenario.Request
		want    []string
	}{
		{"passes", scenario.Request{Path: "/org1", Token: scenario.First().Token()},
			append(slices.Clone(authenticated), "identity", "organization", "demands")},
		{
			"no organization", scenario.Request{Path: "/org1",
				Token: scenario.First().Token(scenario.Claims{"org_id": nil})},
			append(slices.Clone(authenticated), "identity", "organization: organization claim: missing")},
		{"no username", scenario.Request{Path: "/org1", Token: scenario.First().Token(scenario.Claims{"sub": nil})},
			append(slices.Clone(authenticated), "identity: username claim: missing")},
		{
			"no scope", scenario.Request{Path: "/org1/admin",
				Token: scenario.First().Token(scenario.Claims{"scope": "x"})},
			append(slices.Clone(authenticated), "identity", "organization", "demands: insufficient scope")},
		{"expired", scenario.Request{Path: "/org1", Token: scenario.First().Token(scenario.Claims{"exp": 1})},
			[]string{"rule", "token", "issuer", "algorithm", "time: token expired"}},
		{"public", scenario.Request{Path: "/public"}, []string{"rule"}},
		{"preflight", scenario.Request{Method: "OPTIONS", Path: "/org1",
			Headers: scenario.Headers{{"origin", "https://app.example"}, {"access-control-request-method", "GET"}}},
			[]string{"rule", "preflight"}},
		{"none", scenario.Request{Path: "/org1"}, []string{"rule", "token: no token"}},
	} {
		seen = nil
		g.Judge(&gate.Request{Headers: r.request.Map(), EndOfStream: true})
		if diff := cmp.Diff(r.want, []string(seen)); diff != "" {
			t.Errorf("%s: steps (-want +got):\n%s", r.name, diff)
		}
	}
}

// TestCostOfOneToken: three verifications with keys of 2048 bits, or one with a
// longer one, however many keys the provider publishes and whatever the token
// leaves out.
func TestCostOfOneToken(t *testing.T) {
	encode := base64.RawURLEncoding.EncodeToString
	unsigned := scenario.First().With(scenario.Claims{"kid": nil})
	for name, c := range map[string]struct{ keys, bits, want int }{
		"keys of 2048 bits": {20, 2048, 3},
		"keys of 4096 bits": {10, 4096, 1},
		"keys of 8192 bits": {2, 8192, 1},
	} {
		p := open(t, twoProviders)
		var keys []string
		for i := range c.keys {
			n := new(big.Int).SetBit(big.NewInt(int64(2*i+1)), c.bits-1, 1)
			keys = append(keys, `{"kty":"RSA","e":"AQAB","n":"`+encode(n.Bytes())+`"}`)
		}
		forged := unsigned[:strings.LastIndexByte(unsigned, '.')+1] + encode(append(make([]byte, c.bits/8-1), 2))
		source := p.sources[0]
		source.Finish(p.now, source.Begin(p.now),
			jwks.Response{Status: 200, Body: `{"keys":[` + strings.Join(keys, ",") + `]}`})
		before := p.Spent()
		n := checks(func() {
			if d := p.Judge(request(forged)); d.Reason() != "bad_signature" {
				t.Errorf("%s: %s", name, d.Reason())
			}
		})
		longer := c.bits / 2048 * c.bits / 2048 * jwt.UnitCost
		if spent := p.Spent() - before; n != uint64(c.want) || spent != longer*c.want {
			t.Errorf("%s: %d verifications, want %d; cost %d, want %d", name, n, c.want, spent, longer*c.want)
		}
	}
}

// TestForgedTokensCostTheirIssuerAlone: a flood of bad signatures in one issuer's
// name uses up its allowance. Its unseen tokens are put off; its other ones, and
// everybody else's, pass as before.
func TestForgedTokensCostTheirIssuerAlone(t *testing.T) {
	p := open(t, twoProviders)
	p.publish(t, 0, scenario.First())
	p.publish(t, 1, scenario.Second())
	seen := scenario.First().Token()
	p.Judge(request(seen))
	reasons := map[string]int{}
	verified := checks(func() {
		for i := range 2000 {
			d := p.Judge(request(scenario.Stranger().Token(scenario.Claims{"jti": i})))
			reasons[d.Reason()]++
		}
	})
	if verified > 251 || reasons["bad_signature"] != int(verified) ||
		reasons["keys_unavailable"] != 2000-int(verified) {
		t.Errorf("%d of 2000 forged tokens were verified at once, reasons %v", verified, reasons)
	}
	unseen := p.Judge(request(scenario.First().Token(scenario.Claims{"jti": "new"})))
	if response := p.Response(&unseen); unseen.Verdict != gate.Refuse || response.Status != 503 {
		t.Errorf("an unseen token of the same issuer: %s", unseen.Reason())
	}
	for name, token := range map[string]string{
		"seen before":         seen,
		"of the other issuer": scenario.Second().Token(scenario.OfOrg2()),
	} {
		if d := p.Judge(request(token)); d.Verdict != gate.Pass {
			t.Errorf("a token %s: %s", name, d.Reason())
		}
	}
	p.now = p.now.Add(100 * time.Millisecond)
	if d := p.Judge(request(scenario.First().Token(scenario.Claims{"jti": "new"}))); d.Verdict != gate.Pass {
		t.Errorf("a tenth of a second later: %s", d.Reason())
	}
}

// TestEntriesOfOneIssuerShareItsAllowance: or else each would be another way in.
func TestEntriesOfOneIssuerShareItsAllowance(t *testing.T) {
	var entries []string
	for _, organization := range []string{"org1", "org2", "org3"} {
		entries = append(entries, fmt.Sprintf(`{"name": %q, "issuer": "https://idp1.example/", "organization": %[1]q, "organizationClaim": "org_id",
			"signatureValidation": {"jwks": {"inline": %s}}}`, organization, scenario.JWKS(scenario.First())))
	}
	p := open(t, `{"issuers": [`+strings.Join(entries, ",")+`], "rules": [{"organization": "*"}]}`)
	verified := checks(func() {
		for i := range 900 {
			p.Judge(request(scenario.Stranger().Token(scenario.Claims{"jti": i, "org_id": fmt.Sprint("org", i%3+1)})))
		}
	})
	if verified > 251 {
		t.Errorf("%d forged tokens were verified at once", verified)
	}
}

// TestConfiguredKeys: one at least must be usable; the others are named.
func TestConfiguredKeys(t *testing.T) {
	good := scenario.First().JWK()
	for name, c := range map[string]struct {
		validation, warning, err string
	}{
		"a key": {`{"jwks": {"inline": {"keys": [` + good + `]}}}`, "", ""},
		"one of two": {`{"jwks": {"inline": {"keys": [` + good + `, {"kty": "oct"}]}}}`,
			"key not used: issuers[0].signatureValidation.jwks.inline: keys[1]: ", ""},
		"no key": {`{"jwks": {"inline": {"keys": []}}}`, "",
			"issuers[0].signatureValidation.jwks.inline: holds no key"},
		"none that fits": {`{"jwks": {"inline": {"keys": [{"kty": "oct"}]}}}`, "",
			"issuers[0].signatureValidation.jwks.inline: keys[0]: "},
		"no PEM": {`{"certificate": {"certificateInline": "-----BEGIN x"}}`, "",
			"issuers[0].signatureValidation.certificate.certificateInline: "},
	} {
		parsed, err := config.Parse(`{"issuers": [{"name": "a", "issuer": "https://a.example", "organization": "org1", "signatureValidation": ` + c.validation + `}]}`)
		if err != nil {
			t.Fatal(err)
		}
		_, warnings, err := gate.New(parsed, gate.Options{Now: time.Now})
		if got := strings.Join(warnings, "\n"); !strings.HasPrefix(got, c.warning) || (c.warning == "") != (got == "") {
			t.Errorf("%s: warnings %q, want %q", name, got, c.warning)
		}
		if (err == nil) != (c.err == "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", name, err, c.err)
		}
	}
}

// TestArithmeticThatFails: neither yes nor no is a fault.
func TestArithmeticThatFails(t *testing.T) {
	c, err := config.Parse(scenario.Config())
	if err != nil {
		t.Fatal(err)
	}
	g, _, err := gate.New(c, gate.Options{Now: func() time.Time { return scenario.Now },
		Arithmetic: func(string, []byte, []byte, string) (bool, error) { return true, errors.New("no idea") }})
	if err != nil {
		t.Fatal(err)
	}
	d := g.Judge(&gate.Request{Headers: scenario.Request{Path: "/org1", Token: scenario.First().Token()}.Map()})
	if d.Verdict != gate.Refuse || d.Reason() != "internal" {
		t.Errorf("%+v", d)
	}
	if !slices.Equal(g.Algorithms(), []string{"RS256"}) {
		t.Errorf("algorithms %q", g.Algorithms())
	}
}
