package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
)

// manyLocations is a configuration of issuers with a location each, found by
// discovery or not.
func manyLocations(n int, discovery bool, limits string) string {
	member, path := "url", "jwks"
	if discovery {
		member, path = "wellKnown", ".well-known/openid-configuration"
	}
	var issuers strings.Builder
	for i := range n {
		if i > 0 {
			issuers.WriteString(",\n")
		}
		fmt.Fprintf(&issuers, `{"name": "i%[1]d", "issuer": "https://i%[1]d.example/", "organization": "org1",
			"signatureValidation": {"jwks": {%[2]q: "https://i%[1]d.example/%[3]s", "cluster": "idp1"}}}`, i, member, path)
	}
	return `{"issuers": [` + issuers.String() + `], "organization": "org1", "limits": ` + limits + `}`
}

// of is the issuer that a callout of [manyLocations] is made for.
func of(t *testing.T, c *host.Callout) string {
	t.Helper()
	authority, ok := c.Headers.Get(":authority")
	if !ok {
		t.Fatal("no authority")
	}
	return strings.TrimSuffix(authority, ".example")
}

// tokenOf is a token of an issuer of [manyLocations].
func tokenOf(issuer string) string {
	return scenario.First().Token(scenario.Claims{"iss": "https://" + issuer + ".example/"})
}

// TestFetchesAreCapped: no more than limits.fetches are under way, and one begins
// when another has ended.
func TestFetchesAreCapped(t *testing.T) {
	for limits, most := range map[string]int{`{}`: 16, `{"fetches": 1}`: 1, `{"fetches": 50}`: 50} {
		t.Run(limits, func(t *testing.T) {
			const locations = 60
			w := newWorker(t, manyLocations(locations, false, limits))
			w.Tick()
			underway := w.VM.TakeCallouts()
			if len(underway) != most {
				t.Fatalf("%d fetches at the first tick, want %d", len(underway), most)
			}
			fetched := map[string]bool{}
			for len(underway) > 0 {
				w.Tick()
				if n := len(w.VM.TakeCallouts()); n != 0 {
					t.Fatalf("%d fetches more than %d", n, most)
				}
				c := underway[0]
				underway = underway[1:]
				if fetched[of(t, c)] {
					t.Fatalf("%s is fetched twice", of(t, c))
				}
				fetched[of(t, c)] = true
				answer(t, c, scenario.First())
				if len(fetched)+len(underway) < locations && w.TickPeriod() != time.Millisecond {
					t.Fatalf("the next tick comes after %v", w.TickPeriod())
				}
				w.Tick()
				underway = append(underway, w.VM.TakeCallouts()...)
			}
			if len(fetched) != locations {
				t.Errorf("%d locations fetched, want %d", len(fetched), locations)
			}
		})
	}
}

// TestDiscoveryAndKeysAreOneFetch.
func TestDiscoveryAndKeysAreOneFetch(t *testing.T) {
	w := newWorker(t, manyLocations(3, true, `{"fetches": 1}`))
	for range 3 {
		c := fetch(t, w)
		document := fmt.Sprintf(`{"issuer":"https://%[1]s.example/","jwks_uri":"https://%[1]s.example/keys"}`, of(t, c))
		if err := c.Respond(host.Headers{{":status", "200"}}, []byte(document), nil); err != nil {
			t.Fatal(err)
		}
		keys := w.VM.TakeCallouts()
		w.Tick()
		keys = append(keys, w.VM.TakeCallouts()...)
		if len(keys) != 1 || of(t, keys[0]) != of(t, c) {
			t.Fatalf("%d callouts after the discovery document, want that for its keys", len(keys))
		}
		answer(t, keys[0], scenario.First())
	}
}

