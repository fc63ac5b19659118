package translate_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"orgate/admin/render"
	"orgate/config"
	"orgate/controller/translate"
	"orgate/jwks"
)

// objects reads YAML documents.
func objects(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var list []*unstructured.Unstructured
	for document := range strings.SplitSeq(text, "\n---\n") {
		o := &unstructured.Unstructured{}
		asJSON, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		if err := o.UnmarshalJSON(asJSON); err != nil {
			t.Fatalf("%v:\n%s", err, document)
		}
		list = append(list, o)
	}
	return list
}

// policy is an OrganizationPolicy with a spec of these members more.
func policy(t *testing.T, more string) *translate.Policy {
	t.Helper()
	o := objects(t, `
apiVersion: orgate.io/v1alpha1
kind: OrganizationPolicy
metadata: {name: orgate, namespace: infra, uid: "1"}
spec:
  controlPlane: EnvoyGateway
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: eg}
  image: {url: "registry.example.com/orgate:1.0.0"}
  namespaces:
  - {names: [one], organizations: [org1]}
  - {names: [two], organizations: [org2]}
  - {names: [platform], organizations: ["*"]}
`+more)[0]
	p, err := translate.NewPolicy(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const anyOrganization = `
  configuration: {organization: "*"}`

// issuer is a TokenIssuer. The older ones have smaller ages.
type issuer struct {
	age                              int
	namespace, name, iss, org, claim string
	keys                             string
	mapped                           string
}

func (i issuer) object(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	if i.iss == "" {
		i.iss = "https://" + i.name + ".example.com/"
	}
	if i.keys == "" {
		i.keys = "jwks: {url: https://" + i.name + ".example.com/jwks}"
	}
	if i.mapped == "" {
		i.mapped = "x-wso2-organization"
	}
	claims := ""
	if i.claim != "" {
		claims = fmt.Sprintf("claimMappings: [{localClaim: %s, remoteClaim: %s}]", i.mapped, i.claim)
	}
	return objects(t, fmt.Sprintf(`
apiVersion: dp.wso2.com/v1alpha2
kind: TokenIssuer
metadata: {name: %s, namespace: %s, creationTimestamp: "2026-01-01T00:00:%02dZ"}
spec:
  name: idp
  issuer: %s
  organization: %s
  consumerKeyClaim: azp
  scopesClaim: scope
  %s
  signatureValidation:
    %s
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: default}
`, i.name, i.namespace, i.age, i.iss, i.org, claims, i.keys))[0]
}

func input(t *testing.T, p *translate.Policy, issuers ...issuer) translate.Input {
	in := translate.Input{Policy: p}
	for _, i := range issuers {
		in.TokenIssuers = append(in.TokenIssuers, i.object(t))
	}
	return in
}

// configuration is that of the plugin, which has to be one.
func configuration(t *testing.T, out translate.Output) *config.Config {
	t.Helper()
	if out.Err != nil || out.Unresolved != nil {
		t.Fatal(out.Err, out.Unresolved)
	}
	plugin := out.Objects[len(out.Objects)-1]
	value, ok, _ := unstructured.NestedMap(plugin.Object, "spec", "pluginConfig")
	if !ok {
		list, _, _ := unstructured.NestedSlice(plugin.Object, "spec", "wasm")
		value = list[0].(map[string]any)["config"].(map[string]any)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func names(c *config.Config) []string {
	var list []string
	for i := range c.Issuers {
		list = append(list, c.Issuers[i].Name+" "+c.Issuers[i].Organization)
	}
	return list
}

// said is what became of each issuer, in a line each.
func said(out translate.Output) []string {
	var list []string
	for _, i := range out.Issuers {
		list = append(list, strings.TrimSuffix(
			fmt.Sprintf("%s/%s %s %s: %s", i.Namespace, i.Name, i.State, i.Reason, i.Message), " : "))
	}
	return list
}

func TestIssuers(t *testing.T) {
	one := issuer{1, "one", "a", "", "org1", "", "", ""}
	two := issuer{2, "two", "b", "", "org2", "", "", ""}
	tests := []struct {
		name    string
		policy  string
		issuers []issuer
		used    []string
		said    []string
	}{
		{"two organizations", anyOrganization, []issuer{two, one}, []string{"one/a org1", "two/b org2"},
			[]string{"one/a Used", "two/b Used"}},
		{"none: a plugin that takes no token", anyOrganization, nil, []string{"nobody urn:orgate:nobody:nobody"}, nil},
		{"a namespace that is not mapped", anyOrganization, []issuer{one, {2, "stranger", "b", "", "org1", "", "", ""}},
			[]string{"one/a org1"}, []string{"one/a Used"}},
		{"another namespace's organization", anyOrganization, []issuer{one, {2, "two", "b", "", "org1", "", "", ""}},
			[]string{"one/a org1"}, []string{"one/a Used",
				`two/b LeftOut NotPermitted: TokenIssuers of namespace "two" may not ` +
					`speak for organization "org1": OrganizationPolicy infra/orgate decides it (spec.namespaces)`}},
		{"every organization", anyOrganization, []issuer{one, {2, "two", "b", "", `"*"`, "org_id", "", ""}},
			[]string{"one/a org1"}, []string{"one/a Used",
				`two/b LeftOut NotPermitted: TokenIssuers of namespace "two" may not ` +
					`speak for organization "*": OrganizationPolicy infra/orgate decides it (spec.namespaces)`}},
		{"the platform speaks for all", anyOrganization, []issuer{{1, "platform", "a", "", `"*"`, "org_id", "", ""}},
			[]string{"platform/a *"}, []string{"platform/a Used"}},
		{"one cannot be read", anyOrganization,
			[]issuer{{1, "one", "a", "", "org1", "", "jwks: {url: idp/jwks}", ""}, two},
			[]string{"two/b org2"}, []string{
				`one/a LeftOut Invalid: spec.signatureValidation.jwks.url: must be an absolute http(s) URL, got "idp/jwks"`,
				"two/b Used"}},
		{"a host that the control plane refuses", anyOrganization + `
  keyHosts: [a_b.example.com]`, []issuer{{1, "one", "a", "", "org1", "", "jwks: {url: https://a_b.example.com/jwks}", ""}},
			[]string{"nobody urn:orgate:nobody:nobody"},
			[]string{"one/a LeftOut Invalid: issuer \"one/a\": the host of https://a_b.example.com must be *"}},
		{"the older of two for one iss", anyOrganization, []issuer{{2, "one", "b", "https://idp/", "org1", "", "", ""},
			{1, "one", "a", "https://idp/", "org1", "", "", ""}}, []string{"one/a org1"},
			[]string{
				"one/a Used", `one/b LeftOut Conflicted: TokenIssuer a has the issuer https://idp/ in organization "org1" already`}},
		{"an iss of another namespace, read in another way", anyOrganization, []issuer{
			{1, "one", "a", "https://idp/", "org1", "org", "jwks: {url: https://idp.example.com/}", ""},
			{2, "two", "b", "https://idp/", "org2", "sub", "jwks: {url: https://idp.example.com/}", ""}},
			[]string{"one/a org1"},
			[]string{
				"one/a Used", `two/b LeftOut Conflicted: a TokenIssuer of another namespace has the issuer https://idp/ already, ` +
					`with another organization claim or other keys`}},
		{"an iss that two namespaces share", anyOrganization, []issuer{
			{1, "one", "a", "https://idp/", "org1", "org", "jwks: {url: https://idp.example.com/}", ""},
			{2, "two", "b", "https://idp/", "org2", "org", "jwks: {url: https://idp.example.com/}", ""}},
			[]string{"one/a org1", "two/b org2"}, []string{"one/a Used", "two/b Used"}},
		{"an iss in two organizations, and no claim to tell", anyOrganization, []issuer{
			{1, "platform", "a", "https://idp/", "org1", "", "", ""},
			{2, "platform", "b", "https://idp/", "org2", "", "", ""}},
			[]string{"platform/a org1"}, []string{"platform/a Used",
				"platform/b LeftOut Conflicted: other TokenIssuers come first, " +
					"and beside them this one would be refused: *"}},
		{"a header that is everybody's", anyOrganization,
			[]issuer{one, {2, "two", "b", "", "org2", "ct", "", "content-type"}},
			[]string{"one/a org1"}, []string{"one/a Used",
				`two/b LeftOut NotPermitted: claims may not be mapped to the header ` +
					`"content-type": the OrganizationPolicy decides it (spec.claimHeaders)`}},
		{"a header that the policy allows", anyOrganization + `
  claimHeaders: [X-Mail]`, []issuer{{2, "two", "b", "", "org2", "mail", "", "x-mail"}}, []string{"two/b org2"}, []string{"two/b Used"}},
		{"a service of the cluster", anyOrganization, []issuer{one,
			{2, "two", "b", "", "org2", "", "jwks: {url: https://orders.shop.svc/jwks}", ""}}, []string{"one/a org1"},
			[]string{
				"one/a Used", `two/b LeftOut NotPermitted: keys may not be fetched from host "orders.shop.svc": the ` +
					`OrganizationPolicy decides it (spec.keyHosts)`}},
		{"an address", anyOrganization, []issuer{one,
			{2, "two", "b", "", "org2", "", "jwks: {url: http://10.0.0.1/jwks}", ""}}, []string{"one/a org1"},
			[]string{"one/a Used", `two/b LeftOut NotPermitted: keys may not be fetched from host "10.0.0.1": the ` +
				`OrganizationPolicy decides it (spec.keyHosts)`}},
		{"a service of the cluster that the policy allows", anyOrganization + `
  keyHosts: ["*.keycloak.svc"]`, []issuer{{2, "two", "b", "", "org2", "", "jwks: {url: https://idp.keycloak.svc/jwks}", ""}},
			[]string{"two/b org2"}, []string{"two/b Used"}},
		{"all public hosts, and a service of the cluster", anyOrganization + `
  keyHosts: ["*", idp.keycloak.svc]`, []issuer{one, {2, "two", "b", "", "org2", "", "jwks: {url: https://idp.keycloak.svc/jwks}", ""},
			{3, "two", "c", "", "org2", "", "jwks: {url: https://orders.shop.svc/jwks}", ""}},
			[]string{"one/a org1", "two/b org2"}, []string{"one/a Used", "two/b Used",
				`two/c LeftOut NotPermitted: keys may not be fetched from host "orders.shop.svc": *`}},
		{"a rule for an issuer that is not there", `
  configuration: {organization: "*", rules: [{name: all, issuers: [two/b]}]}`, []issuer{one},
			[]string{"one/a org1", "two/b urn:orgate:nobody:two/b"}, []string{"one/a Used"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := translate.Translate(input(t, policy(t, tt.policy), tt.issuers...))
			if diff := cmp.Diff(tt.used, names(configuration(t, out))); diff != "" {
				t.Errorf("issuers (-want +got):\n%s", diff)
			}
			got := said(out)
			for i := range got { // a "*" stands for the rest
				if before, ok := strings.CutSuffix(at(tt.said, i), "*"); ok && strings.HasPrefix(got[i], before) {
					got[i] = tt.said[i]
				}
			}
			if diff := cmp.Diff(tt.said, got); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// TestReferences: a Secret that is missing, or has no such key, is said, and
// concerns the issuers that refer to it alone. If there was a good form of them,
// that stays.
func TestReferences(t *testing.T) {
	stored := objects(t, `
apiVersion: v1
kind: ConfigMap
metadata: {name: signer, namespace: one}
data: {pem: `+string(quoted(certificate(t)))+`}`)[0]
	refers := issuer{1, "one", "a", "", "org1", "", "certificate: {configMapRef: {name: signer, key: pem}}", ""}
	in := input(t, policy(t, anyOrganization), refers, issuer{2, "two", "b", "", "org2", "", "", ""})
	reference := translate.References(in.TokenIssuers[0])[0].Object()

	missing := translate.Translate(in)
	if diff := cmp.Diff([]string{"one/a LeftOut RefNotFound: ConfigMap one/signer does not exist", "two/b Used"},
		said(missing)); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	in.Stored = map[translate.Reference]*unstructured.Unstructured{reference: stored}
	there := translate.Translate(in)
	if diff := cmp.Diff([]string{"one/a org1", "two/b org2"}, names(configuration(t, there))); diff != "" {
		t.Fatalf("issuers (-want +got):\n%s\n%v", diff, said(there))
	}

	in.Stored, in.Live = nil, there.Objects
	kept := translate.Translate(in)
	if diff := cmp.Diff([]string{"one/a LastGood RefNotFound: ConfigMap one/signer does not exist", "two/b Used"},
		said(kept)); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(there.Objects, kept.Objects); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}

	// What is no longer permitted is not kept.
	in.Policy = policy(t, anyOrganization)
	in.Policy.Spec.Namespaces[0].Organizations = []string{"org3"}
	in.TokenIssuers[0] = issuer{1, "one", "a", "", "org3", "", "certificate: {configMapRef: {name: signer, key: pem}}",
		""}.object(t)
	if diff := cmp.Diff([]string{"one/a LeftOut RefNotFound: ConfigMap one/signer does not exist", "two/b Used"},
		said(translate.Translate(in))); diff != "" {
		t.Errorf("no longer permitted (-want +got):\n%s", diff)
	}
}

// certificate is one, PEM.
func certificate(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../admin/apk/testdata/chart-ca.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pem, _, _ := unstructured.NestedString(objects(t, string(text))[0].Object, "data", "ca.crt")
	return pem
}

func quoted(text string) []byte {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return b
}

// TestAuthorities: certificate authorities of the connection reach the control
// plane, also as the last good form; a server has one set of them.
func TestAuthorities(t *testing.T) {
	for _, plane := range []string{"", `
  controlPlane: Istio`} {
		p := policy(t, anyOrganization+plane)
		inline := func(pem string) string {
			return "jwks: {url: 'https://idp.example.com/jwks', tls: {certificateInline: " + string(quoted(pem)) + "}}"
		}
		in := input(t, p, issuer{1, "one", "a", "", "org1", "", inline(certificate(t)), ""},
			issuer{2, "two", "b", "", "org2", "", "jwks: {url: 'https://idp.example.com/b'}", ""})
		out := translate.Translate(in)
		if diff := cmp.Diff([]string{"one/a Used",
			"two/b LeftOut Conflicted: a TokenIssuer of another namespace has the " +
				"server https://idp.example.com:443 already, with other certificate authorities"},
			said(out)); diff != "" {
			t.Errorf("said (-want +got):\n%s", diff)
		}
		if o := out.Objects[0]; o.GetKind() != "ConfigMap" ||
			o.GetAnnotations()[render.ServerAnnotation] != "https://idp.example.com:443" {
			t.Fatalf("first object %v", o)
		}
		in.Live = out.Objects
		in.TokenIssuers[0] = issuer{1, "one", "a", "", "org1", "", inline("broken"), ""}.object(t)
		kept := translate.Translate(in)
		if kept.Issuers[0].State != translate.LastGood {
			t.Errorf("said %v", said(kept))
		}
		if diff := cmp.Diff(out.Objects, kept.Objects); diff != "" {
			t.Errorf("objects (-want +got):\n%s", diff)
		}
	}
}

// TestPolicies: mistakes of the policy itself are said before anything is
// written, whatever issuers there are.
func TestPolicies(t *testing.T) {
	tests := []struct{ name, more, want string }{
		{"no organization", "", "configuration: organization: *"},
		{"a rule without organization", `
  configuration: {rules: [{name: a, match: {path: /}}]}`, "configuration: rules[0].organization: *"},
		{"issuers", `
  configuration: {organization: "*", issuers: []}`, "configuration: issuers are TokenIssuers, and have no place here"},
		{"an unknown field", `
  configuration: {organization: "*", rule: []}`, "configuration: rule: unknown field*"},
		{"no keys", anyOrganization + `
  issuerSettings: [{settings: {signatureValidation: null}}]`,
			"issuerSettings[0].settings: signatureValidation is the TokenIssuer's: null would remove it"},
		{"no location of keys", anyOrganization + `
  issuerSettings: [{settings: {signatureValidation: {jwks: null}}}]`,
			"issuerSettings[0].settings: signatureValidation.jwks is the TokenIssuer's: null would remove it"},
		{"a setting that is wrong for those with a location", anyOrganization + `
  issuerSettings: [{settings: {signatureValidation: {jwks: {timeout: soon}}}}]`,
			"configuration: issuerSettings.signatureValidation.jwks.timeout: *"},
		{"a TokenIssuer's field", anyOrganization + `
  issuerSettings: [{settings: {organization: org1}}]`, "issuerSettings[0].settings: organization is the TokenIssuer's"},
		{"the keys", anyOrganization + `
  issuerSettings: [{settings: {signatureValidation: {jwks: {url: "https://evil/"}}}}]`,
			"issuerSettings[0].settings: signatureValidation.jwks.url is the TokenIssuer's; here are jwks: *"},
		{"a setting that is wrong for each", anyOrganization + `
  issuerSettings: [{settings: {algorithms: [none]}}]`, "configuration: issuerSettings.algorithms[0]: *"},
		{"two keys for sharing", `
  configuration: {organization: "*", sharing: {key: "12345678901234567890123456789012"}}
  sharingKeyRef: {name: a, key: b}`, "configuration: has sharing, and sharingKeyRef is there, too: one of them"},
		{"hosts that are URLs", anyOrganization + `
  keyHosts: ["https://idp.example.com"]`, "keyHosts[0]: must be a host such as idp.example.com or *.auth0.com, or *"},
		{"a selector in Envoy Gateway", anyOrganization + `
  selector: {a: b}`, "must have one of targetRef and selector: *"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := translate.Translate(input(t, policy(t, tt.more)))
			if out.Err == nil || out.Objects != nil {
				t.Fatalf("error %v, %d objects", out.Err, len(out.Objects))
			}
			before, isBeginning := strings.CutSuffix(tt.want, "*")
			if got := out.Err.Error(); got != tt.want && !(isBeginning && strings.HasPrefix(got, before)) {
				t.Errorf("error %s, want %s", got, tt.want)
			}
		})
	}
}

func TestSharingKey(t *testing.T) {
	in := input(t, policy(t, anyOrganization+`
  sharingKeyRef: {name: orgate, key: sharing}`), issuer{1, "one", "a", "", "org1", "", "", ""})
	if out := translate.Translate(in); out.Unresolved == nil || out.Objects != nil ||
		out.Unresolved.Error() != "sharingKeyRef: Secret infra/orgate does not exist" {
		t.Errorf("unresolved: %v", out.Unresolved)
	}
	in.Stored = map[translate.Reference]*unstructured.Unstructured{in.Policy.SharingKey().Object(): objects(t, `
apiVersion: v1
kind: Secret
metadata: {name: orgate, namespace: infra}
data: {sharing: MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=}`)[0]}
	if key := configuration(t, translate.Translate(in)).Sharing.Key; key != "12345678901234567890123456789012" {
		t.Errorf("key %q", key)
	}
}

// TestSettings: what a TokenIssuer can't say comes from the policy.
func TestSettings(t *testing.T) {
	out := translate.Translate(input(t, policy(t, anyOrganization+`
  issuerSettings:
  - settings: {audiences: ["https://api.example.com"], signatureValidation: {jwks: {refreshInterval: 5m}}}
  - issuers: ["https://b.example.com/"]
    settings: {usernameClaim: email}`), issuer{1, "one", "a", "", "org1", "", "certificate: {certificateInline: " + string(quoted(certificate(t))) + "}", ""},
		issuer{2, "two", "b", "", "org2", "", "", ""}))
	c := configuration(t, out)
	if a, b := c.Issuers[0], c.Issuers[1]; a.Audiences[0] != "https://api.example.com" ||
		b.Audiences[0] != "https://api.example.com" ||
		a.UsernameClaim.Name != "sub" || b.UsernameClaim.Name != "email" || a.SignatureValidation.JWKS != nil ||
		time.Duration(b.SignatureValidation.JWKS.RefreshInterval) != 5*time.Minute {
		t.Errorf("issuers %+v", c.Issuers)
	}
}

// TestEnvironment: a TokenIssuer for other environments than the policy's is left
// out, and says so.
func TestEnvironment(t *testing.T) {
	p := policy(t, `
  configuration: {organization: "*", environment: staging}`)
	in := input(t, p, issuer{age: 1, namespace: "one", name: "a", org: "org1"}, issuer{age: 2, namespace: "two",
		name: "b", org: "org2"})
	for i, environments := range [][]any{{"production"}, {"production", "staging"}} {
		err := unstructured.SetNestedSlice(in.TokenIssuers[i].Object, environments, "spec", "environments")
		if err != nil {
			t.Fatal(err)
		}
	}
	out := translate.Translate(in)
	if diff := cmp.Diff([]string{"two/b org2"}, names(configuration(t, out))); diff != "" {
		t.Errorf("issuers (-want +got):\n%s", diff)
	}
	want := []string{`one/a LeftOut OtherEnvironment: it is for ["production"], and configuration.environment of the ` +
		`OrganizationPolicy is "staging"`, "two/b Used"}
	if diff := cmp.Diff(want, said(out)); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
}

// TestNotes: what has no effect, and what "orgate check" warns of, is said once.
func TestNotes(t *testing.T) {
	one := issuer{age: 1, namespace: "one", name: "a", org: "org1"}
	two := issuer{age: 2, namespace: "two", name: "b", org: "org2"}
	tests := []struct {
		name, policy string
		want         []string
	}{
		{"nothing to say", anyOrganization + `
  issuerSettings: [{settings: {audiences: [api]}}]`, nil},
		{"any audience", anyOrganization, []string{"one/a.audiences: the audience is not checked: a token that one/a issued " +
			"for any other service is good here, too (and 1 more)"}},
		{"settings for nobody", anyOrganization + `
  issuerSettings: [{settings: {audiences: [api]}}, {issuers: ["https://a.example.com"], settings: {usernameClaim: email}}]`,
			[]string{`issuerSettings[1]: no TokenIssuer has the issuer "https://a.example.com"`}},
		{"a rule for nobody", `
  issuerSettings: [{settings: {audiences: [api]}}]
  configuration: {organization: "*", rules: [{name: all, issuers: [a]}]}`,
			[]string{`configuration.rules: no TokenIssuer "a" is used (NAMESPACE/NAME), so nobody's tokens are those of it`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := translate.Translate(input(t, policy(t, tt.policy), one, two))
			configuration(t, out)
			if diff := cmp.Diff(tt.want, out.Notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestInUse: what is in use as it stands comes before what is older and was
// changed: nobody puts another out of use by editing an old TokenIssuer.
func TestInUse(t *testing.T) {
	const shared = "jwks: {url: https://keys.example.com/jwks}"
	victim := issuer{9, "one", "victim", "https://victim.example.com/", "org1", "", shared, ""}
	harmless := issuer{1, "two", "old", "https://old.example.com/", "org2", "", "", ""}
	long := "jwks: {url: https://old.example.com/" + strings.Repeat("a", 60000) + "}"
	tests := []struct {
		name   string
		policy string
		edited issuer
		want   string
	}{
		{"its iss, with other keys", anyOrganization, issuer{1, "two", "old", victim.iss, "org2", "", "", ""},
			"LeftOut Conflicted: a TokenIssuer of another namespace has the issuer https://victim.example.com/ already, *"},
		{"its server, without TLS", anyOrganization, issuer{1, "two", "old", "", "org2", "",
			"jwks: {url: http://keys.example.com:443/jwks}", ""},
			"LeftOut Conflicted: a TokenIssuer of another namespace has the server https://keys.example.com:443 already, " +
				"and a port has TLS or has none"},
		{"an iss that looks like another and an organization", anyOrganization,
			issuer{1, "two", "old", `"https://victim.example.com/ org1"`, "org2", "", "", ""}, "Used *"},
		{"as much room as one may have", anyOrganization, issuer{1, "two", "old", "", "org2", "", long, ""}, "Used *"},
		{"more than that", anyOrganization, issuer{1, "two", "old", "", "org2", "", long[:len(long)-1] +
			strings.Repeat("a", 9000) + "}", ""}, "LastGood Invalid: it is 69*"},
		{"its tenant of a provider of many", anyOrganization, issuer{1, "platform", "old",
			"https://login.example.com/{tid}/v2.0", `"*"`, "tid", shared, ""},
			"LeftOut Conflicted: a TokenIssuer of another namespace has the issuer https://login.example.com/t1/v2.0 " +
				"already, and one is of many tenants"},
		{"a provider of many tenants", anyOrganization, issuer{1, "two", "old", "https://login.example.com/{tid}/v2.0", "org2",
			"tid", shared, ""}, "LeftOut NotPermitted: an issuer of many tenants ({tid}) is for namespaces that may *"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			victim := victim
			if strings.Contains(tt.edited.iss, "{tid}") {
				victim.iss = "https://login.example.com/t1/v2.0"
			}
			harmless := harmless
			harmless.namespace = tt.edited.namespace
			in := input(t, policy(t, tt.policy), harmless, victim)
			in.Live = translate.Translate(in).Objects
			in.TokenIssuers[0] = tt.edited.object(t)
			for _, keys := range []string{shared, "jwks: {url: https://keys.example.com/rotated}"} {
				victim := victim // which may change its own, too
				victim.keys = keys
				in.TokenIssuers[1] = victim.object(t)
				out := translate.Translate(in)
				got := said(out)
				if got[1] != "one/victim Used" {
					t.Errorf("the victim, %s: %s", keys, got[1])
				}
				before, _ := strings.CutSuffix(tt.want, "*")
				if got := strings.TrimPrefix(got[0], tt.edited.namespace+"/old "); got != tt.want &&
					!strings.HasPrefix(got+" ", before) {
					t.Errorf("the other, %s: %s, want %s", keys, got, tt.want)
				}
				again := in
				again.Live = out.Objects
				if diff := cmp.Diff(out.Objects, translate.Translate(again).Objects); diff != "" {
					t.Errorf("again (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestHolders: who shares an issuer with several is held against each of them.
func TestHolders(t *testing.T) {
	const shared, iss = "jwks: {url: https://keys.example.com/jwks}", "https://idp.example.com/"
	in := input(t, policy(t, anyOrganization+`
  issuerSettings: [{settings: {audiences: [api]}}]`), issuer{1, "one", "a", iss, "org1", "org", shared, ""},
		issuer{2, "two", "b", iss, "org2", "org", shared, ""})
	in.Live = translate.Translate(in).Objects
	in.TokenIssuers = append(in.TokenIssuers, issuer{3, "platform", "c", iss, `"*"`, "sub",
		"jwks: {url: https://evil.example.com/}", ""}.object(t))
	in.TokenIssuers[0] = issuer{1, "one", "a", iss, "org1", "sub", "jwks: {url: https://evil.example.com/}", ""}.object(t)
	got := said(translate.Translate(in))
	for i, want := range []string{"one/a LeftOut Conflicted", "two/b Used", "platform/c LeftOut Conflicted"} {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("%s, want %s", got[i], want)
		}
	}
}

// TestTogether: what each may have and not all together, for the control plane or
// for want of room, is not taken from those who have it.
func TestTogether(t *testing.T) {
	istio := func(more string) *translate.Policy {
		p := policy(t, anyOrganization+more)
		p.Spec.ControlPlane = translate.Istio
		return p
	}
	t.Run("two names of one service", func(t *testing.T) {
		in := input(t, istio(`
  keyHosts: ["*.svc", "*.svc.cluster.local"]`), issuer{1, "one", "a", "", "org1", "", "jwks: {url: https://kc.sso.svc/jwks}", ""},
			issuer{2, "two", "b", "", "org2", "", "jwks: {url: http://kc.sso.svc.cluster.local:443/jwks}", ""})
		out := translate.Translate(in)
		if out.Err != nil {
			t.Fatal(out.Err)
		}
		if got := said(out); got[0] != "one/a Used" || !strings.HasPrefix(got[1],
			"two/b LeftOut Conflicted: other TokenIssuers come first, and beside them this one would be refused") {
			t.Errorf("said %q", got)
		}
	})
	t.Run("many ports", func(t *testing.T) {
		in := input(t, istio(""), issuer{1, "two", "b", "", "org2", "", "jwks: {url: https://idp.example.com/jwks}", ""})
		for i := range 12 {
			in.TokenIssuers = append(in.TokenIssuers, issuer{2, "platform", fmt.Sprintf("i%02d", i), "",
				fmt.Sprintf("of%d", i), "", fmt.Sprintf("jwks: {url: http://idp.example.com:%d/jwks}", 1000+i), ""}.object(t))
		}
		states := map[translate.State]int{}
		for _, i := range translate.Translate(in).Issuers {
			states[i.State]++
		}
		if diff := cmp.Diff(map[translate.State]int{translate.Used: 9, translate.LeftOut: 4}, states); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
	})
	t.Run("those that grow", func(t *testing.T) {
		in := input(t, policy(t, anyOrganization))
		const some, small = 28, 400 // to the last bytes
		for i := range some + small {
			in.TokenIssuers = append(in.TokenIssuers, issuer{0, "platform", fmt.Sprintf("i%03d", i), "", fmt.Sprintf("of%d", i),
				"", "", ""}.object(t))
		}
		in.TokenIssuers = append(in.TokenIssuers, issuer{59, "one", "a", "", "org1", "", "", ""}.object(t))
		in.Live = translate.Translate(in).Objects
		for i := range some + small {
			long := strings.Repeat("a", 150)
			if i < some {
				long = strings.Repeat("a", 32000)
			}
			err := unstructured.SetNestedField(in.TokenIssuers[i].Object, long, "spec", "scopesClaim")
			if err != nil {
				t.Fatal(err)
			}
		}
		out := translate.Translate(in)
		configuration(t, out)
		if got := said(out); got[some+small] != "one/a Used" || !strings.Contains(got[some+small-1], "too many issuers") {
			t.Errorf("said %.200q", got[some+small-1:])
		}
	})
	t.Run("a header of the policy's for organizations", func(t *testing.T) {
		const shared, iss = "jwks: {url: https://keys.example.com/jwks}", "https://idp.example.com/"
		in := input(t, policy(t, `
  configuration: {organization: "*", headers: {organization: x-wso2-org}}`), issuer{1, "one", "a", iss, "org1", "org", shared, "x-wso2-org"},
			issuer{2, "two", "b", iss, "org2", "org", shared, "x-wso2-org"}, issuer{3, "platform", "c", iss, "org3", "sub", shared,
				"x-wso2-org"})
		got := said(translate.Translate(in))
		for i, want := range []string{"one/a Used", "two/b Used", "platform/c LeftOut Conflicted"} {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%s, want %s", got[i], want)
			}
		}
	})
}

// TestWithdrawnSettings: a last good form does not keep what the policy has taken
// back.
func TestWithdrawnSettings(t *testing.T) {
	broken := issuer{1, "one", "a", "", "org1", "", "certificate: {secretRef: {name: none, key: key}}", ""}
	in := input(t, policy(t, anyOrganization+`
  issuerSettings: [{settings: {reportOnly: true}}]`), issuer{1, "one", "a", "", "org1", "", "", ""})
	in.Live = translate.Translate(in).Objects
	in.TokenIssuers[0] = broken.object(t)
	if got := said(translate.Translate(in))[0]; !strings.HasPrefix(got, "one/a LastGood") {
		t.Errorf("with the same settings: %s", got)
	}
	in.Policy = policy(t, anyOrganization)
	want := "one/a LeftOut RefNotFound: Secret one/none does not exist; its last good form was made with other " +
		"issuerSettings, and is not used"
	if diff := cmp.Diff([]string{want}, said(translate.Translate(in))); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
}

// TestRefused: what the API server refuses for one server concerns the issuers
// there alone.
func TestRefused(t *testing.T) {
	in := input(t, policy(t, anyOrganization), issuer{1, "one", "a", "", "org1", "", "", ""},
		issuer{2, "two", "b", "", "org2", "", "", ""})
	live := translate.Translate(in).Objects
	refused := []string{"one/a LeftOut Invalid: the API server refuses what is written for its server: too odd",
		"two/b Used"}
	used := []string{"one/a Used", "two/b Used"}
	tests := []struct {
		name string
		live []*unstructured.Unstructured
		all  bool
		want []string
	}{
		{"a new one", nil, false, refused},
		{"one that is in use with it: others may be the reason", live, false, used},
		{"and then it is as well", live, true, refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in.Live = tt.live
			in.Refused = map[string]translate.Refusal{"orgate-keys-a-example-com": {Err: errors.New("too odd"), All: tt.all}}
			if diff := cmp.Diff(tt.want, said(translate.Translate(in))); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}
	in.Live, in.Refused, in.OnlyInUse = nil, nil, true
	if got := said(translate.Translate(in))[0]; !strings.HasPrefix(got, "one/a LeftOut Conflicted") {
		t.Errorf("only what is in use: %s", got)
	}
	in.Live = live
	in.TokenIssuers[0] = issuer{1, "one", "a", "", "org1", "", "jwks: {url: https://rotated.example.com/}", ""}.object(t)
	out := translate.Translate(in)
	if got := said(out)[0]; !strings.HasPrefix(got, "one/a LastGood Conflicted") {
		t.Errorf("one that changes meanwhile: %s", got)
	}
	if n := len(configuration(t, out).Issuers); n != 2 {
		t.Errorf("%d issuers", n)
	}
}

// TestBesidePolicy: what the plugin refuses beside the policy is one issuer's
// mistake.
func TestBesidePolicy(t *testing.T) {
	in := input(t, policy(t, `
  configuration: {organization: "*", forwardPayload: x-wso2-jwt}`), issuer{1, "one", "a", "", "org1", "mail", "",
		"x-wso2-jwt"}, issuer{2, "two", "b", "", "org2", "", "", ""})
	got := said(translate.Translate(in))
	if !strings.HasPrefix(got[0], "one/a LeftOut Invalid: ") || !strings.Contains(got[0], "x-wso2-jwt") || got[1] !=
		"two/b Used" {
		t.Errorf("said %q", got)
	}
}

// TestPublicHosts: without keyHosts, keys come from hosts that no search domain
// makes a service of.
func TestPublicHosts(t *testing.T) {
	for host, want := range map[string]string{
		"org1.eu.auth0.com": "Used", "idp.example.com": "Used", "login.microsoftonline.com": "Used",
		"cognito-idp.eu-west-1.amazonaws.com": "Used", "keys.example.co.uk": "Used", "a.web.app": "Used",
		"kubernetes.default": "LeftOut", "prometheus.monitoring": "LeftOut", "vault.corp": "LeftOut", "idp": "LeftOut",
		"orders.shop.svc": "LeftOut", "orders.shop.svc.cluster.local": "LeftOut", "metadata.google.internal": "LeftOut",
		"169.254.169.254": "LeftOut", "169.254.169.0xfe": "LeftOut", "169.254.43518": "LeftOut",
	} {
		out := translate.Translate(input(t, policy(t, anyOrganization), issuer{1, "one", "a", "", "org1", "",
			"jwks: {url: http://" + host + "/jwks}", ""}))
		if got := string(out.Issuers[0].State); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

// TestSettingsOfEach: settings are tried with the issuers that they are for, with
// what a TokenIssuer may say, and not with those of others.
func TestSettingsOfEach(t *testing.T) {
	out := translate.Translate(input(t, policy(t, anyOrganization+`
  issuerSettings:
  - issuers: ["https://a.example.com/"]
    settings: {organizationMapping: {"42": org1}}
  - issuers: ["https://b.example.com/"]
    settings: {organizationClaim: null, usernameClaim: email}`), issuer{1, "one", "a", "", "org1", "org", "", ""}))
	if c := configuration(t, out); c.Issuers[0].OrganizationMapping["42"] != "org1" {
		t.Errorf("issuers %+v", c.Issuers)
	}
	out = translate.Translate(input(t, policy(t, anyOrganization+`
  issuerSettings:
  - issuers: ["https://a.example.com/"]
    settings: {algorithms: [none]}`)))
	if out.Err == nil || !strings.HasPrefix(out.Err.Error(), "configuration: issuerSettings.algorithms[0]: ") {
		t.Errorf("error %v", out.Err)
	}
}

// TestNobodysKey: the key of the issuer that stands for none is made of a hash,
// so nobody has the private half.
func TestNobodysKey(t *testing.T) {
	sum := sha256.Sum256([]byte("orgate: nobody's key 0"))
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	set, err := jwks.Parse(string(configuration(t,
		translate.Translate(input(t, policy(t, anyOrganization)))).Issuers[0].SignatureValidation.JWKS.Inline))
	if err != nil || len(set.Keys) != 1 {
		t.Fatalf("%v, %+v", err, set)
	}
	again, err := jwks.Parse(`{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "` + want + `"}]}`)
	if err != nil || len(again.Keys) != 1 || again.Keys[0].Thumbprint != set.Keys[0].Thumbprint {
		t.Errorf("%v, %+v", err, again)
	}
}

// TestManyIssuers: a thousand of them fit into one object.
func TestManyIssuers(t *testing.T) {
	in := input(t, policy(t, anyOrganization))
	for i := range 1000 {
		in.TokenIssuers = append(in.TokenIssuers,
			issuer{i % 60, "platform", fmt.Sprintf("i%d", i), "", fmt.Sprintf("org%d", i), "org", "", ""}.object(t))
	}
	out := translate.Translate(in)
	if n := len(configuration(t, out).Issuers); n != 1000 || len(out.Objects) != 3001 {
		t.Errorf("%d issuers, %d objects", n, len(out.Objects))
	}
}

// TestTooManyIssuers: what has no room any more is left out, the youngest first.
func TestTooManyIssuers(t *testing.T) {
	in := input(t, policy(t, anyOrganization))
	long := strings.Repeat("a", 7000)
	for i := range 200 {
		in.TokenIssuers = append(in.TokenIssuers, issuer{i / 4, "platform", fmt.Sprintf("i%03d", i), "",
			fmt.Sprintf("org%d", i), "org", "jwks: {url: https://keys.example.com/" + long + "}", ""}.object(t))
	}
	out := translate.Translate(in)
	n := len(configuration(t, out).Issuers)
	if n < 140 || n > 150 {
		t.Errorf("%d issuers have room", n)
	}
	for i, one := range out.Issuers {
		left := one.State == translate.LeftOut && one.Reason == translate.Conflicted &&
			strings.Contains(one.Message, "too many issuers for one configuration of 1048576 bytes")
		if want := i >= n; left != want {
			t.Errorf("%s is %s (%s): %s", one.Name, one.State, one.Reason, one.Message)
		}
	}
}

// TestManyMistakes: the same mistake in all TokenIssuers of one tenant leaves the
// oldest of them, and the other tenants.
func TestManyMistakes(t *testing.T) {
	in := input(t, policy(t, anyOrganization), issuer{age: 59, namespace: "one", name: "a", org: "org1"},
		issuer{age: 59, namespace: "two", name: "b", org: "org2"})
	for i := range 200 {
		in.TokenIssuers = append(in.TokenIssuers, issuer{age: i / 4, namespace: "platform", name: fmt.Sprintf("i%03d", i),
			iss: "https://idp.example.com/", org: fmt.Sprintf("of%d", i)}.object(t))
	}
	out := translate.Translate(in)
	var names []string
	for _, i := range configuration(t, out).Issuers {
		names = append(names, i.Name)
	}
	if diff := cmp.Diff([]string{"platform/i000", "one/a", "two/b"}, names); diff != "" {
		t.Errorf("issuers (-want +got):\n%s", diff)
	}
	if last := out.Issuers[199]; last.Reason != translate.Conflicted || !strings.Contains(last.Message,
		"organizationClaim: is required, since the issuer stands under several organizations") {
		t.Errorf("%s: %s %s", last.Name, last.Reason, last.Message)
	}
}

// TestLabels: a label of the namespace can say the organization.
func TestLabels(t *testing.T) {
	p := policy(t, anyOrganization)
	p.Spec.Namespaces = nil
	o := objects(t, `
apiVersion: orgate.io/v1alpha1
kind: OrganizationPolicy
metadata: {name: orgate, namespace: infra}
spec: {namespaces: [{selector: {matchLabels: {tenant: "yes"}}, organizationLabel: orgate.io/organization}]}`)[0]
	mapped, err := translate.NewPolicy(o)
	if err != nil {
		t.Fatal(err)
	}
	p.Spec.Namespaces = mapped.Spec.Namespaces
	in := input(t, p, issuer{1, "one", "a", "", "org1", "", "", ""}, issuer{2, "two", "b", "", "org1", "", "", ""},
		issuer{3, "three", "c", "", "org1", "", "", ""}, issuer{4, "four", "d", "", "'*'", "", "", ""})
	in.Labels = map[string]map[string]string{
		"one":   {"tenant": "yes", "orgate.io/organization": "org1"},
		"two":   {"tenant": "yes", "orgate.io/organization": "org2"},
		"three": {"orgate.io/organization": "org1"},
		"four":  {"tenant": "yes", "orgate.io/organization": "*"},
	}
	if diff := cmp.Diff([]string{"one/a org1"}, names(configuration(t, translate.Translate(in)))); diff != "" {
		t.Errorf("issuers (-want +got):\n%s", diff)
	}
}

// TestObjects: what is written is the policy's, and stands in the order in which
// a proxy may have it, the plugin last.
func TestObjects(t *testing.T) {
	for plane, want := range map[string][]string{
		"EnvoyGateway": {"BackendTLSPolicy", "Backend", "HTTPRoute", "EnvoyExtensionPolicy"},
		"Istio":        {"DestinationRule", "ServiceEntry", "WasmPlugin"},
	} {
		p := policy(t, anyOrganization)
		p.Spec.ControlPlane = plane
		out := translate.Translate(input(t, p, issuer{1, "one", "a", "", "org1", "", "", ""}))
		var kinds []string
		for _, o := range out.Objects {
			kinds = append(kinds, o.GetKind())
			if owner := o.GetOwnerReferences(); len(owner) != 1 || owner[0].UID != "1" || o.GetNamespace() != "infra" ||
				o.GetLabels()["app.kubernetes.io/part-of"] != "orgate" {
				t.Errorf("%s: %v", plane, o)
			}
		}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("kinds (-want +got):\n%s", diff)
		}
	}
}
