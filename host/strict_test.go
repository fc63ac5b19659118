package host_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orgate/host"
	"orgate/host/hosttest"
)

func compile(t *testing.T, wasm []byte, options ...host.Option) *host.Plugin {
	t.Helper()
	plugin, err := host.Compile(context.Background(), wasm, append([]host.Option{host.WithCacheDir("")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plugin.Close() })
	return plugin
}

func TestCompileRefuses(t *testing.T) {
	tests := []struct {
		name   string
		module func() []byte
		want   error
		words  []string
	}{
		{
			name: "imports that no proxy offers, each by name",
			module: func() []byte {
				var m module
				m.imported("wasi_snapshot_preview1", "path_filestat_get", []byte{i32}, []byte{i32})
				m.imported("env", "proxy_log", []byte{i32, i32, i32}, []byte{i32})
				m.imported("env", "abort", nil, nil)
				m.imported("wasi_snapshot_preview1", "sock_accept", nil, nil)
				return m.plugin()
			},
			want:  host.ErrImports,
			words: []string{"env.abort", "wasi_snapshot_preview1.path_filestat_get", "wasi_snapshot_preview1.sock_accept"},
		},
		{
			name: "a host call of another type",
			module: func() []byte {
				var m module
				m.imported("env", "proxy_log", []byte{i32, i32}, []byte{i32})
				return m.plugin()
			},
			want:  host.ErrImports,
			words: []string{"env.proxy_log (of another type)"},
		},
		{
			name: "another version of the ABI",
			module: func() []byte {
				var m module
				m.exported("proxy_abi_version_0_2_0", nil, nil)
				m.exported("_initialize", nil, nil)
				return m.bytes()
			},
			want:  host.ErrABI,
			words: []string{"proxy_abi_version_0_2_1"},
		},
		{
			name: "a callback of another type",
			module: func() []byte {
				var m module
				m.exported("proxy_on_log", []byte{i32, i32}, nil)
				return m.plugin()
			},
			want:  host.ErrABI,
			words: []string{"proxy_on_log"},
		},
		{
			name: "a module without an allocator",
			module: func() []byte {
				var m module
				m.exported("proxy_abi_version_0_2_1", nil, nil)
				m.exported("_initialize", nil, nil)
				return m.bytes()
			},
			want:  host.ErrABI,
			words: []string{"proxy_on_memory_allocate"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := host.Compile(context.Background(), tt.module(), host.WithCacheDir(""))
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			for _, word := range tt.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not name %q", err, word)
				}
			}
			if tt.want == host.ErrImports && strings.Contains(err.Error(), "proxy_log,") {
				t.Errorf("%q names what is offered", err)
			}
		})
	}
}

