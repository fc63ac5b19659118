package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"orgate/e2e/scenario"
	"orgate/host"
)

// memoryOfAWorker is what a worker may take, in bytes.
const memoryOfAWorker = 16 << 20

// TestDocumentsDoNotFillTheMemory: one provider answers with documents made to
// take as much memory as they can. Linear memory never shrinks, so that it would
// be lost for everyone.
func TestDocumentsDoNotFillTheMemory(t *testing.T) {
	for name, document := range hostileDocuments(250 << 10) {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t, fetching)
			answer(t, fetch(t, w), scenario.First())
			for range 40 {
				w.Time = w.Time.Add(10 * time.Minute)
				if err := fetch(t, w).Respond(host.Headers{{":status", "200"}}, []byte(document), nil); err != nil {
					t.Fatal(err)
				}
			}
			if got := w.VM.MemoryBytes(); got > memoryOfAWorker {
				t.Errorf("%d MiB are taken, want at most %d", got>>20, memoryOfAWorker>>20)
			}
		})
	}
}

// hostileDocuments are JWK Sets of about the given number of bytes, by what
// takes memory in them.
func hostileDocuments(size int) map[string]string {
	keys := strings.TrimSuffix(scenario.JWKS(scenario.First()), "}")
	fill := func(part func(i int) string) string {
		var b strings.Builder
		b.WriteString(keys)
		for i := 0; b.Len() < size; i++ {
			b.WriteString(part(i))
		}
		return b.String() + "}"
	}
	return map[string]string{
		"members":         fill(func(i int) string { return fmt.Sprintf(`,"%x":1`, i) }),
		"one long string": fill(func(i int) string { return fmt.Sprintf(`,"%x":%q`, i, strings.Repeat("x", size/3)) }),
		"nested arrays":   keys + `,"a":[` + strings.Repeat(`[[]],`, size/5) + `[]]}`,
		"objects":         keys + `,"a":[` + strings.Repeat(`{"a":1},`, size/8) + `{}]}`,
		"keys":            `{"keys":[` + strings.Repeat(`{},`, size/3) + scenario.First().JWK() + `]}`,
		"escapes":         keys + `,"` + strings.Repeat(`\u0061`, size/6) + `":1}`,
	}
}

// TestWaitingRequestsDoNotFillTheMemory: as many as may wait do, with the
// longest headers that proxies let through.
func TestWaitingRequestsDoNotFillTheMemory(t *testing.T) {
	w := newWorker(t, strings.Replace(fetching, `"waitingRequests": 2`, `"waitingRequests": 1024`, 1))
	long := strings.Repeat("x", 56<<10)
	token := scenario.First().Token()
	var streams []*host.Stream
	for range 1024 {
		streams = append(streams, w.Open(request(token, [2]string{"cookie", long})))
	}
	if got := w.VM.MemoryBytes(); got > memoryOfAWorker {
		t.Errorf("%d MiB are taken, want at most %d", got>>20, memoryOfAWorker>>20)
	}
	answer(t, fetch(t, w), scenario.First())
	for range 100 { // each judges as many as its budget allows
		w.Tick()
	}
	for _, s := range streams {
		judged(t, s, 200, "ok")
		if cookie := s.RequestHeaderMap().Values("cookie"); len(cookie) != 1 || cookie[0] != long {
			t.Fatal("a header was lost while the request waited")
		}
		s.Close()
	}
}

// TestOneProviderDoesNotTakeAllPlaces: while one does not answer, requests with
// its tokens wait for it in numbers; those of another provider find room.
func TestOneProviderDoesNotTakeAllPlaces(t *testing.T) {
	w := newWorker(t, `{
  "issuers": [
    {"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
     "signatureValidation": {"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1"}}},
    {"name": "idp2", "issuer": "https://idp2.example/realms/org2", "organization": "org2",
     "signatureValidation": {"jwks": {"url": "https://idp2.example/jwks", "cluster": "idp2"}}}
  ],
  "rules": [{"organization": "*"}],
  "limits": {"waitingRequests": 100}
}`)
	garbage := scenario.Stranger().Token(scenario.OfOrg2())
	waited := 0
	for range 200 {
		if w.Open(request(garbage)).RequestAction() == host.Pause {
			waited++
		}
	}
	if waited < 25 || waited > 75 {
		t.Errorf("%d of 100 places are taken by one of two providers", waited)
	}
	s := w.Open(request(scenario.First().Token()))
	w.Tick()
	for _, c := range w.VM.TakeCallouts() {
		if c.Cluster == "idp1" {
			answer(t, c, scenario.First())
		}
	}
	judged(t, s, 200, "ok")
}

// TestReportOnlyIsLogged: what is not enforced is told, and not without end.
func TestReportOnlyIsLogged(t *testing.T) {
	w := newWorker(t, scenario.Expand(`{
  "issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1", "reportOnly": true,
    "signatureValidation": {"jwks": {"inline": $FIRST}}}],
  "rules": [{"name": "admin", "scopes": ["admin"]}]}`))
	token := scenario.First().Token()
	for range 100 {
		if got := w.Serve(request(token)); !got.Passed || got.Reason != "scope" {
			t.Fatal(verdict(got))
		}
	}
	log := strings.Join(w.Log, "\n")
	const line = "report only: issuer idp1, rule admin: would be refused: scope"
	if n := strings.Count(log, line); n == 0 || n > 10 {
		t.Errorf("logged %d times:\n%s", n, log)
	}
	w.Log = nil
	w.Tick()
	w.Serve(request(token))
	if log := strings.Join(w.Log, "\n"); !strings.Contains(log, line) {
		t.Errorf("after a tick: %q", log)
	}
}
