package e2e_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"orgate/config"
	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
	"orgate/internal/page"
	"orgate/jwt"
)

// TestGuides runs each guide's token through the plugin with the
// guide's configuration, and expects the headers that the guide shows.
func TestGuides(t *testing.T) {
	pages, err := filepath.Glob("../docs/guides/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range pages {
		// those are e2e/kube's
		if name := filepath.Base(file); name == "README.md" || strings.HasPrefix(name, "kubernetes-") {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".md"), func(t *testing.T) {
			blocks, err := page.Read(file)
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]string{}
			for _, info := range []string{"json configuration", "json token", "text request", "text upstream"} {
				texts := page.Texts(blocks, info)
				if len(texts) != 1 {
					t.Fatalf("%d blocks of %s, want 1", len(texts), info)
				}
				found[info] = texts[0]
			}
			found["text refused"] = strings.Join(page.Texts(blocks, "text refused"), "")
			testGuide(t, found, page.Texts(blocks, "text unmatched"))
		})
	}
	if len(pages) < 14 {
		t.Errorf("%d pages", len(pages))
	}
}

func testGuide(t *testing.T, found map[string]string, unmatched []string) {
	document := found["json configuration"]
	token := guideToken(t, found["json token"])
	w := startWithKeys(t, document, kid(t, token))
	asked := page.ParseRequest(found["text request"])
	r := scenario.Request{Method: asked.Method, Path: asked.Path, Host: asked.Host, Headers: asked.Headers,
		Token: token}
	got := w.Serve(r)
	if !got.Passed {
		t.Fatalf("answered %d %s\n%s\n%s", got.Status, got.Reason, got.Body, strings.Join(w.Log, "\n"))
	}
	want := map[string]string{}
	for line := range strings.SplitSeq(found["text upstream"], "\n") {
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
	if found["text refused"] != "" {
		asked := page.ParseRequest(found["text refused"])
		got := w.Serve(scenario.Request{Method: asked.Method, Path: asked.Path, Host: asked.Host,
			Headers: asked.Headers, Token: token})
		if got.Passed || got.Status != 403 || got.Reason != "organization" {
			t.Errorf("answered %d %s, want 403 for the organization", got.Status, got.Reason)
		}
	}
	for _, text := range unmatched {
		asked := page.ParseRequest(text)
		got := w.Serve(scenario.Request{Method: asked.Method, Path: asked.Path, Host: asked.Host,
			Headers: asked.Headers, Token: token})
		if got.Passed || got.Status != 403 || got.Reason != "no_rule" {
			t.Errorf("%s: answered %d %s, want 403 for want of a rule", asked.Path, got.Status, got.Reason)
		}
	}
	// The claims that the guide names are what lets the token pass.
	c, err := config.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	claims := []string{"iss"}
	if len(c.Issuers[0].Audiences) > 0 {
		claims = append(claims, "aud")
	}
	if len(c.Rules) > 0 {
		if len(c.Rules[0].ConsumerKeys) > 0 {
			claims = append(claims, "azp")
		}
		for _, asked := range c.Rules[0].Claims {
			claims = append(claims, asked.Claim.Name)
		}
	}
	for _, claim := range claims {
		bad := guideToken(t, found["json token"], claim)
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
