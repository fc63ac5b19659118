package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"orgate/e2e/idp"
)

// TestTokenScripts runs the scripts that fetch tokens. $IDP is an identity
// provider, and $WORK has a configuration with two of its tenants as issuers.
func TestTokenScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/token",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			clients := []idp.Client{{ID: "app", Secret: "s3cret", Scopes: []string{"orders:read", "orders:write"}}}
			provider := idp.New(idp.WithTenant(idp.Tenant{Name: "org1", Clients: clients}),
				idp.WithTenant(idp.Tenant{Name: "org2", Style: idp.Keycloak, Clients: clients}))
			provider.Start()
			e.Defer(provider.Close)
			e.Setenv("IDP", provider.URL())
			issuer := func(name string, keys map[string]string) any {
				keys["cluster"] = name
				return map[string]any{"name": name, "issuer": provider.Issuer(name), "organization": name,
					"usernameClaim":       "azp",
					"signatureValidation": map[string]any{"jwks": keys}}
			}
			text, err := json.Marshal(map[string]any{
				"issuers": []any{
					issuer("org1", map[string]string{"url": provider.JWKSURL("org1")}),
					issuer("org2", map[string]string{"wellKnown": provider.DiscoveryURL("org2")}),
				},
				"rules": []any{
					map[string]any{"name": "orders", "organization": "org2", "scopes": []string{"orders:read"}}},
			})
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(e.WorkDir, "orgate.json"), text, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status},
	})
}

// TestTokenWithABrowser: the command prints where the user is to go, and the token
// once the browser has come back.
func TestTokenWithABrowser(t *testing.T) {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": "https://sso.example/",
			"token_endpoint":         "https://sso.example/token",
			"authorization_endpoint": server.URL + "/authorize"})
	})
	mux.HandleFunc("/authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {"c1"}, "state": q["state"]}.Encode(),
			http.StatusFound)
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Host != "sso.example" || r.FormValue("code") != "c1" {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = io.WriteString(w, `{"access_token": "a.b.c", "token_type": "Bearer"}`)
	})
	file := write(t, "orgate.json", []byte(`{"issuers": [{"name": "sso", "issuer": "https://sso.example/", "organization": "org1",
		"signatureValidation": {"jwks": {"url": "https://sso.example/jwks", "cluster": "sso"}}}]}`))
	out, stdout := io.Pipe()
	prompt, stderr := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- execute(context.Background(),
			[]string{"token", "--config", file, "--grant", "authorization-code", "--client-id", "cli",
				"--cluster", "sso=" + server.URL}, stdout, stderr)
		_ = stdout.Close()
		_ = stderr.Close()
	}()
	line, err := bufio.NewReader(prompt).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Get(strings.TrimSpace(strings.TrimPrefix(line, "Visit ")))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("the browser got %s", response.Status)
	}
	token, err := io.ReadAll(out)
	if code := <-ended; code != 0 || err != nil || string(token) != "a.b.c\n" {
		t.Errorf("status %d, %q, %v", code, token, err)
	}
}
