package jwks_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"orgate/internal/strictjson"
	"orgate/jwks"
	"orgate/jwt"
)

// The example of RFC 7638 §3.1.
const rfc7638 = `{
  "kty": "RSA",
  "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
  "e": "AQAB",
  "alg": "RS256",
  "kid": "2011-04-29"
}`

func TestParseThumbprint(t *testing.T) {
	set, err := jwks.Parse(jwkSet(rfc7638))
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 1 {
		t.Fatalf("%d keys, unusable: %v", len(set.Keys), set.Unusable)
	}
	key := set.Keys[0]
	want := &jwt.Key{ID: "2011-04-29", Algorithm: "RS256", Type: "RSA 2048",
		Thumbprint: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}
	if diff := cmp.Diff(want, key, cmpopts.IgnoreUnexported(jwt.Key{})); diff != "" {
		t.Errorf("key (-want +got):\n%s", diff)
	}
}

func TestParseProviders(t *testing.T) {
	tests := []struct {
		file     string
		keys     []string
		unusable []string
	}{
		{"auth0.json", []string{"wU3ifIIaLOUAReRB_FG6e RS256", "x9bnf0ZqwSLBTWsqYVVXq RS256"}, nil},
		{"okta.json", []string{"Sb1dYqPAJdC0hmJrVeWSvV1VqvKJvJpwYkTVUqSoA3k RS256"}, nil},
		{"uaa.json", []string{"key-1 RS256"}, nil}, // n with a sign octet
		{"keycloak.json", []string{
			"LmFz9rmJ3yxrZ3VdFqLrv2h7Xgqg3Cdw8d1r0sXQ1n8 RS256",
			"kq3jRkNnyVt4SQXuCxBz7v2JxkO8Jvoa8EqIg9m0C1E ES256",
		}, []string{`keys[0] (kid "6tcmgK8uZ0a1jZ7oMRTwCFDSvHVq0XvTjqqpl2VfYtQ"): use is not sig`}},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			set, err := jwks.Parse(readFile(t, test.file))
			if err != nil {
				t.Fatal(err)
			}
			var keys []string
			for _, key := range set.Keys {
				keys = append(keys, key.ID+" "+key.Algorithm)
			}
			if diff := cmp.Diff(test.keys, keys); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.unusable, errorTexts(set.Unusable)); diff != "" {
				t.Errorf("unusable (-want +got):\n%s", diff)
			}
		})
	}
	for file, count := range map[string]int{"entra.json": 3, "asgardeo.json": 1} { // Their kids are long.
		set, err := jwks.Parse(readFile(t, file))
		if err != nil || len(set.Keys) != count || len(set.Unusable) != 0 {
			t.Errorf("%s: %v, %+v", file, err, set)
		}
	}
}

