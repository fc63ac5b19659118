package idp

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

func TestFaults(t *testing.T) {
	p := started(t)
	own, _ := p.Key("org1")
	other, _ := p.Key("org2")
	_, _, honest := get(t, p.JWKSURL("org1"))
	keysOf := func(t *testing.T, body string) []jose.JSONWebKey {
		t.Helper()
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(body), &set); err != nil {
			t.Fatal(err)
		}
		return set.Keys
	}
	tests := []struct {
		name  string
		fault Fault
		check func(t *testing.T, status int, header http.Header, body string)
	}{
		{"fails with 500", Fault{Kind: Fail}, func(t *testing.T, status int, _ http.Header, _ string) {
			if status != 500 {
				t.Errorf("status %d", status)
			}
		}},
		{"fails with 429", Fault{Kind: Fail, Status: 429, Header: http.Header{"retry-after": {"7"}}}, func(t *testing.T, status int, h http.Header, _ string) {
			if status != 429 || h.Get("Retry-After") != "7" {
				t.Errorf("status %d, header %v", status, h)
			}
		}},
		{"wrong content type", Fault{Kind: WrongContentType}, func(t *testing.T, _ int, h http.Header, body string) {
			if h.Get("Content-Type") != "text/html; charset=utf-8" || body != honest {
				t.Errorf("header %v, body %s", h, body)
			}
		}},
		{"empty document", Fault{Kind: Empty}, func(t *testing.T, status int, _ http.Header, body string) {
			if status != 200 || body != "" {
				t.Errorf("status %d, body %q", status, body)
			}
		}},
		{"half a document", Fault{Kind: Cut}, func(t *testing.T, status int, _ http.Header, body string) {
			if status != 200 || body != honest[:len(honest)/2] {
				t.Errorf("status %d, body %q", status, body)
			}
		}},
		{"another tenant's keys", Fault{Kind: OtherKeys, Keys: p, Tenant: "org2"}, func(t *testing.T, _ int, _ http.Header, body string) {
			k := keysOf(t, body)
			if len(k) != 1 || k[0].KeyID != "shared" || !other.PublicKey.Equal(k[0].Key) {
				t.Errorf("keys %v", k)
			}
		}},
		{"a key nobody has seen", Fault{Kind: OtherKeys}, func(t *testing.T, _ int, _ http.Header, body string) {
			k := keysOf(t, body)
			if len(k) != 1 || k[0].KeyID != "shared" || own.PublicKey.Equal(k[0].Key) {
				t.Errorf("keys %v", k)
			}
		}},
		{"private keys", Fault{Kind: PrivateKeys}, func(t *testing.T, _ int, _ http.Header, body string) {
			if k := keysOf(t, body); len(k) != 1 || k[0].IsPublic() {
				t.Errorf("keys %v", k)
			}
		}},
		{"no keys", Fault{Kind: NoKeys}, func(t *testing.T, _ int, _ http.Header, body string) {
			if k := keysOf(t, body); len(k) != 0 {
				t.Errorf("keys %v", k)
			}
		}},
		{"huge document", Fault{Kind: Huge, Size: 1 << 20}, func(t *testing.T, _ int, _ http.Header, body string) {
			if k := keysOf(t, body); len(body) != 1<<20 || len(k) != 1 || !own.PublicKey.Equal(k[0].Key) {
				t.Errorf("%d bytes, keys %v", len(body), k)
			}
		}},
		{"another header alone", Fault{Header: http.Header{"Cache-Control": {"max-age=1"}}}, func(t *testing.T, status int, h http.Header, body string) {
			if status != 200 || h.Get("Cache-Control") != "max-age=1" || body != honest {
				t.Errorf("status %d, header %v", status, h)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.Break("org1", JWKS, tt.fault)
			status, header, body := get(t, p.JWKSURL("org1"))
			tt.check(t, status, header, body)
			p.Heal("org1", JWKS)
			if status, _, body := get(t, p.JWKSURL("org1")); status != 200 || body != honest {
				t.Errorf("healed: status %d, body %s", status, body)
			}
		})
	}
	t.Run("truncated", func(t *testing.T) {
		p.Break("org1", JWKS, Fault{Kind: Truncated})
		defer p.Heal("org1", JWKS)
		res, err := http.Get(p.JWKSURL("org1"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err == nil || len(body) >= len(honest) {
			t.Errorf("read %d of %d bytes without an error", len(body), len(honest))
		}
	})
	t.Run("discovery of another issuer", func(t *testing.T) {
		p.Break("org2", Discovery, Fault{Kind: OtherIssuer})
		defer p.Heal("org2", Discovery)
		if _, _, body := get(t, p.DiscoveryURL("org2")); !strings.Contains(body, `"issuer":"`+p.Issuer("org2")+`-other"`) {
			t.Errorf("body %s", body)
		}
	})
}

func TestHang(t *testing.T) {
	tests := []struct {
		name string
		end  func(p *Provider, giveUp func())
		want int
	}{
		{"until healed", func(p *Provider, _ func()) { p.Heal("org1", JWKS) }, 200},
		{"until another fault", func(p *Provider, _ func()) { p.Break("org1", JWKS, Fault{Kind: Fail}) }, 200},
		{"until closed", func(p *Provider, _ func()) { p.Close() }, 0},
		{"until the client gives up", func(_ *Provider, giveUp func()) { giveUp() }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := New(WithURL("http://idp.test"), WithKeys(keys...), WithTenant(Tenant{Name: "org1"}))
				p.Break("org1", JWKS, Fault{Kind: Hang})
				ctx, giveUp := context.WithCancel(t.Context())
				defer giveUp()
				r, err := http.NewRequestWithContext(ctx, "GET", p.JWKSURL("org1"), nil)
				if err != nil {
					t.Fatal(err)
				}
				status := -1
				go func() {
					status = serve(p, r)
				}()
				synctest.Wait()
				if status != -1 {
					t.Fatalf("answered at once: %d", status)
				}
				tt.end(p, giveUp)
				synctest.Wait()
				if status != tt.want {
					t.Errorf("status %d, want %d", status, tt.want)
				}
			})
		})
	}
}

