package gate

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"orgate/config"
	"orgate/introspect"
	"orgate/jwks"
	"orgate/jwt"
	"orgate/policy"
)

// asking is a gate with one issuer of opaque tokens, and a clock.
func asking(t *testing.T, limits string) (g *Gate, now *time.Time) {
	t.Helper()
	c, err := config.Parse(`{"issuers": [{"name": "a", "issuer": "https://a/", "organization": "org1",
		"tokenHandling": {"kind": "REFERENCE", "pattern": "op_.+"},
		"introspection": {"url": "https://a/i", "cluster": "a", "timeout": "2s", "cacheFor": "1m"}}],
		"limits": {` + limits + `}}`)
	if err != nil {
		t.Fatal(err)
	}
	clock := noon
	if g, _, err = New(c, Options{Now: func() time.Time { return clock }}); err != nil {
		t.Fatal(err)
	}
	return g, &clock
}

// about judges a request with a token that has waited for an introspection, or nil.
func about(g *Gate, token string, i *Introspection) Decision {
	return g.Judge(&Request{Headers: [][2]string{{":path", "/"}, {"authorization", "Bearer " + token}},
		Introspection: i})
}

func answerOf(body string) introspect.Answer {
	return introspect.Read(&jwks.Response{Status: 200, Body: body})
}

func TestOneIntrospectionOfAToken(t *testing.T) {
	g, now := asking(t, "")
	first := about(g, "op_1", nil).Introspection
	if again := about(g, "op_1", nil).Introspection; again != first || !first.Pending() {
		t.Fatal("there are two introspections of one token")
	}
	if about(g, "op_2", nil).Introspection == first {
		t.Fatal("two tokens have one introspection")
	}
	if !first.Begin(*now) || first.Begin(*now) || first.Pending() || !first.Underway(*now) {
		t.Fatal("it does not begin once")
	}
	// A clock that is set back, or a call that got lost, makes nobody wait for ever.
	for _, after := range []time.Duration{-1, 3 * time.Second} {
		*now = noon.Add(after)
		if about(g, "op_1", nil).Introspection == first {
			t.Errorf("after %v it is still waited for", after)
		}
	}
	*now = noon.Add(time.Second)
	first.Finish(*now, answerOf(`{"active":true,"sub":"alice"}`))
	first.Finish(*now, answerOf(`{"active":false}`)) // late
	if d := about(g, "op_1", first); d.Verdict != Pass {
		t.Errorf("%s: %v", d.Reason(), d.Err)
	}
	if d := about(g, "op_1", nil); d.Verdict != Pass {
		t.Errorf("seen before: %s: %v", d.Reason(), d.Err)
	}
	// What one token has waited for is nothing to another.
	if d := about(g, "op_3", first); d.Verdict != Wait || d.Introspection == first {
		t.Errorf("another token: verdict %d, %s", d.Verdict, d.Reason())
	}
	other, _ := asking(t, "")
	if d := about(other, "op_1", first); d.Verdict != Wait {
		t.Errorf("another configuration: verdict %d, %s", d.Verdict, d.Reason())
	}
}

// TestTheLastWordCounts: if there are two introspections of a token, a request goes by
// the one that it has waited for, and others by what has been said last.
func TestTheLastWordCounts(t *testing.T) {
	for answer, want := range map[string]string{
		`{"active":true,"sub":"bob"}`: "ok bob", `{"active":false}`: "inactive ", `{"active":true,"exp":1}`: "expired ",
	} {
		g, now := asking(t, "")
		first := about(g, "op_1", nil).Introspection
		first.Begin(*now)
		*now = noon.Add(3 * time.Second) // it seems to be lost
		second := about(g, "op_1", nil).Introspection
		second.Begin(*now)
		first.Finish(*now, answerOf(`{"active":true,"sub":"alice"}`))
		if d := about(g, "op_1", first); d.Verdict != Pass {
			t.Fatalf("%s: %v", d.Reason(), d.Err)
		}
		second.Finish(*now, answerOf(answer))
		for _, i := range []*Introspection{second, nil} {
			d := about(g, "op_1", i)
			got := d.Reason() + " "
			if d.Identity != nil {
				got += d.Identity.Username
			}
			if got != want {
				t.Errorf("%s, waited for: %v: %q, want %q", answer, i != nil, got, want)
			}
		}
	}
}

// TestWhatProvidersSayIsKept: for a while, if tokens are kept at all.
func TestWhatProvidersSayIsKept(t *testing.T) {
	for _, c := range []struct {
		limits, answer string
		later          time.Duration
		want           Verdict // of the next request with the token
	}{
		{"", `{"active":true,"sub":"alice"}`, time.Minute - 1, Pass},
		{"", `{"active":true,"sub":"alice"}`, time.Minute, Wait},
		{`"cachedTokens": 0`, `{"active":true,"sub":"alice"}`, 0, Wait},
		{"", `{"active":false}`, maxRefusal - 1, Refuse},
		{"", `{"active":false}`, maxRefusal, Wait},
		{`"cachedTokens": 0`, `{"active":false}`, 0, Wait},
	} {
		g, now := asking(t, c.limits)
		i := about(g, "op_1", nil).Introspection
		i.Begin(*now)
		i.Finish(*now, answerOf(c.answer))
		about(g, "op_1", i)
		*now = noon.Add(c.later)
		if d := about(g, "op_1", nil); d.Verdict != c.want {
			t.Errorf("%s %s, %v later: verdict %d, %s, want %d", c.limits, c.answer, c.later, d.Verdict, d.Reason(),
				c.want)
		}
	}
}

