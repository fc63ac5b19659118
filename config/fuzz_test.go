package config_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/config"
	"orgate/config/schema"
)

// compactJSON compares JSON values without regard to the space in them.
var compactJSON = cmp.Transformer("compact", func(j config.JSON) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(j)); err != nil {
		return string(j)
	}
	return b.String()
})

// What Parse accepts, the schema accepts, and it can be rendered and read back
// as the same; what it refuses has a reason that says where.
func FuzzParse(f *testing.F) {
	for _, tt := range good {
		f.Add(tt.doc)
	}
	for _, tt := range broken {
		f.Add(tt.doc)
	}
	s := committedSchema(f)
	f.Fuzz(func(t *testing.T, doc string) {
		c, err := config.Parse(doc)
		if err != nil {
			list, ok := err.(config.ErrorList)
			if !ok || len(list) == 0 || c != nil {
				t.Fatalf("got %v and %T %v", c, err, err)
			}
			for _, e := range list {
				if e.Message == "" || e.Line < 1 || e.Column < 1 {
					t.Errorf("%#v", e)
				}
			}
			return
		}
		if err := validate(s, doc); err != nil {
			t.Errorf("the schema refuses it: %v", err)
		}
		if c.Environment != "" {
			return // rules may name issuers that are gone
		}
		rendered := schema.Render(c)
		again, err := config.Parse(string(rendered))
		if err != nil {
			t.Fatalf("rendered: %v\n%s", err, rendered)
		}
		if diff := cmp.Diff(c, again, compactJSON, anyPlace); diff != "" {
			t.Errorf("rendered: -first +second:\n%s", diff)
		}
	})
}
