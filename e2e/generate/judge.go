package generate

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"orgate/e2e/scenario"
)

// faults are reasons to refuse a request, as the metric's label and the status:
// "scope 403".
type faults []string

func (f *faults) add(fault string) { *f = append(*f, fault) }

// judgement is what a request deserves.
type judgement struct {
	// public: it passes without an identity.
	public bool
	// forwards: the token goes to the upstream if the request does.
	forwards bool
	// faults that do not depend on the issuer. It is refused for any of them.
	faults faults
	// claimants are the entries that the token may be judged by: one, if there
	// is only one, or one by which the token proves what is required.
	claimants []*claimant
}

// claimant is a token in the eyes of one entry.
type claimant struct {
	issuer *Issuer
	// hard faults refuse the token always, soft ones unless the issuer is in
	// report-only mode. A token without a good signature has unproven ones.
	unproven, hard, soft faults
	// organization is whom the token speaks for, "" for nobody. proves tells
	// that it is what the rule requires.
	organization string
	proves       bool
	// headers are the identity, by name in lower case.
	headers map[string]string
	payload string
}

func (c *claimant) passes() bool {
	return len(c.unproven)+len(c.hard) == 0 && (len(c.soft) == 0 || c.issuer.ReportOnly)
}

// judge says what a request deserves.
func (config *Config) judge(r scenario.Request) judgement {
	path, hosts := config.looks()
	q := target{method: r.Method, metadata: r.RouteMetadata[[2]string{"orgate", "organization"}]}
	ok := true
	if hosts {
		q.host, ok = cleanHost(r.Map().Values(":authority")[0])
	}
	if ok && path && !(r.Method == "OPTIONS" && r.Map().Values(":path")[0] == "*") {
		q.segments, ok = config.cleanPath(r.Map().Values(":path")[0])
	}
	if !ok {
		return judgement{faults: faults{"path 400"}}
	}
	if asks := preflight(r); asks != "" && (config.BypassCORSPreflight == nil || *config.BypassCORSPreflight) {
		asked := q
		asked.method = asks
		isPath := !path || q.segments != nil // of OPTIONS *, no other method is asked for
		if rule := config.route(asked); isPath && rule != nil {
			return judgement{public: true, forwards: config.forwards(rule)}
		}
	}
	rule := config.route(q)
	switch {
	case rule == nil:
		return judgement{faults: faults{"no_rule 403"}}
	case rule.Public:
		return judgement{public: true, forwards: config.forwards(rule)}
	}
	tokens := config.tokens(r)
	switch {
	case len(tokens) == 0 && rule.Optional:
		return judgement{public: true, forwards: config.forwards(rule)}
	case len(tokens) == 0:
		return judgement{faults: faults{"missing 401"}}
	case len(tokens) > 1:
		return judgement{faults: faults{"several_tokens 401"}}
	}
	maxBytes := 16384
	if config.Limits != nil && config.Limits.TokenBytes > 0 {
		maxBytes = config.Limits.TokenBytes
	}
	t, problems := readToken(tokens[0], maxBytes)
	if provider := config.asked(rule, tokens[0], t); provider != nil && len(tokens[0]) <= maxBytes {
		own := t
		if t, problems = provider.told(r.Introspection); t != nil {
			t.own = own
		}
	}
	if len(problems) > 0 {
		return judgement{faults: problems}
	}
	required := config.required(rule, q)
	proven := config.prove(t)
	j := judgement{forwards: config.forwards(rule)}
	var chosen *claimant
	for _, i := range config.inUse() {
		alternatives := rule.alternatives(i)
		if !i.hasIssued(t) || t.told == "" && !i.matches(t.compact) || len(rule.Issuers) > 0 &&
			!slices.Contains(rule.Issuers, i.Name) ||
			len(rule.AnyOf) > 0 && len(alternatives) == 0 {
			continue
		}
		c := config.claim(i, rule, required, proven, t)
		if !i.isBound(t, r.Digest()) {
			c.hard.add("binding 401")
		}
		j.claimants = append(j.claimants, c)
		// The entry bound to what is required comes before the one for any.
		if c.proves && (chosen == nil || i.Organization != "*") {
			chosen = c
		}
	}
	switch {
	case len(j.claimants) == 0:
		j.faults.add("unknown_issuer 401")
	case chosen != nil:
		j.claimants = []*claimant{chosen}
	}
	return j
}

// alternatives are those for an issuer's tokens.
func (rule *Rule) alternatives(i *Issuer) []*Demands {
	return slices.DeleteFunc(slices.Clone(rule.AnyOf), func(d *Demands) bool {
		return len(d.Issuers) > 0 && !slices.Contains(d.Issuers, i.Name)
	})
}

