package jwks

import (
	"crypto/rsa"
	"crypto/sha256"
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

// Parse reads a JWK Set (RFC 7517 §5). The error is [ErrNotSet], wrapped, with
// what is wrong and where, never with content of the document. A member that
// occurs twice, anywhere in the document, makes it no JWK Set.
//
// A set may be without usable keys. A key is usable if
//
//   - its kty is "RSA";
//   - its n and e are unpadded base64url numbers in the fewest octets (RFC 7518
//     §2, §6.3.1), save that n may have a sign octet, see below;
//   - n is odd and has 2048 to 8192 bits, e is odd and from 3 to 2^31−1,
//     the largest that crypto/rsa verifies with;
//   - its use, if any, is "sig"; its key_ops, if any, hold "verify"; its alg, if
//     any, is one of [jwt.Algorithms]; its kid, if any, is a string;
//   - it has no member of a private key (RFC 7518 §6.3.2): whoever read the
//     document can sign with such a key.
//
// An optional member that is null is there, and of the wrong type. Everything
// else in a key is ignored, x5c and x5t included.
//
// RFC 7518 §6.3.1.1 forbids the zero octet that signed integers need in front
// of a first octet above 0x7f. Cloud Foundry UAA, OpenAM and WSO2 Identity
// Server 5.2 wrote it into n nevertheless. It makes the number no other, so
// that one octet is accepted, and thumbprints are computed without it. Any
// other leading zero octet makes a key unusable.
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
		pinned.Unusable = append(pinned.Unusable, fmt.Errorf("key%s with thumbprint %s: not pinned", kidText(key.ID), key.Thumbprint))
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
//   - the token has no kid, whether the key has one or not.
//
// So a key of a JWK Set that has no kid fits only tokens that have none: a kid
// selects by equality. An empty kid is no kid.
func (s *Set) Select(t *jwt.Token) []*jwt.Key {
	if s == nil || t == nil {
		return nil
	}
	var fitting []*jwt.Key
	cost := 0
	for _, key := range s.Keys {
		if !key.Allows(t.Algorithm) {
			continue
		}
		if !s.AnyKeyID && t.KeyID != "" && t.KeyID != key.ID {
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

// holds reports whether the set has a key with the same kid, algorithm and
// thumbprint.
func (s *Set) holds(key *jwt.Key) bool {
	return slices.ContainsFunc(s.Keys, func(k *jwt.Key) bool {
		return k.ID == key.ID && k.Algorithm == key.Algorithm && k.Thumbprint == key.Thumbprint
	})
}

// hasKeyID reports whether a key has the kid.
func (s *Set) hasKeyID(kid string) bool {
	return slices.ContainsFunc(s.Keys, func(k *jwt.Key) bool { return k.ID == kid })
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
	if err == nil && len(s.Keys) == MaxKeys && !s.holds(key) {
		err = fmt.Errorf("%d keys are used at most", MaxKeys)
	}
	if err != nil {
		s.Unusable = append(s.Unusable, fmt.Errorf("keys[%d]%s: %w", index, kidText(kid), err))
		return
	}
	s.add(key)
}

// privateMembers are the members that only a private key has (RFC 7518 §6.3.2).
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
	if kty != "RSA" {
		return nil, errors.New("kty is not RSA")
	}
	for _, name := range privateMembers {
		if _, ok := members.Get(name); ok {
			return nil, fmt.Errorf("the private key is published (%s): whoever reads the set can sign", name)
		}
	}
	if err := checkPurpose(members); err != nil {
		return nil, err
	}
	alg := ""
	if err := optionalString(members, "alg", &alg); err != nil {
		return nil, err
	}
	if _, ok := members.Get("alg"); ok && !jwt.IsAlgorithm(alg) {
		return nil, errors.New("alg is not a supported signature algorithm")
	}
	n, err := modulus(members)
	if err != nil {
		return nil, err
	}
	e, err := exponent(members)
	if err != nil {
		return nil, err
	}
	// Clones, because the strings of the document are parts of one long string.
	return newKey(strings.Clone(*kid), strings.Clone(alg), n, e)
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
	ops, ok := members.Get("key_ops")
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

func modulus(members strictjson.Object) (*big.Int, error) {
	text, err := requiredString(members, "n")
	if err != nil {
		return nil, err
	}
	const longest = jwt.MaxKeyBits/8 + 1 // with the sign octet
	octets, err := decode("n", text, longest)
	if err != nil {
		return nil, err
	}
	if len(octets) > 1 && octets[0] == 0 && octets[1] >= 0x80 {
		octets = octets[1:] // The sign octet, see Parse.
	}
	if octets[0] == 0 {
		return nil, errors.New("n has leading zero octets (RFC 7518 §6.3.1.1)")
	}
	return new(big.Int).SetBytes(octets), nil
}

func exponent(members strictjson.Object) (*big.Int, error) {
	text, err := requiredString(members, "e")
	if err != nil {
		return nil, err
	}
	const longest = 4 // 2^32−1
	octets, err := decode("e", text, longest)
	if err != nil {
		return nil, err
	}
	if octets[0] == 0 {
		return nil, errors.New("e has leading zero octets (RFC 7518 §6.3.1.2)")
	}
	return new(big.Int).SetBytes(octets), nil
}

// decode reads base64url as RFC 7515 §2 has it: no padding, nothing ignored, no
// stray bits. The result has at least one octet and at most the given number.
func decode(name, text string, longest int) ([]byte, error) {
	encoding := base64.RawURLEncoding.Strict()
	if text == "" {
		return nil, fmt.Errorf("%s is empty", name)
	}
	if len(text) > encoding.EncodedLen(longest) {
		return nil, fmt.Errorf("%s is too long", name)
	}
	octets, err := encoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // DecodeString ignores line ends.
		return nil, fmt.Errorf("%s is not unpadded base64url", name)
	}
	return octets, nil
}

// newKey is the RSA key with the given numbers, if it may be used.
func newKey(kid, alg string, n, e *big.Int) (*jwt.Key, error) {
	switch bits := n.BitLen(); {
	case n.Sign() <= 0:
		return nil, errors.New("the modulus is not positive")
	case bits < jwt.MinKeyBits:
		return nil, fmt.Errorf("the modulus has %d bits, at least %d are needed", bits, jwt.MinKeyBits)
	case bits > jwt.MaxKeyBits:
		return nil, fmt.Errorf("the modulus has %d bits, at most %d are allowed", bits, jwt.MaxKeyBits)
	case n.Bit(0) == 0:
		return nil, errors.New("the modulus is even")
	}
	switch {
	case e.Sign() <= 0 || e.BitLen() < 2:
		return nil, errors.New("the exponent is below 3")
	case !e.IsUint64() || e.Uint64() > jwt.MaxExponent:
		return nil, errors.New("the exponent is above 2^31-1, with which crypto/rsa does not verify")
	case e.Bit(0) == 0:
		return nil, errors.New("the exponent is even")
	}
	return &jwt.Key{
		ID:         kid,
		Algorithm:  alg,
		RSA:        &rsa.PublicKey{N: n, E: int(e.Int64())},
		Thumbprint: thumbprint(n, e),
	}, nil
}

// thumbprint is the SHA-256 JWK thumbprint of an RSA key (RFC 7638 §3),
// base64url-encoded.
func thumbprint(n, e *big.Int) string {
	encode := base64.RawURLEncoding.EncodeToString
	canonical := `{"e":"` + encode(e.Bytes()) + `","kty":"RSA","n":"` + encode(n.Bytes()) + `"}`
	sum := sha256.Sum256([]byte(canonical))
	return encode(sum[:])
}

// optionalString stores the member's value, if there is such a member.
func optionalString(members strictjson.Object, name string, value *string) error {
	member, ok := members.Get(name)
	if !ok {
		return nil
	}
	if member.Type != gjson.String {
		return fmt.Errorf("%s is not a string", name)
	}
	*value = member.Str
	return nil
}

func requiredString(members strictjson.Object, name string) (string, error) {
	if _, ok := members.Get(name); !ok {
		return "", fmt.Errorf("no %s", name)
	}
	value := ""
	err := optionalString(members, name, &value)
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
