package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
)

// newWorkers starts workers that share data, as those of one proxy do.
func newWorkers(t *testing.T, n int, configuration string) []*e2e.Worker {
	t.Helper()
	shared := host.NewSharedData()
	workers := make([]*e2e.Worker, n)
	for i := range workers {
		workers[i] = newWorker(t, configuration, func(c *host.Config) { c.Shared = shared })
	}
	return workers
}

// tick lets all workers tick and returns the callouts that they make.
func tick(workers []*e2e.Worker) (callouts []*host.Callout) {
	for _, w := range workers {
		w.Tick()
		callouts = append(callouts, w.VM.TakeCallouts()...)
	}
	return callouts
}

func advance(workers []*e2e.Worker, d time.Duration) {
	for _, w := range workers {
		w.Time = w.Time.Add(d)
	}
}

func TestOneWorkerFetchesForAll(t *testing.T) {
	workers := newWorkers(t, 8, fetching)
	streams := make([]*host.Stream, len(workers))
	for i, w := range workers {
		streams[i] = w.Open(request(scenario.First().Token()))
	}
	callouts := tick(workers)
	if len(callouts) != 1 {
		t.Fatalf("%d fetches, want 1", len(callouts))
	}
	answer(t, callouts[0], scenario.First())
	if more := tick(workers); len(more) != 0 {
		t.Errorf("%d fetches more", len(more))
	}
	for _, s := range streams {
		judged(t, s, 200, "ok")
	}
}

// TestWorkerThatIsNeverAnswered takes the lease and is gone, as a canary is.
// Requests that wait with the others are served all the same, in time.
func TestWorkerThatIsNeverAnswered(t *testing.T) {
	workers := newWorkers(t, 3, fetching)
	canary, workers := workers[0], workers[1:]
	fetch(t, canary)
	stream := workers[0].Open(request(scenario.First().Token()))
	if callouts := tick(workers); len(callouts) != 0 {
		t.Fatalf("%d fetches while another worker's is new", len(callouts))
	}
	advance(workers, time.Second)
	callouts := tick(workers)
	if len(callouts) != 1 {
		t.Fatalf("%d fetches, want one by the worker whose request waits", len(callouts))
	}
	answer(t, callouts[0], scenario.First())
	judged(t, stream, 200, "ok")
	tick(workers)
	judged(t, workers[1].Open(request(scenario.First().Token())), 200, "ok")
}

// TestLeaseOfAWorkerThatIsGoneEnds, also if no request waits.
func TestLeaseOfAWorkerThatIsGoneEnds(t *testing.T) {
	workers := newWorkers(t, 2, fetching)
	fetch(t, workers[0])
	other := workers[1:]
	advance(other, 5*time.Second)
	if n := len(tick(other)); n != 0 {
		t.Fatalf("%d fetches before the lease is over", n)
	}
	advance(other, time.Second)
	if n := len(tick(other)); n != 1 {
		t.Errorf("%d fetches after it, want 1", n)
	}
}

func TestWorkersBackOffTogether(t *testing.T) {
	workers := newWorkers(t, 8, fetching)
	fetches := 0
	for range 600 { // a second each
		for _, c := range tick(workers) {
			fetches++
			if err := c.Fail(); err != nil {
				t.Fatal(err)
			}
		}
		advance(workers, time.Second)
	}
	// Back-off doubles from a second, with jitter down to the half: 1, 2, 4, …
	// 256 s are over after at most 511 s, and at least 256. Each worker but the
	// first sees for itself, once.
	if fetches < 9 || fetches > 12+7 {
		t.Errorf("%d fetches in ten minutes of outage, want 9 to 19", fetches)
	}
}

// TestKeyRemovedByOneWorkerIsRemovedForAll, whether the others' fetch is due or not.
func TestKeyRemovedByOneWorkerIsRemovedForAll(t *testing.T) {
	for name, later := range map[string]time.Duration{"due": 10 * time.Minute, "not due": time.Minute} {
		workers := newWorkers(t, 2, fetching)
		answer(t, tick(workers)[0], scenario.First(), scenario.Rotated())
		tick(workers)
		token := scenario.Rotated().Token()
		for _, w := range workers {
			judged(t, w.Open(request(token)), 200, "ok")
		}
		advance(workers, later)
		workers[0].Open(request(scenario.First().With(scenario.Claims{"kid": "made-up"})))
		answer(t, tick(workers[:1])[0], scenario.First())
		workers[1].Tick()
		workers[1].VM.TakeCallouts()
		if s := workers[1].Open(request(token)); e2e.Outcome(s).Passed {
			t.Errorf("%s: a token of the removed key passes with the other worker", name)
		}
	}
}

