package policy

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orgate/orgate/config"
)

var update = flag.Bool("update", false, "write testdata/organizations.md anew")

// The grid: where the required organization comes from, what kind of issuer
// has the token's "iss", and what the token's claim says. The required
// organization is org1 wherever there is one. Every verdict is written out
// below; testdata/organizations.md is the same for readers.

const (
	allowsOrg1 = "passes as `org1`"
	allowsOrg2 = "passes as `org2`"
	allowsT3   = "passes as `t-3`"
	forbidden  = "403"
	invalid    = "401"
)

// gridSources yield org1, anything, or nothing.
var gridSources = []struct {
	title     string
	rule, top config.Organization
	kind      int // 0: org1, 1: "*", 2: nothing
}{
	{title: "literal", rule: literally("org1")},
	{title: "top level", top: literally("org1")},
	{title: "`fromHost`", rule: config.Organization{FromHost: "{org}.api.example.com"}},
	{title: "`fromPath`", rule: config.Organization{FromPath: "/t/{org}/"}},
	{title: "`fromRouteMetadata`", rule: config.Organization{FromRouteMetadata: "orgate.organization"}},
	{title: "`\"*\"`", rule: literally(config.Any), kind: 1},
	{title: "yields nothing", rule: config.Organization{FromHost: "{org}.api.example.net"}, kind: 2},
	{title: "yields nothing", rule: config.Organization{FromPath: "/u/{org}/"}, kind: 2},
	{title: "yields nothing", rule: config.Organization{FromRouteMetadata: "orgate.other"}, kind: 2},
	{title: "yields nothing", kind: 2},
}

var gridRequest = &Request{
	Method: "GET", Host: "org1.api.example.com", Path: "/t/org1/orders",
	RouteMetadata: func(name string) (string, bool) { return "org1", name == "orgate.organization" },
}

var gridMapping = map[string]string{"t-1": "org1", "t-2": "org2"}

// gridTokens are what the claim says: with a mapping, and without.
var gridTokens = []struct{ title, claim, mapped string }{
	{"of `org1`", `"org1"`, `"t-1"`},
	{"of `org2`", `"org2"`, `"t-2"`},
	{"of an organization that no entry names", `"t-3"`, `"t-3"`},
	{"without the claim", ``, ``},
	{"with `\"*\"`", `"*"`, `"*"`},
	{"with the empty string", `""`, `""`},
	{"with an array", `["org1"]`, `["t-1"]`},
}

// verdicts are those of one token: for a rule that requires org1, and for one
// that requires any organization.
type verdicts struct{ named, any, why string }

const (
	bound       = "The claim says the organization that the issuer is bound to."
	notBound    = "The claim says another organization than the issuer is bound to: the token proves neither."
	required    = "An organization claim that the issuer names must be there."
	asterisk    = "`*` in a token is the name of no organization, whatever it is in the configuration."
	emptyString = "An organization is a string that is not empty. A claim that is there and wrong is not a claim that is missing."
	noString    = "An organization is a string; the first of several would be a guess."
	decides     = "The claim decides, and it says the organization that the rule requires."
	decidesElse = "The claim decides: it proves `org2`, which is any organization and is not `org1`."
	noClaim     = "The issuer's tokens are its organization's. It names no claim, so none is read."
	together    = "Each of the entries may call, as `sharedAcrossOrganizations` says, but nothing tells whose the token is: it proves no single organization where any would do."
	byTheOther  = "By the entry for `org2` it proves that organization, which is any organization and is not `org1`."
	byNone      = "No entry with this `iss` is bound to the organization that the claim says."
)

