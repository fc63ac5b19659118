package peers

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/oauth2-proxy/mockoidc"
)

// mockOIDC is oauth2-proxy's mockoidc: a server for each organization. Both begin
// with the key that is written in its source, and so with one kid.
func mockOIDC(t *testing.T) *provider {
	servers := map[string]*mockServer{"org1": startMock(t, "alice"), "org2": startMock(t, "bob")}
	configuration := `{
		"issuers": [
			{
				"name": "mock1",
				"issuer": "URL1",
				"organization": "org1",
				"audiences": ["CLIENT1"],
				"signatureValidation": {"jwks": {"url": "URL1/.well-known/jwks.json", "cluster": "mock1"}}
			},
			{
				"name": "mock2",
				"issuer": "URL2",
				"organization": "org2",
				"audiences": ["CLIENT2"],
				"signatureValidation": {"jwks": {"wellKnown": "URL2/.well-known/openid-configuration", "cluster": "mock2"}}
			}
		],
		"rules": [
			{"match": {"pathPrefix": "/org1"}, "organization": "org1"},
			{"match": {"pathPrefix": "/org2"}, "organization": "org2"}
		]
	}`
	return &provider{
		clusters: map[string]string{"mock1": servers["org1"].Addr(), "mock2": servers["org2"].Addr()},
		configuration: strings.NewReplacer("URL1", servers["org1"].Issuer(), "URL2", servers["org2"].Issuer(),
			"CLIENT1", servers["org1"].ClientID, "CLIENT2", servers["org2"].ClientID).Replace(configuration),
		token:    func(t *testing.T, org string) string { return servers[org].token(t) },
		rotate:   func(t *testing.T) { servers["org1"].rotate(t) },
		rotates:  []string{"org1"},
		username: map[string]string{"org1": "alice", "org2": "bob"},
	}
}

type mockServer struct {
	*mockoidc.MockOIDC
	user string
	mu   sync.Mutex // for Keypair
}

func startMock(t *testing.T, user string) *mockServer {
	m, err := mockoidc.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &mockServer{MockOIDC: m, user: user}
	if err := m.AddMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			next.ServeHTTP(w, r)
		})
	}); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(listen(t), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Server.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// token logs the user in, as a web application does.
func (s *mockServer) token(t *testing.T) string {
	t.Helper()
	s.QueueUser(&mockoidc.MockUser{Subject: s.user})
	const back = "http://app.example/callback"
	res := get(t, s.AuthorizationEndpoint()+"?"+url.Values{"response_type": {"code"}, "client_id": {s.ClientID},
		"scope": {"openid"}, "state": {"1"}, "redirect_uri": {back}}.Encode())
	location, err := res.Location()
	if err != nil {
		t.Fatal(err)
	}
	return accessToken(t, s.TokenEndpoint(), url.Values{"grant_type": {"authorization_code"}, "redirect_uri": {back},
		"code": {location.Query().Get("code")}, "client_id": {s.ClientID}, "client_secret": {s.ClientSecret}})
}

func (s *mockServer) rotate(t *testing.T) {
	pair, err := mockoidc.NewKeypair(newRSAKey(t))
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Keypair = pair
}
