package policy

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestRoute(t *testing.T) {
	exact := `{"name": "exact", "match": {"path": "/a"}}`
	prefix := `{"name": "prefix", "match": {"pathPrefix": "/a"}}`
	below := `{"name": "below", "match": {"pathPrefix": "/a/"}}`
	root := `{"name": "root", "match": {"pathPrefix": "/"}}`
	template := `{"name": "template", "match": {"pathTemplate": "/t/{org}/orders/*"}}`
	deep := `{"name": "deep", "match": {"pathTemplate": "/t/{org}/**"}}`
	everything := `{"name": "everything", "match": {"pathTemplate": "/**"}}`
	all := `{"name": "all", "match": {}}`
	get := `{"name": "get", "match": {"pathPrefix": "/a", "methods": ["GET", "PUT"]}}`
	host := `{"name": "host", "match": {"hosts": ["api.example.com"]}}`
	wild := `{"name": "wild", "match": {"hosts": ["*.example.com"]}}`
	wilder := `{"name": "wilder", "match": {"hosts": ["*.com"]}}`
	hostPath := `{"name": "host and path", "match": {"hosts": ["api.example.com", "*.example.net"], "pathPrefix": ` +
		`"/a"}}`
	encoded := `{"name": "encoded", "match": {"pathPrefix": "/a%2Bb/%7Bc%7D"}}`
	address := `{"name": "address", "match": {"hosts": ["[::1]"]}}`

	for _, tt := range []struct {
		name               string
		rules              []string
		method, host, path string
		want               string // the rule's name, "" for none
	}{
		{"rule for all", []string{all}, "GET", "h", "/x", "all"},
		{"exact path", []string{exact}, "GET", "h", "/a", "exact"},
		{"exact path with a query", []string{exact}, "GET", "h", "/a?b=/c", "exact"},
		{"exact path, slash at the end", []string{exact}, "GET", "h", "/a/", ""},
		{"exact path, capitals", []string{exact}, "GET", "h", "/A", ""},
		{"exact path, one below", []string{exact}, "GET", "h", "/a/b", ""},
		{"exact root", []string{`{"name": "/", "match": {"path": "/"}}`}, "GET", "h", "/", "/"},
		{"exact root, other path", []string{`{"name": "/", "match": {"path": "/"}}`}, "GET", "h", "/a", ""},
		{"prefix itself", []string{prefix}, "GET", "h", "/a", "prefix"},
		{"prefix with a slash at the end", []string{prefix}, "GET", "h", "/a/", "prefix"},
		{"below prefix", []string{prefix}, "GET", "h", "/a/b/c", "prefix"},
		{"longer segment than prefix", []string{prefix}, "GET", "h", "/ab", ""},
		{"prefix with slash, itself", []string{below}, "GET", "h", "/a", ""},
		{"prefix with slash, slash", []string{below}, "GET", "h", "/a/", "below"},
		{"prefix with slash, below", []string{below}, "GET", "h", "/a/b", "below"},
		{"root prefix, root", []string{root}, "GET", "h", "/", "root"},
		{"root prefix, below", []string{root}, "GET", "h", "/x/y", "root"},
		{"template", []string{template}, "GET", "h", "/t/org1/orders/7", "template"},
		{"template, too short", []string{template}, "GET", "h", "/t/org1/orders", ""},
		{"template, empty segment", []string{template}, "GET", "h", "/t/org1/orders/", ""},
		{"template, too long", []string{template}, "GET", "h", "/t/org1/orders/7/8", ""},
		{"template, other literal", []string{template}, "GET", "h", "/t/org1/users/7", ""},
		{"deep template, none below", []string{deep}, "GET", "h", "/t/org1", "deep"},
		{"deep template, slash", []string{deep}, "GET", "h", "/t/org1/", "deep"},
		{"deep template, below", []string{deep}, "GET", "h", "/t/org1/a/b/c", "deep"},
		{"deep template, too short", []string{deep}, "GET", "h", "/t", ""},
		{"template for everything", []string{everything}, "GET", "h", "/", "everything"},
		{"placeholder in a prefix is a text", []string{encoded}, "GET", "h", "/a+b/x", ""},
		{"encoded rule, encoded path", []string{encoded}, "GET", "h", "/a%2bb/%7bc%7d", "encoded"},
		{"encoded rule, plain path", []string{encoded}, "GET", "h", "/a+b/{c}/d", "encoded"},
		{"method", []string{get}, "PUT", "h", "/a", "get"},
		{"other method", []string{get}, "POST", "h", "/a", ""},
		{"HEAD is not GET", []string{get}, "HEAD", "h", "/a", ""},
		{"method in small letters", []string{get}, "get", "h", "/a", ""},
		{"host", []string{host}, "GET", "api.example.com", "/", "host"},
		{"host with port, capitals and dot", []string{host}, "GET", "API.example.com.:8443", "/", "host"},
		{"other host", []string{host}, "GET", "www.example.com", "/", ""},
		{"no host", []string{host}, "GET", "", "/", ""},
		{"IPv6 host with a port", []string{address}, "GET", "[::1]:8080", "/", "address"},
		{"wildcard host, one label", []string{wild}, "GET", "api.example.com", "/", "wild"},
		{"wildcard host, two labels", []string{wild}, "GET", "a.b.example.com", "/", "wild"},
		{"wildcard host, none", []string{wild}, "GET", "example.com", "/", ""},
		{"wildcard host, longer label", []string{wild}, "GET", "badexample.com", "/", ""},
		{"wildcard host, more after it", []string{wild}, "GET", "api.example.com.evil.net", "/", ""},
		{"narrower wildcard first", []string{wild, wilder}, "GET", "api.example.com", "/", "wild"},
		{"wider wildcard first", []string{wilder, wild}, "GET", "api.example.com", "/", "wilder"},
		{"wildcard before host", []string{wild, host}, "GET", "api.example.com", "/", "wild"},
		{"host before wildcard", []string{host, wild}, "GET", "api.example.com", "/", "host"},
		{"host and path", []string{hostPath}, "GET", "x.example.net", "/a/b", "host and path"},
		{"host without path", []string{hostPath}, "GET", "x.example.net", "/b", ""},
		{"path without host", []string{hostPath}, "GET", "example.org", "/a", ""},
		{"first of two", []string{prefix, exact}, "GET", "h", "/a", "prefix"},
		{"first of two the other way round", []string{exact, prefix}, "GET", "h", "/a", "exact"},
		{"second of two", []string{exact, prefix}, "GET", "h", "/a/b", "prefix"},
		{"rule for all before one for a path", []string{all, exact}, "GET", "h", "/a", "all"},
		{"rule for all after one for a path", []string{exact, all}, "GET", "h", "/b", "all"},
		{"method of a later rule", []string{get, prefix}, "POST", "h", "/a", "prefix"},
		{"literal leads nowhere, wildcard does",
			[]string{template, `{"name": "literal", "match": {"path": "/t/org1/x"}}`}, "GET", "h", "/t/org1/orders/7",
			"template"},
		{"OPTIONS * and a rule for a path", []string{root, all}, "OPTIONS", "h", "*", "all"},
		{"OPTIONS * and rules for paths alone", []string{root}, "OPTIONS", "h", "*", ""},
		{"no rule looks at paths, so any will do", []string{host}, "CONNECT", "api.example.com", "", "host"},
		{"no rule looks at hosts, so any will do", []string{exact}, "GET", "me@h:x", "/a", "exact"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := ruled(t, tt.rules...)
			r, err := p.Route(&Request{Method: tt.method, Host: tt.host, Path: tt.path})
			place := -1
			switch {
			case tt.want == "":
				if r != nil || err != ErrNoRule {
					t.Errorf("got %+v, %v; want no rule", r, err)
				}
			case err != nil || r.Name != tt.want:
				t.Fatalf("got %+v, %v; want rule %q", r, err, tt.want)
			default:
				place = r.Index
			}
			if found := linear(p.rules, tt.method, tt.host, tt.path); found != place {
				t.Errorf("the linear search finds %d, the index %d", found, place)
			}
		})
	}
}

