package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// verifyOptions are the flags of "orgate verify" as they were given.
type verifyOptions struct {
	urls                []string
	method, connect, ca string
	wait                time.Duration
}

// again is how long "orgate verify --wait" pauses between two requests.
var again = time.Second

func newVerify() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify --url URL...",
		Short: "Ask a gateway whether the plugin guards it",
		Long: `Send a request without a token to each URL, and expect the plugin's own 401.

A control plane can accept the plugin and still leave it out of a route: then
requests pass unchecked, and nothing says so. So ask every host that the gateway
serves, and one path of each rule that asks for a token.

The exit status is 0 if the plugin refused each request, 1 if one was answered in
any other way, and 2 if a flag is wrong.`,
		Example: `  orgate verify --url https://api.example.com/orders --url https://shop.example.com/

  # A gateway that DNS does not know yet, as soon as it is there.
  kubectl port-forward -n envoy-gateway-system svc/envoy-default-eg 8443:443 &
  orgate verify --url https://api.example.com/orders --connect 127.0.0.1:8443 --wait 1m`,
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			client, err := o.client(cmd.InOrStdin())
			if err != nil {
				return &failure{err}
			}
			return o.run(cmd.Context(), client, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.urls, "url", nil, "ask `URL`; may be repeated (required)")
	f.StringVar(&o.method, "method", http.MethodGet, "ask with `METHOD`")
	f.StringVar(&o.connect, "connect", "", "connect to `ADDR`, host and port, whatever the hosts of the URLs")
	f.StringVar(&o.ca, "ca", "", "trust the certificate authorities in `FILE` alone (default those of the system)")
	f.DurationVar(&o.wait, "wait", 0, "ask again for `DURATION` until the answer is as expected")
	return cmd
}

// check reads the flags. Its errors are those of usage.
func (o *verifyOptions) check() error {
	if len(o.urls) == 0 {
		return errors.New("--url is missing")
	}
	for _, location := range o.urls {
		u, err := url.Parse(location)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return fmt.Errorf("--url: must be an absolute http(s) URL, got %q", location)
		}
	}
	if o.connect != "" {
		if err := checkAddress(o.connect); err != nil {
			return fmt.Errorf("--connect: %w", err)
		}
	}
	if o.method == "" || o.method == http.MethodHead {
		return fmt.Errorf("--method: the plugin is known by its body, got %q", o.method)
	}
	if o.wait < 0 {
		return fmt.Errorf("--wait: must not be negative, got %v", o.wait)
	}
	return nil
}

// client takes neither proxies nor redirects: the first response counts.
func (o *verifyOptions) client(stdin io.Reader) (*http.Client, error) {
	roots, err := authorities(o.ca, stdin)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{}
	return &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots},
			ForceAttemptHTTP2: true,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if o.connect != "" {
					address = o.connect
				}
				return dialer.DialContext(ctx, network, address)
			},
		},
	}, nil
}

func (o *verifyOptions) run(ctx context.Context, client *http.Client, out io.Writer) error {
	p := paletteOf(out)
	deadline := time.Now().Add(o.wait)
	refused := 0
	for _, location := range o.urls {
		ok, words := o.ask(ctx, client, location)
		for !ok && ctx.Err() == nil && time.Now().Before(deadline) {
			select {
			case <-time.After(min(again, time.Until(deadline))):
			case <-ctx.Done():
			}
			ok, words = o.ask(ctx, client, location)
		}
		mark := p.red("✗")
		if ok {
			mark = p.green("✓")
			refused++
		}
		if _, err := fmt.Fprintf(out, "%s  %s %s: %s\n", mark, o.method, location, words); err != nil {
			return &failure{err}
		}
	}
	if refused < len(o.urls) {
		return errReported
	}
	return nil
}

// ask sends one request, and says what the response means.
func (o *verifyOptions) ask(ctx context.Context, client *http.Client, location string) (ok bool, words string) {
	request, err := http.NewRequestWithContext(ctx, o.method, location, nil)
	if err != nil {
		return false, err.Error()
	}
	response, err := client.Do(request)
	if err != nil {
		return false, fmt.Sprintf("no answer: %v", errors.Unwrap(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return false, fmt.Sprintf("no answer: %v", err)
	}
	// A description of the plugin's, in each of its formats (package gate).
	of := func(description string) bool { return strings.Contains(string(body), description) }
	switch status := response.StatusCode; {
	case status == http.StatusUnauthorized && of("Send an access token."):
		return true, "401, the plugin asks for a token"
	case status == http.StatusUnauthorized:
		return false, "401, which is not the plugin's: something else refused, and the plugin may be missing"
	case status == http.StatusForbidden && of("No rule allows access to the resource."):
		return false, "403, the plugin has no rule for this request: ask for a path that one is for"
	case status == http.StatusNotFound:
		return false, "404, which is not the plugin's: the gateway has no such route, or the plugin is missing"
	case status >= 500:
		return false, fmt.Sprintf("%d, no request passes: is the plugin loaded? Its log says why not", status)
	default:
		return false, fmt.Sprintf("%d without a token: the plugin is missing on this route, or a rule lets everyone in",
			status)
	}
}
