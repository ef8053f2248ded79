package apns

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// writeTimeout ends a connection whose peer does not read.
	writeTimeout = 30 * time.Second
	// lingerTimeout is how long a drained connection waits for the peer to close.
	// Closing first could reset answers that the peer has not read yet.
	lingerTimeout = time.Second

	defaultWindow = 65535     // RFC 9113 section 6.9.2
	maxWindow     = 1<<31 - 1 // RFC 9113 section 6.9.1
	headerTable   = 4096
	frameSize     = 16384
)

// writer owns everything about a connection's sending side: the HPACK encoder,
// the peer's flow-control windows, the replies that wait for them. It runs in one
// goroutine and joins all that waits into one write.
type writer struct {
	conn *conn
	tls  *tls.Conn
	out  *bufio.Writer
	fr   *http2.Framer

	block   bytes.Buffer
	encoder *hpack.Encoder

	window  int64 // of the connection
	initial int64 // of each stream
	blocked []*reply

	parting bool // GOAWAY is out
	shut    bool // and all is answered: the sending side is closed
}

func newWriter(c *conn) *writer {
	w := &writer{conn: c, tls: c.tls, window: defaultWindow, initial: defaultWindow}
	w.out = bufio.NewWriterSize(c.tls, frameSize)
	w.fr = http2.NewFramer(w.out, nil)
	w.encoder = hpack.NewEncoder(&w.block)
	return w
}

// run writes until the outbox is closed or the peer is gone. It closes the
// connection in the second case, which also ends the reader.
func (w *writer) run() {
	var batch []outgoing
	for {
		var more bool
		if batch, more = w.conn.outbox.take(batch); !more {
			return
		}
		if err := w.write(batch); err != nil {
			w.tls.NetConn().Close() //nolint:errcheck // it is broken already
			w.conn.outbox.close()
			return
		}
	}
}

func (w *writer) write(batch []outgoing) error {
	if w.shut {
		return nil
	}
	if err := w.tls.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	for _, item := range batch {
		if err := item.write(w); err != nil {
			return err
		}
	}
	if err := w.out.Flush(); err != nil {
		return err
	}
	if !w.parting || !w.conn.streams.drained() {
		return nil
	}
	w.shut = true
	if err := w.tls.SetReadDeadline(time.Now().Add(lingerTimeout)); err != nil {
		return err
	}
	return w.tls.CloseWrite()
}

// reply answers a stream.
type reply struct {
	stream *stream
	answer answer

	body    []byte
	started bool // HEADERS are out
}

func (r *reply) write(w *writer) error {
	if !w.conn.streams.has(r.stream) {
		return nil // the peer reset it meanwhile
	}
	if !r.started {
		r.started = true
		r.body = r.answer.json()
		if err := r.writeHeaders(w); err != nil {
			return err
		}
	}
	for len(r.body) > 0 {
		s := r.stream
		n := min(int64(len(r.body)), frameSize, w.window, w.initial+s.credit)
		if n <= 0 {
			w.blocked = append(w.blocked, r)
			return nil
		}
		end := n == int64(len(r.body))
		if err := w.fr.WriteData(s.id, end, r.body[:n]); err != nil {
			return err
		}
		r.body = r.body[n:]
		w.window -= n
		s.credit -= n
	}
	return r.finish(w)
}

func (r *reply) writeHeaders(w *writer) error {
	w.block.Reset()
	w.field(":status", strconv.Itoa(r.answer.status), true)
	if len(r.body) > 0 && r.answer.body == "" {
		w.field("content-type", "application/json", true)
	}
	w.field("apns-id", r.answer.id, false)
	if r.answer.uniqueID != "" {
		w.field("apns-unique-id", r.answer.uniqueID, false)
	}
	if r.answer.retryAfter > 0 {
		w.field("retry-after", strconv.Itoa(r.answer.retryAfter), false)
	}
	return w.fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: r.stream.id, BlockFragment: w.block.Bytes(),
		EndHeaders: true, EndStream: len(r.body) == 0,
	})
}

// field encodes a header. What no other answer repeats stays out of the table.
func (w *writer) field(name, value string, repeats bool) {
	// The block is a bytes.Buffer: writing to it cannot fail.
	_ = w.encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: !repeats})
}

// finish closes the stream before the peer can know, so that it may use the room
// at once. A request that is not all here yet is told that the rest is not wanted
// (RFC 9113 section 8.1).
func (r *reply) finish(w *writer) error {
	if w.conn.streams.close(r.stream) {
		return nil
	}
	return w.fr.WriteRSTStream(r.stream.id, http2.ErrCodeNo)
}

// credit is a WINDOW_UPDATE of the peer; without a stream for the connection.
type credit struct {
	stream *stream
	n      uint32
}

func (c credit) write(w *writer) error {
	if c.stream == nil {
		w.window += int64(c.n)
		if w.window > maxWindow {
			last, _ := w.conn.streams.drain()
			return goAway{last: last, code: http2.ErrCodeFlowControl}.write(w)
		}
	} else {
		c.stream.credit += int64(c.n)
		if w.initial+c.stream.credit > maxWindow {
			w.conn.streams.close(c.stream)
			return w.fr.WriteRSTStream(c.stream.id, http2.ErrCodeFlowControl)
		}
	}
	return w.retry()
}

// retry goes on with the replies that waited for a window, in order.
func (w *writer) retry() error {
	waiting := w.blocked
	w.blocked = nil
	for _, r := range waiting {
		if err := r.write(w); err != nil {
			return err
		}
	}
	return nil
}

// peerSettings applies and acknowledges SETTINGS of the peer. Limits that matter
// only to large frames are left at their minimum.
type peerSettings struct {
	initialWindow, headerTable uint32
	hasWindow, hasTable        bool
}

func (p peerSettings) write(w *writer) error {
	if p.hasTable {
		w.encoder.SetMaxDynamicTableSizeLimit(min(p.headerTable, headerTable))
	}
	if err := w.fr.WriteSettingsAck(); err != nil {
		return err
	}
	if !p.hasWindow {
		return nil
	}
	w.initial = int64(p.initialWindow)
	return w.retry()
}

type settings []http2.Setting

func (s settings) write(w *writer) error { return w.fr.WriteSettings(s...) }

// room gives the peer back what it has sent of the connection's window.
type room uint32

func (n room) write(w *writer) error { return w.fr.WriteWindowUpdate(0, uint32(n)) }

type pong [8]byte

func (p pong) write(w *writer) error { return w.fr.WritePing(true, p) }

// reset refuses or aborts a stream.
type reset struct {
	id   uint32
	code http2.ErrCode
}

func (r reset) write(w *writer) error { return w.fr.WriteRSTStream(r.id, r.code) }

// goAway ends a connection. APNs puts a JSON object with the reason into the
// debug data.
type goAway struct {
	last   uint32
	code   http2.ErrCode
	reason reason
}

func (g goAway) write(w *writer) error {
	w.parting = true
	var debug []byte
	if g.reason != "" {
		debug = []byte(`{"reason":"` + string(g.reason) + `"}`)
	}
	return w.fr.WriteGoAway(g.last, g.code, debug)
}

// nudge writes nothing, but lets the writer see that the last stream is gone.
type nudge struct{}

func (nudge) write(*writer) error { return nil }
