package jwks_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/jwks"
)

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func public(n *big.Int, e int) *rsa.PublicKey { return &rsa.PublicKey{N: n, E: e} }

func spki(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pkcs1(n *big.Int, e int64) []byte {
	der, err := asn1.Marshal(struct{ N, E *big.Int }{n, big.NewInt(e)})
	if err != nil {
		panic(err)
	}
	return der
}

func TestParsePEM(t *testing.T) {
	certificate, spkiPEM, pkcs1PEM := readFile(t, "certificate.pem"), readFile(t, "public-key.pem"),
		readFile(t, "rsa-public-key.pem")
	decoded, _ := pem.Decode([]byte(spkiPEM))
	key, err := x509.ParsePKIXPublicKey(decoded.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	n := key.(*rsa.PublicKey).N
	chain := readFile(t, "chain.pem") // its first certificate has the same key
	ca := func() *big.Int {
		blocks := strings.SplitAfter(chain, "-----END CERTIFICATE-----\n")
		decoded, _ := pem.Decode([]byte(blocks[1]))
		certificate, err := x509.ParseCertificate(decoded.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return certificate.PublicKey.(*rsa.PublicKey).N
	}()
	var three []string
	var threeKeys []*big.Int
	for seed := range uint64(3) {
		three = append(three, block("RSA PUBLIC KEY", pkcs1(number(seed, 2048), 65537)))
		threeKeys = append(threeKeys, number(seed, 2048))
	}

	tests := []struct {
		name     string
		pem      string
		want     []*big.Int
		exponent int // 65537 if 0
	}{
		{"certificate", certificate, []*big.Int{n}, 0},
		{"public key", spkiPEM, []*big.Int{n}, 0},
		{"RSA public key", pkcs1PEM, []*big.Int{n}, 0},
		{"the same key three times", certificate + spkiPEM + pkcs1PEM, []*big.Int{n}, 0},
		{"a chain, with text before it", chain, []*big.Int{n, ca}, 0},
		{"text around the blocks", "Key of 2025:\n" + spkiPEM + "\nand a comment\n", []*big.Int{n}, 0},
		{"lines that end in CRLF", strings.ReplaceAll(certificate, "\n", "\r\n"), []*big.Int{n}, 0},
		{"no line end at the end", strings.TrimSpace(certificate), []*big.Int{n}, 0},
		{"three keys", strings.Join(three, ""), threeKeys, 0},
		{"one of 8192 bits", block("RSA PUBLIC KEY", pkcs1(number(1, 8192), 1<<31-1)), []*big.Int{number(1, 8192)},
			1<<31 - 1},
		{"exponent 2^31-1", block("RSA PUBLIC KEY", pkcs1(n, 1<<31-1)), []*big.Int{n}, 1<<31 - 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			set, err := jwks.ParsePEM(test.pem)
			if err != nil {
				t.Fatal(err)
			}
			var got, want []string
			for _, n := range test.want {
				e := 65537
				if test.exponent != 0 {
					e = test.exponent
				}
				want = append(want, rsaThumb(n, e))
			}
			for _, key := range set.Keys {
				got = append(got, key.Thumbprint)
				if key.ID != "" || key.Algorithm != "" {
					t.Errorf("kid %q, alg %q", key.ID, key.Algorithm)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("thumbprints (-want +got):\n%s", diff)
			}
			if !set.AnyKeyID || len(set.Unusable) != 0 {
				t.Errorf("%+v", set)
			}
		})
	}
}

func TestParsePEMThumbprint(t *testing.T) {
	set, err := jwks.ParsePEM(block("PUBLIC KEY", spki(t, public(number(1, 2048), 65537))))
	if err != nil {
		t.Fatal(err)
	}
	if got := set.Keys[0].Thumbprint; got != thumb(1) {
		t.Errorf("thumbprint %s, want %s", got, thumb(1))
	}
}

func curveKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// ecSPKI is a SubjectPublicKeyInfo of an elliptic curve, in PEM.
func ecSPKI(curve asn1.ObjectIdentifier, point []byte) string {
	parameters := asn1.NullRawValue
	if curve != nil {
		der, err := asn1.Marshal(curve)
		if err != nil {
			panic(err)
		}
		parameters = asn1.RawValue{FullBytes: der}
	}
	der, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, Parameters: parameters},
		asn1.BitString{Bytes: point, BitLength: 8 * len(point)},
	})
	if err != nil {
		panic(err)
	}
	return block("PUBLIC KEY", der)
}

