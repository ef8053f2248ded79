package hub

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/diaphone-dev/diaphone"
)

func TestWhatIsKeptExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{})
		publish := func(data string) {
			h.Publish(&diaphone.App{ID: "1"}, []diaphone.ChannelName{"cache-x", "news"}, diaphone.Event{Name: "e", Data: data})
		}
		publish("1")
		<-time.After(20 * time.Minute)
		publish("2") // begins the 30 minutes anew
		<-time.After(CacheTTL - time.Second)
		if e, left, ok := h.Cached("1", "cache-x"); !ok || e.Data != "2" || left != time.Second {
			t.Errorf("%+v for %v, %v", e, left, ok)
		}
		<-time.After(time.Second)
		if _, _, ok := h.Cached("1", "cache-x"); ok {
			t.Error("kept for longer than the time")
		}
		if _, _, ok := h.Cached("1", "news"); ok {
			t.Error("kept of a channel that is none to keep")
		}
	})
}

// Against a model without a bound: what is there is right, what is missing had
// expired or was the oldest of too much, and the bound holds.
func TestShelf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type entry struct {
			data  string
			until time.Time
		}
		s := shelf{bound: 3 * (overhead + 100)}
		model := map[diaphone.ChannelName]entry{}
		now := time.Now()
		var oldest time.Time // of what was dropped for want of room
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second)
			c := diaphone.ChannelName(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "channel"))
			if rapid.Bool().Draw(t, "publish") {
				data := strings.Repeat("x", rapid.IntRange(0, 400).Draw(t, "size"))
				s.put(c, &diaphone.Event{Data: data}, now)
				model[c] = entry{data, now.Add(CacheTTL)}
			}
			bytes := 0
			for c := range s.byName {
				k := s.get(c, now)
				if k == nil || k.event.Data != model[c].data || !k.until.Equal(model[c].until) {
					if k != nil || now.Before(model[c].until) {
						t.Fatalf("%s: %+v, want %+v", c, k, model[c])
					}
					continue
				}
				bytes += k.size()
			}
			if bytes != s.bytes || bytes > s.bound || len(s.byName) != s.order.Len() {
				t.Fatalf("%d bytes, counted %d, in %d of %d", bytes, s.bytes, len(s.byName), s.order.Len())
			}
			for c, e := range model {
				if s.byName[c] == nil && e.until.After(oldest) && now.Before(e.until) {
					oldest = e.until
				}
			}
			for c := range s.byName {
				if model[c].until.Before(oldest) {
					t.Fatalf("%s was kept and a younger one dropped", c)
				}
			}
		}
	})
}

// Whoever subscribes to a cache channel while others publish hears the last event
// before its subscription and then every later one: none twice, none left out.
func TestCacheUnderFire(t *testing.T) {
	const each, visitors, laps = 1500, 8, 12
	s := open(t, Config{})
	var visits sync.WaitGroup
	begin := make(chan struct{})
	for range visitors {
		v := s.visit()
		visits.Go(func() {
			<-begin
			for range laps {
				if err := v.followCache(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	close(begin)
	for n := range each {
		s.publish("cache-x", fmt.Sprint(n))
	}
	visits.Wait()
	v := s.visit()
	v.say("join cache-x")
	v.expect("in cache-x")
	v.expect(fmt.Sprintf("event cache-x e %d", each-1))
}

// followCache joins, follows for a few events if there are any, and leaves.
func (v *visitor) followCache() error {
	v.say("join cache-x")
	v.say("leave nowhere")
	v.say("leave cache-x")
	if text, err := v.listen(); text != "in cache-x" {
		return fmt.Errorf("heard %q first: %w", text, err)
	}
	next, answers := -1, 0
	for {
		text, err := v.listen()
		switch {
		case err != nil:
			return err
		case text == ErrNotJoined.Error():
			answers++
			if answers == 1 && next < 0 {
				return fmt.Errorf("neither an event nor a miss came behind the answer")
			}
		case text == "ok":
			return nil
		case text == "missed cache-x" && next < 0:
			next = 0
		default:
			var n int
			if _, err := fmt.Sscanf(text, "event cache-x e %d", &n); err != nil || next >= 0 && n != next {
				return fmt.Errorf("heard %q, want %d: %w", text, next, err)
			}
			next = n + 1
		}
	}
}
