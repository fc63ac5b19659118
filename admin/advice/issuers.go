package advice

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"orgate/config"
	"orgate/internal/httptext"
	"orgate/jwks"
)

// issuers advises on each issuer.
func (a *adviser) issuers() {
	for i := range a.config.Issuers {
		issuer := &a.config.Issuers[i]
		path := a.result.IssuerPath(issuer.Name)
		if len(issuer.Audiences) == 0 && !a.audienceOfRules(issuer) {
			a.noAudience(path+".audiences", issuer)
		}
		if should := providersIssuer(issuer.Issuer); should != "" {
			a.advise("issuer-slash", path+".issuer", "%s", should)
		}
		a.claimNames(path, issuer)
		a.tenants(path, issuer)
		a.inlineKeys(path, issuer)
		a.publishedKeys(path, issuer)
		a.locations(path, issuer)
		a.shared(path, issuer)
		if !issuer.ExcludeUnmappedRoles && len(issuer.RoleMappings) > 0 {
			a.advise("unmapped-roles", path+".excludeUnmappedRoles",
				"a role that no mapping names passes under its own name:"+
					" whoever names roles at the provider can grant every local role (%s)",
				quoteSome(localRoles(issuer)))
		}
		if issuer.Organization != config.Any && !canProve(issuer, issuer.Organization) {
			a.advise("unprovable-organization", path+".organizationMapping",
				"no value of the organization claim leads to %q,"+
					" which the issuer is bound to: all of its tokens are refused", issuer.Organization)
		}
	}
}

// claimNames advises on the names of claims that the issuer's fields have.
func (a *adviser) claimNames(path string, issuer *config.Issuer) {
	organization := ".organizationClaim"
	if !a.result.document.has(path + organization) {
		organization = ".claimMappings" // one of them names it
	}
	a.claimName(path+".usernameClaim", issuer.UsernameClaim)
	a.claimName(path+organization, issuer.OrganizationClaim)
	a.claimName(path+".scopesClaim", issuer.ScopesClaim)
	a.claimName(path+".consumerKeyClaim", issuer.ConsumerKeyClaim)
	a.claimName(path+".rolesClaim", issuer.RolesClaim)
	for _, m := range issuer.ClaimMappings {
		a.claimName(path+".claimMappings", m.RemoteClaim)
	}
	for _, name := range issuer.RequiredClaims {
		a.claimName(path+".requiredClaims", name)
	}
}

// claimName advises on a claim named by a URL that has a dot at its end: nothing
// in it tells where the name of the claim ends.
func (a *adviser) claimName(path string, name config.ClaimName) {
	_, rest, isURL := strings.Cut(name.Name, "://")
	slash, dot := strings.LastIndexByte(rest, '/'), strings.LastIndexByte(rest, '.')
	if !isURL || slash < 0 || dot < slash {
		return
	}
	claim, within := name.Name[:len(name.Name)-len(rest)+dot], rest[dot+1:]
	a.advise("dotted-claim", path, "%q is the claim of that name, or, in a token without one, %q in the longest "+
		"beginning"+
		" that is a claim, such as %q; to say which, write [%[3]q, %[2]q]", name.Name, within, claim)
}

// tenants advises on issuers of many tenants, whose tokens anybody can have who
// makes a tenant.
func (a *adviser) tenants(path string, issuer *config.Issuer) {
	switch {
	case !issuer.ManyTenants():
	case issuer.OrganizationClaim.Key() != "tid":
		a.advise("any-tenant", path+".organizationClaim", "a tenant's administrators decide what its tokens say in it:"+
			` only "tid" is the provider's`)
	case issuer.OrganizationMapping == nil && issuer.Organization == config.Any:
		a.advise("any-tenant", path+".organizationMapping",
			"without one, every tenant of the provider is an organization,"+
				" also where a rule takes any")
	}
}

func (a *adviser) noAudience(path string, issuer *config.Issuer) {
	if isCognito(issuer) {
		a.advise("no-audience", path, "the audience is not checked, and access tokens of Cognito have none: in each "+
			"rule,"+
			" name the clients (consumerKeys) and ask for access tokens"+
			" (claims: [{\"claim\": \"token_use\", \"in\": [\"access\"]}]), or any client of the user pool may call")
		return
	}
	a.advise("no-audience", path, "the audience is not checked: a token that %s issued for any other service is good"+
		" here, too", issuer.Name)
}

