package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const typePrefix = "type.googleapis.com/"

// The kinds of resources that a proxy asks for, in the order of the questions.
const (
	clusterType   = typePrefix + "envoy.config.cluster.v3.Cluster"
	listenerType  = typePrefix + "envoy.config.listener.v3.Listener"
	routeType     = typePrefix + "envoy.config.route.v3.RouteConfiguration"
	extensionType = typePrefix + "envoy.config.core.v3.TypedExtensionConfig"
	secretType    = typePrefix + "envoy.extensions.transport_sockets.tls.v3.Secret"
)

// proxy is a proxy as its control plane sees it: it asks over one aggregated
// stream, takes everything, and keeps what it is sent.
type proxy struct {
	node   *corev3.Node
	cancel context.CancelFunc

	mu      sync.Mutex
	state   state
	wanted  map[string][]string
	err     error
	changed chan struct{} // closed and made anew at each change
	pushes  map[string]int
}

// state is what a proxy has.
type state struct {
	Clusters   map[string]*clusterv3.Cluster
	Listeners  map[string]*listenerv3.Listener
	Routes     map[string]*routev3.RouteConfiguration
	Extensions map[string]*corev3.TypedExtensionConfig
	Secrets    map[string]*tlsv3.Secret
}

// connect opens the stream. Without a certificate it speaks plain text.
func connect(t testing.TB, address string, node *corev3.Node, certificates string) *proxy {
	t.Helper()
	creds := insecure.NewCredentials()
	if certificates != "" {
		pair, err := tls.LoadX509KeyPair(certificates+"/tls.crt", certificates+"/tls.key")
		if err != nil {
			t.Fatal(err)
		}
		ca, err := os.ReadFile(certificates + "/ca.crt")
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(ca)
		creds = credentials.NewTLS(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair},
			ServerName: "envoy-gateway"})
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p := &proxy{node: node, cancel: cancel, wanted: map[string][]string{}, changed: make(chan struct{}),
		pushes: map[string]int{}}
	t.Cleanup(func() { cancel(); _ = connection.Close() })
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).StreamAggregatedResources(ctx,
		grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(r *discoveryv3.DiscoveryRequest) {
		r.Node = node
		if err := stream.Send(r); err != nil {
			p.fail(err)
		}
	}
	ask(&discoveryv3.DiscoveryRequest{TypeUrl: clusterType})
	ask(&discoveryv3.DiscoveryRequest{TypeUrl: listenerType})
	go func() {
		for {
			r, err := stream.Recv()
			if err != nil {
				p.fail(err)
				return
			}
			questions, err := p.take(r)
			if err != nil {
				p.fail(err)
				return
			}
			ask(&discoveryv3.DiscoveryRequest{TypeUrl: r.TypeUrl, VersionInfo: r.VersionInfo, ResponseNonce: r.Nonce,
				ResourceNames: p.names(r.TypeUrl)})
			for _, kind := range questions {
				ask(&discoveryv3.DiscoveryRequest{TypeUrl: kind, ResourceNames: p.names(kind)})
			}
		}
	}()
	return p
}

func (p *proxy) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *proxy) names(kind string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wanted[kind]
}

// take keeps what an answer holds, and returns the kinds that are to be asked
// for now.
func (p *proxy) take(r *discoveryv3.DiscoveryResponse) (questions []string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pushes[r.TypeUrl]++
	want := func(kind string, names []string) {
		slices.Sort(names)
		if names = slices.Compact(names); len(names) > 0 && !slices.Equal(names, p.wanted[kind]) {
			p.wanted[kind] = names
			questions = append(questions, kind)
		}
	}
	switch r.TypeUrl {
	case clusterType:
		p.state.Clusters, err = byName(r.Resources, (*clusterv3.Cluster).GetName)
		var secrets []string
		for _, c := range p.state.Clusters {
			for _, context := range contexts(c) {
				common := context.CommonTlsContext
				secrets = append(secrets, common.GetValidationContextSdsSecretConfig().GetName(),
					common.GetCombinedValidationContext().GetValidationContextSdsSecretConfig().GetName())
			}
		}
		want(secretType, slices.DeleteFunc(secrets, func(name string) bool { return name == "" }))
	case listenerType:
		p.state.Listeners, err = byName(r.Resources, (*listenerv3.Listener).GetName)
		var routes, extensions []string
		for _, l := range p.state.Listeners {
			for _, h := range managers(l) {
				if name := h.GetRds().GetRouteConfigName(); name != "" {
					routes = append(routes, name)
				}
				for _, f := range h.HttpFilters {
					if f.GetConfigDiscovery() != nil {
						extensions = append(extensions, f.Name)
					}
				}
			}
		}
		want(routeType, routes)
		want(extensionType, extensions)
	case routeType:
		p.state.Routes, err = byName(r.Resources, (*routev3.RouteConfiguration).GetName)
	case extensionType:
		p.state.Extensions, err = byName(r.Resources, (*corev3.TypedExtensionConfig).GetName)
	case secretType:
		p.state.Secrets, err = byName(r.Resources, (*tlsv3.Secret).GetName)
	}
	close(p.changed)
	p.changed = make(chan struct{})
	return questions, err
}

