package jwt_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"orgate/internal/strictjson"
	"orgate/jwt"
)

// Why Parse refuses a token. There is no other reason: see FuzzParse.
const (
	tooLong           = "longer than asked for"
	parts             = "not three parts that are not empty"
	alphabet          = "a byte outside of the base64url alphabet"
	strayBits         = "bits left over in base64url"
	headerJSON        = "header is not JSON"
	headerUnicode     = "header is not Unicode"
	headerDuplicate   = "duplicate member in the header"
	headerDepth       = "header nested too deep"
	headerMembers     = "too many members in the header"
	headerNoObject    = "header is not an object"
	critPresent       = "crit"
	b64Present        = "b64"
	kidNoString       = "kid is not a string"
	typNoString       = "typ is not a string"
	algNoString       = "alg is not a string"
	algMissing        = "alg missing"
	payloadJSON       = "payload is not JSON"
	payloadUnicode    = "payload is not Unicode"
	payloadDuplicate  = "duplicate member in the payload"
	payloadDepth      = "payload nested too deep"
	payloadMembers    = "too many members in the payload"
	payloadNoObject   = "payload is not an object"
	issNoString       = "iss is not a string or empty"
	audNoStrings      = "aud is neither a string nor an array of strings"
	dateNoNumber      = "a date is not a number"
	dateOutOfRange    = "a date is out of range"
	someToken         = "eyJhbGciOiJSUzI1NiJ9.e30.AAAA" // {"alg":"RS256"}, {}
	deepest           = `{"a":`
	someHeaderEncoded = "eyJhbGciOiJSUzI1NiJ9"
)

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%d":0`, i)
	}
	return b.String()
}

