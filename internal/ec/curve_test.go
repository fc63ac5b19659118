package ec

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

// A specimen is a curve of this package, in a form that does not depend on its group,
// and the textbook's.
type specimen struct {
	name      string
	group     group
	book      *textbook
	multiples func(q point, width int) *multiples
	combine   func(u, v []byte, q *multiples) *point
}

func specimens() []specimen {
	return []specimen{
		{"P-256", p256.group, textbookP256, p256.multiples, p256.combine},
		{"P-384", p384.group, textbookP384, p384.multiples, p384.combine},
		{"Ed25519", edwards25519.group, textbookEdwards, edwards25519.multiples, edwards25519.combine},
	}
}

// point is a point with the given z.
func (s *specimen) point(a pair, z *big.Int) point {
	f := s.group.numbers()
	if a.x == nil {
		return s.group.identity()
	}
	x, y := s.book.mul(a.x, z), s.book.mul(a.y, z)
	if s.book.d == nil {
		x, y = s.book.mul(x, z), s.book.mul(s.book.mul(y, z), z)
	}
	set := func(n *big.Int) (z element) {
		f.setBytes(&z, s.book.bytes(n))
		return z
	}
	p := point{x: set(x), y: set(y), z: set(z)}
	if s.book.d != nil {
		p.t = set(s.book.div(s.book.mul(x, y), z))
	}
	return p
}

// pair is what a point is. It fails if z or t is wrong.
func (s *specimen) pair(t *testing.T, p *point) pair {
	t.Helper()
	f := s.group.numbers()
	number := func(x *element) *big.Int { return new(big.Int).SetBytes(f.bytes(x)) }
	x, y, z := number(&p.x), number(&p.y), number(&p.z)
	if s.book.d == nil {
		if z.Sign() == 0 {
			return pair{}
		}
		zz := s.book.mul(z, z)
		return pair{s.book.div(x, zz), s.book.div(y, s.book.mul(zz, z))}
	}
	if z.Sign() == 0 {
		t.Fatal("z is 0")
	}
	if s.book.mul(number(&p.t), z).Cmp(s.book.mul(x, y)) != 0 {
		t.Fatal("t is not xy/z")
	}
	return pair{s.book.div(x, z), s.book.div(y, z)}
}

// affine is the point as it is added.
func (s *specimen) affine(a pair) affine {
	one := s.point(a, integer(1))
	return s.group.affine(&one, &s.group.numbers().one)
}

// TestGroup adds and doubles points, among which are all exceptions: the same point twice, a
// point and its opposite, and the identity; and what could be taken for one: points with the same
// y. On the Edwards curve there are those of small order as well.
func TestGroup(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, s := range specimens() {
		t.Run(s.name, func(t *testing.T) {
			var points []pair
			for _, k := range []int64{1, 2, 3, 4, 5} {
				p := s.book.multiple(integer(k))
				points = append(points, p, s.book.negate(p))
			}
			points = append(points, s.book.multiple(below(random, s.book.n)))
			if s.book.d != nil {
				for _, p := range torsion() {
					points = append(points, p, s.book.add(p, points[0]))
				}
			} else {
				points = append(points, s.book.level()...)
			}
			identity := s.group.identity()
			if got := s.pair(t, &identity); !same(got, s.book.identity()) {
				t.Errorf("the identity is %v", got)
			}
			for _, a := range append(points, s.book.identity()) {
				for _, z := range []*big.Int{integer(1), difference(s.book.p, integer(1)), below(random, s.book.p)} {
					p := s.point(a, z)
					if got := s.pair(t, &p); !same(got, a) {
						t.Fatalf("the test makes %v of %v", got, a)
					}
					s.group.double(&p)
					if got, want := s.pair(t, &p), s.book.add(a, a); !same(got, want) {
						t.Errorf("twice %v is %v, want %v", a, got, want)
					}
					for _, b := range points {
						p, q := s.point(a, z), s.affine(b)
						s.group.add(&p, &q)
						if got, want := s.pair(t, &p), s.book.add(a, b); !same(got, want) {
							t.Errorf("%v and %v are %v, want %v", a, b, got, want)
						}
						p = s.point(a, z)
						s.group.opposite(&q)
						s.group.add(&p, &q)
						if got, want := s.pair(t, &p), s.book.add(a, s.book.negate(b)); !same(got, want) {
							t.Errorf("%v less %v is %v, want %v", a, b, got, want)
						}
					}
				}
			}
		})
	}
}

// torsion are the eight points of the Edwards curve whose order divides 8.
func torsion() []pair {
	book := textbookEdwards
	for y := int64(2); y < 100; y++ { // the order times a point of order 8n is of order 8
		x, _, ok := edwards25519.group.decode(reversed(book.bytes(integer(y))))
		if !ok {
			continue
		}
		of8 := book.times(book.n, pair{new(big.Int).SetBytes(edwards25519.group.bytes(&x)), integer(y)})
		if same(book.times(integer(4), of8), book.identity()) {
			continue
		}
		all := []pair{book.identity()}
		for range 7 {
			all = append(all, book.add(all[len(all)-1], of8))
		}
		return all
	}
	panic("no point of order 8")
}

