package jwt

import (
	"iter"
	"strings"

	"github.com/tidwall/gjson"

	"orgate/internal/strictjson"
)

// Claims is a token's claims set (RFC 7519 §4). The zero value holds none.
type Claims struct {
	members strictjson.Object
}

// Get returns the claim with exactly this name. A claim that is null is found.
func (c Claims) Get(name string) (gjson.Result, bool) { return c.members.Get(name) }

// Names yields the names of the claims, in their order.
func (c Claims) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range c.members {
			if !yield(c.members[i].Name) {
				return
			}
		}
	}
}

// Lookup returns the claim of this name, or, if the name is empty, what the path
// leads to. A name without dots is that of one claim. Of a name with dots the
// longest beginning that is a claim counts, the whole name first; what follows is
// a name within that claim, read likewise. Each step of a path is one name.
//
// A claim that is null is found, alone or at the end. Nothing is found below
// anything but an object.
func (c Claims) Lookup(name string, path ...string) (value gjson.Result, ok bool) {
	if name != "" {
		if value, ok = c.members.Get(name); ok || strings.IndexByte(name, '.') < 0 {
			return value, ok // mostly, and without garbage
		}
	}
	at := getter(c.members.Get)
	if name != "" {
		for more := true; more; {
			value, name, more, ok = longest(at, name)
			at = membersOf(value)
		}
		return value, ok
	}
	for _, step := range path {
		if value, ok = at(step); !ok {
			return gjson.Result{}, false
		}
		at = membersOf(value)
	}
	return value, ok
}

// getter finds a member of an object by exactly its name.
type getter func(name string) (gjson.Result, bool)

// longest returns the member with the longest name that a dotted name begins
// with, and what follows behind the dot, if anything does.
func longest(at getter, name string) (value gjson.Result, rest string, more, ok bool) {
	for end := len(name); end >= 0; end = strings.LastIndexByte(name[:end], '.') {
		if value, ok = at(name[:end]); ok {
			if end == len(name) {
				return value, "", false, true
			}
			return value, name[end+1:], true, true
		}
	}
	return gjson.Result{}, "", false, false
}

// membersOf finds the members of a value. What is no object has none.
func membersOf(object gjson.Result) getter {
	return func(name string) (value gjson.Result, ok bool) {
		if !object.IsObject() {
			return gjson.Result{}, false
		}
		object.ForEach(func(key, v gjson.Result) bool {
			if key.Str == name {
				value, ok = v, true
			}
			return !ok
		})
		return value, ok
	}
}

// Issuer returns "iss" (RFC 7519 §4.1.1), "" if there is none.
func (c Claims) Issuer() string { return c.text("iss") }

// Subject returns "sub" (RFC 7519 §4.1.2), "" if there is none or it is no
// string.
func (c Claims) Subject() string { return c.text("sub") }

// ID returns "jti" (RFC 7519 §4.1.7), "" if there is none or it is no string.
func (c Claims) ID() string { return c.text("jti") }

func (c Claims) text(name string) string {
	value, _ := c.members.Get(name)
	return value.Str
}
