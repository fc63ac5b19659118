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
// path and methods between spaces; "-" is none. Those that the configuration may
// not have are left out.
func fuzzRules(text string) []string {
	var rules []string
	for line := range strings.SplitSeq(text, "\n") {
		fields := strings.Split(line, " ")
		if len(fields) != 4 || len(rules) > 40 {
			continue
		}
		m := map[string]any{}
		if fields[0] != "-" {
			m["hosts"] = fields[:1]
		}
		if fields[2] != "-" {
			m[fields[1]] = fields[2]
		}
		if fields[3] != "-" {
			m["methods"] = strings.Split(fields[3], ",")
		}
		rule := `{"match": ` + marshal(m) + `}`
		if _, err := config.Parse(`{"issuers": [` + issuer("idp", "org1") + `], "rules": [` + rule + `]}`); err == nil {
			rules = append(rules, rule)
		}
	}
	return rules
}

// FuzzRoute compares the index with the linear search.
func FuzzRoute(f *testing.F) {
	const rules = "- pathPrefix /a GET\napi.example.com path /a/b -\n*.example.com pathTemplate /t/{x}/** GET,PUT\n" +
		"- - - -\n[::1] pathPrefix / -"
	for _, target := range []string{"/", "/a", "/a/b", "/a/b?c", "/t/org1/x/", "/a%2Bb", "/caf%C3%A9", "/a/..",
		"/a%2fb", "//", "*"} {
		f.Add(rules, "GET", "api.example.com:443", target)
	}
	f.Add(rules, "OPTIONS", "x.y.example.com.", "*")
	f.Add("- pathTemplate /a/* -\n- pathTemplate /{x}/b -\n- path /a/b -", "GET", "h", "/a/b")
	f.Add("- pathTemplate /{x}/b -\n- pathTemplate /a/{x}/** -\n- pathPrefix /a/ -", "GET", "h", "/a/")
	f.Add("*.com - - -\n*.example.com path / -", "GET", "EXAMPLE.com", "/")
	f.Add("- pathPrefix /a%2Bb -\n- path /a+b/ -", "GET", "[::1]:80", "/a+b/")
	f.Fuzz(func(t *testing.T, text, method, host, target string) {
		rules := fuzzRules(text)
		if len(rules) == 0 {
			return
		}
		p := ruled(t, rules...)
		r, err := p.Route(&Request{Method: method, Host: host, Path: target})
		place := -1
		switch {
		case err == nil:
			place = r.Index
		case r != nil || !errors.Is(err, ErrAmbiguousPath) && !errors.Is(err, ErrAmbiguousHost) && err != ErrNoRule:
			t.Fatalf("rule %v, error %v", r, err)
		case err != ErrNoRule:
			return
		}
		if want := linear(p.rules, method, host, target); place != want {
			t.Errorf("%s %s %s: the index finds rule %d, the linear search %d of %v", method, host, target, place, want,
				rules)
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
	p := ruled(f,
		`{"name": "host", "match": {"methods": ["GET"]}, "organization": {"fromHost": "{org}.example.com"}}`,
		`{"name": "path", "match": {"methods": ["PUT"]}, "organization": {"fromPath": "/t/{org}/"}}`,
		`{"name": "metadata", "organization": {"fromRouteMetadata": "orgate.organization"}}`)
	f.Fuzz(func(t *testing.T, host, path, metadata string) {
		for n, method := range []string{"GET", "PUT", "POST"} {
			r := p.rules[n]
			organization, err := required(p,
				&Request{Method: method, Host: host, Path: path,
					RouteMetadata: func(string) (string, bool) { return metadata, true }})
			if (organization == "") != (err != nil) || organization == config.Any {
				t.Errorf("%s: %q, %v", r.Name, organization, err)
			}
			if err != nil && !errors.Is(err, ErrOrganization) && !errors.Is(err, ErrAmbiguousPath) &&
				!errors.Is(err, ErrAmbiguousHost) {
				t.Errorf("%s: %v", r.Name, err)
			}
			if r.Name != "metadata" &&
				(strings.ContainsAny(organization, "/?#;\\") || r.Name == "host" && strings.Contains(organization,
					".")) {
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
	const other = "https://other.example.com"
	p := policyOf(f, []string{
		issuer("idp", "*", by("v"),
			`"usernameClaim": "v", "scopesClaim": "v", "rolesClaim": "v", "consumerKeyClaim": "v"`),
		issuer("other", "org1", of(other), `"claimMappings": [{"remoteClaim": "v", "localClaim": "X-Value"}]`),
	}, nil, anyone)
	f.Fuzz(func(t *testing.T, value string) {
		for _, iss := range []string{iss, other} {
			claims, err := parseClaims(`{"iss":` + quote(iss) + `,"sub":"me","v":` + value + `}`)
			if err != nil {
				return
			}
			_, id, err := judged(t, p, p.rules[0], config.Any, claims)
			if id != nil {
				checkHeaders(t, id.Headers)
			} else if !errors.Is(err, ErrClaim) {
				t.Error(err)
			}
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
		if value == "" || strings.TrimSpace(value) != value || !utf8.ValidString(value) || strings.ContainsFunc(value,
			unicode.IsControl) {
			t.Errorf("%s: %q", name, value)
		}
	}
}
