// Package schema describes the plugin's configuration to people and editors:
// a JSON Schema, the field tables of the reference page, and a configuration
// as the plugin understands it.
//
// All of it is derived from the types of package config: their struct tags
// and the comments on their fields. The package is for native programs; the
// plugin does not need it.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"

	"orgate/config"
)

// node is a schema, or the part of one that describes one value (JSON Schema
// 2020-12).
type node struct {
	Schema               string          `json:"$schema,omitempty"`
	ID                   string          `json:"$id,omitempty"`
	Title                string          `json:"title,omitempty"`
	Description          string          `json:"description,omitempty"`
	Ref                  string          `json:"$ref,omitempty"`
	Type                 string          `json:"type,omitempty"`
	Enum                 []string        `json:"enum,omitempty"`
	OneOf                []*node         `json:"oneOf,omitempty"`
	Pattern              string          `json:"pattern,omitempty"`
	MinLength            *int            `json:"minLength,omitempty"`
	Minimum              *int            `json:"minimum,omitempty"`
	Maximum              *int            `json:"maximum,omitempty"`
	Items                *node           `json:"items,omitempty"`
	MinItems             *int            `json:"minItems,omitempty"`
	Properties           members         `json:"properties,omitempty"`
	PropertyNames        *node           `json:"propertyNames,omitempty"`
	AdditionalProperties any             `json:"additionalProperties,omitempty"`
	MinProperties        *int            `json:"minProperties,omitempty"`
	MaxProperties        *int            `json:"maxProperties,omitempty"`
	Required             []string        `json:"required,omitempty"`
	Default              json.RawMessage `json:"default,omitempty"`
	Defs                 members         `json:"$defs,omitempty"`
}

// members is a JSON object whose members keep their order.
type members []named

type named struct {
	name string
	node *node
}

func (m members) get(name string) *node {
	for _, n := range m {
		if n.name == name {
			return n.node
		}
	}
	return nil
}

