package render_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	extensionsv1alpha1 "istio.io/api/extensions/v1alpha1"
	networkingv1 "istio.io/api/networking/v1"
	networkingv1alpha3 "istio.io/api/networking/v1alpha3"

	"orgate/admin/render"
	"orgate/config"
	"orgate/deploy/schema"
	"orgate/e2e/envoy"
)

// issuer writes an issuer whose keys come from a place: members of jwks.
func issuer(n int, jwks string) string {
	return fmt.Sprintf(`{"name": "i%d", "issuer": "https://issuer/%d", "organization": "org1", "signatureValidation": `+
		`{"jwks": {%s}}}`, n, n, jwks)
}

func document(jwks ...string) string {
	var issuers []string
	for i, j := range jwks {
		issuers = append(issuers, issuer(i, j))
	}
	return `{"issuers": [` + strings.Join(issuers, ", ") + `]}`
}

// documents are configurations that can be rendered, and where each of their
// issuers has its keys.
var documents = []struct {
	name, doc string
	servers   []string
}{
	{"https", document(`"url": "https://idp.example.com/jwks", "cluster": "idp"`),
		[]string{"https://idp.example.com:443"}},
	{"http with a port", document(`"url": "http://idp.example.com:8080/jwks", "cluster": "idp"`),
		[]string{"http://idp.example.com:8080"}},
	{"http without a port", document(`"url": "http://idp.example.com", "cluster": "idp"`),
		[]string{"http://idp.example.com:80"}},
	{"a discovery document",
		document(`"wellKnown": "https://idp.example.com/realms/a/.well-known/openid-configuration?x=1", "cluster": "idp"`),
		[]string{"https://idp.example.com:443"}},
	{"the scheme in capitals", document(`"url": "HTTPS://idp.example.com/jwks", "cluster": "idp"`),
		[]string{"https://idp.example.com:443"}},
	{"two issuers, one server", document(
		`"url": "https://idp.example.com/realms/a", "cluster": "idp"`,
		`"url": "https://idp.example.com:443/realms/b", "cluster": "idp"`),
		[]string{"https://idp.example.com:443", "https://idp.example.com:443"}},
	{"one server, two clusters", document(
		`"url": "https://idp.example.com/a", "cluster": "idp1"`,
		`"url": "https://idp.example.com/b", "cluster": "idp2"`),
		[]string{"https://idp.example.com:443", "https://idp.example.com:443"}},
	{"two ports of a host, two schemes", document(
		`"url": "https://idp.example.com/jwks", "cluster": "idp1"`,
		`"url": "https://idp.example.com:8443/jwks", "cluster": "idp2"`,
		`"url": "http://idp.example.com:8080/jwks", "cluster": "idp3"`),
		[]string{"https://idp.example.com:443", "https://idp.example.com:8443", "http://idp.example.com:8080"}},
	{"hosts that make the same name", document(
		`"url": "https://a-b.example.com/jwks", "cluster": "idp1"`,
		`"url": "https://a.b.example.com/jwks", "cluster": "idp2"`),
		[]string{"https://a-b.example.com:443", "https://a.b.example.com:443"}},
	{"long hosts that begin alike", document(
		`"url": "https://`+strings.Repeat("a", 60)+`.b.example.com/jwks", "cluster": "idp1"`,
		`"url": "https://`+strings.Repeat("a", 60)+`.c.example.com/jwks", "cluster": "idp2"`),
		[]string{"https://" + strings.Repeat("a", 60) + ".b.example.com:443", "https://" + strings.Repeat("a", 60) +
			".c.example.com:443"}},
	{"a service of the cluster", document(`"url": "http://keycloak.idp.svc:8080/jwks", "cluster": "idp"`),
		[]string{"http://keycloak.idp.svc:8080"}},
	{
		"a service of the cluster, https", document(
			`"url": "https://keycloak.idp.svc.cluster.local/jwks", "cluster": "idp"`),
		[]string{"https://keycloak.idp.svc.cluster.local:443"}},
	{"an address", document(`"url": "http://10.0.0.1:8080/jwks", "cluster": "idp"`), []string{"http://10.0.0.1:8080"}},
	{"paths that schemas of Kubernetes refuse",
		document(`"url": "https://idp.example.com//a/../jwks%2f", "cluster": "idp"`),
		[]string{"https://idp.example.com:443"}},
	{"keys in the document", document(`"inline": {"keys": []}`), []string{""}},
	{"a cluster that YAML would misread",
		document(`"url": "https://idp.example.com/jwks", "cluster": "yes: #1 'a' \"b\" \u00e9\u0085\ud83d\ude00"`),
		[]string{"https://idp.example.com:443"}},
	{"names that YAML would misread", `{"issuers": [` +
		issuer(0, `"url": "https://idp.example.com/jwks", "cluster": "idp"`) + `],
		"rules": [{"name": "null", "match": {"path": "/a:b", "methods": ["GET"]},
			"consumerKeys": ["~", "0x10", "1e3", "a\u2028\ufeffb", "\/", "- a"], "scopes": {"all": ["on"]}}],
		"limits": {"tokenBytes": 4096, "keyWait": "1s"}, "forwardToken": true, "headers": {"roles": ""}}`,
		[]string{"https://idp.example.com:443"}},
}

