package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"orgate/jwt"
)

// saltLengths are those of RFC 7518 §3.5; PKCS #1 v1.5 has none.
var saltLengths = map[string]int{"PS256": 32, "PS384": 48, "PS512": 64}

// rsaKey is an RSA key that may be used.
func rsaKey(public *rsa.PublicKey) *jwt.Key {
	key, err := jwt.NewRSAKey(public.N, big.NewInt(int64(public.E)))
	if err != nil {
		panic(err)
	}
	return key
}

func withID(id string, key *jwt.Key) *jwt.Key {
	key.ID = id
	return key
}

func only(algorithm string, key *jwt.Key) *jwt.Key {
	key.Algorithm = algorithm
	return key
}

// inSandbox are the algorithms that need nobody else's arithmetic.
func inSandbox() []string {
	return slices.DeleteFunc(jwt.Algorithms(), func(name string) bool { return name == "ES512" })
}

func TestVerify(t *testing.T) {
	for _, alg := range inSandbox() {
		input := b64([]byte(fmt.Sprintf(`{"alg":%q}`, alg))) + "." + b64([]byte(somePayload))
		key, made := signer(t, alg)
		signature := made(input)
		token := parse(t, input+"."+b64(signature))
		for _, keyAlgorithm := range []string{"", alg} {
			for range 2 { // a key is prepared once
				before := jwt.SignatureChecks()
				if err := token.Verify(only(keyAlgorithm, key)); err != nil {
					t.Errorf("%s with a key for %q: %v", alg, keyAlgorithm, err)
				}
				if n := jwt.SignatureChecks() - before; n != 1 {
					t.Errorf("%s: counted %d verifications, want 1", alg, n)
				}
			}
		}
		if other, _ := signer(t, alg); !errors.Is(token.Verify(other), jwt.ErrSignature) {
			t.Errorf("%s: verified by another key", alg)
		}
		for _, length := range []int{len(signature) - 1, len(signature) + 1} {
			cut := parse(t, input+"."+b64(append(signature, 0)[:length]))
			before := jwt.SignatureChecks()
			if err := cut.Verify(only("", key)); !errors.Is(err, jwt.ErrSignature) || jwt.SignatureChecks() != before {
				t.Errorf("%s: a signature of %d octets: %v", alg, length, err)
			}
		}
		for i := range signature {
			signature[i] ^= 1 << (i % 8)
			if parse(t, input+"."+b64(signature)).Verify(key) == nil {
				t.Errorf("%s: octet %d of the signature changed, and still verified", alg, i)
			}
			signature[i] ^= 1 << (i % 8)
		}
		// The same signature under another name.
		for _, other := range jwt.Algorithms() {
			if jwt.SameAlgorithm(alg, other) {
				continue
			}
			input := b64([]byte(fmt.Sprintf(`{"alg":%q}`, other))) + "." + b64([]byte(somePayload))
			err := parse(t, input+"."+b64(made(input))).Verify(only("", key))
			if want := map[bool]error{true: jwt.ErrSignature, false: jwt.ErrUnknownKey}[key.Allows(other)]; !errors.Is(
				err, want) {
				t.Errorf("signed with %s, said to be %s: got error %v, want %v", alg, other, err, want)
			}
		}
	}
}

