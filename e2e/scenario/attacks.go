package scenario

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"iter"
	"maps"
	"math/big"
	"slices"
	"strings"
)

// Attacks are tokens, headers, paths and queries that try to get through, or
// to bring an identity along, and what is next to them and must pass.
func Attacks() []Case {
	return slices.Concat(
		headerAttacks(), shapeAttacks(), jsonAttacks(), claimAttacks(), timeAttacks(), signatureAttacks(),
		sourceAttacks(), spoofs(), preflightAttacks(), pathAttacks(), organizationAttacks(), matchAttacks(),
		typeAttacks(), opaqueAttacks(), tenantAttacks(), bindingAttacks(), curveKeyAttacks(),
	)
}

// on is a request to org1's API with a token.
func on(name, token string, want Want) Case {
	return Case{Name: name, Request: get("/org1/orders", token), Want: want}
}

// as is [isAlice] under another name.
func as(username string) Want {
	return Want{Status: 200, Reason: "ok", Upstream: with(alice, "x-wso2-username", username)}
}

// headerAttacks have a hostile JOSE header.
func headerAttacks() []Case {
	first, stranger := First(), Stranger()
	malformed, algorithm, unknownKey, badSignature := invalid("malformed"), invalid("bad_algorithm"),
		invalid("unknown_key"), invalid("bad_signature")
	var cases []Case
	add := func(name, token string, want Want) { cases = append(cases, on("header: "+name, token, want)) }

	for _, alg := range []string{
		"None", "NONE", "nOnE", "none ", " none", "none\u0000", "", "rs256", "RS256 ", "RS256\u0000", "RS 256", "RS1",
		"RS256,none",
		"HS384", "HS512", "ES256", "ES256K", "es256", "EdDSA", "eddsa", "ED25519", "Ed448", "dir", "RSA-OAEP", "RS384",
		"RS512", "PS256",
	} {
		add(fmt.Sprintf("alg %q over an RS256 signature", alg), first.With(Claims{"alg": alg}), algorithm)
	}
	for _, alg := range []string{"RS384", "RS512", "PS256", "PS384", "PS512"} {
		add("signed with "+alg+", which is not allowed", first.SignAs(alg), algorithm)
	}
	for name, alg := range ordered(map[string]any{
		"number": 256, "array": []string{"RS256"}, "object": Claims{"alg": "RS256"}, "boolean": true,
	}) {
		add("alg is of type "+name, first.With(Claims{"alg": alg}), malformed)
	}
	add("alg is null", first.Sign(`{"alg":null,"kid":"k1"}`, encode(Basic())), malformed)
	add("no alg", first.With(Claims{"alg": nil}), algorithm)
	add("alg under another case", first.With(Claims{"alg": nil, "ALG": "RS256"}), algorithm)
	add("alg none under another case beside alg", first.With(Claims{"Alg": "none"}), isAlice)
	add("empty object", first.Sign(`{}`, encode(Basic())), algorithm)
	add("array", first.Sign(`["RS256"]`, encode(Basic())), malformed)
	add("null", first.Sign(`null`, encode(Basic())), malformed)
	add("not JSON", first.Sign(`alg=RS256`, encode(Basic())), malformed)

	for name, secret := range ordered(map[string]string{
		"public key as PEM":           first.PublicKey(),
		"public key as PEM, no break": strings.TrimSpace(first.PublicKey()),
		"JWK":                         first.JWK(),
		"JWK Set":                     JWKS(first),
		"modulus":                     string(first.Key.N.Bytes()),
		"modulus as in the JWK":       b64(string(first.Key.N.Bytes())),
		"empty secret":                "",
	}) {
		add("HS256 with the "+name, HMAC(secret, first.KeyID), algorithm)
	}

	var embedded any
	decode(stranger.JWK(), &embedded)
	for name, header := range ordered(map[string]Claims{
		"jwk":               {"jwk": embedded},
		"jwk, no kid":       {"jwk": embedded, "kid": nil},
		"jku":               {"jku": "https://evil.example/jwks"},
		"jku at the issuer": {"jku": "https://idp1.example/@evil.example/jwks"},
		"x5u":               {"x5u": "https://evil.example/cert.pem"},
		"x5c":               {"x5c": []string{strings.Join(strings.Split(stranger.Certificate(), "\n")[1:4], "")}},
		"x5t":               {"x5t": "dGhlIHRodW1icHJpbnQgb2YgYSBjZXJ0", "x5t#S256": stranger.Thumbprint()},
	}) {
		add("a stranger's key in "+name, stranger.With(header), badSignature)
		add("a good token that brings along "+name, first.With(header), isAlice)
	}
	add("a stranger's key under a kid of its own", stranger.With(Claims{"kid": "evil", "jwk": embedded}), unknownKey)

	for name, members := range ordered(map[string]string{
		"crit exp":                 `"crit":["exp"]`,
		"crit empty":               `"crit":[]`,
		"crit null":                `"crit":null`,
		"crit string":              `"crit":"alg"`,
		"crit of what is known":    `"crit":["alg","kid"]`,
		"crit in disguise":         `"\u0063rit":["x"],"x":1`,
		"b64 false":                `"b64":false`,
		"b64 true":                 `"b64":true`,
		"b64 false and crit":       `"b64":false,"crit":["b64"]`,
		"kid twice":                `"kid":"k1"`,
		"alg twice":                `"alg":"none"`,
		"alg twice, escaped":       `"\u0061lg":"none"`,
		"alg twice, slash escaped": `"al\u0067":"RS256"`,
		"a duplicate further in":   `"x":{"a":1,"a":2}`,
		"typ number":               `"typ":1`, // beside the usual one: twice
		"broken UTF-8":             "\"x\":\"\xff\"",
		"lone surrogate":           `"x":"\ud800"`,
	}) {
		add(name, first.RawHeader(members), malformed)
	}
	add("typ is a number", first.With(Claims{"typ": 1}), malformed)
	add("typ is an array", first.With(Claims{"typ": []string{"JWT"}}), malformed)
	add("cty JWT around claims", first.With(Claims{"cty": "JWT"}), isAlice)
	add("enc, as in a JWE", first.With(Claims{"enc": "A256GCM", "zip": "DEF"}), isAlice)

	for _, kid := range []string{
		"../../../../dev/null", "/dev/null", "k1' OR '1'='1", "k1\"; --", "k1\u0000", "k1\u0000.pem", "\u0000k1", "K1",
		"k1 ", " k1", "k1\r\nx: y",
		"k2", "ｋ1", "k1\u200b", "*", "https://evil.example/k1", "file:///etc/passwd", "| sleep 5", "k1,k2",
		strings.Repeat("k1", 1500),
	} {
		add(fmt.Sprintf("kid %.24q", kid), first.With(Claims{"kid": kid}), unknownKey)
	}
	for name, kid := range ordered(map[string]any{"number": 1, "array": []string{"k1"}, "object": Claims{"k1": 1},
		"boolean": true}) {
		add("kid is of type "+name, first.With(Claims{"kid": kid}), malformed)
	}
	add("kid is null", first.Sign(`{"alg":"RS256","kid":null}`, encode(Basic())), malformed)
	add("no kid", first.With(Claims{"kid": nil}), isAlice)
	add("empty kid", first.With(Claims{"kid": ""}), isAlice)
	add("no kid, the other provider's key", Second().With(Claims{"kid": nil}), badSignature)
	add("no kid, a stranger's key", stranger.With(Claims{"kid": nil}), badSignature)
	return cases
}

// shapeAttacks are no compact JWS, or an almost good one.
func shapeAttacks() []Case {
	good := First().Token()
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	malformed := invalid("malformed")
	var cases []Case
	for name, token := range ordered(map[string]string{
		"one part":         "abc",
		"two parts":        header + "." + payload,
		"four parts":       good + "." + signature,
		"five parts (JWE)": header + "." + payload + "." + signature + "." + payload + "." + signature,
		"a dot more":       good + ".",
		"a dot before":     "." + good,
		"dots alone":       "..",
		"no header":        "." + payload + "." + signature,
		"detached payload": header + ".." + signature,
		"no signature":     header + "." + payload + ".",
		"JSON serialization": fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, payload, header,
			signature),
		"general serialization": fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, payload,
			header, signature),
		"nested":                First().Sign(First().header(), good),
		"nested in a string":    First().Sign(First().header(), `"`+good+`"`),
		"all twice":             good + good,
		"padded header":         header + "=." + payload + "." + signature,
		"padded signature":      good + "==",
		"newline in the header": header[:4] + "\n" + header[4:] + "." + payload + "." + signature,
		"CR LF in the payload":  header + "." + payload[:4] + "\r\n" + payload[4:] + "." + signature,
		"newline at the end":    good + "\n",
		"space inside":          header + "." + payload[:8] + " " + payload[8:] + "." + signature,
		"tab inside":            header + ".\t" + payload + "." + signature,
		"NUL inside":            header + "." + payload + ".\x00" + signature,
		"percent-encoded dots":  strings.ReplaceAll(good, ".", "%2e"),
		"percent-encoded":       "%65" + good[1:],
		"in quotes":             `"` + good + `"`,
		"a comma behind":        good + ",",
		"a semicolon behind":    good + ";x=y",
		"a fragment behind":     good + "#",
		"Unicode dots":          strings.ReplaceAll(good, ".", "．"),
		"a BOM before":          "\ufeff" + good,
		"Bearer twice":          "Bearer " + good,
		"HTML entity":           strings.ReplaceAll(good, ".", "&#46;"),
		"one byte":              ".",
		"asterisk":              "*",
		"null":                  "null",
		"100 dots":              strings.Repeat(".", 100),
		"SAML":                  b64(`<Assertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion"/>`),
	}) {
		want := malformed
		if slices.Contains([]string{"one part", "two parts", "four parts", "five parts (JWE)", "a dot more",
			"a dot before",
			"all twice", "one byte", "null", "100 dots", "SAML"}, name) {
			want = invalid("opaque") // which it may be, to somebody else
		}
		cases = append(cases, on("shape: "+name, token, want))
	}
	stray := good[:len(good)-1] + nextInAlphabet(good[len(good)-1])
	cases = append(cases,
		on("shape: stray bits at the end of the signature", stray, malformed),
		on("shape: the standard alphabet in the signature", standardAlphabet(), malformed),
		on("shape: at the limit", First().Sized(16384), isAlice),
		on("shape: one byte below the limit", First().Sized(16383), isAlice),
		on("shape: one byte over the limit", First().Sized(16385), invalid("too_large")),
		on("shape: far over the limit", First().Sized(40000), invalid("too_large")),
		on("shape: far over the limit, no dots", strings.Repeat("a", 60000), invalid("too_large")),
	)
	return cases
}

