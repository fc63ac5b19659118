package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"orgate/e2e/echo"
	"orgate/e2e/scenario"
	"orgate/host/hosttest"
)

// TestBoundTokens: a token that is bound to a certificate passes over a connection
// with it alone, and "orgate explain" says so.
func TestBoundTokens(t *testing.T) {
	upstream := httptest.NewServer(echo.Handler())
	defer upstream.Close()
	config := write(t, "orgate.json", []byte(scenario.Expand(`{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/",
		"organization": "org1", "signatureValidation": {"jwks": {"inline": $FIRST}}}]}`)))
	certificates := map[string]tls.Certificate{}
	files := map[string]string{"nobody": ""}
	var authorities []byte
	for _, name := range []string{"alice", "mallory"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true,
			BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		certificates[name] = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		files[name] = write(t, name+".pem", text)
		authorities = append(authorities, text...)
	}
	sum := sha256.Sum256(certificates["alice"].Certificate[0])
	token := scenario.First().Token(scenario.Claims{"iat": nil, "exp": time.Now().Unix() + 3600,
		"cnf": map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}})
	file := write(t, "token", []byte(token))
	g := run(t, "orgate", "--config", config, "--wasm", write(t, "orgate.wasm", hosttest.Wasm(t)), "--upstream",
		upstream.URL,
		"--workers", "1", "--client-ca", write(t, "ca.pem", authorities))
	for name, want := range map[string]int{"alice": 200, "mallory": 401, "nobody": 401} {
		client := &tls.Config{InsecureSkipVerify: true}
		explain := []string{"explain", "--config", config, "--token", file, "--request", "GET https://api.example/"}
		if certificate, ok := certificates[name]; ok {
			client.Certificates = []tls.Certificate{certificate}
			explain = append(explain, "--client-cert", files[name])
		}
		http1 := &http.Transport{TLSClientConfig: client.Clone()}
		http2 := &http.Transport{TLSClientConfig: client.Clone(), ForceAttemptHTTP2: true}
		for version, transport := range map[int]*http.Transport{1: http1, 2: http2} {
			req, err := http.NewRequest("GET", "https://"+g.listen+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			res, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			transport.CloseIdleConnections()
			if res.StatusCode != want || res.ProtoMajor != version {
				t.Errorf("%s: %s %d, want HTTP/%d and %d", name, res.Proto, res.StatusCode, version, want)
			}
		}
		out, err := exec.Command("orgate", explain...).CombinedOutput()
		if passes := err == nil; passes != (want == 200) || !bytes.Contains(out, []byte("binding")) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	g.stop(t, os.Interrupt)
}
