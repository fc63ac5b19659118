package policy

import (
	"strings"

	"orgate/config"
	"orgate/internal/httptext"
)

// organizationSource is where a rule's required organization comes from.
type organizationSource struct {
	kind sourceKind
	// The organization, or the metadata's name.
	text string
	// The host's pattern: before and after the organization.
	before, after string
	// The path's pattern: segments, and which of them is the organization.
	segments []string
	capture  int
}

type sourceKind int

const (
	fromNowhere sourceKind = iota
	literal
	fromHost
	fromPath
	fromRouteMetadata
)

// placeholder is the organization's place in a pattern.
const placeholder = "{org}"

func newOrganizationSource(o config.Organization) organizationSource {
	switch {
	case o.Literal != "":
		return organizationSource{kind: literal, text: o.Literal}
	case o.FromHost != "":
		before, after, _ := strings.Cut(o.FromHost, placeholder)
		return organizationSource{kind: fromHost, before: before, after: after}
	case o.FromPath != "":
		s := organizationSource{kind: fromPath}
		for i, segment := range strings.Split(o.FromPath[1:], "/") {
			if segment == placeholder {
				s.capture = i
			}
			s.segments = append(s.segments, httptext.DecodePath(segment))
		}
		return s
	case o.FromRouteMetadata != "":
		return organizationSource{kind: fromRouteMetadata, text: o.FromRouteMetadata}
	}
	return organizationSource{}
}

// RequiredOrganization returns the organization that the rule requires of this
// request's token: one, or [config.Any] if the rule says so itself. A "*" that
// comes from the request or from the route is none. [Policy.Route] must have
// read the request before.
//
// The error is an [ErrOrganization]: the rule's source yields nothing. The
// organization is then "", which no token proves. A caller who would rather judge
// the token first, so that a forged one is refused as such, goes on with it, and
// [Rule.Authorize] refuses.
//
// A pattern for hosts stands for the whole host, and its {org} for a part of it
// without a dot; hosts are in lower case, so the organization is, too. A
// pattern for paths stands for the path's beginning, as a path prefix does; its
// {org} is a whole segment, percent-decoded.
func (r *Rule) RequiredOrganization(q *Request) (string, error) {
	s := &r.organization
	var organization string
	switch s.kind {
	case literal:
		return s.text, nil
	case fromHost:
		organization = s.inHost(q.host)
	case fromPath:
		organization = s.inPath(q.path)
	case fromRouteMetadata:
		if q.RouteMetadata != nil {
			if value, ok := q.RouteMetadata(s.text); ok {
				organization = value
			}
		}
	}
	if organization == "" || organization == config.Any {
		return "", errNoOrganization
	}
	return organization, nil
}

// inHost returns the organization in a clean host, or "".
func (s *organizationSource) inHost(host string) string {
	middle, ok := strings.CutPrefix(host, s.before)
	if !ok {
		return ""
	}
	middle, ok = strings.CutSuffix(middle, s.after)
	if !ok || strings.IndexByte(middle, '.') >= 0 || strings.IndexByte(middle, '[') >= 0 {
		return ""
	}
	return middle
}

// inPath returns the organization in a clean path, or "". OPTIONS may ask for no
// path.
func (s *organizationSource) inPath(path string) string {
	if path == "" {
		return ""
	}
	organization := ""
	rest, more := path[1:], true
	for i, want := range s.segments {
		if i == len(s.segments)-1 && want == "" { // the slash at the pattern's end
			break
		}
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		switch {
		case i == s.capture:
			organization = httptext.Text(segment)
		case segment != want:
			return ""
		}
		if !more && i < len(s.segments)-1 {
			return ""
		}
	}
	return organization
}
