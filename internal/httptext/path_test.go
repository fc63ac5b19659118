package httptext

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
	{"dots at the end of a segment", "/a../b", "/a../b", nil},
	{"dot at the end, which some upstreams cut off", "/admin.", "/admin.", nil},
	{"blank at the end, which some upstreams cut off", "/admin%20", "/admin ", nil},
	{"encoded space", "/a%20b", "/a b", nil},
	{"encoded space and a dot beside a letter", "/%20.a", "/ .a", nil},
	{"encoded sub-delimiter", "/a%2Bb", "/a+b", nil},
	{"encoded in lower case", "/a%2bb", "/a+b", nil},
	{"encoded UTF-8", "/caf%C3%A9", "/café", nil},
	{"raw UTF-8", "/café", "/café", nil},
	{"encoded percent sign", "/100%25", "/100%", nil},
	{"encoded percent sign before other text", "/100%25-off", "/100%-off", nil},
	{"encoded percent sign before one hex digit", "/100%25a", "/100%a", nil},
	{"encoded braces", "/%7Borg%7D", "/{org}", nil},

	{"nothing", "", "", errNotOrigin},
	{"query alone", "?x", "", errNotOrigin},
	{"asterisk", "*", "", errNotOrigin},
	{"absolute form", "http://example.com/orders", "", errNotOrigin},
	{"authority form", "example.com:443", "", errNotOrigin},
	{"no slash", "orders", "", errNotOrigin},
	{"fragment", "/orders#x", "", errFragment},
	{"fragment before a query", "/orders#?x", "", errFragment},
	{"two slashes", "/orders//7", "", errEmptySegment},
	{"two slashes at the beginning", "//orders", "", errEmptySegment},
	{"two slashes at the end", "/orders//", "", errEmptySegment},
	{"dot segment", "/a/./b", "", errDotSegment},
	{"dot segment at the end", "/a/.", "", errDotSegment},
	{"dot segment at the beginning", "/./a", "", errDotSegment},
	{"dot-dot segment", "/a/../b", "", errDotSegment},
	{"dot-dot segment at the end", "/a/..", "", errDotSegment},
	{"dot-dot segment before a query", "/a/..?x", "", errDotSegment},
	{"dot-dot segment alone", "/..", "", errDotSegment},
	{"three dots", "/a/.../b", "", errDotSegment},
	{"three dots at the end", "/a/...", "", errDotSegment},
	{"dots and a blank", "/a/..%20/b", "", errDotSegment},
	{"a blank and a dot", "/a/%20.", "", errDotSegment},
	{"a blank alone", "/a/%20/b", "", errDotSegment},
	{"blanks alone at the end", "/%20%20?x", "", errDotSegment},
	{"backslash", `/a\b`, "", errBackslash},
	{"backslash for a slash", `/a\..\b`, "", errBackslash},
	{"path parameter", "/a;x=1/b", "", errSemicolon},
	{"path parameter at the end", "/admin;", "", errSemicolon},
	{"dot-dot segment with a parameter", "/a/..;/b", "", errSemicolon},
	{"dot segment with a parameter", "/a/.;x/b", "", errSemicolon},
	{"parameter alone", "/;/admin", "", errSemicolon},
	{"encoded semicolon", "/a%3Bx", "", errHidden},
	{"encoded slash", "/a%2fb", "", errHidden},
	{"encoded slash in capitals", "/a%2Fb", "", errHidden},
	{"encoded backslash", "/a%5cb", "", errHidden},
	{"encoded backslash in capitals", "/a%5Cb", "", errHidden},
	{"encoded dot", "/a%2eb", "", errHidden},
	{"encoded dot-dot", "/a/%2e%2E/b", "", errHidden},
	{"half-encoded dot-dot", "/a/.%2e/b", "", errHidden},
	{"encoded question mark", "/a%3Fb", "", errHidden},
	{"encoded number sign", "/a%23b", "", errHidden},
	{"encoded letter", "/%61dmin", "", errHidden},
	{"encoded digit", "/v%31", "", errHidden},
	{"encoded hyphen", "/a%2Db", "", errHidden},
	{"encoded underscore", "/a%5Fb", "", errHidden},
	{"encoded tilde", "/%7Eme", "", errHidden},
	{"twice encoded dot", "/a/%252e%252e/b", "", errDoubleEscape},
	{"twice encoded slash", "/a%252fb", "", errDoubleEscape},
	{"twice encoded letter", "/%2561dmin", "", errDoubleEscape},
	{"thrice encoded dot", "/%25252e", "", errDoubleEscape},
	{"encoded percent sign before %u", "/%25u002e", "", errDoubleEscape},
	{"encoded NUL", "/a%00", "", errControl},
	{"encoded line feed", "/a%0ab", "", errControl},
	{"encoded DEL", "/a%7Fb", "", errControl},
	{"NUL", "/a\x00", "", errControl},
	{"tab", "/a\tb", "", errControl},
	{"line end", "/a\r\nb", "", errControl},
	{"space", "/a b", "", errControl},
	{"DEL", "/a\x7f", "", errControl},
	{"percent sign alone", "/100%", "", errEscape},
	{"percent sign before one digit", "/100%4", "", errEscape},
	{"percent sign before other text", "/100%zz", "", errEscape},
	{"%u as IIS reads it", "/%u002e%u002e", "", errEscape},
	{"overlong dot", "/%c0%ae%c0%ae/", "", errNotUTF8},
	{"overlong slash", "/a%c0%afb", "", errNotUTF8},
	{"raw overlong slash", "/a\xc0\xafb", "", errNotUTF8},
	{"half a character", "/a%C3", "", errNotUTF8},
	{"the lesser half of a character", "/a%80", "", errNotUTF8},
	{"the lesser half of a character, raw", "/a\x80", "", errNotUTF8},
	{"character half raw and half encoded", "/caf\xc3%A9", "/café", nil},
}

