package wasmfile

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// module is a WebAssembly module to be assembled.
type module struct {
	imports, exports []Function
	importMemory     bool
	memory           string // name of the exported memory, "" for none
	custom           []byte // contents of a custom section
}

// plugin returns a module that proxies load.
func plugin() module {
	return module{
		imports: []Function{
			{"env.proxy_log", "(i32 i32 i32) i32"},
			{"env.proxy_increment_metric", "(i32 i64) i32"},
			{"wasi_snapshot_preview1.fd_write", "(i32 i32 i32 i32) i32"},
			{"wasi_snapshot_preview1.proc_exit", "(i32)"},
		},
		exports: slices.Clone(called),
		memory:  "memory",
	}
}

// without returns the functions but the one named.
func without(functions []Function, name string) []Function {
	return slices.DeleteFunc(slices.Clone(functions), func(f Function) bool { return f.Name == name })
}

// assemble returns the module in the binary format (WebAssembly Core
// Specification §5). Functions that return a value trap.
func (m module) assemble() []byte {
	var types, imports, functions, exports, code []byte
	for i, f := range slices.Concat(m.imports, m.exports) {
		types = append(types, functionTypeBytes(f.Type)...)
		if i < len(m.imports) {
			from, name, _ := strings.Cut(f.Name, ".")
			imports = append(append(append(imports, label(from)...), label(name)...), 0)
			imports = append(imports, number(i)...)
			continue
		}
		functions = append(functions, number(i)...)
		exports = append(append(append(exports, label(f.Name)...), 0), number(i)...)
		code = append(code, 3, 0, 0x00, 0x0b) // 3 bytes: no locals, unreachable, end
	}
	nImports, nExports := len(m.imports), len(m.exports)
	if m.importMemory {
		imports = append(append(append(imports, label("env")...), label("memory")...), 2, 0, 1)
		nImports++
	}
	if m.memory != "" {
		exports = append(append(exports, label(m.memory)...), 2, 0)
		nExports++
	}

	wasm := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, count int, content []byte) {
		if count == 0 {
			return
		}
		content = append(number(count), content...)
		wasm = append(append(append(wasm, id), number(len(content))...), content...)
	}
	section(1, len(m.imports)+len(m.exports), types)
	section(2, nImports, imports)
	section(3, len(m.exports), functions)
	if m.memory != "" && !m.importMemory {
		section(5, 1, []byte{0, 1})
	}
	section(7, nExports, exports)
	section(10, len(m.exports), code)
	if m.custom != nil {
		content := append(label("padding"), m.custom...)
		wasm = append(append(append(wasm, 0), number(len(content))...), content...)
	}
	return wasm
}

