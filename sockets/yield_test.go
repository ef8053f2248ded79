package sockets

import "testing"

// Yield comes back however often it is called, also with nothing else to do.
func TestYieldComesBack(t *testing.T) {
	y := NewYielder()
	for range 10_000 {
		y.Yield()
	}
	y.Close()
	y.Yield() // a goroutine that goes on a little after its end
}

func BenchmarkYield(b *testing.B) {
	y := NewYielder()
	defer y.Close()
	for b.Loop() {
		y.Yield()
	}
}
