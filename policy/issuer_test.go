package policy

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/config"
)

func TestIssuerOfAToken(t *testing.T) {
	org := func(name string) func(*config.Issuer) {
		return func(i *config.Issuer) { i.OrganizationClaim = named(name) }
	}
	two := []config.Issuer{issuer("one", "org1", byClaim), issuer("two", "org2", byClaim)}
	free := append(two[:2:2], issuer("free", "*", byClaim))
	sharing := []config.Issuer{issuer("one", "org1", shared), issuer("two", "org2", shared)}
	elsewhere := issuer("elsewhere", "org1", of("https://other.example.com"))
	for _, tt := range []struct {
		name     string
		issuers  []config.Issuer
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
		{"of two by the required organization where the claim helps none", two, nil, "org2", `"org":"org9"`, "two", true},
		{"of two the first where nothing helps", two, nil, "*", `"org":"org9"`, "one", true},
		{"of two the first that the rule names", two, []string{"two"}, "*", `"org":"org9"`, "two", true},
		{"of two the one that the rule names, not the claimed one", two, []string{"one"}, "*", `"org":"org2"`, "one", true},
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
			[]config.Issuer{issuer("bound", "org1", org("other"), orIssuer), issuer("free", "*", byClaim)}, nil, "org1", `"org":"org1"`, "bound", false,
		},
		{
			"bound by a claim that is absent and free by another one, of another organization",
			[]config.Issuer{issuer("bound", "org1", org("other"), orIssuer), issuer("free", "*", byClaim)}, nil, "org1", `"org":"org2"`, "free", true,
		},
		{"shared, first", sharing, nil, "org1", `"org":"org2"`, "one", false},
		{"shared, second", sharing, nil, "org2", `"org":"org1"`, "two", false},
		{"shared, another", sharing, nil, "org9", `"org":"org9"`, "one", true},
		{"shared, any", sharing, nil, "*", `"org":"org1"`, "one", true},
		{"shared, any, the rule names one", sharing, []string{"two"}, "*", `"org":"org1"`, "two", true},
		{
			"shared and free, any, with a claim", append(sharing[:2:2], issuer("free", "*", byClaim)), nil, "*", `"org":"org9"`, "free", false,
		},
		{
			"shared and free, any, without a claim", append(sharing[:2:2], issuer("free", "*", byClaim)), nil, "*", `"x":1`, "one", true,
		},
		{
			"different claims, each by its own", []config.Issuer{issuer("one", "org1", org("tenant")), issuer("two", "org2", org("realm"))},
			nil, "org2", `"realm":"org2"`, "two", false,
		},
		{
			"different claims, the other entry's", []config.Issuer{issuer("one", "org1", org("tenant")), issuer("two", "org2", org("realm"))},
			nil, "org2", `"tenant":"org2"`, "two", true,
		},
		{
			"different claims, any", []config.Issuer{issuer("one", "org1", org("tenant")), issuer("two", "org2", org("realm"))},
			nil, "*", `"realm":"org2","tenant":"org2"`, "two", false,
		},
		{
			"a mapping for one, and its own organization for the other",
			[]config.Issuer{issuer("one", "org1", byClaim), issuer("mapped", "org2", byClaim, mapping(map[string]string{"t-2": "org2"}))},
			nil, "*", `"org":"t-2"`, "mapped", false,
		},
		{
			"missing claim for one entry while another proves otherwise",
			[]config.Issuer{issuer("one", "org1", org("tenant"), orIssuer), issuer("two", "org2", org("realm"))},
			nil, "org1", `"realm":"org2"`, "two", true,
		},
		{
			"missing claim for the only entry that the rule names while another proves otherwise",
			[]config.Issuer{issuer("one", "org1", org("tenant"), orIssuer), issuer("two", "org2", org("realm"))},
			[]string{"one"}, "org1", `"realm":"org2"`, "one", true,
		},
		{
			"missing claim for one entry while another could prove otherwise and does not",
			[]config.Issuer{issuer("one", "org1", org("tenant"), orIssuer), issuer("two", "org2", org("realm"))},
			nil, "org1", `"realm":"org9"`, "one", false,
		},
		{
			"missing claim for one entry while nobody is bound to what another claim says",
			[]config.Issuer{issuer("one", "org1", org("tenant"), orIssuer), issuer("two", "org2", org("realm")), issuer("three", "org3", org("tenant"))},
			nil, "org1", `"realm":"org3"`, "one", false,
		},
		{
			"missing claim for one entry while the free one proves otherwise",
			[]config.Issuer{issuer("one", "org1", org("tenant"), orIssuer), issuer("free", "*", org("realm"))},
			nil, "org1", `"realm":"org2"`, "free", true,
		},
		{
			"missing claim for the only entry that the rule names while the free one proves otherwise",
			[]config.Issuer{issuer("one", "org1", org("tenant"), orIssuer), issuer("free", "*", org("realm"))},
			[]string{"one"}, "org1", `"realm":"org2"`, "one", true,
		},
		{
			"claim of another entry's",
			[]config.Issuer{issuer("one", "org1", org("tenant")), issuer("two", "org2", org("realm"))},
			nil, "*", `"realm":"org1","tenant":"org9"`, "one", true,
		},
		{
			"claim of another entry's, and its own proves elsewhere",
			[]config.Issuer{issuer("one", "org1", org("realm")), issuer("two", "org2", org("tenant"))},
			nil, "*", `"realm":"org2","tenant":"org2"`, "two", false,
		},
		{
			"claim of another entry's before the free one's",
			[]config.Issuer{issuer("one", "org1", org("tenant")), issuer("free", "*", org("realm"))},
			nil, "*", `"realm":"org1"`, "free", false,
		},
		{
			"no claim beside one with a claim, token without",
			[]config.Issuer{issuer("one", "org1"), issuer("two", "org2", byClaim)},
			nil, "org1", `"x":1`, "one", true,
		},
		{
			"missing claim for both, both would vouch",
			[]config.Issuer{issuer("one", "org1", byClaim, orIssuer), issuer("two", "org2", byClaim, orIssuer)},
			nil, "org2", `"x":1`, "one", true,
		},
		{
			"missing claim for both, shared",
			[]config.Issuer{issuer("one", "org1", byClaim, orIssuer, shared), issuer("two", "org2", byClaim, orIssuer, shared)},
			nil, "org2", `"x":1`, "two", false,
		},
		{
			"no claim beside one with a claim",
			[]config.Issuer{issuer("one", "org1"), issuer("two", "org2", byClaim)},
			nil, "org1", `"org":"org2"`, "two", true,
		},
		{"issuers that the token is not of", []config.Issuer{elsewhere}, nil, "org1", `"org":"org1"`, "", true},
		{"no issuers", nil, nil, "org1", `"org":"org1"`, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := New(&config.Config{Issuers: tt.issuers, Rules: []config.Rule{{Issuers: tt.only}}})
			claims := claimsOf(t, `{"iss":"`+iss+`","sub":"me",`+tt.claims+`}`)
			i, err := p.Issuer(p.rules[0], tt.required, claims)
			if tt.want == "" {
				if i != nil || !errors.Is(err, ErrUnknownIssuer) {
					t.Errorf("got %v, %v", i, err)
				}
				return
			}
			if err != nil || i.Name != tt.want || i.Config.Name != tt.want || tt.issuers[i.Index].Name != tt.want {
				t.Fatalf("got %+v, %v; want %s", i, err, tt.want)
			}
			id, err := i.Identify(claims)
			if err != nil {
				t.Fatal(err)
			}
			err = p.rules[0].Authorize(tt.required, i, id)
			if (err != nil) != tt.refused {
				t.Errorf("Authorize: %v", err)
			}
			if err == nil && tt.required != config.Any && id.Organization != tt.required {
				t.Errorf("organization %s", id.Organization)
			}
		})
	}
}

