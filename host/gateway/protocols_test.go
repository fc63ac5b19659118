package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/e2e/echo"
)

// http2Only is HTTP/2 without TLS, with prior knowledge.
func http2Only() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// speakHTTP2 has the client speak HTTP/2.
func (s *served) speakHTTP2() { s.client.Transport.(*http.Transport).Protocols = http2Only() }

func TestWebSocket(t *testing.T) {
	var handshake http.Header
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		handshake = r.Header
		conn, buffered, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+
			"websocket\r\nSec-WebSocket-Accept: yes\r\n\r\n")
		_, _ = io.Copy(conn, buffered)
	}))
	defer upstream.Close()
	s := serve(t, func(c *Config) { c.Upstream = parse(t, upstream.URL) })
	connect := func(headers ...string) *http.Response {
		req, err := http.NewRequest("GET", s.url+"/socket?q", nil)
		if err != nil {
			t.Fatal(err)
		}
		headers = append(headers, "Connection", "Upgrade", "Upgrade", "WebSocket", "Sec-WebSocket-Key", "key",
			"Sec-WebSocket-Version", "13")
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	res := connect()
	if res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Accept") != "yes" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	want := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"WebSocket"}, "Sec-Websocket-Key": {"key"},
		"Sec-Websocket-Version": {"13"},
		"X-Guest":               {"was here"}, "X-Agent": {"named"}, "X-Request-Id": handshake["X-Request-Id"],
		"User-Agent": {"Go-http-client/1.1"}}
	if diff := cmp.Diff(want, handshake); diff != "" {
		t.Errorf("handshake (-want +got):\n%s", diff)
	}
	conn := res.Body.(io.ReadWriteCloser)
	for _, message := range []string{"one", "two"} {
		got := make([]byte, len(message))
		if _, err := io.WriteString(conn, message); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != message {
			t.Errorf("%q, %v, want %q", got, err, message)
		}
	}
	conn.Close()
	s.log.wait(t, "msg=request", "path=/socket", "status=101")

	refused := connect("x-do", "answer")
	if body, _ := io.ReadAll(refused.Body); refused.StatusCode != 401 || string(body) != "no entry\n" {
		t.Errorf("refused: %d %q", refused.StatusCode, body)
	}
	refused.Body.Close()
}

// A WebSocket that stays is cut when the gateway stops.
func TestShutdownCutsWebSockets(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}))
	defer upstream.Close()
	s := serve(t, func(c *Config) { c.Upstream = parse(t, upstream.URL) })
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /socket HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	client := bufio.NewReader(conn)
	if line, err := client.ReadString('\n'); err != nil || !strings.Contains(line, "101") {
		t.Fatal(line, err)
	}
	ctx, cancel := contextThatEnded()
	defer cancel()
	if err := s.Shutdown(ctx); err == nil {
		t.Error("no error")
	}
	if _, err := io.Copy(io.Discard, client); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	s.log.wait(t, "msg=request", "path=/socket", "status=101")
	noneLeft(t)
}

func TestHTTP2WithPriorKnowledge(t *testing.T) {
	s := serve(t, nil)
	s.speakHTTP2()
	res, body := s.do(t, "POST", "/a//b%2f?q=1", bytes.NewReader(make([]byte, 3<<20)), "x-remove", "gone")
	if saw := seen(t, body); res.ProtoMajor != 2 || saw.Path != "/a//b%2f?q=1" || saw.BodyBytes != 3<<20 ||
		saw.Values("x-remove") != nil || saw.Values("x-guest") == nil {
		t.Errorf("%s, the upstream saw %+v", res.Proto, saw)
	}
	for _, body := range []string{"", "a body that nobody reads"} {
		res, got := s.do(t, "POST", "/", strings.NewReader(body), "x-do", "answer")
		if res.ProtoMajor != 2 || res.StatusCode != 401 || got != "no entry\n" {
			t.Errorf("%s %d %q", res.Proto, res.StatusCode, got)
		}
	}
}

// "curl --http2" asks for h2c and takes HTTP/1.1 for an answer.
func TestUpgradeToH2C(t *testing.T) {
	s := serve(t, nil)
	res, body := s.raw(t, "GET", "GET /a HTTP/1.1", "Host: api.test", "Connection: Upgrade, HTTP2-Settings",
		"Upgrade: h2c",
		"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", "")
	want := []echo.Header{{Name: "x-guest", Value: "was here"}}
	var got []echo.Header
	for _, h := range seen(t, body).Headers {
		if h.Name != "x-request-id" {
			got = append(got, h)
		}
	}
	if diff := cmp.Diff(want, got); res.StatusCode != 200 || diff != "" {
		t.Errorf("%d, the upstream saw (-want +got):\n%s", res.StatusCode, diff)
	}
}

