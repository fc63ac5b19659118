package policy

import (
	"math"
	"strings"

	"orgate/config"
	"orgate/internal/httptext"
)

// The index finds the first rule that matches without asking the others: hosts
// in a map, paths in a trie of segments, methods in a map. The cost of a
// lookup depends on the host's labels and the path's segments, not on the number
// of rules. But if a segment has both a literal and a wildcard, both are followed.
type index struct {
	exact    map[string]*hostRules // by host
	suffixes map[string]*hostRules // by what follows "*."
	labels   int                   // the most labels that a suffix has
	rest     *hostRules            // rules for any host
}

// none is the place of no rule: behind every other.
const none = math.MaxInt

// hostRules are the rules for one host.
type hostRules struct {
	first   int     // the least place of a rule herein
	anyPath methods // rules that do not look at the path
	paths   *node   // the others; nil if there are none
}

// node is a place in the trie: the rules whose paths lead here.
type node struct {
	first    int // the least place of a rule here or below
	literal  map[string]*node
	wildcard *node   // one non-empty segment
	exact    methods // the path ends here
	prefix   methods // the path ends here or goes on
	below    methods // the path goes on
}

// methods gives the first rule for a method.
type methods struct {
	any int            // the first for any method
	by  map[string]int // the first for one
}

func newMethods() methods { return methods{any: none} }

func newNode() *node {
	return &node{first: none, exact: newMethods(), prefix: newMethods(), below: newMethods()}
}

func newHostRules() *hostRules { return &hostRules{first: none, anyPath: newMethods()} }

func newIndex() *index {
	return &index{exact: map[string]*hostRules{}, suffixes: map[string]*hostRules{}, rest: newHostRules()}
}

// add adds the rule at place to the index. Rules are added in order.
func (x *index) add(place int, m *config.Match) {
	if len(m.Hosts) == 0 {
		x.rest.add(place, m)
	}
	for _, pattern := range m.Hosts {
		x.host(pattern).add(place, m)
	}
}

// host returns the rules for a host pattern.
func (x *index) host(pattern string) *hostRules {
	table := x.exact
	if suffix, ok := strings.CutPrefix(pattern, "*."); ok {
		table, pattern = x.suffixes, suffix
	}
	rules := table[pattern]
	if rules == nil {
		rules = newHostRules()
		table[pattern] = rules
		x.labels = max(x.labels, strings.Count(pattern, ".")+1)
	}
	return rules
}

func (h *hostRules) add(place int, m *config.Match) {
	h.first = min(h.first, place)
	var end *methods
	switch {
	case m.Path != "":
		end = &h.node(place, m.Path, false).exact
	case m.PathPrefix != "":
		prefix, slash := strings.CutSuffix(m.PathPrefix, "/")
		n := h.node(place, prefix, false)
		if end = &n.prefix; slash {
			end = &n.below
		}
	case m.PathTemplate != "":
		template, deep := strings.CutSuffix(m.PathTemplate, "/**")
		n := h.node(place, template, true)
		if end = &n.exact; deep {
			end = &n.prefix
		}
	default:
		end = &h.anyPath
	}
	end.add(place, m.Methods)
}

// node returns the node of a path, which is "" or begins with a slash.
func (h *hostRules) node(place int, path string, template bool) *node {
	if h.paths == nil {
		h.paths = newNode()
	}
	n := h.paths
	n.first = min(n.first, place)
	if path == "" {
		return n
	}
	for _, segment := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
		n = n.child(segment, template)
		n.first = min(n.first, place)
	}
	return n
}

func (n *node) child(segment string, template bool) *node {
	if template && isWildcard(segment) {
		if n.wildcard == nil {
			n.wildcard = newNode()
		}
		return n.wildcard
	}
	segment = httptext.DecodePath(segment)
	c := n.literal[segment]
	if c == nil {
		c = newNode()
		if n.literal == nil {
			n.literal = map[string]*node{}
		}
		n.literal[segment] = c
	}
	return c
}

// isWildcard reports whether a template's segment stands for any one.
func isWildcard(segment string) bool {
	return segment == "*" || len(segment) > 2 && segment[0] == '{' && segment[len(segment)-1] == '}'
}

func (m *methods) add(place int, names []string) {
	if len(names) == 0 {
		m.any = min(m.any, place)
		return
	}
	if m.by == nil {
		m.by = map[string]int{}
	}
	for _, name := range names {
		if first, ok := m.by[name]; !ok || place < first {
			m.by[name] = place
		}
	}
}

// find returns the place of the first rule for a host, a path and a method, or
// none. The host and the path are clean; the path is "" if only the rules
// that do not look at it are asked.
func (x *index) find(host, path, method string) int {
	best := x.rest.find(path, method, none)
	if host == "" {
		return best
	}
	if h := x.exact[host]; h != nil {
		best = h.find(path, method, best)
	}
	end := len(host)
	for range x.labels {
		dot := strings.LastIndexByte(host[:end], '.')
		if dot < 0 {
			break
		}
		if h := x.suffixes[host[dot+1:]]; h != nil {
			best = h.find(path, method, best)
		}
		end = dot
	}
	return best
}

// find returns the lesser of best and the place of the first rule that
// matches.
func (h *hostRules) find(path, method string, best int) int {
	if h.first >= best {
		return best
	}
	best = h.anyPath.find(method, best)
	if h.paths == nil || path == "" {
		return best
	}
	return h.paths.find(path[1:], true, method, best)
}

// find goes on with the rest of the path; more tells that there is one, which
// may be the empty segment after a slash at the end.
func (n *node) find(rest string, more bool, method string, best int) int {
	if n.first >= best {
		return best
	}
	best = n.prefix.find(method, best)
	if !more {
		return n.exact.find(method, best)
	}
	best = n.below.find(method, best)
	segment, rest, more := strings.Cut(rest, "/")
	if c := n.literal[segment]; c != nil {
		best = c.find(rest, more, method, best)
	}
	if n.wildcard != nil && segment != "" {
		best = n.wildcard.find(rest, more, method, best)
	}
	return best
}

func (m *methods) find(method string, best int) int {
	best = min(best, m.any)
	if place, ok := m.by[method]; ok {
		best = min(best, place)
	}
	return best
}
