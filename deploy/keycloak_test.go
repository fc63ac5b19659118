package deploy

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"orgate/e2e/idp"
)

// keycloakURL is where the containers find Keycloak, and what its issuers begin
// with.
const keycloakURL = "http://keycloak:8080"

// realm is a realm as Keycloak imports it: what the story needs of it. Other
// fields are Keycloak's affair.
type realm struct {
	Realm        string
	Enabled      bool
	ClientScopes []clientScope
	Clients      []client
	Users        []user
}

type clientScope struct {
	Name            string
	ProtocolMappers []mapper
}

type client struct {
	ClientID                                       string
	Secret                                         string
	Enabled, PublicClient, ServiceAccountsEnabled  bool
	StandardFlowEnabled, DirectAccessGrantsEnabled bool
	DefaultClientScopes, OptionalClientScopes      []string
	Attributes                                     map[string]string
	ProtocolMappers                                []mapper
}

type user struct {
	Username, ServiceAccountClientID string
	Enabled                          bool
	RealmRoles                       []string
}

type mapper struct {
	ProtocolMapper string
	Config         map[string]string
}

// configOf returns a setting of the first mapper of a kind.
func configOf(mappers []mapper, kind, setting string) string {
	for _, m := range mappers {
		if m.ProtocolMapper == kind {
			return m.Config[setting]
		}
	}
	return ""
}

func realms(t *testing.T) map[string]*realm {
	t.Helper()
	files, err := filepath.Glob("compose/realms/*.json")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*realm{}
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := new(realm)
		if err := json.Unmarshal(doc, r); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if want := r.Realm + ".json"; filepath.Base(file) != want {
			t.Errorf("%s: must be called %s", file, want)
		}
		all[r.Realm] = r
	}
	return all
}

// keycloak stands in for Keycloak with the realms of the compose file: its
// endpoints are where Keycloak's are, and its tokens hold what the realms'
// mappers put into them.
type keycloak struct {
	realms   map[string]*realm
	provider *idp.Provider
}

// keys are the realms', made once.
var keys = sync.OnceValue(func() (list []*rsa.PrivateKey) {
	for range 3 {
		list = append(list, idp.GenerateKey())
	}
	return list
})

func newKeycloak(t *testing.T) *keycloak {
	t.Helper()
	k := &keycloak{realms: realms(t)}
	options := []idp.Option{idp.WithURL(keycloakURL)}
	for name := range k.realms {
		options = append(options, idp.WithTenant(
			idp.Tenant{Name: name, Style: idp.Keycloak, Key: keys()[len(options)-1]}))
	}
	k.provider = idp.New(options...)
	return k
}

func (k *keycloak) start(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /realms/{realm}", k.description)
	mux.HandleFunc("GET /realms/{realm}/.well-known/openid-configuration", k.discovery)
	mux.HandleFunc("GET /realms/{realm}/protocol/openid-connect/certs", func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/" + r.PathValue("realm") + "/jwks"
		k.provider.ServeHTTP(w, r)
	})
	mux.HandleFunc("POST /realms/{realm}/protocol/openid-connect/token", k.token)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func (k *keycloak) description(w http.ResponseWriter, r *http.Request) {
	key, _ := k.provider.Key(r.PathValue("realm"))
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, map[string]string{"realm": r.PathValue("realm"), "public_key": base64.StdEncoding.EncodeToString(der)})
}

func (k *keycloak) discovery(w http.ResponseWriter, r *http.Request) {
	issuer := keycloakURL + "/realms/" + r.PathValue("realm")
	answer(w, map[string]string{"issuer": issuer, "jwks_uri": issuer + "/protocol/openid-connect/certs"})
}

// token issues what the realm says the client gets.
func (k *keycloak) token(w http.ResponseWriter, r *http.Request) {
	realm := k.realms[r.PathValue("realm")]
	if realm == nil || r.ParseForm() != nil || r.PostForm.Get("grant_type") != "client_credentials" {
		http.Error(w, "invalid_request", http.StatusBadRequest)
		return
	}
	for _, c := range realm.Clients {
		if c.ClientID != r.PostForm.Get("client_id") {
			continue
		}
		scopes := strings.Fields(r.PostForm.Get("scope"))
		if c.Secret != r.PostForm.Get("client_secret") || slices.ContainsFunc(scopes,
			func(s string) bool { return !slices.Contains(c.OptionalClientScopes, s) }) {
			break
		}
		client := idp.Client{ID: c.ClientID, Scopes: scopes}
		for _, u := range realm.Users {
			if u.ServiceAccountClientID == c.ClientID {
				client.Roles = u.RealmRoles
			}
		}
		options := []idp.MintOption{idp.ForClient(client),
			idp.WithAudience(configOf(c.ProtocolMappers, "oidc-audience-mapper", "included.custom.audience"))}
		for _, s := range realm.ClientScopes {
			if slices.Contains(c.DefaultClientScopes, s.Name) {
				kind := "oidc-hardcoded-claim-mapper"
				options = append(options,
					idp.Claim(configOf(s.ProtocolMappers, kind, "claim.name"),
						configOf(s.ProtocolMappers, kind, "claim.value")))
			}
		}
		if c.Attributes["access.token.lifespan"] != "" { // nobody sleeps here: it has expired already
			options = append(options, idp.Claim("exp", time.Now().Add(-time.Minute).Unix()))
		}
		answer(w, map[string]any{"access_token": k.provider.Mint(realm.Realm, options...), "token_type": "Bearer"})
		return
	}
	http.Error(w, "invalid_client", http.StatusUnauthorized)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
