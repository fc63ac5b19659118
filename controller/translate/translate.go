// Package translate computes the objects of a control plane from an
// OrganizationPolicy, its TokenIssuers, and the objects that these refer to. It
// knows no API server. Existing objects go in. The desired objects come out, with
// the conditions of the policy and of each issuer.
//
// # Who may speak for an organization
//
// A TokenIssuer names the organization of its tokens itself. Its author could so
// join any organization. So the policy maps namespaces to organizations, and a
// TokenIssuer elsewhere has no effect.
//
// # One mistake holds up one issuer
//
// An issuer that can't be read, or whose Secret is missing, keeps the last good
// form, which is in the objects that exist. One that is not permitted, or that
// conflicts with another, is left out. The others are not affected. If the policy
// itself has a mistake, nothing is written.
//
// Of two that conflict over an "iss" or a server, the one that has it already comes
// first, and then the older one. Age alone would let the author of an old one put
// others out of use, by editing it.
//
// # Closed from the start
//
// A policy without any issuer is a plugin that takes no token, not a gateway
// without a plugin.
package translate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"orgate/admin/render"
	"orgate/config"
)

// Input is what there is.
type Input struct {
	Policy *Policy
	// TokenIssuers are those of all namespaces.
	TokenIssuers []*unstructured.Unstructured
	// Labels are the namespaces' labels.
	Labels map[string]map[string]string
	// Stored are Secrets and ConfigMaps that exist, of those that are referred
	// to.
	Stored map[Reference]*unstructured.Unstructured
	// Live are the objects that were written for the policy.
	Live []*unstructured.Unstructured
	// Refused are objects that the API server does not take, by their names: issuers
	// whose server they are for can't be used.
	Refused map[string]Refusal
	// OnlyInUse leaves out what is not in the objects that exist as it stands.
	OnlyInUse bool
}

// Refusal is what the API server says of an object.
type Refusal struct {
	Err error
	// All: of all issuers of its server, those too that are in use with it.
	All bool
}

// Output is what should be, and what there is to say.
type Output struct {
	// Objects are what should exist, in the order in which they are to be
	// written. Nil if Err or Unresolved is set: what exists stays.
	Objects []*unstructured.Unstructured
	// Issuers are the TokenIssuers of the policy's namespaces, the oldest first.
	Issuers []Issuer
	// Err is a mistake in the policy.
	Err error
	// Unresolved is a reference of the policy's that leads nowhere.
	Unresolved error
	// Notes are what is worth a look, though it can be used.
	Notes []string
}

// largest is how many bytes of JSON a configuration may have: an object of
// Kubernetes may have 1.5 MB.
const largest = 1 << 20

// Translate translates a policy.
func Translate(in Input) Output {
	p := in.Policy
	base, err := p.base()
	if err != nil {
		return Output{Err: err}
	}
	out := Output{}
	if ref := p.SharingKey(); ref != nil {
		key, err := ref.text(in.Stored)
		if err != nil {
			return Output{Unresolved: fmt.Errorf("sharingKeyRef: %w", err)}
		}
		if base["sharing"], err = json.Marshal(map[string]string{"key": key}); err != nil {
			return Output{Err: err}
		}
	}
	if err := p.check(base); err != nil {
		return Output{Err: err}
	}
	candidates := in.candidates(base)
	apart(candidates)
	if err := p.fit(base, candidates); err != nil {
		return Output{Err: err}
	}
	if out.Objects, err = p.objects(base, used(candidates)); err != nil {
		// What a control plane refuses together, it need not refuse of each.
		fitting(used(byIncumbency(candidates)), func(list []*candidate) error {
			_, err := p.manifests(base, list)
			return err
		})
		if out.Objects, err = p.objects(base, used(candidates)); err != nil {
			return Output{Err: err}
		}
	}
	for _, c := range candidates {
		out.Issuers = append(out.Issuers, c.Issuer)
	}
	out.Notes = p.notes(base, candidates)
	return out
}

// document is a configuration: the policy's, with issuers.
func (p *Policy) document(base map[string]json.RawMessage, issuers []json.RawMessage) string {
	doc := map[string]json.RawMessage{}
	for name, value := range base {
		doc[name] = value
	}
	doc["issuers"] = marshal(issuers)
	return string(marshal(doc))
}

func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was JSON before
	}
	return text
}

// object reads an object of JSON, nil if it is none.
func object(text json.RawMessage) (o map[string]any) {
	_ = json.Unmarshal(text, &o)
	return o
}

// base is the policy's part of the configuration.
func (p *Policy) base() (map[string]json.RawMessage, error) {
	base := map[string]json.RawMessage{}
	if len(p.Spec.Configuration) > 0 {
		if err := json.Unmarshal(p.Spec.Configuration, &base); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
	}
	if _, ok := base["issuers"]; ok {
		return nil, errors.New("configuration: issuers are TokenIssuers, and have no place here")
	}
	if _, ok := base["sharing"]; ok && p.Spec.SharingKeyRef != nil {
		return nil, errors.New("configuration: has sharing, and sharingKeyRef is there, too: one of them")
	}
	return base, nil
}

