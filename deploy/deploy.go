// Package deploy holds what it takes to run the plugin in real proxies: a
// docker-compose story, examples for Istio and Envoy Gateway, an image, a
// dashboard and alerts. README.md says what each is for. Its tests check all of
// it as far as that goes without a container engine.
//
// What "orgate render" can write is written by it.
package deploy

//go:generate sh -c "go run ../cmd/orgate render envoy --config compose/orgate.json --upstream http://echo:8080 > compose/envoy.yaml"
//go:generate sh -c "go run ../cmd/orgate render istio --config orgate.json --image registry.example.com/orgate:1.0.0 > istio/orgate.yaml"
//go:generate sh -c "go run ../cmd/orgate render envoy-gateway --config orgate.json --image registry.example.com/orgate:1.0.0 > envoy-gateway/orgate.yaml"
