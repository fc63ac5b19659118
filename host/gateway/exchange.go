package gateway

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"orgate/host"
)

// maxHeld is how much of a body is held for a plugin that pauses it: Envoy's
// default limit.
const maxHeld = 1 << 20

// How much of a body is read ahead, and at once.
const (
	readAhead = 1 << 20
	chunkSize = 32 << 10
)

var (
	errDecided    = errors.New("the plugin ended the request")
	errHeld       = errors.New("the plugin holds more than 1 MiB of the body")
	errClientGone = errors.New("the client is gone")
)

// exchange is one request and its response on their way through the plugin.
//
// The handler's goroutine waits for the upstream and writes to the client;
// another one, if the request has a body, passes it on. Both use the stream on
// the worker's loop only.
type exchange struct {
	w       *worker
	rw      http.ResponseWriter
	control *http.ResponseController
	r       *http.Request
	begin   time.Time
	ctx     context.Context // ends with the client, the request, or the plugin's refusal
	cancel  context.CancelCauseFunc

	stream *host.Stream // the loop's; nil if the worker has no VM
	// A change that comes from outside the exchange's own callbacks is told to
	// either direction, once.
	request, response chan struct{}

	declared []string       // names of trailers that the request announces
	source   *source        // the request's body; nil if there is none or it was not asked for
	upload   *io.PipeReader // what the upstream is sent of it
	requests sync.WaitGroup // the goroutine that passes it on
	status   int            // sent to the client; 0: none
	note     string         // why, where the plugin does not say
}

func newExchange(w *worker, rw http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{
		w:        w,
		rw:       rw,
		control:  http.NewResponseController(rw),
		r:        r,
		begin:    time.Now(),
		request:  make(chan struct{}, 1),
		response: make(chan struct{}, 1),
	}
	x.ctx, x.cancel = context.WithCancelCause(r.Context())
	return x
}

