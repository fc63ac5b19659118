package generate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"orgate/e2e/scenario"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// signatures holds what was signed before: fuzzers repeat themselves.
var signatures sync.Map

// sign signs header and payload, which need not be JSON. An algorithm that the
// signer cannot stands for its usual one.
func sign(s *scenario.Signer, algorithm, header, payload string) string {
	input := b64(header) + "." + b64(payload)
	type done struct {
		signer           *scenario.Signer
		algorithm, input string
	}
	key := done{s, algorithm, input}
	if token, ok := signatures.Load(key); ok {
		return token.(string)
	}
	if !s.Can(algorithm) {
		algorithm = s.Algorithm()
	}
	token := s.SignWith(algorithm, header, payload)
	signatures.Store(key, token)
	return token
}

func (c *choices) request(config *Config) scenario.Request {
	rule := &Rule{}
	if len(config.Rules) > 0 && c.n(6) != 5 {
		rule = config.Rules[c.n(len(config.Rules))]
	}
	organization := pick(c, organizations...)
	r := scenario.Request{
		Method: c.method(rule),
		Host:   c.host(rule, organization),
		Path:   c.path(rule, organization),
	}
	if c.n(8) != 7 {
		r.RouteMetadata = map[[2]string]string{{"orgate", "organization"}: pick(c, organization, organization,
			organization, "*", "", "a\x00b")}
	}
	for c.chance(3) {
		r.Headers = append(r.Headers, c.hostileHeader(config))
	}
	for c.chance(8) {
		r.Trailers = append(r.Trailers, c.hostileHeader(config))
	}
	if c.chance(12) {
		r.Headers = append(r.Headers,
			[2]string{"connection", pick(c, "close, ", "", "te,") + c.hostileHeader(config)[0] + pick(c, "", ", close",
				" ,\tX_Orgate-Report")})
	}
	if c.chance(12) {
		r.Headers = append(r.Headers,
			[2]string{pick(c, "x-http-method-override", "x-method-override", "x-http_method"), "DELETE"})
	}
	if r.Method == "OPTIONS" {
		r.Headers = append(r.Headers,
			some(c, 0, [2]string{"origin", pick(c, "https://app.example", "https://app.example", "")},
				[2]string{"access-control-request-method", pick(c, r.Method, "GET", "POST", "", "a b")})...)
	}
	if c.n(8) == 7 {
		return r // without a token
	}
	required := organization
	o := rule.Organization
	if o == nil {
		o = config.Organization
	}
	if literal, ok := o.(string); ok && literal != "*" {
		required = literal
	}
	r.Certificate = pick(c, "cert", "cert", "", "other")
	token, answer := c.token(config, rule, required)
	r.Introspection = answer
	c.place(config, &r, token)
	if c.chance(12) {
		other, _ := c.token(config, rule, required)
		c.place(config, &r, pick(c, token, "", "x", other))
	}
	return r
}

func (c *choices) method(rule *Rule) string {
	methods := append(rule.Match.Methods, "GET", "POST", "OPTIONS", "HEAD", "get")
	return methods[c.n(len(methods))]
}

func (c *choices) host(rule *Rule, organization string) string {
	host := pick(c, "api.example", organization+".api.example", "api."+organization+".example", organization)
	if len(rule.Match.Hosts) > 0 && c.n(2) == 1 {
		host = strings.Replace(pick(c, rule.Match.Hosts...), "*", organization, 1)
	}
	switch c.n(20) {
	case 12:
		return strings.ToUpper(host) + ":8443"
	case 13:
		return host + "."
	case 14:
		return "x@" + host
	case 15:
		return pick(c, host+":", ":80", ".", "["+"::1]:80", "[]", "[x]", "a]b", host+":8a")
	case 16:
		return "a.." + host
	case 17:
		return "a." + host
	case 18:
		return string(c.bytes(4)) + host
	case 19:
		return host + string(c.bytes(4))
	}
	return host
}

func (c *choices) bytes(most int) []byte {
	b := make([]byte, c.n(most+1))
	for i := range b {
		b[i] = c.byte()
	}
	return b
}

