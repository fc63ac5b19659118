package jwt

import (
	"encoding/base64"
	"errors"
	"math/big"

	"orgate/internal/ec"
)

// A curve is one of FIPS 186-4 D.1.2, and the scheme of its signatures (RFC 7518
// §3.4).
type curve struct {
	name   string // RFC 7518 §6.2.1.1
	scheme scheme
	size   int    // of a coordinate, in octets
	oid    string // RFC 5480 §2.1.1.1, in DER
	cost   int    // see [Key.Cost]
	// point makes the key of two coordinates, if they are a point of the curve.
	point func(x, y []byte) (verifier, error)
}

// A verifier verifies ECDSA signatures: r and s, each as long as a coordinate.
type verifier interface {
	Verify(digest, signature []byte) bool
}

var curves = [...]curve{
	{"P-256", ecdsaP256, 32, "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 85,
		func(x, y []byte) (verifier, error) { return ec.NewP256(x, y) }},
	{"P-384", ecdsaP384, 48, "\x06\x05\x2b\x81\x04\x00\x22", 200,
		func(x, y []byte) (verifier, error) { return ec.NewP384(x, y) }},
	{"P-521", ecdsaP521, 66, "\x06\x05\x2b\x81\x04\x00\x23", 300, newP521},
}

// ecKey is a public key of ECDSA.
type ecKey struct {
	*curve
	point verifier
	x, y  []byte
}

// NewECKey is the key of two coordinates on a curve (RFC 7518 §6.2.1): "P-256" for
// ES256, "P-384" for ES384, or "P-521" for ES512. Zeros that are missing in front
// of a coordinate make no difference. The error says what is wrong.
func NewECKey(name string, x, y []byte) (*Key, error) {
	for i := range curves {
		if curves[i].name == name {
			return newECKey(&curves[i], x, y)
		}
	}
	return nil, errors.New("the curve is neither P-256, P-384 nor P-521")
}

func newECKey(c *curve, x, y []byte) (*Key, error) {
	if len(x) > c.size || len(y) > c.size {
		return nil, errors.New("a coordinate is too long for " + c.name)
	}
	k := &ecKey{curve: c, x: padded(x, c.size), y: padded(y, c.size)}
	var err error
	if k.point, err = c.point(k.x, k.y); err != nil {
		return nil, errors.New("no point of " + c.name)
	}
	encode := base64.RawURLEncoding.EncodeToString
	canonical := `{"crv":"` + c.name + `","kty":"EC","x":"` + encode(k.x) + `","y":"` + encode(k.y) + `"}`
	return newKey("EC "+c.name, canonical, k), nil
}

// padded is a copy of a number with zeros in front.
func padded(number []byte, size int) []byte {
	b := make([]byte, size)
	copy(b[size-len(number):], number)
	return b
}

func (k *ecKey) fits(s scheme) bool { return s == k.scheme }

func (k *ecKey) signatureSize() int { return 2 * k.size }

func (k *ecKey) cost() int { return k.curve.cost }

func (k *ecKey) verify(a *algorithm, input string, signature []byte) bool {
	return k.point.Verify(a.digest(input), signature)
}

// exchange writes the point uncompressed (RFC 5480 §2.2) and the signature as an
// Ecdsa-Sig-Value (RFC 3279 §2.2.3).
func (k *ecKey) exchange(signature []byte) (spki, value []byte) {
	algorithm := der(tagSequence, []byte(ecPublicKey+k.oid))
	point := append(append([]byte{4}, k.x...), k.y...)
	r := derInteger(new(big.Int).SetBytes(signature[:k.size]))
	s := derInteger(new(big.Int).SetBytes(signature[k.size:]))
	return subjectPublicKeyInfo(string(algorithm), point), der(tagSequence, append(r, s...))
}

// Numbers of P-521 (FIPS 186-4 D.1.2.5).
var (
	p521Prime = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 521), big.NewInt(1))
	p521B, _  = new(big.Int).SetString("051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef10"+
		"9e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00", 16)
)

// elsewhere verifies nothing: the arithmetic is not in this package.
type elsewhere struct{}

func (elsewhere) Verify(_, _ []byte) bool { return false }

// newP521 checks that the coordinates are a point: below the prime, and
// y² = x³ - 3x + b.
func newP521(x, y []byte) (verifier, error) {
	nx, ny := new(big.Int).SetBytes(x), new(big.Int).SetBytes(y)
	right := new(big.Int).Mul(nx, nx)
	right.Sub(right, big.NewInt(3)).Mul(right, nx).Add(right, p521B).Mod(right, p521Prime)
	left := new(big.Int).Mul(ny, ny)
	if nx.Cmp(p521Prime) >= 0 || ny.Cmp(p521Prime) >= 0 || left.Mod(left, p521Prime).Cmp(right) != 0 {
		return nil, ec.ErrPoint
	}
	return elsewhere{}, nil
}

// ed25519Key is a public key of EdDSA (RFC 8037).
type ed25519Key struct {
	*ec.Ed25519Key
}

// NewEd25519Key is the key that 32 octets encode (RFC 8032 §5.1.5), for EdDSA. The
// error says that they encode no point, or one that anybody can sign for.
func NewEd25519Key(encoded []byte) (*Key, error) {
	key, err := ec.NewEd25519(encoded)
	if err != nil {
		return nil, errors.New("no point of Ed25519")
	}
	if key.HasSmallOrder() {
		return nil, errors.New("a point of small order, whose signatures anybody can make")
	}
	canonical := `{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(encoded) + `"}`
	return newKey("OKP Ed25519", canonical, &ed25519Key{key}), nil
}

func (k *ed25519Key) fits(s scheme) bool { return s == ed25519 }

func (k *ed25519Key) signatureSize() int { return 64 }

func (k *ed25519Key) cost() int { return 90 }

func (k *ed25519Key) verify(_ *algorithm, input string, signature []byte) bool {
	return k.Verify([]byte(input), signature)
}

// exchange is never called: proxies verify no EdDSA.
func (k *ed25519Key) exchange([]byte) (spki, value []byte) { return nil, nil }
