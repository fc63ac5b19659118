package gate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"orgate/config"
	"orgate/jwt"
	"orgate/policy"
)

// Errors of the gate itself; the others are those of packages jwt and policy.
var (
	// ErrNoToken means that the request carries no token.
	ErrNoToken = errors.New("no token")
	// ErrSeveralTokens means that the request carries different tokens.
	ErrSeveralTokens = errors.New("several tokens")
	// ErrKeysUnavailable means that the issuer's keys are not there, and can't
	// be waited for any longer.
	ErrKeysUnavailable = errors.New("keys unavailable")
	// ErrOpaque means that the token is no JWT, and that no issuer takes it.
	ErrOpaque = errors.New("opaque token")
	// ErrInactive means that the token's provider says that it is not good.
	ErrInactive = errors.New("token not active")
	// ErrIntrospection means that the provider has not said what the token is.
	ErrIntrospection = errors.New("introspection unavailable")
	// ErrBinding means that the token is bound to another client certificate
	// than the connection's.
	ErrBinding = errors.New("bound to another certificate")
	// ErrFault means a fault of the plugin, or of a call to the proxy.
	ErrFault = errors.New("fault")

	errAllowance = fmt.Errorf("%w: too many bad signatures in the issuer's name", ErrKeysUnavailable)
)

// refusal is how one kind of error is told to the client and counted.
type refusal struct {
	err    error  // what [errors.Is] finds in the decision's error
	reason string // metric label, property
	*class
	// description is for the client's developer. It is a constant: nothing of
	// the token, the keys or the configuration can get into it. It needs no
	// encoding, as a gRPC message would for "%" and all that is not ASCII.
	description string
}

// class is what refusals that look alike to a client have in common.
type class struct {
	status    uint32 // HTTP
	grpc      int32  // gRPC, https://grpc.io/docs/guides/status-codes
	code      string // WSO2 error code, "" for none
	message   string // the error_message of WSO2's bodies, which clients may know
	challenge challenge
}

// challenge is what WWW-Authenticate says (RFC 9110 §11.6.1, RFC 6750 §3).
type challenge uint8

const (
	noChallenge       challenge = iota
	askForToken                 // the scheme and the realm alone
	invalidToken                // error="invalid_token"
	insufficientScope           // error="insufficient_scope" and the scopes
)

var (
	missing   = &class{401, 16, "900902", "Missing Credentials", askForToken}
	invalid   = &class{401, 16, "900901", "Invalid Credentials", invalidToken}
	expired   = &class{401, 16, "900903", "Access Token Expired", invalidToken}
	forbidden = &class{403, 7, "900908", "Resource forbidden", noChallenge}
	scope     = &class{403, 7, "900910", "The access token does not allow you to access the requested resource",
		insufficientScope}
	bad         = &class{400, 3, "", "Bad Request", noChallenge}
	unavailable = &class{503, 14, "900900", "Unclassified Authentication Failure", noChallenge}
	fault       = &class{500, 13, "900900", "Unclassified Authentication Failure", noChallenge}
)

const claimInvalid = "The access token lacks a claim that is required here, or a claim's value cannot be used."

// refusals is the one table from errors to responses. The last row is what an
// error is that no other row has.
var refusals = [...]refusal{
	{ErrNoToken, "missing", missing, "Send an access token."},
	{ErrSeveralTokens, "several_tokens", invalid, "The request carries more than one access token."},
	{jwt.ErrTooLarge, "too_large", invalid, "The access token is longer than is accepted here."},
	{jwt.ErrMalformed, "malformed", invalid, "The access token is malformed."},
	{ErrOpaque, "opaque", invalid, "The access token is opaque, and no such tokens are accepted here."},
	{ErrInactive, "inactive", invalid, "The access token is not active."},
	{policy.ErrUnknownIssuer, "unknown_issuer", invalid, "The access token's issuer is not trusted here."},
	{jwt.ErrAlgorithm, "bad_algorithm", invalid, "The access token's signature algorithm is not allowed."},
	{jwt.ErrUnknownKey, "unknown_key", invalid, "The access token is signed with an unknown key."},
	{jwt.ErrSignature, "bad_signature", invalid, "The access token's signature is not valid."},
	{jwt.ErrExpired, "expired", expired, "The access token has expired."},
	{jwt.ErrTooOld, "expired", expired, "The access token was issued too long ago."},
	{jwt.ErrNotYetValid, "not_yet_valid", invalid, "The access token is not valid yet."},
	{jwt.ErrAudience, "audience", invalid, "The access token is meant for another audience."},
	{ErrBinding, "binding", invalid, "The access token is not for this connection's client certificate."},
	{jwt.ErrType, "claim", invalid, "The token is not of a type that is accepted here."},
	{jwt.ErrClaim, "claim", invalid, claimInvalid},
	{policy.ErrClaim, "claim", invalid, claimInvalid},
	{policy.ErrOrganization, "organization", forbidden, "The access token's organization may not access the resource."},
	{policy.ErrScope, "scope", scope, "The access token lacks a scope that the resource asks for."},
	{policy.ErrRole, "role", forbidden, "The user lacks a role that the resource asks for."},
	{policy.ErrConsumerKey, "claim", forbidden, "The client may not access the resource."},
	{policy.ErrClaimRule, "claim", forbidden, "A claim of the access token does not allow access to the resource."},
	{policy.ErrNoRule, "no_rule", forbidden, "No rule allows access to the resource."},
	{policy.ErrAmbiguousPath, "path", bad, "The request's path can be read in more than one way."},
	{policy.ErrAmbiguousHost, "path", bad, "The request's host can be read in more than one way."},
	{ErrKeysUnavailable, "keys_unavailable", unavailable, "The access token cannot be verified at the moment."},
	{ErrIntrospection, "introspection_unavailable", unavailable, "The access token cannot be checked at the moment."},
	{ErrFault, ReasonFault, fault, "The request could not be authenticated."},
}

