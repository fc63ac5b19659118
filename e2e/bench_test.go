package e2e_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
)

// Benchmarks of the built plugin. On a machine that does other things as well a
// time is of little use by itself. So each is also given as a ratio to what a
// bare verification takes in the same engine, alternating with it: the
// ratio of the two medians, "×bare".

// turn is about how long the plugin, and then the bare verification, is
// measured in one go.
const turn = 10 * time.Millisecond

// distinct is how many tokens there are that a cache has never seen when their
// turn comes again: more than it holds.
const distinct = 4096 + 128

func BenchmarkRequest(b *testing.B) {
	sizes := []int{1, 100, 1000}
	for _, n := range sizes {
		config := benchConfig(n, "")
		b.Run(fmt.Sprintf("hot/issuers=%d", n), func(b *testing.B) {
			measure(b, config, same(benchHeaders(benchToken())), host.Continue)
		})
		b.Run(fmt.Sprintf("cold/issuers=%d", n), func(b *testing.B) {
			measure(b, config, inTurn(requestsOf(benchTokens())), host.Continue)
		})
	}
	config := benchConfig(1, "")
	b.Run("hot/full", func(b *testing.B) {
		measure(b, config, filling(requestsOf(benchTokens())), host.Continue)
	})
	for _, n := range sizes {
		config := benchConfig(n, `"signatureVerification": "host",`)
		b.Run(fmt.Sprintf("cold/host/issuers=%d", n), func(b *testing.B) {
			measure(b, config, inTurn(requestsOf(benchTokens())), host.Continue)
		})
	}
	for _, refused := range refusals() {
		for _, n := range sizes {
			config := benchConfig(n, "")
			b.Run(fmt.Sprintf("refused/%s/issuers=%d", refused.name, n), func(b *testing.B) {
				measure(b, config, inTurn(refused.requests()), host.Answer)
			})
		}
	}
	b.Run("public", func(b *testing.B) {
		measure(b, config, same(headersTo("/public", "")), host.Continue)
	})
}

