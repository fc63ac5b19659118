package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"orgate/admin/advice"
	"orgate/cmd/orgate/internal/keyfetch"
	"orgate/config/schema"
)

// checkOptions are the flags of "orgate check" as they were given.
type checkOptions struct {
	output, ca            string
	clusters              []string
	print, online, strict bool
}

func newCheck() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use: "check FILE",

		Short: "Say what is wrong with a configuration",
		Long: `Read the plugin's configuration as the plugin does, and say what it would
say: every error at once, each with its file, line, column and field. Keys
that are written down in it are read as well. It may be JSON, as the plugin has
it, or YAML.

A configuration without errors is given warnings: of what the plugin accepts
and its author will hardly have meant. Each ends with its kind:

  no-audience              tokens for other services are good here, too
  issuer-slash             the provider is known to write its issuer otherwise
  dotted-claim             a claim's name could end at one of its dots
  jwks-url                 the location of keys is that of a discovery document
  plain-http               keys are fetched over plain http
  x509-keys                keys are fetched as certificates, not as a JWK Set
  unusable-key             a key that is written down is not used
  published-key            everybody has the private key
  shared-issuer            tokens may be of several organizations
  any-tenant               tenants that nobody named have an organization
  unmapped-roles           roles pass that no mapping names
  no-sharing-key           workers in Istio cannot share the keys that they fetch
  unreachable-rule         other rules take all of its requests
  public-wider             a public rule is wider than a protected one
  roles-without-claim      roles are asked for, and nobody has any
  unprovable-organization  an organization is asked for, and nobody has it
  unused-organization      the top level names one that no rule asks for
  yaml                     the plugin reads JSON alone

With --online the keys are fetched from the URLs in the configuration, as the
plugin would, and listed: which are used, and why the others are not. Over
https the certificate has to be that of the URL's host, wherever --cluster says
that it is, and of an authority in --ca.

FILE may be "-" for standard input. Findings go to standard output, or, with
--print, to standard error. They are coloured on a terminal, unless the
environment has NO_COLOR.

The exit status is 0 if there are no errors, 1 if there are (or keys cannot be
fetched, or, with --strict, there are warnings), and 2 if a flag is wrong.`,
		Example: `  orgate check orgate.json

  # In a pipeline: warnings fail, too, and the result is for a program.
  orgate check --strict --output json orgate.json

  # Whether each identity provider has keys that the plugin can use.
  orgate check --online orgate.json
  orgate check --online --cluster keycloak=http://127.0.0.1:8180 orgate.json

  # With every default written out, as JSON.
  orgate check --print orgate.yaml > orgate.json`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			clusters, err := parseClusters(o.clusters)
			if err != nil {
				return err
			}
			if len(clusters) > 0 && !o.online {
				return errors.New("--cluster: has no meaning without --online")
			}
			if o.ca != "" && !o.online {
				return errors.New("--ca: has no meaning without --online")
			}
			if o.output != "text" && o.output != "json" {
				return fmt.Errorf("--output: must be text or json, got %q", o.output)
			}
			roots, err := authorities(o.ca, cmd.InOrStdin())
			if err != nil {
				return &failure{err}
			}
			c := &checker{checkOptions: o, file: args[0], client: keyfetch.Client{Clusters: clusters, RootCAs: roots},
				out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
			return c.run(cmd.Context(), cmd.InOrStdin())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.print, "print", false, "print the effective configuration as JSON, with every default")
	f.BoolVar(&o.online, "online", false, "fetch the issuers' keys, and tell which are used")
	f.StringVar(&o.ca, "ca", "",
		"with --online, trust the certificate authorities in `FILE` alone (default those of the system)")
	f.StringArrayVar(&o.clusters, "cluster", nil,
		"with --online, ask for the cluster NAME's keys at URL, as `NAME=URL`; may be repeated")
	f.StringVar(&o.output, "output", "text", "write findings as `FORMAT`: text or json")
	f.BoolVar(&o.strict, "strict", false, "fail on warnings as on errors")
	complete(cmd, "output", "text", "json")
	return cmd
}

// oneFile asks for exactly one file.
func oneFile(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return errors.New("a file is missing")
	case 1:
		return nil
	}
	return fmt.Errorf("one file at a time, got %d", len(args))
}

// complete has the shell offer the values of a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag,
		cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
}

// parseClusters reads flags of the form NAME=URL. Errors are those of usage.
func parseClusters(flags []string) (map[string]*url.URL, error) {
	clusters := map[string]*url.URL{}
	for _, c := range flags {
		name, location, ok := strings.Cut(c, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--cluster: must be NAME=URL, got %q", c)
		}
		if clusters[name] != nil {
			return nil, fmt.Errorf("--cluster: %q is given twice", name)
		}
		var err error
		if clusters[name], err = parseServer(location); err != nil {
			return nil, fmt.Errorf("--cluster %s: %w", name, err)
		}
	}
	return clusters, nil
}