// check finds the mistakes of the policy itself: those that are there whatever
// issuers there are. Samples that share no organization show whether the rules
// would do for any number of them, and whether the settings do for each issuer that
// they name and for one that they do not, with a location of keys and without.
func (p *Policy) check(base map[string]json.RawMessage) error {
	if err := p.Spec.check(); err != nil {
		return err
	}
	of := []string{""}
	for _, s := range p.Spec.IssuerSettings {
		of = append(of, s.Issuers...)
	}
	slices.Sort(of)
	var issuers []json.RawMessage
	for _, iss := range slices.Compact(of) {
		for _, keys := range []any{map[string]any{}, map[string]any{"inline": nil, "url": "https://nobody.example/jwks",
			"cluster": "nobody"}} {
			sample := marshal(merge(object(nobody(fmt.Sprintf("urn:orgate:sample:%d", len(issuers)))), map[string]any{
				"organizationClaim": "org", "signatureValidation": map[string]any{"jwks": keys}}))
			for _, s := range p.Spec.IssuerSettings {
				if s.matches(iss) {
					sample = s.apply(sample)
				}
			}
			issuers = append(issuers, sample)
		}
	}
	for _, name := range named(base["rules"]) {
		issuers = append(issuers, nobody(name))
	}
	_, err := config.Parse(p.document(base, issuers))
	mistakes, ok := errors.AsType[config.ErrorList](err)
	if !ok {
		return err
	}
	var all []string
	for _, m := range mistakes {
		at := sampleAt.ReplaceAllString(m.Path, "issuerSettings")
		all = append(all, fmt.Sprintf("configuration: %s: %s", at, m.Message))
	}
	slices.Sort(all)
	return errors.New(strings.Join(slices.Compact(all), "; "))
}

// sampleAt is the place of a sample.
var sampleAt = regexp.MustCompile(`^issuers\[\d+\]`)

// named are the issuers that rules name.
func named(rules json.RawMessage) []string {
	var value any
	if json.Unmarshal(rules, &value) != nil {
		return nil
	}
	var names []string
	var look func(any)
	look = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, element := range v {
				look(element)
			}
		case map[string]any:
			for member, value := range v {
				list, ok := value.([]any)
				if member != "issuers" || !ok {
					look(value)
					continue
				}
				for _, name := range list {
					if text, ok := name.(string); ok {
						names = append(names, text)
					}
				}
			}
		}
	}
	look(value)
	slices.Sort(names)
	return slices.Compact(names)
}

// nobodysKey is an Ed25519 key that nobody has the private half of: it is made of
// a hash, as a test shows.
const nobodysKey = "tLBU3nI6fyEpYfSKZUkioOhDkbDg_XFmnLTZ_U3uRiM"

const nobodysIssuer = "urn:orgate:nobody:"

// nobody is an issuer that has issued no token: it stands for one that rules
// name and that is not there, and for all if there is none.
func nobody(name string) json.RawMessage {
	return marshal(map[string]any{
		"name": name, "issuer": nobodysIssuer + name, "organization": nobodysIssuer + name,
		"algorithms": []string{"EdDSA"},
		"signatureValidation": map[string]any{"jwks": map[string]any{"inline": map[string]any{"keys": []any{
			map[string]string{"kty": "OKP", "crv": "Ed25519", "x": nobodysKey}}}}},
	})
}

// complete are the issuers of a configuration: those that are used, and nobody
// for those that are not there.
func complete(base map[string]json.RawMessage, entries []*entry) []json.RawMessage {
	var list []json.RawMessage
	there := map[string]bool{}
	for _, e := range entries {
		list = append(list, e.json)
		there[e.name] = true
	}
	for _, name := range named(base["rules"]) {
		if !there[name] {
			list = append(list, nobody(name))
		}
	}
	if len(list) == 0 {
		list = append(list, nobody("nobody"))
	}
	return list
}

// fit leaves out the issuers that the plugin would refuse beside those before
// them, and those that have no room any more.
func (p *Policy) fit(base map[string]json.RawMessage, all []*candidate) error {
	parse := func(list []*candidate) error {
		_, err := config.Parse(p.document(base, complete(base, entries(list))))
		return err
	}
	if err := parse(nil); err != nil {
		return err
	}
	first := byIncumbency(all)
	p.cut(base, used(first))
	// What the plugin refuses is two entries for one "iss", nearly always: so
	// hundreds of mistakes in one tenant's cost as little as those do by themselves.
	for _, same := range byIssuer(used(first)) {
		if len(same) > 1 {
			fitting(same, parse)
		}
	}
	fitting(used(first), parse)
	return nil
}

// largestReferenced is how many bytes the names of all hosts may have, where an
// annotation holds them.
const largestReferenced = 200 << 10

