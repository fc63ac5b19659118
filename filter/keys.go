package filter

import (
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"orgate/config"
	"orgate/internal/httptext"
	"orgate/jwks"
	"orgate/jwt"
)

// errWait: the keys may come, the stream should wait for them.
var errWait = errors.New("waiting for keys")

// keyring is where one issuer's keys are.
type keyring struct {
	// location is where the JWK Set is fetched, nil where it is inline or
	// there is none.
	location *location
	// inline is the configured JWK Set, nil if there is none.
	inline *jwks.Set
	// certificates are the configured keys that stand in where the JWK Set
	// has none for a token, nil if there are none.
	certificates *jwks.Set
}

// sets are the keys that may verify a token now, in the order in which they are
// asked: the first one that has a key for the token decides. There is no JWK Set
// while the location has none.
func (k *keyring) sets(now time.Time) [2]*jwks.Set {
	set := k.inline
	if k.location != nil {
		set, _ = k.location.source.Keys(now)
	}
	return [2]*jwks.Set{set, k.certificates}
}

// candidates are the keys that a token is tried with. Others may come instead of
// them, or besides, unless they are final: unless the JWK Set is here and has keys
// for the token.
func (k *keyring) candidates(token *jwt.Token, now time.Time) (keys []*jwt.Key, final bool) {
	for i, set := range k.sets(now) {
		if keys := set.Select(token); len(keys) > 0 {
			return keys, i == 0 || k.location == nil
		}
	}
	return nil, k.location == nil
}

// generation changes whenever the keys do. It is 0 while there are none but those
// that are configured.
func (k *keyring) generation(now time.Time) uint64 {
	if k.location == nil || k.sets(now)[0] == nil {
		return 0
	}
	return k.location.source.Generation()
}

// verify verifies a token's signature with the issuer's own keys and returns
// the key. The error is [errWait] if the right key may be on its way. Arithmetic
// may be nil.
func (k *keyring) verify(token *jwt.Token, now time.Time, arithmetic jwt.Arithmetic) (*jwt.Key, error) {
	candidates, final := k.candidates(token, now)
	for _, key := range candidates {
		err := token.VerifyWith(key, arithmetic)
		if err == nil {
			return key, nil
		}
		if !errors.Is(err, jwt.ErrSignature) {
			return nil, err
		}
	}
	switch {
	case final && len(candidates) > 0:
		return nil, jwt.ErrSignature
	case final:
		return nil, jwt.ErrUnknownKey
	case k.location.source.Want(now, token.KeyID):
		return nil, errWait
	case k.sets(now)[0] == nil:
		return nil, errKeysUnavailable
	default:
		return nil, jwt.ErrUnknownKey
	}
}

// holds reports whether the key that once verified the token would be asked to
// verify it now.
func (k *keyring) holds(v *verdict, token *jwt.Token, now time.Time) bool {
	generation := k.generation(now)
	if v.generation == generation {
		return true
	}
	keys, _ := k.candidates(token, now)
	for _, key := range keys {
		if key.Thumbprint == v.key.Thumbprint {
			v.generation = generation
			return true
		}
	}
	return false
}

// location is a place that keys are fetched from, on behalf of every issuer
// that names it with the same settings.
type location struct {
	key       string // what issuers that share it have in common
	source    *jwks.Source
	cluster   string
	url       string          // of the JWK Set, or of the discovery document
	discovery *jwks.Discovery // nil if url is the JWK Set's
	timeout   time.Duration
	issuers   []string // names, for metrics and logs

	// patience is how long a turn in fetching lasts.
	patience time.Duration
	alone    bool // shared data does not work
	held     bool // another worker has the turn that this one was to take
	waiters  int  // streams that were waiting as the tick began
	// consulted is when the turns were last read, and the others are what
	// stood there: when the fetch of the newest document began, until when
	// failures defer the next, when the last one for an unknown kid began.
	consulted                  time.Time
	document, deferred, wanted int64
	reported                   uint64 // age in seconds, as the gauge says
}

