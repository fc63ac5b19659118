// Package idp is an identity provider for development: it issues access tokens
// in the shapes of Auth0, Asgardeo, Keycloak and Entra ID, publishes the keys
// they are signed with, and breaks in every way that tests and demonstrations
// ask for.
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
//
// and the discovery document also where the tenant's issuer says it is. The
// key identifier of a tenant is a name like any other, so that two tenants, or
// two providers, can use the same one for different keys.
//
// # Faults
//
// [Provider.Rotate], [Provider.Break] and [Provider.Heal] change what a tenant
// serves while it runs; [Provider.Control] offers the same over HTTP, for
// another process. Requests are counted by path.
//
// # Hostile tokens
//
// [Provider.Mint] takes options for claims, header and key. The functions in
// hostile.go build tokens that no provider would sign.
package idp

import (
	"crypto/rsa"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
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
	// Organization is the value of "org_id" (and of "org_name" and "tid",
	// where the style has them). Empty: the tenant's name.
	Organization string
	// Audience is the tokens' "aud" where the request names none. Empty: the
	// tenant's name behind "https://api.example.com/", or for Entra ID a GUID.
	Audience string
	// KeyID is the "kid" of the first key. Empty: "key-1".
	KeyID string
	// Key is the first key. nil: a fresh one, RSA 2048 bits.
	Key *rsa.PrivateKey
	// Lifetime is how long tokens are valid. Zero: an hour.
	Lifetime time.Duration
	// Clients may fetch tokens.
	Clients []Client
}

// Client is a confidential client of a tenant (RFC 6749 §2.1).
type Client struct {
	ID, Secret string
	// Scopes are those the client may be granted. It gets those it asks for,
	// and all of them if it asks for none (RFC 6749 §3.3).
	Scopes []string
	// Roles go into the token where the style has roles.
	Roles []string
	// Audiences are those the client may name. Empty: any.
	Audiences []string
}

// Option configures a [Provider].
type Option func(*Provider)

// WithTenant adds a tenant.
func WithTenant(t Tenant) Option {
	return func(p *Provider) { p.declared = append(p.declared, t) }
}

// WithClock sets where "iat", "nbf" and "exp" come from. The default is
// [time.Now].
func WithClock(now func() time.Time) Option {
	return func(p *Provider) { p.now = now }
}

// WithKeys gives the provider keys to use before it generates any: the first
// tenants without a key take them in order, then rotations. Generating a key
// takes a good part of a second.
func WithKeys(keys ...*rsa.PrivateKey) Option {
	return func(p *Provider) { p.spare = append(p.spare, keys...) }
}

// WithURL sets the URL that default issuers and discovery documents are built
// from, for a provider that is not started by [Provider.Start]. It has no
// trailing slash.
func WithURL(u string) Option {
	return func(p *Provider) { p.url = u }
}

// Provider is an identity provider. It is an [http.Handler]; [Provider.Start]
// serves it on a free port of the loopback interface. All methods may be called
// concurrently.
type Provider struct {
	declared []Tenant
	now      func() time.Time

	mu      sync.Mutex
	url     string
	spare   []*rsa.PrivateKey
	tenants map[string]*tenant
	counts  map[string]int
	servers []*http.Server
	control string
	closed  chan struct{}
	running sync.WaitGroup
}

// tenant is a Tenant at work. Provider.mu guards it.
type tenant struct {
	Tenant
	keys    []signingKey // the last one signs, all are published
	minted  int          // keys so far, for the default kid
	faults  map[Endpoint]*fault
	clients map[string]Client
}

type signingKey struct {
	id  string
	key *rsa.PrivateKey
}

// New makes a provider. It panics if a tenant has no name, a name that is not
// one path segment, or the name of another.
func New(opts ...Option) *Provider {
	p := &Provider{
		now:     time.Now,
		tenants: map[string]*tenant{},
		counts:  map[string]int{},
		closed:  make(chan struct{}),
	}
	for _, opt := range opts {
		opt(p)
	}
	for _, d := range p.declared {
		p.add(d)
	}
	return p
}

func (p *Provider) add(d Tenant) {
	if d.Name == "" || url.PathEscape(d.Name) != d.Name || p.tenants[d.Name] != nil {
		panic(fmt.Sprintf("idp: tenant name %q: not a path segment, or used twice", d.Name))
	}
	if d.Organization == "" {
		d.Organization = d.Name
	}
	if d.Audience == "" {
		d.Audience = d.Style.defaultAudience(d.Name)
	}
	if d.KeyID == "" {
		d.KeyID = "key-1"
	}
	if d.Lifetime == 0 {
		d.Lifetime = time.Hour
	}
	if d.Key == nil {
		d.Key = p.nextKey()
	}
	t := &tenant{
		Tenant:  d,
		keys:    []signingKey{{d.KeyID, d.Key}},
		minted:  1,
		faults:  map[Endpoint]*fault{},
		clients: map[string]Client{},
	}
	for _, c := range d.Clients {
		t.clients[c.ID] = c
	}
	p.tenants[d.Name] = t
}