func (c *choices) path(rule *Rule, organization string) string {
	path := pick(c, "/t/"+organization+"/x", "/a", "/a/b", "/"+organization+"/x", "/t/"+organization,
		"/t/"+organization+"/", "/", "/other")
	if m := rule.Match; c.n(3) != 0 {
		switch {
		case m.Path != "":
			path = m.Path
		case m.PathPrefix != "":
			path = m.PathPrefix + pick(c, "", "/z", "z", "/")
		case m.PathTemplate != "":
			path = strings.NewReplacer("{org}", organization, "{x}", "v", "**", pick(c, "v", "v/w", ""), "*",
				"v").Replace(m.PathTemplate)
		}
	}
	switch c.n(16) {
	case 9:
		path += pick(c, "/../a", "/.", "/./x", "//", "/%2e%2e/a", "%2fa", "\\a", "%5ca", "%00", ";x=1", "#f", "%",
			"%zz", "%252e", "%25u002e", "%41", "/..%2f", "/v%2Fw", "%2fx/y", "/v;x=1", "/v%3Bw", "//v", "/%E4", " x",
			"%20x", "%C3%A9", "%c0%af", "+x", "%2Bx", "/...", "/~", "/..;/x", "/.%3b", "/..%20", "/%20", "/.%20./a")
	case 10:
		path = pick(c, "*", "", "a", "https://api.example/a", "//a", "/..", "?x", "/;x", "/%2E")
	case 11:
		at := c.n(len(path) + 1)
		path = path[:at] + string(c.bytes(4)) + path[at:]
	}
	if c.n(3) == 2 {
		path += "?" + strings.Join(some(c, 1, "x=1", "y=%41+b", "", "z", "access_token=", "a=b=c", "x=../..",
			"acces%73_toke=1"), "&")
	}
	return path
}

// hostileHeader is a header that pretends to be an identity, or one that means
// nothing.
func (c *choices) hostileHeader(config *Config) [2]string {
	names := []string{"accept", "x-orgate-report", "X-Orgate_Report"}
	for _, name := range headerNames(config) {
		names = append(names, name)
	}
	for _, i := range config.Issuers {
		for _, m := range i.ClaimMappings {
			names = append(names, m.LocalClaim)
		}
	}
	if config.ForwardPayload != "" {
		names = append(names, config.ForwardPayload)
	}
	slices.Sort(names)
	name := []byte(names[c.n(len(names))])
	if len(name) == 0 {
		name = []byte("x-wso2-username")
	}
	change := c.byte()
	for i, b := range name {
		switch {
		case change&(1<<(i%8)) == 0:
		case b == '-':
			name[i] = pick(c, byte('_'), '.', '-', '~')
		case b == '_':
			name[i] = '-'
		}
	}
	return [2]string{strings.ToLower(string(name)), pick(c, "org2", "root", "", "org1")}
}

// place puts a token into the request.
func (c *choices) place(config *Config, r *scenario.Request, token string) {
	s := sources(config)
	n := c.n(len(s.Headers) + len(s.Query) + len(s.Cookies))
	if n < len(s.Headers) {
		prefix := s.Headers[n].Prefix
		switch c.n(8) {
		case 6:
			prefix = strings.ToUpper(prefix)
		case 7:
			prefix = pick(c, prefix+" ", prefix+"\t", prefix+"x", strings.TrimSpace(prefix)+"\t",
				strings.TrimSpace(prefix)+"=", "Basic x, "+prefix)
		}
		value := prefix + token
		if strings.HasSuffix(s.Headers[n].Prefix, ", ") {
			value = pick(c, "", "graphql-ws, ", ",a,\tb ,") + value + pick(c, "", ", graphql-ws", ",,c", ", bearer")
		}
		r.Headers = append(r.Headers, [2]string{strings.ToLower(s.Headers[n].Name), value})
		if c.chance(8) {
			r.Headers = append(r.Headers, [2]string{strings.ToLower(s.Headers[n].Name), "Basic abc"})
		}
		return
	}
	if n -= len(s.Headers); n < len(s.Query) {
		name := pick(c, s.Query[n], s.Query[n], strings.Replace(s.Query[n], "t", "%74", 1), strings.ToUpper(s.Query[n]))
		parameter := name + "=" + pick(c, token, url.QueryEscape(token), strings.ReplaceAll(token, ".", "%2E"),
			token+"%")
		path, query, ok := strings.Cut(r.Path, "?")
		switch {
		case !ok:
			r.Path = path + "?" + parameter
		case c.n(2) == 0:
			r.Path = path + "?" + query + "&" + parameter
		default:
			r.Path = path + "?" + parameter + "&" + query
		}
		return
	}
	name := s.Cookies[n-len(s.Query)]
	pairs := some(c, 0, "a=b", " c=\"d e\"", "", "token", "Token=x", " e=f=g", "token=")
	at := c.n(len(pairs) + 1)
	pair := pick(c, "", " ", "  ") + name + pick(c, "=", "=", "= ", " =") + token
	pairs = append(append(append([]string{}, pairs[:at]...), pair), pairs[at:]...)
	r.Headers = append(r.Headers, [2]string{"cookie", strings.Join(pairs, ";")})
}

