package apk

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLinesOfBlockStyle(t *testing.T) {
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
  other: {flow: 1}

-
  late: 1
end: >-
  folded: text
last: "x: y"
`
	want := map[string]int{
		"": 1, "kind": 2, "items": 3, "items[0]": 4, "items[0].spec": 4, "items[0].spec.a": 5, "items[0].spec.b c": 8,
		"items[0].spec.list": 9, "items[0].spec.list[0]": 10, "items[0].spec.list[0].x": 10, "items[0].spec.list[0].y": 11,
		"items[0].spec.list[1]": 12, "items[0].spec.list[1][0]": 12, "items[0].spec.list[1][1]": 13, "items[0].spec.list[1][1].q": 13,
		"items[0].other": 14, "items[1]": 16, "items[1].late": 17, "end": 18, "last": 20,
	}
	if diff := cmp.Diff(want, locate(text, 1)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestDocumentsOfAFile(t *testing.T) {
	type one struct {
		First int
		Value any
	}
	documents, problems := split("f", "a: 1\r\n---\n\n--- # nothing\n---\nb: |\n  -----BEGIN X-----\n...\n--- 7\n---x: 1\n")
	var got []one
	for _, d := range documents {
		got = append(got, one{d.first, d.value})
	}
	want := []one{{1, map[string]any{"a": 1.0}}, {5, map[string]any{"b": "-----BEGIN X-----\n"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("documents (-want +got):\n%s", diff)
	}
	if len(problems) != 1 {
		t.Errorf("problems %v, want one", problems)
	}
}
