package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"orgate/admin/render"
)

func newRender() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Write a configuration as Envoy, Istio or Envoy Gateway reads it",
		Long: `Write the plugin's configuration as a proxy or its control plane reads it,
with what the plugin needs around it: above all the clusters that the keys are
fetched through. They come from the url or the wellKnown of each issuer: its
host and port, and for https the host's name in the handshake and the check
that the certificate is the host's.

The result goes to standard output. It is a beginning: keep it under version
control, and change it as you like. The manifests of Kubernetes have the labels
app.kubernetes.io/managed-by=orgate and app.kubernetes.io/part-of=NAME. Apply them
with --server-side: a configuration may be larger than what "kubectl apply" keeps
in an annotation (256 kB).

The exit status is 0 if all went well, 2 if a flag is wrong, and 1 if the
configuration is.`,
		Example: `  orgate render envoy --config orgate.json --upstream http://api:8080 > envoy.yaml

  orgate render istio --config orgate.json --image registry.example.com/orgate:1.0 |
    kubectl apply --server-side -f -`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("a target is missing: envoy, istio or envoy-gateway")
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(newRenderEnvoy(), newRenderIstio(), newRenderEnvoyGateway())
	return cmd
}

// rendering is a target of "orgate render": options checks the flags, whose
// mistakes are those of usage, and returns what writes a configuration.
type rendering func() (func(*render.Document) (string, error), error)

// renders makes a command of a target.
func renders(cmd *cobra.Command, options rendering) *cobra.Command {
	var file, clusters string
	cmd.Args = cobra.NoArgs
	cmd.DisableFlagsInUseLine = true
	cmd.Flags().StringVar(&file, "config", "",
		"read the plugin's configuration from `FILE`, \"-\" for standard input (required)")
	if cmd.Name() != "envoy" {
		cmd.Flags().StringVar(&clusters, "clusters", "",
			"trust the certificate authorities in the clusters that \"orgate import\" wrote to `FILE`")
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if file == "" {
			return errors.New("--config is missing")
		}
		write, err := options()
		if err != nil {
			return err
		}
		content, err := read(file, cmd.InOrStdin())
		if err != nil {
			return &failure{err}
		}
		doc := string(content)
		authorities, err := readAuthorities(clusters, cmd.InOrStdin())
		if err != nil {
			return &failure{err}
		}
		text, err := renderDocument(doc, authorities, write)
		if err != nil {
			return &failure{located(nameOf(file), doc, strings.Split(err.Error(), "\n"))}
		}
		if _, err := io.WriteString(cmd.OutOrStdout(), text); err != nil {
			return &failure{err}
		}
		return nil
	}
	return cmd
}

// readAuthorities reads the certificate authorities in a file of clusters, if
// there is one.
func readAuthorities(file string, stdin io.Reader) (map[string]string, error) {
	if file == "" {
		return nil, nil
	}
	clusters, err := read(file, stdin)
	if err != nil {
		return nil, err
	}
	authorities, err := render.Authorities(string(clusters))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nameOf(file), err)
	}
	return authorities, nil
}

func renderDocument(
	doc string, authorities map[string]string, write func(*render.Document) (string, error)) (string, error) {
	d, err := render.Read(doc)
	if err != nil {
		return "", err
	}
	d.Trust(authorities)
	return write(d)
}

func newRenderEnvoy() *cobra.Command {
	var upstream, listen, admin string
	var o render.EnvoyOptions
	cmd := &cobra.Command{
		Use:   "envoy --config FILE --upstream URL",
		Short: "Write a complete bootstrap of Envoy",
		Long: `Write a complete bootstrap of Envoy: a listener, the plugin, one upstream, a
cluster for each that the configuration names, an access log that says what the
plugin decided, and the rules that give its metrics their labels.

The files are those that the proxy sees, which in a container may be others.`,
		Example: `  orgate render envoy --config orgate.json --upstream http://api:8080 > envoy.yaml
  docker run --rm -p 127.0.0.1:10000:10000 \
    -v "$PWD/envoy.yaml:/etc/envoy/envoy.yaml:ro" \
    -v "$PWD/build/orgate.wasm:/etc/envoy/orgate.wasm:ro" \
    envoyproxy/envoy:v1.40.2

  # On the machine itself.
  orgate render envoy --config orgate.json --upstream http://127.0.0.1:9000 \
    --listen 127.0.0.1:8080 --wasm "$PWD/build/orgate.wasm"`,
	}
	f := cmd.Flags()
	f.StringVar(&upstream, "upstream", "", "send requests on to `URL`: scheme, host and port (required)")
	f.StringVar(&listen, "listen", "0.0.0.0:10000", "listen on `ADDR`, host and port")
	f.StringVar(&admin, "admin", "127.0.0.1:9901",
		"serve Envoy's administration on `ADDR`, a loopback address and port")
	f.StringVar(&o.Wasm, "wasm", "/etc/envoy/orgate.wasm", "load the plugin from `FILE`")
	f.StringVar(&o.CA, "ca", caFile, "trust the certificate authorities in `FILE`")
	return renders(cmd, func() (func(*render.Document) (string, error), error) {
		if upstream == "" {
			return nil, errors.New("--upstream is missing")
		}
		var err error
		if o.Upstream, err = parseServer(upstream); err != nil {
			return nil, fmt.Errorf("--upstream: %w", err)
		}
		if o.Listen, err = parseListen(listen); err != nil {
			return nil, fmt.Errorf("--listen: %w", err)
		}
		if o.Admin, err = parseListen(admin); err != nil {
			return nil, fmt.Errorf("--admin: %w", err)
		}
		if ip, err := netip.ParseAddr(o.Admin.Host); err != nil || !ip.IsLoopback() {
			return nil, fmt.Errorf("--admin: must be a loopback address: who reaches it can change the proxy, got %q",
				o.Admin.Host)
		}
		if o.Wasm == "" {
			return nil, errors.New("--wasm: must not be empty")
		}
		if o.CA == "" {
			return nil, errors.New("--ca: must not be empty")
		}
		return func(d *render.Document) (string, error) { return d.Envoy(o) }, nil
	})
}

