package policy

import (
	"slices"
	"strings"

	"orgate/config"
)

// demands is what a rule asks of a token, or one of its alternatives does.
type demands struct {
	scopes, roles config.AnyOrAll
	scopeError    *ScopeError
	consumerKeys  []string
	claims        []claimRule
	issuers       []int    // each Issuer.Index; nil: all
	audiences     []string // instead of the issuer's
}

// claimRule asks for one of several values of a claim.
type claimRule struct {
	slot int // in the claim table
	in   []string
}

// audience is the claim that alternatives may look at.
var audience = config.ClaimName{Name: "aud"}

// newDemands prepares demands. The issuers' places are by name; those of other
// environments may be named.
func newDemands(d *config.Demands, places map[string]int, known *claimTable) demands {
	prepared := demands{
		scopes: d.Scopes, roles: d.Roles, consumerKeys: d.ConsumerKeys, audiences: d.Audiences,
		scopeError: newScopeError(d.Scopes),
	}
	for _, claim := range d.Claims {
		prepared.claims = append(prepared.claims, claimRule{known.slot(claim.Claim), claim.In})
	}
	if len(d.Issuers) > 0 {
		prepared.issuers = make([]int, 0, len(d.Issuers))
		for _, name := range d.Issuers {
			if place, ok := places[name]; ok {
				prepared.issuers = append(prepared.issuers, place)
			}
		}
	}
	return prepared
}

func newScopeError(s config.AnyOrAll) *ScopeError {
	if len(s.Values) == 0 {
		return nil
	}
	return &ScopeError{Scopes: s.Values, All: s.All, Challenge: strings.Join(s.Values, " ")}
}

func (d *demands) allows(issuer int) bool {
	return d.issuers == nil || slices.Contains(d.issuers, issuer)
}

// refusal says why an identity does not have what is asked for, nil if it does.
func (d *demands) refusal(id *Identity) error {
	switch {
	case !satisfies(id.Scopes, d.scopes):
		return d.scopeError
	case !satisfies(id.Roles, d.roles):
		return ErrRole
	case len(d.consumerKeys) > 0 && (id.ConsumerKey == "" || !slices.Contains(d.consumerKeys, id.ConsumerKey)):
		return ErrConsumerKey
	}
	for _, c := range d.claims {
		if !id.hasOneOf(c) {
			return ErrClaimRule
		}
	}
	return nil
}

// satisfies reports whether what a token has is what a rule asks for.
func satisfies(has []string, asks config.AnyOrAll) bool {
	if len(asks.Values) == 0 {
		return true
	}
	found := 0
	for _, v := range asks.Values {
		if slices.Contains(has, v) {
			found++
		}
	}
	return found == len(asks.Values) || !asks.All && found > 0
}

func (id *Identity) hasOneOf(c claimRule) bool {
	for _, v := range id.claims {
		if v.slot == c.slot {
			return slices.ContainsFunc(v.texts, func(text string) bool { return slices.Contains(c.in, text) })
		}
	}
	return false
}

// allows reports whether the issuer's tokens may be used here.
func (r *Rule) allows(i *Issuer) bool {
	if !r.own.allows(i.Index) {
		return false
	}
	for n := range r.alternatives {
		if r.alternatives[n].allows(i.Index) {
			return true
		}
	}
	return len(r.alternatives) == 0
}

// Audiences returns the audiences of which the issuer's token must name one: the
// rule's or, if it names none, those of its alternatives, or the issuer's. There may
// be none: the audience is not checked.
func (r *Rule) Audiences(i *Issuer) []string {
	switch {
	case len(r.own.audiences) > 0:
		return r.own.audiences
	case !r.apart:
		return i.Config.Audiences
	}
	var all []string
	for n := range r.alternatives {
		d := &r.alternatives[n]
		if !d.allows(i.Index) {
			continue
		}
		audiences := r.audiences(d, i)
		if len(audiences) == 0 {
			return nil
		}
		all = append(all, audiences...)
	}
	return all
}

// audiences are those of which an alternative asks for one, besides the rule's own.
func (r *Rule) audiences(d *demands, i *Issuer) []string {
	if len(d.audiences) > 0 || len(r.own.audiences) > 0 {
		return d.audiences
	}
	return i.Config.Audiences
}

// noAlternative says why none of the alternatives holds, nil if there are none or
// one does. It is what the first one for tokens of this issuer and audience lacks.
func (r *Rule) noAlternative(i *Issuer, id *Identity) error {
	var first error
	for n := range r.alternatives {
		d := &r.alternatives[n]
		if !d.allows(i.Index) || !r.isFor(d, i, id) {
			continue
		}
		err := d.refusal(id)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil && len(r.alternatives) > 0 {
		return ErrClaimRule
	}
	return first
}

// isFor reports whether a token is for an audience of an alternative.
func (r *Rule) isFor(d *demands, i *Issuer, id *Identity) bool {
	if !r.apart {
		return true
	}
	audiences := r.audiences(d, i)
	return len(audiences) == 0 || id.hasOneOf(claimRule{r.audience, audiences})
}
