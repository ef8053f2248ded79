package sockets

import (
	"net"
	"syscall"
)

// goLink stands on Go's own poller: a goroutine reads, and a second one writes
// while there is a backlog.
type goLink struct {
	sock net.Conn
	raw  syscall.RawConn // for direct reads and writes; nil: only through sock
	out  *Engine         // whose pool direct writes draw on
}

func newGoLink(e *Engine, sock net.Conn) *goLink {
	l := &goLink{sock: sock, raw: direct(sock), out: e}
	if l.raw != nil {
		_ = l.raw.Control(func(fd uintptr) { tune(int(fd), e.config) })
	}
	return l
}

func (l *goLink) remote() net.Addr { return l.sock.RemoteAddr() }

func (l *goLink) closeWrite() {
	if half, ok := l.sock.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the peer is told; if not, the wheel ends it
	}
}

// shut closes the descriptor, which wakes reader and flusher. Under TLS it goes
// without close_notify, whose write may wait for seconds: WebSocket's own close
// frame has told the peer where the stream ends.
func (l *goLink) shut(_ *Conn, stuck bool) {
	sock := l.sock
	if over, ok := sock.(interface{ NetConn() net.Conn }); ok {
		sock = over.NetConn()
	}
	if tcp, ok := sock.(*net.TCPConn); ok && stuck {
		_ = tcp.SetLinger(0)
	}
	_ = sock.Close()
}

// flush starts the flusher. The reader is still counted, so the group cannot be
// waited down to zero here.
func (l *goLink) flush(c *Conn) { c.engine.readers.Go(func() { l.drain(c) }) }

// drain writes the backlog, all that waits in one writev, until none is left. It
// is the only place that waits for a peer, in a goroutine of its own.
func (l *goLink) drain(c *Conn) {
	for {
		batch, bytes := c.batch()
		if bytes == 0 {
			return
		}
		_, err := batch.WriteTo(l.sock)
		c.mu.Lock()
		c.out.waiting -= bytes
		if err != nil {
			c.die(CodeAbnormal)
		}
		c.mu.Unlock()
	}
}

// batch takes the backlog, or ends the flusher's work.
func (c *Conn) batch() (net.Buffers, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.out
	if c.state != dead && o.waiting > 0 {
		b := o.backlog
		o.backlog = nil
		return b, o.waiting
	}
	c.flushed()
	return nil, 0
}

// read is the goroutine of one connection: it waits without a buffer, takes one
// from the pool when bytes are there, and gives it back.
func (l *goLink) read(c *Conn, early []byte) {
	defer c.finish()
	s := c.engine.pool.Get().(*scratch)
	alive := c.follow(s, early)
	c.engine.pool.Put(s)
	switch {
	case !alive:
	case l.raw != nil:
		l.readDirect(c)
	default:
		l.readSock(c)
	}
}

// readSock serves connections that hide their descriptor (TLS, listeners that
// wrap): these hold their buffer while they wait.
func (l *goLink) readSock(c *Conn) {
	s := c.engine.pool.Get().(*scratch)
	defer c.engine.pool.Put(s)
	for {
		n, err := l.sock.Read(s.buffer[:])
		if n > 0 && !c.follow(s, s.buffer[:n]) || err != nil {
			return
		}
	}
}
