package conformance

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// The raw side: frames and requests that no official client can be made to send,
// written to the letter of the protocol.

// sign is the protocol's signature. The vectors prove it before anything else uses it.
func sign(secret, text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// request is one of the HTTP API, of which a check may spoil any part.
type request struct {
	app          string // of accounts; main when empty
	method       string // POST when empty
	path         string // below /apps/ID
	body         string
	query        map[string]string // beside the auth parameters, or instead of them
	at           time.Time
	signPath     string           // when it is not the path
	wire         func(url.Values) // changes what goes over the wire and not what is signed
	encodeCommas func(string) string
}

// text is what the request signs.
func (r *request) text(path string, query map[string]string) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		lines = append(lines, strings.ToLower(name)+"="+query[name])
	}
	slices.Sort(lines)
	return r.method + "\n" + path + "\n" + strings.Join(lines, "&")
}

func (g *gateway) do(t *testing.T, r request) (status int, body string) {
	t.Helper()
	if r.app == "" {
		r.app = "main"
	}
	if r.method == "" {
		r.method = http.MethodPost
	}
	if r.at.IsZero() {
		r.at = time.Now()
	}
	a := accounts[r.app]
	path := "/apps/" + a.ID + r.path
	query := map[string]string{"auth_key": a.Key, "auth_version": "1.0", "auth_timestamp": strconv.FormatInt(r.at.Unix(), 10)}
	if r.body != "" {
		sum := md5.Sum([]byte(r.body))
		query["body_md5"] = hex.EncodeToString(sum[:])
	}
	maps.Copy(query, r.query)
	values := url.Values{}
	for name, value := range query {
		values.Set(name, value)
	}
	signed := path
	if r.signPath != "" {
		signed = r.signPath
	}
	values.Set("auth_signature", sign(a.Secret, r.text(signed, query)))
	if r.wire != nil {
		r.wire(values)
	}
	raw := values.Encode()
	if r.encodeCommas != nil {
		raw = r.encodeCommas(raw)
	}
	return g.send(r.method, path+"?"+raw, r.body)
}

// send sends a request as it stands; status 0: it could not be sent.
func (g *gateway) send(method, path, body string) (status int, answer string) {
	req, err := http.NewRequest(method, "http://"+g.address()+path, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	resp, err := g.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// expect sends a request and compares the answer: the whole body of a success, a
// part of the text of a refusal.
func (g *gateway) expect(t *testing.T, r request, status int, body string) {
	t.Helper()
	got, text := g.do(t, r)
	if got != status || status == http.StatusOK && text != body || !strings.Contains(text, body) {
		t.Errorf("%s %s %v %.80s: %d %s; want %d %s", r.method, r.path, r.query, r.body, got, text, status, body)
	}
}

func (g *gateway) publish(t *testing.T, body string) {
	t.Helper()
	g.expect(t, request{path: "/events", body: body}, http.StatusOK, "{}")
}

// peer is a raw WebSocket client.
type peer struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	id   string // its socket id
	app  string
}

// frame is an event as it came.
type frame struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
	UserID  string          `json:"user_id"`
}

func (f *frame) String() string {
	return fmt.Sprintf("%s on %q with %s", f.Event, f.Channel, f.Data)
}

// text is the data when it is a string, as it has to be nearly everywhere.
func (f *frame) text() string {
	var s string
	if json.Unmarshal(f.Data, &s) != nil {
		return "not a string: " + string(f.Data)
	}
	return s
}

func (g *gateway) dial(t *testing.T, path string, d ws.Dialer) (*peer, ws.Handshake) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, early, shaken, err := d.Dial(ctx, "ws://"+g.address()+path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if early == nil {
		early = bufio.NewReader(conn)
	}
	return &peer{t: t, conn: conn, r: early, app: "main"}, shaken
}

var socketID = regexp.MustCompile(`\A\d+\.\d+\z`)

// join connects and takes the greeting.
func (g *gateway) join(t *testing.T, app, query string) *peer {
	t.Helper()
	p, _ := g.dial(t, "/app/"+accounts[app].Key+"?"+query, ws.Dialer{})
	p.app = app
	p.greeted()
	return p
}

