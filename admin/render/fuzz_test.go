package render_test

import (
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"orgate/admin/render"
)

// FuzzEnvoyGateway: what is rendered of a good configuration is YAML, and the
// configuration in it is the same but for the clusters.
func FuzzEnvoyGateway(f *testing.F) {
	for _, d := range documents {
		f.Add(d.doc)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		d, err := render.Read(doc)
		if err != nil {
			return
		}
		text, err := d.EnvoyGateway(render.EnvoyGatewayOptions{Name: "orgate", Namespace: "default", Gateway: "eg",
			Image: "a"})
		if err != nil {
			return // a host that Envoy Gateway does not take
		}
		last := text[max(0, strings.LastIndex(text, "\n---\n")):]
		policy, err := yaml.YAMLToJSON([]byte(last))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		sameButClusters(t, doc, wasmConfig(t, policy))
	})
}

// wasmConfig takes the configuration out of a policy.
func wasmConfig(t *testing.T, policy []byte) string {
	t.Helper()
	var object struct {
		Spec struct {
			Wasm []struct{ Config json.RawMessage }
		}
	}
	unmarshal(t, policy, &object)
	return string(object.Spec.Wasm[0].Config)
}
