// Package config holds the plugin's configuration: the types, their defaults,
// and [Parse], which reads the JSON document strictly and returns every
// mistake at once, each with its path.
//
// The types describe the document completely: the JSON Schema and the
// reference page are generated from them and from the comments on their
// fields. Struct tags say the rest:
//
//	json      the member's name
//	default   the value of a member that is absent, as JSON
//	required  "true" if the member must be present
//	enum      the allowed strings, or elements of a list, separated by "|"
//	min, max  the range of a number or a duration; min:"1" on a string or a
//	          list: it may be absent, but not empty
//
// A required string, list or map is not empty either, nor is any string in a
// list.
//
// A parsed [Config] is complete (defaults applied), checked, and never changed
// afterwards. It is the one normal form: names are in lower case, paths are clean
// and headers do not collide. The package knows nothing of proxies, tokens or
// keys. Any package may import it, except those of tokens and keys.
package config

//go:generate go run ./schema/gen

import (
	"strings"
	"time"

	"orgate/internal/httptext"
)

// Config is the plugin's configuration.
type Config struct {
	// Who may issue tokens. At least one.
	Issuers []Issuer `json:"issuers" required:"true"`
	// What each part of the API asks for. The first rule that matches a request
	// decides. If there are rules, a request that matches none is refused.
	Rules []Rule `json:"rules" default:"[]"`
	// The organization that a rule requires if it names none, and that every
	// request needs without rules. By default the one that all issuers share,
	// those of other environments included. If they differ, each rule must name
	// its own.
	Organization Organization `json:"organization"`
	// Keeps only the issuers whose environments hold this name or "*". Empty
	// keeps them all.
	Environment string `json:"environment" default:"\"\""`
	// Where a request may carry its token.
	TokenSources TokenSources `json:"tokenSources"`
	// Passes the token on to the upstream. Otherwise it is removed.
	ForwardToken bool `json:"forwardToken" default:"false"`
	// The header that receives the token's payload, base64url-encoded as in
	// the token. Empty: none.
	ForwardPayload string `json:"forwardPayload" default:"\"\""`
	// The headers that tell the upstream who calls.
	Headers Headers `json:"headers"`
	// How refusals are written.
	Errors Errors `json:"errors"`
	// How the upstreams read paths.
	Paths Paths `json:"paths"`
	// Bounds on what one worker keeps and does at once.
	Limits Limits `json:"limits"`
	// Where signatures are verified: "sandbox", in the plugin, or "host",
	// through the proxy's verify_signature function if it offers one.
	SignatureVerification string `json:"signatureVerification" default:"\"sandbox\"" enum:"sandbox|host"`
	// Lets CORS preflight requests pass (OPTIONS with Origin and
	// Access-Control-Request-Method): browsers send them without a token.
	BypassCORSPreflight bool `json:"bypassCORSPreflight" default:"true"`
	// How workers share the keys that they fetch.
	Sharing Sharing `json:"sharing"`
	// Where editors find the document's schema. Ignored.
	Schema string `json:"$schema" default:"\"\"" min:"1"`
}

// TokenSources says where a request may carry its token. A request with two
// different tokens is refused.
type TokenSources struct {
	// Request headers.
	Headers []HeaderSource `json:"headers" default:"[{\"name\":\"authorization\",\"prefix\":\"Bearer \"}]"`
	// Query parameters.
	Query []string `json:"query" default:"[]"`
	// Cookies.
	Cookies []string `json:"cookies" default:"[]"`
}

// HeaderSource is a header that may carry the token.
type HeaderSource struct {
	// The header's name; case does not matter.
	Name string `json:"name" required:"true"`
	// What stands before the token in the header's value, such as "Bearer ";
	// case does not matter. A value with another prefix carries no token.
	Prefix string `json:"prefix" default:"\"\""`
}