// forwards says whether tokens are passed on under a rule.
func (config *Config) forwards(rule *Rule) bool {
	if rule.ForwardToken != nil {
		return *rule.ForwardToken
	}
	return config.ForwardToken
}

// preflight is the method that a CORS preflight asks for, "" if the request is
// none.
func preflight(r scenario.Request) string {
	last := func(name string) string {
		values := append([]string{""}, r.Headers.Values(name)...)
		return values[len(values)-1]
	}
	for _, h := range r.Headers {
		switch fold(h[0]) {
		case "x-http-method-override", "x-http-method", "x-method-override":
			return "" // of another method, to many frameworks
		}
	}
	asks := last("access-control-request-method")
	if r.Method != "OPTIONS" || last("origin") == "" || len(r.Trailers) > 0 ||
		!regexp.MustCompile("^"+tokenChar+"+$").MatchString(asks) {
		return ""
	}
	return asks
}

// tokenChar is a character of a token (RFC 9110 §5.6.2).
const tokenChar = "[!#$%&'*+.^_`|~0-9A-Za-z-]"

// inUse are the issuers of the environment.
func (config *Config) inUse() []*Issuer {
	var used []*Issuer
	for _, i := range config.Issuers {
		if config.Environment == "" || i.Environments == nil || slices.Contains(i.Environments, "*") ||
			slices.Contains(i.Environments, config.Environment) {
			used = append(used, i)
		}
	}
	return used
}

// organizationOf is the organization that a rule names, or the top level, or
// the one that all issuers have, of whatever environment.
func (config *Config) organizationOf(rule *Rule) any {
	switch {
	case rule.Organization != nil:
		return rule.Organization
	case config.Organization != nil:
		return config.Organization
	}
	for _, i := range config.Issuers {
		if i.Organization != config.Issuers[0].Organization || i.Organization == "*" {
			return nil
		}
	}
	return config.Issuers[0].Organization
}

// looks reports whether rules look at paths, and at hosts.
func (config *Config) looks() (paths, hosts bool) {
	rules := config.Rules
	if len(rules) == 0 {
		rules = []*Rule{{}}
	}
	for _, rule := range rules {
		m := rule.Match
		paths = paths || m.Path+m.PathPrefix+m.PathTemplate != ""
		hosts = hosts || len(m.Hosts) > 0
		if from, ok := config.organizationOf(rule).(From); ok {
			paths = paths || from["fromPath"] != ""
			hosts = hosts || from["fromHost"] != ""
		}
	}
	return paths, hosts
}

// target is what rules look at. Segments is nil for a target that is no path.
type target struct {
	method, host string
	segments     []string
	metadata     string
}

// ambiguous are the paths that may be read in two ways: segments of dots and
// blanks alone, and backslashes; what is no path; fragments, control characters
// and spaces; broken escapes, and those of what needs none or means something;
// escapes of an escape.
var ambiguous = regexp.MustCompile(`(?is)^[^/]|^$|(/|%2f)(\.|%20)+(/|%2f|;|%3b|$)|[\\#\x00-\x20\x7f]` +
	`|%($|.$|[^0-9a-f]|.[^0-9a-f])` +
	`|%(5c|3f|23|[01].|7f)` +
	`|%(3[0-9]|4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a]|2[de]|5f|7e)` +
	`|%25([0-9a-f]{2}|u)`)

// kept are what an upstream may take as it is, by the members of "paths".
var kept = map[string]*regexp.Regexp{
	"encodedSlash": regexp.MustCompile(`(?i)%2f`), "semicolon": regexp.MustCompile(`(?i);|%3b`),
	"emptySegment": regexp.MustCompile(`//`),
}

// cleanPath is the decoded segments of a request's path.
func (config *Config) cleanPath(requestTarget string) ([]string, bool) {
	path, _, _ := strings.Cut(requestTarget, "?")
	bad := ambiguous.MatchString(path)
	for name, sequence := range kept {
		bad = bad || config.Paths[name] != "keep" && sequence.MatchString(path)
	}
	if bad {
		return nil, false
	}
	list := segments(path)
	return list, utf8.ValidString(strings.Join(list, "/"))
}

var (
	plainHost   = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
	numericHost = regexp.MustCompile(`^\[[0-9a-fA-F.]*:[0-9a-fA-F:.]*\]$`)
	port        = regexp.MustCompile(`:[0-9]*$`)
)