func TestIntrospectionsOfStrangersTokens(t *testing.T) {
	g, now := asking(t, "")
	var all []*Introspection
	for n := range maxStrangers + 50 { // all before the first has ended
		all = append(all, about(g, fmt.Sprint("op_", n), nil).Introspection)
	}
	begun := 0
	for _, i := range all {
		if i.Begin(*now) {
			begun++
			i.Finish(*now, answerOf(`{"active":false}`))
		} else if d := about(g, i.Token, i); !errors.Is(d.Err, ErrIntrospection) {
			t.Fatalf("one that is not asked about: %v", d.Err)
		}
	}
	if begun != maxStrangers {
		t.Errorf("%d are asked about, want %d", begun, maxStrangers)
	}
	if d := about(g, "op_more", nil); d.Verdict != Refuse || !errors.Is(d.Err, ErrIntrospection) {
		t.Errorf("one more: verdict %d, %v", d.Verdict, d.Err)
	}
	if n := len(g.asked.entries); n > 0 {
		t.Errorf("%d that have ended are kept", n)
	}
}

// TestIntrospectionsAreBounded: what waiting tokens take is bounded, and those that got
// lost make room once nobody can wait for them any more.
func TestIntrospectionsAreBounded(t *testing.T) {
	g, now := asking(t, "")
	long := strings.Repeat("x", 4000)
	ask := func(n int) Decision { return about(g, fmt.Sprint("op_", n, "_", long), nil) }
	n := 0
	for ; n < 1000; n++ {
		if d := ask(n); d.Verdict != Wait {
			if !errors.Is(d.Err, ErrIntrospection) {
				t.Error(d.Err)
			}
			break
		}
	}
	if n < 100 || n > 131 {
		t.Errorf("%d tokens of 4 kB wait, want about half a megabyte of them", n)
	}
	*now = noon.Add(10 * time.Second)
	if d := ask(n); d.Verdict != Refuse {
		t.Error("there is room while the first may still be waited for")
	}
	*now = noon.Add(10*time.Second + 1)
	for range 1000 {
		if n++; ask(n).Verdict != Wait {
			break
		}
	}
	if n < 200 || n > 265 {
		t.Errorf("%d in all", n)
	}
	// What is longer than all that waits is refused, and no fault.
	if _, err := g.ask(g.policy.Providers()[0], strings.Repeat("x", maxAskedBytes), *now); err != errBusy {
		t.Errorf("a huge token: %v", err)
	}
}

// TestIntrospectionsThatNobodyWaitsFor are forgotten, and nobody joins one for ever.
func TestIntrospectionsThatNobodyWaitsFor(t *testing.T) {
	g, now := asking(t, "")
	r := NewRoom[string](4, 2)
	enter := func(name string) Awaited {
		d := about(g, "op_1", nil)
		if !r.Enter(name, d.Awaited, noon.Add(5*time.Second)) {
			t.Fatal(name, "finds no room")
		}
		return d.Awaited
	}
	kept := func(step string, want int) {
		t.Helper()
		if got := len(g.asked.entries); got != want || (g.providers[0].asked == 0) != (want == 0) {
			t.Errorf("%s: %d are kept, want %d, which take %d bytes", step, got, want, g.providers[0].asked)
		}
	}
	first := enter("a")
	if enter("b") != first {
		t.Error("one token has two introspections")
	}
	r.Leave("a")
	kept("one request has left", 1)
	*now = noon.Add(5*time.Second + 1)
	joined := enter("c")
	if joined == first {
		t.Error("after the longest wait it is still joined")
	}
	kept("another one", 1)
	r.Leave("b")
	kept("the first one's last request has left", 1)
	r.WakeAll()
	next(r)
	kept("all have left", 0)
	first = enter("a")
	if r.Enter("b", about(g, "op_2", nil).Awaited, noon) && r.Enter("c", about(g, "op_3", nil).Awaited, noon) {
		t.Error("there is room for all")
	}
	kept("one finds no room", 2)
	first.Introspection.Begin(*now)
	r.Leave("a")
	kept("one has left that was asked for", 2)
	first.Introspection.Finish(*now, introspect.Answer{})
	kept("it has ended", 1)
}

// TestEvidenceIsNotMixed: what a key has verified, which is kept for good, and a
// provider's word are never one entry.
func TestEvidenceIsNotMixed(t *testing.T) {
	g, _ := asking(t, "")
	issuer := &policy.Issuer{Config: &config.Issuer{}}
	token, proof := new(jwt.Token), g.policy.Providers()[0].Proof(jwt.Claims{})
	for _, until := range [][2]time.Time{{{}, noon}, {noon, {}}} {
		c := newTokenCache(8)
		for _, until := range until {
			c.keep("token", token, proof, verdict{issuer: issuer}, nil, until)
		}
		if v := c.get("token"); !v.until.Equal(until[1]) || len(v.verdicts) != 1 {
			t.Errorf("after one until %v: kept until %v", until[0], v.until)
		}
	}
}
