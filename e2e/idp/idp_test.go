package idp

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// keys are minted once for all tests.
var keys []*rsa.PrivateKey

func TestMain(m *testing.M) {
	for range 4 {
		keys = append(keys, GenerateKey())
	}
	os.Exit(m.Run())
}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

var orders = Client{ID: "orders-app", Secret: "s3cret&%", Scopes: []string{"orders:read", "orders:write"}, Roles: []string{"clerk"}}

// started returns a provider with the tenants org1 (Auth0) and org2
// (Keycloak), which share a kid.
func started(t *testing.T) *Provider {
	t.Helper()
	p := New(
		WithClock(atNoon),
		WithKeys(keys...),
		WithTenant(Tenant{Name: "org1", KeyID: "shared", Clients: []Client{orders}}),
		WithTenant(Tenant{Name: "org2", KeyID: "shared", Style: Keycloak, Clients: []Client{orders}}),
	)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func get(t *testing.T, location string) (status int, header http.Header, body string) {
	t.Helper()
	res, err := http.Get(location)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

// verify checks a token with the tenant's published keys as go-jose sees them.
func verify(t *testing.T, p *Provider, tenant, token string) (map[string]any, error) {
	t.Helper()
	_, _, body := get(t, p.JWKSURL(tenant))
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512})
	if err != nil {
		return nil, err
	}
	found := set.Key(jws.Signatures[0].Header.KeyID)
	if len(found) == 0 {
		return nil, errors.New("no such kid")
	}
	payload, err := jws.Verify(found[0].Key)
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims, nil
}