// serve returns the status of the answer, 0 if the connection was closed.
func serve(h http.Handler, r *http.Request) (status int) {
	defer func() {
		if recover() == http.ErrAbortHandler {
			status = 0
		}
	}()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(WithURL("http://idp.test"), WithKeys(keys...), WithTenant(Tenant{Name: "org1"}))
		p.Break("org1", JWKS, Fault{Kind: Slow, Delay: 3 * time.Second})
		r, err := http.NewRequestWithContext(t.Context(), "GET", p.JWKSURL("org1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		status := serve(p, r)
		if took := time.Since(begin); status != 200 || took != 3*time.Second {
			t.Errorf("status %d after %v, want 200 after 3s", status, took)
		}
	})
}

func TestRequestsAreCounted(t *testing.T) {
	p := started(t)
	get(t, p.JWKSURL("org1"))
	get(t, p.JWKSURL("org1"))
	get(t, p.DiscoveryURL("org2"))
	want := map[string]int{"/org1/jwks": 2, "/org2/.well-known/openid-configuration": 1}
	if diff := cmp.Diff(want, p.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	p.ResetRequests()
	if got := p.Requests(); len(got) != 0 {
		t.Errorf("after the reset: %v", got)
	}
}

func TestControl(t *testing.T) {
	p := started(t)
	if err := p.StartControl(); err != nil {
		t.Fatal(err)
	}
	do := func(t *testing.T, method, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, p.ControlURL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	steps := []struct {
		name, method, path string
		status             int
		body               string
		jwks               int // status of the JWKS endpoint afterwards
	}{
		{"break", "PUT", "/org1/jwks/fault?kind=fail&status=502", 204, "", 502},
		{"break otherwise", "PUT", "/org1/jwks/fault?kind=fail", 204, "", 500},
		{"heal", "DELETE", "/org1/jwks/fault", 204, "", 200},
		{"count", "GET", "/requests", 200, `{"/org1/jwks":3}`, 200},
		{"reset", "DELETE", "/requests", 204, "", 200},
		{"count again", "GET", "/requests", 200, `{"/org1/jwks":1}`, 200},
		{"rotate", "POST", "/org1/rotate?kid=next&overlap=true", 204, "", 200},
		{"unknown tenant", "POST", "/org9/rotate", 404, "no such tenant or endpoint\n", 200},
		{"unknown endpoint", "PUT", "/org1/door/fault?kind=fail", 404, "no such tenant or endpoint\n", 200},
		{"unknown kind", "PUT", "/org1/jwks/fault?kind=odd", 400, "kind: no fault \"odd\"\n", 200},
		{"status out of range", "PUT", "/org1/jwks/fault?kind=fail&status=99", 400, "status: must be from 200 to 599\n", 200},
		{"no duration", "PUT", "/org1/jwks/fault?kind=slow&delay=soon", 400, "delay: time: invalid duration \"soon\"\n", 200},
		{"no boolean", "POST", "/org1/rotate?overlap=perhaps", 400, "overlap: strconv.ParseBool: parsing \"perhaps\": invalid syntax\n", 200},
	}
	for _, s := range steps {
		status, body := do(t, s.method, s.path)
		if status != s.status || body != s.body {
			t.Errorf("%s: %d %q, want %d %q", s.name, status, body, s.status, s.body)
		}
		if got, _, _ := get(t, p.JWKSURL("org1")); got != s.jwks {
			t.Errorf("%s: JWKS endpoint answers %d, want %d", s.name, got, s.jwks)
		}
	}
	if _, kid := p.Key("org1"); kid != "next" {
		t.Errorf("kid %q after the rotation, want next", kid)
	}
}
