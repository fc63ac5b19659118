package config_test

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"orgate/config"
)

const goodIssuer = `{"name": "idp", "issuer": "https://idp.example/", "organization": "org1",
	"signatureValidation": {"jwks": {"url": "https://idp.example/jwks", "cluster": "idp"}}}`

// merge applies a merge patch (RFC 7396) to a document.
func merge(doc, patch string) string {
	var d, p any
	for into, from := range map[*any]string{&d: doc, &p: patch} {
		if err := json.Unmarshal([]byte(from), into); err != nil {
			panic(err.Error() + ": " + from)
		}
	}
	merged, err := json.Marshal(mergeValue(d, p))
	if err != nil {
		panic(err)
	}
	return string(merged)
}

func mergeValue(d, p any) any {
	patch, ok := p.(map[string]any)
	if !ok {
		return p
	}
	object, _ := d.(map[string]any)
	object = maps.Clone(object)
	if object == nil {
		object = map[string]any{}
	}
	for name, value := range patch {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = mergeValue(object[name], value)
		}
	}
	return object
}

// issuers is a document with these issuers, each the patch of a good one.
func issuers(patches ...string) string {
	var list []string
	for _, p := range patches {
		list = append(list, merge(goodIssuer, p))
	}
	return `{"issuers": [` + strings.Join(list, ", ") + `]}`
}

// top is a good document with a patch.
func top(patch string) string { return merge(`{"issuers": [`+goodIssuer+`]}`, patch) }

// rules is a good document with these rules.
func rules(list string) string { return top(`{"rules": [` + list + `]}`) }

// jwks is a good document with a patch of the key location.
func jwks(patch string) string {
	return issuers(`{"signatureValidation": {"jwks": ` + patch + `}}`)
}

// opaque is a good document with an issuer of tokens of a kind, patched.
func opaque(kind, pattern, patch string) string {
	return issuers(merge(`{"tokenHandling": {"kind": "`+kind+`", "pattern": "`+pattern+`"}, "signatureValidation": null,
		"introspection": {"url": "https://idp.example/introspect", "cluster": "idp"}}`, patch))
}

const somePEM = `-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n`

