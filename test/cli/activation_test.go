package cli

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/test/harness"
)

// TestASocketThatIsPassed stays open from one process to the next, as systemd has it:
// who asks meanwhile waits, and is answered.
func TestASocketThatIsPassed(t *testing.T) {
	dir := t.TempDir()
	apps := filepath.Join(dir, "apps.yaml")
	if err := os.WriteFile(apps, []byte("apps: [{id: \"1\", keys: [{key: k, secret: s}]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	url := "http://" + l.Addr().String() + "/livez"
	_ = l.Close() // only the file is left, and the processes' copies of it
	for range 2 {
		answered := make(chan error, 1)
		go func() {
			web := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := web.Get(url)
			if err == nil {
				err = resp.Body.Close()
			}
			answered <- err
		}()
		cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh",
			harness.Binary(t), "serve", "--apps", apps, "--data-dir", filepath.Join(dir, "data"), "--listen", "127.0.0.1:1")
		cmd.ExtraFiles = []*os.File{file}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if err := <-answered; err != nil {
			t.Errorf("%v\n%s", err, &stderr)
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, &stderr)
		}
	}
	t.Run("too many", func(t *testing.T) {
		cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=2 exec "$@"`, "sh", harness.Binary(t), "serve", "--apps", apps, "--data-dir", filepath.Join(dir, "data"))
		out, err := cmd.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("give the socket unit one ListenStream")) {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// TestALoneNodeSendsSocketsAwayLast: until its attempts have ended, it goes on to
// serve; then clients are told to come back in a second, when the next process is there.
func TestALoneNodeSendsSocketsAwayLast(t *testing.T) {
	w, gateway := startSlow(t, "--stop-within", "1m")
	w.AddPhones(1, "ios", "phone", "news")
	w.SimCall("PUT", "/sim/faults", map[string]any{"provider": "apns", "latency_ms": 3000}, nil)
	t.Setenv("DIAPHONE_SERVER", w.URL)
	listener := harness.Start(t, "listen", "news", "--timeout", "1m", "--count", "2")
	harness.Until(t, 10*time.Second, "listening", func() bool { return strings.Contains(listener.Stderr(), "listening") })
	w.Send("news", "hello")
	harness.Until(t, 10*time.Second, "the attempt is under way", func() bool {
		var stats map[string]struct{ Requests int }
		w.SimCall("GET", "/sim/stats", nil, &stats)
		return stats["apns"].Requests > 0
	})
	gateway.Signal(syscall.SIGTERM)
	harness.Until(t, 10*time.Second, "stopping", func() bool { return strings.Contains(gateway.Stderr(), "finishing those under way") })
	if code := harness.Start(t, "publish", "news", "late", "{}").Wait(10 * time.Second); code != 0 {
		t.Errorf("a publish while the attempt is under way: exit code %d", code)
	}
	harness.Until(t, 10*time.Second, "the event is heard", func() bool { return strings.Contains(listener.Stdout(), "late") })
	if code := gateway.Wait(30 * time.Second); code != 0 {
		t.Errorf("exit code %d\n%s", code, gateway.Stderr())
	}
}
