package policy

import (
	"errors"

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
	// Username is empty in an identity that Authorize lets pass only if the issuer
	// omits a missing one.
	Username string
	// ConsumerKey is the client that the token was issued to, "" if it does
	// not say.
	ConsumerKey string
	// Scopes are the token's scopes, and Roles the local roles, as rules see
	// them: whether a header can carry them or not.
	Scopes, Roles []string
	// Headers are the identity headers, name (in lower case) and value. No
	// name occurs twice and no value is empty.
	Headers [][2]string
	// LeftOut are those that could not be written as they were meant.
	LeftOut []LeftOut

	issuer *Issuer
	// Whether the token proves other organizations as well.
	several bool
	// What the issuer's demands refuse, whatever the rule: an ErrMissingClaim
	// and an ErrOrganization.
	missing, foreign error
	claims           []claimValues
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
	add := func(name config.ClaimName) {
		if key := name.Key(); !t.has(key) {
			t.slots[key] = len(t.names)
			t.names = append(t.names, name)
		}
	}
	for i := range rules {
		for _, c := range rules[i].Claims {
			add(c.Claim)
		}
		for _, d := range rules[i].AnyOf {
			for _, c := range d.Claims {
				add(c.Claim)
			}
			if len(d.Audiences) > 0 {
				add(audience)
			}
		}
	}
	return t
}

func (t *claimTable) has(key string) bool { _, ok := t.slots[key]; return ok }

func (t *claimTable) slot(name config.ClaimName) int { return t.slots[name.Key()] }

// Identify reads who the token speaks for. The error is an [ErrClaim]: the
// username or the organization is of the wrong type, or a header would hold what
// none can carry. Some refusals have another reason than the token's form, such
// as an absent required claim, or an organization that the mapping lacks. They are
// found here as well, and [Rule.Authorize] returns them.
//
// Any other claim refuses no token that does not need it: its header is left out.
func (i *Issuer) Identify(claims jwt.Claims) (*Identity, error) {
	client := i.consumer(claims)
	id := &Identity{issuer: i, ConsumerKey: client.key}
	c := i.Config
	var err error
	if id.Username, err = i.username(claims, client); id.refuses(err) {
		return nil, err
	}
	t := i.group.proof(claims)
	id.several = t.several
	if id.Organization, err = t.organizationBy(i); id.refuses(err) {
		return nil, err
	}
	for _, name := range c.RequiredClaims {
		if _, ok := lookup(claims, name); !ok {
			id.refuses(&ClaimError{Use: "required", Claim: name, Problem: missing})
		}
	}
	scopes, roles := scopesClaim(claims, c.ScopesClaim), i.localRoles(claims)
	id.Scopes, id.Roles = scopes.texts, roles.texts
	if err := i.writeHeaders(id, claims, client, scopes, roles); err != nil {
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
// and another organization are noted for Authorize.
func (id *Identity) refuses(err error) bool {
	switch {
	case err == nil:
	case errors.Is(err, ErrMissingClaim):
		if id.missing == nil {
			id.missing = err
		}
	case errors.Is(err, ErrOrganization):
		id.foreign = err
	default:
		return true
	}
	return false
}

// Under returns the identity as a rule that requires an organization, or any,
// sees it: without an organization if the token proves several and none of
// them is asked for. It is what may go upstream though [Rule.Authorize] refuses.
func (id *Identity) Under(required string) *Identity {
	if !id.several || id.Organization == "" || id.Organization == required {
		return id
	}
	without := *id
	without.Organization = ""
	if id.issuer.headers.Organization != "" {
		without.Headers = id.Headers[1:] // the organization is the first
	}
	return &without
}

// username returns the user's name or, if the token has none, what the issuer has
// in its place.
func (i *Issuer) username(claims jwt.Claims, client consumer) (string, error) {
	c := i.Config
	text, problem := "", missing
	if v, ok := lookup(claims, c.UsernameClaim); ok {
		if text, problem = identifier(v); problem == empty {
			problem = missing
		}
	}
	switch {
	case problem == missing && c.MissingUsername == "omit":
		return "", nil
	case problem == missing && c.MissingUsername == "consumerKey" && client.key != "":
		text, problem = client.key, client.problem
	}
	if problem != "" {
		return "", &ClaimError{Use: "username", Claim: c.UsernameClaim, Problem: problem}
	}
	return text, nil
}

// consumer is the client that a token was issued to, if it says so.
type consumer struct {
	key     string
	claim   config.ClaimName // that says so
	problem string           // why no header can carry the key, "" for nothing
}

// clientID is the claim that stands for the consumer key if the configured one is
// absent (RFC 8693 §4.3).
var clientID = config.ClaimName{Name: "client_id"}

func (i *Issuer) consumer(claims jwt.Claims) consumer {
	for _, name := range [...]config.ClaimName{i.Config.ConsumerKeyClaim, clientID} {
		if v, ok := lookup(claims, name); ok {
			if key, problem := identifier(v); problem != empty {
				return consumer{key, name, problem}
			}
		}
	}
	return consumer{}
}

// localRoles are the token's roles, mapped. What is no text is left out, unless
// roles pass that no mapping names.
func (i *Issuer) localRoles(claims jwt.Claims) (local list) {
	if i.Config.RolesClaim.IsZero() {
		return local
	}
	remote := rolesClaim(claims, i.Config.RolesClaim)
	unmapped := len(i.roles) == 0 || !i.Config.ExcludeUnmappedRoles
	if unmapped {
		local.others = remote.others
	}
	seen := map[string]bool{}
	add := func(role string) {
		if !seen[role] {
			seen[role] = true
			local.texts = append(local.texts, role)
		}
	}
	for _, role := range remote.texts {
		mapped, ok := i.roles[role]
		for _, l := range mapped {
			add(l)
		}
		if !ok && unmapped {
			add(role)
		}
	}
	return local
}

// Authorize decides whether the caller may do what the rule is for. A nil error
// is the only permission.
//
// The error is, in this order, an [ErrMissingClaim], [ErrOrganization],
// [ErrScope] (a [ScopeError]), [ErrRole], [ErrConsumerKey] or [ErrClaimRule]:
// see [ByRule]. Any other error is a fault, not a refusal: there is no identity,
// or it is one to another issuer. It costs no allocation.
func (r *Rule) Authorize(required string, i *Issuer, id *Identity) error {
	if i == nil || id == nil || id.issuer != i {
		return errNoIdentity
	}
	switch {
	case id.missing != nil:
		return id.missing
	case id.foreign != nil:
		return id.foreign
	case id.Organization == "" || id.Organization == config.Any:
		return errNoIdentity
	case required == "":
		return errNoOrganization
	case required == config.Any && id.several:
		return errSeveral
	case required != config.Any && required != id.Organization:
		return errOther
	}
	if err := r.own.refusal(id); err != nil {
		return err
	}
	return r.noAlternative(i, id)
}
