package envoy

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"orgate/config"
)

// filterName is the name under which a bootstrap puts the plugin among the
// HTTP filters.
const filterName = "orgate"

// routerName is the name of Envoy's last HTTP filter.
const routerName = "envoy.filters.http.router"

// Check returns what is wrong with the bootstrap, each with the place. None
// means that a request reaches a cluster through the plugin alone, that a
// plugin which fails lets none pass, that keys come from the hosts they are
// asked of, and that the plugin accepts its configuration.
func (b *Bootstrap) Check() []string {
	c := &checker{Bootstrap: b}
	c.admin()
	each(b, c.connections)
	each(b, c.plugin)
	each(b, c.route)
	each(b, c.perRoute)
	each(b, c.tls)
	each(b, c.names)
	if !c.listens {
		c.problem("static_resources.listeners", "no listener for HTTP")
	}
	return c.problems
}

type checker struct {
	*Bootstrap
	problems []string
	// There is a listener for HTTP.
	listens bool
}

func (c *checker) problem(path, format string, args ...any) {
	c.problems = append(c.problems, path+": "+fmt.Sprintf(format, args...))
}

// admin: who reaches the admin interface can change the proxy.
func (c *checker) admin() {
	if c.proto.GetAdmin() == nil {
		return
	}
	address := c.proto.GetAdmin().GetAddress().GetSocketAddress().GetAddress()
	if ip, err := netip.ParseAddr(address); err != nil || !ip.IsLoopback() {
		c.problem("admin.address", "must be a loopback address, got %q", address)
	}
}

// connections checks a listener's HTTP side: the order of filters, and that
// the path and the header names mean the same to the plugin and the upstream.
func (c *checker) connections(path string, m *hcmv3.HttpConnectionManager) {
	c.listens = true
	filters := m.GetHttpFilters()
	place := slices.IndexFunc(filters, func(f *hcmv3.HttpFilter) bool { return f.GetName() == filterName })
	switch {
	case place < 0:
		c.problem(path+".http_filters", "the plugin is missing")
	case filters[len(filters)-1].GetName() != routerName:
		c.problem(path+".http_filters", "the router must be the last")
	case filters[place].GetDisabled():
		c.problem(fmt.Sprintf("%s.http_filters[%d].disabled", path, place), "the plugin must not be disabled")
	case filters[place].GetIsOptional():
		c.problem(fmt.Sprintf("%s.http_filters[%d].is_optional", path, place), "the plugin must not be optional")
	}

	if !m.GetNormalizePath().GetValue() {
		c.problem(path+".normalize_path", "must be true")
	}
	if !m.GetMergeSlashes() {
		c.problem(path+".merge_slashes", "must be true")
	}
	if got := m.GetPathWithEscapedSlashesAction(); got != hcmv3.HttpConnectionManager_REJECT_REQUEST {
		c.problem(path+".path_with_escaped_slashes_action", "must be REJECT_REQUEST, got %v", got)
	}
	if got := m.GetCommonHttpProtocolOptions().GetHeadersWithUnderscoresAction(); got != corev3.HttpProtocolOptions_REJECT_REQUEST {
		c.problem(path+".common_http_protocol_options.headers_with_underscores_action",
			"must be REJECT_REQUEST, got %v", got)
	}

	for i, log := range m.GetAccessLog() {
		written := string(log.GetTypedConfig().GetValue()) // the strings of a message stand in its bytes as they are
		for _, want := range LogFields() {
			if !strings.Contains(written, want) {
				c.problem(fmt.Sprintf("%s.access_log[%d]", path, i), "lacks %s", want)
			}
		}
	}
}

