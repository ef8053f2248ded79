package hub

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// hooked is an app that has all kinds of notices to tell, and somebody to tell.
func hooked() diaphone.App {
	return diaphone.App{ID: "1", Webhooks: []diaphone.Webhook{{Name: "w"}},
		Channels: diaphone.ChannelSettings{SubscriptionCount: true}}
}

// noticed writes a notice as a line, with the fields that are set.
func noticed(n diaphone.Notice) string {
	words := []any{n.Kind, n.Channel}
	for _, w := range []string{string(n.User), string(n.Socket), n.Event, n.Data} {
		if w != "" {
			words = append(words, w)
		}
	}
	if n.Count > 0 {
		words = append(words, n.Count)
	}
	return strings.TrimSuffix(fmt.Sprintln(words...), "\n")
}

// tells expects exactly these notices since it was last asked.
func (b *bubble) tells(want ...string) {
	b.t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.told, want) {
		b.t.Fatalf("told %q, want %q", b.told, want)
	}
	b.told = nil
}

func (g *guest) enter(c, user string) {
	g.b.t.Helper()
	if err := g.Join(diaphone.ChannelName(c), &Member{User: diaphone.UserID(user)}); err != nil {
		g.b.t.Fatal(err)
	}
}

func TestNotices(t *testing.T) {
	inBubble(t, hooked(), func(b *bubble) {
		ana, ana2, bob := b.visit(), b.visit(), b.visit()
		ana.join("news")
		b.tells("channel_occupied news", "subscription_count news 1")
		bob.join("news")
		b.tells("subscription_count news 2")
		ana.enter("presence-x", "ana")
		b.tells("channel_occupied presence-x", "member_added presence-x ana")
		ana2.enter("presence-x", "ana")
		b.tells()
		bob.enter("presence-x", "bob")
		b.tells("member_added presence-x bob")
		if err := bob.Emit("presence-x", diaphone.Event{Name: "client-typing", Data: `"on"`}); err != nil {
			t.Fatal(err)
		}
		if err := bob.Emit("news", diaphone.Event{Name: "client-a", Data: "1"}); err != nil {
			t.Fatal(err)
		}
		if err := bob.Emit("other", diaphone.Event{Name: "client-b"}); err == nil {
			t.Error("sent to a channel that it is not in")
		}
		b.tells(fmt.Sprint("client_event presence-x bob ", bob.ID(), ` client-typing "on"`), fmt.Sprint("client_event news ", bob.ID(), " client-a 1"))
		b.Publish(&b.app, []diaphone.ChannelName{"news"}, diaphone.Event{Name: "e", Data: "1"})
		b.tells()
		_ = ana.Leave("presence-x")
		b.tells()
		_ = ana2.Leave("presence-x")
		b.tells("member_removed presence-x ana")
		_ = bob.Leave("presence-x")
		b.tells("member_removed presence-x bob", "channel_vacated presence-x")
		ana.drop()
		b.tells("subscription_count news 1")
		bob.drop()
		b.tells("channel_vacated news")
	})
}

func TestNoticesOfEmptyCaches(t *testing.T) {
	app := hooked()
	app.Channels = diaphone.ChannelSettings{History: []diaphone.HistoryRule{{}}}
	app.Limits.Channels = 2
	inBubble(t, app, func(b *bubble) {
		ana, bob := b.visit(), b.visit()
		ana.join("cache-a")
		b.tells("channel_occupied cache-a", "cache_miss cache-a")
		bob.join("cache-a")
		b.tells("cache_miss cache-a") // whoever listens decides how often is enough
		b.Publish(&b.app, []diaphone.ChannelName{"cache-a", "cache-b"}, diaphone.Event{Name: "e", Data: "1"})
		bob.join("cache-b")
		b.tells("channel_occupied cache-b")
		if err := bob.Join("cache-c", nil); err == nil {
			t.Fatal("in more channels than it may")
		}
		b.tells()
	})
}

// A room that is full, a user's own channel, a watched user: no channel of anybody's
// begins there.
func TestNoNotices(t *testing.T) {
	app := hooked()
	app.Limits.PresenceMembers = 1
	inBubble(t, app, func(b *bubble) {
		ana, bob := b.visit(), b.visit()
		ana.enter("presence-x", "ana")
		b.tells("channel_occupied presence-x", "member_added presence-x ana")
		if err := bob.Join("presence-x", &Member{User: "bob"}); err == nil {
			t.Fatal("in a full room")
		}
		_ = ana.SignIn("ana")
		ana.join("#server-to-user-ana")
		bob.Watch([]diaphone.UserID{"ana", "eve"})
		_ = ana.Leave("#server-to-user-ana")
		b.tells()
	})
	app.Webhooks = nil
	inBubble(t, app, func(b *bubble) {
		ana := b.visit()
		ana.enter("presence-cache-x", "ana")
		_ = ana.Emit("presence-cache-x", diaphone.Event{Name: "client-e"})
		ana.drop()
		b.tells()
	})
}

