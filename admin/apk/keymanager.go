package apk

import (
	"cmp"
	"encoding/base64"
	"encoding/pem"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"orgate/admin/advice"
	"orgate/config"
)

// superTenant is the organization of API Manager that a Key Manager belongs to
// unless it was made in another tenant, which its export does not say.
const superTenant = "carbon.super"

// isKeyManager reports whether a document is what API Manager's admin API says
// of a Key Manager, at length or in a list.
func isKeyManager(n node) bool {
	return slices.ContainsFunc([]string{"certificates", "tokenValidation", "enableSelfValidationJWT", "tokenType"},
		func(field string) bool { return !n.At(field).Absent() })
}

// sortKeyManager takes a Key Manager whose tokens the gateway takes.
func (im *importer) sortKeyManager(n node) {
	r := resource{kind: kindKeyManager, name: n.At("name").Text(), node: n}
	switch {
	case n.At("enabled").Value == false:
		im.note(r, n.At("enabled"), "skipped: API Manager does not use it")
	case n.At("tokenType").Text() == "EXCHANGED":
		im.note(r, n.At("tokenType"), "skipped: its tokens are exchanged for those of another Key Manager"+
			" before they come here")
	case n.At("issuer").Absent():
		im.problem(r, n.At("issuer"), "is missing: the list of Key Managers does not have it, GET /key-managers/ID does")
	default:
		im.resources = append(im.resources, r)
	}
}

// describing are the fields that say nothing of how tokens are checked.
var describing = []string{"id", "displayName", "description", "type", "enabled", "tokenType", "isUsed", "isGlobal"}

// managing are the fields that are for clients, and for getting tokens.
var managing = []string{"clientRegistrationEndpoint", "tokenEndpoint", "displayTokenEndpoint", "revokeEndpoint",
	"displayRevokeEndpoint", "userInfoEndpoint", "authorizeEndpoint", "scopeManagementEndpoint", "endpoints",
	"availableGrantTypes", "enableTokenGeneration", "enableTokenEncryption", "enableTokenHashing",
	"enableMapOAuthConsumerApps", "enableOAuthAppCreation", "alias", "global", "permissions", "allowedOrganizations",
	"additionalProperties"}

// keyManager reads a Key Manager.
func (rd reader) keyManager(i *issuer) {
	n := rd.r.node
	known := slices.Concat(describing, managing, []string{"name", "issuer", "certificates", "wellKnownEndpoint",
		"introspectionEndpoint", "enableSelfValidationJWT", "claimMapping", "consumerKeyClaim", "scopesClaim",
		"tokenValidation"})
	rd.others(n, nil, known...)
	var managed []string
	for _, field := range managing {
		if value := n.At(field).Value; value != nil && value != "" {
			managed = append(managed, field)
		}
	}
	if len(managed) > 0 {
		rd.im.note(rd.r, n, "%s: not carried over: the plugin registers no clients and asks for no tokens",
			advice.Enumerate(managed))
	}
	i.Name = rd.str(n.At("name"), true)
	i.Issuer = rd.str(n.At("issuer"), true)
	i.Organization = rd.im.options.Organization.Literal
	if i.Organization == "" || i.Organization == config.Any {
		i.Organization = superTenant
		rd.im.note(rd.r, n.At("name"), "its tokens are of the organization %q, API Manager's first tenant:"+
			" --organization names another", superTenant)
	}
	i.ConsumerKeyClaim = rd.str(n.At("consumerKeyClaim"), false)
	i.ScopesClaim = rd.str(n.At("scopesClaim"), false)
	rd.claimMappings(i, n.At("claimMapping"))
	rd.tokens(i)
}

// tokens reads which tokens are the Key Manager's, and what proves them.
func (rd reader) tokens(i *issuer) {
	n := rd.r.node
	self, handling := n.At("enableSelfValidationJWT"), rd.handling(i)
	endpoint := n.At("introspectionEndpoint")
	for _, e := range n.At("endpoints").Elements() {
		if e.At("name").Text() == "introspection_endpoint" && endpoint.Text() == "" {
			endpoint = e.At("value")
		}
	}
	there := strings.HasPrefix(endpoint.Text(), "http") // and not "none", as the documents say
	introspects := self.Value == false || handling.Kind != kindJWT
	switch {
	case introspects && !there:
		rd.im.problem(rd.r, endpoint, "is missing: the tokens are to be introspected")
		return
	case introspects && !fieldsToCome && self.Value == false:
		rd.im.problem(rd.r, self, "the tokens are to be introspected, which the plugin cannot do")
		return
	case introspects && !fieldsToCome:
		rd.im.dropped(rd.r, endpoint, "opaque tokens are refused")
		rd.keyManagersKeys(i)
		return
	}
	if introspects {
		rd.introspection(i, endpoint)
	}
	if handling.Kind != kindJWT {
		i.TokenHandling = &handling
	}
	if self.Value != false {
		rd.keyManagersKeys(i)
	}
}

