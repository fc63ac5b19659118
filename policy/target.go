package policy

import (
	"strings"
	"unicode/utf8"
)

// The request target, read so that the upstream cannot read it otherwise.

const (
	notOrigin     = ambiguity("not in origin form")
	fragment      = ambiguity("fragment")
	control       = ambiguity("control character or space")
	backslash     = ambiguity("backslash")
	parameter     = ambiguity("path parameter")
	emptySegment  = ambiguity("empty segment")
	dotSegment    = ambiguity("dot segment")
	badEscape     = ambiguity("bad percent-encoding")
	hiddenChar    = ambiguity("needless or structural percent-encoding")
	doubleEscape  = ambiguity("double percent-encoding")
	notUTF8       = ambiguity("not UTF-8")
	badHost       = ambiguity("host with a character that no host has")
	emptyLabel    = ambiguity("host with an empty label")
	badPort       = ambiguity("host with a bad port")
	asteriskPath  = "*"
	optionsMethod = "OPTIONS"
)

// cleanPath returns the path of a request target (RFC 9112 §3.2.1), decoded
// and without the query, or an ambiguity if an upstream could find another
// path in it: one that decodes twice or not at all, resolves dot segments,
// merges slashes, turns backslashes, or cuts path parameters off.
//
// The decoded path has the same segments as the target. It is the target
// itself, not a copy, where nothing is encoded.
func cleanPath(target string) (string, error) {
	path, _, _ := strings.Cut(target, "?")
	if path == "" || path[0] != '/' {
		return "", notOrigin
	}
	escapes, nonASCII := 0, false
	segment := 1 // where the current segment begins
	for i := 1; i < len(path); i++ {
		switch c := path[i]; {
		case c <= ' ' || c == 0x7f:
			return "", control
		case c == '#':
			return "", fragment
		case c == '\\':
			return "", backslash
		case c == ';':
			return "", parameter
		case c == '/':
			if i == segment {
				return "", emptySegment
			}
			if isDots(path[segment:i]) {
				return "", dotSegment
			}
			segment = i + 1
		case c == '%':
			d, err := unescape(path[i:])
			if err != nil {
				return "", err
			}
			nonASCII = nonASCII || d >= utf8.RuneSelf
			escapes++
			i += 2
		case c >= utf8.RuneSelf:
			nonASCII = true
		}
	}
	if isDots(path[segment:]) {
		return "", dotSegment
	}
	if escapes > 0 {
		path = decodePath(path)
	}
	if nonASCII && !utf8.ValidString(path) {
		return "", notUTF8
	}
	return path, nil
}

func isDots(segment string) bool { return segment == "." || segment == ".." }

// unescape returns the byte that the escape at the beginning of s stands for,
// or why it may not stand there.
func unescape(s string) (byte, error) {
	c, ok := hexPair(s[1:])
	switch {
	case !ok:
		return 0, badEscape
	case c < ' ' || c == 0x7f:
		return 0, control
	case isUnreserved(c), strings.IndexByte(`/\;?#`, c) >= 0:
		return 0, hiddenChar
	case c == '%':
		if _, again := hexPair(s[3:]); again || len(s) > 3 && s[3]|0x20 == 'u' {
			return 0, doubleEscape
		}
	}
	return c, nil
}

// decodePath decodes every percent-encoded byte. What is no encoding stays.
func decodePath(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			if c, ok := hexPair(s[i+1:]); ok {
				b = append(b, c)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func hexPair(s string) (byte, bool) {
	if len(s) < 2 {
		return 0, false
	}
	hi, ok1 := hexDigit(s[0])
	lo, ok2 := hexDigit(s[1])
	return hi<<4 | lo, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// isUnreserved is RFC 3986 §2.3: encoded or not, these are the same.
func isUnreserved(c byte) bool {
	return isAlphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
}

// cleanHost returns the host of an authority in lower case, without the port
// and without a dot at the end, or an ambiguity if it is no plain host: one
// with user information, an encoded byte or an empty label.
func cleanHost(authority string) (string, error) {
	host, err := cutPort(authority)
	if err != nil || host == "" {
		return "", err
	}
	if host[0] == '[' {
		return cleanIPv6(host)
	}
	host = strings.TrimSuffix(host, ".")
	label := 0 // where the current label begins
	for i := 0; i < len(host); i++ {
		switch c := host[i]; {
		case c == '.':
			if i == label {
				return "", emptyLabel
			}
			label = i + 1
		case !isAlphanumeric(c) && c != '-' && c != '_':
			return "", badHost
		}
	}
	if label == len(host) {
		return "", emptyLabel
	}
	return strings.ToLower(host), nil
}

func cleanIPv6(host string) (string, error) {
	if host[len(host)-1] != ']' || len(host) < 4 {
		return "", badHost
	}
	for i := 1; i < len(host)-1; i++ {
		if _, hex := hexDigit(host[i]); !hex && host[i] != ':' && host[i] != '.' {
			return "", badHost
		}
	}
	return strings.ToLower(host), nil
}

func cutPort(authority string) (string, error) {
	colon := strings.LastIndexByte(authority, ':')
	if colon < 0 || colon < strings.LastIndexByte(authority, ']') {
		return authority, nil
	}
	for i := colon + 1; i < len(authority); i++ {
		if authority[i] < '0' || authority[i] > '9' {
			return "", badPort
		}
	}
	return authority[:colon], nil
}
