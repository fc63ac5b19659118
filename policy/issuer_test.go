package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/config"
)

func TestIssuerOfAToken(t *testing.T) {
	two := []string{issuer("one", "org1", byClaim), issuer("two", "org2", byClaim)}
	free := append(two[:2:2], issuer("free", "*", byClaim))
	sharing := []string{issuer("one", "org1", shared), issuer("two", "org2", shared)}
	claims := []string{issuer("one", "org1", by("tenant")), issuer("two", "org2", by("realm"))}
	halfShared := []string{issuer("one", "org1", by("tenant"), shared), claims[1]}
	allShared := []string{halfShared[0], issuer("two", "org2", by("realm"), shared)}
	bothFree := []string{claims[0], issuer("free", "*", by("realm"))}
	const both = `"tenant":"org1","realm":"org2"`
	elsewhere := issuer("elsewhere", "org1", of("https://other.example.com"))
	for _, tt := range []struct {
		name     string
		issuers  []string
		only     []string // the rule's issuers
		required string
		claims   string // besides iss
		want     string // the issuer's name; "" for none
		refused  bool   // whether the token is refused by Authorize then
	}{
		{"the only one", two[:1], nil, "org1", `"org":"org1"`, "one", false},
		{"the only one, for another organization", two[:1], nil, "org2", `"org":"org1"`, "one", true},
		{"the only one, named by the rule", two[:1], []string{"x", "one"}, "org1", `"org":"org1"`, "one", false},
		{"the only one, not named by the rule", two[:1], []string{"x"}, "org1", `"org":"org1"`, "", true},
		{"of two by the required organization", two, nil, "org2", `"org":"org2"`, "two", false},
		{"of two by the claim where another is required", two, nil, "org1", `"org":"org2"`, "two", true},
		{"of two by the claim where an unknown one is required", two, nil, "org9", `"org":"org2"`, "two", true},
		{"of two by the claim where any will do", two, nil, "*", `"org":"org2"`, "two", false},
		{"of two by the required organization where the claim helps none", two, nil, "org2", `"org":"org9"`, "two",
			true},
		{"of two the first where nothing helps", two, nil, "*", `"org":"org9"`, "one", true},
		{"of two the first that the rule names", two, []string{"two"}, "*", `"org":"org9"`, "two", true},
		{"of two the one that the rule names, not the claimed one", two, []string{"one"}, "*", `"org":"org2"`, "one",
			true},
		{"of two none that the rule names", two, []string{"x"}, "org1", `"org":"org1"`, "", true},
		{"bound before free", free, nil, "org1", `"org":"org1"`, "one", false},
		{"free where none is bound", free, nil, "org9", `"org":"org9"`, "free", false},
		{"free where any will do and none is bound", free, nil, "*", `"org":"org9"`, "free", false},
		{"bound before free where any will do", free, nil, "*", `"org":"org1"`, "one", false},
		{"free where the rule names it alone", free, []string{"free"}, "org1", `"org":"org1"`, "free", false},
		{"bound to what is claimed where another is required", free, nil, "org9", `"org":"org1"`, "one", true},
		{"required one where the claim is missing", free, nil, "org2", `"x":1`, "two", true},
		{"free one where the claim is missing and any will do", free, nil, "*", `"x":1`, "free", true},
		{
			"bound by a claim that is absent and free by another one, of the same organization",
			[]string{issuer("bound", "org1", by("other"), orIssuer), issuer("free", "*", byClaim)}, nil, "org1",
			`"org":"org1"`, "bound", false,
		},
		{
			"bound by a claim that is absent and free by another one, of the same organization, any",
			[]string{issuer("free", "*", byClaim), issuer("bound", "org1", by("other"), orIssuer)},
			nil, "*", `"org":"org1"`, "bound", false,
		},
		{
			"bound by a claim that is absent and free by another one, of another organization",
			[]string{issuer("bound", "org1", by("other"), orIssuer), issuer("free", "*", byClaim)}, nil, "org1",
			`"org":"org2"`, "free", true,
		},
		{"shared, first", sharing, nil, "org1", `"org":"org2"`, "one", false},
		{"shared, second", sharing, nil, "org2", `"org":"org1"`, "two", false},
		{"shared, another", sharing, nil, "org9", `"org":"org9"`, "one", true},
		{"shared, any", sharing, nil, "*", `"org":"org1"`, "one", true},
		{"shared, any, the rule names one", sharing, []string{"two"}, "*", `"org":"org1"`, "two", true},
		{
			"shared and free, any, with a claim", append(sharing[:2:2], issuer("free", "*", byClaim)), nil, "*",
			`"org":"org9"`, "free", false,
		},
		{
			"shared and free, any, without a claim", append(sharing[:2:2], issuer("free", "*", byClaim)), nil, "*",
			`"x":1`, "one", true,
		},
		{
			"different claims, each by its own",
			[]string{issuer("one", "org1", by("tenant")), issuer("two", "org2", by("realm"))},
			nil, "org2", `"realm":"org2"`, "two", false,
		},
		{
			"different claims, the other entry's",
			[]string{issuer("one", "org1", by("tenant")), issuer("two", "org2", by("realm"))},
			nil, "org2", `"tenant":"org2"`, "two", true,
		},
		{
			"different claims, any", []string{issuer("one", "org1", by("tenant")), issuer("two", "org2", by("realm"))},
			nil, "*", `"realm":"org2","tenant":"org2"`, "two", false,
		},
		{
			"a mapping for one, and its own organization for the other",
			[]string{issuer("one", "org1", byClaim),
				issuer("mapped", "org2", byClaim, mapping(map[string]string{"t-2": "org2"}))},
			nil, "*", `"org":"t-2"`, "mapped", false,
		},
		{
			"missing claim for one entry while another proves otherwise",
			[]string{issuer("one", "org1", by("tenant"), orIssuer), issuer("two", "org2", by("realm"))},
			nil, "org1", `"realm":"org2"`, "two", true,
		},
		{
			"missing claim for the only entry that the rule names while another proves otherwise",
			[]string{issuer("one", "org1", by("tenant"), orIssuer), issuer("two", "org2", by("realm"))},
			[]string{"one"}, "org1", `"realm":"org2"`, "one", true,
		},
		{
			"missing claim for one entry while another could prove otherwise and does not",
			[]string{issuer("one", "org1", by("tenant"), orIssuer), issuer("two", "org2", by("realm"))},
			nil, "org1", `"realm":"org9"`, "one", false,
		},
		{
			"missing claim for one entry while nobody is bound to what another claim says",
			[]string{issuer("one", "org1", by("tenant"), orIssuer), issuer("two", "org2", by("realm")),
				issuer("three", "org3", by("tenant"))},
			nil, "org1", `"realm":"org3"`, "one", false,
		},
		{
			"missing claim for one entry while the free one proves otherwise",
			[]string{issuer("one", "org1", by("tenant"), orIssuer), issuer("free", "*", by("realm"))},
			nil, "org1", `"realm":"org2"`, "free", true,
		},
		{
			"missing claim for the only entry that the rule names while the free one proves otherwise",
			[]string{issuer("one", "org1", by("tenant"), orIssuer), issuer("free", "*", by("realm"))},
			[]string{"one"}, "org1", `"realm":"org2"`, "one", true,
		},
		{
			"claim of another entry's",
			[]string{issuer("one", "org1", by("tenant")), issuer("two", "org2", by("realm"))},
			nil, "*", `"realm":"org1","tenant":"org9"`, "one", true,
		},
		{
			"claim of another entry's, and its own proves elsewhere",
			[]string{issuer("one", "org1", by("realm")), issuer("two", "org2", by("tenant"))},
			nil, "*", `"realm":"org2","tenant":"org2"`, "two", false,
		},
		{
			"claim of another entry's before the free one's",
			[]string{issuer("one", "org1", by("tenant")), issuer("free", "*", by("realm"))},
			nil, "*", `"realm":"org1"`, "free", false,
		},
		{
			"missing claim for both, shared",
			[]string{issuer("one", "org1", byClaim, orIssuer, shared),
				issuer("two", "org2", byClaim, orIssuer, shared)},
			nil, "org2", `"x":1`, "two", false,
		},
		{
			"no claim beside one with a claim, token without",
			[]string{issuer("one", "org1", shared), issuer("two", "org2", byClaim)}, nil, "org1", `"x":1`, "one", false,
		},
		{
			"no claim beside one with a claim, which proves another",
			[]string{issuer("one", "org1", shared), issuer("two", "org2", byClaim)}, nil, "org1", `"org":"org2"`, "two",
			true,
		},
		{
			"no claim beside one with a claim, which proves its own",
			[]string{issuer("one", "org1", shared), issuer("two", "org2", byClaim)}, nil, "org2", `"org":"org2"`, "two",
			false,
		},
		{"issuers that the token is not of", []string{elsewhere}, nil, "org1", `"org":"org1"`, "", true},

		{"two claims for two organizations, the first", claims, nil, "org1", both, "one", true},
		{"two claims for two organizations, the second", claims, nil, "org2", both, "two", true},
		{"two claims for two organizations, any", claims, nil, "*", both, "one", true},
		{"two claims for two organizations, another", claims, nil, "org9", both, "one", true},
		{"two claims for two organizations, the rule names one", claims, []string{"two"}, "org2", both, "two", true},
		{"two claims, one of which proves nothing", claims, nil, "org1", `"tenant":"org1","realm":"org9"`, "one",
			false},
		{"two claims, one of which is wrong", claims, nil, "org1", `"tenant":"org1","realm":""`, "one", false},
		{"two claims for two organizations, one of them shared", halfShared, nil, "org1", both, "one", true},
		{"two claims for two organizations, one of them shared, the other", halfShared, nil, "org2", both, "two", true},
		{"two claims for two organizations, shared, the first", allShared, nil, "org1", both, "one", false},
		{"two claims for two organizations, shared, the second", allShared, nil, "org2", both, "two", false},
		{"two claims for two organizations, shared, any", allShared, nil, "*", both, "one", true},
		{"two claims for two organizations, shared, a third that is not",
			append(allShared[:2:2], issuer("three", "org3", by("team"))),
			nil, "org1", both + `,"team":"org3"`, "one", true},
		{"two claims for two organizations, shared, a third that is silent",
			append(allShared[:2:2], issuer("three", "org3", by("team"))),
			nil, "org1", both, "one", false},
		{"two claims for one organization", bothFree, nil, "org1", `"tenant":"org1","realm":"org1"`, "one", false},
		{"a claim for any beside another one, which is required", bothFree, nil, "org1", both, "one", true},
		{"a claim for any beside another one, required itself", bothFree, nil, "org2", both, "free", true},
		{"a claim for any beside another one, any", bothFree, nil, "*", both, "one", true},
		{
			"mappings of two claims to two organizations",
			[]string{
				issuer("one", "org1", by("tenant"), mapping(map[string]string{"staff": "org1"})),
				issuer("two", "org2", by("realm"), mapping(map[string]string{"staff": "org2"})),
			}, nil, "org1", `"tenant":"staff","realm":"staff"`, "one", true,
		},
		{
			"no claim and one for another organization, all shared, the former",
			[]string{issuer("one", "org1", shared), issuer("two", "org2", byClaim, shared)}, nil, "org1",
			`"org":"org2"`, "one", false,
		},
		{
			"no claim and one for another organization, all shared, the latter",
			[]string{issuer("one", "org1", shared), issuer("two", "org2", byClaim, shared)}, nil, "org2",
			`"org":"org2"`, "two", false,
		},
		{
			"no claim and one for another organization, all shared, any",
			[]string{issuer("one", "org1", shared), issuer("two", "org2", byClaim, shared)}, nil, "*", `"org":"org2"`,
			"two", true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rule := `{}`
			if tt.only != nil {
				rule = `{"issuers": ` + marshal(tt.only) + `}`
			}
			bystander := issuer("x", "org1", of("https://bystander.example.com"))
			p := policyOf(t, append(tt.issuers[:len(tt.issuers):len(tt.issuers)], bystander), []string{rule}, anyone)
			i, id, err := judged(t, p, p.rules[0], tt.required, claimsOf(t, `"sub":"me",`+tt.claims))
			if tt.want == "" {
				if i != nil || !errors.Is(err, ErrUnknownIssuer) {
					t.Errorf("got %v, %v", i, err)
				}
				return
			}
			if i == nil || i.Name != tt.want || i.Config.Name != tt.want || !p.rules[0].allows(i) {
				t.Fatalf("got %+v, %v; want %s", i, err, tt.want)
			}
			if (err != nil) != tt.refused {
				t.Errorf("judged: %v", err)
			}
			if err == nil && tt.required != config.Any && id.Organization != tt.required {
				t.Errorf("organization %s", id.Organization)
			}
			if errors.Is(err, ErrOrganization) && !strings.HasPrefix(err.Error(), "organization: ") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestIssMustBeExact(t *testing.T) {
	p := policyOf(t, []string{issuer("a", "org1")}, nil)
	for _, other := range []string{"", "https://idp.example.com", "HTTPS://idp.example.com/", iss + " ", iss + "/"} {
		payload := `{"iss":` + quote(other) + `}`
		if other == "" {
			payload = `{"sub":"me"}`
		}
		claims := payloadClaims(t, payload)
		if _, err := p.Proof(claims); !errors.Is(err, ErrUnknownIssuer) {
			t.Errorf("%q: %v", other, err)
		}
	}
}

// TestTokenThatProvesNoOrganizationShowsNone: in report-only mode the identity
// goes upstream although Authorize refuses it.
func TestTokenThatProvesNoOrganizationShowsNone(t *testing.T) {
	sharing := []string{issuer("one", "org1", shared), issuer("two", "org2", shared)}
	claims := []string{issuer("one", "org1", by("tenant")), issuer("two", "org2", by("realm"))}
	for _, tt := range []struct {
		name, required string
		issuers        []string
		claims         string
	}{
		{"shared, any required", "*", sharing, ``},
		{"shared, another required", "org9", sharing, ``},
		{"two claims for two organizations, one required", "org1", claims, `,"tenant":"org1","realm":"org2"`},
		{"two claims for two organizations, any required", "*", claims, `,"tenant":"org1","realm":"org2"`},
		{"bound, other claim", "org1", []string{issuer("one", "org1", byClaim)}, `,"org":"org2"`},
		{"bound, claim missing", "org1", []string{issuer("one", "org1", byClaim)}, ``},
		{"any, asterisk", "*", []string{issuer("one", "*", byClaim)}, `,"org":"*"`},
		{"not mapped", "*", []string{issuer("one", "*", byClaim, mapping(map[string]string{"y": "org1"}))},
			`,"org":"x"`},
		{"mapped from an asterisk", "*", []string{issuer("one", "*", byClaim, mapping(map[string]string{"*": "org1"}))},
			`,"org":"*"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := policyOf(t, tt.issuers, nil, anyone)
			_, id, err := judged(t, p, p.rules[0], tt.required, claimsOf(t, `"sub":"me"`+tt.claims))
			if !ByRule(err) {
				t.Fatalf("got %v", err)
			}
			id = id.Under(tt.required)
			if diff := cmp.Diff([][2]string{{"x-wso2-username", "me"}}, id.Headers); diff != "" ||
				id.Organization != "" {
				t.Errorf("organization %q, headers -want +got\n%s", id.Organization, diff)
			}
		})
	}
}

// TestIdentityUnderARule: an identity is one under every rule unless the token
// proves several organizations.
func TestIdentityUnderARule(t *testing.T) {
	issuers := []string{issuer("one", "org1", shared), issuer("two", "org2", shared),
		issuer("alone", "org1", of("alone"))}
	p := policyOf(t, issuers, nil, anyone, `"headers": {"organization": ""}`)
	_, id, err := judged(t, p, p.rules[0], "org1", claimsOf(t, `"sub":"me"`))
	if err != nil {
		t.Fatal(err)
	}
	if id.Under("org1") != id {
		t.Error("another identity under its own organization")
	}
	without := id.Under("org2")
	if diff := cmp.Diff([][2]string{{"x-wso2-username", "me"}}, without.Headers); diff != "" ||
		without.Organization != "" {
		t.Errorf("organization %q, headers -want +got\n%s", without.Organization, diff)
	}
	if id.Organization != "org1" {
		t.Error("the identity has changed")
	}
	_, alone := identified(t, p, payloadClaims(t, `{"iss":"alone","sub":"me"}`))
	if alone.Under("org2") != alone {
		t.Error("an identity of one organization is another under another rule")
	}
}

// TestSharedIdentityIsNoneIfAnyWillDo: an identity kept from a rule that
// names the organization is not good for one that does not.
func TestSharedIdentityIsNoneIfAnyWillDo(t *testing.T) {
	p := policyOf(t, []string{issuer("one", "org1", shared), issuer("two", "org2", shared)}, nil, anyone)
	i, id, err := judged(t, p, p.rules[0], "org1", claimsOf(t, `"sub":"me"`))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.rules[0].Authorize(config.Any, i, id); !errors.Is(err, ErrOrganization) {
		t.Errorf("got %v", err)
	}
}

// TestEnvironments: an issuer of another environment is none, and proves nothing.
func TestEnvironments(t *testing.T) {
	in := func(environments ...string) string { return `"environments": ` + marshal(environments) }
	issuers := []string{
		issuer("prod", "org1", in("prod"), of("p")), issuer("both", "org1", in("prod", "test"), of("b")),
		issuer("every", "org1", of("e")),
		issuer("one", "org1", by("tenant")), issuer("two", "org2", by("realm"), in("prod")),
	}
	for environment, want := range map[string]map[string]bool{
		"":     {"p": true, "b": true, "e": true, iss: false},
		"prod": {"p": true, "b": true, "e": true, iss: false},
		"test": {"p": false, "b": true, "e": true, iss: true},
		"dev":  {"p": false, "b": false, "e": true, iss: true},
	} {
		p := policyOf(t, issuers, nil, anyone, `"environment": `+quote(environment))
		for name, good := range want {
			claims := payloadClaims(t, `{"iss":`+quote(name)+`,"sub":"me","tenant":"org1","realm":"org2"}`)
			if _, _, err := judged(t, p, p.rules[0], "org1", claims); (err == nil) != good {
				t.Errorf("environment %q, issuer %s: %v", environment, name, err)
			}
		}
	}
}

func TestAudiences(t *testing.T) {
	p := policyOf(t, []string{issuer("a", "org1", `"audiences": ["x"]`)},
		[]string{`{"match": {"path": "/a"}}`, `{"audiences": ["y"]}`})
	i := p.groups[iss].issuers[0]
	if diff := cmp.Diff([][]string{{"x"}, {"y"}},
		[][]string{p.rules[0].Audiences(i), p.rules[1].Audiences(i)}); diff != "" {
		t.Error(diff)
	}
}
