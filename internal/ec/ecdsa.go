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
	base := point{x: f.constant(x), y: f.constant(y), z: f.one}
	return newCurve(&weierstrass{field: f, b: f.constant(b)}, base, order)
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

// Verify reports whether a signature is the key's over a digest (FIPS 186-5 §6.4.2). The
// digest is as long as a coordinate, as those of ES256 and ES384 are. The signature
// is r and s, each as long as a coordinate (RFC 7518 §3.4), and below the order
// and not 0. For each s the other one, the order less s, is taken as well.
func (k *ECDSAKey) Verify(digest, signature []byte) bool {
	n, size := k.curve.order, k.curve.group.size
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
	q := k.curve.prepared(&k.tables, point{x: k.x, y: k.y, z: k.curve.group.one})
	sum := k.curve.combine(u.FillBytes(make([]byte, size)), v.FillBytes(make([]byte, size)), q)
	if k.curve.group.isZero(&sum.z) {
		return false
	}
	// The abscissa is below p, and r is what it leaves modulo n. As n < p < 2n, it
	// is r or r+n.
	return k.curve.group.hasAbscissa(sum, r) || k.curve.group.hasAbscissa(sum, r.Add(r, n))
}

// hasAbscissa reports whether x is below p and p's x coordinate.
func (c *weierstrass) hasAbscissa(p *point, x *big.Int) bool {
	if x.BitLen() > 8*c.size {
		return false
	}
	var abscissa, square element
	if !c.setBytes(&abscissa, x.FillBytes(make([]byte, c.size))) {
		return false
	}
	c.sqr(&square, &p.z)
	c.mul(&abscissa, &abscissa, &square)
	return c.equal(&abscissa, &p.x)
}

// Drop frees the tables that [ECDSAKey.Verify] made. The next one makes them anew.
func (k *ECDSAKey) Drop() { k.tables.Store(nil) }
