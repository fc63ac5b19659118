package jwt_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"orgate/jwt"
)

// TestReduce holds that the checks of a token that was verified before are the
// checks of the token, and that nothing is left to verify.
func TestReduce(t *testing.T) {
	full := parse(t, rfc7515Token)
	rest := full.Reduce("", "", nil)
	if err := rest.Verify(rfc7515Key()); err == nil {
		t.Error("verified without a signature")
	}
	if iss := rest.Claims.Issuer(); iss != "" {
		t.Errorf("iss %q is left", iss)
	}
	expiry, _ := full.Expiry()
	for _, now := range []time.Time{expiry.Add(-time.Second), expiry} {
		rules := jwt.TimeRules{RequireExpiration: true}
		if got, want := rest.CheckTime(now, rules), full.CheckTime(now, rules); !errors.Is(got, want) {
			t.Errorf("at %v: %v, want %v", now, got, want)
		}
	}
}

// TestReduceKeepsNamedAudiences: the others can't be asked for.
func TestReduceKeepsNamedAudiences(t *testing.T) {
	named := []string{"a", "b", "c", "d"}
	for _, c := range []struct {
		claim string
		want  []string
	}{
		{`"aud":"b"`, []string{"b"}},
		{`"aud":"x"`, nil},
		{`"aud":["x","d","y","a","d"]`, []string{"d", "a"}},
		{`"aud":["a","b","c","d"]`, []string{"a", "b", "c", "d"}},
		{`"aud":[]`, nil},
	} {
		full := withClaims(t, c.claim)
		rest := full.Reduce("", "", named)
		if got := rest.Audience(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.claim, got, c.want)
		}
		for _, audience := range named {
			if got, want := rest.CheckAudience([]string{audience}),
				full.CheckAudience([]string{audience}); !errors.Is(got, want) {
				t.Errorf("%s, %s: %v, want %v", c.claim, audience, got, want)
			}
		}
	}
	if !slices.Equal(named, []string{"a", "b", "c", "d"}) {
		t.Errorf("the names have become %q", named)
	}
}
