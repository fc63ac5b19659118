// Command demo shows the plugin at work, with nothing but this module.
//
// Without arguments it starts two identity providers that sign with different
// keys under the same kid, an upstream that tells what it was sent, and a gateway
// that runs the built plugin in front of it, all on the loopback interface. Then
// it sends the requests of a story, good and hostile, and prints what came back.
// Its exit status is 1 if any response is not as it should be.
//
// With a guide it stands in for the guide's identity providers, so that the
// guide can be followed without an account with them: it writes the guide's
// configuration and a token like the guide's into a folder, serves keys and
// discovery documents where the configuration expects them, and an upstream, and
// prints commands to go on with. The keys are made anew each time, and nothing
// of it is for production.
//
//	go run ./e2e/demo                         tell the story
//	go run ./e2e/demo --serve                 and stay up, with curl commands to paste
//	go run ./e2e/demo docs/guides/auth0.md    stand in for a guide's provider
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command: 2 for wrong flags, 1 for anything else that is wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = fmt.Fprint(stderr, "usage: demo [flags] [docs/guides/GUIDE.md]\n\n")
		flags.PrintDefaults()
	}
	var tell telling
	flags.StringVar(&tell.wasm, "wasm", "build/orgate.wasm", "of the story: the plugin's `FILE`")
	flags.BoolVar(&tell.stay, "serve", false, "of the story: stay up after it, until SIGINT, and print curl commands")
	flags.BoolVar(&tell.verbose, "log", false, "of the story: write the gateway's log to standard error")
	var stand standIn
	flags.StringVar(&stand.dir, "dir", "build/guide", "of a guide: write orgate.json and token.txt into `DIR`")
	flags.StringVar(&stand.idp, "idp", "127.0.0.1:8180", "of a guide: serve the provider on `ADDR`")
	flags.StringVar(&stand.upstream, "upstream", "127.0.0.1:9000", "of a guide: serve the upstream on `ADDR`")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var wrong int
	var err error
	switch flags.NArg() {
	case 0:
		wrong, err = tell.run(ctx, stdout, stderr)
	case 1:
		err = stand.run(ctx, flags.Arg(0), stdout)
	default:
		flags.Usage()
		return 2
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "demo: %v\n", err)
	}
	if err != nil || wrong > 0 {
		return 1
	}
	return 0
}

// listen serves h until the returned function is called.
func listen(address string, h http.Handler) (string, func(), error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	return "http://" + l.Addr().String(), func() {
		_ = server.Close()
		<-done
	}, nil
}
