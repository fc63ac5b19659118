package filter

import (
	"strings"
	"unicode/utf8"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"orgate/config"
	"orgate/internal/httptext"
	"orgate/policy"
)

// request is what the filter read of a request's header map. Names are lower
// case, as proxies hand them over.
type request struct {
	headers [][2]string
	method  string
	host    string
	path    string // with the query

	grpc bool
	// asks is the method that a CORS preflight asks for, "" if the request is none:
	// https://fetch.spec.whatwg.org/#cors-preflight-request
	asks string
}

// readRequest sorts out a header map.
func readRequest(headers [][2]string) request {
	r := request{headers: headers}
	origin := false
	for _, h := range headers {
		switch h[0] {
		case ":method":
			r.method = h[1]
		case ":authority":
			r.host = h[1]
		case ":path":
			r.path = h[1]
		case "host":
			if r.host == "" {
				r.host = h[1]
			}
		case "content-type":
			r.grpc = isGRPC(h[1])
		case "origin":
			origin = h[1] != ""
		case "access-control-request-method":
			r.asks = h[1]
		}
	}
	if r.method != "OPTIONS" || !origin || !httptext.IsToken(r.asks) || overridesMethod(headers) {
		r.asks = ""
	}
	return r
}

// methodOverrides are headers by which many frameworks take a request for one
// of another method. No browser's preflight has them.
var methodOverrides = [...]string{"x-http-method-override", "x-http-method", "x-method-override"}

func overridesMethod(headers [][2]string) bool {
	for _, h := range headers {
		for _, name := range methodOverrides {
			if httptext.SameName(h[0], name) {
				return true
			}
		}
	}
	return false
}

// withoutIdentity is a Connection header (RFC 9110 §7.6.1) without the options
// that name an identity header: an upstream that heeded one would drop the
// header that the filter wrote.
func withoutIdentity(connection string, p *policy.Policy) (rest string, changed bool) {
	var kept []string
	for option := range strings.SplitSeq(connection, ",") {
		if option = strings.Trim(option, " \t"); p.IsIdentityHeader(option) {
			changed = true
			continue
		}
		kept = append(kept, option)
	}
	if !changed {
		return connection, false
	}
	return strings.Join(kept, ","), true
}

// policyRequest is the request as package policy sees it.
func (r *request) policyRequest() policy.Request {
	return policy.Request{Method: r.method, Host: r.host, Path: r.path, RouteMetadata: routeMetadata}
}

// routeMetadata reads a string from the metadata of the route that the proxy
// chose. The last part of the name is the key, what is before it the name of
// the filter whose metadata it is, which may have dots of its own.
func routeMetadata(name string) (string, bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return "", false
	}
	value, err := proxywasm.GetProperty([]string{"xds", "route_metadata", "filter_metadata", name[:dot], name[dot+1:]})
	if err != nil || !isText(value) {
		return "", false
	}
	return string(value), true
}

