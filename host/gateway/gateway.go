// Package gateway serves HTTP/1.1 through a Proxy-Wasm plugin: a stand-in for
// Envoy, for development, that needs nothing but this module.
//
// As in Envoy, a [Gateway] has a few workers, each with a VM of its own that
// one goroutine (the worker's event loop) uses, and every request stays with
// the worker it came to. Request and response run through the plugin's
// callbacks as they come, header by header and chunk by chunk, and are
// streamed: nothing is buffered unless the plugin pauses a body, and then at
// most 1 MiB.
//
// # What the plugin sees
//
// The pseudo-headers :authority, :path, :method and :scheme, then the headers
// in lower case, sorted by name, because net/http does not keep the order
// between names; headers of one name stay in the order they came in, and are
// not joined. The path is the one that was received, byte for byte. Hop-by-hop
// headers (RFC 9110 §7.6.1) are gone before the plugin sees the request: what a
// plugin adds is never dropped because a client named it in Connection.
//
// # What it refuses
//
// CONNECT and upgrades are answered 403, and a target with a fragment or without
// a host 400, as Envoy does by default. While a worker's VM is being restarted after a trap,
// its requests are answered 503.
//
// The package knows nothing of what the plugin does but the names of the
// properties that it writes to the log: see [Config].
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"orgate/host"
)

// Config says what a [Gateway] serves. Plugin and Upstream are required.
type Config struct {
	// Plugin is not closed by the gateway.
	Plugin *host.Plugin
	// Configuration is what the plugin reads as its configuration.
	Configuration []byte
	// Upstream is where requests go: scheme, host and port, no path.
	Upstream *url.URL
	// Clusters are what the plugin may call, by name: scheme, host and port,
	// no path.
	Clusters map[string]*url.URL
	// Workers is the number of workers. Zero or less: one.
	Workers int
	// VerifySignature offers the plugin the foreign function verify_signature,
	// as Envoy does.
	VerifySignature bool
	// Log receives a line for each request, with the properties
	// orgate.reason, orgate.issuer, orgate.organization and orgate.rule if the
	// plugin set them, and the plugin's own lines. nil: nothing is logged.
	// Queries, headers and bodies are never logged.
	Log *slog.Logger
	// backOff is the pause before the first restart of a VM that trapped; it
	// doubles each time, to a hundred times as much. Zero: 100 ms.
	backOff time.Duration
}

// RefusedError says that the plugin refused its configuration.
type RefusedError struct {
	// Lines are what the plugin logged at error level or above.
	Lines []string
}

func (e *RefusedError) Error() string {
	if len(e.Lines) == 0 {
		return "the plugin refuses the configuration"
	}
	return "the plugin refuses the configuration:\n" + strings.Join(e.Lines, "\n")
}

// Gateway serves HTTP through the plugin.
type Gateway struct {
	config    Config
	log       *slog.Logger
	metrics   *host.Metrics
	shared    *host.SharedData
	workers   []*worker
	next      atomic.Uint64
	server    *http.Server
	upstream  *http.Transport
	callouts  *http.Transport
	ctx       context.Context // ends when requests must
	endAll    context.CancelFunc
	mu        sync.Mutex
	closing   bool
	exchanges sync.WaitGroup
}

// New starts the workers and configures the plugin in each. The error is a
// [RefusedError] if the plugin refuses its configuration. A Gateway that was
// made must be [Gateway.Shutdown].
func New(c Config) (*Gateway, error) {
	if c.Plugin == nil || c.Upstream == nil {
		return nil, errors.New("a gateway needs a plugin and an upstream")
	}
	if err := checkBase(c.Upstream); err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	for name, u := range c.Clusters {
		if err := checkBase(u); err != nil {
			return nil, fmt.Errorf("cluster %q: %w", name, err)
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.backOff == 0 {
		c.backOff = 100 * time.Millisecond
	}
	g := &Gateway{
		config:   c,
		log:      c.Log,
		metrics:  host.NewMetrics(),
		shared:   host.NewSharedData(),
		upstream: transport(),
		callouts: transport(),
	}
	g.ctx, g.endAll = context.WithCancel(context.Background())
	g.server = &http.Server{
		Handler:           http.HandlerFunc(g.serve),
		BaseContext:       func(net.Listener) context.Context { return g.ctx },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    60 << 10, // Envoy's limit
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
		// OPTIONS * is the upstream's to answer.
		DisableGeneralOptionsHandler: true,
	}
	for i := range max(c.Workers, 1) {
		w := newWorker(g, i)
		if err := w.start(); err != nil {
			g.stopWorkers()
			return nil, err
		}
		g.workers = append(g.workers, w)
	}
	return g, nil
}

// checkBase reports what is wrong with a URL that only names a server.
func checkBase(u *url.URL) error {
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("must be an absolute http(s) URL, got %q", u.Redacted())
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("must name scheme, host and port alone, got %q", u.Redacted())
	}
	return nil
}

// transport sends requests as they are: no proxy, no compression of its own,
// no HTTP/2.
func transport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		DisableCompression:  true,
		MaxIdleConns:        256,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
	}
}

// Serve answers requests that come to the listener until [Gateway.Shutdown],
// and then returns nil.
func (g *Gateway) Serve(l net.Listener) error {
	if err := g.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops accepting connections, lets requests finish and stops the
// workers. When the context ends first, the requests that are left are cut off
// and its error is returned. It may be called more than once.
func (g *Gateway) Shutdown(ctx context.Context) error {
	err := g.server.Shutdown(ctx)
	g.mu.Lock()
	g.closing = true
	g.mu.Unlock()
	if err != nil {
		g.endAll()
		_ = g.server.Close()
	}
	g.exchanges.Wait()
	g.endAll()
	g.stopWorkers()
	g.upstream.CloseIdleConnections()
	g.callouts.CloseIdleConnections()
	return err
}

func (g *Gateway) stopWorkers() {
	for _, w := range g.workers {
		w.shutdown()
	}
}

// begin admits a request, unless the gateway is closing. Each is followed by
// g.exchanges.Done.
func (g *Gateway) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return false
	}
	g.exchanges.Add(1)
	return true
}

func (g *Gateway) serve(rw http.ResponseWriter, r *http.Request) {
	if !g.begin() {
		http.Error(rw, "shutting down", http.StatusServiceUnavailable)
		return
	}
	defer g.exchanges.Done()
	path, ok := originForm(r.Method, r.RequestURI)
	switch {
	case r.Method == http.MethodConnect:
		g.refuse(rw, r, http.StatusForbidden, "CONNECT is not supported")
	case r.Header.Get("Upgrade") != "":
		g.refuse(rw, r, http.StatusForbidden, "upgrades are not supported")
	case !ok:
		g.refuse(rw, r, http.StatusBadRequest, "the request's target is neither a path nor an http(s) URL")
	case strings.Contains(path, "#"):
		g.refuse(rw, r, http.StatusBadRequest, "the request's target has a fragment")
	case r.Host == "":
		g.refuse(rw, r, http.StatusBadRequest, "the request names no host")
	default:
		w := g.workers[(g.next.Add(1)-1)%uint64(len(g.workers))]
		newExchange(w, rw, r).run(path)
	}
}

// refuse answers a request that no plugin is to see.
func (g *Gateway) refuse(rw http.ResponseWriter, r *http.Request, status int, why string) {
	rw.Header().Set("Connection", "close")
	http.Error(rw, why, status)
	g.log.Info("request", "method", r.Method, "path", pathOnly(r), "status", status, "refused", why)
}
