// Package grid is the grid of organizations: what kind of issuer has the token's
// "iss", what the token's claims say, and which organization is required. Every
// verdict is written out.
//
// Package policy's tests run every cell against that package and write the grid
// out for readers; package scenario makes cases of it for the whole plugin.
package grid

import (
	"encoding/json"
	"strings"
)

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

// Kind is what a rule requires.
type Kind int

// Kinds of requirements: org1, any organization, or one that the request does
// not name.
const (
	Org1 Kind = iota
	Any
	Nothing
)

// Source is where the required organization comes from, in the rule or at the
// top level, as JSON.
type Source struct {
	Title     string
	Rule, Top string
	Kind      Kind
}

// Sources yield org1, anything, or nothing for a request to [Host] and
// [Path] with org1 in the metadata "organization" of "orgate".
var Sources = []Source{
	{Title: "literal", Rule: `"org1"`},
	{Title: "top level", Top: `"org1"`},
	{Title: "fromHost", Rule: `{"fromHost": "{org}.api.example.com"}`},
	{Title: "fromPath", Rule: `{"fromPath": "/t/{org}/"}`},
	{Title: "fromRouteMetadata", Rule: `{"fromRouteMetadata": "orgate.organization"}`},
	{Title: "any", Rule: `"*"`, Kind: Any},
	{Title: "fromHost, another host", Rule: `{"fromHost": "{org}.api.example.net"}`, Kind: Nothing},
	{Title: "fromPath, another path", Rule: `{"fromPath": "/u/{org}/"}`, Kind: Nothing},
	{Title: "fromRouteMetadata, another name", Rule: `{"fromRouteMetadata": "orgate.other"}`, Kind: Nothing},
}

// What [Sources] are read from.
const (
	Host = "org1.api.example.com"
	Path = "/t/org1/orders"
)

// Token is what the claims "org" and "tenant" say, as JSON; "" is no claim.
// Mapped is "org" for issuers with a mapping.
type Token struct{ Title, Org, Mapped, Tenant string }

// Members are the token's claims for a kind of issuer, as members of an object.
func (t Token) Members(kind Issuer) string {
	org, claim := t.says(kind), "org"
	var members []string
	if kind.Tenants() {
		claim = tid
	}
	if org != "" {
		members = append(members, `"`+claim+`":`+org)
	}
	if t.Tenant != "" {
		members = append(members, `"tenant":`+t.Tenant)
	}
	return strings.Join(members, ",")
}

// Iss is the token's "iss" for a kind of issuer: the one given, or that of the tenant
// which the claim names first. A token without the claim has org1's.
func (t Token) Iss(kind Issuer, iss string) string {
	if !kind.Tenants() {
		return iss
	}
	tenant := "org1"
	if org := t.says(kind); org != "" {
		tenant = strings.Split(org, `"`)[1]
	}
	return strings.Replace(ofTenants, "{tid}", tenant, 1)
}

// says is the claim that is "org" for most kinds of issuers.
func (t Token) says(kind Issuer) string {
	if kind.Mapped {
		return t.Mapped
	}
	return t.Org
}

// Tokens are the grid's tokens.
var Tokens = []Token{
	{"of `org1`", `"org1"`, `"t-1"`, ``},
	{"of `org2`", `"org2"`, `"t-2"`, ``},
	{"of an organization that no entry names", `"t-3"`, `"t-3"`, ``},
	{"of `org1`, and of `org2` by `tenant`", `"org1"`, `"t-1"`, `"org2"`},
	{"of `org2`, and of `org1` by `tenant`", `"org2"`, `"t-2"`, `"org1"`},
	{"of `org1` by `tenant` alone", ``, ``, `"org1"`},
	{"of `org2` by `tenant` alone", ``, ``, `"org2"`},
	{"without a claim", ``, ``, ``},
	{"with `\"*\"`", `"*"`, `"*"`, ``},
	{"with the empty string", `""`, `""`, ``},
	{"of `org1` and `org2`, in an array", `["org1","org2"]`, `["t-1","t-2"]`, ``},
	{"of `org1` and `org2`, in an object", `{"org1":{},"org2":{}}`, `{"t-1":{},"t-2":{}}`, ``},
	{"of `org1`, in an array", `["org1"]`, `["t-1"]`, ``},
	{"of `org1`, in an object", `{"org1":{"id":"7"}}`, `{"t-1":{"id":"7"}}`, ``},
}

// Verdicts are those of one token: for a rule that requires org1, and for
// one that requires any organization.
type Verdicts struct{ Named, Any, Why string }

