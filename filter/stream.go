package filter

import (
	"errors"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"orgate/gate"
)

// phase is how far a stream has come. The zero value holds everything back.
type phase uint8

const (
	pending phase = iota
	judged        // by the gate, now
	waiting       // for keys or an introspection
	refused
	passed
)

// stream is one request. Once it is judged it holds nothing of the request: a
// stream may stay open for days.
type stream struct {
	types.DefaultHttpContext
	plugin *plugin
	id     uint32
	phase  phase
	end    bool // neither a body nor trailers follow the headers
	// held is what the request's refusal needs, while it waits.
	held *gate.Decision
}

// OnHttpRequestHeaders decides on the request, unless it has to wait.
func (s *stream) OnHttpRequestHeaders(_ int, end bool) types.Action {
	s.end = end
	return s.guard(func() types.Action { return s.judge(time.Time{}) })
}

// OnHttpRequestBody holds the body back until the request may pass. Proxies
// that stop the whole stream on a pause do not call it before.
func (s *stream) OnHttpRequestBody(int, bool) types.Action { return s.action() }

// OnHttpRequestTrailers takes identity headers out of the trailers as well,
// also while the request waits: some upstreams merge the two.
func (s *stream) OnHttpRequestTrailers(int) types.Action {
	return s.guard(func() types.Action {
		trailers, err := proxywasm.GetHttpRequestTrailers()
		if err != nil && !errors.Is(err, types.ErrorStatusNotFound) {
			return s.fault(err)
		}
		for _, t := range trailers {
			if s.plugin.gate.IsIdentityHeader(t[0]) {
				if err := proxywasm.RemoveHttpRequestTrailer(t[0]); err != nil {
					return s.fault(err)
				}
			}
		}
		return s.action()
	})
}

// OnHttpStreamDone forgets a stream that was waiting.
func (s *stream) OnHttpStreamDone() {
	if s.phase == waiting {
		s.plugin.room.Leave(s)
	}
}

// action is the only place that lets a stream go on.
func (s *stream) action() types.Action {
	if s.phase == passed {
		return types.ActionContinue
	}
	return types.ActionPause
}

// guard runs a part of the stream's way. A panic in it is logged and refuses
// the request.
func (s *stream) guard(step func() types.Action) (action types.Action) {
	action = types.ActionPause
	defer func() {
		if value := recover(); value != nil {
			stack := string(debug.Stack())
			attempt(func() { proxywasm.LogError("panic while judging a request\n" + stack) })
			attempt(func() { s.fault(gate.ErrFault) })
			action = types.ActionPause
		}
	}()
	return step()
}

// attempt runs what must not decide anything, whatever becomes of it.
func attempt(f func()) {
	defer func() { _ = recover() }()
	f()
}

// judge reads the request and carries out what the gate decides. A stream that
// has waited is read anew, and has a deadline.
func (s *stream) judge(deadline time.Time) types.Action {
	headers, err := requestHeaders(s.plugin.gate.Reads)
	if err != nil {
		return s.fault(err)
	}
	request := gate.Request{Headers: headers, EndOfStream: s.end, RouteMetadata: routeMetadata,
		PeerCertificate: peerCertificate}
	if s.held != nil {
		request.Introspection = s.held.Introspection
	} else {
		s.phase = judged
	}
	d := s.plugin.gate.Judge(&request)
	switch d.Verdict {
	case gate.Pass:
		return s.pass(&d)
	case gate.Wait:
		return s.wait(&d, deadline)
	default:
		return s.refuse(&d)
	}
}

// pass edits the request's headers and lets it go on. A host call that fails
// refuses it.
func (s *stream) pass(d *gate.Decision) types.Action {
	for _, e := range d.Edits() {
		if err := apply(e); err != nil {
			return s.fail(d, err)
		}
	}
	if err := tell(d); err != nil {
		return s.fail(d, err)
	}
	s.plugin.count(d)
	if s.phase == waiting {
		if err := proxywasm.ResumeHttpRequest(); err != nil {
			return s.fail(d, err)
		}
	}
	s.phase, s.held = passed, nil
	return s.action()
}

// apply carries an edit out.
func apply(e gate.Edit) error {
	switch e.Op {
	case gate.Remove:
		return proxywasm.RemoveHttpRequestHeader(e.Name)
	case gate.Add:
		return proxywasm.AddHttpRequestHeader(e.Name, e.Value)
	case gate.Replace:
		return proxywasm.ReplaceHttpRequestHeader(e.Name, e.Value)
	default:
		return gate.ErrFault
	}
}

// wait pauses the stream until the source that it waits for has news or its time
// is up. Meanwhile nothing is kept of the request but what its refusal needs: the
// header maps of all that may wait would fill the memory.
func (s *stream) wait(d *gate.Decision, deadline time.Time) types.Action {
	p := s.plugin
	now := p.now()
	if s.phase == waiting {
		p.room.Return(s, d.Awaited, deadline)
	} else if !p.room.Enter(s, d.Awaited, now.Add(time.Duration(p.config.Limits.KeyWait))) {
		p.gate.Refuse(d, d.InVain())
		return s.refuse(d)
	}
	held := d.Bare()
	s.phase, s.held = waiting, &held
	if d.Introspection != nil {
		p.tickWithin(p.pause())
	} else {
		p.tickWithin(often)
	}
	return s.action()
}

