package apk_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"orgate/admin/apk"
	"orgate/config"
	"orgate/e2e"
	"orgate/e2e/scenario"
	"orgate/host"
	"orgate/host/hosttest"
)

func sources(t *testing.T, files ...string) []apk.Source {
	t.Helper()
	var all []apk.Source
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, apk.Source{Name: file, Text: string(text)})
	}
	return all
}

var options = apk.Options{Namespace: "apk", TrustedCA: "/ca.crt",
	Organization: config.Organization{FromPath: "/t/{org}/"}}

func imported(t *testing.T, o apk.Options, all []apk.Source) *apk.Result {
	t.Helper()
	result := apk.Import(all, o)
	if n := result.Problems(); n > 0 {
		t.Fatalf("%d problems: %v", n, result.Findings)
	}
	return result
}

// TestImportedIssuersKeepOrganizationsApart runs what was imported in the built
// plugin.
func TestImportedIssuersKeepOrganizationsApart(t *testing.T) {
	tenant := scenario.Claims{"iss": "https://tenant.eu.auth0.com/", "org_id": nil}
	with := func(base scenario.Claims, more scenario.Claims) scenario.Claims {
		all := scenario.Claims{}
		for _, claims := range []scenario.Claims{base, more} {
			for name, value := range claims {
				all[name] = value
			}
		}
		return all
	}
	own := func(claims scenario.Claims) string { return scenario.First().Token(claims) }
	asgardeo := scenario.Claims{"iss": "https://api.asgardeo.io/t/org1/oauth2/token", "org_id": nil, "client_id": "app"}
	type request struct{ name, path, token, want string }
	for _, c := range []struct {
		name     string
		files    []string
		options  func(*apk.Options)
		requests []request
	}{
		{"token issuers of one provider for two organizations", []string{"filled-in.yaml"}, nil, []request{
			{"default to its own", "/t/default/", own(with(tenant, scenario.Claims{"orgId": "default"})),
				"200 ok default"},
			{"default to the system", "/t/apk-system/", own(with(tenant, scenario.Claims{"orgId": "default"})),
				"403 organization"},
			{"system to its own", "/t/apk-system/", own(with(tenant, scenario.Claims{"orgId": "apk-system"})),
				"200 ok apk-system"},
			{"system to default", "/t/default/", own(with(tenant, scenario.Claims{"orgId": "apk-system"})),
				"403 organization"},
			{"another organization to its own", "/t/org9/", own(with(tenant, scenario.Claims{"orgId": "org9"})),
				"403 organization"},
			{"no organization", "/t/default/", own(tenant), "401 claim"},
			{"an array of organizations", "/t/default/",
				own(with(tenant, scenario.Claims{"orgId": []string{"default", "apk-system"}})), "401 claim"},
			{"without sub", "/t/default/", own(with(tenant, scenario.Claims{"orgId": "default", "sub": nil})),
				"200 ok default"},
			{"ES256", "/t/default/", scenario.P256().Token(tenant, scenario.Claims{"orgId": "default"}),
				"200 ok default"},
			{"forged", "/t/default/", scenario.Stranger().Token(with(tenant, scenario.Claims{"orgId": "default"})),
				"401 bad_signature"},
			{"without the slash", "/t/default/", own(with(tenant,
				scenario.Claims{"iss": "https://tenant.eu.auth0.com", "orgId": "default"})), "401 unknown_issuer"},
			{"RS512", "/t/default/", scenario.First().SignAs("RS512", tenant, scenario.Claims{"orgId": "default"}),
				"200 ok default"},
			{"PS256", "/t/default/", scenario.First().SignAs("PS256", tenant, scenario.Claims{"orgId": "default"}),
				"401 bad_algorithm"},
			{"not valid yet", "/t/default/", own(with(tenant, scenario.Claims{"orgId": "default",
				"nbf": scenario.Now.Unix() + 600})), "401 not_yet_valid"},
			{"no path", "/", own(with(tenant, scenario.Claims{"orgId": "default"})), "403 organization"},
		}},
		{"values of the documents", []string{"values.yaml"}, nil, []request{
			{"org1 to its own", "/t/org1/", own(with(tenant, scenario.Claims{"org_id": "org1"})), "200 ok org1"},
			{"org1 to org2", "/t/org2/", own(with(tenant, scenario.Claims{"org_id": "org1"})), "403 organization"},
			{"org2 to its own", "/t/org2/", own(with(tenant, scenario.Claims{"org_id": "org2"})), "200 ok org2"},
			{"org2 to org1", "/t/org1/", own(with(tenant, scenario.Claims{"org_id": "org2"})), "403 organization"},
			{"any", "/t/*/", own(with(tenant, scenario.Claims{"org_id": "*"})), "403 organization"},
			{"none", "/t/org1/", own(tenant), "401 claim"},
		}},
		{"values of the chart", []string{"chart.yaml", "chart-ca.yaml"}, nil, []request{
			{"org1 to its own", "/t/org1/", own(scenario.Claims{"iss": "https://idp.am.wso2.com/token",
				"organization": "org1"}), "200 ok org1"},
			{
				"org1 to org2", "/t/org2/", own(
					scenario.Claims{"iss": "https://idp.am.wso2.com/token", "organization": "org1"}),
				"403 organization"},
		}},
		{"a list, in its environment", []string{"list.yaml"}, func(o *apk.Options) { o.Environment = "Development" },
			[]request{
				{"org1 to its own", "/t/org1/", own(with(asgardeo, scenario.Claims{"user_organization": "org1"})),
					"200 ok org1"},
				{"org2 by org1's provider", "/t/org2/",
					own(with(asgardeo, scenario.Claims{"user_organization": "org2"})),
					"403 organization"},
				{"org2, signed by nobody of the certificate", "/t/org2/",
					own(scenario.Claims{"iss": "https://idp.apk.svc:9443/token"}), "401 bad_signature"},
			}},
		{"a list, in another environment", []string{"list.yaml"}, func(o *apk.Options) { o.Environment = "Production" },
			[]request{
				{"org1 to its own", "/t/org1/", own(with(asgardeo, scenario.Claims{"user_organization": "org1"})),
					"401 unknown_issuer"},
			}},
		{"a Key Manager", []string{"keymanagers/auth0.json"}, nil, []request{
			{"its token", "/t/carbon.super/", own(scenario.Claims{"iss": "https://tenant.us.auth0.com/"}),
				"200 ok carbon.super"},
			{"its token to another tenant", "/t/acme.test/",
				own(scenario.Claims{"iss": "https://tenant.us.auth0.com/"}),
				"403 organization"},
			{
				"forged", "/t/carbon.super/",
				scenario.Stranger().Token(scenario.Claims{"iss": "https://tenant.us.auth0.com/"}),
				"401 bad_signature"},
		}},
		{"a Key Manager of another tenant", []string{"keymanagers/auth0.json"},
			func(o *apk.Options) { o.Organization = config.Organization{Literal: "acme.test"} }, []request{
				{"its token", "/", own(scenario.Claims{"iss": "https://tenant.us.auth0.com/"}), "200 ok acme.test"},
			}},
		{"organization from the route", []string{"filled-in.yaml"},
			func(o *apk.Options) { o.Organization = config.Organization{} }, []request{
				{"a route that does not say", "/t/default/", own(with(tenant, scenario.Claims{"orgId": "default"})),
					"403 organization"},
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options
			if c.options != nil {
				c.options(&o)
			}
			result := imported(t, o, sources(t, c.files...))
			w, err := e2e.NewWorker(hosttest.Plugin(t), string(result.Configuration),
				func(h *host.Config) { h.Clusters = result.ClusterNames })
			if err != nil {
				t.Fatal(err)
			}
			defer w.VM.Close()
			w.Tick()
			// for any algorithm
			keys := strings.ReplaceAll(scenario.JWKS(scenario.First(), scenario.P256()), `"alg":"RS256",`, "")
			for _, callout := range w.VM.TakeCallouts() {
				if err := callout.Respond(host.Headers{{":status", "200"}}, []byte(keys), nil); err != nil {
					t.Fatal(err)
				}
			}
			for _, r := range c.requests {
				got := w.Serve(scenario.Request{Path: r.path, Token: r.token})
				verdict := fmt.Sprintf("%d %s", got.Status, got.Reason)
				if got.Passed {
					verdict = strings.Join(append([]string{"200", got.Reason},
						got.Upstream.Values("x-wso2-organization")...), " ")
				}
				if verdict != r.want {
					t.Errorf("%s: %q, want %q", r.name, verdict, r.want)
				}
			}
		})
	}
}

