package idp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"time"
)

// lifetime is how long tokens are valid.
const lifetime = time.Hour

// Style is whose access tokens a tenant's look like.
type Style int

// The styles, with the issuer a tenant gets by default.
const (
	// Auth0 issues with "<url>/<tenant>/".
	Auth0 Style = iota
	// Keycloak issues with "<url>/realms/<tenant>".
	Keycloak
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
	curve      *ecdsa.PrivateKey
	secret     []byte // signs with HMAC
	rawHeader  string
	rawPayload string
	issued     time.Time
}

// ForClient issues the token to a client of the tenant, known or not. The
// default is the tenant's first client with all its scopes, or one called
// "test-client".
func ForClient(c Client) MintOption { return func(m *mint) { m.client, m.scopes = c, c.Scopes } }

// WithScopes sets the granted scopes.
func WithScopes(scopes ...string) MintOption { return func(m *mint) { m.scopes = scopes } }

// WithAudience sets the audience.
func WithAudience(aud string) MintOption { return func(m *mint) { m.audience = aud } }

// Claim sets a claim to what [json.Marshal] makes of the value.
func Claim(name string, value any) MintOption { return func(m *mint) { m.claims[name] = value } }

// Header sets a member of the JOSE header. The signature is RS256's all the
// same.
func Header(name string, value any) MintOption { return func(m *mint) { m.header[name] = value } }

// SignedBy signs with another key. The header's "kid" stays.
func SignedBy(key *rsa.PrivateKey) MintOption {
	return func(m *mint) { m.key, m.curve = key, nil }
}

// RawHeader signs this text as the header, whatever it is.
func RawHeader(text string) MintOption { return func(m *mint) { m.rawHeader = text } }

// RawPayload signs this text as the payload, whatever it is.
func RawPayload(text string) MintOption { return func(m *mint) { m.rawPayload = text } }

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
		curve:    t.signing().curve,
		issued:   p.now(),
	}
	if len(t.Clients) > 0 {
		ForClient(t.Clients[0])(&m)
	}
	for _, opt := range opts {
		opt(&m)
	}
	_, algorithm := t.signing().public()
	header := map[string]any{"alg": algorithm, "typ": "JWT", "kid": t.signing().id}
	maps.Copy(header, m.header)
	claims := t.claims(p.issuer(t), &m)
	maps.Copy(claims, m.claims)
	if t.Opaque {
		token := "op_" + strings.ToLower(rand.Text())
		t.issued[token] = claims
		return token
	}
	rawHeader, rawPayload := m.rawHeader, m.rawPayload
	if rawHeader == "" {
		rawHeader = marshal(header)
	}
	if rawPayload == "" {
		rawPayload = marshal(claims)
	}
	input := encode(rawHeader) + "." + encode(rawPayload)
	return input + "." + encode(string(m.sign(input)))
}

// claims returns a token's claims as the style writes them.
func (t *tenant) claims(issuer string, m *mint) map[string]any {
	c := map[string]any{
		"iss":   issuer,
		"iat":   m.issued.Unix(),
		"exp":   m.issued.Add(lifetime).Unix(),
		"azp":   m.client.ID,
		"scope": strings.Join(m.scopes, " "),
	}
	if t.Style == Keycloak {
		roles := map[string]any{"roles": append([]string{}, m.client.Roles...)}
		maps.Copy(c, map[string]any{
			"sub":                guid([]byte(issuer + "\x00" + m.client.ID)),
			"aud":                m.audience,
			"jti":                "trrtcc:" + guid([]byte(rand.Text())),
			"typ":                "Bearer",
			"acr":                "1",
			"client_id":          m.client.ID,
			"preferred_username": "service-account-" + m.client.ID,
			"realm_access":       roles,
			"resource_access":    map[string]any{m.client.ID: roles},
		})
		return c
	}
	maps.Copy(c, map[string]any{
		"sub":         m.client.ID + "@clients",
		"aud":         []string{m.audience},
		"permissions": append([]string{}, m.scopes...),
		"gty":         "client-credentials",
		"org_id":      t.Name,
	})
	return c
}

// guid returns a GUID of a text.
func guid(of []byte) string {
	b := sha256.Sum256(of)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func (m *mint) sign(input string) []byte {
	if m.header["alg"] == "none" {
		return nil
	}
	if m.secret != nil {
		mac := hmac.New(sha256.New, m.secret)
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
	digest := sha256.Sum256([]byte(input))
	if m.curve != nil {
		r, s, err := ecdsa.Sign(rand.Reader, m.curve, digest[:])
		if err != nil {
			panic(fmt.Sprintf("idp: sign: %v", err))
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	signature, err := rsa.SignPKCS1v15(nil, m.key, crypto.SHA256, digest[:])
	if err != nil {
		panic(fmt.Sprintf("idp: sign: %v", err))
	}
	return signature
}

// Unsigned mints a token whose algorithm is "none", without a signature
// (RFC 7519 §6.1).
func (p *Provider) Unsigned(tenant string) string { return p.Mint(tenant, Header("alg", "none")) }

// Confused mints a token signed with HS256, the secret being the tenant's
// public key in PEM: a verifier that lets the token choose the algorithm
// accepts it (RFC 8725 §2.1).
func (p *Provider) Confused(tenant string) string {
	key, _ := p.Key(tenant)
	secret := publicPEM(&key.PublicKey)
	return p.Mint(tenant, Header("alg", "HS256"), func(m *mint) { m.secret = secret })
}

// Expired mints a token that expired longer ago than any skew, a day, allows.
func (p *Provider) Expired(tenant string, opts ...MintOption) string {
	return p.Mint(tenant, append(opts, func(m *mint) { m.issued = m.issued.Add(-lifetime - 24*time.Hour) })...)
}

// Imposed mints a token of the tenant, with its issuer, claims and kid, that
// is signed by another provider's key.
func (p *Provider) Imposed(tenant string, other *Provider, otherTenant string) string {
	key, _ := other.Key(otherTenant)
	return p.Mint(tenant, SignedBy(key))
}

// Tamper changes a claim of a signed token and leaves the signature as it is.
// It panics if the token is none.
func Tamper(token, claim string, value any) string {
	parts := strings.Split(token, ".")
	doc, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		panic(fmt.Sprintf("idp: tamper: payload: %v", err))
	}
	var claims map[string]any
	if err := json.Unmarshal(doc, &claims); err != nil {
		panic(fmt.Sprintf("idp: tamper: payload: %v", err))
	}
	claims[claim] = value
	return parts[0] + "." + encode(marshal(claims)) + "." + parts[2]
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("idp: %v", err))
	}
	return string(b)
}

func publicPEM(key *rsa.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(fmt.Sprintf("idp: public key: %v", err))
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// GenerateKey makes an RSA key of 2048 bits.
func GenerateKey() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(fmt.Sprintf("idp: generate key: %v", err))
	}
	return k
}
