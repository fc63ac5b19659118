package generate

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"orgate/e2e/scenario"
)

// Config is a configuration, as it is written in JSON. What is absent has its
// default.
type Config struct {
	Issuers             []*Issuer         `json:"issuers"`
	Rules               []*Rule           `json:"rules,omitempty"`
	Organization        any               `json:"organization,omitempty"`
	Environment         string            `json:"environment,omitempty"`
	TokenSources        *TokenSources     `json:"tokenSources,omitempty"`
	ForwardToken        bool              `json:"forwardToken,omitempty"`
	ForwardPayload      string            `json:"forwardPayload,omitempty"`
	Headers             map[string]string `json:"headers,omitempty"`
	Errors              map[string]string `json:"errors,omitempty"`
	Paths               map[string]string `json:"paths,omitempty"`
	Limits              *Limits           `json:"limits,omitempty"`
	BypassCORSPreflight *bool             `json:"bypassCORSPreflight,omitempty"`

	second string // what "second" is mapped to: no two mappings may overlap
}

// TokenSources says where tokens are looked for.
type TokenSources struct {
	Headers []HeaderSource `json:"headers"`
	Query   []string       `json:"query,omitempty"`
	Cookies []string       `json:"cookies,omitempty"`
}

// HeaderSource is a header with a token.
type HeaderSource struct {
	Name   string `json:"name"`
	Prefix string `json:"prefix,omitempty"`
}

// Limits are the limits that cases differ in.
type Limits struct {
	TokenBytes   int  `json:"tokenBytes,omitempty"`
	CachedTokens *int `json:"cachedTokens,omitempty"`
}

// Issuer is one entry. A claim's name is a string or a []string.
type Issuer struct {
	Name                      string              `json:"name"`
	Issuer                    string              `json:"issuer"`
	Organization              string              `json:"organization"`
	Environments              []string            `json:"environments,omitempty"`
	Audiences                 []string            `json:"audiences,omitempty"`
	Algorithms                []string            `json:"algorithms,omitempty"`
	TokenTypes                []string            `json:"tokenTypes,omitempty"`
	SignatureValidation       SignatureValidation `json:"signatureValidation"`
	UsernameClaim             any                 `json:"usernameClaim,omitempty"`
	MissingUsername           string              `json:"missingUsername,omitempty"`
	OrganizationClaim         any                 `json:"organizationClaim,omitempty"`
	MissingOrganization       string              `json:"missingOrganization,omitempty"`
	OrganizationMapping       map[string]string   `json:"organizationMapping,omitempty"`
	ScopesClaim               any                 `json:"scopesClaim,omitempty"`
	ConsumerKeyClaim          any                 `json:"consumerKeyClaim,omitempty"`
	RolesClaim                any                 `json:"rolesClaim,omitempty"`
	RoleMappings              []RoleMapping       `json:"roleMappings,omitempty"`
	ExcludeUnmappedRoles      *bool               `json:"excludeUnmappedRoles,omitempty"`
	ClaimMappings             []ClaimMapping      `json:"claimMappings,omitempty"`
	RequiredClaims            []any               `json:"requiredClaims,omitempty"`
	CertificateBinding        string              `json:"certificateBinding,omitempty"`
	TokenHandling             map[string]string   `json:"tokenHandling,omitempty"`
	Introspection             map[string]string   `json:"introspection,omitempty"`
	ClockSkew                 string              `json:"clockSkew,omitempty"`
	RequireExpiration         *bool               `json:"requireExpiration,omitempty"`
	MaxTokenAge               string              `json:"maxTokenAge,omitempty"`
	SharedAcrossOrganizations bool                `json:"sharedAcrossOrganizations,omitempty"`
	ReportOnly                bool                `json:"reportOnly,omitempty"`
}

// SignatureValidation says where the keys are.
type SignatureValidation struct {
	JWKS        *JWKS        `json:"jwks,omitempty"`
	Certificate *Certificate `json:"certificate,omitempty"`
}

