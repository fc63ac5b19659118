package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"orgate/admin/advice"
	"orgate/cmd/orgate/internal/explain"
	"orgate/cmd/orgate/internal/keyfetch"
	"orgate/config"
)

// explainOptions are the flags of "orgate explain" as they were given.
type explainOptions struct {
	config, request, requestFile, token, at, output, clientCert string
	answers                                                     []string
	headers, keySets, clusters, metadatas                       []string
}

func newExplain() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use: "explain --config FILE {--request 'METHOD URL' | --request-file FILE} [--token FILE]",

		DisableFlagsInUseLine: true,

		Short: "Say what the plugin makes of a request, and why",
		Long: `Judge one request and print each step of the decision: the rule, the issuer,
the key, the claims and what each is used for, the organization that is
required and the one that is proven, the headers that the upstream gets, and
the response. The step that refuses the request is marked.

The request is judged by the package that the plugin is made of.

A whole request is read from a file with --request-file, or from standard input
with "--request-file -": a line with the method and the URL, then the headers,
tokens and cookies included, then an empty line and the body, if there is one.
With --request, a token is read from a file or, with "--token -", from standard
input, and sent in the first place that the configuration takes tokens from.
Tokens are never printed, and no part of them. Of the claims the names are
printed, and the values that the plugin decides by or hands on.

Nothing leaves the machine but requests for keys: those of the issuer that the
token names are fetched from the URLs in the configuration, from the address
given with --cluster, or read from the file given with --jwks. The provider is
never asked about an opaque token: --introspection has what it would say. Any
one file may be "-", standard input.

The exit status is 0 if the plugin lets the request pass, 3 if it refuses it, 2
if a flag is wrong, and 1 if a file cannot be read or the configuration has
errors.`,
		Example: `  orgate explain --config orgate.json --request 'GET https://api.example.com/orders' --token token.txt

  # The token never touches the disk, the keys come from a file.
  fetch-token | orgate explain --config orgate.json --token - --jwks auth0=jwks.json \
    --request 'POST https://org1.api.example.com/orders' --header 'origin: https://app.example.com'

  # A whole request, with all its headers and cookies, for a script.
  orgate explain --config orgate.json --request-file request.txt --output json

  # What would have happened yesterday, on a route of organization org1.
  orgate explain --config orgate.json --token token.txt --request 'GET https://api.example.com/' \
    --at 2026-11-21T12:00:00Z --route-metadata orgate.organization=org1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			x, err := o.check()
			if err != nil {
				return err
			}
			return x.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", "read the plugin's configuration from `FILE`, \"-\" for standard input "+
		"(required)")
	f.StringVar(&o.request, "request", "", "explain the request '`METHOD URL`'")
	f.StringVar(&o.requestFile, "request-file", "", "read the whole request from `FILE`, \"-\" for standard input")
	f.StringVar(&o.token, "token", "", "read the token from `FILE`, \"-\" for standard input (default none)")
	f.StringArrayVar(&o.headers, "header", nil, "send the header '`NAME: VALUE`'; may be repeated")
	f.StringArrayVar(&o.keySets, "jwks", nil, "read an issuer's JWK Set from a file, as `ISSUER=FILE`; may be repeated")
	f.StringArrayVar(&o.answers, "introspection", nil,
		"read what an issuer's provider says of the token from a file, as `ISSUER=FILE`; may be repeated")
	f.StringArrayVar(&o.clusters, "cluster", nil,
		"ask for the cluster NAME's keys at URL, as `NAME=URL`; may be repeated")
	f.StringArrayVar(&o.metadatas, "route-metadata", nil,
		"metadata of the route, as `FILTER.KEY=VALUE`; may be repeated")
	f.StringVar(&o.clientCert, "client-cert", "", "have the client show the certificate in `FILE`, PEM (default none)")
	f.StringVar(&o.at, "at", "", "judge the request at `TIME`, such as 2026-11-22T12:00:00Z (default now)")
	f.StringVar(&o.output, "output", "text", "print `text` or json")
	return cmd
}

// explainer does what "orgate explain" is to do.
type explainer struct {
	explainOptions
	client  keyfetch.Client
	keyFile map[string]string // by issuer
	answer  map[string]string // a file, by issuer
	input   explain.Input
}

// check reads the flags. Its errors are those of usage.
func (o *explainOptions) check() (*explainer, error) {
	x := &explainer{explainOptions: *o, keyFile: map[string]string{}, answer: map[string]string{}}
	x.input.Now = time.Now()
	err := oneStdin(slices.Concat([]string{o.config, o.token, o.requestFile}, o.keySets, o.answers)...)
	switch {
	case o.config == "":
		return nil, errors.New("--config is missing")
	case (o.request == "") == (o.requestFile == ""):
		return nil, errors.New("one of --request and --request-file is needed")
	case o.requestFile != "" && (o.token != "" || len(o.headers) > 0):
		return nil, errors.New("--request-file: the request's headers, its token among them, belong in the file")
	case err != nil:
		return nil, err
	case o.output != "text" && o.output != "json":
		return nil, fmt.Errorf("--output: must be text or json, got %q", o.output)
	}
	if x.client.Clusters, err = parseClusters(o.clusters); err != nil {
		return nil, err
	}
	r := &x.input.Request
	if o.request != "" {
		if *r, err = parseRequestLine(o.request); err != nil {
			return nil, fmt.Errorf("--request: %w", err)
		}
	}
	for _, h := range o.headers {
		header, err := parseHeader(h)
		if err != nil {
			return nil, fmt.Errorf("--header: %w", err)
		}
		r.Headers = append(r.Headers, header)
	}
	if err := filesOfIssuers("--jwks", o.keySets, x.keyFile); err != nil {
		return nil, err
	}
	if err := filesOfIssuers("--introspection", o.answers, x.answer); err != nil {
		return nil, err
	}
	if r.Metadata, err = parseMetadata(o.metadatas); err != nil {
		return nil, err
	}
	if o.at != "" {
		if x.input.Now, err = time.Parse(time.RFC3339, o.at); err != nil {
			return nil, fmt.Errorf("--at: must be a time such as 2026-11-22T12:00:00Z, got %q", o.at)
		}
	}
	return x, nil
}

// filesOfIssuers reads the values of a flag, each "ISSUER=FILE".
func filesOfIssuers(flag string, values []string, files map[string]string) error {
	for _, value := range values {
		name, file, ok := strings.Cut(value, "=")
		if !ok || name == "" || file == "" {
			return fmt.Errorf("%s: must be ISSUER=FILE, got %q", flag, value)
		}
		if files[name] != "" {
			return fmt.Errorf("%s: %q is given twice", flag, name)
		}
		files[name] = file
	}
	return nil
}

func parseMetadata(flags []string) (map[string]string, error) {
	metadata := map[string]string{}
	for _, m := range flags {
		name, value, ok := strings.Cut(m, "=")
		if dot := strings.LastIndexByte(name, '.'); !ok || dot <= 0 || dot == len(name)-1 {
			return nil, fmt.Errorf("--route-metadata: must be FILTER.KEY=VALUE, got %q", m)
		}
		metadata[name] = value
	}
	return metadata, nil
}

// parseRequestLine reads "METHOD URL". The path is kept as it is written: that is
// what the plugin judges.
func parseRequestLine(text string) (explain.Request, error) {
	method, location, _ := strings.Cut(text, " ")
	scheme, rest, ok := strings.Cut(location, "://")
	r := explain.Request{Method: method, Scheme: strings.ToLower(scheme)}
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		rest, r.Path = rest[:end], rest[end:]
	}
	r.Host = rest
	if !strings.HasPrefix(r.Path, "/") {
		r.Path = "/" + r.Path
	}
	if !ok || r.Method == "" || r.Method != strings.ToUpper(method) || r.Host == "" || r.Scheme != "http" &&
		r.Scheme != "https" ||
		strings.ContainsFunc(location, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return r, errors.New("must be a method in capitals and an absolute http(s) URL, such as 'GET " +
			"https://api.example.com/orders'")
	}
	return r, nil
}

// parseHeader reads "NAME: VALUE".
func parseHeader(line string) (header [2]string, err error) {
	name, value, ok := strings.Cut(line, ":")
	name = strings.ToLower(strings.TrimSpace(name))
	switch {
	case !ok || name == "" || strings.ContainsAny(line, "\r\n"):
		return header, errors.New("must be 'NAME: VALUE'")
	case name == "host":
		return header, errors.New("host belongs in the request's URL")
	}
	return [2]string{name, strings.TrimSpace(value)}, nil
}

// parseRequest reads a whole request: a line as [parseRequestLine] has it, the
// headers, an empty line, and the body. No error repeats a header's value.
func parseRequest(text string) (explain.Request, error) {
	head, body, _ := strings.Cut(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n")
	lines := strings.Split(strings.TrimRight(head, "\n"), "\n")
	r, err := parseRequestLine(lines[0])
	if err != nil {
		return r, fmt.Errorf("line 1: %w", err)
	}
	for i, line := range lines[1:] {
		header, err := parseHeader(line)
		if err != nil {
			return r, fmt.Errorf("line %d: %w", i+2, err)
		}
		r.Headers = append(r.Headers, header)
	}
	r.Body = strings.TrimSpace(body) != ""
	return r, nil
}

func (x *explainer) run(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	if err := x.prepare(stdin); err != nil {
		var usage *usageError
		if errors.As(err, &usage) {
			return usage.err
		}
		return &failure{err}
	}
	return x.write(ctx, stdout)
}

// write explains the request, and returns errRefused if the plugin refuses it.
func (x *explainer) write(ctx context.Context, stdout io.Writer) error {
	e, err := explain.Explain(ctx, &x.input)
	if err != nil {
		return &failure{err}
	}
	text := explained(e, paletteOf(stdout))
	if x.output == "json" {
		if text, err = json.MarshalIndent(e, "", "  "); err != nil {
			return &failure{err}
		}
		text = append(text, '\n')
	}
	if _, err := stdout.Write(text); err != nil {
		return &failure{err}
	}
	if !e.Passed {
		return errRefused
	}
	return nil
}

// usageError is an error of usage that only the configuration reveals.
type usageError struct{ err error }

func (u *usageError) Error() string { return u.err.Error() }

// prepare reads the files.
func (x *explainer) prepare(stdin io.Reader) error {
	document, err := read(x.config, stdin)
	if err != nil {
		return err
	}
	report := advice.Read(string(document))
	if report.Config == nil {
		return faults(nameOf(x.config), report)
	}
	x.input.Config = report.Config
	if err := x.prepareRequest(stdin); err != nil {
		return err
	}
	if x.input.Request.Certificate, err = certificateDigest(x.clientCert, stdin); err != nil {
		return err
	}
	if err := x.answerWith(stdin); err != nil {
		return err
	}
	return x.fetchWith(stdin)
}

// fetchWith says how keys are fetched: from files, if they stand in for their
// locations.
func (x *explainer) fetchWith(stdin io.Reader) error {
	given, err := x.keyDocuments(stdin)
	if err != nil {
		return err
	}
	x.input.Get = func(ctx context.Context, l explain.Location) (*explain.Document, error) {
		if d := given[l.Cluster+" "+l.URL]; d != nil {
			return d, nil
		}
		d, err := x.client.Get(ctx, l.Cluster, l.URL, l.Timeout)
		if err != nil {
			return nil, err
		}
		return &explain.Document{Status: d.Status, Header: d.Header, Body: d.Body}, nil
	}
	return nil
}

// answerWith reads what providers would say of the token.
func (x *explainer) answerWith(stdin io.Reader) error {
	answers := map[string]string{}
	for name, file := range x.answer {
		if !slices.ContainsFunc(x.input.Config.Issuers,
			func(i config.Issuer) bool { return i.Name == name && i.Introspection != nil }) {
			return fmt.Errorf("--introspection: the configuration has no issuer %q that is asked", name)
		}
		text, err := read(file, stdin)
		if err != nil {
			return err
		}
		answers[name] = string(text)
	}
	x.input.Answer = func(issuer string) string { return answers[issuer] }
	return nil
}

// certificateDigest is what a proxy tells of the client's certificate in a file.
func certificateDigest(file string, stdin io.Reader) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := read(file, stdin)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return "", fmt.Errorf("%s: no PEM certificate", nameOf(file))
	}
	return fmt.Sprintf("%x", sha256.Sum256(block.Bytes)), nil
}

// prepareRequest reads the request's file, or puts the token in the first place
// that the configuration names.
func (x *explainer) prepareRequest(stdin io.Reader) error {
	r := &x.input.Request
	if x.requestFile != "" {
		text, err := read(x.requestFile, stdin)
		if err != nil {
			return err
		}
		metadata := r.Metadata
		if *r, err = parseRequest(string(text)); err != nil {
			return fmt.Errorf("%s: %w", nameOf(x.requestFile), err)
		}
		r.Metadata = metadata
		return nil
	}
	if err := x.refuseTokens(); err != nil {
		return &usageError{err}
	}
	if x.token == "" {
		return nil
	}
	text, err := read(x.token, stdin)
	if err != nil {
		return err
	}
	token := trimToken(string(text))
	if token == "" {
		return fmt.Errorf("%s: there is no token in it", nameOf(x.token))
	}
	x.place(token)
	return nil
}

// place puts a token in the first place that the configuration names.
func (x *explainer) place(token string) {
	r := &x.input.Request
	switch places := &x.input.Config.TokenSources; {
	case len(places.Headers) > 0:
		r.Headers = append(r.Headers, [2]string{places.Headers[0].Name, places.Headers[0].Prefix + token})
	case len(places.Query) > 0:
		separator := "?"
		if strings.Contains(r.Path, "?") {
			separator = "&"
		}
		r.Path += separator + url.QueryEscape(places.Query[0]) + "=" + url.QueryEscape(token)
	default:
		r.Headers = append(r.Headers, [2]string{"cookie", places.Cookies[0] + "=" + token})
	}
}

// trimToken takes away what may stand around a token in a file.
func trimToken(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 7 && strings.EqualFold(text[:7], "bearer ") {
		text = strings.TrimSpace(text[7:])
	}
	return text
}

// refuseTokens refuses tokens on the command line, where other users of the
// machine can see them.
func (x *explainer) refuseTokens() error {
	sources := &x.input.Config.TokenSources
	const instead = "give the token with --token FILE: others can see the command line"
	for _, h := range x.input.Request.Headers {
		if slices.ContainsFunc(sources.Headers, func(s config.HeaderSource) bool { return s.Name == h[0] }) {
			return fmt.Errorf("--header %s: %s", h[0], instead)
		}
		if h[0] == "cookie" {
			for pair := range strings.SplitSeq(h[1], ";") {
				if name, _, _ := strings.Cut(pair, "="); slices.Contains(sources.Cookies, strings.TrimSpace(name)) {
					return fmt.Errorf("--header cookie: %s", instead)
				}
			}
		}
	}
	_, query, _ := strings.Cut(x.input.Request.Path, "?")
	for parameter := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(parameter, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if slices.Contains(sources.Query, name) {
			return fmt.Errorf("--request: %s", instead)
		}
	}
	return nil
}

// keyDocuments reads the files that stand in for locations, by cluster and URL.
// Where the location is a discovery document, one is made that leads to the
// file.
func (x *explainer) keyDocuments(stdin io.Reader) (map[string]*explain.Document, error) {
	documents := map[string]*explain.Document{}
	for name, file := range x.keyFile {
		i := slices.IndexFunc(x.input.Config.Issuers, func(i config.Issuer) bool { return i.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("--jwks: the configuration has no issuer %q", name)
		}
		issuer := &x.input.Config.Issuers[i]
		keys := issuer.SignatureValidation.JWKS
		if keys == nil || keys.Cluster == "" {
			return nil, fmt.Errorf("--jwks: issuer %q fetches no keys", name)
		}
		text, err := read(file, stdin)
		if err != nil {
			return nil, err
		}
		location := keys.URL
		if keys.WellKnown != "" {
			location = keys.WellKnown + "/jwks"
			discovery, err := json.Marshal(map[string]string{"issuer": issuer.DiscoveryIssuer(), "jwks_uri": location})
			if err != nil {
				return nil, err
			}
			documents[keys.Cluster+" "+keys.WellKnown] = &explain.Document{Status: http.StatusOK,
				Body: string(discovery)}
		}
		documents[keys.Cluster+" "+location] = &explain.Document{Status: http.StatusOK, Body: string(text),
			File: nameOf(file)}
	}
	return documents, nil
}

// explained writes an explanation for people.
func explained(e *explain.Explanation, p palette) []byte {
	var b bytes.Buffer
	const indent = "                  "
	for _, s := range e.Steps {
		mark := p.green("ok")
		if s.Refused {
			mark = p.red("no")
		}
		fmt.Fprintf(&b, "%s  %s%s\n", mark, p.bold(fmt.Sprintf("%-14s", s.Name)), s.Lines[0])
		for _, line := range s.Lines[1:] {
			b.WriteString(indent + line + "\n")
		}
	}
	b.WriteByte('\n')
	if e.Passed {
		b.WriteString(p.green("The plugin lets the request pass.") + "\n")
		for _, line := range e.Upstream {
			b.WriteString("  " + line + "\n")
		}
		return b.Bytes()
	}
	b.WriteString(p.red(fmt.Sprintf("The plugin answers %d %s.", e.Response.Status,
		http.StatusText(e.Response.Status))) + "\n")
	if e.Response.GRPC >= 0 {
		fmt.Fprintf(&b, "  gRPC status %d\n", e.Response.GRPC)
	}
	for _, h := range e.Response.Headers {
		fmt.Fprintf(&b, "  %s: %s\n", h[0], h[1])
	}
	if e.Response.Body != "" {
		fmt.Fprintf(&b, "  %s\n", strings.TrimSpace(e.Response.Body))
	}
	return b.Bytes()
}
