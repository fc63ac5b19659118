package httptext

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What is wrong with a location. No text repeats a part of it.
var (
	// ErrUserInfo is the error for a location with a user name or a password:
	// it must not be repeated to anybody.
	ErrUserInfo = errors.New("must not hold a user name or password")

	errNotAbsolute = errors.New("must be an absolute http(s) URL")
	errURLFragment = errors.New("must not have a fragment")
	errUnencoded   = fmt.Errorf("%w without spaces and other characters that must be percent-encoded", errNotAbsolute)
	errNoURLHost   = fmt.Errorf("%w with a host", errNotAbsolute)
	errURLPort     = fmt.Errorf("%w with a port from 1 to 65535", errNotAbsolute)
)

// CheckURL returns what is wrong with the location of a document: it must be an
// absolute http or https URL with a host, and without user information,
// fragment, and characters that must be percent-encoded (RFC 3986 §2).
func CheckURL(url string) error {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return errNotAbsolute
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	switch {
	case strings.Contains(authority, "@"):
		return ErrUserInfo
	case strings.Contains(rest, "#"):
		return errURLFragment
	case !IsASCII(url) || strings.ContainsFunc(url, mustBeEncoded):
		return errUnencoded
	}
	host, port, hasPort := authority, "", false
	if colon := strings.LastIndexByte(authority, ':'); colon > strings.LastIndexByte(authority, ']') {
		host, port, hasPort = authority[:colon], authority[colon+1:], true
	}
	if clean, err := CleanHost(host); err != nil || host == "" || clean != strings.ToLower(host) {
		return errNoURLHost
	}
	if n, err := strconv.ParseUint(port, 10, 16); hasPort && (err != nil || n == 0) {
		return errURLPort
	}
	return nil
}

func mustBeEncoded(c rune) bool {
	return c <= ' ' || c == 0x7f || strings.ContainsRune("\"<>\\^`{|}", c)
}

// SplitURL takes apart a URL that [CheckURL] has nothing against. Without a path,
// the target is "/".
func SplitURL(url string) (scheme, authority, target string) {
	scheme, rest, _ := strings.Cut(url, "://")
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		return scheme, rest, "/"
	}
	authority, target = rest[:end], rest[end:]
	if target[0] == '?' {
		target = "/" + target
	}
	return scheme, authority, target
}
