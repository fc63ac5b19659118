package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"orgate/config"
	"orgate/config/schema"
)

// committedSchema compiles the schema of the repository.
func committedSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	doc, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(s *jsonschema.Schema, doc string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
	if err != nil {
		return err
	}
	return s.Validate(value)
}

func TestSchemaAcceptsWhatParseAccepts(t *testing.T) {
	s := committedSchema(t)
	for _, tt := range good {
		t.Run(tt.name, func(t *testing.T) {
			if err := validate(s, tt.doc); err != nil {
				t.Errorf("%v\n%s", err, tt.doc)
			}
		})
	}
}

// Each broken document is refused by the schema, too, unless it is marked as
// one that a schema cannot see through.
func TestSchemaRefusesWhatItCanSee(t *testing.T) {
	s := committedSchema(t)
	for _, tt := range broken {
		t.Run(tt.name, func(t *testing.T) {
			err := validate(s, tt.doc)
			if tt.onlyParse && err != nil {
				t.Errorf("marked onlyParse, and the schema refuses it: %v", err)
			}
			if !tt.onlyParse && err == nil {
				t.Error("not marked onlyParse, and the schema accepts it")
			}
		})
	}
}

func TestRenderIsReadBackTheSame(t *testing.T) {
	s := committedSchema(t)
	for _, tt := range good {
		if tt.want.Environment != "" {
			continue // rules may name issuers that are gone
		}
		t.Run(tt.name, func(t *testing.T) {
			rendered := string(schema.Render(tt.want))
			if err := validate(s, rendered); err != nil {
				t.Errorf("%v\n%s", err, rendered)
			}
			got, err := config.Parse(rendered)
			if err != nil {
				t.Fatalf("%v\n%s", err, rendered)
			}
			if diff := cmp.Diff(tt.want, got, compactJSON, anyPlace); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// The whole configurations on the reference page are good.
func TestReferenceExamples(t *testing.T) {
	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for block := range strings.SplitSeq(string(page), "```json\n") {
		example, _, ok := strings.Cut(block, "\n```")
		if !ok || !strings.HasPrefix(example, "{\n  \"issuers\"") {
			continue
		}
		examples++
		if _, err := config.Parse(example); err != nil {
			t.Errorf("%v\n%s", err, example)
		}
	}
	if examples < 2 {
		t.Errorf("found %d examples", examples)
	}
}
