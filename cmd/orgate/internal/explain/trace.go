package explain

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"orgate/cmd/orgate/internal/keyfetch"
	"orgate/config"
	"orgate/host"
	"orgate/internal/httptext"
	"orgate/jwks"
	"orgate/jwt"
	"orgate/policy"
)

// verdict is what the steps lead to, or what the plugin decided.
type verdict struct {
	passed bool
	// reason is the plugin's: see the metrics in the reference.
	reason               string
	issuer, organization string
	headers              [][2]string // identity headers
}

// compare tells where the plugin decided otherwise than was expected.
func compare(expected verdict, plugin *outcome) []string {
	var all []string
	differ := func(what, want, got string) {
		if want != got {
			all = append(all, fmt.Sprintf("%s: the steps lead to %q, the plugin says %q", what, want, got))
		}
	}
	differ("passes", strconv.FormatBool(expected.passed), strconv.FormatBool(plugin.passed))
	differ("reason", expected.reason, plugin.reason)
	differ("issuer", expected.issuer, plugin.issuer)
	differ("organization", expected.organization, plugin.organization)
	if plugin.passed {
		for _, h := range expected.headers {
			differ("header "+h[0], h[1], strings.Join(plugin.upstream.Values(h[0]), ", "))
		}
	}
	return all
}

// tracer takes the steps of a decision.
type tracer struct {
	in      *Input
	fetched map[string]fetched
	steps   []Step

	policy   *policy.Policy
	rule     *policy.Rule
	token    *jwt.Token
	issuer   *policy.Issuer
	identity *policy.Identity
}

func (t *tracer) step(name, format string, args ...any) {
	t.steps = append(t.steps, Step{Name: name, Lines: []string{fmt.Sprintf(format, args...)}})
}

// more adds a line to the latest step.
func (t *tracer) more(format string, args ...any) {
	last := &t.steps[len(t.steps)-1]
	last.Lines = append(last.Lines, fmt.Sprintf(format, args...))
}

// refuse ends the way with the latest step.
func (t *tracer) refuse(err error) verdict {
	t.steps[len(t.steps)-1].Refused = true
	v := verdict{reason: reasonOf(err)}
	if t.issuer != nil {
		v.issuer = t.issuer.Name
	}
	return v
}

func (t *tracer) allow(reason string) verdict { return verdict{passed: true, reason: reason} }

var (
	errNoToken         = errors.New("no token")
	errKeysUnavailable = errors.New("keys unavailable")
)

// reasons are the labels of errors, as the reference has them. They are kept
// apart from the plugin's own table because they are compared with it.
var reasons = []struct {
	err   error
	label string
}{
	{errNoToken, "missing"},
	{errKeysUnavailable, "keys_unavailable"},
	{jwt.ErrMalformed, "malformed"},
	{jwt.ErrAlgorithm, "bad_algorithm"},
	{jwt.ErrUnknownKey, "unknown_key"},
	{jwt.ErrSignature, "bad_signature"},
	{jwt.ErrExpired, "expired"},
	{jwt.ErrTooOld, "expired"},
	{jwt.ErrNotYetValid, "not_yet_valid"},
	{jwt.ErrAudience, "audience"},
	{jwt.ErrType, "claim"},
	{jwt.ErrClaim, "claim"},
	{policy.ErrUnknownIssuer, "unknown_issuer"},
	{policy.ErrAmbiguousPath, "path"},
	{policy.ErrNoRule, "no_rule"},
	{policy.ErrClaim, "claim"},
	{policy.ErrOrganization, "organization"},
	{policy.ErrScope, "scope"},
	{policy.ErrRole, "role"},
	{policy.ErrConsumerKey, "claim"},
	{policy.ErrClaimRule, "claim"},
}

func reasonOf(err error) string {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.label
		}
	}
	return "internal"
}

