package schema

import (
	"fmt"
	"slices"
	"strings"
)

// The field table of a type stands between these lines of the reference page.
const (
	fieldsBegin = "<!-- fields:begin "
	fieldsEnd   = "<!-- fields:end -->"
)

// rootName names the top level, which no reference names.
const rootName = "Config"

// Reference returns the reference page with its field tables written anew:
// each stands between "<!-- fields:begin Issuer -->" and "<!-- fields:end -->"
// and describes the type named. source is the Go file of the types. A page
// that leaves a type out, or names one that is not there, is an error.
func Reference(page, source string) (string, error) {
	root, err := build(source)
	if err != nil {
		return "", err
	}
	tables := map[string]string{}
	add := func(name string, n *node) {
		if object := objectOf(n); object != nil && len(object.Properties) > 0 {
			tables[name] = table(name, object)
		}
	}
	add(rootName, root)
	for _, d := range root.Defs {
		add(d.name, d.node)
	}

	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(page, fieldsBegin)
		b.WriteString(before)
		if !ok {
			break
		}
		name, rest, _ := strings.Cut(rest, " -->")
		_, after, ok := strings.Cut(rest, fieldsEnd)
		if !ok {
			return "", fmt.Errorf("%s%s --> has no %s", fieldsBegin, name, fieldsEnd)
		}
		t, ok := tables[name]
		if !ok {
			return "", fmt.Errorf("no type %q, or a second table of it", name)
		}
		delete(tables, name)
		fmt.Fprintf(&b, "%s%s -->\n\n%s\n%s", fieldsBegin, name, t, fieldsEnd)
		page = after
	}
	for name := range tables {
		return "", fmt.Errorf("no table of %s: %s%s -->", name, fieldsBegin, name)
	}
	return b.String(), nil
}

// objectOf returns the object that a schema describes, or one of whose forms
// it describes, or nil.
func objectOf(n *node) *node {
	if n.Type == "object" {
		return n
	}
	for _, form := range n.OneOf {
		if form.Type == "object" && form.AdditionalProperties == false && form.MaxProperties != nil {
			return form
		}
	}
	return nil
}

// typeName returns the type that a schema or its elements refer to, or "".
func typeName(n *node) string {
	if n.Items != nil {
		n = n.Items
	}
	return strings.TrimPrefix(n.Ref, "#/$defs/")
}

func table(name string, object *node) string {
	var b strings.Builder
	b.WriteString("| field | type | default | meaning |\n| --- | --- | --- | --- |\n")
	for _, p := range object.Properties {
		fallback := "–"
		switch {
		case slices.Contains(object.Required, p.name):
			fallback = "required"
		case p.node.Default != nil:
			fallback = "`" + string(p.node.Default) + "`"
		}
		meaning := p.node.Description
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", p.name, cell(typeText(p.node)), cell(fallback), cell(meaning))
	}
	return b.String()
}

// cell keeps a text within one cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n\n", "<br>", "<", `\<`).Replace(s)
}

func typeText(n *node) string {
	switch {
	case n.Ref != "":
		name := typeName(n)
		return "[" + words(name) + "](#" + strings.ReplaceAll(words(name), " ", "-") + ")"
	case len(n.Enum) > 0:
		return "`\"" + strings.Join(n.Enum, "\"`, `\"") + "\"`"
	case n.Type == "array":
		return "array of " + typeText(n.Items)
	case n.Type == "object" && n.Properties.get("keys") != nil:
		return "JWK Set"
	case n.Type == "object":
		return "object of strings"
	}
	return n.Type
}

// words writes the name of a type as the headings of the page do: "claim
// name" for ClaimName. Capitals in a row stay together.
func words(name string) string {
	var b strings.Builder
	for i, c := range name {
		upper := 'A' <= c && c <= 'Z'
		if upper && i > 0 && !('A' <= name[i-1] && name[i-1] <= 'Z') {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return strings.ToLower(b.String())
}
