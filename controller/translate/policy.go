package translate

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"orgate/config"
)

// The kinds of resources that the controller reads.
var (
	PolicyKind      = schema.GroupVersionKind{Group: "orgate.io", Version: "v1alpha1", Kind: "OrganizationPolicy"}
	TokenIssuerKind = schema.GroupKind{Group: "dp.wso2.com", Kind: "TokenIssuer"}
)

// Policy is an OrganizationPolicy.
type Policy struct {
	Name, Namespace string
	UID             types.UID
	Spec            Spec
}

// Spec says where the plugin runs, whose tokens it takes, and what the API asks
// for. The resource's schema tells each field.
type Spec struct {
	ControlPlane   string             `json:"controlPlane"`
	TargetRef      *TargetRef         `json:"targetRef"`
	Selector       map[string]string  `json:"selector"`
	Image          Image              `json:"image"`
	Namespaces     []NamespaceMapping `json:"namespaces"`
	ClaimHeaders   []string           `json:"claimHeaders"`
	KeyHosts       []string           `json:"keyHosts"`
	IssuerSettings []IssuerSettings   `json:"issuerSettings"`
	SharingKeyRef  *KeyRef            `json:"sharingKeyRef"`
	Configuration  json.RawMessage    `json:"configuration"`
	Istio          IstioSpec          `json:"istio"`
}

// The control planes.
const (
	EnvoyGateway = "EnvoyGateway"
	Istio        = "Istio"
)

// TargetRef is a Gateway of the Gateway API, in the policy's namespace.
type TargetRef struct {
	Group string `json:"group"`
	Kind  string `json:"kind"`
	Name  string `json:"name"`
}

// Image is the plugin's.
type Image struct {
	URL           string `json:"url"`
	SHA256        string `json:"sha256"`
	PullSecretRef *struct {
		Name string `json:"name"`
	} `json:"pullSecretRef"`
}

func (i Image) pullSecret() string {
	if i.PullSecretRef == nil {
		return ""
	}
	return i.PullSecretRef.Name
}

// NamespaceMapping says for which organizations the TokenIssuers of namespaces
// may speak.
type NamespaceMapping struct {
	Names             []string              `json:"names"`
	Selector          *metav1.LabelSelector `json:"selector"`
	Organizations     []string              `json:"organizations"`
	OrganizationLabel string                `json:"organizationLabel"`
}

// IssuerSettings are members that the configuration's issuers get.
type IssuerSettings struct {
	Issuers  []string        `json:"issuers"` // by "iss"; none: all
	Settings json.RawMessage `json:"settings"`
}

// KeyRef is a key of a Secret in the policy's namespace.
type KeyRef struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}

// IstioSpec is what Istio alone needs.
type IstioSpec struct {
	CAFile           string `json:"caFile"`
	FilteredClusters bool   `json:"filteredClusters"`
}

// NewPolicy reads an OrganizationPolicy.
func NewPolicy(o *unstructured.Unstructured) (*Policy, error) {
	p := &Policy{Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID()}
	text, err := json.Marshal(o.Object["spec"])
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(text, &p.Spec); err != nil {
		return p, fmt.Errorf("spec: %w", err)
	}
	return p, nil
}

// Target is what the policy guards. Two policies with one target conflict.
func (p *Policy) Target() string {
	target := p.Spec.ControlPlane + " " + p.Namespace + " "
	if p.Spec.TargetRef != nil {
		return target + p.Spec.TargetRef.Name
	}
	return target + labels.FormatLabels(p.Spec.Selector)
}

// SharingKey is the Secret with the key for sharing, nil if there is none.
func (p *Policy) SharingKey() *Reference {
	ref := p.Spec.SharingKeyRef
	if ref == nil {
		return nil
	}
	return &Reference{Kind: "Secret", Namespace: p.Namespace, Name: ref.Name, key: ref.Key}
}

// owner makes what is written go with the policy.
func (p *Policy) owner() []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{APIVersion: PolicyKind.GroupVersion().String(), Kind: PolicyKind.Kind, Name: p.Name,
		UID: p.UID, Controller: &yes}}
}

