package host_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/host"
	"orgate/host/hosttest"
)

// garbage is a VM with testdata/garbage in it, and what it logged last.
type garbage struct {
	*host.VM
	root *host.Root
	log  string
}

// newGarbage starts the guest in a host whose poll_oneoff answers ENOSYS.
func newGarbage(t *testing.T, c host.Config, configuration string, tags ...string) *garbage {
	t.Helper()
	g := &garbage{}
	c.Clusters = []string{"idp"}
	c.Log = func(level host.LogLevel, message string) { g.log = message }
	var err error
	if g.VM, err = hosttest.Compile(t, "testdata/garbage", tags...).NewVM(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	if g.root, err = g.NewRoot(host.RootConfig{Configuration: []byte(configuration)}); err != nil {
		t.Fatal(err)
	}
	return g
}

// collections ticks, and returns how many collections there were and how many of
// them somebody asked for.
func (g *garbage) collections(t *testing.T) (all, asked int) {
	t.Helper()
	g.root.Tick()
	if _, err := fmt.Sscanf(g.log, "collections %d %d", &all, &asked); err != nil {
		t.Fatalf("%q: %v", g.log, err)
	}
	return all, asked
}

// check checks that the VM is alive, did not grow, and neither slept nor yielded.
func (g *garbage) check(t *testing.T) {
	t.Helper()
	if err := g.Err(); err != nil {
		t.Fatalf("%v\n%s", err, g.log)
	}
	if got := g.MemoryBytes() >> 20; got > 24 {
		t.Errorf("%d MiB of memory, want at most 24", got)
	}
	calls := g.HostCalls()
	for _, name := range []string{"poll_oneoff", "sched_yield", "proc_exit"} {
		if calls[name] != 0 {
			t.Errorf("%s was called %d times", name, calls[name])
		}
	}
}

// TestGarbageIsCollected makes 100 MiB of garbage and more in each kind of
// callback: the bridge collects it wherever it is made, also after a panic.
func TestGarbageIsCollected(t *testing.T) {
	body := []byte(strings.Repeat("x", 1<<20))
	tests := []struct {
		name          string
		configuration string
		load          func(t *testing.T, g *garbage)
	}{
		{"ticks", "", func(t *testing.T, g *garbage) {
			for range 200 {
				g.root.Tick()
			}
		}},
		{"one tick", "long", func(t *testing.T, g *garbage) { g.root.Tick() }},
		{"answers to callouts", "quiet", func(t *testing.T, g *garbage) {
			for range 200 {
				g.root.Tick()
			}
			for _, c := range g.TakeCallouts() {
				if err := c.Respond(host.Headers{{":status", "200"}}, nil, nil); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"configurations", "", func(t *testing.T, g *garbage) {
			for range 200 {
				if err := g.root.Configure(nil); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"plugins", "", func(t *testing.T, g *garbage) {
			for range 200 {
				root, err := g.NewRoot(host.RootConfig{})
				if err != nil {
					t.Fatal(err)
				}
				root.Close()
			}
		}},
		{"streams", "", func(t *testing.T, g *garbage) {
			for range 200 {
				s := g.root.NewStream()
				if got := s.RequestHeaders(get, false); got != host.Continue {
					t.Fatal(got)
				}
				if got := s.RequestBody(body, true); got != host.Continue {
					t.Fatal(got)
				}
				if got := s.ResponseHeaders(host.Headers{{":status", "200"}}, true); got != host.Continue {
					t.Fatal(got)
				}
				s.Close()
			}
		}},
		{"streams that make much of little", "lean", func(t *testing.T, g *garbage) {
			headers := append(get.Clone(), [2]string{"x-waste", "524288"},
				[2]string{"x-token", strings.Repeat("x", 16<<10)})
			for range 200 {
				s := g.root.NewStream()
				if got := s.RequestHeaders(headers, true); got != host.Continue {
					t.Fatal(got)
				}
				s.Close()
			}
		}},
		{"streams that stay open", "", func(t *testing.T, g *garbage) {
			for range 5000 {
				if got := g.root.NewStream().RequestHeaders(get, false); got != host.Continue {
					t.Fatal(got)
				}
			}
		}},
		{"streams that panic", "", func(t *testing.T, g *garbage) {
			headers := append(get.Clone(), [2]string{"x-panic", "1"})
			for range 200 {
				s := g.root.NewStream()
				if got := s.RequestHeaders(headers, true); got != host.Answer {
					t.Fatal(got)
				}
				s.Close()
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGarbage(t, host.Config{}, tt.configuration)
			tt.load(t, g)
			g.check(t)
		})
	}
}

// TestHeadersAreReadWithoutGarbage: what a client sends and nobody wants is no
// garbage.
func TestHeadersAreReadWithoutGarbage(t *testing.T) {
	g := newGarbage(t, host.Config{}, "lean")
	long := append(get.Clone(), [2]string{"x-long", strings.Repeat("x", 57_000)})
	before, _ := g.collections(t)
	for range 1000 {
		s := g.root.NewStream()
		if got := s.RequestHeaders(long, true); got != host.Continue {
			t.Fatal(got)
		}
		s.Close()
	}
	if after, _ := g.collections(t); after-before > 1 {
		t.Errorf("%d collections after 57 MB of headers", after-before)
	}
}

// TestCollectionsChangeNoVerdict collects at the end of every callback.
func TestCollectionsChangeNoVerdict(t *testing.T) {
	g := newGarbage(t, host.Config{}, "", "orgate_gcstress")
	for range 20 {
		if err := g.root.Configure(nil); err != nil {
			t.Fatal(err)
		}
		s := g.root.NewStream()
		if got := s.RequestHeaders(get, true); got != host.Continue {
			t.Errorf("got %v, want %v", got, host.Continue)
		}
		s.Close()
		s = g.root.NewStream()
		if got := s.RequestHeaders(append(get.Clone(), [2]string{"x-panic", "1"}), true); got != host.Answer {
			t.Errorf("got %v, want %v", got, host.Answer)
		}
		if diff := cmp.Diff(panicAnswer, s.LocalResponse()); diff != "" {
			t.Errorf("after a panic (-want +got):\n%s", diff)
		}
		s.Close()
	}
	g.check(t)
}

// TestRuntimeCollectsNothing: whatever the environment says, all collections
// are the bridge's, and they come when they are due. On a machine that takes
// the processor away the runtime's own would hardly ever end.
func TestRuntimeCollectsNothing(t *testing.T) {
	for _, env := range []map[string]string{
		{},
		{"GOGC": "1"},
		{"GOGC": "off"},
		{"GOGC": "1000"},
		{"GOMEMLIMIT": "1"},
		{"GOMEMLIMIT": "8MiB"},
		{"GOMEMLIMIT": "8MiB", "GOGC": "off"},
		{"GODEBUG": "gcstoptheworld=1"},
		{"GODEBUG": "gctrace=1,gcpacertrace=1,scavtrace=1,gccheckmark=1"},
		{"GODEBUG": "gcshrinkstackoff=1,clobberfree=1", "GOGC": "1"},
	} {
		for _, step := range []time.Duration{0, 5 * time.Millisecond} {
			t.Run(fmt.Sprint(env, step), func(t *testing.T) {
				t.Parallel()
				g := newGarbage(t, host.Config{Env: env, ClockStep: step}, "")
				all, asked := g.collections(t)
				for range 200 {
					g.root.Tick()
				}
				allAfter, askedAfter := g.collections(t)
				if all, asked := allAfter-all, askedAfter-asked; all != asked || all < 20 || all > 60 {
					t.Errorf("%d collections, %d of them the bridge's; want the same number, about 200 MiB/6 MiB", all,
						asked)
				}
				g.check(t)
			})
		}
	}
}

// TestScavengerFindsNothing: with long garbage and short blocks that stay among
// it, a heap has many free pages that neither can be returned nor be used for
// long blocks. The runtime wakes its scavenger with each collection, in the mark
// phase or, on a coarse clock, at its end. It must not see a heap that it finds
// too large, or it returns whatever there is and then sleeps.
func TestScavengerFindsNothing(t *testing.T) {
	for _, c := range []host.Config{
		{},
		{ClockStep: 5 * time.Millisecond},
		{Env: map[string]string{"GODEBUG": "gcstoptheworld=1"}}, // marks in one go
	} {
		t.Run(fmt.Sprint(c.ClockStep, c.Env), func(t *testing.T) {
			t.Parallel()
			g := newGarbage(t, c, "holes")
			for range 30 {
				g.root.Tick()
			}
			g.check(t)
		})
	}
}
