package jwks_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"orgate/jwks"
	"orgate/jwt"
)

// From a provider's private key to a verdict: another implementation writes the
// set and signs the token.
func TestKeysVerify(t *testing.T) {
	mint := func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	key, other := mint(), mint()
	published := func(key *rsa.PrivateKey) *jwks.Set {
		doc, err := json.Marshal(jose.JSONWebKeySet{
			Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Use: "sig"}}})
		if err != nil {
			t.Fatal(err)
		}
		set, err := jwks.Parse(string(doc))
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	fromPEM, err := jwks.ParsePEM(block("PUBLIC KEY", spki(t, &key.PublicKey)))
	if err != nil {
		t.Fatal(err)
	}
	token := func(alg jose.SignatureAlgorithm) *jwt.Token {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign([]byte(`{"iss":"https://idp.test"}`))
		if err != nil {
			t.Fatal(err)
		}
		compact, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jwt.Parse(compact, 8192)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}

	tests := []struct {
		name string
		set  *jwks.Set
		want error
	}{
		{"the issuer's set", published(key), nil},
		{"the issuer's certificate", fromPEM, nil},
		{"another issuer's key with the same kid", published(other), jwt.ErrSignature},
	}
	for _, test := range tests {
		for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.PS512} {
			t.Run(test.name+", "+string(alg), func(t *testing.T) {
				token := token(alg)
				candidates := test.set.Select(token)
				if len(candidates) != 1 {
					t.Fatalf("%d candidates", len(candidates))
				}
				if err := token.Verify(candidates[0]); !errors.Is(err, test.want) {
					t.Errorf("%v, want %v", err, test.want)
				}
			})
		}
	}
}
