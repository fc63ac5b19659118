package generate

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// matches says that a token is of the form that the issuer's have, if it asks for
// any.
func (i *Issuer) matches(compact string) bool {
	pattern := i.TokenHandling["pattern"]
	return pattern == "" || len(compact) <= 1<<16 && regexp.MustCompile(`^(?:`+pattern+`)$`).MatchString(compact)
}

// asked is the issuer whose provider is asked about a token, the first of those with
// its "iss", nil if nobody is. JWTs are there as they were read.
func (config *Config) asked(rule *Rule, compact string, t *token) *Issuer {
	allowed := func(i *Issuer) bool {
		return slices.ContainsFunc(config.inUse(), func(other *Issuer) bool {
			return other.Issuer == i.Issuer && (len(rule.Issuers) == 0 || slices.Contains(rule.Issuers, other.Name)) &&
				(len(rule.AnyOf) == 0 || len(rule.alternatives(other)) > 0)
		})
	}
	if t != nil {
		for _, i := range config.inUse() {
			if i.TokenHandling["kind"] != "REFERENCE" && i.hasIssued(t) && i.matches(compact) {
				if i.Introspection == nil || i.hasKeys() || !allowed(i) {
					return nil
				}
				return i
			}
		}
	}
	for _, i := range config.inUse() {
		if kind := i.TokenHandling["kind"]; i.TokenHandling["pattern"] != "" && len(compact) <= 4096 &&
			i.matches(compact) &&
			allowed(i) && !(likeJWT(compact) && (kind == "REFERENCE" || i.hasKeys())) {
			return i
		}
	}
	return nil
}

// likeJWT says that a text is three parts, and that the first begins an object of
// JSON: as much as a reader needs that is not strict.
func likeJWT(compact string) bool {
	parts := strings.Split(compact, ".")
	header := strings.TrimRight(parts[0], "=")
	for len(header) > 0 {
		octets, err := base64.RawURLEncoding.DecodeString(header)
		if err == nil {
			return len(parts) == 3 && strings.HasPrefix(strings.TrimSpace(string(octets)), "{")
		}
		header = header[:len(header)-1]
	}
	return false
}

// told is a token as its provider describes it.
func (i *Issuer) told(answer string) (*token, faults) {
	unavailable := faults{"introspection_unavailable 503"}
	// A JWT's payload is read as strictly.
	t := &token{told: i.Issuer}
	var ok bool
	if t.claims, ok = readObject(base64.RawURLEncoding.EncodeToString([]byte(answer))); !ok {
		return nil, unavailable
	}
	for name, raw := range t.claims {
		if isNull(raw) {
			delete(t.claims, name)
		}
	}
	if !t.hasGoodClaims() {
		return nil, unavailable
	}
	if string(t.claims["active"]) != "true" {
		return nil, faults{"inactive 401"}
	}
	if _, ok := t.claims["iss"]; ok && !i.hasIssued(&token{claims: t.claims, issuer: t.issuer}) {
		return nil, faults{"unknown_issuer 401"}
	}
	expiry := &token{claims: map[string]json.RawMessage{}}
	if raw, ok := t.claims["exp"]; ok {
		expiry.claims["exp"] = raw
		entry := *i
		entry.MaxTokenAge = ""
		if f := expiry.timeFaults(&entry); len(f) > 0 {
			return nil, f
		}
	}
	return t, nil
}
