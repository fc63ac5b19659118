package explain

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"orgate/cmd/orgate/internal/keyfetch"
	"orgate/config"
	"orgate/gate"
	"orgate/jwks"
	"orgate/jwt"
	"orgate/policy"
)

// begin starts the steps anew.
func (t *tracer) begin() {
	r := &t.in.Request
	t.steps = nil
	t.add("request", "%s %s://%s%s", r.Method, r.Scheme, r.Host, r.Path)
	for _, h := range r.Headers {
		if t.gate.IsIdentityHeader(h[0]) {
			t.more("%s is removed: the client may not set identity headers", h[0])
		}
	}
}

func (t *tracer) add(name, format string, args ...any) {
	t.steps = append(t.steps, Step{Name: name, Lines: []string{fmt.Sprintf(format, args...)}})
}

// more adds a line to the latest step.
func (t *tracer) more(format string, args ...any) {
	last := &t.steps[len(t.steps)-1]
	last.Lines = append(last.Lines, fmt.Sprintf(format, args...))
}

// Step implements [gate.Observer].
func (t *tracer) Step(s gate.Step, d *gate.Decision, err error) {
	describe := [...]func(*tracer, *gate.Decision, error){
		gate.StepRule:         (*tracer).rule,
		gate.StepPreflight:    (*tracer).preflight,
		gate.StepToken:        (*tracer).token,
		gate.StepIssuer:       (*tracer).issuer,
		gate.StepAlgorithm:    (*tracer).algorithm,
		gate.StepTime:         (*tracer).time,
		gate.StepKey:          (*tracer).key,
		gate.StepType:         (*tracer).typ,
		gate.StepAudience:     (*tracer).audience,
		gate.StepBinding:      (*tracer).binding,
		gate.StepIdentity:     (*tracer).identity,
		gate.StepOrganization: (*tracer).organization,
		gate.StepDemands:      (*tracer).demands,
	}
	before := len(t.steps)
	describe[s](t, d, err)
	switch {
	case err == nil:
	case len(t.steps) == before: // nothing was said that would be worth it without the refusal
		t.add(s.String(), "%v", err)
		fallthrough
	default:
		t.steps[len(t.steps)-1].Refused = true
	}
	if err != nil && d.Issuer != nil && d.Issuer.Config.ReportOnly && policy.ByRule(err) {
		t.add("report", "issuer %q is in report-only mode: the refusal is reported, and the request passes",
			d.Issuer.Name)
	}
}

func (t *tracer) rule(d *gate.Decision, err error) {
	switch {
	case errors.Is(err, policy.ErrNoRule):
		t.add("rule", "none matches: a request that matches none is refused, whatever its token")
		return
	case err != nil:
		t.add("rule", "none is chosen: %v", err)
		return
	}
	t.add("rule", "%s", t.describeRule(d))
	if d.Rule.Public {
		t.more("it is public: no token is asked for, and none is looked at")
	}
}

func (t *tracer) preflight(*gate.Decision, error) {
	t.add("preflight", "browsers ask before they call: no token is asked for (bypassCORSPreflight)")
}

func (t *tracer) token(d *gate.Decision, err error) {
	switch {
	case d.Public:
		t.add("token", "there is none, and the rule lets that pass (optional)")
	case errors.Is(err, gate.ErrNoToken):
		t.add("token", "there is none")
	case errors.Is(err, gate.ErrSeveralTokens):
		t.add("token", "there are %d different ones, the first in %s", len(t.tokens), place(d))
	case d.Token == nil:
		t.add("token", "%v; %d bytes, in %s", err, d.TokenBytes(), place(d))
		switch {
		case errors.Is(err, gate.ErrOpaque):
			t.more("no issuer's tokenHandling takes it: that needs the kind REFERENCE or CUSTOM, a pattern that it " +
				"matches, and" +
				" introspection; or have the provider issue JWTs")
		case errors.Is(err, gate.ErrIntrospection), errors.Is(err, gate.ErrInactive):
			t.more("issuer %q is asked about it, at %s", d.Issuer.Name, d.Issuer.Config.Introspection.URL)
			t.more("it is not asked from here: give its answer with --introspection %s=FILE", d.Issuer.Name)
		}
		if limit := t.in.Config.Limits.TokenBytes; d.TokenBytes() > limit {
			t.more("limits.tokenBytes is %d", limit)
		}
	case d.Token.Algorithm == "":
		t.add("token", "%d bytes, in %s", d.TokenBytes(), place(d))
		t.more("its provider stands for it (introspection)")
	default:
		t.add("token", "%s, %d bytes, in %s", describeHeader(d.Token), d.TokenBytes(), place(d))
	}
}

