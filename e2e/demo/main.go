// Command demo shows the plugin at work, with nothing but this module: it
// starts two identity providers that sign with different keys under the same
// kid, an upstream that tells what it was sent, and a gateway that runs the
// built plugin in front of it, all on the loopback interface. Then it sends the
// requests of a story, good and hostile, and prints what was expected and what
// came back.
//
// Its exit status is 1 if any request was answered otherwise than it should be.
//
//	go run ./e2e/demo            tell the story
//	go run ./e2e/demo --serve    and stay up, with curl commands to paste
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
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
	wasm := flags.String("wasm", "build/orgate.wasm", "the plugin's `FILE`")
	stay := flags.Bool("serve", false, "stay up after the story, until SIGINT, and print curl commands")
	verbose := flags.Bool("log", false, "write the gateway's log to standard error")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		_, _ = fmt.Fprintf(stderr, "demo: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	log := io.Discard
	if *verbose {
		log = stderr
	}
	s, err := newStage(ctx, *wasm, log)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "demo: %v\n", err)
		return 1
	}
	defer s.close()
	_, _ = fmt.Fprintf(stdout, "%s\n\n", s.introduction())
	outcomes := s.tell(ctx, story)
	printTable(stdout, outcomes)
	status := 0
	if wrong := countWrong(outcomes); wrong > 0 {
		_, _ = fmt.Fprintf(stdout, "\n%d of %d requests were not answered as they should be.\n", wrong, len(outcomes))
		status = 1
	} else {
		_, _ = fmt.Fprintf(stdout, "\nAll %d requests were answered as they should be.\n", len(outcomes))
	}
	if *stay && ctx.Err() == nil {
		_, _ = fmt.Fprintf(stdout, "\n%s\nCtrl-C ends it.\n", s.curls())
		<-ctx.Done()
	}
	return status
}