// changed is told of what other callbacks than the stream's own did to it. It
// runs on the loop.
func (x *exchange) changed(s *host.Stream) {
	if a := s.RequestAction(); a == host.Answer || a == host.Reset {
		x.cancel(errDecided)
	}
	for _, c := range []chan struct{}{x.request, x.response} {
		select {
		case c <- struct{}{}:
		default:
		}
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

// run serves the exchange, whose target is the path. It panics with http.ErrAbortHandler where the
// client's connection has to be cut.
func (x *exchange) run(path string) {
	defer x.finish()
	headers := requestHeaders(x.r, path)
	bodiless := x.r.Body == http.NoBody
	started := false
	action := host.Reset
	x.w.do(func() {
		if x.w.root == nil {
			return
		}
		started = true
		x.stream = x.w.root.NewStream()
		x.stream.OnChange = x.changed
		x.stream.SetProperty([]byte(x.r.RemoteAddr), "source", "address")
		x.stream.SetProperty([]byte(x.r.Proto), "request", "protocol")
		x.w.live[x] = struct{}{}
		action = x.stream.RequestHeaders(headers, bodiless)
	})
	if !started {
		x.note = "the plugin is not running"
		x.status = http.StatusServiceUnavailable
		http.Error(x.rw, "the plugin is not running", x.status)
		return
	}
	if !bodiless && (action == host.Pause || action == host.Continue) {
		_ = x.control.EnableFullDuplex() // HTTP/1 alone needs it, and has it
		x.declared = slices.Collect(maps.Keys(x.r.Trailer))
		x.source = newSource(x.r.Body, func(error) { x.cancel(errClientGone) })
	}
	for action == host.Pause {
		select {
		case <-x.request:
		case <-x.ctx.Done():
			x.leaveIfGone()
		}
		action = x.on((*host.Stream).RequestAction)
	}
	switch action {
	case host.Continue:
		x.forward()
	case host.Answer:
		x.answer()
	default:
		x.abort("reset by the plugin")
	}
}

// leaveIfGone aborts the exchange if there is nobody to answer any more.
func (x *exchange) leaveIfGone() {
	if x.r.Context().Err() != nil || errors.Is(context.Cause(x.ctx), errClientGone) {
		x.abort(errClientGone.Error())
	}
}

// abort cuts the client's connection.
func (x *exchange) abort(why string) {
	x.note = why
	panic(http.ErrAbortHandler)
}

// finish ends the stream in the VM, stops reading the request and writes the
// log line.
func (x *exchange) finish() {
	x.cancel(context.Canceled)
	verdict := []any{}
	x.w.do(func() {
		delete(x.w.live, x)
		if x.stream == nil {
			return
		}
		for _, name := range []string{"reason", "issuer", "organization", "rule"} {
			if v, ok := x.stream.Property("orgate." + name); ok {
				verdict = append(verdict, name, string(v))
			}
		}
		x.stream.Close()
		x.stream = nil
	})
	if x.upload != nil {
		_ = x.upload.Close()
	}
	if x.source != nil {
		if !x.source.ended() { // the response, if any, said Connection: close
			_ = x.control.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
		}
		x.source.close()
	}
	x.requests.Wait()
	line := []any{"method", x.r.Method, "path", pathOnly(x.r), "status", x.status}
	line = append(line, verdict...)
	if x.note != "" {
		line = append(line, "note", x.note)
	}
	x.w.log.Info("request", append(line, "duration", time.Since(x.begin))...)
}

// forward sends the request to the upstream and the response to the client.
func (x *exchange) forward() {
	var headers host.Headers
	x.on(func(s *host.Stream) host.Action {
		headers = s.RequestHeaderMap().Clone()
		return host.Continue
	})
	up := x.w.g.config.Upstream
	req, err := outgoing(x.ctx, up.Scheme, up.Host, headers)
	if err != nil {
		x.note = err.Error()
		x.respond(localReply(http.StatusServiceUnavailable, "upstream request cannot be made"))
		return
	}
	if x.source == nil {
		req.ContentLength = 0
	} else {
		var w *io.PipeWriter
		x.upload, w = io.Pipe()
		req.Body = x.upload
		req.Trailer = http.Header{}
		for _, name := range x.declared {
			req.Trailer[name] = nil
		}
		x.requests.Go(func() { x.passRequest(req, w) })
	}
	res, err := x.w.g.upstream.RoundTrip(req)
	if err == nil {
		defer res.Body.Close()
		x.respond(res)
		return
	}
	x.leaveIfGone()
	switch {
	case errors.Is(context.Cause(x.ctx), errHeld):
		x.note = errHeld.Error()
		x.respond(localReply(http.StatusRequestEntityTooLarge, "Payload Too Large"))
	case errors.Is(context.Cause(x.ctx), errDecided):
		x.decided(x.on((*host.Stream).RequestAction))
	default:
		x.note = cause(err)
		x.respond(localReply(http.StatusServiceUnavailable,
			"upstream connect error or disconnect/reset before headers. reset reason: connection failure"))
	}
}

// localReply is a response of the gateway's own. It goes through the plugin
// like the upstream's.
func localReply(status int, text string) *http.Response {
	return &http.Response{
		StatusCode: status,
		Header: http.Header{
			"Content-Type":   {"text/plain"},
			"Content-Length": {strconv.Itoa(len(text))},
		},
		Body: io.NopCloser(strings.NewReader(text)),
	}
}

// passRequest passes the request's body and trailers through the plugin and on
// to the upstream.
func (x *exchange) passRequest(req *http.Request, w *io.PipeWriter) {
	action, err := x.pass(x.source, direction{
		changed:  x.request,
		body:     (*host.Stream).RequestBody,
		trailers: (*host.Stream).RequestTrailers,
		action:   (*host.Stream).RequestAction,
		take:     (*host.Stream).TakeRequestBody,
		trailer:  func() http.Header { return x.r.Trailer },
		ctx:      x.ctx,
		write: func(b []byte) error {
			_, err := w.Write(b)
			return err
		},
	})
	switch {
	case err == nil && action == host.Continue:
		var trailers host.Headers
		x.on(func(s *host.Stream) host.Action {
			trailers = s.RequestTrailerMap().Clone()
			return host.Continue
		})
		for name, values := range headerOf(trailers) {
			req.Trailer[name] = values
		}
		_ = w.Close()
	case err == nil:
		x.cancel(errDecided)
		_ = w.CloseWithError(errDecided)
	case errors.Is(err, errHeld):
		x.cancel(err)
		_ = w.CloseWithError(err)
	default:
		_ = w.CloseWithError(err)
	}
}

// respond passes a response through the plugin and on to the client.
func (x *exchange) respond(res *http.Response) {
	headers := responseHeaders(res)
	bodiless := res.Body == http.NoBody || x.r.Method == http.MethodHead
	action := x.on(func(s *host.Stream) host.Action { return s.ResponseHeaders(headers, bodiless) })
	for action == host.Pause {
		select {
		case <-x.response:
			action = x.on((*host.Stream).ResponseAction)
		case <-x.r.Context().Done():
			x.leaveIfGone()
		}
	}
	if action != host.Continue {
		x.decided(action)
		return
	}
	if bodiless {
		x.writeHeader()
		return
	}
	from := newSource(res.Body, func(error) {})
	defer from.close()
	defer res.Body.Close() // wakes the reader
	x.passResponse(from, func() http.Header { return res.Trailer })
}

// passResponse passes the response's body and trailers through the plugin and
// on to the client.
func (x *exchange) passResponse(from *source, trailer func() http.Header) {
	x.writeHeader()
	_ = x.control.Flush()
	action, err := x.pass(from, direction{
		changed:  x.response,
		body:     (*host.Stream).ResponseBody,
		trailers: (*host.Stream).ResponseTrailers,
		action:   (*host.Stream).ResponseAction,
		take:     (*host.Stream).TakeResponseBody,
		trailer:  trailer,
		ctx:      x.r.Context(),
		write: func(b []byte) error {
			if _, err := x.rw.Write(b); err != nil {
				return errClientGone
			}
			return x.control.Flush()
		},
	})
	if err != nil {
		x.leaveIfGone()
		x.abort(cause(err))
	}
	if action != host.Continue {
		x.abort("ended by the plugin in the middle of the response")
	}
	var trailers host.Headers
	x.on(func(s *host.Stream) host.Action {
		trailers = s.ResponseTrailerMap().Clone()
		return host.Continue
	})
	for name, values := range headerOf(trailers) {
		x.rw.Header()[http.TrailerPrefix+name] = values
	}
}

// decided does what the plugin decided in place of a response.
func (x *exchange) decided(action host.Action) {
	switch {
	case action == host.Answer && x.status == 0:
		x.answer()
	case action == host.Answer:
		x.abort("answered by the plugin in the middle of the response")
	default:
		x.abort("reset by the plugin")
	}
}

// answer writes the plugin's local response.
func (x *exchange) answer() {
	var body []byte
	x.on(func(s *host.Stream) host.Action {
		body = s.TakeResponseBody()
		return host.Answer
	})
	x.writeHeader()
	if _, err := x.rw.Write(body); err != nil && x.r.Method != http.MethodHead && len(body) > 0 {
		x.note = errClientGone.Error()
	}
}

// writeHeader writes the response's headers as the plugin left them.
func (x *exchange) writeHeader() {
	var headers host.Headers
	x.on(func(s *host.Stream) host.Action {
		headers = s.ResponseHeaderMap().Clone()
		return host.Continue
	})
	text, _ := headers.Get(":status")
	status, err := strconv.Atoi(text)
	if err != nil || status < 200 || status > 999 {
		x.abort("the plugin left the response without a status")
	}
	h := x.rw.Header()
	for name, values := range headerOf(headers) {
		h[name] = values
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // not guessed by net/http
	}
	if x.source != nil && !x.source.ended() {
		h.Set("Connection", "close") // what is left of the request is not read
	}
	x.status = status
	x.rw.WriteHeader(status)
}

// direction is one way of an exchange: request or response.
type direction struct {
	changed  <-chan struct{}
	body     func(s *host.Stream, chunk []byte, end bool) host.Action
	trailers func(s *host.Stream, h host.Headers) host.Action
	action   func(s *host.Stream) host.Action
	take     func(s *host.Stream) []byte
	trailer  func() http.Header // once the body was read
	ctx      context.Context
	write    func([]byte) error
}

// pass passes a body and its trailers through the plugin. A plugin that pauses
// a body is given the rest of it all the same, as in Envoy; only its end waits.
// The action is Continue when everything has passed.
func (x *exchange) pass(from *source, d direction) (host.Action, error) {
	held := 0
	step := func(f func(s *host.Stream) host.Action) (host.Action, error) {
		var out []byte
		action := x.on(func(s *host.Stream) host.Action {
			action := f(s)
			out = append(out, d.take(s)...)
			return action
		})
		held -= len(out)
		if len(out) > 0 && (action == host.Continue || action == host.Pause) {
			if err := d.write(out); err != nil {
				return action, err
			}
		}
		if action == host.Pause && held > maxHeld {
			return action, errHeld
		}
		return action, nil
	}
	action := host.Continue
	var err error
	for ended := false; !ended || action == host.Pause; {
		chunks := from.chunks
		if ended {
			chunks = nil
		}
		select {
		case c := <-chunks:
			switch {
			case c.err == nil:
				held += len(c.data)
				action, err = step(func(s *host.Stream) host.Action { return d.body(s, c.data, false) })
			case c.err != io.EOF:
				return host.Reset, c.err
			default:
				ended = true
				action, err = step(func(s *host.Stream) host.Action {
					if trailer := pairs(d.trailer()); len(trailer) > 0 {
						return d.trailers(s, trailer)
					}
					return d.body(s, nil, true)
				})
			}
		case <-d.changed:
			action, err = step(d.action)
		case <-d.ctx.Done():
			return host.Reset, context.Cause(d.ctx)
		}
		if err != nil || action == host.Answer || action == host.Reset {
			return action, err
		}
	}
	return action, nil
}

// source reads a body ahead, by 1 MiB at most, so that its end and its errors
// are seen while the plugin pauses. net/http notices that a client is gone only
// by reading: one that leaves a longer body behind is noticed when the plugin
// goes on.
type source struct {
	chunks chan chunk
	stop   chan struct{}
	done   chan struct{}
	eof    bool // after done
}

type chunk struct {
	data []byte
	err  error
}

// newSource reads until the end, an error, which it reports at once, or close.
func newSource(body io.Reader, failed func(error)) *source {
	s := &source{chunks: make(chan chunk, readAhead/chunkSize), stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for {
			buf := make([]byte, chunkSize)
			n, err := body.Read(buf)
			if err != nil && err != io.EOF {
				select {
				case <-s.stop: // it is us who ended it
				default:
					failed(err)
				}
			}
			if n > 0 && !s.send(chunk{data: buf[:n]}) {
				return
			}
			if err != nil {
				s.eof = err == io.EOF
				s.send(chunk{err: err})
				return
			}
		}
	}()
	return s
}

func (s *source) send(c chunk) bool {
	select {
	case s.chunks <- c:
		return true
	case <-s.stop:
		return false
	}
}

// ended reports whether the body was read to its end.
func (s *source) ended() bool {
	select {
	case <-s.done:
		return s.eof
	default:
		return false
	}
}

// close ends reading. Whoever closes has to end a read that waits first.
func (s *source) close() {
	close(s.stop)
	<-s.done
}
