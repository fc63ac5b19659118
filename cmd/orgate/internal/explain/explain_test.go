package explain_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/cmd/orgate/internal/explain"
	"orgate/config"
	"orgate/e2e/scenario"
)

// input is the explanation of a scenario's request, whose keys nobody fetches.
func input(t *testing.T, document string, r scenario.Request) *explain.Input {
	t.Helper()
	c, err := config.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	in := &explain.Input{
		Config: c, Now: scenario.Now,
		Request: explain.Request{Scheme: "https", Metadata: map[string]string{}, Body: len(r.Trailers) > 0},
		Get: func(context.Context, explain.Location) (*explain.Document, error) {
			return nil, errors.New("nobody listens")
		},
	}
	for _, h := range r.Map() {
		switch h[0] {
		case ":method":
			in.Request.Method = h[1]
		case ":authority":
			in.Request.Host = h[1]
		case ":path":
			in.Request.Path = h[1]
		case ":scheme":
		default:
			in.Request.Headers = append(in.Request.Headers, [2]string{strings.ToLower(h[0]), h[1]})
		}
	}
	in.Request.Certificate = r.Digest()
	in.Answer = func(string) string { return r.Introspection }
	for name, value := range r.RouteMetadata {
		in.Request.Metadata[name[0]+"."+name[1]] = value
	}
	return in
}

// table is the table of scenarios, with a part of what there is many of.
func table() []scenario.Case {
	cases := slices.Concat(scenario.Basics(), scenario.Answers(), scenario.Fields())
	for i, c := range slices.Concat(scenario.Attacks(), scenario.Organizations()) {
		if i%13 == 0 { // which shares no factor with how they are made up
			cases = append(cases, c)
		}
	}
	return cases
}

// TestVerdicts explains the requests of the table of scenarios: the end is the
// one in the table, and the last step says why.
func TestVerdicts(t *testing.T) {
	for _, c := range table() {
		t.Run(c.Name, func(t *testing.T) {
			e, err := explain.Explain(t.Context(), input(t, c.Configuration(), c.Request))
			if err != nil {
				t.Fatal(err)
			}
			status := 200
			if e.Response != nil {
				status = e.Response.Status
			}
			if e.Passed != (c.Want.Status == 200) || status != c.Want.Status || e.Reason != c.Want.Reason {
				t.Errorf("passed: %v, %d %s, want %d %s", e.Passed, status, e.Reason, c.Want.Status, c.Want.Reason)
			}
			refused := -1
			for i, s := range e.Steps {
				if len(s.Lines) == 0 {
					t.Errorf("step %q says nothing", s.Name)
				}
				if s.Refused {
					refused = i
				}
			}
			reported := e.Steps[len(e.Steps)-1].Name == "report"
			if !e.Passed && refused != len(e.Steps)-1 || e.Passed && refused >= 0 && !reported {
				t.Errorf("step %d of %d refuses", refused+1, len(e.Steps))
			}
			if leak := leakOf(c.Request.Token, e); leak != "" {
				t.Errorf("the explanation holds %q of the token", leak)
			}
		})
	}
}

// TestTheStepThatFailsIsMarked: what refuses a request is said by the step that
// found it.
func TestTheStepThatFailsIsMarked(t *testing.T) {
	first := scenario.First()
	for name, c := range map[string]struct{ path, token, step string }{
		"another organization":       {"/org1", scenario.Second().Token(scenario.OfOrg2()), "organization"},
		"no organization claim":      {"/org1", first.Token(scenario.Claims{"org_id": nil}), "organization"},
		"a wrong organization claim": {"/org1", first.Token(scenario.Claims{"org_id": []int{1, 2}}), "identity"},
		"another organization, in an array": {"/org1", first.Token(scenario.Claims{"org_id": []int{1}}),
			"organization"},
		"no username": {"/org1", first.Token(scenario.Claims{"sub": nil}), "identity"},
		"scope":       {"/org1/admin", first.Token(scenario.Claims{"scope": "x"}), "demands"},
		"expired":     {"/org1", first.Token(scenario.Claims{"exp": 1}), "time"},
		"forged":      {"/org1", scenario.Stranger().Token(), "key"},
		"audience":    {"/org1", first.Token(scenario.Claims{"aud": "x"}), "audience"},
		"malformed":   {"/org1", "x", "token"},
		"issuer": {"/org1", first.Token(scenario.Claims{"iss": "https://nobody.example"}),
			"issuer"},
		"algorithm": {"/org1", first.With(scenario.Claims{"alg": "RS512"}), "algorithm"},
	} {
		e, err := explain.Explain(t.Context(),
			input(t, scenario.Config(), scenario.Request{Path: c.path, Token: c.token}))
		if err != nil {
			t.Fatal(err)
		}
		if last := e.Steps[len(e.Steps)-1]; !last.Refused || last.Name != c.step {
			t.Errorf("%s: the last step is %+v, want %s", name, last, c.step)
		}
	}
}

