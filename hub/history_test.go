package hub

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/sockets"
)

func withHistory(rules ...diaphone.HistoryRule) diaphone.App {
	return diaphone.App{ID: "1", Channels: diaphone.ChannelSettings{History: rules}}
}

func (b *bubble) publish(channel, data string) {
	b.Publish(&b.app, []diaphone.ChannelName{diaphone.ChannelName(channel)}, diaphone.Event{Name: "e", Data: data})
}

func (g *guest) resume(c string, since diaphone.Position) {
	g.b.t.Helper()
	if err := g.Resume(diaphone.ChannelName(c), nil, &since); err != nil {
		g.b.t.Fatal(err)
	}
}

func TestResume(t *testing.T) {
	inBubble(t, withHistory(diaphone.HistoryRule{Prefix: "news", Events: 3, For: time.Minute}), func(b *bubble) {
		at := func(n uint64) diaphone.Position { return diaphone.Position{Epoch: b.epoch, Serial: n} }
		ana := b.visit()
		ana.resume("news", diaphone.Position{}) // knows nothing yet
		ana.expect("in news", fmt.Sprintf("resumed news %s false", at(0)))
		ana.join("other")
		for _, data := range []string{"1", "2", "3"} {
			b.publish("news", data)
			b.publish("other", data)
		}
		ana.expect("in other",
			fmt.Sprint("event news e 1 at ", at(1)), "event other e 1", fmt.Sprint("event news e 2 at ", at(2)), "event other e 2",
			fmt.Sprint("event news e 3 at ", at(3)), "event other e 3")
		for _, c := range []struct {
			since diaphone.Position
			want  string
			data  []uint64
		}{
			{at(0), "true", []uint64{1, 2, 3}},
			{at(1), "true", []uint64{2, 3}},
			{at(3), "true", nil},
			{at(4), "false", nil}, // never given
			{diaphone.Position{Epoch: "another", Serial: 1}, "false", nil},
		} {
			g := b.visit()
			g.resume("news", c.since)
			want := []string{"in news", fmt.Sprintf("resumed news %s %s", at(3), c.want)}
			for _, n := range c.data {
				want = append(want, fmt.Sprintf("event news e %d at %s", n, at(n)))
			}
			g.expect(want...)
		}
		b.publish("news", "4") // the first goes
		late := b.visit()
		late.resume("news", at(0))
		late.resume("other", at(0))
		late.expect("in news", fmt.Sprintf("resumed news %s false", at(4)), "in other", "resumed other  false")
		<-time.After(time.Minute)
		for since, want := range map[uint64]string{3: "false", 4: "true"} {
			g := b.visit()
			g.resume("news", at(since))
			g.expect("in news", fmt.Sprintf("resumed news %s %s", at(4), want))
		}
	})
}

// Who resumes without a gap has what the cache would give; who cannot gets it.
func TestResumeInACacheChannel(t *testing.T) {
	inBubble(t, withHistory(diaphone.HistoryRule{}), func(b *bubble) {
		at := func(n uint64) diaphone.Position { return diaphone.Position{Epoch: b.epoch, Serial: n} }
		b.publish("cache-x", "1")
		for since, rest := range map[diaphone.Position][]string{
			at(0): {fmt.Sprintf("resumed cache-x %s true", at(1)), fmt.Sprint("event cache-x e 1 at ", at(1))},
			at(1): {fmt.Sprintf("resumed cache-x %s true", at(1))},
			{}:    {fmt.Sprintf("resumed cache-x %s false", at(1)), fmt.Sprint("event cache-x e 1 at ", at(1))},
		} {
			g := b.visit()
			g.resume("cache-x", since)
			g.expect(append([]string{"in cache-x"}, rest...)...)
		}
	})
}

// Too much to replay is not replayed: the backlog of the connection is bounded.
func TestResumeIsBounded(t *testing.T) {
	inBubble(t, withHistory(diaphone.HistoryRule{}), func(b *bubble) {
		data := strings.Repeat("x", 10<<10)
		for range 10 {
			b.publish("a", data)
			b.publish("b", data)
		}
		g := b.visit()
		start := diaphone.Position{Epoch: b.epoch}
		g.resume("a", start)
		g.resume("b", start)
		if past, ok := b.Past(&b.app, "b", start, 7); !ok || !past.Complete || len(past.Events) != 7 || past.Position != past.Events[6].Event.Position {
			t.Errorf("%v %v", past, ok)
		}
		<-time.After(time.Second)
		g.mu.Lock()
		defer g.mu.Unlock()
		if n := len(g.heard); n != 2+10+2 || !strings.HasSuffix(g.heard[n-1], "false") {
			t.Errorf("heard %d lines", n)
		}
	})
}

