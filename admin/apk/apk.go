// Package apk reads identity providers as WSO2 API Platform for Kubernetes (APK)
// and WSO2 API Manager describe them. It writes the plugin's configuration and the
// Envoy clusters that the keys are fetched through.
//
// It reads TokenIssuer resources (dp.wso2.com/v1alpha1 and v1alpha2), the
// Secrets and ConfigMaps that they refer to, the "idp" section of the Helm
// charts' values, and Key Managers as API Manager's admin API has them. A note names
// each field that has no place in the configuration. A problem is something that
// is missing, occurs twice, or would let tokens of one organization call the APIs
// of another. With a problem nothing is written.
//
// The package reads and writes text. It knows nothing of files.
package apk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"orgate/admin/advice"
	"orgate/admin/render"
	"orgate/config"
	"orgate/internal/yamlnode"
)

// Options say what the resources do not.
type Options struct {
	// Namespace is that of resources that name none, and of the chart.
	Namespace string
	// Environment is the configuration's "environment".
	Environment string
	// Organization is the organization that is required of a request. The
	// zero value: that of the issuers if they have one in common, or else the
	// route's metadata under [RouteMetadata].
	Organization config.Organization
	// TrustedCA is the file of certificate authorities that Envoy trusts if
	// a resource names none.
	TrustedCA string
}

// RouteMetadata is where an imported configuration finds the organization that
// a route requires, unless it is told otherwise.
const RouteMetadata = "orgate.organization"

// Source is a file's name and text.
type Source struct{ Name, Text string }

// Finding is what there is to say about a field.
type Finding struct {
	File string
	Line int // from 1; 0: the file as a whole
	// Problem: nothing can be written. Otherwise the finding is a note.
	Problem bool
	// Resource is the resource, such as "TokenIssuer default/idp".
	Resource string
	// Field is the path in the resource.
	Field   string
	Message string
}

// Split returns where the finding applies, with ": " at its end (or nothing),
// and what it says.
func (f Finding) Split() (place, message string) {
	if f.File != "" {
		place = f.File + ": "
		if f.Line > 0 {
			place = f.File + ":" + itoa(f.Line) + ": "
		}
	}
	for _, part := range []string{f.Resource, f.Field} {
		if part != "" {
			message += part + ": "
		}
	}
	return place, message + f.Message
}

// String is the finding in one line.
func (f Finding) String() string {
	place, message := f.Split()
	return place + message
}

// Result is what was imported.
type Result struct {
	// Configuration is the plugin's configuration, JSON; nil if there is a
	// problem.
	Configuration []byte
	// Clusters are Envoy's clusters, as the "clusters" of its
	// static_resources in YAML; nil if none is needed.
	Clusters []byte
	// ClusterNames are their names.
	ClusterNames []string
	// Authorities are the certificate authorities, PEM, that the resources name
	// for servers, by the cluster's name. In Clusters they are the inline_string
	// of the cluster's trusted_ca; the configuration has no place for them.
	Authorities map[string]string
	// Findings are problems and notes, in the order of the sources.
	Findings []Finding
}

// Problems counts the findings that are problems.
func (r *Result) Problems() int {
	n := 0
	for _, f := range r.Findings {
		if f.Problem {
			n++
		}
	}
	return n
}

// Import reads the sources.
func Import(sources []Source, o Options) *Result {
	im := read(sources, o)
	result := &Result{}
	if im.sound() {
		im.write(result)
	}
	if !im.sound() {
		result = &Result{}
	}
	im.arrange(sources)
	result.Findings = im.findings
	return result
}

// read makes issuers of the sources.
func read(sources []Source, o Options) *importer {
	im := &importer{options: o, stored: map[string]node{}}
	for _, s := range sources {
		documents, faults := yamlnode.Split(s.Name, s.Text)
		for _, f := range faults {
			im.findings = append(im.findings, Finding{File: s.Name, Line: f.Line, Problem: true, Message: f.Message})
		}
		for i := range documents {
			im.sort(documents[i])
		}
	}
	im.checkTwice()
	for _, r := range im.resources {
		im.translate(r)
	}
	if len(im.resources) == 0 && im.sound() {
		im.findings = append(im.findings, Finding{Problem: true,
			Message: "no TokenIssuer, no Helm values with an idp section and no Key Manager that is used"})
	}
	im.names()
	im.organizations()
	return im
}

