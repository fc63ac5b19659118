package policy

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"orgate/config"
)

// policyOf returns a policy with these rules and one issuer.
func policyOf(rules ...config.Rule) *Policy {
	return New(&config.Config{
		Issuers:      []config.Issuer{issuer("idp", "org1")},
		Rules:        rules,
		Organization: literally("org1"),
		Headers:      defaultHeaders,
	})
}

func match(name string, m config.Match) config.Rule { return config.Rule{Name: name, Match: m} }

func TestRoute(t *testing.T) {
	exact := match("exact", config.Match{Path: "/a"})
	prefix := match("prefix", config.Match{PathPrefix: "/a"})
	below := match("below", config.Match{PathPrefix: "/a/"})
	root := match("root", config.Match{PathPrefix: "/"})
	template := match("template", config.Match{PathTemplate: "/t/{org}/orders/*"})
	deep := match("deep", config.Match{PathTemplate: "/t/{org}/**"})
	everything := match("everything", config.Match{PathTemplate: "/**"})
	all := match("all", config.Match{})
	get := match("get", config.Match{PathPrefix: "/a", Methods: []string{"GET", "PUT"}})
	host := match("host", config.Match{Hosts: []string{"api.example.com"}})
	wild := match("wild", config.Match{Hosts: []string{"*.example.com"}})
	wilder := match("wilder", config.Match{Hosts: []string{"*.com"}})
	hostPath := match("host and path", config.Match{Hosts: []string{"api.example.com", "*.example.net"}, PathPrefix: "/a"})
	encoded := match("encoded", config.Match{PathPrefix: "/a%2Bb/{c}"})
	address := match("address", config.Match{Hosts: []string{"[::1]"}})

	for _, tt := range []struct {
		name               string
		rules              []config.Rule
		method, host, path string
		want               string // the rule's name, "" for none
	}{
		{"no rules", nil, "GET", "h", "/", ""},
		{"rule for all", []config.Rule{all}, "GET", "h", "/x", "all"},
		{"exact path", []config.Rule{exact}, "GET", "h", "/a", "exact"},
		{"exact path with a query", []config.Rule{exact}, "GET", "h", "/a?b=/c", "exact"},
		{"exact path, slash at the end", []config.Rule{exact}, "GET", "h", "/a/", ""},
		{"exact path, capitals", []config.Rule{exact}, "GET", "h", "/A", ""},
		{"exact path, one below", []config.Rule{exact}, "GET", "h", "/a/b", ""},
		{"exact root", []config.Rule{match("/", config.Match{Path: "/"})}, "GET", "h", "/", "/"},
		{"exact root, other path", []config.Rule{match("/", config.Match{Path: "/"})}, "GET", "h", "/a", ""},
		{"prefix itself", []config.Rule{prefix}, "GET", "h", "/a", "prefix"},
		{"prefix with a slash at the end", []config.Rule{prefix}, "GET", "h", "/a/", "prefix"},
		{"below prefix", []config.Rule{prefix}, "GET", "h", "/a/b/c", "prefix"},
		{"longer segment than prefix", []config.Rule{prefix}, "GET", "h", "/ab", ""},
		{"prefix with slash, itself", []config.Rule{below}, "GET", "h", "/a", ""},
		{"prefix with slash, slash", []config.Rule{below}, "GET", "h", "/a/", "below"},
		{"prefix with slash, below", []config.Rule{below}, "GET", "h", "/a/b", "below"},
		{"root prefix, root", []config.Rule{root}, "GET", "h", "/", "root"},
		{"root prefix, below", []config.Rule{root}, "GET", "h", "/x/y", "root"},
		{"template", []config.Rule{template}, "GET", "h", "/t/org1/orders/7", "template"},
		{"template, too short", []config.Rule{template}, "GET", "h", "/t/org1/orders", ""},
		{"template, empty segment", []config.Rule{template}, "GET", "h", "/t/org1/orders/", ""},
		{"template, too long", []config.Rule{template}, "GET", "h", "/t/org1/orders/7/8", ""},
		{"template, other literal", []config.Rule{template}, "GET", "h", "/t/org1/users/7", ""},
		{"deep template, none below", []config.Rule{deep}, "GET", "h", "/t/org1", "deep"},
		{"deep template, slash", []config.Rule{deep}, "GET", "h", "/t/org1/", "deep"},
		{"deep template, below", []config.Rule{deep}, "GET", "h", "/t/org1/a/b/c", "deep"},
		{"deep template, too short", []config.Rule{deep}, "GET", "h", "/t", ""},
		{"template for everything", []config.Rule{everything}, "GET", "h", "/", "everything"},
		{"placeholder in a prefix is a text", []config.Rule{encoded}, "GET", "h", "/a+b/x", ""},
		{"encoded rule, encoded path", []config.Rule{encoded}, "GET", "h", "/a%2bb/%7bc%7d", "encoded"},
		{"encoded rule, plain path", []config.Rule{encoded}, "GET", "h", "/a+b/{c}/d", "encoded"},
		{"method", []config.Rule{get}, "PUT", "h", "/a", "get"},
		{"other method", []config.Rule{get}, "POST", "h", "/a", ""},
		{"HEAD is not GET", []config.Rule{get}, "HEAD", "h", "/a", ""},
		{"method in small letters", []config.Rule{get}, "get", "h", "/a", ""},
		{"host", []config.Rule{host}, "GET", "api.example.com", "/", "host"},
		{"host with port, capitals and dot", []config.Rule{host}, "GET", "API.example.com.:8443", "/", "host"},
		{"other host", []config.Rule{host}, "GET", "www.example.com", "/", ""},
		{"no host", []config.Rule{host}, "GET", "", "/", ""},
		{"IPv6 host with a port", []config.Rule{address}, "GET", "[::1]:8080", "/", "address"},
		{"wildcard host, one label", []config.Rule{wild}, "GET", "api.example.com", "/", "wild"},
		{"wildcard host, two labels", []config.Rule{wild}, "GET", "a.b.example.com", "/", "wild"},
		{"wildcard host, none", []config.Rule{wild}, "GET", "example.com", "/", ""},
		{"wildcard host, longer label", []config.Rule{wild}, "GET", "badexample.com", "/", ""},
		{"wildcard host, more after it", []config.Rule{wild}, "GET", "api.example.com.evil.net", "/", ""},
		{"narrower wildcard first", []config.Rule{wild, wilder}, "GET", "api.example.com", "/", "wild"},
		{"wider wildcard first", []config.Rule{wilder, wild}, "GET", "api.example.com", "/", "wilder"},
		{"wildcard before host", []config.Rule{wild, host}, "GET", "api.example.com", "/", "wild"},
		{"host before wildcard", []config.Rule{host, wild}, "GET", "api.example.com", "/", "host"},
		{"host and path", []config.Rule{hostPath}, "GET", "x.example.net", "/a/b", "host and path"},
		{"host without path", []config.Rule{hostPath}, "GET", "x.example.net", "/b", ""},
		{"path without host", []config.Rule{hostPath}, "GET", "example.org", "/a", ""},
		{"first of two", []config.Rule{prefix, exact}, "GET", "h", "/a", "prefix"},
		{"first of two the other way round", []config.Rule{exact, prefix}, "GET", "h", "/a", "exact"},
		{"second of two", []config.Rule{exact, prefix}, "GET", "h", "/a/b", "prefix"},
		{"rule for all before one for a path", []config.Rule{all, exact}, "GET", "h", "/a", "all"},
		{"rule for all after one for a path", []config.Rule{exact, all}, "GET", "h", "/b", "all"},
		{"method of a later rule", []config.Rule{get, prefix}, "POST", "h", "/a", "prefix"},
		{"literal leads nowhere, wildcard does", []config.Rule{template, match("literal", config.Match{Path: "/t/org1/x"})}, "GET", "h", "/t/org1/orders/7", "template"},
		{"OPTIONS * and a rule for a path", []config.Rule{root, all}, "OPTIONS", "h", "*", "all"},
		{"OPTIONS * and rules for paths alone", []config.Rule{root}, "OPTIONS", "h", "*", ""},
		{"no rule looks at paths, so any will do", []config.Rule{host}, "CONNECT", "api.example.com", "", "host"},
		{"no rule looks at hosts, so any will do", []config.Rule{exact}, "GET", "me@h:x", "/a", "exact"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := policyOf(tt.rules...)
			r, err := p.Route(&Request{Method: tt.method, Host: tt.host, Path: tt.path})
			if err != nil {
				t.Fatal(err)
			}
			if r.Name != tt.want || (r.Index < 0) != (tt.want == "") {
				t.Errorf("got rule %q at %d, want %q", r.Name, r.Index, tt.want)
			}
			if place := linear(tt.rules, tt.method, tt.host, tt.path); place != r.Index {
				t.Errorf("the linear search finds %d, the index %d", place, r.Index)
			}
		})
	}
}

