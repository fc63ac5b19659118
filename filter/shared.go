package filter

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	"orgate/jwks"
)

// Workers share what they fetched, and take turns in fetching it, through the
// proxy's shared data. For each location there are two entries: a small one
// that says who is fetching, how the last fetch ended and of when the document
// is, which workers read with their ticks; and the document, which is read when
// it is another one than was read last. Both change by compare-and-swap.
//
// A worker that fetches has the turn: until it has told how the fetch ended, and
// no longer than a fetch may take, the others do not fetch. If requests wait with
// one of them for longer than that is likely to take, it takes the turn over, for
// the one that has it may be in a VM that is gone. Nobody takes a turn over that
// has been taken over, so that a slow provider is asked twice at most.
//
// What another worker wrote is validated as if it had come from the network: its
// documents by [jwks.Source.Adopt], its times by [turns.believe]. Nothing that may
// stand in an entry keeps a worker from fetching for longer than [longestTurn] or
// [jwks.MaxBackoff], or makes it use a document that it would not have used had it
// fetched it. Where shared data does not work a worker fetches for itself.

// turns says who fetches from a location. All times are in nanoseconds since
// 1970, 0 for none.
type turns struct {
	holder       uint64 // who is fetching, 0 for nobody
	since, until int64  // from when, and until when nobody else should
	over         bool   // the turn was taken over from another worker
	failures     uint32 // in a row
	retry        int64  // when the next fetch may begin after a failure
	document     int64  // when the fetch of the newest document began
	wanted       int64  // when the last fetch for an unknown kid began
}

// document is what a worker fetched.
type document struct {
	at           int64 // when the fetch began
	cacheControl string
	body         string
}

const (
	// recordVersion begins both entries. Another version is no entry.
	recordVersion = 1
	// longestTurn is the longest time that a turn is believed to be meant for.
	longestTurn = 3 * time.Minute
	// ahead is how far another worker's clock may be ahead: each of them
	// reads the clock as its tick begins.
	ahead = time.Second
	// promptly is how long requests that wait put up with another worker's
	// fetch before their own worker fetches as well.
	promptly = time.Second
	// soFar is how many failures in a row are counted.
	soFar = 64

	sizeOfTurns    = 1 + 8 + 8 + 8 + 1 + 4 + 8 + 8 + 8
	headOfDocument = 1 + 8 + 4
)

func (t *turns) encode() []byte {
	over := byte(0)
	if t.over {
		over = 1
	}
	b := make([]byte, 0, sizeOfTurns)
	b = append(b, recordVersion)
	b = binary.LittleEndian.AppendUint64(b, t.holder)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.since))
	b = binary.LittleEndian.AppendUint64(b, uint64(t.until))
	b = append(b, over)
	b = binary.LittleEndian.AppendUint32(b, t.failures)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.retry))
	b = binary.LittleEndian.AppendUint64(b, uint64(t.document))
	return binary.LittleEndian.AppendUint64(b, uint64(t.wanted))
}

// decodeTurns reads an entry; what is not one is the zero value.
func decodeTurns(b []byte) turns {
	if len(b) != sizeOfTurns || b[0] != recordVersion || b[25] > 1 {
		return turns{}
	}
	return turns{
		holder:   binary.LittleEndian.Uint64(b[1:]),
		since:    int64(binary.LittleEndian.Uint64(b[9:])),
		until:    int64(binary.LittleEndian.Uint64(b[17:])),
		over:     b[25] == 1,
		failures: binary.LittleEndian.Uint32(b[26:]),
		retry:    int64(binary.LittleEndian.Uint64(b[30:])),
		document: int64(binary.LittleEndian.Uint64(b[38:])),
		wanted:   int64(binary.LittleEndian.Uint64(b[46:])),
	}
}

