//go:build !linux

package sockets

func (c *Conn) tune() {}
