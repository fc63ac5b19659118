package envoy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
)

// TestStatsTagsOfThePlugin applies the rules to every name that the built plugin
// defines, where rules and issuers have names that look like rules' own.
func TestStatsTagsOfThePlugin(t *testing.T) {
	const rule, issuer, other = "a.b;.;reason=.=ok;.;", "組織 \"1\" %", "x;.;issuer=.=forged"
	w, err := e2e.NewWorker(hosttest.Plugin(t), fmt.Sprintf(`{"rules": [{"name": %q, "match": {"pathPrefix": "/a"}}, {"name": "open", "match": {"path": "/b"}, "public": true}], "issuers": [
		{"name": %q, "issuer": "https://idp1.example/", "organization": "org1", "signatureValidation": {"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1"}}},
		{"name": %q, "issuer": "https://idp2.example/", "organization": "org1", "signatureValidation": {"jwks": {"url": "https://idp2.example/jwks", "cluster": "idp2"}}}]}`, rule, issuer, other))
	if err != nil {
		t.Fatal(err)
	}
	defer w.VM.Close()
	w.Tick()
	for _, c := range w.VM.TakeCallouts() {
		status := map[string]string{"idp1": "200", "idp2": "500"}[c.Cluster]
		if err := c.Respond(host.Headers{{":status", status}}, []byte(scenario.JWKS(scenario.First())),
			nil); err != nil {
			t.Fatal(err)
		}
	}
	good := scenario.First().Token()
	for _, r := range []scenario.Request{{Path: "/a", Token: good}, {Path: "/a", Token: good}, {Path: "/a"},
		{Path: "/b"}, {Path: "/c"}, {Path: "/a", Token: scenario.Stranger().Token()}} {
		w.Serve(r)
	}
	w.Time = w.Time.Add(2 * time.Second)
	w.Tick()

	got := map[string]bool{}
	for name := range w.Metrics.Values() {
		family, labels := statsTags(t).Prometheus(name)
		for label, value := range labels {
			labels[label] = decode(t, value)
		}
		got[fmt.Sprint(family, labels)] = true
	}
	want := map[string]bool{}
	for _, m := range []struct {
		family string
		labels map[string]string
	}{
		{"orgate_requests", map[string]string{"rule": rule, "issuer": issuer, "reason": "ok"}},
		{"orgate_requests", map[string]string{"rule": rule, "issuer": "none", "reason": "missing"}},
		{"orgate_requests", map[string]string{"rule": rule, "issuer": issuer, "reason": "bad_signature"}},
		{"orgate_requests", map[string]string{"rule": "open", "issuer": "none", "reason": "public"}},
		{"orgate_requests", map[string]string{"rule": "none", "issuer": "none", "reason": "no_rule"}},
		{"orgate_requests", map[string]string{"rule": "none", "issuer": "none", "reason": "internal"}},
		{"orgate_build", map[string]string{"version": "dev"}},
		{"orgate_jwks_fetches", map[string]string{"issuer": issuer, "result": "ok"}},
		{"orgate_jwks_fetches", map[string]string{"issuer": other, "result": "status"}},
		{"orgate_token_cache", map[string]string{"result": "hit"}},
		{"orgate_token_cache", map[string]string{"result": "miss"}},
		{"orgate_jwks_keys", map[string]string{"issuer": issuer}},
		{"orgate_jwks_keys", map[string]string{"issuer": other}},
		{"orgate_jwks_age_seconds", map[string]string{"issuer": issuer}},
	} {
		want[fmt.Sprint(m.family, m.labels)] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}
