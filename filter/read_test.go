package filter

import "testing"

func TestIsText(t *testing.T) {
	for value, want := range map[string]bool{
		"org1": true, "é": true, " ": true, "": false, "a\x00": false, "a\x1f": false, "a\x7f": false, "\xff": false,
		"\xc3": false, "a\n": false,
	} {
		if got := isText([]byte(value)); got != want {
			t.Errorf("isText(%q) = %v, want %v", value, got, want)
		}
	}
}

func TestMetricName(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{MetricName("orgate_requests", "rule", "orders", "issuer", "org1", "reason", "ok"),
			"orgate_requestsrule=.=orders;.;issuer=.=org1;.;reason=.=ok;.;"},
		{MetricName("orgate_requests", "rule", "a.b;c=%", "issuer", "café"),
			"orgate_requestsrule=.=a%2Eb%3Bc%3D%25;.;issuer=.=caf%C3%A9;.;"},
		{MetricName("orgate_token_cache", "result", ""), "orgate_token_cacheresult=.=%;.;"},
	} {
		if c.got != c.want {
			t.Errorf("metric name %q, want %q", c.got, c.want)
		}
	}
}
