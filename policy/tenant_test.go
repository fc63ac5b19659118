package policy

import (
	"errors"
	"strings"
	"testing"
)

func TestTenants(t *testing.T) {
	const two = "https://{tid}.idp.example/{tid}/v2.0"
	tenants := []string{
		issuer("v2", "*", of("https://idp.example/{tid}/v2.0"), by("tid")),
		issuer("v1", "*", of("https://sts.example/{tid}/"), by("tid"), mapping(map[string]string{"t-1": "org1"})),
		issuer("org1", "org1", of("https://idp.example/exact/v2.0")),
		issuer("hosts", "*", of(two), by("tid")),
		issuer("either", "*", of("https://x.example/{tid}/a"), by("tid")),
		issuer("or", "*", of("https://x.example/a/{tid}"), by("tid")),
	}
	p := policyOf(t, tenants, nil, `"organization": "org1"`)
	for name, tt := range map[string]struct{ iss, tid, want string }{
		"a tenant":                          {"https://idp.example/t-1/v2.0", `"t-1"`, "v2"},
		"a tenant, at the end":              {"https://sts.example/t-1/", `"t-1"`, "v1"},
		"a tenant of all that it may hold":  {"https://sts.example/aZ0-_./", `"aZ0-_."`, "v1"},
		"in two places":                     {"https://t-1.idp.example/t-1/v2.0", `"t-1"`, "hosts"},
		"in one of two places":              {"https://t-1.idp.example/t-2/v2.0", `"t-1"`, ""},
		"another tenant's claim":            {"https://idp.example/t-1/v2.0", `"t-2"`, ""},
		"in another case":                   {"https://idp.example/t-1/v2.0", `"T-1"`, ""},
		"no claim":                          {"https://idp.example/t-1/v2.0", `null`, ""},
		"a number":                          {"https://idp.example/7/v2.0", `7`, ""},
		"an array":                          {"https://idp.example/t-1/v2.0", `["t-1"]`, ""},
		"an empty tenant":                   {"https://idp.example//v2.0", `""`, ""},
		"the placeholder itself":            {"https://idp.example/{tid}/v2.0", `"{tid}"`, ""},
		"a tenant with a slash":             {"https://idp.example/a/b/v2.0", `"a/b"`, ""},
		"a tenant with a colon":             {"https://idp.example/a:b/v2.0", `"a:b"`, ""},
		"a tenant with a space":             {"https://idp.example/a b/v2.0", `"a b"`, ""},
		"a tenant beyond ASCII":             {"https://idp.example/é/v2.0", `"é"`, ""},
		"something before":                  {"https://evil.example/https://idp.example/t-1/v2.0", `"t-1"`, ""},
		"something behind":                  {"https://idp.example/t-1/v2.0/", `"t-1"`, ""},
		"a beginning alone":                 {"https://idp.example/t-1", `"t-1"`, ""},
		"one that is written out":           {"https://idp.example/exact/v2.0", `"exact"`, "org1"},
		"one that is written out, no claim": {"https://idp.example/exact/v2.0", `null`, "org1"},
		"fits one of two":                   {"https://x.example/b/a", `"b"`, "either"},
		"fits two":                          {"https://x.example/a/a", `"a"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			claims := payloadClaims(t, `{"iss":`+quote(tt.iss)+`,"tid":`+tt.tid+`}`)
			for _, provider := range p.Providers() { // which must be told which one is meant
				issued, name := provider.HasIssued(claims), provider.Config.Name
				if name == tt.want && !issued || tt.want == "" && issued &&
					!strings.HasPrefix(tt.iss, "https://x.example/") {
					t.Errorf("%s has issued it: %v", name, issued)
				}
			}
			proof, err := p.Proof(claims)
			if err == nil {
				i, err := proof.Issuer(p.rules[0], "org1")
				if err != nil {
					t.Fatal(err)
				}
				got = i.Name
			} else if !errors.Is(err, ErrUnknownIssuer) {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("the issuer is %q, want %q", got, tt.want)
			}
		})
	}
}
