package apk

import "orgate/config"

// chartOrganization is what the chart binds its identity provider to.
const chartOrganization = "apk-system"

// sortValues finds the identity provider in the chart's values: wso2.apk.idp,
// or the idp of older documents.
func (im *importer) sortValues(n node) {
	for _, section := range []node{n.At("wso2").At("apk").At("idp"), n.At("idp")} {
		if !section.Absent() {
			im.resources = append(im.resources, resource{kind: kindValues, namespace: im.options.Namespace, name: "idp",
				node: section})
		}
	}
	if n.At("wso2").At("apk").At("idp").Absent() && n.At("idp").Absent() {
		r := resource{kind: kindValues, node: n}
		im.problem(r, n, "neither a Kubernetes resource (apiVersion, kind) nor values with wso2.apk.idp or idp")
	}
}

// asksForTokens are the values that concern getting tokens.
const asksForTokens = "the plugin checks tokens and asks for none"

// values reads the section.
func (rd reader) values(i *issuer) {
	idp := rd.r.node
	if !rd.object(idp) {
		return
	}
	known := []string{"issuer", "usernameClaim", "scopeClaim", "organizationClaim", "consumerKeyClaim", "tls", "signing",
		"jwksEndpoint"}
	if idp.At("organizationResolver").Text() == "none" {
		known = append(known, "organizationResolver") // the claim holds the organization itself
	}
	rd.others(idp, map[string]string{
		"authorizeEndpoint": asksForTokens,
		"tokenEndpoint":     asksForTokens,
		"revokeEndpoint":    asksForTokens,
		"credentials":       asksForTokens,
		"groupClaim":        "set rolesClaim in the configuration, if rules ask for roles",
		"organizationResolver": "the organization claim must hold the organization itself; organizationMapping in the " +
			"configuration translates it",
	}, known...)
	i.Name = "idp"
	i.Issuer = rd.str(idp.At("issuer"), true)
	i.UsernameClaim = rd.str(idp.At("usernameClaim"), false)
	i.ScopesClaim = rd.str(idp.At("scopeClaim"), false)
	i.ConsumerKeyClaim = rd.str(idp.At("consumerKeyClaim"), false)
	i.OrganizationClaim = rd.str(idp.At("organizationClaim"), false)
	i.Organization = chartOrganization
	if i.OrganizationClaim != "" {
		i.Organization = config.Any
		rd.im.note(rd.r, idp.At("organizationClaim"),
			"a token is of the organization that this claim says, whichever that is (organization \"*\")")
	}
	rd.valuesKeys(i, idp)
}

// valuesKeys reads where the keys are. Like the chart it takes a certificate
// before a JWK Set.
func (rd reader) valuesKeys(i *issuer, idp node) {
	signing := idp.At("signing")
	rd.others(signing, nil, "jwksEndpoint", "configMapName", "secretName", "fileName")
	endpoint := signing.At("jwksEndpoint")
	if endpoint.Text() == "" {
		endpoint = idp.At("jwksEndpoint")
	}
	switch text, referred := rd.named(signing); {
	case referred:
		rd.signer(i, signing, text)
		if endpoint.Text() != "" {
			rd.im.dropped(rd.r, endpoint, "the chart uses the certificate where there is one")
		}
	case endpoint.Absent():
		rd.im.problem(rd.r, signing, "there is neither a jwksEndpoint nor a certificate:"+
			" the chart falls back to the certificate of its own identity provider, which is not in these files")
	default:
		i.keysAt = endpoint
		i.SignatureValidation.JWKS = &location{URL: rd.str(endpoint, true)}
	}
	tls := idp.At("tls")
	rd.others(tls, nil, "configMapName", "secretName", "fileName")
	if text, referred := rd.named(tls); referred && text != "" {
		i.ca = rd.authorities(tls, text)
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
