// Package ops does what operators do with the store: backups under load, restores,
// and the accidents in between.
package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
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

// must runs a command that has to succeed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := harness.Run(t, args...)
	if code != 0 {
		t.Fatalf("diaphone %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// A backup is taken while publishes and registrations go on. Then the data folder is
// lost, and a gateway starts from the backup: every device is there, every message
// that was accepted before the backup too, and what still waited is sent, except
// what nobody wants any more.
func TestBackupUnderLoadThenRestore(t *testing.T) {
	w := harness.NewWorld(t, nil)
	const phones = 100
	w.AddPhones(phones, diaphone.Android, "android", "news")
	// The provider is down: what is sent now still waits when the backup is taken.
	w.SimCall(http.MethodPut, "/sim/faults", []map[string]any{{"provider": "fcm", "status": 503}}, nil)
	wanted, stale := send(t, w, "still wanted", 3600), send(t, w, "of no use later", 3)
	sent := time.Now()

	load := startLoad(t, w)
	harness.Until(t, 20*time.Second, "the load runs", func() bool { return load.count() > 50 })
	before := load.accepted()
	backup := filepath.Join(t.TempDir(), "backup")
	var saved struct {
		Bytes, Devices, Messages int64
		Seconds                  float64
	}
	decode(t, must(t, "backup", backup, "--data-dir", w.DataDir(), "--json"), &saved)
	after := load.stop()
	t.Logf("backup of %d bytes in %.3f s, while %d messages were accepted", saved.Bytes, saved.Seconds, after-len(before))
	var report struct {
		Seal      string
		Damage    struct{ Count int }
		LooseEnds struct{ Count int } `json:"loose_ends"`
	}
	decode(t, must(t, "check", backup, "--json"), &report)
	if report.Seal != "good" || report.Damage.Count+report.LooseEnds.Count > 0 {
		t.Errorf("check: %+v", report)
	}
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}

	if _, errs, code := harness.Run(t, "restore", backup, "--force", "--data-dir", w.DataDir()); code != 6 || !strings.Contains(errs, "in use") {
		t.Errorf("restore under a running gateway: exit code %d, %s", code, errs)
	}
	w.Gateway.Kill()
	if err := os.RemoveAll(w.DataDir()); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, 10*time.Second, "the stale one's time is over", func() bool { return time.Since(sent) > 4*time.Second })
	w.SimCall(http.MethodPut, "/sim/faults", []map[string]any{}, nil)
	must(t, "restore", backup, "--data-dir", w.DataDir())
	w.StartGateway()
	for _, id := range before {
		if _, err := w.Client.Message(context.Background(), id); err != nil {
			t.Fatalf("message %s, accepted before the backup: %v", id, err)
		}
	}
	if m := w.Await(wanted, time.Minute); m.Counts.Delivered != phones {
		t.Errorf("what waited: %+v", m.Counts)
	}
	if m := w.Await(stale, time.Minute); m.Counts.Expired != phones {
		t.Errorf("what nobody wants any more: %+v", m.Counts)
	}
	for _, n := range w.Inbox() {
		if strings.Contains(string(n.Payload)+n.Body, "of no use later") {
			t.Fatalf("it was sent: %+v", n)
		}
	}
}

func send(t *testing.T, w *harness.World, body string, ttl int) diaphone.MessageID {
	t.Helper()
	p, err := w.Client.Publish(context.Background(), wire.NewMessage{
		To:           wire.Audience{Channels: []diaphone.ChannelName{"news"}},
		Notification: &diaphone.Notification{Body: body, TTL: &ttl},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// load publishes and registers until it is stopped.
type load struct {
	mu   sync.Mutex
	ids  []diaphone.MessageID
	end  context.CancelFunc
	done sync.WaitGroup
}

func startLoad(t *testing.T, w *harness.World) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{end: cancel}
	t.Cleanup(func() { l.stop() })
	for worker := range 4 {
		l.done.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				p, err := w.Client.Publish(ctx, wire.NewMessage{
					To:           wire.Audience{Users: []diaphone.UserID{"nobody"}},
					Notification: &diaphone.Notification{Body: "hello"},
				}, "")
				if err != nil {
					continue
				}
				l.mu.Lock()
				l.ids = append(l.ids, p.ID)
				l.mu.Unlock()
				id := diaphone.DeviceID(fmt.Sprintf("load-%d-%d", worker, i))
				_, _ = w.Client.PutDevice(ctx, id, wire.NewDevice{Platform: diaphone.Android,
					Tokens: []wire.NewToken{{Kind: diaphone.TokenFCM, Value: string("token-" + id)}}})
			}
		})
	}
	return l
}

