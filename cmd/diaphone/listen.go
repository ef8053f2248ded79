package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/diaphone-dev/diaphone"
)

type listenCmd struct {
	Channel []string      `arg:"" help:"Channels to subscribe to."`
	Server  string        `help:"URL of the gateway." default:"http://127.0.0.1:6001" placeholder:"URL"`
	Key     string        `help:"Public key of the app." default:"app-key"`
	Secret  string        `help:"Secret of the app, for private and presence channels; better given as DIAPHONE_SECRET." default:"app-secret"`
	User    string        `help:"User id to join presence channels as." default:"cli" env:"-"`
	Count   int           `help:"Stop after so many events; 0: never." env:"-"`
	Timeout time.Duration `help:"Stop after this time; 0: never." env:"-"`
}

// heard is one printed line.
type heard struct {
	Channel    string          `json:"channel,omitempty"`
	Event      string          `json:"event"`
	Data       json.RawMessage `json:"data"`
	UserID     string          `json:"user_id,omitempty"`
	ReceivedAt time.Time       `json:"received_at"`
}

// frame is a message of the Pusher protocol.
type frame struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
	UserID  string          `json:"user_id,omitempty"`
}

// firstWait is how long to wait before connecting again; it doubles.
const firstWait = time.Second

// unknownKey is the code of a pusher:error: no app has the key.
const unknownKey = 4001

// errRefused is an answer that another try would not change.
var errRefused = errors.New("refused")

// Run listens until it is interrupted, and connects again when the connection
// breaks.
func (l *listenCmd) Run(c *console) error {
	for _, name := range l.Channel {
		if err := diaphone.ChannelName(name).Validate(); err != nil {
			return usage(err)
		}
	}
	ctx := c.ctx
	if l.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.Timeout)
		defer cancel()
	}
	left, wait := l.Count, firstWait
	for connected := false; ; {
		begun := time.Now()
		err := l.session(ctx, c, &left, &connected)
		if time.Since(begun) > time.Minute {
			wait = firstWait // it was a good connection
		}
		switch {
		case err == nil, l.Timeout > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded):
			return nil
		case c.ctx.Err() != nil:
			return c.ctx.Err()
		case errors.Is(err, errRefused), !connected:
			return err
		}
		c.note("connection lost (%v); again in %s", err, wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 30*time.Second)
	}
}

// session is one connection; nil means that as many events were heard as asked for.
func (l *listenCmd) session(ctx context.Context, c *console, left *int, connected *bool) error {
	conn, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	for {
		text, err := wsutil.ReadServerText(conn)
		if err != nil {
			return err
		}
		var f frame
		if err := json.Unmarshal(text, &f); err != nil {
			return fmt.Errorf("the gateway sent something that is not JSON: %w", err)
		}
		done, err := l.handle(c, conn, &f, left)
		*connected = *connected || f.Event == "pusher_internal:subscription_succeeded"
		if done || err != nil {
			return err
		}
	}
}

// dial opens the WebSocket.
func (l *listenCmd) dial(ctx context.Context) (net.Conn, error) {
	if _, err := (&server{Server: l.Server}).client(); err != nil { // one rule for the address
		return nil, err
	}
	u, err := url.Parse(l.Server)
	if err != nil {
		return nil, usage(err)
	}
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	u.Path = strings.TrimSuffix(u.Path, "/") + "/app/" + url.PathEscape(l.Key)
	u.RawQuery = "protocol=7&client=diaphone-cli&version=" + url.QueryEscape(version)
	conn, buffered, _, err := ws.Dialer{Timeout: 10 * time.Second}.Dial(ctx, u.String())
	if err != nil {
		return nil, err
	}
	if buffered != nil { // frames that came together with the handshake's answer
		return &bufferedConn{Conn: conn, r: buffered}, nil
	}
	return conn, nil
}

// bufferedConn reads on where the handshake stopped.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func (b *bufferedConn) Read(p []byte) (int, error) { return b.r.Read(p) }

// handle answers the protocol and prints events.
func (l *listenCmd) handle(c *console, conn io.Writer, f *frame, left *int) (done bool, err error) {
	switch f.Event {
	case "pusher:connection_established":
		var hello struct {
			SocketID string `json:"socket_id"`
		}
		if err := json.Unmarshal(unquote(f.Data), &hello); err != nil {
			return false, fmt.Errorf("the gateway's greeting: %w", err)
		}
		for _, channel := range l.Channel {
			if err := l.subscribe(conn, hello.SocketID, channel); err != nil {
				return false, err
			}
		}
		return false, nil
	case "pusher:ping":
		return false, write(conn, frame{Event: "pusher:pong", Data: []byte("{}")})
	case "pusher:pong", "pusher:cache_miss", "pusher:subscription_error": // an error is told by pusher:error, too
		return false, nil
	case "pusher_internal:subscription_succeeded":
		c.note("listening on %s", printable(f.Channel))
		return false, nil
	case "pusher:error":
		return false, refusal(f.Data)
	}
	line, err := json.Marshal(heard{Channel: f.Channel, Event: f.Event, Data: unquote(f.Data), UserID: f.UserID, ReceivedAt: time.Now()})
	if err != nil {
		return false, err
	}
	if _, err := fmt.Fprintf(c.out, "%s\n", line); err != nil {
		return false, err
	}
	*left--
	return *left == 0, nil
}

// refusal reads a pusher:error. Codes 4000 to 4099 say that the connection will
// never be let in as it is.
func refusal(data json.RawMessage) error {
	var e struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(unquote(data), &e); err != nil {
		return fmt.Errorf("%w: %s", errRefused, data)
	}
	switch {
	case e.Code == unknownKey:
		return failf(exitAuth, "%w: %s (code %d); --key or DIAPHONE_KEY names the app's public key", errRefused, e.Message, e.Code)
	case e.Code >= 4000 && e.Code < 4100:
		return failf(exitAuth, "%w: %s (code %d)", errRefused, e.Message, e.Code)
	case e.Code >= 4100 && e.Code < 4300: // come back
		return fmt.Errorf("%s (code %d)", e.Message, e.Code)
	}
	return failf(exitAuth, "%w: %s", errRefused, e.Message)
}

func (l *listenCmd) subscribe(conn io.Writer, socket, channel string) error {
	data := map[string]string{"channel": channel}
	name := diaphone.ChannelName(channel)
	if name.NeedsAuth() {
		signed := socket + ":" + channel
		if name.IsPresence() {
			member, err := json.Marshal(map[string]string{"user_id": l.User})
			if err != nil {
				return err
			}
			data["channel_data"] = string(member)
			signed += ":" + string(member)
		}
		mac := hmac.New(sha256.New, []byte(l.Secret))
		mac.Write([]byte(signed))
		data["auth"] = l.Key + ":" + hex.EncodeToString(mac.Sum(nil))
	}
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return write(conn, frame{Event: "pusher:subscribe", Data: text})
}

func write(conn io.Writer, f frame) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return wsutil.WriteClientText(conn, text)
}

// unquote undoes the double encoding of data where it holds JSON; any other
// text stays a string.
func unquote(data json.RawMessage) json.RawMessage {
	var text string
	if json.Unmarshal(data, &text) == nil && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	if len(data) == 0 {
		return json.RawMessage("null")
	}
	return data
}
