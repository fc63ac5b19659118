package explain

import (
	"context"
	"net/http"
	"time"

	"orgate/cmd/orgate/internal/keyfetch"
	"orgate/config"
	"orgate/gate"
	"orgate/introspect"
	"orgate/jwks"
)

// tracer has the gate judge a request and writes the steps down.
type tracer struct {
	in        *Input
	gate      *gate.Gate
	sources   []*jwks.Source     // by the issuer's index
	documents map[string]fetched // by cluster and URL
	steps     []Step
	tokens    []string // of the request
}

// fetched is what became of a fetch.
type fetched struct {
	document *Document
	response jwks.Response
	err      error
}

// fetches is how often a request may wait for keys: for the first ones, and for
// those of a kid that they do not have.
const fetches = 3

// judge has the gate decide, and fetches the keys that it waits for.
func (t *tracer) judge(ctx context.Context) (*gate.Decision, *Response, error) {
	c := t.in.Config
	t.sources = make([]*jwks.Source, len(c.Issuers))
	for i := range c.Issuers {
		if j := c.Issuers[i].SignatureValidation.JWKS; j != nil && j.Inline == "" {
			t.sources[i] = jwks.NewSource(gate.SourcePolicy(j), nil)
		}
	}
	now := t.in.Now
	options := gate.Options{Now: func() time.Time { return now }, Sources: t.sources, Observer: t}
	g, _, err := gate.New(c, options)
	if err != nil {
		return nil, nil, err
	}
	t.gate = g
	request := &gate.Request{Headers: t.in.Request.headers(), EndOfStream: !t.in.Request.Body,
		RouteMetadata:   t.in.metadata,
		PeerCertificate: func() (string, error) { return t.in.Request.Certificate, nil }}
	t.tokens = g.Tokens(request)
	var d gate.Decision
	for n := 0; ; n++ {
		t.begin()
		if d = g.Judge(request); d.Verdict != gate.Wait {
			break
		}
		if n == fetches {
			g.Refuse(&d, gate.ErrKeysUnavailable)
			break
		}
		if i := d.Introspection; i != nil {
			t.answer(i, d.Issuer.Name)
			request.Introspection = i
		} else {
			t.fetch(ctx, d.Issuer.Index)
		}
	}
	if d.Verdict == gate.Pass {
		return &d, nil, nil
	}
	r := g.Response(&d)
	return &d, &Response{int(r.Status), r.Headers, r.Body, int(r.GRPC)}, nil
}

// answer has an introspection end as its provider would have it.
func (t *tracer) answer(i *gate.Introspection, issuer string) {
	i.Begin(t.in.Now)
	response := jwks.Response{}
	if t.in.Answer != nil {
		response.Body = t.in.Answer(issuer)
	}
	if response.Body != "" {
		response.Status = http.StatusOK
	}
	i.Finish(t.in.Now, introspect.Read(&response))
}

// fetch brings an issuer's source the document that it waits for.
func (t *tracer) fetch(ctx context.Context, index int) {
	source, issuer := t.sources[index], &t.in.Config.Issuers[index]
	begun := source.Begin(t.in.Now)
	j := issuer.SignatureValidation.JWKS
	location := j.URL
	if j.WellKnown != "" {
		discovered := t.document(ctx, j, j.WellKnown)
		if discovered.err != nil {
			source.Finish(t.in.Now, begun, discovered.response)
			return
		}
		next, err := keyfetch.Follow(issuer, discovered.document.Body)
		if err != nil {
			discovered.response.Misdirected = err
			source.Finish(t.in.Now, begun, discovered.response)
			return
		}
		location = next
	}
	f := t.document(ctx, j, location)
	source.Finish(t.in.Now, begun, f.response)
}

// document fetches a document, once.
func (t *tracer) document(ctx context.Context, j *config.JWKS, location string) fetched {
	place := j.Cluster + " " + location
	f, ok := t.documents[place]
	if ok {
		return f
	}
	f.document, f.err = t.in.Get(ctx, Location{Cluster: j.Cluster, URL: location, Timeout: time.Duration(j.Timeout)})
	if f.err == nil {
		f.response = keyfetch.Response(f.document.Status, f.document.Header, f.document.Body)
		_, f.err = f.response.Fault(jwks.MaxDocument)
	}
	t.documents[place] = f
	return f
}

func (in *Input) metadata(name string) (string, bool) {
	value, ok := in.Request.Metadata[name]
	return value, ok && value != ""
}
