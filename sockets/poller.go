package sockets

// read is the goroutine of one connection: it waits without a buffer, takes one
// from the pool when bytes are there, and gives it back.
func (c *Conn) read(early []byte) {
	defer c.engine.readers.Done()
	defer c.finish()
	s := c.engine.pool.Get().(*scratch)
	alive := c.take(s, early)
	c.engine.pool.Put(s)
	switch {
	case !alive:
	case c.raw != nil:
		c.readDirect()
	default:
		c.readSock()
	}
}

// readSock serves connections that hide their descriptor (TLS, listeners that
// wrap): these hold their buffer while they wait.
func (c *Conn) readSock() {
	s := c.engine.pool.Get().(*scratch)
	defer c.engine.pool.Put(s)
	for {
		n, err := c.sock.Read(s.buffer[:])
		if n > 0 && !c.take(s, s.buffer[:n]) || err != nil {
			return
		}
	}
}
