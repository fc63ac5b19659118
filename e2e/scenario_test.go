package e2e_test

import (
	"testing"

	"github.com/orgate/orgate/e2e"
	"github.com/orgate/orgate/e2e/scenario"
	"github.com/orgate/orgate/host/hosttest"
)

func TestScenarios(t *testing.T) {
	plugin := hosttest.Plugin(t)
	workers := map[string]*e2e.Worker{} // by configuration
	t.Cleanup(func() {
		for _, w := range workers {
			w.VM.Close()
		}
	})
	for _, c := range scenario.All() {
		t.Run(c.Name, func(t *testing.T) {
			config := c.Configuration()
			if workers[config] == nil {
				w, err := e2e.NewWorker(plugin, config)
				if err != nil {
					t.Fatal(err)
				}

				workers[config] = w
			}
			w := workers[config]
			if diff := c.Check(w.Serve(c.Request)); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
			if live := w.VM.LiveContexts(); live != 1 {
				t.Errorf("%d contexts are left, want the plugin's alone", live)
			}
		})
	}
}