// Against a model that forgets nothing: whatever is called complete is, what is
// there is right and in order, and while nothing was dropped all is complete.
func TestChronicle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := chronicle{epoch: "x", bound: rapid.IntRange(1, 12).Draw(t, "bound") * (overhead + 50)}
		rule := diaphone.HistoryRule{Events: rapid.IntRange(1, 6).Draw(t, "events"), For: time.Duration(rapid.IntRange(1, 60).Draw(t, "for")) * time.Second}
		model := map[diaphone.ChannelName][]uint64{}
		now, published := time.Now(), 0
		channel := rapid.SampledFrom([]diaphone.ChannelName{"a", "b", "c"})
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
			c := channel.Draw(t, "channel")
			if rapid.Bool().Draw(t, "publish") {
				e := diaphone.Event{Data: strings.Repeat("x", rapid.IntRange(0, 49).Draw(t, "size"))}
				h.put(c, &e, rule, now)
				model[c] = append(model[c], e.Position.Serial)
				published++
				if h.bytes > h.bound {
					t.Fatalf("%d bytes kept", h.bytes)
				}
				continue
			}
			since := rapid.Uint64Range(0, h.serial+1).Draw(t, "since")
			most := rapid.IntRange(1, 8).Draw(t, "most")
			past := h.since(c, diaphone.Position{Epoch: "x", Serial: since}, most, now)
			var got, want []uint64
			for _, e := range past.Events {
				got = append(got, e.Event.Position.Serial)
			}
			for _, serial := range model[c] {
				if serial > since {
					want = append(want, serial)
				}
			}
			whole := len(want) <= most
			if past.Complete && fmt.Sprint(got) != fmt.Sprint(want[:min(most, len(want))]) {
				t.Fatalf("complete since %d: %v, want %v", since, got, want)
			}
			if since <= h.serial && !past.Complete && fmt.Sprint(got) == fmt.Sprint(want) && len(h.byName) == len(model) {
				t.Fatalf("since %d: %v is all, and not called so", since, got)
			}
			if end := past.Position.Serial; past.Complete && whole && end != h.serial || past.Complete && !whole && end != got[len(got)-1] {
				t.Fatalf("to go on from %d", end)
			}
		}
	})
}

// Of more quiet channels than are remembered, the doubt is on the safe side.
func TestQuietChannels(t *testing.T) {
	h := chronicle{epoch: "x", bound: 1 << 20}
	now := time.Now()
	rule := diaphone.HistoryRule{Events: 1, For: time.Second}
	for n := range maxQuiet + 2 {
		h.put(diaphone.ChannelName(fmt.Sprint("c", n)), &diaphone.Event{}, rule, now)
	}
	now = now.Add(time.Second)
	h.put("last", &diaphone.Event{}, rule, now)
	if len(h.byName) != maxQuiet+1 || h.floor != 2 {
		t.Errorf("%d channels, floor %d", len(h.byName), h.floor)
	}
	for _, c := range []struct {
		channel diaphone.ChannelName
		since   uint64
		want    bool
	}{{"c0", 1, false}, {"c0", 2, true}, {"never", 1, false}, {"never", 2, true}, {"c2", 3, true}, {"c2", 2, false}} {
		if past := h.since(c.channel, diaphone.Position{Epoch: "x", Serial: c.since}, 9, now); past.Complete != c.want {
			t.Errorf("%s since %d: %v", c.channel, c.since, past.Complete)
		}
	}
}

// Whoever comes and goes while others publish, and resumes each time, hears every
// event exactly once and in order.
func TestResumeUnderFire(t *testing.T) {
	const each, visitors = 200, 6
	s := openFor(t, Config{}, withHistory(diaphone.HistoryRule{Events: each}))
	var all sync.WaitGroup
	for range visitors {
		all.Go(func() {
			if err := s.followAlong(each); err != nil {
				t.Error(err)
			}
		})
	}
	pace := time.NewTicker(200 * time.Microsecond) // so that visits fall in between
	defer pace.Stop()
	for n := range each {
		<-pace.C
		s.publish("news", fmt.Sprint(n))
	}
	all.Wait()
}

// followAlong hears the numbers up to end over many connections, some of which end
// well and some do not.
func (s *site) followAlong(end int) error {
	position := s.epoch + ":0"
	for next := 0; next < end; {
		v := s.visit()
		v.say("resume news", position)
		for lap := rand.IntN(6); lap >= 0 && next < end; lap-- {
			text, err := v.listen()
			if err != nil {
				return err
			}
			words := strings.Fields(text)
			switch words[0] {
			case "in":
			case "resumed":
				if words[3] != "true" {
					return fmt.Errorf("heard %q", text)
				}
			default:
				if words[3] != fmt.Sprint(next) {
					return fmt.Errorf("heard %q, want %d", text, next)
				}
				next, position = next+1, words[5]
			}
		}
		_ = v.conn.Close()
	}
	return nil
}

// loud is plain, and tells it.
type loud struct{ plain }

func (loud) Event(c diaphone.ChannelName, e *diaphone.Event) *sockets.Frame {
	return line("EVENT", c, e.Data)
}

// A session may change its protocol before it is anywhere, and not behind: letters
// are written for it from many goroutines.
func TestSpeak(t *testing.T) {
	inBubble(t, diaphone.App{ID: "1"}, func(b *bubble) {
		ana, bob, eve := b.visit(), b.visit(), b.visit()
		if err := ana.Speak(loud{}); err != nil {
			t.Error(err)
		}
		ana.join("news")
		bob.join("news")
		eve.Watch([]diaphone.UserID{"ana"})
		for _, g := range []*guest{ana, bob, eve} {
			if err := g.Speak(plain{}); !errors.Is(err, ErrJoined) {
				t.Errorf("in the middle of it: %v", err)
			}
		}
		b.publish("news", "1")
		ana.expect("in news", "EVENT news 1")
		bob.expect("in news", "event news e 1")
		if err := errors.Join(bob.Leave("news"), bob.Speak(loud{})); err != nil {
			t.Error(err)
		}
		bob.join("news")
		b.publish("news", "2")
		bob.expect("in news", "EVENT news 2")
		ana.expect("EVENT news 2")
	})
}
