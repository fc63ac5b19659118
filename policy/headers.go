package policy

import (
	"orgate/config"
	"orgate/internal/httptext"
	"orgate/jwt"
)

// ReportHeader tells the upstream what a token was not refused for, if its
// issuer is in report-only mode.
const ReportHeader = "x-orgate-report"

// LeftOut is an identity header that is not written, since its value could be read
// as another one.
type LeftOut struct {
	// Header is the header's name.
	Header string
	// Problem says what is wrong with the claim's value.
	Problem string
}

// headerWriter writes the headers of an identity.
type headerWriter struct {
	id  *Identity
	err error // the first ErrClaim
}

// write writes a claim's value to a header, unless there is a problem with it. An
// empty name or value is no header.
func (w *headerWriter) write(use string, claim config.ClaimName, name, value, problem string) {
	switch {
	case name == "" || w.err != nil:
	case problem == controlChar:
		w.err = &ClaimError{Use: use, Claim: claim, Problem: problem}
	case problem != "":
		w.id.LeftOut = append(w.id.LeftOut, LeftOut{name, problem})
	case value != "":
		w.id.Headers = append(w.id.Headers, [2]string{name, value})
	}
}

// writeHeaders renders the identity headers. The error is an ErrClaim.
func (i *Issuer) writeHeaders(id *Identity, claims jwt.Claims, client consumer, scopes, roles list) error {
	c, names := i.Config, i.headers
	asJSON := names.Lists == "json"
	id.Headers = make([][2]string, 0, 5+len(c.ClaimMappings))
	w := headerWriter{id: id}
	w.write("organization", c.OrganizationClaim, names.Organization, id.Organization, "") // the first: see Under
	w.write("username", c.UsernameClaim, names.Username, id.Username, "")
	w.write("consumer key", client.claim, names.ConsumerKey, client.key, client.problem)
	value, problem := renderList(scopes, " ", asJSON)
	w.write("scopes", c.ScopesClaim, names.Scopes, value, problem)
	value, problem = renderList(roles, ",", asJSON)
	w.write("roles", c.RolesClaim, names.Roles, value, problem)
	for _, m := range c.ClaimMappings {
		if v, ok := lookup(claims, m.RemoteClaim); ok {
			value, problem := render(v, asJSON)
			w.write("mapped", m.RemoteClaim, m.LocalClaim, value, problem)
		}
	}
	return w.err
}

// headerSet is a set of header names, folded.
type headerSet struct {
	folded  map[string]bool
	endings [256]uint32 // by length: a bit for each last character, see ending
}

// newHeaderSet returns every header that the policy's issuers, the top level or
// the filter itself could emit, and the default names of the identity headers.
func newHeaderSet(c *config.Config) headerSet {
	s := headerSet{folded: map[string]bool{}}
	s.add(ReportHeader)
	s.add(c.ForwardPayload)
	for _, h := range [...]config.Headers{c.Headers, config.DefaultHeaders()} {
		for _, name := range [...]string{h.Organization, h.Username, h.ConsumerKey, h.Scopes, h.Roles} {
			s.add(name)
		}
	}
	for n := range c.Issuers {
		for _, m := range c.Issuers[n].ClaimMappings {
			s.add(m.LocalClaim)
		}
	}
	return s
}

func (s *headerSet) add(name string) {
	if name == "" {
		return
	}
	s.folded[httptext.Fold(name)] = true
	if n := len(name); n < len(s.endings) {
		s.endings[n] |= ending(name)
	}
}

// IsIdentityHeader reports whether an upstream could take a request header for
// one that tells it who calls: one that could be emitted for any request, or that
// is an identity header by default. Such headers must be removed from every
// request. Names are compared as [httptext.SameName] does. It costs no allocation
// and does not grow with the number of headers.
func (p *Policy) IsIdentityHeader(name string) bool {
	n := len(name)
	if n == 0 || name[0] == ':' {
		return false
	}
	if n >= len(p.headers.endings) {
		return p.headers.folded[httptext.Fold(name)]
	}
	if p.headers.endings[n]&ending(name) == 0 {
		return false
	}
	var buffer [len(p.headers.endings)]byte
	for i := range n {
		buffer[i] = httptext.FoldByte(name[i])
	}
	return p.headers.folded[string(buffer[:n])]
}

// ending is the bit of a name's last character.
func ending(name string) uint32 { return 1 << (httptext.FoldByte(name[len(name)-1]) & 31) }