func TestIssuerWithoutIss(t *testing.T) {
	p := New(&config.Config{Issuers: []config.Issuer{issuer("empty", "org1", of(""))}, Rules: []config.Rule{{}}})
	if i, err := p.Issuer(p.rules[0], "org1", claimsOf(t, `{"sub":"me"}`)); !errors.Is(err, ErrUnknownIssuer) {
		t.Errorf("got %v, %v", i, err)
	}
}

func TestIssMustBeExact(t *testing.T) {
	p := New(&config.Config{Issuers: []config.Issuer{issuer("a", "org1")}, Rules: []config.Rule{{}}})
	for _, other := range []string{"https://idp.example.com", "HTTPS://idp.example.com/", iss + " ", iss + "/"} {
		if _, err := p.Issuer(p.rules[0], "org1", claimsOf(t, `{"iss":`+quote(other)+`}`)); !errors.Is(err, ErrUnknownIssuer) {
			t.Errorf("%s: %v", other, err)
		}
	}
}

// TestTokenThatProvesNoOrganizationShowsNone: in report-only mode the identity
// goes upstream although Authorize refuses it.
func TestTokenThatProvesNoOrganizationShowsNone(t *testing.T) {
	for _, tt := range []struct {
		name, required string
		issuers        []config.Issuer
		claims         string
	}{
		{"shared, any required", "*", []config.Issuer{issuer("one", "org1", shared), issuer("two", "org2", shared)}, ``},
		{"shared, another required", "org9", []config.Issuer{issuer("one", "org1", shared), issuer("two", "org2", shared)}, ``},
		{"bound, other claim", "org1", []config.Issuer{issuer("one", "org1", byClaim)}, `,"org":"org2"`},
		{"bound, claim missing", "org1", []config.Issuer{issuer("one", "org1", byClaim)}, ``},
		{"any, asterisk", "*", []config.Issuer{issuer("one", "*", byClaim)}, `,"org":"*"`},
		{"mapped to any", "*", []config.Issuer{issuer("one", "*", byClaim, mapping(map[string]string{"x": "*"}))}, `,"org":"x"`},
		{"mapped to nothing", "*", []config.Issuer{issuer("one", "*", byClaim, mapping(map[string]string{"x": ""}))}, `,"org":"x"`},
		{"empty mapping", "*", []config.Issuer{issuer("one", "*", byClaim, mapping(map[string]string{}))}, `,"org":"x"`},
		{"any, no claim configured", "*", []config.Issuer{issuer("one", "*")}, ``},
		{"any, fallback to any", "*", []config.Issuer{issuer("one", "*", byClaim, orIssuer)}, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := New(&config.Config{Issuers: tt.issuers, Rules: []config.Rule{{}}, Headers: defaultHeaders})
			claims := claimsOf(t, `{"iss":"`+iss+`","sub":"me"`+tt.claims+`}`)
			i, err := p.Issuer(p.rules[0], tt.required, claims)
			if err != nil {
				t.Fatal(err)
			}
			id, err := i.Identify(claims)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([][2]string{{"x-wso2-username", "me"}}, id.Headers); diff != "" || id.Organization != "" {
				t.Errorf("organization %q, headers -want +got\n%s", id.Organization, diff)
			}
			if err := p.rules[0].Authorize(tt.required, i, id); !ByRule(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestSharedIdentityIsNoneWhereAnyWillDo: an identity kept from a rule that
// names the organization is not good for one that does not.
func TestSharedIdentityIsNoneWhereAnyWillDo(t *testing.T) {
	p := New(&config.Config{Issuers: []config.Issuer{issuer("one", "org1", shared), issuer("two", "org2", shared)}, Rules: []config.Rule{{}}})
	claims := claimsOf(t, `{"iss":"`+iss+`","sub":"me"}`)
	i, err := p.Issuer(p.rules[0], "org1", claims)
	if err != nil {
		t.Fatal(err)
	}
	id, err := i.Identify(claims)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.rules[0].Authorize("org1", i, id); err != nil {
		t.Fatal(err)
	}
	if err := p.rules[0].Authorize(config.Any, i, id); !errors.Is(err, ErrOrganization) {
		t.Errorf("got %v", err)
	}
}

func TestEnvironments(t *testing.T) {
	in := func(environments ...string) func(*config.Issuer) {
		return func(i *config.Issuer) { i.Environments = environments }
	}
	issuers := []config.Issuer{issuer("prod", "org1", in("prod"), of("p")), issuer("both", "org1", in("prod", "test"), of("b")), issuer("every", "org1", of("e")), issuer("none", "org1", in(), of("n"))}
	for environment, want := range map[string]map[string]bool{
		"":     {"p": true, "b": true, "e": true, "n": true},
		"prod": {"p": true, "b": true, "e": true},
		"test": {"b": true, "e": true},
		"dev":  {"e": true},
	} {
		p := New(&config.Config{Issuers: issuers, Environment: environment, Rules: []config.Rule{{}}})
		for _, i := range issuers {
			_, err := p.Issuer(p.rules[0], "org1", claimsOf(t, `{"iss":`+quote(i.Issuer)+`}`))
			if (err == nil) != want[i.Issuer] {
				t.Errorf("environment %q, issuer %s: %v", environment, i.Name, err)
			}
		}
	}
}

func TestAudiences(t *testing.T) {
	entry := issuer("a", "org1", func(i *config.Issuer) { i.Audiences = []string{"x"} })
	p := New(&config.Config{Issuers: []config.Issuer{entry}, Rules: []config.Rule{{}, {Audiences: []string{"y"}}}})
	i := p.groups[iss].issuers[0]
	if diff := cmp.Diff([][]string{{"x"}, {"y"}}, [][]string{p.rules[0].Audiences(i), p.rules[1].Audiences(i)}); diff != "" {
		t.Error(diff)
	}
}

// TestIssuerVouchesForNoTokenThatCouldBeOfSeveral, however it was chosen.
func TestIssuerVouchesForNoTokenThatCouldBeOfSeveral(t *testing.T) {
	p := New(&config.Config{Issuers: []config.Issuer{issuer("one", "org1"), issuer("two", "org2")}, Rules: []config.Rule{{}}})
	for _, i := range p.groups[iss].issuers {
		id, err := i.Identify(claimsOf(t, `{"iss":"`+iss+`","sub":"me"}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.rules[0].Authorize(i.Config.Organization, i, id); id.Organization != "" || !errors.Is(err, ErrOrganization) {
			t.Errorf("%s: organization %q, %v", i.Name, id.Organization, err)
		}
	}
}
