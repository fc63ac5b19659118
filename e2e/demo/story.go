package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"orgate/e2e/echo"
	"orgate/e2e/idp"
)

// step is one request of the story.
type step struct {
	name string
	path string
	// tokens are sent in an Authorization header each.
	tokens func(ctx context.Context, s *stage) ([]string, error)
	// header is sent besides.
	header [2]string
	status int
	// code is WSO2's error code, "" if there is none.
	code string
	// identity is what the upstream sees: every header that begins with
	// "x-wso2-", and authorization. Only if status is 200.
	identity map[string]string
}

// orgOne and orgTwo are who the upstream sees.
func orgOne(scope string) map[string]string {
	return map[string]string{
		"x-wso2-organization": "org1",
		"x-wso2-username":     ordersApp.ID + "@clients",
		"x-wso2-consumer-key": ordersApp.ID,
		"x-wso2-scopes":       scope,
	}
}

func orgTwo() map[string]string {
	return map[string]string{
		"x-wso2-organization": "org2",
		"x-wso2-username":     "service-account-" + billing.ID,
		"x-wso2-consumer-key": billing.ID,
		"x-wso2-scopes":       "invoices:read",
		"x-wso2-roles":        "accountant",
	}
}

func nobody() map[string]string { return map[string]string{} }

// story is the table of requests, in the order they are sent.
var story = []step{
	{name: "org1's token on org1's API", path: "/org1/orders", tokens: fetchedOne("orders:read"), status: 200,
		identity: orgOne("orders:read")},
	{name: "org2's token on org2's API", path: "/org2/invoices", tokens: fetchedTwo, status: 200, identity: orgTwo()},
	{name: "org2's token on org1's API", path: "/org1/orders", tokens: fetchedTwo, status: 403, code: "900908"},
	{name: "org1's token on org2's API", path: "/org2/invoices", tokens: fetchedOne("orders:read"), status: 403,
		code: "900908"},
	{name: "no token", path: "/org1/orders", status: 401, code: "900902"},
	{name: "expired token", path: "/org1/orders",
		tokens: minted(func(s *stage) string { return s.org1.Expired("org1") }),
		status: 401, code: "900903"},
	{name: "payload changed after signing", path: "/org1/orders", tokens: minted(func(s *stage) string {
		return idp.Tamper(s.org1.Mint("org1"), "sub", "admin")
	}), status: 401, code: "900901"},
	{name: `algorithm "none"`, path: "/org1/orders",
		tokens: minted(func(s *stage) string { return s.org1.Unsigned("org1") }), status: 401, code: "900901"},
	{name: "HS256 with the public key as the secret", path: "/org1/orders",
		tokens: minted(func(s *stage) string { return s.org1.Confused("org1") }), status: 401, code: "900901"},
	{name: "signed by the other provider, same kid", path: "/org1/orders", tokens: minted(func(s *stage) string {
		return s.org1.Imposed("org1", s.org2, "org2")
	}), status: 401, code: "900901"},
	{name: "issuer nobody configured", path: "/org1/orders", tokens: minted(func(s *stage) string {
		return s.org1.Mint("org1", idp.Claim("iss", "https://other.example.com/"))
	}), status: 401, code: "900901"},
	{name: "token for another audience", path: "/org1/orders", tokens: minted(func(s *stage) string {
		return s.org1.Mint("org1", idp.WithAudience("https://other.example.com"))
	}), status: 401, code: "900901"},
	{name: "spoofed organization, good token", path: "/org1/orders", tokens: fetchedOne("orders:read"),
		header: [2]string{"X-WSO2-Organization", "org2"}, status: 200, identity: orgOne("orders:read")},
	{name: "spoofed organization, public path", path: "/public/prices",
		header: [2]string{"X-WSO2-Organization", "org2"}, status: 200, identity: nobody()},
	{name: "scope missing", path: "/org1/admin", tokens: fetchedOne("orders:read"), status: 403, code: "900910"},
	{name: "scope there", path: "/org1/admin", tokens: fetchedOne("orders:write"), status: 200,
		identity: orgOne("orders:write")},
	{name: "public path, no token", path: "/public/prices", status: 200, identity: nobody()},
	{name: "two tokens", path: "/org1/orders", tokens: func(ctx context.Context, s *stage) ([]string, error) {
		one, err := fetchedOne("orders:read")(ctx, s)
		if err != nil {
			return nil, err
		}
		two, err := fetchedTwo(ctx, s)
		return append(one, two...), err
	}, status: 401, code: "900901"},
	{name: "path that reads in two ways", path: "/org1/..%2forg2/invoices", tokens: fetchedOne("orders:read"),
		status: 400},
}

// told is the whole story.
var told = slices.Concat(story, otherTokens)

