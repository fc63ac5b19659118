package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/host/hosttest"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		name           string
		wasm           []byte // nil for no file
		status         int
		stdout, stderr string
	}{
		{"the plugin of this repository", hosttest.Wasm(t), 0,
			"gzipped; it imports\n  env.proxy_add_header_map_value\n", ""},
		{"a module that is no plugin", []byte("\x00asm\x01\x00\x00\x00"), 1, "",
			"export proxy_abi_version_0_2_1: missing"},
		{"text", []byte("(module)"), 1, "", "invalid magic number"},
		{"an empty file", []byte{}, 1, "", "invalid magic number"},
		{"a module that is cut short", hosttest.Wasm(t)[:1000], 1, "", "unexpected"},
		{"no file", nil, 1, "", "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "plugin.wasm")
			if tt.wasm != nil {
				if err := os.WriteFile(name, tt.wasm, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var stdout, stderr strings.Builder
			if status := check(name, &stdout, &stderr); status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			if !strings.Contains(stdout.String(), tt.stdout) || (stdout.Len() == 0) != (tt.stdout == "") {
				t.Errorf("standard output %q, want %q", &stdout, tt.stdout)
			}
			if !strings.Contains(stderr.String(), tt.stderr) || (stderr.Len() == 0) != (tt.stderr == "") {
				t.Errorf("standard error %q, want %q", &stderr, tt.stderr)
			}
		})
	}
}

// Sizes are judged at the byte.
func TestSizes(t *testing.T) {
	noise := make([]byte, maxGzipped) // in gzip's wrapping, a little more
	rand.NewChaCha8([32]byte{}).Read(noise)
	tests := []struct {
		name string
		wasm []byte
		want []string
	}{
		{"one byte less", make([]byte, maxSize-1), nil},
		{"at the limit", make([]byte, maxSize), []string{"size: 5800000 bytes, must be under 5800000"}},
		{"gzipped", noise, []string{"bytes gzipped, must be under 1650000"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := sizeFaults(tt.wasm)
			for i := range min(len(got), len(tt.want)) {
				if strings.HasSuffix(got[i], tt.want[i]) {
					got[i] = tt.want[i]
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}
