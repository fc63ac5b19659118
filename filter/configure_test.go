package filter_test

import (
	"strings"
	"testing"

	"orgate/e2e/scenario"
)

// TestUnusableKeys: of the keys that are written down one must be usable.
func TestUnusableKeys(t *testing.T) {
	const place = "configuration: issuers[0].signatureValidation."
	good := strings.TrimSuffix(strings.TrimPrefix(scenario.JWKS(scenario.First()), `{"keys":[`), `]}`)
	pin := `, "pins": ["` + strings.Repeat("A", 43) + `"]`
	for _, c := range []struct {
		name, validation string
		want             string // the beginning of the mistake's line, "" for none
	}{
		{"a key", `{"jwks": {"inline": {"keys": [` + good + `]}}}`, ""},
		{"no key", `{"jwks": {"inline": {"keys": []}}}`, place + "jwks.inline: holds no key"},
		{"no key, with pins", `{"jwks": {"inline": {"keys": []}` + pin + `}}`, place + "jwks.inline: holds no key"},
		{"one of two that cannot be used", `{"jwks": {"inline": {"keys": [` + good + `, {"kty": "EC"}]}}}`, ""},
		{"two that cannot be used", `{"jwks": {"inline": {"keys": [{"kty": "RSA"}, {"kty": "EC"}]}}}`,
			place + "jwks.inline: keys[0]: no n"},
		{"more keys than a set may have, with pins",
			`{"jwks": {"inline": {"keys": [` + strings.Repeat("1,", 100) + `1]}` + pin + `}}`,
			place + "jwks.inline: not a JWK Set"},
		{"no PEM block", `{"certificate": {"certificateInline": "-----BEGIN x"}}`,
			place + "certificate.certificateInline: "},
		{"PEM that cannot be used beside a good key",
			`{"jwks": {"inline": {"keys": [` + good + `]}}, "certificate": {"certificateInline": "-----BEGIN x"}}`,
			place + "certificate.certificateInline: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := configure(t, `{"issuers": [{"name": "idp", "issuer": "https://idp.example", "organization": "org1", "signatureValidation": `+c.validation+`}]}`)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestEveryMistakeIsLogged: each has a line of its own.
func TestEveryMistakeIsLogged(t *testing.T) {
	_, err := configure(t, `{"issuers": [], "unknown": 1, "forwardToken": "yes"}`)
	if err == nil {
		t.Fatal("the configuration was accepted")
	}
	for _, want := range []string{`"configuration: issuers: `, `"configuration: unknown: `,
		`"configuration: forwardToken: `} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no line %s in %v", want, err)
		}
	}
}
