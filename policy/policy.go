// Package policy decides: which rule a request falls under, which organization
// it requires, which issuer's token it is, who calls, and whether that caller
// may.
//
// Everything is prepared once, by [New], from the configuration. A [Policy] is
// never changed afterwards and may be used by several goroutines at once. Its
// decisions are pure: the package knows nothing of proxies, keys, signatures,
// time or caches, and reads of a token its claims alone. Verifying the token is
// the caller's business, between [Proof.Issuer] and [Issuer.Identify].
//
// # The way of a request
//
//	rule, err := p.Route(request)                  // ErrAmbiguousPath
//	required, err := rule.RequiredOrganization(request) // ErrOrganization
//	proof, err := p.Proof(claims)                  // ErrUnknownIssuer
//	issuer, err := proof.Issuer(rule, required)    // ErrUnknownIssuer
//	// … the token is verified with the issuer's keys …
//	identity, err := issuer.Identify(claims)       // ErrClaim
//	err = rule.Authorize(required, issuer, identity) // see [ByRule]
//
// A [Proof] depends on the token alone and an [Identity] on the token and the
// issuer: both may be kept with a verified token, so that a token seen before
// costs neither JSON nor allocation. The issuer depends on the rule and the
// required organization too: ask the Proof for it each time.
//
// # Organizations
//
// A token's organization is the value of the issuer's organization claim,
// through the organization mapping if there is one; where the issuer names no
// claim, or lets a token without it pass for its own, it is the issuer's
// organization. A token whose claim says another organization than the issuer
// is bound to proves none, and none equals what a rule requires. "*" in the
// configuration stands for any organization that the token proves; "*" in a
// token, a host, a path or a route's metadata is no organization.
//
// # Matching
//
// Hosts are compared without case, without the port and without a dot at the
// end. "*.example.com" is for every host below example.com, however deep, and
// not for example.com itself. Addresses are compared as they are written.
//
// Paths are compared segment by segment, with case, after percent-decoding
// ("/a+b" is "/a%2Bb"), and without the query. The prefix "/a" is for "/a" and
// all below, "/a/" for all below alone ("/a/" among it), "/" for every path.
// In a template "{name}" and "*" are one segment that is not empty, "**" at
// the end is any number of segments, none included. An exact "/a" is not for
// "/a/". Methods are compared with case, and GET is not for HEAD.
//
// Wherever rules look at paths (by a path in a match or an organization taken
// from the path) a path that an upstream could read otherwise is refused with
// [ErrAmbiguousPath], whatever rule it would fall under:
//
//   - targets not in origin form (RFC 9112 §3.2), "*" with OPTIONS excepted,
//     which falls under rules without a path;
//   - "//", segments of nothing but dots and blanks once decoded, "\", "#",
//     control characters and spaces;
//   - ";" anywhere: some servers cut it and what follows off the segment;
//   - "%" without two hex digits;
//   - an encoded "/", "\", ";", "?", "#", control character, or a letter,
//     digit, "-", ".", "_", "~" (RFC 3986 §2.3), which need no encoding;
//   - an encoded "%" before two hex digits or a "u", which a second decoding
//     would turn into another character;
//   - what is not UTF-8 once decoded, overlong forms included.
//
// Likewise, wherever rules look at hosts, an authority is refused if it has
// user information, an empty label, a port that is no number, or characters
// other than letters, digits, "-", "_" and ".".
//
// # Headers
//
// Identity headers carry strings as they are, numbers with the token's digits,
// booleans as true and false, arrays of those joined with ",", objects and
// other arrays as compact JSON; scopes are joined with spaces (RFC 6749 §3.3),
// roles with ",". Null, missing and empty values, alone or in an array, give
// nothing. A value that the upstream could not read as it was meant refuses
// the token with [ErrClaim]: one with a control character, one that begins or
// ends with a space (which HTTP cuts off), a joined element with a "," in it,
// a scope with a space in it.
//
// No header is written twice. The identity headers, x-orgate-report and the
// payload's header win over claim mappings of the same name, and an earlier
// mapping wins over a later one. Names are the same name where they differ in
// case or in characters other than letters and digits, since CGI and its kin
// fold those.
package policy

import (
	"slices"
	"strconv"

	"orgate/config"
	"orgate/internal/httptext"
)

// Policy is a configuration, prepared for deciding.
type Policy struct {
	rules []*Rule
	rest  *Rule // for the requests that match none
	index *index
	// Whether rules look at paths and hosts, and how paths are read.
	paths, hosts bool
	grammar      httptext.Paths

	groups  map[string]*group // by "iss"
	headers headerSet
}

