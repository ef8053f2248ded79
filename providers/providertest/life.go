package providertest

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

func testClose(t *testing.T, s Subject) {
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	b := s.against(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	defer close(release)
	got := make(chan diaphone.Outcome, 1)
	go func() { got <- b.p.Send(context.Background(), b.delivery()) }()
	<-arrived
	for range 2 {
		if err := b.p.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	select {
	case o := <-got:
		b.check(o)
		b.isSilence(o)
	case <-bounded(t).Done():
		t.Fatal("an attempt outlives the provider")
	}
	b.isSilence(b.send(bounded(t)))

	unused := s.New(t, b.v)
	if err := unused.Close(); err != nil {
		t.Errorf("Close of an unused provider: %v", err)
	}
}

// testConcurrency is for the race detector, with answers of every kind mixed.
func testConcurrency(t *testing.T, s Subject) {
	var mu sync.Mutex
	turn := 0
	b := s.against(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		turn++
		n := turn
		mu.Unlock()
		switch n % 5 {
		case 0:
			reply(http.StatusServiceUnavailable, "")(w, r)
		case 1:
			s.Gone(w, r)
		case 2:
			reply(http.StatusBadRequest, "{")(w, r)
		case 3:
			panic(http.ErrAbortHandler)
		default:
			s.Accept(w, r)
		}
	})
	message := Hello()
	ctx := bounded(t)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 10 {
				b.check(b.p.Send(ctx, Delivery(message, s.Kind, b.token())))
				if _, err := b.p.Render(message); err != nil {
					t.Errorf("Render: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		t.Fatal("320 attempts did not end in time")
	}
}

func testRender(t *testing.T, s Subject) {
	v := NewVendor(t, s.TLS)
	p := s.open(t, v)
	m := Hello()
	first, err := p.Render(m)
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.Render(m)
	if err != nil || !bytes.Equal(first.Payload, again.Payload) {
		t.Errorf("two renderings differ (%v):\n%s\n%s", err, first.Payload, again.Payload)
	}

	// The limit is met to the byte, also before a message has an id.
	unborn := Message(diaphone.Notification{Body: "x"})
	unborn.ID = ""
	small, err := p.Render(unborn)
	if err != nil {
		t.Fatal(err)
	}
	room := small.Limit - len(small.Payload)
	unborn.Notification.Body = strings.Repeat("x", 1+room)
	full, err := p.Render(unborn)
	if err != nil || len(full.Payload) != full.Limit {
		t.Errorf("a payload of exactly %d bytes: %d bytes, %v", small.Limit, len(full.Payload), err)
	}
	unborn.Notification.Body += "x"
	_, err = p.Render(unborn)
	var refusal *diaphone.Error
	if !errors.As(err, &refusal) || refusal.Code != diaphone.TooLarge || len(refusal.Fields) != 1 ||
		refusal.Fields[0].Pointer != "/notification" || !strings.Contains(refusal.Detail, "bytes") {
		t.Errorf("one byte too many: %v", err)
	}
	if _, err := p.Render(&diaphone.Message{}); err == nil {
		t.Error("a message without a notification was rendered")
	}
	if n := v.Pushes(); n != 0 {
		t.Errorf("rendering made %d requests", n)
	}
}
