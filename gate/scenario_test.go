package gate_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"orgate/config"
	"orgate/e2e/scenario"
	"orgate/gate"
	"orgate/introspect"
	"orgate/jwks"
	"orgate/jwt"
)

// proxy carries out what a gate decides, on headers alone. Nobody answers its
// fetches.
type proxy struct {
	*gate.Gate
	now     time.Time
	sources []*jwks.Source // by the issuer's index
	waits   bool           // requests may wait
}

// open prepares a configuration, at [scenario.Now].
func open(t testing.TB, document string) *proxy {
	t.Helper()
	c, err := config.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{now: scenario.Now, sources: make([]*jwks.Source, len(c.Issuers)), waits: c.Limits.WaitingRequests > 0}
	for i := range c.Issuers {
		if j := c.Issuers[i].SignatureValidation.JWKS; j != nil && j.Inline == "" {
			p.sources[i] = jwks.NewSource(gate.SourcePolicy(j), nil)
		}
	}
	p.Gate, _, err = gate.New(c, gate.Options{Now: func() time.Time { return p.now }, Sources: p.sources})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Serve implements [scenario.Proxy].
func (p *proxy) Serve(r scenario.Request) scenario.Outcome {
	request := &gate.Request{
		Headers: r.Map(), EndOfStream: len(r.Trailers) == 0,
		PeerCertificate: func() (string, error) { return r.Digest(), nil },
		RouteMetadata: func(name string) (string, bool) {
			for at, value := range r.RouteMetadata {
				if at[0]+"."+at[1] == name && value != "" {
					return value, true
				}
			}
			return "", false
		},
	}
	for i := range request.Headers {
		request.Headers[i][0] = lower(request.Headers[i][0])
	}
	whole := slices.Clone(request.Headers)
	for i := range request.Headers {
		if !p.Reads(request.Headers[i][0]) {
			request.Headers[i][1] = "not read"
		}
	}
	d := p.Judge(request)
	if i := d.Introspection; d.Verdict == gate.Wait && p.waits && i != nil && i.Begin(p.now) {
		status, body := r.Answer()
		code, _ := strconv.Atoi(status)
		i.Finish(p.now, introspect.Read(&jwks.Response{Status: code, Body: string(body)}))
		request.Introspection = i
		d = p.Judge(request)
	}
	if d.Verdict == gate.Wait { // in vain
		held := d.Bare()
		p.Refuse(&held, held.InVain())
		d = held
	}
	outcome := scenario.Outcome{Reason: d.Reason()}
	if d.Issuer != nil {
		outcome.Issuer = d.Issuer.Name
	}
	if d.Identity != nil {
		outcome.Organization = d.Identity.Organization
	}
	switch d.Verdict {
	case gate.Pass:
		outcome.Passed = true
		outcome.Upstream = carryOut(whole, d.Edits())
		outcome.Trailers = slices.DeleteFunc(slices.Clone(r.Trailers),
			func(h [2]string) bool { return p.IsIdentityHeader(h[0]) })
	default:
		response := p.Response(&d)
		outcome.Status, outcome.Headers = int(response.Status), response.Headers
		outcome.Body, outcome.GRPC = response.Body, response.GRPC
	}
	return outcome
}

// lower is a name in the case that proxies hand over.
func lower(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// carryOut edits a header map as a proxy does.
func carryOut(headers [][2]string, edits []gate.Edit) scenario.Headers {
	after := slices.Clone(headers)
	for _, e := range edits {
		if e.Op != gate.Add {
			after = slices.DeleteFunc(after, func(h [2]string) bool { return h[0] == e.Name })
		}
		if e.Op != gate.Remove {
			after = append(after, [2]string{e.Name, e.Value})
		}
	}
	return after
}

// TestScenarios sends each request twice: the second time its token has been
// seen before.
func TestScenarios(t *testing.T) {
	for _, c := range scenario.All() {
		t.Run(c.Name, func(t *testing.T) {
			p := open(t, c.Configuration())
			for _, time := range []string{"first", "second"} {
				if diff := c.Check(p.Serve(c.Request)); diff != "" {
					t.Errorf("verdict, the %s time (-want +got):\n%s", time, diff)
				}
			}
		})
	}
}

// checks counts the signatures that are verified meanwhile.
func checks(step func()) uint64 {
	before := jwt.SignatureChecks()
	step()
	return jwt.SignatureChecks() - before
}