// oneStdin refuses standard input for two things. The flags' values are files,
// or NAME=FILE.
func oneStdin(flags ...string) error {
	n := 0
	for _, file := range flags {
		if file == "-" || strings.HasSuffix(file, "=-") {
			n++
		}
	}
	if n > 1 {
		return errors.New("only one file can be standard input")
	}
	return nil
}

// read reads a file, or standard input if it is "-".
func read(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}

// nameOf is how messages name a file.
func nameOf(file string) string {
	if file == "-" {
		return "<stdin>"
	}
	return file
}

// checker does what "orgate check" is to do.
type checker struct {
	checkOptions
	file     string
	client   keyfetch.Client
	out, err io.Writer
}

// result is the result for programs.
type result struct {
	File          string           `json:"file"`
	Errors        []advice.Finding `json:"errors"`
	Warnings      []advice.Finding `json:"warnings"`
	Keys          []keyfetch.Keys  `json:"keys,omitempty"`
	Configuration json.RawMessage  `json:"configuration,omitempty"`
}

func (c *checker) run(ctx context.Context, stdin io.Reader) error {
	document, err := read(c.file, stdin)
	if err != nil {
		return &failure{err}
	}
	report := advice.Read(string(document))
	r := result{
		File:     nameOf(c.file),
		Errors:   append([]advice.Finding{}, report.Errors...),
		Warnings: append([]advice.Finding{}, report.Warnings...),
	}
	if report.Config != nil && c.online {
		c.fetch(ctx, report, &r)
	}
	if report.Config != nil && c.print {
		r.Configuration = schema.Render(report.Config)
	}
	write := c.writeText
	if c.output == "json" {
		write = c.writeJSON
	}
	if err := write(&r); err != nil {
		return &failure{err}
	}
	if len(r.Errors) > 0 || c.strict && len(r.Warnings) > 0 {
		return &failure{errReported}
	}
	return nil
}

// fetch fetches the keys of each issuer that names a location. An issuer
// without keys is an error.
func (c *checker) fetch(ctx context.Context, report *advice.Result, r *result) {
	for i := range report.Config.Issuers {
		issuer := &report.Config.Issuers[i]
		source := issuer.SignatureValidation.JWKS
		if source == nil || source.Inline != "" {
			continue
		}
		keys := c.client.Issuer(ctx, issuer)
		r.Keys = append(r.Keys, keys)
		if keys.Error != "" {
			path := report.IssuerPath(issuer.Name) + ".signatureValidation.jwks." + keys.Path
			line, column := report.Place(path)
			r.Errors = append(r.Errors, advice.Finding{Path: path, Line: line, Column: column, Message: keys.Error})
		}
	}
}

func (c *checker) writeJSON(r *result) error {
	e := json.NewEncoder(c.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// writeText writes findings as compilers do.
func (c *checker) writeText(r *result) error {
	var b bytes.Buffer
	to := c.out
	if c.print {
		to = c.err
	}
	p := paletteOf(to)
	line := func(f *advice.Finding, kind, message string) {
		if f.Path != "" {
			message = f.Path + ": " + message
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s: %s\n", r.File, f.Line, f.Column, kind, message)
	}
	for i := range r.Errors {
		line(&r.Errors[i], p.red("error"), r.Errors[i].Message)
	}
	for i := range r.Warnings {
		line(&r.Warnings[i], p.yellow("warning"), r.Warnings[i].Message+" ("+r.Warnings[i].Code+")")
	}
	for i := range r.Keys {
		writeKeys(&b, p, r.File, &r.Keys[i])
	}
	fmt.Fprintf(&b, "%s: %s, %s\n", r.File, count(len(r.Errors), "error", "errors"),
		count(len(r.Warnings), "warning", "warnings"))
	if _, err := to.Write(b.Bytes()); err != nil {
		return err
	}
	_, err := c.out.Write(r.Configuration)
	return err
}

func writeKeys(b *bytes.Buffer, p palette, file string, keys *keyfetch.Keys) {
	if keys.Error != "" && len(keys.Keys) == 0 {
		return
	}
	fmt.Fprintf(b, "%s: keys of issuer %q, from %s\n", file, keys.Issuer, keys.Location)
	for _, k := range keys.Keys {
		if !k.Usable {
			fmt.Fprintf(b, "  %s  %s: %s\n", p.yellow("not used"), k.Name, k.Reason)
			continue
		}
		algorithm := "any algorithm"
		if k.Algorithm != "" {
			algorithm = k.Algorithm
		}
		fmt.Fprintf(b, "  %s      %s: %s, %s, thumbprint %s\n", p.green("used"), k.Name, algorithm, k.Type,
			k.Thumbprint)
	}
}

func count(n int, one, many string) string {
	switch n {
	case 0:
		return "no " + many
	case 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
