package sockets

import (
	"crypto/tls"
	"net"
)

// BelowTLS makes a listener for TLS to stand on, as http.Server.ServeTLS and
// tls.NewListener do: an engine can take its connections over from Go as it takes
// plain ones. Without it a connection under TLS costs a goroutine.
func BelowTLS(l net.Listener) net.Listener { return seamListener{l} }

type seamListener struct{ net.Listener }

func (l seamListener) Accept() (net.Conn, error) {
	sock, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &seam{sock}, nil
}

// seam is what a tls.Conn has below it for life; what is below the seam can be
// exchanged.
type seam struct{ net.Conn }

// NetConn is named as tls.Conn's.
func (s *seam) NetConn() net.Conn { return s.Conn }

// layers of a socket that a poller can take over; tcp is nil when it is none,
// session when it is plain.
func layers(sock net.Conn) (tcp *net.TCPConn, session *tls.Conn) {
	if session, ok := sock.(*tls.Conn); ok {
		if below, ok := session.NetConn().(*seam); ok {
			tcp, _ = below.Conn.(*net.TCPConn)
		}
		return tcp, session
	}
	if t, ok := plain(sock); ok { // else bytes of it have been read already
		tcp = t
	}
	return tcp, nil
}

// bottom is the connection below all layers.
func bottom(sock net.Conn) net.Conn {
	for {
		over, ok := sock.(interface{ NetConn() net.Conn })
		if !ok {
			return sock
		}
		sock = over.NetConn()
	}
}
