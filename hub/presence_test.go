package hub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/diaphone-dev/diaphone"
)

// walk is the model of a random walk: who is connected, who is in which channel
// as whom, and what everyone must hear.
type walk struct {
	t       *rapid.T
	site    *site
	name    string // keeps the channels of one walk apart from another's
	clients []*walker
	order   map[string][]string // channel → members in the order they came
}

type walker struct {
	v      *visitor // nil: not connected
	signed string
	in     map[string]string // channel → user
}

func TestRandomWalk(t *testing.T) {
	s := open(t, Config{})
	walks := 0
	rapid.Check(t, func(rt *rapid.T) {
		walks++
		w := &walk{t: rt, site: s, name: fmt.Sprint(walks), order: map[string][]string{}}
		for range 5 {
			w.clients = append(w.clients, &walker{})
		}
		steps := rapid.IntRange(10, 60).Draw(rt, "steps")
		for range steps {
			w.step()
		}
		for _, c := range w.clients {
			w.drop(c)
		}
		w.check()
	})
}

func (w *walk) step() {
	c := rapid.SampledFrom(w.clients).Draw(w.t, "client")
	if c.v == nil {
		*c = walker{v: w.site.visit(), in: map[string]string{}}
		return
	}
	channel := "presence-" + w.name + rapid.SampledFrom([]string{"a", "b"}).Draw(w.t, "channel")
	user := w.name + rapid.SampledFrom([]string{"x", "y", "z"}).Draw(w.t, "user")
	switch rapid.IntRange(0, 5).Draw(w.t, "act") {
	case 0, 1:
		w.join(c, channel, user)
	case 2:
		w.leave(c, channel)
	case 3:
		w.drop(c)
	case 4:
		w.sign(c, user)
	case 5:
		w.publish(channel)
	}
	w.check()
}

func (w *walk) join(c *walker, channel, user string) {
	if c.in[channel] != "" {
		c.v.do("join "+channel+" "+user, ErrJoined.Error())
		return
	}
	first := !slices.Contains(w.order[channel], user)
	if first {
		w.order[channel] = append(w.order[channel], user)
	}
	c.v.do("join "+channel+" "+user, strings.Join(append([]string{"in", channel}, w.order[channel]...), " "))
	if first {
		w.others(channel, "+ "+channel+" "+user)
	}
	c.in[channel] = user
}

func (w *walk) leave(c *walker, channel string) {
	if c.in[channel] == "" {
		c.v.do("leave "+channel, ErrNotJoined.Error())
		return
	}
	c.v.do("leave "+channel, "ok")
	w.gone(c, channel)
}

// gone takes a client out of the model; the last of a user is heard by the others.
func (w *walk) gone(c *walker, channel string) {
	user := c.in[channel]
	delete(c.in, channel)
	for _, other := range w.clients {
		if other.in[channel] == user {
			return
		}
	}
	w.order[channel] = slices.DeleteFunc(w.order[channel], func(u string) bool { return u == user })
	w.others(channel, "- "+channel+" "+user)
}

func (w *walk) drop(c *walker) {
	if c.v == nil {
		return
	}
	_ = c.v.conn.Close()
	eventually(w.site.t, "the drop is seen", func() bool { return w.site.tenant(testApp.ID).session(c.v.id) == nil })
	c.v, c.signed = nil, ""
	// The channels of a dropped client are left in no order, but these are two
	// channels, and each is heard apart.
	for _, channel := range slices.Sorted(keys(c.in)) {
		w.gone(c, channel)
	}
}

func (w *walk) sign(c *walker, user string) {
	switch c.signed {
	case "", user:
		c.v.do("sign "+user, "ok")
		c.signed = user
	default:
		c.v.do("sign "+user, ErrOtherUser.Error())
	}
}

func (w *walk) publish(channel string) {
	w.site.publish(channel, "x")
	w.others(channel, "event "+channel+" e x")
}

// others expects everyone in the channel to hear a line next.
func (w *walk) others(channel, line string) {
	for _, c := range w.clients {
		if c.in[channel] != "" {
			c.v.hearOf(channel, line)
		}
	}
}

