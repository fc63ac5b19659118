package kube

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"helm.sh/helm/v4/pkg/strvals"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"orgate/controller/translate"
	"orgate/internal/page"
)

var update = flag.Bool("update", false, "write what deploy/kustomize has of the chart anew")

// files renders the chart's files, as "helm install" does: the schema judges the
// values first.
func files(release, namespace, values string) (map[string]string, error) {
	chart, err := loader.Load(root + "/deploy/chart")
	if err != nil {
		return nil, err
	}
	given := map[string]any{}
	if err := yaml.Unmarshal([]byte(values), &given); err != nil {
		return nil, err
	}
	all, err := util.ToRenderValues(chart, given,
		common.ReleaseOptions{Name: release, Namespace: namespace, IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(chart, all)
}

// helm renders the chart's manifests, as "helm template" does.
func helm(release, namespace, values string) (string, error) {
	files, err := files(release, namespace, values)
	if err != nil {
		return "", err
	}
	var documents []string
	for _, file := range slices.Sorted(mapKeys(files)) {
		if text := strings.TrimSpace(files[file]); text != "" && strings.HasSuffix(file, ".yaml") {
			documents = append(documents, strings.TrimPrefix(text, "---\n"))
		}
	}
	return strings.Join(documents, "\n---\n") + "\n", nil
}

func mapKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range m {
			if !yield(name) {
				return
			}
		}
	}
}

// parse reads manifests strictly: a member that is there twice is a mistake.
func parse(t testing.TB, text string) []*unstructured.Unstructured {
	t.Helper()
	var list []*unstructured.Unstructured
	for document := range strings.SplitSeq("\n"+text, "\n---\n") {
		if strings.TrimSpace(document) == "" {
			continue
		}
		o := &unstructured.Unstructured{}
		asJSON, err := yaml.YAMLToJSONStrict([]byte(document))
		if err == nil {
			err = o.UnmarshalJSON(asJSON)
		}
		if err != nil {
			t.Fatalf("%v:\n%s", err, document)
		}
		list = append(list, o)
	}
	return list
}

