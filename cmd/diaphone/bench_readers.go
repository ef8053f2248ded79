package main

import (
	"net"
	"sync"
)

// readers read for listeners with a goroutine each.
type readers struct {
	load    *load
	running sync.WaitGroup
	mu      sync.Mutex
	conns   []net.Conn
}

func (r *readers) add(b *benchListener) error {
	r.mu.Lock()
	r.conns = append(r.conns, b.conn)
	r.mu.Unlock()
	b.reply = func(p []byte) error {
		_, err := b.conn.Write(p)
		return err
	}
	r.running.Go(func() {
		buffer := make([]byte, 8<<10)
		for {
			n, err := b.conn.Read(buffer)
			if err == nil {
				err = b.feed(buffer[:n], r.load.now())
			}
			if err != nil {
				r.load.fail(err)
				return
			}
		}
	})
	return nil
}

// close ends all connections and waits for their readers.
func (r *readers) close() {
	r.load.fail(nil) // what follows is no failure
	r.mu.Lock()
	for _, conn := range r.conns {
		_ = conn.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}
