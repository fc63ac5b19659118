package translate

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
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
	claim                string   // that holds the organization, once it is rendered
	location, server     string   // the URL of the keys, its scheme, host and port; or ""
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
	use  *entry // nil: left out
	last *entry // in the configuration that exists, nil: it is not
}

// The ranks of candidates that want the same, in the order in which they get it.
const (
	hasIt = iota // it is in use with it, and as it stands
	hadIt        // it is in use with it, and is changed
	wants
)

// issuerRank ranks candidates for an "iss".
func (c *candidate) issuerRank() int {
	switch l := c.last; {
	case l == nil || l.issuer != c.use.issuer || l.organization != c.use.organization:
		return wants
	case l.claim != c.use.claim || l.keys != c.use.keys:
		return hadIt
	}
	return hasIt
}

// serverRank ranks candidates for a server.
func (c *candidate) serverRank() int {
	switch l := c.last; {
	case l == nil || l.server != c.use.server:
		return wants
	case l.ca != c.use.ca:
		return hadIt
	}
	return hasIt
}

// inUse reports whether it stands in the configuration that exists.
func (c *candidate) inUse() bool { return c.issuerRank() == hasIt && c.serverRank() == hasIt }

// ranked orders candidates that are used by rank, and those of one rank as before.
func ranked(all []*candidate, rank func(*candidate) int) []*candidate {
	list := used(all)
	slices.SortStableFunc(list, func(a, b *candidate) int { return rank(a) - rank(b) })
	return list
}

