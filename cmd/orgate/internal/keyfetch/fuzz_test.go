package keyfetch_test

import (
	"net/url"
	"testing"

	"orgate/cmd/orgate/internal/keyfetch"
	"orgate/config"
)

// FuzzFollow: a discovery document leads to a location of its own origin, or
// nowhere.
func FuzzFollow(f *testing.F) {
	for _, document := range []string{
		`{"issuer": "https://idp.example", "jwks_uri": "https://idp.example/jwks"}`,
		`{"issuer": "https://idp.example", "jwks_uri": "https://IDP.example:443/jwks?a=b"}`,
		`{"issuer": "https://idp.example", "jwks_uri": "https://idp.example.evil/jwks"}`,
		`{"issuer": "https://idp.example", "jwks_uri": "http://idp.example/jwks"}`,
		`{"issuer": "https://idp.example", "jwks_uri": "https://idp.example@evil/jwks"}`,
		`{"issuer": "https://idp.example", "jwks_uri": "https://idp.example", "jwks_uri": "x"}`,
		`{"issuer": "https://idp.example", "jwks_uri": 1}`,
		`{"issuer": "other"}`, `[]`, ``,
	} {
		f.Add(document)
	}
	issuer := &config.Issuer{Issuer: "https://idp.example", SignatureValidation: config.SignatureValidation{
		JWKS: &config.JWKS{WellKnown: "https://idp.example/.well-known/openid-configuration"},
	}}
	f.Fuzz(func(t *testing.T, document string) {
		location, err := keyfetch.Follow(issuer, document)
		if err != nil {
			return
		}
		u, err := url.Parse(location)
		if err != nil || u.Scheme != "https" || u.User != nil || u.Port() != "" && u.Port() != "443" {
			t.Fatalf("%q leads to %q (%v)", document, location, err)
		}
		if host := u.Hostname(); len(host) != len("idp.example") {
			t.Fatalf("%q leads to the host %q", document, host)
		}
	})
}
