// Package grid is the grid of organizations: where the required organization
// comes from, what kind of issuer has the token's "iss", and what the token's
// claim says. The required organization is org1 wherever there is one. Every
// verdict is written out.
//
// Package policy's tests run every cell against that package and write the grid
// out for readers; package scenario makes cases of it for the whole plugin.
package grid

import "orgate/config"

// Verdicts of tokens that do not pass. Those of the others are "passes as" and
// the organization.
const (
	Forbidden = "403"
	Invalid   = "401"
)

const (
	allowsOrg1 = "passes as `org1`"
	allowsOrg2 = "passes as `org2`"
	allowsT3   = "passes as `t-3`"
)

// Kinds of sources: what they yield.
const (
	Org1 = iota
	Any
	Nothing
)

// Source is where the required organization comes from.
type Source struct {
	Title     string
	Rule, Top config.Organization
	Kind      int
}

// Sources yield org1, anything, or nothing for a request to [Host] and
// [Path] with org1 in the metadata "organization" of "orgate".
var Sources = []Source{
	{Title: "literal", Rule: literally("org1")},
	{Title: "top level", Top: literally("org1")},
	{Title: "`fromHost`", Rule: config.Organization{FromHost: "{org}.api.example.com"}},
	{Title: "`fromPath`", Rule: config.Organization{FromPath: "/t/{org}/"}},
	{Title: "`fromRouteMetadata`", Rule: config.Organization{FromRouteMetadata: "orgate.organization"}},
	{Title: "`\"*\"`", Rule: literally(config.Any), Kind: Any},
	{Title: "yields nothing", Rule: config.Organization{FromHost: "{org}.api.example.net"}, Kind: Nothing},
	{Title: "yields nothing", Rule: config.Organization{FromPath: "/u/{org}/"}, Kind: Nothing},
	{Title: "yields nothing", Rule: config.Organization{FromRouteMetadata: "orgate.other"}, Kind: Nothing},
	{Title: "yields nothing", Kind: Nothing},
}

// What [Sources] are read from.
const (
	Host = "org1.api.example.com"
	Path = "/t/org1/orders"
)

func literally(organization string) config.Organization {
	return config.Organization{Literal: organization}
}

var mapping = map[string]string{"t-1": "org1", "t-2": "org2"}

// Token is what the claim says, as JSON: without a mapping, and with one.
type Token struct{ Title, Claim, Mapped string }

// Tokens are the grid's tokens.
var Tokens = []Token{
	{"of `org1`", `"org1"`, `"t-1"`},
	{"of `org2`", `"org2"`, `"t-2"`},
	{"of an organization that no entry names", `"t-3"`, `"t-3"`},
	{"without the claim", ``, ``},
	{"with `\"*\"`", `"*"`, `"*"`},
	{"with the empty string", `""`, `""`},
	{"with an array", `["org1"]`, `["t-1"]`},
}

// Verdicts are those of one token: for a rule that requires org1, and for
// one that requires any organization.
type Verdicts struct{ Named, Any, Why string }

// Of returns the verdict for a kind of source. Where the source yields nothing
// no token will do, and one that is refused in any case is refused as such.
func (v Verdicts) Of(kind int) string {
	switch {
	case kind == Org1:
		return v.Named
	case kind == Any:
		return v.Any
	case v.Named == Invalid:
		return Invalid
	}
	return Forbidden
}

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

// Entry is an issuer in the grid. All have the same "iss".
type Entry struct {
	Name, Organization string
	Claim              bool // organizationClaim is "org"
	Mapping            map[string]string
	OrIssuer           bool // missingOrganization is "issuer"
	Shared             bool // sharedAcrossOrganizations
}

// Issuer is a kind of issuer.
type Issuer struct {
	Title   string
	Entries []Entry
	// Mapped: the tokens' claims are those for a mapping.
	Mapped bool
	// Verdicts are in the order of [Tokens].
	Verdicts []Verdicts
}

// Refused reports whether no configuration may have such entries. The verdicts
// are then those of package policy, were there one.
func (i Issuer) Refused() bool {
	for _, e := range i.Entries {
		if e.Claim || e.Shared || len(i.Entries) == 1 {
			return false
		}
	}
	return true
}

