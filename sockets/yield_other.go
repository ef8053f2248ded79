//go:build !linux

package sockets

import "runtime"

// Yielder lets a busy goroutine give way to others.
type Yielder struct{}

// NewYielder makes a Yielder.
func NewYielder() *Yielder { return new(Yielder) }

// Yield is runtime.Gosched here.
func (y *Yielder) Yield() { runtime.Gosched() }

// Close does nothing here.
func (y *Yielder) Close() {}
