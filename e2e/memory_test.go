package e2e_test

import "testing"

// mostMemory is what a worker may ever take, in bytes.
const mostMemory = 24 << 20

// TestMemory is the short form of the loads that soak benchmarks run at length.
// Memory never shrinks, so what one client, tenant or provider takes is lost for
// everyone. It must stay where it is once the load is well under way.
func TestMemory(t *testing.T) {
	for name, load := range map[string]func(t *testing.T) *soak{
		"flood":       func(t *testing.T) *soak { return soakFlood(t, 6000) },
		"open":        func(t *testing.T) *soak { return soakOpen(t, 1500) },
		"costly":      func(t *testing.T) *soak { return soakCostly(t, 400) },
		"opaque":      func(t *testing.T) *soak { return soakOpaque(t, 1200) },
		"refetch":     func(t *testing.T) *soak { return soakRefetch(t, 200) },
		"reconfigure": func(t *testing.T) *soak { return soakReconfigure(t, 300, 10, true) },
		"replace":     func(t *testing.T) *soak { return soakReconfigure(t, 300, 10, false) },
	} {
		t.Run(name, func(t *testing.T) {
			s := load(t)
			s.check()
			if got := s.VM.MemoryBytes(); got > mostMemory {
				t.Errorf("%d MiB are taken, want at most %d", got>>20, mostMemory>>20)
			}
			if grown := s.memory[2] - s.memory[1]; grown > 1<<20 {
				t.Errorf("%d KiB are taken in the second half, want at most 1024", grown>>10)
			}
		})
	}
}

// TestAnEndedConfigurationIsCollected: while a configuration takes another one's
// place both are there. The old one's memory is taken back as soon as it ends.
func TestAnEndedConfigurationIsCollected(t *testing.T) {
	w := newWorker(t, configOf(100))
	before := w.VM.HostCalls()["clock_time_get"]
	if !w.Root.Close() {
		t.Fatal("the plugin does not end")
	}
	// A collection reads the clock, and nothing else does.
	if w.VM.HostCalls()["clock_time_get"] == before {
		t.Error("nothing was collected")
	}
	if err := w.VM.Err(); err != nil {
		t.Error(err)
	}
}
