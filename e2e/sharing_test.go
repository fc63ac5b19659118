package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/jwks"
)

// sharingKey is a key for shared data, and sharingConfig the configuration
// [fetching] with it.
const sharingKey = "a key for shared data of 32 bytes or more"

func sharingConfig(key string) string {
	return strings.Replace(fetching, `"limits"`, `"sharing": {"key": "`+key+`"}, "limits"`, 1)
}

// sharer are workers, and the shared data of the VM id that they have in common
// with the other plugins of the proxy.
type sharer struct {
	t      *testing.T
	vmID   string
	shared *host.SharedData
}

func (s *sharer) worker(configuration string, change ...func(*host.Config)) *e2e.Worker {
	s.t.Helper()
	return newWorker(s.t, configuration, append(change, func(c *host.Config) {
		c.VMID, c.Shared = s.vmID,
			s.shared
	})...)
}

func (s *sharer) workers(n int, configuration string) (workers []*e2e.Worker) {
	s.t.Helper()
	for range n {
		workers = append(workers, s.worker(configuration))
	}
	return workers
}

// mac is HMAC-SHA-256 of a name and a content, as the plugin makes it.
func mac(key, name string, content []byte) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write(append([]byte{1<<3 | 2, byte(len(name))}, name...))
	h.Write(content)
	return h.Sum(nil)
}

// entryName is the name of an entry of the configuration [fetching], which is
// authenticated if there is a key.
func entryName(kind, key string) string {
	name := "orgate." + kind + "\x00"
	if key != "" {
		name += hex.EncodeToString(mac(key, "", nil)[:8]) + "\x00"
	}
	return name + location()
}

func (s *sharer) write(name string, entry []byte) {
	s.t.Helper()
	if status := s.shared.Set(s.vmID, name, entry, 0); status != host.OK {
		s.t.Fatal(status)
	}
}

func (s *sharer) read(name string) []byte {
	entry, _, _ := s.shared.Get(s.vmID, name)
	return entry
}

// forge writes a key set of somebody else's, and that it is new.
func (s *sharer) forge(kind func(kind string) string, seal func(name string, content []byte) []byte, at time.Time) {
	s.t.Helper()
	name := kind("document")
	s.write(name, seal(name, documentEntry(at.UnixNano(), scenario.JWKS(scenario.Stranger()))))
	name = kind("record")
	s.write(name, seal(name, jwks.Record{Document: at.UnixNano()}.Encode()))
}

func plain(_ string, content []byte) []byte { return content }

// TestAnotherPluginsKeys: another plugin in the proxy writes a key set. No token of
// its key passes, unless it is in the VM id that the plugin has for itself.
func TestAnotherPluginsKeys(t *testing.T) {
	sealed := func(key string) func(string, []byte) []byte {
		return func(name string, content []byte) []byte { return append(mac(key, name, content), content...) }
	}
	for _, c := range []struct {
		name, vmID, configuration, key string // the key in the entries' names
		seal                           func(string, []byte) []byte
		change                         func(*host.Config)
		taken                          bool
	}{
		{"no VM id", "", fetching, "", plain, nil, false},
		{"no VM id, sealed with some key", "", fetching, "", sealed(sharingKey), nil, false},
		{"a proxy that does not tell the VM id", "shared", fetching, "", plain, func(c *host.Config) {
			c.Fault = func(call string) host.Status {
				if call == "proxy_get_property" {
					return host.NotFound
				}
				return host.OK
			}
		}, false},
		{"a key", "", sharingConfig(sharingKey), sharingKey, plain, nil, false},
		{"a key, entries of plugins without one", "", sharingConfig(sharingKey), "", plain, nil, false},
		{"a key, sealed with another", "", sharingConfig(sharingKey), sharingKey,
			sealed("another key for shared data of 32 bytes"), nil, false},
		{"a key, sealed for another name", "", sharingConfig(sharingKey), sharingKey, func(_ string,
			content []byte) []byte {
			return sealed(sharingKey)(entryName("document", sharingKey)+"x", content)
		}, nil, false},
		{"a key and a VM id", "orgate", sharingConfig(sharingKey), sharingKey, plain, nil, false},
		{"a VM id of its own", "orgate", fetching, "", plain, nil, true},
		{"who knows the key", "", sharingConfig(sharingKey), sharingKey, sealed(sharingKey), nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &sharer{t, c.vmID, host.NewSharedData()}
			change := c.change
			if change == nil {
				change = func(*host.Config) {}
			}
			w := s.worker(c.configuration, change)
			name := func(kind string) string { return entryName(kind, c.key) }
			check := func() {
				t.Helper()
				for signer, passes := range map[*scenario.Signer]bool{scenario.First(): !c.taken,
					scenario.Stranger(): c.taken} {
					if got := w.Serve(request(signer.Token())); got.Passed != passes {
						t.Errorf("signed with %s: %s", signer.KeyID, verdict(got))
					}
				}
			}
			answer(t, fetch(t, w), scenario.First())
			for range 3 {
				w.Time = w.Time.Add(time.Second)
				s.forge(name, c.seal, w.Time)
				w.Tick()
			}
			check()

			// A worker that starts later, without keys.
			w = s.worker(c.configuration, change)
			w.Time = w.Time.Add(4 * time.Second)
			s.forge(name, c.seal, w.Time)
			w.Tick()
			for _, callout := range w.VM.TakeCallouts() {
				answer(t, callout, scenario.First())
			}
			check()
		})
	}
}