// audienceOfRules reports whether each rule for the issuer's tokens checks their
// audience: it names audiences, or what stands for them.
func (a *adviser) audienceOfRules(issuer *config.Issuer) bool {
	for i := range a.config.Rules {
		rule := &a.config.Rules[i]
		own := rule.Own()
		open := func(d config.Demands) bool {
			return (len(d.Issuers) == 0 || slices.Contains(d.Issuers, issuer.Name)) && len(d.Audiences) == 0 &&
				!(isCognito(issuer) && namesClients(&d))
		}
		if !rule.Public && open(own) && (len(rule.AnyOf) == 0 || slices.ContainsFunc(rule.AnyOf, open)) {
			return false
		}
	}
	return len(a.config.Rules) > 0
}

// isCognito reports whether an issuer is a user pool of Amazon Cognito, whose
// access tokens name their client and no audience.
func isCognito(issuer *config.Issuer) bool {
	u, err := url.Parse(issuer.Issuer)
	return err == nil && cognito(strings.ToLower(u.Hostname()))
}

func cognito(host string) bool {
	return strings.HasPrefix(host, "cognito-idp.") && (below(host, "amazonaws.com") || below(host, "amazonaws.com.cn"))
}

// namesClients reports whether access tokens of some clients alone meet demands.
func namesClients(d *config.Demands) bool {
	return len(d.ConsumerKeys) > 0 && slices.ContainsFunc(d.Claims, func(c config.ClaimRule) bool {
		return c.Claim.Key() == "token_use" && slices.Equal(c.In, []string{"access"})
	})
}

// inlineKeys tells of keys that are written down and not used. There are others
// that are, or else it would be an error.
func (a *adviser) inlineKeys(path string, issuer *config.Issuer) {
	keys := issuer.SignatureValidation.JWKS
	if keys == nil || keys.Inline == "" {
		return
	}
	set, err := jwks.Parse(string(keys.Inline))
	if err != nil {
		return // which is an error
	}
	for _, reason := range set.Unusable {
		a.advise("unusable-key", path+".signatureValidation.jwks.inline", "%v", reason)
	}
	if len(set.Keys) > 0 && len(set.Pin(keys.Pins).Keys) == 0 {
		a.advise("unusable-key", path+".signatureValidation.jwks.pins",
			"no key is one of those pinned: all of the issuer's tokens are refused")
	}
}

// published are the thumbprints (RFC 7638) of keys whose private halves are in
// WSO2's Helm charts.
var published = []string{
	"lfbUGcwS-WSq-mCWteQKo8TY9uE7t9J-ZwFY92sfDs8", // wso2carbon.pem: the charts' own identity provider signs with it
	"8VLyjLB3iFpHhVzL4fDjOEvBN41MvvCybl7k9sHjzRQ", // mg.pem: their enforcer does
}

// publishedKeys tells of keys that anybody can sign tokens with.
func (a *adviser) publishedKeys(path string, issuer *config.Issuer) {
	certificate := issuer.SignatureValidation.Certificate
	if certificate == nil {
		return
	}
	set, err := jwks.ParsePEM(certificate.CertificateInline)
	if err != nil {
		return // which is an error
	}
	for i := range set.Keys {
		if slices.Contains(published, set.Keys[i].Thumbprint) {
			a.advise(PublishedKey, path+".signatureValidation.certificate.certificateInline",
				"the private key is in WSO2's"+
					" Helm charts for everybody to read: anybody can sign tokens of this issuer with it")
		}
	}
}

