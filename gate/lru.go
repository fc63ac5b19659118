package gate

// lru keeps values by key, the most recently used ones, up to a number of
// entries and a number of bytes. The zero value keeps nothing.
//
// Keys are compared as a whole: what is found was put under this very key.
type lru[V any] struct {
	maxEntries int
	maxBytes   int

	entries map[string]*lruEntry[V]
	bytes   int
	// Entries form a ring: root.next is the most recently used one, root.prev
	// the least.
	root lruEntry[V]
}

type lruEntry[V any] struct {
	next, prev *lruEntry[V]
	key        string
	size       int
	value      V
}

func newLRU[V any](maxEntries, maxBytes int) *lru[V] {
	c := &lru[V]{maxEntries: maxEntries, maxBytes: maxBytes, entries: map[string]*lruEntry[V]{}}
	c.root.next, c.root.prev = &c.root, &c.root
	return c
}

// get returns the value under the key, which becomes the most recently used.
func (c *lru[V]) get(key string) (value V, ok bool) {
	e := c.entries[key]
	if e == nil {
		return value, false
	}
	if c.root.next != e {
		e.unlink()
		c.link(e)
	}
	return e.value, true
}

// put keeps a value, taking size bytes beside the key, and drops the least
// recently used ones that there is no room for any more. A value that there is
// no room for at all is not kept. If there is a value under the key already, the
// key that it was put under stays.
func (c *lru[V]) put(key string, value V, size int) {
	if e := c.entries[key]; e != nil {
		key = e.key
		c.drop(e)
	}
	size += len(key)
	if c.maxEntries <= 0 || size > c.maxBytes {
		return
	}
	for len(c.entries) >= c.maxEntries || c.bytes+size > c.maxBytes {
		c.drop(c.root.prev)
	}
	e := &lruEntry[V]{key: key, size: size, value: value}
	c.entries[key] = e
	c.bytes += size
	c.link(e)
}

// hasRoom reports whether a value of a size, its key included, would drive none out.
func (c *lru[V]) hasRoom(size int) bool {
	return len(c.entries) < c.maxEntries && c.bytes+size <= c.maxBytes
}

// remove drops what is under the key, if anything is.
func (c *lru[V]) remove(key string) {
	if e := c.entries[key]; e != nil {
		c.drop(e)
	}
}

func (c *lru[V]) drop(e *lruEntry[V]) {
	delete(c.entries, e.key)
	c.bytes -= e.size
	e.unlink()
}

// link makes the entry the most recently used one.
func (c *lru[V]) link(e *lruEntry[V]) {
	e.prev, e.next = &c.root, c.root.next
	e.prev.next, e.next.prev = e, e
}

func (e *lruEntry[V]) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
}
