package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orgate/e2e/echo"
	"orgate/host"
	"orgate/host/hosttest"
)

// guest is the plugin in testdata/guest.
func guest(t *testing.T) *host.Plugin { return hosttest.Compile(t, "testdata/guest") }

// recorder keeps the log.
type recorder struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, string(b))
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
	return len(b), nil
}

// wait returns the first line from the given one on that holds each part.
func (r *recorder) wait(t *testing.T, parts ...string) string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		for _, line := range r.lines {
			if holds(line, parts) {
				r.mu.Unlock()
				return line
			}
		}
		if r.more == nil {
			r.more = make(chan struct{})
		}
		more := r.more
		r.mu.Unlock()
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("no log line with %q", parts)
		}
	}
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "")
}

func holds(line string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(line, p) {
			return false
		}
	}
	return true
}

// served is a gateway that runs.
type served struct {
	*Gateway
	url    string
	log    *recorder
	client *http.Client
}

// serve runs a gateway in front of an echo upstream.
func serve(t *testing.T, change func(*Config)) *served {
	t.Helper()
	upstream := httptest.NewServer(echo.Handler())
	t.Cleanup(upstream.Close)
	s := &served{log: &recorder{}}
	c := Config{
		Plugin:   guest(t),
		Upstream: parse(t, upstream.URL),
		Log:      slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		backOff:  time.Millisecond,
	}
	if change != nil {
		change(&c)
	}
	var err error
	if s.Gateway, err = New(c); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	s.client = &http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// do sends a request with headers given as name, value, name, value.
func (s *served) do(t *testing.T, method, path string, body io.Reader, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// seen is what the upstream saw.
func seen(t *testing.T, body string) *echo.Answer {
	t.Helper()
	a := &echo.Answer{}
	if err := json.Unmarshal([]byte(body), a); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return a
}

// raw sends lines as they are and reads one response.
func (s *served) raw(t *testing.T, method string, lines ...string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestUpstreamSeesWhatThePluginLeft(t *testing.T) {
	s := serve(t, nil)
	_, body := s.raw(t, "GET", "GET /a?q=1 HTTP/1.1", "Host: api.test",
		"X-Two: 1", "X-TWO: 2", "Accept: */*", "X-Remove: gone", "X-Forwarded-For: 10.1.1.1", "X-Forwarded-Host: named",
		"Connection: keep-alive, x-named, x-forwarded-host", "X-Named: hop", "Keep-Alive: 5", "TE: trailers",
		"Proxy-Authorization: secret",
		"X-Request-Id: mine", "")
	want := &echo.Answer{
		Method: "GET", Path: "/a?q=1", Host: "api.test",
		Headers: []echo.Header{
			{Name: "accept", Value: "*/*"},
			{Name: "te", Value: "trailers"},
			{Name: "x-forwarded-for", Value: "10.1.1.1"},
			{Name: "x-guest", Value: "was here"},
			{Name: "x-request-id", Value: "mine"},
			{Name: "x-two", Value: "1"},
			{Name: "x-two", Value: "2"},
		},
		BodySHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		Trailers:   []echo.Header{},
	}
	if diff := cmp.Diff(want, seen(t, body)); diff != "" {
		t.Errorf("upstream saw (-want +got):\n%s", diff)
	}
}

func TestExpectIsAnsweredHere(t *testing.T) {
	s := serve(t, nil)
	_, body := s.do(t, "POST", "/", strings.NewReader("abc"), "expect", "100-continue")
	if saw := seen(t, body); saw.BodyBytes != 3 || saw.Values("expect") != nil {
		t.Errorf("the upstream saw %+v", saw)
	}
}

func TestResponseTypeIsNotGuessed(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, "<html>")
	}))
	defer upstream.Close()
	s := serve(t, func(c *Config) { c.Upstream = parse(t, upstream.URL) })
	if res, body := s.do(t, "GET", "/", nil); res.Header["Content-Type"] != nil || body != "<html>" {
		t.Errorf("%v %q", res.Header, body)
	}
}

