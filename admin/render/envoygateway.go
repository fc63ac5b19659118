package render

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
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
}

// egServer is a server with the names of its objects.
type egServer struct {
	*server
	// Object is the name of its objects, Address its host if that is an
	// address, Ticket what the route asks for.
	Object, Address, Ticket string
}

// EnvoyGateway writes an EnvoyExtensionPolicy, and for each server with keys a
// Backend, a BackendTLSPolicy if it is asked over TLS, and an HTTPRoute.
//
// Envoy Gateway has no way to give a Wasm extension a cluster: it makes one for
// each rule of a route. So there is a route for each server. It has no hostname,
// so every listener takes it, whatever hosts the listener is for. It asks for a
// header with a value that no client has reason to send, so no request takes it.
//
// A filter on the reference to the backend has Envoy Gateway name the cluster
// "httproute/namespace/name/rule/0/backend/0", even if EnvoyProxy merges
// backends: those with filters are left alone.
func (d *Document) EnvoyGateway(o EnvoyGatewayOptions) (string, error) {
	http := strings.HasPrefix(o.Image, "http://") || strings.HasPrefix(o.Image, "https://")
	o.Image = strings.TrimPrefix(o.Image, "oci://")
	if !http && strings.Contains(o.Image, "://") {
		return "", fmt.Errorf("image: must be an OCI image or an http(s) URL, got %q", o.Image)
	}
	if http && o.PullSecret != "" {
		return "", errors.New("a pull secret is for an OCI image")
	}
	distinct, err := d.distinct()
	if err != nil {
		return "", err
	}
	var servers []egServer
	for _, s := range distinct {
		eg := egServer{server: s, Object: object(o.Name, s),
			Ticket: ticket(d.config.Sharing.Key, o.Namespace, o.Name, s.URL())}
		ip, err := netip.ParseAddr(s.Host)
		switch {
		case err == nil && ip.IsLoopback():
			return "", fmt.Errorf("issuer %q: Envoy Gateway takes no loopback address, got %s", s.issuer, s.URL())
		case err == nil:
			eg.Address = ip.StringExpanded() // not every short form passes the schema's pattern
		case !strings.Contains(s.Host, "."):
			return "", fmt.Errorf("issuer %q: Envoy Gateway takes no host without a dot, got %s", s.issuer, s.URL())
		}
		if err := s.checkHost(); err != nil {
			return "", err
		}
		servers = append(servers, eg)
	}
	configuration := d.json(func(cluster, location string) string {
		if s := d.find(location); s != nil {
			return fmt.Sprintf("httproute/%s/%s/rule/0/backend/0", o.Namespace, object(o.Name, s))
		}
		return cluster
	})
	return manifests(envoyGatewayHead+authorities+envoyGateway,
		map[string]any{"Options": o, "HTTP": http, "Servers": servers,
			"Configuration": configuration})
}

// ticket is a value that no client has reason to send, and none can guess if
// the configuration has a secret. The same configuration gives the same.
func ticket(secret string, of ...string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strings.Join(of, " ")))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

const envoyGatewayHead = `# Written by "orgate render envoy-gateway". Backends are switched on with
# extensionApis.enableBackend in the configuration of Envoy Gateway.`

const envoyGateway = `
{{- range .Servers}}
{{- if .TLS}}
---
# The host's name goes into the handshake, and the certificate must be the host's.
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata:
  name: {{quote .Object}}
  namespace: {{quote $.Options.Namespace}}
  labels:
    app.kubernetes.io/managed-by: orgate
    app.kubernetes.io/part-of: {{quote $.Options.Name}}
spec:
  targetRefs:
    - group: gateway.envoyproxy.io
      kind: Backend
      name: {{quote .Object}}
  validation:
    hostname: {{quote .Host}}
{{- if .CA}}
    caCertificateRefs:
      - {group: "", kind: ConfigMap, name: {{quote .Object}}}
{{- else}}
    wellKnownCACertificates: System
{{- end}}
{{- end}}
{{- end}}
{{- range .Servers}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata:
  name: {{quote .Object}}
  namespace: {{quote $.Options.Namespace}}
  labels:
    app.kubernetes.io/managed-by: orgate
    app.kubernetes.io/part-of: {{quote $.Options.Name}}
spec:
  endpoints:
{{- if .Address}}
    - ip: {address: {{quote .Address}}, port: {{.Port}}}
{{- else}}
    - fqdn: {hostname: {{quote .Host}}, port: {{.Port}}}
{{- end}}
{{- end}}
{{- range .Servers}}
---
# Makes the cluster httproute/{{$.Options.Namespace}}/{{.Object}}/rule/0/backend/0: Envoy
# Gateway has no other way to give a Wasm extension one. No request takes this
# route: none has this header. The filter keeps the cluster apart if EnvoyProxy
# merges backends.
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {{quote .Object}}
  namespace: {{quote $.Options.Namespace}}
  labels:
    app.kubernetes.io/managed-by: orgate
    app.kubernetes.io/part-of: {{quote $.Options.Name}}
spec:
  parentRefs:
    - name: {{quote $.Options.Gateway}}
  rules:
    - matches:
        - method: GET
          path: {type: Exact, value: /orgate-keys}
          headers:
            - name: x-orgate-keys
              value: {{quote .Ticket}}
      backendRefs:
        - group: gateway.envoyproxy.io
          kind: Backend
          name: {{quote .Object}}
          filters:
            - type: RequestHeaderModifier
              requestHeaderModifier: {remove: [x-orgate-keys]}
{{- end}}
---
# Without the plugin every request passes unchecked. These policies take it away
# while this one stays in place:
#   - an older EnvoyExtensionPolicy for the same Gateway: this one is not Accepted;
#   - one for a listener (sectionName), for its routes: this one is Overridden;
#   - one for a route with a list "wasm", there, whatever its mergeType.
# "kubectl wait" on the condition Accepted shows the first, and "orgate verify --url"
# on each host shows all.
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata:
  name: {{quote .Options.Name}}
  namespace: {{quote .Options.Namespace}}
  labels:
    app.kubernetes.io/managed-by: orgate
    app.kubernetes.io/part-of: {{quote .Options.Name}}
spec:
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
`
