package policy

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"orgate/config"
	"orgate/internal/httptext"
)

// fuzzRules makes rules of text: one in a line, with a host, a kind of path, a
// path and methods between spaces; "-" is none.
func fuzzRules(text string) []config.Rule {
	var rules []config.Rule
	for line := range strings.SplitSeq(text, "\n") {
		fields := strings.Split(line, " ")
		if len(fields) != 4 || len(rules) > 40 {
			continue
		}
		var m config.Match
		if host := fields[0]; host != "-" {
			clean, err := httptext.CleanHost(strings.TrimPrefix(host, "*."))
			if err != nil || clean == "" || clean != strings.TrimPrefix(host, "*.") {
				continue
			}
			if clean[0] == '[' && host[0] == '*' {
				continue // which package config refuses
			}
			m.Hosts = []string{host}
		}
		if path := fields[2]; path != "-" {
			if _, err := (httptext.Paths{}).Clean(path); err != nil || strings.ContainsAny(path, "?{}") && fields[1] != "template" {
				continue
			}
			switch fields[1] {
			case "path":
				m.Path = path
			case "prefix":
				m.PathPrefix = path
			case "template":
				if strings.ContainsAny(strings.TrimSuffix(strings.ReplaceAll(strings.ReplaceAll(path, "/{x}", "/"), "/*", "/"), "*"), "*{}?") {
					continue
				}
				m.PathTemplate = path
			}
		}
		if fields[3] != "-" {
			m.Methods = strings.Split(fields[3], ",")
		}
		rules = append(rules, config.Rule{Match: m})
	}
	return rules
}

// FuzzRoute compares the index with the linear search.
func FuzzRoute(f *testing.F) {
	const rules = "- prefix /a GET\napi.example.com path /a/b -\n*.example.com template /t/{x}/** GET,PUT\n- - - -\n[::1] prefix / -"
	for _, target := range []string{"/", "/a", "/a/b", "/a/b?c", "/t/org1/x/", "/a%2Bb", "/caf%C3%A9", "/a/..", "/a%2fb", "//", "*"} {
		f.Add(rules, "GET", "api.example.com:443", target)
	}
	f.Add(rules, "OPTIONS", "x.y.example.com.", "*")
	f.Add("- template /a/* -\n- template /{x}/b -\n- path /a/b -", "GET", "h", "/a/b")
	f.Add("- template /{x}/b -\n- template /a/{x}/** -\n- prefix /a/ -", "GET", "h", "/a/")
	f.Add("*.com - - -\n*.example.com path / -", "GET", "EXAMPLE.com", "/")
	f.Add("- prefix /a%2Bb -\n- path /a+b/ -", "GET", "[::1]:80", "/a+b/")
	f.Fuzz(func(t *testing.T, text, method, host, target string) {
		rules := fuzzRules(text)
		p := policyOf(rules...)
		r, err := p.Route(&Request{Method: method, Host: host, Path: target})
		if err != nil {
			if !errors.Is(err, ErrAmbiguousPath) || r != nil {
				t.Fatalf("rule %v, error %v", r, err)
			}
			return
		}
		if want := linear(rules, method, host, target); r.Index != want {
			t.Errorf("%s %s %s: the index finds rule %d, the linear search %d of %+v", method, host, target, r.Index, want, rules)
		}
	})
}

// FuzzRequiredOrganization tests that a request can name an organization only
// where the pattern says, and never all of them.
func FuzzRequiredOrganization(f *testing.F) {
	f.Add("org1.example.com", "/t/org1/x", "org1")
	f.Add("*.example.com", "/t/*/x", "*")
	f.Add("a.b.example.com", "/t//", "")
	f.Add("[::1]", "/t/%2e%2e/", "\x00")
	p := policyOf(
		config.Rule{Name: "host", Match: config.Match{Methods: []string{"GET"}}, Organization: config.Organization{FromHost: "{org}.example.com"}},
		config.Rule{Name: "path", Match: config.Match{Methods: []string{"PUT"}}, Organization: config.Organization{FromPath: "/t/{org}/"}},
		config.Rule{Name: "metadata", Organization: config.Organization{FromRouteMetadata: "orgate.organization"}},
	)
	f.Fuzz(func(t *testing.T, host, path, metadata string) {
		for n, method := range []string{"GET", "PUT", "POST"} {
			r := p.rules[n]
			organization, err := required(p, &Request{Method: method, Host: host, Path: path, RouteMetadata: func(string) (string, bool) { return metadata, true }})
			if (organization == "") != (err != nil) || organization == config.Any {
				t.Errorf("%s: %q, %v", r.Name, organization, err)
			}
			if err != nil && !errors.Is(err, ErrOrganization) && !errors.Is(err, ErrAmbiguousPath) {
				t.Errorf("%s: %v", r.Name, err)
			}
			if r.Name != "metadata" && (strings.ContainsAny(organization, "/?#;\\") || r.Name == "host" && strings.Contains(organization, ".")) {
				t.Errorf("%s: %q", r.Name, organization)
			}
		}
	})
}

// FuzzHeaders tests that no header holds what would end it or be cut off.
func FuzzHeaders(f *testing.F) {
	for _, tt := range rendered {
		f.Add(tt.json)
	}
	f.Add(`"\u0085x"`)
	f.Add(`"\u00a0x"`)
	f.Add(`["a", ["b\u007f"], {"c": "\u0000", "d" : "` + "\x7f" + `"}]`)
	all := config.Config{Headers: defaultHeaders, Issuers: []config.Issuer{issuer("idp", config.Any, func(i *config.Issuer) {
		i.UsernameClaim, i.OrganizationClaim, i.ScopesClaim, i.RolesClaim, i.ConsumerKeyClaim = named("v"), named("v"), named("v"), named("v"), named("v")
	}), issuer("other", "org1", of("https://other.example.com"), func(i *config.Issuer) {
		i.ClaimMappings = []config.ClaimMapping{{RemoteClaim: named("v"), LocalClaim: "X-Value"}, {RemoteClaim: named("v"), LocalClaim: "x_value"}}
	})}}
	p := New(&all)
	f.Fuzz(func(t *testing.T, value string) {
		for _, iss := range []string{iss, "https://other.example.com"} {
			claims, err := parseClaims(`{"iss":` + quote(iss) + `,"sub":"me","v":` + value + `}`)
			if err != nil {
				return
			}
			i, err := p.Issuer(p.rest, "org1", claims)
			if err != nil {
				t.Fatal(err)
			}
			id, err := i.Identify(claims)
			if err != nil {
				if !errors.Is(err, ErrClaim) {
					t.Error(err)
				}
				continue
			}
			checkHeaders(t, id.Headers)
		}
	})
}

func checkHeaders(t *testing.T, headers [][2]string) {
	t.Helper()
	seen := map[string]bool{}
	for _, h := range headers {
		name, value := h[0], h[1]
		if seen[httptext.Fold(name)] {
			t.Errorf("%s is there twice", name)
		}
		seen[httptext.Fold(name)] = true
		if value == "" || strings.TrimSpace(value) != value || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			t.Errorf("%s: %q", name, value)
		}
	}
}
