// Package render writes the plugin's configuration for a proxy: as an Envoy
// bootstrap, or as manifests for Istio or Envoy Gateway, with the clusters that
// the keys are fetched through.
//
// The configuration goes in as it was written, member for member. If the control
// plane names the clusters itself, its names replace the issuers' "cluster"
// values. The output is YAML, with every name and value of the user's in double
// quotes.
//
// The package knows no control plane's types. Tests read its output with those.
package render

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"orgate/config"
	"orgate/internal/yamlnode"
)

// Document is a configuration of the plugin, to be rendered.
type Document struct {
	doc     string
	config  *config.Config
	servers []*server
}

// server is where keys are fetched from: a scheme, a host and a port.
type server struct {
	Host string // in lower case
	Port int
	TLS  bool
	// Cluster is the configuration's name of it.
	Cluster string
	// CA are the certificate authorities that its certificate must be of, PEM;
	// "": those of the system.
	CA string
	// The first issuer that has it, for errors.
	issuer string
}

// URL is the server without its default port.
func (s *server) URL() string {
	scheme, port := "http", ":"+strconv.Itoa(s.Port)
	if s.TLS {
		scheme = "https"
	}
	if s.TLS && s.Port == 443 || !s.TLS && s.Port == 80 {
		port = ""
	}
	host := s.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return scheme + "://" + host + port
}

// Location is the server with its port.
func (s *server) Location() string {
	return strings.TrimSuffix(s.URL(), ":"+strconv.Itoa(s.Port)) + ":" + strconv.Itoa(s.Port)
}

