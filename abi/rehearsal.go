//go:build wasip1

package wasip1

import (
	"math"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// Contexts of a [Rehearsal]. No proxy counts that far, and none counts down from
// there.
const (
	RehearsalPlugin = math.MaxUint32/2 + 1
	rehearsalStream = RehearsalPlugin + 1
)

// Rehearsal plays a proxy to the plugin, so that requests go the whole way before
// there are any: through the callbacks, the SDK and the plugin. The proxy itself
// sees none of it. The plugin context has the id [RehearsalPlugin].
type Rehearsal struct {
	internal.DefaultProxyWAMSHost
	headers  [][2]string
	response uint32
}

// rehearsing is the rehearsal that takes the proxy's place, nil but then.
var rehearsing *Rehearsal

// Rehearse has a rehearsal take the proxy's place while f runs. It must be called
// from a callback of the proxy.
func Rehearse(f func(r *Rehearsal) error) error {
	r := new(Rehearsal)
	rehearsing = r
	releaseHost()
	release := internal.RegisterMockWasmHost(r)
	defer func() {
		release()
		releaseHost = internal.RegisterMockWasmHost(proxyHost{})
		rehearsing = nil
	}()
	proxyOnContextCreate(RehearsalPlugin, 0)
	defer proxyOnDelete(RehearsalPlugin)
	return f(r)
}

// Request sends a request without a body. It returns the headers that an upstream
// would get, or, if the request was refused, the response's status.
func (r *Rehearsal) Request(headers [][2]string) (upstream [][2]string, status uint32) {
	r.headers, r.response = headers, 0
	proxyOnContextCreate(rehearsalStream, RehearsalPlugin)
	action := proxyOnRequestHeaders(rehearsalStream, uint32(len(headers)), 1)
	proxyOnDone(rehearsalStream)
	proxyOnLog(rehearsalStream)
	proxyOnDelete(rehearsalStream)
	if r.response == 0 && action == uint32(types.ActionContinue) {
		return r.headers, 0
	}
	return nil, r.response
}

// ProxyAddHeaderMapValue adds a header.
func (r *Rehearsal) ProxyAddHeaderMapValue(_ internal.MapType, key *byte, keySize int, value *byte,
	valueSize int) internal.Status {
	r.headers = append(r.headers, [2]string{text(key, keySize), text(value, valueSize)})
	return internal.StatusOK
}

// ProxyReplaceHeaderMapValue replaces a header.
func (r *Rehearsal) ProxyReplaceHeaderMapValue(m internal.MapType, key *byte, keySize int, value *byte,
	valueSize int) internal.Status {
	r.ProxyRemoveHeaderMapValue(m, key, keySize)
	return r.ProxyAddHeaderMapValue(m, key, keySize, value, valueSize)
}

// ProxyRemoveHeaderMapValue removes a header.
func (r *Rehearsal) ProxyRemoveHeaderMapValue(_ internal.MapType, key *byte, keySize int) internal.Status {
	var rest [][2]string
	for _, h := range r.headers {
		if h[0] != text(key, keySize) {
			rest = append(rest, h)
		}
	}
	r.headers = rest
	return internal.StatusOK
}

// ProxySendLocalResponse takes the response's status down.
func (r *Rehearsal) ProxySendLocalResponse(status uint32, _ *byte, _ int, _ *byte, _ int, _ *byte, _ int,
	_ int32) internal.Status {
	r.response = status
	return internal.StatusOK
}