// Headers names the identity headers. An empty name switches a header off.
type Headers struct {
	// Receives the token's organization.
	Organization string `json:"organization" default:"\"x-wso2-organization\""`
	// Receives the user's name.
	Username string `json:"username" default:"\"x-wso2-username\""`
	// Receives the client that the token was issued to.
	ConsumerKey string `json:"consumerKey" default:"\"x-wso2-consumer-key\""`
	// Receives the token's scopes.
	Scopes string `json:"scopes" default:"\"x-wso2-scopes\""`
	// Receives the local roles.
	Roles string `json:"roles" default:"\"x-wso2-roles\""`
	// How lists are written: "comma", joined with commas (scopes with spaces), or
	// "json", as a JSON array, which holds any element.
	Lists string `json:"lists" default:"\"comma\"" enum:"comma|json"`
}

// Errors says how refusals are written.
type Errors struct {
	// The body: "wso2" (error_message, code, error_description), "problem"
	// (RFC 9457) or "plain" (a line of text).
	Format string `json:"format" default:"\"wso2\"" enum:"wso2|problem|plain"`
	// The realm in WWW-Authenticate (RFC 9110 §11.5): printable ASCII without
	// quotes and backslashes.
	Realm string `json:"realm" default:"\"orgate\"" min:"1"`
}

// Paths says how the upstreams read what others read in another way. "refuse"
// refuses it with 400. "keep" takes it for an ordinary part of a path, as the
// upstreams must do, too.
type Paths struct {
	// "%2F": a part of its segment, not the end of it.
	EncodedSlash string `json:"encodedSlash" default:"\"refuse\"" enum:"refuse|keep"`
	// ";": a part of its segment, not the beginning of a parameter.
	Semicolon string `json:"semicolon" default:"\"refuse\"" enum:"refuse|keep"`
	// "//": an empty segment, not one slash.
	EmptySegment string `json:"emptySegment" default:"\"refuse\"" enum:"refuse|keep"`
}

// Grammar returns the paths that are read without ambiguity.
func (p Paths) Grammar() httptext.Paths {
	return httptext.Paths{
		EncodedSlash: p.EncodedSlash == keep,
		Semicolon:    p.Semicolon == keep,
		EmptySegment: p.EmptySegment == keep,
	}
}

const keep = "keep"

// Sharing is about what workers leave each other in the proxy's shared data.
type Sharing struct {
	// A secret of at least 32 bytes, by which workers authenticate each other's
	// entries. If the proxy gives the plugin no vm_id of its own, as in Istio,
	// each worker fetches for itself without it.
	Key string `json:"key" default:"\"\"" min:"1"`
}

// Limits bounds what one worker keeps, and does at once.
type Limits struct {
	// The longest token that is read, in bytes (256 to 65536).
	TokenBytes int `json:"tokenBytes" default:"16384" min:"256" max:"65536"`
	// How many verified tokens are cached (0 to 65536).
	CachedTokens int `json:"cachedTokens" default:"4096" min:"0" max:"65536"`
	// How many requests may wait for keys and introspections (0 to 65536).
	WaitingRequests int `json:"waitingRequests" default:"1024" min:"0" max:"65536"`
	// How long a request may wait for keys or an introspection (up to 1 minute).
	KeyWait Duration `json:"keyWait" default:"\"5s\"" min:"0s" max:"1m"`
	// How many fetches of keys and introspections may be under way at once (1 to
	// 1024).
	Fetches int `json:"fetches" default:"16" min:"1" max:"1024"`
}