func read(t *testing.T, doc string) *render.Document {
	t.Helper()
	d, err := render.Read(doc)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// parse reads a configuration, and says so if the plugin would not.
func parse(t *testing.T, doc string) *config.Config {
	t.Helper()
	c, err := config.Parse(doc)
	if err != nil {
		t.Fatalf("%v:\n%s", err, doc)
	}
	for i := range c.Issuers { // white space in a JWK Set means nothing
		if jwks := c.Issuers[i].SignatureValidation.JWKS; jwks != nil && jwks.Inline != "" {
			var b bytes.Buffer
			if err := json.Compact(&b, []byte(jwks.Inline)); err != nil {
				t.Fatal(err)
			}
			jwks.Inline = config.JSON(b.String())
		}
	}
	return c
}

// clusters takes the clusters out of a configuration.
func clusters(c *config.Config) []string {
	var names []string
	for i := range c.Issuers {
		jwks := c.Issuers[i].SignatureValidation.JWKS
		if jwks == nil {
			continue
		}
		names = append(names, jwks.Cluster)
		jwks.Cluster = ""
	}
	return names
}

// sameButClusters compares a rendered configuration with what was asked for.
func sameButClusters(t *testing.T, doc, rendered string) (names []string) {
	t.Helper()
	want, got := parse(t, doc), parse(t, rendered)
	clusters(want)
	names = clusters(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	return names
}

func envoyOptions(upstream string) render.EnvoyOptions {
	u, err := url.Parse(upstream)
	if err != nil {
		panic(err)
	}
	return render.EnvoyOptions{
		Upstream: u,
		Listen:   render.Address{Host: "0.0.0.0", Port: 10000},
		Admin:    render.Address{Host: "127.0.0.1", Port: 9901},
		Wasm:     "/etc/envoy/orgate.wasm",
		CA:       "/etc/ssl/certs/ca-certificates.crt",
	}
}

func TestEnvoy(t *testing.T) {
	for _, tt := range documents {
		for _, upstream := range []string{"http://api:8080", "https://api.example.com"} {
			t.Run(tt.name+", "+upstream, func(t *testing.T) {
				text, err := read(t, tt.doc).Envoy(envoyOptions(upstream))
				if err != nil {
					t.Fatal(err)
				}
				b, err := envoy.Parse([]byte(text))
				if err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
				if diff := cmp.Diff([]string(nil), b.Check()); diff != "" {
					t.Errorf("problems (-want +got):\n%s\n%s", diff, text)
				}
				_, rest, _ := strings.Cut(text, "value: |\n")
				rendered, _, _ := strings.Cut(rest, "                  - name: envoy.filters.http.router")
				if diff := cmp.Diff(parse(t, tt.doc), parse(t, rendered)); diff != "" {
					t.Errorf("configuration (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestStatsTags(t *testing.T) {
	text, err := read(t, documents[0].doc).Envoy(envoyOptions("http://api:8080"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := envoy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	tags, err := b.StatsTags()
	if err != nil {
		t.Fatal(err)
	}
	family, labels := tags.Prometheus("orgate_requestsrule=.=orders;.;issuer=.=org1;.;reason=.=ok;.;")
	if family != "orgate_requests" {
		t.Errorf("family %q", family)
	}
	if diff := cmp.Diff(map[string]string{"rule": "orders", "issuer": "org1", "reason": "ok"}, labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestServersThatCannotBeRendered(t *testing.T) {
	tests := []struct{ name, doc, want string }{
		{"one cluster for two servers", document(`"url": "https://a.example.com/jwks", "cluster": "idp"`,
			`"url": "https://b.example.com/jwks", "cluster": "idp"`),
			`cluster "idp": issuer "i0" has its keys at https://a.example.com and issuer "i1" at https://b.example.com: one ` +
				`cluster is for one server`},
		{"the API's cluster", document(`"url": "https://a.example.com/jwks", "cluster": "upstream"`),
			`issuer "i0": the cluster "upstream" is the API's: name another`},
		{"https with an address", document(`"url": "https://10.0.0.1/jwks", "cluster": "idp"`),
			`issuer "i0": https://10.0.0.1 has an address for its host: a certificate is checked against a name`},
		{"https with an IPv6 address", document(`"url": "https://[2001:DB8::1]:8443/jwks", "cluster": "idp"`),
			`issuer "i0": https://[2001:db8::1]:8443 has an address for its host: a certificate is checked against a name`},
		{"a mistake", `{"issuers": []}`, "issuers: must not be empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := render.Read(tt.doc)
			if err == nil {
				_, err = d.Envoy(envoyOptions("http://api:8080"))
			}
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

// TestAuthorities: both control planes check a server with the certificate
// authorities that "orgate import" found for it.
func TestAuthorities(t *testing.T) {
	const pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
	own := &render.Cluster{Name: "own", Host: "idp.example.com", Port: 443, TLS: true, CA: pem}
	systems := &render.Cluster{Name: "system", Host: "b.example.com", Port: 443, TLS: true, CAFile: "/ca.crt"}
	clusters := "clusters:\n"
	for _, c := range []*render.Cluster{own, systems} {
		element, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		clusters += element + "\n"
	}
	authorities, err := render.Authorities(clusters)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"own": pem + "\n"}, authorities); diff != "" {
		t.Fatalf("authorities (-want +got):\n%s", diff)
	}
	d := read(t, document(`"url": "https://idp.example.com/jwks", "cluster": "own"`,
		`"url": "https://b.example.com/jwks", "cluster": "system"`))
	d.Trust(authorities)

	text, err := d.Istio(istioOptions)
	if err != nil {
		t.Fatal(err)
	}
	of := objects(t, text)
	bundle := of("ConfigMap")[0]
	if diff := cmp.Diff(map[string]string{"ca.crt": pem}, bundle.Data); diff != "" || len(of("ConfigMap")) != 1 {
		t.Errorf("%d ConfigMaps; data (-want +got):\n%s", len(of("ConfigMap")), diff)
	}
	var trusted []string
	for _, o := range of("DestinationRule") {
		tls := o.Type.(*networkingv1.DestinationRule).TrafficPolicy.PortLevelSettings[0].Tls
		trusted = append(trusted, tls.CredentialName+tls.CaCertificates)
	}
	if diff := cmp.Diff([]string{"configmap://istio-ingress/" + bundle.Metadata.Name, "/ca.crt"}, trusted); diff != "" {
		t.Errorf("trusted (-want +got):\n%s", diff)
	}

	if text, err = d.EnvoyGateway(render.EnvoyGatewayOptions{Name: "orgate", Namespace: "shop", Gateway: "eg",
		Image: "i"}); err != nil {
		t.Fatal(err)
	}
	of = objects(t, text)
	var policy struct {
		Validation struct {
			CACertificateRefs []struct{ Kind, Name string }
		}
	}
	if err := json.Unmarshal(of("BackendTLSPolicy")[0].Spec, &policy); err != nil {
		t.Fatal(err)
	}
	if refs := policy.Validation.CACertificateRefs; len(refs) != 1 || refs[0].Kind != "ConfigMap" ||
		refs[0].Name != of("ConfigMap")[0].Metadata.Name || of("ConfigMap")[0].Data["ca.crt"] != pem {
		t.Errorf("refers to %v of %v", refs, of("ConfigMap"))
	}

	// A control plane knows a server once.
	d = read(t, document(`"url": "https://idp.example.com/a", "cluster": "own"`,
		`"url": "https://idp.example.com/b", "cluster": "other"`))
	d.Trust(authorities)
	_, err = d.Istio(istioOptions)
	if want := `issuers "i0" and "i1": https://idp.example.com has other certificate authorities in cluster "other" than in "own"`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

var istioOptions = render.IstioOptions{Name: "orgate", Namespace: "istio-ingress", Image: "i", CA: "/ca.crt",
	Selector: []render.Label{{Name: "istio", Value: "ingressgateway"}}}

// objects reads manifests, and finds the objects of a kind.
func objects(t *testing.T, text string) func(kind string) []schema.Object {
	t.Helper()
	all, err := schema.Read([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return func(kind string) (list []schema.Object) {
		for _, o := range all {
			if o.Kind == kind {
				list = append(list, o)
			}
		}
		return list
	}
}

func TestIstio(t *testing.T) {
	selectors := []struct {
		name    string
		options render.IstioOptions
		pods    map[string]string
	}{
		{
			"pods", render.IstioOptions{Name: "orgate", Namespace: "istio-ingress",
				Image:    "registry.example.com/orgate:1.0",
				CA:       "/ca.crt",
				Selector: []render.Label{{Name: "istio", Value: "ingressgateway"}, {Name: "app", Value: "true"}}},
			map[string]string{"istio": "ingressgateway", "app": "true"}},
		{"a Gateway", render.IstioOptions{Name: "orgate", Namespace: "shop", Image: "https://example.com/orgate.wasm",
			CA:      "/ca.crt",
			Gateway: "shop", SHA256: strings.Repeat("0f", 32), PullSecret: "registry"},
			map[string]string{"gateway.networking.k8s.io/gateway-name": "shop"}},
	}
	for _, tt := range documents {
		for _, s := range selectors {
			t.Run(tt.name+", "+s.name, func(t *testing.T) {
				text, err := read(t, tt.doc).Istio(s.options)
				if err != nil {
					t.Fatal(err)
				}
				of := objects(t, text)
				plugin := of("WasmPlugin")[0].Type.(*extensionsv1alpha1.WasmPlugin)
				if plugin.Phase.String() != "AUTHN" || plugin.FailStrategy.String() != "FAIL_CLOSE" {
					t.Errorf("phase %v, fail strategy %v", plugin.Phase, plugin.FailStrategy)
				}
				if s.options.Gateway != "" {
					if refs := plugin.TargetRefs; len(refs) != 1 || refs[0].Kind != "Gateway" ||
						refs[0].Name != "shop" ||
						plugin.Selector != nil {
						t.Errorf("targetRefs %v, selector %v", refs, plugin.Selector)
					}
				} else if diff := cmp.Diff(s.pods, plugin.Selector.GetMatchLabels()); diff != "" {
					t.Errorf("pods (-want +got):\n%s", diff)
				}
				// This is what Istio makes of pluginConfig.
				rendered, err := protojson.Marshal(plugin.PluginConfig)
				if err != nil {
					t.Fatal(err)
				}
				known, secured := istioClusters(t, of, s.pods)
				for i, name := range sameButClusters(t, tt.doc, string(rendered)) {
					checkIstioCluster(t, name, tt.servers[i], known, secured)
				}
			})
		}
	}
}

// istioClusters returns the clusters that ServiceEntries make, and those that
// DestinationRules begin TLS for.
func istioClusters(t *testing.T, of func(string) []schema.Object, pods map[string]string) (known, secured []string) {
	t.Helper()
	for _, o := range of("ServiceEntry") {
		e := o.Type.(*networkingv1.ServiceEntry)
		if !slices.Equal(e.ExportTo, []string{"."}) || e.Location.String() != "MESH_EXTERNAL" ||
			e.Resolution.String() != "DNS" || len(e.Hosts) != 1 {
			t.Errorf("service entry %v", e)
		}
		for _, p := range e.Ports {
			known = append(known, fmt.Sprintf("outbound|%d||%s", p.Number, e.Hosts[0]))
		}
	}
	for _, o := range of("DestinationRule") {
		r := o.Type.(*networkingv1.DestinationRule)
		if diff := cmp.Diff(pods, r.WorkloadSelector.GetMatchLabels()); diff != "" ||
			!slices.Equal(r.ExportTo, []string{"."}) {
			t.Errorf("pods (-want +got):\n%s\nexported to %v", diff, r.ExportTo)
		}
		for _, p := range r.TrafficPolicy.PortLevelSettings {
			tls := p.Tls
			if tls.Mode.String() != "SIMPLE" || tls.Sni != r.Host ||
				!slices.Equal(tls.SubjectAltNames, []string{r.Host}) ||
				tls.CaCertificates != "/ca.crt" {
				t.Errorf("%s: TLS %v", r.Host, tls)
			}
			secured = append(secured, fmt.Sprintf("outbound|%d||%s", p.Port.Number, r.Host))
		}
	}
	return known, secured
}

func checkIstioCluster(t *testing.T, name, server string, known, secured []string) {
	t.Helper()
	if server == "" {
		if name != "" {
			t.Errorf("cluster %q, want none", name)
		}
		return
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	host := u.Hostname()
	if strings.HasSuffix(host, ".svc") {
		host += ".cluster.local"
	}
	if want := "outbound|" + u.Port() + "||" + host; name != want {
		t.Errorf("cluster %q, want %q", name, want)
	}
	if inCluster := strings.HasSuffix(host, ".svc.cluster.local"); slices.Contains(known, name) == inCluster {
		t.Errorf("%s: among the service entries %v", name, known)
	}
	if slices.Contains(secured, name) != (u.Scheme == "https") {
		t.Errorf("%s: among the destination rules %v", name, secured)
	}
}

func TestEnvoyGateway(t *testing.T) {
	options := []struct {
		name string
		render.EnvoyGatewayOptions
	}{
		{"an image", render.EnvoyGatewayOptions{Name: "orgate", Namespace: "shop", Gateway: "eg",
			Image:  "oci://registry.example.com/orgate:1.0",
			SHA256: strings.Repeat("0f", 32), PullSecret: "registry"}},
		{
			"a URL", render.EnvoyGatewayOptions{Name: "a-very-long-name-of-a-policy-that-has-no-room",
				Namespace: "default",
				Gateway:   "eg",
				Image:     "https://example.com/orgate.wasm", SHA256: strings.Repeat("0f", 32)}},
	}
	for _, tt := range documents {
		for _, o := range options {
			t.Run(tt.name+", "+o.name, func(t *testing.T) {
				text, err := read(t, tt.doc).EnvoyGateway(o.EnvoyGatewayOptions)
				if err != nil {
					t.Fatal(err)
				}
				of := objects(t, text)
				var policy struct {
					TargetRefs []struct{ Kind, Name string }
					Wasm       []struct {
						FailOpen *bool
						Code     struct {
							Type  string
							Image *struct{ URL string }
							HTTP  *struct{ URL string }
						}
						Config json.RawMessage
					}
				}
				unmarshal(t, of("EnvoyExtensionPolicy")[0].Spec, &policy)
				wasm := policy.Wasm[0]
				if wasm.FailOpen == nil || *wasm.FailOpen || policy.TargetRefs[0].Kind != "Gateway" ||
					policy.TargetRefs[0].Name != "eg" {
					t.Errorf("policy %+v", policy)
				}
				if (wasm.Code.Type == "Image") != (wasm.Code.Image != nil) ||
					(wasm.Code.Type == "HTTP") != (wasm.Code.HTTP != nil) {
					t.Errorf("code %+v", wasm.Code) // a rule in CEL
				}
				known := egClusters(t, of, o.EnvoyGatewayOptions)
				for i, name := range sameButClusters(t, tt.doc, string(wasm.Config)) {
					if known[name] != tt.servers[i] {
						t.Errorf("cluster %q is %q, want %q", name, known[name], tt.servers[i])
					}
				}
			})
		}
	}
}

func unmarshal(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// egClusters follows each route to its backend, and returns the clusters that
// Envoy Gateway makes, and where they lead. The name "" leads nowhere.
func egClusters(t *testing.T, of func(string) []schema.Object, o render.EnvoyGatewayOptions) map[string]string {
	t.Helper()
	secured := map[string]string{}
	for _, p := range of("BackendTLSPolicy") {
		var spec struct {
			TargetRefs []struct{ Group, Kind, Name string }
			Validation struct{ Hostname, WellKnownCACertificates string }
		}
		unmarshal(t, p.Spec, &spec)
		if spec.TargetRefs[0].Kind != "Backend" || spec.Validation.WellKnownCACertificates != "System" {
			t.Errorf("TLS policy %+v", spec)
		}
		secured[spec.TargetRefs[0].Name] = spec.Validation.Hostname
	}
	servers := map[string]string{}
	for _, b := range of("Backend") {
		var spec struct {
			Endpoints []struct {
				FQDN *struct {
					Hostname string
					Port     int
				}
				IP *struct {
					Address string
					Port    int
				}
			}
		}
		unmarshal(t, b.Spec, &spec)
		host, port := "", 0
		if e := spec.Endpoints[0]; e.FQDN != nil {
			host, port = e.FQDN.Hostname, e.FQDN.Port
		} else if ip, err := netip.ParseAddr(e.IP.Address); err != nil {
			t.Error(err)
		} else {
			host, port = ip.String(), e.IP.Port
		}
		scheme := "http"
		if name, ok := secured[b.Metadata.Name]; ok {
			scheme = "https"
			if name != host {
				t.Errorf("%s: the certificate is checked against %q", host, name)
			}
		}
		servers[b.Metadata.Name] = scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port))
	}
	known := map[string]string{}
	tickets := map[string]bool{}
	for _, r := range of("HTTPRoute") {
		var spec struct {
			ParentRefs []struct{ Name, SectionName string }
			Hostnames  []string
			Rules      []struct {
				Matches []struct {
					Headers []struct{ Name, Type, Value string }
				}
				BackendRefs []struct {
					Kind, Name string
					Filters    []struct{ Type string }
				}
			}
		}
		unmarshal(t, r.Spec, &spec)
		// Every listener takes the route, and no request does.
		if spec.Hostnames != nil || len(spec.ParentRefs) != 1 || spec.ParentRefs[0].Name != o.Gateway ||
			spec.ParentRefs[0].SectionName != "" || r.Metadata.Namespace != o.Namespace {
			t.Errorf("route %+v", spec)
		}
		if len(spec.Rules) != 1 || len(spec.Rules[0].Matches) != 1 || len(spec.Rules[0].Matches[0].Headers) != 1 {
			t.Fatalf("route %+v", spec)
		}
		ticket := spec.Rules[0].Matches[0].Headers[0]
		if ticket.Name != "x-orgate-keys" || len(ticket.Value) != 32 || ticket.Type != "" || tickets[ticket.Value] {
			t.Errorf("header %+v", ticket)
		}
		tickets[ticket.Value] = true
		backend := spec.Rules[0].BackendRefs[0]
		if len(backend.Filters) != 1 { // or else EnvoyProxy's mergeBackends names the cluster
			t.Errorf("route %+v", spec)
		}
		known["httproute/"+o.Namespace+"/"+r.Metadata.Name+"/rule/0/backend/0"] = servers[backend.Name]
	}
	return known
}

func TestOptionsThatCannotBeRendered(t *testing.T) {
	d := read(t, documents[0].doc)
	tests := []struct {
		name string
		err  func() error
		want string
	}{
		{"a plugin for every proxy", func() error { _, err := d.Istio(render.IstioOptions{Image: "a"}); return err },
			"a WasmPlugin without selector and gateway is for every proxy in the namespace"},
		{"a file for Envoy Gateway", func() error {
			_, err := d.EnvoyGateway(render.EnvoyGatewayOptions{Image: "file:///orgate.wasm"})
			return err
		}, `image: must be an OCI image or an http(s) URL, got "file:///orgate.wasm"`},
		{"a pull secret for a URL", func() error {
			_, err := d.EnvoyGateway(render.EnvoyGatewayOptions{Image: "https://a/orgate.wasm", PullSecret: "a"})
			return err
		}, "a pull secret is for an OCI image"},
		{
			"https to an address upstream", func() error {
				_,
					err := d.Envoy(envoyOptions("https://10.0.0.1"))
				return err
			},
			"upstream: https://10.0.0.1 has an address for its host: a certificate is checked against a name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.err(); err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

// TestHostsThatControlPlanesRefuse: their schemas would refuse the manifests
// only once they are applied.
func TestHostsThatControlPlanesRefuse(t *testing.T) {
	const both = "must be a name of a-z, 0-9, - and dots, of at most 253 characters and 63 from dot to dot: the control " +
		"plane refuses it"
	for _, tt := range []struct{ host, istio, envoyGateway string }{
		{"idp_1.example.com", both, both},
		{"keycloak", "", "Envoy Gateway takes no host without a dot, got http://keycloak:8080"},
		{"127.0.0.1", "", "Envoy Gateway takes no loopback address, got http://127.0.0.1:8080"},
		{
			"[2001:db8::1:2:3]", "Istio has no service for an IPv6 address: give it a name, got " +
				"http://[2001:db8::1:2:3]:8080", ""},
		{"10.0.0.1", "", ""},
	} {
		t.Run(tt.host, func(t *testing.T) {
			d := read(t, document(`"url": "http://`+tt.host+`:8080/jwks", "cluster": "idp"`))
			text, err := d.EnvoyGateway(render.EnvoyGatewayOptions{Name: "a", Namespace: "a", Gateway: "a", Image: "a"})
			checkRefused(t, text, err, tt.envoyGateway)
			text, err = d.Istio(render.IstioOptions{Name: "a", Namespace: "a", Gateway: "a", Image: "a", CA: "/ca.crt"})
			checkRefused(t, text, err, tt.istio)
		})
	}
}

func checkRefused(t *testing.T, text string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err == nil:
		objects(t, text)
	case want == "" || err == nil || !strings.HasSuffix(err.Error(), want):
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestManifests: each object has the labels by which "kubectl apply --prune"
// finds it, and stands behind all that it needs.
func TestManifests(t *testing.T) {
	d := read(t, document(`"url": "https://a.example.com/jwks", "cluster": "a"`,
		`"url": "https://b.example.com/jwks", "cluster": "b"`))
	eg, err := d.EnvoyGateway(render.EnvoyGatewayOptions{Name: "guard", Namespace: "a", Gateway: "a", Image: "a"})
	if err != nil {
		t.Fatal(err)
	}
	istio, err := d.Istio(render.IstioOptions{Name: "guard", Namespace: "a", Gateway: "shop", Image: "a", CA: "/ca.crt",
		FilteredClusters: true})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		eg:    "BackendTLSPolicy BackendTLSPolicy Backend Backend HTTPRoute HTTPRoute EnvoyExtensionPolicy",
		istio: "DestinationRule DestinationRule ServiceEntry ServiceEntry EnvoyFilter WasmPlugin",
	} {
		all, err := schema.Read([]byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		var kinds []string
		for _, o := range all {
			kinds = append(kinds, o.Kind)
			if diff := cmp.Diff(map[string]string{"app.kubernetes.io/managed-by": "orgate",
				"app.kubernetes.io/part-of": "guard"}, o.Metadata.Labels); diff != "" {
				t.Errorf("%s: labels (-want +got):\n%s", o.Kind, diff)
			}
			if f, ok := o.Type.(*networkingv1alpha3.EnvoyFilter); ok {
				hosts := o.Metadata.Annotations["envoyfilter.istio.io/referenced-services"]
				if hosts != "a.example.com,b.example.com" ||
					f.WorkloadSelector.Labels["gateway.networking.k8s.io/gateway-name"] != "shop" {
					t.Errorf("EnvoyFilter %v of %s", f, hosts)
				}
			}
		}
		if got := strings.Join(kinds, " "); got != want {
			t.Errorf("objects %s, want %s", got, want)
		}
	}
}

// TestTickets: a secret makes what the routes ask for a secret, too.
func TestTickets(t *testing.T) {
	doc := document(`"url": "https://idp.example.com/jwks", "cluster": "idp"`)
	ticket := func(doc string) string {
		text, err := read(t, doc).EnvoyGateway(
			render.EnvoyGatewayOptions{Name: "a", Namespace: "a", Gateway: "a", Image: "a"})
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(text, "- name: x-orgate-keys\n")
		line, _, _ := strings.Cut(rest, "\n")
		return line
	}
	secret := strings.TrimSuffix(doc, "}") + `, "sharing": {"key": "0123456789abcdef0123456789abcdef"}}`
	plain, again, keyed := ticket(doc), ticket(doc), ticket(secret)
	if plain != again || plain == keyed {
		t.Errorf("%s, again %s, with a secret %s", plain, again, keyed)
	}
}

func TestParseAddress(t *testing.T) {
	tests := []struct {
		text string
		want render.Address
		err  string
	}{
		{"127.0.0.1:80", render.Address{Host: "127.0.0.1", Port: 80}, ""},
		{"[::1]:9901", render.Address{Host: "::1", Port: 9901}, ""},
		{"", render.Address{}, `must be host and port, got ""`},
		{":80", render.Address{}, `must be host and port, got ":80"`},
		{"127.0.0.1:0", render.Address{}, `must have a port from 1 to 65535, got "127.0.0.1:0"`},
		{"127.0.0.1:65536", render.Address{}, `must have a port from 1 to 65535, got "127.0.0.1:65536"`},
	}
	for _, tt := range tests {
		got, err := render.ParseAddress(tt.text)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
		if message := fmt.Sprint(err); message != tt.err && !(err == nil && tt.err == "") {
			t.Errorf("%q: error %s, want %s", tt.text, message, tt.err)
		}
	}
}

func TestHostInCapitals(t *testing.T) {
	d := read(t, document(`"url": "https://IDP.Example.COM/jwks", "cluster": "idp"`))
	text, err := d.Istio(render.IstioOptions{Name: "orgate", Namespace: "a", Image: "a", CA: "/ca.crt", Gateway: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"cluster": "outbound|443||idp.example.com"`, `hosts: ["idp.example.com"]`,
		`sni: "idp.example.com"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// TestIstioOnSharing: a key is asked for if keys are fetched and there is none,
// and never made: what is written is the same from run to run.
func TestIstioOnSharing(t *testing.T) {
	const (
		missing = "Make one with \"openssl rand -base64 32\""
		secret  = "There is a secret in it, sharing.key"
	)
	fetched := document(`"url": "https://idp.example.com/jwks", "cluster": "idp"`)
	for _, tt := range []struct {
		name, doc       string
		missing, secret bool
	}{
		{"keys that are fetched", fetched, true, false},
		{"keys in the document", document(`"inline": {"keys": []}`), false, false},
		{
			"a key for sharing", strings.TrimSuffix(fetched, "}") +
				`, "sharing": {"key": "0123456789abcdef0123456789abcdef"}}`, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var texts [2]string
			for i := range texts {
				var err error
				options := render.IstioOptions{Name: "orgate", Namespace: "n", Image: "i", CA: "/ca.crt", Gateway: "g"}
				if texts[i], err = read(t, tt.doc).Istio(options); err != nil {
					t.Fatal(err)
				}
			}
			if texts[0] != texts[1] {
				t.Error("two manifests of one configuration differ")
			}
			if strings.Contains(texts[0], missing) != tt.missing || strings.Contains(texts[0], secret) != tt.secret {
				t.Errorf("want %q: %v, %q: %v in\n%s", missing, tt.missing, secret, tt.secret, texts[0])
			}
		})
	}
}

// TestEnvoyKeepsPaths: what the configuration keeps of paths, the proxy keeps.
func TestEnvoyKeepsPaths(t *testing.T) {
	for paths, want := range map[string][2]string{
		`"semicolon": "keep"`:    {"merge_slashes: true", "path_with_escaped_slashes_action: REJECT_REQUEST"},
		`"encodedSlash": "keep"`: {"merge_slashes: true", "path_with_escaped_slashes_action: KEEP_UNCHANGED"},
		`"emptySegment": "keep"`: {"merge_slashes: false", "path_with_escaped_slashes_action: REJECT_REQUEST"},
	} {
		doc := strings.TrimSuffix(document(`"url": "https://idp.example.com/jwks", "cluster": "idp"`), "}") +
			`, "paths": {` + paths + `}}`
		text, err := read(t, doc).Envoy(envoyOptions("http://api:8080"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := envoy.Parse([]byte(text)); err != nil {
			t.Error(err)
		}
		for _, line := range want {
			if !strings.Contains(text, " "+line+"\n") {
				t.Errorf("%s: no %q", paths, line)
			}
		}
	}
}

// TestObjectNames: who chooses a host does not choose the object of another.
func TestObjectNames(t *testing.T) {
	long := strings.Repeat("a", 40) + ".example.com"
	first := map[string]string{}
	for _, location := range []string{
		"https://idp.example.com/", "https://idp-example.com/", "https://idp.example-com/", "https://idp-example-com/",
		"https://idp.example.com:8443/", "https://idp.example.com.8443/", "http://idp.example.com/",
		"https://" + long + "/", "https://" + long + ":8443/", "https://" + long + "x/",
		"https://idp.example.com--" + strings.Repeat("0", 32) + "/",
	} {
		names, err := render.ObjectNames("orgate", location)
		if err != nil {
			t.Fatal(err)
		}
		name := names[0]
		if other := first[name]; other != "" {
			t.Errorf("%s and %s have the name %s", location, other, name)
		}
		first[name] = location
		if len(name) > 63 || !regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`).MatchString(name) {
			t.Errorf("%s: name %s", location, name)
		}
		plain := location == "https://idp.example.com/" || location == "https://idp.example.com.8443/"
		if hashed := regexp.MustCompile(`--[0-9a-f]{32}$`).MatchString(name); hashed == plain {
			t.Errorf("%s: name %s", location, name)
		}
	}
	if first["orgate-keys-idp-example-com"] == "" {
		t.Errorf("names %v", first)
	}
	if names, err := render.ObjectNames("orgate", "https://idp.example.com:0443/"); err != nil ||
		names[0] != "orgate-keys-idp-example-com" {
		t.Errorf("a port with a zero: %s, %v", names, err)
	}
}

// TestPortWithAndWithoutTLS: Istio has a port once.
func TestPortWithAndWithoutTLS(t *testing.T) {
	d := read(t, document(`"url": "http://idp.example.com:443/jwks", "cluster": "a"`,
		`"url": "https://idp.example.com/jwks", "cluster": "b"`))
	_, err := d.Istio(render.IstioOptions{Name: "a", Namespace: "a", Gateway: "a", Image: "a", CA: "/ca.crt"})
	if err == nil || !strings.Contains(err.Error(), "a port of a host has TLS or has none, got "+
		"http://idp.example.com:443 and https://idp.example.com") {
		t.Errorf("error %v", err)
	}
}
