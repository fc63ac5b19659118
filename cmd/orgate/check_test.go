package main

import (
	"bytes"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// update has the scripts' expectations written anew: go test -update.
var update = flag.Bool("update", false, "write the scripts' expectations anew")

// TestOnlineScripts runs the scripts that ask an identity provider, whose
// address is $IDP. It has the documents of package jwks's tests, and answers
// that no identity provider should give.
func TestOnlineScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/online",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			provider := httptest.NewServer(answers())
			e.Defer(provider.Close)
			e.Setenv("IDP", provider.URL)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status},
	})
}

func answers() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/keys/", http.StripPrefix("/keys/", http.FileServer(http.Dir("../../jwks/testdata"))))
	text := func(path, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "idp.example.com" {
				http.Error(w, "asked for "+r.Host, http.StatusMisdirectedRequest)
				return
			}
			if strings.HasPrefix(body, "{") {
				w.Header().Set("Content-Type", "application/json")
			}
			_, _ = w.Write([]byte(body))
		})
	}
	text("/none", `{"keys": []}`)
	text("/page", "<html>")
	text("/empty", "")
	mux.Handle("/moved", http.RedirectHandler("/keys/auth0.json", http.StatusFound))
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	text("/discovery", `{"issuer": "https://idp.example.com", "jwks_uri": "https://idp.example.com/keys/keycloak.json"}`)
	text("/discovery/elsewhere", `{"issuer": "https://idp.example.com", "jwks_uri": "https://keys.example.com/jwks"}`)
	mux.HandleFunc("keys.example.com/jwks", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, "../../jwks/testdata/okta.json")
	})
	text("/discovery/another", `{"issuer": "https://idp.example.com/", "jwks_uri": "https://idp.example.com/keys/keycloak.json"}`)
	return mux
}

func TestColoursAreForTerminals(t *testing.T) {
	// The null device is a character device, as a terminal is.
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const plain, red = "x", "\x1b[31;1mx\x1b[0m"
	for _, c := range []struct {
		name          string
		to            io.Writer
		noColor, term string
		want          string
	}{
		{"a terminal", device, "", "xterm", red},
		{"a terminal, and NO_COLOR", device, "1", "xterm", plain},
		{"a dumb terminal", device, "", "dumb", plain},
		{"a file", file, "", "xterm", plain},
		{"no file at all", new(bytes.Buffer), "", "xterm", plain},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", c.noColor)
			t.Setenv("TERM", c.term)
			if got := paletteOf(c.to).red("x"); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
