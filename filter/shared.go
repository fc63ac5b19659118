package filter

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/orgate/orgate/jwks"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// Workers share what they fetched, and take turns in fetching it, through the
// proxy's shared data. For each location there are two entries: a small one
// that says who is fetching, how the last fetch ended and of when the document
// is, which every worker reads with every tick; and the document, which is read
// when it is newer than one's own. A worker takes a turn by compare-and-swap.
//
// What another worker wrote is validated as if it had come from the network:
// its documents by [jwks.Source.Adopt], its leases by their times. Where shared
// data does not work a worker fetches for itself.

// turns says who fetches from a location. All times are in nanoseconds since
// 1970, 0 for none.
type turns struct {
	holder       uint64 // who is fetching, 0 for nobody
	since, until int64  // from when, and until when nobody else should
	failures     uint32 // in a row
	retry        int64  // when the next fetch may begin after a failure
	document     int64  // when the fetch of the newest document began
}

// document is what a worker fetched.
type document struct {
	at           int64 // when the fetch began
	wanted       bool  // for an unknown kid
	cacheControl string
	body         string
}

const (
	// recordVersion begins both entries. Another version is no entry.
	recordVersion = 1
	// longestTurn is the longest time that a lease is believed to be meant for.
	longestTurn = 3 * time.Minute
	// promptly is how long requests that wait put up with another worker's
	// fetch before their own worker fetches as well.
	promptly = time.Second
)

func (t *turns) encode() []byte {
	b := []byte{recordVersion}
	b = binary.LittleEndian.AppendUint64(b, t.holder)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.since))
	b = binary.LittleEndian.AppendUint64(b, uint64(t.until))
	b = binary.LittleEndian.AppendUint32(b, t.failures)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.retry))
	return binary.LittleEndian.AppendUint64(b, uint64(t.document))
}

// decodeTurns reads an entry; what is not one is the zero value.
func decodeTurns(b []byte) (t turns) {
	if len(b) != 1+5*8+4 || b[0] != recordVersion {
		return turns{}
	}
	b = b[1:]
	t.holder = binary.LittleEndian.Uint64(b)
	t.since = int64(binary.LittleEndian.Uint64(b[8:]))
	t.until = int64(binary.LittleEndian.Uint64(b[16:]))
	t.failures = binary.LittleEndian.Uint32(b[24:])
	t.retry = int64(binary.LittleEndian.Uint64(b[28:]))
	t.document = int64(binary.LittleEndian.Uint64(b[36:]))
	return t
}

func (d *document) encode() []byte {
	wanted := byte(0)
	if d.wanted {
		wanted = 1
	}
	b := make([]byte, 0, 1+8+1+4+len(d.cacheControl)+len(d.body))
	b = append(b, recordVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(d.at))
	b = append(b, wanted)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(d.cacheControl)))
	b = append(b, d.cacheControl...)
	return append(b, d.body...)
}

func decodeDocument(b []byte) (d document, ok bool) {
	const head = 1 + 8 + 1 + 4
	if len(b) < head || b[0] != recordVersion || b[9] > 1 {
		return document{}, false
	}
	size := binary.LittleEndian.Uint32(b[10:])
	rest := b[head:]
	if uint64(size) > uint64(len(rest)) {
		return document{}, false
	}
	return document{
		at:           int64(binary.LittleEndian.Uint64(b[1:])),
		wanted:       b[9] == 1,
		cacheControl: string(rest[:size]),
		body:         string(rest[size:]),
	}, true
}

// Names of a location's entries.
func (l *location) turnsKey() string    { return "orgate.turns\x00" + l.key }
func (l *location) documentKey() string { return "orgate.document\x00" + l.key }

// readTurns reads who is fetching, and the version that [proxywasm.SetSharedData]
// asks for. An entry that is not there yet is made, since there is no comparing
// with nothing: version 0 writes whatever is there.
func (l *location) readTurns() (turns, uint32, error) {
	value, version, err := proxywasm.GetSharedData(l.turnsKey())
	if errors.Is(err, types.ErrorStatusNotFound) {
		if err := proxywasm.SetSharedData(l.turnsKey(), (&turns{}).encode(), 0); err != nil {
			return turns{}, 0, err
		}
		value, version, err = proxywasm.GetSharedData(l.turnsKey())
	}
	return decodeTurns(value), version, err
}

