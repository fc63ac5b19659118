package reconcile

import (
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"orgate/controller/translate"
)

// The controller's own metrics.
var (
	tokenIssuers = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "orgate_controller_token_issuers",
		Help: "TokenIssuers by what became of them: Used, LastGood or LeftOut."}, []string{"state"})
	policies = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "orgate_controller_policy",
		Help: "Whether a condition of an OrganizationPolicy is true."}, []string{"namespace", "name", "condition"})
)

func init() { metrics.Registry.MustRegister(tokenIssuers, policies) }

// measure sets the metrics.
func measure(r *Result) {
	for _, state := range []translate.State{translate.Used, translate.LastGood, translate.LeftOut} {
		tokenIssuers.WithLabelValues(string(state)).Set(float64(r.Issuers[state]))
	}
	policies.Reset()
	for _, p := range r.Policies {
		for _, condition := range []string{Accepted, ResolvedRefs, Programmed} {
			value := 0.0
			if meta.IsStatusConditionTrue(p.Conditions, condition) {
				value = 1
			}
			policies.WithLabelValues(p.Namespace, p.Name, condition).Set(value)
		}
	}
}
