package sdk

import (
	"bytes"
	"encoding/binary"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// lineWait is how long a client is kept while the gateway restarts, as a load
// balancer does: pusher-js waits 15 s after an attempt that was refused.
const lineWait = 10 * time.Second

// line is a TCP proxy before the gateway that breaks its connections when told.
type line struct {
	l    net.Listener
	to   string
	all  sync.WaitGroup
	mu   sync.Mutex
	open map[*wire]struct{}
	next []byte // what the next connection is cut before
}

// wire is one connection over the line.
type wire struct {
	near, far net.Conn
	mu        sync.Mutex // held while bytes go to the client
	left      int        // bytes until the cut; negative: as many as there are
	before    []byte     // is not let through; empty: all is
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &line{l: l, to: to, open: map[*wire]struct{}{}}
	p.all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.pass(near) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.each((*wire).cut)
		p.all.Wait()
	})
	return p
}

func (p *line) port() string { return strconv.Itoa(p.l.Addr().(*net.TCPAddr).Port) }

// pass carries one connection until either side ends it.
func (p *line) pass(near net.Conn) {
	far, err := p.reach()
	if err != nil {
		_ = near.Close()
		return
	}
	w := &wire{near: near, far: far, left: -1}
	p.mu.Lock()
	w.before, p.next = p.next, nil
	p.open[w] = struct{}{}
	p.mu.Unlock()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = near.(*net.TCPConn).WriteTo(far)
		_ = far.Close()
	})
	w.down()
	up.Wait()
	p.mu.Lock()
	delete(p.open, w)
	p.mu.Unlock()
}

// reach connects to the gateway, also when that is about to start again.
func (p *line) reach() (net.Conn, error) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(lineWait); ; <-again.C {
		far, err := net.Dial("tcp", p.to)
		if err == nil || time.Now().After(end) {
			return far, err
		}
	}
}

// down carries bytes to the client, up to the cut.
func (w *wire) down() {
	buffer := make([]byte, 16<<10)
	for {
		n, err := w.far.Read(buffer)
		w.mu.Lock()
		n, cut := w.keep(buffer[:n])
		_, _ = w.near.Write(buffer[:n])
		w.mu.Unlock()
		if cut {
			w.end() // after what has come, so that the client sees the torn frame
			return
		}
		if err != nil {
			w.end()
			return
		}
	}
}

// keep tells how many of the bytes go through, and whether that is the end. w.mu is held.
func (w *wire) keep(p []byte) (n int, cut bool) {
	if i := bytes.Index(p, w.before); len(w.before) > 0 && i >= 0 {
		return i, true
	}
	if w.left < 0 {
		return len(p), false
	}
	if len(p) >= w.left {
		return w.left, true
	}
	w.left -= len(p)
	return len(p), false
}

func (w *wire) end() { _, _ = w.near.Close(), w.far.Close() }

// cut resets the connection on both sides.
func (w *wire) cut() {
	for _, c := range []net.Conn{w.near, w.far} {
		_ = c.(*net.TCPConn).SetLinger(0)
	}
	w.end()
}

// closeWith ends the connection as the gateway would, with a code. It must be quiet.
func (w *wire) closeWith(code uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = w.near.Write(binary.BigEndian.AppendUint16([]byte{0x88, 2}, code))
}

func (p *line) each(do func(*wire)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.open {
		do(w)
	}
}

// eventBytes is how an event begins on the wire.
func eventBytes(name string) []byte { return []byte(`{"event":"` + name + `"`) }
