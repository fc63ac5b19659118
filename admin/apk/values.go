package apk

import (
	"cmp"
	"slices"
	"strings"

	"orgate/config"
	"orgate/internal/yamlnode"
)

// chartOrganizationClaim is the claim that the chart takes for a token's
// organization if the values name none.
const chartOrganizationClaim = "organization"

// sortValues finds the identity provider in the chart's values: wso2.apk.idp,
// wso2.kgw.idp of chart 2.0, or the idp of the documents. In a chart's values
// idp is something else: what deploys a provider of the chart's own.
func (im *importer) sortValues(n node) {
	chart := false
	for _, name := range []string{"apk", "kgw"} {
		platform := n.At("wso2").At(name)
		if section := platform.At("idp"); !section.Absent() {
			chart = true
			im.resources = append(im.resources, resource{kind: kindValues, namespace: im.options.Namespace, name: "idp",
				node: section, platform: platform, own: n.At("idp")})
		}
	}
	r, idp := resource{kind: kindValues, node: n}, n.At("idp")
	names := slices.ContainsFunc([]string{"issuer", "jwksEndpoint", "signing", "usernameClaim", "organizationClaim"},
		func(field string) bool { return !idp.At(field).Absent() })
	deploys := slices.ContainsFunc(idp.Members(), func(field string) bool { return deployment[field] != "" })
	switch {
	case idp.Absent() && !chart:
		im.problem(r, n, "neither a Kubernetes resource (apiVersion, kind), nor values with wso2.apk.idp, "+
			"wso2.kgw.idp or"+
			" idp, nor a Key Manager")
	case idp.Absent():
	case chart && names:
		im.dropped(r, idp, "a chart that has wso2 takes its identity provider from there alone")
	case chart:
		im.dropped(r, idp, deploysOwn)
	case deploys && !names:
		im.problem(r, idp, "it is for the identity provider that the chart deploys; neither wso2.apk.idp nor "+
			"wso2.kgw.idp"+
			" says whose tokens are taken")
	default:
		im.resources = append(im.resources, resource{kind: kindValues, namespace: im.options.Namespace, name: "idp",
			node: idp})
	}
}

// Why values are not carried over.
const (
	asksForTokens = "the plugin checks tokens and asks for none"
	deploysOwn    = "it is for the identity provider that the chart deploys, and says nothing of whose tokens are taken"
)

// deployment are the members of idp that deploy the chart's own provider.
var deployment = map[string]string{"enabled": deploysOwn, "listener": deploysOwn, "database": deploysOwn,
	"idpds": deploysOwn, "idpui": deploysOwn}

// values reads the section.
func (rd reader) values(i *issuer) {
	idp := rd.r.node
	if !rd.object(idp) {
		return
	}
	known := []string{"issuer", "usernameClaim", "scopeClaim", "organizationClaim", "groupsClaim", "consumerKeyClaim",
		"tls", "signing", "jwksEndpoint"}
	if idp.At("organizationResolver").Text() == "none" {
		known = append(known, "organizationResolver") // the claim holds the organization itself
	}
	why := map[string]string{
		"authorizeEndpoint": asksForTokens,
		"tokenEndpoint":     asksForTokens,
		"revokeEndpoint":    asksForTokens,
		"credentials":       asksForTokens,
		"groupClaim":        "set rolesClaim in the configuration, if rules ask for roles",
		"organizationResolver": "the organization claim must hold the organization itself; organizationMapping in the " +
			"configuration translates it",
	}
	for field, reason := range deployment {
		why[field] = reason
	}
	rd.others(idp, why, known...)
	i.Name = "idp"
	i.Issuer = rd.str(idp.At("issuer"), true)
	i.UsernameClaim = rd.str(idp.At("usernameClaim"), false)
	i.ScopesClaim = rd.str(idp.At("scopeClaim"), false)
	i.ConsumerKeyClaim = rd.str(idp.At("consumerKeyClaim"), false)
	i.OrganizationClaim = rd.str(idp.At("organizationClaim"), false)
	i.Organization = systemOrganization
	isDefault := i.OrganizationClaim == "" && rd.inChart()
	if isDefault {
		i.OrganizationClaim = chartOrganizationClaim
	}
	if i.OrganizationClaim != "" {
		i.Organization = config.Any
		which := "this claim"
		if isDefault {
			which = "the claim " + chartOrganizationClaim + ", the chart's default,"
		}
		rd.im.note(rd.r, idp.At("organizationClaim"),
			"a token is of the organization that %s says, whichever that is (organization \"*\")", which)
	}
	if groups := rd.str(idp.At("groupsClaim"), false); groups != "" {
		i.ClaimMappings = append(i.ClaimMappings, claimMapping{RemoteClaim: groups, LocalClaim: groupsHeader})
	}
	rd.valuesKeys(i, idp)
	rd.unchecked()
}

// groupsHeader is where the chart sends the groups claim.
const groupsHeader = "x-wso2-groups"

// inChart reports whether the section is a chart's, and not the documents'.
func (rd reader) inChart() bool { return !rd.r.platform.Absent() }

