package filter_test

import (
	"testing"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"orgate/e2e/scenario"
)

// TestNothingIsLetThroughBeforeTheVerdict: proxies that go on with a body or with
// trailers while the headers are held back are told to hold those back, too.
func TestNothingIsLetThroughBeforeTheVerdict(t *testing.T) {
	config := `{"issuers": [{"name": "a", "issuer": "https://idp1.example/", "organization": "org1",
		"signatureValidation": {"jwks": {"url": "https://idp1.example/jwks", "cluster": "idp1"}}}],
		"rules": [{"match": {"pathPrefix": "/public"}, "public": true}, {}]}`
	proxy := start(t, config)
	for _, c := range []struct {
		name    string
		request scenario.Request
		want    types.Action
	}{
		{"passes", scenario.Request{Path: "/public"}, types.ActionContinue},
		{"refused", scenario.Request{}, types.ActionPause},
		{"waits", scenario.Request{Path: "/", Token: scenario.First().Token()}, types.ActionPause},
	} {
		id := proxy.InitializeHttpContext()
		headers := proxy.CallOnRequestHeaders(id, c.request.Map(), false)
		body := proxy.CallOnRequestBody(id, []byte("x"), false)
		trailers := proxy.CallOnRequestTrailers(id, scenario.Headers{{"x", "y"}})
		if headers != c.want || body != c.want || trailers != c.want {
			t.Errorf("%s: headers %d, body %d, trailers %d, want %d", c.name, headers, body, trailers, c.want)
		}
	}
}
