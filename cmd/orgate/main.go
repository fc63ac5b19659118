// Command orgate is the plugin's native companion: it serves HTTP through the
// plugin for development.
//
// Its exit status is 0 if all went well, 2 if it was called in a wrong way, and
// 1 otherwise.
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
