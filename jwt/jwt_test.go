package jwt_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/jwt"
)

// maxBytes is the default of the configuration's limits.tokenBytes.
const maxBytes = 16384

// now is what every token here is judged at.
var now = time.Unix(1_300_819_000, 0)

// The token and the key of RFC 7515, appendix A.2.
const (
	rfc7515Token = "eyJhbGciOiJSUzI1NiJ9" +
		".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ" +
		".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5juj" +
		"Gbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K" +
		"0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6L" +
		"bgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
	rfc7515Modulus = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4Ql" +
		"L-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs" +
		"LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoud" +
		"F8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
)

func rfc7515Key() *jwt.Key {
	n, err := base64.RawURLEncoding.DecodeString(rfc7515Modulus)
	if err != nil {
		panic(err)
	}
	return rsaKey(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537})
}

// The keys of two issuers, made once.
var (
	issuersKey  = sync.OnceValue(newKey)
	othersKey   = sync.OnceValue(newKey)
	hashOf      = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}
	b64         = base64.RawURLEncoding.EncodeToString
	someHeader  = `{"alg":"RS256","typ":"at+jwt","kid":"key-1"}`
	somePayload = `{"iss":"https://idp.example.com/","sub":"alice","aud":["orders","account"],"exp":1300819380}`
)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// compact puts a token together, with a signature that is none.
func compact(header, payload string) string {
	return b64([]byte(header)) + "." + b64([]byte(payload)) + "." + b64([]byte("signature"))
}

// sign puts a token together and signs it as alg asks, whatever the header
// says. saltLength is for PSS.
func sign(t testing.TB, key *rsa.PrivateKey, alg, header, payload string, saltLength int) string {
	t.Helper()
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	return input + "." + b64(signature(t, key, alg, input, saltLength))
}