func (a *adviser) locations(path string, issuer *config.Issuer) {
	if i := issuer.Introspection; i != nil && httptext.HasPrefixFold(i.URL, "http:") {
		a.advise("plain-http", path+".introspection.url", "tokens and the client's secret go over plain http:"+
			" whoever is on the way has them, and can say that any token is good; use https")
	}
	keys := issuer.SignatureValidation.JWKS
	if keys == nil {
		return
	}
	if jwks := besideCertificates(keys.URL); jwks != "" {
		a.advise("x509-keys", path+".signatureValidation.jwks.url",
			"these are certificates by key id, which are read, too;"+
				" the same keys as a JWK Set are at %s", jwks)
	}
	if strings.Contains(keys.URL, "/.well-known/openid-configuration") ||
		strings.Contains(keys.URL, "/.well-known/oauth-authorization-server") {
		a.advise("jwks-url", path+".signatureValidation.jwks.url", "this is the location of a discovery document,"+
			" and url is that of a JWK Set: write wellKnown instead, or the jwks_uri that is in the document")
	}
	if len(keys.Pins) > 0 {
		return // keys with a known thumbprint may come over any wire
	}
	for name, location := range map[string]string{"url": keys.URL, "wellKnown": keys.WellKnown} {
		if len(location) > 5 && strings.EqualFold(location[:5], "http:") {
			a.advise("plain-http", path+".signatureValidation.jwks."+name, "the keys come over plain http:"+
				" whoever is on the way can put in one of their own and sign tokens with it; use https, or pin the "+
				"keys (pins)")
		}
	}
}

// besideCertificates is where Google has the JWK Set of the keys whose
// certificates are at a location, or "".
func besideCertificates(location string) string {
	const google = "https://www.googleapis.com/"
	if location == google+"oauth2/v1/certs" {
		return google + "oauth2/v3/certs"
	}
	if account, ok := strings.CutPrefix(location, google+"robot/v1/metadata/x509/"); ok {
		return google + "service_accounts/v1/jwk/" + account
	}
	return ""
}

// shared advises on issuers whose tokens may be of several organizations.
func (a *adviser) shared(path string, issuer *config.Issuer) {
	if !issuer.SharedAcrossOrganizations {
		return
	}
	var organizations []string
	oneClaim := true
	for i := range a.config.Issuers {
		if other := &a.config.Issuers[i]; other.Issuer == issuer.Issuer {
			organizations = append(organizations, strconv.Quote(other.Organization))
			oneClaim = oneClaim && other.OrganizationClaim.Key() == issuer.OrganizationClaim.Key() &&
				other.MissingOrganization != "issuer"
		}
	}
	if len(organizations) < 2 {
		a.advise("shared-issuer", path+".sharedAcrossOrganizations",
			"allows what nobody asks for: the issuer stands under one organization")
		return
	}
	if !issuer.OrganizationClaim.IsZero() && oneClaim {
		a.advise("shared-issuer", path+".sharedAcrossOrganizations",
			"allows what nobody asks for: the organization claim tells the organizations apart")
		return
	}
	which := "names no organization"
	if !issuer.OrganizationClaim.IsZero() && issuer.MissingOrganization != "issuer" {
		which = "proves several organizations by different claims"
	}
	a.advise("shared-issuer", path+".sharedAcrossOrganizations", "a token of %s that %s may call the APIs of %s alike",
		issuer.Issuer, which, Enumerate(organizations))
}

// sharing advises on keys that workers could not share.
func (a *adviser) sharing() {
	istio := slices.ContainsFunc(a.config.Issuers, func(i config.Issuer) bool {
		keys := i.SignatureValidation.JWKS
		return keys != nil && strings.HasPrefix(keys.Cluster, "outbound|")
	})
	if istio && a.config.Sharing.Key == "" {
		a.advise("no-sharing-key", "sharing",
			"Istio gives the plugin no vm_id of its own, so each worker fetches all keys for itself;"+
				" with a key, made by \"openssl rand -base64 32\", one of them fetches for all")
	}
}

func localRoles(issuer *config.Issuer) []string {
	var roles []string
	for _, m := range issuer.RoleMappings {
		if !slices.Contains(roles, m.LocalRole) {
			roles = append(roles, m.LocalRole)
		}
	}
	return roles
}

// quoteSome lists a few words, and says how many there are besides.
func quoteSome(words []string) string {
	const most = 5
	var quoted []string
	for i, w := range words {
		if i == most {
			quoted = append(quoted, strconv.Itoa(len(words)-most)+" more")
			break
		}
		quoted = append(quoted, strconv.Quote(w))
	}
	return Enumerate(quoted)
}

