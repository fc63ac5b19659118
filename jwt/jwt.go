// Package jwt reads signed tokens (RFC 7519) in the compact serialization of a
// JWS (RFC 7515 §7.1). It refuses those that could be understood in two ways, and
// checks signatures, times, audiences and types.
//
// The cheapest steps come first. The signature's arithmetic is the most expensive
// step, and only a token that passes all others needs it:
//
//   - [Parse] reads the token, strictly;
//   - [Token.CheckAlgorithm], [Token.CheckType], [Token.CheckTime] and
//     [Token.CheckAudience] hold it against the rules of its issuer;
//   - [Token.Verify] verifies its signature with a [Key].
//
// Until Verify has returned nil, a [Token] is a stranger's text. It may choose the
// issuer whose keys to try, and nothing more.
//
// # Errors
//
// Each way to be refused is one of the errors of this package, for [errors.Is].
// Their texts are fit for a client, and hold no part of the token.
//
// # Ignored members
//
// The header members "jku", "jwk", "x5u", "x5c", "x5t" and "x5t#S256" (RFC 7515
// §4.1.2 to §4.1.8), by which a token names its own key, are ignored. So is every
// unknown member. Members that must not be ignored stand in "crit", and a token
// with one is refused.
//
// The package knows neither proxies nor the source of keys. It takes the time as
// an argument.
package jwt

import (
	"errors"
	"slices"
	"strings"
)

// Why a token is refused, for [errors.Is].
var (
	// ErrMalformed means that the token is not of the form that [Parse] asks
	// for.
	ErrMalformed = errors.New("malformed token")
	// ErrTooLarge means that the token is longer than it may be.
	ErrTooLarge = errors.New("token too large")
	// ErrAlgorithm means that the token names no signature algorithm, or one
	// that is not allowed.
	ErrAlgorithm = errors.New("signature algorithm not allowed")
	// ErrSignature means that the signature is not the key's.
	ErrSignature = errors.New("invalid signature")
	// ErrUnknownKey means that there is no key for the token.
	ErrUnknownKey = errors.New("unknown key")
	// ErrExpired means that the token's time is over (RFC 7519 §4.1.4).
	ErrExpired = errors.New("token expired")
	// ErrTooOld means that the token was issued too long ago, whatever it
	// says of its own time.
	ErrTooOld = errors.New("token too old")
	// ErrNotYetValid means that the token's time has not come (RFC 7519
	// §4.1.5), or that it was issued in the future.
	ErrNotYetValid = errors.New("token not yet valid")
	// ErrAudience means that the token is for somebody else (RFC 7519 §4.1.3).
	ErrAudience = errors.New("token not meant for this audience")
	// ErrType means that the token is of a type that is not allowed (RFC 7515
	// §4.1.9).
	ErrType = errors.New("token type not allowed")
	// ErrClaim means that a claim is missing, or not what it must be.
	ErrClaim = errors.New("required claim missing or invalid")
)

// A refusal is one of the errors above, and which of its occasions this is.
type refusal struct {
	reason error
	what   string
	cause  error // nil if there is none
}

func (r *refusal) Error() string { return r.reason.Error() + ": " + r.what }

// Is and Unwrap let [errors.Is] find the reason and the cause.
func (r *refusal) Is(target error) bool { return target == r.reason }

func (r *refusal) Unwrap() error { return r.cause }

// A Token is a token that [Parse] has read. It is not verified, and not
// changed by being verified.
type Token struct {
	// Algorithm is the header's "alg" (RFC 7515 §4.1.1), which may be
	// anything: see [Token.CheckAlgorithm].
	Algorithm string
	// KeyID is the header's "kid" (RFC 7515 §4.1.4), if HasKeyID. It may be
	// empty.
	KeyID    string
	HasKeyID bool
	// Type is the header's "typ" (RFC 7515 §4.1.9), "" if there is none.
	Type string
	// Issuer is the payload's "iss" (RFC 7519 §4.1.1), "" if there is none.
	Issuer string
	// Claims is the payload.
	Claims Claims

	signingInput string // header and payload as sent
	payload      string // as sent
	signature    []byte

	expires, notBefore, issuedAt numericDate
	audience                     []string
	hasAudience                  bool
}