// cut leaves out what has no room. Room that an issuer has already stays its own:
// others do not take it by growing.
func (p *Policy) cut(base map[string]json.RawMessage, first []*candidate) {
	need := func(e *entry) int { return len(e.json) + len(",") }
	room, names := largest-len(p.document(base, complete(base, nil))), largestReferenced
	for _, c := range first {
		if c.last != nil {
			room -= min(need(c.use), need(c.last))
		}
	}
	hosts := map[string]bool{}
	for _, c := range first {
		more, name := need(c.use), 0
		if c.last != nil {
			more -= min(need(c.use), need(c.last))
		}
		if p.Spec.Istio.FilteredClusters && !hosts[c.use.host] {
			name = len(c.use.host) + len(",")
		}
		if more > max(room, 0) || name > names {
			c.leaveOut(Conflicted, fmt.Sprintf("there are too many issuers for one configuration of %d bytes, and others "+
				"come first", largest))
			continue
		}
		room, names = room-more, names-name
		hosts[c.use.host] = true
	}
}

// fitting leaves out of a list those with which, beside older ones, it would not
// parse. It halves the list until it knows them.
func fitting(list []*candidate, parse func([]*candidate) error) {
	var kept []*candidate
	var add func(chunk []*candidate)
	add = func(chunk []*candidate) {
		with := slices.Concat(kept, chunk)
		err := parse(with)
		switch half := len(chunk) / 2; {
		case err == nil:
			kept = with
		case half == 0:
			chunk[0].leaveOut(Conflicted, "other TokenIssuers come first, and beside them this one would be refused: "+
				err.Error())
		default:
			add(chunk[:half])
			add(chunk[half:])
		}
	}
	if len(list) > 0 {
		add(list)
	}
}

// byIssuer groups candidates by the "iss" of their tokens, in their order.
func byIssuer(list []*candidate) [][]*candidate {
	var groups [][]*candidate
	at := map[string]int{}
	for _, c := range list {
		i, ok := at[c.use.issuer]
		if !ok {
			i = len(groups)
			at[c.use.issuer] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}

// objects renders the objects.
func (p *Policy) objects(base map[string]json.RawMessage, list []*candidate) ([]*unstructured.Unstructured, error) {
	text, err := p.manifests(base, list)
	if err != nil {
		return nil, err
	}
	return p.read(text)
}

// manifests are the objects as text. On the way it learns which claims hold the
// organizations.
func (p *Policy) manifests(base map[string]json.RawMessage, list []*candidate) (string, error) {
	d, err := render.Read(p.document(base, complete(base, entries(list))))
	if err != nil {
		return "", err
	}
	claims := map[string]string{}
	for _, i := range d.Config().Issuers {
		claims[i.Name] = i.OrganizationClaim.Key()
	}
	for _, c := range list {
		claim, ok := claims[c.use.name]
		if !ok {
			return "", fmt.Errorf("%s is for other environments", c.use.name)
		}
		c.use.claim = claim
	}
	authorities := map[string]string{}
	for _, c := range list {
		authorities[c.use.name] = c.use.ca
	}
	d.Trust(authorities)
	return p.render(d)
}

// render writes manifests for the policy's control plane.
func (p *Policy) render(d *render.Document) (string, error) {
	switch p.Spec.ControlPlane {
	case Istio:
		o := render.IstioOptions{Name: p.Name, Namespace: p.Namespace, Image: p.Spec.Image.URL,
			SHA256:           p.Spec.Image.SHA256,
			PullSecret:       p.Spec.Image.pullSecret(),
			CA:               cmp.Or(p.Spec.Istio.CAFile, "/etc/ssl/certs/ca-certificates.crt"),
			FilteredClusters: p.Spec.Istio.FilteredClusters}
		if p.Spec.TargetRef != nil {
			o.Gateway = p.Spec.TargetRef.Name
		}
		for _, name := range sortedKeys(p.Spec.Selector) {
			o.Selector = append(o.Selector, render.Label{Name: name, Value: p.Spec.Selector[name]})
		}
		return d.Istio(o)
	default:
		return d.EnvoyGateway(render.EnvoyGatewayOptions{Name: p.Name, Namespace: p.Namespace,
			Gateway: p.Spec.TargetRef.Name, Image: p.Spec.Image.URL, SHA256: p.Spec.Image.SHA256,
			PullSecret: p.Spec.Image.pullSecret()})
	}
}

// read reads manifests, and has the policy own them.
func (p *Policy) read(text string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, document := range bytes.Split([]byte("\n"+text), []byte("\n---\n")) {
		o := &unstructured.Unstructured{}
		asJSON, err := yaml.YAMLToJSON(document)
		if err != nil {
			return nil, err
		}
		if err := o.UnmarshalJSON(asJSON); err != nil {
			return nil, err
		}
		o.SetOwnerReferences(p.owner())
		if IsPlugin(o) {
			o.SetAnnotations(map[string]string{settingsAnnotation: p.settingsHash()})
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// Older orders objects by age, the oldest first. The name decides if two are of
// one second.
func Older(a, b *unstructured.Unstructured) int {
	return cmp.Or(a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time),
		strings.Compare(a.GetNamespace(), b.GetNamespace()), strings.Compare(a.GetName(), b.GetName()))
}