// caFile is where the images of Envoy and of Istio's proxy have the certificate
// authorities of the system.
const caFile = "/etc/ssl/certs/ca-certificates.crt"

// parseListen reads an address to listen on: Envoy takes no names there.
func parseListen(text string) (render.Address, error) {
	a, err := render.ParseAddress(text)
	if err != nil {
		return a, err
	}
	if _, err := netip.ParseAddr(a.Host); err != nil {
		return a, fmt.Errorf("must be an IP address and a port, got %q", text)
	}
	return a, nil
}

func newRenderIstio() *cobra.Command {
	var o render.IstioOptions
	var selector string
	cmd := &cobra.Command{
		Use:   "istio --config FILE --image IMAGE",
		Short: "Write a WasmPlugin of Istio, and what its keys need",
		Long: `Write a WasmPlugin, and for each host that keys are fetched from a ServiceEntry,
without which Istio has no cluster for it, and a DestinationRule, which begins
the TLS. Services of the cluster (*.svc) need none of these over plain http.

The plugin comes last, so that the proxy never has it without its clusters.

Istio names its clusters outbound|PORT||HOST. The issuers' cluster values are
exchanged for these names; what the configuration calls them does not matter.

Istio gives plugins no vm_id, so workers can share the keys that they fetch only
if the configuration has a secret for it, sharing.key. None is made here: the
same configuration gives the same manifests. "openssl rand -base64 32" makes one.

For Istio's metrics, the pods of the proxies need the annotation
sidecar.istio.io/extraStatTags: rule,issuer,reason,result,version`,
		Example: `  orgate render istio --config orgate.json \
    --image registry.example.com/orgate:1.0 | kubectl apply --server-side -f -

  # For a Gateway of the Gateway API, with a pinned image.
  orgate render istio --config orgate.json --namespace shop --gateway shop \
    --image registry.example.com/orgate:1.0 --sha256 "$DIGEST"`,
	}
	f := cmd.Flags()
	f.StringVar(&o.Name, "name", "orgate", "call the WasmPlugin `NAME`, and begin the other names with it")
	f.StringVar(&o.Namespace, "namespace", "istio-ingress", "put everything in `NAMESPACE`, the proxies' own")
	f.StringVar(&selector, "selector", "istio=ingressgateway",
		"run the plugin in the pods with `LABELS`, as NAME=VALUE,...")
	f.StringVar(&o.Gateway, "gateway", "", "run it in the pods of the Gateway `NAME` of the Gateway API, instead")
	f.StringVar(&o.Image, "image", "", "load the plugin from `IMAGE`: an OCI image, or an http(s) or file URL "+
		"(required)")
	f.StringVar(&o.SHA256, "sha256", "", "refuse an image with another digest than `HEX`")
	f.StringVar(&o.PullSecret, "pull-secret", "", "pull the image with the credentials in the secret `NAME`")
	f.StringVar(&o.CA, "ca", caFile, "trust the certificate authorities in `FILE` of the proxy's container")
	f.BoolVar(&o.FilteredClusters, "filtered-clusters", false,
		"name the hosts for an istiod with PILOT_FILTER_GATEWAY_CLUSTER_CONFIG")
	return renders(cmd, func() (func(*render.Document) (string, error), error) {
		if o.Gateway != "" && cmd.Flags().Changed("selector") {
			return nil, errors.New("--selector: not with --gateway")
		}
		if o.Gateway != "" {
			selector = ""
		}
		var err error
		if o.Selector, err = parseLabels(selector); err != nil {
			return nil, fmt.Errorf("--selector: %w", err)
		}
		if o.Gateway == "" && len(o.Selector) == 0 {
			return nil, errors.New("--selector: must not be empty")
		}
		if err := checkImage(o.Image, o.SHA256, "oci", "http", "https", "file"); err != nil {
			return nil, err
		}
		if o.CA == "" {
			return nil, errors.New("--ca: must not be empty")
		}
		return func(d *render.Document) (string, error) { return d.Istio(o) },
			checkNames(cmd, "name", "namespace", "gateway", "pull-secret")
	})
}

