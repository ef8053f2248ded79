package sockets

import (
	"bytes"
	"testing"

	"github.com/gobwas/ws"
)

// Frames are as the library would write them, at all three forms of a length.
func TestFramesOnTheWire(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 70000} {
		payload := bytes.Repeat([]byte("x"), n)
		if got, want := Text(payload).wire, ws.MustCompileFrame(ws.NewTextFrame(payload)); !bytes.Equal(got, want) {
			t.Errorf("%d bytes: the frame begins %x, not %x", n, got[:min(len(got), 10)], want[:min(len(want), 10)])
		}
	}
	if got, want := ping(7).wire, ws.MustCompileFrame(ws.NewPingFrame([]byte{7: 7})); !bytes.Equal(got, want) {
		t.Errorf("a ping is %x, not %x", got, want)
	}
}
