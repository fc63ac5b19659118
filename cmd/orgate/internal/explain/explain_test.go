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
	"orgate/host/hosttest"
)

// input is the explanation of a scenario's request, whose keys nobody fetches.
func input(t *testing.T, document string, r scenario.Request) *explain.Input {
	t.Helper()
	c, err := config.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	in := &explain.Input{
		Plugin: hosttest.Plugin(t), Document: document, Config: c, Token: r.Token, Now: scenario.Now,
		Request: explain.Request{Scheme: "https", Metadata: map[string]string{}},
		Get: func(context.Context, explain.Location) (*explain.Document, error) {
			return nil, errors.New("nobody listens")
		},
	}
	for _, h := range (scenario.Request{Method: r.Method, Host: r.Host, Path: r.Path, Headers: r.Headers}).Map() {
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
	for name, value := range r.RouteMetadata {
		in.Request.Metadata[name[0]+"."+name[1]] = value
	}
	return in
}

// bringsTokens reports whether a request has tokens in other places than the
// one that explanations use, or the table means another place.
func bringsTokens(in *explain.Input) bool {
	if sources := in.Config.TokenSources.Headers; len(sources) == 0 || sources[0] != (config.HeaderSource{Name: "authorization", Prefix: "Bearer "}) {
		return true
	}
	for _, h := range in.Request.Headers {
		for _, s := range in.Config.TokenSources.Headers {
			if h[0] == s.Name {
				return true
			}
		}
		if h[0] == "cookie" && len(in.Config.TokenSources.Cookies) > 0 {
			return true
		}
	}
	return strings.Contains(in.Request.Path, "?") && len(in.Config.TokenSources.Query) > 0
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

// TestStepsLeadToThePluginsVerdict explains the requests of the table of
// scenarios.
func TestStepsLeadToThePluginsVerdict(t *testing.T) {
	explained := 0
	for _, c := range table() {
		in := input(t, c.Configuration(), c.Request)
		if bringsTokens(in) {
			continue
		}
		explained++
		t.Run(c.Name, func(t *testing.T) {
			e, err := explain.Explain(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if len(e.Disagreements) > 0 {
				t.Errorf("%s\nsteps: %.2000v", strings.Join(e.Disagreements, "\n"), e.Steps)
			}
			status := 200
			if e.Answer != nil {
				status = int(e.Answer.Status)
			}
			if e.Passed != (c.Want.Status == 200) || status != c.Want.Status {
				t.Errorf("passed: %v, status %d, want %d", e.Passed, status, c.Want.Status)
			}
			for _, s := range e.Steps {
				if len(s.Lines) == 0 {
					t.Errorf("step %q says nothing", s.Name)
				}
			}
			if leak := leakOf(in.Token, e); leak != "" {
				t.Errorf("the explanation holds %q of the token", leak)
			}
		})
	}
	if explained < 100 {
		t.Errorf("%d scenarios were explained: the table has changed", explained)
	}
}

// leakOf returns a part of the token that an explanation holds, or "".
func leakOf(token string, e *explain.Explanation) string {
	var all []string
	for _, s := range e.Steps {
		all = append(all, s.Lines...)
	}
	all = append(append(all, e.Upstream...), e.Disagreements...)
	if e.Answer != nil {
		all = append(all, string(e.Answer.Body))
		for _, h := range e.Answer.Headers {
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
			[]string{`wanted: kid "k1", for RS256`, "1 usable key from https://idp1.example/jwks", `verified with kid "k1", thumbprint ` + scenario.First().Thumbprint()}, 0},
		{"a discovery document", scenario.First().Token(scenario.OfOrg2()), map[string]*explain.Document{"https://idp2.example/d": discovery, "https://idp2.example/keys": set},
			[]string{"https://idp2.example/d", "https://idp2.example/keys"},
			[]string{`wanted: kid "k1", for RS256`, "1 usable key from https://idp2.example/keys", `verified with kid "k1", thumbprint ` + scenario.First().Thumbprint()}, 403},
		{"nobody listens", scenario.First().Token(), nil,
			[]string{"https://idp1.example/jwks"},
			[]string{`wanted: kid "k1", for RS256`, "no keys: https://idp1.example/jwks: nobody listens"}, 503},
		{"not found", scenario.First().Token(), map[string]*explain.Document{"https://idp1.example/jwks": {Status: 404}},
			[]string{"https://idp1.example/jwks"},
			[]string{`wanted: kid "k1", for RS256`, "no keys: https://idp1.example/jwks: status 404"}, 503},
		{"a discovery document of another issuer", scenario.First().Token(scenario.OfOrg2()), map[string]*explain.Document{"https://idp2.example/d": document(`{"issuer": "x"}`)},
			[]string{"https://idp2.example/d"},
			[]string{`wanted: kid "k1", for RS256`,
				`no keys: https://idp2.example/d: it is of another issuer (issuer "x", jwks_uri "")`}, 503},
		{"another key with the same kid", scenario.Stranger().Token(), map[string]*explain.Document{"https://idp1.example/jwks": set},
			[]string{"https://idp1.example/jwks"},
			[]string{`wanted: kid "k1", for RS256`, "1 usable key from https://idp1.example/jwks", `not signed with kid "k1", thumbprint ` + scenario.First().Thumbprint()}, 401},
		{"another kid", scenario.Rotated().Token(), map[string]*explain.Document{"https://idp1.example/jwks": set},
			[]string{"https://idp1.example/jwks"},
			[]string{`wanted: kid "k2", for RS256`, "1 usable key from https://idp1.example/jwks", "no key of the issuer fits"}, 401},
		{"a key that is not pinned", scenario.First().Token(scenario.Claims{"iss": "https://pinned.example"}), map[string]*explain.Document{"https://pinned.example/jwks": set},
			[]string{"https://pinned.example/jwks"},
			[]string{`wanted: kid "k1", for RS256`, "0 usable keys from https://pinned.example/jwks",
				`not used: key (kid "k1") with thumbprint ` + scenario.First().Thumbprint() + ": not pinned"}, 503},
		{"a certificate beside keys that are not there", scenario.First().Token(scenario.Claims{"iss": "https://both.example"}), nil,
			[]string{"https://both.example/jwks"},
			[]string{`wanted: kid "k1", for RS256`, "no keys: https://both.example/jwks: nobody listens", "1 usable key from certificateInline",
				"not signed with the key with thumbprint " + scenario.Second().Thumbprint()}, 503},
		{"an issuer that nobody knows", scenario.First().Token(scenario.Claims{"iss": "https://idp1.example"}), nil, nil, nil, 401},
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
			if e.Answer != nil {
				answer = int(e.Answer.Status)
			}
			if diff := cmp.Diff([]any{c.asked, c.key, c.answer, []string(nil)}, []any{asked, key, answer, e.Disagreements}); diff != "" {
				t.Errorf("asked for, key, answer, disagreements (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTokensAreNotRepeated: not even where a claim or a header repeats them.
func TestTokensAreNotRepeated(t *testing.T) {
	document := scenario.Expand(`{"forwardToken": true, "forwardPayload": "x-payload", "issuers": [{"name": "a", "issuer": "https://idp1.example/", "organization": "org1",
		"signatureValidation": {"jwks": {"inline": $FIRST}}}]}`)
	in := input(t, document, scenario.Request{Token: scenario.First().Token()})
	in.Request.Headers = append(in.Request.Headers, [2]string{"x-debug", in.Token})
	in.Request.Path = "/?debug=" + in.Token
	e, err := explain.Explain(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if leak := leakOf(in.Token, e); leak != "" || !e.Passed {
		t.Errorf("passed: %v; the explanation holds %q of the token", e.Passed, leak)
	}
	payload := fmt.Sprintf("x-payload: (the token's payload, %d bytes)", len(strings.Split(in.Token, ".")[1]))
	if !slices.Contains(e.Upstream, payload) {
		t.Errorf("%q, want %q in it", e.Upstream, payload)
	}
}

// TestDisagreementsAreTold: another plugin, which lets everything pass, does
// not do what the steps lead to.
func TestDisagreementsAreTold(t *testing.T) {
	in := input(t, fetching, scenario.Request{})
	in.Plugin = hosttest.Compile(t, "../../../../host/gateway/testdata/guest")
	e, err := explain.Explain(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`passes: the steps lead to "false", the plugin says "true"`,
		`reason: the steps lead to "missing", the plugin says ""`,
	}
	if diff := cmp.Diff(want, e.Disagreements); diff != "" {
		t.Errorf("disagreements (-want +got):\n%s", diff)
	}
}

// TestOtherPlacesForTokens: the token is sent where the configuration takes it
// from, and taken out of there.
func TestOtherPlacesForTokens(t *testing.T) {
	for _, c := range []struct {
		name, sources, path, place, upstream string
	}{
		{"a header of its own", `{"headers": [{"name": "X-Token"}]}`, "/", "the header x-token", "x-token is removed"},
		{"the query", `{"headers": [], "query": ["t"]}`, "/", "the query parameter t", ":path is without the token"},
		{"the query, beside another parameter", `{"headers": [], "query": ["t"]}`, "/?a=b", "the query parameter t", ":path is without the token"},
		{"a cookie", `{"headers": [], "cookies": ["t"]}`, "/", "the cookie t", "cookie is removed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			document := scenario.Expand(`{"tokenSources": ` + c.sources + `, "issuers": [{"name": "a", "issuer": "https://idp1.example/", "organization": "org1",
				"signatureValidation": {"jwks": {"inline": $FIRST}}}]}`)
			e, err := explain.Explain(t.Context(), input(t, document, scenario.Request{Token: scenario.First().Token(), Path: c.path}))
			if err != nil {
				t.Fatal(err)
			}
			if !e.Passed || len(e.Disagreements) > 0 || len(e.Upstream) == 0 || e.Upstream[0] != c.upstream {
				t.Errorf("passed: %v, %v, %v", e.Passed, e.Disagreements, e.Upstream)
			}
			for _, s := range e.Steps {
				if s.Name == "token" && !strings.HasSuffix(s.Lines[0], "in "+c.place) {
					t.Errorf("%s, want it in %s", s.Lines[0], c.place)
				}
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
		if unused := s.Lines[1]; !strings.HasPrefix(unused, `not used: "\x1b[31m", m00, m01`) || !strings.HasSuffix(unused, ", m38 and 5 more") {
			t.Errorf("%q", unused)
		}
		return
	}
	t.Error("no step tells of claims")
}