// edSPKI is a key of 32 octets with the given AlgorithmIdentifier, in PEM.
func edSPKI(algorithm string) string {
	key := "\x03\x21\x00" + strings.Repeat("\x01", 32)
	return block("PUBLIC KEY", []byte("\x30"+string(byte(len(algorithm+key)))+algorithm+key))
}

// TestParsePEMCurves: keys of elliptic curves, and certificates that hold them.
func TestParsePEMCurves(t *testing.T) {
	authority := curveKey(t, elliptic.P256())
	var all string
	var want []string
	test := func(public any) {
		t.Helper()
		template := &x509.Certificate{SerialNumber: big.NewInt(1)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, public, authority)
		if err != nil {
			t.Fatal(err)
		}
		text := block("PUBLIC KEY", spki(t, public))
		for _, text := range []string{text, block("CERTIFICATE", der)} {
			set, err := jwks.ParsePEM(text)
			if err != nil || len(set.Keys) != 1 || set.Keys[0].Thumbprint != thumbOf(public) {
				t.Fatalf("%T: %v, %+v", public, err, set)
			}
			checkKey(t, set.Keys[0], public)
		}
		all += text
		want = append(want, thumbOf(public))
	}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		test(&curveKey(t, curve).PublicKey)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	test(edwards)
	test(public(number(1, 2048), 65537))
	set, err := jwks.ParsePEM(all)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, key := range set.Keys {
		got = append(got, key.Thumbprint)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys of all types together (-want +got):\n%s", diff)
	}
}

