package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// failure is an error of a command that was called in the right way: it exits
// with 1. Every other error is one of usage and exits with 2.
type failure struct{ err error }

var (
	// errReported is the failure of a command that has said itself what is wrong.
	errReported = errors.New("reported")
	// errRefused ends "orgate explain" for a request that the plugin refuses.
	errRefused = errors.New("refused")
)

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// execute runs a command line and returns the exit status.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	switch {
	case errors.Is(err, errReported):
		return 1
	case errors.Is(err, errRefused):
		return 3
	}
	var failed *failure
	if errors.As(err, &failed) {
		for line := range strings.SplitSeq(failed.Error(), "\n") {
			_, _ = fmt.Fprintf(stderr, "%s: %s\n", cmd.CommandPath(), line)
		}
		return 1
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	_, _ = fmt.Fprintf(stderr, "%s: %s (see %s --help)\n", cmd.CommandPath(), first, cmd.CommandPath())
	return 2
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "orgate",
		Short: "Keep organizations apart at the proxy",
		Long: `orgate authenticates API calls with the tokens of third-party identity
providers and keeps organizations apart. In production it is a plugin of
Envoy, Istio or Envoy Gateway; this command is for those who develop and
operate it.

The exit status is 0 if all went well, 2 if the command was called in a wrong
way, and 1 otherwise.`,
		Example: `  orgate check orgate.json
  orgate explain --config orgate.json --token token.txt --request 'GET https://api.example.com/orders'
  orgate render envoy --config orgate.json --upstream http://api:8080 > envoy.yaml

  # Complete commands and flags in this shell; zsh, fish and powershell work, too.
  eval "$(orgate completion bash)"`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("orgate {{.Version}}\n")
	root.AddCommand(newRun(), newCheck(), newExplain(), newImport(), newRender(), newToken(), newVerify(), newVersion())
	return root
}

// unknownCommand is the error for a command that is none, with the one that was
// meant if one is near.
func unknownCommand(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return fmt.Errorf("unknown command %q; did you mean %q?", name, near[0])
	}
	return fmt.Errorf("unknown command %q", name)
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  orgate version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "orgate", version())
			if err != nil {
				return &failure{err}
			}
			return nil
		},
	}
}

// release is what "make build" takes from the repository's tags and revision.
var release string

// version is the release, or the module's version as Go knows it.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
