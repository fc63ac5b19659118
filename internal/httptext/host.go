package httptext

import (
	"errors"
	"fmt"
	"strings"
)

// ErrHost is the error for an authority without a host that everybody reads alike.
// What is wrong with it follows in the text, which holds nothing of it.
var ErrHost = errors.New("ambiguous host")

var (
	errHost       = fmt.Errorf("%w: a character that no host has", ErrHost)
	errEmptyLabel = fmt.Errorf("%w: an empty label", ErrHost)
	errPort       = fmt.Errorf("%w: a bad port", ErrHost)
)

// CleanHost returns the host of an authority (RFC 3986 §3.2.2) in lower case,
// without the port and without a dot at the end: a name, an IPv4 address, or an
// IPv6 address in brackets. No authority has no host. The error is an
// [ErrHost]: the authority has user information, an encoded byte or an
// empty label in it, or something else that no host has.
func CleanHost(authority string) (string, error) {
	host, err := cutPort(authority)
	if err != nil || host == "" {
		return "", err
	}
	if host[0] == '[' {
		return cleanIPv6(host)
	}
	host = strings.TrimSuffix(host, ".")
	label := 0 // where the current label begins
	for i := range len(host) {
		switch c := host[i]; {
		case c == '.':
			if i == label {
				return "", errEmptyLabel
			}
			label = i + 1
		case !isAlphanumeric(c) && c != '-' && c != '_':
			return "", errHost
		}
	}
	if label == len(host) {
		return "", errEmptyLabel
	}
	return strings.ToLower(host), nil
}

func cleanIPv6(host string) (string, error) {
	address, ok := strings.CutSuffix(host[1:], "]")
	if !ok || !strings.Contains(address, ":") || strings.Trim(address, "0123456789abcdefABCDEF:.") != "" {
		return "", errHost
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
			return "", errPort
		}
	}
	return authority[:colon], nil
}