// isText reports whether a property is a non-empty string. The proxy does not
// tell of which type a value is; numbers and structures come as bytes.
func isText(value []byte) bool {
	if len(value) == 0 || !utf8.Valid(value) {
		return false
	}
	for _, c := range value {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// isGRPC reports whether a content type is gRPC's: "application/grpc", alone
// or followed by "+" or ";".
func isGRPC(contentType string) bool {
	const grpc = "application/grpc"
	if !hasPrefixFold(contentType, grpc) {
		return false
	}
	rest := contentType[len(grpc):]
	return rest == "" || rest[0] == '+' || rest[0] == ';'
}

// credentials is what a request's token sources hold.
type credentials struct {
	// tokens are the tokens, in the order of the sources.
	tokens []string
	// edits take the tokens out of the request. A header whose value is nil
	// is removed, one with values is replaced by them.
	edits []edit
}

type edit struct {
	header string
	values []string
}

// readCredentials looks for tokens in the configured places.
func readCredentials(r *request, sources *config.TokenSources) credentials {
	var c credentials
	for i := range sources.Headers {
		if name := sources.Headers[i].Name; !names(sources.Headers[:i], name) {
			c.readHeader(r, name, sources.Headers[i:])
		}
	}
	if len(sources.Query) > 0 {
		c.readQuery(r, sources.Query)
	}
	if len(sources.Cookies) > 0 {
		c.readCookies(r, sources.Cookies)
	}
	return c
}

// readHeader looks into one header, for the tokens of all sources of its name.
// Values that carry no token, such as Basic credentials, stay in the request.
func (c *credentials) readHeader(r *request, name string, sources []config.HeaderSource) {
	found := false
	var others []string
	for _, h := range r.headers {
		if h[0] != name {
			continue
		}
		if token, ok := tokenIn(h[1], name, sources); ok {
			c.tokens = append(c.tokens, token)
			found = true
		} else {
			others = append(others, h[1])
		}
	}
	if found {
		c.edits = append(c.edits, edit{name, others})
	}
}

// names reports whether one of the sources is the header.
func names(sources []config.HeaderSource, header string) bool {
	for i := range sources {
		if sources[i].Name == header {
			return true
		}
	}
	return false
}

// tokenIn is the token in a value of the named header. Of several prefixes that
// it begins with, the longest counts: one value carries one token. A value in
// which somebody else might find a token is a token as a whole, and malformed.
func tokenIn(value, name string, sources []config.HeaderSource) (token string, ok bool) {
	longest, hidden := -1, false
	for i := range sources {
		prefix := sources[i].Prefix
		if sources[i].Name != name {
			continue
		}
		if len(prefix) > longest && hasPrefixFold(value, prefix) {
			token, ok = afterPrefix(value, prefix)
			longest = len(prefix)
		}
		hidden = hidden || hidesToken(value, strings.TrimRight(prefix, " "))
	}
	if longest < 0 && hidden {
		return value, true
	}
	return token, ok
}

// hidesToken reports whether a lenient reader would find credentials of the
// scheme in a header's value: separated from it by something else than a space,
// or behind a comma, as in a list.
func hidesToken(value, scheme string) bool {
	if scheme == "" {
		return false
	}
	for element := range strings.SplitSeq(value, ",") {
		element = strings.Trim(element, " \t")
		if !hasPrefixFold(element, scheme) {
			continue
		}
		rest := element[len(scheme):]
		if rest != "" && !(isTokenChar(rest[0]) && isTokenChar(scheme[len(scheme)-1])) {
			return true
		}
	}
	return false
}

// isTokenChar reports whether a scheme's name may hold the character (RFC 9110
// §5.6.2).
func isTokenChar(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// afterPrefix is the token in a header's value: what follows the prefix and
// any further spaces. A value without the prefix, or with nothing behind it,
// carries none.
func afterPrefix(value, prefix string) (string, bool) {
	if !hasPrefixFold(value, prefix) {
		return "", false
	}
	token := strings.Trim(value[len(prefix):], " \t")
	return token, token != ""
}

// readQuery looks into the query. A parameter's name is compared after
// decoding, as the upstream would read it.
func (c *credentials) readQuery(r *request, names []string) {
	target, fragment, hasFragment := strings.Cut(r.path, "#")
	path, query, ok := strings.Cut(target, "?")
	if !ok {
		return
	}
	var kept []string
	found := false
	for parameter := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(parameter, "=")
		if value == "" || !contains(names, unescapeQuery(name)) {
			kept = append(kept, parameter)
			continue
		}
		c.tokens = append(c.tokens, unescapeQuery(value))
		found = true
	}
	if !found {
		return
	}
	if len(kept) > 0 {
		path += "?" + strings.Join(kept, "&")
	}
	if hasFragment {
		path += "#" + fragment
	}
	c.edits = append(c.edits, edit{":path", []string{path}})
}

// readCookies looks into the cookies (RFC 6265 §4.2.1). What is left of a
// Cookie header keeps its bytes.
func (c *credentials) readCookies(r *request, names []string) {
	var left []string
	found := false
	for _, h := range r.headers {
		if h[0] != "cookie" {
			continue
		}
		rest, tokens := splitCookies(h[1], names)
		if len(tokens) > 0 {
			c.tokens = append(c.tokens, tokens...)
			found = true
		}
		if rest != "" {
			left = append(left, rest)
		}
	}
	if found {
		c.edits = append(c.edits, edit{"cookie", left})
	}
}

// splitCookies takes the named cookies out of a Cookie header's value.
func splitCookies(value string, names []string) (rest string, tokens []string) {
	var kept []string
	for pair := range strings.SplitSeq(value, ";") {
		name, token, ok := strings.Cut(pair, "=")
		token = strings.Trim(token, " \t")
		if !ok || token == "" || !contains(names, strings.Trim(name, " \t")) {
			kept = append(kept, pair)
			continue
		}
		tokens = append(tokens, token)
	}
	rest = strings.Join(kept, ";")
	if len(tokens) > 0 {
		rest = strings.TrimLeft(rest, " ")
	}
	return rest, tokens
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// unescapeQuery decodes a query's name or value as forms are decoded: "%XX"
// and "+". What is no escape stays as it is, so that a token with one in it is
// refused as malformed.
func unescapeQuery(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b.WriteByte(' ')
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

// hasPrefixFold is [strings.HasPrefix], ignoring ASCII case.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
