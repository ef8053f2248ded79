package hub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// Whatever the size of the pages, they make the same list.
func TestPagesOfATable(t *testing.T) {
	var rooms table
	var names []diaphone.ChannelName
	for _, n := range rand.Perm(300) {
		name := diaphone.ChannelName(fmt.Sprintf("%c-%d", 'a'+n%3, n))
		rooms.open(name)
		names = append(names, name)
	}
	rooms.open(diaphone.UserChannel("a-ana"))
	slices.Sort(names)
	for _, prefix := range []string{"", "b", "b-1", "b-10", "c-299", "x", "#server-to-user-"} {
		var want []diaphone.ChannelName
		for _, n := range names {
			if strings.HasPrefix(string(n), prefix) {
				want = append(want, n)
			}
		}
		for _, most := range []int{0, 1, 2, 7, 99, 100, 101, 299, 300, 301} {
			var got []diaphone.ChannelName
			for after, more := diaphone.ChannelName(""), true; more; {
				var page []*room
				page, more = rooms.page(prefix, after, most)
				if most > 0 && len(page) > most || more && len(page) != most {
					t.Fatalf("%q: a page of %d has %d, more: %v", prefix, most, len(page), more)
				}
				for _, r := range page {
					got = append(got, r.name)
					after = r.name
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q by %d: %v, want %v", prefix, most, got, want)
			}
		}
	}
}

func TestUserInfo(t *testing.T) {
	s := open(t, Config{})
	is := func(want UserInfo) {
		t.Helper()
		if got := s.User(testApp.ID, "ana"); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	is(UserInfo{})
	a, b := s.visit(), s.visit()
	a.do("sign ana", "ok")
	a.do("join presence-x ana", "in presence-x ana")
	b.do("join presence-x ana", "in presence-x ana")
	b.do("join presence-y ana", "in presence-y ana")
	is(UserInfo{SignedIn: 1, Present: 2})
	if got := s.User("2", "ana"); got != (UserInfo{}) {
		t.Errorf("of another app: %+v", got)
	}
	b.do("leave presence-x", "ok") // a is still there as the same user
	is(UserInfo{SignedIn: 1, Present: 2})
	_ = a.conn.Close()
	eventually(t, "a is gone", func() bool { return s.Stats().Connections == 1 })
	is(UserInfo{Present: 1})
}

func TestPositionOfAChannel(t *testing.T) {
	inBubble(t, withHistory(diaphone.HistoryRule{Prefix: "news", For: time.Minute}), func(b *bubble) {
		if p, ok := b.Position(&b.app, "other"); ok {
			t.Errorf("no history is kept, and yet it stands at %s", p)
		}
		before, ok := b.Position(&b.app, "news")
		if !ok || before.Epoch != b.epoch {
			t.Errorf("%s %v", before, ok)
		}
		b.publish("news", "1")
		after, _ := b.Position(&b.app, "news")
		for since, want := range map[diaphone.Position]int{before: 1, after: 0} {
			if past, _ := b.Past(&b.app, "news", since, 10); len(past.Events) != want || !past.Complete {
				t.Errorf("since %s: %+v", since, past)
			}
		}
		<-time.After(time.Hour) // what time takes away moves nothing
		if p, _ := b.Position(&b.app, "news"); p != after {
			t.Errorf("%s, and an hour later %s", after, p)
		}
	})
}

// BenchmarkPageOfChannels lists 100 of 100,000 channels: the time that others may
// have to wait for the lock.
func BenchmarkPageOfChannels(b *testing.B) {
	var rooms table
	for n := range 100_000 {
		rooms.open(diaphone.ChannelName(fmt.Sprintf("private-chat-%d", n*7919%100_003)))
	}
	for b.Loop() {
		if page, more := rooms.page("private-", "", 100); len(page) != 100 || !more {
			b.Fatal(len(page), more)
		}
	}
}
