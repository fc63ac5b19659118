// Command echo serves package echo on port 8080; with --check it asks such a
// server on the same machine for its health.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"orgate/e2e/echo"
)

func main() {
	if err := run(os.Args[1:], ":8080"); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(args []string, address string) error {
	switch {
	case len(args) == 0:
		server := &http.Server{Addr: address, Handler: echo.Handler(), ReadHeaderTimeout: 10 * time.Second}
		return server.ListenAndServe()
	case len(args) == 1 && args[0] == "--check":
		return check(address)
	}
	return fmt.Errorf("usage: echo [--check]")
}

func check(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 2 * time.Second}
	url := "http://127.0.0.1:" + port + "/healthz"
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	return nil
}
