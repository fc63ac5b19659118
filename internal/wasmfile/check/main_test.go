package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		name       string
		wasm       []byte // nil for no file
		wantStdout string
		wantStderr string
	}{
		{
			name:       "a module that is no plugin",
			wasm:       []byte("\x00asm\x01\x00\x00\x00"),
			wantStdout: "8 bytes of 5242880, 32 of 1468006 gzipped, 0 exports, 0 imports:\n",
			wantStderr: "export proxy_abi_version_0_2_1: missing\n",
		},
		{
			name:       "no module",
			wasm:       []byte("module"),
			wantStderr: "invalid magic number",
		},
		{
			name:       "no file",
			wantStderr: "no such file",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "plugin.wasm")
			if test.wasm != nil {
				if err := os.WriteFile(name, test.wasm, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var stdout, stderr strings.Builder
			if status := check(name, &stdout, &stderr); status != 1 {
				t.Errorf("status %d, want 1", status)
			}
			if !strings.Contains(stdout.String(), test.wantStdout) {
				t.Errorf("stdout %q lacks %q", &stdout, test.wantStdout)
			}
			if !strings.Contains(stderr.String(), test.wantStderr) {
				t.Errorf("stderr %q lacks %q", &stderr, test.wantStderr)
			}
		})
	}
}
