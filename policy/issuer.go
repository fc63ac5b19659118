package policy

import (
	"iter"
	"maps"
	"strings"

	"orgate/config"
	"orgate/internal/pattern"
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

	group *Provider
	claim *organizationClaim // nil if there is none
	// Whether a token without the claim is of the issuer's own organization.
	unclaimed bool

	headers *config.Headers
	known   *claimTable
	roles   map[string][]string // local roles by remote role
}

// organizationClaim is a claim that says an organization. Issuers with the same
// "iss" mostly share one.
type organizationClaim struct {
	index int // in its group
	name  config.ClaimName
	// mapped is what the mappings of all these issuers make of a value: package
	// config makes sure that they agree.
	mapped map[string]string
}

// Provider is the issuers with the same "iss".
type Provider struct {
	// Index is the provider's place among [Policy.Providers].
	Index int
	// Config is the first of its issuers: all handle tokens alike.
	Config *config.Issuer

	pattern        *pattern.Pattern // nil if tokens are told by their "iss"
	issuers        []*Issuer
	byOrganization map[string]*Issuer // config.Any among them; nil for a few: see of
	claims         []*organizationClaim
	unclaimed      []*Issuer
	sole           *Proof // if there is one issuer: nothing depends on the claims
}

// addIssuers adds the issuers, and returns the place of each by its name.
func (p *Policy) addIssuers(c *config.Config, known *claimTable) map[string]int {
	places := make(map[string]int, len(c.Issuers))
	groups := make(map[string]*Provider, len(c.Issuers))
	for n := range c.Issuers {
		entry := &c.Issuers[n]
		places[entry.Name] = n
		g := groups[entry.Issuer]
		if g == nil {
			g = p.addProvider(entry)
			groups[entry.Issuer] = g
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
	for _, g := range groups {
		if len(g.issuers) == 1 {
			g.sole = &Proof{group: g}
		}
	}
	return places
}

func (g *Provider) add(i *Issuer) {
	g.issuers = append(g.issuers, i)
	if len(g.issuers) > few && g.byOrganization == nil {
		g.byOrganization = map[string]*Issuer{}
		for _, i := range g.issuers {
			g.byOrganization[i.Config.Organization] = i
		}
	} else if g.byOrganization != nil {
		g.byOrganization[i.Config.Organization] = i
	}
	if name := i.Config.OrganizationClaim; !name.IsZero() {
		i.claim = g.claim(name)
		if i.claim.mapped == nil && len(i.Config.OrganizationMapping) > 0 {
			i.claim.mapped = map[string]string{}
		}
		maps.Copy(i.claim.mapped, i.Config.OrganizationMapping)
	}
	if i.claim == nil || i.Config.MissingOrganization == "issuer" {
		i.unclaimed = true
		g.unclaimed = append(g.unclaimed, i)
	}
}

// few is how many issuers are looked through quicker than looked up. A map takes
// as much memory as an issuer.
const few = 4

// of returns the issuer that is bound to an organization, or nil.
func (g *Provider) of(organization string) *Issuer {
	if g.byOrganization != nil {
		return g.byOrganization[organization]
	}
	for _, i := range g.issuers {
		if i.Config.Organization == organization {
			return i
		}
	}
	return nil
}

func (g *Provider) claim(name config.ClaimName) *organizationClaim {
	for _, c := range g.claims {
		if c.name.Key() == name.Key() {
			return c
		}
	}
	c := &organizationClaim{index: len(g.claims), name: name}
	g.claims = append(g.claims, c)
	return c
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
	group  *Provider
	claims []claimed // by organizationClaim.index; none if there is one issuer alone

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
	iss := claims.Issuer()
	g := p.group(claims)
	switch {
	case g == nil && (p.groups[strings.TrimSuffix(iss, "/")] != nil || p.groups[iss+"/"] != nil):
		return nil, errSlash
	case g == nil:
		return nil, ErrUnknownIssuer
	}
	return g.Proof(claims), nil
}

func (g *Provider) proof(claims jwt.Claims) Proof {
	t := Proof{group: g, claims: make([]claimed, len(g.claims)), shared: true}
	for n, c := range g.claims {
		t.claims[n] = c.read(claims)
	}
	for i, organization := range t.proven() {
		t.byClaim = one(t.byClaim, organization)
		t.shared = t.shared && i.Config.SharedAcrossOrganizations
	}
	// Issuers that prove their own are shared, unless there is only one of them:
	// package config makes sure of that.
	organization := t.byClaim
	for _, i := range g.unclaimed {
		if t.silent(i) && t.provesOwn(i) {
			organization = one(organization, i.Config.Organization)
		}
	}
	if organization == config.Any {
		t.several, t.conflict = true, !t.shared
	} else {
		t.organization = organization
	}
	return t
}

// proven goes through the issuers to whose claims the token proves an
// organization. What it costs does not grow with the number of issuers.
func (t *Proof) proven() iter.Seq2[*Issuer, string] {
	return func(yield func(*Issuer, string) bool) {
		for n, claim := range t.group.claims {
			value := t.claims[n].value
			for _, organization := range [...]string{value, claim.mapped[value]} {
				for _, key := range [...]string{organization, config.Any} {
					i := t.group.of(key)
					if i != nil && i.claim == claim && t.proves(i, organization) && !yield(i, organization) {
						return
					}
				}
			}
		}
	}
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
	for i := range t.proven() {
		if r.allows(i) {
			return i, nil
		}
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
	if i := t.group.of(organization); i != nil && r.allows(i) {
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
		c := t.claims[i.claim.index]
		if c.err != nil {
			return "", c.err
		}
		organization, ok := c.value, true
		if i.Config.OrganizationMapping != nil {
			organization, ok = i.Config.OrganizationMapping[c.value]
		}
		switch {
		case !ok:
			return "", errNotMapped
		case i.Config.Organization != config.Any && i.Config.Organization != organization:
			return "", errNotBound
		}
		return organization, nil
	}
	switch {
	case !i.unclaimed:
		return "", t.claims[i.claim.index].err
	case !t.provesOwn(i):
		return "", errOther
	}
	return i.Config.Organization, nil
}

// silent reports whether the token says nothing of its organization to the
// issuer.
func (t *Proof) silent(i *Issuer) bool {
	return i.claim == nil || t.claims[i.claim.index].absent
}

// provesOwn reports whether a token that says nothing to an issuer that lets
// that pass is of the issuer's own organization.
func (t *Proof) provesOwn(i *Issuer) bool {
	return t.byClaim == "" || t.byClaim == i.Config.Organization ||
		t.shared && i.Config.SharedAcrossOrganizations
}

// claimed is what a claim says of the token's organization.
type claimed struct {
	value  string
	absent bool
	err    error // an ErrClaim, or an ErrOrganization
}

func (c *organizationClaim) read(claims jwt.Claims) claimed {
	value, problem := "", missing
	if v, ok := lookup(claims, c.name); ok {
		value, problem = organizationIn(v)
	}
	switch {
	case problem != "":
		err := &ClaimError{Use: "organization", Claim: c.name, Problem: problem}
		return claimed{err: err, absent: problem == missing}
	case value == config.Any:
		return claimed{err: errAsterisk}
	}
	return claimed{value: value}
}
