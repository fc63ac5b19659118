package jwt

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"hash"
	"math/big"
	"slices"
)

// The largest exponent that crypto/rsa verifies with, and the largest that
// keys may have.
const (
	maxNativeExponent = 1<<31 - 1
	maxExponent       = 1<<32 - 1
)

// verifyLargeExponent is what crypto/rsa does, for keys with an exponent that
// crypto/rsa refuses (RFC 8017 §8.1.2 and §8.2.2). The signature must be as
// long as the modulus. Nothing here is secret, so nothing takes constant time.
func (a *algorithm) verifyLargeExponent(key *rsa.PublicKey, digest, signature []byte) bool {
	s := new(big.Int).SetBytes(signature)
	if key.N.Bit(0) == 0 || s.Cmp(key.N) >= 0 {
		return false
	}
	message := power(s, uint32(key.E), key.N)
	if a.pss {
		bits := key.N.BitLen() - 1
		if message.BitLen() > bits {
			return false
		}
		return a.isPSS(message.FillBytes(make([]byte, (bits+7)/8)), bits, digest)
	}
	want := a.pkcs1(key.Size(), digest)
	return bytes.Equal(message.FillBytes(make([]byte, key.Size())), want)
}

// power returns s to the power of e, modulo n. [big.Int.Exp] is quicker and
// makes the plugin 75 KB larger, for keys that hardly anybody has.
func power(s *big.Int, e uint32, n *big.Int) *big.Int {
	p := big.NewInt(1)
	for bit := 31; bit >= 0; bit-- {
		p.Mod(p.Mul(p, p), n)
		if e>>bit&1 == 1 {
			p.Mod(p.Mul(p, s), n)
		}
	}
	return p
}

// digestInfo is what precedes the digest in a DigestInfo, by hash (RFC 8017
// §9.2, note 1).
var digestInfo = map[crypto.Hash]string{
	crypto.SHA256: "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
	crypto.SHA384: "\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
	crypto.SHA512: "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
}

// pkcs1 returns EMSA-PKCS1-v1_5-ENCODE (RFC 8017 §9.2) of a digest. It is made
// anew and compared as a whole, so that there is nothing to parse wrongly.
func (a *algorithm) pkcs1(size int, digest []byte) []byte {
	message := bytes.Repeat([]byte{0xff}, size)
	message[0], message[1] = 0, 1
	info := digestInfo[a.hash]
	tail := message[size-len(info)-len(digest):]
	message[size-len(info)-len(digest)-1] = 0
	copy(tail[copy(tail, info):], digest)
	return message
}

// isPSS is EMSA-PSS-VERIFY (RFC 8017 §9.1.2), with a salt as long as the
// digest, for a message that is a number of no more than bits bits, which is
// step 6. It changes message.
func (a *algorithm) isPSS(message []byte, bits int, digest []byte) bool {
	size := len(digest)
	if len(message) < 2*size+2 || message[len(message)-1] != 0xbc {
		return false
	}
	db := message[:len(message)-size-1]
	sum := message[len(db) : len(message)-1]
	h := a.hash.New()
	mgf1XOR(db, h, sum)
	db[0] &= 0xff >> (8*len(message) - bits)
	zeros := len(db) - size - 1
	if slices.ContainsFunc(db[:zeros], func(b byte) bool { return b != 0 }) || db[zeros] != 1 {
		return false
	}
	salt := db[zeros+1:]
	h.Reset()
	h.Write(make([]byte, 8))
	h.Write(digest)
	h.Write(salt)
	return bytes.Equal(h.Sum(nil), sum)
}

// mgf1XOR adds to dst the mask that MGF1 makes of seed (RFC 8017 §B.2.1).
func mgf1XOR(dst []byte, h hash.Hash, seed []byte) {
	for counter := 0; len(dst) > 0; counter++ {
		h.Reset()
		h.Write(seed)
		h.Write([]byte{byte(counter >> 24), byte(counter >> 16), byte(counter >> 8), byte(counter)})
		mask := h.Sum(nil)
		n := min(len(mask), len(dst))
		for i := range n {
			dst[i] ^= mask[i]
		}
		dst = dst[n:]
	}
}
