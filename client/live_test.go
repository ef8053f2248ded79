package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/client"
)

func TestLiveSide(t *testing.T) {
	s, c := start(t)
	ctx := within(t, time.Minute)
	const room, news, user = "presence-a;b=c@d", "news", "ana / & ?"
	v := s.Visit()
	v.SignIn(user)
	v.Subscribe(news, "")
	v.Subscribe(room, `{"user_id":"`+user+`","user_info":{"k":[1]}}`)
	s.Visit().Subscribe(room, `{"user_id":"ben"}`)

	var names []string
	for found, err := range c.AllChannels(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprint(found.Name, found.Subscribers))
	}
	if got := strings.Join(names, " "); got != "news1 "+room+"2" {
		t.Error(got)
	}
	page, err := c.Channels(ctx, "presence-", client.PageOptions{Limit: 1})
	if err != nil || len(page.Data) != 1 || page.Data[0].Kind != diaphone.Presence || *page.Data[0].Members != 2 || page.NextCursor != "" {
		t.Errorf("%+v %v", page, err)
	}
	if found, err := c.Channel(ctx, room); err != nil || !found.Occupied || *found.Members != 2 || found.History != nil {
		t.Errorf("%+v %v", found, err)
	}
	first, err := c.Members(ctx, room, client.PageOptions{Limit: 1})
	if err != nil || len(first.Data) != 1 || first.Data[0].UserID != user || string(first.Data[0].Info) != `{"k":[1]}` || first.NextCursor == "" {
		t.Errorf("%+v %v", first, err)
	}
	var members []string
	for m, err := range c.AllMembers(ctx, room) {
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, string(m.UserID))
	}
	if got := strings.Join(members, ", "); got != user+", ben" {
		t.Error(got)
	}
	var p *client.Problem
	if _, err := c.Members(ctx, news, client.PageOptions{}); !errors.As(err, &p) || p.Code != "not_found" || p.Hint == "" {
		t.Errorf("%v", err)
	}
	if u, err := c.User(ctx, user); err != nil || u != (wire.User{ID: user, Live: true, Connections: 1, PresenceChannels: 1}) {
		t.Errorf("%+v %v", u, err)
	}
	if n, err := c.Disconnect(ctx, user); err != nil || n != 1 {
		t.Errorf("%d %v", n, err)
	}
	if code := v.CloseCode(); code != 4009 {
		t.Errorf("closed with %d", code)
	}
	if e, err := c.EraseUser(ctx, "ana / ñ"); err != nil || e.Devices != 0 {
		t.Errorf("%+v %v", e, err)
	}
	if n, err := c.Disconnect(ctx, "nobody"); err != nil || n != 0 {
		t.Errorf("%d %v", n, err)
	}
}

func TestPastEvents(t *testing.T) {
	_, c := start(t)
	ctx := within(t, time.Minute)
	begin, err := c.Channel(ctx, "news")
	if err != nil || begin.History == nil {
		t.Fatalf("%+v %v", begin, err)
	}
	for n := range 3 {
		m := wire.NewMessage{To: wire.Audience{Channels: []diaphone.ChannelName{"news"}}, Event: &wire.Event{Name: "e", Data: json.RawMessage(fmt.Sprint(n))}}
		if _, err := c.Publish(ctx, m, ""); err != nil {
			t.Fatal(err)
		}
	}
	two, err := c.PastEvents(ctx, "news", begin.History.Position, 2)
	if err != nil || len(two.Data) != 2 || !two.Complete || two.Data[1].Data != "1" {
		t.Fatalf("%+v %v", two, err)
	}
	if rest, err := c.PastEvents(ctx, "news", two.Position, 0); err != nil || len(rest.Data) != 1 || rest.Data[0].Data != "2" || !rest.Complete {
		t.Errorf("%+v %v", rest, err)
	}
	if all, err := c.PastEvents(ctx, "news", "", 0); err != nil || len(all.Data) != 3 || all.Complete {
		t.Errorf("%+v %v", all, err)
	}
	var p *client.Problem
	if _, err := c.PastEvents(ctx, "sports", "", 0); !errors.As(err, &p) || p.Status != 404 {
		t.Errorf("%v", err)
	}
}

func TestPublishBatch(t *testing.T) {
	s, c := start(t)
	ctx := within(t, time.Minute)
	message := func(channel, key string) wire.BatchMessage {
		return wire.BatchMessage{IdempotencyKey: key, NewMessage: wire.NewMessage{
			To: wire.Audience{Channels: []diaphone.ChannelName{diaphone.ChannelName(channel)}}, Event: &wire.Event{Name: "e"}}}
	}
	batch := []wire.BatchMessage{message("a", ""), message("b c", ""), message("d", "own")}
	results, err := c.PublishBatch(ctx, batch, "nightly")
	var p *client.Problem
	if err != nil || len(results) != 3 || results[0].Err != nil || results[2].Err != nil || !errors.As(results[1].Err, &p) || p.Errors[0].Pointer != "/messages/1/to/channels/0" {
		t.Fatalf("%+v %v", results, err)
	}
	batch[1] = message("c", "")
	again, err := c.PublishBatch(ctx, batch, "nightly")
	if err != nil || again[0].ID != results[0].ID || !again[0].Replayed || again[1].Replayed || again[1].Err != nil || again[2].ID != results[2].ID {
		t.Errorf("%+v %v", again, err)
	}
	if n := len(s.Fanned()); n != 3 {
		t.Errorf("%d events went out", n)
	}
	if results, err := c.PublishBatch(ctx, nil, ""); !errors.As(err, &p) || p.Status != 422 || results != nil {
		t.Errorf("%+v %v", results, err)
	}
}
