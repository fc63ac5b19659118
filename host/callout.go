package host

import (
	"strconv"
	"time"
)

// Callout is an HTTP call that the plugin made. One of its methods is called,
// once, from the VM's goroutine; a further call, or one after the root is gone,
// returns [ErrClosed]. From within a callback the response is put off until the
// callback has returned.
type Callout struct {
	// ID is what proxy_on_http_call_response is given.
	ID uint32
	// Root made the call.
	Root *Root
	// Cluster is one of the configured clusters.
	Cluster string
	// Headers hold ":path", ":method" and ":authority".
	Headers  Headers
	Body     []byte
	Trailers Headers
	// Timeout has millisecond precision; zero: none.
	Timeout time.Duration
}

// TakeCallouts returns the call-outs made since the last time.
func (vm *VM) TakeCallouts() []*Callout {
	callouts := vm.callouts
	vm.callouts = nil
	return callouts
}

// Respond hands over the response, which holds ":status".
func (c *Callout) Respond(headers Headers, body []byte, trailers Headers) error {
	lowered := headers.lower()
	response := calloutResponse{headers: &lowered, body: &body}
	if trailers != nil {
		lowered := trailers.lower()
		response.trailers = &lowered
	}
	return c.deliver(response)
}

// Fail responds as Envoy does for a connection that broke: with no headers at
// all.
func (c *Callout) Fail() error {
	return c.deliver(calloutResponse{failure: BrokenConnection, message: "reset"})
}

// FailStatus responds as proxies do that make up a response, with 503 when there
// is no upstream and 504 when the time is up.
func (c *Callout) FailStatus(status int) error {
	var body string
	switch status {
	case 503:
		body = "no healthy upstream"
	case 504:
		body = "upstream request timeout"
	}
	return c.Respond(Headers{
		{":status", strconv.Itoa(status)},
		{"content-length", strconv.Itoa(len(body))},
		{"content-type", "text/plain"},
	}, []byte(body), nil)
}

// calloutResponse is what proxy_on_http_call_response can read.
type calloutResponse struct {
	headers, trailers *Headers
	body              *[]byte
	failure           Status
	message           string
}

func (c *Callout) deliver(a calloutResponse) error {
	r := c.Root
	if r.vm.err != nil {
		return r.vm.err
	}
	if r.calls[c.ID] != c {
		return ErrClosed
	}
	delete(r.calls, c.ID)
	if r.vm.current != nil {
		r.vm.later(func() { r.respond(c.ID, a) })
		return nil
	}
	r.respond(c.ID, a)
	return r.vm.err
}

func (r *Root) respond(id uint32, a calloutResponse) {
	if r.gone {
		return
	}
	var headers, size, trailers int
	if a.headers != nil {
		headers, size = len(*a.headers), len(*a.body)
	}
	if a.trailers != nil {
		trailers = len(*a.trailers)
	}
	if a.failure != OK {
		r.statusCode = uint32(a.failure)
	}
	r.statusMessage = a.message
	r.response = a
	r.vm.invoke(&r.guest, onHTTPCallResponse, 0, r.id, id, uint32(headers), uint32(size), uint32(trailers))
	r.response, r.statusMessage = calloutResponse{}, ""
	r.vm.settle()
}

// httpCall is proxy_http_call, for the root of the calling context.
func (r *Root) httpCall(c *Callout) (id uint32, status Status) {
	vm := r.vm
	if r.configuring {
		trap("proxy_http_call while configuring: proxies trap there or never respond")
	}
	if !vm.clusters[c.Cluster] || c.Timeout < 0 {
		return 0, BadArgument
	}
	for _, name := range []string{":path", ":method", ":authority"} {
		if _, ok := c.Headers.Get(name); !ok {
			return 0, BadArgument
		}
	}
	if len(c.Body) > 0 {
		c.Headers = c.Headers.replace("content-length", strconv.Itoa(len(c.Body)))
	}
	for vm.nextCallID++; vm.nextCallID == 0 || r.calls[vm.nextCallID] != nil; vm.nextCallID++ {
	}
	c.ID = vm.nextCallID
	r.calls[c.ID] = c
	if vm.config.Callout == nil {
		vm.callouts = append(vm.callouts, c)
		return c.ID, OK
	}
	if status := vm.config.Callout(c); status != OK {
		delete(r.calls, c.ID)
		return 0, status
	}
	return c.ID, OK
}
