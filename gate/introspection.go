package gate

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"orgate/introspect"
	"orgate/jwt"
	"orgate/policy"
)

// Introspection is one token's introspection at its provider (RFC 7662). Requests
// with the token wait for it, and whoever can make it takes it through its life:
//
//	if i.Begin(now) {
//		// send the token; when the answer comes, or can't come any more:
//		i.Finish(later, answer)
//	}
type Introspection struct {
	// Provider is asked.
	Provider *policy.Provider
	// Token is what it is asked about. It is for nobody else, and for no log.
	Token string

	gate  *Gate
	asked time.Time
	begun time.Time
	// done tells that there is an answer, or there will be none: token, or err.
	done  bool
	token *jwt.Token
	until time.Time // how long the answer is kept
	err   error
}

const (
	// maxRefusal is how long at most it is kept that a token is not good.
	maxRefusal = 10 * time.Second
	// lost is how long after its timeout an introspection is given up.
	lost = time.Second
	// maxRefused bounds how many tokens are kept that are not good, and maxAskedBytes
	// what the tokens take that providers are being asked about. None takes more of it
	// than it leaves free for the others.
	maxRefused    = 256
	maxAskedBytes = 1 << 20
	// strangersPerSecond is how many tokens that are not active, or for which it has no
	// answer, a provider is asked about, and maxStrangers how many at once.
	strangersPerSecond = 10
	maxStrangers       = 100
)

// Pending reports whether nobody has been asked yet.
func (i *Introspection) Pending() bool { return i.begun.IsZero() && !i.done }

// Begin reports whether the provider is to be asked now. It is not if that was
// done, or if too many tokens have turned out to be strangers' inventions. One that
// fails is asked no more often, and whoever makes it fail costs it no more.
func (i *Introspection) Begin(now time.Time) bool {
	if !i.Pending() {
		return false
	}
	if !i.gate.providers[i.Provider.Index].invented.left(now) {
		i.fail(errStrangers)
		return false
	}
	i.begun = now
	return true
}

// Underway reports whether the provider has been asked, and may answer yet. A
// clock that was set back makes no wait endless.
func (i *Introspection) Underway(now time.Time) bool {
	age := now.Sub(i.begun)
	return !i.begun.IsZero() && !i.done && age >= 0 && age < time.Duration(i.Provider.Config.Introspection.Timeout)+lost
}

// Finish takes the provider's answer.
func (i *Introspection) Finish(now time.Time, a introspect.Answer) introspect.Result {
	if i.done {
		return a.Result
	}
	switch {
	case a.Err != nil || a.Result == "":
		i.gate.providers[i.Provider.Index].invented.spend(1)
		i.fail(ErrIntrospection)
		return a.Result
	case a.Token == nil:
		i.gate.providers[i.Provider.Index].invented.spend(1)
		i.refuse(now, ErrInactive)
	case !i.Provider.HasIssued(a.Token.Claims):
		a.Result = introspect.ResultIssuer
		i.refuse(now, policy.ErrUnknownIssuer)
	default:
		i.take(now, a.Token)
	}
	return a.Result
}

// take takes an active token, which may have expired all the same.
func (i *Introspection) take(now time.Time, token *jwt.Token) {
	c := i.Provider.Config
	i.token, i.until = token, now.Add(time.Duration(c.Introspection.CacheFor))
	expiry, ok := token.Expiry()
	switch {
	case ok && !now.Before(expiry.Add(time.Duration(c.ClockSkew))):
		i.refuse(now, jwt.ErrExpired)
		return
	case ok && !now.Before(expiry):
		i.until = now // not kept
	case ok && expiry.Before(i.until):
		i.until = expiry
	}
	i.end()
}

// refuse keeps that the token is not good, whatever the provider has said before. An
// answer that comes when it was asked anew is not its last word.
func (i *Introspection) refuse(now time.Time, err error) {
	if i.isCurrent() {
		i.gate.cache.dropWord(i.Token, i.Provider)
	}
	until := now.Add(min(maxRefusal, time.Duration(i.Provider.Config.Introspection.CacheFor)))
	i.gate.cache.keepRefused(i.Token, refused{i.Provider, err, until})
	i.fail(err)
}

