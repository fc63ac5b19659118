// Command standin stands in for the identity providers of a guide, so that the
// guide can be followed without an account with them: it writes the guide's
// configuration and a token like the guide's into a folder, serves keys and
// discovery documents where the configuration expects them, and an upstream
// that answers with what it was sent, and prints commands to go on with.
//
//	go run ./e2e/standin docs/guides/auth0.md
//
// The keys are made anew each time, and nothing of it is for production.
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
	"strings"
	"syscall"
	"time"

	"orgate/e2e/echo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command: 2 for wrong flags, 1 for anything else that is wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("standin", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = fmt.Fprint(stderr, "usage: standin [flags] docs/guides/GUIDE.md\n\n")
		flags.PrintDefaults()
	}
	dir := flags.String("dir", "build/guide", "write orgate.json and token.txt into `DIR`")
	idpAddress := flags.String("idp", "127.0.0.1:8180", "serve the provider on `ADDR`")
	upstreamAddress := flags.String("upstream", "127.0.0.1:9000", "serve the upstream on `ADDR`")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return 2
	}
	if err := serve(ctx, flags.Arg(0), *dir, *idpAddress, *upstreamAddress, stdout); err != nil {
		_, _ = fmt.Fprintf(stderr, "standin: %v\n", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, file, dir, idpAddress, upstreamAddress string, stdout io.Writer) error {
	g, err := readGuide(file)
	if err != nil {
		return err
	}
	if err := g.write(dir); err != nil {
		return err
	}
	idpURL, closeIDP, err := listen(idpAddress, g.locations())
	if err != nil {
		return err
	}
	defer closeIDP()
	upstreamURL, closeUpstream, err := listen(upstreamAddress, echo.Handler())
	if err != nil {
		return err
	}
	defer closeUpstream()
	_, err = fmt.Fprintf(stdout, "In another terminal (the last command in a third):\n\n%s\n\nCtrl-C ends it.\n",
		strings.Join(g.commands(dir, idpURL, upstreamURL), "\n"))
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
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