// message frames a gRPC message.
func message(text string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...)
}

// grpcEcho is a gRPC server with one method, which sends each message back.
func grpcEcho(t *testing.T) *url.URL {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" || r.Header.Get("X-Guest") == "" {
			t.Errorf("the upstream is asked with %s: %v", r.Proto, r.Header)
		}
		rw.Header().Set("Content-Type", "application/grpc")
		if r.URL.Path == "/echo.Echo/Refuse" { // with trailers alone
			rw.Header().Set("Grpc-Status", "5")
			return
		}
		_ = http.NewResponseController(rw).Flush()
		for frame := make([]byte, 8); ; {
			if _, err := io.ReadFull(r.Body, frame); err != nil {
				break
			}
			_, _ = rw.Write(frame)
			_ = http.NewResponseController(rw).Flush()
		}
		rw.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		rw.Header().Set(http.TrailerPrefix+"X-Sum", r.Trailer.Get("X-Sum")+r.Trailer.Get("X-Remove"))
	}))
	server.Config.Protocols = http2Only()
	server.Start()
	t.Cleanup(server.Close)
	return parse(t, server.URL)
}

func TestGRPC(t *testing.T) {
	s := serve(t, func(c *Config) { c.Upstream = grpcEcho(t) })
	s.speakHTTP2()
	dials := 0
	s.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn,
		error) {
		dials++
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	call := func(method, do string) (*http.Response, *io.PipeWriter, http.Header) {
		body, send := io.Pipe()
		req, err := http.NewRequest("POST", s.url+"/echo.Echo/"+method, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Content-Type": {"application/grpc+proto"}, "Te": {"trailers"}, "X-Do": {do}}
		req.Trailer = http.Header{"X-Sum": nil, "X-Remove": nil}
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res, send, req.Trailer
	}
	t.Run("messages both ways, in turn", func(t *testing.T) {
		res, send, trailer := call("Both", "")
		for _, text := range []string{"one", "two"} {
			if _, err := send.Write(message(text)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 8)
			if _, err := io.ReadFull(res.Body, got); err != nil || !bytes.Equal(got, message(text)) {
				t.Fatalf("%q, %v", got, err)
			}
		}
		trailer.Set("X-Sum", "2")
		trailer.Set("X-Remove", "identity")
		send.Close()
		if _, err := io.ReadAll(res.Body); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(http.Header{"Grpc-Status": {"0"}, "X-Sum": {"2"}}, res.Trailer); res.StatusCode != 200 ||
			diff != "" {
			t.Errorf("%d, trailers (-want +got):\n%s", res.StatusCode, diff)
		}
	})
	// What refuses says so in headers that end the stream: clients take others
	// for the beginning of a response.
	for _, refusal := range []struct{ name, method, do, status string }{
		{"refused by the service", "Refuse", "", "5"},
		{"refused by the plugin", "Both", "answer", "16"},
	} {
		t.Run(refusal.name, func(t *testing.T) {
			res, send, _ := call(refusal.method, refusal.do)
			defer send.Close()
			body := fmt.Sprintf("%T", res.Body) // of a stream that ended with its headers
			if res.StatusCode != 200 || res.Header.Get("Grpc-Status") != refusal.status ||
				body != "http.http2noBodyReader" {
				t.Errorf("%d %v, body %s", res.StatusCode, res.Header, body)
			}
		})
	}
	if dials != 1 {
		t.Errorf("%d connections, want 1", dials)
	}
}

func TestTrailersThatThePluginRefuses(t *testing.T) {
	s := serve(t, nil)
	req, err := http.NewRequest("POST", s.url+"/", io.MultiReader(strings.NewReader("body")))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-do", "answer-trailers")
	req.Trailer = http.Header{"Sum": {"3"}}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 403 || string(body) != "bad trailers\n" {
		t.Errorf("%d %q %v", res.StatusCode, body, err)
	}
}

// TestServersOwnAnswers: what net/http answers by itself is logged.
func TestServersOwnAnswers(t *testing.T) {
	s := serve(t, nil)
	tests := map[string][]string{
		`status=400 refused="Bad Request: malformed Host header"`: {"GET / HTTP/1.1", "Host: a b", ""},
		`status=400 refused="Bad Request"`:                        {"nonsense and more", ""},
		`status=431 refused="Request Header Fields Too Large"`: {"GET / HTTP/1.1", "Host: api.test", "X-Long: " +
			strings.Repeat("x", 100<<10), ""},
		`status=501 refused="Not Implemented"`: {"POST / HTTP/1.1", "Host: api.test",
			"Transfer-Encoding: gzip", ""},
		`status=417 refused="Expectation Failed"`: {"POST / HTTP/1.1", "Host: api.test", "Expect: tea",
			"Content-Length: 1", "", "x"},
	}
	for want, lines := range tests {
		res, _ := s.raw(t, "GET", lines...)
		if got := fmt.Sprint("status=", res.StatusCode); !strings.HasPrefix(want, got) {
			t.Errorf("%s, want %s", got, want)
		}
		s.log.wait(t, "level=INFO msg=request "+want)
	}
	s.raw(t, "GET", "GET / HTTP/1.1", "Host: api.test", "", "GET /after-a-request HTTP/3.0", "")
	s.log.wait(t, `status=505 refused=`)
	s.do(t, "GET", "/", nil, "x-do", "answer")
	s.do(t, "GET", "/", nil, "x-do", "answer")
	if text := s.log.text(); strings.Contains(text, "status=401 refused") {
		t.Errorf("the plugin's answer is taken for the server's:\n%s", text)
	}
}

// TestEndInTwoPlaces: where one of two lengths is hidden, nothing more is taken
// for a request (RFC 9112 §6.1).
func TestEndInTwoPlaces(t *testing.T) {
	s := serve(t, nil)
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n"
	for name, request := range map[string]string{
		"Content-Length and Transfer-Encoding": "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: " +
			"60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"the same, refused": "POST / HTTP/1.1\r\nHost: api.test\r\nX-Do: answer\r\nContent-Length: " +
			"60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding in HTTP/1.0": "POST / HTTP/1.0\r\nHost: api.test\r\nConnection: " +
			"keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, request+smuggled); err != nil {
				t.Fatal(err)
			}
			all, _ := io.ReadAll(conn) // which may end with a reset
			if n := strings.Count(string(all), "HTTP/1."); n != 1 ||
				!strings.Contains(string(all), "\r\nConnection: close\r\n") {
				t.Errorf("%d responses:\n%s", n, all)
			}
		})
	}
	if strings.Contains(s.log.text(), "smuggled") {
		t.Error("the second request was served")
	}
}

