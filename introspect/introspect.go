// Package introspect writes a request for the introspection of a token (RFC 7662),
// and reads the response.
//
// An [Answer] says that the token is inactive, or that it is active with the
// response's members as its claims. Any other response is an error. A provider that
// is down, slow or misconfigured says nothing of a token, so the token must not be
// taken for a bad one.
//
// The package knows no proxy, and neither sends nor waits. Its errors hold neither
// the token nor the secret. Of the response they hold its status and type alone.
package introspect

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"orgate/jwks"
	"orgate/jwt"
)

// MaxAnswer is the length of the longest response that is read, in bytes. Of a longer one it
// suffices to hand over the first MaxAnswer+1 bytes.
const MaxAnswer = 16 << 10

// Result is what became of a request, as the metrics name it. The others are those
// of [jwks.Response.Fault].
type Result = jwks.Result

const (
	// ResultActive means that the token is good, as far as the provider knows.
	ResultActive Result = "active"
	// ResultInactive means that it is not, or not the provider's.
	ResultInactive Result = "inactive"
	// ResultIssuer means that it is active, and another issuer's.
	ResultIssuer Result = "issuer"
	// ResultNotJSON means that the response is no JSON object, or that a claim in it
	// can't be read.
	ResultNotJSON Result = "not_json"
	// ResultNoAnswer is the one of a provider that could not be asked.
	ResultNoAnswer = jwks.ResultNoAnswer
)

// Answer is what a provider says of a token. The zero value says nothing.
type Answer struct {
	Result Result
	// Token has the token's claims if it is active, and is nil if it is not.
	Token *jwt.Token
	// Err says why no response can be used, for the log; nil if one can.
	Err error
}

// Read reads a response (RFC 7662 §2.2).
func Read(r *jwks.Response) Answer {
	if result, err := r.Fault(MaxAnswer); err != nil {
		return Answer{Result: result, Err: err}
	}
	token, err := jwt.ReadClaims(r.Body)
	if err != nil {
		return Answer{Result: ResultNotJSON, Err: err}
	}
	if active, _ := token.Claims.Get("active"); active.Type != gjson.True {
		return Answer{Result: ResultInactive}
	}
	return Answer{Result: ResultActive, Token: token}
}

// Body is the body of a request (RFC 7662 §2.1).
func Body(token string) string { return "token=" + encoded(token) + "&token_type_hint=access_token" }

// ContentType is the body's type.
const ContentType = "application/x-www-form-urlencoded"

// Authorization is the client's authentication (RFC 6749 §2.3.1): HTTP Basic, with
// both encoded as forms are. Without a client there is none.
func Authorization(id, secret string) string {
	if id == "" {
		return ""
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(encoded(id)+":"+encoded(secret)))
}

// encoded is a text in a form (https://url.spec.whatwg.org/#urlencoded-serializing).
func encoded(text string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(text))
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', strings.IndexByte("*-._", c) >= 0:
			b.WriteByte(c)
		case c == ' ':
			b.WriteByte('+')
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// Describe is a response's error with the place that it is from.
func (a *Answer) Describe(url string) string {
	url, _, _ = strings.Cut(url, "?") // What follows may be a secret.
	return fmt.Sprintf("introspection at %s: %v", url, a.Err)
}