// TestConfigurationWithoutRules: every request needs a token of the top level's
// organization.
func TestConfigurationWithoutRules(t *testing.T) {
	p := ruled(t)
	for _, q := range []Request{{Method: "GET", Host: "h", Path: "/a//b"}, {Method: "OPTIONS", Path: "*"},
		{Method: "CONNECT", Host: "me@h"}} {
		r, err := p.Route(&q)
		if err != nil || r.Name != "" || r.Index != -1 || r.Public || r.Optional {
			t.Fatalf("%+v: got %+v, %v", q, r, err)
		}
		if required, err := r.RequiredOrganization(&q); required != "org1" || err != nil {
			t.Errorf("%+v: got %q, %v", q, required, err)
		}
	}
}

func TestAmbiguityIsAnsweredWhereRulesLook(t *testing.T) {
	const twice, user = "/a//b", "me@example.com"
	const every = `{"match": {"methods": ["GET", "CONNECT", "OPTIONS"]}}`
	rule := func(members string) []string { return []string{"{" + members + "}", every} }
	const org1 = `"organization": "org1"`
	for _, tt := range []struct {
		name       string
		rules      []string
		top        string
		host, path bool // refused
	}{
		{"no rules", nil, org1, false, false},
		{"rule for methods", []string{every}, org1, false, false},
		{"rule for a host", rule(`"match": {"hosts": ["example.com"]}`), org1, true, false},
		{"rule for a path", rule(`"match": {"path": "/x"}`), org1, false, true},
		{"rule for a prefix", rule(`"match": {"pathPrefix": "/x"}`), org1, false, true},
		{"rule for a template", rule(`"match": {"pathTemplate": "/*"}`), org1, false, true},
		{"organization from the path", rule(`"organization": {"fromPath": "/{org}"}`), org1, false, true},
		{"organization from the host", rule(`"organization": {"fromHost": "{org}.example.com"}`), org1, true, false},
		{"top level's organization from the path", nil, `"organization": {"fromPath": "/{org}"}`, false, true},
		{"top level's organization from the host", []string{every}, `"organization": {"fromHost": "{org}.example.com"}`,
			true, false},
		{"top level's organization, which no rule asks for", rule(org1)[:1],
			`"organization": {"fromHost": "{org}.example.com"}`, false, false},
		{"public rule for a path", rule(`"match": {"path": "/x"}, "public": true`), org1, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := policyOf(t, []string{issuer("idp", "org1")}, tt.rules, tt.top)
			if _, err := p.Route(&Request{Method: "GET", Host: "example.com", Path: twice}); errors.Is(err,
				ErrAmbiguousPath) != tt.path {
				t.Errorf("path: %v", err)
			}
			if _, err := p.Route(&Request{Method: "GET", Host: user, Path: "/"}); errors.Is(err,
				ErrAmbiguousHost) != tt.host {
				t.Errorf("host: %v", err)
			}
			for _, method := range []string{"GET", "CONNECT"} {
				if _, err := p.Route(&Request{Method: method, Host: "example.com", Path: "*"}); errors.Is(err,
					ErrAmbiguousPath) != tt.path {
					t.Errorf("%s *: %v", method, err)
				}
			}
			if _, err := p.Route(&Request{Method: "OPTIONS", Host: "example.com", Path: "*"}); err != nil {
				t.Errorf("OPTIONS *: %v", err)
			}
		})
	}
}

