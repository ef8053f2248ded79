package restart

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/test/harness"
)

const (
	appKey    = "app-key"
	appSecret = "app-secret"

	teamSize = 100 // callers of one private channel
	roomSize = 20  // members of one presence channel

	patience = 2 * time.Minute // of a machine that is busy; it takes seconds
)

// crowd is all the callers. Each is in three channels: a public one with everybody,
// a private one, and a presence channel.
type crowd struct {
	t        testing.TB
	w        *harness.World
	url      string
	resuming bool
	callers  []*caller
	channels []diaphone.ChannelName
	last     int // the number that was published last
}

// gather starts a gateway and n callers, and waits until all are subscribed.
// resuming: they say what they have when they come back.
func gather(t *testing.T, n int, resuming bool) *crowd {
	t.Helper()
	c := &crowd{t: t, resuming: resuming, w: harness.NewWorld(t, func(apps string) string {
		return apps + "    channels: {history: [{}]}\n"
	})}
	c.url = "ws" + strings.TrimPrefix(c.w.URL, "http") + "/app/" + appKey + "?protocol=7"
	names := map[string]bool{}
	for i := range n {
		one := &caller{crowd: c, user: fmt.Sprint("u", i)}
		for _, name := range []string{"news", fmt.Sprint("private-team-", i/teamSize), fmt.Sprint("presence-room-", i%((n+roomSize-1)/roomSize))} {
			one.channels = append(one.channels, &ledger{name: name, next: 1})
			names[name] = true
		}
		c.callers = append(c.callers, one)
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c.channels = append(c.channels, diaphone.ChannelName(name))
	}
	begun := time.Now()
	ctx, goHome := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i, one := range c.callers {
		all.Go(func() { one.run(ctx) })
		if i%100 == 99 { // a crowd that comes, and not one that comes back
			c.await(c.callers[i-99:i+1], begun)
		}
	}
	t.Cleanup(func() {
		goHome()
		for _, one := range c.callers {
			one.hangUp()
		}
		all.Wait()
	})
	c.await(c.callers, begun)
	t.Logf("%d clients in %d channels, subscribed within %s", n, len(c.channels), time.Since(begun).Round(time.Millisecond))
	return c
}

// until waits until something is so of each caller. Whoever it was once so of is not
// asked again before all have been: asking thousands all the time costs as much as
// what is waited for.
func (c *crowd) until(what string, callers []*caller, so func(*caller) bool) {
	c.t.Helper()
	asked := 0
	harness.Until(c.t, patience, what, func() bool {
		for asked < len(callers) && so(callers[asked]) {
			asked++
		}
		if asked < len(callers) {
			return false
		}
		asked = 0
		return !slices.ContainsFunc(callers, func(one *caller) bool { return !so(one) })
	})
}

// await waits until the callers have been back since a moment, and gives how long
// after it each was.
func (c *crowd) await(callers []*caller, since time.Time) []time.Duration {
	c.t.Helper()
	back := func(one *caller) time.Duration {
		one.mu.Lock()
		defer one.mu.Unlock()
		return one.back.Sub(since)
	}
	c.until(fmt.Sprintf("%d clients are subscribed", len(callers)), callers, func(one *caller) bool { return back(one) > 0 })
	var took []time.Duration
	for _, one := range callers {
		took = append(took, back(one))
	}
	slices.Sort(took)
	return took
}

// publish sends so many numbers to each channel.
func (c *crowd) publish(n int) {
	c.t.Helper()
	for range n {
		c.last++
		for some := range slices.Chunk(c.channels, diaphone.MaxAudienceChannels) {
			_, err := c.w.Client.Publish(context.Background(), wire.NewMessage{
				To: wire.Audience{Channels: some}, Event: &wire.Event{Name: "n", Data: json.RawMessage(fmt.Sprint(c.last))}}, "")
			if err != nil {
				c.t.Fatal(err)
			}
		}
	}
}

// settle waits until every caller has heard the last number on each channel, and
// every roster is what it should be.
func (c *crowd) settle() {
	c.t.Helper()
	c.until(fmt.Sprintf("all have heard %d, and know who is there", c.last), c.callers, func(one *caller) bool { return one.settled(c.last) })
}

func (c *caller) settled(last int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.channels {
		if l.next != last+1 || strings.HasPrefix(l.name, "presence-") && len(l.members) != roomSize {
			return false
		}
	}
	return true
}

// books are the sums over all callers and channels.
type books struct{ missing, twice, resumed, gaps int }

func (c *crowd) audit() (sum books) {
	for _, one := range c.callers {
		one.mu.Lock()
		if one.odd != "" {
			c.t.Errorf("%s heard %s", one.user, one.odd)
		}
		for _, l := range one.channels {
			sum.missing += l.missing
			sum.twice += l.twice
			sum.resumed += l.resumed
			sum.gaps += l.gaps
		}
		one.mu.Unlock()
	}
	return sum
}

// checkPresence asks the gateway who is in each presence channel.
func (c *crowd) checkPresence() {
	c.t.Helper()
	want := map[string][]string{}
	for _, one := range c.callers {
		for _, l := range one.channels {
			if strings.HasPrefix(l.name, "presence-") {
				want[l.name] = append(want[l.name], one.user)
			}
		}
	}
	var all struct {
		Channels map[string]struct {
			UserCount int `json:"user_count"`
		}
	}
	c.ask("/apps/1/channels", "filter_by_prefix=presence-&info=user_count", &all)
	if len(all.Channels) != len(want) {
		c.t.Errorf("%d presence channels are occupied, want %d", len(all.Channels), len(want))
	}
	members := 0
	for name, users := range want {
		var there struct{ Users []struct{ ID string } }
		c.ask("/apps/1/channels/"+name+"/users", "", &there)
		var ids []string
		for _, u := range there.Users {
			ids = append(ids, u.ID)
		}
		slices.Sort(ids)
		slices.Sort(users)
		if !slices.Equal(ids, users) || all.Channels[name].UserCount != len(users) {
			c.t.Errorf("%s: %d members listed, %d counted, want %d", name, len(ids), all.Channels[name].UserCount, len(users))
		}
		members += len(ids)
	}
	c.t.Logf("presence by the HTTP API: %d members in %d channels", members, len(want))
}

// ask queries Pusher's HTTP API; the parameters given come behind its own, in order.
func (c *crowd) ask(path, query string, into any) {
	c.t.Helper()
	signed := strings.TrimSuffix(fmt.Sprintf("auth_key=%s&auth_timestamp=%d&auth_version=1.0&%s", appKey, time.Now().Unix(), query), "&")
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet,
		c.w.URL+path+"?"+signed+"&auth_signature="+sign("GET\n"+path+"\n"+signed), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(body, into)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		c.t.Fatalf("GET %s: %s %s %v", path, resp.Status, body, err)
	}
}

// cut breaks all connections at once.
func (c *crowd) cut() {
	for _, one := range c.callers {
		one.hangUp()
	}
}

func spread(took []time.Duration) string {
	at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100].Round(time.Millisecond) }
	return fmt.Sprintf("half after %s, 99 %% after %s, the last after %s", at(50), at(99), at(100))
}
