package idp

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
)

// Style is whose access tokens a tenant's look like.
type Style int

// The styles, with the issuer a tenant gets by default.
const (
	// Auth0 issues with "<url>/<tenant>/".
	Auth0 Style = iota
	// Asgardeo issues with "<url>/t/<tenant>/oauth2/token"; WSO2 Identity
	// Server looks the same.
	Asgardeo
	// Keycloak issues with "<url>/realms/<tenant>".
	Keycloak
	// EntraID issues with "<url>/<tenant>/v2.0".
	EntraID
)

func (s Style) String() string {
	switch s {
	case Auth0:
		return "Auth0"
	case Asgardeo:
		return "Asgardeo"
	case Keycloak:
		return "Keycloak"
	case EntraID:
		return "Entra ID"
	}
	return fmt.Sprintf("Style(%d)", int(s))
}

func (s Style) issuerPath(tenant string) string {
	switch s {
	case Asgardeo:
		return "/t/" + tenant + "/oauth2/token"
	case Keycloak:
		return "/realms/" + tenant
	case EntraID:
		return "/" + tenant + "/v2.0"
	}
	return "/" + tenant + "/"
}

func (s Style) defaultAudience(tenant string) string {
	if s == EntraID {
		return guid("audience", tenant)
	}
	return "https://api.example.com/" + tenant
}

// grant is what a token is issued for.
type grant struct {
	issuer, organization string
	client               Client
	audience             string
	scopes               []string
	now                  time.Time
	lifetime             time.Duration
}

// typ is the "typ" of the style's JOSE header.
func (s Style) typ() string {
	if s == Asgardeo {
		return "at+jwt"
	}
	return "JWT"
}

// claims returns a token's claims as the style writes them.
func (s Style) claims(g grant) map[string]any {
	scope := strings.Join(g.scopes, " ")
	roles := append([]string{}, g.client.Roles...)
	c := map[string]any{
		"iss": g.issuer,
		"iat": g.now.Unix(),
		"exp": g.now.Add(g.lifetime).Unix(),
		"azp": g.client.ID,
	}
	switch s {
	case Asgardeo:
		c["sub"] = g.client.ID
		c["aut"] = "APPLICATION"
		c["aud"] = g.audience
		c["nbf"] = g.now.Unix()
		c["client_id"] = g.client.ID
		c["jti"] = randomGUID()
		c["scope"] = scope
		c["org_id"] = g.organization
		c["org_name"] = g.organization
	case Keycloak:
		c["sub"] = guid("subject", g.issuer, g.client.ID)
		c["aud"] = g.audience
		c["jti"] = "trrtcc:" + randomGUID()
		c["typ"] = "Bearer"
		c["acr"] = "1"
		c["client_id"] = g.client.ID
		c["preferred_username"] = "service-account-" + g.client.ID
		c["scope"] = scope
		c["realm_access"] = map[string]any{"roles": roles}
		c["resource_access"] = map[string]any{g.client.ID: map[string]any{"roles": roles}}
	case EntraID:
		c["sub"] = guid("subject", g.issuer, g.client.ID)
		c["oid"] = guid("object", g.issuer, g.client.ID)
		c["aud"] = g.audience
		c["nbf"] = g.now.Unix()
		c["azpacr"] = "1"
		c["uti"] = randomGUID()
		c["scp"] = scope
		c["roles"] = roles
		c["tid"] = g.organization
		c["ver"] = "2.0"
	default:
		c["sub"] = g.client.ID + "@clients"
		c["aud"] = []string{g.audience}
		c["scope"] = scope
		c["permissions"] = append([]string{}, g.scopes...)
		c["gty"] = "client-credentials"
		c["org_id"] = g.organization
	}
	return c
}

// guid returns a GUID that the words determine.
func guid(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return formatGUID(sum[:16])
}

func randomGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return formatGUID(b[:])
}

func formatGUID(b []byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
