package host

import (
	"strconv"
	"strings"
)

// Stream is one HTTP request and its response.
type Stream struct {
	guest

	// OnChange, if set, is called when a callback other than the stream's own
	// resumed, answered or reset it.
	OnChange func(*Stream)

	ways       [2]way            // request and response
	properties map[string][]byte // given by the host
	state      map[string][]byte // set by the plugin
	local      *LocalResponse
	reset      bool
	closed     bool
	busy       int // methods of the stream that run
	endOfWay   bool
}

// way is one of the two directions.
type way struct {
	headers, trailers Headers
	hasTrailers       bool

	stage    stage
	action   Action
	resuming bool // proxy_continue_stream was called and not yet done

	body []byte // that a callback has not let pass
	out  []byte // that passed

	// What came while the headers were paused.
	held, heldEnd, heldTrailers bool
}

// stage is the latest callback that was called.
type stage uint8

const (
	beforeHeaders stage = iota
	atHeaders
	atBody
	atTrailers
)

// The directions, as the ABI numbers them.
const (
	request = iota
	response
)

var (
	headersCallback  = [2]callback{onRequestHeaders, onResponseHeaders}
	bodyCallback     = [2]callback{onRequestBody, onResponseBody}
	trailersCallback = [2]callback{onRequestTrailers, onResponseTrailers}
)

// failStream is Envoy's response for a VM that failed.
const (
	failStreamDetails = "wasm_fail_stream"
	grpcUnavailable   = 14
)

// NewStream begins an HTTP stream. Its context is created by
// [Stream.RequestHeaders], as in Envoy.
func (r *Root) NewStream() *Stream {
	s := &Stream{}
	s.vm, s.root, s.stream = r.vm, r, s
	return s
}

// ID is the context id, or 0 before [Stream.RequestHeaders].
func (s *Stream) ID() uint32 { return s.id }

// SetProperty sets what the plugin can read under the path.
func (s *Stream) SetProperty(value []byte, path ...string) {
	if s.properties == nil {
		s.properties = make(map[string][]byte)
	}
	s.properties[Path(path...)] = value
}

// Property is what the plugin wrote with proxy_set_property under the path.
func (s *Stream) Property(path ...string) (value []byte, ok bool) {
	value, ok = s.state[Path(path...)]
	return value, ok
}

// RequestHeaders creates the context and calls proxy_on_request_headers. The
// headers are copied, with names in lower case.
func (s *Stream) RequestHeaders(h Headers, endOfStream bool) Action {
	if s.created || s.closed {
		panic("host: a stream has one request")
	}
	if s.vm.err != nil || s.root.gone {
		s.failed()
		return s.RequestAction()
	}
	if err := s.vm.adopt(&s.guest, 0); err != nil {
		panic("host: " + err.Error()) // A free id is never taken.
	}
	s.created = true
	s.busy++
	defer s.idle()
	if _, ok := s.vm.call(&s.guest, onContextCreate, 0, s.id, s.root.id); !ok {
		return s.RequestAction()
	}
	return s.deliverHeaders(request, h, endOfStream)
}

// RequestBody calls proxy_on_request_body. While the headers are paused the
// body is kept and delivered after they are resumed.
func (s *Stream) RequestBody(chunk []byte, endOfStream bool) Action {
	return s.deliverBody(request, chunk, endOfStream)
}

// RequestTrailers calls proxy_on_request_trailers, or keeps them likewise.
func (s *Stream) RequestTrailers(h Headers) Action { return s.deliverTrailers(request, h) }

// ResponseHeaders, [Stream.ResponseBody] and [Stream.ResponseTrailers] do the
// same for the way back. They do nothing once the stream has ended otherwise.
func (s *Stream) ResponseHeaders(h Headers, endOfStream bool) Action {
	if s.over(response) {
		return s.ResponseAction()
	}
	if s.ways[response].stage != beforeHeaders {
		panic("host: a stream has one response")
	}
	s.busy++
	defer s.idle()
	return s.deliverHeaders(response, h, endOfStream)
}

// ResponseBody calls proxy_on_response_body.
func (s *Stream) ResponseBody(chunk []byte, endOfStream bool) Action {
	return s.deliverBody(response, chunk, endOfStream)
}

// ResponseTrailers calls proxy_on_response_trailers.
func (s *Stream) ResponseTrailers(h Headers) Action { return s.deliverTrailers(response, h) }

// RequestAction is where the request stands.
func (s *Stream) RequestAction() Action { return s.action(request) }

// ResponseAction is where the response stands.
func (s *Stream) ResponseAction() Action { return s.action(response) }

// RequestHeaderMap is the map as the plugin left it.
func (s *Stream) RequestHeaderMap() Headers { return s.ways[request].headers }

// RequestTrailerMap is the map as the plugin left it.
func (s *Stream) RequestTrailerMap() Headers { return s.ways[request].trailers }

// ResponseHeaderMap is the map as the plugin left it. After [Answer] it is that
// of the local response as the client gets it.
func (s *Stream) ResponseHeaderMap() Headers { return s.ways[response].headers }

