package ec

import (
	"math/big"
	"sync/atomic"
)

// The curves of FIPS 186-4, D.1.2.3 and D.1.2.4.
var (
	p256 = newWeierstrass(&fieldP256,
		"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
		"5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
		"6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
		"4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
	p384 = newWeierstrass(&fieldP384,
		"ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
		"b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
		"aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
		"3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f")
)

func newWeierstrass(f *field, order, b, x, y string) *curve[*weierstrass] {
	c := &weierstrass{field: f, b: f.constant(b)}
	return newCurve(c, c.point(f.constant(x), f.constant(y)), order)
}

// An ECDSAKey is a public key. Several goroutines may use it at once.
type ECDSAKey struct {
	curve  *curve[*weierstrass]
	x, y   element
	tables atomic.Pointer[multiples]
}

// NewP256 is the key of two coordinates, 32 bytes each in big-endian order (RFC 7518
// §6.2.1). The error is [ErrPoint] if they are no point of P-256.
func NewP256(x, y []byte) (*ECDSAKey, error) { return newECDSAKey(p256, x, y) }

// NewP384 is the key of two coordinates, 48 bytes each. The error is [ErrPoint] if they
// are no point of P-384.
func NewP384(x, y []byte) (*ECDSAKey, error) { return newECDSAKey(p384, x, y) }

func newECDSAKey(c *curve[*weierstrass], x, y []byte) (*ECDSAKey, error) {
	k := &ECDSAKey{curve: c}
	if !c.group.setBytes(&k.x, x) || !c.group.setBytes(&k.y, y) || !c.group.has(&k.x, &k.y) {
		return nil, ErrPoint
	}
	return k, nil
}

// Verify reports whether a signature, r and s, is the key's over a digest (FIPS 186-5
// §6.4.2). The digest is as long as a coordinate: ES256 has SHA-256, and ES384 has SHA-384. So are
// r and s (RFC 7518 §3.4), which are from 1 to n-1, for the order n. If s is good then n-s is, too.
func (k *ECDSAKey) Verify(digest, signature []byte) bool {
	c, n, size := k.curve, k.curve.order, k.curve.group.size
	if len(digest) != size || len(signature) != 2*size {
		return false
	}
	r := new(big.Int).SetBytes(signature[:size])
	s := new(big.Int).SetBytes(signature[size:])
	if r.Sign() == 0 || r.Cmp(n) >= 0 || s.Sign() == 0 || s.Cmp(n) >= 0 {
		return false
	}
	inverse := s.ModInverse(s, n)
	u := new(big.Int).SetBytes(digest)
	u.Mod(u.Mul(u, inverse), n)
	v := inverse.Mul(inverse, r)
	v.Mod(v, n)
	q := c.prepared(&k.tables, c.group.point(k.x, k.y))
	sum := c.combine(u.FillBytes(make([]byte, size)), v.FillBytes(make([]byte, size)), q)
	if c.group.isZero(&sum.z) {
		return false
	}
	// r is the remainder of the sum's x modulo n. As x < p < 2n, it is x or x-n.
	return c.group.hasX(sum, r) || c.group.hasX(sum, r.Add(r, n))
}