// leakOf returns a part of the token that an explanation holds, or "".
func leakOf(token string, e *explain.Explanation) string {
	var all []string
	for _, s := range e.Steps {
		all = append(all, s.Lines...)
	}
	all = append(all, e.Upstream...)
	if e.Response != nil {
		all = append(all, e.Response.Body)
		for _, h := range e.Response.Headers {
			all = append(all, h[1])
		}
	}
	text := strings.Join(all, "\n")
	for part := range strings.SplitSeq(token, ".") {
		if len(part) >= 12 && strings.Contains(text, part) {
			return part
		}
	}
	return ""
}

var fetching = `{"organization": "org1", "issuers": [
  {"name": "a", "issuer": "https://idp1.example/", "organization": "org1", "signatureValidation": {"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1"}}},
  {"name": "b", "issuer": "https://idp2.example/realms/org2", "organization": "org2", "signatureValidation": {"jwks": {"wellKnown": "https://idp2.example/d", "cluster": "idp2"}}},
  {"name": "c", "issuer": "https://pinned.example", "organization": "org1",
   "signatureValidation": {"jwks": {"url": "https://pinned.example/jwks", "cluster": "idp1", "pins": ["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"]}}},
  {"name": "d", "issuer": "https://both.example", "organization": "org1",
   "signatureValidation": {"jwks": {"url": "https://both.example/jwks", "cluster": "idp1"}, "certificate": {"certificateInline": ` + strconv.Quote(scenario.Second().PublicKey()) + `}}}]}`