func newRenderEnvoyGateway() *cobra.Command {
	var o render.EnvoyGatewayOptions
	cmd := &cobra.Command{
		Use:   "envoy-gateway --config FILE --image IMAGE",
		Short: "Write an EnvoyExtensionPolicy of Envoy Gateway, and what its keys need",
		Long: `Write an EnvoyExtensionPolicy for a Gateway, and for each server that keys are
fetched from a Backend, a BackendTLSPolicy for https, and an HTTPRoute.

The HTTPRoute is a detour: Envoy Gateway cannot give a Wasm extension a
cluster, but makes one for each rule of a route. The route asks for a header
that no client sends, so no request takes it, and it has no hostname, so every
listener of the Gateway takes it. The issuers' cluster values are exchanged for
the name of its cluster, httproute/NAMESPACE/ROUTE/rule/0/backend/0: Envoy
Gateway 1.9 names it so, and promises it nowhere. Should the name change, the
plugin has no keys and answers 503.

Backends are switched on in the configuration of Envoy Gateway:
extensionApis.enableBackend.

Another EnvoyExtensionPolicy can take the plugin away, and every request passes:
an older one for the same Gateway, one for a listener, or one for a route with a
list "wasm". After "kubectl apply", wait for the condition Accepted, and ask each
host without a token: orgate verify --url.`,
		Example: `  orgate render envoy-gateway --config orgate.json --gateway eg \
    --image registry.example.com/orgate:1.0 | kubectl apply --server-side -f -

  # Did Envoy Gateway take it, and does each host ask for a token?
  kubectl wait eep/orgate --timeout=1m \
    --for=jsonpath='{.status.ancestors[0].conditions[?(@.type=="Accepted")].status}'=True
  orgate verify --url https://api.example.com/orders`,
	}
	f := cmd.Flags()
	f.StringVar(&o.Name, "name", "orgate", "call the policy `NAME`, and begin the other names with it")
	f.StringVar(&o.Namespace, "namespace", "default", "put everything in `NAMESPACE`, the Gateway's own")
	f.StringVar(&o.Gateway, "gateway", "eg", "run the plugin for the Gateway `NAME`")
	f.StringVar(&o.Image, "image", "", "load the plugin from `IMAGE`: an OCI image, or an http(s) URL (required)")
	f.StringVar(&o.SHA256, "sha256", "", "refuse an image with another digest than `HEX`")
	f.StringVar(&o.PullSecret, "pull-secret", "", "pull the image with the credentials in the secret `NAME`")
	return renders(cmd, func() (func(*render.Document) (string, error), error) {
		if err := checkImage(o.Image, o.SHA256, "oci", "http", "https"); err != nil {
			return nil, err
		}
		if o.PullSecret != "" && strings.HasPrefix(o.Image, "http") && strings.Contains(o.Image, "://") {
			return nil, errors.New("--pull-secret: only with an OCI image")
		}
		return func(d *render.Document) (string, error) { return d.EnvoyGateway(o) },
			checkNames(cmd, "name", "namespace", "gateway", "pull-secret")
	})
}

var (
	// A label of DNS (RFC 1123 §2.1), which Kubernetes asks names to be.
	dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	// Names and values of labels, as Kubernetes has them.
	labelName  = regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)
	labelValue = regexp.MustCompile(`^([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$`)
	digest     = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// checkNames checks that flags are names of Kubernetes. Flags may be empty
// that are so by default.
func checkNames(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		f := cmd.Flags().Lookup(name)
		value := f.Value.String()
		if !(value == "" && f.DefValue == "") && !dnsLabel.MatchString(value) {
			return fmt.Errorf("--%s: must be 1 to 63 of a-z, 0-9 and -, got %q", name, value)
		}
	}
	return nil
}

func checkImage(image, sha256 string, schemes ...string) error {
	if image == "" {
		return errors.New("--image is missing")
	}
	scheme, rest, ok := strings.Cut(image, "://")
	if !ok {
		rest = image
	} else if !strings.Contains(" "+strings.Join(schemes, " ")+" ", " "+scheme+" ") {
		return fmt.Errorf("--image: must be an OCI image or one of %s, got %q", strings.Join(schemes, "://, ")+"://",
			image)
	}
	if rest == "" || strings.ContainsAny(image, " \t\r\n\"'") {
		return fmt.Errorf("--image: must be an OCI image or a URL, got %q", image)
	}
	if sha256 != "" && !digest.MatchString(sha256) {
		return fmt.Errorf("--sha256: must be 64 hexadecimal digits in lower case, got %q", sha256)
	}
	return nil
}

func parseLabels(text string) ([]render.Label, error) {
	if text == "" {
		return nil, nil
	}
	var labels []render.Label
	for pair := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || !labelName.MatchString(name) || !labelValue.MatchString(value) {
			return nil, fmt.Errorf("must be NAME=VALUE, got %q", pair)
		}
		for _, l := range labels {
			if l.Name == name {
				return nil, fmt.Errorf("%q is given twice", name)
			}
		}
		labels = append(labels, render.Label{Name: name, Value: value})
	}
	return labels, nil
}
