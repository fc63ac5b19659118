package render

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// EnvoyGatewayOptions says which Gateway runs the plugin.
type EnvoyGatewayOptions struct {
	// Name is that of the EnvoyExtensionPolicy, and what the other objects'
	// names begin with. Namespace is the Gateway's.
	Name, Namespace string
	// Gateway is the Gateway's name.
	Gateway string
	// Image is where Envoy Gateway finds the plugin: an OCI image, or an
	// http(s) URL. SHA256 is its digest, in hexadecimal, or "".
	Image, SHA256 string
	// PullSecret is the name of a secret with the registry's credentials, or
	// "".
	PullSecret string
	// KeysDomain is the domain of the hosts that nobody asks for: see
	// [Document.EnvoyGateway].
	KeysDomain string
}

// egServer is a server with the names of its objects.
type egServer struct {
	*server
	Object, Hostname string
	Address          bool
}

// EnvoyGateway writes an EnvoyExtensionPolicy, and for each server with keys a
// Backend, a BackendTLSPolicy if it is asked over TLS, and an HTTPRoute.
//
// Envoy Gateway has no way to give a Wasm extension a cluster: it makes one for
// each rule of a route, and names it "httproute/namespace/name/rule/0". So
// there is a route for each server, with a host that no client has reason to
// ask for, and with no path but that of the keys, which are public.
func (d *Document) EnvoyGateway(o EnvoyGatewayOptions) (string, error) {
	http := strings.HasPrefix(o.Image, "http://") || strings.HasPrefix(o.Image, "https://")
	o.Image = strings.TrimPrefix(o.Image, "oci://")
	if !http && strings.Contains(o.Image, "://") {
		return "", fmt.Errorf("image: must be an OCI image or an http(s) URL, got %q", o.Image)
	}
	if http && o.PullSecret != "" {
		return "", errors.New("a pull secret is for an OCI image")
	}
	var servers []egServer
	for _, s := range d.distinct() {
		_, err := netip.ParseAddr(s.Host)
		servers = append(servers, egServer{s, object(o.Name, s), s.Slug + "." + o.KeysDomain, err == nil})
	}
	configuration := d.json(func(cluster, location string) string {
		if s := d.find(location); s != nil {
			return fmt.Sprintf("httproute/%s/%s/rule/0", o.Namespace, object(o.Name, s))
		}
		return cluster
	})
	return write(envoyGateway, map[string]any{"Options": o, "HTTP": http, "Servers": servers,
		"Configuration": configuration})
}

const envoyGateway = `# Written by "orgate render envoy-gateway". Backends are switched on with
# extensionApis.enableBackend in the configuration of Envoy Gateway.
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata:
  name: {{quote .Options.Name}}
  namespace: {{quote .Options.Namespace}}
spec:
  # Every route of the Gateway. Beware: an EnvoyExtensionPolicy for a route takes
  # the place of this one there, and the plugin is gone, unless it has a mergeType.
  targetRefs:
    - group: gateway.networking.k8s.io
      kind: Gateway
      name: {{quote .Options.Gateway}}
  wasm:
    - name: orgate
      rootID: orgate
      # A plugin that fails lets no request pass.
      failOpen: false
      code:
{{- if .HTTP}}
        type: HTTP
        http:
          url: {{quote .Options.Image}}
{{- if .Options.SHA256}}
          sha256: {{quote .Options.SHA256}}
{{- end}}
{{- else}}
        type: Image
        image:
          url: {{quote .Options.Image}}
{{- if .Options.SHA256}}
          sha256: {{quote .Options.SHA256}}
{{- end}}
{{- if .Options.PullSecret}}
          pullSecretRef: {name: {{quote .Options.PullSecret}}}
{{- end}}
{{- end}}
      # The issuers' clusters have the names that Envoy Gateway gives them.
      config:
        {{indent 8 .Configuration}}
{{- range .Servers}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata:
  name: {{quote .Object}}
  namespace: {{quote $.Options.Namespace}}
spec:
  endpoints:
{{- if .Address}}
    - ip: {address: {{quote .Host}}, port: {{.Port}}}
{{- else}}
    - fqdn: {hostname: {{quote .Host}}, port: {{.Port}}}
{{- end}}
{{- if .TLS}}
---
# The host's name goes into the handshake, and the certificate must be the host's.
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata:
  name: {{quote .Object}}
  namespace: {{quote $.Options.Namespace}}
spec:
  targetRefs:
    - group: gateway.envoyproxy.io
      kind: Backend
      name: {{quote .Object}}
  validation:
    hostname: {{quote .Host}}
    wellKnownCACertificates: System
{{- end}}
---
# Makes the cluster httproute/{{$.Options.Namespace}}/{{.Object}}/rule/0: Envoy
# Gateway has no other way to give a Wasm extension one. Nobody asks for this
# host, and who does needs a token to see nothing but public keys.
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {{quote .Object}}
  namespace: {{quote $.Options.Namespace}}
spec:
  parentRefs:
    - name: {{quote $.Options.Gateway}}
  hostnames: [{{quote .Hostname}}]
  rules:
    - matches:
        - method: GET
          path: {type: Exact, value: {{quote .Path}}}
      backendRefs:
        - group: gateway.envoyproxy.io
          kind: Backend
          name: {{quote .Object}}
{{- end}}
`
