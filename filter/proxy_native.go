//go:build !wasip1

package filter

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"orgate/gate"
)

func requestHeaders(wanted func(name string) bool) ([][2]string, error) {
	headers, err := proxywasm.GetHttpRequestHeaders()
	for i := range headers {
		if !wanted(headers[i][0]) {
			headers[i][1] = ""
		}
	}
	return headers, err
}

// Outside a proxy, in tests, there is the system's time, and debugging is on. The
// way through the callbacks is tested in the built plugin.

const rehearsalID = 0

func rehearse(*gate.SelfTest) error { return nil }

func proxyTime() time.Time { return time.Now() }

func debugging() bool { return true }

func collectDue() {}

func collectNow() {}
