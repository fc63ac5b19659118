package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
)

// TestSignaturesVerifiedByTheHost: with the proxy's function the verdicts are
// the same; without it the sandbox does the work; an answer that is not a clear
// yes refuses.
func TestSignaturesVerifiedByTheHost(t *testing.T) {
	config := strings.Replace(scenario.Config(), `"rules"`, `"signatureVerification": "host", "rules"`, 1)
	good, forged := scenario.First().Token(), scenario.Stranger().Token()
	answering := func(result string, status host.Status) host.ForeignFunction {
		return func([]byte) ([]byte, host.Status) { return []byte(result), status }
	}
	for _, c := range []struct {
		name     string
		function host.ForeignFunction
		good     string // what becomes of the good token
		forged   string
	}{
		{"as Envoy does", host.VerifySignature, "200 ok", "401 bad_signature"},
		{"no such function", nil, "200 ok", "401 bad_signature"},
		{"unimplemented", answering("", host.Unimplemented), "200 ok", "401 bad_signature"},
		{"always yes", answering("\x08\x01", host.OK), "200 ok", "200 ok"},
		{"always no", answering("\x08\x00", host.OK), "401 bad_signature", "401 bad_signature"},
		{"nothing", answering("", host.OK), "401 bad_signature", "401 bad_signature"},
		{"an error", answering("\x12\x03bad", host.OK), "401 bad_signature", "401 bad_signature"},
		{"yes and an error", answering("\x08\x01\x12\x03bad", host.OK), "500 internal", "500 internal"},
		{"garbage", answering("yes", host.OK), "500 internal", "500 internal"},
		{"bad argument", answering("", host.BadArgument), "500 internal", "500 internal"},
		{"internal failure", answering("\x08\x01", host.InternalFailure), "500 internal", "500 internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			function := host.VerifySignature // while the plugin tests itself
			w := newWorker(t, config, func(hc *host.Config) {
				if c.function != nil {
					hc.Foreign = map[string]host.ForeignFunction{
						"verify_signature": func(arguments []byte) ([]byte, host.Status) {
							return function(arguments)
						}}
				}
			})
			function = c.function
			for token, want := range map[string]string{good: c.good, forged: c.forged} {
				if got := verdict(w.Serve(scenario.Request{Path: "/org1", Token: token})); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
		})
	}
}

// TestHostVerifiesWhatTheSandboxWould: the whole table again, with the
// arithmetic done by the host.
func TestHostVerifiesWhatTheSandboxWould(t *testing.T) {
	config := strings.Replace(scenario.Config(), `"rules"`, `"signatureVerification": "host", "rules"`, 1)
	calls := 0
	w := newWorker(t, config, func(hc *host.Config) {
		hc.Foreign = map[string]host.ForeignFunction{"verify_signature": func(arguments []byte) ([]byte, host.Status) {
			calls++
			return host.VerifySignature(arguments)
		}}
	})
	for _, c := range scenario.Basics() {
		if c.Config != "" {
			continue // which is another configuration
		}
		if diff := c.Check(w.Serve(c.Request)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.Name, diff)
		}
	}
	if calls == 0 {
		t.Error("the host was never asked")
	}
}

// TestHostVerifiesCurves: the proxy is given keys and signatures of ECDSA in the
// forms that it knows, and never those of EdDSA. ES512 needs it.
func TestHostVerifiesCurves(t *testing.T) {
	const config = `{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"algorithms": ["ES256", "ES384", "ES512", "EdDSA"], "signatureValidation": {"jwks": {"inline": %s}}}],
		"signatureVerification": "host"}`
	signers := []*scenario.Signer{scenario.P256(), scenario.P384(), scenario.P521(), scenario.Edwards()}
	document := fmt.Sprintf(config, scenario.JWKS(signers...))
	calls := 0
	w := newWorker(t, document, func(hc *host.Config) {
		hc.Foreign = map[string]host.ForeignFunction{"verify_signature": func(arguments []byte) ([]byte, host.Status) {
			calls++
			return host.VerifySignature(arguments)
		}}
	})
	for _, signer := range signers {
		good, other := signer.Token(), signer.Token(scenario.Claims{"sub": "mallory"})
		forged := good[:strings.LastIndexByte(good, '.')] + other[strings.LastIndexByte(other, '.'):]
		calls = 0
		for token, want := range map[string]string{good: "200 ok", forged: "401 bad_signature"} {
			if got := verdict(w.Serve(scenario.Request{Path: "/", Token: token})); got != want {
				t.Errorf("%s: %s, want %s", signer.Algorithm(), got, want)
			}
		}
		if want := map[bool]int{true: 0, false: 2}[signer.Algorithm() == "EdDSA"]; calls != want {
			t.Errorf("%s: the host was asked %d times, want %d", signer.Algorithm(), calls, want)
		}
	}

	_, err := e2e.NewWorker(hosttest.Plugin(t), document)
	if err == nil || !strings.Contains(err.Error(), "self-test: ES512: the proxy offers no function verify_signature") {
		t.Errorf("ES512 without the function: %v", err)
	}
}
