package jwt

import (
	"github.com/tidwall/gjson"

	"orgate/internal/strictjson"
)

// Claims is a token's claims set (RFC 7519 §4). The zero value holds none.
type Claims struct {
	members strictjson.Object
}

// Get returns the claim with exactly this name. A claim that is null is found.
func (c Claims) Get(name string) (gjson.Result, bool) { return c.members.Get(name) }

// Lookup returns the claim with the literal name if there is one, else what the
// path leads to; an empty one of either is none. A claim that is null is found,
// alone or at the end of a path. Nothing is found below anything but an object.
func (c Claims) Lookup(literal string, path ...string) (gjson.Result, bool) {
	if literal != "" {
		if value, ok := c.members.Get(literal); ok {
			return value, true
		}
	}
	if len(path) == 0 {
		return gjson.Result{}, false
	}
	value, ok := c.members.Get(path[0])
	for _, step := range path[1:] {
		if !ok {
			break
		}
		value, ok = member(value, step)
	}
	if !ok {
		return gjson.Result{}, false
	}
	return value, true
}

// member returns the member of an object with exactly this name.
func member(object gjson.Result, name string) (value gjson.Result, ok bool) {
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
