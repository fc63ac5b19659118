package ec

import "slices"

// An edwards is the curve -x² + y² = 1 + d·x²·y² of RFC 8032 §5.1, whose order is 8 times that
// of its base point. A [point] is in extended coordinates: it is (x/z, y/z), t is x·y/z,
// and z is never 0. An [affine] is y+x, y-x and 2d·x·y.
type edwards struct {
	*field
	d, d2 element // d and 2d
	i     element // a square root of -1
	root  []byte  // (p-5)/8
}

func (c *edwards) numbers() *field { return c.field }

func (c *edwards) coordinates() int { return 3 }

func (c *edwards) identity() point { return point{y: c.one, z: c.one} }

// double is dbl-2008-hwcd with a = -1.
func (c *edwards) double(p *point) {
	var a, b, e, f, g, h element
	c.sqr(&a, &p.x)
	c.sqr(&b, &p.y)
	c.sqr(&f, &p.z)
	c.plus(&e, &p.x, &p.y)
	c.sqr(&e, &e)
	c.lin(&h, -1, &a, -1, &b)
	c.plus(&e, &e, &h)
	c.minus(&g, &b, &a)
	c.lin(&f, 1, &g, -2, &f)
	c.mul(&p.x, &e, &f)
	c.mul(&p.y, &g, &h)
	c.mul(&p.t, &e, &h)
	c.mul(&p.z, &f, &g)
}

// add is madd-2008-hwcd-3.
func (c *edwards) add(p *point, q *affine) {
	var a, b, e, f, g, h element
	c.minus(&a, &p.y, &p.x)
	c.mul(&a, &a, &q[1])
	c.plus(&b, &p.y, &p.x)
	c.mul(&b, &b, &q[0])
	c.mul(&h, &p.t, &q[2])
	c.lin(&f, 2, &p.z, -1, &h)
	c.lin(&g, 2, &p.z, 1, &h)
	c.minus(&e, &b, &a)
	c.plus(&h, &b, &a)
	c.mul(&p.x, &e, &f)
	c.mul(&p.y, &g, &h)
	c.mul(&p.t, &e, &h)
	c.mul(&p.z, &f, &g)
}

func (c *edwards) opposite(q *affine) {
	q[0], q[1] = q[1], q[0]
	c.negate(&q[2])
}

func (c *edwards) affine(p *point, inverse *element) (q affine) {
	var x, y element
	c.mul(&x, &p.x, inverse)
	c.mul(&y, &p.y, inverse)
	c.plus(&q[0], &y, &x)
	c.minus(&q[1], &y, &x)
	c.mul(&q[2], &x, &y)
	c.mul(&q[2], &q[2], &c.d2)
	return q
}

// point is the point with the given coordinates.
func (c *edwards) point(x, y element) point {
	p := point{x: x, y: y, z: c.one}
	c.mul(&p.t, &x, &y)
	return p
}

// decode is RFC 8032 §5.1.3, with a shorter formula. It reports false if that decodes no
// point.
func (c *edwards) decode(encoded []byte) (x, y element, ok bool) {
	if len(encoded) != c.size {
		return x, y, false
	}
	b := slices.Clone(encoded)
	slices.Reverse(b)
	sign := b[0] >> 7
	b[0] &= 0x7f
	if !c.setBytes(&y, b) {
		return x, y, false
	}
	// x² = u/v for u = y²-1 and v = dy²+1. If u/v is a square, so is uv, and with
	// x = u·(uv)^((p-5)/8) the product x²v = u·(uv)^((p-1)/4) is u or -u.
	var u, v element
	c.sqr(&u, &y)
	c.mul(&v, &u, &c.d)
	c.minus(&u, &u, &c.one)
	c.plus(&v, &v, &c.one)
	c.mul(&x, &u, &v)
	c.pow(&x, &x, c.root)
	c.mul(&x, &x, &u)
	if !c.isRoot(&x, &u, &v) {
		c.mul(&x, &x, &c.i)
		if !c.isRoot(&x, &u, &v) {
			return x, y, false
		}
	}
	if c.isZero(&x) && sign == 1 {
		return x, y, false
	}
	if c.isOdd(&x) != sign {
		c.negate(&x)
	}
	return x, y, true
}

// isRoot reports whether x² = u/v.
func (c *edwards) isRoot(x, u, v *element) bool {
	var square element
	c.sqr(&square, x)
	c.mul(&square, &square, v)
	return c.equal(&square, u)
}

// isOdd is 1 if the number is odd, and 0 if not.
func (c *edwards) isOdd(x *element) byte { return c.bytes(x)[c.size-1] & 1 }

// encode is RFC 8032 §5.1.2.
func (c *edwards) encode(p *point) []byte {
	var inverse, x, y element
	c.invert(&inverse, &p.z)
	c.mul(&x, &p.x, &inverse)
	c.mul(&y, &p.y, &inverse)
	b := c.bytes(&y)
	b[0] |= c.isOdd(&x) << 7
	slices.Reverse(b)
	return b
}
