// Package gateway serves HTTP through a Proxy-Wasm plugin: a stand-in for
// Envoy, for development, that needs nothing but this module.
//
// As in Envoy, a [Gateway] has a few workers, each with a VM of its own that
// one goroutine (the worker's event loop) uses, and every request stays with
// the worker it came to. What passes goes through net/http/httputil.ReverseProxy:
// bodies and trailers are streamed, and nothing is buffered.
//
// # Protocols
//
// Clients speak HTTP/1.1, or HTTP/2 with prior knowledge; an upgrade to h2c gets
// its response over HTTP/1.1. gRPC goes to the upstream over HTTP/2 (without TLS as
// h2c), everything else over HTTP/1.1. A WebSocket's handshake is judged like
// any request, and what follows it passes.
//
// # What the plugin sees
//
// The request's headers and trailers, and the digest of the client's certificate
// if the gateway asks for one. Its body and the response pass without
// the plugin, which has no use for them. The headers are the pseudo-headers
// :authority, :path, :method and :scheme, then the others in lower case, sorted
// by name, because net/http does not keep the order between names; those of one
// name stay in the order they came in, and are not joined. The path is the one
// that was received, byte for byte. Hop-by-hop headers (RFC 9110 §7.6.1) but
// those of an upgrade and "te: trailers" are gone before the plugin sees the
// request: what a plugin adds is never dropped because a client named it in
// Connection.
//
// # What it refuses
//
// CONNECT and other upgrades are refused with 403, and a target with a fragment or
// without a host 400, as Envoy does by default. While a worker's VM is being
// restarted after a trap, its requests get a 503.
//
// The package knows nothing of what the plugin does but the names of the
// properties that it writes to the log: see [Config].
package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
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
	// ServerNames are the hosts that the certificates of https clusters have to
	// be of, by the cluster's name. Of one that is not here it is the URL's.
	ServerNames map[string]string
	// RootCAs are the certificate authorities of the upstream and of clusters.
	// nil: those of the system.
	RootCAs *x509.CertPool
	// Env is the environment of the plugin's VMs.
	Env map[string]string
	// ClientCAs are the certificate authorities of clients, which may then show a
	// certificate: the gateway speaks TLS. nil: it does not.
	ClientCAs *x509.CertPool
	// Workers is the number of workers. Zero or less: one.
	Workers int
	// Labels are those that the plugin writes into its metrics' names, as
	// "label=.=value;.;".
	Labels []string
	// Ready are the names of metrics that are above 0 once the plugin can do its
	// work.
	Ready []string
	// VerifySignature offers the plugin the foreign function verify_signature,
	// as Envoy does.
	VerifySignature bool
	// Log receives a line for each request, with the client's address, the
	// properties orgate.reason, issuer, organization, required, rule and source if
	// the plugin set them, and the plugin's own lines. nil: nothing is logged.
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
	grpc      *http.Transport            // to the upstream
	clusters  map[string]*http.Transport // by name
	ctx       context.Context            // ends when requests must
	endAll    context.CancelCauseFunc
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
	if err := CheckServer(c.Upstream); err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	for name, u := range c.Clusters {
		if err := CheckServer(u); err != nil {
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
		upstream: transport(c.RootCAs, ""),
		grpc:     transport(c.RootCAs, ""),
		clusters: make(map[string]*http.Transport, len(c.Clusters)),
	}
	g.grpc.Protocols = new(http.Protocols)
	g.grpc.Protocols.SetHTTP2(true)
	g.grpc.Protocols.SetUnencryptedHTTP2(true)
	for name := range c.Clusters {
		g.clusters[name] = transport(c.RootCAs, c.ServerNames[name])
	}
	g.ctx, g.endAll = context.WithCancelCause(context.Background())
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	g.server = &http.Server{
		Handler:           http.HandlerFunc(g.serve),
		Protocols:         protocols,
		BaseContext:       func(net.Listener) context.Context { return g.ctx },
		ConnContext:       withConnection,
		ConnState:         connectionState,
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

// CheckServer reports what is wrong with a URL that should only name a server:
// scheme, host and port.
func CheckServer(u *url.URL) error {
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("must be an absolute http(s) URL, got %q", u.Redacted())
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("must name scheme, host and port alone, got %q", u.Redacted())
	}
	return nil
}

// transport sends requests as they are: no proxy, no compression of its own,
// and over HTTP/1.1. Certificates have to be the server name's or, if that is
// empty, the URL's host's.
func transport(roots *x509.CertPool, serverName string) *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, ServerName: serverName, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 5 * time.Second,
		DisableCompression:  true,
		MaxIdleConns:        256,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
	}
}

// transport is the one to the upstream for a request with these headers.
func (g *Gateway) transport(headers host.Headers) *http.Transport {
	contentType, _ := headers.Get("content-type")
	if rest, ok := strings.CutPrefix(contentType, "application/grpc"); ok &&
		(rest == "" || rest[0] == '+' || rest[0] == ';') {
		return g.grpc
	}
	return g.upstream
}

// Serve serves requests that come to the listener until [Gateway.Shutdown],
// and then returns nil.
func (g *Gateway) Serve(l net.Listener) error {
	l = &listener{l, g.log}
	if g.config.ClientCAs != nil {
		var err error
		if l, err = withClientCertificates(l, g.config.ClientCAs); err != nil {
			return err
		}
	}
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
	done := make(chan struct{})
	go func() {
		g.exchanges.Wait() // also for WebSockets, of which the server knows nothing
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.endAll(errStopping)
	if err != nil {
		_ = g.server.Close()
	}
	<-done
	g.stopWorkers()
	for _, t := range slices.AppendSeq([]*http.Transport{g.upstream, g.grpc}, maps.Values(g.clusters)) {
		t.CloseIdleConnections()
	}
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
	if c, ok := r.Context().Value(connectionKey{}).(*connection); ok {
		c.handling.Store(true)
	}
	upgrade := strings.ToLower(r.Header.Get("Upgrade"))
	if upgrade == "h2c" {
		r.Header.Del("Upgrade") // a server may ignore it (RFC 9110 §7.8)
	}
	path, ok := originForm(r.Method, r.RequestURI)
	switch {
	case r.Method == http.MethodConnect:
		g.refuse(rw, r, http.StatusForbidden, "CONNECT is not supported")
	case upgrade != "" && upgrade != "h2c" && upgrade != "websocket":
		g.refuse(rw, r, http.StatusForbidden, "of upgrades, WebSocket alone is supported")
	case !ok:
		g.refuse(rw, r, http.StatusBadRequest, "the request's target is neither a path nor an http(s) URL")
	case strings.Contains(path, "#"):
		g.refuse(rw, r, http.StatusBadRequest, "the request's target has a fragment")
	case r.Host == "":
		g.refuse(rw, r, http.StatusBadRequest, "the request names no host")
	default:
		w := g.workers[(g.next.Add(1)-1)%uint64(len(g.workers))]
		newExchange(w, rw, r, path).run()
	}
}

// refuse refuses a request that no plugin is to see.
func (g *Gateway) refuse(rw http.ResponseWriter, r *http.Request, status int, why string) {
	rw.Header().Set("Connection", "close")
	http.Error(rw, why, status)
	path, _ := originForm(r.Method, r.RequestURI)
	g.log.Info("request", "method", r.Method, "path", withoutQuery(path), "status", status, "refused", why)
}
