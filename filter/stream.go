package filter

import (
	"errors"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	"orgate/config"
	"orgate/jwt"
	"orgate/policy"
)

// phase is how far a stream has come. The zero value holds everything back.
type phase uint8

const (
	undecided phase = iota
	waiting         // for keys
	refused
	allowed
)

// stream is one request.
type stream struct {
	types.DefaultHttpContext
	id     uint32
	plugin *plugin

	phase   phase
	request request
	rule    *policy.Rule
	edits   []edit // that take the token out of the request

	compact string // the token as it came
	token   *jwt.Token
	proof   *policy.Proof
	known   *verified // what is known of the token from before, or nil

	// required is the organization that the rule asks for, "" if the request
	// names none.
	required string

	// What the stream waits for, and until when.
	location *location
	issuer   *policy.Issuer
	deadline time.Time
}

// OnHttpRequestHeaders decides on the request, unless it has to wait.
func (s *stream) OnHttpRequestHeaders(int, bool) types.Action {
	return s.guard(s.open)
}

// OnHttpRequestBody holds the body back until the request is allowed. Proxies
// that stop the whole stream on a pause do not call it before.
func (s *stream) OnHttpRequestBody(int, bool) types.Action {
	return s.gate()
}

// OnHttpRequestTrailers takes identity headers out of the trailers as well:
// some upstreams merge the two.
func (s *stream) OnHttpRequestTrailers(int) types.Action {
	return s.guard(func() types.Action {
		if s.phase != allowed {
			return types.ActionPause
		}
		trailers, err := proxywasm.GetHttpRequestTrailers()
		if errors.Is(err, types.ErrorStatusNotFound) {
			return types.ActionContinue
		}
		if err != nil {
			return s.refuse(errInternal)
		}
		for _, t := range trailers {
			if s.plugin.policy.IsIdentityHeader(t[0]) {
				if err := proxywasm.RemoveHttpRequestTrailer(t[0]); err != nil {
					return s.refuse(errInternal)
				}
			}
		}
		return types.ActionContinue
	})
}

// OnHttpStreamDone forgets a stream that was waiting.
func (s *stream) OnHttpStreamDone() {
	if s.phase == waiting {
		s.plugin.forget(s)
	}
}

func (s *stream) gate() types.Action {
	if s.phase == allowed {
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
			quietly(func() { proxywasm.LogError("panic while judging a request\n" + stack) })
			quietly(func() { s.refuse(errInternal) })
			action = types.ActionPause
		}
	}()
	return step()
}

// quietly runs what must not decide anything, whatever becomes of it.
func quietly(f func()) {
	defer func() { _ = recover() }()
	f()
}

// open reads the request and decides on it. A stream that has waited is opened
// anew: it lets go of the request meanwhile.
func (s *stream) open() types.Action {
	headers, err := proxywasm.GetHttpRequestHeaders()
	if err != nil {
		return s.refuse(errInternal)
	}
	s.request = readRequest(headers)
	return s.decide()
}

// decide is the way of a request that has been read to a verdict or a wait.
func (s *stream) decide() types.Action {
	p := s.plugin
	if p.config == nil {
		return s.refuse(errInternal)
	}
	if err := s.strip(); err != nil {
		return s.refuse(errInternal)
	}
	credentials := readCredentials(&s.request, &p.config.TokenSources)
	s.edits = credentials.edits
	query := s.request.policyRequest()
	var err error
	s.rule, err = p.policy.Route(&query)
	if err != nil {
		return s.refuse(err)
	}
	if s.rule.Public || s.request.preflight && p.config.BypassCORSPreflight {
		return s.allow(reasonPublic, nil, nil)
	}
	switch len(credentials.tokens) {
	case 0:
		if s.rule.Optional {
			return s.allow(reasonPublic, nil, nil)
		}
		return s.refuse(errNoToken)
	case 1:
	default:
		return s.refuse(errSeveralTokens)
	}
	// Where the request names no organization the token is judged all the
	// same: what is wrong with it comes first.
	s.required, err = s.rule.RequiredOrganization(&query)
	if err != nil && !errors.Is(err, policy.ErrOrganization) {
		return s.refuse(err)
	}
	s.compact = credentials.tokens[0]
	if s.known = p.cache.get(s.compact); s.known != nil {
		s.token, s.proof = s.known.token, s.known.proof
	} else if err := s.parse(); err != nil {
		return s.refuse(err)
	}
	return s.judge()
}

// strip removes every header that could be taken for an identity, and keeps
// Connection headers from having those removed that are written later.
func (s *stream) strip() error {
	policy := s.plugin.policy
	connection := edit{header: "connection"}
	changed := false
	for _, h := range s.request.headers {
		switch {
		case policy.IsIdentityHeader(h[0]):
			if err := proxywasm.RemoveHttpRequestHeader(h[0]); err != nil {
				return err
			}
		case h[0] == "connection":
			rest, without := withoutIdentity(h[1], policy)
			changed = changed || without
			if rest != "" {
				connection.values = append(connection.values, rest)
			}
		}
	}
	if !changed {
		return nil
	}
	return connection.apply()
}

