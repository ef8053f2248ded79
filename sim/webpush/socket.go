package webpush

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

const (
	subprotocol  = "push-notification"
	maxFrame     = 64 << 10
	queueLen     = 2 * maxWaiting
	writeTimeout = 10 * time.Second
	helloTimeout = 10 * time.Second
)

// link is one connection of a browser. What is queued is written by one
// goroutine; a browser that takes nothing is cut off.
type link struct {
	conn  net.Conn
	out   chan any
	once  sync.Once
	ended chan struct{}
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.ended)
		l.conn.Close() //nolint:errcheck // it only has to end
	})
}

// queue gives something to the writer. It does not wait.
func (l *link) queue(v any) {
	select {
	case l.out <- v:
	default:
		l.close()
	}
}

func (l *link) write() {
	defer l.close()
	for {
		select {
		case v := <-l.out:
			text, err := json.Marshal(v)
			if err != nil {
				return
			}
			_ = l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			if wsutil.WriteServerText(l.conn, text) != nil {
				return
			}
		case <-l.ended:
			return
		}
	}
}

// Socket serves a browser's connection until one of the two ends it, or the
// request's context ends.
func (s *Server) Socket(w http.ResponseWriter, r *http.Request) {
	s.sockets.Add(1)
	defer s.sockets.Done()
	upgrader := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == subprotocol }}
	conn, buffered, _, err := upgrader.Upgrade(r, w)
	if err != nil {
		return // it has been answered
	}
	l := &link{conn: conn, out: make(chan any, queueLen), ended: make(chan struct{})}
	defer context.AfterFunc(r.Context(), l.close)()
	var writing sync.WaitGroup
	writing.Go(l.write)
	defer writing.Wait()
	defer l.close()
	s.converse(l, struct {
		io.Reader
		io.Writer
	}{buffered.Reader, conn})
}

// said is whatever a browser says.
type said struct {
	Type    string `json:"messageType"`
	UAID    string `json:"uaid"`
	Channel string `json:"channelID"`
	Key     string `json:"key"`
	Version string `json:"version"`
	Updates []struct {
		Version string `json:"version"`
	} `json:"updates"`
}

// heard is an answer to a browser.
type heard struct {
	Type       string          `json:"messageType"`
	UAID       string          `json:"uaid,omitempty"`
	Channel    string          `json:"channelID,omitempty"`
	Status     int             `json:"status"`
	UseWebPush bool            `json:"use_webpush,omitempty"`
	Broadcasts json.RawMessage `json:"broadcasts,omitempty"`
	Endpoint   string          `json:"pushEndpoint,omitempty"`
}

func (s *Server) converse(l *link, from io.ReadWriter) {
	var who *browser
	_ = l.conn.SetReadDeadline(time.Now().Add(helloTimeout))
	for {
		m, ok := read(from)
		if !ok {
			break
		}
		if who == nil {
			if m.Type != "hello" {
				return
			}
			s.meter.Connected()
			_ = l.conn.SetReadDeadline(time.Time{})
			who = s.browsers.hello(m.UAID, l)
			defer s.browsers.leave(who, l)
			l.queue(heard{Type: "hello", UAID: who.id, Status: http.StatusOK, UseWebPush: true, Broadcasts: json.RawMessage(`{}`)})
			s.browsers.resend(who, l)
			continue
		}
		s.answer(l, who, m)
	}
}

// read gives the next message; what is no text ends the connection.
func read(from io.ReadWriter) (*said, bool) {
	r := &wsutil.Reader{Source: from, State: ws.StateServerSide, CheckUTF8: true, MaxFrameSize: maxFrame,
		OnIntermediate: wsutil.ControlFrameHandler(from, ws.StateServerSide)}
	for {
		h, err := r.NextFrame()
		if err != nil {
			return nil, false
		}
		if h.OpCode.IsControl() {
			if r.OnIntermediate(h, r) != nil {
				return nil, false
			}
			continue
		}
		text, err := io.ReadAll(io.LimitReader(r, maxFrame))
		var m said
		return &m, err == nil && h.OpCode == ws.OpText && json.Unmarshal(text, &m) == nil
	}
}

func (s *Server) answer(l *link, who *browser, m *said) {
	switch m.Type {
	case "": // {} is a ping
		l.queue(struct{}{})
	case "register":
		l.queue(s.register(who, m))
	case "unregister":
		s.browsers.unregister(who, m.Channel)
		l.queue(heard{Type: m.Type, Channel: m.Channel, Status: http.StatusOK})
	case "ack":
		for _, u := range m.Updates {
			s.browsers.done(who, u.Version)
		}
	case "nack":
		s.browsers.done(who, m.Version)
	}
}

func (s *Server) register(who *browser, m *said) heard {
	key := strings.TrimRight(m.Key, "=")
	raw, err := base64.RawURLEncoding.DecodeString(key)
	if m.Channel == "" || err != nil || len(raw) != 0 && len(raw) != pointLen {
		return heard{Type: m.Type, Channel: m.Channel, Status: http.StatusBadRequest}
	}
	sub, ok := s.browsers.register(who, m.Channel, key)
	if !ok {
		return heard{Type: m.Type, Channel: m.Channel, Status: http.StatusInternalServerError}
	}
	return heard{Type: m.Type, Channel: m.Channel, Status: http.StatusOK, Endpoint: s.Endpoint(sub.secret)}
}