// TestChart: the chart is rendered as Helm does, and what its policy and its
// TokenIssuer make is a gateway that takes the provider's tokens.
func TestChart(t *testing.T) {
	// The values of the documents.
	const seeds = `
idp:
  issuer: "https://org.eu.auth0.com/"
  jwksEndpoint: "https://org.eu.auth0.com/.well-known/jwks.json"
  usernameClaim: "email"
  organizationClaim: "org_id"
`
	tests := []struct {
		name, release, values string
		kinds                 []string
		issuers               []string
		err                   string
	}{
		{"the values of the documents", "orgate", seeds,
			[]string{"Deployment", "Gateway", "TokenIssuer", "OrganizationPolicy", "ServiceAccount",
				"Role", "RoleBinding", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"},
			[]string{"apk/idp Used"}, ""},
		{"nothing", "a", "", []string{"Deployment", "Gateway", "OrganizationPolicy", "ServiceAccount",
			"Role", "RoleBinding", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}, nil, ""},
		{"Istio, some namespaces, everything", "a", seeds + `
gateway: {controlPlane: Istio, create: false, selector: {istio: ingressgateway}}
watchNamespaces: [tenant]
policyNamespaces: [shop]
imagePullSecrets: [{name: registry}]
nodeSelector: {a: b}
tolerations: [{operator: Exists}]
plugin: {sha256: "` + strings.Repeat("0", 64) + `", pullSecret: registry}
policy:
  namespaces: [{names: [tenant], organizations: [org1]}]
  claimHeaders: [x-mail]
  keyHosts: ["*.auth0.com"]
  sharingKeyRef: {name: a, key: b}
  istio: {filteredClusters: true}
  issuerSettings: [{settings: {audiences: [api]}}]
`, []string{"Deployment", "TokenIssuer", "OrganizationPolicy", "ServiceAccount", "Role", "RoleBinding", "Role", "RoleBinding", "Role",
			"RoleBinding", "Role", "RoleBinding", "Role", "RoleBinding", "Role", "RoleBinding"},
			[]string{"apk/idp Used"}, ""},
		{"a provider without organizations", "a", "idp: {issuer: a, jwksEndpoint: b}", nil, nil,
			"idp: organizationClaim (the claim that holds the organization) or organization"},
		{"a provider without keys", "a", "idp: {issuer: a, organization: b}", nil, nil,
			"idp.jwksEndpoint: where the provider's keys are"},
		{"a mistake in the provider's members", "a", "idp: {isuer: a}", nil, nil,
			"at '/idp': additional properties 'isuer' not allowed"},
		{"a mistake in the gateway's members", "a", "gateway: {controlplane: Istio}", nil, nil,
			"at '/gateway': additional properties 'controlplane' not allowed"},
		{"audiences that are the provider's", "a", "policy: {audiences: [api]}", nil, nil,
			"at '/policy': additional properties 'audiences' not allowed"},
		{"a mistake in a list", "a", "policy: {namespaces: [{name: [a], organizations: [b]}]}", nil, nil,
			"at '/policy/namespaces/0': additional properties 'name' not allowed"},
		{"a control plane that is none", "a", "gateway: {controlPlane: istio}", nil, nil,
			"at '/gateway/controlPlane': value must be one of 'EnvoyGateway', 'Istio'"},
		{"a mistake at the top", "a", "plugins: {image: a}", nil, nil, "additional properties 'plugins' not allowed"},
		{"text for a number", "a", "replicas: two", nil, nil, "at '/replicas': got string, want integer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, err := helm(tt.release, "apk", tt.values)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			in := translate.Input{Stored: map[translate.Reference]*unstructured.Unstructured{}}
			var kinds []string
			for _, o := range parse(t, text) {
				kinds = append(kinds, o.GetKind())
				switch o.GetKind() {
				case "TokenIssuer":
					in.TokenIssuers = append(in.TokenIssuers, o)
				case "OrganizationPolicy":
					if in.Policy, err = translate.NewPolicy(o); err != nil {
						t.Fatal(err)
					}
				}
			}
			if diff := cmp.Diff(tt.kinds, kinds); diff != "" {
				t.Errorf("kinds (-want +got):\n%s\n%s", diff, text)
			}
			if ref := in.Policy.SharingKey(); ref != nil {
				in.Stored[ref.Object()] = parse(t,
					"apiVersion: v1\nkind: Secret\ndata: {b: MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=}")[0]
			}
			out := translate.Translate(in)
			if out.Err != nil || out.Unresolved != nil {
				t.Fatal(out.Err, out.Unresolved)
			}
			var issuers []string
			for _, i := range out.Issuers {
				issuers = append(issuers, i.Namespace+"/"+i.Name+" "+string(i.State))
			}
			if diff := cmp.Diff(tt.issuers, issuers); diff != "" {
				t.Errorf("issuers (-want +got):\n%s\n%+v", diff, out.Issuers)
			}
		})
	}
}

// TestChartSchema: the schema knows the values that there are, and a policy's
// fields.
func TestChartSchema(t *testing.T) {
	read := func(file string) map[string]any {
		content, err := os.ReadFile(root + "/deploy/chart/" + file)
		if err != nil {
			t.Fatal(err)
		}
		object := map[string]any{}
		if err := yaml.Unmarshal(content, &object); err != nil {
			t.Fatal(err)
		}
		return object
	}
	values := fields(read("values.schema.json"))
	delete(values, "global") // a parent chart's
	policy := values["policy"].(map[string]any)
	for name, value := range read("values.yaml") {
		object, ok := value.(map[string]any)
		want, got := slices.Sorted(maps.Keys(object)), slices.Sorted(maps.Keys(values[name].(map[string]any)))
		if ok && len(got) > 0 && !slices.Equal(want, got) {
			t.Errorf("%s has %q, and the schema %q", name, want, got)
		}
		delete(values, name)
	}
	if len(values) > 0 {
		t.Errorf("the schema has more: %v", values)
	}
	delete(policy, "create")
	spec := fields(specSchema(t))
	for _, name := range []string{"controlPlane", "targetRef", "selector", "image"} { // other values say these
		delete(spec, name)
	}
	if diff := cmp.Diff(spec, policy); diff != "" {
		t.Errorf("members of a policy (-definition +values):\n%s", diff)
	}
}

// fields are the names of a schema's fields, and theirs.
func fields(schema map[string]any) map[string]any {
	if items, ok := schema["items"].(map[string]any); ok {
		return fields(items)
	}
	properties, _ := schema["properties"].(map[string]any)
	names := map[string]any{}
	for name, of := range properties {
		names[name] = fields(of.(map[string]any))
	}
	return names
}

