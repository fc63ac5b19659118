package gate

import (
	"slices"
	"strings"

	"orgate/config"
	"orgate/internal/httptext"
)

// Place is where a request carries its token.
type Place struct {
	// Kind is "header", "query" or "cookie"; "" if there is no token.
	Kind string
	// Name is the name of the header, parameter or cookie, as configured.
	Name string
}

// String is the kind and the name: "header authorization".
func (p Place) String() string {
	if p.Kind == "" {
		return ""
	}
	return p.Kind + " " + p.Name
}

// credentials is what a request's token sources hold.
type credentials struct {
	// tokens are the distinct tokens, in the order of the sources, up to maxTokens.
	tokens []string
	// place is where the first one stands, and other where the second does.
	place, other Place
	// edits take the tokens out of the request.
	edits []Edit
}

// maxTokens is how many distinct tokens of a request are kept. Two are too many
// already; a request may bring thousands.
const maxTokens = 8

func (c *credentials) add(token string, kind, name string) {
	switch {
	case len(c.tokens) == 0:
		c.place = Place{kind, name}
	case len(c.tokens) == maxTokens || slices.Contains(c.tokens, token):
		return
	case len(c.tokens) == 1:
		c.other = Place{kind, name}
	}
	c.tokens = append(c.tokens, token)
}

// replace has the edits remove a header and add what is left of its values.
func (c *credentials) replace(name string, values []string) {
	c.edits = append(c.edits, Edit{Remove, name, ""})
	for _, value := range values {
		c.edits = append(c.edits, Edit{Add, name, value})
	}
}

// readCredentials looks for tokens in the configured places.
func readCredentials(r *Request, path string, sources *config.TokenSources) (c credentials) {
	c.read(r, path, sources)
	return c
}

// reuse is no credentials, with the room of these.
func (c *credentials) reuse() credentials {
	tokens, edits := c.tokens[:0], c.edits[:0]
	clear(tokens[:cap(tokens)])
	clear(edits[:cap(edits)])
	return credentials{tokens: tokens, edits: edits}
}

// read looks for tokens in the configured places. Names are compared folded, as
// identity headers are: CGI and its kin hand X_Token and X-Token to the application
// under one name.
func (c *credentials) read(r *Request, path string, sources *config.TokenSources) {
	for i := range sources.Headers {
		if name := sources.Headers[i].Name; !namesHeader(sources.Headers[:i], name) {
			c.readHeader(r, name, sources.Headers[i:])
		}
	}
	if len(sources.Query) > 0 {
		c.readQuery(path, sources.Query)
	}
	if len(sources.Cookies) > 0 {
		c.readCookies(r, sources.Cookies)
	}
}

// readHeader looks into one header, for the tokens of all sources of its name.
// Values that carry no token, such as Basic credentials, stay in the request.
func (c *credentials) readHeader(r *Request, name string, sources []config.HeaderSource) {
	for i := range r.Headers {
		written := r.Headers[i][0]
		if !httptext.SameName(written, name) || spelledBefore(r.Headers[:i], written) {
			continue
		}
		found := false
		var others []string
		for _, h := range r.Headers[i:] {
			if h[0] != written {
				continue
			}
			rest, ok := c.splitHeader(h[1], name, sources)
			found = found || ok
			if !ok || rest != "" {
				others = append(others, rest)
			}
		}
		if found {
			c.replace(written, others)
		}
	}
}

// splitHeader takes the tokens out of one value of the named header. Most headers
// have one, which is all of the value.
func (c *credentials) splitHeader(value, name string, sources []config.HeaderSource) (rest string, found bool) {
	if httptext.SameName(name, "sec-websocket-protocol") {
		return c.splitProtocols(value, name, sources)
	}
	token, ok := tokenIn(value, name, sources)
	if !ok {
		return value, false
	}
	c.add(token, "header", name)
	return "", true
}

// splitProtocols takes the tokens out of the list of subprotocols that a browser
// asks for (RFC 6455 §11.3.4), the one place where it can put a token. With the
// prefix "bearer, " the token is the protocol behind "bearer". The others stay:
// one of them is what the upstream chooses.
func (c *credentials) splitProtocols(value, name string, sources []config.HeaderSource) (rest string, found bool) {
	var left []string
	for protocol := range strings.SplitSeq(value, ",") {
		if protocol = strings.Trim(protocol, " \t"); protocol == "" {
			continue
		}
		left = append(left, protocol)
		for i := range sources {
			if !httptext.SameName(sources[i].Name, name) {
				continue
			}
			if token, n := lastProtocols(left, sources[i].Prefix); n > 0 {
				c.add(token, "header", name)
				left, found = left[:len(left)-n], true
				break
			}
		}
	}
	if !found {
		return value, false
	}
	return strings.Join(left, ", "), true
}

