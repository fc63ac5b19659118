// Command orgate is the plugin's native companion:
//
//	import   converts WSO2's token issuers and Key Managers to a configuration
//	check    finds the errors of a configuration, and warns
//	explain  judges one request, and prints each step
//	token    fetches a token from an issuer of the configuration
//	run      serves HTTP through the plugin, for development
//	render   writes the configuration for a proxy
//	verify   asks a gateway whether the plugin guards it
//
// Its exit status is 0 if all went well, 2 if it was called in a wrong way, and 1
// otherwise. "orgate explain" and "orgate token" exit with 3 if the request is
// refused.
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
