package sockets

import "testing"

func BenchmarkYield(b *testing.B) {
	y := NewYielder()
	defer y.Close()
	for b.Loop() {
		y.Yield()
	}
}
