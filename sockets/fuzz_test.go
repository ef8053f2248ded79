package sockets

import (
	"testing"

	"github.com/gobwas/ws"
)

// FuzzInbox feeds bytes in two pieces: whatever they are, reading ends, in the
// same way as when they come in one, and keeps no more than its limit.
func FuzzInbox(f *testing.F) {
	masked := func(frame ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrame(frame)) }
	f.Add(masked(ws.NewTextFrame([]byte("hello"))), 3)
	f.Add(append(masked(ws.NewFrame(ws.OpText, false, []byte("a"))), masked(ws.NewFrame(ws.OpContinuation, true, []byte("b")))...), 5)
	f.Add(masked(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "bye"))), 2)
	f.Add([]byte{0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, 9)
	f.Add([]byte{0x88, 0x80, 0, 0, 0, 0, 0x89, 0xfe, 0, 126}, 1)
	const limit = 256
	drain := func(t *testing.T, in *inbox, s *scratch, p []byte) (items int, err error) {
		p = in.add(p)
		for len(p) > 0 {
			it, n, err := in.next(s, p, limit)
			if err != nil {
				return items, err
			}
			if n == 0 {
				break
			}
			if len(it.payload) > limit {
				t.Fatalf("a message of %d bytes passed a limit of %d", len(it.payload), limit)
			}
			items++
			p = p[n:]
		}
		in.keep(p)
		if len(in.rest) > limit+ws.MaxHeaderSize || len(in.text) > limit {
			t.Fatalf("%d + %d bytes kept", len(in.rest), len(in.text))
		}
		return items, nil
	}
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		if cut < 0 || cut > len(p) {
			cut = len(p)
		}
		var whole, pieces inbox
		s := new(scratch)
		want, wantErr := drain(t, &whole, s, append([]byte(nil), p...))
		got, err := drain(t, &pieces, s, append([]byte(nil), p[:cut]...))
		if err == nil {
			var more int
			more, err = drain(t, &pieces, s, append([]byte(nil), p[cut:]...))
			got += more
		}
		if got != want || (err == nil) != (wantErr == nil) {
			t.Fatalf("whole: %d items, %v; in pieces: %d items, %v", want, wantErr, got, err)
		}
	})
}