// canProve reports whether a token of the issuer could prove an organization.
func canProve(issuer *config.Issuer, organization string) bool {
	claimed := false
	if !issuer.OrganizationClaim.IsZero() {
		claimed = issuer.OrganizationMapping == nil
		for _, mapped := range issuer.OrganizationMapping {
			claimed = claimed || mapped == organization
		}
	}
	switch issuer.Organization {
	case config.Any:
		return claimed
	case organization:
		return claimed || issuer.OrganizationClaim.IsZero() || issuer.MissingOrganization == "issuer"
	}
	return false
}

// providersIssuer says what the tokens of a known provider have as "iss", if
// it is not what the configuration has.
func providersIssuer(issuer string) string {
	u, err := url.Parse(issuer)
	switch {
	case strings.Contains(issuer, "{tenantid}"):
		return `"{tenantid}" stands in Entra ID's discovery document where tokens have the tenant's id;` +
			` "{tid}" stands for each token's own`
	case issuer == "accounts.google.com":
		return `Google issues tokens with the scheme: "https://accounts.google.com"`
	case err != nil || u.Host == "":
		return ""
	}
	host, path := strings.ToLower(u.Hostname()), u.EscapedPath()
	bare := strings.TrimRight(path, "/")
	slash := path != bare
	origin := u.Scheme + "://" + u.Host
	without := func(provider string) string {
		if !slash {
			return ""
		}
		return provider + " issues tokens without a slash at the end: " + strconv.Quote(origin+bare)
	}
	with := func(provider string) string {
		if slash {
			return ""
		}
		return provider + " issues tokens with a slash at the end: " + strconv.Quote(origin+bare+"/")
	}
	segments := strings.Split(bare, "/")
	switch {
	case below(host, "auth0.com"):
		if path != "/" {
			return "Auth0 issues tokens with a slash after the domain: " + strconv.Quote(origin+"/")
		}
	case host == "sts.windows.net":
		if !slash {
			return "Entra ID issues tokens of version 1.0 with a slash at the end: " + strconv.Quote(origin+bare+"/")
		}
	case below(host, "b2clogin.com"):
		if segments[len(segments)-1] == "v2.0" && (len(segments) == 3 || segments[1] == "tfp") {
			return with("Azure AD B2C")
		}
		return "Azure AD B2C issues tokens with the tenant's id, without the policy and with a slash at the end: " +
			strconv.Quote(origin+"/<tenant id>/v2.0/")
	case len(segments) == 4 && segments[1] == "application" && segments[2] == "o":
		return with("authentik")
	case host == "accounts.google.com":
		return without("Google")
	case host == "securetoken.google.com":
		return without("Firebase")
	case cognito(host):
		return without("Cognito")
	case below(host, "cloudflareaccess.com"):
		return without("Cloudflare Access")
	case host == "login.microsoftonline.com":
		return entra(origin, bare, slash)
	case below(host, "okta.com"), below(host, "oktapreview.com"), below(host, "okta-emea.com"):
		return without("Okta")
	case host == "asgardeo.io", below(host, "asgardeo.io"):
		if message := without("Asgardeo"); message != "" {
			return message
		}
		if len(segments) >= 3 && segments[1] == "t" && !strings.HasSuffix(bare, "/oauth2/token") {
			return "Asgardeo issues tokens with the token endpoint as issuer: " +
				strconv.Quote(origin+"/t/"+segments[2]+"/oauth2/token")
		}
	case slices.Contains(segments, "realms"):
		return without("Keycloak")
	case strings.HasSuffix(bare, "/oauth2/token"):
		return without("WSO2 Identity Server")
	}
	return ""
}

func entra(origin, bare string, slash bool) string {
	tenant, version, _ := strings.Cut(strings.TrimPrefix(bare, "/"), "/")
	switch {
	case tenant == "common" || tenant == "organizations" || tenant == "consumers":
		return "Entra ID issues tokens with the tenant's id, never with " + strconv.Quote(tenant)
	case version != "v2.0":
		return "Entra ID issues tokens of version 2.0 as " + strconv.Quote(origin+"/"+tenant+"/v2.0") +
			", and those of version 1.0 as " + strconv.Quote("https://sts.windows.net/"+tenant+"/")
	case slash:
		return "Entra ID issues tokens of version 2.0 without a slash at the end: " + strconv.Quote(origin+bare)
	}
	return ""
}

func below(host, domain string) bool { return strings.HasSuffix(host, "."+domain) }
