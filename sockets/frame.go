package sockets

import (
	"encoding/binary"
	"math"

	"github.com/gobwas/ws"
)

// Frame is one or more WebSocket messages as they go over the wire. It never
// changes once made, so that one Frame is shared by all who receive it.
type Frame struct{ wire []byte }

// Text makes the frame of one text message. The payload is copied; it is valid
// UTF-8 by the caller's promise (RFC 6455 §5.6).
func Text(payload []byte) *Frame { return compile(ws.OpText, payload) }

// Join makes one frame of several, so that they leave in one write.
func Join(frames ...*Frame) *Frame {
	if len(frames) == 1 {
		return frames[0]
	}
	size := 0
	for _, f := range frames {
		size += len(f.wire)
	}
	wire := make([]byte, 0, size)
	for _, f := range frames {
		wire = append(wire, f.wire...)
	}
	return &Frame{wire: wire}
}

// Len gives the bytes on the wire, headers included.
func (f *Frame) Len() int { return len(f.wire) }

// compile writes a frame of one piece, not masked (RFC 6455 §5.2).
func compile(op ws.OpCode, payload []byte) *Frame {
	const final, two, eight = 0x80, 126, 127 // bytes of length behind it
	n := len(payload)
	b := append(make([]byte, 0, ws.MaxHeaderSize+n), final|byte(op))
	switch {
	case n < two:
		b = append(b, byte(n))
	case n <= math.MaxUint16:
		b = binary.BigEndian.AppendUint16(append(b, two), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, eight), uint64(n))
	}
	return &Frame{wire: append(b, payload...)}
}

// maxReason is what a close frame has room for beside its code (RFC 6455 §5.5).
const maxReason = ws.MaxControlFramePayloadSize - 2

func closing(code int, reason string) *Frame {
	if code == CodeNone {
		return compile(ws.OpClose, nil)
	}
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	return compile(ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), reason))
}

// idle is the fence of a ping that only asks whether the peer is alive.
const idle uint64 = 0

func ping(fence uint64) *Frame {
	return compile(ws.OpPing, binary.BigEndian.AppendUint64(nil, fence))
}

// Ping is the frame that Conn.Fence sends, to be joined to others and shared.
func Ping(fence uint64) *Frame { return ping(fence) }

// fenceOf reads the payload of a pong; ok is false for one that no fence of ours asked for.
func fenceOf(payload []byte) (fence uint64, ok bool) {
	if len(payload) != 8 {
		return 0, false
	}
	fence = binary.BigEndian.Uint64(payload)
	return fence, fence != idle
}
