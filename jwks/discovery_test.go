package jwks_test

import (
	"strings"
	"testing"

	"orgate/internal/httptext"
	"orgate/jwks"
)

func TestDiscovery(t *testing.T) {
	const good = "https://idp.example/jwks"
	for _, c := range []struct {
		name      string
		document  string
		anyOrigin bool
		want      string
		fault     string
	}{
		{name: "good", document: `{"issuer":"https://idp.example","jwks_uri":"https://idp.example/jwks","x":1}`,
			want: good},
		{name: "default port", document: `{"issuer":"https://idp.example","jwks_uri":"https://IDP.example:443/jwks"}`,
			want: "https://IDP.example:443/jwks"},
		{
			name: "issuer with a slash", document: `{"issuer":"https://idp.example/","jwks_uri":"https://idp.example/jwks"}`, fault: "another issuer"},
		{name: "no issuer", document: `{"jwks_uri":"https://idp.example/jwks"}`, fault: "another issuer"},
		{
			name: "issuer of another type", document: `{"issuer":["https://idp.example"],"jwks_uri":"https://idp.example/jwks"}`, fault: "another issuer"},
		{
			name: "issuer twice", document: `{"issuer":"https://idp.example","issuer":"https://idp.example","jwks_uri":"https://idp.example/jwks"}`, fault: "duplicate"},
		{name: "no location", document: `{"issuer":"https://idp.example"}`, fault: "not an absolute"},
		{name: "relative location", document: `{"issuer":"https://idp.example","jwks_uri":"/jwks"}`,
			fault: "not an absolute"},
		{
			name: "location with a user", document: `{"issuer":"https://idp.example","jwks_uri":"https://idp.example@evil.example/"}`, fault: "not an absolute"},
		{name: "another host", document: `{"issuer":"https://idp.example","jwks_uri":"https://evil.example/jwks"}`,
			fault: "another origin"},
		{name: "another scheme", document: `{"issuer":"https://idp.example","jwks_uri":"http://idp.example/jwks"}`,
			fault: "another origin"},
		{name: "another port", document: `{"issuer":"https://idp.example","jwks_uri":"https://idp.example:8443/jwks"}`,
			fault: "another origin"},
		{
			name: "another host, allowed", document: `{"issuer":"https://idp.example","jwks_uri":"https://keys.example/jwks"}`, anyOrigin: true, want: "https://keys.example/jwks"},
		{name: "not JSON", document: `<html>`, fault: "byte 0"},
		{name: "not an object", document: `[]`, fault: "object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := jwks.Discovery{Issuer: "https://idp.example",
				URL: "https://idp.example/.well-known/openid-configuration", AnyOrigin: c.anyOrigin}
			got, err := d.Follow(c.document)
			if got != c.want {
				t.Errorf("leads to %q, want %q", got, c.want)
			}
			switch {
			case c.fault == "" && err != nil:
				t.Error(err)
			case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
				t.Errorf("error %v, want %q in it", err, c.fault)
			}
		})
	}
}

// FuzzDiscovery checks that nothing but a document of the issuer leads
// anywhere, and to nowhere but its own origin.
func FuzzDiscovery(f *testing.F) {
	f.Add(`{"issuer":"https://idp.example","jwks_uri":"https://idp.example/jwks"}`)
	f.Add(`{"issuer":"https://idp.example","jwks_uri":"https://idp.example:443?x"}`)
	f.Add(`{"issuer":"https:\/\/idp.example","jwks_uri":"https://idp.example\\@evil.example/"}`)
	f.Fuzz(func(t *testing.T, document string) {
		d := jwks.Discovery{Issuer: "https://idp.example", URL: "https://idp.example/x"}
		got, err := d.Follow(document)
		if err == nil && !strings.HasPrefix(strings.ToLower(got), "https://idp.example") {
			t.Errorf("%q leads to %q", document, got)
		}
		if err == nil {
			if _, authority, _ := httptext.SplitURL(got); !strings.EqualFold(strings.TrimSuffix(authority, ":443"),
				"idp.example") {
				t.Errorf("%q leads to %q", document, authority)
			}
		}
	})
}
