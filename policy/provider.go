package policy

import (
	"encoding/base64"
	"slices"
	"strings"

	"orgate/config"
	"orgate/internal/pattern"
	"orgate/jwt"
)

// MaxOpaque is the longest token, in bytes, that is told by a pattern.
const MaxOpaque = 4096

// Kinds of tokens, as the configuration has them.
const reference = "REFERENCE"

// addProvider adds the provider that an issuer is of.
func (p *Policy) addProvider(entry *config.Issuer) *Provider {
	v := &Provider{Index: len(p.providers), Config: entry}
	p.providers = append(p.providers, v)
	if text := entry.TokenHandling.Pattern; text != "" {
		p.handle(v, text)
	}
	switch {
	case entry.TokenHandling.Kind == reference:
	case entry.ManyTenants():
		p.tenants = append(p.tenants, tenants{entry.Issuer, v})
	default:
		p.groups[entry.Issuer] = v
	}
	return v
}

// handled is the providers with one pattern, in their order.
type handled struct {
	text string
	*pattern.Pattern
	by []*Provider
}

// handle notes that a provider handles what matches a pattern, which is read once for
// all that have it.
func (p *Policy) handle(v *Provider, text string) {
	n := slices.IndexFunc(p.patterns, func(h handled) bool { return h.text == text })
	if n < 0 {
		n = len(p.patterns)
		read, _ := pattern.Parse(text) // package config has read it before
		p.patterns = append(p.patterns, handled{text: text, Pattern: read})
	}
	h := &p.patterns[n]
	v.pattern, h.by = h.Pattern, append(h.by, v)
}

// first is the first provider that is asked about what matches, nil if none is.
func (h *handled) first(r *Rule, isJWT bool) *Provider {
	for _, v := range h.by {
		ofJWTs := v.Config.TokenHandling.Kind != reference && !v.hasKeys()
		if v.Config.Introspection != nil && (!isJWT || ofJWTs) && v.allowedBy(r) != nil {
			return v
		}
	}
	return nil
}

// Providers returns all providers.
func (p *Policy) Providers() []*Provider { return p.providers }

// Asked returns the provider that must be asked about a token, nil if there is
// none: the token is a JWT that keys tell, or nobody's. Claims are those of a JWT,
// nil of any other token. One that wants to be a JWT and can't be read is none, and
// no opaque token either.
//
// A JWT is the provider's that its "iss" names, and any other token that one's
// whose pattern it matches. Of several it is the first of which the rule allows an
// issuer: no token is shown to two of them.
func (p *Policy) Asked(r *Rule, token string, claims *jwt.Claims) *Provider {
	if claims != nil {
		if v := p.group(*claims); v != nil && v.takes(token) {
			if v.hasKeys() {
				return nil
			}
			return v.allowedBy(r)
		}
	}
	if len(p.patterns) == 0 || len(token) > MaxOpaque {
		return nil
	}
	var first *Provider
	isJWT := claims != nil || wantsToBeJWT(token)
	for n := range p.patterns {
		h := &p.patterns[n]
		v := h.first(r, isJWT)
		if v != nil && (first == nil || v.Index < first.Index) && h.Match(token) {
			first = v
		}
	}
	return first
}

// wantsToBeJWT reports whether a text is three parts, the first of which begins an
// object of JSON. If it can't be read here another API may still take it.
func wantsToBeJWT(token string) bool {
	header, rest, _ := strings.Cut(token, ".")
	if strings.Count(rest, ".") != 1 {
		return false
	}
	begin, _ := base64.RawURLEncoding.DecodeString(header) // up to where it is wrong
	return strings.HasPrefix(strings.TrimLeft(string(begin), " \t\r\n"), "{")
}

// takes reports whether the token matches the provider's pattern, if there is one.
func (v *Provider) takes(token string) bool { return v.pattern == nil || v.pattern.Match(token) }

func (v *Provider) hasKeys() bool {
	s := &v.Config.SignatureValidation
	return s.JWKS != nil || s.Certificate != nil
}

// allowedBy returns the provider if the rule allows one of its issuers.
func (v *Provider) allowedBy(r *Rule) *Provider {
	if v.Issuer(r) == nil {
		return nil
	}
	return v
}

// Issuer returns the first issuer that the rule allows, nil if there is none. It
// stands for the provider until the token's claims are known.
func (v *Provider) Issuer(r *Rule) *Issuer {
	for _, i := range v.issuers {
		if r.allows(i) {
			return i
		}
	}
	return nil
}

// HasIssued reports whether the provider's answer is about a token of its own: one
// without an "iss", or with the provider's.
func (v *Provider) HasIssued(claims jwt.Claims) bool {
	iss, ok := claims.Get("iss")
	if !ok || !v.Config.ManyTenants() {
		return !ok || iss.Str == v.Config.Issuer
	}
	tenant, _ := claims.Get(tenantClaim)
	return isTenant(tenant.Str) && isOfTenant(iss.Str, v.Config.Issuer, tenant.Str)
}

// Proof is [Policy.Proof] for claims that the provider has told.
func (v *Provider) Proof(claims jwt.Claims) *Proof {
	if v.sole != nil {
		return v.sole
	}
	t := v.proof(claims)
	return &t
}

// Provider returns the provider whose token it is.
func (t *Proof) Provider() *Provider { return t.group }

// Takes reports whether a JWT that is verified with keys may be the issuer's, by
// its text.
func (i *Issuer) Takes(token string) bool { return i.group.takes(token) }
