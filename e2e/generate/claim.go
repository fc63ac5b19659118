package generate

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"
)

const badClaim = "claim 401"

// claim judges a well-formed token by one entry.
func (config *Config) claim(i *Issuer, rule *Rule, required string, proven map[*Issuer]string, t *token) *claimant {
	c := &claimant{issuer: i, headers: map[string]string{}, payload: t.payload}
	c.unproven = append(t.timeFaults(i), t.signatureFaults(i)...)
	c.typeAndAudience(rule, t)
	username := c.text(t, orElse(i.UsernameClaim, "sub"))
	if claim := organizationClaim(config, i); claim != nil && !(silent(t, claim) && i.MissingOrganization == "issuer") {
		c.text(t, claim)
	}
	c.findOrganization(required, proven)
	for _, name := range i.RequiredClaims {
		if raw, ok := t.lookup(name); !ok || isNull(raw) {
			c.soft.add(badClaim)
		}
	}
	consumerKey := c.consumerKey(t)
	scopes := c.list(t, orElse(i.ScopesClaim, "scope"), true)
	roles := c.roles(t)

	names := headerNames(config)
	taken := map[string]bool{"x-orgate-report": true, fold(config.ForwardPayload): true}
	write := func(name, value string) {
		if name == "" || taken[fold(name)] {
			return
		}
		taken[fold(name)] = true
		if value != "" {
			c.headers[strings.ToLower(name)] = value
		}
	}
	write(names["organization"], c.organization)
	write(names["username"], username)
	write(names["consumerKey"], consumerKey)
	write(names["scopes"], strings.Join(scopes, " "))
	write(names["roles"], strings.Join(roles, ","))
	for _, m := range i.ClaimMappings {
		if taken[fold(m.LocalClaim)] {
			continue
		}
		raw, ok := t.lookup(m.RemoteClaim)
		if !ok {
			raw = json.RawMessage("null")
		}
		write(m.LocalClaim, c.render(raw))
	}

	if !c.proves {
		c.soft.add("organization 403")
	}
	if !has(scopes, rule.Scopes) {
		c.soft.add("scope 403")
	}
	if !has(roles, rule.Roles) {
		c.soft.add("role 403")
	}
	if len(rule.ConsumerKeys) > 0 && !slices.Contains(rule.ConsumerKeys, consumerKey) {
		c.soft.add("claim 403")
	}
	for _, claim := range rule.Claims {
		raw, _ := t.lookup(claim.Claim)
		if !slices.ContainsFunc(scalars(raw), func(s string) bool { return slices.Contains(claim.In, s) }) {
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
	audiences := c.issuer.Audiences
	if len(rule.Audiences) > 0 {
		audiences = rule.Audiences
	}
	if len(audiences) > 0 {
		var named []string
		if raw, ok := t.claims["aud"]; ok {
			named, _ = stringOrStrings(raw)
		}
		if !slices.ContainsFunc(named, func(a string) bool { return slices.Contains(audiences, a) }) {
			c.hard.add("audience 401")
		}
	}
	if types := c.issuer.TokenTypes; len(types) > 0 {
		typ := strings.ToLower(t.typ)
		if rest, ok := strings.CutPrefix(typ, "application/"); ok && !strings.Contains(rest, "/") {
			typ = rest
		}
		if typ == "" || !slices.ContainsFunc(types, func(name string) bool { return strings.ToLower(name) == typ }) {
			c.hard.add(badClaim)
		}
	}
}

// text is a claim that must be a string.
func (c *claimant) text(t *token, name any) string {
	raw, ok := t.lookup(name)
	if !ok || isNull(raw) {
		c.soft.add(badClaim)
		return ""
	}
	text := ""
	if !isString(raw, &text) || text == "" || unfit(text) {
		c.hard.add(badClaim)
	}
	return text
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
	case !bound || isNull(thumbprint):
		return i.CertificateBinding != "require"
	}
	text := ""
	sum, err := hex.DecodeString(digest)
	return err == nil && len(sum) > 0 && isString(thumbprint, &text) && text == b64(string(sum))
}

// unfit says that a header cannot carry a text as it is.
func unfit(text string) bool {
	return strings.ContainsFunc(text, unicode.IsControl) || strings.TrimSpace(text) != text
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
	value := ""
	if !isString(raw, &value) || unfit(value) || value == "*" {
		return ""
	}
	if mapping != nil {
		return mapping[value]
	}
	return value
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

func (c *claimant) consumerKey(t *token) string {
	for _, name := range []any{orElse(c.issuer.ConsumerKeyClaim, "azp"), "client_id"} {
		raw, ok := t.lookup(name)
		if ok && !isNull(raw) && string(raw) != `""` {
			return c.text(t, name)
		}
	}
	return ""
}

// list is a claim that is a string or an array of strings.
func (c *claimant) list(t *token, name any, scopes bool) []string {
	raw, ok := t.lookup(name)
	if !ok || isNull(raw) {
		return nil
	}
	list, ok := stringOrStrings(raw)
	if !ok {
		c.hard.add(badClaim)
		return nil
	}
	if scopes && raw[0] == '"' {
		list = strings.Split(list[0], " ")
	}
	list = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	for _, s := range list {
		if scopes && (unfit(s) || strings.Contains(s, " ")) {
			c.hard.add(badClaim)
		}
	}
	return list
}

func (c *claimant) roles(t *token) []string {
	i := c.issuer
	if i.RolesClaim == nil {
		return nil
	}
	var roles []string
	for _, remote := range c.list(t, i.RolesClaim, false) {
		local := []string{}
		for _, m := range i.RoleMappings {
			if m.RemoteRole == remote {
				local = append(local, m.LocalRole)
			}
		}
		if len(local) == 0 && (len(i.RoleMappings) == 0 || i.ExcludeUnmappedRoles != nil && !*i.ExcludeUnmappedRoles) {
			local = append(local, remote)
		}
		for _, role := range local {
			if !slices.Contains(roles, role) {
				roles = append(roles, role)
			}
		}
	}
	for _, role := range roles {
		if unfit(role) || strings.Contains(role, ",") {
			c.hard.add(badClaim)
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
func (c *claimant) render(raw json.RawMessage) string {
	text := ""
	switch {
	case raw[0] == '{', raw[0] == '[' && slices.ContainsFunc(elements(raw),
		func(e json.RawMessage) bool { return e[0] == '[' || e[0] == '{' }):
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil {
			panic(err)
		}
		if text = b.String(); text == "{}" {
			text = ""
		}
	case raw[0] == '[':
		list := slices.DeleteFunc(scalars(raw), func(s string) bool { return s == "" })
		for _, s := range list {
			if strings.Contains(s, ",") || unfit(s) {
				c.hard.add(badClaim)
			}
		}
		text = strings.Join(list, ",")
	default:
		text = strings.Join(scalars(raw), "")
	}
	if unfit(text) {
		c.hard.add(badClaim)
	}
	return text
}

func elements(raw json.RawMessage) []json.RawMessage {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		panic(err)
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