func TestParseRefusesDocument(t *testing.T) {
	many := strings.Repeat(`{"kty":"EC"},`, 100) + `{"kty":"EC"}`
	tests := []struct {
		name  string
		doc   string
		cause error
		text  string
	}{
		{"nothing", "", strictjson.ErrSyntax, ""},
		{"HTML", "<html>Bad gateway</html>", strictjson.ErrSyntax, ""},
		{"an array", "[" + jwk(1) + "]", strictjson.ErrNotObject, ""},
		{"something after the set", jwkSet(jwk(1)) + "{}", strictjson.ErrSyntax, ""},
		{"a discovery document", `{"issuer":"https://idp.test","jwks_uri":"https://idp.test/keys"}`, nil,
			`not a JWK Set: no member "keys"`},
		{"a key alone", jwk(1), nil, `not a JWK Set: no member "keys"`},
		{"keys are an object", `{"keys":` + jwk(1) + `}`, nil, `not a JWK Set: "keys" is not an array`},
		{"keys are null", `{"keys":null}`, nil, `not a JWK Set: "keys" is not an array`},
		{"two members keys", `{"keys":[],"keys":[` + jwk(1) + `]}`, strictjson.ErrDuplicate, ""},
		{"two members keys, one escaped", `{"keys":[],"\u006beys":[` + jwk(1) + `]}`, strictjson.ErrDuplicate, ""},
		{"two kids in one key", jwkSet(jwk(1), jwk(2, kid("a"), kid("b"))), strictjson.ErrDuplicate, ""},
		{"a duplicate in a member nobody reads", jwkSet(jwk(1, `"x":{"y":1,"y":2}`)), strictjson.ErrDuplicate, ""},
		{"too deep", jwkSet(jwk(1, `"x":`+strings.Repeat("[", 40)+strings.Repeat("]", 40))), strictjson.ErrDepth, ""},
		{"a kid that is no UTF-8", jwkSet(jwk(1, kid("\xff"))), strictjson.ErrUTF8, ""},
		{"too many keys", `{"keys":[` + many + `]}`, nil, "not a JWK Set: 101 keys, at most 100"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			set, err := jwks.Parse(test.doc)
			if set != nil || !errors.Is(err, jwks.ErrNotSet) {
				t.Fatalf("%+v, %v", set, err)
			}
			if test.cause != nil && !errors.Is(err, test.cause) {
				t.Errorf("%v is not %v", err, test.cause)
			}
			if test.text != "" && err.Error() != test.text {
				t.Errorf("%q, want %q", err, test.text)
			}
		})
	}
}

