package scenario

import (
	"crypto/ecdsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
)

// curveKeyAttacks are keys that are no points of their curve or are of another
// one, signatures that such keys would verify, and algorithms that are taken for
// each other.
func curveKeyAttacks() []Case {
	const config = `{"issuers": [{"name": "idp1", "issuer": "https://idp1.example/", "organization": "org1",
		"algorithms": ["RS256", "ES256", "ES384", "EdDSA"],
		"signatureValidation": {"jwks": {"inline": {"keys": [%s]}}}}]}`
	p256, p384, edwards, first := P256(), P384(), Edwards(), First()
	unknownKey, badSignature, badAlgorithm := invalid("unknown_key"), invalid("bad_signature"), invalid("bad_algorithm")
	var cases []Case
	add := func(name string, token string, want Want, keys ...string) {
		cases = append(cases, Case{Name: "curve: " + name, Config: fmt.Sprintf(config, strings.Join(keys, ",")),
			Request: get("/", token), Want: want})
	}
	// changed is a key with other members, which need a good key beside them.
	changed := func(s *Signer, members Claims) string {
		var jwk Claims
		decode(s.AnyAlgorithmJWK(), &jwk)
		return encode(merge(jwk, members))
	}
	coordinates := func(s *Signer) (x, y string) { return member(s.JWK(), "x"), member(s.JWK(), "y") }

	// With the identity as the key, R and s are whatever the forger likes: the base
	// point, and the hash.
	curve := p256.Curve.(*ecdsa.PrivateKey).Params()
	number := func(n *big.Int) string { return string(n.FillBytes(make([]byte, 32))) }
	input := b64(p256.header()) + "." + b64(encode(Basic()))
	e := new(big.Int).SetBytes(hashed("ES256", input))
	forged := input + "." + b64(number(curve.Gx)+number(e.Mod(e, curve.N)))
	zeros := b64(strings.Repeat("\x00", 32))
	x, y := coordinates(p256)
	x384, y384 := coordinates(p384)
	for name, members := range ordered(map[string]Claims{
		"the point at infinity":         {"x": zeros, "y": zeros},
		"the point at infinity, empty":  {"x": "", "y": ""},
		"the prime in place of 0":       {"x": b64(number(curve.P)), "y": b64(number(curve.P))},
		"coordinates exchanged":         {"x": y, "y": x},
		"no y":                          {"y": nil},
		"x alone, in capitals":          {"x": nil, "X": x},
		"a coordinate without an octet": {"x": b64(octets(x)[:31])},
		"a coordinate that is a number": {"x": 7},
		"P-384's point":                 {"x": x384, "y": y384},
		"under P-384's name":            {"crv": "P-384"},
		"under secp256k1's name":        {"crv": "secp256k1"},
		"under Ed25519's name":          {"crv": "Ed25519"},
		"under no name":                 {"crv": nil},
		"as one of RSA":                 {"kty": "RSA"},
		"as one of OKP":                 {"kty": "OKP"},
		"as a secret":                   {"kty": "oct", "k": x},
		"for ES384":                     {"alg": "ES384"},
		"for ECDH":                      {"alg": "ECDH-ES"},
		"for encryption":                {"use": "enc"},
		"with its private half":         {"d": x},
	}) {
		jwk := changed(p256, members)
		add("a key of P-256, "+name, p256.Token(), unknownKey, jwk, first.JWK())
		add("a key of P-256, "+name+", forged", forged, unknownKey, jwk, first.JWK())
	}
	// The same with Ed25519: R is the identity and S is 0.
	identity := "\x01" + strings.Repeat("\x00", 31)
	input = b64(edwards.header()) + "." + b64(encode(Basic()))
	forged = input + "." + b64(identity+strings.Repeat("\x00", 32))
	for name, members := range ordered(map[string]Claims{
		"the identity":              {"x": b64(identity)},
		"the identity, with a sign": {"x": b64(identity[:31] + "\x80")},
		"the identity, beyond":      {"x": b64("\xee" + strings.Repeat("\xff", 30) + "\x7f")},
		"of order 2":                {"x": b64("\xec" + strings.Repeat("\xff", 30) + "\x7f")},
		"of order 4":                {"x": zeros},
		"no point":                  {"x": b64("\x02" + strings.Repeat("\x00", 31))},
		"an octet less":             {"x": b64(identity[:31])},
		"an octet more":             {"x": b64(identity + "\x00")},
		"X25519's":                  {"crv": "X25519"},
		"Ed448's":                   {"crv": "Ed448"},
		"P-256's":                   {"crv": "P-256"},
		"as one of EC":              {"kty": "EC"},
		"as one of RSA":             {"kty": "RSA"},
	}) {
		jwk := changed(edwards, members)
		add("a key of Ed25519, "+name, edwards.Token(), unknownKey, jwk, first.JWK())
		add("a key of Ed25519, "+name+", forged", forged, unknownKey, jwk, first.JWK())
	}

	all := []string{first.AnyAlgorithmJWK(), p384.AnyAlgorithmJWK(), edwards.AnyAlgorithmJWK(), p256.AnyAlgorithmJWK()}
	for _, s := range []*Signer{first, p256, p384, edwards} {
		add(s.Algorithm()+", keys of all kinds under one kid", s.Token(), isAlice, all...)
		for _, algorithm := range []string{"RS256", "ES256", "ES384", "EdDSA"} {
			if algorithm != s.Algorithm() {
				add(algorithm+" over a signature of "+s.Algorithm(), s.With(Claims{"alg": algorithm}), badSignature,
					all...)
				add(algorithm+" with a key for "+s.Algorithm()+" alone", s.With(Claims{"alg": algorithm}), unknownKey,
					s.JWK())
			}
		}
	}
	add("ES256 over a signature of another curve's key", p384.With(Claims{"alg": "ES256"}), unknownKey,
		p384.AnyAlgorithmJWK())
	add("a key of P-256, with a zero before a coordinate", p256.Token(), isAlice,
		changed(p256, Claims{"x": b64("\x00" + octets(x))}))
	var embedded any
	decode(p256.JWK(), &embedded)
	add("a stranger's key in the token", p256.With(Claims{"jwk": embedded}), badSignature,
		onCurve(curveOf(p256)).JWK())
	for name, secret := range ordered(map[string]string{
		"public key as PEM": p256.PublicKey(), "JWK": p256.JWK(), "x": x, "x in octets": octets(x),
	}) {
		add("HS256 with the "+name, HMAC(secret, "k1"), badAlgorithm, p256.JWK())
	}
	return cases
}

// octets decodes a member of a JWK.
func octets(text string) string {
	octets, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return string(octets)
}
