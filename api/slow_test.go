package api

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are pipes, which know a bubble's time.
type pipes struct {
	come chan net.Conn
	once sync.Once
	done chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.come:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A client that lets a server wait is cut off, wherever it stops; one byte now and
// then does not help it.
func TestClientsThatLetUsWait(t *testing.T) {
	upgrade := "GET /app/k HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Filling: "
	for name, c := range map[string]struct {
		says string
		then string // a byte of it each second
		tls  bool
		most time.Duration
	}{
		"says nothing":             {most: ReadHeaderTimeout},
		"half an upgrade":          {says: upgrade, most: ReadHeaderTimeout},
		"an upgrade byte by byte":  {then: upgrade, most: ReadHeaderTimeout},
		"a body byte by byte":      {says: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", then: "0123456789012345678901234567890123456789", most: ReadTimeout},
		"no handshake":             {tls: true, most: ReadHeaderTimeout},
		"a handshake byte by byte": {tls: true, then: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", most: ReadHeaderTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
				}), slog.New(slog.DiscardHandler))
				l := &pipes{come: make(chan net.Conn), done: make(chan struct{})}
				var serving sync.WaitGroup
				serving.Go(func() {
					if c.tls {
						s.TLSConfig = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, io.EOF }}
						_ = s.ServeTLS(l, "", "")
						return
					}
					_ = s.Serve(l)
				})
				near, far := net.Pipe()
				l.come <- near
				begun := time.Now()
				serving.Go(func() {
					_, _ = io.WriteString(far, c.says)
					for i := range len(c.then) {
						time.Sleep(time.Second) //nolint:forbidigo // of the bubble
						if _, err := far.Write([]byte{c.then[i]}); err != nil {
							return
						}
					}
				})
				_, _ = io.Copy(io.Discard, far) // to the end
				if took := time.Since(begun); took > c.most+time.Second || took < c.most-time.Second {
					t.Errorf("cut off after %s, want %s", took, c.most)
				}
				_ = far.Close()
				_ = s.Shutdown(context.Background())
				serving.Wait()
			})
		})
	}
}
