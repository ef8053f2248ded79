package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// benchListener is one connection of the load, subscribed to one channel. A crew
// reads for all of them.
type benchListener struct {
	load  *load
	probe bool
	conn  net.Conn
	rest  []byte // of a frame that has not come whole
	reply func(p []byte) error
}

// connectWait bounds connecting and subscribing.
const connectWait = 30 * time.Second

// enlist connects and subscribes; only then does the listener count.
func (l *load) enlist(ctx context.Context, channel string, probe bool) (*benchListener, error) {
	u := url.URL{Scheme: "ws" + strings.TrimPrefix(l.target.Scheme, "http"), Host: l.target.Host, Path: l.target.Path + "/app/" + l.flags.Key, RawQuery: "protocol=7"}
	conn, early, _, err := ws.Dialer{Timeout: connectWait, ReadBufferSize: 512, WriteBufferSize: 512}.Dial(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	r := early
	if r == nil {
		r = bufio.NewReaderSize(conn, 512)
	}
	_ = conn.SetDeadline(time.Now().Add(connectWait))
	err = wsutil.WriteClientText(conn, []byte(`{"event":"pusher:subscribe","data":{"channel":"`+channel+`"}}`))
	for err == nil {
		var text []byte
		text, err = wsutil.ReadServerText(struct {
			io.Reader
			io.Writer
		}{r, conn})
		if bytes.Contains(text, []byte("pusher_internal:subscription_succeeded")) {
			break
		}
		if bytes.Contains(text, []byte(`"pusher:error"`)) {
			err = fmt.Errorf("%s", text)
		}
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("subscribe to %s: %w", channel, err)
	}
	_ = conn.SetDeadline(time.Time{})
	rest, _ := r.Peek(r.Buffered())
	return &benchListener{load: l, probe: probe, conn: conn, rest: bytes.Clone(rest)}, nil
}

var errBenchClosed = errors.New("the gateway closed a connection")

// feed takes bytes that came and counts the events in them. now is when they came.
func (b *benchListener) feed(p []byte, now time.Duration) error {
	whole := p
	if len(b.rest) > 0 {
		whole = append(b.rest, p...)
	}
	left := whole
	for {
		op, payload, n := cutFrame(left)
		if n == 0 {
			break
		}
		left = left[n:]
		switch op {
		case ws.OpText:
			b.event(payload, now)
		case ws.OpPing:
			if err := b.reply(ws.MustCompileFrame(ws.MaskFrame(ws.NewPongFrame(payload)))); err != nil {
				return err
			}
		case ws.OpClose:
			return fmt.Errorf("%w: %q", errBenchClosed, payload)
		}
	}
	b.rest = append(b.rest[:0], left...)
	if len(left) == 0 {
		b.rest = nil
	}
	return nil
}

// cutFrame reads the frame at the head of p; n is 0 when it has not come whole.
// Frames of a server are not masked.
func cutFrame(p []byte) (op ws.OpCode, payload []byte, n int) {
	if len(p) < 2 {
		return 0, nil, 0
	}
	head, size := 2, int(p[1]&0x7f)
	switch {
	case size == 126 && len(p) >= 4:
		head, size = 4, int(binary.BigEndian.Uint16(p[2:]))
	case size == 127 && len(p) >= 10:
		head, size = 10, int(binary.BigEndian.Uint64(p[2:]))
	case size >= 126:
		return 0, nil, 0
	}
	if len(p) < head+size {
		return 0, nil, 0
	}
	return ws.OpCode(p[0] & 0x0f), p[head : head+size], head + size
}

// event counts one event that was received.
func (b *benchListener) event(payload []byte, now time.Duration) {
	at, rest, ok := numberBehind(payload, `{\"at\":`)
	if !ok {
		return // not ours
	}
	number, _, _ := numberBehind(rest, `,\"number\":`)
	b.load.received(time.Duration(at), number, now, b.probe)
}

func numberBehind(p []byte, mark string) (n uint64, rest []byte, ok bool) {
	i := bytes.Index(p, []byte(mark))
	if i < 0 {
		return 0, nil, false
	}
	p = p[i+len(mark):]
	end := bytes.IndexByte(p, ',')
	if end < 0 {
		return 0, nil, false
	}
	n, err := strconv.ParseUint(string(p[:end]), 10, 64)
	return n, p[end:], err == nil
}
