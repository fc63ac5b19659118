package jwt_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"orgate/jwt"
)

// saltLengths are those of RFC 7518 §3.5; PKCS #1 v1.5 has none.
var saltLengths = map[string]int{"PS256": 32, "PS384": 48, "PS512": 64}

func TestVerify(t *testing.T) {
	key := issuersKey()
	for _, alg := range jwt.Algorithms() {
		header := fmt.Sprintf(`{"alg":%q}`, alg)
		token := parse(t, sign(t, key, alg, header, somePayload, saltLengths[alg]))
		for _, keyAlgorithm := range []string{"", alg} {
			before := jwt.SignatureChecks()
			if err := token.Verify(&jwt.Key{RSA: &key.PublicKey, Algorithm: keyAlgorithm}); err != nil {
				t.Errorf("%s with a key for %q: %v", alg, keyAlgorithm, err)
			}
			if n := jwt.SignatureChecks() - before; n != 1 {
				t.Errorf("%s: counted %d verifications, want 1", alg, n)
			}
		}
		// The same signature under another name.
		for _, other := range jwt.Algorithms() {
			if other == alg {
				continue
			}
			token := parse(t, sign(t, key, alg, fmt.Sprintf(`{"alg":%q}`, other), somePayload, saltLengths[alg]))
			if err := token.Verify(&jwt.Key{RSA: &key.PublicKey}); !errors.Is(err, jwt.ErrSignature) {
				t.Errorf("signed with %s, said to be %s: got error %v, want %v", alg, other, err, jwt.ErrSignature)
			}
		}
	}
}

// edit changes a token's part (0 to 2) as bytes.
func edit(t *testing.T, token string, part int, change func([]byte) []byte) string {
	t.Helper()
	parts := strings.Split(token, ".")
	parts[part] = b64(change(decoded(t, parts[part])))
	return strings.Join(parts, ".")
}

