package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
)

// published is what a provider has at the location of its keys, what the built
// plugin makes of it and of a token, and what "orgate check --online" says of it.
type published struct {
	name   string
	answer string   // a document, or a whole response that begins with its status
	header []string // of the response: names and values in turn
	down   bool     // there is no provider
	leads  string   // a discovery document that leads there
	next   string   // the document ten minutes later

	verdict string // of a request with the token
	logged  string // part of the plugin's log; "": that it has the keys
	result  string // of the fetch, in the metrics; "": ok
	checked string // part of what the command says
}

// TestKeys: keys as providers publish them, and what failures look like.
func TestKeys(t *testing.T) {
	const (
		ok      = "200 ok"
		noKeys  = "503 keys_unavailable"
		used    = `used      kid "k1": `
		issuer1 = "https://idp1.example/"
	)
	n := base64.RawURLEncoding.EncodeToString(scenario.First().Key.N.Bytes())
	signed := base64.URLEncoding.EncodeToString(append([]byte{0}, scenario.First().Key.N.Bytes()...))
	standard := base64.StdEncoding.EncodeToString(append([]byte{0xfb, 0xff}, make([]byte, 256)...)) // "+/8…"
	// set is a JWK Set of the signer's key with other members.
	set := func(members string) string {
		jwk := map[string]json.RawMessage{}
		usual := fmt.Sprintf(`{"kty":"RSA","kid":"k1","use":"sig","alg":"RS256","n":%q,"e":"AQAB"}`, n)
		for _, text := range []string{usual, "{" + members + "}"} {
			if err := json.Unmarshal([]byte(text), &jwk); err != nil {
				t.Fatal(err)
			}
		}
		for name, value := range jwk {
			if string(value) == `"absent"` {
				delete(jwk, name)
			}
		}
		text, err := json.Marshal(map[string]any{"keys": []any{jwk}})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	byKid := func(certificate string) string {
		text, err := json.Marshal(map[string]string{"k1": certificate})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	certificate := scenario.First().Certificate()
	rows := []published{
		{name: "n with padding", answer: set(`"n":"` + padded(n) + `"`), verdict: ok, checked: used},
		{name: "n with a sign octet and padding", answer: set(`"n":"` + signed + `"`), verdict: ok, checked: used},
		{name: "e with a leading zero", answer: set(`"e":"AAEAAQ"`), verdict: ok, checked: used},
		{name: "n in standard base64", answer: set(`"n":"` + standard + `"`), verdict: noKeys,
			logged: `n is not base64url`, result: "no_usable_key", checked: `n is not base64url`},
		{name: "a token with a kid, and the only key without", answer: set(`"kid":"absent"`), verdict: ok,
			logged: "new (no kid)", checked: "used      usable key 1, without a kid: "},
		{name: "certificates by kid", answer: byKid(certificate), verdict: ok, checked: used},
		{name: "a key for RSASSA-PSS alone", answer: byKid(forPSS(certificate)), verdict: noKeys,
			result: "no_usable_key",
			logged: "the key is for RSASSA-PSS alone", checked: "the key is for RSASSA-PSS alone"},
		{name: "the key of the token's issuer", answer: set(`"issuer":"` + issuer1 + `"`), verdict: ok, checked: used},
		{name: "a key of another tenant", answer: set(`"issuer":"https://idp1.example/other/"`),
			verdict: "401 unknown_key", checked: `its tokens are those of the issuer "https://idp1.example/other/"`},

		{name: "nobody listens", down: true, verdict: noKeys, result: "no_answer",
			logged: `no answer: the proxy says "no healthy upstream" (status 503)`, checked: "connection refused"},
		{name: "the provider's own 503", answer: "503 ", header: []string{"Content-Type", "text/html"}, verdict: noKeys,
			result: "status", logged: `status 503; content-type "text/html"`,
			checked: `jwks.url: status 503; content-type "text/html"`},
		{name: "a page", answer: "200 <html>", header: []string{"Content-Type", "text/html"}, verdict: noKeys,
			result: "not_a_jwk_set", logged: `invalid JSON at byte 0; content-type "text/html"`,
			checked: `invalid JSON at byte 0; content-type "text/html"`},
		{name: "compressed", answer: "200 \x1f\x8b", header: []string{"Content-Encoding", "gzip"}, verdict: noKeys,
			result: "not_a_jwk_set", logged: `; content-encoding "gzip"`, checked: `; content-encoding "gzip"`},
		{name: "a redirect", answer: "302 ", header: []string{"Location", "https://idp1.example/login?state=s"},
			verdict: noKeys, result: "status",
			logged:  `status 302, a redirect to "https://idp1.example/login", which is not followed; there are no keys`,
			checked: `status 302, a redirect to "https://idp1.example/login", which is not followed`},
	}
	rows = append(rows,
		published{name: "a fault of jwks_uri", leads: `{"issuer":"https://idp1.example/",` +
			`"jwks_uri":"https://idp1.example/keys"}`, answer: "404 ", verdict: noKeys, result: "status",
			logged:  "fetch of https://idp1.example/keys: status 404; there are no keys",
			checked: "https://idp1.example/keys: status 404"},
		published{name: "a fault of the discovery document", leads: `{"issuer":"https://idp1.example"}`,
			verdict: noKeys,
			result:  "discovery", logged: "fetch of https://idp1.example/.well-known/openid-configuration: discovery " +
				"document: " +
				"it is of another issuer", checked: "jwks.wellKnown: discovery document: it is of another issuer"},
		published{name: "a rotation", answer: scenario.JWKS(scenario.First(), scenario.P256()), verdict: ok,
			next:   scenario.JWKS(scenario.First(), scenario.Rotated()),
			logged: `keys from https://idp1.example/jwks: old "k1", new "k2", gone "k1"`, checked: used},
	)
	for _, members := range []string{`"oth":[]`, `"d":null`, `"key_ops":[]`, `"alg":null`, `"use":""`, `"kid":null`,
		`"oth":[],"d":null,"p":"","q":"","dp":null,"dq":null,"qi":"","key_ops":[],"x5c":[],"x5t":"","k":null`} {
		row := published{name: members, answer: set(members), verdict: ok, checked: used}
		if strings.Contains(members, "kid") {
			row.logged, row.checked = "new (no kid)", "used      usable key 1, without a kid: "
		}
		if strings.Contains(members, "alg") {
			row.checked += "any algorithm"
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { row.test(t) })
	}

	const jwks = `"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1"}`
	const google = "https://www.googleapis.com/"
	at := func(path string) string { return fmt.Sprintf(`"jwks": {"url": %q, "cluster": "google"}`, google+path) }
	for keys, want := range map[string]string{
		at("oauth2/v1/certs"): "as a JWK Set are at " + google +
			"oauth2/v3/certs (x509-keys)",
		at("robot/v1/metadata/x509/a@s.gserviceaccount.com"): google +
			"service_accounts/v1/jwk/a@s.gserviceaccount.com (",
		`"certificate": {"certificateInline": ` + strconv.Quote(forPSS(certificate)) +
			`}`: "the key is for RSASSA-PSS " +
			"alone (id-RSASSA-PSS): publish it as an RSA key (rsaEncryption)",
	} {
		var stdout, stderr bytes.Buffer
		file := write(t, "orgate.json", []byte(strings.Replace(configuration, jwks, keys, 1)))
		execute(t.Context(), []string{"check", file}, &stdout, &stderr)
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%s: orgate check says %s%s\nwant %q in it", keys, &stdout, &stderr, want)
		}
	}
}

// forPSS is a certificate whose key is said to be for RSASSA-PSS alone (RFC 4055
// §1.2).
func forPSS(certificate string) string {
	block, _ := pem.Decode([]byte(certificate))
	const rsaEncryption, pss = "\x86\xf7\x0d\x01\x01\x01\x05\x00", "\x86\xf7\x0d\x01\x01\x0a\x05\x00"
	block.Bytes = bytes.Replace(block.Bytes, []byte(rsaEncryption), []byte(pss), 1)
	return string(pem.EncodeToMemory(block))
}

// padded is base64url with its padding.
func padded(text string) string { return text + strings.Repeat("=", -len(text)&3) }

// configuration has the issuer of [scenario.First]'s tokens.
const configuration = `{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
	"audiences": ["https://api.example"],
	"signatureValidation": {"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1"}}}]}`

func (p *published) test(t *testing.T) {
	server := httptest.NewServer(p)
	defer server.Close()
	if p.down {
		server.Close()
	}
	var stdout, stderr bytes.Buffer
	document := configuration
	if p.leads != "" {
		document = strings.Replace(document, `"url": "https://idp1.example/jwks"`,
			`"wellKnown": "https://idp1.example/.well-known/openid-configuration"`, 1)
	}
	file := write(t, "orgate.json", []byte(document))
	execute(t.Context(), []string{"check", "--online", "--cluster", "idp1=" + server.URL, file}, &stdout, &stderr)
	if !strings.Contains(stdout.String(), p.checked) || stderr.Len() > 0 {
		t.Errorf("orgate check: %s%s\nwant %q in it", &stdout, &stderr, p.checked)
	}

	w, err := e2e.NewWorker(hosttest.Plugin(t), document)
	if err != nil {
		t.Fatal(err)
	}
	defer w.VM.Close()
	fetch := func() {
		w.Tick()
		for callouts := w.VM.TakeCallouts(); len(callouts) > 0; callouts = w.VM.TakeCallouts() {
			if err := p.respond(callouts[0]); err != nil {
				t.Fatal(err)
			}
		}
	}
	fetch()
	s := w.Open(scenario.Request{Token: scenario.First().Token()})
	defer s.Close()
	got := e2e.Outcome(s)
	if got.Passed {
		got.Status = http.StatusOK
	}
	if verdict := fmt.Sprint(got.Status, " ", got.Reason); verdict != p.verdict {
		t.Errorf("verdict %q, want %q", verdict, p.verdict)
	}
	if p.next != "" {
		p.answer = p.next
		w.Time = w.Time.Add(10 * time.Minute)
		fetch()
	}
	log, logged := strings.Join(w.Log, "\n"), p.logged
	if logged == "" {
		logged = `issuer idp1: keys from https://idp1.example/jwks: new "k1"`
	}
	if !strings.Contains(log, logged) {
		t.Errorf("log %q, want %q in it", log, logged)
	}
	result := p.result
	if result == "" {
		result = "ok"
	} else if strings.Contains(log, "keys from") {
		t.Errorf("log %q reads as success", log)
	}
	if w.Metrics.Values()["orgate_jwks_fetchesissuer=.=idp1;.;result=.="+result+";.;"] == 0 {
		t.Errorf("no fetch with the result %s: %v", result, w.Metrics.Values())
	}
}

// TestOnlineTLS: a provider's certificate has to be that of the URL's host, as in
// the rendered proxies, and of an authority that is trusted.
func TestOnlineTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(&published{answer: scenario.JWKS(scenario.First())})
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	ca := write(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	const host = "example.com" // of the certificate, as 127.0.0.1 is
	for _, test := range []struct {
		name, host string
		flags      []string
		want       string
	}{
		{"the certificate's host", host, []string{"--ca", ca}, `used      kid "k1"`},
		{"another host", "idp1.example", []string{"--ca", ca}, "certificate is valid for example.com, "},
		{"authorities of the system", host, nil, "certificate signed by unknown authority"},
	} {
		t.Run(test.name, func(t *testing.T) {
			document := strings.Replace(configuration, "idp1.example/jwks", test.host+"/jwks", 1)
			args := append([]string{"check", "--online", "--cluster", "idp1=" + server.URL,
				write(t, "orgate.json", []byte(document))}, test.flags...)
			var stdout, stderr bytes.Buffer
			execute(t.Context(), args, &stdout, &stderr)
			if !strings.Contains(stdout.String(), test.want) {
				t.Errorf("%s%s\nwant %q in it", &stdout, &stderr, test.want)
			}
		})
	}
}

// ServeHTTP answers for the provider.
func (p *published) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, body := p.response(r.URL.Path)
	for i := 0; i < len(p.header); i += 2 {
		w.Header().Set(p.header[i], p.header[i+1])
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

// respond answers the plugin for the provider.
func (p *published) respond(c *host.Callout) error {
	if p.down {
		return c.FailStatus(http.StatusServiceUnavailable)
	}
	path, _ := c.Headers.Get(":path")
	status, body := p.response(path)
	headers := host.Headers{{":status", fmt.Sprint(status)}, {"date", "Sun, 22 Nov 2026 12:00:00 GMT"}}
	for i := 0; i < len(p.header); i += 2 {
		headers = append(headers, [2]string{strings.ToLower(p.header[i]), p.header[i+1]})
	}
	return c.Respond(headers, []byte(body), nil)
}

func (p *published) response(path string) (status int, body string) {
	if strings.HasPrefix(path, "/.well-known/") {
		return http.StatusOK, p.leads
	}
	if n, err := fmt.Sscanf(p.answer, "%d ", &status); n == 1 && err == nil {
		return status, p.answer[len("200 "):]
	}
	return http.StatusOK, p.answer
}