func signature(t testing.TB, key *rsa.PrivateKey, alg, input string, saltLength int) []byte {
	t.Helper()
	hash := hashOf[alg[2:]]
	h := hash.New()
	h.Write([]byte(input))
	var signature []byte
	var err error
	if strings.HasPrefix(alg, "PS") {
		signature, err = rsa.SignPSS(rand.Reader, key, hash, h.Sum(nil), &rsa.PSSOptions{SaltLength: saltLength})
	} else {
		signature, err = rsa.SignPKCS1v15(nil, key, hash, h.Sum(nil))
	}
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func parse(t testing.TB, token string) *jwt.Token {
	t.Helper()
	parsed, err := jwt.Parse(token, maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// withClaims parses a token whose payload holds these members.
func withClaims(t testing.TB, members string) *jwt.Token {
	t.Helper()
	return parse(t, compact(`{"alg":"RS256"}`, "{"+members+"}"))
}

func TestRFC7515(t *testing.T) {
	token := parse(t, rfc7515Token)
	if token.Algorithm != "RS256" || token.KeyID != "" || token.HasKeyID || token.Type != "" {
		t.Errorf("got header %q %q %t %q", token.Algorithm, token.KeyID, token.HasKeyID, token.Type)
	}
	if got := token.Claims.Issuer(); got != "joe" {
		t.Errorf("got iss %q, want joe", got)
	}
	if got := strings.Split(rfc7515Token, ".")[1]; token.Payload() != got {
		t.Errorf("got payload %q, want %q", token.Payload(), got)
	}
	if got, ok := token.Expiry(); !ok || !got.Equal(time.Unix(1300819380, 0)) {
		t.Errorf("got exp %v %t", got, ok)
	}
	if root, ok := token.Claims.Get("http://example.com/is_root"); !ok || root.Raw != "true" {
		t.Errorf("got claim %v %t", root, ok)
	}
	if err := token.Verify(rfc7515Key()); err != nil {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	token := parse(t, compact(`{"typ":"at+jwt","kid":"","alg":"none"}`, `{"sub":"alice","jti":"1","aud":"orders"}`))
	type fields struct {
		Algorithm, KeyID, Type, Issuer, Subject, ID, Payload string
		HasKeyID                                             bool
	}
	got := fields{
		token.Algorithm, token.KeyID, token.Type, token.Claims.Issuer(), token.Claims.Subject(), token.Claims.ID(),
		token.Payload(),
		token.HasKeyID,
	}
	want := fields{
		Algorithm: "none", HasKeyID: true, Type: "at+jwt", Subject: "alice", ID: "1",
		Payload: b64([]byte(`{"sub":"alice","jti":"1","aud":"orders"}`)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
	if got, ok := token.Expiry(); ok || !got.IsZero() {
		t.Errorf("got exp %v, want none", got)
	}
}

// What names a key inside of the token is ignored, even where it is nonsense.
func TestIgnoredHeaderMembers(t *testing.T) {
	parse(t, compact(`{"alg":"RS256","jku":"https://evil.example/","jwk":{"kty":"oct"},"x5u":1,"x5c":[null],"x5t":{},"cty":"JWT","unknown":[]}`, `{}`))
}

func TestParseLimit(t *testing.T) {
	if _, err := jwt.Parse(rfc7515Token, len(rfc7515Token)); err != nil {
		t.Errorf("as long as may be: %v", err)
	}
	for _, most := range []int{len(rfc7515Token) - 1, 0, -1} {
		if _, err := jwt.Parse(rfc7515Token, most); !errors.Is(err, jwt.ErrTooLarge) {
			t.Errorf("at most %d bytes: got error %v, want %v", most, err, jwt.ErrTooLarge)
		}
	}
}

func TestCheckAlgorithm(t *testing.T) {
	tests := []struct {
		name    string
		alg     string
		allowed []string
		want    error
	}{
		{"allowed", "RS256", []string{"PS256", "RS256"}, nil},
		{"another one", "RS384", []string{"RS256"}, jwt.ErrAlgorithm},
		{"none allowed", "RS256", nil, jwt.ErrAlgorithm},
		{"in other case", "rs256", []string{"RS256"}, jwt.ErrAlgorithm},
		{"empty", "", []string{""}, jwt.ErrAlgorithm},
		{"none, even if allowed", "none", []string{"none"}, jwt.ErrAlgorithm},
		{"none in other case", "nOnE", []string{"nOnE"}, jwt.ErrAlgorithm},
		{"HMAC, even if allowed", "HS256", []string{"HS256"}, jwt.ErrAlgorithm},
		{"by another name", "EdDSA", []string{"ES256", "Ed25519"}, nil},
		{"by its other name", "Ed25519", []string{"EdDSA"}, nil},
		{"unknown, even if allowed", "XS256", []string{"XS256"}, jwt.ErrAlgorithm},
		{"with a space", "RS256 ", []string{"RS256"}, jwt.ErrAlgorithm},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			token := parse(t, compact(`{"alg":"`+test.alg+`"}`, `{}`))
			if err := token.CheckAlgorithm(test.allowed); !errors.Is(err, test.want) {
				t.Errorf("got error %v, want %v", err, test.want)
			}
		})
	}
	if err := new(jwt.Token).CheckAlgorithm([]string{""}); !errors.Is(err, jwt.ErrAlgorithm) {
		t.Errorf("zero token: got error %v, want %v", err, jwt.ErrAlgorithm)
	}
}

func TestAlgorithms(t *testing.T) {
	want := []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
	}
	if diff := cmp.Diff(want, jwt.Algorithms()); diff != "" {
		t.Errorf("algorithms (-want +got):\n%s", diff)
	}
}

func TestCheckTime(t *testing.T) {
	const minute = time.Minute
	rules := jwt.TimeRules{Skew: minute, RequireExpiration: true}
	hour := jwt.TimeRules{Skew: minute, MaxAge: time.Hour}
	at := func(offset time.Duration) string {
		return fmt.Sprintf("%d", now.Add(offset).Unix())
	}
	tests := []struct {
		name   string
		claims string
		rules  jwt.TimeRules
		now    time.Time
		want   error
	}{
		{"in time", `"exp":` + at(1), rules, now, nil},
		{"expired, within the skew", `"exp":` + at(-59*time.Second), rules, now, nil},
		{"expired a nanosecond less than the skew ago", `"exp":` + at(-minute), rules, now.Add(-1), nil},
		{"expired for as long as the skew", `"exp":` + at(-minute), rules, now, jwt.ErrExpired},
		{"expires now, with no skew", `"exp":` + at(0), jwt.TimeRules{}, now, jwt.ErrExpired},
		{"expires at the end of time", `"exp":253402300799`, rules, now, nil},
		{"expired in 1970", `"exp":0`, rules, now, jwt.ErrExpired},
		{"expires in a fraction of a second", `"exp":` + at(-minute) + `.000000001`, rules, now, nil},
		{"expires in less than a nanosecond", `"exp":` + at(-minute) + `.0000000009`, rules, now, jwt.ErrExpired},
		{"a fraction that a float64 rounds up", `"exp":` + at(-minute-time.Second) + `.99999999999999999999`, rules,
			now, jwt.ErrExpired},
		{"an exponent", `"exp":1300819.380e3`, rules, now, nil},
		{"an exponent in capitals", `"exp":1300819380000E-3`, rules, now, nil},
		{"an exponent with a sign", `"exp":0.1300819380e+10`, rules, now, nil},
		{"no exp", ``, rules, now, jwt.ErrClaim},
		{"no exp, and none required", ``, jwt.TimeRules{}, now, nil},

		{"before nbf, within the skew", `"exp":2e9,"nbf":` + at(minute), rules, now, nil},
		{"before nbf", `"exp":2e9,"nbf":` + at(minute), rules, now.Add(-1), jwt.ErrNotYetValid},
		{"at nbf, with no skew", `"nbf":` + at(0), jwt.TimeRules{}, now, nil},
		{"less than a nanosecond before nbf", `"nbf":` + at(0) + `.0000000001`, jwt.TimeRules{}, now,
			jwt.ErrNotYetValid},
		{"a nanosecond after nbf", `"nbf":` + at(0) + `.0000000001`, jwt.TimeRules{}, now.Add(1), nil},

		{"issued in the future, within the skew", `"exp":2e9,"iat":` + at(minute), rules, now, nil},
		{"issued in the future", `"exp":2e9,"iat":` + at(minute), rules, now.Add(-1), jwt.ErrNotYetValid},
		{"issued less than a nanosecond in the future", `"iat":` + at(0) + `.0000000001`, jwt.TimeRules{}, now,
			jwt.ErrNotYetValid},
		{"old, and no age set", `"exp":2e9,"iat":0`, rules, now, nil},

		{"young enough", `"iat":` + at(-time.Hour), hour, now, nil},
		{"too old, within the skew", `"iat":` + at(-time.Hour-minute), hour, now.Add(-1), nil},
		{"too old", `"iat":` + at(-time.Hour-minute), hour, now, jwt.ErrTooOld},
		{"too old by its exp as well", `"exp":0,"iat":0`, hour, now, jwt.ErrExpired},
		{"no iat, with an age set", `"exp":2e9`, hour, now, jwt.ErrClaim},
		{"an age below zero", `"iat":` + at(0), jwt.TimeRules{MaxAge: -1}, now, jwt.ErrTooOld},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := withClaims(t, test.claims).CheckTime(test.now, test.rules)
			if !errors.Is(err, test.want) {
				t.Errorf("got error %v, want %v", err, test.want)
			}
		})
	}
}

func TestCheckAudience(t *testing.T) {
	tests := []struct {
		name      string
		claims    string
		audiences []string
		want      error
	}{
		{"the string", `"aud":"orders"`, []string{"account", "orders"}, nil},
		{"one of the array", `"aud":["a","orders"]`, []string{"orders"}, nil},
		{"with an escape", `"aud":["ord\u0065rs"]`, []string{"orders"}, nil},
		{"another string", `"aud":"orders2"`, []string{"orders"}, jwt.ErrAudience},
		{"in other case", `"aud":"Orders"`, []string{"orders"}, jwt.ErrAudience},
		{"a part of the string", `"aud":"orders account"`, []string{"orders"}, jwt.ErrAudience},
		{"none of the array", `"aud":["a","b"]`, []string{"orders"}, jwt.ErrAudience},
		{"an empty array", `"aud":[]`, []string{"orders"}, jwt.ErrAudience},
		{"missing", ``, []string{"orders"}, jwt.ErrAudience},
		{"missing, not even by an empty one", ``, []string{""}, jwt.ErrAudience},
		{"missing, and not asked for", ``, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := withClaims(t, test.claims).CheckAudience(test.audiences); !errors.Is(err, test.want) {
				t.Errorf("got error %v, want %v", err, test.want)
			}
		})
	}
}