// believe drops turns that are over, and what no worker can have meant: turns that
// began in the future or last too long, failures that defer the next fetch for
// too long, fetches of the future. A clock that was set back leaves such things. If
// it is the worker's own that is wrong, the others may believe them: they are
// replaced by what is better known, and not before.
func (t *turns) believe(now time.Time) {
	at := now.UnixNano()
	began := 0 <= t.since && t.since <= at+int64(ahead)
	if t.holder == 0 || !began || t.until <= at || t.until-t.since > int64(longestTurn) {
		t.holder, t.since, t.until, t.over = 0, 0, 0, false
	}
	if t.failures == 0 || t.retry <= 0 || t.retry-at > int64(jwks.MaxBackoff) {
		t.failures, t.retry = 0, 0
	}
	t.failures = min(t.failures, soFar)
	if t.document < 0 || t.document > at {
		t.document = 0
	}
	if t.wanted < 0 || t.wanted > at {
		t.wanted = 0
	}
}

// free reports whether a worker may fetch, given what is believed and whether
// requests wait with it.
func (t *turns) free(worker uint64, now time.Time, waiting bool) bool {
	if t.holder == 0 || t.holder == worker {
		return true
	}
	return waiting && !t.over && now.UnixNano()-t.since >= int64(promptly)
}

func (d *document) encode() []byte {
	b := make([]byte, 0, headOfDocument+len(d.cacheControl)+len(d.body))
	b = append(b, recordVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(d.at))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(d.cacheControl)))
	b = append(b, d.cacheControl...)
	return append(b, d.body...)
}

func decodeDocument(b []byte) (d document, ok bool) {
	if len(b) < headOfDocument || b[0] != recordVersion {
		return document{}, false
	}
	size := binary.LittleEndian.Uint32(b[9:])
	rest := b[headOfDocument:]
	if uint64(size) > uint64(len(rest)) {
		return document{}, false
	}
	return document{
		at:           int64(binary.LittleEndian.Uint64(b[1:])),
		cacheControl: string(rest[:size]),
		body:         string(rest[size:]),
	}, true
}

// supersedes reports whether the document may take the place of an entry: of
// one that is older, is from the future, or is none.
func (d *document) supersedes(entry []byte, now time.Time) bool {
	if len(entry) < headOfDocument || entry[0] != recordVersion {
		return true
	}
	at := int64(binary.LittleEndian.Uint64(entry[1:]))
	return at < d.at || at > now.UnixNano()
}

// Names of a location's entries.
func (l *location) turnsKey() string    { return "orgate.turns\x00" + l.key }
func (l *location) documentKey() string { return "orgate.document\x00" + l.key }

// errContended: other workers were always quicker.
var errContended = errors.New("shared data: changed by other workers again and again")

// update changes an entry by compare-and-swap. Change is given the entry, nil if
// there is none, and returns what is to be written, nil for nothing. It is called
// again when another worker came first.
//
// There is no comparing with nothing that all proxies understand. Envoy writes,
// whatever the version, where there is nothing, and compares no entry with
// version 0; nginx takes version 0 for nothing. So an entry that is not there is
// written with a version that none has, and, if that is refused, with 0.
func update(key string, change func(entry []byte) []byte) error {
	const tries = 8
	nothing := uint32(math.MaxUint32)
	for range tries {
		entry, version, err := proxywasm.GetSharedData(key)
		switch {
		case errors.Is(err, types.ErrorStatusNotFound):
			entry, version = nil, nothing
			nothing = 0
		case err != nil:
			return err
		}
		changed := change(entry)
		if changed == nil {
			return nil
		}
		if err := proxywasm.SetSharedData(key, changed, version); !errors.Is(err, types.ErrorStatusCasMismatch) {
			return err
		}
	}
	return errContended
}

// alone has the plugin go on by itself where shared data does not work.
func (p *plugin) alone(l *location, err error) {
	if !l.alone {
		attempt(func() {
			proxywasm.LogWarn("issuer " + strings.Join(l.issuers, ", ") + ": workers cannot share keys: " + err.Error())
		})
	}
	l.alone = true
}

