package policy

import (
	"errors"
	"fmt"

	"orgate/config"
	"orgate/internal/httptext"
)

// The refusals, for [errors.Is]. No text of theirs holds anything that a
// client sent or that the configuration says: they may be shown to clients.
var (
	// ErrAmbiguousPath and ErrAmbiguousHost: the path or the host could be read in
	// two ways, and rules look at it. No rule is chosen.
	ErrAmbiguousPath = httptext.ErrAmbiguous
	ErrAmbiguousHost = httptext.ErrHost
	// ErrNoRule: there are rules, and the request matches none of them.
	ErrNoRule = errors.New("no rule")
	// ErrUnknownIssuer: no issuer that may be used here has the token's "iss".
	ErrUnknownIssuer = errors.New("unknown issuer")
	// errSlash is what is so often the matter, for the log.
	errSlash = fmt.Errorf("%w: but for the slash at its end it is a configured one", ErrUnknownIssuer)
	// ErrClaim: a claim that the issuer names is missing, names nobody, or
	// cannot be carried in a header. See [ClaimError].
	ErrClaim = errors.New("claim")
	// ErrMissingClaim: a claim that the issuer requires is absent or null.
	// Every such error is an [ErrClaim] as well.
	ErrMissingClaim = errors.New("missing claim")
	// ErrOrganization: the token does not prove the organization that the rule
	// requires, proves none, or the request names none.
	ErrOrganization = errors.New("organization")
	// ErrScope: a scope is missing. See [ScopeError].
	ErrScope = errors.New("insufficient scope")
	// ErrRole: a role is missing.
	ErrRole = errors.New("role")
	// ErrConsumerKey: the client may not call.
	ErrConsumerKey = errors.New("consumer key")
	// ErrClaimRule: a claim has none of the values that the rule names.
	ErrClaimRule = errors.New("claim rule")
)

// Why a token is refused for its organization.
var (
	errNotBound       = fmt.Errorf("%w: the token is of another organization than its issuer", ErrOrganization)
	errNotMapped      = fmt.Errorf("%w: the mapping has no entry for the claim", ErrOrganization)
	errAsterisk       = fmt.Errorf("%w: the claim names none", ErrOrganization)
	errSeveral        = fmt.Errorf("%w: the token is of several", ErrOrganization)
	errOther          = fmt.Errorf("%w: the token is of another", ErrOrganization)
	errNoOrganization = fmt.Errorf("%w: the request names none", ErrOrganization)
)

// errNoIdentity is a fault of the caller, and no refusal: it asks about an
// identity that is none, or one to another issuer.
var errNoIdentity = errors.New("no identity by this issuer")

// ByRule reports whether err is the refusal of a sound token by the issuer's
// or the rule's demands: organization, scope, role, consumer key, claim rule,
// or a claim that is required and absent. These are the refusals that an
// issuer in report-only mode counts and does not enforce, and all that
// [Rule.Authorize] refuses for. Everything else is enforced always.
func ByRule(err error) bool {
	return errors.Is(err, ErrOrganization) || errors.Is(err, ErrScope) || errors.Is(err, ErrRole) ||
		errors.Is(err, ErrConsumerKey) || errors.Is(err, ErrClaimRule) || errors.Is(err, ErrMissingClaim)
}

// ClaimError is an [ErrClaim]: what is wrong with which claim.
type ClaimError struct {
	// Use is what the claim is for: "username", "organization", "required".
	Use string
	// Claim is the claim's name as configured. It is not part of the text.
	Claim config.ClaimName
	// Problem says what is wrong, such as "missing" or "not a string".
	Problem string
}

func (e *ClaimError) Error() string { return e.Use + " claim: " + e.Problem }

// Is makes a ClaimError an [ErrClaim], and an [ErrMissingClaim] if the claim is
// missing.
func (e *ClaimError) Is(target error) bool {
	return target == ErrClaim || target == ErrMissingClaim && e.Problem == missing
}

// ScopeError is an [ErrScope]: what the rule asks for.
type ScopeError struct {
	// Scopes are the rule's scopes.
	Scopes []string
	// All tells that every one of them is asked for, not any one.
	All bool
	// Challenge is the scopes joined with spaces, the value of the scope
	// attribute in WWW-Authenticate (RFC 6750 §3).
	Challenge string
}

func (e *ScopeError) Error() string { return ErrScope.Error() }

// Is makes a ScopeError an [ErrScope].
func (e *ScopeError) Is(target error) bool { return target == ErrScope }