// TestWorkersWithoutAVMID share if they have a key, and otherwise do not so much
// as look at shared data.
func TestWorkersWithoutAVMID(t *testing.T) {
	t.Run("no key", func(t *testing.T) {
		s := &sharer{t, "", host.NewSharedData()}
		var workers []*e2e.Worker
		for range 4 {
			workers = append(workers, s.worker(fetching, func(c *host.Config) {
				c.Fault = func(call string) host.Status {
					if strings.HasSuffix(call, "_shared_data") {
						t.Errorf("%s is called", call)
					}
					return host.OK
				}
			}))
		}
		callouts := tick(workers)
		if len(callouts) != 4 {
			t.Fatalf("%d fetches, want one by each worker", len(callouts))
		}
		for i, c := range callouts {
			answer(t, c, scenario.First())
			judged(t, workers[i].Open(request(scenario.First().Token())), 200, "ok")
		}
		if log := strings.Join(workers[0].Log, "\n"); strings.Count(log, "2 each worker fetches keys for itself") != 1 {
			t.Errorf("log %q", log)
		}
	})
	t.Run("a key", func(t *testing.T) {
		s := &sharer{t, "", host.NewSharedData()}
		workers := s.workers(4, sharingConfig(sharingKey))
		callouts := tick(workers)
		if len(callouts) != 1 {
			t.Fatalf("%d fetches, want 1", len(callouts))
		}
		answer(t, callouts[0], scenario.First())
		if n := len(tick(workers)); n != 0 {
			t.Errorf("%d fetches more", n)
		}
		for _, w := range workers {
			judged(t, w.Open(request(scenario.First().Token())), 200, "ok")
		}
		// One with another key is on its own.
		other := s.worker(sharingConfig(sharingKey + "!"))
		answer(t, fetch(t, other), scenario.Rotated())
		advance(workers, time.Second)
		tick(workers)
		judged(t, workers[0].Open(request(scenario.First().Token())), 200, "ok")
		judged(t, other.Open(request(scenario.Rotated().Token())), 200, "ok")
	})
}

