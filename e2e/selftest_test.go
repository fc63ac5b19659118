package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
)

// TestSelfTestLeavesNoTrace: the proxy sees no request, no metric and no log of
// it, and the first token is new.
func TestSelfTestLeavesNoTrace(t *testing.T) {
	w := newWorker(t, scenario.Config())
	seen := map[string]int{}
	for name, calls := range w.VM.HostCalls() {
		if strings.HasPrefix(name, "proxy_") && name != "proxy_get_log_level" {
			seen[name] = calls
		}
	}
	want := map[string]int{ // to configure, and to say so
		"proxy_define_metric":                2,
		"proxy_get_buffer_bytes":             1,
		"proxy_get_current_time_nanoseconds": 1,
		"proxy_get_property":                 1,
		"proxy_increment_metric":             1,
		"proxy_log":                          1,
		"proxy_set_tick_period_milliseconds": 1,
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("host calls (-want +got):\n%s", diff)
	}
	w.Tick()
	if got := verdict(w.Serve(scenario.Request{Path: "/org1", Token: scenario.First().Token()})); got != "200 ok" {
		t.Error(got)
	}
	w.Tick()
	for name := range w.Metrics.Values() {
		if strings.Contains(name, "selftest") || strings.Contains(name, "=hit") {
			t.Errorf("a metric is of the self-test: %s", name)
		}
	}
	if len(w.Log) != 1 || !strings.Contains(fmt.Sprint(w.Log), "orgate dev: ") {
		t.Errorf("logged: %q", w.Log)
	}
	if n := w.VM.LiveContexts(); n != 1 {
		t.Errorf("%d contexts, want that of the plugin", n)
	}
}

// TestSelfTestRefusesAnEngineThatDecidesWrongly: the proxy verifies signatures
// here, and takes all of them, or none.
func TestSelfTestRefusesAnEngineThatDecidesWrongly(t *testing.T) {
	for verdict, want := range map[string]string{
		"\x08\x01": "self-test: RS256, forged: the verdict is ",
		"\x08\x00": "self-test: RS256: the verdict is ",
	} {
		_, err := e2e.NewWorker(hosttest.Plugin(t), benchConfig(1, `"signatureVerification": "host",`),
			func(c *host.Config) {
				c.Foreign = map[string]host.ForeignFunction{"verify_signature": func([]byte) ([]byte, host.Status) {
					return []byte(verdict), host.OK
				}}
			})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("verdict %q: %v, want %q", verdict, err, want)
		}
	}
}
