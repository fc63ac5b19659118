package jwt

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"orgate/internal/strictjson"
)

// Parse reads a token in compact serialization of at most maxBytes bytes.
//
// The token must be three parts, none of them empty, in base64url without
// padding (RFC 7515 §2), and there is one way only to write each: unused bits
// are zero, and no line breaks are skipped. Header and payload must be JSON
// objects as [strictjson.ParseObject] reads them: valid UTF-8, no duplicate
// member at any depth, nested 32 deep at most.
//
// Of the header (RFC 7515 §4.1), "kid" and "typ" must be strings where they are
// present, and "crit" and "b64" (RFC 7797) must not be present: there is no
// extension that this package understands.
//
// Claims (RFC 7519 §4.1) that are present must have their type: "iss" is a string
// that is not empty, and "aud" a string or an array of strings. "exp", "nbf" and
// "iat" are numbers from 0 to 253402300799, the last second of the year 9999. The
// checks decide which of them must be present.
//
// The error is [ErrTooLarge], [ErrMalformed], or [ErrAlgorithm] if the header of a token
// that is otherwise well-formed holds no "alg"; an "alg" that is no string is
// ErrMalformed, and one that nobody knows is for [Token.CheckAlgorithm].
func Parse(compact string, maxBytes int) (*Token, error) {
	return parse(compact, maxBytes, (*Token).readClaims)
}

// parse is [Parse], but for the payload.
func parse(compact string, maxBytes int, readPayload func(*Token, string) error) (*Token, error) {
	if len(compact) > maxBytes {
		return nil, ErrTooLarge
	}
	header, rest, _ := strings.Cut(compact, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	if header == "" || payload == "" || signature == "" || strings.Contains(signature, ".") {
		return nil, errParts
	}

	var buffer []byte
	buffer, ok := decode(make([]byte, 0, base64url.DecodedLen(len(header)+len(payload))), header)
	if !ok {
		return nil, errBase64
	}
	headerBytes := len(buffer)
	if buffer, ok = decode(buffer, payload); !ok {
		return nil, errBase64
	}
	t := &Token{
		signingInput: compact[:len(header)+1+len(payload)],
		payload:      payload,
	}
	if t.signature, ok = decode(nil, signature); !ok {
		return nil, errBase64
	}

	documents := string(buffer)
	hasAlg, err := t.readHeader(documents[:headerBytes])
	if err != nil {
		return nil, err
	}
	if err := readPayload(t, documents[headerBytes:]); err != nil {
		return nil, err
	}
	if !hasAlg {
		return nil, errNoAlg
	}
	return t, nil
}

var (
	errParts      = &refusal{reason: ErrMalformed, what: "not three parts separated by dots"}
	errBase64     = &refusal{reason: ErrMalformed, what: "not base64url without padding"}
	errNoAlg      = &refusal{reason: ErrAlgorithm, what: "alg missing"}
	errAlg        = &refusal{reason: ErrMalformed, what: "alg is not a string"}
	errKid        = &refusal{reason: ErrMalformed, what: "kid is not a string"}
	errTyp        = &refusal{reason: ErrMalformed, what: "typ is not a string"}
	errCrit       = &refusal{reason: ErrMalformed, what: "crit is not supported"}
	errB64        = &refusal{reason: ErrMalformed, what: "b64 is not supported"}
	errIssuer     = &refusal{reason: ErrMalformed, what: "iss is not a string or empty"}
	errAud        = &refusal{reason: ErrMalformed, what: "aud is neither a string nor an array of strings"}
	errExpiration = &refusal{reason: ErrMalformed, what: "exp is not a number or out of range"}
	errNotBefore  = &refusal{reason: ErrMalformed, what: "nbf is not a number or out of range"}
	errIssuedAt   = &refusal{reason: ErrMalformed, what: "iat is not a number or out of range"}
)

var base64url = base64.RawURLEncoding.Strict()

// decode appends what part stands for. The decoder skips line breaks, even
// where it is strict.
func decode(dst []byte, part string) ([]byte, bool) {
	if strings.IndexByte(part, '\n') >= 0 || strings.IndexByte(part, '\r') >= 0 {
		return nil, false
	}
	dst, err := base64url.AppendDecode(dst, []byte(part))
	return dst, err == nil
}

// readHeader reads the JOSE header (RFC 7515 §4), and whether it has an "alg".
func (t *Token) readHeader(doc string) (hasAlg bool, err error) {
	header, err := strictjson.ParseObject(doc)
	if err != nil {
		return false, &refusal{ErrMalformed, "header: " + err.Error(), err}
	}
	for i := range header {
		value := &header[i].Value
		switch header[i].Name {
		case "alg":
			if value.Type != gjson.String {
				return false, errAlg
			}
			t.Algorithm, hasAlg = value.Str, true
		case "kid":
			if value.Type != gjson.String {
				return false, errKid
			}
			t.KeyID, t.HasKeyID = value.Str, true
		case "typ":
			if value.Type != gjson.String {
				return false, errTyp
			}
			t.Type = value.Str
		case "crit":
			return false, errCrit
		case "b64":
			return false, errB64
		}
	}
	return hasAlg, nil
}

// readClaims reads the claims set (RFC 7519 §4).
func (t *Token) readClaims(doc string) error {
	members, err := strictjson.ParseObject(doc)
	if err != nil {
		return &refusal{ErrMalformed, "payload: " + err.Error(), err}
	}
	return t.setClaims(members)
}

func (t *Token) setClaims(members strictjson.Object) error {
	t.Claims.members = members
	for i := range members {
		value := &members[i].Value
		var ok bool
		switch members[i].Name {
		case "iss":
			if value.Type != gjson.String || value.Str == "" {
				return errIssuer
			}
			t.Issuer = value.Str
		case "aud":
			if t.audience, ok = readStrings(*value); !ok {
				return errAud
			}
			t.hasAudience = true
		case "exp":
			if t.expires, ok = readDate(value); !ok {
				return errExpiration
			}
		case "nbf":
			if t.notBefore, ok = readDate(value); !ok {
				return errNotBefore
			}
		case "iat":
			if t.issuedAt, ok = readDate(value); !ok {
				return errIssuedAt
			}
		}
	}
	return nil
}

// ReadClaims reads a document of claims that somebody else stands for than a
// signature: it makes a token without a header and without a signature, which none
// of the keys verifies. What is null is absent. Otherwise it is as strict as [Parse].
func ReadClaims(document string) (*Token, error) {
	t := &Token{}
	members, err := strictjson.ParseObject(document)
	if err != nil {
		return nil, &refusal{ErrMalformed, "claims: " + err.Error(), err}
	}
	members = slices.DeleteFunc(members, func(m strictjson.Member) bool { return m.Value.Type == gjson.Null })
	return t, t.setClaims(members)
}

// readStrings returns the string that value is, or those of the array of strings
// that it is.
func readStrings(value gjson.Result) (list []string, ok bool) {
	switch {
	case value.Type == gjson.String:
		return []string{value.Str}, true
	case !value.IsArray():
		return nil, false
	}
	ok = true
	value.ForEach(func(_, element gjson.Result) bool {
		ok = element.Type == gjson.String
		list = append(list, element.Str)
		return ok
	})
	return list, ok
}
