package apk

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strconv"
	"strings"

	"orgate/admin/advice"
	"orgate/jwks"
)

const (
	// organizationHeader is the local claim by which APK knows the organization.
	organizationHeader = "x-wso2-organization"
	// systemOrganization is APK's organization of the APIs that manage it.
	systemOrganization = "apk-system"
)

func itoa(n int) string { return strconv.Itoa(n) }

// translate makes an issuer of a resource.
func (im *importer) translate(r resource) {
	rd := reader{im, r}
	i := &issuer{from: r}
	switch r.kind {
	case kindValues:
		rd.values(i)
	case kindKeyManager:
		rd.keyManager(i)
	default:
		rd.tokenIssuer(i)
	}
	im.issuers = append(im.issuers, i)
}

// tokenIssuer reads a TokenIssuer.
func (rd reader) tokenIssuer(i *issuer) {
	spec := rd.r.node.At("spec")
	if spec.Absent() {
		rd.im.problem(rd.r, spec, "is missing")
	}
	if !rd.object(spec) {
		return
	}
	rd.others(rd.r.node, nil, "apiVersion", "kind", "metadata", "spec", "status")
	rd.others(spec, map[string]string{
		"targetRef": "the issuer is used wherever the plugin is attached",
	}, "name", "organization", "issuer", "consumerKeyClaim", "scopesClaim", "signatureValidation", "claimMappings",
		"environments")
	i.Name = rd.str(spec.At("name"), true)
	i.Organization = rd.str(spec.At("organization"), true)
	i.Issuer = rd.str(spec.At("issuer"), true)
	i.ConsumerKeyClaim = rd.str(spec.At("consumerKeyClaim"), true)
	i.ScopesClaim = rd.str(spec.At("scopesClaim"), true)
	for _, e := range rd.list(spec.At("environments")) {
		i.Environments = append(i.Environments, rd.str(e, true))
	}
	rd.claimMappings(i, spec.At("claimMappings"))
	validation := spec.At("signatureValidation")
	rd.others(validation, nil, "jwks", "certificate")
	keys, signer := validation.At("jwks"), validation.At("certificate")
	if keys.Absent() && signer.Absent() {
		rd.im.problem(rd.r, validation, "must have jwks or certificate")
	}
	if rd.object(keys) {
		rd.others(keys, nil, "url", "tls")
		i.keysAt = keys.At("url")
		i.SignatureValidation.JWKS = &location{URL: rd.str(i.keysAt, true)}
		if text := rd.certificate(keys.At("tls")); text != "" {
			i.ca = rd.authorities(keys.At("tls"), text)
		}
	}
	if rd.object(signer) {
		rd.signer(i, signer, rd.certificate(signer))
	}
}

// claimMappings reads the mappings. The one to the organization header is the
// organization claim.
func (rd reader) claimMappings(i *issuer, n node) {
	var dropped []string
	for _, m := range rd.list(n) {
		if !rd.object(m) {
			continue
		}
		rd.others(m, nil, "remoteClaim", "localClaim")
		remote, local := rd.str(m.At("remoteClaim"), true), rd.str(m.At("localClaim"), true)
		header := strings.ToLower(local)
		switch {
		case remote == "" || local == "":
		case header == organizationHeader && i.OrganizationClaim != "":
			rd.im.problem(rd.r, m, "%s is mapped twice: which claim holds the organization must be one",
				organizationHeader)
		case header == organizationHeader:
			i.OrganizationClaim = remote
		case !isHeaderName(header):
			dropped = append(dropped, strconv.Quote(local))
		default:
			i.ClaimMappings = append(i.ClaimMappings, claimMapping{RemoteClaim: remote, LocalClaim: header})
		}
	}
	if len(dropped) > 0 {
		rd.im.note(rd.r, n, "%s: not carried over: claims go to the upstream in headers, and %s",
			advice.Enumerate(dropped),
			plural(len(dropped), "this is no header's name", "these are no names of headers"))
	}
}

// isHeaderName reports whether s is a token (RFC 9110 §5.6.2).
func isHeaderName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			strings.ContainsRune("!#$%&'*+-.^_`|~", c))
	})
}

// certificate returns the PEM that stands in a node or that it refers to, ""
// if there is none.
func (rd reader) certificate(n node) string {
	if !rd.object(n) {
		return ""
	}
	rd.others(n, nil, "certificateInline", "secretRef", "configMapRef")
	sources := slices.DeleteFunc([]string{"certificateInline", "secretRef", "configMapRef"},
		func(name string) bool { return n.At(name).Absent() })
	if len(sources) != 1 {
		rd.im.problem(rd.r, n, "must have exactly one of certificateInline, secretRef and configMapRef")
		return ""
	}
	reference := n.At(sources[0])
	if sources[0] == "certificateInline" {
		return rd.str(reference, true)
	}
	kind := kindSecret
	if sources[0] == "configMapRef" {
		kind = kindConfigMap
	}
	if !rd.object(reference) {
		return ""
	}
	rd.others(reference, nil, "name", "key")
	return rd.refer(reference, kind, rd.str(reference.At("name"), true), rd.str(reference.At("key"), true))
}

// signer takes the keys that tokens are signed with.
func (rd reader) signer(i *issuer, n node, text string) {
	if text == "" {
		return // which was said
	}
	if _, err := jwks.ParsePEM(text); err != nil {
		rd.im.problem(rd.r, n, "%v", err)
		return
	}
	i.SignatureValidation.Certificate = &certificate{Inline: normalize(text)}
}

// authorities takes the certificates that a connection is checked with.
func (rd reader) authorities(n node, text string) string {
	if err := checkAuthorities(text); err != nil {
		rd.im.problem(rd.r, n, "%v", err)
		return ""
	}
	return normalize(text)
}

func checkAuthorities(text string) error {
	rest := []byte(text)
	for n := 1; ; n++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil && n == 1:
			return errors.New("no PEM certificate")
		case block == nil:
			return nil
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return errors.New("block " + itoa(n) + " is a private key, which has no place here")
		case block.Type != "CERTIFICATE":
			return errors.New("block " + itoa(n) + " is no certificate")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return errors.New("block " + itoa(n) + ": not a DER certificate")
		}
	}
}

// normalize writes PEM blocks anew, without what stands around them.
func normalize(text string) string {
	var b strings.Builder
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return b.String()
		}
		b.Write(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
	}
}