func TestVerifyRefuses(t *testing.T) {
	key, other := issuersKey(), othersKey()
	good := sign(t, key, "RS256", someHeader, somePayload, 0)
	pss := `{"alg":"PS256"}`
	goodPSS := sign(t, key, "PS256", pss, somePayload, 32)
	signed := func(change func([]byte) []byte) string { return edit(t, good, 2, change) }
	replaced := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return []byte(strings.Replace(string(b), old, new, 1)) }
	}
	size := key.Size()
	public := func(n *big.Int, e int) *jwt.Key { return &jwt.Key{RSA: &rsa.PublicKey{N: n, E: e}} }
	ours := &jwt.Key{RSA: &key.PublicKey}

	tests := []struct {
		name       string
		token      string
		key        *jwt.Key
		want       error
		arithmetic bool
	}{
		{"another key", good, &jwt.Key{RSA: &other.PublicKey}, jwt.ErrSignature, true},
		{"another key of the same kid", good, &jwt.Key{ID: "key-1", RSA: &other.PublicKey}, jwt.ErrSignature, true},
		{"another key, PSS", goodPSS, &jwt.Key{RSA: &other.PublicKey}, jwt.ErrSignature, true},
		{"header changed", edit(t, good, 0, replaced("key-1", "key-2")), ours, jwt.ErrSignature, true},
		{"payload changed", edit(t, good, 1, replaced("alice", "mallo")), ours, jwt.ErrSignature, true},
		{"payload changed, PSS", edit(t, goodPSS, 1, replaced("alice", "mallo")), ours, jwt.ErrSignature, true},
		{"space in the payload", edit(t, good, 1, func(b []byte) []byte { return append(b, ' ') }), ours, jwt.ErrSignature, true},
		{"signature cut off", signed(func(b []byte) []byte { return b[:len(b)-1] }), ours, jwt.ErrSignature, false},
		{"signature cut off in front", signed(func(b []byte) []byte { return b[1:] }), ours, jwt.ErrSignature, false},
		{"signature with a zero after it", signed(func(b []byte) []byte { return append(b, 0) }), ours, jwt.ErrSignature, false},
		{"signature with a zero before it", signed(func(b []byte) []byte { return append([]byte{0}, b...) }), ours, jwt.ErrSignature, false},
		{"signature of zeros", signed(func([]byte) []byte { return make([]byte, size) }), ours, jwt.ErrSignature, true},
		{"signature of one", signed(func([]byte) []byte { return append(make([]byte, size-1), 1) }), ours, jwt.ErrSignature, true},
		{"signature as large as the modulus", signed(func([]byte) []byte { return key.N.Bytes() }), ours, jwt.ErrSignature, true},
		{"signature beyond the modulus", beyondModulus(t, key), ours, jwt.ErrSignature, true},
		{"largest signature", signed(func([]byte) []byte { return []byte(strings.Repeat("\xff", size)) }), ours, jwt.ErrSignature, true},
		{"salt too short", sign(t, key, "PS256", pss, somePayload, 31), ours, jwt.ErrSignature, true},
		{"salt too long", sign(t, key, "PS256", pss, somePayload, 33), ours, jwt.ErrSignature, true},
		{"no salt", sign(t, key, "PS256", pss, somePayload, 0), ours, jwt.ErrSignature, true},
		{"salt as long as there is room", sign(t, key, "PS256", pss, somePayload, rsa.PSSSaltLengthAuto), ours, jwt.ErrSignature, true},
		{"no DigestInfo", withoutDigestInfo(t, key), ours, jwt.ErrSignature, true},

		{"RS256 with a key for PS256", good, &jwt.Key{RSA: &key.PublicKey, Algorithm: "PS256"}, jwt.ErrUnknownKey, false},
		{"RS256 with a key for RS512", good, &jwt.Key{RSA: &key.PublicKey, Algorithm: "RS512"}, jwt.ErrUnknownKey, false},
		{"RS256 with a key for encryption", good, &jwt.Key{RSA: &key.PublicKey, Algorithm: "RSA-OAEP"}, jwt.ErrUnknownKey, false},
		{"no key", good, nil, jwt.ErrUnknownKey, false},
		{"zero key", good, &jwt.Key{}, jwt.ErrUnknownKey, false},
		{"key without a modulus", good, &jwt.Key{RSA: &rsa.PublicKey{E: 65537}}, jwt.ErrUnknownKey, false},
		{"key too small", good, public(new(big.Int).Rsh(key.N, 1), 65537), jwt.ErrUnknownKey, false},
		{"key too large", good, public(new(big.Int).Lsh(big.NewInt(1), 8192), 65537), jwt.ErrUnknownKey, false},
		{"modulus even", good, public(new(big.Int).Sub(key.N, big.NewInt(1)), 65537), jwt.ErrSignature, true},
		{"exponent zero", good, public(key.N, 0), jwt.ErrUnknownKey, false},
		{"exponent one", good, public(key.N, 1), jwt.ErrUnknownKey, false},
		{"exponent even", good, public(key.N, 65536), jwt.ErrUnknownKey, false},
		{"exponent negative", good, public(key.N, -65537), jwt.ErrUnknownKey, false},
		{"exponent too large", good, public(key.N, 1<<31+1), jwt.ErrUnknownKey, false},
		{"another exponent", good, public(key.N, 3), jwt.ErrSignature, true},
		{"another exponent, the largest", good, public(key.N, jwt.MaxExponent), jwt.ErrSignature, true},

		{"none", compact(`{"alg":"none"}`, somePayload), ours, jwt.ErrAlgorithm, false},
		{"no algorithm that is known", sign(t, key, "RS256", `{"alg":"RS255"}`, somePayload, 0), ours, jwt.ErrAlgorithm, false},
		{"HMAC with the public key", compact(`{"alg":"HS256"}`, somePayload), ours, jwt.ErrAlgorithm, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := jwt.SignatureChecks()
			if err := parse(t, test.token).Verify(test.key); !errors.Is(err, test.want) {
				t.Errorf("got error %v, want %v", err, test.want)
			}
			if done := jwt.SignatureChecks() > before; done != test.arithmetic {
				t.Errorf("arithmetic done: %t, want %t", done, test.arithmetic)
			}
		})
	}
	if err := new(jwt.Token).Verify(ours); !errors.Is(err, jwt.ErrAlgorithm) {
		t.Errorf("zero token: got error %v, want %v", err, jwt.ErrAlgorithm)
	}
}

// No byte of a token can be changed.
func TestVerifyEveryByte(t *testing.T) {
	key := issuersKey()
	for _, alg := range []string{"RS256", "PS256"} {
		token := sign(t, key, alg, fmt.Sprintf(`{"alg":%q}`, alg), `{"sub":"alice"}`, saltLengths[alg])
		for i := range len(token) {
			changed := []byte(token)
			if changed[i] == 'A' {
				changed[i] = 'B'
			} else {
				changed[i] = 'A'
			}
			parsed, err := jwt.Parse(string(changed), maxBytes)
			if err != nil {
				continue
			}
			if err := parsed.Verify(&jwt.Key{RSA: &key.PublicKey}); err == nil {
				t.Errorf("%s: byte %d changed, and still verified", alg, i)
			}
		}
	}
}