// TestClusterTLS: a cluster's certificate has to be that of the name that it is
// said to have, as in the rendered proxies, whatever its address is.
func TestClusterTLS(t *testing.T) {
	names := make(chan string, 1)
	provider := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		names <- r.TLS.ServerName + " " + r.Host
	}))
	provider.Config.ErrorLog = log.New(io.Discard, "", 0)
	provider.StartTLS()
	defer provider.Close()
	roots := x509.NewCertPool()
	roots.AddCert(provider.Certificate()) // for example.com and 127.0.0.1
	for _, test := range []struct {
		name, serverName string
		roots            *x509.CertPool
		want, saw        string
	}{
		{"the certificate's host", "example.com", roots, "200 0", "example.com idp.test"},
		{"its address", "", roots, "200 0", " idp.test"},
		{"another host", "other.test", roots, "503 19", ""},
		{"authorities of the system", "example.com", nil, "503 19", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, func(c *Config) {
				c.Clusters = map[string]*url.URL{"idp": parse(t, provider.URL)}
				c.ServerNames = map[string]string{"idp": test.serverName}
				c.RootCAs = test.roots
			})
			_, body := s.do(t, "GET", "/", nil, "x-do", "callout", "x-cluster", "idp", "x-authority", "idp.test",
				"x-callout-path", "/")
			if diff := cmp.Diff([]string{test.want}, seen(t, body).Values("x-callout")); diff != "" {
				t.Errorf("the plugin saw (-want +got):\n%s", diff)
			}
			if test.saw == "" {
				return
			}
			if saw := <-names; saw != test.saw {
				t.Errorf("the provider is asked for %q, want %q", saw, test.saw)
			}
		})
	}
}
