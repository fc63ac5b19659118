package ec

import "math/big"

// A weierstrass is a curve y² = x³ - 3x + b of prime order. A [point] is in Jacobian
// coordinates: it is (x/z², y/z³), or the identity if z is 0. An [affine] is x and y.
type weierstrass struct {
	*field
	b element
}

func (c *weierstrass) numbers() *field { return c.field }

func (c *weierstrass) coordinates() int { return 2 }

func (c *weierstrass) identity() point { return point{x: c.one, y: c.one} }

// point is the point with the given coordinates.
func (c *weierstrass) point(x, y element) point { return point{x: x, y: y, z: c.one} }

// has reports whether (x, y) is a point of the curve.
func (c *weierstrass) has(x, y *element) bool {
	var left, right element
	c.sqr(&left, y)
	c.sqr(&right, x)
	c.lin(&right, 1, &right, -3, &c.one)
	c.mul(&right, &right, x)
	c.plus(&right, &right, &c.b)
	return c.equal(&left, &right)
}

// double is dbl-2001-b, with z = 2yz. It has no exceptions: twice the identity is the
// identity, and no point of a curve of odd order has y = 0.
func (c *weierstrass) double(p *point) {
	var alpha, beta, gamma, delta, sum element
	c.sqr(&delta, &p.z)
	c.sqr(&gamma, &p.y)
	c.mul(&beta, &p.x, &gamma)
	c.minus(&alpha, &p.x, &delta)
	c.lin(&sum, 3, &p.x, 3, &delta)
	c.mul(&alpha, &alpha, &sum)
	c.mul(&p.z, &p.y, &p.z)
	c.lin(&p.z, 2, &p.z, 0, &p.z)
	c.sqr(&p.x, &alpha)
	c.lin(&p.x, 1, &p.x, -8, &beta)
	c.lin(&beta, 4, &beta, -1, &p.x)
	c.mul(&p.y, &alpha, &beta)
	c.sqr(&gamma, &gamma)
	c.lin(&p.y, 1, &p.y, -8, &gamma)
}

// add is madd-2004-hmv. The identity, equal points and opposite points are exceptions.
func (c *weierstrass) add(p *point, q *affine) {
	if c.isZero(&p.z) { // 0 + q
		*p = c.point(q[0], q[1])
		return
	}
	var h, r, square, v element
	c.sqr(&square, &p.z)
	c.mul(&h, &q[0], &square)
	c.minus(&h, &h, &p.x)
	c.mul(&r, &q[1], &p.z)
	c.mul(&r, &r, &square)
	c.minus(&r, &r, &p.y)
	if c.isZero(&h) {
		if c.isZero(&r) { // q + q
			c.double(p)
		} else { // -q + q
			*p = c.identity()
		}
		return
	}
	c.mul(&p.z, &p.z, &h)
	c.sqr(&square, &h)
	c.mul(&v, &p.x, &square)
	c.mul(&h, &h, &square)
	c.sqr(&p.x, &r)
	c.minus(&p.x, &p.x, &h)
	c.lin(&p.x, 1, &p.x, -2, &v)
	c.minus(&v, &v, &p.x)
	c.mul(&r, &r, &v)
	c.mul(&p.y, &p.y, &h)
	c.minus(&p.y, &r, &p.y)
}

func (c *weierstrass) opposite(q *affine) { c.negate(&q[1]) }

func (c *weierstrass) affine(p *point, inverse *element) (q affine) {
	var square element
	c.sqr(&square, inverse)
	c.mul(&q[0], &p.x, &square)
	c.mul(&q[1], &p.y, &square)
	c.mul(&q[1], &q[1], inverse)
	return q
}

// hasX reports whether x is the x of a point that is not the identity.
func (c *weierstrass) hasX(p *point, x *big.Int) bool {
	var scaled, square element
	if x.BitLen() > 8*c.size || !c.setBytes(&scaled, x.FillBytes(make([]byte, c.size))) {
		return false
	}
	c.sqr(&square, &p.z)
	c.mul(&scaled, &scaled, &square)
	return c.equal(&scaled, &p.x)
}
