package gate

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"orgate/config"
	"orgate/introspect"
	"orgate/jwks"
	"orgate/jwt"
)

// SelfTest is known requests with known verdicts. It has two purposes. An engine
// that computes wrongly must not serve. And an engine that compiles a function at
// its first call, as V8 does in Envoy, compiles what requests need before there
// are any.
//
// An opaque token waits for an introspection, which the test ends by itself, as a
// provider would.
//
// The test has a gate of its own: nothing of it is left in caches or counters.
type SelfTest struct {
	// Gate and Config judge the requests, and nothing else.
	Gate   *Gate
	Config *config.Config
	now    time.Time
	cases  []selfTestCase
}

// NewSelfTest is a test with tokens of every algorithm named: good, forged,
// expired and refused. Arithmetic is that of [Options].
func NewSelfTest(algorithms []string, arithmetic jwt.Arithmetic) (*SelfTest, error) {
	quoted := `"` + strings.Join(algorithms, `","`) + `"`
	c, err := config.Parse(fmt.Sprintf(selfTestDocument, quoted, joined(selfTestModulus), selfTestCurves))
	if err != nil {
		return nil, fmt.Errorf("self-test: %w", err)
	}
	t := &SelfTest{Config: c, now: selfTestTime, cases: selfTestCases(algorithms)}
	t.Gate, _, err = New(c, Options{Now: t.Now, Arithmetic: arithmetic})
	return t, err
}

// Now is the self-test's clock.
func (t *SelfTest) Now() time.Time { return t.now }

// Run judges the requests, each a second time when its token has been seen
// before. The error names the first wrong verdict.
func (t *SelfTest) Run() error {
	for i := range t.cases {
		c := &t.cases[i]
		t.now = selfTestTime
		if c.later {
			t.now = selfTestTime.AddDate(5, 0, 0)
		}
		for range 2 {
			if err := t.run(c); err != nil {
				return fmt.Errorf("self-test: %s: %w", c.name, err)
			}
		}
	}
	t.now = selfTestTime
	return nil
}

// Whole has each request go a longer way than through the gate: send returns the
// headers that an upstream would get, or the status of the response.
func (t *SelfTest) Whole(send func(headers [][2]string) (upstream [][2]string, status uint32)) error {
	for i := range t.cases {
		c := &t.cases[i]
		if c.later || c.answer != "" { // nobody answers here
			continue
		}
		upstream, status := send(c.request().Headers)
		organization := ""
		for _, h := range upstream {
			if h[0] == selfTestHeader {
				organization += h[1]
			}
		}
		if c.passes() != (status == 0 && upstream != nil) || organization != c.organization() {
			return fmt.Errorf("self-test: %s: status %d, organization %q: %w", c.name, status, organization, errUnfit)
		}
	}
	return nil
}

// errUnfit: the same code has decided otherwise elsewhere.
var errUnfit = errors.New("this engine is not fit to decide")

// errElsewhere: the algorithm needs an arithmetic that is not there.
var errElsewhere = errors.New("the proxy offers no function verify_signature, without which this algorithm is too slow")

// selfTestHeader tells the upstream the organization.
const selfTestHeader = "x-wso2-organization"

// selfTestTime is when the tokens of the self-test are good.
var selfTestTime = time.Unix(1_850_000_000, 0)

// selfTestDocument is a configuration that asks for a little of everything. It
// is complete but for the algorithms and the modulus.
const selfTestDocument = `{
"issuers": [{"name": "selftest", "issuer": "https://selftest.invalid/", "organization": "*", "organizationClaim": "org",
	"audiences": ["api"], "tokenTypes": ["jwt"], "algorithms": [%s], "rolesClaim": "roles", "requiredClaims": ["sub"],
	"roleMappings": [{"remoteRole": "admin", "localRole": "operator"}],
	"claimMappings": [{"remoteClaim": "sub", "localClaim": "x-subject"}],
	"signatureValidation": {"jwks": {"inline": {"keys": [{"kty": "RSA", "kid": "k", "e": "AQAB", "n": "%s"}, %s]}}}},
	{"name": "told", "issuer": "https://told.invalid/", "organization": "*", "organizationClaim": "org",
	"audiences": ["api"], "rolesClaim": "roles", "roleMappings": [{"remoteRole": "admin", "localRole": "operator"}],
	"tokenHandling": {"kind": "REFERENCE", "pattern": "op_[a-z]{4,}"},
	"introspection": {"url": "https://told.invalid/", "cluster": "told"}}],
"signatureVerification": "host",
"tokenSources": {"headers": [{"name": "authorization", "prefix": "Bearer "}], "query": ["token"], "cookies": ["token"]},
"rules": [
	{"name": "public", "match": {"pathPrefix": "/public"}, "public": true},
	{"name": "host", "match": {"hosts": ["*.tenant.invalid"]}, "organization": {"fromHost": "{org}.tenant.invalid"}},
	{"name": "path", "match": {"pathTemplate": "/t/{org}/**"}, "organization": {"fromPath": "/t/{org}/"},
		"claims": [{"claim": "azp", "in": ["client"]}], "consumerKeys": ["client"]},
	{"name": "scope", "match": {"path": "/scope"}, "organization": "org1", "scopes": {"all": ["none"]}},
	{"name": "role", "match": {"methods": ["POST"]}, "organization": "org1", "roles": ["none"]},
	{"name": "rest", "organization": "org1", "scopes": ["read"], "roles": ["operator"]}
]}`

