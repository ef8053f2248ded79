package sockets

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// inbox turns the bytes of one peer into messages by the rules of RFC 6455. It
// does no I/O: an engine feeds it whatever arrived.
type inbox struct {
	rest    []byte // of a frame that has not arrived whole
	text    []byte // of a message whose last fragment has not arrived
	partial bool   // a fragmented message is open
}

// scratch is what reading needs for a moment; engines keep a pool of them.
type scratch struct {
	buffer [8 << 10]byte
	reader bytes.Reader
	header [ws.MaxHeaderSize]byte

	pinged   bool // the turn had a ping; this is the last one's payload
	ping     [ws.MaxControlFramePayloadSize]byte
	pingSize int
}

// item is one thing a peer said: a whole text message or a control frame.
type item struct {
	op      ws.OpCode // OpContinuation: a fragment, kept until its message is whole
	payload []byte    // valid until the next call
}

// fault is a breach of the protocol; its code and reason close the connection.
type fault struct {
	code   int
	reason string
}

func (f *fault) Error() string { return f.reason }

// add gives all bytes not yet read: the kept rest and p. They may be written to.
func (in *inbox) add(p []byte) []byte {
	if len(in.rest) == 0 {
		return p
	}
	in.rest = append(in.rest, p...)
	return in.rest
}

// keep stores the bytes of an unfinished frame until more arrive.
func (in *inbox) keep(p []byte) {
	if len(p) == 0 {
		in.rest = nil
		return
	}
	in.rest = append(in.rest[:0], p...) // append moves overlapping memory rightly
}

// next reads one frame off the head of p, unmasking it in place, and tells how
// many bytes it took: 0 when the frame is not whole yet. limit bounds a message,
// before its bytes have arrived.
func (in *inbox) next(s *scratch, p []byte, limit int) (it item, n int, err error) {
	s.reader.Reset(p)
	h, err := ws.ReadHeaderBuffer(&s.reader, s.header[:])
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return item{}, 0, nil
	case err != nil:
		return item{}, 0, &fault{CodeProtocol, err.Error()}
	}
	if err := in.check(h, limit); err != nil {
		return item{}, 0, err
	}
	start := len(p) - s.reader.Len()
	if s.reader.Len() < int(h.Length) {
		return item{}, 0, nil
	}
	n = start + int(h.Length)
	payload := p[start:n:n]
	ws.Cipher(payload, h.Mask, 0)
	it, err = in.accept(h, payload)
	return it, n, err
}

func (in *inbox) check(h ws.Header, limit int) error {
	state := ws.StateServerSide
	if in.partial {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return &fault{CodeProtocol, err.Error()}
	}
	switch {
	case h.OpCode == ws.OpBinary:
		return &fault{CodeUnsupported, "text frames only"}
	case h.OpCode.IsControl():
		return nil
	case h.Length > int64(limit-len(in.text)):
		return &fault{CodeTooBig, "message too big"}
	}
	return nil
}

func (in *inbox) accept(h ws.Header, payload []byte) (item, error) {
	switch {
	case h.OpCode == ws.OpClose:
		return item{ws.OpClose, payload}, checkClose(payload)
	case h.OpCode.IsControl():
		return item{h.OpCode, payload}, nil
	case !h.Fin:
		in.text = append(in.text, payload...)
		in.partial = true
		return item{op: ws.OpContinuation}, nil
	case in.partial:
		payload = append(in.text, payload...)
		in.text, in.partial = nil, false
	}
	// A text message is checked as a whole, for a fragment may end within a
	// character (RFC 6455 §8.1).
	if !utf8.Valid(payload) {
		return item{}, &fault{CodeNotUTF8, "text is not valid UTF-8"}
	}
	return item{ws.OpText, payload}, nil
}

// checkClose checks the body of a close frame (RFC 6455 §5.5.1).
func checkClose(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	if len(body) == 1 {
		return &fault{CodeProtocol, "close frame with half a code"}
	}
	code, reason := ws.ParseCloseFrameDataUnsafe(body)
	err := ws.CheckCloseFrameData(code, reason)
	switch {
	case errors.Is(err, ws.ErrProtocolInvalidUTF8):
		return &fault{CodeNotUTF8, err.Error()}
	case err != nil:
		return &fault{CodeProtocol, err.Error()}
	}
	return nil
}

// codeOf reads the code of a checked close frame.
func codeOf(body []byte) int {
	if len(body) < 2 {
		return CodeNone
	}
	return int(body[0])<<8 | int(body[1])
}