func byName[T any, M interface {
	*T
	proto.Message
}](resources []*anypb.Any, name func(M) string) (map[string]M, error) {
	all := map[string]M{}
	for _, r := range resources {
		m := M(new(T))
		if err := r.UnmarshalTo(m); err != nil {
			return nil, err
		}
		all[name(m)] = m
	}
	return all, nil
}

// until waits for the proxy to have what a function asks for: its error says
// what is missing.
func (p *proxy) until(t testing.TB, have func(*state) error) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		p.mu.Lock()
		err, lost, changed := have(&p.state), p.err, p.changed
		p.mu.Unlock()
		if err == nil {
			return
		}
		if lost != nil && t.Context().Err() == nil {
			t.Fatalf("%v; the stream: %v", err, lost)
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("the proxy never had what it should: %v", err)
		}
	}
}

// contexts are the TLS contexts of a cluster. If there are some by name, Envoy
// Gateway gives each endpoint one, and the cluster's own is a dummy.
func contexts(c *clusterv3.Cluster) []*tlsv3.UpstreamTlsContext {
	var sockets []*corev3.TransportSocket
	if len(c.TransportSocketMatches) == 0 {
		sockets = append(sockets, c.TransportSocket)
	}
	for _, m := range c.TransportSocketMatches {
		sockets = append(sockets, m.TransportSocket)
	}
	var all []*tlsv3.UpstreamTlsContext
	for _, s := range sockets {
		context := new(tlsv3.UpstreamTlsContext)
		if s.GetTypedConfig() != nil && s.GetTypedConfig().UnmarshalTo(context) == nil {
			all = append(all, context)
		}
	}
	return all
}

func managers(l *listenerv3.Listener) []*hcmv3.HttpConnectionManager {
	var all []*hcmv3.HttpConnectionManager
	for _, c := range append(slices.Clone(l.FilterChains), l.DefaultFilterChain) {
		for _, f := range c.GetFilters() {
			h := new(hcmv3.HttpConnectionManager)
			if f.GetTypedConfig() != nil && f.GetTypedConfig().UnmarshalTo(h) == nil {
				all = append(all, h)
			}
		}
	}
	return all
}

// plugins are the configurations of Wasm extensions in a state: those in
// listeners, and those that listeners have discovered.
func (s *state) plugins() ([]*wasmv3.PluginConfig, error) {
	var all []*wasmv3.PluginConfig
	add := func(config *anypb.Any) error {
		wasm := new(wasmfilterv3.Wasm)
		if config == nil || !config.MessageIs(wasm) {
			return nil
		}
		if err := config.UnmarshalTo(wasm); err != nil {
			return err
		}
		all = append(all, wasm.Config)
		return nil
	}
	for _, l := range s.Listeners {
		for _, h := range managers(l) {
			for _, f := range h.HttpFilters {
				if err := add(f.GetTypedConfig()); err != nil {
					return nil, err
				}
			}
		}
	}
	for _, x := range s.Extensions {
		if err := add(x.TypedConfig); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// configuration is the JSON that the plugin gets.
func configuration(p *wasmv3.PluginConfig) (string, error) {
	text := new(wrapperspb.StringValue)
	if p.Configuration.MessageIs(text) {
		return text.Value, p.Configuration.UnmarshalTo(text)
	}
	object := new(structpb.Struct)
	if p.Configuration.MessageIs(object) {
		if err := p.Configuration.UnmarshalTo(object); err != nil {
			return "", err
		}
		doc, err := json.Marshal(object.AsMap())
		return string(doc), err
	}
	return "", fmt.Errorf("configuration of type %s", p.Configuration.GetTypeUrl())
}
