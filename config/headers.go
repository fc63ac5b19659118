package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

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

// DefaultHeaders returns the names that identity headers have by default. No
// request may bring them along, even if they have another name or are off:
// upstreams that know the defaults would take them for an identity.
func DefaultHeaders() Headers {
	var h Headers
	new(reader).object("", gjson.Parse("{}"), reflect.ValueOf(&h).Elem())
	return h
}

// header is a header that is written or stripped, and the field that names it.
type header struct{ name, path string }

// headers holds headers by their folded names: to some upstreams, names that
// fold to one are one.
type headers map[string]header

// add adds a header unless another has its name, which it returns.
func (h headers) add(name, path string) (other header, ok bool) {
	if other, ok := h.get(name); ok {
		return other, false
	}
	h[httptext.Fold(name)] = header{name, path}
	return header{}, true
}

func (h headers) get(name string) (header, bool) {
	found, ok := h[httptext.Fold(name)]
	return found, ok
}

// collision says why a header that is there keeps another name out.
func (h header) collision(name string) string {
	if name == h.name {
		return quote(name) + " is the header of " + h.path + " already"
	}
	return quote(name) + " and " + quote(h.name) + ", the header of " + h.path + ", are one header to some upstreams"
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
	if slices.ContainsFunc(notIdentity, func(taken string) bool { return httptext.SameName(name, taken) }) {
		return "must not be " + quote(name)
	}
	return headerFault(name)
}

// named are the identity headers with the fields that name them.
func (h *Headers) named() []struct {
	path string
	name *string
} {
	return []struct {
		path string
		name *string
	}{
		{"headers.organization", &h.Organization},
		{"headers.username", &h.Username},
		{"headers.consumerKey", &h.ConsumerKey},
		{"headers.scopes", &h.Scopes},
		{"headers.roles", &h.Roles},
	}
}

// checkHeaders checks the identity headers and writes their names in lower
// case. It returns them, and the payload's header.
func (r *reader) checkHeaders(c *Config) headers {
	identity := headers{}
	check := func(path string, name *string) {
		if *name == "" || r.misread(path) {
			return
		}
		*name = strings.ToLower(*name)
		if fault := identityFault(*name); fault != "" {
			r.refuse(path, fault)
		} else if other, ok := identity.add(*name, path); !ok {
			r.refuse(path, other.collision(*name))
		}
	}
	for _, h := range c.Headers.named() {
		check(h.path, h.name)
	}
	check("forwardPayload", &c.ForwardPayload)
	return identity
}

// stripped returns the headers that no request may bring along: the identity
// headers, those that claims go to, and the default names of the former.
func stripped(identity headers, issuers []Issuer) headers {
	all := maps.Clone(identity)
	for i, issuer := range issuers {
		for j, m := range issuer.ClaimMappings {
			all.add(strings.ToLower(m.LocalClaim), element(element("issuers", i)+".claimMappings", j)+".localClaim")
		}
	}
	defaults := DefaultHeaders()
	for _, h := range defaults.named() {
		all.add(*h.name, h.path+" by default")
	}
	return all
}

// checkClaimMappings checks the headers that claims go to and writes their
// names in lower case. The mapping to the organization header is the
// organization claim: it is taken off the list.
func (r *reader) checkClaimMappings(path string, issuer *Issuer, organizationHeader string, identity headers) {
	explicit := issuer.OrganizationClaim
	mapped := headers{}
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
		if other, ok := mapped.add(m.LocalClaim, element("claimMappings", i)); !ok {
			r.refuse(at, other.collision(m.LocalClaim))
			continue
		}
		if m.LocalClaim == organizationHeader {
			r.organizationFrom(path, at, issuer, explicit, m)
			continue
		}
		if other, ok := identity.get(m.LocalClaim); ok {
			r.refuse(at, other.collision(m.LocalClaim))
			continue
		}
		if httptext.SameName(m.LocalClaim, apkOrganizationHeader) && explicit.IsZero() && !r.claimUnread(path) {
			r.refuse(at, quote(m.LocalClaim)+
				" names the organization claim of a TokenIssuer, but headers.organization is "+
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
	case explicit.Key() != m.RemoteClaim.Key():
		r.refuse(at, quote(m.LocalClaim)+
			" is the organization header, and organizationClaim names another claim for it")
	}
}

func (r *reader) checkTokenSources(s *TokenSources, stripped headers) {
	if len(s.Headers)+len(s.Query)+len(s.Cookies) == 0 {
		r.refuse("tokenSources", "must have at least one header, query parameter or cookie")
	}
	for i := range s.Headers {
		h := &s.Headers[i]
		at := element("tokenSources.headers", i)
		if r.misread(at + ".name") {
			continue
		}
		h.Name = strings.ToLower(h.Name)
		r.sourceHeader(at+".name", h.Name, stripped)
		if strings.ContainsFunc(h.Prefix, func(c rune) bool { return c < ' ' || c >= 0x7f }) {
			r.refuse(at+".prefix", "must be printable ASCII, got "+quote(h.Prefix))
		}
		r.sourceTwice(at+".name", s.Headers[:i], h)
	}
	r.distinct("tokenSources.query", s.Query)
	r.lines("tokenSources.query", s.Query)
	r.distinct("tokenSources.cookies", s.Cookies)
	for i, name := range s.Cookies {
		if name != "" && !httptext.IsToken(name) {
			r.refuse(element("tokenSources.cookies", i), "must be a cookie's name (RFC 6265 §4.1.1), got "+quote(name))
		}
	}
	if other, ok := stripped.get("cookie"); ok && len(s.Cookies) > 0 {
		r.refuse(other.path, "must not be "+quote(other.name)+", where tokens come from")
	}
}

// sourceTwice refuses a source that is another one already. Sources of one
// header may differ in their prefixes; then they spell its name alike.
func (r *reader) sourceTwice(path string, before []HeaderSource, h *HeaderSource) {
	for i := range before {
		switch other := element("tokenSources.headers", i); {
		case !httptext.SameName(before[i].Name, h.Name):
			continue
		case before[i].Name != h.Name:
			r.refuse(path, header{before[i].Name, other}.collision(h.Name)+": write them alike")
		case strings.EqualFold(before[i].Prefix, h.Prefix):
			r.refuse(path, quote(h.Name)+" with this prefix is "+other+" already")
		default:
			continue
		}
		return
	}
}

func (r *reader) sourceHeader(path, name string, stripped headers) {
	if httptext.SameName(name, "cookie") {
		r.refuse(path, "must not be "+quote(name)+": name the cookie in tokenSources.cookies")
	} else if name != "authorization" && slices.ContainsFunc(notIdentity,
		func(taken string) bool { return httptext.SameName(name, taken) }) {
		r.refuse(path, "must not be "+quote(name))
	} else if fault := headerFault(name); fault != "" {
		r.refuse(path, fault)
	} else if other, ok := stripped.get(name); ok {
		r.refuse(path, quote(name)+" is the header of "+other.path+", which no request may bring along")
	}
}

// distinct refuses names that are one name once folded.
func (r *reader) distinct(path string, names []string) {
	for i, name := range names {
		if name == "" {
			continue
		}
		j := slices.IndexFunc(names[:i], func(other string) bool { return httptext.SameName(other, name) })
		switch {
		case j < 0:
		case names[j] == name:
			r.refuse(element(path, i), quote(name)+" is there twice")
		default:
			r.refuse(element(path, i),
				quote(name)+" and "+quote(names[j])+" are one name to some upstreams: name one of them")
		}
	}
}