// refusals has a row for everything that is refused while a token is read. In
// those with lax, go-jose accepts the token.
var refusals = []struct {
	name   string
	token  string
	reason string
	want   error
	lax    bool
}{
	{"longer than tokenBytes", compact(`{"alg":"RS256"}`, `{"a":"`+strings.Repeat("a", maxBytes)+`"}`), tooLong,
		jwt.ErrTooLarge, true},

	{"empty", "", parts, jwt.ErrMalformed, false},
	{"one part", someHeaderEncoded, parts, jwt.ErrMalformed, false},
	{"two parts", someHeaderEncoded + ".e30", parts, jwt.ErrMalformed, false},
	{"two parts and a dot", someHeaderEncoded + ".e30.", parts, jwt.ErrMalformed, true},
	{"no header", ".e30.AAAA", parts, jwt.ErrMalformed, false},
	{"no payload", someHeaderEncoded + "..AAAA", parts, jwt.ErrMalformed, true},
	{"dots alone", "..", parts, jwt.ErrMalformed, false},
	{"four parts", someToken + ".AAAA", parts, jwt.ErrMalformed, false},
	{"a dot more", someToken + ".", parts, jwt.ErrMalformed, false},
	{"a dot before", "." + someToken, parts, jwt.ErrMalformed, false},
	{"an encrypted token", someToken + ".AAAA.AAAA", parts, jwt.ErrMalformed, false},

	{"padding", someHeaderEncoded + ".e30=.AAAA", alphabet, jwt.ErrMalformed, false},
	{"padding of the signature", someHeaderEncoded + ".e30.AA==", alphabet, jwt.ErrMalformed, false},
	{"standard base64", someHeaderEncoded + ".e30.AA+/", alphabet, jwt.ErrMalformed, false},
	{"line feed in the header", "eyJhbGciOiJS\nUzI1NiJ9.e30.AAAA", alphabet, jwt.ErrMalformed, true},
	{"line feed in the payload", someHeaderEncoded + ".e3\n0.AAAA", alphabet, jwt.ErrMalformed, true},
	{"line feed before the payload", someHeaderEncoded + ".\ne30.AAAA", alphabet, jwt.ErrMalformed, true},
	{"carriage return before the header", "\r" + someToken, alphabet, jwt.ErrMalformed, true},
	{"line feed after the signature", someToken + "\n", alphabet, jwt.ErrMalformed, true},
	{"carriage return in the payload", someHeaderEncoded + ".e3\r0.AAAA", alphabet, jwt.ErrMalformed, true},
	{"line break in the signature", someHeaderEncoded + ".e30.AA\r\nAA", alphabet, jwt.ErrMalformed, true},
	{"signature of line feeds", someHeaderEncoded + ".e30.\n\n\n\n", alphabet, jwt.ErrMalformed, true},
	{"space before", " " + someToken, alphabet, jwt.ErrMalformed, false},
	{"space after", someToken + " ", alphabet, jwt.ErrMalformed, false},
	{"NUL", someToken + "\x00", alphabet, jwt.ErrMalformed, false},
	{"comma", someToken + ",AAAA", alphabet, jwt.ErrMalformed, false},
	{"not ASCII", someHeaderEncoded + ".e30.ÀAAA", alphabet, jwt.ErrMalformed, false},

	{"stray bits in the header", b64([]byte(`{"alg":"RS256" }`)[:16])[:21] + "R.e30.AAAA", strayBits, jwt.ErrMalformed,
		true},
	{"stray bits in the payload", someHeaderEncoded + ".e31.AAAA", strayBits, jwt.ErrMalformed, true},
	{"stray bits in the signature", someHeaderEncoded + ".e30.AB", strayBits, jwt.ErrMalformed, true},
	{"a letter too many", someHeaderEncoded + ".e30.AAAAA", strayBits, jwt.ErrMalformed, false},

	{"header of nonsense", compact(`alg`, `{}`), headerJSON, jwt.ErrMalformed, false},
	{"header with a byte order mark", compact("\uFEFF{\"alg\":\"RS256\"}", `{}`), headerJSON, jwt.ErrMalformed, false},
	{"header with a trailing object", compact(`{"alg":"RS256"}{}`, `{}`), headerJSON, jwt.ErrMalformed, false},
	{"header not UTF-8", compact("{\"alg\":\"RS256\",\"a\":\"\xff\"}", `{}`), headerUnicode, jwt.ErrMalformed, true},
	{"header with a lone surrogate", compact(`{"alg":"RS256","kid":"\ud800"}`, `{}`), headerUnicode, jwt.ErrMalformed,
		true},
	{"two algorithms", compact(`{"alg":"RS256","alg":"none"}`, `{}`), headerDuplicate, jwt.ErrMalformed, false},
	{"two algorithms, one in escapes", compact(`{"alg":"RS256","\u0061lg":"none"}`, `{}`), headerDuplicate,
		jwt.ErrMalformed, false},
	{"duplicate below the header", compact(`{"alg":"RS256","a":[{"b":1,"b":2}]}`, `{}`), headerDuplicate,
		jwt.ErrMalformed, false},
	{"header nested too deep", compact(`{"alg":"RS256","a":`+strings.Repeat("[", 32)+strings.Repeat("]", 32)+`}`, `{}`),
		headerDepth, jwt.ErrMalformed, true},
	{"header is null", compact(`null`, `{}`), headerNoObject, jwt.ErrMalformed, false},
	{"header is an array", compact(`[{"alg":"RS256"}]`, `{}`), headerNoObject, jwt.ErrMalformed, false},
	{"header is a string", compact(`"RS256"`, `{}`), headerNoObject, jwt.ErrMalformed, false},

	{"crit", compact(`{"alg":"RS256","crit":["exp"],"exp":1}`, `{}`), critPresent, jwt.ErrMalformed, true},
	{"crit empty", compact(`{"alg":"RS256","crit":[]}`, `{}`), critPresent, jwt.ErrMalformed, true},
	{"crit null", compact(`{"alg":"RS256","crit":null}`, `{}`), critPresent, jwt.ErrMalformed, true},
	{"crit in escapes", compact(`{"alg":"RS256","\u0063rit":["b64"]}`, `{}`), critPresent, jwt.ErrMalformed, true},
	{"b64 false", compact(`{"alg":"RS256","b64":false}`, `{}`), b64Present, jwt.ErrMalformed, true},
	{"b64 true", compact(`{"alg":"RS256","b64":true}`, `{}`), b64Present, jwt.ErrMalformed, true},
	{"kid is a number", compact(`{"alg":"RS256","kid":1}`, `{}`), kidNoString, jwt.ErrMalformed, false},
	{"kid is null", compact(`{"alg":"RS256","kid":null}`, `{}`), kidNoString, jwt.ErrMalformed, true},
	{"kid is an array", compact(`{"alg":"RS256","kid":["a"]}`, `{}`), kidNoString, jwt.ErrMalformed, false},
	{"typ is a number", compact(`{"alg":"RS256","typ":1}`, `{}`), typNoString, jwt.ErrMalformed, true},
	{"typ is null", compact(`{"alg":"RS256","typ":null}`, `{}`), typNoString, jwt.ErrMalformed, true},
	{"alg is null", compact(`{"alg":null}`, `{}`), algNoString, jwt.ErrMalformed, false},
	{"alg is a number", compact(`{"alg":256}`, `{}`), algNoString, jwt.ErrMalformed, false},
	{"alg is an array", compact(`{"alg":["RS256"]}`, `{}`), algNoString, jwt.ErrMalformed, false},
	{"alg missing", compact(`{}`, `{}`), algMissing, jwt.ErrAlgorithm, false},
	{"alg in other case", compact(`{"Alg":"RS256"}`, `{}`), algMissing, jwt.ErrAlgorithm, false},

	{"payload of nonsense", compact(`{"alg":"RS256"}`, `sub=alice`), payloadJSON, jwt.ErrMalformed, true},
	{"payload with a trailing object", compact(`{"alg":"RS256"}`, `{}{}`), payloadJSON, jwt.ErrMalformed, true},
	{"payload that is a token", compact(`{"alg":"RS256"}`, someToken), payloadJSON, jwt.ErrMalformed, true},
	{"payload not UTF-8", compact(`{"alg":"RS256"}`, "{\"sub\":\"\xc0\xaf\"}"), payloadUnicode, jwt.ErrMalformed, true},
	{"payload with a lone surrogate", compact(`{"alg":"RS256"}`, `{"sub":"\udc00"}`), payloadUnicode, jwt.ErrMalformed,
		true},
	{"two subjects", compact(`{"alg":"RS256"}`, `{"sub":"alice","sub":"bob"}`), payloadDuplicate, jwt.ErrMalformed,
		true},
	{"two subjects, one in escapes", compact(`{"alg":"RS256"}`, `{"sub":"alice","\u0073ub":"bob"}`), payloadDuplicate,
		jwt.ErrMalformed, true},
	{"duplicate below the payload", compact(`{"alg":"RS256"}`, `{"a":{"b":{"c":1,"c":1}}}`), payloadDuplicate,
		jwt.ErrMalformed, true},
	{"header with too many members", compact(`{"alg":"RS256"`+manyMembers(256)+`}`, `{}`), headerMembers,
		jwt.ErrMalformed, true},
	{"payload with too many members", compact(`{"alg":"RS256"}`, `{"a":{"a":0`+manyMembers(256)+`}}`), payloadMembers,
		jwt.ErrMalformed, true},
	{"payload nested too deep", compact(`{"alg":"RS256"}`, strings.Repeat(deepest, 33)+"0"+strings.Repeat("}", 33)),
		payloadDepth, jwt.ErrMalformed, true},
	{"payload is null", compact(`{"alg":"RS256"}`, `null`), payloadNoObject, jwt.ErrMalformed, true},
	{"payload is an array", compact(`{"alg":"RS256"}`, `[{"sub":"alice"}]`), payloadNoObject, jwt.ErrMalformed, true},

	{"iss is empty", compact(`{"alg":"RS256"}`, `{"iss":""}`), issNoString, jwt.ErrMalformed, true},
	{"iss is null", compact(`{"alg":"RS256"}`, `{"iss":null}`), issNoString, jwt.ErrMalformed, true},
	{"iss is an array", compact(`{"alg":"RS256"}`, `{"iss":["joe"]}`), issNoString, jwt.ErrMalformed, true},
	{"aud is null", compact(`{"alg":"RS256"}`, `{"aud":null}`), audNoStrings, jwt.ErrMalformed, true},
	{"aud is an object", compact(`{"alg":"RS256"}`, `{"aud":{"orders":true}}`), audNoStrings, jwt.ErrMalformed, true},
	{"aud holds a number", compact(`{"alg":"RS256"}`, `{"aud":["orders",1]}`), audNoStrings, jwt.ErrMalformed, true},
	{"aud holds an array", compact(`{"alg":"RS256"}`, `{"aud":[["orders"]]}`), audNoStrings, jwt.ErrMalformed, true},
	{"exp is a string", compact(`{"alg":"RS256"}`, `{"exp":"1300819380"}`), dateNoNumber, jwt.ErrMalformed, true},
	{"exp is null", compact(`{"alg":"RS256"}`, `{"exp":null}`), dateNoNumber, jwt.ErrMalformed, true},
	{"nbf is true", compact(`{"alg":"RS256"}`, `{"nbf":true}`), dateNoNumber, jwt.ErrMalformed, true},
	{"iat is an array", compact(`{"alg":"RS256"}`, `{"iat":[1]}`), dateNoNumber, jwt.ErrMalformed, true},
	{"exp is negative", compact(`{"alg":"RS256"}`, `{"exp":-1}`), dateOutOfRange, jwt.ErrMalformed, true},
	{"exp is beyond the year 9999", compact(`{"alg":"RS256"}`, `{"exp":253402300800}`), dateOutOfRange,
		jwt.ErrMalformed, true},
	{"exp is just beyond the year 9999", compact(`{"alg":"RS256"}`, `{"exp":253402300799.00000000000000000001}`),
		dateOutOfRange, jwt.ErrMalformed, true},
	{"exp is in milliseconds", compact(`{"alg":"RS256"}`, `{"exp":1300819380000}`), dateOutOfRange, jwt.ErrMalformed,
		true},
	{"exp overflows a float64", compact(`{"alg":"RS256"}`, `{"exp":1e999}`), dateOutOfRange, jwt.ErrMalformed, true},
	{"exp overflows an exponent", compact(`{"alg":"RS256"}`, `{"exp":1e99999999999999999999}`), dateOutOfRange,
		jwt.ErrMalformed, true},
	{"exp wraps around an int64", compact(`{"alg":"RS256"}`, `{"exp":18446744073709551616}`), dateOutOfRange,
		jwt.ErrMalformed, true},
	{"nbf is beyond the year 9999", compact(`{"alg":"RS256"}`, `{"nbf":1e12}`), dateOutOfRange, jwt.ErrMalformed, true},
	{"iat is negative", compact(`{"alg":"RS256"}`, `{"iat":-0.000000000000000000001}`), dateOutOfRange,
		jwt.ErrMalformed, true},
}

