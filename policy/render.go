package policy

import (
	"strings"

	"github.com/tidwall/gjson"
)

// Why a value can't be written to a header as it is meant. A control character
// refuses the token. With anything else the header is left out: somebody would
// read another value.
const (
	controlChar = "a control character"
	spaceAround = "space at an end"
	// Elements that would be others once joined and split again.
	joinedSeparator = "an element with the separator in it"
	notText         = "an element that is no text"
)

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

// renderList returns a list as a header's value, "" for none, and what is wrong
// with it, "" for nothing: joined, or as a JSON array.
func renderList(l list, separator string, asJSON bool) (value, problem string) {
	problem = l.problem
	for _, text := range l.texts {
		switch fault := textFault(text); {
		case fault == controlChar:
			return "", controlChar
		case asJSON:
		case fault != "":
			problem = fault
		case strings.Contains(text, separator):
			problem = joinedSeparator
		}
	}
	for _, other := range l.others {
		if textFault(other) != "" {
			return "", controlChar
		}
	}
	switch {
	case asJSON:
		return jsonArray(l), problem
	case len(l.others) > 0:
		problem = notText
	}
	return strings.Join(l.texts, separator), problem
}

// jsonArray returns a list as JSON, "" if there is nothing in it. No text has a
// control character in it.
func jsonArray(l list) string {
	var b []byte
	for _, text := range l.texts {
		b = append(b, ',', '"')
		for i := 0; i < len(text); i++ {
			if text[i] == '"' || text[i] == '\\' {
				b = append(b, '\\')
			}
			b = append(b, text[i])
		}
		b = append(b, '"')
	}
	for _, other := range l.others {
		b = append(append(b, ','), other...)
	}
	if len(b) == 0 {
		return ""
	}
	b[0] = '['
	return string(append(b, ']'))
}

// render returns a claim as a header's value, "" for none, and what is wrong
// with it, "" for nothing.
func render(v gjson.Result, asJSON bool) (value, problem string) {
	if v.IsArray() {
		return renderArray(v, asJSON)
	}
	value = renderOne(v)
	return value, textFault(value)
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

// renderArray joins scalars with commas, or writes them as JSON; an array with
// anything else in it is JSON.
func renderArray(v gjson.Result, asJSON bool) (value, problem string) {
	var l list
	v.ForEach(func(_, e gjson.Result) bool {
		l.add(e)
		return true
	})
	if len(l.others) > 0 {
		value = compact(v.Raw)
		return value, textFault(value)
	}
	value, problem = renderList(l, ",", asJSON)
	if asJSON && value != "" {
		value = compact(v.Raw) // in which numbers are numbers
	}
	return value, problem
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
