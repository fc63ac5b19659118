// Package explain judges one request as the plugin does, and explains each step.
//
// Package gate decides, as in the plugin. An observer records each step as the
// gate takes it. Keys are fetched for the token's issuer alone, and only if the
// gate waits for them.
//
// The package returns no part of a token. It names claims, and shows only those
// values that the plugin decides by or forwards.
package explain

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"orgate/config"
	"orgate/gate"
)

// Input is what to explain.
type Input struct {
	Config  *config.Config
	Request Request
	// Now is when the request is judged.
	Now time.Time
	// Get fetches a document. It is asked for those of the issuer that the
	// token is judged by alone.
	Get func(ctx context.Context, location Location) (*Document, error)
	// Answer is what an issuer's provider says of the token, by the issuer's name;
	// "" if it says nothing. The provider itself is never asked.
	Answer func(issuer string) string
}

// Location is a document that the plugin asks for.
type Location struct {
	Cluster, URL string
	Timeout      time.Duration
}

// Document is what a fetch has brought.
type Document struct {
	Status int
	Header http.Header
	Body   string
	// File is the file that stands in for the location, "" if none does.
	File string
}

// Request is a request as a client sends it.
type Request struct {
	Method, Scheme, Host string
	// Path is the target, with the query, as it is sent.
	Path    string
	Headers [][2]string // names in lower case
	// Body tells that a body follows.
	Body bool
	// Metadata is the metadata of the route, by "filter.key".
	Metadata map[string]string
	// Certificate is the SHA-256 digest of the client's certificate, as hex, ""
	// if the client shows none.
	Certificate string
}

// headers is the header map, pseudo-headers included.
func (r *Request) headers() [][2]string {
	pseudo := [][2]string{{":authority", r.Host}, {":method", r.Method}, {":path", r.Path}, {":scheme", r.Scheme}}
	return append(pseudo, r.Headers...)
}

// Step is one step of the decision.
type Step struct {
	// Name is what the step is about, such as "rule".
	Name string `json:"name"`
	// Refused tells that the step refuses the request.
	Refused bool `json:"refused"`
	// Lines say what was found. There is at least one.
	Lines []string `json:"lines"`
}

// Explanation is the way of a request and its end.
type Explanation struct {
	// Passed tells whether the plugin lets the request pass.
	Passed bool `json:"passed"`
	// Reason is the decision's label in metrics and access logs.
	Reason string `json:"reason"`
	// Rule and Issuer are names, "" if none was found.
	Rule   string `json:"rule"`
	Issuer string `json:"issuer"`
	// Required and Proven are organizations: the one that is asked for, and the
	// one that the token proves.
	Required string `json:"requiredOrganization"`
	Proven   string `json:"provenOrganization"`
	Steps    []Step `json:"steps"`
	// Response is the response to a refused request.
	Response *Response `json:"response,omitempty"`
	// Upstream holds what the upstream gets besides, or in place of, what the
	// client sent, one line each.
	Upstream []string `json:"upstream,omitempty"`
}

// Response is the plugin's response to a refused request.
type Response struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
	// GRPC is the status of gRPC, -1 if the request is none.
	GRPC int `json:"grpcStatus"`
}

// Explain judges the request. The error says why it could not be judged.
func Explain(ctx context.Context, in *Input) (*Explanation, error) {
	t := &tracer{in: in, documents: map[string]fetched{}}
	d, response, err := t.judge(ctx)
	if err != nil {
		return nil, err
	}
	e := &Explanation{
		Passed: d.Verdict == gate.Pass, Reason: d.Reason(), Required: d.Required,
		Steps: t.steps, Response: response, Upstream: t.upstream(d),
	}
	if d.Rule != nil {
		e.Rule = d.Rule.Name
	}
	if d.Issuer != nil {
		e.Issuer = d.Issuer.Name
	}
	if d.Identity != nil {
		e.Proven = d.Identity.Organization
	}
	scrub(e, t.tokens)
	return e, nil
}

// scrub takes out of an explanation what may have got into it of the tokens, by
// way of a header that repeats one or of words that quote it.
func scrub(e *Explanation, tokens []string) {
	const shortest = 12 // what is shorter may be there by chance
	var secrets []string
	for _, token := range tokens {
		long := false
		for part := range strings.SplitSeq(token, ".") {
			if len(part) >= shortest {
				secrets = append(secrets, part)
				long = true
			}
		}
		if token != "" && !long {
			secrets = append(secrets, token)
		}
	}
	clean := func(s string) string {
		for _, secret := range secrets {
			s = strings.ReplaceAll(s, secret, "[token]")
		}
		return s
	}
	for i := range e.Steps {
		for j, line := range e.Steps[i].Lines {
			e.Steps[i].Lines[j] = clean(line)
		}
	}
	for i, line := range e.Upstream {
		e.Upstream[i] = clean(line)
	}
	if e.Response == nil {
		return
	}
	e.Response.Headers = slices.Clone(e.Response.Headers)
	for i := range e.Response.Headers {
		e.Response.Headers[i][1] = clean(e.Response.Headers[i][1])
	}
	e.Response.Body = clean(e.Response.Body)
}
