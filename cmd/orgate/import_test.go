package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"orgate/e2e/echo"
	"orgate/e2e/scenario"
	"orgate/host/hosttest"
)

// TestImportScripts runs the scripts that import resources, which are those of
// package apk's tests, in $APK.
func TestImportScripts(t *testing.T) {
	dir, err := filepath.Abs("../../internal/apk/testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/import",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("APK", dir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status},
	})
}

// TestImportedInTheGateway imports the documents' resources and values, serves
// the outcome with "orgate run", and sends tokens of each organization.
func TestImportedInTheGateway(t *testing.T) {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, scenario.JWKS(scenario.First()))
	}))
	defer provider.Close()
	upstream := httptest.NewServer(echo.Handler())
	defer upstream.Close()
	wasm := write(t, "orgate.wasm", hosttest.Wasm(t))
	for _, test := range []struct {
		file, claim   string
		organizations []string
	}{
		{"filled-in.yaml", "orgId", []string{"apk-system", "default"}},
		{"values.yaml", "org_id", []string{"org1", "org2"}},
	} {
		t.Run(test.file, func(t *testing.T) {
			dir := t.TempDir()
			out, err := exec.Command("orgate", "import", "../../internal/apk/testdata/"+test.file, "--organization", "/t/{org}/",
				"--out", dir).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			g := run(t, "orgate", "--config", filepath.Join(dir, "orgate.json"), "--wasm", wasm,
				"--upstream", upstream.URL, "--workers", "1", "--cluster", "idp-tenant-eu-auth0-com="+provider.URL)
			now := time.Now().Unix()
			got, want := map[string]string{}, map[string]string{}
			for _, of := range test.organizations {
				token := scenario.First().Token(scenario.Claims{"iss": "https://tenant.eu.auth0.com/", "sub": "alice",
					"azp": "app", "org_id": nil,
					test.claim: of, "iat": now - 60, "nbf": now - 60, "exp": now + 3600})
				for _, to := range test.organizations {
					req, err := http.NewRequest(http.MethodGet, "http://"+g.listen+"/t/"+to+"/orders", nil)
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("Authorization", "Bearer "+token)
					status, body := fetch(t, req)
					var saw echo.Answer
					if status == http.StatusOK {
						if err := json.Unmarshal(body, &saw); err != nil {
							t.Fatal(err)
						}
					}
					name := of + " to " + to
					got[name] = fmt.Sprintf("%d %s", status, saw.Values("x-wso2-organization"))
					if want[name] = "403 []"; of == to {
						want[name] = "200 [" + of + "]"
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			g.stop(t, os.Interrupt)
		})
	}
}