func TestRequestIDIsAdded(t *testing.T) {
	s := serve(t, nil)
	ids := map[string]bool{}
	for range 2 {
		_, body := s.do(t, "GET", "/", nil)
		v := seen(t, body).Values("x-request-id")
		if len(v) != 1 || len(v[0]) != 36 {
			t.Fatalf("x-request-id %q", v)
		}
		ids[v[0]] = true
	}
	if len(ids) != 2 {
		t.Error("both requests have the same id")
	}
}

func TestPathIsSentAsReceived(t *testing.T) {
	s := serve(t, nil)
	tests := map[string]string{
		"/":                           "/",
		"/a%2fb%2E%2e?x=%20&y":        "/a%2fb%2E%2e?x=%20&y",
		"/a/../b/./c":                 "/a/../b/./c",
		"/a|b\\c{d}":                  "/a|b\\c{d}",
		"/?":                          "/?",
		"//a//b":                      "http://api.test//a//b",
		"http://api.test/absolute?x":  "/absolute?x",
		"http://api.test?x":           "/?x",
		"http://api.test":             "/",
		"/redirect?to=http://other/#": "",
	}
	for target, want := range tests {
		t.Run(target, func(t *testing.T) {
			res, body := s.raw(t, "GET", "GET "+target+" HTTP/1.1", "Host: api.test", "Connection: close", "")
			if want == "" {
				if res.StatusCode != 400 {
					t.Errorf("status %d, want 400", res.StatusCode)
				}
				return
			}
			if got := seen(t, body); got.Path != want || got.Host != "api.test" {
				t.Errorf("upstream saw %s of %s, want %s", got.Path, got.Host, want)
			}
		})
	}
}

func TestOptionsOfTheServer(t *testing.T) {
	s := serve(t, nil)
	res, _ := s.raw(t, "OPTIONS", "OPTIONS * HTTP/1.1", "Host: api.test", "")
	if res.StatusCode != 200 {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	s.log.wait(t, "msg=request", "method=OPTIONS", "path=*")
}

func TestRefusals(t *testing.T) {
	s := serve(t, nil)
	tests := []struct {
		name   string
		method string
		lines  []string
		status int
		body   string
	}{
		{"CONNECT", "CONNECT", []string{"CONNECT db.test:5432 HTTP/1.1", "Host: db.test:5432", ""}, 403,
			"CONNECT is not supported\n"},
		{"upgrade", "GET", []string{"GET / HTTP/1.1", "Host: api.test", "Connection: Upgrade", "Upgrade: TLS/1.0", ""},
			403,
			"of upgrades, WebSocket alone is supported\n"},
		{"no host", "GET", []string{"GET / HTTP/1.0", ""}, 400, "the request names no host\n"},
		{"neither path nor URL", "GET", []string{"GET mailto:a?x://b/c HTTP/1.1", "Host: api.test", ""}, 400,
			"the request's target is neither a path nor an http(s) URL\n"},
		{"another scheme", "GET", []string{"GET ftp://api.test/ HTTP/1.1", "Host: api.test", ""}, 400,
			"the request's target is neither a path nor an http(s) URL\n"},
		{"asterisk", "GET", []string{"GET * HTTP/1.1", "Host: api.test", ""}, 400,
			"the request's target is neither a path nor an http(s) URL\n"},
		{"fragment", "GET", []string{"GET /a#b HTTP/1.1", "Host: api.test", ""}, 400,
			"the request's target has a fragment\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, body := s.raw(t, tt.method, tt.lines...)
			if res.StatusCode != tt.status || body != tt.body {
				t.Errorf("%d %q, want %d %q", res.StatusCode, body, tt.status, tt.body)
			}
		})
	}
	if n := s.metrics.Values()["guest_streams"]; n != 0 {
		t.Errorf("the plugin saw %d of them", n)
	}
}

func TestLocalResponse(t *testing.T) {
	s := serve(t, nil)
	for _, body := range []string{"", "a body that nobody reads"} {
		res, got := s.do(t, "POST", "/", strings.NewReader(body), "x-do", "answer")
		if res.StatusCode != 401 || got != "no entry\n" || res.Header.Get("X-Local") != "yes" {
			t.Errorf("%d %v %q", res.StatusCode, res.Header, got)
		}
	}
	res, got := s.do(t, "HEAD", "/", nil, "x-do", "answer")
	if res.StatusCode != 401 || got != "" {
		t.Errorf("HEAD: %d %q", res.StatusCode, got)
	}
}

