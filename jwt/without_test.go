package jwt_test

import (
	"errors"
	"testing"
	"time"

	"orgate/jwt"
)

// TestWithoutClaims holds that the checks of a token that was verified before
// are the checks of the token, and that nothing is left to verify.
func TestWithoutClaims(t *testing.T) {
	full := parse(t, rfc7515Token)
	rest := full.WithoutClaims()
	if err := rest.Verify(rfc7515Key()); err == nil {
		t.Error("verified without a signature")
	}
	if iss := rest.Claims.Issuer(); iss != "" {
		t.Errorf("iss %q is left", iss)
	}
	if got, want := rest.Payload(), full.Payload(); got != want {
		t.Errorf("payload %q, want %q", got, want)
	}
	expiry, _ := full.Expiry()
	for _, now := range []time.Time{expiry.Add(-time.Second), expiry} {
		rules := jwt.TimeRules{RequireExpiration: true}
		if got, want := rest.CheckTime(now, rules), full.CheckTime(now, rules); !errors.Is(got, want) {
			t.Errorf("at %v: %v, want %v", now, got, want)
		}
	}
	audience := withClaims(t, `"aud":["a","b"]`).WithoutClaims()
	if err := audience.CheckAudience([]string{"b"}); err != nil {
		t.Error(err)
	}
	if err := audience.CheckAudience([]string{"c"}); !errors.Is(err, jwt.ErrAudience) {
		t.Errorf("audience: %v", err)
	}
}
