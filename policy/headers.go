package policy

import (
	"strings"

	"orgate/config"
	"orgate/internal/httptext"
	"orgate/jwt"
)

// ReportHeader tells the upstream what a token was not refused for, if its
// issuer is in report-only mode.
const ReportHeader = "x-orgate-report"

// writeHeaders renders the identity headers. The error is an ErrClaim.
func (i *Issuer) writeHeaders(id *Identity, claims jwt.Claims) error {
	id.Headers = make([][2]string, 0, 5+len(i.Config.ClaimMappings))
	write := func(name, value string) {
		if name != "" && value != "" {
			id.Headers = append(id.Headers, [2]string{name, value})
		}
	}
	write(i.headers.Organization, id.Organization)
	write(i.headers.Username, id.Username)
	write(i.headers.ConsumerKey, id.ConsumerKey)
	write(i.headers.Scopes, strings.Join(id.Scopes, " "))
	write(i.headers.Roles, strings.Join(id.Roles, ","))
	for _, m := range i.Config.ClaimMappings {
		v, ok := claims.Lookup(m.RemoteClaim.Name, m.RemoteClaim.Path...)
		if !ok {
			continue
		}
		value, problem := render(v)
		if problem != "" {
			return &ClaimError{Use: "mapped", Claim: m.RemoteClaim, Problem: problem}
		}
		write(m.LocalClaim, value)
	}
	return nil
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
