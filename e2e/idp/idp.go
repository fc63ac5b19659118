// Package idp is an identity provider for development: it issues access tokens
// like those of Auth0 and Keycloak, publishes the keys they are signed with, and
// breaks in the ways that tests and demonstrations ask for.
//
// It is never for production. Client secrets stand in the program's text, keys
// live in memory, nothing is rate-limited, and [Provider.Mint] signs whatever
// it is told to.
//
// # Tenants
//
// A [Provider] serves any number of tenants, each with its own RSA keys, under
//
//	GET  /{tenant}/.well-known/openid-configuration   OpenID Connect Discovery 1.0 §4
//	GET  /{tenant}/jwks                               RFC 7517 §5
//	POST /{tenant}/token                              RFC 6749 §4.4, client credentials
//	POST /{tenant}/introspect                         RFC 7662, for clients of the tenant
//
// The key identifier of a tenant is a name like any other, so that two tenants,
// or two providers, can use the same one for different keys.
//
// [Provider.Rotate], [Provider.Break] and [Provider.Heal] change what a tenant
// serves while it runs. Requests are counted by path.
package idp

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"sync"
	"time"
)

// Tenant is one issuer of a [Provider].
type Tenant struct {
	// Name is the tenant's path segment. Required, unique in a provider.
	Name string
	// Style is whose tokens the tenant's look like. The zero value is Auth0's.
	Style Style
	// Issuer is the tokens' "iss". Empty: the provider's own URL, as the
	// style writes it, such as http://127.0.0.1:4711/realms/org1 for Keycloak.
	Issuer string
	// Audience is the tokens' "aud". Empty: the tenant's name behind
	// "https://api.example.com/".
	Audience string
	// KeyID is the "kid" of the first key. Empty: "key-1".
	KeyID string
	// Key is the first key. nil: a fresh one, RSA 2048 bits.
	Key *rsa.PrivateKey
	// Curve signs instead, with ES256, if it is not nil.
	Curve *ecdsa.PrivateKey
	// Opaque tenants issue no JWTs. What their tokens say is for those who ask.
	Opaque bool
	// Clients may fetch tokens.
	Clients []Client
}

// Client is a confidential client of a tenant (RFC 6749 §2.1).
type Client struct {
	ID, Secret string
	// Scopes are those the client may be granted. It gets those it asks for,
	// and all of them if it asks for none (RFC 6749 §3.3).
	Scopes []string
	// Roles go into the token if the style has roles.
	Roles []string
}

// Option configures a [Provider].
type Option func(*Provider)

// WithTenant adds a tenant.
func WithTenant(t Tenant) Option { return func(p *Provider) { p.add(t) } }

// WithURL sets the URL that default issuers and discovery documents are built
// from, for a provider that is not started by [Provider.Start]. It has no
// trailing slash.
func WithURL(u string) Option { return func(p *Provider) { p.url = u } }

// Provider is an identity provider. It is an [http.Handler]; [Provider.Start]
// serves it on a free port of the loopback interface. All methods may be called
// concurrently.
type Provider struct {
	now    func() time.Time
	closed chan struct{}

	mu      sync.Mutex
	url     string
	tenants map[string]*tenant
	counts  map[string]int
	server  *httptest.Server
}

// tenant is a Tenant at work. Provider.mu guards it.
type tenant struct {
	Tenant
	keys   []signingKey              // the last one signs, all are published
	issued map[string]map[string]any // claims of the opaque tokens
	faults map[Endpoint]*fault
}

type signingKey struct {
	id    string
	key   *rsa.PrivateKey
	curve *ecdsa.PrivateKey
}

// public is the key that is published, and its algorithm.
func (k signingKey) public() (key any, algorithm string) {
	if k.curve != nil {
		return &k.curve.PublicKey, "ES256"
	}
	return &k.key.PublicKey, "RS256"
}

