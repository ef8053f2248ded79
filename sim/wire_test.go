package sim_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// wire is a client that shows every frame.
type wire struct {
	t    testing.TB
	conn *tls.Conn
	fr   *http2.Framer
	buf  bytes.Buffer
	enc  *hpack.Encoder
	next uint32
}

// dial opens a connection and sends the preface and the client's settings.
func (b *lab) dial(settings ...http2.Setting) *wire {
	b.t.Helper()
	config := b.tlsConfig()
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", b.addr, config)
	must(b.t, err)
	b.t.Cleanup(func() { conn.Close() })
	must(b.t, conn.SetDeadline(time.Now().Add(bound)))
	_, err = io.WriteString(conn, http2.ClientPreface)
	must(b.t, err)
	w := &wire{t: b.t, conn: conn, fr: http2.NewFramer(conn, conn), next: 1}
	w.enc = hpack.NewEncoder(&w.buf)
	w.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	must(b.t, w.fr.WriteSettings(settings...))
	return w
}

// headers sends a request's headers and returns its stream.
func (w *wire) headers(end bool, fields ...string) uint32 {
	w.t.Helper()
	id := w.next
	w.next += 2
	must(w.t, w.fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: w.block(fields...), EndHeaders: true, EndStream: end,
	}))
	return id
}

func (w *wire) block(fields ...string) []byte {
	w.t.Helper()
	w.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		must(w.t, w.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	return w.buf.Bytes()
}

// pushHeaders are those of a good alert.
func (b *lab) pushHeaders(token string) []string {
	return []string{
		":method", "POST", ":scheme", "https", ":path", "/3/device/" + token, ":authority", b.addr,
		"authorization", "bearer " + b.jwt, "apns-topic", b.cred.Topic, "apns-push-type", "alert",
	}
}

func (w *wire) push(b *lab, token string) uint32 {
	w.t.Helper()
	id := w.headers(false, b.pushHeaders(token)...)
	must(w.t, w.fr.WriteData(id, true, []byte(hello)))
	return id
}

// until reads frames until one satisfies want, and returns a copy of it.
func until[F http2.Frame](w *wire, want func(F) bool) F {
	w.t.Helper()
	for {
		frame, err := w.fr.ReadFrame()
		if err != nil {
			w.t.Fatalf("while waiting for a %T: %v", *new(F), err)
		}
		if f, is := frame.(F); is && want(f) {
			return f
		}
		switch f := frame.(type) {
		case *http2.GoAwayFrame:
			w.t.Fatalf("while waiting for a %T: %v %s", *new(F), f, f.DebugData())
		case *http2.RSTStreamFrame:
			w.t.Fatalf("while waiting for a %T: %v", *new(F), f)
		}
	}
}

func (w *wire) status(id uint32) string {
	w.t.Helper()
	f := until(w, func(f *http2.MetaHeadersFrame) bool { return f.StreamID == id })
	return f.PseudoValue("status")
}

// ended reads until the server closes the connection.
func (w *wire) ended() {
	w.t.Helper()
	for {
		if _, err := w.fr.ReadFrame(); err != nil {
			if !errors.Is(err, io.EOF) {
				w.t.Errorf("the connection ended with %v", err)
			}
			return
		}
	}
}

func streamLimit(f *http2.SettingsFrame) (uint32, bool) {
	if f.IsAck() {
		return 0, false
	}
	return f.Value(http2.SettingMaxConcurrentStreams)
}
