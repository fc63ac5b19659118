// Package modexp raises numbers to small powers modulo an odd number, for the
// signatures of RSA.
//
// Other packages multiply 64 by 64 bits into 128, which Go's WebAssembly cannot do.
// Here numbers are limbs of 28 bits, and their products are summed up in 64 bits. A
// column is carried once in a hundred products.
//
// Multiplication is Montgomery's (P. L. Montgomery, Modular Multiplication Without
// Trial Division, 1985). R is 2^28 to the power of the number of limbs, which is
// even. The modulus is below R/4, so that factors below twice the modulus have a
// product below that, and nothing is subtracted on the way.
//
// Time depends on the numbers. Verification has no secrets.
package modexp

import (
	"math/big"
	"math/bits"
	"slices"
)

const (
	width = 28 // bits of a limb
	mask  = 1<<width - 1
	// most is how many rows may be added up before columns are carried. A column gets
	// two products from each, and 255 fit in 64 bits.
	most = 126
)

// Modulus is an odd number above 2, prepared for [Modulus.Exp]. It is not changed
// any more.
type Modulus struct {
	n       *big.Int
	size    int      // of n, in bytes
	limbs   []uint64 // of n
	square  []uint64 // of R² modulo n
	inverse uint64   // -1/n modulo 2^28
}

// New prepares a modulus, which must be odd and above 2.
func New(n *big.Int) *Modulus {
	m := &Modulus{n: n, size: (n.BitLen() + 7) / 8}
	m.limbs = make([]uint64, (n.BitLen()+2+2*width-1)/(2*width)*2)
	split(m.limbs, n)
	r := new(big.Int).Lsh(big.NewInt(1), uint(2*width*len(m.limbs)))
	m.square = make([]uint64, len(m.limbs))
	split(m.square, r.Mod(r, n))
	inverse := m.limbs[0] // to three bits, which each step doubles
	for range 4 {
		inverse *= 2 - m.limbs[0]*inverse
	}
	m.inverse = -inverse & mask
	return m
}

// split writes a number in limbs, lowest first.
func split(limbs []uint64, n *big.Int) {
	b := n.Bytes()
	slices.Reverse(b)
	var bitsLeft, next uint64
	i := 0
	for k := range limbs {
		for ; bitsLeft < width && i < len(b); i++ {
			next |= uint64(b[i]) << bitsLeft
			bitsLeft += 8
		}
		limbs[k] = next & mask
		next >>= width
		bitsLeft -= min(bitsLeft, width)
	}
}

// Exp returns x^e modulo n in as many bytes as n has, highest first, and false if
// x, written likewise, is not below n. The exponent must be above 0.
func (m *Modulus) Exp(x []byte, e uint) ([]byte, bool) {
	base := new(big.Int).SetBytes(x)
	if base.Cmp(m.n) >= 0 || e == 0 {
		return nil, false
	}
	n := len(m.limbs)
	room := make([]uint64, 4*n)
	take := func() []uint64 {
		limbs := room[:n:n]
		room = room[n:]
		return limbs
	}
	t, plain, factor, power := take(), take(), take(), take()
	split(plain, base)
	m.mul(factor, plain, m.square, t) // x·R
	copy(power, factor)
	for i := bits.Len(e) - 2; i >= 0; i-- {
		m.mul(power, power, power, t)
		switch {
		case e>>i&1 == 0:
		case i == 0:
			m.mul(power, power, plain, t) // which takes R away
			return m.bytes(power), true
		default:
			m.mul(power, power, factor, t)
		}
	}
	clear(factor)
	factor[0] = 1
	m.mul(power, power, factor, t)
	return m.bytes(power), true
}

// bytes writes a number below 2·n, modulo n.
func (m *Modulus) bytes(limbs []uint64) []byte {
	b := make([]byte, m.size+1)
	var have, next uint64
	i := m.size
	for _, limb := range limbs {
		next |= limb << have
		for have += width; have >= 8 && i >= 0; i-- {
			b[i] = byte(next)
			next >>= 8
			have -= 8
		}
	}
	if i >= 0 {
		b[i] = byte(next)
	}
	x := new(big.Int).SetBytes(b)
	if x.Cmp(m.n) >= 0 {
		x.Sub(x, m.n)
	}
	return x.FillBytes(b[1:])
}

// mul is z = x·y/R modulo n, below 2·n if x and y are. It adds limbs of x times y,
// and those multiples of n which make the lowest columns divisible, and drops these
// columns: two at once. The others are carried now and then.
func (m *Modulus) mul(z, x, y, t []uint64) {
	clear(t)
	n := m.limbs
	last := len(n) - 1
	y = y[:len(n)]
	for i := 0; i < last; i += 2 {
		if i%most == most-2 {
			carry(t)
		}
		a, b := x[i], x[i+1]
		low := t[0] + a*y[0]
		p := low * m.inverse & mask
		low = t[1] + a*y[1] + b*y[0] + p*n[1] + (low+p*n[0])>>width
		q := low * m.inverse & mask
		low = (low + q*n[0]) >> width
		rows(t, y[1:], n[1:], a, b, p, q)
		t[last-1], t[last] = b*y[last]+q*n[last], 0
		t[0] += low
	}
	carry(t)
	copy(z, t)
}

// rows is t[j] = t[j+2] + a·y[j+1] + b·y[j] + p·n[j+1] + q·n[j]. There is one y, and
// one n, more than there are sums.
func rows(t, y, n []uint64, a, b, p, q uint64) {
	// Eight at once, and each limb read once: Go's WebAssembly computes each address.
	for len(y) > 8 && len(n) > 8 && len(t) >= 10 {
		t8, y8, n8 := (*[10]uint64)(t), (*[9]uint64)(y), (*[9]uint64)(n)
		y0, n0 := y8[0], n8[0]
		y1, n1 := y8[1], n8[1]
		t8[0] = t8[2] + a*y1 + b*y0 + p*n1 + q*n0
		y0, n0 = y8[2], n8[2]
		t8[1] = t8[3] + a*y0 + b*y1 + p*n0 + q*n1
		y1, n1 = y8[3], n8[3]
		t8[2] = t8[4] + a*y1 + b*y0 + p*n1 + q*n0
		y0, n0 = y8[4], n8[4]
		t8[3] = t8[5] + a*y0 + b*y1 + p*n0 + q*n1
		y1, n1 = y8[5], n8[5]
		t8[4] = t8[6] + a*y1 + b*y0 + p*n1 + q*n0
		y0, n0 = y8[6], n8[6]
		t8[5] = t8[7] + a*y0 + b*y1 + p*n0 + q*n1
		y1, n1 = y8[7], n8[7]
		t8[6] = t8[8] + a*y1 + b*y0 + p*n1 + q*n0
		y0, n0 = y8[8], n8[8]
		t8[7] = t8[9] + a*y0 + b*y1 + p*n0 + q*n1
		t, y, n = t[8:], y[8:], n[8:]
	}
	for j := range len(y) - 1 {
		t[j] = t[j+2] + a*y[j+1] + b*y[j] + p*n[j+1] + q*n[j]
	}
}

// carry leaves limbs in all columns but the last.
func carry(t []uint64) {
	last := len(t) - 1
	for j := range last {
		t[j+1] += t[j] >> width
		t[j] &= mask
	}
}
