package e2e_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
)

// schemaFields returns the fields of config/schema.json, as paths without
// indexes. A field that is nothing but an object of other fields is not listed:
// none of those could be set without it.
func schemaFields(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../config/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	definitions, _ := schema["$defs"].(map[string]any)
	fields := map[string]bool{}
	// walk lists the fields of a node and reports whether it can be anything
	// but a container of fields.
	var walk func(node map[string]any, path string) (leaf bool)
	walk = func(node map[string]any, path string) bool {
		if ref, ok := node["$ref"].(string); ok {
			name, ok := strings.CutPrefix(ref, "#/$defs/")
			definition, found := definitions[name].(map[string]any)
			if !ok || !found {
				t.Fatalf("%s: reference to %q", path, ref)
			}
			return walk(definition, path)
		}
		if either, ok := node["oneOf"].([]any); ok {
			leaf := false
			for _, alternative := range either {
				leaf = walk(alternative.(map[string]any), path) || leaf
			}
			return leaf
		}
		if items, ok := node["items"].(map[string]any); ok {
			return walk(items, path+"[]")
		}
		properties, ok := node["properties"].(map[string]any)
		for name, property := range properties {
			at := name
			if path != "" {
				at = path + "." + name
			}
			if walk(property.(map[string]any), at) {
				fields[at] = true
			}
		}
		return !ok
	}
	walk(schema, "")
	return slices.Sorted(maps.Keys(fields))
}

// unusedFields make no difference to the plugin: they are for editors.
var unusedFields = []string{"$schema"}

// TestEveryFieldHasACase: a field of the configuration that changes nothing, or
// of which nobody knows whether it does, is not done.
func TestEveryFieldHasACase(t *testing.T) {
	covered := map[string]bool{}
	for _, c := range scenario.All() {
		for _, field := range c.Fields {
			covered[field] = true
		}
	}
	for field := range keyFields {
		covered[field] = true
	}
	for _, field := range unusedFields {
		covered[field] = true
	}
	fields := schemaFields(t)
	for _, field := range fields {
		if !covered[field] {
			t.Errorf("no case is for %s", field)
		}
	}
	containers := []string{}
	for field := range covered {
		if !slices.ContainsFunc(fields,
			func(f string) bool { return f == field || strings.HasPrefix(f, field+"[].") }) {
			containers = append(containers, field)
		}
	}
	if len(containers) > 0 {
		t.Errorf("cases are for what is no field: %q", containers)
	}
}

// result is everything about a request that anybody could see.
type result struct {
	Outcome scenario.Outcome
	Metrics map[string]uint64
}

func run(t *testing.T, plugin *host.Plugin, configuration string, request scenario.Request) (result, error) {
	t.Helper()
	w, err := e2e.NewWorker(plugin, configuration)
	if err != nil {
		return result{}, err
	}
	defer w.VM.Close()
	outcome := w.Serve(request)
	return result{outcome, w.Metrics.Values()}, nil
}

// TestFieldsMatter: without the field that a case is for, or with another value
// where it cannot be left out, the outcome is another.
func TestFieldsMatter(t *testing.T) {
	plugin := hosttest.Plugin(t)
	for _, c := range scenario.All() {
		if len(c.Fields) == 0 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			with, err := run(t, plugin, c.Configuration(), c.Request)
			if err != nil {
				t.Fatal(err)
			}
			for _, field := range c.Fields {
				instead, hasInstead := c.Instead[field]
				refused := instead == scenario.Refused
				if refused {
					hasInstead = false
				}
				changed, found := change(t, c.Configuration(), field, instead, hasInstead)
				if !found {
					t.Errorf("%s is not in the configuration", field)
					continue
				}
				without, err := run(t, plugin, changed, c.Request)
				switch {
				case refused && err == nil:
					t.Errorf("the configuration without %s is accepted", field)
				case refused:
					if name := field[strings.LastIndexByte(field, '.')+1:]; !strings.Contains(err.Error(), name) {
						t.Errorf("the configuration without %s is refused for another reason: %v", field, err)
					}
				case err != nil:
					t.Errorf("the configuration without %s is refused, the case needs a value for Instead: %v", field,
						err)
				case cmp.Equal(with, without):
					t.Errorf("%s makes no difference: %+v", field, with.Outcome)
				}
			}
			for field := range c.Instead {
				if !slices.Contains(c.Fields, field) {
					t.Errorf("a value instead of %s, which the case is not for", field)
				}
			}
		})
	}
}

// change removes a field from a configuration wherever it is, or replaces it.
func change(t *testing.T, configuration, field, instead string, replace bool) (changed string, found bool) {
	t.Helper()
	var document any
	decoder := json.NewDecoder(strings.NewReader(configuration))
	decoder.UseNumber()
	if err := decoder.Decode(&document); err != nil {
		t.Fatal(err)
	}
	var walk func(node any, path []string)
	walk = func(node any, path []string) {
		name, list := strings.CutSuffix(path[0], "[]")
		object, _ := node.(map[string]any)
		value, ok := object[name]
		switch {
		case !ok:
		case list:
			elements, _ := value.([]any)
			for _, element := range elements {
				walk(element, path[1:])
			}
		case len(path) > 1:
			walk(value, path[1:])
		case replace:
			object[name], found = json.RawMessage(instead), true
		default:
			delete(object, name)
			found = true
		}
	}
	walk(document, strings.Split(field, "."))
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), found
}

func TestChange(t *testing.T) {
	const document = `{"a":[{"b":{"c":1}},{"b":{"c":2,"d":[1]}},{}]}`
	for _, c := range []struct {
		field, instead, want string
		found                bool
	}{
		{"a[].b.c", "", `{"a":[{"b":{}},{"b":{"d":[1]}},{}]}`, true},
		{"a[].b.d", `{"x":[]}`, `{"a":[{"b":{"c":1}},{"b":{"c":2,"d":{"x":[]}}},{}]}`, true},
		{"a", "", `{}`, true},
		{"a[].x", "", document, false},
		{"x.y", "", document, false},
	} {
		got, found := change(t, document, c.field, c.instead, c.instead != "")
		if got != c.want || found != c.found {
			t.Errorf("%s: %s, %v", c.field, got, found)
		}
	}
}
