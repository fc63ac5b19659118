package config_test

import (
	"testing"

	"orgate/config"
)

func TestSplitURL(t *testing.T) {
	for u, want := range map[string][3]string{
		"https://idp.example":               {"https", "idp.example", "/"},
		"https://idp.example/jwks":          {"https", "idp.example", "/jwks"},
		"http://idp.example:8080/a/b?c=d/e": {"http", "idp.example:8080", "/a/b?c=d/e"},
		"http://[::1]:8080?c":               {"http", "[::1]:8080", "/?c"},
	} {
		scheme, authority, path := config.SplitURL(u)
		if got := [3]string{scheme, authority, path}; got != want {
			t.Errorf("config.SplitURL(%q) = %q, want %q", u, got, want)
		}
	}
}
