//go:build !linux

package sockets

func tune(int, Config) {}
