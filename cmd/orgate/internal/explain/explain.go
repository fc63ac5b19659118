// Package explain has the plugin judge one request, and tells why it judges as
// it does.
//
// The verdict is the plugin's own: the built module runs in package host. The
// steps that lead to it are taken anew by packages policy, jwt and jwks, of
// which the plugin is made. The two are compared, and where they differ an
// [Explanation] says so.
//
// Nothing that the package returns holds the token or a part of it. Claims
// are named; of their values only those are told that the plugin decides by or
// hands on.
package explain

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"orgate/config"
	"orgate/host"
)

// Input is what to explain.
type Input struct {
	// Plugin is the compiled plugin.
	Plugin *host.Plugin
	// Document is the plugin's configuration, and Config what was read of it.
	Document string
	Config   *config.Config
	Request  Request
	// Token is the token as it would be sent, "" for none.
	Token string
	// Now is when the request is judged.
	Now time.Time
	// Get fetches a document. It is asked for those of the issuers that the
	// token could be of alone.
	Get func(ctx context.Context, location Location) (*Document, error)
}

// Location is a document that the plugin asks for.
type Location struct {
	Cluster, URL string
	Timeout      time.Duration
}

// Document is an answer.
type Document struct {
	Status int
	Header http.Header
	Body   string
	// File is the file that stands in for the location, "" if none does.
	File string
}

// Request is a request without its token.
type Request struct {
	Method, Scheme, Host string
	// Path is the target, with the query, as it is sent.
	Path    string
	Headers [][2]string // names in lower case
	// Metadata is the metadata of the route, by "filter.key".
	Metadata map[string]string
}

// Step is one step of the decision.
type Step struct {
	// Name is what the step is about, such as "rule".
	Name string
	// Refused tells that the step refuses the request.
	Refused bool
	// Lines say what was found. There is at least one.
	Lines []string
}

// Explanation is the way of a request and its end.
type Explanation struct {
	Steps []Step
	// Passed tells whether the plugin lets the request pass.
	Passed bool
	// Answer is the plugin's answer otherwise.
	Answer *host.LocalResponse
	// Upstream holds what the upstream gets besides, or in place of, what the
	// client sent, one line each.
	Upstream []string
	// Disagreements say where the plugin's verdict is another than the steps
	// lead to. There is none unless something is broken.
	Disagreements []string
}

// Explain judges the request. The error says why it could not be judged.
func Explain(ctx context.Context, in *Input) (*Explanation, error) {
	sent, err := in.send()
	if err != nil {
		return nil, err
	}
	plugin, err := run(ctx, in, sent)
	if err != nil {
		return nil, err
	}
	t := &tracer{in: in, fetched: plugin.fetched}
	expected := t.trace()
	e := &Explanation{
		Steps:         t.steps,
		Passed:        plugin.passed,
		Answer:        plugin.answer,
		Upstream:      t.upstream(sent, plugin),
		Disagreements: compare(expected, plugin),
	}
	in.scrub(e)
	return e, nil
}

// scrub takes out of an explanation what may have got into it of the token, by
// way of a header that repeats it or of words that quote it.
func (in *Input) scrub(e *Explanation) {
	const shortest = 12 // what is shorter may be there by chance
	var secrets []string
	for part := range strings.SplitSeq(in.Token, ".") {
		if len(part) >= shortest {
			secrets = append(secrets, part)
		}
	}
	if len(in.Token) > 0 && len(secrets) == 0 {
		secrets = append(secrets, in.Token)
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
	for _, lines := range [][]string{e.Upstream, e.Disagreements} {
		for i, line := range lines {
			lines[i] = clean(line)
		}
	}
	if e.Answer != nil {
		answer := *e.Answer
		answer.Headers = slices.Clone(answer.Headers)
		for i := range answer.Headers {
			answer.Headers[i][1] = clean(answer.Headers[i][1])
		}
		answer.Body = []byte(clean(string(answer.Body)))
		e.Answer = &answer
	}
}