// trace takes the steps, in the plugin's order.
func (t *tracer) trace() verdict {
	in := t.in
	t.policy = policy.New(in.Config)
	q := policy.Request{Method: in.Request.Method, Host: in.Request.Host, Path: in.Request.Path, RouteMetadata: in.metadata}
	t.step("request", "%s %s://%s%s", in.Request.Method, in.Request.Scheme, in.Request.Host, in.Request.Path)
	for _, h := range in.Request.Headers {
		if t.policy.IsIdentityHeader(h[0]) {
			t.more("%s is removed: the client may not set identity headers", h[0])
		}
	}
	var err error
	if in.Config.BypassCORSPreflight && in.isPreflight() {
		asked := q
		asked.Method = in.header("access-control-request-method")
		if t.rule, err = t.policy.Route(&asked); err == nil {
			t.step("rule", "%s", t.describeRule())
			t.step("preflight", "browsers ask before they call with %s: no token is asked for (bypassCORSPreflight)", asked.Method)
			return t.allow("public")
		}
	}
	switch t.rule, err = t.policy.Route(&q); {
	case errors.Is(err, policy.ErrNoRule):
		t.step("rule", "none matches: a request that matches none is refused, whatever its token")
		return t.refuse(err)
	case err != nil:
		t.step("rule", "none is chosen: %v", err)
		return t.refuse(err)
	}
	t.step("rule", "%s", t.describeRule())
	if t.rule.Public {
		t.more("it is public: no token is asked for, and none is looked at")
		return t.allow("public")
	}
	if in.Token == "" {
		if t.rule.Optional {
			t.step("token", "there is none, and the rule lets that pass (optional)")
			return t.allow("public")
		}
		t.step("token", "there is none")
		return t.refuse(errNoToken)
	}
	required, err := t.rule.RequiredOrganization(&q)
	if err != nil && !errors.Is(err, policy.ErrOrganization) {
		t.step("organization", "%v", err)
		return t.refuse(err)
	}
	if t.token, err = jwt.Parse(in.Token, in.Config.Limits.TokenBytes); err != nil {
		t.step("token", "%v", err)
		return t.refuse(err)
	}
	t.describeToken()
	proof, err := t.policy.Proof(t.token.Claims)
	if err != nil {
		t.step("issuer", "no issuer has the token's iss, %q", t.token.Claims.Issuer())
		t.nearMiss()
		return t.refuse(err)
	}
	if t.issuer, err = proof.Issuer(t.rule, required); err != nil {
		t.step("issuer", "the rule allows none that has the token's iss, %q", t.token.Claims.Issuer())
		return t.refuse(err)
	}
	t.step("issuer", "%q, bound to organization %q: iss %q", t.issuer.Name, t.issuer.Config.Organization, t.issuer.Config.Issuer)
	if err := t.authenticate(); err != nil {
		return t.refuse(err)
	}
	return t.authorize(required)
}

func (in *Input) metadata(name string) (string, bool) {
	value, ok := in.Request.Metadata[name]
	return value, ok && value != ""
}

// header is the last value of a header.
func (in *Input) header(name string) string {
	value := ""
	for _, h := range in.Request.Headers {
		if h[0] == name {
			value = h[1]
		}
	}
	return value
}

func (in *Input) isPreflight() bool {
	overrides := slices.ContainsFunc(in.Request.Headers, func(h [2]string) bool {
		return slices.ContainsFunc([]string{"x-http-method-override", "x-http-method", "x-method-override"}, func(name string) bool {
			return httptext.SameName(h[0], name)
		})
	})
	return in.Request.Method == "OPTIONS" && in.header("origin") != "" && httptext.IsToken(in.header("access-control-request-method")) && !overrides
}

func (t *tracer) describeRule() string {
	if t.rule.Index < 0 {
		return "there are none: a token of the top level's organization is asked for"
	}
	m := &t.in.Config.Rules[t.rule.Index].Match
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
	return fmt.Sprintf("%q (rules[%d]): %s", t.rule.Name, t.rule.Index, strings.Join(parts, ", "))
}

func (t *tracer) describeToken() {
	typ := "no typ"
	if t.token.Type != "" {
		typ = fmt.Sprintf("typ %q", t.token.Type)
	}
	kid := "no kid"
	if t.token.HasKeyID {
		kid = fmt.Sprintf("kid %q", t.token.KeyID)
	}
	t.step("token", "alg %q, %s, %s, %d bytes, in %s", t.token.Algorithm, kid, typ, len(t.in.Token), t.place())
}

func (t *tracer) place() string {
	s, err := t.in.send()
	if err != nil {
		return err.Error()
	}
	return s.place
}

// nearMiss looks for an issuer that was probably meant.
func (t *tracer) nearMiss() {
	iss := t.token.Claims.Issuer()
	for i := range t.in.Config.Issuers {
		issuer := &t.in.Config.Issuers[i]
		if strings.EqualFold(strings.TrimRight(iss, "/"), strings.TrimRight(issuer.Issuer, "/")) {
			t.more("issuer %q has %q: case and the slash at the end matter", issuer.Name, issuer.Issuer)
		}
	}
}

