package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/channels"
	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/hub"
	"github.com/diaphone-dev/diaphone/sockets"
)

// pusherDoor runs the Pusher door in process and gives its port. Only events pass
// it, so the gateway needs no storage. POST /test/close/USER/CODE closes the
// connections that are signed in as the user, as a restart would.
func pusherDoor(t *testing.T) string {
	t.Helper()
	apps, err := gateway.NewApps([]diaphone.App{{
		ID:   "1",
		Keys: []diaphone.Key{{Key: "app-key", Secret: "app-secret"}},
		// Everything on channels that the SDKs use too: what is new must not disturb them.
		Channels: diaphone.ChannelSettings{ClientEvents: true, SubscriptionCount: true, History: []diaphone.HistoryRule{{}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	// The silence before a ping is short, so that clients are pinged while a script runs.
	h := hub.New(hub.Config{Sockets: sockets.Config{PingAfter: 500 * time.Millisecond, PongWait: 2 * time.Second}})
	e := echo.New()
	channels.New(channels.Config{
		Gateway: gateway.New(gateway.Config{Apps: apps, Fanout: h.Publish, Live: gateway.Live{Disconnect: h.Terminate}}),
		Hub:     h,
	}).Mount(e)
	e.POST("/test/close/:user/:code", func(c echo.Context) error {
		code, err := strconv.Atoi(c.Param("code"))
		if err != nil {
			return err
		}
		h.Terminate("1", diaphone.UserID(c.Param("user")), code, "test")
		return c.NoContent(http.StatusOK)
	})
	web := httptest.NewServer(e)
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { _ = h.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		run.Wait()
		web.Close()
	})
	_, port, err := net.SplitHostPort(web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// pusherSaw is what pusher_live.mjs prints.
type pusherSaw struct {
	SocketID      string
	Transport     string
	TriggerStatus int
	TriggerBody   string
	PublicEvent   json.RawMessage
	PrivateEvent  string
	ExcludedHeard []string
	Info          json.RawMessage
	PresenceAlone json.RawMessage
	PresenceBoth  json.RawMessage
	MemberAdded   json.RawMessage
	MemberRemoved json.RawMessage
	PresenceHeard []string
	Users         json.RawMessage
	Count         json.RawMessage
	Channels      json.RawMessage
	ClientSent    bool
	ClientEvent   json.RawMessage
	ClientFrom    json.RawMessage
	ClientCounted json.RawMessage
	ClientTooFast int
	ClientState   string
	ClientEchoed  []string
	CacheMiss     json.RawMessage
	CacheHit      json.RawMessage
	CacheInfo     struct {
		Data string
		TTL  int
	}
	Count2             int
	Flood              []int
	ResumedFromNothing bool
	Resumed            bool
	ResumedHeard       []string
	Watchlist          json.RawMessage
	SignedIn           string
	ToUser             json.RawMessage
	ReconnectStates    []string
	NewSocket          bool
	AfterReconnect     json.RawMessage
	TerminateStatus    int
	TerminatedState    string
	WrongSignature     []any
	Late, Early        []any
	Right              []any
	WrongSecret        any
	UnknownKey         int
	Forged             struct{ Type, Error string }
}

func TestPusherLive(t *testing.T) {
	if _, err := os.Stat("../node_modules"); err != nil {
		t.Fatal("the npm packages are not installed: run make deps")
	}
	for _, transport := range []string{"ws", "xhr_streaming", "xhr_polling"} {
		t.Run(transport, func(t *testing.T) { pusherLive(t, transport) })
	}
}

func pusherLive(t *testing.T, transport string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scriptTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "pusher_live.mjs")
	cmd.Env = append(os.Environ(), "PORT="+pusherDoor(t), "TRANSPORT="+transport)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("node pusher_live.mjs: %v\n%s", err, stderr.String())
	}
	var saw pusherSaw
	if err := json.Unmarshal(stdout, &saw); err != nil {
		t.Fatalf("printed %q: %v", stdout, err)
	}
	if saw.Transport != transport {
		t.Errorf("connected over %s", saw.Transport)
	}
	saw.check(t)
}

func (saw *pusherSaw) check(t *testing.T) {
	t.Helper()
	if !regexp.MustCompile(`^\d+\.\d+$`).MatchString(saw.SocketID) {
		t.Errorf("socket id %q", saw.SocketID)
	}
	if saw.TriggerStatus != 200 || saw.TriggerBody != "{}" {
		t.Errorf("trigger: %d %s", saw.TriggerStatus, saw.TriggerBody)
	}
	for what, c := range map[string]struct {
		got  json.RawMessage
		want string
	}{
		"event on a public channel": {saw.PublicEvent, `{"hi":"<ü>","n":1}`},
		"info":                      {saw.Info, `{"channels":{"news":{"subscription_count":2}}}`},
		"presence, alone":           {saw.PresenceAlone, `{"count":1,"me":{"id":"ana","info":{"name":"ANA"}},"members":{"ana":{"name":"ANA"}}}`},
		"presence, both":            {saw.PresenceBoth, `{"count":2,"me":"bob","ids":["ana","bob"]}`},
		"member_added":              {saw.MemberAdded, `{"id":"bob","info":{"name":"BOB"}}`},
		"member_removed":            {saw.MemberRemoved, `{"id":"bob","info":{"name":"BOB"}}`},
		"client event":              {saw.ClientEvent, `{"on":true,"ü":[1]}`},
		"client events in a row":    {saw.ClientCounted, `[0,1,2,3,4,5,6,7]`},
		"client event's sender":     {saw.ClientFrom, `["text",{"user_id":"bob"}]`},
		"empty cache":               {saw.CacheMiss, `[["pusher:subscription_succeeded",{}],["pusher:cache_miss",{}],["pusher:subscription_count",{"subscription_count":1}]]`},
		"cache":                     {saw.CacheHit, `[["pusher:subscription_succeeded",{}],["headline",{"n":1}],["pusher:subscription_count",{"subscription_count":2}]]`},
		"watchlist":                 {saw.Watchlist, `[["online","zoe"],["offline","max"],["offline","zoe"],["online","max"]]`},
		"users":                     {saw.Users, `{"users":[{"id":"ana"},{"id":"bob"}]}`},
		"count":                     {saw.Count, `{"occupied":true,"subscription_count":3,"user_count":2}`},
		"channels":                  {saw.Channels, `{"channels":{"presence-room":{"user_count":2}}}`},
		"sendToUser":                {saw.ToUser, `{"x":1}`},
		"event after the reconnect": {saw.AfterReconnect, `{"again":true}`},
	} {
		if string(c.got) != c.want {
			t.Errorf("%s: %s, want %s", what, c.got, c.want)
		}
	}
	if saw.PrivateEvent != "plain text" {
		t.Errorf("private event %q", saw.PrivateEvent)
	}
	if !slices.Equal(saw.ExcludedHeard, []string{"last"}) {
		t.Errorf("the excluded socket heard %v", saw.ExcludedHeard)
	}
	if slices.Contains(saw.PresenceHeard, "pusher:member_added") {
		t.Errorf("a second tab was announced: %v", saw.PresenceHeard)
	}
	if saw.SignedIn != "ana" {
		t.Errorf("signed in as %q", saw.SignedIn)
	}
	if !saw.ClientSent || saw.ClientTooFast != 4301 || saw.ClientState != "connected" || len(saw.ClientEchoed) > 0 {
		t.Errorf("client events: sent %v, too fast %d, then %q, echoed %v", saw.ClientSent, saw.ClientTooFast, saw.ClientState, saw.ClientEchoed)
	}
	if saw.CacheInfo.Data != `{"n":1}` || saw.CacheInfo.TTL < 1700 || saw.CacheInfo.TTL > 1800 {
		t.Errorf("info=cache: %+v", saw.CacheInfo)
	}
	if saw.ResumedFromNothing || !saw.Resumed || !slices.Equal(saw.ResumedHeard, []string{"a", "b", "c"}) {
		t.Errorf("resumed %v, from nothing %v, and heard %v", saw.Resumed, saw.ResumedFromNothing, saw.ResumedHeard)
	}
	if len(saw.Flood) != 120 || !slices.IsSorted(saw.Flood) || saw.Flood[0] != 0 || saw.Flood[119] != 119 {
		t.Errorf("of a flood it heard %v", saw.Flood)
	}
	if saw.Count2 != 2 {
		t.Errorf("subscriptionCount %d", saw.Count2)
	}
	saw.checkConnections(t)
}

func (saw *pusherSaw) checkConnections(t *testing.T) {
	t.Helper()
	if !slices.Equal(saw.ReconnectStates, []string{"connecting", "connected"}) || !saw.NewSocket {
		t.Errorf("after a close with 4200: %v, new socket %v", saw.ReconnectStates, saw.NewSocket)
	}
	if saw.TerminateStatus != 200 || saw.TerminatedState != "disconnected" {
		t.Errorf("terminate: %d, then %q", saw.TerminateStatus, saw.TerminatedState)
	}
	for what, c := range map[string]struct {
		got    []any
		status float64
	}{
		"wrong signature": {saw.WrongSignature, 401},
		"601 s late":      {saw.Late, 401},
		"602 s early":     {saw.Early, 401},
		"right":           {saw.Right, 200},
	} {
		if len(c.got) != 2 || c.got[0] != c.status {
			t.Errorf("%s: %v", what, c.got)
		}
	}
	if saw.WrongSecret != float64(401) {
		t.Errorf("a server with a wrong secret: %v", saw.WrongSecret)
	}
	if saw.UnknownKey != 4001 {
		t.Errorf("unknown key: %d", saw.UnknownKey)
	}
	if saw.Forged.Type != "AuthError" {
		t.Errorf("a forged signature: %+v", saw.Forged)
	}
}
