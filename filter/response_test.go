package filter

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/jwks"
)

func TestReadHead(t *testing.T) {
	plain := [2]string{"content-type", "text/plain"}
	for _, c := range []struct {
		name       string
		headers    [][2]string
		want       jwks.Response
		mayBeLocal bool
	}{
		{"a document", [][2]string{{":status", "200"}, {"cache-control", "max-age=60"}, {"x", "y"}, {"cache-control",
			"no-store"}},
			jwks.Response{Status: 200, CacheControl: "max-age=60, no-store"}, false},
		{"a redirect", [][2]string{{":status", "302"}, {"location", "/login"}, {"content-type", "text/html"},
			{"content-encoding", "gzip"}},
			jwks.Response{Status: 302, Location: "/login", ContentType: "text/html", ContentEncoding: "gzip"}, false},
		{"no status", [][2]string{plain}, jwks.Response{ContentType: "text/plain"}, false},
		{"no upstream", [][2]string{{":status", "503"}, {"content-length", "19"}, plain}, jwks.Response{Status: 503,
			ContentType: "text/plain"}, true},
		{"time is up", [][2]string{{":status", "504"}, plain}, jwks.Response{Status: 504, ContentType: "text/plain"},
			true},
		{"another error", [][2]string{{":status", "500"}, plain}, jwks.Response{Status: 500,
			ContentType: "text/plain"}, false},
		{"another type", [][2]string{{":status", "503"}, {"content-type", "text/html"}}, jwks.Response{Status: 503,
			ContentType: "text/html"}, false},
		{"no type", [][2]string{{":status", "503"}}, jwks.Response{Status: 503}, false},
		{"a server's", [][2]string{{":status", "503"}, plain, {"server", "x"}}, jwks.Response{Status: 503,
			ContentType: "text/plain"}, false},
		{"with the time of day", [][2]string{{":status", "503"}, plain, {"date", "x"}}, jwks.Response{Status: 503,
			ContentType: "text/plain"}, false},
		{"through Envoy", [][2]string{{":status", "503"}, plain, {"x-envoy-upstream-service-time", "3"}},
			jwks.Response{Status: 503, ContentType: "text/plain"}, false},
	} {
		got, mayBeLocal := readHead(c.headers)
		if diff := cmp.Diff(c.want, got); diff != "" || mayBeLocal != c.mayBeLocal {
			t.Errorf("%s: may be the proxy's own: %v (-want +got):\n%s", c.name, mayBeLocal, diff)
		}
	}
}