// TestIdentityOfTwoElements has a z that is p and not 0, which is the same.
func TestIdentityOfTwoElements(t *testing.T) {
	for _, s := range specimens()[:2] {
		p := s.group.identity()
		p.z = s.group.numbers().p
		s.group.double(&p)
		if got := s.pair(t, &p); got.x != nil {
			t.Errorf("%s: twice the identity is %v", s.name, got)
		}
		q := s.affine(s.book.base)
		s.group.add(&p, &q)
		if got := s.pair(t, &p); !same(got, s.book.base) {
			t.Errorf("%s: the identity and the base point are %v", s.name, got)
		}
	}
}

// edges are scalars at the ends of their range, of their halves and of digits.
func edges(s *specimen) []*big.Int {
	n := s.book.n
	half := n.BitLen()/2 + 1
	all := []*big.Int{integer(0), integer(1), integer(2), integer(3), integer(15), integer(16), integer(17),
		integer(31)}
	for _, e := range []int{half - 1, half, half + 1, n.BitLen() - 2, n.BitLen() - 1} {
		all = append(all, power(e), difference(power(e), integer(1)), sum(power(e), integer(1)))
	}
	all = append(all, new(big.Int).Rsh(n, 1))
	var valid []*big.Int
	for _, k := range all {
		for _, k := range []*big.Int{k, difference(n, k)} {
			if k.Sign() >= 0 && k.Cmp(n) < 0 {
				valid = append(valid, k)
			}
		}
	}
	return valid
}

// TestCombine is u·G + v·Q for Q = d·G, with edges as d, u and v: sums meet the points of
// the tables, their opposites and the identity on their way, and at their end.
func TestCombine(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for _, s := range specimens() {
		t.Run(s.name, func(t *testing.T) {
			all := edges(&s)
			check := func(u, v, d *big.Int, q *multiples) {
				got := s.combine(s.book.bytes(u), s.book.bytes(v), q)
				k := sum(u, new(big.Int).Mul(v, d))
				want := s.book.multiple(k.Mod(k, s.book.n))
				if got := s.pair(t, got); !same(got, want) {
					t.Errorf("%#x·G + %#x·(%#x·G) is %v, want %v", u, v, d, got, want)
				}
			}
			for i, d := range all {
				if d.Sign() == 0 && s.book.d == nil { // the identity is no key
					continue
				}
				p := s.point(s.book.multiple(d), sum(below(random, difference(s.book.p, integer(1))), integer(1)))
				q := s.multiples(p, keyWidth)
				for _, v := range []*big.Int{all[(i*7+1)%len(all)], below(random, s.book.n)} {
					opposite := new(big.Int).Mul(v, d)
					opposite.Mod(opposite.Neg(opposite), s.book.n)
					check(opposite, v, d, q) // u·G + v·Q = 0
					check(all[(i*3+v.BitLen())%len(all)], v, d, q)
					check(below(random, s.book.n), v, d, q)
				}
			}
		})
	}
}

// TestTables holds the package's doc to what the tables of a key take.
func TestTables(t *testing.T) {
	for i, s := range specimens() {
		m := s.multiples(s.point(s.book.base, integer(1)), keyWidth)
		if got, want := 4*cap(m.limbs), []int{1152, 1792, 1728}[i]; got != want {
			t.Errorf("%s: %d bytes, want %d", s.name, got, want)
		}
	}
}

// TestPrepared counts the tables that keys make: one for all verifications, until it is
// dropped.
func TestPrepared(t *testing.T) {
	ecdsa, err := NewP256(textbookP256.bytes(textbookP256.base.x), textbookP256.bytes(textbookP256.base.y))
	if err != nil {
		t.Fatal(err)
	}
	edwards, err := NewEd25519(textbookEdwards.encode(textbookEdwards.base))
	if err != nil {
		t.Fatal(err)
	}
	ones := bytes.Repeat([]byte{1}, 64)
	for _, test := range []struct {
		name   string
		tables *atomic.Pointer[multiples]
		verify func()
	}{
		{"ECDSA", &ecdsa.tables, func() { ecdsa.Verify(ones[:32], ones) }},
		{"Ed25519", &edwards.tables, func() { edwards.Verify(nil, ones) }},
	} {
		if test.tables.Load() != nil {
			t.Errorf("%s: there are tables before there is anything to verify", test.name)
		}
		test.verify()
		first := test.tables.Load()
		if test.verify(); first == nil || test.tables.Load() != first {
			t.Errorf("%s: the tables are not kept", test.name)
		}
	}
}

func TestNonAdjacent(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	for _, s := range specimens() {
		scalars := edges(&s)
		for range 100 {
			scalars = append(scalars, below(random, s.book.n))
		}
		for _, scalar := range scalars {
			for _, width := range []int{keyWidth, baseWidth} {
				digits := make([]int8, 2*(s.book.n.BitLen()/2+1))
				nonAdjacent(digits, s.book.bytes(scalar), width)
				value := new(big.Int)
				last := -width
				for i, digit := range digits {
					if digit == 0 {
						continue
					}
					if limit := int8(1) << (width - 1); digit&1 == 0 || digit >= limit || digit <= -limit ||
						i-last < width {
						t.Fatalf("%#x: digit %d is %d, after one at %d", scalar, i, digit, last)
					}
					last = i
					value.Add(value, new(big.Int).Mul(integer(int64(digit)), power(i)))
				}
				if value.Cmp(scalar) != 0 {
					t.Fatalf("%#x has the digits %v", scalar, digits)
				}
			}
		}
	}
}
