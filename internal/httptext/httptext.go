// Package httptext is the one grammar of HTTP's parts: paths, hosts, names of
// headers, URLs. The same functions read the configuration, the rules and the
// requests, so all of them understand a text alike.
//
// # Paths and hosts
//
// [Paths.Clean] and [CleanHost] return a path and a host as everybody reads them.
// With [ErrAmbiguous] and [ErrHost], an upstream may read the text in another way,
// so no rule may be chosen by it.
//
// # Names
//
// CGI and its kin (RFC 3875 §4.1.18) hand X_Wso2_Username and X-WSO2-Username to
// the application under one name. [Fold] returns the same text for all such
// spellings, and [SameName] compares two of them.
//
// The package is a leaf. Its functions say when they allocate or fail. It replaces
// net/url, which would make the plugin much larger.
package httptext

import "strings"

// IsToken reports whether s is a token (RFC 9110 §5.6.2): the name of a header,
// of a method or of an authentication scheme.
func IsToken(s string) bool {
	for i := range len(s) {
		if !IsTokenChar(s[i]) {
			return false
		}
	}
	return s != ""
}

// IsTokenChar reports whether a token may hold the character.
func IsTokenChar(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// IsASCII reports whether s holds ASCII alone.
func IsASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// CutPrefixFold is [strings.CutPrefix], ignoring the case of ASCII letters.
func CutPrefixFold(s, prefix string) (rest string, ok bool) {
	if !HasPrefixFold(s, prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// HasPrefixFold is [strings.HasPrefix], ignoring the case of ASCII letters.
func HasPrefixFold(s, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if lower(s[i]) != lower(prefix[i]) {
			return false
		}
	}
	return true
}

// Fold returns what all spellings of a name have in common: its letters in lower
// case and its digits, with a "-" for each other byte.
func Fold(name string) string {
	b := []byte(name)
	for i, c := range b {
		b[i] = FoldByte(c)
	}
	return string(b)
}

// FoldByte folds one byte of a name: see [Fold].
func FoldByte(c byte) byte {
	if !isAlphanumeric(c) {
		return '-'
	}
	return lower(c)
}

// SameName reports whether two names are the same once folded. It costs no
// allocation.
func SameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if FoldByte(a[i]) != FoldByte(b[i]) {
			return false
		}
	}
	return true
}

// HexPair returns the byte that the two hexadecimal digits at the beginning of s
// stand for, or false if there are none.
func HexPair(s string) (byte, bool) {
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

func isAlphanumeric(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
