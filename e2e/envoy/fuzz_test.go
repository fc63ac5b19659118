package envoy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/filter"
)

// Whatever the labels hold, they come out of the metric's name as they went in.
func FuzzStatsTags(f *testing.F) {
	for i, value := range hostile {
		f.Add(value, hostile[(i+1)%len(hostile)], hostile[(i+2)%len(hostile)])
	}
	f.Fuzz(func(t *testing.T, rule, issuer, reason string) {
		name := filter.MetricName("orgate_requests", "rule", rule, "issuer", issuer, "reason", reason)
		family, labels := statsTags(t).Prometheus(name)
		if family != "orgate_requests" {
			t.Errorf("%q: family %q", name, family)
		}
		for label, value := range labels {
			labels[label] = decode(t, value)
		}
		want := map[string]string{"rule": rule, "issuer": issuer, "reason": reason}
		if diff := cmp.Diff(want, labels); diff != "" {
			t.Errorf("%q: labels (-want +got):\n%s", name, diff)
		}
	})
}
