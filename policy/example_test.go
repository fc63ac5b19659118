package policy_test

import (
	"encoding/base64"
	"errors"
	"fmt"

	"orgate/config"
	"orgate/jwt"
	"orgate/policy"
)

// A token of one organization at the API of another.
func Example() {
	c, err := config.Parse(`{
		"issuers": [{
			"name": "idp", "issuer": "https://idp.example.com/", "organization": "*", "organizationClaim": "org_id",
			"signatureValidation": {"jwks": {"url": "https://idp.example.com/jwks", "cluster": "idp"}}
		}],
		"rules": [{"name": "tenants", "match": {"pathPrefix": "/t/"}, "organization": {"fromPath": "/t/{org}/"}}]
	}`)
	if err != nil {
		panic(err)
	}
	p := policy.New(c)
	token, err := jwt.Parse(encoded(`{"alg":"RS256"}`)+"."+
		encoded(`{"iss":"https://idp.example.com/","sub":"jane","org_id":"org1"}`)+".AAAA", 8192)
	if err != nil {
		panic(err)
	}
	for _, path := range []string{"/t/org1/orders", "/t/org2/orders", "/u/org1/orders", "/t/org1/../org2/orders"} {
		id, err := decide(p, &policy.Request{Method: "GET", Host: "api.example.com", Path: path}, token.Claims)
		switch {
		case errors.Is(err, policy.ErrAmbiguousPath):
			fmt.Println(path, "400:", err)
		case errors.Is(err, policy.ErrNoRule), errors.Is(err, policy.ErrOrganization):
			fmt.Println(path, "403:", err)
		default:
			fmt.Println(path, "200:", id.Headers)
		}
	}
	// Output:
	// /t/org1/orders 200: [[x-wso2-organization org1] [x-wso2-username jane]]
	// /t/org2/orders 403: organization: the token is of another
	// /u/org1/orders 403: no rule
	// /t/org1/../org2/orders 400: ambiguous path: dot segment
}

func decide(p *policy.Policy, q *policy.Request, claims jwt.Claims) (*policy.Identity, error) {
	rule, err := p.Route(q)
	if err != nil {
		return nil, err
	}
	required, err := rule.RequiredOrganization(q)
	if err != nil {
		return nil, err
	}
	proof, err := p.Proof(claims)
	if err != nil {
		return nil, err
	}
	issuer, err := proof.Issuer(rule, required)
	if err != nil {
		return nil, err
	}
	// Here the token is verified with the issuer's keys.
	identity, err := issuer.Identify(claims)
	if err != nil {
		return nil, err
	}
	return identity, rule.Authorize(required, issuer, identity)
}

func encoded(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
