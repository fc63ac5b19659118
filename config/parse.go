package config

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"orgate/internal/httptext"
	"orgate/internal/strictjson"
)

// Parse reads a configuration document: one JSON object, strictly (RFC 8259).
// Unknown, duplicate, missing and empty members, wrong types and everything
// that could not work are errors, and all of them are reported: the error is
// an [ErrorList]. A document that is not JSON has one, which says where.
//
// The configuration returned has every default applied and holds only the
// issuers of its environment.
func Parse(doc string) (*Config, error) { return ParseInSteps(doc, func() {}) }

// ParseInSteps is [Parse], and calls a function each time when a few issuers or
// rules are read or checked. A large document makes much garbage on the way.
func ParseInSteps(doc string, step func()) (*Config, error) {
	r := &reader{doc: doc, step: step}
	if strings.TrimSpace(doc) == "" {
		r.fail("", 0, "the configuration is empty")
		return nil, r.result()
	}
	if err := strictjson.CheckSyntax(doc); err != nil {
		at, _ := errors.AsType[*strictjson.Error](err)
		r.fail("", at.Offset, at.Kind.Error()+syntaxHint(doc, at.Offset))
		return nil, r.result()
	}
	c := new(Config)
	r.decode("", gjson.Parse(doc), reflect.ValueOf(c).Elem(), limits{})
	if !r.misread("") {
		r.check(c)
	}
	if err := r.result(); err != nil {
		return nil, err
	}
	return c, nil
}

// syntaxHint says what a document that is not JSON from offset on may be instead.
func syntaxHint(doc string, offset int) string {
	before, rest := strings.TrimSpace(doc[:offset]), doc[offset:]
	switch {
	case strings.HasPrefix(rest, "//"), strings.HasPrefix(rest, "/*"), before != "" && strings.HasPrefix(rest, "#"):
		return ": JSON has no comments"
	case before == "" && !strings.HasPrefix(rest, "{"):
		return `: if this is YAML, "orgate check --print" writes it as JSON`
	}
	return ""
}

// reader reads one document: it decodes, then checks, and collects mistakes.
type reader struct {
	doc  string
	step func()
	// defaults are the values of absent members that have been needed so far, for
	// all elements of an array alike. Nobody changes them.
	defaults map[defaultKey]reflect.Value
	// mistakes holds what was found so far; Line and Column, and offsets that are
	// not known, are filled in by result.
	mistakes []mistake
	// unread holds the paths whose value could not be decoded.
	unread []string
	// paths says which paths of requests are not ambiguous.
	paths httptext.Paths
}

type mistake struct {
	Error
	offset int // or unknown
}

const unknown = -1

// fail notes a value that cannot be decoded.
func (r *reader) fail(path string, offset int, message string) {
	r.unread = append(r.unread, path)
	r.mistakes = append(r.mistakes, mistake{Error{Path: path, Message: message}, offset})
}

// refuse notes a value that was decoded and will not do. It says nothing if the
// value, a part of it or its container was not read: that is a mistake already,
// and this would be its consequence.
func (r *reader) refuse(path, message string) {
	if r.partlyUnread(path) {
		return
	}
	r.mistakes = append(r.mistakes, mistake{Error{Path: path, Message: message}, unknown})
}

// partlyUnread reports whether the value at path, a part of it or what holds it
// was not read.
func (r *reader) partlyUnread(path string) bool {
	return slices.ContainsFunc(r.unread, func(p string) bool { return within(p, path) || within(path, p) })
}

// misread reports whether the value at path, or what holds it, was not read.
func (r *reader) misread(path string) bool {
	return slices.ContainsFunc(r.unread, func(p string) bool { return within(path, p) })
}

// given reports whether the document has a value at path, which a value that is
// not zero shows, and so does a mistake in it.
func (r *reader) given(path string, nonzero bool) bool { return nonzero || r.misread(path) }

// locate finds where the values begin that mistakes are in, or what should hold
// them.
func (r *reader) locate() {
	outer := func(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }
	begins := map[string]int{} // of each value that is a mistake, or holds one
	for _, m := range r.mistakes {
		for path := m.Path; m.offset == unknown && path != ""; path = outer(path) {
			begins[path] = unknown
		}
	}
	var look func(path string, v gjson.Result)
	look = func(path string, v gjson.Result) {
		i := 0
		v.ForEach(func(key, value gjson.Result) bool {
			at := element(path, i)
			if v.IsObject() {
				at = member(path, key.Str)
			}
			if offset, ok := begins[at]; ok && offset == unknown {
				begins[at] = value.Index
				look(at, value)
			}
			i++
			return true
		})
	}
	if len(begins) > 0 {
		look("", gjson.Parse(r.doc))
	}
	for i := range r.mistakes {
		m := &r.mistakes[i]
		path := m.Path
		for path != "" && begins[path] == unknown {
			path = outer(path)
		}
		if m.offset == unknown {
			m.offset = begins[path]
		}
	}
}

// result returns the mistakes in the document's order, or nil.
func (r *reader) result() error {
	if len(r.mistakes) == 0 {
		return nil
	}
	r.locate()
	slices.SortStableFunc(r.mistakes, func(a, b mistake) int { return a.offset - b.offset })
	list := make(ErrorList, len(r.mistakes))
	for i, m := range r.mistakes {
		before := r.doc[:min(m.offset, len(r.doc))]
		line := before[strings.LastIndexByte(before, '\n')+1:]
		m.Line = strings.Count(before, "\n") + 1
		m.Column = utf8.RuneCountInString(line) + 1
		list[i] = m.Error
	}
	return list
}

// within reports whether path is outer or lies inside it.
func within(path, outer string) bool {
	if outer == "" {
		return true
	}
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// member returns the path of an object's member.
func member(path, name string) string {
	if !isIdentifier(name) {
		return path + "[" + quote(name) + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// element returns the path of an array's element.
func element(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// withoutIndexes returns the path with its indexes left out: "issuers[].name".
func withoutIndexes(path string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(path, "[")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		b.WriteString("[]")
		_, path, _ = strings.Cut(rest, "]")
	}
}

func isIdentifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isLetter(c) && (i == 0 || !isDigit(c) && c != '-') && c != '_' {
			return false
		}
	}
	return s != ""
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// quote quotes a value of the document for an error: its beginning alone if it
// is long, and nothing of a PEM.
func quote(s string) string {
	const longest = 80
	if strings.Contains(s, "-----") {
		return "a PEM"
	}
	if len(s) <= longest {
		return strconv.Quote(s)
	}
	cut := longest
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}

// list writes words as "a, b or c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
