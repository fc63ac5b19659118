package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"orgate/e2e"
	"orgate/host"
)

// TestWeekOfIntrospections plays a week of one worker and a provider of opaque
// tokens that fails as a script has it, and holds every verdict against a model
// that knows what the provider has said, and when:
//
//   - a token that the provider called active less than cacheFor ago passes,
//     whatever has become of it or of the provider;
//   - one that it refused is refused for 10 s at most without a further question;
//   - of any other the provider is asked, once, and what it answers decides; no
//     answer is 503, and never 401.
//
// The other provider's tokens pass all the time.
func TestWeekOfIntrospections(t *testing.T) {
	const (
		cacheFor = time.Minute
		refusal  = 10 * time.Second
		timeout  = 5 * time.Second
	)
	w := newWorker(t, opaque("", ""))
	random := rand.New(rand.NewPCG(1, 2))
	begin := w.Time
	type said struct {
		at     time.Time
		active bool
	}
	good, known := map[string]bool{}, map[string]said{}
	verdicts := map[string]int{}
	// The ways of the provider, for some hours each.
	ways := []string{"well", "status", "well", "hangs", "well", "garbage", "well", "fails"}
	calls := 0
	for w.Time.Before(begin.Add(7 * 24 * time.Hour)) {
		w.Time = w.Time.Add(time.Duration(random.Int64N(int64(time.Minute))))
		way := ways[int(w.Time.Sub(begin)/(3*time.Hour))%len(ways)]
		token := fmt.Sprintf("a_%d", random.IntN(4))
		if _, ok := good[token]; !ok || random.IntN(16) == 0 {
			good[token] = random.IntN(4) > 0 // issued, or revoked
		}
		last, before := known[token]
		age := w.Time.Sub(last.at)
		cached := before && (last.active && age < cacheFor || !last.active && age < refusal)
		s := w.Open(request(token))
		callouts := asked(w)
		if (len(callouts) == 0) != cached {
			t.Fatalf("%v: %d introspections of a token about which the provider said %v %v ago", w.Time, len(callouts),
				last.active, age)
		}
		want := map[bool]string{true: "200 ok", false: "401 inactive"}[last.active]
		if !cached {
			calls++
			want = answerLike(t, w, way, callouts[0], good[token], timeout)
			if way == "well" {
				known[token] = said{w.Time, good[token]}
			}
		}
		if got := verdict(e2e.Outcome(s)); got != want {
			t.Fatalf("%v, provider %s: %s, want %s", w.Time, way, got, want)
		}
		verdicts[want]++
		s.Close()
		// The other provider is always well.
		other := w.Open(request("b_1"))
		for _, c := range asked(w) {
			say(t, c, active(w.Time.Add(time.Hour)))
		}
		judged(t, other, 200, "ok")
		other.Close()
	}
	t.Logf("%d calls; %v", calls, verdicts)
	for _, v := range []string{"200 ok", "401 inactive", "503 introspection_unavailable"} {
		if verdicts[v] < 500 {
			t.Errorf("%d times %s: the week is too quiet", verdicts[v], v)
		}
	}
}

// answerLike answers an introspection as a provider in this way does, and returns
// the verdict that follows.
func answerLike(t *testing.T, w *e2e.Worker, way string, c *host.Callout, active bool, timeout time.Duration) string {
	t.Helper()
	var err error
	switch way {
	case "well":
		if !active {
			say(t, c, `{"active":false}`)
			return "401 inactive"
		}
		say(t, c, `{"active":true,"sub":"alice"}`)
		return "200 ok"
	case "status":
		err = c.Respond(host.Headers{{":status", "502"}}, []byte("Bad Gateway"), nil)
	case "garbage":
		err = c.Respond(host.Headers{{":status", "200"}}, []byte(`{"active":true`), nil)
	case "hangs":
		w.Time = w.Time.Add(timeout)
		w.Tick() // the wait is over, and a little later the call
		err = c.FailStatus(504)
	default:
		err = c.Fail()
	}
	if err != nil {
		t.Fatal(err)
	}
	return "503 introspection_unavailable"
}