// Request is what rules look at.
type Request struct {
	// Method is the method, with its case.
	Method string
	// Host is the authority, with the port if it has one.
	Host string
	// Path is the request target as it was received, with the query.
	Path string
	// RouteMetadata returns a string from the route's metadata by the name
	// given in fromRouteMetadata. It may be nil: there is none.
	RouteMetadata func(name string) (string, bool)

	// The host and the path as everybody reads them, "" if no rule looks at
	// them: [Policy.Route] finds them.
	host, path string
}

// New prepares the configuration, which must have been checked and must not be
// changed afterwards.
func New(c *config.Config) *Policy {
	p := &Policy{index: newIndex(), grammar: c.Paths.Grammar(), groups: map[string]*group{}, headers: newHeaderSet(c)}
	known := newClaimTable(c.Rules)
	issuers := p.addIssuers(c, known)
	fallback := c.Organization
	if fallback.IsZero() {
		fallback = config.Organization{Literal: commonOrganization(issuers)}
	}
	for i := range c.Rules {
		r := newRule(i, &c.Rules[i], fallback, issuers, known)
		p.rules = append(p.rules, r)
		p.index.add(i, &r.config.Match)
		p.look(&r.config.Match, r.organization)
	}
	p.rest = newRule(-1, &config.Rule{}, fallback, issuers, known)
	p.look(&p.rest.config.Match, p.rest.organization)
	return p
}

// look notes what a rule looks at.
func (p *Policy) look(m *config.Match, o organizationSource) {
	p.hosts = p.hosts || len(m.Hosts) > 0 || o.kind == fromHost
	p.paths = p.paths || m.Path != "" || m.PathPrefix != "" || m.PathTemplate != "" || o.kind == fromPath
}

// commonOrganization returns the organization that all the issuers are bound
// to, or "" if they are not bound to one and the same.
func commonOrganization(issuers []*Issuer) string {
	if len(issuers) == 0 {
		return ""
	}
	common := issuers[0].Config.Organization
	for _, i := range issuers {
		if i.Config.Organization != common || common == config.Any {
			return ""
		}
	}
	return common
}

// Route returns the first rule that matches the request. Where none does it is
// a rule without a name that asks for a token of the top level's organization.
// The only error is [ErrAmbiguousPath].
//
// It notes in the request how its host and path are read, for
// [Rule.RequiredOrganization].
//
// What it costs depends on the host's labels and the path's segments, not on
// the number of rules. A segment for which one rule has a literal and another a
// placeholder is followed both ways.
func (p *Policy) Route(r *Request) (*Rule, error) {
	r.host, r.path = "", ""
	var err error
	if p.hosts {
		if r.host, err = httptext.CleanHost(r.Host); err != nil {
			return nil, err
		}
	}
	if p.paths && !(r.Path == asteriskPath && r.Method == optionsMethod) {
		if r.path, err = p.grammar.Clean(r.Path); err != nil {
			return nil, err
		}
	}
	if i := p.index.find(r.host, r.path, r.Method); i != none {
		return p.rules[i], nil
	}
	return p.rest, nil
}

// Rule is what a part of the API asks for.
type Rule struct {
	// Name is the rule's name, "" for the rule of requests that match none.
	Name string
	// Index is the rule's place in the configuration, -1 for the rule of
	// requests that match none.
	Index int
	// Public rules ask for no token.
	Public bool
	// Optional rules ask for no token, or a good one.
	Optional bool

	config       *config.Rule
	organization organizationSource
	issuers      []bool // by Issuer.place; nil: all
	scopeError   *ScopeError
	claims       []claimRule
}

type claimRule struct {
	slot int // in the claim table
	in   []string
}

func newRule(index int, c *config.Rule, fallback config.Organization, issuers []*Issuer, known *claimTable) *Rule {
	organization := c.Organization
	if organization.IsZero() {
		organization = fallback
	}
	r := &Rule{
		Name: c.Name, Index: index, Public: c.Public, Optional: c.Optional,
		config: c, organization: newOrganizationSource(organization), scopeError: newScopeError(c.Scopes),
	}
	if r.Name == "" && index >= 0 {
		r.Name = "rule-" + strconv.Itoa(index)
	}
	for _, claim := range c.Claims {
		r.claims = append(r.claims, claimRule{slot: known.slot(claim.Claim), in: claim.In})
	}
	if len(c.Issuers) > 0 {
		r.issuers = make([]bool, len(issuers))
		for _, i := range issuers {
			r.issuers[i.place] = slices.Contains(c.Issuers, i.Name)
		}
	}
	return r
}

// allows reports whether the issuer's tokens may be used here.
func (r *Rule) allows(i *Issuer) bool { return r.issuers == nil || r.issuers[i.place] }

// Audiences returns the audiences of which the issuer's token must name one:
// the rule's, or the issuer's where the rule names none. There may be none:
// the audience is not checked.
func (r *Rule) Audiences(i *Issuer) []string {
	if len(r.config.Audiences) > 0 {
		return r.config.Audiences
	}
	return i.Config.Audiences
}
