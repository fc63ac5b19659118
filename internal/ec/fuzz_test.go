package ec

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"math/big"
	"slices"
	"testing"
)

// FuzzElements holds the arithmetic against math/big, for any two elements.
func FuzzElements(f *testing.F) {
	for i, test := range fields {
		for _, n := range extremes(test.f, test.e, test.p) {
			least, _ := bounds(test.e)
			f.Add(byte(i), difference(n, least).Bytes(), difference(test.p, least).Bytes())
		}
	}
	f.Fuzz(func(t *testing.T, which byte, x, y []byte) {
		test := fields[int(which)%len(fields)]
		least, greatest := bounds(test.e)
		number := func(b []byte) *big.Int {
			n := new(big.Int).SetBytes(b[:min(len(b), 64)])
			return sum(least, n.Mod(n, difference(sum(greatest, integer(1)), least)))
		}
		checkElement(t, test.f, test.e, test.p, number(x))
		checkArithmetic(t, test.f, test.e, test.p, number(x), number(y), slices.Concat(usual, widest))
	})
}

// scalar is a number from 1 to n-1, and all of them can be had.
func scalar(b []byte, n *big.Int) *big.Int {
	k := new(big.Int).SetBytes(b[:min(len(b), 64)])
	return sum(k.Mod(k, difference(n, integer(1))), integer(1))
}

// FuzzECDSA holds verdicts against those of crypto/ecdsa: on a signature that is good, made
// with any secret and any nonce, and on the same with the given bits changed.
func FuzzECDSA(f *testing.F) {
	for i, s := range schemes {
		scalars := edges(&specimens()[i])
		for j, secret := range scalars {
			nonce, digest := scalars[(j*3+1)%len(scalars)], scalars[(j*5+2)%len(scalars)]
			changes := []byte{byte(j), 1 << (j % 8)}
			f.Add(byte(i), secret.Bytes(), nonce.Bytes(), s.book.bytes(digest), changes[:j%3])
		}
		f.Add(byte(i), []byte{1}, []byte{2}, s.book.bytes(s.book.n), bytes.Repeat([]byte{255}, 2*s.book.size()))
	}
	f.Fuzz(func(t *testing.T, which byte, secret, nonce, digest, changes []byte) {
		s := schemes[int(which)%len(schemes)]
		n, size := s.book.n, s.book.size()
		digest = append(make([]byte, max(0, size-len(digest))), digest[:min(len(digest), size)]...)
		d, k := scalar(secret, n), scalar(nonce, n)
		q, sum := s.times(t, d), s.times(t, k)
		r := new(big.Int).Mod(sum.x, n)
		e := new(big.Int).SetBytes(digest)
		ss := e.Add(e, new(big.Int).Mul(r, d))
		ss.Mul(ss, new(big.Int).ModInverse(k, n))
		ss.Mod(ss, n)
		signature := s.signature(r, ss)
		key := s.key(t, q)
		check := func() {
			r, ss := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
			standard := s.standard(t, q, digest, r, ss)
			if got := key.Verify(digest, signature); got != standard {
				t.Errorf("Q = %v, digest %x, signature %x: %v, and %v by crypto/ecdsa", q, digest, signature, got,
					standard)
			}
		}
		check()
		if good := r.Sign() != 0 && ss.Sign() != 0; key.Verify(digest, signature) != good {
			t.Errorf("Q = %v, digest %x, signature %x: %v", q, digest, signature, !good)
		}
		for i, change := range changes {
			signature[i%len(signature)] ^= change
		}
		check()
		if len(changes) > 0 {
			digest[int(changes[0])%size] ^= 1
			check()
		}
	})
}

// times is k·G by the standard library, which is much faster than the textbook.
func (s *scheme) times(t *testing.T, k *big.Int) pair {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(s.curve, s.book.bytes(k))
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	size := s.book.size()
	return pair{new(big.Int).SetBytes(encoded[1 : 1+size]), new(big.Int).SetBytes(encoded[1+size:])}
}

