package peers

import (
	"encoding/json"
	"testing"
)

// TestOpaqueTokens has the plugin ask each provider that issues opaque tokens beside
// JWTs. They pass to their organization's API and to no other, and what the provider
// does not know is refused.
func TestOpaqueTokens(t *testing.T) {
	for name, c := range map[string]struct {
		provider             func(*testing.T) *provider
		pattern, path, asker string
		user, scopes         string
	}{
		"zitadel/oidc": {zitadel, "[A-Za-z0-9_-]{20,}|ey.*", "/oauth/introspect", "opaque", "opaque", "openid"},
		"ory/fosite": {fositeServer, `ory_at_[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}|ey.*`, "/org1/introspect", "app",
			"app", "orders:read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := c.provider(t)
			p.configuration = asking(t, p.configuration, c.pattern, c.path, c.asker)
			g := startGateway(t, p)
			jwt, token := p.token(t, "org1"), p.opaque(t)
			g.passes(t, "org1", jwt)
			opaque := *g
			theirs := *p
			theirs.username, theirs.client, theirs.scopes = map[string]string{"org1": c.user},
				map[string]string{"org1": c.user}, c.scopes
			opaque.provider = &theirs
			opaque.passes(t, "org1", token)
			opaque.passes(t, "org1", token) // as it is remembered
			opaque.refuses(t, "org2", token, 403, "900908")
			opaque.refuses(t, "org1", invented(token), 401, "900901")
			opaque.refuses(t, "org1", "nonsense", 401, "900901")
		})
	}
}

// invented is a token that the provider has not issued, of the same form.
func invented(token string) string {
	last := byte('A')
	if token[len(token)-5] == last {
		last = 'B'
	}
	return token[:len(token)-5] + string(last) + token[len(token)-4:]
}

// asking is a configuration whose first issuer is asked about tokens.
func asking(t *testing.T, configuration, pattern, path, client string) string {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal([]byte(configuration), &document); err != nil {
		t.Fatal(err)
	}
	issuer := document["issuers"].([]any)[0].(map[string]any)
	keys := issuer["signatureValidation"].(map[string]any)["jwks"].(map[string]any)
	location, _ := keys["url"].(string)
	if location == "" {
		location = keys["wellKnown"].(string)
	}
	u := parse(t, location)
	u.Path = path
	issuer["tokenHandling"] = map[string]string{"kind": "CUSTOM", "pattern": pattern}
	issuer["introspection"] = map[string]any{"url": u.String(), "cluster": keys["cluster"], "clientId": client,
		"clientSecret": secret}
	delete(issuer, "scopesClaim") // "scope", which an introspection always has
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