// changeTurns changes the entry, unless change says that there is nothing to
// change. It tries again when another worker comes first.
func (l *location) changeTurns(change func(*turns) bool) (changed bool, err error) {
	const tries = 8
	for range tries {
		t, version, err := l.readTurns()
		if err != nil {
			return false, err
		}
		if !change(&t) {
			return false, nil
		}
		err = proxywasm.SetSharedData(l.turnsKey(), t.encode(), version)
		if !errors.Is(err, types.ErrorStatusCasMismatch) {
			return err == nil, err
		}
	}
	return false, types.ErrorStatusCasMismatch
}

// alone has the plugin go on by itself where shared data does not work.
func (p *plugin) alone(l *location, err error) {
	if !l.alone {
		proxywasm.LogWarn("issuer " + l.issuers[0] + ": workers cannot share keys: " + err.Error())
	}
	l.alone = true
}

// takeTurn reports whether this worker should fetch now. If another one is
// fetching, it should not, unless requests have been waiting for that for too
// long: the other may be a VM that is not answered any more.
func (p *plugin) takeTurn(l *location, now time.Time) bool {
	if l.alone {
		return true
	}
	at := now.UnixNano()
	taken, err := l.changeTurns(func(t *turns) bool {
		if t.holder != 0 && t.holder != p.worker && t.since <= at && at < t.until && t.until-t.since <= int64(longestTurn) {
			if len(p.waiting) == 0 || at-t.since < int64(promptly) {
				return false
			}
		}
		t.holder, t.since, t.until = p.worker, at, at+int64(l.patience)
		return true
	})
	if err != nil && !errors.Is(err, types.ErrorStatusCasMismatch) {
		p.alone(l, err)
		return true
	}
	return taken
}

// share tells the other workers how a fetch ended.
func (p *plugin) share(l *location, fetch jwks.Fetch, answer jwks.Answer, outcome jwks.Outcome, now time.Time) {
	if l.alone {
		return
	}
	at := fetch.At.UnixNano()
	if outcome.Result == jwks.ResultOK {
		d := document{at: at, wanted: fetch.Wanted, cacheControl: answer.CacheControl, body: answer.Body}
		if err := proxywasm.SetSharedData(l.documentKey(), d.encode(), 0); err != nil {
			p.alone(l, err)
			return
		}
		l.document = at
	}
	_, err := l.changeTurns(func(t *turns) bool {
		if t.holder == p.worker {
			t.holder, t.since, t.until = 0, 0, 0
		}
		switch failure, failed := l.source.Failure(now); {
		case outcome.Result == jwks.ResultOK && at >= t.document:
			t.document, t.failures, t.retry = at, 0, 0
		case failed && outcome.Result != jwks.ResultLate:
			t.failures, t.retry = uint32(failure.Count), failure.Retry.UnixNano()
		}
		return true
	})
	if err != nil && !errors.Is(err, types.ErrorStatusCasMismatch) {
		p.alone(l, err)
	}
}

// adopt takes over what other workers have fetched, or failed to. It reports
// whether there are new keys, or no hope of them.
func (p *plugin) adopt(l *location, now time.Time) (news bool) {
	if l.alone {
		return false
	}
	t, _, err := l.readTurns()
	if err != nil {
		p.alone(l, err)
		return false
	}
	if t.document > l.document {
		l.document = t.document
		return p.adoptDocument(l, now)
	}
	if t.failures > 0 && t.retry > l.deferred {
		l.deferred = t.retry
		l.source.Defer(now, jwks.Failure{Count: int(t.failures), Retry: time.Unix(0, t.retry)})
		return true
	}
	return false
}

func (p *plugin) adoptDocument(l *location, now time.Time) (news bool) {
	value, _, err := proxywasm.GetSharedData(l.documentKey())
	if err != nil {
		return false
	}
	d, ok := decodeDocument(value)
	if !ok {
		return false
	}
	outcome := l.source.Adopt(now, jwks.Document{
		Fetch:  jwks.Fetch{At: time.Unix(0, d.at), Wanted: d.wanted},
		Answer: jwks.Answer{Status: 200, CacheControl: d.cacheControl, Body: d.body},
	})
	if outcome.Result != jwks.ResultOK {
		return false
	}
	quietly(func() { p.reportKeys(l, now) })
	return true
}
