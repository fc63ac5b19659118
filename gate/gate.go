// Package gate is the way of a request. It reads the credentials, chooses rule,
// issuer and keys, caches verified tokens, decides, and words a refusal. It knows
// no proxy. The plugin carries its decisions out, and a command explains them.
//
// # The way
//
// [Gate.Judge] takes a request through these steps, and stops at the first one
// that refuses it:
//
//	rule          which part of the API is this?             policy.Policy.Route
//	token         one token, in the places configured        readCredentials, jwt.Parse
//	issuer        whose token does it say it is?             policy.Proof.Issuer
//	algorithm     is it one that the issuer may use?         jwt.Token.CheckAlgorithm
//	time          exp, nbf, iat                              jwt.Token.CheckTime
//	key           the issuer's own keys; the signature       keyring, jwt.Token.VerifyWith
//	type          typ                                        jwt.Token.CheckType
//	audience      aud                                        jwt.Token.CheckAudience
//	binding       the client's certificate, if it is bound   bindingOf
//	identity      who is it?                                 policy.Issuer.Identify
//	organization  is it of the one that the rule requires?   policy.Rule.Authorize
//	demands       scopes, roles, clients, claims             policy.Rule.Authorize
//
// The cheap steps come first: nothing is verified that would be refused anyway.
// A token that was verified before skips the token and key steps, and nothing
// else: see [tokenCache]. An introspected token ([Introspection]) has no
// algorithm, key and type. The response's members are its claims. Times and
// audiences are checked if they are there.
//
// # The end
//
// A [Decision] is one of three: pass with these edits of the headers, refuse with
// this response, or wait for the keys of a source or for an introspection: see
// [Awaited]. Its zero value refuses.
// Every error that a decision can end in stands in one table, [refusals], with
// its status, its words and its metric label. An error that is not in the table
// is a fault: 500.
//
// # The way of a request that waits
//
//	request headers ── Judge ── Wait(awaited) ─► Room.Enter ──► the stream is paused
//	                                                │
//	    the source fetches, or another worker did,  │
//	    or the provider responds                    │
//	                                                ▼
//	                     Room.Wake(awaited) ── its waiters are ready
//	                                                │
//	          each tick, until the budget is spent  ▼
//	    Judge ◄── the request is read anew ◄── Room.Next, by source in turn
//	      │
//	      ├── pass, refuse ──► the stream is resumed, or gets its response
//	      ├── Wait again ────► Room.Enter, with the deadline that it had
//	      └── deadline over ─► 503
//
// Of a request that waits, only what its refusal needs is kept.
//
// # What verifying may cost
//
// Costs are counted in units of one verification with a 2048-bit RSA key: see
// [jwt.Key.Cost]. A token costs at most [jwks.MaxTokenCost], or as much as one key
// that costs more. [Gate.Spent] tells the adapter when to leave the other waiting
// requests to the next tick. The bad signatures of one issuer may take a tenth of
// the worker's time: see [allowance].
//
// The package takes the time and the keys as plain arguments. It imports neither
// the SDK nor the packages that know a proxy.
package gate

import (
	"errors"
	"slices"
	"time"

	"orgate/config"
	"orgate/jwks"
	"orgate/jwt"
	"orgate/policy"
)

// Gate is a configuration, prepared for judging. It must not be used by several
// goroutines at once. A nil Gate has none: it refuses every request as a fault.
type Gate struct {
	config  *config.Config
	policy  *policy.Policy
	issuers []issuer // by the issuer's index
	cache   *tokenCache
	options Options

	providers []provider // by the provider's index
	asked     *lru[*Introspection]

	audiences []string // every audience that the configuration names, sorted
	spent     int      // cost of the verifications so far
	current   judgment // the last one, whose room is used again
}

// issuer is what is prepared for an issuer beside its policy.
type issuer struct {
	keys      keyring
	times     jwt.TimeRules
	forgeries *allowance // shared by all with the same "iss"
}