func TestAmbiguityIsAnsweredWhereRulesLook(t *testing.T) {
	const twice, user = "/a//b", "me@example.com"
	host := config.Match{Hosts: []string{"example.com"}}
	for _, tt := range []struct {
		name       string
		rules      []config.Rule
		top        config.Organization
		host, path bool // refused
	}{
		{"no rules", nil, literally("org1"), false, false},
		{"rules for methods", []config.Rule{match("m", config.Match{Methods: []string{"GET"}})}, literally("org1"), false, false},
		{"rule for a host", []config.Rule{match("h", host)}, literally("org1"), true, false},
		{"rule for a path", []config.Rule{match("p", config.Match{Path: "/x"})}, literally("org1"), false, true},
		{"rule for a prefix", []config.Rule{match("p", config.Match{PathPrefix: "/x"})}, literally("org1"), false, true},
		{"rule for a template", []config.Rule{match("p", config.Match{PathTemplate: "/*"})}, literally("org1"), false, true},
		{"organization from the path", []config.Rule{{Name: "o", Organization: config.Organization{FromPath: "/{org}"}}}, literally("org1"), false, true},
		{"organization from the host", []config.Rule{{Name: "o", Organization: config.Organization{FromHost: "{org}.example.com"}}}, literally("org1"), true, false},
		{"top level's organization from the path", nil, config.Organization{FromPath: "/{org}"}, false, true},
		{"top level's organization from the host", nil, config.Organization{FromHost: "{org}.example.com"}, true, false},
		{"public rule for a path", []config.Rule{{Name: "p", Match: config.Match{Path: "/x"}, Public: true}}, literally("org1"), false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := New(&config.Config{Rules: tt.rules, Organization: tt.top, Issuers: []config.Issuer{issuer("idp", "org1")}})
			if _, err := p.Route(&Request{Method: "GET", Host: "example.com", Path: twice}); errors.Is(err, ErrAmbiguousPath) != tt.path {
				t.Errorf("path: %v", err)
			}
			if _, err := p.Route(&Request{Method: "GET", Host: user, Path: "/"}); errors.Is(err, ErrAmbiguousPath) != tt.host {
				t.Errorf("host: %v", err)
			}
			for _, method := range []string{"GET", "CONNECT"} {
				if _, err := p.Route(&Request{Method: method, Host: "example.com", Path: "*"}); errors.Is(err, ErrAmbiguousPath) != tt.path {
					t.Errorf("%s *: %v", method, err)
				}
			}
			if _, err := p.Route(&Request{Method: "OPTIONS", Host: "example.com", Path: "*"}); err != nil {
				t.Errorf("OPTIONS *: %v", err)
			}
		})
	}
}

