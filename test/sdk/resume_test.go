package sdk

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

// jsClient is the package under test.
var jsClient = filepath.Join("..", "..", "clients", "js")

const (
	// stageTimeout is for a machine that is busy; the whole takes about 40 seconds,
	// for pusher-js waits a second before each reconnect.
	stageTimeout = 4 * time.Minute
	// lineWait is how long a client is kept while the gateway restarts, as a load
	// balancer does: pusher-js waits 15 s after an attempt that was refused.
	lineWait = 10 * time.Second
)

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
		o := order{strings.TrimPrefix(r.URL.Path, "/"), make(chan error)}
		orders <- o
		if err := <-o.done; err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
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

// line is a TCP proxy before the gateway that breaks its connections when told.
type line struct {
	l    net.Listener
	to   string
	all  sync.WaitGroup
	mu   sync.Mutex
	open map[*wire]struct{}
	next []byte // what the next connection is cut before
}

// wire is one connection over the line.
type wire struct {
	near, far net.Conn
	mu        sync.Mutex // held while bytes go to the client
	left      int        // bytes until the cut; negative: as many as there are
	before    []byte     // is not let through; empty: all is
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &line{l: l, to: to, open: map[*wire]struct{}{}}
	p.all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.pass(near) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.each((*wire).cut)
		p.all.Wait()
	})
	return p
}

func (p *line) port() string { return strconv.Itoa(p.l.Addr().(*net.TCPAddr).Port) }

// pass carries one connection until either side ends it.
func (p *line) pass(near net.Conn) {
	far, err := p.reach()
	if err != nil {
		_ = near.Close()
		return
	}
	w := &wire{near: near, far: far, left: -1}
	p.mu.Lock()
	w.before, p.next = p.next, nil
	p.open[w] = struct{}{}
	p.mu.Unlock()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = near.(*net.TCPConn).WriteTo(far)
		_ = far.Close()
	})
	w.down()
	up.Wait()
	p.mu.Lock()
	delete(p.open, w)
	p.mu.Unlock()
}

// reach connects to the gateway, also when that is about to start again.
func (p *line) reach() (net.Conn, error) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(lineWait); ; <-again.C {
		far, err := net.Dial("tcp", p.to)
		if err == nil || time.Now().After(end) {
			return far, err
		}
	}
}

// down carries bytes to the client, up to the cut.
func (w *wire) down() {
	buffer := make([]byte, 16<<10)
	for {
		n, err := w.far.Read(buffer)
		w.mu.Lock()
		n, cut := w.keep(buffer[:n])
		_, _ = w.near.Write(buffer[:n])
		w.mu.Unlock()
		if cut {
			w.end() // after what has come, so that the client sees the torn frame
			return
		}
		if err != nil {
			w.end()
			return
		}
	}
}

// keep tells how many of the bytes go through, and whether that is the end. w.mu is held.
func (w *wire) keep(p []byte) (n int, cut bool) {
	if i := bytes.Index(p, w.before); len(w.before) > 0 && i >= 0 {
		return i, true
	}
	if w.left < 0 {
		return len(p), false
	}
	if len(p) >= w.left {
		return w.left, true
	}
	w.left -= len(p)
	return len(p), false
}

func (w *wire) end() { _, _ = w.near.Close(), w.far.Close() }

// cut resets the connection on both sides.
func (w *wire) cut() {
	for _, c := range []net.Conn{w.near, w.far} {
		_ = c.(*net.TCPConn).SetLinger(0)
	}
	w.end()
}

// closeWith ends the connection as the gateway would, with a code. It must be quiet.
func (w *wire) closeWith(code uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = w.near.Write(binary.BigEndian.AppendUint16([]byte{0x88, 2}, code))
}

func (p *line) each(do func(*wire)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.open {
		do(w)
	}
}

// eventBytes is how an event begins on the wire.
func eventBytes(name string) []byte { return []byte(`{"event":"` + name + `"`) }

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
