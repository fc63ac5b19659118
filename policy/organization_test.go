package policy

import (
	"errors"
	"testing"
)

func TestRequiredOrganization(t *testing.T) {
	const (
		host     = `{"fromHost": "{org}.api.example.com"}`
		middle   = `{"fromHost": "api.{org}.example.com"}`
		path     = `{"fromPath": "/t/{org}/"}`
		open     = `{"fromPath": "/t/{org}"}`
		deep     = `{"fromPath": "/t/{org}/orders"}`
		metadata = `{"fromRouteMetadata": "orgate.organization"}`
	)
	yields := func(value string, ok bool) func(string) (string, bool) {
		return func(name string) (string, bool) {
			if name != "orgate.organization" {
				return "other", true
			}
			return value, ok
		}
	}
	for _, tt := range []struct {
		name     string
		source   string
		host     string
		path     string
		metadata func(string) (string, bool)
		want     string
		err      error
	}{
		{"literal", `"org1"`, "org2.api.example.com", "/t/org3/", nil, "org1", nil},
		{"system organization", `"apk-system"`, "", "/", nil, "apk-system", nil},
		{"any", `"*"`, "", "/", nil, "*", nil},

		{"host", host, "org1.api.example.com", "/", nil, "org1", nil},
		{"host with port, capitals and dot", host, "ORG1.API.example.com.:443", "/", nil, "org1", nil},
		{"host, within", middle, "api.org1.example.com", "/", nil, "org1", nil},
		{"host with no label before", host, "api.example.com", "/", nil, "", ErrOrganization},
		{"host with two labels before", host, "x.org1.api.example.com", "/", nil, "", ErrOrganization},
		{"host with more after", host, "org1.api.example.com.evil.net", "/", nil, "", ErrOrganization},
		{"host with another name", host, "org1-api.example.com", "/", nil, "", ErrOrganization},
		{"host that is an asterisk", host, "*.api.example.com", "/", nil, "", ErrAmbiguousHost},
		{"host with user information", host, "org2@org1.api.example.com", "/", nil, "", ErrAmbiguousHost},
		{"host with nothing in its place", host, ".api.example.com", "/", nil, "", ErrAmbiguousHost},
		{"host without what comes before", middle, "org1.example.com", "/", nil, "", ErrOrganization},
		{"host without what comes after", middle, "api.org1", "/", nil, "", ErrOrganization},
		{"host with half the pattern", middle, "api.example.com", "/", nil, "", ErrOrganization},
		{"host alone", `{"fromHost": "{org}"}`, "org1", "/", nil, "org1", nil},
		{"address alone", `{"fromHost": "{org}"}`, "[::1]", "/", nil, "", ErrOrganization},
		{"pattern in capitals", `{"fromHost": "{org}.API.example.com"}`, "org1.api.example.com", "/", nil, "org1", nil},
		{"no host", host, "", "/", nil, "", ErrOrganization},
		{"address", host, "[::1]", "/", nil, "", ErrOrganization},

		{"path", path, "", "/t/org1/orders", nil, "org1", nil},
		{"path to its end", path, "", "/t/org1/", nil, "org1", nil},
		{"path and a query", path, "", "/t/org1/?x=/t/org2/", nil, "org1", nil},
		{"path, case kept", path, "", "/t/Org1/", nil, "Org1", nil},
		{"path without the slash", path, "", "/t/org1", nil, "", ErrOrganization},
		{"path without the slash, pattern without", open, "", "/t/org1", nil, "org1", nil},
		{"path below, pattern without the slash", open, "", "/t/org1/x", nil, "org1", nil},
		{"path with a literal after", deep, "", "/t/org1/orders/7", nil, "org1", nil},
		{"path with another literal after", deep, "", "/t/org1/users", nil, "", ErrOrganization},
		{"path with a longer literal after", deep, "", "/t/org1/orders7", nil, "", ErrOrganization},
		{"path too short", deep, "", "/t/org1", nil, "", ErrOrganization},
		{"path with an empty segment for it", open, "", "/t/", nil, "", ErrOrganization},
		{"path of another beginning", path, "", "/u/org1/", nil, "", ErrOrganization},
		{"path deeper than the pattern's beginning", path, "", "/x/t/org1/", nil, "", ErrOrganization},
		{"path with an asterisk", path, "", "/t/*/", nil, "", ErrOrganization},
		{"path with an encoded asterisk", path, "", "/t/%2A/", nil, "", ErrOrganization},
		{"path with an encoded space", path, "", "/t/my%20org/", nil, "my org", nil},
		{"path that leaves the organization", path, "", "/t/org1/../org2/", nil, "", ErrAmbiguousPath},
		{"path that is decoded twice", path, "", "/t/%256frg1/", nil, "", ErrAmbiguousPath},
		{"path with an encoded slash", path, "", "/t/org1%2fx/", nil, "", ErrAmbiguousPath},

		{"metadata", metadata, "", "/", yields("org1", true), "org1", nil},
		{"metadata absent", metadata, "", "/", yields("org1", false), "", ErrOrganization},
		{"metadata empty", metadata, "", "/", yields("", true), "", ErrOrganization},
		{"metadata an asterisk", metadata, "", "/", yields("*", true), "", ErrOrganization},
		{"metadata from nowhere", metadata, "", "/", nil, "", ErrOrganization},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := ruled(t, `{"organization": `+tt.source+`}`)
			got, err := required(p, &Request{Method: "GET", Host: tt.host, Path: tt.path, RouteMetadata: tt.metadata})
			if got != tt.want || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("got %q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestOptionsOfNoPathNamesNoOrganization(t *testing.T) {
	p := ruled(t, `{"organization": {"fromPath": "/{org}"}}`)
	got, err := required(p, &Request{Method: "OPTIONS", Path: "*"})
	if got != "" || !errors.Is(err, ErrOrganization) {
		t.Errorf("got %q, %v", got, err)
	}
}

// required routes a request and returns the organization that its rule requires.
func required(p *Policy, q *Request) (string, error) {
	r, err := p.Route(q)
	if err != nil {
		return "", err
	}
	return r.RequiredOrganization(q)
}

// TestPathWithASlashInAnOrganization: where "%2F" is part of a segment, it is part
// of an organization, too.
func TestPathWithASlashInAnOrganization(t *testing.T) {
	p := policyOf(t, []string{issuer("idp", "org1")}, []string{`{"organization": {"fromPath": "/t%2Fu/{org}/"}}`},
		`"paths": {"encodedSlash": "keep"}`)
	for path, want := range map[string]string{
		"/t%2fu/a%2Fb/x": "a/b", "/t%2Fu/a/b/x": "a", "/t/u/a/x": "", "/t%2Fu%2Fa/x": "",
	} {
		if got, err := required(p, &Request{Method: "GET", Path: path}); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: got %q, %v; want %q", path, got, err, want)
		}
	}
}

func TestRulesWithoutAnOrganization(t *testing.T) {
	elsewhere := of("https://other.example.com")
	const in = `"environments": ["prod"]`
	for _, tt := range []struct {
		name    string
		issuers []string
		top     string
		want    string
	}{
		{"top level's", []string{issuer("a", "org1")}, `"organization": "org2"`, "org2"},
		{"the only issuer's", []string{issuer("a", "org1")}, `"environment": ""`, "org1"},
		{"all issuers'", []string{issuer("a", "org1"), issuer("b", "org1", elsewhere)}, `"environment": ""`, "org1"},
		{"all issuers', of which one is elsewhere", []string{issuer("a", "org1", in), issuer("b", "org1", elsewhere)},
			`"environment": "dev"`, "org1"},
		{"top level's, of issuers that differ", []string{issuer("a", "org1"), issuer("b", "org2", elsewhere)}, anyone,
			"*"},
	} {
		for name, rules := range map[string][]string{"a rule": {`{"match": {"path": "/a"}}`}, "no rules": nil} {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				p := policyOf(t, tt.issuers, rules, tt.top)
				if got, err := required(p, &Request{Method: "GET", Path: "/a"}); got != tt.want || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
			})
		}
	}
}