// ResponseTrailerMap is the map as the plugin left it.
func (s *Stream) ResponseTrailerMap() Headers { return s.ways[response].trailers }

// TakeRequestBody is the part of the body that passed since the last time.
func (s *Stream) TakeRequestBody() []byte { return s.take(request) }

// TakeResponseBody is the part of the body that passed since the last time, of
// the local response after [Answer].
func (s *Stream) TakeResponseBody() []byte { return s.take(response) }

func (s *Stream) take(d int) []byte {
	out := s.ways[d].out
	s.ways[d].out = nil
	return out
}

// LocalResponse is the plugin's local response, or nil. Of a VM that trapped it is 503
// with the details wasm_fail_stream.
func (s *Stream) LocalResponse() *LocalResponse { return s.local }

// Close ends the stream: proxy_on_log, proxy_on_done and proxy_on_delete, in
// Envoy's order. In proxy_on_log the final headers can be read.
func (s *Stream) Close() {
	if s.closed {
		return
	}
	s.closed = true
	if !s.created || s.gone {
		return
	}
	s.busy++
	s.shut()
	s.logging = true
	s.vm.call(&s.guest, onLog, 0, s.id)
	s.logging = false
	s.vm.call(&s.guest, onDone, 1, s.id)
	s.vm.call(&s.guest, onDelete, 0, s.id)
	s.vm.drop(&s.guest)
	s.busy--
}

// action is where a direction stands. Not before a local response has gone
// through the response callbacks is the stream answered.
func (s *Stream) action(d int) Action {
	switch {
	case s.reset:
		return Reset
	case s.local != nil && s.ways[response].action == Continue:
		return Answer
	case s.local != nil:
		return Pause
	}
	return s.ways[d].action
}

// over reports that a direction ended before its time.
func (s *Stream) over(d int) bool {
	if s.vm.err != nil && s.local == nil {
		s.failed()
	}
	return s.reset || s.local != nil || s.closed
}

func (s *Stream) idle() { s.busy-- }

// changed tells the owner.
func (s *Stream) changed() {
	if s.busy == 0 && s.OnChange != nil {
		s.OnChange(s)
	}
}

// shut closes all maps and buffers.
func (s *Stream) shut() {
	s.maps = [4]*Headers{}
	s.buffers = [2]*[]byte{}
}

func (s *Stream) deliverHeaders(d int, h Headers, endOfStream bool) Action {
	w := &s.ways[d]
	w.headers = h.lower()
	w.stage, w.action = atHeaders, Pause
	s.maps[2*d] = &w.headers
	s.endOfWay = endOfStream
	result, ok := s.vm.invoke(&s.guest, headersCallback[d], 0, s.id, uint32(len(h)), flag(endOfStream))
	if ok && result == 0 {
		w.action = Continue
		s.maps[2*d] = nil
	}
	s.vm.settle()
	return s.action(d)
}

func (s *Stream) deliverBody(d int, chunk []byte, endOfStream bool) Action {
	if s.over(d) {
		return s.action(d)
	}
	w := &s.ways[d]
	if w.stage == beforeHeaders || w.stage == atTrailers {
		panic("host: a body comes after headers and before trailers")
	}
	w.body = append(w.body, chunk...)
	if w.stage == atHeaders && w.action == Pause {
		w.held, w.heldEnd = true, endOfStream
		return Pause
	}
	s.busy++
	defer s.idle()
	s.body(d, endOfStream)
	s.vm.settle()
	return s.action(d)
}

func (s *Stream) body(d int, endOfStream bool) {
	w := &s.ways[d]
	w.stage, w.action = atBody, Pause
	s.buffers[d] = &w.body
	s.endOfWay = endOfStream
	result, ok := s.vm.invoke(&s.guest, bodyCallback[d], 0, s.id, uint32(len(w.body)), flag(endOfStream))
	if ok && result == 0 {
		s.release(d)
	}
}

// release lets pass what was buffered.
func (s *Stream) release(d int) {
	w := &s.ways[d]
	w.action = Continue
	w.out = append(w.out, w.body...)
	w.body = w.body[:0]
	s.buffers[d] = nil
}

func (s *Stream) deliverTrailers(d int, h Headers) Action {
	if s.over(d) {
		return s.action(d)
	}
	w := &s.ways[d]
	if w.stage == beforeHeaders || w.stage == atTrailers {
		panic("host: trailers come after headers, once")
	}
	w.trailers, w.hasTrailers = h.lower(), true
	if w.stage == atHeaders && w.action == Pause {
		w.heldTrailers = true
		return Pause
	}
	s.busy++
	defer s.idle()
	s.trailers(d)
	s.vm.settle()
	return s.action(d)
}

func (s *Stream) trailers(d int) {
	w := &s.ways[d]
	w.stage, w.action = atTrailers, Pause
	s.maps[2*d+1] = &w.trailers
	result, ok := s.vm.invoke(&s.guest, trailersCallback[d], 0, s.id, uint32(len(w.trailers)))
	if ok && result == 0 {
		s.release(d)
		s.maps[2*d+1] = nil
	}
}

