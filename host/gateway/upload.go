package gateway

import (
	"io"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"

	"orgate/host"
)

// How much of a body is read ahead, and at once.
const (
	readAhead = 1 << 20
	chunkSize = 32 << 10
)

// upload is a request's body on its way to the upstream, read ahead by 1 MiB at
// most: net/http notices that a client is gone only by reading. One that leaves
// more behind is noticed when the plugin goes on.
type upload struct {
	x       *exchange
	trailer http.Header // what is sent at the end
	chunks  chan []byte
	err     error // after the chunks
	rest    []byte
	reading sync.WaitGroup
	read    atomic.Bool // to the end
	passed  sync.Once   // the trailers
}

// newUpload begins to read. The declared trailers are announced.
func newUpload(x *exchange, declared http.Header) *upload {
	u := &upload{x: x, trailer: http.Header{}, chunks: make(chan []byte, readAhead/chunkSize)}
	for name := range declared {
		u.trailer[name] = nil
	}
	u.reading.Go(func() {
		defer close(u.chunks)
		for {
			chunk := make([]byte, chunkSize)
			n, err := x.source.Body.Read(chunk)
			u.err = err
			if err == io.EOF {
				u.read.Store(true)
			} else if err != nil {
				x.cancel(errBroken) // unless the client is gone
			}
			select {
			case u.chunks <- chunk[:n]:
			case <-x.ctx.Done():
				u.err = x.ctx.Err()
				return
			}
			if err != nil {
				return
			}
		}
	})
	return u
}

// Read passes the body on. At its end the trailers go through the plugin.
func (u *upload) Read(b []byte) (int, error) {
	for len(u.rest) == 0 {
		select {
		case chunk, ok := <-u.chunks:
			if ok {
				u.rest = chunk
				continue
			}
			if u.err == io.EOF {
				u.passed.Do(func() { u.err = u.trailers() })
			}
			return 0, u.err
		case <-u.x.ctx.Done():
			return 0, u.x.ctx.Err()
		}
	}
	n := copy(b, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

// Close does nothing: the end of the exchange ends reading.
func (u *upload) Close() error { return nil }

// trailers passes the trailers on. Its error is [io.EOF] if the plugin lets
// them.
func (u *upload) trailers() error {
	x := u.x
	came := pairs(x.source.Trailer)
	if len(came) == 0 {
		return io.EOF
	}
	x.on(func(s *host.Stream) host.Action { return s.RequestTrailers(came) })
	var left host.Headers
	action := x.await(func(s *host.Stream) host.Action {
		left = s.RequestTrailerMap().Clone()
		return s.RequestAction()
	})
	if action != host.Continue {
		x.cancel(errDecided)
		return errDecided
	}
	maps.Copy(u.trailer, headerOf(left))
	return io.EOF
}
