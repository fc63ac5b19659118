package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
	"orgate/introspect"
	"orgate/policy"
)

// Loads: what strangers, tenants and providers do to a worker's memory. Each is
// a soak benchmark, and those that keep within bounds are tests, in short. The
// host's poll_oneoff answers ENOSYS, and its clock is that of a machine which
// takes the processor away all the time.

// soak is a worker under a load, whose memory is watched.
type soak struct {
	*e2e.Worker
	tb    testing.TB
	steps int // of the whole load
	done  int
	begin time.Time
	// memory is the size of the VM's memory in bytes after a tenth of the
	// steps, after half of them, and at the end.
	memory [3]uint64
}

// newSoak begins a load of a number of steps.
func newSoak(tb testing.TB, config string, steps int) *soak {
	tb.Helper()
	w, err := e2e.NewWorker(hosttest.Plugin(tb), config, func(c *host.Config) {
		c.LogLevel = host.LogError
		c.ClockStep = 5 * time.Millisecond
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { w.VM.Close() })
	return &soak{Worker: w, tb: tb, steps: steps, begin: time.Now()}
}

// step is one step done.
func (s *soak) step() {
	s.done++
	for i, done := range [...]int{s.steps / 10, s.steps / 2, s.steps} {
		if s.done == done {
			s.memory[i] = s.VM.MemoryBytes()
		}
	}
}

// serve has the plugin judge a request.
func (s *soak) serve(headers host.Headers, want host.Action) {
	stream := s.NewStream()
	got := stream.RequestHeaders(headers, true)
	stream.Close()
	if got != want || s.VM.Err() != nil {
		s.tb.Fatalf("%v, want %v: %+v\n%v\n%s", got, want, e2e.Outcome(stream), s.VM.Err(), strings.Join(s.Log, "\n"))
	}
}

// check checks what holds after every load: no stream is left, the VM is alive,
// and the runtime neither slept nor yielded to the host.
func (s *soak) check() {
	s.tb.Helper()
	if err := s.VM.Err(); err != nil {
		s.tb.Fatalf("%v\n%s", err, strings.Join(s.Log, "\n"))
	}
	if s.done != s.steps {
		s.tb.Errorf("%d steps of %d", s.done, s.steps)
	}
	if n := s.VM.LiveContexts() - 1; n != 0 {
		s.tb.Errorf("%d contexts are left behind", n)
	}
	calls := s.VM.HostCalls()
	for _, name := range []string{"poll_oneoff", "sched_yield"} {
		if calls[name] != 0 {
			s.tb.Errorf("%s was called %d times", name, calls[name])
		}
	}
}

// soakTokens sends requests with distinct tokens.
func soakTokens(tb testing.TB, n int) *soak {
	s := newSoak(tb, benchConfig(1, ""), n)
	tokens, stop := mint()
	defer stop()
	for i := range n {
		s.serve(benchHeaders(<-tokens), host.Continue)
		if i%1000 == 0 {
			s.Tick()
		}
		s.step()
	}
	return s
}

// soakMixture sends requests of every kind.
func soakMixture(tb testing.TB, n int) *soak {
	s := newSoak(tb, benchConfig(1, ""), n)
	hot := requestsOf(benchTokens()[:64])
	cold := inTurn(requestsOf(benchTokens()))
	var refused [][]host.Headers
	for _, kind := range refusals() {
		refused = append(refused, kind.requests())
	}
	for i := range n {
		switch {
		case i%20 == 0:
			s.serve(cold(), host.Continue)
		case i%4 == 0:
			of := refused[i/4%len(refused)]
			s.serve(of[i%len(of)], host.Answer)
		default:
			s.serve(hot[i%len(hot)], host.Continue)
		}
		if i%1000 == 0 {
			s.Tick()
		}
		s.step()
	}
	return s
}

// soakFlood fills the cache, sends requests without a token that are as long as a
// proxy lets them be, and then as many good ones.
func soakFlood(tb testing.TB, n int) *soak {
	s := newSoak(tb, benchConfig(1, ""), 2*n)
	good := requestsOf(mintedTokens(1500))
	for _, headers := range good {
		s.serve(headers, host.Continue)
	}
	long := append(headersTo("/orders/1", ""), [2]string{"x-long", strings.Repeat("x", 57_000)})
	for range n {
		s.serve(long, host.Answer)
		s.step()
	}
	for i := range n {
		s.serve(good[i%len(good)], host.Continue)
		s.step()
	}
	return s
}

// soakOpen leaves streams open, each with 8 KB of headers, and then ends them.
func soakOpen(tb testing.TB, n int) *soak {
	s := newSoak(tb, benchConfig(1, ""), 2*n)
	headers := append(benchHeaders(benchToken()), [2]string{"cookie", strings.Repeat("x", 8<<10)})
	streams := make([]*host.Stream, n)
	for i := range streams {
		streams[i] = s.NewStream()
		if got := streams[i].RequestHeaders(headers, false); got != host.Continue {
			tb.Fatalf("%v, want %v: %v", got, host.Continue, s.VM.Err())
		}
		s.step()
	}
	for _, stream := range streams {
		stream.Close()
		s.step()
	}
	return s
}

// soakCostly sends the tokens that take the most memory of those that are good:
// nearly as long as a token may be, with the longest lists of the shortest
// elements. The cache is full of one kind after the other.
func soakCostly(tb testing.TB, n int) *soak {
	s := newSoak(tb, scenario.Expand(`{
  "issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1", "organizationClaim": "org_id",
    "audiences": ["https://api.example"], "rolesClaim": "roles",
    "claimMappings": [{"remoteClaim": "team", "localClaim": "x-team"}],
    "signatureValidation": {"jwks": {"inline": $FIRST}}}],
  "rules": [{"name": "all", "organization": "org1"}],
  "limits": {"tokenBytes": 16384}}`), n)
	list := func(i int) []string {
		list := []string{"https://api.example", strconv.Itoa(i)}
		for size := 0; size < 11_000; size += len(list[len(list)-1]) + len(`"",`) {
			list = append(list, strconv.FormatInt(int64(len(list)), 36))
		}
		return list
	}
	kinds := []func(i int) scenario.Claims{
		func(i int) scenario.Claims { return scenario.Claims{"aud": list(i)} },
		func(i int) scenario.Claims { return scenario.Claims{"roles": list(i)} },
		func(i int) scenario.Claims { return scenario.Claims{"scope": list(i)} },
		func(i int) scenario.Claims {
			return scenario.Claims{"scope": strings.Repeat("x ", 5500) + strconv.Itoa(i)}
		},
		func(i int) scenario.Claims { return scenario.Claims{"team": list(i)} },
		func(i int) scenario.Claims {
			return scenario.Claims{"team": strings.Repeat("x", 11_000) + strconv.Itoa(i)}
		},
		func(i int) scenario.Claims { return scenario.Claims{"unused": list(i)} },
		func(i int) scenario.Claims { return scenario.Claims{"jti": strconv.Itoa(i)} },
	}
	signer := scenario.First()
	minted, stop := mintEach(func(i int) string { return signer.Token(kinds[i*len(kinds)/n%len(kinds)](i)) })
	defer stop()
	for range n {
		s.serve(benchHeaders(<-minted), host.Continue)
		s.step()
	}
	return s
}

// soakOpaque has a provider tell of distinct opaque tokens, in answers that are as
// long as they may be. A quarter of the tokens is not active, and the cache is full
// of one kind of the others after the other.
func soakOpaque(tb testing.TB, n int) *soak {
	s := newSoak(tb, `{
  "issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1", "organizationClaim": "org_id",
    "audiences": ["https://api.example"], "rolesClaim": "roles",
    "claimMappings": [{"remoteClaim": "team", "localClaim": "x-team"}],
    "tokenHandling": {"kind": "REFERENCE", "pattern": "op_[0-9]+[.]x*"},
    "introspection": {"url": "https://idp1.example/introspect", "cluster": "idp1", "cacheFor": "1h"}}],
  "rules": [{"name": "all", "organization": "org1"}]}`, n)
	const atOnce = 128
	// The longest tokens that a pattern tells are every tenth.
	token := func(i int) string {
		token := fmt.Sprintf("op_%d.", i)
		if i%10 == 0 {
			token += strings.Repeat("x", policy.MaxOpaque-len(token))
		}
		return token
	}
	for i := 0; i < n; {
		s.Time = s.Time.Add(4 * time.Second) // Ten strangers are asked about in a second.
		streams := make([]*host.Stream, min(atOnce, n-i))
		for k := range streams {
			streams[k] = s.NewStream()
			if got := streams[k].RequestHeaders(benchHeaders(token(i+k)), true); got != host.Pause {
				tb.Fatalf("%v, want %v: %+v", got, host.Pause, e2e.Outcome(streams[k]))
			}
		}
		s.Tick()
		for callouts := s.VM.TakeCallouts(); len(callouts) > 0; callouts = s.VM.TakeCallouts() {
			for _, c := range callouts {
				about := 0
				if _, err := fmt.Sscanf(string(c.Body), "token=op_%d.", &about); err != nil {
					tb.Fatalf("%q: %v", c.Body, err)
				}
				if err := c.Respond(host.Headers{{":status", "200"}}, longestAnswer(about, n), nil); err != nil {
					tb.Fatal(err)
				}
			}
			s.Tick()
		}
		for _, stream := range streams {
			want := host.Continue
			if i%4 == 0 {
				want = host.Answer
			}
			if got := stream.RequestAction(); got != want {
				tb.Fatalf("%v, want %v: %+v\n%s", got, want, e2e.Outcome(stream), strings.Join(s.Log, "\n"))
			}
			stream.Close()
			s.step()
			i++
		}
	}
	return s
}

// longestAnswer is what a provider tells of a token, one of a number, in as many
// bytes as it may. Every fourth is not active.
func longestAnswer(i, n int) []byte {
	list := func() []string {
		list := []string{"https://api.example", strconv.Itoa(i)}
		for size := 0; size < introspect.MaxAnswer-1000; size += len(list[len(list)-1]) + len(`"",`) {
			list = append(list, strconv.FormatInt(int64(len(list)), 36))
		}
		return list
	}
	kinds := []func() scenario.Claims{
		func() scenario.Claims { return scenario.Claims{"aud": list()} },
		func() scenario.Claims { return scenario.Claims{"roles": list()} },
		func() scenario.Claims { return scenario.Claims{"scope": list()} },
		func() scenario.Claims { return scenario.Claims{"team": list()} },
		func() scenario.Claims { return scenario.Claims{"unused": list()} },
		func() scenario.Claims { return scenario.Claims{"jti": strconv.Itoa(i)} },
	}
	claims := kinds[i*len(kinds)/n%len(kinds)]()
	maps.Copy(claims, scenario.Claims{"active": i%4 != 0, "sub": "user-" + strconv.Itoa(i), "org_id": "org1",
		"pad": ""})
	answer, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	pad := strings.Repeat("x", introspect.MaxAnswer-len(answer))
	return bytes.Replace(answer, []byte(`"pad":""`), []byte(`"pad":"`+pad+`"`), 1)
}

// soakRefetch has fifty providers publish hostile documents.
func soakRefetch(tb testing.TB, n int) *soak {
	const providers = 50
	s := newSoak(tb, configOf(providers), n)
	documents := slices.Collect(maps.Values(hostileDocuments(255 << 10)))
	for i := 0; i < n; {
		s.Time = s.Time.Add(time.Hour)
		s.Tick()
		callouts := s.VM.TakeCallouts()
		if len(callouts) == 0 {
			tb.Fatalf("no fetch is due: %v\n%s", s.VM.Err(), strings.Join(s.Log, "\n"))
		}
		for _, callout := range callouts[:min(len(callouts), n-i)] {
			if err := callout.Respond(host.Headers{{":status", "200"}}, []byte(documents[i%len(documents)]),
				nil); err != nil {
				tb.Fatal(err)
			}
			s.step()
			i++
		}
	}
	return s
}

// soakReconfigure loads a configuration with many issuers over and over: in place,
// or, as Envoy does, with a new plugin context before the old one is closed. All
// providers answer each time.
func soakReconfigure(tb testing.TB, issuers, n int, inPlace bool) *soak {
	config := configOf(issuers)
	s := newSoak(tb, configOf(1), n)
	for range n {
		if inPlace {
			if err := s.Configure([]byte(config)); err != nil {
				tb.Fatalf("%v\n%s", err, strings.Join(s.Log, "\n"))
			}
		} else {
			root, err := s.VM.NewRoot(host.RootConfig{RootID: "orgate", Configuration: []byte(config)})
			if err != nil {
				tb.Fatalf("%v\n%s", err, strings.Join(s.Log, "\n"))
			}
			s.Root.Close()
			s.Root = root
		}
		s.Time = s.Time.Add(time.Second)
		s.Tick()
		for callouts := s.VM.TakeCallouts(); len(callouts) > 0; callouts = s.VM.TakeCallouts() {
			for _, callout := range callouts {
				if err := callout.Respond(host.Headers{{":status", "200"}}, []byte(scenario.JWKS(scenario.First())),
					nil); err != nil {
					tb.Fatal(err)
				}
			}
			s.Tick()
		}
		s.step()
	}
	s.serve(benchHeaders(benchToken()), host.Continue)
	return s
}

// configOf is a configuration with a number of issuers, each with a location of
// its keys and with a rule. The token's issuer and the request's rule are the
// last ones.
func configOf(n int) string {
	issuers, rules := make([]string, n), make([]string, n)
	for i := range n {
		issuer, path := fmt.Sprintf("https://idp.example/realms/%d", i), fmt.Sprintf("/api/%d", i)
		if i == n-1 {
			issuer, path = "https://idp1.example/", "/orders"
		}
		issuers[i] = fmt.Sprintf(`{"name": "idp%d", "issuer": %q, "organization": "org1", "organizationClaim": "org_id",
			"audiences": ["https://api.example"], "rolesClaim": "roles",
			"signatureValidation": {"jwks": {"url": "https://idp.example/realms/%d/jwks", "cluster": "idp"}}}`, i, issuer, i)
		rules[i] = fmt.Sprintf(`{"name": "rule%d", "match": {"pathPrefix": %q}, "organization": "org1", "scopes": ["orders:read"]}`, i, path)
	}
	return `{"organization": "org1", "issuers": [` + strings.Join(issuers, ",") + `], "rules": [` + strings.Join(rules,
		",") + `]}`
}

// BenchmarkSoak is each load at full length, or at so many percent of it as
// ORGATE_SOAK says.
func BenchmarkSoak(b *testing.B) {
	percent := fromEnvironment(b, "ORGATE_SOAK", 1)
	for _, load := range []struct {
		name  string
		steps int
		run   func(tb testing.TB, n int) *soak
	}{
		{"tokens", 1_000_000, soakTokens},
		{"mixture", 100_000, soakMixture},
		{"flood", 100_000, soakFlood},
		{"open", 10_000, soakOpen},
		{"costly", 5_000, soakCostly},
		{"opaque", 20_000, soakOpaque},
		{"refetch", 5_000, soakRefetch},
		{
			"reconfigure/issuers=1000", 10, func(tb testing.TB, n int) *soak {
				return soakReconfigure(tb, 1000, n, true)
			}},
		{
			"reconfigure/issuers=10000", 10, func(tb testing.TB, n int) *soak {
				return soakReconfigure(tb, 10_000, n, true)
			}},
		{"replace/issuers=1000", 10, func(tb testing.TB, n int) *soak { return soakReconfigure(tb, 1000, n, false) }},
		{
			"replace/issuers=10000", 10, func(tb testing.TB, n int) *soak {
				return soakReconfigure(tb, 10_000, n, false)
			}},
	} {
		b.Run(load.name, func(b *testing.B) {
			for b.Loop() {
				s := load.run(b, max(load.steps*percent/100, 10))
				for i, unit := range [...]string{"MiB@10%", "MiB@50%", "MiB@end"} {
					b.ReportMetric(float64(s.memory[i])/(1<<20), unit)
				}
				b.ReportMetric(float64(time.Since(s.begin).Microseconds())/float64(s.steps), "µs/step")
				b.ReportMetric(float64(s.steps), "steps")
				s.check()
				s.VM.Close()
			}
		})
	}
}
