module github.com/orgate/orgate

go 1.26

require (
	github.com/tetratelabs/proxy-wasm-go-sdk v0.24.0
	github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/wasip1 v0.0.0
	github.com/tidwall/gjson v1.20.0
	github.com/tetratelabs/wazero v1.12.0
	github.com/go-jose/go-jose/v4 v4.1.8
	github.com/envoyproxy/go-control-plane/envoy v1.40.0
	github.com/google/go-cmp v0.7.0
	github.com/spf13/cobra v1.10.2
	golang.org/x/crypto v0.58.0
	golang.org/x/sync v0.24.0
	github.com/rogpeppe/go-internal v1.16.0
	sigs.k8s.io/yaml v1.6.0
	google.golang.org/protobuf v1.36.12
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
)

// The bridge lies below the SDK's import path, so that it may use the SDK's
// internal package: see abi/doc.go.
replace github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/wasip1 => ./abi
