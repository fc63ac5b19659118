package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

const (
	pageSize         = 1 << 16
	defaultMaxMemory = 1 << 30
)

// An Option of [Compile].
type Option func(*options)

type options struct {
	cacheDir  *string
	maxMemory uint64
}

// WithCacheDir keeps compiled code in the directory, which is made if need be.
// Empty: nowhere. Without the option it is "orgate" in [os.UserCacheDir].
func WithCacheDir(dir string) Option { return func(o *options) { o.cacheDir = &dir } }

// WithMaxMemory is the ceiling of the linear memory of each VM in bytes,
// rounded down to pages of 64 KiB, at most 4 GiB. Without the option it is
// 1 GiB, as in Envoy.
func WithMaxMemory(bytes uint64) Option { return func(o *options) { o.maxMemory = bytes } }

// Plugin is a compiled module. It may be used by several goroutines.
type Plugin struct {
	runtime wazero.Runtime
	cache   wazero.CompilationCache
	module  wazero.CompiledModule
}

// Compile compiles a module, which takes seconds for one that is not in the
// cache. Errors: [ErrImports], [ErrABI], and what wazero says of a broken one.
func Compile(ctx context.Context, wasm []byte, opts ...Option) (*Plugin, error) {
	o := options{maxMemory: defaultMaxMemory}
	for _, option := range opts {
		option(&o)
	}
	cache, err := o.cache()
	if err != nil {
		return nil, err
	}
	pages := min(o.maxMemory/pageSize, 1<<16)
	p := &Plugin{cache: cache}
	p.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().
		WithCoreFeatures(api.CoreFeaturesV2).
		WithMemoryLimitPages(uint32(pages)).
		WithCompilationCache(cache))
	if err := p.compile(ctx, wasm); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Plugin) compile(ctx context.Context, wasm []byte) (err error) {
	if p.module, err = p.runtime.CompileModule(ctx, wasm); err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	if err := checkImports(p.module); err != nil {
		return err
	}
	if err := checkExports(p.module); err != nil {
		return err
	}
	return instantiateImports(ctx, p.runtime)
}

func (o options) cache() (wazero.CompilationCache, error) {
	dir := ""
	if o.cacheDir != nil {
		dir = *o.cacheDir
	} else if user, err := os.UserCacheDir(); err == nil {
		dir = filepath.Join(user, "orgate")
	}
	if dir == "" {
		return wazero.NewCompilationCache(), nil
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	switch {
	case err == nil:
		return cache, nil
	case o.cacheDir == nil: // nobody asked for this one
		return wazero.NewCompilationCache(), nil
	default:
		return nil, fmt.Errorf("compilation cache: %w", err)
	}
}

func checkImports(module wazero.CompiledModule) error {
	var unknown []string
	for _, f := range module.ImportedFunctions() {
		from, name, _ := f.Import()
		i := slices.IndexFunc(imports, func(known hostFunction) bool {
			return known.module == from && known.name == name
		})
		switch {
		case i < 0:
			unknown = append(unknown, from+"."+name)
		case !slices.Equal(f.ParamTypes(), imports[i].params) || !slices.Equal(f.ResultTypes(), imports[i].results):
			unknown = append(unknown, from+"."+name+" (of another type)")
		}
	}
	for _, m := range module.ImportedMemories() {
		from, name, _ := m.Import()
		unknown = append(unknown, from+"."+name+" (a memory)")
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return fmt.Errorf("%w: %s", ErrImports, strings.Join(slices.Compact(unknown), ", "))
}

func checkExports(module wazero.CompiledModule) error {
	functions := module.ExportedFunctions()
	for _, name := range []string{"proxy_abi_version_0_2_1", "_initialize", exportNames[onMemoryAllocate]} {
		if functions[name] == nil {
			return fmt.Errorf("%w: no function %s", ErrABI, name)
		}
	}
	if module.ExportedMemories()["memory"] == nil {
		return fmt.Errorf("%w: no memory", ErrABI)
	}
	for callback, name := range exportNames {
		f := functions[name]
		if f == nil {
			continue
		}
		params := make([]api.ValueType, exportParams[callback])
		for i := range params {
			params[i] = api.ValueTypeI32
		}
		if !slices.Equal(f.ParamTypes(), params) || len(f.ResultTypes()) > 1 {
			return fmt.Errorf("%w: %s has another type", ErrABI, name)
		}
	}
	return nil
}

// Exports are the names of the functions that the module exports, sorted.
func (p *Plugin) Exports() []string {
	var names []string
	for name := range p.module.ExportedFunctions() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Imports are the functions that the module imports, as "module.name", sorted.
func (p *Plugin) Imports() []string {
	var names []string
	for _, f := range p.module.ImportedFunctions() {
		from, name, _ := f.Import()
		names = append(names, from+"."+name)
	}
	slices.Sort(names)
	return names
}

// Close closes the plugin and all of its VMs.
func (p *Plugin) Close() error {
	ctx := context.Background()
	return errors.Join(p.runtime.Close(ctx), p.cache.Close(ctx))
}
