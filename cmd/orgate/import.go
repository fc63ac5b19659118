package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"orgate/admin/apk"
	"orgate/config"
)

// importOptions are the flags of "orgate import" as they were given.
type importOptions struct {
	out, clusters, organization, environment, namespace, trustedCA string
}

func newImport() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use: "import FILE...",

		Short: "Make a configuration of WSO2's token issuers and Key Managers",
		Long: `Read what WSO2 APK and API Manager know of identity providers, and write the
plugin's configuration and the Envoy clusters that keys are fetched through,
with TLS and the resources' certificate authorities. Files may hold

  - TokenIssuer resources (dp.wso2.com/v1alpha1 and v1alpha2), and the Secrets
    and ConfigMaps that they refer to,
  - the values of APK's Helm charts, with wso2.apk.idp or wso2.kgw.idp (or idp
    alone, as older documents have it), and
  - Key Managers, as JSON of API Manager's admin API.

They may hold many documents and lists; "-" is standard input. A mapping to
x-wso2-organization becomes the organization claim. What is not carried over is
said on standard error, field by field.

The configuration goes to standard output, or with --out to DIR/orgate.json and
the clusters to DIR/clusters.yaml. Files that are there are written anew. The
clusters alone have the certificate authorities that resources name: "orgate
render" reads them there (--clusters).

Which organization a request needs is not in the files. If all issuers are of
one organization it is that one; otherwise --organization says where it is:

  org1                     every request needs organization org1, which is
                           that of Key Managers, too
  "*"                      any organization that the token proves
  "{org}.api.example.com"  the host says it
  "/t/{org}/"              the path's beginning says it
  route:orgate.organization
                           Envoy's route says it in its metadata: filter and key
                           (the default); a route that does not is closed

The exit status is 0 if the configuration was written, 2 if a flag is wrong,
and 1 otherwise: if a file cannot be read, two resources have one name, a
Secret is missing, an issuer is in several organizations with nothing to tell
its tokens apart, or the plugin would refuse the outcome. Nothing is written
then.`,
		Example: `  orgate import idp-org-token-issuer.yaml > orgate.json

  kubectl get tokenissuers,configmaps,secrets -n apk -o yaml |
    orgate import - --out envoy --organization '{org}.api.example.com'

  orgate import values.yaml idp-secret.yaml --namespace apk --clusters clusters.yaml \
    --organization '/t/{org}/' > orgate.json

  orgate import keymanager.json --organization carbon.super --out envoy`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("a file is missing")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := o.check()
			if err != nil {
				return err
			}
			sources, err := readSources(args, cmd.InOrStdin())
			if err != nil {
				return &failure{err}
			}
			result := apk.Import(sources, options)
			if err := o.report(cmd.ErrOrStderr(), result); err != nil {
				return &failure{err}
			}
			if err := o.write(cmd.OutOrStdout(), result); err != nil {
				return &failure{err}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.out, "out", "", "write orgate.json and clusters.yaml into `DIR`, which is made if need be")
	f.StringVar(&o.clusters, "clusters", "", "write the Envoy clusters to `FILE`")
	f.StringVar(&o.organization, "organization", "",
		"where the organization that a request needs is, as an `ORGANIZATION` or a pattern")
	f.StringVar(&o.environment, "environment", "", "keep the issuers of the environment `NAME` alone")
	f.StringVar(&o.namespace, "namespace", "default",
		"take resources without a namespace, and the Helm release, to be in `NAME`")
	f.StringVar(&o.trustedCA, "trusted-ca", "/etc/ssl/certs/ca-certificates.crt",
		"have Envoy trust the authorities in `FILE` where a resource names none")
	return cmd
}

// check reads the flags. Its errors are those of usage.
func (o *importOptions) check() (apk.Options, error) {
	options := apk.Options{Namespace: o.namespace, Environment: o.environment, TrustedCA: o.trustedCA}
	if o.out != "" && o.clusters != "" {
		return options, errors.New("--clusters: has no meaning with --out, which writes them, too")
	}
	if o.namespace == "" {
		return options, errors.New("--namespace: must not be empty")
	}
	metadata, isMetadata := strings.CutPrefix(o.organization, "route:")
	switch {
	case isMetadata:
		options.Organization.FromRouteMetadata = metadata
	case strings.HasPrefix(o.organization, "/"):
		options.Organization.FromPath = o.organization
	case strings.Contains(o.organization, "{"):
		options.Organization.FromHost = o.organization
	default:
		options.Organization.Literal = o.organization
	}
	if options.Organization.IsZero() {
		if isMetadata {
			return options, errors.New("--organization: route: needs a filter and a key")
		}
		return options, nil
	}
	return options, checkOrganization(options.Organization)
}

// checkOrganization has package config judge an organization's source.
func checkOrganization(o config.Organization) error {
	_, err := config.Parse(string(apk.Probe(o)))
	var mistakes config.ErrorList
	if errors.As(err, &mistakes) {
		return fmt.Errorf("--organization: %s", mistakes[0].Message)
	}
	return err
}

func readSources(files []string, stdin io.Reader) ([]apk.Source, error) {
	var sources []apk.Source
	for i, file := range files {
		for _, before := range files[:i] {
			if filepath.Clean(before) == filepath.Clean(file) {
				return nil, fmt.Errorf("%s: is given twice", nameOf(file))
			}
		}
		text, err := read(file, stdin)
		if err != nil {
			return nil, err
		}
		sources = append(sources, apk.Source{Name: nameOf(file), Text: string(text)})
	}
	return sources, nil
}

// report writes the findings. Its error is errReported if there are problems.
func (o *importOptions) report(to io.Writer, result *apk.Result) error {
	p := paletteOf(to)
	for _, f := range result.Findings {
		kind := p.yellow("note")
		if f.Problem {
			kind = p.red("error")
		}
		place, message := f.Split()
		if _, err := fmt.Fprintf(to, "%s%s: %s\n", place, kind, message); err != nil {
			return err
		}
	}
	if n := result.Problems(); n > 0 {
		if _, err := fmt.Fprintf(to, "%s: nothing was written\n", count(n, "error", "errors")); err != nil {
			return err
		}
		return errReported
	}
	if len(result.Clusters) > 0 && o.out == "" && o.clusters == "" {
		alone := ""
		if len(result.Authorities) > 0 {
			alone = "; nothing else has the certificate authorities of " + strings.Join(
				slices.Sorted(maps.Keys(result.Authorities)), ", ")
		}
		_, err := fmt.Fprintf(to, "%s: Envoy needs the %s, which --clusters FILE writes%s\n", p.yellow("note"),
			plural(len(result.ClusterNames), "cluster ", "clusters ")+strings.Join(result.ClusterNames, ", "), alone)
		return err
	}
	return nil
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func (o *importOptions) write(stdout io.Writer, result *apk.Result) error {
	clusters := o.clusters
	if o.out == "" {
		if _, err := stdout.Write(result.Configuration); err != nil {
			return err
		}
	} else {
		if err := os.MkdirAll(o.out, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(o.out, "orgate.json"), result.Configuration, 0o644); err != nil {
			return err
		}
		clusters = filepath.Join(o.out, "clusters.yaml")
	}
	if clusters == "" {
		return nil
	}
	if result.Clusters == nil {
		return os.WriteFile(clusters, []byte("clusters: []\n"), 0o644) // and none of an import before
	}
	return os.WriteFile(clusters, result.Clusters, 0o644)
}