func TestParseUnusableKeys(t *testing.T) {
	withN := func(n string) string { return `{"kty":"RSA","e":"AQAB","n":"` + n + `"}` }
	withE := func(e string) string { return `{"kty":"RSA","e":"` + e + `","n":"` + modulus(1) + `"}` }
	octets := func(n *big.Int, before ...byte) string {
		return base64.RawURLEncoding.EncodeToString(append(before, n.Bytes()...))
	}
	n := number(1, 2048)
	// The last character of 256 octets has 4 bits to spare.
	stray := []byte(modulus(1))
	stray[len(stray)-1]++

	tests := []struct {
		name string
		key  string
		want string // after "keys[1]"
	}{
		{"no object", `"key"`, ": not an object"},
		{"null", `null`, ": not an object"},
		{"an array", `[]`, ": not an object"},
		{"empty", `{}`, ": no kty"},
		{"kty no string", `{"kty":1}`, ": kty is not a string"},
		{"kty of another case", `{"kty":"rsa"}`, ": kty is neither RSA, EC nor OKP"},
		{"elliptic curve without a curve", `{"kty":"EC","kid":"ec"}`, ` (kid "ec"): no crv`},
		{"secret", `{"kty":"oct","k":"c2VjcmV0"}`, ": kty is neither RSA, EC nor OKP"},
		{"kid a number", jwk(1, `"kid":7`), ": kid is not a string"},
		{"private exponent", jwk(1, kid("p"), `"d":"AQAB"`),
			` (kid "p"): the private key is published (d): whoever reads the set can sign`},
		{"for encryption", jwk(1, `"use":"enc"`), ": use is not sig"},
		{"use of another case", jwk(1, `"use":"SIG"`), ": use is not sig"},
		{"signing only", jwk(1, `"key_ops":["sign"]`), ": key_ops is without verify"},
		{"operations no array", jwk(1, `"key_ops":"verify"`), ": key_ops is not an array"},
		{"verify, but for encryption", jwk(1, `"key_ops":["verify"],"use":"enc"`), ": use is not sig"},
		{"encryption algorithm", jwk(1, `"alg":"RSA-OAEP"`), ": alg is not a supported signature algorithm"},
		{"HMAC", jwk(1, `"alg":"HS256"`), ": alg is not a supported signature algorithm"},
		{"ECDSA", jwk(1, `"alg":"ES256"`), ": alg is not one for a key of the type RSA 2048"},
		{"RSA, for a curve", strings.Replace(p256, `"kty"`, `"alg":"RS256","kty"`, 1),
			": alg is not one for a key of the type EC P-256"},
		{"ES384 for P-256", strings.Replace(p256, `"kty"`, `"alg":"ES384","kty"`, 1),
			": alg is not one for a key of the type EC P-256"},
		{"secp256k1", strings.Replace(p256, "P-256", "secp256k1", 1), ": the curve is neither P-256, P-384 nor P-521"},
		{"private key of a curve", strings.Replace(p256, `"kty"`, `"d":"AQAB","kty"`, 1),
			": the private key is published (d): whoever reads the set can sign"},
		{"no point", strings.Replace(p256, `"x":"M`, `"x":"N`, 1), ": no point of P-256"},
		{"no y", `{"kty":"EC","crv":"P-256","x":"AQ"}`, ": no y"},
		{"x no string", `{"kty":"EC","crv":"P-256","x":1,"y":"AQ"}`, ": x is not a string"},
		{"x too long for any curve", `{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("AQEB", 30) + `","y":"AQ"}`,
			": x is too long"},
		{"x too long for the curve", `{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("AQEB", 11) + `","y":"AQ"}`,
			": a coordinate is too long for P-256"},
		{"X25519", strings.Replace(edwards, "Ed25519", "X25519", 1), ": crv is not Ed25519"},
		{"OKP without a curve", `{"kty":"OKP"}`, ": no crv"},
		{"OKP without x", `{"kty":"OKP","crv":"Ed25519"}`, ": no x"},
		{"Ed25519 of 31 octets", `{"kty":"OKP","crv":"Ed25519","x":"` + strings.Repeat("A", 42) + `"}`,
			": no point of Ed25519"},
		{"Ed25519 of 33 octets", `{"kty":"OKP","crv":"Ed25519","x":"` + strings.Repeat("A", 44) + `"}`,
			": x is too long"},
		{"Ed25519 of small order", `{"kty":"OKP","crv":"Ed25519","x":"` + strings.Repeat("A", 43) + `"}`,
			": a point of small order, whose signatures anybody can make"},
		{"none", jwk(1, `"alg":"none"`), ": alg is not a supported signature algorithm"},
		{"alg of another case", jwk(1, `"alg":"rs256"`), ": alg is not a supported signature algorithm"},

		{"no n", `{"kty":"RSA","e":"AQAB"}`, ": no n"},
		{"n a number", `{"kty":"RSA","e":"AQAB","n":12345}`, ": n is not a string"},
		{"n empty", withN(""), ": no n"},
		{"n with commas for padding", withN(modulus(1)[:341] + ","), ": n is not base64url"},
		{"n with a line end", withN(modulus(1)[:100] + `\n` + modulus(1)[100:]), ": n is not base64url"},
		{"n with a space", withN(" " + modulus(1)), ": n is not base64url"},
		{"n with stray bits", withN(string(stray)), ": n is not base64url"},
		{"n in base64", withN(strings.NewReplacer("-", "+", "_", "/").Replace(modulus(1))), ": n is not base64url"},
		{"n zero", withN("AA"), ": the modulus is not positive"},
		{"n with too many zero octets", withN(octets(number(1, 8192), make([]byte, 12)...)), ": n is too long"},
		{"n with three characters of padding", withN(modulus(1) + "==="), ": n is not base64url"},
		{"issuer a number", jwk(1, `"issuer":7`), ": issuer is not a string"},
		{"private exponent beside an empty member", jwk(1, `"oth":[],"d":"AQAB"`),
			": the private key is published (d): whoever reads the set can sign"},
		{"n of 1024 bits", withN(text(number(1, 1024))), ": the modulus has 1024 bits, at least 2048 are needed"},
		{"n of 2047 bits", withN(text(number(1, 2047))), ": the modulus has 2047 bits, at least 2048 are needed"},
		{"n of 8193 bits", withN(text(number(1, 8193))), ": the modulus has 8193 bits, at most 8192 are allowed"},
		{"n of a million bits", withN(text(number(1, 1_000_000))), ": n is too long"},
		{"n even", withN(text(new(big.Int).Add(n, big.NewInt(1)))), ": the modulus is even"},

		{"no e", `{"kty":"RSA","n":"` + modulus(1) + `"}`, ": no e"},
		{"e a number", `{"kty":"RSA","e":65537,"n":"` + modulus(1) + `"}`, ": e is not a string"},
		{"e empty", withE(""), ": no e"},
		{"e with stray bits", withE("Ax"), ": e is not base64url"},
		{"e zero", withE("AA"), ": the exponent is below 3"},
		{"e 1", withE("AQ"), ": the exponent is below 3"},
		{"e 2", withE("Ag"), ": the exponent is even"},
		{"e even", withE("AQAA"), ": the exponent is even"},
		{"e 2^31+1", withE("gAAAAQ"), ": the exponent is above 2^31-1, with which crypto/rsa does not verify"},
		{"e 2^32-1", withE("_____w"), ": the exponent is above 2^31-1, with which crypto/rsa does not verify"},
		{"e 2^32+1", withE("AQAAAAE"), ": e is too long"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// Good keys around it must stay.
			set, err := jwks.Parse(jwkSet(jwk(8, kid("before")), test.key, jwk(9, kid("after"))))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"before//" + thumb(8)[:6], "after//" + thumb(9)[:6]},
				names(set.Keys)); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"keys[1]" + test.want}, errorTexts(set.Unusable)); diff != "" {
				t.Errorf("unusable (-want +got):\n%s", diff)
			}
		})
	}
}

