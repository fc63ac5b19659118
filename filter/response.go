package filter

import (
	"strconv"
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"orgate/jwks"
)

// readResponse reads the response to a callout, of whose body so many bytes are
// wanted. A call that failed has no headers
// with some proxies, and a response that the proxy made up with others.
func readResponse(headers, bodySize, most int) jwks.Response {
	if headers == 0 {
		return jwks.Response{}
	}
	pairs, err := proxywasm.GetHttpCallResponseHeaders()
	if err != nil {
		return jwks.Response{}
	}
	response, mayBeLocal := readHead(pairs)
	switch {
	case bodySize <= 0:
	case response.Status == 200:
		// One byte more than is read tells that it is too much.
		response.Body = readBody(min(bodySize, most+1))
	case mayBeLocal:
		const longest = 256
		if text := readBody(min(bodySize, longest)); isLocal(text) {
			response.Local = text
		}
	}
	return response
}

func readBody(size int) string {
	body, err := proxywasm.GetHttpCallResponseBody(0, size)
	if err != nil {
		return ""
	}
	return string(body)
}

// readHead reads the fields of a response that matter, and reports whether they
// leave open that the proxy made it up.
//
// A proxy that reaches no upstream responds with 503, and 504 if the time is up, in
// plain text. Nearly all servers say who they are and what time it is (RFC 9110
// §6.6.1), and Envoy adds to what an upstream has answered how long that took.
func readHead(headers [][2]string) (response jwks.Response, mayBeLocal bool) {
	mayBeLocal = true
	for _, h := range headers {
		switch h[0] {
		case ":status":
			response.Status, _ = strconv.Atoi(h[1])
		case "cache-control":
			if response.CacheControl != "" {
				response.CacheControl += ", "
			}
			response.CacheControl += h[1]
		case "content-type":
			response.ContentType = h[1]
		case "content-encoding":
			response.ContentEncoding = h[1]
		case "location":
			response.Location = h[1]
		case "date", "server", "x-envoy-upstream-service-time":
			mayBeLocal = false
		}
	}
	mayBeLocal = mayBeLocal && (response.Status == 503 || response.Status == 504) &&
		strings.HasPrefix(response.ContentType, "text/plain")
	return response, mayBeLocal
}

// isLocal reports whether a text is one of Envoy's for an upstream that has not
// answered.
func isLocal(text string) bool {
	return strings.HasPrefix(text, "no healthy upstream") || strings.HasPrefix(text, "upstream ")
}
