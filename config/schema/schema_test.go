package schema_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/config/schema"
)

const source = "../config.go"

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestSchemaIsCurrent(t *testing.T) {
	want, err := schema.Generate(source)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), read(t, "../schema.json")); diff != "" {
		t.Errorf("config/schema.json is stale: go generate ./config\n%s", diff)
	}
}

func TestReferenceIsCurrent(t *testing.T) {
	page := read(t, "../../docs/configuration.md")
	want, err := schema.Reference(page, source)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, page); diff != "" {
		t.Errorf("docs/configuration.md is stale: go generate ./config\n%s", diff)
	}
}

// Each type that a table refers to is under a heading of its own.
func TestReferenceLinksLead(t *testing.T) {
	page := read(t, "../../docs/configuration.md")
	anchors := map[string]bool{}
	for line := range strings.Lines(page) {
		heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !ok || !strings.HasPrefix(line, "#") {
			continue
		}
		anchor := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(heading)), " ", "-")
		if anchors[anchor] {
			t.Errorf("two headings %q", strings.TrimSpace(heading))
		}
		anchors[anchor] = true
	}
	for rest := page; ; {
		_, after, ok := strings.Cut(rest, "](#")
		if !ok {
			break
		}
		anchor, _, _ := strings.Cut(after, ")")
		if !anchors[anchor] {
			t.Errorf("no heading for #%s", anchor)
		}
		rest = after
	}
}

func TestReferenceRefuses(t *testing.T) {
	const begin, end = "<!-- fields:begin ", "<!-- fields:end -->"
	for _, tt := range []struct{ name, page, want string }{
		{"a page without an end", begin + "Config -->", begin + "Config --> has no " + end},
		{"a type that is not there", begin + "Nothing -->" + end, `no type "Nothing", or a second table of it`},
		{"a type twice", begin + "Limits -->" + end + begin + "Limits -->" + end,
			`no type "Limits", or a second table of it`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := schema.Reference(tt.page, source)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	if _, err := schema.Reference("no tables", source); err == nil || !strings.HasPrefix(err.Error(), "no table of ") {
		t.Errorf("a page without tables: got %v", err)
	}
}

func TestGenerateRefusesFieldsWithoutComments(t *testing.T) {
	stripped := strings.Replace(read(t, source), "// Who may issue tokens. At least one.\n", "", 1)
	file := filepath.Join(t.TempDir(), "config.go")
	if err := os.WriteFile(file, []byte(stripped), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := schema.Generate(file)
	if want := file + ": no comment on Config.Issuers"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
