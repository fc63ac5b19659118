package apk

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// node is a value of a YAML document, and where it is.
type node struct {
	file, path string
	line       int // of its key, or of what is around it if it is not there
	value      any // nil, string, bool, number, []node or map[string]node
}

type number string

// split returns the YAML documents of a file, without the empty ones. What
// follows a document that is no YAML cannot be read.
func split(file, text string) (documents []node, problems []Finding) {
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return documents, problems
		}
		r := documentReader{file: file, left: maxNodes, within: map[*yaml.Node]bool{}}
		if err != nil {
			line, message := 0, strings.TrimPrefix(err.Error(), "yaml: ")
			if n, _ := fmt.Sscanf(message, "line %d:", &line); n > 0 {
				_, message, _ = strings.Cut(message, ": ")
			}
			r.fault(line, message)
		}
		if root := r.read(&document, "", 1); root.value != nil && r.problem == nil {
			documents = append(documents, root)
		}
		if r.problem != nil {
			problems = append(problems, *r.problem)
		}
		if err != nil {
			return documents, problems
		}
	}
}

// maxNodes bounds what aliases can make of a document.
const maxNodes = 1 << 17

// documentReader reads one document, until there is a problem.
type documentReader struct {
	file    string
	left    int                 // nodes
	within  map[*yaml.Node]bool // aliases that are being followed
	problem *Finding
}

func (r *documentReader) fault(line int, message string) {
	if r.problem == nil {
		r.problem = &Finding{File: r.file, Line: line, Problem: true, Message: "not YAML: " + message}
	}
}

// read reads what stands at a path ("spec.claimMappings[0].localClaim").
func (r *documentReader) read(y *yaml.Node, path string, line int) node {
	n := node{file: r.file, path: path, line: line}
	if r.left--; r.left < 0 {
		r.fault(line, "too many values")
	}
	if r.problem != nil {
		return n
	}
	switch y.Kind {
	case yaml.DocumentNode:
		return r.read(y.Content[0], path, y.Content[0].Line)
	case yaml.AliasNode:
		if r.within[y.Alias] {
			r.fault(line, "an alias of what it stands in")
			return n
		}
		r.within[y.Alias] = true
		n = r.read(y.Alias, path, line)
		delete(r.within, y.Alias)
		return n
	case yaml.MappingNode:
		n.value = r.members(y, path)
	case yaml.SequenceNode:
		list := make([]node, len(y.Content))
		for i, element := range y.Content {
			list[i] = r.read(element, fmt.Sprintf("%s[%d]", path, i), element.Line)
		}
		n.value = list
	default:
		switch y.ShortTag() {
		case "!!null":
		case "!!bool":
			n.value = strings.EqualFold(y.Value, "true")
		case "!!int", "!!float":
			n.value = number(y.Value)
		default:
			n.value = y.Value
		}
	}
	return n
}

func (r *documentReader) members(y *yaml.Node, path string) map[string]node {
	members := map[string]node{}
	var merged []node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if key.ShortTag() == "!!merge" {
			merged = append(merged, r.read(value, path, key.Line))
			continue
		}
		if _, ok := members[key.Value]; ok {
			r.fault(key.Line, fmt.Sprintf("key %q already set in map", key.Value))
		}
		members[key.Value] = r.read(value, strings.TrimPrefix(path+"."+key.Value, "."), key.Line)
	}
	for ; len(merged) > 0; merged = merged[1:] {
		merged = append(merged, merged[0].elements()...)
		from, _ := merged[0].value.(map[string]node)
		for name, member := range from {
			if _, ok := members[name]; !ok {
				members[name] = member
			}
		}
	}
	return members
}

// at returns an object's member; one that is not there is null.
func (n node) at(name string) node {
	object, _ := n.value.(map[string]node)
	if member, ok := object[name]; ok {
		return member
	}
	return node{file: n.file, path: strings.TrimPrefix(n.path+"."+name, "."), line: n.line}
}

// find returns what stands at a path, such as "claimMappings[0].localClaim".
func (n node) find(path string) node {
	for step := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '.' || c == '[' }) {
		i, err := strconv.Atoi(strings.TrimSuffix(step, "]"))
		if list := n.elements(); err == nil && i < len(list) {
			n = list[i]
		} else {
			n = n.at(step)
		}
	}
	return n
}

func (n node) absent() bool { return n.value == nil }

// members returns an object's members, sorted by name, without those that are
// null.
func (n node) members() []string {
	object, _ := n.value.(map[string]node)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(object)), func(name string) bool { return object[name].absent() })
}

func (n node) elements() []node {
	list, _ := n.value.([]node)
	return list
}

func (n node) text() string {
	s, _ := n.value.(string)
	return s
}

// kind names the type of the value.
func (n node) kind() string {
	switch n.value.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "true or false"
	case []node:
		return "a list"
	case map[string]node:
		return "an object"
	}
	return fmt.Sprintf("a number (%v)", n.value)
}
