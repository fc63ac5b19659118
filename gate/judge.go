package gate

import (
	"errors"
	"strings"
	"time"

	"orgate/jwt"
	"orgate/policy"
)

// Judge decides on a request. The decision's edits are good until the next call.
func (g *Gate) Judge(r *Request) Decision {
	if g == nil {
		line := r.read()
		return Decision{Err: ErrFault, RPC: line.rpc, Head: line.method == "HEAD"}
	}
	j := &g.current
	edits := j.edits[:0]
	clear(edits[:cap(edits)])
	*j = judgment{Gate: g, Decision: Decision{edits: edits}, request: r, credentials: j.credentials.reuse()}
	j.end(j.judge())
	return j.Decision
}

// Tokens returns the distinct tokens that a request carries, the first few of them, in
// the order of the configured places.
func (g *Gate) Tokens(r *Request) []string {
	return readCredentials(r, r.read().path, &g.config.TokenSources).tokens
}

// Refuse makes a decision a refusal.
func (g *Gate) Refuse(d *Decision, err error) {
	d.Verdict, d.Err, d.Awaited, d.edits = Refuse, err, Awaited{}, nil
}

// Fault is the refusal of the request that was judged last, if its decision could
// not be made or carried out.
func (g *Gate) Fault() Decision {
	if g == nil {
		return Decision{}
	}
	d := g.current.Decision.Bare()
	d.Verdict, d.Err, d.Awaited = Refuse, ErrFault, Awaited{}
	return d
}

// judgment is a request on its way to a decision.
type judgment struct {
	*Gate
	Decision
	request     *Request
	line        requestLine
	credentials credentials

	proof  *policy.Proof  // what the token says of its organization
	known  *verified      // what is known of it from before, or nil
	answer *Introspection // what its provider has just said of it, or nil
	now    time.Time      // zero until it is asked for
}

// time is the time of the judgment.
func (j *judgment) time() time.Time {
	if j.now.IsZero() {
		j.now = j.options.Now()
	}
	return j.now
}

// introspected reports whether the token's provider stands for it, and no key.
func (j *judgment) introspected() bool {
	return j.answer != nil || j.known != nil && !j.known.until.IsZero()
}

// errWait: the keys may come, and the request waits for them.
var errWait = errors.New("waiting for keys")

// judge takes the steps in order. A nil error is the only permission.
func (j *judgment) judge() error {
	j.line = j.request.read()
	j.RPC, j.Head = j.line.rpc, j.line.method == "HEAD"
	query := j.line.policyRequest(j.request)
	if err := j.route(&query); err != nil {
		return err
	}
	j.credentials.read(j.request, j.line.path, &j.config.TokenSources)
	if j.Public {
		return nil
	}
	if err := j.step(StepToken, j.readToken(&query)); err != nil || j.Public {
		return err
	}
	if err := j.step(StepIssuer, j.chooseIssuer()); err != nil {
		return err
	}
	if err := j.authenticate(&j.issuers[j.Issuer.Index]); err != nil {
		return err
	}
	return j.authorize()
}

// route finds the rule. A CORS preflight falls under the rule for the method
// that it asks for, if there is one, and asks for no token.
func (j *judgment) route(query *policy.Request) (err error) {
	if j.config.BypassCORSPreflight && j.line.preflight != "" {
		asked := *query
		asked.Method = j.line.preflight
		if j.Rule, err = j.policy.Route(&asked); err == nil {
			j.Public = true
			j.step(StepRule, nil)
			return j.step(StepPreflight, nil)
		}
	}
	if j.Rule, err = j.policy.Route(query); err == nil {
		j.Public = j.Rule.Public
	}
	return j.step(StepRule, err)
}

// readToken finds the request's token and reads it, unless it is known. If the
// request names no organization the token is judged all the same: what is wrong
// with it comes first.
func (j *judgment) readToken(query *policy.Request) (err error) {
	j.Place = j.credentials.place
	switch len(j.credentials.tokens) {
	case 0:
		if j.Rule.Optional {
			j.Public = true
			return nil
		}
		return ErrNoToken
	case 1:
	default:
		j.Other = j.credentials.other
		return ErrSeveralTokens
	}
	j.compact = j.credentials.tokens[0]
	j.Required, err = j.Rule.RequiredOrganization(query)
	if err != nil && !errors.Is(err, policy.ErrOrganization) {
		return err
	}
	if j.known = j.cache.get(j.compact); j.known != nil {
		if !j.introspected() || j.request.Introspection == nil && j.time().Before(j.known.until) && j.isForRule() {
			j.Token, j.proof = &j.known.token, j.known.proof
			return nil
		}
		if !j.time().Before(j.known.until) {
			j.cache.drop(j.compact)
		}
		j.known = nil
	}
	token, err := jwt.Parse(j.compact, j.config.Limits.TokenBytes)
	if errors.Is(err, jwt.ErrTooLarge) {
		return err
	}
	var claims *jwt.Claims
	if err == nil {
		claims = &token.Claims
	}
	if provider := j.policy.Asked(j.Rule, j.compact, claims); provider != nil {
		return j.introspect(provider)
	}
	if err != nil && isOpaque(j.compact) {
		return ErrOpaque
	}
	j.Token = token
	return err
}