// JWKS is an inline JWK Set.
type JWKS struct {
	Inline map[string][]json.RawMessage `json:"inline"`
	Pins   []string                     `json:"pins,omitempty"`

	keys []key
}

// Certificate holds public keys.
type Certificate struct {
	CertificateInline string `json:"certificateInline"`

	signer *scenario.Signer
}

// key is a member of a JWK Set.
type key struct {
	signer   *scenario.Signer
	kid, alg string
}

// RoleMapping maps a role.
type RoleMapping struct {
	RemoteRole string `json:"remoteRole"`
	LocalRole  string `json:"localRole"`
}

// ClaimMapping sends a claim on.
type ClaimMapping struct {
	RemoteClaim any    `json:"remoteClaim"`
	LocalClaim  string `json:"localClaim"`
}

// Rule is a rule. Scopes and Roles are a []string or an [All].
type Rule struct {
	Name         string      `json:"name,omitempty"`
	Match        Match       `json:"match"`
	Organization any         `json:"organization,omitempty"`
	Scopes       any         `json:"scopes,omitempty"`
	Roles        any         `json:"roles,omitempty"`
	ConsumerKeys []string    `json:"consumerKeys,omitempty"`
	Claims       []ClaimRule `json:"claims,omitempty"`
	Issuers      []string    `json:"issuers,omitempty"`
	Audiences    []string    `json:"audiences,omitempty"`
	AnyOf        []*Demands  `json:"anyOf,omitempty"`
	ForwardToken *bool       `json:"forwardToken,omitempty"`
	Public       bool        `json:"public,omitempty"`
	Optional     bool        `json:"optional,omitempty"`
}

// Demands are an alternative.
type Demands struct {
	Scopes       any         `json:"scopes,omitempty"`
	Roles        any         `json:"roles,omitempty"`
	ConsumerKeys []string    `json:"consumerKeys,omitempty"`
	Claims       []ClaimRule `json:"claims,omitempty"`
	Issuers      []string    `json:"issuers,omitempty"`
	Audiences    []string    `json:"audiences,omitempty"`
}

// All asks for every one of a list.
type All struct {
	All []string `json:"all"`
}

// Match says which requests a rule is for.
type Match struct {
	Hosts        []string `json:"hosts,omitempty"`
	Path         string   `json:"path,omitempty"`
	PathPrefix   string   `json:"pathPrefix,omitempty"`
	PathTemplate string   `json:"pathTemplate,omitempty"`
	Methods      []string `json:"methods,omitempty"`
}

// ClaimRule asks for a claim.
type ClaimRule struct {
	Claim any      `json:"claim"`
	In    []string `json:"in"`
}

// From is an organization that the request names.
type From map[string]string

var (
	issuerNames = []string{"https://a.example/", "https://a.example", "https://b.example/realms/x",
		"https://{tid}.c.example/{tid}"}
	organizations = []string{"org1", "org2", "Org1", "apk-system"}
	algorithms    = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"}
	scopeNames    = []string{"read", "write", "admin"}
	roleNames     = []string{"boss", "clerk", "R&D"}
	clientNames   = []string{"client-1", "client-2"}
	claimNames    = []any{"tier", "https://x.example/tier", "user.tier", []string{"user", "tier"}, []string{"a.b"}}
	audienceNames = []string{"https://api.example", "api"}
)

// signers are whose keys are configured.
func (v *SignatureValidation) signers() (list []*scenario.Signer) {
	if v.JWKS != nil {
		for _, k := range v.JWKS.keys {
			list = append(list, k.signer)
		}
	}
	if v.Certificate != nil {
		list = append(list, v.Certificate.signer)
	}
	return list
}

// signers are whose keys may be configured. Two have the same kid.
func signers() []*scenario.Signer {
	return []*scenario.Signer{
		scenario.First(), scenario.Second(), scenario.Rotated(), scenario.P256(), scenario.P384(), scenario.Edwards(),
	}
}

