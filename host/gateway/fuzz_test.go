package gateway

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"orgate/host"
)

// What the plugin judged is what the upstream reads: a target that a server
// accepts is sent on with the same path and query.
func FuzzTarget(f *testing.F) {
	for _, target := range []string{
		"/", "*", "/a?b", "/a%2fb", "//a//b", "//", "///", "/\\a", "/a|b", "http://x/a", "http://x", "http://x?q",
		"//user@x:1/a?//b", "/?http://x",
		"/a:b", "mailto:a?x://b", "ftp://a/b", "HTTP://a/b", "/[::1]", "http://[::1]:80//a",
	} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		if strings.ContainsAny(target, " #\r\n") {
			return // a fragment is refused, the others end the target
		}
		in, err := http.ReadRequest(bufio.NewReader(strings.NewReader("OPTIONS " + target +
			" HTTP/1.1\r\nHost: api.test\r\n\r\n")))
		if err != nil {
			return
		}
		path, ok := originForm("OPTIONS", in.RequestURI)
		if !ok {
			return
		}
		out, err := outgoing(t.Context(), "http", "upstream.test",
			host.Headers{{":method", "OPTIONS"}, {":authority", "api.test"}, {":path", path}})
		if err != nil {
			t.Fatal(err)
		}
		out.ContentLength = 0
		var wire bytes.Buffer
		if err := out.Write(&wire); err != nil {
			return // not sent at all
		}
		got, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Fatalf("%q: what is sent cannot be read: %v", target, err)
		}
		if read, _ := originForm("OPTIONS", got.RequestURI); read != path || got.Host != "api.test" {
			t.Errorf("%q: the plugin saw %q, the upstream reads %q of %q", target, path, got.RequestURI, got.Host)
		}
	})
}
