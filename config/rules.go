package config

import (
	"strings"

	"orgate/internal/httptext"
)

// checkRule checks one rule by itself, and names it if it has no name.
func (r *reader) checkRule(path string, i int, rule *Rule, issuers map[string]bool) {
	if rule.Name == "" {
		rule.Name = ruleName(i)
	}
	r.name(path+".name", rule.Name)
	r.checkMatch(path+".match", &rule.Match)
	r.organizationSource(path+".organization", &rule.Organization)
	own := rule.Own()
	r.checkDemands(path, &own, issuers)
	for j := range rule.AnyOf {
		at := element(path+".anyOf", j)
		if !rule.AnyOf[j].ask() {
			r.refuse(at, "must ask for something: it holds for every token")
		}
		r.checkDemands(at, &rule.AnyOf[j], issuers)
	}
	r.checkPublic(path, rule)
}

func (r *reader) checkDemands(path string, d *Demands, issuers map[string]bool) {
	scopes := path + ".scopes"
	if d.Scopes.All {
		scopes += ".all"
	}
	for j, s := range d.Scopes.Values {
		if s != "" && !isScope(s) {
			r.refuse(element(scopes, j), "must be one scope (RFC 6749 §3.3), got "+quote(s))
		}
	}
	roles := path + ".roles"
	if d.Roles.All {
		roles += ".all"
	}
	r.lines(roles, d.Roles.Values)
	r.lines(path+".consumerKeys", d.ConsumerKeys)
	r.lines(path+".audiences", d.Audiences)
	for j, name := range d.Issuers {
		if name != "" && !issuers[name] && !r.misread("issuers") {
			r.refuse(element(path+".issuers", j), "there is no issuer named "+quote(name))
		}
	}
}

// ask reports whether the demands ask for anything.
func (d *Demands) ask() bool {
	return len(d.Scopes.Values)+len(d.Roles.Values)+len(d.ConsumerKeys)+len(d.Claims)+len(d.Issuers)+len(
		d.Audiences) > 0
}

// checkPublic refuses rules that ask for no token and for something of it.
func (r *reader) checkPublic(path string, rule *Rule) {
	if !rule.Public {
		return
	}
	if rule.Optional {
		r.refuse(path+".optional", "must not be true in a public rule: a public rule looks at no token")
	}
	for _, asks := range []struct {
		name string
		set  bool
	}{
		{"organization", !rule.Organization.IsZero()},
		{"scopes", len(rule.Scopes.Values) > 0},
		{"roles", len(rule.Roles.Values) > 0},
		{"consumerKeys", len(rule.ConsumerKeys) > 0},
		{"claims", len(rule.Claims) > 0},
		{"issuers", len(rule.Issuers) > 0},
		{"audiences", len(rule.Audiences) > 0},
		{"anyOf", len(rule.AnyOf) > 0},
	} {
		if asks.set {
			r.refuse(path+"."+asks.name, "must not be in a public rule: a public rule looks at no token")
		}
	}
}

func (r *reader) checkMatch(path string, m *Match) {
	for i, host := range m.Hosts {
		m.Hosts[i] = strings.ToLower(host)
		if fault := matchHostFault(m.Hosts[i]); fault != "" {
			r.refuse(element(path+".hosts", i), fault)
		}
	}
	for i, method := range m.Methods {
		switch {
		case method == "":
		case !httptext.IsToken(method):
			r.refuse(element(path+".methods", i), "must be a method (RFC 9110 §9.1), got "+quote(method))
		case method != strings.ToUpper(method):
			r.refuse(element(path+".methods", i), "must be in capitals: "+quote(strings.ToUpper(method)))
		}
	}
	paths := 0
	for _, p := range []struct {
		name, value string
		fault       func(string) string
	}{
		{"path", m.Path, literalFault},
		{"pathPrefix", m.PathPrefix, literalFault},
		{"pathTemplate", m.PathTemplate, templateFault},
	} {
		if !r.given(path+"."+p.name, p.value != "") {
			continue
		}
		paths++
		if p.value == "" {
			continue
		}
		fault := r.pathFault(p.value)
		if fault == "" {
			fault = p.fault(p.value)
		}
		if fault != "" {
			r.refuse(path+"."+p.name, fault+", got "+quote(p.value))
		}
	}
	if paths > 1 {
		r.refuse(path, "must have only one of path, pathPrefix and pathTemplate")
	}
}

// matchHostFault says why a rule's host, in lower case, will not do, or "".
func matchHostFault(host string) string {
	switch {
	case host == "":
		return ""
	case host == Any:
		return `must not be "*": leave hosts out to match them all`
	}
	suffix, wildcard := strings.CutPrefix(host, "*.")
	if strings.Contains(suffix, "*") {
		return `must have "*" only as its first label, got ` + quote(host)
	}
	if wildcard && strings.HasPrefix(suffix, "[") {
		return "must be a name after \"*.\", got " + quote(host)
	}
	if fault := hostFault(suffix); fault != "" {
		return fault + ", got " + quote(host)
	}
	return ""
}

// hostFault says why host is not a host in lower case without a port (RFC 3986
// §3.2.2: a name, an IPv4 address or an IPv6 address in brackets), or "".
func hostFault(host string) string {
	if !httptext.IsASCII(host) {
		return "must be a host in ASCII (RFC 5891: xn--…)"
	}
	if clean, err := httptext.CleanHost(host); err == nil && clean == host && host != "" {
		return ""
	}
	if strings.ContainsAny(host, ":[]") {
		return "must be a host without a port"
	}
	return "must be a host"
}

// pathFault says why a path can match no request, or "".
func (r *reader) pathFault(path string) string {
	switch {
	case !strings.HasPrefix(path, "/"):
		return `must begin with "/"`
	case strings.ContainsAny(path, "?#"):
		return `must not have "?" or "#": the query is not part of the match`
	case !httptext.IsASCII(path) || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c == 0x7f }):
		return "must be percent-encoded"
	}
	if _, err := r.paths.Clean(path); err != nil {
		what := strings.TrimPrefix(err.Error(), httptext.ErrAmbiguous.Error()+": ")
		return "must not be ambiguous (" + what + "): requests with such a path are answered 400"
	}
	return ""
}

// literalFault says why a path is not a literal one, or "".
func literalFault(path string) string {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "*" || segment == "**" || strings.ContainsAny(segment, "{}") {
			return "must not have placeholders: they belong in pathTemplate"
		}
	}
	return ""
}

// templateFault says why a template's segments will not do, or "".
func templateFault(template string) string {
	segments := strings.Split(template[1:], "/")
	seen := map[string]bool{}
	for i, segment := range segments {
		switch {
		case segment == "*":
		case segment == "**":
			if i != len(segments)-1 {
				return `must have "**" only at its end`
			}
		case strings.ContainsAny(segment, "*"):
			return `must have "*" only as a whole segment`
		case strings.ContainsAny(segment, "{}"):
			name, opened := strings.CutPrefix(segment, "{")
			name, closed := strings.CutSuffix(name, "}")
			if !opened || !closed || !isIdentifier(name) {
				return `must have "{name}" only as a whole segment`
			}
			if seen[name] {
				return "must not have " + quote("{"+name+"}") + " twice"
			}
			seen[name] = true
		}
	}
	return ""
}

// isScope reports whether s is a scope-token (RFC 6749 §3.3).
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