// place is where the token stands, for people.
func place(d *gate.Decision) string {
	if d.Place.Kind == "query" {
		return "the query parameter " + d.Place.Name
	}
	return "the " + d.Place.String()
}

func describeHeader(token *jwt.Token) string {
	typ, kid := "no typ", "no kid"
	if token.Type != "" {
		typ = fmt.Sprintf("typ %q", token.Type)
	}
	if token.HasKeyID {
		kid = fmt.Sprintf("kid %q", token.KeyID)
	}
	return fmt.Sprintf("alg %q, %s, %s", token.Algorithm, kid, typ)
}

func (t *tracer) issuer(d *gate.Decision, err error) {
	if d.Token == nil {
		return // of an introspection that has not ended
	}
	iss := d.Token.Claims.Issuer()
	switch {
	case err == nil:
		t.add("issuer", "%q, bound to organization %q: iss %q", d.Issuer.Name, d.Issuer.Config.Organization,
			d.Issuer.Config.Issuer)
	case slices.ContainsFunc(t.in.Config.Issuers, func(i config.Issuer) bool { return i.Issuer == iss }):
		t.add("issuer", "the rule allows none that has the token's iss, %q", iss)
	default:
		t.add("issuer", "no issuer has the token's iss, %q", iss)
		t.nearMiss(iss)
	}
}

// nearMiss looks for an issuer that was probably meant.
func (t *tracer) nearMiss(iss string) {
	for i := range t.in.Config.Issuers {
		issuer := &t.in.Config.Issuers[i]
		if strings.EqualFold(strings.TrimRight(iss, "/"), strings.TrimRight(issuer.Issuer, "/")) {
			t.more("issuer %q has %q: case and the slash at the end matter", issuer.Name, issuer.Issuer)
		}
		if before, _, ok := strings.Cut(issuer.Issuer, config.Tenant); ok && strings.HasPrefix(iss, before) {
			t.more("issuer %q has %q: {tid} stands for the token's own claim \"tid\"", issuer.Name, issuer.Issuer)
		}
	}
}

func (t *tracer) algorithm(d *gate.Decision, _ error) {
	t.add("algorithm", "%q, allowed are %s", d.Token.Algorithm, strings.Join(d.Issuer.Config.Algorithms, ", "))
}

func (t *tracer) time(d *gate.Decision, err error) {
	c := d.Issuer.Config
	t.add("time", "it is %s; clock skew %v", t.in.Now.UTC().Format(time.RFC3339), time.Duration(c.ClockSkew))
	for _, name := range []string{"exp", "nbf", "iat"} {
		value, ok := d.Token.Claims.Get(name)
		if !ok {
			t.more("%s: none", name)
			continue
		}
		at := time.Unix(int64(value.Num), 0).UTC()
		when := "from now"
		away := at.Sub(t.in.Now).Round(time.Second)
		if away < 0 {
			away, when = -away, "ago"
		}
		t.more("%s: %s, %v %s", name, at.Format(time.RFC3339), away, when)
	}
	if c.MaxTokenAge != 0 {
		t.more("maxTokenAge: %v after iat", time.Duration(c.MaxTokenAge))
	}
	if err != nil {
		t.more("%v", err)
	}
}

