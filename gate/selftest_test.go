package gate

import (
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"orgate/jwt"
)

func TestSelfTest(t *testing.T) {
	if err := selfTestWith(jwt.Algorithms(), nil); err != nil {
		t.Error(err)
	}
	for _, algorithm := range jwt.Algorithms() {
		if err := selfTestWith([]string{algorithm}, nil); err != nil {
			t.Error(err)
		}
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
		broken := func(string, *jwt.Key, []byte, string) (bool, error) { return valid, nil }
		if err := selfTestWith([]string{"RS256"}, broken); err == nil || !strings.HasPrefix(err.Error(), "self-test: RS256") {
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
		"passes all":    func(h [][2]string) ([][2]string, uint32) { return append(h, [2]string{selfTestHeader, "org1"}), 0 },
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
	var key jose.JSONWebKey
	jwk := `{"kty":"RSA","e":"AQAB","n":"` + joined(selfTestModulus) + `"}`
	if err := key.UnmarshalJSON([]byte(jwk)); err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range jwt.Algorithms() {
		token := selfTestToken(algorithm, joined(selfTestSignatures[algorithm]))
		parsed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
		if err != nil {
			t.Fatal(err)
		}
		if payload, err := parsed.Verify(key.Key); err != nil || string(payload) != selfTestPayload {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}