func (c *choices) config() *Config {
	config := &Config{}
	if c.chance(4) {
		config.Headers = map[string]string{}
		for _, name := range some(c, 1, "organization", "username", "consumerKey", "scopes", "roles") {
			config.Headers[name] = pick(c, "", "X-"+name, "x_"+name)
		}
		if c.n(2) == 1 {
			config.Headers["lists"] = pick(c, "json", "json", "comma")
		}
	}
	config.ForwardPayload = pick(c, "", "", "x-jwt-payload", "X-WSO2-Payload")
	config.ForwardToken = c.chance(6)
	if c.chance(3) {
		config.Errors = map[string]string{"format": pick(c, "wso2", "problem", "plain"), "realm": "api"}
	}
	if c.chance(4) {
		config.Paths = map[string]string{}
		for _, name := range some(c, 1, "encodedSlash", "semicolon", "emptySegment") {
			config.Paths[name] = pick(c, "keep", "keep", "refuse")
		}
	}
	if c.chance(4) {
		config.Limits = &Limits{TokenBytes: pick(c, 0, 1024, 256)}
		if c.chance(2) {
			n := c.n(3)
			config.Limits.CachedTokens = &n
		}
	}
	if c.chance(5) {
		config.BypassCORSPreflight = new(bool)
	}
	if c.chance(2) {
		config.TokenSources = &TokenSources{
			Headers: some(c, 1, HeaderSource{"authorization", "Bearer "}, HeaderSource{"X-Token", ""},
				HeaderSource{"Authorization", "DPoP "}, HeaderSource{"x-api", "key="},
				HeaderSource{"Sec-WebSocket-Protocol", "bearer, "}),
			Query:   some(c, 0, "access_token", "jwt"),
			Cookies: some(c, 0, "token", "Session"),
		}
	}
	config.second = pick(c, "org2", "Org1")
	for i := range 1 + c.n(4) {
		config.Issuers = append(config.Issuers, c.issuer(config, i))
	}
	c.share(config)
	c.handling(config)
	if c.chance(4) {
		config.Environment = "prod"
		for _, i := range config.Issuers[1:] {
			i.Environments = pick(c, nil, []string{"prod"}, []string{"dev", "*"}, []string{"dev"})
		}
	}
	for i := range c.n(5) {
		config.Rules = append(config.Rules, c.rule(config, i))
	}
	c.topOrganization(config)
	return config
}

// topOrganization names an organization, unless it may be left out.
func (c *choices) topOrganization(config *Config) {
	same, named := config.Issuers[0].Organization != "*", len(config.Rules) > 0
	for _, i := range config.Issuers {
		same = same && i.Organization == config.Issuers[0].Organization
	}
	for _, r := range config.Rules {
		named = named && (r.Public || r.Organization != nil)
	}
	if (same || named) && c.n(2) == 0 {
		return
	}
	config.Organization = c.organization()
}

func (c *choices) organization() any {
	switch c.n(8) {
	case 4:
		return "*"
	case 5:
		return From{"fromHost": pick(c, "{org}.api.example", "api.{org}.example", "{org}")}
	case 6:
		return From{"fromPath": pick(c, "/t/{org}/", "/t/{org}", "/{org}/x")}
	case 7:
		return From{"fromRouteMetadata": "orgate.organization"}
	}
	return pick(c, organizations...)
}

