package filter

import "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/wasip1"

// debugging reports whether the proxy writes out messages of debug level.
func debugging() bool {
	level, err := wasip1.LogLevelInEffect()
	return err == nil && level <= wasip1.LogLevelDebug
}
