package sockets

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Yielder lets a busy goroutine give way to what the network has brought.
//
// runtime.Gosched does not: a scheduler that finds a goroutine to run does not
// look at its poller, and one that yields can be run at once. With one core for
// Go, requests then wait for the poll that sysmon makes every 10 ms. So Yield
// waits for a descriptor that it makes ready itself: the scheduler must look.
// It costs about two system calls, and is for one goroutine.
type Yielder struct {
	file *os.File // an eventfd
	raw  syscall.RawConn
	turn func(fd uintptr) bool
	back bool
}

// NewYielder makes a Yielder. Without a descriptor to be had, Yield is Gosched.
func NewYielder() *Yielder {
	y := new(Yielder)
	y.turn = y.signal
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return y
	}
	y.file = os.NewFile(uintptr(fd), "yield")
	y.raw, _ = y.file.SyscallConn() // it fails for closed files only
	return y
}

// Yield returns when the goroutines that the network has woken have had a turn.
func (y *Yielder) Yield() {
	y.back = false
	if y.raw == nil || y.raw.Read(y.turn) != nil {
		runtime.Gosched()
	}
}

// signal makes the descriptor ready and asks to wait for it. It is not read
// empty: Go's poller hears of every write.
func (y *Yielder) signal(fd uintptr) (done bool) {
	if y.back {
		return true
	}
	y.back = true
	one := [8]byte{1}
	_, err := unix.Write(int(fd), one[:])
	return err != nil
}

// Close gives the descriptor back.
func (y *Yielder) Close() {
	if y.file != nil {
		_ = y.file.Close()
	}
}
