package yamlnode

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lines are where a Node and what is in it stand, by path.
func lines(n Node) map[string]int {
	found := map[string]int{n.Path: n.Line}
	parts := n.Elements()
	for _, name := range n.Members() {
		parts = append(parts, n.At(name))
	}
	for _, part := range parts {
		for path, line := range lines(part) {
			found[path] = line
		}
	}
	return found
}

func TestLines(t *testing.T) {
	const text = `# a comment
kind: List
items:
- spec:
    a: |
      not: a key
      - nor an element
    "b c": 1
    list:
    - x: 1
      y: 2
    - - inner
      - 'q': 3
  other: {flow: 1,
    next: [2, 3]}

-
  late: 1
end: >-
  folded: text
last: "x: y"
`
	documents, problems := Split("f", text)
	if len(documents) != 1 || len(problems) != 0 {
		t.Fatalf("%v %v", documents, problems)
	}
	want := map[string]int{
		"": 2, "kind": 2, "items": 3, "items[0]": 4, "items[0].spec": 4, "items[0].spec.a": 5, "items[0].spec.b c": 8,
		"items[0].spec.list": 9, "items[0].spec.list[0]": 10, "items[0].spec.list[0].x": 10,
		"items[0].spec.list[0].y": 11,
		"items[0].spec.list[1]":   12, "items[0].spec.list[1][0]": 12, "items[0].spec.list[1][1]": 13,
		"items[0].spec.list[1][1].q": 13,
		"items[0].other":             14, "items[0].other.flow": 14, "items[0].other.next": 15,
		"items[0].other.next[0]": 15,
		"items[0].other.next[1]": 15,
		"items[1]":               18, "items[1].late": 18, "end": 19, "last": 21,
	}
	if diff := cmp.Diff(want, lines(documents[0])); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestDocumentsOfAFile(t *testing.T) {
	documents, problems := Split("f",
		"a: 1\r\n---\n\n--- # nothing\n---\nb: |\n  -----BEGIN X-----\n...\n--- 7\n---x: 1\n")
	var got []string
	for _, d := range documents {
		got = append(got, strings.Join(d.Members(), " ")+d.At("b").Text())
	}
	if diff := cmp.Diff([]string{"a", "b-----BEGIN X-----\n"}, got); diff != "" || documents[0].Line != 1 ||
		documents[1].Line != 6 {
		t.Errorf("documents (-want +got):\n%s", diff)
	}
	if len(problems) != 1 {
		t.Errorf("problems %v, want one", problems)
	}
}

func TestAliases(t *testing.T) {
	const merged = `base: &base {a: 1, b: two}
other: &other
  c: [x]
d: {<<: *base, b: own}
e: {<<: [*base, *other]}
f: *other
`
	documents, problems := Split("f", merged)
	if len(documents) != 1 || len(problems) != 0 {
		t.Fatalf("%v %v", documents, problems)
	}
	root := documents[0]
	got := map[string]any{
		"d.a": root.At("d").At("a").Value, "d.b": root.At("d").At("b").Value, "e.b": root.At("e").At("b").Value,
		"e.c": len(root.At("e").At("c").Elements()), "f.c": root.At("f").At("c").Elements()[0].Value,
		"line": root.At("f").Line,
	}
	want := map[string]any{"d.a": Number("1"), "d.b": "own", "e.b": "two", "e.c": 1, "f.c": "x", "line": 6}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 8 {
		was, is := string(rune('0'+i)), string(rune('1'+i))
		bomb += "a" + is + ": &a" + is + " [" + strings.TrimSuffix(strings.Repeat("*a"+was+", ", 10), ", ") + "]\n"
	}
	for name, text := range map[string]string{
		"not YAML: too many values":                bomb,
		"not YAML: an alias of what it stands in":  "a: &a [*a]\n",
		"not YAML: unknown anchor 'a' referenced":  "a: *a\n",
		"not YAML: key \"a\" already set in map":   "a: 1\nb: 2\na: 3\n",
		"not YAML: mapping values are not allowed": "a: b: c\n",
	} {
		documents, problems := Split("f", text)
		if len(documents) != 0 || len(problems) != 1 || !strings.HasPrefix(problems[0].Message, name) {
			t.Errorf("%s: %v %v", name, documents, problems)
		}
	}
}

// TestJSON: JSON is YAML, except for what its writers make of blanks and escapes.
func TestJSON(t *testing.T) {
	documents, faults := Split("f", "{\n\t\"a\":\t[true, 1e3],\n\t\"b\": \"\\/ \\ud83d\\ude00 \\t\"\n}\n")
	if len(documents) != 1 || len(faults) != 0 {
		t.Fatalf("%v %v", documents, faults)
	}
	a, b := documents[0].At("a"), documents[0].At("b")
	got := []any{a.Elements()[1].Value, a.ValueLine, a.ValueColumn, b.Value, b.Line, b.ValueLine, b.ValueColumn}
	if diff := cmp.Diff([]any{Number("1e3"), 2, 7, "/ \U0001f600 \t", 3, 3, 7}, got); diff != "" {
		t.Errorf("values and places (-want +got):\n%s", diff)
	}
}

func TestJSONThatIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"key \"a\" already set in map": "{\"a\": 1,\n\"a\": 2}",
		"too many values":              "[" + strings.Repeat("{},", maxNodes) + "0]",
		"values nested too deeply":     strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
	} {
		documents, faults := Split("f", text)
		if len(documents) != 0 || len(faults) != 1 || faults[0].Message != "not YAML: "+name {
			t.Errorf("%s: %v %v", name, documents, faults)
		}
	}
}
