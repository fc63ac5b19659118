// Command check reports on a built plugin: its size and what it imports, and
// what keeps proxies from loading it, in which case it exits with status 1.
//
//	go run ./internal/wasmfile/check build/orgate.wasm
package main

import (
	"fmt"
	"io"
	"os"

	"orgate/internal/wasmfile"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: check FILE")
		os.Exit(2)
	}
	os.Exit(check(os.Args[1], os.Stdout, os.Stderr))
}

// check reports on the file and returns the exit status.
func check(name string, stdout, stderr io.Writer) int {
	wasm, err := os.ReadFile(name)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	file, err := wasmfile.Read(wasm)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 1
	}
	fmt.Fprintf(stdout, "%s: %d bytes of %d, %d of %d gzipped, %d exports, %d imports:\n",
		name, file.Size, wasmfile.MaxSize, file.Gzipped, wasmfile.MaxGzipped, len(file.Exports), len(file.Imports))
	for _, imported := range file.Imports {
		fmt.Fprintf(stdout, "  %s\n", imported.Name)
	}
	violations := file.Check()
	for _, violation := range violations {
		fmt.Fprintf(stderr, "%s: %s\n", name, violation)
	}
	if len(violations) > 0 {
		return 1
	}
	return 0
}