func (l *load) count() int { return len(l.accepted()) }

func (l *load) accepted() []diaphone.MessageID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]diaphone.MessageID(nil), l.ids...)
}

func (l *load) stop() int {
	l.end()
	l.done.Wait()
	return l.count()
}

// Whoever takes a backup slowly keeps others from one; a gateway that is stopped
// breaks it off, and the socket is gone with it.
func TestOneBackupAtATime(t *testing.T) {
	w := harness.NewWorld(t, nil)
	// More than the socket takes in advance.
	w.AddPhones(5000, diaphone.Android, "android", "news")
	socket := filepath.Join(w.DataDir(), "diaphone.sock")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	slow := ask(t, socket)
	first := filepath.Join(t.TempDir(), "backup")
	if _, errs, code := harness.Run(t, "backup", first, "--data-dir", w.DataDir()); code != 6 || !strings.Contains(errs, "another backup") {
		t.Errorf("a second backup at once: exit code %d, %s", code, errs)
	}
	if code := w.Gateway.Stop(20 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := io.Copy(io.Discard, slow.Body); err == nil {
		t.Error("a backup that was broken off looks whole")
	}
	if _, err := os.Stat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket of a stopped gateway: %v", err)
	}
	must(t, "backup", first, "--data-dir", w.DataDir()) // now of the file itself
	must(t, "check", "--data-dir", w.DataDir())
	w.StartGateway()
	w.Gateway.Kill() // leaves its socket behind
	must(t, "backup", first, "--force", "--data-dir", w.DataDir())
	w.StartGateway()
	must(t, "backup", first, "--force", "--data-dir", w.DataDir())
}

func ask(t *testing.T, socket string) *http.Response {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	resp, err := (&http.Client{Transport: transport}).Get("http://diaphone/backup")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// half is a gateway that gives half of a backup and then does what end says.
func half(t *testing.T, backup []byte, end func(http.ResponseWriter, *http.Request)) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ops-") // short: the path of a socket has a limit
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "diaphone.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(backup)))
		_, _ = w.Write(backup[:len(backup)/2])
		_ = http.NewResponseController(w).Flush()
		end(w, r)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
		os.RemoveAll(dir)
	})
	return dir
}

// Whatever ends in the middle, gateway or command, an earlier backup stays as it is,
// and no half of a new one bears its name.
func TestEndsInTheMiddle(t *testing.T) {
	w := harness.NewWorld(t, nil)
	w.AddPhones(200, diaphone.Android, "android", "news")
	folder := t.TempDir()
	earlier := filepath.Join(folder, "backup")
	must(t, "backup", earlier, "--data-dir", w.DataDir())
	sound, err := os.ReadFile(earlier)
	if err != nil {
		t.Fatal(err)
	}

	broken := half(t, sound, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, name := range []string{"backup", "new"} {
		_, errs, code := harness.Run(t, "backup", filepath.Join(folder, name), "--force", "--data-dir", broken)
		if code != 1 || !strings.Contains(errs, "broken the backup off") {
			t.Errorf("exit code %d, %s", code, errs)
		}
	}
	if left := names(t, folder); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}

	reached := make(chan struct{}, 2)
	hanging := half(t, sound, func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-r.Context().Done()
	})
	for _, end := range []func(*harness.Process){
		(*harness.Process).Kill,
		func(p *harness.Process) {
			if code := p.Stop(10 * time.Second); code != 130 {
				t.Errorf("interrupted: exit code %d, %s", code, p.Stderr())
			}
			if left := names(t, folder); len(left) != 2 { // the earlier, and what was killed
				t.Errorf("left behind: %v", left)
			}
		},
	} {
		p := harness.Start(t, "backup", earlier, "--force", "--data-dir", hanging)
		<-reached
		end(p)
		if now, err := os.ReadFile(earlier); err != nil || string(now) != string(sound) {
			t.Errorf("the earlier backup has changed: %v", err)
		}
	}
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
