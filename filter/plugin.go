package filter

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	"orgate/config"
	"orgate/jwt"
	"orgate/policy"
)

// plugin is one configuration at work. Until it has one it refuses every
// request.
type plugin struct {
	types.DefaultPluginContext
	id      uint32
	now     func() time.Time
	fetcher *fetcher

	config  *config.Config
	policy  *policy.Policy
	keys    []keyring       // by the issuer's index
	times   []jwt.TimeRules // likewise
	metrics *metrics
	cache   *tokenCache
	// arithmetic is the proxy's if it is asked for, or else nil.
	arithmetic       jwt.Arithmetic
	noHostArithmetic bool // it was asked for, and is not there

	waiting []*stream     // for keys, in the order they came
	reports int           // refusals that were not enforced, since the last tick
	period  time.Duration // of the tick, as last set
}

// Periods of the tick. The first one is soon, because a proxy allows no calls
// while it configures; so is one that a stream waits for.
const (
	soon    = time.Millisecond
	regular = time.Second
	// often is the longest period while streams are waiting: how late the end of
	// a wait, or another worker's keys, may be noticed.
	often = 25 * time.Millisecond
)

// OnPluginStart reads the configuration. Every mistake in it is logged, and
// the proxy is told not to use the plugin. A plugin that is configured again
// and refuses keeps nothing of what it had: it refuses all requests. Streams
// that are waiting meanwhile are judged by the new configuration.
func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	document, err := proxywasm.GetPluginConfiguration()
	if err != nil && !errors.Is(err, types.ErrorStatusNotFound) {
		proxywasm.LogError("configuration: " + err.Error())
		return types.OnPluginStartStatusFailed
	}
	p.config = nil
	defer p.revisit(everyStream, (*stream).open)
	if err := p.configure(string(document)); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			proxywasm.LogError("configuration: " + line)
		}
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

// configure puts a configuration to work, or returns what is wrong with it.
func (p *plugin) configure(document string) error {
	c, err := config.Parse(document)
	if err != nil {
		return err
	}
	keys, locations, err := newKeyrings(c, p.fetcher.locations)
	if err != nil {
		return err
	}
	p.keys = keys
	p.times = timeRules(c)
	p.policy = policy.New(c)
	p.metrics = newMetrics()
	p.cache = newTokenCache(c.Limits.CachedTokens)
	p.arithmetic, p.noHostArithmetic = nil, false
	if c.SignatureVerification == "host" {
		p.arithmetic = p.hostArithmetic
	}
	p.period = 0
	sharing := newSharing(c.Sharing.Key)
	if !sharing.open && len(locations) > 0 {
		proxywasm.LogInfo("each worker fetches keys for itself: the proxy tells of no VM id, and there is no sharing.key")
	}
	p.fetcher.configure(locations, c.Limits.Fetches, sharing, p.metrics)
	first := regular
	if len(locations) > 0 {
		first = soon
	}
	if err := p.tickEvery(first); err != nil {
		return err
	}
	p.config = c
	return nil
}

// timeRules are the issuers' rules for times.
func timeRules(c *config.Config) []jwt.TimeRules {
	rules := make([]jwt.TimeRules, len(c.Issuers))
	for i := range c.Issuers {
		issuer := &c.Issuers[i]
		rules[i] = jwt.TimeRules{
			Skew:              time.Duration(issuer.ClockSkew),
			MaxAge:            time.Duration(issuer.MaxTokenAge),
			RequireExpiration: issuer.RequireExpiration,
		}
	}
	return rules
}

// OnTick starts the fetches that are due, ends the waits that are over, and
// asks for the next tick.
func (p *plugin) OnTick() {
	if p.config == nil {
		return
	}
	now := p.now()
	p.reports = 0
	var waited []*location
	for _, w := range p.waiting {
		waited = append(waited, w.location)
	}
	p.fetcher.tick(now, waited)
	p.wake()
	p.expire(now)
	quietly(func() { p.metrics.cached(p.cache) })
	period := p.fetcher.pause()
	if len(p.waiting) > 0 {
		period = min(period, often)
	}
	if err := p.tickEvery(period); err != nil {
		proxywasm.LogError("tick: " + err.Error())
	}
}