// cleanHost is the host of an authority, or false if it is none.
func cleanHost(authority string) (string, bool) {
	host := port.ReplaceAllString(authority, "")
	switch {
	case host == "":
		return "", true
	case numericHost.MatchString(host):
		return strings.ToLower(host), true
	}
	host = strings.TrimSuffix(host, ".")
	return strings.ToLower(host), plainHost.MatchString(host)
}

// route is the first rule that matches, nil if none of them does. If there are
// none, every request needs a token of the top level's organization.
func (config *Config) route(q target) *Rule {
	if len(config.Rules) == 0 {
		return &Rule{}
	}
	for _, rule := range config.Rules {
		if rule.Match.matches(q) {
			return rule
		}
	}
	return nil
}

func (m *Match) matches(q target) bool {
	if len(m.Methods) > 0 && !slices.Contains(m.Methods, q.method) {
		return false
	}
	if len(m.Hosts) > 0 && !slices.ContainsFunc(m.Hosts, func(pattern string) bool {
		pattern = strings.ToLower(pattern)
		suffix, wildcard := strings.CutPrefix(pattern, "*")
		return !wildcard && q.host == pattern || wildcard && strings.HasSuffix(q.host, suffix) &&
			net.ParseIP(q.host) == nil
	}) {
		return false
	}
	switch {
	case m.Path != "":
		return slices.Equal(q.segments, segments(m.Path))
	case m.PathPrefix != "":
		return q.segments != nil && hasPrefix(q.segments, segments(m.PathPrefix))
	case m.PathTemplate != "":
		return q.segments != nil && fits(q.segments, segments(m.PathTemplate))
	}
	return true
}

func segments(path string) []string {
	parts := strings.Split(path[1:], "/")
	for i := range parts {
		parts[i], _ = url.PathUnescape(parts[i])
	}
	return parts
}

// hasPrefix is for whole segments. A prefix that ends in a slash is for what is
// below alone.
func hasPrefix(path, prefix []string) bool {
	last := len(prefix) - 1
	if prefix[last] == "" {
		return len(path) > last && slices.Equal(path[:last], prefix[:last])
	}
	return len(path) > last && slices.Equal(path[:last+1], prefix)
}

func fits(path, template []string) bool {
	for i, want := range template {
		switch {
		case want == "**":
			return true
		case i >= len(path):
			return false
		case want == "*" || strings.HasPrefix(want, "{"):
			if path[i] == "" {
				return false
			}
		case want != path[i]:
			return false
		}
	}
	return len(path) == len(template)
}

// required is the organization that the rule requires, "" if the request names
// none.
func (config *Config) required(rule *Rule, q target) string {
	from, ok := config.organizationOf(rule).(From)
	if !ok {
		literal, _ := config.organizationOf(rule).(string)
		return literal
	}
	found := q.metadata
	if strings.ContainsFunc(found, func(c rune) bool { return c < ' ' }) {
		found = ""
	}
	if pattern := from["fromHost"]; pattern != "" {
		found = captured(strings.Split(q.host, "."), strings.Split(pattern, "."), true)
		if strings.HasPrefix(found, "[") {
			found = ""
		}
	}
	if pattern := from["fromPath"]; pattern != "" {
		found = captured(q.segments, strings.Split(pattern[1:], "/"), false)
	}
	if found == "*" {
		return ""
	}
	return found
}

// captured is the part in the place of {org}, "" unless the others are equal.
func captured(parts, pattern []string, whole bool) string {
	if !whole && pattern[len(pattern)-1] == "" {
		if len(parts) < len(pattern) {
			return ""
		}
		pattern = pattern[:len(pattern)-1]
	}
	if len(parts) < len(pattern) || whole && len(parts) > len(pattern) {
		return ""
	}
	found := ""
	for i, want := range pattern {
		if want == "{org}" {
			found = parts[i]
		} else if want != parts[i] {
			return ""
		}
	}
	return found
}

// sources are the token sources, with their defaults.
func sources(config *Config) TokenSources {
	if config.TokenSources == nil {
		return TokenSources{Headers: []HeaderSource{{"authorization", "Bearer "}}}
	}
	s := *config.TokenSources
	if s.Headers == nil {
		s.Headers = []HeaderSource{{"authorization", "Bearer "}}
	}
	return s
}

// tokens are all tokens of the request.
func (config *Config) tokens(r scenario.Request) []string {
	s := sources(config)
	var tokens []string
	for _, h := range r.Map() {
		tokens = append(tokens, s.inHeader(h)...)
	}
	for _, parameter := range s.parameters(r.Map().Values(":path")[0]) {
		tokens = append(tokens, parameter.token...)
	}
	for _, cookie := range s.cookies(r.Map()) {
		tokens = append(tokens, cookie.token...)
	}
	slices.Sort(tokens)
	return slices.Compact(tokens) // one token in two places is one
}

