package filter

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"orgate/config"
	"orgate/gate"
	"orgate/jwt"
)

// plugin is one configuration at work. Until it has one it refuses every
// request.
type plugin struct {
	types.DefaultPluginContext
	vm      *VM
	id      uint32
	now     func() time.Time
	fetcher *fetcher

	config  *config.Config
	gate    *gate.Gate // nil while there is no configuration
	metrics *metrics
	room    *gate.Room[*stream] // of those that wait for keys

	noHostArithmetic bool          // it was asked for, and is not there
	reports          int           // refusals that were not enforced, since the last tick
	period           time.Duration // of the tick, as last set
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
	p.letGo()
	p.room.WakeAll()
	defer p.readmit()
	document, err := proxywasm.GetPluginConfiguration()
	if err != nil && !errors.Is(err, types.ErrorStatusNotFound) {
		proxywasm.LogError("configuration: " + err.Error())
		return types.OnPluginStartStatusFailed
	}
	// Nobody else has the document, which may be of megabytes.
	if err := p.configure(unsafe.String(unsafe.SliceData(document), len(document))); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			proxywasm.LogError("configuration: " + line)
		}
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

// OnPluginDone ends the plugin, of which no streams are left. The VM may live on, for
// the configuration that has taken its place.
func (p *plugin) OnPluginDone() bool {
	p.letGo()
	p.fetcher.locations, p.room = nil, gate.NewRoom[*stream](0, 0)
	return true
}

// letGo drops the configuration and all that was made for it, and takes its memory
// back before as much is needed again.
func (p *plugin) letGo() {
	hadOne := p.config != nil
	p.config, p.gate, p.metrics = nil, nil, newMetrics()
	p.fetcher.dismiss()
	if hadOne {
		collectNow()
	}
}

// configure puts a configuration to work, or returns what is wrong with it.
func (p *plugin) configure(document string) error {
	c, err := config.ParseInSteps(document, collectDue)
	if err != nil {
		return err
	}
	collectDue()
	sources, locations := newLocations(c, p.fetcher.locations)
	collectDue()
	options := gate.Options{Now: p.now, Sources: sources}
	endpoints, err := newEndpoints(c, syscall.Getenv)
	if err != nil {
		return err
	}
	p.noHostArithmetic = false
	if c.SignatureVerification == "host" {
		options.Arithmetic = p.hostArithmetic
	}
	g, warnings, err := gate.New(c, options)
	if err != nil {
		return err
	}
	collectDue()
	if err := p.vm.selfTest(g.Algorithms(), options.Arithmetic); err != nil {
		return err
	}
	for _, warning := range warnings {
		proxywasm.LogWarn(warning)
	}
	p.period = 0
	sharing := newSharing(c.Sharing.Key)
	if !sharing.open && len(locations) > 0 {
		proxywasm.LogInfo("each worker fetches keys for itself: the proxy tells of no VM id, and there is no " +
			"sharing.key")
	}
	p.fetcher.configure(locations, endpoints, c.Limits.Fetches, sharing, p.metrics)
	first := regular
	if len(locations) > 0 {
		first = soon
	}
	if err := p.tickEvery(first); err != nil {
		return err
	}
	p.config, p.gate = c, g
	attempt(p.metrics.begin)
	proxywasm.LogInfo("orgate " + version + ": issuers: " + strconv.Itoa(len(c.Issuers)) + ", rules: " + strconv.Itoa(
		len(c.Rules)))
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
		s.held = &gate.Decision{RPC: s.held.RPC, Head: s.held.Head}
		p.room.Return(s, gate.Awaited{}, deadline)
	}
	p.room.WakeAll()
	if p.room.Len() > 0 {
		p.tickWithin(soon)
	}
}

// places is how many requests may wait, and in how many lines.
func (p *plugin) places() (places, lines int) {
	if p.config == nil {
		return 0, 0
	}
	return p.config.Limits.WaitingRequests, len(p.fetcher.locations) + len(p.fetcher.endpoints)
}

// OnTick starts the fetches that are due, judges streams whose keys have come or
// whose time is up, and asks for the next tick.
func (p *plugin) OnTick() {
	p.reports = 0
	now := p.now()
	if p.config != nil {
		p.fetcher.tick(now, p.room.Sources(), p.room.Introspections(p.config.Limits.Fetches))
		p.room.Expire(now, time.Duration(p.config.Limits.KeyWait))
	}
	p.judgeWaiting(now)
	attempt(func() { p.countLookups() })
	if err := p.tickEvery(p.pause()); err != nil {
		proxywasm.LogError("tick: " + err.Error())
	}
}

// onFetched judges streams that wait for what has come.
func (p *plugin) onFetched() {
	p.judgeWaiting(p.now())
	p.tickWithin(p.pause())
}

// pause is how long the next tick can wait.
func (p *plugin) pause() time.Duration {
	switch {
	case p.room.Ready(), p.fetcher.mayAsk(p.room.Introspections(1)):
		return soon
	case p.room.Len() > 0:
		return min(often, p.fetcher.pause())
	default:
		return p.fetcher.pause()
	}
}

// judgeWaiting judges the streams that are ready, one of each source in turn,
// until the budget is spent. The others are judged in the next ticks.
func (p *plugin) judgeWaiting(now time.Time) {
	for _, awaited := range p.fetcher.takeNews() {
		p.room.Wake(awaited)
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

// tickWithin asks for a tick within a time, or earlier if there is a fetch to
// begin.
func (p *plugin) tickWithin(period time.Duration) {
	period = min(period, p.fetcher.pause())
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
	if err := proxywasm.SetTickPeriodMilliSeconds(
		uint32(min(max(period.Milliseconds(), 1), math.MaxUint32))); err != nil {
		return err
	}
	p.period = period
	return nil
}

// count counts a decision, and logs a refusal that is not enforced.
func (p *plugin) count(d *gate.Decision) {
	rule, issuer := labelNone, labelNone
	if d.Rule != nil && d.Rule.Name != "" {
		rule = d.Rule.Name
	}
	if d.Issuer != nil {
		issuer = d.Issuer.Name
	}
	p.metrics.request(rule, issuer, d.Reason())
	if d.Verdict == gate.Pass && d.Identity != nil && len(d.Identity.LeftOut) > 0 {
		p.metrics.headersLeftOut(issuer, len(d.Identity.LeftOut))
		debugLeftOut(d)
	}
	if d.Reported {
		p.logReport(rule, issuer, d.Reason())
	}
}

// countLookups counts how often tokens were seen before.
func (p *plugin) countLookups() {
	if p.gate != nil {
		p.metrics.cached(p.gate.CacheLookups())
	}
}

// logReport says what a rule would have refused, if it has not been said too
// often since the last tick.
func (p *plugin) logReport(rule, issuer, reason string) {
	const most = 10
	if p.reports++; p.reports <= most {
		proxywasm.LogInfo("report only: issuer " + issuer + ", rule " + rule + ": would be refused: " + reason)
	}
}

// NewHttpContext begins a stream.
func (p *plugin) NewHttpContext(id uint32) types.HttpContext {
	return &stream{id: id, plugin: p}
}
