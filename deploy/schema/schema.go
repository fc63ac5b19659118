// Package schema reads Kubernetes manifests and holds them against what their
// authors publish: the schemas of the custom resources of Envoy Gateway, the
// Gateway API and Istio, and for Istio's the Go types as well. Its users are
// tests.
//
// It is stricter than Kubernetes, which drops fields that a schema does not
// have: here they are errors, as with "kubectl apply --validate=strict". It does
// not run the rules in CEL that some schemas hold; those are comments to it.
package schema

//go:generate go run ./gen

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	extensionsv1alpha1 "istio.io/api/extensions/v1alpha1"
	networkingv1 "istio.io/api/networking/v1"
	networkingv1alpha3 "istio.io/api/networking/v1alpha3"
	telemetryv1 "istio.io/api/telemetry/v1"
	"sigs.k8s.io/yaml"
)

//go:embed crds/*.json
var published embed.FS

// Object is an object of Kubernetes.
type Object struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   Metadata `json:"metadata"`
	// Spec is the object's spec as JSON.
	Spec json.RawMessage `json:"spec,omitempty"`
	// Data is a ConfigMap's, which has no spec.
	Data map[string]string `json:"data,omitempty"`
	// Type is the spec in its own type, for Istio's objects.
	Type proto.Message `json:"-"`
}

// Metadata is what objects here have of metadata. Other fields are errors.
type Metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// istio are the types of Istio's objects.
var istio = map[string]func() proto.Message{
	"extensions.istio.io/v1alpha1/WasmPlugin":  func() proto.Message { return new(extensionsv1alpha1.WasmPlugin) },
	"networking.istio.io/v1/ServiceEntry":      func() proto.Message { return new(networkingv1.ServiceEntry) },
	"networking.istio.io/v1/DestinationRule":   func() proto.Message { return new(networkingv1.DestinationRule) },
	"networking.istio.io/v1alpha3/EnvoyFilter": func() proto.Message { return new(networkingv1alpha3.EnvoyFilter) },
	"telemetry.istio.io/v1/Telemetry":          func() proto.Message { return new(telemetryv1.Telemetry) },
}

// dnsSubdomain is what names of objects must be (RFC 1123 §2.1).
var dnsSubdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// Read reads the objects in a file of YAML documents. The error names the
// objects that something is wrong with: duplicate and unknown fields, wrong
// values, and kinds that the package has no schema of.
func Read(manifests []byte) ([]Object, error) {
	var objects []Object
	var problems []error
	seen := map[string]bool{}
	for i, document := range bytes.Split(append([]byte("\n"), manifests...), []byte("\n---\n")) {
		o, err := read(document)
		if err != nil {
			problems = append(problems, fmt.Errorf("document %d: %s %s: %w", i, o.Kind, o.Metadata.Name, err))
		}
		id := strings.Join([]string{o.APIVersion, o.Kind, o.Metadata.Namespace, o.Metadata.Name}, "/")
		if seen[id] {
			problems = append(problems, fmt.Errorf("document %d: %s %s: twice", i, o.Kind, o.Metadata.Name))
		}
		seen[id] = true
		objects = append(objects, o)
	}
	return objects, errors.Join(problems...)
}

func read(document []byte) (Object, error) {
	var o Object
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return o, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&o); err != nil {
		return o, err
	}
	if name := o.Metadata.Name; len(name) > 253 || !dnsSubdomain.MatchString(name) {
		return o, fmt.Errorf("metadata.name: must be a name of DNS, got %q", name)
	}
	if o.APIVersion == "v1" && o.Kind == "ConfigMap" && o.Spec == nil {
		return o, nil
	}
	if err := o.validate(text); err != nil {
		return o, err
	}
	if o.Type != nil {
		return o, protojson.Unmarshal(o.Spec, o.Type)
	}
	return o, nil
}

// validate holds an object against its schema, and finds its type.
func (o *Object) validate(text []byte) error {
	group, version, _ := strings.Cut(o.APIVersion, "/")
	file := fmt.Sprintf("crds/%s_%s_%s.json", group, version, strings.ToLower(o.Kind))
	definition, err := published.ReadFile(file)
	if err != nil {
		return fmt.Errorf("no schema of %s %s", o.APIVersion, o.Kind)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(definition))
	if err != nil {
		return err
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(file, document); err != nil {
		return err
	}
	compiled, err := compiler.Compile(file)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	if err := compiled.Validate(value); err != nil {
		return err
	}
	if make := istio[o.APIVersion+"/"+o.Kind]; make != nil {
		o.Type = make()
	}
	return nil
}
