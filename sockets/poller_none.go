//go:build !linux

package sockets

func newPoller(*Engine) poller { return nil }
