package policy

import (
	"net/url"
	"strings"

	"orgate/config"
)

// linear finds the first rule that matches by asking one after the other, as
// the documentation says it, and knows nothing of the index. It is -1 if there
// is none. The host and the path must not be ambiguous.
func linear(rules []*Rule, method, host, path string) int {
	for i, r := range rules {
		m := &r.config.Match
		if matchesHost(m.Hosts, host) && matchesPath(m, path) && matchesMethod(m.Methods, method) {
			return i
		}
	}
	return -1
}

func matchesMethod(methods []string, method string) bool {
	for _, m := range methods {
		if m == method {
			return true
		}
	}
	return len(methods) == 0
}

func matchesHost(patterns []string, authority string) bool {
	if len(patterns) == 0 {
		return true
	}
	u, err := url.Parse("http://" + authority)
	if err != nil {
		return false
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	for _, p := range patterns {
		p = strings.Trim(p, "[]")
		suffix, wildcard := strings.CutPrefix(p, "*")
		if host != "" && (host == p || wildcard && strings.HasSuffix(host, suffix)) {
			return true
		}
	}
	return false
}

func matchesPath(m *config.Match, target string) bool {
	if m.Path == "" && m.PathPrefix == "" && m.PathTemplate == "" {
		return true
	}
	path, _, _ := strings.Cut(target, "?")
	if path == "*" {
		return false
	}
	path = decoded(path)
	switch {
	case m.Path != "":
		return path == decoded(m.Path)
	case m.PathPrefix != "":
		prefix := decoded(m.PathPrefix)
		return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
	}
	return matchesSegments(strings.Split(m.PathTemplate, "/"), strings.Split(path, "/"))
}

func matchesSegments(pattern, path []string) bool {
	switch {
	case len(pattern) == 1 && pattern[0] == "**":
		return true
	case len(pattern) == 0 || len(path) == 0:
		return len(pattern) == len(path)
	case pattern[0] == "*" || strings.HasPrefix(pattern[0], "{"):
		if path[0] == "" {
			return false
		}
	case decoded(pattern[0]) != path[0]:
		return false
	}
	return matchesSegments(pattern[1:], path[1:])
}

func decoded(s string) string {
	d, err := url.PathUnescape(s)
	if err != nil {
		panic(err)
	}
	return d
}
