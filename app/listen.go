package app

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
)

// firstPassed is the first descriptor that a service manager passes
// (sd_listen_fds(3)).
const firstPassed = 3

// listen binds, and says what to do when it cannot. A socket that systemd has passed
// takes the place of the address: it stays open while one process follows another, so
// that clients wait in its queue for a moment where a closed port would refuse them.
func listen(address string) (net.Listener, error) {
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		return passed(os.Getenv("LISTEN_FDS"))
	}
	// Dead peers are found by pings, and by the server's time-outs before a request:
	// the kernel's probes would cost four system calls for each connection. Connections
	// of a listener that speaks Multipath TCP inherit no options from it.
	config := net.ListenConfig{KeepAlive: -1}
	config.SetMultipathTCP(false)
	l, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; free the port or choose another address", address, err)
	}
	return l, nil
}

func passed(count string) (net.Listener, error) {
	if count != "1" {
		return nil, fmt.Errorf("systemd passes %s sockets: give the socket unit one ListenStream", count)
	}
	file := os.NewFile(firstPassed, "systemd")
	l, err := net.FileListener(file) // has a duplicate of the descriptor
	if err != nil {
		return nil, fmt.Errorf("listen on the socket that systemd passes: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	if _, ok := l.(*net.TCPListener); !ok {
		_ = l.Close()
		return nil, fmt.Errorf("the socket that systemd passes listens on %s: give the socket unit a port", l.Addr())
	}
	return l, nil
}