// joined is a text without its line breaks.
func joined(lines string) string { return strings.ReplaceAll(lines, "\n", "") }

// selfTestCase is a request with a known verdict.
type selfTestCase struct {
	name, host, method, path, token string
	headers                         [][2]string
	later                           bool   // when the tokens have expired
	answer                          string // the provider's
	want                            string
}

func selfTestCases(algorithms []string) []selfTestCase {
	cases := []selfTestCase{
		{name: "no token", want: "missing"},
		{name: "malformed token", token: "a.b.c", want: "malformed"},
		{name: "opaque token", token: "a.b", want: "opaque"},
		{name: "opaque token that is active", token: "op_good", want: "ok",
			answer: strings.Replace(selfTestPayload, `{"iss":"https://selftest.invalid/"`, `{"active":true`, 1)},
		{name: "opaque token that is not", token: "op_gone", want: "inactive", answer: `{"active":false}`},
		{name: "unsigned token", token: selfTestToken("none", "AA"), want: "bad_algorithm"},
		{name: "no token asked for", path: "/public/", token: "a.b", want: "public"},
		{name: "ambiguous path", path: "/a/../b", want: "path"},
	}
	for _, algorithm := range algorithms {
		signature := joined(selfTestSignatures[algorithm])
		forged := "A" + signature[1:]
		if signature[0] == 'A' {
			forged = "B" + signature[1:]
		}
		good := selfTestToken(algorithm, signature)
		cases = append(cases,
			selfTestCase{name: algorithm, token: good, want: "ok"},
			selfTestCase{name: algorithm + ", forged", token: selfTestToken(algorithm, forged), want: "bad_signature"},
			selfTestCase{name: algorithm + ", expired", token: good, later: true, want: "expired"},
			selfTestCase{name: algorithm + ", in the host's organization", host: "org1.tenant.invalid", token: good,
				want: "ok"},
			selfTestCase{name: algorithm + ", in another host's", host: "org2.tenant.invalid", token: good,
				want: "organization"},
			selfTestCase{name: algorithm + ", in the path's organization", path: "/t/org1/x%20y", token: good,
				want: "ok"},
			selfTestCase{name: algorithm + ", in another path's", path: "/t/org2/x", token: good, want: "organization"},
			selfTestCase{name: algorithm + ", without a scope", path: "/scope", token: good, want: "scope"},
			selfTestCase{name: algorithm + ", without a role", method: "POST", token: good, want: "role"},
			selfTestCase{name: algorithm + ", twice", token: good, want: "ok", path: "/?a=b&token=" + good,
				headers: [][2]string{{"cookie", "a=b; token=" + good}, {"x-wso2-username", "mallory"}}},
			selfTestCase{name: algorithm + ", beside another", token: good, want: "several_tokens",
				headers: [][2]string{{"cookie", "token=a.b"}}},
		)
	}
	return cases
}

func selfTestToken(algorithm, signature string) string {
	encode := base64.RawURLEncoding.EncodeToString
	header := `{"alg":"` + algorithm + `","kid":"k","typ":"JWT"}`
	return encode([]byte(header)) + "." + encode([]byte(selfTestPayload)) + "." + signature
}

func (c *selfTestCase) passes() bool { return c.want == reasonOK || c.want == reasonPublic }

// organization is the one that the upstream must be told.
func (c *selfTestCase) organization() string {
	if c.want == reasonOK {
		return "org1"
	}
	return ""
}

func (c *selfTestCase) request() *Request {
	headers := [][2]string{
		{":authority", cmp.Or(c.host, "api.invalid")}, {":method", cmp.Or(c.method, "GET")},
		{":path", cmp.Or(c.path, "/")},
	}
	headers = append(headers, c.headers...)
	if c.token != "" {
		headers = append(headers, [2]string{"authorization", "Bearer " + c.token})
	}
	return &Request{EndOfStream: true, Headers: headers}
}

// run judges a request and renders what would become of it.
func (t *SelfTest) run(c *selfTestCase) error {
	request := c.request()
	d := t.Gate.Judge(request)
	if i := d.Introspection; i != nil && i.Begin(t.now) {
		i.Finish(t.now, introspect.Read(&jwks.Response{Status: 200, Body: c.answer}))
		request.Introspection = i
		d = t.Gate.Judge(request)
	}
	if errors.Is(d.Err, jwt.ErrUnavailable) {
		return errElsewhere
	}
	if got := d.Reason(); got != c.want || c.passes() != (d.Verdict == Pass) {
		return fmt.Errorf("the verdict is %q, not %q: %w", got, c.want, errUnfit)
	}
	if !c.passes() {
		if response := t.Gate.Response(&d); response.Status < 400 || response.Body == "" {
			return fmt.Errorf("the response is %d %q: %w", response.Status, response.Body, errUnfit)
		}
		return nil
	}
	told := ""
	for _, e := range d.Edits() {
		if e.Op == Add && e.Name == selfTestHeader {
			told += e.Value
		}
	}
	if told != c.organization() {
		return fmt.Errorf("the upstream is told %q, not %q: %w", told, c.organization(), errUnfit)
	}
	return nil
}
