package scenario

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// reference is a configuration with one issuer whose tokens are opaque. The members
// given, each with a comma before it, are the issuer's and the top level's.
func reference(issuer string, top ...string) string {
	return `{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"tokenHandling": {"kind": "REFERENCE", "pattern": "op_[a-z0-9]{4,}"},
		"introspection": {"url": "https://idp1.example/introspect", "cluster": "idp1"}` + issuer + `}]` +
		strings.Join(top, "") + `}`
}

// custom is a configuration with an issuer of tokens of both kinds, and another one
// whose opaque tokens look alike.
const custom = `{"issuers": [
	{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"tokenHandling": {"kind": "CUSTOM", "pattern": "op_[a-z0-9]{4,}|ey.*"}, "signatureValidation": {"jwks": {"inline": $FIRST}},
		"introspection": {"url": "https://idp1.example/introspect", "cluster": "idp1"}},
	{"name": "idp2", "issuer": "https://idp2.example/", "organization": "org2",
		"tokenHandling": {"kind": "REFERENCE", "pattern": "op_.*|ey.*"},
		"introspection": {"url": "https://idp2.example/introspect", "cluster": "idp2"}}],
	"rules": [{"match": {"pathPrefix": "/org2"}, "organization": "org2", "issuers": ["idp2"]}, {"organization": "org1"}]}`

// said is what a provider answers: that the token is active, with the usual claims
// and others.
func said(claims ...Claims) string {
	return encode(merge(append([]Claims{Basic(), {"active": true}}, claims...)...))
}

// opaque stands for a token of its own for each answer: workers remember them.
const opaque = "op_abc123"

// asking is a request with a token about which the provider says something.
func asking(token, answer string) Request { return over(Request{Token: token}, answer) }

// over is a request about whose token the provider says something.
func over(r Request, answer string) Request {
	sum := sha256.Sum256([]byte(answer))
	r.Token = strings.ReplaceAll(r.Token, opaque, fmt.Sprintf("%s%x", opaque, sum[:4]))
	r.Introspection = answer
	return r
}

func opaqueFields() []Case {
	const kind, pattern = "issuers[].tokenHandling.kind", "issuers[].tokenHandling.pattern"
	jwts := issuedBy(`"introspection": {"url": "https://idp1.example/introspect", "cluster": "idp1"}`)
	return []Case{
		{Name: "opaque token", Config: reference(""), Request: asking(opaque, said()), Want: isAlice,
			Fields: []string{pattern}, Instead: map[string]string{pattern: `"other_.*"`}},
		{Name: "opaque token that does not match", Config: reference(""), Request: asking("op_abc", said()),
			Want:   invalid("opaque"),
			Fields: []string{pattern}, Instead: map[string]string{pattern: `"op_abc"`}},
		{Name: "a JWT is no opaque token", Config: strings.Replace(reference(""), "op_[a-z0-9]{4,}", ".+", 1),
			Request: asking(First().Token(), said()), Want: invalid("unknown_issuer"), Fields: []string{kind},
			Instead: map[string]string{kind: `"CUSTOM"`}},
		{Name: "a JWT that the provider is asked about", Config: jwts, Request: asking(Stranger().Token(), said()),
			Want: isAlice},
		{Name: "a JWT that the provider does not know", Config: jwts,
			Request: asking(First().Token(), `{"active":false}`),
			Want:    invalid("inactive")},
		{Name: "a JWT of another issuer, whom nobody asks", Config: jwts,
			Request: asking(First().Token(Claims{"iss": "https://x/"}), said()), Want: invalid("unknown_issuer")},
		{Name: "both kinds: a JWT", Config: custom, Request: asking(First().Token(), `{"active":false}`),
			Want: isAlice},
		{Name: "both kinds: a forged JWT, whatever the provider says", Config: custom,
			Request: asking(Stranger().Token(), said()), Want: invalid("bad_signature")},
		{Name: "both kinds: a JWT that does not match", Config: strings.Replace(custom, "|ey.*", "", 1),
			Request: asking(First().Token(), said()), Want: invalid("unknown_issuer")},
		{Name: "both kinds: an opaque token", Config: custom, Request: asking(opaque, said()), Want: isAlice},
		{Name: "an opaque token of the rule's issuer",
			Config:  custom,
			Request: over(Request{Path: "/org2", Token: opaque}, said(Claims{"iss": "https://idp2.example/"})),
			Want:    passing(map[string][]string{"x-wso2-organization": {"org2"}})},
		{Name: "an opaque token of the rule's issuer, which says that it is another's", Config: custom,
			Request: over(Request{Path: "/org2", Token: opaque}, said()), Want: invalid("unknown_issuer")},
	}
}

