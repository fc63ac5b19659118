package policy

import (
	"maps"
	"slices"

	"orgate/config"
	"orgate/jwt"
)

// Issuer is a configured issuer.
type Issuer struct {
	// Name is the issuer's name.
	Name string
	// Index is the issuer's place in the configuration.
	Index int
	// Config is the issuer's configuration.
	Config *config.Issuer

	place   int     // among the issuers in use
	source  *source // nil if there is no organization claim
	several bool    // a token without a claim could be of several organizations
	// Where no single organization is proven: an issuer like this one that
	// does not vouch for its own.
	undecided *Issuer
	vouches   bool

	headers headerNames
	known   *claimTable
	roles   map[string][]string // local roles by remote role
}

// source is how an organization is found in a token: a claim and a mapping.
// Entries for the same "iss" mostly share one.
type source struct {
	index   int // in its group
	claim   config.ClaimName
	mapping map[string]string
}

// group is the issuers with the same "iss".
type group struct {
	issuers        []*Issuer
	byOrganization map[string]*Issuer // config.Any among them
	sources        []*source
	unclaimed      []*Issuer // those that may vouch for a token themselves
	sole           *Proof    // where there is one issuer: nothing depends on the claims
}

// addIssuers adds the issuers that are in use in the environment.
func (p *Policy) addIssuers(c *config.Config, known *claimTable) []*Issuer {
	var issuers []*Issuer
	for n := range c.Issuers {
		entry := &c.Issuers[n]
		if !inEnvironment(entry, c.Environment) || entry.Issuer == "" {
			continue
		}
		g := p.groups[entry.Issuer]
		if g == nil {
			g = &group{byOrganization: map[string]*Issuer{}}
			p.groups[entry.Issuer] = g
		}
		i := newIssuer(n, len(issuers), entry, c, known)
		g.add(i)
		issuers = append(issuers, i)
	}
	for _, g := range p.groups {
		g.finish()
	}
	return issuers
}

func inEnvironment(i *config.Issuer, environment string) bool {
	return environment == "" || slices.Contains(i.Environments, environment) || slices.Contains(i.Environments, config.Any)
}

func newIssuer(index, place int, entry *config.Issuer, c *config.Config, known *claimTable) *Issuer {
	i := &Issuer{
		Name: entry.Name, Index: index, Config: entry, place: place, vouches: true,
		headers: newHeaderNames(c, entry), known: known,
	}
	if len(entry.RoleMappings) > 0 {
		i.roles = map[string][]string{}
		for _, m := range entry.RoleMappings {
			i.roles[m.RemoteRole] = append(i.roles[m.RemoteRole], m.LocalRole)
		}
	}
	return i
}

func (g *group) add(i *Issuer) {
	g.issuers = append(g.issuers, i)
	if g.byOrganization[i.Config.Organization] == nil {
		g.byOrganization[i.Config.Organization] = i
	}
	if !i.Config.OrganizationClaim.IsZero() {
		i.source = g.source(i.Config.OrganizationClaim, i.Config.OrganizationMapping)
	}
	if i.mayVouch() {
		g.unclaimed = append(g.unclaimed, i)
	}
}

func (g *group) source(claim config.ClaimName, mapping map[string]string) *source {
	for _, s := range g.sources {
		if s.claim.Name == claim.Name && slices.Equal(s.claim.Path, claim.Path) && maps.Equal(s.mapping, mapping) {
			return s
		}
	}
	s := &source{index: len(g.sources), claim: claim, mapping: mapping}
	g.sources = append(g.sources, s)
	return s
}

// mayVouch reports whether the issuer takes tokens without a claim for its own
// organization's.
func (i *Issuer) mayVouch() bool {
	return i.Config.Organization != config.Any && (i.source == nil || i.Config.MissingOrganization == "issuer")
}

// finish finds the issuers whose tokens could be of several organizations: all
// of the same "iss", with no claim to tell them apart.
func (g *group) finish() {
	for _, i := range g.issuers {
		i.several = i.mayVouch() && slices.ContainsFunc(g.issuers, func(other *Issuer) bool {
			return other.Config.Organization != i.Config.Organization && (i.source == nil || other.mayVouch())
		})
		undecided := *i
		undecided.vouches = false
		i.undecided = &undecided
	}
	if len(g.issuers) == 1 {
		g.sole = &Proof{group: g}
	}
}

// Proof is what a token's claims say about its organization, to all the issuers
// with its "iss". It depends on the token alone. It is worth something once the
// token has been verified with the keys of the issuer that it names.
type Proof struct {
	group  *group
	claims []claimed // by source.index; none where there is one issuer alone
}

