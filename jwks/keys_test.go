package jwks_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orgate/jwt"
)

// number is an odd number of the given length, always the same for the same
// seed. As a modulus it has no known factors, which verifying does not need.
func number(seed uint64, bits int) *big.Int {
	var octets []byte
	for block := uint64(0); len(octets)*8 < bits; block++ {
		input := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, seed), block)
		sum := sha256.Sum256(input)
		octets = append(octets, sum[:]...)
	}
	n := new(big.Int).SetBytes(octets)
	n.Rsh(n, uint(len(octets)*8-bits))
	n.SetBit(n, bits-1, 1)
	return n.SetBit(n, 0, 1)
}

// text is a number as JWKs have it (RFC 7518 §2).
func text(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

// modulus is the modulus of the test key with the given number, as JWKs have it.
func modulus(seed uint64) string { return text(number(seed, 2048)) }

// jwk is the test key with the given number, and further members:
// `"kid":"a","use":"sig"`.
func jwk(seed uint64, members ...string) string {
	members = append([]string{`"kty":"RSA","e":"AQAB","n":"` + modulus(seed) + `"`}, members...)
	return "{" + strings.Join(members, ",") + "}"
}

// kid is a member.
func kid(id string) string { return `"kid":"` + id + `"` }

// jwkSet is a JWK Set.
func jwkSet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// thumb is the thumbprint of the test key with the given number, computed
// apart from the code under test.
func thumb(seed uint64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, `{"e":"AQAB","kty":"RSA","n":"%s"}`, modulus(seed)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// names says which keys these are, in short: kid/algorithm/thumbprint's
// beginning.
func names(keys []*jwt.Key) []string {
	var names []string
	for _, key := range keys {
		names = append(names, key.ID+"/"+key.Algorithm+"/"+key.Thumbprint[:6])
	}
	return names
}

func errorTexts(errs []error) []string {
	var texts []string
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	return texts
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
