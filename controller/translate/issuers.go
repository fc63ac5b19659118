package translate

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"orgate/admin/apk"
	"orgate/admin/render"
	"orgate/config"
)

// Issuer is what there is to say of a TokenIssuer.
type Issuer struct {
	Namespace, Name string
	// Issuer and Organization are what its tokens say and are of.
	Issuer, Organization string
	State                State
	// Reason is why it is not as it should be, "" if it is.
	Reason  Reason
	Message string
}

// State is what became of a TokenIssuer.
type State string

// The states. The zero value is no state.
const (
	// Used: it is in the configuration as it stands.
	Used State = "Used"
	// LastGood: it can't be used as it stands, and is in the configuration as it
	// last could.
	LastGood State = "LastGood"
	// LeftOut: it is not in the configuration.
	LeftOut State = "LeftOut"
)

// Reason is why a TokenIssuer is not used as it stands.
type Reason string

// The reasons.
const (
	NotPermitted Reason = "NotPermitted" // the policy does not let its namespace do this
	Invalid      Reason = "Invalid"      // it can't be read, or the plugin would refuse it
	Conflicted   Reason = "Conflicted"   // an older one comes first
	RefNotFound  Reason = "RefNotFound"  // it refers to something that is not there
	// OtherEnvironment: it is for environments, and the policy's is another.
	OtherEnvironment Reason = "OtherEnvironment"
)

// Reference names a Secret or a ConfigMap.
type Reference struct {
	Kind, Namespace, Name string
	key                   string
}