// claims is a token's payload in the making: values are JSON texts or claims.
type claims map[string]any

// set sets what a claim's name leads to.
func (c claims) set(name any, value string) {
	path, ok := name.([]string)
	if !ok {
		c[name.(string)] = json.RawMessage(value)
		return
	}
	m := c
	for _, step := range path[:len(path)-1] {
		inner, ok := m[step].(claims)
		if !ok {
			inner = claims{}
			m[step] = inner
		}
		m = inner
	}
	m[path[len(path)-1]] = json.RawMessage(value)
}

// setAnyhow sets a claim under its name or where the path leads.
func (c claims) setAnyhow(choose *choices, name any, value string) {
	if text, ok := name.(string); ok && strings.Contains(text, ".") {
		switch last := strings.LastIndexByte(text, '.'); choose.n(4) {
		case 1, 2:
			name = strings.Split(text, ".")
		case 3:
			name = []string{text[:last], text[last+1:]}
		}
	}
	c.set(name, value)
}

// quote writes a text as JSON.
func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// oddities are values of every JSON kind, most of which are no good anywhere.
var oddities = []string{
	`null`, `true`, `0`, `1.50`, `-1e3`, `9007199254740993`, `""`, `"x"`, `" x"`, `"x "`, `"a,b"`, `"é"`, `"\u0000"`,
	`"\u0085"`,
	`"a\tb"`, `"a\u007fb"`, "\"\u009b\"", `[]`, `["a","b"]`, `["a",1,true,null,""]`, `["a",["b, c"]]`, `["a b"]`,
	`["a,b"]`, `[" a"]`, `[1, 2]`,
	`{}`, `{"k": "v, w"}`, `{"name":null}`, `[""]`, `"*"`, `"\ud83d\ude00"`, `"gold"`, `["silver","gold"]`, `false`,
	`[{}]`, `"first"`, `"org2"`, `["boss"]`, `"boss"`,
}

// token is a token, and what its provider says of it.
func (c *choices) token(config *Config, rule *Rule, organization string) (token, answer string) {
	i := config.Issuers[c.n(len(config.Issuers))]
	payload := claims{}
	c.goodClaims(config, payload, i, rule, organization)
	for c.chance(4) {
		name := pick[any](c, "sub", "scope", "roles", "azp", "client_id", "aud", "tier", "https://x.example/tier",
			[]string{"user", "tier"}, "a.b")
		for _, own := range []any{i.UsernameClaim, i.OrganizationClaim, i.ScopesClaim, i.RolesClaim,
			i.ConsumerKeyClaim} {
			if own != nil && c.chance(4) {
				name = own
			}
		}
		payload.setAnyhow(c, name, pick(c, oddities...))
	}
	if c.chance(8) || i.CertificateBinding != "" {
		sum := sha256.Sum256([]byte("cert"))
		good := b64(string(sum[:]))
		payload.set(pick[any](c, []string{"cnf", "x5t#S256"}, []string{"cnf", "x5t#S256"}, []string{"cnf", "jkt"},
			"cnf"),
			pick(c, quote(good), quote(good), `null`, `7`, quote(good+"="), quote(good[:42]), quote(good[1:]+"A")))
	}
	c.times(payload)
	if i.manyTenants() {
		c.tenant(payload, i)
	}
	text, err := json.Marshal(payload)
	if err != nil {
		panic(err)
	}

	answer = c.answer(string(text))
	if kind := i.TokenHandling["kind"]; kind == "REFERENCE" || kind == "CUSTOM" && c.n(2) == 0 {
		sum := sha256.Sum256([]byte(answer)) // of each answer another token: they are remembered
		return fmt.Sprintf("%s%x", pick(c, "op_", "op_", "op_", "xx_"), sum[:8]), answer
	}
	signer, kid := c.signer(i)
	algorithm := "RS256"
	if len(i.Algorithms) > 0 {
		algorithm = pick(c, i.Algorithms...)
		if able := slices.DeleteFunc(slices.Clone(i.Algorithms), func(a string) bool { return !signer.Can(a) }); len(
			able) > 0 {
			algorithm = pick(c, able...)
		}
	}
	if c.chance(10) {
		algorithm = pick(c, algorithms...)
	}
	members := map[string]any{"alg": algorithm, "typ": "JWT"}
	if len(i.TokenTypes) > 0 {
		members["typ"] = pick(c, i.TokenTypes[0], "application/"+strings.ToUpper(i.TokenTypes[0]), "JWT")
	}
	if kid != "" {
		members["kid"] = kid
	}
	mutation := c.n(32)
	switch mutation {
	case 16:
		c.oddHeader(members)
	case 17:
		members["kid"] = pick(c, "k1", "k2", "k3", "k1 ", "")
	}
	header, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	headerText, payloadText := string(header), string(text)
	switch mutation {
	case 18:
		payloadText = c.oddJSON(payloadText)
	case 19:
		headerText = c.oddJSON(headerText)
	case 20:
		signer = scenario.Stranger()
	case 21:
		signer = pick(c, signers()...)
	case 22: // signed with the public key as the secret
		members["alg"] = "HS256"
		header, _ = json.Marshal(members)
		input := b64(string(header)) + "." + b64(payloadText)
		mac := hmac.New(sha256.New, []byte(signer.PublicKey()))
		mac.Write([]byte(input))
		return input + "." + b64(string(mac.Sum(nil))), answer
	}
	token = sign(signer, algorithm, headerText, payloadText)
	if mutation == 23 {
		token = c.tamper(token)
	}
	return token, answer
}

