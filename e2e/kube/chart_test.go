package kube

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"orgate/controller/translate"
)

var update = flag.Bool("update", false, "write deploy/kustomize/controller.yaml anew")

// helm renders the chart, as "helm template" does.
func helm(release, namespace, values string) (string, error) {
	chart, err := loader.Load(root + "/deploy/chart")
	if err != nil {
		return "", err
	}
	given := map[string]any{}
	if err := yaml.Unmarshal([]byte(values), &given); err != nil {
		return "", err
	}
	all, err := util.ToRenderValues(chart, given,
		common.ReleaseOptions{Name: release, Namespace: namespace, IsInstall: true}, nil)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(chart, all)
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

// TestKustomize: what "kubectl apply -k" has is the chart's, without a gateway.
func TestKustomize(t *testing.T) {
	text, err := helm("orgate", "orgate-system", "gateway: {create: false}\npolicy: {create: false}")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "deploy/kustomize/controller.yaml")
	text = "# Written from deploy/chart by a test of e2e/kube: go test -run TestKustomize -update\n" + text
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	there, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(there), text); diff != "" {
		t.Errorf("controller.yaml is out of date (-there +want):\n%s", diff)
	}
}
