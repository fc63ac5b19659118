package render

import (
	"cmp"
	"net/netip"
	"strings"
)

// Cluster is a cluster of Envoy's with one server.
type Cluster struct {
	Name, Host string
	Port       int
	// Type is how the host is resolved. Empty: as a name, unless it is an
	// address.
	Type string
	// TLS: the host's name goes into the handshake, and the certificate must
	// be the host's and of an authority in CA (PEM) or, if that is empty, in
	// CAFile.
	TLS        bool
	CA, CAFile string
}

func (s *server) cluster(name, caFile string) *Cluster {
	return &Cluster{Name: name, Host: s.Host, Port: s.Port, TLS: s.TLS, CAFile: caFile}
}

// YAML is the cluster as an element of a list of clusters.
func (c *Cluster) YAML() (string, error) {
	discovery, san := "LOGICAL_DNS", "DNS"
	_, err := netip.ParseAddr(c.Host)
	if err == nil {
		discovery, san = "STATIC", "IP_ADDRESS"
	}
	return write(clusterElement, map[string]any{"C": c, "Type": cmp.Or(c.Type, discovery), "SAN": san,
		"CA": strings.TrimSpace(c.CA)})
}

const clusterElement = `- name: {{quote .C.Name}}
  type: {{.Type}}
{{- if ne .Type "STATIC"}}
  dns_lookup_family: V4_PREFERRED
{{- end}}
  connect_timeout: 2s
  load_assignment:
    cluster_name: {{quote .C.Name}}
    endpoints:
      - lb_endpoints:
          - endpoint:
              address:
                socket_address: {address: {{quote .C.Host}}, port_value: {{.C.Port}}}
{{- if .C.TLS}}
  transport_socket:
    name: envoy.transport_sockets.tls
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
{{- if eq .SAN "DNS"}}
      sni: {{quote .C.Host}}
{{- end}}
      common_tls_context:
        tls_params: {tls_minimum_protocol_version: TLSv1_2}
        validation_context:
{{- if .C.CA}}
          trusted_ca:
            inline_string: |
              {{indent 14 .CA}}
{{- else}}
          trusted_ca: {filename: {{quote .C.CAFile}}}
{{- end}}
          match_typed_subject_alt_names:
            - san_type: {{.SAN}}
              matcher: {exact: {{quote .C.Host}}}
{{- end}}`
