package matrix

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/test/harness"
)

// patience is for a machine that is busy; nothing waits so long otherwise.
const patience = 30 * time.Second

// eventName is the event of every message.
const eventName = "are-you-there"

// host is a process in which clients live.
type host struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	mu     sync.Mutex
	peers  []*peer
	stderr strings.Builder // to be read when the process has ended
	ended  chan struct{}
}

// spec is what a script has to know of a client.
type spec struct {
	ID         int    `json:"id"`
	Port       int    `json:"port"`
	Event      string `json:"event"`
	Transport  string `json:"transport"`
	Member     string `json:"member,omitempty"`
	User       string `json:"user,omitempty"`
	Channel    string `json:"channel,omitempty"`
	Visibility string `json:"visibility,omitempty"`
	Receipts   bool   `json:"receipts,omitempty"`
}

// report is a line that a script prints.
type report struct {
	ID         int    `json:"id"`
	Visibility string `json:"visibility"`
	Transport  string `json:"transport"` // set: the client is there
	Heard      bool   `json:"heard"`
	Error      string `json:"error"`
}

// peer is one client.
type peer struct {
	host    *host
	spec    spec
	relay   *harness.Relay // nil: it is connected directly
	mu      sync.Mutex
	reports []report
}

// newHost starts a script. It is killed when the test ends.
func newHost(t testing.TB, script string) *host {
	t.Helper()
	dir := t.TempDir()
	world, err := json.Marshal(map[string]any{
		"apps": map[string]any{"main": map[string]string{"id": "1", "key": "app-key", "secret": "app-secret"}},
		"run":  "matrix", "dir": dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{cmd: exec.Command("node", "clients/"+script), ended: make(chan struct{})}
	h.cmd.Env = append(os.Environ(), "MATRIX="+string(world), "TMPDIR="+dir)
	if script == "chromium.mjs" {
		h.cmd.Env = append(h.cmd.Env, "CHROMIUM="+harness.Chromium(t))
	}
	// A group of its own, so that Chromium's processes end with it whatever happens.
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	h.cmd.Stderr = &h.stderr
	stdout, err := h.cmd.StdoutPipe()
	if err == nil {
		h.stdin, err = h.cmd.StdinPipe()
	}
	if err == nil {
		err = h.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		h.read(stdout)
		_ = h.cmd.Wait() // it was killed
		close(h.ended)
	}()
	t.Cleanup(func() {
		h.signal(syscall.SIGKILL)
		<-h.ended
		if t.Failed() && h.stderr.Len() > 0 {
			t.Logf("%s: %s", script, h.stderr.String())
		}
	})
	return h
}

func (h *host) read(stdout io.Reader) {
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var r report
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			continue
		}
		h.mu.Lock()
		p := h.peers[r.ID]
		h.mu.Unlock()
		p.mu.Lock()
		p.reports = append(p.reports, r)
		p.mu.Unlock()
	}
}

// open makes a client. It may not be there yet.
func (h *host) open(s spec, r *harness.Relay) (*peer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.ID, s.Event = len(h.peers), eventName
	p := &peer{host: h, spec: s, relay: r}
	h.peers = append(h.peers, p)
	line, err := json.Marshal(s)
	if err == nil {
		_, err = h.stdin.Write(append(line, '\n'))
	}
	return p, err
}

// signal reaches the script and all that it has started.
func (h *host) signal(s syscall.Signal) { _ = syscall.Kill(-h.cmd.Process.Pid, s) }

// suspend stops the process as a phone's system does with apps, and waits until it is.
func (h *host) suspend(t testing.TB) {
	t.Helper()
	h.signal(syscall.SIGSTOP)
	harness.Until(t, patience, "the client is suspended", func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.cmd.Process.Pid))
		_, state, _ := strings.Cut(string(text), ") ") // proc_pid_stat(5)
		return err == nil && strings.HasPrefix(state, "T")
	})
}

// find waits for a report.
func (p *peer) find(t testing.TB, what string, wanted func(report) bool) (found report) {
	t.Helper()
	harness.Until(t, patience, what, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, r := range p.reports {
			if found = r; r.Error != "" {
				t.Fatalf("a client: %s", r.Error)
			}
			if wanted(r) {
				return true
			}
		}
		return false
	})
	return found
}

// ready waits until the client is there as it was wanted.
func (p *peer) ready(t testing.TB) {
	t.Helper()
	if r := p.find(t, "the client is there", func(r report) bool { return r.Transport != "" }); r.Transport != p.spec.Transport {
		t.Errorf("connected over %s", r.Transport)
	}
}

// heard tells whether the client has heard the event so far.
func (p *peer) heard() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.reports {
		if r.Heard && r.Visibility == p.spec.Visibility {
			return true
		}
	}
	return false
}