// answer is what a provider says of a token with these claims. It depends on them
// alone: the same token has the same answer.
func (c *choices) answer(claims string) string {
	inside := claims[1 : len(claims)-1]
	switch sha256.Sum256([]byte(claims))[0] % 16 {
	case 0:
		return `{"active":false}`
	case 1:
		return `{"active":"true",` + inside + "}"
	case 2:
		return ""
	case 3:
		return `{"active":true,` + inside
	case 4:
		return `{"active":true,"sub":null,` + strings.Replace(inside, `"sub"`, `"x"`, 1) + "}"
	}
	return `{"active":true,` + inside + "}"
}

// goodClaims fills in what the issuer and the rule ask for.
func (c *choices) goodClaims(config *Config, payload claims, i *Issuer, rule *Rule, organization string) {
	payload.set("iss", quote(i.Issuer))
	payload.set("sub", quote(pick(c, "alice", "bob", "org1")))
	payload.set("jti", strconv.Itoa(int(c.byte())))
	if i.UsernameClaim != nil {
		payload.setAnyhow(c, i.UsernameClaim, `"carol"`)
	}
	if c.chance(12) { // a machine
		payload.setAnyhow(c, orElse(i.UsernameClaim, "sub"), pick(c, `""`, "null", "12345678901234567890", `["x"]`))
	}
	if c.n(4) != 3 {
		payload.set("aud", pick(c, `["x","https://api.example"]`, `"https://api.example"`, `["api","other"]`,
			`"other"`))
	}
	if claim := organizationClaim(config, i); claim != nil && c.n(8) != 7 {
		value := organization
		if len(i.OrganizationMapping) > 0 {
			value = pick(c, "first", "second", "org1", organization)
		} else if c.chance(8) {
			value = pick(c, "org1", "org2", "*", "Org1")
		}
		payload.setAnyhow(c, claim, c.contained(value))
	}
	for _, other := range config.Issuers { // what other entries make of the token
		claim := organizationClaim(config, other)
		if other.Issuer == i.Issuer && other != i && claim != nil && c.n(3) == 2 {
			payload.setAnyhow(c, claim,
				c.contained(pick(c, other.Organization, organization, "first", "second", "third", "org1", "*")))
		}
	}
	scopes := some(c, 0, scopeNames...)
	if all, ok := rule.Scopes.(All); ok && c.n(2) == 0 {
		scopes = all.All
	}
	var scopesClaim any = "scope"
	if i.ScopesClaim != nil {
		scopesClaim = i.ScopesClaim
	}
	list, _ := json.Marshal(scopes)
	payload.setAnyhow(c, scopesClaim,
		pick(c, quote(strings.Join(scopes, " ")), quote(strings.Join(scopes, "  ")), string(list),
			c.odd(string(list))))
	if i.RolesClaim != nil {
		list, _ := json.Marshal(some(c, 0, "r1", "r2", "boss", "clerk", "R&D", "boss"))
		payload.setAnyhow(c, i.RolesClaim, pick(c, string(list), string(list), string(list), c.odd(string(list)),
			`{"r1":{"4711":"acme.example"},"boss":{}}`))
	}
	if c.n(4) != 3 {
		payload.set(pick(c, "azp", "client_id"), quote(pick(c, clientNames...)))
	}
	if i.ConsumerKeyClaim != nil && c.n(4) != 3 {
		payload.setAnyhow(c, i.ConsumerKeyClaim, quote(pick(c, clientNames...)))
	}
	for _, name := range i.RequiredClaims {
		if c.n(8) != 7 {
			payload.setAnyhow(c, name, pick(c, `"gold"`, `1`, `true`, `["gold",1.50]`, `{"a": "b"}`))
		}
	}
	for _, m := range i.ClaimMappings {
		if c.n(4) != 3 && !strings.EqualFold(m.LocalClaim, headerNames(config)["organization"]) {
			payload.setAnyhow(c, m.RemoteClaim, pick(c, `"gold"`, `12`, `true`, `["gold",1.50]`, `{"a": "b"}`,
				c.odd(`["gold"]`), `" gold"`))
		}
	}
	for _, claim := range rule.Claims {
		if c.n(4) != 3 {
			payload.setAnyhow(c, claim.Claim, quote(claim.In[0]))
		}
	}
}

