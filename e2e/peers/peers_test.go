package peers

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/e2e/echo"
	"orgate/host/gateway"
	"orgate/host/hosttest"
)

// secret is every client's.
const secret = "0123456789abcdef"

// provider is an identity provider with two organizations, org1 and org2.
type provider struct {
	clusters      map[string]string // addresses by cluster
	configuration string
	// token asks for an access token of an organization.
	token func(t *testing.T, org string) string
	// opaque asks for a token that is not a JWT. nil: there are none.
	opaque func(t *testing.T) string
	// rotate has tokens signed with a new key from now on, for the organizations
	// in rotates. overlaps says that the key before stays published for a while.
	rotate   func(t *testing.T)
	rotates  []string
	overlaps bool
	// silent is the organization whose tokens have no kid, which does not say that
	// their key is new: they are refused until the keys are fetched anew.
	silent string
	// What the upstream sees, by organization.
	username, client map[string]string
	scopes           string
}

// TestProviders has each provider's tokens pass to their own organization's API
// and to no other, before and after a rotation.
func TestProviders(t *testing.T) {
	for name, newProvider := range map[string]func(*testing.T) *provider{
		"zitadel/oidc": zitadel, "ory/fosite": fositeServer, "oauth2-proxy/mockoidc": mockOIDC,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // A withdrawn key takes a few seconds to be known as such.
			p := newProvider(t)
			g := startGateway(t, p)
			before := map[string]string{"org1": p.token(t, "org1"), "org2": p.token(t, "org2")}
			for org, token := range before {
				g.passes(t, org, token)
				g.refuses(t, other(org), token, 403, "900908")
			}
			if p.opaque != nil {
				g.refuses(t, "org1", p.opaque(t), 401, "900901")
			}
			g.refuses(t, "org1", "", 401, "900902")
			p.rotate(t)
			for _, org := range []string{"org1", "org2"} {
				if token := p.token(t, org); org == p.silent {
					g.refuses(t, org, token, 401, "900901")
				} else {
					g.passes(t, org, token)
				}
			}
			for org, token := range before {
				if slices.Contains(p.rotates, org) && !p.overlaps && org != p.silent {
					g.refuses(t, org, token, 401, "900901")
				} else {
					g.passes(t, org, token)
				}
			}
		})
	}
}

func other(org string) string {
	if org == "org1" {
		return "org2"
	}
	return "org1"
}

// gate is a gateway with the plugin before an upstream.
type gate struct {
	*provider
	url string
}

func startGateway(t *testing.T, p *provider) *gate {
	t.Helper()
	upstream := httptest.NewServer(echo.Handler())
	t.Cleanup(upstream.Close)
	clusters := map[string]*url.URL{}
	for name, address := range p.clusters {
		clusters[name] = parse(t, address)
	}
	g, err := gateway.New(gateway.Config{
		Plugin:        hosttest.Compile(t, "../.."),
		Configuration: []byte(p.configuration),
		Upstream:      parse(t, upstream.URL),
		Clusters:      clusters,
		Workers:       1, // Others would know of a rotation from their next tick on.
	})
	if err != nil {
		t.Fatal(err)
	}
	listener := listen(t)
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := g.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &gate{p, "http://" + listener.Addr().String()}
}

// passes has a request reach the API of an organization, with the identity.
func (g *gate) passes(t *testing.T, org, token string) {
	t.Helper()
	status, body := g.request(t, org, token)
	if status != 200 {
		t.Fatalf("%s: answered %d %s", org, status, body)
	}
	var sent echo.Answer
	if err := json.Unmarshal([]byte(body), &sent); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, h := range sent.Headers {
		if h.Name == "authorization" || strings.HasPrefix(h.Name, "x-wso2-") {
			got[h.Name] = h.Value
		}
	}
	want := map[string]string{"x-wso2-organization": org, "x-wso2-username": g.username[org]}
	if g.client[org] != "" {
		want["x-wso2-consumer-key"] = g.client[org]
	}
	if g.scopes != "" {
		want["x-wso2-scopes"] = g.scopes
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: what the upstream saw (-want +got):\n%s", org, diff)
	}
}

// refuses has a request to the API of an organization answered by the plugin.
func (g *gate) refuses(t *testing.T, org, token string, wantStatus int, wantCode string) {
	t.Helper()
	status, body := g.request(t, org, token)
	for status == 503 { // The provider is asked again for such a kid no sooner than it may be.
		status, body = g.request(t, org, token)
	}
	if status != wantStatus || !strings.Contains(body, `"code":"`+wantCode+`"`) {
		t.Errorf("%s: answered %d %s, want %d with %s", org, status, body, wantStatus, wantCode)
	}
}

func (g *gate) request(t *testing.T, org, token string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, g.url+"/"+org+"/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return do(t, request)
}

// start serves what the function makes for the server's own address.
func start(t *testing.T, handler func(url string) http.Handler) (url string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	url = "http://" + server.Listener.Addr().String()
	server.Config.Handler = handler(url)
	server.Start()
	t.Cleanup(server.Close)
	return url
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       time.Minute,
}

func do(t *testing.T, request *http.Request) (status int, body string) {
	t.Helper()
	res, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(content)
}

// get is the response to a GET, of which the body is not read.
func get(t *testing.T, url string) *http.Response {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res
}

// clientCredentials asks for a token by a client's own credentials (RFC 6749
// §4.4), with more parameters, which are names and values in turn.
func clientCredentials(t *testing.T, endpoint, id, scope string, more ...string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret},
		"scope": {scope}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return accessToken(t, endpoint, form)
}

// accessToken asks a token endpoint (RFC 6749 §3.2). The client authenticates by
// Basic as well.
func accessToken(t *testing.T, endpoint string, form url.Values) string {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(form.Get("client_id"), form.Get("client_secret"))
	status, body := do(t, request)
	var response struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &response); err != nil || response.AccessToken == "" {
		t.Fatalf("%s: answered %d %s", endpoint, status, body)
	}
	return response.AccessToken
}

func newRSAKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newKeyID() string { return rand.Text() }
