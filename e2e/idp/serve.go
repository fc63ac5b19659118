package idp

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Endpoint is one of a tenant's endpoints: its path behind the tenant's.
type Endpoint string

// The endpoints.
const (
	Discovery Endpoint = "/.well-known/openid-configuration"
	JWKS      Endpoint = "/jwks"
	Token     Endpoint = "/token"

	Introspection Endpoint = "/introspect"
)

// FaultKind is a way in which an endpoint breaks.
type FaultKind string

// The ways.
const (
	// Fail answers with Fault.Status.
	Fail FaultKind = "fail"
	// Hang does not answer until the endpoint is healed, the client gives up,
	// or the provider closes. A healed request is answered as it would have
	// been.
	Hang FaultKind = "hang"
	// Truncated announces the whole document, sends its first half and closes
	// the connection.
	Truncated FaultKind = "truncated"
	// Cut sends the first half of the document as if it were all of it.
	Cut FaultKind = "cut"
	// Huge pads the document to 4 MiB, with an unknown member in front.
	Huge FaultKind = "huge"
)

// Fault is how an endpoint breaks.
type Fault struct {
	Kind   FaultKind
	Status int // of Fail
}

// fault is a Fault at work.
type fault struct {
	Fault
	healed chan struct{}
}

// Break has an endpoint of the tenant misbehave until [Provider.Heal] or the
// next Break.
func (p *Provider) Break(tenant string, e Endpoint, f Fault) {
	p.Heal(tenant, e)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tenant(tenant).faults[e] = &fault{f, make(chan struct{})}
}

// Heal ends the fault of an endpoint and releases requests that hang.
func (p *Provider) Heal(tenant string, e Endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tenant(tenant)
	if f := t.faults[e]; f != nil {
		close(f.healed)
		delete(t.faults, e)
	}
}

// ServeHTTP serves the tenants' endpoints.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	e := Endpoint(strings.TrimPrefix(r.URL.Path, "/"+name))
	p.mu.Lock()
	p.counts[r.URL.Path]++
	t := p.tenants[name]
	var f *fault
	if t != nil {
		f = t.faults[e]
	}
	p.mu.Unlock()
	switch {
	case t == nil || e != Discovery && e != JWKS && e != Token && e != Introspection:
		http.NotFound(w, r)
	case (e == Token || e == Introspection) != (r.Method == http.MethodPost):
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	case f == nil:
		p.answer(w, r, t, e, nil)
	case f.Kind == Fail:
		http.Error(w, http.StatusText(f.Status), f.Status)
	case f.Kind != Hang:
		p.answer(w, r, t, e, f)
	default:
		select {
		case <-f.healed:
			p.answer(w, r, t, e, nil)
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-p.closed:
			panic(http.ErrAbortHandler)
		}
	}
}

// answer writes what an endpoint says, with a fault or nil.
func (p *Provider) answer(w http.ResponseWriter, r *http.Request, t *tenant, e Endpoint, f *fault) {
	status, body := http.StatusOK, any(nil)
	switch e {
	case Discovery:
		body = p.discovery(t)
	case JWKS:
		w.Header().Set("Cache-Control", "public, max-age=3600")
		body = p.set(t)
	case Introspection:
		w.Header().Set("Cache-Control", "no-store")
		status, body = p.introspect(t, r)
	default:
		w.Header().Set("Cache-Control", "no-store")
		status, body = p.token(t, r)
	}
	text := marshal(body)
	announced := len(text)
	switch {
	case f == nil:
	case f.Kind == Huge:
		text = `{"padding":"` + strings.Repeat("x", 4<<20-len(text)-len(`"padding":"",`)) + `",` + text[1:]
		announced = len(text)
	case f.Kind == Cut:
		text = text[:len(text)/2]
		announced = len(text)
	case f.Kind == Truncated:
		text = text[:len(text)/2]
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(announced))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
	if announced > len(text) {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // the rest never comes
	}
}

// discovery is the provider's metadata (OpenID Connect Discovery 1.0 §3).
func (p *Provider) discovery(t *tenant) any {
	base := p.URL() + "/" + t.Name
	return map[string]any{
		"issuer":                                p.Issuer(t.Name),
		"authorization_endpoint":                base + "/authorize",
		"token_endpoint":                        base + string(Token),
		"jwks_uri":                              base + string(JWKS),
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"grant_types_supported":                 []string{"client_credentials"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
		"introspection_endpoint":                base + string(Introspection),
	}
}

func (p *Provider) set(t *tenant) (set jose.JSONWebKeySet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range t.keys {
		key, algorithm := k.public()
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key, KeyID: k.id, Algorithm: algorithm, Use: "sig"})
	}
	return set
}

// introspect tells a client of the tenant, which names itself by HTTP Basic, what an
// opaque token says (RFC 7662).
func (p *Provider) introspect(t *tenant, r *http.Request) (status int, body any) {
	id, secret, _ := r.BasicAuth()
	id, errID := url.QueryUnescape(id) // RFC 6749 §2.3.1
	secret, errSecret := url.QueryUnescape(secret)
	known := slices.ContainsFunc(t.Clients, func(c Client) bool { return c.ID == id && c.Secret == secret })
	if errID != nil || errSecret != nil || !known || secret == "" {
		return http.StatusUnauthorized, map[string]string{"error": "invalid_client"}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	claims, ok := t.issued[r.PostFormValue("token")]
	if expires, _ := claims["exp"].(int64); !ok || expires <= p.now().Unix() {
		return http.StatusOK, map[string]bool{"active": false}
	}
	answer := map[string]any{"active": true, "token_type": "Bearer"}
	maps.Copy(answer, claims)
	return http.StatusOK, answer
}

// token answers a request for a token with client credentials (RFC 6749 §4.4),
// which stand in the form (§2.3.1).
func (p *Provider) token(t *tenant, r *http.Request) (status int, body any) {
	refuse := func(status int, code string) (int, any) { return status, map[string]string{"error": code} }
	if r.ParseForm() != nil || len(r.PostForm) == 0 {
		return refuse(http.StatusBadRequest, "invalid_request")
	}
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	i := slices.IndexFunc(t.Clients, func(c Client) bool { return c.ID == id && c.Secret == secret })
	if i < 0 || secret == "" {
		return refuse(http.StatusUnauthorized, "invalid_client")
	}
	if r.PostForm.Get("grant_type") != "client_credentials" {
		return refuse(http.StatusBadRequest, "unsupported_grant_type")
	}
	client := t.Clients[i]
	scopes := client.Scopes
	if asked := strings.Fields(r.PostForm.Get("scope")); len(asked) > 0 {
		scopes = asked
	}
	for _, s := range scopes {
		if !slices.Contains(client.Scopes, s) {
			return refuse(http.StatusBadRequest, "invalid_scope")
		}
	}
	return http.StatusOK, map[string]any{
		"access_token": p.Mint(t.Name, ForClient(client), WithScopes(scopes...)),
		"token_type":   "Bearer",
		"expires_in":   int(lifetime.Seconds()),
		"scope":        strings.Join(scopes, " "),
	}
}
