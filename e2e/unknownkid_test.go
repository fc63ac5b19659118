package e2e_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
)

// TestUnknownKidInAnOutage: the provider is down for a while, and has another key
// when it is back. Nobody is told meanwhile that there is no such key, and its
// tokens pass within the cool-down.
func TestUnknownKidInAnOutage(t *testing.T) {
	const cooldown = 30 * time.Second
	alone := func(c *host.Config) { c.VMID = "" } // shares nothing
	for _, n := range []int{1, 4} {
		for _, outage := range []time.Duration{20 * time.Second, 100 * time.Second, 6 * time.Minute} {
			t.Run(fmt.Sprint(n, " workers, ", outage), func(t *testing.T) {
				workers := newWorkers(t, n, fetching)
				if n == 1 {
					workers = []*e2e.Worker{newWorker(t, fetching, alone)}
				}
				answer(t, tick(workers)[0], scenario.First())
				tick(workers)
				// The refresh fails.
				advance(workers, 10*time.Minute)
				fetches, passed := 0, time.Duration(0)
				step := func(respond func(*host.Callout)) map[string]int {
					callouts := tick(workers)
					fetches += len(callouts)
					for _, c := range callouts {
						respond(c)
					}
					advance(workers, time.Second)
					passed += time.Second
					verdicts := map[string]int{}
					for _, w := range workers {
						s := w.Open(request(scenario.Rotated().Token()))
						verdicts[verdict(e2e.Outcome(s))]++
						if local := s.LocalResponse(); local != nil && local.Status == 503 {
							seconds, err := strconv.Atoi(local.Headers.Values("retry-after")[0])
							if err != nil || seconds < 1 || seconds > int(cooldown/time.Second) {
								t.Errorf("Retry-After: %d, %v", seconds, err)
							}
						}
						s.Close()
					}
					return verdicts
				}
				down := func(c *host.Callout) {
					if err := c.FailStatus(503); err != nil {
						t.Fatal(err)
					}
				}
				for passed < outage {
					if got := step(down); got["503 keys_unavailable"]+got["0 "] != n {
						t.Fatalf("after %v: %v, want 503", passed, got)
					}
				}
				// What one would ask for, and each worker for itself.
				if most := int(outage/cooldown) + 8 + n*(1+int(outage/(5*time.Minute))); fetches > most {
					t.Errorf("%d fetches in an outage of %v, at most %d", fetches, outage, most)
				}
				well := func(c *host.Callout) { answer(t, c, scenario.Rotated()) }
				for back := passed; ; {
					got := step(well)
					if got["200 ok"] == n {
						break
					}
					if got["401 unknown_key"] > 0 || passed-back > cooldown+2*time.Second {
						t.Fatalf("%v after the provider is back: %v", passed-back, got)
					}
				}
			})
		}
	}
}

// TestRotationWhileKidsAreMadeUp: clients make up kids all the time, with all
// workers. They cause 12 fetches a minute at most, all workers together, and when
// the provider rotates its keys without an overlap tokens of the new key pass
// within 5 s.
func TestRotationWhileKidsAreMadeUp(t *testing.T) {
	workers := newWorkers(t, 2, fetching2000)
	answer(t, tick(workers)[0], scenario.First())
	tick(workers)
	current, fetches := scenario.First(), []time.Duration(nil)
	const step = 250 * time.Millisecond
	passed, kids := time.Duration(0), 0
	run := func() {
		for _, w := range workers {
			kids++
			w.Open(request(scenario.Stranger().With(scenario.Claims{"kid": fmt.Sprint("made-up-", kids)})))
		}
		for _, c := range tick(workers) {
			fetches = append(fetches, passed)
			answer(t, c, current)
		}
		advance(workers, step)
		passed += step
	}
	for passed < 70*time.Second {
		run()
	}
	for i := range fetches {
		if i+12 < len(fetches) && fetches[i+12]-fetches[i] < time.Minute {
			t.Fatalf("13 fetches within a minute: %v", fetches[i:i+13])
		}
	}
	if len(fetches) < 10 {
		t.Errorf("%d fetches in 70 s", len(fetches))
	}
	for _, after := range []time.Duration{0, step, 2 * time.Second, 4750 * time.Millisecond} {
		for begin := passed; passed < begin+after; {
			run()
		}
		next := scenario.Rotated()
		if current == next {
			next = scenario.First()
		}
		current = next
		var streams []*host.Stream
		for _, w := range workers {
			streams = append(streams, w.Open(request(current.Token())))
		}
		for begin := passed; passed < begin+5*time.Second; {
			run()
		}
		tick(workers)
		for _, s := range streams {
			judged(t, s, 200, "ok")
		}
	}
}

// fetching2000 is the configuration [fetching] with room for many requests.
const fetching2000 = `{
  "issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
    "signatureValidation": {"jwks": {"url": "https://idp1.example/oauth2/jwks?v=1", "cluster": "idp1"}}}],
  "limits": {"waitingRequests": 2000, "keyWait": "6s"}
}`

// TestRetiredKidIsFetchedForOncePerCooldown, by all workers together, though its
// tokens come all the time.
func TestRetiredKidIsFetchedForOncePerCooldown(t *testing.T) {
	workers := newWorkers(t, 4, fetching2000)
	answer(t, tick(workers)[0], scenario.First())
	tick(workers)
	fetches := 0
	for i := range 600 { // 5 minutes
		workers[i%len(workers)].Open(request(scenario.Rotated().Token()))
		for _, c := range tick(workers) {
			fetches++
			answer(t, c, scenario.First())
		}
		advance(workers, 500*time.Millisecond)
	}
	if fetches < 5 || fetches > 12 {
		t.Errorf("%d fetches in 5 minutes, want about one in 30 s", fetches)
	}
	judged(t, workers[0].Open(request(scenario.Rotated().Token())), 401, "unknown_key")
}
