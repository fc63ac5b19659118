package jwt

import "math/big"

const (
	tagInteger   = 0x02
	tagBitString = 0x03
	tagSequence  = 0x30
)

// The AlgorithmIdentifiers of public keys: 1.2.840.113549.1.1.1 with NULL (RFC
// 3279 §2.3.1), and 1.2.840.10045.2.1 with the name of a curve (RFC 5480 §2.1.1).
const (
	rsaEncryption = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"
	ecPublicKey   = "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"
)

// subjectPublicKeyInfo is the structure of RFC 5280 §4.1.2.7.
func subjectPublicKeyInfo(algorithm string, key []byte) []byte {
	bits := der(tagBitString, append([]byte{0}, key...)) // no unused bits
	return der(tagSequence, append([]byte(algorithm), bits...))
}

// derInteger encodes a number that is not negative.
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