func TestParseRefuses(t *testing.T) {
	for _, test := range refusals {
		t.Run(test.name, func(t *testing.T) {
			before := jwt.SignatureChecks()
			token, err := jwt.Parse(test.token, maxBytes)
			if token != nil || !errors.Is(err, test.want) {
				t.Errorf("got error %v, want %v", err, test.want)
			}
			if jwt.SignatureChecks() != before {
				t.Error("arithmetic for a token that is refused")
			}
			if reasons := examine(test.token); !slices.Equal(reasons, []string{test.reason}) {
				t.Errorf("examined and found %q, want %q alone", reasons, test.reason)
			}
			if _, err := laxParse(test.token); (err == nil) != test.lax {
				t.Errorf("go-jose: got error %v, accepts: want %t", err, test.lax)
			}
		})
	}
}

// What is close to what is refused, and is not.
func TestParseAccepts(t *testing.T) {
	for name, payload := range map[string]string{
		"no claims":                     `{}`,
		"whitespace around the payload": " \r\n\t{} ",
		"as deep as may be":             strings.Repeat(deepest, 32) + "0" + strings.Repeat("}", 32),
		"date zero":                     `{"exp":0,"nbf":0.0,"iat":-0}`,
		"date minus zero":               `{"exp":-0.00e5}`,
		"zero with a vast exponent":     `{"exp":0e99999999999999999999}`,
		"next to nothing":               `{"exp":1e-99999999999999999999}`,
		"vast exponent, short of range": `{"exp":0.` + strings.Repeat("0", 1000) + `1e1010}`,
		"the last second":               `{"exp":253402300799,"nbf":253402300799.000,"iat":2534023007.99e2}`,
		"just before the last second":   `{"exp":253402300798.99999999999999999999}`,
		"aud empty":                     `{"aud":[]}`,
		"aud an empty string":           `{"aud":""}`,
		"other claims null":             `{"sub":null,"jti":null}`,
	} {
		t.Run(name, func(t *testing.T) {
			token := compact(`{"alg":"RS256"}`, payload)
			if _, err := jwt.Parse(token, maxBytes); err != nil {
				t.Error(err)
			}
			if reasons := examine(token); len(reasons) > 0 {
				t.Errorf("examined and found %q", reasons)
			}
		})
	}
}

