// Package host runs Proxy-Wasm plugins outside of a proxy. It is a strict host
// of ABI 0.2.1 (https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1)
// on wazero, for tests and for serving HTTP during development.
//
// It stands in for Envoy. If the ABI leaves room, it does what Envoy and its
// proxy-wasm-cpp-host do. If those are lenient, it refuses:
//
//   - a module may import the proxy's host calls and a short list of WASI alone;
//   - the guest may call nothing but logging and clocks while it allocates;
//   - a trap closes the [VM] for good.
//
// # Overview
//
// [Compile] makes a [Plugin] from a module. [Plugin.NewVM] makes an instance,
// as Envoy does for each of its workers, [VM.NewRoot] starts and configures a
// plugin (root) context in it, and [Root.NewStream] begins an HTTP stream:
//
//	plugin, err := host.Compile(ctx, wasm)
//	vm, err := plugin.NewVM(host.Config{Clusters: []string{"idp"}})
//	root, err := vm.NewRoot(host.RootConfig{Configuration: configuration})
//	stream := root.NewStream()
//	switch stream.RequestHeaders(headers, true) {
//	case host.Continue: // stream.RequestHeaderMap() goes upstream
//	case host.Answer: // stream.LocalResponse() goes back
//	case host.Pause: // until stream.OnChange is called
//	case host.Reset:
//	}
//	stream.Close()
//
// A VM, its roots, streams and call-outs belong to one goroutine at a time, as to
// one worker in Envoy. Nothing in them is locked. Several goroutines may use
// [Plugin], [SharedData] and [Metrics].
//
// The package knows nothing of the plugin's purpose.
package host

import (
	"errors"
	"time"
)

// Status is what a host call returns.
type Status uint32

// The statuses of the ABI.
const (
	OK Status = iota
	NotFound
	BadArgument
	SerializationFailure
	ParseFailure
	BadExpression
	InvalidMemoryAccess
	Empty
	CasMismatch
	ResultMismatch
	InternalFailure
	BrokenConnection
	Unimplemented
)

// LogLevel is the severity of a line that the plugin logs.
type LogLevel uint32

// The levels of the ABI.
const (
	LogTrace LogLevel = iota
	LogDebug
	LogInfo
	LogWarn
	LogError
	LogCritical
)

// Action says what becomes of a stream after a callback. Its zero value lets
// nothing pass.
type Action uint32

const (
	// Pause holds the stream until the plugin resumes or refuses it.
	Pause Action = iota
	// Continue passes the stream on.
	Continue
	// Answer ends the stream with [Stream.LocalResponse].
	Answer
	// Reset ends the stream with nothing: the plugin closed it.
	Reset
)

func (a Action) String() string {
	switch a {
	case Pause:
		return "pause"
	case Continue:
		return "continue"
	case Answer:
		return "answer"
	case Reset:
		return "reset"
	}
	return "unknown"
}

// The errors of this package, for [errors.Is].
var (
	// ErrImports is returned by [Compile] for a module that imports what the
	// host does not have. The error names each import.
	ErrImports = errors.New("imports what no proxy offers")
	// ErrABI is returned by [Compile] for a module that is no Proxy-Wasm 0.2.1
	// reactor.
	ErrABI = errors.New("not a proxy-wasm 0.2.1 reactor module")
	// ErrRefused is returned when the plugin refuses to start or to be
	// configured.
	ErrRefused = errors.New("refused by the plugin")
	// ErrTrap is returned when the guest trapped or did what no guest may. The
	// VM is closed: every later stream gets a 503.
	ErrTrap = errors.New("trap")
	// ErrClosed is returned for a VM, root or call-out that is gone.
	ErrClosed = errors.New("closed")
)

// A ForeignFunction is what proxy_call_foreign_function calls. The arguments are
// valid during the call only.
type ForeignFunction func(arguments []byte) (result []byte, status Status)

// Config says how a [VM] runs. Its zero value works: no clusters, no foreign
// functions, the system's clock, no log.
type Config struct {
	// VMID names the VM. VMs of one id that are given the same SharedData see
	// the same keys.
	VMID string
	// VMConfiguration is what proxy_on_vm_start can read.
	VMConfiguration []byte
	// Env is the environment of the guest. Envoy gives none by default.
	Env map[string]string
	// Clusters are the upstream clusters that exist. A call-out to another one
	// is refused with BadArgument.
	Clusters []string
	// Callout is told of each HTTP call-out from within the host call, and
	// decides what the host call returns. It may keep the call-out and respond
	// later, or at once: the plugin sees the response when the callback that
	// it is in has returned. If nil, call-outs wait in [VM.TakeCallouts].
	Callout func(*Callout) Status
	// Shared holds shared data. If nil, the VM has its own.
	Shared *SharedData
	// Metrics holds the metrics. If nil, the VM has its own.
	Metrics *Metrics
	// Foreign are the foreign functions by name.
	Foreign map[string]ForeignFunction
	// Log is given each line at LogLevel or above.
	Log func(level LogLevel, message string)
	// LogLevel is the lowest level that is logged, and what
	// proxy_get_log_level returns. The zero value is LogTrace: every line.
	LogLevel LogLevel
	// Clock is the time. If nil, [time.Now].
	Clock func() time.Time
	// ClockStep is added to the guest's monotonic clock with each reading, as
	// on a machine that takes the processor away between any two.
	ClockStep time.Duration
	// Fault is asked before each host call, by the name of the import, what
	// it fails with; OK lets it be made. If nil, all are made.
	Fault func(call string) Status
	// Poll has WASI poll_oneoff succeed with no events, as in Envoy since
	// 1.39. Without it the answer is ENOSYS, which the Go runtime does not
	// survive once it has armed a timer.
	Poll bool
}

// RootConfig describes a plugin (root) context.
type RootConfig struct {
	// ID is the context id. Zero takes the next free one, beginning at 1.
	ID uint32
	// Name and RootID are what the properties plugin_name and plugin_root_id
	// say.
	Name, RootID string
	// Configuration is what proxy_on_configure can read.
	Configuration []byte
	// Properties can be read in this root and in its streams, by [Path].
	Properties map[string][]byte
}

// LocalResponse is a response that the plugin sent in place of the upstream's,
// as the plugin gave it.
type LocalResponse struct {
	// Status is the HTTP status.
	Status uint32
	// Details is the response code details, for access logs.
	Details string
	// Headers are the additional headers.
	Headers Headers
	Body    []byte
	// GRPCStatus is sent in place of Status if the request was gRPC.
	// Negative: derived from Status.
	GRPCStatus int32
}
