package policy

import (
	"fmt"
	"strconv"
	"testing"

	"orgate/config"
)

// manyRules returns a policy with n rules, of which the requests of the
// benchmarks match the seventh or a later one.
func manyRules(n int) *Policy {
	var rules []config.Rule
	for i := range n {
		id := strconv.Itoa(i)
		r := config.Rule{Name: "r" + id, Scopes: config.AnyOrAll{Values: []string{"read"}}}
		switch i % 4 {
		case 0:
			r.Match = config.Match{Hosts: []string{"h" + id + ".example.com"}}
		case 1:
			r.Match = config.Match{PathPrefix: "/api/" + id}
		case 2:
			r.Match = config.Match{PathTemplate: "/api/{x}/orders" + id + "/*", Methods: []string{"GET", "PUT"}}
		case 3:
			r.Match = config.Match{Hosts: []string{"*.h" + id + ".example.com"}, Path: "/api/" + id}
		}
		rules = append(rules, r)
	}
	rules = append(rules, config.Rule{Name: "last", Match: config.Match{Hosts: []string{"*.example.com"}, PathTemplate: "/api/*/orders/{id}", Methods: []string{"GET"}}})
	return policyOf(rules...)
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
		p := manyRules(n)
		b.Run(strconv.Itoa(n)+"rules", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				route(p, q)
			}
		})
	}
}

func BenchmarkIsIdentityHeader(b *testing.B) {
	p := policyOf()
	names := []string{":path", "accept", "user-agent", "x-forwarded-for", "x-wso2-username", "x-request-id-1234", "authorization"}
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
			c := &config.Config{Headers: defaultHeaders, Rules: []config.Rule{{
				Name: "r", Organization: literally("org0"), Scopes: config.AnyOrAll{Values: []string{"read"}},
			}}}
			for i := range n {
				id := strconv.Itoa(i)
				c.Issuers = append(c.Issuers, issuer("i"+id, "org"+id, byClaim))
			}
			p := New(c)
			proof, err := p.Proof(claimsOf(b, `{"iss":"`+iss+`","sub":"u","org":"org0","scope":"read write"}`))
			if err != nil {
				b.Fatal(err)
			}
			i, err := proof.Issuer(p.rules[0], "org0")
			if err != nil {
				b.Fatal(err)
			}
			id, err := i.Identify(claimsOf(b, `{"iss":"`+iss+`","sub":"u","org":"org0","scope":"read write"}`))
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
