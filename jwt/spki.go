package jwt

import "math/big"

// SPKI returns the key as a DER SubjectPublicKeyInfo (RFC 5280 §4.1, RFC 3279
// §2.3.1), which is how others are handed a public key. It is made once and must
// not be changed.
func (k *Key) SPKI() []byte {
	if encoded := k.spki.Load(); encoded != nil {
		return *encoded
	}
	integers := append(derInteger(k.RSA.N), derInteger(big.NewInt(int64(k.RSA.E)))...)
	public := append([]byte{0}, der(tagSequence, integers)...) // no unused bits
	encoded := der(tagSequence, append(rsaEncryption[:len(rsaEncryption):len(rsaEncryption)], der(tagBitString, public)...))
	k.spki.Store(&encoded)
	return encoded
}

const (
	tagInteger   = 0x02
	tagBitString = 0x03
	tagSequence  = 0x30
)

// rsaEncryption is the AlgorithmIdentifier 1.2.840.113549.1.1.1 with NULL.
var rsaEncryption = []byte("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00")

// derInteger encodes a positive number.
func derInteger(n *big.Int) []byte {
	// One bit more than the number, so that it is not negative.
	return der(tagInteger, n.FillBytes(make([]byte, n.BitLen()/8+1)))
}

// der encodes a value of less than 16 MiB (X.690 §8.1).
func der(tag byte, content []byte) []byte {
	encoded := []byte{tag}
	switch n := len(content); {
	case n < 0x80:
		encoded = append(encoded, byte(n))
	case n < 0x100:
		encoded = append(encoded, 0x81, byte(n))
	case n < 0x10000:
		encoded = append(encoded, 0x82, byte(n>>8), byte(n))
	default:
		encoded = append(encoded, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(encoded, content...)
}
