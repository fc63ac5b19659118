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

// ErrPEM says that a text is not PEM with usable RSA public keys.
var ErrPEM = errors.New("no usable PEM")

var (
	pemBegin = []byte("-----BEGIN")
	pemEnd   = []byte("-----END")

	// rsaEncryption, 1.2.840.113549.1.1.1 (RFC 8017 Appendix A.1), in DER.
	oidRSA = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01}
	// id-RSASSA-PSS, 1.2.840.113549.1.1.10 (RFC 8017 Appendix A.2.3), in DER.
	oidPSS = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a}
)

// ParsePEM reads RSA public keys from PEM blocks (RFC 7468): CERTIFICATE,
// PUBLIC KEY (SubjectPublicKeyInfo, RFC 5280 §4.1) and RSA PUBLIC KEY (RFC 8017
// Appendix A.1.1). The keys have no kid and fit any algorithm, and the set's
// AnyKeyID is true. The bounds on modulus and exponent are those of [Parse].
// A key that occurs twice is kept once.
//
// A certificate is a container for its key. Its signature, dates, names and
// extensions are not looked at.
//
// The text is configuration, so nothing in it is skipped: a block of another
// kind, a private key, a key that is not usable, a block that is cut or
// indented or has headers, no block at all, and more keys than a token is ever
// tried with ([MaxTokenCost]) are errors, which are [ErrPEM], wrapped, and name
// the block, counted from 1. Text outside the blocks is ignored, as RFC 7468 §2 allows.
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
// lengths are not in each other's way.
func (s *Set) checkCost() error {
	type total struct{ keys, cost int }
	byLength := map[int]total{}
	for _, key := range s.Keys {
		sum := byLength[key.RSA.Size()]
		sum = total{sum.keys + 1, sum.cost + key.Cost()}
		byLength[key.RSA.Size()] = sum
		if sum.keys > 1 && sum.cost > MaxTokenCost {
			return fmt.Errorf("%w: %d keys of %d bits, but a token is tried with %d: leave out those that sign no tokens,"+
				" or give each a kid in a JWK Set", ErrPEM, sum.keys, key.RSA.Size()*8, sum.keys-1)
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

// parseSubjectPublicKeyInfo reads RFC 5280 §4.1.2.7, with the parameters that
// RFC 3279 §2.3.1 asks of an RSA key.
func parseSubjectPublicKeyInfo(input cryptobyte.String) (*jwt.Key, error) {
	var (
		info, algorithm, oid, null cryptobyte.String
		key                        []byte
	)
	if !input.ReadASN1(&info, der.SEQUENCE) || !input.Empty() ||
		!info.ReadASN1(&algorithm, der.SEQUENCE) ||
		!algorithm.ReadASN1(&oid, der.OBJECT_IDENTIFIER) {
		return nil, errPublicKey
	}
	if bytes.Equal(oid, oidPSS) {
		return nil, errors.New("the key is for RSASSA-PSS alone (id-RSASSA-PSS): publish it as an RSA key (rsaEncryption)")
	}
	if !bytes.Equal(oid, oidRSA) {
		return nil, errors.New("the key is not of the type RSA")
	}
	if !algorithm.ReadASN1(&null, der.NULL) || !null.Empty() || !algorithm.Empty() ||
		!info.ReadASN1BitStringAsBytes(&key) || !info.Empty() {
		return nil, errPublicKey
	}
	return parseRSAPublicKey(key)
}

// parseRSAPublicKey reads RFC 8017 Appendix A.1.1.
func parseRSAPublicKey(input cryptobyte.String) (*jwt.Key, error) {
	var numbers cryptobyte.String
	n, e := new(big.Int), new(big.Int)
	if !input.ReadASN1(&numbers, der.SEQUENCE) || !input.Empty() ||
		!numbers.ReadASN1Integer(n) || !numbers.ReadASN1Integer(e) || !numbers.Empty() {
		return nil, errPublicKey
	}
	return newKey("", "", n, e)
}
