package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"

	"orgate/host"
)

// Why a request ends before its time.
var (
	errDecided    = errors.New("refused by the plugin after it had let the request pass")
	errReset      = errors.New("reset by the plugin")
	errClientGone = errors.New("the client is gone")
	errBroken     = errors.New("the request's body cannot be read")
	errStopping   = errors.New("cut off: the gateway stops")
)

// exchange is one request on its way through the plugin to the upstream. It is
// the transport of its own reverse proxy: the plugin judges what the proxy would
// send, and its local response takes the place of the upstream's.
type exchange struct {
	w       *worker
	rw      http.ResponseWriter
	control *http.ResponseController
	r       *http.Request // with ctx
	source  *http.Request // as it came: its trailers come with the end of its body
	path    string        // its target, as the plugin sees it
	begin   time.Time
	ctx     context.Context // ends with the client, the gateway, or the plugin's refusal
	cancel  context.CancelCauseFunc

	stream *host.Stream  // the loop's; nil if the worker has no VM
	passed bool          // the loop's: the plugin let the request pass
	change chan struct{} // holds one: another callback than the stream's own changed it

	body *upload // the request's, nil if it was not asked for

	status int    // sent to the client; 0: none
	note   string // why, if the plugin does not say
	whole  bool   // the response was sent to its end
}

func newExchange(w *worker, rw http.ResponseWriter, r *http.Request, path string) *exchange {
	x := &exchange{w: w, rw: rw, control: http.NewResponseController(rw), source: r, path: path, begin: time.Now(),
		change: make(chan struct{}, 1)}
	x.ctx, x.cancel = context.WithCancelCause(r.Context())
	x.r = r.WithContext(x.ctx)
	return x
}

// run serves the exchange. It panics with http.ErrAbortHandler if the client's
// connection has to be cut.
func (x *exchange) run() {
	defer x.finish()
	proxy := httputil.ReverseProxy{
		Transport:      x,
		Rewrite:        rewrite,
		ModifyResponse: x.respond,
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			if x.ctx.Err() == nil { // finish knows better
				x.note = err.Error()
			}
			panic(http.ErrAbortHandler)
		},
		ErrorLog: x.w.g.server.ErrorLog,
	}
	proxy.ServeHTTP(x.rw, x.r)
	x.whole = true
}

// RoundTrip has the plugin judge the request, and sends what it lets pass.
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	if x.r.Header["User-Agent"] == nil {
		delete(req.Header, "User-Agent") // the proxy's, empty
	}
	started := false
	action := host.Pause
	x.w.do(func() {
		if x.w.root == nil {
			return
		}
		started = true
		x.stream = x.w.root.NewStream()
		x.stream.OnChange = x.changed
		if digest := certificateDigest(x.r); digest != "" {
			x.stream.SetProperty([]byte(digest), "connection", "sha256_peer_certificate_digest")
		}
		x.w.live[x] = struct{}{}
		action = x.stream.RequestHeaders(requestHeaders(req.Header, x.r, x.path), req.Body == nil)
	})
	if !started {
		x.note = "the plugin is not running"
		return reply(http.StatusServiceUnavailable, "the plugin is not running\n"), nil
	}
	if req.Body != nil && (action == host.Pause || action == host.Continue) {
		_ = x.control.EnableFullDuplex() // HTTP/1 alone needs it, and has it
		x.body = newUpload(x, req.Trailer)
	}
	var headers host.Headers
	action = x.await(func(s *host.Stream) host.Action {
		headers, x.passed = s.RequestHeaderMap().Clone(), s.RequestAction() == host.Continue
		return s.RequestAction()
	})
	if action != host.Continue {
		return x.decision(action)
	}
	return x.forward(req, headers)
}

// forward sends the request to the upstream with the headers that the plugin
// left.
func (x *exchange) forward(req *http.Request, headers host.Headers) (*http.Response, error) {
	upstream := x.w.g.config.Upstream
	// The context has the proxy's trace for 1xx responses.
	out, err := outgoing(req.Context(), upstream.Scheme, upstream.Host, headers)
	if err != nil {
		x.note = err.Error()
		return reply(http.StatusServiceUnavailable, "upstream request cannot be made"), nil
	}
	if req.Body == nil {
		out.ContentLength = 0
	} else {
		out.Body, out.Trailer = x.body, x.body.trailer
	}
	res, err := x.w.g.transport(headers).RoundTrip(out)
	switch {
	case err == nil:
		return res, nil
	case x.ctx.Err() != nil:
		return x.decision(x.on((*host.Stream).RequestAction))
	}
	x.note = cause(err)
	return reply(http.StatusServiceUnavailable,
		"upstream connect error or disconnect/reset before headers. reset reason: connection failure"), nil
}