func TestNewConfigurationFindsTheKeys(t *testing.T) {
	workers := newWorkers(t, 1, fetching)
	w := workers[0]
	answer(t, fetch(t, w), scenario.First())
	next, err := w.VM.NewRoot(host.RootConfig{RootID: "orgate", Configuration: []byte(fetching)})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	w.Root = next
	judged(t, w.Open(request(scenario.First().Token())), 200, "ok")
	if err := w.Configure([]byte(fetching)); err != nil {
		t.Fatal(err)
	}
	judged(t, w.Open(request(scenario.First().Token())), 200, "ok")
	w.Tick()
	if n := len(w.VM.TakeCallouts()); n != 0 {
		t.Errorf("%d fetches, want none", n)
	}
}

// TestContextsInOneVMKeepApart: two configurations name the same issuer with
// keys from different places.
func TestContextsInOneVMKeepApart(t *testing.T) {
	config := func(path, cluster string) []byte {
		return fmt.Appendf(nil, `{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
			"signatureValidation": {"jwks": {"url": "https://idp1.example/%s", "cluster": %q}}}]}`, path, cluster)
	}
	w := newWorker(t, string(config("a", "idp1")))
	other, err := w.VM.NewRoot(host.RootConfig{ID: 0xfffffff0, RootID: "other", Configuration: config("b", "idp2")})
	if err != nil {
		t.Fatal(err)
	}
	second := &e2e.Worker{Root: other, VM: w.VM}
	answer(t, fetch(t, w), scenario.First())
	answer(t, fetch(t, second), scenario.Second())
	for _, c := range []struct {
		worker *e2e.Worker
		signer *scenario.Signer
		status int
		reason string
	}{
		{w, scenario.First(), 200, "ok"},
		{w, scenario.Second(), 401, "bad_signature"},
		{second, scenario.First(), 401, "bad_signature"},
		{second, scenario.Second(), 200, "ok"},
	} {
		judged(t, c.worker.Open(request(c.signer.Token())), c.status, c.reason)
	}
}

// discovering is a configuration whose keys are found by discovery.
const discovering = `{
  "issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
    "signatureValidation": {"jwks": {
      "wellKnown": "https://idp1.example/.well-known/openid-configuration", "cluster": "idp1"}}}]
}`

func TestDiscovery(t *testing.T) {
	w := newWorker(t, discovering)
	s := w.Open(request(scenario.First().Token()))
	c := fetch(t, w)
	if path, _ := c.Headers.Get(":path"); path != "/.well-known/openid-configuration" {
		t.Errorf("first %s", path)
	}
	ok := host.Headers{{":status", "200"}}
	if err := c.Respond(ok, []byte(`{"issuer":"https://idp1.example/","jwks_uri":"https://idp1.example/keys"}`),
		nil); err != nil {
		t.Fatal(err)
	}
	callouts := w.VM.TakeCallouts()
	if len(callouts) != 1 {
		t.Fatalf("%d callouts after the discovery document, want 1", len(callouts))
	}
	if path, _ := callouts[0].Headers.Get(":path"); path != "/keys" {
		t.Errorf("then %s", path)
	}
	answer(t, callouts[0], scenario.First())
	judged(t, s, 200, "ok")

	for name, document := range map[string]string{
		"another issuer": `{"issuer":"https://evil.example/","jwks_uri":"https://idp1.example/keys"}`,
		"another origin": `{"issuer":"https://idp1.example/","jwks_uri":"https://evil.example/keys"}`,
	} {
		w := newWorker(t, discovering)
		s := w.Open(request(scenario.First().Token()))
		if err := fetch(t, w).Respond(ok, []byte(document), nil); err != nil {
			t.Fatal(err)
		}
		if n := len(w.VM.TakeCallouts()); n != 0 {
			t.Errorf("%s: %d callouts follow", name, n)
		}
		judged(t, s, 503, "keys_unavailable")
		if got := w.Metrics.Values()["orgate_jwks_fetchesissuer=.=idp1;.;result=.=discovery;.;"]; got != 1 {
			t.Errorf("%s: counted %d times", name, got)
		}
	}
}
