package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/e2e/scenario"
	"orgate/host"
)

// TestRefusalsAtDebugLevel: what a token said of itself is logged then, and
// nothing else of it; above that level nothing at all.
func TestRefusalsAtDebugLevel(t *testing.T) {
	token := scenario.First().Token(scenario.Claims{"org_id": "org2", "jti": "id-7", "email": "alice@example.com"})
	for level, want := range map[host.LogLevel][]string{
		host.LogDebug: {
			`1 refused: no token`,
			`1 refused: organization: the token is of another organization than its issuer kid="k1" iss="https://idp1.example/" jti="id-7" issuer=idp1`,
			`1 refused: organization: the token is of another organization than its issuer kid="k1" iss="https://idp1.example/" jti="id-7" issuer=idp1`,
		},
		host.LogInfo: nil,
	} {
		w := newWorker(t, scenario.Config(), func(h *host.Config) { h.LogLevel = level })
		w.Log = nil
		w.Serve(scenario.Request{Path: "/org1"})
		w.Serve(scenario.Request{Path: "/org1", Token: token})
		w.Serve(scenario.Request{Path: "/org1", Token: token}) // which is known now
		if !slices.Equal(w.Log, want) {
			t.Errorf("logged %q, want %q", w.Log, want)
		}
	}
}

// TestHeadersLeftOutAreCounted, with each request that lacks one, and said at debug
// level.
func TestHeadersLeftOutAreCounted(t *testing.T) {
	document := strings.Replace(scenario.Config(), `"name": "idp1",`, `"name": "idp1", "rolesClaim": "roles",
		"claimMappings": [{"remoteClaim": "name", "localClaim": "x-name"}],`, 1)
	token := scenario.First().Token(scenario.Claims{"roles": []string{"a,b"}, "name": "Alice "})
	w := newWorker(t, document, func(h *host.Config) { h.LogLevel = host.LogDebug })
	w.Log = nil
	for _, path := range []string{"/org1", "/org1", "/org1/admin"} { // the last one lacks a scope
		w.Serve(scenario.Request{Path: path, Token: token})
	}
	w.Serve(scenario.Request{Path: "/org1", Token: scenario.First().Token()})
	if got := w.Metrics.Values()["orgate_headers_left_outissuer=.=idp1;.;"]; got != 4 {
		t.Errorf("%d are counted, want 4", got)
	}
	said := []string{
		"1 left out: x-wso2-roles: an element with the separator in it issuer=idp1",
		"1 left out: x-name: space at an end issuer=idp1",
	}
	want := append(slices.Concat(said, said),
		`1 refused: insufficient scope kid="k1" iss="https://idp1.example/" jti="" issuer=idp1`)
	if !slices.Equal(w.Log, want) {
		t.Errorf("logged %q, want %q", w.Log, want)
	}
}

// TestRequestsAreCounted by rule, issuer and reason.
func TestRequestsAreCounted(t *testing.T) {
	w := newWorker(t, scenario.Config())
	good := scenario.First().Token()
	for _, r := range []scenario.Request{
		{Path: "/org1", Token: good}, {Path: "/org1", Token: good}, {Path: "/org2", Token: good},
		{Path: "/elsewhere", Token: good}, {Path: "/public"}, {Path: "/org1"}, {Path: "/org1//"},
	} {
		w.Serve(r)
	}
	got := map[string]uint64{}
	for name, value := range w.Metrics.Values() {
		if labels, ok := strings.CutPrefix(name, "orgate_requests"); ok {
			got[strings.NewReplacer("rule=.=", "", "issuer=.=", "", "reason=.=", "", ";.;", " ").Replace(labels)] =
				value
		}
	}
	for labels, want := range map[string]uint64{
		"org1 idp1 ok ": 2, "org2 idp1 organization ": 1, "none none no_rule ": 1, "open none public ": 1,
		"org1 none missing ": 1, "none none path ": 1,
	} {
		if got[labels] != want {
			t.Errorf("%q: %d, want %d of %v", labels, got[labels], want, got)
		}
		delete(got, labels)
	}
	if faults, ok := got["none none internal "]; !ok || faults != 0 {
		t.Errorf("faults: %d (%v): an alert needs the counter before the first", faults, ok)
	}
	delete(got, "none none internal ")
	if len(got) > 0 {
		t.Errorf("counted besides: %v", got)
	}
}

