package idp

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// keys are minted once for all tests.
var keys []*rsa.PrivateKey

func TestMain(m *testing.M) {
	for range 3 {
		keys = append(keys, GenerateKey())
	}
	os.Exit(m.Run())
}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

var orders = Client{ID: "orders-app", Secret: "s3cret&%", Scopes: []string{"orders:read", "orders:write"},
	Roles: []string{"clerk"}}

// provider has the tenants org1 (Auth0) and org2 (Keycloak), which share a kid.
func provider(opts ...Option) *Provider {
	p := New(append(opts,
		WithTenant(Tenant{Name: "org1", KeyID: "shared", Key: keys[0], Clients: []Client{orders}}),
		WithTenant(Tenant{Name: "org2", KeyID: "shared", Key: keys[1], Style: Keycloak, Clients: []Client{orders}}))...)
	p.now = func() time.Time { return noon }
	return p
}

func started(t *testing.T) *Provider {
	t.Helper()
	p := provider()
	p.Start()
	t.Cleanup(p.Close)
	return p
}

func get(t *testing.T, location string) (status int, body string) {
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
	return res.StatusCode, string(b)
}

// published are the tenant's keys as go-jose sees them.
func published(t *testing.T, p *Provider, tenant string) (set jose.JSONWebKeySet) {
	t.Helper()
	_, body := get(t, p.JWKSURL(tenant))
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		if !k.IsPublic() {
			t.Errorf("kid %q is private", k.KeyID)
		}
	}
	return set
}

// verify checks a token with the tenant's published keys.
func verify(t *testing.T, p *Provider, tenant, token string) (claims map[string]any, err error) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, err
	}
	set := published(t, p, tenant)
	found := set.Key(jws.Signatures[0].Header.KeyID)
	if len(found) == 0 {
		return nil, errors.New("no such kid")
	}
	payload, err := jws.Verify(found[0].Key)
	if err != nil {
		return nil, err
	}
	return claims, json.Unmarshal(payload, &claims)
}

