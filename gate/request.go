package gate

import (
	"strings"

	"orgate/internal/httptext"
	"orgate/policy"
)

// Request is a request as the proxy hands it over.
type Request struct {
	// Headers are the header map, pseudo-headers included, with names in lower
	// case. A name may occur more than once. Values that [Gate.Reads] has no use
	// for may be left out.
	Headers [][2]string
	// EndOfStream tells that neither a body nor trailers follow.
	EndOfStream bool
	// RouteMetadata returns a string from the metadata of the route that the
	// proxy chose: see [policy.Request]. It may be nil.
	RouteMetadata func(name string) (string, bool)
	// PeerCertificate returns the SHA-256 digest of the client's certificate in
	// DER, as hex; "" if the client has shown none. It may be nil: there is none.
	PeerCertificate func() (digest string, err error)
	// Introspection is what a request that is judged again has waited for; nil is
	// nothing, or keys.
	Introspection *Introspection
}

// Reads reports whether a decision depends on the value of a header of this name.
// Of all others the name is enough.
func (g *Gate) Reads(name string) bool {
	switch name {
	case ":method", ":authority", ":path", "host", "content-type", "origin", "access-control-request-method",
		"connection":
		return true
	case "cookie":
		return g == nil || len(g.config.TokenSources.Cookies) > 0
	}
	return g != nil && namesHeader(g.config.TokenSources.Headers, name)
}

// requestLine is what the steps read of a request's header map.
type requestLine struct {
	method string
	host   string
	path   string // with the query
	rpc    RPC
	// preflight is the method that a CORS preflight asks for, "" if the request
	// is none (https://fetch.spec.whatwg.org/#cors-preflight-request).
	preflight string
}

// read sorts out the header map.
func (r *Request) read() requestLine {
	var line requestLine
	origin, asked := "", ""
	for i := range r.Headers {
		switch name, value := r.Headers[i][0], r.Headers[i][1]; name {
		case ":method":
			line.method = value
		case ":authority":
			line.host = value
		case ":path":
			line.path = value
		case "host":
			if line.host == "" {
				line.host = value
			}
		case "content-type":
			line.rpc = rpcOf(value)
		case "origin":
			origin = value
		case "access-control-request-method":
			asked = value
		}
	}
	if line.method == "OPTIONS" && r.EndOfStream && origin != "" && httptext.IsToken(asked) && !r.overridesMethod() {
		line.preflight = asked
	}
	return line
}

// methodOverrides are headers by which many frameworks take a request for one
// of another method. No browser's preflight has them.
var methodOverrides = [...]string{"x-http-method-override", "x-http-method", "x-method-override"}

func (r *Request) overridesMethod() bool {
	for i := range r.Headers {
		for _, name := range methodOverrides {
			if httptext.SameName(r.Headers[i][0], name) {
				return true
			}
		}
	}
	return false
}

func (l *requestLine) policyRequest(r *Request) policy.Request {
	return policy.Request{Method: l.method, Host: l.host, Path: l.path, RouteMetadata: r.RouteMetadata}
}

// RPC is which kind of gRPC a request is.
type RPC uint8

const (
	// NoRPC is none.
	NoRPC RPC = iota
	// GRPC is gRPC over HTTP/2: the proxy knows it, and how to respond.
	GRPC
	// GRPCWeb and GRPCWebText are gRPC-Web
	// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md), which is
	// ordinary HTTP to the proxy.
	GRPCWeb
	GRPCWebText
)

// rpcOf tells the kind by the content type: "application/grpc", alone or followed
// by "+", ";", "-web" or "-web-text".
func rpcOf(contentType string) RPC {
	const grpc = "application/grpc"
	if !httptext.HasPrefixFold(contentType, grpc) {
		return NoRPC
	}
	rest, kind := contentType[len(grpc):], GRPC
	if after, ok := httptext.CutPrefixFold(rest, "-web"); ok {
		rest, kind = after, GRPCWeb
		if after, ok := httptext.CutPrefixFold(rest, "-text"); ok {
			rest, kind = after, GRPCWebText
		}
	}
	if rest == "" || rest[0] == '+' || rest[0] == ';' {
		return kind
	}
	return NoRPC
}

// withoutIdentity is a Connection header (RFC 9110 §7.6.1) without the options
// that name an identity header: an upstream that heeded one would drop the
// header that the gate wrote.
func (g *Gate) withoutIdentity(connection string) (rest string, changed bool) {
	var kept []string
	for option := range strings.SplitSeq(connection, ",") {
		if option = strings.Trim(option, " \t"); g.policy.IsIdentityHeader(option) {
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
