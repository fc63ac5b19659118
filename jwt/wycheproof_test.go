package jwt_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"

	"orgate/jwks"
	"orgate/jwt"
)

// wycheproofFiles are those with tokens, and those with signatures of the kinds
// that tokens have.
var wycheproofFiles = []string{
	"json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json",
	"rsa_signature_*_test.json", "rsa_pkcs1_*_sig_gen_test.json", "rsa_pss_*_test.json",
	"ecdsa_*_p1363_test.json", "ed25519_test.json", "ed448_test.json",
}

// difference is a verdict of Wycheproof's that is not ours, and why. It is about
// the vectors of some files that have one of the ids, or the flag, or, if it
// names neither, that are not invalid.
type difference struct {
	files, flag string
	ids         []int
	why         string
}

// differences are all but those that follow from the algorithms: what is signed
// with one that is none of [jwt.Algorithms], or that is left to the proxy, is
// refused.
var differences = []difference{
	{files: "json_web_signature_test.json", ids: []int{259, 264, 268, 272, 320, 325},
		why: "the payload is empty, and a token has claims"},
	{files: "json_web_signature_test.json", ids: []int{346, 350},
		why: `the key's alg is PS256 and the token's PS384; in RFC 7520 §4.2 the key has none`},
	{files: "json_web_key_test.json", ids: []int{7}, why: roca},
	{files: "json_web_crypto_test.json", ids: []int{46}, why: roca},
	{files: "rsa_signature_*_test.json", flag: "MissingNull",
		why: "the DigestInfo has a NULL (RFC 8017 §9.2); some accept it without"},
	{files: "rsa_pss_*_params_test.json",
		why: "PEM of a key for RSASSA-PSS alone is not read"},
	{files: "rsa_pkcs1_1*_sig_gen_test.json",
		why: "a key of less than 2048 bits is not used (RFC 7518 §3.3)"},
}

const roca = "the key's primes are of a form that can be factored (ROCA), which is for the provider to avoid"

// is reports whether the difference is about a file's vector.
func (d *difference) is(file string, v *vector) bool {
	matches, err := path.Match(d.files, file)
	switch {
	case err != nil:
		panic(err)
	case !matches:
		return false
	case d.flag != "":
		return slices.Contains(v.Flags, d.flag)
	case d.ids != nil:
		return slices.Contains(d.ids, v.ID)
	}
	return v.Result != "invalid"
}

// group is vectors of Wycheproof's that have the key in common.
type group struct {
	Type string
	// Of tokens: a JWK or a JWK Set. A symmetric one is private alone.
	Private, Public json.RawMessage
	// Of signatures.
	Sha, MgfSha          string
	SLen                 int
	PublicKey            struct{ Curve string }
	PublicKeyPem, KeyPem string
	PublicKeyJwk, KeyJwk json.RawMessage

	Tests []vector
}

type vector struct {
	ID       int `json:"tcId"`
	Comment  string
	Flags    []string
	Jws      json.RawMessage // a string, or the JSON serialization
	Msg, Sig string
	Result   string
}

// TestWycheproof holds Wycheproof's vectors against this package and jwks. They
// go the way of requests: the token is read, its algorithm must be known, the set
// says which keys fit, and one of them must have signed it.
func TestWycheproof(t *testing.T) {
	k := kit{elsewhere: []string{"ES512"}}
	k.judge(t, wycheproofFiles...)
	k.checkCounts(t, jwt.Algorithms())
	for n, d := range differences {
		if !slices.Contains(k.used, n) {
			t.Errorf("no difference any more: %s: %s", d.files, d.why)
		}
	}
}

