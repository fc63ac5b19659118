package gate

import (
	"strings"
	"time"
	"unsafe"

	"orgate/jwt"
	"orgate/policy"
)

// Bounds of the caches beside the configured number of tokens, in bytes of
// memory, all that an entry holds included.
const (
	maxVerifiedBytes = 3 << 20
	maxForgedTokens  = 256
	maxForgedBytes   = 256 << 10
)

// tokenCache remembers tokens by their whole text: nothing but the very same
// token is ever found.
//
// What is remembered of a token follows from its text, its issuer and its key
// alone. Its times, its audience, and all that the rule asks for are checked each
// time, and so is whether its issuer still has the key.
//
// An entry owns all that it holds: it keeps no request alive, nor the decoded
// token. It is few objects, since a collection of garbage looks at each.
type tokenCache struct {
	verified *lru[*verified]
	// forged holds tokens with a wrong signature, apart from the others so
	// that a flood of them drives none out.
	forged *lru[forgery]
	// refused holds tokens that their provider has refused.
	refused *lru[refused]
	// hits and misses are counted here and told with the tick.
	hits, misses uint64
}

// verified is what follows from a token whose signature was verified.
type verified struct {
	token    jwt.Token // without claims and signature
	proof    *policy.Proof
	verdicts []verdict  // by the issuers that the token was judged by
	first    [1]verdict // room for them: mostly there is one
	size     int        // in bytes
	// until is how long what a provider has said is kept, zero for a token that
	// keys have verified.
	until time.Time
}

// verdict is who a token speaks for to an issuer, with the key that says so.
type verdict struct {
	issuer     *policy.Issuer
	key        *jwt.Key
	generation uint64 // of the issuer's keys, when key was last seen among them
	identity   *policy.Identity
	typeErr    error // why the token's type is not accepted
	binding    binding
	err        error // why there is no identity
	size       int   // of the identity, in bytes
}

// forgery is a token with a wrong signature.
type forgery struct {
	issuer     *policy.Issuer
	generation uint64
}

// refused is a token that its provider has refused.
type refused struct {
	provider *policy.Provider
	err      error
	until    time.Time
}

func newTokenCache(tokens int) *tokenCache {
	return &tokenCache{
		verified: newLRU[*verified](tokens, maxVerifiedBytes),
		forged:   newLRU[forgery](min(tokens, maxForgedTokens), maxForgedBytes),
		refused:  newLRU[refused](min(tokens, maxRefused), maxForgedBytes),
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

// drop forgets a token.
func (c *tokenCache) drop(compact string) { c.verified.remove(compact) }

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

// keep remembers a token that was verified, and what an issuer makes of it. Of
// the token's audiences those are kept that are named, which is sorted.
//
// Until is how long it is kept; zero is for good. Of a token that is there the
// earlier time counts. What is known by another evidence makes way.
func (c *tokenCache) keep(compact string, token *jwt.Token, proof *policy.Proof, made verdict, named []string,
	until time.Time) {
	v, ok := c.verified.get(compact)
	if !ok || v.proof.Provider() != proof.Provider() || v.until.IsZero() != until.IsZero() {
		compact = strings.Clone(compact)
		v = &verified{size: int(unsafe.Sizeof(verified{})) + listEntry}
		v.until = until
		v.token = token.Reduce(made.keyID(), made.issuer.Config.Issuer, named)
		v.size += len(v.token.KeyID) + len(v.token.Issuer) + pointers*len(v.token.Audience())
		var size int
		v.proof, size = proof.Own()
		v.size += size
		v.verdicts = v.first[:0]
	}
	if until.Before(v.until) {
		v.until = until
	}
	if made.identity != nil {
		made.identity, made.size = made.identity.Own()
	}
	made.size += len(made.binding.digest)
	if old := v.verdict(made.issuer); old != nil {
		v.size -= old.size
		*old = made
	} else {
		v.verdicts = append(v.verdicts, made)
		v.size += int(unsafe.Sizeof(made))
	}
	v.size += made.size
	c.verified.put(compact, v, v.size)
}

const (
	// listEntry is about what the list and its map take for an entry.
	listEntry = int(unsafe.Sizeof(lruEntry[*verified]{})) + 48
	// pointers is the size of a string's header.
	pointers = int(unsafe.Sizeof(""))
)

// keyID is the kid of the key that verified the token, "" if none did.
func (v *verdict) keyID() string {
	if v.key == nil {
		return ""
	}
	return v.key.ID
}

// dropWord forgets what a provider has said of a token.
func (c *tokenCache) dropWord(token string, provider *policy.Provider) {
	if v, ok := c.verified.get(token); ok && !v.until.IsZero() && v.proof.Provider() == provider {
		c.drop(token)
	}
}

// keepRefused remembers that a provider has refused a token.
func (c *tokenCache) keepRefused(token string, r refused) {
	c.refused.put(strings.Clone(token), r, listEntry)
}

// refusal is why a provider has refused a token, nil if it has not, or too long
// ago.
func (c *tokenCache) refusal(token string, provider *policy.Provider, now time.Time) error {
	if r, ok := c.refused.get(token); ok && r.provider == provider && now.Before(r.until) {
		return r.err
	}
	return nil
}

// keepForged remembers a token whose signature is wrong.
func (c *tokenCache) keepForged(compact string, issuer *policy.Issuer, generation uint64) {
	c.forged.put(strings.Clone(compact), forgery{issuer, generation}, listEntry)
}

// isForged reports whether the token's signature is known to be wrong with
// these very keys.
func (c *tokenCache) isForged(compact string, issuer *policy.Issuer, generation uint64) bool {
	f, ok := c.forged.get(compact)
	return ok && f == forgery{issuer, generation}
}
