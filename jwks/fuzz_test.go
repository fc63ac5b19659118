package jwks_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
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
			case "kty", "use", "alg":
			case "n", "e": // in the fewest octets, which go-jose asks for
				if octets, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value.Str, "=")); err == nil {
					raw = strconv.Quote(base64.RawURLEncoding.EncodeToString(bytes.TrimLeft(octets, "\x00")))
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
		key, ok := theirs.Keys[0].Key.(*rsa.PublicKey)
		ours := set.Keys[next]
		if !ok || id != ours.ID || theirs.Keys[0].Algorithm != ours.Algorithm || key.N.Cmp(ours.RSA.N) != 0 || key.E != ours.RSA.E {
			continue
		}
		thumbprint, err := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if got := base64.RawURLEncoding.EncodeToString(thumbprint); got != ours.Thumbprint {
			t.Errorf("key %d: thumbprint %s, go-jose has %s", next, ours.Thumbprint, got)
		}
		next++
	}
	if next != len(set.Keys) {
		t.Errorf("key %d of %d is not what go-jose reads: %+v", next, len(set.Keys), set.Keys[next])
	}
	for i, key := range set.Keys {
		bits, e := key.RSA.N.BitLen(), key.RSA.E
		if bits < 2048 || bits > 8192 || key.RSA.N.Bit(0) == 0 || e < 3 || e%2 == 0 || e > 1<<31-1 {
			t.Errorf("key %d is out of bounds: %d bits, exponent %d", i, bits, e)
		}
		// crypto/rsa must take the key: any error but that of the signature is one of the key.
		err := rsa.VerifyPKCS1v15(key.RSA, crypto.SHA256, make([]byte, 32), make([]byte, key.RSA.Size()))
		if !errors.Is(err, rsa.ErrVerification) {
			t.Errorf("key %d: crypto/rsa says %v", i, err)
		}
	}
}

// FuzzParsePEM holds ParsePEM against crypto/x509: what both read, they read as
// the same keys; and what x509 reads as a key within our bounds, we read too.
func FuzzParsePEM(f *testing.F) {
	for _, text := range files(f, "*.pem") {
		f.Add(text)
	}
	f.Add("")
	f.Add(block("RSA PUBLIC KEY", pkcs1(number(1, 2048), 3)) + "text\n" + block("PUBLIC KEY", spki(f, public(number(2, 2048), 65537))))
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
				ours[string(x509.MarshalPKCS1PublicKey(key.RSA))] = true
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

// readPEM is what x509 reads: the RSA keys (in PKCS #1), whether there were
// blocks that it could not read, and whether the text is nothing but blocks
// that it reads as distinct keys within our bounds.
func readPEM(text string) (keys map[string]bool, unread, complete bool) {
	keys = make(map[string]bool)
	complete = true
	costs, tooMany := map[int]int{}, false
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
		public, ok := key.(*rsa.PublicKey)
		if err != nil || !ok {
			unread, complete = true, false
			continue
		}
		if bits := public.N.BitLen(); bits < 2048 || bits > 8192 || public.N.Bit(0) == 0 || public.E < 3 || public.E%2 == 0 {
			complete = false
		}
		if name := string(x509.MarshalPKCS1PublicKey(public)); !keys[name] {
			keys[name] = true
			sum := costs[public.Size()]
			costs[public.Size()] = sum + (&jwt.Key{RSA: public}).Cost()
			tooMany = tooMany || sum > 0 && costs[public.Size()] > jwks.MaxTokenCost
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
		if member.Class != asn1.ClassContextSpecific || member.Tag <= last || member.Tag > 3 || member.IsCompound != constructed {
			return false
		}
		last = member.Tag
	}
	return mandatory == 6
}
