//go:build wasip1

// Command bench is a guest that measures what a signature costs with nothing around it:
// for each request it verifies signatures of the algorithm in the header "algorithm", as often
// as the header "times" says. RS256 is crypto/rsa, and the others are package ec. With
// "/first" after the name, each verification is the first with its key.
//
// A line of its configuration is an algorithm, a public key, a message and a
// signature, the last three in base64url. The public key is an RSA modulus with the
// exponent 65537, two coordinates, or what RFC 8032 encodes.
package main

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"math/big"
	"strconv"
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	_ "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/wasip1"

	"orgate/internal/ec"
)

func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

// A verification verifies one signature, with a key that it makes anew if first.
type verification func(first bool) bool

type plugin struct {
	types.DefaultPluginContext
	work map[string][]verification // by algorithm
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	configuration, err := proxywasm.GetPluginConfiguration()
	if err != nil {
		return types.OnPluginStartStatusFailed
	}
	p.work = map[string][]verification{}
	for line := range strings.Lines(string(configuration)) {
		fields := strings.Fields(line)
		var data [3][]byte
		for i := range data {
			if data[i], err = base64.RawURLEncoding.DecodeString(fields[1+i]); err != nil {
				return types.OnPluginStartStatusFailed
			}
		}
		v, err := newVerification(fields[0], data[0], data[1], data[2])
		if err != nil || !v(false) {
			return types.OnPluginStartStatusFailed
		}
		p.work[fields[0]] = append(p.work[fields[0]], v)
	}
	return types.OnPluginStartStatusOK
}

func newVerification(algorithm string, public, message, signature []byte) (verification, error) {
	switch algorithm {
	case "RS256":
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(public), E: 65537}
		return func(bool) bool {
			digest := sha256.Sum256(message)
			return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
		}, nil
	case "ES256":
		key, err := ec.NewP256(public[:32], public[32:])
		return func(first bool) bool {
			if first {
				key, _ = ec.NewP256(public[:32], public[32:])
			}
			digest := sha256.Sum256(message)
			return key.Verify(digest[:], signature)
		}, err
	case "ES384":
		key, err := ec.NewP384(public[:48], public[48:])
		return func(first bool) bool {
			if first {
				key, _ = ec.NewP384(public[:48], public[48:])
			}
			digest := sha512.Sum384(message)
			return key.Verify(digest[:], signature)
		}, err
	default:
		key, err := ec.NewEd25519(public)
		return func(first bool) bool {
			if first {
				key, _ = ec.NewEd25519(public)
			}
			return key.Verify(message, signature)
		}, err
	}
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext { return &stream{plugin: p} }

type stream struct {
	types.DefaultHttpContext
	plugin *plugin
}

func (s *stream) OnHttpRequestHeaders(int, bool) types.Action {
	algorithm, times := header("algorithm"), header("times")
	algorithm, first := strings.CutSuffix(algorithm, "/first")
	n, err := strconv.Atoi(times)
	if err != nil {
		panic(err)
	}
	work := s.plugin.work[algorithm]
	for i := range n {
		if !work[i%len(work)](first) {
			panic(algorithm)
		}
	}
	return types.ActionContinue
}

func header(name string) string {
	value, err := proxywasm.GetHttpRequestHeader(name)
	if err != nil {
		panic(err)
	}
	return value
}
