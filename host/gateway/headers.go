package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"orgate/host"
)

// rewrite prepares a request for the plugin, after the proxy has taken out the
// headers that concern the connection (RFC 9110 §7.6.1).
func rewrite(pr *httputil.ProxyRequest) {
	pr.Out.Header.Del("Expect") // answered by this gateway
	named := strings.ToLower(strings.Join(pr.In.Header["Connection"], ","))
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values := pr.In.Header[name]; values != nil && !strings.Contains(named, strings.ToLower(name)) {
			pr.Out.Header[name] = values // which the proxy takes out, too
		}
	}
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

// headerOf is the reverse of pairs, without pseudo-headers.
func headerOf(list host.Headers) http.Header {
	h := make(http.Header, len(list))
	for _, p := range list {
		if strings.HasPrefix(p[0], ":") || p[0] == "host" || p[0] == "transfer-encoding" {
			continue
		}
		name := http.CanonicalHeaderKey(p[0])
		h[name] = append(h[name], p[1])
	}
	return h
}

// requestHeaders are the headers of a request as the plugin sees them, given
// those that are end to end. The path is that of originForm.
func requestHeaders(h http.Header, r *http.Request, path string) host.Headers {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	list := host.Headers{
		{":authority", r.Host},
		{":path", path},
		{":method", r.Method},
		{":scheme", scheme},
	}
	list = append(list, pairs(h)...)
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

// withoutQuery is a path without the query, which is nobody's business but the
// upstream's.
func withoutQuery(path string) string {
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