func TestParsePEMRefuses(t *testing.T) {
	p256OID := asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	p256Point, err := curveKey(t, elliptic.P256()).PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	compressed := append([]byte{2 | p256Point[64]&1}, p256Point[1:33]...)
	good := readFile(t, "public-key.pem")
	certificate, _ := pem.Decode([]byte(readFile(t, "certificate.pem")))
	decoded, _ := pem.Decode([]byte(good))
	n := number(1, 2048)

	// The parts of an SPKI, to be put together wrongly.
	type algorithm struct {
		ID         asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	rsaID := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	info := func(a algorithm, key []byte, unused int) []byte {
		der, err := asn1.Marshal(struct {
			Algorithm algorithm
			Key       asn1.BitString
		}{a, asn1.BitString{Bytes: key, BitLength: len(key)*8 - unused}})
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	withNull := algorithm{rsaID, asn1.NullRawValue}
	inner := append(pkcs1(n, 65537), 0)
	sequence := func(parts ...[]byte) []byte {
		der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: bytes.Join(parts, nil)})
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	// parts is what a sequence holds, one by one.
	parts := func(der []byte) (parts [][]byte) {
		var outer asn1.RawValue
		if _, err := asn1.Unmarshal(der, &outer); err != nil {
			t.Fatal(err)
		}
		for rest := outer.Bytes; len(rest) > 0; {
			var part asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &part); err != nil {
				t.Fatal(err)
			}
			parts = append(parts, part.FullBytes)
		}
		return parts
	}
	null := []byte{5, 0}
	spkiParts := parts(decoded.Bytes)
	certificateParts := parts(certificate.Bytes)
	tbsParts := parts(certificateParts[0])
	withTBS := func(tbs ...[]byte) []byte {
		return sequence(sequence(tbs...), certificateParts[1], certificateParts[2])
	}

	var four strings.Builder
	for seed := range uint64(4) {
		four.WriteString(block("RSA PUBLIC KEY", pkcs1(number(seed, 2048), 65537)))
	}

	tests := []struct {
		name string
		pem  string
		want string
	}{
		{"nothing", "", "no block"},
		{"text", "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", "no block"},
		{"private key", block("PRIVATE KEY", []byte{1}),
			"block 1: a private key, which has no place here: give its public key"},
		{"RSA private key after a good key", good + block("RSA PRIVATE KEY", []byte{1}),
			"block 2: a private key, which has no place here: give its public key"},
		{"encrypted private key", block("ENCRYPTED PRIVATE KEY", []byte{1}),
			"block 1: a private key, which has no place here: give its public key"},
		{
			"private key with headers", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END " +
				"RSA PRIVATE KEY-----\n", "block 1: a private key, which has no place here: give its public key"},
		{"certificate request", block("CERTIFICATE REQUEST", []byte{1}),
			"block 1: neither CERTIFICATE, PUBLIC KEY nor RSA PUBLIC KEY"},
		{"trusted certificate", block("TRUSTED CERTIFICATE", certificate.Bytes),
			"block 1: neither CERTIFICATE, PUBLIC KEY nor RSA PUBLIC KEY"},
		{"lower case", block("public key", decoded.Bytes),
			"block 1: neither CERTIFICATE, PUBLIC KEY nor RSA PUBLIC KEY"},
		{"headers", "-----BEGIN PUBLIC KEY-----\nA: b\n\nAAAA\n-----END PUBLIC KEY-----\n",
			"block 1: the block has headers"},

		{"cut in the middle", good[:200], "the last block is broken"},
		{"cut, before a good one", good[:200] + "\n" + good, "block 1 is broken"},
		{"a good one, then one cut", good + good[:200], "the last block is broken"},
		{"the end alone", good + "-----END PUBLIC KEY-----\n", "the last block is broken"},
		{"the end alone, first", "-----END PUBLIC KEY-----\n" + good, "block 1 is broken"},
		{"indented", strings.ReplaceAll(good, "\n", "\n  "), "the last block is broken"},
		{"on one line", strings.ReplaceAll(good, "\n", " "), "the last block is broken"},
		{"line ends written as backslash and n", strings.ReplaceAll(good, "\n", `\n`), "the last block is broken"},
		{"begin and end differ", strings.Replace(good, "END PUBLIC", "END RSA PUBLIC", 1), "the last block is broken"},
		{"not base64", strings.Replace(good, "A", "*", 1), "the last block is broken"},
		{"a byte order mark", "\ufeff" + good, "the last block is broken"},

		{"too many keys", four.String(), "4 keys of the type RSA 2048, but a token is tried with 3: " +
			"leave out those that sign no tokens, or give each a kid in a JWK Set"},
		{
			"two long keys", block("RSA PUBLIC KEY", pkcs1(number(1, 4096), 65537)) + block("RSA PUBLIC KEY",
				pkcs1(number(2, 4096), 65537)),
			"2 keys of the type RSA 4096, but a token is tried with 1: " +
				"leave out those that sign no tokens, or give each a kid in a JWK Set"},
		{"P-224", block("PUBLIC KEY", spki(t, &curveKey(t, elliptic.P224()).PublicKey)),
			"block 1: the curve is neither P-256, P-384 nor P-521"},
		{"a curve without a name", ecSPKI(nil, p256Point), "block 1: the curve has no name"},
		{"a compressed point", ecSPKI(p256OID, compressed), "block 1: the point is not in the uncompressed form"},
		{"half a point", ecSPKI(p256OID, p256Point[:33]), "block 1: the point is not in the uncompressed form"},
		{"no point", ecSPKI(p256OID, nil), "block 1: the point is not in the uncompressed form"},
		{"beside the curve", ecSPKI(p256OID, append(slices.Clone(p256Point[:64]), p256Point[64]^1)),
			"block 1: no point of P-256"},
		{"Ed25519 with a parameter", edSPKI("\x30\x07\x06\x03\x2b\x65\x70\x05\x00"), "block 1: not a DER public key"},
		{"X25519", edSPKI("\x30\x05\x06\x03\x2b\x65\x6e"), "block 1: the key is none of the types RSA, EC and Ed25519"},
		{"Ed25519 of small order", block("PUBLIC KEY", spki(t, ed25519.PublicKey(make([]byte, 32)))),
			"block 1: a point of small order, whose signatures anybody can make"},
		{"1024 bits", block("RSA PUBLIC KEY", pkcs1(number(1, 1024), 65537)),
			"block 1: the modulus has 1024 bits, at least 2048 are needed"},
		{"8193 bits", block("RSA PUBLIC KEY", pkcs1(number(1, 8193), 65537)),
			"block 1: the modulus has 8193 bits, at most 8192 are allowed"},
		{"even modulus", block("RSA PUBLIC KEY", pkcs1(new(big.Int).Add(n, big.NewInt(1)), 65537)),
			"block 1: the modulus is even"},
		{"negative modulus", block("RSA PUBLIC KEY", pkcs1(new(big.Int).Neg(n), 65537)),
			"block 1: the modulus is not positive"},
		{"modulus 0", block("RSA PUBLIC KEY", pkcs1(new(big.Int), 65537)), "block 1: the modulus is not positive"},
		{"exponent 0", block("RSA PUBLIC KEY", pkcs1(n, 0)), "block 1: the exponent is below 3"},
		{"exponent 1", block("RSA PUBLIC KEY", pkcs1(n, 1)), "block 1: the exponent is below 3"},
		{"negative exponent", block("RSA PUBLIC KEY", pkcs1(n, -3)), "block 1: the exponent is below 3"},
		{"even exponent", block("RSA PUBLIC KEY", pkcs1(n, 65536)), "block 1: the exponent is even"},
		{"exponent 2^31+1", block("RSA PUBLIC KEY", pkcs1(n, 1<<31+1)),
			"block 1: the exponent is above 2^31-1, with which crypto/rsa does not verify"},
		{"exponent 2^32+1", block("RSA PUBLIC KEY", pkcs1(n, 1<<32+1)),
			"block 1: the exponent is above 2^31-1, with which crypto/rsa does not verify"},

		{"empty block", block("PUBLIC KEY", nil), "block 1: not a DER public key"},
		{"empty certificate", block("CERTIFICATE", nil), "block 1: not a DER certificate"},
		{"RSA public key called a public key", block("PUBLIC KEY", pkcs1(n, 65537)), "block 1: not a DER public key"},
		{"public key called an RSA public key", block("RSA PUBLIC KEY", decoded.Bytes),
			"block 1: not a DER public key"},
		{"public key called a certificate", block("CERTIFICATE", decoded.Bytes), "block 1: not a DER certificate"},
		{"public key and more", block("PUBLIC KEY", append(bytes.Clone(decoded.Bytes), 0)),
			"block 1: not a DER public key"},
		{"RSA public key and more", block("RSA PUBLIC KEY", inner), "block 1: not a DER public key"},
		{"certificate and more", block("CERTIFICATE", append(bytes.Clone(certificate.Bytes), 0)),
			"block 1: not a DER certificate"},
		{"more within the bits", block("PUBLIC KEY", info(withNull, inner, 0)), "block 1: not a DER public key"},
		{"bits that fill no octet", block("PUBLIC KEY", info(withNull, pkcs1(n, 65536), 1)),
			"block 1: not a DER public key"},
		{"no parameters", block("PUBLIC KEY", info(algorithm{ID: rsaID}, pkcs1(n, 65537), 0)),
			"block 1: not a DER public key"},
		{
			"parameters that are not null", block("PUBLIC KEY",
				info(algorithm{rsaID, asn1.RawValue{Tag: 2, Bytes: []byte{0}}}, pkcs1(n, 65537), 0)),
			"block 1: not a DER public key"},
		{
			"an RSA key for PSS alone", block("PUBLIC KEY",
				info(algorithm{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}, asn1.NullRawValue}, pkcs1(n, 65537),
					0)), "block 1: the key is for RSASSA-PSS alone (id-RSASSA-PSS): publish it as an RSA key " +
				"(rsaEncryption)"},
		{
			"null that holds something", block("PUBLIC KEY",
				info(algorithm{rsaID, asn1.RawValue{Tag: 5, Bytes: []byte{0}}}, pkcs1(n, 65537), 0)),
			"block 1: not a DER public key"},
		{
			"more after the parameters", block("PUBLIC KEY",
				sequence(sequence(append(parts(spkiParts[0]), null)...), spkiParts[1])),
			"block 1: not a DER public key"},
		{"more after the bits", block("PUBLIC KEY", sequence(spkiParts[0], spkiParts[1], null)),
			"block 1: not a DER public key"},
		{"more after the exponent", block("RSA PUBLIC KEY", sequence(append(parts(pkcs1(n, 65537)), null)...)),
			"block 1: not a DER public key"},
		{"more after the signature", block("CERTIFICATE", sequence(append(parts(certificate.Bytes), null)...)),
			"block 1: not a DER certificate"},
		{"more after the extensions", block("CERTIFICATE", withTBS(append(parts(certificateParts[0]), null)...)),
			"block 1: not a DER certificate"},
		{"certificate without a serial number",
			block("CERTIFICATE", withTBS(append([][]byte{tbsParts[0]}, tbsParts[2:]...)...)),
			"block 1: not a DER certificate"},
		{"certificate whose key is missing", block("CERTIFICATE", withTBS(tbsParts[:6]...)),
			"block 1: not a DER certificate"},
		{"certificate without a signature", block("CERTIFICATE", sequence(certificateParts[:2]...)),
			"block 1: not a DER certificate"},
		{
			"length in too many octets", block("RSA PUBLIC KEY",
				append([]byte{0x30, 0x83, 0, 1, 10}, pkcs1(n, 65537)[4:]...)), "block 1: not a DER public key"},
		{
			"number with a needless octet", block("RSA PUBLIC KEY",
				sequence(parts(pkcs1(n, 65537))[0], []byte{2, 4, 0, 1, 0, 1})), "block 1: not a DER public key"},
		{"certificate cut", block("CERTIFICATE", certificate.Bytes[:300]), "block 1: not a DER certificate"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			set, err := jwks.ParsePEM(test.pem)
			if set != nil || !errors.Is(err, jwks.ErrPEM) {
				t.Fatalf("%+v, %v", set, err)
			}
			if want := "no usable PEM: " + test.want; err.Error() != want {
				t.Errorf("%q, want %q", err, want)
			}
		})
	}
}

