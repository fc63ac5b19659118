//go:build wasip1

// Command orgate is the plugin. The proxy never calls main; the filter
// registers itself when the module is initialized.
package main

import (
	_ "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/wasip1"
)

func main() {}