// check compares what the hub knows with the model.
func (w *walk) check() {
	live := map[string]bool{}
	for _, c := range w.clients {
		live[c.signed] = true
		for _, user := range c.in {
			live[user] = true
		}
	}
	for _, user := range []string{w.name + "x", w.name + "y", w.name + "z"} {
		if got := w.site.User(testApp.ID, diaphone.UserID(user)); (got != UserInfo{}) != live[user] {
			w.t.Fatalf("%s: %+v", user, got)
		}
	}
	for channel, want := range w.order {
		info, ok := w.site.Channel(testApp.ID, diaphone.ChannelName(channel))
		var got []string
		for _, m := range w.site.Members(testApp.ID, diaphone.ChannelName(channel)) {
			got = append(got, string(m.User))
		}
		if !slices.Equal(got, want) || info.Members != len(want) || ok != (len(want) > 0) {
			w.t.Fatalf("%s has %v, want %v", channel, got, want)
		}
	}
}

// hearOf hears the next line of one channel; lines of others wait.
func (v *visitor) hearOf(channel, want string) {
	v.t.Helper()
	for i, line := range v.later {
		if strings.Fields(line)[1] == channel {
			v.later = slices.Delete(v.later, i, i+1)
			if line != want {
				v.t.Fatalf("heard %q, want %q", line, want)
			}
			return
		}
	}
	for {
		line := v.hear()
		if strings.Fields(line)[1] != channel {
			v.later = append(v.later, line)
			continue
		}
		if line != want {
			v.t.Fatalf("heard %q, want %q", line, want)
		}
		return
	}
}

func keys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// Many walk at once; every member that is in the channel sees comings and goings
// of each user alternate, beginning with the list it was given.
func TestPresenceUnderRaces(t *testing.T) {
	const walkers, laps = 24, 25
	s := open(t, Config{})
	var all sync.WaitGroup
	for i := range walkers {
		v := s.visit()
		all.Go(func() {
			if err := v.lap(fmt.Sprint("u", i%5), laps); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	eventually(t, "all have left", func() bool { return s.Stats().Channels == 0 })
	for i := range 5 {
		if got := s.User(testApp.ID, diaphone.UserID(fmt.Sprint("u", i))); got != (UserInfo{}) {
			t.Errorf("u%d is still here: %+v", i, got)
		}
	}
}

// lap joins, watches for a while, leaves, and begins again.
func (v *visitor) lap(user string, laps int) error {
	for range laps {
		v.say("join presence-r", user)
		present, err := v.roster()
		if err != nil {
			return err
		}
		if !present[user] {
			return fmt.Errorf("%s is not in its own list", user)
		}
		if err := v.watch(present, rand.IntN(4)); err != nil {
			return err
		}
		v.say("leave presence-r")
		if err := v.watchUntilOK(present); err != nil {
			return err
		}
	}
	return v.conn.Close()
}

func (v *visitor) roster() (map[string]bool, error) {
	text, err := v.listen()
	words := strings.Fields(text)
	if err != nil || len(words) < 3 || words[0] != "in" {
		return nil, fmt.Errorf("heard %q first: %w", text, err)
	}
	present := map[string]bool{}
	for _, u := range words[2:] {
		if present[u] {
			return nil, fmt.Errorf("%s is listed twice", u)
		}
		present[u] = true
	}
	return present, nil
}

// watch hears some changes; a ping-like answer ("sign") bounds the wait.
func (v *visitor) watch(present map[string]bool, rounds int) error {
	for range rounds {
		v.say("leave nowhere")
		if err := v.watchUntil(present, ErrNotJoined.Error()); err != nil {
			return err
		}
	}
	return nil
}

func (v *visitor) watchUntilOK(present map[string]bool) error { return v.watchUntil(present, "ok") }

func (v *visitor) watchUntil(present map[string]bool, end string) error {
	for {
		text, err := v.listen()
		if err != nil || text == end {
			return err
		}
		words := strings.Fields(text)
		came := words[0] == "+"
		if (!came && words[0] != "-") || present[words[2]] == came {
			return fmt.Errorf("heard %q while the list was %v", text, present)
		}
		present[words[2]] = came
	}
}

// A client that stops reading is bounded and ended, and the others go on.
func TestSlowReader(t *testing.T) {
	s := open(t, Config{})
	slow, quick := s.visit(), s.visit()
	slow.do("join news", "in news")
	quick.do("join news", "in news")
	data := strings.Repeat("x", 8<<10)
	sent := 0
	for ; s.Stats().DroppedSlow == 0; sent++ {
		if sent > 8<<10 {
			t.Fatal("64 MB taken from a client that does not read")
		}
		s.publish("news", data)
		quick.expect("event news e " + data)
	}
	s.publish("news", "on")
	quick.expect("event news e on")
	eventually(t, "the slow one is gone", func() bool { return s.Stats().Connections == 1 })
}
