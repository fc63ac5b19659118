package host

import (
	"context"
	"time"
)

// An Option of [Compile].
type Option func(*options)

type options struct {
	cacheDir  string
	maxMemory uint64
}

// WithCacheDir keeps compiled code in the directory, which is made if need be.
// Empty: nowhere. Without the option it is "orgate" in [os.UserCacheDir].
func WithCacheDir(dir string) Option { return func(o *options) { o.cacheDir = dir } }

// WithMaxMemory is the ceiling of the linear memory of each VM in bytes,
// rounded down to pages of 64 KiB. Without the option it is 1 GiB, as in Envoy.
func WithMaxMemory(bytes uint64) Option { return func(o *options) { o.maxMemory = bytes } }

// Plugin is a compiled module.
type Plugin struct{}

// Compile compiles a module, which takes seconds for one that is not in the
// cache. Errors: [ErrImports], [ErrABI], and what wazero says of a broken one.
func Compile(ctx context.Context, wasm []byte, opts ...Option) (*Plugin, error) { panic("not yet") }

// NewVM makes an instance and initializes it. Errors: [ErrTrap].
func (p *Plugin) NewVM(c Config) (*VM, error) { panic("not yet") }

// Close closes the plugin and all of its VMs.
func (p *Plugin) Close() error { panic("not yet") }

// VM is an instance of a [Plugin].
type VM struct{}

// NewRoot creates a plugin context, starts the VM if it is the first one, and
// configures it. Errors: [ErrRefused] (the context is deleted again), [ErrTrap].
func (vm *VM) NewRoot(c RootConfig) (*Root, error) { panic("not yet") }

// TakeCallouts returns the call-outs made since the last time.
func (vm *VM) TakeCallouts() []*Callout { panic("not yet") }

// DeliverQueued calls proxy_on_queue_ready for what was enqueued, by this VM or
// by others, to queues that this VM registered last.
func (vm *VM) DeliverQueued() { panic("not yet") }

// Err is the trap that closed the VM, or nil.
func (vm *VM) Err() error { panic("not yet") }

// HostCalls counts the host calls made, by import name.
func (vm *VM) HostCalls() map[string]int { panic("not yet") }

// MemoryBytes is the size of the linear memory.
func (vm *VM) MemoryBytes() uint64 { panic("not yet") }

// LiveContexts counts the root and stream contexts.
func (vm *VM) LiveContexts() int { panic("not yet") }

// Close frees the instance. No callback is called.
func (vm *VM) Close() error { panic("not yet") }

// Root is a plugin context of a [VM].
type Root struct{}

// ID is the context id.
func (r *Root) ID() uint32 { panic("not yet") }

// Configure hands over a new configuration in place. Errors: [ErrRefused],
// [ErrTrap]. (Envoy makes a new root and then closes the old one.)
func (r *Root) Configure(configuration []byte) error { panic("not yet") }

// TickPeriod is the period that the plugin asked for; zero: no ticks.
func (r *Root) TickPeriod() time.Duration { panic("not yet") }

// Tick calls proxy_on_tick.
func (r *Root) Tick() { panic("not yet") }

// NewStream begins an HTTP stream. Its context is created by
// [Stream.RequestHeaders], as in Envoy.
func (r *Root) NewStream() *Stream { panic("not yet") }

// Close calls proxy_on_done and, if the plugin is done or as soon as it calls
// proxy_done, proxy_on_delete. Open call-outs are dropped.
func (r *Root) Close() { panic("not yet") }

// Stream is one HTTP request and its response.
type Stream struct {
	// OnChange, if set, is called when a callback other than the stream's own
	// resumed, answered or reset it.
	OnChange func(*Stream)
}

// ID is the context id, or 0 before [Stream.RequestHeaders].
func (s *Stream) ID() uint32 { panic("not yet") }

// SetProperty sets what the plugin can read under the path.
func (s *Stream) SetProperty(value []byte, path ...string) { panic("not yet") }

// Property is what the plugin wrote with proxy_set_property under the path.
func (s *Stream) Property(path ...string) (value []byte, ok bool) { panic("not yet") }

