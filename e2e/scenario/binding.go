package scenario

import (
	"crypto/sha256"
	"strings"
)

// boundTo is the claim of a token that is bound to a certificate (RFC 8705 §3.1).
func boundTo(certificate string) Claims {
	sum := sha256.Sum256([]byte(certificate))
	return Claims{"cnf": Claims{"x5t#S256": b64(string(sum[:]))}}
}

// Bound is a good token that is bound to a certificate.
func Bound(certificate string) string { return First().Token(boundTo(certificate)) }

// bindingFields are tokens that are bound to the client's certificate, and those
// that are not. What a certificate says does not matter: any text will do.
func bindingFields() []Case {
	const field = "issuers[].certificateBinding"
	wrong := invalid("binding")
	wrong.Response = map[string][]string{"www-authenticate": {`Bearer realm="orgate", error="invalid_token", ` +
		`error_description="The access token is not for this connection's client certificate."`}}
	over := func(certificate string, claims ...Claims) Request {
		return Request{Token: First().Token(claims...), Certificate: certificate}
	}
	cnf := func(value any) Claims { return Claims{"cnf": value} }
	thumbprint := boundTo("cert")["cnf"].(Claims)["x5t#S256"].(string)
	require, ignore := issued(`, "certificateBinding": "require"`), issued(`, "certificateBinding": "ignore"`)
	cases := []Case{
		{Name: "bound token over its connection", Request: over("cert", boundTo("cert")), Want: isAlice},
		{Name: "bound token over another one's", Request: over("other", boundTo("cert")), Want: wrong},
		{Name: "bound token without a certificate", Request: over("", boundTo("cert")), Want: wrong},
		{Name: "bound token without a certificate, ignored", Config: ignore, Request: over("", boundTo("cert")),
			Want: isAlice, Fields: []string{field}},
		{Name: "bound token over another one's connection, ignored", Config: ignore,
			Request: over("other", boundTo("cert")), Want: isAlice, Fields: []string{field}},
		{Name: "bound token, required", Config: require, Request: over("cert", boundTo("cert")), Want: isAlice},
		{Name: "bound token over another one's connection, required", Config: require,
			Request: over("other", boundTo("cert")), Want: wrong},
		{Name: "token that is not bound", Request: over("cert"), Want: isAlice},
		{Name: "token that is not bound, required", Config: require, Request: over("cert"), Want: wrong,
			Fields: []string{field}},
		{Name: "token that is bound by a key alone, required", Config: require,
			Request: over("cert", cnf(Claims{"jkt": thumbprint})), Want: wrong, Fields: []string{field}},
		{Name: "token that is bound by a key alone", Request: over("cert", cnf(Claims{"jkt": thumbprint})),
			Want: isAlice},
		{Name: "bound token, and the rest of it is not for here", Config: ruled(`"organization": "org2"`),
			Request: over("cert", boundTo("cert")), Want: foreign},
		{Name: "bound token over another one's connection, of another organization",
			Config: ruled(`"organization": "org2"`), Request: over("other", boundTo("cert")), Want: wrong},
		{Name: "bound token in report-only mode", Config: issued(`, "reportOnly": true`),
			Request: over("other", boundTo("cert")), Want: wrong},
		{Name: "forged token that is bound to the client", Want: invalid("bad_signature"),
			Request: Request{Token: Stranger().Token(boundTo("cert")), Certificate: "cert"}},
		{Name: "certificate in a header", Want: wrong, Request: Request{Token: First().Token(boundTo("cert")),
			Headers: Headers{{"x-forwarded-client-cert", "Hash=" + Request{Certificate: "cert"}.Digest()}}}},
	}
	for name, value := range ordered(map[string]any{
		"a string": thumbprint, "an array": []string{thumbprint}, "a number": 7, "true": true,
		"the thumbprint empty":            Claims{"x5t#S256": ""},
		"the thumbprint a number":         Claims{"x5t#S256": 7},
		"the thumbprint an array":         Claims{"x5t#S256": []string{thumbprint}},
		"the thumbprint padded":           Claims{"x5t#S256": thumbprint + "="},
		"the thumbprint short":            Claims{"x5t#S256": thumbprint[:42]},
		"the thumbprint with a line end":  Claims{"x5t#S256": thumbprint[:20] + "\n" + thumbprint[20:]},
		"the thumbprint with a stray bit": Claims{"x5t#S256": thumbprint[:42] + nextInAlphabet(thumbprint[42])},
		"the thumbprint in hex":           Claims{"x5t#S256": Request{Certificate: "cert"}.Digest()},
		"the thumbprint of SHA-512":       Claims{"x5t#S256": strings.Repeat("A", 86)},
	}) {
		cases = append(cases, Case{Name: "confirmation: " + name, Request: over("cert", cnf(value)), Want: wrong},
			Case{Name: "confirmation: " + name + ", ignored", Config: ignore, Request: over("cert", cnf(value)),
				Want: isAlice})
	}
	for name, value := range ordered(map[string]any{
		"null": `null`, "empty": `{}`, "the thumbprint null": `{"x5t#S256":null}`,
	}) {
		token := First().Raw(`"cnf":` + value.(string))
		cases = append(cases, Case{Name: "confirmation: " + name, Request: Request{Token: token}, Want: isAlice},
			Case{Name: "confirmation: " + name + ", required", Config: require,
				Request: Request{Token: token, Certificate: "cert"}, Want: wrong})
	}
	for i := range cases {
		if cases[i].Config == "" {
			cases[i].Config = issued("")
		}
	}
	return cases
}