func TestKeysAreFetchedForTheTokensIssuerAlone(t *testing.T) {
	document := func(body string) *explain.Document {
		return &explain.Document{Status: 200, Header: http.Header{"Cache-Control": {"max-age=60"}}, Body: body}
	}
	set := document(scenario.JWKS(scenario.First()))
	discovery := document(`{"issuer": "https://idp2.example/realms/org2", "jwks_uri": "https://idp2.example/keys"}`)
	for _, c := range []struct {
		name      string
		token     string
		documents map[string]*explain.Document
		asked     []string
		key       []string // the lines of the step "key"
		answer    int
	}{
		{"a JWK Set", scenario.First().Token(), map[string]*explain.Document{"https://idp1.example/jwks": set},
			[]string{"https://idp1.example/jwks"},
			[]string{`wanted: kid "k1", for RS256`, "1 usable key from https://idp1.example/jwks",
				`verified with kid "k1", thumbprint ` + scenario.First().Thumbprint()}, 0},
		{"a discovery document", scenario.First().Token(scenario.OfOrg2()),
			map[string]*explain.Document{"https://idp2.example/d": discovery, "https://idp2.example/keys": set},
			[]string{"https://idp2.example/d", "https://idp2.example/keys"},
			[]string{`wanted: kid "k1", for RS256`, "1 usable key from https://idp2.example/keys",
				`verified with kid "k1", thumbprint ` + scenario.First().Thumbprint()}, 403},
		{"nobody listens", scenario.First().Token(), nil,
			[]string{"https://idp1.example/jwks"},
			[]string{`wanted: kid "k1", for RS256`, "no keys: https://idp1.example/jwks: nobody listens"}, 503},
		{"not found", scenario.First().Token(),
			map[string]*explain.Document{"https://idp1.example/jwks": {Status: 404}},
			[]string{"https://idp1.example/jwks"},
			[]string{`wanted: kid "k1", for RS256`, "no keys: https://idp1.example/jwks: status 404"}, 503},
		{"a discovery document of another issuer", scenario.First().Token(scenario.OfOrg2()),
			map[string]*explain.Document{"https://idp2.example/d": document(`{"issuer": "x"}`)},
			[]string{"https://idp2.example/d"},
			[]string{`wanted: kid "k1", for RS256`,
				`no keys: https://idp2.example/d: discovery document: it is of another issuer (issuer "x", jwks_uri "")`}, 503},
		{"another key with the same kid", scenario.Stranger().Token(),
			map[string]*explain.Document{"https://idp1.example/jwks": set},
			[]string{"https://idp1.example/jwks"},
			[]string{`wanted: kid "k1", for RS256`, "1 usable key from https://idp1.example/jwks",
				`not signed with kid "k1", thumbprint ` + scenario.First().Thumbprint()}, 401},
		{"another kid", scenario.Rotated().Token(), map[string]*explain.Document{"https://idp1.example/jwks": set},
			[]string{"https://idp1.example/jwks"},
			[]string{`wanted: kid "k2", for RS256`, "1 usable key from https://idp1.example/jwks",
				"no key of the issuer fits"}, 401},
		{"a key that is not pinned", scenario.First().Token(scenario.Claims{"iss": "https://pinned.example"}),
			map[string]*explain.Document{"https://pinned.example/jwks": set},
			[]string{"https://pinned.example/jwks"},
			[]string{`wanted: kid "k1", for RS256`, "0 usable keys from https://pinned.example/jwks",
				`not used: key (kid "k1") with thumbprint ` + scenario.First().Thumbprint() + ": not pinned"}, 503},
		{"a certificate beside keys that are not there",
			scenario.First().Token(scenario.Claims{"iss": "https://both.example"}), nil,
			[]string{"https://both.example/jwks"},
			[]string{`wanted: kid "k1", for RS256`, "no keys: https://both.example/jwks: nobody listens",
				"1 usable key from certificateInline",
				"not signed with the key with thumbprint " + scenario.Second().Thumbprint()}, 503},
		{"an issuer that nobody knows", scenario.First().Token(scenario.Claims{"iss": "https://idp1.example"}), nil,
			nil, nil, 401},
		{"no token", "", nil, nil, nil, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := input(t, fetching, scenario.Request{Token: c.token})
			var asked []string
			in.Get = func(_ context.Context, l explain.Location) (*explain.Document, error) {
				asked = append(asked, l.URL)
				if d := c.documents[l.URL]; d != nil {
					return d, nil
				}
				return nil, errors.New("nobody listens")
			}
			e, err := explain.Explain(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			var key []string
			for _, s := range e.Steps {
				if s.Name == "key" {
					key = s.Lines
				}
			}
			answer := 0
			if e.Response != nil {
				answer = e.Response.Status
			}
			if diff := cmp.Diff([]any{c.asked, c.key, c.answer}, []any{asked, key, answer}); diff != "" {
				t.Errorf("asked for, key, status (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTokensAreNotRepeated: not even where a claim or a header repeats them.
func TestTokensAreNotRepeated(t *testing.T) {
	document := scenario.Expand(`{"forwardToken": true, "forwardPayload": "x-payload", "issuers": [{"name": "a", "issuer": "https://idp1.example/", "organization": "org1",
		"signatureValidation": {"jwks": {"inline": $FIRST}}}]}`)
	token := scenario.First().Token()
	in := input(t, document, scenario.Request{Token: token})
	in.Request.Headers = append(in.Request.Headers, [2]string{"x-debug", token})
	in.Request.Path = "/?debug=" + token
	e, err := explain.Explain(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if leak := leakOf(token, e); leak != "" || !e.Passed {
		t.Errorf("passed: %v; the explanation holds %q of the token", e.Passed, leak)
	}
	payload := fmt.Sprintf("x-payload: (the token's payload, %d bytes)", len(strings.Split(token, ".")[1]))
	if !slices.Contains(e.Upstream, payload) {
		t.Errorf("%q, want %q in it", e.Upstream, payload)
	}
}

// TestOtherPlacesForTokens: the token is found where the configuration takes it
// from, and taken out of there.
func TestOtherPlacesForTokens(t *testing.T) {
	token := scenario.First().Token()
	for _, c := range []struct {
		name, sources   string
		request         scenario.Request
		place, upstream string
	}{
		{"a header of its own", `{"headers": [{"name": "X-Token"}]}`,
			scenario.Request{Headers: scenario.Headers{{"x-token", token}}},
			"the header x-token", "x-token is removed"},
		{"the query", `{"headers": [], "query": ["t"]}`, scenario.Request{Path: "/?t=" + token},
			"the query parameter t", ":path is without the token"},
		{"the query, beside another parameter", `{"headers": [], "query": ["t"]}`,
			scenario.Request{Path: "/?a=b&t=" + token},
			"the query parameter t", ":path is without the token"},
		{"a cookie", `{"headers": [], "cookies": ["t"]}`,
			scenario.Request{Headers: scenario.Headers{{"cookie", "t=" + token}}},
			"the cookie t", "cookie is removed"},
		{"a cookie among others", `{"headers": [], "cookies": ["t"]}`,
			scenario.Request{Headers: scenario.Headers{{"cookie", "a=b; t=" + token}}},
			"the cookie t", "cookie is without the token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			document := scenario.Expand(`{"tokenSources": ` + c.sources + `, "issuers": [{"name": "a", "issuer": "https://idp1.example/", "organization": "org1",
				"signatureValidation": {"jwks": {"inline": $FIRST}}}]}`)
			e, err := explain.Explain(t.Context(), input(t, document, c.request))
			if err != nil {
				t.Fatal(err)
			}
			if !e.Passed || len(e.Upstream) == 0 || e.Upstream[0] != c.upstream {
				t.Errorf("passed: %v, %v", e.Passed, e.Upstream)
			}
			for _, s := range e.Steps {
				if s.Name == "token" && !strings.HasSuffix(s.Lines[0], "in "+c.place) {
					t.Errorf("%s, want it in %s", s.Lines[0], c.place)
				}
			}
			if leak := leakOf(token, e); leak != "" {
				t.Errorf("the explanation holds %q of the token", leak)
			}
		})
	}
}

// TestManyClaims: a token may have more claims than anybody reads.
func TestManyClaims(t *testing.T) {
	document := scenario.Expand(`{"issuers": [{"name": "a", "issuer": "https://idp1.example/", "organization": "org1",
		"signatureValidation": {"jwks": {"inline": $FIRST}}}]}`)
	claims := scenario.Claims{"aud": nil, "org_id": nil, "\x1b[31m": 1}
	for i := range 44 {
		claims[fmt.Sprintf("m%02d", i)] = i
	}
	e, err := explain.Explain(t.Context(), input(t, document, scenario.Request{Token: scenario.First().Token(claims)}))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range e.Steps {
		if s.Name != "claims" {
			continue
		}
		if unused := s.Lines[1]; !strings.HasPrefix(unused, `not used: "\x1b[31m", m00, m01`) ||
			!strings.HasSuffix(unused, ", m38 and 5 more") {
			t.Errorf("%q", unused)
		}
		return
	}
	t.Error("no step tells of claims")
}

// TestWhatIsSaidOfCallers: who calls, which headers are left out, and which
// alternatives there are.
func TestWhatIsSaidOfCallers(t *testing.T) {
	document := scenario.Expand(`{"issuers": [{"name": "a", "issuer": "https://idp1.example/", "organization": "org1",
		"rolesClaim": "roles", "missingUsername": "omit", "signatureValidation": {"jwks": {"inline": $FIRST}}}],
		"rules": [{"anyOf": [{"scopes": ["x"], "audiences": ["y"]}, {"roles": {"all": ["CN=a,OU=b"]}, "issuers": ["a"]}]}]}`)
	token := scenario.First().Token(scenario.Claims{"sub": nil, "azp": nil, "scope": nil,
		"roles": []string{"CN=a,OU=b"}})
	e, err := explain.Explain(t.Context(), input(t, document, scenario.Request{Token: token}))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, s := range e.Steps {
		got[s.Name] = s.Lines
	}
	want := [][]string{
		{"no username, and the issuer lets that pass (missingUsername)", `roles "CN=a,OU=b"`,
			"x-wso2-roles is left out: an element with the separator in it"},
		{"any of these, besides (anyOf):", `- scopes: any of "x"; audience: any of "y"`,
			`- roles: all of "CN=a,OU=b"; issuer: any of "a"`},
	}
	if diff := cmp.Diff(want, [][]string{got["identity"], got["demands"]}); diff != "" || !e.Passed {
		t.Errorf("passed: %v, -want +got\n%s", e.Passed, diff)
	}
}

// TestWhoStandsInIsSaid: a client for a user.
func TestWhoStandsInIsSaid(t *testing.T) {
	document := scenario.Expand(`{"issuers": [{"name": "a", "issuer": "https://idp1.example/", "organization": "org1",
		"missingUsername": "consumerKey", "signatureValidation": {"jwks": {"inline": $FIRST}}}]}`)
	for sub, want := range map[any][]string{
		"alice": {`username "alice"`, `consumer key "client-1"`, `scopes "orders:read", "profile"`},
		"": {`username "client-1"`, "the token names no user: the client stands in (missingUsername)",
			`consumer key "client-1"`, `scopes "orders:read", "profile"`},
	} {
		token := scenario.First().Token(scenario.Claims{"sub": sub})
		e, err := explain.Explain(t.Context(), input(t, document, scenario.Request{Token: token}))
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(e.Steps, func(s explain.Step) bool { return s.Name == "identity" })
		if diff := cmp.Diff(want, e.Steps[i].Lines); diff != "" {
			t.Errorf("sub %q (-want +got):\n%s", sub, diff)
		}
	}
}

// TestSizesAreSaid: of a token that is too long, and of the longest that is not.
func TestSizesAreSaid(t *testing.T) {
	for size, want := range map[int][]string{
		16385: {"token too large; 16385 bytes, in the header authorization", "limits.tokenBytes is 16384"},
		16384: {`alg "RS256", kid "k1", typ "JWT", 16384 bytes, in the header authorization`},
	} {
		request := scenario.Request{Path: "/org1", Token: scenario.First().Sized(size)}
		e, err := explain.Explain(t.Context(), input(t, scenario.Config(), request))
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(e.Steps, func(s explain.Step) bool { return s.Name == "token" })
		if diff := cmp.Diff(want, e.Steps[i].Lines); diff != "" {
			t.Errorf("%d bytes (-want +got):\n%s", size, diff)
		}
	}
}