// resume continues a direction after proxy_continue_stream, and delivers what
// was held back.
func (s *Stream) resume(d int) {
	w := &s.ways[d]
	w.resuming = false
	if s.reset || s.closed || s.local != nil && d == request {
		return
	}
	stage := w.stage
	s.maps[2*d] = nil
	if stage != atHeaders {
		s.release(d)
	}
	w.action = Continue
	s.busy++
	if stage == atHeaders && w.held {
		w.held = false
		s.body(d, w.heldEnd && !w.heldTrailers)
		s.vm.settle()
	}
	if w.heldTrailers && w.action != Pause && !s.over(d) {
		w.heldTrailers = false
		s.trailers(d)
		s.vm.settle()
	}
	s.busy--
	s.changed()
}

// answer sends a local response as Envoy does: through the response callbacks
// if no response has begun, directly if one is being processed, and not at all
// if its headers are gone: then the stream is reset.
func (s *Stream) answer(l *LocalResponse) {
	w := &s.ways[response]
	switch {
	case s.reset || s.closed:
		return
	case w.stage == beforeHeaders:
		s.local = l
		s.through(l)
	case w.action == Pause && w.stage == atHeaders:
		s.local = l
		w.headers, w.action = s.localHeaders(l), Continue
		w.out = append([]byte(nil), s.localBody(l)...)
		s.shut()
	case s.local != nil:
		return // It is answered.
	default:
		s.end()
		return
	}
	s.changed()
}

func (s *Stream) through(l *LocalResponse) {
	w := &s.ways[response]
	s.shut()
	s.busy++
	defer s.idle()
	headers := s.localHeaders(l)
	body := s.localBody(l)
	if s.deliverHeaders(response, headers, len(body) == 0); w.action != Continue {
		w.held, w.heldEnd = len(body) > 0, true
		w.body = append(w.body, body...)
		return
	}
	if len(body) > 0 {
		w.body = append(w.body, body...)
		s.body(response, true)
		s.vm.settle()
	}
}

// failed responds with 503 for a VM that failed.
func (s *Stream) failed() {
	if s.reset || s.local != nil && s.ways[response].action == Continue {
		return
	}
	w := &s.ways[response]
	s.shut()
	if w.action == Continue {
		s.end()
		return
	}
	s.local = &LocalResponse{Status: 503, Details: failStreamDetails, GRPCStatus: grpcUnavailable}
	w.headers, w.stage, w.action = s.localHeaders(s.local), atHeaders, Continue
	w.body, w.out = nil, nil
	s.changed()
}

// end resets the stream.
func (s *Stream) end() {
	if s.reset {
		return
	}
	s.reset = true
	s.shut()
	s.changed()
}

// localHeaders are the headers of a local response as Envoy makes them.
func (s *Stream) localHeaders(l *LocalResponse) Headers {
	h := make(Headers, 0, len(l.Headers)+4)
	h = append(h, [2]string{":status", strconv.FormatUint(uint64(l.Status), 10)})
	h = append(h, l.Headers...)
	if s.grpc() {
		h[0][1] = "200"
		h = h.replace("content-type", "application/grpc")
		if _, ok := h.Get("grpc-status"); !ok {
			h = append(h, [2]string{"grpc-status", strconv.FormatUint(uint64(grpcStatus(l)), 10)})
		}
		if _, ok := h.Get("grpc-message"); !ok && len(l.Body) > 0 && !s.head() {
			h = append(h, [2]string{"grpc-message", percentEncode(l.Body)})
		}
		return h.remove("content-length", 0)
	}
	if len(l.Body) == 0 {
		return h.remove("content-length", 0).remove("content-type", 0)
	}
	h = h.replace("content-length", strconv.Itoa(len(l.Body)))
	if _, ok := h.Get("content-type"); !ok {
		h = append(h, [2]string{"content-type", "text/plain"})
	}
	return h
}

// localBody is the body of a local response that is sent.
func (s *Stream) localBody(l *LocalResponse) []byte {
	if s.grpc() || s.head() {
		return nil
	}
	return l.Body
}

// grpc reports a gRPC request, as Envoy tells one.
func (s *Stream) grpc() bool {
	contentType, _ := s.ways[request].headers.Get("content-type")
	rest, ok := strings.CutPrefix(contentType, "application/grpc")
	return ok && (rest == "" || rest[0] == '+')
}

func (s *Stream) head() bool {
	method, _ := s.ways[request].headers.Get(":method")
	return method == "HEAD"
}

// grpcStatus is the gRPC status of a local response, derived from the HTTP
// status if none was given
// (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md).
func grpcStatus(l *LocalResponse) uint32 {
	if l.GRPCStatus >= 0 && l.GRPCStatus <= 16 {
		return uint32(l.GRPCStatus)
	}
	switch l.Status {
	case 400:
		return 13
	case 401:
		return 16
	case 403:
		return 7
	case 404:
		return 12
	case 429, 502, 503, 504:
		return grpcUnavailable
	}
	return 2
}

// percentEncode encodes a gRPC message.
func percentEncode(message []byte) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range message {
		if c < ' ' || c > '~' || c == '%' {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func flag(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