// arrange puts findings in the order of the sources and of their lines; those
// that are of no source come last. Notes that say the same of several resources
// of one kind become one.
func (im *importer) arrange(sources []Source) {
	order := map[string]int{"": len(sources)}
	for i, s := range sources {
		order[s.Name] = i
	}
	slices.SortStableFunc(im.findings, func(a, b Finding) int {
		if a.File != b.File {
			return order[a.File] - order[b.File]
		}
		return a.Line - b.Line
	})
	im.findings = fold(im.findings)
}

// fold leaves the first of the notes that say the same.
func fold(findings []Finding) []Finding {
	type saying struct{ file, kind, field, message string }
	of := func(f Finding) saying {
		kind, _, _ := strings.Cut(f.Resource, " ")
		return saying{f.File, kind, f.Field, f.Message}
	}
	lines := map[saying][]string{}
	for _, f := range findings {
		if !f.Problem {
			lines[of(f)] = append(lines[of(f)], itoa(f.Line))
		}
	}
	var folded []Finding
	for _, f := range findings {
		same, seen := lines[of(f)]
		switch {
		case f.Problem:
		case !seen:
			continue
		case len(same) > 1:
			same = same[1:]
			delete(lines, of(f))
			const most = 3
			if len(same) > most {
				same = append(same[:most:most], itoa(len(same)-most)+" more")
			}
			f.Message += " (" + plural(len(same), "line ", "lines ") + advice.Enumerate(same) + " as well)"
		}
		folded = append(folded, f)
	}
	return folded
}

// importer is one import under way.
type importer struct {
	options   Options
	resources []resource
	stored    map[string]node // Secrets and ConfigMaps by identity
	findings  []Finding
	issuers   []*issuer
	clusters  []*render.Cluster
}

// issuer is an issuer of the configuration, and where it comes from.
type issuer struct {
	settings
	from resource
	ca   string // PEM, for the connection to the JWK Set

	keysAt, introspectionAt node // where the locations stand
}

// settings are the issuer's members in the configuration.
type settings struct {
	Name                string         `json:"name"`
	Issuer              string         `json:"issuer"`
	Organization        string         `json:"organization"`
	Environments        []string       `json:"environments,omitempty"`
	Algorithms          []string       `json:"algorithms,omitempty"`
	TokenHandling       *handling      `json:"tokenHandling,omitempty"`
	SignatureValidation validation     `json:"signatureValidation,omitzero"`
	Introspection       *introspection `json:"introspection,omitempty"`
	UsernameClaim       string         `json:"usernameClaim,omitempty"`
	MissingUsername     string         `json:"missingUsername,omitempty"`
	OrganizationClaim   string         `json:"organizationClaim,omitempty"`
	ScopesClaim         string         `json:"scopesClaim,omitempty"`
	ConsumerKeyClaim    string         `json:"consumerKeyClaim,omitempty"`
	ClaimMappings       []claimMapping `json:"claimMappings,omitempty"`
}

type validation struct {
	JWKS        *location    `json:"jwks,omitempty"`
	Certificate *certificate `json:"certificate,omitempty"`
}

type location struct {
	URL       string `json:"url,omitempty"`
	WellKnown string `json:"wellKnown,omitempty"`
	Cluster   string `json:"cluster"`
}

// handling is which tokens are an issuer's.
type handling struct {
	Kind    string `json:"kind"`
	Pattern string `json:"pattern,omitempty"`
}

// The kinds of tokens, as API Manager and the configuration call them.
const (
	kindJWT       = "JWT"
	kindReference = "REFERENCE"
	kindCustom    = "CUSTOM"
)

type introspection struct {
	URL          string          `json:"url"`
	Cluster      string          `json:"cluster"`
	ClientID     string          `json:"clientId"`
	ClientSecret fromEnvironment `json:"clientSecret"`
}

