package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var thisMachine = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func get(t *testing.T, c *http.Client, url string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c.Do(r)
}

// TestEveryAddressIsJudgedAfterDNS has names stand for what no URL may say.
func TestEveryAddressIsJudgedAfterDNS(t *testing.T) {
	for _, c := range []struct {
		address string
		ok      bool
	}{
		{"93.184.216.34:443", true}, {"[2606:2800:220:1::1]:443", true}, {"[::ffff:93.184.216.34]:443", true},
		{"127.0.0.1:80", false}, {"10.1.2.3:443", false}, {"172.20.0.1:443", false}, {"192.168.0.1:443", false},
		{"169.254.169.254:80", false}, {"168.63.129.16:80", false}, {"168.63.129.17:80", true}, {"[::ffff:168.63.129.16]:80", false},
		{"100.100.100.200:80", false}, {"0.0.0.0:80", false}, {"224.0.0.251:5353", false},
		{"[::]:80", false}, {"[::1]:80", false}, {"[::ffff:169.254.169.254]:80", false}, {"[fe80::1%lo]:80", false},
		{"[fd00:ec2::254]:80", false}, {"[64:ff9b::a9fe:a9fe]:80", false}, {"[2002:a9fe:a9fe::1]:80", false},
		{"[2600::5efe:a9fe:a9fe]:80", false}, {"", false}, {"example.com:80", false}, {"/run/x.sock", false},
	} {
		var refused int
		g := New(Config{Refused: func() { refused++ }})
		err := g.control("tcp", c.address, nil)
		if (err == nil) != c.ok || !c.ok && (!errors.Is(err, ErrForbidden) || refused != 1) {
			t.Errorf("%s: %v, counted %d", c.address, err, refused)
		}
	}
}

// TestRebinding: the name was public when it was registered, and is this machine
// when it is called.
func TestRebinding(t *testing.T) {
	var served, refused atomic.Int64
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
	defer s.Close()
	for _, answer := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("169.254.169.254")} {
		g := New(Config{Refused: func() { refused.Add(1) }})
		g.resolver = resolverOf(answer)
		url := "https://rebind.example:" + port(s) + "/"
		if err := g.Check(url); err != nil {
			t.Fatal(err)
		}
		resp, err := get(t, g.Client(5*time.Second), url)
		if !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v, %v", answer, resp, err)
		}
	}
	if served.Load() != 0 || refused.Load() < 3 {
		t.Errorf("%d requests were served, %d refused", served.Load(), refused.Load())
	}
}

// TestAllowedAgainAtEveryRequest: what Check refuses is not dialled either.
func TestAllowedAgainAtEveryRequest(t *testing.T) {
	var served atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
	defer s.Close()
	if _, err := get(t, New(Config{}).Client(5*time.Second), s.URL); !errors.Is(err, ErrForbidden) {
		t.Errorf("nothing is allowed, and yet: %v", err)
	}
	allowed := New(Config{Allow: thisMachine})
	resp, err := get(t, allowed.Client(5*time.Second), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	Drain(resp, 1<<10)
	if _, err := get(t, allowed.Client(time.Second), "http://example.com/"); !errors.Is(err, ErrForbidden) {
		t.Errorf("http to a name: %v", err)
	}
	if served.Load() != 1 {
		t.Errorf("%d requests were served", served.Load())
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var followed atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/secret" {
			followed.Add(1)
		}
		http.Redirect(w, r, "/secret", http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	resp, err := get(t, New(Config{Allow: thisMachine}).Client(5*time.Second), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	Drain(resp, 1<<10)
	if resp.StatusCode != http.StatusTemporaryRedirect || followed.Load() != 0 {
		t.Errorf("%d, followed %d times", resp.StatusCode, followed.Load())
	}
}

// TestSlowAnswers: neither silence nor a byte now and then outlasts the timeout.
func TestSlowAnswers(t *testing.T) {
	gone := make(chan struct{}, 2)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { gone <- struct{}{} }()
		if r.URL.Path == "/silence" {
			<-r.Context().Done()
			return
		}
		drip := time.NewTicker(20 * time.Millisecond)
		defer drip.Stop()
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte("."))
			w.(http.Flusher).Flush()
			<-drip.C
		}
	}))
	defer s.Close()
	c := New(Config{Allow: thisMachine}).Client(200 * time.Millisecond)
	begun := time.Now()
	if _, err := get(t, c, s.URL+"/silence"); err == nil {
		t.Error("silence was an answer")
	}
	if resp, err := get(t, c, s.URL+"/drip"); err == nil {
		Drain(resp, 1<<30)
	}
	<-gone
	<-gone
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestEndlessBody(t *testing.T) {
	var sent atomic.Int64
	gone := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(gone)
		chunk := []byte(strings.Repeat("x", 64<<10))
		for {
			n, err := w.Write(chunk)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	defer s.Close()
	resp, err := get(t, New(Config{Allow: thisMachine}).Client(10*time.Second), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	Drain(resp, 8<<10)
	<-gone
	if n := sent.Load(); n > 32<<20 { // what fits into socket buffers
		t.Errorf("%d bytes were taken", n)
	}
}

func TestNothingIsInflated(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := r.Header.Get("Accept-Encoding"); v != "" {
			t.Errorf("the request asks for %s", v)
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "not gzip at all")
	}))
	defer s.Close()
	resp, err := get(t, New(Config{Allow: thisMachine}).Client(5*time.Second), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "not gzip at all" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestNoProxy: a proxy would do the dialling, and where it can reach is not ours
// to judge.
func TestNoProxy(t *testing.T) {
	gate, ok := New(Config{}).Client(time.Second).Transport.(*gate)
	if !ok || gate.Proxy != nil {
		t.Error("requests may go through a proxy")
	}
}

func port(s *httptest.Server) string {
	_, p, _ := net.SplitHostPort(s.Listener.Addr().String())
	return p
}

// resolverOf is a resolver whose DNS server gives every name the address.
func resolverOf(a netip.Addr) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			for {
				var size [2]byte // a stream: messages have their length in front
				if _, err := io.ReadFull(theirs, size[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(theirs, query); err != nil {
					return
				}
				answer := reply(query, a)
				if _, err := theirs.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
					return
				}
			}
		}()
		return ours, nil
	}}
}

// reply answers a DNS query of one question: a type A with the address, others
// with nothing.
func reply(query []byte, a netip.Addr) []byte {
	const header, typeA = 12, 1
	end := header
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root label, type, class
	m := append([]byte{}, query[:end]...)
	m[2], m[3] = 0x81, 0x80
	copy(m[6:header], []byte{0, 0, 0, 0, 0, 0})
	if binary.BigEndian.Uint16(query[end-4:]) == typeA {
		m[7] = 1
		m = append(m, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4)
		m = append(m, a.AsSlice()...)
	}
	return m
}

// TestConnectionsOfAHost: however many requests wait, a host sees few connections.
func TestConnectionsOfAHost(t *testing.T) {
	var open, most atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			n := open.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
		case http.StateClosed:
			open.Add(-1)
		}
	}
	s.Start()
	defer s.Close()
	c := New(Config{Allow: thisMachine}).Client(30 * time.Second)
	defer c.CloseIdleConnections()
	var all sync.WaitGroup
	for range 10 * perHost {
		all.Go(func() {
			resp, err := get(t, c, s.URL)
			if err != nil {
				t.Error(err)
				return
			}
			Drain(resp, 1<<10)
		})
	}
	all.Wait()
	if n := most.Load(); n > perHost || n < 1 {
		t.Errorf("%d connections at once", n)
	}
}
