package jwt

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"testing"
)

// keyWith makes a key with this exponent.
func keyWith(t *testing.T, bits int, exponent int64) (*rsa.PublicKey, *big.Int) {
	t.Helper()
	one, e := big.NewInt(1), big.NewInt(exponent)
	for {
		p, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			t.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, bits-bits/2)
		if err != nil {
			t.Fatal(err)
		}
		n := new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(p.Sub(p, one), q.Sub(q, one))
		if d := new(big.Int).ModInverse(e, phi); d != nil && n.BitLen() == bits {
			return &rsa.PublicKey{N: n, E: int(exponent)}, d
		}
	}
}

// What is verified here and what crypto/rsa verifies are the same, for keys
// that both take: encoded messages are changed one byte at a time and signed.
func TestLargeExponentLikeSmall(t *testing.T) {
	// Lengths that leave 7, 0 and 1 bits of the first byte of a PSS message.
	for _, bits := range []int{1024, 1025, 1026} {
		public, d := keyWith(t, bits, 65537)
		for i := range algorithms {
			a := &algorithms[i]
			if a.pss && a.hash.Size() == 64 {
				continue // the keys are too small: see TestLargeExponentSmallKey
			}
			t.Run(fmt.Sprintf("%s, %d bits", a.name, bits), func(t *testing.T) {
				digest := a.digest("signed")
				good := encode(t, a, public, digest)
				both := func(name string, message []byte, want bool) {
					m := new(big.Int).SetBytes(message)
					if m.Cmp(public.N) >= 0 {
						return
					}
					s := m.Exp(m, d, public.N).FillBytes(make([]byte, public.Size()))
					if got := a.verifyLargeExponent(public, digest, s); got != want {
						t.Errorf("%s: got %t, want %t", name, got, want)
					}
					if got := a.verify(public, "signed", s); got != want {
						t.Errorf("%s: crypto/rsa: got %t, want %t", name, got, want)
					}
				}
				both("as it is", good, true)
				for i := range good {
					changed := append([]byte(nil), good...)
					changed[i] ^= 1 << (i % 8)
					both(fmt.Sprintf("byte %d changed", i), changed, false)
				}
				for range 20 { // numbers of every length up to the modulus
					n, err := rand.Int(rand.Reader, public.N)
					if err != nil {
						t.Fatal(err)
					}
					both("random", n.Bytes(), false)
				}
				// The first byte, in each of its bits.
				for bit := range 8 {
					changed := append([]byte(nil), good...)
					changed[0] ^= 1 << bit
					both(fmt.Sprintf("bit %d of the first byte changed", bit), changed, false)
				}
			})
		}
	}
}

// A key that is too small for the hash and a salt verifies nothing.
func TestLargeExponentSmallKey(t *testing.T) {
	public, d := keyWith(t, 1024, 65537)
	a := algorithmOf("PS512")
	m := big.NewInt(0xbc)
	s := m.Exp(m, d, public.N).FillBytes(make([]byte, public.Size()))
	if digest := a.digest("signed"); a.verifyLargeExponent(public, digest, s) {
		t.Error("verified")
	}
	if a.verify(public, "signed", s) {
		t.Error("crypto/rsa: verified")
	}
}

// encode returns the message that a good signature over digest is made of.
func encode(t *testing.T, a *algorithm, public *rsa.PublicKey, digest []byte) []byte {
	t.Helper()
	if !a.pss {
		return a.pkcs1(public.Size(), digest)
	}
	// RFC 8017 §9.1.1, which is not needed otherwise.
	bits := public.N.BitLen() - 1
	size := len(digest)
	message := make([]byte, (bits+7)/8)
	db := message[:len(message)-size-1]
	salt := db[len(db)-size:]
	db[len(db)-size-1] = 1
	if _, err := rand.Read(salt); err != nil {
		t.Fatal(err)
	}
	h := a.hash.New()
	h.Write(make([]byte, 8))
	h.Write(digest)
	h.Write(salt)
	sum := h.Sum(nil)
	copy(message[len(db):], sum)
	message[len(message)-1] = 0xbc
	mgf1XOR(db, h, sum)
	db[0] &= 0xff >> (8*len(message) - bits)
	return message
}

// The largest exponent there may be, and the smallest that crypto/rsa refuses.
func TestLargeExponent(t *testing.T) {
	for _, exponent := range []int64{maxExponent, maxNativeExponent + 2} {
		public, d := keyWith(t, 2048, exponent)
		for i := range algorithms {
			a := &algorithms[i]
			message := encode(t, a, public, a.digest("header.payload"))
			m := new(big.Int).SetBytes(message)
			signature := m.Exp(m, d, public.N).FillBytes(make([]byte, public.Size()))
			token := &Token{Algorithm: a.name, signingInput: "header.payload", signature: signature}
			if err := token.Verify(&Key{RSA: public}); err != nil {
				t.Errorf("%s, exponent %d: %v", a.name, exponent, err)
			}
			token.signingInput = "header.payloae"
			if err := token.Verify(&Key{RSA: public}); err == nil {
				t.Errorf("%s, exponent %d: verified a signature over something else", a.name, exponent)
			}
			// The same signature, beyond the modulus.
			token.signingInput = "header.payload"
			if s := new(big.Int).SetBytes(signature); s.Add(s, public.N).BitLen() <= 2048 {
				token.signature = s.Bytes()
				if err := token.Verify(&Key{RSA: public}); err == nil {
					t.Errorf("%s, exponent %d: verified a signature beyond the modulus", a.name, exponent)
				}
			}
		}
	}
}

// A modulus that is even is no key's, though signatures can be made for it.
func TestLargeExponentEvenModulus(t *testing.T) {
	one, e := big.NewInt(1), big.NewInt(maxExponent)
	a := algorithmOf("RS256")
	digest := a.digest("header.payload")
	for {
		p, err := rand.Prime(rand.Reader, 1023)
		if err != nil {
			t.Fatal(err)
		}
		public := &rsa.PublicKey{N: new(big.Int).Lsh(p, 1), E: maxExponent}
		d := new(big.Int).ModInverse(e, p.Sub(p, one))
		if d == nil {
			continue
		}
		m := new(big.Int).SetBytes(a.pkcs1(public.Size(), digest))
		s := new(big.Int).Exp(m, d, public.N)
		if power(s, maxExponent, public.N).Cmp(m) != 0 {
			t.Fatal("the signature is not what it should be")
		}
		if a.verifyLargeExponent(public, digest, s.FillBytes(make([]byte, public.Size()))) {
			t.Error("verified a signature with an even modulus")
		}
		return
	}
}
