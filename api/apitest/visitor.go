package apitest

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/diaphone-dev/diaphone"
)

// The key pair of app 1, for visitors.
const (
	Key1    = "key-of-app-one"
	secret1 = "canary-secret-of-app-one"
)

const patience = 10 * time.Second

// Visitor is a WebSocket of app 1.
type Visitor struct {
	t    testing.TB
	conn net.Conn
	r    io.Reader
	id   string // of its socket
}

// Visit connects to the live side.
func (s *Server) Visit() *Visitor {
	s.t.Helper()
	conn, early, _, err := ws.Dial(context.Background(), "ws"+strings.TrimPrefix(s.URL, "http")+"/app/"+Key1+"?protocol=7")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	v := &Visitor{t: s.t, conn: conn, r: bufio.NewReader(conn)}
	if early != nil {
		v.r = early
	}
	var text string // JSON in a string, as Pusher has it
	var hello struct {
		SocketID string `json:"socket_id"`
	}
	err = json.Unmarshal(v.await("pusher:connection_established"), &text)
	if err = errors.Join(err, json.Unmarshal([]byte(text), &hello)); err != nil {
		s.t.Fatal(err)
	}
	v.id = hello.SocketID
	return v
}

// Subscribe enters a channel; channelData names the member of a presence channel.
func (v *Visitor) Subscribe(c diaphone.ChannelName, channelData string) {
	v.t.Helper()
	data := map[string]string{"channel": string(c)}
	if c.NeedsAuth() {
		text := v.id + ":" + string(c)
		if channelData != "" {
			data["channel_data"] = channelData
			text += ":" + channelData
		}
		data["auth"] = signed(text)
	}
	v.say("pusher:subscribe", data)
	v.await("pusher_internal:subscription_succeeded")
}

// SignIn signs the connection in as a user.
func (v *Visitor) SignIn(u diaphone.UserID) {
	v.t.Helper()
	user, err := json.Marshal(map[string]diaphone.UserID{"id": u})
	if err != nil {
		v.t.Fatal(err)
	}
	v.say("pusher:signin", map[string]string{"user_data": string(user), "auth": signed(v.id + "::user::" + string(user))})
	v.await("pusher:signin_success")
}

// Leave ends the connection as a broken network does.
func (v *Visitor) Leave() { _ = v.conn.Close() }

// Ping fails the test unless the connection is open.
func (v *Visitor) Ping() {
	v.t.Helper()
	v.say("pusher:ping", map[string]string{})
	v.await("pusher:pong")
}

// CloseCode waits until the gateway closes the connection.
func (v *Visitor) CloseCode() int {
	v.t.Helper()
	for {
		f := v.read()
		if f.Header.OpCode == ws.OpClose {
			code, _ := ws.ParseCloseFrameData(f.Payload)
			return int(code)
		}
	}
}

func signed(text string) string {
	mac := hmac.New(sha256.New, []byte(secret1))
	mac.Write([]byte(text))
	return Key1 + ":" + hex.EncodeToString(mac.Sum(nil))
}

func (v *Visitor) say(event string, data map[string]string) {
	v.t.Helper()
	text, err := json.Marshal(map[string]any{"event": event, "data": data})
	if err != nil {
		v.t.Fatal(err)
	}
	if err := ws.WriteFrame(v.conn, ws.MaskFrame(ws.NewTextFrame(text))); err != nil {
		v.t.Fatal(err)
	}
}

// await passes over everything until an event of that name, and gives its data.
func (v *Visitor) await(event string) (data json.RawMessage) {
	v.t.Helper()
	for {
		f := v.read()
		var heard struct {
			Event string
			Data  json.RawMessage
		}
		if f.Header.OpCode != ws.OpText || json.Unmarshal(f.Payload, &heard) != nil || heard.Event == "pusher:error" {
			v.t.Fatalf("heard %v %s, waiting for %s", f.Header.OpCode, f.Payload, event)
		}
		if heard.Event == event {
			return heard.Data
		}
	}
}

func (v *Visitor) read() ws.Frame {
	v.t.Helper()
	h, err := ws.ReadHeader(v.r)
	if err != nil {
		v.t.Fatalf("read: %v", err)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(v.r, payload); err != nil {
		v.t.Fatalf("read: %v", err)
	}
	return ws.Frame{Header: h, Payload: payload}
}