// Issuers are the grid's kinds of issuers.
var Issuers = []Issuer{
	{"bound to `org1`, no claim", []Entry{{Name: "a", Organization: "org1"}}, false, []Verdicts{
		{allowsOrg1, allowsOrg1, noClaim},
		{allowsOrg1, allowsOrg1, noClaim},
		{allowsOrg1, allowsOrg1, noClaim},
		{allowsOrg1, allowsOrg1, noClaim},
		{allowsOrg1, allowsOrg1, noClaim},
		{allowsOrg1, allowsOrg1, noClaim},
		{allowsOrg1, allowsOrg1, noClaim},
	}},
	{"bound to `org1`, with a claim", []Entry{{Name: "a", Organization: "org1", Claim: true}}, false, []Verdicts{
		{allowsOrg1, allowsOrg1, bound},
		{Forbidden, Forbidden, notBound},
		{Forbidden, Forbidden, notBound},
		{Invalid, Invalid, required},
		{Forbidden, Forbidden, asterisk},
		{Invalid, Invalid, emptyString},
		{Invalid, Invalid, noString},
	}},
	{"bound to `org1`, with a claim and a mapping", []Entry{{Name: "a", Organization: "org1", Claim: true, Mapping: mapping}}, true, []Verdicts{
		{allowsOrg1, allowsOrg1, "The mapping leads from the claim to the organization that the issuer is bound to."},
		{Forbidden, Forbidden, "The mapping leads to another organization than the issuer is bound to: the token proves neither."},
		{Forbidden, Forbidden, "A value that the mapping does not list is refused."},
		{Invalid, Invalid, required},
		{Forbidden, Forbidden, asterisk},
		{Invalid, Invalid, emptyString},
		{Invalid, Invalid, noString},
	}},
	{"bound to `org1`, with a claim, `missingOrganization: \"issuer\"`", []Entry{{Name: "a", Organization: "org1", Claim: true, OrIssuer: true}}, false, []Verdicts{
		{allowsOrg1, allowsOrg1, bound},
		{Forbidden, Forbidden, notBound},
		{Forbidden, Forbidden, notBound},
		{allowsOrg1, allowsOrg1, "Without the claim the token is of the organization that the issuer is bound to, as configured."},
		{Forbidden, Forbidden, asterisk},
		{Invalid, Invalid, emptyString},
		{Invalid, Invalid, noString},
	}},
	{"`\"*\"`, with a claim", []Entry{{Name: "a", Organization: config.Any, Claim: true}}, false, []Verdicts{
		{allowsOrg1, allowsOrg1, decides},
		{Forbidden, allowsOrg2, decidesElse},
		{Forbidden, allowsT3, "The claim decides: without a mapping its value is the organization, which is any organization and is not `org1`."},
		{Invalid, Invalid, required},
		{Forbidden, Forbidden, asterisk},
		{Invalid, Invalid, emptyString},
		{Invalid, Invalid, noString},
	}},
	{"`\"*\"`, with a claim and a mapping", []Entry{{Name: "a", Organization: config.Any, Claim: true, Mapping: mapping}}, true, []Verdicts{
		{allowsOrg1, allowsOrg1, "The mapping leads from the claim to the organization that the rule requires."},
		{Forbidden, allowsOrg2, "The mapping leads from the claim to `org2`, which is any organization and is not `org1`."},
		{Forbidden, Forbidden, "A value that the mapping does not list is refused."},
		{Invalid, Invalid, required},
		{Forbidden, Forbidden, asterisk},
		{Invalid, Invalid, emptyString},
		{Invalid, Invalid, noString},
	}},
	{"two entries for one `iss`, `org1` and `org2`, with a claim", []Entry{{Name: "b", Organization: "org2", Claim: true}, {Name: "a", Organization: "org1", Claim: true}}, false, []Verdicts{
		{allowsOrg1, allowsOrg1, "By the entry for `org1` it proves that organization."},
		{Forbidden, allowsOrg2, byTheOther},
		{Forbidden, Forbidden, byNone},
		{Invalid, Invalid, required},
		{Forbidden, Forbidden, asterisk},
		{Invalid, Invalid, emptyString},
		{Invalid, Invalid, noString},
	}},
	{"two entries for one `iss`, `org1` and `\"*\"`, with a claim", []Entry{{Name: "b", Organization: config.Any, Claim: true}, {Name: "a", Organization: "org1", Claim: true}}, false, []Verdicts{
		{allowsOrg1, allowsOrg1, "By the entry for `org1`, which comes before the one for any, it proves that organization."},
		{Forbidden, allowsOrg2, "By the entry for any it proves `org2`, which is any organization and is not `org1`."},
		{Forbidden, allowsT3, "By the entry for any it proves what the claim says, which is any organization and is not `org1`."},
		{Invalid, Invalid, required},
		{Forbidden, Forbidden, asterisk},
		{Invalid, Invalid, emptyString},
		{Invalid, Invalid, noString},
	}},
	{"two entries for one `iss`, `org1` with `missingOrganization: \"issuer\"` and `org2`, with a claim",
		[]Entry{{Name: "b", Organization: "org2", Claim: true}, {Name: "a", Organization: "org1", Claim: true, OrIssuer: true}}, false, []Verdicts{
			{allowsOrg1, allowsOrg1, "By the entry for `org1` it proves that organization."},
			{Forbidden, allowsOrg2, byTheOther},
			{Forbidden, Forbidden, byNone},
			{allowsOrg1, allowsOrg1, "Only one entry takes tokens without the claim, so they are of its organization."},
			{Forbidden, Forbidden, asterisk},
			{Invalid, Invalid, emptyString},
			{Invalid, Invalid, noString},
		}},
	{"two entries for one `iss`, `org1` and `org2`, no claim, `sharedAcrossOrganizations`", []Entry{{Name: "b", Organization: "org2", Shared: true}, {Name: "a", Organization: "org1", Shared: true}}, false, []Verdicts{
		{allowsOrg1, Forbidden, together},
		{allowsOrg1, Forbidden, together},
		{allowsOrg1, Forbidden, together},
		{allowsOrg1, Forbidden, together},
		{allowsOrg1, Forbidden, together},
		{allowsOrg1, Forbidden, together},
		{allowsOrg1, Forbidden, together},
	}},
	{"two entries for one `iss`, `org1` and `org2`, no claim (refused when the configuration is read)", []Entry{{Name: "b", Organization: "org2"}, {Name: "a", Organization: "org1"}}, false, []Verdicts{
		{Forbidden, Forbidden, "Nothing tells whose the token is, and nobody said that it may call for both."},
		{Forbidden, Forbidden, "Nothing tells whose the token is, and nobody said that it may call for both."},
		{Forbidden, Forbidden, "Nothing tells whose the token is, and nobody said that it may call for both."},
		{Forbidden, Forbidden, "Nothing tells whose the token is, and nobody said that it may call for both."},
		{Forbidden, Forbidden, "Nothing tells whose the token is, and nobody said that it may call for both."},
		{Forbidden, Forbidden, "Nothing tells whose the token is, and nobody said that it may call for both."},
		{Forbidden, Forbidden, "Nothing tells whose the token is, and nobody said that it may call for both."},
	}},
}
