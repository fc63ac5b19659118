package policy

import (
	"strings"

	"orgate/config"
	"orgate/jwt"
)

// tenantClaim is the claim that stands for [config.Tenant] in an "iss".
const tenantClaim = "tid"

// tenants is the issuers with one "iss" that holds a placeholder for the tenant.
type tenants struct {
	issuer string
	*Provider
}

// group returns the issuers that have the token's "iss", nil if none do. One that
// is written out comes before one of many tenants. If the "iss" and the tenant
// fit two of those, nothing tells which is meant: it is neither.
func (p *Policy) group(claims jwt.Claims) *Provider {
	iss := claims.Issuer()
	if g := p.groups[iss]; g != nil || len(p.tenants) == 0 {
		return g
	}
	tenant, ok := claims.Get(tenantClaim)
	if !ok || !isTenant(tenant.Str) {
		return nil
	}
	var found *Provider
	for _, t := range p.tenants {
		if !isOfTenant(iss, t.issuer, tenant.Str) {
			continue
		}
		if found != nil {
			return nil
		}
		found = t.Provider
	}
	return found
}

// isTenant reports whether a claim's value can be a tenant: letters, digits, "-",
// "_" and ".". Without a slash it can't reach into another part of the "iss".
func isTenant(value string) bool {
	const others = "-_."
	for i := range len(value) {
		c := value[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte(others, c) >= 0) {
			return false
		}
	}
	return value != ""
}

// isOfTenant reports whether iss is the pattern with the tenant in each of its
// placeholders.
func isOfTenant(iss, pattern, tenant string) bool {
	for {
		before, after, placeholder := strings.Cut(pattern, config.Tenant)
		rest, ok := strings.CutPrefix(iss, before)
		if !placeholder || !ok {
			return ok && rest == ""
		}
		if iss, ok = strings.CutPrefix(rest, tenant); !ok {
			return false
		}
		pattern = after
	}
}
