package jwt

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// A Key verifies signatures. It is made by [NewRSAKey], [NewECKey] or
// [NewEd25519Key], and not changed once it is in use. The zero value verifies
// nothing.
type Key struct {
	// ID is the key's "kid" (RFC 7517 §4.5), "" if it has none.
	ID string
	// Algorithm is the only one that the key is for (RFC 7517 §4.4); "" is
	// any that fits the key.
	Algorithm string
	// Issuer is the only one whose tokens the key is for, "" if it does not say.
	// "{tenantid}" in it stands for any tenant: see [Key.IsOf].
	Issuer string
	// Type is the kind of the key and its size or curve, such as "RSA 2048" or "EC
	// P-256". Keys of other types make signatures of other lengths, or by other
	// algorithms.
	Type string
	// Thumbprint is the key's SHA-256 thumbprint (RFC 7638) in base64url.
	Thumbprint string

	public publicKey
}

// A publicKey is the key itself, of one of the types that JOSE knows.
type publicKey interface {
	// fits reports whether the key verifies signatures of a scheme.
	fits(scheme) bool
	// signatureSize is the length of its signatures, in octets.
	signatureSize() int
	// cost is that of [Key.Cost].
	cost() int
	// verify reports whether a signature of the right length is the key's, by a
	// scheme that fits.
	verify(a *algorithm, input string, signature []byte) bool
	// exchange is the key and a signature in the forms of X.509: a
	// SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), and what a certificate would hold.
	exchange(signature []byte) (spki, value []byte)
}

// newKey is a key of the given type, whose thumbprint is made of the canonical
// JWK.
func newKey(kind, canonical string, public publicKey) *Key {
	sum := sha256.Sum256([]byte(canonical))
	return &Key{Type: kind, Thumbprint: base64.RawURLEncoding.EncodeToString(sum[:]), public: public}
}

// UnitCost is the [Key.Cost] of an RSA key of 2048 bits with the usual exponent,
// 65537.
const UnitCost = 100

// Cost is about how much arithmetic one verification with the key takes, in
// hundredths of what it takes with an RSA key of 2048 bits and the exponent 65537.
// It is from 21 to 10,442. Whoever publishes a key chooses it.
func (k *Key) Cost() int { return k.public.cost() }

// Cost is what verifying the token with the key takes: the [Key.Cost], or 0 if the
// length of the signature says already that it is not the key's.
func (t *Token) Cost(k *Key) int {
	if len(t.signature) != k.public.signatureSize() {
		return 0
	}
	return k.Cost()
}

// Allows reports whether the key may be used with a signature algorithm: one
// of [Algorithms] that fits it, and the key's own if it has one.
func (k *Key) Allows(algorithm string) bool {
	a := algorithmOf(algorithm)
	return k != nil && k.public != nil && a != nil && k.public.fits(a.scheme) &&
		(k.Algorithm == "" || SameAlgorithm(k.Algorithm, algorithm))
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
