package host

import (
	"context"
	"fmt"

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
func ints(n int) []api.ValueType {
	params := make([]api.ValueType, n)
	for i := range params {
		params[i] = i32
	}
	return params
}

// imports are the host calls of ABI 0.2.1, and the WASI functions that Envoy
// 1.33 has, which DESIGN.md lists. Those that may be called while the guest
// initializes and while it allocates are those that proxy-wasm-cpp-host allows
// then.
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
	{env, "proxy_grpc_call", ints(12), ints(1), running, proxyGRPCCall},
	{env, "proxy_grpc_stream", ints(9), ints(1), running, proxyGRPCStream},
	{env, "proxy_grpc_send", ints(4), ints(1), running, proxyGRPCSend},
	{env, "proxy_grpc_cancel", ints(1), ints(1), running, proxyGRPCCancel},
	{env, "proxy_grpc_close", ints(1), ints(1), running, proxyGRPCCancel},
	{env, "proxy_get_status", ints(3), ints(1), running, proxyGetStatus},
	{env, "proxy_get_shared_data", ints(5), ints(1), running, proxyGetSharedData},
	{env, "proxy_set_shared_data", ints(5), ints(1), running, proxySetSharedData},
	{env, "proxy_register_shared_queue", ints(3), ints(1), running, proxyRegisterSharedQueue},
	{env, "proxy_resolve_shared_queue", ints(5), ints(1), running, proxyResolveSharedQueue},
	{env, "proxy_enqueue_shared_queue", ints(3), ints(1), running, proxyEnqueueSharedQueue},
	{env, "proxy_dequeue_shared_queue", ints(3), ints(1), running, proxyDequeueSharedQueue},
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