// newKeyrings prepares the keys of all issuers. Issuers that name the same
// location with the same settings share it.
// Locations that were there before are kept, with the keys that they have.
func newKeyrings(c *config.Config, before []*location) ([]keyring, []*location, error) {
	var locations []*location
	byKey := map[string]*location{}
	kept := map[string]*location{}
	for _, l := range before {
		kept[l.key] = l
	}
	rings := make([]keyring, len(c.Issuers))
	var problems []error
	for i := range c.Issuers {
		issuer := &c.Issuers[i]
		ring := &rings[i]
		place := issuer.Path + ".signatureValidation."
		if certificate := issuer.SignatureValidation.Certificate; certificate != nil {
			set, err := jwks.ParsePEM(certificate.CertificateInline)
			if problem := unusable(place+"certificate.certificateInline: ", set, err); problem != nil {
				problems = append(problems, problem)
			}
			ring.certificates = set
		}
		j := issuer.SignatureValidation.JWKS
		if j == nil {
			continue
		}
		if j.Inline != "" {
			set, err := jwks.Parse(string(j.Inline))
			if problem := unusable(place+"jwks.inline: ", set, err); problem != nil {
				problems = append(problems, problem)
				continue
			}
			ring.inline = set.Pin(j.Pins)
			continue
		}
		key := locationKey(issuer.Issuer, j)
		l := byKey[key]
		if l == nil {
			if l = kept[key]; l == nil {
				l = newLocation(key, issuer.Issuer, j)
			}
			l.issuers = nil
			byKey[key] = l
			locations = append(locations, l)
		}
		ring.location = l
		l.issuers = append(l.issuers, issuer.Name)
	}
	return rings, locations, errors.Join(problems...)
}

// unusable says what is wrong with configured keys: there must be one at least
// that can be used. Others beside it, such as the key for encryption that some
// providers publish along, are left out with a warning.
func unusable(place string, set *jwks.Set, err error) error {
	switch {
	case err != nil:
		return errors.New(place + err.Error())
	case len(set.Keys) == 0 && len(set.Unusable) == 0:
		return errors.New(place + "holds no key")
	}
	var problems []error
	for _, reason := range set.Unusable {
		problems = append(problems, errors.New(place+reason.Error()))
	}
	if len(set.Keys) == 0 {
		return errors.Join(problems...)
	}
	for _, problem := range problems {
		proxywasm.LogWarn("key not used: " + problem.Error())
	}
	return nil
}

// locationKey is what two issuers must have in common to share a location.
func locationKey(issuer string, j *config.JWKS) string {
	parts := []string{j.Cluster, j.URL}
	if j.WellKnown != "" {
		parts = []string{j.Cluster, j.WellKnown, issuer, strconv.FormatBool(j.AllowOtherOrigin)}
	}
	for _, d := range [...]config.Duration{j.Timeout, j.RefreshInterval, j.MaxStale, j.UnknownKidCooldown} {
		parts = append(parts, strconv.FormatInt(int64(d), 10))
	}
	return strings.Join(append(parts, j.Pins...), "\x00")
}

func newLocation(key, issuer string, j *config.JWKS) *location {
	l := &location{key: key, cluster: j.Cluster, url: j.URL, timeout: time.Duration(j.Timeout)}
	whole := l.timeout
	if j.WellKnown != "" {
		l.url = j.WellKnown
		l.discovery = &jwks.Discovery{Issuer: issuer, URL: j.WellKnown, AnyOrigin: j.AllowOtherOrigin}
		whole *= 2 // one request after the other
	}
	l.patience = whole + time.Second
	l.source = jwks.NewSource(jwks.Policy{
		RefreshInterval:    time.Duration(j.RefreshInterval),
		MaxStale:           time.Duration(j.MaxStale),
		UnknownKidCooldown: time.Duration(j.UnknownKidCooldown),
		Timeout:            whole,
		Pins:               j.Pins,
	}, rand.Float64)
	return l
}

