package ec

import (
	"bytes"
	"fmt"
	"math/big"
	"sync"
	"testing"
)

// A textbook is a curve in affine coordinates and with math/big, by the formulas that
// define it. It is what this package's points are held against.
type textbook struct {
	p, n, b, d *big.Int // a Weierstrass curve has b, and the Edwards curve d
	base       pair

	once   sync.Once
	powers []pair // the base point, twice that, four times and so on
}

// A pair is a point. The identity of a Weierstrass curve is the zero value.
type pair struct{ x, y *big.Int }

func (a pair) String() string { return fmt.Sprintf("(%#x, %#x)", a.x, a.y) }

var (
	textbookP256 = &textbook{
		p: hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"),
		n: hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
		b: hex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"),
		base: pair{
			hex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
			hex("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
		},
	}
	textbookP384 = &textbook{
		p: hex("fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff"),
		n: hex("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973"),
		b: hex("b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef"),
		base: pair{
			hex("aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7"),
			hex("3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f"),
		},
	}
	textbookEdwards = &textbook{
		p: hex("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed"),
		n: hex("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed"),
		d: hex("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3"),
		base: pair{
			hex("216936d3cd6e53fec0a4e231fdd6dc5c692cc7609525a7b2c9562d608f25d51a"),
			hex("6666666666666666666666666666666666666666666666666666666666666658"),
		},
	}
)

func hex(digits string) *big.Int {
	n, ok := new(big.Int).SetString(digits, 16)
	if !ok {
		panic(digits)
	}
	return n
}

func integer(i int64) *big.Int { return big.NewInt(i) }

func power(e int) *big.Int { return new(big.Int).Lsh(integer(1), uint(e)) }

func sum(x, y *big.Int) *big.Int        { return new(big.Int).Add(x, y) }
func difference(x, y *big.Int) *big.Int { return new(big.Int).Sub(x, y) }

func (t *textbook) mod(x *big.Int) *big.Int { return new(big.Int).Mod(x, t.p) }

func (t *textbook) mul(x, y *big.Int) *big.Int { return t.mod(new(big.Int).Mul(x, y)) }

func (t *textbook) div(x, y *big.Int) *big.Int {
	return t.mul(x, new(big.Int).ModInverse(t.mod(y), t.p))
}

func (t *textbook) identity() pair {
	if t.d != nil {
		return pair{integer(0), integer(1)}
	}
	return pair{}
}

func (t *textbook) negate(a pair) pair {
	switch {
	case t.d != nil:
		return pair{t.mod(new(big.Int).Neg(a.x)), a.y}
	case a.x == nil:
		return a
	default:
		return pair{a.x, t.mod(new(big.Int).Neg(a.y))}
	}
}

func (t *textbook) add(a, b pair) pair {
	if t.d != nil {
		xx, yy := t.mul(a.x, b.x), t.mul(a.y, b.y)
		dxy := t.mul(t.d, t.mul(xx, yy))
		under, below := sum(integer(1), dxy), difference(integer(1), dxy)
		inverse := t.div(integer(1), t.mul(under, below))
		return pair{
			t.mul(t.mul(sum(t.mul(a.x, b.y), t.mul(a.y, b.x)), below), inverse),
			t.mul(t.mul(sum(yy, xx), under), inverse),
		}
	}
	if a.x == nil {
		return b
	}
	if b.x == nil {
		return a
	}
	var slope *big.Int
	switch {
	case a.x.Cmp(b.x) != 0:
		slope = t.div(difference(b.y, a.y), difference(b.x, a.x))
	case a.y.Cmp(b.y) == 0:
		slope = t.div(t.mul(integer(3), difference(t.mul(a.x, a.x), integer(1))), sum(a.y, a.y))
	default:
		return t.identity()
	}
	x := t.mod(difference(t.mul(slope, slope), sum(a.x, b.x)))
	return pair{x, t.mod(difference(t.mul(slope, difference(a.x, x)), a.y))}
}

// times is k·a for k ≥ 0.
func (t *textbook) times(k *big.Int, a pair) pair {
	sum := t.identity()
	for i := k.BitLen() - 1; i >= 0; i-- {
		sum = t.add(sum, sum)
		if k.Bit(i) == 1 {
			sum = t.add(sum, a)
		}
	}
	return sum
}

// multiple is k times the base point.
func (t *textbook) multiple(k *big.Int) pair {
	t.once.Do(func() {
		p := t.base
		for range t.n.BitLen() {
			t.powers = append(t.powers, p)
			p = t.add(p, p)
		}
	})
	sum := t.identity()
	for i := range k.BitLen() {
		if k.Bit(i) == 1 {
			sum = t.add(sum, t.powers[i])
		}
	}
	return sum
}

// at is a point of a Weierstrass curve with the given x, if there is one.
func (t *textbook) at(x *big.Int) (pair, bool) {
	right := sum(t.mul(x, difference(t.mul(x, x), integer(3))), t.b)
	y := new(big.Int).ModSqrt(t.mod(right), t.p)
	return pair{x, y}, y != nil
}

// level are points of a Weierstrass curve with one y and several x.
func (t *textbook) level() []pair {
	for x := integer(2); ; x.Add(x, integer(1)) {
		a, ok := t.at(x)
		// The other x are the roots of x'² + x·x' + x² - 3.
		root := new(big.Int).ModSqrt(t.mod(difference(integer(12), t.mul(integer(3), t.mul(x, x)))), t.p)
		if ok && root != nil && root.Sign() != 0 {
			return []pair{
				{new(big.Int).Set(x), a.y},
				{t.div(difference(root, x), integer(2)), a.y},
				{t.div(sum(root, x), integer(-2)), a.y},
			}
		}
	}
}

// encode is the encoding of a point of the Edwards curve.
func (t *textbook) encode(a pair) []byte {
	b := a.y.FillBytes(make([]byte, 32))
	b[0] |= byte(a.x.Bit(0)) << 7
	return reversed(b)
}

func reversed(b []byte) []byte {
	r := make([]byte, len(b))
	for i := range b {
		r[len(b)-1-i] = b[i]
	}
	return r
}

func (t *textbook) size() int { return (t.p.BitLen() + 7) / 8 }

func (t *textbook) bytes(x *big.Int) []byte { return x.FillBytes(make([]byte, t.size())) }

func TestTextbook(t *testing.T) {
	for _, s := range specimens() {
		if got, want := s.book.times(s.book.n, s.book.base), s.book.identity(); !same(got, want) {
			t.Errorf("%s: the order times the base point is %v, not the identity", s.name, got)
		}
	}
	want := append([]byte{0x58}, bytes.Repeat([]byte{0x66}, 31)...)
	if got := textbookEdwards.encode(textbookEdwards.base); !bytes.Equal(got, want) {
		t.Errorf("the base point is encoded as %x, want %x", got, want)
	}
}

func same(a, b pair) bool {
	if a.x == nil || b.x == nil {
		return a.x == nil && b.x == nil
	}
	return a.x.Cmp(b.x) == 0 && a.y.Cmp(b.y) == 0
}
