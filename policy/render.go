package policy

import (
	"errors"
	"strings"

	"github.com/tidwall/gjson"

	"orgate/config"
	"orgate/jwt"
)

const (
	notString   = "not a string"
	notStrings  = "neither a string nor an array of strings"
	empty       = "empty"
	controlChar = "a control character"
	spaceAround = "space at an end"
	// Elements that would be others once joined and split again.
	joinedSeparator = "an element with the separator in it"
)

// stringClaim returns a claim that must be a string, neither empty nor
// unfit for a header.
func stringClaim(claims jwt.Claims, use string, name config.ClaimName) (string, error) {
	v, ok := claims.Lookup(name.Name, name.Path...)
	problem := ""
	switch {
	case !ok || v.Type == gjson.Null:
		problem = missing
	case v.Type != gjson.String:
		problem = notString
	case v.Str == "":
		problem = empty
	default:
		problem = textFault(v.Str)
	}
	if problem != "" {
		return "", &ClaimError{Use: use, Claim: name, Problem: problem}
	}
	return v.Str, nil
}

// listClaim returns a claim that is a string or an array of strings: the
// string split at its spaces, or as it is. Empty elements are left out. The
// texts are not checked.
func listClaim(claims jwt.Claims, use string, name config.ClaimName, split bool) ([]string, error) {
	v, ok := claims.Lookup(name.Name, name.Path...)
	if !ok || v.Type == gjson.Null {
		return nil, nil
	}
	var list []string
	add := func(s string) {
		if s != "" {
			list = append(list, s)
		}
	}
	fit := true
	switch {
	case v.Type == gjson.String && split:
		list = make([]string, 0, strings.Count(v.Str, " ")+1)
		for s := range strings.SplitSeq(v.Str, " ") {
			add(s)
		}
	case v.Type == gjson.String:
		add(v.Str)
	case v.IsArray():
		v.ForEach(func(_, e gjson.Result) bool {
			fit = e.Type == gjson.String
			add(e.Str)
			return fit
		})
	default:
		fit = false
	}
	if !fit {
		return nil, &ClaimError{Use: use, Claim: name, Problem: notStrings}
	}
	return list, nil
}

// checkElements refuses what a header could not carry or an upstream would
// split once it is joined.
func checkElements(use string, name config.ClaimName, list []string, separator byte) error {
	for _, s := range list {
		problem := textFault(s)
		if strings.IndexByte(s, separator) >= 0 {
			problem = joinedSeparator
		}
		if problem != "" {
			return &ClaimError{Use: use, Claim: name, Problem: problem}
		}
	}
	return nil
}

func isMissing(err error) bool {
	if err == nil {
		return false
	}
	var claim *ClaimError
	return errors.As(err, &claim) && claim.Problem == missing
}

// textFault says why a header could not carry a text as it is, or "". Control
// characters are those of Unicode, U+0080 to U+009F among them; space at an end
// would be cut off (RFC 9110 §5.5), and " admin" arrive as "admin".
func textFault(s string) string {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f:
			return controlChar
		case c == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0: // U+0080 to U+009F in UTF-8
			return controlChar
		}
	}
	if strings.TrimSpace(s) != s {
		return spaceAround
	}
	return ""
}

// render returns a claim as a header's value, "" for none, and what is wrong
// with it, "" for nothing.
func render(v gjson.Result) (value, problem string) {
	if v.IsArray() {
		value, problem = renderArray(v)
	} else {
		value = renderOne(v)
	}
	if problem == "" {
		problem = textFault(value)
	}
	return value, problem
}

// renderOne returns what is no array as text.
func renderOne(v gjson.Result) string {
	switch v.Type {
	case gjson.Null:
		return ""
	case gjson.String:
		return v.Str
	case gjson.JSON:
		if text := compact(v.Raw); text != "{}" {
			return text
		}
		return ""
	}
	return v.Raw
}

// renderArray joins scalars with commas; an array with anything else in it is
// JSON.
func renderArray(v gjson.Result) (value, problem string) {
	var b strings.Builder
	nested := false
	v.ForEach(func(_, e gjson.Result) bool {
		if e.Type == gjson.JSON {
			nested = true
			return false
		}
		text := renderOne(e)
		switch {
		case text == "":
			return true
		case strings.IndexByte(text, ',') >= 0:
			problem = joinedSeparator
		case strings.TrimSpace(text) != text:
			problem = spaceAround
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(text)
		return true
	})
	if nested {
		return compact(v.Raw), ""
	}
	return b.String(), problem
}

// compact returns a JSON text without the space between its tokens.
func compact(text string) string {
	b := make([]byte, 0, len(text))
	inString := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case inString && c == '\\' && i+1 < len(text):
			b = append(b, c, text[i+1])
			i++
			continue
		case c == '"':
			inString = !inString
		case !inString && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		b = append(b, c)
	}
	return string(b)
}

// texts returns the values of a claim that a rule compares: a scalar, or the
// scalars in an array, as text.
func texts(v gjson.Result) []string {
	var list []string
	add := func(v gjson.Result) {
		if v.Type != gjson.Null && v.Type != gjson.JSON {
			list = append(list, renderOne(v))
		}
	}
	if !v.IsArray() {
		add(v)
		return list
	}
	v.ForEach(func(_, e gjson.Result) bool {
		add(e)
		return true
	})
	return list
}
