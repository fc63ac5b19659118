package generate

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"orgate/e2e/scenario"
)

// token is a well-formed token.
type token struct {
	compact, payload string
	header, claims   map[string]json.RawMessage
	algorithm, kid   string
	typ, issuer      string
	// told is the issuer whose provider stands for the token, "" if keys do.
	told string
	// own is the JWT that the provider stands for, nil of an opaque token.
	own *token
}

// readToken reads a token as strictly as it must be.
func readToken(compact string, maxBytes int) (*token, faults) {
	malformed := faults{"malformed 401"}
	parts := strings.Split(compact, ".")
	if len(compact) > maxBytes {
		return nil, faults{"too_large 401"}
	}
	if len(parts) != 3 {
		if regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`).MatchString(compact) {
			return nil, faults{"opaque 401"}
		}
		return nil, malformed
	}
	for _, p := range parts {
		octets, err := base64.RawURLEncoding.DecodeString(p)
		if p == "" || err != nil || base64.RawURLEncoding.EncodeToString(octets) != p {
			return nil, malformed
		}
	}
	t := &token{compact: compact, payload: parts[1]}
	var ok, hasAlgorithm bool
	if t.header, ok = readObject(parts[0]); !ok {
		return nil, malformed
	}
	if t.claims, ok = readObject(parts[1]); !ok {
		return nil, malformed
	}
	for name, value := range map[string]*string{"alg": &t.algorithm, "kid": &t.kid, "typ": &t.typ} {
		raw, present := t.header[name]
		hasAlgorithm = hasAlgorithm || present && name == "alg"
		if present && !isString(raw, value) {
			return nil, malformed
		}
	}
	for _, name := range []string{"crit", "b64"} {
		if _, present := t.header[name]; present {
			return nil, malformed
		}
	}
	if !t.hasGoodClaims() {
		return nil, malformed
	}
	if !hasAlgorithm {
		return nil, faults{"bad_algorithm 401"}
	}
	return t, nil
}

// hasGoodClaims says that the registered claims are of their types.
func (t *token) hasGoodClaims() bool {
	if raw, present := t.claims["iss"]; present && (!isString(raw, &t.issuer) || t.issuer == "") {
		return false
	}
	if raw, present := t.claims["aud"]; present {
		if _, ok := stringOrStrings(raw); !ok {
			return false
		}
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		if raw, present := t.claims[name]; present && date(raw) == nil {
			return false
		}
	}
	return true
}

var tenantName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// hasIssued says that the token's "iss" is the issuer's, or its tenant's.
func (i *Issuer) hasIssued(t *token) bool {
	if t.told != "" {
		return i.Issuer == t.told
	}
	tenant := ""
	if raw, ok := t.claims["tid"]; i.manyTenants() &&
		!(ok && isString(raw, &tenant) && tenantName.MatchString(tenant)) {
		return false
	}
	return t.issuer == strings.ReplaceAll(i.Issuer, "{tid}", tenant)
}

// readObject reads a part: base64url of strict JSON.
func readObject(part string) (map[string]json.RawMessage, bool) {
	doc, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil || !utf8.Valid(doc) || !json.Valid(doc) || hasLoneSurrogate(string(doc)) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	if first, err := d.Token(); err != nil || first != json.Delim('{') || !distinct(d, true, 1) {
		return nil, false
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(doc, &members); err != nil {
		return nil, false
	}
	return members, true
}

// distinct reads the rest of an object or an array, and reports whether no
// object has a member twice and none is nested too deep.
func distinct(d *json.Decoder, object bool, depth int) bool {
	if depth > 32 {
		return false
	}
	seen := map[string]bool{}
	for d.More() {
		if object {
			name, err := d.Token()
			if err != nil || seen[name.(string)] {
				return false
			}
			seen[name.(string)] = true
		}
		value, err := d.Token()
		if err != nil {
			return false
		}
		if delim, ok := value.(json.Delim); ok && !distinct(d, delim == '{', depth+1) {
			return false
		}
	}
	_, err := d.Token()
	return err == nil
}

func hasLoneSurrogate(doc string) bool {
	unit := func(at int) uint64 {
		if len(doc) < at+6 || doc[at] != '\\' || doc[at+1] != 'u' {
			return 0
		}
		n, _ := strconv.ParseUint(doc[at+2:at+6], 16, 16)
		return n
	}
	for i := 0; i < len(doc); i++ {
		if doc[i] != '\\' {
			continue
		}
		switch n := unit(i); {
		case n >= 0xdc00 && n < 0xe000:
			return true
		case n >= 0xd800 && n < 0xdc00:
			if low := unit(i + 6); low < 0xdc00 || low >= 0xe000 {
				return true
			}
			i += 11
		default:
			i++
		}
	}
	return false
}

func isString(raw json.RawMessage, value *string) bool {
	return raw[0] == '"' && json.Unmarshal(raw, value) == nil
}

func stringOrStrings(raw json.RawMessage) ([]string, bool) {
	var one string
	if isString(raw, &one) {
		return []string{one}, true
	}
	var several []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &several) != nil {
		return nil, false
	}
	list := []string{}
	for _, raw := range several {
		if !isString(raw, &one) {
			return nil, false
		}
		list = append(list, one)
	}
	return list, true
}

// date is a NumericDate up to the end of the year 9999, or nil.
func date(raw json.RawMessage) *big.Rat {
	if raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return nil
	}
	if _, exponent, ok := strings.Cut(strings.ToLower(string(raw)), "e"); ok {
		if n, err := strconv.Atoi(exponent); err != nil || n > 1000 || n < -1000 {
			return nil // not generated
		}
	}
	r, ok := new(big.Rat).SetString(string(raw))
	if !ok || r.Sign() < 0 || r.Cmp(big.NewRat(253402300799, 1)) > 0 {
		return nil
	}
	return r
}

func seconds(duration, otherwise string) *big.Rat {
	if duration == "" {
		duration = otherwise
	}
	d, err := time.ParseDuration(duration)
	if err != nil {
		panic(err)
	}
	return big.NewRat(int64(d), int64(time.Second))
}

// timeFaults are what is wrong with the token's times.
func (t *token) timeFaults(i *Issuer) faults {
	var f faults
	now := new(big.Rat).SetInt64(scenario.Now.Unix())
	skew := seconds(i.ClockSkew, "60s")
	plus := func(a, b *big.Rat) *big.Rat { return new(big.Rat).Add(a, b) }
	if raw, ok := t.claims["exp"]; ok {
		if now.Cmp(plus(date(raw), skew)) >= 0 {
			f.add("expired 401")
		}
	} else if t.told == "" && (i.RequireExpiration == nil || *i.RequireExpiration) {
		f.add("claim 401")
	}
	for _, name := range []string{"nbf", "iat"} {
		if raw, ok := t.claims[name]; ok && plus(now, skew).Cmp(date(raw)) < 0 {
			f.add("not_yet_valid 401")
		}
	}
	if i.MaxTokenAge != "" {
		if raw, ok := t.claims["iat"]; !ok {
			f.add("claim 401")
		} else if now.Cmp(plus(plus(date(raw), seconds(i.MaxTokenAge, "")), skew)) >= 0 {
			f.add("expired 401")
		}
	}
	return f
}

// signatureFaults are what is wrong with the token's signature.
func (t *token) signatureFaults(i *Issuer) faults {
	allowed := i.Algorithms
	if allowed == nil {
		allowed = []string{"RS256"}
	}
	if !slices.ContainsFunc(allowed, t.isSignedWith) {
		return faults{"bad_algorithm 401"}
	}
	var candidates []*scenario.Signer
	if set := i.SignatureValidation.JWKS; set != nil {
		usable := func(k key) bool {
			return (k.alg == "" || k.signer.Can(k.alg)) &&
				(len(set.Pins) == 0 || slices.Contains(set.Pins, k.signer.Thumbprint()))
		}
		wanted := "" // of a kid that no key has, the keys without one
		for _, k := range set.keys {
			if usable(k) && k.kid == t.kid {
				wanted = t.kid
			}
		}
		for _, k := range set.keys {
			if usable(k) && k.signer.Can(t.algorithm) && (k.alg == "" || t.isSignedWith(k.alg)) &&
				(t.kid == "" || wanted == k.kid) {
				candidates = append(candidates, k.signer)
			}
		}
	}
	if certificate := i.SignatureValidation.Certificate; certificate != nil && len(candidates) == 0 &&
		certificate.signer.Can(t.algorithm) {
		candidates = []*scenario.Signer{certificate.signer}
	}
	if len(candidates) == 0 {
		return faults{"unknown_key 401"}
	}
	if slices.ContainsFunc(candidates, t.isSignedBy) {
		return nil
	}
	return faults{"bad_signature 401"}
}

// isSignedWith reports whether an algorithm is the token's, maybe by its other
// name.
func (t *token) isSignedWith(algorithm string) bool {
	other := map[string]string{"EdDSA": "Ed25519", "Ed25519": "EdDSA"}[t.algorithm]
	return algorithm == t.algorithm || algorithm == other && other != ""
}

func (t *token) isSignedBy(s *scenario.Signer) bool {
	if public, ok := s.Public().(ed25519.PublicKey); ok { // go-jose knows one of the names alone
		dot := strings.LastIndexByte(t.compact, '.')
		signature, err := base64.RawURLEncoding.DecodeString(t.compact[dot+1:])
		return err == nil && ed25519.Verify(public, []byte(t.compact[:dot]), signature)
	}
	jws, err := jose.ParseSignedCompact(t.compact, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(t.algorithm)})
	if err != nil {
		return false
	}
	_, err = jws.Verify(s.Public())
	return err == nil
}

// lookup finds a claim: by the longest beginnings of its name, or where the path
// leads.
func (t *token) lookup(name any) (raw json.RawMessage, ok bool) {
	path, isPath := name.([]string)
	if !isPath {
		return byName(t.claims, name.(string))
	}
	members := t.claims
	for n, step := range path {
		if raw, ok = members[step]; !ok || n < len(path)-1 && raw[0] != '{' {
			return nil, false
		}
		members = inside(raw)
	}
	return raw, ok
}

func byName(members map[string]json.RawMessage, name string) (json.RawMessage, bool) {
	parts := strings.Split(name, ".")
	for n := len(parts); n > 0; n-- {
		raw, ok := members[strings.Join(parts[:n], ".")]
		switch {
		case !ok:
		case n == len(parts):
			return raw, true
		default:
			return byName(inside(raw), strings.Join(parts[n:], "."))
		}
	}
	return nil, false
}

// inside are the members of a value. What is no object has none.
func inside(raw json.RawMessage) (members map[string]json.RawMessage) {
	if raw[0] == '{' {
		_ = json.Unmarshal(raw, &members)
	}
	return members
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }
