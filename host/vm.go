package host

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// VM is an instance of a [Plugin]. It belongs to one goroutine at a time.
type VM struct {
	config   Config
	clusters map[string]bool
	environ  []string
	born     time.Time
	stepped  time.Duration // what Config.ClockStep has come to

	ctx       *callContext
	module    api.Module
	memory    api.Memory
	callbacks [called]api.Function
	stack     [8]uint64
	allocated [1]uint64 // the stack of proxy_on_memory_allocate
	counts    []int     // by index in imports

	err        error
	phase      phase  // what the guest is doing
	current    *guest // the context of the callback that runs
	effective  *guest // proxy_set_effective_context
	stopNext   bool   // a local response was sent in the callback that runs
	after      []func()
	contexts   map[uint32]*guest
	nextID     uint32
	started    bool
	nextCallID uint32
	callouts   []*Callout
	metrics    [3][]*metric // by type, then by id
}

// phase says which host calls are allowed.
type phase uint8

const (
	running phase = 1 << iota
	initializing
	allocating
)

// guest is a context as the guest knows it: a root or a stream.
type guest struct {
	vm     *VM
	id     uint32
	root   *Root
	stream *Stream // nil for a root

	// created says that proxy_on_context_create was called.
	created bool
	// gone says that proxy_on_delete was.
	gone bool

	// maps are the header maps that are open, by type (0 to 3).
	maps [4]*Headers
	// logging: proxy_on_log runs, where all maps can be read and none written.
	logging bool
	// buffers are those that are open, by direction.
	buffers [2]*[]byte
}

// callContext carries the VM to the host functions. It answers no values.
type callContext struct {
	context.Context
	vm *VM
}

// Value finds nothing: wazero asks for its own keys in every call.
func (*callContext) Value(any) any { return nil }

// NewVM makes an instance and initializes it. Errors: [ErrTrap].
func (p *Plugin) NewVM(c Config) (*VM, error) {
	vm := &VM{
		config:   c,
		clusters: make(map[string]bool, len(c.Clusters)),
		born:     time.Now(),
		counts:   make([]int, len(imports)),
		contexts: make(map[uint32]*guest),
		nextID:   1,
	}
	for _, name := range c.Clusters {
		vm.clusters[name] = true
	}
	for name, value := range c.Env {
		vm.environ = append(vm.environ, name+"="+value)
	}
	slices.Sort(vm.environ)
	if vm.config.Shared == nil {
		vm.config.Shared = NewSharedData()
	}
	if vm.config.Metrics == nil {
		vm.config.Metrics = NewMetrics()
	}
	if vm.config.Clock == nil {
		vm.config.Clock = time.Now
	}
	vm.ctx = &callContext{context.Background(), vm}
	module, err := p.runtime.InstantiateModule(vm.ctx, p.module,
		wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, fmt.Errorf("instantiate: %w", err)
	}
	vm.module, vm.memory = module, module.ExportedMemory("memory")
	for i := range vm.callbacks {
		vm.callbacks[i] = module.ExportedFunction(exported[i].name)
	}
	if err := vm.initialize(); err != nil {
		return nil, err
	}
	return vm, nil
}

func (vm *VM) initialize() error {
	vm.phase = initializing
	vm.current = &guest{vm: vm}
	_, err := vm.module.ExportedFunction("_initialize").Call(vm.ctx)
	vm.phase, vm.current = running, nil
	if err != nil {
		vm.fail(err)
	}
	return vm.err
}

// Err is the trap that closed the VM, [ErrClosed], or nil.
func (vm *VM) Err() error { return vm.err }

// HostCalls counts the host calls made, by import name, initialization
// included.
func (vm *VM) HostCalls() map[string]int {
	counts := make(map[string]int)
	for i, n := range vm.counts {
		if n != 0 {
			counts[imports[i].name] += n
		}
	}
	return counts
}

// MemoryBytes is the size of the linear memory, which never shrinks.
func (vm *VM) MemoryBytes() uint64 { return uint64(vm.memory.Size()) }

// LiveContexts counts the root and stream contexts.
func (vm *VM) LiveContexts() int { return len(vm.contexts) }

// Close frees the instance. No callback is called.
func (vm *VM) Close() error {
	if vm.err == nil {
		vm.err = ErrClosed
	}
	return vm.module.Close(context.Background())
}