// Payload returns the payload in base64url, as it was sent.
func (t *Token) Payload() string { return t.payload }

// Reduce returns what a token that was verified needs to be checked again later:
// its algorithm, its times, and those of its audiences that are named, which is
// sorted. It is without claims and signature, and can't be verified any more.
//
// It keeps nothing of the token's text alive: of its "kid" and "iss" the ones
// given are kept if they are equal, or else copies.
func (t *Token) Reduce(keyID, issuer string, named []string) Token {
	r := Token{
		KeyID: keyID, HasKeyID: t.HasKeyID, Issuer: issuer,
		expires: t.expires, notBefore: t.notBefore, issuedAt: t.issuedAt, hasAudience: t.hasAudience,
	}
	if a := algorithmOf(t.Algorithm); a != nil {
		r.Algorithm = a.name
	}
	if t.KeyID != keyID {
		r.KeyID = strings.Clone(t.KeyID)
	}
	if t.Issuer != issuer {
		r.Issuer = strings.Clone(t.Issuer)
	}
	for _, audience := range t.audience {
		i, ok := slices.BinarySearch(named, audience)
		switch {
		case !ok:
		case r.audience == nil:
			r.audience = named[i : i+1 : i+1] // no copy of the first
		case !slices.Contains(r.audience, audience):
			r.audience = append(r.audience, named[i])
		}
	}
	return r
}

// Audience returns the token's audiences (RFC 7519 §4.1.3).
func (t *Token) Audience() []string { return t.audience }

// HasAudience reports whether the token names any.
func (t *Token) HasAudience() bool { return t.hasAudience }

// CheckAlgorithm returns [ErrAlgorithm] unless the token's algorithm is one of
// allowed, and one of [Algorithms]. An empty list allows none.
func (t *Token) CheckAlgorithm(allowed []string) error {
	if algorithmOf(t.Algorithm) == nil {
		return ErrAlgorithm
	}
	for _, name := range allowed {
		if SameAlgorithm(name, t.Algorithm) {
			return nil
		}
	}
	return ErrAlgorithm
}

// CheckAudience returns [ErrAudience] unless the token's "aud" (RFC 7519
// §4.1.3) holds one of audiences, letter for letter. With an empty list there
// is nothing to check.
func (t *Token) CheckAudience(audiences []string) error {
	if len(audiences) == 0 {
		return nil
	}
	if !t.hasAudience {
		return errNoAudience
	}
	for _, named := range t.audience {
		for _, audience := range audiences {
			if named == audience {
				return nil
			}
		}
	}
	return ErrAudience
}

var errNoAudience = &refusal{reason: ErrAudience, what: "aud missing"}

// CheckType returns [ErrType] unless the token's "typ" is one of allowed,
// ignoring the case of ASCII letters. "application/" before a type that holds
// no other slash makes no difference (RFC 7515 §4.1.9). With an empty list
// there is nothing to check; with any other, a token without "typ" is refused.
func (t *Token) CheckType(allowed []string) error {
	if len(allowed) == 0 {
		return nil
	}
	typ := mediaType(t.Type)
	if typ == "" {
		return errNoType
	}
	for _, name := range allowed {
		if equalFold(typ, mediaType(name)) {
			return nil
		}
	}
	return ErrType
}

var errNoType = &refusal{reason: ErrType, what: "typ missing"}

// mediaType drops "application/" where RFC 7515 §4.1.9 lets it be left out.
func mediaType(typ string) string {
	const prefix = "application/"
	if len(typ) < len(prefix) || !equalFold(typ[:len(prefix)], prefix) {
		return typ
	}
	if rest := typ[len(prefix):]; !strings.Contains(rest, "/") {
		return rest
	}
	return typ
}

// equalFold compares, ignoring the case of ASCII letters alone: media types
// hold no others, and Unicode would take "ſ" for "s".
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