// Of returns the verdict for a kind of requirement. If the request names no
// organization no token will do, and one that is refused in any case is refused
// as such.
func (v Verdicts) Of(kind Kind) string {
	switch {
	case kind == Org1:
		return v.Named
	case kind == Any:
		return v.Any
	case v.Any == Invalid:
		return Invalid
	}
	return Forbidden
}

const (
	bound       = "The claim says the organization that the issuer is bound to."
	notBound    = "The claim says another organization than the issuer is bound to: the token proves neither."
	required    = "An organization claim that the issuer names must be there."
	asterisk    = "`*` in a token is the name of no organization, whatever it is in the configuration."
	emptyString = "An organization has a name. A claim that is there and wrong is not a claim that is missing."
	twoNamed    = "A claim says one organization; the first of several would be a guess."
	decides     = "The claim decides, and it says the organization that the rule requires."
	decidesElse = "The claim decides: it proves `org2`, which is any organization and is not `org1`."
	decidesT3   = "The claim decides: without a mapping its value is the organization, which is any organization and " +
		"is not `org1`."
	noClaim  = "The issuer's tokens are its organization's. It names no claim, so none is read."
	together = "The token may call for both, as `sharedAcrossOrganizations` says, but nothing tells whose it is: " +
		"it proves no single organization if any will do."
	byTheFirst  = "By the entry for `org1` it proves that organization."
	byTheOther  = "By the entry for `org2` it proves that organization, which is any organization and is not `org1`."
	byNone      = "No entry with this `iss` is bound to the organization that the claim says."
	toLead      = "The mapping leads from the claim to the organization that the issuer is bound to."
	toLeadElse  = "The mapping leads to another organization than the issuer is bound to: the token proves neither."
	notListed   = "A value that the mapping does not list is refused."
	conflict    = "By one entry's claim it proves `org1`, by the other's `org2`: it is no one's."
	crossed     = "Each claim says the other entry's organization: the token proves neither."
	byTheOthers = "By the entry with `tenant` it proves `org1`; by `org` it proves nothing."
	noTenant    = "The token is of no tenant, so its `iss` is no issuer's: a tenant is one text of letters, digits, " +
		"`-`, `_` and `.`."
)

// Entry is an issuer in the grid. All of a kind have the same "iss".
type Entry struct {
	Name, Organization string
	Claim              string // the organization claim
	Mapping            map[string]string
	OrIssuer           bool // missingOrganization is "issuer"
	Shared             bool // sharedAcrossOrganizations
}

// JSON is the entry with further members. The "iss" given is that of one tenant.
func (e Entry) JSON(iss, members string) string {
	if e.Claim == tid {
		iss = ofTenants
	}
	quote := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(text)
	}
	entry := `"name": ` + quote(e.Name) + `, "issuer": ` + quote(iss) + `, "organization": ` + quote(e.Organization) +
		", " + members
	if e.Claim != "" {
		entry += `, "organizationClaim": ` + quote(e.Claim)
	}
	if e.OrIssuer {
		entry += `, "missingOrganization": "issuer"`
	}
	if e.Shared {
		entry += `, "sharedAcrossOrganizations": true`
	}
	if len(e.Mapping) > 0 {
		entry += `, "organizationMapping": ` + quote(e.Mapping)
	}
	return "{" + entry + "}"
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

// The claim with the tenant, and an "iss" with a place for it.
const (
	tid       = "tid"
	ofTenants = "https://login.example/{tid}/v2.0"
)

// Tenants reports whether the issuer is one of many tenants. Its "iss" holds the
// tenant, and its claim is "tid", which stands in the tokens instead of "org".
func (i *Issuer) Tenants() bool { return i.Entries[0].Claim == tid }

// Refused are kinds of issuers that no configuration may have.
var Refused = []Issuer{
	{Title: "two entries for one `iss`, `org1` and `org2`, no claim: nothing tells whose a token is, and nobody said " +
		"that it may call for both",
		Entries: []Entry{{Name: "b", Organization: "org2"}, {Name: "a", Organization: "org1"}}},
	{Title: "two entries for one `iss`, `org1` and `org2`, both with `missingOrganization: \"issuer\"`: a token " +
		"without the claim would be both's",
		Entries: []Entry{{Name: "b", Organization: "org2", Claim: "org", OrIssuer: true},
			{Name: "a", Organization: "org1", Claim: "org", OrIssuer: true}}},
	{Title: "two entries for one `iss` whose mappings of the same claim overlap: `{\"staff\": \"org1\"}` and " +
		"`{\"staff\": \"org2\"}`",
		Entries: []Entry{
			{Name: "b", Organization: "org2", Claim: "org", Mapping: map[string]string{"staff": "org2"}},
			{Name: "a", Organization: "org1", Claim: "org", Mapping: map[string]string{"staff": "org1"}},
		}},
	{Title: "two entries for one `iss`, one of which maps a value that is the other's organization: `{\"org1\": " +
		"\"org2\"}`",
		Entries: []Entry{
			{Name: "b", Organization: "org2", Claim: "org", Mapping: map[string]string{"org1": "org2"}},
			{Name: "a", Organization: "org1", Claim: "org"},
		}},
	{
		Title: "bound to `org1`, of many tenants, with `missingOrganization: \"issuer\"`: a token of any tenant " +
			"could do " +
			"without the claim",
		Entries: []Entry{{Name: "a", Organization: "org1", Claim: tid, OrIssuer: true}}},
	{Title: "`\"*\"`, no claim: nothing says which organization it is",
		Entries: []Entry{{Name: "a", Organization: "*"}}},
}

