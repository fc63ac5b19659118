package render

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Address is a host and a port to listen on.
type Address struct {
	Host string
	Port int
}

// EnvoyOptions says what stands around the plugin in a bootstrap.
type EnvoyOptions struct {
	// Upstream is where requests go: scheme, host and port.
	Upstream *url.URL
	// Listen is where requests come in, Admin where Envoy's administration
	// interface is.
	Listen, Admin Address
	// Wasm and CA are files as the proxy sees them: the plugin, and the
	// certificate authorities that identity providers are checked against.
	Wasm, CA string
}

// Envoy writes a bootstrap. A cluster of the configuration that stands for two
// servers is an error.
func (d *Document) Envoy(o EnvoyOptions) (string, error) {
	up, err := parseServer(o.Upstream.String())
	if err != nil {
		return "", fmt.Errorf("upstream: %w", err)
	}
	clusters := []*Cluster{up.cluster("upstream", o.CA)}
	clusters[0].Type = "STRICT_DNS"
	of := map[string]*server{"upstream": nil}
	for _, s := range d.servers {
		known, taken := of[s.Cluster]
		switch {
		case taken && known == nil:
			return "", fmt.Errorf("issuer %q: the cluster %q is the API's: name another", s.issuer, s.Cluster)
		case taken:
			return "", fmt.Errorf("cluster %q: issuer %q has its keys at %s and issuer %q at %s: one cluster is for "+
				"one server",
				s.Cluster, known.issuer, known.URL(), s.issuer, s.URL())
		}
		of[s.Cluster] = s
		clusters = append(clusters, s.cluster(s.Cluster, o.CA))
	}
	return write(bootstrap, map[string]any{
		"Options":       o,
		"Configuration": d.json(asWritten),
		"Clusters":      clusters,
		"Paths":         d.config.Paths.Grammar(),
	})
}

// ParseAddress reads "host:port".
func ParseAddress(text string) (Address, error) {
	colon := strings.LastIndexByte(text, ':')
	if colon < 1 {
		return Address{}, fmt.Errorf("must be host and port, got %q", text)
	}
	port, err := strconv.ParseUint(text[colon+1:], 10, 16)
	if err != nil || port == 0 {
		return Address{}, fmt.Errorf("must have a port from 1 to 65535, got %q", text)
	}
	host := strings.TrimSuffix(strings.TrimPrefix(text[:colon], "["), "]")
	return Address{host, int(port)}, nil
}

const bootstrap = `# Written by "orgate render envoy".
#
# The plugin is in {{.Options.Wasm}}. Needs Envoy 1.33 or newer.

admin:
  address:
    socket_address: {address: {{quote .Options.Admin.Host}}, port_value: {{.Options.Admin.Port}}}

# The plugin writes its labels into the names of its metrics; these rules take
# them out again.
stats_config:
  stats_tags:
    - tag_name: rule
      regex: '^wasmcustom\.orgate_.*?(rule=\.=([^;]*);\.;)'
    - tag_name: issuer
      regex: '^wasmcustom\.orgate_.*?(issuer=\.=([^;]*);\.;)'
    - tag_name: reason
      regex: '^wasmcustom\.orgate_.*?(reason=\.=([^;]*);\.;)'
    - tag_name: result
      regex: '^wasmcustom\.orgate_.*?(result=\.=([^;]*);\.;)'
    - tag_name: version
      regex: '^wasmcustom\.orgate_.*?(version=\.=([^;]*);\.;)'

static_resources:
  listeners:
    - name: ingress
      address:
        socket_address: {address: {{quote .Options.Listen.Host}}, port_value: {{.Options.Listen.Port}}}
      per_connection_buffer_limit_bytes: 32768
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: ingress
                use_remote_address: true
                # The path that rules are matched on is the one that the
                # upstream reads.
                normalize_path: true
                merge_slashes: {{not .Paths.EmptySegment}}
                path_with_escaped_slashes_action: {{if .Paths.EncodedSlash}}KEEP_UNCHANGED{{else}}REJECT_REQUEST{{end}}
                strip_trailing_host_dot: true
                common_http_protocol_options:
                  # A header with "_" could pass for an identity header.
                  headers_with_underscores_action: REJECT_REQUEST
                  idle_timeout: 3600s
                request_headers_timeout: 10s
                request_timeout: 60s
                stream_idle_timeout: 300s
                http2_protocol_options:
                  max_concurrent_streams: 100
                  initial_stream_window_size: 65536
                  initial_connection_window_size: 1048576
                access_log:
                  - name: envoy.access_loggers.stdout
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
                      log_format:
                        formatters:
                          - name: envoy.formatter.req_without_query
                            typed_config:
                              "@type": type.googleapis.com/envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery
                        json_format:
                          time: "%START_TIME%"
                          method: "%REQ(:METHOD)%"
                          # The query may carry a token.
                          path: "%REQ_WITHOUT_QUERY(:PATH)%"
                          host: "%REQ(:AUTHORITY)%"
                          client: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
                          status: "%RESPONSE_CODE%"
                          details: "%RESPONSE_CODE_DETAILS%"
                          duration: "%DURATION%"
                          request_id: "%REQ(X-REQUEST-ID)%"
                          reason: "%FILTER_STATE(wasm.orgate.reason:PLAIN)%"
                          issuer: "%FILTER_STATE(wasm.orgate.issuer:PLAIN)%"
                          organization: "%FILTER_STATE(wasm.orgate.organization:PLAIN)%"
                          required: "%FILTER_STATE(wasm.orgate.required:PLAIN)%"
                          rule: "%FILTER_STATE(wasm.orgate.rule:PLAIN)%"
                          source: "%FILTER_STATE(wasm.orgate.source:PLAIN)%"
                http_filters:
                  - name: orgate
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
                      config:
                        name: orgate
                        root_id: orgate
                        # A plugin that fails lets no request pass.
                        fail_open: false
                        failure_policy: FAIL_CLOSED
                        vm_config:
                          vm_id: orgate
                          runtime: envoy.wasm.runtime.v8
                          code:
                            local: {filename: {{quote .Options.Wasm}}}
                        configuration:
                          "@type": type.googleapis.com/google.protobuf.StringValue
                          value: |
                            {{indent 28 .Configuration}}
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                route_config:
                  name: local
                  validate_clusters: true
                  virtual_hosts:
                    - name: api
                      domains: ["*"]
                      routes:
                        - match: {prefix: "/"}
                          route: {cluster: upstream, timeout: 15s}

  clusters:
{{- range .Clusters}}
    {{indent 4 .YAML}}
{{- end}}
`
