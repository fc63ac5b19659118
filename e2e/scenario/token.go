package scenario

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // for RS384 and its like
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/tidwall/gjson"
)

// Signer makes tokens, well-formed or not.
type Signer struct {
	KeyID string
	Key   *rsa.PrivateKey
	// Curve, if not nil, is the key instead: an [*ecdsa.PrivateKey] or an
	// [ed25519.PrivateKey].
	Curve crypto.Signer
}

// The signers of the table, each made once: two identity providers that use
// the same kid, a second key of the first one, and somebody whom nobody knows.
// The others have keys of other types.
var (
	First    = sync.OnceValue(func() *Signer { return newSigner("k1") })
	Second   = sync.OnceValue(func() *Signer { return newSigner("k1") })
	Rotated  = sync.OnceValue(func() *Signer { return newSigner("k2") })
	Stranger = sync.OnceValue(func() *Signer { return newSigner("k1") })

	P256    = sync.OnceValue(func() *Signer { return onCurve(elliptic.P256()) })
	P384    = sync.OnceValue(func() *Signer { return onCurve(elliptic.P384()) })
	P521    = sync.OnceValue(func() *Signer { return onCurve(elliptic.P521()) })
	Edwards = sync.OnceValue(func() *Signer { return onCurve(nil) })
)

// onCurve makes a signer with a key on a curve, which is that of Ed25519 if nil.
func onCurve(curve elliptic.Curve) *Signer {
	var key crypto.Signer
	var err error
	if curve == nil {
		_, key, err = ed25519.GenerateKey(rand.Reader)
	} else {
		key, err = ecdsa.GenerateKey(curve, rand.Reader)
	}
	if err != nil {
		panic(err)
	}
	return &Signer{KeyID: "k1", Curve: key}
}

// Public is the signer's public key.
func (s *Signer) Public() any {
	if s.Curve != nil {
		return s.Curve.Public()
	}
	return &s.Key.PublicKey
}

// Algorithm is the signer's usual algorithm.
func (s *Signer) Algorithm() string {
	switch key := s.Public().(type) {
	case *ecdsa.PublicKey:
		return map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[key.Params().BitSize]
	case ed25519.PublicKey:
		return "EdDSA"
	default:
		return "RS256"
	}
}

// Can reports whether the signer has a key for an algorithm.
func (s *Signer) Can(algorithm string) bool {
	switch usual := s.Algorithm(); usual {
	case "RS256":
		return len(algorithm) == 5 && (algorithm[:2] == "RS" || algorithm[:2] == "PS") && hashes[algorithm[2:]] != 0
	case "EdDSA":
		return algorithm == "EdDSA" || algorithm == "Ed25519"
	default:
		return algorithm == usual
	}
}

func newSigner(kid string) *Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return &Signer{KeyID: kid, Key: key}
}

// Claims are a token's claims, or header members. A nil value removes one.
type Claims map[string]any

// Token signs claims under the usual header.
func (s *Signer) Token(claims ...Claims) string {
	return s.Sign(s.header(), encode(merge(append([]Claims{Basic()}, claims...)...)))
}

// With signs the usual claims under a changed header. The signature is of the
// usual algorithm whatever the header says.
func (s *Signer) With(header Claims, claims ...Claims) string {
	return s.Sign(encode(merge(Claims{"alg": s.Algorithm(), "typ": "JWT", "kid": s.KeyID}, header)),
		encode(merge(append([]Claims{Basic()}, claims...)...)))
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
	return encode(Claims{"alg": s.Algorithm(), "typ": "JWT", "kid": s.KeyID})
}

// Sign signs header and payload as they are given, JSON or not.
func (s *Signer) Sign(header, payload string) string {
	return s.SignWith(s.Algorithm(), header, payload)
}

// SignWith is [Signer.Sign] with an algorithm, which the header may not name.
func (s *Signer) SignWith(algorithm, header, payload string) string {
	input := b64(header) + "." + b64(payload)
	return input + "." + b64(string(s.signature(algorithm, input)))
}

// hashes are those of the algorithms, by the last digits of their names.
var hashes = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}

// SignAs signs claims with an algorithm that the signer can, and says so in the
// header.
func (s *Signer) SignAs(algorithm string, claims ...Claims) string {
	return s.SignWith(algorithm, encode(Claims{"alg": algorithm, "typ": "JWT", "kid": s.KeyID}),
		encode(merge(append([]Claims{Basic()}, claims...)...)))
}