// The public keys of RFC 7517 A.1 and RFC 8037 A.2.
const (
	p256 = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",` +
		`"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
	edwards = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

// rsaThumb is the thumbprint of an RSA key.
func rsaThumb(n *big.Int, e int) string {
	canonical := `{"e":"` + text(big.NewInt(int64(e))) + `","kty":"RSA","n":"` + text(n) + `"}`
	sum := sha256.Sum256([]byte(canonical))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestParseUsableKeys(t *testing.T) {
	with := func(n, e string) string { return `{"kty":"RSA","e":"` + e + `","n":"` + n + `"}` }
	signed := base64.RawURLEncoding.EncodeToString(append([]byte{0}, number(1, 2048).Bytes()...))
	const (
		thumbP256    = "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s" // RFC 7638 of RFC 7517 A.1's key
		thumbEdwards = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" // RFC 8037 A.3
	)
	usual := rsaThumb(number(1, 2048), 65537)
	tests := []struct {
		name string
		key  string
		want string // thumbprint
		id   string
		alg  string
	}{
		{"the least", jwk(1), usual, "", ""},
		{"a sign octet before n", with(signed, "AQAB"), usual, "", ""},
		{"2049 bits", with(text(number(1, 2049)), "AQAB"), rsaThumb(number(1, 2049), 65537), "", ""},
		{"8192 bits", with(text(number(1, 8192)), "AQAB"), rsaThumb(number(1, 8192), 65537), "", ""},
		{
			"8192 bits and a sign octet", with(
				base64.RawURLEncoding.EncodeToString(append([]byte{0}, number(1, 8192).Bytes()...)), "AQAB"),
			rsaThumb(number(1, 8192), 65537), "", ""},
		{"e 3", with(modulus(1), "Aw"), rsaThumb(number(1, 2048), 3), "", ""},
		{"e 35", with(modulus(1), "Iw"), rsaThumb(number(1, 2048), 35), "", ""},
		{"e 2^31-1", with(modulus(1), "f____w"), rsaThumb(number(1, 2048), 1<<31-1), "", ""},
		{"for signatures", jwk(1, `"use":"sig"`), usual, "", ""},
		{"signs and verifies", jwk(1, `"key_ops":["sign","verify"]`), usual, "", ""},
		{"verifies, and an operation that is no string", jwk(1, `"key_ops":[null,"verify"]`), usual, "", ""},
		{"with an algorithm", jwk(1, `"alg":"PS512"`), usual, "", "PS512"},
		{"kid empty", jwk(1, kid("")), usual, "", ""},
		{"kid with escapes", jwk(1, kid(`\u00e9\n`)), usual, "é\n", ""},
		{"names with escapes", `{"\u006bty":"\u0052SA","e":"AQA\u0042","n":"` + modulus(1) + `"}`, usual, "", ""},
		{"members that are not read", jwk(1, `"x5c":["junk"],"x5t":7,"ext":true`), usual, "", ""},
		{
			"null is absent", jwk(1, `"kid":null,"alg":null,"use":null,"key_ops":null,"d":null,"p":null,"oth":null,"issuer":null`), usual, "", ""},
		{"empty is absent", jwk(1, `"kid":"","alg":"","use":"","key_ops":[],"d":"","q":"","oth":[],"issuer":""`), usual,
			"", ""},
		{"n with padding", with(modulus(1)+"==", "AQAB"), usual, "", ""},
		{"n with a sign octet and padding", with(signed+"=", "AQAB"), usual, "", ""},
		{
			"n with two zero octets", with(base64.RawURLEncoding.EncodeToString(
				append([]byte{0, 0}, number(1, 2048).Bytes()...)), "AQAB"), usual, "", ""},
		{"e with a leading zero octet", with(modulus(1), "AAEAAQ"), usual, "", ""},
		{"a curve", p256, thumbP256, "", ""},
		{"a curve, with an algorithm", strings.Replace(p256, `"kty"`, `"alg":"ES256","kid":"1","kty"`, 1), thumbP256,
			"1", "ES256"},
		{
			"x with padding and a zero octet",
			strings.Replace(p256, `"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"`,
				`"x":"ADCgQkzSHClEg4otdckrN-duog2fAIk6O07uijwKr-w-"`, 1), thumbP256, "", ""},
		{"EdDSA", strings.Replace(edwards, `"kty"`, `"alg":"EdDSA","kty"`, 1), thumbEdwards, "", "EdDSA"},
		{"EdDSA with padding", strings.Replace(edwards, `HURo`, `HURo=`, 1), thumbEdwards, "", ""},
		{"Ed25519", strings.Replace(edwards, `"kty"`, `"alg":"Ed25519","kty"`, 1), thumbEdwards, "", "Ed25519"},
		{"e with padding", with(modulus(1), "Aw=="), rsaThumb(number(1, 2048), 3), "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			set, err := jwks.Parse(jwkSet(test.key))
			if err != nil {
				t.Fatal(err)
			}
			if len(set.Keys) != 1 {
				t.Fatalf("unusable: %v", set.Unusable)
			}
			key := set.Keys[0]
			if key.Thumbprint != test.want || key.ID != test.id || key.Algorithm != test.alg {
				t.Errorf("%+v, want thumbprint %s", key, test.want)
			}
		})
	}
}

// TestParseCertificatesByKid reads what Google and Firebase publish beside their
// JWK Sets.
func TestParseCertificatesByKid(t *testing.T) {
	certificate := strings.ReplaceAll(readFile(t, "certificate.pem"), "\n", "\\n")
	broken := "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n"
	set, err := jwks.Parse(`{"a": "` + certificate + `", "b": "` + broken + `", "c": "` + certificate + certificate +
		`"}`)
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 2 || set.Keys[0].ID != "a" || set.Keys[1].ID != "c" || set.AnyKeyID {
		t.Errorf("%+v", set)
	}
	if diff := cmp.Diff([]string{`certificate (kid "b"): no usable PEM: block 1: not a DER certificate`},
		errorTexts(set.Unusable)); diff != "" {
		t.Errorf("unusable (-want +got):\n%s", diff)
	}
	for name, doc := range map[string]string{
		"a text beside":   `{"a": "` + certificate + `", "b": "text"}`,
		"a number beside": `{"a": "` + certificate + `", "b": 1}`,
		"nothing":         `{}`,
		"a private key":   `{"a": "-----BEGIN PRIVATE KEY-----\\n"}`,
	} {
		if set, err := jwks.Parse(doc); !errors.Is(err, jwks.ErrNotSet) {
			t.Errorf("%s: %+v, %v", name, set, err)
		}
	}
}

