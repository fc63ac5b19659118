package host

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"strings"

	_ "crypto/sha1"   // for [crypto.SHA1]
	_ "crypto/sha256" // for [crypto.SHA256]
	_ "crypto/sha512" // for [crypto.SHA512]

	"google.golang.org/protobuf/encoding/protowire"
)

var signatureHashes = map[string]crypto.Hash{
	"sha1":   crypto.SHA1,
	"sha224": crypto.SHA224,
	"sha256": crypto.SHA256,
	"sha384": crypto.SHA384,
	"sha512": crypto.SHA512,
}

// VerifySignature is Envoy's foreign function "verify_signature", for RSA
// PKCS #1 v1.5 and for ECDSA with ASN.1 signatures. The argument is a protocol
// buffer of the hash's name (1), the public key as DER SubjectPublicKeyInfo
// (2), the signature (3) and the text (4); the result is one of a boolean (1)
// and of what went wrong (2). [BadArgument]: not such a buffer, or no key.
//
// A plugin finds it only where it is put into [Config.Foreign].
func VerifySignature(arguments []byte) (result []byte, status Status) {
	var fields [5][]byte
	for len(arguments) > 0 {
		number, kind, n := protowire.ConsumeTag(arguments)
		if n < 0 {
			return nil, BadArgument
		}
		arguments = arguments[n:]
		if number < protowire.Number(len(fields)) && kind == protowire.BytesType {
			fields[number], n = protowire.ConsumeBytes(arguments)
		} else {
			n = protowire.ConsumeFieldValue(number, kind, arguments)
		}
		if n < 0 {
			return nil, BadArgument
		}
		arguments = arguments[n:]
	}
	hash, key, signature, text := fields[1], fields[2], fields[3], fields[4]
	if len(key) == 0 {
		return nil, BadArgument
	}
	if fault := verify(string(hash), key, signature, text); fault != "" {
		result = protowire.AppendTag(result, 2, protowire.BytesType)
		return protowire.AppendString(result, fault), OK
	}
	result = protowire.AppendTag(result, 1, protowire.VarintType)
	return protowire.AppendVarint(result, 1), OK
}

// verify says what is wrong, in Envoy's words, or nothing.
func verify(name string, key, signature, text []byte) (fault string) {
	const notVerified = "Failed to verify digest. Error code: 0"
	hash, ok := signatureHashes[strings.ToLower(name)]
	if !ok {
		return name + " is not supported."
	}
	parsed, err := x509.ParsePKIXPublicKey(key)
	if err != nil {
		return "Failed to initialize digest verify."
	}
	digest := hash.New()
	digest.Write(text)
	switch public := parsed.(type) {
	case *rsa.PublicKey:
		if rsa.VerifyPKCS1v15(public, hash, digest.Sum(nil), signature) != nil {
			return notVerified
		}
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(public, digest.Sum(nil), signature) {
			return notVerified
		}
	default:
		return "Failed to initialize digest verify."
	}
	return ""
}
