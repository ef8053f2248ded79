package webhooks

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/diaphone-dev/diaphone/test/harness"
)

// The key pair of the demo app.
const (
	key    = "app-key"
	secret = "app-secret"
)

const patience = 20 * time.Second

// socket is a client that speaks Pusher Channels as far as these tests need it.
type socket struct {
	t    *testing.T
	conn net.Conn
	id   string

	writing sync.Mutex
	mu      sync.Mutex
	heard   []frame // and not yet asked for
}

type frame struct {
	Event string
	Data  any
}

// connect opens a socket, which answers pings until it is closed.
func connect(t *testing.T, w *harness.World) *socket {
	t.Helper()
	conn, early, _, err := ws.Dial(context.Background(), strings.Replace(w.URL, "http", "ws", 1)+"/app/"+key+"?protocol=7")
	if err != nil {
		t.Fatal(err)
	}
	s := &socket{t: t, conn: conn}
	var r io.Reader = conn
	if early != nil {
		r = io.MultiReader(early, conn)
	}
	var reading sync.WaitGroup
	reading.Go(func() { s.read(r) })
	t.Cleanup(func() { _ = conn.Close(); reading.Wait() })
	var hello struct {
		ID string `json:"socket_id"`
	}
	if err := json.Unmarshal([]byte(s.await("pusher:connection_established")), &hello); err != nil {
		t.Fatal(err)
	}
	s.id = hello.ID
	return s
}

func (s *socket) read(r io.Reader) {
	for {
		h, err := ws.ReadHeader(r)
		if err != nil {
			return
		}
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(r, p); err != nil {
			return
		}
		switch h.OpCode {
		case ws.OpPing:
			_ = s.write(ws.NewPongFrame(p))
		case ws.OpText:
			var f frame
			if err := json.Unmarshal(p, &f); err != nil {
				s.t.Errorf("%s: %v", p, err)
			}
			s.mu.Lock()
			s.heard = append(s.heard, f)
			s.mu.Unlock()
		}
	}
}

func (s *socket) write(f ws.Frame) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return ws.WriteFrame(s.conn, ws.MaskFrame(f))
}

// await waits for an event, passing over others, and gives its data.
func (s *socket) await(event string) (data string) {
	s.t.Helper()
	harness.Until(s.t, patience, event+" comes", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for len(s.heard) > 0 {
			f := s.heard[0]
			s.heard = s.heard[1:]
			if f.Event == "pusher:error" {
				s.t.Fatalf("waiting for %s: %v", event, f.Data)
			}
			if f.Event == event {
				data = fmt.Sprint(f.Data)
				return true
			}
		}
		return false
	})
	return data
}

func (s *socket) say(event, channel string, data any) error {
	p, err := json.Marshal(map[string]any{"event": event, "channel": channel, "data": data})
	if err != nil {
		return err
	}
	return s.write(ws.NewTextFrame(p))
}

// subscribe enters a channel, as a user if it has presence.
func (s *socket) subscribe(channel, user string) {
	s.t.Helper()
	data := map[string]string{"channel": channel}
	text := s.id + ":" + channel
	if user != "" {
		data["channel_data"] = fmt.Sprintf(`{"user_id":%q}`, user)
		text += ":" + data["channel_data"]
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	data["auth"] = key + ":" + hex.EncodeToString(mac.Sum(nil))
	if err := s.say("pusher:subscribe", "", data); err != nil {
		s.t.Fatal(err)
	}
	s.await("pusher_internal:subscription_succeeded")
}

// emit sends a client event, if the gateway is still there.
func (s *socket) emit(channel string, data any) error { return s.say("client-n", channel, data) }
