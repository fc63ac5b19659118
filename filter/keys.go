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
	"orgate/gate"
	"orgate/internal/httptext"
	"orgate/jwks"
)

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

// newLocations finds the locations of all issuers' keys, and the source of each
// issuer's, nil for those whose keys are written in the configuration. Issuers
// that name the same location with the same settings share it. Locations that
// were there before are kept, with the keys that they have.
func newLocations(c *config.Config, before []*location) ([]*jwks.Source, []*location) {
	var locations []*location
	byKey := map[string]*location{}
	kept := map[string]*location{}
	for _, l := range before {
		kept[l.key] = l
	}
	sources := make([]*jwks.Source, len(c.Issuers))
	for i := range c.Issuers {
		issuer := &c.Issuers[i]
		j := issuer.SignatureValidation.JWKS
		if j == nil || j.Inline != "" {
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
		sources[i] = l.source
		l.issuers = append(l.issuers, issuer.Name)
	}
	return sources, locations
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
	if j.WellKnown != "" {
		l.url = j.WellKnown
		l.discovery = &jwks.Discovery{Issuer: issuer, URL: j.WellKnown, AnyOrigin: j.AllowOtherOrigin}
	}
	policy := gate.SourcePolicy(j)
	l.patience = policy.Timeout + time.Second
	l.source = jwks.NewSource(policy, rand.Float64)
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
	attempt(func() { p.report(l, outcome, now) })
	p.room.Wake(l.source)
	p.judgeWaiting(now)
	if p.room.Ready() {
		p.tickSoon(soon)
	}
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