func TestPausedUntilTick(t *testing.T) {
	s := serve(t, func(c *Config) { c.Configuration = []byte("tick") })
	res, body := s.do(t, "POST", "/", strings.NewReader("abc"), "x-do", "tick")
	if got := seen(t, body); res.StatusCode != 200 || got.BodyBytes != 3 {
		t.Errorf("%d, %d bytes", res.StatusCode, got.BodyBytes)
	}
}

func TestCallouts(t *testing.T) {
	var requests []string
	var mu sync.Mutex
	released := make(chan struct{})
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		requests = append(requests, r.Method+" "+r.Host+r.RequestURI+" "+r.Header.Get("X-Sent")+r.Header.Get(
			"User-Agent"))
		mu.Unlock()
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/keys", http.StatusFound)
		case "/long":
			_, _ = w.Write(bytes.Repeat([]byte("x"), maxCalloutBody+1))
		case "/longest":
			_, _ = w.Write(bytes.Repeat([]byte("x"), maxCalloutBody))
		case "/slow":
			select {
			case <-r.Context().Done():
			case <-released:
			}
		case "/broken":
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("x"))
		default:
			_, _ = w.Write([]byte("0123456789"))
		}
	}))
	defer provider.Close()
	defer close(released)
	down := httptest.NewServer(nil)
	down.Close()
	s := serve(t, func(c *Config) {
		c.Clusters = map[string]*url.URL{"idp": parse(t, provider.URL), "down": parse(t, down.URL)}
	})
	tests := []struct {
		name, cluster, path, want string
	}{
		{"answer", "idp", "/keys?x=%2f", "200 10"},
		{"redirect is not followed", "idp", "/redirect", "302 28"},
		{"answer of 1 MiB", "idp", "/longest", "200 1048576"},
		{"answer of more than 1 MiB", "idp", "/long", "none 0"},
		{"answer that breaks off", "idp", "/broken", "none 0"},
		{"timeout", "idp", "/slow", "504 24"},
		{"nobody listens", "down", "/keys", "503 19"},
		{"unknown cluster", "other", "/keys", "refused: error status returned by host: bad argument"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, body := s.do(t, "GET", "/", nil, "x-do", "callout", "x-cluster", tt.cluster, "x-authority",
				"callout.test",
				"x-callout-path", tt.path)
			if diff := cmp.Diff([]string{tt.want}, seen(t, body).Values("x-callout")); diff != "" {
				t.Errorf("the plugin saw (-want +got):\n%s", diff)
			}
		})
	}
	mu.Lock()
	defer mu.Unlock()
	if want := "GET callout.test/keys?x=%2f by the guest"; requests[0] != want {
		t.Errorf("the cluster saw %q, want %q", requests[0], want)
	}
	if strings.Contains(s.log.text(), "%2f") {
		t.Error("the log has the callout's query")
	}
}

func TestBodiesAreStreamed(t *testing.T) {
	s := serve(t, nil)
	body, send := io.Pipe()
	req, err := http.NewRequest("POST", s.url+"/stream", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"Sum": nil, "X-Remove": nil}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := bufio.NewReader(res.Body)
	for i := range 3 { // each part comes back before the next is sent
		part := fmt.Sprintf("part %d\n", i)
		if _, err := io.WriteString(send, part); err != nil {
			t.Fatal(err)
		}
		if got, err := r.ReadString('\n'); err != nil || got != part {
			t.Fatalf("%q, %v, want %q", got, err, part)
		}
	}
	req.Trailer.Set("Sum", "3")
	req.Trailer.Set("X-Remove", "identity")
	send.Close()
	if _, err := io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Sum": {"3"}, "X-Guest-Trailer": {"1"}}
	if diff := cmp.Diff(want, res.Trailer); diff != "" {
		t.Errorf("trailers (-want +got):\n%s", diff)
	}
}

func TestLargeBody(t *testing.T) {
	s := serve(t, nil)
	const size = 5 << 20
	_, body := s.do(t, "POST", "/", bytes.NewReader(make([]byte, size)))
	if got := seen(t, body); got.BodyBytes != size ||
		got.BodySHA256 != "c036cbb7553a909f8b8877d4461924307f27ecb66cff928eeeafd569c3887e29" {
		t.Errorf("%d bytes, %s", got.BodyBytes, got.BodySHA256)
	}
}

