package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/admin/advice"
	"orgate/e2e"
	"orgate/e2e/echo"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
	"orgate/jwks"
)

// TestTour makes every exchange of docs/tour.md with "orgate run" and
// docs/everything.json, and compares the answers with the page.
func TestTour(t *testing.T) {
	page, err := os.ReadFile("../../docs/tour.md")
	if err != nil {
		t.Fatal(err)
	}
	tour := newTour(t, string(page))
	exchange := regexp.MustCompile("(?s)```text request\n(.*?)\n```.*?```text answer\n(.*?)\n```")
	exchanges := exchange.FindAllStringSubmatch(string(page), -1)
	if len(exchanges) < 10 {
		t.Fatalf("%d exchanges", len(exchanges))
	}
	for _, exchange := range exchanges {
		t.Run(strings.SplitN(exchange[1], "\n", 2)[0], func(t *testing.T) {
			if diff := cmp.Diff(exchange[2], tour.exchange(t, exchange[1])); diff != "" {
				t.Errorf("answer (-page +plugin):\n%s", diff)
			}
		})
	}
}

// TestTourConfigurationIsGood: "orgate run" as it stands on the page starts, and
// "orgate check" has nothing against the configuration.
func TestTourConfigurationIsGood(t *testing.T) {
	document, err := os.ReadFile("../../docs/everything.json")
	if err != nil {
		t.Fatal(err)
	}
	worker, err := e2e.NewWorker(hosttest.Plugin(t), string(document),
		func(c *host.Config) { c.Env = map[string]string{"HYDRA_SECRET": "s3cret"} })
	if err != nil {
		t.Fatal(err)
	}
	worker.VM.Close()
	if mistakes := advice.Read(string(document)).Errors; len(mistakes) > 0 {
		t.Errorf("mistakes: %v", mistakes)
	}
}

// TestTourUsesEveryField holds the tour's configuration against the schema.
func TestTourUsesEveryField(t *testing.T) {
	var schema struct {
		Properties map[string]any
		Defs       map[string]struct{ Properties map[string]any } `json:"$defs"`
	}
	readJSON(t, "../../config/schema.json", &schema)
	document, err := os.ReadFile("../../docs/everything.json")
	if err != nil {
		t.Fatal(err)
	}
	fields := slices.Collect(maps.Keys(schema.Properties))
	for _, def := range schema.Defs {
		fields = slices.AppendSeq(fields, maps.Keys(def.Properties))
	}
	for _, field := range fields {
		if !bytes.Contains(document, []byte(`"`+field+`":`)) {
			t.Errorf("docs/everything.json does not use %s", field)
		}
	}
}

func readJSON(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// tour is the gateway with the page's tokens.
type tour struct {
	gateway string
	tokens  map[string]string
}

// carol is an opaque token of the page's.
var carol = "ory_at_" + strings.Repeat("a", 43) + "." + strings.Repeat("b", 43)

func newTour(t *testing.T, page string) *tour {
	t.Helper()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
			fmt.Fprintf(w, `{"issuer":"https://sso.example.net/realms/org2","jwks_uri":"http://%s/keys"}`, r.Host)
			return
		}
		if r.URL.Path == "/oauth2/introspect" {
			answer := `{"active":false}`
			if id, secret, _ := r.BasicAuth(); id == "gateway" && secret == "s3cret" &&
				r.PostFormValue("token") == carol {
				answer = regexp.MustCompile("(?s)```json answer\n(.*?)\n```").FindStringSubmatch(page)[1]
			}
			_, _ = io.WriteString(w, answer)
			return
		}
		_, _ = io.WriteString(w, scenario.JWKS(scenario.First()))
	}))
	t.Cleanup(provider.Close)
	upstream := httptest.NewServer(echo.Handler())
	t.Cleanup(upstream.Close)

	t.Setenv("HYDRA_SECRET", "s3cret")
	g := run(t, "orgate", "--config", write(t, "everything.json", tourConfig(t, provider.URL)),
		"--wasm", write(t, "orgate.wasm", hosttest.Wasm(t)), "--upstream", upstream.URL, "--workers", "1",
		"--cluster", "auth0="+provider.URL, "--cluster", "keycloak="+provider.URL, "--cluster", "hydra="+provider.URL)
	t.Cleanup(func() { g.stop(t, os.Interrupt) })
	tr := &tour{gateway: g.listen, tokens: map[string]string{"carol": carol}}
	for _, m := range regexp.MustCompile("(?s)```json token (\\w+)\n(.*?)\n```").FindAllStringSubmatch(page, -1) {
		claims := scenario.Claims{}
		if err := json.Unmarshal([]byte(m[2]), &claims); err != nil {
			t.Fatalf("token %s: %v", m[1], err)
		}
		now := time.Now().Unix()
		claims["iat"], claims["exp"] = now-60, now+3600
		payload, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		tr.tokens[m[1]] = scenario.First().Sign(`{"alg":"RS256","typ":"JWT","kid":"k1"}`, string(payload))
	}
	return tr
}

