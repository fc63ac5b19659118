package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"orgate/admin/advice"
	"orgate/cmd/orgate/internal/grant"
	"orgate/config"
)

// tokenOptions are the flags of "orgate token" as they were given.
type tokenOptions struct {
	config, issuer, grant, clientID, secretFile string
	discovery, listen, ca, explain              string
	scopes, parameters, clusters                []string
	idToken, decode                             bool
}

func newToken() *cobra.Command {
	var o tokenOptions
	cmd := &cobra.Command{
		Use: "token --config FILE --issuer NAME --client-id ID [--client-secret-file FILE]",

		DisableFlagsInUseLine: true,

		Short: "Fetch an access token from an issuer of the configuration",
		Long: `Fetch an access token as a client of the API does, and print it, alone. The
endpoints come from the issuer's discovery document, which has to say that it is
of this very issuer: the wellKnown of the configuration, or the usual place
below the issuer's URL.

  client-credentials  the client itself (the default); needs its secret
  device-code         a user, on any device: a URL and a code are shown
  authorization-code  a user, with a browser on this machine: a URL is shown, and
                      the browser comes back to http://ADDR/callback, which has
                      to be among the client's redirect URIs

PKCE is always used where there is a browser. The secret is read from a file, or
from standard input with "-": others can see the command line. What the user is
to do goes to standard error.

With --decode the token's header and claims are printed instead, and with
--explain what "orgate explain" says of a request with it. The signature is not
printed then.

The exit status is 0 if there is a token, 3 if --explain is given and the plugin
refuses the request, 2 if a flag is wrong, and 1 otherwise.`,
		Example: `  orgate token --config orgate.json --issuer keycloak --client-id orders-app --client-secret-file secret.txt

  # With a user; Auth0 wants to know the API.
  orgate token --config orgate.json --issuer auth0 --grant authorization-code --client-id cli \
    --listen 127.0.0.1:8400 --scope orders:read --parameter audience=https://api.example.com

  # What would become of a request with it?
  orgate token --config orgate.json --issuer keycloak --client-id orders-app --client-secret-file - \
    --explain 'GET https://api.example.com/orders' < secret.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := o.check()
			if err != nil {
				return err
			}
			f.stdin, f.out, f.err = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			return f.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", "read the plugin's configuration from `FILE`, \"-\" for standard input "+
		"(required)")
	f.StringVar(&o.issuer, "issuer", "", "fetch a token from the issuer `NAME` (required, if there are several)")
	f.StringVar(&o.grant, "grant", string(grant.ClientCredentials), "ask for the token by `GRANT`")
	f.StringVar(&o.clientID, "client-id", "", "be the client `ID` (required)")
	f.StringVar(&o.secretFile, "client-secret-file", "",
		"read the client's secret from `FILE`, \"-\" for standard input")
	f.StringArrayVar(&o.scopes, "scope", nil, "ask for `SCOPE`; may be repeated")
	f.StringArrayVar(&o.parameters, "parameter", nil, "send a parameter besides, as `NAME=VALUE`; may be repeated")
	f.StringVar(&o.discovery, "discovery", "", "take the endpoints from the discovery document at `URL`")
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "have the browser come back to `ADDR`, a loopback address and port")
	f.StringArrayVar(&o.clusters, "cluster", nil,
		"ask for the cluster NAME's documents and tokens at URL, as `NAME=URL`; may be repeated")
	f.StringVar(&o.ca, "ca", "", "trust the certificate authorities in `FILE` alone (default those of the system)")
	f.BoolVar(&o.idToken, "id-token", false, "print the ID token instead of the access token")
	f.BoolVar(&o.decode, "decode", false, "print the header and the claims instead of the token")
	f.StringVar(&o.explain, "explain", "", "print what the plugin makes of the request '`METHOD URL`' with the token")
	complete(cmd, "grant", string(grant.ClientCredentials), string(grant.DeviceCode), string(grant.AuthorizationCode))
	return cmd
}

// tokenFetcher does what "orgate token" is to do.
type tokenFetcher struct {
	tokenOptions
	explainer *explainer
	request   grant.Request
	stdin     io.Reader
	out, err  io.Writer
}

// check reads the flags. Its errors are those of usage.
func (o *tokenOptions) check() (*tokenFetcher, error) {
	f := &tokenFetcher{tokenOptions: *o}
	f.request = grant.Request{Kind: grant.Kind(o.grant), ClientID: o.clientID, Scopes: o.scopes, Listen: o.listen,
		IDToken: o.idToken}
	switch {
	case o.config == "":
		return nil, errors.New("--config is missing")
	case o.clientID == "":
		return nil, errors.New("--client-id is missing")
	case !slices.Contains(grant.Kinds, f.request.Kind):
		return nil, fmt.Errorf("--grant: must be client-credentials, device-code or authorization-code, got %q",
			o.grant)
	case f.request.Kind == grant.ClientCredentials && o.secretFile == "":
		return nil, errors.New("--client-secret-file is missing: client-credentials needs it")
	}
	if err := oneStdin(o.config, o.secretFile, o.ca); err != nil {
		return nil, err
	}
	if !isLoopback(o.listen) {
		return nil, fmt.Errorf("--listen: must be a loopback address and port, got %q", o.listen)
	}
	if u, err := url.Parse(o.discovery); o.discovery != "" && (err != nil || u.Host == "") {
		return nil, fmt.Errorf("--discovery: must be an absolute http(s) URL, got %q", o.discovery)
	}
	for _, p := range o.parameters {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--parameter: must be NAME=VALUE, got %q", p)
		}
		f.request.Parameters = append(f.request.Parameters, [2]string{name, value})
	}
	clusters, err := parseClusters(o.clusters)
	if err != nil {
		return nil, err
	}
	f.explainer = &explainer{explainOptions: explainOptions{config: o.config, output: "text"}}
	f.explainer.client.Clusters = clusters
	if o.explain != "" {
		if f.explainer.input.Request, err = parseRequestLine(o.explain); err != nil {
			return nil, fmt.Errorf("--explain: %w", err)
		}
	}
	return f, nil
}

// isLoopback reports whether an address is one that only this machine reaches.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || checkAddress(address) != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (f *tokenFetcher) run(ctx context.Context) error {
	issuer, err := f.prepare(ctx)
	if err != nil {
		return &failure{err}
	}
	token, err := f.request.Token(ctx)
	if err != nil {
		return &failure{fmt.Errorf("issuer %q: %w", issuer.Name, err)}
	}
	if !f.decode && f.explain == "" {
		if _, err := fmt.Fprintln(f.out, token); err != nil {
			return &failure{err}
		}
		return nil
	}
	if f.decode {
		if _, err := f.out.Write(decoded(token)); err != nil {
			return &failure{err}
		}
	}
	if f.explain == "" {
		return nil
	}
	f.explainer.input.Now = time.Now()
	f.explainer.place(token)
	if err := f.explainer.fetchWith(nil); err != nil {
		return &failure{err}
	}
	return f.explainer.write(ctx, f.out)
}

// prepare reads the files and the issuer's discovery document.
func (f *tokenFetcher) prepare(ctx context.Context) (*config.Issuer, error) {
	document, err := read(f.config, f.stdin)
	if err != nil {
		return nil, err
	}
	report := advice.Read(string(document))
	if report.Config == nil {
		return nil, faults(nameOf(f.config), report)
	}
	f.explainer.input.Config = report.Config
	issuer, err := f.chosen(report.Config)
	if err != nil {
		return nil, err
	}
	if f.secretFile != "" {
		secret, err := read(f.secretFile, f.stdin)
		if err != nil {
			return nil, err
		}
		if f.request.Secret = strings.TrimSpace(string(secret)); f.request.Secret == "" {
			return nil, fmt.Errorf("%s: there is no secret in it", nameOf(f.secretFile))
		}
	}
	location := f.discovery
	keys := issuer.SignatureValidation.JWKS
	if location == "" && keys != nil {
		location = keys.WellKnown
	}
	if location == "" {
		location = grant.WellKnown(issuer.Issuer)
	}
	if f.request.Client, err = f.client(location, keys); err != nil {
		return nil, err
	}
	f.request.Prompt = f.err
	if f.request.Metadata, err = grant.Discover(ctx, f.request.Client, location, issuer.Issuer); err != nil {
		return nil, fmt.Errorf("issuer %q: %w", issuer.Name, err)
	}
	return issuer, nil
}

// chosen is the issuer of the flag, or the only one.
func (f *tokenFetcher) chosen(c *config.Config) (*config.Issuer, error) {
	names := make([]string, len(c.Issuers))
	for i := range c.Issuers {
		if names[i] = c.Issuers[i].Name; names[i] == f.issuer || f.issuer == "" && len(c.Issuers) == 1 {
			return &c.Issuers[i], nil
		}
	}
	list := advice.Enumerate(names)
	if f.issuer == "" {
		return nil, fmt.Errorf("--issuer is missing: there are %s", list)
	}
	return nil, fmt.Errorf("--issuer: the configuration has no issuer %q: there are %s", f.issuer, list)
}

// client carries requests to an authorization server. It follows no redirects:
// requests hold secrets.
func (f *tokenFetcher) client(location string, keys *config.JWKS) (*http.Client, error) {
	u, err := url.Parse(location)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	roots, err := authorities(f.ca, f.stdin)
	if err != nil {
		return nil, err
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	transport.ForceAttemptHTTP2 = true
	c := &http.Client{
		Transport:     transport,
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if keys != nil && f.explainer.client.Clusters[keys.Cluster] != nil {
		c.Transport = &detour{transport, u.Host, f.explainer.client.Clusters[keys.Cluster]}
	}
	return c, nil
}

// detour sends what is for a host to the address of its cluster.
type detour struct {
	next    http.RoundTripper
	host    string
	address *url.URL
}

func (d *detour) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Host == d.host {
		request = request.Clone(request.Context())
		request.URL.Scheme, request.URL.Host = d.address.Scheme, d.address.Host
	}
	return d.next.RoundTrip(request)
}

// decoded is the header and the payload of a JWT, indented, as they are.
func decoded(token string) []byte {
	var b bytes.Buffer
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		fmt.Fprintf(&b, "not a JWT: %d bytes\n", len(token))
		return b.Bytes()
	}
	for _, part := range parts[:2] {
		text, err := base64.RawURLEncoding.DecodeString(part)
		start := b.Len()
		if err == nil {
			err = json.Indent(&b, text, "", "  ")
		}
		if err != nil {
			b.Truncate(start)
			fmt.Fprintf(&b, "not a JWT: %d bytes", len(token))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}
