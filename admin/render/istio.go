package render

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// IstioOptions says which of Istio's proxies run the plugin.
type IstioOptions struct {
	// Name is that of the WasmPlugin, and what the other objects' names begin
	// with.
	Name, Namespace string
	// Selector are the labels of the proxies' pods. Gateway is, instead, the
	// name of a Gateway of the Gateway API.
	Selector []Label
	Gateway  string
	// Image is where Istio finds the plugin: an OCI image, or an http(s) or
	// file URL. SHA256 is its digest, in hexadecimal, or "".
	Image, SHA256 string
	// PullSecret is the name of a secret with the registry's credentials, or
	// "".
	PullSecret string
	// CA is a file with certificate authorities, as the proxy sees it.
	CA string
	// FilteredClusters: istiod runs with PILOT_FILTER_GATEWAY_CLUSTER_CONFIG,
	// and sends gateways no cluster that nothing refers to.
	FilteredClusters bool
}

// Label is a label of Kubernetes.
type Label struct{ Name, Value string }

// gatewayLabel is what Istio puts on the pods of a Gateway.
const gatewayLabel = "gateway.networking.k8s.io/gateway-name"

// istioHost is what Istio has to know about a host.
type istioHost struct {
	Object, Host string
	Ports        []*server
	// It is a service of the cluster, which Istio knows by itself.
	InCluster bool
}

// Secured are the ports that TLS is begun for.
func (h *istioHost) Secured() []*server {
	var list []*server
	for _, s := range h.Ports {
		if s.TLS {
			list = append(list, s)
		}
	}
	return list
}

// Istio writes a WasmPlugin, and for each host with keys a ServiceEntry and,
// if it is asked over TLS, a DestinationRule. Istio names clusters
// "outbound|port||host": so do the issuers in what is written. A key for sharing
// is not made here: the same configuration gives the same manifests.
func (d *Document) Istio(o IstioOptions) (string, error) {
	if len(o.Selector) == 0 && o.Gateway == "" {
		return "", errors.New("a WasmPlugin without selector and gateway is for every proxy in the namespace")
	}
	if !strings.Contains(o.Image, "://") {
		o.Image = "oci://" + o.Image
	}
	pods := o.Selector
	if o.Gateway != "" {
		pods = []Label{{gatewayLabel, o.Gateway}}
	}
	servers, err := d.distinct()
	if err != nil {
		return "", err
	}
	var hosts []*istioHost
	for _, s := range servers {
		if ip, err := netip.ParseAddr(s.Host); err == nil && ip.Is6() {
			return "", fmt.Errorf("issuer %q: Istio has no service for an IPv6 address: give it a name, got %s",
				s.issuer, s.URL())
		}
		if err := s.checkHost(); err != nil {
			return "", err
		}
		if hosts, err = place(hosts, o.Name, s); err != nil {
			return "", err
		}
	}
	var names []string
	for _, h := range hosts {
		names = append(names, h.Host)
	}
	configuration := d.json(func(cluster, location string) string {
		if s := d.find(location); s != nil {
			return fmt.Sprintf("outbound|%d||%s", s.Port, istioName(s.Host))
		}
		return cluster
	})
	return manifests(istioHead+authorities+istio, map[string]any{
		"Options": o, "Pods": pods, "Hosts": hosts, "Servers": bundles(o.Name, servers), "Configuration": configuration,
		"Secret":  d.config.Sharing.Key != "",
		"Fetches": len(d.servers) > 0, "Referenced": strings.Join(names, ","),
	})
}

// place adds a server to the hosts.
func place(hosts []*istioHost, name string, s *server) ([]*istioHost, error) {
	host := istioName(s.Host)
	for _, h := range hosts {
		if h.Host != host {
			continue
		}
		for _, other := range h.Ports {
			if other.Port == s.Port && other.TLS != s.TLS {
				return nil, fmt.Errorf("issuers %q and %q: a port of a host has TLS or has none, got %s and %s",
					other.issuer, s.issuer, other.URL(), s.URL())
			}
		}
		h.Ports = append(h.Ports, s)
		return hosts, nil
	}
	return append(hosts, &istioHost{hostObject(name, host), host, []*server{s},
		strings.HasSuffix(host, clusterDomain)}), nil
}

// clusterDomain is what the names of services end in.
const clusterDomain = ".svc.cluster.local"