// otherTokens go on with tokens that are not signed with RSA.
var otherTokens = []step{
	{name: "opaque token", path: "/org1/orders", tokens: fetchedOther("opaque"), status: 200,
		identity: orgOne("orders:read")},
	{name: "opaque token on org2's API", path: "/org2/invoices", tokens: fetchedOther("opaque"), status: 403,
		code: "900908"},
	{name: "opaque token that was revoked", path: "/org1/orders", tokens: minted(func(s *stage) string {
		token := s.others.Mint("opaque")
		s.others.Revoke("opaque", token)
		return token
	}), status: 401, code: "900901"},
	{name: "opaque token of nobody", path: "/org1/orders", tokens: minted(func(*stage) string { return "nonsense" }),
		status: 401,
		code:   "900901"},
	{name: "ES256", path: "/org1/orders", tokens: fetchedOther("es256"), status: 200, identity: orgOne("orders:read")},
	{name: "ES256, payload changed after signing", path: "/org1/orders", tokens: minted(func(s *stage) string {
		return idp.Tamper(s.others.Mint("es256"), "sub", "admin")
	}), status: 401, code: "900901"},
}

// fetchedOther gets a token from another token endpoint of org1.
func fetchedOther(tenant string) func(context.Context, *stage) ([]string, error) {
	return func(ctx context.Context, s *stage) ([]string, error) {
		token, err := s.fetch(ctx, s.others, tenant, ordersApp, "orders:read")
		return []string{token}, err
	}
}

// fetchedOne gets a token from org1's token endpoint.
func fetchedOne(scope string) func(context.Context, *stage) ([]string, error) {
	return func(ctx context.Context, s *stage) ([]string, error) {
		token, err := s.fetch(ctx, s.org1, "org1", ordersApp, scope)
		return []string{token}, err
	}
}

// fetchedTwo gets a token from org2's token endpoint.
func fetchedTwo(ctx context.Context, s *stage) ([]string, error) {
	token, err := s.fetch(ctx, s.org2, "org2", billing, "")
	return []string{token}, err
}

// minted makes a token that no token endpoint would issue.
func minted(mint func(*stage) string) func(context.Context, *stage) ([]string, error) {
	return func(_ context.Context, s *stage) ([]string, error) { return []string{mint(s)}, nil }
}

// outcome is what came of a step.
type outcome struct {
	step
	err          error // nothing came back
	gotStatus    int
	gotCode      string
	gotIdentity  map[string]string
	wrongHeaders map[string]bool
}

// right reports whether everything is as the step expects.
func (o *outcome) right() bool {
	return o.err == nil && o.gotStatus == o.status && o.gotCode == o.code && len(o.wrongHeaders) == 0
}

// tell sends the requests.
func (s *stage) tell(ctx context.Context, steps []step) []*outcome {
	outcomes := make([]*outcome, len(steps))
	for i, st := range steps {
		outcomes[i] = s.take(ctx, st)
	}
	return outcomes
}

func (s *stage) take(ctx context.Context, st step) *outcome {
	o := &outcome{step: st}
	res, err := s.send(ctx, st)
	if err != nil {
		o.err = err
		return o
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		o.err = err
		return o
	}
	o.gotStatus = res.StatusCode
	if res.StatusCode != http.StatusOK {
		var refusal struct {
			Code string `json:"code"`
		}
		if json.Unmarshal(body, &refusal) == nil {
			o.gotCode = refusal.Code
		}
		return o
	}
	var saw echo.Answer
	if err := json.Unmarshal(body, &saw); err != nil {
		o.err = fmt.Errorf("upstream: %w", err)
		return o
	}
	o.judgeHeaders(&saw)
	return o
}

func (s *stage) send(ctx context.Context, st step) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+st.path, nil)
	if err != nil {
		return nil, err
	}
	if st.tokens != nil {
		tokens, err := st.tokens(ctx, s)
		if err != nil {
			return nil, err
		}
		for _, token := range tokens {
			req.Header.Add("Authorization", "Bearer "+token)
		}
	}
	if st.header[0] != "" {
		req.Header.Add(st.header[0], st.header[1])
	}
	return s.client.Do(req)
}

// judgeHeaders compares who the upstream saw with who it should have seen.
func (o *outcome) judgeHeaders(saw *echo.Answer) {
	o.gotIdentity, o.wrongHeaders = map[string]string{}, map[string]bool{}
	for _, h := range saw.Headers {
		if !strings.HasPrefix(h.Name, "x-wso2-") && h.Name != "authorization" {
			continue
		}
		if _, twice := o.gotIdentity[h.Name]; twice || o.identity[h.Name] != h.Value {
			o.wrongHeaders[h.Name] = true
		}
		o.gotIdentity[h.Name] = h.Value
	}
	for name := range o.identity {
		if _, ok := o.gotIdentity[name]; !ok {
			o.wrongHeaders[name] = true
		}
	}
}

func countWrong(outcomes []*outcome) int {
	n := 0
	for _, o := range outcomes {
		if !o.right() {
			n++
		}
	}
	return n
}
