package channels

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/gobwas/ws"
	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/hub"
	"github.com/diaphone-dev/diaphone/sockets"
)

func TestMain(m *testing.M) {
	// net/http waits half a second behind an answer to a body that it has not read.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const patience = 10 * time.Second

// house is a whole door: gateway, hub and HTTP server. Only events pass it, so
// the gateway needs no storage.
type house struct {
	t    testing.TB
	hub  *hub.Hub
	url  string // http://host:port with the path prefix
	http *http.Client
}

var testApps = []diaphone.App{
	{ID: "1", Keys: []diaphone.Key{{Key: "app-key", Secret: "app-secret"}, {Key: "next-key", Secret: "next-secret"}}},
	{ID: "2", Keys: []diaphone.Key{{Key: "key2", Secret: "secret2"}}, Limits: diaphone.Limits{Connections: 2}},
}

func open(t testing.TB) *house { t.Helper(); return openAt(t, "") }

// openFor opens a house for app 1 with settings and limits of its own.
func openFor(t testing.TB, settings diaphone.ChannelSettings, limits diaphone.Limits) *house {
	t.Helper()
	return openAt(t, "", diaphone.App{ID: "1", Keys: testApps[0].Keys, Channels: settings, Limits: limits})
}

func openAt(t testing.TB, prefix string, tenants ...diaphone.App) *house {
	t.Helper()
	if len(tenants) == 0 {
		tenants = testApps
	}
	apps, err := gateway.NewApps(tenants)
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New(hub.Config{Sockets: sockets.Config{ReadLimit: ReadLimit(apps.All())}})
	door := New(Config{
		Gateway: gateway.New(gateway.Config{Apps: apps, Fanout: h.Publish, Live: gateway.Live{Disconnect: h.Terminate}}),
		Hub:     h,
	})
	e := echo.New()
	door.Mount(e)
	web := httptest.NewServer(api.UnderPrefix(prefix, e))
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { _ = h.Run(ctx) })
	client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	t.Cleanup(func() {
		cancel()
		run.Wait()
		client.CloseIdleConnections()
		web.Close()
	})
	return &house{t: t, hub: h, url: web.URL + strings.TrimSuffix(prefix, "/"), http: client}
}

// request is one signed request, of which a test may spoil any part.
type request struct {
	method, path, body string
	key, secret        string
	query              map[string]string
	at                 time.Time
	signPath           string // when it is not path
	spoil              func(url.Values)
}

func (h *house) do(r request) (status int, body string) {
	h.t.Helper()
	if r.method == "" {
		r.method = http.MethodPost
	}
	if r.key == "" {
		r.key, r.secret = "app-key", "app-secret"
	}
	if r.at.IsZero() {
		r.at = time.Now()
	}
	if r.signPath == "" {
		r.signPath = r.path
	}
	query := map[string]string{"auth_key": r.key, "auth_timestamp": strconv.FormatInt(r.at.Unix(), 10), "auth_version": "1.0"}
	if r.body != "" {
		sum := md5.Sum([]byte(r.body))
		query["body_md5"] = hex.EncodeToString(sum[:])
	}
	values := url.Values{}
	for k, v := range r.query {
		query[strings.ToLower(k)] = v
		values.Set(k, v)
	}
	for k, v := range query {
		if _, upper := r.query[strings.ToUpper(k)]; !upper {
			values.Set(k, v)
		}
	}
	values.Set("auth_signature", sign(diaphone.Secret(r.secret), requestText(r.method, r.signPath, sorted(query))))
	if r.spoil != nil {
		r.spoil(values)
	}
	return h.raw(r.method, r.path+"?"+values.Encode(), r.body)
}

func (h *house) raw(method, pathAndQuery, body string) (int, string) {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+pathAndQuery, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	res, err := h.http.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func (h *house) publish(body string) {
	h.t.Helper()
	if status, text := h.do(request{path: "/apps/1/events", body: body}); status != http.StatusOK || text != "{}" {
		h.t.Fatalf("publish %s: %d %s", body, status, text)
	}
}

// visitor is a raw WebSocket client.
type visitor struct {
	t    testing.TB
	conn net.Conn
	r    io.Reader
	id   diaphone.SocketID
}

func (h *house) dial(path string) *visitor { h.t.Helper(); return h.dialWith(path, nil) }

func (h *house) dialWith(path string, header ws.HandshakeHeader) *visitor {
	h.t.Helper()
	d := ws.Dialer{Header: header}
	conn, early, _, err := d.Dial(context.Background(), "ws"+strings.TrimPrefix(h.url, "http")+path)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	v := &visitor{t: h.t, conn: conn, r: conn}
	v.renew()
	if early != nil {
		v.r = early
	}
	return v
}

// renew gives the visitor its patience back.
func (v *visitor) renew() { _ = v.conn.SetDeadline(time.Now().Add(patience)) }

// join connects and takes the greeting.
func (h *house) join() *visitor { h.t.Helper(); return h.joinAs("/app/app-key?protocol=7") }

func (h *house) joinAs(path string) *visitor {
	h.t.Helper()
	v := h.dial(path)
	f := v.hear()
	var data struct {
		SocketID diaphone.SocketID `json:"socket_id"`
		Activity int               `json:"activity_timeout"`
	}
	if err := json.Unmarshal([]byte(f.text()), &data); err != nil || f.Event != "pusher:connection_established" {
		h.t.Fatalf("greeted with %+v", f)
	}
	if data.SocketID.Validate() != nil || data.Activity <= 0 {
		h.t.Fatalf("greeted with %s", f.text())
	}
	v.id = data.SocketID
	return v
}

// frame is one event as it came.
type frame struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
	UserID  string          `json:"user_id"`
	// Ours: docs/history.md.
	Position string `json:"position"`
}

