package httptext

import (
	"errors"
	"testing"
)

func TestHosts(t *testing.T) {
	for _, tt := range []struct {
		name, authority string
		want            string
		err             error
	}{
		{"none", "", "", nil},
		{"plain", "api.example.com", "api.example.com", nil},
		{"port", "api.example.com:8443", "api.example.com", nil},
		{"the first and the last of letters and digits", "AZ.az.09:0987654321", "az.az.09", nil},
		{"empty port", "api.example.com:", "api.example.com", nil},
		{"capitals", "API.Example.COM", "api.example.com", nil},
		{"dot at the end", "api.example.com.", "api.example.com", nil},
		{"dot at the end and a port", "api.example.com.:80", "api.example.com", nil},
		{"underscore", "my_service.local", "my_service.local", nil},
		{"IPv4", "127.0.0.1:80", "127.0.0.1", nil},
		{"IPv6", "[::1]", "[::1]", nil},
		{"IPv6 and a port", "[2001:DB8::1]:8080", "[2001:db8::1]", nil},
		{"two dots at the end", "api.example.com..", "", errEmptyLabel},
		{"two dots", "api..example.com", "", errEmptyLabel},
		{"dot at the beginning", ".example.com", "", errEmptyLabel},
		{"dot alone", ".", "", errEmptyLabel},
		{"user information", "me@api.example.com", "", errHost},
		{"encoded letter", "%61pi.example.com", "", errHost},
		{"asterisk", "*.example.com", "", errHost},
		{"space", "api.example.com x", "", errHost},
		{"NUL", "api.example.com\x00", "", errHost},
		{"comma", "api.example.com,evil.example", "", errHost},
		{"slash", "api.example.com/x", "", errHost},
		{"not ASCII", "äpi.example.com", "", errHost},
		{"port that is no number", "api.example.com:http", "", errPort},
		{"user information with a password", "me:secret@api.example.com", "", errPort},
		{"port that begins with a letter", "api.example.com:x1", "", errPort},
		{"port alone", ":80", "", nil},
		{"two ports", "api.example.com:80:81", "", errHost},
		{"IPv6 without brackets", "2001:db8::1", "", errHost},
		{"IPv6 without its end", "[::1", "", errHost},
		{"IPv6 and more", "[::1]x", "", errHost},
		{"brackets with a name", "[api]", "", errHost},
		{"brackets with hexadecimal digits alone", "[abc]", "", errHost},
		{"brackets with a colon alone", "[:]", "[:]", nil},
		{"empty brackets", "[]", "", errHost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := CleanHost(tt.authority)
			if got != tt.want || err != tt.err {
				t.Errorf("CleanHost(%q) = %q, %v; want %q, %v", tt.authority, got, err, tt.want, tt.err)
			}
			if err != nil && (!errors.Is(err, ErrHost) || errors.Is(err, ErrAmbiguous)) {
				t.Errorf("%v is no ErrHost", err)
			}
		})
	}
}
