package apk

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// document is one YAML document of a file.
type document struct {
	file  string
	first int // its first line, from 1
	value any
	lines map[string]int // by path
}

// split returns the YAML documents of a file, without the empty ones. A line
// that begins with "---" separates them, wherever it stands (YAML 1.2 §9.1.2).
func split(file, text string) (documents []document, problems []Finding) {
	first := 1
	var lines []string
	flush := func(next int) {
		d := document{file: file, first: first}
		text := strings.Join(lines, "\n") + "\n"
		lines, first = nil, next
		doc, err := yaml.YAMLToJSONStrict([]byte(text))
		if err == nil {
			err = json.Unmarshal(doc, &d.value)
		}
		if err != nil {
			problems = append(problems, d.broken(err))
			return
		}
		if d.value != nil {
			d.lines = locate(text, d.first)
			documents = append(documents, d)
		}
	}
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		line = strings.TrimSuffix(line, "\r")
		marker, rest, _ := strings.Cut(line, " ")
		switch {
		case marker == "---":
			flush(number)
			lines = append(lines, rest)
		case line == "...":
			flush(number + 1)
		default:
			lines = append(lines, line)
		}
	}
	flush(number)
	return documents, problems
}

var lineNumber = regexp.MustCompile(`\bline ([0-9]+)`)

// broken is the problem of a document that is no YAML. The parser counts lines
// from the document's first.
func (d *document) broken(err error) Finding {
	message := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", " ")
	message = strings.TrimPrefix(message, "error converting YAML to JSON: ")
	message = strings.TrimPrefix(strings.TrimPrefix(message, "yaml: "), "unmarshal errors:   ")
	line := d.first
	if m := lineNumber.FindStringSubmatch(message); m != nil {
		n, _ := strconv.Atoi(m[1])
		line = d.first + n - 1
		message = strings.TrimPrefix(message, m[0]+": ")
	}
	return Finding{File: d.file, Line: line, Problem: true, Message: "not YAML: " + message}
}

// maxDepth is how deep lists are followed to tell where something stands.
const maxDepth = 64

// locate tells on which line each key and each element of a list stands, by
// path ("spec.claimMappings[0].localClaim"). It knows the block style that
// manifests are written in; of other styles it finds what is around.
func locate(text string, first int) map[string]int {
	found := map[string]int{"": first}
	var open []place
	skip := -1 // the indentation of what holds a block scalar, or -1
	number := first - 1
	for line := range strings.SplitSeq(text, "\n") {
		number++
		rest := strings.TrimLeft(line, " ")
		indent := len(line) - len(rest)
		if rest == "" || strings.HasPrefix(rest, "#") || skip >= 0 && indent > skip {
			continue
		}
		skip = -1
		for len(open) < maxDepth && (rest == "-" || strings.HasPrefix(rest, "- ")) {
			open = openElement(open, indent)
			found[open[len(open)-1].path] = number
			if after := strings.TrimLeft(rest[1:], " "); isBlockScalar(after) {
				skip = indent
			}
			inner := strings.TrimLeft(rest[1:], " ")
			indent += len(rest) - len(inner)
			rest = inner
		}
		key, value, ok := keyOf(rest)
		if !ok {
			continue
		}
		for len(open) > 0 && open[len(open)-1].indent >= indent {
			open = open[:len(open)-1]
		}
		path := key
		if len(open) > 0 {
			path = open[len(open)-1].path + "." + key
		}
		open = append(open, place{indent: indent, path: path})
		if _, ok := found[path]; !ok {
			found[path] = number
		}
		if isBlockScalar(value) {
			skip = indent
		}
	}
	return found
}

// place is a key or an element that the scan is inside of.
type place struct {
	indent  int
	path    string
	element bool
	index   int
}

// openElement goes on to the next element of the list at an indentation.
func openElement(open []place, indent int) []place {
	for len(open) > 0 && open[len(open)-1].indent > indent {
		open = open[:len(open)-1]
	}
	index := 0
	if last := len(open) - 1; last >= 0 && open[last].element && open[last].indent == indent {
		index = open[last].index + 1
		open = open[:last]
	}
	parent := ""
	if len(open) > 0 {
		parent = open[len(open)-1].path
	}
	return append(open, place{indent: indent, path: element(parent, index), element: true, index: index})
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

var keyPattern = regexp.MustCompile(`^(?:"([^"\\]*)"|'([^']*)'|([^\s"'#&*!|>%@{}\[\],?-][^#]*?|-[^\s#][^#]*?))\s*:(?:\s+(.*))?$`)

// keyOf reads "key: value".
func keyOf(line string) (key, value string, ok bool) {
	m := keyPattern.FindStringSubmatch(line)
	if m == nil {
		return "", "", false
	}
	return m[1] + m[2] + m[3], m[4], true
}

func isBlockScalar(value string) bool {
	return strings.HasPrefix(value, "|") || strings.HasPrefix(value, ">")
}

// node is a value of a document, and where it is.
type node struct {
	doc   *document
	path  string
	value any
}

func (d *document) root() node { return node{d, "", d.value} }

// line is where the node is, or what is around it.
func (n node) line() int {
	for path := n.path; ; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
		if line, ok := n.doc.lines[path]; ok {
			return line
		}
		if path == "" {
			return n.doc.first
		}
	}
}

// at returns an object's member; one that is not there is null.
func (n node) at(name string) node {
	object, _ := n.value.(map[string]any)
	path := name
	if n.path != "" {
		path = n.path + "." + name
	}
	return node{n.doc, path, object[name]}
}

func (n node) absent() bool { return n.value == nil }

// members returns an object's members, sorted by name, without those that are
// null.
func (n node) members() []string {
	object, _ := n.value.(map[string]any)
	var names []string
	for name, value := range object {
		if value != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (n node) elements() []node {
	array, _ := n.value.([]any)
	nodes := make([]node, len(array))
	for i, value := range array {
		nodes[i] = node{n.doc, element(n.path, i), value}
	}
	return nodes
}

func (n node) text() string {
	s, _ := n.value.(string)
	return s
}

// kindOf names the type of a value.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("a number (%v)", value)
}