// fetch starts a fetch. It must be called from a tick.
func (p *plugin) fetch(l *location, now time.Time) {
	fetch := l.source.Begin(now)
	p.get(l, l.url, func(answer jwks.Answer) {
		if l.discovery == nil || answer.Status != 200 || answer.Body == "" || len(answer.Body) > jwks.MaxDocument {
			p.finish(l, fetch, answer)
			return
		}
		url, err := l.discovery.Follow(answer.Body)
		if err != nil {
			p.finish(l, fetch, jwks.Answer{Misdirected: errors.New("discovery document: " + err.Error())})
			return
		}
		p.get(l, url, func(answer jwks.Answer) { p.finish(l, fetch, answer) })
	})
}

// get requests a document through the location's cluster. A call that the
// proxy refuses has no answer, like one that fails later.
func (p *plugin) get(l *location, url string, then func(jwks.Answer)) {
	scheme, authority, path := httptext.SplitURL(url)
	headers := [][2]string{
		{":method", "GET"},
		{":scheme", scheme},
		{":authority", authority},
		{":path", path},
		{"accept", "application/json, application/jwk-set+json"},
		{"user-agent", "orgate"},
	}
	milliseconds := uint32(min(max(l.timeout.Milliseconds(), 1), math.MaxUint32))
	_, err := proxywasm.DispatchHttpCall(l.cluster, headers, nil, nil, milliseconds,
		func(headers, bodySize, _ int) { then(answerOf(headers, bodySize)) })
	if err != nil {
		proxywasm.LogError("cluster " + l.cluster + ": cannot fetch the keys of " + strings.Join(l.issuers, ", ") + ": " + err.Error())
		then(jwks.Answer{})
	}
}

// answerOf reads the answer to a callout. Some proxies answer a call that
// failed with no headers, others with a status of their own: both are failures.
func answerOf(headers, bodySize int) jwks.Answer {
	var answer jwks.Answer
	if headers > 0 {
		if pairs, err := proxywasm.GetHttpCallResponseHeaders(); err == nil {
			answer = readAnswer(pairs)
		}
	}
	if answer.Status == 200 && bodySize > 0 {
		// One byte more than is read tells that it is too much.
		body, err := proxywasm.GetHttpCallResponseBody(0, min(bodySize, jwks.MaxDocument+1))
		if err == nil {
			answer.Body = string(body)
		}
	}
	return answer
}

func readAnswer(headers [][2]string) jwks.Answer {
	var answer jwks.Answer
	for _, h := range headers {
		switch h[0] {
		case ":status":
			answer.Status, _ = strconv.Atoi(h[1])
		case "cache-control":
			if answer.CacheControl != "" {
				answer.CacheControl += ", "
			}
			answer.CacheControl += h[1]
		}
	}
	return answer
}

// finish tells the source and the other workers what became of a fetch, logs
// and counts it, and judges the requests that were waiting for keys.
func (p *plugin) finish(l *location, fetch jwks.Fetch, answer jwks.Answer) {
	now := p.now()
	l.consulted = time.Time{}
	p.consult(l, now, false) // another worker may have been quicker
	outcome := l.source.Finish(now, fetch, answer)
	p.share(l, fetch, answer, outcome, now)
	quietly(func() { p.report(l, outcome, now) })
	p.wake(l)
}

// report logs and counts the end of a fetch.
func (p *plugin) report(l *location, outcome jwks.Outcome, now time.Time) {
	for _, name := range l.issuers {
		if outcome.Err != nil {
			proxywasm.LogWarn("issuer " + name + ": fetch of " + l.url + ": " + outcome.Err.Error())
		}
		p.metrics.fetch(name, string(outcome.Result))
	}
	p.reportKeys(l, now)
}

// reportKeys logs and counts the keys that a location has.
func (p *plugin) reportKeys(l *location, now time.Time) {
	set, _ := l.source.Keys(now)
	keys := 0
	if set != nil {
		keys = len(set.Keys)
		for _, problem := range set.Unusable {
			proxywasm.LogWarn("issuer " + l.issuers[0] + ": key not used: " + problem.Error())
		}
	}
	for _, name := range l.issuers {
		proxywasm.LogInfo("issuer " + name + ": keys from " + l.url + ": " + strconv.Itoa(keys))
		p.metrics.gauge(familyKeys, name, uint64(keys))
	}
}
