package host

import "bytes"

// Property paths are parts joined with NUL. Of Envoy's attributes
// (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes)
// those of the plugin are here; the embedder gives others by their paths.

func proxyGetProperty(vm *VM, stack []uint64) uint32 {
	path, ok := vm.read(stack[0], stack[1])
	if !ok {
		return uint32(InvalidMemoryAccess)
	}
	value, ok := vm.property(vm.context(), path)
	if !ok {
		return uint32(NotFound)
	}
	return uint32(vm.give(value, stack[2], stack[3]))
}

// proxySetProperty sets the filter state of a stream. The path is one name, NUL
// bytes included: what is set as two parts cannot be read back, as in Envoy.
func proxySetProperty(vm *VM, stack []uint64) uint32 {
	path, pathOK := vm.read(stack[0], stack[1])
	value, valueOK := vm.read(stack[2], stack[3])
	if !pathOK || !valueOK {
		return uint32(InvalidMemoryAccess)
	}
	s := vm.context().stream
	if s == nil {
		return uint32(NotFound)
	}
	if s.state == nil {
		s.state = make(map[string][]byte)
	}
	s.state[string(path)] = append([]byte{}, value...)
	return uint32(OK)
}

// property finds what the embedder gave, then what the host knows, then what
// the plugin set.
func (vm *VM) property(g *guest, path []byte) (value []byte, ok bool) {
	s := g.stream
	if s != nil {
		if value, ok := s.properties[string(path)]; ok {
			return value, true
		}
	}
	if g.root != nil {
		if value, ok := g.root.config.Properties[string(path)]; ok {
			return value, true
		}
	}
	first, _, more := bytes.Cut(path, []byte{0})
	switch string(first) {
	case "plugin_name":
		return []byte(g.root.config.Name), !more
	case "plugin_root_id":
		return []byte(g.root.config.RootID), !more
	case "plugin_vm_id":
		return []byte(vm.config.VMID), !more
	}
	if s == nil || more {
		return nil, false
	}
	value, ok = s.state[string(first)]
	return value, ok
}
