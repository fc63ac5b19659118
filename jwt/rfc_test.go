package jwt_test

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"orgate/jwt"
)

// TestRFCs: the signed examples of RFC 7515, RFC 7520 and RFC 8037, the way of
// requests. One is refused if its algorithm is none of ours, or left to the proxy,
// or if it is not in the compact serialization. go-jose says whether an example is copied right.
func TestRFCs(t *testing.T) {
	text, err := os.ReadFile("testdata/rfcs.json")
	if err != nil {
		t.Fatal(err)
	}
	var examples []struct {
		Name    string
		Keys    json.RawMessage
		Token   string
		Refused string
	}
	if err := json.Unmarshal(text, &examples); err != nil {
		t.Fatal(err)
	}
	reasons := map[string]error{"malformed": jwt.ErrMalformed, "algorithm": jwt.ErrAlgorithm, "": nil}
	for _, example := range examples {
		t.Run(example.Name, func(t *testing.T) {
			token, err := jwt.ParseJWS(example.Token, maxBytes)
			if err == nil {
				err = verify(token, jwkSet(t, example.Keys))
			}
			refused := example.Refused
			if refused == "" {
				if algorithm := verifiedByJOSE(t, example.Token, example.Keys); !known(algorithm) {
					refused = "algorithm"
				} else if errors.Is(err, jwt.ErrUnavailable) {
					return
				}
			}
			if want := reasons[refused]; !errors.Is(err, want) {
				t.Errorf("got error %v, want %v", err, want)
			}
		})
	}
}

// verifiedByJOSE verifies a token with the only key, and returns its algorithm.
func verifiedByJOSE(t *testing.T, compact string, keys json.RawMessage) string {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(keys, &set); err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(compact,
		[]jose.SignatureAlgorithm{jose.HS256, jose.RS256, jose.ES256, jose.ES512,
			jose.PS384, jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jws.Verify(set.Keys[0]); err != nil {
		t.Fatal(err)
	}
	return jws.Signatures[0].Header.Algorithm
}
