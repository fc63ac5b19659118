package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"orgate/e2e/scenario"
)

// TestExplainScripts runs the scripts that explain requests. Tokens and keys are
// in $WORK, $THUMBPRINT is the key's, and $IDP an identity provider that has it.
func TestExplainScripts(t *testing.T) {
	keys := scenario.JWKS(scenario.First())
	token := scenario.First().Token()
	files := map[string]string{
		"org1.token":   token + "\n",
		"bearer.token": "Bearer " + token,
		"org9.token":   scenario.First().Token(scenario.Claims{"org_id": "org9"}),
		"slash.token":  scenario.First().Token(scenario.Claims{"iss": "https://idp1.example"}),
		"expired.token": scenario.First().Token(
			scenario.Claims{"exp": scenario.Now.Unix() - 3600, "iat": scenario.Now.Unix() - 7200}),
		"forged.token":    scenario.Stranger().Token(),
		"malformed.token": token[:len(token)-1] + "=",
		"jwks.json":       keys,
		"whole.request": "GET https://api.example/orders?page=2\nauthorization: Bearer " + token +
			"\ncookie: a=b; session=x\n" +
			"x-wso2-username: mallory\n",
		"several.request": "GET https://api.example/orders\r\nauthorization: Bearer " + token +
			"\r\nauthorization: Bearer x.y.z\r\n\r\n",
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/explain",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(text), 0o600); err != nil {
					return err
				}
			}
			provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/jwks" || r.Host != "idp1.example" {
					http.NotFound(w, r)
					return
				}
				_, _ = w.Write([]byte(keys))
			}))
			e.Defer(provider.Close)
			e.Setenv("IDP", provider.URL)
			e.Setenv("THUMBPRINT", scenario.First().Thumbprint())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status, "secret": secret},
	})
}

// secret fails if the output of the last command, or a file that was written
// from it, holds a part of the token in a file.
func secret(ts *testscript.TestScript, negated bool, args []string) {
	if !negated || len(args) != 1 {
		ts.Fatalf("usage: ! secret FILE")
	}
	output := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	for part := range strings.SplitSeq(strings.TrimSpace(ts.ReadFile(args[0])), ".") {
		if strings.Contains(output, part) {
			ts.Fatalf("the output holds a part of the token in %s", args[0])
		}
	}
}