// authenticate checks the token by itself.
func (t *tracer) authenticate() error {
	c := t.issuer.Config
	t.step("algorithm", "%q, allowed are %s", t.token.Algorithm, strings.Join(c.Algorithms, ", "))
	if err := t.token.CheckAlgorithm(c.Algorithms); err != nil {
		return err
	}
	if err := t.time(); err != nil {
		return err
	}
	if err := t.verify(); err != nil {
		return err
	}
	if len(c.TokenTypes) > 0 {
		t.step("type", "typ %q, allowed are %s", t.token.Type, strings.Join(c.TokenTypes, ", "))
		if err := t.token.CheckType(c.TokenTypes); err != nil {
			return err
		}
	}
	return t.audience()
}

func (t *tracer) time() error {
	c := t.issuer.Config
	t.step("time", "it is %s; clock skew %v", t.in.Now.UTC().Format(time.RFC3339), time.Duration(c.ClockSkew))
	for _, name := range []string{"exp", "nbf", "iat"} {
		value, ok := t.token.Claims.Get(name)
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
	err := t.token.CheckTime(t.in.Now, jwt.TimeRules{
		Skew:              time.Duration(c.ClockSkew),
		MaxAge:            time.Duration(c.MaxTokenAge),
		RequireExpiration: c.RequireExpiration,
	})
	if err != nil {
		t.more("%v", err)
	}
	return err
}

// verify finds the key and verifies the signature.
func (t *tracer) verify() error {
	t.step("key", "wanted for %s", t.token.Algorithm)
	if t.token.KeyID != "" {
		t.steps[len(t.steps)-1].Lines[0] = fmt.Sprintf("wanted: kid %q, for %s", t.token.KeyID, t.token.Algorithm)
	}
	sets := t.sets()
	j := t.issuer.Config.SignatureValidation.JWKS
	fetched := j != nil && j.Inline == ""
	final := !fetched // no other keys may come
	var candidates []*jwt.Key
	for i, set := range sets {
		if candidates = set.Select(t.token); len(candidates) > 0 {
			final = final || i == 0
			break
		}
	}
	for _, key := range candidates {
		err := t.token.Verify(key)
		if err == nil {
			t.more("verified with %s", describeKey(key))
			return nil
		}
		if !errors.Is(err, jwt.ErrSignature) {
			t.more("%s: %v", describeKey(key), err)
			return err
		}
		t.more("not signed with %s", describeKey(key))
	}
	switch {
	case final && len(candidates) > 0:
		return jwt.ErrSignature
	case fetched && sets[0] == nil:
		return errKeysUnavailable
	}
	t.more("no key of the issuer fits")
	return jwt.ErrUnknownKey
}

func describeKey(key *jwt.Key) string {
	if key.ID == "" {
		return "the key with thumbprint " + key.Thumbprint
	}
	return fmt.Sprintf("kid %q, thumbprint %s", key.ID, key.Thumbprint)
}

// sets are the issuer's JWK Set and its certificates, in the order in which
// they are asked; nil where there is none.
func (t *tracer) sets() (sets [2]*jwks.Set) {
	validation := &t.issuer.Config.SignatureValidation
	if j := validation.JWKS; j != nil {
		sets[0] = t.jwks(j)
	}
	if validation.Certificate != nil {
		if set, err := jwks.ParsePEM(validation.Certificate.CertificateInline); err == nil {
			t.more("%s from certificateInline", keysText(len(set.Keys)))
			sets[1] = set
		}
	}
	return sets
}

// jwks is the issuer's JWK Set as the plugin uses it, nil if it has none.
func (t *tracer) jwks(j *config.JWKS) *jwks.Set {
	set, from, err := t.keys(j)
	if err != nil {
		t.more("no keys: %v", err)
		return nil
	}
	set = set.Pin(j.Pins)
	t.more("%s from %s", keysText(len(set.Keys)), from)
	for _, reason := range set.Unusable {
		t.more("not used: %v", reason)
	}
	if len(set.Keys) == 0 && j.Inline == "" {
		return nil // a document without a usable key is not taken
	}
	return set
}

func keysText(n int) string {
	if n == 1 {
		return "1 usable key"
	}
	return strconv.Itoa(n) + " usable keys"
}

// keys reads the issuer's JWK Set.
func (t *tracer) keys(j *config.JWKS) (set *jwks.Set, from string, err error) {
	if j.Inline != "" {
		set, err = jwks.Parse(string(j.Inline))
		return set, "inline", err
	}
	location := j.URL
	if j.WellKnown != "" {
		discovered, err := t.document(j, j.WellKnown)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", j.WellKnown, err)
		}
		if location, err = keyfetch.Follow(t.issuer.Config, discovered.Body); err != nil {
			return nil, "", fmt.Errorf("%s: %w", j.WellKnown, err)
		}
	}
	document, err := t.document(j, location)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", location, err)
	}
	from = location
	if document.File != "" {
		from = document.File
	}
	if set, err = jwks.Parse(document.Body); err != nil {
		return nil, "", fmt.Errorf("%s: %w", from, err)
	}
	return set, from, nil
}

