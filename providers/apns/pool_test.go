package apns

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
)

// TestColdStart: 200 in flight meet connections that allow one stream, and none
// is refused.
func TestColdStart(t *testing.T) {
	lab := newLab(t, sim.Options{})
	token := lab.Device("ana", "ios")
	lab.Faults(providertest.Fault{Provider: "apns", LatencyMS: 20})
	r := providertest.Push(t, open(t, lab.config(t)), diaphone.TokenAPNs, token, providertest.Load{N: 5000, InFlight: 200})
	t.Log(r)
	if s := lab.Stats("apns"); s.Requests != 5000 || s.Accepted != 5000 || s.Connections > defaultConnections {
		t.Errorf("%+v", s)
	}
	isEven(t, r)
}

// TestGoAway: a server that ends every connection after 500 requests loses,
// doubles and delays nothing.
func TestGoAway(t *testing.T) {
	lab := newLab(t, sim.Options{})
	token := lab.Device("ana", "ios")
	lab.Faults(providertest.Fault{Provider: "apns", LatencyMS: 20}, providertest.Fault{Provider: "apns", GoAwayEvery: 500})
	r := providertest.Push(t, open(t, lab.config(t)), diaphone.TokenAPNs, token, providertest.Load{N: 5000, InFlight: 200})
	t.Log(r)
	if s := lab.Stats("apns"); s.Accepted != 5000 || s.Connections < 10 {
		t.Errorf("%+v", s)
	}
	isEven(t, r)
}

// TestNarrowServer: more in flight than the server allows wait for their turn.
func TestNarrowServer(t *testing.T) {
	lab := newLab(t, sim.Options{MaxStreams: 3})
	token := lab.Device("ana", "ios")
	providertest.Push(t, open(t, lab.config(t)), diaphone.TokenAPNs, token, providertest.Load{N: 2000, InFlight: 100})
	if s := lab.Stats("apns"); s.Requests != 2000 || s.Accepted != 2000 || s.Connections > 2*defaultConnections {
		t.Errorf("%+v", s)
	}
}

// TestSpareIsWarm: the second connection is proved by a real push before it is
// needed.
func TestSpareIsWarm(t *testing.T) {
	lab := newLab(t, sim.Options{})
	token := lab.Device("ana", "ios")
	p := open(t, lab.config(t))
	ctx := providertest.Bounded(t)
	for warm := 0; warm < defaultConnections; {
		if o := p.Send(ctx, providertest.Delivery(providertest.Hello(), diaphone.TokenAPNs, token)); o.Verdict != diaphone.Accepted {
			t.Fatalf("%+v", o)
		}
		p.pool.mu.Lock()
		warm = 0
		for _, c := range p.pool.active {
			if c.warm {
				warm++
			}
		}
		p.pool.mu.Unlock()
	}
	if s := lab.Stats("apns"); s.Connections != defaultConnections {
		t.Errorf("%+v", s)
	}
}

// TestRefusedStreams: what HTTP/2 proves not to have been processed is sent again
// within the attempt, within reason.
func TestRefusedStreams(t *testing.T) {
	lab := newLab(t, sim.Options{})
	p := open(t, lab.config(t))
	d := providertest.Delivery(providertest.Hello(), diaphone.TokenAPNs, lab.Device("ana", "ios"))
	lab.Faults(providertest.Fault{Provider: "apns", Reason: "refuse", Count: maxResends - 1})
	if o := p.Send(providertest.Bounded(t), d); o.Verdict != diaphone.Accepted {
		t.Errorf("refused %d times: %+v", maxResends-1, o)
	}
	lab.Faults(providertest.Fault{Provider: "apns", Reason: "refuse"})
	before := lab.Stats("apns").Requests
	if o := p.Send(providertest.Bounded(t), d); o.Verdict != diaphone.Retry || o.Status != 0 {
		t.Errorf("refused for ever: %+v", o)
	}
	if n := lab.Stats("apns").Requests - before; n != maxResends {
		t.Errorf("sent %d times", n)
	}
}

