package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"orgate/e2e/echo"
	"orgate/e2e/idp"
	"orgate/host"
	"orgate/host/gateway"
)

// kid is the key identifier of both providers, for different keys.
const kid = "2026-01"

// What the clients of the two providers are.
var (
	ordersApp = idp.Client{ID: "orders-app", Secret: "orders-secret", Scopes: []string{"orders:read", "orders:write"}}
	billing   = idp.Client{ID: "billing-app", Secret: "billing-secret", Scopes: []string{"invoices:read"},
		Roles: []string{"accountant"}}
	gatewayClient = idp.Client{ID: "gateway", Secret: "s3cret & more"} // asks about opaque tokens
)

// stage is all that takes part in the story.
type stage struct {
	org1, org2 *idp.Provider
	others     *idp.Provider // of org1's other tokens
	url        string
	client     *http.Client
	closers    []func()
}

// telling is how the story is told.
type telling struct {
	wasm          string
	stay, verbose bool
}

// run tells the story, and counts the responses that are not as they should be.
func (t *telling) run(ctx context.Context, stdout, stderr io.Writer) (wrong int, err error) {
	log := io.Discard
	if t.verbose {
		log = stderr
	}
	s, err := newStage(ctx, t.wasm, log)
	if err != nil {
		return 0, err
	}
	defer s.close()
	_, _ = fmt.Fprintf(stdout, "%s\n\n", s.introduction())
	outcomes := s.tell(ctx, told)
	printTable(stdout, outcomes)
	if wrong = countWrong(outcomes); wrong > 0 {
		_, _ = fmt.Fprintf(stdout, "\n%d of %d responses are not as they should be.\n", wrong, len(outcomes))
	} else {
		_, _ = fmt.Fprintf(stdout, "\nAll %d responses are as they should be.\n", len(outcomes))
	}
	if t.stay && ctx.Err() == nil {
		_, _ = fmt.Fprintf(stdout, "\n%s\nCtrl-C ends it.\n", s.curls())
		<-ctx.Done()
	}
	return wrong, nil
}

// newStage starts everything. The error names what did not start.
func newStage(ctx context.Context, wasmFile string, log io.Writer) (_ *stage, err error) {
	s := &stage{client: &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       30 * time.Second,
	}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	wasm, err := os.ReadFile(wasmFile)
	if err != nil {
		return nil, fmt.Errorf("%w (make build builds the plugin)", err)
	}
	plugin, err := host.Compile(ctx, wasm)
	if err != nil {
		return nil, fmt.Errorf("plugin: %w", err)
	}
	s.closers = append(s.closers, func() { _ = plugin.Close() })
	s.org1 = idp.New(idp.WithTenant(idp.Tenant{Name: "org1", Style: idp.Auth0, KeyID: kid, Audience: audience,
		Clients: []idp.Client{ordersApp}}))
	s.org2 = idp.New(idp.WithTenant(idp.Tenant{Name: "org2", Style: idp.Keycloak, KeyID: kid, Audience: audience,
		Clients: []idp.Client{billing}}))
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	s.others = idp.New(
		idp.WithTenant(idp.Tenant{Name: "opaque", Audience: audience, Opaque: true,
			Clients: []idp.Client{ordersApp, gatewayClient}}),
		idp.WithTenant(idp.Tenant{Name: "es256", Audience: audience, Curve: curve, Clients: []idp.Client{ordersApp}}))
	for _, p := range []*idp.Provider{s.org1, s.org2, s.others} {
		p.Start()
		s.closers = append(s.closers, p.Close)
	}
	upstream, closeUpstream, err := listen("127.0.0.1:0", echo.Handler())
	if err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	s.closers = append(s.closers, closeUpstream)
	configuration, err := s.configuration()
	if err != nil {
		return nil, err
	}
	return s, s.startGateway(gateway.Config{
		Plugin:        plugin,
		Configuration: configuration,
		Upstream:      parse(upstream),
		Clusters: map[string]*url.URL{"idp1": parse(s.org1.URL()), "idp2": parse(s.org2.URL()),
			"idp3": parse(s.others.URL())},
		Workers: 2,
		Log:     slog.New(slog.NewTextHandler(log, nil)),
	})
}

// parse reads a URL of this program's own.
func parse(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

func (s *stage) startGateway(c gateway.Config) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	g, err := gateway.New(c)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	s.url = "http://" + l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(l)
	}()
	s.closers = append(s.closers, func() {
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = g.Shutdown(grace)
		<-done
	})
	return nil
}

// close stops everything, last first.
func (s *stage) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
	s.closers = nil
}

// audience is what both providers' tokens are for.
const audience = "https://api.example.com"