func TestRouteDoesNotAllocate(t *testing.T) {
	p := manyRules(t, 1000)
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
		var rules []string
		for range random.IntN(8) {
			m := map[string]any{}
			var hosts, methods []string
			for range random.IntN(3) {
				hosts = append(hosts, pick("example.com", "a.example.com", "*.example.com", "*.com", "*.a.example.com",
					"[::1]"))
			}
			for range random.IntN(3) {
				methods = append(methods, pick("GET", "PUT"))
			}
			if len(hosts) > 0 {
				m["hosts"] = hosts
			}
			if len(methods) > 0 {
				m["methods"] = methods
			}
			switch random.IntN(4) {
			case 0:
				m["path"] = path("a b %2B", "/ /a /a/")
			case 1:
				m["pathPrefix"] = path("a b %2B", "/ /a /a/")
			case 2:
				m["pathTemplate"] = path("a b * *", "/ /a /** /{y} /*/")
			}
			rules = append(rules, `{"match": `+marshal(m)+`}`)
		}
		p := ruled(t, append(rules, `{"match": {"methods": ["NONE"]}}`)...)
		for range 20 {
			q := &Request{
				Method: pick("GET", "PUT", "POST"),
				Host:   pick("", "example.com", "a.example.com:80", "b.a.EXAMPLE.com", "com", "[::1]:80", "x.org"),
				Path:   path("a b c +", " / /a /%2B /a/ ?x"),
			}
			if q.Path == "" || q.Path[0] == '?' {
				q.Path = "/"
			}
			want, got := linear(p.rules, q.Method, q.Host, q.Path), -1
			r, err := p.Route(q)
			switch {
			case err == nil:
				got = r.Index
				found++
			case err != ErrNoRule:
				t.Fatalf("%+v: %v", q, err)
			}
			if got != want {
				t.Fatalf("%+v: the index finds rule %d, the linear search %d of %v", q, got, want, rules)
			}
		}
	}
	if found < 10000 {
		t.Errorf("only %d requests matched a rule", found)
	}
}
