//go:build !linux

package main

// crew reads for all listeners, here with a goroutine each.
type crew struct{ readers }

func newCrew(l *load) (*crew, error) { return &crew{readers{load: l}}, nil }
