package host

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// hostFunction is one import that the host offers.
type hostFunction struct {
	module, name    string
	params, results []api.ValueType
	// allowed are the phases in which the guest may call it.
	allowed phase
	call    func(vm *VM, stack []uint64) uint32
}

const (
	env   = "env"
	wasi  = "wasi_snapshot_preview1"
	i32   = api.ValueTypeI32
	i64   = api.ValueTypeI64
	begin = running | initializing
	any3  = running | initializing | allocating
)

// sig makes a list of parameters.
func sig(params ...api.ValueType) []api.ValueType { return params }

// ints makes a list of i32 parameters.
func ints(n int) []api.ValueType { return slices.Repeat([]api.ValueType{i32}, n) }

// imports are the host calls of ABI 0.2.1 and the WASI functions of Envoy 1.33.
// What may be called while the guest initializes or allocates is what
// proxy-wasm-cpp-host allows then.
var imports = []hostFunction{
	{env, "proxy_log", ints(3), ints(1), any3, proxyLog},
	{env, "proxy_get_log_level", ints(1), ints(1), running, proxyGetLogLevel},
	{env, "proxy_get_current_time_nanoseconds", ints(1), ints(1), running, proxyGetCurrentTime},
	{env, "proxy_set_tick_period_milliseconds", ints(1), ints(1), running, proxySetTickPeriod},
	{env, "proxy_set_effective_context", ints(1), ints(1), running, proxySetEffectiveContext},
	{env, "proxy_done", nil, ints(1), running, proxyDone},
	{env, "proxy_get_property", ints(4), ints(1), running, proxyGetProperty},
	{env, "proxy_set_property", ints(4), ints(1), running, proxySetProperty},
	{env, "proxy_get_buffer_bytes", ints(5), ints(1), running, proxyGetBufferBytes},
	{env, "proxy_get_buffer_status", ints(3), ints(1), running, proxyGetBufferStatus},
	{env, "proxy_set_buffer_bytes", ints(5), ints(1), running, proxySetBufferBytes},
	{env, "proxy_get_header_map_size", ints(2), ints(1), running, proxyGetHeaderMapSize},
	{env, "proxy_get_header_map_pairs", ints(3), ints(1), running, proxyGetHeaderMapPairs},
	{env, "proxy_set_header_map_pairs", ints(3), ints(1), running, proxySetHeaderMapPairs},
	{env, "proxy_get_header_map_value", ints(5), ints(1), running, proxyGetHeaderMapValue},
	{env, "proxy_add_header_map_value", ints(5), ints(1), running, proxyAddHeaderMapValue},
	{env, "proxy_replace_header_map_value", ints(5), ints(1), running, proxyReplaceHeaderMapValue},
	{env, "proxy_remove_header_map_value", ints(3), ints(1), running, proxyRemoveHeaderMapValue},
	{env, "proxy_continue_stream", ints(1), ints(1), running, proxyContinueStream},
	{env, "proxy_close_stream", ints(1), ints(1), running, proxyCloseStream},
	{env, "proxy_send_local_response", ints(8), ints(1), running, proxySendLocalResponse},
	{env, "proxy_http_call", ints(10), ints(1), running, proxyHTTPCall},
	{env, "proxy_grpc_call", ints(12), ints(1), running, unimplemented},
	{env, "proxy_grpc_stream", ints(9), ints(1), running, unimplemented},
	{env, "proxy_grpc_send", ints(4), ints(1), running, unimplemented},
	{env, "proxy_grpc_cancel", ints(1), ints(1), running, unimplemented},
	{env, "proxy_grpc_close", ints(1), ints(1), running, unimplemented},
	{env, "proxy_get_status", ints(3), ints(1), running, proxyGetStatus},
	{env, "proxy_get_shared_data", ints(5), ints(1), running, proxyGetSharedData},
	{env, "proxy_set_shared_data", ints(5), ints(1), running, proxySetSharedData},
	{env, "proxy_register_shared_queue", ints(3), ints(1), running, unimplemented},
	{env, "proxy_resolve_shared_queue", ints(5), ints(1), running, unimplemented},
	{env, "proxy_enqueue_shared_queue", ints(3), ints(1), running, unimplemented},
	{env, "proxy_dequeue_shared_queue", ints(3), ints(1), running, unimplemented},
	{env, "proxy_define_metric", ints(4), ints(1), running, proxyDefineMetric},
	{env, "proxy_increment_metric", sig(i32, i64), ints(1), running, proxyIncrementMetric},
	{env, "proxy_record_metric", sig(i32, i64), ints(1), running, proxyRecordMetric},
	{env, "proxy_get_metric", ints(2), ints(1), running, proxyGetMetric},
	{env, "proxy_call_foreign_function", ints(6), ints(1), running, proxyCallForeignFunction},

	{wasi, "fd_write", ints(4), ints(1), any3, fdWrite},
	{wasi, "fd_read", ints(4), ints(1), running, always(errnoNosys)},
	{wasi, "fd_seek", sig(i32, i64, i32, i32), ints(1), running, always(errnoSuccess)},
	{wasi, "fd_close", ints(1), ints(1), running, always(errnoSuccess)},
	{wasi, "fd_fdstat_get", ints(2), ints(1), begin, fdFdstatGet},
	{wasi, "fd_fdstat_set_flags", ints(2), ints(1), begin, always(errnoNosys)},
	{wasi, "fd_prestat_get", ints(2), ints(1), begin, always(errnoBadf)},
	{wasi, "fd_prestat_dir_name", ints(3), ints(1), begin, always(errnoNotsup)},
	{wasi, "path_open", sig(i32, i32, i32, i32, i32, i64, i64, i32, i32), ints(1), running, always(errnoNoent)},
	{wasi, "environ_get", ints(2), ints(1), begin, environGet},
	{wasi, "environ_sizes_get", ints(2), ints(1), begin, environSizesGet},
	{wasi, "args_get", ints(2), ints(1), begin, always(errnoSuccess)},
	{wasi, "args_sizes_get", ints(2), ints(1), begin, argsSizesGet},
	{wasi, "clock_time_get", sig(i32, i64, i32), ints(1), any3, clockTimeGet},
	{wasi, "random_get", ints(2), ints(1), begin, randomGet},
	{wasi, "sched_yield", nil, ints(1), running, always(errnoSuccess)},
	{wasi, "poll_oneoff", ints(4), ints(1), running | allocating, pollOneoff},
	{wasi, "proc_exit", ints(1), nil, any3, procExit},
}

