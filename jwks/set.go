package jwks

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"orgate/internal/strictjson"
	"orgate/jwt"
)

const (
	// MaxKeys is the most keys of one JWK Set that are used: its first ones that
	// can be.
	MaxKeys = 20
	// maxElements is the most keys that one JWK Set may hold, those that cannot
	// be used included.
	maxElements = 100
	// MaxTokenCost is the most that the keys which one token is tried with may
	// cost together, if they are several: see [jwt.Token.Cost].
	MaxTokenCost = 3 * jwt.UnitCost
)

var (
	// ErrNotSet says that a document is not a JWK Set (RFC 7517 §5): not
	// strict JSON, not an object, no array "keys", or more than 100 keys.
	ErrNotSet = errors.New("not a JWK Set")
	// ErrNoUsableKey says that a JWK Set holds no key that may be used.
	ErrNoUsableKey = errors.New("no usable key")
)

// Set is the keys of one issuer. It is not changed once it is made. The zero
// value, and nil, hold no keys.
type Set struct {
	// Keys holds the usable keys in the order of the document.
	Keys []*jwt.Key
	// AnyKeyID says that the keys fit a token whatever its kid is, as those
	// from PEM do, which has no place for a kid.
	AnyKeyID bool
	// Unusable says of every other key why it is not used. The texts name the
	// key by its place and kid, and hold nothing else of it.
	Unusable []error
}

// Parse reads a JWK Set (RFC 7517 §5), or an object of certificates in PEM by kid,
// as Google and Firebase publish them. The error is [ErrNotSet], wrapped, with
// what is wrong and where, never with content of the document. A member that
// occurs twice, anywhere in the document, makes it no JWK Set.
//
// A set may be without usable keys. A key is usable if
//
//   - its kty and crv are "RSA", "EC" with P-256, P-384 or P-521, or "OKP" with
//     Ed25519 (RFC 7518 §6, RFC 8037 §2);
//   - its n and e, or x and y, are base64url, and [jwt.NewRSAKey], [jwt.NewECKey] or
//     [jwt.NewEd25519Key] takes them;
//   - its use, if any, is "sig"; its key_ops, if any, hold "verify"; its alg, if
//     any, is one of [jwt.Algorithms] that fits the key; its kid, if any, is a string;
//   - it has no member of a private key (RFC 7518 §6.2.2, §6.3.2): whoever read the
//     document can sign with such a key;
//   - it is among the first [MaxKeys] such keys.
//
// Some libraries write all members that they know, and leave those empty that a
// key does not have: "oth":[], "d":null, "use":"". An optional member that is
// null or empty is absent. Everything else in a key is ignored, x5c and x5t
// included.
//
// RFC 7518 §6.3.1.1 wants n and e in the fewest octets, without padding, and
// §6.2.1.2 as many octets of x and y as the curve has. Cloud
// Foundry UAA, OpenAM and WSO2 Identity Server 5.2 wrote the octet in front that
// signed integers need; others pad. Neither makes the number another one, so
// leading zero octets that are too many or too few and "=" at the end are forgiven.
// Thumbprints are those of the right form.
//
// An empty kid is no kid. Of keys that are equal in kid, alg and thumbprint, one
// is kept.
func Parse(doc string) (*Set, error) {
	top, err := strictjson.ParseObject(doc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSet, err)
	}
	keys, ok := top.Get("keys")
	if !ok {
		if isCertificates(top) {
			return parseCertificates(top)
		}
		return nil, fmt.Errorf(`%w: no member "keys"`, ErrNotSet)
	}
	if !keys.IsArray() {
		return nil, fmt.Errorf(`%w: "keys" is not an array`, ErrNotSet)
	}
	set := new(Set)
	n := 0
	keys.ForEach(func(_, jwk gjson.Result) bool {
		if n < maxElements {
			set.addJWK(n, jwk)
		}
		n++
		return true
	})
	if n > maxElements {
		return nil, fmt.Errorf("%w: %d keys, at most %d", ErrNotSet, n, maxElements)
	}
	return set, nil
}