func TestIssuersFollowTheStyle(t *testing.T) {
	tests := []struct {
		style  Style
		issuer string
		want   string
	}{
		{style: Auth0, want: "http://idp.test/org1/"},
		{style: Asgardeo, want: "http://idp.test/t/org1/oauth2/token"},
		{style: Keycloak, want: "http://idp.test/realms/org1"},
		{style: EntraID, want: "http://idp.test/org1/v2.0"},
		{style: Asgardeo, issuer: "https://api.asgardeo.io/t/org1/oauth2/token", want: "https://api.asgardeo.io/t/org1/oauth2/token"},
	}
	for _, tt := range tests {
		t.Run(tt.style.String()+" "+tt.issuer, func(t *testing.T) {
			p := New(WithURL("http://idp.test"), WithKeys(keys...), WithTenant(Tenant{Name: "org1", Style: tt.style, Issuer: tt.issuer}))
			if got := p.Issuer("org1"); got != tt.want {
				t.Errorf("issuer %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTokensLookLikeTheStyle(t *testing.T) {
	iat, exp := float64(noon.Unix()), float64(noon.Add(time.Hour).Unix())
	const isGUID = "(a GUID)"
	tests := []struct {
		style  Style
		header map[string]any
		claims map[string]any
	}{
		{
			style:  Auth0,
			header: map[string]any{"alg": "RS256", "typ": "JWT", "kid": "key-1"},
			claims: map[string]any{
				"iss": "http://idp.test/org1/", "sub": "orders-app@clients", "aud": []any{"https://api.example.com/org1"},
				"iat": iat, "exp": exp, "azp": "orders-app", "scope": "orders:read orders:write",
				"permissions": []any{"orders:read", "orders:write"}, "gty": "client-credentials", "org_id": "org1",
			},
		},
		{
			style:  Asgardeo,
			header: map[string]any{"alg": "RS256", "typ": "at+jwt", "kid": "key-1"},
			claims: map[string]any{
				"iss": "http://idp.test/t/org1/oauth2/token", "sub": "orders-app", "aut": "APPLICATION",
				"aud": "https://api.example.com/org1", "iat": iat, "nbf": iat, "exp": exp, "azp": "orders-app",
				"client_id": "orders-app", "jti": isGUID, "scope": "orders:read orders:write", "org_id": "org1", "org_name": "org1",
			},
		},
		{
			style:  Keycloak,
			header: map[string]any{"alg": "RS256", "typ": "JWT", "kid": "key-1"},
			claims: map[string]any{
				"iss": "http://idp.test/realms/org1", "sub": isGUID, "aud": "https://api.example.com/org1",
				"iat": iat, "exp": exp, "azp": "orders-app", "client_id": "orders-app", "jti": "trrtcc:" + isGUID, "typ": "Bearer", "acr": "1",
				"preferred_username": "service-account-orders-app", "scope": "orders:read orders:write",
				"realm_access":    map[string]any{"roles": []any{"clerk"}},
				"resource_access": map[string]any{"orders-app": map[string]any{"roles": []any{"clerk"}}},
			},
		},
		{
			style:  EntraID,
			header: map[string]any{"alg": "RS256", "typ": "JWT", "kid": "key-1"},
			claims: map[string]any{
				"iss": "http://idp.test/org1/v2.0", "sub": isGUID, "oid": isGUID, "aud": isGUID,
				"iat": iat, "nbf": iat, "exp": exp, "azp": "orders-app", "azpacr": "1", "uti": isGUID,
				"scp": "orders:read orders:write", "roles": []any{"clerk"}, "tid": "org1", "ver": "2.0",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.style.String(), func(t *testing.T) {
			p := New(WithURL("http://idp.test"), WithClock(atNoon), WithKeys(keys...),
				WithTenant(Tenant{Name: "org1", Style: tt.style, Clients: []Client{orders}}))
			header, claims := opened(t, p.Mint("org1"))
			for name, value := range claims {
				s, _ := value.(string)
				prefix := ""
				if rest, ok := strings.CutPrefix(s, "trrtcc:"); ok {
					s, prefix = rest, "trrtcc:"
				}
				if len(s) == 36 && s[8] == '-' && s[14] == '4' {
					claims[name] = prefix + isGUID
				}
			}
			if diff := cmp.Diff(tt.header, header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.claims, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

// opened returns the header and the claims of a token.
func opened(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	head, payload, _ := cut(token)
	for part, v := range map[string]*map[string]any{head: &header, payload: &claims} {
		doc, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(doc, v); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func TestDiscovery(t *testing.T) {
	p := started(t)
	locations := map[string][]string{
		"org1": {p.DiscoveryURL("org1"), p.Issuer("org1") + ".well-known/openid-configuration"},
		"org2": {p.DiscoveryURL("org2"), p.Issuer("org2") + "/.well-known/openid-configuration"},
	}
	for tenant, urls := range locations {
		for _, u := range urls {
			status, _, body := get(t, u)
			var doc struct {
				Issuer string `json:"issuer"`
				JWKS   string `json:"jwks_uri"`
				Token  string `json:"token_endpoint"`
			}
			if err := json.Unmarshal([]byte(body), &doc); err != nil {
				t.Fatal(err)
			}
			got := []any{status, doc.Issuer, doc.JWKS, doc.Token}
			want := []any{200, p.Issuer(tenant), p.JWKSURL(tenant), p.TokenURL(tenant)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", u, diff)
			}
		}
	}
}

func TestTokenEndpoint(t *testing.T) {
	p := started(t)
	form := func(changes ...string) url.Values {
		v := url.Values{"grant_type": {"client_credentials"}, "client_id": {orders.ID}, "client_secret": {orders.Secret}}
		for i := 0; i < len(changes); i += 2 {
			v.Del(changes[i])
			if changes[i+1] != "" {
				v.Set(changes[i], changes[i+1])
			}
		}
		return v
	}
	tests := []struct {
		name      string
		form      url.Values
		user      string
		password  string
		status    int
		err       string
		scope     string
		audience  any
		challenge string
	}{
		{name: "all scopes where none is asked for", form: form(), status: 200,
			scope: "orders:read orders:write", audience: []any{"https://api.example.com/org1"}},
		{name: "the scope asked for", form: form("scope", "orders:read"), status: 200,
			scope: "orders:read", audience: []any{"https://api.example.com/org1"}},
		{name: "the audience asked for", form: form("audience", "https://other"), status: 200,
			scope: "orders:read orders:write", audience: []any{"https://other"}},
		{name: "basic authentication", form: form("client_id", "", "client_secret", ""), user: orders.ID, password: url.QueryEscape(orders.Secret), status: 200,
			scope: "orders:read orders:write", audience: []any{"https://api.example.com/org1"}},
		{name: "wrong secret", form: form("client_secret", "guess"), status: 401, err: "invalid_client"},
		{name: "no secret", form: form("client_secret", ""), status: 401, err: "invalid_client"},
		{name: "unknown client", form: form("client_id", "nobody"), status: 401, err: "invalid_client"},
		{name: "wrong secret by basic authentication", form: form("client_id", "", "client_secret", ""), user: orders.ID, password: "guess", status: 401, err: "invalid_client", challenge: `Basic realm="org1"`},
		{name: "two ways of authentication", form: form(), user: orders.ID, password: "guess", status: 400, err: "invalid_request"},
		{name: "no grant type", form: form("grant_type", ""), status: 400, err: "invalid_request"},
		{name: "another grant type", form: form("grant_type", "password"), status: 400, err: "unsupported_grant_type"},
		{name: "a scope the client may not have", form: form("scope", "orders:read admin"), status: 400, err: "invalid_scope"},
		{name: "a parameter twice", form: url.Values{"grant_type": {"client_credentials", "client_credentials"}}, status: 400, err: "invalid_request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest("POST", p.TokenURL("org1"), strings.NewReader(tt.form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if tt.user != "" {
				req.SetBasicAuth(tt.user, tt.password)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			var doc struct {
				AccessToken string `json:"access_token"`
				Type        string `json:"token_type"`
				ExpiresIn   int    `json:"expires_in"`
				Scope       string `json:"scope"`
				Error       string `json:"error"`
			}
			if err := json.NewDecoder(res.Body).Decode(&doc); err != nil {
				t.Fatal(err)
			}
			got := []any{res.StatusCode, doc.Error, doc.Scope, res.Header.Get("Cache-Control"), res.Header.Get("WWW-Authenticate")}
			if diff := cmp.Diff([]any{tt.status, tt.err, tt.scope, "no-store", tt.challenge}, got); diff != "" {
				t.Fatalf("answer (-want +got):\n%s", diff)
			}
			if tt.status != 200 {
				return
			}
			claims, err := verify(t, p, "org1", doc.AccessToken)
			if err != nil {
				t.Fatal(err)
			}
			got = []any{doc.Type, doc.ExpiresIn, claims["scope"], claims["aud"]}
			if diff := cmp.Diff([]any{"Bearer", 3600, tt.scope, tt.audience}, got); diff != "" {
				t.Errorf("token (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("no form", func(t *testing.T) {
		res, err := http.Post(p.TokenURL("org1"), "application/json", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 400 {
			t.Errorf("status %d, want 400", res.StatusCode)
		}
	})
	t.Run("GET", func(t *testing.T) {
		if status, _, _ := get(t, p.TokenURL("org1")); status != 405 {
			t.Errorf("status %d, want 405", status)
		}
	})
	t.Run("unknown tenant", func(t *testing.T) {
		if status, _, _ := get(t, p.URL()+"/org3/jwks"); status != 404 {
			t.Errorf("status %d, want 404", status)
		}
	})
}

func TestMint(t *testing.T) {
	p := started(t)
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		t.Run("signed with "+alg, func(t *testing.T) {
			if _, err := verify(t, p, "org1", p.Mint("org1", Header("alg", alg))); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("claims and header overridden", func(t *testing.T) {
		header, claims := opened(t, p.Mint("org1", Claim("sub", 7), WithoutClaim("azp"), Header("kid", "other"), WithoutHeader("typ"), Header("crit", []string{"b64"})))
		if diff := cmp.Diff(map[string]any{"alg": "RS256", "kid": "other", "crit": []any{"b64"}}, header); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
		_, hasAzp := claims["azp"]
		if claims["sub"] != 7.0 || hasAzp {
			t.Errorf("claims %v", claims)
		}
	})
	t.Run("raw header and payload", func(t *testing.T) {
		head, payload, _ := cut(p.Mint("org1", RawHeader(`{"alg":"RS256","alg":"none"}`), RawPayload(`[]`)))
		if head != encode(`{"alg":"RS256","alg":"none"}`) || payload != encode(`[]`) {
			t.Errorf("head %q, payload %q", head, payload)
		}
	})
	t.Run("aged", func(t *testing.T) {
		_, claims := opened(t, p.Mint("org1", Aged(10*time.Minute)))
		if want := float64(noon.Add(-10 * time.Minute).Unix()); claims["iat"] != want {
			t.Errorf("iat %v, want %v", claims["iat"], want)
		}
	})
}

func TestHostileTokens(t *testing.T) {
	p := started(t)
	good := p.Mint("org1")
	if _, err := verify(t, p, "org1", good); err != nil {
		t.Fatalf("the good token: %v", err)
	}
	tests := map[string]string{
		"alg none":                          p.Unsigned("org1"),
		"HS256 with the public key":         p.Confused("org1"),
		"tampered payload":                  Tamper(good, "sub", "admin"),
		"wrong signature":                   CorruptSignature(good),
		"signature of another token":        WithSignatureOf(good, p.Mint("org1", Claim("sub", "other"))),
		"other tenant's key under its kid":  p.Imposed("org1", p, "org2"),
		"signed by a key never published":   p.Mint("org1", SignedBy(keys[3])),
		"token of the other tenant":         p.Mint("org2"),
		"kid that the tenant does not have": p.Mint("org1", Header("kid", "unknown")),
	}
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := verify(t, p, "org1", token); err == nil {
				t.Errorf("go-jose accepts %s", token)
			}
		})
	}
	t.Run("the confused token is right for its secret", func(t *testing.T) {
		jws, err := jose.ParseSignedCompact(p.Confused("org1"), []jose.SignatureAlgorithm{jose.HS256})
		if err != nil {
			t.Fatal(err)
		}
		key, _ := p.Key("org1")
		if _, err := jws.Verify(publicPEM(&key.PublicKey)); err != nil {
			t.Error(err)
		}
	})
	t.Run("the tampered token says what it should", func(t *testing.T) {
		if _, claims := opened(t, Tamper(good, "sub", "admin")); claims["sub"] != "admin" {
			t.Errorf("claims %v", claims)
		}
	})
	t.Run("the expired token has a good signature", func(t *testing.T) {
		claims, err := verify(t, p, "org1", p.Expired("org1"))
		if err != nil {
			t.Fatal(err)
		}
		if want := float64(noon.Add(-24 * time.Hour).Unix()); claims["exp"] != want {
			t.Errorf("exp %v, want %v", claims["exp"], want)
		}
	})
}

func TestRotate(t *testing.T) {
	published := func(t *testing.T, p *Provider) []string {
		_, _, body := get(t, p.JWKSURL("org1"))
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(body), &set); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, k := range set.Keys {
			if !k.IsPublic() {
				t.Errorf("kid %q is private", k.KeyID)
			}
			ids = append(ids, k.KeyID)
		}
		return ids
	}
	tests := []struct {
		name      string
		rotation  Rotation
		published []string
		oldValid  bool
	}{
		{name: "with overlap", rotation: Rotation{Overlap: true}, published: []string{"shared", "key-2"}, oldValid: true},
		{name: "without overlap", rotation: Rotation{}, published: []string{"key-2"}},
		{name: "to a given kid and key", rotation: Rotation{KeyID: "next", Key: keys[3]}, published: []string{"next"}},
		{name: "to another key under the same kid", rotation: Rotation{KeyID: "shared"}, published: []string{"shared"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := started(t)
			old := p.Mint("org1")
			p.Rotate("org1", tt.rotation)
			if diff := cmp.Diff(tt.published, published(t, p)); diff != "" {
				t.Errorf("published kids (-want +got):\n%s", diff)
			}
			if _, err := verify(t, p, "org1", old); (err == nil) != tt.oldValid {
				t.Errorf("the old token: %v", err)
			}
			if _, err := verify(t, p, "org1", p.Mint("org1")); err != nil {
				t.Errorf("the new token: %v", err)
			}
		})
	}
}

func TestMisuse(t *testing.T) {
	tests := map[string]func(){
		"unknown tenant":     func() { New().Mint("org1") },
		"tenant twice":       func() { New(WithKeys(keys...), WithTenant(Tenant{Name: "a"}), WithTenant(Tenant{Name: "a"})) },
		"tenant with slash":  func() { New(WithTenant(Tenant{Name: "a/b"})) },
		"unknown endpoint":   func() { New(WithKeys(keys...), WithTenant(Tenant{Name: "a"})).Heal("a", "door") },
		"unknown fault":      func() { New(WithKeys(keys...), WithTenant(Tenant{Name: "a"})).Break("a", JWKS, Fault{Kind: "odd"}) },
		"tamper with no JWT": func() { Tamper("a.b", "sub", 1) },
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

func TestClose(t *testing.T) {
	p := started(t)
	p.Close()
	p.Close()
	if _, err := http.Get(p.JWKSURL("org1")); err == nil {
		t.Error("the closed provider answers")
	}
}
