package scenario

import (
	"fmt"
	"slices"
)

// Answers are the answers byte for byte: each row of the contract's table, for
// HTTP, HEAD and gRPC, in each format.
func Answers() []Case {
	var cases []Case
	for _, row := range answerRows() {
		cases = append(cases, row.http(), row.head(), row.grpc(), row.problem(), row.plain())
	}
	return cases
}

// answerRow is a request that is refused, and the answer in parts.
type answerRow struct {
	name       string
	request    Request
	status     int
	code       string
	reason     string
	grpcStatus int32
	// The members of a wso2 body.
	message, description string
	// challenge is WWW-Authenticate, "" for none.
	challenge string
}

// answering has something to refuse for every reason. Requests to /later wait
// for keys, and none may wait.
const answering = `{
  "issuers": [
    {"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1", "organizationClaim": "org_id",
    	"audiences": ["https://api.example"],
     "tokenTypes": ["JWT"], "maxTokenAge": "2h", "rolesClaim": "roles", "requiredClaims": ["azp"],
     	"signatureValidation": {"jwks": {"inline": $FIRST}}},
    {"name": "later", "issuer": "https://later.example/", "organization": "org1",
    	"signatureValidation": {"jwks": {"url": "https://later.example/jwks", "cluster": "idp"}}},
    {"name": "told", "issuer": "https://told.example/", "organization": "org1",
    	"tokenHandling": {"kind": "REFERENCE", "pattern": "op_.+"},
    	"introspection": {"url": "https://told.example/introspect", "cluster": "idp"}}],
  "rules": [
    {"match": {"pathPrefix": "/scope"}, "scopes": {"all": ["orders:read", "orders:write"]}},
    {"match": {"pathPrefix": "/role"}, "roles": ["admin"]},
    {"match": {"pathPrefix": "/client"}, "consumerKeys": ["client-9"]},
    {"match": {"pathPrefix": "/claim"}, "claims": [{"claim": "tier", "in": ["gold"]}]},
    {"match": {"pathPrefix": "/org2"}, "organization": "org2"},
    {"match": {"path": "/"}}],
  "limits": {"waitingRequests": 0}, "errors": {"format": "%s", "realm": "APIs of org1"}
}`

func answerRows() []answerRow {
	first, now := First(), Now.Unix()
	const credentials, expired, forbidden = "Invalid Credentials", "Access Token Expired", "Resource forbidden"
	invalid := func(name, token, reason, description string) answerRow {
		return answerRow{name, get("/", token), 401, "900901", reason, 16, credentials, description,
			`Bearer realm="APIs of org1", error="invalid_token", error_description="` + description + `"`}
	}
	several := invalid("several tokens", first.Token(), "several_tokens",
		"The request carries more than one access token.")
	several.request.Headers = Headers{{"authorization", "Bearer x"}}
	bound := invalid("bound", first.Token(boundTo("cert")), "binding",
		"The access token is not for this connection's client certificate.")
	const claim = "The access token lacks a claim that is required here, or a claim's value cannot be used."
	return []answerRow{
		{"no token", get("/", ""), 401, "900902", "missing", 16, "Missing Credentials", "Send an access token.",
			`Bearer realm="APIs of org1"`},
		several,
		invalid("too large", first.Sized(16385), "too_large", "The access token is longer than is accepted here."),
		invalid("malformed", "a.b.c", "malformed", "The access token is malformed."),
		invalid("opaque", "abc", "opaque", "The access token is opaque, and no such tokens are accepted here."),
		bound,
		{"not introspected", get("/", "op_abc"), 503, "900900", "introspection_unavailable", 14,
			"Unclassified Authentication Failure", "The access token cannot be checked at the moment.", ""},
		invalid("unknown issuer", first.Token(Claims{"iss": "x"}), "unknown_issuer",
			"The access token's issuer is not trusted here."),
		invalid("algorithm", first.SignAs("PS256"), "bad_algorithm",
			"The access token's signature algorithm is not allowed."),
		invalid("key", Rotated().Token(), "unknown_key", "The access token is signed with an unknown key."),
		invalid("signature", Stranger().Token(), "bad_signature", "The access token's signature is not valid."),
		invalid("too early", first.Token(Claims{"nbf": now + 61}), "not_yet_valid",
			"The access token is not valid yet."),
		invalid("audience", first.Token(Claims{"aud": "x"}), "audience",
			"The access token is meant for another audience."),
		invalid("type", first.With(Claims{"typ": "at+jwt"}), "claim",
			"The token is not of a type that is accepted here."),
		invalid("no username", first.Token(Claims{"sub": nil}), "claim", claim),
		invalid("no exp", first.Token(Claims{"exp": nil}), "claim", claim),
		invalid("no required claim", first.Token(Claims{"azp": nil}), "claim", claim),
		{"expired", get("/", first.Token(Claims{"exp": now - 60})), 401, "900903", "expired", 16, expired,
			"The access token has expired.",
			`Bearer realm="APIs of org1", error="invalid_token", error_description="The access token has expired."`},
		{"too old", get("/", first.Token(Claims{"iat": now - 7260})), 401, "900903", "expired", 16, expired,
			"The access token was issued too long ago.",
			`Bearer realm="APIs of org1", error="invalid_token", error_description="The access token was issued too ` +
				`long ago."`},
		{"other organization", get("/org2", first.Token()), 403, "900908", "organization", 7, forbidden,
			"The access token's organization may not access the resource.", ""},
		{"role", get("/role", first.Token()), 403, "900908", "role", 7, forbidden,
			"The user lacks a role that the resource asks for.", ""},
		{"consumer key", get("/client", first.Token()), 403, "900908", "claim", 7, forbidden,
			"The client may not access the resource.", ""},
		{"claim rule", get("/claim", first.Token()), 403, "900908", "claim", 7, forbidden,
			"A claim of the access token does not allow access to the resource.", ""},
		{"scope", get("/scope", first.Token()), 403, "900910", "scope", 7,
			"The access token does not allow you to access the requested resource",
			"The access token lacks a scope that the resource asks for.",
			`Bearer realm="APIs of org1", error="insufficient_scope", scope="orders:read orders:write"`},
		{"no rule", get("/elsewhere", first.Token()), 403, "900908", "no_rule", 7, forbidden,
			"No rule allows access to the resource.", ""},
		{"ambiguous path", get("/a/../b", first.Token()), 400, "", "path", 3, "Bad Request",
			"The request's path can be read in more than one way.", ""},
		{"too many waiting", get("/", first.Token(Claims{"iss": "https://later.example/"})), 503, "900900",
			"keys_unavailable", 14,
			"Unclassified Authentication Failure", "The access token cannot be verified at the moment.", ""},
	}
}

