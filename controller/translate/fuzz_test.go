package translate_test

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"orgate/controller/translate"
)

// FuzzTenant: whatever a tenant writes into a TokenIssuer of its own, older than
// all others, the policy stays in force, what it makes is what the plugin takes,
// and another tenant's issuer stays in use, before that one changes its keys and
// after.
func FuzzTenant(f *testing.F) {
	for _, spec := range []string{
		`{}`,
		`{"name": "a", "issuer": "https://victim.example.com/", "organization": "org2", "consumerKeyClaim": "azp",
			"scopesClaim": "scope", "signatureValidation": {"jwks": {"url": "https://evil.example.com/jwks"}}}`,
		`{"name": "a", "issuer": "https://a/", "organization": "org2", "consumerKeyClaim": "azp", "scopesClaim": "scope",
			"claimMappings": [{"localClaim": "x-wso2-organization", "remoteClaim": "org"}], "environments": ["a"],
			"signatureValidation": {"jwks": {"url": "http://keys.example.com:443/jwks", "tls": {"secretRef": {"name": "s",
			"key": "k"}}}}}`,
		`{"name": "a", "issuer": "https://a/{tid}/", "organization": "*", "consumerKeyClaim": "azp", "scopesClaim": "scope",
			"signatureValidation": {"certificate": {"certificateInline": "x"}}}`,
		`{"name": "a", "issuer": "https://a/", "organization": "org2", "consumerKeyClaim": "azp", "scopesClaim": "scope",
			"targetRef": {"kind": "Gateway"}, "signatureValidation": {"jwks": {"url": "https://KEYS.example.com:0443"}}}`,
	} {
		f.Add(spec, true)
		f.Add(spec, false)
	}
	f.Fuzz(func(t *testing.T, text string, istio bool) {
		var spec map[string]any
		if json.Unmarshal([]byte(text), &spec) != nil {
			return
		}
		p := policy(t, `
  configuration: {organization: "*", forwardPayload: x-wso2-jwt, rules: [{name: all, issuers: [one/victim]}]}`)
		if istio {
			p.Spec.ControlPlane = translate.Istio
		}
		victim := issuer{9, "one", "victim", "https://victim.example.com/", "org1", "org",
			"jwks: {url: https://keys.example.com/jwks}", ""}
		in := input(t, p, issuer{0, "two", "old", "", "org2", "", "", ""}, victim)
		in.Live = translate.Translate(in).Objects
		in.TokenIssuers[0].Object["spec"] = spec
		for _, keys := range []string{victim.keys, "jwks: {url: https://keys.example.com/rotated}"} {
			victim.keys = keys
			in.TokenIssuers[1] = victim.object(t)
			out := translate.Translate(in)
			configuration(t, out) // which fails if there is a mistake
			if got := said(out)[1]; got != "one/victim Used" {
				t.Errorf("%s: %s", keys, got)
			}
			for _, o := range out.Objects {
				if o.GetNamespace() != "infra" || !strings.HasPrefix(o.GetName(), "orgate") {
					t.Errorf("%s %s/%s is written", o.GetKind(), o.GetNamespace(), o.GetName())
				}
			}
			again := in
			again.Live = out.Objects
			if second := translate.Translate(again); !equal(out.Objects, second.Objects) {
				t.Error("the next pass writes something else")
			}
		}
	})
}

func equal(a, b []*unstructured.Unstructured) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