// LogFields are what an access log needs of a refusal to find its cause without
// the token.
func LogFields() []string {
	fields := []string{"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "%REQ_WITHOUT_QUERY(:PATH)%", "%RESPONSE_CODE%"}
	for _, property := range []string{"reason", "issuer", "organization", "required", "rule", "source"} {
		fields = append(fields, "%FILTER_STATE(wasm.orgate."+property+":PLAIN)%")
	}
	return fields
}

// plugin checks how the plugin is loaded and what it is told.
func (c *checker) plugin(path string, filter *wasmfilterv3.Wasm) {
	m := filter.GetConfig()
	path += ".config"
	//lint:ignore SA1019 still obeyed, and what Envoy before 1.33 goes by
	if m.GetFailOpen() {
		c.problem(path+".fail_open", "must be false")
	}
	switch got := m.GetFailurePolicy(); got {
	case wasmv3.FailurePolicy_FAIL_CLOSED, wasmv3.FailurePolicy_FAIL_RELOAD:
	default:
		c.problem(path+".failure_policy", "must be FAIL_CLOSED or FAIL_RELOAD, got %v", got)
	}
	// With it, the body of a request that waits for keys would carry the
	// request on.
	if m.GetAllowOnHeadersStopIteration().GetValue() {
		c.problem(path+".allow_on_headers_stop_iteration", "must be unset")
	}
	if got, want := m.GetVmConfig().GetRuntime(), "envoy.wasm.runtime.v8"; got != want {
		c.problem(path+".vm_config.runtime", "must be %s, got %q", want, got)
	}
	if m.GetVmConfig().GetCode().GetLocal().GetFilename() == "" {
		c.problem(path+".vm_config.code", "must be a local file")
	}

	path += ".configuration"
	var value wrapperspb.StringValue
	if err := m.GetConfiguration().UnmarshalTo(&value); err != nil {
		c.problem(path, "must be a google.protobuf.StringValue: %v", err)
		return
	}
	conf, err := config.Parse(value.GetValue())
	if err != nil {
		c.problem(path, "%v", err)
		return
	}
	for _, issuer := range conf.Issuers {
		for _, call := range issuer.Calls() {
			c.call(fmt.Sprintf("%s: issuer %q", path, issuer.Name), call)
		}
	}
}

// call checks the way to an issuer's keys or to its introspection.
func (c *checker) call(path string, call config.Call) {
	cluster := c.clusters[call.Cluster]
	if cluster == nil {
		c.problem(path, "no cluster %q", call.Cluster)
		return
	}
	location, err := url.Parse(call.URL)
	if err != nil {
		c.problem(path, "%v", err)
		return
	}
	if location.Scheme != "https" {
		return
	}
	var context tlsv3.UpstreamTlsContext
	if err := cluster.GetTransportSocket().GetTypedConfig().UnmarshalTo(&context); err != nil {
		c.problem(path, "cluster %q: %s needs TLS", call.Cluster, location.Scheme)
		return
	}
	if sni := context.GetSni(); sni != "" && !strings.EqualFold(sni, location.Hostname()) {
		c.problem(path, "cluster %q: sni %q is not the host of the keys, %q", call.Cluster, sni, location.Hostname())
	}
}

// tls: Envoy encrypts to whoever answers unless it is told whom to expect. The
// certificate authority alone is not enough, since everybody has a certificate.
func (c *checker) tls(path string, m *tlsv3.UpstreamTlsContext) {
	if m.GetSni() == "" {
		c.problem(path+".sni", "missing")
		return
	}
	path += ".common_tls_context.validation_context"
	context := m.GetCommonTlsContext().GetValidationContext()
	if context == nil {
		c.problem(path, "missing")
		return
	}
	if context.GetTrustedCa() == nil && context.GetSystemRootCerts() == nil {
		c.problem(path+".trusted_ca", "missing")
	}
	if context.GetTrustChainVerification() != tlsv3.CertificateValidationContext_VERIFY_TRUST_CHAIN {
		c.problem(path+".trust_chain_verification", "must be VERIFY_TRUST_CHAIN")
	}
	if context.GetAllowExpiredCertificate() {
		c.problem(path+".allow_expired_certificate", "must be false")
	}
	var hosts []string
	for _, san := range context.GetMatchTypedSubjectAltNames() {
		hosts = append(hosts, san.GetMatcher().GetExact())
		if san.GetSanType() != tlsv3.SubjectAltNameMatcher_DNS {
			c.problem(path+".match_typed_subject_alt_names", "must be of type DNS, got %v", san.GetSanType())
		}
	}
	if want := []string{m.GetSni()}; !slices.Equal(hosts, want) {
		c.problem(path+".match_typed_subject_alt_names", "must be exactly the sni, %q, got %q", want, hosts)
	}
}

// names: by default Envoy asks for IPv6 addresses and, if there are any, for no
// others, which many a network has no route to.
func (c *checker) names(path string, m *clusterv3.Cluster) {
	switch m.GetType() {
	case clusterv3.Cluster_STRICT_DNS, clusterv3.Cluster_LOGICAL_DNS:
		if got := m.GetDnsLookupFamily(); got != clusterv3.Cluster_V4_PREFERRED {
			c.problem(path+".dns_lookup_family", "must be V4_PREFERRED, got %v", got)
		}
	}
}

// route: a request for a cluster that does not exist is answered 503, a
// misspelling that shows late.
func (c *checker) route(path string, m *routev3.RouteAction) {
	var names []string
	switch {
	case m.GetWeightedClusters() != nil:
		for _, weighted := range m.GetWeightedClusters().GetClusters() {
			names = append(names, weighted.GetName())
		}
	default:
		names = []string{m.GetCluster()}
	}
	for _, name := range names {
		if c.clusters[name] == nil {
			c.problem(path, "no cluster %q", name)
		}
	}
}

// perRoute: a route can switch a filter off.
func (c *checker) perRoute(path string, m proto.Message) {
	configured, ok := m.(interface {
		GetTypedPerFilterConfig() map[string]*anypb.Any
	})
	if ok && configured.GetTypedPerFilterConfig()[filterName] != nil {
		c.problem(path+".typed_per_filter_config", "must not change the plugin")
	}
}