// isCertificates reports whether an object holds certificates by kid.
func isCertificates(o strictjson.Object) bool {
	for i := range o {
		if v := &o[i].Value; v.Type != gjson.String || !strings.HasPrefix(v.Str, "-----BEGIN CERTIFICATE-----") {
			return false
		}
	}
	return len(o) > 0
}

func parseCertificates(o strictjson.Object) (*Set, error) {
	if len(o) > maxElements {
		return nil, fmt.Errorf("%w: %d keys, at most %d", ErrNotSet, len(o), maxElements)
	}
	set := new(Set)
	for i := range o {
		one, err := ParsePEM(o[i].Value.Str)
		switch {
		case err != nil:
		case len(one.Keys) > 1:
			err = errors.New("more than one certificate")
		default:
			one.Keys[0].ID = strings.Clone(o[i].Name)
			err = set.use(one.Keys[0])
		}
		if err != nil {
			set.Unusable = append(set.Unusable, fmt.Errorf("certificate%s: %w", kidText(o[i].Name), err))
		}
	}
	return set, nil
}

// Pin is the set without the keys whose thumbprint (RFC 7638, SHA-256,
// base64url) is not listed. An empty list leaves the set as it is.
func (s *Set) Pin(thumbprints []string) *Set {
	if len(thumbprints) == 0 {
		return s
	}
	pinned := &Set{AnyKeyID: s.AnyKeyID, Unusable: slices.Clone(s.Unusable)}
	for _, key := range s.Keys {
		if slices.Contains(thumbprints, key.Thumbprint) {
			pinned.Keys = append(pinned.Keys, key)
			continue
		}
		pinned.Unusable = append(pinned.Unusable,
			fmt.Errorf("key%s with thumbprint %s: not pinned", kidText(key.ID), key.Thumbprint))
	}
	return pinned
}

// Select is the keys that the token may be verified with, in the order in which
// to try them: as many as cost [MaxTokenCost] together, or one that costs more.
// Keys of another length than the signature cost nothing. None: no key of this
// set fits.
//
// A key fits if it allows the token's algorithm ([jwt.Key.Allows]), and
//
//   - the set is from PEM (AnyKeyID), or
//   - the token has a kid, and the key has the same one, or
//   - the token has a kid that no key of the set has, and the key has none, or
//   - the token has no kid, whether the key has one or not.
//
// A key that names an issuer, as those of Entra ID do, fits only that issuer's
// tokens ([jwt.Key.IsOf]). An empty kid is no kid.
func (s *Set) Select(t *jwt.Token) []*jwt.Key {
	if s == nil || t == nil {
		return nil
	}
	kid := t.KeyID
	if !s.HasKeyID(kid) {
		kid = ""
	}
	var fitting []*jwt.Key
	cost := 0
	for _, key := range s.Keys {
		if !key.Allows(t.Algorithm) || !key.IsOf(t.Issuer) {
			continue
		}
		if !s.AnyKeyID && t.KeyID != "" && kid != key.ID {
			continue
		}
		if cost += t.Cost(key); cost > MaxTokenCost && cost > t.Cost(key) {
			break
		}
		fitting = append(fitting, key)
	}
	return fitting
}

// sameKeys reports whether a token that one set verifies, the other does too:
// the same keys, in whatever order. Some providers shuffle them.
func (s *Set) sameKeys(other *Set) bool {
	if s == nil || other == nil || len(s.Keys) != len(other.Keys) {
		return false
	}
	for _, key := range s.Keys { // No two keys of a set are equal.
		if !other.holds(key) {
			return false
		}
	}
	return true
}

// holds reports whether the set has a key with the same kid, algorithm, issuer
// and thumbprint.
func (s *Set) holds(key *jwt.Key) bool {
	return slices.ContainsFunc(s.Keys, func(k *jwt.Key) bool {
		return k.ID == key.ID && k.Algorithm == key.Algorithm && k.Thumbprint == key.Thumbprint &&
			k.Issuer == key.Issuer
	})
}