func (c *choices) issuer(config *Config, n int) *Issuer {
	i := &Issuer{Name: "idp" + string(rune('0'+n)), Issuer: pick(c, issuerNames...)}
	free := func(organization string) bool {
		return !slices.ContainsFunc(config.Issuers, func(other *Issuer) bool {
			return other.Issuer == i.Issuer && other.Organization == organization
		})
	}
	i.Organization = pick(c, "org1", "*", "org2", "Org1", "apk-system")
	for _, organization := range append(organizations, "*") {
		if free(i.Organization) {
			break
		}
		i.Organization = organization
	}
	i.Audiences = pick(c, nil, []string{"https://api.example"}, audienceNames)
	if c.chance(3) {
		i.Algorithms = some(c, 1, algorithms...)
	}
	i.TokenTypes = pick(c, nil, nil, nil, []string{"at+jwt"}, []string{"JWT", "AT+jwt"})
	i.SignatureValidation = c.keys()
	if c.n(4) != 3 { // more often than not the keys are good for something
		for _, s := range i.SignatureValidation.signers() {
			if !slices.ContainsFunc(i.Algorithms, s.Can) {
				i.Algorithms = append(i.Algorithms, s.Algorithm())
			}
		}
	}
	if c.chance(4) {
		i.UsernameClaim = pick[any](c, "email", "user.name", []string{"user", "name"}, "https://x.example/name")
	}
	i.MissingUsername = pick(c, "", "", "", "consumerKey", "omit")
	c.claimMappings(config, i)
	c.organizationClaim(config, i)
	if c.chance(4) {
		i.ScopesClaim = pick[any](c, "scp", "permissions.scopes", []string{"permissions", "scopes"},
			"permissions.api.scopes")
	}
	if c.chance(4) {
		i.ConsumerKeyClaim = pick[any](c, "cid", "client_id", []string{"client", "id"})
	}
	if c.n(2) == 1 {
		i.RolesClaim = pick[any](c, "roles", "realm_access.roles", []string{"groups"},
			"https://x.example/meta.data.roles")
		if c.n(2) == 1 {
			i.RoleMappings = some(c, 1, RoleMapping{"r1", "boss"}, RoleMapping{"r1", "clerk"},
				RoleMapping{"r2", "clerk"}, RoleMapping{"boss", "R&D"})
			if c.chance(3) {
				i.ExcludeUnmappedRoles = new(bool)
			}
		}
	}
	if c.chance(4) {
		i.RequiredClaims = some(c, 1, claimNames...)
	}
	i.CertificateBinding = pick(c, "", "", "", "", "enforce", "require", "ignore")
	i.ClockSkew = pick(c, "", "", "0s", "5m")
	if c.chance(6) {
		i.RequireExpiration = new(bool)
	}
	i.MaxTokenAge = pick(c, "", "", "", "", "10m")
	i.ReportOnly = c.chance(6)
	return i
}

func (c *choices) claimMappings(config *Config, i *Issuer) {
	if c.n(2) == 0 {
		return
	}
	taken := map[string]bool{fold(config.ForwardPayload): true}
	for _, identity := range headerNames(config) {
		taken[fold(identity)] = true
	}
	for _, name := range some(c, 1, "x-tier", "X-Dept", "x_tier", "X_WSO2_Username", "x-wso2-roles.", "x.wso2-Roles") {
		if !taken[fold(name)] {
			taken[fold(name)] = true
			i.ClaimMappings = append(i.ClaimMappings, ClaimMapping{pick(c, claimNames...), name})
		}
	}
}

func (c *choices) organizationClaim(config *Config, i *Issuer) {
	if i.Organization != "*" && !i.manyTenants() && c.n(3) == 0 {
		return
	}
	claim := pick[any](c, "org_id", "https://x.example/org", "org.id", []string{"org", "id"}, "sub")
	if i.manyTenants() && c.n(2) == 0 {
		claim = "tid"
	}
	header := headerNames(config)["organization"]
	if header != "" && c.chance(3) {
		i.ClaimMappings = append(i.ClaimMappings, ClaimMapping{claim, strings.ToUpper(header)})
	} else {
		i.OrganizationClaim = claim
	}
	if i.Organization != "*" && !i.manyTenants() && c.chance(3) {
		i.MissingOrganization = "issuer"
	}
	if c.chance(3) {
		i.OrganizationMapping = map[string]string{"first": "org1", "second": config.second, "org1": "org1"}
		if c.chance(2) {
			i.OrganizationMapping = map[string]string{"third": i.Organization, "second": config.second}
		}
		if i.Organization == "*" {
			delete(i.OrganizationMapping, "third")
		}
	}
}

