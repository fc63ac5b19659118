// Command wasmfile prints the size and the imports of a built plugin. It exits with
// status 1 if a proxy would not load it: if the oldest supported proxy lacks an
// import, if a callback is missing, or if the plugin is too large.
//
//	go run ./host/wasmfile build/orgate.wasm
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"orgate/host"
)

// A plugin must be smaller than this, as it is and after gzip -9, in bytes.
const (
	maxSize    = 5_800_000
	maxGzipped = 1_650_000
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: wasmfile FILE")
		os.Exit(2)
	}
	os.Exit(check(os.Args[1], os.Stdout, os.Stderr))
}

// check prints the findings on the file, and returns the exit status.
func check(name string, stdout, stderr io.Writer) int {
	wasm, err := os.ReadFile(name)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	faults := sizeFaults(wasm)
	plugin, err := host.Compile(context.Background(), wasm)
	if err != nil {
		faults = append(faults, err.Error())
	} else {
		defer plugin.Close()
		faults = append(faults, plugin.Faults()...)
		fmt.Fprintf(stdout, "%s: %d bytes of %d, %d of %d gzipped; it imports\n  %s\n",
			name, len(wasm), maxSize, gzipped(wasm), maxGzipped, strings.Join(plugin.Imports(), "\n  "))
	}
	for _, fault := range faults {
		fmt.Fprintf(stderr, "%s: %s\n", name, fault)
	}
	return min(len(faults), 1)
}

func sizeFaults(wasm []byte) []string {
	var faults []string
	if len(wasm) >= maxSize {
		faults = append(faults, fmt.Sprintf("size: %d bytes, must be under %d", len(wasm), maxSize))
	}
	if n := gzipped(wasm); n >= maxGzipped {
		faults = append(faults, fmt.Sprintf("size: %d bytes gzipped, must be under %d", n, maxGzipped))
	}
	return faults
}

func gzipped(data []byte) int {
	var b bytes.Buffer
	// Neither can fail: the level is valid, and a buffer takes everything.
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	w.Write(data)
	w.Close()
	return b.Len()
}