func TestParseSignOctetKeepsThumbprint(t *testing.T) {
	signed := base64.RawURLEncoding.EncodeToString(append([]byte{0}, number(1, 2048).Bytes()...))
	set, err := jwks.Parse(jwkSet(`{"kty":"RSA","e":"AQAB","n":"` + signed + `"}`))
	if err != nil || len(set.Keys) != 1 {
		t.Fatalf("%+v, %v", set, err)
	}
	if got := set.Keys[0].Thumbprint; got != thumb(1) {
		t.Errorf("thumbprint %s, want %s", got, thumb(1))
	}
}

func TestParseSameKid(t *testing.T) {
	tests := []struct {
		name string
		keys []string
		want []string
	}{
		{"two keys, one kid", []string{jwk(1, kid("a")), jwk(2, kid("a"))},
			[]string{"a//" + thumb(1)[:6], "a//" + thumb(2)[:6]}},
		{"the same key twice", []string{jwk(1, kid("a")), jwk(1, kid("a"))}, []string{"a//" + thumb(1)[:6]}},
		{"the same key with two kids", []string{jwk(1, kid("a")), jwk(1, kid("b"))},
			[]string{"a//" + thumb(1)[:6], "b//" + thumb(1)[:6]}},
		{
			"the same key for two algorithms",
			[]string{jwk(1, kid("a"), `"alg":"RS256"`), jwk(1, kid("a"), `"alg":"PS256"`)},
			[]string{"a/RS256/" + thumb(1)[:6], "a/PS256/" + thumb(1)[:6]}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			set, err := jwks.Parse(jwkSet(test.keys...))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, names(set.Keys)); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseEmptySet(t *testing.T) {
	set, err := jwks.Parse(`{"keys":[]}`)
	if err != nil || len(set.Keys) != 0 || len(set.Unusable) != 0 {
		t.Errorf("%+v, %v", set, err)
	}
}

func TestParseMostKeys(t *testing.T) {
	var keys []string
	for i := range jwks.MaxKeys + 2 {
		keys = append(keys, `{"kty":"EC"}`, jwk(uint64(i), kid(fmt.Sprint(i))), jwk(uint64(i), kid(fmt.Sprint(i))))
	}
	set, err := jwks.Parse(jwkSet(keys...))
	if err != nil || len(set.Keys) != jwks.MaxKeys || set.Keys[jwks.MaxKeys-1].ID != "19" {
		t.Fatalf("%d keys, %v", len(set.Keys), err)
	}
	if got, want := set.Unusable[21].Error(), `keys[61] (kid "20"): 20 keys are used at most`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The reasons go to the log, and a kid is somebody else's text.
func TestUnusableKidIsQuotedAndCut(t *testing.T) {
	set, err := jwks.Parse(jwkSet(`{"kid":"a\n` + strings.Repeat("x", 10_000) + `"}`))
	if err != nil || len(set.Unusable) != 1 {
		t.Fatalf("%+v, %v", set, err)
	}
	if want := `keys[0] (kid "a\n` + strings.Repeat("x", 62) + `"…): no kty`; set.Unusable[0].Error() != want {
		t.Errorf("%q, want %q", set.Unusable[0], want)
	}
}

func TestPin(t *testing.T) {
	set, err := jwks.Parse(jwkSet(jwk(1, kid("a")), jwk(2), jwk(3, kid("c")), `{"kty":"oct"}`))
	if err != nil {
		t.Fatal(err)
	}
	a, c := "a//"+thumb(1)[:6], "c//"+thumb(3)[:6]
	unpinned2 := "key with thumbprint " + thumb(2) + ": not pinned"
	tests := []struct {
		name     string
		pins     []string
		keys     []string
		unusable []string
	}{
		{"no pins", nil, []string{a, "//" + thumb(2)[:6], c}, []string{"keys[3]: kty is neither RSA, EC nor OKP"}},
		{"two pins", []string{thumb(3), thumb(1)}, []string{a, c},
			[]string{"keys[3]: kty is neither RSA, EC nor OKP", unpinned2}},
		{"a pin that fits nothing", []string{thumb(9)}, nil, []string{"keys[3]: kty is neither RSA, EC nor OKP",
			`key (kid "a") with thumbprint ` + thumb(1) + ": not pinned", unpinned2,
			`key (kid "c") with thumbprint ` + thumb(3) + ": not pinned"}},
		{"an empty pin", []string{""}, nil, []string{"keys[3]: kty is neither RSA, EC nor OKP",
			`key (kid "a") with thumbprint ` + thumb(1) + ": not pinned", unpinned2,
			`key (kid "c") with thumbprint ` + thumb(3) + ": not pinned"}},
		{"a pin that is a prefix", []string{thumb(1)[:42], thumb(3)}, []string{c},
			[]string{"keys[3]: kty is neither RSA, EC nor OKP",
				`key (kid "a") with thumbprint ` + thumb(1) + ": not pinned", unpinned2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pinned := set.Pin(test.pins)
			if diff := cmp.Diff(test.keys, names(pinned.Keys)); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.unusable, errorTexts(pinned.Unusable)); diff != "" {
				t.Errorf("unusable (-want +got):\n%s", diff)
			}
		})
	}
	if len(set.Keys) != 3 || len(set.Unusable) != 1 {
		t.Errorf("pinning has changed the set itself: %+v", set)
	}
}

func TestSelect(t *testing.T) {
	parse := func(keys ...string) *jwks.Set {
		t.Helper()
		set, err := jwks.Parse(jwkSet(keys...))
		if err != nil || len(set.Unusable) != 0 {
			t.Fatalf("%+v, %v", set, err)
		}
		return set
	}
	fromPEM := &jwks.Set{AnyKeyID: true, Keys: parse(jwk(1), jwk(2)).Keys}
	mixed := parse(jwk(1, kid("a")), jwk(2, kid("b"), `"alg":"RS256"`), jwk(3, kid("b"), `"alg":"PS256"`),
		jwk(4, kid("b")), jwk(5))
	var many []string
	for seed := range uint64(4) {
		many = append(many, jwk(seed, `"alg":"RS512"`), jwk(seed))
	}
	var manyRS256 []string
	for seed := range uint64(4) {
		manyRS256 = append(manyRS256, "//"+thumb(seed)[:6])
	}
	none := jwt.Token{Algorithm: "RS256"}
	withKid := func(id string) jwt.Token { return jwt.Token{Algorithm: "RS256", KeyID: id, HasKeyID: true} }

	tests := []struct {
		name  string
		set   *jwks.Set
		token jwt.Token
		want  []string
	}{
		{"a kid", mixed, withKid("a"), []string{"a//" + thumb(1)[:6]}},
		{"a kid of several keys, one for another algorithm", mixed, withKid("b"),
			[]string{"b/RS256/" + thumb(2)[:6], "b//" + thumb(4)[:6]}},
		{"a kid that no key has: the key without one", mixed, withKid("c"), []string{"//" + thumb(5)[:6]}},
		{"a kid of another case", mixed, withKid("A"), []string{"//" + thumb(5)[:6]}},
		{"a kid that no key has, and no key without one", parse(jwk(1, kid("a"))), withKid("c"), nil},
		{"a key of another issuer", parse(jwk(1, kid("a"), `"issuer":"https://other.example"`)), withKid("a"), nil},
		{"keys of several issuers with one kid",
			parse(jwk(1, kid("a"), `"issuer":"https://other.example"`),
				jwk(2, kid("a"), `"issuer":"https://idp.example"`), jwk(3, kid("a"))),
			jwt.Token{Algorithm: "RS256", KeyID: "a", HasKeyID: true, Issuer: "https://idp.example"},
			[]string{"a//" + thumb(2)[:6], "a//" + thumb(3)[:6]}},
		{
			"no kid", mixed, none, []string{"a//" + thumb(1)[:6], "b/RS256/" + thumb(2)[:6], "b//" + thumb(4)[:6],
				"//" + thumb(5)[:6]}},
		{
			"an empty kid", mixed, withKid(""),
			[]string{"a//" + thumb(1)[:6], "b/RS256/" + thumb(2)[:6], "b//" + thumb(4)[:6], "//" + thumb(5)[:6]}},
		{"no kid, for an algorithm that fits the keys without one", mixed, jwt.Token{Algorithm: "RS384"},
			[]string{"a//" + thumb(1)[:6], "b//" + thumb(4)[:6], "//" + thumb(5)[:6]}},
		{"no algorithm", mixed, jwt.Token{KeyID: "a", HasKeyID: true}, nil},
		{"an algorithm that is none of RSA's", mixed, jwt.Token{Algorithm: "HS256", KeyID: "a", HasKeyID: true}, nil},
		{"no kid and many keys: those that fit", parse(many...), none, manyRS256},
		{"PEM, no kid", fromPEM, none, []string{"//" + thumb(1)[:6], "//" + thumb(2)[:6]}},
		{"PEM, a kid", fromPEM, withKid("a"), []string{"//" + thumb(1)[:6], "//" + thumb(2)[:6]}},
		{"an empty set", new(jwks.Set), none, nil},
		{"no set", nil, none, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, names(test.set.Select(&test.token))); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		})
	}
	if got := mixed.Select(nil); got != nil {
		t.Errorf("no token selects %v", names(got))
	}
}