// TestClustersAreEnvoys: the clusters are valid ones, check the host's
// certificate, and trust the resource's authorities.
func TestClustersAreEnvoys(t *testing.T) {
	location := func(url string) []apk.Source {
		return []apk.Source{{Name: "x", Text: "idp: {issuer: x, jwksEndpoint: \"" + url + "\"}"}}
	}
	type cluster struct {
		Name, Type, Address, SNI, Trusted string
		Port                              uint32
		SANs                              []string
	}
	pem, err := os.ReadFile("../../jwks/testdata/certificate.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		sources []apk.Source
		want    []cluster
	}{
		{"one for both issuers", sources(t, "filled-in.yaml"), []cluster{
			{"idp-tenant-eu-auth0-com", "LOGICAL_DNS", "tenant.eu.auth0.com", "tenant.eu.auth0.com", "/ca.crt", 443,
				[]string{"DNS tenant.eu.auth0.com"}}}},
		{"the resource's authorities", sources(t, "list.yaml"), []cluster{
			{"idp-api-asgardeo-io", "LOGICAL_DNS", "api.asgardeo.io", "api.asgardeo.io", string(pem), 443,
				[]string{"DNS api.asgardeo.io"}}}},
		{"the values' authorities, and a port", sources(t, "chart.yaml", "chart-ca.yaml"), []cluster{
			{"idp-idp-am-wso2-com-9443", "LOGICAL_DNS", "idp.am.wso2.com", "idp.am.wso2.com", string(pem), 9443,
				[]string{"DNS idp.am.wso2.com"}}}},
		{"one for each of the authorities", []apk.Source{{Name: "x", Text: tokenIssuer("a", "o", "") + "---\n" +
			strings.Replace(tokenIssuer("b", "o",
				"      tls:\n        certificateInline: |\n          "+strings.ReplaceAll(string(pem), "\n",
					"\n          ")+"\n"),
				"https://idp.example\n", "https://idp.example/b\n", 1)}}, []cluster{
			{"idp-idp-example", "LOGICAL_DNS", "idp.example", "idp.example", "/ca.crt", 443,
				[]string{"DNS idp.example"}},
			{"idp-idp-example-2", "LOGICAL_DNS", "idp.example", "idp.example", string(pem), 443,
				[]string{"DNS idp.example"}}}},
		{"an address", location("https://10.0.0.1/jwks"), []cluster{
			{"idp-10-0-0-1", "STATIC", "10.0.0.1", "", "/ca.crt", 443, []string{"IP_ADDRESS 10.0.0.1"}}}},
		{"an IPv6 address", location("https://[2001:db8::1]:8443/jwks"), []cluster{
			{"idp-2001-db8--1-8443", "STATIC", "2001:db8::1", "", "/ca.crt", 8443,
				[]string{"IP_ADDRESS 2001:db8::1"}}}},
		{"plain http", location("http://idp.apk.svc/jwks"), []cluster{
			{"idp-idp-apk-svc", "LOGICAL_DNS", "idp.apk.svc", "", "", 80, nil}}},
		{"http at https's port", location("http://idp.apk.svc:443/jwks"), []cluster{
			{"idp-idp-apk-svc-443", "LOGICAL_DNS", "idp.apk.svc", "", "", 443, nil}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			result := imported(t, options, c.sources)
			doc, err := yaml.YAMLToJSONStrict(result.Clusters)
			if err != nil {
				t.Fatal(err)
			}
			var got []cluster
			authorities := map[string]string{}
			for _, text := range members(t, doc, "clusters") {
				m := new(clusterv3.Cluster)
				if err := protojson.Unmarshal(text, m); err != nil {
					t.Fatal(err)
				}
				if err := m.ValidateAll(); err != nil {
					t.Error(err)
				}
				address := m.GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress()
				one := cluster{Name: m.GetName(), Type: m.GetType().String(), Address: address.GetAddress(),
					Port: address.GetPortValue()}
				if socket := m.GetTransportSocket(); socket != nil {
					tls := new(tlsv3.UpstreamTlsContext)
					if err := socket.GetTypedConfig().UnmarshalTo(tls); err != nil {
						t.Fatal(err)
					}
					if err := tls.ValidateAll(); err != nil {
						t.Error(err)
					}
					validation := tls.GetCommonTlsContext().GetValidationContext()
					one.SNI = tls.GetSni()
					one.Trusted = validation.GetTrustedCa().GetFilename() + validation.GetTrustedCa().GetInlineString()
					if inline := validation.GetTrustedCa().GetInlineString(); inline != "" {
						authorities[one.Name] = inline
					}
					for _, san := range validation.GetMatchTypedSubjectAltNames() {
						one.SANs = append(one.SANs, san.GetSanType().String()+" "+san.GetMatcher().GetExact())
					}
				}
				got = append(got, one)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("clusters (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(authorities, result.Authorities); diff != "" {
				t.Errorf("authorities by cluster (-in the clusters +in the result):\n%s", diff)
			}
		})
	}
}

const issuerForm = `apiVersion: dp.wso2.com/v1alpha2
kind: TokenIssuer
metadata:
  name: NAME
spec:
  name: NAME
  organization: ORG
  issuer: https://idp.example
  consumerKeyClaim: azp
  scopesClaim: scope
  signatureValidation:
    jwks:
      url: https://idp.example/jwks
`

func tokenIssuer(name, organization, more string) string {
	return strings.NewReplacer("NAME", name, "ORG", organization).Replace(issuerForm) + more
}

func TestFindings(t *testing.T) {
	pem, err := os.ReadFile("../../jwks/testdata/certificate.pem")
	if err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString(pem)
	inside := strings.Split(strings.TrimSpace(string(pem)), "\n")
	bare := strings.Join(inside[1:len(inside)-1], "")
	mapping := "  claimMappings:\n  - {localClaim: x-wso2-organization, remoteClaim: o}\n"
	claimless := func(organization string) string {
		return `this resource names no claim that tells which of them a token is of: all of its tokens could call the APIs ` +
			`of "` + organization + `". Map the claim that holds the organization to x-wso2-organization (claimMappings: ` +
			`[{localClaim: x-wso2-organization, remoteClaim: …}])`
	}
	const lockedOut = `spec.organization: no provider says "apk-system" in its claim "o" by itself, and until yours ` +
		`does everybody is locked out of the system APIs. The migration guide has a rule that lets its organizations in`
	tls := "      tls:\n        secretRef: {name: ca, key: ca.crt}\n"
	secret := func(data string) string {
		return "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: ca\n" + data
	}
	keyManager := func(members string) string {
		return "{\"name\": \"K\",\n\"issuer\": \"https://k.example\",\n" + members + "}"
	}
	const carbon = `note: x:1: Key Manager K: name: its tokens are of the organization "carbon.super", API Manager's ` +
		`first tenant: --organization names another`
	for _, c := range []struct {
		name, text string
		want       []string // notes begin with "note: "
	}{
		{"fine", tokenIssuer("a", "org1", ""), nil},
		{"no organization claim in several organizations", tokenIssuer("a", "org1", mapping) + "---\n" +
			tokenIssuer("b", "org2", ""), []string{
			`x:21: TokenIssuer apk/b: spec.claimMappings: the issuer https://idp.example is in the organizations "org1" ` +
				`and "org2", and ` + claimless("org2") + `, as the other resource does`}},
		{"no organization claim at all", tokenIssuer("a", "org1", "") + "---\n" + tokenIssuer("b", "org2", ""),
			[]string{
				`x:5: TokenIssuer apk/a: spec.claimMappings: the issuer https://idp.example is in the organizations "org1" ` +
					`and "org2", and ` + claimless("org1"),
				`x:19: TokenIssuer apk/b: spec.claimMappings: the issuer https://idp.example is in the organizations "org1" ` +
					`and "org2", and ` + claimless("org2")}},
		{"one of six without an organization claim", tokenIssuer("a", "default", "") + "---\n" +
			tokenIssuer("b", "apk-system", mapping) + "---\n" + tokenIssuer("c", "org1", mapping) + "---\n" +
			tokenIssuer("d", "org2", mapping) + "---\n" + tokenIssuer("e", "org3", mapping) + "---\n" +
			tokenIssuer("f", "org4", mapping), []string{
			`x:5: TokenIssuer apk/a: spec.claimMappings: the issuer https://idp.example is in the organizations "default", ` +
				`"apk-system", "org1", "org2", "org3" and "org4", and ` + claimless("default") +
				`, as the other 5 resources do`,
			`note: x:21: TokenIssuer apk/b: ` + lockedOut}},
		{
			"the documents' pair", tokenIssuer("a", "apk-system", mapping) + "---\n" + tokenIssuer("b", "default",
				mapping),
			[]string{`note: x:7: TokenIssuer apk/a: ` + lockedOut}},
		{"apk-system without a claim", tokenIssuer("a", "apk-system", ""), nil},
		{"one organization twice", tokenIssuer("a", "org1", "") + "---\n" + tokenIssuer("b", "org1", ""), []string{
			`x:21: TokenIssuer apk/b: spec.organization: the issuer https://idp.example is in organization "org1" by ` +
				`TokenIssuer apk/a already`}},
		{"one name in one organization", tokenIssuer("a", "org1", "") + "---\n" +
			strings.NewReplacer("metadata:\n  name: a", "metadata:\n  name: b", "https://idp.example\n",
				"https://other.example\n").Replace(tokenIssuer("a", "org1", "")), []string{
			`note: x:6: TokenIssuer apk/a: spec.name: several issuers are named "a": this one becomes "org1/a" ` +
				`(line 20 as well)`,
			`x:20: TokenIssuer apk/b: spec.name: there is another issuer of this name in organization "org1": give each a ` +
				`name of its own`}},
		{"one name in two namespaces", tokenIssuer("a", "org1", mapping) + "---\n" +
			strings.Replace(tokenIssuer("a", "org2", mapping), "metadata:\n", "metadata:\n  namespace: other\n", 1),
			[]string{
				`note: x:6: TokenIssuer apk/a: spec.name: several issuers are named "a": this one becomes "org1/a"`,
				`note: x:23: TokenIssuer other/a: spec.name: several issuers are named "a": this one becomes "org2/a"`}},
		{"one name in one namespace", tokenIssuer("a", "org1", mapping) + "---\n" +
			strings.Replace(tokenIssuer("a", "org2", mapping), "  name: a\n  organization", "  name: b\n  organization",
				1),
			[]string{
				`x:20: TokenIssuer apk/a: metadata.name: is there twice (see line 4): in a cluster the one that comes last ` +
					`takes the other's place,` +
					` and the tokens of organization "org1" are refused. Give each resource a name of its own`}},
		{"organization mapped twice", tokenIssuer("a", "org1",
			mapping+"  - {localClaim: X-Wso2-Organization, remoteClaim: p}\n"), []string{
			`x:16: TokenIssuer apk/a: spec.claimMappings[1]: x-wso2-organization is mapped twice: which claim holds the ` +
				`organization must be one`}},
		{"fields missing, empty and of other types",
			"apiVersion: dp.wso2.com/v1alpha1\nkind: TokenIssuer\nmetadata:\n  name: a\nspec:\n  name: 7\n  " +
				"organization: " +
				"\"\"\n  environments: dev\n  signatureValidation: {}\n", []string{
				`x:5: TokenIssuer apk/a: spec.issuer: is missing`,
				`x:5: TokenIssuer apk/a: spec.consumerKeyClaim: is missing`,
				`x:5: TokenIssuer apk/a: spec.scopesClaim: is missing`,
				`x:6: TokenIssuer apk/a: spec.name: must be a string, got a number (7)`,
				`x:7: TokenIssuer apk/a: spec.organization: is empty`,
				`x:8: TokenIssuer apk/a: spec.environments: must be a list, got a string`,
				`x:9: TokenIssuer apk/a: spec.signatureValidation: must have jwks or certificate`}},
		{"no spec", "apiVersion: dp.wso2.com/v1alpha1\nkind: TokenIssuer\nmetadata:\n  name: a\n", []string{
			`x:1: TokenIssuer apk/a: spec: is missing`}},
		{"no name", strings.Replace(tokenIssuer("a", "o", ""), "metadata:\n  name: a\n", "", 1), []string{
			`x:1: TokenIssuer: metadata.name: is missing`}},
		{"a version to come", strings.Replace(tokenIssuer("a", "o", "  tenant: t\n"), "v1alpha2", "v1alpha3", 1),
			[]string{
				`note: x:1: TokenIssuer apk/a: apiVersion: dp.wso2.com/v1alpha3 is read as v1alpha2: of other fields nothing is ` +
					`known`,
				`note: x:14: TokenIssuer apk/a: spec.tenant: not carried over: nothing is known of this field`}},
		{"another group", strings.Replace(tokenIssuer("a", "o", ""), "dp.wso2.com/v1alpha2", "example.com/v1", 1),
			[]string{
				`x:1: TokenIssuer apk/a: apiVersion: must be dp.wso2.com/v1alpha1 or dp.wso2.com/v1alpha2, got "example.com/v1"`}},
		{"claims that are no headers", tokenIssuer("a", "o", "  claimMappings:\n"+
			"  - {localClaim: \"http://wso2.org/claims/role\", remoteClaim: r}\n"+
			"  - {localClaim: x-email, remoteClaim: email}\n"+
			"  - {localClaim: \"http://wso2.org/claims/enduser\", remoteClaim: sub}\n"), []string{
			`note: x:14: TokenIssuer apk/a: spec.claimMappings: "http://wso2.org/claims/role" and ` +
				`"http://wso2.org/claims/enduser": not carried over: claims go to the upstream in headers, and these are no ` +
				`names of headers`}},
		{"much that is not for the plugin", tokenIssuer("a", "o", mapping+"  targetRef: {name: g}\n") + "---\n" +
			tokenIssuer("b", "o2", mapping+"  targetRef: {name: g}\n") +
			strings.Repeat("---\nkind: Service\nmetadata: {name: s}\n", 5) +
			strings.Repeat("---\nkind: Backend\n", 2), []string{
			`note: x:16: TokenIssuer apk/a: spec.targetRef: not carried over: the issuer is used wherever the plugin is ` +
				`attached (line 33 as well)`,
			`note: x:35: Service apk/s: kind: skipped: nothing in it is for the plugin (lines 38, 41, 44 and 1 more as well)`,
			`note: x:50: Backend: kind: skipped: nothing in it is for the plugin (line 52 as well)`}},
		{"fields that nobody knows", tokenIssuer("a", "o", "      pins: []\n  claims: {}\n"), []string{
			`note: x:14: TokenIssuer apk/a: spec.signatureValidation.jwks.pins: not carried over: nothing is known of this ` +
				`field`,
			`note: x:15: TokenIssuer apk/a: spec.claims: not carried over: nothing is known of this field`}},
		{"what the plugin would refuse", strings.Replace(tokenIssuer("a", "o",
			"  claimMappings:\n  - {localClaim: Host, remoteClaim: h}\n"), "https://idp.example/jwks", "idp/jwks", 1),
			[]string{
				`x:13: TokenIssuer apk/a: spec.signatureValidation.jwks.url: must be an absolute http(s) URL, got "idp/jwks"`,
				`x:15: TokenIssuer apk/a: spec.claimMappings[0].localClaim: must not be "host"`,
				`note: x:13: TokenIssuer apk/a: spec.signatureValidation.jwks.url: the keys come over plain http: whoever is on ` +
					`the way can put in one of their own`}},
		{"a Secret", tokenIssuer("a", "o", tls) + secret("data:\n  ca.crt: "+encoded+"\n"), nil},
		{"a Secret in plain text", tokenIssuer("a", "o", tls) +
			secret("stringData:\n  ca.crt: |\n    "+strings.ReplaceAll(string(pem), "\n", "\n    ")+"\n"), nil},
		{"no Secret", tokenIssuer("a", "o", tls), []string{
			`x:15: TokenIssuer apk/a: spec.signatureValidation.jwks.tls.secretRef: refers to Secret apk/ca, which is in ` +
				`none of the files: add what "kubectl get secret ca -n apk -o yaml" prints`}},
		{"a Secret of another namespace", tokenIssuer("a", "o", tls) +
			secret("  namespace: other\ndata:\n  ca.crt: "+encoded+"\n"), []string{
			`x:15: TokenIssuer apk/a: spec.signatureValidation.jwks.tls.secretRef: refers to Secret apk/ca, which is in ` +
				`none of the files: add what "kubectl get secret ca -n apk -o yaml" prints`}},
		{"a Secret of the usual namespace alone", strings.Replace(tokenIssuer("a", "o", tls), "metadata:\n",
			"metadata:\n  namespace: other\n", 1) + secret("data:\n  ca.crt: "+encoded+"\n"), []string{
			`x:16: TokenIssuer other/a: spec.signatureValidation.jwks.tls.secretRef: refers to Secret other/ca, which is in ` +
				`none of the files: add what "kubectl get secret ca -n other -o yaml" prints`}},
		{"a Secret without the key", tokenIssuer("a", "o", tls) + secret("data:\n  tls.crt: "+encoded+"\n"), []string{
			`x:15: TokenIssuer apk/a: spec.signatureValidation.jwks.tls.secretRef: refers to Secret apk/ca, key "ca.crt": ` +
				`there is no such key, or it is empty (line 18)`}},
		{"a Secret that is not base64", tokenIssuer("a", "o", tls) + secret("data:\n  ca.crt: \"!\"\n"), []string{
			`x:15: TokenIssuer apk/a: spec.signatureValidation.jwks.tls.secretRef: refers to Secret apk/ca, key "ca.crt": ` +
				`not base64 (line 18)`}},
		{"a Secret twice", tokenIssuer("a", "o", tls) + secret("data:\n  ca.crt: "+encoded+"\n") + secret("data: {}\n"),
			[]string{
				`x:27: Secret apk/ca: metadata.name: is there twice (see line 18): in a cluster the one that comes last takes ` +
					`the other's place`}},
		{"authorities that are a private key", tokenIssuer("a", "o", tls) +
			secret("stringData:\n  ca.crt: \"-----BEGIN PRIVATE KEY-----\\nc2VjcmV0\\n-----END PRIVATE KEY-----\\n\"\n"),
			[]string{
				`x:14: TokenIssuer apk/a: spec.signatureValidation.jwks.tls: block 1 is a private key, which has no place here`}},
		{"authorities that are none", tokenIssuer("a", "o", "      tls:\n        certificateInline: secret\n"),
			[]string{
				`x:14: TokenIssuer apk/a: spec.signatureValidation.jwks.tls: no PEM certificate`}},
		{"authorities from two places", tokenIssuer("a", "o", tls+"        certificateInline: secret\n"), []string{
			`x:14: TokenIssuer apk/a: spec.signatureValidation.jwks.tls: must have exactly one of certificateInline, ` +
				`secretRef and configMapRef`}},
		{"a certificate that is none", tokenIssuer("a", "o", "    certificate:\n      certificateInline: secret\n"),
			[]string{
				`x:14: TokenIssuer apk/a: spec.signatureValidation.certificate: no usable PEM: no block`}},
		{"not YAML", "kind: x\n---\na: [\n", []string{"note: x:1: x: kind: skipped: nothing in it is for the plugin",
			"x:3: not YAML: did not find expected node content"}},
		{"a key twice", "kind: x\nkind: y\n", []string{`x:2: not YAML: key "kind" already set in map`}},
		{"neither resource nor values", "a: 1\n",
			[]string{
				`x:1: Helm values: neither a Kubernetes resource (apiVersion, kind), nor values with wso2.apk.idp, ` +
					`wso2.kgw.idp or idp, nor a Key Manager`}},
		{"values of a chart without a provider", "wso2: {apk: {dp: {enabled: false}}}\nidp: {enabled: false}\n",
			[]string{
				`x:2: Helm values: idp: it is for the identity provider that the chart deploys; neither wso2.apk.idp nor ` +
					`wso2.kgw.idp says whose tokens are taken`}},
		{"a chart's values, and those of the documents", "wso2: {apk: {idp: {issuer: x, signing: {jwksEndpoint: " +
			"https://x/}}}}\nidp: {issuer: y, jwksEndpoint: https://y/}\n", []string{
			`note: x:1: Helm values: organizationClaim: a token is of the organization that the claim organization, the ` +
				`chart's default, says, whichever that is (organization "*")`,
			`note: x:2: Helm values: idp: not carried over: a chart that has wso2 takes its identity provider from there ` +
				`alone`}},
		{"a chart's values without keys or a provider of its own", "wso2: {kgw: {idp: {issuer: x}}}\n" +
			"idp: {enabled: false}\n", []string{
			`note: x:1: Helm values: organizationClaim: a token is of the organization that the claim organization, the ` +
				`chart's default, says, whichever that is (organization "*")`,
			`note: x:2: Helm values: idp: not carried over: it is for the identity provider that the chart deploys, and says ` +
				`nothing of whose tokens are taken`,
			`x:1: Helm values: signing: there is neither a jwksEndpoint nor a certificate, and the chart deploys no ` +
				`provider of its own (idp.enabled)`}},
		{"a chart's values without keys, and two releases", "wso2: {apk: {idp: {issuer: x}}}\n" +
			strings.ReplaceAll(secret(""), "name: ca", "name: a-enforcer-truststore-secret") +
			strings.ReplaceAll(secret(""), "name: ca", "name: b-enforcer-truststore-secret"), []string{
			`note: x:1: Helm values: organizationClaim: a token is of the organization that the claim organization, the ` +
				`chart's default, says, whichever that is (organization "*")`,
			`x:1: Helm values: signing: there is neither a jwksEndpoint nor a certificate, and the files have Secrets of ` +
				`several releases of the chart: a-enforcer-truststore-secret, b-enforcer-truststore-secret`}},
		{"nothing", "---\n# nothing\n", []string{
			`no TokenIssuer, no Helm values with an idp section and no Key Manager that is used`}},
		{"nothing for the plugin", "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n", []string{
			`note: x:2: Service apk/s: kind: skipped: nothing in it is for the plugin`,
			`no TokenIssuer, no Helm values with an idp section and no Key Manager that is used`}},
		{"values without keys", "idp:\n  issuer: x\n", []string{
			`x:1: Helm values: signing: there is neither a jwksEndpoint nor a certificate`}},
		{"values with a certificate and a JWK Set",
			"idp:\n  issuer: x\n  signing:\n    secretName: ca\n    fileName: ca.crt\n    jwksEndpoint: https://x/\n" +
				secret("data:\n  ca.crt: "+encoded+"\n"), []string{
				`note: x:6: Helm values: signing.jwksEndpoint: not carried over: ` +
					`the chart uses the certificate where there is one`}},
		{"values about getting tokens",
			"idp:\n  issuer: x\n  jwksEndpoint: https://x/\n  tokenEndpoint: https://x/token\n  credentials:\n    " +
				"secretName: s\n  groupClaim: groups\n  organizationResolver: controlPlane\n", []string{
				`note: x:4: Helm values: tokenEndpoint: not carried over: the plugin checks tokens and asks for none`,
				`note: x:5: Helm values: credentials: not carried over: the plugin checks tokens and asks for none`,
				`note: x:8: Helm values: organizationResolver: not carried over: the organization claim must hold the ` +
					`organization itself; organizationMapping in the configuration translates it`,
				`note: x:7: Helm values: groupClaim: not carried over: ` +
					`set rolesClaim in the configuration, if rules ask for roles`}},
		{"a list of Key Managers", `{"count": 1, "list": [{"id": "1", "name": "K", "type": "Okta", "enabled": true, ` +
			`"tokenType": "DIRECT"}]}`, []string{
			`x:1: Key Manager K: issuer: is missing: the list of Key Managers does not have it, GET /key-managers/ID does`,
		}},
		{"Key Managers that the gateway does not use", `[{"name": "K", "enabled": false, "tokenType": "DIRECT"}, ` +
			`{"name": "L", "enabled": true, "tokenType": "EXCHANGED"}]`, []string{
			`note: x:1: Key Manager K: enabled: skipped: API Manager does not use it`,
			`note: x:1: Key Manager L: tokenType: skipped: its tokens are exchanged for those of another Key Manager before ` +
				`they come here`,
			`no TokenIssuer, no Helm values with an idp section and no Key Manager that is used`}},
		{"a Key Manager with a certificate", keyManager(`"certificates": {"type": "PEM", "value": "` + encoded + `"}`),
			[]string{carbon}},
		{"a Key Manager with a certificate in URL encoding", keyManager(`"certificates": {"type": "PEM", "value": "` +
			url.PathEscape(string(pem)) + `"}`), []string{carbon}},
		{"a Key Manager with a certificate and nothing around it",
			keyManager(`"certificates": {"type": "PEM", "value": "` +
				bare + `"}`), []string{carbon}},
		{"a Key Manager with a certificate that is none", keyManager(`"certificates": {"type": "PEM", "value": "!"}`),
			[]string{carbon, `x:3: Key Manager K: certificates.value: no usable PEM: no block`}},
		{"a Key Manager without keys", keyManager(`"certificates": {"type": "PEM", "value": ""}`), []string{carbon,
			`x:3: Key Manager K: certificates: there is neither a JWKS nor a PEM certificate, nor a wellKnownEndpoint: API ` +
				`Manager takes gateway_certificate_alias of its trust store, which is not in the file`}},
		{"a Key Manager that introspects nowhere",
			keyManager(`"certificates": {"type": "JWKS", "value": "https://k/"}, ` +
				`"introspectionEndpoint": "none", "enableSelfValidationJWT": false`), []string{carbon,
				`x:3: Key Manager K: introspectionEndpoint: is missing: the tokens are to be introspected`}},
		{"token handling of other kinds", keyManager(`"certificates": {"type": "JWKS", "value": "https://k/"}, ` +
			`"introspectionEndpoint": "https://k/i", "tokenValidation": [` +
			`{"enable": true, "type": "JWT", "value": {"body": {"iss": "other", "tier": "gold"}}},` +
			`{"enable": true, "type": "CUSTOM", "value": "(?=x)"}, {"enable": true, "type": "SAML", "value": "x"}]`),
			[]string{carbon,
				`note: x:3: Key Manager K: tokenValidation[0].value: not carried over: a JWT is this Key Manager's by its ` +
					`issuer; rules may ask for other claims`,
				`x:3: Key Manager K: tokenValidation[1].value: is not an expression of RE2, which has no look-around and no ` +
					"back references: error parsing regexp: invalid or unsupported Perl syntax: `(?=`",
				`note: x:3: Key Manager K: tokenValidation[2]: not carried over: nothing is known of the type "SAML"`,
				`note: x:3: Key Manager K: introspectionEndpoint: not carried over: opaque tokens are refused`}},
		{"fields of a Key Manager that nobody knows",
			keyManager(`"certificates": {"type": "JWKS", "value": "https://k/"}, ` +
				`"color": "red"`), []string{carbon,
				`note: x:3: Key Manager K: color: not carried over: nothing is known of this field`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			result := apk.Import([]apk.Source{{Name: "x", Text: c.text}}, options)
			got := slices.Sorted(slices.Values(lines(result)))
			for _, line := range got {
				if strings.Contains(line, "secret\"") || strings.Contains(line, "c2VjcmV0") {
					t.Errorf("%s holds the secret", line)
				}
			}
			want := slices.Sorted(slices.Values(c.want))
			if diff := cmp.Diff(want, got, cmpEmpty); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if (result.Configuration == nil) != (result.Problems() > 0) {
				t.Errorf("a configuration: %v, with %d problems", result.Configuration != nil, result.Problems())
			}
		})
	}
}

// cmpEmpty makes no difference between no list and an empty one.
var cmpEmpty = cmpopts.EquateEmpty()

// members returns the elements of a JSON object's array.
func members(t *testing.T, doc []byte, name string) [][]byte {
	t.Helper()
	var object map[string][]json.RawMessage
	if err := json.Unmarshal(doc, &object); err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, e := range object[name] {
		all = append(all, e)
	}
	return all
}