// objectName is what names of objects that others are named after must be: a
// label of DNS.
var objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// check finds what the resource's schema should have refused.
func (s *Spec) check() error {
	switch {
	case s.ControlPlane != EnvoyGateway && s.ControlPlane != Istio:
		return fmt.Errorf("controlPlane: must be %s or %s, got %q", EnvoyGateway, Istio, s.ControlPlane)
	case s.ControlPlane == EnvoyGateway && s.TargetRef == nil:
		return errors.New("targetRef: is missing: Envoy Gateway has policies for Gateways alone")
	case (s.TargetRef == nil) == (len(s.Selector) == 0):
		return errors.New("must have one of targetRef and selector: without either it would be for every proxy of the " +
			"namespace")
	case s.ControlPlane == EnvoyGateway && len(s.Selector) > 0:
		return errors.New("selector: is for Istio alone")
	case s.TargetRef != nil && (s.TargetRef.Kind != "Gateway" || s.TargetRef.Group != "gateway.networking.k8s.io"):
		return errors.New("targetRef: must be a Gateway of gateway.networking.k8s.io")
	case s.TargetRef != nil && !objectName.MatchString(s.TargetRef.Name):
		return fmt.Errorf("targetRef.name: must be 1 to 63 of a-z, 0-9 and -, got %q", s.TargetRef.Name)
	case s.Image.URL == "" || strings.ContainsAny(s.Image.URL, " \t\r\n\"'"):
		return fmt.Errorf("image.url: must be an OCI image or a URL, got %q", s.Image.URL)
	}
	for i, m := range s.Namespaces {
		if _, err := metav1.LabelSelectorAsSelector(m.Selector); err != nil {
			return fmt.Errorf("namespaces[%d].selector: %w", i, err)
		}
	}
	for i, host := range s.KeyHosts {
		if !keyHost.MatchString(host) {
			return fmt.Errorf("keyHosts[%d]: must be a host such as idp.example.com or *.auth0.com, or \"*\" for all "+
				"with a public name, got %q", i, host)
		}
	}
	for i, settings := range s.IssuerSettings {
		if err := settings.check(); err != nil {
			return fmt.Errorf("issuerSettings[%d].settings: %w", i, err)
		}
	}
	return nil
}

// organizations are those that a namespace may speak for.
func (s *Spec) organizations(namespace string, of map[string]string) []string {
	var list []string
	for _, m := range s.Namespaces {
		selected := false
		if m.Selector != nil {
			selector, err := metav1.LabelSelectorAsSelector(m.Selector)
			selected = err == nil && !selector.Empty() && selector.Matches(labels.Set(of))
		}
		if !selected && !slices.Contains(m.Names, namespace) {
			continue
		}
		list = append(list, m.Organizations...)
		if o := of[m.OrganizationLabel]; m.OrganizationLabel != "" && o != "" && o != config.Any {
			list = append(list, o)
		}
	}
	return list
}

// Takes reports whether the policy takes TokenIssuers of a namespace.
func (p *Policy) Takes(namespace string, of map[string]string) bool {
	return len(p.Spec.organizations(namespace, of)) > 0
}

// SelectsNamespaces reports whether the labels of namespaces matter.
func (p *Policy) SelectsNamespaces() bool {
	return slices.ContainsFunc(p.Spec.Namespaces, func(m NamespaceMapping) bool {
		return m.Selector != nil || m.OrganizationLabel != ""
	})
}

// claimHeaders are the headers to which TokenIssuers may map claims, unless the
// policy says others. The plugin removes such a header from every request,
// whichever organization it is for.
var claimHeaders = []string{"x-wso2-*"}

// allowsHeader reports whether TokenIssuers may map claims to a header.
func (s *Spec) allowsHeader(header string) bool {
	allowed := s.ClaimHeaders
	if allowed == nil {
		allowed = claimHeaders
	}
	return slices.ContainsFunc(allowed, func(pattern string) bool {
		if prefix, ok := strings.CutSuffix(strings.ToLower(pattern), "*"); ok {
			return strings.HasPrefix(header, prefix)
		}
		return strings.ToLower(pattern) == header
	})
}

// environment is that of the configuration.
func (p *Policy) environment() string {
	var read struct {
		Environment string `json:"environment"`
	}
	_ = json.Unmarshal(p.Spec.Configuration, &read) // which package config refuses if it fails
	return read.Environment
}

