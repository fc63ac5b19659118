package gate

import (
	"fmt"
	"net/url"
	"slices"
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
			{Name: "x-scheme", Prefix: "A"}, {Name: "x-scheme", Prefix: "A: "}, {Name: "x-scheme", Prefix: "B "},
			{Name: "sec-websocket-protocol", Prefix: "bearer, "}, {Name: "sec-websocket-protocol", Prefix: "jwt."}},
		Query:   []string{"access_token"},
		Cookies: []string{"token"},
	}
	for _, c := range []struct {
		name    string
		path    string
		headers [][2]string
		tokens  []string
		edits   []string // see written
		other   string   // where the second token stands
	}{
		{name: "nothing", path: "/a?b=c", headers: [][2]string{{"cookie", "a=b"}}},
		{name: "bearer", headers: [][2]string{{"authorization", "Bearer abc"}},
			tokens: []string{"abc"}, edits: []string{"- authorization"}},
		{name: "scheme in another case, more spaces", headers: [][2]string{{"authorization", "bEARER   abc "}},
			tokens: []string{"abc"}, edits: []string{"- authorization"}},
		{name: "another scheme", headers: [][2]string{{"authorization", "Basic abc"}}},
		{name: "a scheme that only begins alike", headers: [][2]string{{"authorization", "Bearerabc"}}},
		{name: "the scheme alone", headers: [][2]string{{"authorization", "Bearer"}}},
		{name: "a tab for a space", headers: [][2]string{{"authorization", "Bearer\tabc"}},
			tokens: []string{"Bearer\tabc"}, edits: []string{"- authorization"}},
		{name: "another separator", headers: [][2]string{{"authorization", "bearer=abc"}},
			tokens: []string{"bearer=abc"}, edits: []string{"- authorization"}},
		{name: "in a list", headers: [][2]string{{"authorization", "Basic x, Bearer abc"}},
			tokens: []string{"Basic x, Bearer abc"}, edits: []string{"- authorization"}},
		{name: "the scheme alone in a list", headers: [][2]string{{"authorization", "Basic x, Bearer"}}},
		{name: "a parameter that begins alike", headers: [][2]string{{"authorization", "Digest a=b,bearertype=c"}}},
		{
			name: "other credentials stay", headers: [][2]string{{"authorization", "Basic x"},
				{"authorization", "Bearer abc"}},
			tokens: []string{"abc"}, edits: []string{"- authorization", "+ authorization: Basic x"}},
		{
			name: "the same header twice", headers: [][2]string{{"authorization", "Bearer a"},
				{"authorization", "Bearer b"}},
			tokens: []string{"a", "b"}, edits: []string{"- authorization"}, other: "header authorization"},
		{name: "a header without a prefix", headers: [][2]string{{"x-token", "abc"}},
			tokens: []string{"abc"}, edits: []string{"- x-token"}},
		{
			name: "two schemes of a header", headers: [][2]string{{"x-scheme", "A a"}, {"x-scheme", "c"},
				{"x-scheme", "b b"}},
			tokens: []string{"a", "b"}, edits: []string{"- x-scheme", "+ x-scheme: c"}, other: "header x-scheme"},
		{name: "a scheme that begins another", headers: [][2]string{{"x-scheme", "A: a"}},
			tokens: []string{"a"}, edits: []string{"- x-scheme"}},
		{name: "a scheme that begins another, alone", headers: [][2]string{{"x-scheme", "A: "}}},
		{name: "a subprotocol", headers: [][2]string{{"sec-websocket-protocol", "bearer, abc"}},
			tokens: []string{"abc"}, edits: []string{"- sec-websocket-protocol"}},
		{name: "a subprotocol before another",
			headers: [][2]string{{"sec-websocket-protocol", "Bearer,abc ,\tgraphql-ws"}},
			tokens:  []string{"abc"}, edits: []string{"- sec-websocket-protocol",
				"+ sec-websocket-protocol: graphql-ws"}},
		{name: "a subprotocol behind others", headers: [][2]string{{"sec-websocket-protocol", "a, b,bearer, abc"}},
			tokens: []string{"abc"}, edits: []string{"- sec-websocket-protocol", "+ sec-websocket-protocol: a, b"}},
		{name: "a subprotocol in one with its prefix",
			headers: [][2]string{{"sec-websocket-protocol", "a, jwt.abc, b"}},
			tokens:  []string{"abc"}, edits: []string{"- sec-websocket-protocol", "+ sec-websocket-protocol: a, b"}},
		{name: "two subprotocols", headers: [][2]string{{"sec-websocket-protocol", "bearer, a, jwt.b"}},
			tokens: []string{"a", "b"}, edits: []string{"- sec-websocket-protocol"},
			other: "header sec-websocket-protocol"},
		{name: "one subprotocol twice, in two headers",
			headers: [][2]string{{"sec-websocket-protocol", "bearer, a"}, {"sec-websocket-protocol", "b, jwt.a"}},
			tokens:  []string{"a"}, edits: []string{"- sec-websocket-protocol", "+ sec-websocket-protocol: b"}},
		{name: "a subprotocol that another one hides",
			headers: [][2]string{{"sec-websocket-protocol", "bearer, jwt.a, b"}},
			tokens:  []string{"jwt.a"}, edits: []string{"- sec-websocket-protocol", "+ sec-websocket-protocol: b"}},
		{name: "subprotocols of nothing",
			headers: [][2]string{{"sec-websocket-protocol", "bearer, , jwt., b, x, bearer, c"}},
			tokens:  []string{"jwt.", "c"}, edits: []string{"- sec-websocket-protocol",
				"+ sec-websocket-protocol: b, x"}, other: "header sec-websocket-protocol"},
		{name: "subprotocols without a token",
			headers: [][2]string{{"sec-websocket-protocol", "a,  bearers, x, barter, x, jwt., bearer"}}},
		{name: "query, alone", path: "/a?access_token=abc",
			tokens: []string{"abc"}, edits: []string{"= /a"}},
		{name: "query, first", path: "/a?access_token=abc&x=%41+b&&y",
			tokens: []string{"abc"}, edits: []string{"= /a?x=%41+b&&y"}},
		{name: "query, last", path: "/a?x=1&access_token=abc",
			tokens: []string{"abc"}, edits: []string{"= /a?x=1"}},
		{name: "query, name in disguise", path: "/a?acces%73_token=abc&x",
			tokens: []string{"abc"}, edits: []string{"= /a?x"}},
		{name: "query, value escaped", path: "/a?access_token=a%2eb",
			tokens: []string{"a.b"}, edits: []string{"= /a"}},
		{name: "query, broken escape", path: "/a?access_token=a%2",
			tokens: []string{"a%2"}, edits: []string{"= /a"}},
		{name: "query, empty", path: "/a?access_token=&access_token"},
		{name: "query, second question mark", path: "/a?x=1?access_token=abc"},
		{name: "query, twice", path: "/a?access_token=a&access_token=b",
			tokens: []string{"a", "b"}, edits: []string{"= /a"}, other: "query access_token"},
		{name: "query, before a fragment", path: "/a?access_token=abc#f?access_token=x",
			tokens: []string{"abc"}, edits: []string{"= /a#f?access_token=x"}},
		{name: "cookie, alone", headers: [][2]string{{"cookie", "token=abc"}},
			tokens: []string{"abc"}, edits: []string{"- cookie"}},
		{name: "cookie, first", headers: [][2]string{{"cookie", "token=abc; a=b;c=\"d\""}},
			tokens: []string{"abc"}, edits: []string{"- cookie", `+ cookie: a=b;c="d"`}},
		{name: "cookie, between", headers: [][2]string{{"cookie", "a=b;  token=abc ; c=d"}},
			tokens: []string{"abc"}, edits: []string{"- cookie", "+ cookie: a=b; c=d"}},
		{name: "cookie, in one of two headers", headers: [][2]string{{"cookie", "a=b"}, {"cookie", "token=abc"}},
			tokens: []string{"abc"}, edits: []string{"- cookie", "+ cookie: a=b"}},
		{name: "cookie, in the second of two headers",
			headers: [][2]string{{"cookie", " a=b"}, {"cookie", "token=abc;c=d"}},
			tokens:  []string{"abc"}, edits: []string{"- cookie", "+ cookie:  a=b", "+ cookie: c=d"}},
		{name: "cookie, name that only ends alike", headers: [][2]string{{"cookie", "mytoken=abc"}}},
		{name: "cookie, empty", headers: [][2]string{{"cookie", `token=; token=""`}}},
		{name: "a header spelled otherwise", headers: [][2]string{{"x_token", "abc"}},
			tokens: []string{"abc"}, edits: []string{"- x_token"}},
		{name: "a header in two spellings", headers: [][2]string{{"x_token", "b"}, {"x-token", "a"}},
			tokens: []string{"b", "a"}, edits: []string{"- x_token", "- x-token"}, other: "header x-token"},
		{name: "a parameter spelled otherwise", path: "/a?Access-Token=abc",
			tokens: []string{"abc"}, edits: []string{"= /a"}},
		{name: "a cookie spelled otherwise", headers: [][2]string{{"cookie", "TOKEN=abc"}},
			tokens: []string{"abc"}, edits: []string{"- cookie"}},
		{name: "the same token in two places", path: "/?access_token=abc",
			headers: [][2]string{{"authorization", "Bearer abc"}},
			tokens:  []string{"abc"}, edits: []string{"- authorization", "= /"}},
		{name: "cookie, quoted", headers: [][2]string{{"cookie", `token="abc"; a=b`}},
			tokens: []string{"abc"}, edits: []string{"- cookie", "+ cookie: a=b"}},
		{name: "cookie, with a scheme", headers: [][2]string{{"cookie", "token=Bearer abc"}},
			tokens: []string{"abc"}, edits: []string{"- cookie"}},
		{name: "cookie, quoted, with a scheme", headers: [][2]string{{"cookie", `token="bearer abc"`}},
			tokens: []string{"abc"}, edits: []string{"- cookie"}},
		{name: "everywhere", path: "/?access_token=q",
			headers: [][2]string{{"authorization", "Bearer h"}, {"cookie", "token=c"}},
			tokens:  []string{"h", "q", "c"}, edits: []string{"- authorization", "= /", "- cookie"},
			other: "query access_token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := readCredentials(&Request{Headers: c.headers}, c.path, &sources)
			if diff := cmp.Diff(c.tokens, got.tokens, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.edits, written(got.edits), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("edits (-want +got):\n%s", diff)
			}
			if other := got.other.String(); other != c.other {
				t.Errorf("the second token stands in %q, want %q", other, c.other)
			}
		})
	}
}

