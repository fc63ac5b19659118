package jwks

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"orgate/jwt"
)

// ErrPEM says that a text is not PEM with usable public keys.
var ErrPEM = errors.New("no usable PEM")

var (
	pemBegin = []byte("-----BEGIN")
	pemEnd   = []byte("-----END")

	// rsaEncryption, 1.2.840.113549.1.1.1 (RFC 8017 Appendix A.1), in DER.
	oidRSA = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01}
	// id-RSASSA-PSS, 1.2.840.113549.1.1.10 (RFC 8017 Appendix A.2.3), in DER.
	oidPSS = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a}
	// id-ecPublicKey, 1.2.840.10045.2.1 (RFC 5480 §2.1.1), in DER.
	oidEC = []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01}
	// id-Ed25519, 1.3.101.112 (RFC 8410 §3), in DER.
	oidEd25519 = []byte{0x2b, 0x65, 0x70}

	// The curves of RFC 5480 §2.1.1.1, by their object identifiers in DER.
	curves = map[string]curve{
		"\x2a\x86\x48\xce\x3d\x03\x01\x07": {"P-256", 32},
		"\x2b\x81\x04\x00\x22":             {"P-384", 48},
		"\x2b\x81\x04\x00\x23":             {"P-521", 66},
	}
)

// A curve is known by its name in JOSE, and by the octets of a coordinate.
type curve struct {
	name string
	size int
}

// ParsePEM reads public keys from PEM blocks (RFC 7468): CERTIFICATE, PUBLIC KEY
// (SubjectPublicKeyInfo, RFC 5280 §4.1) and RSA PUBLIC KEY (RFC 8017 Appendix
// A.1.1). The keys are of the types that [Parse] takes, without a kid, for any algorithm that
// fits them, and the set's AnyKeyID is true.
// A key that occurs twice is kept once.
//
// A certificate is a container for its key. Its signature, dates, names and
// extensions are not looked at.
//
// The text is configuration, so nothing in it is skipped. Errors are [ErrPEM],
// wrapped, and name the block, counted from 1:
//
//   - a block of another kind, or one that is cut or indented or has headers;
//   - a private key, or a key that is not usable;
//   - no block at all, or more keys than a token is ever tried with
//     ([MaxTokenCost]).
//
// Text outside the blocks is ignored, as RFC 7468 §2 allows.
func ParsePEM(text string) (*Set, error) {
	set := &Set{AnyKeyID: true}
	rest := []byte(text)
	for n := 1; ; n++ {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		// pem.Decode passes over what it cannot read. What it passed over must
		// not look like a block.
		if read := rest[:len(rest)-len(after)]; bytes.Count(read, pemBegin) != 1 || bytes.Count(read, pemEnd) != 1 {
			return nil, fmt.Errorf("%w: block %d is broken", ErrPEM, n)
		}
		key, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("%w: block %d: %w", ErrPEM, n, err)
		}
		set.add(key)
		rest = after
	}
	switch {
	case bytes.Contains(rest, pemBegin) || bytes.Contains(rest, pemEnd):
		return nil, fmt.Errorf("%w: the last block is broken", ErrPEM)
	case len(set.Keys) == 0:
		return nil, fmt.Errorf("%w: no block", ErrPEM)
	}
	if err := set.checkCost(); err != nil {
		return nil, err
	}
	return set, nil
}

// checkCost refuses more keys than a token is ever tried with. Keys of different
// types and sizes are not in each other's way.
func (s *Set) checkCost() error {
	type total struct{ keys, cost int }
	byType := map[string]total{}
	for _, key := range s.Keys {
		sum := byType[key.Type]
		sum = total{sum.keys + 1, sum.cost + key.Cost()}
		byType[key.Type] = sum
		if sum.keys > 1 && sum.cost > MaxTokenCost {
			return fmt.Errorf("%w: %d keys of the type %s, but a token is tried with %d: leave out those that sign no"+
				" tokens, or give each a kid in a JWK Set", ErrPEM, sum.keys, key.Type, sum.keys-1)
		}
	}
	return nil
}

func parseBlock(block *pem.Block) (*jwt.Key, error) {
	if strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return nil, errors.New("a private key, which has no place here: give its public key")
	}
	if len(block.Headers) > 0 {
		return nil, errors.New("the block has headers")
	}
	input := cryptobyte.String(block.Bytes)
	switch block.Type {
	case "CERTIFICATE":
		return parseCertificate(input)
	case "PUBLIC KEY":
		return parseSubjectPublicKeyInfo(input)
	case "RSA PUBLIC KEY":
		return parseRSAPublicKey(input)
	}
	return nil, errors.New("neither CERTIFICATE, PUBLIC KEY nor RSA PUBLIC KEY")
}

var errCertificate = errors.New("not a DER certificate")

