package host

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// Property paths are parts joined with NUL. Of Envoy's attributes
// (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes)
// those of the plugin, the request line and headers, and the response are
// here; the embedder gives others by their paths.

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
	first, rest, more := bytes.Cut(path, []byte{0})
	switch string(first) {
	case "plugin_name":
		return []byte(g.root.config.Name), !more
	case "plugin_root_id":
		return []byte(g.root.config.RootID), !more
	case "plugin_vm_id":
		return []byte(vm.config.VMID), !more
	case "request":
		if s == nil {
			return nil, false
		}
		return s.requestProperty(string(rest))
	case "response":
		if s == nil {
			return nil, false
		}
		return s.responseProperty(string(rest))
	}
	if s == nil || more {
		return nil, false
	}
	value, ok = s.state[string(first)]
	return value, ok
}

// requestProperty reads from the request's headers, while they can be read.
func (s *Stream) requestProperty(name string) (value []byte, ok bool) {
	h := s.readable(0)
	if h == nil {
		return nil, false
	}
	path, _ := h.Get(":path")
	beforeQuery, query, _ := strings.Cut(path, "?")
	switch name {
	case "path":
		return []byte(path), true
	case "url_path":
		return []byte(beforeQuery), true
	case "query":
		query, _, _ = strings.Cut(query, "#")
		return []byte(query), true
	case "host":
		return h.property(":authority")
	case "method":
		return h.property(":method")
	case "scheme":
		return h.property(":scheme")
	case "id":
		return h.property("x-request-id")
	case "referer":
		return h.property("referer")
	case "useragent":
		return h.property("user-agent")
	case "headers":
		return h.mapProperty()
	}
	return h.headerProperty(name)
}

func (s *Stream) responseProperty(name string) (value []byte, ok bool) {
	if name == "code_details" && s.local != nil {
		return []byte(s.local.Details), true
	}
	h := s.readable(2)
	if h == nil {
		return nil, false
	}
	switch name {
	case "code":
		status, _ := h.Get(":status")
		var code uint64
		for _, digit := range []byte(status) {
			code = code*10 + uint64(digit-'0')
		}
		return binary.LittleEndian.AppendUint64(nil, code), status != ""
	case "headers":
		return h.mapProperty()
	}
	return h.headerProperty(name)
}

func (h Headers) property(name string) (value []byte, ok bool) {
	text, ok := h.Get(name)
	return []byte(text), ok
}

func (h Headers) mapProperty() (value []byte, ok bool) {
	value = make([]byte, pairsSize(h))
	marshalPairs(value, h)
	return value, true
}

// headerProperty is "headers" NUL name: all values of a header, joined.
func (h Headers) headerProperty(path string) (value []byte, ok bool) {
	name, ok := strings.CutPrefix(path, "headers\x00")
	if !ok {
		return nil, false
	}
	values := h.Values(strings.ToLower(name))
	return []byte(strings.Join(values, ",")), len(values) > 0
}
