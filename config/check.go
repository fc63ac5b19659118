package config

import (
	"slices"
	"strconv"
	"strings"
)

// check refuses what is well-formed and cannot work, and completes the
// configuration: names in lower case, the organization claims that claim
// mappings imply, the issuers of the environment alone, the organization that
// all of them have.
func (r *reader) check(c *Config) {
	identity := r.checkHeaders(c)
	r.checkTokenSources(&c.TokenSources, written(identity, c.Issuers))
	r.line("errors.realm", c.Errors.Realm)
	if strings.ContainsAny(c.Errors.Realm, `"\`) || !isASCII(c.Errors.Realm) {
		r.refuse("errors.realm", "must be printable ASCII without quotes and backslashes, got "+quote(c.Errors.Realm))
	}
	if key := c.Sharing.Key; key != "" && len(key) < 32 {
		r.refuse("sharing.key", "must have 32 bytes or more, has "+strconv.Itoa(len(key)))
	}
	names := make([]string, len(c.Issuers))
	for i := range c.Issuers {
		r.checkIssuer(element("issuers", i), &c.Issuers[i], c.Headers.Organization, identity)
		names[i] = c.Issuers[i].Name
	}
	r.checkNames("issuers", names)
	r.line("environment", c.Environment)
	r.organizationSource("organization", &c.Organization)
	names = make([]string, len(c.Rules))
	for i := range c.Rules {
		r.checkRule(element("rules", i), i, &c.Rules[i], c.Issuers)
		names[i] = c.Rules[i].Name
	}
	r.checkNames("rules", names)
	r.keepEnvironment(c)
	r.checkRequiredOrganization(c)
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
	var kept []Issuer
	var paths []string
	unread := len(c.Issuers) == 0
	for i, issuer := range c.Issuers {
		path := element("issuers", i)
		if r.misread(path + ".environments") {
			unread = true
			continue
		}
		if c.Environment == "" || slices.Contains(issuer.Environments, Any) || slices.Contains(issuer.Environments, c.Environment) {
			issuer.Index = i
			kept = append(kept, issuer)
			paths = append(paths, path)
		}
	}
	c.Issuers = kept
	if len(kept) == 0 && !unread {
		r.refuse("environment", "no issuer is for "+quote(c.Environment))
	}
	r.checkShared(kept, paths)
}

// checkShared refuses entries for the same issuer that one token could be for
// without saying so.
func (r *reader) checkShared(issuers []Issuer, paths []string) {
	type pair struct{ issuer, organization string }
	first := map[pair]string{}
	entries := map[string][]int{}
	for i, issuer := range issuers {
		if r.misread(paths[i]+".issuer") || r.misread(paths[i]+".organization") {
			continue
		}
		p := pair{issuer.Issuer, issuer.Organization}
		if other, ok := first[p]; ok {
			r.refuse(paths[i]+".organization", "the issuer is bound to "+quote(issuer.Organization)+" by "+other+" already")
			continue
		}
		first[p] = paths[i]
		entries[issuer.Issuer] = append(entries[issuer.Issuer], i)
	}
	for _, same := range entries {
		if len(same) < 2 {
			continue
		}
		// The entries that take a token which names no organization.
		unproven := 0
		for _, i := range same {
			if issuers[i].OrganizationClaim.IsZero() || issuers[i].MissingOrganization == "issuer" {
				unproven++
			}
		}
		for _, i := range same {
			if issuers[i].SharedAcrossOrganizations || r.claimUnread(paths[i]) {
				continue
			}
			if issuers[i].OrganizationClaim.IsZero() {
				r.refuse(paths[i]+".organizationClaim", "is required, since the issuer stands under several organizations:"+
					" without it each of its tokens could call them all (sharedAcrossOrganizations allows that)")
			} else if issuers[i].MissingOrganization == "issuer" && unproven > 1 {
				r.refuse(paths[i]+".missingOrganization", `must not be "issuer", since the issuer stands under several organizations:`+
					" a token without the claim could call them all (sharedAcrossOrganizations allows that)")
			}
		}
	}
}

// checkRequiredOrganization makes sure that each request has an organization
// to be of: that of its rule, the top level's, or the one that all issuers
// have.
func (r *reader) checkRequiredOrganization(c *Config) {
	if r.has("organization") || len(c.Issuers) == 0 {
		return
	}
	for _, p := range r.unread {
		switch pattern(p) {
		case "issuers", "issuers[]", "issuers[].organization", "issuers[].environments":
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
	const missing = "is required, since the issuers differ in their organizations and the top level names none"
	for i, rule := range c.Rules {
		path := element("rules", i)
		if rule.Organization.IsZero() && !rule.Public && !r.has(path+".organization") && !r.misread(path) {
			r.refuse(path+".organization", missing)
		}
	}
	if len(c.Rules) == 0 && !r.misread("rules") {
		r.refuse("organization", "is required, since the issuers differ in their organizations and no rule names one")
	}
}

// organizationSource checks where a required organization comes from, and
// writes the host in lower case.
func (r *reader) organizationSource(path string, o *Organization) {
	if !r.has(path) {
		return
	}
	set := 0
	for _, s := range []string{o.Literal, o.FromHost, o.FromPath, o.FromRouteMetadata} {
		if s != "" {
			set++
		}
	}
	if set != 1 {
		r.refuse(path, "must have exactly one of fromHost, fromPath and fromRouteMetadata")
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
	if fault := pathFault(literal); fault != "" {
		r.refuse(path, fault+", got "+quote(pattern))
	} else if fault := literalFault(literal); fault != "" {
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

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// ruleName is the name of the rule at index i if it has none of its own.
func ruleName(i int) string { return "rule-" + strconv.Itoa(i) }
