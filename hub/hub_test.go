package hub

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/sockets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// plain is a protocol of one line a message.
type plain struct{}

func line(words ...any) *sockets.Frame {
	return sockets.Text([]byte(strings.TrimSuffix(fmt.Sprintln(words...), "\n")))
}

func (plain) Event(c diaphone.ChannelName, e *diaphone.Event) *sockets.Frame {
	if e.Position.Epoch != "" {
		return line("event", c, e.Name, e.Data, "at", e.Position)
	}
	return line("event", c, e.Name, e.Data)
}

func (plain) Subscribed(c diaphone.ChannelName, roster []Member) *sockets.Frame {
	words := []any{"in", c}
	for _, m := range roster {
		words = append(words, m.User)
	}
	return line(words...)
}

func (plain) Missed(c diaphone.ChannelName) *sockets.Frame { return line("missed", c) }

func (plain) Resumed(c diaphone.ChannelName, p diaphone.Position, complete bool) *sockets.Frame {
	return line("resumed", c, p, complete)
}

func (plain) MemberAdded(c diaphone.ChannelName, m Member) *sockets.Frame {
	return line("+", c, m.User)
}

func (plain) MemberRemoved(c diaphone.ChannelName, u diaphone.UserID) *sockets.Frame {
	return line("-", c, u)
}

func (plain) Count(c diaphone.ChannelName, n int) *sockets.Frame { return line("count", c, n) }

func (plain) ReceiptWanted(c diaphone.ChannelName, e *diaphone.Event) *sockets.Frame {
	return line("receipt?", c, e.Message)
}

func (plain) Watchlist(online, offline []diaphone.UserID) *sockets.Frame {
	return line("watch", online, offline)
}

// commands lets a client steer its own session from the callbacks, as a door would:
// "join c [user]", "resume c [position]", "leave c", "sign user", "watch user…". Each is answered by "ok" or
// the error, except a join and a watch, which the hub answers.
type commands struct{ s *Session }

func (c commands) OnMessage(_ *sockets.Conn, p []byte) {
	words := strings.Fields(string(p))
	var err error
	switch channel := diaphone.ChannelName(words[1]); words[0] {
	case "join":
		var m *Member
		if len(words) > 2 {
			m = &Member{User: diaphone.UserID(words[2])}
		}
		if err = c.s.Join(channel, m); err == nil {
			return
		}
	case "resume":
		since, _ := diaphone.ParsePosition(strings.Join(words[2:], ""))
		if err = c.s.Resume(channel, nil, &since); err == nil {
			return
		}
	case "leave":
		err = c.s.Leave(channel)
	case "watch":
		var users []diaphone.UserID
		for _, w := range words[1:] {
			users = append(users, diaphone.UserID(w))
		}
		c.s.Watch(users)
		return
	case "sign":
		err = c.s.SignIn(diaphone.UserID(words[1]))
	}
	if err != nil {
		c.s.Send(line(err))
		return
	}
	c.s.Send(line("ok"))
}

func (c commands) OnPong(_ *sockets.Conn, f uint64) { c.s.Pong(f) }
func (c commands) OnClose(*sockets.Conn, int)       { c.s.End() }
func (refused) OnMessage(*sockets.Conn, []byte)     {}
func (refused) OnPong(*sockets.Conn, uint64)        {}
func (refused) OnClose(*sockets.Conn, int)          {}

type refused struct{}

type site struct {
	*Hub
	t    testing.TB
	app  *diaphone.App
	addr string
}

var testApp = diaphone.App{ID: "1"}

func open(t testing.TB, c Config) *site { t.Helper(); return openFor(t, c, testApp) }

// openFor runs a hub whose visitors belong to an app with id 1.
func openFor(t testing.TB, c Config, app diaphone.App) *site {
	t.Helper()
	h := New(c)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = h.Engine().Upgrade(w, r, "", func(conn *sockets.Conn) sockets.Handler {
			s, err := h.Open(&app, conn, plain{})
			if err != nil {
				conn.Close(4100, err.Error())
				return refused{}
			}
			s.Send(line(s.ID()))
			return commands{s}
		})
	}))
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { _ = h.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		run.Wait()
		web.Close()
	})
	return &site{Hub: h, t: t, app: &app, addr: strings.TrimPrefix(web.URL, "http://")}
}

type visitor struct {
	t     testing.TB
	conn  net.Conn
	r     io.Reader
	id    diaphone.SocketID
	later []string // heard and not yet asked for
}

func (s *site) visit() *visitor {
	s.t.Helper()
	conn, early, _, err := ws.Dial(context.Background(), "ws://"+s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { _ = conn.Close() })
	v := &visitor{t: s.t, conn: conn, r: conn}
	if early != nil {
		v.r = early
	}
	v.id = diaphone.SocketID(v.hear())
	return v
}