// parse reads the token. It is copied before, since what is kept of it would
// keep the whole header map alive.
func (s *stream) parse() (err error) {
	s.known = nil
	s.compact = strings.Clone(s.compact)
	if s.token, err = jwt.Parse(s.compact, s.plugin.config.Limits.TokenBytes); err != nil {
		return err
	}
	s.proof, err = s.plugin.policy.Proof(s.token.Claims)
	return err
}

// judge decides on the token, or has the stream wait for keys.
func (s *stream) judge() types.Action {
	p := s.plugin
	issuer, err := s.proof.Issuer(s.rule, s.required)
	if err != nil {
		return s.refuse(err)
	}
	if err := s.token.CheckAlgorithm(issuer.Config.Algorithms); err != nil {
		return s.refuseOf(issuer, err)
	}
	now := p.now()
	if err := s.token.CheckTime(now, p.times[issuer.Index]); err != nil {
		return s.refuseOf(issuer, err)
	}
	identity, err := s.authenticate(issuer, now)
	if errors.Is(err, errWait) {
		return s.wait(issuer, now)
	}
	if err != nil {
		return s.refuseOf(issuer, err)
	}
	err = s.rule.Authorize(s.required, issuer, identity)
	switch {
	case err == nil:
		return s.allow(reasonOK, issuer, identity)
	case issuer.Config.ReportOnly && policy.ByRule(err):
		return s.report(err, issuer, identity)
	default:
		return s.refuseOf(issuer, err)
	}
}

// authenticate returns who the token speaks for, if one of the issuer's keys
// has signed it and it is of a type and for an audience that is accepted here.
// The signature is verified unless that was done before with a key that the
// issuer still has.
func (s *stream) authenticate(issuer *policy.Issuer, now time.Time) (*policy.Identity, error) {
	p := s.plugin
	keys := &p.keys[issuer.Index]
	var known *verdict
	if s.known != nil {
		known = s.known.verdict(issuer)
		if known == nil || !keys.holds(known, s.token, now) {
			if err := s.parse(); err != nil {
				return nil, err
			}
			known = nil
		}
	}
	if known == nil {
		var err error
		if known, err = s.verify(issuer, keys, now); err != nil {
			return nil, err
		}
	}
	if err := s.token.CheckType(issuer.Config.TokenTypes); err != nil {
		return nil, err
	}
	if err := s.token.CheckAudience(s.rule.Audiences(issuer)); err != nil {
		return nil, err
	}
	return known.identity, known.err
}

// verify verifies the token's signature, and remembers the outcome.
func (s *stream) verify(issuer *policy.Issuer, keys *keyring, now time.Time) (*verdict, error) {
	cache := s.plugin.cache
	generation := keys.generation(now)
	if cache.isForged(s.compact, issuer, generation) {
		return nil, jwt.ErrSignature
	}
	key, err := keys.verify(s.token, now, s.plugin.arithmetic)
	if err != nil {
		if errors.Is(err, jwt.ErrSignature) {
			cache.keepForged(s.compact, issuer, generation)
		}
		return nil, err
	}
	made := &verdict{issuer: issuer, key: key, generation: generation}
	made.identity, made.err = issuer.Identify(s.token.Claims)
	cache.keep(s.compact, s.token, s.proof, *made)
	return made, nil
}

// wait pauses the stream until its keys have come or its time is up. Meanwhile
// nothing is kept of the request but what a refusal needs: the header maps of all
// that may wait would fill the memory.
func (s *stream) wait(issuer *policy.Issuer, now time.Time) types.Action {
	p := s.plugin
	location := p.keys[issuer.Index].location
	if s.phase != waiting {
		if !p.hasRoom(location) {
			return s.refuseOf(issuer, errKeysUnavailable)
		}
		s.phase = waiting
		s.deadline = now.Add(time.Duration(p.config.Limits.KeyWait))
		p.waiting = append(p.waiting, s)
	}
	s.location, s.issuer = location, issuer
	s.request = request{method: strings.Clone(s.request.method), grpc: s.request.grpc}
	s.edits, s.compact, s.token, s.proof, s.known = nil, "", nil, nil, nil
	p.tickWithin(often)
	return types.ActionPause
}

// allow writes the identity headers, if there are any, and lets the request
// go on. A host call that fails refuses it.
func (s *stream) allow(reason string, issuer *policy.Issuer, identity *policy.Identity) types.Action {
	if err := s.rewrite(identity); err != nil {
		return s.refuseOf(issuer, err)
	}
	if err := s.tell(reason, issuer, identity); err != nil {
		return s.refuseOf(issuer, err)
	}
	s.plugin.metrics.request(s.labels(reason, issuer))
	return s.proceed()
}

// report lets a request pass that a rule refuses, and says so.
func (s *stream) report(err error, issuer *policy.Issuer, identity *policy.Identity) types.Action {
	reason := answerTo(err).reason
	if err := s.rewrite(identity); err != nil {
		return s.refuseOf(issuer, err)
	}
	if err := proxywasm.AddHttpRequestHeader(policy.ReportHeader, reason); err != nil {
		return s.refuseOf(issuer, err)
	}
	if err := s.tell(reason, issuer, identity); err != nil {
		return s.refuseOf(issuer, err)
	}
	labels := s.labels(reason, issuer)
	s.plugin.metrics.request(labels)
	s.plugin.logReport(labels)
	return s.proceed()
}