// nextInAlphabet is a character that decodes to the same two bits and other
// stray ones.
func nextInAlphabet(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, c)
	return alphabet[i+1 : i+2]
}

// standardAlphabet is a good token but for a signature in the alphabet of RFC
// 4648 §4 that differs from the one of §5.
func standardAlphabet() string {
	for i := 0; ; i++ {
		token := First().Token(Claims{"jti": i})
		dot := strings.LastIndexByte(token, '.')
		if signature := strings.NewReplacer("-", "+", "_", "/").Replace(token[dot:]); signature != token[dot:] {
			return token[:dot] + signature
		}
	}
}

// jsonAttacks have a payload that two readers could read differently.
func jsonAttacks() []Case {
	first := First()
	malformed := invalid("malformed")
	usual := encode(Basic())
	var cases []Case
	for name, members := range ordered(map[string]string{
		"iss twice":                         `"iss":"https://idp1.example/"`,
		"iss twice, another's":              `"iss":"https://idp2.example/realms/org2"`,
		"iss twice, escaped":                `"\u0069ss":"https://idp2.example/realms/org2"`,
		"org_id twice":                      `"org_id":"org2"`,
		"org_id twice, escaped":             `"org\u005fid":"org2"`,
		"org_id twice, escaped in capitals": `"org\u005Fid":"org1"`,
		"exp twice":                         `"exp":9999999999`,
		"sub twice":                         `"s\u0075b":"root"`,
		"aud twice":                         `"aud":"https://other.example"`,
		"a duplicate in an object":          `"x":{"a":1,"\u0061":2}`,
		"a duplicate in an array":           `"x":[{"a":{"b":1,"b":1}}]`,
		"an empty name twice":               `"":1,"":2`,
		"overlong UTF-8 in a name":          "\"\xc1\xa9ss\":1",
		"overlong UTF-8":                    "\"x\":\"\xc0\xaf\"",
		"broken UTF-8":                      "\"x\":\"a\xffb\"",
		"truncated UTF-8":                   "\"x\":\"\xe2\x82\"",
		"a surrogate in UTF-8":              "\"x\":\"\xed\xa0\x80\"",
		"beyond Unicode":                    "\"x\":\"\xf4\x90\x80\x80\"",
		"lone high surrogate":               `"x":"\ud83d"`,
		"lone low surrogate":                `"x":"\ude00"`,
		"surrogates the wrong way":          `"x":"\ude00\ud83d"`,
		"lone surrogate in a name":          `"\ud800":1`,
		"raw NUL":                           "\"x\":\"\x00\"",
		"raw newline in a string":           "\"x\":\"a\nb\"",
		"comma at the end":                  `"x":1,`,
		"comment":                           `"x":1/*,"y":2*/`,
		"line comment":                      "\"x\":1//\n",
		"single quotes":                     `'x':1`,
		"name without quotes":               `x:1`,
		"NaN":                               `"x":NaN`,
		"Infinity":                          `"x":-Infinity`,
		"leading zero":                      `"x":01`,
		"plus sign":                         `"x":+1`,
		"hexadecimal":                       `"x":0x10`,
		"bare point":                        `"x":1.`,
		"escape that is none":               `"x":"\x41"`,
		"short escape":                      `"x":"\u41"`,
		"True":                              `"x":True`,
		"nested too deep (objects)":         `"x":` + strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32),
		"nested too deep (arrays)":          `"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32),
		"nested 2000 deep":                  `"x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000),
		"never closed":                      `"x":` + strings.Repeat("[", 20),
	}) {
		cases = append(cases, on("JSON: "+name, first.Raw(members), malformed))
	}
	for name, payload := range ordered(map[string]string{
		"BOM":                   "\ufeff" + usual,
		"two objects":           usual + usual,
		"text behind":           usual + "x",
		"NUL behind":            usual + "\x00",
		"UTF-16":                "{\x00\"\x00i\x00s\x00s\x00\"\x00:\x001\x00}\x00",
		"array":                 "[" + usual + "]",
		"string":                encode(usual),
		"number":                "1",
		"null":                  "null",
		"true":                  "true",
		"spaces alone":          "   ",
		"not JSON":              "iss=https://idp1.example/",
		"form feed as space":    "\f" + usual,
		"no-break space before": "\u00a0" + usual,
		"vertical tab":          "{\v}",
		"cut":                   usual[:len(usual)-1],
	}) {
		cases = append(cases, on("payload: "+name, first.Sign(first.header(), payload), malformed))
	}
	return append(cases,
		on("payload: empty object", first.Sign(first.header(), "{}"), invalid("unknown_issuer")),
		on("payload: space around", first.Sign(" "+first.header()+"\r\n", "\n\t"+usual+" \r\n"), isAlice),
		on("JSON: nested as deep as may be", first.Raw(`"x":`+strings.Repeat("[", 31)+strings.Repeat("]", 31)),
			isAlice),
		on("JSON: a hundred members", first.Raw(members(100)), isAlice),
		on("JSON: names that are other names",
			first.Raw(`"ISS":"x","iss\u0000":"y","\u0000iss":"z","i\u0073s ":1,"Org_id":"org2","org_id ":"org2"`),
			isAlice),
		on("JSON: an emoji in surrogates", first.Raw(`"x":"\ud83d\ude00"`), isAlice),
		Case{Name: "JSON: many members", Config: large, Request: get("/", first.Raw(members(200))), Want: isAlice},
		Case{Name: "JSON: thousands of members", Config: large, Request: get("/", first.Raw(members(3000))),
			Want: malformed},
		Case{Name: "JSON: many members, one twice", Config: large,
			Request: get("/", first.Raw(members(200)+`,"m150":1`)), Want: malformed},
		Case{Name: "JSON: a string of 40000 escapes", Config: large,
			Request: get("/", first.Raw(`"x":"`+strings.Repeat(`\u0041`, 6600)+`"`)), Want: isAlice},
	)
}

// large allows the largest tokens.
const large = `{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
	"signatureValidation": {"jwks": {"inline": $FIRST}}}], "limits": {"tokenBytes": 65536}}`

