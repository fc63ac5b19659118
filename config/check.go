package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"orgate/internal/httptext"
)

// check refuses what is well-formed and cannot work, and completes the
// configuration: names in lower case, the organization claims that claim
// mappings imply, the organization that all issuers have, the issuers of the
// environment alone.
func (r *reader) check(c *Config) {
	identity := r.checkHeaders(c)
	r.checkTokenSources(&c.TokenSources, stripped(identity, c.Issuers))
	r.line("errors.realm", c.Errors.Realm)
	if strings.ContainsAny(c.Errors.Realm, `"\`) || !httptext.IsASCII(c.Errors.Realm) {
		r.refuse("errors.realm", "must be printable ASCII without quotes and backslashes, got "+quote(c.Errors.Realm))
	}
	r.checkSharing(&c.Sharing)
	r.paths = r.grammar(&c.Paths)
	names := make([]string, len(c.Issuers))
	for i := range c.Issuers {
		r.checkIssuer(element("issuers", i), &c.Issuers[i], c.SignatureVerification, c.Headers.Organization, identity)
		names[i] = c.Issuers[i].Name
		r.step()
	}
	r.checkNames("issuers", names)
	known := map[string]bool{}
	for _, name := range names {
		known[name] = true
	}
	r.line("environment", c.Environment)
	r.organizationSource("organization", &c.Organization)
	names = make([]string, len(c.Rules))
	for i := range c.Rules {
		r.checkRule(element("rules", i), i, &c.Rules[i], known)
		if c.Rules[i].ForwardToken == nil {
			c.Rules[i].ForwardToken = &c.ForwardToken
		}
		names[i] = c.Rules[i].Name
		r.step()
	}
	r.checkNames("rules", names)
	// The organization that all issuers share is found before the environment
	// leaves any of them out: what an environment leaves out must open nothing.
	r.checkRequiredOrganization(c)
	r.keepEnvironment(c)
}

// checkSharing refuses a key that could be guessed. Nothing of it is repeated.
func (r *reader) checkSharing(s *Sharing) {
	const least = 32
	if s.Key != "" && len(s.Key) < least {
		r.refuse("sharing.key", "must have at least 32 bytes, as of \"openssl rand -base64 32\", got "+
			strconv.Itoa(len(s.Key)))
	}
}

// grammar returns how paths are read. Of what was not read nothing is refused.
func (r *reader) grammar(p *Paths) httptext.Paths {
	if slices.ContainsFunc(r.unread, func(path string) bool { return within(path, "paths") }) {
		return httptext.Paths{EncodedSlash: true, Semicolon: true, EmptySegment: true}
	}
	return p.Grammar()
}

// line refuses what no name or identifier has: control characters and space
// around it. Empty values are not its concern.
func (r *reader) line(path, value string) {
	switch {
	case strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f }):
		r.refuse(path, "must not have control characters, got "+quote(value))
	case strings.TrimSpace(value) != value:
		r.refuse(path, "must not begin or end with space, got "+quote(value))
	}
}

func (r *reader) lines(path string, values []string) {
	for i, v := range values {
		r.line(element(path, i), v)
	}
}

// noneName is the label of requests that no issuer or rule is known for.
const noneName = "none"

func (r *reader) name(path, value string) {
	r.line(path, value)
	if value == noneName {
		r.refuse(path, `must not be "none", the label in metrics of what has no name`)
	}
}

// checkNames refuses the names in a list that an element before has.
func (r *reader) checkNames(list string, names []string) {
	first := map[string]int{}
	for i, name := range names {
		path := element(list, i) + ".name"
		if r.misread(path) {
			continue
		}
		if j, ok := first[name]; ok {
			r.refuse(path, quote(name)+" is the name of "+element(list, j)+" already")
			continue
		}
		first[name] = i
	}
}

// keepEnvironment leaves the issuers of the environment, and checks them
// against one another.
func (r *reader) keepEnvironment(c *Config) {
	kept := c.Issuers[:0]
	unread := len(c.Issuers) == 0
	for i := range c.Issuers {
		issuer := &c.Issuers[i]
		issuer.Path = element("issuers", i)
		if r.misread(issuer.Path + ".environments") {
			unread = true
			continue
		}
		if c.Environment == "" || slices.Contains(issuer.Environments, Any) ||
			slices.Contains(issuer.Environments, c.Environment) {
			kept = append(kept, *issuer)
		}
	}
	clear(c.Issuers[len(kept):])
	c.Issuers = kept
	if len(kept) == 0 && !unread {
		r.refuse("environment", "no issuer is for "+quote(c.Environment))
	}
	r.checkShared(kept)
}

// checkShared refuses entries for the same issuer by which one token could be of
// several organizations, unless that is asked for.
func (r *reader) checkShared(issuers []Issuer) {
	type pair struct{ issuer, organization string }
	first := map[pair]string{}
	var names []string
	entries := map[string][]*Issuer{}
	for i := range issuers {
		issuer := &issuers[i]
		if r.misread(issuer.Path+".issuer") || r.misread(issuer.Path+".organization") {
			continue
		}
		p := pair{issuer.Issuer, issuer.Organization}
		if other, ok := first[p]; ok {
			r.refuse(issuer.Path+".organization",
				"the issuer is bound to "+quote(issuer.Organization)+" by "+other+" already")
			continue
		}
		first[p] = issuer.Path
		if entries[issuer.Issuer] == nil {
			names = append(names, issuer.Issuer)
		}
		entries[issuer.Issuer] = append(entries[issuer.Issuer], issuer)
	}
	for _, name := range names {
		if same := entries[name]; len(same) > 1 {
			r.checkAgreement(same)
			r.checkUnclaimed(same)
			r.checkMappings(same)
		}
	}
	r.checkPatterns(issuers)
}

// checkAgreement refuses entries for one issuer that differ in how its tokens are
// handled: which entry a token falls under is told by its claims, and they may have
// to be asked for first.
func (r *reader) checkAgreement(same []*Issuer) {
	first := same[0]
	for _, issuer := range same[1:] {
		a, b := first.Introspection, issuer.Introspection
		if first.TokenHandling != issuer.TokenHandling || (a == nil) != (b == nil) {
			r.refuse(issuer.Path+".tokenHandling",
				"must be that of "+first.Path+", which has the same issuer, and so must introspection")
		} else if a != nil && *a != *b {
			r.refuse(issuer.Path+".introspection", "must be that of "+first.Path+", which has the same issuer")
		}
	}
}

// checkPatterns bounds what it costs to find out that nobody handles a token.
func (r *reader) checkPatterns(issuers []Issuer) {
	const most = 64
	seen := map[string]bool{}
	for i := range issuers {
		if p := issuers[i].TokenHandling.Pattern; p != "" && !seen[p] {
			if seen[p] = true; len(seen) == most+1 {
				r.refuse(issuers[i].Path+".tokenHandling.pattern", "there are more than 64 different patterns")
			}
		}
	}
}

// checkUnclaimed refuses that a token without an organization claim is of
// several organizations.
func (r *reader) checkUnclaimed(same []*Issuer) {
	unclaimed := 0
	for _, issuer := range same {
		if issuer.OrganizationClaim.IsZero() || issuer.MissingOrganization == "issuer" {
			unclaimed++
		}
	}
	for _, issuer := range same {
		switch {
		case issuer.SharedAcrossOrganizations || r.claimUnread(issuer.Path):
		case issuer.OrganizationClaim.IsZero():
			r.refuse(issuer.Path+".organizationClaim",
				"is required, since the issuer stands under several organizations:"+
					" without it each of its tokens could call them all (sharedAcrossOrganizations allows that)")
		case issuer.MissingOrganization == "issuer" && unclaimed > 1:
			r.refuse(issuer.Path+".missingOrganization",
				`must not be "issuer", since the issuer stands under several organizations:`+
					" a token without the claim could call them all (sharedAcrossOrganizations allows that)")
		}
	}
}

// checkMappings refuses that one value of a claim leads to several
// organizations: by two mappings, or by a mapping and an entry without one,
// which takes the value for the organization itself.
func (r *reader) checkMappings(same []*Issuer) {
	type claimed struct{ claim, value string }
	type mapped struct {
		by           *Issuer
		organization string
	}
	mappings := map[claimed][]mapped{}
	for _, issuer := range same {
		path := issuer.Path + ".organizationMapping"
		if r.claimUnread(issuer.Path) || r.misread(path) {
			continue
		}
		for _, value := range slices.Sorted(maps.Keys(issuer.OrganizationMapping)) {
			m := mapped{issuer, issuer.OrganizationMapping[value]}
			key := claimed{issuer.OrganizationClaim.Key(), value}
			if before := mappings[key]; len(before) > 0 && before[0].organization != m.organization {
				r.refuse(member(path, value), before[0].by.Path+" maps it to "+quote(before[0].organization)+
					": a token must not be of two organizations")
				continue
			}
			mappings[key] = append(mappings[key], m)
		}
	}
	for _, issuer := range same {
		if len(issuer.OrganizationMapping) > 0 || r.claimUnread(issuer.Path) {
			continue
		}
		check := func(key claimed) {
			for _, m := range mappings[key] {
				switch {
				case m.organization == key.value:
				case m.by.Organization != Any && m.by.Organization != m.organization: // which proves nothing
				case issuer.SharedAcrossOrganizations && m.by.SharedAcrossOrganizations:
				default:
					r.refuse(member(m.by.Path+".organizationMapping", key.value),
						issuer.Path+" takes it for "+quote(key.value)+": a token must not be of two organizations")
				}
			}
		}
		claim := issuer.OrganizationClaim.Key()
		if issuer.Organization != Any {
			check(claimed{claim, issuer.Organization})
			continue
		}
		for key := range mappings {
			if key.claim == claim {
				check(key)
			}
		}
	}
}

// checkRequiredOrganization makes sure that each request has an organization
// to be of: that of its rule, the top level's, or the one that all issuers of the
// document have.
func (r *reader) checkRequiredOrganization(c *Config) {
	if r.given("organization", !c.Organization.IsZero()) || len(c.Issuers) == 0 {
		return
	}
	for _, p := range r.unread {
		switch withoutIndexes(p) {
		case "issuers", "issuers[]", "issuers[].organization":
			return
		}
	}
	common := c.Issuers[0].Organization
	for _, issuer := range c.Issuers {
		if issuer.Organization != common {
			common = Any
		}
	}
	if common != Any {
		c.Organization.Literal = common
		return
	}
	const differ = "is required, since the document's issuers differ in their organizations and "
	for i, rule := range c.Rules {
		path := element("rules", i)
		if rule.Organization.IsZero() && !rule.Public && !r.misread(path+".organization") {
			r.refuse(path+".organization", differ+"the top level names none")
		}
	}
	if len(c.Rules) == 0 && !r.misread("rules") {
		r.refuse("organization", differ+"no rule names one")
	}
}

const oneSource = "must have exactly one of fromHost, fromPath and fromRouteMetadata"

// organizationSource checks where a required organization comes from, and
// writes the host in lower case.
func (r *reader) organizationSource(path string, o *Organization) {
	if o.IsZero() {
		return
	}
	set := 0
	for _, s := range []string{o.Literal, o.FromHost, o.FromPath, o.FromRouteMetadata} {
		if s != "" {
			set++
		}
	}
	if set != 1 {
		r.refuse(path, oneSource)
		return
	}
	r.line(path, o.Literal)
	r.fromHost(path+".fromHost", &o.FromHost)
	r.fromPath(path+".fromPath", o.FromPath)
	r.fromRouteMetadata(path+".fromRouteMetadata", o.FromRouteMetadata)
}

// placeholder stands for the organization in a pattern.
const placeholder = "{org}"

func (r *reader) fromHost(path string, host *string) {
	if *host == "" {
		return
	}
	got := quote(*host)
	if countOf(strings.Split(*host, "."), placeholder) != 1 || strings.Count(*host, "{") != 1 {
		r.refuse(path, `must have exactly one label "{org}", as in "{org}.api.example.com", got `+got)
		return
	}
	*host = strings.ToLower(*host)
	if fault := hostFault(strings.Replace(*host, placeholder, "org", 1)); fault != "" {
		r.refuse(path, fault+", got "+got)
	}
}

func (r *reader) fromPath(path, pattern string) {
	if pattern == "" {
		return
	}
	if countOf(strings.Split(pattern, "/"), placeholder) != 1 || strings.Count(pattern, "{") != 1 {
		r.refuse(path, `must have exactly one segment "{org}", as in "/t/{org}/", got `+quote(pattern))
		return
	}
	literal := strings.Replace(pattern, placeholder, "org", 1)
	fault := r.pathFault(literal)
	if fault == "" {
		fault = literalFault(literal)
	}
	if fault != "" {
		r.refuse(path, fault+", got "+quote(pattern))
	}
}

func (r *reader) fromRouteMetadata(path, key string) {
	if key == "" {
		return
	}
	dot := strings.LastIndexByte(key, '.')
	if dot <= 0 || dot == len(key)-1 {
		r.refuse(path, `must be a filter's name and a key, as in "orgate.organization", got `+quote(key))
		return
	}
	r.line(path, key)
}

func countOf(values []string, wanted string) int {
	n := 0
	for _, v := range values {
		if v == wanted {
			n++
		}
	}
	return n
}

// ruleName is the name of the rule at index i if it has none of its own.
func ruleName(i int) string { return "rule-" + strconv.Itoa(i) }
