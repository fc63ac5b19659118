// Package policy decides which rule a request matches, which organization the rule
// requires, who issued the token, who calls, and whether the caller may.
//
// [New] prepares everything once, from a configuration that [config.Parse] has
// returned. Names are in lower case, paths and hosts are clean, and headers do not
// collide. Nothing of that is checked again.
//
// A [Policy] is never changed afterwards and may be used by several goroutines at
// once. Its decisions are pure. The package knows nothing of proxies, keys,
// signatures, time or caches, and reads only the claims of a token. The caller
// verifies the token between [Proof.Issuer] and [Issuer.Identify].
//
// # The way of a request
//
//	rule, err := p.Route(request)                       // ErrAmbiguousPath, ErrAmbiguousHost, ErrNoRule
//	required, err := rule.RequiredOrganization(request) // ErrOrganization
//	proof, err := p.Proof(claims)                       // ErrUnknownIssuer
//	issuer, err := proof.Issuer(rule, required)         // ErrUnknownIssuer
//	// … the token is verified with the issuer's keys …
//	identity, err := issuer.Identify(claims)            // ErrClaim
//	err = rule.Authorize(required, issuer, identity)    // see [ByRule]
//
// A [Proof] depends on the token alone and an [Identity] on the token and the
// issuer. Both may be cached with a verified token, so a cached token costs neither
// JSON nor allocation. The issuer depends on the rule and the required
// organization, too: ask the Proof for it each time.
//
// # Organizations
//
// A token's organization is the value of the issuer's organization claim,
// through the organization mapping if there is one. If the issuer names no claim,
// or takes a token without it, it is the issuer's organization. If the claim names
// another organization than the issuer is bound to, the token proves none, and
// every rule refuses it. "*" in the configuration stands for any organization that
// the token proves. "*" in a token, a host, a path or a route's metadata is no
// organization.
//
// A token proves one organization to all issuers with its "iss", or none: see
// [Proof].
//
// # Matching
//
// A request that matches no rule is refused, if there is any rule at all.
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
// If any rule looks at paths (by a path in a match or an organization taken from
// the path), a path that [httptext.Paths.Clean] finds ambiguous is refused,
// whichever rule it would match. The exception is OPTIONS *, which rules without a
// path match. The same goes for hosts and [httptext.CleanHost].
//
// # Headers
//
// Identity headers carry strings as they are, numbers with the token's digits,
// booleans as true and false, arrays of those joined with ",", objects and
// other arrays as compact JSON; scopes are joined with spaces (RFC 6749 §3.3),
// roles with ",". Null, missing and empty values, alone or in an array, give
// nothing. No header is written twice.
//
// A header is left out if the upstream would read another value: one that begins or
// ends with a space (which HTTP cuts off), a joined element with a "," in it, a
// scope with a space in it, a role that is an object. Lists in JSON hold any
// element. Rules see the values as the token has them. The token is refused with
// [ErrClaim] if no header can carry its username or organization, or if a header
// would hold a control character.
package policy

import (
	"orgate/config"
	"orgate/internal/httptext"
)

// Policy is a configuration, prepared for deciding.
type Policy struct {
	rules []*Rule
	index *index
	// Whether rules look at paths and hosts, and how paths are read.
	paths, hosts bool
	grammar      httptext.Paths

	providers []*Provider
	groups    map[string]*Provider // by "iss", of those whose tokens may be JWTs
	tenants   []tenants            // likewise
	patterns  []handled            // by whom, what matches
	headers   headerSet
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

// What OPTIONS asks for if it asks for no path (RFC 9112 §3.2.4).
const (
	asteriskPath  = "*"
	optionsMethod = "OPTIONS"
)

// New prepares a configuration that [config.Parse] has returned: all that it
// promises is taken for granted.
func New(c *config.Config) *Policy {
	p := &Policy{index: newIndex(), grammar: c.Paths.Grammar(), groups: make(map[string]*Provider, len(c.Issuers)),
		headers: newHeaderSet(c)}
	known := newClaimTable(c.Rules)
	places := p.addIssuers(c, known)
	for i := range c.Rules {
		p.addRule(newRule(i, &c.Rules[i], c.Organization, places, known))
	}
	if len(c.Rules) == 0 {
		p.addRule(newRule(-1, &config.Rule{ForwardToken: &c.ForwardToken}, c.Organization, places, known))
	}
	return p
}

// addRule adds a rule behind the others, and notes what it looks at.
func (p *Policy) addRule(r *Rule) {
	m := &r.config.Match
	p.index.add(len(p.rules), m)
	p.rules = append(p.rules, r)
	p.hosts = p.hosts || len(m.Hosts) > 0 || r.organization.kind == fromHost
	p.paths = p.paths || m.Path != "" || m.PathPrefix != "" || m.PathTemplate != "" || r.organization.kind == fromPath
}

// Route returns the first rule that matches the request. If the configuration
// has no rules it is one without a name, which asks every request for a token of
// the top level's organization. The error is [ErrAmbiguousPath], [ErrAmbiguousHost],
// or [ErrNoRule] if there are rules and none of them matches.
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
	i := p.index.find(r.host, r.path, r.Method)
	if i == none {
		return nil, ErrNoRule
	}
	return p.rules[i], nil
}

// Rule is what a part of the API asks for.
type Rule struct {
	// Name is the rule's name, "" if the configuration has no rules.
	Name string
	// Index is the rule's place in the configuration, -1 if it has no rules.
	Index int
	// Public rules ask for no token.
	Public bool
	// Optional rules ask for no token, or a good one.
	Optional bool
	// ForwardToken passes the token on to the upstream.
	ForwardToken bool

	config       *config.Rule
	organization organizationSource
	own          demands
	alternatives []demands // one of which must hold, if there are any
	apart        bool      // alternatives name audiences
	audience     int       // if so: the place of "aud" in the claim table
}

// newRule prepares a rule.
func newRule(index int, entry *config.Rule, fallback config.Organization, places map[string]int,
	known *claimTable) *Rule {
	organization := entry.Organization
	if organization.IsZero() {
		organization = fallback
	}
	own := entry.Own()
	r := &Rule{
		Name: entry.Name, Index: index, Public: entry.Public, Optional: entry.Optional,
		ForwardToken: *entry.ForwardToken,
		config:       entry, organization: newOrganizationSource(organization), own: newDemands(&own, places, known),
	}
	for n := range entry.AnyOf {
		r.alternatives = append(r.alternatives, newDemands(&entry.AnyOf[n], places, known))
		r.apart = r.apart || len(entry.AnyOf[n].Audiences) > 0
	}
	if r.apart {
		r.audience = known.slot(audience)
	}
	return r
}
