//go:build !linux

package main

import (
	"net"
	"sync"
)

// crew reads for all listeners, here with a goroutine each.
type crew struct {
	load    *load
	readers sync.WaitGroup
	mu      sync.Mutex
	conns   []net.Conn
}

func newCrew(l *load) (*crew, error) { return &crew{load: l}, nil }

func (c *crew) add(b *benchListener) error {
	c.mu.Lock()
	c.conns = append(c.conns, b.conn)
	c.mu.Unlock()
	b.reply = func(p []byte) error {
		_, err := b.conn.Write(p)
		return err
	}
	c.readers.Go(func() {
		buffer := make([]byte, 8<<10)
		for {
			n, err := b.conn.Read(buffer)
			if err == nil {
				err = b.feed(buffer[:n], c.load.now())
			}
			if err != nil {
				c.load.fail(err)
				return
			}
		}
	})
	return nil
}

// close ends all connections and waits for their readers.
func (c *crew) close() {
	c.load.fail(nil) // what follows is no failure
	c.mu.Lock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.readers.Wait()
}