func members(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"m%d":%d`, i, i)
	}
	return strings.Join(list, ",")
}

// claimAttacks have claims that are not what they should be.
func claimAttacks() []Case {
	first := First()
	malformed, claim, audience, issuer := invalid("malformed"), invalid("claim"), invalid("audience"),
		invalid("unknown_issuer")
	scope := Want{Status: 403, Code: "900910", Reason: "scope"}
	var cases []Case
	add := func(name string, claims Claims, want Want) {
		cases = append(cases, on("claim: "+name, first.Token(claims), want))
	}
	raw := func(name, member, value string, want Want) {
		cases = append(cases, on("claim: "+name, first.Raw(fmt.Sprintf("%q:%s", member, value), Claims{member: nil}),
			want))
	}

	for _, sub := range []string{
		"a\r\nx-wso2-organization: org2", "alice\n", "\talice", "ali\x00ce", "a\x7fb", "a\u0085b", "a\u009fb", "a\x1bb",
		" alice", "alice ", "\u00a0alice", "",
	} {
		add(fmt.Sprintf("sub %q", sub), Claims{"sub": sub}, claim)
	}
	for name, sub := range ordered(map[string]any{"array": []string{"alice"}, "object": Claims{"alice": 1},
		"boolean": true}) {
		add("sub is of type "+name, Claims{"sub": sub}, claim)
	}
	raw("sub is null", "sub", "null", claim)
	raw("sub is a number", "sub", "12345678901234567890", as("12345678901234567890"))
	add("sub is very long", Claims{"sub": strings.Repeat("x", 5000)}, as(strings.Repeat("x", 5000)))
	add("sub in Unicode", Claims{"sub": "żółw 🐢"}, as("żółw 🐢"))
	add("sub like a list", Claims{"sub": "alice, bob"}, as("alice, bob"))
	add("sub like a markup", Claims{"sub": `<a href="x">' OR 1=1 --`}, as(`<a href="x">' OR 1=1 --`))
	add("sub percent-encoded", Claims{"sub": "a%0d%0ab"}, as("a%0d%0ab"))

	for _, org := range []string{
		"ORG1", "Org1", "оrg1", "ｏrg1", "org1\u200b", "org\u00ad1", "org1,org2", "org1 org2", "org1/../org2", "%6frg1",
		"org1.", "org1;", "*", "org1*",
		"org2", "null", "true", "apk-system", "org1\u0301", "ⓞrg1", "'org1'", `"org1"`, `["org1"]`,
	} {
		add(fmt.Sprintf("org_id %q", org), Claims{"org_id": org}, foreign)
	}
	for _, org := range []string{"", " org1", "org1 ", "\u00a0org1", "org1\u3000", "org1\x00", "\torg1", "org1\norg2",
		"org1\r", "org1\u0085"} {
		add(fmt.Sprintf("org_id %q", org), Claims{"org_id": org}, claim)
	}
	for name, org := range ordered(map[string]any{
		"array of several": []string{"org1", "org2"}, "array of one twice": []string{"org1", "org1"},
		"array of arrays": [][]string{{"org1"}}, "object of several": Claims{"org1": 1, "org2": 1},
		"boolean": true, "empty array": []string{}, "empty object": Claims{},
	}) {
		add("org_id is of type "+name, Claims{"org_id": org}, claim)
	}
	add("org_id is a number", Claims{"org_id": 1}, foreign)
	add("org_id is an array of one", Claims{"org_id": []string{"org1"}}, isAlice)
	add("org_id is an array of another one", Claims{"org_id": []string{"org2"}}, foreign)
	add("org_id is an object of one", Claims{"org_id": Claims{"org1": 1}}, isAlice)
	add("org_id is an object of another one", Claims{"org_id": Claims{"org2": "org1"}}, foreign)
	raw("org_id is null", "org_id", "null", claim)
	add("org_id under another case", Claims{"org_id": nil, "ORG_ID": "org1"}, claim)
	add("org_id further in", Claims{"org_id": nil, "org": Claims{"id": "org1"}}, claim)

	for _, iss := range []string{
		"https://idp1.example", "https://idp1.example//", "https://idp1.example/ ", " https://idp1.example/",
		"HTTPS://IDP1.EXAMPLE/", "http://idp1.example/",
		"https://idp1.example:443/", "https://idp1.example/#", "https://idp1.example/?", "https://idp1.example/.",
		"https://evil.example/https://idp1.example/",
		"https://user@idp1.example/", "https://idp1.example/\u0000", "https://idp1.exampIe/", "https://idр1.example/",
		"idp1", "*",
	} {
		add(fmt.Sprintf("iss %q", iss), Claims{"iss": iss}, issuer)
	}
	for name, iss := range ordered(map[string]any{"number": 1, "array": []string{"https://idp1.example/"},
		"object": Claims{}, "empty": ""}) {
		add("iss is of type "+name, Claims{"iss": iss}, malformed)
	}
	raw("iss is null", "iss", "null", malformed)
	cases = append(cases,
		on("claim: iss of org1, signed by org2's provider", Second().Token(Claims{"org_id": "org1"}),
			invalid("bad_signature")),
		on("claim: a token of org2's provider that says it is of org1",
			Second().Token(OfOrg2(), Claims{"org_id": "org1"}), foreign),
		on("claim: a token of org2's provider with both issuers in an array",
			Second().Token(OfOrg2(),
				Claims{"iss": []string{"https://idp1.example/", "https://idp2.example/realms/org2"}}), malformed),
	)

	add("aud, one of several", Claims{"aud": []string{"https://other.example", "https://api.example"}}, isAlice)
	add("aud, a string", Claims{"aud": "https://api.example"}, isAlice)
	for _, aud := range []string{
		"https://api.example/", "https://api.example ", "HTTPS://API.EXAMPLE",
		"https://api.example,https://other.example", "https://api.example https://other.example",
		"api.example", "*", "", "https://api.example\x00", "https://api.examplе",
	} {
		add(fmt.Sprintf("aud %q", aud), Claims{"aud": aud}, audience)
	}
	add("aud, an empty array", Claims{"aud": []string{}}, audience)
	add("aud, in an array in an array", Claims{"aud": [][]string{{"https://api.example"}}}, malformed)
	add("aud, an array with a number", Claims{"aud": []any{"https://api.example", 1}}, malformed)
	add("aud, an array with null", Claims{"aud": []any{"https://api.example", nil}}, malformed)
	add("aud, an object", Claims{"aud": Claims{"https://api.example": 1}}, malformed)
	add("aud, a number", Claims{"aud": 1}, malformed)
	raw("aud is null", "aud", "null", malformed)
	add("aud in azp", Claims{"aud": nil, "azp": "https://api.example"}, audience)

	admin := func(name string, claims Claims, want Want) {
		cases = append(cases, Case{Name: "scope: " + name, Request: get("/org1/admin", first.Token(claims)),
			Want: want})
	}
	for _, s := range []string{
		"orders:writer", "ORDERS:WRITE", "orders:write,profile", "orders", "*", "orders:*", "xorders:write",
		"orders:write\u200b", "", "  ", `"orders:write"`, "orders%3awrite", "orders:write\u00a0",
	} {
		admin(fmt.Sprintf("%q", s), Claims{"scope": s}, scope)
	}
	admin("none", Claims{"scope": nil}, scope)
	admin("in scp", Claims{"scope": nil, "scp": "orders:write"}, scope)
	admin("under another case", Claims{"scope": nil, "Scope": "orders:write"}, scope)
	admin("in scopes", Claims{"scope": nil, "scopes": []string{"orders:write"}}, scope)
	for _, s := range []string{"profile\torders:write", "profile\norders:write", "orders:write\r\n", "orders:write\x00",
		"profile\u00a0\u0085orders:write"} {
		admin(fmt.Sprintf("%q", s), Claims{"scope": s}, claim)
	}
	for name, s := range ordered(map[string]any{
		"number": 1, "boolean": true, "object": Claims{"orders:write": true},
		"array of arrays": [][]string{{"orders:write"}}, "array with two in one": []string{"profile orders:write"},
	}) {
		admin("of type "+name, Claims{"scope": s}, scope)
	}
	admin("of type array with a number", Claims{"scope": []any{"orders:write", 1}},
		Want{Status: 200, Reason: "ok", Upstream: with(alice, "x-wso2-scopes", "orders:write 1")})
	admin("beside one that looks like two", Claims{"scope": []string{"orders:write", "a b"}},
		Want{Status: 200, Reason: "ok", Upstream: with(alice, "x-wso2-scopes")})
	admin("array", Claims{"scope": []string{"profile", "orders:write", ""}},
		Want{Status: 200, Reason: "ok", Upstream: with(alice, "x-wso2-scopes", "profile orders:write")})
	admin("many spaces", Claims{"scope": "  orders:write   profile "},
		Want{Status: 200, Reason: "ok", Upstream: with(alice, "x-wso2-scopes", "orders:write profile")})

	add("azp is a number", Claims{"azp": 1}, Want{Status: 200, Reason: "ok",
		Upstream: with(alice, "x-wso2-consumer-key", "1")})
	add("azp with CR LF", Claims{"azp": "client\r\nx-wso2-username: root"}, claim)
	add("azp empty, client_id an array", Claims{"azp": "", "client_id": []string{"a"}},
		Want{Status: 200, Reason: "ok", Upstream: with(alice, "x-wso2-consumer-key")})
	add("client_id beside azp", Claims{"client_id": "other"}, isAlice)

	roles := func(name string, claims Claims, want Want) {
		cases = append(cases, Case{Name: "roles: " + name,
			Request: get("/org2", Second().Token(append([]Claims{OfOrg2()}, claims)...)), Want: want})
	}
	roles("as they are", Claims{"realm_access": Claims{"roles": []string{"admin", "user"}}},
		Want{Status: 200, Reason: "ok", Upstream: with(bob, "x-wso2-roles", "admin,user")})
	roles("one that looks like two", Claims{"realm_access": Claims{"roles": []string{"user,admin"}}}, isBob)
	roles("with a newline", Claims{"realm_access": Claims{"roles": []string{"user\nadmin"}}}, claim)
	roles("with a space before", Claims{"realm_access": Claims{"roles": []string{" admin"}}}, isBob)
	roles("of numbers", Claims{"realm_access": Claims{"roles": []int{1}}},
		Want{Status: 200, Reason: "ok", Upstream: with(bob, "x-wso2-roles", "1")})
	roles("under the name with a dot",
		Claims{"realm_access.roles": []string{"a"}, "realm_access": Claims{"roles": []string{"b"}}},
		Want{Status: 200, Reason: "ok", Upstream: with(bob, "x-wso2-roles", "a")})
	roles("in an array", Claims{"realm_access": []Claims{{"roles": []string{"b"}}}}, isBob)
	roles("a mapped claim with CR LF", Claims{"https://example.com/tier": "gold\r\nx-wso2-organization: org1"}, claim)
	roles("a mapped claim with an element like two", Claims{"https://example.com/tier": []string{"gold,silver"}}, isBob)
	return cases
}

// timeAttacks have dates at the edges and beyond.
func timeAttacks() []Case {
	first, now := First(), Now.Unix()
	expired := Want{Status: 401, Code: "900903", Reason: "expired"}
	malformed, early := invalid("malformed"), invalid("not_yet_valid")
	var cases []Case
	for _, c := range []struct {
		claim, value string
		want         Want
	}{
		{"exp", `"9999999999"`, malformed},
		{"exp", `null`, malformed},
		{"exp", `true`, malformed},
		{"exp", `[9999999999]`, malformed},
		{"exp", `{"exp":9999999999}`, malformed},
		{"exp", `1e400`, malformed},
		{"exp", `1E+9999999999999999999999`, malformed},
		{"exp", `99999999999999999999999999`, malformed},
		{"exp", `253402300800`, malformed},
		{"exp", `253402300799.000000000001`, malformed},
		{"exp", `253402300799`, isAlice},
		{"exp", `2534023007990e-1`, isAlice},
		{"exp", `-1`, malformed},
		{"exp", `-9999999999`, malformed},
		{"exp", `-0`, expired},
		{"exp", `0`, expired},
		{"exp", `1e-400`, expired},
		{"exp", `4102444800000e-3`, isAlice},
		{"exp", fmt.Sprint(now-60) + ".0", expired},
		{"exp", fmt.Sprint(now-60) + ".000000001", isAlice},
		{"exp", fmt.Sprint(now-60) + ".0000000000000001", expired},
		{"exp", fmt.Sprint(now-61) + ".999999999999", expired},
		{"exp", fmt.Sprint(now * 1000), malformed}, // in milliseconds
		{"nbf", fmt.Sprint(now+60) + ".000000001", early},
		{"nbf", fmt.Sprint(now+60) + ".0000000000000001", early},
		{"nbf", `253402300799`, early},
		{"nbf", `1e400`, malformed},
		{"nbf", `"0"`, malformed},
		{"nbf", `null`, malformed},
		{"nbf", `-1`, malformed},
		{"nbf", `0`, isAlice},
		{"iat", fmt.Sprint(now + 60), isAlice},
		{"iat", fmt.Sprint(now + 61), early},
		{"iat", `"0"`, malformed},
		{"iat", `-5`, malformed},
		{"iat", `0`, isAlice},
	} {
		token := first.Raw(fmt.Sprintf("%q:%s", c.claim, c.value), Claims{c.claim: nil})
		cases = append(cases, on("time: "+c.claim+" "+c.value, token, c.want))
	}
	const aged = `{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"maxTokenAge": "1h", "requireExpiration": false,
		"signatureValidation": {"jwks": {"inline": $FIRST}}}]}`
	for name, c := range ordered(map[string]struct {
		claims Claims
		want   Want
	}{
		"iat at the maximum age":        {Claims{"iat": now - 3660}, expired},
		"iat just within it":            {Claims{"iat": now - 3659}, isAlice},
		"iat missing":                   {Claims{"iat": nil}, invalid("claim")},
		"iat 0":                         {Claims{"iat": 0}, expired},
		"iat in the future":             {Claims{"iat": now + 61}, early},
		"exp says longer":               {Claims{"iat": now - 3660, "exp": now + 9999}, expired},
		"exp missing":                   {Claims{"exp": nil}, isAlice},
		"exp missing, expires_in there": {Claims{"exp": nil, "iat": now - 4000, "expires_in": 99999}, expired},
	}) {
		cases = append(cases, Case{Name: "maximum age: " + name, Config: aged, Request: get("/", first.Token(c.claims)),
			Want: c.want})
	}
	return cases
}

// signatureAttacks have a signature that is not the token's.
func signatureAttacks() []Case {
	first := First()
	good := first.Token()
	dot := strings.LastIndexByte(good, '.')
	input, signature := good[:dot+1], good[dot+1:]
	octets, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		panic(err)
	}
	other := first.Token(Claims{"sub": "mallory"})
	swapped := other[:strings.LastIndexByte(other, '.')+1] + signature
	header, payload, _ := strings.Cut(strings.TrimSuffix(input, "."), ".")
	flipped := slices.Clone(octets)
	flipped[100] ^= 1
	above := new(big.Int).Add(new(big.Int).SetBytes(octets), first.Key.N) // the same, modulo n
	digestAlone := func() string {
		// the token's digest, padded as if it was a signature
		block := append([]byte{0, 1}, slices.Repeat([]byte{0xff}, 256-3-32)...)
		return string(append(append(block, 0), octets[:32]...))
	}()

	badSignature := invalid("bad_signature")
	var cases []Case
	for name, token := range ordered(map[string]string{
		"of another token":         swapped,
		"zeros":                    input + b64(strings.Repeat("\x00", 256)),
		"one":                      input + b64(strings.Repeat("\x00", 255)+"\x01"),
		"all bits set":             input + b64(strings.Repeat("\xff", 256)),
		"n itself":                 input + b64(string(first.Key.N.Bytes())),
		"n less one":               input + b64(string(new(big.Int).Sub(first.Key.N, big.NewInt(1)).Bytes())),
		"plus n":                   input + b64(string(above.Bytes())),
		"one bit flipped":          input + b64(string(flipped)),
		"a byte more":              input + b64(string(octets)+"\x00"),
		"a zero byte before":       input + b64("\x00"+string(octets)),
		"a byte less":              input + b64(string(octets[:255])),
		"one byte":                 input + "AA",
		"padding in the clear":     input + b64(digestAlone),
		"encoded twice":            header + "." + payload + "." + b64(base64.StdEncoding.EncodeToString(octets)),
		"PS256 under RS256":        first.pssUnderRS256(),
		"RS384 under RS256":        first.longerUnderRS256("RS384"),
		"RS512 under RS256":        first.longerUnderRS256("RS512"),
		"of the payload alone":     first.overPayloadAlone(),
		"of the decoded parts":     first.overDecoded(),
		"by the other provider":    Second().Token(),
		"by a key that is retired": Rotated().With(Claims{"kid": "k1"}),
		"by a stranger":            Stranger().Token(),
	}) {
		cases = append(cases, on("signature: "+name, token, badSignature))
	}
	const pss = `{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"algorithms": ["PS256"],
		"signatureValidation": {"certificate": {"certificateInline": %s}}}]}`
	for _, salt := range []int{1, 31, 33, 64, rsa.PSSSaltLengthAuto} {
		cases = append(cases, Case{Name: fmt.Sprintf("signature: PS256 with a salt of %d", salt),
			Config:  fmt.Sprintf(pss, encode(first.PublicKey())),
			Request: get("/", first.salted(salt)), Want: badSignature})
	}
	cases = append(cases, Case{Name: "signature: PS256 with a salt as long as the hash",
		Config: fmt.Sprintf(pss, encode(first.PublicKey())), Request: get("/", first.salted(32)), Want: isAlice})
	return append(cases, curveAttacks()...)
}

// curveAttacks are signatures of elliptic curves that are written otherwise than
// RFC 7518 §3.4 and RFC 8032 §5.1.7 have it, or whose numbers are odd.
func curveAttacks() []Case {
	const config = `{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"algorithms": ["ES256", "ES384", "EdDSA"], "signatureValidation": {"jwks": {"inline": {"keys": [%s]}}}}]}`
	var cases []Case
	for _, signer := range []*Signer{P256(), P384()} {
		key := signer.Curve.(*ecdsa.PrivateKey)
		size, n := key.Params().BitSize/8, key.Params().N
		input := b64(signer.header()) + "." + b64(encode(Basic()))
		r, s := rs(key, hashed(signer.Algorithm(), input))
		number := func(n *big.Int) string { return string(n.FillBytes(make([]byte, size))) }
		less := func(n, m *big.Int) *big.Int { return new(big.Int).Sub(n, m) }
		der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		if err != nil {
			panic(err)
		}
		zero, one := new(big.Int), big.NewInt(1)
		bad := invalid("bad_signature")
		for name, c := range ordered(map[string]struct {
			signature string
			want      Want
		}{
			"as it should be":         {number(r) + number(s), isAlice},
			"the other s":             {number(r) + number(less(n, s)), isAlice},
			"the other r":             {number(less(n, r)) + number(s), bad},
			"s before r":              {number(s) + number(r), bad},
			"in ASN.1":                {string(der), bad},
			"zeros":                   {number(zero) + number(zero), bad},
			"r 0":                     {number(zero) + number(s), bad},
			"s 0":                     {number(r) + number(zero), bad},
			"r and s are 1":           {number(one) + number(one), bad},
			"r and s are the order":   {number(n) + number(n), bad},
			"r and s below the order": {number(less(n, one)) + number(less(n, one)), bad},
			"r the prime":             {number(key.Params().P) + number(s), bad},
			"an octet less":           {(number(r) + number(s))[:2*size-1], bad},
			"an octet more":           {number(r) + number(s) + "\x00", bad},
			"a zero before each":      {"\x00" + number(r) + "\x00" + number(s), bad},
		}) {
			cases = append(cases, Case{Name: "signature: " + signer.Algorithm() + ", " + name,
				Config: fmt.Sprintf(config, signer.JWK()), Request: get("/", input+"."+b64(c.signature)), Want: c.want})
		}
	}
	signer := Edwards()
	input := b64(signer.header()) + "." + b64(encode(Basic()))
	signature := signer.signature("EdDSA", input)
	order, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
	s := slices.Clone(signature[32:])
	slices.Reverse(s)
	beyond := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	slices.Reverse(beyond)
	flippedSign := slices.Clone(signature)
	flippedSign[31] ^= 0x80
	identity := "\x01" + strings.Repeat("\x00", 31)
	for name, octets := range ordered(map[string]string{
		"S beyond the order":      string(signature[:32]) + string(beyond),
		"the identity and S 0":    identity + strings.Repeat("\x00", 32),
		"zeros":                   strings.Repeat("\x00", 64),
		"an octet less":           string(signature[:63]),
		"an octet more":           string(signature) + "\x00",
		"S before R":              string(signature[32:]) + string(signature[:32]),
		"another sign of R":       string(flippedSign),
		"of the hash (Ed25519ph)": prehashed(signer, input),
	}) {
		cases = append(cases, Case{Name: "signature: EdDSA, " + name, Config: fmt.Sprintf(config, signer.JWK()),
			Request: get("/", input+"."+b64(octets)), Want: invalid("bad_signature")})
	}
	return cases
}

// prehashed is a signature of RFC 8032 §5.1 with a hash before it, which no JOSE
// algorithm is.
func prehashed(s *Signer, input string) string {
	digest := hashed("RS512", input)
	signature, err := s.Curve.Sign(nil, digest, &ed25519.Options{Hash: crypto.SHA512})
	if err != nil {
		panic(err)
	}
	return string(signature)
}

func (s *Signer) pssUnderRS256() string { return s.longerUnderRS256("PS256") }

// longerUnderRS256 signs with another algorithm than the header says.
func (s *Signer) longerUnderRS256(algorithm string) string {
	input := b64(s.header()) + "." + b64(encode(Basic()))
	return input + "." + b64(string(s.signature(algorithm, input)))
}

// salted signs with PS256 and a salt of a length. RFC 7518 §3.5 allows the
// hash's alone; a longest one is what some libraries make.
func (s *Signer) salted(length int) string {
	input := b64(encode(Claims{"alg": "PS256", "kid": s.KeyID})) + "." + b64(encode(Basic()))
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPSS(rand.Reader, s.Key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: length})
	if err != nil {
		panic(err)
	}
	return input + "." + b64(string(signature))
}

func (s *Signer) overPayloadAlone() string {
	header, payload := b64(s.header()), b64(encode(Basic()))
	return header + "." + payload + "." + b64(string(s.signature("RS256", payload)))
}

func (s *Signer) overDecoded() string {
	header, payload := s.header(), encode(Basic())
	return b64(header) + "." + b64(payload) + "." + b64(string(s.signature("RS256", header+"."+payload)))
}

// sources takes tokens from everywhere, and forwards the payload.
const sources = `{
  "issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
  	"signatureValidation": {"jwks": {"inline": $FIRST}}}],
  "tokenSources": {"headers": [{"name": "authorization", "prefix": "Bearer "},
  	{"name": "authorization", "prefix": "JWT "}, {"name": "X-Token"}],
    "query": ["access_token"], "cookies": ["token"]},
  "forwardPayload": "x-jwt-payload",
  "rules": [{"name": "open", "match": {"methods": ["GET", "POST"], "hosts": ["open.example"]}, "public": true},
    {"name": "maybe", "match": {"hosts": ["maybe.example"]}, "optional": true},
    {"name": "rest"}]
}`

// sourceAttacks bring the token in odd ways, or several of them.
func sourceAttacks() []Case {
	good, second := First().Token(), First().Token(Claims{"jti": "2"})
	malformed, several := invalid("malformed"), invalid("several_tokens")
	var cases []Case
	authorization := func(values ...string) Headers {
		var h Headers
		for _, v := range values {
			h = append(h, [2]string{"authorization", v})
		}
		return h
	}
	for name, c := range ordered(map[string]struct {
		headers Headers
		want    Want
	}{
		"two spaces":             {authorization("Bearer   " + good), isAlice},
		"space behind":           {authorization("Bearer " + good + " \t"), isAlice},
		"mixed case":             {authorization("bEaReR " + good), isAlice},
		"name in capitals":       {Headers{{"Authorization", "Bearer " + good}}, isAlice},
		"tab":                    {authorization("Bearer\t" + good), malformed},
		"no space":               {authorization("Bearer" + good), missing},
		"colon":                  {authorization("Bearer:" + good), malformed},
		"no scheme":              {authorization(good), missing},
		"scheme alone":           {authorization("Bearer"), missing},
		"another scheme":         {authorization("Token " + good), missing},
		"in Unicode":             {authorization("Ｂearer " + good), missing},
		"space before":           {authorization(" Bearer " + good), malformed},
		"empty":                  {authorization(""), missing},
		"in Proxy-Authorization": {Headers{{"proxy-authorization", "Bearer " + good}}, missing},
		"in X-Authorization":     {Headers{{"x-authorization", "Bearer " + good}}, missing},
		"in X-Forwarded-Access":  {Headers{{"x-forwarded-access-token", good}}, missing},
		"scheme twice":           {authorization("Bearer Bearer " + good), malformed},
		"something behind":       {authorization("Bearer " + good + " x"), malformed},
		"in quotes":              {authorization(`Bearer "` + good + `"`), malformed},
		"parameter":              {authorization("Bearer token=" + good), malformed},
		"the same twice":         {authorization("Bearer "+good, "Bearer "+good), isAlice},
		"two":                    {authorization("Bearer "+good, "Bearer "+second), several},
		"a bad one first":        {authorization("Bearer x", "Bearer "+good), several},
		"a bad one last":         {authorization("Bearer "+good, "Bearer x"), several},
		"three":                  {authorization("Bearer x", "Bearer "+good, "Bearer y"), several},
		"joined":                 {authorization("Bearer " + good + ", Bearer " + second), malformed},
		"joined without spaces":  {authorization("Bearer " + good + ",Bearer " + second), malformed},
		"joined behind others":   {authorization("Basic YTpi, Bearer " + good), malformed},
		"beside Basic credentials": {authorization("Basic YTpi", "Bearer "+good),
			Want{Status: 200, Reason: "ok", Upstream: with(alice, "authorization", "Basic YTpi")}},
		"beside an empty one": {authorization("Bearer ", "Bearer "+good),
			Want{Status: 200, Reason: "ok", Upstream: with(alice, "authorization", "Bearer ")}},
		"beside the scheme alone": {authorization("Bearer", "Bearer "+good),
			Want{Status: 200, Reason: "ok", Upstream: with(alice, "authorization", "Bearer")}},
		"a cookie is no source here": {Headers{{"cookie", "token=" + good}}, missing},
	}) {
		cases = append(cases, Case{Name: "authorization: " + name, Request: Request{Path: "/org1", Headers: c.headers},
			Want: c.want})
	}

	passes := func(path string, headers map[string][]string) Want {
		upstream := map[string][]string{":path": {path}, "x-jwt-payload": {payloadOf(good)}}
		for _, h := range []map[string][]string{alice, headers} {
			for name, values := range h {
				upstream[name] = values
			}
		}
		return Want{Status: 200, Reason: "ok", Upstream: upstream}
	}
	public := func(path string, headers map[string][]string) Want {
		upstream := map[string][]string{":path": {path}, "authorization": nil, "x-token": nil, "cookie": nil,
			"x-jwt-payload": nil}
		for name, values := range headers {
			upstream[name] = values
		}
		return Want{Status: 200, Reason: "public", Upstream: upstream}
	}
	for name, c := range ordered(map[string]struct {
		host, path string
		headers    Headers
		want       Want
	}{
		"query": {"", "/a?access_token=" + good, nil, passes("/a", nil)},
		"query, among others": {"", "/a?b=%20&access_token=" + good + "&&c=+", nil,
			passes("/a?b=%20&&c=+", nil)},
		"query, name encoded":       {"", "/a?%61ccess%5Ftoken=" + good + "&c", nil, passes("/a?c", nil)},
		"query, name encoded twice": {"", "/a?%2561ccess_token=" + good, nil, missing},
		"query, dots encoded": {"", "/a?access_token=" + strings.ReplaceAll(good, ".", "%2E"), nil,
			passes("/a", nil)},
		"query, encoded twice": {"", "/a?access_token=" + strings.ReplaceAll(good, ".", "%252E"), nil,
			malformed},
		"query, with the scheme": {"", "/a?access_token=Bearer+" + good, nil, malformed},
		"query, twice": {"", "/a?access_token=" + good + "&b&access_token=" + good, nil,
			passes("/a?b", nil)},
		"query, twice, once encoded": {"", "/a?access_token=" + good + "&access%5ftoken=" + second, nil,
			several},
		"query, and an empty one": {"", "/a?access_token=&access_token=" + good, nil,
			passes("/a?access_token=", nil)},
		"query, in capitals":            {"", "/a?ACCESS_TOKEN=" + good, nil, passes("/a", nil)},
		"query, with other punctuation": {"", "/a?access-token=" + good, nil, passes("/a", nil)},
		"query, in capitals beside another": {"", "/a?Access.Token=" + second + "&access_token=" + good, nil,
			several},
		"query, as an array":                   {"", "/a?access_token[]=" + good, nil, missing},
		"query, space before":                  {"", "/a?+access_token=" + good, nil, missing},
		"query, behind a semicolon":            {"", "/a?x=1;access_token=" + good, nil, missing},
		"query, a semicolon behind":            {"", "/a?access_token=" + good + ";x=1", nil, malformed},
		"query, behind a second question mark": {"", "/a?x=1?access_token=" + good, nil, missing},
		"query, in the fragment":               {"", "/a#access_token=" + good, nil, missing},
		"query, in the fragment's query":       {"", "/a#?access_token=" + good, nil, missing},
		"query, in the path":                   {"", "/a&access_token=" + good, nil, missing},
		"query, in a path parameter":           {"", "/a;access_token=" + good, nil, missing},
		"query and header": {"", "/a?access_token=" + good, authorization("Bearer " + second),
			several},
		"query and cookie": {"", "/a?access_token=" + good, Headers{{"cookie", "token=" + second}},
			several},
		"header and cookie": {"", "/a",
			Headers{{"authorization", "Bearer " + good}, {"cookie", "token=" + second}}, several},
		"everywhere": {"", "/a?access_token=" + good,
			Headers{{"authorization", "Bearer " + good}, {"x-token", good}, {"cookie", "token=" + good}},
			passes("/a", map[string][]string{"x-token": nil, "cookie": nil})},
		"everywhere, another in a cookie": {"", "/a?access_token=" + good,
			Headers{{"authorization", "Bearer " + good}, {"x-token", good}, {"cookie", "token=" + second}}, several},
		"two schemes of a header": {"", "/a", authorization("Bearer "+good, "JWT "+second), several},
		"two schemes of a header, one token": {"", "/a", authorization("Bearer "+good, "JWT "+good),
			passes("/a", map[string][]string{"authorization": nil})},
		"a header spelled otherwise": {"", "/a", Headers{{"x_token", good}},
			passes("/a", map[string][]string{"x_token": nil})},
		"a header in two spellings": {"", "/a", Headers{{"x_token", second}, {"x-token", good}}, several},
		"a header in two spellings, one token": {"", "/a", Headers{{"X_Token", good}, {"x-token", good}},
			passes("/a", map[string][]string{"x-token": nil, "x_token": nil})},
		"the other scheme": {"", "/a", authorization("jwt " + good), passes("/a", nil)},
		"a header without a scheme": {"", "/a", Headers{{"x-token", good}},
			passes("/a", map[string][]string{"x-token": nil})},
		"a header without a scheme, with one": {"", "/a", Headers{{"x-token", "Bearer " + good}}, malformed},
		"cookie": {"", "/a", Headers{{"cookie", "token=" + good}},
			passes("/a", map[string][]string{"cookie": nil})},
		"cookie, among others": {"", "/a", Headers{{"cookie", `a="1; 2"; token=` + good + `;b=c`}},
			passes("/a", map[string][]string{"cookie": {`a="1; 2";b=c`}})},
		"cookie, in capitals": {"", "/a", Headers{{"cookie", "TOKEN=" + good}},
			passes("/a", map[string][]string{"cookie": nil})},
		"cookie, with the scheme": {"", "/a", Headers{{"cookie", "token=Bearer " + good}},
			passes("/a", map[string][]string{"cookie": nil})},
		"cookie, encoded name": {"", "/a", Headers{{"cookie", "%74oken=" + good}}, missing},
		"cookie, in quotes": {"", "/a", Headers{{"cookie", `token="` + good + `"`}},
			passes("/a", map[string][]string{"cookie": nil})},
		"cookie, twice": {"", "/a", Headers{{"cookie", "token=" + good + "; token=" + good}},
			passes("/a", map[string][]string{"cookie": nil})},
		"cookie, twice in two headers": {"", "/a",
			Headers{{"cookie", "token=" + good}, {"cookie", "token=" + second}}, several},
		"cookie, behind a comma": {"", "/a", Headers{{"cookie", "a=b, token=" + good}}, missing},
		"cookie, with a prefix":  {"", "/a", Headers{{"cookie", "__Host-token=" + good}}, missing},
		"cookie, an empty one first": {"", "/a", Headers{{"cookie", "token=; token=" + good}},
			passes("/a", map[string][]string{"cookie": {"token="}})},
		"cookie, spaces around the name": {"", "/a", Headers{{"cookie", "a=b;  token = " + good}},
			passes("/a", map[string][]string{"cookie": {"a=b"}})},
		"public: a token in each place": {"open.example", "/a?access_token=" + good + "&x=y",
			Headers{{"authorization", "Bearer " + good}, {"x-token", good}, {"cookie", "token=" + good + "; a=b"}},
			public("/a?x=y", map[string][]string{"cookie": {"a=b"}})},
		"public: two schemes of a header": {"open.example", "/a",
			authorization("Bearer "+good, "JWT "+second, "Basic YTpi"),
			public("/a", map[string][]string{"authorization": {"Basic YTpi"}})},
		"public: the payload's header": {"open.example", "/a",
			Headers{{"x-jwt-payload", "e30"}, {"X_Jwt_Payload", "e30"}},
			public("/a", map[string][]string{"x_jwt_payload": nil})},
		"optional: the payload's header": {"maybe.example", "/a", Headers{{"x-jwt-payload", "e30"}},
			public("/a", nil)},
		"optional: an empty token": {"maybe.example", "/a?access_token=", authorization("Bearer "),
			public("/a?access_token=", map[string][]string{"authorization": {"Bearer "}})},
		"optional: a bad token in the query": {"maybe.example", "/a?access_token=x", nil, invalid("opaque")},
		"optional: two tokens": {"maybe.example", "/a", authorization("Bearer "+good, "Bearer "+second),
			several},
		"optional: an expired token": {"maybe.example", "/a?access_token=" + First().Token(Claims{"exp": 1}),
			nil, Want{Status: 401, Code: "900903", Reason: "expired"}},
		"a payload's header beside a token": {"", "/a", Headers{{"x-token", good}, {"x-jwt-payload", "e30"}},
			passes("/a", nil)},
		"a payload's header in another writing": {"", "/a", Headers{{"x-token", good}, {"x_jwt-payload", "e30"}},
			passes("/a", map[string][]string{"x_jwt-payload": nil})},
	}) {
		cases = append(cases, Case{Name: "source: " + name, Config: sources,
			Request: Request{Host: c.host, Path: c.path, Headers: c.headers}, Want: c.want})
	}
	return cases
}

func payloadOf(token string) string { return strings.Split(token, ".")[1] }

// spoofs are requests that bring identity headers along.
func spoofs() []Case {
	var cases []Case
	good := First().Token()
	names := append([]string{
		"X-WSO2-Organization", "x_wso2_organization", "X_WSO2_USERNAME", "x.wso2.organization", "x-wso2_roles",
		"x~wso2~scopes", "x|wso2|consumer|key",
		"x-tier", "X_Tier", "x_orgate_report", "X-Orgate.Report",
	}, Identity...)
	for _, situation := range []struct {
		name    string
		request Request
		want    Want
	}{
		{"with a token", get("/org1", good), isAlice},
		{"on a public rule", get("/public", ""), isPublic},
		{"on an optional rule", get("/maybe", ""), isPublic},
		{"on a preflight", Request{Method: "OPTIONS", Path: "/org1",
			Headers: Headers{{"origin", "https://app.example"}, {"access-control-request-method", "GET"}}}, isPublic},
	} {
		for _, name := range names {
			r, want := situation.request, situation.want
			r.Headers = append(slices.Clone(r.Headers), [2]string{name, "org2"})
			upstream := map[string][]string{}
			for n, v := range want.Upstream {
				upstream[n] = v
			}
			if lower := strings.ToLower(name); upstream[lower] == nil {
				upstream[lower] = nil
			}
			want.Upstream = upstream
			cases = append(cases, Case{Name: "spoof: " + name + " " + situation.name, Request: r, Want: want})
		}
		r, want := situation.request, situation.want
		for _, name := range names {
			r.Headers = append(slices.Clone(r.Headers), [2]string{name, ""}, [2]string{name, "a"}, [2]string{name, ""})
		}
		cases = append(cases, Case{Name: "spoof: all at once, thrice, " + situation.name, Request: r, Want: want})
		r = situation.request
		want.Trailers = map[string][]string{"grpc-timeout": {"1S"}}
		for _, name := range names {
			r.Trailers = append(r.Trailers, [2]string{name, "org2"}, [2]string{name, ""})
			want.Trailers[strings.ToLower(name)] = nil
		}
		r.Trailers = append(r.Trailers, [2]string{"grpc-timeout", "1S"})
		if situation.name != "on a preflight" { // which has no trailers
			cases = append(cases, Case{Name: "spoof: in trailers, " + situation.name, Request: r, Want: want})
		}
		r = situation.request
		r.Headers = append(slices.Clone(r.Headers),
			[2]string{"connection", "Upgrade, X-WSO2-Organization ,x_wso2_username,keep-alive,x-tier"},
			[2]string{"upgrade", "websocket"})
		want = situation.want
		want.Upstream = with(want.Upstream, "connection", "Upgrade,keep-alive")
		cases = append(cases, Case{Name: "spoof: identity headers in Connection, " + situation.name, Request: r,
			Want: want})
	}
	keeps := isAlice
	keeps.Upstream = map[string][]string{"x-wso2-organization-name": {"a"}, "xwso2organization": {"b"}, "x-wso2": {"c"},
		"x-wso2--organization": {"d"}}
	for name, values := range alice {
		keeps.Upstream[name] = values
	}
	return append(cases,
		Case{Name: "spoof: headers that only look alike stay", Want: keeps,
			Request: get("/org1", good, [2]string{"x-wso2-organization-name", "a"},
				[2]string{"xwso2organization", "b"}, [2]string{"x-wso2", "c"}, [2]string{"x-wso2--organization", "d"})},
		Case{Name: "spoof: a mapped claim's header, and the claim",
			Request: get("/org2", Second().Token(OfOrg2(), Claims{"https://example.com/tier": "gold"}),
				[2]string{"x-tier", "platinum"}),
			Want: Want{Status: 200, Reason: "ok", Upstream: with(bob, "x-tier", "gold")}},
		Case{Name: "spoof: a mapped claim's header, and no claim",
			Request: get("/org2", Second().Token(OfOrg2()), [2]string{"x-tier", "platinum"}),
			Want:    Want{Status: 200, Reason: "ok", Upstream: with(bob, "x-tier")}},
	)
}

// preflightAttacks are almost CORS preflight requests.
func preflightAttacks() []Case {
	origin, asks := [2]string{"origin", "https://app.example"}, [2]string{"access-control-request-method", "POST"}
	var cases []Case
	for name, c := range ordered(map[string]struct {
		method, path string
		headers      Headers
		want         Want
	}{
		"without the method": {"OPTIONS", "/org1", Headers{origin}, missing},
		"without the origin": {"OPTIONS", "/org1", Headers{asks}, missing},
		"with the headers asked for alone": {"OPTIONS", "/org1",
			Headers{origin, {"access-control-request-headers", "authorization"}}, missing},
		"GET": {"GET", "/org1", Headers{origin, asks}, missing},
		"HEAD": {"HEAD", "/org1", Headers{origin, asks},
			Want{Status: 401, Reason: "missing"}},
		"in small letters": {"options", "/org1", Headers{origin, asks}, missing},
		"a space behind":   {"OPTIONS ", "/org1", Headers{origin, asks}, missing},
		"X-HTTP-Method-Override": {"OPTIONS", "/org1",
			Headers{origin, asks, {"x-http-method-override", "DELETE"}}, missing},
		"X-HTTP-Method": {"OPTIONS", "/org1",
			Headers{origin, asks, {"x-http-method", "DELETE"}}, missing},
		"X-Method-Override": {"OPTIONS", "/org1",
			Headers{origin, asks, {"x-method-override", "DELETE"}}, missing},
		"X_HTTP_Method_Override": {"OPTIONS", "/org1",
			Headers{origin, asks, {"X_HTTP_Method_Override", "DELETE"}}, missing},
		"a good one": {"OPTIONS", "/org1",
			Headers{origin, asks, {"access-control-request-headers", "x-http-method-override"}}, isPublic},
		"with a token": {"OPTIONS", "/org1",
			Headers{origin, asks, {"authorization", "Bearer " + First().Token()}}, isPublic},
		"with a bad token": {"OPTIONS", "/org1",
			Headers{origin, asks, {"authorization", "Bearer x"}}, isPublic},
		"on an ambiguous path":                {"OPTIONS", "/public/..%2forg1", Headers{origin, asks}, badPath},
		"of the server as a whole":            {"OPTIONS", "*", Headers{origin, asks}, noRule},
		"of the server as a whole, no origin": {"OPTIONS", "*", nil, noRule},
		"with an empty origin":                {"OPTIONS", "/org1", Headers{{"origin", ""}, asks}, missing},
		"with an empty method": {"OPTIONS", "/org1",
			Headers{origin, {"access-control-request-method", ""}}, missing},
		"with a method that is none": {"OPTIONS", "/org1",
			Headers{origin, {"access-control-request-method", "GET, POST"}}, missing},
		"where no rule is": {"OPTIONS", "/elsewhere", Headers{origin, asks}, noRule},
		"of a public rule, with a token of any": {"OPTIONS", "/public", Headers{{"authorization", "Bearer x"}},
			isPublic},
	}) {
		cases = append(cases, Case{Name: "preflight: " + name,
			Request: Request{Method: c.method, Path: c.path, Headers: c.headers}, Want: c.want})
	}
	// A preflight passes if a rule is for the method that it asks for.
	config := issued("", `, "rules": [{"match": {"methods": ["PUT"], "path": "/a"}}, {"match": {"methods": `+
		`["OPTIONS"], "path": "/b"}}]`)
	for _, c := range []struct {
		path, asks string
		want       Want
	}{
		{"/a", "PUT", isPublic}, {"/a", "GET", noRule}, {"/a", "put", noRule}, {"/a", "OPTIONS", noRule},
		{"/c", "PUT", noRule},
		{"/b", "OPTIONS", isPublic}, {"/b", "PUT", missing}, {"/a/..", "PUT", badPath},
	} {
		cases = append(cases, Case{Name: "preflight: asks for " + c.asks + " " + c.path, Config: config, Want: c.want,
			Request: Request{Method: "OPTIONS", Path: c.path,
				Headers: Headers{origin, {"access-control-request-method", c.asks}}}})
	}
	return cases
}

// pathAttacks are targets that an upstream could read otherwise.
func pathAttacks() []Case {
	good := First().Token()
	var cases []Case
	for _, path := range []string{
		"/public/../org1", "/public/..", "/public/.", "/./org1", "/public/%2e%2e/org1", "/public/%2E%2E/org1",
		"/public/.%2e/org1", "/public/%2e./org1",
		"/public/%2e", "/public%2forg1", "/public%2Forg1", "/public/..%2forg1", "/public/..%5corg1", `/public\..\org1`,
		`/public/..\org1`, `\public`, "/public%5c..%5corg1",
		"//org1", "//public/org1", "/public//org1", "/public//", "///", "/public/%2f", "/public/..;/org1",
		"/public;/../org1", "/public;x=y/org1", "/public;", "/public/%3b/org1",
		"/public%00", "/public/%00/org1", "/public%0a", "/public%0d%0aHost:x", "/public%7f", "/public\x00",
		"/public \t", "/public /org1", "/public\torg1", "/public\r\n",
		"/public/%252e%252e/org1", "/public%252forg1", "/public%25%32%66org1", "/public/%25u002e",
		"/public/%u002e%u002e/org1", "/public/%c0%ae%c0%ae/org1", "/public/%c0%afx",
		"/public/%e0%80%ae", "/public/%ed%a0%80", "/public/%ff", "/public/\xff", "/public/%", "/public/%2",
		"/public/%zz", "/public/%%32e", "/%70ublic", "/publi%63", "/org1/%61dmin",
		"/public#/../org1", "/public#", "/public%23x", "/public%3fx", "public", "?", "*", "http://api.example/public",
		"https://api.example/public", "//api.example/public",
		"/public/...", "/org1/.../public", "/public/..%20/org1", "/public/%20", "/public/%20/org1", "/public/.%20.",
		"/..%20/org1", "/org1/..%20",
		"/public/%e3%80%82%2e", "/public/%2E%00", "/public/~%2e~", "/public/%41", "/public/%5f",
	} {
		cases = append(cases,
			Case{Name: fmt.Sprintf("path: %q", path), Request: get(path, ""), Want: badPath},
			Case{Name: fmt.Sprintf("path: %q, with a token", path), Request: get(path, good), Want: badPath})
	}
	for path, want := range ordered(map[string]Want{
		"/public?/../org1":                    isPublic,
		"/public?x=//%2e%2e/%00":              isPublic,
		"/public/":                            isPublic,
		"/public/..x/.y":                      isPublic,
		"/public/a:b@c,d=e+f!$&'()*":          isPublic,
		"/public/%C5%BC":                      isPublic,
		"/public/ż":                           isPublic,
		"/public/%20x":                        isPublic,
		"/public/a.":                          isPublic, // which some upstreams read as "a": docs/configuration.md
		"/public/a%20":                        isPublic,
		"/public/" + strings.Repeat("a", 9e3): isPublic,
		"/public" + strings.Repeat("/a", 999): isPublic,
		"/publicx":                            noRule,
		"/Public":                             noRule,
		"/PUBLIC/a":                           noRule,
		"/ public":                            badPath,
		"/org1/public":                        missing,
		"/org1?/public":                       missing,
		"/":                                   noRule,
	}) {
		cases = append(cases, Case{Name: fmt.Sprintf("path: %.40q is what it looks like", path), Request: get(path, ""),
			Want: want})
	}
	for name, token := range ordered(map[string]string{"": "", " with a token": good}) {
		cases = append(cases,
			Case{Name: "path: none at all" + name, Request: Request{Method: "CONNECT", Path: "-", Token: token},
				Want: badPath},
			Case{Name: "path: a rewritten one in other headers" + name,
				Want: map[string]Want{"": missing, " with a token": foreign}[name],
				Request: get("/org2", token, [2]string{"x-original-url", "/public"},
					[2]string{"x-rewrite-url", "/public"}, [2]string{"x-envoy-original-path", "/public"},
					[2]string{"x-forwarded-prefix", "/public"})})
	}
	return cases
}

// tenants takes the organization from wherever the request says.
const tenants = `{
  "issuers": [
    {"name": "idp1", "issuer": "https://idp1.example/", "organization": "*", "organizationClaim": "org_id",
    	"signatureValidation": {"jwks": {"inline": $FIRST}}},
    {"name": "idp2", "issuer": "https://idp2.example/realms/org2", "organization": "org2",
    	"signatureValidation": {"jwks": {"inline": $SECOND}}}],
  "organization": {"fromHost": "{org}.api.example.com"},
  "rules": [
    {"name": "tenants", "match": {"pathPrefix": "/t"}, "organization": {"fromPath": "/t/{org}/"}},
    {"name": "routes", "match": {"pathPrefix": "/r"},
    	"organization": {"fromRouteMetadata": "io.orgate.tenants.organization"}},
    {"name": "hosts"}]
}`

// organizationAttacks have a token of one organization and want another's API.
func organizationAttacks() []Case {
	tokens := map[string]string{
		"org1": First().Token(),
		"org2": Second().Token(OfOrg2()),
		"*":    First().Token(Claims{"org_id": "*"}),
		"t":    First().Token(Claims{"org_id": "t"}),
		"a.b":  First().Token(Claims{"org_id": "a.b"}),
	}
	var cases []Case
	add := func(name string, r Request, want Want) {
		cases = append(cases, Case{Name: "organization: " + name, Config: tenants, Request: r, Want: want})
	}
	for _, c := range []struct {
		host, org string
		want      Want
	}{
		{"org1.api.example.com", "org1", isAlice},
		{"org1.api.example.com", "org2", foreign},
		{"org2.api.example.com", "org2", isBob},
		{"org2.api.example.com", "org1", foreign},
		{"ORG1.API.EXAMPLE.COM", "org1", isAlice},
		{"org1.api.example.com.", "org1", isAlice},
		{"org1.api.example.com:443", "org1", isAlice},
		{"org1.api.example.com.:443", "org1", isAlice},
		{"org1.api.example.com:", "org1", isAlice},
		{"org1.evil.api.example.com", "org1", foreign},
		{"evil.org1.api.example.com", "org1", foreign},
		{"a.b.api.example.com", "a.b", foreign}, // an organization is one label
		{"org1.api.example.com.evil.example", "org1", foreign},
		{"org1-api.example.com", "org1", foreign},
		{"xorg1.api.example.com", "org1", foreign},
		{"api.example.com", "org1", foreign},
		{"org1", "org1", foreign},
		{"[::1]", "org1", foreign},
		{"*.api.example.com", "*", badPath},
		{".api.example.com", "org1", badPath},
		{"org1..api.example.com", "org1", badPath},
		{"..api.example.com", "org1", badPath},
		{"org1.api.example.com..", "org1", badPath},
		{"org1@org2.api.example.com", "org2", badPath},
		{"org1.api.example.com@org2.api.example.com", "org2", badPath},
		{"org1:x@org2.api.example.com", "org2", badPath},
		{"%6frg1.api.example.com", "org1", badPath},
		{"org1%2eapi.example.com", "org1", badPath},
		{"org1.api.example.com%00", "org1", badPath},
		{"org1.api.example.com/org2", "org1", badPath},
		{`org1.api.example.com\org2`, "org1", badPath},
		{"org1.api.example.com#", "org1", badPath},
		{"org1.api.example.com?", "org1", badPath},
		{"org1.api.example.com:x", "org1", badPath},
		{"org1.api.example.com:-1", "org1", badPath},
		{"org1.api.example.com:443:443", "org1", badPath},
		{"org1.api.example.com,org2.api.example.com", "org1", badPath},
		{"org1 .api.example.com", "org1", badPath},
		{"org1.api.example.com ", "org1", badPath},
		{"ｏrg1.api.example.com", "org1", badPath},
		{"org1。api.example.com", "org1", badPath},
		{"org1.api.example.com\x00", "org1", badPath},
	} {
		add(fmt.Sprintf("host %q, token of %s", c.host, c.org), Request{Host: c.host, Token: tokens[c.org]}, c.want)
	}
	add("another host in other headers", Request{Host: "org2.api.example.com", Token: tokens["org1"],
		Headers: Headers{{"host", "org1.api.example.com"}, {"x-forwarded-host", "org1.api.example.com"},
			{"forwarded", "host=org1.api.example.com"}, {"x-host", "org1.api.example.com"}}}, foreign)
	for _, c := range []struct {
		path, org string
		want      Want
	}{
		{"/t/org1/a", "org1", isAlice},
		{"/t/org1/", "org1", isAlice},
		{"/t/org1/?x=/t/org2/", "org1", isAlice},
		{"/t/org1", "org1", foreign}, // the pattern is for what is below
		{"/t/org2/a", "org1", foreign},
		{"/t/org1/a", "org2", foreign},
		{"/t/org1/org2", "org2", foreign},
		{"/t/ORG1/a", "org1", foreign},
		{"/t/", "org1", foreign},
		{"/t", "org1", foreign},
		{"/t/*/a", "*", foreign},
		{"/t/%2a/a", "*", foreign},
		{"/t/{org}/a", "org1", foreign},
		{"/t/t/org1", "t", Want{Status: 200, Reason: "ok", Upstream: with(alice, "x-wso2-organization", "t")}},
		{"/t/org1%20/a", "org1", foreign},
		{"/t/org1,org2/a", "org1", foreign},
		{"/t/%D0%BErg1/a", "org1", foreign},
		{"/T/org2/a", "org1", foreign}, // the last rule: the host names none
		{"/x/../t/org1/a", "org1", badPath},
		{"/t/%6frg1/a", "org1", badPath},
		{"/t/org1%2f../org2", "org1", badPath},
		{"/t/org1/../org2/a", "org1", badPath},
		{"/t/org1/..", "org1", badPath},
		{"/t/../t/org1", "org1", badPath},
		{"/t//org1/a", "org1", badPath},
		{"//t/org1/a", "org1", badPath},
		{"/t/org1;/a", "org1", badPath},
		{"/t/org1;a=b/org2", "org1", badPath},
		{`/t/org1\..\org2`, "org1", badPath},
		{"/t/org1%00/a", "org1", badPath},
		{"/t/%c1%af", "org1", badPath},
		{"/t/%6Frg1/a", "org1", badPath},
		{"/t/./org1", "org1", badPath},
	} {
		add(fmt.Sprintf("path %q, token of %s", c.path, c.org), Request{Path: c.path, Token: tokens[c.org]}, c.want)
	}
	for _, c := range []struct {
		value, org string
		want       Want
	}{
		{"org1", "org1", isAlice}, {"org2", "org2", isBob}, {"org2", "org1", foreign}, {"", "org1", foreign},
		{"*", "*", foreign}, {"*", "org1", foreign},
		{"ORG1", "org1", foreign}, {"org1 ", "org1", foreign}, {"org1\x00", "org1", foreign},
		{"org1\n", "org1", foreign}, {"\xff", "org1", foreign},
		{"\x00\x00\x00\x00\x00\x00\xf0\x3f", "org1", foreign}, // the number 1, as a proxy hands it over
	} {
		add(fmt.Sprintf("metadata %q, token of %s", c.value, c.org), Request{Path: "/r", Token: tokens[c.org],
			RouteMetadata: map[[2]string]string{{"io.orgate.tenants", "organization"}: c.value}}, c.want)
	}
	add("no metadata", Request{Path: "/r", Token: tokens["org1"]}, foreign)
	add("metadata of another filter",
		Request{Path: "/r", Token: tokens["org1"],
			RouteMetadata: map[[2]string]string{{"io.orgate", "organization"}: "org1"}}, foreign)
	add("metadata in headers",
		Request{Path: "/r", Token: tokens["org1"],
			Headers: Headers{{"io.orgate.tenants.organization", "org1"}, {"organization", "org1"}}}, foreign)
	add("forged, for an organization that is not there",
		Request{Host: "org9.api.example.com", Token: Stranger().Token(Claims{"org_id": "org9"})},
		invalid("bad_signature"))
	add("signed by org2's provider under its own iss, claiming org1",
		Request{Host: "org1.api.example.com", Token: Second().Token(OfOrg2(), Claims{"org_id": "org1"})}, foreign)
	add("signed by org2's provider under the other's iss",
		Request{Host: "org1.api.example.com", Token: Second().Token()}, invalid("bad_signature"))

	const mapped = `{"issuers": [
		{"name": "idp1", "issuer": "https://idp1.example/", "organization": "*", "organizationClaim": "org_id",
			"organizationMapping": {"t-1": "org1", "t-2": "org2", "org9": "org3", "*": "org1"},
		 "signatureValidation": {"jwks": {"inline": $FIRST}}}], "organization": "org1"}`
	for _, c := range []struct {
		claim any
		want  Want
	}{
		{"t-1", isAlice}, {"t-2", foreign}, {"org1", foreign}, {"t-3", foreign}, {"*", foreign}, {"T-1", foreign},
		{"t-1,t-2", foreign},
		{[]string{"t-1"}, isAlice}, {[]string{"org1"}, foreign}, {1, foreign}, {"", invalid("claim")},
		{nil, invalid("claim")},
		{" t-1", invalid("claim")},
	} {
		cases = append(cases, Case{Name: fmt.Sprintf("organization: mapped, claim %q", fmt.Sprint(c.claim)),
			Config:  mapped,
			Request: get("/", First().Token(Claims{"org_id": c.claim})), Want: c.want})
	}

	// One provider for two organizations, with a key each: which key signed
	// a token decides nothing, the claim does; the other entry's key is none.
	const shared = `{"issuers": [
		{"name": "a", "issuer": "https://idp1.example/", "organization": "org1", "organizationClaim": "org_id",
			"signatureValidation": {"jwks": {"inline": $FIRST}}},
		{"name": "b", "issuer": "https://idp1.example/", "organization": "org2", "organizationClaim": "org_id",
			"signatureValidation": {"jwks": {"inline": $SECOND}}}],
		"rules": [{"match": {"pathPrefix": "/org1"}, "organization": "org1"},
			{"match": {"pathPrefix": "/any"}, "organization": "*"}, {"organization": "org2"}]}`
	for _, c := range []struct {
		name, path, token string
		want              Want
	}{
		{"the right key", "/org1", First().Token(), isAlice},
		{"the other entry's key", "/org1", Second().Token(), invalid("bad_signature")},
		{"the other entry's key, any organization", "/any", Second().Token(), invalid("bad_signature")},
		{"the other organization, its key", "/any", Second().Token(Claims{"org_id": "org2"}),
			Want{Status: 200, Reason: "ok", Upstream: with(alice, "x-wso2-organization", "org2")}},
		{"the other organization's API", "/org2", First().Token(), foreign},
		{"the other organization, the first one's key", "/org2", First().Token(Claims{"org_id": "org2"}),
			invalid("bad_signature")},
		{"no claim", "/org1", First().Token(Claims{"org_id": nil}), invalid("claim")},
		{"no claim, the other's key", "/org1", Second().Token(Claims{"org_id": nil}), invalid("bad_signature")},
	} {
		cases = append(cases, Case{Name: "organization: two keys of one provider: " + c.name, Config: shared,
			Request: get(c.path, c.token), Want: c.want})
	}
	return cases
}

// matchAttacks try to fall under a laxer rule.
func matchAttacks() []Case {
	const config = `{
  "issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
  	"signatureValidation": {"jwks": {"inline": $FIRST}}}],
  "rules": [
    {"name": "docs", "match": {"hosts": ["docs.example", "*.docs.example", "[::1]"], "methods": ["GET"]},
    	"public": true},
    {"name": "item", "match": {"pathTemplate": "/items/{id}"}, "public": true},
    {"name": "deep", "match": {"pathTemplate": "/deep/*/x/**"}, "public": true},
    {"name": "one", "match": {"path": "/one"}, "public": true},
    {"name": "below", "match": {"pathPrefix": "/below/"}, "public": true}]
}`
	var cases []Case
	for _, c := range []struct {
		method, host, path string
		want               Want
	}{
		{"GET", "docs.example", "/", isPublic},
		{"GET", "DOCS.Example", "/", isPublic},
		{"GET", "docs.example:8443", "/", isPublic},
		{"GET", "docs.example.", "/", isPublic},
		{"GET", "a.b.docs.example", "/", isPublic},
		{"GET", "[::1]:80", "/", isPublic},
		{"GET", "evildocs.example", "/", noRule},
		{"GET", "docs.example.evil", "/", noRule},
		{"GET", "example", "/", noRule},
		{"GET", "::1", "/", badPath},
		{"GET", ".docs.example", "/", badPath},
		{"GET", "evil@docs.example", "/", badPath},
		{"GET", "docs.example:80@evil.example", "/", badPath},
		{"GET", "docs.example/", "/", badPath},
		{"GET", "docs.example#.evil.example", "/", badPath},
		{"GET", "docs%2eexample", "/", badPath},
		{"POST", "docs.example", "/", noRule},
		{"get", "docs.example", "/", noRule},
		{"Get", "docs.example", "/", noRule},
		{"GET ", "docs.example", "/", noRule},
		{"GET,POST", "docs.example", "/", noRule},
		{"GETX", "docs.example", "/", noRule},
		{"OPTIONS", "docs.example", "/", noRule},
		{"TRACE", "docs.example", "/", noRule},
		{"GET", "", "/items/1", isPublic},
		{"GET", "", "/items/%20", badPath},
		{"GET", "", "/items/%20x", isPublic},
		{"GET", "", "/items/", noRule},
		{"GET", "", "/items", noRule},
		{"GET", "", "/items/1/", noRule},
		{"GET", "", "/items/1/secret", noRule},
		{"GET", "", "/items/1%2fsecret", badPath},
		{"GET", "", "/items/..", badPath},
		{"GET", "", "/deep/a/x", isPublic},
		{"GET", "", "/deep/a/x/", isPublic},
		{"GET", "", "/deep/a/x/y/z", isPublic},
		{"GET", "", "/deep/a/b/x", noRule},
		{"GET", "", "/deep/a/xx", noRule},
		{"GET", "", "/deep//x", badPath},
		{"GET", "", "/one", isPublic},
		{"GET", "", "/one?x", isPublic},
		{"GET", "", "/one/", noRule},
		{"GET", "", "/one/x", noRule},
		{"GET", "", "/one.json", noRule},
		{"GET", "", "/one;x", badPath},
		{"GET", "", "/below/", isPublic},
		{"GET", "", "/below/a", isPublic},
		{"GET", "", "/below", noRule},
	} {
		cases = append(cases, Case{Name: fmt.Sprintf("match: %q %q %q", c.method, c.host, c.path), Config: config,
			Request: Request{Method: c.method, Host: c.host, Path: c.path}, Want: c.want})
	}
	return append(cases, Case{Name: "match: a method in another header", Config: config, Want: noRule,
		Request: Request{Method: "POST", Host: "docs.example", Headers: Headers{{"x-http-method-override", "GET"}}}})
}

// typeAttacks send a token of one kind where another is asked for.
func typeAttacks() []Case {
	const typed = `{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"tokenTypes": ["at+jwt"],
		"signatureValidation": {"jwks": {"inline": $FIRST}}}]}`
	claim := invalid("claim")
	var cases []Case
	for typ, want := range ordered(map[string]Want{
		"at+jwt": isAlice, "AT+JWT": isAlice, "application/at+jwt": isAlice, "Application/At+Jwt": isAlice,
		"JWT": claim, "ID": claim, "id+jwt": claim, "logout+jwt": claim, "dpop+jwt": claim, "secevent+jwt": claim,
		"at+jwt ": claim, " at+jwt": claim, "at+jwt\u0000": claim,
		"application/x/at+jwt": claim, "application/application/at+jwt": claim, "text/at+jwt": claim, "/at+jwt": claim,
		"application/": claim, "": claim, "at+jwt;x=y": claim, "at jwt": claim,
		"aт+jwt": claim, "at+jwt,JWT": claim, "*": claim,
	}) {
		cases = append(cases, Case{Name: fmt.Sprintf("type: %q", typ), Config: typed,
			Request: get("/", First().With(Claims{"typ": typ})), Want: want})
	}
	return append(cases, Case{Name: "type: none", Config: typed, Request: get("/", First().With(Claims{"typ": nil})),
		Want: claim},
		Case{Name: "type: wrong, and forged", Config: typed, Request: get("/", Stranger().With(Claims{"typ": "JWT"})),
			Want: invalid("bad_signature")},
		Case{Name: "type: an ID token", Config: typed,
			Request: get("/", First().With(Claims{"typ": "JWT"},
				Claims{"nonce": "n", "at_hash": "h", "auth_time": Now.Unix()})), Want: claim})
}

// ordered goes through a map in the order of its keys.
func ordered[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}