// written is edits in short: "- name", "+ name: value", "= path".
func written(edits []Edit) []string {
	var lines []string
	for _, e := range edits {
		switch e.Op {
		case Remove:
			lines = append(lines, "- "+e.Name)
		case Add:
			lines = append(lines, "+ "+e.Name+": "+e.Value)
		case Replace:
			lines = append(lines, "= "+e.Value)
		}
	}
	return lines
}

// TestManyTokens: what a request brings decides how many tokens there are, and not how
// many are kept and compared.
func TestManyTokens(t *testing.T) {
	var cookies []string
	for n := range 7000 {
		cookies = append(cookies, fmt.Sprintf("token=%d", n))
	}
	sources := config.TokenSources{Query: []string{"token"}, Cookies: []string{"token"}}
	got := readCredentials(&Request{Headers: [][2]string{{"cookie", strings.Join(cookies, "; ")}, {"cookie", "a=b"}}},
		"/?"+strings.Join(cookies, "&"), &sources)
	if len(got.tokens) < 2 || cap(got.tokens) > 16 {
		t.Errorf("%d tokens are kept, in room for %d; want a few", len(got.tokens), cap(got.tokens))
	}
	edits := []string{"= /", "- cookie", "+ cookie: a=b"}
	if diff := cmp.Diff(edits, written(got.edits)); diff != "" {
		t.Errorf("edits (-want +got):\n%s", diff)
	}
}

