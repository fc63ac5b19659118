package advice_test

import (
	"slices"
	"testing"

	"orgate/admin/advice"
	"orgate/config"
	"orgate/e2e/scenario"
)

// FuzzRead: whatever the document is, there is a configuration or an error,
// the same that package config finds in JSON, and every finding has a place.
func FuzzRead(f *testing.F) {
	for _, c := range scenario.Fields() {
		f.Add(c.Configuration())
	}
	f.Add(`{"issuers": [{"name": "a", "issuer": "https://x.okta.com/", "organization": "o", "organizationMapping": ` +
		`{"a b": "c"}, "organizationClaim": "o", ` + keys + `}],
		"rules": [{"match": {"pathTemplate": "/a/{b}/**"}, "public": true},
			{"match": {"pathPrefix": "/a/", "hosts": ["*.x"]}, "roles": ["r"]}]}`)
	f.Add("issuers:\n- &a {name: a, issuer: x, organization: o, " + keys + "}\n- <<: *a\n  name: 0x1\n")
	f.Fuzz(func(t *testing.T, document string) {
		r := advice.Read(document)
		if (r.Config == nil) != (len(r.Errors) > 0) {
			t.Fatalf("a configuration: %v, with %d errors", r.Config != nil, len(r.Errors))
		}
		isYAML := slices.ContainsFunc(r.Warnings, func(f advice.Finding) bool { return f.Code == "yaml" })
		if _, err := config.Parse(document); err != nil && r.Config != nil && !isYAML {
			t.Fatalf("a configuration, in spite of %v", err)
		}
		for _, finding := range append(r.Errors, r.Warnings...) {
			if finding.Line < 1 || finding.Column < 1 || finding.Message == "" {
				t.Fatalf("%+v", finding)
			}
		}
	})
}