// gridIssuers are kinds of issuers, and the verdicts in the order of
// gridTokens.
var gridIssuers = []struct {
	title    string
	entries  []config.Issuer
	mapped   bool
	verdicts [7]verdicts
}{
	{"bound to `org1`, no claim", []config.Issuer{issuer("a", "org1")}, false, [7]verdicts{
		{allowsOrg1, allowsOrg1, noClaim},
		{allowsOrg1, allowsOrg1, noClaim},
		{allowsOrg1, allowsOrg1, noClaim},
		{allowsOrg1, allowsOrg1, noClaim},
		{allowsOrg1, allowsOrg1, noClaim},
		{allowsOrg1, allowsOrg1, noClaim},
		{allowsOrg1, allowsOrg1, noClaim},
	}},
	{"bound to `org1`, with a claim", []config.Issuer{issuer("a", "org1", byClaim)}, false, [7]verdicts{
		{allowsOrg1, allowsOrg1, bound},
		{forbidden, forbidden, notBound},
		{forbidden, forbidden, notBound},
		{invalid, invalid, required},
		{forbidden, forbidden, asterisk},
		{invalid, invalid, emptyString},
		{invalid, invalid, noString},
	}},
	{"bound to `org1`, with a claim and a mapping", []config.Issuer{issuer("a", "org1", byClaim, mapping(gridMapping))}, true, [7]verdicts{
		{allowsOrg1, allowsOrg1, "The mapping leads from the claim to the organization that the issuer is bound to."},
		{forbidden, forbidden, "The mapping leads to another organization than the issuer is bound to: the token proves neither."},
		{forbidden, forbidden, "A value that the mapping does not list is refused."},
		{invalid, invalid, required},
		{forbidden, forbidden, asterisk},
		{invalid, invalid, emptyString},
		{invalid, invalid, noString},
	}},
	{"bound to `org1`, with a claim, `missingOrganization: \"issuer\"`", []config.Issuer{issuer("a", "org1", byClaim, orIssuer)}, false, [7]verdicts{
		{allowsOrg1, allowsOrg1, bound},
		{forbidden, forbidden, notBound},
		{forbidden, forbidden, notBound},
		{allowsOrg1, allowsOrg1, "Without the claim the token is of the organization that the issuer is bound to, as configured."},
		{forbidden, forbidden, asterisk},
		{invalid, invalid, emptyString},
		{invalid, invalid, noString},
	}},
	{"`\"*\"`, with a claim", []config.Issuer{issuer("a", config.Any, byClaim)}, false, [7]verdicts{
		{allowsOrg1, allowsOrg1, decides},
		{forbidden, allowsOrg2, decidesElse},
		{forbidden, allowsT3, "The claim decides: without a mapping its value is the organization, which is any organization and is not `org1`."},
		{invalid, invalid, required},
		{forbidden, forbidden, asterisk},
		{invalid, invalid, emptyString},
		{invalid, invalid, noString},
	}},
	{"`\"*\"`, with a claim and a mapping", []config.Issuer{issuer("a", config.Any, byClaim, mapping(gridMapping))}, true, [7]verdicts{
		{allowsOrg1, allowsOrg1, "The mapping leads from the claim to the organization that the rule requires."},
		{forbidden, allowsOrg2, "The mapping leads from the claim to `org2`, which is any organization and is not `org1`."},
		{forbidden, forbidden, "A value that the mapping does not list is refused."},
		{invalid, invalid, required},
		{forbidden, forbidden, asterisk},
		{invalid, invalid, emptyString},
		{invalid, invalid, noString},
	}},
	{"two entries for one `iss`, `org1` and `org2`, with a claim", []config.Issuer{issuer("b", "org2", byClaim), issuer("a", "org1", byClaim)}, false, [7]verdicts{
		{allowsOrg1, allowsOrg1, "By the entry for `org1` it proves that organization."},
		{forbidden, allowsOrg2, byTheOther},
		{forbidden, forbidden, byNone},
		{invalid, invalid, required},
		{forbidden, forbidden, asterisk},
		{invalid, invalid, emptyString},
		{invalid, invalid, noString},
	}},
	{"two entries for one `iss`, `org1` and `\"*\"`, with a claim", []config.Issuer{issuer("b", config.Any, byClaim), issuer("a", "org1", byClaim)}, false, [7]verdicts{
		{allowsOrg1, allowsOrg1, "By the entry for `org1`, which comes before the one for any, it proves that organization."},
		{forbidden, allowsOrg2, "By the entry for any it proves `org2`, which is any organization and is not `org1`."},
		{forbidden, allowsT3, "By the entry for any it proves what the claim says, which is any organization and is not `org1`."},
		{invalid, invalid, required},
		{forbidden, forbidden, asterisk},
		{invalid, invalid, emptyString},
		{invalid, invalid, noString},
	}},
	{"two entries for one `iss`, `org1` with `missingOrganization: \"issuer\"` and `org2`, with a claim",
		[]config.Issuer{issuer("b", "org2", byClaim), issuer("a", "org1", byClaim, orIssuer)}, false, [7]verdicts{
			{allowsOrg1, allowsOrg1, "By the entry for `org1` it proves that organization."},
			{forbidden, allowsOrg2, byTheOther},
			{forbidden, forbidden, byNone},
			{allowsOrg1, allowsOrg1, "Only one entry takes tokens without the claim, so they are of its organization."},
			{forbidden, forbidden, asterisk},
			{invalid, invalid, emptyString},
			{invalid, invalid, noString},
		}},
	{"two entries for one `iss`, `org1` and `org2`, no claim, `sharedAcrossOrganizations`", []config.Issuer{issuer("b", "org2", shared), issuer("a", "org1", shared)}, false, [7]verdicts{
		{allowsOrg1, forbidden, together},
		{allowsOrg1, forbidden, together},
		{allowsOrg1, forbidden, together},
		{allowsOrg1, forbidden, together},
		{allowsOrg1, forbidden, together},
		{allowsOrg1, forbidden, together},
		{allowsOrg1, forbidden, together},
	}},
	{"two entries for one `iss`, `org1` and `org2`, no claim (refused when the configuration is read)", []config.Issuer{issuer("b", "org2"), issuer("a", "org1")}, false, [7]verdicts{
		{forbidden, forbidden, "Nothing tells whose the token is, and nobody said that it may call for both."},
		{forbidden, forbidden, "Nothing tells whose the token is, and nobody said that it may call for both."},
		{forbidden, forbidden, "Nothing tells whose the token is, and nobody said that it may call for both."},
		{forbidden, forbidden, "Nothing tells whose the token is, and nobody said that it may call for both."},
		{forbidden, forbidden, "Nothing tells whose the token is, and nobody said that it may call for both."},
		{forbidden, forbidden, "Nothing tells whose the token is, and nobody said that it may call for both."},
		{forbidden, forbidden, "Nothing tells whose the token is, and nobody said that it may call for both."},
	}},
}