// isForRule reports whether the rule takes tokens of the provider that has told what is
// known. If not, the token may still be another one's.
func (j *judgment) isForRule() bool {
	_, err := j.known.proof.Issuer(j.Rule, j.Required)
	return err == nil
}

// chooseIssuer finds the issuer that the token is judged by.
func (j *judgment) chooseIssuer() (err error) {
	if j.proof == nil {
		if j.proof, err = j.policy.Proof(j.Token.Claims); err != nil {
			return err
		}
	}
	issuer, err := j.proof.Issuer(j.Rule, j.Required)
	if err == nil && j.known == nil && j.answer == nil && !issuer.Takes(j.compact) {
		return policy.ErrUnknownIssuer
	}
	j.Issuer = issuer
	return err
}

// authenticate finds out who the token speaks for, if one of the issuer's keys
// has signed it or its provider stands for it, and it is accepted here.
func (j *judgment) authenticate(i *issuer) error {
	evidence := j.signed
	if j.introspected() {
		evidence = j.told
	}
	v, err := evidence(i, j.time())
	if err != nil {
		return err
	}
	if err := j.checkBinding(v.binding); err != nil {
		return err
	}
	if v.identity == nil {
		return j.step(StepIdentity, v.err)
	}
	return nil
}

// signed is the evidence of a key. The signature is verified unless that was done
// before with a key that the issuer still has.
func (j *judgment) signed(i *issuer, now time.Time) (*verdict, error) {
	if err := j.step(StepAlgorithm, j.Token.CheckAlgorithm(j.Issuer.Config.Algorithms)); err != nil {
		return nil, err
	}
	if err := j.step(StepTime, j.Token.CheckTime(now, i.times)); err != nil {
		return nil, err
	}
	v, err := j.verdict(i, now)
	if j.step(StepKey, err) != nil {
		return nil, err
	}
	j.Identity = v.identity // also of a token that is refused from here on
	if err := j.step(StepType, v.typeErr); err != nil {
		return nil, err
	}
	return v, j.step(StepAudience, j.Token.CheckAudience(j.Rule.Audiences(j.Issuer)))
}

// told is the evidence of a provider's word. Of times and audiences those are
// checked that it has named.
func (j *judgment) told(i *issuer, now time.Time) (*verdict, error) {
	times := i.times
	times.RequireExpiration = false
	if err := j.step(StepTime, j.Token.CheckTime(now, times)); err != nil {
		return nil, err
	}
	v, err := j.word(now)
	if err != nil {
		return nil, err
	}
	j.Identity = v.identity
	if j.Token.HasAudience() {
		err = j.step(StepAudience, j.Token.CheckAudience(j.Rule.Audiences(j.Issuer)))
	}
	return v, err
}

// word is what the issuer makes of its provider's word, from before if that is kept.
func (j *judgment) word(now time.Time) (*verdict, error) {
	if j.known != nil {
		if v := j.known.verdict(j.Issuer); v != nil {
			return v, nil
		}
		return nil, j.introspect(j.proof.Provider()) // whose claims are not kept
	}
	made := &verdict{issuer: j.Issuer, binding: j.toldBinding()}
	made.identity, made.err = j.Issuer.Identify(j.Token.Claims)
	if now.Before(j.answer.until) {
		j.cache.keep(j.compact, j.Token, j.proof, *made, j.audiences, j.answer.until)
	}
	return made, nil
}

// verdict is what the issuer makes of the token, from before if its key is still
// among the issuer's.
func (j *judgment) verdict(i *issuer, now time.Time) (*verdict, error) {
	if j.known != nil {
		v := j.known.verdict(j.Issuer)
		if v != nil && i.keys.holds(v, j.Token, now) {
			return v, nil
		}
		// Verifying takes the whole token.
		token, err := jwt.Parse(j.compact, j.config.Limits.TokenBytes)
		if err != nil {
			return nil, err
		}
		j.Token = token
	}
	key, generation, err := j.verify(i, now)
	if err != nil {
		return nil, err
	}
	made := &verdict{issuer: j.Issuer, key: key, generation: generation}
	made.typeErr = j.Token.CheckType(j.Issuer.Config.TokenTypes)
	made.binding = bindingOf(j.Token.Claims)
	made.identity, made.err = j.Issuer.Identify(j.Token.Claims)
	j.cache.keep(j.compact, j.Token, j.proof, *made, j.audiences, time.Time{})
	return made, nil
}

