package gate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"orgate/jwt"
)

func TestSelfTest(t *testing.T) {
	if err := selfTestWith(jwt.Algorithms(), elsewhere); err != nil {
		t.Error(err)
	}
	for _, algorithm := range jwt.Algorithms() {
		err := selfTestWith([]string{algorithm}, nil)
		if (err == nil) != (algorithm != "ES512") {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

// elsewhere verifies as a proxy does.
func elsewhere(name string, key, signature []byte, text string) (bool, error) {
	public, err := x509.ParsePKIXPublicKey(key)
	if err != nil {
		return false, err
	}
	hash := map[string]crypto.Hash{"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512}[name]
	h := hash.New()
	h.Write([]byte(text))
	switch public := public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, hash, h.Sum(nil), signature) == nil, nil
	default:
		return ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), h.Sum(nil), signature), nil
	}
}

// TestSelfTestElsewhere: an algorithm that only the proxy knows, and that it does
// not know, is named.
func TestSelfTestElsewhere(t *testing.T) {
	unavailable := func(string, []byte, []byte, string) (bool, error) { return true, jwt.ErrUnavailable }
	err := selfTestWith([]string{"RS256", "ES256", "ES512"}, unavailable)
	if !errors.Is(err, errElsewhere) || !strings.HasPrefix(err.Error(), "self-test: ES512: ") {
		t.Errorf("got error %v", err)
	}
}

func selfTestWith(algorithms []string, arithmetic jwt.Arithmetic) error {
	t, err := NewSelfTest(algorithms, arithmetic)
	if err != nil {
		return err
	}
	return t.Run()
}

// TestSelfTestFails: an engine that takes every signature, or none, is found.
func TestSelfTestFails(t *testing.T) {
	for _, valid := range []bool{true, false} {
		broken := func(string, []byte, []byte, string) (bool, error) { return valid, nil }
		if err := selfTestWith([]string{"RS256"}, broken); err == nil ||
			!strings.HasPrefix(err.Error(), "self-test: RS256") {
			t.Errorf("every signature is %v: %v", valid, err)
		}
	}
}

// TestSelfTestOfTheWholeWay: a way that lets everything pass, nothing, or the
// wrong organization is found.
func TestSelfTestOfTheWholeWay(t *testing.T) {
	test, err := NewSelfTest([]string{"RS256"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, send := range map[string]func([][2]string) ([][2]string, uint32){
		"passes all": func(h [][2]string) ([][2]string, uint32) {
			return append(h, [2]string{selfTestHeader, "org1"}), 0
		},
		"refuses all":   func([][2]string) ([][2]string, uint32) { return nil, 401 },
		"answers none":  func([][2]string) ([][2]string, uint32) { return nil, 0 },
		"tells nothing": func(h [][2]string) ([][2]string, uint32) { return edited(test, h, "") },
		"tells another": func(h [][2]string) ([][2]string, uint32) { return edited(test, h, "org2") },
	} {
		if err := test.Whole(send); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := test.Whole(func(h [][2]string) ([][2]string, uint32) { return edited(test, h, "org1") }); err != nil {
		t.Error(err)
	}
}

// edited has the self-test's gate judge a request, and tells an organization.
func edited(test *SelfTest, headers [][2]string, organization string) ([][2]string, uint32) {
	d := test.Gate.Judge(&Request{Headers: headers, EndOfStream: true})
	switch {
	case d.Verdict != Pass:
		return nil, test.Gate.Response(&d).Status
	case d.Identity == nil:
		return headers, 0
	}
	return append(headers, [2]string{selfTestHeader, organization}), 0
}

// TestSelfTestVectors holds the vectors against another implementation.
func TestSelfTestVectors(t *testing.T) {
	var set jose.JSONWebKeySet
	document := `{"keys":[{"kty":"RSA","kid":"k","e":"AQAB","n":"` + joined(selfTestModulus) + `"},` + selfTestCurves +
		`]}`
	if err := json.Unmarshal([]byte(document), &set); err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range jwt.Algorithms() {
		token := selfTestToken(algorithm, joined(selfTestSignatures[algorithm]))
		verified := 0
		for _, key := range set.Keys {
			if public, ok := key.Key.(ed25519.PublicKey); ok && algorithm == "Ed25519" { // which go-jose does not know
				input, signature, _ := cutLast(token)
				decoded, err := base64.RawURLEncoding.DecodeString(signature)
				if err != nil {
					t.Fatal(err)
				}
				if ed25519.Verify(public, []byte(input), decoded) {
					verified++
				}
				continue
			}
			parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
			if err != nil {
				t.Fatal(err)
			}
			if payload, err := parsed.Verify(key.Key); err == nil && string(payload) == selfTestPayload {
				verified++
			}
		}
		if verified != 1 {
			t.Errorf("%s: verified by %d keys", algorithm, verified)
		}
	}
}

func cutLast(token string) (before, after string, ok bool) {
	i := strings.LastIndexByte(token, '.')
	return token[:i], token[i+1:], i >= 0
}
