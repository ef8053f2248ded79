package hooks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book is a ledger with a clock of its own, spoken to in lines.
type book struct {
	*ledger
	now time.Time
}

func newBook(stands ...string) *book { return reopened(time.Unix(1_700_000_000, 0), stands) }

// reopened is the book after a restart, when so much has been told.
func reopened(now time.Time, stands []string) *book {
	b := &book{ledger: newLedger(&diaphone.App{ID: "1", Webhooks: []diaphone.Webhook{{Name: "a"}}}), now: now}
	var all []storage.Stand
	for _, s := range stands {
		channel, user, _ := strings.Cut(s, " ")
		all = append(all, storage.Stand{App: "1", Channel: diaphone.ChannelName(channel), User: diaphone.UserID(user)})
	}
	b.stood(all, now.Add(30*time.Second))
	return b
}

// happens takes lines like "channel_occupied news" and "member_added presence-x ana".
func (b *book) happens(lines ...string) {
	for _, line := range lines {
		words := append(strings.Fields(line), "", "")
		n := diaphone.Notice{Kind: diaphone.NoticeKind(words[0]), Channel: diaphone.ChannelName(words[1])}
		switch n.Kind {
		case diaphone.MemberAdded, diaphone.MemberRemoved:
			n.User = diaphone.UserID(words[2])
		case diaphone.SubscriptionCount:
			_, _ = fmt.Sscan(words[2], &n.Count)
		default:
			n.Data = words[2]
		}
		b.note(&n, b.now)
	}
}