// opened returns the header and the claims of a token.
func opened(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	for i, v := range []*map[string]any{&header, &claims} {
		doc, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(doc, v); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func TestTokensLookLikeTheStyle(t *testing.T) {
	iat, exp := float64(noon.Unix()), float64(noon.Add(time.Hour).Unix())
	const isGUID = "(a GUID)"
	tests := map[string]map[string]any{
		"org1": {
			"iss": "http://idp.test/org1/", "sub": "orders-app@clients", "aud": []any{"https://api.example.com/org1"},
			"iat": iat, "exp": exp, "azp": "orders-app", "scope": "orders:read orders:write",
			"permissions": []any{"orders:read", "orders:write"}, "gty": "client-credentials", "org_id": "org1",
		},
		"org2": {
			"iss": "http://idp.test/realms/org2", "sub": isGUID, "aud": "https://api.example.com/org2",
			"iat": iat, "exp": exp, "azp": "orders-app", "client_id": "orders-app", "jti": "trrtcc:" + isGUID,
			"typ":                "Bearer",
			"acr":                "1",
			"preferred_username": "service-account-orders-app", "scope": "orders:read orders:write",
			"realm_access":    map[string]any{"roles": []any{"clerk"}},
			"resource_access": map[string]any{"orders-app": map[string]any{"roles": []any{"clerk"}}},
		},
	}
	p := provider(WithURL("http://idp.test"), WithTenant(Tenant{Name: "org3", Key: keys[2],
		Issuer: "https://issuer.test/"}))
	for tenant, want := range tests {
		t.Run(tenant, func(t *testing.T) {
			header, claims := opened(t, p.Mint(tenant))
			for name, value := range claims {
				text, _ := value.(string)
				prefix, guid := "", text
				if rest, ok := strings.CutPrefix(text, "trrtcc:"); ok {
					prefix, guid = "trrtcc:", rest
				}
				if len(guid) == 36 && guid[8] == '-' && guid[14] == '4' {
					claims[name] = prefix + isGUID
				}
			}
			if diff := cmp.Diff(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "shared"}, header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
	if header, claims := opened(t, p.Mint("org3")); header["kid"] != "key-1" ||
		claims["iss"] != "https://issuer.test/" ||
		claims["azp"] != "test-client" {
		t.Errorf("a tenant with defaults: %v %v", header, claims)
	}
}

func TestDiscovery(t *testing.T) {
	p := started(t)
	for _, tenant := range []string{"org1", "org2"} {
		status, body := get(t, p.DiscoveryURL(tenant))
		var doc struct {
			Issuer string `json:"issuer"`
			JWKS   string `json:"jwks_uri"`
			Token  string `json:"token_endpoint"`
		}
		if err := json.Unmarshal([]byte(body), &doc); err != nil {
			t.Fatal(err)
		}
		want := []any{200, p.Issuer(tenant), p.JWKSURL(tenant), p.TokenURL(tenant)}
		if diff := cmp.Diff(want, []any{status, doc.Issuer, doc.JWKS, doc.Token}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tenant, diff)
		}
	}
}

func TestTokenEndpoint(t *testing.T) {
	p := started(t)
	tests := []struct {
		name, change, value string
		status              int
		want                string // the error, or the scopes
	}{
		{"all scopes if none is asked for", "", "", 200, "orders:read orders:write"},
		{"the scope asked for", "scope", "orders:read", 200, "orders:read"},
		{"wrong secret", "client_secret", "guess", 401, "invalid_client"},
		{"no secret", "client_secret", "", 401, "invalid_client"},
		{"unknown client", "client_id", "nobody", 401, "invalid_client"},
		{"another grant type", "grant_type", "password", 400, "unsupported_grant_type"},
		{"a scope the client may not have", "scope", "orders:read admin", 400, "invalid_scope"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			form := url.Values{"grant_type": {"client_credentials"}, "client_id": {orders.ID},
				"client_secret": {orders.Secret}}
			form.Set(tt.change, tt.value)
			res, err := http.PostForm(p.TokenURL("org1"), form)
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
			if res.StatusCode != tt.status || doc.Error+doc.Scope != tt.want ||
				res.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %+v", res.StatusCode, doc)
			}
			if tt.status != 200 {
				return
			}
			claims, err := verify(t, p, "org1", doc.AccessToken)
			if err != nil || claims["scope"] != tt.want || doc.Type != "Bearer" || doc.ExpiresIn != 3600 {
				t.Errorf("%v: %v %+v", err, claims, doc)
			}
		})
	}
	for location, want := range map[string]int{p.TokenURL("org1"): 405, p.URL() + "/org3/jwks": 404, p.URL() +
		"/org1/other": 404} {
		if status, _ := get(t, location); status != want {
			t.Errorf("GET %s: %d, want %d", location, status, want)
		}
	}
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
		"other tenant's key under its kid":  p.Imposed("org1", p, "org2"),
		"signed by a key never published":   p.Mint("org1", SignedBy(keys[2])),
		"token of the other tenant":         p.Mint("org2"),
		"kid that the tenant does not have": p.Mint("org1", Header("kid", "unknown")),
	}
	for name, token := range tests {
		if _, err := verify(t, p, "org1", token); err == nil {
			t.Errorf("go-jose accepts %s: %s", name, token)
		}
	}
	jws, err := jose.ParseSignedCompact(p.Confused("org1"), []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jws.Verify(publicPEM(&keys[0].PublicKey)); err != nil {
		t.Errorf("the confused token is not right for its secret: %v", err)
	}
	if _, claims := opened(t, Tamper(good, "sub", "admin")); claims["sub"] != "admin" {
		t.Errorf("the tampered token's claims: %v", claims)
	}
	claims, err := verify(t, p, "org1", p.Expired("org1"))
	if want := float64(noon.Add(-24 * time.Hour).Unix()); err != nil || claims["exp"] != want {
		t.Errorf("the expired token: %v, exp %v, want %v", err, claims["exp"], want)
	}
	raw := p.Mint("org1", RawHeader(`{"alg":"RS256","alg":"none"}`), RawPayload(`[]`))
	if !strings.HasPrefix(raw, encode(`{"alg":"RS256","alg":"none"}`)+"."+encode(`[]`)+".") {
		t.Errorf("raw header and payload: %s", raw)
	}
}

func TestRotate(t *testing.T) {
	for overlap, want := range map[bool][]string{true: {"shared", "next"}, false: {"next"}} {
		p := started(t)
		old := p.Mint("org1")
		p.Rotate("org1", Rotation{KeyID: "next", Key: keys[2], Overlap: overlap})
		var ids []string
		for _, k := range published(t, p, "org1").Keys {
			ids = append(ids, k.KeyID)
		}
		if diff := cmp.Diff(want, ids); diff != "" {
			t.Errorf("overlap %t: published kids (-want +got):\n%s", overlap, diff)
		}
		if _, err := verify(t, p, "org1", old); (err == nil) != overlap {
			t.Errorf("overlap %t: the old token: %v", overlap, err)
		}
		if _, err := verify(t, p, "org1", p.Mint("org1")); err != nil {
			t.Errorf("overlap %t: the new token: %v", overlap, err)
		}
	}
}

func TestFaults(t *testing.T) {
	p := started(t)
	_, honest := get(t, p.JWKSURL("org1"))
	broken := map[string]struct {
		fault Fault
		right func(status int, body string) bool
	}{
		"fails": {Fault{Kind: Fail, Status: 429}, func(status int, body string) bool {
			return status == 429 &&
				body == "Too Many Requests\n"
		}},
		"is cut": {Fault{Kind: Cut}, func(status int, body string) bool {
			return status == 200 &&
				body == honest[:len(honest)/2]
		}},
		"is huge": {Fault{Kind: Huge}, func(_ int, body string) bool {
			return len(body) == 4<<20 && json.Valid([]byte(body)) && strings.HasSuffix(body, honest[1:])
		}},
	}
	for name, b := range broken {
		p.Break("org1", JWKS, b.fault)
		if status, body := get(t, p.JWKSURL("org1")); !b.right(status, body) {
			t.Errorf("%s: status %d, %d bytes", name, status, len(body))
		}
	}
	p.Break("org1", JWKS, Fault{Kind: Truncated})
	res, err := http.Get(p.JWKSURL("org1"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil || len(body) >= len(honest) {
		t.Errorf("truncated: read %d of %d bytes without an error", len(body), len(honest))
	}
	p.Heal("org1", JWKS)
	if status, body := get(t, p.JWKSURL("org1")); status != 200 || body != honest {
		t.Errorf("healed: status %d, body %s", status, body)
	}
	if diff := cmp.Diff(map[string]int{"/org1/jwks": 6}, p.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestHang(t *testing.T) {
	tests := []struct {
		name string
		end  func(p *Provider, giveUp func())
		want int
	}{
		{"until healed", func(p *Provider, _ func()) { p.Heal("org1", JWKS) }, 200},
		{"until another fault", func(p *Provider, _ func()) { p.Break("org1", JWKS, Fault{Kind: Fail, Status: 500}) },
			200},
		{"until closed", func(p *Provider, _ func()) { p.Close() }, 0},
		{"until the client gives up", func(_ *Provider, giveUp func()) { giveUp() }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := provider(WithURL("http://idp.test"))
				p.Break("org1", JWKS, Fault{Kind: Hang})
				ctx, giveUp := context.WithCancel(t.Context())
				defer giveUp()
				status := -1
				go func() {
					defer func() {
						if recover() == http.ErrAbortHandler {
							status = 0
						}
					}()
					w := httptest.NewRecorder()
					p.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/org1/jwks", nil))
					status = w.Code
				}()
				synctest.Wait()
				if status != -1 {
					t.Fatalf("answered at once: %d", status)
				}
				tt.end(p, giveUp)
				synctest.Wait()
				if status != tt.want {
					t.Errorf("status %d, want %d", status, tt.want)
				}
			})
		})
	}
}

func TestMisuse(t *testing.T) {
	tenant := func(name string) Option { return WithTenant(Tenant{Name: name, Key: keys[0]}) }
	tests := map[string]func(){
		"unknown tenant":    func() { New().Mint("org1") },
		"tenant twice":      func() { New(tenant("a"), tenant("a")) },
		"tenant with slash": func() { New(tenant("a/b")) },
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

func TestIntrospection(t *testing.T) {
	p := New(WithTenant(Tenant{Name: "org1", Opaque: true, Clients: []Client{{ID: "a b", Secret: "s:&"}}}))
	p.Start()
	defer p.Close()
	token, revoked := p.Mint("org1"), p.Mint("org1")
	p.Revoke("org1", revoked)
	ask := func(token, secret string) string {
		t.Helper()
		form := url.Values{"token": {token}}
		req, err := http.NewRequest("POST", p.IntrospectionURL("org1"), strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(url.QueryEscape("a b"), url.QueryEscape(secret))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var answer struct {
			Active bool
			Sub    string
		}
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(res.StatusCode, " ", answer.Active, " ", answer.Sub)
	}
	got := []string{ask(token, "s:&"), ask(revoked, "s:&"), ask("op_x", "s:&"), ask(p.Expired("org1"), "s:&"),
		ask(token, "x")}
	want := []string{"200 true a b@clients", "200 false ", "200 false ", "200 false ", "401 false "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}
