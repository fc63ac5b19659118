package config

import (
	"maps"
	"slices"
	"strings"

	"orgate/internal/httptext"
)

// reportHeader tells the upstream what an issuer in reportOnly was not refused
// for; nothing else may have its name.
const reportHeader = "x-orgate-report"

// apkOrganizationHeader is the local claim by which a TokenIssuer names the
// organization claim.
const apkOrganizationHeader = "x-wso2-organization"

// notIdentity holds the headers that a request cannot do without or that mean
// something to the connection (RFC 9110 §7.6.1): none of them may be written.
var notIdentity = []string{
	"host", "authorization", "content-length", "transfer-encoding", "connection", "te", "upgrade",
	"proxy-connection", "keep-alive", "trailer",
}

// headerFault says why no header of this name, in lower case, may be written
// or read, or "".
func headerFault(name string) string {
	switch {
	case strings.HasPrefix(name, ":"):
		return "must not be a pseudo-header, got " + quote(name)
	case !httptext.IsToken(name):
		return "must be a header's name (RFC 9110 §5.6.2), got " + quote(name)
	case httptext.SameName(name, reportHeader):
		return "must not be " + quote(name) + ", the header of reportOnly"
	}
	return ""
}

func identityFault(name string) string {
	if slices.Contains(notIdentity, name) {
		return "must not be " + quote(name)
	}
	return headerFault(name)
}

// checkHeaders checks the identity headers and writes their names in lower
// case. It returns the path of each.
func (r *reader) checkHeaders(c *Config) map[string]string {
	paths := map[string]string{}
	for _, h := range []struct {
		path string
		name *string
	}{
		{"headers.organization", &c.Headers.Organization},
		{"headers.username", &c.Headers.Username},
		{"headers.consumerKey", &c.Headers.ConsumerKey},
		{"headers.scopes", &c.Headers.Scopes},
		{"headers.roles", &c.Headers.Roles},
		{"forwardPayload", &c.ForwardPayload},
	} {
		if *h.name == "" || r.misread(h.path) {
			continue
		}
		*h.name = strings.ToLower(*h.name)
		if fault := identityFault(*h.name); fault != "" {
			r.refuse(h.path, fault)
			continue
		}
		if other, ok := paths[*h.name]; ok {
			r.refuse(h.path, quote(*h.name)+" is the header of "+other+" already")
			continue
		}
		paths[*h.name] = h.path
	}
	return paths
}

// written returns the path of each header that may be written: the identity
// headers and those that claims go to.
func written(identity map[string]string, issuers []Issuer) map[string]string {
	paths := maps.Clone(identity)
	for i, issuer := range issuers {
		for j, m := range issuer.ClaimMappings {
			name := strings.ToLower(m.LocalClaim)
			if _, ok := paths[name]; !ok {
				paths[name] = element(element("issuers", i)+".claimMappings", j) + ".localClaim"
			}
		}
	}
	return paths
}

// checkClaimMappings checks the headers that claims go to and writes their
// names in lower case. The mapping to the organization header is the
// organization claim: it is taken off the list.
func (r *reader) checkClaimMappings(path string, issuer *Issuer, organizationHeader string, identity map[string]string) {
	explicit := issuer.OrganizationClaim
	first := map[string]int{}
	var others []ClaimMapping
	for i := range issuer.ClaimMappings {
		m := issuer.ClaimMappings[i]
		at := element(path+".claimMappings", i) + ".localClaim"
		if r.misread(at) {
			continue
		}
		m.LocalClaim = strings.ToLower(m.LocalClaim)
		if fault := identityFault(m.LocalClaim); fault != "" {
			r.refuse(at, fault)
			continue
		}
		if j, ok := first[m.LocalClaim]; ok {
			r.refuse(at, quote(m.LocalClaim)+" is the header of "+element("claimMappings", j)+" already")
			continue
		}
		first[m.LocalClaim] = i
		if m.LocalClaim == organizationHeader {
			r.organizationFrom(path, at, issuer, explicit, m)
			continue
		}
		if other, ok := identity[m.LocalClaim]; ok {
			r.refuse(at, quote(m.LocalClaim)+" is the header of "+other+" already")
			continue
		}
		if m.LocalClaim == apkOrganizationHeader && explicit.IsZero() && !r.claimUnread(path) {
			r.refuse(at, quote(m.LocalClaim)+" names the organization claim of a TokenIssuer, but headers.organization is "+
				quote(organizationHeader)+": set organizationClaim")
		}
		others = append(others, m)
	}
	issuer.ClaimMappings = others
}