// names reports whether an application could take a name for one of the sources'.
func (s *TokenSources) names(sources []string, name string) bool {
	return slices.ContainsFunc(sources, func(source string) bool { return fold(source) == fold(name) })
}

func (s *TokenSources) inHeader(h [2]string) []string {
	tokens, _ := s.split(h)
	return tokens
}

// split is the tokens in a header, and what is left of it, "" for nothing.
func (s *TokenSources) split(h [2]string) (tokens []string, rest string) {
	if fold(h[0]) == "sec-websocket-protocol" {
		return s.protocols(h)
	}
	for _, source := range s.Headers {
		if fold(h[0]) != fold(source.Name) || len(h[1]) < len(source.Prefix) ||
			!strings.EqualFold(h[1][:len(source.Prefix)], source.Prefix) {
			continue
		}
		if token := strings.Trim(h[1][len(source.Prefix):], " \t"); token != "" {
			tokens = append(tokens, token)
		}
	}
	if len(tokens) == 0 && s.hidden(h) {
		tokens = append(tokens, h[1]) // which is malformed
	}
	return tokens, ""
}

// protocols is the same for subprotocols, of which the one behind "bearer" is a
// token.
func (s *TokenSources) protocols(h [2]string) (tokens []string, rest string) {
	list := regexp.MustCompile(`[ \t]*,[ \t,]*`).Split(strings.Trim(h[1], " \t,"), -1)
	for i := 0; i+1 < len(list); {
		if !strings.EqualFold(list[i], "bearer") || !slices.ContainsFunc(s.Headers,
			func(source HeaderSource) bool { return fold(source.Name) == "sec-websocket-protocol" }) {
			i++
			continue
		}
		tokens = append(tokens, list[i+1])
		list = slices.Delete(list, i, i+2)
	}
	return tokens, strings.Join(list, ", ")
}

// hidden reports whether there are credentials of a source's scheme in the value
// for those who look for them leniently. A prefix without anything behind it is
// none.
func (s *TokenSources) hidden(h [2]string) bool {
	for _, source := range s.Headers {
		scheme := strings.TrimRight(source.Prefix, " ")
		if scheme == "" || fold(h[0]) != fold(source.Name) {
			continue
		}
		if len(h[1]) >= len(source.Prefix) && strings.EqualFold(h[1][:len(source.Prefix)], source.Prefix) {
			return false
		}
		lenient := `(?is)(^|,)[ \t]*` + regexp.QuoteMeta(scheme) + `([^,]*[^, \t][^,]*)`
		for _, m := range regexp.MustCompile(lenient).FindAllStringSubmatch(h[1], -1) {
			goesOn := regexp.MustCompile("^"+tokenChar).MatchString(m[2]) &&
				regexp.MustCompile(tokenChar+"$").MatchString(scheme)
			if !goesOn {
				return true
			}
		}
	}
	return false
}

// part is a part of a query or of the cookies, with the token that it is, if it
// is one.
type part struct {
	text  string
	token []string
}

func (s *TokenSources) parameters(requestTarget string) []part {
	requestTarget, _, _ = strings.Cut(requestTarget, "#")
	_, query, ok := strings.Cut(requestTarget, "?")
	if !ok {
		return nil
	}
	var parts []part
	for _, text := range strings.Split(query, "&") {
		p := part{text: text}
		name, value, _ := strings.Cut(text, "=")
		if name, err := url.QueryUnescape(name); err == nil && value != "" && s.names(s.Query, name) {
			token, err := url.QueryUnescape(value)
			if err != nil {
				token = value // which is malformed
			}
			p.token = []string{token}
		}
		parts = append(parts, p)
	}
	return parts
}

func (s *TokenSources) cookies(headers scenario.Headers) []part {
	var parts []part
	for _, h := range headers.Values("cookie") {
		for _, text := range strings.Split(h, ";") {
			text = strings.Trim(text, " \t")
			p := part{text: text}
			name, value, _ := strings.Cut(text, "=")
			value = strings.Trim(value, " \t")
			if quoted, ok := strings.CutPrefix(value, `"`); ok && len(value) > 1 && strings.HasSuffix(value, `"`) {
				value = strings.TrimSuffix(quoted, `"`)
			}
			if len(value) > 7 && strings.EqualFold(value[:7], "bearer ") {
				value = strings.Trim(value[7:], " \t")
			}
			if value != "" && s.names(s.Cookies, strings.Trim(name, " \t")) {
				p.token = []string{value}
			}
			parts = append(parts, p)
		}
	}
	return parts
}
