package policy

import (
	"strings"

	"github.com/tidwall/gjson"

	"orgate/config"
	"orgate/jwt"
)

// What is wrong with the value of a claim.
const (
	missing       = "missing"
	empty         = "empty"
	notIdentifier = "neither a string nor a number"
	several       = "more than one value"
	notList       = "neither a string nor an array"
)

// lookup returns a claim that is there and not null.
func lookup(claims jwt.Claims, name config.ClaimName) (gjson.Result, bool) {
	v, ok := claims.Lookup(name.Name, name.Path...)
	return v, ok && v.Type != gjson.Null
}

// identifier returns the text of a claim that names somebody, a string or the
// digits of a number, and what is wrong with it, "" for nothing.
func identifier(v gjson.Result) (text, problem string) {
	switch {
	case v.Type == gjson.Number:
		return v.Raw, ""
	case v.Type != gjson.String:
		return "", notIdentifier
	case v.Str == "":
		return "", empty
	}
	return v.Str, textFault(v.Str)
}

// organizationIn returns the identifier of an organization: the claim itself, the
// one element of an array, or the name of the one member of an object.
func organizationIn(v gjson.Result) (text, problem string) {
	if v.Type != gjson.JSON {
		return identifier(v)
	}
	problem = empty
	n := 0
	v.ForEach(func(name, element gjson.Result) bool {
		if v.IsObject() {
			element = name
		}
		text, problem = identifier(element)
		n++
		return n < 2
	})
	if n > 1 {
		return "", several
	}
	return text, problem
}

// list is a claim that holds several values.
type list struct {
	// texts are its scalars as text. Nothing is checked about them.
	texts []string
	// others are its arrays and objects, as JSON.
	others []string
	// problem is why the claim is no list, "" if it is one.
	problem string
}

func (l *list) add(v gjson.Result) {
	if text := renderOne(v); v.Type == gjson.JSON {
		l.others = append(l.others, compact(v.Raw))
	} else if text != "" {
		l.texts = append(l.texts, text)
	}
}

// listClaim returns the scalars in an array, or a scalar as a list of one. What
// is null or empty is left out.
func listClaim(claims jwt.Claims, name config.ClaimName) (l list) {
	v, _ := lookup(claims, name)
	switch {
	case v.IsArray():
		v.ForEach(func(_, element gjson.Result) bool {
			l.add(element)
			return true
		})
	case v.IsObject():
		l.problem = notList
	default:
		l.add(v)
	}
	return l
}

// scopesClaim returns a list, or a string split at its spaces (RFC 6749 §3.3).
func scopesClaim(claims jwt.Claims, name config.ClaimName) (l list) {
	v, _ := lookup(claims, name)
	if v.Type != gjson.String {
		return listClaim(claims, name)
	}
	l.texts = make([]string, 0, strings.Count(v.Str, " ")+1)
	for scope := range strings.SplitSeq(v.Str, " ") {
		if scope != "" {
			l.texts = append(l.texts, scope)
		}
	}
	return l
}

// rolesClaim returns a list, or the names of an object's members.
func rolesClaim(claims jwt.Claims, name config.ClaimName) (l list) {
	v, _ := lookup(claims, name)
	if !v.IsObject() {
		return listClaim(claims, name)
	}
	v.ForEach(func(role, _ gjson.Result) bool {
		l.add(role)
		return true
	})
	return l
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
