package sockets

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"

	"golang.org/x/sys/unix"
)

// Every WebSocket has the options, whether its listener could pass them on or not: it
// may speak Multipath TCP, and a client may have come before it had them itself.
func TestOptions(t *testing.T) {
	for _, multipath := range []bool{false, true} {
		t.Run(fmt.Sprint("multipath=", multipath), func(t *testing.T) {
			var config net.ListenConfig
			config.SetMultipathTCP(multipath)
			l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			early, err := net.Dial("tcp", l.Addr().String()) // before the porch opens
			if err != nil {
				t.Fatal(err)
			}
			defer early.Close()
			h := buildAt(t, l, calm, true)
			for i := range 3 {
				conn, r := early, bufio.NewReader(early)
				if i > 0 {
					conn, r = h.call(t)
				}
				fmt.Fprint(conn, upgrade(""))
				if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
					t.Fatal(resp, err)
				}
				p := &peer{t: t, Conn: conn, r: r}
				p.say("here")
				p.hear("here") // so the loop has it
			}
			if n := len(h.links()); n != 3 {
				t.Errorf("%d connections", n)
			}
			unanswered := int((h.config.PingAfter + missesAllowed*h.config.PongWait).Milliseconds())
			for _, fd := range h.links() {
				for option, want := range map[int]int{unix.TCP_NODELAY: 1, unix.TCP_NOTSENT_LOWAT: notSent, unix.TCP_USER_TIMEOUT: unanswered} {
					if got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, option); err != nil || got != want {
						t.Errorf("option %d is %d, not %d: %v", option, got, want, err)
					}
				}
			}
		})
	}
}

// links gives the descriptors of the WebSockets that the loops serve.
func (h *house) links() (all []int) {
	for _, s := range h.openPoller().(*epollPoller).shards {
		s.mu.Lock()
		for fd, r := range s.residents {
			if _, ok := r.(*epollLink); ok {
				all = append(all, fd)
			}
		}
		s.mu.Unlock()
	}
	return all
}
