package host

// Connection is one TCP connection.
type Connection struct {
	guest
	down, up []byte
	closed   bool
	ended    bool
}

// NewConnection creates a context and calls proxy_on_new_connection. The
// action is [Continue], [Pause] or [Reset].
func (r *Root) NewConnection() (*Connection, Action) {
	c := &Connection{}
	c.vm, c.root, c.tcp = r.vm, r, c
	if r.vm.err != nil || r.gone {
		c.closed = true
		return c, Reset
	}
	if err := c.vm.adopt(&c.guest, 0); err != nil {
		panic("host: " + err.Error()) // A free id is never taken.
	}
	c.created = true
	c.vm.call(&c.guest, onContextCreate, 0, c.id, r.id)
	return c, c.verdict(c.call(onNewConnection))
}

func (c *Connection) call(f callback, args ...uint32) (uint32, bool) {
	return c.vm.call(&c.guest, f, 0, append([]uint32{c.id}, args...)...)
}

func (c *Connection) verdict(result uint32, ok bool) Action {
	switch {
	case !ok || c.closed:
		c.closed = true
		return Reset
	case result == 0:
		return Continue
	}
	return Pause
}

// DownstreamData calls proxy_on_downstream_data.
func (c *Connection) DownstreamData(data []byte, endOfStream bool) Action {
	return c.data(2, &c.down, onDownstreamData, data, endOfStream)
}

// UpstreamData calls proxy_on_upstream_data.
func (c *Connection) UpstreamData(data []byte, endOfStream bool) Action {
	return c.data(3, &c.up, onUpstreamData, data, endOfStream)
}

func (c *Connection) data(buffer int, to *[]byte, f callback, data []byte, endOfStream bool) Action {
	if c.closed {
		return Reset
	}
	*to = append(*to, data...)
	c.buffers[buffer] = to
	action := c.verdict(c.call(f, uint32(len(*to)), flag(endOfStream)))
	if action == Continue {
		*to, c.buffers[buffer] = nil, nil
	}
	return action
}

// Close calls the callbacks for both ends, and those for the end of the
// context.
func (c *Connection) Close() {
	const remote = 2
	if c.ended {
		return
	}
	c.ended, c.closed = true, true
	if !c.created {
		return
	}
	c.call(onUpstreamConnectionClose, remote)
	c.call(onDownstreamConnectionClose, remote)
	c.call(onDone)
	c.call(onLog)
	c.call(onDelete)
	c.vm.drop(&c.guest)
}
