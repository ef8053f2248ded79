package sdk

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// jsClient is the package under test.
var jsClient = filepath.Join("..", "..", "clients", "js")

// stageTimeout is for a machine that is busy; the whole takes about 40 seconds, for
// pusher-js waits a second before each reconnect.
const stageTimeout = 4 * time.Minute

// stageChannels are the settings that the tests of the package count on.
const stageChannels = `    channels:
      client_events: true
      history:
        - {prefix: short-, events: 3}
        - {prefix: h-, events: 1000}
        - {prefix: private-h-, events: 1000}
        - {prefix: presence-h-, events: 1000}
        - {prefix: private-cache-h-, events: 1000}
        - {prefix: private-encrypted-h-}
        - {prefix: "#server-to-user-"}
`

// TestJSClientResumes runs the tests of clients/js against the built gateway. They
// steer it: what they ask for is done here, on the test's own goroutine.
func TestJSClientResumes(t *testing.T) {
	needPackages(t)
	w := harness.NewWorld(t, func(apps string) string { return apps + stageChannels })
	line := newLine(t, strings.TrimPrefix(w.URL, "http://"))
	orders := make(chan order)
	steer := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		o := order{strings.TrimPrefix(r.URL.Path, "/"), make(chan error, 1)}
		select {
		case orders <- o:
		case <-r.Context().Done(): // the script has been ended
			return
		}
		select {
		case err := <-o.done:
			if err != nil {
				http.Error(rw, err.Error(), http.StatusBadRequest)
			}
		case <-r.Context().Done():
		}
	}))
	defer steer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), stageTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "--test", "--test-reporter=spec", "test/resume.test.js")
	cmd.Dir = jsClient
	cmd.Env = append(os.Environ(), "STEER_URL="+steer.URL, "LINE_PORT="+line.port(), "GATEWAY_PORT="+w.URL[strings.LastIndexByte(w.URL, ':')+1:])
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	done := make(chan error, 1)
	go func() { done <- cmd.Run() }()
	for {
		select {
		case o := <-orders:
			o.done <- line.obey(w, o.what)
		case err := <-done:
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, out.String(), w.Gateway.Stderr())
			}
			t.Log(summary(out.String()))
			return
		}
	}
}

// summary keeps what the tests told beside their names.
func summary(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(strings.TrimSpace(line), "ℹ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "\n")
}

func needPackages(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(jsClient, "node_modules")); err != nil {
		t.Fatal("the npm packages are not installed: run `make deps`")
	}
}

func TestJSClientTypes(t *testing.T) {
	needPackages(t)
	ctx, cancel := context.WithTimeout(t.Context(), scriptTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "node_modules/typescript/bin/tsc")
	cmd.Dir = jsClient
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("tsc: %v\n%s", err, out)
	}
}

// order is something that a script asks for.
type order struct {
	what string
	done chan error
}

func (p *line) obey(w *harness.World, what string) error {
	verb, text, _ := strings.Cut(what, "/")
	n, _ := strconv.Atoi(text)
	switch verb {
	case "cut":
		p.each(func(w *wire) {
			if n == 0 {
				w.cut()
				return
			}
			w.mu.Lock()
			w.left = rand.IntN(n)
			w.mu.Unlock()
		})
	case "now":
		p.each(func(w *wire) {
			w.mu.Lock()
			w.before = eventBytes(text)
			w.mu.Unlock()
		})
	case "next":
		p.mu.Lock()
		p.next = eventBytes(text)
		p.mu.Unlock()
	case "close":
		p.each(func(w *wire) { w.closeWith(uint16(n)) })
	case "kill":
		w.Gateway.Kill()
		w.StartGateway()
	case "drain":
		w.Gateway.Stop(20 * time.Second)
		w.StartGateway()
	default:
		return fmt.Errorf("no such order: %s", what)
	}
	return nil
}