// call calls a callback in a context, and then does what was put off until its
// end. It returns the callback's result, or the given one if the module does
// not export it, and false if the VM failed.
func (vm *VM) call(g *guest, c callback, otherwise uint32, args ...uint32) (result uint32, ok bool) {
	result, _ = vm.invoke(g, c, otherwise, args...)
	return result, vm.settle()
}

// invoke is the first half of call.
func (vm *VM) invoke(g *guest, c callback, otherwise uint32, args ...uint32) (result uint32, ok bool) {
	if vm.err != nil {
		return 0, false
	}
	if vm.current != nil {
		panic("host: " + exported[c].name + " from within a host call")
	}
	function := vm.callbacks[c]
	if function == nil {
		return otherwise, true
	}
	for i, arg := range args {
		vm.stack[i] = uint64(arg)
	}
	vm.current = g
	err := function.CallWithStack(vm.ctx, vm.stack[:])
	vm.current, vm.effective = nil, nil
	result = uint32(vm.stack[0])
	if vm.stopNext && onRequestHeaders <= c && c <= onResponseTrailers {
		// As in Envoy, whichever stream the local response was for.
		result = 1
	}
	vm.stopNext = false
	if err != nil {
		vm.fail(err)
		return 0, false
	}
	return result, true
}

// settle is the second half of call. It reports false if the VM failed.
func (vm *VM) settle() bool {
	for len(vm.after) > 0 {
		action := vm.after[0]
		vm.after = vm.after[1:]
		action()
	}
	return vm.err == nil
}

// later puts an action off until the callback that runs has returned.
func (vm *VM) later(action func()) { vm.after = append(vm.after, action) }

// fail closes the VM after a trap. Streams that wait get a 503 since
// nobody will resume them.
func (vm *VM) fail(cause error) {
	if vm.err != nil {
		return
	}
	vm.err = fmt.Errorf("%w: %w", ErrTrap, cause)
	vm.phase, vm.after = running, nil
	vm.logf(LogCritical, "%v", vm.err)
	_ = vm.module.Close(context.Background())
	var waiting []*Stream
	for _, g := range vm.contexts {
		if g.stream != nil {
			waiting = append(waiting, g.stream)
		}
	}
	slices.SortFunc(waiting, func(a, b *Stream) int { return int(int64(a.id) - int64(b.id)) })
	for _, stream := range waiting {
		stream.failed()
	}
}

// trap ends the guest's execution from within a host call.
func trap(format string, args ...any) {
	panic(fmt.Errorf(format, args...))
}

func (vm *VM) logf(level LogLevel, format string, args ...any) {
	vm.log(level, fmt.Sprintf(format, args...))
}

func (vm *VM) log(level LogLevel, message string) {
	if vm.config.Log != nil && level >= vm.config.LogLevel {
		vm.config.Log(level, message)
	}
}

// context is the one that host calls act on.
func (vm *VM) context() *guest {
	if vm.effective != nil && !vm.effective.gone {
		return vm.effective
	}
	return vm.current
}

// adopt enters a context under its id, or under the next free one if that is 0.
func (vm *VM) adopt(g *guest, id uint32) error {
	if id == 0 {
		for vm.nextID == 0 || vm.contexts[vm.nextID] != nil {
			vm.nextID++
		}
		id = vm.nextID
		vm.nextID++
	} else if vm.contexts[id] != nil {
		return fmt.Errorf("context id %d is taken", id)
	}
	g.id = id
	vm.contexts[id] = g
	return nil
}

func (vm *VM) drop(g *guest) {
	g.gone = true
	delete(vm.contexts, g.id)
}

// read is a view of guest memory.
func (vm *VM) read(address, size uint64) ([]byte, bool) {
	return vm.memory.Read(uint32(address), uint32(size))
}

// write32 stores a number in guest memory.
func (vm *VM) write32(address uint64, value uint32) bool {
	return vm.memory.WriteUint32Le(uint32(address), value)
}

// allocate has the guest allocate a block, and stores its address and size.
func (vm *VM) allocate(size int, addressAddress, sizeAddress uint64) ([]byte, Status) {
	var address uint32
	var block []byte
	if size > 0 {
		vm.phase = allocating
		vm.allocated[0] = uint64(size)
		err := vm.callbacks[onMemoryAllocate].CallWithStack(vm.ctx, vm.allocated[:])
		vm.phase = running
		if err != nil {
			panic(err)
		}
		address = uint32(vm.allocated[0])
		var ok bool
		if block, ok = vm.memory.Read(address, uint32(size)); !ok || address == 0 {
			return nil, InvalidMemoryAccess
		}
	}
	if !vm.write32(addressAddress, address) || !vm.write32(sizeAddress, uint32(size)) {
		return nil, InvalidMemoryAccess
	}
	return block, OK
}

