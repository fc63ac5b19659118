// Package envoy reads Envoy bootstraps that load the plugin, and checks that they
// guard the upstream. Envoy itself accepts many a bootstrap that lets requests
// pass if the plugin fails, or that fetches keys from any server.
//
// [Parse] reads a bootstrap as strictly as Envoy does, and [Bootstrap.Check]
// checks it. [StatsTags] applies tag rules to metric names as Envoy does, so that
// they can be tested without it.
package envoy

import (
	"errors"
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"

	// The extensions that a bootstrap may name.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/req_without_query/v3"
)

// Bootstrap is a bootstrap that Envoy would read.
type Bootstrap struct {
	proto    *bootstrapv3.Bootstrap
	clusters map[string]*clusterv3.Cluster
	// Every message in it, extensions included.
	messages []message
}

// message is a message of a bootstrap and the place where it stands.
type message struct {
	path  string
	proto proto.Message
	// It is the bootstrap or an extension: no other message validates it.
	root bool
}

// Parse reads a bootstrap in YAML. It refuses what Envoy refuses: duplicate
// and unknown fields, extensions that it does not know, and values out of the
// range that the API gives for them, in extensions as well.
func Parse(document []byte) (*Bootstrap, error) {
	doc, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, err
	}
	b := &Bootstrap{proto: &bootstrapv3.Bootstrap{}, clusters: map[string]*clusterv3.Cluster{}}
	if err := protojson.Unmarshal(doc, b.proto); err != nil {
		return nil, err
	}
	if err := b.collect("", b.proto.ProtoReflect(), true); err != nil {
		return nil, err
	}
	var problems []error
	for _, m := range b.messages {
		v, ok := m.proto.(interface{ ValidateAll() error })
		if !ok || !m.root {
			continue // Google's own messages say nothing about ranges
		}
		if err := v.ValidateAll(); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", m.path, err))
		}
	}
	for _, c := range b.proto.GetStaticResources().GetClusters() {
		if b.clusters[c.GetName()] != nil {
			problems = append(problems, fmt.Errorf("cluster %q: twice", c.GetName()))
		}
		b.clusters[c.GetName()] = c
	}
	return b, errors.Join(problems...)
}

// collect appends m and every message below it, in the order of fields. A
// message in an Any is decoded and takes the Any's place.
func (b *Bootstrap) collect(path string, m protoreflect.Message, root bool) error {
	if wrapped, ok := m.Interface().(*anypb.Any); ok {
		inner, err := wrapped.UnmarshalNew()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return b.collect(path, inner.ProtoReflect(), true)
	}
	b.messages = append(b.messages, message{path, m.Interface(), root})
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Message() == nil || field.IsMap() && field.MapValue().Message() == nil || !m.Has(field) {
			continue
		}
		place := string(field.Name())
		if path != "" {
			place = path + "." + place
		}
		value := m.Get(field)
		var err error
		switch {
		case field.IsMap():
			value.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
				err = b.collect(fmt.Sprintf("%s[%q]", place, key.String()), value.Message(), false)
				return err == nil
			})
		case field.IsList():
			for n := range value.List().Len() {
				if err = b.collect(fmt.Sprintf("%s[%d]", place, n), value.List().Get(n).Message(), false); err != nil {
					break
				}
			}
		default:
			err = b.collect(place, value.Message(), false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// each calls f for every message of type M in the bootstrap.
func each[M proto.Message](b *Bootstrap, f func(path string, m M)) {
	for _, m := range b.messages {
		if typed, ok := m.proto.(M); ok {
			f(m.path, typed)
		}
	}
}
