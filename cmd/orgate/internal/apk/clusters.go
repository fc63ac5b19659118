package apk

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// cluster is a cluster that keys are fetched through.
type cluster struct {
	name, host string
	port       int
	tls        bool
	ca         string // PEM; "": the file
	caFile     string
}

// connect gives an issuer the cluster of its JWK Set. Issuers share one where
// host, port and certificate authorities are the same.
func (im *importer) connect(i *issuer) {
	keys := i.SignatureValidation.JWKS
	if keys == nil {
		return
	}
	c := &cluster{ca: i.ca, caFile: im.options.TrustedCA}
	u, err := url.Parse(keys.URL)
	if err == nil {
		c.host, c.tls, c.port = strings.ToLower(u.Hostname()), strings.EqualFold(u.Scheme, "https"), portOf(u)
	}
	if !c.tls {
		c.caFile = ""
		im.note(i.from, i.keysAt, "the keys come over plain http: whoever is on the way can put in one of their own")
		if i.ca != "" {
			im.dropped(i.from, i.keysAt, "the certificate authority of a connection without TLS")
			c.ca = ""
		}
	}
	name := "idp-" + strings.Trim(strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, c.host), "-")
	if usual := map[bool]int{true: 443, false: 80}[c.tls]; c.port != usual {
		name += "-" + itoa(c.port)
	}
	for n := 1; ; n++ {
		c.name = name
		if n > 1 {
			c.name += "-" + itoa(n)
		}
		other := im.clusterNamed(c.name)
		if other == nil {
			im.clusters = append(im.clusters, c)
		}
		if other == nil || *other == *c {
			keys.Cluster = c.name
			return
		}
	}
}

func (im *importer) clusterNamed(name string) *cluster {
	for _, c := range im.clusters {
		if c.name == name {
			return c
		}
	}
	return nil
}

func portOf(u *url.URL) int {
	if port, err := strconv.Atoi(u.Port()); err == nil {
		return port
	}
	if strings.EqualFold(u.Scheme, "http") {
		return 80
	}
	return 443
}

// renderClusters writes clusters as Envoy's YAML. Every text in it has been
// checked: hosts by package config, PEM by writing it anew.
func renderClusters(clusters []*cluster) []byte {
	var b strings.Builder
	b.WriteString(`# Clusters that the plugin fetches keys through: a part of Envoy's
# static_resources. The keys are worth what the connection is worth: the
# validation context checks that the certificate is that host's.
clusters:
`)
	for _, c := range clusters {
		c.render(&b)
	}
	return []byte(b.String())
}

func (c *cluster) render(b *strings.Builder) {
	discovery, san := "LOGICAL_DNS", "DNS"
	address := net.ParseIP(c.host)
	if address != nil {
		discovery, san = "STATIC", "IP_ADDRESS"
	}
	fmt.Fprintf(b, `  - name: %[1]s
    type: %[2]s
    connect_timeout: 2s
    load_assignment:
      cluster_name: %[1]s
      endpoints:
        - lb_endpoints:
            - endpoint:
                address:
                  socket_address: {address: %[3]q, port_value: %[4]d}
`, c.name, discovery, c.host, c.port)
	if !c.tls {
		return
	}
	b.WriteString(`    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
`)
	if address == nil {
		fmt.Fprintf(b, "        sni: %q\n", c.host)
	}
	b.WriteString(`        common_tls_context:
          tls_params: {tls_minimum_protocol_version: TLSv1_2}
          validation_context:
`)
	if c.ca == "" {
		fmt.Fprintf(b, "            trusted_ca: {filename: %q}\n", c.caFile)
	} else {
		b.WriteString("            trusted_ca:\n              inline_string: |\n")
		for line := range strings.SplitSeq(strings.TrimSuffix(c.ca, "\n"), "\n") {
			b.WriteString("                " + line + "\n")
		}
	}
	fmt.Fprintf(b, `            match_typed_subject_alt_names:
              - san_type: %s
                matcher: {exact: %q}
`, san, c.host)
}
