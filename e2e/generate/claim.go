package generate

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode"
)

const badClaim = "claim 401"

// claim judges a well-formed token by one entry.
func (config *Config) claim(i *Issuer, rule *Rule, required string, proven map[*Issuer]string, t *token) *claimant {
	c := &claimant{issuer: i, headers: map[string]string{}, payload: t.payload}
	if c.unproven = t.timeFaults(i); t.told == "" {
		c.unproven = append(c.unproven, t.signatureFaults(i)...)
	}
	c.typeAndAudience(rule, t)
	consumerKey := c.consumerKey(t)
	username := c.username(t, consumerKey)
	if claim := organizationClaim(config, i); claim != nil && !(silent(t, claim) && i.MissingOrganization == "issuer") {
		raw, ok := t.lookup(claim)
		switch {
		case !ok || isNull(raw):
			c.soft.add(badClaim)
		case !single(raw).isName():
			c.hard.add(badClaim)
		}
	}
	c.findOrganization(required, proven)
	for _, name := range i.RequiredClaims {
		if raw, ok := t.lookup(name); !ok || isNull(raw) {
			c.soft.add(badClaim)
		}
	}
	scopes := listed(t, orElse(i.ScopesClaim, "scope"), spaces)
	roles := c.roles(t)

	names := headerNames(config)
	taken := map[string]bool{"x-orgate-report": true, fold(config.ForwardPayload): true}
	write := func(name string, v value) {
		if name == "" || taken[fold(name)] {
			return
		}
		taken[fold(name)] = true
		switch {
		case v.harmful():
			c.hard.add(badClaim)
		case v.fits() && v.text != "":
			c.headers[strings.ToLower(name)] = v.text
		}
	}
	asJSON := config.Headers["lists"] == "json"
	write(names["organization"], value{text: c.organization})
	write(names["username"], username)
	write(names["consumerKey"], consumerKey)
	write(names["scopes"], scopes.write(" ", asJSON))
	write(names["roles"], roles.write(",", asJSON))
	for _, m := range i.ClaimMappings {
		if taken[fold(m.LocalClaim)] {
			continue
		}
		raw, ok := t.lookup(m.RemoteClaim)
		if !ok {
			raw = json.RawMessage("null")
		}
		write(m.LocalClaim, render(raw, asJSON))
	}

	if !c.proves {
		c.soft.add("organization 403")
	}
	lacks := func(d *Demands) (f faults) {
		if !has(scopes.texts, d.Scopes) {
			f.add("scope 403")
		}
		if !has(roles.texts, d.Roles) {
			f.add("role 403")
		}
		if len(d.ConsumerKeys) > 0 && !slices.Contains(d.ConsumerKeys, consumerKey.text) {
			f.add("claim 403")
		}
		for _, claim := range d.Claims {
			raw, _ := t.lookup(claim.Claim)
			if !slices.ContainsFunc(scalars(raw), func(s string) bool { return slices.Contains(claim.In, s) }) {
				f.add("claim 403")
			}
		}
		return f
	}
	c.soft = append(c.soft, lacks(&Demands{Scopes: rule.Scopes, Roles: rule.Roles, ConsumerKeys: rule.ConsumerKeys,
		Claims: rule.Claims})...)
	var lacking faults
	holds := len(rule.AnyOf) == 0
	for _, d := range rule.alternatives(i) {
		if t.isFor(rule.audiencesOf(d, i)) {
			f := lacks(d)
			holds = holds || len(f) == 0
			lacking = append(lacking, f...)
		}
	}
	if !holds {
		c.soft = append(c.soft, lacking...)
		if len(lacking) == 0 {
			c.soft.add("claim 403")
		}
	}
	return c
}

func orElse(name, otherwise any) any {
	if name == nil {
		return otherwise
	}
	return name
}