// byIncumbency has those first that are in use.
func byIncumbency(all []*candidate) []*candidate {
	return ranked(all, func(c *candidate) int { return max(c.issuerRank(), c.serverRank()) })
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
func (in *Input) candidates(base map[string]json.RawMessage) []*candidate {
	sorted := slices.Clone(in.TokenIssuers)
	slices.SortFunc(sorted, Older)
	last := in.lastGood()
	var all []*candidate
	for _, o := range sorted {
		if !in.Policy.Takes(o.GetNamespace(), in.Labels[o.GetNamespace()]) {
			continue
		}
		c := in.candidate(o, base, last)
		if c.use != nil && c.last != nil {
			if bytes.Equal(c.use.json, c.last.json) {
				c.last.claim = c.use.claim
			} else if in.Policy.alone(base, c.last) != nil {
				c.last = nil // it is no good form any more
			}
		}
		if in.OnlyInUse && c.use != nil && !c.inUse() {
			c.leaveOut(Conflicted, "the API server refuses too much of what is written for others: it is tried again")
			in.fallBack(c, base, last)
		}
		all = append(all, c)
	}
	return all
}

func (in *Input) candidate(o *unstructured.Unstructured, base map[string]json.RawMessage, last *lastGood) *candidate {
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
	c.last = last.of[entryName(o.GetNamespace(), o.GetName())]
	e, notes, reason, err := in.entry(o, base)
	if err == nil {
		if err = in.permit(c.Namespace, e); err != nil {
			c.leaveOut(NotPermitted, err.Error())
			return c
		}
		c.use = e
		if err = in.refused(c); err == nil {
			c.Message = strings.Join(notes, "; ")
			return c
		}
		reason, err = Invalid, fmt.Errorf("the API server refuses what is written for its server: %w", err)
	}
	c.leaveOut(reason, err.Error())
	if reason != OtherEnvironment {
		in.fallBack(c, base, last)
	}
	return c
}

// fallBack has a candidate that is left out keep its last good form, if it may.
func (in *Input) fallBack(c *candidate, base map[string]json.RawMessage, last *lastGood) {
	if c.last == nil || in.permit(c.Namespace, c.last) != nil {
		return
	}
	if last.otherSettings {
		c.Message += "; its last good form was made with other issuerSettings, and is not used"
		return
	}
	good := &candidate{use: c.last, last: c.last}
	if in.refused(good) == nil && in.Policy.alone(base, c.last) == nil {
		c.use, c.State = c.last, LastGood
	}
}

// refused is what the API server says of an object that a candidate needs.
func (in *Input) refused(c *candidate) error {
	if len(in.Refused) == 0 || c.use.location == "" {
		return nil
	}
	names, err := render.ObjectNames(in.Policy.Name, c.use.location)
	if err != nil {
		return err
	}
	for _, name := range names {
		if r := in.Refused[name]; r.Err != nil && (r.All || c.serverRank() == wants) {
			return r.Err
		}
	}
	return nil
}

// alone says what is wrong with an issuer beside the policy, without others: what
// the plugin refuses, or a control plane of its server.
func (p *Policy) alone(base map[string]json.RawMessage, e *entry) error {
	_, err := p.manifests(base, []*candidate{{use: e}})
	return err
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
	if may := in.Policy.Spec.organizations(namespace, in.Labels[namespace]); strings.Contains(e.issuer, config.Tenant) &&
		!slices.Contains(may, config.Any) {
		return fmt.Errorf("an issuer of many tenants (%s) is for namespaces that may speak for every organization, %q: "+
			"the OrganizationPolicy decides it (spec.namespaces)", config.Tenant, config.Any)
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

// What an issuer may take of the room that all have.
const (
	largestIssuer      = 64 << 10 // bytes of JSON
	largestAuthorities = 64 << 10 // bytes of PEM
	longestIss         = 2 << 10  // bytes
)

// entry makes an issuer of a TokenIssuer.
func (in *Input) entry(o *unstructured.Unstructured, base map[string]json.RawMessage) (
	*entry, []string, Reason, error) {
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
	switch {
	case err != nil:
		return nil, nil, Invalid, err
	case len(e.issuer) > longestIss:
		return nil, nil, Invalid, fmt.Errorf("spec.issuer is %d bytes, and may be %d", len(e.issuer), longestIss)
	case len(e.json) > largestIssuer:
		return nil, nil, Invalid, fmt.Errorf("it is %d bytes of configuration, and may be %d", len(e.json), largestIssuer)
	case len(e.ca) > largestAuthorities:
		return nil, nil, Invalid, fmt.Errorf("the certificate authorities are %d bytes, and may be %d", len(e.ca),
			largestAuthorities)
	}
	if here := in.Policy.environment(); here != "" && !e.isFor(here) {
		return nil, nil, OtherEnvironment, fmt.Errorf("it is for %q, and configuration.environment of the "+
			"OrganizationPolicy is %q", e.environments, here)
	}
	if err := in.Policy.alone(base, e); err != nil {
		return nil, nil, Invalid, err
	}
	return e, notes, "", nil
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
		if e.server, err = render.Location(location); err != nil {
			return nil, err
		}
		e.keys, e.location = location, location
	}
	return e, nil
}

// isFor reports whether an issuer is for an environment.
func (e *entry) isFor(environment string) bool {
	return len(e.environments) == 0 || slices.Contains(e.environments, config.Any) ||
		slices.Contains(e.environments, environment)
}

// apart leaves out what would meddle with another namespace's, and what the plugin
// has no place for.
func apart(all []*candidate) {
	apartByIssuer(ranked(all, (*candidate).issuerRank))
	apartByServer(ranked(all, (*candidate).serverRank))
}

// apartByIssuer keeps namespaces apart that have one "iss". Entries for it that
// read the organization from different claims refuse each other's tokens. So
// another namespace may have it as well only if it has the same claim and the same
// keys. An "iss" that is written out takes the tokens of one with a placeholder
// for the tenant, so two namespaces can't have both.
func apartByIssuer(first []*candidate) {
	type pair struct{ issuer, organization string }
	pairs, holders := map[pair]*candidate{}, map[string][]*candidate{}
	var patterns, literals []string
	for _, c := range first {
		of := pair{c.use.issuer, c.use.organization}
		if other := pairs[of]; other != nil {
			c.conflict("%s has the issuer %s in organization %q already", other, c.use.issuer, c.use.organization)
			continue
		}
		if other := c.otherwise(holders[c.use.issuer], func(o *candidate) bool {
			return o.use.claim != c.use.claim || o.use.keys != c.use.keys
		}); other != nil {
			c.conflict("%s has the issuer %s already, with another organization claim or other keys", other,
				c.use.issuer)
			continue
		}
		isPattern := strings.Contains(c.use.issuer, config.Tenant)
		others := patterns
		if isPattern {
			others = slices.Concat(patterns, literals)
		}
		var other *candidate
		for _, iss := range others {
			if iss != c.use.issuer && (isPattern && fits(c.use.issuer, iss) || !isPattern && fits(iss, c.use.issuer)) {
				other = cmp.Or(other, c.otherwise(holders[iss], func(*candidate) bool { return true }))
			}
		}
		if other != nil {
			c.conflict("%s has the issuer %s already, and one is of many tenants", other, other.use.issuer)
			continue
		}
		pairs[of] = c
		if holders[c.use.issuer] == nil && isPattern {
			patterns = append(patterns, c.use.issuer)
		} else if holders[c.use.issuer] == nil {
			literals = append(literals, c.use.issuer)
		}
		holders[c.use.issuer] = append(holders[c.use.issuer], c)
	}
}

// otherwise finds one of another namespace.
func (c *candidate) otherwise(list []*candidate, is func(*candidate) bool) *candidate {
	for _, other := range list {
		if other.Namespace != c.Namespace && is(other) {
			return other
		}
	}
	return nil
}

// fits reports whether an "iss" could be one of a pattern's, as far as its
// beginning and its end say.
func fits(pattern, iss string) bool {
	before, _, _ := strings.Cut(pattern, config.Tenant)
	after := pattern[strings.LastIndex(pattern, config.Tenant)+len(config.Tenant):]
	return len(iss) > len(before)+len(after) && strings.HasPrefix(iss, before) && strings.HasSuffix(iss, after)
}

// mostPorts is how many ports of one host the TokenIssuers of a namespace may name:
// the objects of a host have a limit, and others may need it.
const mostPorts = 8

// apartByServer keeps those apart that have one server. A port has TLS or has none,
// and one set of certificate authorities.
func apartByServer(first []*candidate) {
	servers := map[string]*candidate{}
	ports := map[[2]string]map[string]bool{}
	for _, c := range first {
		_, port, ok := strings.Cut(c.use.server, "://")
		if !ok {
			continue
		}
		switch other := servers[port]; {
		case other == nil:
			servers[port] = c
		case other.use.server != c.use.server:
			c.conflict("%s has the server %s already, and a port has TLS or has none", other, other.use.server)
			continue
		case other.use.ca != c.use.ca:
			c.conflict("%s has the server %s already, with other certificate authorities", other, c.use.server)
			continue
		}
		its := [2]string{c.Namespace, c.use.host}
		if ports[its] == nil {
			ports[its] = map[string]bool{}
		}
		if ports[its][port] = true; len(ports[its]) > mostPorts {
			c.leaveOut(Conflicted, fmt.Sprintf("TokenIssuers of this namespace have %d ports of %s already", mostPorts,
				c.use.host))
		}
	}
}

// conflict leaves a candidate out for one that comes first. Another namespace's name is
// not this one's to know.
func (c *candidate) conflict(format string, other *candidate, args ...any) {
	who := "a TokenIssuer of another namespace"
	if other.Namespace == c.Namespace {
		who = "TokenIssuer " + other.Name
	}
	c.leaveOut(Conflicted, fmt.Sprintf(format, append([]any{who}, args...)...))
}

// settingsAnnotation says of a plugin's object which settings its issuers have.
const settingsAnnotation = "orgate.io/issuer-settings"

// settingsHash tells settings apart.
func (p *Policy) settingsHash() string {
	sum := sha256.Sum256(marshal(p.Spec.IssuerSettings))
	return hex.EncodeToString(sum[:16])
}

// IsPlugin reports whether an object is that of the plugin.
func IsPlugin(o *unstructured.Unstructured) bool {
	return o.GetKind() == "WasmPlugin" || o.GetKind() == "EnvoyExtensionPolicy"
}

// lastGood is what the objects that exist have.
type lastGood struct {
	of map[string]*entry
	// otherSettings: they have other settings than the policy's, which may since
	// have taken back what they allowed.
	otherSettings bool
}

// lastGood reads the issuers that the objects that exist have.
func (in *Input) lastGood() *lastGood {
	authorities := map[string]string{}
	var document map[string]any
	last := &lastGood{of: map[string]*entry{}}
	for _, o := range in.Live {
		if IsPlugin(o) {
			last.otherSettings = o.GetAnnotations()[settingsAnnotation] != in.Policy.settingsHash()
		}
		switch o.GetKind() {
		case "ConfigMap":
			text, _, _ := unstructured.NestedString(o.Object, "data", "ca.crt")
			authorities[o.GetAnnotations()[render.ServerAnnotation]] = text
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
	list, _, _ := unstructured.NestedSlice(document, "issuers")
	for _, element := range list {
		issuer, ok := element.(map[string]any)
		name, _ := issuer["name"].(string)
		iss, _ := issuer["issuer"].(string)
		if !ok || !strings.Contains(name, "/") || strings.HasPrefix(iss, nobodysIssuer) {
			continue
		}
		ca := ""
		if location, _, _ := unstructured.NestedString(issuer, "signatureValidation", "jwks", "url"); location != "" {
			if server, err := render.Location(location); err == nil {
				ca = authorities[server]
			}
		}
		e, err := in.finish(name, issuer, ca)
		if err != nil {
			continue // it is no good form
		}
		last.of[name] = e
	}
	return last
}
