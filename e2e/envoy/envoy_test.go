package envoy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/e2e/envoy"
)

const bootstrapFile = "../../envoy.yaml"

// document returns the repository's bootstrap.
func document(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile(bootstrapFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

func parse(t *testing.T, doc string) *envoy.Bootstrap {
	t.Helper()
	b, err := envoy.Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBootstrap(t *testing.T) {
	if diff := cmp.Diff([]string(nil), parse(t, document(t)).Check()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// TestBootstrapWithClientCertificates takes the lines in that are commented out.
func TestBootstrapWithClientCertificates(t *testing.T) {
	doc := document(t)
	with := strings.Replace(strings.ReplaceAll(doc, "#:", ""), "        - filters:\n", "", 1)
	if diff := cmp.Diff([]string(nil), parse(t, with).Check()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if !strings.Contains(with, "        - transport_socket:") || with == doc {
		t.Error("there is no transport socket")
	}
}

// Every check is seen failing on the repository's bootstrap with one change.
func TestCheckSeesWhatWouldLetRequestsPass(t *testing.T) {
	const plugin = "- name: orgate\n                    typed_config:"
	tests := []struct {
		name     string
		old, new string
		want     string // in the one problem reported
	}{
		{
			name: "admin on every interface",
			old:  "address: 127.0.0.1, port_value: 9901",
			new:  "address: 0.0.0.0, port_value: 9901",
			want: `admin.address: must be a loopback address, got "0.0.0.0"`,
		},
		{
			name: "admin on a name",
			old:  "address: 127.0.0.1, port_value: 9901",
			new:  "address: localhost, port_value: 9901",
			want: `admin.address: must be a loopback address, got "localhost"`,
		},
		{
			name: "fail_open",
			old:  "fail_open: false\n                        failure_policy: FAIL_CLOSED",
			new:  "fail_open: true\n                        failure_policy: FAIL_CLOSED",
			want: "fail_open: must be false",
		},
		{
			name: "failure policy open",
			old:  "failure_policy: FAIL_CLOSED",
			new:  "failure_policy: FAIL_OPEN",
			want: "failure_policy: must be FAIL_CLOSED or FAIL_RELOAD, got FAIL_OPEN",
		},
		{
			name: "failure policy left to Envoy",
			old:  "                        failure_policy: FAIL_CLOSED\n",
			new:  "",
			want: "failure_policy: must be FAIL_CLOSED or FAIL_RELOAD, got UNSPECIFIED",
		},
		{
			name: "headers may stop while the body goes on",
			old:  "failure_policy: FAIL_CLOSED",
			new:  "failure_policy: FAIL_CLOSED\n                        allow_on_headers_stop_iteration: true",
			want: "allow_on_headers_stop_iteration: must be unset",
		},
		{
			name: "another runtime",
			old:  "runtime: envoy.wasm.runtime.v8",
			new:  "runtime: envoy.wasm.runtime.null",
			want: `vm_config.runtime: must be envoy.wasm.runtime.v8, got "envoy.wasm.runtime.null"`,
		},
		{
			name: "code from elsewhere",
			old:  "local: {filename: /etc/envoy/orgate.wasm}",
			new:  "local: {inline_string: orgate}",
			want: "vm_config.code: must be a local file",
		},
		{
			name: "plugin disabled",
			old:  plugin,
			new:  "- name: orgate\n                    disabled: true\n                    typed_config:",
			want: "http_filters[0].disabled: the plugin must not be disabled",
		},
		{
			name: "plugin optional",
			old:  plugin,
			new:  "- name: orgate\n                    is_optional: true\n                    typed_config:",
			want: "http_filters[0].is_optional: the plugin must not be optional",
		},
		{
			name: "plugin switched off on a route",
			old:  "route: {cluster: upstream, timeout: 15s}",
			new: "route: {cluster: upstream, timeout: 15s}\n" +
				"                          typed_per_filter_config:\n" +
				"                            orgate:\n" +
				"                              \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig\n" +
				"                              disabled: true",
			want: "routes[0].typed_per_filter_config: must not change the plugin",
		},
		{
			name: "plugin switched off on a virtual host",
			old:  `domains: ["*"]`,
			new: `domains: ["*"]` + "\n" +
				"                      typed_per_filter_config:\n" +
				"                        orgate:\n" +
				"                          \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig\n" +
				"                          disabled: true",
			want: "virtual_hosts[0].typed_per_filter_config: must not change the plugin",
		},
		{
			name: "plugin switched off in the route table",
			old:  "validate_clusters: true",
			new: "validate_clusters: true\n" +
				"                  typed_per_filter_config:\n" +
				"                    orgate:\n" +
				"                      \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig\n" +
				"                      disabled: true",
			want: "route_config.typed_per_filter_config: must not change the plugin",
		},
		{
			name: "paths not normalized",
			old:  "normalize_path: true",
			new:  "normalize_path: false",
			want: "normalize_path: must be true",
		},
		{
			name: "paths as Envoy was built to take them",
			old:  "normalize_path: true",
			new:  "",
			want: "normalize_path: must be true",
		},
		{
			name: "double slashes kept",
			old:  "merge_slashes: true",
			new:  "merge_slashes: false",
			want: "merge_slashes: must be true",
		},
		{
			name: "escaped slashes kept",
			old:  "path_with_escaped_slashes_action: REJECT_REQUEST",
			new:  "path_with_escaped_slashes_action: KEEP_UNCHANGED",
			want: "path_with_escaped_slashes_action: must be REJECT_REQUEST, got KEEP_UNCHANGED",
		},
		{
			name: "headers with underscores",
			old:  "headers_with_underscores_action: REJECT_REQUEST",
			new:  "headers_with_underscores_action: ALLOW",
			want: "headers_with_underscores_action: must be REJECT_REQUEST, got ALLOW",
		},
		{
			name: "addresses of version 6 first",
			old:  "      type: LOGICAL_DNS\n      dns_lookup_family: V4_PREFERRED",
			new:  "      type: LOGICAL_DNS",
			want: "dns_lookup_family: must be V4_PREFERRED, got AUTO",
		},
		{
			name: "reason not logged",
			old:  "%FILTER_STATE(wasm.orgate.reason:PLAIN)%",
			new:  "%FILTER_STATE(wasm.reason:PLAIN)%",
			want: "access_log[0]: lacks %FILTER_STATE(wasm.orgate.reason:PLAIN)%",
		},
		{
			name: "issuer logged as a message",
			old:  "%FILTER_STATE(wasm.orgate.issuer:PLAIN)%",
			new:  "%FILTER_STATE(wasm.orgate.issuer)%",
			want: "access_log[0]: lacks %FILTER_STATE(wasm.orgate.issuer:PLAIN)%",
		},
		{
			name: "organization not logged",
			old:  "organization: \"%FILTER_STATE(wasm.orgate.organization:PLAIN)%\"",
			new:  "organization: \"-\"",
			want: "access_log[0]: lacks %FILTER_STATE(wasm.orgate.organization:PLAIN)%",
		},
		{
			name: "plugin configuration with an unknown member",
			old:  `"name": "health",`,
			new:  `"nmae": "health",`,
			want: `config.configuration: rules[0]`,
		},
		{
			name: "plugin configuration as a struct",
			old:  "\"@type\": type.googleapis.com/google.protobuf.StringValue\n                          value: |",
			new:  "\"@type\": type.googleapis.com/google.protobuf.Struct\n                          value:",
			want: "config.configuration: must be a google.protobuf.StringValue",
		},
		{
			name: "keys from a cluster that is not there",
			old:  `"cluster": "org1-idp"`,
			new:  `"cluster": "org1"`,
			want: `issuer "org1": no cluster "org1"`,
		},
		{
			name: "keys from the other identity provider",
			old:  `"cluster": "org1-idp"`,
			new:  `"cluster": "org2-idp"`,
			want: `issuer "org1": cluster "org2-idp": sni "org2.idp.example" is not the host of the keys, "org1.idp.example"`,
		},
		{
			name: "keys without TLS",
			old:  `"cluster": "org1-idp"`,
			new:  `"cluster": "upstream"`,
			want: `issuer "org1": cluster "upstream": https needs TLS`,
		},
		{
			name: "no SNI",
			old:  "          sni: org1.idp.example\n",
			new:  "",
			want: "transport_socket.typed_config.sni: missing",
		},
		{
			name: "no validation of the certificate",
			old: "            validation_context:\n" +
				"              trusted_ca: {filename: /etc/ssl/certs/ca-certificates.crt}\n" +
				"              match_typed_subject_alt_names:\n" +
				"                - san_type: DNS\n" +
				"                  matcher: {exact: org1.idp.example}\n",
			new:  "",
			want: "validation_context: missing",
		},
		{
			name: "no certificate authority",
			old:  "              trusted_ca: {filename: /etc/ssl/certs/ca-certificates.crt}\n",
			new:  "",
			want: "validation_context.trusted_ca: missing",
		},
		{
			name: "any certificate accepted",
			old:  "            validation_context:\n",
			new:  "            validation_context:\n              trust_chain_verification: ACCEPT_UNTRUSTED\n",
			want: "trust_chain_verification: must be VERIFY_TRUST_CHAIN",
		},
		{
			name: "expired certificates accepted",
			old:  "            validation_context:\n",
			new:  "            validation_context:\n              allow_expired_certificate: true\n",
			want: "allow_expired_certificate: must be false",
		},
		{
			name: "anybody's certificate accepted",
			old: "              match_typed_subject_alt_names:\n" +
				"                - san_type: DNS\n" +
				"                  matcher: {exact: org1.idp.example}\n",
			new:  "",
			want: `match_typed_subject_alt_names: must be exactly the sni, ["org1.idp.example"], got []`,
		},
		{
			name: "another host's certificate accepted",
			old:  "matcher: {exact: org1.idp.example}",
			new:  "matcher: {suffix: idp.example}",
			want: `match_typed_subject_alt_names: must be exactly the sni, ["org1.idp.example"], got [""]`,
		},
		{
			name: "name looked for among the e-mail addresses",
			old:  "san_type: DNS",
			new:  "san_type: EMAIL",
			want: "match_typed_subject_alt_names: must be of type DNS, got EMAIL",
		},
		{
			name: "route to a cluster that is not there",
			old:  "route: {cluster: upstream, timeout: 15s}",
			new:  "route: {cluster: upstraem, timeout: 15s}",
			want: `route: no cluster "upstraem"`,
		},
		{
			name: "weighted route to a cluster that is not there",
			old:  "route: {cluster: upstream, timeout: 15s}",
			new:  "route: {weighted_clusters: {clusters: [{name: upstream, weight: 1}, {name: canary, weight: 1}]}}",
			want: `route: no cluster "canary"`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			doc := document(t)
			changed := strings.Replace(doc, test.old, test.new, 1)
			if changed == doc {
				t.Fatalf("the bootstrap does not hold %q", test.old)
			}
			problems := parse(t, changed).Check()
			if len(problems) != 1 || !strings.Contains(problems[0], test.want) {
				t.Errorf("got %q, want one problem with %q", problems, test.want)
			}
		})
	}
}

// A listener without the plugin, and one where it comes too late.
func TestCheckSeesTheWayAroundThePlugin(t *testing.T) {
	doc := document(t)
	router := doc[strings.Index(doc, "                  - name: envoy.filters.http.router"):strings.Index(doc,
		"                route_config:")]
	from := strings.Index(doc, "                  - name: orgate\n")
	filter := doc[from:strings.Index(doc, router)]

	tests := []struct {
		name string
		doc  string
		want []string
	}{
		{
			name: "no plugin",
			doc:  strings.Replace(doc, filter, "", 1),
			want: []string{"http_filters: the plugin is missing"},
		},
		{
			name: "plugin behind the router",
			doc:  strings.Replace(strings.Replace(doc, router, "", 1), filter, router+filter, 1),
			want: []string{"http_filters: the router must be the last"},
		},
		{
			name: "no listener",
			doc:  doc[:strings.Index(doc, "  listeners:")] + doc[strings.Index(doc, "  clusters:"):],
			want: []string{"listeners: no listener for HTTP"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			problems := parse(t, test.doc).Check()
			if len(problems) != len(test.want) {
				t.Fatalf("got %q, want %q", problems, test.want)
			}
			for i, want := range test.want {
				if !strings.Contains(problems[i], want) {
					t.Errorf("problem %d: got %q, want %q", i, problems[i], want)
				}
			}
		})
	}
}

func TestParseRefusesWhatEnvoyRefuses(t *testing.T) {
	tests := []struct {
		name     string
		old, new string
		want     string
	}{
		{
			name: "unknown field",
			old:  "normalize_path: true",
			new:  "normalise_path: true",
			want: "normalise_path",
		},
		{
			name: "field twice",
			old:  "normalize_path: true",
			new:  "normalize_path: true\n                normalize_path: false",
			want: "already set",
		},
		{
			name: "unknown extension",
			old:  "envoy.extensions.filters.http.router.v3.Router",
			new:  "envoy.extensions.filters.http.router.v9.Router",
			want: "router.v9",
		},
		{
			name: "unknown value",
			old:  "failure_policy: FAIL_CLOSED",
			new:  "failure_policy: FAIL_SHUT",
			want: "FAIL_SHUT",
		},
		{
			name: "value out of range",
			old:  "port_value: 8080",
			new:  "port_value: 80800",
			want: "port",
		},
		{
			name: "value out of range in an extension",
			old:  "stat_prefix: ingress",
			new:  "stat_prefix: ''",
			want: "StatPrefix",
		},
		{
			name: "two clusters of one name",
			old:  "- name: org2-idp",
			new:  "- name: org1-idp",
			want: `cluster "org1-idp": twice`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			doc := document(t)
			changed := strings.Replace(doc, test.old, test.new, 1)
			if changed == doc {
				t.Fatalf("the bootstrap does not hold %q", test.old)
			}
			_, err := envoy.Parse([]byte(changed))
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(test.want)) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}
