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

// bindingAttacks are bound tokens that try to be good elsewhere.
func bindingAttacks() []Case {
	wrong, require := invalid("binding"), issued(`, "certificateBinding": "require"`)
	thumbprint := func(certificate string) string {
		return boundTo(certificate)["cnf"].(Claims)["x5t#S256"].(string)
	}
	signed := func(claims ...Claims) string { return First().Token(claims...) }
	// odd is a certificate whose thumbprint shows the alphabet that it is written in.
	odd := "cert"
	for !strings.Contains(thumbprint(odd), "-") || !strings.Contains(thumbprint(odd), "_") {
		odd += "."
	}
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(thumbprint(odd))
	const x5t = "x5t#S256"
	var cases []Case
	for name, c := range ordered(map[string]struct {
		config, certificate, token string
		want                       Want
	}{
		"as it should be":       {"", odd, signed(boundTo(odd)), isAlice},
		"no certificate":        {"", "", signed(boundTo(odd)), wrong},
		"another certificate":   {"", "cert", signed(boundTo(odd)), wrong},
		"the standard alphabet": {"", odd, signed(Claims{"cnf": Claims{x5t: standard}}), wrong},
		"padded":                {"", odd, signed(Claims{"cnf": Claims{x5t: thumbprint(odd) + "="}}), wrong},
		"in capitals": {"", odd,
			signed(Claims{"cnf": Claims{x5t: strings.ToUpper(thumbprint(odd))}}), wrong},
		"a blank before": {"", odd, signed(Claims{"cnf": Claims{x5t: " " + thumbprint(odd)}}), wrong},
		"of nothing":     {"", "", signed(boundTo("")), wrong},
		"zeros":          {"", "", signed(Claims{"cnf": Claims{x5t: strings.Repeat("A", 43)}}), wrong},
		"an object": {"", odd, signed(Claims{"cnf": Claims{x5t: Claims{"x": thumbprint(odd)}}}),
			wrong},
		"false":                              {"", odd, signed(Claims{"cnf": Claims{x5t: false}}), wrong},
		"the confirmation is false":          {"", odd, signed(Claims{"cnf": false}), wrong},
		"the confirmation is an empty text":  {"", odd, signed(Claims{"cnf": ""}), wrong},
		"the confirmation is JSON in a text": {"", odd, signed(Claims{"cnf": encode(boundTo(odd)["cnf"])}), wrong},
		"the confirmation is an empty array": {"", odd, signed(Claims{"cnf": []string{}}), wrong},
		"the confirmation twice":             {"", odd, First().Raw(`"cnf":{}`, boundTo("cert")), invalid("malformed")},
		"the thumbprint twice": {
			"", odd, First().Raw(`"cnf":{"x5t#S256":"` + thumbprint("cert") + `","x5t#S25\u0036":"` +
				thumbprint(odd) + `"}`), invalid("malformed")},
		"of another one beside a key": {"", "cert",
			signed(Claims{"cnf": Claims{x5t: thumbprint(odd), "jkt": thumbprint(odd)}}),
			wrong},
		"required, by a claim at the top": {require, odd, signed(Claims{x5t: thumbprint(odd)}), wrong},
		"required, by a claim with a dot": {require, odd, signed(Claims{"cnf.x5t#S256": thumbprint(odd)}), wrong},
		"required, in another case":       {require, odd, signed(Claims{"CNF": Claims{x5t: thumbprint(odd)}}), wrong},
		"required, the thumbprint's case": {require, odd, signed(Claims{"cnf": Claims{"x5t#s256": thumbprint(odd)}}),
			wrong},
		"required, by SHA-1": {require, odd,
			signed(Claims{"cnf": Claims{"x5t": "dGhlIHRodW1icHJpbnQgb2YgYSBjZXJ0"}}), wrong},
		"required, further in": {require, odd,
			signed(Claims{"cnf": Claims{"cnf": Claims{x5t: thumbprint(odd)}}}), wrong},
		"required, in the header": {require, odd,
			First().With(Claims{"cnf": Claims{x5t: thumbprint(odd)}, x5t: thumbprint(odd)}), wrong},
		"required, and no connection shows it": {require, "", signed(), wrong},
	}) {
		if c.config == "" {
			c.config = issued("")
		}
		cases = append(cases, Case{Name: "binding: " + name, Config: c.config, Want: c.want,
			Request: Request{Token: c.token, Certificate: c.certificate}})
	}
	for name, c := range ordered(map[string]struct {
		certificate string
		claims      Claims
		want        Want
	}{
		"no certificate":       {"", boundTo("cert"), wrong},
		"padded":               {"cert", Claims{"cnf": Claims{x5t: thumbprint("cert") + "="}}, wrong},
		"a text":               {"cert", Claims{"cnf": thumbprint("cert")}, wrong},
		"required":             {"cert", boundTo("cert"), isAlice},
		"required, not bound":  {"cert", nil, wrong},
		"required, by a key":   {"cert", Claims{"cnf": Claims{"jkt": thumbprint("cert")}}, wrong},
		"required, another's":  {"other", boundTo("cert"), wrong},
		"another's, not ended": {"other", merge(boundTo("cert"), Claims{"x": "y"}), wrong},
	}) {
		members := ""
		if strings.HasPrefix(name, "required") {
			members = `, "certificateBinding": "require"`
		}
		cases = append(cases, Case{Name: "binding, as the provider says: " + name, Config: reference(members),
			Want:    c.want,
			Request: over(Request{Token: opaque, Certificate: c.certificate}, said(c.claims))})
	}
	// A provider that is asked about a JWT need not tell what it is bound to.
	asked := issuedBy(`"introspection": {"url": "https://idp1.example/introspect", "cluster": "idp1"}`)
	for name, c := range ordered(map[string]struct {
		certificate string
		answer      Claims
		want        Want
	}{
		"its own certificate":                   {"cert", nil, isAlice},
		"another certificate":                   {"other", nil, wrong},
		"no certificate":                        {"", nil, wrong},
		"another certificate, bound by a key":   {"other", Claims{"cnf": Claims{"jkt": thumbprint("cert")}}, wrong},
		"the provider says another, its own":    {"cert", boundTo("other"), wrong},
		"the provider says another, that one":   {"other", boundTo("other"), isAlice},
		"the provider says another, unreadably": {"cert", Claims{"cnf": "x"}, wrong},
	}) {
		cases = append(cases, Case{Name: "binding of a JWT that the provider is asked about: " + name, Config: asked,
			Want: c.want, Request: Request{Certificate: c.certificate, Introspection: said(c.answer),
				Token: First().Token(boundTo("cert"), Claims{"jti": name})}})
	}
	return cases
}