// TestWaitEndsWithContext: while the only connection is cold and busy, others
// wait for it no longer than they may, and nothing is lost of it.
func TestWaitEndsWithContext(t *testing.T) {
	lab := newLab(t, sim.Options{})
	c := lab.config(t)
	c.Connections = 1
	p := open(t, c)
	token := lab.Device("ana", "ios")
	d := providertest.Delivery(providertest.Hello(), diaphone.TokenAPNs, token)
	lab.Faults(providertest.Fault{Provider: "apns", Reason: "hang", Count: 1})
	first, endFirst := context.WithCancel(context.Background())
	got := make(chan diaphone.Outcome, 1)
	go func() { got <- p.Send(first, d) }()
	lab.Hit()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if o := p.Send(ctx, d); o.Verdict != diaphone.Retry || !errors.Is(o.Err, context.DeadlineExceeded) {
				t.Errorf("%+v", o)
			}
		})
	}
	wg.Wait()
	if n := lab.Stats("apns").Requests; n != 1 {
		t.Errorf("%d requests on a cold connection", n)
	}
	endFirst()
	if o := <-got; o.Verdict != diaphone.Retry || !errors.Is(o.Err, context.Canceled) {
		t.Errorf("%+v", o)
	}
	if o := p.Send(providertest.Bounded(t), d); o.Verdict != diaphone.Accepted {
		t.Errorf("afterwards: %+v", o)
	}
}

// TestAGrantThatComesTooLateIsReturned: a waiter gives up at the moment when a
// stream is handed to it.
func TestAGrantThatComesTooLateIsReturned(t *testing.T) {
	lab := newLab(t, sim.Options{})
	p := open(t, lab.config(t)).pool
	g := p.acquire(providertest.Bounded(t))
	if g.err != nil {
		t.Fatal(g.err)
	}
	w := &waiter{got: make(chan grant, 1)}
	w.got <- g
	p.giveUp(w)
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := g.conn.cc.InFlight(); n != 0 || g.conn.probing {
		t.Errorf("%d streams are lost, probing %t", n, g.conn.probing)
	}
}

// TestDrainingConnectionIsReplaced: after a GOAWAY the requests under way may
// take long, and the connection does not say that it takes no more.
func TestDrainingConnectionIsReplaced(t *testing.T) {
	lab := newLab(t, sim.Options{})
	c := lab.config(t)
	c.Connections = 1
	p := open(t, c)
	d := providertest.Delivery(providertest.Hello(), diaphone.TokenAPNs, lab.Device("ana", "ios"))
	accepted := func(what string) {
		t.Helper()
		if o := p.Send(providertest.Bounded(t), d); o.Verdict != diaphone.Accepted {
			t.Fatalf("%s: %+v", what, o)
		}
	}
	accepted("warm")
	lab.Faults(providertest.Fault{Provider: "apns", Reason: "hang", Count: 1})
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan diaphone.Outcome, 1)
	go func() { got <- p.Send(ctx, d) }()
	lab.Hit()
	lab.Faults(providertest.Fault{Provider: "apns", Reason: "goaway", Count: 1})
	accepted("answered, then GOAWAY")
	accepted("on another connection")
	if n := lab.Stats("apns").Connections; n != 2 {
		t.Errorf("%d connections", n)
	}
	cancel()
	if o := <-got; !errors.Is(o.Err, context.Canceled) {
		t.Errorf("the one under way did not outlive the GOAWAY: %+v", o)
	}
}

// TestDiallingIsPaced: a server that hangs up is not stormed, and nobody waits
// for it in vain.
func TestDiallingIsPaced(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			_ = c.Close()
		}
	}()
	defer func() { _ = l.Close(); <-done }()
	p := open(t, Config{
		KeyPEM: diaphone.Secret(newKey(t)), KeyID: "ABCDE12345", TeamID: "TEAM123456", Topic: "com.example.chat",
		Environment: diaphone.Production, Host: l.Addr().String(),
	})
	ctx := providertest.Bounded(t)
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			o := p.Send(ctx, providertest.Delivery(providertest.Hello(), diaphone.TokenAPNs, "00ff"))
			if o.Verdict != diaphone.Retry || o.Status != 0 || o.RetryAfter > maxPause {
				t.Errorf("%+v", o)
			}
		})
	}
	wg.Wait()
	if n := calls.Load(); ctx.Err() != nil || n > 10 {
		t.Errorf("%d connections for 500 pushes, %v", n, ctx.Err())
	}
}

