package jwks_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/tidwall/gjson"

	"orgate/jwks"
	"orgate/jwt"
)

// files is the test data of a kind, by name.
func files(t testing.TB, pattern string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%q: %v, %v", pattern, names, err)
	}
	contents := make(map[string]string)
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		contents[name] = string(content)
	}
	return contents
}

func TestParseAgreesWithGoJose(t *testing.T) {
	for name, doc := range files(t, "*.json") {
		t.Run(name, func(t *testing.T) { agreesWithGoJose(t, doc) })
	}
}

// FuzzParse holds Parse against go-jose: what we take for a key, it reads as
// the same key.
func FuzzParse(f *testing.F) {
	for _, doc := range files(f, "*.json") {
		f.Add(doc)
	}
	for _, doc := range []string{
		`{"keys":[]}`,
		jwkSet(jwk(1, `"kid":null,"oth":[],"d":null,"key_ops":[],"use":""`)),
		`{"keys":[{"kty":"RSA","e":"AAEAAQ","n":"` + text(number(3, 2048)) + `=="}]}`,
		jwkSet(rfc7638),
		jwkSet(p256, edwards),
		jwkSet(strings.Replace(p256, `"kty"`, `"alg":"ES256","d":null,"kty"`, 1),
			`{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}`),
		jwkSet(jwk(1, kid("a"), `"use":"sig","key_ops":["verify"],"alg":"PS256"`), jwk(2, `"use":"enc"`)),
		jwkSet(jwk(1, `"d":"AQAB"`), `{"kty":"oct","k":"AA"}`, `7`),
		`{"keys":[{"kty":"RSA","e":"Aw","n":"` + text(number(3, 2049)) + `"}]}`,
		`{"keys":[{"kty":"RSA","e":"f____w","\u006e":"` + text(number(3, 4096)) + `"}],"keyz":null}`,
	} {
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc string) { agreesWithGoJose(t, doc) })
}

// go-jose reads moduli of 4096 bits at most unless told otherwise.
func init() { jose.MaxRSAModulusBits = 8192 }

func agreesWithGoJose(t *testing.T, doc string) {
	set, err := jwks.Parse(doc)
	if err != nil {
		if set != nil || !errors.Is(err, jwks.ErrNotSet) {
			t.Fatalf("%+v, %v", set, err)
		}
		return
	}
	// go-jose refuses a document for one bad key, and checks certificates. So
	// it is given the keys one by one, and of each the members that we read.
	next := 0
	if !gjson.Get(doc, "keys").Exists() {
		return // certificates by kid
	}
	for _, member := range gjson.Get(doc, "keys").Array() {
		reduced := `{"keys":[{`
		separator := ""
		id := ""
		member.ForEach(func(name, value gjson.Result) bool {
			if value.Type == gjson.Null || value.Str == "" {
				return true
			}
			raw := value.Raw
			switch name.Str {
			default:
				return true
			case "kid":
				id = value.Str
			case "kty", "use", "alg", "crv":
			case "n", "e", "x", "y": // as long as go-jose asks for
				if octets, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value.Str, "=")); err == nil {
					octets = bytes.TrimLeft(octets, "\x00")
					if size := coordinates[member.Get("crv").Str]; member.Get("kty").Str == "EC" && len(octets) < size {
						octets = append(make([]byte, size-len(octets)), octets...)
					}
					if member.Get("kty").Str != "OKP" {
						raw = strconv.Quote(base64.RawURLEncoding.EncodeToString(octets))
					} else {
						raw = strconv.Quote(strings.TrimRight(value.Str, "="))
					}
				}
			}
			reduced += separator + strconv.Quote(name.Str) + ":" + raw
			separator = ","
			return true
		})
		reduced += `}]}`
		if next == len(set.Keys) {
			break
		}
		var theirs jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(reduced), &theirs); err != nil || len(theirs.Keys) != 1 {
			continue // one that we must not have accepted either: see the end
		}
		ours := set.Keys[next]
		if id != ours.ID || theirs.Keys[0].Algorithm != ours.Algorithm ||
			thumbOf(theirs.Keys[0].Key) != ours.Thumbprint {
			continue
		}
		checkKey(t, ours, theirs.Keys[0].Key)
		next++
	}
	if next != len(set.Keys) {
		t.Errorf("key %d of %d is not what go-jose reads: %+v", next, len(set.Keys), set.Keys[next])
	}
}

// coordinates are how many octets a coordinate has.
var coordinates = map[string]int{"P-256": 32, "P-384": 48, "P-521": 66}

// thumbOf is go-jose's thumbprint of a public key, "" if it has none.
func thumbOf(key any) string {
	thumbprint, err := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(thumbprint)
}

// checkKey checks that a key may be used, which is known by its standard form as
// well.
func checkKey(t *testing.T, ours *jwt.Key, key any) {
	free := *ours
	free.Algorithm = ""
	switch key := key.(type) {
	case *rsa.PublicKey:
		bits, e := key.N.BitLen(), key.E
		if bits < 2048 || bits > 8192 || key.N.Bit(0) == 0 || e < 3 || e%2 == 0 || e > 1<<31-1 {
			t.Errorf("a key is out of bounds: %d bits, exponent %d", bits, e)
		}
		// crypto/rsa must take the key: any error but that of the signature is one of the key.
		err := rsa.VerifyPKCS1v15(key, crypto.SHA256, make([]byte, 32), make([]byte, key.Size()))
		if !errors.Is(err, rsa.ErrVerification) {
			t.Errorf("crypto/rsa says %v", err)
		}
		if !free.Allows("RS256") || !free.Allows("PS512") || free.Allows("ES256") {
			t.Errorf("%+v is not for the algorithms of RSA", ours)
		}
	case *ecdsa.PublicKey:
		if _, err := key.ECDH(); err != nil {
			t.Errorf("crypto/ecdsa says %v", err)
		}
		if alg := map[string]string{"P-256": "ES256", "P-384": "ES384",
			"P-521": "ES512"}[key.Params().Name]; !free.Allows(alg) {
			t.Errorf("%+v is not for %s", ours, alg)
		}
	case ed25519.PublicKey:
		if !free.Allows("EdDSA") {
			t.Errorf("%+v is not for EdDSA", ours)
		}
	default:
		t.Errorf("a key of the type %T", key)
	}
}