// text is the data, when it is a string.
func (f frame) text() string { s, _ := text(jsontext.Value(f.Data)); return s }

func (v *visitor) say(payload string) {
	v.t.Helper()
	f := ws.MaskFrame(ws.NewTextFrame([]byte(payload)))
	if err := ws.WriteFrame(v.conn, f); err != nil {
		v.t.Fatal(err)
	}
}

func (v *visitor) read() ws.Frame {
	v.t.Helper()
	h, err := ws.ReadHeader(v.r)
	if err != nil {
		v.t.Fatalf("read: %v", err)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(v.r, payload); err != nil {
		v.t.Fatalf("read: %v", err)
	}
	return ws.Frame{Header: h, Payload: payload}
}

func (v *visitor) hear() frame {
	v.t.Helper()
	got := v.read()
	if got.Header.OpCode != ws.OpText {
		v.t.Fatalf("heard %v %q", got.Header.OpCode, got.Payload)
	}
	var f frame
	d := json.NewDecoder(bytes.NewReader(got.Payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		v.t.Fatalf("heard %s: %v", got.Payload, err)
	}
	return f
}

// expect hears one event whose data is a string.
func (v *visitor) expect(event, channel, data string) {
	v.t.Helper()
	f := v.hear()
	if f.Event != event || f.Channel != channel || f.Data[0] != '"' || f.text() != data {
		v.t.Fatalf("heard %s on %q: %s; want %s on %q: %q", f.Event, f.Channel, f.Data, event, channel, data)
	}
}

// expectError hears a pusher:error whose message contains a text.
func (v *visitor) expectError(code any, part string) {
	v.t.Helper()
	f := v.hear()
	var data struct {
		Code    any
		Message string
	}
	if err := json.Unmarshal(f.Data, &data); err != nil || f.Event != "pusher:error" || f.Channel != "" {
		v.t.Fatalf("heard %+v, want an error", f)
	}
	if n, ok := data.Code.(float64); ok {
		data.Code = int(n)
	}
	if data.Code != code || !strings.Contains(data.Message, part) {
		v.t.Fatalf("heard error %v %q, want %v with %q", data.Code, data.Message, code, part)
	}
}

// expectNothing asks for a pong: whatever was sent before would come first.
func (v *visitor) expectNothing() {
	v.t.Helper()
	v.say(`{"event":"pusher:ping","data":{}}`)
	v.expect("pusher:pong", "", "{}")
}

func (v *visitor) expectClose(code int) {
	v.t.Helper()
	f := v.read()
	if f.Header.OpCode != ws.OpClose {
		v.t.Fatalf("heard %v %q, want a close", f.Header.OpCode, f.Payload)
	}
	if got, _ := ws.ParseCloseFrameData(f.Payload); int(got) != code {
		v.t.Fatalf("closed with %d, want %d", got, code)
	}
}

func (v *visitor) subscribe(channel string) {
	v.t.Helper()
	v.ask(channel, "")
	if f := v.hear(); f.Event != "pusher_internal:subscription_succeeded" || f.Channel != channel {
		v.t.Fatalf("subscribe to %s: heard %+v", channel, f)
	}
}

// ask sends a subscription, signed if the channel needs it.
func (v *visitor) ask(channel, channelData string) {
	v.t.Helper()
	data := map[string]string{"channel": channel, "auth": ""}
	if c := diaphone.ChannelName(channel); c.NeedsAuth() {
		data["auth"] = "app-key:" + sign("app-secret", channelText(v.id, c, channelData))
	}
	if channelData != "" {
		data["channel_data"] = channelData
	}
	v.emit("pusher:subscribe", data)
}

func (v *visitor) emit(event string, data any) {
	v.t.Helper()
	b, err := json.Marshal(map[string]any{"event": event, "data": data})
	if err != nil {
		v.t.Fatal(err)
	}
	v.say(string(b))
}

func (v *visitor) signIn(userData string) {
	v.t.Helper()
	v.emit("pusher:signin", map[string]string{"user_data": userData, "auth": "app-key:" + sign("app-secret", userText(v.id, userData))})
}

func loadVectors(t *testing.T) []map[string]string {
	t.Helper()
	b, err := os.ReadFile("testdata/pusher-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []map[string]string }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	return file.Vectors
}

type chName = diaphone.ChannelName

func eventOf(data string) diaphone.Event { return diaphone.Event{Name: "e", Data: data} }

func secretOf(s string) diaphone.Secret { return diaphone.Secret(s) }