// Notices of counts keep the pace of what the subscribers hear.
func TestNoticesOfCountsArePaced(t *testing.T) {
	inBubble(t, hooked(), func(b *bubble) {
		for range largeChannel {
			b.visit().join("news")
		}
		synctest.Wait()
		b.told = nil
		late := b.visit()
		late.join("news")
		b.visit().join("news")
		late.drop()
		b.tells()
		<-time.After(countEvery)
		b.tells("subscription_count news 101")
	})
}

// Sessions come and go all at once, rooms die and others take their place: what is
// told of a channel is one true story.
func TestNoticesUnderRaces(t *testing.T) {
	const walkers, laps = 16, 150
	var mu sync.Mutex
	var told []diaphone.Notice
	s := openFor(t, Config{Notice: func(_ *diaphone.App, n diaphone.Notice) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, n)
	}}, hooked())
	var all sync.WaitGroup
	for i := range walkers {
		v := s.visit()
		all.Go(func() {
			for lap := range laps {
				channel := fmt.Sprint("presence-", (i+lap)%3)
				v.say("join", channel, fmt.Sprint("u", i%5))
				if _, err := v.roster(); err != nil {
					t.Error(err)
					return
				}
				if lap == laps-1 {
					_ = v.conn.Close() // with the last channel still entered
					return
				}
				v.say("leave", channel)
				if err := v.quiet("ok"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	eventually(t, "all have left", func() bool { return s.Stats().Channels == 0 })
	mu.Lock()
	defer mu.Unlock()
	if fault := story(told); fault != "" {
		t.Fatal(fault)
	}
	deaths := 0
	for i, n := range told {
		if n.Kind == diaphone.ChannelVacated {
			deaths++
		}
		// The negative control: a story with two neighbours swapped is not told.
		if i > 0 && n.Channel == told[i-1].Channel && i < 2000 {
			swapped := slices.Clone(told)
			swapped[i], swapped[i-1] = swapped[i-1], swapped[i]
			related := n.User == told[i-1].User || n.User == "" || told[i-1].User == ""
			if related && story(swapped) == "" {
				t.Fatalf("the check does not notice that %q and %q are swapped", noticed(told[i-1]), noticed(n))
			}
		}
	}
	if deaths < 10 {
		t.Fatalf("only %d rooms have died: the walk is too tame", deaths)
	}
}

// As soon as a room counts as dead, another may take its place and tell that it is
// occupied: what the first has to tell comes before.
func TestVacatedIsToldWhileTheRoomLives(t *testing.T) {
	var s *site
	lived := make(chan bool, 1)
	s = openFor(t, Config{Notice: func(_ *diaphone.App, n diaphone.Notice) {
		if n.Kind == diaphone.ChannelVacated {
			r := s.tenant("1").rooms.room(n.Channel)
			lived <- r != nil && !r.dead.Load()
		}
	}}, hooked())
	v := s.visit()
	v.say("join presence-x ana")
	v.say("leave presence-x")
	if !<-lived {
		t.Error("another room could have been opened already")
	}
}

// quiet hears what comes until a line, and minds only errors of the connection.
func (v *visitor) quiet(end string) error {
	for {
		if text, err := v.listen(); err != nil || text == end {
			return err
		}
	}
}

// story tells what is wrong with what was told of some channels, up to their end.
func story(told []diaphone.Notice) string {
	members := map[diaphone.ChannelName]map[diaphone.UserID]bool{}
	for i, n := range told {
		in, occupied := members[n.Channel]
		wrong := false
		switch n.Kind {
		case diaphone.ChannelOccupied:
			wrong = occupied
			members[n.Channel] = map[diaphone.UserID]bool{}
		case diaphone.ChannelVacated:
			wrong = !occupied || len(in) > 0
			delete(members, n.Channel)
		case diaphone.MemberAdded:
			if wrong = !occupied || in[n.User]; !wrong {
				in[n.User] = true
			}
		case diaphone.MemberRemoved:
			wrong = !occupied || !in[n.User]
			delete(in, n.User)
		default:
			wrong = true
		}
		if wrong {
			return fmt.Sprintf("notice %d, %q, came while the channel was occupied: %v, by %v", i, noticed(n), occupied, in)
		}
	}
	if len(members) > 0 {
		return fmt.Sprintf("left over: %v", members)
	}
	return ""
}
