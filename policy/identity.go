package policy

import (
	"errors"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"orgate/config"
	"orgate/jwt"
)

// Identity is who a token speaks for, to one issuer. It depends on the token
// and the issuer alone, so it may be kept for as long as the token is good. Its
// texts are parts of the claims' document, not copies: one object to keep, and
// for the garbage collector to look at, in place of a dozen. It must not be
// changed.
type Identity struct {
	// Organization is the organization that the token proves, "" if it proves
	// none: Authorize refuses it then.
	Organization string
	// Username is never empty in an identity that Authorize lets pass.
	Username string
	// ConsumerKey is the client that the token was issued to, "" if it does
	// not say.
	ConsumerKey string
	// Scopes are the token's scopes.
	Scopes []string
	// Roles are the local roles.
	Roles []string
	// Headers are the identity headers, name (in lower case) and value. No
	// name occurs twice and no value is empty.
	Headers [][2]string

	issuer *Issuer
	// Whether the token itself says its organization.
	claimed bool
	// What the issuer's demands refuse, whatever the rule: an ErrMissingClaim
	// and an ErrOrganization.
	missing, disorganized error
	claims                []claimValues
}

// claimValues are the values of a claim that rules ask for.
type claimValues struct {
	slot  int // in the claim table
	texts []string
}

// claimTable numbers the claims that rules ask for.
type claimTable struct {
	names []config.ClaimName
	slots map[string]int
}

func newClaimTable(rules []config.Rule) *claimTable {
	t := &claimTable{slots: map[string]int{}}
	for _, r := range rules {
		for _, c := range r.Claims {
			if key := claimKey(c.Claim); !t.has(key) {
				t.slots[key] = len(t.names)
				t.names = append(t.names, c.Claim)
			}
		}
	}
	return t
}

func (t *claimTable) has(key string) bool { _, ok := t.slots[key]; return ok }

func (t *claimTable) slot(name config.ClaimName) int { return t.slots[claimKey(name)] }

func claimKey(name config.ClaimName) string {
	return name.Name + "\x00" + strings.Join(name.Path, "\x00")
}

// Identify reads who the token speaks for. The error is an [ErrClaim]: a claim
// is of the wrong type, or holds what no header can carry. What is refused for
// another reason than the token's form, such as a required claim that is absent
// or an organization without an entry in the mapping, is found here as well and
// told by [Rule.Authorize].
func (i *Issuer) Identify(claims jwt.Claims) (*Identity, error) {
	id := &Identity{issuer: i}
	c := i.Config
	var err error
	if id.Username, err = stringClaim(claims, "username", c.UsernameClaim); id.refuses(err) {
		return nil, err
	}
	if err := i.organization(id, claims); err != nil {
		return nil, err
	}
	for _, name := range c.RequiredClaims {
		if v, ok := claims.Lookup(name.Name, name.Path...); !ok || v.Type == gjson.Null {
			id.refuses(&ClaimError{Use: "required", Claim: name, Problem: missing})
		}
	}
	if id.ConsumerKey, err = i.consumerKey(claims); err != nil {
		return nil, err
	}
	if id.Scopes, err = i.scopes(claims); err != nil {
		return nil, err
	}
	if id.Roles, err = i.localRoles(claims); err != nil {
		return nil, err
	}
	if err := i.writeHeaders(id, claims); err != nil {
		return nil, err
	}
	for slot, name := range i.known.names {
		if v, ok := claims.Lookup(name.Name, name.Path...); ok {
			if texts := texts(v); len(texts) > 0 {
				id.claims = append(id.claims, claimValues{slot, texts})
			}
		}
	}
	return id, nil
}

// refuses reports whether err refuses the token here and now. A missing claim
// is noted for Authorize.
func (id *Identity) refuses(err error) bool {
	if isMissing(err) {
		if id.missing == nil {
			id.missing = err
		}
		return false
	}
	return err != nil
}

const (
	errNotBound  = disorganized("the token is of another organization than its issuer")
	errUndecided = disorganized("the token could be of several")
	errOther     = disorganized("the token is of another")
)

