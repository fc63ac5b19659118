package ec

import (
	"bytes"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
)

// fields are the fields, and what there is to know of them.
var fields = []struct {
	name string
	f    *field
	e    int // the exponent that p is near
	p    *big.Int
}{
	{"P-256", &fieldP256, 256, textbookP256.p},
	{"P-384", &fieldP384, 384, textbookP384.p},
	{"25519", &field25519, 255, textbookEdwards.p},
}

// integer is what the limbs say.
func (f *field) integer(x *element) *big.Int {
	n := new(big.Int)
	for i := f.limbs - 1; i >= 0; i-- {
		n.Add(n.Lsh(n, uint(f.width)), integer(int64(x[i])))
	}
	return n
}

// element is the element of an integer.
func (f *field) element(n *big.Int) (x element) {
	rest := new(big.Int).Set(n)
	for i := range f.limbs - 1 {
		x[i] = int32(new(big.Int).And(rest, integer(1<<f.width-1)).Int64())
		rest.Rsh(rest, uint(f.width))
	}
	x[f.limbs-1] = int32(rest.Int64())
	return x
}

// radix is R.
func (f *field) radix() *big.Int { return power(f.limbs * f.width) }

// bounds are the least and the greatest integer of an element.
func bounds(e int) (least, greatest *big.Int) {
	margin := power(e - 4)
	return difference(integer(1), margin), difference(sum(power(e), margin), integer(1))
}

// checkForm fails if x is not in the form that all elements have.
func checkForm(t *testing.T, f *field, e int, x *element) {
	t.Helper()
	for i, limb := range x {
		switch {
		case i >= f.limbs && limb != 0:
			t.Fatalf("limb %d is %d, of only %d limbs", i, limb, f.limbs)
		case i < f.limbs-1 && (limb < 0 || limb >= 1<<f.width):
			t.Fatalf("limb %d is %#x", i, limb)
		}
	}
	least, greatest := bounds(e)
	if n := f.integer(x); n.Cmp(least) < 0 || n.Cmp(greatest) > 0 {
		t.Fatalf("%#x is out of bounds", n)
	}
}

// extremes are integers at the bounds of elements and of limbs.
func extremes(f *field, e int, p *big.Int) []*big.Int {
	least, greatest := bounds(e)
	all := []*big.Int{
		integer(0), integer(1), integer(2), integer(-1), integer(-2),
		p, sum(p, integer(1)), difference(p, integer(1)), new(big.Int).Rsh(p, 1),
		least, sum(least, integer(1)), greatest, difference(greatest, integer(1)),
		power(e), difference(power(e), integer(1)), sum(power(e), integer(1)),
		f.integer(&f.one), f.integer(&f.square),
	}
	top := uint(f.width * (f.limbs - 1))
	for i := range f.limbs { // one limb full and all but one, with the last limb at its bounds
		full := new(big.Int).Lsh(integer(1<<f.width-1), uint(i*f.width))
		ones := difference(power(f.width*(f.limbs-1)), integer(1))
		full.And(full, ones)
		for _, n := range []*big.Int{full, new(big.Int).Xor(ones, full)} {
			for _, bound := range []*big.Int{least, greatest} {
				last := new(big.Int).Rsh(bound, top)
				if n := sum(new(big.Int).Lsh(last, top), n); n.Cmp(least) >= 0 && n.Cmp(greatest) <= 0 {
					all = append(all, n)
				}
			}
		}
	}
	return all
}

func TestConstants(t *testing.T) {
	for _, test := range fields {
		f := test.f
		if got := f.integer(&f.p); got.Cmp(test.p) != 0 {
			t.Errorf("%s: p is %#x", test.name, got)
		}
		if got, want := f.integer(&f.one), new(big.Int).Mod(f.radix(), test.p); got.Cmp(want) != 0 {
			t.Errorf("%s: R is %#x, want %#x", test.name, got, want)
		}
		square := new(big.Int).Mul(f.radix(), f.radix())
		if got, want := f.integer(&f.square), square.Mod(square, test.p); got.Cmp(want) != 0 {
			t.Errorf("%s: R² is %#x, want %#x", test.name, got, want)
		}
	}
}

// TestElements is the arithmetic at the bounds of elements: with each pair of extremes,
// and with random ones.
func TestElements(t *testing.T) {
	for _, test := range fields {
		t.Run(test.name, func(t *testing.T) {
			all := extremes(test.f, test.e, test.p)
			for i, x := range all {
				checkElement(t, test.f, test.e, test.p, x)
				for j, y := range all {
					factors := (i + j) % len(widest)
					checkArithmetic(t, test.f, test.e, test.p, x, y, widest[factors:factors+1])
				}
			}
			least, greatest := bounds(test.e)
			span := difference(greatest, least)
			random := rand.New(rand.NewPCG(1, 2))
			for range 500 {
				x := sum(least, below(random, span))
				checkElement(t, test.f, test.e, test.p, x)
				checkArithmetic(t, test.f, test.e, test.p, x, all[random.IntN(len(all))], widest)
				checkArithmetic(t, test.f, test.e, test.p, x, sum(least, below(random, span)), usual)
			}
		})
	}
}