// verify verifies the token's signature and returns the key, with the
// generation of the issuer's keys. The error is [errWait] if the right key may
// be on its way. What bad signatures cost is taken from the issuer's allowance.
func (j *judgment) verify(i *issuer, now time.Time) (*jwt.Key, uint64, error) {
	generation := i.keys.generation(now)
	if j.cache.isForged(j.compact, j.Issuer, generation) {
		return nil, 0, jwt.ErrSignature
	}
	candidates, final := i.keys.candidates(j.Token, now)
	if len(candidates) > 0 && !i.forgeries.left(now) {
		return nil, 0, errAllowance
	}
	cost := 0
	for _, key := range candidates {
		if j.options.Observer != nil {
			j.Tried = append(j.Tried, key)
		}
		cost += j.Token.Cost(key)
		j.spent += j.Token.Cost(key)
		err := j.Token.VerifyWith(key, j.options.Arithmetic)
		if err == nil {
			return key, generation, nil
		}
		if !errors.Is(err, jwt.ErrSignature) {
			return nil, 0, err
		}
	}
	err := i.keys.failure(j.Token, len(candidates), final, now)
	if cost > 0 {
		i.forgeries.spend(cost)
	}
	if errors.Is(err, jwt.ErrSignature) {
		j.cache.keepForged(j.compact, j.Issuer, generation)
	}
	return nil, 0, err
}

// authorize asks whether the token's identity may do what the rule is for.
func (j *judgment) authorize() error {
	err := j.Rule.Authorize(j.Required, j.Issuer, j.Identity)
	if j.options.Observer == nil {
		return err
	}
	claim, isClaim := errors.AsType[*policy.ClaimError](err)
	last := StepDemands
	switch {
	case errors.Is(err, policy.ErrOrganization), isClaim && claim.Use == "organization":
		last = StepOrganization
	case isClaim:
		last = StepIdentity
	}
	for s := StepIdentity; s < last; s++ {
		j.step(s, nil)
	}
	return j.step(last, err)
}

// end makes a verdict of the error that the steps ended in.
func (j *judgment) end(err error) {
	switch {
	case err == nil:
		j.Verdict = Pass
	case errors.Is(err, errWait):
		j.Verdict, j.Source = Wait, j.issuers[j.Issuer.Index].keys.source
		return
	case errors.Is(err, errAsked):
		j.Verdict = Wait
		return
	case j.Identity != nil && j.Issuer.Config.ReportOnly && policy.ByRule(err):
		j.Verdict, j.Err, j.Reported = Pass, err, true
		j.Identity = j.Identity.Under(j.Required)
	default:
		j.Err = err
		return
	}
	j.strip()
	if !j.Rule.ForwardToken {
		j.edits = append(j.edits, j.credentials.edits...)
	}
	j.identify()
}

// strip removes every header that could be taken for an identity, and keeps
// Connection headers from having those removed that are written later.
func (j *judgment) strip() {
	var connection []string
	changed := false
	for i := range j.request.Headers {
		name := j.request.Headers[i][0]
		switch {
		case j.policy.IsIdentityHeader(name):
			j.edits = append(j.edits, Edit{Remove, name, ""})
		case name == "connection":
			rest, without := j.withoutIdentity(j.request.Headers[i][1])
			changed = changed || without
			if rest != "" {
				connection = append(connection, rest)
			}
		}
	}
	if !changed {
		return
	}
	j.edits = append(j.edits, Edit{Remove, "connection", ""})
	for _, value := range connection {
		j.edits = append(j.edits, Edit{Add, "connection", value})
	}
}

// identify adds the identity headers, if there is an identity.
func (j *judgment) identify() {
	if j.Identity == nil {
		return
	}
	for _, h := range j.Identity.Headers {
		j.edits = append(j.edits, Edit{Add, h[0], h[1]})
	}
	if name := j.config.ForwardPayload; name != "" && !j.introspected() {
		j.edits = append(j.edits, Edit{Add, name, payload(j.compact)})
	}
	if j.Reported {
		j.edits = append(j.edits, Edit{Add, policy.ReportHeader, refusalOf(j.Err).reason})
	}
}

// payload is the second part of a token.
func payload(compact string) string {
	_, rest, _ := strings.Cut(compact, ".")
	payload, _, _ := strings.Cut(rest, ".")
	return payload
}
