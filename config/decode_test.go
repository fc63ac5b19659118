package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnsupportedFieldsAreRefusedWherePresent(t *testing.T) {
	const issuer = `{"name": "idp", "issuer": "https://idp", "organization": "org1",
		"signatureValidation": {"jwks": {"url": "https://idp/jwks", "cluster": "idp"}}`
	table := []string{"issuers[].audiences", "rules[].match.hosts", "errors.format=plain"}
	for _, tt := range []struct {
		name, doc string
		table     []string
		want      []string
	}{
		{"none is there", `{"issuers": [` + issuer + `}], "errors": {"format": "problem"}}`, table, nil},
		{
			"all are there, with their defaults or without",
			`{"issuers": [` + issuer + `, "audiences": []}], "rules": [{}, {"match": {"hosts": ["a"]}}], "errors": {"format": "plain"}}`, table,
			[]string{
				"issuers[0].audiences: not supported yet",
				"rules[1].match.hosts: not supported yet",
				`errors.format: "plain" is not supported yet`,
			},
		},
		{
			"a field of the same name elsewhere",
			`{"issuers": [` + issuer + `}], "rules": [{"audiences": ["a"]}]}`, table, nil,
		},
		{
			"the value that is not supported, as another type",
			`{"issuers": [` + issuer + `}], "errors": {"format": ["plain"]}}`, table,
			[]string{"errors.format: must be a string, got an array"},
		},
		{
			"everything is supported",
			`{"issuers": [{"name": "idp", "issuer": "https://idp", "organization": "org1",
				"signatureValidation": {"jwks": {"wellKnown": "https://idp/.well-known/openid-configuration", "allowOtherOrigin": true, "cluster": "idp"}}}],
				"signatureVerification": "host"}`, nil, nil,
		},
		{
			"everything is supported, and a location is bad",
			`{"issuers": [{"name": "idp", "issuer": "https://idp", "organization": "org1",
				"signatureValidation": {"jwks": {"wellKnown": "idp", "allowOtherOrigin": true}}}]}`, nil,
			[]string{
				"issuers[0].signatureValidation.jwks.cluster: is required with url and wellKnown: the proxy's cluster that the keys are fetched through",
				`issuers[0].signatureValidation.jwks.wellKnown: must be an absolute http(s) URL, got "idp"`,
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(tt.doc, tt.table)
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"a field", Error{Path: "issuers", Message: "is required", Line: 1, Column: 1}, "issuers: is required"},
		{"the document", Error{Message: "invalid JSON", Line: 2, Column: 7}, "line 2, column 7: invalid JSON"},
		{"nowhere", Error{Message: "invalid JSON"}, "invalid JSON"},
		{"several", ErrorList{{Path: "a", Message: "b"}, {Path: "c", Message: "d"}}, "a: b\nc: d"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		name, a, b string
		want       int
	}{
		{"the same", "rules", "rules", 0},
		{"two letters swapped", "ruels", "rules", 1},
		{"one more", "rule", "rules", 1},
		{"one less", "ruless", "rules", 1},
		{"another", "rumes", "rules", 1},
		{"from nothing", "", "abc", 3},
		{"unrelated", "abc", "xyz", 3},
		{"too long to compare", strings.Repeat("a", 65), "a", 64},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := distance(tt.a, tt.b); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