// BenchmarkCollection is what collecting garbage takes with a full cache of
// tokens: how long requests are held up by a collection, and its share of the
// time.
func BenchmarkCollection(b *testing.B) {
	tokens := requestsOf(benchTokens())
	for _, kind := range []struct {
		name     string
		requests int
		next     func() host.Headers
	}{
		{"hot", 100_000, inTurn(tokens[len(tokens)-1000:])},
		{"cold", 10_000, inTurn(tokens)},
	} {
		b.Run(kind.name, func(b *testing.B) {
			w := benchWorker(b, hosttest.Plugin(b), benchConfig(1, ""))
			defer w.VM.Close()
			for _, headers := range tokens {
				serve(b, w, headers, host.Continue)
			}
			var pauses, others []time.Duration
			for b.Loop() {
				for range kind.requests {
					clock := w.VM.HostCalls()["clock_time_get"]
					took := timeOf(1, func() { serve(b, w, kind.next(), host.Continue) })
					// A collection reads the clock, and nothing else does.
					if w.VM.HostCalls()["clock_time_get"] != clock {
						pauses = append(pauses, took)
					} else {
						others = append(others, took)
					}
				}
			}
			if len(pauses) == 0 {
				b.Fatal("no collection")
			}
			var collecting, all time.Duration
			for _, took := range others {
				all += took
			}
			usual := median(others)
			for _, took := range pauses {
				collecting += took - usual
				all += took
			}
			b.ReportMetric(float64(median(pauses).Microseconds())/1000, "ms/collection")
			b.ReportMetric(float64(pauses[len(pauses)*999/1000].Microseconds())/1000, "ms@99.9%")
			b.ReportMetric(100*float64(collecting)/float64(all), "%time")
			b.ReportMetric(float64(len(others)+len(pauses))/float64(len(pauses)), "requests/collection")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkBare is the yardstick: a bare verification, and a request that does
// nothing but read one header.
func BenchmarkBare(b *testing.B) {
	w := bareWorker(b)
	for _, c := range []struct {
		name  string
		times int
	}{{"verification", 1}, {"header", 0}} {
		b.Run(c.name, func(b *testing.B) {
			headers := bareHeaders(c.times)
			for b.Loop() {
				serve(b, w, headers, host.Continue)
			}
		})
	}
}

// refusal is a kind of request that is refused before any arithmetic.
type refusal struct {
	name string
	// request makes one; the number tells them apart.
	request func(i int) host.Headers
}

func (r *refusal) requests() []host.Headers {
	all := make([]host.Headers, 256)
	for i := range all {
		all[i] = r.request(i)
	}
	return all
}

// refusals are the kinds. Each token is signed by a good key.
func refusals() []refusal {
	token := func(header, claims scenario.Claims) string {
		return scenario.First().With(header, benchClaims(claims))
	}
	return []refusal{
		{"missing", func(int) host.Headers { return headersTo("/orders/1", "") }},
		{"garbage", func(i int) host.Headers { return benchHeaders("nonsense" + strconv.Itoa(i)) }},
		{"shape", func(i int) host.Headers {
			return benchHeaders(token(nil, scenario.Claims{"jti": i}) + "=")
		}},
		{"duplicate", func(i int) host.Headers {
			return benchHeaders(scenario.First().Raw(`"roles":[]`, benchClaims(scenario.Claims{"jti": i})))
		}},
		{"algorithm", func(i int) host.Headers {
			return benchHeaders(token(scenario.Claims{"alg": "HS256"}, scenario.Claims{"jti": i}))
		}},
		{"issuer", func(i int) host.Headers {
			return benchHeaders(token(nil, scenario.Claims{"iss": fmt.Sprintf("https://idp%d.example/", i+1000)}))
		}},
		{"expired", func(i int) host.Headers {
			return benchHeaders(token(nil, scenario.Claims{"exp": scenario.Now.Unix() - 3600 - int64(i)}))
		}},
		{"early", func(i int) host.Headers {
			return benchHeaders(token(nil, scenario.Claims{"nbf": scenario.Now.Unix() + 3600 + int64(i)}))
		}},
	}
}

// measure has the plugin judge b.N requests, alternating with the bare
// verification, and reports what they take.
func measure(b *testing.B, config string, next func() host.Headers, want host.Action, change ...func(*host.Config)) {
	w := benchWorker(b, hosttest.Plugin(b), config, change...)
	defer w.VM.Close()
	bare := bareWorker(b)
	yardstick := bareHeaders(1)
	if b.N > 1 { // or else it is a trial
		timeOf(distinct, func() { serve(b, w, next(), want) })
	}
	perTurn := max(1, int(turn/timeOf(200, func() { serve(b, w, next(), want) })))
	bareTurn := max(1, int(turn/timeOf(10, func() { serve(b, bare, yardstick, host.Continue) })))
	calls := hostCalls(w)
	var plugin, verification []time.Duration
	b.ResetTimer()
	for left := b.N; left > 0; left -= perTurn {
		n := min(left, perTurn)
		plugin = append(plugin, timeOf(n, func() { serve(b, w, next(), want) }))
		b.StopTimer()
		verification = append(verification, timeOf(bareTurn, func() { serve(b, bare, yardstick, host.Continue) }))
		b.StartTimer()
	}
	b.StopTimer()
	b.ReportMetric(float64(median(plugin))/float64(median(verification)), "×bare")
	b.ReportMetric(float64(median(plugin).Nanoseconds())/1000, "µs/op")
	b.ReportMetric(float64(hostCalls(w)-calls)/float64(b.N), "hostcalls/op")
	b.ReportMetric(float64(w.VM.MemoryBytes())/(1<<20), "MiB")
	objects, bytes := allocations(b, config, next, want)
	b.ReportMetric(objects, "allocs/op")
	b.ReportMetric(bytes, "B/op")
	b.ReportMetric(0, "ns/op") // the host's share and the machine's other work are in it
}

// allocations are the objects and the bytes that a request allocates in the VM.
func allocations(b *testing.B, config string, next func() host.Headers, want host.Action) (objects, bytes float64) {
	const requests = 500
	w := benchWorker(b, hosttest.Compile(b, "testdata/counted"), config)
	defer w.VM.Close()
	for range requests {
		serve(b, w, next(), want)
	}
	w.Tick()
	for range requests {
		serve(b, w, next(), want)
	}
	w.Tick()
	// Each tick logs twice; the requests are between the second line and the
	// third.
	var reports [][2]float64
	for _, line := range w.Log {
		var level, o, n, collections float64
		if _, err := fmt.Sscanf(line, "%f allocated %f %f %f", &level, &o, &n, &collections); err == nil {
			reports = append(reports, [2]float64{o, n})
		}
	}
	if len(reports) != 4 {
		b.Fatalf("%d reports of allocations, want 4", len(reports))
	}
	return (reports[2][0] - reports[1][0]) / requests, (reports[2][1] - reports[1][1]) / requests
}

// serve has the plugin judge a request.
func serve(b *testing.B, w *e2e.Worker, headers host.Headers, want host.Action) {
	s := w.NewStream()
	got := s.RequestHeaders(headers, true)
	s.Close()
	if got != want {
		b.Fatalf("%v, want %v: %v\n%s", got, want, s.LocalResponse(), strings.Join(w.Log, "\n"))
	}
}

// timeOf is how long f takes, called n times.
func timeOf(n int, f func()) time.Duration {
	begin := time.Now()
	for range n {
		f()
	}
	return max(time.Since(begin)/time.Duration(n), 1)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func hostCalls(w *e2e.Worker) (all int) {
	for _, n := range w.VM.HostCalls() {
		all += n
	}
	return all
}

func benchWorker(b *testing.B, plugin *host.Plugin, config string, change ...func(*host.Config)) *e2e.Worker {
	b.Helper()
	w, err := e2e.NewWorker(plugin, config, append(change, func(c *host.Config) {
		c.LogLevel = host.LogWarn
		c.Foreign = map[string]host.ForeignFunction{"verify_signature": host.VerifySignature}
	})...)
	if err != nil {
		b.Fatal(err)
	}
	return w
}

// bareWorker is the yardstick's VM.
func bareWorker(b *testing.B) *e2e.Worker {
	modulus := base64.RawURLEncoding.EncodeToString(scenario.First().Key.N.Bytes())
	return benchWorker(b, hosttest.Compile(b, "testdata/bare"), modulus+"\n"+benchToken())
}

func bareHeaders(times int) host.Headers {
	return append(headersTo("/", ""), [2]string{"times", strconv.Itoa(times)})
}

func headersTo(path, token string) host.Headers {
	return host.Headers(scenario.Request{Path: path, Token: token, Headers: scenario.Headers{
		{"user-agent", "curl/8.5.0"},
		{"accept", "*/*"},
		{"x-forwarded-for", "203.0.113.7"},
		{"x-forwarded-proto", "https"},
		{"x-request-id", "b1946ac9-4d3c-4c4f-9c9b-1c5c1e8f1f2a"},
	}}.Map())
}

func benchHeaders(token string) host.Headers { return headersTo("/orders/4711?page=2", token) }

func requestsOf(tokens []string) []host.Headers {
	all := make([]host.Headers, len(tokens))
	for i, token := range tokens {
		all[i] = benchHeaders(token)
	}
	return all
}

func same(h host.Headers) func() host.Headers { return func() host.Headers { return h } }

// inTurn returns one after the other, over and over.
func inTurn(all []host.Headers) func() host.Headers {
	i := -1
	return func() host.Headers {
		i = (i + 1) % len(all)
		return all[i]
	}
}

// filling returns one after the other, and then the last one over and over: the
// cache is full by then.
func filling(all []host.Headers) func() host.Headers {
	i := -1
	return func() host.Headers {
		i = min(i+1, len(all)-1)
		return all[i]
	}
}

// benchClaims are claims that fill all five identity headers.
func benchClaims(more scenario.Claims) scenario.Claims {
	claims := scenario.Claims{"roles": []string{"admin", "user"}, "jti": "ed4d8a53-5d2e-4a0e-8ee2-6dd7f6a0a9a1"}
	for name, value := range more {
		claims[name] = value
	}
	return claims
}

var benchToken = sync.OnceValue(func() string { return scenario.First().Token(benchClaims(nil)) })

// benchTokens are distinct tokens.
var benchTokens = sync.OnceValue(func() []string { return mintedTokens(distinct) })

func mintedTokens(n int) []string {
	minted, stop := mint()
	defer stop()
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = <-minted
	}
	return tokens
}

// mint signs distinct tokens on all processors until it is stopped.
func mint() (tokens <-chan string, stop func()) {
	signer := scenario.First()
	return mintEach(func(i int) string { return signer.Token(benchClaims(scenario.Claims{"jti": strconv.Itoa(i)})) })
}

// mintEach makes tokens of consecutive numbers, in any order.
func mintEach(token func(i int) string) (tokens <-chan string, stop func()) {
	minted, done := make(chan string, 256), make(chan struct{})
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		go func() {
			for {
				select {
				case minted <- token(int(next.Add(1))):
				case <-done:
					return
				}
			}
		}()
	}
	return minted, sync.OnceFunc(func() { close(done) })
}

// benchConfig has n issuers and n rules. The token's issuer and the request's
// rule are the last ones.
func benchConfig(n int, more string) string {
	jwks := scenario.JWKS(scenario.First())
	issuers, rules := make([]string, n), make([]string, n)
	for i := range n {
		issuer, path := fmt.Sprintf("https://idp.example/realms/%d", i), fmt.Sprintf("/api/%d", i)
		if i == n-1 {
			issuer, path = "https://idp1.example/", "/orders"
		}
		issuers[i] = fmt.Sprintf(`{"name": "idp%d", "issuer": %q, "organization": "org1", "organizationClaim": "org_id",
			"audiences": ["https://api.example"], "rolesClaim": "roles", "signatureValidation": {"jwks": {"inline": %s}}}`, i, issuer, jwks)
		rules[i] = fmt.Sprintf(`{"name": "rule%d", "match": {"pathPrefix": %q}, "organization": "org1", "scopes": ["orders:read"]}`, i, path)
	}
	rules = append(rules, `{"name": "public", "match": {"pathPrefix": "/public"}, "public": true}`)
	return `{"organization": "org1", ` + more + `"issuers": [` + strings.Join(issuers, ",") + `], "rules": [` +
		strings.Join(rules, ",") + `]}`
}

// fromEnvironment is the number in an environment variable.
func fromEnvironment(b *testing.B, name string, otherwise int) int {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("%s=%s is no number from 1 on", name, text)
	}
	return n
}