// hostName is a name that Kubernetes takes for a host: a subdomain of DNS, with
// labels of at most 63 characters (RFC 1123 §2.1).
var hostName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`)

// longestHost is how long a name of DNS may be.
const longestHost = 253

// checkHost refuses a host that the schemas of the control planes refuse.
func (s *server) checkHost() error {
	_, err := netip.ParseAddr(s.Host)
	if err == nil || len(s.Host) <= longestHost && hostName.MatchString(s.Host) {
		return nil
	}
	return fmt.Errorf("issuer %q: the host of %s must be a name of a-z, 0-9, - and dots, of at most %d characters and 63 "+
		"from dot to dot: the control plane refuses it", s.issuer, s.URL(), longestHost)
}

// Read reads a configuration. Its error is that of [config.Parse], or says
// which servers cannot be rendered.
func Read(doc string) (*Document, error) {
	c, err := config.Parse(doc)
	if err != nil {
		return nil, err
	}
	d := &Document{doc: doc, config: c}
	for i := range c.Issuers {
		for _, call := range c.Issuers[i].Calls() {
			s, err := parseServer(call.URL)
			if err != nil {
				return nil, fmt.Errorf("issuer %q: %w", c.Issuers[i].Name, err)
			}
			s.Cluster, s.issuer = call.Cluster, c.Issuers[i].Name
			d.add(s)
		}
	}
	return d, nil
}

// Config is the configuration as the plugin reads it.
func (d *Document) Config() *config.Config { return d.config }

func parseServer(location string) (*server, error) {
	u, err := url.Parse(location)
	if err != nil {
		return nil, err
	}
	s := &server{Host: strings.ToLower(u.Hostname()), TLS: strings.EqualFold(u.Scheme, "https")}
	switch port := u.Port(); {
	case port != "":
		if s.Port, err = strconv.Atoi(port); err != nil {
			return nil, err
		}
	case s.TLS:
		s.Port = 443
	default:
		s.Port = 80
	}
	if _, err := netip.ParseAddr(s.Host); err == nil && s.TLS {
		return nil, fmt.Errorf("%s has an address for its host: a certificate is checked against a name", s.URL())
	}
	return s, nil
}

// add adds a server, unless the same cluster has it already.
func (d *Document) add(s *server) {
	for _, known := range d.servers {
		if known.URL() == s.URL() && known.Cluster == s.Cluster {
			return
		}
	}
	d.servers = append(d.servers, s)
}

// distinct returns the servers, each once, whatever clusters they have. A control
// plane knows a server once, with the same authorities for all.
func (d *Document) distinct() ([]*server, error) {
	var list []*server
	first := map[string]*server{}
	for _, s := range d.servers {
		other, seen := first[s.URL()]
		switch {
		case !seen:
			first[s.URL()] = s
			list = append(list, s)
		case other.CA != s.CA:
			return nil, fmt.Errorf("issuers %q and %q: %s has other certificate authorities in cluster %q than in %q",
				other.issuer, s.issuer, s.URL(), s.Cluster, other.Cluster)
		}
	}
	return list, nil
}

// Trust has the certificates of servers be of certificate authorities, PEM, by
// the configuration's names of their clusters. It is for the control planes: of
// Envoy itself the clusters say it.
func (d *Document) Trust(authorities map[string]string) {
	for _, s := range d.servers {
		if s.TLS {
			s.CA = strings.TrimSpace(authorities[s.Cluster])
		}
	}
}

// Authorities reads the certificate authorities of clusters of Envoy's, as
// "orgate import" writes them: those that stand in the clusters themselves, PEM,
// by the clusters' names.
func Authorities(clusters string) (map[string]string, error) {
	documents, faults := yamlnode.Split("", clusters)
	if len(faults) > 0 {
		return nil, fmt.Errorf("line %d: %s", faults[0].Line, faults[0].Message)
	}
	authorities := map[string]string{}
	for _, document := range documents {
		if document.At("clusters").Absent() {
			return nil, errors.New("no list \"clusters\", as orgate import writes it")
		}
		for _, c := range document.At("clusters").Elements() {
			trusted := c.Find("transport_socket.typed_config.common_tls_context.validation_context.trusted_ca.inline_string")
			if trusted.Text() != "" {
				authorities[c.At("name").Text()] = trusted.Text()
			}
		}
	}
	return authorities, nil
}

// find returns the server of a location.
func (d *Document) find(location string) *server {
	wanted, err := parseServer(location)
	if err != nil {
		return nil
	}
	for _, s := range d.servers {
		if s.URL() == wanted.URL() {
			return s
		}
	}
	return nil
}

// Location is the scheme, host and port of a URL, as [ServerAnnotation] has it.
func Location(location string) (string, error) {
	s, err := parseServer(location)
	if err != nil {
		return "", err
	}
	return s.Location(), nil
}

// ServerAnnotation says of a ConfigMap which server's certificate authorities are
// in it.
const ServerAnnotation = "orgate.io/server"

// ObjectNames are the names of the objects for the server of a URL, in manifests
// of a name.
func ObjectNames(name, location string) ([]string, error) {
	s, err := parseServer(location)
	if err != nil {
		return nil, err
	}
	return []string{object(name, s), hostObject(name, s.Host), hostObject(name, istioName(s.Host))}, nil
}

// longest is how long a label of DNS may be.
const longest = 63

// object is the name of an object of Kubernetes that belongs to a server.
func object(name string, s *server) string {
	if s.TLS && s.Port == 443 {
		return hostObject(name, s.Host)
	}
	return hashed(name, s.Host, s.URL())
}

// hostObject is the name of one that belongs to a host. It is the host's own if
// no other host could have it: whoever chooses a host must not choose the object
// of another.
func hostObject(name, host string) string {
	plain := name + "-keys-" + dashed(host)
	if len(plain) > longest || !plainHost.MatchString(host) {
		return hashed(name, host, host)
	}
	return plain
}

// plainHost is a host that a label of DNS can be written back to: all its dashes
// are dots, and there are no two in a row, which begin a hash.
var plainHost = regexp.MustCompile(`^[0-9a-z]+(\.[0-9a-z]+)*$`)

func dashed(host string) string {
	return strings.Trim(strings.Map(func(c rune) rune {
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			return c
		}
		return '-'
	}, host), "-")
}

// hashed is a name with a hash of what it is for, of 128 bits.
func hashed(name, host, of string) string {
	sum := sha256.Sum256([]byte(name + " " + of))
	hash := "--" + hex.EncodeToString(sum[:16])
	text := name + "-keys-" + dashed(host)
	return strings.TrimRight(text[:min(len(text), longest-len(hash))], "-") + hash
}

// bundle is a server with the name of its objects.
type bundle struct {
	*server
	Object string
}

func bundles(name string, servers []*server) []bundle {
	var list []bundle
	for _, s := range servers {
		list = append(list, bundle{s, object(name, s)})
	}
	return list
}

// authorities are the ConfigMaps with certificate authorities, from which both
// control planes read them.
const authorities = `
{{- range .Servers}}
{{- if .CA}}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{quote .Object}}
  namespace: {{quote $.Options.Namespace}}
  annotations:
    orgate.io/server: {{quote .Location}}
  labels:
    app.kubernetes.io/managed-by: orgate
    app.kubernetes.io/part-of: {{quote $.Options.Name}}
data:
  ca.crt: {{quote .CA}}
{{- end}}
{{- end}}`

// write fills a template in. Its functions are quote, for strings, and indent.
func write(text string, values any) (string, error) {
	t, err := template.New("").Funcs(template.FuncMap{"quote": quote, "indent": indent, "object": object}).Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, values); err != nil {
		return "", err
	}
	return b.String(), nil
}

// manifests fills a template in whose documents all begin with "---". The first
// loses it: the comment before it would be a document of its own, which not every
// reader takes.
func manifests(text string, values any) (string, error) {
	written, err := write(text, values)
	return strings.Replace(written, "\n---\n", "\n\n", 1), err
}

// indent moves every line but the first to the right.
func indent(spaces int, text string) string {
	return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", spaces))
}