// allowsHost reports whether keys may be fetched from a host. What is written for
// it is for the whole proxy: TLS to a port of a service, of all things. So hosts
// inside the cluster, and addresses, must be named.
func (s *Spec) allowsHost(host string) bool {
	patterns := s.KeyHosts
	if patterns == nil {
		patterns = []string{publicHosts}
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if pattern == publicHosts {
			return isPublic(host)
		}
		if suffix, ok := strings.CutPrefix(strings.ToLower(pattern), "*"); ok {
			return strings.HasSuffix(host, suffix)
		}
		return strings.ToLower(pattern) == host
	})
}

// publicHosts stands for every host with a public name.
const publicHosts = "*"

// keyHost is what a host of keys must look like in a policy.
var keyHost = regexp.MustCompile(`^(\*|(\*\.)?[0-9A-Za-z]([-._0-9A-Za-z]*[0-9A-Za-z])?)$`)

// isPublic reports whether a host has a public name: one below a domain of the
// Public Suffix List. Of any other, search domains can make a service. So they can
// of a name such as "vault.dev", if there is a namespace "dev".
func isPublic(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if !strings.Contains(host, ".") || strings.Trim(last, "0123456789") == "" {
		return false // a short name, or an address
	}
	suffix, delegated := publicsuffix.PublicSuffix(host)
	return delegated || strings.Contains(suffix, ".")
}

// whose are the members of an issuer that are the TokenIssuer's, and those of a
// JWK Set that are the policy's.
var (
	whose    = []string{"name", "issuer", "organization", "environments"}
	jwksOwns = []string{"timeout", "refreshInterval", "maxStale", "unknownKidCooldown", "pins"}
)

func (s *IssuerSettings) check() error {
	var settings map[string]json.RawMessage
	if err := json.Unmarshal(s.Settings, &settings); err != nil {
		return err
	}
	for _, name := range whose {
		if _, ok := settings[name]; ok {
			return fmt.Errorf("%s is the TokenIssuer's", name)
		}
	}
	keys, ok := settings["signatureValidation"]
	if !ok {
		return nil
	}
	var validation map[string]map[string]json.RawMessage
	if err := json.Unmarshal(keys, &validation); err != nil {
		return fmt.Errorf("signatureValidation: %w", err)
	}
	if validation == nil {
		return errors.New("signatureValidation is the TokenIssuer's: null would remove it")
	}
	for _, member := range slices.Sorted(maps.Keys(validation)) {
		if validation[member] == nil {
			return fmt.Errorf("signatureValidation.%s is the TokenIssuer's: null would remove it", member)
		}
		for _, name := range slices.Sorted(maps.Keys(validation[member])) {
			if member != "jwks" || !slices.Contains(jwksOwns, name) {
				return fmt.Errorf("signatureValidation.%s.%s is the TokenIssuer's; here are jwks: %s", member, name,
					strings.Join(jwksOwns, ", "))
			}
		}
	}
	return nil
}

// matches reports whether the settings are for an issuer.
func (s *IssuerSettings) matches(issuer string) bool {
	return len(s.Issuers) == 0 || slices.Contains(s.Issuers, issuer)
}

// apply merges the settings into an issuer as RFC 7396 says. Settings of a JWK
// Set are for issuers with the location of one.
func (s *IssuerSettings) apply(issuer json.RawMessage) json.RawMessage {
	var target, patch map[string]any
	if json.Unmarshal(issuer, &target) != nil || json.Unmarshal(s.Settings, &patch) != nil {
		return issuer // which package config refuses, or check has
	}
	if validation, ok := patch["signatureValidation"]; ok {
		keys, _, _ := unstructured.NestedMap(target, "signatureValidation", "jwks")
		if keys["url"] != nil {
			target["signatureValidation"] = merge(target["signatureValidation"], validation)
		}
		delete(patch, "signatureValidation")
	}
	return marshal(merge(target, patch))
}

func merge(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	result := map[string]any{}
	if old, ok := target.(map[string]any); ok {
		maps.Copy(result, old)
	}
	for name, value := range changes {
		if value == nil {
			delete(result, name)
			continue
		}
		result[name] = merge(result[name], value)
	}
	return result
}

func sortedKeys[V any](m map[string]V) []string { return slices.SortedFunc(maps.Keys(m), cmp.Compare) }
