package grant_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/cmd/orgate/internal/grant"
)

// provider plays an authorization server, in this process.
type provider struct {
	token func(url.Values) (status int, body string)
	form  []url.Values // that came to the token endpoint
}

const issuer = "https://idp.example/"

func metadata() *grant.Metadata {
	return &grant.Metadata{Issuer: issuer, TokenEndpoint: issuer + "token", DeviceEndpoint: issuer + "device",
		AuthorizationEndpoint: issuer + "authorize"}
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == "/device":
		_, _ = io.WriteString(w, `{"device_code": "d1", "user_code": "WDJB-MJHT", "verification_uri": "https://idp.example/go", "interval": 7, "expires_in": 60}`)
	case r.URL.Path == "/token" && r.Method == http.MethodPost:
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		if id, secret, ok := r.BasicAuth(); ok {
			r.PostForm.Set("authorization", id+":"+secret)
		}
		p.form = append(p.form, r.PostForm)
		status, body := p.token(r.PostForm)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
	response := w.Result()
	response.Request = r
	return response, nil
}

func (p *provider) request(kind grant.Kind) *grant.Request {
	return &grant.Request{Kind: kind, Metadata: metadata(), ClientID: "app", Secret: "s3cret", Scopes: []string{"read"},
		Parameters: [][2]string{{"audience", "api"}}, Listen: "127.0.0.1:0", Client: &http.Client{Transport: p},
		Prompt: io.Discard}
}

func TestClientCredentials(t *testing.T) {
	p := &provider{token: func(url.Values) (int, string) {
		return 200, `{"access_token": "t1", "token_type": "Bearer", "id_token": "i1"}`
	}}
	r := p.request(grant.ClientCredentials)
	if token, err := r.Token(t.Context()); token != "t1" || err != nil {
		t.Errorf("%q, %v", token, err)
	}
	r.IDToken = true
	r.Metadata.AuthMethods = []string{"client_secret_post"}
	if token, err := r.Token(t.Context()); token != "i1" || err != nil {
		t.Errorf("%q, %v", token, err)
	}
	basic := url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}, "audience": {"api"},
		"authorization": {"app:s3cret"}}
	post := url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}, "audience": {"api"},
		"client_id": {"app"}, "client_secret": {"s3cret"}}
	if diff := cmp.Diff([]url.Values{basic, post}, p.form); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestErrorsHoldNoBody(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		body, want string
	}{
		"an error as RFC 6749 has it": {
			401, `{"error": "invalid_client", "error_description": "who?", "secret": "s3cret"}`,
			`https://idp.example/token: status 401, error "invalid_client", "who?"`},
		"a page": {502, `<html>s3cret`, `https://idp.example/token: status 502`},
	} {
		t.Run(name, func(t *testing.T) {
			p := &provider{token: func(url.Values) (int, string) { return c.status, c.body }}
			_, err := p.request(grant.ClientCredentials).Token(t.Context())
			if err == nil || err.Error() != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// TestDeviceCode: the provider is asked each time its interval has passed, and
// five seconds later from when it says that this is too often.
func TestDeviceCode(t *testing.T) {
	for name, c := range map[string]struct {
		answers []string
		token   string
		err     string
		after   time.Duration
	}{
		"the user agrees": {
			[]string{`{"error": "authorization_pending"}`, `{"error": "slow_down"}`,
				`{"access_token": "t1", "token_type": "Bearer"}`},
			"t1", "", (7 + 7 + 12) * time.Second},
		"the user does not": {[]string{`{"error": "access_denied"}`}, "", "access_denied", 7 * time.Second},
		"the user never does": {[]string{`{"error": "authorization_pending"}`}, "", "the code has expired",
			time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{token: func(form url.Values) (int, string) {
					if form.Get("device_code") != "d1" ||
						form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:device_code" {
						return 400, `{"error": "invalid_grant"}`
					}
					answer := c.answers[0]
					if len(c.answers) > 1 {
						c.answers = c.answers[1:]
					}
					if strings.Contains(answer, "error") {
						return 400, answer
					}
					return 200, answer
				}}
				var prompt bytes.Buffer
				r := p.request(grant.DeviceCode)
				r.Prompt = &prompt
				begun := time.Now()
				token, err := r.Token(t.Context())
				if token != c.token || (err != nil) != (c.err != "") || err != nil &&
					!strings.Contains(err.Error(), c.err) {
					t.Errorf("%q, %v", token, err)
				}
				if got := time.Since(begun); got != c.after {
					t.Errorf("after %v, want %v", got, c.after)
				}
				if want := "Visit https://idp.example/go and enter the code WDJB-MJHT\n"; prompt.String() != want {
					t.Errorf("prompt %q, want %q", &prompt, want)
				}
			})
		})
	}
}

// browser is a user's: it visits the address in the prompt, and the provider sends
// it back with an answer.
type browser struct {
	t        *testing.T
	answer   func(asked url.Values) url.Values
	statuses chan int
	asked    url.Values
}

