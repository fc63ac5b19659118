package host

import (
	"bytes"
	"sync"
)

// SharedData is what VMs share: keys and queues, apart for each VM id. It may
// be used by several goroutines.
type SharedData struct {
	mu      sync.Mutex
	data    map[sharedKey]sharedValue
	lastCAS uint32
	names   map[sharedKey]uint32 // queue ids
	queues  map[uint32]*queue
	ready   map[*VM][]queueReady
}

type sharedKey struct{ vmID, key string }

type sharedValue struct {
	value []byte // never written to
	cas   uint32
}

type queue struct {
	vm      *VM // that registered it last
	context uint32
	items   [][]byte
}

type queueReady struct{ context, queue uint32 }

// NewSharedData returns an empty one.
func NewSharedData() *SharedData {
	return &SharedData{
		data:   make(map[sharedKey]sharedValue),
		names:  make(map[sharedKey]uint32),
		queues: make(map[uint32]*queue),
		ready:  make(map[*VM][]queueReady),
	}
}

// Get is the value under a key, and the number that a compare-and-swap needs.
func (s *SharedData) Get(vmID, key string) (value []byte, cas uint32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, ok := s.data[sharedKey{vmID, key}]
	return entry.value, entry.cas, ok
}

// Set stores a value. A cas other than 0 must be that of the stored value, if
// there is one: else [CasMismatch].
func (s *SharedData) Set(vmID, key string, value []byte, cas uint32) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, ok := s.data[sharedKey{vmID, key}]
	if ok && cas != 0 && cas != entry.cas {
		return CasMismatch
	}
	s.lastCAS++
	if s.lastCAS == 0 {
		s.lastCAS++
	}
	s.data[sharedKey{vmID, key}] = sharedValue{bytes.Clone(value), s.lastCAS}
	return OK
}

func (s *SharedData) register(vm *VM, context uint32, name string) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sharedKey{vm.config.VMID, name}
	id := s.names[key]
	if id == 0 {
		id = uint32(len(s.names)) + 1
		s.names[key] = id
		s.queues[id] = &queue{}
	}
	s.queues[id].vm, s.queues[id].context = vm, context
	return id
}

func (s *SharedData) resolve(vmID, name string) (id uint32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok = s.names[sharedKey{vmID, name}]
	return id, ok
}

func (s *SharedData) enqueue(id uint32, item []byte) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[id]
	if q == nil {
		return NotFound
	}
	q.items = append(q.items, bytes.Clone(item))
	if q.vm != nil {
		s.ready[q.vm] = append(s.ready[q.vm], queueReady{q.context, id})
	}
	return OK
}

func (s *SharedData) dequeue(id uint32) ([]byte, Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[id]
	if q == nil {
		return nil, NotFound
	}
	if len(q.items) == 0 {
		return nil, Empty
	}
	item := q.items[0]
	q.items = q.items[1:]
	return item, OK
}

func (s *SharedData) takeReady(vm *VM) []queueReady {
	s.mu.Lock()
	defer s.mu.Unlock()
	ready := s.ready[vm]
	delete(s.ready, vm)
	return ready
}

// forget drops what refers to a VM that is gone. What it shared stays.
func (s *SharedData) forget(vm *VM) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ready, vm)
	for _, q := range s.queues {
		if q.vm == vm {
			q.vm = nil
		}
	}
}
