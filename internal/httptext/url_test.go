package httptext

import (
	"errors"
	"testing"
)

func TestCheckURL(t *testing.T) {
	for url, want := range map[string]error{
		"https://idp.example":               nil,
		"HTTP://IDP.example:8080/a?b=c":     nil,
		"https://[::1]:443/jwks":            nil,
		"https://idp.example:65535?x":       nil,
		"":                                  errNotAbsolute,
		"idp/jwks":                          errNotAbsolute,
		"//idp.example/jwks":                errNotAbsolute,
		"file:///etc/jwks":                  errNotAbsolute,
		"https:idp.example":                 errNotAbsolute,
		"https://user:secret@idp.example/":  ErrUserInfo,
		"https://idp.example@evil.example/": ErrUserInfo,
		"https://idp.example/jwks#keys":     errURLFragment,
		"https://idp.example#":              errURLFragment,
		"https://idp.example/a b":           errUnencoded,
		"https://idp.example/<realm>":       errUnencoded,
		"https://idp.example\\x/":           errUnencoded,
		"https://idp.example/\x7f":          errUnencoded,
		"https://idp.example/é":             errUnencoded,
		"https://idp.example/\x80":          errUnencoded,
		"https:///jwks":                     errNoURLHost,
		"https://:443/jwks":                 errNoURLHost,
		"https://idp..example/":             errNoURLHost,
		"https://idp.example./":             errNoURLHost,
		"https://idp%2eexample/":            errNoURLHost,
		"https://[::1/":                     errNoURLHost,
		"https://idp.example:https/":        errURLPort,
		"https://idp.example:0/":            errURLPort,
		"https://idp.example:65536/":        errURLPort,
		"https://idp.example:/":             errURLPort,
	} {
		if err := CheckURL(url); err != want || err != nil && err != ErrUserInfo && err != errURLFragment &&
			!errors.Is(err, errNotAbsolute) {
			t.Errorf("CheckURL(%q) = %v, want %v", url, err, want)
		}
	}
}

func TestSplitURL(t *testing.T) {
	for u, want := range map[string][3]string{
		"https://idp.example":               {"https", "idp.example", "/"},
		"https://idp.example/jwks":          {"https", "idp.example", "/jwks"},
		"http://idp.example:8080/a/b?c=d/e": {"http", "idp.example:8080", "/a/b?c=d/e"},
		"http://[::1]:8080?c":               {"http", "[::1]:8080", "/?c"},
	} {
		scheme, authority, path := SplitURL(u)
		if got := [3]string{scheme, authority, path}; got != want {
			t.Errorf("SplitURL(%q) = %q, want %q", u, got, want)
		}
	}
}