func number(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func label(s string) []byte { return append(number(len(s)), s...) }

func functionTypeBytes(t string) []byte {
	values := map[string]byte{"i32": 0x7f, "i64": 0x7e}
	parameters, results, _ := strings.Cut(strings.TrimPrefix(t, "("), ")")
	b := []byte{0x60}
	for _, list := range []string{parameters, results} {
		names := strings.Fields(list)
		b = append(b, number(len(names))...)
		for _, name := range names {
			b = append(b, values[name])
		}
	}
	return b
}

// noise returns n bytes that gzip cannot shorten.
func noise(n int) []byte {
	b := make([]byte, 0, n+sha256.Size)
	for i := 0; len(b) < n; i++ {
		sum := sha256.Sum256(number(i))
		b = append(b, sum[:]...)
	}
	return b[:n]
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name   string
		change func(m *module)
		want   []string
	}{
		{
			name:   "plugin",
			change: func(m *module) {},
		},
		{
			name:   "everything that is offered imported",
			change: func(m *module) { m.imports = everything() },
		},
		{
			name: "import of a WASI function that Envoy lacks",
			change: func(m *module) {
				m.imports = append(m.imports, Function{"wasi_snapshot_preview1.path_filestat_get", "(i32 i32 i32 i32 i32) i32"})
			},
			want: []string{"import wasi_snapshot_preview1.path_filestat_get: Envoy 1.33 does not offer it"},
		},
		{
			name:   "import of a host call of another ABI",
			change: func(m *module) { m.imports = append(m.imports, Function{"env.proxy_continue_request", "() i32"}) },
			want:   []string{"import env.proxy_continue_request: Envoy 1.33 does not offer it"},
		},
		{
			name:   "import of an offered name from another module",
			change: func(m *module) { m.imports = append(m.imports, Function{"go.proxy_log", "(i32 i32 i32) i32"}) },
			want:   []string{"import go.proxy_log: Envoy 1.33 does not offer it"},
		},
		{
			name:   "import of another type",
			change: func(m *module) { m.imports[1].Type = "(i32 i32) i32" },
			want:   []string{"import env.proxy_increment_metric: is (i32 i32) i32, proxies offer (i32 i64) i32"},
		},
		{
			name: "memory imported",
			change: func(m *module) {
				m.importMemory = true
			},
			want: []string{"import env.memory: a plugin has a memory of its own"},
		},
		{
			name:   "callback missing",
			change: func(m *module) { m.exports = without(m.exports, "proxy_on_foreign_function") },
			want:   []string{"export proxy_on_foreign_function: missing"},
		},
		{
			name:   "callback of another type",
			change: func(m *module) { m.exports[len(m.exports)-1].Type = "(i64)" },
			want:   []string{"export proxy_on_foreign_function: is (i64), proxies call (i32 i32 i32)"},
		},
		{
			name:   "not a reactor",
			change: func(m *module) { m.exports = append(without(m.exports, "_initialize"), Function{"_start", "()"}) },
			want:   []string{"export _initialize: missing"},
		},
		{
			name:   "ABI not named",
			change: func(m *module) { m.exports = without(m.exports, abiVersion) },
			want:   []string{"export proxy_abi_version_0_2_1: missing"},
		},
		{
			name:   "two ABIs named",
			change: func(m *module) { m.exports = append(m.exports, Function{"proxy_abi_version_0_2_0", "()"}) },
			want:   []string{"export proxy_abi_version_0_2_0: contradicts proxy_abi_version_0_2_1"},
		},
		{
			name:   "no memory exported",
			change: func(m *module) { m.memory = "" },
			want:   []string{"export memory: missing"},
		},
		{
			name:   "memory under another name",
			change: func(m *module) { m.memory = "mem" },
			want:   []string{"export memory: missing"},
		},
		{
			name: "several things",
			change: func(m *module) {
				m.imports = []Function{{"env.b", "()"}, {"env.a", "()"}}
				m.exports = nil
				m.memory = ""
			},
			want: func() []string {
				want := []string{"import env.a: Envoy 1.33 does not offer it", "import env.b: Envoy 1.33 does not offer it"}
				for _, f := range called {
					want = append(want, "export "+f.Name+": missing")
				}
				return append(want, "export memory: missing")
			}(),
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := plugin()
			test.change(&m)
			if diff := cmp.Diff(test.want, Check(m.assemble())); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

// everything returns all that proxies offer, as imports.
func everything() []Function {
	var all []Function
	for name, t := range offered {
		all = append(all, Function{name, t})
	}
	return all
}

// The size is judged at the byte.
func TestCheckSizeAtTheLimit(t *testing.T) {
	m := plugin()
	m.custom = []byte{}
	rest := MaxSize - len(m.assemble())
	m.custom = make([]byte, rest)
	excess := len(m.assemble()) - MaxSize // the section's length takes more bytes, too
	m.custom = m.custom[:rest-excess-1]
	if diff := cmp.Diff([]string(nil), Check(m.assemble())); diff != "" {
		t.Errorf("one byte less (-want +got):\n%s", diff)
	}
	m.custom = append(m.custom, 0)
	if diff := cmp.Diff([]string{"size: 5242880 bytes, must be under 5242880"}, Check(m.assemble())); diff != "" {
		t.Errorf("at the limit (-want +got):\n%s", diff)
	}
}

func TestCheckGzippedSize(t *testing.T) {
	m := plugin()
	m.custom = noise(MaxGzipped) // in gzip's wrapping, a little more
	got := Check(m.assemble())
	if len(got) != 1 || !strings.HasSuffix(got[0], " bytes gzipped, must be under 1468006") {
		t.Errorf("got %q, want one violation", got)
	}
}

func TestCheckOfWhatIsNoModule(t *testing.T) {
	tests := []struct {
		name string
		wasm []byte
	}{
		{"nothing", nil},
		{"text", []byte("(module)")},
		{"cut short", plugin().assemble()[:100]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Check(test.wasm); len(got) != 1 {
				t.Errorf("got %q, want one violation", got)
			}
		})
	}
}

func TestRead(t *testing.T) {
	m := module{
		imports: []Function{
			{"env.proxy_log", "(i32 i32 i32) i32"},
			{"env.proxy_done", "() i32"},
			{"env.proxy_log", "(i32 i32 i32) i32"},
		},
		exports: []Function{{"b", "(i64)"}, {"a", "()"}},
		memory:  "memory",
	}
	wasm := m.assemble()
	got, err := Read(wasm)
	if err != nil {
		t.Fatal(err)
	}
	want := &File{
		Size:             len(wasm),
		Gzipped:          got.Gzipped,
		Imports:          []Function{{"env.proxy_done", "() i32"}, {"env.proxy_log", "(i32 i32 i32) i32"}},
		Exports:          []Function{{"a", "()"}, {"b", "(i64)"}},
		ExportedMemories: []string{"memory"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