func TestRPCOf(t *testing.T) {
	for contentType, want := range map[string]RPC{
		"application/grpc":                GRPC,
		"application/grpc+proto":          GRPC,
		"Application/GRPC; charset=utf-8": GRPC,
		"application/grpc-web":            GRPCWeb,
		"application/grpc-web+proto":      GRPCWeb,
		"application/grpc-Web;a=b":        GRPCWeb,
		"application/grpc-web-text":       GRPCWebText,
		"application/grpc-web-text+proto": GRPCWebText,
		"application/grpc-web-texts":      NoRPC,
		"application/grpc-weber":          NoRPC,
		"application/grpc-text":           NoRPC,
		"application/grpcs":               NoRPC,
		"application/json":                NoRPC,
		"":                                NoRPC,
	} {
		if got := rpcOf(contentType); got != want {
			t.Errorf("rpcOf(%q) = %v, want %v", contentType, got, want)
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
		if line := (&Request{Headers: c.headers}).read(); line.host != c.want {
			t.Errorf("host of %q: %q, want %q", c.headers, line.host, c.want)
		}
	}
}

func TestWithoutIdentity(t *testing.T) {
	g := &Gate{policy: policy.New(&config.Config{Headers: config.Headers{Username: "x-wso2-username"}})}
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
		if rest, changed := g.withoutIdentity(c.connection); rest != c.rest || changed != c.changed {
			t.Errorf("withoutIdentity(%q) = %q, %v; want %q, %v", c.connection, rest, changed, c.rest, c.changed)
		}
	}
}