// broken are documents that are refused, each with everything that is said.
var broken = []struct {
	name, doc, want string
	// onlyParse says that the schema cannot see the mistake.
	onlyParse bool
}{
	// The document.
	{name: "nothing", doc: "", want: `line 1, column 1: the configuration is empty`},
	{name: "nothing but space", doc: " \n", want: `line 1, column 1: the configuration is empty`},
	{name: "YAML", doc: "# ours\nissuers: []",
		want: `line 1, column 1: invalid JSON: if this is YAML, "orgate check --print" writes it as JSON`},
	{name: "a comment", doc: "{\n // ours\n}", want: `line 2, column 2: invalid JSON: JSON has no comments`},
	{name: "a comment at the start", doc: "/* ours */ {}",
		want: `line 1, column 1: invalid JSON: JSON has no comments`},
	{name: "a comment as shells have it", doc: "{# ours\n}",
		want: `line 1, column 2: invalid JSON: JSON has no comments`},
	{name: "trailing comma on the third line", doc: "{\n \"rules\": [],\n}", want: `line 3, column 1: invalid JSON`},
	{name: "two documents", doc: "{} {}", want: `line 1, column 4: invalid JSON`},
	{name: "broken UTF-8 after a two-byte character", doc: "{\"é\xff\": 1}", want: `line 1, column 4: invalid Unicode`},
	{name: "nested too deep", doc: strings.Repeat("[", 40) + strings.Repeat("]", 40),
		want: `line 1, column 33: nested too deep`},
	{name: "an array", doc: `[]`, want: `line 1, column 1: must be an object, got an array`},
	{name: "null", doc: `null`, want: `line 1, column 1: must be an object, got null`},
	{name: "an empty object", doc: `{}`, want: `issuers: is required`},
	{
		name: "a whole TokenIssuer",
		doc:  `{"apiVersion": "dp.wso2.com/v1alpha2", "kind": "TokenIssuer", "metadata": {"name": "a"}, "spec": {}}`,
		want: `line 1, column 1: is a whole Kubernetes resource: each of "issuers" is the spec of a TokenIssuer with ` +
			`the name of its cluster in signatureValidation.jwks ("orgate import" writes it)`,
	},
	{
		name: "a whole TokenIssuer among the issuers",
		doc:  `{"issuers": [{"kind": "TokenIssuer", "metadata": {"name": "a"}, "spec": {"name": "a"}}]}`,
		want: `issuers[0]: is a whole Kubernetes resource: each of "issuers" is the spec of a TokenIssuer with the ` +
			`name of its cluster in signatureValidation.jwks ("orgate import" writes it)`,
	},

	// Members and types.
	{name: "unknown field", doc: top(`{"colour": "blue"}`), want: `colour: unknown field`},
	{name: "misspelt field", doc: top(`{"ruels": []}`), want: `ruels: unknown field; did you mean "rules"?`},
	{name: "field in another case", doc: top(`{"bypassCorsPreflight": true}`),
		want: `bypassCorsPreflight: unknown field; did you mean "bypassCORSPreflight"?`},
	{name: "misspelt field inside", doc: issuers(`{"usernameclaim": "sub"}`),
		want: `issuers[0].usernameclaim: unknown field; did you mean "usernameClaim"?`},
	{name: "unknown field with an odd name", doc: top(`{"a.b c": 1}`), want: `["a.b c"]: unknown field`},
	{name: "unknown field with an endless name", doc: top(`{"` + strings.Repeat("a ", 100) + `": 1}`),
		want: `["` + strings.Repeat("a ", 40) + `"…]: unknown field`},
	{name: "a field with the empty name", doc: top(`{"": 1}`), want: `[""]: unknown field`},
	{name: "a field named as one without a name", doc: top(`{"organization": {"-": "org1"}}`),
		want: `organization["-"]: unknown field`},
	{
		name: "duplicate members", onlyParse: true,
		doc:  `{"issuers": [` + goodIssuer + `], "forwardToken": true, "\u0066orwardToken": false}`,
		want: `forwardToken: is there twice`,
	},
	{
		name: "duplicate member of a map", onlyParse: true,
		doc: `{"issuers": [{"organizationMapping": {"a": "1", "a": "2"}, "organizationClaim": "org", ` +
			goodIssuer[1:] + `]}`,
		want: `issuers[0].organizationMapping.a: is there twice`,
	},
	{
		name: "duplicate all", onlyParse: true,
		doc:  `{"issuers": [` + goodIssuer + `], "rules": [{"scopes": {"all": ["a"], "all": ["b"]}}]}`,
		want: `rules[0].scopes.all: is there twice`,
	},
	{name: "null for a list", doc: `{"issuers": [` + goodIssuer + `], "rules": null}`,
		want: `rules: must be an array, got null`},
	{name: "an object for a list", doc: top(`{"issuers": {}}`), want: `issuers: must be an array, got an object`},
	{name: "no issuers", doc: top(`{"issuers": []}`), want: `issuers: must not be empty`},
	{name: "an issuer that is a string", doc: top(`{"issuers": ["idp"]}`),
		want: `issuers[0]: must be an object, got a string`},
	{name: "a number for a string", doc: issuers(`{"name": 7}`),
		want: `issuers[0].name: must be a string, got a number`},
	{name: "a string for true", doc: top(`{"forwardToken": "true"}`),
		want: `forwardToken: must be true or false, got a string`},
	{name: "true for a string", doc: top(`{"environment": true}`), want: `environment: must be a string, got true`},
	{name: "an array for an object", doc: top(`{"headers": []}`), want: `headers: must be an object, got an array`},
	{name: "a string for a number", doc: top(`{"limits": {"tokenBytes": "8192"}}`),
		want: `limits.tokenBytes: must be a whole number, got a string`},
	{name: "a fraction", doc: top(`{"limits": {"tokenBytes": 8192.5}}`),
		want: `limits.tokenBytes: must be a whole number, got 8192.5`},
	{name: "a number below its range", doc: top(`{"limits": {"tokenBytes": 255}}`),
		want: `limits.tokenBytes: must be from 256 to 65536, got 255`},
	{name: "a number above its range", doc: top(`{"limits": {"cachedTokens": 65537}}`),
		want: `limits.cachedTokens: must be from 0 to 65536, got 65537`},
	{name: "a negative number", doc: top(`{"limits": {"waitingRequests": -1}}`),
		want: `limits.waitingRequests: must be from 0 to 65536, got -1`},
	{
		name: "a number beyond all ranges",
		doc:  `{"issuers": [` + goodIssuer + `], "limits": {"tokenBytes": 1` + strings.Repeat("0", 40) + `}}`,
		want: `limits.tokenBytes: must be from 256 to 65536, got 1` + strings.Repeat("0", 29) + `…`,
	},
	{name: "a duration without a unit", doc: top(`{"limits": {"keyWait": "5"}}`),
		want: `limits.keyWait: must be a duration such as "90s", got "5"`},
	{name: "a number for a duration", doc: top(`{"limits": {"keyWait": 5}}`),
		want: `limits.keyWait: must be a duration such as "90s", got a number`},
	{name: "a negative duration", doc: issuers(`{"clockSkew": "-1s"}`),
		want: `issuers[0].clockSkew: must be from 0s to 10m, got "-1s"`, onlyParse: true},
	{name: "a duration above its range", doc: top(`{"limits": {"keyWait": "61s"}}`),
		want: `limits.keyWait: must be from 0s to 1m, got "61s"`, onlyParse: true},
	{name: "an endless duration", doc: issuers(`{"maxTokenAge": "9999999h"}`),
		want: `issuers[0].maxTokenAge: must be a duration such as "90s", got "9999999h"`, onlyParse: true},
	{name: "a token age of nothing", doc: issuers(`{"maxTokenAge": "0s"}`),
		want: `issuers[0].maxTokenAge: must be at least 1s, got "0s"`, onlyParse: true},
	{name: "a word that is not among those allowed", doc: top(`{"errors": {"format": "xml"}}`),
		want: `errors.format: must be "wso2", "problem" or "plain", got "xml"`},
	{name: "a missing username that is none of the three", doc: issuers(`{"missingUsername": "azp"}`),
		want: `issuers[0].missingUsername: must be "refuse", "consumerKey" or "omit", got "azp"`},
	{name: "lists that are written in neither way", doc: top(`{"headers": {"lists": "space"}}`),
		want: `headers.lists: must be "comma" or "json", got "space"`},
	{name: "a missing organization that is neither", doc: issuers(`{"missingOrganization": "allow"}`),
		want: `issuers[0].missingOrganization: must be "refuse" or "issuer", got "allow"`},
	{name: "an empty string in a list", doc: issuers(`{"audiences": ["api", ""]}`),
		want: `issuers[0].audiences[1]: must not be empty`},
	{name: "no environments", doc: issuers(`{"environments": []}`), want: `issuers[0].environments: must not be empty`},
	{name: "an empty claim name", doc: issuers(`{"usernameClaim": ""}`),
		want: `issuers[0].usernameClaim: must not be empty`},
	{name: "a claim path of nothing", doc: issuers(`{"usernameClaim": []}`),
		want: `issuers[0].usernameClaim: must not be empty`},
	{name: "a claim path with a number", doc: issuers(`{"usernameClaim": ["a", 0]}`),
		want: `issuers[0].usernameClaim[1]: must be a string, got a number`},
	{name: "a claim name that is a number", doc: issuers(`{"usernameClaim": 1}`),
		want: `issuers[0].usernameClaim: must be a claim's name or an array of strings, got a number`},
	{name: "a long value is cut", doc: top(`{"signatureVerification": "` + strings.Repeat("é", 100) + `"}`),
		want: `signatureVerification: must be "sandbox" or "host", got "` + strings.Repeat("é", 40) + `"…`},
	{name: "a PEM is not repeated", doc: top(`{"signatureVerification": "` + somePEM + `"}`),
		want: `signatureVerification: must be "sandbox" or "host", got a PEM`},

	// Issuers.
	{
		name: "an empty issuer", doc: `{"issuers": [{}]}`,
		want: "issuers[0].name: is required\nissuers[0].issuer: is required\nissuers[0].organization: is " +
			"required\nissuers[0].signatureValidation: must have jwks or certificate, unless there is introspection",
	},
	{name: "an empty name", doc: issuers(`{"name": ""}`), want: `issuers[0].name: must not be empty`},
	{name: "the name none", doc: issuers(`{"name": "none"}`),
		want: `issuers[0].name: must not be "none", the label in metrics of what has no name`, onlyParse: true},
	{name: "a name with a line end", doc: issuers(`{"name": "a\nb"}`),
		want: `issuers[0].name: must not have control characters, got "a\nb"`, onlyParse: true},
	{name: "an organization with a space", doc: issuers(`{"organization": "org1 "}`),
		want: `issuers[0].organization: must not begin or end with space, got "org1 "`, onlyParse: true},
	{name: "an issuer with a space", doc: issuers(`{"issuer": " https://idp"}`),
		want: `issuers[0].issuer: must not begin or end with space, got " https://idp"`, onlyParse: true},
	{name: "two issuers of one name", doc: issuers(`{}`, `{"issuer": "https://b/"}`),
		want: `issuers[1].name: "idp" is the name of issuers[0] already`, onlyParse: true},
	{name: "names behind one that is no string, and behind one that another issuer has",
		doc: issuers(`{"name": 1}`, `{"issuer": "https://b/"}`, `{"issuer": "https://c/"}`, `{"issuer": "https://d/"}`),
		want: "issuers[0].name: must be a string, got a number\n" +
			"issuers[2].name: \"idp\" is the name of issuers[1] already\n" +
			"issuers[3].name: \"idp\" is the name of issuers[1] already"},
	{name: "the same issuer and organization twice", doc: issuers(`{}`, `{"name": "b"}`),
		want: `issuers[1].organization: the issuer is bound to "org1" by issuers[0] already`, onlyParse: true},
	{
		name: "one issuer for two organizations without a claim", onlyParse: true,
		doc: top(`{"organization": "org1", "issuers": [` + goodIssuer + `, ` + merge(goodIssuer,
			`{"name": "b", "organization": "org2", "sharedAcrossOrganizations": true}`) + `]}`),
		want: `issuers[0].organizationClaim: is required, since the issuer stands under several organizations:` +
			` without it each of its tokens could call them all (sharedAcrossOrganizations allows that)`,
	},
	{
		name: "one issuer for two organizations, both of which take tokens without the claim", onlyParse: true,
		doc: top(`{"organization": "org1", "issuers": [` + merge(goodIssuer,
			`{"organizationClaim": "org", "missingOrganization": "issuer"}`) + `, ` +
			merge(goodIssuer, `{"name": "b", "organization": "org2", "organizationClaim": "org", `+
				`"missingOrganization": "issuer", "sharedAcrossOrganizations": true}`) + `]}`),
		want: `issuers[0].missingOrganization: must not be "issuer", since the issuer stands under several ` +
			`organizations:` +
			` a token without the claim could call them all (sharedAcrossOrganizations allows that)`,
	},
	{name: "any organization without a claim",
		doc:  top(`{"organization": "org1", "issuers": [` + merge(goodIssuer, `{"organization": "*"}`) + `]}`),
		want: `issuers[0].organizationClaim: is required if organization is "*"`, onlyParse: true},
	{
		name: "any organization and a fallback", onlyParse: true,
		doc: top(`{"organization": "org1", "issuers": [` + merge(goodIssuer,
			`{"organization": "*", "organizationClaim": "org", "missingOrganization": "issuer"}`) + `]}`),
		want: `issuers[0].missingOrganization: must not be "issuer" if organization is "*": there is none to fall ` +
			`back to`,
	},
	{name: "many tenants without a claim", doc: issuers(`{"issuer": "https://idp/{tid}/"}`), onlyParse: true,
		want: `issuers[0].organizationClaim: is required with "{tid}" in issuer: whoever has a tenant has tokens of this issuer`},
	{name: "many tenants and a fallback", onlyParse: true,
		doc: issuers(`{"issuer": "https://idp/{tid}/", "organizationClaim": "tid", "missingOrganization": "issuer"}`),
		want: `issuers[0].missingOrganization: must not be "issuer" with "{tid}" in issuer: a token of any tenant could ` +
			`do without the claim`},
	{name: "a fallback without a claim", doc: issuers(`{"missingOrganization": "issuer"}`),
		want: `issuers[0].organizationClaim: is required if missingOrganization is "issuer"`, onlyParse: true},
	{name: "an organization mapping without a claim", doc: issuers(`{"organizationMapping": {"7": "org1"}}`),
		want: `issuers[0].organizationClaim: is required with organizationMapping`, onlyParse: true},
	{name: "an organization mapping of nothing",
		doc:  issuers(`{"organizationClaim": "org", "organizationMapping": {}}`),
		want: `issuers[0].organizationMapping: must not be empty`},
	{name: "an organization mapping to any",
		doc:  issuers(`{"organizationClaim": "org", "organizationMapping": {"a b": "*"}}`),
		want: `issuers[0].organizationMapping["a b"]: must be an organization, got "*"`, onlyParse: true},
	{name: "an organization mapping to a number",
		doc:  issuers(`{"organizationClaim": "org", "organizationMapping": {"a": 1}}`),
		want: `issuers[0].organizationMapping.a: must be a string, got a number`},
	{name: "an organization mapping from nothing",
		doc:  issuers(`{"organizationClaim": "org", "organizationMapping": {"": "a"}}`),
		want: `issuers[0].organizationMapping[""]: the name must not be empty`},
	{name: "an organization mapping that is a list",
		doc:  issuers(`{"organizationClaim": "org", "organizationMapping": []}`),
		want: `issuers[0].organizationMapping: must be an object, got an array`},
	{name: "no algorithms", doc: issuers(`{"algorithms": []}`), want: `issuers[0].algorithms: must not be empty`},
	{name: "the algorithm none", doc: issuers(`{"algorithms": ["RS256", "None"]}`),
		want: `issuers[0].algorithms[1]: "none" is never accepted: it is no signature`},
	{
		name: "an algorithm with a shared secret", doc: issuers(`{"algorithms": ["HS256"]}`),
		want: `issuers[0].algorithms[0]: "HS256" is never accepted: whoever can check such a signature can make it; ` +
			`must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA or Ed25519`,
	},
	{name: "a curve that is not used", doc: issuers(`{"algorithms": ["ES256K", "Ed448"]}`),
		want: `issuers[0].algorithms[0]: "ES256K" is not supported; must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA or Ed25519
issuers[0].algorithms[1]: "Ed448" is not supported; must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA or Ed25519`},
	{name: "an algorithm for the proxy", doc: issuers(`{"algorithms": ["ES512"]}`),
		want: `issuers[0].algorithms[0]: "ES512" needs signatureVerification "host": the sandbox would take 300 times as long as for RS256`, onlyParse: true},
	{name: "an algorithm in small letters", doc: issuers(`{"algorithms": ["rs256"]}`),
		want: `issuers[0].algorithms[0]: must be written "RS256", got "rs256"`},
	{name: "an unknown algorithm", doc: issuers(`{"algorithms": ["RSA"]}`),
		want: `issuers[0].algorithms[0]: must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA or Ed25519, got "RSA"`},
	{name: "a token type as a media type", doc: issuers(`{"tokenTypes": ["Application/at+jwt"]}`),
		want: `issuers[0].tokenTypes[0]: must leave out "application/": "at+jwt"`, onlyParse: true},
	{name: "role mappings without roles", doc: issuers(`{"roleMappings": [{"remoteRole": "a", "localRole": "b"}]}`),
		want: `issuers[0].rolesClaim: is required with roleMappings`, onlyParse: true},
	{name: "half a role mapping", doc: issuers(`{"rolesClaim": "roles", "roleMappings": [{"remoteRole": "a"}]}`),
		want: `issuers[0].roleMappings[0].localRole: is required`},
	{name: "an environment without issuers",
		doc:  merge(issuers(`{"environments": ["dev"]}`), `{"environment": "prod"}`),
		want: `environment: no issuer is for "prod"`, onlyParse: true},
	{name: "an environment with a space", doc: top(`{"environment": "dev "}`),
		want: `environment: must not begin or end with space, got "dev "`, onlyParse: true},
	{name: "issuers that cannot be read, and others that are the same",
		doc: merge(issuers(`{"issuer": 1}`, `{"name": "b", "issuer": 1}`, `{"name": "c"}`, `{"name": "d"}`,
			`{"name": "e"}`,
			`{"name": "f", "organization": "org2"}`, `{"name": "g", "organization": "org3", "organizationClaim": "o"}`),
			`{"organization": "org1"}`),
		want: "issuers[0].issuer: must be a string, got a number\nissuers[1].issuer: must be a string, got a number\n" +
			"issuers[2].organizationClaim: is required, since the issuer stands under several organizations:" +
			" without it each of its tokens could call them all (sharedAcrossOrganizations allows that)\n" +
			"issuers[3].organization: the issuer is bound to \"org1\" by issuers[2] already\n" +
			"issuers[4].organization: the issuer is bound to \"org1\" by issuers[2] already\n" +
			"issuers[5].organizationClaim: is required, since the issuer stands under several organizations:" +
			" without it each of its tokens could call them all (sharedAcrossOrganizations allows that)"},
	{name: "issuers behind one whose environments cannot be read",
		doc: issuers(`{"environments": 1, "issuer": "https://b/"}`, `{"name": "b"}`, `{"name": "c"}`),
		want: "issuers[0].environments: must be an array, got a number\n" +
			`issuers[2].organization: the issuer is bound to "org1" by issuers[1] already`},
	{name: "a mistake in an issuer of another environment",
		doc: merge(issuers(`{}`, `{"name": "b", "environments": ["dev"], "clockSkew": "1"}`),
			`{"environment": "prod"}`), want: `issuers[1].clockSkew: must be a duration such as "90s", got "1"`},

	// What a TokenIssuer has and the sandbox cannot use.
	{name: "targetRef", doc: issuers(`{"targetRef": {"kind": "Gateway", "name": "default"}}`),
		want: `issuers[0].targetRef: has no meaning here: the issuer is used wherever the plugin is attached ` +
			`("orgate import" leaves it out)`},
	{name: "tls", doc: jwks(`{"tls": {"secretRef": {"name": "a"}}}`),
		want: `issuers[0].signatureValidation.jwks.tls: cannot be resolved in the sandbox: it belongs in the ` +
			`transport_socket of the cluster that the keys are fetched through ("orgate import" writes it)`},
	{
		name: "secretRef", doc: issuers(`{"signatureValidation": {"certificate": {"certificateInline": "` + somePEM +
			`", "secretRef": {"name": "a"}}}}`),
		want: `issuers[0].signatureValidation.certificate.secretRef: cannot be resolved in the sandbox: put the PEM ` +
			`itself in certificateInline, and what secures a connection in the transport_socket of its cluster ` +
			`("orgate import" writes both)`,
	},
	{
		name: "configMapRef alone",
		doc:  issuers(`{"signatureValidation": {"certificate": {"configMapRef": {"name": "a"}}}}`),
		want: "issuers[0].signatureValidation.certificate.certificateInline: is required\n" +
			`issuers[0].signatureValidation.certificate.configMapRef: cannot be resolved in the sandbox: put the PEM ` +
			`itself in certificateInline, and what secures a connection in the transport_socket of its cluster ` +
			`("orgate import" writes both)`,
	},

	// Keys.
	{name: "no keys", doc: issuers(`{"signatureValidation": {"jwks": null}}`),
		want:      `issuers[0].signatureValidation: must have jwks or certificate, unless there is introspection`,
		onlyParse: true},

	// Opaque tokens.
	{name: "opaque tokens, and nothing of them",
		doc: issuers(`{"tokenHandling": {"kind": "REFERENCE"}, "signatureValidation": null}`),
		want: `issuers[0].introspection: is required if tokenHandling is "REFERENCE": nothing else tells whether such a token is good` +
			"\n" + `issuers[0].tokenHandling.pattern: is required with "REFERENCE"`, onlyParse: true},
	{
		name: "opaque tokens with keys", doc: opaque("REFERENCE", "a+",
			`{"signatureValidation": {"jwks": {"url": "https://idp.example/jwks", "cluster": "idp"}}}`),
		want:      `issuers[0].signatureValidation: has no meaning if tokenHandling is "REFERENCE": "CUSTOM" is for tokens of both kinds`,
		onlyParse: true},
	{name: "JWTs by keys and by introspection",
		doc: issuers(`{"introspection": {"url": "https://idp/i", "cluster": "idp"}}`),
		want: `issuers[0].introspection: has no meaning beside signatureValidation if tokenHandling is "JWT": "CUSTOM" is for ` +
			`tokens of both kinds`, onlyParse: true},
	{name: "JWTs by a pattern", doc: issuers(`{"tokenHandling": {"pattern": "a+"}}`),
		want:      `issuers[0].tokenHandling.pattern: has no meaning for "JWT": such tokens are told by their "iss"`,
		onlyParse: true},
	{name: "another kind of tokens", doc: issuers(`{"tokenHandling": {"kind": "OPAQUE"}}`),
		want: `issuers[0].tokenHandling.kind: must be "JWT", "REFERENCE" or "CUSTOM", got "OPAQUE"`},
	{name: "types of opaque tokens", doc: opaque("REFERENCE", "a+", `{"tokenTypes": ["jwt"]}`),
		want: `issuers[0].tokenTypes: has no meaning without signatureValidation: an introspection does not tell the type`, onlyParse: true},
	{name: "a pattern that is none", doc: opaque("REFERENCE", "(a", `{}`),
		want:      `issuers[0].tokenHandling.pattern: must be a regular expression: unbalanced parentheses, got "(a"`,
		onlyParse: true},
	{name: "a pattern for everything", doc: opaque("CUSTOM", "a*", `{}`),
		want: `issuers[0].tokenHandling.pattern: must not match the empty text`, onlyParse: true},
	{
		name: "an introspection of nothing", doc: opaque("REFERENCE", "a+",
			`{"introspection": {"url": null, "cluster": null}}`),
		want: "issuers[0].introspection.url: is required\nissuers[0].introspection.cluster: is required"},
	{name: "an introspection from a file", doc: opaque("REFERENCE", "a+", `{"introspection": {"url": "file:///x"}}`),
		want: `issuers[0].introspection.url: must be an absolute http(s) URL, got "file:///x"`, onlyParse: true},
	{name: "a client without a secret", doc: opaque("REFERENCE", "a+", `{"introspection": {"clientId": "a"}}`),
		want: `issuers[0].introspection.clientSecret: is required with clientId`, onlyParse: true},
	{name: "a secret without a client", doc: opaque("REFERENCE", "a+", `{"introspection": {"clientSecret": "s3cret"}}`),
		want: `issuers[0].introspection.clientId: is required with clientSecret`, onlyParse: true},
	{
		name: "a secret that is a number", doc: opaque("REFERENCE", "a+",
			`{"introspection": {"clientId": "a", "clientSecret": 123456}}`),
		want: `issuers[0].introspection.clientSecret: must be a string or an object with fromEnvironment, got a number`},
	{
		name: "a secret from nowhere", doc: opaque("REFERENCE", "a+",
			`{"introspection": {"clientId": "a", "clientSecret": {}}}`),
		want: `issuers[0].introspection.clientSecret.fromEnvironment: is required`},
	{name: "an answer kept for a day", doc: opaque("REFERENCE", "a+", `{"introspection": {"cacheFor": "24h"}}`),
		want: `issuers[0].introspection.cacheFor: must be from 0s to 1h, got "24h"`, onlyParse: true},
	{
		name: "entries for one issuer that handle tokens in different ways", onlyParse: true,
		doc: top(`{"organization": "org1", "issuers": [` + merge(goodIssuer, `{"organizationClaim": "org"}`) + `, ` +
			merge(goodIssuer, `{"name": "b", "organization": "org2", "organizationClaim": "org", "signatureValidation": null,
				"introspection": {"url": "https://idp.example/i", "cluster": "idp"}}`) + `]}`),
		want: `issuers[1].tokenHandling: must be that of issuers[0], which has the same issuer, and so must introspection`,
	},
	{
		name: "entries for one issuer that ask at different places", onlyParse: true,
		doc: top(`{"organization": "org1", "issuers": [` +
			merge(goodIssuer, `{"organizationClaim": "org", "signatureValidation": null,
				"introspection": {"url": "https://idp.example/i", "cluster": "idp"}}`) + `, ` +
			merge(goodIssuer, `{"name": "b", "organization": "org2", "organizationClaim": "org", "signatureValidation": null,
				"introspection": {"url": "https://idp.example/j", "cluster": "idp"}}`) + `]}`),
		want: `issuers[1].introspection: must be that of issuers[0], which has the same issuer`,
	},
	{name: "a JWK Set from nowhere", doc: jwks(`{"url": null}`),
		want:      `issuers[0].signatureValidation.jwks: must have exactly one of url, wellKnown and inline`,
		onlyParse: true},
	{name: "a JWK Set from two places", doc: jwks(`{"inline": {"keys": []}}`),
		want:      `issuers[0].signatureValidation.jwks: must have exactly one of url, wellKnown and inline`,
		onlyParse: true},
	{name: "a misspelt url is one mistake", doc: jwks(`{"url": null, "ulr": "https://idp.example/jwks"}`),
		want: `issuers[0].signatureValidation.jwks.ulr: unknown field; did you mean "url"?`},
	{name: "a location without a cluster", doc: jwks(`{"cluster": null}`),
		want: `issuers[0].signatureValidation.jwks.cluster: is required with url and wellKnown: the proxy's cluster ` +
			`that the keys are fetched through`, onlyParse: true},
	{name: "keys in the document, and a cluster", doc: jwks(`{"url": null, "inline": {"keys": []}}`),
		want:      `issuers[0].signatureValidation.jwks.cluster: has no meaning with inline: nothing is fetched`,
		onlyParse: true},
	{name: "an empty url", doc: jwks(`{"url": ""}`),
		want: `issuers[0].signatureValidation.jwks.url: must not be empty`},
	{name: "a relative url",
		doc: issuers(`{}`, `{"name": "b", "issuer": "https://b", "signatureValidation": {"jwks": {"url": `+
			`"idp/jwks"}}}`), want: `issuers[1].signatureValidation.jwks.url: must be an absolute http(s) URL, got ` +
			`"idp/jwks"`, onlyParse: true},
	{name: "a url of another scheme", doc: jwks(`{"url": "file:///etc/jwks"}`),
		want:      `issuers[0].signatureValidation.jwks.url: must be an absolute http(s) URL, got "file:///etc/jwks"`,
		onlyParse: true},
	{name: "a url without a host", doc: jwks(`{"url": "https:///jwks"}`),
		want: `issuers[0].signatureValidation.jwks.url: must be an absolute http(s) URL with a host, got ` +
			`"https:///jwks"`, onlyParse: true},
	{name: "a url with a password", doc: jwks(`{"url": "https://user:secret@idp/jwks"}`),
		want: `issuers[0].signatureValidation.jwks.url: must not hold a user name or password`, onlyParse: true},
	{name: "a url with a fragment", doc: jwks(`{"url": "https://idp/jwks#keys"}`),
		want:      `issuers[0].signatureValidation.jwks.url: must not have a fragment, got "https://idp/jwks#keys"`,
		onlyParse: true},
	{name: "a url with a placeholder", doc: jwks(`{"url": "https://<idp.domain>/jwks"}`),
		want: `issuers[0].signatureValidation.jwks.url: must be an absolute http(s) URL without spaces and other ` +
			`characters that must be percent-encoded, got "https://<idp.domain>/jwks"`, onlyParse: true},
	{name: "a url with a bad port", doc: jwks(`{"url": "https://idp:https/jwks"}`),
		want: `issuers[0].signatureValidation.jwks.url: must be an absolute http(s) URL with a port from 1 to 65535, ` +
			`got "https://idp:https/jwks"`, onlyParse: true},
	{name: "a fetch that never ends", doc: jwks(`{"timeout": "2m"}`),
		want: `issuers[0].signatureValidation.jwks.timeout: must be from 1ms to 1m, got "2m"`, onlyParse: true},
	{name: "a refresh each second", doc: jwks(`{"refreshInterval": "1s"}`),
		want: `issuers[0].signatureValidation.jwks.refreshInterval: must be from 1m to 24h, got "1s"`, onlyParse: true},
	{name: "keys that are never too old", doc: jwks(`{"maxStale": "721h"}`),
		want: `issuers[0].signatureValidation.jwks.maxStale: must be from 0s to 720h, got "721h"`, onlyParse: true},
	{name: "no cool-down", doc: jwks(`{"unknownKidCooldown": "0s"}`),
		want:      `issuers[0].signatureValidation.jwks.unknownKidCooldown: must be from 1s to 1h, got "0s"`,
		onlyParse: true},
	{name: "a pin in hexadecimal", doc: jwks(`{"pins": ["abcdef01"]}`),
		want: `issuers[0].signatureValidation.jwks.pins[0]: must be a SHA-256 thumbprint, 43 characters of ` +
			`base64url, got "abcdef01"`, onlyParse: true},
	{name: "a pin with stray bits", doc: jwks(`{"pins": ["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xt"]}`),
		want: `issuers[0].signatureValidation.jwks.pins[0]: must be a SHA-256 thumbprint, 43 characters of ` +
			`base64url, got "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xt"`, onlyParse: true},
	{name: "a JWK Set as a string", doc: jwks(`{"url": null, "cluster": null, "inline": "{\"keys\":[]}"}`),
		want: `issuers[0].signatureValidation.jwks.inline: must be a JWK Set, an object with an array "keys", got a ` +
			`string`},
	{name: "a JWK Set as a list", doc: jwks(`{"url": null, "cluster": null, "inline": [{"kty": "RSA"}]}`),
		want: `issuers[0].signatureValidation.jwks.inline: must be a JWK Set, an object with an array "keys", got an ` +
			`array`},
	{name: "a JWK Set without keys", doc: jwks(`{"url": null, "cluster": null, "inline": {"kty": "RSA"}}`),
		want: `issuers[0].signatureValidation.jwks.inline: must be a JWK Set, an object with an array "keys", got an ` +
			`object`},
	{name: "no certificate", doc: issuers(`{"signatureValidation": {"certificate": {"certificateInline": ""}}}`),
		want: `issuers[0].signatureValidation.certificate.certificateInline: must not be empty`},
	{name: "a certificate that is a file name",
		doc: issuers(`{"signatureValidation": {"certificate": {"certificateInline": "/etc/idp.pem"}}}`),
		want: `issuers[0].signatureValidation.certificate.certificateInline: must be PEM: certificates or ` +
			`public keys`,
		onlyParse: true},
	{
		name: "a private key", onlyParse: true,
		doc: issuers(`{"signatureValidation": {"certificate": {"certificateInline": "-----BEGIN RSA PRIVATE ` +
			`KEY-----\nMIIB"}}}`),
		want: `issuers[0].signatureValidation.certificate.certificateInline: holds a private key, which must not ` +
			`leave the issuer: put the certificate or the public key here`,
	},

	// Headers.
	{name: "a header's name with a space", doc: top(`{"headers": {"username": "x user"}}`),
		want: `headers.username: must be a header's name (RFC 9110 §5.6.2), got "x user"`, onlyParse: true},
	{name: "a pseudo-header", doc: top(`{"headers": {"username": ":path"}}`),
		want: `headers.username: must not be a pseudo-header, got ":path"`, onlyParse: true},
	{name: "the host as an identity header", doc: top(`{"headers": {"organization": "Host"}}`),
		want: `headers.organization: must not be "host"`, onlyParse: true},
	{name: "a header of the connection",
		doc: top(`{"headers": {"username": "Proxy-Connection", "scopes": "keep-alive", "roles": "trailer"}}`),
		want: `headers.roles: must not be "trailer"
headers.scopes: must not be "keep-alive"
headers.username: must not be "proxy-connection"`, onlyParse: true},
	{name: "the payload in authorization", doc: top(`{"forwardPayload": "Authorization"}`),
		want: `forwardPayload: must not be "authorization"`, onlyParse: true},
	{name: "the report header", doc: top(`{"headers": {"roles": "X-Orgate-Report"}}`),
		want: `headers.roles: must not be "x-orgate-report", the header of reportOnly`, onlyParse: true},
	{name: "two identity headers of one name", doc: top(`{"headers": {"username": "X-Id"}, "forwardPayload": "x-id"}`),
		want: `forwardPayload: "x-id" is the header of headers.username already`, onlyParse: true},
	{name: "the payload in the organization header", doc: top(`{"forwardPayload": "x-wso2-organization"}`),
		want: `forwardPayload: "x-wso2-organization" is the header of headers.organization already`, onlyParse: true},
	{name: "a claim to the connection",
		doc:  issuers(`{"claimMappings": [{"remoteClaim": "a", "localClaim": "connection"}]}`),
		want: `issuers[0].claimMappings[0].localClaim: must not be "connection"`, onlyParse: true},
	{name: "a claim to a URI",
		doc: issuers(`{"claimMappings": [{"remoteClaim": "a", "localClaim": "http://wso2.org/claims/role"}]}`),
		want: `issuers[0].claimMappings[0].localClaim: must be a header's name (RFC 9110 §5.6.2), got ` +
			`"http://wso2.org/claims/role"`, onlyParse: true},
	{name: "a claim to the username header",
		doc: issuers(`{"claimMappings": [{"remoteClaim": "email", "localClaim": "X-WSO2-Username"}]}`),
		want: `issuers[0].claimMappings[0].localClaim: "x-wso2-username" is the header of headers.username ` +
			`already`,
		onlyParse: true},
	{
		name: "two claims to one header", onlyParse: true,
		doc: issuers(`{"claimMappings": [{"remoteClaim": "a", "localClaim": "x-a"}, {"remoteClaim": "b", ` +
			`"localClaim": "X-A"}]}`),
		want: `issuers[0].claimMappings[1].localClaim: "x-a" is the header of claimMappings[0] already`,
	},
	{
		name: "headers that fold to one", onlyParse: true,
		doc: merge(issuers(`{"claimMappings": [{"remoteClaim": "a", "localClaim": "x_tier"},
			{"remoteClaim": "b", "localClaim": "X-Tier"},
			{"remoteClaim": "c", "localClaim": "x-wso2_username"}, {"remoteClaim": "d", "localClaim": "x-jwt.payload"},
			{"remoteClaim": "e", "localClaim": "x_orgate_report"},
				{"remoteClaim": "f", "localClaim": "X_WSO2_Organization"}]}`),
			`{"forwardPayload": "X-JWT_Payload", "headers": {"roles": "X.WSO2.Scopes", "consumerKey": `+
				`"content_length"}}`),
		want: `headers.consumerKey: must not be "content_length"
headers.roles: "x.wso2.scopes" and "x-wso2-scopes", the header of headers.scopes, are one header to some upstreams
issuers[0].claimMappings[1].localClaim: "x-tier" and "x_tier", the header of claimMappings[0], are one header to some upstreams
issuers[0].claimMappings[2].localClaim: "x-wso2_username" and "x-wso2-username", the header of headers.username, are one header to some upstreams
issuers[0].claimMappings[3].localClaim: "x-jwt.payload" and "x-jwt_payload", the header of forwardPayload, are one header to some upstreams
issuers[0].claimMappings[4].localClaim: must not be "x_orgate_report", the header of reportOnly
issuers[0].claimMappings[5].localClaim: "x_wso2_organization" and "x-wso2-organization", the header of headers.organization, are one header to some upstreams`,
	},
	{
		name: "two organization claims", onlyParse: true,
		doc: issuers(`{"organizationClaim": "org", "claimMappings": [{"remoteClaim": "org_id", "localClaim": ` +
			`"x-wso2-organization"}]}`),
		want: `issuers[0].claimMappings[0].localClaim: "x-wso2-organization" is the organization header, and ` +
			`organizationClaim names another claim for it`,
	},
	{
		name: "two organization claims, both of them paths", onlyParse: true,
		doc: issuers(`{"organizationClaim": ["org", "id"], "claimMappings": [{"remoteClaim": ["org", "name"], ` +
			`"localClaim": "x-wso2-organization"}]}`),
		want: `issuers[0].claimMappings[0].localClaim: "x-wso2-organization" is the organization header, and ` +
			`organizationClaim names another claim for it`,
	},
	{
		name: "a TokenIssuer's organization claim with another organization header", onlyParse: true,
		doc: merge(issuers(`{"claimMappings": [{"remoteClaim": "org_id", "localClaim": "x-wso2-organization"}]}`),
			`{"headers": {"organization": "x-org"}}`),
		want: `issuers[0].claimMappings[0].localClaim: "x-wso2-organization" names the organization claim of a ` +
			`TokenIssuer,` +
			` but headers.organization is "x-org": set organizationClaim`,
	},
	{
		name: "an unread organization header is no missing claim",
		doc: top(`{"headers": {"organization": 5}, "issuers": [` +
			merge(goodIssuer, `{"organization": "*", "claimMappings": [{"remoteClaim": "org_id", "localClaim": `+
				`"x-wso2-organization"}]}`) + `], "organization": "*"}`),
		want: `headers.organization: must be a string, got a number`,
	},
	{
		name: "a misspelt claim mapping is no missing claim",
		doc: top(`{"issuers": [` + merge(goodIssuer,
			`{"organization": "*", "claimMappings": [{"remoteClaim": "org_id", "localclaim": `+
				`"x-wso2-organization"}]}`) +
			`], "organization": "*"}`),
		want: "issuers[0].claimMappings[0].localClaim: is required\n" +
			`issuers[0].claimMappings[0].localclaim: unknown field; did you mean "localClaim"?`,
	},
	{
		name: "a claim mapping without its claim is no missing claim",
		doc:  issuers(`{"organizationClaim": "org", "claimMappings": [{"localClaim": "x-wso2-organization"}]}`),
		want: "issuers[0].claimMappings[0].remoteClaim: is required",
	},
	{name: "a claim to no header", doc: issuers(`{"claimMappings": [{"remoteClaim": "a", "localClaim": ""}]}`),
		want: `issuers[0].claimMappings[0].localClaim: must not be empty`},
	{name: "a token in the report header", doc: top(`{"tokenSources": {"headers": [{"name": "x-orgate-report"}]}}`),
		want: `tokenSources.headers[0].name: must not be "x-orgate-report", the header of reportOnly`, onlyParse: true},
	{name: "a token after a line end", doc: top(`{"tokenSources": {"headers": [{"name": "a", "prefix": "b\n"}]}}`),
		want: `tokenSources.headers[0].prefix: must be printable ASCII, got "b\n"`, onlyParse: true},
	{name: "an empty token source", doc: top(`{"tokenSources": {"headers": []}}`),
		want: `tokenSources: must have at least one header, query parameter or cookie`, onlyParse: true},
	{name: "a token source without a name", doc: top(`{"tokenSources": {"headers": [{"prefix": "Bearer "}]}}`),
		want: `tokenSources.headers[0].name: is required`},
	{name: "a token in the host", doc: top(`{"tokenSources": {"headers": [{"name": "Host"}]}}`),
		want: `tokenSources.headers[0].name: must not be "host"`, onlyParse: true},
	{name: "a token in the cookie header", doc: top(`{"tokenSources": {"headers": [{"name": "Cookie"}]}}`),
		want:      `tokenSources.headers[0].name: must not be "cookie": name the cookie in tokenSources.cookies`,
		onlyParse: true},
	{name: "a token in a header that upstreams take for an identity header",
		doc: top(`{"tokenSources": {"headers": [{"name": "X_WSO2.Roles"}]}}`),
		want: `tokenSources.headers[0].name: "x_wso2.roles" is the header of headers.roles, which no request may ` +
			`bring along`, onlyParse: true},
	{name: "a token in a header that upstreams take for the report",
		doc:  top(`{"tokenSources": {"headers": [{"name": "X_Orgate_Report"}]}}`),
		want: `tokenSources.headers[0].name: must not be "x_orgate_report", the header of reportOnly`, onlyParse: true},
	{name: "a token in an identity header", doc: top(`{"tokenSources": {"headers": [{"name": "X-WSO2-Roles"}]}}`),
		want: `tokenSources.headers[0].name: "x-wso2-roles" is the header of headers.roles, which no request may ` +
			`bring along`, onlyParse: true},
	{
		name: "a token in the header of a claim", onlyParse: true,
		doc: merge(issuers(`{"claimMappings": [{"remoteClaim": "a", "localClaim": "x-token"}]}`),
			`{"tokenSources": {"headers": [{"name": "x-token"}]}}`),
		want: `tokenSources.headers[0].name: "x-token" is the header of issuers[0].claimMappings[0].localClaim, ` +
			`which no request may bring along`,
	},
	{
		name: "a token in a header that is an identity header by default", onlyParse: true,
		doc: top(`{"headers": {"roles": "x-roles", "scopes": ""}, "tokenSources": {"headers": [{"name": ` +
			`"X-WSO2-Roles"}, {"name": "x_wso2_scopes"}]}}`),
		want: `tokenSources.headers[0].name: "x-wso2-roles" is the header of headers.roles by default, which no request may bring along
tokenSources.headers[1].name: "x_wso2_scopes" is the header of headers.scopes by default, which no request may bring along`,
	},
	{
		name: "token sources that fold to one", onlyParse: true,
		doc: top(`{"tokenSources": {"headers": [{"name": "X-Token"}, {"name": "x_token", "prefix": "JWT "},
			{"name": "x-Token"}],
			"query": ["access_token", "access-token"], "cookies": ["Token", "token"]}}`),
		want: `tokenSources.cookies[1]: "token" and "Token" are one name to some upstreams: name one of them
tokenSources.headers[1].name: "x_token" and "x-token", the header of tokenSources.headers[0], are one header to some upstreams: write them alike
tokenSources.headers[2].name: "x-token" with this prefix is tokenSources.headers[0] already
tokenSources.query[1]: "access-token" and "access_token" are one name to some upstreams: name one of them`,
	},
	{name: "one token source twice",
		doc:  top(`{"tokenSources": {"headers": [{"name": "a", "prefix": "B "}, {"name": "A", "prefix": "b "}]}}`),
		want: `tokenSources.headers[1].name: "a" with this prefix is tokenSources.headers[0] already`, onlyParse: true},
	{name: "a token after a character that no header has",
		doc:  top(`{"tokenSources": {"headers": [{"name": "a", "prefix": "b\u007f"}]}}`),
		want: `tokenSources.headers[0].prefix: must be printable ASCII, got "b\x7f"`, onlyParse: true},
	{
		name: "token sources behind others that will not do",
		doc: top(`{"tokenSources": {"headers": [{"name": 1}, {"name": "a"}, {"name": "b", "prefix": "B "}, ` +
			`{"name": "b", "prefix": "C "}, {"name": "b", "prefix": "C "}], "query": ["", "t", "t ", "t", "T"]}}`),
		want: "tokenSources.headers[0].name: must be a string, got a number\n" +
			"tokenSources.headers[4].name: \"b\" with this prefix is tokenSources.headers[3] already\n" +
			"tokenSources.query[0]: must not be empty\n" +
			"tokenSources.query[2]: must not begin or end with space, got \"t \"\n" +
			"tokenSources.query[3]: \"t\" is there twice\n" +
			"tokenSources.query[4]: \"T\" and \"t\" are one name to some upstreams: name one of them",
	},
	{
		name: "claim mappings behind others that will not do",
		doc: issuers(`{"claimMappings": [{"remoteClaim": "a", "localClaim": 1}, {"remoteClaim": "a", "localClaim": ` +
			`"te"}, {"remoteClaim": "a", "localClaim": "x-a"}, {"remoteClaim": "a", "localClaim": "x-a"}, ` +
			`{"remoteClaim": "org", "localClaim": "x-wso2-organization"}, {"remoteClaim": "a", "localClaim": ` +
			`"x-wso2-roles"}, {"remoteClaim": "a", "localClaim": "host"}]}`),
		want: "issuers[0].claimMappings[0].localClaim: must be a string, got a number\n" +
			"issuers[0].claimMappings[1].localClaim: must not be \"te\"\n" +
			"issuers[0].claimMappings[3].localClaim: \"x-a\" is the header of claimMappings[2] already\n" +
			"issuers[0].claimMappings[5].localClaim: \"x-wso2-roles\" is the header of headers.roles already\n" +
			"issuers[0].claimMappings[6].localClaim: must not be \"host\"",
	},
	{name: "a cookie's name with a space", doc: top(`{"tokenSources": {"cookies": ["a b"]}}`),
		want: `tokenSources.cookies[0]: must be a cookie's name (RFC 6265 §4.1.1), got "a b"`, onlyParse: true},
	{name: "one query parameter twice", doc: top(`{"tokenSources": {"query": ["token", "token"]}}`),
		want: `tokenSources.query[1]: "token" is there twice`, onlyParse: true},
	{name: "the cookie header as an identity header",
		doc:  top(`{"headers": {"roles": "cookie"}, "tokenSources": {"cookies": ["token"]}}`),
		want: `headers.roles: must not be "cookie", where tokens come from`, onlyParse: true},
	{name: "no fetches at all", doc: top(`{"limits": {"fetches": 0}}`),
		want: `limits.fetches: must be from 1 to 1024, got 0`},
	{
		name: "a sharing key that could be guessed, of which nothing is repeated", onlyParse: true,
		doc:  top(`{"sharing": {"key": "` + someKey[1:] + `"}}`),
		want: `sharing.key: must have at least 32 bytes, as of "openssl rand -base64 32", got 31`,
	},
	{name: "an empty sharing key", doc: top(`{"sharing": {"key": ""}}`), want: `sharing.key: must not be empty`},
	{name: "a schema that is no location", doc: top(`{"$schema": true}`),
		want: `["$schema"]: must be a string, got true`},
	{name: "paths read in a third way",
		doc:  top(`{"paths": {"semicolon": "cut"}, "rules": [{"match": {"path": "/a;b"}}]}`),
		want: `paths.semicolon: must be "refuse" or "keep", got "cut"`},
	{
		name: "a path with a parameter, where slashes alone are kept", onlyParse: true,
		doc: top(`{"paths": {"encodedSlash": "keep", "emptySegment": "keep"}, "rules": [{"match": {"path": ` +
			`"/a%2fb//c"}}, {"match": {"path": "/a;b"}}]}`),
		want: `rules[1].match.path: must not be ambiguous (path parameter): requests with such a path are answered ` +
			`400, got "/a;b"`,
	},
	{name: "a realm with a quote", doc: top(`{"errors": {"realm": "my \"api\""}}`),
		want:      `errors.realm: must be printable ASCII without quotes and backslashes, got "my \"api\""`,
		onlyParse: true},
	{name: "a realm with a line end", doc: top(`{"errors": {"realm": "my\napi"}}`),
		want: `errors.realm: must not have control characters, got "my\napi"`, onlyParse: true},
	{name: "an empty realm", doc: top(`{"errors": {"realm": ""}}`), want: `errors.realm: must not be empty`},

	// Rules.
	{name: "a rule with the name none", doc: rules(`{"name": "none"}`),
		want: `rules[0].name: must not be "none", the label in metrics of what has no name`, onlyParse: true},
	{name: "two rules of one name", doc: rules(`{"name": "a"}, {"name": "a"}`),
		want: `rules[1].name: "a" is the name of rules[0] already`, onlyParse: true},
	{name: "a rule that takes another's default name", doc: rules(`{"name": "rule-1"}, {}`),
		want: `rules[1].name: "rule-1" is the name of rules[0] already`, onlyParse: true},
	{name: "a rule with two paths", doc: rules(`{"match": {"path": "/a", "pathPrefix": "/b"}}`),
		want: `rules[0].match: must have only one of path, pathPrefix and pathTemplate`, onlyParse: true},
	{name: "an empty path prefix", doc: rules(`{"match": {"pathPrefix": ""}}`),
		want: `rules[0].match.pathPrefix: must not be empty`},
	{name: "a path without a slash", doc: rules(`{"match": {"path": "a"}}`),
		want: `rules[0].match.path: must begin with "/", got "a"`, onlyParse: true},
	{name: "a path with a query", doc: rules(`{"match": {"path": "/a?b"}}`),
		want:      `rules[0].match.path: must not have "?" or "#": the query is not part of the match, got "/a?b"`,
		onlyParse: true},
	{name: "a path with an encoded dot", doc: rules(`{"match": {"pathPrefix": "/a/%2E"}}`),
		want: `rules[0].match.pathPrefix: must not be ambiguous (needless or structural percent-encoding): requests ` +
			`with such a path are answered 400, got "/a/%2E"`, onlyParse: true},
	{name: "a path with an encoded slash", doc: rules(`{"match": {"pathPrefix": "/a%2fb"}}`),
		want: `rules[0].match.pathPrefix: must not be ambiguous (needless or structural percent-encoding): requests ` +
			`with such a path are answered 400, got "/a%2fb"`, onlyParse: true},
	{name: "a path with an encoded backslash", doc: rules(`{"match": {"path": "/a%5Cb"}}`),
		want: `rules[0].match.path: must not be ambiguous (needless or structural percent-encoding): requests with ` +
			`such a path are answered 400, got "/a%5Cb"`, onlyParse: true},
	{name: "a path with an encoded NUL", doc: rules(`{"match": {"path": "/a%00"}}`),
		want: `rules[0].match.path: must not be ambiguous (control character or space): requests with such a path ` +
			`are answered 400, got "/a%00"`, onlyParse: true},
	{name: "a path with an encoded letter", doc: rules(`{"match": {"path": "/a%61"}}`),
		want: `rules[0].match.path: must not be ambiguous (needless or structural percent-encoding): requests with ` +
			`such a path are answered 400, got "/a%61"`, onlyParse: true},
	{name: "a path with an encoded parameter", doc: rules(`{"match": {"path": "/a%3b"}}`),
		want: `rules[0].match.path: must not be ambiguous (needless or structural percent-encoding): requests with ` +
			`such a path are answered 400, got "/a%3b"`, onlyParse: true},
	{name: "a path with a double encoding", doc: rules(`{"match": {"path": "/a%252e"}}`),
		want: `rules[0].match.path: must not be ambiguous (double percent-encoding): requests with such a path are ` +
			`answered 400, got "/a%252e"`, onlyParse: true},
	{name: "a path with a parameter", doc: rules(`{"match": {"path": "/a;b"}}`),
		want: `rules[0].match.path: must not be ambiguous (path parameter): requests with such a path are answered ` +
			`400, got "/a;b"`, onlyParse: true},
	{name: "a path with dot segments", doc: rules(`{"match": {"pathPrefix": "/a/../b"}}`),
		want: `rules[0].match.pathPrefix: must not be ambiguous (dot segment): requests with such a path are ` +
			`answered 400, got "/a/../b"`, onlyParse: true},
	{name: "a path with a segment of dots and blanks", doc: rules(`{"match": {"pathPrefix": "/a/..%20/b"}}`),
		want: `rules[0].match.pathPrefix: must not be ambiguous (dot segment): requests with such a path are ` +
			`answered 400, got "/a/..%20/b"`, onlyParse: true},
	{name: "a path with two slashes", doc: rules(`{"match": {"pathPrefix": "/a//b"}}`),
		want: `rules[0].match.pathPrefix: must not be ambiguous (empty segment): requests with such a path are ` +
			`answered 400, got "/a//b"`, onlyParse: true},
	{name: "a path with a backslash", doc: rules(`{"match": {"pathPrefix": "/a\\b"}}`),
		want: `rules[0].match.pathPrefix: must not be ambiguous (backslash): requests with such a path are answered ` +
			`400, got "/a\\b"`, onlyParse: true},
	{name: "a path with half an escape", doc: rules(`{"match": {"path": "/100%"}}`),
		want: `rules[0].match.path: must not be ambiguous (bad percent-encoding): requests with such a path are ` +
			`answered 400, got "/100%"`, onlyParse: true},
	{name: "a path that is not encoded", doc: rules(`{"match": {"path": "/café"}}`),
		want: `rules[0].match.path: must be percent-encoded, got "/café"`, onlyParse: true},
	{name: "a path with a placeholder", doc: rules(`{"match": {"pathPrefix": "/t/{org}"}}`),
		want:      `rules[0].match.pathPrefix: must not have placeholders: they belong in pathTemplate, got "/t/{org}"`,
		onlyParse: true},
	{name: "a path with a star", doc: rules(`{"match": {"path": "/t/*"}}`),
		want:      `rules[0].match.path: must not have placeholders: they belong in pathTemplate, got "/t/*"`,
		onlyParse: true},
	{name: "a template with half a segment", doc: rules(`{"match": {"pathTemplate": "/t/v{n}"}}`),
		want:      `rules[0].match.pathTemplate: must have "{name}" only as a whole segment, got "/t/v{n}"`,
		onlyParse: true},
	{name: "a template with a segment that does not end", doc: rules(`{"match": {"pathTemplate": "/t/{n"}}`),
		want: `rules[0].match.pathTemplate: must have "{name}" only as a whole segment, got "/t/{n"`, onlyParse: true},
	{name: "an empty path, and what else is wrong", doc: rules(`{"match": {"path": "", "pathTemplate": "/t/{}"}}`),
		want: "rules[0].match.path: must not be empty\n" +
			`rules[0].match.pathTemplate: must have "{name}" only as a whole segment, got "/t/{}"`},
	{name: "paths with what must be encoded",
		doc: rules(`{"match": {"path": "/a b"}}, {"match": {"path": "/a\u007fb"}}`), onlyParse: true,
		want: "rules[0].match.path: must be percent-encoded, got \"/a b\"\n" +
			`rules[1].match.path: must be percent-encoded, got "/a\x7fb"`},
	{name: "a template with a nameless segment", doc: rules(`{"match": {"pathTemplate": "/t/{}"}}`),
		want: `rules[0].match.pathTemplate: must have "{name}" only as a whole segment, got "/t/{}"`, onlyParse: true},
	{name: "a template with a star in a segment", doc: rules(`{"match": {"pathTemplate": "/t/a*"}}`),
		want: `rules[0].match.pathTemplate: must have "*" only as a whole segment, got "/t/a*"`, onlyParse: true},
	{name: "a template that goes on after any segments", doc: rules(`{"match": {"pathTemplate": "/t/**/a"}}`),
		want: `rules[0].match.pathTemplate: must have "**" only at its end, got "/t/**/a"`, onlyParse: true},
	{name: "a template with one name twice", doc: rules(`{"match": {"pathTemplate": "/{a}/{a}"}}`),
		want: `rules[0].match.pathTemplate: must not have "{a}" twice, got "/{a}/{a}"`, onlyParse: true},
	{name: "any host", doc: rules(`{"match": {"hosts": ["*"]}}`),
		want: `rules[0].match.hosts[0]: must not be "*": leave hosts out to match them all`, onlyParse: true},
	{name: "a host with a port", doc: rules(`{"match": {"hosts": ["example.com:443"]}}`),
		want: `rules[0].match.hosts[0]: must be a host without a port, got "example.com:443"`, onlyParse: true},
	{name: "a host with a star inside", doc: rules(`{"match": {"hosts": ["api.*.com"]}}`),
		want: `rules[0].match.hosts[0]: must have "*" only as its first label, got "api.*.com"`, onlyParse: true},
	{name: "a host with a star at its label", doc: rules(`{"match": {"hosts": ["*example.com"]}}`),
		want: `rules[0].match.hosts[0]: must have "*" only as its first label, got "*example.com"`, onlyParse: true},
	{name: "a host with an empty label", doc: rules(`{"match": {"hosts": ["a..com"]}}`),
		want: `rules[0].match.hosts[0]: must be a host, got "a..com"`, onlyParse: true},
	{name: "a host that is a URL", doc: rules(`{"match": {"hosts": ["https://a.com"]}}`),
		want: `rules[0].match.hosts[0]: must be a host without a port, got "https://a.com"`, onlyParse: true},
	{name: "a host in Unicode", doc: rules(`{"match": {"hosts": ["café.fr"]}}`),
		want: `rules[0].match.hosts[0]: must be a host in ASCII (RFC 5891: xn--…), got "café.fr"`, onlyParse: true},
	{name: "an empty host", doc: rules(`{"match": {"hosts": [""], "methods": [""]}}`),
		want: "rules[0].match.hosts[0]: must not be empty\nrules[0].match.methods[0]: must not be empty"},
	{name: "a host below an address", doc: rules(`{"match": {"hosts": ["*.[::1]"]}}`),
		want: `rules[0].match.hosts[0]: must be a name after "*.", got "*.[::1]"`, onlyParse: true},
	{name: "half an address", doc: rules(`{"match": {"hosts": ["[::1"]}}`),
		want: `rules[0].match.hosts[0]: must be a host without a port, got "[::1"`, onlyParse: true},
	{name: "a method in small letters", doc: rules(`{"match": {"methods": ["get"]}}`),
		want: `rules[0].match.methods[0]: must be in capitals: "GET"`, onlyParse: true},
	{name: "a method that is none", doc: rules(`{"match": {"methods": ["GET,POST"]}}`),
		want: `rules[0].match.methods[0]: must be a method (RFC 9110 §9.1), got "GET,POST"`, onlyParse: true},
	{name: "public and optional", doc: rules(`{"public": true, "optional": true}`),
		want: `rules[0].optional: must not be true in a public rule: a public rule looks at no token`, onlyParse: true},
	{
		name: "public and everything else", onlyParse: true,
		doc: `{"issuers": [` + goodIssuer +
			`], "rules": [{"public": true, "organization": "org1", "scopes": ["a"], "roles": {"all": ["b"]},
				"consumerKeys": ["c"],
			"claims": [{"claim": "d", "in": ["e"]}], "issuers": ["idp"], "audiences": ["f"], "anyOf": [{"scopes": ["a"]}]}]}`,
		want: `rules[0].organization: must not be in a public rule: a public rule looks at no token
rules[0].scopes: must not be in a public rule: a public rule looks at no token
rules[0].roles: must not be in a public rule: a public rule looks at no token
rules[0].consumerKeys: must not be in a public rule: a public rule looks at no token
rules[0].claims: must not be in a public rule: a public rule looks at no token
rules[0].issuers: must not be in a public rule: a public rule looks at no token
rules[0].audiences: must not be in a public rule: a public rule looks at no token
rules[0].anyOf: must not be in a public rule: a public rule looks at no token`,
	},
	{name: "two scopes in one", doc: rules(`{"scopes": ["a b"]}`),
		want: `rules[0].scopes[0]: must be one scope (RFC 6749 §3.3), got "a b"`, onlyParse: true},
	{name: "a scope with a quote", doc: rules(`{"scopes": {"all": ["a", "\""]}}`),
		want: `rules[0].scopes.all[1]: must be one scope (RFC 6749 §3.3), got "\""`, onlyParse: true},
	{name: "scopes as a string", doc: rules(`{"scopes": "a b"}`),
		want: `rules[0].scopes: must be an array of strings or {"all": [...]}, got a string`},
	{name: "any of scopes", doc: rules(`{"scopes": {"any": ["a"]}}`),
		want: "rules[0].scopes.all: is required\n" +
			`rules[0].scopes.any: unknown field: must be an array of strings or {"all": [...]}`},
	{name: "a scope with a character that no scope has", doc: rules(`{"scopes": ["a\u007f"]}`),
		want: `rules[0].scopes[0]: must be one scope (RFC 6749 §3.3), got "a\x7f"`, onlyParse: true},
	{
		name: "what no token has", onlyParse: true,
		doc: rules(`{"roles": {"all": ["a", "b "]}, "consumerKeys": ["c\n"], "audiences": ["d", " e"]}, ` +
			`{"roles": ["f "]}`),
		want: "rules[0].audiences[1]: must not begin or end with space, got \" e\"\n" +
			"rules[0].consumerKeys[0]: must not have control characters, got \"c\\n\"\n" +
			"rules[0].roles.all[1]: must not begin or end with space, got \"b \"\n" +
			"rules[1].roles[0]: must not begin or end with space, got \"f \"",
	},
	{name: "no alternatives", doc: rules(`{"anyOf": []}`), want: `rules[0].anyOf: must not be empty`},
	{name: "alternatives that are none", doc: rules(`{"anyOf": {"scopes": ["a"]}}`),
		want: `rules[0].anyOf: must be an array, got an object`},
	{name: "alternatives that ask for nothing", onlyParse: true,
		doc: rules(`{"anyOf": [{"scopes": ["a"]}, {}, {"roles": []}, {"roles": {"all": ["b"]}}]}`),
		want: "rules[0].anyOf[1]: must ask for something: it holds for every token\n" +
			"rules[0].anyOf[2]: must ask for something: it holds for every token"},
	{name: "alternatives within alternatives", doc: rules(`{"anyOf": [{"scopes": ["a"], "anyOf": []}]}`),
		want: `rules[0].anyOf[0].anyOf: unknown field`},
	{
		name: "alternatives for what no token has", onlyParse: true,
		doc: rules(`{"anyOf": [{"scopes": ["a b"]}, {"scopes": {"all": [" "]}, "roles": {"all": ["b "]}, ` +
			`"consumerKeys": ["c\n"], "audiences": [" e"], "issuers": ["b"]}]}`),
		want: "rules[0].anyOf[0].scopes[0]: must be one scope (RFC 6749 §3.3), got \"a b\"\n" +
			"rules[0].anyOf[1].audiences[0]: must not begin or end with space, got \" e\"\n" +
			"rules[0].anyOf[1].consumerKeys[0]: must not have control characters, got \"c\\n\"\n" +
			"rules[0].anyOf[1].issuers[0]: there is no issuer named \"b\"\n" +
			"rules[0].anyOf[1].roles.all[0]: must not begin or end with space, got \"b \"\n" +
			"rules[0].anyOf[1].scopes.all[0]: must be one scope (RFC 6749 §3.3), got \" \"",
	},
	{name: "all of no roles", doc: rules(`{"roles": {"all": []}}`), want: `rules[0].roles.all: must not be empty`},
	{name: "an issuer that is not there", doc: rules(`{"issuers": ["idp", "b"]}`),
		want: `rules[0].issuers[1]: there is no issuer named "b"`, onlyParse: true},
	{name: "a claim with no values", doc: rules(`{"claims": [{"claim": "tier", "in": []}]}`),
		want: `rules[0].claims[0].in: must not be empty`},
	{name: "a claim with a number as its value", doc: rules(`{"claims": [{"claim": "tier", "in": [1]}]}`),
		want: `rules[0].claims[0].in[0]: must be a string, got a number`},

	// Organizations.
	{name: "an empty organization", doc: top(`{"organization": ""}`), want: `organization: must not be empty`},
	{name: "an empty organization of a rule", doc: rules(`{"organization": ""}`),
		want: `rules[0].organization: must not be empty`},
	{name: "an organization from nowhere", doc: rules(`{"organization": {}}`),
		want: `rules[0].organization: must have exactly one of fromHost, fromPath and fromRouteMetadata`},
	{name: "an organization from two places",
		doc:  rules(`{"organization": {"fromHost": "{org}.a", "fromPath": "/{org}/"}}`),
		want: `rules[0].organization: must have exactly one of fromHost, fromPath and fromRouteMetadata`},
	{name: "a list of organizations", doc: rules(`{"organization": ["a"]}`),
		want: `rules[0].organization: must be a string or an object with one of fromHost, fromPath and ` +
			`fromRouteMetadata, got an array`},
	{name: "a misspelt source", doc: rules(`{"organization": {"fromhost": "{org}.a"}}`),
		want: `rules[0].organization.fromhost: unknown field; did you mean "fromHost"?`},
	{name: "a host without a place for it", doc: rules(`{"organization": {"fromHost": "api.example.com"}}`),
		want: `rules[0].organization.fromHost: must have exactly one label "{org}", as in "{org}.api.example.com", ` +
			`got "api.example.com"`, onlyParse: true},
	{name: "a host with a part of a label for it",
		doc: rules(`{"organization": {"fromHost": "api-{org}.example.com"}}`),
		want: `rules[0].organization.fromHost: must have exactly one label "{org}", as in "{org}.api.example.com", ` +
			`got "api-{org}.example.com"`, onlyParse: true},
	{name: "a host with two places for it", doc: rules(`{"organization": {"fromHost": "{org}.{org}.com"}}`),
		want: `rules[0].organization.fromHost: must have exactly one label "{org}", as in "{org}.api.example.com", ` +
			`got "{org}.{org}.com"`, onlyParse: true},
	{name: "a host with a place for it and a port",
		doc:       rules(`{"organization": {"fromHost": "{org}.example.com:443"}}`),
		want:      `rules[0].organization.fromHost: must be a host without a port, got "{org}.example.com:443"`,
		onlyParse: true},
	{name: "a path without a place for it", doc: rules(`{"organization": {"fromPath": "/t/"}}`),
		want: `rules[0].organization.fromPath: must have exactly one segment "{org}", as in "/t/{org}/", got ` +
			`"/t/"`,
		onlyParse: true},
	{name: "a path with a part of a segment for it", doc: rules(`{"organization": {"fromPath": "/t-{org}/"}}`),
		want: `rules[0].organization.fromPath: must have exactly one segment "{org}", as in "/t/{org}/", got ` +
			`"/t-{org}/"`, onlyParse: true},
	{name: "a relative path with a place for it", doc: rules(`{"organization": {"fromPath": "t/{org}/"}}`),
		want: `rules[0].organization.fromPath: must begin with "/", got "t/{org}/"`, onlyParse: true},
	{name: "a path with a place for it and a star", doc: rules(`{"organization": {"fromPath": "/*/{org}/"}}`),
		want: `rules[0].organization.fromPath: must not have placeholders: they belong in pathTemplate, got ` +
			`"/*/{org}/"`, onlyParse: true},
	{name: "metadata without a key", doc: rules(`{"organization": {"fromRouteMetadata": "orgate"}}`),
		want: `rules[0].organization.fromRouteMetadata: must be a filter's name and a key, as in ` +
			`"orgate.organization", got "orgate"`, onlyParse: true},
	{name: "metadata without a filter", doc: rules(`{"organization": {"fromRouteMetadata": ".organization"}}`),
		want: `rules[0].organization.fromRouteMetadata: must be a filter's name and a key, as in ` +
			`"orgate.organization", got ".organization"`, onlyParse: true},
	{name: "metadata with a space", doc: rules(`{"organization": {"fromRouteMetadata": "orgate.organization "}}`),
		want:      `rules[0].organization.fromRouteMetadata: must not begin or end with space, got "orgate.organization "`,
		onlyParse: true},
	{name: "a rule's organization with a space", doc: rules(`{"organization": "org1 "}`),
		want: `rules[0].organization: must not begin or end with space, got "org1 "`, onlyParse: true},
	{name: "metadata with an empty key", doc: rules(`{"organization": {"fromRouteMetadata": "orgate."}}`),
		want: `rules[0].organization.fromRouteMetadata: must be a filter's name and a key, as in ` +
			`"orgate.organization", got "orgate."`, onlyParse: true},
	{
		name: "issuers that differ, and no rules", onlyParse: true,
		doc: issuers(`{}`, `{"name": "b", "issuer": "https://b", "organization": "org2"}`),
		want: `organization: is required, since the document's issuers differ in their organizations and no rule ` +
			`names one`,
	},
	{
		name: "issuers that differ, and a rule that names none", onlyParse: true,
		doc: merge(issuers(`{}`, `{"name": "b", "issuer": "https://b", "organization": "org2"}`),
			`{"rules": [{"organization": "org1"}, {}, {"public": true}]}`),
		want: `rules[1].organization: is required, since the document's issuers differ in their organizations and ` +
			`the top level names none`,
	},
	{
		name: "an issuer for any organization, and a rule that names none", onlyParse: true,
		doc: merge(issuers(`{"organization": "*", "organizationClaim": "org"}`), `{"rules": [{}]}`),
		want: `rules[0].organization: is required, since the document's issuers differ in their organizations and ` +
			`the top level names none`,
	},

	{
		name: "issuers that differ, though not those of the environment", onlyParse: true,
		doc: merge(issuers(`{"environments": ["prod"]}`,
			`{"name": "b", "issuer": "https://b", "organization": "org2", "environments": ["dev"]}`),
			`{"environment": "prod", "rules": [{}]}`),
		want: `rules[0].organization: is required, since the document's issuers differ in their organizations and ` +
			`the top level names none`,
	},
	{
		name: "one value of a claim mapped to two organizations", onlyParse: true,
		doc: merge(issuers(`{"organizationClaim": ["groups"], "organizationMapping": {"a": "org1", "staff": "org1"}}`,
			`{"name": "b", "organization": "org2", "organizationClaim": "groups", "organizationMapping": {"b": `+
				`"org2", "a": "org1", "staff": "org2"}}`),
			`{"organization": "*"}`),
		want: `issuers[1].organizationMapping.staff: issuers[0] maps it to "org1": a token must not be of two ` +
			`organizations`,
	},
	{
		name: "one value of a claim mapped to two organizations, knowingly", onlyParse: true,
		doc: merge(issuers(`{"organizationClaim": "groups", "organizationMapping": {"staff": "org1"}, `+
			`"sharedAcrossOrganizations": true}`,
			`{"name": "b", "organization": "org2", "organizationClaim": "groups", "organizationMapping": {"staff": `+
				`"org2"}, "sharedAcrossOrganizations": true}`),
			`{"organization": "*"}`),
		want: `issuers[1].organizationMapping.staff: issuers[0] maps it to "org1": a token must not be of two ` +
			`organizations`,
	},
	{
		name: "a value of a claim that is mapped, and is another organization itself", onlyParse: true,
		doc: merge(issuers(`{"organizationClaim": "org", "organizationMapping": {"org2": "org1", "org1": "org1", `+
			`"x": "org1"}}`,
			`{"name": "b", "organization": "org2", "organizationClaim": "org"}`), `{"organization": "*"}`),
		want: `issuers[0].organizationMapping.org2: issuers[1] takes it for "org2": a token must not be of two ` +
			`organizations`,
	},
	{
		name: "a value of a claim that is mapped, and is an organization to the one for any", onlyParse: true,
		doc: merge(issuers(`{"organizationClaim": "org", "organization": "*"}`,
			`{"name": "b", "organization": "org2", "organizationClaim": "org", "organizationMapping": {"t-2": `+
				`"org2", "t-3": "org3"}}`), `{"organization": "*"}`),
		want: `issuers[1].organizationMapping.t-2: issuers[0] takes it for "t-2": a token must not be of two ` +
			`organizations`,
	},
	{
		name:      "a value of a claim that is mapped, knowingly by one, and is another organization itself",
		onlyParse: true,
		doc: merge(issuers(`{"organizationClaim": "org", "organizationMapping": {"org2": "org1"}, `+
			`"sharedAcrossOrganizations": true}`,
			`{"name": "b", "organization": "org2", "organizationClaim": "org"}`), `{"organization": "*"}`),
		want: `issuers[0].organizationMapping.org2: issuers[1] takes it for "org2": a token must not be of two ` +
			`organizations`,
	},
	{
		name: "a value that two map alike, of which the first proves nothing, and another takes for itself",
		doc: merge(issuers(`{"organizationClaim": "org", "organizationMapping": {"t": "org9"}}`,
			`{"name": "b", "organization": "*", "organizationClaim": "org", "organizationMapping": {"t": "org9"}}`,
			`{"name": "c", "organization": "t", "organizationClaim": "org"}`), `{"organization": "*"}`),
		want: `issuers[1].organizationMapping.t: issuers[2] takes it for "t": a token must not be of two ` +
			`organizations`, onlyParse: true,
	},
	{
		name: "mappings, some of which cannot be read",
		doc: merge(issuers(`{"organizationClaim": 1, "organizationMapping": {"t": "org1"}}`,
			`{"name": "b", "organization": "org2", "organizationClaim": 1, "organizationMapping": {"t": "org2"}}`,
			`{"name": "c", "organization": "org3", "organizationClaim": "org", "organizationMapping": {"t": "org3"}}`,
			`{"name": "d", "organization": "org4", "organizationClaim": "org", "organizationMapping": {"t": "org4", `+
				`"u": "org4"}}`,
			`{"name": "e", "organization": "t", "organizationClaim": "org"}`,
			`{"name": "f", "organization": "u", "organizationClaim": "org"}`), `{"organization": "*"}`),
		want: "issuers[0].organizationClaim: must be a claim's name or an array of strings, got a number\n" +
			"issuers[1].organizationClaim: must be a claim's name or an array of strings, got a number\n" +
			"issuers[2].organizationMapping.t: issuers[4] takes it for \"t\": a token must not be of two " +
			"organizations\n" +
			"issuers[3].organizationMapping.t: issuers[2] maps it to \"org3\": a token must not be of two " +
			"organizations\n" +
			"issuers[3].organizationMapping.u: issuers[5] takes it for \"u\": a token must not be of two organizations",
	},

	// Several at once.
	{
		name: "mistakes all over the document, in its order",
		doc: `{
	"forwardToken": 1,
	"issuers": [
		{"name": "a", "issuer": "https://a", "organization": "org1", "algorithms": ["none", "HS512"],
		 "signatureValidation": {"jwks": {"url": "idp/jwks", "cluster": ""}}},
		{"name": "a", "isuer": "https://b", "organization": "org2",
		 "signatureValidation": {"certificate": {"certificateInline": "x", "secretRef": {}}}}
	],
	"rules": [{"match": {"path": "a", "methods": ["get"]}, "issuers": ["c"]}, 5],
	"limits": {"keyWait": "1 second"}
}`,
		want: `forwardToken: must be true or false, got a number
issuers[0].algorithms[0]: "none" is never accepted: it is no signature
issuers[0].algorithms[1]: "HS512" is never accepted: whoever can check such a signature can make it; must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA or Ed25519
issuers[0].signatureValidation.jwks.url: must be an absolute http(s) URL, got "idp/jwks"
issuers[0].signatureValidation.jwks.cluster: must not be empty
issuers[1].issuer: is required
issuers[1].name: "a" is the name of issuers[0] already
issuers[1].isuer: unknown field; did you mean "issuer"?
issuers[1].signatureValidation.certificate.certificateInline: must be PEM: certificates or public keys
issuers[1].signatureValidation.certificate.secretRef: cannot be resolved in the sandbox: put the PEM itself in certificateInline, and what secures a connection in the transport_socket of its cluster ("orgate import" writes both)
rules[0].organization: is required, since the document's issuers differ in their organizations and the top level names none
rules[0].match.path: must begin with "/", got "a"
rules[0].match.methods[0]: must be in capitals: "GET"
rules[0].issuers[0]: there is no issuer named "c"
rules[1]: must be an object, got a number
limits.keyWait: must be a duration such as "90s", got "1 second"`,
	},
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range broken {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Parse(tt.doc)
			if c != nil || err == nil {
				t.Fatalf("got %+v, want an error", c)
			}
			if _, ok := errors.AsType[config.ErrorList](err); !ok {
				t.Errorf("error is a %T", err)
			}
			if diff := cmp.Diff(strings.Split(tt.want, "\n"), strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// defaults is what the shortest good document means.
func defaults(change func(*config.Config)) *config.Config {
	c := &config.Config{
		Issuers:      []config.Issuer{issuerDefaults(nil)},
		Organization: config.Organization{Literal: "org1"},
		TokenSources: config.TokenSources{Headers: []config.HeaderSource{{Name: "authorization", Prefix: "Bearer "}}},
		Headers: config.Headers{
			Organization: "x-wso2-organization",
			Username:     "x-wso2-username",
			ConsumerKey:  "x-wso2-consumer-key",
			Scopes:       "x-wso2-scopes",
			Roles:        "x-wso2-roles",
			Lists:        "comma",
		},
		Errors: config.Errors{Format: "wso2", Realm: "orgate"},
		Paths:  config.Paths{EncodedSlash: "refuse", Semicolon: "refuse", EmptySegment: "refuse"},
		Limits: config.Limits{TokenBytes: 16384, CachedTokens: 4096, WaitingRequests: 1024,
			KeyWait: config.Duration(5 * time.Second), Fetches: 16},
		SignatureVerification: "sandbox",
		BypassCORSPreflight:   true,
	}
	if change != nil {
		change(c)
	}
	for i := range c.Rules {
		if c.Rules[i].ForwardToken == nil {
			c.Rules[i].ForwardToken = &c.ForwardToken
		}
	}
	return c
}

func issuerDefaults(change func(*config.Issuer)) config.Issuer {
	i := config.Issuer{
		Name:                 "idp",
		Issuer:               "https://idp.example/",
		Organization:         "org1",
		Environments:         []string{"*"},
		Algorithms:           []string{"RS256"},
		SignatureValidation:  config.SignatureValidation{JWKS: jwksDefaults(nil)},
		UsernameClaim:        config.ClaimName{Name: "sub"},
		MissingUsername:      "refuse",
		MissingOrganization:  "refuse",
		ScopesClaim:          config.ClaimName{Name: "scope"},
		ConsumerKeyClaim:     config.ClaimName{Name: "azp"},
		ExcludeUnmappedRoles: true,
		TokenHandling:        config.TokenHandling{Kind: "JWT"},
		CertificateBinding:   "enforce",
		ClockSkew:            config.Duration(time.Minute),
		RequireExpiration:    true,
	}
	if change != nil {
		change(&i)
	}
	return i
}

func jwksDefaults(change func(*config.JWKS)) *config.JWKS {
	j := &config.JWKS{
		URL:                "https://idp.example/jwks",
		Cluster:            "idp",
		Timeout:            config.Duration(5 * time.Second),
		RefreshInterval:    config.Duration(10 * time.Minute),
		MaxStale:           config.Duration(24 * time.Hour),
		UnknownKidCooldown: config.Duration(30 * time.Second),
	}
	if change != nil {
		change(j)
	}
	return j
}

func withIssuer(change func(*config.Issuer)) *config.Config {
	return defaults(func(c *config.Config) { change(&c.Issuers[0]) })
}

// someKey has as many bytes as a key must have.
const someKey = "0123456789abcdef0123456789abcdef"

const somePin = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

// good are documents that are accepted, each with what it means.
var good = []struct {
	name, doc string
	want      *config.Config
}{
	{name: "the least", doc: top(`{}`), want: defaults(nil)},
	{name: "space around it", doc: "\n\t" + top(`{}`) + "\r\n", want: defaults(nil)},
	{
		name: "every default written out",
		doc: `{"issuers": [{"name": "idp", "issuer": "https://idp.example/", "organization": "org1",
			"environments": ["*"],
			"audiences": [], "algorithms": ["RS256"], "tokenTypes": [],
			"signatureValidation": {"jwks": {"url": "https://idp.example/jwks", "cluster": "idp", "timeout": "5s",
				"refreshInterval": "10m", "maxStale": "24h", "unknownKidCooldown": "30s", "pins": []}},
			"usernameClaim": "sub", "missingUsername": "refuse", "missingOrganization": "refuse",
			"scopesClaim": "scope", "consumerKeyClaim": "azp",
			"roleMappings": [], "excludeUnmappedRoles": true, "claimMappings": [], "requiredClaims": [],
				"certificateBinding": "enforce", "tokenHandling": {"kind": "JWT"}, "clockSkew": "60s",
			"requireExpiration": true, "sharedAcrossOrganizations": false, "reportOnly": false}],
			"rules": [], "organization": "org1", "environment": "",
			"tokenSources": {"headers": [{"name": "authorization", "prefix": "Bearer "}], "query": [], "cookies": []},
			"forwardToken": false, "forwardPayload": "",
			"headers": {"organization": "x-wso2-organization", "username": "x-wso2-username",
				"consumerKey": "x-wso2-consumer-key",
				"scopes": "x-wso2-scopes", "roles": "x-wso2-roles", "lists": "comma"},
			"errors": {"format": "wso2", "realm": "orgate"},
			"limits": {"tokenBytes": 16384, "cachedTokens": 4096, "waitingRequests": 1024, "keyWait": "5s",
				"fetches": 16},
			"paths": {"encodedSlash": "refuse", "semicolon": "refuse", "emptySegment": "refuse"},
			"signatureVerification": "sandbox", "bypassCORSPreflight": true, "sharing": {}}`,
		want: defaults(nil),
	},
	{
		name: "the other value of everything at the top",
		doc: top(`{"organization": {"fromHost": "{org}.API.example.com"}, "forwardToken": true,
			"forwardPayload": "X-Payload",
			"tokenSources": {"headers": [{"name": "X-Token"}, {"name": "Authorization", "prefix": "DPoP "}],
				"query": ["access_token"], "cookies": ["token"]},
			"headers": {"organization": "X-Org", "username": "", "roles": "cookie-jar", "lists": "json"},
			"errors": {"format": "problem", "realm": "my api"},
			"limits": {"tokenBytes": 65536, "cachedTokens": 0, "waitingRequests": 0, "keyWait": "0s", "fetches": 1024},
			"paths": {"encodedSlash": "keep", "semicolon": "keep", "emptySegment": "keep"},
			"bypassCORSPreflight": false, "sharing": {"key": "` + someKey + `"}, "$schema": "../config/schema.json"}`),
		want: defaults(func(c *config.Config) {
			c.Organization = config.Organization{FromHost: "{org}.api.example.com"}
			c.ForwardToken = true
			c.ForwardPayload = "x-payload"
			c.TokenSources = config.TokenSources{
				Headers: []config.HeaderSource{{Name: "x-token"}, {Name: "authorization", Prefix: "DPoP "}},
				Query:   []string{"access_token"},
				Cookies: []string{"token"},
			}
			c.Headers.Organization = "x-org"
			c.Headers.Username = ""
			c.Headers.Roles = "cookie-jar"
			c.Headers.Lists = "json"
			c.Errors = config.Errors{Format: "problem", Realm: "my api"}
			c.Limits = config.Limits{TokenBytes: 65536, Fetches: 1024}
			c.Paths = config.Paths{EncodedSlash: "keep", Semicolon: "keep", EmptySegment: "keep"}
			c.Sharing.Key = someKey
			c.Schema = "../config/schema.json"
			c.BypassCORSPreflight = false
		}),
	},
	{
		name: "no token from headers",
		doc:  top(`{"tokenSources": {"headers": [], "cookies": ["token"]}}`),
		want: defaults(func(c *config.Config) { c.TokenSources = config.TokenSources{Cookies: []string{"token"}} }),
	},
	{
		name: "opaque tokens",
		doc:  opaque("REFERENCE", "a+", `{"introspection": {"clientId": "id", "clientSecret": {"fromEnvironment": "SECRET"}}}`),
		want: withIssuer(func(i *config.Issuer) {
			i.SignatureValidation = config.SignatureValidation{}
			i.TokenHandling = config.TokenHandling{Kind: "REFERENCE", Pattern: "a+"}
			i.Introspection = &config.Introspection{URL: "https://idp.example/introspect", Cluster: "idp",
				ClientID:     "id",
				ClientSecret: config.Secret{FromEnvironment: "SECRET"}, Timeout: config.Duration(5 * time.Second),
				CacheFor: config.Duration(time.Minute)}
		}),
	},
	{
		name: "tokens of both kinds",
		doc: issuers(`{"tokenHandling": {"kind": "CUSTOM", "pattern": "a+"}, "introspection": {"url": "https://idp.example/i",
			"cluster": "idp2", "clientId": "id", "clientSecret": "s3cret", "timeout": "1s", "cacheFor": "0s"}}`),
		want: withIssuer(func(i *config.Issuer) {
			i.TokenHandling = config.TokenHandling{Kind: "CUSTOM", Pattern: "a+"}
			i.Introspection = &config.Introspection{URL: "https://idp.example/i", Cluster: "idp2", ClientID: "id",
				ClientSecret: config.Secret{Value: "s3cret"}, Timeout: config.Duration(time.Second)}
		}),
	},
	{
		name: "the other value of everything of an issuer",
		doc: issuers(`{"audiences": ["api://a", "b"], "algorithms": ["PS512", "RS384"], "tokenTypes": ["at+jwt"],
			"signatureValidation": {"jwks": {"url": "HTTP://[::1]:8080/jwks?v=1", "timeout": "1m",
				"refreshInterval": "1m", "maxStale": "0s",
				"unknownKidCooldown": "1h", "pins": ["` + somePin + `"]},
				"certificate": {"certificateInline": "` + somePEM + `"}},
			"usernameClaim": "https://example.com/user", "organizationClaim": ["org", "id.x"],
				"missingUsername": "omit", "missingOrganization": "issuer",
			"organizationMapping": {"a.b": "org1"}, "scopesClaim": "scp", "consumerKeyClaim": ["client"],
			"rolesClaim": "realm_access.roles", "roleMappings": [{"remoteRole": "admin", "localRole": "boss"}],
				"excludeUnmappedRoles": false,
			"claimMappings": [{"remoteClaim": "email", "localClaim": "X-Email"}], "requiredClaims": ["jti", ["a", "b"]],
			"certificateBinding": "require", "clockSkew": "0s", "requireExpiration": false, "maxTokenAge": "1h30m", "sharedAcrossOrganizations": true,
				"reportOnly": true}`),
		want: withIssuer(func(i *config.Issuer) {
			i.Audiences = []string{"api://a", "b"}
			i.Algorithms = []string{"PS512", "RS384"}
			i.TokenTypes = []string{"at+jwt"}
			i.SignatureValidation = config.SignatureValidation{
				JWKS: &config.JWKS{
					URL:                "HTTP://[::1]:8080/jwks?v=1",
					Cluster:            "idp",
					Timeout:            config.Duration(time.Minute),
					RefreshInterval:    config.Duration(time.Minute),
					UnknownKidCooldown: config.Duration(time.Hour),
					Pins:               []string{somePin},
				},
				Certificate: &config.Certificate{CertificateInline: strings.ReplaceAll(somePEM, `\n`, "\n")},
			}
			i.UsernameClaim = config.ClaimName{Name: "https://example.com/user"}
			i.OrganizationClaim = config.ClaimName{Path: []string{"org", "id.x"}}
			i.MissingUsername, i.MissingOrganization = "omit", "issuer"
			i.OrganizationMapping = map[string]string{"a.b": "org1"}
			i.ScopesClaim = config.ClaimName{Name: "scp"}
			i.ConsumerKeyClaim = config.ClaimName{Path: []string{"client"}}
			i.RolesClaim = config.ClaimName{Name: "realm_access.roles"}
			i.RoleMappings = []config.RoleMapping{{RemoteRole: "admin", LocalRole: "boss"}}
			i.ExcludeUnmappedRoles = false
			i.ClaimMappings = []config.ClaimMapping{{RemoteClaim: config.ClaimName{Name: "email"},
				LocalClaim: "x-email"}}
			i.RequiredClaims = []config.ClaimName{{Name: "jti"}, {Path: []string{"a", "b"}}}
			i.ClockSkew = 0
			i.CertificateBinding = "require"
			i.RequireExpiration = false
			i.MaxTokenAge = config.Duration(90 * time.Minute)
			i.SharedAcrossOrganizations = true
			i.ReportOnly = true
		}),
	},
	{
		name: "the spec of a TokenIssuer, and its cluster",
		doc: `{"issuers": [{
			"claimMappings": [{"localClaim": "x-wso2-organization", "remoteClaim": "orgId"}],
			"consumerKeyClaim": "azp",
			"issuer": "https://idp.example/",
			"name": "new-service-provider",
			"organization": "default",
			"scopesClaim": "scope",
			"signatureValidation": {"jwks": {"url": "https://idp.example/.well-known/jwks", "cluster": "idp"}}
		}]}`,
		want: defaults(func(c *config.Config) {
			c.Organization.Literal = "default"
			c.Issuers = []config.Issuer{issuerDefaults(func(i *config.Issuer) {
				i.Name = "new-service-provider"
				i.Organization = "default"
				i.OrganizationClaim = config.ClaimName{Name: "orgId"}
				i.SignatureValidation.JWKS.URL = "https://idp.example/.well-known/jwks"
			})}
		}),
	},
	{
		name: "two TokenIssuers of one issuer, for the system's APIs and an organization's",
		doc: merge(issuers(
			`{"name": "system", "organization": "apk-system", "claimMappings": [{"localClaim": `+
				`"x-wso2-organization", "remoteClaim": "org_id"}]}`,
			`{"name": "default", "organization": "default", "claimMappings": [{"localClaim": "x-wso2-organization", `+
				`"remoteClaim": "org_id"}]}`,
		), `{"organization": "default", "rules": [{"name": "system", "match": {"pathPrefix": "/api/am"}, `+
			`"organization": "apk-system"}]}`),
		want: defaults(func(c *config.Config) {
			c.Organization.Literal = "default"
			c.Issuers = nil
			for name, organization := range map[string]string{"system": "apk-system", "default": "default"} {
				c.Issuers = append(c.Issuers, issuerDefaults(func(i *config.Issuer) {
					i.Name = name
					i.Organization = organization
					i.OrganizationClaim = config.ClaimName{Name: "org_id"}
				}))
			}
			if c.Issuers[0].Name == "default" {
				c.Issuers[0], c.Issuers[1] = c.Issuers[1], c.Issuers[0]
			}
			c.Rules = []config.Rule{{
				Name:         "system",
				Match:        config.Match{PathPrefix: "/api/am"},
				Organization: config.Organization{Literal: "apk-system"},
			}}
		}),
	},
	{
		name: "the organization claim twice, in agreement",
		doc: issuers(`{"organizationClaim": "org_id", "claimMappings": [{"localClaim": "X-WSO2-Organization", ` +
			`"remoteClaim": "org_id"}, {"localClaim": "x-a", "remoteClaim": "a"}]}`),
		want: withIssuer(func(i *config.Issuer) {
			i.OrganizationClaim = config.ClaimName{Name: "org_id"}
			i.ClaimMappings = []config.ClaimMapping{{RemoteClaim: config.ClaimName{Name: "a"}, LocalClaim: "x-a"}}
		}),
	},
	{
		name: "a claim to what is the organization header by default",
		doc: merge(issuers(`{"organizationClaim": "org", "claimMappings": [{"localClaim": "x-wso2-organization", `+
			`"remoteClaim": "org_id"}]}`),
			`{"headers": {"organization": ""}}`),
		want: defaults(func(c *config.Config) {
			c.Headers.Organization = ""
			c.Issuers[0].OrganizationClaim = config.ClaimName{Name: "org"}
			c.Issuers[0].ClaimMappings = []config.ClaimMapping{{RemoteClaim: config.ClaimName{Name: "org_id"},
				LocalClaim: "x-wso2-organization"}}
		}),
	},
	{
		name: "alternatives",
		doc: rules(`{"anyOf": [{"scopes": {"all": ["a"]}, "issuers": ["idp"]},
			{"roles": ["b"], "consumerKeys": ["c"], "audiences": ["d"], "claims": [{"claim": "e", "in": ["f"]}]}]}`),
		want: defaults(func(c *config.Config) {
			c.Rules = []config.Rule{{Name: "rule-0", AnyOf: []config.Demands{
				{Scopes: config.AnyOrAll{Values: []string{"a"}, All: true}, Issuers: []string{"idp"}},
				{Roles: config.AnyOrAll{Values: []string{"b"}}, ConsumerKeys: []string{"c"}, Audiences: []string{"d"},
					Claims: []config.ClaimRule{{Claim: config.ClaimName{Name: "e"}, In: []string{"f"}}}},
			}}}
		}),
	},
	{
		name: "keys in the document",
		doc: `{"issuers": [{"name": "idp", "issuer": "https://idp.example/", "organization": "org1",
			"signatureValidation": {"jwks": {"inline": {"keys": [ ]}}}}]}`,
		want: withIssuer(func(i *config.Issuer) {
			i.SignatureValidation.JWKS.URL = ""
			i.SignatureValidation.JWKS.Cluster = ""
			i.SignatureValidation.JWKS.Inline = `{"keys": [ ]}`
		}),
	},
	{
		name: "a certificate alone",
		doc: issuers(`{"signatureValidation": {"jwks": null, "certificate": {"certificateInline": "` + somePEM +
			`"}}}`),
		want: withIssuer(func(i *config.Issuer) {
			i.SignatureValidation.JWKS = nil
			i.SignatureValidation.Certificate = &config.Certificate{CertificateInline: "-----BEGIN PUBLIC " +
				"KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"}
		}),
	},
	{
		name: "the issuers of one environment, and a rule for one of another",
		doc: merge(issuers(`{"environments": ["prod"]}`,
			`{"name": "dev", "organization": "org2", "environments": ["dev"]}`,
			`{"name": "all", "issuer": "https://all"}`),
			`{"environment": "prod", "organization": "org1", "rules": [{"issuers": ["dev"]}]}`),
		want: defaults(func(c *config.Config) {
			c.Environment = "prod"
			c.Issuers = []config.Issuer{
				issuerDefaults(func(i *config.Issuer) { i.Environments = []string{"prod"} }),
				issuerDefaults(func(i *config.Issuer) { i.Name, i.Issuer = "all", "https://all" }),
			}
			c.Rules = []config.Rule{{Name: "rule-0", Issuers: []string{"dev"}}}
		}),
	},
	{
		name: "one issuer for two organizations, with mappings that lead to one each",
		doc: merge(issuers(`{"organizationClaim": "org", "organizationMapping": {"t1": "org1", "t2": "org2"}}`,
			`{"name": "b", "organization": "*", "organizationClaim": "org", "organizationMapping": {"t2": "org2"}}`),
			`{"organization": "*"}`),
		want: defaults(func(c *config.Config) {
			c.Organization.Literal = "*"
			c.Issuers = []config.Issuer{
				issuerDefaults(func(i *config.Issuer) {
					i.OrganizationClaim.Name = "org"
					i.OrganizationMapping = map[string]string{"t1": "org1", "t2": "org2"}
				}),
				issuerDefaults(func(i *config.Issuer) {
					i.Name, i.Organization, i.OrganizationClaim.Name = "b", "*", "org"
					i.OrganizationMapping = map[string]string{"t2": "org2"}
				}),
			}
		}),
	},
	{
		name: "cookies that are no source of tokens, and an identity header",
		doc:  top(`{"headers": {"roles": "cookie"}}`),
		want: defaults(func(c *config.Config) { c.Headers.Roles = "cookie" }),
	},
	{
		name: "one issuer for two organizations, knowingly",
		doc: merge(issuers(`{"sharedAcrossOrganizations": true}`,
			`{"name": "b", "organization": "org2", "sharedAcrossOrganizations": true}`),
			`{"organization": "*"}`),
		want: defaults(func(c *config.Config) {
			c.Organization.Literal = "*"
			c.Issuers = []config.Issuer{
				issuerDefaults(func(i *config.Issuer) { i.SharedAcrossOrganizations = true }),
				issuerDefaults(func(i *config.Issuer) {
					i.Name, i.Organization, i.SharedAcrossOrganizations = "b", "org2", true
				}),
			}
		}),
	},
	{
		name: "all issuers, where no environment is named",
		doc:  issuers(`{}`, `{"name": "dev", "issuer": "https://dev", "environments": ["dev"]}`),
		want: defaults(func(c *config.Config) {
			c.Issuers = append(c.Issuers, issuerDefaults(func(i *config.Issuer) {
				i.Name, i.Issuer, i.Environments = "dev", "https://dev", []string{"dev"}
			}))
		}),
	},
	{
		name: "one issuer for two organizations, one of which takes tokens without the claim",
		doc: merge(issuers(`{"organizationClaim": "org"}`,
			`{"name": "b", "organization": "org2", "organizationClaim": "org", "missingOrganization": "issuer"}`),
			`{"organization": "org1"}`),
		want: defaults(func(c *config.Config) {
			c.Issuers = []config.Issuer{
				issuerDefaults(func(i *config.Issuer) { i.OrganizationClaim = config.ClaimName{Name: "org"} }),
				issuerDefaults(func(i *config.Issuer) {
					i.Name, i.Organization, i.MissingOrganization = "b", "org2", "issuer"
					i.OrganizationClaim = config.ClaimName{Name: "org"}
				}),
			}
		}),
	},
	{
		name: "one issuer for two organizations, with mappings that agree, and claims of their own",
		doc: merge(issuers(`{"organizationClaim": "org", "organizationMapping": {"a": "org1", "b": "org2"}}`,
			`{"name": "b", "organization": "org2", "organizationClaim": "org", "organizationMapping": {"b": "org2"}}`,
			`{"name": "c", "organization": "org3", "organizationClaim": "tenant", "organizationMapping": {"a": `+
				`"org3"}}`,
			`{"name": "d", "organization": "org4", "organizationClaim": "org"}`), `{"organization": "*"}`),
		want: defaults(func(c *config.Config) {
			c.Organization.Literal = "*"
			claimed := func(name, organization, claim string, mapping map[string]string) config.Issuer {
				return issuerDefaults(func(i *config.Issuer) {
					i.Name, i.Organization, i.OrganizationClaim.Name, i.OrganizationMapping = name, organization, claim,
						mapping
				})
			}
			c.Issuers = []config.Issuer{
				claimed("idp", "org1", "org", map[string]string{"a": "org1", "b": "org2"}),
				claimed("b", "org2", "org", map[string]string{"b": "org2"}),
				claimed("c", "org3", "tenant", map[string]string{"a": "org3"}),
				claimed("d", "org4", "org", nil),
			}
		}),
	},
	{
		name: "issuers that differ, and rules that each name an organization",
		doc: merge(issuers(`{}`, `{"name": "b", "issuer": "https://b", "organization": "org2"}`),
			`{"rules": [{"match": {"hosts": ["a.example"]}, "organization": "org1"}, {"public": true, "match": `+
				`{"path": "/health"}}]}`),
		want: defaults(func(c *config.Config) {
			c.Organization = config.Organization{}
			c.Issuers = append(c.Issuers,
				issuerDefaults(func(i *config.Issuer) { i.Name, i.Issuer, i.Organization = "b", "https://b", "org2" }))
			c.Rules = []config.Rule{
				{Name: "rule-0", Match: config.Match{Hosts: []string{"a.example"}},
					Organization: config.Organization{Literal: "org1"}},
				{Name: "rule-1", Match: config.Match{Path: "/health"}, Public: true},
			}
		}),
	},
	{
		name: "rules of every kind",
		doc: rules(`
			{"name": "orders", "match": {"hosts": ["*.Example.com", "10.0.0.1", "[::1]"], "pathPrefix": "/orders/",
				"methods": ["GET", "M-SEARCH"]},
			 "organization": "org1", "scopes": ["orders:read"], "roles": [], "consumerKeys": ["app"],
			 	"claims": [{"claim": "tier", "in": ["gold"]}],
			 "issuers": ["idp"], "audiences": ["orders"], "forwardToken": false},
			{"match": {"pathTemplate": "/t/{org}/orders/*/**"}, "organization": {"fromPath": "/t/{org}/"},
				"scopes": {"all": ["a", "b"]}, "roles": {"all": ["c"]}},
			{"match": {"path": "/caf%C3%A9/$a,b=1"},
				"organization": {"fromRouteMetadata": "envoy.filters.http.wasm.organization"}, "optional": true,
				"forwardToken": true},
			{"match": {"pathPrefix": "/"}, "organization": "*"},
			{"match": {"pathTemplate": "/"}, "organization": {"fromPath": "/{org}"}}`),
		want: defaults(func(c *config.Config) {
			yes := true
			c.Rules = []config.Rule{
				{
					Name: "orders",
					Match: config.Match{Hosts: []string{"*.example.com", "10.0.0.1", "[::1]"},
						PathPrefix: "/orders/", Methods: []string{"GET", "M-SEARCH"}},
					Organization: config.Organization{Literal: "org1"},
					Scopes:       config.AnyOrAll{Values: []string{"orders:read"}},
					ConsumerKeys: []string{"app"},
					Claims:       []config.ClaimRule{{Claim: config.ClaimName{Name: "tier"}, In: []string{"gold"}}},
					Issuers:      []string{"idp"},
					Audiences:    []string{"orders"},
					ForwardToken: new(bool),
				},
				{
					Name:         "rule-1",
					Match:        config.Match{PathTemplate: "/t/{org}/orders/*/**"},
					Organization: config.Organization{FromPath: "/t/{org}/"},
					Scopes:       config.AnyOrAll{Values: []string{"a", "b"}, All: true},
					Roles:        config.AnyOrAll{Values: []string{"c"}, All: true},
				},
				{
					Name:         "rule-2",
					Match:        config.Match{Path: "/caf%C3%A9/$a,b=1"},
					Organization: config.Organization{FromRouteMetadata: "envoy.filters.http.wasm.organization"},
					Optional:     true,
					ForwardToken: &yes,
				},
				{Name: "rule-3", Match: config.Match{PathPrefix: "/"}, Organization: config.Organization{Literal: "*"}},
				{Name: "rule-4", Match: config.Match{PathTemplate: "/"},
					Organization: config.Organization{FromPath: "/{org}"}},
			}
		}),
	},
}

func TestParse(t *testing.T) {
	for _, tt := range good {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Parse(tt.doc)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, c, anyPlace); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestErrorSaysWhere(t *testing.T) {
	_, err := config.Parse("{\n  \"é\": 1, \"issuers\": [\n    {\"name\": \"a\",\n     \"issuer\": \"https://a\", " +
		"\"organization\": \"o\",\n     \"signatureValidation\": {\"jwks\": {\"url\": \"x\"}}}]}")
	want := config.ErrorList{
		{Path: `["é"]`, Message: "unknown field", Line: 2, Column: 8},
		{
			Path:    "issuers[0].signatureValidation.jwks.cluster",
			Message: "is required with url and wellKnown: the proxy's cluster that the keys are fetched through",
			Line:    5, Column: 38,
		},
		{Path: "issuers[0].signatureValidation.jwks.url", Message: `must be an absolute http(s) URL, got "x"`, Line: 5,
			Column: 46},
	}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// anyPlace leaves out the issuers' places: see TestPlaces.
var anyPlace = cmpopts.IgnoreFields(config.Issuer{}, "Path")

// TestPlaces: an issuer knows its place in the document, though others before it
// are of other environments.
func TestPlaces(t *testing.T) {
	c, err := config.Parse(merge(issuers(`{"environments": ["staging"]}`, `{"name": "b", "issuer": "https://b"}`,
		`{"name": "c", "issuer": "https://c"}`), `{"environment": "production"}`))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, issuer := range c.Issuers {
		got[issuer.Name] = issuer.Path
	}
	if diff := cmp.Diff(map[string]string{"b": "issuers[1]", "c": "issuers[2]"}, got); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}
