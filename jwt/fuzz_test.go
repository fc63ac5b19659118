package jwt_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"orgate/jwt"
)

// FuzzParse holds Parse against the list of reasons to refuse a token, and
// against go-jose.
func FuzzParse(f *testing.F) {
	for _, test := range refusals {
		if len(test.token) < 1000 {
			f.Add(test.token)
		}
	}
	f.Add(rfc7515Token)
	f.Add(compact(someHeader, somePayload))
	f.Fuzz(checkParse)
}

// FuzzParseDocuments does the same from header and payload, so that what
// changes is JSON rather than base64.
func FuzzParseDocuments(f *testing.F) {
	for _, test := range refusals {
		parts := strings.Split(test.token, ".")
		if len(parts) != 3 || len(test.token) > 1000 {
			continue
		}
		var documents [2]string
		for i := range documents {
			if bytes, err := decodeLax(parts[i]); err == nil {
				documents[i] = string(bytes)
			}
		}
		f.Add(documents[0], documents[1])
	}
	f.Add(someHeader, somePayload)
	f.Add(`{"alg":"none","jwk":{},"x5c":["a"],"nonce":1}`,
		`{"aud":["a","b"],"nbf":1.5e9,"iat":0.1,"a":{"b":{"c":[1]}},"a.b":1}`)
	f.Fuzz(func(t *testing.T, header, payload string) { checkParse(t, compact(header, payload)) })
}

func checkParse(t *testing.T, compactToken string) {
	token, err := jwt.Parse(compactToken, maxBytes)
	reasons := examine(compactToken)
	if err != nil {
		if len(reasons) == 0 {
			t.Fatalf("refused for a reason that is not listed: %v", err)
		}
		if !errors.Is(err, jwt.ErrMalformed) && !errors.Is(err, jwt.ErrAlgorithm) {
			t.Errorf("got error %v, want %v or %v", err, jwt.ErrMalformed, jwt.ErrAlgorithm)
		}
		return
	}
	if len(reasons) > 0 {
		t.Fatalf("accepted in spite of %q", reasons)
	}

	// go-jose reads members that Parse ignores, and refuses what they hold:
	// it is shown the header without them.
	header := map[string]string{"alg": token.Algorithm}
	if token.HasKeyID {
		header["kid"] = token.KeyID
	}
	if token.Type != "" {
		header["typ"] = token.Type
	}
	bare, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(compactToken, ".")
	lax, err := laxParse(b64(bare)+"."+rest, jose.SignatureAlgorithm(token.Algorithm))
	if err != nil {
		t.Fatalf("go-jose refuses what Parse accepts: %v", err)
	}
	if got := lax.Signatures[0].Header; got.KeyID != token.KeyID || got.Algorithm != token.Algorithm {
		t.Errorf("go-jose reads %q %q, and Parse %q %q", got.KeyID, got.Algorithm, token.KeyID, token.Algorithm)
	}
	payload := lax.UnsafePayloadWithoutVerification()
	if got := b64(payload); got != token.Payload() {
		t.Errorf("go-jose reads payload %q, and Parse %q", got, token.Payload())
	}
	checkClaims(t, token.Claims, payload)
}

// checkClaims compares claims, and those one level below, with what
// encoding/json reads.
func checkClaims(t *testing.T, claims jwt.Claims, payload []byte) {
	var want map[string]json.RawMessage
	if err := json.Unmarshal(payload, &want); err != nil {
		t.Fatal(err)
	}
	for name, raw := range want {
		if got, ok := claims.Lookup("", name); !ok || got.Raw != string(raw) {
			t.Errorf("claim %q: got %q %t, want %q", name, got.Raw, ok, raw)
		}
		var below map[string]json.RawMessage
		if raw[0] != '{' {
			continue
		}
		if err := json.Unmarshal(raw, &below); err != nil {
			t.Fatal(err)
		}
		for step, raw := range below {
			if got, ok := claims.Lookup("", name, step); !ok || got.Raw != string(raw) {
				t.Errorf("claim %q of %q: got %q %t, want %q", step, name, got.Raw, ok, raw)
			}
		}
	}
	var issuer string
	if raw, ok := want["iss"]; ok {
		if err := json.Unmarshal(raw, &issuer); err != nil {
			t.Fatal(err)
		}
	}
	if claims.Issuer() != issuer {
		t.Errorf("got iss %q, want %q", claims.Issuer(), issuer)
	}
}