func TestUpstreamDown(t *testing.T) {
	down := httptest.NewServer(nil)
	down.Close()
	s := serve(t, func(c *Config) { c.Upstream = parse(t, down.URL) })
	for _, body := range []string{"", "some"} {
		res, got := s.do(t, "POST", "/", strings.NewReader(body))
		if res.StatusCode != 503 || !strings.HasPrefix(got, "upstream connect error") {
			t.Errorf("%d %v %q", res.StatusCode, res.Header, got)
		}
	}
	s.log.wait(t, "msg=request", "status=503", "connection refused")
}

func TestClientGone(t *testing.T) {
	tests := map[string][]string{
		"while the headers wait": {"GET /gone HTTP/1.1", "Host: api.test", "X-Do: forever", "", ""},
		"while a request with a body waits": {"POST /gone HTTP/1.1", "Host: api.test", "X-Do: forever",
			"Content-Length: 3", "", "abc"},
		"while the body is still to come": {"POST /gone HTTP/1.1", "Host: api.test", "X-Do: forever",
			"Content-Length: 3", "", ""},
		"while the upstream waits for a body": {"POST /gone HTTP/1.1", "Host: api.test", "Content-Length: 3", "", "a"},
	}
	for name, lines := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil)
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")); err != nil {
				t.Fatal(err)
			}
			for s.metrics.Values()["guest_live"] != 1 {
				runtime.Gosched()
			}
			conn.Close()
			s.log.wait(t, "msg=request", "path=/gone", "status=0", `note="the client is gone"`)
			if n := s.metrics.Values()["guest_live"]; n != 0 {
				t.Errorf("%d streams live", n)
			}
		})
	}
}

func TestBrokenBody(t *testing.T) {
	s := serve(t, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn,
		"POST /broken HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n"); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, "msg=request", "path=/broken", "status=0", `note="the request's body cannot be read"`)
}

func TestTrap(t *testing.T) {
	s := serve(t, nil)
	waiting := make(chan int, 1)
	go func() {
		req, _ := http.NewRequest("GET", s.url+"/waiting", nil)
		req.Header.Set("x-do", "forever")
		res, err := s.client.Do(req)
		if err != nil {
			waiting <- 0
			return
		}
		res.Body.Close()
		waiting <- res.StatusCode
	}()
	for s.metrics.Values()["guest_live"] != 1 {
		runtime.Gosched()
	}
	passed := make(chan int, 1)
	body, send := io.Pipe()
	defer send.Close()
	go func() {
		res, err := s.client.Post(s.url+"/passed", "text/plain", body) // its upstream waits for the rest
		if err != nil {
			passed <- 0
			return
		}
		res.Body.Close()
		passed <- res.StatusCode
	}()
	if _, err := io.WriteString(send, "a"); err != nil {
		t.Fatal(err)
	}
	for s.metrics.Values()["guest_live"] != 2 {
		runtime.Gosched()
	}
	if res, _ := s.do(t, "GET", "/", nil, "x-do", "trap"); res.StatusCode != 503 {
		t.Errorf("the request that traps: %d", res.StatusCode)
	}
	if status := <-waiting; status != 503 {
		t.Errorf("the request that waits: %d", status)
	}
	if status := <-passed; status != 503 {
		t.Errorf("the request that passed: %d", status)
	}
	s.log.wait(t, "restarted")
	if res, _ := s.do(t, "GET", "/", nil); res.StatusCode != 200 {
		t.Errorf("after the restart: %d", res.StatusCode)
	}
	if n := strings.Count(s.log.text(), "level=ERROR"); n != 1 {
		t.Errorf("%d lines about the trap:\n%s", n, s.log.text())
	}
}

func TestNoVM(t *testing.T) {
	s := serve(t, func(c *Config) { c.backOff = time.Hour })
	s.do(t, "GET", "/", nil, "x-do", "trap")
	if res, _ := s.do(t, "GET", "/", nil); res.StatusCode != 503 {
		t.Errorf("status %d, want 503", res.StatusCode)
	}
}