// TestChartInstall: what README.md installs has the images that were pushed, and
// audiences.
func TestChartInstall(t *testing.T) {
	blocks, err := page.Read(root + "/deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	installed := 0
	for _, b := range blocks {
		for _, line := range b.Commands() {
			if !strings.HasPrefix(line, "helm install ") {
				continue
			}
			installed++
			given := map[string]any{}
			for _, set := range strings.Split(strings.ReplaceAll(line, "$REGISTRY", "ghcr.io/shop"), " --set ")[1:] {
				if err := strvals.ParseInto(strings.Trim(set, " '"), given); err != nil {
					t.Fatal(err)
				}
			}
			values, err := yaml.Marshal(given)
			if err != nil {
				t.Fatal(err)
			}
			text, err := helm("orgate", "apk", string(values))
			if err != nil {
				t.Fatal(err)
			}
			if err := holds("!registry.example.com", `"ghcr.io/shop/orgate:1.0.0"`,
				`"ghcr.io/shop/orgate-controller:1.0.0"`, "audiences:\n        - https://api.example.com\n",
				"kind: TokenIssuer")(text); err != nil {
				t.Error(err)
			}
		}
	}
	if installed != 1 {
		t.Errorf("%d commands install the chart", installed)
	}
}

// TestChartLint: "helm lint" has nothing against the chart but that it has no icon.
func TestChartLint(t *testing.T) {
	linted := lint.RunAll(root+"/deploy/chart", nil, "apk")
	for _, m := range linted.Messages {
		if m.Severity > support.InfoSev {
			t.Error(m)
		}
	}
	if len(linted.Messages) == 0 {
		t.Error("nothing was linted")
	}
}

// TestChartTexts: what the chart makes of a value, and what it says then.
func TestChartTexts(t *testing.T) {
	const auth0 = `{issuer: "https://a/", jwksEndpoint: "https://a/keys", organization: org1`
	tests := []struct {
		name, values string
		want         []string // "!" before what must not be there
	}{
		{"Envoy Gateway", "", []string{"gatewayClassName: eg\n", "controlPlane: EnvoyGateway\n",
			"-namespace=apk,", "-name=orgate) \\\n    8888:80\n", "--url http://localhost:8888/"}},
		{"Istio", "gateway: {controlPlane: Istio, port: 8080}", []string{"gatewayClassName: istio\n",
			"port-forward -n apk service/orgate-istio 8888:8080\n", "!envoy-gateway-system"}},
		{"another class", "gateway: {controlPlane: Istio, className: mine}", []string{"gatewayClassName: mine\n",
			"service/orgate-mine"}},
		{"another's gateway", "gateway: {create: false}", []string{"!gatewayClassName", "!localhost", "--url https://"}},
		{"no settings", "idp: " + auth0 + "}", []string{"!issuerSettings"}},
		{"audiences", "idp: " + auth0 + ", audiences: [api, b]}",
			[]string{"issuerSettings:\n    - issuers:\n      - https://a/\n      settings:\n        audiences:\n        - api\n        - b\n", "!usernameClaim"}},
		{"audiences and users", "idp: " + auth0 + ", audiences: [api], usernameClaim: email}",
			[]string{"settings:\n        audiences:\n        - api\n        usernameClaim: email\n"}},
		{"below another chart", "global: {a: b}", []string{"gatewayClassName: eg\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files, err := files("a", "apk", tt.values)
			if err != nil {
				t.Fatal(err)
			}
			text := ""
			for _, file := range slices.Sorted(mapKeys(files)) {
				text += files[file]
			}
			if err := holds(tt.want...)(text); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestKustomize: what "kubectl apply -k" has is the chart's, without a gateway,
// and the rights in another namespace are those that policyNamespaces gives.
func TestKustomize(t *testing.T) {
	const written = "# Written from deploy/chart by a test of e2e/kube: go test -run TestKustomize -update\n"
	text, err := helm("orgate", "orgate-system", "gateway: {create: false}\npolicy: {create: false}\n"+
		"policyNamespaces: [another]")
	if err != nil {
		t.Fatal(err)
	}
	var own, others []string
	for document := range strings.SplitSeq(strings.TrimSpace(text), "\n---\n") {
		if elsewhere := strings.Replace(document, "  namespace: another\n", "", 1); elsewhere != document {
			others = append(others, elsewhere)
		} else {
			own = append(own, document)
		}
	}
	for name, want := range map[string]string{
		"controller.yaml": written + strings.Join(own, "\n---\n") + "\n",
		"examples/namespace.yaml": written + `# For a namespace with policies, beside the controller's own:
#
#   kubectl apply --server-side -n NAMESPACE -f deploy/kustomize/examples/namespace.yaml
` + strings.Join(others, "\n---\n") + "\n",
	} {
		file := filepath.Join(root, "deploy/kustomize", name)
		if *update {
			write(t, file, want)
		}
		there, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(there), want); diff != "" {
			t.Errorf("%s is out of date (-there +want):\n%s", name, diff)
		}
	}
}

// TestExamples: each policy takes the guides' TokenIssuer and checks what its
// tokens are for, and one of them has every field.
func TestExamples(t *testing.T) {
	blocks, err := page.Read(root + "/docs/guides/kubernetes-istio.md")
	if err != nil {
		t.Fatal(err)
	}
	issuer := parse(t, page.Texts(blocks, "yaml")[0])[0]
	issuer.SetNamespace("team-one")
	for _, name := range []string{"envoy-gateway", "istio", "policy"} {
		t.Run(name, func(t *testing.T) {
			content, err := os.ReadFile(root + "/deploy/kustomize/examples/" + name + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			manifests := parse(t, string(content))
			o := manifests[len(manifests)-1]
			in := translate.Input{TokenIssuers: []*unstructured.Unstructured{issuer},
				Labels: map[string]map[string]string{"team-one": {"orgate.io/organization": "org1", "tier": "tenant"}}}
			if in.Policy, err = translate.NewPolicy(o); err != nil {
				t.Fatal(err)
			}
			if ref := in.Policy.SharingKey(); ref != nil {
				in.Stored = map[translate.Reference]*unstructured.Unstructured{ref.Object(): parse(t,
					"apiVersion: v1\nkind: Secret\ndata: {key: MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=}")[0]}
			}
			out := translate.Translate(in)
			if out.Err != nil || out.Unresolved != nil {
				t.Fatal(out.Err, out.Unresolved)
			}
			if len(out.Issuers) != 1 || out.Issuers[0].State != translate.Used {
				t.Errorf("issuers %+v", out.Issuers)
			}
			text, err := json.Marshal(out.Objects)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{`"audiences":["https://api.example.com"]`, `"fromPath":"/t/{org}/"`,
				`"organizationMapping":{"org_9ybsU1dN2dKfDkBi":"org1"}`}
			if name == "policy" {
				want = append(want, `"issuers":["team-one/auth0"]`)
				everyField(t, o, string(content))
			}
			if err := holds(want...)(string(text)); err != nil {
				t.Error(err)
			}
		})
	}
}

// specSchema is the definition's schema of an OrganizationPolicy's spec.
func specSchema(t *testing.T) map[string]any {
	t.Helper()
	content, err := os.ReadFile(root + "/deploy/chart/crds/organizationpolicies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	versions, _, _ := unstructured.NestedSlice(parse(t, string(content))[0].Object, "spec", "versions")
	schema, _, _ := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema", "properties", "spec")
	return schema
}

// everyField looks for the fields of the definition in a policy, or in its
// comments.
func everyField(t *testing.T, policy *unstructured.Unstructured, text string) {
	t.Helper()
	looked := 0
	var look func(at string, schema map[string]any, values []any)
	look = func(at string, schema map[string]any, values []any) {
		if items, ok := schema["items"].(map[string]any); ok {
			var elements []any
			for _, v := range values {
				list, _ := v.([]any)
				elements = append(elements, list...)
			}
			look(at, items, elements)
		}
		fields, _, _ := unstructured.NestedMap(schema, "properties")
		for field, of := range fields {
			looked++
			var there []any
			for _, v := range values {
				if value, ok := v.(map[string]any)[field]; ok {
					there = append(there, value)
				}
			}
			if len(there) > 0 {
				look(at+"."+field, of.(map[string]any), there)
			} else if !strings.Contains(text, "# "+field+": ") {
				t.Errorf("nothing shows %s.%s", at, field)
			}
		}
	}
	look("spec", specSchema(t), []any{policy.Object["spec"]})
	if looked < 30 {
		t.Errorf("%d fields", looked)
	}
}
