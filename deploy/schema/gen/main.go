// Command gen writes the schemas in folder crds: those that Kubernetes checks
// objects against, taken from the modules that publish them and made into JSON
// Schemas.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// source is a module and the files in it that hold definitions.
type source struct {
	module, version string
	files           []string
	kinds           []string
}

var sources = []source{
	{"github.com/envoyproxy/gateway", "v1.9.1", []string{"charts/gateway-helm/charts/crds/crds/generated"},
		[]string{"EnvoyExtensionPolicy", "Backend", "ClientTrafficPolicy", "EnvoyProxy"}},
	{"sigs.k8s.io/gateway-api", "v1.6.1", []string{"config/crd/standard"},
		[]string{"GatewayClass", "Gateway", "HTTPRoute", "BackendTLSPolicy"}},
	{"istio.io/api", "v1.31.1", []string{"kubernetes/customresourcedefinitions.gen.yaml"},
		[]string{"WasmPlugin", "ServiceEntry", "DestinationRule", "EnvoyFilter", "Telemetry"}},
}

func main() {
	if err := generate("crds"); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func generate(into string) error {
	if err := os.RemoveAll(into); err != nil {
		return err
	}
	if err := os.MkdirAll(into, 0o777); err != nil {
		return err
	}
	for _, s := range sources {
		if err := s.write(into); err != nil {
			return fmt.Errorf("%s@%s: %w", s.module, s.version, err)
		}
	}
	return nil
}

// write writes a schema for each kind, in its versions v1 and v1alpha1. An
// EnvoyFilter has neither.
func (s *source) write(into string) error {
	dir, err := download(s.module + "@" + s.version)
	if err != nil {
		return err
	}
	missing := slices.Clone(s.kinds)
	for _, file := range s.files {
		documents, err := read(filepath.Join(dir, filepath.FromSlash(file)))
		if err != nil {
			return err
		}
		for _, d := range documents {
			kind := d.Spec.Names.Kind
			if d.Kind != "CustomResourceDefinition" || !slices.Contains(s.kinds, kind) || d.Spec.Group == "" {
				continue
			}
			if kind == "Gateway" && d.Spec.Group != "gateway.networking.k8s.io" {
				continue
			}
			missing = slices.DeleteFunc(missing, func(k string) bool { return k == kind })
			for _, v := range d.Spec.Versions {
				if !v.Served || v.Name != "v1" && v.Name != "v1alpha1" && kind != "EnvoyFilter" {
					continue
				}
				schema := strict(v.Schema.OpenAPIV3Schema).(map[string]any)
				properties := schema["properties"].(map[string]any)
				properties["metadata"] = map[string]any{"type": "object"}
				properties["apiVersion"] = map[string]any{"type": "string"}
				properties["kind"] = map[string]any{"type": "string"}
				delete(properties, "status")
				if kind == "EnvoyProxy" { // leave out whole pods, which nothing here has
					delete(properties["spec"].(map[string]any)["properties"].(map[string]any), "provider")
				}
				schema["$comment"] = "from " + s.module + "@" + s.version
				text, err := json.MarshalIndent(schema, "", " ")
				if err != nil {
					return err
				}
				name := fmt.Sprintf("%s_%s_%s.json", d.Spec.Group, v.Name, strings.ToLower(kind))
				if err := os.WriteFile(filepath.Join(into, name), append(text, '\n'), 0o666); err != nil {
					return err
				}
			}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("no definition of %s", strings.Join(missing, ", "))
	}
	return nil
}

// download returns the folder of a module. It is run outside this module, whose
// go.mod does not have those.
func download(module string) (string, error) {
	command := exec.Command("go", "mod", "download", "-json", module)
	command.Dir = os.TempDir()
	command.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, err := command.Output()
	var answer struct{ Dir, Error string }
	if json.Unmarshal(out, &answer) == nil && answer.Error != "" {
		return "", fmt.Errorf("%s", answer.Error)
	}
	if err != nil {
		return "", err
	}
	return answer.Dir, nil
}

// definition is a CustomResourceDefinition.
type definition struct {
	Kind string
	Spec struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Served bool
			Schema struct {
				OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
			}
		}
	}
}

// read reads the definitions in a file, or in the files of a folder.
func read(path string) ([]definition, error) {
	files := []string{path}
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*.yaml")); err != nil {
			return nil, err
		}
	}
	var documents []definition
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for part := range strings.SplitSeq("\n"+string(text), "\n---\n") {
			var d definition
			if err := yaml.Unmarshal([]byte(part), &d); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			documents = append(documents, d)
		}
	}
	return documents, nil
}

// strict makes a JSON Schema of a structural schema of Kubernetes: what
// Kubernetes would leave out is an error, and words that JSON Schema does not
// have are dropped, the rules in CEL with them.
func strict(schema any) any {
	switch s := schema.(type) {
	case []any:
		for i := range s {
			s[i] = strict(s[i])
		}
	case map[string]any:
		return strictObject(s)
	}
	return schema
}

func strictObject(s map[string]any) map[string]any {
	out := map[string]any{}
	for word, value := range s {
		switch word {
		case "properties":
			properties := map[string]any{}
			for name, p := range value.(map[string]any) {
				properties[name] = strict(p)
			}
			out[word] = properties
		case "items", "additionalProperties", "allOf", "anyOf", "oneOf", "not":
			out[word] = strict(value)
		case "type", "enum", "required", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
			"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "uniqueItems":
			out[word] = value
		}
	}
	if s["x-kubernetes-int-or-string"] == true {
		out["type"] = []string{"integer", "string"}
	}
	if s["nullable"] == true {
		out = map[string]any{"anyOf": []any{out, map[string]any{"type": "null"}}}
	}
	// A schema without a type stands inside allOf and its kin, and says
	// nothing of the members that it does not name.
	if s["type"] == "object" && s["properties"] != nil && s["additionalProperties"] == nil &&
		s["x-kubernetes-preserve-unknown-fields"] != true && s["nullable"] != true {
		out["additionalProperties"] = false
	}
	return out
}
