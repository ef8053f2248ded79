// Package webhooks shows from end to end what backends are told: a built gateway,
// sockets, and endpoints that are there, silent, or away.
package webhooks

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// restartGrace is how long after a start the gateway waits for clients.
const restartGrace = 30 * time.Second

// Every kind, with the fields that it has, and signed so that the unmodified SDK
// takes it.
func TestEveryKind(t *testing.T) {
	t.Parallel()
	end := newEndpoint(t)
	end.up()
	w := newWorld(t, end)
	ana, bob := connect(t, w), connect(t, w)
	ana.subscribe("cache-x", "")
	ana.subscribe("presence-room", "ana")
	bob.subscribe("presence-room", "bob")
	if err := bob.emit("presence-room", map[string]any{"on": true, "ü": "é"}); err != nil {
		t.Fatal(err)
	}
	ana.await("client-n")
	_ = bob.conn.Close()
	harness.Until(t, patience, "bob is told as gone", func() bool { return end.count("member_removed", "bob") > 0 })
	_ = ana.conn.Close()
	harness.Until(t, patience, "all is told as gone", func() bool { return end.count("channel_vacated", "") == 2 })

	requests := end.taken()
	var told []string
	for i, c := range check(t, requests) {
		if !c.Valid {
			t.Errorf("the SDK does not take %+v", requests[i])
		}
		if age := time.Since(time.UnixMilli(c.Time)); age < 0 || age > time.Minute {
			t.Errorf("the SDK reads the time %s ago", age)
		}
		for _, n := range c.Events {
			if n.Name == "client_event" && n.Socket != bob.id || !strings.HasPrefix(n.ID, "ntc_") {
				t.Errorf("%+v", n)
			}
			told = append(told, n.line())
		}
		for name, want := range map[string]string{"content-type": "application/json", "x-pusher-key": key, "x-gateway": "ours", "diaphone-attempt": "1"} {
			if got := requests[i].Headers[name]; got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
	want := []string{"channel_occupied cache-x", "cache_miss cache-x", "subscription_count cache-x 1",
		"channel_occupied presence-room", "member_added presence-room ana", "member_added presence-room bob",
		`client_event presence-room bob client-n {"on":true,"ü":"é"}`, "member_removed presence-room bob"}
	if len(told) != len(want)+3 || !slices.Equal(sorted(told[:len(want)]), sorted(want)) {
		t.Errorf("told %q, want %q first", told, want)
	}
	last := told[min(len(want), len(told)):]
	for _, line := range []string{"member_removed presence-room ana", "channel_vacated presence-room", "channel_vacated cache-x"} {
		if !slices.Contains(last, line) {
			t.Errorf("at last %q, want %q among them", last, line)
		}
	}

	forged := slices.Clone(requests[:1])
	forged[0].RawBody += " "
	if c := check(t, forged); c[0].Valid {
		t.Error("the SDK takes a body that was changed")
	}
}

func sorted(lines []string) []string { return slices.Sorted(slices.Values(lines)) }

// downtime is how long the endpoint is away; CI has less time than an operator who
// wants to know.
func downtime(t *testing.T) time.Duration {
	text := os.Getenv("DIAPHONE_TEST_DOWNTIME")
	if text == "" {
		return 4 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("DIAPHONE_TEST_DOWNTIME: %v", err)
	}
	return d
}

// TestNothingIsLost is the promise: the endpoint is away, the gateway is killed
// meanwhile under load, and then the endpoint hears everything, in order; whoever
// did not survive the kill is told as gone.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	const rooms, events, late = 6, 150, 40
	end := newEndpoint(t) // down
	w := newWorld(t, end)
	away := time.Now()
	want := map[string]ledger{}
	name := func(i int) string { return fmt.Sprint("presence-", i) }
	stays := make([]*socket, rooms)
	for i := range stays {
		stays[i] = connect(t, w)
		stays[i].subscribe(name(i), "ana")
		connect(t, w).subscribe(name(i), "ghost")
		for n := range events {
			if err := stays[i].emit(name(i), n+1); err != nil {
				t.Fatal(err)
			}
		}
	}
	pending := `diaphone_webhook_pending{app="1",webhook="w0"}`
	harness.Until(t, patience, "all is in the log", func() bool { return metric(t, w, pending) == rooms*(3+events) })

	sent := killUnderLoad(t, w, stays, name, events)
	wait(t, away.Add(downtime(t)/2))
	w.StartGateway()
	started := time.Now()
	for i := range stays {
		stays[i] = connect(t, w)
		stays[i].subscribe(name(i), "ana")
		for n := range late {
			if err := stays[i].emit(name(i), afterKill+n+1); err != nil {
				t.Fatal(err)
			}
		}
		want[name(i)] = ledger{sure: events, sent: sent[i], after: late,
			stay: []string{"", "ana"}, gone: map[string]bool{"ghost": true}}
	}
	wait(t, away.Add(downtime(t)))
	end.up()
	back := time.Now()
	t.Logf("the endpoint was away for %s, while the gateway was killed and started again", back.Sub(away).Round(time.Millisecond))
	harness.Until(t, 70*time.Second, "the last of what waited has arrived", func() bool {
		return end.count("client_event", fmt.Sprint(afterKill+late)) == rooms
	})
	t.Logf("all that waited had arrived %s after it was back", time.Since(back).Round(time.Millisecond))
	harness.Until(t, restartGrace+patience, "ghosts are told as gone", func() bool { return end.count("member_removed", "ghost") == rooms })
	if early := time.Since(started); early < restartGrace {
		t.Errorf("ghosts were told as gone %s after the start", early)
	}
	arrived := end.notices()
	faults, repeated := audit(arrived, want)
	for _, f := range faults {
		t.Error(f)
	}
	requests := end.taken()
	t.Logf("%d notices in %d requests, %d repeated; %s", len(arrived), len(requests), repeated, describe(arrived))
	for i, c := range check(t, requests) {
		if !c.Valid {
			t.Errorf("the SDK does not take request %d", i)
		}
	}
	if !t.Failed() {
		sabotage(t, arrived, want)
	}
}

// killUnderLoad kills the gateway while all sockets send, and says up to which number.
func killUnderLoad(t *testing.T, w *harness.World, all []*socket, name func(int) string, from int) (sent []int) {
	t.Helper()
	sent = make([]int, len(all))
	begun := make(chan struct{}, len(all))
	var senders sync.WaitGroup
	for i, s := range all {
		senders.Go(func() {
			for sent[i] = from; sent[i] < from+5000; sent[i]++ {
				if err := s.emit(name(i), sent[i]+1); err != nil {
					break
				}
				if sent[i] == from+20 {
					begun <- struct{}{}
				}
			}
			sent[i]++ // the last may have got there although we heard an error
		})
	}
	for range all {
		<-begun
	}
	w.Gateway.Kill()
	senders.Wait()
	return sent
}

func describe(arrived []notice) string {
	kinds := map[string]int{}
	for _, n := range arrived {
		kinds[n.Name]++
	}
	return fmt.Sprint(kinds)
}

// wait lets time pass in which nothing is to happen.
func wait(t *testing.T, until time.Time) {
	t.Helper()
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	<-timer.C
}

// An endpoint that takes requests and never answers holds up itself only.
func TestADeadEndpointDelaysNobody(t *testing.T) {
	t.Parallel()
	dead, alive := newEndpoint(t), newEndpoint(t)
	dead.silent = true
	dead.up()
	alive.up()
	w := newWorld(t, dead, alive)
	s := connect(t, w)
	s.subscribe("presence-x", "ana")
	worst := time.Duration(0)
	for n := range 25 {
		begun := time.Now()
		if err := s.emit("presence-x", n); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, patience, "the event arrives", func() bool { return alive.count("client_event", fmt.Sprint(n)) == 1 })
		worst = max(worst, time.Since(begun))
	}
	t.Logf("beside a dead endpoint an event took %s at most", worst.Round(time.Millisecond))
	if worst > 2*time.Second {
		t.Errorf("an event took %s", worst)
	}
	harness.Until(t, patience, "the dead one is tried again", func() bool { return len(dead.taken()) > 1 })
	if metric(t, w, `diaphone_webhook_failing{app="1",webhook="w0"}`) != 1 || metric(t, w, `diaphone_webhook_failing{app="1",webhook="w1"}`) != 0 {
		t.Error("the metrics do not tell the dead one from the other")
	}
	hooks, err := w.Client.Webhooks(t.Context())
	if err != nil || len(hooks) != 2 {
		t.Fatalf("%+v, %v", hooks, err)
	}
	if bad, good := hooks[0], hooks[1]; bad.FailingSince.IsZero() || bad.LastError != "timeout" || bad.Pending != 27 || !good.FailingSince.IsZero() || good.LastStatus != 204 {
		t.Errorf("operators see %+v and %+v", bad, good)
	}
	if text := w.Gateway.Stderr(); strings.Contains(text, "geheim") {
		t.Errorf("the log has the URL's secret: %s", text)
	}
	if code := w.Gateway.Stop(patience); code != 0 {
		t.Errorf("the gateway ended with %d", code)
	}
}

// At a planned restart clients come back within seconds, and nobody but who does not
// is told as gone.
func TestAPlannedRestart(t *testing.T) {
	t.Parallel()
	end := newEndpoint(t)
	end.up()
	w := newWorld(t, end)
	for _, user := range []string{"ana", "bob"} {
		connect(t, w).subscribe("presence-x", user)
	}
	harness.Until(t, patience, "both are told", func() bool { return len(end.notices()) == 3 })
	if code := w.Gateway.Stop(patience); code != 0 {
		t.Fatalf("the gateway ended with %d:\n%s", code, w.Gateway.Stderr())
	}
	w.StartGateway()
	connect(t, w).subscribe("presence-x", "ana")
	harness.Until(t, restartGrace+patience, "bob is told as gone", func() bool { return end.count("member_removed", "bob") == 1 })
	var told []string
	for _, n := range end.notices() {
		told = append(told, n.line())
	}
	want := []string{"channel_occupied presence-x", "member_added presence-x ana", "member_added presence-x bob", "member_removed presence-x bob"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