// parseCertificate walks to the key of a certificate:
//
//	Certificate    ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signature BIT STRING }
//	TBSCertificate ::= SEQUENCE { version [0] DEFAULT v1, serialNumber INTEGER,
//	    signature, issuer, validity, subject SEQUENCE, subjectPublicKeyInfo, … }
func parseCertificate(input cryptobyte.String) (*jwt.Key, error) {
	var certificate, tbs, info cryptobyte.String
	if !input.ReadASN1(&certificate, der.SEQUENCE) || !input.Empty() ||
		!certificate.ReadASN1(&tbs, der.SEQUENCE) ||
		!certificate.SkipASN1(der.SEQUENCE) ||
		!certificate.SkipASN1(der.BIT_STRING) || !certificate.Empty() {
		return nil, errCertificate
	}
	if !tbs.SkipOptionalASN1(der.Tag(0).Constructed().ContextSpecific()) ||
		!tbs.SkipASN1(der.INTEGER) || // serialNumber
		!tbs.SkipASN1(der.SEQUENCE) || // signature
		!tbs.SkipASN1(der.SEQUENCE) || // issuer
		!tbs.SkipASN1(der.SEQUENCE) || // validity
		!tbs.SkipASN1(der.SEQUENCE) || // subject
		!tbs.ReadASN1Element(&info, der.SEQUENCE) {
		return nil, errCertificate
	}
	for number := uint8(1); number <= 3; number++ { // issuerUniqueID, subjectUniqueID, extensions
		tag := der.Tag(number).ContextSpecific()
		if number == 3 {
			tag = tag.Constructed()
		}
		if !tbs.SkipOptionalASN1(tag) {
			return nil, errCertificate
		}
	}
	if !tbs.Empty() {
		return nil, errCertificate
	}
	return parseSubjectPublicKeyInfo(info)
}

var errPublicKey = errors.New("not a DER public key")

// parseSubjectPublicKeyInfo reads RFC 5280 §4.1.2.7.
func parseSubjectPublicKeyInfo(input cryptobyte.String) (*jwt.Key, error) {
	var (
		info, algorithm, oid cryptobyte.String
		key                  []byte
	)
	if !input.ReadASN1(&info, der.SEQUENCE) || !input.Empty() ||
		!info.ReadASN1(&algorithm, der.SEQUENCE) ||
		!algorithm.ReadASN1(&oid, der.OBJECT_IDENTIFIER) ||
		!info.ReadASN1BitStringAsBytes(&key) || !info.Empty() {
		return nil, errPublicKey
	}
	switch {
	case bytes.Equal(oid, oidRSA):
		var null cryptobyte.String
		if !algorithm.ReadASN1(&null, der.NULL) || !null.Empty() || !algorithm.Empty() { // RFC 3279 §2.3.1
			return nil, errPublicKey
		}
		return parseRSAPublicKey(key)
	case bytes.Equal(oid, oidPSS):
		return nil, errors.New("the key is for RSASSA-PSS alone (id-RSASSA-PSS): publish it as an RSA key " +
			"(rsaEncryption)")
	case bytes.Equal(oid, oidEC):
		return parseECPublicKey(algorithm, key)
	case bytes.Equal(oid, oidEd25519):
		if !algorithm.Empty() { // RFC 8410 §3
			return nil, errPublicKey
		}
		return jwt.NewEd25519Key(key)
	}
	return nil, errors.New("the key is none of the types RSA, EC and Ed25519")
}

// parseRSAPublicKey reads RFC 8017 Appendix A.1.1.
func parseRSAPublicKey(input cryptobyte.String) (*jwt.Key, error) {
	var numbers cryptobyte.String
	n, e := new(big.Int), new(big.Int)
	if !input.ReadASN1(&numbers, der.SEQUENCE) || !input.Empty() ||
		!numbers.ReadASN1Integer(n) || !numbers.ReadASN1Integer(e) || !numbers.Empty() {
		return nil, errPublicKey
	}
	return jwt.NewRSAKey(n, e)
}

// parseECPublicKey reads an uncompressed point of a named curve (RFC 5480 §2).
func parseECPublicKey(parameters cryptobyte.String, point []byte) (*jwt.Key, error) {
	var oid cryptobyte.String
	if !parameters.ReadASN1(&oid, der.OBJECT_IDENTIFIER) || !parameters.Empty() {
		return nil, errors.New("the curve has no name")
	}
	curve, ok := curves[string(oid)]
	if !ok {
		return nil, errors.New("the curve is neither P-256, P-384 nor P-521")
	}
	if len(point) != 1+2*curve.size || point[0] != 4 {
		return nil, errors.New("the point is not in the uncompressed form")
	}
	return jwt.NewECKey(curve.name, point[1:1+curve.size], point[1+curve.size:])
}
