package hub

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/diaphone-dev/diaphone"
)

const (
	within = 3 * time.Second
	m1     = diaphone.MessageID("msg_1")
	m2     = diaphone.MessageID("msg_2")
)

func (b *bubble) publishAwaited(id diaphone.MessageID, by diaphone.Proof, channels ...diaphone.ChannelName) {
	e := &diaphone.Event{Name: "e", Data: string(id), Message: id}
	b.Await(&b.app, diaphone.Awaited{Message: id, By: by, Until: time.Now().Add(within)})(channels, e)
	synctest.Wait()
}

// taken asserts what is known of a user: "proven", "open" (it may still turn out) or "no".
func (b *bubble) taken(id diaphone.MessageID, u diaphone.UserID, want string) {
	b.t.Helper()
	synctest.Wait()
	how, until := b.Taken(b.app.ID, id, u)
	is := "no"
	if how == diaphone.TakenLive {
		is = "proven"
	} else if how == diaphone.TakenElsewhere {
		is = "reported"
	} else if !until.IsZero() {
		is = "open"
	}
	if is != want {
		b.t.Errorf("%s by %s: %s, want %s", id, u, is, want)
	}
}

func (b *bubble) user(u diaphone.UserID, channels ...string) *guest {
	b.t.Helper()
	g := b.visit()
	if err := g.SignIn(u); err != nil {
		b.t.Fatal(err)
	}
	for _, c := range channels {
		g.join(c)
	}
	synctest.Wait()
	return g
}

// numbed lets the peer read on and answer no ping: its stack lives, its app may not.
func (g *guest) numbed() *guest {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.numb = true
	return g
}

func TestWhoHasTakenAMessage(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		b.user("ana", "news")
		b.user("ben", "other")
		b.user("cid", "news").numbed()
		nameless := b.visit()
		nameless.join("news")
		member := b.visit()
		if err := member.Join("presence-x", &Member{User: "dan"}); err != nil {
			t.Fatal(err)
		}
		twice := b.user("eve", "news").numbed()
		b.user("eve", "news")
		b.publishAwaited(m1, diaphone.ByPong, "news", "presence-x")
		b.taken(m1, "ana", "proven")
		b.taken(m1, "ben", "no") // is live, and was not told
		b.taken(m1, "cid", "open")
		b.taken(m1, "dan", "proven")
		b.taken(m1, "eve", "proven") // by one of two sockets
		b.taken(m1, "fay", "no")
		b.taken(m2, "ana", "no")
		if how, _ := b.Taken("2", m1, "ana"); how != "" {
			t.Error("proven in another app")
		}
		time.Sleep(within) //nolint:forbidigo // virtual time
		b.taken(m1, "cid", "no")
		b.taken(m1, "ana", "proven")
		twice.drop()
		b.taken(m1, "eve", "proven")
		time.Sleep(takersKept) //nolint:forbidigo // virtual time
		b.publishAwaited(m2, diaphone.ByPong, "news")
		b.taken(m1, "ana", "no") // forgotten
	})
}

func TestASocketThatDiesLeavesNoHope(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		one, two := b.user("ana", "news").numbed(), b.user("ana", "news").numbed()
		b.publishAwaited(m1, diaphone.ByPong, "news")
		b.taken(m1, "ana", "open")
		one.drop()
		b.taken(m1, "ana", "open")
		two.drop()
		b.taken(m1, "ana", "no") // well before the time is over
	})
}

// A pong answers for what went out before it, and for nothing else.
func TestAPongIsForAllBeforeIt(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		g := b.user("ana", "a", "b").numbed()
		b.publishAwaited(m1, diaphone.ByPong, "a")
		b.publishAwaited(m2, diaphone.ByPong, "b")
		b.publishAwaited("msg_3", diaphone.ByPong, "a", "b")
		g.Pong(0)
		g.Pong(99)
		b.taken(m1, "ana", "open")
		g.Pong(2) // only the latest need be answered
		b.taken(m1, "ana", "proven")
		b.taken(m2, "ana", "proven")
		b.taken("msg_3", "ana", "open")
		g.Pong(3)
		b.taken("msg_3", "ana", "proven")
	})
}

func TestOnlyTheAppsWordCounts(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		g := b.user("ana", "news")
		g.heard = nil
		b.publishAwaited(m1, diaphone.ByReceipt, "news")
		g.expect("event news e msg_1", "receipt? news msg_1")
		b.taken(m1, "ana", "open")
		stranger := b.user("ben")
		stranger.Receipt(m1)
		b.taken(m1, "ana", "open")
		g.Receipt("msg_unknown")
		if b.awaiting.find(messageRef{"1", "msg_unknown"}) != nil {
			t.Error("a client has had a message remembered")
		}
		g.Receipt(m1)
		b.taken(m1, "ana", "proven")
	})
}

// A pong that answers for a later message says nothing of one that the app's word is
// wanted for.
func TestAPongIsNotTheAppsWord(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		g := b.user("ana", "news")
		b.publishAwaited(m1, diaphone.ByReceipt, "news")
		b.publishAwaited(m2, diaphone.ByPong, "news")
		b.taken(m1, "ana", "open")
		b.taken(m2, "ana", "proven")
		g.Receipt(m1)
		b.taken(m1, "ana", "proven")
	})
}

func TestAskingWithoutAnEvent(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		g := b.user("ana", "news")
		g.heard = nil
		b.Await(&b.app, diaphone.Awaited{Message: m1, By: diaphone.ByPong, Until: time.Now().Add(within)})([]diaphone.ChannelName{"news", "empty"}, nil)
		b.taken(m1, "ana", "proven")
		g.expect()
	})
}