// contained is an organization as a claim: alone, or the only one in an array or
// an object, or not.
func (c *choices) contained(organization string) string {
	q := quote(organization)
	return pick(c, q, q, q, q, "["+q+"]", "{"+q+`:{"id":"7"}}`, "["+q+","+q+"]", "{"+q+`:1,"x":2}`, "[]", "4711")
}

// odd adds an element to a list that a header can't carry as it is, or makes
// something else of it.
func (c *choices) odd(list string) string {
	inside := strings.TrimSuffix(strings.TrimPrefix(list, "["), "]")
	if inside != "" {
		inside += ","
	}
	return pick(c, "["+inside+`"CN=API Admins,OU=x"]`, "["+inside+`" edge"]`, "["+inside+`"two words"]`,
		"["+inside+`{"a": ["x"]}]`, "["+inside+`["y"]]`, "["+inside+`7]`, "["+inside+`"q\"\\"]`, "["+inside+`"\u0007"]`,
		"["+inside+`null,""]`, `{"a":1}`, "true", "1e3")
}

// tenant has the token be of the tenant that its claim names, or not.
func (c *choices) tenant(payload claims, i *Issuer) {
	if _, ok := payload["tid"]; !ok || c.chance(8) {
		payload.set("tid", quote(pick(c, "t-1", "org1", "{tid}", "a/b", "", "Ab.9_")))
	}
	tenant := ""
	if raw, ok := payload["tid"].(json.RawMessage); ok {
		_ = json.Unmarshal(raw, &tenant)
	}
	payload.set("iss", quote(strings.ReplaceAll(i.Issuer, "{tid}", tenant)))
	if c.chance(8) {
		payload.set("tid", pick(c, `"t-2"`, `null`, `7`, `["t-1"]`))
	}
}

func (c *choices) times(payload claims) {
	now := scenario.Now.Unix()
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	payload.set("iat", number(now-60))
	payload.set("exp", number(now+600))
	switch c.n(24) {
	case 12:
		payload.set("exp", pick(c, number(now), number(now-59), number(now-60), number(now-61), number(now-299),
			number(now-300), number(now-3600), number(now-60)+".5", number(now-59)+".000000001"))
	case 13:
		payload.set("nbf", pick(c, number(now), number(now+60), number(now+61), number(now+300), number(now+301),
			number(now+60)+".0000000001"))
	case 14:
		payload.set("iat", pick(c, number(now-660), number(now-659), number(now-600), number(now-900), number(now+60),
			number(now+61), number(now+3600)))
	case 15:
		delete(payload, "exp")
	case 16:
		delete(payload, "iat")
	case 17:
		payload.set(pick(c, "exp", "nbf", "iat"),
			pick(c, `"1"`, `null`, `-1`, `1e400`, `253402300800`, `253402300799`, `1e3`, `[]`, `true`, `1e-3`, `-0`,
				`2.5e10`))
	}
}