// provider is what a provider is asked about.
type provider struct {
	invented allowance // what tokens that are not active, or have no answer, may cost
	asked    int       // what the tokens take that it is being asked about, in bytes
}

// Options are what a gate is given beside its configuration.
type Options struct {
	// Now is the clock. It is read at most once for each request.
	Now func() time.Time
	// Sources are the sources of the issuers' keys, by the issuer's index; nil
	// for an issuer whose keys are all in the configuration.
	Sources []*jwks.Source
	// Arithmetic verifies signatures in place of package jwt; nil is none.
	Arithmetic jwt.Arithmetic
	// Observer is told each step; nil is nobody.
	Observer Observer
}

// New prepares a configuration. The error says which of the configured keys
// cannot be used, one line for each, with their places.
//
// Warnings name keys that are left out beside others that can be used, such as
// the key for encryption that some providers publish along.
func New(c *config.Config, o Options) (g *Gate, warnings []string, err error) {
	g = &Gate{
		config:  c,
		policy:  policy.New(c),
		issuers: make([]issuer, len(c.Issuers)),
		cache:   newTokenCache(c.Limits.CachedTokens),
		options: o,
	}
	for range g.policy.Providers() {
		g.providers = append(g.providers,
			provider{invented: allowance{level: maxStrangers, most: maxStrangers, perSecond: strangersPerSecond}})
	}
	g.asked = newLRU[*Introspection](max(1, c.Limits.WaitingRequests)+c.Limits.Fetches, maxAskedBytes)
	allowances := map[string]*allowance{}
	var problems []error
	for i := range c.Issuers {
		entry := &c.Issuers[i]
		ring, left, err := newKeyring(entry)
		if err != nil {
			problems = append(problems, err)
		}
		warnings = append(warnings, left...)
		if o.Sources != nil {
			ring.source = o.Sources[i]
		}
		if allowances[entry.Issuer] == nil {
			allowances[entry.Issuer] = newAllowance()
		}
		g.issuers[i] = issuer{keys: ring, times: timeRules(entry), forgeries: allowances[entry.Issuer]}
		g.audiences = append(g.audiences, entry.Audiences...)
	}
	for i := range c.Rules {
		g.audiences = append(g.audiences, c.Rules[i].Audiences...)
		for _, d := range c.Rules[i].AnyOf {
			g.audiences = append(g.audiences, d.Audiences...)
		}
	}
	slices.Sort(g.audiences)
	g.audiences = slices.Compact(g.audiences)
	return g, warnings, errors.Join(problems...)
}

// Algorithms returns the signature algorithms that some issuer allows.
func (g *Gate) Algorithms() []string {
	var all []string
	for i := range g.config.Issuers {
		for _, algorithm := range g.config.Issuers[i].Algorithms {
			if !slices.Contains(all, algorithm) {
				all = append(all, algorithm)
			}
		}
	}
	return all
}

func timeRules(issuer *config.Issuer) jwt.TimeRules {
	return jwt.TimeRules{
		Skew:              time.Duration(issuer.ClockSkew),
		MaxAge:            time.Duration(issuer.MaxTokenAge),
		RequireExpiration: issuer.RequireExpiration,
	}
}

// IsIdentityHeader reports whether an upstream could take a header for one that
// the gate writes. No request and no trailer may bring such a header along.
func (g *Gate) IsIdentityHeader(name string) bool { return g == nil || g.policy.IsIdentityHeader(name) }

// Spent is the cost of all verifications so far: see [jwt.Key.Cost]. It grows by
// what each [Gate.Judge] verifies.
func (g *Gate) Spent() int {
	if g == nil {
		return 0
	}
	return g.spent
}

// CacheLookups returns how many tokens were found among those seen before, and
// how many were not, since the last call.
func (g *Gate) CacheLookups() (hits, misses uint64) {
	if g == nil {
		return 0, 0
	}
	hits, misses = g.cache.hits, g.cache.misses
	g.cache.hits, g.cache.misses = 0, 0
	return hits, misses
}
