package hub

import (
	"fmt"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
)

func counted() diaphone.App {
	return diaphone.App{ID: "1", Channels: diaphone.ChannelSettings{SubscriptionCount: true}}
}

func TestSubscriptionCount(t *testing.T) {
	inBubble(t, counted(), func(b *bubble) {
		ana, bob := b.visit(), b.visit()
		ana.join("news")
		ana.expect("in news", "count news 1")
		bob.join("cache-x")
		bob.join("news")
		bob.expect("in cache-x", "missed cache-x", "count cache-x 1", "in news", "count news 2")
		ana.expect("count news 2")
		_ = ana.Leave("news")
		bob.expect("count news 1")
		ana.join("news")
		ana.expect("in news", "count news 2")
		bob.drop()
		ana.expect("count news 1")
		if err := ana.Join("presence-x", &Member{User: "ana"}); err != nil {
			t.Fatal(err)
		}
		_ = ana.SignIn("ana")
		ana.join("#server-to-user-ana")
		ana.expect("in presence-x ana", "in #server-to-user-ana")
	})
}

func TestSubscriptionCountIsOffByDefault(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		ana := b.visit()
		ana.join("news")
		ana.expect("in news")
	})
}

// Above a hundred subscribers a change is told at most every five seconds, the
// last one always, and none when there was none.
func TestSubscriptionCountIsPaced(t *testing.T) {
	inBubble(t, counted(), func(b *bubble) {
		ana := b.visit()
		ana.join("news")
		for range largeChannel - 1 {
			b.visit().join("news")
		}
		want := []string{"in news"}
		for n := range largeChannel {
			want = append(want, fmt.Sprint("count news ", n+1))
		}
		ana.expect(want...)
		var crowd []*guest
		come := func(n int) {
			for range n {
				crowd = append(crowd, b.visit())
				crowd[len(crowd)-1].join("news")
			}
		}
		pass := func(d time.Duration) { <-time.After(d) }
		come(3)
		ana.expect()
		pass(4 * time.Second)
		come(1)
		crowd[0].drop()
		ana.expect()
		pass(time.Second)
		ana.expect("count news 103")
		pass(time.Minute)
		ana.expect() // nothing has changed
		come(1)
		ana.expect("count news 104") // the last was long ago
		come(1)
		crowd[len(crowd)-1].drop()
		pass(4999 * time.Millisecond)
		ana.expect()
		pass(time.Millisecond)
		ana.expect("count news 104") // the newcomers have not heard it yet
		for _, g := range crowd {
			if g.Joined("news") {
				_ = g.Leave("news")
			}
		}
		ana.expect("count news 100") // small again: each change at once
		pass(time.Minute)
		ana.expect() // and nothing is left to tell
		if err := ana.Leave("news"); err != nil {
			t.Fatal(err)
		}
		ana.expect()
	})
}