// TestRestrictedCalls has the guest make each host call while it
// allocates memory for the configuration, and while it initializes.
func TestRestrictedCalls(t *testing.T) {
	type call struct {
		from, name string
		params     []byte
		allocating bool
		beginning  bool
	}
	const wasi = "wasi_snapshot_preview1"
	calls := []call{
		{"env", "proxy_log", []byte{i32, i32, i32}, true, true},
		{wasi, "fd_write", []byte{i32, i32, i32, i32}, true, true},
		{wasi, "clock_time_get", []byte{i32, i64, i32}, true, true},
		{wasi, "poll_oneoff", []byte{i32, i32, i32, i32}, true, false},
		{wasi, "random_get", []byte{i32, i32}, false, true},
		{wasi, "args_sizes_get", []byte{i32, i32}, false, true},
		{wasi, "environ_get", []byte{i32, i32}, false, true},
		{wasi, "fd_fdstat_get", []byte{i32, i32}, false, true},
		{wasi, "sched_yield", nil, false, false},
		{wasi, "fd_close", []byte{i32}, false, false},
		{"env", "proxy_get_log_level", []byte{i32}, false, false},
		{"env", "proxy_get_current_time_nanoseconds", []byte{i32}, false, false},
		{"env", "proxy_get_property", []byte{i32, i32, i32, i32}, false, false},
		{"env", "proxy_get_header_map_pairs", []byte{i32, i32, i32}, false, false},
		{"env", "proxy_get_buffer_bytes", []byte{i32, i32, i32, i32, i32}, false, false},
		{"env", "proxy_set_shared_data", []byte{i32, i32, i32, i32, i32}, false, false},
		{"env", "proxy_increment_metric", []byte{i32, i64}, false, false},
		{"env", "proxy_done", nil, false, false},
	}
	code := func(m *module, c call) []byte {
		call := m.imported(c.from, c.name, c.params, []byte{i32})
		var push []byte
		for _, param := range c.params {
			if param == i64 {
				push = append(push, 0x42, 0)
			} else {
				push = append(push, constant(0)...)
			}
		}
		return slices.Concat(push, call, drop)
	}
	trapped := func(t *testing.T, err error, name string, allowed bool) {
		t.Helper()
		switch {
		case allowed && err != nil:
			t.Errorf("got %v, want no error", err)
		case !allowed && (!errors.Is(err, host.ErrTrap) || !strings.Contains(err.Error(), name)):
			t.Errorf("got %v, want a trap that names %s", err, name)
		}
	}
	for _, c := range calls {
		t.Run(c.name+" while allocating", func(t *testing.T) {
			var m module
			get := m.imported("env", "proxy_get_buffer_bytes", []byte{i32, i32, i32, i32, i32}, []byte{i32})
			body := code(&m, c)
			m.exported("proxy_on_configure", []byte{i32, i32}, []byte{i32},
				constant(7), constant(0), constant(100), constant(64), constant(68), get, drop, constant(1))
			vm, err := compile(t, m.plugin(body)).NewVM(host.Config{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = vm.NewRoot(host.RootConfig{Configuration: []byte("{}")})
			trapped(t, err, c.name, c.allocating)
		})
		t.Run(c.name+" while initializing", func(t *testing.T) {
			var m module
			body := code(&m, c)
			m.exported("proxy_abi_version_0_2_1", nil, nil)
			m.exported("_initialize", nil, nil, body)
			m.exported("proxy_on_memory_allocate", []byte{i32}, []byte{i32}, constant(4096))
			_, err := compile(t, m.bytes()).NewVM(host.Config{})
			trapped(t, err, c.name, c.beginning)
		})
	}
}

func TestMemoryOutOfBounds(t *testing.T) {
	var m module
	get := m.imported("env", "proxy_get_buffer_bytes", []byte{i32, i32, i32, i32, i32}, []byte{i32})
	log := m.imported("env", "proxy_log", []byte{i32, i32, i32}, []byte{i32})
	data := m.imported("env", "proxy_set_shared_data", []byte{i32, i32, i32, i32, i32}, []byte{i32})
	// The statuses are returned as the tick period, digit by digit.
	period := m.imported("env", "proxy_set_tick_period_milliseconds", []byte{i32}, []byte{i32})
	times, plus := []byte{0x6c}, []byte{0x6a}
	m.exported("proxy_on_configure", []byte{i32, i32}, []byte{i32},
		constant(7), constant(0), constant(100), constant(65534), constant(68), get, constant(1000), times,
		constant(2), constant(65530), constant(7), log, constant(100), times, plus,
		constant(-1), constant(1), constant(0), constant(0), constant(0), data, constant(10), times, plus,
		constant(2), constant(65536), constant(0), log, plus,
		period, drop, constant(1))
	vm, err := compile(t, m.plugin()).NewVM(host.Config{})
	if err != nil {
		t.Fatal(err)
	}
	root, err := vm.NewRoot(host.RootConfig{Configuration: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	// InvalidMemoryAccess three times; no bytes at the very end are fine.
	if got := root.TickPeriod().Milliseconds(); got != 6660 {
		t.Errorf("statuses %d, want 6660", got)
	}
}

// TestAllocatorThatLies has the guest answer null, and an address whose block
// is not in its memory.
func TestAllocatorThatLies(t *testing.T) {
	for name, address := range map[string]int{"null": 0, "beyond the memory": 65535} {
		t.Run(name, func(t *testing.T) {
			var m module
			get := m.imported("env", "proxy_get_buffer_bytes", []byte{i32, i32, i32, i32, i32}, []byte{i32})
			period := m.imported("env", "proxy_set_tick_period_milliseconds", []byte{i32}, []byte{i32})
			m.exported("proxy_on_configure", []byte{i32, i32}, []byte{i32},
				constant(7), constant(0), constant(100), constant(64), constant(68), get, period, drop, constant(1))
			m.exported("proxy_abi_version_0_2_1", nil, nil)
			m.exported("_initialize", nil, nil)
			m.exported("proxy_on_memory_allocate", []byte{i32}, []byte{i32}, constant(address))
			vm, err := compile(t, m.bytes()).NewVM(host.Config{})
			if err != nil {
				t.Fatal(err)
			}
			root, err := vm.NewRoot(host.RootConfig{Configuration: []byte("{}")})
			if err != nil {
				t.Fatal(err)
			}
			if got := host.Status(root.TickPeriod().Milliseconds()); got != host.InvalidMemoryAccess {
				t.Errorf("status %d, want %d", got, host.InvalidMemoryAccess)
			}
		})
	}
}

func TestMalformedHeaderMapTraps(t *testing.T) {
	var m module
	send := m.imported("env", "proxy_send_local_response", bytes.Repeat([]byte{i32}, 8), []byte{i32})
	m.exported("proxy_on_request_headers", []byte{i32, i32, i32}, []byte{i32},
		constant(200), constant(0), constant(0), constant(0), constant(0), constant(0), constant(5), constant(-1), send, drop, constant(1))
	vm, err := compile(t, m.plugin()).NewVM(host.Config{})
	if err != nil {
		t.Fatal(err)
	}
	root, err := vm.NewRoot(host.RootConfig{})
	if err != nil {
		t.Fatal(err)
	}
	stream := root.NewStream()
	if action := stream.RequestHeaders(get, true); action != host.Answer || stream.LocalResponse().Status != 503 {
		t.Errorf("got %s, want a 503", action)
	}
	if err := vm.Err(); err == nil || !strings.Contains(err.Error(), "malformed header map") {
		t.Errorf("got %v", err)
	}
}

// abiCallbacks are the functions that a module may export for the proxy in ABI
// 0.2.1, with those that proxies call although the specification leaves them
// out.
var abiCallbacks = []string{
	"proxy_abi_version_0_2_1",
	"proxy_on_configure",
	"proxy_on_context_create",
	"proxy_on_delete",
	"proxy_on_done",
	"proxy_on_downstream_connection_close",
	"proxy_on_downstream_data",
	"proxy_on_foreign_function",
	"proxy_on_grpc_close",
	"proxy_on_grpc_receive",
	"proxy_on_grpc_receive_initial_metadata",
	"proxy_on_grpc_receive_trailing_metadata",
	"proxy_on_http_call_response",
	"proxy_on_log",
	"proxy_on_memory_allocate",
	"proxy_on_new_connection",
	"proxy_on_queue_ready",
	"proxy_on_request_body",
	"proxy_on_request_headers",
	"proxy_on_request_metadata",
	"proxy_on_request_trailers",
	"proxy_on_response_body",
	"proxy_on_response_headers",
	"proxy_on_response_metadata",
	"proxy_on_response_trailers",
	"proxy_on_tick",
	"proxy_on_upstream_connection_close",
	"proxy_on_upstream_data",
	"proxy_on_vm_start",
}

func TestEveryCallbackIsExported(t *testing.T) {
	for _, plugin := range []*host.Plugin{hosttest.Compile(t, "testdata/probe"), hosttest.Compile(t, "testdata/headers")} {
		got := slices.DeleteFunc(plugin.Exports(), func(name string) bool { return !strings.HasPrefix(name, "proxy_") })
		if diff := cmp.Diff(abiCallbacks, got); diff != "" {
			t.Error(diff)
		}
	}
}
