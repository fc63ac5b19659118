package policy

import (
	"errors"
	"testing"

	"orgate/config"
)

func TestRequiredOrganization(t *testing.T) {
	host := config.Organization{FromHost: "{org}.api.example.com"}
	middle := config.Organization{FromHost: "api.{org}.example.com"}
	path := config.Organization{FromPath: "/t/{org}/"}
	open := config.Organization{FromPath: "/t/{org}"}
	deep := config.Organization{FromPath: "/t/{org}/orders"}
	metadata := config.Organization{FromRouteMetadata: "orgate.organization"}
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
		source   config.Organization
		host     string
		path     string
		metadata func(string) (string, bool)
		want     string
		err      error
	}{
		{"literal", literally("org1"), "org2.api.example.com", "/t/org3/", nil, "org1", nil},
		{"system organization", literally("apk-system"), "", "/", nil, "apk-system", nil},
		{"any", literally("*"), "", "/", nil, "*", nil},

		{"host", host, "org1.api.example.com", "/", nil, "org1", nil},
		{"host with port, capitals and dot", host, "ORG1.API.example.com.:443", "/", nil, "org1", nil},
		{"host, within", middle, "api.org1.example.com", "/", nil, "org1", nil},
		{"host with no label before", host, "api.example.com", "/", nil, "", ErrOrganization},
		{"host with two labels before", host, "x.org1.api.example.com", "/", nil, "", ErrOrganization},
		{"host with more after", host, "org1.api.example.com.evil.net", "/", nil, "", ErrOrganization},
		{"host with another name", host, "org1-api.example.com", "/", nil, "", ErrOrganization},
		{"host that is an asterisk", host, "*.api.example.com", "/", nil, "", ErrAmbiguousPath},
		{"host with user information", host, "org2@org1.api.example.com", "/", nil, "", ErrAmbiguousPath},
		{"host with nothing in its place", host, ".api.example.com", "/", nil, "", ErrAmbiguousPath},
		{"host without what comes before", middle, "org1.example.com", "/", nil, "", ErrOrganization},
		{"host without what comes after", middle, "api.org1", "/", nil, "", ErrOrganization},
		{"host with half the pattern", middle, "api.example.com", "/", nil, "", ErrOrganization},
		{"host alone", config.Organization{FromHost: "{org}"}, "org1", "/", nil, "org1", nil},
		{"address alone", config.Organization{FromHost: "{org}"}, "[::1]", "/", nil, "", ErrOrganization},
		{"pattern in capitals", config.Organization{FromHost: "{org}.API.example.com"}, "org1.api.example.com", "/", nil, "org1", nil},
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

		{"no source", config.Organization{}, "org1.api.example.com", "/t/org1/", yields("org1", true), "", ErrOrganization},
		{"host pattern without a place", config.Organization{FromHost: "org1.example.com"}, "org1.example.com", "/", nil, "", ErrOrganization},
		{"path pattern without a place", config.Organization{FromPath: "/t"}, "", "/t", nil, "", ErrOrganization},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := New(&config.Config{Rules: []config.Rule{{Organization: tt.source}}})
			got, err := required(p, &Request{Method: "GET", Host: tt.host, Path: tt.path, RouteMetadata: tt.metadata})
			if got != tt.want || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("got %q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestOptionsOfNoPathNamesNoOrganization(t *testing.T) {
	p := New(&config.Config{Rules: []config.Rule{{Organization: config.Organization{FromPath: "/{org}"}}}})
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

func TestRulesWithoutAnOrganization(t *testing.T) {
	elsewhere := of("https://other.example.com")
	for _, tt := range []struct {
		name    string
		issuers []config.Issuer
		top     config.Organization
		want    string
	}{
		{"top level's", []config.Issuer{issuer("a", "org1")}, literally("org2"), "org2"},
		{"the only issuer's", []config.Issuer{issuer("a", "org1")}, config.Organization{}, "org1"},
		{"all issuers'", []config.Issuer{issuer("a", "org1"), issuer("b", "org1", elsewhere)}, config.Organization{}, "org1"},
		{"issuers that differ", []config.Issuer{issuer("a", "org1"), issuer("b", "org2", elsewhere)}, config.Organization{}, ""},
		{"issuers for any", []config.Issuer{issuer("a", "*", byClaim)}, config.Organization{}, ""},
		{"no issuers", nil, config.Organization{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := New(&config.Config{Issuers: tt.issuers, Organization: tt.top, Rules: []config.Rule{{Match: config.Match{Path: "/a"}}}})
			for _, path := range []string{"/a", "/b"} {
				q := &Request{Method: "GET", Path: path}
				r, err := p.Route(q)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := r.RequiredOrganization(q); got != tt.want || (err != nil) != (tt.want == "") {
					t.Errorf("%s: got %q, %v", path, got, err)
				}
			}
		})
	}
}