func (c *claimant) typeAndAudience(rule *Rule, t *token) {
	fits := false
	switch {
	case len(rule.Audiences) > 0:
		fits = t.isFor(rule.Audiences)
	case len(rule.AnyOf) > 0:
		for _, d := range rule.alternatives(c.issuer) {
			fits = fits || t.isFor(rule.audiencesOf(d, c.issuer))
		}
	default:
		fits = t.isFor(c.issuer.Audiences)
	}
	if _, named := t.claims["aud"]; !fits && (named || t.told == "") {
		c.hard.add("audience 401")
	}
	if types := c.issuer.TokenTypes; len(types) > 0 && t.told == "" {
		typ := strings.ToLower(t.typ)
		if rest, ok := strings.CutPrefix(typ, "application/"); ok && !strings.Contains(rest, "/") {
			typ = rest
		}
		if typ == "" || !slices.ContainsFunc(types, func(name string) bool { return strings.ToLower(name) == typ }) {
			c.hard.add(badClaim)
		}
	}
}

// audiencesOf are those that an alternative is for, besides the rule's own.
func (rule *Rule) audiencesOf(d *Demands, i *Issuer) []string {
	if len(d.Audiences) > 0 || len(rule.Audiences) > 0 {
		return d.Audiences
	}
	return i.Audiences
}

// isBound says that a token may be used over a connection with a certificate's
// digest, or without one.
func (i *Issuer) isBound(t *token, digest string) bool {
	if i.CertificateBinding == "ignore" {
		return true
	}
	cnf, ok := t.claims["cnf"]
	thumbprint, bound := t.lookup([]string{"cnf", "x5t#S256"})
	switch {
	case ok && !isNull(cnf) && cnf[0] != '{':
		return false
	case (!bound || isNull(thumbprint)) && t.own != nil:
		return i.isBound(t.own, digest)
	case !bound || isNull(thumbprint):
		return i.CertificateBinding != "require"
	}
	text := ""
	sum, err := hex.DecodeString(digest)
	return err == nil && len(sum) > 0 && isString(thumbprint, &text) && text == b64(string(sum))
}

// isFor says that a token names one of the audiences, if there are any.
func (t *token) isFor(audiences []string) bool {
	var named []string
	if raw, ok := t.claims["aud"]; ok {
		named, _ = stringOrStrings(raw)
	}
	return len(audiences) == 0 || slices.ContainsFunc(named,
		func(a string) bool { return slices.Contains(audiences, a) })
}

// value is what a header may be made of.
type value struct {
	text string
	bad  bool // it could be read as another one
}

// harmful says that the value could end the header.
func (v value) harmful() bool { return strings.ContainsFunc(v.text, unicode.IsControl) }

func (v value) fits() bool {
	return !v.bad && !v.harmful() && strings.TrimSpace(v.text) == v.text
}

// isName says that the value may name somebody.
func (v value) isName() bool { return v.text != "" && v.fits() }

// name is a string, or a number's digits.
func name(raw json.RawMessage) value {
	text := ""
	switch {
	case isString(raw, &text):
		return value{text: text}
	case strings.ContainsRune("-0123456789", rune(raw[0])):
		return value{text: string(raw)}
	}
	return value{bad: true}
}

// single is a name, alone in an array, or as an object's only member.
func single(raw json.RawMessage) value {
	switch list := elements(raw); {
	case raw[0] == '[' && len(list) == 1:
		return name(list[0])
	case raw[0] == '{' && len(list) == 1:
		text := ""
		for member := range members(raw) {
			text = member
		}
		return value{text: text}
	case raw[0] == '[', raw[0] == '{':
		return value{bad: true}
	}
	return name(raw)
}

func (c *claimant) username(t *token, consumerKey value) value {
	raw, ok := t.lookup(orElse(c.issuer.UsernameClaim, "sub"))
	v := value{}
	if ok && !isNull(raw) && string(raw) != `""` {
		v = name(raw)
	} else {
		switch {
		case c.issuer.MissingUsername == "omit":
			return v
		case c.issuer.MissingUsername == "consumerKey" && consumerKey.text != "":
			v = consumerKey
		default:
			c.soft.add(badClaim)
			return v
		}
	}
	if !v.isName() {
		c.hard.add(badClaim)
	}
	return v
}

