package filter

import (
	"errors"
	"math"
	"strings"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"orgate/config"
	"orgate/gate"
	"orgate/jwks"
	"orgate/jwt"
)

// plugin is one configuration at work. Until it has one it refuses every
// request.
type plugin struct {
	types.DefaultPluginContext
	vm     *VM
	id     uint32
	now    func() time.Time
	worker uint64 // tells workers apart that take turns in fetching, never 0

	config    *config.Config
	gate      *gate.Gate // nil while there is no configuration
	locations []*location
	metrics   *metrics
	room      *gate.Room[*stream] // of those that wait for keys

	noHostArithmetic bool          // it was asked for, and is not there
	reports          int           // refusals that were not enforced, since the last tick
	period           time.Duration // of the tick, as last set
}

// Periods of the tick. The first one is soon, because a proxy allows no calls
// while it configures; so is one that a stream waits for.
const (
	soon    = time.Millisecond
	regular = time.Second
	// patience is the longest period while streams are waiting: how late the
	// end of a wait, or another worker's keys, may be noticed.
	patience = 25 * time.Millisecond
)

// budget is what judging waiting streams may cost in one callback, in units of
// [jwt.Key.Cost]: about two milliseconds of verifying in V8. A stream that costs
// no verification costs the rest of its way.
const (
	budget     = 8 * jwt.UnitCost
	streamCost = jwt.UnitCost / 10
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
	p.config, p.gate = nil, nil
	p.room.WakeAll()
	defer p.readmit()
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
	sources, locations := newLocations(c, p.locations)
	options := gate.Options{Now: p.now, Sources: sources}
	p.noHostArithmetic = false
	if c.SignatureVerification == "host" {
		options.Arithmetic = p.hostArithmetic
	}
	g, warnings, err := gate.New(c, options)
	if err != nil {
		return err
	}
	if err := p.vm.selfTest(g.Algorithms(), options.Arithmetic); err != nil {
		return err
	}
	for _, warning := range warnings {
		proxywasm.LogWarn(warning)
	}
	p.locations = locations
	p.metrics = newMetrics()
	p.period = 0
	now := p.now()
	for _, l := range locations {
		p.consult(l, now, false)
	}
	first := regular
	if len(locations) > 0 {
		first = soon
	}
	if err := p.tickEvery(first); err != nil {
		return err
	}
	p.config, p.gate = c, g
	return nil
}

// readmit has those that wait judged by the new configuration. Without one they
// are refused.
func (p *plugin) readmit() {
	before := p.room
	p.room = gate.NewRoom[*stream](p.places())
	for {
		s, deadline, ok := before.Next()
		if !ok {
			break
		}
		// The rule and the issuer are those of the configuration before.
		s.held = &gate.Decision{GRPC: s.held.GRPC, Head: s.held.Head}
		p.room.Return(s, nil, deadline)
	}
	p.room.WakeAll()
	if p.room.Len() > 0 {
		p.tickSoon(soon)
	}
}

// places is how many requests may wait, and for how many sources.
func (p *plugin) places() (places, sources int) {
	if p.config == nil {
		return 0, 0
	}
	return p.config.Limits.WaitingRequests, len(p.locations)
}

// OnTick starts the fetches that are due, judges streams whose keys have come or
// whose time is up, and asks for the next tick.
func (p *plugin) OnTick() {
	now := p.now()
	period := regular
	p.reports = 0
	for _, l := range p.locations {
		if p.config == nil {
			break
		}
		l.waiters = p.room.Waiting(l.source)
		news, fetch := p.consult(l, now, true)
		if fetch {
			p.fetch(l, now)
		}
		if news {
			p.room.Wake(l.source)
		}
		if !l.held {
			period = min(period, max(soon, l.source.Next(now).Sub(now)))
		}
		attempt(func() { p.reportAge(l, now) })
	}
	p.judgeWaiting(now)
	attempt(func() { p.countLookups() })
	switch {
	case p.room.Ready():
		period = soon
	case p.room.Len() > 0:
		period = min(period, patience)
	}
	if err := p.tickEvery(period); err != nil {
		proxywasm.LogError("tick: " + err.Error())
	}
}

// judgeWaiting judges the streams that are ready, one of each source in turn,
// until the budget is spent. The others are judged in the next ticks.
func (p *plugin) judgeWaiting(now time.Time) {
	if p.config != nil {
		p.room.Expire(now, time.Duration(p.config.Limits.KeyWait))
	}
	elsewhere := false
	for spent := 0; spent < budget; {
		s, deadline, ok := p.room.Next()
		if !ok {
			break
		}
		elsewhere = true
		if proxywasm.SetEffectiveContext(s.id) != nil {
			continue // The proxy has forgotten the stream.
		}
		before := p.gate.Spent()
		s.guard(func() types.Action {
			if !now.Before(deadline) {
				return s.expire()
			}
			return s.judge(deadline)
		})
		spent += streamCost + p.gate.Spent() - before
	}
	if !elsewhere {
		return
	}
	if err := proxywasm.SetEffectiveContext(p.id); err != nil {
		proxywasm.LogError("effective context: " + err.Error())
	}
}

// reportAge tells how old a location's keys are, when that has changed, also of
// keys that are too old to be used.
func (p *plugin) reportAge(l *location, now time.Time) {
	if l.source.Generation() == 0 {
		return
	}
	age := uint64(l.source.Age(now) / time.Second)
	if age == l.reported {
		return
	}
	l.reported = age
	for _, name := range l.issuers {
		p.metrics.gauge(familyAge, name, age)
	}
}

// hasten asks for a tick, because a stream waits: at once if a fetch is to be
// made for it, or else in time to see what becomes of the one that is under way.
func (p *plugin) hasten(source *jwks.Source, now time.Time) {
	period := patience
	if l := p.locationOf(source); !l.held && source.Due(now) {
		period = soon
	}
	p.tickSoon(period)
}

func (p *plugin) locationOf(source *jwks.Source) *location {
	for _, l := range p.locations {
		if l.source == source {
			return l
		}
	}
	return nil
}

// tickSoon asks for a tick within a period.
func (p *plugin) tickSoon(period time.Duration) {
	if p.period != 0 && period >= p.period {
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

// count counts a decision, and logs a refusal that is not enforced.
func (p *plugin) count(d *gate.Decision) {
	if p.metrics == nil {
		return
	}
	l := requestLabels{rule: labelNone, issuer: labelNone, reason: d.Reason()}
	if d.Rule != nil && d.Rule.Name != "" {
		l.rule = d.Rule.Name
	}
	if d.Issuer != nil {
		l.issuer = d.Issuer.Name
	}
	p.metrics.request(l)
	if d.Reported {
		p.logReport(l)
	}
}

// countLookups counts how often tokens were seen before.
func (p *plugin) countLookups() {
	if p.metrics != nil {
		p.metrics.cached(p.gate.CacheLookups())
	}
}

// logReport says what a rule would have refused, if it has not been said too
// often since the last tick.
func (p *plugin) logReport(l requestLabels) {
	const most = 10
	if p.reports++; p.reports <= most {
		proxywasm.LogInfo("report only: issuer " + l.issuer + ", rule " + l.rule + ": would be refused: " + l.reason)
	}
}

// NewHttpContext begins a stream.
func (p *plugin) NewHttpContext(id uint32) types.HttpContext {
	return &stream{id: id, plugin: p}
}
