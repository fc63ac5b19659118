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

// gridRequest is what the grid's sources read org1 from.
var gridRequest = &Request{
	Method: "GET", Host: grid.Host, Path: grid.Path,
	RouteMetadata: func(name string) (string, bool) { return "org1", name == "orgate.organization" },
}

// gridEntries are the issuers of a kind.
func gridEntries(kind grid.Issuer) []config.Issuer {
	var issuers []config.Issuer
	for _, e := range kind.Entries {
		i := issuer(e.Name, e.Organization)
		if e.Claim {
			byClaim(&i)
		}
		if e.OrIssuer {
			orIssuer(&i)
		}
		i.OrganizationMapping = e.Mapping
		i.SharedAcrossOrganizations = e.Shared
		issuers = append(issuers, i)
	}
	return issuers
}

// judge returns the verdict of the whole package.
func judge(t *testing.T, c *config.Config, claim string) string {
	t.Helper()
	p := New(c)
	payload := `{"iss":` + quote(iss) + `,"sub":"me"`
	if claim != "" {
		payload += `,"org":` + claim
	}
	claims := claimsOf(t, payload+"}")
	r, err := p.Route(gridRequest)
	if err != nil {
		t.Fatal(err)
	}
	required, err := r.RequiredOrganization(gridRequest)
	if err != nil && !errors.Is(err, ErrOrganization) || (err != nil) != (required == "") {
		t.Fatal(required, err)
	}
	i, err := p.Issuer(r, required, claims)
	if err != nil {
		t.Fatal(err)
	}
	id, err := i.Identify(claims)
	if err == nil {
		err = r.Authorize(required, i, id)
	}
	switch {
	case err == nil:
		if id.Headers[0] != [2]string{"x-wso2-organization", id.Organization} {
			t.Errorf("headers: %v", id.Headers)
		}
		return "passes as `" + id.Organization + "`"
	case errors.Is(err, ErrClaim):
		return grid.Invalid
	case errors.Is(err, ErrOrganization):
		return grid.Forbidden
	}
	t.Fatal(err)
	return ""
}

func TestOrganizations(t *testing.T) {
	for _, kind := range grid.Issuers {
		for n, token := range grid.Tokens {
			for _, source := range grid.Sources {
				t.Run(kind.Title+"/"+token.Title+"/"+source.Title, func(t *testing.T) {
					claim := token.Claim
					if kind.Mapped {
						claim = token.Mapped
					}
					c := &config.Config{
						Issuers: gridEntries(kind), Organization: source.Top, Headers: defaultHeaders,
						Rules: []config.Rule{{Organization: source.Rule}},
					}
					if source.Rule.IsZero() && source.Top.IsZero() {
						// The issuers must differ, or theirs is required.
						c.Issuers = append(c.Issuers[:len(c.Issuers):len(c.Issuers)], issuer("z", "z", of("https://z.example.com")))
					}
					want := kind.Verdicts[n].Of(source.Kind)
					if got := judge(t, c, claim); got != want {
						t.Errorf("got %s, want %s", got, want)
					}
				})
			}
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

// writeGrid writes the grid as Markdown: a table for each kind of issuer.
func writeGrid() string {
	var b strings.Builder
	line := func(cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	b.WriteString(`# Organizations

What becomes of a request, for every kind of [organization source](configuration.md#organization), of
[issuer](configuration.md#the-organization-of-a-token) and of token. Each cell is tested through the plugin.

The rule requires ` + "`org1`" + ` in all columns but the last two: it requires any organization that the token proves
in ` + "`\"*\"`" + `, and its source yields nothing in the last one. No token is of no organization, so that column never
passes; a token that is refused for itself is refused as such. 401 is an invalid token, 403 another organization.
`)
	for _, kind := range grid.Issuers {
		b.WriteString("\n**Issuer: " + kind.Title + "**\n\n")
		header, rule := []string{"token"}, []string{"---"}
		seen := map[string]bool{}
		for _, s := range grid.Sources {
			if !seen[s.Title] {
				seen[s.Title] = true
				header, rule = append(header, s.Title), append(rule, "---")
			}
		}
		line(append(header, "why")...)
		line(append(rule, "---")...)
		for n, token := range grid.Tokens {
			cells, done := []string{token.Title}, map[string]bool{}
			for _, s := range grid.Sources {
				if !done[s.Title] {
					done[s.Title] = true
					cells = append(cells, kind.Verdicts[n].Of(s.Kind))
				}
			}
			line(append(cells, kind.Verdicts[n].Why)...)
		}
	}
	return b.String()
}
