// Package yamlnode reads YAML documents, JSON among them, into values that know
// their file, line and path.
//
// It follows aliases and merged mappings, within bounds. A key that occurs twice is
// an error, as in JSON here.
package yamlnode

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
	"go.yaml.in/yaml/v3"
)

// Node is a value of a document, and where it is.
type Node struct {
	File string
	// Path leads to the value: "spec.claimMappings[0].localClaim".
	Path string
	// Line is that of the value's key, or of what is around it if it is not
	// there. From 1.
	Line int
	// ValueLine and ValueColumn are where the value itself begins. From 1, in
	// characters.
	ValueLine, ValueColumn int
	// Value is nil, string, bool, Number, []Node or map[string]Node.
	Value any
}

// Number is a number as it is written.
type Number string

// Fault is why a document cannot be read, on a line from 1 (0: not known).
type Fault struct {
	Line    int
	Message string
}

// Split returns the documents of a file, without the empty ones, and why others
// cannot be read. What follows a document that is not YAML cannot be read.
func Split(file, text string) (documents []Node, faults []Fault) {
	add := func(r *reader, root Node) {
		switch {
		case r.fault != nil:
			faults = append(faults, *r.fault)
		case root.Value != nil:
			documents = append(documents, root)
		}
	}
	if gjson.Valid(text) {
		r := &reader{file: file, left: maxNodes, text: text, line: 1, column: 1}
		add(r, r.readJSON(gjson.Parse(text), "", 1))
		return documents, faults
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return documents, faults
		}
		r := &reader{file: file, left: maxNodes, within: map[*yaml.Node]bool{}}
		if err != nil {
			line, message := 0, strings.TrimPrefix(err.Error(), "yaml: ")
			if n, _ := fmt.Sscanf(message, "line %d:", &line); n > 0 {
				_, message, _ = strings.Cut(message, ": ")
			}
			r.stop(line, message)
		}
		add(r, r.read(&document, "", 1))
		if err != nil {
			return documents, faults
		}
	}
}

const (
	// maxNodes bounds what aliases can make of a document.
	maxNodes = 1 << 19
	maxDepth = 1000
)

// reader reads one document, until there is a fault.
type reader struct {
	file  string
	left  int // nodes
	fault *Fault

	within map[*yaml.Node]bool // of YAML, the aliases that are being followed

	// Of JSON, the text, and the line and column of an offset in it, which
	// only grows.
	text                 string
	offset, line, column int
	depth                int
}

func (r *reader) stop(line int, message string) {
	if r.fault == nil {
		r.fault = &Fault{Line: line, Message: "not YAML: " + message}
	}
}

func (r *reader) read(y *yaml.Node, path string, line int) Node {
	n := Node{File: r.file, Path: path, Line: line, ValueLine: y.Line, ValueColumn: y.Column}
	if r.left--; r.left < 0 {
		r.stop(line, "too many values")
	}
	if r.fault != nil {
		return n
	}
	switch y.Kind {
	case yaml.DocumentNode:
		return r.read(y.Content[0], path, y.Content[0].Line)
	case yaml.AliasNode:
		if r.within[y.Alias] {
			r.stop(line, "an alias of what it stands in")
			return n
		}
		r.within[y.Alias] = true
		n.Value = r.read(y.Alias, path, line).Value
		delete(r.within, y.Alias)
	case yaml.MappingNode:
		n.Value = r.members(y, path)
	case yaml.SequenceNode:
		list := make([]Node, len(y.Content))
		for i, element := range y.Content {
			list[i] = r.read(element, fmt.Sprintf("%s[%d]", path, i), element.Line)
		}
		n.Value = list
	default:
		switch y.ShortTag() {
		case "!!null":
		case "!!bool":
			n.Value = strings.EqualFold(y.Value, "true")
		case "!!int", "!!float":
			n.Value = Number(y.Value)
		default:
			n.Value = y.Value
		}
	}
	return n
}