// Issuer is an identity provider: the spec of a WSO2 APK TokenIssuer, and what
// the proxy needs to know besides.
type Issuer struct {
	// The issuer's place in the document, such as "issuers[1]".
	Path string `json:"-"`
	// Names the issuer in metrics and logs. Unique.
	Name string `json:"name" required:"true"`
	// The exact value of the token's "iss" (RFC 7519 §4.1.1). A trailing slash
	// matters. "{tid}" in it stands for the token's own claim "tid", as Entra ID's
	// many tenants need it. organizationClaim is then required.
	Issuer string `json:"issuer" required:"true"`
	// The organization whose APIs the issuer's tokens may call. "*": the
	// organization claim decides.
	Organization string `json:"organization" required:"true"`
	// The environments in which the issuer is used; "*" is every one.
	Environments []string `json:"environments" default:"[\"*\"]" min:"1"`
	// Any one of these must be in the token's "aud" (RFC 7519 §4.1.3). Empty:
	// the audience is not checked.
	Audiences []string `json:"audiences" default:"[]"`
	// The signature algorithms allowed (RFC 7518 §3.1, RFC 8037 §3.1). "Ed25519" is
	// another name of "EdDSA" (RFC 9864). "ES512" needs signatureVerification "host".
	Algorithms []string `json:"algorithms" default:"[\"RS256\"]" min:"1" enum:"RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA|Ed25519"`
	// The allowed values of the token's "typ" (RFC 7515 §4.1.9), such as "at+jwt",
	// without "application/". Case does not matter. Empty: any.
	TokenTypes []string `json:"tokenTypes" default:"[]"`
	// Where the keys come from. Required without introspection.
	SignatureValidation SignatureValidation `json:"signatureValidation"`
	// Which tokens are the issuer's.
	TokenHandling TokenHandling `json:"tokenHandling"`
	// Where the provider says whether a token is good. Required for opaque tokens.
	// Without signatureValidation, JWTs are introspected as well.
	Introspection *Introspection `json:"introspection"`
	// The claim that holds the user's name.
	UsernameClaim ClaimName `json:"usernameClaim" default:"\"sub\""`
	// What becomes of a token without a user's name: "refuse"; "consumerKey", which
	// takes the client's name, for tokens of machines; or "omit", which writes no
	// header.
	MissingUsername string `json:"missingUsername" default:"\"refuse\"" enum:"refuse|consumerKey|omit"`
	// The claim that holds the user's organization. The token must have it. By
	// default the remoteClaim of the claim mapping whose localClaim is the
	// organization header, if there is one.
	OrganizationClaim ClaimName `json:"organizationClaim"`
	// What becomes of a token without the organization claim: "refuse", or
	// "issuer", which takes the issuer's organization.
	MissingOrganization string `json:"missingOrganization" default:"\"refuse\"" enum:"refuse|issuer"`
	// From the value of the organization claim to the organization. A value that
	// is not listed is refused.
	OrganizationMapping map[string]string `json:"organizationMapping" min:"1"`
	// The claim that holds the scopes: a string, separated by spaces, or an
	// array of strings.
	ScopesClaim ClaimName `json:"scopesClaim" default:"\"scope\""`
	// The claim that holds the client. If the token lacks it, "client_id" does.
	ConsumerKeyClaim ClaimName `json:"consumerKeyClaim" default:"\"azp\""`
	// The claim that holds the identity provider's roles: a string, an array of
	// strings, or an object whose member names are the roles.
	RolesClaim ClaimName `json:"rolesClaim"`
	// From the identity provider's roles to local ones.
	RoleMappings []RoleMapping `json:"roleMappings" default:"[]"`
	// Drops the roles that no mapping names, if there are mappings.
	ExcludeUnmappedRoles bool `json:"excludeUnmappedRoles" default:"true"`
	// Claims that go to the upstream in headers.
	ClaimMappings []ClaimMapping `json:"claimMappings" default:"[]"`
	// Claims that must be present and not null.
	RequiredClaims []ClaimName `json:"requiredClaims" default:"[]"`
	// "enforce": a token with "cnf.x5t#S256" (RFC 8705 §3.1) is good only over a
	// connection with that client certificate. "require" also refuses tokens
	// without it. "ignore" does not look at it.
	CertificateBinding string `json:"certificateBinding" default:"\"enforce\"" enum:"enforce|require|ignore"`
	// How far the issuer's clock may be off (0 to 10 minutes).
	ClockSkew Duration `json:"clockSkew" default:"\"60s\"" min:"0s" max:"10m"`
	// Refuses tokens without "exp" (RFC 7519 §4.1.4).
	RequireExpiration bool `json:"requireExpiration" default:"true"`
	// How long after "iat" (RFC 7519 §4.1.6) a token is good (at least 1 second).
	// "iat" is then required. By default until "exp".
	MaxTokenAge Duration `json:"maxTokenAge" min:"1s"`
	// Lets a token belong to several organizations under which the same "iss"
	// stands, by several claims or without an organization claim. It may call the
	// APIs of all of them. Each of these issuers must say so.
	SharedAcrossOrganizations bool `json:"sharedAcrossOrganizations" default:"false"`
	// Lets requests pass that the rules would refuse to this issuer's tokens.
	// They are counted and logged, and the header x-orgate-report has the reason.
	// Signature, time and form of a token are still enforced.
	ReportOnly bool `json:"reportOnly" default:"false"`
}

