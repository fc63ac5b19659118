package jwt_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"testing"

	"orgate/jwt"
)

func TestSPKI(t *testing.T) {
	for _, bits := range []uint{2041, 2047, 2048, 4095, 8192} {
		for _, exponent := range []int{3, 127, 128, 65537, 1<<31 - 1} {
			n := new(big.Int).Lsh(big.NewInt(1), bits-1)
			public := &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: exponent}
			want, err := x509.MarshalPKIXPublicKey(public)
			if err != nil {
				t.Fatal(err)
			}
			if got := (&jwt.Key{RSA: public}).SPKI(); !bytes.Equal(got, want) {
				t.Errorf("%d bits, exponent %d:\n got %x\nwant %x", bits, exponent, got, want)
			}
		}
	}
}