// expire refuses a stream that has waited for as long as it may.
func (s *stream) expire() types.Action {
	d := s.held
	s.plugin.gate.Refuse(d, d.InVain())
	return s.refuse(d)
}

// fault refuses the request without a decision.
func (s *stream) fault(err error) types.Action {
	d := s.soFar()
	return s.fail(&d, err)
}

// soFar is what is known of the request. The gate knows of the one that it has judged
// last, which is another one until it is given this one.
func (s *stream) soFar() gate.Decision {
	switch {
	case s.held != nil:
		return *s.held
	case s.phase == judged:
		return s.plugin.gate.Fault()
	}
	return gate.Decision{}
}

// fail makes a fault of a decision that could not be carried out.
func (s *stream) fail(d *gate.Decision, err error) types.Action {
	attempt(func() { proxywasm.LogError("fault: " + err.Error()) })
	failed := d.Bare()
	failed.Verdict, failed.Err = gate.Refuse, gate.ErrFault
	return s.refuse(&failed)
}

// refuse sends the refusal and pauses the stream for good. A stream is refused
// once.
func (s *stream) refuse(d *gate.Decision) types.Action {
	if s.phase == refused {
		return s.action()
	}
	s.phase, s.held = refused, nil
	p := s.plugin
	response := (*gate.Gate)(nil).Response(d)
	attempt(func() { response = p.gate.Response(d) })
	attempt(func() { debugRefusal(d) })
	attempt(func() { _ = tell(d) })
	attempt(func() { p.count(d) })
	// If even the response cannot be sent the stream stays paused.
	_ = proxywasm.SendHttpResponse(response.Status, response.Headers, []byte(response.Body), response.GRPC)
	return s.action()
}

// Properties that tell access logs what was decided. Each is one part of a
// path: the proxy keeps it in the stream's filter state as "wasm." and the
// name.
var (
	propertyReason       = []string{"orgate.reason"}
	propertyIssuer       = []string{"orgate.issuer"}
	propertyOrganization = []string{"orgate.organization"} // that the token proves
	propertyRule         = []string{"orgate.rule"}
	propertyRequired     = []string{"orgate.required"} // organization
	propertySource       = []string{"orgate.source"}   // of the token
)

// tell sets the properties. Each costs a host call, so what explains a refusal is
// told of those alone that are refused, or would be.
func tell(d *gate.Decision) error {
	var issuer, organization, rule string
	if d.Issuer != nil {
		issuer = d.Issuer.Name
	}
	if d.Identity != nil {
		organization = d.Identity.Organization // none, in report-only mode
	}
	err := errors.Join(tellOne(propertyReason, d.Reason()), tellOne(propertyIssuer, issuer),
		tellOne(propertyOrganization, organization))
	if err != nil || d.Verdict == gate.Pass && !d.Reported {
		return err
	}
	if d.Rule != nil {
		rule = d.Rule.Name
	}
	source := d.Place.String()
	if d.Other.Kind != "" {
		source += ", " + d.Other.String()
	}
	return errors.Join(tellOne(propertyRule, rule), tellOne(propertyRequired, d.Required),
		tellOne(propertySource, source))
}

// tellOne sets a property, unless there is nothing to tell.
func tellOne(property []string, value string) error {
	if value == "" {
		return nil
	}
	return proxywasm.SetProperty(property, []byte(value))
}

// debugRefusal logs what a refused token said of itself, at debug level alone.
func debugRefusal(d *gate.Decision) {
	if d.Err == nil || !debugging() {
		return
	}
	line := "refused: " + d.Err.Error()
	if d.Token != nil {
		kid, claims := d.Claims()
		line += " kid=" + printable(kid) + " iss=" + printable(claims.Issuer()) + " jti=" + printable(claims.ID())
	}
	if d.Issuer != nil {
		line += " issuer=" + d.Issuer.Name
	}
	proxywasm.LogDebug(line)
}

// debugLeftOut logs which identity headers could not be written, and why, at debug
// level alone.
func debugLeftOut(d *gate.Decision) {
	if !debugging() {
		return
	}
	for _, h := range d.Identity.LeftOut {
		proxywasm.LogDebug("left out: " + h.Header + ": " + h.Problem + " issuer=" + d.Issuer.Name)
	}
}

// printable cuts what a client sent to a length and to characters that cannot
// forge a line of a log.
func printable(s string) string {
	const most = 128
	return strconv.QuoteToASCII(s[:min(len(s), most)])
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

// certificateDigest is the property that tells the client's certificate.
var certificateDigest = []string{"connection", "sha256_peer_certificate_digest"}

// peerCertificate is the SHA-256 digest of the certificate that the client has
// shown, as hex, "" if there is none.
func peerCertificate() (string, error) {
	digest, err := proxywasm.GetProperty(certificateDigest)
	if errors.Is(err, types.ErrorStatusNotFound) {
		return "", nil
	}
	return string(digest), err
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