// Tenant stands for the token's claim "tid" in an [Issuer.Issuer].
const Tenant = "{tid}"

// ManyTenants reports whether the issuer is that of many tenants.
func (i *Issuer) ManyTenants() bool { return strings.Contains(i.Issuer, Tenant) }

// DiscoveryIssuer is what the issuer's discovery document names as the issuer. For
// many tenants it is what Entra ID writes.
func (i *Issuer) DiscoveryIssuer() string { return strings.ReplaceAll(i.Issuer, Tenant, "{tenantid}") }

// Call is a location, and the proxy's cluster that it is called through.
type Call struct {
	// Cluster and URL are as the configuration has them.
	Cluster, URL string
}

// Calls are the locations that the plugin calls for the issuer: that of its keys, and
// that of its introspection.
func (i *Issuer) Calls() []Call {
	var calls []Call
	if j := i.SignatureValidation.JWKS; j != nil && j.Cluster != "" {
		calls = append(calls, Call{j.Cluster, j.URL + j.WellKnown}) // one of them is empty
	}
	if i.Introspection != nil {
		calls = append(calls, Call{i.Introspection.Cluster, i.Introspection.URL})
	}
	return calls
}

// SignatureValidation says where an issuer's keys come from: a JWK Set, a
// certificate, or both.
type SignatureValidation struct {
	// A JWK Set (RFC 7517).
	JWKS *JWKS `json:"jwks"`
	// Certificates or public keys. Beside a JWK Set, they are tried if the set has
	// no key for the token.
	Certificate *Certificate `json:"certificate"`
}

// JWKS is a JWK Set: exactly one of url, wellKnown and inline.
type JWKS struct {
	// Where the JWK Set is.
	URL string `json:"url" default:"\"\"" min:"1"`
	// Where the OpenID Connect discovery document is. Its issuer must equal
	// issuer, and its jwks_uri must have the same origin.
	WellKnown string `json:"wellKnown" default:"\"\"" min:"1"`
	// Allows a jwks_uri with another origin than the discovery document's.
	AllowOtherOrigin bool `json:"allowOtherOrigin" default:"false"`
	// The JWK Set itself.
	Inline JSON `json:"inline"`
	// The proxy's cluster that the keys are fetched through. Required with url and
	// wellKnown.
	Cluster string `json:"cluster" default:"\"\"" min:"1"`
	// How long one fetch may take (1 millisecond to 1 minute).
	Timeout Duration `json:"timeout" default:"\"5s\"" min:"1ms" max:"1m"`
	// How often the keys are fetched anew (1 minute to 24 hours). A shorter
	// max-age in the response's Cache-Control comes first, down to 1 minute.
	RefreshInterval Duration `json:"refreshInterval" default:"\"10m\"" min:"1m" max:"24h"`
	// How long the last good keys are used after their refresh is due (0 to 30
	// days).
	MaxStale Duration `json:"maxStale" default:"\"24h\"" min:"0s" max:"720h"`
	// The least time between two fetches for one kid that the set does not hold,
	// and the longest pause before a retry while tokens ask for a key (1 second to
	// 1 hour; below 5 seconds it is 5).
	UnknownKidCooldown Duration `json:"unknownKidCooldown" default:"\"30s\"" min:"1s" max:"1h"`
	// SHA-256 thumbprints (RFC 7638), base64url. If there are any, other keys are
	// not used.
	Pins []string `json:"pins" default:"[]"`
}

// Certificate holds certificates or public keys.
type Certificate struct {
	// PEM: CERTIFICATE, PUBLIC KEY or RSA PUBLIC KEY blocks. A certificate is
	// used for its key alone. Its dates and its issuer are not checked.
	CertificateInline string `json:"certificateInline" required:"true"`
}

