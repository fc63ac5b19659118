package host

import (
	"bytes"
	"sync"
)

// SharedData is what VMs share, apart for each VM id. It may be used by several
// goroutines.
type SharedData struct {
	mu      sync.Mutex
	data    map[sharedKey]sharedValue
	lastCAS uint32
}

type sharedKey struct{ vmID, key string }

type sharedValue struct {
	value []byte // never written to
	cas   uint32
}

// NewSharedData returns an empty one.
func NewSharedData() *SharedData { return &SharedData{data: make(map[sharedKey]sharedValue)} }

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