// rewrite takes the token out of the request and puts the identity in.
func (s *stream) rewrite(identity *policy.Identity) error {
	if !s.plugin.config.ForwardToken {
		for _, e := range s.edits {
			if err := e.apply(); err != nil {
				return err
			}
		}
	}
	if identity == nil {
		return nil
	}
	for _, h := range identity.Headers {
		if err := proxywasm.AddHttpRequestHeader(h[0], h[1]); err != nil {
			return err
		}
	}
	if name := s.plugin.config.ForwardPayload; name != "" {
		return proxywasm.AddHttpRequestHeader(name, s.token.Payload())
	}
	return nil
}

// apply carries an edit out. A header is removed and added anew: replacing one
// that occurs twice would leave its second value.
func (e edit) apply() error {
	if e.header == ":path" {
		return proxywasm.ReplaceHttpRequestHeader(e.header, e.values[0])
	}
	if err := proxywasm.RemoveHttpRequestHeader(e.header); err != nil {
		return err
	}
	for _, value := range e.values {
		if err := proxywasm.AddHttpRequestHeader(e.header, value); err != nil {
			return err
		}
	}
	return nil
}

// proceed lets the stream go on, from its own callback or from the plugin's.
func (s *stream) proceed() types.Action {
	if s.phase == waiting {
		if err := proxywasm.ResumeHttpRequest(); err != nil {
			return s.refuse(errInternal)
		}
	}
	s.phase = allowed
	return types.ActionContinue
}

func (s *stream) refuse(err error) types.Action {
	return s.refuseOf(nil, err)
}

// refuseOf sends the answer to an error and pauses the stream for good. The
// issuer, if it is known, is counted. A stream is refused once.
func (s *stream) refuseOf(issuer *policy.Issuer, err error) types.Action {
	if s.phase == refused {
		return types.ActionPause
	}
	s.phase = refused
	p := s.plugin
	a := answerTo(err)
	grpcStatus := int32(-1)
	format := &config.Errors{} // the default one, for a fault, where there is no configuration
	if p.config != nil {
		format = &p.config.Errors
	}
	retryAfter := 0
	if a.status == 503 {
		quietly(func() { retryAfter = p.retryAfter(issuer) })
	}
	headers, body := a.headers(format, err, retryAfter, s.request.grpc), a.body(format.Format)
	switch {
	case s.request.grpc:
		grpcStatus, body = a.grpc, a.description
	case s.request.method == "HEAD":
		body = ""
	}
	quietly(func() { s.debug(issuer, err) })
	quietly(func() { _ = s.tell(a.reason, issuer, nil) })
	if p.metrics != nil {
		quietly(func() { p.metrics.request(s.labels(a.reason, issuer)) })
	}
	// If even the answer cannot be sent the stream stays paused.
	_ = proxywasm.SendHttpResponse(a.status, headers, []byte(body), grpcStatus)
	return types.ActionPause
}

// labels are the labels that a request is counted under.
func (s *stream) labels(reason string, issuer *policy.Issuer) requestLabels {
	l := requestLabels{rule: labelNone, issuer: labelNone, reason: reason}
	if s.rule != nil && s.rule.Name != "" {
		l.rule = s.rule.Name
	}
	if issuer != nil {
		l.issuer = issuer.Name
	}
	return l
}

// Properties that tell access logs what was decided. Each is one part of a
// path: the proxy keeps it in the stream's filter state as "wasm." and the
// name.
var (
	propertyReason       = []string{"orgate.reason"}
	propertyIssuer       = []string{"orgate.issuer"}
	propertyOrganization = []string{"orgate.organization"}
)

// tell sets the properties.
func (s *stream) tell(reason string, issuer *policy.Issuer, identity *policy.Identity) error {
	if err := proxywasm.SetProperty(propertyReason, []byte(reason)); err != nil {
		return err
	}
	if issuer != nil {
		if err := proxywasm.SetProperty(propertyIssuer, []byte(issuer.Name)); err != nil {
			return err
		}
	}
	if identity != nil && identity.Organization != "" { // none, in report-only mode
		return proxywasm.SetProperty(propertyOrganization, []byte(identity.Organization))
	}
	return nil
}

// debug logs what a refused token said of itself, at debug level alone.
func (s *stream) debug(issuer *policy.Issuer, err error) {
	if !debugging() {
		return
	}
	line := "refused: " + err.Error()
	if t := s.token; t != nil {
		line += " kid=" + printable(t.KeyID) + " iss=" + printable(t.Claims.Issuer()) + " jti=" + printable(t.Claims.ID())
	}
	if issuer != nil {
		line += " issuer=" + issuer.Name
	}
	proxywasm.LogDebug(line)
}

// printable cuts what a client sent to a length and to characters that cannot
// forge a line of a log.
func printable(s string) string {
	const most = 128
	return strconv.QuoteToASCII(s[:min(len(s), most)])
}