// document is what the plugin was given for a location.
func (t *tracer) document(j *config.JWKS, location string) (*Document, error) {
	f, ok := t.fetched[j.Cluster+" "+location]
	switch {
	case !ok:
		return nil, errors.New("the plugin did not ask for it")
	case f.err != nil:
		return nil, f.err
	case f.document.Status != 200:
		return nil, fmt.Errorf("status %d", f.document.Status)
	case f.document.Body == "":
		return nil, errors.New("no body")
	case len(f.document.Body) > jwks.MaxDocument:
		return nil, fmt.Errorf("more than %d bytes", jwks.MaxDocument)
	}
	return f.document, nil
}

func (t *tracer) audience() error {
	wanted := t.rule.Audiences(t.issuer)
	aud, _ := t.token.Claims.Get("aud")
	if len(wanted) == 0 {
		t.step("audience", "not checked: neither issuer nor rule names any")
		return nil
	}
	t.step("audience", "aud %s; any one of %s will do", orNone(aud), quoted(wanted))
	return t.token.CheckAudience(wanted)
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

// authorize reads who calls and asks whether that one may.
func (t *tracer) authorize(required string) verdict {
	var err error
	t.identity, err = t.issuer.Identify(t.token.Claims)
	t.claims()
	if err != nil {
		t.more("%s", claimProblem(err))
		return t.refuse(err)
	}
	id := t.identity
	t.step("identity", "username %q", id.Username)
	for _, part := range []struct {
		name  string
		value string
	}{
		{"consumer key", quotedIf(id.ConsumerKey)}, {"scopes", quoted(id.Scopes)}, {"roles", quoted(id.Roles)},
	} {
		if part.value != "" {
			t.more("%s %s", part.name, part.value)
		}
	}
	err = t.rule.Authorize(required, t.issuer, id)
	t.describeOrganization(required)
	if errors.Is(err, policy.ErrOrganization) {
		t.more("%v", err)
	} else {
		t.describeDemands(err)
	}
	switch {
	case err == nil:
		v := t.allow("ok")
		v.issuer, v.organization, v.headers = t.issuer.Name, id.Organization, id.Headers
		return v
	case t.issuer.Config.ReportOnly && policy.ByRule(err):
		t.steps[len(t.steps)-1].Refused = true
		t.step("report", "issuer %q is in report-only mode: the refusal is reported, and the request passes", t.issuer.Name)
		v := t.allow(reasonOf(err))
		id = id.Under(required)
		v.issuer, v.organization = t.issuer.Name, id.Organization
		v.headers = append(slices.Clone(id.Headers), [2]string{policy.ReportHeader, v.reason})
		return v
	}
	return t.refuse(err)
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

func (t *tracer) describeOrganization(required string) {
	from := "the top level"
	source := t.in.Config.Organization
	if t.rule.Index >= 0 && !t.in.Config.Rules[t.rule.Index].Organization.IsZero() {
		from, source = "the rule", t.in.Config.Rules[t.rule.Index].Organization
	}
	wants := fmt.Sprintf("%q", required)
	switch {
	case required == "":
		wants = "one that the request does not name"
	case required == config.Any:
		wants = "any"
	}
	for _, s := range []struct{ name, value string }{
		{"the host, as ", source.FromHost}, {"the path, as ", source.FromPath}, {"the route's metadata, ", source.FromRouteMetadata},
	} {
		if s.value != "" {
			from += " has it from " + s.name + s.value
		}
	}
	t.step("organization", "required: %s (%s)", wants, from)
	if name := t.issuer.Config.OrganizationClaim; !name.IsZero() {
		claim, _ := t.token.Claims.Lookup(name.Name, name.Path...)
		t.more("the token says: %s (claim %s)", orNone(claim), claimText(name))
	}
	if t.identity.Organization == "" {
		t.more("proven: none")
	} else {
		t.more("proven: %q", t.identity.Organization)
	}
}

// describeDemands tells what the rule asks for besides. err is what it
// refuses for, or nil.
func (t *tracer) describeDemands(err error) {
	rule := &config.Rule{}
	if t.rule.Index >= 0 {
		rule = &t.in.Config.Rules[t.rule.Index]
	}
	var asks []string
	for _, a := range []struct {
		name string
		list config.AnyOrAll
	}{{"scopes", rule.Scopes}, {"roles", rule.Roles}} {
		if len(a.list.Values) > 0 {
			asks = append(asks, fmt.Sprintf("%s: %s %s", a.name, map[bool]string{true: "all of", false: "any of"}[a.list.All], quoted(a.list.Values)))
		}
	}
	if len(rule.ConsumerKeys) > 0 {
		asks = append(asks, "consumer key: any of "+quoted(rule.ConsumerKeys))
	}
	for _, c := range rule.Claims {
		asks = append(asks, fmt.Sprintf("claim %s: any of %s", claimText(c.Claim), quoted(c.In)))
	}
	if len(asks) == 0 && err == nil {
		return
	}
	if len(asks) == 0 {
		asks = append(asks, "a sound identity")
	}
	t.step("demands", "%s", asks[0])
	for _, a := range asks[1:] {
		t.more("%s", a)
	}
	if err != nil {
		t.more("refused: %s", claimProblem(err))
	}
}

// claims names the token's claims and what each was used for.
func (t *tracer) claims() {
	payload, err := base64.RawURLEncoding.DecodeString(t.token.Payload())
	if err != nil {
		return // it was parsed
	}
	object := gjson.ParseBytes(payload)
	uses := map[string][]string{}
	use := func(name config.ClaimName, what string) {
		top := name.Name
		if !object.Get(gjson.Escape(top)).Exists() && len(name.Path) > 0 {
			top = name.Path[0]
		}
		if top != "" && !slices.Contains(uses[top], what) {
			uses[top] = append(uses[top], what)
		}
	}
	named := func(name string) config.ClaimName { return config.ClaimName{Name: name} }
	c := t.issuer.Config
	use(named("iss"), "issuer")
	for _, name := range []string{"exp", "nbf", "iat"} {
		use(named(name), "time")
	}
	if len(t.rule.Audiences(t.issuer)) > 0 {
		use(named("aud"), "audience")
	}
	use(c.UsernameClaim, "username")
	use(c.OrganizationClaim, "organization")
	use(c.ScopesClaim, "scopes")
	use(c.ConsumerKeyClaim, "consumer key")
	if _, ok := t.token.Claims.Lookup(c.ConsumerKeyClaim.Name, c.ConsumerKeyClaim.Path...); !ok {
		use(named("client_id"), "consumer key")
	}
	use(c.RolesClaim, "roles")
	for _, name := range c.RequiredClaims {
		use(name, "required")
	}
	for _, m := range c.ClaimMappings {
		use(m.RemoteClaim, "header "+m.LocalClaim)
	}
	if t.rule.Index >= 0 {
		for _, rule := range t.in.Config.Rules[t.rule.Index].Claims {
			use(rule.Claim, "rule")
		}
	}
	var used, unused []string
	object.ForEach(func(key, _ gjson.Result) bool {
		if what := uses[key.Str]; len(what) > 0 {
			used = append(used, printable(key.Str)+" ("+strings.Join(what, ", ")+")")
			delete(uses, key.Str)
		} else {
			unused = append(unused, printable(key.Str))
		}
		return true
	})
	t.step("claims", "used: %s", strings.Join(used, ", "))
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

// upstream tells what the plugin changes of the request's headers.
func (t *tracer) upstream(s *sent, o *outcome) []string {
	if !o.passed {
		return nil
	}
	before := append(host.Headers{{":path", s.path}}, s.headers...)
	var lines []string
	for i, h := range before {
		if slices.ContainsFunc(before[:i], func(b [2]string) bool { return b[0] == h[0] }) {
			continue
		}
		had, has := before.Values(h[0]), o.upstream.Values(h[0])
		switch {
		case slices.Equal(had, has):
		case h[0] == ":path":
			lines = append(lines, ":path is without the token")
		case len(has) == 0:
			lines = append(lines, h[0]+" is removed")
		case !t.policy.IsIdentityHeader(h[0]):
			lines = append(lines, h[0]+" is without the token")
		}
	}
	if t.in.Config.ForwardToken && t.in.Token != "" {
		lines = append(lines, "the token is passed on (forwardToken)")
	}
	for _, h := range o.upstream {
		if !t.policy.IsIdentityHeader(h[0]) {
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