// give hands data to the guest. Data of size 0 is a null pointer.
func (vm *VM) give(data []byte, addressAddress, sizeAddress uint64) Status {
	block, status := vm.allocate(len(data), addressAddress, sizeAddress)
	copy(block, data)
	return status
}

func (vm *VM) giveString(data string, addressAddress, sizeAddress uint64) Status {
	block, status := vm.allocate(len(data), addressAddress, sizeAddress)
	copy(block, data)
	return status
}

// Root is a plugin context of a [VM].
type Root struct {
	guest
	config        RootConfig
	configuration []byte // what can be read, during the callbacks that may
	configuring   bool
	tickPeriod    time.Duration
	calls         map[uint32]*Callout
	ending        bool // proxy_on_done answered no

	response      calloutResponse // to a call-out, while it is delivered
	statusCode    uint32          // of proxy_get_status
	statusMessage string
}

// NewRoot creates a plugin context, starts the VM if it is the first one, and
// configures it. Errors: [ErrRefused] (the context is deleted again),
// [ErrTrap], [ErrClosed].
func (vm *VM) NewRoot(c RootConfig) (*Root, error) {
	r := &Root{config: c, calls: make(map[uint32]*Callout)}
	r.guest.vm, r.guest.root = vm, r
	if vm.err != nil {
		return nil, vm.err
	}
	if err := vm.adopt(&r.guest, c.ID); err != nil {
		return nil, err
	}
	if err := r.start(); err != nil {
		if vm.err != nil {
			vm.drop(&r.guest)
		} else {
			r.Close()
		}
		return nil, err
	}
	return r, nil
}

func (r *Root) start() error {
	vm := r.vm
	r.configuring, r.configuration = true, r.config.Configuration
	defer func() { r.configuring, r.configuration = false, nil }()
	if _, ok := vm.call(&r.guest, onContextCreate, 0, r.id, 0); !ok {
		return vm.err
	}
	r.created = true
	if !vm.started {
		r.configuration = nil
		accepted, ok := vm.call(&r.guest, onVMStart, 1, r.id, uint32(len(vm.config.VMConfiguration)))
		if !ok {
			return vm.err
		}
		if accepted == 0 {
			return fmt.Errorf("proxy_on_vm_start: %w", ErrRefused)
		}
		vm.started = true
	}
	return r.Configure(r.config.Configuration)
}

// Configure hands over a new configuration in place. Errors: [ErrRefused],
// [ErrTrap], [ErrClosed]. (Envoy makes a new root and then closes the old one.)
func (r *Root) Configure(configuration []byte) error {
	vm := r.vm
	if r.gone {
		return ErrClosed
	}
	r.configuring, r.configuration = true, configuration
	defer func() { r.configuring, r.configuration = false, nil }()
	accepted, ok := vm.call(&r.guest, onConfigure, 1, r.id, uint32(len(configuration)))
	if !ok {
		return vm.err
	}
	if accepted == 0 {
		return fmt.Errorf("proxy_on_configure: %w", ErrRefused)
	}
	r.config.Configuration = configuration
	return nil
}

// ID is the context id.
func (r *Root) ID() uint32 { return r.id }

// TickPeriod is the period that the plugin asked for; zero: no ticks.
func (r *Root) TickPeriod() time.Duration { return r.tickPeriod }

// Tick calls proxy_on_tick.
func (r *Root) Tick() {
	if !r.gone {
		r.vm.call(&r.guest, onTick, 0, r.id)
	}
}

// Close calls proxy_on_done and, if the plugin is done or as soon as it calls
// proxy_done, proxy_on_delete. The responses to open call-outs are dropped then.
// It reports whether the context is gone.
func (r *Root) Close() (gone bool) {
	if r.gone || r.ending {
		return r.gone
	}
	done, ok := r.vm.call(&r.guest, onDone, 1, r.id)
	if ok && done == 0 {
		r.ending = true
		return false
	}
	r.delete()
	return true
}

func (r *Root) delete() {
	r.vm.call(&r.guest, onDelete, 0, r.id)
	clear(r.calls)
	r.tickPeriod = 0
	r.vm.drop(&r.guest)
}

// Path joins the parts of a property's path.
func Path(parts ...string) string { return strings.Join(parts, "\x00") }