func (b *browser) Write(prompt []byte) (int, error) {
	address, err := url.Parse(strings.TrimSpace(strings.TrimPrefix(string(prompt), "Visit ")))
	if err != nil {
		return 0, err
	}
	b.asked = address.Query()
	back := b.asked.Get("redirect_uri") + "?" + b.answer(b.asked).Encode()
	go func() {
		response, err := http.Get(back)
		if err != nil {
			b.t.Error(err)
			b.statuses <- 0
			return
		}
		_ = response.Body.Close()
		b.statuses <- response.StatusCode
	}()
	return len(prompt), nil
}

func TestAuthorizationCode(t *testing.T) {
	good := func(asked url.Values) url.Values { return url.Values{"state": asked["state"], "code": {"c1"}} }
	for name, c := range map[string]struct {
		answer     func(url.Values) url.Values
		tells      bool
		token, err string
	}{
		"the user agrees": {answer: good, token: "t1"},
		"the user does not": {answer: func(asked url.Values) url.Values {
			return url.Values{"state": asked["state"], "error": {"access_denied"}, "error_description": {"no"}}
		}, err: `the authorization endpoint says "access_denied", "no"`},
		"another issuer's answer": {answer: func(asked url.Values) url.Values {
			return url.Values{"state": asked["state"], "code": {"c1"}, "iss": {"https://other.example/"}}
		}, err: `the answer is of issuer "https://other.example/", not "https://idp.example/"`},
		"no issuer, which this one always tells": {answer: good, tells: true,
			err: `the answer is of issuer "", not "https://idp.example/"`},
		"no code": {answer: func(asked url.Values) url.Values { return url.Values{"state": asked["state"]} },
			err: "the authorization endpoint gave no code"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &browser{t: t, answer: c.answer, statuses: make(chan int, 1)}
			p := &provider{token: func(form url.Values) (int, string) {
				hash := sha256.Sum256([]byte(form.Get("code_verifier")))
				if base64.RawURLEncoding.EncodeToString(hash[:]) != b.asked.Get("code_challenge") ||
					form.Get("code") != "c1" ||
					form.Get("redirect_uri") != b.asked.Get("redirect_uri") {
					return 400, `{"error": "invalid_grant"}`
				}
				return 200, `{"access_token": "t1", "token_type": "Bearer"}`
			}}
			r := p.request(grant.AuthorizationCode)
			r.Prompt, r.Metadata.TellsIssuer = b, c.tells
			token, err := r.Token(t.Context())
			if token != c.token || (err != nil) != (c.err != "") || err != nil && err.Error() != c.err {
				t.Errorf("%q, %v", token, err)
			}
			if status := <-b.statuses; status != 200 {
				t.Errorf("the browser got %d", status)
			}
			for name, want := range map[string]string{"response_type": "code", "client_id": "app", "scope": "read",
				"audience":              "api",
				"code_challenge_method": "S256"} {
				if got := b.asked.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestAnswersWithAnotherState decide nothing: the command waits for its own.
func TestAnswersWithAnotherState(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := &browser{t: t, statuses: make(chan int, 1), answer: func(url.Values) url.Values {
		return url.Values{"state": {"another"}, "code": {"c1"}}
	}}
	p := &provider{
		token: func(url.Values) (int, string) { return 200, `{"access_token": "t1", "token_type": "Bearer"}` }}
	r := p.request(grant.AuthorizationCode)
	r.Prompt = b
	ended := make(chan error, 1)
	go func() {
		token, err := r.Token(ctx)
		ended <- fmt.Errorf("%q: %w", token, err)
	}()
	if status := <-b.statuses; status != http.StatusBadRequest {
		t.Errorf("the browser got %d", status)
	}
	cancel()
	if err := <-ended; err.Error() != `"": context canceled` {
		t.Error(err)
	}
}

func TestDiscover(t *testing.T) {
	const tenant = "https://login.example/{tid}/v2.0"
	for name, c := range map[string]struct{ issuer, document, err string }{
		"the issuer's": {
			issuer, `{"issuer": "https://idp.example/", "token_endpoint": "https://idp.example/token"}`, ""},
		"another's": {
			issuer, `{"issuer": "https://idp.example", "token_endpoint": "https://idp.example/token"}`,
			`it is of issuer "https://idp.example", not "https://idp.example/"`},
		"without endpoints": {issuer, `{"issuer": "https://idp.example/"}`, "it has no token_endpoint"},
		"a page":            {issuer, `<html>`, "not a discovery document"},
		"a tenant's":        {tenant, `{"issuer": "https://login.example/a-b/v2.0", "token_endpoint": "x"}`, ""},
		"no tenant's": {tenant, `{"issuer": "https://login.example/a/b/v2.0", "token_endpoint": "x"}`,
			"it is of issuer"},
		"shorter than both": {"https://a/{tid}/", `{"issuer": "https://a/", "token_endpoint": "x"}`, "it is of issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(
				func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.document) }))
			defer server.Close()
			m, err := grant.Discover(t.Context(), server.Client(), server.URL, c.issuer)
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) ||
				(m == nil) != (err != nil) {
				t.Errorf("%v, %v", m, err)
			}
		})
	}
}
