package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"orgate/admin/apk"
	"orgate/config"
	"orgate/e2e"
	"orgate/e2e/echo"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
	"orgate/internal/page"
)

// TestImportScripts runs the scripts that import resources, which are those of
// package apk's tests, in $APK.
func TestImportScripts(t *testing.T) {
	dir, err := filepath.Abs("../../admin/apk/testdata")
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
			out, err := exec.Command("orgate", "import", "../../admin/apk/testdata/"+test.file, "--organization",
				"/t/{org}/",
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

// TestSystemAPIs runs both ways by which the migration guide opens the system
// APIs to a provider that says nothing of apk-system.
func TestSystemAPIs(t *testing.T) {
	blocks, err := page.Read(root + "/docs/guides/migrating-from-apk.md")
	if err != nil {
		t.Fatal(err)
	}
	rule := page.Texts(blocks, "json")[0]
	resources, err := os.ReadFile("../../admin/apk/testdata/filled-in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pair := apk.Import([]apk.Source{{Name: "pair", Text: string(resources)}}, apk.Options{TrustedCA: "ca",
		Organization: config.Organization{FromPath: "/t/{org}/"}})
	mapping := regexp.MustCompile("`(\"organizationMapping\": [^`]*)`").FindStringSubmatch(
		readPage(t, "docs/guides/migrating-from-apk.md"))
	mapped := strings.Replace(string(pair.Configuration), `"organization": "apk-system",`,
		`"organization": "apk-system", `+mapping[1]+",", 1)
	const system, gateway = "https://api.am.example.com/api/deployer", "https://gw.example.com/orders"
	const theirs, ours = "https://x/t/apk-system/api", "https://x/t/default/orders"
	for _, test := range []struct {
		name, configuration, issuer string
		want                        map[string]string // by organization, scope and URL
	}{
		{"a rule", rule, "https://idp.example.com/", map[string]string{
			"default apk:api_create " + system:  "200 ok default",
			"default apk:api_create " + gateway: "200 ok default",
			"default orders:read " + system:     "403 scope",
			"default orders:read " + gateway:    "200 ok default",
			"org9 apk:api_create " + system:     "403 organization",
			"org9 apk:api_create " + gateway:    "403 organization",
		}},
		{"the pair as it is", string(pair.Configuration), "https://tenant.eu.auth0.com/", map[string]string{
			"default s " + theirs:  "403 organization",
			"platform s " + theirs: "403 organization",
			"default s " + ours:    "200 ok default",
		}},
		{"a mapping", mapped, "https://tenant.eu.auth0.com/", map[string]string{
			"platform s " + theirs:   "200 ok apk-system",
			"platform s " + ours:     "403 organization",
			"default s " + theirs:    "403 organization",
			"default s " + ours:      "200 ok default",
			"apk-system s " + theirs: "403 organization",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, err := e2e.NewWorker(hosttest.Plugin(t), test.configuration, func(h *host.Config) {
				h.Clusters = []string{"idp-idp-example-com", "idp-tenant-eu-auth0-com"}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer w.VM.Close()
			w.Tick()
			for _, callout := range w.VM.TakeCallouts() {
				err := callout.Respond(host.Headers{{":status", "200"}}, []byte(scenario.JWKS(scenario.First())), nil)
				if err != nil {
					t.Fatal(err)
				}
			}
			got := map[string]string{}
			for request := range test.want {
				words := strings.Fields(request)
				asked, err := url.Parse(words[2])
				if err != nil {
					t.Fatal(err)
				}
				token := scenario.First().Token(
					scenario.Claims{"iss": test.issuer, "orgId": words[0], "scope": words[1]})
				response := w.Serve(scenario.Request{Host: asked.Host, Path: asked.Path, Token: token})
				got[request] = fmt.Sprintf("%d %s", response.Status, response.Reason)
				if response.Passed {
					got[request] = "200 " + response.Reason + " " + response.Upstream.Values("x-wso2-organization")[0]
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
		})
	}
}
