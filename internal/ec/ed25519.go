package ec

import (
	"bytes"
	"crypto/sha512"
	"math/big"
	"slices"
	"sync/atomic"
)

var edwards25519 = newEd25519()

func newEd25519() *curve[*edwards] {
	f := &field25519
	c := &edwards{
		field: f,
		d:     f.constant("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3"),
		i:     f.constant("2b8324804fc1df0b2b4d00993dfbd7a72f431806ad2fe478c4ee1b274a0ea0b0"),
		root:  number("0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffd").Bytes(),
	}
	c.plus(&c.d2, &c.d, &c.d)
	base := point{
		x: f.constant("216936d3cd6e53fec0a4e231fdd6dc5c692cc7609525a7b2c9562d608f25d51a"),
		y: f.constant("6666666666666666666666666666666666666666666666666666666666666658"),
		z: f.one,
	}
	c.mul(&base.t, &base.x, &base.y)
	return newCurve(c, base, "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed")
}

// An Ed25519Key is a public key. Several goroutines may use it at once.
type Ed25519Key struct {
	encoded []byte
	minusA  point
	tables  atomic.Pointer[multiples]
}

// NewEd25519 is the key that 32 bytes encode (RFC 8032 §5.1.5). The error is [ErrPoint]
// if they encode no point, or encode it as RFC 8032 §5.1.3 does not: with an y that is
// not below 2^255-19, or with the sign of an x that is 0.
func NewEd25519(encoded []byte) (*Ed25519Key, error) {
	c := edwards25519.group
	a, ok := c.decode(encoded)
	if !ok {
		return nil, ErrPoint
	}
	c.negate(&a.x)
	c.negate(&a.t)
	return &Ed25519Key{encoded: slices.Clone(encoded), minusA: a}, nil
}

// Verify reports whether a signature is the key's over a message (RFC 8032 §5.1.7). It
// decides as [crypto/ed25519.Verify] does if that is given a key that [NewEd25519]
// takes:
//
//   - S is below the order L of the base point;
//   - the encoding of R is that of the point [S]B - [k]A, byte for byte; so it is one
//     that §5.1.3 knows, and the equation is the one without the cofactor;
//   - k is reduced modulo L, which matters if A's order is not L;
//   - points of small order are taken, as R and as A.
func (k *Ed25519Key) Verify(message, signature []byte) bool {
	if len(signature) != 64 {
		return false
	}
	c := edwards25519
	r, s := signature[:32], slices.Clone(signature[32:])
	slices.Reverse(s)
	if new(big.Int).SetBytes(s).Cmp(c.order) >= 0 {
		return false
	}
	h := sha512.New()
	h.Write(r)
	h.Write(k.encoded)
	h.Write(message)
	digest := h.Sum(nil)
	slices.Reverse(digest)
	scalar := new(big.Int).SetBytes(digest)
	scalar.Mod(scalar, c.order)
	sum := c.combine(s, scalar.FillBytes(make([]byte, 32)), c.prepared(&k.tables, k.minusA))
	return bytes.Equal(c.group.encode(sum), r)
}

// Drop frees the tables that [Ed25519Key.Verify] made. The next one makes them anew.
func (k *Ed25519Key) Drop() { k.tables.Store(nil) }