func below(random *rand.Rand, n *big.Int) *big.Int {
	b := make([]byte, len(n.Bytes())+8)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	x := new(big.Int).SetBytes(b)
	return x.Mod(x, n)
}

// The factors of lin that this package has, and the largest that lin takes.
var (
	usual = [][2]int64{
		{1, 1}, {1, -1}, {-1, 0}, {2, 0}, {3, 3}, {1, -8}, {4, -1}, {1, -2}, {1, -3}, {-1, -1}, {2, -1}, {2, 1},
	}
	widest = [][2]int64{{16, 0}, {-16, 0}, {0, -16}, {8, 8}, {8, -8}, {-8, -8}, {-15, 1}}
)

func checkArithmetic(t *testing.T, f *field, e int, p, xx, yy *big.Int, factors [][2]int64) {
	t.Helper()
	x, y := f.element(xx), f.element(yy)
	checkForm(t, f, e, &x)
	checkForm(t, f, e, &y)
	check := func(what string, z element, want *big.Int) {
		t.Helper()
		checkForm(t, f, e, &z)
		if difference := difference(f.integer(&z), want); difference.Mod(difference, p).Sign() != 0 {
			t.Fatalf("%s for x = %#x and y = %#x is %#x", what, xx, yy, f.integer(&z))
		}
	}
	over := new(big.Int).ModInverse(f.radix(), p)
	var z element
	f.mul(&z, &x, &y)
	product := new(big.Int).Mul(xx, yy)
	check("x·y", z, product.Mul(product, over))
	f.sqr(&z, &x)
	square := new(big.Int).Mul(xx, xx)
	check("x²", z, square.Mul(square, over))
	for _, factor := range factors {
		f.lin(&z, factor[0], &x, factor[1], &y)
		want := sum(new(big.Int).Mul(integer(factor[0]), xx), new(big.Int).Mul(integer(factor[1]), yy))
		check(fmt.Sprintf("%d·x + %d·y", factor[0], factor[1]), z, want)
	}
	// Arguments may be results.
	z = x
	f.mul(&z, &z, &z)
	check("x·x", z, square)
	z = x
	f.lin(&z, 3, &z, -2, &z)
	check("3·x - 2·x", z, xx)

	equal := new(big.Int).Mod(difference(xx, yy), p).Sign() == 0
	if f.equal(&x, &y) != equal {
		t.Fatalf("%#x and %#x: equal is %v", xx, yy, !equal)
	}
}

// checkElement is what there is to check of one element.
func checkElement(t *testing.T, f *field, e int, p, n *big.Int) {
	t.Helper()
	x := f.element(n)
	zero := new(big.Int).Mod(n, p).Sign() == 0
	if f.isZero(&x) != zero {
		t.Fatalf("%#x is taken for 0, or 0 is not", n)
	}
	number := new(big.Int).Mul(n, new(big.Int).ModInverse(f.radix(), p))
	encoded := number.Mod(number, p).FillBytes(make([]byte, f.size))
	if got := f.bytes(&x); !bytes.Equal(got, encoded) {
		t.Fatalf("%#x is written as %x, want %x", n, got, encoded)
	}
	var z element
	if !f.setBytes(&z, encoded) || !f.equal(&z, &x) {
		t.Fatalf("%#x is not read from what it was written to", n)
	}
	checkForm(t, f, e, &z)
	if !zero {
		f.invert(&z, &x)
		checkForm(t, f, e, &z)
		f.mul(&z, &z, &x)
		if !f.equal(&z, &f.one) {
			t.Fatalf("%#x times its inverse is not 1", n)
		}
	}
}

func TestSetBytes(t *testing.T) {
	for _, test := range fields {
		f := test.f
		check := func(want bool, numbers ...*big.Int) {
			for _, n := range numbers {
				if got := f.setBytes(new(element), n.FillBytes(make([]byte, f.size))); got != want {
					t.Errorf("%s: %#x is taken: %v, want %v", test.name, n, got, want)
				}
			}
		}
		check(true, integer(0), integer(1), new(big.Int).Rsh(test.p, 1))
		check(false, test.p, difference(power(8*f.size), integer(1)))
		for i := range f.limbs {
			check(true, difference(test.p, power(i*f.width)))
			if above := sum(test.p, power(i*f.width)); above.BitLen() <= 8*f.size {
				check(false, above)
			}
		}
		for _, size := range []int{0, 1, f.size - 1, f.size + 1, 2 * f.size} {
			if f.setBytes(new(element), make([]byte, size)) {
				t.Errorf("%s: %d bytes are taken", test.name, size)
			}
		}
	}
}

func TestPow(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, test := range fields {
		f := test.f
		for _, exponent := range []*big.Int{integer(0), integer(1), integer(15), integer(16), integer(0xf0),
			integer(0x123456789), difference(test.p, integer(2))} {
			number := below(random, test.p)
			var x element
			f.setBytes(&x, number.FillBytes(make([]byte, f.size)))
			var z element
			f.pow(&z, &x, exponent.Bytes())
			want := new(big.Int).Exp(number, exponent, test.p)
			if got := new(big.Int).SetBytes(f.bytes(&z)); got.Cmp(want) != 0 {
				t.Errorf("%s: %#x^%#x is %#x, want %#x", test.name, number, exponent, got, want)
			}
		}
	}
}
