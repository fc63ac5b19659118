package idp

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// ServeHTTP serves the tenants' endpoints.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.counts[r.URL.Path]++
	t, e, ok := p.endpointOf(r.URL.Path)
	var f *fault
	if ok {
		f = t.faults[e]
	}
	p.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	method := http.MethodGet
	if e == Token {
		method = http.MethodPost
	}
	if r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
		w.Header().Set("Allow", method)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	a := p.answer(t, e, r)
	if f != nil && !f.apply(p, t, e, r, &a) {
		panic(http.ErrAbortHandler) // nobody is waiting any more, or the provider closes
	}
	a.write(w)
}

// answer is what an endpoint says.
type answer struct {
	status      int
	contentType string
	header      http.Header
	body        []byte
	announced   int // Content-Length, where it lies; 0: the body's
}

func (a *answer) write(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", a.contentType)
	length := len(a.body)
	if a.announced > 0 {
		length = a.announced
	}
	w.Header().Set("Content-Length", fmt.Sprint(length))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
	if a.announced > 0 {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // the rest never comes
	}
}

func jsonAnswer(status int, v any) answer {
	return answer{
		status:      status,
		contentType: "application/json",
		header:      http.Header{},
		body:        []byte(marshal(v)),
	}
}

func (p *Provider) answer(t *tenant, e Endpoint, r *http.Request) answer {
	switch e {
	case Discovery:
		return p.discovery(t)
	case JWKS:
		p.mu.Lock()
		defer p.mu.Unlock()
		a := jsonAnswer(http.StatusOK, publicSet(t.keys))
		a.header.Set("Cache-Control", "public, max-age=3600")
		return a
	}
	return p.token(t, r)
}

// discovery is the provider's metadata (OpenID Connect Discovery 1.0 §3).
func (p *Provider) discovery(t *tenant) answer {
	base := p.URL() + "/" + t.Name
	return jsonAnswer(http.StatusOK, map[string]any{
		"issuer":                                p.Issuer(t.Name),
		"authorization_endpoint":                base + "/authorize",
		"token_endpoint":                        base + Token.path(),
		"jwks_uri":                              base + JWKS.path(),
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"grant_types_supported":                 []string{"client_credentials"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
	})
}

func publicSet(keys []signingKey) jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: &k.key.PublicKey, KeyID: k.id, Algorithm: "RS256", Use: "sig"})
	}
	return set
}

func privateSet(keys []signingKey) jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.key, KeyID: k.id, Algorithm: "RS256", Use: "sig"})
	}
	return set
}

// oauthError is an error of the token endpoint (RFC 6749 §5.2).
type oauthError struct {
	code, description string
}

func (e *oauthError) Error() string { return e.code + ": " + e.description }

// token answers a request for a token with client credentials
// (RFC 6749 §4.4).
func (p *Provider) token(t *tenant, r *http.Request) answer {
	token, scopes, err := p.issue(t, r)
	var refusal *oauthError
	if errors.As(err, &refusal) {
		status := http.StatusBadRequest
		if refusal.code == "invalid_client" {
			status = http.StatusUnauthorized
		}
		a := jsonAnswer(status, map[string]string{"error": refusal.code, "error_description": refusal.description})
		if _, _, basic := r.BasicAuth(); basic && status == http.StatusUnauthorized {
			a.header.Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", t.Name))
		}
		a.header.Set("Cache-Control", "no-store")
		return a
	}
	a := jsonAnswer(http.StatusOK, map[string]any{
		"access_token": token,
		"token_type":   "Bearer",
		"expires_in":   int(t.Lifetime.Seconds()),
		"scope":        strings.Join(scopes, " "),
	})
	a.header.Set("Cache-Control", "no-store")
	return a
}

const maxForm = 64 << 10

func (p *Provider) issue(t *tenant, r *http.Request) (token string, scopes []string, err error) {
	if ct, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); ct != "application/x-www-form-urlencoded" {
		return "", nil, &oauthError{"invalid_request", "the body must be application/x-www-form-urlencoded"}
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return "", nil, &oauthError{"invalid_request", "the body is no form"}
	}
	for _, name := range []string{"grant_type", "client_id", "client_secret", "scope", "audience"} {
		if len(r.PostForm[name]) > 1 {
			return "", nil, &oauthError{"invalid_request", name + " occurs twice"}
		}
	}
	client, err := t.authenticate(r)
	if err != nil {
		return "", nil, err
	}
	switch r.PostForm.Get("grant_type") {
	case "client_credentials":
	case "":
		return "", nil, &oauthError{"invalid_request", "grant_type is missing"}
	default:
		return "", nil, &oauthError{"unsupported_grant_type", "only client_credentials"}
	}
	scopes = client.Scopes
	if asked := strings.Fields(r.PostForm.Get("scope")); len(asked) > 0 {
		for _, s := range asked {
			if !slices.Contains(client.Scopes, s) {
				return "", nil, &oauthError{"invalid_scope", "the client may not be granted a scope it asks for"}
			}
		}
		scopes = asked
	}
	opts := []MintOption{ForClient(client), WithScopes(scopes...)}
	if aud := r.PostForm.Get("audience"); aud != "" {
		if len(client.Audiences) > 0 && !slices.Contains(client.Audiences, aud) {
			return "", nil, &oauthError{"invalid_target", "the client may not name this audience"} // RFC 8707 §2
		}
		opts = append(opts, WithAudience(aud))
	}
	return p.Mint(t.Name, opts...), scopes, nil
}

// authenticate finds the client by HTTP Basic or by the body's parameters, but
// not both (RFC 6749 §2.3.1).
func (t *tenant) authenticate(r *http.Request) (Client, error) {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, basic := r.BasicAuth(); basic {
		if secret != "" {
			return Client{}, &oauthError{"invalid_request", "two ways of authentication"}
		}
		var err1, err2 error
		id, err1 = url.QueryUnescape(user)
		secret, err2 = url.QueryUnescape(password)
		if err := errors.Join(err1, err2); err != nil {
			return Client{}, &oauthError{"invalid_client", "client authentication failed"}
		}
	}
	c, known := t.clients[id]
	if !known || secret == "" || secret != c.Secret {
		return Client{}, &oauthError{"invalid_client", "client authentication failed"}
	}
	return c, nil
}