// manyTenants says that the issuer is that of many tenants.
func (i *Issuer) manyTenants() bool { return strings.Contains(i.Issuer, "{tid}") }

// handling has all entries of some issuers be asked about tokens.
func (c *choices) handling(config *Config) {
	for _, name := range issuerNames {
		if !c.chance(5) {
			continue
		}
		kind := pick(c, "REFERENCE", "CUSTOM", "JWT")
		pattern := pick(c, "op_[a-z0-9]+", "op_.*[0-9a]", "(op_|ey)[^.]+(..*)?")
		for _, i := range config.Issuers {
			if i.Issuer != name {
				continue
			}
			i.Introspection = map[string]string{"url": "https://idp.example/introspect", "cluster": "idp"}
			if i.TokenHandling = map[string]string{"kind": kind}; kind != "JWT" {
				i.TokenHandling["pattern"] = pattern
			}
			if kind != "CUSTOM" {
				i.SignatureValidation, i.TokenTypes = SignatureValidation{}, nil
			}
		}
	}
}

// hasKeys says that keys tell the issuer's JWTs.
func (i *Issuer) hasKeys() bool {
	return i.SignatureValidation.JWKS != nil || i.SignatureValidation.Certificate != nil
}

// share makes valid what several entries for the same issuer have in common.
func (c *choices) share(config *Config) {
	third := map[string]bool{}
	for _, i := range config.Issuers {
		if third[i.Issuer] {
			delete(i.OrganizationMapping, "third")
		}
		third[i.Issuer] = true
		i.SharedAcrossOrganizations = c.chance(3)
	}
	for _, i := range config.Issuers {
		entries, unproven := 0, 0
		for _, other := range config.Issuers {
			if other.Issuer == i.Issuer {
				entries++
				if other.Organization == "*" && other.OrganizationMapping == nil &&
					fmt.Sprint(organizationClaim(config, other)) == fmt.Sprint(organizationClaim(config, i)) {
					i.OrganizationMapping = nil // which would overlap with the organizations themselves
				}
				if organizationClaim(config, other) == nil || other.MissingOrganization == "issuer" {
					unproven++
				}
			}
		}
		if entries > 1 && (organizationClaim(config, i) == nil || i.MissingOrganization == "issuer" && unproven > 1) {
			i.SharedAcrossOrganizations = true
		}
	}
}

// organizationClaim is the issuer's organization claim: the one that it names,
// or the remote claim of the mapping to the organization header.
func organizationClaim(config *Config, i *Issuer) any {
	if i.OrganizationClaim != nil {
		return i.OrganizationClaim
	}
	for _, m := range i.ClaimMappings {
		if strings.EqualFold(m.LocalClaim, headerNames(config)["organization"]) {
			return m.RemoteClaim
		}
	}
	return nil
}

func (c *choices) keys() SignatureValidation {
	var v SignatureValidation
	kind := c.n(4)
	if kind != 3 {
		v.JWKS = &JWKS{Inline: map[string][]json.RawMessage{"keys": {}}}
		for n, s := range some(c, 1, signers()...) {
			k := key{signer: s, kid: pick(c, s.KeyID, s.KeyID, s.KeyID, "", "k3")}
			if c.chance(3) {
				k.alg = pick(c, algorithms...)
				if !s.Can(k.alg) && (n == 0 || c.n(4) > 0) { // one key must be usable
					k.alg = s.Algorithm()
				}
			}
			if c.chance(4) && n > 0 {
				k.kid = v.JWKS.keys[0].kid
			}
			v.JWKS.keys = append(v.JWKS.keys, k)
			v.JWKS.Inline["keys"] = append(v.JWKS.Inline["keys"], c.jwk(k))
		}
		if c.chance(5) {
			for _, s := range some(c, 1, signers()...) {
				v.JWKS.Pins = append(v.JWKS.Pins, s.Thumbprint())
			}
		}
	}
	if kind >= 2 {
		s := pick(c, signers()...)
		spki, err := x509.MarshalPKIXPublicKey(s.Public())
		if err != nil {
			panic(err)
		}
		v.Certificate = &Certificate{string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})), s}
	}
	return v
}

