package filter

import (
	"bytes"
	"container/heap"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"orgate/config"
	"orgate/gate"
	"orgate/internal/httptext"
	"orgate/jwks"
)

// fetcher keeps the keys of all locations. Ticks and the responses to its calls
// drive it; whoever asks is told which locations have news.
//
// A worker fetches from a few locations at once, from those first that requests
// wait for, then from those that have been due for longest. What other workers
// have fetched it reads in shared data: at each tick of the locations that
// requests wait for or that are due, and of the others in rounds. A tick looks at
// a limited number of locations, however many there are.
//
// Before a fetch the worker claims the location's lease. If shared data does not
// work, it fetches all the same.
type fetcher struct {
	now      func() time.Time
	worker   uint64 // is not 0
	finished func() // is called when a response has come

	most      int // fetches under way at once
	sharing   sharing
	metrics   *metrics
	locations []*location
	bySource  map[*jwks.Source]*location

	// The clock: how much time has passed from call to call.
	last    time.Time
	elapsed time.Duration

	queue    queue
	refused  []*location // whose lease another worker had
	underway []*location
	news     []*location

	endpoints map[*config.Issuer]*endpoint
	asking    []*gate.Introspection // those under way
	answered  []*gate.Introspection // since the last time

	ticks  uint64
	work   int // that may still be done in this tick
	round  round
	warned bool // that shared data does not work
}

// round is how far the rounds have come.
type round struct {
	last     time.Duration // when it went on
	location int           // that it goes on with
	age      age           // that is told next
}

// age is that of the keys of a location, for one of its issuers.
type age struct{ location, issuer int }

const (
	// workOfTick is how many locations a tick looks at. With 10,000 of them it
	// takes up to a millisecond, and 40 s until all have been looked at.
	workOfTick = 256
	// workOfDocument is what reading a document costs beside its length, and
	// octetsOfWork how many octets of it cost as much as looking at a location.
	workOfDocument, octetsOfWork = 8, 256
)

// schedule is when there is something to do for a location.
type schedule struct {
	due   time.Duration // by the fetcher's clock
	index int           // in the queue, or -1
	tick  uint64        // that looked at the location last
}

// queue is the locations, the one that is due first in front.
type queue []*location

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}
func (q *queue) Push(x any) {
	l := x.(*location)
	l.index = len(*q)
	*q = append(*q, l)
}

// Pop is never called: locations leave the queue with all the others.
func (q *queue) Pop() any { return nil }

// dismiss takes the locations from the fetcher's charge, with all that they have of
// their configuration. They keep their keys.
func (f *fetcher) dismiss() {
	for _, l := range f.locations {
		l.index, l.issuers, l.gauges = -1, nil, nil
	}
	f.queue, f.bySource, f.endpoints, f.metrics = nil, nil, nil, nil
}

// configure puts locations in the fetcher's charge. Those that it had before go on
// as they are.
func (f *fetcher) configure(locations []*location, endpoints map[*config.Issuer]*endpoint, most int, sharing sharing,
	metrics *metrics) {
	f.locations, f.endpoints, f.most, f.sharing, f.metrics = locations, endpoints, most, sharing, metrics
	f.round, f.warned = round{}, false
	now := f.now()
	f.observe(now)
	f.queue = make(queue, 0, len(locations))
	f.bySource = make(map[*jwks.Source]*location, len(locations))
	f.refused = nil
	f.work = math.MaxInt
	for _, l := range locations {
		l.record = f.sharing.name("record", l.key)
		l.key = l.record[len(l.record)-len(l.key):] // the same octets
		f.bySource[l.source] = l
		l.source.OnDemand(func() { f.reschedule(l, f.now()) })
		heap.Push(&f.queue, l)
		f.sync(l, now)
		f.reschedule(l, now)
	}
	f.underway = slices.DeleteFunc(f.underway, func(l *location) bool { return l.index < 0 })
	f.news = nil
}