// prove finds the organization that the token proves to each entry for its
// issuer, whatever the rule allows. Entries to which it proves none are left out.
func (config *Config) prove(t *token) map[*Issuer]string {
	entries := slices.DeleteFunc(config.inUse(), func(i *Issuer) bool { return !i.hasIssued(t) })
	proven := map[*Issuer]string{}
	for _, i := range entries {
		if organization := claimed(t, organizationClaim(config, i), i.OrganizationMapping); organization != "" &&
			(i.Organization == "*" || i.Organization == organization) {
			proven[i] = organization
		}
	}
	// What an entry takes a token without its claim for gives way to claims that
	// prove another organization, unless all of these entries are shared.
	byClaim := maps.Clone(proven)
	for _, i := range entries {
		claim := organizationClaim(config, i)
		if claim != nil && !(silent(t, claim) && i.MissingOrganization == "issuer") {
			continue
		}
		own := true
		for _, organization := range byClaim {
			own = own && organization == i.Organization
		}
		if own || i.SharedAcrossOrganizations && allShared(byClaim) {
			proven[i] = i.Organization
		}
	}
	if len(organizationsIn(proven)) > 1 && !allShared(proven) {
		return nil // several organizations are none
	}
	return proven
}

func allShared(proven map[*Issuer]string) bool {
	for i := range proven {
		if !i.SharedAcrossOrganizations {
			return false
		}
	}
	return true
}

func organizationsIn(proven map[*Issuer]string) map[string]bool {
	all := map[string]bool{}
	for _, organization := range proven {
		all[organization] = true
	}
	return all
}

// silent says that the token does not have a claim.
func silent(t *token, claim any) bool {
	raw, ok := t.lookup(claim)
	return !ok || isNull(raw)
}

// claimed is the organization that a claim says, "" if it says none.
func claimed(t *token, claim any, mapping map[string]string) string {
	if claim == nil || silent(t, claim) {
		return ""
	}
	raw, _ := t.lookup(claim)
	v := single(raw)
	if !v.isName() || v.text == "*" {
		return ""
	}
	if mapping != nil {
		return mapping[v.text]
	}
	return v.text
}

// findOrganization is whom the token speaks for. If it proves several, which are
// all shared, it speaks for the one that is required alone.
func (c *claimant) findOrganization(required string, proven map[*Issuer]string) {
	organization := proven[c.issuer]
	several := len(organizationsIn(proven)) > 1
	c.proves = organization != "" && (required == organization || required == "*" && !several)
	if c.proves || !several {
		c.organization = organization
	}
}

func (c *claimant) consumerKey(t *token) value {
	for _, claim := range []any{orElse(c.issuer.ConsumerKeyClaim, "azp"), "client_id"} {
		raw, ok := t.lookup(claim)
		if ok && !isNull(raw) && string(raw) != `""` {
			return name(raw)
		}
	}
	return value{}
}

// list is a claim with several values.
type list struct {
	texts  []string
	others []json.RawMessage // arrays and objects
	bad    bool
}

// What a list may be besides an array and a scalar.
const (
	spaces = "words between spaces"
	names  = "names of members"
)

// listed is the values of a claim.
func listed(t *token, claim any, also string) list {
	raw, ok := t.lookup(claim)
	text := ""
	switch {
	case !ok || isNull(raw):
		return list{}
	case also == spaces && isString(raw, &text):
		return list{texts: slices.DeleteFunc(strings.Split(text, " "), func(s string) bool { return s == "" })}
	case also == names && raw[0] == '{':
		l := list{}
		for member := range members(raw) {
			if member != "" {
				l.texts = append(l.texts, member)
			}
		}
		return l
	case raw[0] == '{':
		return list{bad: true}
	}
	l := list{texts: slices.DeleteFunc(scalars(raw), func(s string) bool { return s == "" })}
	if raw[0] == '[' {
		for _, e := range elements(raw) {
			if e[0] == '[' || e[0] == '{' {
				l.others = append(l.others, e)
			}
		}
	}
	return l
}

// write writes a list to a header.
func (l list) write(separator string, asJSON bool) value {
	v := value{text: strings.Join(l.texts, separator), bad: l.bad}
	for _, text := range l.texts {
		if (value{text: text}).harmful() {
			return value{text: "\x00"}
		}
		v.bad = v.bad || !asJSON && (strings.Contains(text, separator) || strings.TrimSpace(text) != text)
	}
	for _, other := range l.others {
		if (value{text: string(compact(other))}).harmful() {
			return value{text: "\x00"}
		}
	}
	if !asJSON {
		v.bad = v.bad || len(l.others) > 0
		return v
	}
	var all []string
	for _, text := range l.texts {
		all = append(all, plainJSON(text))
	}
	for _, other := range l.others {
		all = append(all, string(compact(other)))
	}
	if v.text = ""; len(all) > 0 {
		v.text = "[" + strings.Join(all, ",") + "]"
	}
	return v
}

