package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"orgate/host"
)

// maxCalloutBody is the longest response to a callout that is passed on.
const maxCalloutBody = 1 << 20

var errLongResponse = errors.New("the response is longer than 1 MiB")

// callout makes an HTTP call for the plugin. It runs on the loop; the call does
// not.
func (w *worker) callout(c *host.Callout) host.Status {
	base := w.g.config.Clusters[c.Cluster]
	if base == nil {
		return host.BadArgument // as Envoy for a cluster it does not know
	}
	w.callouts.Go(func() {
		ctx, cancel := w.ctx, context.CancelFunc(func() {})
		if c.Timeout > 0 {
			ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		}
		defer cancel()
		begin := time.Now()
		headers, body, trailers, err := w.call(ctx, base, c)
		log := w.log.With("cluster", c.Cluster, "duration", time.Since(begin))
		// Envoy makes up a response of an upstream that is down or slow, and has
		// none at all if the response broke off.
		switch {
		case w.ctx.Err() != nil:
			return // the gateway stops
		case err == nil:
			status, _ := headers.Get(":status")
			log.Debug("callout", "status", status)
			w.post(func() { _ = c.Respond(headers, body, trailers) })
		case errors.Is(err, context.DeadlineExceeded):
			log.Warn("callout", "error", "timeout")
			w.post(func() { _ = c.FailStatus(http.StatusGatewayTimeout) })
		case headers == nil:
			log.Warn("callout", "error", cause(err))
			w.post(func() { _ = c.FailStatus(http.StatusServiceUnavailable) })
		default:
			log.Warn("callout", "error", cause(err))
			w.post(func() { _ = c.Fail() })
		}
	})
	return host.OK
}

// call sends the request and reads the response. If only the body could not be
// read, the headers are there along with the error.
func (w *worker) call(ctx context.Context, base *url.URL, c *host.Callout) (
	headers host.Headers, body []byte, trailers host.Headers, err error,
) {
	req, err := outgoing(ctx, base.Scheme, base.Host, c.Headers)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(c.Body) > 0 {
		req.Body = io.NopCloser(bytes.NewReader(c.Body))
		req.ContentLength = int64(len(c.Body))
	} else {
		req.Body, req.ContentLength = nil, 0
	}
	if len(c.Trailers) > 0 {
		req.ContentLength = -1
		req.Trailer = headerOf(c.Trailers)
		if req.Body == nil {
			req.Body = io.NopCloser(bytes.NewReader(nil))
		}
	}
	res, err := w.g.clusters[c.Cluster].RoundTrip(req) // follows no redirects
	if err != nil {
		return nil, nil, nil, err
	}
	defer res.Body.Close()
	headers = append(host.Headers{{":status", strconv.Itoa(res.StatusCode)}}, pairs(res.Header)...)
	body, err = io.ReadAll(io.LimitReader(res.Body, maxCalloutBody+1))
	if err == nil && len(body) > maxCalloutBody {
		err = errLongResponse
	}
	return headers, body, pairs(res.Trailer), err
}