func (p *Provider) nextKey() *rsa.PrivateKey {
	if len(p.spare) == 0 {
		return GenerateKey()
	}
	k := p.spare[0]
	p.spare = p.spare[1:]
	return k
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
func (p *Provider) Start() error {
	u, err := p.serve(p)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.url = u
	p.mu.Unlock()
	return nil
}

// StartControl serves [Provider.Control] on another free port of the loopback
// interface until [Provider.Close].
func (p *Provider) StartControl() error {
	u, err := p.serve(p.Control())
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.control = u
	p.mu.Unlock()
	return nil
}

func (p *Provider) serve(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("identity provider: %w", err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	p.mu.Lock()
	p.servers = append(p.servers, s)
	p.mu.Unlock()
	p.running.Go(func() { _ = s.Serve(l) })
	return "http://" + l.Addr().String(), nil
}

// Close releases hanging requests and stops what Start and StartControl
// started. It may be called more than once.
func (p *Provider) Close() {
	p.mu.Lock()
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	servers := p.servers
	p.servers = nil
	p.mu.Unlock()
	for _, s := range servers {
		_ = s.Close()
	}
	p.running.Wait()
}

// URL is where the provider is served, without a trailing slash. It is empty
// before Start, unless WithURL set it.
func (p *Provider) URL() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.url
}

// ControlURL is where the control side is served, without a trailing slash.
// It is empty before StartControl.
func (p *Provider) ControlURL() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.control
}

// Issuer returns the exact "iss" of the tenant's tokens.
func (p *Provider) Issuer(tenant string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.issuer(p.tenant(tenant))
}

func (p *Provider) issuer(t *tenant) string {
	if t.Issuer != "" {
		return t.Issuer
	}
	return p.url + t.Style.issuerPath(t.Name)
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
	return p.url + "/" + p.tenant(tenant).Name + e.path()
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
	// KeyID is the new key's. Empty: "key-" and the number of keys the tenant
	// has had.
	KeyID string
	// Key is the new key. nil: a spare one of WithKeys, or a fresh one.
	Key *rsa.PrivateKey
	// Overlap keeps publishing the keys there were. Without it they are gone
	// at once.
	Overlap bool
}

// Rotate has the tenant sign with another key from now on.
func (p *Provider) Rotate(tenant string, r Rotation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tenant(tenant)
	t.minted++
	if r.KeyID == "" {
		r.KeyID = "key-" + strconv.Itoa(t.minted)
	}
	if r.Key == nil {
		r.Key = p.nextKey()
	}
	if !r.Overlap {
		t.keys = nil
	}
	t.keys = append(t.keys, signingKey{r.KeyID, r.Key})
}

// Requests returns how often each path was asked for, since the start or the
// last ResetRequests.
func (p *Provider) Requests() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := make(map[string]int, len(p.counts))
	for path, n := range p.counts {
		counts[path] = n
	}
	return counts
}

// ResetRequests sets all counts to zero.
func (p *Provider) ResetRequests() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.counts)
}

// Endpoint is one of a tenant's three endpoints.
type Endpoint string

// The endpoints.
const (
	Discovery Endpoint = "discovery"
	JWKS      Endpoint = "jwks"
	Token     Endpoint = "token"
)

// path returns what follows the tenant in the endpoint's path.
func (e Endpoint) path() string {
	switch e {
	case Discovery:
		return discoveryPath
	case JWKS:
		return "/jwks"
	case Token:
		return "/token"
	}
	panic(fmt.Sprintf("idp: no endpoint %q", string(e)))
}

const discoveryPath = "/.well-known/openid-configuration"

// endpointOf returns what a path names, or false.
func (p *Provider) endpointOf(path string) (*tenant, Endpoint, bool) {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if t := p.tenants[name]; t != nil {
		for _, e := range []Endpoint{Discovery, JWKS, Token} {
			if path == "/"+name+e.path() {
				return t, e, true
			}
		}
	}
	for _, t := range p.tenants {
		if path == strings.TrimSuffix(t.Style.issuerPath(t.Name), "/")+discoveryPath {
			return t, Discovery, true
		}
	}
	return nil, "", false
}
