package policy

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"
)

// paths are request targets: the path that rules see, or why there is none.
var paths = []struct {
	name, target string
	want         string
	err          error
}{
	{"root", "/", "/", nil},
	{"plain", "/orders/7", "/orders/7", nil},
	{"slash at the end", "/orders/", "/orders/", nil},
	{"query", "/orders?x=/../a", "/orders", nil},
	{"empty query", "/orders?", "/orders", nil},
	{"query with a question mark", "/orders?a?b", "/orders", nil},
	{"sub-delimiters", "/a!$&'()*+,=:@b", "/a!$&'()*+,=:@b", nil},
	{"unreserved", "/a-b.c_d~e", "/a-b.c_d~e", nil},
	{"segment that begins with a dot", "/.well-known/x", "/.well-known/x", nil},
	{"three dots", "/a/.../b", "/a/.../b", nil},
	{"dots at the end of a segment", "/a../b", "/a../b", nil},
	{"encoded space", "/a%20b", "/a b", nil},
	{"encoded sub-delimiter", "/a%2Bb", "/a+b", nil},
	{"encoded in lower case", "/a%2bb", "/a+b", nil},
	{"encoded UTF-8", "/caf%C3%A9", "/café", nil},
	{"raw UTF-8", "/café", "/café", nil},
	{"encoded percent sign", "/100%25", "/100%", nil},
	{"encoded percent sign before other text", "/100%25-off", "/100%-off", nil},
	{"encoded percent sign before one hex digit", "/100%25a", "/100%a", nil},
	{"encoded braces", "/%7Borg%7D", "/{org}", nil},

	{"nothing", "", "", notOrigin},
	{"query alone", "?x", "", notOrigin},
	{"asterisk", "*", "", notOrigin},
	{"absolute form", "http://example.com/orders", "", notOrigin},
	{"authority form", "example.com:443", "", notOrigin},
	{"no slash", "orders", "", notOrigin},
	{"fragment", "/orders#x", "", fragment},
	{"fragment before a query", "/orders#?x", "", fragment},
	{"two slashes", "/orders//7", "", emptySegment},
	{"two slashes at the beginning", "//orders", "", emptySegment},
	{"two slashes at the end", "/orders//", "", emptySegment},
	{"dot segment", "/a/./b", "", dotSegment},
	{"dot segment at the end", "/a/.", "", dotSegment},
	{"dot segment at the beginning", "/./a", "", dotSegment},
	{"dot-dot segment", "/a/../b", "", dotSegment},
	{"dot-dot segment at the end", "/a/..", "", dotSegment},
	{"dot-dot segment before a query", "/a/..?x", "", dotSegment},
	{"dot-dot segment alone", "/..", "", dotSegment},
	{"backslash", `/a\b`, "", backslash},
	{"backslash for a slash", `/a\..\b`, "", backslash},
	{"path parameter", "/a;x=1/b", "", parameter},
	{"path parameter at the end", "/admin;", "", parameter},
	{"dot-dot segment with a parameter", "/a/..;/b", "", parameter},
	{"dot segment with a parameter", "/a/.;x/b", "", parameter},
	{"parameter alone", "/;/admin", "", parameter},
	{"encoded semicolon", "/a%3Bx", "", hiddenChar},
	{"encoded slash", "/a%2fb", "", hiddenChar},
	{"encoded slash in capitals", "/a%2Fb", "", hiddenChar},
	{"encoded backslash", "/a%5cb", "", hiddenChar},
	{"encoded backslash in capitals", "/a%5Cb", "", hiddenChar},
	{"encoded dot", "/a%2eb", "", hiddenChar},
	{"encoded dot-dot", "/a/%2e%2E/b", "", hiddenChar},
	{"half-encoded dot-dot", "/a/.%2e/b", "", hiddenChar},
	{"encoded question mark", "/a%3Fb", "", hiddenChar},
	{"encoded number sign", "/a%23b", "", hiddenChar},
	{"encoded letter", "/%61dmin", "", hiddenChar},
	{"encoded digit", "/v%31", "", hiddenChar},
	{"encoded hyphen", "/a%2Db", "", hiddenChar},
	{"encoded underscore", "/a%5Fb", "", hiddenChar},
	{"encoded tilde", "/%7Eme", "", hiddenChar},
	{"twice encoded dot", "/a/%252e%252e/b", "", doubleEscape},
	{"twice encoded slash", "/a%252fb", "", doubleEscape},
	{"twice encoded letter", "/%2561dmin", "", doubleEscape},
	{"thrice encoded dot", "/%25252e", "", doubleEscape},
	{"encoded percent sign before %u", "/%25u002e", "", doubleEscape},
	{"encoded NUL", "/a%00", "", control},
	{"encoded line feed", "/a%0ab", "", control},
	{"encoded DEL", "/a%7Fb", "", control},
	{"NUL", "/a\x00", "", control},
	{"tab", "/a\tb", "", control},
	{"line end", "/a\r\nb", "", control},
	{"space", "/a b", "", control},
	{"DEL", "/a\x7f", "", control},
	{"percent sign alone", "/100%", "", badEscape},
	{"percent sign before one digit", "/100%4", "", badEscape},
	{"percent sign before other text", "/100%zz", "", badEscape},
	{"%u as IIS reads it", "/%u002e%u002e", "", badEscape},
	{"overlong dot", "/%c0%ae%c0%ae/", "", notUTF8},
	{"overlong slash", "/a%c0%afb", "", notUTF8},
	{"raw overlong slash", "/a\xc0\xafb", "", notUTF8},
	{"half a character", "/a%C3", "", notUTF8},
	{"character half raw and half encoded", "/caf\xc3%A9", "/café", nil},
}