func TestRuleWithoutNameIsNamedAfterItsPlace(t *testing.T) {
	r, err := policyOf(match("first", config.Match{Path: "/a"}), config.Rule{}).Route(&Request{Method: "GET", Path: "/"})
	if err != nil || r.Name != "rule-1" || r.Index != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestRouteDoesNotAllocate(t *testing.T) {
	p := manyRules(1000)
	q := &Request{Method: "GET", Host: "h7.example.com:443", Path: "/api/7/orders/8?x=y"}
	if n := testing.AllocsPerRun(100, func() { route(p, q) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestIndexIsTheLinearSearch compares the two over many small configurations,
// in which rules overlap in every way.
func TestIndexIsTheLinearSearch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	path := func(literals, last string) string {
		var b strings.Builder
		for range random.IntN(4) {
			b.WriteString("/" + pick(strings.Fields(literals)...))
		}
		return b.String() + pick(strings.Split(last, " ")...)
	}
	found := 0
	for range 3000 {
		var rules []config.Rule
		for range random.IntN(8) {
			var m config.Match
			for range random.IntN(3) {
				m.Hosts = append(m.Hosts, pick("example.com", "a.example.com", "*.example.com", "*.com", "*.a.example.com", "[::1]"))
			}
			switch random.IntN(4) {
			case 0:
				m.Path = path("a b %2B", "/ /a /a/")
			case 1:
				m.PathPrefix = path("a b %2B", "/ /a /a/")
			case 2:
				m.PathTemplate = path("a b {x} *", "/ /a /** /{y} /*/")
			}
			for range random.IntN(3) {
				m.Methods = append(m.Methods, pick("GET", "PUT"))
			}
			rules = append(rules, config.Rule{Match: m})
		}
		p := policyOf(rules...)
		for range 20 {
			q := &Request{
				Method: pick("GET", "PUT", "POST"),
				Host:   pick("", "example.com", "a.example.com:80", "b.a.EXAMPLE.com", "com", "[::1]:80", "x.org"),
				Path:   path("a b c +", " / /a /%2B /a/ ?x"),
			}
			if q.Path == "" || q.Path[0] == '?' {
				q.Path = "/"
			}
			r, err := p.Route(q)
			if err != nil {
				t.Fatalf("%+v: %v", q, err)
			}
			want := linear(rules, q.Method, q.Host, q.Path)
			if r.Index != want {
				t.Fatalf("%+v: the index finds rule %d, the linear search %d of %+v", q, r.Index, want, rules)
			}
			if want >= 0 {
				found++
			}
		}
	}
	if found < 10000 {
		t.Errorf("only %d requests matched a rule", found)
	}
}