// FuzzParsePEM holds ParsePEM against crypto/x509: what both read, they read as
// the same keys; and what x509 reads as a key within our bounds, we read too.
func FuzzParsePEM(f *testing.F) {
	for _, text := range files(f, "*.pem") {
		f.Add(text)
	}
	f.Add("")
	f.Add(block("RSA PUBLIC KEY", pkcs1(number(1, 2048), 3)) + "text\n" + block("PUBLIC KEY",
		spki(f, public(number(2, 2048), 65537))))
	f.Add(block("PRIVATE KEY", []byte{0x30, 0}))
	f.Add("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n-----BEGIN PUBLIC KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := jwks.ParsePEM(text)
		if err != nil && (set != nil || !errors.Is(err, jwks.ErrPEM)) {
			t.Fatalf("%+v, %v", set, err)
		}
		ours := make(map[string]bool)
		if err == nil {
			if len(set.Keys) == 0 {
				t.Fatal("no keys")
			}
			for _, key := range set.Keys {
				ours[key.Thumbprint] = true
			}
		}
		theirs, unread, complete := readPEM(text)
		for key := range theirs {
			if err == nil && !ours[key] {
				t.Errorf("x509 reads a key that we do not have: %x", key)
			}
		}
		if err == nil && !unread && len(ours) != len(theirs) {
			t.Errorf("%d keys, x509 reads %d", len(ours), len(theirs))
		}
		if err != nil && complete {
			t.Errorf("x509 reads everything, we say: %v", err)
		}
	})
}

// readPEM is what x509 reads: the thumbprints of keys, whether there were
// blocks that it could not read, and whether the text is nothing but blocks
// that it reads as distinct keys within our bounds.
func readPEM(text string) (keys map[string]bool, unread, complete bool) {
	keys = make(map[string]bool)
	complete = true
	costs, tooMany := map[string]int{}, false
	rest := []byte(text)
	for {
		var decoded *pem.Block
		before := rest
		decoded, rest = pem.Decode(rest)
		if decoded == nil {
			break
		}
		if len(decoded.Headers) > 0 || bytes.Count(before[:len(before)-len(rest)], []byte("-----")) != 4 {
			complete = false
		}
		var key any
		var err error
		switch decoded.Type {
		case "CERTIFICATE":
			var certificate *x509.Certificate
			if certificate, err = x509.ParseCertificate(decoded.Bytes); err == nil {
				key = certificate.PublicKey
				complete = complete && wellFormed(certificate.RawTBSCertificate)
			}
		case "PUBLIC KEY":
			key, err = x509.ParsePKIXPublicKey(decoded.Bytes)
		case "RSA PUBLIC KEY":
			key, err = x509.ParsePKCS1PublicKey(decoded.Bytes)
		}
		name := ""
		if err == nil {
			name = thumbOf(key)
		}
		if name == "" {
			unread, complete = true, false
			continue
		}
		kind, size, cost := "RSA", 0, 0
		switch key := key.(type) {
		case *rsa.PublicKey:
			if bits := key.N.BitLen(); bits < 2048 || bits > 8192 || key.N.Bit(0) == 0 || key.E < 3 || key.E%2 == 0 {
				complete = false
			} else if ours, err := jwt.NewRSAKey(key.N, big.NewInt(int64(key.E))); err == nil {
				size, cost = key.Size(), ours.Cost()
			}
		case *ecdsa.PublicKey:
			kind = key.Params().Name
			cost = map[string]int{"P-256": 85, "P-384": 200, "P-521": 300}[kind]
		case ed25519.PublicKey:
			kind, cost = "Ed25519", 90
			if _, err := jwt.NewEd25519Key(key); err != nil {
				unread, complete = true, false // crypto/ed25519 looks at no point
				continue
			}
		}
		if !keys[name] {
			keys[name] = true
			id := kind + strconv.Itoa(size)
			sum := costs[id]
			costs[id] = sum + cost
			tooMany = tooMany || sum > 0 && costs[id] > jwks.MaxTokenCost
		}
	}
	if bytes.Contains(rest, []byte("-----")) || len(keys) == 0 || tooMany {
		complete = false
	}
	return keys, unread, complete
}

// wellFormed reports whether a TBSCertificate (RFC 5280 §4.1) holds its six
// mandatory members and, of the optional ones, each once and in order: x509
// does not look at what follows the extensions or stands in their place.
func wellFormed(tbs []byte) bool {
	var members []asn1.RawValue
	if rest, err := asn1.Unmarshal(tbs, &members); err != nil || len(rest) > 0 {
		return false
	}
	mandatory, last := 0, -1
	for _, member := range members {
		if member.Class == asn1.ClassUniversal {
			mandatory++
			continue
		}
		constructed := member.Tag == 0 || member.Tag == 3 // version and extensions
		if member.Class != asn1.ClassContextSpecific || member.Tag <= last || member.Tag > 3 ||
			member.IsCompound != constructed {
			return false
		}
		last = member.Tag
	}
	return mandatory == 6
}
