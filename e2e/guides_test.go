package e2e_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/orgate/orgate/config"
	"github.com/orgate/orgate/e2e"
	"github.com/orgate/orgate/e2e/scenario"
	"github.com/orgate/orgate/host"
	"github.com/orgate/orgate/host/hosttest"
	"github.com/orgate/orgate/jwt"
)

// blocks are the fenced blocks of a page, by the words behind the fence:
// "json token".
func blocks(t *testing.T, page string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	var info string
	var block []string
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case !inside && strings.HasPrefix(line, "```"):
			inside, info, block = true, strings.TrimPrefix(line, "```"), nil
		case inside && line == "```":
			inside = false
			found[info] = append(found[info], strings.Join(block, "\n"))
		case inside:
			block = append(block, line)
		}
	}
	if inside {
		t.Errorf("%s: a block does not end", page)
	}
	return found
}

// TestProviderGuides runs each guide's token through the plugin with the
// guide's configuration, and expects the headers that the guide shows.
func TestProviderGuides(t *testing.T) {
	pages, err := filepath.Glob("../docs/guides/*.md")
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, page := range pages {
		found := blocks(t, page)
		for _, document := range found["json configuration"] {
			if _, err := config.Parse(document); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
		if len(found["json token"]) == 0 {
			continue
		}
		tested++
		t.Run(strings.TrimSuffix(filepath.Base(page), ".md"), func(t *testing.T) { testGuide(t, found) })
	}
	if tested < 6 {
		t.Errorf("%d guides have a token, want one for each provider", tested)
	}
}

func testGuide(t *testing.T, found map[string][]string) {
	document := found["json configuration"][0]
	token := guideToken(t, found["json token"][0])
	w := startWithKeys(t, document, kid(t, token))
	r := guideRequest(found["text request"][0])
	r.Token = token
	got := w.Serve(r)
	if !got.Passed {
		t.Fatalf("answered %d %s\n%s\n%s", got.Status, got.Reason, got.Body, strings.Join(w.Log, "\n"))
	}
	want := map[string]string{}
	for line := range strings.SplitSeq(found["text upstream"][0], "\n") {
		name, value, _ := strings.Cut(line, ": ")
		want[name] = value
	}
	sent := map[string]string{}
	for _, h := range got.Upstream {
		if strings.HasPrefix(h[0], "x-") {
			sent[h[0]] = h[1]
		}
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("headers to the upstream (-guide +plugin):\n%s", diff)
	}
	// The claims that the guide names are what lets the token pass.
	for _, claim := range []string{"iss", "aud"} {
		bad := guideToken(t, found["json token"][0], claim)
		r.Token = bad
		if w.Serve(r).Passed {
			t.Errorf("passes with another %s", claim)
		}
	}
}

// guideToken signs a guide's token, with other values of the named claims.
func guideToken(t *testing.T, block string, change ...string) string {
	t.Helper()
	var token struct{ Header, Payload map[string]any }
	if err := json.Unmarshal([]byte(block), &token); err != nil {
		t.Fatal(err)
	}
	token.Payload["iat"], token.Payload["exp"] = scenario.Now.Unix()-60, scenario.Now.Unix()+3600
	for _, claim := range change {
		token.Payload[claim] = "https://elsewhere.example"
	}
	return scenario.First().Sign(marshal(t, token.Header), marshal(t, token.Payload))
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// kid is a token's kid.
func kid(t *testing.T, token string) string {
	t.Helper()
	parsed, err := jwt.Parse(token, len(token))
	if err != nil {
		t.Fatal(err)
	}
	return parsed.KeyID
}

// guideRequest reads "GET /path" and header lines.
func guideRequest(block string) scenario.Request {
	lines := strings.Split(block, "\n")
	method, path, _ := strings.Cut(lines[0], " ")
	r := scenario.Request{Method: method, Path: path}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		if name == "host" {
			r.Host = value
		} else {
			r.Headers = append(r.Headers, [2]string{name, value})
		}
	}
	return r
}

// startWithKeys starts the plugin and answers for the identity providers: each
// has the first signer's key under the given kid, and each discovery document is
// of the issuer that is configured for it.
func startWithKeys(t *testing.T, document, kid string) *e2e.Worker {
	t.Helper()
	c, err := config.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	clusters := map[string]bool{}
	issuers := map[string]string{} // by the path of the discovery document
	for _, issuer := range c.Issuers {
		j := issuer.SignatureValidation.JWKS
		clusters[j.Cluster] = true
		if j.WellKnown != "" {
			issuers[j.WellKnown] = issuer.Issuer
		}
	}
	w, err := e2e.NewWorker(hosttest.Plugin(t), document, func(hc *host.Config) {
		hc.Clusters = slices.Collect(maps.Keys(clusters))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.VM.Close() })
	w.Tick()
	for callouts := w.VM.TakeCallouts(); len(callouts) > 0; callouts = append(callouts[1:], w.VM.TakeCallouts()...) {
		respond(t, callouts[0], issuers, kid)
	}
	return w
}

func respond(t *testing.T, c *host.Callout, issuers map[string]string, kid string) {
	t.Helper()
	get := func(name string) string { value, _ := c.Headers.Get(name); return value }
	location := get(":scheme") + "://" + get(":authority") + get(":path")
	body := scenario.JWKS(&scenario.Signer{KeyID: kid, Key: scenario.First().Key})
	if issuer, ok := issuers[location]; ok {
		body = marshal(t, map[string]string{"issuer": issuer, "jwks_uri": issuer + "/keys"})
	}
	if err := c.Respond(host.Headers{{":status", "200"}}, []byte(body), nil); err != nil {
		t.Fatal(err)
	}
}
