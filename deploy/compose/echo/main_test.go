package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"orgate/e2e/echo"
)

func TestCheck(t *testing.T) {
	healthy := httptest.NewServer(echo.Handler())
	defer healthy.Close()
	ill := httptest.NewServer(http.NotFoundHandler())
	defer ill.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	tests := []struct {
		name, server string
		args         []string
		fails        bool
	}{
		{"a healthy server", healthy.URL, []string{"--check"}, false},
		{"a server that answers 404", ill.URL, []string{"--check"}, true},
		{"no server", gone.URL, []string{"--check"}, true},
		{"another flag", healthy.URL, []string{"--help"}, true},
		{"a port in use", healthy.URL, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.Parse(tt.server)
			if err != nil {
				t.Fatal(err)
			}
			if err := run(tt.args, "127.0.0.1:"+u.Port()); (err != nil) != tt.fails {
				t.Errorf("error %s", fmt.Sprint(err))
			}
		})
	}
}
