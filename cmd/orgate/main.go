// Command orgate is the plugin's native companion. It serves HTTP through the
// plugin for development (run), says what is wrong with a configuration (check),
// makes one of WSO2 APK's resources (import), writes it down for proxies
// (render), fetches tokens of its issuers (token), and tells why the plugin judges
// a request as it does (explain).
//
// Its exit status is 0 if all went well, 2 if it was called in a wrong way, and
// 1 otherwise; "orgate explain" and "orgate token" exit with 3 for a
// request that is refused.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends at once
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