func TestCheckType(t *testing.T) {
	tests := []struct {
		name    string
		header  string
		allowed []string
		want    error
	}{
		{"the same", `"typ":"at+jwt"`, []string{"JWT", "at+jwt"}, nil},
		{"in other case", `"typ":"AT+JWT"`, []string{"at+jwt"}, nil},
		{"with application/", `"typ":"application/at+jwt"`, []string{"at+jwt"}, nil},
		{"with application/ in other case", `"typ":"Application/AT+jwt"`, []string{"at+jwt"}, nil},
		{"application/ in the list", `"typ":"at+jwt"`, []string{"application/at+jwt"}, nil},
		{"another slash", `"typ":"application/at+jwt;a=\"/\""`, []string{`at+jwt;a="/"`}, jwt.ErrType},
		{"another slash, written out", `"typ":"application/at+jwt;a=\"/\""`, []string{`application/at+jwt;a="/"`}, nil},
		{"another tree", `"typ":"text/at+jwt"`, []string{"at+jwt"}, jwt.ErrType},
		{"twice application/", `"typ":"application/application/at+jwt"`, []string{"at+jwt"}, jwt.ErrType},
		{"another one", `"typ":"JWT"`, []string{"at+jwt"}, jwt.ErrType},
		{"a letter that Unicode folds", `"typ":"\u017fecevent+jwt"`, []string{"secevent+jwt"}, jwt.ErrType},
		{"application/ alone", `"typ":"application/"`, []string{"at+jwt", ""}, jwt.ErrType},
		{"empty", `"typ":""`, []string{""}, jwt.ErrType},
		{"missing", `"kid":"1"`, []string{"at+jwt"}, jwt.ErrType},
		{"missing, and not asked for", `"kid":"1"`, nil, nil},
		{"any", `"typ":"JWT"`, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			token := parse(t, compact(`{"alg":"RS256",`+test.header+`}`, `{}`))
			if err := token.CheckType(test.allowed); !errors.Is(err, test.want) {
				t.Errorf("got error %v, want %v", err, test.want)
			}
		})
	}
}