func (i *Introspection) fail(err error) {
	i.err = err
	i.end()
}

// end has the next request with the token ask anew, unless the cache knows better.
func (i *Introspection) end() {
	i.done = true
	i.forget()
}

// forget has nobody else wait for it.
func (i *Introspection) forget() {
	if i.isCurrent() {
		i.gate.asked.remove(i.key())
		i.gate.providers[i.Provider.Index].asked -= i.size()
	}
}

// isCurrent reports whether no other one has taken its place.
func (i *Introspection) isCurrent() bool {
	current, _ := i.gate.asked.get(i.key())
	return current == i
}

// key is the token's, at the provider.
func (i *Introspection) key() string {
	sum := sha256.Sum256([]byte(strconv.Itoa(i.Provider.Index) + " " + i.Token))
	return string(sum[:])
}

// size is what it takes while it is waited for, in bytes.
func (i *Introspection) size() int { return listEntry + sha256.Size + len(i.Token) }

// joined reports whether further requests may wait for it. One that nobody could
// ask about for long is not, or its token could be held for ever.
func (i *Introspection) joined(now time.Time) bool {
	return i.Underway(now) || i.Pending() && !i.isOlder(now, 1)
}

// isOlder reports whether it was begun before the longest wait, so many times over.
func (i *Introspection) isOlder(now time.Time, times time.Duration) bool {
	age := now.Sub(i.asked)
	return age < 0 || age > times*time.Duration(i.gate.config.Limits.KeyWait)
}

var (
	errStrangers = fmt.Errorf("%w: too many tokens were not active, or had no answer", ErrIntrospection)
	errBusy      = fmt.Errorf("%w: too many tokens are being asked about", ErrIntrospection)
	errAsked     = errors.New("waiting for an introspection")
)

// ask returns the introspection that requests with the token wait for. A [Room] has
// those forgotten that nobody waits for any more. If one got lost otherwise, its time
// makes room.
func (g *Gate) ask(provider *policy.Provider, token string, now time.Time) (*Introspection, error) {
	i := &Introspection{Provider: provider, Token: token, gate: g, asked: now}
	if other, ok := g.asked.get(i.key()); ok {
		if other.joined(now) {
			return other, nil
		}
		other.forget()
	}
	at := &g.providers[provider.Index]
	if !at.invented.left(now) {
		return nil, errStrangers
	}
	size := i.size()
	for !g.asked.hasRoom(size) || at.asked+size > maxAskedBytes-g.asked.bytes {
		oldest := g.asked.root.prev.value
		if oldest == nil || oldest.Underway(now) || !oldest.isOlder(now, 2) {
			return nil, errBusy
		}
		oldest.forget()
	}
	i.Token = strings.Clone(token) // and nothing else of the request
	g.asked.put(i.key(), i, size-sha256.Size)
	at.asked += size
	return i, nil
}

// introspect has a provider say what the token is. The error is errAsked if it has
// not said so yet.
func (j *judgment) introspect(provider *policy.Provider) (err error) {
	j.Issuer = provider.Issuer(j.Rule)
	now := j.time()
	i := j.request.Introspection
	if i == nil || !i.done || i.Provider != provider || i.Token != j.compact {
		if err := j.cache.refusal(j.compact, provider, now); err != nil {
			return err
		}
		if j.Introspection, err = j.ask(provider, j.compact, now); err != nil {
			return err
		}
		return errAsked
	}
	if i.err != nil {
		return i.err
	}
	j.answer, j.Token, j.proof = i, i.token, provider.Proof(i.token.Claims)
	return nil
}

// isOpaque reports whether a text that is no JWT has the form of a token (RFC 6750
// §2.1) that somebody else may understand. What has three parts wants to be a JWT.
func isOpaque(token string) bool {
	const dotsOfJWT = 2
	bare := strings.TrimRight(token, "=")
	for i := range len(bare) {
		c := bare[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~+/", c) >= 0) {
			return false
		}
	}
	return bare != "" && strings.Count(bare, ".") != dotsOfJWT
}
