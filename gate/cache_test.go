package gate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"orgate/e2e/scenario"
)

// verdict is an outcome in short: "200 ok".
func verdict(o scenario.Outcome) string {
	if o.Passed {
		o.Status = 200
	}
	return fmt.Sprint(o.Status, " ", o.Reason)
}

func bearer(path, token string) scenario.Request {
	return scenario.Request{Path: path, Token: token}
}

func TestTokenSeenBefore(t *testing.T) {
	proxy := open(t, scenario.Config())
	good := scenario.First().Token(scenario.Claims{"scope": "orders:write"})
	last := good[len(good)-10:]
	tampered := strings.TrimSuffix(good, last) + flip(last)
	for _, step := range []struct {
		name    string
		request scenario.Request
		later   time.Duration
		want    string
		checks  uint64
	}{
		{"seen first", bearer("/org1", good), 0, "200 ok", 1},
		{"seen again", bearer("/org1", good), 0, "200 ok", 0},
		{"under another rule", bearer("/org1/admin", good), 0, "200 ok", 0},
		{"where another organization is required", bearer("/org2", good), 0, "403 organization", 0},
		{"with another signature", bearer("/org1", tampered), 0, "401 bad_signature", 1},
		{"with that signature again", bearer("/org1", tampered), 0, "401 bad_signature", 0},
		{"after all that", bearer("/org1", good), 0, "200 ok", 0},
		{"in a path that is ambiguous", bearer("/org1//x", good), 0, "400 path", 0},
		{"in its last second", bearer("/org1", good), time.Hour + 59*time.Second, "200 ok", 0},
		{"when it has expired", bearer("/org1", good), time.Second, "401 expired", 0},
	} {
		proxy.now = proxy.now.Add(step.later)
		var got scenario.Outcome
		if n := checks(func() { got = proxy.Serve(step.request) }); n != step.checks {
			t.Errorf("%s: %d signature checks, want %d", step.name, n, step.checks)
		}
		if got := verdict(got); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	for _, want := range [][2]uint64{{6, 3}, {}} { // the second time of what has come since
		if hits, misses := proxy.CacheLookups(); want != [2]uint64{hits, misses} {
			t.Errorf("%d tokens were found and %d were not, want %d", hits, misses, want)
		}
	}
}

// flip changes letters to others of the alphabet.
func flip(s string) string {
	return strings.Map(func(c rune) rune {
		if c == 'A' {
			return 'Q'
		}
		return 'A'
	}, s[:len(s)-1]) + s[len(s)-1:]
}

func TestRefusalsWithoutArithmetic(t *testing.T) {
	proxy := open(t, scenario.Config())
	good := scenario.First().Token()
	for name, token := range map[string]string{
		"shape":     good + ".",
		"base64":    "!" + good,
		"too long":  good + strings.Repeat("A", 9000),
		"algorithm": scenario.First().With(scenario.Claims{"alg": "RS512"}),
		"issuer":    scenario.First().Token(scenario.Claims{"iss": "https://nobody.example"}),
		"expired":   scenario.First().Token(scenario.Claims{"exp": scenario.Now.Unix() - 3600}),
		"too early": scenario.First().Token(scenario.Claims{"nbf": scenario.Now.Unix() + 3600}),
		"kid":       scenario.Rotated().Token(),
	} {
		var got scenario.Outcome
		if n := checks(func() { got = proxy.Serve(bearer("/org1", token)) }); n != 0 {
			t.Errorf("%s: %d signature checks, want none", name, n)
		}
		if got.Passed || got.Status != 401 {
			t.Errorf("%s: %s, want 401", name, verdict(got))
		}
	}
}

// TestForgedTokensDriveNoGoodOneOut floods the filter with tokens that differ
// in their signatures alone.
func TestForgedTokensDriveNoGoodOneOut(t *testing.T) {
	proxy := open(t, scenario.Config())
	good := scenario.First().Token()
	proxy.Serve(bearer("/org1", good))
	for i := range 200 {
		forged := scenario.Stranger().Token(scenario.Claims{"jti": i})
		if got := verdict(proxy.Serve(bearer("/org1", forged))); got != "401 bad_signature" {
			t.Fatalf("forged token: %s", got)
		}
	}
	if n := checks(func() { proxy.Serve(bearer("/org1", good)) }); n != 0 {
		t.Errorf("the good token was forgotten: %d signature checks", n)
	}
}

// TestNoMoreTokensThanTheLimit: with a limit of none each token is verified
// each time.
func TestNoMoreTokensThanTheLimit(t *testing.T) {
	config := strings.Replace(scenario.Config(), `"rules"`, `"limits": {"cachedTokens": 0}, "rules"`, 1)
	proxy := open(t, config)
	for _, token := range []string{scenario.First().Token(), scenario.Stranger().Token()} {
		for range 2 {
			if n := checks(func() { proxy.Serve(bearer("/org1", token)) }); n != 1 {
				t.Errorf("%d signature checks, want 1", n)
			}
		}
	}
}