// istioName is the name under which Istio knows a host.
func istioName(host string) string {
	if strings.HasSuffix(host, ".svc") {
		return strings.TrimSuffix(host, ".svc") + clusterDomain
	}
	return host
}

const istioHead = `# Written by "orgate render istio".`

const istio = `
{{- range .Hosts}}
{{- if .Secured}}
---
# The plugin calls the cluster with plain HTTP: the proxy begins the TLS, and
# checks that the certificate is the host's. For the proxies with the plugin
# alone: others begin their TLS themselves.
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: {{quote .Object}}
  namespace: {{quote $.Options.Namespace}}
  labels:
    app.kubernetes.io/managed-by: orgate
    app.kubernetes.io/part-of: {{quote $.Options.Name}}
spec:
  host: {{quote .Host}}
  exportTo: ["."]
  workloadSelector:
    matchLabels:
{{- range $.Pods}}
      {{quote .Name}}: {{quote .Value}}
{{- end}}
  trafficPolicy:
    portLevelSettings:
{{- range .Secured}}
      - port: {number: {{.Port}}}
        tls:
          mode: SIMPLE
          sni: {{quote .Host}}
          subjectAltNames: [{{quote .Host}}]
{{- if .CA}}
          credentialName: {{quote (print "configmap://" $.Options.Namespace "/" (object $.Options.Name .))}}
{{- else}}
          caCertificates: {{quote $.Options.CA}}
{{- end}}
{{- end}}
{{- end}}
{{- end}}
{{- range .Hosts}}
{{- if not .InCluster}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: {{quote .Object}}
  namespace: {{quote $.Options.Namespace}}
  labels:
    app.kubernetes.io/managed-by: orgate
    app.kubernetes.io/part-of: {{quote $.Options.Name}}
spec:
  hosts: [{{quote .Host}}]
  exportTo: ["."]
  location: MESH_EXTERNAL
  resolution: DNS
  ports:
{{- range .Ports}}
    - number: {{.Port}}
      name: {{if .TLS}}https{{else}}http{{end}}-{{.Port}}
      protocol: {{if .TLS}}HTTPS{{else}}HTTP{{end}}
{{- end}}
{{- end}}
{{- end}}
{{- if and .Options.FilteredClusters .Hosts}}
---
# With PILOT_FILTER_GATEWAY_CLUSTER_CONFIG, gateways get the clusters of their
# routes, and those of the hosts that are named here.
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: {{quote .Options.Name}}
  namespace: {{quote .Options.Namespace}}
  annotations:
    envoyfilter.istio.io/referenced-services: {{quote .Referenced}}
  labels:
    app.kubernetes.io/managed-by: orgate
    app.kubernetes.io/part-of: {{quote .Options.Name}}
spec:
  workloadSelector:
    labels:
{{- range .Pods}}
      {{quote .Name}}: {{quote .Value}}
{{- end}}
{{- end}}
---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata:
  name: {{quote .Options.Name}}
  namespace: {{quote .Options.Namespace}}
  labels:
    app.kubernetes.io/managed-by: orgate
    app.kubernetes.io/part-of: {{quote $.Options.Name}}
spec:
{{- if .Options.Gateway}}
  targetRefs:
    - group: gateway.networking.k8s.io
      kind: Gateway
      name: {{quote .Options.Gateway}}
{{- else}}
  selector:
    matchLabels:
{{- range .Pods}}
      {{quote .Name}}: {{quote .Value}}
{{- end}}
{{- end}}
  url: {{quote .Options.Image}}
{{- if .Options.SHA256}}
  sha256: {{quote .Options.SHA256}}
{{- end}}
{{- if .Options.PullSecret}}
  imagePullSecret: {{quote .Options.PullSecret}}
{{- end}}
  imagePullPolicy: IfNotPresent
  pluginName: orgate
  phase: AUTHN
  # A plugin that fails lets no request pass.
  failStrategy: FAIL_CLOSE
  # The issuers' clusters have the names that Istio gives them.
{{- if .Secret}}
  # There is a secret in it, sharing.key: whoever may read this object has it.
{{- else if .Fetches}}
  #
  # Istio gives the plugin no vm_id of its own, so other plugins can write what its
  # workers leave each other. Without a key to tell it by, each worker fetches all
  # keys for itself. Make one with "openssl rand -base64 32", and put it into the
  # configuration as "sharing": {"key": "..."}.
{{- end}}
  pluginConfig:
    {{indent 4 .Configuration}}
`
