package ec

import "math/big"

// An element is a number modulo a prime. The package's doc has its bounds. Limbs that
// the prime does not need are 0.
type element [14]int32

// A field is the arithmetic modulo a prime. Results may be written to arguments.
type field struct {
	prime  prime
	limbs  int     // n
	width  int     // w
	size   int     // of a number in bytes
	p      element // the integer p: an element that stands for 0
	one    element // R modulo p, which stands for 1
	square element // R² modulo p
}

// A prime says which one a [field] is for.
type prime int

const (
	primeP256 prime = iota
	primeP384
	prime25519
)

// mul is z = x·y. A function value in the field would be simpler than a switch, but Go
// allocates what it passes to functions that it does not know.
func (f *field) mul(z, x, y *element) {
	switch f.prime {
	case primeP256:
		mulP256(z, x, y)
	case primeP384:
		mulP384(z, x, y)
	default:
		mul25519(z, x, y)
	}
}

// sqr is z = x².
func (f *field) sqr(z, x *element) {
	switch f.prime {
	case primeP256:
		sqrP256(z, x)
	case primeP384:
		sqrP384(z, x)
	default:
		sqr25519(z, x)
	}
}

// lin is z = a·x + b·y, for |a| + |b| ≤ 16.
func (f *field) lin(z *element, a int64, x *element, b int64, y *element) {
	switch f.prime {
	case primeP256:
		linP256(z, a, x, b, y)
	case primeP384:
		linP384(z, a, x, b, y)
	default:
		lin25519(z, a, x, b, y)
	}
}

func (f *field) plus(z, x, y *element) { f.lin(z, 1, x, 1, y) }

func (f *field) minus(z, x, y *element) { f.lin(z, 1, x, -1, y) }

func (f *field) negate(z *element) { f.lin(z, -1, z, 0, z) }

func (f *field) isZero(x *element) bool { return *x == element{} || *x == f.p }

func (f *field) equal(x, y *element) bool {
	var difference element
	f.minus(&difference, x, y)
	return f.isZero(&difference)
}

// invert is z = 1/x, for an x that is not 0.
func (f *field) invert(z, x *element) {
	n := new(big.Int).SetBytes(f.bytes(x))
	n.ModInverse(n, new(big.Int).SetBytes(f.pack(&f.p)))
	f.setBytes(z, n.FillBytes(make([]byte, f.size)))
}

// pow is z = x^e for a big-endian exponent, four bits at a time.
func (f *field) pow(z, x *element, e []byte) {
	var powers [16]element
	powers[0] = f.one
	for i := range 15 {
		f.mul(&powers[i+1], &powers[i], x)
	}
	*z = f.one
	for _, b := range e {
		for _, digit := range [...]byte{b >> 4, b & 15} {
			for range 4 {
				f.sqr(z, z)
			}
			f.mul(z, z, &powers[digit])
		}
	}
}

// setBytes sets z to a big-endian number. It reports false if that does not have the
// field's size or is not below p.
func (f *field) setBytes(z *element, b []byte) bool {
	if len(b) != f.size {
		return false
	}
	var x element
	var bits uint64
	have, limb := 0, 0
	for i := len(b) - 1; i >= 0; i-- {
		bits |= uint64(b[i]) << have
		have += 8
		if have >= f.width {
			x[limb] = int32(bits & (1<<f.width - 1))
			bits >>= f.width
			have -= f.width
			limb++
		}
	}
	x[limb] = int32(bits)
	if !f.isBelow(&x) {
		return false
	}
	f.mul(z, &x, &f.square)
	return true
}

// isBelow reports whether the integer x is below p.
func (f *field) isBelow(x *element) bool {
	for i := f.limbs - 1; i >= 0; i-- {
		if x[i] != f.p[i] {
			return x[i] < f.p[i]
		}
	}
	return false
}

// bytes is the number that x stands for, below p and in big-endian order.
func (f *field) bytes(x *element) []byte {
	var n element
	f.mul(&n, x, &element{1}) // (x + m·p)/R, which is from 0 to p since |x| < R
	if n == f.p {
		n = element{}
	}
	return f.pack(&n)
}

// pack is the integer x in big-endian order.
func (f *field) pack(x *element) []byte {
	b := make([]byte, f.size)
	var bits uint64
	have, limb := 0, 0
	for i := len(b) - 1; i >= 0; i-- {
		if have < 8 && limb < f.limbs {
			bits |= uint64(x[limb]) << have
			have += f.width
			limb++
		}
		b[i] = byte(bits)
		bits >>= 8
		have -= 8
	}
	return b
}
