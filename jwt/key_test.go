package jwt_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"orgate/jwt"
)

// curvesOf are the curves of the algorithms of ECDSA.
var curvesOf = map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}

// signer is a new key for an algorithm, and what signs with it. RSA has the same
// keys in turn, because they take long to make.
func signer(tb testing.TB, algorithm string) (*jwt.Key, func(input string) []byte) {
	tb.Helper()
	if curve, ok := curvesOf[algorithm]; ok {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		return ecKey(tb, &private.PublicKey), func(input string) []byte {
			r, s, err := ecdsa.Sign(rand.Reader, private, digestOf(hashOf[algorithm[2:]], input))
			if err != nil {
				tb.Fatal(err)
			}
			size := (curve.Params().BitSize + 7) / 8
			return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
	}
	if strings.HasPrefix(algorithm, "Ed") {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		key, err := jwt.NewEd25519Key(public)
		if err != nil {
			tb.Fatal(err)
		}
		return key, func(input string) []byte { return ed25519.Sign(private, []byte(input)) }
	}
	private := issuersKey()
	if signers++; signers%2 == 0 {
		private = othersKey()
	}
	return rsaKey(&private.PublicKey), func(input string) []byte {
		return signature(tb, private, algorithm, input, saltLengths[algorithm])
	}
}

var signers int

func ecKey(tb testing.TB, public *ecdsa.PublicKey) *jwt.Key {
	tb.Helper()
	point, err := public.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	x, y := point[1:1+len(point)/2], point[1+len(point)/2:]
	key, err := jwt.NewECKey(public.Params().Name, x, y)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// TestSPKI: what proxies are handed is what crypto/x509 makes of the key.
func TestSPKI(t *testing.T) {
	handed := func(key *jwt.Key, alg string, size int) (spki []byte) {
		token := parse(t, compactInput(alg)+"."+b64(make([]byte, size)))
		for range 2 {
			err := token.VerifyWith(key, func(_ string, key, _ []byte, _ string) (bool, error) {
				spki = key
				return true, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return spki
	}
	equal := func(name string, public any, got []byte) {
		want, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s:\n got %x\nwant %x", name, got, want)
		}
	}
	for _, bits := range []uint{2048, 2049, 2055, 2056, 4095, 8192} {
		for _, exponent := range []int{3, 127, 129, 65537, 1<<31 - 1} {
			n := new(big.Int).Lsh(big.NewInt(1), bits-1)
			public := &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: exponent}
			equal(fmt.Sprint(bits, " bits, exponent ", exponent), public,
				handed(rsaKey(public), "RS256", public.Size()))
		}
	}
	for alg, curve := range curvesOf {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		size := 2 * ((curve.Params().BitSize + 7) / 8)
		equal(alg, &private.PublicKey, handed(ecKey(t, &private.PublicKey), alg, size))
	}
}

// TestKeyTypes: thumbprints are those of go-jose.
func TestKeyTypes(t *testing.T) {
	test := func(key *jwt.Key, kind string, public any) {
		t.Helper()
		jwk := jose.JSONWebKey{Key: public}
		want, err := jwk.Thumbprint(hashOf["256"])
		if err != nil {
			t.Fatal(err)
		}
		if key.Thumbprint != b64(want) || key.Type != kind {
			t.Errorf("%s: got %q %q, want %q", kind, key.Type, key.Thumbprint, b64(want))
		}
		if cost := key.Cost(); cost < 21 || cost > 10442 {
			t.Errorf("%s: costs %d", kind, cost)
		}
	}
	public := &issuersKey().PublicKey
	test(rsaKey(public), "RSA 2048", public)
	for _, curve := range curvesOf {
		for short := false; !short; { // until a coordinate begins with a zero octet
			private, err := ecdsa.GenerateKey(curve, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			test(ecKey(t, &private.PublicKey), "EC "+curve.Params().Name, &private.PublicKey)
			short = len(private.X.Bytes()) < (curve.Params().BitSize+7)/8
		}
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwt.NewEd25519Key(edwards)
	if err != nil {
		t.Fatal(err)
	}
	test(key, "OKP Ed25519", edwards)
}

// TestUnusableKeys are keys that nobody can or should verify with.
func TestUnusableKeys(t *testing.T) {
	modulus := issuersKey().N
	one := big.NewInt(1)
	made := func(n *big.Int, e int64) error {
		_, err := jwt.NewRSAKey(n, big.NewInt(e))
		return err
	}
	curve := func(name string, x, y []byte) error {
		_, err := jwt.NewECKey(name, x, y)
		return err
	}
	edwards := func(encoded []byte) error {
		_, err := jwt.NewEd25519Key(encoded)
		return err
	}
	p256, p384, p521 := elliptic.P256().Params(), elliptic.P384().Params(), elliptic.P521().Params()
	order4 := make([]byte, 32) // y = 0
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"a good modulus", made(modulus, 65537), ""},
		{"the smallest exponent", made(modulus, 3), ""},
		{"the largest exponent", made(modulus, jwt.MaxExponent), ""},
		{"no modulus", made(new(big.Int), 65537), "not positive"},
		{"a modulus below zero", made(new(big.Int).Neg(modulus), 65537), "not positive"},
		{"a modulus of 2047 bits", made(new(big.Int).Rsh(modulus, 1), 65537), "has 2047 bits"},
		{"a modulus of 8193 bits", made(new(big.Int).Lsh(one, 8192), 65537), "has 8193 bits"},
		{"an even modulus", made(new(big.Int).Sub(modulus, one), 65537), "even"},
		{"exponent 0", made(modulus, 0), "below 3"},
		{"exponent 1", made(modulus, 1), "below 3"},
		{"exponent 2", made(modulus, 2), "even"},
		{"exponent below zero", made(modulus, -65537), "below 3"},
		{"exponent 2^31+1", made(modulus, 1<<31+1), "above 2^31-1"},
		{"P-256", curve("P-256", p256.Gx.Bytes(), p256.Gy.Bytes()), ""},
		{"P-384", curve("P-384", p384.Gx.Bytes(), p384.Gy.Bytes()), ""},
		{"P-521", curve("P-521", p521.Gx.Bytes(), p521.Gy.Bytes()), ""},
		{"no curve", curve("", p256.Gx.Bytes(), p256.Gy.Bytes()), "neither"},
		{"secp256k1", curve("secp256k1", p256.Gx.Bytes(), p256.Gy.Bytes()), "neither"},
		{"another curve's point", curve("P-384", p256.Gx.Bytes(), p256.Gy.Bytes()), "no point of P-384"},
		{"a longer curve's point", curve("P-256", p384.Gx.Bytes(), p384.Gy.Bytes()), "too long"},
		{"the identity", curve("P-256", nil, nil), "no point"},
		{"beside P-256", curve("P-256", p256.Gx.Bytes(), p256.Gx.Bytes()), "no point"},
		{"beside P-521", curve("P-521", p521.Gx.Bytes(), p521.Gx.Bytes()), "no point"},
		{"x of P-521 beyond the prime", curve("P-521", new(big.Int).Add(p521.Gx, p521.P).Bytes(), p521.Gy.Bytes()),
			"no point"},
		{"y of P-521 beyond the prime", curve("P-521", p521.Gx.Bytes(), new(big.Int).Add(p521.Gy, p521.P).Bytes()),
			"no point"},
		{"no octets", edwards(nil), "no point"},
		{"31 octets", edwards(make([]byte, 31)), "no point"},
		{"a point of order 4", edwards(order4), "small order"},
		{"the identity of Ed25519", edwards(append([]byte{1}, make([]byte, 31)...)), "small order"},
		{"beside Ed25519", edwards(append([]byte{2}, make([]byte, 31)...)), "no point"},
	} {
		if c.err == nil {
			c.err = errors.New("")
		}
		if got := c.err.Error(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got error %q, want %q", c.name, got, c.want)
		}
	}
}

// FuzzP521 holds the check of a point to crypto/ecdsa.
func FuzzP521(f *testing.F) {
	curve := elliptic.P521().Params()
	f.Add(curve.Gx.Bytes(), curve.Gy.Bytes())
	f.Add(curve.Gx.Bytes(), new(big.Int).Sub(curve.P, curve.Gy).Bytes())
	f.Add([]byte{0}, []byte{1})
	f.Fuzz(func(t *testing.T, x, y []byte) {
		if len(x) > 66 || len(y) > 66 {
			return
		}
		point := make([]byte, 1+66+66)
		point[0] = 4 // neither coordinate is left out
		copy(point[1+66-len(x):], x)
		copy(point[1+66+66-len(y):], y)
		_, want := ecdsa.ParseUncompressedPublicKey(elliptic.P521(), point)
		if _, err := jwt.NewECKey("P-521", x, y); (err == nil) != (want == nil) {
			t.Errorf("x %x, y %x: got error %v, want %v", x, y, err, want)
		}
	})
}
