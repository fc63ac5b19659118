// Package e2e drives the built plugin, in the strict host of package host: what
// [scenario] promises, the life of keys over callouts, and benchmarks. What
// tests and benchmarks have in common is here; it is not meant for anything
// else.
//
// Its folders are what the plugin is tried with: an identity provider (idp), an
// upstream (echo), and a demonstration that brings all of it up (demo).
// Providers that others wrote are in a module of their own (peers).
package e2e

import (
	"fmt"
	"strings"
	"time"

	"orgate/e2e/scenario"
	"orgate/host"
)

// Worker is the plugin in one VM, as one worker of a proxy has it, with one
// configuration.
type Worker struct {
	*host.Root
	VM      *host.VM
	Metrics *host.Metrics
	// Log holds the lines that the plugin logged, each with its level.
	Log []string
	// Time is what the clock says.
	Time time.Time
}

// NewWorker starts the plugin. The clock begins at [scenario.Now] and moves
// when it is moved. The error holds what the plugin logged.
func NewWorker(plugin *host.Plugin, configuration string, change ...func(*host.Config)) (*Worker, error) {
	w := &Worker{Metrics: host.NewMetrics(), Time: scenario.Now}
	c := host.Config{
		VMID:     "orgate",
		Clusters: []string{"idp", "idp1", "idp2"},
		Metrics:  w.Metrics,
		Clock:    func() time.Time { return w.Time },
		Log: func(level host.LogLevel, message string) {
			w.Log = append(w.Log, fmt.Sprintf("%d %s", level, message))
		},
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	if w.VM, err = plugin.NewVM(c); err != nil {
		return nil, err
	}
	w.Root, err = w.VM.NewRoot(host.RootConfig{RootID: "orgate", Configuration: []byte(configuration)})
	if err != nil {
		w.VM.Close()
		return nil, fmt.Errorf("%w:\n%s", err, strings.Join(w.Log, "\n"))
	}
	return w, nil
}

// Serve implements [scenario.Proxy].
func (w *Worker) Serve(r scenario.Request) scenario.Outcome {
	s := w.Open(r)
	defer s.Close()
	outcome := Outcome(s)
	if outcome.Waiting {
		outcome = w.answered(s, r)
	}
	if outcome.Passed && len(r.Trailers) > 0 {
		s.RequestTrailers(host.Headers(r.Trailers))
		outcome.Trailers = scenario.Headers(s.RequestTrailerMap())
	}
	return outcome
}

// answered has the provider answer if a request waits for an introspection.
func (w *Worker) answered(s *host.Stream, r scenario.Request) scenario.Outcome {
	w.Tick()
	for _, c := range w.VM.TakeCallouts() {
		if c.Headers.Values(":method")[0] == "POST" {
			status, body := r.Answer()
			if err := c.Respond(host.Headers{{":status", status}}, body, nil); err != nil {
				panic(err)
			}
		}
	}
	return Outcome(s)
}

// Open begins a request, which the caller closes.
func (w *Worker) Open(r scenario.Request) *host.Stream {
	s := w.NewStream()
	for name, value := range r.RouteMetadata {
		s.SetProperty([]byte(value), "xds", "route_metadata", "filter_metadata", name[0], name[1])
	}
	if r.Certificate != "" {
		s.SetProperty([]byte(r.Digest()), "connection", "sha256_peer_certificate_digest")
	}
	s.RequestHeaders(host.Headers(r.Map()), len(r.Trailers) == 0)
	return s
}

// Outcome is where a request stands.
func Outcome(s *host.Stream) scenario.Outcome {
	property := func(name string) string {
		value, _ := s.Property(name)
		return string(value)
	}
	outcome := scenario.Outcome{
		Reason:       property("orgate.reason"),
		Issuer:       property("orgate.issuer"),
		Organization: property("orgate.organization"),
	}
	switch s.RequestAction() {
	case host.Continue:
		outcome.Passed, outcome.Upstream = true, scenario.Headers(s.RequestHeaderMap())
	case host.Answer:
		answer := s.LocalResponse()
		outcome.Status, outcome.Headers = int(answer.Status), scenario.Headers(answer.Headers)
		outcome.Body, outcome.GRPC = string(answer.Body), answer.GRPCStatus
	case host.Pause:
		outcome.Waiting = true
	}
	return outcome
}
