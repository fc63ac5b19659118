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
	if faults := importFaults(p.module); len(faults) > 0 {
		return fmt.Errorf("%w: %s", ErrImports, strings.Join(faults, ", "))
	}
	if faults := exportFaults(p.module, func(name string) bool {
		return slices.Contains(required,
			name)
	}); len(faults) > 0 {
		return fmt.Errorf("%w: %s", ErrABI, strings.Join(faults, ", "))
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

// Faults says what keeps the module from being a plugin for every proxy, beyond
// what [Compile] asks for: some crash if a callback is not exported.
func (p *Plugin) Faults() []string {
	return exportFaults(p.module, func(string) bool { return true })
}

// Imports are the functions that the module imports, as "module.name", sorted.
func (p *Plugin) Imports() []string {
	var names []string
	for _, f := range p.module.ImportedFunctions() {
		from, name, _ := f.Import()
		names = append(names, from+"."+name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Close closes the plugin and all of its VMs.
func (p *Plugin) Close() error {
	ctx := context.Background()
	return errors.Join(p.runtime.Close(ctx), p.cache.Close(ctx))
}
