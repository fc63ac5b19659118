package policy

import (
	"maps"

	"orgate/config"
	"orgate/jwt"
)

// Issuer is a configured issuer.
type Issuer struct {
	// Name is the issuer's name.
	Name string
	// Index is the issuer's place among the configuration's issuers.
	Index int
	// Config is the issuer's configuration.
	Config *config.Issuer

	group  *group
	source *source // nil if there is no organization claim
	// Whether a token without the claim is of the issuer's own organization.
	unclaimed bool

	headers *config.Headers
	known   *claimTable
	roles   map[string][]string // local roles by remote role
}

// source is how an organization is found in a token: a claim and a mapping.
// Issuers with the same "iss" mostly share one.
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
	unclaimed      []*Issuer
	sole           *Proof // if there is one issuer: nothing depends on the claims
}

// addIssuers adds the issuers, and returns the place of each by its name.
func (p *Policy) addIssuers(c *config.Config, known *claimTable) map[string]int {
	places := make(map[string]int, len(c.Issuers))
	for n := range c.Issuers {
		entry := &c.Issuers[n]
		places[entry.Name] = n
		g := p.groups[entry.Issuer]
		if g == nil {
			g = &group{byOrganization: map[string]*Issuer{}}
			p.groups[entry.Issuer] = g
		}
		i := &Issuer{Name: entry.Name, Index: n, Config: entry, group: g, headers: &c.Headers, known: known}
		if len(entry.RoleMappings) > 0 {
			i.roles = map[string][]string{}
			for _, m := range entry.RoleMappings {
				i.roles[m.RemoteRole] = append(i.roles[m.RemoteRole], m.LocalRole)
			}
		}
		g.add(i)
	}
	for _, g := range p.groups {
		if len(g.issuers) == 1 {
			g.sole = &Proof{group: g}
		}
	}
	return places
}

func (g *group) add(i *Issuer) {
	g.issuers = append(g.issuers, i)
	g.byOrganization[i.Config.Organization] = i
	if !i.Config.OrganizationClaim.IsZero() {
		i.source = g.source(i.Config.OrganizationClaim, i.Config.OrganizationMapping)
	}
	if i.source == nil || i.Config.MissingOrganization == "issuer" {
		i.unclaimed = true
		g.unclaimed = append(g.unclaimed, i)
	}
}

func (g *group) source(claim config.ClaimName, mapping map[string]string) *source {
	for _, s := range g.sources {
		if s.claim.Key() == claim.Key() && maps.Equal(s.mapping, mapping) {
			return s
		}
	}
	s := &source{index: len(g.sources), claim: claim, mapping: mapping}
	g.sources = append(g.sources, s)
	return s
}

// Proof is what a token's claims say about its organization, to all the issuers
// with its "iss". It depends on the token alone. It is worth something once the
// token has been verified with the keys of the issuer that it names.
//
// An issuer proves an organization by its claim, or, if the token has no such
// claim and the issuer lets that pass, its own. What an issuer takes a token
// without its claim for is worth nothing if another one's claim proves another
// organization, unless both are shared across organizations.
type Proof struct {
	group  *group
	claims []claimed // by source.index; none if there is one issuer alone

	// byClaim is the organization that claims prove, "" if none does, "*" if
	// they prove several. shared tells that all issuers of these claims are shared.
	byClaim string
	shared  bool
	// organization is the only one that the token proves, "" if there is none.
	organization string
	// several tells that it proves several. They are none unless all issuers by
	// which it does are shared: there is a conflict.
	several, conflict bool
}

// Proof reads the organization out of the claims. The error is
// [ErrUnknownIssuer] if no issuer has the token's "iss".
func (p *Policy) Proof(claims jwt.Claims) (*Proof, error) {
	g := p.groups[claims.Issuer()]
	switch {
	case g == nil:
		return nil, ErrUnknownIssuer
	case g.sole != nil:
		return g.sole, nil
	}
	t := g.proof(claims)
	return &t, nil
}