// told is what is told now.
func (b *book) told() (lines []string) {
	told, _ := b.take(b.now)
	for i := range told {
		n := &told[i].notice
		line := fmt.Sprint(n.Kind, " ", n.Channel)
		for _, w := range []any{n.User, n.Data, n.Count} {
			if text := fmt.Sprint(w); text != "" && text != "0" {
				line += " " + text
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func (b *book) tells(t *testing.T, want ...string) {
	t.Helper()
	if got := b.told(); !slices.Equal(got, want) {
		t.Fatalf("told %q, want %q", got, want)
	}
}

func (b *book) pass(d time.Duration) { b.now = b.now.Add(d) }

func TestWhoGoesIsToldAfterTheGrace(t *testing.T) {
	b := newBook()
	b.happens("channel_occupied presence-x", "member_added presence-x ana", "member_added presence-x bob")
	b.tells(t, "channel_occupied presence-x", "member_added presence-x ana", "member_added presence-x bob")
	b.happens("member_removed presence-x ana")
	b.pass(time.Second)
	b.happens("member_removed presence-x bob", "channel_vacated presence-x")
	b.pass(1999 * time.Millisecond)
	b.tells(t)
	b.pass(time.Millisecond)
	b.tells(t, "member_removed presence-x ana")
	b.pass(time.Second)
	b.tells(t, "member_removed presence-x bob", "channel_vacated presence-x")
	b.pass(time.Hour)
	b.tells(t)
	if len(b.channels) > 0 {
		t.Errorf("%d channels are remembered", len(b.channels))
	}
}

func TestAFlapTellsNothing(t *testing.T) {
	b := newBook()
	b.happens("channel_occupied presence-x", "member_added presence-x ana")
	b.told()
	for range 5 {
		b.happens("member_removed presence-x ana", "channel_vacated presence-x")
		b.pass(2 * time.Second)
		b.tells(t)
		b.happens("channel_occupied presence-x", "member_added presence-x ana")
		b.pass(2 * time.Second)
		b.tells(t)
	}
	b.happens("member_removed presence-x ana", "channel_vacated presence-x")
	b.pass(time.Second)
	// Somebody else comes: the channel has been occupied all the time.
	b.happens("channel_occupied presence-x", "member_added presence-x bob")
	b.tells(t, "member_added presence-x bob")
	b.pass(2 * time.Second)
	b.tells(t, "member_removed presence-x ana")
}

// Who comes and goes before the store has taken anything, but stays away for less
// than the grace, is told like everybody.
func TestAShortVisitIsTold(t *testing.T) {
	b := newBook()
	b.happens("channel_occupied news", "channel_vacated news")
	b.tells(t, "channel_occupied news")
	b.pass(grace)
	b.tells(t, "channel_vacated news")
}

func TestAfterARestartWhoIsNotBackIsToldAsGone(t *testing.T) {
	b := newBook("presence-x", "presence-x ana", "presence-x bob", "news", "presence-y ghost", "presence-y")
	b.tells(t)
	b.pass(time.Second)
	b.happens("channel_occupied presence-x", "member_added presence-x bob", "member_added presence-x eve")
	b.tells(t, "member_added presence-x eve")
	// Gone again while others may yet come: told in the order of the channel.
	b.happens("member_removed presence-x bob", "member_removed presence-x eve", "channel_vacated presence-x")
	b.pass(28 * time.Second)
	b.tells(t)
	b.pass(time.Second)
	b.tells(t, "member_removed presence-x ana", "member_removed presence-y ghost", "channel_vacated news", "channel_vacated presence-y",
		"member_removed presence-x bob", "member_removed presence-x eve", "channel_vacated presence-x")
	if len(b.channels) > 0 {
		t.Errorf("%d channels are remembered", len(b.channels))
	}
	b.happens("channel_occupied news", "channel_vacated news")
	b.tells(t, "channel_occupied news")
	b.pass(grace) // the long wait is over
	b.tells(t, "channel_vacated news")
}

// When all are back nobody has to be waited for.
func TestAfterARestartEverybodyIsBack(t *testing.T) {
	b := newBook("presence-x", "presence-x ana", "news")
	b.happens("channel_occupied presence-x", "member_added presence-x ana", "channel_occupied news", "channel_vacated news")
	b.pass(grace)
	b.tells(t, "channel_vacated news")
}

// A channel that nobody is in any more has no count.
func TestACountThatComesTooLate(t *testing.T) {
	b := newBook()
	b.happens("channel_occupied news")
	b.told()
	b.happens("channel_vacated news")
	b.pass(grace)
	b.happens("channel_occupied news", "subscription_count news 1", "channel_vacated news")
	b.pass(grace)
	b.tells(t, "channel_vacated news")
	if len(b.channels) > 0 {
		t.Errorf("%d channels are remembered", len(b.channels))
	}
}

func TestAMemberOfAChannelThatWasNotKept(t *testing.T) {
	b := newBook("presence-x ana")
	b.pass(30 * time.Second)
	b.tells(t, "member_removed presence-x ana")
	if len(b.channels) > 0 {
		t.Errorf("%d channels are remembered", len(b.channels))
	}
}

func TestNobodyIsToldAsGoneWhileHeld(t *testing.T) {
	b := newBook()
	b.happens("channel_occupied news", "channel_occupied old")
	b.told()
	b.happens("channel_vacated old")
	b.hold()
	b.happens("channel_vacated news", "channel_occupied late")
	b.pass(time.Minute)
	b.tells(t, "channel_occupied late")
}

func TestCountsAndMisses(t *testing.T) {
	b := newBook()
	b.happens("channel_occupied cache-a", "cache_miss cache-a", "subscription_count cache-a 1", "cache_miss cache-a",
		"client_event cache-a 1", "subscription_count cache-a 2", "client_event cache-a 2")
	b.tells(t, "channel_occupied cache-a", "cache_miss cache-a", "subscription_count cache-a 2", "client_event cache-a 1", "client_event cache-a 2")
	b.pass(missEvery - 1)
	b.happens("cache_miss cache-a", "subscription_count cache-a 3")
	b.tells(t, "subscription_count cache-a 3")
	b.pass(1)
	b.happens("cache_miss cache-a", "channel_occupied cache-b", "cache_miss cache-b")
	b.tells(t, "cache_miss cache-a", "channel_occupied cache-b", "cache_miss cache-b")
}

// While the store takes nothing, state is kept as it is and the rest is bounded.
func TestWhatWaitsIsBounded(t *testing.T) {
	b := newBook()
	b.happens("channel_occupied news")
	for i := range 3 * maxWaiting {
		b.pass(grace)
		if i%2 == 0 {
			b.happens("channel_occupied other", "subscription_count news 7")
		} else {
			b.happens("channel_vacated other")
		}
		if dropped := b.note(&diaphone.Notice{Kind: diaphone.ClientEvent, Channel: "news", Data: "x"}, b.now); dropped != (i >= maxWaiting) {
			t.Fatalf("event %d: dropped %v", i, dropped)
		}
	}
	if n := len(b.waiting); n > maxWaiting+3 {
		t.Errorf("%d wait", n)
	}
	if got := len(b.told()); got < maxWaiting {
		t.Errorf("told %d", got)
	}
	large := strings.Repeat("x", maxWaitingBytes/4)
	for i := range 5 {
		if dropped := b.note(&diaphone.Notice{Kind: diaphone.ClientEvent, Channel: "news", Data: large}, b.now); dropped != (i > 2) {
			t.Errorf("large event %d: dropped %v", i, dropped)
		}
	}
}

// While the store takes nothing, channels and members that come and go leave nothing
// behind, and what was told before is not forgotten.
func TestWhoComesAndGoesLeavesNothing(t *testing.T) {
	b := newBook()
	b.happens("channel_occupied presence-x", "member_added presence-x ana")
	b.told()
	for i := range 1000 {
		c := fmt.Sprint(" presence-", i)
		b.happens("channel_occupied"+c, "member_added"+c+" ana", fmt.Sprint("member_added presence-x ", i), "subscription_count"+c+" 1")
		b.happens("member_removed"+c+" ana", "channel_vacated"+c, fmt.Sprint("member_removed presence-x ", i))
		b.pass(time.Second)
		b.forget(b.now)
		if len(b.waiting) > 20 || len(b.channels) > 6 || len(b.channels["presence-x"].members) > 6 || b.leaving.Len() > 20 {
			t.Fatalf("after %d: %d wait, %d channels, %d members and %d who leave are remembered", i, len(b.waiting), len(b.channels), len(b.channels["presence-x"].members), b.leaving.Len())
		}
	}
	b.happens("member_removed presence-x ana", "channel_vacated presence-x", "channel_occupied news", "client_event news 1")
	b.pass(grace)
	b.forget(b.now)
	b.tells(t, "channel_occupied news", "client_event news 1", "member_removed presence-x ana", "channel_vacated presence-x")
}

// What no webhook wants to hear takes no room from what one does.
func TestWhatNobodyWantsDoesNotWait(t *testing.T) {
	b := newBook()
	b.app.Webhooks = []diaphone.Webhook{{Name: "a", Notices: []diaphone.NoticeKind{diaphone.ChannelVacated, diaphone.ClientEvent}, Prefixes: []string{"private-"}},
		{Name: "b", Notices: []diaphone.NoticeKind{diaphone.CacheMiss}, Prefixes: []string{"cache-"}}}
	for range maxWaiting + 1 {
		b.happens("client_event cache-x 1", "cache_miss private-x", "subscription_count private-x 7", "client_event other 1")
		b.pass(missEvery)
	}
	if len(b.waiting) > 0 || len(b.channels) > 0 {
		t.Fatalf("%d wait, %d channels are remembered", len(b.waiting), len(b.channels))
	}
	b.happens("channel_occupied private-x", "client_event private-x 1", "cache_miss cache-x")
	b.tells(t, "channel_occupied private-x", "client_event private-x 1", "cache_miss cache-x")
}

// However they come and go, however long the store takes nothing and whenever the
// gateway is killed: what is told of each channel alternates, members are inside of
// their channel's time, and in the end all is told as it is.
func TestWhatIsToldIsOneTrueStory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBook()
		in := map[string]bool{}    // as it is; "c" and "c u"
		stand := map[string]bool{} // as told
		var story []string
		tell := func() {
			for _, line := range b.told() {
				story = append(story, line)
				if fault := believe(stand, line); fault != "" {
					t.Fatalf("%s, at the end of %q", fault, story)
				}
			}
		}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			channel := "presence-" + rapid.SampledFrom([]string{"a", "b"}).Draw(t, "channel")
			member := channel + " " + rapid.SampledFrom([]string{"x", "y"}).Draw(t, "user")
			switch step := rapid.IntRange(0, 12).Draw(t, "step"); {
			case step < 6 && in[member]:
				b.happens("member_removed " + member)
				delete(in, member)
				if !in[channel+" x"] && !in[channel+" y"] {
					b.happens("channel_vacated " + channel)
					delete(in, channel)
				}
			case step < 6:
				if !in[channel] {
					b.happens("channel_occupied " + channel)
				}
				b.happens("member_added " + member)
				in[channel], in[member] = true, true
			case step < 7:
				b.forget(b.now)
			case step < 9:
				b.pass(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond)
			case step < 12:
				tell()
			default: // killed, and what has been told is kept
				b = reopened(b.now, slices.Collect(maps.Keys(stand)))
				clear(in)
			}
		}
		b.pass(time.Minute)
		tell()
		if !maps.Equal(stand, in) {
			t.Fatalf("believed %v, and it is %v, after %q", stand, in, story)
		}
		if left := len(b.channels); left != channels(in) {
			t.Fatalf("%d channels are remembered, %v", left, in)
		}
	})
}

func channels(in map[string]bool) (n int) {
	for s := range in {
		if !strings.Contains(s, " ") {
			n++
		}
	}
	return n
}

// believe takes in what is told, and says what is wrong with it.
func believe(stand map[string]bool, line string) (fault string) {
	kind, what, _ := strings.Cut(line, " ")
	channel, _, _ := strings.Cut(what, " ")
	switch diaphone.NoticeKind(kind) {
	case diaphone.ChannelOccupied, diaphone.MemberAdded:
		if stand[what] {
			return line + " although it was"
		}
		stand[what] = true
		if !stand[channel] {
			return line + " in a vacated channel"
		}
	case diaphone.ChannelVacated, diaphone.MemberRemoved:
		if !stand[what] {
			return line + " although it was not"
		}
		delete(stand, what)
		if what == channel && (stand[channel+" x"] || stand[channel+" y"]) {
			return line + " with members in it"
		}
	}
	return ""
}
