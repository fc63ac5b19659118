package reconcile

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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

// isPlugin reports whether writing an object starts the plugin anew.
func isPlugin(o *unstructured.Unstructured) bool {
	return slices.Contains([]string{ExtensionPolicyKind.Kind, "WasmPlugin"}, o.GetKind())
}

// mayRestart is errLater if the policy's plugin was started anew too often. A
// change of the policy itself is the platform's, and waits for nothing.
func (p *pass) mayRestart(o *policy) error {
	if p.RestartsEvery <= 0 || p.DryRun != nil {
		return nil
	}
	known := p.paces[o.UID]
	if known == nil {
		known = &pace{limiter: rate.NewLimiter(rate.Every(p.RestartsEvery), atOnce), generation: o.object.GetGeneration()}
		p.paces[o.UID] = known
	}
	if known.generation != o.object.GetGeneration() {
		known.generation = o.object.GetGeneration()
		return nil
	}
	now := p.Now()
	r := known.limiter.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	r.CancelAt(now)
	p.again(wait)
	return errLater{p.RestartsEvery}
}
