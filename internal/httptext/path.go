package httptext

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrAmbiguous is the error for a path that can be read in two ways. What is
// ambiguous about it follows in the text, which holds nothing of the path itself.
var ErrAmbiguous = errors.New("ambiguous path")

var (
	errNotOrigin    = fmt.Errorf("%w: not in origin form", ErrAmbiguous)
	errFragment     = fmt.Errorf("%w: fragment", ErrAmbiguous)
	errControl      = fmt.Errorf("%w: control character or space", ErrAmbiguous)
	errBackslash    = fmt.Errorf("%w: backslash", ErrAmbiguous)
	errSemicolon    = fmt.Errorf("%w: path parameter", ErrAmbiguous)
	errEmptySegment = fmt.Errorf("%w: empty segment", ErrAmbiguous)
	errDotSegment   = fmt.Errorf("%w: dot segment", ErrAmbiguous)
	errEscape       = fmt.Errorf("%w: bad percent-encoding", ErrAmbiguous)
	errHidden       = fmt.Errorf("%w: needless or structural percent-encoding", ErrAmbiguous)
	errDoubleEscape = fmt.Errorf("%w: double percent-encoding", ErrAmbiguous)
	errNotUTF8      = fmt.Errorf("%w: not UTF-8", ErrAmbiguous)
)

// Paths says how the upstreams read paths. The zero value trusts none of them:
// whatever could be read in two ways is ambiguous.
type Paths struct {
	// EncodedSlash: "%2F" is an ordinary part of a segment.
	EncodedSlash bool
	// Semicolon: ";" is an ordinary part of a segment, and begins no parameter.
	Semicolon bool
	// EmptySegment: "//" has an empty segment in it, and is not merged.
	EmptySegment bool
}

// Clean returns the path of a request target (RFC 9112 §3.2.1), decoded and
// without the query. The error is an [ErrAmbiguous] if an upstream could find
// another path in the target: one that decodes twice or not at all, resolves dot
// segments, merges slashes, reads backslashes as slashes, or cuts parameters
// off. These are ambiguous:
//
//   - targets not in origin form (RFC 9112 §3.2);
//   - segments of nothing but dots and blanks once decoded, also before a ";" or
//     beside a "%2F", "\", "#", control characters and spaces;
//   - "//", unless it is kept;
//   - ";", unless it is kept: some servers cut it and what follows off the segment;
//   - "%" without two hex digits;
//   - an encoded "/" and ";", unless they are kept; an encoded "\", "?", "#" or
//     control character; an encoded letter, digit, "-", ".", "_" or "~" (RFC 3986
//     §2.3), which need no encoding;
//   - an encoded "%" before two hex digits or a "u", which a second decoding
//     would read as another character;
//   - what is not UTF-8 once decoded, overlong forms included.
//
// The decoded path has the segments of the target. A "%2F" that is part of a
// segment stays as it is, in capitals: nothing else decodes to that text. The
// path is the target itself, not a copy, if nothing in it is encoded.
func (p Paths) Clean(target string) (string, error) {
	path, _, _ := strings.Cut(target, "?")
	if path == "" || path[0] != '/' {
		return "", errNotOrigin
	}
	escaped, nonASCII := false, false
	segment := 1 // where the current segment begins
	part := 1    // where its part after the last "%2F" begins
	for i := 1; i < len(path); i++ {
		switch c := path[i]; {
		case c <= ' ' || c == 0x7f:
			return "", errControl
		case c == '#':
			return "", errFragment
		case c == '\\':
			return "", errBackslash
		case c == ';' && !p.Semicolon:
			return "", errSemicolon
		case c == ';' && isBlank(path[part:i]):
			return "", errDotSegment
		case c == '/':
			if i == segment && !p.EmptySegment {
				return "", errEmptySegment
			}
			if isBlank(path[part:i]) {
				return "", errDotSegment
			}
			segment, part = i+1, i+1
		case c == '%':
			d, err := p.unescape(path[i:])
			if err != nil {
				return "", err
			}
			if (d == '/' || d == ';') && isBlank(path[part:i]) {
				return "", errDotSegment
			}
			if d == '/' {
				part = i + 3
			}
			nonASCII = nonASCII || d >= utf8.RuneSelf
			escaped = true
			i += 2
		case c >= utf8.RuneSelf:
			nonASCII = true
		}
	}
	if isBlank(path[part:]) {
		return "", errDotSegment
	}
	if escaped {
		path = DecodePath(path)
	}
	if nonASCII && !utf8.ValidString(path) {
		return "", errNotUTF8
	}
	return path, nil
}

// isBlank reports whether a segment, or a part of one, is nothing but dots and
// blanks once decoded. Some servers resolve it as "." or "..", or cut it off.
func isBlank(segment string) bool {
	for i := 0; i < len(segment); i++ {
		switch {
		case segment[i] == '.':
		case strings.HasPrefix(segment[i:], "%20"):
			i += 2
		default:
			return false
		}
	}
	return segment != ""
}

// unescape returns the byte that the escape at the beginning of s stands for, or
// why it may not stand there.
func (p Paths) unescape(s string) (byte, error) {
	c, ok := HexPair(s[1:])
	switch {
	case !ok:
		return 0, errEscape
	case c < ' ' || c == 0x7f:
		return 0, errControl
	case c == '/' && p.EncodedSlash, c == ';' && p.Semicolon:
		return c, nil
	case isUnreserved(c), strings.IndexByte(`/\;?#`, c) >= 0:
		return 0, errHidden
	case c == '%':
		if _, again := HexPair(s[3:]); again || len(s) > 3 && s[3]|0x20 == 'u' {
			return 0, errDoubleEscape
		}
	}
	return c, nil
}

// isUnreserved is RFC 3986 §2.3: encoded or not, these are the same.
func isUnreserved(c byte) bool {
	return isAlphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

const encodedSlash = "%2F"

// DecodePath decodes a path, or a segment of one, that [Paths.Clean] has nothing
// against, and leaves "%2F" as it is, in capitals.
func DecodePath(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c, ok := byte(0), false
		if s[i] == '%' {
			c, ok = HexPair(s[i+1:])
		}
		switch {
		case !ok:
			b = append(b, s[i])
			continue
		case c == '/':
			b = append(b, encodedSlash...)
		default:
			b = append(b, c)
		}
		i += 2
	}
	return string(b)
}

// Text returns the text that a segment of a clean path stands for: the segment,
// with a slash for each "%2F".
func Text(segment string) string { return strings.ReplaceAll(segment, encodedSlash, "/") }
