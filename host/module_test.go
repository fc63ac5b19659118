package host_test

import (
	"cmp"
	"slices"
)

// module writes small WebAssembly modules, for what no Go guest can be made to
// do.
type module struct {
	types     [][]byte
	imports   [][]byte
	functions [][]byte // type indexes
	exports   [][]byte
	codes     [][]byte
	memory    string // the name of the exported memory, if it is another than "memory"
	noMemory  bool   // of its own: it is imported
}

const i32, i64 = 0x7f, 0x7e

func leb(n int) []byte {
	var out []byte
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

func uleb(n int) []byte {
	var out []byte
	for n >= 0x80 {
		out = append(out, byte(n)|0x80)
		n >>= 7
	}
	return append(out, byte(n))
}

func vector(items [][]byte) []byte { return append(uleb(len(items)), slices.Concat(items...)...) }

func sized(b []byte) []byte { return append(uleb(len(b)), b...) }

func (m *module) typeOf(params, results []byte) []byte {
	m.types = append(m.types, slices.Concat([]byte{0x60}, sized(params), sized(results)))
	return uleb(len(m.types) - 1)
}

// imported adds an import before all functions, and returns a call of it.
func (m *module) imported(from, name string, params, results []byte) []byte {
	m.imports = append(m.imports, slices.Concat(sized([]byte(from)), sized([]byte(name)), []byte{0},
		m.typeOf(params, results)))
	return append([]byte{0x10}, uleb(len(m.imports)-1)...)
}

// exported adds a function with the given instructions.
func (m *module) exported(name string, params, results []byte, code ...[]byte) {
	m.functions = append(m.functions, m.typeOf(params, results))
	index := uleb(len(m.imports) + len(m.functions) - 1)
	m.exports = append(m.exports, slices.Concat(sized([]byte(name)), []byte{0}, index))
	m.codes = append(m.codes, sized(slices.Concat([]byte{0}, slices.Concat(code...), []byte{0x0b})))
}

// constant pushes a number.
func constant(n int) []byte { return append([]byte{0x41}, leb(n)...) }

// drop drops one.
var drop = []byte{0x1a}

func (m *module) bytes() []byte {
	section := func(id byte, content []byte) []byte { return append([]byte{id}, sized(content)...) }
	memories := section(5, []byte{1, 0, 1})
	if m.noMemory {
		memories = nil
	}
	exports := append(slices.Clone(m.exports), slices.Concat(sized([]byte(cmp.Or(m.memory, "memory"))), []byte{2, 0}))
	return slices.Concat(
		[]byte("\x00asm\x01\x00\x00\x00"),
		section(1, vector(m.types)),
		section(2, vector(m.imports)),
		section(3, vector(m.functions)),
		memories,
		section(7, vector(exports)),
		section(10, vector(m.codes)),
	)
}

// plugin adds what every plugin has. Allocation runs the given instructions and
// answers the address 4096.
func (m *module) plugin(whileAllocating ...[]byte) []byte {
	m.exported("proxy_abi_version_0_2_1", nil, nil)
	m.exported("_initialize", nil, nil)
	m.exported("proxy_on_memory_allocate", []byte{i32}, []byte{i32}, slices.Concat(whileAllocating...), constant(4096))
	return m.bytes()
}