// FuzzReadCredentials checks that what is left of a request once its tokens
// are taken out holds no token, and nothing that was not there before.
func FuzzReadCredentials(f *testing.F) {
	f.Add("/a?access_token=abc&b=c", "token=x; a=b", "Bearer abc")
	f.Add("/a?%61ccess_token=abc", ";;token=;token=a", "bearer")
	f.Add("/", "", "a, b, bearer, c, x")
	f.Fuzz(func(t *testing.T, path, cookie, authorization string) {
		sources := config.TokenSources{
			Headers: []config.HeaderSource{{Name: "authorization", Prefix: "Bearer "},
				{Name: "sec-websocket-protocol", Prefix: "bearer, "},
				{Name: "sec-websocket-protocol", Prefix: "a, b, "}},
			Query:   []string{"access_token"},
			Cookies: []string{"token"},
		}
		before := &Request{Headers: [][2]string{{"cookie", cookie}, {"authorization", authorization},
			{"sec-websocket-protocol", authorization}}}
		c := readCredentials(before, path, &sources)
		if len(c.tokens) == 0 && len(c.edits) > 0 {
			t.Fatalf("no tokens, yet edits %v", c.edits)
		}
		after := &Request{Headers: slices.Clone(before.Headers)}
		rest := path
		for _, e := range c.edits {
			switch e.Op {
			case Remove:
				after.Headers = slices.DeleteFunc(after.Headers, func(h [2]string) bool { return h[0] == e.Name })
			case Add:
				after.Headers = append(after.Headers, [2]string{e.Name, e.Value})
				if !slices.ContainsFunc(before.Headers, func(h [2]string) bool {
					return h[0] == e.Name && len(h[1]) > len(e.Value)
				}) {
					t.Errorf("%s: %q is as long as what was there", e.Name, e.Value)
				}
			case Replace:
				rest = e.Value
			}
		}
		if again := readCredentials(after, rest, &sources); len(again.tokens) > 0 {
			t.Errorf("tokens %q are left in %q %q", again.tokens, after.Headers, rest)
		}
		if slices.Contains(c.tokens, "") {
			t.Errorf("an empty token was found")
		}
		if i := strings.Index(path, "#"); i >= 0 && !strings.HasSuffix(rest, path[i:]) {
			t.Errorf("fragment of %q lost in %q", path, rest)
		}
	})
}