// Texts of errors go to clients and into logs.
func TestErrorsTellNothing(t *testing.T) {
	for _, token := range []string{
		compact(`{"alg":"RS256","SECRET":1,"SECRET":1}`, `{}`),
		compact(`{"alg":"RS256","kid":["SECRET"]}`, `{}`),
		compact(`{"alg":"RS256"}`, `{"SECRET":"SECRET`),
		compact(`{"alg":"RS256"}`, `{"iss":["SECRET"]}`),
		compact(`{"alg":"RS256"}`, `{"exp":"SECRET"}`),
		someHeaderEncoded + ".e30.SECRET!",
	} {
		_, err := jwt.Parse(token, maxBytes)
		if err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("got error %v", err)
		}
	}
}

// The reason within the reason is there for tests and debugging.
func TestErrorsWrap(t *testing.T) {
	_, err := jwt.Parse(compact(`{"alg":"RS256"}`, `{"a":1,"a":1}`), maxBytes)
	if !errors.Is(err, jwt.ErrMalformed) || !errors.Is(err, strictjson.ErrDuplicate) {
		t.Errorf("got error %v", err)
	}
	if got, want := err.Error(), "malformed token: payload: duplicate member at byte 7"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// laxParse is go-jose, with every algorithm that the tests use allowed.
func laxParse(token string, algorithms ...jose.SignatureAlgorithm) (*jose.JSONWebSignature, error) {
	for _, name := range jwt.Algorithms() {
		algorithms = append(algorithms, jose.SignatureAlgorithm(name))
	}
	return jose.ParseSignedCompact(token, algorithms)
}

var base64urlText = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// examine returns every reason to refuse a token, by other means than Parse,
// but for JSON, whose package has such a test of its own.
func examine(token string) (reasons []string) {
	add := func(condition bool, reason string) bool {
		if condition && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
		return condition
	}
	add(len(token) > maxBytes, tooLong)
	split := strings.Split(token, ".")
	if add(len(split) != 3 || slices.Contains(split, ""), parts) {
		return reasons
	}
	var documents [3]string
	for i, part := range split {
		if add(!base64urlText.MatchString(part), alphabet) {
			continue
		}
		bytes, err := base64.RawURLEncoding.DecodeString(part)
		add(err != nil || b64(bytes) != part, strayBits)
		documents[i] = string(bytes)
	}
	if slices.Contains(reasons, alphabet) {
		return reasons
	}

	addJSON := func(doc, syntax, unicode, duplicate, depth, members, noObject string) map[string]json.RawMessage {
		_, err := strictjson.ParseObject(doc)
		add(errors.Is(err, strictjson.ErrSyntax), syntax)
		add(errors.Is(err, strictjson.ErrUTF8), unicode)
		add(errors.Is(err, strictjson.ErrDuplicate), duplicate)
		add(errors.Is(err, strictjson.ErrDepth), depth)
		add(errors.Is(err, strictjson.ErrMembers), members)
		add(errors.Is(err, strictjson.ErrNotObject), noObject)
		var found map[string]json.RawMessage
		if err == nil {
			if err := json.Unmarshal([]byte(doc), &found); err != nil {
				panic(err)
			}
		}
		return found
	}
	header := addJSON(documents[0], headerJSON, headerUnicode, headerDuplicate, headerDepth, headerMembers,
		headerNoObject)
	if header != nil {
		has := func(name string) bool { _, ok := header[name]; return ok }
		add(has("crit"), critPresent)
		add(has("b64"), b64Present)
		add(has("kid") && header["kid"][0] != '"', kidNoString)
		add(has("typ") && header["typ"][0] != '"', typNoString)
		add(has("alg") && header["alg"][0] != '"', algNoString)
		add(!has("alg"), algMissing)
	}
	payload := addJSON(documents[1], payloadJSON, payloadUnicode, payloadDuplicate, payloadDepth, payloadMembers,
		payloadNoObject)
	if iss, ok := payload["iss"]; ok {
		add(iss[0] != '"' || string(iss) == `""`, issNoString)
	}
	if aud, ok := payload["aud"]; ok {
		var one *string
		var several []*string
		isString := json.Unmarshal(aud, &one) == nil && one != nil
		isArray := json.Unmarshal(aud, &several) == nil && several != nil && !slices.Contains(several, nil)
		add(!isString && !isArray, audNoStrings)
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		date, ok := payload[name]
		if !ok || add(!strings.ContainsRune("-0123456789", rune(date[0])), dateNoNumber) {
			continue
		}
		add(!inRange(string(date)), dateOutOfRange)
	}
	return reasons
}

// inRange compares a number with the range of dates.
func inRange(number string) bool {
	mantissa, _, _ := strings.Cut(strings.ToLower(number), "e")
	if !strings.ContainsAny(mantissa, "123456789") {
		return true
	}
	if strings.HasPrefix(number, "-") {
		return false
	}
	f, _, err := big.ParseFloat(number, 10, uint(64+4*len(number)), big.ToNearestEven)
	if err != nil {
		// Out of the range of exponents, either way.
		return strings.Contains(strings.ToLower(number), "e-")
	}
	return f.Cmp(big.NewFloat(253402300799)) <= 0
}

// A token of two faults is malformed first of all, with or without an "alg".
func TestMalformedOutranksAlgorithm(t *testing.T) {
	for _, header := range []string{`{}`, `{"alg":"none"}`, `{"alg":"RS256"}`} {
		if _, err := jwt.Parse(compact(header, `{"iat":-1}`), maxBytes); !errors.Is(err, jwt.ErrMalformed) {
			t.Errorf("%s: got error %v, want %v", header, err, jwt.ErrMalformed)
		}
	}
}
