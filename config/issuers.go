package config

import (
	"encoding/base64"
	"reflect"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"orgate/internal/httptext"
	"orgate/internal/pattern"
)

// algorithms returns the signature algorithms that may be allowed.
func algorithms() []string {
	f, _ := reflect.TypeFor[Issuer]().FieldByName("Algorithms")
	return strings.Split(f.Tag.Get("enum"), "|")
}

// checkIssuer checks one issuer by itself.
func (r *reader) checkIssuer(path string, issuer *Issuer, verification, organizationHeader string, identity headers) {
	r.name(path+".name", issuer.Name)
	r.line(path+".issuer", issuer.Issuer)
	r.line(path+".organization", issuer.Organization)
	r.lines(path+".environments", issuer.Environments)
	r.lines(path+".audiences", issuer.Audiences)
	for i, a := range issuer.Algorithms {
		if fault := algorithmFault(a, verification); fault != "" {
			r.refuse(element(path+".algorithms", i), fault)
		}
	}
	for i, t := range issuer.TokenTypes {
		at := element(path+".tokenTypes", i)
		r.line(at, t)
		if rest, ok := httptext.CutPrefixFold(t, "application/"); ok {
			r.refuse(at, `must leave out "application/": `+quote(rest))
		}
	}
	r.checkEvidence(path, issuer)
	r.checkClaimMappings(path, issuer, organizationHeader, identity)
	r.checkOrganizationClaim(path, issuer)
	if len(issuer.RoleMappings) > 0 && issuer.RolesClaim.IsZero() {
		r.refuse(path+".rolesClaim", "is required with roleMappings")
	}
}

// algorithmFault says why signatures of an algorithm are not verified in the place
// that signatureVerification names, or nothing.
func algorithmFault(name, verification string) string {
	upper := strings.ToUpper(name)
	supported := algorithms()
	accepted := list(supported)
	switch {
	case name == "ES512" && verification == "sandbox":
		return `"ES512" needs signatureVerification "host": the sandbox would take 300 times as long as for RS256`
	case slices.Contains(supported, name):
		return ""
	case upper == "NONE":
		return `"none" is never accepted: it is no signature`
	case strings.HasPrefix(upper, "HS"):
		return quote(name) + " is never accepted: whoever can check such a signature can make it; must be " + accepted
	case slices.ContainsFunc(supported, func(a string) bool { return strings.EqualFold(a, name) }):
		i := slices.IndexFunc(supported, func(a string) bool { return strings.EqualFold(a, name) })
		return "must be written " + quote(supported[i]) + ", got " + quote(name)
	case strings.HasPrefix(upper, "ES") || upper == "ED448":
		return quote(name) + " is not supported; must be " + accepted
	default:
		return "must be " + accepted + ", got " + quote(name)
	}
}

// checkOrganizationClaim checks what depends on the organization claim, with
// the one that a claim mapping implies already in place.
func (r *reader) checkOrganizationClaim(path string, issuer *Issuer) {
	claim := path + ".organizationClaim"
	known := !issuer.OrganizationClaim.IsZero() || r.claimUnread(path)
	if issuer.ManyTenants() {
		if !known {
			r.refuse(claim, `is required with "{tid}" in issuer: whoever has a tenant has tokens of this issuer`)
		}
		if issuer.MissingOrganization == "issuer" {
			r.refuse(path+".missingOrganization",
				`must not be "issuer" with "{tid}" in issuer: a token of any tenant could do without the claim`)
		}
	} else if issuer.Organization == Any {
		if !known {
			r.refuse(claim, `is required if organization is "*"`)
		}
		if issuer.MissingOrganization == "issuer" {
			r.refuse(path+".missingOrganization",
				`must not be "issuer" if organization is "*": there is none to fall back to`)
		}
	} else {
		if len(issuer.OrganizationMapping) > 0 && !known {
			r.refuse(claim, "is required with organizationMapping")
		}
		if issuer.MissingOrganization == "issuer" && !known {
			r.refuse(claim, `is required if missingOrganization is "issuer"`)
		}
	}
	for value, organization := range issuer.OrganizationMapping {
		at := member(path+".organizationMapping", value)
		r.line(at, organization)
		if organization == Any {
			r.refuse(at, `must be an organization, got "*"`)
		}
	}
}

// claimUnread reports whether anything that names the organization claim of the
// issuer at path was not read.
func (r *reader) claimUnread(path string) bool {
	mappings := path + ".claimMappings"
	return r.misread("headers.organization") || r.misread(path+".organizationClaim") || r.misread(mappings) ||
		slices.ContainsFunc(r.unread, func(p string) bool { return within(p, mappings) })
}

