package restart

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// What pusher-js does when a connection breaks without a close code, and when an
// attempt to connect fails: it tries after a second, and then waits for the time of
// the attempt to be over. No jitter.
const (
	retryAfter  = time.Second
	attemptTime = 15 * time.Second
)

// caller is a client that stays for the whole test, over however many connections.
type caller struct {
	crowd *crowd
	user  string

	mu       sync.Mutex
	conn     net.Conn // nil while there is none
	channels []*ledger
	back     time.Time // when its last subscription was answered
	odd      string    // what it heard and should not have
}

// ledger is what a caller knows of a channel. Events are numbered from 1.
type ledger struct {
	name     string
	joined   bool   // on the present connection
	position string // of the last event; empty: none known
	next     int    // the number that should come; 0: any, for it was told of a gap
	members  map[string]bool

	missing, twice int // events
	resumed, gaps  int // as it was told
}

// run connects again and again until ctx ends.
func (c *caller) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for ctx.Err() == nil {
		wait := attemptTime
		if conn, r, err := c.connect(ctx); err == nil {
			_ = c.listen(conn, r) // its end is what the test is about
			c.hangUp()
			wait = retryAfter
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

func (c *caller) connect(ctx context.Context) (net.Conn, *bufio.Reader, error) {
	conn, early, _, err := ws.Dialer{Timeout: attemptTime, ReadBufferSize: 1024, WriteBufferSize: 512}.Dial(ctx, c.crowd.url)
	if err != nil {
		return nil, nil, err
	}
	if early == nil {
		early = bufio.NewReaderSize(conn, 1024)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	if ctx.Err() != nil { // the crowd has gone home meanwhile
		_ = conn.Close()
	}
	return conn, early, nil
}

// hangUp resets the connection, as a phone does that loses its network.
func (c *caller) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return
	}
	_ = c.conn.(*net.TCPConn).SetLinger(0)
	_ = c.conn.Close()
	c.conn = nil
	for _, l := range c.channels {
		l.joined = false
	}
}

// listen reads until the connection breaks.
func (c *caller) listen(conn net.Conn, r *bufio.Reader) error {
	for {
		h, err := ws.ReadHeader(r)
		if err != nil {
			return err
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(r, payload); err != nil {
			return err
		}
		switch h.OpCode {
		case ws.OpText:
			err = c.hear(conn, payload)
		case ws.OpPing:
			err = wsutil.WriteClientMessage(conn, ws.OpPong, payload)
		case ws.OpClose:
			err = io.EOF
		}
		if err != nil {
			return err
		}
	}
}

// hear deals with one event.
func (c *caller) hear(conn net.Conn, payload []byte) error {
	var e struct {
		Event, Channel, Position string
		Data                     any
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return err
	}
	text, _ := e.Data.(string)
	if e.Event == "pusher:connection_established" {
		return c.subscribe(conn, text)
	}
	var data struct {
		Channel, Position string
		Complete          bool
		UserID            string `json:"user_id"`
		Presence          struct{ IDs []string }
	}
	if e.Event != "n" {
		_ = json.Unmarshal([]byte(text), &data) // what is none belongs to no channel, below
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.ledger(e.Channel + data.Channel)
	if l == nil {
		c.odd = string(payload)
		return io.ErrUnexpectedEOF
	}
	switch e.Event {
	case "pusher_internal:subscription_succeeded":
		l.members = map[string]bool{}
		for _, id := range data.Presence.IDs {
			l.members[id] = true
		}
		c.join(l)
	case "pusher_internal:member_added":
		l.members[data.UserID] = true
	case "pusher_internal:member_removed":
		delete(l.members, data.UserID)
	case "diaphone:resumed":
		l.told(data.Position, data.Complete)
	case "n":
		n, _ := strconv.Atoi(text)
		l.count(n, e.Position)
	}
	return nil
}

func (c *caller) ledger(name string) *ledger {
	for _, l := range c.channels {
		if l.name == name {
			return l
		}
	}
	return nil
}

// join notes that a subscription was answered. c.mu is held.
func (c *caller) join(l *ledger) {
	l.joined = true
	for _, l := range c.channels {
		if !l.joined {
			return
		}
	}
	c.back = time.Now()
}

// told notes how a wish to resume ended; the first time there was none.
func (l *ledger) told(position string, complete bool) {
	switch {
	case complete:
		l.resumed++
		return // what was missed follows, each with its position
	case l.position != "":
		l.gaps++
		l.next = 0
	}
	l.position = position
}

// count takes an event to the books.
func (l *ledger) count(n int, position string) {
	switch {
	case l.next == 0:
	case n < l.next:
		l.twice++
		return
	default:
		l.missing += n - l.next
	}
	l.next, l.position = n+1, position
}

// subscribe asks for all channels at once, as pusher-js does.
func (c *caller) subscribe(conn net.Conn, established string) error {
	var hello struct {
		SocketID string `json:"socket_id"`
	}
	if err := json.Unmarshal([]byte(established), &hello); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.channels {
		data := map[string]string{"channel": l.name, "auth": ""}
		signed := hello.SocketID + ":" + l.name
		if strings.HasPrefix(l.name, "presence-") {
			data["channel_data"] = `{"user_id":"` + c.user + `"}`
			signed += ":" + data["channel_data"]
		}
		if l.name != "news" {
			data["auth"] = appKey + ":" + sign(signed)
		}
		if c.crowd.resuming {
			data["since"] = l.position
		}
		text, err := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": data})
		if err != nil {
			return err
		}
		if err := wsutil.WriteClientText(conn, text); err != nil {
			return err
		}
	}
	return nil
}

func sign(text string) string {
	mac := hmac.New(sha256.New, []byte(appSecret))
	_, _ = io.WriteString(mac, text) // a hash takes all
	return hex.EncodeToString(mac.Sum(nil))
}
