// Package wasmfile checks that a built plugin is one that proxies load: that it
// imports nothing that the oldest supported proxy does not offer, exports every
// callback that a host may call, and is small.
//
// A proxy refuses a plugin with an import it does not know, so one careless
// dependency is enough; some hosts crash on a callback that is missing. Both
// are seen here without a proxy.
package wasmfile

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// A plugin must be smaller than this, as it is and after gzip -9, in bytes.
const (
	MaxSize    = 5 << 20
	MaxGzipped = 14 << 20 / 10
)

// File is what a WebAssembly module says about itself.
type File struct {
	Size    int // bytes
	Gzipped int // bytes, after gzip -9
	// Functions by name, imports as "module.name", both sorted by name.
	Imports, Exports []Function
	// Names of imported and exported memories, imports as "module.name".
	ImportedMemories, ExportedMemories []string
}

// Function is a function at a module's border.
type Function struct {
	Name string
	// Type lists the types of parameters and results, such as
	// "(i32 i64) i32".
	Type string
}

// Read reads a WebAssembly module. Its code is validated, and never run.
func Read(wasm []byte) (*File, error) {
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer runtime.Close(ctx)
	module, err := runtime.CompileModule(ctx, wasm)
	if err != nil {
		return nil, err
	}
	f := &File{Size: len(wasm), Gzipped: gzipped(wasm)}
	for _, function := range module.ImportedFunctions() {
		from, name, _ := function.Import()
		f.Imports = append(f.Imports, Function{from + "." + name, typeOf(function)})
	}
	for name, function := range module.ExportedFunctions() {
		f.Exports = append(f.Exports, Function{name, typeOf(function)})
	}
	for _, memory := range module.ImportedMemories() {
		from, name, _ := memory.Import()
		f.ImportedMemories = append(f.ImportedMemories, from+"."+name)
	}
	for name := range module.ExportedMemories() {
		f.ExportedMemories = append(f.ExportedMemories, name)
	}
	byName := func(a, b Function) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(f.Imports, byName)
	f.Imports = slices.Compact(f.Imports) // the compiler imports some twice
	slices.SortFunc(f.Exports, byName)
	slices.Sort(f.ExportedMemories)
	return f, nil
}

// Check returns what keeps the module from being a plugin, sorted by what was
// looked at: imports, exports, size. None means that it is one.
func (f *File) Check() []string {
	var violations []string
	violation := func(format string, args ...any) {
		violations = append(violations, fmt.Sprintf(format, args...))
	}
	for _, imported := range f.Imports {
		want, offered := offered[imported.Name]
		switch {
		case !offered:
			violation("import %s: Envoy 1.33 does not offer it", imported.Name)
		case imported.Type != want:
			violation("import %s: is %s, proxies offer %s", imported.Name, imported.Type, want)
		}
	}
	for _, name := range f.ImportedMemories {
		violation("import %s: a plugin has a memory of its own", name)
	}

	exports := map[string]string{}
	for _, exported := range f.Exports {
		exports[exported.Name] = exported.Type
		if strings.HasPrefix(exported.Name, "proxy_abi_version_") && exported.Name != abiVersion {
			violation("export %s: contradicts %s", exported.Name, abiVersion)
		}
	}
	for _, want := range called {
		got, ok := exports[want.Name]
		switch {
		case !ok:
			violation("export %s: missing", want.Name)
		case got != want.Type:
			violation("export %s: is %s, proxies call %s", want.Name, got, want.Type)
		}
	}
	if !slices.Contains(f.ExportedMemories, "memory") {
		violation("export memory: missing")
	}

	if f.Size >= MaxSize {
		violation("size: %d bytes, must be under %d", f.Size, MaxSize)
	}
	if f.Gzipped >= MaxGzipped {
		violation("size: %d bytes gzipped, must be under %d", f.Gzipped, MaxGzipped)
	}
	return violations
}

// Check reads a module and returns what keeps it from being a plugin.
func Check(wasm []byte) []string {
	f, err := Read(wasm)
	if err != nil {
		return []string{err.Error()}
	}
	return f.Check()
}

func gzipped(data []byte) int {
	var b bytes.Buffer
	// Neither can fail: the level is valid, and a buffer takes everything.
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	w.Write(data)
	w.Close()
	return b.Len()
}

func typeOf(f api.FunctionDefinition) string {
	t := "(" + typeNames(f.ParamTypes()) + ")"
	if results := f.ResultTypes(); len(results) > 0 {
		t += " " + typeNames(results)
	}
	return t
}

func typeNames(types []api.ValueType) string {
	var names []string
	for _, t := range types {
		names = append(names, api.ValueTypeName(t))
	}
	return strings.Join(names, " ")
}
