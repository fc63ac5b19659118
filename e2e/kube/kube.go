// Package kube holds what "orgate render" writes, and the controller, against the
// control planes that users run: Envoy Gateway, Istio and the Kubernetes API
// server, built from the Go module proxy. Its tests read what a proxy is sent.
//
// It is a module of its own, since those bring hundreds of others. "make kube"
// runs it; "make test" does not: a cold build takes a quarter of an hour on two
// cores.
package kube
