//go:build clock

package clock

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// The gateway is what it is; package time below it adds to the wall clock, not to the
// monotonic one, as setting a machine's clock does. Signals say when.
const (
	leap = `package time

import "sync/atomic"

// Leap is by how many seconds the wall clock has been set.
var Leap atomic.Int64
`
	signals = `package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

func init() {
	set := make(chan os.Signal, 1)
	signal.Notify(set, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range set {
			if s == syscall.SIGUSR1 {
				time.Leap.Add(3600)
			} else {
				time.Leap.Add(-3600)
			}
		}
	}()
}
`
	read = "\tsec, nsec, mono := runtimeNow()\n"
)

const (
	forward = syscall.SIGUSR1
	back    = syscall.SIGUSR2
)

// build makes a gateway whose clock can be set.
func build(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	std := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	text, err := os.ReadFile(filepath.Join(std, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), read); n != 1 {
		t.Fatalf("package time of this Go reads its clock in %d places", n)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for path, content := range map[string]string{
		filepath.Join(std, "time.go"):                        strings.Replace(string(text), read, read+"\tsec += Leap.Load()\n", 1),
		filepath.Join(std, "leap.go"):                        leap,
		filepath.Join(root, "cmd", "diaphone", "signals.go"): signals,
	} {
		replace[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[path], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "diaphone")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-C", root, "-overlay", list, "-o", binary, "./cmd/diaphone").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

const patience = 30 * time.Second

func TestTheClockIsSetUnderARunningGateway(t *testing.T) {
	binary := build(t)
	for name, test := range map[string]func(*testing.T, *harness.World){"deliveries": deliveries, "keys": keys} {
		t.Run(name, func(t *testing.T) {
			test(t, harness.NewWorldWith(t, harness.Setup{Gateway: func(_ string, args []string) *exec.Cmd {
				return exec.Command(binary, args...)
			}}))
		})
	}
}

// deliveries are in flight, wait to be tried again, wait for their time and run out of
// it, while the clock is set an hour forward and back: each is made once.
func deliveries(t *testing.T, w *harness.World) {
	const phones = 20
	w.AddPhones(phones, diaphone.Android, "android", "news")
	faults := func(plan ...map[string]any) {
		w.SimCall(http.MethodPut, "/sim/faults", append([]map[string]any{}, plan...), nil)
	}

	// In flight, and the lease with them.
	faults(map[string]any{"provider": "fcm", "latency_ms": 2000})
	flying := w.Send("news", "in flight")
	pass(t, time.Second)
	w.Gateway.Signal(forward)
	pass(t, 3*time.Second)
	w.Gateway.Signal(back)
	delivered(t, w, flying, phones)

	// Waiting to be tried again, with the clock behind.
	faults(map[string]any{"provider": "fcm", "status": 503, "retry_after": 2, "count": phones})
	again := w.Send("news", "again")
	harness.Until(t, patience, "each was tried", func() bool { return tried(t, w, again) == phones })
	w.Gateway.Signal(back)
	pass(t, 4*time.Second)
	if n := received(w, "again"); n > 0 {
		t.Errorf("%d were sent before their time", n)
	}
	w.Gateway.Signal(forward)
	delivered(t, w, again, phones)

	// Out of time while they wait.
	faults(map[string]any{"provider": "fcm", "status": 503, "retry_after": 5})
	over := publish(t, w, "over", 600, time.Time{}, "")
	harness.Until(t, patience, "each was tried", func() bool { return tried(t, w, over) == phones })
	w.Gateway.Signal(forward)
	faults()
	if m := w.Await(over, patience); m.Counts.Expired != phones {
		t.Errorf("an hour later: %+v, want all expired", m.Counts)
	}
	w.Gateway.Signal(back)

	// Scheduled, and named by a key.
	later := publish(t, w, "later", 7200, time.Now().Add(30*time.Minute), "order-1")
	for _, set := range []syscall.Signal{forward, back, back, forward} {
		w.Gateway.Signal(set)
		pass(t, 6*time.Second) // longer than the gateway goes without looking at the clock
		if set == forward {
			delivered(t, w, later, phones)
		}
	}
	if m, err := w.Client.Message(context.Background(), later); err != nil || m.Counts.Delivered != phones {
		t.Errorf("%+v, %v", m.Counts, err)
	}
	for _, text := range []string{"in flight", "again", "later"} {
		if n := received(w, text); n != phones {
			t.Errorf("%q came %d times to %d phones", text, n, phones)
		}
	}
	if n := received(w, "over"); n > 0 {
		t.Errorf("%d came after their time", n)
	}
	if shown := w.Inbox(); len(shown) != 3*phones {
		t.Errorf("%d notifications, want %d", len(shown), 3*phones)
	}
}

// keys count for a day, wherever the clock stands in it.
func keys(t *testing.T, w *harness.World) {
	w.AddPhones(1, diaphone.Android, "android", "news")
	id := publish(t, w, "keyed", 60, time.Time{}, "order-2")
	delivered(t, w, id, 1)
	for _, set := range []syscall.Signal{forward, back, back, forward} {
		w.Gateway.Signal(set)
		pass(t, 200*time.Millisecond)
		if again := publish(t, w, "keyed", 60, time.Time{}, "order-2"); again != id {
			t.Errorf("another message: %s", again)
		}
	}
	pass(t, 6*time.Second)
	if n := received(w, "keyed"); n != 1 {
		t.Errorf("it came %d times", n)
	}
}

func publish(t *testing.T, w *harness.World, body string, ttl int, at time.Time, key string) diaphone.MessageID {
	t.Helper()
	p, err := w.Client.Publish(context.Background(), wire.NewMessage{To: wire.Audience{Channels: []diaphone.ChannelName{"news"}},
		Notification: &diaphone.Notification{Body: body, TTL: &ttl}, SendAt: wire.At(at)}, key)
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

func delivered(t *testing.T, w *harness.World, id diaphone.MessageID, n int64) {
	t.Helper()
	if m := w.Await(id, patience); m.Counts.Delivered != n {
		t.Errorf("%+v, want %d delivered", m.Counts, n)
	}
}

func tried(t *testing.T, w *harness.World, id diaphone.MessageID) (n int) {
	t.Helper()
	for d, err := range w.Client.AllDeliveries(context.Background(), id) {
		if err != nil {
			t.Fatal(err)
		}
		n += min(1, len(d.Attempts))
	}
	return n
}

func received(w *harness.World, body string) (n int) {
	for _, s := range w.Inbox() {
		if s.Body == body {
			n++
		}
	}
	return n
}

// pass lets time pass in which something must not happen.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}
