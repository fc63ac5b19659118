package filter

import (
	"strconv"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"orgate/jwks"
)

// tellFetch logs and counts how a fetch from a URL ended, and which keys there
// are.
func (f *fetcher) tellFetch(l *location, outcome jwks.Outcome, url string, now time.Time) {
	for _, name := range l.issuers {
		f.metrics.fetch(name, string(outcome.Result))
	}
	set, _ := l.source.Keys(now)
	f.countKeys(l, set)
	if outcome.Err == nil {
		for _, problem := range set.Unusable {
			proxywasm.LogWarn(l.name() + ": key not used: " + problem.Error())
		}
		proxywasm.LogInfo(l.name() + ": keys from " + url + ": " + set.Difference(outcome.Before))
		return
	}
	kept := "no keys"
	if set != nil {
		age := strconv.Itoa(int(l.source.Age(now)/time.Second)) + " s old"
		kept = "keys " + age + ": " + set.Difference(set)
	}
	proxywasm.LogWarn(l.name() + ": fetch of " + url + ": " + outcome.Err.Error() + "; there are " + kept)
}

// countKeys tells how many keys a location has.
func (f *fetcher) countKeys(l *location, set *jwks.Set) {
	keys := 0
	if set != nil {
		keys = len(set.Keys)
	}
	for i, name := range l.issuers {
		l.gauges[i].keys.set(familyKeys, name, uint64(keys))
	}
}

// tellAges tells how old the keys of the next issuers are, also of keys that are
// too old to be used.
func (f *fetcher) tellAges(now time.Time) {
	if len(f.locations) == 0 {
		return
	}
	next := &f.round.age
	first := *next
	for range workOfTick {
		l := f.locations[next.location]
		if l.source.Generation() > 0 {
			l.gauges[next.issuer].age.set(familyAge, l.issuers[next.issuer], uint64(l.source.Age(now)/time.Second))
		}
		if next.issuer++; next.issuer == len(l.issuers) {
			*next = age{location: (next.location + 1) % len(f.locations)}
		}
		if *next == first {
			return
		}
	}
}
