package e2e_test

import (
	"testing"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host/hosttest"
)

// TestScenarios sends each request twice, since the second one may find its
// token in the cache. Cases with the same configuration share a worker.
func TestScenarios(t *testing.T) {
	plugin := hosttest.Plugin(t)
	cases := scenario.All()
	left := map[string]int{} // cases, by configuration
	for _, c := range cases {
		left[c.Configuration()]++
	}
	workers := map[string]*e2e.Worker{}
	for _, c := range cases {
		config := c.Configuration()
		t.Run(c.Name, func(t *testing.T) {
			if workers[config] == nil {
				w, err := e2e.NewWorker(plugin, config)
				if err != nil {
					t.Fatal(err)
				}
				workers[config] = w
			}
			w := workers[config]
			for _, time := range []string{"first", "second"} {
				if diff := c.Check(w.Serve(c.Request)); diff != "" {
					t.Errorf("verdict, the %s time (-want +got):\n%s", time, diff)
				}
			}
			if live := w.VM.LiveContexts(); live != 1 {
				t.Errorf("%d contexts are left, want the plugin's alone", live)
			}
		})
		if left[config]--; left[config] == 0 && workers[config] != nil {
			workers[config].VM.Close()
		}
	}
}
