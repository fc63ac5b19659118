package gate

import (
	"orgate/jwt"
	"orgate/policy"
)

// Verdict is the end of a decision. The zero value refuses.
type Verdict uint8

const (
	// Refuse refuses the request with [Gate.Response].
	Refuse Verdict = iota
	// Pass lets the request go on, once its headers are edited.
	Pass
	// Wait holds the request back until what it waits for has news.
	Wait
)

// Decision is what becomes of a request. The zero value refuses it as a fault.
type Decision struct {
	Verdict Verdict
	// Err says why the request is refused, or would be if it is Reported.
	Err error
	// Awaited is what a waiting request waits for.
	Awaited

	// Rule is the rule that the request falls under, nil if none was found.
	Rule *policy.Rule
	// Public tells that no token was asked for: by the rule, by a preflight, or
	// because the rule takes requests without one.
	Public bool
	// Required is the organization that the rule asks for, "" if it names none.
	Required string
	// Place is where the token stands.
	Place Place
	// Other is where another token stands, if there are several.
	Other Place
	// Token is the token once it is read, nil before.
	Token *jwt.Token
	// Issuer is the issuer that the token is judged by, nil before it is found.
	Issuer *policy.Issuer
	// Identity is who the token speaks for, nil until its signature is verified.
	Identity *policy.Identity
	// Reported tells that the request passes though a rule refuses it, because
	// its issuer is in report-only mode.
	Reported bool

	// RPC and Head tell how a response is written.
	RPC  RPC
	Head bool
	// Tried are the keys that the token was tried with, if there is an observer.
	Tried []*jwt.Key

	compact string // the token as it came
	edits   []Edit
}

// Reasons of requests that pass, and of faults.
const (
	reasonOK     = "ok"
	reasonPublic = "public"
	ReasonFault  = "internal"
)

// Reason is the decision's label in metrics and access logs.
func (d *Decision) Reason() string {
	switch {
	case d.Verdict == Pass && d.Public:
		return reasonPublic
	case d.Verdict == Pass && !d.Reported:
		return reasonOK
	}
	return refusalOf(d.Err).reason
}

// Edits are what makes the upstream's headers of the client's, if the request
// passes, in the order in which they are to be carried out. If one of them
// can't be, the request must not pass.
func (d *Decision) Edits() []Edit { return d.edits }

// InVain is why a request is refused that has waited for as long as it may.
func (d *Decision) InVain() error {
	if d.Introspection != nil {
		return ErrIntrospection
	}
	return ErrKeysUnavailable
}

// Bare is the decision without anything of the request but what a refusal
// needs.
func (d *Decision) Bare() Decision {
	return Decision{
		Verdict: d.Verdict, Err: d.Err, Awaited: d.Awaited, Rule: d.Rule, Public: d.Public,
		Place: d.Place, Issuer: d.Issuer, RPC: d.RPC, Head: d.Head,
	}
}

// Claims are what the token says, also if it was refused: nothing of it need be
// true. There are none if it can't be read.
func (d *Decision) Claims() (kid string, claims jwt.Claims) {
	if d.Token == nil {
		return "", jwt.Claims{}
	}
	// Of a token seen before the claims are not kept.
	token, err := jwt.Parse(d.compact, len(d.compact))
	if err != nil {
		return "", jwt.Claims{}
	}
	return token.KeyID, token.Claims
}

// TokenBytes is the length of the token, whether it could be read or not.
func (d *Decision) TokenBytes() int { return len(d.compact) }

// Op is what an [Edit] does.
type Op uint8

const (
	// Remove takes all values of a header away.
	Remove Op = iota
	// Add adds a value to a header.
	Add
	// Replace sets a pseudo-header.
	Replace
)

// Edit is one change of a request's headers.
type Edit struct {
	Op          Op
	Name, Value string
}

// Observer is told of each step of a decision, in order.
type Observer interface {
	// Step is told what a step has found, which stands in the decision, and why
	// it refuses the request, or nil. The step that refuses is the last one.
	Step(s Step, d *Decision, err error)
}

// Step is a step of the way: see the package comment.
type Step uint8

const (
	StepRule Step = iota
	StepPreflight
	StepToken
	StepIssuer
	StepAlgorithm
	StepTime
	StepKey
	StepType
	StepAudience
	StepBinding
	StepIdentity
	StepOrganization
	StepDemands
)

var stepNames = [...]string{
	"rule", "preflight", "token", "issuer", "algorithm", "time", "key", "type", "audience", "binding",
	"identity", "organization", "demands",
}

// String is the step's name, such as "rule".
func (s Step) String() string { return stepNames[s] }

// step tells the observer, and returns the step's error.
func (j *judgment) step(s Step, err error) error {
	if j.options.Observer != nil {
		j.options.Observer.Step(s, &j.Decision, err)
	}
	return err
}
