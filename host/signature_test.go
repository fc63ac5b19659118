package host_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"orgate/host"
)

func signatureArguments(hash string, key, signature, text []byte) []byte {
	var b []byte
	for i, field := range [][]byte{[]byte(hash), key, signature, text} {
		b = protowire.AppendTag(b, protowire.Number(i+1), protowire.BytesType)
		b = protowire.AppendBytes(b, field)
	}
	// A field of a later version.
	b = protowire.AppendTag(b, 9, protowire.VarintType)
	return protowire.AppendVarint(b, 1)
}

func TestVerifySignature(t *testing.T) {
	text := []byte("header.payload")
	digest := sha256.Sum256(text)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaSignature, err := rsaKey.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecSignature, err := ecKey.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	edKey, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der := func(key any) []byte {
		b, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const yes = "\x08\x01"
	no := func(fault string) string {
		return string(protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), fault))
	}
	notVerified, notInitialized := no("Failed to verify digest. Error code: 0"),
		no("Failed to initialize digest verify.")
	tests := []struct {
		name      string
		arguments []byte
		want      string
		status    host.Status
	}{
		{"an RSA signature", signatureArguments("sha256", der(&rsaKey.PublicKey), rsaSignature, text), yes, host.OK},
		{"the hash in capitals", signatureArguments("SHA256", der(&rsaKey.PublicKey), rsaSignature, text), yes,
			host.OK},
		{"an ECDSA signature", signatureArguments("sha256", der(&ecKey.PublicKey), ecSignature, text), yes, host.OK},
		{"another text", signatureArguments("sha256", der(&rsaKey.PublicKey), rsaSignature, []byte("header.payloae")),
			notVerified, host.OK},
		{"another hash", signatureArguments("sha512", der(&rsaKey.PublicKey), rsaSignature, text), notVerified,
			host.OK},
		{"no signature", signatureArguments("sha256", der(&rsaKey.PublicKey), nil, text), notVerified, host.OK},
		{"another key's signature", signatureArguments("sha256", der(&ecKey.PublicKey), rsaSignature, text),
			notVerified,
			host.OK},
		{"an unknown hash", signatureArguments("md5", der(&rsaKey.PublicKey), rsaSignature, text),
			no("md5 is not supported."), host.OK},
		{"a broken key", signatureArguments("sha256", []byte("key"), rsaSignature, text), notInitialized, host.OK},
		{"a key of another kind", signatureArguments("sha256", der(edKey), rsaSignature, text), notInitialized,
			host.OK},
		{"no key", signatureArguments("sha256", nil, rsaSignature, text), "", host.BadArgument},
		{"no arguments", nil, "", host.BadArgument},
		{"not a protocol buffer", []byte{0x0a, 5, 'x'}, "", host.BadArgument},
		{"a broken tag", []byte{0x80}, "", host.BadArgument},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			result, status := host.VerifySignature(tt.arguments)
			if string(result) != tt.want || status != tt.status {
				t.Errorf("got %q %d, want %q %d", result, status, tt.want, tt.status)
			}
		})
	}
}
