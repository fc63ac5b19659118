package filter

import (
	"orgate/jwt"
	"orgate/policy"
)

// Bounds of the caches beside the configured number of tokens, in bytes. They
// leave room for the rest in the 16 MiB that a worker may take.
const (
	maxVerifiedBytes = 3 << 20
	maxForgedTokens  = 256
	maxForgedBytes   = 256 << 10
)

// tokenCache remembers tokens by their whole text: nothing but the very same
// token is ever found.
//
// What is remembered of a token follows from its text and its key alone. Its
// times, its algorithm, its audience, and all that the rule asks for are
// checked each time, and so is whether its issuer still has the key.
type tokenCache struct {
	verified *lru[*verified]
	// forged holds tokens with a wrong signature, apart from the others so
	// that a flood of them drives none out.
	forged *lru[forgery]
	// hits and misses are counted here and reported with the tick.
	hits, misses uint64
}

// verified is what follows from a token whose signature was verified.
type verified struct {
	token    *jwt.Token // without claims
	proof    *policy.Proof
	verdicts []verdict  // by the issuers that the token was judged by
	first    [1]verdict // room for them, where there is one, as mostly
}

// verdict is who a token speaks for to an issuer, with the key that says so.
type verdict struct {
	issuer     *policy.Issuer
	key        *jwt.Key
	generation uint64 // of the issuer's keys, when key was last seen among them
	identity   *policy.Identity
	err        error // why there is no identity
}

// forgery is a token with a wrong signature.
type forgery struct {
	issuer     *policy.Issuer
	generation uint64
}

func newTokenCache(tokens int) *tokenCache {
	return &tokenCache{
		verified: newLRU[*verified](tokens, maxVerifiedBytes),
		forged:   newLRU[forgery](min(tokens, maxForgedTokens), maxForgedBytes),
	}
}

// get returns what is known of a token, or nil.
func (c *tokenCache) get(compact string) *verified {
	v, ok := c.verified.get(compact)
	if !ok {
		c.misses++
		return nil
	}
	c.hits++
	return v
}

// verdict returns what an issuer makes of the token, or nil if the token must
// be verified (again).
func (v *verified) verdict(issuer *policy.Issuer) *verdict {
	for i := range v.verdicts {
		if v.verdicts[i].issuer == issuer {
			return &v.verdicts[i]
		}
	}
	return nil
}

// keep remembers a token that was verified, and what an issuer makes of it.
func (c *tokenCache) keep(compact string, token *jwt.Token, proof *policy.Proof, made verdict) {
	v, ok := c.verified.get(compact)
	if !ok {
		v = &verified{token: token.WithoutClaims(), proof: proof}
		v.verdicts = v.first[:0]
	}
	if old := v.verdict(made.issuer); old != nil {
		*old = made
	} else {
		v.verdicts = append(v.verdicts, made)
	}
	c.verified.put(compact, v, v.size()+len(compact)*3/4) // the token, decoded
}

// size is about how many bytes of memory it takes, beside the token's text. The
// identities' texts are parts of that, but for those that had to be joined.
func (v *verified) size() int {
	const entry, perVerdict, perHeader, perElement = 640, 320, 32, 16
	size := entry
	for i := range v.verdicts {
		size += perVerdict
		id := v.verdicts[i].identity
		if id == nil {
			continue
		}
		for _, h := range id.Headers {
			size += perHeader + len(h[1])
		}
		size += perElement * (len(id.Scopes) + len(id.Roles))
	}
	return size
}

// keepForged remembers a token whose signature is wrong.
func (c *tokenCache) keepForged(compact string, issuer *policy.Issuer, generation uint64) {
	c.forged.put(compact, forgery{issuer, generation}, 128)
}

// isForged reports whether the token's signature is known to be wrong with
// these very keys.
func (c *tokenCache) isForged(compact string, issuer *policy.Issuer, generation uint64) bool {
	f, ok := c.forged.get(compact)
	return ok && f == forgery{issuer, generation}
}