// FuzzECDSAKey takes a key and a signature as they are. If x is of a point, y is the one that
// belongs to it, changed by the given bits.
func FuzzECDSAKey(f *testing.F) {
	for i, s := range schemes {
		f.Add(byte(i), s.book.bytes(s.book.base.x), []byte{}, bytes.Repeat([]byte{1}, 2*s.book.size()))
		f.Add(byte(i), s.book.bytes(s.book.base.x), []byte{1}, []byte{})
		f.Add(byte(i), s.book.bytes(s.book.p), []byte{2}, []byte{})
		f.Add(byte(i), []byte{5}, []byte{}, slices.Repeat(s.book.bytes(difference(s.book.n, integer(1))), 2))
	}
	f.Fuzz(func(t *testing.T, which byte, x, changes, signature []byte) {
		s := schemes[int(which)%len(schemes)]
		size := s.book.size()
		x = append(make([]byte, max(0, size-len(x))), x[:min(len(x), size)]...)
		y := make([]byte, size)
		q, ok := s.book.at(new(big.Int).SetBytes(x))
		if ok {
			q.y.FillBytes(y)
		}
		for i, change := range changes {
			y[i%size] ^= change
		}
		_, err := ecdsa.ParseUncompressedPublicKey(s.curve, slices.Concat([]byte{4}, x, y))
		k, got := s.newKey(x, y)
		if (got == nil) != (err == nil) {
			t.Fatalf("%x, %x: %v, and %v by crypto/ecdsa", x, y, got, err)
		}
		if err != nil {
			return
		}
		digest := s.digest(x)
		want := false
		if len(signature) == 2*size {
			q := pair{new(big.Int).SetBytes(x), new(big.Int).SetBytes(y)}
			r, ss := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
			want = s.standard(t, q, digest, r, ss)
		}
		if got := k.Verify(digest, signature); got != want {
			t.Errorf("%x, %x, signature %x: %v, want %v", x, y, signature, got, want)
		}
	})
}

// FuzzEd25519 holds verdicts against those of crypto/ed25519: on a signature that is good and
// on the same with points of small order added to A and R, for any secret and any nonce, and
// with the given bits of A, R and S changed.
func FuzzEd25519(f *testing.F) {
	for i, secret := range edges(&specimens()[2]) {
		f.Add(secret.Bytes(), []byte{byte(i)}, []byte("message"), byte(0), []byte{})
		f.Add([]byte{byte(i)}, secret.Bytes(), []byte("message"), byte(i), []byte{})
		f.Add(secret.Bytes(), secret.Bytes(), []byte{}, byte(0), []byte{byte(i), 1 << (i % 8)})
	}
	small := torsion()
	f.Fuzz(func(t *testing.T, secret, nonce, message []byte, torsion byte, changes []byte) {
		book := textbookEdwards
		d, k := scalar(secret, book.n), scalar(nonce, book.n)
		key := book.encode(book.add(book.multiple(d), small[torsion&7]))
		r := book.encode(book.add(book.multiple(k), small[torsion>>3&7]))
		signature := sign(d, k, key, r, message)
		if got := verdict(t, key, message, signature); !got && torsion&63 == 0 {
			t.Errorf("key %x, message %x, signature %x is refused", key, message, signature)
		}
		all := append(slices.Clone(signature), key...)
		for i, change := range changes {
			all[i%len(all)] ^= change
		}
		verdict(t, all[64:], message, all[:64])
	})
}

// FuzzEd25519Raw takes a key and a signature as they are.
func FuzzEd25519Raw(f *testing.F) {
	for _, encoded := range encodings() {
		f.Add(encoded, append(slices.Clone(encoded), make([]byte, 32)...), []byte("x"))
	}
	private := ed25519.NewKeyFromSeed(make([]byte, 32))
	f.Add([]byte(private.Public().(ed25519.PublicKey)), ed25519.Sign(private, nil), []byte{})
	f.Fuzz(func(t *testing.T, key, signature, message []byte) {
		if len(key) != ed25519.PublicKeySize {
			if _, err := NewEd25519(key); err == nil {
				t.Errorf("a key of %d bytes is taken", len(key))
			}
			return
		}
		verdict(t, key, message, signature)
	})
}