// of returns the verdict for a kind of source. Where the source yields nothing
// no token will do, and one that is refused in any case is refused as such.
func (v verdicts) of(kind int) string {
	switch {
	case kind == 0:
		return v.named
	case kind == 1:
		return v.any
	case v.named == invalid:
		return invalid
	}
	return forbidden
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
		return invalid
	case errors.Is(err, ErrOrganization):
		return forbidden
	}
	t.Fatal(err)
	return ""
}

func TestOrganizations(t *testing.T) {
	for _, entries := range gridIssuers {
		for n, token := range gridTokens {
			for _, source := range gridSources {
				t.Run(entries.title+"/"+token.title+"/"+source.title, func(t *testing.T) {
					claim := token.claim
					if entries.mapped {
						claim = token.mapped
					}
					c := &config.Config{
						Issuers: entries.entries, Organization: source.top, Headers: defaultHeaders,
						Rules: []config.Rule{{Organization: source.rule}},
					}
					if source.rule.IsZero() && source.top.IsZero() {
						// The issuers must differ, or theirs is required.
						c.Issuers = append(c.Issuers[:len(c.Issuers):len(c.Issuers)], issuer("z", "z", of("https://z.example.com")))
					}
					want := entries.verdicts[n].of(source.kind)
					if got := judge(t, c, claim); got != want {
						t.Errorf("got %s, want %s", got, want)
					}
				})
			}
		}
	}
}

func TestOrganizationsAreWrittenOut(t *testing.T) {
	const golden = "testdata/organizations.md"
	got := writeGrid()
	if *update {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
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
	b.WriteString(`The rule requires ` + "`org1`" + ` in all columns but the last two: it requires any organization that the token proves
in ` + "`\"*\"`" + `, and its source yields nothing in the last one. No token is of no organization, so that column never
passes; a token that is refused for itself is refused as such. 401 is an invalid token, 403 another organization.
`)
	for _, entries := range gridIssuers {
		b.WriteString("\n**Issuer: " + entries.title + "**\n\n")
		header, rule := []string{"token"}, []string{"---"}
		seen := map[string]bool{}
		for _, s := range gridSources {
			if !seen[s.title] {
				seen[s.title] = true
				header, rule = append(header, s.title), append(rule, "---")
			}
		}
		line(append(header, "why")...)
		line(append(rule, "---")...)
		for n, token := range gridTokens {
			cells, done := []string{token.title}, map[string]bool{}
			for _, s := range gridSources {
				if !done[s.title] {
					done[s.title] = true
					cells = append(cells, entries.verdicts[n].of(s.kind))
				}
			}
			line(append(cells, entries.verdicts[n].why)...)
		}
	}
	return b.String()
}