// unimplemented is a host call of what the plugin does not use: TCP, queues and gRPC.
func unimplemented(*VM, []uint64) uint32 { return uint32(Unimplemented) }

// callback numbers the functions that a module exports for the host.
type callback int

const (
	onMemoryAllocate callback = iota
	onContextCreate
	onVMStart
	onConfigure
	onTick
	onDone
	onLog
	onDelete
	onRequestHeaders
	onRequestBody
	onRequestTrailers
	onResponseHeaders
	onResponseBody
	onResponseTrailers
	onHTTPCallResponse
	called // the first that this host never calls
)

// exported is what every plugin exports: the callbacks that this host calls, by
// their numbers, and those that other proxies call besides. Parameters and
// results are i32.
var exported = [...]struct {
	name            string
	params, results int
}{
	onMemoryAllocate:   {"proxy_on_memory_allocate", 1, 1},
	onContextCreate:    {"proxy_on_context_create", 2, 0},
	onVMStart:          {"proxy_on_vm_start", 2, 1},
	onConfigure:        {"proxy_on_configure", 2, 1},
	onTick:             {"proxy_on_tick", 1, 0},
	onDone:             {"proxy_on_done", 1, 1},
	onLog:              {"proxy_on_log", 1, 0},
	onDelete:           {"proxy_on_delete", 1, 0},
	onRequestHeaders:   {"proxy_on_request_headers", 3, 1},
	onRequestBody:      {"proxy_on_request_body", 3, 1},
	onRequestTrailers:  {"proxy_on_request_trailers", 2, 1},
	onResponseHeaders:  {"proxy_on_response_headers", 3, 1},
	onResponseBody:     {"proxy_on_response_body", 3, 1},
	onResponseTrailers: {"proxy_on_response_trailers", 2, 1},
	onHTTPCallResponse: {"proxy_on_http_call_response", 5, 0},

	{abiVersion, 0, 0},
	{"_initialize", 0, 0},
	{"proxy_on_queue_ready", 2, 0},
	{"proxy_on_request_metadata", 2, 1},
	{"proxy_on_response_metadata", 2, 1},
	{"proxy_on_new_connection", 1, 1},
	{"proxy_on_downstream_data", 3, 1},
	{"proxy_on_downstream_connection_close", 2, 0},
	{"proxy_on_upstream_data", 3, 1},
	{"proxy_on_upstream_connection_close", 2, 0},
	{"proxy_on_grpc_receive_initial_metadata", 3, 0},
	{"proxy_on_grpc_receive", 3, 0},
	{"proxy_on_grpc_receive_trailing_metadata", 3, 0},
	{"proxy_on_grpc_close", 3, 0},
	{"proxy_on_foreign_function", 3, 0},
}

