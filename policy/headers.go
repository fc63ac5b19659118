package policy

import (
	"slices"
	"strings"

	"orgate/config"
	"orgate/internal/httptext"
	"orgate/jwt"
)

// ReportHeader tells the upstream what a token was not refused for, where its
// issuer is in report-only mode.
const ReportHeader = "x-orgate-report"

// headerNames are the headers that an issuer's tokens fill.
type headerNames struct {
	config.Headers
	mappings []config.ClaimMapping
}

func newHeaderNames(c *config.Config, i *config.Issuer) headerNames {
	h := headerNames{}
	taken := map[string]bool{httptext.Fold(ReportHeader): true, httptext.Fold(c.ForwardPayload): true}
	take := func(name string) string {
		if name == "" || taken[httptext.Fold(name)] {
			return ""
		}
		taken[httptext.Fold(name)] = true
		return strings.ToLower(name)
	}
	h.Organization = take(c.Headers.Organization)
	h.Username = take(c.Headers.Username)
	h.ConsumerKey = take(c.Headers.ConsumerKey)
	h.Scopes = take(c.Headers.Scopes)
	h.Roles = take(c.Headers.Roles)
	for _, m := range i.ClaimMappings {
		if name := take(m.LocalClaim); name != "" {
			h.mappings = append(h.mappings, config.ClaimMapping{RemoteClaim: m.RemoteClaim, LocalClaim: name})
		}
	}
	return h
}

// writeHeaders renders the identity headers. The error is an ErrClaim.
func (i *Issuer) writeHeaders(id *Identity, claims jwt.Claims) error {
	id.Headers = make([][2]string, 0, 5+len(i.headers.mappings))
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
	for _, m := range i.headers.mappings {
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

// headerSet is a set of header names that are told apart by their letters and
// digits alone.
type headerSet struct {
	names   []string
	folded  map[string]bool
	endings [256]uint32 // by length: a bit for each last character, see ending
}

// newHeaderSet returns every header that the policy's issuers, the top level or
// the filter itself could emit.
func newHeaderSet(c *config.Config) headerSet {
	s := headerSet{folded: map[string]bool{}}
	s.add(ReportHeader)
	s.add(c.ForwardPayload)
	for _, name := range []string{c.Headers.Organization, c.Headers.Username, c.Headers.ConsumerKey, c.Headers.Scopes, c.Headers.Roles} {
		s.add(name)
	}
	for n := range c.Issuers {
		for _, m := range c.Issuers[n].ClaimMappings {
			s.add(m.LocalClaim)
		}
	}
	slices.Sort(s.names)
	return s
}

func (s *headerSet) add(name string) {
	name = strings.ToLower(name)
	if name == "" || slices.Contains(s.names, name) {
		return
	}
	s.names = append(s.names, name)
	s.folded[httptext.Fold(name)] = true
	if n := len(name); n < 256 {
		s.endings[n] |= ending(name)
	}
}

// StripHeaders returns the names of all headers that could be emitted for any
// request, sorted and in lower case. They must be removed from every request,
// and so must those that [Policy.IsIdentityHeader] takes for them.
func (p *Policy) StripHeaders() []string { return slices.Clone(p.headers.names) }

// IsIdentityHeader reports whether an upstream could take a request header for
// one of [Policy.StripHeaders]: case does not matter, and neither does which
// character stands between letters and digits, as in X_WSO2_USERNAME, since
// CGI and its kin (RFC 3875 §4.1.18) make the same variable of both. It costs
// no allocation and does not grow with the number of headers.
func (p *Policy) IsIdentityHeader(name string) bool {
	n := len(name)
	if n == 0 || name[0] == ':' {
		return false
	}
	if n >= 256 {
		return p.headers.folded[httptext.Fold(name)]
	}
	if p.headers.endings[n]&ending(name) == 0 {
		return false
	}
	var buffer [256]byte
	for i := range n {
		buffer[i] = httptext.FoldByte(name[i])
	}
	return p.headers.folded[string(buffer[:n])]
}

// ending is the bit of a name's last character.
func ending(name string) uint32 { return 1 << (httptext.FoldByte(name[len(name)-1]) & 31) }
