// Package ec verifies signatures of elliptic curves: ECDSA over P-256 and P-384
// (FIPS 186-5 §6.4), which JOSE calls ES256 and ES384, and Ed25519 (RFC 8032 §5.1).
//
// It is there because Go's WebAssembly has no multiplication of 64 by 64 bits with a
// result of 128, which the standard library's curves are written with. This package
// multiplies 29 by 29 bits. Nothing in a verification is secret, so what it does and
// how long it takes depends on the numbers; how long at most does not.
//
// # Numbers
//
// A field ([field]) is the numbers modulo a prime p, just above or below 2^e. An
// [element] x is n limbs of w bits, x = Σ xᵢ·2^(w·i), and stands for x/R modulo p
// with R = 2^(n·w), which is what Montgomery multiplication asks for.
//
//	           e    n   w     p
//	P-256     256   9  29     2^256 - 2^224 + 2^192 + 2^96 - 1
//	P-384     384  14  28     2^384 - 2^128 - 2^96 + 2^32 - 1
//	25519     255   9  29     2^255 - 19
//
// There is one form of elements. Each function takes any that have it, and returns
// none that do not:
//
//   - all limbs but the last are from 0 to 2^w - 1; the last one has a sign;
//   - -2^e/16 < x < 2^e + 2^e/16.
//
// So an integer has one element, a number modulo p has one or two, and 0 has two: 0
// and p.
//
// # Why nothing overflows
//
// All arithmetic is of int64 and in arithmetic.go, which [gen] writes. It has three
// functions for each prime.
//
// mul is z = x·y/R, and sqr is mul for y = x. It sums the products xᵢ·yⱼ of one column
// i+j = k after the other. In each of the first n columns it adds a multiple m·2^(w·k)
// of p that turns the column's low w bits to 0, and carries the rest. As p is a sum of
// few powers of two, that takes a few shifts, and not n multiplications more. What
// remains in the columns from n on is (x·y + m·p)/R for an m from 0 to R-1.
//
//   - A column has at most n products below 2^(2w): together below 2^61.2 for w = 29
//     and 2^59.9 for w = 28. The last limbs, which have a sign, are smaller than 2^25
//     in either direction. m adds at most four terms below 2^(w+24), and the
//     carry is below 2^34. The sum is below 2^62.
//   - |x·y|/R < (17/16)²·2^2e/R, which is below 2^e/28, since R is at least 2^(e+5); and
//     m·p/R is from 0 to p. So z is in bounds.
//
// lin is z = a·x + b·y for small integers, |a| + |b| ≤ 16. It takes q = ⌊tₙ₋₁·2^(w·(n-1)-e)⌋
// from the last limb t of the sum, subtracts q·p, and carries.
//
//   - Limbs are below 2^(w+4), and |q| ≤ 18.
//   - The last limb less q·2^e is from 0 to 2^e. The others add less than 2^(w·(n-1)+4),
//     which is at most 2^236 or 2^368, and q·(2^e - p) is below 2^229 or 2^133, in
//     either direction. So z is in bounds.
//
// # Points
//
// Points of P-256 and P-384 ([weierstrass]) are in Jacobian coordinates. Their formulas
// of addition fail if both points are the same, opposite or the identity: those cases are told
// apart first. Points of the Edwards curve ([edwards]) are in extended coordinates, and
// have formulas of addition without exceptions. The formulas are those of the Explicit-Formulas
// Database, https://hyperelliptic.org/EFD, under the names given there.
//
// A verification is one sum u·G + v·Q of multiples of the base point G and the key's
// point Q ([curve.combine]). It goes through both scalars at once, from their highest
// digits down (Straus's method), in non-adjacent form, whose digits are odd and mostly 0. Each
// scalar is cut in halves, for which there are tables of the odd multiples of the
// points and of 2^half times the points ([multiples]). That halves the doublings.
//
// # Costs
//
// The tables of a key are made when it verifies first. They take 1152 bytes for P-256,
// 1792 for P-384 and 1728 for Ed25519, and about as long as a verification. The tables of a base
// point take four times that, once in the program's life.
package ec

//go:generate go run ./gen

import "errors"

// ErrPoint means that a public key is no point of its curve, or is not encoded in the
// one way that there is.
var ErrPoint = errors.New("not a point of the curve")