// TestReplay: another plugin puts back what authentic workers wrote before.
func TestReplay(t *testing.T) {
	record, document := entryName("record", sharingKey), entryName("document", sharingKey)
	old := scenario.First().Token(scenario.Claims{"exp": scenario.Now.Unix() + 500_000})
	// begin is two workers whose provider has withdrawn a key, and replay puts back
	// the entries of before, with the record that they had then.
	begin := func(t *testing.T) (s *sharer, workers []*e2e.Worker, replay func()) {
		s = &sharer{t, "", host.NewSharedData()}
		workers = s.workers(2, sharingConfig(sharingKey))
		answer(t, tick(workers)[0], scenario.First())
		before := [][]byte{s.read(record), s.read(document)}
		tick(workers)
		for _, w := range workers {
			judged(t, w.Open(request(old)), 200, "ok")
		}
		advance(workers, 10*time.Minute)
		answer(t, tick(workers)[0], scenario.Rotated())
		tick(workers)
		return s, workers, func() {
			s.write(record, before[0])
			s.write(document, before[1])
		}
	}
	t.Run("workers that have a newer document keep it", func(t *testing.T) {
		_, workers, replay := begin(t)
		for range 20 {
			replay()
			advance(workers, time.Second)
			tick(workers)
			for _, w := range workers {
				judged(t, w.Open(request(scenario.Rotated().Token())), 200, "ok")
				if s := w.Open(request(old)); e2e.Outcome(s).Passed {
					t.Fatal("the removed key is back")
				}
			}
		}
	})
	t.Run("a new worker has it until its first fetch, at once", func(t *testing.T) {
		s, workers, replay := begin(t)
		replay()
		w := s.worker(sharingConfig(sharingKey))
		w.Time = workers[0].Time
		w.Tick()
		callouts := w.VM.TakeCallouts()
		if len(callouts) != 1 {
			t.Fatalf("%d fetches, want 1: the document is stale", len(callouts))
		}
		answer(t, callouts[0], scenario.Rotated())
		replay()
		w.Tick()
		if s := w.Open(request(old)); e2e.Outcome(s).Passed {
			t.Error("the removed key is still there")
		}
	})
	t.Run("in an outage a new worker has it until maxStale is over", func(t *testing.T) {
		s, _, replay := begin(t)
		replay()
		w := s.worker(sharingConfig(sharingKey))
		begun := scenario.Now
		for _, c := range []struct {
			age  time.Duration
			want string
		}{
			{11 * time.Minute, "200 ok"},
			{10*time.Minute + 24*time.Hour - time.Second, "200 ok"},
			{10*time.Minute + 24*time.Hour, "503 keys_unavailable"},
		} {
			w.Time = begun.Add(c.age)
			replay()
			w.Tick()
			for _, callout := range w.VM.TakeCallouts() {
				if err := callout.Fail(); err != nil {
					t.Fatal(err)
				}
			}
			if got := verdict(w.Serve(request(old))); got != c.want {
				t.Errorf("after %v: %s, want %s", c.age, got, c.want)
			}
		}
	})
	t.Run("failures and leases of before delay no fetch", func(t *testing.T) {
		s := &sharer{t, "", host.NewSharedData()}
		workers := s.workers(2, sharingConfig(sharingKey))
		callouts := tick(workers)
		leased := s.read(record)
		if err := callouts[0].Fail(); err != nil {
			t.Fatal(err)
		}
		failed := s.read(record)
		// It is well a second later, and does not answer a lease later still.
		advance(workers, time.Second)
		answer(t, tick(workers)[0], scenario.First())
		for _, entry := range [][]byte{leased, failed} {
			advance(workers, 10*time.Minute)
			s.write(record, entry)
			callouts := tick(workers)
			if len(callouts) != 1 {
				t.Fatalf("%d fetches, want 1", len(callouts))
			}
			answer(t, callouts[0], scenario.First())
		}
	})
}

// TestSealedEntries: what workers with a key write is sealed, and longer by the
// seal alone.
func TestSealedEntries(t *testing.T) {
	s := &sharer{t, "", host.NewSharedData()}
	w := s.worker(sharingConfig(sharingKey))
	answer(t, fetch(t, w), scenario.First())
	for _, kind := range []string{"record", "document"} {
		name := entryName(kind, sharingKey)
		entry := s.read(name)
		if len(entry) <= 32 {
			t.Fatalf("%s: %d bytes", kind, len(entry))
		}
		if !hmac.Equal(entry[:32], mac(sharingKey, name, entry[32:])) {
			t.Errorf("%s is not sealed", kind)
		}
		if s.read(entryName(kind, "")) != nil {
			t.Errorf("%s stands there without a seal, too", kind)
		}
	}
	if d, ok := jwks.ParseDocument(s.read(entryName("document", sharingKey))[32:]); !ok ||
		d.Response.Body != scenario.JWKS(scenario.First()) {
		t.Errorf("%+v", d)
	}
}