// checkEvidence checks what tells whether a token is the issuer's: keys, or the
// provider's word.
func (r *reader) checkEvidence(path string, issuer *Issuer) {
	handling, keys := &issuer.TokenHandling, path+".signatureValidation"
	asks := r.given(path+".introspection", issuer.Introspection != nil)
	hasKeys := issuer.SignatureValidation.JWKS != nil || issuer.SignatureValidation.Certificate != nil
	r.checkSignatureValidation(keys, &issuer.SignatureValidation)
	if issuer.Introspection != nil {
		r.checkIntrospection(path+".introspection", issuer.Introspection)
	}
	switch {
	case handling.Kind == "REFERENCE" && !asks:
		r.refuse(path+".introspection",
			`is required if tokenHandling is "REFERENCE": nothing else tells whether such a token is good`)
	case handling.Kind == "REFERENCE" && hasKeys:
		r.refuse(keys, `has no meaning if tokenHandling is "REFERENCE": "CUSTOM" is for tokens of both kinds`)
	case !asks && !hasKeys:
		r.refuse(keys, "must have jwks or certificate, unless there is introspection")
	case handling.Kind == "JWT" && asks && hasKeys:
		r.refuse(path+".introspection", `has no meaning beside signatureValidation if tokenHandling is "JWT":`+
			` "CUSTOM" is for tokens of both kinds`)
	}
	if asks && !hasKeys && len(issuer.TokenTypes) > 0 {
		r.refuse(path+".tokenTypes",
			"has no meaning without signatureValidation: an introspection does not tell the type")
	}
	r.checkPattern(path+".tokenHandling.pattern", handling)
}

func (r *reader) checkPattern(path string, handling *TokenHandling) {
	given := r.given(path, handling.Pattern != "")
	switch {
	case handling.Kind == "JWT" && given:
		r.refuse(path, `has no meaning for "JWT": such tokens are told by their "iss"`)
	case (handling.Kind == "REFERENCE" || handling.Kind == "CUSTOM") && !given:
		r.refuse(path, "is required with "+quote(handling.Kind))
	}
	if handling.Pattern == "" {
		return
	}
	p, err := pattern.Parse(handling.Pattern)
	switch {
	case err != nil:
		r.refuse(path, "must be a regular expression: "+err.Error()+", got "+quote(handling.Pattern))
	case p.Match(""):
		r.refuse(path, "must not match the empty text")
	}
}

func (r *reader) checkIntrospection(path string, i *Introspection) {
	if i.URL != "" {
		if fault := urlFault(i.URL); fault != "" {
			r.refuse(path+".url", fault)
		}
	}
	r.line(path+".cluster", i.Cluster)
	id, secret := r.given(path+".clientId", i.ClientID != ""), r.given(path+".clientSecret", !i.ClientSecret.IsZero())
	switch {
	case id && !secret:
		r.refuse(path+".clientSecret", "is required with clientId")
	case secret && !id:
		r.refuse(path+".clientId", "is required with clientSecret")
	}
}

func (r *reader) checkSignatureValidation(path string, s *SignatureValidation) {
	if s.JWKS != nil {
		r.checkJWKS(path+".jwks", s.JWKS)
	}
	if s.Certificate != nil {
		pem := s.Certificate.CertificateInline
		at := path + ".certificate.certificateInline"
		switch {
		case strings.Contains(pem, "PRIVATE KEY-----"):
			r.refuse(at, "holds a private key, which must not leave the issuer: put the certificate or the public "+
				"key here")
		case pem != "" && !strings.Contains(pem, "-----BEGIN "):
			r.refuse(at, "must be PEM: certificates or public keys")
		}
	}
}

func (r *reader) checkJWKS(path string, j *JWKS) {
	url, wellKnown := r.given(path+".url", j.URL != ""), r.given(path+".wellKnown", j.WellKnown != "")
	inline, cluster := r.given(path+".inline", j.Inline != ""), r.given(path+".cluster", j.Cluster != "")
	sources := 0
	for _, given := range [...]bool{url, wellKnown, inline} {
		if given {
			sources++
		}
	}
	if sources != 1 {
		r.refuse(path, "must have exactly one of url, wellKnown and inline")
	}
	switch {
	case url, wellKnown:
		if !cluster {
			r.refuse(path+".cluster",
				"is required with url and wellKnown: the proxy's cluster that the keys are fetched through")
		}
	case inline:
		if cluster {
			r.refuse(path+".cluster", "has no meaning with inline: nothing is fetched")
		}
	}
	r.line(path+".cluster", j.Cluster)
	for name, url := range map[string]string{"url": j.URL, "wellKnown": j.WellKnown} {
		if url == "" {
			continue
		}
		if fault := urlFault(url); fault != "" {
			r.refuse(path+"."+name, fault)
		}
	}
	if j.Inline != "" {
		set := gjson.Parse(string(j.Inline))
		var keys gjson.Result
		set.ForEach(func(key, value gjson.Result) bool {
			if key.Str == "keys" {
				keys = value
			}
			return true
		})
		if !set.IsObject() || !keys.IsArray() {
			r.refuse(path+".inline", `must be a JWK Set, an object with an array "keys", got `+kind(set))
		}
	}
	for i, pin := range j.Pins {
		// 32 bytes, without padding and without stray bits.
		if sum, err := base64.RawURLEncoding.Strict().DecodeString(pin); err != nil || len(sum) != 32 ||
			len(pin) != 43 {
			r.refuse(element(path+".pins", i),
				"must be a SHA-256 thumbprint, 43 characters of base64url, got "+quote(pin))
		}
	}
}

// urlFault says why a key location will not do, or "". Nothing of a URL with a
// user name is repeated.
func urlFault(url string) string {
	switch err := httptext.CheckURL(url); err {
	case nil:
		return ""
	case httptext.ErrUserInfo:
		return err.Error()
	default:
		return err.Error() + ", got " + quote(url)
	}
}
