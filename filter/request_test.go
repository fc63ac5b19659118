package filter

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"orgate/config"
	"orgate/policy"
)

func TestReadCredentials(t *testing.T) {
	sources := config.TokenSources{
		Headers: []config.HeaderSource{{Name: "authorization", Prefix: "Bearer "}, {Name: "x-token"},
			{Name: "x-scheme", Prefix: "A"}, {Name: "x-scheme", Prefix: "A: "}, {Name: "x-scheme", Prefix: "B "}},
		Query:   []string{"access_token"},
		Cookies: []string{"token"},
	}
	for _, c := range []struct {
		name    string
		path    string
		headers [][2]string
		tokens  []string
		edits   []edit
	}{
		{name: "nothing", path: "/a?b=c", headers: [][2]string{{"cookie", "a=b"}}},
		{name: "bearer", headers: [][2]string{{"authorization", "Bearer abc"}},
			tokens: []string{"abc"}, edits: []edit{{header: "authorization"}}},
		{name: "scheme in another case, more spaces", headers: [][2]string{{"authorization", "bEARER   abc "}},
			tokens: []string{"abc"}, edits: []edit{{header: "authorization"}}},
		{name: "another scheme", headers: [][2]string{{"authorization", "Basic abc"}}},
		{name: "a scheme that only begins alike", headers: [][2]string{{"authorization", "Bearerabc"}}},
		{name: "the scheme alone", headers: [][2]string{{"authorization", "Bearer"}}},
		{name: "a tab for a space", headers: [][2]string{{"authorization", "Bearer\tabc"}},
			tokens: []string{"Bearer\tabc"}, edits: []edit{{header: "authorization"}}},
		{name: "another separator", headers: [][2]string{{"authorization", "bearer=abc"}},
			tokens: []string{"bearer=abc"}, edits: []edit{{header: "authorization"}}},
		{name: "in a list", headers: [][2]string{{"authorization", "Basic x, Bearer abc"}},
			tokens: []string{"Basic x, Bearer abc"}, edits: []edit{{header: "authorization"}}},
		{name: "the scheme alone in a list", headers: [][2]string{{"authorization", "Basic x, Bearer"}}},
		{name: "a parameter that begins alike", headers: [][2]string{{"authorization", "Digest a=b,bearertype=c"}}},
		{name: "other credentials stay", headers: [][2]string{{"authorization", "Basic x"}, {"authorization", "Bearer abc"}},
			tokens: []string{"abc"}, edits: []edit{{"authorization", []string{"Basic x"}}}},
		{name: "the same header twice", headers: [][2]string{{"authorization", "Bearer a"}, {"authorization", "Bearer b"}},
			tokens: []string{"a", "b"}, edits: []edit{{header: "authorization"}}},
		{name: "a header without a prefix", headers: [][2]string{{"x-token", "abc"}},
			tokens: []string{"abc"}, edits: []edit{{header: "x-token"}}},
		{name: "two schemes of a header", headers: [][2]string{{"x-scheme", "A a"}, {"x-scheme", "c"}, {"x-scheme", "b b"}},
			tokens: []string{"a", "b"}, edits: []edit{{"x-scheme", []string{"c"}}}},
		{name: "a scheme that begins another", headers: [][2]string{{"x-scheme", "A: a"}},
			tokens: []string{"a"}, edits: []edit{{header: "x-scheme"}}},
		{name: "a scheme that begins another, alone", headers: [][2]string{{"x-scheme", "A: "}}},
		{name: "query, alone", path: "/a?access_token=abc",
			tokens: []string{"abc"}, edits: []edit{{":path", []string{"/a"}}}},
		{name: "query, first", path: "/a?access_token=abc&x=%41+b&&y",
			tokens: []string{"abc"}, edits: []edit{{":path", []string{"/a?x=%41+b&&y"}}}},
		{name: "query, last", path: "/a?x=1&access_token=abc",
			tokens: []string{"abc"}, edits: []edit{{":path", []string{"/a?x=1"}}}},
		{name: "query, name in disguise", path: "/a?acces%73_token=abc&x",
			tokens: []string{"abc"}, edits: []edit{{":path", []string{"/a?x"}}}},
		{name: "query, value escaped", path: "/a?access_token=a%2eb",
			tokens: []string{"a.b"}, edits: []edit{{":path", []string{"/a"}}}},
		{name: "query, broken escape", path: "/a?access_token=a%2",
			tokens: []string{"a%2"}, edits: []edit{{":path", []string{"/a"}}}},
		{name: "query, empty", path: "/a?access_token=&access_token"},
		{name: "query, another case", path: "/a?Access_Token=abc"},
		{name: "query, second question mark", path: "/a?x=1?access_token=abc"},
		{name: "query, twice", path: "/a?access_token=a&access_token=b",
			tokens: []string{"a", "b"}, edits: []edit{{":path", []string{"/a"}}}},
		{name: "query, before a fragment", path: "/a?access_token=abc#f?access_token=x",
			tokens: []string{"abc"}, edits: []edit{{":path", []string{"/a#f?access_token=x"}}}},
		{name: "cookie, alone", headers: [][2]string{{"cookie", "token=abc"}},
			tokens: []string{"abc"}, edits: []edit{{header: "cookie"}}},
		{name: "cookie, first", headers: [][2]string{{"cookie", "token=abc; a=b;c=\"d\""}},
			tokens: []string{"abc"}, edits: []edit{{"cookie", []string{`a=b;c="d"`}}}},
		{name: "cookie, between", headers: [][2]string{{"cookie", "a=b;  token=abc ; c=d"}},
			tokens: []string{"abc"}, edits: []edit{{"cookie", []string{"a=b; c=d"}}}},
		{name: "cookie, in one of two headers", headers: [][2]string{{"cookie", "a=b"}, {"cookie", "token=abc"}},
			tokens: []string{"abc"}, edits: []edit{{"cookie", []string{"a=b"}}}},
		{name: "cookie, in the second of two headers", headers: [][2]string{{"cookie", " a=b"}, {"cookie", "token=abc;c=d"}},
			tokens: []string{"abc"}, edits: []edit{{"cookie", []string{" a=b", "c=d"}}}},
		{name: "cookie, name that only ends alike", headers: [][2]string{{"cookie", "mytoken=abc"}}},
		{name: "cookie, empty", headers: [][2]string{{"cookie", "token="}}},
		{name: "everywhere", path: "/?access_token=q", headers: [][2]string{{"authorization", "Bearer h"}, {"cookie", "token=c"}},
			tokens: []string{"h", "q", "c"}, edits: []edit{{header: "authorization"}, {":path", []string{"/"}}, {header: "cookie"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := readRequest(append([][2]string{{":path", c.path}}, c.headers...))
			got := readCredentials(&r, &sources)
			want := credentials{tokens: c.tokens, edits: c.edits}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(credentials{}, edit{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("credentials (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIsGRPC(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/grpc":                true,
		"application/grpc+proto":          true,
		"Application/GRPC; charset=utf-8": true,
		"application/grpc-web":            false,
		"application/json":                false,
		"":                                false,
	} {
		if got := isGRPC(contentType); got != want {
			t.Errorf("isGRPC(%q) = %v, want %v", contentType, got, want)
		}
	}
}

// TestUnescapeQuery compares with net/url for every byte, in both cases.
func TestUnescapeQuery(t *testing.T) {
	texts := []string{"", "a", "+", "a+b", "a%20b"}
	for c := range 256 {
		texts = append(texts, fmt.Sprintf("%%%02x", c), fmt.Sprintf("x%%%02Xy", c))
	}
	for _, text := range texts {
		want, err := url.QueryUnescape(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := unescapeQuery(text); got != want {
			t.Errorf("unescapeQuery(%q) = %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"%", "%4", "%g0", "%0g", "%/0", "%:0", "%@0", "%G0", "%`0", "a%"} {
		if got := unescapeQuery(text); got != text {
			t.Errorf("unescapeQuery(%q) = %q, want it as it is", text, got)
		}
	}
}

func TestIsText(t *testing.T) {
	for value, want := range map[string]bool{
		"org1": true, "é": true, " ": true, "": false, "a\x00": false, "a\x1f": false, "a\x7f": false, "\xff": false, "\xc3": false, "a\n": false,
	} {
		if got := isText([]byte(value)); got != want {
			t.Errorf("isText(%q) = %v, want %v", value, got, want)
		}
	}
}

func TestReadRequestHost(t *testing.T) {
	for _, c := range []struct {
		headers [][2]string
		want    string
	}{
		{[][2]string{{":authority", "a.example"}}, "a.example"},
		{[][2]string{{"host", "b.example"}}, "b.example"},
		{[][2]string{{":authority", "a.example"}, {"host", "b.example"}}, "a.example"},
		{[][2]string{{"host", "b.example"}, {":authority", "a.example"}}, "a.example"},
	} {
		if r := readRequest(c.headers); r.host != c.want {
			t.Errorf("host of %q: %q, want %q", c.headers, r.host, c.want)
		}
	}
}

func TestWithoutIdentity(t *testing.T) {
	p := policy.New(&config.Config{Headers: config.Headers{Username: "x-wso2-username"}})
	for _, c := range []struct {
		connection, rest string
		changed          bool
	}{
		{"close", "close", false},
		{" keep-alive ,\tx-other,", " keep-alive ,\tx-other,", false},
		{"x-wso2-username", "", true},
		{"close, X_WSO2_Username ,te", "close,te", true},
		{"x-orgate-report, x-wso2-username", "", true},
	} {
		if rest, changed := withoutIdentity(c.connection, p); rest != c.rest || changed != c.changed {
			t.Errorf("withoutIdentity(%q) = %q, %v; want %q, %v", c.connection, rest, changed, c.rest, c.changed)
		}
	}
}

func TestMetricName(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{MetricName("orgate_requests", "rule", "orders", "issuer", "org1", "reason", "ok"), "orgate_requestsrule=.=orders;.;issuer=.=org1;.;reason=.=ok;.;"},
		{MetricName("orgate_requests", "rule", "a.b;c=%", "issuer", "café"), "orgate_requestsrule=.=a%2Eb%3Bc%3D%25;.;issuer=.=caf%C3%A9;.;"},
		{MetricName("orgate_token_cache", "result", ""), "orgate_token_cacheresult=.=%;.;"},
	} {
		if c.got != c.want {
			t.Errorf("metric name %q, want %q", c.got, c.want)
		}
	}
}

// FuzzReadCredentials checks that what is left of a request once its tokens
// are taken out holds no token, and nothing that was not there before.
func FuzzReadCredentials(f *testing.F) {
	f.Add("/a?access_token=abc&b=c", "token=x; a=b", "Bearer abc")
	f.Add("/a?%61ccess_token=abc", ";;token=;token=a", "bearer")
	f.Fuzz(func(t *testing.T, path, cookie, authorization string) {
		sources := config.TokenSources{
			Headers: []config.HeaderSource{{Name: "authorization", Prefix: "Bearer "}},
			Query:   []string{"access_token"},
			Cookies: []string{"token"},
		}
		before := [][2]string{{":path", path}, {"cookie", cookie}, {"authorization", authorization}}
		r := readRequest(before)
		c := readCredentials(&r, &sources)
		if len(c.tokens) == 0 && len(c.edits) > 0 {
			t.Fatalf("no tokens, yet edits %v", c.edits)
		}
		var after [][2]string
		for _, h := range before {
			edited := false
			for _, e := range c.edits {
				if e.header != h[0] {
					continue
				}
				edited = true
				for _, v := range e.values {
					after = append(after, [2]string{h[0], v})
					if len(v) >= len(h[1]) {
						t.Errorf("%s: %q became %q", h[0], h[1], v)
					}
				}
			}
			if !edited {
				after = append(after, h)
			}
		}
		r = readRequest(after)
		if again := readCredentials(&r, &sources); len(again.tokens) > 0 {
			t.Errorf("tokens %q are left of %q", again.tokens, after)
		}
		for _, token := range c.tokens {
			if token == "" {
				t.Errorf("an empty token was found")
			}
		}
		if strings.Contains(path, "#") && !strings.HasSuffix(after[0][1], path[strings.Index(path, "#"):]) {
			t.Errorf("fragment of %q lost in %q", path, after[0][1])
		}
	})
}