func (t *tracer) key(d *gate.Decision, err error) {
	if d.Token.KeyID != "" {
		t.add("key", "wanted: kid %q, for %s", d.Token.KeyID, d.Token.Algorithm)
	} else {
		t.add("key", "wanted for %s", d.Token.Algorithm)
	}
	t.keySets(d.Issuer.Config)
	for i, key := range d.Tried {
		switch last := i == len(d.Tried)-1; {
		case last && err == nil:
			t.more("verified with %s", describeKey(key))
		case last && !errors.Is(err, jwt.ErrSignature) && !errors.Is(err, gate.ErrKeysUnavailable) &&
			!errors.Is(err, jwt.ErrUnknownKey):
			t.more("%s: %v", describeKey(key), err)
		default:
			t.more("not signed with %s", describeKey(key))
		}
	}
	if errors.Is(err, jwt.ErrUnknownKey) {
		t.more("no key of the issuer fits")
	}
}

func describeKey(key *jwt.Key) string {
	if key.ID == "" {
		return "the key with thumbprint " + key.Thumbprint
	}
	return fmt.Sprintf("kid %q, thumbprint %s", key.ID, key.Thumbprint)
}

// keySets tells of the issuer's keys, in the order in which they are asked.
func (t *tracer) keySets(issuer *config.Issuer) {
	validation := &issuer.SignatureValidation
	if j := validation.JWKS; j != nil {
		t.jwkSet(issuer, j)
	}
	if validation.Certificate != nil {
		if set, err := jwks.ParsePEM(validation.Certificate.CertificateInline); err == nil {
			t.more("%s from certificateInline", keysText(len(set.Keys)))
		}
	}
}

// jwkSet tells of the issuer's JWK Set.
func (t *tracer) jwkSet(issuer *config.Issuer, j *config.JWKS) {
	set, from, err := t.readSet(issuer, j)
	if err != nil {
		t.more("no keys: %v", err)
		return
	}
	set = set.Pin(j.Pins)
	t.more("%s from %s", keysText(len(set.Keys)), from)
	for _, reason := range set.Unusable {
		t.more("not used: %v", reason)
	}
}

func keysText(n int) string {
	if n == 1 {
		return "1 usable key"
	}
	return strconv.Itoa(n) + " usable keys"
}

// readSet reads the issuer's JWK Set as it was fetched.
func (t *tracer) readSet(issuer *config.Issuer, j *config.JWKS) (set *jwks.Set, from string, err error) {
	if j.Inline != "" {
		set, err = jwks.Parse(string(j.Inline))
		return set, "inline", err
	}
	location := j.URL
	if j.WellKnown != "" {
		f, ok := t.documents[j.Cluster+" "+j.WellKnown]
		if !ok || f.err != nil {
			return nil, "", notFetched(j.WellKnown, f)
		}
		if location, err = keyfetch.Follow(issuer, f.document.Body); err != nil {
			f.response.Misdirected = err
			_, err = f.response.Fault(jwks.MaxDocument)
			return nil, "", fmt.Errorf("%s: %w", j.WellKnown, err)
		}
	}
	f, ok := t.documents[j.Cluster+" "+location]
	if !ok || f.err != nil {
		return nil, "", notFetched(location, f)
	}
	from = location
	if f.document.File != "" {
		from = f.document.File
	}
	if set, _, err = f.response.Set(); err != nil {
		return nil, "", fmt.Errorf("%s: %w", from, err)
	}
	return set, from, nil
}

func notFetched(location string, f fetched) error {
	if f.err == nil {
		return fmt.Errorf("%s: not asked for yet", location)
	}
	return fmt.Errorf("%s: %w", location, f.err)
}

func (t *tracer) typ(d *gate.Decision, err error) {
	if types := d.Issuer.Config.TokenTypes; len(types) > 0 {
		t.add("type", "typ %q, allowed are %s", d.Token.Type, strings.Join(types, ", "))
	}
}

func (t *tracer) audience(d *gate.Decision, _ error) {
	wanted := d.Rule.Audiences(d.Issuer)
	if len(wanted) == 0 {
		t.add("audience", "not checked: neither issuer nor rule names any")
		return
	}
	aud, _ := d.Token.Claims.Get("aud")
	t.add("audience", "aud %s; any one of %s will do", orNone(aud), quoted(wanted))
}