// TestSelectBoundsTheCost: large keys with large exponents, which take as much
// longer to try as whoever publishes them likes, are tried in smaller numbers;
// one is tried in any case.
func TestSelectBoundsTheCost(t *testing.T) {
	for _, c := range []struct {
		bits     uint
		exponent int
		want     int
	}{
		{2048, 65537, 3},
		{2048, 3, 14},
		{3072, 65537, 1},
		{4096, 65537, 1},
		{8192, 65537, 1},
		{2048, jwt.MaxExponent, 1},
		{8192, jwt.MaxExponent, 1},
	} {
		set := &jwks.Set{}
		for i := range 20 {
			n := new(big.Int).Lsh(big.NewInt(1), c.bits-1)
			key, err := jwt.NewRSAKey(n.Add(n, big.NewInt(int64(2*i+1))), big.NewInt(int64(c.exponent)))
			if err != nil {
				t.Fatal(err)
			}
			set.Keys = append(set.Keys, key)
		}
		if got := len(set.Select(unsigned(t, c.bits/8))); got != c.want {
			t.Errorf("%d bits, exponent %d: %d keys are tried, want %d", c.bits, c.exponent, got, c.want)
		}
		// The length of a signature says of which keys it is not.
		if got := len(set.Select(unsigned(t, 100))); got != len(set.Keys) {
			t.Errorf("%d bits: %d keys for a signature of none, want all", c.bits, got)
		}
	}
}

// unsigned is a token with a signature of so many bytes.
func unsigned(t *testing.T, length uint) *jwt.Token {
	t.Helper()
	signature := base64.RawURLEncoding.EncodeToString(make([]byte, length))
	token, err := jwt.Parse("eyJhbGciOiJSUzI1NiJ9.e30."+signature, 10_000) // {"alg":"RS256"}, {}
	if err != nil {
		t.Fatal(err)
	}
	return token
}
