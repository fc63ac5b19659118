// Package scenario holds what the plugin promises, as a table of requests and
// verdicts. The same table runs against the filter natively, in package
// filter's tests, and against the built plugin in a strict host, in package
// e2e's: a [Proxy] is what the two have in common.
package scenario

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Now is what the clock says while a scenario runs.
var Now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Proxy runs the plugin with one configuration.
type Proxy interface {
	// Serve has the plugin judge one request.
	Serve(Request) Outcome
}

// Headers is a header map in order, names in lower case.
type Headers [][2]string

// Request is what a client sends, and what the proxy knows besides.
type Request struct {
	Method  string // GET if empty
	Host    string // api.example if empty
	Path    string // / if empty
	Token   string // sent as a Bearer token, if there is one
	Headers Headers
	// RouteMetadata is the metadata of the route: filter name, key, value.
	RouteMetadata map[[2]string]string
	// Certificate is the client's, in DER, "" if it has shown none.
	Certificate string
	// Introspection is what the provider says of the token if it is asked; "" if
	// it says nothing.
	Introspection string
	Trailers      Headers
}

// Map is the header map that the proxy hands to the plugin.
func (r Request) Map() Headers {
	h := Headers{
		{":authority", cmp.Or(r.Host, "api.example")},
		{":method", cmp.Or(r.Method, "GET")},
		{":path", cmp.Or(r.Path, "/")},
		{":scheme", "https"},
	}
	if r.Token != "" {
		h = append(h, [2]string{"authorization", "Bearer " + r.Token})
	}
	return append(h, r.Headers...)
}

// Digest is what the proxy tells of the client's certificate.
func (r Request) Digest() string {
	if r.Certificate == "" {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(r.Certificate)))
}

// Answer is the provider's response if it is asked about the token.
func (r Request) Answer() (status string, body []byte) {
	if r.Introspection == "" {
		return "500", nil
	}
	return "200", []byte(r.Introspection)
}

// Outcome is what became of a request.
type Outcome struct {
	// Passed: it went to the upstream, with Upstream as its header map.
	Passed   bool
	Upstream Headers
	Trailers Headers
	// Waiting: it is held back.
	Waiting bool
	// What the client got otherwise.
	Status  int
	Headers Headers
	Body    string
	GRPC    int32
	// Properties that access logs see.
	Reason, Issuer, Organization string
}

// Case is one row: a request and what must become of it.
type Case struct {
	Name    string
	Config  string // [Config], if empty; see [Expand]
	Request Request
	Want    Want
	// Fields are the fields of the configuration that the case is for, as
	// paths without indexes: "issuers[].clockSkew". Without any one of them
	// the outcome is another.
	Fields []string
	// Instead holds, for those of the fields that a configuration cannot be
	// without, another value (JSON) with which the outcome is another.
	Instead map[string]string
}

// Configuration is the configuration that the case runs with.
func (c *Case) Configuration() string {
	if c.Config == "" {
		return Config()
	}
	return Expand(c.Config)
}

// All are all cases. No two have the same name.
func All() []Case {
	return slices.Concat(Basics(), Answers(), Attacks(), Fields(), Organizations(), Sent(), Opaque())
}

// Want is a verdict. Its zero value is never right.
type Want struct {
	// Status is 200 for a request that passes, and the answer's otherwise.
	Status int
	// Code is the code in a wso2 body.
	Code string
	// Reason is the metric label.
	Reason string
	// Upstream lists headers that the upstream must see, each with all of its
	// values, and must not see (no values).
	Upstream map[string][]string
	// Response lists headers of the answer likewise.
	Response map[string][]string
	// Answer holds all headers of the answer, if the others matter.
	Answer Headers
	// Body is the whole answer's body, if it matters.
	Body *string
	// Trailers lists trailers that the upstream must see, and must not see.
	Trailers map[string][]string
	// GRPC is the gRPC status of the answer, 0 for none.
	GRPC int32
}

// Identity are the headers that the upstream may take for an identity under
// the default configuration. A passing case that does not mention one must not
// let it through.
var Identity = []string{
	"x-wso2-organization", "x-wso2-username", "x-wso2-consumer-key", "x-wso2-scopes", "x-wso2-roles", "x-orgate-report",
}

// Check compares an outcome with the verdict, and returns what differs.
func (c *Case) Check(got Outcome) string {
	type verdict struct {
		Status   int
		Code     string
		Reason   string
		Upstream map[string][]string
		Trailers map[string][]string
		Response map[string][]string
		Answer   Headers
		Body     string
		GRPC     int32
		Leak     string // a part of the token in the answer
	}
	want := verdict{Status: c.Want.Status, Code: c.Want.Code, Reason: c.Want.Reason, GRPC: c.Want.GRPC,
		Upstream: map[string][]string{}, Trailers: map[string][]string{}, Response: map[string][]string{}}
	have := verdict{Status: got.Status, Code: member(got.Body, "code"), Reason: got.Reason,
		Upstream: map[string][]string{}, Trailers: map[string][]string{}, Response: map[string][]string{}}
	switch {
	case got.Waiting:
		have.Status = -1
	case got.Passed:
		have.Status = 200
		for _, name := range Identity {
			want.Upstream[name] = nil
		}
		if c.Want.Status == 200 {
			for name, values := range c.Want.Upstream {
				want.Upstream[name] = values
			}
		}
		for name := range want.Upstream {
			have.Upstream[name] = got.Upstream.Values(name)
		}
		for name, values := range c.Want.Trailers {
			want.Trailers[name], have.Trailers[name] = values, got.Trailers.Values(name)
		}
	default:
		have.Leak = c.leak(got)
		have.GRPC = max(got.GRPC, 0)
		for name, values := range c.Want.Response {
			want.Response[name] = values
			have.Response[name] = got.Headers.Values(name)
		}
		if c.Want.Answer != nil {
			want.Answer, have.Answer = c.Want.Answer.Sorted(), got.Headers.Sorted()
		}
		if c.Want.Body != nil {
			want.Body, have.Body = *c.Want.Body, got.Body
		}
	}
	return gocmp.Diff(want, have, cmpopts.EquateEmpty())
}

// leak returns a part of the request's token that the answer holds, or "".
func (c *Case) leak(got Outcome) string {
	const shortest = 9 // what is shorter may be there by chance
	for part := range strings.SplitSeq(c.Request.Token, ".") {
		if len(part) < shortest {
			continue
		}
		if strings.Contains(got.Body, part) {
			return part
		}
		for _, h := range got.Headers {
			if strings.Contains(h[1], part) {
				return part
			}
		}
	}
	return ""
}

// Values are the values of a header.
func (h Headers) Values(name string) []string {
	var values []string
	for _, pair := range h {
		if pair[0] == name {
			values = append(values, pair[1])
		}
	}
	return values
}

// Sorted is the header map in alphabetical order.
func (h Headers) Sorted() Headers {
	sorted := slices.Clone(h)
	slices.SortStableFunc(sorted, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return sorted
}