func (p *peer) greeted() {
	p.t.Helper()
	f := p.hear()
	var data struct {
		SocketID string `json:"socket_id"`
		Timeout  int    `json:"activity_timeout"`
	}
	if f.Event != "pusher:connection_established" || json.Unmarshal([]byte(f.text()), &data) != nil ||
		!socketID.MatchString(data.SocketID) || data.Timeout <= 0 {
		p.t.Fatalf("greeted by %s", f)
	}
	p.id = data.SocketID
}

func (p *peer) write(f ws.Frame) {
	p.t.Helper()
	_ = p.conn.SetDeadline(time.Now().Add(patience))
	if err := ws.WriteFrame(p.conn, ws.MaskFrame(f)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) say(text string) { p.t.Helper(); p.write(ws.NewTextFrame([]byte(text))) }

// read takes the next frame of any kind but the gateway's own pings.
func (p *peer) read() ws.Frame {
	p.t.Helper()
	for {
		_ = p.conn.SetDeadline(time.Now().Add(patience))
		header, err := ws.ReadHeader(p.r)
		if err != nil {
			p.t.Fatalf("read: %v", err)
		}
		f := ws.Frame{Header: header, Payload: make([]byte, header.Length)}
		if _, err := io.ReadFull(p.r, f.Payload); err != nil {
			p.t.Fatalf("read: %v", err)
		}
		if header.OpCode != ws.OpPing {
			return f
		}
	}
}

func (p *peer) hear() *frame {
	p.t.Helper()
	f := p.read()
	var e frame
	if f.Header.OpCode != ws.OpText || json.Unmarshal(f.Payload, &e) != nil {
		p.t.Fatalf("heard %v %q", f.Header.OpCode, f.Payload)
	}
	return &e
}

func (p *peer) expect(event, channel, data string) {
	p.t.Helper()
	if f := p.hear(); f.Event != event || f.Channel != channel || f.text() != data {
		p.t.Fatalf("heard %s; want %s on %q with %s", f, event, channel, data)
	}
}

// expectError wants a pusher:error, whose data is an object, with a code ("null" for
// none) and a part of its text.
func (p *peer) expectError(code, part string) {
	p.t.Helper()
	f := p.hear()
	var data struct {
		Code    json.RawMessage `json:"code"`
		Message string          `json:"message"`
	}
	if f.Event != "pusher:error" || json.Unmarshal(f.Data, &data) != nil || string(data.Code) != code || !strings.Contains(data.Message, part) {
		p.t.Fatalf("heard %s; want error %s with %q", f, code, part)
	}
}

func (p *peer) expectClose(code int) {
	p.t.Helper()
	f := p.read()
	if f.Header.OpCode != ws.OpClose {
		p.t.Fatalf("heard %v %q; want close %d", f.Header.OpCode, f.Payload, code)
	}
	if got, reason := ws.ParseCloseFrameData(f.Payload); int(got) != code {
		p.t.Fatalf("closed with %d %q; want %d", got, reason, code)
	}
}

// alive proves that the connection is still there, and that nothing came before.
func (p *peer) alive() {
	p.t.Helper()
	p.say(`{"event":"pusher:ping","data":{}}`)
	p.expect("pusher:pong", "", "{}")
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// auth signs a subscription as the app's backend does.
func (p *peer) auth(channel, data string) string {
	text := p.id + ":" + channel
	if data != "" {
		text += ":" + data
	}
	a := accounts[p.app]
	return a.Key + ":" + sign(a.Secret, text)
}

// ask subscribes with a signature, without waiting for the answer.
func (p *peer) ask(channel, data string) {
	p.t.Helper()
	args := `{"channel":` + quote(channel) + `,"auth":` + quote(p.auth(channel, data))
	if data != "" {
		args += `,"channel_data":` + quote(data)
	}
	p.say(`{"event":"pusher:subscribe","data":` + args + `}}`)
}

// enter subscribes and takes the success.
func (p *peer) enter(channel, data string) *frame {
	p.t.Helper()
	p.ask(channel, data)
	f := p.hear()
	if f.Event != "pusher_internal:subscription_succeeded" || f.Channel != channel {
		p.t.Fatalf("heard %s; want success of %s", f, channel)
	}
	return f
}