func (v *visitor) say(words ...any) {
	v.t.Helper()
	f := ws.NewTextFrame([]byte(strings.TrimSuffix(fmt.Sprintln(words...), "\n")))
	if err := ws.WriteFrame(v.conn, ws.MaskFrame(f)); err != nil {
		v.t.Fatal(err)
	}
}

func (v *visitor) hear() string {
	v.t.Helper()
	text, err := v.listen()
	if err != nil {
		v.t.Fatalf("listen: %v", err)
	}
	return text
}

func (v *visitor) listen() (string, error) {
	h, err := ws.ReadHeader(v.r)
	if err != nil {
		return "", err
	}
	p := make([]byte, h.Length)
	if _, err = io.ReadFull(v.r, p); err != nil {
		return "", err
	}
	if h.OpCode == ws.OpClose {
		return "", io.EOF
	}
	return string(p), nil
}

func (v *visitor) expect(want string) {
	v.t.Helper()
	if got := v.hear(); got != want {
		v.t.Fatalf("heard %q, want %q", got, want)
	}
}

func (v *visitor) do(command, answer string) { v.t.Helper(); v.say(command); v.expect(answer) }

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("in vain: %s", what)
}

func (s *site) publish(channel, data string, except ...diaphone.SocketID) {
	e := diaphone.Event{Name: "e", Data: data}
	if len(except) > 0 {
		e.ExceptSocket = except[0]
	}
	s.Publish(s.app, []diaphone.ChannelName{diaphone.ChannelName(channel)}, e)
}

func TestEventsReachSubscribersOnly(t *testing.T) {
	s := open(t, Config{})
	a, b := s.visit(), s.visit()
	a.do("join news", "in news")
	b.do("join news", "in news")
	b.do("join other", "in other")
	s.publish("news", "1", a.id)
	s.publish("nobody", "2")
	s.publish("other", "3")
	s.publish("news", "4", "9.9") // an unknown socket excludes nobody
	a.expect("event news e 4")
	b.expect("event news e 1")
	b.expect("event other e 3")
	b.expect("event news e 4")
	s.Publish(&diaphone.App{ID: "2"}, []diaphone.ChannelName{"news"}, diaphone.Event{Name: "another app's"})
	a.do("leave news", "ok")
	a.do("leave news", ErrNotJoined.Error())
	b.do("join news", ErrJoined.Error())
	s.publish("news", "5")
	b.expect("event news e 5")
	a.do("join news", "in news")
	if st := s.Stats(); st.Connections != 2 || st.Channels != 2 {
		t.Errorf("%+v", st)
	}
	_ = a.conn.Close()
	_ = b.conn.Close()
	eventually(t, "all is gone", func() bool { st := s.Stats(); return st.Connections == 0 && st.Channels == 0 })
}

func TestUsersWhoAreHere(t *testing.T) {
	s := open(t, Config{})
	is := func(u diaphone.UserID, want bool) {
		t.Helper()
		if got := s.User(testApp.ID, u); (got != UserInfo{}) != want {
			t.Errorf("%s: %+v", u, got)
		}
	}
	a, b, c := s.visit(), s.visit(), s.visit()
	is("ana", false)
	a.do("sign ana", "ok")
	a.do("sign ana", "ok")
	a.do("sign bob", ErrOtherUser.Error())
	is("ana", true)
	is("bob", false)
	b.do("join presence-x ana", "in presence-x ana")
	c.do("join presence-x ana", "in presence-x ana")
	_ = a.conn.Close()
	eventually(t, "the signed-in connection is gone", func() bool { return s.Stats().Connections == 2 })
	is("ana", true) // still a member
	b.do("leave presence-x", "ok")
	is("ana", true)
	c.do("leave presence-x", "ok")
	is("ana", false)
	if got := s.User("2", "ana"); got != (UserInfo{}) {
		t.Errorf("in another app: %+v", got)
	}
}

func TestTerminate(t *testing.T) {
	s := open(t, Config{})
	a, b, c := s.visit(), s.visit(), s.visit()
	a.do("sign ana", "ok")
	b.do("sign ana", "ok")
	c.do("join presence-x ana", "in presence-x ana") // a member, but not signed in
	if n := s.Terminate(testApp.ID, "ana", 4009, ""); n != 2 {
		t.Errorf("%d sessions were told to end, want 2", n)
	}
	if n := s.Terminate(testApp.ID, "nobody", 4009, ""); n != 0 {
		t.Errorf("%d sessions of nobody were told to end", n)
	}
	for _, v := range []*visitor{a, b} {
		if text, err := v.listen(); err == nil {
			t.Errorf("heard %q", text)
		}
	}
	c.do("leave presence-x", "ok")
}

