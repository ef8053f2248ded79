package client_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/client"
	"github.com/diaphone-dev/diaphone/storage"
)

func TestWebhooks(t *testing.T) {
	s, c := start(t)
	ctx := within(t, time.Minute)
	id := diaphone.WebhookID{App: "1", Name: "backend"}
	var a storage.Append
	for i := range 1005 {
		a.Notices = append(a.Notices, storage.AddressedNotice{Webhooks: []diaphone.WebhookID{id},
			Notice: diaphone.Notice{ID: fmt.Sprint(i + 1), At: time.Now(), Kind: diaphone.ChannelOccupied, Channel: "news"}})
	}
	if err := errors.Join(s.Store.Append(ctx, a), s.Store.Bury(ctx, id, 1004, "410 Gone", time.Now())); err != nil {
		t.Fatal(err)
	}
	hooks, err := c.Webhooks(ctx)
	if err != nil || len(hooks) != 1 || hooks[0].Pending != 1 || hooks[0].DeadLetters != 1004 {
		t.Fatalf("%+v %v", hooks, err)
	}
	n := 0
	for l, err := range c.AllDeadLetters(ctx, "backend") {
		n++
		if err != nil || l.Sequence != uint64(n) || l.Reason != "410 Gone" {
			t.Fatalf("%+v %v", l, err)
		}
	}
	if n != 1004 {
		t.Errorf("%d dead letters", n)
	}
	if h, err := c.ResendDeadLetters(ctx, "backend", 3, 7); err != nil || h.Count != 2 || h.More {
		t.Errorf("%+v %v", h, err)
	}
	if h, err := c.DiscardDeadLetters(ctx, "backend", 1, 3); err != nil || h.Count != 1 || h.More {
		t.Errorf("%+v %v", h, err)
	}
	var none []uint64 // a selection that came out empty touches nothing
	if h, err := c.DiscardDeadLetters(ctx, "backend", none...); err == nil || h.Count != 0 {
		t.Errorf("%+v %v", h, err)
	}
	if h, err := c.ResendDeadLetters(ctx, "backend", none...); err == nil || h.Count != 0 {
		t.Errorf("%+v %v", h, err)
	}
	if h, err := c.DiscardAllDeadLetters(ctx, "backend"); err != nil || h.Count != 1000 || !h.More {
		t.Errorf("%+v %v", h, err)
	}
	if h, err := c.ResendAllDeadLetters(ctx, "backend"); err != nil || h.Count != 1 || h.More {
		t.Errorf("%+v %v", h, err)
	}
	var p *client.Problem
	if _, err := c.DeadLetters(ctx, "a/b c", client.PageOptions{}); !errors.As(err, &p) || p.Status != 404 {
		t.Errorf("%v", err)
	}
}
