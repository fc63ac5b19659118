package main

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// gateways answer a request without a token, and verify says what that means.
func TestVerify(t *testing.T) {
	const asks = `{"error_message":"Missing Credentials","code":"900902","error_description":"Send an access token."}`
	tests := []struct {
		name   string
		status int
		body   string
		code   int
		want   string
	}{
		{"the plugin", 401, asks, 0, "✓  GET URL: 401, the plugin asks for a token\n"},
		{"the plugin, in words", 401, "Send an access token.\n", 0, "✓  GET URL: 401, the plugin asks for a token\n"},
		{"an API that asks for a token itself", 401, "", 1, "✗  GET URL: 401, which is not the plugin's: "},
		{"no plugin", 200, asks, 1, "✗  GET URL: 200 without a token: the plugin is missing on this route, "},
		{"a redirect to a login", 302, "", 1, "✗  GET URL: 302 without a token: "},
		{"no rule", 403, "No rule allows access to the resource.\n", 1,
			"✗  GET URL: 403, the plugin has no rule for this request"},
		{"another refusal", 403, "", 1, "✗  GET URL: 403 without a token: "},
		{"no route", 404, "", 1, "✗  GET URL: 404, which is not the plugin's"},
		{"a plugin that is not loaded", 503, "", 1, "✗  GET URL: 503, no request passes: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "" || r.URL.Path != "/orders" {
					t.Errorf("request %v", r)
				}
				w.Header().Set("Location", "/login")
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer server.Close()
			var stdout, stderr bytes.Buffer
			code := execute(t.Context(), []string{"verify", "--url", server.URL + "/orders"}, &stdout, &stderr)
			got := strings.ReplaceAll(stdout.String(), server.URL+"/orders", "URL")
			if code != tt.code || !strings.HasPrefix(got, tt.want) || stderr.Len() > 0 {
				t.Errorf("exit status %d, want %d\n%s%s", code, tt.code, got, &stderr)
			}
		})
	}
}

// TestVerifyElsewhere: the name in the URL is that of the handshake and of the
// request, wherever the gateway is. One host without the plugin spoils it all.
func TestVerifyElsewhere(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "example.com" && r.TLS.ServerName == "example.com" {
			http.Error(w, "Send an access token.", http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	ca := write(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	at := server.Listener.Addr().String()
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--url", "https://example.com/"}, 0, "✓  GET https://example.com/: 401"},
		{[]string{"--url", "https://example.com/", "--url", "https://www.example.com/"}, 1,
			"✗  GET https://www.example.com/: 200"},
		{[]string{"--url", "https://other.org/"}, 1, "✗  GET https://other.org/: no answer: tls: failed to verify"},
	} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"verify", "--connect", at, "--ca", ca}, tt.args...)
		if code := execute(t.Context(), args, &stdout, &stderr); code != tt.code ||
			!strings.Contains(stdout.String(), tt.want) {
			t.Errorf("%q: exit status %d, want %d and %q\n%s%s", tt.args, code, tt.code, tt.want, &stdout, &stderr)
		}
	}
}

// TestVerifyWaits for a gateway that has the plugin after a while.
func TestVerifyWaits(t *testing.T) {
	again = 0
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked > 1 {
			http.Error(w, "Send an access token.", http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	var stdout, stderr bytes.Buffer
	code := execute(t.Context(), []string{"verify", "--url", server.URL, "--wait", "1h"}, &stdout, &stderr)
	if code != 0 || asked != 2 {
		t.Errorf("exit status %d after %d requests\n%s%s", code, asked, &stdout, &stderr)
	}
}

func TestVerifyUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                                   "--url is missing",
		"--url api.example.com":              `--url: must be an absolute http(s) URL, got "api.example.com"`,
		"--url http://a --connect a":         `--connect: must be host and port, got "a"`,
		"--url http://a --method HEAD":       `--method: the plugin is known by its body, got "HEAD"`,
		"--url http://a --wait -1s":          "--wait: must not be negative, got -1s",
		"--url http://u:p@a.example.com/":    `--url: must be an absolute http(s) URL, got "http://u:p@a.example.com/"`,
		"--url http://a.example.com/ orders": `unknown command "orders" for "orgate verify"`,
	} {
		var stdout, stderr bytes.Buffer
		code := execute(t.Context(), append([]string{"verify"}, strings.Fields(args)...), &stdout, &stderr)
		if code != 2 || !strings.Contains(stderr.String(), want) || stdout.Len() > 0 {
			t.Errorf("%q: exit status %d, standard error %q, want %q", args, code, &stderr, want)
		}
	}
}
