package jwt

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"math/bits"
	"strings"
	"sync/atomic"

	"filippo.io/bigmod"
)

// A Key verifies signatures. It is not changed once it is in use.
type Key struct {
	// ID is the key's "kid" (RFC 7517 §4.5), "" if it has none.
	ID string
	// Algorithm is the only one that the key is for (RFC 7517 §4.4); "" is
	// any that fits the key.
	Algorithm string
	// RSA is the key: 2048 to 8192 bits (RFC 7518 §3.3), and an odd exponent
	// from 3 to [MaxExponent].
	RSA *rsa.PublicKey
	// Thumbprint is the key's SHA-256 thumbprint (RFC 7638) in base64url.
	Thumbprint string
	// Issuer is the only one whose tokens the key is for, "" if it does not say.
	// "{tenantid}" in it stands for any tenant: see [Key.IsOf].
	Issuer string

	modulus atomic.Pointer[bigmod.Modulus] // see prepared
	spki    atomic.Pointer[[]byte]         // see SPKI
}

// The bounds of a key: its sizes in bits, and the largest exponent that crypto/rsa
// verifies with.
const (
	MinKeyBits  = 2048
	MaxKeyBits  = 8192
	MaxExponent = 1<<31 - 1
)

// UnitCost is the [Key.Cost] of an RSA key of 2048 bits with the usual exponent,
// 65537.
const UnitCost = 100

// Cost is about how much arithmetic one verification with the key takes, in
// hundredths of what it takes with an RSA key of 2048 bits and the exponent 65537:
// the square of the modulus's size, for each squaring and multiplication that the
// exponent asks for. It is from 21 to 10,442. Whoever publishes a key chooses it.
func (k *Key) Cost() int {
	const usual = 2 * 2 * (17 + 2)
	size := (k.RSA.N.BitLen() + 1023) / 1024
	return size * size * (bits.Len(uint(k.RSA.E)) + bits.OnesCount(uint(k.RSA.E))) * UnitCost / usual
}

// IsOf reports whether the key is for tokens of an issuer. Entra ID publishes the
// keys of all tenants in one set, and names in each the issuer that it is for:
// one tenant's, or with "{tenantid}" in place of the tenant's id, any tenant's.
func (k *Key) IsOf(issuer string) bool {
	if k.Issuer == "" {
		return true
	}
	before, after, ok := strings.Cut(k.Issuer, "{tenantid}")
	if !ok {
		return issuer == k.Issuer
	}
	tenant, begins := strings.CutPrefix(issuer, before)
	tenant, ends := strings.CutSuffix(tenant, after)
	return begins && ends && tenant != "" && !strings.Contains(tenant, "/")
}

// Cost is what verifying the token with the key takes: the [Key.Cost], or 0 if the
// length of the signature says already that it is not the key's.
func (t *Token) Cost(k *Key) int {
	if len(t.signature) != k.RSA.Size() {
		return 0
	}
	return k.Cost()
}

// Allows reports whether the key may be used with a signature algorithm: one
// of [Algorithms], and the key's own if it has one.
func (k *Key) Allows(algorithm string) bool {
	return k != nil && k.RSA != nil && IsAlgorithm(algorithm) && (k.Algorithm == "" || k.Algorithm == algorithm)
}

// An algorithm is a signature algorithm of RFC 7518 §3.1.
type algorithm struct {
	name string
	hash crypto.Hash
	pss  bool // RSASSA-PSS (§3.5), or else RSASSA-PKCS1-v1_5 (§3.3)
}

// hashName is the hash's name as an [Arithmetic] knows it.
func (a *algorithm) hashName() string { return "sha" + a.name[2:] }

var algorithms = [...]algorithm{
	{"RS256", crypto.SHA256, false},
	{"RS384", crypto.SHA384, false},
	{"RS512", crypto.SHA512, false},
	{"PS256", crypto.SHA256, true},
	{"PS384", crypto.SHA384, true},
	{"PS512", crypto.SHA512, true},
}

// Algorithms returns the names of the signature algorithms that tokens can be
// verified with.
func Algorithms() []string {
	names := make([]string, len(algorithms))
	for i := range algorithms {
		names[i] = algorithms[i].name
	}
	return names
}

// IsAlgorithm reports whether name is one of [Algorithms].
func IsAlgorithm(name string) bool { return algorithmOf(name) != nil }

func algorithmOf(name string) *algorithm {
	for i := range algorithms {
		if algorithms[i].name == name {
			return &algorithms[i]
		}
	}
	return nil
}

// Verify returns nil if the key made the token's signature, and only then.
//
// The error is [ErrAlgorithm] if the token's algorithm is none of
// [Algorithms]; [ErrUnknownKey] if the key is not for that algorithm, or of a
// size or an exponent that is not used; and [ErrSignature] else. The signature must be
// exactly as long as the key's modulus (RFC 8017 §8.1.2, §8.2.2), and the salt
// of a PSS signature as long as the hash (RFC 7518 §3.5).
func (t *Token) Verify(k *Key) error { return t.VerifyWith(k, nil) }

// An Arithmetic verifies an RSASSA-PKCS1-v1_5 signature (RFC 8017 §8.2.2) over a
// text, with a hash named "sha256", "sha384" or "sha512", in place of this
// package. It returns [ErrUnavailable] if it cannot, which has this package do
// it, and any other error if it is in doubt.
type Arithmetic func(hash string, key *Key, signature []byte, text string) (valid bool, err error)

// ErrUnavailable is what an [Arithmetic] that is not there returns.
var ErrUnavailable = errors.New("signature verification is not available")

// VerifyWith is [Token.Verify] with the arithmetic done by another, where the
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
	if k.RSA.N == nil || k.RSA.N.BitLen() < MinKeyBits || k.RSA.N.BitLen() > MaxKeyBits {
		return errKeySize
	}
	if k.RSA.E < 3 || k.RSA.E&1 == 0 || k.RSA.E > MaxExponent {
		return errKeyExponent
	}
	if len(t.signature) != k.RSA.Size() {
		return errSignatureLength
	}
	if other != nil && !alg.pss {
		valid, err := other(alg.hashName(), k, t.signature, t.signingInput)
		switch {
		case err == nil && valid:
			return nil
		case err == nil:
			return ErrSignature
		case !errors.Is(err, ErrUnavailable):
			return err
		}
	}
	arithmetic.Add(1)
	if !alg.verify(k, t.signingInput, t.signature) {
		return ErrSignature
	}
	return nil
}

var (
	errKeyAlgorithm    = &refusal{reason: ErrUnknownKey, what: "the key is not for the token's algorithm"}
	errKeySize         = &refusal{reason: ErrUnknownKey, what: "the key's size is not used"}
	errKeyExponent     = &refusal{reason: ErrUnknownKey, what: "the key's exponent is not used"}
	errSignatureLength = &refusal{reason: ErrSignature, what: "not of the key's length"}
)

// verify reports whether signature is the key's, over input.
func (a *algorithm) verify(k *Key, input string, signature []byte) bool {
	digest := a.digest(input)
	if a.pss {
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return rsa.VerifyPSS(k.RSA, a.hash, digest, signature, options) == nil
	}
	return verifyPKCS1v15(k, a.hash, digest, signature)
}

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