// lastProtocols returns the token that a list of protocols ends with, and how
// many of them the prefix and the token are, 0 if there is none.
func lastProtocols(protocols []string, prefix string) (token string, n int) {
	parts := strings.Split(prefix, ",")
	n = len(parts)
	if len(protocols) < n {
		return "", 0
	}
	last := protocols[len(protocols)-n:]
	for i, part := range parts[:n-1] {
		if part = strings.Trim(part, " "); len(part) != len(last[i]) || !httptext.HasPrefixFold(last[i], part) {
			return "", 0
		}
	}
	token, ok := afterPrefix(last[n-1], strings.TrimLeft(parts[n-1], " "))
	if !ok {
		return "", 0
	}
	return token, n
}

// spelledBefore reports whether a header of exactly this name stands among
// those that were looked at.
func spelledBefore(headers [][2]string, name string) bool {
	for i := range headers {
		if headers[i][0] == name {
			return true
		}
	}
	return false
}

// namesHeader reports whether one of the sources is the header.
func namesHeader(sources []config.HeaderSource, name string) bool {
	for i := range sources {
		if httptext.SameName(sources[i].Name, name) {
			return true
		}
	}
	return false
}

// tokenIn is the token in a value of the named header. Of several prefixes that
// it begins with, the longest counts: one value carries one token. A value in
// which somebody else might find a token is a token as a whole, and malformed.
func tokenIn(value, name string, sources []config.HeaderSource) (token string, ok bool) {
	longest := -1
	for i := range sources {
		prefix := sources[i].Prefix
		if !httptext.SameName(sources[i].Name, name) {
			continue
		}
		if len(prefix) > longest && httptext.HasPrefixFold(value, prefix) {
			token, ok = afterPrefix(value, prefix)
			longest = len(prefix)
		}
	}
	for i := range sources {
		if longest < 0 && httptext.SameName(sources[i].Name, name) &&
			hidesToken(value, strings.TrimRight(sources[i].Prefix, " ")) {
			return value, true
		}
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
		if !httptext.HasPrefixFold(element, scheme) {
			continue
		}
		rest := element[len(scheme):]
		if rest != "" && !(httptext.IsTokenChar(rest[0]) && httptext.IsTokenChar(scheme[len(scheme)-1])) {
			return true
		}
	}
	return false
}

// afterPrefix is the token in a header's value: what follows the prefix and
// any further spaces. A value without the prefix, or with nothing behind it,
// carries none.
func afterPrefix(value, prefix string) (string, bool) {
	rest, ok := httptext.CutPrefixFold(value, prefix)
	token := strings.Trim(rest, " \t")
	return token, ok && token != ""
}

// readQuery looks into the query. A parameter's name is compared after
// decoding, as the upstream would read it.
func (c *credentials) readQuery(path string, names []string) {
	target, fragment, hasFragment := strings.Cut(path, "#")
	target, query, ok := strings.Cut(target, "?")
	if !ok {
		return
	}
	var kept []string
	found := false
	for parameter := range strings.SplitSeq(query, "&") {
		written, value, _ := strings.Cut(parameter, "=")
		name, ok := sameName(names, unescapeQuery(written))
		if value == "" || !ok {
			kept = append(kept, parameter)
			continue
		}
		c.add(unescapeQuery(value), "query", name)
		found = true
	}
	if !found {
		return
	}
	if len(kept) > 0 {
		target += "?" + strings.Join(kept, "&")
	}
	if hasFragment {
		target += "#" + fragment
	}
	c.edits = append(c.edits, Edit{Replace, ":path", target})
}

// readCookies looks into the cookies (RFC 6265 §4.2.1). What is left of a
// Cookie header keeps its bytes.
func (c *credentials) readCookies(r *Request, names []string) {
	var left []string
	found := false
	for i := range r.Headers {
		if r.Headers[i][0] != "cookie" {
			continue
		}
		rest, any := c.splitCookies(r.Headers[i][1], names)
		found = found || any
		if rest != "" {
			left = append(left, rest)
		}
	}
	if found {
		c.replace("cookie", left)
	}
}

// splitCookies takes the named cookies out of a Cookie header's value. A value
// may stand in quotes, and a token behind "Bearer ".
func (c *credentials) splitCookies(value string, names []string) (rest string, found bool) {
	var kept []string
	for pair := range strings.SplitSeq(value, ";") {
		written, token, ok := strings.Cut(pair, "=")
		token = strings.Trim(token, " \t")
		if n := len(token); n >= 2 && token[0] == '"' && token[n-1] == '"' {
			token = token[1 : n-1]
		}
		if bare, ok := afterPrefix(token, "Bearer "); ok {
			token = bare
		}
		name, named := sameName(names, strings.Trim(written, " \t"))
		if !ok || token == "" || !named {
			kept = append(kept, pair)
			continue
		}
		c.add(token, "cookie", name)
		found = true
	}
	rest = strings.Join(kept, ";")
	if found {
		rest = strings.TrimLeft(rest, " ")
	}
	return rest, found
}

// sameName returns the one of the names that an upstream could take a
// parameter's or a cookie's name for.
func sameName(names []string, written string) (string, bool) {
	for _, name := range names {
		if httptext.SameName(written, name) {
			return name, true
		}
	}
	return "", false
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
		if s[i] == '%' {
			if c, ok := httptext.HexPair(s[i+1:]); ok {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		if s[i] == '+' {
			b.WriteByte(' ')
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