// organizationFrom takes the organization claim from a mapping to the
// organization header.
func (r *reader) organizationFrom(path, at string, issuer *Issuer, explicit ClaimName, m ClaimMapping) {
	switch {
	case r.misread(path+".organizationClaim") || m.RemoteClaim.IsZero():
	case explicit.IsZero():
		issuer.OrganizationClaim = m.RemoteClaim
	case explicit.Name != m.RemoteClaim.Name || !slices.Equal(explicit.Path, m.RemoteClaim.Path):
		r.refuse(at, quote(m.LocalClaim)+" is the organization header, and organizationClaim names another claim for it")
	}
}

func (r *reader) checkTokenSources(s *TokenSources, identity map[string]string) {
	if len(s.Headers)+len(s.Query)+len(s.Cookies) == 0 {
		r.refuse("tokenSources", "must have at least one header, query parameter or cookie")
	}
	first := map[HeaderSource]int{}
	for i := range s.Headers {
		h := &s.Headers[i]
		at := element("tokenSources.headers", i)
		if r.misread(at + ".name") {
			continue
		}
		h.Name = strings.ToLower(h.Name)
		r.sourceHeader(at+".name", h.Name, identity)
		if strings.ContainsFunc(h.Prefix, func(c rune) bool { return c < ' ' || c >= 0x7f }) {
			r.refuse(at+".prefix", "must be printable ASCII, got "+quote(h.Prefix))
		}
		key := HeaderSource{h.Name, strings.ToLower(h.Prefix)}
		if j, ok := first[key]; ok {
			r.refuse(at+".name", quote(h.Name)+" with this prefix is "+element("tokenSources.headers", j)+" already")
			continue
		}
		first[key] = i
	}
	r.distinct("tokenSources.query", s.Query)
	r.lines("tokenSources.query", s.Query)
	r.distinct("tokenSources.cookies", s.Cookies)
	for i, name := range s.Cookies {
		if name != "" && !httptext.IsToken(name) {
			r.refuse(element("tokenSources.cookies", i), "must be a cookie's name (RFC 6265 §4.1.1), got "+quote(name))
		}
	}
	if other, ok := identity["cookie"]; ok && len(s.Cookies) > 0 {
		r.refuse(other, `must not be "cookie", where tokens come from`)
	}
}

func (r *reader) sourceHeader(path, name string, identity map[string]string) {
	if name == "cookie" {
		r.refuse(path, `must not be "cookie": name the cookie in tokenSources.cookies`)
	} else if name != "authorization" && slices.Contains(notIdentity, name) {
		r.refuse(path, "must not be "+quote(name))
	} else if fault := headerFault(name); fault != "" {
		r.refuse(path, fault)
	} else if other := identityLike(name, identity); other != "" {
		r.refuse(path, quote(name)+" is the header of "+other+", which no request may bring along")
	}
}

// identityLike returns the path of the identity header that some upstreams take
// the name for, or "": CGI and its kin (RFC 3875 §4.1.18) tell names apart by
// their letters and digits alone.
func identityLike(name string, identity map[string]string) string {
	like := ""
	for other, path := range identity {
		if httptext.SameName(other, name) && (like == "" || path < like) {
			like = path
		}
	}
	return like
}

func (r *reader) distinct(path string, values []string) {
	for i, v := range values {
		if v != "" && slices.Contains(values[:i], v) {
			r.refuse(element(path, i), quote(v)+" is there twice")
		}
	}
}
