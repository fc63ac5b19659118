package filter

import (
	"errors"
	"strconv"
	"strings"

	"orgate/config"
	"orgate/jwt"
	"orgate/policy"
)

// Errors of the filter itself; the others are those of packages jwt and
// policy.
var (
	// errNoToken: the request carries no token.
	errNoToken = errors.New("no token")
	// errSeveralTokens: the request carries more than one token.
	errSeveralTokens = errors.New("several tokens")
	// errKeysUnavailable: the issuer's keys are not there, and cannot be
	// waited for.
	errKeysUnavailable = errors.New("keys unavailable")
	// errInternal: a fault of the filter.
	errInternal = errors.New("internal")
)

// answer is how one kind of refusal is told to the client and counted.
type answer struct {
	err    error  // what [errors.Is] finds in the decision's error
	reason string // metric label, property
	status uint32 // HTTP
	grpc   int32  // gRPC, https://grpc.io/docs/guides/status-codes
	code   string // WSO2 error code, "" for none
	// message is the error_message of WSO2's bodies.
	message string
	// description is for the client's developer. It is a constant: nothing of
	// the token, the keys or the configuration can get into it.
	description string
	challenge   challenge
}

// challenge is what WWW-Authenticate says (RFC 9110 §11.6.1, RFC 6750 §3).
type challenge uint8

const (
	noChallenge       challenge = iota
	askForToken                 // the scheme and the realm alone
	invalidToken                // error="invalid_token"
	insufficientScope           // error="insufficient_scope" and the scopes
)

// The words of WSO2's gateway, which clients may know.
const (
	missingCredentials = "Missing Credentials"
	invalidCredentials = "Invalid Credentials"
	tokenExpired       = "Access Token Expired"
	resourceForbidden  = "Resource forbidden"
	scopeNotAllowed    = "The access token does not allow you to access the requested resource"
	badRequest         = "Bad Request"
	unclassified       = "Unclassified Authentication Failure"
)

// answers is the one table from errors to answers. The last row is what an
// error is that no other row has.
var answers = [...]answer{
	{errNoToken, "missing", 401, 16, "900902", missingCredentials, "Send an access token.", askForToken},
	{errSeveralTokens, "malformed", 401, 16, "900901", invalidCredentials, "The request carries more than one access token.", invalidToken},
	{jwt.ErrMalformed, "malformed", 401, 16, "900901", invalidCredentials, "The access token is malformed.", invalidToken},
	{policy.ErrUnknownIssuer, "unknown_issuer", 401, 16, "900901", invalidCredentials, "The access token's issuer is not trusted here.", invalidToken},
	{jwt.ErrAlgorithm, "bad_algorithm", 401, 16, "900901", invalidCredentials, "The access token's signature algorithm is not allowed.", invalidToken},
	{jwt.ErrUnknownKey, "unknown_key", 401, 16, "900901", invalidCredentials, "The access token is signed with an unknown key.", invalidToken},
	{jwt.ErrSignature, "bad_signature", 401, 16, "900901", invalidCredentials, "The access token's signature is not valid.", invalidToken},
	{jwt.ErrExpired, "expired", 401, 16, "900903", tokenExpired, "The access token has expired.", invalidToken},
	{jwt.ErrTooOld, "expired", 401, 16, "900903", tokenExpired, "The access token was issued too long ago.", invalidToken},
	{jwt.ErrNotYetValid, "not_yet_valid", 401, 16, "900901", invalidCredentials, "The access token is not valid yet.", invalidToken},
	{jwt.ErrAudience, "audience", 401, 16, "900901", invalidCredentials, "The access token is meant for another audience.", invalidToken},
	{jwt.ErrType, "claim", 401, 16, "900901", invalidCredentials, "The token is not of a type that is accepted here.", invalidToken},
	{jwt.ErrClaim, "claim", 401, 16, "900901", invalidCredentials, "The access token lacks a claim that is required here, or a claim's value cannot be used.", invalidToken},
	{policy.ErrClaim, "claim", 401, 16, "900901", invalidCredentials, "The access token lacks a claim that is required here, or a claim's value cannot be used.", invalidToken},
	{policy.ErrOrganization, "organization", 403, 7, "900908", resourceForbidden, "The access token's organization may not access the resource.", noChallenge},
	{policy.ErrScope, "scope", 403, 7, "900910", scopeNotAllowed, "The access token lacks a scope that the resource asks for.", insufficientScope},
	{policy.ErrRole, "role", 403, 7, "900908", resourceForbidden, "The user lacks a role that the resource asks for.", noChallenge},
	{policy.ErrConsumerKey, "claim", 403, 7, "900908", resourceForbidden, "The client may not access the resource.", noChallenge},
	{policy.ErrClaimRule, "claim", 403, 7, "900908", resourceForbidden, "A claim of the access token does not allow access to the resource.", noChallenge},
	{policy.ErrNoRule, "no_rule", 403, 7, "900908", resourceForbidden, "No rule allows access to the resource.", noChallenge},
	{policy.ErrAmbiguousPath, "path", 400, 3, "", badRequest, "The request's path can be read in more than one way.", noChallenge},
	{errKeysUnavailable, "keys_unavailable", 503, 14, "900900", unclassified, "The access token cannot be verified at the moment.", noChallenge},
	{errInternal, "internal", 500, 13, "900900", unclassified, "The request could not be authenticated.", noChallenge},
}