func (g *group) proof(claims jwt.Claims) Proof {
	t := Proof{group: g, claims: make([]claimed, len(g.sources)), shared: true}
	for n, s := range g.sources {
		c := s.read(claims)
		t.claims[n] = c
		if !c.proven() {
			continue
		}
		for _, i := range [...]*Issuer{g.byOrganization[c.organization], g.byOrganization[config.Any]} {
			if i != nil && i.source == s {
				t.byClaim = one(t.byClaim, c.organization)
				t.shared = t.shared && i.Config.SharedAcrossOrganizations
			}
		}
	}
	organization, shared := t.byClaim, t.shared
	for _, i := range g.unclaimed {
		if t.silent(i) && t.provesOwn(i) {
			organization = one(organization, i.Config.Organization)
			shared = shared && i.Config.SharedAcrossOrganizations
		}
	}
	if organization == config.Any {
		t.several, t.conflict = true, !shared
	} else {
		t.organization = organization
	}
	return t
}

// one returns what two organizations are together, of which the first may be
// none: the one that they are, or "*".
func one(a, b string) string {
	if a == "" || a == b {
		return b
	}
	return config.Any
}

// Issuer returns the issuer that the token is judged by if a rule requires
// an organization. Of several with the same "iss" it is the one by which the
// token proves that organization, one bound to it before one for any ("*").
// If there is none it is the one by which the token proves another, so that the
// token is verified before it is refused for its organization: the one bound
// to what the token claims, then one for any, then one that takes tokens without
// a claim, then the first.
//
// The error is [ErrUnknownIssuer] if the rule lists issuers and none of them
// has the token's "iss".
func (t *Proof) Issuer(r *Rule, required string) (*Issuer, error) {
	if t.group.sole != nil {
		if i := t.group.issuers[0]; r.allows(i) {
			return i, nil
		}
		return nil, ErrUnknownIssuer
	}
	wanted := required
	if required == config.Any {
		wanted = t.organization
	}
	bound, free := t.entry(r, wanted), t.entry(r, config.Any)
	for _, i := range [...]*Issuer{bound, free} {
		if i != nil && t.proves(i, wanted) {
			return i, nil
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
		if r.allows(i) && t.silent(i) {
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

// proves reports whether the token proves the organization by the issuer, were
// it the only one.
func (t *Proof) proves(i *Issuer, organization string) bool {
	proven, err := t.by(i)
	return err == nil && proven == organization
}

// organizationBy returns the organization that the token proves by an issuer. The
// error is an ErrClaim or an ErrOrganization.
func (t *Proof) organizationBy(i *Issuer) (string, error) {
	organization, err := t.by(i)
	if err == nil && t.conflict {
		return "", errSeveral
	}
	return organization, err
}

func (t *Proof) by(i *Issuer) (string, error) {
	if !t.silent(i) {
		c := t.claims[i.source.index]
		switch {
		case c.err != nil:
			return "", c.err
		case i.Config.Organization != config.Any && i.Config.Organization != c.organization:
			return "", errNotBound
		}
		return c.organization, nil
	}
	switch {
	case !i.unclaimed:
		return "", t.claims[i.source.index].err
	case !t.provesOwn(i):
		return "", errOther
	}
	return i.Config.Organization, nil
}

// silent reports whether the token says nothing of its organization to the
// issuer.
func (t *Proof) silent(i *Issuer) bool {
	return i.source == nil || t.claims[i.source.index].absent
}

// provesOwn reports whether a token that says nothing to an issuer that lets
// that pass is of the issuer's own organization.
func (t *Proof) provesOwn(i *Issuer) bool {
	return t.byClaim == "" || t.byClaim == i.Config.Organization ||
		t.shared && i.Config.SharedAcrossOrganizations
}

// claimed is what a token says about its organization.
type claimed struct {
	organization string
	absent       bool
	err          error // an ErrClaim, or an ErrOrganization
}

func (c claimed) proven() bool { return c.err == nil }

// read finds the organization in a token.
func (s *source) read(claims jwt.Claims) claimed {
	value, err := stringClaim(claims, "organization", s.claim)
	if err != nil {
		return claimed{err: err, absent: isMissing(err)}
	}
	if value == config.Any {
		return claimed{err: errAsterisk}
	}
	if s.mapping == nil {
		return claimed{organization: value}
	}
	organization, ok := s.mapping[value]
	if !ok {
		return claimed{err: errNotMapped}
	}
	return claimed{organization: organization}
}