// TestES512 is verified by nobody if nobody else does the arithmetic.
func TestES512(t *testing.T) {
	input := b64([]byte(`{"alg":"ES512"}`)) + "." + b64([]byte(somePayload))
	key, made := signer(t, "ES512")
	token := parse(t, input+"."+b64(made(input)))
	before := jwt.SignatureChecks()
	for _, arithmetic := range []jwt.Arithmetic{nil,
		func(string, []byte, []byte, string) (bool, error) { return true, jwt.ErrUnavailable }} {
		if err := token.VerifyWith(key, arithmetic); !errors.Is(err, jwt.ErrUnavailable) {
			t.Errorf("got error %v, want %v", err, jwt.ErrUnavailable)
		}
	}
	if jwt.SignatureChecks() != before {
		t.Error("counted a verification")
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
	public := func(n *big.Int, e int) *jwt.Key { return rsaKey(&rsa.PublicKey{N: n, E: e}) }
	ours := rsaKey(&key.PublicKey)

	tests := []struct {
		name       string
		token      string
		key        *jwt.Key
		want       error
		arithmetic bool
	}{
		{"another key", good, rsaKey(&other.PublicKey), jwt.ErrSignature, true},
		{"another key of the same kid", good, withID("key-1", rsaKey(&other.PublicKey)), jwt.ErrSignature, true},
		{"another key, PSS", goodPSS, rsaKey(&other.PublicKey), jwt.ErrSignature, true},
		{"header changed", edit(t, good, 0, replaced("key-1", "key-2")), ours, jwt.ErrSignature, true},
		{"payload changed", edit(t, good, 1, replaced("alice", "mallo")), ours, jwt.ErrSignature, true},
		{"payload changed, PSS", edit(t, goodPSS, 1, replaced("alice", "mallo")), ours, jwt.ErrSignature, true},
		{"space in the payload", edit(t, good, 1, func(b []byte) []byte { return append(b, ' ') }), ours,
			jwt.ErrSignature, true},
		{"signature cut off", signed(func(b []byte) []byte { return b[:len(b)-1] }), ours, jwt.ErrSignature, false},
		{"signature cut off in front", signed(func(b []byte) []byte { return b[1:] }), ours, jwt.ErrSignature, false},
		{"signature with a zero after it", signed(func(b []byte) []byte { return append(b, 0) }), ours,
			jwt.ErrSignature, false},
		{"signature with a zero before it", signed(func(b []byte) []byte { return append([]byte{0}, b...) }), ours,
			jwt.ErrSignature, false},
		{"signature of zeros", signed(func([]byte) []byte { return make([]byte, size) }), ours, jwt.ErrSignature, true},
		{"signature of one", signed(func([]byte) []byte { return append(make([]byte, size-1), 1) }), ours,
			jwt.ErrSignature, true},
		{"signature as large as the modulus", signed(func([]byte) []byte { return key.N.Bytes() }), ours,
			jwt.ErrSignature, true},
		{"signature beyond the modulus", beyondModulus(t, key), ours, jwt.ErrSignature, true},
		{"largest signature", signed(func([]byte) []byte { return []byte(strings.Repeat("\xff", size)) }), ours,
			jwt.ErrSignature, true},
		{"salt too short", sign(t, key, "PS256", pss, somePayload, 31), ours, jwt.ErrSignature, true},
		{"salt too long", sign(t, key, "PS256", pss, somePayload, 33), ours, jwt.ErrSignature, true},
		{"no salt", sign(t, key, "PS256", pss, somePayload, 0), ours, jwt.ErrSignature, true},
		{"salt as long as there is room", sign(t, key, "PS256", pss, somePayload, rsa.PSSSaltLengthAuto), ours,
			jwt.ErrSignature, true},
		{"no DigestInfo", withoutDigestInfo(t, key), ours, jwt.ErrSignature, true},

		{"RS256 with a key for PS256", good, only("PS256", rsaKey(&key.PublicKey)), jwt.ErrUnknownKey, false},
		{"RS256 with a key for RS512", good, only("RS512", rsaKey(&key.PublicKey)), jwt.ErrUnknownKey, false},
		{"RS256 with a key for encryption", good, only("RSA-OAEP", rsaKey(&key.PublicKey)), jwt.ErrUnknownKey, false},
		{"no key", good, nil, jwt.ErrUnknownKey, false},
		{"zero key", good, &jwt.Key{}, jwt.ErrUnknownKey, false},
		{"another exponent", good, public(key.N, 3), jwt.ErrSignature, true},
		{"another exponent, the largest", good, public(key.N, jwt.MaxExponent), jwt.ErrSignature, true},

		{"none", compact(`{"alg":"none"}`, somePayload), ours, jwt.ErrAlgorithm, false},
		{"no algorithm that is known", sign(t, key, "RS256", `{"alg":"RS255"}`, somePayload, 0), ours, jwt.ErrAlgorithm,
			false},
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
			if err := parsed.Verify(rsaKey(&key.PublicKey)); err == nil {
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
	p256, _ := signer(t, "ES256")
	edwards, _ := signer(t, "EdDSA")
	edwardsToo, _ := signer(t, "EdDSA")
	tests := []struct {
		name      string
		key       *jwt.Key
		algorithm string
		want      bool
	}{
		{"any", rsaKey(public), "PS384", true},
		{"its own", only("PS384", rsaKey(public)), "PS384", true},
		{"another", only("PS384", rsaKey(public)), "RS384", false},
		{"another type's", rsaKey(public), "ES256", false},
		{"another type's, its own", only("ES256", rsaKey(public)), "ES256", false},
		{"unknown", rsaKey(public), "HS256", false},
		{"unknown, its own", only("HS256", rsaKey(public)), "HS256", false},
		{"its curve's", p256, "ES256", true},
		{"another curve's", p256, "ES384", false},
		{"RSA's", p256, "RS256", false},
		{"EdDSA", edwards, "EdDSA", true},
		{"EdDSA by its other name", edwards, "Ed25519", true},
		{"EdDSA for Ed25519", only("Ed25519", edwardsToo), "EdDSA", true},
		{"a curve of ECDSA", edwards, "ES256", false},
		{"empty", rsaKey(public), "", false},
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
	for _, alg := range inSandbox() {
		input := b64([]byte(fmt.Sprintf(`{"alg":%q}`, alg))) + "." + b64([]byte(somePayload))
		ours, made := signer(b, alg)
		token := parse(b, input+"."+b64(made(input)))
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

// TestVerifyWith: another arithmetic is trusted if it is sure, is asked for what
// it knows alone, and only after everything that is cheaper.
func TestVerifyWith(t *testing.T) {
	key, other := issuersKey(), othersKey()
	signed := func(key *rsa.PrivateKey, alg string) *jwt.Token {
		return parse(t, sign(t, key, alg, fmt.Sprintf(`{"alg":%q}`, alg), somePayload, saltLengths[alg]))
	}
	curves := map[string]*jwt.Key{}
	curve := func(alg string) *jwt.Token {
		input := b64([]byte(fmt.Sprintf(`{"alg":%q}`, alg))) + "." + b64([]byte(somePayload))
		public, made := signer(t, alg)
		curves[alg] = public
		return parse(t, input+"."+b64(made(input)))
	}
	es256, es384, es512, edDSA := curve("ES256"), curve("ES384"), curve("ES512"), curve("EdDSA")
	inDoubt := errors.New("in doubt")
	good := rsaKey(&key.PublicKey)
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
		{"not available, and valid", signed(other, "RS256"), good, true, jwt.ErrUnavailable, jwt.ErrSignature, "sha256",
			1},
		{"PSS", signed(other, "PS256"), good, true, nil, jwt.ErrSignature, "", 1},
		{"key for another algorithm", signed(key, "RS256"), only("RS384", rsaKey(&key.PublicKey)), true, nil,
			jwt.ErrUnknownKey, "", 0},
		{"ES256", es256, curves["ES256"], true, nil, nil, "sha256", 0},
		{"ES384, not valid", es384, curves["ES384"], false, nil, jwt.ErrSignature, "sha384", 0},
		{"ES384, not available", es384, curves["ES384"], false, jwt.ErrUnavailable, nil, "sha384", 1},
		{"ES512", es512, curves["ES512"], true, nil, nil, "sha512", 0},
		{"ES512, not valid", es512, curves["ES512"], false, nil, jwt.ErrSignature, "sha512", 0},
		{"EdDSA", edDSA, curves["EdDSA"], false, nil, nil, "", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked, before := "", jwt.SignatureChecks()
			err := tt.token.VerifyWith(tt.key, func(hash string, key, signature []byte, text string) (bool, error) {
				if !verifiedByX509(t, hash, key, signature, text) && tt.err == nil && tt.valid {
					t.Errorf("asked about key %x, signature %x, text %q", key, signature, text)
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

// verifiedByX509 does what a proxy does with key and signature.
func verifiedByX509(t *testing.T, name string, key, signature []byte, text string) bool {
	public, err := x509.ParsePKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	hash := hashOf[name[3:]]
	digest := digestOf(hash, text)
	if public, ok := public.(*ecdsa.PublicKey); ok {
		return ecdsa.VerifyASN1(public, digest, signature)
	}
	return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), hash, digest, signature) == nil
}
