package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"orgate/config"
	"orgate/filter"
	"orgate/host"
	"orgate/host/gateway"
)

// maxWorkers is the default's upper bound: each worker has a VM of its own.
const maxWorkers = 8

// runOptions are the flags of "orgate run" as they were given.
type runOptions struct {
	config, listen, admin, upstream, wasm, ca, clientCA, logLevel, logFormat string
	clusters                                                                 []string
	workers                                                                  int
	verifySignature                                                          bool
}

func newRun() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use: "run --config FILE --upstream URL [--cluster NAME=URL]...",

		DisableFlagsInUseLine: true,

		Short: "Serve HTTP through the plugin, for development",
		Long: `Run the plugin in a proxy of its own and forward what it lets pass to one
upstream. It takes the place of Envoy while you develop: it is not for
production.

FILE is the plugin's configuration, the same JSON document that Envoy gives
it; any one file may be "-", standard input. Each cluster that the configuration
names is given its address with --cluster; a path belongs in the configuration's
URLs, not here. Over https the certificate has to be that of the host in the
configuration's URL, wherever the cluster is, and of an authority in --ca: as in
the proxies of "orgate render".

Clients speak HTTP/1.1 or HTTP/2 without TLS (h2c). With --client-ca they speak
TLS, and may show a certificate of one of these authorities, for tokens that are
bound to one (RFC 8705). The server's own is made for the run. WebSockets pass, and gRPC,
which goes on over HTTP/2; everything else goes on over HTTP/1.1.

Each request is logged on standard error, with the plugin's verdict and without
its query. With --admin there are metrics for Prometheus under /metrics, with
the names and labels that Envoy gives them; /ready answers 200 once each issuer
that fetches keys has some.

SIGINT and SIGTERM let requests finish, for ten seconds at most.

The exit status is 0 after such a stop, 2 if a flag is wrong, and 1 if anything
else is: a file that cannot be read, a configuration that the plugin refuses,
a port in use.`,
		Example: `  orgate run --config orgate.json --upstream http://127.0.0.1:9000 \
    --cluster auth0=https://example.eu.auth0.com

  orgate run --config orgate.json --listen 127.0.0.1:8080 --workers 2 \
    --upstream http://127.0.0.1:9000 --admin 127.0.0.1:8081 --log-level debug \
    --cluster keycloak=http://127.0.0.1:8180

  # A provider on this machine, with the name and the certificate that it will have.
  orgate run --config orgate.json --upstream http://127.0.0.1:9000 \
    --cluster sso=https://127.0.0.1:8443 --ca ca.pem

  # Tokens that are bound to a client certificate.
  orgate run --config orgate.json --upstream http://127.0.0.1:9000 \
    --cluster keycloak=http://127.0.0.1:8180 --client-ca clients.pem
  curl -k --cert client.pem --key client.key -H @token https://127.0.0.1:8080/`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := o.check()
			if err != nil {
				return err
			}
			options := &slog.HandlerOptions{Level: s.level}
			s.log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), options))
			if o.logFormat == "json" {
				s.log = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), options))
			}
			s.stdin = cmd.InOrStdin()
			if err := s.serve(cmd.Context()); err != nil {
				return &failure{err}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", "read the plugin's configuration from `FILE` (required)")
	f.StringVar(&o.upstream, "upstream", "", "send requests on to `URL`: scheme, host and port (required)")
	f.StringArrayVar(&o.clusters, "cluster", nil,
		"let the plugin call the cluster NAME at URL, as `NAME=URL`; may be repeated")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "listen on `ADDR`, host and port")
	f.StringVar(&o.admin, "admin", "", "serve /metrics, /stats and /ready on `ADDR` (default none)")
	f.StringVar(&o.ca, "ca", "", "trust the certificate authorities in `FILE` alone (default those of the system)")
	f.StringVar(&o.clientCA, "client-ca", "",
		"speak TLS with clients, and take certificates of the authorities in `FILE`")
	f.StringVar(&o.wasm, "wasm", "",
		"run the plugin in `FILE` (default orgate.wasm beside the command, or build/orgate.wasm)")
	f.IntVar(&o.workers, "workers", min(runtime.GOMAXPROCS(0), maxWorkers), "run `N` workers, each with a VM")
	f.StringVar(&o.logLevel, "log-level", "info", "log from this `LEVEL` on: debug, info, warn or error")
	f.StringVar(&o.logFormat, "log-format", "text", "log lines as `FORMAT`: text or json")
	f.BoolVar(&o.verifySignature, "verify-signature", false,
		"offer the plugin the function verify_signature, as Envoy does")
	complete(cmd, "log-format", "text", "json")
	// The default depends on the machine; help should not.
	f.Lookup("workers").DefValue = "GOMAXPROCS, at most 8"
	return cmd
}