func TestWorkersTakeTurns(t *testing.T) {
	s := serve(t, func(c *Config) { c.Workers = 2 })
	for i := range 4 {
		s.do(t, "GET", fmt.Sprintf("/%d", i), nil)
	}
	for i := range 4 {
		s.log.wait(t, "msg=request", fmt.Sprintf("worker=%d", i%2), fmt.Sprintf("path=/%d", i))
	}
}

func TestRefusedConfiguration(t *testing.T) {
	plugin := guest(t)
	before := runtime.NumGoroutine()
	_, err := New(Config{Plugin: plugin, Upstream: parse(t, "http://127.0.0.1:1"), Configuration: []byte("refuse"),
		Workers: 2})
	var refused *RefusedError
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"first mistake", "second mistake"}, refused.Lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

func TestBadConfig(t *testing.T) {
	tests := map[string]Config{
		"no plugin":          {Upstream: parse(t, "http://a.test")},
		"no upstream":        {Plugin: guest(t)},
		"upstream with path": {Plugin: guest(t), Upstream: parse(t, "http://a.test/x")},
		"relative cluster": {Plugin: guest(t), Upstream: parse(t, "http://a.test"),
			Clusters: map[string]*url.URL{"c": parse(t, "x")}},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := New(c); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestLog(t *testing.T) {
	s := serve(t, nil)
	s.do(t, "GET", "/a?token=secret1", nil, "authorization", "Bearer secret2", "x-reason", "ok", "x-issuer", "i1",
		"x-organization", "o1", "x-rule", "r1")
	s.do(t, "POST", "/b?token=secret1", strings.NewReader("secret3"), "x-do", "answer", "x-reason", "missing")
	s.log.wait(t, "level=INFO msg=request worker=0 method=GET path=/a status=200 client=127.0.0.1 reason=ok "+
		"issuer=i1 organization=o1 "+
		"rule=r1 duration=")
	s.log.wait(t, "level=INFO msg=request worker=0 method=POST path=/b status=401 client=127.0.0.1 reason=missing "+
		"duration=")
	s.log.wait(t, `level=INFO msg="guest started" worker=0 source=plugin`)
	if text := s.log.text(); strings.Contains(text, "secret") {
		t.Errorf("the log has secrets:\n%s", text)
	}
}

func TestShutdown(t *testing.T) {
	t.Run("lets requests finish", func(t *testing.T) {
		s := serve(t, nil)
		body, send := io.Pipe()
		status := make(chan int, 1)
		go func() {
			res, err := s.client.Post(s.url+"/slow", "text/plain", body)
			if err != nil {
				status <- 0
				return
			}
			res.Body.Close()
			status <- res.StatusCode
		}()
		if _, err := io.WriteString(send, "a"); err != nil {
			t.Fatal(err)
		}
		for s.metrics.Values()["guest_live"] != 1 {
			runtime.Gosched()
		}
		down := make(chan error, 1)
		go func() { down <- s.Shutdown(context.Background()) }()
		for { // until it no longer accepts
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				break
			}
			conn.Close()
		}
		send.Close()
		if err := <-down; err != nil {
			t.Error(err)
		}
		if got := <-status; got != 200 {
			t.Errorf("status %d, want 200", got)
		}
		noneLeft(t)
	})
	t.Run("cuts off requests that do not", func(t *testing.T) {
		s := serve(t, nil)
		go func() {
			req, _ := http.NewRequest("GET", s.url+"/cut", nil)
			req.Header.Set("x-do", "forever")
			if res, err := s.client.Do(req); err == nil {
				res.Body.Close()
			}
		}()
		for s.metrics.Values()["guest_live"] != 1 {
			runtime.Gosched()
		}
		ctx, cancel := contextThatEnded()
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		s.log.wait(t, "msg=request", "path=/cut", "status=0", `note="cut off: the gateway stops"`)
		noneLeft(t)
	})
}

func contextThatEnded() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx, cancel
}

// noneLeft fails if a goroutine of this package but the tests' runs, and goes on
// running. One that net/http has yet to unwind, whose request was cut off, still
// has the package on its stack for a moment.
func noneLeft(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		left := running()
		if left == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("still running:\n%s", left)
			return
		}
		runtime.Gosched()
	}
}

