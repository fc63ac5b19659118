package jwt

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
	"sync/atomic"

	"orgate/internal/modexp"
)

// The bounds of an RSA key: the sizes of its modulus in bits (RFC 7518 §3.3 asks
// for 2048), and the largest exponent, with which crypto/rsa verifies.
const (
	MinKeyBits  = 2048
	MaxKeyBits  = 8192
	MaxExponent = 1<<31 - 1
)

// rsaKey is a public key of RSA.
type rsaKey struct {
	rsa.PublicKey
	prepared atomic.Pointer[modexp.Modulus] // see modulus
	spki     atomic.Pointer[[]byte]         // see exchange
}

// NewRSAKey is the RSA key of a modulus and an exponent (RFC 8017 §3.1), for the
// algorithms RS256 to PS512. The error says which bound they don't keep.
func NewRSAKey(n, e *big.Int) (*Key, error) {
	switch size := n.BitLen(); {
	case n.Sign() <= 0:
		return nil, errors.New("the modulus is not positive")
	case size < MinKeyBits:
		return nil, fmt.Errorf("the modulus has %d bits, at least %d are needed", size, MinKeyBits)
	case size > MaxKeyBits:
		return nil, fmt.Errorf("the modulus has %d bits, at most %d are allowed", size, MaxKeyBits)
	case n.Bit(0) == 0:
		return nil, errors.New("the modulus is even")
	}
	switch {
	case e.Sign() <= 0 || e.BitLen() < 2:
		return nil, errors.New("the exponent is below 3")
	case !e.IsUint64() || e.Uint64() > MaxExponent:
		return nil, errors.New("the exponent is above 2^31-1, with which crypto/rsa does not verify")
	case e.Bit(0) == 0:
		return nil, errors.New("the exponent is even")
	}
	encode := base64.RawURLEncoding.EncodeToString
	canonical := `{"e":"` + encode(e.Bytes()) + `","kty":"RSA","n":"` + encode(n.Bytes()) + `"}`
	key := &rsaKey{PublicKey: rsa.PublicKey{N: n, E: int(e.Int64())}}
	return newKey("RSA "+strconv.Itoa(key.Size()*8), canonical, key), nil
}

func (k *rsaKey) fits(s scheme) bool { return s == pkcs1v15 || s == pss }

func (k *rsaKey) signatureSize() int { return k.Size() }

// cost goes by the square of the modulus's size, for each squaring and
// multiplication that the exponent asks for.
func (k *rsaKey) cost() int {
	const usual = 2 * 2 * (17 + 2)
	size := (k.N.BitLen() + 1023) / 1024
	return size * size * (bits.Len(uint(k.E)) + bits.OnesCount(uint(k.E))) * UnitCost / usual
}

// verify wants the salt of a PSS signature to be as long as the hash (RFC 7518
// §3.5).
func (k *rsaKey) verify(a *algorithm, input string, signature []byte) bool {
	digest := a.digest(input)
	if a.scheme == pss {
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return rsa.VerifyPSS(&k.PublicKey, a.hash, digest, signature, options) == nil
	}
	return k.verifyPKCS1v15(a.hash, digest, signature)
}

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
// It does what [crypto/rsa.VerifyPKCS1v15] does, in two thirds of the time, and
// prepares the modulus once for each key and not once for each signature.
func (k *rsaKey) verifyPKCS1v15(hash crypto.Hash, digest, signature []byte) bool {
	message, below := k.modulus().Exp(signature, uint(k.E))
	return below && bytes.Equal(message, encodePKCS1v15(hash, digest, len(message)))
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

// modulus is the key's modulus, ready for arithmetic. It is made when it is first
// asked for.
func (k *rsaKey) modulus() *modexp.Modulus {
	modulus := k.prepared.Load()
	if modulus == nil {
		modulus = modexp.New(k.N)
		k.prepared.Store(modulus)
	}
	return modulus
}

// exchange makes the key's SubjectPublicKeyInfo (RFC 3279 §2.3.1) once.
func (k *rsaKey) exchange(signature []byte) (spki, value []byte) {
	if encoded := k.spki.Load(); encoded != nil {
		return *encoded, signature
	}
	integers := append(derInteger(k.N), derInteger(big.NewInt(int64(k.E)))...)
	encoded := subjectPublicKeyInfo(rsaEncryption, der(tagSequence, integers))
	k.spki.Store(&encoded)
	return encoded, signature
}
