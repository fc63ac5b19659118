// Package keyfetch fetches the keys of a configuration's issuers as the plugin
// does, one document after the other. It lists the keys that are used, and says
// why the others are not.
//
// The plugin calls a cluster of the proxy. A [Client] calls the URL's own host
// instead, or the address that was given for the cluster.
package keyfetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"orgate/config"
	"orgate/jwks"
	"orgate/jwt"
)

// Client fetches documents.
type Client struct {
	// Clusters are the addresses of clusters: scheme, host and port. Of one
	// that is not here, the URL's own host is asked.
	Clusters map[string]*url.URL
	// RootCAs are the certificate authorities. nil: those of the system.
	RootCAs *x509.CertPool
}

// transport asks for documents as the plugin's callouts do: it follows no
// redirects, does not decompress, and takes a certificate of the URL's host alone,
// whatever the address.
func (c *Client) transport(host string) *http.Transport {
	return &http.Transport{
		DisableCompression: true,
		DisableKeepAlives:  true,
		Proxy:              http.ProxyFromEnvironment,
		TLSClientConfig:    &tls.Config{RootCAs: c.RootCAs, ServerName: host, MinVersion: tls.VersionTLS12},
	}
}

// Document is a response.
type Document struct {
	Status int
	Header http.Header
	Body   string // at most one byte more than [jwks.MaxDocument]
}

// Get fetches the document at a URL through a cluster.
func (c *Client) Get(ctx context.Context, cluster, location string, timeout time.Duration) (*Document, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return nil, err
	}
	transport := c.transport(request.URL.Hostname())
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	request.Header.Set("User-Agent", "orgate")
	if address := c.Clusters[cluster]; address != nil {
		// request.Host stays what it was.
		request.URL.Scheme, request.URL.Host = address.Scheme, address.Host
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("no answer within %v (timeout)", timeout)
		}
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, jwks.MaxDocument+1))
	if err != nil {
		return nil, err
	}
	return &Document{Status: answer.StatusCode, Header: answer.Header, Body: string(body)}, nil
}

// Key is a key of an issuer's set.
type Key struct {
	// Name is how the key is told from the others: its kid, or its place.
	Name string `json:"name"`
	// Usable tells whether tokens are verified with it, and Reason why not.
	Usable bool   `json:"usable"`
	Reason string `json:"reason,omitempty"`
	// Of usable keys.
	Algorithm  string `json:"algorithm,omitempty"`
	Type       string `json:"type,omitempty"`
	Thumbprint string `json:"thumbprint,omitempty"`
}

// Keys is what became of fetching an issuer's keys.
type Keys struct {
	// Issuer is the issuer's name.
	Issuer string `json:"issuer"`
	// Location is where the JWK Set is, "" if that was not found out.
	Location string `json:"location"`
	Keys     []Key  `json:"keys"`
	// Error says why there is no key, "" if there is one.
	Error string `json:"error,omitempty"`
	// Path is the member of signatureValidation.jwks that the error is about.
	Path string `json:"-"`
}

// Issuer fetches the keys of an issuer that names a location.
func (c *Client) Issuer(ctx context.Context, issuer *config.Issuer) Keys {
	k := Keys{Issuer: issuer.Name, Path: "url", Keys: []Key{}}
	source := issuer.SignatureValidation.JWKS
	timeout := time.Duration(source.Timeout)
	k.Location = source.URL
	if source.WellKnown != "" {
		k.Path = "wellKnown"
		var err error
		if k.Location, err = c.discover(ctx, issuer, timeout); err != nil {
			k.Error = err.Error()
			return k
		}
	}
	var set *jwks.Set
	response, err := c.get(ctx, source.Cluster, k.Location, timeout)
	if err == nil {
		set, _, err = response.Set()
	}
	if err != nil {
		k.Error = err.Error()
		if source.WellKnown != "" {
			k.Error = k.Location + ": " + k.Error
		}
		return k
	}
	k.describe(set, issuer)
	return k
}

// discover returns where an issuer's discovery document leads.
func (c *Client) discover(ctx context.Context, issuer *config.Issuer, timeout time.Duration) (string, error) {
	source := issuer.SignatureValidation.JWKS
	response, err := c.get(ctx, source.Cluster, source.WellKnown, timeout)
	if err == nil {
		_, err = response.Fault(jwks.MaxDocument)
	}
	if err != nil {
		return "", fmt.Errorf("discovery document: %w", err)
	}
	location, err := Follow(issuer, response.Body)
	if err != nil {
		response.Misdirected = err
		_, err = response.Fault(jwks.MaxDocument)
	}
	return location, err
}

// get fetches a document as the plugin sees it.
func (c *Client) get(ctx context.Context, cluster, location string, timeout time.Duration) (*jwks.Response, error) {
	document, err := c.Get(ctx, cluster, location, timeout)
	if err != nil {
		return nil, err
	}
	response := Response(document.Status, document.Header, document.Body)
	return &response, nil
}

// Response is a response as the plugin sees it.
func Response(status int, header http.Header, body string) jwks.Response {
	return jwks.Response{
		Status:          status,
		CacheControl:    strings.Join(header.Values("Cache-Control"), ", "),
		Body:            body,
		ContentType:     header.Get("Content-Type"),
		ContentEncoding: header.Get("Content-Encoding"),
		Location:        header.Get("Location"),
	}
}

func (k *Keys) describe(set *jwks.Set, issuer *config.Issuer) {
	pinned := set.Pin(issuer.SignatureValidation.JWKS.Pins)
	for i, key := range set.Keys {
		described := Key{
			Name:       fmt.Sprintf("kid %q", key.ID),
			Algorithm:  key.Algorithm,
			Type:       key.Type,
			Thumbprint: key.Thumbprint,
		}
		if key.ID == "" {
			described.Name = fmt.Sprintf("usable key %d, without a kid", i+1)
		}
		fits := func(algorithm string) bool { return key.Allows(algorithm) }
		switch {
		case !slices.ContainsFunc(pinned.Keys, func(p *jwt.Key) bool { return p == key }):
			described.Reason = "not pinned"
		case !strings.Contains(issuer.Issuer, config.Tenant) && !key.IsOf(issuer.Issuer):
			described.Reason = fmt.Sprintf("its tokens are those of the issuer %q", key.Issuer)
		case !slices.ContainsFunc(issuer.Algorithms, fits):
			described.Reason = "alg is none of the issuer's algorithms (" + strings.Join(issuer.Algorithms, ", ") + ")"
		default:
			described.Usable = true
		}
		k.Keys = append(k.Keys, described)
	}
	for _, reason := range set.Unusable {
		name, why, _ := strings.Cut(reason.Error(), ": ")
		k.Keys = append(k.Keys, Key{Name: name, Reason: why})
	}
	if !slices.ContainsFunc(k.Keys, func(key Key) bool { return key.Usable }) {
		k.Error = "no usable key"
	}
}

// Follow returns where an issuer's discovery document says that the JWK Set is,
// as [jwks.Discovery] does, and says what the document holds where it leads
// nowhere.
func Follow(issuer *config.Issuer, document string) (string, error) {
	source := issuer.SignatureValidation.JWKS
	d := jwks.Discovery{Issuer: issuer.DiscoveryIssuer(), URL: source.WellKnown, AnyOrigin: source.AllowOtherOrigin}
	location, err := d.Follow(document)
	if err != nil && gjson.Valid(document) {
		return "", fmt.Errorf("%w (issuer %q, jwks_uri %q)", err, gjson.Get(document, "issuer").String(),
			gjson.Get(document, "jwks_uri").String())
	}
	return location, err
}
