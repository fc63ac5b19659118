package reconcile

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"
)

// atOnce is how many changes start a plugin anew before RestartsEvery counts.
const atOnce = 5

// pace bounds how often TokenIssuers start a policy's plugin anew. That costs each
// worker of each proxy its verified tokens and its keys, and holds it up for as
// long as it reads the configuration: so one tenant's changes would be all the
// others' outage.
type pace struct {
	limiter    *rate.Limiter
	generation int64 // of the policy, when its plugin was last written
}

// errLater says that a change has to wait.
type errLater struct{ every time.Duration }

func (e errLater) Error() string {
	return fmt.Sprintf("each change starts the plugin anew, and there were many: this one is written within %s", e.every)
}

// mayRestart is errLater if the policy's plugin was started anew too often. A
// change of the policy itself is the platform's, and waits for nothing.
func (p *pass) mayRestart(o *policy) error {
	known := p.paces[o.UID]
	if p.RestartsEvery <= 0 || p.DryRun != nil || known == nil || known.generation != o.object.GetGeneration() {
		return nil
	}
	now := p.Now()
	r := known.limiter.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	r.CancelAt(now)
	if wait < time.Millisecond {
		return nil
	}
	p.again(wait)
	return errLater{p.RestartsEvery}
}

// restarted counts a start.
func (p *pass) restarted(o *policy) {
	known, generation := p.paces[o.UID], o.object.GetGeneration()
	if known == nil {
		known = &pace{rate.NewLimiter(rate.Every(p.RestartsEvery), atOnce), generation}
		p.paces[o.UID] = known
	}
	if known.generation == generation {
		known.limiter.AllowN(p.Now(), 1)
	}
	known.generation = generation
}