// issuedBy is [issued] with other evidence than keys.
func issuedBy(evidence string) string {
	return strings.Replace(issued(""), `"signatureValidation": {"jwks": {"inline": $FIRST}}`, evidence, 1)
}

// Opaque are tokens that providers are asked about.
func Opaque() []Case {
	now := Now.Unix()
	unavailable := Want{Status: 503, Code: "900900", Reason: "introspection_unavailable",
		Response: map[string][]string{"retry-after": {"1"}, "www-authenticate": nil}}
	expired := Want{Status: 401, Code: "900903", Reason: "expired"}
	inactive, opaqueToken := invalid("inactive"), invalid("opaque")
	checks := `, "audiences": ["https://api.example"], "organizationClaim": "org_id", "rolesClaim": "roles",
		"claimMappings": [{"remoteClaim": "tier", "localClaim": "x-tier"}], "requireExpiration": true`
	var cases []Case
	for name, c := range ordered(map[string]struct {
		answer string
		want   Want
	}{
		"active": {said(), isAlice},
		"active, little more": {`{"active":true,"sub":"alice","org_id":"org1"}`,
			passing(map[string][]string{"x-wso2-consumer-key": nil, "x-wso2-scopes": nil})},
		"active, client_id": {said(Claims{"azp": nil, "client_id": "client-1"}), isAlice},
		"active, with roles and a tier": {said(Claims{"roles": []string{"admin"}, "tier": "gold"}),
			passing(map[string][]string{"x-wso2-roles": {"admin"}, "x-tier": {"gold"}})},
		"no expiration":              {said(Claims{"exp": nil}), isAlice},
		"a line in the name":         {said(Claims{"sub": "alice\r\nx-wso2-roles: admin"}), invalid("claim")},
		"a control character":        {said(Claims{"sub": "alice\u0085"}), invalid("claim")},
		"a line in the client":       {said(Claims{"azp": "a\nb"}), invalid("claim")},
		"a line in the scopes":       {said(Claims{"scope": "a\r\nb"}), invalid("claim")},
		"a line in a mapped claim":   {said(Claims{"tier": "gold\r\nx: y"}), invalid("claim")},
		"a line in a role":           {said(Claims{"roles": []string{"a\nb"}}), invalid("claim")},
		"a line in the organization": {said(Claims{"org_id": "org1\n"}), invalid("claim")},
		"several organizations":      {said(Claims{"org_id": []string{"org1", "org2"}}), invalid("claim")},
		"any organization": {said(Claims{"org_id": "*"}),
			Want{Status: 403, Code: "900908", Reason: "organization"}},
		"no audience": {said(Claims{"aud": nil}), isAlice},
		"no issuer":   {said(Claims{"iss": nil}), isAlice},
		"nulls": {
			`{"active":true,"sub":"alice","org_id":"org1","azp":"client-1","scope":"orders:read profile","exp":null,"nbf":null,"iat":null,"aud":null,"iss":null}`, isAlice},
		"not active":                        {`{"active":false}`, inactive},
		"not active, with claims":           {said(Claims{"active": false}), inactive},
		"nothing of active":                 {said(Claims{"active": nil}), inactive},
		"active is a string":                {said(Claims{"active": "true"}), inactive},
		"active is a number":                {said(Claims{"active": 1}), inactive},
		"active twice":                      {strings.Replace(said(), "{", `{"active":false,`, 1), unavailable},
		"active in another case":            {said(Claims{"active": nil, "Active": true}), inactive},
		"expired":                           {said(Claims{"exp": now - 60}), expired},
		"expired within the skew":           {said(Claims{"exp": now - 59}), isAlice},
		"not yet valid":                     {said(Claims{"nbf": now + 61}), invalid("not_yet_valid")},
		"another audience":                  {said(Claims{"aud": "https://other.example"}), invalid("audience")},
		"no audience in an array":           {said(Claims{"aud": []string{}}), invalid("audience")},
		"another issuer":                    {said(Claims{"iss": "https://idp2.example/"}), invalid("unknown_issuer")},
		"the issuer without a slash":        {said(Claims{"iss": "https://idp1.example"}), invalid("unknown_issuer")},
		"another organization":              {said(Claims{"org_id": "org2"}), foreign},
		"no organization":                   {said(Claims{"org_id": nil}), invalid("claim")},
		"no username":                       {said(Claims{"sub": nil}), invalid("claim")},
		"a username that no header carries": {said(Claims{"sub": "a\nb"}), invalid("claim")},
		"no answer":                         {"", unavailable},
		"no JSON":                           {"<html>", unavailable},
		"no object":                         {`["active"]`, unavailable},
		"true":                              {"true", unavailable},
		"broken off":                        {strings.TrimSuffix(said(), "}"), unavailable},
		"something behind":                  {said() + "{}", unavailable},
		"a JWT":                             {First().Token(), unavailable},
		"not UTF-8":                         {`{"active":true,"sub":"` + "\xff" + `"}`, unavailable},
		"too deep": {
			`{"active":true,"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}", unavailable},
		"too large":       {said(Claims{"x": strings.Repeat("x", 16<<10)}), unavailable},
		"exp is a string": {said(Claims{"exp": "9999999999"}), unavailable},
		"iss is a number": {said(Claims{"iss": 1}), unavailable},
	}) {
		cases = append(cases, Case{Name: "introspection: " + name, Config: reference(checks),
			Request: asking(opaque, c.answer), Want: c.want})
	}
	// None of these is anybody's: nobody is asked, and nothing waits.
	for name, token := range ordered(map[string]string{
		"short": "op_", "another prefix": "xp_abc123", "the prefix in capitals": "OP_abc123",
		"something behind": opaque + "!",
		"too long":         "op_" + strings.Repeat("a", 4094), "a dot": opaque + ".x", "padded": opaque + "=",
	}) {
		want := opaqueToken
		if name == "something behind" {
			want = invalid("malformed")
		}
		cases = append(cases, Case{Name: "opaque: " + name, Config: reference(""), Request: asking(token, said()),
			Want: want})
	}
	// What wants to be a JWT and is refused is shown to nobody: another API may take it.
	_, rest, _ := strings.Cut(First().Token(), ".")
	for name, header := range ordered(map[string]string{
		"an extension": `{"alg":"RS256","crit":["x"]}`, "a kid that is a number": `{"alg":"RS256","kid":1}`,
		"a member twice": `{"alg":"RS256","kid":"a","kid":"b"}`, "space": "\n{\"alg\":\"RS256\",\"kid\":1}",
		"space within": `{ "alg":"RS256","crit":["x"]}`, "lines": "{\n\"alg\":1}",
	}) {
		cases = append(cases, Case{Name: "opaque: a malformed JWT: " + name,
			Config:  strings.Replace(reference(""), "op_[a-z0-9]{4,}", ".+", 1),
			Request: asking(base64.RawURLEncoding.EncodeToString([]byte(header))+"."+rest, said()),
			Want:    invalid("malformed")})
	}
	return append(cases,
		Case{Name: "opaque: just short enough", Config: reference(""), Want: isAlice,
			Request: asking("op_"+strings.Repeat("a", 4093), said())},
		Case{Name: "opaque: twice", Config: reference(""), Want: isAlice,
			Request: Request{Token: opaque, Introspection: said(),
				Headers: Headers{{"authorization", "Bearer " + opaque}}}},
		Case{Name: "opaque: beside another", Config: reference(""), Want: invalid("several_tokens"),
			Request: Request{Token: opaque, Introspection: said(),
				Headers: Headers{{"authorization", "Bearer " + opaque + "4"}}}},
		Case{Name: "opaque: in the query, taken out", Want: passing(map[string][]string{":path": {"/a"}}),
			Config:  reference("", `, "tokenSources": {"query": ["access_token"]}`),
			Request: Request{Path: "/a?access_token=" + opaque, Introspection: said()}},
		Case{Name: "opaque: there is no payload to forward",
			Config:  strings.Replace(reference("", `, "forwardPayload": "x-payload"`), "op_[a-z0-9]{4,}", ".*[.].*", 1),
			Request: Request{Token: "a.secret", Introspection: said(), Headers: Headers{{"x-payload", "spoofed"}}},
			Want:    passing(map[string][]string{"x-payload": nil})},
		Case{Name: "opaque: a rule asks for more", Config: reference("", `, "rules": [{"scopes": ["orders:write"]}]`),
			Request: asking(opaque, said()), Want: Want{Status: 403, Code: "900910", Reason: "scope"}},
		Case{
			Name: "opaque: reported", Config: reference(`, "reportOnly": true`,
				`, "rules": [{"scopes": ["orders:write"]}]`),
			Request: asking(opaque, said()), Want: Want{Status: 200, Reason: "scope",
				Upstream: with(alice, "x-orgate-report", "scope")}},
		Case{Name: "opaque: not active is never reported", Config: reference(`, "reportOnly": true`),
			Request: asking(opaque, `{"active":false}`), Want: inactive},
		Case{Name: "opaque: not cached", Config: reference("", `, "limits": {"cachedTokens": 0}`),
			Request: asking(opaque, said()), Want: isAlice},
		Case{Name: "opaque: nothing may wait", Config: reference("", `, "limits": {"waitingRequests": 0}`),
			Request: asking(opaque, said()), Want: unavailable},
		Case{Name: "opaque: bound to a certificate", Config: reference(""), Want: isAlice,
			Request: over(Request{Token: opaque, Certificate: "cert"}, said(boundTo("cert")))},
		Case{Name: "opaque: bound to another certificate", Config: reference(""), Want: invalid("binding"),
			Request: over(Request{Token: opaque, Certificate: "other"}, said(boundTo("cert")))},
		Case{Name: "opaque: no public rule asks", Config: reference("", `, "rules": [{"public": true}]`),
			Want:    isPublic,
			Request: asking(opaque, `{"active":false}`)},
		Case{Name: "opaque: many tenants", Want: isAlice,
			Config: strings.Replace(reference(`, "organizationClaim": "org_id"`), "https://idp1.example/\"",
				"https://{tid}.example/\"", 1),
			Request: asking(opaque, said(Claims{"tid": "idp1"}))},
		Case{Name: "opaque: many tenants, and another one's", Want: invalid("unknown_issuer"),
			Config: strings.Replace(reference(`, "organizationClaim": "org_id"`), "https://idp1.example/\"",
				"https://{tid}.example/\"", 1),
			Request: asking(opaque, said(Claims{"tid": "idp2"}))},
	)
}

// opaqueAttacks are answers that say more than they may, and tokens that try to be
// taken for those of another kind or of another provider.
func opaqueAttacks() []Case {
	unavailable := Want{Status: 503, Code: "900900", Reason: "introspection_unavailable"}
	inactive, malformed, unknown, claim := invalid("inactive"), invalid("malformed"), invalid("unknown_issuer"),
		invalid("claim")
	expired := Want{Status: 401, Code: "900903", Reason: "expired"}
	checks := reference(`, "audiences": ["https://api.example"], "organizationClaim": "org_id"`)
	plain := func(members string) string {
		return `{"active":true,"sub":"alice","org_id":"org1","azp":"client-1","scope":"orders:read profile",` +
			members + `}`
	}
	var cases []Case
	for name, c := range ordered(map[string]struct {
		answer string
		want   Want
	}{
		"active is an object":          {said(Claims{"active": Claims{"active": true}}), inactive},
		"active is an array":           {said(Claims{"active": []bool{true}}), inactive},
		"active is null":               {`{"active":null,"sub":"alice","org_id":"org1"}`, inactive},
		"active further in":            {encode(Claims{"token": merge(Basic(), Claims{"active": true})}), inactive},
		"active by a path":             {said(Claims{"active": nil, "token.active": true}), inactive},
		"active twice, once escaped":   {strings.Replace(said(), "{", `{"\u0061ctive":false,`, 1), unavailable},
		"active escaped":               {`{"\u0061ctive":true,"sub":"alice","org_id":"org2"}`, foreign},
		"the organization twice":       {plain(`"org_id":"org1"`), unavailable},
		"the user twice, once escaped": {plain(`"s\u0075b":"root"`), unavailable},
		"a duplicate further in":       {plain(`"x":[{"a":1,"a":2}]`), unavailable},
		"a byte order mark":            {"\ufeff" + said(), unavailable},
		"a prefix against hijacking":   {")]}'\n" + said(), unavailable},
		"a call":                       {"f(" + said() + ")", unavailable},
		"a comment":                    {said() + "//", unavailable},
		"a NUL behind":                 {said() + "\x00", unavailable},
		"white space around":           {" \r\n\t" + said() + "\n", isAlice},
		"an object in a string":        {encode(said()), unavailable},
		"a comma too many":             {strings.TrimSuffix(said(), "}") + ",}", unavailable},
		"NaN":                          {plain(`"x":NaN`), unavailable},
		"an issuer in an array":        {said(Claims{"iss": []string{idp1}}), unavailable},
		"an empty issuer":              {said(Claims{"iss": ""}), unavailable},
		"an issuer in another case":    {said(Claims{"iss": "https://IDP1.example/"}), unknown},
		"an issuer and a NUL":          {said(Claims{"iss": idp1 + "\x00"}), unknown},
		"exp 0":                        {said(Claims{"exp": 0}), expired},
		"exp below 0":                  {said(Claims{"exp": -1}), unavailable},
		"exp beyond everything":        {plain(`"exp":1e400`), unavailable},
		"exp in an array":              {plain(`"exp":[9999999999]`), unavailable},
		"exp false":                    {plain(`"exp":false`), unavailable},
		"nbf is a string":              {plain(`"nbf":"1"`), unavailable},
		"an audience of many, ours not": {said(Claims{"aud": []string{"a", "https://api.example.evil"}}),
			invalid("audience")},
		"an audience and a blank":         {said(Claims{"aud": "https://api.example "}), invalid("audience")},
		"an audience in an object":        {said(Claims{"aud": Claims{"https://api.example": true}}), unavailable},
		"two organizations":               {said(Claims{"org_id": []string{"org1", "org2"}}), claim},
		"any organization":                {said(Claims{"org_id": "*"}), foreign},
		"an organization in another case": {said(Claims{"org_id": "ORG1"}), foreign},
		"an empty organization":           {said(Claims{"org_id": ""}), claim},
		"an empty user":                   {said(Claims{"sub": ""}), claim},
		"a user that is an object":        {said(Claims{"sub": Claims{"id": "alice"}}), claim},
		"a username in place of sub":      {said(Claims{"sub": nil, "username": "alice"}), claim},
		"a user with a line end":          {said(Claims{"sub": "alice\r\nx-wso2-roles: admin"}), claim},
	}) {
		cases = append(cases, Case{Name: "introspection attack: " + name, Config: checks,
			Request: asking(opaque, c.answer), Want: c.want})
	}

	anything := strings.Replace(reference(""), "op_[a-z0-9]{4,}", ".+", 1)
	either := strings.Replace(reference(""), "op_[a-z0-9]{4,}", "a_[0-9]+|b_[0-9]+", 1)
	asked := issuedBy(`"organizationClaim": "org_id",
		"introspection": {"url": "https://idp1.example/introspect", "cluster": "idp1"}`)
	good := First().Token()
	dot := strings.LastIndexByte(good, '.')
	for name, c := range ordered(map[string]struct {
		config, token, answer string
		want                  Want
	}{
		"what matches two patterns is the first one's": {custom, opaque,
			said(Claims{"iss": "https://idp2.example/"}), unknown},
		"what the first one does not know no one is asked about": {custom, opaque + "0", `{"active":false}`, inactive},
		"what only the second one's pattern fits": {custom, "op_A",
			said(Claims{"iss": "https://idp2.example/"}), foreign},
		"a JWT that anything would match": {anything, good, said(), unknown},
		"a JWT without a signature, beside keys": {custom, First().Sign(`{"alg":"none"}`, encode(Basic())),
			said(), invalid("bad_algorithm")},
		"a JWT of another issuer, beside keys": {custom,
			First().Token(Claims{"iss": "https://x.example/"}), said(), unknown},
		"a JWT of the second one": {custom,
			First().Token(Claims{"iss": "https://idp2.example/"}), said(), unknown},
		"the pattern within a token":         {reference(""), "x" + opaque, said(), invalid("opaque")},
		"the pattern at the end":             {reference(""), "x.x." + opaque, said(), malformed},
		"the first alternative at the start": {either, "a_1x", said(), invalid("opaque")},
		"the second alternative at the end":  {either, "xb_1", said(), invalid("opaque")},
		"the second alternative":             {either, "b_12", said(), isAlice},
		"a JWT whose own organization is another": {asked, Stranger().Token(Claims{"org_id": "org2"}),
			said(), isAlice},
		"a JWT that is not of the organization it says":  {asked, good, said(Claims{"org_id": "org2"}), foreign},
		"a JWT about which the provider says too little": {asked, good[:dot] + ".AAAA", `{"active":true}`, claim},
		"a JWT that is another issuer's to the provider": {asked, good[:dot] + ".AAAB",
			said(Claims{"iss": "https://x.example/"}), unknown},
	}) {
		cases = append(cases, Case{Name: "opaque attack: " + name, Config: c.config, Request: asking(c.token, c.answer),
			Want: c.want})
	}
	// Providers say of refresh tokens, too, that they are active. What they say of
	// access tokens alone can be required.
	typed, used := reference(`, "requiredClaims": ["token_type"]`),
		reference("", `, "rules": [{"claims": [{"claim": "token_use", "in": ["access_token"]}]}]`)
	for name, c := range ordered(map[string]struct {
		config string
		answer Claims
		want   Want
	}{
		"oidc-provider, an access token": {typed, Claims{"token_type": "Bearer"}, isAlice},
		"oidc-provider, a refresh token": {typed, nil, claim},
		"Hydra, an access token":         {used, Claims{"token_use": "access_token"}, isAlice},
		"Hydra, a refresh token": {used, Claims{"token_use": "refresh_token"},
			Want{Status: 403, Code: "900908", Reason: "claim"}},
	}) {
		cases = append(cases, Case{Name: "opaque attack: " + name, Config: c.config,
			Request: asking(opaque, said(c.answer)), Want: c.want})
	}
	return append(cases, Case{Name: "opaque attack: a JWT beside it", Config: custom, Want: invalid("several_tokens"),
		Request: Request{Token: opaque, Introspection: said(), Headers: Headers{{"authorization", "Bearer " + good}}}})
}
