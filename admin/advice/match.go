package advice

import (
	"net/url"
	"slices"
	"strings"

	"orgate/config"
)

// anyOne stands for every host, or every method, that there is.
const anyOne = ""

// orAny returns the list, or what an empty one means.
func orAny(list []string) []string {
	if len(list) == 0 {
		return []string{anyOne}
	}
	return list
}

// coversMethod reports whether a rule's methods hold one, or all.
func coversMethod(methods []string, method string) bool {
	return len(methods) == 0 || slices.Contains(methods, method)
}

// coversHost reports whether each host that a pattern stands for is matched by
// one of the rule's patterns.
func coversHost(patterns []string, host string) bool {
	if len(patterns) == 0 {
		return true
	}
	return host != anyOne && slices.ContainsFunc(patterns, func(pattern string) bool {
		if pattern == host {
			return true
		}
		suffix, ok := strings.CutPrefix(pattern, "*")
		return ok && strings.HasSuffix(host, suffix)
	})
}

// paths is the set of paths that a rule matches.
type paths struct {
	any      bool // those that are none ("*") included
	segments []segment
	tail     tail
}

type segment struct {
	literal string
	any     bool // one that is not empty
}

// tail is what may follow the segments.
type tail int

const (
	nothing tail = iota
	anything
	something
)

func pathOf(m *config.Match) paths {
	switch {
	case m.Path != "":
		return paths{segments: segments(m.Path, false)}
	case m.PathPrefix != "":
		prefix, slash := strings.CutSuffix(m.PathPrefix, "/")
		p := paths{segments: segments(prefix, false), tail: anything}
		if slash {
			p.tail = something
		}
		return p
	case m.PathTemplate != "":
		template, deep := strings.CutSuffix(m.PathTemplate, "/**")
		p := paths{segments: segments(template, true)}
		if deep {
			p.tail = anything
		}
		return p
	}
	return paths{any: true}
}

func segments(path string, template bool) []segment {
	if path == "" {
		return nil
	}
	var list []segment
	for s := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if template && (s == "*" || strings.HasPrefix(s, "{")) {
			list = append(list, segment{any: true})
			continue
		}
		if decoded, err := url.PathUnescape(s); err == nil {
			s = decoded
		}
		list = append(list, segment{literal: s})
	}
	return list
}

// covers reports whether each path in other is in p.
func (p paths) covers(other paths) bool {
	if p.any || other.any {
		return p.any
	}
	if len(p.segments) > len(other.segments) {
		return false
	}
	for i, s := range p.segments {
		if !s.covers(other.segments[i]) {
			return false
		}
	}
	more := len(other.segments) > len(p.segments)
	switch p.tail {
	case anything:
		return true
	case something:
		return more || other.tail == something
	default:
		return !more && other.tail == nothing
	}
}

func (s segment) covers(other segment) bool {
	if s.any {
		return other.any || other.literal != ""
	}
	return !other.any && s.literal == other.literal
}