// TestRequestsAreFetchedForFirst, in the order in which they came.
func TestRequestsAreFetchedForFirst(t *testing.T) {
	w := newWorker(t, manyLocations(100, false, `{"fetches": 2}`))
	w.Tick()
	underway := w.VM.TakeCallouts()
	streams := map[string]*host.Stream{}
	for _, issuer := range []string{"i70", "i30", "i99"} {
		streams[issuer] = w.Open(request(tokenOf(issuer)))
	}
	for _, issuer := range []string{"i70", "i30", "i99"} {
		answer(t, underway[0], scenario.First())
		w.Tick()
		next := w.VM.TakeCallouts()
		if len(next) != 1 || of(t, next[0]) != issuer {
			t.Fatalf("%d fetches, the first for %s, want one for %s", len(next), of(t, next[0]), issuer)
		}
		underway = append(underway[1:], next...)
	}
	for _, c := range underway {
		answer(t, c, scenario.First())
	}
	w.Tick()
	for _, c := range w.VM.TakeCallouts() {
		answer(t, c, scenario.First())
	}
	for issuer, s := range streams {
		if o := e2e.Outcome(s); !o.Passed {
			t.Errorf("%s: %s", issuer, verdict(o))
		}
	}
}

// TestOneProviderDoesNotTakeTheFetches: locations that fail are tried again, and
// all others are fetched from meanwhile.
func TestOneProviderDoesNotTakeTheFetches(t *testing.T) {
	w := newWorker(t, manyLocations(40, false, `{"fetches": 1}`))
	fetched := map[string]bool{}
	fetches := 0
	for len(fetched) < 20 && fetches < 200 {
		w.Tick()
		for _, c := range w.VM.TakeCallouts() {
			fetches++
			var i int
			if _, err := fmt.Sscanf(of(t, c), "i%d", &i); err != nil {
				t.Fatal(err)
			}
			if i < 20 {
				if err := c.Fail(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			answer(t, c, scenario.First())
			fetched[of(t, c)] = true
		}
		w.Time = w.Time.Add(100 * time.Millisecond)
	}
	if len(fetched) < 20 {
		t.Errorf("%d of 20 locations fetched in %d fetches", len(fetched), fetches)
	}
}

// TestLostAnswersTakeNoPlaces for longer than a fetch may take.
func TestLostAnswersTakeNoPlaces(t *testing.T) {
	w := newWorker(t, manyLocations(6, false, `{"fetches": 2}`))
	w.Tick()
	lost := w.VM.TakeCallouts()
	w.Time = w.Time.Add(10*time.Second - time.Millisecond)
	w.Tick()
	if n := len(w.VM.TakeCallouts()); n != 0 {
		t.Fatalf("%d fetches more", n)
	}
	w.Time = w.Time.Add(time.Millisecond)
	w.Tick()
	next := w.VM.TakeCallouts()
	if len(next) != 2 {
		t.Fatalf("%d fetches once the others are given up, want 2", len(next))
	}
	// They are answered after all, which makes room for no more.
	for _, c := range lost {
		answer(t, c, scenario.First())
	}
	w.Tick()
	if n := len(w.VM.TakeCallouts()); n != 0 {
		t.Errorf("%d fetches more than 2", n)
	}
}

// TestReconfigurationKeepsTheCap: what is under way counts if it is still wanted,
// and no longer if it is not.
func TestReconfigurationKeepsTheCap(t *testing.T) {
	w := newWorker(t, manyLocations(4, false, `{"fetches": 4}`))
	underway := fetches(w)
	for _, c := range []struct {
		name, configuration string
		want                int
	}{
		{"more of them", manyLocations(8, false, `{"fetches": 5}`), 1},
		{"others", manyLocations(8, true, `{"fetches": 5}`), 5},
	} {
		if err := w.Configure([]byte(c.configuration)); err != nil {
			t.Fatal(err)
		}
		if n := fetches(w); n != c.want {
			t.Errorf("%s: %d fetches beside %d, want %d", c.name, n, underway, c.want)
		}
	}
}

// TestWorkersFetchManyLocationsOnce, all workers together.
func TestWorkersFetchManyLocationsOnce(t *testing.T) {
	const locations = 300
	workers := newWorkers(t, 4, manyLocations(locations, false, `{}`))
	fetched := map[string]int{}
	for range 60 {
		callouts := tick(workers)
		advance(workers, 50*time.Millisecond)
		for _, c := range callouts {
			fetched[of(t, c)]++
			answer(t, c, scenario.First())
		}
	}
	for issuer, n := range fetched {
		if n != 1 {
			t.Errorf("%s is fetched %d times", issuer, n)
		}
	}
	if len(fetched) != locations {
		t.Errorf("%d locations fetched, want %d", len(fetched), locations)
	}
	for range 4 {
		advance(workers, time.Second)
		tick(workers)
	}
	for _, w := range workers {
		for _, issuer := range []string{"i0", "i150", "i299"} {
			if got := verdict(w.Serve(request(tokenOf(issuer)))); got != "200 ok" {
				t.Errorf("%s: %s", issuer, got)
			}
		}
	}
}

// TestTicksWithManyLocations: a tick with nothing due makes no more host calls
// with ten thousand locations than with a few hundred, and still each of them is
// looked at before long.
func TestTicksWithManyLocations(t *testing.T) {
	const locations = 2000
	calls := map[string]int{}
	w := newWorker(t, manyLocations(locations, false, `{"fetches": 1024}`), func(c *host.Config) {
		c.LogLevel = host.LogError
		c.Fault = func(call string) host.Status {
			calls[call]++
			return host.OK
		}
	})
	for fetched := 0; fetched < locations; {
		w.Tick()
		for _, c := range w.VM.TakeCallouts() {
			answer(t, c, scenario.First())
			fetched++
		}
	}
	for range 20 {
		clear(calls)
		w.Time = w.Time.Add(time.Second)
		w.Tick()
		total := 0
		for _, n := range calls {
			total += n
		}
		if calls["proxy_get_shared_data"] > 256 || total > 800 {
			t.Errorf("host calls in a tick: %v", calls)
		}
		if w.TickPeriod() != time.Second {
			t.Errorf("ticks every %v", w.TickPeriod())
		}
	}
	// The ages are told one after the other, and all have been.
	aged := 0
	for name, age := range w.Metrics.Values() {
		if strings.HasPrefix(name, "orgate_jwks_age_seconds") && age > 5 {
			aged++
		}
	}
	if aged != locations {
		t.Errorf("the age of %d keys is told, want %d", aged, locations)
	}
}

// BenchmarkTick is a tick of a worker with many locations, whose keys are there:
// with nothing to do, and while a request waits for one of them.
func BenchmarkTick(b *testing.B) {
	for _, locations := range []int{1, 100, 10_000} {
		for _, waiting := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d locations, waiting %v", locations, waiting), func(b *testing.B) {
				quiet := func(c *host.Config) { c.LogLevel = host.LogError }
				w, err := e2e.NewWorker(hosttest.Plugin(b), manyLocations(locations, false,
					`{"fetches": 1024, "keyWait": "1m"}`), quiet)
				if err != nil {
					b.Fatal(err)
				}
				defer w.VM.Close()
				document := []byte(scenario.JWKS(scenario.First()))
				for fetched := 0; fetched < locations; {
					w.Tick()
					for _, c := range w.VM.TakeCallouts() {
						if err := c.Respond(host.Headers{{":status", "200"}}, document, nil); err != nil {
							b.Fatal(err)
						}
						fetched++
					}
				}
				step := time.Second
				if waiting { // for a fetch that is not answered
					token := scenario.Rotated().Token(scenario.Claims{"iss": "https://i0.example/"})
					if s := w.Open(request(token)); !e2e.Outcome(s).Waiting {
						b.Fatal(verdict(e2e.Outcome(s)))
					}
					step = 25 * time.Millisecond
				}
				w.Tick()
				w.VM.TakeCallouts()
				n := 0
				for b.Loop() {
					// Not so long that refreshes are due, or the wait is over.
					if n++; n == 100 {
						n = 0
						w.Time = w.Time.Add(-100 * step)
					}
					w.Time = w.Time.Add(step)
					w.Tick()
				}
			})
		}
	}
}