// signature signs with an algorithm that the signer can.
func (s *Signer) signature(algorithm, input string) []byte {
	signature, err := []byte(nil), error(nil)
	switch key := s.Curve.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(key, []byte(input))
	case *ecdsa.PrivateKey:
		r, s := rs(key, hashed(algorithm, input))
		size := (key.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	if hash := hashes[algorithm[2:]]; algorithm[:2] == "PS" {
		signature, err = rsa.SignPSS(rand.Reader, s.Key, hash, hashed(algorithm, input),
			&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	} else {
		signature, err = rsa.SignPKCS1v15(nil, s.Key, hash, hashed(algorithm, input))
	}
	if err != nil {
		panic(err)
	}
	return signature
}

func hashed(algorithm, input string) []byte {
	h := hashes[algorithm[2:]].New()
	h.Write([]byte(input))
	return h.Sum(nil)
}

func rs(key *ecdsa.PrivateKey, digest []byte) (r, s *big.Int) {
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		panic(err)
	}
	return r, s
}

// HMAC signs the usual claims with HS256, with a secret that is none.
func HMAC(secret string, kid string) string {
	input := b64(encode(Claims{"alg": "HS256", "typ": "JWT", "kid": kid})) + "." + b64(encode(Basic()))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(input))
	return input + "." + b64(string(mac.Sum(nil)))
}

// Raw signs the usual claims with members appended that are given as JSON, so
// that they may occur twice or be no JSON.
func (s *Signer) Raw(members string, claims ...Claims) string {
	return s.Sign(s.header(), payload(members, claims...))
}

// payload is the usual claims, and members appended that are given as JSON.
func payload(members string, claims ...Claims) string {
	payload := encode(merge(append([]Claims{Basic()}, claims...)...))
	if members == "" {
		return payload
	}
	return strings.TrimSuffix(payload, "}") + "," + members + "}"
}

// RawHeader signs the usual claims under the usual header with members appended.
func (s *Signer) RawHeader(members string) string {
	return s.Sign(strings.TrimSuffix(s.header(), "}")+","+members+"}", encode(Basic()))
}

// Sized is a good token of the given number of bytes.
func (s *Signer) Sized(bytes int) string {
	payload := encode(merge(Basic(), Claims{"pad": ""}))
	for extra := range 4 {
		header := encode(Claims{"alg": "RS256", "typ": "JWT", "kid": s.KeyID, "pad": strings.Repeat("x", extra)})
		fixed := base64.RawURLEncoding.EncodedLen(len(header)) + 2 + base64.RawURLEncoding.EncodedLen(s.Key.Size())
		for pad := 0; ; pad++ {
			size := fixed + base64.RawURLEncoding.EncodedLen(len(payload)+pad)
			if size == bytes {
				return s.Sign(header, encode(merge(Basic(), Claims{"pad": strings.Repeat("x", pad)})))
			}
			if size > bytes {
				break
			}
		}
	}
	panic("no token has this size")
}

// PublicKey is the signer's public key as PEM (RFC 7468 §13).
func (s *Signer) PublicKey() string {
	der, err := x509.MarshalPKIXPublicKey(s.Public())
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// Certificate is a certificate of the signer's key as PEM, which expired long
// before [Now].
func (s *Signer) Certificate() string {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: s.KeyID},
		NotBefore: Now.AddDate(-3, 0, 0), NotAfter: Now.AddDate(-2, 0, 0).Add(time.Hour),
	}
	private := s.Curve
	if private == nil {
		private = s.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.Public(), private)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// Thumbprint is the thumbprint of the signer's key (RFC 7638).
func (s *Signer) Thumbprint() string {
	sum, err := (&jose.JSONWebKey{Key: s.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return b64(string(sum))
}

// AnyAlgorithmJWK is the signer's public key as a JWK that names no algorithm.
func (s *Signer) AnyAlgorithmJWK() string { return s.jwk("") }

// JWK is the signer's public key as a JWK.
func (s *Signer) JWK() string { return s.jwk(s.Algorithm()) }

func (s *Signer) jwk(algorithm string) string {
	return encode(jose.JSONWebKey{Key: s.Public(), KeyID: s.KeyID, Algorithm: algorithm, Use: "sig"})
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

func decode(text string, into any) {
	if err := json.Unmarshal([]byte(text), into); err != nil {
		panic(err)
	}
}
