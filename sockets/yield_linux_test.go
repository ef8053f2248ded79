package sockets

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
)

// A busy goroutine on the only core lets one run that the network has woken. With
// runtime.Gosched that would take some ten thousand turns.
func TestYieldLetsTheNetworkIn(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	y := NewYielder()
	for range 20 {
		var heard atomic.Bool
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = far.Read(make([]byte, 1))
			heard.Store(true)
		}()
		y.Yield() // the reader waits now
		if _, err := near.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		turns := 0
		for ; !heard.Load() && turns < 100; turns++ {
			y.Yield()
		}
		if !heard.Load() {
			t.Errorf("nothing was read in %d turns", turns)
		}
		<-done
	}
	y.Close()
	y.Yield() // a goroutine that goes on a little after its end
}