// refusalOf finds the row of an error. Most errors are those of the table
// themselves.
func refusalOf(err error) *refusal {
	last := len(refusals) - 1
	for i := range refusals[:last] {
		if err == refusals[i].err {
			return &refusals[i]
		}
	}
	for i := range refusals[:last] {
		if errors.Is(err, refusals[i].err) {
			return &refusals[i]
		}
	}
	return &refusals[last]
}

// Response is the response to a refused request.
type Response struct {
	Status  uint32
	Headers [][2]string
	Body    string
	// GRPC is the status of gRPC, or -1 for a request that is none. Responses to
	// gRPC-Web have it among their headers, too.
	GRPC int32
}

// Response renders a refusal.
func (g *Gate) Response(d *Decision) Response {
	if g == nil {
		return d.response(&config.Errors{}, 0)
	}
	retryAfter := 0
	if d.Issuer != nil && !errors.Is(d.Err, ErrIntrospection) {
		if source := g.issuers[d.Issuer.Index].keys.source; source != nil {
			retryAfter = int(source.RetryAfter(g.options.Now()) / time.Second)
		}
	}
	return d.response(&g.config.Errors, retryAfter)
}

func (d *Decision) response(c *config.Errors, retryAfter int) Response {
	row := refusalOf(d.Err)
	r := Response{Status: row.status, GRPC: -1}
	switch {
	case d.RPC == GRPC: // the proxy makes the headers of it
		r.GRPC, r.Body = row.grpc, row.description
	case d.RPC != NoRPC:
		r.Status, r.GRPC = 200, row.grpc
		r.Headers = [][2]string{
			{"content-type", webContentTypes[d.RPC]},
			{"grpc-status", strconv.Itoa(int(row.grpc))},
			{"grpc-message", row.description},
		}
	default:
		r.Headers = [][2]string{{"content-type", contentType(c.Format)}}
		if !d.Head {
			r.Body = row.body(c.Format)
		}
	}
	r.Headers = append(r.Headers, row.headers(c, d.Err, retryAfter)...)
	return r
}

// webContentTypes are the types of responses to gRPC-Web.
var webContentTypes = [...]string{GRPCWeb: "application/grpc-web+proto", GRPCWebText: "application/grpc-web-text+proto"}

// headers renders the response headers beside the body's type: the challenge and,
// with a 503, Retry-After in seconds.
func (r *refusal) headers(c *config.Errors, err error, retryAfter int) [][2]string {
	var headers [][2]string
	if r.challenge != noChallenge {
		headers = append(headers, [2]string{"www-authenticate", r.authenticate(c.Realm, err)})
	}
	if r.status == 503 {
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
func (r *refusal) authenticate(realm string, err error) string {
	value := "Bearer realm=" + quoted(realm)
	switch r.challenge {
	case invalidToken:
		value += `, error="invalid_token", error_description=` + quoted(r.description)
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
func (r *refusal) body(format string) string {
	switch format {
	case "problem":
		body := `{"type":"about:blank","title":"` + statusText(r.status) + `","status":` + strconv.Itoa(int(r.status)) +
			`,"detail":"` + r.description + `"`
		if r.code != "" {
			body += `,"code":"` + r.code + `"`
		}
		return body + "}"
	case "plain":
		return r.description + "\n"
	default:
		body := `{"error_message":"` + r.message
		if r.code != "" {
			body += `","code":"` + r.code
		}
		return body + `","error_description":"` + r.description + `"}`
	}
}

// statusText is the reason phrase of the statuses in [refusals] (RFC 9110 §15).
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