// Certificates of every shape that crypto/x509 writes.
func TestParsePEMCertificateShapes(t *testing.T) {
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := func(change func(*x509.Certificate)) *x509.Certificate {
		certificate := &x509.Certificate{
			SerialNumber: big.NewInt(1),
			NotBefore:    time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC),
			NotAfter:     time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		}
		change(certificate)
		return certificate
	}
	tests := []struct {
		name        string
		certificate *x509.Certificate
	}{
		{"without a subject", template(func(*x509.Certificate) {})},
		{"with a subject and a long serial number", template(func(c *x509.Certificate) {
			c.Subject = pkix.Name{Country: []string{"LK"}, Organization: []string{"Example"},
				CommonName: "idp.example.test"}
			c.SerialNumber = number(1, 159)
		})},
		{"with extensions", template(func(c *x509.Certificate) {
			c.DNSNames = []string{"idp.example.test"}
			c.KeyUsage = x509.KeyUsageDigitalSignature
		})},
		{"of an authority", template(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })},
		{"long expired", template(func(c *x509.Certificate) {
			c.NotBefore = time.Date(1951, 1, 1, 0, 0, 0, 0, time.UTC)
			c.NotAfter = time.Date(1952, 1, 1, 0, 0, 0, 0, time.UTC)
		})},
		{
			"that never expires", template(func(c *x509.Certificate) {
				c.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
			})},
		{"signed with PSS", template(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA512WithRSAPSS })},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := number(uint64(i), 3072)
			der, err := x509.CreateCertificate(rand.Reader, test.certificate, template(func(*x509.Certificate) {}),
				public(n, 65537), signer)
			if err != nil {
				t.Fatal(err)
			}
			set, err := jwks.ParsePEM(block("CERTIFICATE", der))
			if err != nil {
				t.Fatal(err)
			}
			if len(set.Keys) != 1 || set.Keys[0].Thumbprint != rsaThumb(n, 65537) {
				t.Errorf("%+v", set.Keys)
			}
		})
	}
}