// Object is the reference without the key in it.
func (r Reference) Object() Reference {
	return Reference{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}

func (r Reference) String() string { return r.Kind + " " + r.Namespace + "/" + r.Name }

// text is what the reference leads to. The error holds nothing of it.
func (r Reference) text(stored map[Reference]*unstructured.Unstructured) (string, error) {
	o, ok := stored[r.Object()]
	if !ok {
		return "", fmt.Errorf("%s does not exist", r.Object())
	}
	if r.Kind == "ConfigMap" {
		if text, _, _ := unstructured.NestedString(o.Object, "data", r.key); text != "" {
			return text, nil
		}
	} else {
		encoded, _, _ := unstructured.NestedString(o.Object, "data", r.key)
		if text, err := base64.StdEncoding.DecodeString(encoded); err == nil && len(text) > 0 {
			return string(text), nil
		}
	}
	return "", fmt.Errorf("%s has no key %q, or it is empty", r.Object(), r.key)
}

// References are the Secrets and ConfigMaps that a TokenIssuer refers to.
func References(o *unstructured.Unstructured) []Reference {
	var list []Reference
	for _, at := range [][]string{{"certificate"}, {"jwks", "tls"}} {
		for field, kind := range map[string]string{"secretRef": "Secret", "configMapRef": "ConfigMap"} {
			path := slices.Concat([]string{"spec", "signatureValidation"}, at, []string{field})
			ref, ok, _ := unstructured.NestedStringMap(o.Object, path...)
			if ok {
				list = append(list, Reference{kind, o.GetNamespace(), ref["name"], ref["key"]})
			}
		}
	}
	return list
}

// entry is an issuer of the configuration.
type entry struct {
	name                 string // namespace/name: no tenant can take another's
	issuer, organization string
	claim                string   // that holds the organization
	server               string   // the scheme, host and port that keys are fetched from, or ""
	keys                 string   // where the keys are, or what they are
	headers              []string // that claims are mapped to
	environments         []string // none: all
	host                 string
	ca                   string // PEM, for that server
	json                 json.RawMessage
}

// candidate is a TokenIssuer on its way into the configuration.
type candidate struct {
	Issuer
	use *entry // nil: left out
}

func (c *candidate) leaveOut(reason Reason, message string) {
	c.use, c.State, c.Reason, c.Message = nil, LeftOut, reason, message
}

func used(all []*candidate) []*candidate {
	return slices.DeleteFunc(slices.Clone(all), func(c *candidate) bool { return c.use == nil })
}

func entries(list []*candidate) []*entry {
	var all []*entry
	for _, c := range list {
		all = append(all, c.use)
	}
	return all
}

// candidates judges each TokenIssuer of the policy's namespaces by itself.
func (in *Input) candidates() []*candidate {
	sorted := slices.Clone(in.TokenIssuers)
	slices.SortFunc(sorted, Older)
	last := in.lastGood()
	var all []*candidate
	for _, o := range sorted {
		if in.Policy.Takes(o.GetNamespace(), in.Labels[o.GetNamespace()]) {
			all = append(all, in.candidate(o, last))
		}
	}
	return all
}

func (in *Input) candidate(o *unstructured.Unstructured, last map[string]*entry) *candidate {
	spec := func(field string) string {
		text, _, _ := unstructured.NestedString(o.Object, "spec", field)
		return text
	}
	c := &candidate{Issuer: Issuer{Namespace: o.GetNamespace(), Name: o.GetName(), Issuer: spec("issuer"),
		Organization: spec("organization"), State: Used}}
	// Before anything of it is read: a mistake is no way around this.
	if err := in.permitOrganization(c.Namespace, c.Organization); err != nil {
		c.leaveOut(NotPermitted, err.Error())
		return c
	}
	e, notes, reason, err := in.entry(o)
	if err == nil {
		if err = in.permit(c.Namespace, e); err != nil {
			c.leaveOut(NotPermitted, err.Error())
			return c
		}
		if here := in.Policy.environment(); here != "" && !e.isFor(here) {
			c.leaveOut(OtherEnvironment, fmt.Sprintf("it is for %q, and configuration.environment of the "+
				"OrganizationPolicy is %q", e.environments, here))
			return c
		}
		c.use, c.Message = e, strings.Join(notes, "; ")
		return c
	}
	c.leaveOut(reason, err.Error())
	if e := last[entryName(o.GetNamespace(), o.GetName())]; e != nil && in.permit(c.Namespace, e) == nil {
		c.use, c.State = e, LastGood
	}
	return c
}

func entryName(namespace, name string) string { return namespace + "/" + name }

func (in *Input) permitOrganization(namespace, organization string) error {
	may := in.Policy.Spec.organizations(namespace, in.Labels[namespace])
	if organization == "" || slices.Contains(may, organization) || slices.Contains(may, config.Any) {
		return nil // without one it is invalid
	}
	return fmt.Errorf("TokenIssuers of namespace %q may not speak for organization %q: "+
		"OrganizationPolicy %s/%s decides it (spec.namespaces)",
		namespace, organization, in.Policy.Namespace, in.Policy.Name)
}

// permit holds an entry against what the policy lets its namespace do.
func (in *Input) permit(namespace string, e *entry) error {
	if err := in.permitOrganization(namespace, e.organization); err != nil {
		return err
	}
	for _, header := range e.headers {
		if !in.Policy.Spec.allowsHeader(header) {
			return fmt.Errorf("claims may not be mapped to the header %q: the OrganizationPolicy decides it "+
				"(spec.claimHeaders)",
				header)
		}
	}
	if e.host != "" && !in.Policy.Spec.allowsHost(e.host) {
		return fmt.Errorf("keys may not be fetched from host %q: the OrganizationPolicy decides it (spec.keyHosts)",
			e.host)
	}
	return nil
}

// entry makes an issuer of a TokenIssuer.
func (in *Input) entry(o *unstructured.Unstructured) (*entry, []string, Reason, error) {
	text, err := o.MarshalJSON()
	if err != nil {
		return nil, nil, Invalid, err
	}
	sources := []apk.Source{{Text: string(text)}}
	seen := map[Reference]bool{}
	for _, ref := range References(o) {
		if _, err := ref.text(in.Stored); err != nil {
			return nil, nil, RefNotFound, err
		}
		if seen[ref.Object()] {
			continue
		}
		seen[ref.Object()] = true
		stored, err := in.Stored[ref.Object()].MarshalJSON()
		if err != nil {
			return nil, nil, Invalid, err
		}
		sources = append(sources, apk.Source{Text: string(stored)})
	}
	imported := apk.Import(sources, apk.Options{Namespace: o.GetNamespace(), TrustedCA: "system",
		Organization: config.Organization{Literal: config.Any}})
	var problems, notes []string
	for _, f := range imported.Findings {
		said := strings.TrimPrefix(f.Field+": "+f.Message, ": ")
		switch {
		case f.Problem:
			problems = append(problems, said)
		case strings.HasPrefix(f.Resource, "TokenIssuer ") && f.Field != "spec.targetRef" &&
			f.Field != "spec.environments":
			notes = append(notes, said)
		}
	}
	if len(problems) > 0 {
		return nil, nil, Invalid, fmt.Errorf("%s", strings.Join(problems, "; "))
	}
	var document struct {
		Issuers []map[string]any `json:"issuers"`
	}
	if err := json.Unmarshal(imported.Configuration, &document); err != nil || len(document.Issuers) != 1 {
		return nil, nil, Invalid, fmt.Errorf("%d issuers: %w", len(document.Issuers), err)
	}
	issuer := document.Issuers[0]
	ca := ""
	for _, pem := range imported.Authorities { // of its one cluster
		ca = pem
	}
	e, err := in.finish(entryName(o.GetNamespace(), o.GetName()), issuer, ca)
	if err != nil {
		return nil, nil, Invalid, err
	}
	// A host that the control plane refuses concerns this issuer alone.
	d, err := render.Read(alone(e))
	if err == nil {
		_, err = in.Policy.render(d)
	}
	if err != nil {
		return nil, nil, Invalid, err
	}
	return e, notes, "", nil
}

// alone is a configuration of one issuer.
func alone(e *entry) string { return beside([]*candidate{{use: e}}) }

// beside is a configuration of issuers, and nothing else.
func beside(list []*candidate) string {
	var issuers []json.RawMessage
	for _, c := range list {
		issuers = append(issuers, c.use.json)
	}
	return string(marshal(map[string]any{"organization": config.Any, "issuers": issuers}))
}

// finish gives an issuer its name, its cluster and the policy's settings.
func (in *Input) finish(name string, issuer map[string]any, ca string) (*entry, error) {
	issuer["name"] = name
	e := &entry{name: name, ca: strings.TrimSpace(ca)}
	if keys, ok, _ := unstructured.NestedMap(issuer, "signatureValidation", "jwks"); ok && keys["url"] != nil {
		keys["cluster"] = name
		if err := unstructured.SetNestedMap(issuer, keys, "signatureValidation", "jwks"); err != nil {
			return nil, err
		}
	}
	text := json.RawMessage(marshal(issuer))
	e.issuer, _ = issuer["issuer"].(string)
	for _, s := range in.Policy.Spec.IssuerSettings {
		if s.matches(e.issuer) {
			text = s.apply(text)
		}
	}
	e.json = text
	var read struct {
		Organization        string   `json:"organization"`
		OrganizationClaim   any      `json:"organizationClaim"`
		Environments        []string `json:"environments"`
		SignatureValidation struct {
			JWKS struct {
				URL string `json:"url"`
			} `json:"jwks"`
		} `json:"signatureValidation"`
		ClaimMappings []struct {
			LocalClaim string `json:"localClaim"`
		} `json:"claimMappings"`
	}
	if err := json.Unmarshal(text, &read); err != nil {
		return nil, err
	}
	e.organization, e.environments = read.Organization, read.Environments
	e.claim = string(marshal(read.OrganizationClaim))
	for _, m := range read.ClaimMappings {
		e.headers = append(e.headers, strings.ToLower(m.LocalClaim))
	}
	var keys map[string]any
	_ = json.Unmarshal(text, &keys)
	e.keys = string(marshal(keys["signatureValidation"]))
	if location := read.SignatureValidation.JWKS.URL; location != "" {
		u, err := url.Parse(location)
		if err != nil {
			return nil, err
		}
		e.host = strings.ToLower(u.Hostname())
		e.server = serverOf(u)
		e.keys = location
	}
	return e, nil
}

// isFor reports whether an issuer is for an environment.
func (e *entry) isFor(environment string) bool {
	return len(e.environments) == 0 || slices.Contains(e.environments, config.Any) ||
		slices.Contains(e.environments, environment)
}

// serverOf is a URL's scheme, host and port.
func serverOf(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[scheme]
	}
	if port == "" {
		port = "80"
	}
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// apart leaves out what would meddle with an older one of another namespace, and
// what the plugin has no place for.
//
// Entries for one "iss" that read the organization from different claims refuse
// each other's tokens. So another namespace may have an "iss" as well only if it
// has the same claim and the same keys. A server has one set of certificate
// authorities.
func apart(all []*candidate) {
	first := map[string]*candidate{}
	servers := map[string]*candidate{}
	for _, c := range all {
		if c.use == nil {
			continue
		}
		pair := c.use.issuer + " " + c.use.organization
		if other := first[pair]; other != nil {
			c.conflict("%s has the issuer %s in organization %q already", other, c.use.issuer, c.use.organization)
			continue
		}
		if other := first[c.use.issuer]; other != nil && other.Namespace != c.Namespace &&
			(other.use.claim != c.use.claim || other.use.keys != c.use.keys) {
			c.conflict("%s has the issuer %s already, with another organization claim or other keys", other,
				c.use.issuer)
			continue
		}
		if other := servers[c.use.server]; c.use.server != "" && other != nil && other.use.ca != c.use.ca {
			c.conflict("%s has the server %s already, with other certificate authorities", other, c.use.server)
			continue
		}
		first[pair] = c
		if first[c.use.issuer] == nil {
			first[c.use.issuer] = c
		}
		if servers[c.use.server] == nil {
			servers[c.use.server] = c
		}
	}
}

// conflict leaves a candidate out for an older one. Another namespace's name is
// not this one's to know.
func (c *candidate) conflict(format string, other *candidate, args ...any) {
	who := "an older TokenIssuer of another namespace"
	if other.Namespace == c.Namespace {
		who = "the older TokenIssuer " + other.Name
	}
	c.leaveOut(Conflicted, fmt.Sprintf(format, append([]any{who}, args...)...))
}

// ServerAnnotation says of a ConfigMap which server's certificate authorities are
// in it.
const ServerAnnotation = "orgate.io/server"

// lastGood reads the issuers that the objects that exist have.
func (in *Input) lastGood() map[string]*entry {
	authorities := map[string]string{}
	var document map[string]any
	for _, o := range in.Live {
		switch o.GetKind() {
		case "ConfigMap":
			text, _, _ := unstructured.NestedString(o.Object, "data", "ca.crt")
			authorities[o.GetAnnotations()[ServerAnnotation]] = text
		case "WasmPlugin":
			document, _, _ = unstructured.NestedMap(o.Object, "spec", "pluginConfig")
		case "EnvoyExtensionPolicy":
			list, _, _ := unstructured.NestedSlice(o.Object, "spec", "wasm")
			if len(list) > 0 {
				extension, _ := list[0].(map[string]any)
				document, _, _ = unstructured.NestedMap(extension, "config")
			}
		}
	}
	last := map[string]*entry{}
	list, _, _ := unstructured.NestedSlice(document, "issuers")
	for _, element := range list {
		issuer, ok := element.(map[string]any)
		name, _ := issuer["name"].(string)
		if !ok || !strings.Contains(name, "/") {
			continue
		}
		ca := ""
		if location, _, _ := unstructured.NestedString(issuer, "signatureValidation", "jwks", "url"); location != "" {
			if u, err := url.Parse(location); err == nil {
				ca = authorities[serverOf(u)]
			}
		}
		e, err := in.finish(name, issuer, ca)
		if err != nil {
			continue // it is no good form
		}
		if _, err := config.Parse(alone(e)); err == nil {
			last[name] = e
		}
	}
	return last
}