// tick begins the fetches that are due, and the introspections. Requests wait for
// keys from the sources given, for those of the first the longest.
func (f *fetcher) tick(now time.Time, waited []*jwks.Source, introspections []*gate.Introspection) {
	f.observe(now)
	f.release(now)
	f.ticks++
	f.work = workOfTick
	first := 0
	if len(waited) > workOfTick { // others than in the last tick
		first = int(f.ticks*workOfTick) % len(waited)
	}
	for i := range waited {
		if l := f.bySource[waited[(first+i)%len(waited)]]; l != nil && f.work > 0 {
			f.visit(l, now, true)
		}
	}
	f.introspect(now, introspections)
	refused := f.refused
	f.refused = nil
	for _, l := range refused {
		if f.work > 0 && l.tick != f.ticks {
			f.visit(l, now, false)
		}
	}
	for f.work > 0 && f.free() && len(f.queue) > 0 && f.queue[0].due <= f.elapsed {
		f.visit(f.queue[0], now, false)
	}
	f.lookAround(now)
}

// takeNews is what has happened since the last time: sources that have new keys, or
// whose fetch has failed, and introspections that have ended.
func (f *fetcher) takeNews() []gate.Awaited {
	var news []gate.Awaited
	for _, l := range f.news {
		news = append(news, gate.Awaited{Source: l.source})
	}
	for _, i := range f.answered {
		news = append(news, gate.Awaited{Introspection: i})
	}
	f.news, f.answered = nil, nil
	return news
}

// pause is how long the next tick can wait if no request does.
func (f *fetcher) pause() time.Duration {
	if len(f.queue) == 0 || !f.free() {
		return regular
	}
	return min(regular, max(soon, f.queue[0].due-f.elapsed))
}

// lookAround looks at a number of locations, each time at the next ones, and tells
// the ages of a number of issuers' keys. It does so once in a while, however often
// the ticks come.
func (f *fetcher) lookAround(now time.Time) {
	if f.round.last != 0 && f.elapsed-f.round.last < regular/2 {
		return
	}
	f.round.last = max(1, f.elapsed)
	for range f.locations {
		if f.work <= 0 || !f.sharing.open {
			break
		}
		f.round.location %= len(f.locations)
		if l := f.locations[f.round.location]; l.tick != f.ticks {
			f.visit(l, now, false)
		}
		f.round.location++
	}
	attempt(func() { f.tellAges(now) })
}

// visit takes over what other workers know of a location, and begins a fetch if
// one is due and may be made. If another worker has the lease, the next tick looks
// again, which comes in a second if no request waits.
func (f *fetcher) visit(l *location, now time.Time, waiting bool) {
	f.work--
	l.tick = f.ticks
	record, shared := f.sync(l, now)
	refused := false
	if f.free() && l.source.Due(now) {
		if refused = shared && !f.claim(l, record, now, waiting); !refused {
			f.fetch(l, now)
		}
	}
	f.reschedule(l, now)
	if refused {
		f.refused = append(f.refused, l)
		l.due = f.elapsed + regular
		heap.Fix(&f.queue, l.index)
	}
}

// sync reads a location's record, and takes over what is news in it. It reports
// whether workers share, and the record could be read.
func (f *fetcher) sync(l *location, now time.Time) (content []byte, ok bool) {
	if !f.sharing.open {
		return nil, false
	}
	content, err := f.sharing.read(l.record)
	if err != nil {
		f.warn(err)
		return nil, false
	}
	record := jwks.ParseRecord(content)
	failed, newer := l.source.Merge(now, record)
	news := failed
	if newer && record.Document != l.document {
		l.document = record.Document
		news = f.adopt(l, now) || news
	}
	if news {
		f.news = append(f.news, l)
	}
	return content, true
}

// adopt takes over the document that another worker has fetched, and reports
// whether it did.
func (f *fetcher) adopt(l *location, now time.Time) bool {
	content, err := f.sharing.read(f.sharing.name("document", l.key))
	if err != nil {
		f.warn(err)
		return false
	}
	f.work -= workOfDocument + len(content)/octetsOfWork
	document, ok := jwks.ParseDocument(content)
	if !ok {
		return false
	}
	outcome := l.source.Adopt(now, document)
	if outcome.Result != jwks.ResultOK {
		return false
	}
	set, _ := l.source.Keys(now)
	attempt(func() { f.countKeys(l, set) })
	return true
}

// claim claims the lease of a location whose record is as it was read. It reports
// whether the worker is to fetch.
func (f *fetcher) claim(l *location, read []byte, now time.Time, waiting bool) bool {
	claimed, err := f.sharing.update(l.record, func(content []byte) []byte {
		if !bytes.Equal(content, read) {
			return nil // there is news, perhaps
		}
		record, ok := l.source.Claim(now, jwks.ParseRecord(content), f.worker, waiting)
		if !ok {
			return nil
		}
		return record.Encode()
	})
	if err != nil && !errors.Is(err, errContended) {
		f.warn(err)
		return true
	}
	return claimed
}