// HasKeyID reports whether a key has the kid.
func (s *Set) HasKeyID(kid string) bool {
	return s != nil && slices.ContainsFunc(s.Keys, func(k *jwt.Key) bool { return k.ID == kid })
}

// add keeps a key, unless the set has it.
func (s *Set) add(key *jwt.Key) {
	if !s.holds(key) {
		s.Keys = append(s.Keys, key)
	}
}

// addJWK keeps the key at the given place of the document, or the reason why it
// is not usable.
func (s *Set) addJWK(index int, jwk gjson.Result) {
	kid := ""
	key, err := parseJWK(jwk, &kid)
	if err == nil {
		err = s.use(key)
	}
	if err != nil {
		s.Unusable = append(s.Unusable, fmt.Errorf("keys[%d]%s: %w", index, kidText(kid), err))
	}
}

// use keeps a key, unless there are enough.
func (s *Set) use(key *jwt.Key) error {
	if len(s.Keys) >= MaxKeys && !s.holds(key) {
		return fmt.Errorf("%d keys are used at most", MaxKeys)
	}
	s.add(key)
	return nil
}

// privateMembers are the members that only a private key has (RFC 7518 §6.2.2,
// §6.3.2).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth"}

// parseJWK reads one usable key (RFC 7517 §4). It stores the kid as soon as it
// is known, so that an error can name the key.
func parseJWK(jwk gjson.Result, kid *string) (*jwt.Key, error) {
	members, err := strictjson.ParseObject(jwk.Raw)
	if err != nil {
		return nil, errors.New("not an object")
	}
	if err := optionalString(members, "kid", kid); err != nil {
		return nil, err
	}
	kty, err := requiredString(members, "kty")
	if err != nil {
		return nil, err
	}
	parse, ok := publicKeys[kty]
	if !ok {
		return nil, errors.New("kty is neither RSA, EC nor OKP")
	}
	for _, name := range privateMembers {
		if _, ok := present(members, name); ok {
			return nil, fmt.Errorf("the private key is published (%s): whoever reads the set can sign", name)
		}
	}
	if err := checkPurpose(members); err != nil {
		return nil, err
	}
	alg, issuer := "", ""
	if err := optionalString(members, "alg", &alg); err != nil {
		return nil, err
	}
	if alg != "" && !slices.Contains(jwt.Algorithms(), alg) {
		return nil, errors.New("alg is not a supported signature algorithm")
	}
	if err := optionalString(members, "issuer", &issuer); err != nil {
		return nil, err
	}
	key, err := parse(members)
	if err != nil {
		return nil, err
	}
	// Clones, because the strings of the document are parts of one long string.
	key.ID, key.Algorithm, key.Issuer = strings.Clone(*kid), strings.Clone(alg), strings.Clone(issuer)
	if alg != "" && !key.Allows(alg) {
		return nil, fmt.Errorf("alg is not one for a key of the type %s", key.Type)
	}
	return key, nil
}

// publicKeys reads the members that are the key itself, by kty.
var publicKeys = map[string]func(strictjson.Object) (*jwt.Key, error){
	"RSA": parseRSA,
	"EC":  parseEC,
	"OKP": parseOKP,
}

// parseRSA reads RFC 7518 §6.3.1.
func parseRSA(members strictjson.Object) (*jwt.Key, error) {
	n, err := number(members, "n", jwt.MaxKeyBits/8+1)
	if err != nil {
		return nil, err
	}
	e, err := number(members, "e", 4) // 2^32−1
	if err != nil {
		return nil, err
	}
	return jwt.NewRSAKey(new(big.Int).SetBytes(n), new(big.Int).SetBytes(e))
}

// parseEC reads RFC 7518 §6.2.1.
func parseEC(members strictjson.Object) (*jwt.Key, error) {
	crv, err := requiredString(members, "crv")
	if err != nil {
		return nil, err
	}
	const longest = 66 // P-521
	x, err := number(members, "x", longest)
	if err != nil {
		return nil, err
	}
	y, err := number(members, "y", longest)
	if err != nil {
		return nil, err
	}
	return jwt.NewECKey(crv, x, y)
}

