package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"orgate/e2e/echo"
	"orgate/e2e/envoy"
	"orgate/e2e/idp"
	"orgate/e2e/scenario"
	"orgate/host/hosttest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"orgate": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			e.Defer(func() { l.Close() })
			e.Setenv("BUSY", l.Addr().String())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status},
	})
}

// status runs a command and compares its exit status with the first argument.
func status(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) < 2 {
		ts.Fatalf("usage: status N command...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s: exit status %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// write puts a file in a new directory.
func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestConfigurationThatThePluginRefuses(t *testing.T) {
	wasm := write(t, "orgate.wasm", hosttest.Wasm(t))
	file := write(t, "orgate.json",
		[]byte(`{"issuers": [{"name": "org1", "issuer": "x", "organization": "org1", "oops": 1}], "rulez": []}`))
	var stdout, stderr bytes.Buffer
	code := execute(t.Context(), []string{"run", "--config", file, "--wasm", wasm, "--upstream", "http://127.0.0.1:1",
		"--listen", "127.0.0.1:0"}, &stdout, &stderr)
	if code != 1 || stdout.Len() > 0 {
		t.Errorf("exit status %d, standard output %q", code, &stdout)
	}
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	for _, part := range []string{"1:78: issuers[0].oops", "1:14: issuers[0].signatureValidation", "1:92: rulez"} {
		want := "orgate run: " + file + ":" + part + ": "
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, want) }) {
			t.Errorf("no line begins with %q:\n%s", want, &stderr)
		}
	}
	if len(lines) != 3 {
		t.Errorf("%d lines, want 3:\n%s", len(lines), &stderr)
	}
}

