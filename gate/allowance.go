package gate

import (
	"time"

	"orgate/jwt"
)

// allowance is what the bad tokens of one issuer may cost: a token bucket. The one
// for bad signatures is filled at a tenth of the worker's time. Whoever sends forged
// or invented tokens in an issuer's name uses up that issuer's allowance, and nobody
// else's. Tokens seen before need none, and neither do good ones.
type allowance struct {
	level     float64
	most      float64
	perSecond float64
	filled    time.Time
}

const (
	// verificationTime is about how long a cost of [jwt.UnitCost] takes in V8.
	verificationTime = 200 * time.Microsecond
	// allowancePerSecond is a tenth of a second's worth of verifying.
	allowancePerSecond = float64(time.Second/10/verificationTime) * jwt.UnitCost
	// maxAllowance bounds what may be spent at once: half a second's worth.
	maxAllowance = allowancePerSecond / 2
)

// newAllowance is one for bad signatures, in units of [jwt.Key.Cost].
func newAllowance() *allowance {
	return &allowance{level: maxAllowance, most: maxAllowance, perSecond: allowancePerSecond}
}

// left reports whether anything is left to spend. A clock that is set back adds
// nothing.
func (a *allowance) left(now time.Time) bool {
	if passed := now.Sub(a.filled).Seconds(); passed > 0 {
		a.level = min(a.most, a.level+passed*a.perSecond)
	}
	a.filled = now
	return a.level > 0
}

// spend takes what a bad token has cost. More may be spent than is left: the
// next token waits for longer then.
func (a *allowance) spend(cost int) { a.level -= float64(cost) }
