package advice

import (
	"fmt"
	"slices"
	"strconv"

	"orgate/config"
)

// rules advises on each rule, and on how rules get into one another's way.
func (a *adviser) rules() {
	unreached := make([]bool, len(a.config.Rules))
	for i := range a.config.Rules {
		path := rulePath(i)
		if before := a.coveredBy(i); len(before) > 0 {
			unreached[i] = true
			a.advise("unreachable-rule", path,
				"rule %q is never reached: every request that it matches falls under %s before it",
				a.config.Rules[i].Name, a.describe(before))
			continue
		}
		rule := &a.config.Rules[i]
		own := rule.Own()
		a.demands(path, &own, fmt.Sprintf("rule %q asks for roles", rule.Name), "every request is refused")
		for j := range rule.AnyOf {
			at := path + ".anyOf[" + strconv.Itoa(j) + "]"
			a.demands(at, &rule.AnyOf[j], "it asks for roles", "it holds for no token")
		}
		a.organization(path, rule)
	}
	for i := range a.config.Rules {
		if a.config.Rules[i].Public && !unreached[i] {
			a.public(i, unreached)
		}
	}
	a.topOrganization()
}

// topOrganization advises on the top level's organization: what requires it, and
// whether any token can prove it.
func (a *adviser) topOrganization() {
	required := "every request"
	if len(a.config.Rules) > 0 {
		required = "every request under a rule that names no organization"
		if !slices.ContainsFunc(a.config.Rules,
			func(r config.Rule) bool { return !r.Public && r.Organization.IsZero() }) {
			if a.result.document.has("organization") {
				a.advise("unused-organization", "organization",
					"nothing requires it: each rule names its own organization,"+
						" and what matches no rule is refused; a last rule without match would leave the rest to "+
						"this organization")
			}
			return
		}
	}
	if o := a.config.Organization.Literal; o != "" && o != config.Any && !a.anyProves(nil, o) {
		a.advise("unprovable-organization", "organization", "no issuer can prove %q: %s is refused", o, required)
	}
}

func rulePath(i int) string { return "rules[" + strconv.Itoa(i) + "]" }

// describe names rules with their places.
func (a *adviser) describe(places []int) string {
	var words []string
	for _, i := range places {
		what := "rule"
		if a.config.Rules[i].Public {
			what = "the public rule"
		}
		words = append(words, fmt.Sprintf("%s %q (%s)", what, a.config.Rules[i].Name, rulePath(i)))
	}
	return Enumerate(words)
}

// allowed are the issuers that a rule allows.
func (a *adviser) allowed(names []string) []*config.Issuer {
	var issuers []*config.Issuer
	for i := range a.config.Issuers {
		if issuer := &a.config.Issuers[i]; len(names) == 0 || slices.Contains(names, issuer.Name) {
			issuers = append(issuers, issuer)
		}
	}
	return issuers
}

func (a *adviser) anyProves(names []string, organization string) bool {
	return slices.ContainsFunc(a.allowed(names), func(i *config.Issuer) bool { return canProve(i, organization) })
}

// demands advises on what a rule or one of its alternatives asks for.
func (a *adviser) demands(path string, d *config.Demands, what, then string) {
	for _, claim := range d.Claims {
		a.claimName(path+".claims", claim.Claim)
	}
	if len(d.Roles.Values) == 0 {
		return
	}
	if !slices.ContainsFunc(a.allowed(d.Issuers), func(i *config.Issuer) bool { return !i.RolesClaim.IsZero() }) {
		a.advise("roles-without-claim", path+".roles",
			"%s, and no issuer that may be used here has a rolesClaim: %s", what, then)
	}
}

func (a *adviser) organization(path string, rule *config.Rule) {
	asked := rule.Organization.Literal
	if rule.Organization.IsZero() && len(rule.Issuers) > 0 {
		asked = a.config.Organization.Literal
	}
	if asked == "" || asked == config.Any || rule.Public || a.anyProves(rule.Issuers, asked) {
		return
	}
	which := "no issuer"
	if len(rule.Issuers) > 0 {
		which = "no issuer that may be used here"
	}
	a.advise("unprovable-organization", path+".organization", "%s can prove %q: every request under rule %q is refused",
		which, asked, rule.Name)
}

// coveredBy returns the rules that take every request of a rule before it, or
// none if some request is left.
func (a *adviser) coveredBy(i int) []int {
	var taken []int
	m := &a.config.Rules[i].Match
	for _, host := range orAny(m.Hosts) {
		for _, method := range orAny(m.Methods) {
			j := slices.IndexFunc(a.config.Rules[:i], func(before config.Rule) bool {
				return coversHost(before.Match.Hosts, host) && coversMethod(before.Match.Methods, method) &&
					pathOf(&before.Match).covers(pathOf(m))
			})
			if j < 0 {
				return nil
			}
			if !slices.Contains(taken, j) {
				taken = append(taken, j)
			}
		}
	}
	slices.Sort(taken)
	return taken
}

// public advises on a public rule that is wider than one that asks for a
// token.
func (a *adviser) public(i int, unreached []bool) {
	public := &a.config.Rules[i]
	for j := range a.config.Rules {
		rule := &a.config.Rules[j]
		if rule.Public || unreached[j] || !wider(&public.Match, &rule.Match) {
			continue
		}
		if i > j {
			a.advise("public-wider", rulePath(i)+".public", "public rule %q is wider than %s:"+
				" what narrowly misses that one, by a slash at the end or another method, needs no token",
				public.Name, a.describe([]int{j}))
		} else if methods := common(orAny(public.Match.Methods), orAny(rule.Match.Methods)); len(methods) > 0 {
			a.advise("public-wider", rulePath(i)+".public", "public rule %q comes before %s and takes requests of it%s",
				public.Name, a.describe([]int{j}), withoutToken(methods))
		}
	}
}

// wider reports whether one match takes every path of another, on one of its
// hosts at least.
func wider(m, than *config.Match) bool {
	return pathOf(m).covers(pathOf(than)) &&
		slices.ContainsFunc(orAny(than.Hosts), func(host string) bool { return coversHost(m.Hosts, host) })
}

// common returns the methods that both lists have.
func common(a, b []string) []string {
	if slices.Contains(a, anyOne) {
		return b
	}
	if slices.Contains(b, anyOne) {
		return a
	}
	return slices.DeleteFunc(slices.Clone(a), func(method string) bool { return !slices.Contains(b, method) })
}

// withoutToken goes on about requests with these methods.
func withoutToken(methods []string) string {
	switch {
	case slices.Contains(methods, anyOne):
		return ", which need no token there"
	case len(methods) == 1:
		return ": " + methods[0] + " needs no token there"
	}
	return ": " + Enumerate(methods) + " need no token there"
}