// TestRunServesUntilASignal, with the plugin beside the command and keys from
// a provider on this machine that has the certificate of its real host.
func TestRunServesUntilASignal(t *testing.T) {
	wasm := write(t, "orgate.wasm", hosttest.Wasm(t))
	binary := filepath.Join(filepath.Dir(wasm), "orgate")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	provider := idp.New(idp.WithURL("https://example.com"),
		idp.WithTenant(idp.Tenant{Name: "org1", Clients: []idp.Client{{ID: "app", Scopes: []string{"read"}}}}))
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.ServerName == "example.com" {
			provider.ServeHTTP(w, r)
		}
	}))
	defer server.Close()
	ca := write(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	upstream := httptest.NewServer(echo.Handler())
	defer upstream.Close()
	configuration, err := json.Marshal(map[string]any{
		"organization": "org1",
		"issuers": []any{map[string]any{
			"name": "org1", "issuer": provider.Issuer("org1"), "organization": "org1",
			"signatureValidation": map[string]any{
				"jwks": map[string]any{"url": provider.JWKSURL("org1"), "cluster": "idp"}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "orgate.json", configuration)
	token := provider.Mint("org1")
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			g := run(t, binary, "--config", file, "--ca", ca, "--upstream", upstream.URL,
				"--admin", "127.0.0.1:0", "--workers", "2", "--cluster", "idp="+server.URL)
			type verdict struct {
				Status       int
				Organization []string
			}
			got := map[string]verdict{}
			for name, authorization := range map[string]string{"token": "Bearer " + token, "none": ""} {
				req, err := http.NewRequest("GET", "http://"+g.listen+"/orders?q=secret", nil)
				if err != nil {
					t.Fatal(err)
				}
				if authorization != "" {
					req.Header.Set("Authorization", authorization)
				}
				status, body := fetch(t, req)
				var saw echo.Answer
				if err := json.Unmarshal(body, &saw); err != nil {
					t.Fatal(err)
				}
				got[name] = verdict{status, saw.Values("x-wso2-organization")}
			}
			want := map[string]verdict{"token": {200, []string{"org1"}}, "none": {401, nil}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
			var out, problems bytes.Buffer
			if execute(t.Context(), []string{"verify", "--url", "http://" + g.listen + "/orders"}, &out,
				&problems) != 0 {
				t.Errorf("orgate verify:\n%s%s", &out, &problems)
			}
			req, err := http.NewRequest("GET", "http://"+g.admin+"/stats", nil)
			if err != nil {
				t.Fatal(err)
			}
			status, stats := fetch(t, req)
			if status != 200 || !bytes.Contains(stats, []byte("orgate_requests")) {
				t.Errorf("stats: %d %s", status, stats)
			}
			req.URL.Path = "/metrics"
			_, metrics := fetch(t, req)
			if diff := cmp.Diff(asEnvoy(t, string(stats)), samples(string(metrics))); diff != "" {
				t.Errorf("metrics (-Envoy's +ours):\n%s", diff)
			}
			req.URL.Path = "/ready"
			if status, body := fetch(t, req); status != 200 {
				t.Errorf("ready: %d %s", status, body)
			}
			if log := g.stop(t, signal); strings.Contains(log, "secret") || strings.Contains(log, token) {
				t.Errorf("the log has what it must not:\n%s", log)
			}
		})
	}
}

// asEnvoy are the series that Envoy makes of stats by the rules in envoy.yaml.
func asEnvoy(t *testing.T, stats string) []string {
	t.Helper()
	text, err := os.ReadFile(root + "/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := envoy.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	tags, err := bootstrap.StatsTags()
	if err != nil {
		t.Fatal(err)
	}
	var series []string
	for line := range strings.Lines(stats) {
		name, _, _ := strings.Cut(line, ": ")
		family, labels := tags.Prometheus(name)
		var pairs []string
		for label, value := range labels {
			pairs = append(pairs, label+`="`+value+`"`)
		}
		slices.Sort(pairs)
		series = append(series, family+"{"+strings.Join(pairs, ",")+"}")
	}
	slices.Sort(series)
	return series
}

// samples are the series of a text for Prometheus, their labels sorted.
func samples(text string) []string {
	var series []string
	for _, m := range regexp.MustCompile(`(?m)^(\w+)\{(.*)\} \d+$`).FindAllStringSubmatch(text, -1) {
		pairs := strings.Split(m[2], ",")
		slices.Sort(pairs)
		series = append(series, m[1]+"{"+strings.Join(pairs, ",")+"}")
	}
	slices.Sort(series)
	return series
}

// TestReadyWithoutKeys: the gateway serves, and is not ready.
func TestReadyWithoutKeys(t *testing.T) {
	wasm := write(t, "orgate.wasm", hosttest.Wasm(t))
	file := write(t, "orgate.json", []byte(`{"issuers": [{"name": "idp.1", "issuer": "https://idp1.example/", "organization": "org1",
		"signatureValidation": {"jwks": {"url": "http://idp1.example/jwks", "cluster": "idp"}}}]}`))
	g := run(t, "orgate", "--config", file, "--wasm", wasm, "--upstream", "http://127.0.0.1:1", "--workers", "1",
		"--admin", "127.0.0.1:0", "--cluster", "idp=http://127.0.0.1:1")
	req, err := http.NewRequest("GET", "http://"+g.admin+"/ready", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := fetch(t, req); status != 503 ||
		string(body) != "waiting for orgate_jwks_keysissuer=.=idp%2E1;.;\n" {
		t.Errorf("ready: %d %s", status, body)
	}
	g.stop(t, os.Interrupt)
}

// TestLogAsJSON: each line is an object, with the verdict of a request.
func TestLogAsJSON(t *testing.T) {
	wasm := write(t, "orgate.wasm", hosttest.Wasm(t))
	file := write(t, "orgate.json", []byte(`{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"signatureValidation": {"jwks": {"inline": `+scenario.JWKS(scenario.First())+`}}}]}`))
	g := run(t, "orgate", "--config", file, "--wasm", wasm, "--upstream", "http://127.0.0.1:1", "--workers", "1",
		"--log-format", "json")
	req, err := http.NewRequest("GET", "http://"+g.listen+"/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, req)
	found := false
	for line := range strings.Lines(g.stop(t, os.Interrupt)) {
		var l struct{ Msg, Reason, Client string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		found = found || l.Msg == "request" && l.Reason == "missing" && l.Client == "127.0.0.1"
	}
	if !found {
		t.Errorf("the request is not logged:\n%s", &g.log)
	}
}

// TestRunOffersVerifySignature: the plugin, which is asked to have signatures
// verified by the proxy, finds the function where the flag is, and there alone.
func TestRunOffersVerifySignature(t *testing.T) {
	wasm := write(t, "orgate.wasm", hosttest.Wasm(t))
	upstream := httptest.NewServer(echo.Handler())
	defer upstream.Close()
	file := write(t, "orgate.json", []byte(`{
		"signatureVerification": "host", "issuers": [{
		"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"signatureValidation": {"jwks": {"inline": `+scenario.JWKS(scenario.First())+`}}}]}`))
	token := scenario.First().Token(scenario.Claims{"iat": nil, "nbf": nil, "exp": time.Now().Unix() + 3600})
	for _, flags := range [][]string{nil, {"--verify-signature"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			g := run(t, "orgate", append(flags, "--config", file, "--wasm", wasm, "--upstream", upstream.URL,
				"--workers",
				"1")...)
			req, err := http.NewRequest("GET", "http://"+g.listen, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			if status, body := fetch(t, req); status != 200 {
				t.Errorf("%d %s", status, body)
			}
			log := g.stop(t, os.Interrupt)
			if missing, want := strings.Contains(log, "the proxy has no verify_signature"),
				flags == nil; missing != want {
				t.Errorf("verify_signature is missing: %v, want %v\n%s", missing, want, log)
			}
		})
	}
}

// running is an "orgate run".
type running struct {
	cmd           *exec.Cmd
	listen, admin string // addresses
	log           bytes.Buffer
	logged        chan struct{} // to its end
}

// run starts "orgate run" on a free port, and waits until it listens. The
// command "orgate" is this test's own.
func run(t *testing.T, command string, args ...string) *running {
	t.Helper()
	g := &running{cmd: exec.Command(command, append([]string{"run", "--listen", "127.0.0.1:0"}, args...)...),
		logged: make(chan struct{})}
	stderr, err := g.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(io.TeeReader(stderr, &g.log))
	at := regexp.MustCompile(`msg"?[=:]"?(\w+)"?.*address"?[=:]"?([^\s",]+)`)
	for g.listen == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("it does not listen: %v\n%s", g.cmd.Wait(), &g.log)
		}
		switch m := at.FindStringSubmatch(line); {
		case m != nil && m[1] == "administration":
			g.admin = m[2]
		case m != nil && m[1] == "listening":
			g.listen = m[2]
		}
	}
	go func() {
		defer close(g.logged)
		_, _ = io.Copy(io.Discard, lines)
	}()
	return g
}

// stop ends it with a signal, and returns its log.
func (g *running) stop(t *testing.T, signal os.Signal) string {
	t.Helper()
	if err := g.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	<-g.logged
	if err := g.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &g.log)
	}
	return g.log.String()
}

func fetch(t *testing.T, req *http.Request) (int, []byte) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, body
}
