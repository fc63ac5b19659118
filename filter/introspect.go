package filter

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"orgate/config"
	"orgate/gate"
	"orgate/internal/httptext"
	"orgate/introspect"
)

// endpoint is where a provider is asked about tokens.
type endpoint struct {
	*config.Introspection
	issuer        string // its first, for metrics and logs
	authorization string
	told          time.Time // when it was last logged that it says nothing
}

// newEndpoints finds where the providers are asked, by their first issuers. The
// error names the secrets that are not where the configuration says.
func newEndpoints(c *config.Config, environment func(string) (string, bool)) (map[*config.Issuer]*endpoint, error) {
	endpoints := map[*config.Issuer]*endpoint{}
	var problems []error
	for n := range c.Issuers {
		issuer := &c.Issuers[n]
		i := issuer.Introspection
		if i == nil {
			continue
		}
		secret := i.ClientSecret.Value
		if name := i.ClientSecret.FromEnvironment; name != "" {
			if secret, _ = environment(name); secret == "" {
				problems = append(problems, errors.New(issuer.Path+".introspection.clientSecret.fromEnvironment: "+
					"the proxy gives the plugin no variable of this name (vm_config.environment_variables)"))
			}
		}
		endpoints[issuer] = &endpoint{Introspection: i, issuer: issuer.Name,
			authorization: introspect.Authorization(i.ClientID, secret)}
	}
	return endpoints, errors.Join(problems...)
}

// introspect asks about the tokens that requests wait for, as far as it may. It
// must be called from a tick.
func (f *fetcher) introspect(now time.Time, waited []*gate.Introspection) {
	for _, i := range waited {
		if !f.free() {
			return
		}
		e := f.endpoints[i.Provider.Config]
		if e == nil || !f.leavesFree(i) {
			continue
		}
		if !i.Begin(now) {
			f.answered = append(f.answered, i) // that there will be no answer
			continue
		}
		f.ask(e, i)
	}
}

// mayAsk reports whether one of those that requests wait for can begin.
func (f *fetcher) mayAsk(waited []*gate.Introspection) bool {
	return f.free() && slices.ContainsFunc(waited, f.leavesFree)
}

// leavesFree reports whether the provider would take no more of the calls that may
// be under way than it leaves free: it must not keep others from theirs.
func (f *fetcher) leavesFree(i *gate.Introspection) bool {
	own := 0
	for _, other := range f.asking {
		if other.Provider == i.Provider {
			own++
		}
	}
	return own < f.most-len(f.underway)-len(f.asking)
}

// ask sends a token to its provider. A call that the proxy refuses has no response,
// like one that fails later.
func (f *fetcher) ask(e *endpoint, i *gate.Introspection) {
	f.asking = append(f.asking, i)
	scheme, authority, path := httptext.SplitURL(e.URL)
	headers := [][2]string{
		{":method", "POST"},
		{":scheme", scheme},
		{":authority", authority},
		{":path", path},
		{"content-type", introspect.ContentType},
		{"accept", "application/json"},
		{"user-agent", "orgate"},
	}
	if e.authorization != "" {
		headers = append(headers, [2]string{"authorization", e.authorization})
	}
	milliseconds := uint32(min(max(time.Duration(e.Timeout).Milliseconds(), 1), math.MaxUint32))
	_, err := proxywasm.DispatchHttpCall(e.Cluster, headers, []byte(introspect.Body(i.Token)), nil, milliseconds,
		func(headers, bodySize, _ int) {
			response := readResponse(headers, bodySize, introspect.MaxAnswer)
			f.answer(e, i, introspect.Read(&response))
			f.finished()
		})
	if err != nil {
		f.answer(e, i, introspect.Answer{Result: introspect.ResultNoAnswer, Err: err})
	}
}

// answer hands an answer over, and logs and counts it.
func (f *fetcher) answer(e *endpoint, i *gate.Introspection, a introspect.Answer) {
	now := f.now()
	f.observe(now)
	f.asking = slices.DeleteFunc(f.asking, func(other *gate.Introspection) bool { return other == i })
	result := i.Finish(now, a)
	f.answered = append(f.answered, i)
	attempt(func() { f.metrics.introspection(e.issuer, string(result)) })
	const silence = 10 * time.Second
	if since := now.Sub(e.told); a.Err == nil || 0 <= since && since < silence {
		return
	}
	e.told = now
	attempt(func() { proxywasm.LogWarn("issuer " + e.issuer + ": " + a.Describe(e.URL)) })
}