// share tells the other workers how a fetch ended. The document is written before
// the record that says that there is one.
func (f *fetcher) share(l *location, fetch jwks.Fetch, response jwks.Response, outcome jwks.Outcome, now time.Time) {
	if !f.sharing.open {
		return
	}
	if outcome.Result == jwks.ResultOK {
		l.document = fetch.At.UnixNano()
		document := l.source.Share(now, fetch, response)
		_, err := f.sharing.update(f.sharing.name("document", l.key), func(content []byte) []byte {
			if !document.Supersedes(content, now) {
				return nil
			}
			return document.Encode()
		})
		if err != nil {
			f.warn(err)
		}
	}
	_, err := f.sharing.update(l.record, func(content []byte) []byte {
		record := jwks.ParseRecord(content)
		merged := record.Merge(now, outcome.Record)
		merged.Lease = record.Lease.Release(f.worker, fetch.At)
		return merged.Encode()
	})
	if err != nil {
		f.warn(err)
	}
}

// fetch begins a fetch. It must be called from a tick.
func (f *fetcher) fetch(l *location, now time.Time) {
	fetch := l.source.Begin(now)
	f.underway = append(f.underway, l)
	f.get(l, l.url, func(response jwks.Response) {
		if l.discovery == nil || response.Status != 200 || response.Body == "" ||
			len(response.Body) > jwks.MaxDocument {
			f.finish(l, fetch, l.url, response)
			return
		}
		url, err := l.discovery.Follow(response.Body)
		if err != nil {
			response.Misdirected = err
			f.finish(l, fetch, l.url, response)
			return
		}
		f.get(l, url, func(response jwks.Response) { f.finish(l, fetch, url, response) })
	})
}

// get requests a document through the location's cluster. A call that the
// proxy refuses has no response, like one that fails later.
func (f *fetcher) get(l *location, url string, then func(jwks.Response)) {
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
		func(headers, bodySize, _ int) { then(readResponse(headers, bodySize, jwks.MaxDocument)) })
	if err != nil {
		proxywasm.LogError("cluster " + l.cluster + ": cannot fetch keys: " + l.name() + ": " + err.Error())
		then(jwks.Response{})
	}
}

// finish tells the source and the other workers what became of a fetch from a
// URL, and logs and counts it. A location that is no longer configured is
// forgotten, once the others know.
func (f *fetcher) finish(l *location, fetch jwks.Fetch, url string, response jwks.Response) {
	now := f.now()
	f.observe(now)
	f.sync(l, now) // another worker may have been quicker
	outcome := l.source.Finish(now, fetch, response)
	f.share(l, fetch, response, outcome, now)
	f.release(now)
	if l.index < 0 {
		return
	}
	f.reschedule(l, now)
	attempt(func() { f.tellFetch(l, outcome, url, now) })
	f.news = append(f.news, l)
	f.finished()
}

// free reports whether one more fetch or introspection may begin.
func (f *fetcher) free() bool { return len(f.underway)+len(f.asking) < f.most }

// release takes the fetches off the books that have ended, or were given up.
func (f *fetcher) release(now time.Time) {
	f.underway = slices.DeleteFunc(f.underway, func(l *location) bool { return !l.source.InFlight(now) })
	f.asking = slices.DeleteFunc(f.asking, func(i *gate.Introspection) bool { return !i.Underway(now) })
}

// reschedule puts a location in its place in the queue.
func (f *fetcher) reschedule(l *location, now time.Time) {
	if l.index < 0 {
		return
	}
	l.due = f.elapsed + l.source.Next(now).Sub(now)
	heap.Fix(&f.queue, l.index)
}

// observe lets the clock run until now. A clock that is set back stands still, and
// so do those of all sources, which count from when they were asked last.
func (f *fetcher) observe(now time.Time) {
	if now.Before(f.last) {
		for _, l := range f.locations {
			l.source.InFlight(now)
		}
	} else if !f.last.IsZero() {
		f.elapsed += now.Sub(f.last)
	}
	f.last = now
}

// warn says once that shared data does not work.
func (f *fetcher) warn(err error) {
	if f.warned || errors.Is(err, errContended) {
		return
	}
	f.warned = true
	attempt(func() { proxywasm.LogWarn("workers cannot share keys: " + err.Error()) })
}
