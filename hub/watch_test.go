package hub

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
)

func (g *guest) sign(u string) {
	g.b.t.Helper()
	if err := g.SignIn(diaphone.UserID(u)); err != nil {
		g.b.t.Fatal(err)
	}
}

func TestWatching(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		pass := func(d time.Duration) { <-time.After(d) }
		ana, bob, bob2, eve := b.visit(), b.visit(), b.visit(), b.visit()
		ana.sign("ana")
		ana.Watch([]diaphone.UserID{"bob", "ana", "bob"})
		ana.expect("watch [ana] [bob]")
		ana.Watch([]diaphone.UserID{"eve"}) // only the first list counts
		eve.Watch([]diaphone.UserID{"bob"})
		eve.expect("watch [] [bob]")
		bob.sign("bob")
		ana.expect("watch [bob] []")
		bob2.sign("bob")
		ana.expect()
		bob.drop()
		pass(time.Minute)
		ana.expect() // the other session is still there
		bob2.drop()
		pass(offlineGrace - time.Millisecond)
		ana.expect()
		pass(time.Millisecond)
		ana.expect("watch [] [bob]")
		eve.expect("watch [bob] []", "watch [] [bob]")

		// Gone for less than the grace, several times over: nobody hears of it.
		for range 5 {
			bob = b.visit()
			bob.sign("bob")
			pass(time.Second)
			bob.drop()
			pass(2 * time.Second)
		}
		ana.expect("watch [bob] []")
		eve.drop()
		pass(offlineGrace)
		ana.expect("watch [] [bob]")

		ana.drop()
		if n := b.tenant("1").watched.len(); n != 0 {
			t.Errorf("%d users are watched by nobody", n)
		}
	})
}

// The grace of a user ends when nobody watches any more, and begins anew.
func TestWatchingIsTakenUpAgain(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		ana, bob := b.visit(), b.visit()
		bob.sign("bob")
		ana.Watch([]diaphone.UserID{"bob"})
		ana.expect("watch [bob] []")
		bob.drop()
		ana.drop()
		eve := b.visit()
		eve.Watch([]diaphone.UserID{"bob"})
		eve.expect("watch [] [bob]")
		<-time.After(time.Minute)
		eve.expect()
	})
}

func TestSessionsExpire(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		signed, inside, public, gone := b.visit(), b.visit(), b.visit(), b.visit()
		for _, g := range []*guest{signed, inside, public, gone} {
			g.Expire(time.Minute, func() { g.Send(line("expired")); g.Close(4009, "") })
		}
		signed.sign("ana")
		inside.join("private-x")
		public.join("news")
		gone.drop()
		<-time.After(time.Minute - 1)
		public.expect("in news")
		<-time.After(1)
		public.expect("expired")
		if public.code != 4009 {
			t.Errorf("closed with %d", public.code)
		}
		<-time.After(time.Hour)
		signed.expect()
		inside.expect("in private-x")
		gone.expect()
	})
}

// However users come while others begin to watch them: what a watcher hears first
// is how things stand, and then of everyone who comes after that, once.
func TestWatchingUnderRaces(t *testing.T) {
	const users, watchers = 80, 120
	s := open(t, Config{})
	var list []any
	for i := range users {
		list = append(list, fmt.Sprint("u", i))
	}
	var all sync.WaitGroup
	come := make(chan string)
	for range 4 {
		all.Go(func() {
			for u := range come {
				s.visit().do("sign "+u, "ok")
			}
		})
	}
	var ready []*visitor
	for range watchers {
		ready = append(ready, s.visit())
	}
	all.Go(func() {
		for _, v := range ready { // one after the other, while the users come
			v.say(append([]any{"watch"}, list...)...)
			all.Go(func() {
				if err := v.hearAllCome(users); err != nil {
					t.Error(err)
				}
			})
		}
	})
	for _, u := range rand.Perm(users) {
		come <- fmt.Sprint("u", u)
	}
	close(come)
	all.Wait()
}

func (v *visitor) hearAllCome(users int) error {
	state, err := v.listen()
	came, gone := parseWatch(state)
	if err != nil || len(came)+len(gone) != users {
		return fmt.Errorf("heard %q first: %w", state, err)
	}
	online := map[string]bool{}
	for _, u := range came {
		online[u] = true
	}
	for len(online) < users {
		text, err := v.listen()
		if err != nil {
			return err
		}
		came, gone := parseWatch(text)
		if len(came) != 1 || len(gone) != 0 || online[came[0]] {
			return fmt.Errorf("heard %q while %d were online", text, len(online))
		}
		online[came[0]] = true
	}
	return nil
}

// parseWatch reads a line of plain.Watchlist.
func parseWatch(line string) (online, offline []string) {
	came, gone, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(line, "watch ["), "]"), "] [")
	return strings.Fields(came), strings.Fields(gone)
}
