package jwt

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"sync/atomic"
)

// A scheme is what an algorithm does with a hash, or with the text.
type scheme uint8

const (
	pkcs1v15  scheme = iota + 1 // RSASSA-PKCS1-v1_5 (RFC 8017 §8.2)
	pss                         // RSASSA-PSS (RFC 8017 §8.1)
	ecdsaP256                   // ECDSA (FIPS 186-5 §6.4) on a curve
	ecdsaP384
	ecdsaP521
	ed25519 // RFC 8032 §5.1
)

// An algorithm is a signature algorithm of RFC 7518 §3.1, RFC 8037 §3.1 or RFC
// 9864 §2.2.
type algorithm struct {
	name   string
	hash   crypto.Hash
	scheme scheme
}

var algorithms = [...]algorithm{
	{"RS256", crypto.SHA256, pkcs1v15},
	{"RS384", crypto.SHA384, pkcs1v15},
	{"RS512", crypto.SHA512, pkcs1v15},
	{"PS256", crypto.SHA256, pss},
	{"PS384", crypto.SHA384, pss},
	{"PS512", crypto.SHA512, pss},
	{"ES256", crypto.SHA256, ecdsaP256},
	{"ES384", crypto.SHA384, ecdsaP384},
	{"ES512", crypto.SHA512, ecdsaP521},
	{"EdDSA", 0, ed25519},
	{"Ed25519", 0, ed25519}, // another name (RFC 9864 §2.2)
}

// Algorithms returns the names of the signature algorithms that tokens can be
// verified with. ES512 needs an [Arithmetic].
func Algorithms() []string {
	names := make([]string, len(algorithms))
	for i := range algorithms {
		names[i] = algorithms[i].name
	}
	return names
}

// SameAlgorithm reports whether two names are one algorithm's: EdDSA, which is
// Ed25519 here, has both.
func SameAlgorithm(one, other string) bool {
	if one == other {
		return true
	}
	a, b := algorithmOf(one), algorithmOf(other)
	return a != nil && b != nil && a.scheme == b.scheme && a.hash == b.hash
}

func algorithmOf(name string) *algorithm {
	for i := range algorithms {
		if algorithms[i].name == name {
			return &algorithms[i]
		}
	}
	return nil
}

// elsewhere reports whether a proxy may have the arithmetic: hash is the name
// that it knows.
func (a *algorithm) elsewhere() (hash string, ok bool) {
	switch a.scheme {
	case pkcs1v15, ecdsaP256, ecdsaP384, ecdsaP521:
		return "sha" + a.name[2:], true
	}
	return "", false
}

// Verify returns nil if the key made the token's signature, and only then.
//
// The error is [ErrAlgorithm] if the token's algorithm is none of
// [Algorithms]; [ErrUnknownKey] if the key is not for that algorithm;
// [ErrUnavailable] for ES512; and [ErrSignature] else. The signature must be
// exactly as long as the key asks for (RFC 8017 §8.1.2, §8.2.2; RFC 7518 §3.4;
// RFC 8032 §5.1.7).
func (t *Token) Verify(k *Key) error { return t.VerifyWith(k, nil) }

// An Arithmetic verifies a signature over a text in place of this package, with a
// hash named "sha256", "sha384" or "sha512": RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2) or
// ECDSA. Key and signature are in the forms of X.509: a SubjectPublicKeyInfo (RFC
// 5280 §4.1.2.7), and for ECDSA an Ecdsa-Sig-Value (RFC 3279 §2.2.3).
//
// It returns [ErrUnavailable] if it cannot, which has this package do it if that
// can, and any other error if it is in doubt.
type Arithmetic func(hash string, key, signature []byte, text string) (valid bool, err error)

// ErrUnavailable is what an [Arithmetic] that is not there returns.
var ErrUnavailable = errors.New("signature verification is not available")

// VerifyWith is [Token.Verify] with the arithmetic done by another, if the
// algorithm is such as that one knows; nil is none. Its errors are returned as
// they are.
func (t *Token) VerifyWith(k *Key, other Arithmetic) error {
	alg := algorithmOf(t.Algorithm)
	if alg == nil {
		return ErrAlgorithm
	}
	if !k.Allows(t.Algorithm) {
		return errKeyAlgorithm
	}
	if len(t.signature) != k.public.signatureSize() {
		return errSignatureLength
	}
	if hash, ok := alg.elsewhere(); ok && other != nil {
		key, signature := k.public.exchange(t.signature)
		valid, err := other(hash, key, signature, t.signingInput)
		switch {
		case err == nil && valid:
			return nil
		case err == nil:
			return ErrSignature
		case !errors.Is(err, ErrUnavailable):
			return err
		}
	}
	if alg.scheme == ecdsaP521 {
		return ErrUnavailable
	}
	arithmetic.Add(1)
	if !k.public.verify(alg, t.signingInput, t.signature) {
		return ErrSignature
	}
	return nil
}

var (
	errKeyAlgorithm    = &refusal{reason: ErrUnknownKey, what: "the key is not for the token's algorithm"}
	errSignatureLength = &refusal{reason: ErrSignature, what: "not of the key's length"}
)

func (a *algorithm) digest(input string) []byte {
	switch a.hash {
	case crypto.SHA256:
		sum := sha256.Sum256([]byte(input))
		return sum[:]
	case crypto.SHA384:
		sum := sha512.Sum384([]byte(input))
		return sum[:]
	default:
		sum := sha512.Sum512([]byte(input))
		return sum[:]
	}
}

var arithmetic atomic.Uint64

// SignatureChecks returns how often [Token.Verify] has got as far as the
// arithmetic of a signature, since the program began. Tests prove with it that
// refusals are cheap.
func SignatureChecks() uint64 { return arithmetic.Load() }