// Proof reads the organization out of the claims. The error is
// [ErrUnknownIssuer] where no issuer has the token's "iss".
func (p *Policy) Proof(claims jwt.Claims) (*Proof, error) {
	g := p.groups[claims.Issuer()]
	switch {
	case g == nil:
		return nil, ErrUnknownIssuer
	case g.sole != nil:
		return g.sole, nil
	}
	proof := &Proof{group: g, claims: make([]claimed, len(g.sources))}
	for n, s := range g.sources {
		proof.claims[n] = s.read(claims)
	}
	return proof, nil
}

// Issuer returns the issuer that the token is judged by. See [Proof.Issuer].
func (p *Policy) Issuer(r *Rule, required string, claims jwt.Claims) (*Issuer, error) {
	proof, err := p.Proof(claims)
	if err != nil {
		return nil, err
	}
	return proof.Issuer(r, required)
}

// Issuer returns the issuer that the token is judged by where a rule requires
// an organization. Of several with the same "iss" it is the one by which the
// token proves that organization, one bound to it before one for any ("*").
// Where none is it is the one by which the token proves another, so that the
// token is verified before it is refused for its organization: the one bound
// to what the token claims, then one for any, then one that vouches for tokens
// without a claim, then the first.
//
// The error is [ErrUnknownIssuer] where the rule lists issuers and none of them
// has the token's "iss".
func (t *Proof) Issuer(r *Rule, required string) (*Issuer, error) {
	if t.group.sole != nil {
		if i := t.group.issuers[0]; r.allows(i) {
			return i, nil
		}
		return nil, ErrUnknownIssuer
	}
	bound, free := t.entry(r, required), t.entry(r, config.Any)
	if required != config.Any {
		if bound != nil && t.proves(bound, required) {
			return bound, nil
		}
		if free != nil && t.proves(free, required) {
			return free, nil
		}
	}
	for n, c := range t.claims {
		if !c.proven() {
			continue
		}
		if i := t.entry(r, c.organization); i != nil && i.source == t.group.sources[n] {
			return i, nil
		}
	}
	if free != nil && free.source != nil && t.claims[free.source.index].proven() {
		return free, nil
	}
	for _, i := range t.group.unclaimed {
		switch {
		case !r.allows(i) || !t.silent(i):
		case i.several || t.elsewhere(i):
			return i.undecided, nil
		default:
			return i, nil
		}
	}
	for _, i := range [...]*Issuer{bound, free} {
		if i != nil {
			return i, nil
		}
	}
	for _, i := range t.group.issuers {
		if r.allows(i) {
			return i, nil
		}
	}
	return nil, ErrUnknownIssuer
}

// entry returns the issuer bound to the organization if the rule allows it.
func (t *Proof) entry(r *Rule, organization string) *Issuer {
	if i := t.group.byOrganization[organization]; i != nil && r.allows(i) {
		return i
	}
	return nil
}

// proves reports whether the token proves the organization by the issuer.
func (t *Proof) proves(i *Issuer, organization string) bool {
	if t.silent(i) {
		return i.mayVouch() && i.Config.Organization == organization &&
			(i.Config.SharedAcrossOrganizations || !i.several && !t.elsewhere(i))
	}
	c := t.claims[i.source.index]
	return c.proven() && c.organization == organization &&
		(i.Config.Organization == organization || i.Config.Organization == config.Any)
}

// silent reports whether the token has nothing to say to the issuer about its
// organization.
func (t *Proof) silent(i *Issuer) bool {
	return i.source == nil || t.claims[i.source.index].absent
}

// elsewhere reports whether the token proves by its claims, to another issuer,
// another organization than the issuer's own.
func (t *Proof) elsewhere(i *Issuer) bool {
	for n, c := range t.claims {
		if !c.proven() || c.organization == i.Config.Organization {
			continue
		}
		for _, key := range [...]string{c.organization, config.Any} {
			if other := t.group.byOrganization[key]; other != nil && other.source == t.group.sources[n] {
				return true
			}
		}
	}
	return false
}

// claimed is what a token says about its organization. It proves it if it is
// neither absent nor wrong.
type claimed struct {
	organization string
	absent       bool
	err          error // an ErrClaim, or an ErrOrganization
}

func (c claimed) proven() bool { return !c.absent && c.err == nil && c.organization != "" }

// read finds the organization in a token.
func (s *source) read(claims jwt.Claims) claimed {
	value, err := stringClaim(claims, "organization", s.claim)
	if err != nil {
		return claimed{err: err, absent: isMissing(err)}
	}
	if value == config.Any {
		return claimed{err: disorganized("the claim names none")}
	}
	if s.mapping == nil {
		return claimed{organization: value}
	}
	organization := s.mapping[value]
	if organization == "" || organization == config.Any {
		return claimed{err: disorganized("the mapping has no entry for the claim")}
	}
	return claimed{organization: organization}
}