func (t *tracer) binding(_ *gate.Decision, err error) {
	shown := "none"
	if t.in.Request.Certificate != "" {
		shown = "SHA-256 " + t.in.Request.Certificate
	}
	t.add("binding", "the token is for one client certificate (cnf.x5t#S256); the client shows %s", shown)
	if err != nil {
		t.more("%v", err)
	}
}

// identity names the claims and what each was used for, and then who calls.
func (t *tracer) identity(d *gate.Decision, err error) {
	t.claims(d)
	id := d.Identity
	if id == nil {
		t.add("identity", "%s", claimProblem(err))
		return
	}
	name := d.Issuer.Config.UsernameClaim
	switch {
	case id.Username != "":
		t.add("identity", "username %q", id.Username)
		if v, _ := d.Token.Claims.Lookup(name.Name, name.Path...); v.String() == "" {
			t.more("the token names no user: the client stands in (missingUsername)")
		}
	case err == nil:
		t.add("identity", "no username, and the issuer lets that pass (missingUsername)")
	default:
		t.add("identity", "no username")
	}
	for _, part := range []struct{ name, value string }{
		{"consumer key", quotedIf(id.ConsumerKey)}, {"scopes", quoted(id.Scopes)}, {"roles", quoted(id.Roles)},
	} {
		if part.value != "" {
			t.more("%s %s", part.name, part.value)
		}
	}
	for _, h := range id.LeftOut {
		t.more("%s is left out: %s", h.Header, h.Problem)
	}
	if err != nil {
		t.more("%s", claimProblem(err))
	}
}

func orNone(v gjson.Result) string {
	switch {
	case !v.Exists():
		return "nothing"
	case v.Type == gjson.String:
		return strconv.Quote(v.Str)
	}
	return oneLine(v.Raw)
}

func quoted(list []string) string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = strconv.Quote(w)
	}
	return strings.Join(words, ", ")
}

func quotedIf(s string) string {
	if s == "" {
		return ""
	}
	return strconv.Quote(s)
}

// claimProblem names the claim in an error that leaves it out.
func claimProblem(err error) string {
	if claim, ok := errors.AsType[*policy.ClaimError](err); ok {
		return fmt.Sprintf("%v (%s)", err, claimText(claim.Claim))
	}
	return err.Error()
}

func claimText(name config.ClaimName) string {
	if name.Name != "" {
		return strconv.Quote(name.Name)
	}
	return "[" + quoted(name.Path) + "]"
}

func (t *tracer) organization(d *gate.Decision, err error) {
	required := d.Required
	from := "the top level"
	source := t.in.Config.Organization
	if d.Rule.Index >= 0 && !t.in.Config.Rules[d.Rule.Index].Organization.IsZero() {
		from, source = "the rule", t.in.Config.Rules[d.Rule.Index].Organization
	}
	wants := fmt.Sprintf("%q", required)
	switch {
	case required == "":
		wants = "one that the request does not name"
	case required == config.Any:
		wants = "any"
	}
	for _, s := range []struct{ name, value string }{
		{"the host, as ", source.FromHost}, {"the path, as ", source.FromPath},
		{"the route's metadata, ", source.FromRouteMetadata},
	} {
		if s.value != "" {
			from += " has it from " + s.name + s.value
		}
	}
	t.add("organization", "required: %s (%s)", wants, from)
	if name := d.Issuer.Config.OrganizationClaim; !name.IsZero() {
		claim, _ := d.Token.Claims.Lookup(name.Name, name.Path...)
		t.more("the token says: %s (claim %s)", orNone(claim), claimText(name))
	}
	if d.Identity.Organization == "" {
		t.more("proven: none")
	} else {
		t.more("proven: %q", d.Identity.Organization)
	}
	if err != nil {
		t.more("%s", claimProblem(err))
	}
}