// TestFaultsAreOneCounter, whatever rule and issuer they come under: the one that
// is there from the start.
func TestFaultsAreOneCounter(t *testing.T) {
	failing := false
	w := newWorker(t, scenario.Config(), func(h *host.Config) {
		h.Fault = func(call string) host.Status {
			if failing && call == "proxy_add_header_map_value" {
				return host.InternalFailure
			}
			return host.OK
		}
	})
	failing = true
	judged(t, w.Open(scenario.Request{Path: "/org1", Token: scenario.First().Token()}), 500, "internal")
	for name, value := range w.Metrics.Values() {
		if !strings.Contains(name, "reason=.=internal") {
			continue
		}
		if want := "orgate_requestsrule=.=none;.;issuer=.=none;.;reason=.=internal;.;"; name != want || value != 1 {
			t.Errorf("%s: %d, want 1 of %s", name, value, want)
		}
	}
}

// TestThePluginSaysItsVersion, in the log and in a metric, which shows that it is
// loaded.
func TestThePluginSaysItsVersion(t *testing.T) {
	w := newWorker(t, scenario.Config())
	if want := "2 orgate dev: issuers: 2, rules: 6"; !slices.Contains(w.Log, want) {
		t.Errorf("logged %q, want %q", w.Log, want)
	}
	if got := w.Metrics.Values()["orgate_buildversion=.=dev;.;"]; got != 1 {
		t.Errorf("orgate_build is %d, want 1", got)
	}
}

// TestProperties for access logs: what explains a refusal is told of refusals, and
// the organization that a token proves of every token whose signature is.
func TestProperties(t *testing.T) {
	w := newWorker(t, scenario.Config())
	good, other := scenario.First().Token(), scenario.Second().Token(scenario.OfOrg2())
	for name, c := range map[string]struct {
		request scenario.Request
		want    map[string]string
	}{
		"a good token": {scenario.Request{Path: "/org1", Token: good},
			map[string]string{"reason": "ok", "issuer": "idp1", "organization": "org1"}},
		"another organization's": {scenario.Request{Path: "/org2", Token: good},
			map[string]string{"reason": "organization", "issuer": "idp1", "organization": "org1", "required": "org2",
				"rule":   "org2",
				"source": "header authorization"}},
		"that other one's": {scenario.Request{Path: "/org1", Token: other},
			map[string]string{"reason": "organization", "issuer": "idp2", "organization": "org2", "required": "org1",
				"rule":   "org1",
				"source": "header authorization"}},
		"expired": {scenario.Request{Path: "/org1", Token: scenario.First().Token(scenario.Claims{"exp": 1})},
			map[string]string{"reason": "expired", "issuer": "idp1", "required": "org1", "rule": "org1",
				"source": "header authorization"}},
		"another audience's": {
			scenario.Request{Path: "/org1", Token: scenario.First().Token(scenario.Claims{"aud": "other"})},
			map[string]string{"reason": "audience", "issuer": "idp1", "organization": "org1", "required": "org1",
				"rule":   "org1",
				"source": "header authorization"}},
		"none": {scenario.Request{Path: "/org1"}, map[string]string{"reason": "missing", "rule": "org1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := w.Open(c.request)
			defer s.Close()
			got := map[string]string{}
			for _, p := range []string{"reason", "issuer", "organization", "required", "rule", "source"} {
				if value, ok := s.Property("orgate." + p); ok {
					got[p] = string(value)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("properties (-want +got):\n%s", diff)
			}
		})
	}
}
