package introspect_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/introspect"
	"orgate/jwks"
)

// answers are responses, and what they mean.
var answers = []struct {
	name     string
	response jwks.Response
	want     introspect.Result
	err      string
}{
	{"active", ok(`{"active": true, "sub": "alice"}`), "active", ""},
	{"active, with nulls", ok(`{"active": true, "exp": null, "aud": null, "iss": null}`), "active", ""},
	{"not active", ok(`{"active": false}`), "inactive", ""},
	{"not said", ok(`{"sub": "alice"}`), "inactive", ""},
	{"null", ok(`{"active": null}`), "inactive", ""},
	{"a string", ok(`{"active": "true"}`), "inactive", ""},
	{"a number", ok(`{"active": 1}`), "inactive", ""},
	{"twice", ok(`{"active": false, "active": true}`), "not_json", "malformed token: claims: duplicate member"},
	{"an array", ok(`[{"active": true}]`), "not_json", "malformed token: claims: not an object"},
	{"a JWT", ok("eyJhbGciOiJSUzI1NiJ9.e30.AA"), "not_json", "malformed token: claims: invalid JSON"},
	{"HTML", jwks.Response{Status: 200, ContentType: "text/html", Body: "<p>"}, "not_json",
		"malformed token: claims: invalid JSON"},
	{"two objects", ok(`{"active": true}{}`), "not_json", "malformed token: claims: invalid JSON"},
	{"broken off", ok(`{"active": true`), "not_json", "malformed token: claims: invalid JSON"},
	{"exp that is a string", ok(`{"active": true, "exp": "1"}`), "not_json",
		"malformed token: exp is not a number or out of range"},
	{"empty", ok(""), "empty", "no body"},
	{"too large", ok(`{"active": true, "x": "` + strings.Repeat("x", introspect.MaxAnswer) + `"}`), "too_large",
		"more than 16384 bytes"},
	{"no answer", jwks.Response{}, "no_answer", "no answer"},
	{"the proxy's", jwks.Response{Status: 503, Local: "no healthy upstream"}, "no_answer",
		`no answer: the proxy says "no healthy upstream" (status 503)`},
	{"unauthorized", jwks.Response{Status: 401}, "status", "status 401"},
	{"a redirect", jwks.Response{Status: 302, Location: "https://idp/login?secret"}, "status",
		`status 302, a redirect to "https://idp/login"`},
	{"201", jwks.Response{Status: 201, Body: `{"active": true}`}, "status", "status 201"},
}

func ok(body string) jwks.Response { return jwks.Response{Status: 200, Body: body} }

func TestRead(t *testing.T) {
	for _, c := range answers {
		t.Run(c.name, func(t *testing.T) {
			a := introspect.Read(&c.response)
			said := ""
			if a.Err != nil {
				said = a.Err.Error()
			}
			if a.Result != c.want || !strings.HasPrefix(said, c.err) || (said == "") != (c.err == "") ||
				(a.Token != nil) != (c.want == "active") {
				t.Errorf("%s, %q, token %v", a.Result, said, a.Token != nil)
			}
		})
	}
}

func TestClaimsOfAnAnswer(t *testing.T) {
	response := ok(`{"active": true, "sub": "alice", "aud": "api", "exp": 7, "tier": null}`)
	token := introspect.Read(&response).Token
	expiry, _ := token.Expiry()
	_, tier := token.Claims.Get("tier")
	if diff := cmp.Diff([]any{"alice", []string{"api"}, int64(7), false},
		[]any{token.Claims.Subject(), token.Audience(), expiry.Unix(), tier}); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

// TestRequest: what is written is read back by others.
func TestRequest(t *testing.T) {
	const odd = "a b+c&d=e%/~*-._é\x00\""
	form, err := url.ParseQuery(introspect.Body(odd))
	if diff := cmp.Diff(url.Values{"token": {odd}, "token_type_hint": {"access_token"}}, form); err != nil ||
		diff != "" {
		t.Errorf("%v, form (-want +got):\n%s", err, diff)
	}
	basic, _ := strings.CutPrefix(introspect.Authorization(odd, "s:3 "), "Basic ")
	both, err := base64.StdEncoding.DecodeString(basic)
	if err != nil {
		t.Fatal(err)
	}
	id, secret, _ := strings.Cut(string(both), ":")
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	if id != odd || secret != "s:3 " || introspect.Authorization("", "") != "" {
		t.Errorf("id %q, secret %q", id, secret)
	}
}

// TestDescribe: a query may hold a secret, which no log shows.
func TestDescribe(t *testing.T) {
	a := introspect.Read(&jwks.Response{Status: 401})
	const want = "introspection at https://idp/introspect: status 401"
	if got := a.Describe("https://idp/introspect?key=secret"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzRead(f *testing.F) {
	for _, c := range answers {
		f.Add(c.response.Status, c.response.Body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		a := introspect.Read(&jwks.Response{Status: status, Body: body})
		if (a.Token != nil) != (a.Result == introspect.ResultActive) || a.Token != nil &&
			(a.Err != nil || status != 200) {
			t.Fatalf("%+v", a)
		}
		if a.Token == nil {
			return
		}
		if active, _ := a.Token.Claims.Get("active"); active.Raw != "true" {
			t.Fatalf("active: %s", active.Raw)
		}
	})
}