// TokenHandling says which tokens are an issuer's. All entries for one issuer say
// the same.
type TokenHandling struct {
	// "JWT": those with the issuer in "iss". "REFERENCE": opaque tokens that match
	// the pattern. "CUSTOM": all tokens that match it. A JWT that is verified with
	// keys must also have the issuer in "iss".
	Kind string `json:"kind" default:"\"JWT\"" enum:"JWT|REFERENCE|CUSTOM"`
	// A regular expression for the whole token (a part of RE2's syntax). Only
	// tokens that match it are introspected.
	Pattern string `json:"pattern" default:"\"\"" min:"1"`
}

// Introspection is where a provider says whether a token is good (RFC 7662). All
// entries for one issuer say the same.
type Introspection struct {
	// The introspection endpoint.
	URL string `json:"url" required:"true"`
	// The proxy's cluster that the endpoint is called through.
	Cluster string `json:"cluster" required:"true"`
	// The client that introspects, by HTTP Basic authentication (RFC 6749 §2.3.1).
	// Without it there is no authentication.
	ClientID string `json:"clientId" default:"\"\"" min:"1"`
	// The client's secret.
	ClientSecret Secret `json:"clientSecret"`
	// How long one request may take (1 millisecond to 1 minute).
	Timeout Duration `json:"timeout" default:"\"5s\"" min:"1ms" max:"1m"`
	// How long a response is kept (0 to 1 hour), never beyond the token's "exp". A
	// revoked token stays good for so long.
	CacheFor Duration `json:"cacheFor" default:"\"1m\"" min:"0s" max:"1h"`
}

// Secret is a secret. In JSON it is a string, or an object that says where it is.
type Secret struct {
	// The secret itself.
	Value string `json:"-"`
	// An environment variable that the proxy gives to the plugin's VM.
	FromEnvironment string `json:"fromEnvironment" required:"true"`
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s == Secret{} }

// RoleMapping maps one of the identity provider's roles to a local one.
type RoleMapping struct {
	// The role as the token has it.
	RemoteRole string `json:"remoteRole" required:"true"`
	// The role as rules and upstreams know it.
	LocalRole string `json:"localRole" required:"true"`
}

// ClaimMapping sends a claim to the upstream.
type ClaimMapping struct {
	// The claim.
	RemoteClaim ClaimName `json:"remoteClaim" required:"true"`
	// The header that receives it.
	LocalClaim string `json:"localClaim" required:"true"`
}

// Rule says what a part of the API asks for.
type Rule struct {
	// Names the rule in metrics and logs. Unique. By default "rule-" and the
	// rule's place, counted from 0.
	Name string `json:"name" default:"\"\"" min:"1"`
	// The requests that the rule is for. Empty: all.
	Match Match `json:"match"`
	// The organization that the token must prove. By default the top level's.
	Organization Organization `json:"organization"`
	// Scopes: any one of an array, or all with {"all": […]}.
	Scopes AnyOrAll `json:"scopes"`
	// Local roles: any one of an array, or all with {"all": […]}.
	Roles AnyOrAll `json:"roles"`
	// The clients that may call. Empty: any.
	ConsumerKeys []string `json:"consumerKeys" default:"[]"`
	// Claims that must have one of the listed values.
	Claims []ClaimRule `json:"claims" default:"[]"`
	// Names of the issuers whose tokens are good here. Empty: all.
	Issuers []string `json:"issuers" default:"[]"`
	// Audiences, instead of the issuer's.
	Audiences []string `json:"audiences" default:"[]"`
	// Alternatives, of which one must hold, too: a user's scope or a daemon's role.
	AnyOf []Demands `json:"anyOf" min:"1"`
	// Passes the token on to the upstream, or removes it. By default the top
	// level's.
	ForwardToken *bool `json:"forwardToken"`
	// Asks for no token. A token is removed unless forwardToken is set.
	Public bool `json:"public" default:"false"`
	// Lets requests pass without a token, or with a good one.
	Optional bool `json:"optional" default:"false"`
}