// demands tells what the rule asks for besides.
func (t *tracer) demands(d *gate.Decision, err error) {
	rule := &config.Rule{}
	if d.Rule.Index >= 0 {
		rule = &t.in.Config.Rules[d.Rule.Index]
	}
	own := rule.Own()
	asks := demandsText(&own)
	if len(rule.AnyOf) > 0 {
		asks = append(asks, "any of these, besides (anyOf):")
	}
	for i := range rule.AnyOf {
		d := &rule.AnyOf[i]
		texts := demandsText(d)
		if len(d.Issuers) > 0 {
			texts = append(texts, "issuer: any of "+quoted(d.Issuers))
		}
		if len(d.Audiences) > 0 {
			texts = append(texts, "audience: any of "+quoted(d.Audiences))
		}
		asks = append(asks, "- "+strings.Join(texts, "; "))
	}
	if len(asks) == 0 {
		return
	}
	t.add("demands", "%s", asks[0])
	for _, a := range asks[1:] {
		t.more("%s", a)
	}
	if err != nil {
		t.more("refused: %s", claimProblem(err))
	}
}

// demandsText says what is asked of scopes, roles, clients and claims.
func demandsText(d *config.Demands) []string {
	var asks []string
	for _, a := range []struct {
		name string
		list config.AnyOrAll
	}{{"scopes", d.Scopes}, {"roles", d.Roles}} {
		if len(a.list.Values) > 0 {
			asks = append(asks, fmt.Sprintf("%s: %s %s", a.name,
				map[bool]string{true: "all of", false: "any of"}[a.list.All], quoted(a.list.Values)))
		}
	}
	if len(d.ConsumerKeys) > 0 {
		asks = append(asks, "consumer key: any of "+quoted(d.ConsumerKeys))
	}
	for _, c := range d.Claims {
		asks = append(asks, fmt.Sprintf("claim %s: any of %s", claimText(c.Claim), quoted(c.In)))
	}
	return asks
}

// claims names the token's claims and what each was used for.
func (t *tracer) claims(d *gate.Decision) {
	uses := map[string][]string{}
	use := func(name config.ClaimName, what string) {
		top := topClaim(d.Token.Claims, name)
		if top != "" && !slices.Contains(uses[top], what) {
			uses[top] = append(uses[top], what)
		}
	}
	named := func(name string) config.ClaimName { return config.ClaimName{Name: name} }
	c := d.Issuer.Config
	use(named("iss"), "issuer")
	for _, name := range []string{"exp", "nbf", "iat"} {
		use(named(name), "time")
	}
	if len(d.Rule.Audiences(d.Issuer)) > 0 {
		use(named("aud"), "audience")
	}
	use(c.UsernameClaim, "username")
	use(c.OrganizationClaim, "organization")
	use(c.ScopesClaim, "scopes")
	use(c.ConsumerKeyClaim, "consumer key")
	if _, ok := d.Token.Claims.Lookup(c.ConsumerKeyClaim.Name, c.ConsumerKeyClaim.Path...); !ok {
		use(named("client_id"), "consumer key")
	}
	use(c.RolesClaim, "roles")
	for _, name := range c.RequiredClaims {
		use(name, "required")
	}
	for _, m := range c.ClaimMappings {
		use(m.RemoteClaim, "header "+m.LocalClaim)
	}
	if d.Rule.Index >= 0 {
		rule := &t.in.Config.Rules[d.Rule.Index]
		for _, demands := range append([]config.Demands{rule.Own()}, rule.AnyOf...) {
			for _, c := range demands.Claims {
				use(c.Claim, "rule")
			}
		}
	}
	var used, unused []string
	for name := range d.Token.Claims.Names() {
		if what := uses[name]; len(what) > 0 {
			used = append(used, printable(name)+" ("+strings.Join(what, ", ")+")")
			delete(uses, name)
		} else {
			unused = append(unused, printable(name))
		}
	}
	t.add("claims", "used: %s", strings.Join(used, ", "))
	if len(unused) > 0 {
		t.more("not used: %s", some(unused))
	}
	var absent []string
	for name, what := range uses {
		if what[0] != "time" {
			absent = append(absent, printable(name)+" ("+strings.Join(what, ", ")+")")
		}
	}
	if slices.Sort(absent); len(absent) > 0 {
		t.more("not in the token: %s", strings.Join(absent, ", "))
	}
}