// await waits until the plugin does not pause the request, as f tells, which
// runs on the loop.
func (x *exchange) await(f func(*host.Stream) host.Action) host.Action {
	for {
		if action := x.on(f); action != host.Pause {
			return action
		}
		select {
		case <-x.change:
		case <-x.ctx.Done():
			return host.Reset
		}
	}
}

// changed is told of what other callbacks than the stream's own did to it. It
// runs on the loop.
func (x *exchange) changed(s *host.Stream) {
	if x.passed && s.RequestAction() != host.Pause {
		x.cancel(errDecided) // its VM trapped
	}
	select {
	case x.change <- struct{}{}:
	default:
	}
}

// on runs f on the loop and returns what it returns. A worker that is gone
// resets everything.
func (x *exchange) on(f func(s *host.Stream) host.Action) host.Action {
	action := host.Reset
	x.w.do(func() {
		if x.stream != nil {
			action = f(x.stream)
		}
	})
	return action
}

// decision is the plugin's local response, or the reason why there is none.
func (x *exchange) decision(action host.Action) (*http.Response, error) {
	if action != host.Answer || x.ctx.Err() != nil && !errors.Is(context.Cause(x.ctx), errDecided) {
		return nil, errReset
	}
	var headers host.Headers
	var body []byte
	x.on(func(s *host.Stream) host.Action {
		headers, body = s.ResponseHeaderMap().Clone(), s.TakeResponseBody()
		return host.Answer
	})
	text, _ := headers.Get(":status")
	status, err := strconv.Atoi(text)
	if err != nil || status < 200 || status > 999 {
		return nil, errors.New("the plugin answered without a status")
	}
	res := reply(status, string(body))
	res.Header = headerOf(headers)
	return res, nil
}

// reply is a response of the gateway's own.
func reply(status int, text string) *http.Response {
	return &http.Response{
		StatusCode:    status,
		Header:        http.Header{"Content-Type": {"text/plain"}},
		Body:          io.NopCloser(strings.NewReader(text)),
		ContentLength: int64(len(text)), // or else the headers are flushed by themselves
	}
}

// respond changes what is sent to the client.
func (x *exchange) respond(res *http.Response) error {
	x.status = res.StatusCode
	if _, ok := res.Header["Content-Type"]; !ok {
		x.rw.Header()["Content-Type"] = nil // not guessed by net/http
	}
	if x.r.ProtoMajor == 1 && res.StatusCode != http.StatusSwitchingProtocols &&
		(x.doubtful() || x.body != nil && !x.body.read.Load()) {
		res.Header.Set("Connection", "close")
	}
	return nil
}

// doubtful reports whether others may see the request's end elsewhere: the
// connection ends with it (RFC 9112 §6.1). net/http goes by Transfer-Encoding
// and hides the Content-Length beside it; of HTTP/1.0 it hides the former.
func (x *exchange) doubtful() bool { return x.r.ProtoMinor == 0 || len(x.r.TransferEncoding) > 0 }

// clientOf is the client's address, without the port.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// finish ends the stream in the VM, stops reading the request and writes the
// log line.
func (x *exchange) finish() {
	if end := context.Cause(x.ctx); x.note == "" && !x.whole {
		switch {
		case end == nil:
			x.note = "the response broke off"
		case errors.Is(end, context.Canceled):
			x.note = errClientGone.Error()
		default:
			x.note = end.Error()
		}
	}
	x.cancel(context.Canceled)
	verdict := []any{}
	x.w.do(func() {
		delete(x.w.live, x)
		if x.stream == nil {
			return
		}
		for _, name := range []string{"reason", "issuer", "organization", "required", "rule", "source"} {
			if v, ok := x.stream.Property("orgate." + name); ok {
				verdict = append(verdict, name, string(v))
			}
		}
		x.stream.Close()
		x.stream = nil
	})
	if x.body != nil {
		if !x.body.read.Load() { // the response, if any, said Connection: close
			_ = x.control.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
		}
		x.body.reading.Wait()
	}
	line := append([]any{"method", x.r.Method, "path", withoutQuery(x.path), "status", x.status, "client",
		clientOf(x.r)}, verdict...)
	if x.note != "" {
		line = append(line, "note", x.note)
	}
	x.w.log.Info("request", append(line, "duration", time.Since(x.begin))...)
}
