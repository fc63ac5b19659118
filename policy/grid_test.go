package policy

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/config"
	"orgate/e2e/scenario/grid"
)

var update = flag.Bool("update", false, "write docs/organizations.md anew")

// gridDocument is a configuration with issuers of a kind, where the required
// organization comes from a source.
func gridDocument(kind grid.Issuer, source grid.Source) string {
	var issuers []string
	for _, e := range kind.Entries {
		issuers = append(issuers, e.JSON(iss, `"signatureValidation": {"jwks": {"inline": {"keys": []}}}`))
	}
	document := `{"issuers": [` + strings.Join(issuers, ", ") + `]`
	if source.Rule != "" {
		return document + `, "rules": [{"organization": ` + source.Rule + `}]}`
	}
	return document + `, "organization": ` + source.Top + `}`
}

// verdict is what the whole package makes of a token.
func verdict(t *testing.T, p *Policy, payload string) string {
	t.Helper()
	q := &Request{
		Method: "GET", Host: grid.Host, Path: grid.Path,
		RouteMetadata: func(name string) (string, bool) { return "org1", name == "orgate.organization" },
	}
	r, err := p.Route(q)
	if err != nil {
		t.Fatal(err)
	}
	required, err := r.RequiredOrganization(q)
	if err != nil && !errors.Is(err, ErrOrganization) || (err != nil) != (required == "") {
		t.Fatal(required, err)
	}
	_, id, err := judged(t, p, r, required, payloadClaims(t, payload))
	switch {
	case err == nil:
		if id.Headers[0] != [2]string{"x-wso2-organization", id.Organization} {
			t.Errorf("headers: %v", id.Headers)
		}
		return "passes as `" + id.Organization + "`"
	case errors.Is(err, ErrClaim), errors.Is(err, ErrUnknownIssuer):
		return grid.Invalid
	case errors.Is(err, ErrOrganization):
		return grid.Forbidden
	}
	t.Fatal(err)
	return ""
}

func TestOrganizations(t *testing.T) {
	for _, kind := range grid.Issuers {
		for _, source := range grid.Sources {
			p := New(parse(t, gridDocument(kind, source)))
			for n, token := range grid.Tokens {
				t.Run(kind.Title+"/"+token.Title+"/"+source.Title, func(t *testing.T) {
					want := kind.Verdicts[n].Of(source.Kind)
					claims := `{"sub":"me","iss":` + quote(token.Iss(kind, iss))
					if members := token.Members(kind); members != "" {
						claims += "," + members
					}
					if got := verdict(t, p, claims+"}"); got != want {
						t.Errorf("got %s, want %s", got, want)
					}
				})
			}
		}
	}
}

// TestOrganizationsThatNoConfigurationHas: package config refuses them for what
// they say of organizations.
func TestOrganizationsThatNoConfigurationHas(t *testing.T) {
	for _, kind := range grid.Refused {
		_, err := config.Parse(gridDocument(kind, grid.Sources[0]))
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), "organization") {
			t.Errorf("%s: %v", kind.Title, err)
		}
	}
}

func TestOrganizationsAreWrittenOut(t *testing.T) {
	const golden = "../docs/organizations.md"
	got := writeGrid()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("go test -update writes it anew (-want +got)\n%s", diff)
	}
}

// writeGrid writes the grid as Markdown: a table for each kind of issuer, in
// which tokens of one verdict share a row.
func writeGrid() string {
	var b strings.Builder
	line := func(cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	b.WriteString(`# Organizations

What becomes of a token, for each kind of [issuer](configuration.md#the-organization-of-a-token) and of requirement. Each
cell is tested through the plugin, with a JWT, with a JWT that is bound to the client's certificate, and with an opaque
token whose claims the provider tells. These make no difference to the verdict, but a token that is bound to another
certificate is 401 in every cell.

- **` + "`org1`" + `**: the rule requires ` + "`org1`" + `: it says so, the top level does, or the host, the path or the
  route's metadata name it. These make no difference to the verdict.
- **` + "`\"*\"`" + `**: the rule requires any organization that the token proves.
- **none**: the rule takes the organization from the request, which names none. No token is of no organization.

The organization claim is ` + "`org`" + ` if the table does not say otherwise. An issuer of many tenants has
` + "`{tid}` in its `issuer`, and its tokens have the claim `tid` instead of `org`" + `. 401 is an invalid token, 403 another
organization. A token that is refused for itself is refused as such, whatever the rule requires.
`)
	for _, kind := range grid.Issuers {
		b.WriteString("\n**Issuer: " + kind.Title + "**\n\n")
		line("token", "`org1`", "`\"*\"`", "none", "why")
		line("---", "---", "---", "---", "---")
		var verdicts []grid.Verdicts
		tokens := map[grid.Verdicts][]string{}
		for n, v := range kind.Verdicts {
			if tokens[v] == nil {
				verdicts = append(verdicts, v)
			}
			tokens[v] = append(tokens[v], grid.Tokens[n].Title)
		}
		for i, v := range verdicts {
			cell := strings.Join(tokens[v], "; ")
			switch {
			case len(verdicts) == 1:
				cell = "any"
			case i == len(verdicts)-1 && len(tokens[v]) > len(grid.Tokens)/2:
				cell = "any other"
			}
			line(cell, v.Named, v.Any, v.Of(grid.Nothing), v.Why)
		}
	}
	b.WriteString(`
No configuration may have these issuers:

`)
	for _, kind := range grid.Refused {
		b.WriteString("- " + kind.Title + ".\n")
	}
	return b.String()
}
