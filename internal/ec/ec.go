// Package ec verifies signatures made with elliptic curves: ECDSA over P-256 and P-384 (FIPS
// 186-5 §6.4), which JOSE calls ES256 and ES384, and Ed25519 (RFC 8032 §5.1).
//
// It exists for speed in WebAssembly. The standard library multiplies 64 by 64 bits into 128,
// for which WebAssembly has no instruction. This package multiplies 29 by 29 bits. Nothing in a
// verification is secret, so the time that one takes may depend on its numbers. It is bounded
// all the same.
//
// # Numbers
//
// A [field] is the numbers modulo a prime p near 2^e. An [element] x is n limbs of w bits, x = Σ
// xᵢ·2^(w·i). It stands for x/R modulo p with R = 2^(n·w), as Montgomery multiplication has it.
//
//	           e    n   w     p
//	P-256     256   9  29     2^256 - 2^224 + 2^192 + 2^96 - 1
//	P-384     384  14  28     2^384 - 2^128 - 2^96 + 2^32 - 1
//	25519     255   9  29     2^255 - 19
//
// Elements have one form. Every function accepts all elements of that form and returns no
// others:
//
//   - all limbs but the last are from 0 to 2^w - 1, and the last one has a sign;
//   - -2^e/16 < x < 2^e + 2^e/16.
//
// So each integer within these bounds has one element. Of the multiples of p, 0 and p are within
// them, and both stand for 0.
//
// # Why nothing overflows
//
// All arithmetic is in int64. File arithmetic.go, which the command gen writes, has three
// functions for each prime.
//
// mul is z = x·y/R, and sqr is the same for y = x. It adds up the products xᵢ·yⱼ by columns, of
// one i+j each. To each of the first n columns it adds a multiple m·p, with m below 2^w, that
// makes the column's low w bits 0; the rest is carried. Since p is a sum of few powers of two, a
// multiple takes a few shifts. The columns that are left are (x·y + m·p)/R, for an m from 0 to
//
//
//   - A column has at most n products below 2^(2w). Together they are below 2^61.2 for w = 29,
//     and below 2^59.9 for w = 28. The last limbs are below 2^25, whatever their sign. The
//     multiples add at most four terms below 2^(w+24), and the carry is below 2^34. The sum is
//     below 2^62.
//   - |x·y|/R is at most (17/16)²·2^(2e)/R. That is below 2^e/28, since R is at least 2^(e+5).
//     And m·p/R is from 0 to p. So z is within the bounds.
//
// lin is z = a·x + b·y for small integers: |a| + |b| is at most 16. It takes the quotient q of
// the sum's last limb and 2^(e-w·(n-1)), rounded down. Then it subtracts q·p and carries.
//
//   - The limbs of the sum are below 2^(w+4), and |q| is at most 17.
//   - The last limb without q·2^e is worth 0 to 2^e. The other limbs are worth less than
//     2^(w·(n-1)+4), which is 2^236 or 2^368. And q·(2^e-p) is below 2^229 or 2^133. Both may
//     have either sign. So z is within the bounds.
//
// # Points
//
// Points of P-256 and P-384 are in Jacobian coordinates ([weierstrass]). Their formulas of
// addition are wrong for equal and opposite points and for the identity, so these are told apart
// first. Points of the Edwards curve are in extended coordinates ([edwards]), whose formulas of
// addition have no exceptions. The formulas are those of the Explicit-Formulas Database,
// https://hyperelliptic.org/EFD, and have the names that they have there.
//
// A verification is one sum u·G + v·Q, of the base point G and the key's point Q
// ([curve.combine]). Both scalars are processed together, from their highest digits down
// (Straus's method). They are in non-adjacent form, whose digits are odd or, mostly, 0. Each
// scalar is cut into two halves, so that there are half as many doublings. Tables hold the odd
// multiples of both points, and of 2^half times both points ([multiples]).
//
// # Costs
//
// A verification with P-256 has 129 doublings and about 75 additions, at most 89. With P-384
// there are 193 and 112, at most 134; with Ed25519 there are 127 and 74, at most 88.
//
// The first verification with a key makes its tables, which takes about as long as the
// verification itself. They take 1152 bytes for P-256, 1792 for P-384 and 1728 for Ed25519, and
// a key can drop them. The tables of a base point are four times as large. They are made once.
package ec

import "errors"

//go:generate go run ./gen

// ErrPoint means that a public key is no point of its curve, or not encoded as the
// standards have it.
var ErrPoint = errors.New("not a point of the curve")
