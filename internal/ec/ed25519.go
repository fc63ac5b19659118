package ec

import (
	"bytes"
	"crypto/sha512"
	"math/big"
	"slices"
	"sync/atomic"
)

// edwards25519 is the curve of RFC 8032 §5.1.
var edwards25519 = newEdwards(&field25519)

func newEdwards(f *field) *curve[*edwards] {
	c := &edwards{
		field: f,
		d:     f.constant("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3"),
		i:     f.constant("2b8324804fc1df0b2b4d00993dfbd7a72f431806ad2fe478c4ee1b274a0ea0b0"),
		root:  number("0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffd").Bytes(),
	}
	c.plus(&c.d2, &c.d, &c.d)
	base := c.point(
		f.constant("216936d3cd6e53fec0a4e231fdd6dc5c692cc7609525a7b2c9562d608f25d51a"),
		f.constant("6666666666666666666666666666666666666666666666666666666666666658"))
	return newCurve(c, base, "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed")
}

// An Ed25519Key is a public key. Several goroutines may use it at once.
type Ed25519Key struct {
	encoded [32]byte
	x, y    element // of -A
	tables  atomic.Pointer[multiples]
}

// NewEd25519 is the key A that 32 bytes encode (RFC 8032 §5.1.5). The error is [ErrPoint] if
// RFC 8032 §5.1.3 does not decode them. crypto/ed25519 also takes an y that is not
// below 2^255-19, and a sign of an x that is 0.
func NewEd25519(encoded []byte) (*Ed25519Key, error) {
	c := edwards25519.group
	x, y, ok := c.decode(encoded)
	if !ok {
		return nil, ErrPoint
	}
	c.negate(&x)
	return &Ed25519Key{encoded: [32]byte(encoded), x: x, y: y}, nil
}

// Verify reports whether a signature, R and S, is the key's over a message (RFC 8032
// §5.1.7). The verdict is that of crypto/ed25519, for each key that [NewEd25519] takes:
//
//   - S is below the order L of the base point.
//   - R is the encoding of [S]B - [k]A, byte for byte. So it is encoded as RFC 8032 §5.1.2
//     has it, and the equation is the one without the cofactor 8.
//   - The hash is reduced to k modulo L, which matters if the order of A is not L.
//   - A and R may be of small order.
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
	h.Write(k.encoded[:])
	h.Write(message)
	digest := h.Sum(nil)
	slices.Reverse(digest)
	hash := new(big.Int).SetBytes(digest)
	hash.Mod(hash, c.order)
	sum := c.combine(s, hash.FillBytes(make([]byte, 32)), c.prepared(&k.tables, c.group.point(k.x, k.y)))
	return bytes.Equal(c.group.encode(sum), r)
}

// HasSmallOrder reports whether the order of A divides 8. Signatures of such a key can be made
// without its private key.
func (k *Ed25519Key) HasSmallOrder() bool {
	c := edwards25519.group
	p := c.point(k.x, k.y)
	for range 3 {
		c.double(&p)
	}
	return c.isZero(&p.x) && c.equal(&p.y, &p.z)
}
