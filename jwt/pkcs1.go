package jwt

import (
	"bytes"
	"crypto"

	"filippo.io/bigmod"
)

// digestInfo is what comes before the hash in an encoded message, by hash: a
// DER DigestInfo (RFC 8017 §9.2, note 1).
var digestInfo = map[crypto.Hash]string{
	crypto.SHA256: "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
	crypto.SHA384: "\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
	crypto.SHA512: "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
}

// verifyPKCS1v15 reports whether signature is the key's over a digest, by
// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2): what the key makes of the signature must
// be the encoded message, byte for byte.
//
// It does what [crypto/rsa.VerifyPKCS1v15] does, with the arithmetic of the
// standard library, but prepares the modulus once for each key and not once for
// each signature.
func verifyPKCS1v15(k *Key, hash crypto.Hash, digest, signature []byte) bool {
	modulus := k.prepared()
	if modulus == nil || len(signature) != modulus.Size() {
		return false
	}
	number, err := bigmod.NewNat().SetBytes(signature, modulus)
	if err != nil { // not below the modulus
		return false
	}
	message := bigmod.NewNat().ExpShortVarTime(number, uint(k.RSA.E), modulus).Bytes(modulus)
	return bytes.Equal(message, encodePKCS1v15(hash, digest, modulus.Size()))
}

// encodePKCS1v15 is EMSA-PKCS1-v1_5 (RFC 8017 §9.2): 00 01 FF … FF 00 and the
// DigestInfo, in the given size, which is large enough for all keys that are
// used.
func encodePKCS1v15(hash crypto.Hash, digest []byte, size int) []byte {
	info := digestInfo[hash]
	encoded := bytes.Repeat([]byte{0xff}, size)
	encoded[0], encoded[1] = 0, 1
	end := size - len(info) - len(digest)
	encoded[end-1] = 0
	copy(encoded[end:], info)
	copy(encoded[end+len(info):], digest)
	return encoded
}

// prepared is the key's modulus, ready for arithmetic, or nil if it is no
// modulus of RSA. It is made when it is first asked for.
func (k *Key) prepared() *bigmod.Modulus {
	if modulus := k.modulus.Load(); modulus != nil {
		return modulus
	}
	if k.RSA.N.Sign() <= 0 || k.RSA.N.Bit(0) == 0 {
		return nil
	}
	modulus, err := bigmod.NewModulus(k.RSA.N.Bytes())
	if err != nil {
		return nil
	}
	k.modulus.Store(modulus)
	return modulus
}