// Demands is what a rule, or one of its alternatives, asks of a token.
type Demands struct {
	// Scopes: any one of an array, or all with {"all": […]}.
	Scopes AnyOrAll `json:"scopes"`
	// Local roles: any one of an array, or all with {"all": […]}.
	Roles AnyOrAll `json:"roles"`
	// The clients. Empty: any.
	ConsumerKeys []string `json:"consumerKeys" default:"[]"`
	// Claims that must have one of the listed values.
	Claims []ClaimRule `json:"claims" default:"[]"`
	// Names of the issuers that the alternative is for. Empty: all.
	Issuers []string `json:"issuers" default:"[]"`
	// Audiences, instead of the issuer's.
	Audiences []string `json:"audiences" default:"[]"`
}

// Own returns what the rule asks for itself, besides its alternatives.
func (r *Rule) Own() Demands {
	return Demands{r.Scopes, r.Roles, r.ConsumerKeys, r.Claims, r.Issuers, r.Audiences}
}

// Match selects requests. Every part that is present must match. The query is
// never looked at.
type Match struct {
	// Hosts: exact, or "*." and a suffix. Port and case do not matter.
	Hosts []string `json:"hosts" default:"[]"`
	// The whole path.
	Path string `json:"path" default:"\"\"" min:"1"`
	// The path's beginning, on whole segments: "/a" matches "/a" and "/a/b", not
	// "/ab".
	PathPrefix string `json:"pathPrefix" default:"\"\"" min:"1"`
	// The path by segments: "{name}" and "*" stand for one segment each, "**"
	// at the end for any number.
	PathTemplate string `json:"pathTemplate" default:"\"\"" min:"1"`
	// Methods, in capitals.
	Methods []string `json:"methods" default:"[]"`
}

// ClaimRule asks for a claim.
type ClaimRule struct {
	// The claim.
	Claim ClaimName `json:"claim" required:"true"`
	// The values, of which the claim must have one (or hold one, if it is an
	// array). Numbers and booleans are written as strings.
	In []string `json:"in" required:"true"`
}

// Organization is where the required organization comes from. At most one field
// is set. If none is, no organization is named here.
//
// In JSON it is a string (a literal, or "*" for any organization that the
// token proves) or an object with one of the other members.
type Organization struct {
	// The organization itself, or "*".
	Literal string `json:"-"`
	// From the host, such as "{org}.api.example.com".
	FromHost string `json:"fromHost" min:"1"`
	// From the path's beginning, such as "/t/{org}/".
	FromPath string `json:"fromPath" min:"1"`
	// From the route's metadata in the proxy: filter name and key, such as
	// "orgate.organization".
	FromRouteMetadata string `json:"fromRouteMetadata" min:"1"`
}

// IsZero reports whether no organization is named.
func (o Organization) IsZero() bool { return o == Organization{} }

// Any is the organization that stands for any.
const Any = "*"

// AnyOrAll is a list of which any one suffices, or all are required.
// In JSON it is an array, or {"all": […]}. Empty asks for nothing.
type AnyOrAll struct {
	Values []string
	All    bool
}

// ClaimName names a claim. In JSON it is a string, looked up literally first
// ("https://example.com/org") and then as a path of members separated by dots
// ("realm_access.roles"), of which the longest beginning that is a claim counts;
// or an array of strings, a path with no splitting. The zero value names none.
type ClaimName struct {
	// The string, "" if the name was an array.
	Name string
	// The array.
	Path []string
}

// IsZero reports whether no claim is named.
func (c ClaimName) IsZero() bool { return c.Name == "" && len(c.Path) == 0 }

// Key is the same for all names of one claim: "sub" and ["sub"] name one.
func (c ClaimName) Key() string {
	switch {
	case c.Name != "":
		return c.Name
	case len(c.Path) == 1 && !strings.Contains(c.Path[0], "."):
		return c.Path[0]
	}
	return "\x00" + strings.Join(c.Path, "\x00")
}

// Duration is a length of time, in JSON a string of [time.ParseDuration].
type Duration time.Duration

// JSON is a JSON value kept as it was written; "" is none.
type JSON string
