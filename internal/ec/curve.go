package ec

import (
	"math/big"
	"sync"
	"sync/atomic"
)

// A group is points and their addition.
type group interface {
	numbers() *field
	// coordinates is how many elements of an [affine] the group has.
	coordinates() int
	identity() point
	// double is p = 2p.
	double(p *point)
	// add is p = p + q.
	add(p *point, q *affine)
	// opposite is q = -q.
	opposite(q *affine)
	// affine is p, given the inverse of its z.
	affine(p *point, inverse *element) affine
}

// A point is a point that others are added to.
type point struct{ x, y, z, t element }

// An affine is a point that is added to others.
type affine [3]element

// A curve is a group with a base point and the order of that.
type curve[G group] struct {
	group G
	order *big.Int
	base  func() *multiples
}

func newCurve[G group](g G, base point, order string) *curve[G] {
	c := &curve[G]{group: g, order: number(order)}
	c.base = sync.OnceValue(func() *multiples { return c.multiples(base, baseWidth) })
	return c
}

// number is a constant of a curve, in hexadecimal.
func number(digits string) *big.Int {
	n, _ := new(big.Int).SetString(digits, 16)
	return n
}

// constant is a number of a field, in hexadecimal.
func (f *field) constant(digits string) (z element) {
	f.setBytes(&z, number(digits).FillBytes(make([]byte, f.size)))
	return z
}

// The widths of digits, in bits. A table holds 2^(width-2) multiples for each half, and there
// is one addition for about width+1 digits.
const (
	baseWidth = 7
	keyWidth  = 5
)

// multiples are the odd multiples 1, 3, 5 and so on of a point, and then those of 2^half
// times the point.
type multiples struct {
	width int     // of the digits that they are for
	limbs []int32 // the coordinates of each multiple, without limbs that are always 0
}

// half is how many digits each half of a scalar has. A scalar may have one digit more than
// the order has bits.
func (c *curve[G]) half() int { return c.order.BitLen()/2 + 1 }

// multiples makes the tables of a point, which may be the identity on the Edwards curve alone.
func (c *curve[G]) multiples(p point, width int) *multiples {
	var first, twice [2]point
	for i := range first {
		if i > 0 {
			for range c.half() - 1 {
				c.group.double(&p)
			}
		}
		first[i] = p
		c.group.double(&p)
		twice[i] = p
	}
	steps := c.affines(twice[:])
	count := 1 << (width - 2)
	odd := make([]point, 0, 2*count)
	for i, p := range first {
		odd = append(odd, p)
		for range count - 1 {
			c.group.add(&p, &steps[i])
			odd = append(odd, p)
		}
	}
	limbs, coordinates := c.group.numbers().limbs, c.group.coordinates()
	m := &multiples{width: width, limbs: make([]int32, 0, 2*count*coordinates*limbs)}
	for _, q := range c.affines(odd) {
		for i := range coordinates {
			m.limbs = append(m.limbs, q[i][:limbs]...)
		}
	}
	return m
}

// prepared are the multiples of a key's point, which are made when they are first needed. Two
// goroutines may both make them.
func (c *curve[G]) prepared(tables *atomic.Pointer[multiples], p point) *multiples {
	if m := tables.Load(); m != nil {
		return m
	}
	m := c.multiples(p, keyWidth)
	tables.Store(m)
	return m
}

// affines are points whose z is not 0, with one inversion for all of them (Montgomery's
// trick).
func (c *curve[G]) affines(points []point) []affine {
	f := c.group.numbers()
	before := make([]element, len(points)) // the product of the z of all points before
	product := f.one
	for i := range points {
		before[i] = product
		f.mul(&product, &product, &points[i].z)
	}
	f.invert(&product, &product)
	all := make([]affine, len(points))
	for i := len(points) - 1; i >= 0; i-- {
		var inverse element
		f.mul(&inverse, &product, &before[i])
		f.mul(&product, &product, &points[i].z)
		all[i] = c.group.affine(&points[i], &inverse)
	}
	return all
}

// combine is u·G + v·Q, for big-endian scalars below the order and the multiples of Q.
func (c *curve[G]) combine(u, v []byte, q *multiples) *point {
	half := c.half()
	var digits [2][2 * (384/2 + 1)]int8 // as many as P-384 has
	terms := [2]*multiples{c.base(), q}
	for i, scalar := range [2][]byte{u, v} {
		nonAdjacent(digits[i][:2*half], scalar, terms[i].width)
	}
	sum := c.group.identity()
	var summand affine
	for i := half - 1; i >= 0; i-- {
		c.group.double(&sum)
		for j, m := range terms {
			for h := range 2 {
				if digit := digits[j][h*half+i]; digit != 0 {
					c.multiple(&summand, m, h, digit)
					c.group.add(&sum, &summand)
				}
			}
		}
	}
	return &sum
}

// multiple sets q to digit·2^(h·half) times the point.
func (c *curve[G]) multiple(q *affine, m *multiples, h int, digit int8) {
	limbs, coordinates := c.group.numbers().limbs, c.group.coordinates()
	index := h<<(m.width-2) + int(max(digit, -digit))/2
	for i := range coordinates {
		copy(q[i][:limbs], m.limbs[(index*coordinates+i)*limbs:])
	}
	if digit < 0 {
		c.group.opposite(q)
	}
}

// nonAdjacent writes a big-endian scalar as Σ digits[i]·2^i. Digits are 0, or odd and between
// -2^(width-1) and 2^(width-1); of width digits in a row at most one is not 0. All digits are
// 0 at first, and there is at least one more than the scalar has bits.
func nonAdjacent(digits []int8, scalar []byte, width int) {
	bit := func(i int) int {
		if i >= 8*len(scalar) {
			return 0
		}
		return int(scalar[len(scalar)-1-i/8]>>(i%8)) & 1
	}
	carry := 0
	for i := 0; i < len(digits); {
		if bit(i) == carry {
			i++
			continue
		}
		digit := carry
		for j := range width {
			digit += bit(i+j) << j
		}
		carry = digit >> (width - 1)
		digits[i] = int8(digit - carry<<width)
		i += width
	}
}
