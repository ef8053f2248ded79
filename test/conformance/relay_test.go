package conformance

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
)

// relay passes bytes between clients and the gateway, and can end its connections:
// with a close frame, as a gateway would that goes down, or just so.
type relay struct {
	t        *testing.T
	listener net.Listener
	to       string
	run      sync.WaitGroup
	mu       sync.Mutex
	clients  map[net.Conn]bool
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newRelay(t *testing.T, to string) *relay {
	r := &relay{t: t, listener: listen(t), to: to, clients: make(map[net.Conn]bool)}
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
		r.end(0)
		r.run.Wait()
	})
	return r
}

func (r *relay) port() string {
	_, port, _ := net.SplitHostPort(r.listener.Addr().String())
	return port
}

// pass serves one client until either side ends.
func (r *relay) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer server.Close()
	r.mu.Lock()
	r.clients[client] = true
	r.mu.Unlock()
	r.run.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
	_, _ = io.Copy(client, server)
	r.mu.Lock()
	delete(r.clients, client)
	r.mu.Unlock()
}

// end ends all connections; code 0 cuts them.
func (r *relay) end(code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for client := range r.clients {
		if code == 0 {
			_ = client.Close()
			continue
		}
		// RFC 6455 §5.5.1; a relay of an idle connection is between two frames.
		_, _ = client.Write(binary.BigEndian.AppendUint16([]byte{0x88, 2}, uint16(code)))
		if c, ok := client.(*net.TCPConn); ok {
			_ = c.CloseWrite() // a full close might overtake the frame
		}
	}
}