// plainJSON is a text as JSON in which nothing is escaped that need not be.
func plainJSON(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

func compact(raw json.RawMessage) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// members goes through the names of an object's members, in order.
func members(raw json.RawMessage) iter.Seq[string] {
	return func(yield func(string) bool) {
		d := json.NewDecoder(bytes.NewReader(raw))
		for _, err := d.Token(); err == nil && d.More(); {
			member, _ := d.Token()
			var skipped json.RawMessage
			if err = d.Decode(&skipped); !yield(member.(string)) {
				return
			}
		}
	}
}

func (c *claimant) roles(t *token) list {
	i := c.issuer
	if i.RolesClaim == nil {
		return list{}
	}
	all := len(i.RoleMappings) == 0 || i.ExcludeUnmappedRoles != nil && !*i.ExcludeUnmappedRoles
	remote, roles := listed(t, i.RolesClaim, names), list{}
	if all {
		roles.others = remote.others
	}
	for _, role := range remote.texts {
		local := []string{}
		for _, m := range i.RoleMappings {
			if m.RemoteRole == role {
				local = append(local, m.LocalRole)
			}
		}
		if len(local) == 0 && all {
			local = append(local, role)
		}
		for _, role := range local {
			if !slices.Contains(roles.texts, role) {
				roles.texts = append(roles.texts, role)
			}
		}
	}
	return roles
}

// has reports whether a token has what a rule asks for.
func has(list []string, asks any) bool {
	switch asks := asks.(type) {
	case All:
		return !slices.ContainsFunc(asks.All, func(s string) bool { return !slices.Contains(list, s) })
	case []string:
		return slices.ContainsFunc(asks, func(s string) bool { return slices.Contains(list, s) })
	}
	return true
}

// scalars are the scalars that a claim is or holds, as text.
func scalars(raw json.RawMessage) []string {
	if len(raw) == 0 || isNull(raw) || raw[0] == '{' {
		return nil
	}
	text := ""
	if isString(raw, &text) {
		return []string{text}
	}
	if raw[0] != '[' {
		return []string{string(raw)}
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		panic(err)
	}
	var list []string
	for _, e := range elements {
		if e[0] != '[' {
			list = append(list, scalars(e)...)
		}
	}
	return list
}

// render writes a claim as a header's value.
func render(raw json.RawMessage, asJSON bool) value {
	switch {
	case raw[0] == '{', raw[0] == '[' && slices.ContainsFunc(elements(raw),
		func(e json.RawMessage) bool { return e[0] == '[' || e[0] == '{' }):
		text := string(compact(raw))
		if text == "{}" {
			text = ""
		}
		return value{text: text}
	case raw[0] == '[':
		l := list{texts: slices.DeleteFunc(scalars(raw), func(s string) bool { return s == "" })}
		v := l.write(",", asJSON)
		if asJSON && v.text != "" && !v.harmful() {
			v.text = string(compact(raw))
		}
		return v
	}
	return value{text: strings.Join(scalars(raw), "")}
}

// elements are the values in an array or an object.
func elements(raw json.RawMessage) (list []json.RawMessage) {
	switch raw[0] {
	case '[':
		if err := json.Unmarshal(raw, &list); err != nil {
			panic(err)
		}
	case '{':
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil {
			panic(err)
		}
		list = slices.Collect(maps.Values(object))
	}
	return list
}

// headerNames are the identity headers, "" for one that is turned off.
func headerNames(config *Config) map[string]string {
	names := map[string]string{
		"organization": "x-wso2-organization", "username": "x-wso2-username", "consumerKey": "x-wso2-consumer-key",
		"scopes": "x-wso2-scopes", "roles": "x-wso2-roles",
	}
	maps.Copy(names, config.Headers)
	delete(names, "lists")
	return names
}

// fold is what names that an upstream may take for the same have in common:
// their letters and digits, whatever their case.
func fold(name string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x80 && (unicode.IsLetter(c) || unicode.IsDigit(c)) {
			return c
		}
		return '-'
	}, strings.ToLower(name))
}