// beyondModulus returns a token whose signature is right modulo the modulus,
// of the right length, and not below it (RFC 8017 §5.2.2).
func beyondModulus(t *testing.T, key *rsa.PrivateKey) string {
	for i := 0; ; i++ {
		input := b64([]byte(`{"alg":"RS256"}`)) + "." + b64(fmt.Appendf(nil, `{"i":%d}`, i))
		s := new(big.Int).SetBytes(signature(t, key, "RS256", input, 0))
		if s.Add(s, key.N); s.BitLen() <= 2048 {
			return input + "." + b64(s.Bytes())
		}
	}
}

// withoutDigestInfo returns a token whose signature is that of the bare hash.
func withoutDigestInfo(t *testing.T, key *rsa.PrivateKey) string {
	input := b64([]byte(someHeader)) + "." + b64([]byte(somePayload))
	digest := sha256.Sum256([]byte(input))
	s, err := rsa.SignPKCS1v15(nil, key, crypto.Hash(0), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(s)
}

func TestKeyAllows(t *testing.T) {
	public := &issuersKey().PublicKey
	tests := []struct {
		name      string
		key       *jwt.Key
		algorithm string
		want      bool
	}{
		{"any", &jwt.Key{RSA: public}, "PS384", true},
		{"its own", &jwt.Key{RSA: public, Algorithm: "PS384"}, "PS384", true},
		{"another", &jwt.Key{RSA: public, Algorithm: "PS384"}, "RS384", false},
		{"unknown", &jwt.Key{RSA: public}, "ES256", false},
		{"unknown, its own", &jwt.Key{RSA: public, Algorithm: "ES256"}, "ES256", false},
		{"empty", &jwt.Key{RSA: public}, "", false},
		{"zero key", &jwt.Key{}, "RS256", false},
		{"no key", nil, "RS256", false},
	}
	for _, test := range tests {
		if got := test.key.Allows(test.algorithm); got != test.want {
			t.Errorf("%s: got %t, want %t", test.name, got, test.want)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	key := issuersKey()
	ours := &jwt.Key{RSA: &key.PublicKey}
	for _, alg := range jwt.Algorithms() {
		token := parse(b, sign(b, key, alg, fmt.Sprintf(`{"alg":%q}`, alg), somePayload, saltLengths[alg]))
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := token.Verify(ours); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("bare RS256", func(b *testing.B) {
		digest := sha256.Sum256([]byte(somePayload))
		s, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], s); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestVerifyWith: another arithmetic is believed where it is sure, is asked for
// PKCS #1 v1.5 alone, and only after everything that is cheaper.
func TestVerifyWith(t *testing.T) {
	key, other := issuersKey(), othersKey()
	signed := func(key *rsa.PrivateKey, alg string) *jwt.Token {
		return parse(t, sign(t, key, alg, fmt.Sprintf(`{"alg":%q}`, alg), somePayload, saltLengths[alg]))
	}
	inDoubt := errors.New("in doubt")
	good := &jwt.Key{RSA: &key.PublicKey}
	for _, tt := range []struct {
		name  string
		token *jwt.Token
		key   *jwt.Key
		valid bool
		err   error
		want  error
		asked string // the hash
		here  uint64 // verifications by this package
	}{
		{"sure that it is valid", signed(key, "RS256"), good, true, nil, nil, "sha256", 0},
		{"sure that it is not", signed(key, "RS384"), good, false, nil, jwt.ErrSignature, "sha384", 0},
		{"in doubt", signed(key, "RS512"), good, false, inDoubt, inDoubt, "sha512", 0},
		{"in doubt, and valid", signed(key, "RS256"), good, true, inDoubt, inDoubt, "sha256", 0},
		{"not available", signed(key, "RS256"), good, false, jwt.ErrUnavailable, nil, "sha256", 1},
		{"not available, and valid", signed(other, "RS256"), good, true, jwt.ErrUnavailable, jwt.ErrSignature, "sha256", 1},
		{"PSS", signed(other, "PS256"), good, true, nil, jwt.ErrSignature, "", 1},
		{"key for another algorithm", signed(key, "RS256"), &jwt.Key{RSA: &key.PublicKey, Algorithm: "RS384"}, true, nil, jwt.ErrUnknownKey, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked, before := "", jwt.SignatureChecks()
			err := tt.token.VerifyWith(tt.key, func(hash string, key *jwt.Key, signature []byte, text string) (bool, error) {
				if key != tt.key || len(signature) != 256 || !strings.Contains(text, ".") {
					t.Errorf("asked about key %v, signature of %d bytes, text %q", key, len(signature), text)
				}
				asked += hash
				return tt.valid, tt.err
			})
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
			if asked != tt.asked {
				t.Errorf("asked for %q, want %q", asked, tt.asked)
			}
			if n := jwt.SignatureChecks() - before; n != tt.here {
				t.Errorf("%d verifications here, want %d", n, tt.here)
			}
		})
	}
}