func TestPathsThatCouldBeReadOtherwiseAreRefused(t *testing.T) {
	for _, tt := range paths {
		t.Run(tt.name, func(t *testing.T) {
			got, err := (Paths{}).Clean(tt.target)
			if got != tt.want || err != tt.err {
				t.Errorf("Clean(%q) = %q, %v; want %q, %v", tt.target, got, err, tt.want, tt.err)
			}
			if err != nil && !errors.Is(err, ErrAmbiguous) {
				t.Errorf("%v is no ErrAmbiguous", err)
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
	"blank segments cut off": func(p string) (string, bool) {
		segments := strings.Split(p, "/")
		last := len(segments) - 1
		kept := segments[:1]
		for i, s := range segments[1:] {
			if i+1 == last && s == "" || strings.Trim(s, ". ") != "" {
				kept = append(kept, s)
			}
		}
		return strings.Join(kept, "/"), true
	},
	"cut at NUL":      func(p string) (string, bool) { p, _, _ = strings.Cut(p, "\x00"); return p, true },
	"cut at query":    func(p string) (string, bool) { p, _, _ = strings.Cut(p, "?"); return p, true },
	"cut at fragment": func(p string) (string, bool) { p, _, _ = strings.Cut(p, "#"); return p, true },
}

func slashed(clean, p string) string {
	if strings.HasSuffix(p, "/") && clean != "/" {
		return clean + "/"
	}
	return clean
}

// checkReadings tests what [Paths.Clean] promises: whoever reads the path in one of
// the usual ways, before or after decoding it, finds the same.
func checkReadings(t *testing.T, target string) {
	t.Helper()
	clean, err := (Paths{}).Clean(target)
	if err != nil {
		return
	}
	raw, _, _ := strings.Cut(target, "?")
	decoded, err := url.PathUnescape(raw)
	if err != nil || decoded != clean {
		t.Fatalf("Clean(%q) = %q, url.PathUnescape %q, %v", target, clean, decoded, err)
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

// TestPathsAsUpstreamsReadThem: what the upstreams are said to take as it is, is
// no ambiguity, and all else still is.
func TestPathsAsUpstreamsReadThem(t *testing.T) {
	slash, semicolon, empty := Paths{EncodedSlash: true}, Paths{Semicolon: true}, Paths{EmptySegment: true}
	for _, tt := range []struct {
		name         string
		paths        Paths
		target, want string
		err          error
	}{
		{"encoded slash", slash, "/projects/a%2fb/files", "/projects/a%2Fb/files", nil},
		{"encoded slash and others", slash, "/@scope%2Fpkg%2Bx", "/@scope%2Fpkg+x", nil},
		{"encoded slash at the end", slash, "/a%2F", "/a%2F", nil},
		{"encoded slashes side by side", slash, "/a%2F%2Fb", "/a%2F%2Fb", nil},
		{"encoded slash, and a dot segment before it", slash, "/a/..%2Fb", "", errDotSegment},
		{"encoded slash, and a dot segment behind it", slash, "/a%2F../b", "", errDotSegment},
		{"encoded slash, and a blank one between two", slash, "/a%2F%20.%2Fb", "", errDotSegment},
		{"encoded slash, and a dot segment", slash, "/a%2Fb/..", "", errDotSegment},
		{"encoded twice", slash, "/a%252Fb", "", errDoubleEscape},
		{"encoded slash and backslash", slash, "/a%2Fb%5Cc", "", errHidden},
		{"semicolon behind dots", semicolon, "/a/..;x/b", "", errDotSegment},
		{"semicolon that is encoded, behind dots", semicolon, "/a/.%3Bx", "", errDotSegment},
		{"semicolon before dots", semicolon, "/a;../b", "/a;../b", nil},
		{"semicolon first", semicolon, "/;x", "/;x", nil},
		{"encoded slash and semicolon", slash, "/a%2Fb;c", "", errSemicolon},
		{"encoded slash and empty segment", slash, "/a%2Fb//c", "", errEmptySegment},
		{"semicolon", semicolon, "/a;x=1/b", "/a;x=1/b", nil},
		{"semicolon, encoded", semicolon, "/a%3Bx=1/b", "/a;x=1/b", nil},
		{"semicolon and a dot segment", semicolon, "/a;x/../b", "", errDotSegment},
		{"semicolon and encoded slash", semicolon, "/a;x%2Fb", "", errHidden},
		{"empty segment", empty, "/v1//x", "/v1//x", nil},
		{"empty segment first", empty, "//v1", "//v1", nil},
		{"empty segments alone", empty, "///", "///", nil},
		{"empty segment and a dot segment", empty, "/v1//../x", "", errDotSegment},
		{"empty segment and a blank one", empty, "/v1//%20/x", "", errDotSegment},
		{"all of them", Paths{true, true, true}, "//a%2Fb;c", "//a%2Fb;c", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.paths.Clean(tt.target)
			if got != tt.want || err != tt.err {
				t.Errorf("Clean(%q) = %q, %v; want %q, %v", tt.target, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestText(t *testing.T) {
	for segment, want := range map[string]string{"": "", "a+b": "a+b", "a%2Fb%2F": "a/b/", "%2Fa": "/a",
		"100%": "100%"} {
		if got := Text(segment); got != want {
			t.Errorf("Text(%q) = %q, want %q", segment, got, want)
		}
	}
}

// checkKept tests what [Paths.Clean] promises of segments, whatever is kept.
func checkKept(t *testing.T, paths Paths, target string) {
	t.Helper()
	clean, err := paths.Clean(target)
	if err != nil {
		if clean != "" || !errors.Is(err, ErrAmbiguous) {
			t.Errorf("Clean(%q) = %q, %v", target, clean, err)
		}
		return
	}
	raw, _, _ := strings.Cut(target, "?")
	segments := strings.Split(clean, "/")
	for i, segment := range strings.Split(raw, "/") {
		decoded, err := url.PathUnescape(segment)
		if err != nil || Text(segments[i]) != decoded {
			t.Errorf("Clean(%q) = %q: segment %d is %q, not %q (%v)", target, clean, i, Text(segments[i]), decoded, err)
		}
		for _, part := range strings.Split(decoded, "/") {
			if part != "" && strings.Trim(part, ". ") == "" {
				t.Errorf("Clean(%q) = %q has %q in it", target, clean, part)
			}
		}
	}
}

func TestAcceptedPathsReadTheSameForAll(t *testing.T) {
	for _, tt := range paths {
		checkReadings(t, tt.target)
	}
}