func TestLookup(t *testing.T) {
	token := withClaims(t, `"https://example.com/org":"org1","realm_access":{"roles":["a","b"],"n":null,"deep":{"er":"x"},"a.b":"dot"},`+
		`"realm_access.name":"literal","esc\u0061ped":{"\u006eame":"e"},"null":null,"text":"t","list":[{"x":1}],"*":{"#":"odd"},"":{"":"nothing"},`+
		`"shadow":{"x":"path"},"shadow.x":null,`+
		`"https://example":"no","https://example.com/app":{"roles":["r"],"my.client":{"roles":"c"},"my":{"client":{"roles":"d"},"x":"y"}},`+
		`"end":{"":"dot"},"over.a":"shadow","over":{"a":{"b":"never"}}`)
	type claim struct {
		name string
		path []string
	}
	literal := func(name string) claim { return claim{name: name} }
	path := func(steps ...string) claim { return claim{path: steps} }
	tests := []struct {
		name  string
		claim claim
		raw   string
		found bool
	}{
		{"literal", literal("text"), `"t"`, true},
		{"literal with dots", literal("https://example.com/org"), `"org1"`, true},
		{"literal before path", literal("realm_access.name"), `"literal"`, true},
		{"literal null before path", literal("shadow.x"), `null`, true},
		{"path of dots", literal("realm_access.roles"), `["a","b"]`, true},
		{"longer path", literal("realm_access.deep.er"), `"x"`, true},
		{"null", literal("null"), `null`, true},
		{"null at the end of a path", literal("realm_access.n"), `null`, true},
		{"array", path("realm_access", "roles"), `["a","b"]`, true},
		{"array with a dot in a step", path("realm_access", "a.b"), `"dot"`, true},
		{"array of one", path("text"), `"t"`, true},
		{"array is not split", path("realm_access.roles"), ``, false},
		{"escaped in the token", literal("escaped.name"), `"e"`, true},
		{"characters that paths elsewhere give a meaning", path("*", "#"), `"odd"`, true},
		{"a pattern matches nothing", path("realm_access", "*"), ``, false},
		{"empty names", path("", ""), `"nothing"`, true},
		{"missing", literal("nowhere"), ``, false},
		{"missing below", literal("realm_access.nowhere"), ``, false},
		{"below what is missing", literal("nowhere.x"), ``, false},
		{"below a string", literal("text.x"), ``, false},
		{"below null", literal("null.x"), ``, false},
		{"below an array", literal("list.0"), ``, false},
		{"through an array", literal("list.0.x"), ``, false},
		{"an empty name below a string", path("text", ""), ``, false},
		{"an empty name below an array", path("list", ""), ``, false},
		{"the longest beginning that is a claim", literal("https://example.com/app.roles"), `["r"]`, true},
		{"the longest beginning further in", literal("https://example.com/app.my.client.roles"), `"c"`, true},
		{"a shorter beginning further in", literal("https://example.com/app.my.x"), `"y"`, true},
		{"the longest beginning leads nowhere", literal("over.a.b"), ``, false},
		{"the longest beginning is not the longest name", literal("https://example.com/ap.roles"), ``, false},
		{"a dot at the end", literal("end."), `"dot"`, true},
		{"a dot at the end of a text", literal("text."), ``, false},
		{"a dot at the beginning", literal("."), `"nothing"`, true},
		{"zero", claim{}, ``, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, found := token.Claims.Lookup(test.claim.name, test.claim.path...)
			if got.Raw != test.raw || found != test.found {
				t.Errorf("got %q %t, want %q %t", got.Raw, found, test.raw, test.found)
			}
		})
	}
}

// Reading a token costs eight allocations: the token, its two documents
// decoded and as a string, its signature, and two for each object. The race
// detector makes one more.
func TestAllocations(t *testing.T) {
	got := testing.AllocsPerRun(100, func() {
		if _, err := jwt.Parse(rfc7515Token, maxBytes); err != nil {
			t.Error(err)
		}
	})
	if got > 9 {
		t.Errorf("Parse: %v allocations, want 8", got)
	}
}

func BenchmarkParse(b *testing.B) {
	token := sign(b, issuersKey(), "RS256", someHeader, somePayload, 0)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jwt.Parse(token, maxBytes); err != nil {
			b.Fatal(err)
		}
	}
}

func decodeLax(part string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(part) }

func decoded(t testing.TB, part string) []byte {
	t.Helper()
	b, err := decodeLax(part)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
