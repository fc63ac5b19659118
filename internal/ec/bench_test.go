package ec

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"orgate/host"
	"orgate/host/hosttest"
)

// A signed is a message with its signature.
type signed struct {
	algorithm                  string
	public, message, signature []byte
}

var algorithms = []string{"ES256", "ES384", "Ed25519"}

// signatures are some of each algorithm and of RS256, each with a key of its own.
func signatures(b *testing.B) (all []signed) {
	b.Helper()
	message := []byte(strings.Repeat("a token's header and payload. ", 16))
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	for range 4 {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		must(err)
		digest := sha256.Sum256(message)
		signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		must(err)
		all = append(all, signed{"RS256", key.N.Bytes(), message, signature})
	}
	for range 16 {
		for _, s := range schemes {
			key, err := ecdsa.GenerateKey(s.curve, rand.Reader)
			must(err)
			point, err := key.PublicKey.Bytes()
			must(err)
			r, ss, err := ecdsa.Sign(rand.Reader, key, s.digest(message))
			must(err)
			all = append(all, signed{s.name, point[1:], message, s.signature(r, ss)})
		}
		public, private, err := ed25519.GenerateKey(rand.Reader)
		must(err)
		all = append(all, signed{"Ed25519", public, message, ed25519.Sign(private, message)})
	}
	return all
}

// measure has an algorithm and RS256 work alternately, and gives the ratio of the quickest
// of each: the machine may do other things as well.
func measure(b *testing.B, work, yardstick func(n int)) {
	const while = 2 * time.Millisecond
	timeOf := func(f func(n int), n int) time.Duration {
		begin := time.Now()
		f(n)
		return time.Since(begin) / time.Duration(n)
	}
	times := func(f func(n int)) int {
		timeOf(f, 20)
		return max(1, int(while/timeOf(f, 20)))
	}
	n, m := times(work), times(yardstick)
	ours, others := time.Hour, time.Hour
	for b.Loop() {
		ours = min(ours, timeOf(work, n))
		others = min(others, timeOf(yardstick, m))
	}
	b.ReportMetric(float64(ours)/float64(others), "×RS256")
	b.ReportMetric(float64(ours)/1000, "µs/op")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkWasm is what a signature costs in WebAssembly, by wazero, and next to it the
// first one with a key.
func BenchmarkWasm(b *testing.B) {
	var configuration strings.Builder
	for _, s := range signatures(b) {
		base64 := base64.RawURLEncoding.EncodeToString
		fmt.Fprintln(&configuration, s.algorithm, base64(s.public), base64(s.message), base64(s.signature))
	}
	vm, err := hosttest.Compile(b, "testdata/bench").NewVM(host.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer vm.Close()
	root, err := vm.NewRoot(host.RootConfig{Configuration: []byte(configuration.String())})
	if err != nil {
		b.Fatal(err)
	}
	work := func(algorithm string) func(n int) {
		return func(n int) {
			stream := root.NewStream()
			defer stream.Close()
			headers := host.Headers{{":method", "GET"}, {":path", "/"}, {":authority", "a"},
				{"algorithm", algorithm}, {"times", strconv.Itoa(n)}}
			if action := stream.RequestHeaders(headers, true); action != host.Continue {
				b.Fatal(action)
			}
		}
	}
	for _, algorithm := range algorithms {
		for _, name := range []string{algorithm, algorithm + "/first"} {
			b.Run(name, func(b *testing.B) { measure(b, work(name), work("RS256")) })
		}
	}
}

// BenchmarkNative is the same in the machine's own code, where the standard library is
// in assembly.
func BenchmarkNative(b *testing.B) {
	work := map[string][]func(){}
	for _, s := range signatures(b) {
		var verify func() bool
		switch s.algorithm {
		case "RS256":
			key := &rsa.PublicKey{N: new(big.Int).SetBytes(s.public), E: 65537}
			verify = func() bool {
				digest := sha256.Sum256(s.message)
				return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], s.signature) == nil
			}
		case "Ed25519":
			key, err := NewEd25519(s.public)
			if err != nil {
				b.Fatal(err)
			}
			verify = func() bool { return key.Verify(s.message, s.signature) }
		default:
			of := schemes[slices.IndexFunc(schemes, func(x *scheme) bool { return x.name == s.algorithm })]
			key, err := of.newKey(s.public[:len(s.public)/2], s.public[len(s.public)/2:])
			if err != nil {
				b.Fatal(err)
			}
			verify = func() bool { return key.Verify(of.digest(s.message), s.signature) }
		}
		work[s.algorithm] = append(work[s.algorithm], func() {
			if !verify() {
				b.Fatal(s.algorithm)
			}
		})
	}
	repeat := func(algorithm string) func(n int) {
		return func(n int) {
			for i := range n {
				work[algorithm][i%len(work[algorithm])]()
			}
		}
	}
	for _, algorithm := range algorithms {
		b.Run(algorithm, func(b *testing.B) { measure(b, repeat(algorithm), repeat("RS256")) })
	}
}
