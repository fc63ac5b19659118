package jwt_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"orgate/jwt"
)

// pkcs1Hashes are the hashes of the algorithms.
var pkcs1Hashes = map[string]crypto.Hash{"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512}

func digestOf(hash crypto.Hash, input string) []byte {
	switch hash {
	case crypto.SHA256:
		sum := sha256.Sum256([]byte(input))
		return sum[:]
	case crypto.SHA384:
		sum := sha512.Sum384([]byte(input))
		return sum[:]
	default:
		sum := sha512.Sum512([]byte(input))
		return sum[:]
	}
}

// FuzzVerifyAsTheStandardLibrary: whatever the signature and the exponent, the
// verdict is that of crypto/rsa.
func FuzzVerifyAsTheStandardLibrary(f *testing.F) {
	key := issuersKey()
	for alg, hash := range pkcs1Hashes {
		input := compactInput(alg)
		good, err := rsa.SignPKCS1v15(nil, key, hash, digestOf(hash, input))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(alg, good, 65537)
		f.Add(alg, good, 3)
		f.Add(alg, good, jwt.MaxExponent)
	}
	f.Add("RS256", key.N.Bytes(), 65537)
	f.Add("RS256", make([]byte, key.Size()), 65537)
	f.Add("RS256", bytes.Repeat([]byte{0xff}, key.Size()), 3)
	f.Fuzz(func(t *testing.T, alg string, signature []byte, exponent int) {
		hash, ok := pkcs1Hashes[alg]
		if !ok || len(signature) == 0 || exponent < 3 || exponent&1 == 0 || exponent > jwt.MaxExponent {
			return
		}
		public := &rsa.PublicKey{N: key.N, E: exponent}
		input := compactInput(alg)
		want := rsa.VerifyPKCS1v15(public, hash, digestOf(hash, input), signature) == nil
		token, err := jwt.Parse(input+"."+b64(signature), maxBytes)
		if err != nil {
			return
		}
		k := rsaKey(public)
		for range 2 { // the modulus is prepared once
			if got := token.Verify(k) == nil; got != want {
				t.Fatalf("%s, exponent %d, signature %x: verified: %t, want %t", alg, exponent, signature, got, want)
			}
		}
	})
}

func compactInput(alg string) string {
	return b64([]byte(fmt.Sprintf(`{"alg":%q}`, alg))) + "." + b64([]byte(somePayload))
}

// TestVerifyEncodedMessage signs messages that are encoded otherwise than
// RFC 8017 §9.2 says. Verifiers that parse the message, and do not compare it,
// have let some of these pass.
func TestVerifyEncodedMessage(t *testing.T) {
	key := issuersKey()
	input := compactInput("RS256")
	digest := digestOf(crypto.SHA256, input)
	const info = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
	message := func(head string, padding int, tail string) string {
		return head + strings.Repeat("\xff", padding) + tail
	}
	size := key.Size()
	full := size - 3 - len(info) - len(digest)
	for _, c := range []struct {
		name    string
		message string
		good    bool
	}{
		{"as it should be", message("\x00\x01", full, "\x00"+info+string(digest)), true},
		{"without NULL", message("\x00\x01", full+2, "\x00\x30\x2f\x30\x0b"+info[4:15]+info[17:]+string(digest)),
			false},
		{
			"padded short, with what follows",
			message("\x00\x01", 8, "\x00"+info+string(digest)+strings.Repeat("A", full-8)), false},
		{"block type 2", message("\x00\x02", full, "\x00"+info+string(digest)), false},
		{"block type 0", message("\x00\x00", full, "\x00"+info+string(digest)), false},
		{"padding with a zero in it", message("\x00\x01", full-1, "\x00\x00"+info+string(digest)), false},
		{"no zero after the padding", message("\x00\x01", full, "\xff"+info+string(digest)), false},
		{
			"another hash's DigestInfo", message("\x00\x01", full,
				"\x00"+strings.Replace(info, "\x02\x01\x05", "\x02\x02\x05", 1)+string(digest)), false},
		{"another digest", message("\x00\x01", full, "\x00"+info+strings.Repeat("\x11", len(digest))), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if len(c.message) != size {
				t.Fatalf("a message of %d bytes, want %d", len(c.message), size)
			}
			raw := new(big.Int).Exp(new(big.Int).SetBytes([]byte(c.message)), key.D, key.N)
			signature := raw.FillBytes(make([]byte, size))
			err := parse(t, input+"."+b64(signature)).Verify(rsaKey(&key.PublicKey))
			if c.good && err != nil || !c.good && !errors.Is(err, jwt.ErrSignature) {
				t.Errorf("got error %v", err)
			}
		})
	}
}
