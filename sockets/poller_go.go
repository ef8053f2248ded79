package sockets

import (
	"net"
	"syscall"
	"time"
)

// goLink stands on Go's own poller: a goroutine reads, and a second one writes
// while there is a backlog.
type goLink struct {
	sock   net.Conn
	raw    syscall.RawConn // for direct reads and writes; nil: only through sock
	out    *Engine         // whose pool direct writes draw on
	ending bool            // the flusher closes, once it has written; guarded by Conn.mu
}

// lastWords is how long the end of a connection may wait for what was said before,
// where only the flusher writes.
const lastWords = time.Second

func newGoLink(e *Engine, sock net.Conn) *goLink {
	if raw := direct(bottom(sock)); raw != nil {
		_ = raw.Control(func(fd uintptr) { tune(int(fd), e.config) })
	}
	return &goLink{sock: sock, raw: direct(sock), out: e}
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
//
// Without a direct way to write, what waits tells nothing of the peer: it has not
// been tried yet. The flusher may then finish, unless the peer is known to be slow.
func (l *goLink) shut(c *Conn, stuck bool) {
	if l.raw == nil && stuck && c.code != CodeSlow {
		l.ending = true
		_ = l.sock.SetWriteDeadline(time.Now().Add(lastWords))
		_ = l.sock.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
		return
	}
	l.close(stuck)
}

func (l *goLink) close(stuck bool) {
	sock := bottom(l.sock)
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
		batch, bytes := l.batch(c)
		if bytes == 0 {
			return
		}
		_, err := batch.WriteTo(l.sock)
		c.mu.Lock()
		c.out.waiting -= bytes
		if err != nil {
			c.die(CodeAbnormal)
			c.out.waiting = 0 // of no more use
		}
		c.mu.Unlock()
	}
}

// batch takes the backlog, or ends the flusher's work.
func (l *goLink) batch(c *Conn) (net.Buffers, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.out
	if (c.state != dead || l.ending) && o.waiting > 0 {
		b := o.backlog
		o.backlog = nil
		return b, o.waiting
	}
	c.flushed()
	if l.ending {
		l.close(false)
	}
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