// server is what "orgate run" is to do.
type server struct {
	configFile, wasmFile string
	caFile, clientCAFile string
	listen, admin        string
	upstream             *url.URL
	clusters             map[string]*url.URL
	workers              int
	verifySignature      bool
	level                slog.Level
	log                  *slog.Logger
	stdin                io.Reader
}

// check reads the flags. Its errors are those of usage.
func (o *runOptions) check() (*server, error) {
	s := &server{
		configFile: o.config,
		wasmFile:   o.wasm,
		caFile:     o.ca,

		clientCAFile: o.clientCA,

		listen:  o.listen,
		admin:   o.admin,
		workers: o.workers,

		verifySignature: o.verifySignature,
	}
	if o.config == "" {
		return nil, errors.New("--config is missing")
	}
	if err := oneStdin(o.config, o.wasm, o.ca); err != nil {
		return nil, err
	}
	if o.upstream == "" {
		return nil, errors.New("--upstream is missing")
	}
	var err error
	if s.upstream, err = parseServer(o.upstream); err != nil {
		return nil, fmt.Errorf("--upstream: %w", err)
	}
	if s.clusters, err = parseClusters(o.clusters); err != nil {
		return nil, err
	}
	if err := checkAddress(o.listen); err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	if o.admin != "" {
		if err := checkAddress(o.admin); err != nil {
			return nil, fmt.Errorf("--admin: %w", err)
		}
	}
	if o.workers < 1 {
		return nil, fmt.Errorf("--workers: must be at least 1, got %d", o.workers)
	}
	if err := s.level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level: must be debug, info, warn or error, got %q", o.logLevel)
	}
	if o.logFormat != "text" && o.logFormat != "json" {
		return nil, fmt.Errorf("--log-format: must be text or json, got %q", o.logFormat)
	}
	return s, nil
}

// parseServer reads a URL that names a server: scheme, host and port.
func parseServer(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("must be an absolute http(s) URL, got %q", text)
	}
	return u, gateway.CheckServer(u)
}

// compile compiles the plugin in the flag's file, or where "make build" leaves it.
func compile(ctx context.Context, file string, stdin io.Reader) (*host.Plugin, error) {
	if file == "" {
		file = "build/orgate.wasm"
		if self, err := os.Executable(); err == nil {
			beside := filepath.Join(filepath.Dir(self), "orgate.wasm")
			if _, err := os.Stat(beside); err == nil {
				file = beside
			}
		}
	}
	wasm, err := read(file, stdin)
	if err != nil {
		return nil, fmt.Errorf("%w (make build builds the plugin)", err)
	}
	plugin, err := host.Compile(ctx, wasm)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nameOf(file), err)
	}
	return plugin, nil
}

// authorities reads the certificates in a file; nil are those of the system.
func authorities(file string, stdin io.Reader) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := read(file, stdin)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no PEM certificate", nameOf(file))
	}
	return pool, nil
}

// checkAddress finds what cannot be an address to listen on. Whether it is one
// of this machine's, and free, is seen when it is used.
func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("must be host and port, got %q", address)
	}
	return nil
}

