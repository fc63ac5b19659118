package scenario

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"sync"

	"github.com/tidwall/gjson"
)

// Signer makes tokens, well-formed or not.
type Signer struct {
	KeyID string
	Key   *rsa.PrivateKey
}

// The signers of the table, each made once: two identity providers that use
// the same kid, a second key of the first one, and somebody whom nobody knows.
var (
	First    = sync.OnceValue(func() *Signer { return newSigner("k1") })
	Second   = sync.OnceValue(func() *Signer { return newSigner("k1") })
	Rotated  = sync.OnceValue(func() *Signer { return newSigner("k2") })
	Stranger = sync.OnceValue(func() *Signer { return newSigner("k1") })
)

func newSigner(kid string) *Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return &Signer{kid, key}
}

// Claims are a token's claims, or header members. A nil value removes one.
type Claims map[string]any

// Token signs claims with RS256, under the usual header.
func (s *Signer) Token(claims ...Claims) string {
	return s.Sign(s.header(), encode(merge(append([]Claims{Basic()}, claims...)...)))
}

// With signs the usual claims under a changed header. The signature is RS256
// whatever the header says.
func (s *Signer) With(header Claims, claims ...Claims) string {
	return s.Sign(encode(merge(Claims{"alg": "RS256", "typ": "JWT", "kid": s.KeyID}, header)), encode(merge(append([]Claims{Basic()}, claims...)...)))
}

// Basic are the claims of a good token of org1.
func Basic() Claims {
	return Claims{
		"iss":    "https://idp1.example/",
		"sub":    "alice",
		"azp":    "client-1",
		"aud":    []string{"https://api.example"},
		"org_id": "org1",
		"scope":  "orders:read profile",
		"iat":    Now.Unix() - 60,
		"exp":    Now.Unix() + 3600,
	}
}

// OfOrg2 are what makes the claims a good token of org2's provider.
func OfOrg2() Claims {
	return Claims{"iss": "https://idp2.example/realms/org2", "sub": "bob", "azp": "client-2", "org_id": nil}
}

func (s *Signer) header() string {
	return encode(Claims{"alg": "RS256", "typ": "JWT", "kid": s.KeyID})
}

// Sign signs header and payload as they are given, JSON or not.
func (s *Signer) Sign(header, payload string) string {
	input := b64(header) + "." + b64(payload)
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, s.Key, crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(string(signature))
}

// JWK is the signer's public key as a JWK.
func (s *Signer) JWK() string {
	return fmt.Sprintf(`{"kty":"RSA","use":"sig","alg":"RS256","kid":%q,"n":%q,"e":%q}`, s.KeyID,
		b64(string(s.Key.N.Bytes())), b64(string(big.NewInt(int64(s.Key.E)).Bytes())))
}

// JWKS is the JWK Set of the signers.
func JWKS(signers ...*Signer) string {
	set := `{"keys":[`
	for i, s := range signers {
		if i > 0 {
			set += ","
		}
		set += s.JWK()
	}
	return set + "]}"
}

func merge(all ...Claims) Claims {
	merged := Claims{}
	for _, claims := range all {
		for name, value := range claims {
			if value == nil {
				delete(merged, name)
			} else {
				merged[name] = value
			}
		}
	}
	return merged
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func member(document, name string) string { return gjson.Get(document, name).String() }