// RequestHeaders creates the context and calls proxy_on_request_headers. The
// headers are copied.
func (s *Stream) RequestHeaders(h Headers, endOfStream bool) Action { panic("not yet") }

// RequestBody calls proxy_on_request_body. While the headers are paused the
// body is kept and delivered after they are resumed.
func (s *Stream) RequestBody(chunk []byte, endOfStream bool) Action { panic("not yet") }

// RequestTrailers calls proxy_on_request_trailers, or keeps them likewise.
func (s *Stream) RequestTrailers(h Headers) Action { panic("not yet") }

// ResponseHeaders, ResponseBody and ResponseTrailers do the same for the way
// back.
func (s *Stream) ResponseHeaders(h Headers, endOfStream bool) Action { panic("not yet") }

// ResponseBody: see [Stream.ResponseHeaders].
func (s *Stream) ResponseBody(chunk []byte, endOfStream bool) Action { panic("not yet") }

// ResponseTrailers: see [Stream.ResponseHeaders].
func (s *Stream) ResponseTrailers(h Headers) Action { panic("not yet") }

// RequestAction is where the request stands.
func (s *Stream) RequestAction() Action { panic("not yet") }

// ResponseAction is where the response stands.
func (s *Stream) ResponseAction() Action { panic("not yet") }

// RequestHeaderMap, RequestTrailerMap, ResponseHeaderMap and ResponseTrailerMap
// are the maps as the plugin left them. After [Answer] the response's are those
// of the local response as the client gets it.
func (s *Stream) RequestHeaderMap() Headers { panic("not yet") }

// RequestTrailerMap: see [Stream.RequestHeaderMap].
func (s *Stream) RequestTrailerMap() Headers { panic("not yet") }

// ResponseHeaderMap: see [Stream.RequestHeaderMap].
func (s *Stream) ResponseHeaderMap() Headers { panic("not yet") }

// ResponseTrailerMap: see [Stream.RequestHeaderMap].
func (s *Stream) ResponseTrailerMap() Headers { panic("not yet") }

// TakeRequestBody is the part of the body that passed since the last time.
func (s *Stream) TakeRequestBody() []byte { panic("not yet") }

// TakeResponseBody is the part of the body that passed since the last time, of
// the local response after [Answer].
func (s *Stream) TakeResponseBody() []byte { panic("not yet") }

// LocalResponse is the plugin's answer, or nil. Of a VM that trapped it is 503
// with the details wasm_fail_stream.
func (s *Stream) LocalResponse() *LocalResponse { panic("not yet") }

// Close ends the stream: proxy_on_done, proxy_on_log and proxy_on_delete.
func (s *Stream) Close() { panic("not yet") }

// Callout is an HTTP call that the plugin made. Exactly one of its methods is
// called, once; a further call returns [ErrClosed].
type Callout struct {
	ID       uint32
	Cluster  string
	Headers  Headers
	Body     []byte
	Trailers Headers
	Timeout  time.Duration // zero: none
}

// Respond hands over the answer. The headers hold ":status".
func (c *Callout) Respond(headers Headers, body []byte, trailers Headers) error { panic("not yet") }

// Fail answers as Envoy does for a connection that broke: no headers at all.
func (c *Callout) Fail() error { panic("not yet") }

// FailStatus answers as proxies do that made up a response, such as 503 and 504.
func (c *Callout) FailStatus(status int) error { panic("not yet") }

// Path joins the parts of a property's path.
func Path(parts ...string) string { panic("not yet") }

// SharedData is what VMs share: keys and queues.
type SharedData struct{}

// NewSharedData returns an empty one.
func NewSharedData() *SharedData { panic("not yet") }

// Metrics holds the values of metrics.
type Metrics struct{}

// NewMetrics returns an empty one.
func NewMetrics() *Metrics { panic("not yet") }

// Values are the counters and gauges by name.
func (m *Metrics) Values() map[string]uint64 { panic("not yet") }

// Histogram are the values recorded in a histogram, oldest first.
func (m *Metrics) Histogram(name string) []uint64 { panic("not yet") }

// VerifySignature is Envoy's foreign function "verify_signature".
func VerifySignature(arguments []byte) (result []byte, status Status) { panic("not yet") }
