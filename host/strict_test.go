package host_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

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
	importing := func(from, name string, params, results []byte) func(*module) {
		return func(m *module) { m.imported(from, name, params, results) }
	}
	begin := func(m *module) {
		m.exported("proxy_abi_version_0_2_1", nil, nil)
		m.exported("_initialize", nil, nil)
	}
	allocate := func(m *module) { m.exported("proxy_on_memory_allocate", []byte{i32}, []byte{i32}, constant(4096)) }
	whole := func(m *module) { begin(m); allocate(m) }
	const missing, offers = ": missing", ": Envoy 1.33 does not offer it"
	tests := []struct {
		name   string
		module []func(*module)
		want   error // host.ErrImports or host.ErrABI
		faults string
	}{
		{"a WASI function and a host call that no proxy offers", []func(*module){
			importing("wasi_snapshot_preview1", "path_filestat_get", []byte{i32}, []byte{i32}),
			importing("env", "proxy_log", []byte{i32, i32, i32}, []byte{i32}),
			importing("env", "proxy_continue_request", nil, nil),
			importing("env", "proxy_continue_request", nil, nil), whole,
		}, host.ErrImports, "import env.proxy_continue_request" + offers +
			", import wasi_snapshot_preview1.path_filestat_get" + offers},
		{"an offered name of another module", []func(*module){importing("go", "proxy_log", []byte{i32, i32, i32},
			[]byte{i32}), whole},
			host.ErrImports, "import go.proxy_log" + offers},
		{"a host call of another type", []func(*module){importing("env", "proxy_increment_metric", []byte{i32, i32},
			[]byte{i32}), whole},
			host.ErrImports, "import env.proxy_increment_metric: is (i32 i32) i32, proxies offer (i32 i64) i32"},
		{"a memory", []func(*module){whole, func(m *module) {
			m.imports,
				m.noMemory = [][]byte{[]byte("\x03env\x06memory\x02\x00\x01")}, true
		}},
			host.ErrImports, "import env.memory: a plugin has a memory of its own"},
		{"another version of the ABI", []func(*module){whole,
			func(m *module) { m.exported("proxy_abi_version_0_2_0", nil, nil) }},
			host.ErrABI, "export proxy_abi_version_0_2_0: contradicts proxy_abi_version_0_2_1"},
		{"no version of the ABI", []func(*module){allocate, func(m *module) { m.exported("_initialize", nil, nil) }},
			host.ErrABI, "export proxy_abi_version_0_2_1" + missing},
		{"no reactor", []func(*module){allocate, func(m *module) {
			m.exported("proxy_abi_version_0_2_1", nil,
				nil)
			m.exported("_start", nil, nil)
		}},
			host.ErrABI, "export _initialize" + missing},
		{"a callback of another type", []func(*module){whole,
			func(m *module) { m.exported("proxy_on_log", []byte{i32, i32}, nil) }},
			host.ErrABI, "export proxy_on_log: is (i32 i32), proxies call (i32)"},
		{"a callback that answers what it should not", []func(*module){whole,
			func(m *module) { m.exported("proxy_on_foreign_function", []byte{i64}, nil) }},
			host.ErrABI, "export proxy_on_foreign_function: is (i64), proxies call (i32 i32 i32)"},
		{"no allocator", []func(*module){begin}, host.ErrABI, "export proxy_on_memory_allocate" + missing},
		{"the memory under another name", []func(*module){whole, func(m *module) { m.memory = "mem" }}, host.ErrABI,
			"export memory" + missing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m module
			for _, change := range tt.module {
				change(&m)
			}
			_, err := host.Compile(context.Background(), m.bytes(), host.WithCacheDir(""))
			if !errors.Is(err, tt.want) || err.Error() != tt.want.Error()+": "+tt.faults {
				t.Errorf("got %v, want %v: %s", err, tt.want, tt.faults)
			}
		})
	}
}

// TestFaults: a proxy may crash on each callback that is not exported.
func TestFaults(t *testing.T) {
	var m module
	faults := compile(t, m.plugin()).Faults()
	if len(faults) != 27 || !slices.Contains(faults, "export proxy_on_foreign_function: missing") {
		t.Errorf("faults of a module with no callbacks: %q", faults)
	}
	for _, guest := range []string{"testdata/probe", "testdata/headers"} {
		if faults := hosttest.Compile(t, guest).Faults(); len(faults) > 0 {
			t.Errorf("%s: %q", guest, faults)
		}
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
		constant(200), constant(0), constant(0), constant(0), constant(0), constant(0), constant(5), constant(-1), send,
		drop, constant(1))
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