// consult takes over what other workers have fetched, or failed to, and if a
// fetch is due, and may be made, takes the turn. It reports whether there are new
// keys, or no hope of them, and whether this worker must fetch now.
func (p *plugin) consult(l *location, now time.Time, mayFetch bool) (news, fetch bool) {
	l.held = false
	due := mayFetch && l.source.Due(now)
	if l.alone {
		return false, due
	}
	// What nobody waits for is read once in a while.
	if since := now.Sub(l.consulted); !due && l.waiters == 0 && since >= 0 && since < regular/2 {
		return false, false
	}
	l.consulted = now
	err := update(l.turnsKey(), func(entry []byte) []byte {
		written := decodeTurns(entry)
		t := written
		t.believe(now)
		news = p.learn(l, &t, now) || news
		fetch = mayFetch && l.source.Due(now)
		if !fetch {
			return nil
		}
		if !t.free(p.worker, now, l.waiters > 0) {
			fetch = false
			l.held = true
			return nil
		}
		at := now.UnixNano()
		written.over = t.holder != 0 && t.holder != p.worker
		written.holder, written.since, written.until = p.worker, at, at+int64(l.patience)
		return written.encode()
	})
	switch {
	case errors.Is(err, errContended):
		fetch = false
	case err != nil:
		p.alone(l, err)
		fetch = mayFetch && l.source.Due(now)
	}
	return news, fetch
}

// learn takes over what is believed of a location, where it is not known yet. It
// reports whether there are new keys, or no hope of them.
func (p *plugin) learn(l *location, t *turns, now time.Time) (news bool) {
	if t.wanted != 0 && t.wanted != l.wanted {
		l.wanted = t.wanted
		l.source.Cool(now, time.Unix(0, t.wanted))
	}
	if t.document != 0 && t.document != l.document {
		l.document = t.document
		news = p.adopt(l, now)
	}
	if t.retry != 0 && t.retry != l.deferred {
		l.deferred = t.retry
		l.source.Defer(now, jwks.Failure{Count: int(t.failures), Retry: time.Unix(0, t.retry)})
		news = true
	}
	return news
}

// adopt takes over the document that another worker has fetched.
func (p *plugin) adopt(l *location, now time.Time) (news bool) {
	entry, _, err := proxywasm.GetSharedData(l.documentKey())
	if err != nil {
		return false
	}
	d, ok := decodeDocument(entry)
	if !ok {
		return false
	}
	outcome := l.source.Adopt(now, jwks.Document{
		At:     time.Unix(0, d.at),
		Answer: jwks.Answer{Status: 200, CacheControl: d.cacheControl, Body: d.body},
	})
	if outcome.Result != jwks.ResultOK {
		return false
	}
	attempt(func() { p.reportKeys(l, now) })
	return true
}

// share tells the other workers how a fetch ended. The document is written before
// the entry that says that there is one.
func (p *plugin) share(l *location, fetch jwks.Fetch, answer jwks.Answer, outcome jwks.Outcome, now time.Time) {
	if l.alone {
		return
	}
	at := fetch.At.UnixNano()
	if outcome.Result == jwks.ResultOK {
		l.document = at
		d := document{at: at, cacheControl: answer.CacheControl, body: answer.Body}
		err := update(l.documentKey(), func(entry []byte) []byte {
			if !d.supersedes(entry, now) {
				return nil
			}
			return d.encode()
		})
		if err != nil && !errors.Is(err, errContended) {
			p.alone(l, err)
			return
		}
	}
	err := update(l.turnsKey(), func(entry []byte) []byte {
		written := decodeTurns(entry)
		t := written
		t.believe(now)
		if written.holder == p.worker && written.since == at {
			written.holder, written.since, written.until, written.over = 0, 0, 0, false
		}
		if fetch.Wanted {
			written.wanted = max(t.wanted, at)
		}
		failure, failed := l.source.Failure(now)
		switch {
		case outcome.Result == jwks.ResultLate, at < t.document:
			// It says nothing of now.
		case outcome.Result == jwks.ResultOK:
			written.document, written.failures, written.retry = at, 0, 0
		case failed:
			written.failures = max(t.failures, uint32(min(failure.Count, soFar)))
			written.retry = max(t.retry, failure.Retry.UnixNano())
		}
		return written.encode()
	})
	if err != nil && !errors.Is(err, errContended) {
		p.alone(l, err)
	}
}