// serve runs until the context ends.
func (s *server) serve(ctx context.Context) error {
	configuration, err := read(s.configFile, s.stdin)
	if err != nil {
		return err
	}
	roots, err := authorities(s.caFile, s.stdin)
	if err != nil {
		return err
	}
	clients, err := authorities(s.clientCAFile, s.stdin)
	if err != nil {
		return err
	}
	serverNames, ready, err := s.checkClusters(configuration)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	plugin, err := compile(ctx, s.wasmFile, s.stdin)
	if err != nil {
		return err
	}
	defer plugin.Close()
	g, err := gateway.New(gateway.Config{
		Plugin:        plugin,
		Configuration: configuration,
		Upstream:      s.upstream,
		Clusters:      s.clusters,
		ServerNames:   serverNames,
		RootCAs:       roots,
		ClientCAs:     clients,
		Env:           environment(configuration),
		Workers:       s.workers,
		Log:           s.log,

		Labels: []string{"rule", "issuer", "reason", "result", "version"},
		Ready:  ready,

		VerifySignature: s.verifySignature,
	})
	if err != nil {
		return s.refusal(string(configuration), err)
	}
	stopAdmin, err := s.serveAdmin(g)
	if err != nil {
		return errors.Join(err, g.Shutdown(ctx))
	}
	defer stopAdmin()
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(listener) }()
	s.log.Info("listening", "address", listener.Addr().String(), "upstream", s.upstream.String(), "workers", s.workers)
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	s.log.Info("stopping")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if late := g.Shutdown(grace); late != nil {
		s.log.Warn("requests were cut off", "error", late)
	}
	return err
}

// environment is the variables that a configuration names, and no others. Those that
// are not there are left for the plugin to miss.
func environment(configuration []byte) map[string]string {
	variables := map[string]string{}
	c, err := config.Parse(string(configuration))
	if err != nil {
		return nil
	}
	for i := range c.Issuers {
		if asks := c.Issuers[i].Introspection; asks != nil && asks.ClientSecret.FromEnvironment != "" {
			if value, ok := os.LookupEnv(asks.ClientSecret.FromEnvironment); ok {
				variables[asks.ClientSecret.FromEnvironment] = value
			}
		}
	}
	return variables
}

// serveAdmin serves the administration side, if there is to be one.
func (s *server) serveAdmin(g *gateway.Gateway) (stop func(), err error) {
	if s.admin == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", s.admin)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: g.Admin(), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	s.log.Info("administration", "address", listener.Addr().String())
	return func() {
		_ = server.Close()
		<-done
	}, nil
}

// checkClusters returns the hosts that the configuration has its clusters at, and
// the metrics that say that an issuer has keys. It
// finds clusters that the flags do not name, and those whose certificate would
// have to be of several hosts. A configuration with errors is left for the
// plugin to judge.
func (s *server) checkClusters(configuration []byte) (hosts map[string]string, ready []string, err error) {
	c, err := config.Parse(string(configuration))
	if err != nil {
		return nil, nil, nil
	}
	hosts = map[string]string{}
	var wrong []string
	for i := range c.Issuers {
		issuer := &c.Issuers[i]
		if keys := issuer.SignatureValidation.JWKS; keys != nil && keys.Cluster != "" {
			ready = append(ready, filter.MetricName("orgate_jwks_keys", "issuer", issuer.Name))
		}
		for _, call := range issuer.Calls() {
			line, address, first := "", s.clusters[call.Cluster], hosts[call.Cluster]
			u, err := url.Parse(call.URL)
			switch {
			case err != nil:
				return nil, nil, err
			case address == nil:
				line = fmt.Sprintf("issuer %q needs the cluster %q: add --cluster %s=URL", issuer.Name, call.Cluster,
					call.Cluster)
			case first != "" && first != u.Hostname() && address.Scheme == "https":
				line = fmt.Sprintf("issuer %q: the cluster %q is at %s already, and here at %s: one cluster is for "+
					"one server",
					issuer.Name, call.Cluster, first, u.Hostname())
			default:
				hosts[call.Cluster] = u.Hostname()
			}
			if line != "" && !slices.Contains(wrong, line) {
				wrong = append(wrong, line)
			}
		}
	}
	if len(wrong) > 0 {
		file := nameOf(s.configFile)
		return nil, nil, errors.New(file + ": " + strings.Join(wrong, "\n"+file+": "))
	}
	return hosts, ready, nil
}

// refusal is the error for a gateway that did not start: the plugin's own
// lines, if it is the plugin who refuses.
func (s *server) refusal(configuration string, err error) error {
	var refused *gateway.RefusedError
	if !errors.As(err, &refused) || len(refused.Lines) == 0 {
		return err
	}
	lines := make([]string, len(refused.Lines))
	for i, line := range refused.Lines {
		lines[i] = strings.TrimPrefix(line, "configuration: ")
	}
	return located(nameOf(s.configFile), configuration, lines)
}