var mapping = map[string]string{"t-1": "org1", "t-2": "org2"}

// all is a verdict for every token.
func all(v Verdicts) []Verdicts {
	list := make([]Verdicts, len(Tokens))
	for i := range list {
		list[i] = v
	}
	return list
}

// oneClaim is the verdicts of an issuer whose claim is "org": whatever "tenant"
// says makes no difference.
func oneClaim(org1, org2, t3, without Verdicts) []Verdicts {
	return claimed(org1, org2, t3, org1, org2, without, without, without)
}

// claimed adds the verdicts of the last tokens: those whose "org" is there and names
// no organization or two, and those whose "org" says org1 in another form.
func claimed(org1 Verdicts, others ...Verdicts) []Verdicts {
	two := Verdicts{Invalid, Invalid, twoNamed}
	return append(append([]Verdicts{org1}, others...), Verdicts{Forbidden, Forbidden, asterisk},
		Verdicts{Invalid, Invalid, emptyString}, two, two, org1, org1)
}

// tenants is the verdicts of an issuer of many tenants.
func tenants(org1, org2, t3 Verdicts) []Verdicts {
	none := Verdicts{Invalid, Invalid, noTenant}
	verdicts := oneClaim(org1, org2, t3, none)
	for i := len(verdicts) - 6; i < len(verdicts); i++ {
		verdicts[i] = none
	}
	return verdicts
}

