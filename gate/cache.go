package gate

import (
	"strings"
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

// keep remembers a token that was verified, and what an issuer makes of it. Of
// the token's audiences those are kept that are named, which is sorted.
func (c *tokenCache) keep(compact string, token *jwt.Token, proof *policy.Proof, made verdict, named []string) {
	v, ok := c.verified.get(compact)
	if !ok {
		compact = strings.Clone(compact)
		v = &verified{size: int(unsafe.Sizeof(verified{})) + listEntry}
		v.token = token.Reduce(made.key.ID, made.issuer.Config.Issuer, named)
		v.size += len(v.token.KeyID) + len(v.token.Issuer) + pointers*len(v.token.Audience())
		var size int
		v.proof, size = proof.Own()
		v.size += size
		v.verdicts = v.first[:0]
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