func (r *reader) members(y *yaml.Node, path string) map[string]Node {
	members := map[string]Node{}
	var merged []Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if key.ShortTag() == "!!merge" {
			merged = append(merged, r.read(value, path, key.Line))
			continue
		}
		if _, ok := members[key.Value]; ok {
			r.stop(key.Line, fmt.Sprintf("key %q already set in map", key.Value))
		}
		members[key.Value] = r.read(value, strings.TrimPrefix(path+"."+key.Value, "."), key.Line)
	}
	for ; len(merged) > 0; merged = merged[1:] {
		merged = append(merged, merged[0].Elements()...)
		from, _ := merged[0].Value.(map[string]Node)
		for name, member := range from {
			if _, ok := members[name]; !ok {
				members[name] = member
			}
		}
	}
	return members
}

// readJSON reads a value of JSON, some of whose escapes and blanks YAML does not
// have.
func (r *reader) readJSON(v gjson.Result, path string, line int) Node {
	r.advance(v.Index)
	n := Node{File: r.file, Path: path, Line: line, ValueLine: r.line, ValueColumn: r.column}
	if r.left--; r.left < 0 {
		r.stop(line, "too many values")
	}
	if r.depth++; r.depth > maxDepth {
		r.stop(line, "values nested too deeply")
	}
	defer func() { r.depth-- }()
	switch {
	case r.fault != nil:
	case v.IsObject():
		members := map[string]Node{}
		v.ForEach(func(key, value gjson.Result) bool {
			r.advance(key.Index)
			line := r.line
			if _, ok := members[key.Str]; ok {
				r.stop(line, fmt.Sprintf("key %q already set in map", key.Str))
			}
			members[key.Str] = r.readJSON(value, strings.TrimPrefix(path+"."+key.Str, "."), line)
			return r.fault == nil
		})
		n.Value = members
	case v.IsArray():
		list := []Node{}
		v.ForEach(func(_, value gjson.Result) bool {
			r.advance(value.Index)
			list = append(list, r.readJSON(value, fmt.Sprintf("%s[%d]", path, len(list)), r.line))
			return r.fault == nil
		})
		n.Value = list
	case v.Type == gjson.Number:
		n.Value = Number(v.Raw)
	default:
		n.Value = v.Value() // nil, string, bool
	}
	return n
}

// advance takes the line and the column on to an offset.
func (r *reader) advance(to int) {
	passed := r.text[r.offset:to]
	r.offset = to
	if end := strings.LastIndexByte(passed, '\n'); end >= 0 {
		r.line += strings.Count(passed, "\n")
		r.column, passed = 1, passed[end+1:]
	}
	r.column += utf8.RuneCountInString(passed)
}

// At returns an object's member; one that is not there is null.
func (n Node) At(name string) Node {
	object, _ := n.Value.(map[string]Node)
	if member, ok := object[name]; ok {
		return member
	}
	return Node{File: n.File, Path: strings.TrimPrefix(n.Path+"."+name, "."), Line: n.Line}
}

// Find returns what stands at a path, such as "claimMappings[0].localClaim".
func (n Node) Find(path string) Node {
	for step := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '.' || c == '[' }) {
		i, err := strconv.Atoi(strings.TrimSuffix(step, "]"))
		if list := n.Elements(); err == nil && i < len(list) {
			n = list[i]
		} else {
			n = n.At(step)
		}
	}
	return n
}

// Absent reports whether the value is null, or not there.
func (n Node) Absent() bool { return n.Value == nil }

// Members returns an object's members, sorted by name, without those that are
// null.
func (n Node) Members() []string {
	object, _ := n.Value.(map[string]Node)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(object)), func(name string) bool { return object[name].Absent() })
}

// Elements returns a list's elements.
func (n Node) Elements() []Node {
	list, _ := n.Value.([]Node)
	return list
}

// Text returns a string, or "" if it is none.
func (n Node) Text() string {
	s, _ := n.Value.(string)
	return s
}

// Kind names the type of the value.
func (n Node) Kind() string {
	switch n.Value.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "true or false"
	case []Node:
		return "a list"
	case map[string]Node:
		return "an object"
	}
	return fmt.Sprintf("a number (%v)", n.Value)
}
