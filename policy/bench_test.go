package policy

import (
	"fmt"
	"strconv"
	"testing"
)

// manyRules returns a policy with n rules and a last one, which is for the
// requests of the benchmarks.
func manyRules(t testing.TB, n int) *Policy {
	var rules []string
	for i := range n {
		id := strconv.Itoa(i)
		match := ""
		switch i % 4 {
		case 0:
			match = `"hosts": ["h` + id + `.example.com"]`
		case 1:
			match = `"pathPrefix": "/api/` + id + `"`
		case 2:
			match = `"pathTemplate": "/api/{x}/orders` + id + `/*", "methods": ["GET", "PUT"]`
		case 3:
			match = `"hosts": ["*.h` + id + `.example.com"], "path": "/api/` + id + `"`
		}
		rules = append(rules, `{"name": "r`+id+`", "scopes": ["read"], "match": {`+match+`}}`)
	}
	return ruled(t, append(rules,
		`{"name": "last", "match": {"hosts": ["*.example.com"], "pathTemplate": "/api/*/orders/{id}", "methods": `+
			`["GET"]}}`)...)
}

var sink *Rule

func route(p *Policy, q *Request) {
	r, err := p.Route(q)
	if err != nil || r.Name != "last" {
		panic(fmt.Sprint(r, err))
	}
	sink = r
}

func BenchmarkRoute(b *testing.B) {
	q := &Request{Method: "GET", Host: "h7.example.com:443", Path: "/api/7777/orders/8?x=y"}
	for _, n := range []int{1, 100, 1000} {
		p := manyRules(b, n)
		b.Run(strconv.Itoa(n)+"rules", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				route(p, q)
			}
		})
	}
}

func BenchmarkIsIdentityHeader(b *testing.B) {
	p := ruled(b)
	names := []string{":path", "accept", "user-agent", "x-forwarded-for", "x-wso2-username", "x-request-id-1234",
		"authorization"}
	b.ReportAllocs()
	for b.Loop() {
		for _, name := range names {
			p.IsIdentityHeader(name)
		}
	}
}

// BenchmarkKnownToken is what policy adds to a request with a token seen
// before, with as many issuers for the same "iss".
func BenchmarkKnownToken(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(strconv.Itoa(n)+"issuers", func(b *testing.B) {
			var issuers []string
			for i := range n {
				id := strconv.Itoa(i)
				issuers = append(issuers, issuer("i"+id, "org"+id, byClaim))
			}
			p := policyOf(b, issuers, []string{`{"organization": "org0", "scopes": ["read"]}`})
			claims := claimsOf(b, `"sub":"u","org":"org0","scope":"read write"`)
			proof, err := p.Proof(claims)
			if err != nil {
				b.Fatal(err)
			}
			_, id, err := judged(b, p, p.rules[0], "org0", claims)
			if err != nil {
				b.Fatal(err)
			}
			q := &Request{Method: "GET", Host: "h", Path: "/"}
			b.ReportAllocs()
			for b.Loop() {
				r, _ := p.Route(q)
				required, _ := r.RequiredOrganization(q)
				i, _ := proof.Issuer(r, required)
				if err := r.Authorize(required, i, id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