// answer makes a case of a row. The content type is none for gRPC.
func (r answerRow) answer(kind, format, contentType, body string) Case {
	var headers Headers
	if contentType != "" {
		headers = append(headers, [2]string{"content-type", contentType})
	}
	if r.challenge != "" {
		headers = append(headers, [2]string{"www-authenticate", r.challenge})
	}
	if r.status == 503 {
		headers = append(headers, [2]string{"retry-after", "1"})
	}
	if headers == nil {
		headers = Headers{} // none at all
	}
	want := Want{Status: r.status, Reason: r.reason, Answer: headers, Body: &body}
	if body != "" && format != "plain" && contentType != "" {
		want.Code = r.code
	}
	return Case{Name: "answer: " + r.name + ", " + kind, Config: fmt.Sprintf(answering, format), Request: r.request,
		Want: want}
}

func (r answerRow) http() Case {
	body := fmt.Sprintf(`{"error_message":%q,"code":%q,"error_description":%q}`, r.message, r.code, r.description)
	if r.code == "" {
		body = fmt.Sprintf(`{"error_message":%q,"error_description":%q}`, r.message, r.description)
	}
	return r.answer("wso2", "wso2", "application/json", body)
}

func (r answerRow) head() Case {
	c := r.answer("HEAD", "wso2", "application/json", "")
	c.Request.Method = "HEAD"
	return c
}

func (r answerRow) grpc() Case {
	c := r.answer("gRPC", "wso2", "", r.description)
	c.Request.Method = "POST"
	c.Request.Headers = append(slices.Clone(c.Request.Headers), [2]string{"content-type", "application/grpc+proto"})
	c.Want.GRPC = r.grpcStatus
	return c
}

func (r answerRow) problem() Case {
	titles := map[int]string{400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 503: "Service Unavailable"}
	body := fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"detail":%q,"code":%q}`, titles[r.status],
		r.status, r.description, r.code)
	if r.code == "" {
		body = fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"detail":%q}`, titles[r.status], r.status,
			r.description)
	}
	return r.answer("problem", "problem", "application/problem+json", body)
}

func (r answerRow) plain() Case {
	return r.answer("plain", "plain", "text/plain; charset=utf-8", r.description+"\n")
}
