package idp

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
)

// Unsigned mints a token whose algorithm is "none", without a signature
// (RFC 7519 §6.1).
func (p *Provider) Unsigned(tenant string, opts ...MintOption) string {
	return p.Mint(tenant, append(opts, Header("alg", "none"))...)
}

// Confused mints a token signed with HS256, the secret being the tenant's
// public key in PEM: a verifier that lets the token choose the algorithm
// accepts it (RFC 8725 §2.1).
func (p *Provider) Confused(tenant string, opts ...MintOption) string {
	key, _ := p.Key(tenant)
	return p.Mint(tenant, append(opts, SignedWithSecret(publicPEM(&key.PublicKey)))...)
}

// Expired mints a token that expired longer ago than any skew, a day, allows.
func (p *Provider) Expired(tenant string, opts ...MintOption) string {
	p.mu.Lock()
	age := p.tenant(tenant).Lifetime + 24*time.Hour
	p.mu.Unlock()
	return p.Mint(tenant, append([]MintOption{Aged(age)}, opts...)...)
}

// Imposed mints a token of the tenant, with its issuer, claims and kid, that
// is signed by another provider's key.
func (p *Provider) Imposed(tenant string, other *Provider, otherTenant string, opts ...MintOption) string {
	key, _ := other.Key(otherTenant)
	return p.Mint(tenant, append(opts, SignedBy(key))...)
}

// Tamper changes a claim of a signed token and leaves the signature as it is.
// It panics if the token is none.
func Tamper(token, claim string, value any) string {
	head, payload, sig := cut(token)
	doc, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		panic(fmt.Sprintf("idp: tamper: payload: %v", err))
	}
	var claims map[string]any
	if err := json.Unmarshal(doc, &claims); err != nil {
		panic(fmt.Sprintf("idp: tamper: payload: %v", err))
	}
	claims[claim] = value
	return head + "." + encode(marshal(claims)) + "." + sig
}

// CorruptSignature flips one bit in the middle of the token's signature. It
// panics if the token has none.
func CorruptSignature(token string) string {
	head, payload, sig := cut(token)
	raw, err := base64.RawURLEncoding.DecodeString(sig)
	if err != nil || len(raw) == 0 {
		panic("idp: corrupt signature: the token has none")
	}
	raw[len(raw)/2] ^= 1
	return head + "." + payload + "." + encode(string(raw))
}

// WithSignatureOf returns the first token with the signature of the second.
func WithSignatureOf(token, other string) string {
	head, payload, _ := cut(token)
	_, _, sig := cut(other)
	return head + "." + payload + "." + sig
}

func cut(token string) (head, payload, sig string) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		panic(fmt.Sprintf("idp: a token has three parts, not %d", len(parts)))
	}
	return parts[0], parts[1], parts[2]
}

func publicPEM(key *rsa.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(fmt.Sprintf("idp: public key: %v", err))
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
