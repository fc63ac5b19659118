package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"orgate/host"
)

// hopByHop are the headers that concern one connection (RFC 9110 §7.6.1), and
// those that net/http and this gateway write themselves.
var hopByHop = map[string]bool{
	"connection":          true,
	"expect":              true, // answered by this gateway
	"keep-alive":          true,
	"proxy-authenticate":  true,
	"proxy-authorization": true,
	"proxy-connection":    true,
	"te":                  true,
	"trailer":             true,
	"transfer-encoding":   true,
	"upgrade":             true,
	"http2-settings":      true,
}

// endToEnd drops the headers that concern the connection and those that
// Connection names.
func endToEnd(h http.Header) http.Header {
	named := map[string]bool{}
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			named[strings.ToLower(strings.TrimSpace(name))] = true
		}
	}
	kept := make(http.Header, len(h))
	for name, values := range h {
		if lower := strings.ToLower(name); !hopByHop[lower] && !named[lower] {
			kept[name] = values
		}
	}
	return kept
}

// pairs flattens a header: names in lower case and sorted, values in the order
// they came in.
func pairs(h http.Header) host.Headers {
	var list host.Headers
	for name, values := range h {
		for _, v := range values {
			list = append(list, [2]string{strings.ToLower(name), v})
		}
	}
	slices.SortStableFunc(list, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return list
}

// headerOf is the reverse of pairs. Pseudo-headers and the headers of the
// connection are left out.
func headerOf(list host.Headers) http.Header {
	h := make(http.Header, len(list))
	for _, p := range list {
		if strings.HasPrefix(p[0], ":") || hopByHop[p[0]] || p[0] == "host" {
			continue
		}
		name := http.CanonicalHeaderKey(p[0])
		h[name] = append(h[name], p[1])
	}
	return h
}

// requestHeaders are the headers of a request as the plugin sees them. The path
// is that of originForm.
func requestHeaders(r *http.Request, path string) host.Headers {
	list := host.Headers{
		{":authority", r.Host},
		{":path", path},
		{":method", r.Method},
		{":scheme", "http"},
	}
	list = append(list, pairs(endToEnd(r.Header))...)
	if _, ok := list.Get("x-request-id"); !ok {
		list = append(list, [2]string{"x-request-id", requestID()})
	}
	return list
}

// originForm is a request's target without the scheme and authority that a
// client may have sent (RFC 9112 §3.2.2). It reports false for what is neither
// an http(s) URL nor a path, nor the "*" of OPTIONS.
func originForm(method, target string) (path string, ok bool) {
	if strings.HasPrefix(target, "/") {
		return target, true
	}
	if target == "*" {
		return target, method == http.MethodOptions
	}
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", false
	}
	i := strings.IndexAny(rest, "/?")
	switch {
	case i < 0:
		return "/", true
	case rest[i] == '?':
		return "/" + rest[i:], true
	}
	return rest[i:], true
}

// pathOnly is a request's path without the query, which is nobody's business
// but the upstream's.
func pathOnly(r *http.Request) string {
	path, _ := originForm(r.Method, r.RequestURI)
	path, _, _ = strings.Cut(path, "?")
	return path
}

func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// responseHeaders are the headers of a response as the plugin sees them.
func responseHeaders(res *http.Response) host.Headers {
	list := host.Headers{{":status", strconv.Itoa(res.StatusCode)}}
	return append(list, pairs(endToEnd(res.Header))...)
}

var errPseudoHeader = errors.New("the plugin left a request without a method, a path or an authority")

// outgoing makes a request to a server of the headers as a plugin left them. It
// has no body yet; ContentLength is the content-length header's, or -1.
func outgoing(ctx context.Context, scheme, server string, list host.Headers) (*http.Request, error) {
	method, _ := list.Get(":method")
	path, _ := list.Get(":path")
	authority, _ := list.Get(":authority")
	if method == "" || path == "" || authority == "" {
		return nil, errPseudoHeader
	}
	req := (&http.Request{
		Method:        method,
		URL:           &url.URL{Scheme: scheme, Host: server, Opaque: path},
		Host:          authority,
		Header:        headerOf(list),
		ContentLength: -1,
	}).WithContext(ctx)
	if strings.HasPrefix(path, "//") {
		// net/url would take what follows for an authority. The absolute form
		// (RFC 9112 §3.2.2) says the same in a way that it writes as it is.
		req.URL.Opaque = "//" + authority + path
	}
	if _, ok := req.Header["User-Agent"]; !ok {
		req.Header["User-Agent"] = nil // not net/http's own
	}
	if v := req.Header.Get("Content-Length"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("content-length is no length")
		}
		req.ContentLength = n
	}
	req.Header.Del("Content-Length")
	return req, nil
}

// cause is what went wrong with a request, without its URL.
func cause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}
