package sockets

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestGoroutinesAndDescriptorsComeBack(t *testing.T) {
	onEveryEngine(t, Config{}, func(t *testing.T, s *server) {
		dial(t, s) // whatever is made once is made now
		wait(t, "the connection", s.conns)
		goroutines, descriptors := runtime.NumGoroutine(), openFiles(t)
		const many = 100
		peers := make([]*peer, many)
		for i := range peers {
			peers[i] = dial(t, s)
			peers[i].say("hi")
			peers[i].hear("hi")
		}
		if n := runtime.NumGoroutine() - goroutines; n > many+2 {
			t.Errorf("%d goroutines for %d connections", n, many)
		}
		for i, p := range peers {
			if i%2 == 0 {
				_ = p.Close()
			} else {
				wait(t, "the connection", s.conns).Close(4200, "")
				_ = p.Close()
			}
		}
		for range peers {
			wait(t, "OnClose", s.closed)
		}
		// A flusher may have the last word, shortly after OnClose.
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for deadline := time.Now().Add(patience); openFiles(t) > descriptors; <-ticker.C {
			if time.Now().After(deadline) {
				t.Fatalf("%d descriptors, %d before", openFiles(t), descriptors)
			}
		}
	})
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
