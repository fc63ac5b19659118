package peers

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/storage"
	"github.com/ory/fosite/token/jwt"
	"golang.org/x/crypto/bcrypt"
)

// fositeServer is an authorization server made of ory/fosite: a location for each
// organization. One signs with RS256 and puts no kid into its tokens, as fosite
// does with a bare key; the other signs with ES256.
func fositeServer(t *testing.T) *provider {
	tenants := map[string]*fositeTenant{
		"org1": {newKey: func() any { return newRSAKey(t) }},
		"org2": {newKey: func() any { return newECKey(t) }},
	}
	url := start(t, func(url string) http.Handler {
		mux := http.NewServeMux()
		for org, tenant := range tenants {
			mux.Handle("/"+org+"/", http.StripPrefix("/"+org, tenant.handler(t, url+"/"+org)))
		}
		return mux
	})
	return &provider{
		clusters: map[string]string{"fosite": url},
		configuration: strings.ReplaceAll(`{
			"issuers": [
				{
					"name": "fosite1",
					"issuer": "URL/org1",
					"organization": "org1",
					"audiences": ["https://api.example.com"],
					"scopesClaim": "scp",
					"signatureValidation": {"jwks": {"url": "URL/org1/jwks", "cluster": "fosite"}}
				},
				{
					"name": "fosite2",
					"issuer": "URL/org2",
					"organization": "org2",
					"algorithms": ["ES256"],
					"audiences": ["https://api.example.com"],
					"scopesClaim": "scp",
					"signatureValidation": {"jwks": {"url": "URL/org2/jwks", "cluster": "fosite"}}
				}
			],
			"rules": [
				{"match": {"pathPrefix": "/org1"}, "organization": "org1", "scopes": ["orders:read"]},
				{"match": {"pathPrefix": "/org2"}, "organization": "org2", "scopes": ["orders:read"]}
			]
		}`, "URL", url),
		token: func(t *testing.T, org string) string {
			return clientCredentials(t, url+"/"+org+"/token", "app", "orders:read", "audience",
				"https://api.example.com")
		},
		opaque: func(t *testing.T) string {
			return clientCredentials(t, url+"/org1/opaque", "app", "orders:read", "audience", "https://api.example.com")
		},
		rotate: func(*testing.T) {
			tenants["org1"].rotate()
			tenants["org2"].rotate()
		},
		rotates:  []string{"org1", "org2"},
		silent:   "org1",
		username: map[string]string{"org1": "app", "org2": "app"},
		client:   map[string]string{"org1": "app", "org2": "app"},
		scopes:   "orders:read",
	}
}

// fositeTenant is one organization's issuer.
type fositeTenant struct {
	newKey func() any

	mu  sync.Mutex
	key any // an *rsa.PrivateKey or a *jose.JSONWebKey
}

func (f *fositeTenant) rotate() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.key = f.newKey()
}

func (f *fositeTenant) current(context.Context) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.key, nil
}

func (f *fositeTenant) handler(t *testing.T, issuer string) http.Handler {
	f.rotate()
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	store := storage.NewMemoryStore()
	store.Clients["app"] = &fosite.DefaultClient{ID: "app", Secret: hash, GrantTypes: []string{"client_credentials"},
		Scopes: []string{"orders:read"}, Audience: []string{"https://api.example.com"}}
	config := fosite.Config{AccessTokenIssuer: issuer, JWTScopeClaimKey: jwt.JWTScopeFieldBoth,
		GlobalSecret: []byte(strings.Repeat(secret, 4))}
	mux := http.NewServeMux()
	mux.HandleFunc("/introspect", introspectionEndpoint(
		compose.Compose(&config, store, compose.NewOAuth2HMACStrategy(&config),
			compose.OAuth2TokenIntrospectionFactory)))
	endpoint := func(path string, config fosite.Config, jwts bool) {
		strategy := any(compose.NewOAuth2HMACStrategy(&config)) // fosite's default
		if jwts {
			strategy = compose.NewOAuth2JWTStrategy(f.current, compose.NewOAuth2HMACStrategy(&config), &config)
		}
		mux.HandleFunc(path, tokenEndpoint(compose.Compose(&config, store, strategy,
			compose.OAuth2ClientCredentialsGrantFactory)))
	}
	endpoint("/token", config, true)
	endpoint("/opaque", config, false)
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, r *http.Request) {
		key, _ := f.current(r.Context())
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public(key)}})
	})
	return mux
}

// tokenEndpoint is the one of fosite's README, for a client's own credentials.
func tokenEndpoint(server fosite.OAuth2Provider) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		session := &oauth2.JWTSession{JWTClaims: new(jwt.JWTClaims), JWTHeader: new(jwt.Headers)}
		request, err := server.NewAccessRequest(ctx, r, session)
		if err != nil {
			server.WriteAccessError(ctx, w, request, err)
			return
		}
		id := request.GetClient().GetID()
		session.Subject, session.JWTClaims.Subject, session.JWTClaims.Extra = id, id, map[string]any{"client_id": id}
		for _, scope := range request.GetRequestedScopes() {
			request.GrantScope(scope)
		}
		for _, audience := range request.GetRequestedAudience() {
			request.GrantAudience(audience)
		}
		response, err := server.NewAccessResponse(ctx, request)
		if err != nil {
			server.WriteAccessError(ctx, w, request, err)
			return
		}
		server.WriteAccessResponse(ctx, w, request, response)
	}
}

// introspectionEndpoint is the one of fosite's README.
func introspectionEndpoint(server fosite.OAuth2Provider) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		response, err := server.NewIntrospectionRequest(ctx, r,
			&oauth2.JWTSession{JWTClaims: new(jwt.JWTClaims), JWTHeader: new(jwt.Headers)})
		if err != nil {
			server.WriteIntrospectionError(ctx, w, err)
			return
		}
		server.WriteIntrospectionResponse(ctx, w, response)
	}
}

func public(key any) jose.JSONWebKey {
	if jwk, ok := key.(*jose.JSONWebKey); ok {
		return jwk.Public()
	}
	return jose.JSONWebKey{Key: key.(crypto.Signer).Public(), Use: "sig"}
}

func newECKey(t *testing.T) *jose.JSONWebKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &jose.JSONWebKey{Key: key, KeyID: newKeyID(), Algorithm: "ES256", Use: "sig"}
}