// Issuers are the grid's kinds of issuers.
var Issuers = []Issuer{
	{"bound to `org1`, no claim", []Entry{{Name: "a", Organization: "org1"}}, false,
		all(Verdicts{allowsOrg1, allowsOrg1, noClaim})},
	{"bound to `org1`, with a claim", []Entry{{Name: "a", Organization: "org1", Claim: "org"}}, false, oneClaim(
		Verdicts{allowsOrg1, allowsOrg1, bound},
		Verdicts{Forbidden, Forbidden, notBound},
		Verdicts{Forbidden, Forbidden, notBound},
		Verdicts{Invalid, Invalid, required},
	)},
	{"bound to `org1`, with a claim and a mapping",
		[]Entry{{Name: "a", Organization: "org1", Claim: "org", Mapping: mapping}}, true, oneClaim(
			Verdicts{allowsOrg1, allowsOrg1, toLead},
			Verdicts{Forbidden, Forbidden, toLeadElse},
			Verdicts{Forbidden, Forbidden, notListed},
			Verdicts{Invalid, Invalid, required},
		)},
	{"bound to `org1`, with a claim, `missingOrganization: \"issuer\"`",
		[]Entry{{Name: "a", Organization: "org1", Claim: "org", OrIssuer: true}}, false, oneClaim(
			Verdicts{allowsOrg1, allowsOrg1, bound},
			Verdicts{Forbidden, Forbidden, notBound},
			Verdicts{Forbidden, Forbidden, notBound},
			Verdicts{allowsOrg1, allowsOrg1,
				"Without the claim the token is of the organization that the issuer is bound to, as configured."},
		)},
	{"`\"*\"`, with a claim", []Entry{{Name: "a", Organization: "*", Claim: "org"}}, false, oneClaim(
		Verdicts{allowsOrg1, allowsOrg1, decides},
		Verdicts{Forbidden, allowsOrg2, decidesElse},
		Verdicts{Forbidden, allowsT3, decidesT3},
		Verdicts{Invalid, Invalid, required},
	)},
	{"`\"*\"`, with a claim and a mapping", []Entry{{Name: "a", Organization: "*", Claim: "org", Mapping: mapping}},
		true, oneClaim(
			Verdicts{allowsOrg1, allowsOrg1,
				"The mapping leads from the claim to the organization that the rule requires."},
			Verdicts{Forbidden, allowsOrg2,
				"The mapping leads from the claim to `org2`, which is any organization and is not `org1`."},
			Verdicts{Forbidden, Forbidden, notListed},
			Verdicts{Invalid, Invalid, required},
		)},
	{"two entries for one `iss`, `org1` and `org2`, with one claim",
		[]Entry{{Name: "b", Organization: "org2", Claim: "org"}, {Name: "a", Organization: "org1", Claim: "org"}},
		false, oneClaim(
			Verdicts{allowsOrg1, allowsOrg1, byTheFirst},
			Verdicts{Forbidden, allowsOrg2, byTheOther},
			Verdicts{Forbidden, Forbidden, byNone},
			Verdicts{Invalid, Invalid, required},
		)},
	{"two entries for one `iss`, `org1` and `\"*\"`, with one claim",
		[]Entry{{Name: "b", Organization: "*", Claim: "org"}, {Name: "a", Organization: "org1", Claim: "org"}}, false,
		oneClaim(
			Verdicts{allowsOrg1, allowsOrg1,
				"By the entry for `org1`, which comes before the one for any, it proves that organization."},
			Verdicts{Forbidden, allowsOrg2,
				"By the entry for any it proves `org2`, which is any organization and is not `org1`."},
			Verdicts{Forbidden, allowsT3,
				"By the entry for any it proves what the claim says, which is any organization and is not `org1`."},
			Verdicts{Invalid, Invalid, required},
		)},
	{"two entries for one `iss`, `org1` with `missingOrganization: \"issuer\"` and `org2`, with one claim",
		[]Entry{{Name: "b", Organization: "org2", Claim: "org"},
			{Name: "a", Organization: "org1", Claim: "org", OrIssuer: true}}, false, oneClaim(
			Verdicts{allowsOrg1, allowsOrg1, byTheFirst},
			Verdicts{Forbidden, allowsOrg2, byTheOther},
			Verdicts{Forbidden, Forbidden, byNone},
			Verdicts{allowsOrg1, allowsOrg1,
				"Only one entry takes tokens without the claim, so they are of its organization."},
		)},
	{"two entries for one `iss`, `org1` and `org2`, no claim, `sharedAcrossOrganizations`",
		[]Entry{{Name: "b", Organization: "org2", Shared: true}, {Name: "a", Organization: "org1", Shared: true}},
		false,
		all(Verdicts{allowsOrg1, Forbidden, together})},
	{"two entries for one `iss`, `org1` by `org` and `org2` by `tenant`",
		[]Entry{{Name: "a", Organization: "org1", Claim: "org"}, {Name: "b", Organization: "org2", Claim: "tenant"}},
		false, claimed(
			Verdicts{allowsOrg1, allowsOrg1, byTheFirst},
			Verdicts{Forbidden, Forbidden, notBound},
			Verdicts{Forbidden, Forbidden, notBound},
			Verdicts{Forbidden, Forbidden, conflict},
			Verdicts{Forbidden, Forbidden, crossed},
			Verdicts{Invalid, Invalid, required},
			Verdicts{Forbidden, allowsOrg2, byTheOther},
			Verdicts{Invalid, Invalid, required},
		)},
	{"two entries for one `iss`, `org1` by `org` and `org2` by `tenant`, both `sharedAcrossOrganizations`",
		[]Entry{{Name: "a", Organization: "org1", Claim: "org", Shared: true},
			{Name: "b", Organization: "org2", Claim: "tenant", Shared: true}}, false,
		claimed(
			Verdicts{allowsOrg1, allowsOrg1, byTheFirst},
			Verdicts{Forbidden, Forbidden, notBound},
			Verdicts{Forbidden, Forbidden, notBound},
			Verdicts{allowsOrg1, Forbidden, together},
			Verdicts{Forbidden, Forbidden, crossed},
			Verdicts{Invalid, Invalid, required},
			Verdicts{Forbidden, allowsOrg2, byTheOther},
			Verdicts{Invalid, Invalid, required},
		)},
	{"two entries for one `iss`, `org1` by `org` and `\"*\"` by `tenant`",
		[]Entry{{Name: "a", Organization: "org1", Claim: "org"}, {Name: "b", Organization: "*", Claim: "tenant"}},
		false, []Verdicts{
			{allowsOrg1, allowsOrg1, byTheFirst},
			{Forbidden, Invalid, "By `org` it proves nothing, and the entry for any misses its claim."},
			{Forbidden, Invalid, "By `org` it proves nothing, and the entry for any misses its claim."},
			{Forbidden, Forbidden, conflict},
			{allowsOrg1, allowsOrg1, byTheOthers},
			{allowsOrg1, allowsOrg1, byTheOthers},
			{Forbidden, allowsOrg2, "By the entry for any it proves `org2`, which is any organization and is not " +
				"`org1`."},
			{Invalid, Invalid, required},
			{Forbidden, Invalid, asterisk},
			{Invalid, Invalid, emptyString},
			{Invalid, Invalid, twoNamed},
			{Invalid, Invalid, twoNamed},
			{allowsOrg1, allowsOrg1, byTheFirst},
			{allowsOrg1, allowsOrg1, byTheFirst},
		}},
	{"two entries for one `iss`, `org1` with a mapping of `org` and `org2` by `tenant`",
		[]Entry{{Name: "a", Organization: "org1", Claim: "org", Mapping: mapping},
			{Name: "b", Organization: "org2", Claim: "tenant"}}, true, claimed(
			Verdicts{allowsOrg1, allowsOrg1, byTheFirst},
			Verdicts{Forbidden, Forbidden, toLeadElse},
			Verdicts{Forbidden, Forbidden, notListed},
			Verdicts{Forbidden, Forbidden, conflict},
			Verdicts{Forbidden, Forbidden, crossed},
			Verdicts{Invalid, Invalid, required},
			Verdicts{Forbidden, allowsOrg2, byTheOther},
			Verdicts{Invalid, Invalid, required},
		)},
	{"two entries for one `iss`, `org1` by `org`, `missingOrganization: \"issuer\"`, and `org2` by `tenant`",
		[]Entry{{Name: "a", Organization: "org1", Claim: "org", OrIssuer: true},
			{Name: "b", Organization: "org2", Claim: "tenant"}}, false, claimed(
			Verdicts{allowsOrg1, allowsOrg1, byTheFirst},
			Verdicts{Forbidden, Forbidden, notBound},
			Verdicts{Forbidden, Forbidden, notBound},
			Verdicts{Forbidden, Forbidden, conflict},
			Verdicts{Forbidden, Forbidden, crossed},
			Verdicts{allowsOrg1, allowsOrg1,
				"`tenant` proves nothing, and without `org` the token is of the organization that its entry is bound " +
					"to."},
			Verdicts{
				Forbidden, allowsOrg2, "What the entry for `org1` takes a token without `org` for gives way to a claim " +
					"that proves another organization."},
			Verdicts{
				allowsOrg1, allowsOrg1, "Without `org` the token is of the organization that its entry is bound to."},
		)},
	{"`\"*\"`, of many tenants, with the claim `tid`", []Entry{{Name: "a", Organization: "*", Claim: tid}}, false,
		tenants(
			Verdicts{
				allowsOrg1, allowsOrg1, "The tenant is the organization, and it is the one that the rule requires."},
			Verdicts{
				Forbidden, allowsOrg2, "The tenant is the organization: it is any organization and is not `org1`."},
			Verdicts{Forbidden, allowsT3, "Without a mapping whoever has a tenant has an organization: it is any " +
				"organization and is not `org1`."},
		)},
	{"`\"*\"`, of many tenants, with the claim `tid` and a mapping",
		[]Entry{{Name: "a", Organization: "*", Claim: tid, Mapping: mapping}}, true, tenants(
			Verdicts{allowsOrg1, allowsOrg1,
				"The mapping leads from the tenant to the organization that the rule requires."},
			Verdicts{Forbidden, allowsOrg2,
				"The mapping leads from the tenant to `org2`, which is any organization and is not `org1`."},
			Verdicts{Forbidden, Forbidden, "A tenant that the mapping does not list is refused."},
		)},
	{"bound to `org1`, of many tenants, with the claim `tid`",
		[]Entry{{Name: "a", Organization: "org1", Claim: tid}}, false, tenants(
			Verdicts{
				allowsOrg1, allowsOrg1, "The tenant has the name of the organization that the issuer is bound to."},
			Verdicts{Forbidden, Forbidden, notBound},
			Verdicts{Forbidden, Forbidden, notBound},
		)},
	{"bound to `org1`, of many tenants, with the claim `tid` and a mapping",
		[]Entry{{Name: "a", Organization: "org1", Claim: tid, Mapping: mapping}}, true, tenants(
			Verdicts{
				allowsOrg1, allowsOrg1, "The mapping leads from the tenant to the organization that the issuer is " +
					"bound to."},
			Verdicts{Forbidden, Forbidden, toLeadElse},
			Verdicts{Forbidden, Forbidden, "A tenant that the mapping does not list is refused."},
		)},
}