// configuration is the plugin's.
func (s *stage) configuration() ([]byte, error) {
	type object = map[string]any
	return json.MarshalIndent(object{
		"issuers": []object{
			{
				"name":              "org1-auth0",
				"issuer":            s.org1.Issuer("org1"),
				"organization":      "org1",
				"organizationClaim": "org_id",
				"audiences":         []string{audience},
				"signatureValidation": object{
					"jwks": object{"url": s.org1.JWKSURL("org1"), "cluster": "idp1"},
				},
			},
			{
				"name":          "org2-keycloak",
				"issuer":        s.org2.Issuer("org2"),
				"organization":  "org2",
				"audiences":     []string{audience},
				"usernameClaim": "preferred_username",
				"rolesClaim":    "realm_access.roles",
				"signatureValidation": object{
					"jwks": object{"wellKnown": s.org2.DiscoveryURL("org2"), "cluster": "idp2"},
				},
			},
			{
				"name":          "org1-opaque",
				"issuer":        s.others.Issuer("opaque"),
				"organization":  "org1",
				"audiences":     []string{audience},
				"tokenHandling": object{"kind": "REFERENCE", "pattern": "op_[a-z2-7]{26}"},
				"introspection": object{"url": s.others.IntrospectionURL("opaque"), "cluster": "idp3",
					"clientId": gatewayClient.ID, "clientSecret": gatewayClient.Secret},
			},
			{
				"name":         "org1-es256",
				"issuer":       s.others.Issuer("es256"),
				"organization": "org1",
				"audiences":    []string{audience},
				"algorithms":   []string{"ES256"},
				"signatureValidation": object{
					"jwks": object{"url": s.others.JWKSURL("es256"), "cluster": "idp3"},
				},
			},
		},
		"rules": []object{
			{"name": "public", "match": object{"pathPrefix": "/public"}, "public": true},
			{"name": "org1-admin", "match": object{"pathPrefix": "/org1/admin"}, "organization": "org1",
				"scopes": []string{"orders:write"}},
			{"name": "org1", "match": object{"pathPrefix": "/org1"}, "organization": "org1"},
			{"name": "org2", "match": object{"pathPrefix": "/org2"}, "organization": "org2"},
		},
	}, "", "  ")
}

// introduction says what runs where.
func (s *stage) introduction() string {
	return fmt.Sprintf(`org1's identity provider (like Auth0)     %s
org2's identity provider (like Keycloak)  %s
both sign with kid %q, with different keys
org1's other tokens, opaque and ES256     %s
gateway with the plugin                   %s`, s.org1.Issuer("org1"), s.org2.Issuer("org2"), kid, s.others.URL(), s.url)
}

// fetch gets a token from a token endpoint (RFC 6749 §4.4).
func (s *stage) fetch(ctx context.Context, p *idp.Provider, tenant string, c idp.Client, scope string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ID}, "client_secret": {c.Secret},
		"scope": {scope}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.TokenURL(tenant), strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return "", fmt.Errorf("token endpoint: %w", err)
	}
	if answer.AccessToken == "" {
		return "", fmt.Errorf("token endpoint: %d %s", res.StatusCode, answer.Error)
	}
	return answer.AccessToken, nil
}

// curls are commands that show the same by hand.
func (s *stage) curls() string {
	read := s.org1.Mint("org1", idp.WithScopes("orders:read"))
	write := s.org1.Mint("org1", idp.WithScopes("orders:write"))
	other := s.org2.Mint("org2")
	var b strings.Builder
	line := func(what, command string) { _, _ = fmt.Fprintf(&b, "# %s\n%s\n\n", what, command) }
	bearer := func(token, path string) string {
		return fmt.Sprintf("curl -si -H 'Authorization: Bearer %s' %s%s", token, s.url, path)
	}
	line("no token: 401", "curl -si "+s.url+"/org1/orders")
	line("public: 200", "curl -si "+s.url+"/public/prices")
	line("org1's token on org1's API: 200", bearer(read, "/org1/orders"))
	line("org2's token on org1's API: 403", bearer(other, "/org1/orders"))
	line("org2's token on org2's API: 200", bearer(other, "/org2/invoices"))
	line("a scope is missing: 403", bearer(read, "/org1/admin"))
	line("the scope is there: 200", bearer(write, "/org1/admin"))
	line("a fresh token from org1's provider: 200", fmt.Sprintf(
		`TOKEN=$(curl -s -d grant_type=client_credentials -d client_id=%s -d client_secret=%s -d scope=orders:read %s | `+
			`sed 's/.*"access_token":"\([^"]*\)".*/\1/'); curl -si -H "Authorization: Bearer $TOKEN" %s/org1/orders`,
		ordersApp.ID, ordersApp.Secret, s.org1.TokenURL("org1"), s.url))
	return b.String()
}
