package filter

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/wasip1"
)

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