func TestPathsThatCouldBeReadOtherwiseAreRefused(t *testing.T) {
	for _, tt := range paths {
		t.Run(tt.name, func(t *testing.T) {
			got, err := cleanPath(tt.target)
			if got != tt.want || err != tt.err {
				t.Errorf("cleanPath(%q) = %q, %v; want %q, %v", tt.target, got, err, tt.want, tt.err)
			}
			if err != nil && !errors.Is(err, ErrAmbiguousPath) {
				t.Errorf("%v is no ErrAmbiguousPath", err)
			}
		})
	}
}

// readings are the ways in which upstreams read paths.
var readings = map[string]func(string) (string, bool){
	"resolved":      func(p string) (string, bool) { return slashed(path.Clean(p), p), true },
	"decoded twice": func(p string) (string, bool) { d, err := url.PathUnescape(p); return d, err == nil },
	"parameters cut": func(p string) (string, bool) {
		segments := strings.Split(p, "/")
		for i, s := range segments {
			segments[i], _, _ = strings.Cut(s, ";")
		}
		return strings.Join(segments, "/"), true
	},
	"backslashes turned": func(p string) (string, bool) { return strings.ReplaceAll(p, `\`, "/"), true },
	"cut at NUL":         func(p string) (string, bool) { p, _, _ = strings.Cut(p, "\x00"); return p, true },
	"cut at query":       func(p string) (string, bool) { p, _, _ = strings.Cut(p, "?"); return p, true },
	"cut at fragment":    func(p string) (string, bool) { p, _, _ = strings.Cut(p, "#"); return p, true },
}

func slashed(clean, p string) string {
	if strings.HasSuffix(p, "/") && clean != "/" {
		return clean + "/"
	}
	return clean
}

// checkReadings tests what cleanPath promises: whoever reads the path in one of
// the usual ways, before or after decoding it, finds the same.
func checkReadings(t *testing.T, target string) {
	t.Helper()
	clean, err := cleanPath(target)
	if err != nil {
		return
	}
	raw, _, _ := strings.Cut(target, "?")
	decoded, err := url.PathUnescape(raw)
	if err != nil || decoded != clean {
		t.Fatalf("cleanPath(%q) = %q, url.PathUnescape %q, %v", target, clean, decoded, err)
	}
	for name, read := range readings {
		if again, ok := read(clean); ok && again != clean {
			t.Errorf("%s after decoding %q: %q", name, clean, again)
		}
		if name == "decoded twice" {
			continue
		}
		if before, _ := read(raw); before != raw {
			t.Errorf("%s before decoding %q: %q", name, raw, before)
		}
	}
}

func TestAcceptedPathsReadTheSameForAll(t *testing.T) {
	for _, tt := range paths {
		checkReadings(t, tt.target)
	}
}

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
		{"two dots at the end", "api.example.com..", "", emptyLabel},
		{"two dots", "api..example.com", "", emptyLabel},
		{"dot at the beginning", ".example.com", "", emptyLabel},
		{"dot alone", ".", "", emptyLabel},
		{"user information", "me@api.example.com", "", badHost},
		{"encoded letter", "%61pi.example.com", "", badHost},
		{"asterisk", "*.example.com", "", badHost},
		{"space", "api.example.com x", "", badHost},
		{"NUL", "api.example.com\x00", "", badHost},
		{"comma", "api.example.com,evil.example", "", badHost},
		{"slash", "api.example.com/x", "", badHost},
		{"not ASCII", "äpi.example.com", "", badHost},
		{"port that is no number", "api.example.com:http", "", badPort},
		{"user information with a password", "me:secret@api.example.com", "", badPort},
		{"two ports", "api.example.com:80:81", "", badHost},
		{"IPv6 without brackets", "2001:db8::1", "", badHost},
		{"IPv6 without its end", "[::1", "", badHost},
		{"IPv6 and more", "[::1]x", "", badHost},
		{"brackets with a name", "[api]", "", badHost},
		{"empty brackets", "[]", "", badHost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := cleanHost(tt.authority)
			if got != tt.want || err != tt.err {
				t.Errorf("cleanHost(%q) = %q, %v; want %q, %v", tt.authority, got, err, tt.want, tt.err)
			}
		})
	}
}