// abiVersion is the export that names the ABI.
const abiVersion = "proxy_abi_version_0_2_1"

// required are the exports without which the host cannot run a module.
var required = []string{abiVersion, "_initialize", exported[onMemoryAllocate].name}

// importFaults says what a module imports that no proxy offers, sorted.
func importFaults(module wazero.CompiledModule) []string {
	var faults []string
	for _, f := range module.ImportedFunctions() {
		from, name, _ := f.Import()
		i := slices.IndexFunc(imports, func(known hostFunction) bool {
			return known.module == from &&
				known.name == name
		})
		if i < 0 {
			faults = append(faults, fmt.Sprintf("import %s.%s: Envoy 1.33 does not offer it", from, name))
			continue
		}
		got, want := typeOf(f.ParamTypes(), f.ResultTypes()), typeOf(imports[i].params, imports[i].results)
		if got != want {
			faults = append(faults, fmt.Sprintf("import %s.%s: is %s, proxies offer %s", from, name, got, want))
		}
	}
	for _, m := range module.ImportedMemories() {
		from, name, _ := m.Import()
		faults = append(faults, fmt.Sprintf("import %s.%s: a plugin has a memory of its own", from, name))
	}
	slices.Sort(faults)
	return slices.Compact(faults) // the compiler imports some twice
}

// exportFaults says what a module does not export as proxies call it, and which
// of the needed exports are missing.
func exportFaults(module wazero.CompiledModule, needed func(name string) bool) []string {
	var faults []string
	functions := module.ExportedFunctions()
	for name := range functions {
		if strings.HasPrefix(name, "proxy_abi_version_") && name != abiVersion {
			faults = append(faults, fmt.Sprintf("export %s: contradicts %s", name, abiVersion))
		}
	}
	for _, want := range exported {
		f := functions[want.name]
		if f == nil && needed(want.name) {
			faults = append(faults, fmt.Sprintf("export %s: missing", want.name))
		}
		if f == nil {
			continue
		}
		got, wanted := typeOf(f.ParamTypes(), f.ResultTypes()), typeOf(ints(want.params), ints(want.results))
		if got != wanted {
			faults = append(faults, fmt.Sprintf("export %s: is %s, proxies call %s", want.name, got, wanted))
		}
	}
	if module.ExportedMemories()["memory"] == nil {
		faults = append(faults, "export memory: missing")
	}
	return faults
}

// typeOf writes a function's type, such as "(i32 i64) i32".
func typeOf(params, results []api.ValueType) string {
	names := func(types []api.ValueType) string {
		var names []string
		for _, t := range types {
			names = append(names, api.ValueTypeName(t))
		}
		return strings.Join(names, " ")
	}
	return strings.TrimSuffix("("+names(params)+") "+names(results), " ")
}

// instantiateImports makes the modules that the guest imports from.
func instantiateImports(ctx context.Context, runtime wazero.Runtime) error {
	for _, name := range []string{env, wasi} {
		builder := runtime.NewHostModuleBuilder(name)
		for i := range imports {
			if f := &imports[i]; f.module == name {
				builder.NewFunctionBuilder().WithGoModuleFunction(f.enter(i), f.params, f.results).Export(f.name)
			}
		}
		if _, err := builder.Instantiate(ctx); err != nil {
			return fmt.Errorf("imports: %w", err)
		}
	}
	return nil
}

// enter is what the guest calls: it counts, and keeps to the phases.
func (f *hostFunction) enter(index int) api.GoModuleFunc {
	module, name, allowed, call, params, result := f.module, f.name, f.allowed, f.call, f.params, len(f.results) > 0
	return func(ctx context.Context, _ api.Module, stack []uint64) {
		vm := ctx.(*callContext).vm
		vm.counts[index]++
		for i, param := range params {
			if param == i32 {
				stack[i] = uint64(uint32(stack[i]))
			}
		}
		if vm.phase&allowed == 0 {
			trap("%s while the guest %s", f.name, vm.phase)
		}
		if fault := vm.config.Fault; fault != nil && module == env {
			if status := fault(name); status != OK {
				stack[0] = uint64(status)
				return
			}
		}
		status := call(vm, stack)
		if result {
			stack[0] = uint64(status)
		}
	}
}

func (p phase) String() string {
	switch p {
	case initializing:
		return "initializes"
	case allocating:
		return "allocates memory"
	}
	return "runs"
}
