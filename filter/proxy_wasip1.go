package filter

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/wasip1"

	"orgate/gate"
)

// requestHeaders reads the request's header map, and of those headers alone the
// values that are wanted. What a client sends besides makes no garbage.
func requestHeaders(wanted func(name string) bool) ([][2]string, error) {
	return wasip1.RequestHeaders(func(name string, value []byte) string {
		if !wanted(name) {
			return ""
		}
		return string(value)
	})
}

// rehearsalID is the context id of the plugin that is tested.
const rehearsalID = wasip1.RehearsalPlugin

// rehearse sends the self-test's requests through the callbacks and the SDK.
func rehearse(t *gate.SelfTest) error {
	return wasip1.Rehearse(func(r *wasip1.Rehearsal) error { return t.Whole(r.Request) })
}

// proxyTime is the proxy's time of day. It takes one host call; [time.Now]
// would take two, for a monotonic reading that nothing here needs. A proxy that
// has no time to tell is not one to let requests through on.
func proxyTime() time.Time {
	now, err := wasip1.Now()
	if err != nil {
		panic(err)
	}
	return now
}

// debugging reports whether the proxy writes out messages of debug level.
func debugging() bool {
	level, err := wasip1.LogLevelInEffect()
	return err == nil && level <= wasip1.LogLevelDebug
}

// collectDue collects garbage if that is due. A callback that makes much of it
// calls this each time when some of it is garbage.
func collectDue() { wasip1.Collect() }

// collectNow collects garbage.
func collectNow() { wasip1.CollectNow() }
