package apk

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/admin/advice"
)

// withFieldsToCome has import write the fields that package config does not read
// yet, or note them.
func withFieldsToCome(t *testing.T, written bool) {
	before := fieldsToCome
	fieldsToCome = written
	t.Cleanup(func() { fieldsToCome = before })
}

const tokenIssuer = `apiVersion: dp.wso2.com/v1alpha2
kind: TokenIssuer
metadata: {name: a}
spec:
  name: a
  organization: org1
  issuer: https://idp.example
  consumerKeyClaim: azp
  scopesClaim: scope
  signatureValidation: {jwks: {url: "https://idp.example/jwks"}}
`

// TestAccepted: tokens are taken as the product takes them, and those that are
// not are noted.
func TestAccepted(t *testing.T) {
	type accepted struct {
		Algorithms      []string `json:"algorithms"`
		MissingUsername string   `json:"missingUsername"`
		Refused         string   `json:"-"`
	}
	for _, c := range []struct {
		name, text string
		want       accepted
	}{
		{"APK", tokenIssuer, accepted{[]string{"RS256", "RS384", "RS512", "ES256", "ES384"}, "omit",
			"tokens: not as in APK, those signed with ES512 and those that are not valid yet (nbf) are refused"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := read([]Source{{Name: "x", Text: c.text}}, Options{Namespace: "apk", TrustedCA: "/ca"})
			var document struct{ Issuers []accepted }
			if err := json.Unmarshal(im.document(), &document); err != nil {
				t.Fatal(err)
			}
			im.differences()
			got := document.Issuers[0]
			for _, f := range im.findings {
				if strings.HasPrefix(f.Message, "tokens: ") {
					got.Refused += f.Message
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("what is accepted (-want +got):\n%s", diff)
			}
		})
	}
}

// TestJudge: what is said of a field of the configuration is said of the field
// that it comes from.
func TestJudge(t *testing.T) {
	im := read([]Source{{Name: "x", Text: tokenIssuer}}, Options{Namespace: "apk"})
	im.judge(&advice.Result{
		Errors: []advice.Finding{{Path: "organization", Message: "wrong"}},
		Warnings: []advice.Finding{{Code: "no-audience", Path: "issuers[0].audiences", Message: "not said"},
			{Code: "published-key", Path: "issuers[0].signatureValidation.jwks", Message: "anybody signs"}},
	})
	var got []string
	for _, f := range im.findings {
		got = append(got, f.String())
	}
	want := []string{"organization: wrong", "x:10: TokenIssuer apk/a: spec.signatureValidation.jwks: anybody signs"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
