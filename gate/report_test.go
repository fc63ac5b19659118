package gate_test

import (
	"strings"
	"testing"

	"orgate/e2e/scenario"
)

// TestReportOnlyWithoutOrganization: the token proves no organization at all,
// so there is none to tell access logs. The request passes nevertheless.
func TestReportOnlyWithoutOrganization(t *testing.T) {
	config := strings.Replace(scenario.Config(), `"name": "idp1",`, `"name": "idp1", "reportOnly": true,`, 1)
	proxy := open(t, config)
	for name, claims := range map[string]scenario.Claims{
		"no claim":                   {"org_id": nil},
		"of another than its issuer": {"org_id": "org2"},
	} {
		got := proxy.Serve(scenario.Request{Path: "/org1", Token: scenario.First().Token(claims)})
		if !got.Passed || len(got.Upstream.Values("x-orgate-report")) != 1 ||
			len(got.Upstream.Values("x-wso2-organization")) != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