// topClaim is the claim in which a name is looked up, whether it is there or not.
func topClaim(claims jwt.Claims, name config.ClaimName) string {
	if name.Name == "" && len(name.Path) > 0 {
		return name.Path[0]
	}
	for top, more := name.Name, true; more; {
		if _, ok := claims.Get(top); ok {
			return top
		}
		dot := strings.LastIndexByte(top, '.')
		if more = dot > 0; more {
			top = top[:dot]
		}
	}
	return name.Name
}

// some lists names, not too many of them.
func some(names []string) string {
	const most = 40
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// printable is a claim's name, quoted if it is an unusual one.
func printable(name string) string {
	quoted := strconv.QuoteToASCII(name)
	if quoted == `"`+name+`"` && !strings.ContainsAny(name, " ,()") {
		return name
	}
	return quoted
}

// oneLine is a header's value, quoted unless it is printable ASCII.
func oneLine(value string) string {
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c >= 0x7f }) {
		return strconv.QuoteToASCII(value)
	}
	return value
}

func (t *tracer) describeRule(d *gate.Decision) string {
	if d.Rule.Index < 0 {
		return "there are none: a token of the top level's organization is asked for"
	}
	m := &t.in.Config.Rules[d.Rule.Index].Match
	var parts []string
	for _, p := range []struct{ name, value string }{
		{"hosts", strings.Join(m.Hosts, ", ")}, {"path", m.Path}, {"pathPrefix", m.PathPrefix},
		{"pathTemplate", m.PathTemplate}, {"methods", strings.Join(m.Methods, ", ")},
	} {
		if p.value != "" {
			parts = append(parts, p.name+" "+p.value)
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "every request")
	}
	return fmt.Sprintf("%q (rules[%d]): %s", d.Rule.Name, d.Rule.Index, strings.Join(parts, ", "))
}

// upstream tells what the plugin changes of the request's headers.
func (t *tracer) upstream(d *gate.Decision) []string {
	if d.Verdict != gate.Pass {
		return nil
	}
	before := t.in.Request.headers()
	after := edited(before, d.Edits())
	var lines []string
	for i, h := range before {
		had, has := values(before, h[0]), values(after, h[0])
		switch {
		case len(values(before[:i], h[0])) > 0, slices.Equal(had, has):
		case h[0] == ":path":
			lines = append(lines, ":path is without the token")
		case len(has) == 0:
			lines = append(lines, h[0]+" is removed")
		case !t.gate.IsIdentityHeader(h[0]):
			lines = append(lines, h[0]+" is without the token")
		}
	}
	if d.Rule.ForwardToken && len(t.tokens) > 0 {
		lines = append(lines, "the token is passed on (forwardToken)")
	}
	for _, h := range after {
		if !t.gate.IsIdentityHeader(h[0]) {
			continue
		}
		value := oneLine(h[1])
		if h[0] == t.in.Config.ForwardPayload {
			value = fmt.Sprintf("(the token's payload, %d bytes)", len(h[1]))
		}
		lines = append(lines, h[0]+": "+value)
	}
	return lines
}

// edited is a header map once the edits are carried out.
func edited(headers [][2]string, edits []gate.Edit) [][2]string {
	after := slices.Clone(headers)
	for _, e := range edits {
		if e.Op != gate.Add {
			after = slices.DeleteFunc(after, func(h [2]string) bool { return h[0] == e.Name })
		}
		if e.Op != gate.Remove {
			after = append(after, [2]string{e.Name, e.Value})
		}
	}
	return after
}

func values(headers [][2]string, name string) []string {
	var all []string
	for _, h := range headers {
		if h[0] == name {
			all = append(all, h[1])
		}
	}
	return all
}