// TestWycheproofByProxy: the same with what a proxy verifies, which has no
// algorithm left out.
func TestWycheproofByProxy(t *testing.T) {
	k := kit{arithmetic: proxyArithmetic}
	k.judge(t, "json_web_signature_test.json", "rsa_signature_[23]*_sha[235]??_test.json",
		"ecdsa_secp???r1_sha[235]??_p1363_test.json")
	k.checkCounts(t, []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"})
}

// kit is a run through the vectors.
type kit struct {
	arithmetic jwt.Arithmetic // a proxy's, if there is one
	elsewhere  []string       // algorithms that are left to a proxy, if there is none
	used       []int          // differences that there are
	// How many vectors there were, by algorithm.
	valid, invalid map[string]int
}

// judge judges the files that match the patterns.
func (k *kit) judge(t *testing.T, patterns ...string) {
	k.valid, k.invalid = map[string]int{}, map[string]int{}
	for _, pattern := range patterns {
		names, err := fs.Glob(wycheproof.TestVectors, pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no file %s (%v)", pattern, err)
		}
		for _, name := range names {
			t.Run(strings.TrimSuffix(name, "_test.json"), func(t *testing.T) { k.judgeFile(t, name) })
		}
	}
}

// checkCounts has the algorithms be tried in earnest.
func (k *kit) checkCounts(t *testing.T, algorithms []string) {
	for _, a := range algorithms {
		if k.valid[a] < 20 && !slices.Contains(k.elsewhere, a) || k.invalid[a] < 20 {
			t.Errorf("%s: %d valid and %d invalid vectors", a, k.valid[a], k.invalid[a])
		}
	}
}

func (k *kit) judgeFile(t *testing.T, name string) {
	text, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ TestGroups []group }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for i := range file.TestGroups {
		g := &file.TestGroups[i]
		if g.Private != nil {
			k.judgeTokens(t, name, g)
		} else {
			k.judgeSignatures(t, name, g)
		}
	}
}

// judgeTokens judges tokens by the public key or, if there is none, by the
// symmetric one.
func (k *kit) judgeTokens(t *testing.T, name string, g *group) {
	jwk := g.Private
	if g.Public != nil {
		jwk = g.Public
		if len(jwkSet(t, g.Private).Keys) > 0 {
			t.Errorf("%s: a private key is used", g.Private)
		}
	}
	set, algorithm := jwkSet(t, jwk), jwkAlgorithm(t, jwk)
	for i := range g.Tests {
		v := &g.Tests[i]
		if v.Jws == nil { // encrypted
			continue
		}
		var compact string
		if json.Unmarshal(v.Jws, &compact) != nil {
			compact = string(v.Jws)
		}
		token, err := jwt.ParseJWS(compact, maxBytes)
		if err == nil {
			err = verifyWith(token, set, k.arithmetic)
		}
		k.check(t, name, v, algorithm, err)
	}
}

// judgeSignatures judges signatures over messages that need not be tokens.
func (k *kit) judgeSignatures(t *testing.T, name string, g *group) {
	var sets []*jwks.Set
	for _, text := range []string{g.PublicKeyPem, g.KeyPem} {
		if text != "" {
			set, _ := jwks.ParsePEM(text) // None if the key is not used.
			sets = append(sets, set)
		}
	}
	for _, jwk := range []json.RawMessage{g.PublicKeyJwk, g.KeyJwk} {
		if jwk != nil {
			sets = append(sets, jwkSet(t, jwk))
		}
	}
	if len(sets) == 0 {
		t.Fatal("a group without a key")
	}
	algorithms := slices.DeleteFunc(g.algorithms(), func(name string) bool { return !known(name) })
	for i := range g.Tests {
		v := &g.Tests[i]
		for _, set := range sets {
			for _, algorithm := range algorithms {
				k.check(t, name, v, algorithm, verifyWith(signed(t, algorithm, v), set, k.arithmetic))
			}
			if len(algorithms) > 0 || v.Result == "invalid" {
				continue
			}
			// What no algorithm of ours has signed is of none.
			for _, algorithm := range jwt.Algorithms() {
				if verifyWith(signed(t, algorithm, v), set, k.arithmetic) == nil {
					t.Errorf("%d, %s: accepted as %s", v.ID, v.Comment, algorithm)
				}
			}
		}
	}
}