// The sender of an event does not receive it, so it takes nothing.
func TestWhoIsExceptedProvesNothing(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		g := b.user("ana", "news")
		b.Await(&b.app, diaphone.Awaited{Message: m1, By: diaphone.ByPong, Until: time.Now().Add(within)})(
			[]diaphone.ChannelName{"news"}, &diaphone.Event{Name: "e", ExceptSocket: g.ID()})
		b.taken(m1, "ana", "no")
	})
}

// Kept events carry no ping to those who come later; a history changes nothing.
func TestTakenWithAHistory(t *testing.T) {
	app := diaphone.App{ID: "1", Channels: diaphone.ChannelSettings{History: []diaphone.HistoryRule{{}}}}
	inBubble(t, app, func(b *bubble) {
		b.user("ana", "news")
		b.publishAwaited(m1, diaphone.ByPong, "news")
		b.taken(m1, "ana", "proven")
		b.user("ben", "news")
		b.taken(m1, "ben", "no")
	})
}

func TestWhatIsAwaitedIsBounded(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		g := b.user("ana", "news").numbed()
		for i := range 3 * maxProofs {
			b.publishAwaited(diaphone.MessageID(fmt.Sprint("msg_", i)), diaphone.ByPong, "news")
		}
		if n := len(g.proofs.Load().all); n > maxProofs {
			t.Errorf("a session keeps %d proofs", n)
		}
		g.Pong(uint64(3 * maxProofs))
		b.taken(diaphone.MessageID(fmt.Sprint("msg_", 3*maxProofs-1)), "ana", "proven")
		time.Sleep(takersKept) //nolint:forbidigo // virtual time
		b.publishAwaited(m1, diaphone.ByPong, "nobody is here")
		if n := len(b.awaiting.byMessage); n != 0 || b.awaiting.order.Len() != 0 || b.awaiting.takers != 0 {
			t.Errorf("%d messages and %d takers are kept", n, b.awaiting.takers)
		}
	})
}

// Between the announcement and the publishing, a push waits whoever it is for.
func TestAnAnnouncedMessage(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		b.user("ana", "news")
		publish := b.Await(&b.app, diaphone.Awaited{Message: m1, By: diaphone.ByPong, Until: time.Now().Add(within)})
		forget := b.Await(&b.app, diaphone.Awaited{Message: m2, By: diaphone.ByPong, Until: time.Now().Add(within)})
		b.taken(m1, "ana", "open")
		b.taken(m1, "ben", "open")
		publish([]diaphone.ChannelName{"news"}, &diaphone.Event{Name: "e"})
		b.taken(m1, "ana", "proven")
		b.taken(m1, "ben", "no")
		forget(nil, nil)
		b.taken(m2, "ana", "no")
		b.Await(&b.app, diaphone.Awaited{Message: m2, By: diaphone.ByPong, Until: time.Now().Add(within)})
		time.Sleep(within)       //nolint:forbidigo // virtual time
		b.taken(m2, "ana", "no") // even if it never is published
	})
}

// Who leaves before it was told gives no hope either.
func TestASessionThatLeavesUntold(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		g := b.user("ana", "news")
		r := b.tenantOf(&b.app).rooms.room("news")
		r.gate.Lock() // nothing goes out
		a := b.awaiting.open(messageRef{"1", m1}, diaphone.Awaited{Message: m1, By: diaphone.ByPong, Until: time.Now().Add(within)})
		o := outgoing{Event: diaphone.Event{Name: "e"}, awaited: a}
		r.take(o.letter("news"))
		b.awaiting.count(a)
		b.taken(m1, "ana", "open")
		r.gate.Unlock()
		if err := g.Leave("news"); err != nil {
			t.Fatal(err)
		}
		b.taken(m1, "ana", "no")
	})
}

// What a device reports counts as what a socket proves, also of a message that is not
// known any more; nothing of it reaches other users, messages or apps.
func TestADeviceReports(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		b.user("ana", "news")
		b.user("cid", "news").numbed()
		b.publishAwaited(m1, diaphone.ByPong, "news")
		b.taken(m1, "cid", "open")
		for _, u := range []diaphone.UserID{"ana", "cid", "joe"} {
			b.Confirm("1", m1, u)
		}
		b.taken(m1, "ana", "proven") // what was first
		b.taken(m1, "cid", "reported")
		b.taken(m1, "joe", "reported") // who was not live
		b.taken(m1, "eve", "no")
		b.Confirm("1", m2, "ana")
		b.taken(m2, "ana", "reported")
		b.taken(m2, "cid", "no")
		if how, until := b.Taken("2", m2, "ana"); how != "" || !until.IsZero() {
			t.Errorf("another app's message is taken: %q", how)
		}
		time.Sleep(takersKept + time.Second) //nolint:forbidigo // virtual time
		b.Confirm("1", "msg_3", "ana")
		b.taken(m1, "cid", "no")
		b.taken(m2, "ana", "no")
		b.taken("msg_3", "ana", "reported")
		if n := len(b.awaiting.byMessage); n != 1 || b.awaiting.order.Len() != 1 || b.awaiting.takers != 1 {
			t.Errorf("%d messages, %d takers are remembered", n, b.awaiting.takers)
		}
	})
}

// However many report, no more than the bound is remembered.
func TestReportsAreBounded(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		b.Confirm("1", m1, "first")
		for i := range maxTakers {
			b.Confirm("1", m2, diaphone.UserID(fmt.Sprint(i)))
			b.Confirm("1", m2, diaphone.UserID(fmt.Sprint(i)))
		}
		b.taken(m1, "first", "no")
		b.taken(m2, "7", "reported")
		if b.awaiting.takers != maxTakers {
			t.Errorf("%d takers are counted", b.awaiting.takers)
		}
		b.Confirm("1", m1, "first")
		b.taken(m1, "first", "reported")
		b.taken(m2, "7", "no")
	})
}
