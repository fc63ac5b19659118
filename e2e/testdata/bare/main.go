//go:build wasip1

// Command bare is a guest that measures what a signature costs with nothing
// around it: for each request it verifies one RS256 signature as often as the
// header "times" says, with crypto/rsa and crypto/sha256 alone. With "0" it
// does nothing but read that header.
//
// Its configuration is two lines: the modulus of a public key with the exponent
// 65537, in base64url, and a token that the key has signed.
package main

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strconv"
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	_ "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/wasip1"
)

func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

type plugin struct {
	types.DefaultPluginContext
	key       *rsa.PublicKey
	text      []byte
	signature []byte
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	configuration, err := proxywasm.GetPluginConfiguration()
	if err != nil {
		return types.OnPluginStartStatusFailed
	}
	modulus, token, _ := strings.Cut(strings.TrimSpace(string(configuration)), "\n")
	n, err := base64.RawURLEncoding.DecodeString(modulus)
	if err != nil {
		return types.OnPluginStartStatusFailed
	}
	dot := strings.LastIndexByte(token, '.')
	if p.signature, err = base64.RawURLEncoding.DecodeString(token[dot+1:]); err != nil {
		return types.OnPluginStartStatusFailed
	}
	p.key = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
	p.text = []byte(token[:dot])
	return types.OnPluginStartStatusOK
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext { return &stream{plugin: p} }

type stream struct {
	types.DefaultHttpContext
	plugin *plugin
}

func (s *stream) OnHttpRequestHeaders(int, bool) types.Action {
	header, err := proxywasm.GetHttpRequestHeader("times")
	if err != nil {
		panic(err)
	}
	times, err := strconv.Atoi(header)
	if err != nil {
		panic(err)
	}
	p := s.plugin
	for range times {
		digest := sha256.Sum256(p.text)
		if err := rsa.VerifyPKCS1v15(p.key, crypto.SHA256, digest[:], p.signature); err != nil {
			panic(err)
		}
	}
	return types.ActionContinue
}
