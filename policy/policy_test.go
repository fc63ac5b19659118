package policy

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"orgate/config"
	"orgate/jwt"
)

// claimsOf returns the claims of an unsigned token with this payload.
func claimsOf(t testing.TB, payload string) jwt.Claims {
	t.Helper()
	claims, err := parseClaims(payload)
	if err != nil {
		t.Fatalf("payload %s: %v", payload, err)
	}
	return claims
}

func parseClaims(payload string) (jwt.Claims, error) {
	encode := base64.RawURLEncoding.EncodeToString
	token, err := jwt.Parse(encode([]byte(`{"alg":"RS256"}`))+"."+encode([]byte(payload))+".AAAA", 1<<20)
	if err != nil {
		return jwt.Claims{}, err
	}
	return token.Claims, nil
}

// named returns the claim that the configuration names by a string.
func named(name string) config.ClaimName {
	c := config.ClaimName{Name: name}
	if strings.Contains(name, ".") {
		c.Path = strings.Split(name, ".")
	}
	return c
}

const iss = "https://idp.example.com/"

// issuer returns an issuer with the defaults of the configuration.
func issuer(name, organization string, changes ...func(*config.Issuer)) config.Issuer {
	i := config.Issuer{
		Name: name, Issuer: iss, Organization: organization, Environments: []string{config.Any},
		UsernameClaim: named("sub"), ScopesClaim: named("scope"), ConsumerKeyClaim: named("azp"),
		MissingOrganization: "refuse", ExcludeUnmappedRoles: true,
	}
	for _, change := range changes {
		change(&i)
	}
	return i
}

func byClaim(i *config.Issuer)  { i.OrganizationClaim = named("org") }
func orIssuer(i *config.Issuer) { i.MissingOrganization = "issuer" }
func shared(i *config.Issuer)   { i.SharedAcrossOrganizations = true }
func of(iss string) func(*config.Issuer) {
	return func(i *config.Issuer) { i.Issuer = iss }
}
func mapping(m map[string]string) func(*config.Issuer) {
	return func(i *config.Issuer) { i.OrganizationMapping = m }
}

// defaultHeaders are those of the configuration.
var defaultHeaders = config.Headers{
	Organization: "x-wso2-organization", Username: "x-wso2-username", ConsumerKey: "x-wso2-consumer-key",
	Scopes: "x-wso2-scopes", Roles: "x-wso2-roles",
}

func literally(organization string) config.Organization {
	return config.Organization{Literal: organization}
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}
