package filter

import (
	"encoding/binary"
	"errors"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	"orgate/jwt"
)

// verifySignature is Envoy's foreign function for signatures. Its argument and
// its result are protocol buffers, VerifySignatureArguments and
// VerifySignatureResult of source/extensions/common/wasm/ext.
const verifySignature = "verify_signature"

// errVerifySignature: the proxy's answer can be understood in no way, or in
// more than one.
var errVerifySignature = errors.New("verify_signature: not a clear answer")

// hostArithmetic verifies a signature in the proxy. It implements
// [jwt.Arithmetic].
func (p *plugin) hostArithmetic(hash string, key, signature []byte, text string) (bool, error) {
	if p.noHostArithmetic {
		return false, jwt.ErrUnavailable
	}
	result, err := proxywasm.CallForeignFunction(verifySignature, verifyArguments(hash, key, signature, text))
	if errors.Is(err, types.ErrorStatusNotFound) || errors.Is(err, types.ErrorUnimplemented) {
		p.noHostArithmetic = true
		proxywasm.LogInfo("the proxy has no " + verifySignature + ": signatures are verified in the sandbox")
		return false, jwt.ErrUnavailable
	}
	if err != nil {
		return false, err
	}
	return verifyResult(result)
}

// verifyArguments encodes the hash's name (1), the public key (2), the
// signature (3) and the text (4).
func verifyArguments(hash string, publicKey, signature []byte, text string) []byte {
	b := make([]byte, 0, len(hash)+len(publicKey)+len(signature)+len(text)+20)
	b = appendField(b, 1, hash)
	b = appendField(b, 2, publicKey)
	b = appendField(b, 3, signature)
	return appendField(b, 4, text)
}

func appendField[T string | []byte](b []byte, number byte, value T) []byte {
	b = append(b, number<<3|2)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

// verifyResult decodes the verdict (1) and the error (2). Yes is a verdict that
// is 1 and nothing besides; no is one that is 0 or, as protocol buffers write
// that, absent.
func verifyResult(b []byte) (bool, error) {
	valid, failed := false, false
	for len(b) > 0 {
		tag := b[0]
		value, n := binary.Uvarint(b[1:])
		if n <= 0 {
			return false, errVerifySignature
		}
		b = b[1+n:]
		switch {
		case tag == 1<<3 && value <= 1 && !valid:
			valid = value == 1
		case tag == 2<<3|2 && value <= uint64(len(b)):
			failed = failed || value > 0
			b = b[value:]
		default:
			return false, errVerifySignature
		}
	}
	if valid && failed {
		return false, errVerifySignature
	}
	return valid, nil
}
