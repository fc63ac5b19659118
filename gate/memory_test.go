package gate

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"orgate/config"
	"orgate/e2e/scenario"
)

// TestCacheCountsWhatItHolds compares what the cache counts with what the heap
// grows by, for tokens that hold much in different ways.
func TestCacheCountsWhatItHolds(t *testing.T) {
	many := func(n int, format string) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(format, i)
		}
		return list
	}
	for name, claims := range map[string]scenario.Claims{
		"usual":                     nil,
		"audiences":                 {"aud": append(many(300, "https://audience-%d.example"), "https://api.example")},
		"configured audiences":      {"aud": many(50, "aud-%d")},
		"scopes":                    {"scope": strings.Join(many(400, "s:%d"), " ")},
		"roles":                     {"roles": many(200, "role-%d")},
		"a long name":               {"sub": strings.Repeat("x", 4000)},
		"claims that rules ask for": {"tier": many(200, "tier-%d")},
		"claims that nobody reads":  {"x": strings.Repeat("y", 4000)},
		"a long kid and typ":        {"typ": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := config.Parse(scenario.Expand(`{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
				"rolesClaim": "roles", "claimMappings": [{"remoteClaim": "x", "localClaim": "x-other"}],
				"audiences": ["https://api.example", "` + strings.Join(many(50, "aud-%d"), `","`) + `"],
				"signatureValidation": {"jwks": {"inline": $FIRST}}}],
				"limits": {"tokenBytes": 65536, "cachedTokens": 65536},
				"rules": [{"claims": [{"claim": "tier", "in": ["gold"]}]}]}`))
			if err != nil {
				t.Fatal(err)
			}
			g, _, err := New(c, Options{Now: func() time.Time { return scenario.Now }})
			if err != nil {
				t.Fatal(err)
			}
			const tokens = 150
			requests := make([]*Request, tokens)
			for i := range requests {
				token := scenario.First().Token(claims, scenario.Claims{"jti": i})
				requests[i] = &Request{Headers: scenario.Request{Token: token}.Map(), EndOfStream: true}
			}
			g.Judge(requests[0]) // what is made once
			before, counted := heap(), g.cache.verified.bytes
			for _, r := range requests[1:] {
				g.Judge(r)
			}
			held := heap() - before
			counted = g.cache.verified.bytes - counted
			if n := len(g.cache.verified.entries); n != tokens {
				t.Fatalf("%d tokens are kept, want %d", n, tokens)
			}
			ratio := float64(held) / float64(counted)
			t.Logf("%d bytes a token, %.2f of what is counted", held/(tokens-1), ratio)
			if ratio < 0.7 || ratio > 1.25 {
				t.Errorf("%d bytes are held, %d counted", held, counted)
			}
			runtime.KeepAlive(requests)
			runtime.KeepAlive(g)
		})
	}
}

// heap is how many bytes are in use.
func heap() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
