package harness

import (
	"bytes"
	"encoding/binary"
	"net"
	"sync"
	"testing"

	"github.com/gobwas/ws"
)

// Relay passes bytes between clients and a gateway, and does to its connections what
// networks and gateways do to them.
type Relay struct {
	t        testing.TB
	listener net.Listener
	run      sync.WaitGroup
	over     chan struct{} // closed when the test ends
	mu       sync.Mutex
	to       string
	clients  map[net.Conn]bool
	frozen   bool
	last     []byte // what the last frame of the connection to be cut contains
}

// Listen gives a listener on loopback.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// NewRelay starts a relay to an address. It ends with the test.
func NewRelay(t testing.TB, to string) *Relay {
	t.Helper()
	r := &Relay{t: t, listener: Listen(t), to: to, over: make(chan struct{}), clients: make(map[net.Conn]bool)}
	r.run.Go(func() {
		for {
			client, err := r.listener.Accept()
			if err != nil {
				return
			}
			r.run.Go(func() { r.pass(client) })
		}
	})
	t.Cleanup(func() {
		_ = r.listener.Close()
		close(r.over)
		r.End(0)
		r.run.Wait()
	})
	return r
}

// Port is where clients find it.
func (r *Relay) Port() string {
	_, port, _ := net.SplitHostPort(r.listener.Addr().String())
	return port
}

// pass serves one client until either side ends.
func (r *Relay) pass(client net.Conn) {
	defer client.Close()
	r.mu.Lock()
	to := r.to
	r.mu.Unlock()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	r.mu.Lock()
	r.clients[client] = true
	r.mu.Unlock()
	r.run.Go(func() {
		r.pump(server, client, func(chunk []byte) (pass []byte, last bool) { return chunk, false })
		_ = server.Close()
	})
	var torn []byte
	r.pump(client, server, func(chunk []byte) (pass []byte, last bool) {
		pass, torn, last = r.upToLast(append(torn, chunk...))
		return pass, last
	})
	r.mu.Lock()
	delete(r.clients, client)
	r.mu.Unlock()
}

// pump passes what cut lets pass, until that was the last.
func (r *Relay) pump(to, from net.Conn, cut func(chunk []byte) (pass []byte, last bool)) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		r.mu.Lock()
		frozen := r.frozen
		r.mu.Unlock()
		if frozen {
			<-r.over
			return
		}
		pass, last := cut(buffer[:n])
		if _, failed := to.Write(pass); failed != nil || err != nil || last {
			return
		}
	}
}

// upToLast takes off what of a gateway's bytes may pass: all, or where a last frame
// is looked for, whole frames up to it.
func (r *Relay) upToLast(b []byte) (pass, torn []byte, last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		return b, nil, false
	}
	n := 0
	for !last {
		h, err := ws.ReadHeader(bytes.NewReader(b[n:]))
		end := n + ws.HeaderSize(h) + int(h.Length)
		if err != nil || end > len(b) {
			break
		}
		last = bytes.Contains(b[n:end], r.last)
		n = end
	}
	if last {
		r.last = nil
	}
	return b[:n], bytes.Clone(b[n:]), last
}

// Lead has the connections that are made from now on go to another address.
func (r *Relay) Lead(to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = to
}

// Freeze lets nothing pass any more, either way, and closes nothing: to both ends it
// is as if the network were gone.
func (r *Relay) Freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frozen = true
}

// CutBehind cuts a connection right behind the next frame of the gateway's that
// contains the text. It is called while the connections are idle: a relay of such is
// between two frames.
func (r *Relay) CutBehind(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = []byte(text)
}

// End ends all connections: with a close frame, as a gateway would that goes down, or
// with code 0 just so.
func (r *Relay) End(code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for client := range r.clients {
		if code == 0 {
			_ = client.Close()
			continue
		}
		// RFC 6455 §5.5.1; the connection is idle here too.
		_, _ = client.Write(binary.BigEndian.AppendUint16([]byte{0x88, 2}, uint16(code)))
		if c, ok := client.(*net.TCPConn); ok {
			_ = c.CloseWrite() // a full close might overtake the frame
		}
	}
}
