package gate

import (
	"testing"
	"time"

	"orgate/jwt"
)

// TestAllowance: at most a tenth of the time, and half a second's worth at once.
func TestAllowance(t *testing.T) {
	const perSecond = 500 // verifications of 200 µs in a tenth of a second
	a := newAllowance()
	spent := 0
	spendAll := func(now time.Time) (n int) {
		for a.left(now) {
			a.spend(jwt.UnitCost)
			n++
		}
		spent += n
		return n
	}
	now := noon
	if n := spendAll(now); n != perSecond/2 {
		t.Errorf("%d verifications at once, want %d", n, perSecond/2)
	}
	for _, c := range []struct {
		passed time.Duration
		want   int
	}{
		{0, 0}, {time.Millisecond, 1}, {10 * time.Millisecond, 5}, {time.Second, perSecond / 2},
		{time.Hour, perSecond / 2}, {-time.Hour, 0},
		{100 * time.Millisecond, perSecond / 10},
	} {
		now = now.Add(c.passed)
		if n := spendAll(now); n < c.want-1 || n > c.want+1 {
			t.Errorf("%v later: %d verifications, want about %d", c.passed, n, c.want)
		}
	}
	spent = 0
	for range 10_000 { // ten seconds, all the time
		now = now.Add(time.Millisecond)
		spendAll(now)
	}
	if spent < 10*perSecond-10 || spent > 10*perSecond+10 {
		t.Errorf("%d verifications in ten seconds, want %d", spent, 10*perSecond)
	}
}

// TestAllowanceMayBeOverdrawn: what a long key costs more is waited for.
func TestAllowanceMayBeOverdrawn(t *testing.T) {
	a := newAllowance()
	a.left(noon)
	a.spend(2 * int(maxAllowance))
	if a.left(noon.Add(400 * time.Millisecond)) {
		t.Error("something is left before the debt is paid")
	}
	if !a.left(noon.Add(600 * time.Millisecond)) {
		t.Error("nothing is left though the debt is paid")
	}
}