type fromEnvironment struct {
	Name string `json:"fromEnvironment"`
}

type certificate struct {
	Inline string `json:"certificateInline"`
}

type claimMapping struct {
	RemoteClaim string `json:"remoteClaim"`
	LocalClaim  string `json:"localClaim"`
}

func (im *importer) sound() bool {
	return !slices.ContainsFunc(im.findings, func(f Finding) bool { return f.Problem })
}

func (im *importer) find(problem bool, r resource, n node, format string, args ...any) {
	im.findings = append(im.findings, Finding{
		File: n.File, Line: n.Line, Problem: problem, Resource: r.String(),
		Field: strings.TrimPrefix(strings.TrimPrefix(n.Path, r.node.Path), "."), Message: fmt.Sprintf(format, args...),
	})
}

func (im *importer) problem(r resource, n node, format string, args ...any) {
	im.find(true, r, n, format, args...)
}

func (im *importer) note(r resource, n node, format string, args ...any) {
	im.find(false, r, n, format, args...)
}

// dropped notes a field that has no place in the configuration.
func (im *importer) dropped(r resource, n node, why string) {
	im.note(r, n, "not carried over: %s", why)
}

// names makes the issuers' names unique. In APK an issuer's name is unique
// within its organization.
func (im *importer) names() {
	same := map[string][]*issuer{}
	for _, i := range im.issuers {
		same[i.Name] = append(same[i.Name], i)
	}
	taken := map[string]bool{}
	for _, i := range im.issuers {
		if i.Name == "" {
			continue // which was said
		}
		at := i.from.field("name")
		if len(same[i.Name]) > 1 {
			renamed := i.Organization + "/" + i.Name
			im.note(i.from, at, "several issuers are named %q: this one becomes %q", i.Name, renamed)
			i.Name = renamed
		}
		if taken[i.Name] {
			im.problem(i.from, at, "there is another issuer of this name in organization %q: give each a name of "+
				"its own",
				i.Organization)
		}
		taken[i.Name] = true
	}
}