// organization finds the organization that the token proves. The error is an
// ErrClaim.
func (i *Issuer) organization(id *Identity, claims jwt.Claims) error {
	if i.source == nil {
		i.vouch(id)
		return nil
	}
	c := i.source.read(claims)
	switch {
	case c.absent && i.mayVouch():
		i.vouch(id)
	case c.absent:
		id.refuses(c.err)
	case errors.Is(c.err, ErrOrganization):
		id.disorganized = c.err
	case c.err != nil:
		return c.err
	case i.Config.Organization != config.Any && i.Config.Organization != c.organization:
		id.disorganized = errNotBound
	default:
		id.Organization, id.claimed = c.organization, true
	}
	return nil
}

// vouch makes the token one of the issuer's own organization.
func (i *Issuer) vouch(id *Identity) {
	if !i.mayVouch() || !i.vouches || i.several && !i.Config.SharedAcrossOrganizations {
		id.disorganized = errUndecided
		return
	}
	id.Organization = i.Config.Organization
}

// clientID is the claim that stands for the consumer key where the configured
// one is absent (RFC 8693 §4.3).
var clientID = config.ClaimName{Name: "client_id"}

func (i *Issuer) consumerKey(claims jwt.Claims) (string, error) {
	for _, name := range []config.ClaimName{i.Config.ConsumerKeyClaim, clientID} {
		v, ok := claims.Lookup(name.Name, name.Path...)
		switch {
		case !ok, v.Type == gjson.Null, v.Type == gjson.String && v.Str == "":
			continue
		}
		return stringClaim(claims, "consumer key", name)
	}
	return "", nil
}

func (i *Issuer) scopes(claims jwt.Claims) ([]string, error) {
	const use = "scopes"
	scopes, err := listClaim(claims, use, i.Config.ScopesClaim, true)
	if err != nil {
		return nil, err
	}
	return scopes, checkElements(use, i.Config.ScopesClaim, scopes, ' ')
}

func (i *Issuer) localRoles(claims jwt.Claims) ([]string, error) {
	if i.Config.RolesClaim.IsZero() {
		return nil, nil
	}
	const use = "roles"
	remote, err := listClaim(claims, use, i.Config.RolesClaim, false)
	if err != nil {
		return nil, err
	}
	var roles []string
	seen := map[string]bool{}
	add := func(role string) {
		if role != "" && !seen[role] {
			seen[role] = true
			roles = append(roles, role)
		}
	}
	for _, role := range remote {
		local, mapped := i.roles[role]
		for _, l := range local {
			add(l)
		}
		if !mapped && (len(i.roles) == 0 || !i.Config.ExcludeUnmappedRoles) {
			add(role)
		}
	}
	return roles, checkElements(use, i.Config.RolesClaim, roles, ',')
}

// Authorize decides whether the caller may do what the rule is for. A nil error
// is the only permission.
//
// The error is, in this order, an [ErrMissingClaim], [ErrOrganization],
// [ErrScope] (a [ScopeError]), [ErrRole], [ErrConsumerKey] or [ErrClaimRule]:
// see [ByRule]. It costs no allocation.
func (r *Rule) Authorize(required string, i *Issuer, id *Identity) error {
	if i == nil || id == nil || id.issuer != i {
		return errOther
	}
	switch {
	case id.missing != nil:
		return id.missing
	case id.disorganized != nil:
		return id.disorganized
	case required == "":
		return errNoOrganization
	case id.Organization == "" || id.Organization == config.Any:
		return errUndecided
	case required == config.Any && i.several && !id.claimed:
		return errUndecided
	case required != config.Any && required != id.Organization:
		return errOther
	case !satisfies(id.Scopes, r.config.Scopes):
		return r.scopeError
	case !satisfies(id.Roles, r.config.Roles):
		return ErrRole
	case len(r.config.ConsumerKeys) > 0 && (id.ConsumerKey == "" || !slices.Contains(r.config.ConsumerKeys, id.ConsumerKey)):
		return ErrConsumerKey
	}
	for _, c := range r.claims {
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

func newScopeError(s config.AnyOrAll) *ScopeError {
	if len(s.Values) == 0 {
		return nil
	}
	return &ScopeError{Scopes: s.Values, All: s.All, Challenge: strings.Join(s.Values, " ")}
}