// introspection has tokens introspected. The client's secret is not written.
func (rd reader) introspection(i *issuer, endpoint node) {
	properties := rd.r.node.At("additionalProperties")
	variable := "ORGATE_" + strings.ToUpper(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(i.Name, "_")) +
		"_SECRET"
	i.Introspection = &introspection{URL: rd.str(endpoint, true), ClientSecret: fromEnvironment{variable},
		ClientID: cmp.Or(properties.At("client_id").Text(), properties.At("clientId").Text(),
			properties.At("Username").Text(), properties.At("username").Text())}
	i.introspectionAt = endpoint
	rd.im.note(rd.r, endpoint, "the client's secret is not written: the proxy gives it to the plugin in the environment"+
		" variable %s", variable)
}

// jwtPattern is what a JWT looks like.
const jwtPattern = `[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`

// handling reads the token handling options. API Manager looks for an expression
// anywhere in the token, and knows JWTs by their issuer besides.
func (rd reader) handling(i *issuer) handling {
	list := rd.r.node.At("tokenValidation")
	patterns := map[string][]string{}
	for _, option := range rd.list(list) {
		if !rd.object(option) || option.At("enable").Value != true {
			continue
		}
		value := option.At("value")
		switch kind := option.At("type").Text(); kind {
		case kindJWT:
			patterns[kind] = append(patterns[kind], jwtPattern)
			body := value.At("body")
			iss, err := regexp.Compile(body.At("iss").Text())
			others := slices.ContainsFunc(body.Members(), func(claim string) bool { return claim != "iss" })
			if others || err != nil || !iss.MatchString(i.Issuer) {
				rd.im.dropped(rd.r, value, "a JWT is this Key Manager's by its issuer; rules may ask for other claims")
			}
		case kindReference, kindCustom:
			text := rd.str(value, true)
			if _, err := regexp.Compile(text); err != nil {
				rd.im.problem(rd.r, value, "is not an expression of RE2, which has no look-around and no back "+
					"references: %v", err)
			}
			if text != "" {
				patterns[kind] = append(patterns[kind], anywhere(text))
			}
		default:
			rd.im.dropped(rd.r, option, "nothing is known of the type "+strconv.Quote(kind))
		}
	}
	if rd.r.node.At("enableSelfValidationJWT").Value != false && len(patterns[kindReference]) > 0 {
		patterns[kindJWT] = []string{jwtPattern}
	}
	all := slices.Concat(patterns[kindJWT], patterns[kindReference], patterns[kindCustom])
	switch {
	case len(patterns[kindReference])+len(patterns[kindCustom]) == 0:
		return handling{Kind: kindJWT}
	case len(all) == len(patterns[kindReference]):
		return handling{kindReference, strings.Join(all, "|")}
	}
	return handling{kindCustom, strings.Join(all, "|")}
}

// anywhere makes an expression for the whole token of one that is looked for in
// it.
func anywhere(expression string) string { return ".*(?:" + expression + ").*" }

// keyManagersKeys reads where the keys are.
func (rd reader) keyManagersKeys(i *issuer) {
	certificates, wellKnown := rd.r.node.At("certificates"), rd.r.node.At("wellKnownEndpoint")
	value := certificates.At("value")
	switch {
	case value.Text() != "" && certificates.At("type").Text() == "PEM":
		rd.signer(i, value, pemOf(value.Text()))
	case value.Text() != "":
		i.keysAt = value
		i.SignatureValidation.JWKS = &location{URL: rd.str(value, true)}
	case wellKnown.Text() != "":
		i.keysAt = wellKnown
		i.SignatureValidation.JWKS = &location{WellKnown: rd.str(wellKnown, true)}
	default:
		rd.im.problem(rd.r, certificates, "there is neither a JWKS nor a PEM certificate, nor a wellKnownEndpoint:"+
			" API Manager takes gateway_certificate_alias of its trust store, which is not in the file")
	}
}

// pemOf reads a certificate as API Manager keeps it: PEM, in URL or base64
// encoding, or the base64 of DER without the lines around it.
func pemOf(text string) string {
	if decoded, err := url.PathUnescape(text); err == nil {
		text = decoded
	}
	if strings.Contains(text, "-----BEGIN") {
		return text
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	switch {
	case err != nil:
		return text
	case strings.Contains(string(der), "-----BEGIN"):
		return string(der)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