// TestRetiringIsPaced: an answer that ends every connection is not answered with
// a connection for every push.
func TestRetiringIsPaced(t *testing.T) {
	lab := newLab(t, sim.Options{})
	p := open(t, lab.config(t))
	token := lab.Device("ana", "ios")
	lab.Faults(providertest.Fault{Provider: "apns", Status: 503, Reason: "Shutdown"})
	ctx := providertest.Bounded(t)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if o := p.Send(ctx, providertest.Delivery(providertest.Hello(), diaphone.TokenAPNs, token)); o.Verdict != diaphone.Retry {
				t.Errorf("%+v", o)
			}
		})
	}
	wg.Wait()
	if n := lab.Stats("apns").Connections; ctx.Err() != nil || n > 10 {
		t.Errorf("%d connections for 200 pushes, %v", n, ctx.Err())
	}
	lab.Faults()
	for { // as the outbox would: again, when the pause is over
		o := p.Send(ctx, providertest.Delivery(providertest.Hello(), diaphone.TokenAPNs, token))
		if o.Verdict == diaphone.Accepted {
			break
		}
		if ctx.Err() != nil || o.Reason != "unreachable" {
			t.Fatalf("%+v", o)
		}
		select {
		case <-time.After(o.RetryAfter):
		case <-ctx.Done():
		}
	}
}

// TestUnprocessedErrorsOfGo fails when Go renames the errors that we know by
// their texts.
func TestUnprocessedErrorsOfGo(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	c := Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	dial := dialer(c.transport(nil), server.Listener.Addr().String())
	request := func() *http.Request {
		return httptest.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, http.NoBody)
	}
	trip := func(cc *http.ClientConn) error {
		res, err := cc.RoundTrip(request())
		if err == nil {
			_ = res.Body.Close()
		}
		return err
	}

	unused, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = unused.Close()
	if err := trip(unused); err == nil || err.Error() != textNotEstablished || !unprocessed(err) {
		t.Errorf("closed before its first request: %v", err)
	}
	used, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := trip(used); err != nil {
		t.Fatal(err)
	}
	_ = used.Close()
	if err := trip(used); err == nil || err.Error() != textUnusable || !unprocessed(err) {
		t.Errorf("closed after its first request: %v", err)
	}
	if unprocessed(io.ErrUnexpectedEOF) || unprocessed(http2.StreamError{Code: http2.ErrCodeCancel}) {
		t.Error("a request that may have been processed is sent again")
	}
	if !unprocessed(http2.StreamError{Code: http2.ErrCodeRefusedStream}) {
		t.Error("a refused stream is not sent again")
	}
}

// TestGoAwayErrorOfGo has a server leave without having taken the request.
func TestGoAwayErrorOfGo(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{NextProtos: []string{http2.NextProtoTLS}}
	server.StartTLS() // for its certificate
	certificate, roots := server.TLS.Certificates[0], server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	server.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate}, NextProtos: []string{http2.NextProtoTLS}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test's listener
	served := make(chan error, 1)
	go func() { served <- leaveAtOnce(l) }()
	cc, err := dialer((&Config{RootCAs: roots}).transport(nil), l.Addr().String())(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close() //nolint:errcheck // of no more use
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+l.Addr().String(), http.NoBody)
	_, err = cc.RoundTrip(req) //nolint:bodyclose // there is none
	if err == nil || err.Error() != textGoAway || !unprocessed(err) {
		t.Errorf("the error of a graceful GOAWAY is now %v", err)
	}
	_ = cc.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// leaveAtOnce serves one connection: it answers the first request with a GOAWAY
// that says that no stream was processed.
func leaveAtOnce(l net.Listener) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // a test's connection
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		return err
	}
	f := http2.NewFramer(c, c)
	if err := f.WriteSettings(); err != nil {
		return err
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return nil // the client has gone
		}
		if _, ok := frame.(*http2.HeadersFrame); ok {
			if err := f.WriteGoAway(0, http2.ErrCodeNo, nil); err != nil {
				return err
			}
		}
	}
}