func TestPresenceIsPerUser(t *testing.T) {
	s := openFor(t, Config{}, diaphone.App{ID: "1", Limits: diaphone.Limits{PresenceMembers: 2, Channels: 2}})
	a, b, b2, c := s.visit(), s.visit(), s.visit(), s.visit()
	a.do("join presence-x ana", "in presence-x ana")
	b.do("join presence-x bob", "in presence-x ana bob")
	a.expect("+ presence-x bob")
	b2.do("join presence-x bob", "in presence-x ana bob")
	c.do("join presence-x eve", ErrFull.Error())
	c.do("join presence-y eve", "in presence-y eve") // the refused one does not count
	c.do("join news", "in news")
	c.do("join presence-x bob", ErrTooMany.Error())
	c.do("join news", ErrJoined.Error())
	c.do("leave news", "ok")
	c.do("join news", "in news")
	info, _ := s.Channel(testApp.ID, "presence-x")
	if members := s.Members(testApp.ID, "presence-x"); info.Sessions != 3 || info.Members != 2 || len(members) != 2 || members[0].User != "ana" || members[1].User != "bob" {
		t.Errorf("%+v %+v", info, members)
	}
	b.do("leave presence-x", "ok")
	s.publish("presence-x", "first")
	a.expect("event presence-x e first") // nothing of bob, who is still here
	_ = b2.conn.Close()
	a.expect("- presence-x bob")
	if all, next := s.Channels(testApp.ID, "presence-", "", 0); len(all) != 2 || next != "" {
		t.Errorf("presence channels: %v %q", all, next)
	}
}

// Everything published after a subscription arrives, nothing from before it, in
// order, however large the room and however publishers and subscribers race.
func TestJoiningUnderFire(t *testing.T) {
	const publishers, each, visitors = 2, 400, 100
	s := open(t, Config{})
	var all []*visitor
	for range visitors {
		all = append(all, s.visit())
	}
	var fire sync.WaitGroup
	for p := range publishers {
		fire.Go(func() {
			for n := range each {
				s.publish("news", fmt.Sprintf("%d %d", p, n))
			}
		})
	}
	var checks sync.WaitGroup
	for _, v := range all {
		v.say("join news")
		checks.Go(func() { v.checkSequence(publishers, each) })
	}
	fire.Wait()
	eventually(t, "all are in", func() bool {
		info, _ := s.Channel(testApp.ID, "news")
		return info.Sessions == visitors
	})
	for p := range publishers {
		s.publish("news", fmt.Sprintf("%d %d", p, each)) // the end, which all hear
	}
	checks.Wait()
}

// checkSequence hears "in" first, and then of each publisher an unbroken run to the end.
func (v *visitor) checkSequence(publishers, end int) {
	if first, err := v.listen(); first != "in news" {
		v.t.Errorf("heard %q first, %v", first, err)
		return
	}
	next := map[int]int{}
	for done := 0; done < publishers; {
		text, err := v.listen()
		if err != nil {
			v.t.Error(err)
			return
		}
		var p, n int
		if _, err := fmt.Sscanf(text, "event news e %d %d", &p, &n); err != nil {
			v.t.Errorf("%q: %v", text, err)
			return
		}
		if want, begun := next[p]; begun && n != want {
			v.t.Errorf("publisher %d: %d came, want %d", p, n, want)
			return
		}
		if next[p] = n + 1; n == end {
			done++
		}
	}
}

// Leaving while a large room is being served costs nobody else an event.
func TestLeavingUnderFire(t *testing.T) {
	const visitors, each = 150, 300
	s := open(t, Config{})
	var leave, stay []*visitor
	for i := range visitors {
		v := s.visit()
		v.do("join news", "in news")
		if i%3 == 0 {
			leave = append(leave, v)
		} else {
			stay = append(stay, v)
		}
	}
	var all sync.WaitGroup
	for _, v := range stay {
		all.Go(func() {
			for n := range each {
				if text, err := v.listen(); text != fmt.Sprintf("event news e %d", n) {
					t.Errorf("heard %q, want event %d; %v", text, n, err)
					return
				}
			}
		})
	}
	for i, v := range leave {
		all.Go(func() {
			for n := 0; n < i*2; n++ {
				if _, err := v.listen(); err != nil {
					return
				}
			}
			_ = v.conn.Close()
		})
	}
	for n := range each {
		s.publish("news", fmt.Sprint(n))
	}
	all.Wait()
}
