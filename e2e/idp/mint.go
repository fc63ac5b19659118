package idp

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	// The hashes of the algorithms in hashes.
	_ "crypto/sha512"
)

// MintOption changes the token that [Provider.Mint] makes.
type MintOption func(*mint)

type mint struct {
	client     Client
	scopes     []string
	audience   string
	header     map[string]any
	claims     map[string]any
	key        *rsa.PrivateKey
	secret     []byte
	rawHeader  string
	rawPayload string
	age        time.Duration
}

// ForClient issues the token to a client of the tenant, known or not. The
// default is the tenant's first client with all its scopes, or one called
// "test-client".
func ForClient(c Client) MintOption {
	return func(m *mint) { m.client, m.scopes = c, c.Scopes }
}

// WithScopes sets the granted scopes.
func WithScopes(scopes ...string) MintOption {
	return func(m *mint) { m.scopes = scopes }
}

// WithAudience sets the audience.
func WithAudience(aud string) MintOption {
	return func(m *mint) { m.audience = aud }
}

// Claim sets a claim to what [json.Marshal] makes of the value.
func Claim(name string, value any) MintOption {
	return func(m *mint) { m.claims[name] = value }
}

// WithoutClaim leaves a claim out.
func WithoutClaim(name string) MintOption {
	return func(m *mint) { m.claims[name] = absent }
}

// Header sets a member of the JOSE header. An "alg" among RS256, RS384, RS512,
// PS256, PS384 and PS512 is also how the token is signed; with "none" there is
// no signature; with HS256 the secret is the one of [SignedWithSecret]; with
// any other value the signature is RS256's.
func Header(name string, value any) MintOption {
	return func(m *mint) { m.header[name] = value }
}

// WithoutHeader leaves a member of the JOSE header out.
func WithoutHeader(name string) MintOption {
	return func(m *mint) { m.header[name] = absent }
}

// SignedBy signs with another key. The header's "kid" stays.
func SignedBy(key *rsa.PrivateKey) MintOption {
	return func(m *mint) { m.key = key }
}

// SignedWithSecret signs with HMAC SHA-256 and says so in the header.
func SignedWithSecret(secret []byte) MintOption {
	return func(m *mint) { m.secret, m.header["alg"] = secret, "HS256" }
}

// Aged issues the token that long ago: "iat", "nbf" and "exp" are earlier.
func Aged(d time.Duration) MintOption {
	return func(m *mint) { m.age = d }
}

// RawHeader signs this text as the header, whatever it is.
func RawHeader(text string) MintOption {
	return func(m *mint) { m.rawHeader = text }
}

// RawPayload signs this text as the payload, whatever it is.
func RawPayload(text string) MintOption {
	return func(m *mint) { m.rawPayload = text }
}

type absence struct{}

// absent, as the value of a claim or header member, removes it.
var absent any = absence{}

// Mint signs an access token of the tenant. It panics if there is no such
// tenant or if a value cannot be written as JSON.
func (p *Provider) Mint(tenant string, opts ...MintOption) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tenant(tenant)
	m := mint{
		client:   Client{ID: "test-client"},
		audience: t.Audience,
		header:   map[string]any{},
		claims:   map[string]any{},
		key:      t.signing().key,
	}
	if len(t.Clients) > 0 {
		ForClient(t.Clients[0])(&m)
	}
	for _, opt := range opts {
		opt(&m)
	}
	return p.sign(t, &m)
}

func (p *Provider) sign(t *tenant, m *mint) string {
	header := overlay(map[string]any{"alg": "RS256", "typ": t.Style.typ(), "kid": t.signing().id}, m.header)
	claims := overlay(t.Style.claims(grant{
		issuer:       p.issuer(t),
		organization: t.Organization,
		client:       m.client,
		audience:     m.audience,
		scopes:       m.scopes,
		now:          p.now().Add(-m.age),
		lifetime:     t.Lifetime,
	}), m.claims)
	rawHeader, rawPayload := m.rawHeader, m.rawPayload
	if rawHeader == "" {
		rawHeader = marshal(header)
	}
	if rawPayload == "" {
		rawPayload = marshal(claims)
	}
	input := encode(rawHeader) + "." + encode(rawPayload)
	alg, _ := header["alg"].(string)
	return input + "." + encode(string(signature(alg, input, m)))
}

// overlay sets or removes the members of base that changes names.
func overlay(base, changes map[string]any) map[string]any {
	for name, value := range changes {
		if value == absent {
			delete(base, name)
			continue
		}
		base[name] = value
	}
	return base
}

var hashes = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}

func signature(alg, input string, m *mint) []byte {
	if alg == "none" {
		return nil
	}
	if m.secret != nil {
		mac := hmac.New(sha256.New, m.secret)
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
	hash, pss := crypto.SHA256, false
	if size, ok := strings.CutPrefix(alg, "RS"); ok && hashes[size] != 0 {
		hash = hashes[size]
	} else if size, ok := strings.CutPrefix(alg, "PS"); ok && hashes[size] != 0 {
		hash, pss = hashes[size], true
	}
	h := hash.New()
	h.Write([]byte(input))
	digest := h.Sum(nil)
	var sig []byte
	var err error
	if pss {
		sig, err = rsa.SignPSS(rand.Reader, m.key, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	} else {
		sig, err = rsa.SignPKCS1v15(nil, m.key, hash, digest)
	}
	if err != nil {
		panic(fmt.Sprintf("idp: sign with %s: %v", alg, err))
	}
	return sig
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("idp: mint: %v", err))
	}
	return string(b)
}

// GenerateKey makes an RSA key of 2048 bits.
func GenerateKey() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(fmt.Sprintf("idp: generate key: %v", err))
	}
	return k
}