// tourConfig is docs/everything.json with locations on loopback, and with the
// one key that signs the tour's tokens in the places where keys are.
func tourConfig(t *testing.T, provider string) []byte {
	t.Helper()
	var document map[string]any
	readJSON(t, "../../docs/everything.json", &document)
	signer := scenario.First()
	set, err := jwks.Parse(scenario.JWKS(signer))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, issuer := range document["issuers"].([]any) {
		if introspection, ok := issuer.(map[string]any)["introspection"].(map[string]any); ok {
			introspection["url"] = provider + "/oauth2/introspect"
			continue
		}
		validation := issuer.(map[string]any)["signatureValidation"].(map[string]any)
		if certificate, ok := validation["certificate"].(map[string]any); ok {
			certificate["certificateInline"] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
			continue
		}
		keys := validation["jwks"].(map[string]any)
		for _, member := range []string{"url", "wellKnown"} {
			if location, ok := keys[member].(string); ok {
				keys[member] = regexp.MustCompile(`^https://[^/]+`).ReplaceAllString(location, provider)
			}
		}
		if _, ok := keys["pins"]; ok {
			keys["pins"] = []string{set.Keys[0].Thumbprint}
		}
		if _, ok := keys["inline"]; ok {
			keys["inline"] = json.RawMessage(scenario.JWKS(signer))
		}
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// exchange makes a request of the page and writes the answer as the page does.
func (tr *tour) exchange(t *testing.T, request string) string {
	t.Helper()
	for name, token := range tr.tokens {
		request = strings.ReplaceAll(request, "<"+name+">", token)
	}
	lines := strings.Split(request, "\n")
	method, target, _ := strings.Cut(lines[0], " ")
	req, err := http.NewRequest(method, "http://"+tr.gateway, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = target // as it is written
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		if name == "host" {
			req.Host = value
		} else {
			req.Header.Add(name, value)
		}
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		return "200 passes" + tr.seen(t, target, body)
	}
	answer := fmt.Sprint(res.StatusCode)
	for _, name := range []string{"content-type", "www-authenticate", "retry-after"} {
		if value := res.Header.Get(name); value != "" {
			answer += "\n" + name + ": " + value
		}
	}
	return answer + "\n\n" + string(body)
}

// seen is what the upstream saw, apart from what every request has.
func (tr *tour) seen(t *testing.T, target string, body []byte) string {
	t.Helper()
	var saw echo.Answer
	if err := json.Unmarshal(body, &saw); err != nil {
		t.Fatal(err)
	}
	var text string
	if saw.Path != target {
		text += "\npath: " + saw.Path
	}
	ordinary := []string{"user-agent", "accept-encoding", "x-request-id", "origin", "access-control-request-method"}
	for _, h := range saw.Headers {
		if slices.Contains(ordinary, h.Name) {
			continue
		}
		for name, token := range tr.tokens {
			if h.Value == strings.Split(token, ".")[1] {
				h.Value = "<" + name + "'s payload>"
			}
		}
		text += "\n" + h.Name + ": " + h.Value
	}
	return text
}