// valuesKeys reads where the keys are. Like the chart it takes a certificate
// before a JWK Set.
func (rd reader) valuesKeys(i *issuer, idp node) {
	signing := idp.At("signing")
	rd.others(signing, nil, "jwksEndpoint", "configMapName", "secretName", "fileName")
	endpoint := signing.At("jwksEndpoint")
	if endpoint.Text() == "" {
		endpoint = idp.At("jwksEndpoint")
	}
	tls := idp.At("tls")
	rd.others(tls, nil, "configMapName", "secretName", "fileName")
	if text, referred := rd.named(tls); referred && text != "" {
		i.ca = rd.authorities(tls, text)
	}
	switch text, referred := rd.named(signing); {
	case referred:
		rd.signer(i, signing, text)
		if endpoint.Text() != "" {
			rd.im.dropped(rd.r, endpoint, "the chart uses the certificate where there is one")
		}
	case endpoint.Text() == "" && rd.inChart():
		rd.chartsOwnKeys(i, signing)
	case endpoint.Absent():
		rd.im.problem(rd.r, signing, "there is neither a jwksEndpoint nor a certificate")
	default:
		i.keysAt = endpoint
		i.SignatureValidation.JWKS = &location{URL: rd.str(endpoint, true)}
		if rd.inChart() && strings.HasPrefix(endpoint.Text(), rd.ownProvider()+"/") && i.ca == "" {
			rd.im.note(rd.r, endpoint, "the chart's gateway serves it with a certificate of an authority of the "+
				"chart's own:"+
				" name that in tls, or Envoy will not connect")
		}
	}
}

// truststore ends the name of the Secret with the certificate of the chart's own
// provider. The name begins with the release.
const truststore, truststoreKey = "-enforcer-truststore-secret", "wso2carbon.pem"

// chartsOwnKeys finds the keys that the chart verifies tokens with if the values
// name none: a Secret of its own, or else the JWK Set of the provider that it
// deploys.
func (rd reader) chartsOwnKeys(i *issuer, signing node) {
	var secrets []string
	for identity := range rd.im.stored {
		name, here := strings.CutPrefix(identity, kindSecret+" "+rd.r.namespace+"/")
		if here && strings.HasSuffix(name, truststore) {
			secrets = append(secrets, name)
		}
	}
	switch {
	case len(secrets) == 1:
		rd.signer(i, signing, rd.refer(signing, kindSecret, secrets[0], truststoreKey))
	case len(secrets) > 1:
		slices.Sort(secrets)
		rd.im.problem(rd.r, signing, "there is neither a jwksEndpoint nor a certificate, and the files have Secrets of"+
			" several releases of the chart: %s", strings.Join(secrets, ", "))
	case rd.r.own.At("enabled").Value == false:
		rd.im.problem(rd.r, signing, "there is neither a jwksEndpoint nor a certificate, and the chart deploys no "+
			"provider"+
			" of its own (idp.enabled)")
	default:
		url := rd.ownProvider() + "/oauth2/jwks"
		i.keysAt = signing
		i.SignatureValidation.JWKS = &location{URL: url}
		rd.im.note(rd.r, signing, "there is neither a jwksEndpoint nor a certificate: the chart takes the "+
			"certificate %s of"+
			" the Secret RELEASE…%s, which is in none of the files. The configuration looks for keys at %s, and "+
			"until there"+
			" are any tokens are answered 503", truststoreKey, truststore, url)
	}
}

// ownProvider is the origin of the provider that the chart deploys.
func (rd reader) ownProvider() string {
	port := "9095"
	if n, ok := rd.r.platform.At("listener").At("port").Value.(yamlnode.Number); ok {
		port = string(n)
	}
	return "https://" + cmp.Or(rd.r.own.At("listener").At("hostname").Text(), "idp.am.wso2.com") + ":" + port
}

// unchecked notes that the chart does not check whom it has keys from.
func (rd reader) unchecked() {
	client := rd.r.platform.Find("dp.gatewayRuntime.deployment.enforcer.configs.JWKSClient")
	for name, unsafe := range map[string]bool{
		"skipSSLVerification": client.At("skipSSLVerification").Value == true,
		"hostnameVerifier":    client.At("hostnameVerifier").Text() == "AllowAll",
	} {
		if unsafe {
			rd.im.find(false, resource{kind: kindValues}, client.At(name),
				"not carried over: the certificate of the server that has the keys is always checked, and must be "+
					"the host's")
		}
	}
}

// named returns what the chart's names of a Secret or a ConfigMap and of a file
// in it lead to, and whether there are such names.
func (rd reader) named(n node) (text string, referred bool) {
	if !rd.object(n) {
		return "", false
	}
	for _, source := range []struct{ name, kind string }{{"secretName", kindSecret}, {"configMapName", kindConfigMap}} {
		if name := rd.str(n.At(source.name), false); name != "" {
			return rd.refer(n.At(source.name), source.kind, name, rd.str(n.At("fileName"), true)), true
		}
	}
	return "", false
}