// signer is whose key the token is signed with, and the kid that it has.
func (c *choices) signer(i *Issuer) (*scenario.Signer, string) {
	v := &i.SignatureValidation
	if !i.hasKeys() {
		return scenario.Stranger(), "k1"
	}
	if v.JWKS == nil || v.Certificate != nil && c.n(2) == 1 {
		return v.Certificate.signer, pick(c, v.Certificate.signer.KeyID, "", "k9")
	}
	k := pick(c, v.JWKS.keys...)
	if c.chance(6) {
		return k.signer, ""
	}
	return k.signer, k.kid
}

func (c *choices) oddHeader(members map[string]any) {
	switch c.n(12) {
	case 0:
		members["alg"] = pick[any](c, "none", "rs256", "HS256", "ES256", "", 1, nil)
	case 1:
		delete(members, "alg")
	case 2:
		members["crit"] = []string{"exp"}
	case 3:
		members["crit"] = nil
	case 4:
		members["b64"] = pick(c, false, true)
	case 5:
		members["kid"] = pick[any](c, 1, nil, []string{"k1"})
	case 6:
		members["typ"] = pick[any](c, 1, nil, "", "jose", "application/", "application/at+jwt", "application/x/at+jwt")
	case 7:
		delete(members, "typ")
	case 8: // a key of its own
		members["jwk"] = json.RawMessage(scenario.Stranger().JWK())
	case 9:
		members["jku"] = "https://evil.example/jwks"
	case 10:
		members["cty"] = "JWT"
	case 11:
		members["Alg"] = "none"
	}
}

// oddJSON spoils a JSON object, or only seems to.
func (c *choices) oddJSON(text string) string {
	inside := text[1 : len(text)-1]
	switch c.n(14) {
	case 0:
		return `{"iss":"https://b.example/realms/x",` + inside + "}"
	case 1:
		return "{" + inside + `,"sub":"root"}`
	case 2:
		return "{" + inside + `,"s\u0075b":"root"}`
	case 3:
		return "{" + inside + `,"x":{"y":1,"y":2}}`
	case 4:
		n := pick(c, 29, 30, 31, 32, 33, 64)
		return "{" + inside + `,"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}"
	case 5:
		return text + pick(c, " ", "{}", "x", "\n", "\x00")
	case 6:
		return pick(c, " ", "\t\r\n", "\ufeff", "\xef") + text
	case 7:
		return "{" + inside + `,"x":"` + pick(c, "\xff", "\\ud800", "\\udc00", "\\ud800\\ud800", "\\ud83d\\ude00",
			"\xc0\xaf", "\x01", "\\x", "\xed\xa0\x80") + `"}`
	case 8:
		return pick(c, "[]", `"x"`, "1", "null", "", "[{}]")
	case 9:
		return "{" + inside + pick(c, ",", ",}", `,"x"}`, `,"x":}`, `,"x":01}`, `,"x":1.}`, `,"x":+1}`, `,"x":NaN}`,
			`,'x':1}`, `,"x":[1,]}`)
	case 10:
		return "{" + inside + `,"Iss":"x","ISS":"y"}`
	case 11:
		return strings.ReplaceAll(text, ":", " :\n\t")
	case 12:
		return strings.Replace(text, `"sub"`, `"s\u0075b"`, 1)
	default:
		at := c.n(len(text))
		return text[:at] + string(c.bytes(3)) + text[at:]
	}
}

// tamper changes a token after it was signed.
func (c *choices) tamper(token string) string {
	parts := strings.Split(token, ".")
	n := c.n(3)
	switch c.n(14) {
	case 0:
		parts[n] = flip(parts[n], len(parts[n])-1)
	case 1:
		parts[n] = flip(parts[n], c.n(len(parts[n])))
	case 2:
		parts[n] = ""
	case 3:
		parts[n] += "="
	case 4:
		parts[n] += "\n"
	case 5:
		parts[n] = parts[n][:len(parts[n])/2] + "\r" + parts[n][len(parts[n])/2:]
	case 6:
		parts[n] = parts[n][:len(parts[n])-1]
	case 7:
		return token + "." + parts[2]
	case 8:
		return token + "."
	case 9:
		return parts[0] + "." + parts[1]
	case 10:
		parts[n] = strings.NewReplacer("-", "+", "_", "/").Replace(parts[n])
	case 11:
		parts[n] += " "
	case 12:
		return token + "," + token
	default:
		parts[n] += string(c.bytes(4))
	}
	return strings.Join(parts, ".")
}

// flip changes one letter, by its last bit.
func flip(s string, at int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	n := strings.IndexByte(alphabet, s[at])
	return s[:at] + alphabet[n^1:n^1+1] + s[at+1:]
}