// Reasons of requests that pass.
const (
	reasonOK     = "ok"
	reasonPublic = "public"
)

// answerTo finds the answer to an error. Most errors are those of the table
// themselves.
func answerTo(err error) *answer {
	last := len(answers) - 1
	for i := range answers[:last] {
		if err == answers[i].err {
			return &answers[i]
		}
	}
	for i := range answers[:last] {
		if errors.Is(err, answers[i].err) {
			return &answers[i]
		}
	}
	return &answers[last]
}

// headers renders the response headers: the body's type, the challenge and,
// with a 503, Retry-After in seconds. An answer to gRPC has no body; the proxy
// makes its content type.
func (a *answer) headers(c *config.Errors, err error, retryAfter int, grpc bool) [][2]string {
	headers := make([][2]string, 0, 3)
	if !grpc {
		headers = append(headers, [2]string{"content-type", contentType(c.Format)})
	}
	if a.challenge != noChallenge {
		headers = append(headers, [2]string{"www-authenticate", a.authenticate(c.Realm, err)})
	}
	if a.status == 503 {
		headers = append(headers, [2]string{"retry-after", strconv.Itoa(max(retryAfter, 1))})
	}
	return headers
}

// contentType is the type of the bodies of a format.
func contentType(format string) string {
	switch format {
	case "problem":
		return "application/problem+json"
	case "plain":
		return "text/plain; charset=utf-8"
	default:
		return "application/json"
	}
}

// authenticate is the value of WWW-Authenticate.
func (a *answer) authenticate(realm string, err error) string {
	value := "Bearer realm=" + quoted(realm)
	switch a.challenge {
	case invalidToken:
		value += `, error="invalid_token", error_description=` + quoted(a.description)
	case insufficientScope:
		value += `, error="insufficient_scope"`
		if scope, ok := errors.AsType[*policy.ScopeError](err); ok {
			value += `, scope=` + quoted(scope.Challenge)
		}
	}
	return value
}

// quoted is a quoted-string (RFC 9110 §5.6.4).
func quoted(s string) string {
	if strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, '\\') < 0 {
		return `"` + s + `"`
	}
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// body renders the body. Everything in it is a constant of the table, free of
// characters that JSON would escape.
func (a *answer) body(format string) string {
	switch format {
	case "problem":
		body := `{"type":"about:blank","title":"` + statusText(a.status) + `","status":` + strconv.Itoa(int(a.status)) +
			`,"detail":"` + a.description + `"`
		if a.code != "" {
			body += `,"code":"` + a.code + `"`
		}
		return body + "}"
	case "plain":
		return a.description + "\n"
	default:
		body := `{"error_message":"` + a.message
		if a.code != "" {
			body += `","code":"` + a.code
		}
		return body + `","error_description":"` + a.description + `"}`
	}
}

// statusText is the reason phrase of the statuses in [answers] (RFC 9110 §15).
func statusText(status uint32) string {
	switch status {
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 503:
		return "Service Unavailable"
	default:
		return "Internal Server Error"
	}
}