// MarshalJSON writes the members in their order.
func (m members) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, n := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Quote(n.name))
		b.WriteByte(':')
		value, err := marshal(n.node)
		if err != nil {
			return nil, err
		}
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marshal is json.Marshal that leaves <, > and & as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// indent is the form in which documents are committed and printed.
func indent(doc []byte) []byte {
	var b bytes.Buffer
	if err := json.Indent(&b, doc, "", "  "); err != nil {
		panic(err) // doc is this package's own
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// Generate returns the JSON Schema (draft 2020-12) of the configuration.
// source is the Go file of the types, config.go, whose comments become the
// descriptions; a type or a field without one is an error.
//
// What the schema refuses, [config.Parse] refuses; not the other way round,
// since a schema sees each value by itself.
func Generate(source string) ([]byte, error) {
	root, err := build(source)
	if err != nil {
		return nil, err
	}
	doc, err := marshal(root)
	if err != nil {
		return nil, err
	}
	return indent(doc), nil
}

func build(source string) (*node, error) {
	comments, err := readComments(source)
	if err != nil {
		return nil, err
	}
	b := &builder{comments: comments}
	root := b.object(reflect.TypeFor[config.Config]())
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.ID = "urn:orgate:configuration" // a name, not a place
	root.Title = "orgate plugin configuration"
	root.Defs = b.defs
	if len(b.bare) > 0 {
		return nil, fmt.Errorf("%s: no comment on %s", source, strings.Join(b.bare, ", "))
	}
	return root, nil
}

// builder makes schemas of types.
type builder struct {
	// comments by type ("Config") and by field ("Config.Issuers").
	comments map[string]string
	// defs holds the schemas that others refer to, by type.
	defs members
	// bare holds the types and fields without a comment.
	bare []string
}

func (b *builder) comment(name string) string {
	text, ok := b.comments[name]
	if !ok {
		b.bare = append(b.bare, name)
	}
	return text
}

func (b *builder) object(t reflect.Type) *node {
	n := &node{Type: "object", Description: b.comment(t.Name()), AdditionalProperties: false}
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("json")
		if name == "-" {
			continue
		}
		value := b.value(f.Type, f.Tag)
		value.Description = b.comment(t.Name() + "." + f.Name)
		if d, ok := f.Tag.Lookup("default"); ok && !(d == `""` && f.Tag.Get("min") == "1") {
			value.Default = json.RawMessage(d)
		}
		if f.Tag.Get("required") == "true" {
			n.Required = append(n.Required, name)
		}
		n.Properties = append(n.Properties, named{name, value})
	}
	return n
}

// refer returns a reference to the schema of a type, which make describes the
// first time.
func (b *builder) refer(t reflect.Type, describe func() *node) *node {
	if b.defs.get(t.Name()) == nil {
		at := len(b.defs)
		b.defs = append(b.defs, named{t.Name(), &node{}})
		b.defs[at].node = describe()
	}
	return &node{Ref: "#/$defs/" + t.Name()}
}

func (b *builder) value(t reflect.Type, tag reflect.StructTag) *node {
	one := 1
	text := &node{Type: "string", MinLength: &one}
	texts := &node{Type: "array", Items: text}
	someTexts := &node{Type: "array", Items: text, MinItems: &one}
	custom := func(n node) func() *node {
		return func() *node {
			n.Description = b.comment(t.Name())
			return &n
		}
	}
	least := func() *int {
		if tag.Get("required") == "true" || tag.Get("min") == "1" {
			return &one
		}
		return nil
	}
	switch reflect.Zero(t).Interface().(type) {
	case config.Duration:
		return b.refer(t, custom(node{
			Type:    "string",
			Pattern: `^[-+]?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`,
		}))
	case config.ClaimName:
		return b.refer(t, custom(node{OneOf: []*node{text, someTexts}}))
	case config.AnyOrAll:
		return b.refer(t, custom(node{OneOf: []*node{texts, {
			Type:                 "object",
			Properties:           members{{"all", someTexts}},
			AdditionalProperties: false,
			Required:             []string{"all"},
		}}}))
	case config.Organization:
		return b.refer(t, func() *node {
			object := b.object(t)
			description := object.Description
			object.Description = ""
			object.MinProperties, object.MaxProperties = &one, &one
			return &node{Description: description, OneOf: []*node{text, object}}
		})
	case config.Secret:
		return b.refer(t, func() *node {
			object := b.object(t)
			description := object.Description
			object.Description, object.MaxProperties = "", &one
			return &node{Description: description, OneOf: []*node{text, object}}
		})
	case config.JSON:
		// The one such value is a JWK Set.
		return &node{Type: "object", Properties: members{{"keys", &node{Type: "array"}}}, Required: []string{"keys"}}
	case map[string]string:
		return &node{Type: "object", PropertyNames: &node{MinLength: &one}, AdditionalProperties: text,
			MinProperties: least()}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return b.value(t.Elem(), tag)
	case reflect.Struct:
		return b.refer(t, func() *node { return b.object(t) })
	case reflect.Slice:
		n := &node{Type: "array", Items: b.value(t.Elem(), `required:"true"`), MinItems: least()}
		n.Items.Enum = enum(tag)
		return n
	case reflect.Bool:
		return &node{Type: "boolean"}
	case reflect.Int:
		return &node{Type: "integer", Minimum: number(tag.Get("min")), Maximum: number(tag.Get("max"))}
	case reflect.String:
		return &node{Type: "string", Enum: enum(tag), MinLength: least()}
	}
	panic("schema: nothing known of " + t.String())
}

func enum(tag reflect.StructTag) []string {
	if words := tag.Get("enum"); words != "" {
		return strings.Split(words, "|")
	}
	return nil
}

func number(s string) *int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return nil
	}
	return &n
}

// readComments returns the comments on the types of a Go file and on their
// fields, each as one line, paragraphs separated by an empty one.
func readComments(source string) (map[string]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	comments := map[string]string{}
	note := func(name string, doc *ast.CommentGroup) {
		if text := strings.TrimSpace(doc.Text()); text != "" {
			paragraphs := strings.Split(text, "\n\n")
			for i, p := range paragraphs {
				paragraphs[i] = strings.Join(strings.Fields(p), " ")
			}
			comments[name] = strings.Join(paragraphs, "\n\n")
		}
	}
	for _, d := range file.Decls {
		declaration, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range declaration.Specs {
			spec, ok := s.(*ast.TypeSpec)
			if !ok {
				continue
			}
			note(spec.Name.Name, declaration.Doc)
			if t, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range t.Fields.List {
					for _, name := range f.Names {
						note(spec.Name.Name+"."+name.Name, f.Doc)
					}
				}
			}
		}
	}
	return comments, nil
}