// parseOKP reads RFC 8037 §2.
func parseOKP(members strictjson.Object) (*jwt.Key, error) {
	crv, err := requiredString(members, "crv")
	if err != nil {
		return nil, err
	}
	if crv != "Ed25519" {
		return nil, errors.New("crv is not Ed25519")
	}
	x, err := octets(members, "x", 32)
	if err != nil {
		return nil, err
	}
	return jwt.NewEd25519Key(x)
}

// checkPurpose refuses a key that is not for verifying signatures (RFC 7517
// §4.2, §4.3).
func checkPurpose(members strictjson.Object) error {
	use := "sig"
	if err := optionalString(members, "use", &use); err != nil {
		return err
	}
	if use != "sig" {
		return errors.New("use is not sig")
	}
	ops, ok := present(members, "key_ops")
	if !ok {
		return nil
	}
	if !ops.IsArray() {
		return errors.New("key_ops is not an array")
	}
	verify := false
	ops.ForEach(func(_, op gjson.Result) bool {
		verify = verify || op.Type == gjson.String && op.Str == "verify"
		return true
	})
	if !verify {
		return errors.New("key_ops is without verify")
	}
	return nil
}

// number reads a member that is a base64url number of so many octets at most, but
// for a few zeros in front, which it cuts.
func number(members strictjson.Object, name string, longest int) ([]byte, error) {
	const forgiven = 8 // zero octets
	number, err := octets(members, name, longest+forgiven)
	if err != nil {
		return nil, err
	}
	if number = bytes.TrimLeft(number, "\x00"); len(number) > longest {
		return nil, fmt.Errorf("%s is too long", name)
	}
	return number, nil
}

// octets reads a member that is base64url (RFC 7515 §2) of so many octets at most:
// nothing is ignored but padding, and there are no stray bits.
func octets(members strictjson.Object, name string, longest int) ([]byte, error) {
	text, err := requiredString(members, name)
	if err != nil {
		return nil, err
	}
	encoding := base64.RawURLEncoding.Strict()
	bare := strings.TrimRight(text, "=")
	if len(bare) > encoding.EncodedLen(longest) {
		return nil, fmt.Errorf("%s is too long", name)
	}
	octets, err := encoding.DecodeString(bare)
	if err != nil || len(text)-len(bare) > 2 || strings.ContainsAny(text, "\r\n") { // DecodeString ignores line ends.
		return nil, fmt.Errorf("%s is not base64url", name)
	}
	return octets, nil
}

// present returns a member that is there, and neither null nor empty.
func present(members strictjson.Object, name string) (gjson.Result, bool) {
	member, ok := members.Get(name)
	switch {
	case !ok, member.Type == gjson.Null, member.Type == gjson.String && member.Str == "":
		return member, false
	case member.Type == gjson.JSON:
		empty := true
		member.ForEach(func(_, _ gjson.Result) bool { empty = false; return false })
		return member, !empty
	}
	return member, true
}

// optionalString stores the member's value, if it is present.
func optionalString(members strictjson.Object, name string, value *string) error {
	member, ok := present(members, name)
	if !ok {
		return nil
	}
	if member.Type != gjson.String {
		return fmt.Errorf("%s is not a string", name)
	}
	*value = member.Str
	return nil
}

func requiredString(members strictjson.Object, name string) (value string, err error) {
	if _, ok := present(members, name); !ok {
		return "", fmt.Errorf("no %s", name)
	}
	err = optionalString(members, name, &value)
	return value, err
}

// kidText is how an error names a key besides its place. A kid is text from
// elsewhere: it is quoted, and cut where it is long.
func kidText(kid string) string {
	const longest = 64
	if kid == "" {
		return ""
	}
	if len(kid) > longest {
		kid = kid[:longest]
		return " (kid " + strconv.QuoteToASCII(kid) + "…)"
	}
	return " (kid " + strconv.QuoteToASCII(kid) + ")"
}