// onFetched judges the streams that wait for keys that have come, and asks for a
// tick if there is a fetch to begin.
func (p *plugin) onFetched() {
	p.wake()
	p.tickWithin(regular)
}

// tickWithin asks for a tick within a time, or earlier if there is a fetch to
// begin.
func (p *plugin) tickWithin(period time.Duration) {
	if period = min(period, p.fetcher.pause()); period >= p.period {
		return
	}
	if err := p.tickEvery(period); err != nil {
		proxywasm.LogError("tick: " + err.Error())
	}
}

// tickEvery sets the period of the tick, unless it is the one already set.
func (p *plugin) tickEvery(period time.Duration) error {
	if period == p.period {
		return nil
	}
	if err := proxywasm.SetTickPeriodMilliSeconds(uint32(min(max(period.Milliseconds(), 1), math.MaxUint32))); err != nil {
		return err
	}
	p.period = period
	return nil
}

// wake opens the streams anew that wait for keys from a location that has news.
// Some of them must go on waiting.
func (p *plugin) wake() {
	news := p.fetcher.takeNews()
	if len(news) == 0 || len(p.waiting) == 0 {
		return
	}
	p.revisit(func(s *stream) bool { return slices.Contains(news, s.location) }, (*stream).open)
}

// expire refuses the streams whose wait is over. A clock that is set back makes
// no wait longer than it was meant to be.
func (p *plugin) expire(now time.Time) {
	longest := now.Add(time.Duration(p.config.Limits.KeyWait))
	over := func(s *stream) bool {
		if s.deadline.After(longest) {
			s.deadline = longest
		}
		return !now.Before(s.deadline)
	}
	p.revisit(over, func(s *stream) types.Action { return s.refuseOf(s.issuer, errKeysUnavailable) })
}

func everyStream(*stream) bool { return true }

// revisit takes a step with each waiting stream that is chosen, in that stream's
// context, and keeps those that are waiting still. A stream that the proxy has
// forgotten is dropped.
func (p *plugin) revisit(chosen func(*stream) bool, step func(*stream) types.Action) {
	streams := p.waiting
	p.waiting = nil
	elsewhere := false
	for _, s := range streams {
		if chosen(s) {
			elsewhere = true
			if proxywasm.SetEffectiveContext(s.id) != nil {
				continue
			}
			s.guard(func() types.Action { return step(s) })
		}
		if s.phase == waiting {
			p.waiting = append(p.waiting, s)
		}
	}
	if !elsewhere {
		return
	}
	if err := proxywasm.SetEffectiveContext(p.id); err != nil {
		proxywasm.LogError("effective context: " + err.Error())
	}
}

// hasRoom reports whether one more stream may wait for a location. Where there
// are several, none takes more places than it leaves to the others: a provider
// that does not answer must not keep tokens of another one from waiting.
func (p *plugin) hasRoom(l *location) bool {
	free := p.config.Limits.WaitingRequests - len(p.waiting)
	if len(p.fetcher.locations) == 1 {
		return free > 0
	}
	taken := 0
	for _, w := range p.waiting {
		if w.location == l {
			taken++
		}
	}
	return taken < free
}

// logReport says what a rule would have refused, if it has not been said too
// often since the last tick.
func (p *plugin) logReport(l requestLabels) {
	const most = 10
	if p.reports++; p.reports <= most {
		proxywasm.LogInfo("report only: issuer " + l.issuer + ", rule " + l.rule + ": would be refused: " + l.reason)
	}
}

// forget drops a stream that ended while it was waiting.
func (p *plugin) forget(s *stream) {
	for i, w := range p.waiting {
		if w == s {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			return
		}
	}
}

// NewHttpContext begins a stream.
func (p *plugin) NewHttpContext(id uint32) types.HttpContext {
	return &stream{id: id, plugin: p}
}

// retryAfter is how many seconds a client should wait for an issuer's keys.
func (p *plugin) retryAfter(issuer *policy.Issuer) int {
	if issuer == nil || p.keys[issuer.Index].location == nil {
		return 1
	}
	wait := p.keys[issuer.Index].location.source.RetryAfter(p.now())
	return int((wait + time.Second - 1) / time.Second)
}