// New makes a provider. It panics if a tenant has no name, a name that is not
// one path segment, or the name of another.
func New(opts ...Option) *Provider {
	p := &Provider{now: time.Now, tenants: map[string]*tenant{}, counts: map[string]int{}, closed: make(chan struct{})}
	for _, opt := range opts {
		opt(p)
	}
	return p
}

func (p *Provider) add(t Tenant) {
	if t.Name == "" || url.PathEscape(t.Name) != t.Name || p.tenants[t.Name] != nil {
		panic(fmt.Sprintf("idp: tenant name %q: not a path segment, or used twice", t.Name))
	}
	if t.Audience == "" {
		t.Audience = "https://api.example.com/" + t.Name
	}
	if t.KeyID == "" {
		t.KeyID = "key-1"
	}
	if t.Key == nil {
		t.Key = GenerateKey()
	}
	p.tenants[t.Name] = &tenant{Tenant: t, keys: []signingKey{{t.KeyID, t.Key, t.Curve}}, faults: map[Endpoint]*fault{},
		issued: map[string]map[string]any{}}
}

// tenant returns the named tenant. It panics if there is none: the name is in
// the text of the caller's program.
func (p *Provider) tenant(name string) *tenant {
	t := p.tenants[name]
	if t == nil {
		panic(fmt.Sprintf("idp: no tenant %q", name))
	}
	return t
}

// Start serves the provider on a free port of the loopback interface until
// [Provider.Close].
func (p *Provider) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = httptest.NewServer(p)
	p.url = p.server.URL
}

// Close releases hanging requests and stops what Start started. It may be
// called more than once.
func (p *Provider) Close() {
	p.mu.Lock()
	server := p.server
	p.server = nil
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	p.mu.Unlock()
	if server != nil {
		server.Close()
	}
}

// URL is where the provider is served, without a trailing slash. It is empty
// before Start, unless WithURL set it.
func (p *Provider) URL() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.url
}

// Issuer returns the exact "iss" of the tenant's tokens.
func (p *Provider) Issuer(tenant string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.issuer(p.tenant(tenant))
}

func (p *Provider) issuer(t *tenant) string {
	switch {
	case t.Issuer != "":
		return t.Issuer
	case t.Style == Keycloak:
		return p.url + "/realms/" + t.Name
	}
	return p.url + "/" + t.Name + "/"
}

// JWKSURL returns the location of the tenant's JWK Set.
func (p *Provider) JWKSURL(tenant string) string { return p.location(tenant, JWKS) }

// DiscoveryURL returns the location of the tenant's discovery document.
func (p *Provider) DiscoveryURL(tenant string) string { return p.location(tenant, Discovery) }

// TokenURL returns the location of the tenant's token endpoint.
func (p *Provider) TokenURL(tenant string) string { return p.location(tenant, Token) }

func (p *Provider) location(tenant string, e Endpoint) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.url + "/" + p.tenant(tenant).Name + string(e)
}

// IntrospectionURL returns the location of the tenant's introspection endpoint.
func (p *Provider) IntrospectionURL(tenant string) string { return p.location(tenant, Introspection) }

// Revoke has an opaque token be active no more.
func (p *Provider) Revoke(tenant, token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tenant(tenant).issued, token)
}

// Key returns the key that signs the tenant's tokens now, and its kid.
func (p *Provider) Key(tenant string) (*rsa.PrivateKey, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.tenant(tenant).signing()
	return k.key, k.id
}

func (t *tenant) signing() signingKey { return t.keys[len(t.keys)-1] }

// Rotation says how keys change.
type Rotation struct {
	// KeyID and Key are the new key's.
	KeyID string
	Key   *rsa.PrivateKey
	// Overlap keeps publishing the keys there were. Without it they are gone
	// at once.
	Overlap bool
}

// Rotate has the tenant sign with another key from now on.
func (p *Provider) Rotate(tenant string, r Rotation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tenant(tenant)
	if !r.Overlap {
		t.keys = nil
	}
	t.keys = append(t.keys, signingKey{r.KeyID, r.Key, nil})
}

// Requests returns how often each path was asked for.
func (p *Provider) Requests() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}