// check holds a verdict against Wycheproof's.
func (k *kit) check(t *testing.T, file string, v *vector, algorithm string, verdict error) {
	t.Helper()
	want := v.Result != "invalid"
	if want && (!known(algorithm) || slices.Contains(k.elsewhere, algorithm)) {
		want = false
	} else if n := slices.IndexFunc(differences, func(d difference) bool { return d.is(file, v) }); n >= 0 {
		want, k.used = !want, append(k.used, n)
	}
	if got := verdict == nil; got != want {
		t.Errorf("%d, %s %v: %s, got error %v", v.ID, v.Comment, v.Flags, v.Result, verdict)
	}
	if want {
		k.valid[algorithm]++
	} else {
		k.invalid[algorithm]++
	}
}

func known(algorithm string) bool { return slices.Contains(jwt.Algorithms(), algorithm) }

// verify verifies a token as a request's is, with the keys of its issuer.
func verify(token *jwt.Token, set *jwks.Set) error { return verifyWith(token, set, nil) }

func verifyWith(token *jwt.Token, set *jwks.Set, arithmetic jwt.Arithmetic) error {
	if err := token.CheckAlgorithm(jwt.Algorithms()); err != nil {
		return err
	}
	err := jwt.ErrUnknownKey
	for _, key := range set.Select(token) {
		if err = token.VerifyWith(key, arithmetic); err == nil {
			return nil
		}
	}
	return err
}

// proxyArithmetic is the standard library's, in a proxy's place.
func proxyArithmetic(name string, key, signature []byte, text string) (valid bool, err error) {
	public, err := x509.ParsePKIXPublicKey(key)
	if err != nil {
		return false, err
	}
	hash := map[string]crypto.Hash{"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512}[name]
	digest := hash.New()
	digest.Write([]byte(text))
	switch public := public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, hash, digest.Sum(nil), signature) == nil, nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, digest.Sum(nil), signature), nil
	}
	return false, jwt.ErrUnavailable
}

func signed(t *testing.T, algorithm string, v *vector) *jwt.Token {
	t.Helper()
	message, err := hex.DecodeString(v.Msg)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := hex.DecodeString(v.Sig)
	if err != nil {
		t.Fatal(err)
	}
	return jwt.Signed(algorithm, string(message), signature)
}

// jwkSet reads a JWK Set, or a single JWK.
func jwkSet(t *testing.T, jwk json.RawMessage) *jwks.Set {
	t.Helper()
	set, err := jwks.Parse(string(asSet(jwk)))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func asSet(jwk []byte) []byte {
	if bytes.Contains(jwk, []byte(`"keys"`)) {
		return jwk
	}
	return slices.Concat([]byte(`{"keys":[`), jwk, []byte(`]}`))
}

// jwkAlgorithm is the alg of the first key, "" if it has none.
func jwkAlgorithm(t *testing.T, jwk json.RawMessage) string {
	t.Helper()
	var set struct{ Keys []struct{ Alg string } }
	if err := json.Unmarshal(asSet(jwk), &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys[0].Alg
}

// algorithms are what JOSE calls the group's signatures (RFC 7518 §3.1, RFC 8037
// §3.1, RFC 9864 §2.2). It has no name for most kinds.
func (g *group) algorithms() []string {
	bits := map[string]string{"SHA-256": "256", "SHA-384": "384", "SHA-512": "512"}[g.Sha]
	salt := map[string]int{"256": 32, "384": 48, "512": 64}[bits]
	switch {
	case g.Type == "EddsaVerify" && g.PublicKey.Curve == "edwards25519":
		return []string{"EdDSA", "Ed25519"}
	case bits == "":
	case strings.HasPrefix(g.Type, "RsassaPkcs1"):
		return []string{"RS" + bits}
	case strings.HasPrefix(g.Type, "RsassaPss") && g.MgfSha == g.Sha && g.SLen == salt:
		return []string{"PS" + bits}
	case g.Type == "EcdsaP1363Verify" && g.PublicKey.Curve == map[string]string{
		"256": "secp256r1", "384": "secp384r1", "512": "secp521r1"}[bits]:
		return []string{"ES" + bits}
	}
	return nil
}