// organizations refuses issuers by which a token could be of several
// organizations.
func (im *importer) organizations() {
	type pair struct{ issuer, organization string }
	first := map[pair]resource{}
	of, claimed := map[string][]string{}, map[string]int{}
	for _, i := range im.issuers {
		if i.Issuer == "" || i.Organization == "" {
			continue // which was said
		}
		p := pair{i.Issuer, i.Organization}
		if other, ok := first[p]; ok {
			im.problem(i.from, i.from.field("organization"), "the issuer %s is in organization %q by %s already",
				i.Issuer,
				i.Organization, other)
			continue
		}
		first[p] = i.from
		of[i.Issuer] = append(of[i.Issuer], fmt.Sprintf("%q", i.Organization))
		if i.OrganizationClaim != "" {
			claimed[i.Issuer]++
		}
		if i.Organization == systemOrganization && i.OrganizationClaim != "" {
			im.note(i.from, i.from.field("organization"),
				"no provider says %q in its claim %q by itself, and until yours does"+
					" everybody is locked out of the system APIs. The migration guide has a rule that lets its "+
					"organizations in",
				i.Organization, i.OrganizationClaim)
		}
	}
	for _, i := range im.issuers {
		if len(of[i.Issuer]) < 2 || i.OrganizationClaim != "" {
			continue
		}
		others := ""
		if n := claimed[i.Issuer]; n > 0 {
			others = ", as " + plural(n, "the other resource does", "the other "+itoa(n)+" resources do")
		}
		im.problem(i.from, i.from.field("claimMappings"),
			"the issuer %s is in the organizations %s, and this resource names"+
				" no claim that tells which of them a token is of: all of its tokens could call the APIs of %q. Map "+
				"the "+
				"claim that"+
				" holds the organization to x-wso2-organization (claimMappings: [{localClaim: x-wso2-organization, "+
				"remoteClaim:"+
				" …}])%s", i.Issuer, advice.Enumerate(of[i.Issuer]), i.Organization, others)
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// write renders the configuration and the clusters. What the plugin would
// refuse is a problem.
func (im *importer) write(result *Result) {
	result.Configuration = im.document()
	im.differences()
	im.judge(advice.Read(string(result.Configuration)))
	if len(im.clusters) > 0 {
		result.Clusters = renderClusters(im.clusters)
		result.Authorities = map[string]string{}
		for _, c := range im.clusters {
			result.ClusterNames = append(result.ClusterNames, c.Name)
			if c.CA != "" {
				result.Authorities[c.Name] = c.CA
			}
		}
	}
}

// document is the configuration.
func (im *importer) document() []byte {
	out := struct {
		Environment  string     `json:"environment,omitempty"`
		Organization any        `json:"organization,omitempty"`
		Issuers      []settings `json:"issuers"`
	}{Environment: im.options.Environment, Organization: im.required()}
	for _, i := range im.issuers {
		im.connect(i)
		im.accept(i)
		out.Issuers = append(out.Issuers, i.settings)
		if len(i.Environments) > 0 && im.options.Environment == "" && !slices.Contains(i.Environments, config.Any) {
			im.note(i.from, i.from.field("environments"),
				"is kept, and has no effect while the configuration names no environment (--environment)")
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(out); err != nil {
		panic(err) // strings are always JSON
	}
	return b.Bytes()
}

// judge tells what is wrong with the configuration that was written.
func (im *importer) judge(checked *advice.Result) {
	for _, m := range checked.Errors {
		r, at, message := im.origin(m)
		im.problem(r, at, "%s", message)
	}
	for _, a := range checked.Warnings {
		if a.Code == advice.PublishedKey {
			r, at, message := im.origin(a)
			im.note(r, at, "%s", message)
		}
	}
}

// origin is where a field of the configuration comes from. The message names the
// field if that is nowhere in particular.
func (im *importer) origin(f advice.Finding) (r resource, at node, message string) {
	var i int
	if _, err := fmt.Sscanf(f.Path, "issuers[%d]", &i); err != nil || i >= len(im.issuers) {
		return resource{}, node{}, f.Path + ": " + f.Message
	}
	_, field, _ := strings.Cut(f.Path, ".")
	from := im.issuers[i].from
	if from.kind != kindTokenIssuer {
		return from, from.node, field + ": " + f.Message
	}
	return from, from.node.At("spec").Find(field), f.Message
}

// required is the organization that is required of requests, nil if it goes
// without saying.
func (im *importer) required() any {
	o := im.options.Organization
	if o.IsZero() {
		common := im.issuers[0].Organization
		if common != config.Any && !slices.ContainsFunc(im.issuers,
			func(i *issuer) bool { return i.Organization != common }) {
			return nil
		}
		im.findings = append(im.findings,
			Finding{Message: "organization: which organization a request needs is not in these files:" +
				" it is taken from the metadata of Envoy's route (filter \"orgate\", key \"organization\"), and a " +
				"route without " +
				"it is refused;" +
				" --organization takes it from the host or the path"})
		o.FromRouteMetadata = RouteMetadata
	}
	return source(o)
}

// source is an organization as the configuration has it.
func source(o config.Organization) any {
	switch {
	case o.Literal != "":
		return o.Literal
	case o.FromHost != "":
		return map[string]string{"fromHost": o.FromHost}
	case o.FromPath != "":
		return map[string]string{"fromPath": o.FromPath}
	}
	return map[string]string{"fromRouteMetadata": o.FromRouteMetadata}
}

// Probe returns a configuration with nothing that could be wrong but the
// organization.
func Probe(o config.Organization) []byte {
	doc, err := json.Marshal(map[string]any{
		"organization": source(o),
		"issuers": []settings{{Name: "probe", Issuer: "probe", Organization: "probe", SignatureValidation: validation{
			JWKS: &location{URL: "https://probe.invalid/", Cluster: "probe"}}}},
	})
	if err != nil {
		panic(err) // strings are always JSON
	}
	return doc
}
