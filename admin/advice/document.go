package advice

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"orgate/internal/yamlnode"
)

// document tells where the values of a document are.
type document struct {
	places  map[string]place
	issuers map[string]string // paths by name
}

type place struct{ line, column int }

// open finds where the values of a document are, and returns it as JSON. What is
// neither JSON nor YAML is an error.
func (r *Result) open(doc string) (text string, isYAML bool) {
	r.document = &document{places: map[string]place{"": {1, 1}}, issuers: map[string]string{}}
	nodes, faults := yamlnode.Split("", doc)
	start := strings.TrimSpace(doc)
	isJSON := gjson.Valid(doc) || strings.HasPrefix(start, "{") || strings.HasPrefix(start, "/") // with an error in it
	switch {
	case isJSON || len(nodes)+len(faults) == 0:
	case len(faults) > 0:
		r.Errors = append(r.Errors, Finding{Line: max(faults[0].Line, 1), Column: 1,
			Message: "neither JSON nor YAML: " + strings.TrimPrefix(faults[0].Message, "not YAML: ")})
		return "", false
	case len(nodes) > 1:
		r.Errors = append(r.Errors, Finding{Line: nodes[1].ValueLine, Column: nodes[1].ValueColumn,
			Message: "a second document: a configuration is one"})
		return "", false
	}
	if len(nodes) == 1 {
		r.document.note("", nodes[0])
	}
	if isJSON || len(nodes) == 0 {
		return doc, false
	}
	var b strings.Builder
	writeJSON(&b, nodes[0])
	return b.String(), true
}

func (d *document) note(path string, n yamlnode.Node) {
	d.places[path] = place{n.ValueLine, n.ValueColumn}
	for i, element := range n.Elements() {
		d.note(path+"["+strconv.Itoa(i)+"]", element)
	}
	members, _ := n.Value.(map[string]yamlnode.Node)
	for name, member := range members {
		if name == "name" && strings.HasPrefix(path, "issuers[") && !strings.Contains(path, ".") {
			d.issuers[member.Text()] = path
		}
		d.note(join(path, name), member)
	}
}

// has reports whether the document has a value at path.
func (d *document) has(path string) bool {
	_, ok := d.places[path]
	return ok
}

// place returns where the value at path begins, or what should hold it.
func (d *document) place(path string) (line, column int) {
	at, ok := d.places[path]
	for !ok {
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
		at, ok = d.places[path]
	}
	return at.line, at.column
}

// writeJSON writes a value as JSON.
func writeJSON(b *strings.Builder, n yamlnode.Node) {
	switch v := n.Value.(type) {
	case map[string]yamlnode.Node:
		separator := "{"
		for _, name := range slices.Sorted(maps.Keys(v)) {
			b.WriteString(separator + quote(name) + ":")
			writeJSON(b, v[name])
			separator = ","
		}
		b.WriteString(strings.TrimSuffix(separator, ",") + "}")
	case []yamlnode.Node:
		separator := "["
		for _, element := range v {
			b.WriteString(separator)
			writeJSON(b, element)
			separator = ","
		}
		b.WriteString(strings.TrimSuffix(separator, ",") + "]")
	case yamlnode.Number:
		b.WriteString(number(string(v)))
	case string:
		b.WriteString(quote(v))
	case bool:
		b.WriteString(strconv.FormatBool(v))
	default:
		b.WriteString("null")
	}
}

// number writes a number of YAML, such as 0x10, as JSON does. Those that JSON does
// not have, such as .inf, remain words.
func number(text string) string {
	if gjson.Valid(text) {
		return text
	}
	if i, err := strconv.ParseInt(text, 0, 64); err == nil {
		return strconv.FormatInt(i, 10)
	}
	return quote(text)
}

func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string is always JSON
	}
	return string(quoted)
}