// running is the stack of a goroutine of this package, "" if there is none.
func running() string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(stack, "host/gateway.(*worker)") || strings.Contains(stack, "host/gateway.(*exchange)") {
			return stack
		}
	}
	return ""
}

func TestAdmin(t *testing.T) {
	s := serve(t, nil)
	s.do(t, "GET", "/", nil)
	s.log.wait(t, "msg=request")
	tests := map[string]string{
		"/stats":   "guest_live: 0\nguest_streams: 1\n",
		"/metrics": "# TYPE guest_live gauge\nguest_live{} 0\n# TYPE guest_streams counter\nguest_streams{} 1\n",
		"/ready":   "LIVE\n",
	}
	for path, want := range tests {
		w := httptest.NewRecorder()
		s.Admin().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s: %d %q, want %q", path, w.Code, w.Body, want)
		}
	}
}

// TestReadyMeansThatTheMetricsAreAboveZero: one that is 0 or not there is named.
func TestReadyMeansThatTheMetricsAreAboveZero(t *testing.T) {
	s := serve(t, func(c *Config) { c.Ready = []string{"guest_streams", "guest_keys"} })
	w := httptest.NewRecorder()
	s.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/ready", nil))
	if want := "waiting for guest_streams, guest_keys\n"; w.Code != 503 || w.Body.String() != want {
		t.Errorf("%d %q, want %q", w.Code, w.Body, want)
	}
}

func TestPrometheus(t *testing.T) {
	got := prometheus(map[string]uint64{
		"a_requestsrule=.=a%2Eb;.;reason=.=ok;.;":     3,
		"a_requestsrule=.=none;.;reason=.=expired;.;": 1,
		"a_keysissuer=.=i\"1\\;.;":                    2,
		"b.plain":                                     0,
	}, map[string]bool{"a_keysissuer=.=i\"1\\;.;": true}, []string{"rule", "issuer", "reason"})
	const want = `# TYPE a_keys gauge
a_keys{issuer="i\"1\\"} 2
# TYPE a_requests counter
a_requests{rule="a%2Eb",reason="ok"} 3
a_requests{rule="none",reason="expired"} 1
# TYPE b_plain counter
b_plain{} 0
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestManyClientsSomeOfWhomLeave(t *testing.T) {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_,
			_ = io.WriteString(w, "ok")
	}))
	defer provider.Close()
	s := serve(t, func(c *Config) {
		c.Workers = 2
		c.Configuration = []byte("tick")
		c.Clusters = map[string]*url.URL{"idp": parse(t, provider.URL)}
	})
	kinds := []struct {
		do     string
		body   int
		status int // 0: the client leaves
	}{
		{"", 0, 200}, {"", 100_000, 200}, {"answer", 0, 401}, {"answer", 100_000, 401}, {"tick", 10, 200},
		{"callout", 0, 200}, {"callout", 100_000, 200}, {"forever", 0, 0}, {"forever", 100_000, 0},
	}
	var clients sync.WaitGroup
	for n := range 12 {
		clients.Go(func() {
			for i := range 24 {
				k := kinds[(n+i)%len(kinds)]
				ctx, leave := context.WithCancel(t.Context())
				if k.status == 0 {
					time.AfterFunc(5*time.Millisecond, leave)
				}
				req, err := http.NewRequestWithContext(ctx, "POST", s.url+"/", bytes.NewReader(make([]byte, k.body)))
				if err != nil {
					t.Error(err)
				}
				req.Header.Set("x-do", k.do)
				req.Header.Set("x-cluster", "idp")
				req.Header.Set("x-callout-path", "/")
				req.Header.Set("x-authority", "idp.test")
				got := 0
				if res, err := s.client.Do(req); err == nil {
					_, err = io.Copy(io.Discard, res.Body)
					res.Body.Close()
					if got = res.StatusCode; err != nil {
						t.Errorf("%+v: %v", k, err)
					}
				}
				leave()
				if got != k.status {
					t.Errorf("%+v: status %d", k, got)
				}
			}
		})
	}
	clients.Wait()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.metrics.Values()["guest_live"]; n != 0 {
		t.Errorf("%d streams are left", n)
	}
	noneLeft(t)
}