func (c *choices) jwk(k key) json.RawMessage {
	members := map[string]any{}
	if err := json.Unmarshal([]byte(k.signer.JWK()), &members); err != nil {
		panic(err)
	}
	for name, value := range map[string]string{"kid": k.kid, "alg": k.alg} {
		members[name] = value
		if value == "" {
			delete(members, name)
		}
	}
	switch c.n(4) {
	case 1:
		delete(members, "use")
	case 2:
		members["key_ops"] = []string{"sign", "verify"}
	case 3:
		members["x5t"] = "x"
	}
	text, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return text
}

func (c *choices) rule(config *Config, n int) *Rule {
	r := &Rule{Name: pick(c, "", "r"+string(rune('0'+n)))}
	if c.n(3) == 2 {
		r.Match.Hosts = some(c, 1, "api.example", "*.API.example", "*.example", "org1.api.example")
	}
	switch c.n(5) {
	case 1, 2:
		r.Match.PathPrefix = pick(c, "/a", "/t/", "/", "/a/b", "/t/org1", "/caf%C3%A9")
	case 3:
		r.Match.Path = pick(c, "/a", "/a/b", "/", "/t/org1/x", "/a%20b")
	case 4:
		r.Match.PathTemplate = pick(c, "/t/{org}/x", "/a/*", "/t/**", "/*/b", "/{x}")
	}
	if c.chance(4) {
		r.Match.Methods = some(c, 1, "GET", "POST", "OPTIONS", "HEAD")
	}
	if c.chance(6) {
		forward := c.n(2) == 1
		r.ForwardToken = &forward
	}
	if c.chance(6) {
		r.Public = true
		return r
	}
	r.Optional = c.chance(6)
	if c.n(4) != 0 {
		r.Organization = c.organization()
	}
	r.Scopes = c.anyOrAll(scopeNames)
	r.Roles = c.anyOrAll(roleNames)
	if c.chance(6) {
		r.ConsumerKeys = some(c, 1, clientNames...)
	}
	for c.chance(6) {
		r.Claims = append(r.Claims, ClaimRule{pick(c, claimNames...), some(c, 1, "gold", "1", "true", "1.50")})
	}
	if c.chance(5) {
		for _, i := range some(c, 1, config.Issuers...) {
			r.Issuers = append(r.Issuers, i.Name)
		}
	}
	if c.chance(6) {
		r.Audiences = some(c, 1, "api", "other")
	}
	for c.chance(4) {
		r.AnyOf = append(r.AnyOf, c.demands(config))
	}
	return r
}

// demands are an alternative, which asks for something.
func (c *choices) demands(config *Config) *Demands {
	d := &Demands{Scopes: c.anyOrAll(scopeNames), Roles: c.anyOrAll(roleNames)}
	if c.chance(6) {
		d.ConsumerKeys = some(c, 1, clientNames...)
	}
	if c.chance(6) {
		d.Claims = append(d.Claims, ClaimRule{pick(c, claimNames...), some(c, 1, "gold", "1")})
	}
	if c.chance(4) {
		for _, i := range some(c, 1, config.Issuers...) {
			d.Issuers = append(d.Issuers, i.Name)
		}
	}
	if c.chance(3) {
		d.Audiences = some(c, 1, "api", "other", "https://api.example")
	}
	if d.Scopes == nil && d.Roles == nil && d.ConsumerKeys == nil && d.Claims == nil && d.Issuers == nil &&
		d.Audiences == nil {
		d.Scopes = some(c, 1, scopeNames...)
	}
	return d
}

func (c *choices) anyOrAll(from []string) any {
	switch c.n(8) {
	case 6:
		return some(c, 1, from...)
	case 7:
		return All{some(c, 1, from...)}
	}
	return nil
}
