package schema

import (
	"strings"
	"testing"
)

const good = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a, namespace: b}
spec:
  parentRefs: [{name: eg}]
  rules: [{backendRefs: [{name: api, port: 8080}]}]
---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: a, namespace: b}
spec: {url: "oci://a", phase: AUTHN, failStrategy: FAIL_CLOSE, pluginConfig: {a: {b: [1]}}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {name: a, namespace: b}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: eg}]
  wasm: [{name: a, config: {a: {b: [1]}}, code: {type: Image, image: {url: a}}}]
`

func TestGood(t *testing.T) {
	objects, err := Read([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != 3 || objects[1].Type == nil {
		t.Errorf("objects %+v", objects)
	}
}

// Every mistake is seen in the good manifests with one change.
func TestMistakes(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"an unknown field", "parentRefs:", "parents:", "additional properties 'parents' not allowed"},
		{"a field of no type", "failStrategy: FAIL_CLOSE", "failStrategy: FAIL_CLOSED", "value must be one of"},
		{"another type", "port: 8080", `port: "8080"`, "got string, want integer"},
		{"a value out of range", "port: 8080", "port: 65536", "maximum"},
		{"a required field missing", "code: {type: Image, image: {url: a}}", "", "missing property 'code'"},
		{"a field twice", "kind: WasmPlugin", "kind: WasmPlugin\nkind: WasmPlugin", "already set"},
		{"an unknown kind", "kind: HTTPRoute", "kind: HTTPRule", "no schema of gateway.networking.k8s.io/v1 HTTPRule"},
		{"an unknown version", "gateway.networking.k8s.io/v1\n", "gateway.networking.k8s.io/v9\n",
			"no schema of gateway.networking.k8s.io/v9 HTTPRoute"},
		{"a name in capitals", "metadata: {name: a, namespace: b}\nspec:\n  parent",
			"metadata: {name: A, namespace: b}\nspec:\n  parent", "must be a name of DNS"},
		{"unknown metadata", "metadata: {name: a, namespace: b}", "metadata: {name: a, nameSpaces: b}",
			"unknown field"},
		{"an object twice", "kind: WasmPlugin", "kind: HTTPRoute", "document 1"},
		{"no YAML", "spec:\n", "spec: [\n", "yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(good, tt.old) {
				t.Fatalf("%q is not there to be changed", tt.old)
			}
			_, err := Read([]byte(strings.Replace(good, tt.old, tt.new, 1)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestTwice(t *testing.T) {
	first, _, _ := strings.Cut(good, "---\n")
	if _, err := Read([]byte(first + "---\n" + first)); err == nil || !strings.Contains(err.Error(),
		"HTTPRoute a: twice") {
		t.Errorf("error %v", err)
	}
}
