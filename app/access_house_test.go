package app

import (
	"bufio"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/storagetest"
)

// The apps of the house. What nobody but app 1 may see begins with "one-".
const accessApps = `apps:
  - id: "1"
    keys: [{key: key-one, secret: secret-one}, {key: key-off, secret: secret-off, enabled: false}]
    tokens: [{token: dp_one}]
    enrolment: true
    channels: {history: [{}]}
    webhooks: [{name: one-backend, url: "http://127.0.0.1:1/"}]
  - id: "2"
    keys: [{key: key-two, secret: secret-two}]
    tokens: [{token: dp_two}]
    enrolment: true
    channels: {history: [{}]}
  - id: "3"
    enabled: false
    keys: [{key: key-three, secret: secret-three}]
    tokens: [{token: dp_three}]
    enrolment: true
`

// Secrets of devices.
var (
	phoneSecret    = diaphone.NewDeviceSecret("1", "phone").Reveal()
	voidSecret     = diaphone.NewDeviceSecret("1", "phone").Reveal()
	tabletSecret   = diaphone.NewDeviceSecret("1", "tablet").Reveal()
	foreignSecret  = diaphone.NewDeviceSecret("2", "tablet").Reveal()
	disabledSecret = diaphone.NewDeviceSecret("3", "tablet").Reveal()
)

// backendsWord is an identity token (RFC 7515) as an app's backend signs it with its
// secret.
func backendsWord(app, secret string) string {
	encode := base64.RawURLEncoding.EncodeToString
	now := time.Now().Unix()
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		encode(fmt.Appendf(nil, `{"aud":%q,"sub":"ben","iat":%d,"exp":%d}`, app, now, now+600))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}

// house is a running gateway.
type house struct {
	t       *testing.T
	app     *App
	message diaphone.MessageID // of app 1
	http    *http.Client
	local   *http.Client // by the operators' socket
	session int
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir, err := os.MkdirTemp("", "access-") // short: the path of a socket has a limit
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	apps := filepath.Join(dir, "apps.yaml")
	if err := os.WriteFile(apps, []byte(accessApps), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{
		Apps: apps, DataDir: dir, Listen: "127.0.0.1:0", StopWithin: 10 * time.Second, Retention: 24 * time.Hour,
		EgressAllowCidr: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, app: a, http: &http.Client{Transport: &http.Transport{}}, local: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", SocketPath(dir))
		},
	}}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := a.Run(ctx); err != nil {
			t.Errorf("the gateway ended: %v", err)
		}
	})
	t.Cleanup(func() {
		h.http.CloseIdleConnections()
		h.local.CloseIdleConnections()
		cancel()
		running.Wait()
	})
	return h
}

// furnish gives app 1 what the routes are about, where the last caller has taken it, and
// takes from app 2 what that one has given it.
func (h *house) furnish() {
	h.t.Helper()
	_ = h.app.store.DeleteDevice(h.t.Context(), "2", "phone") // mostly there is none
	for _, d := range []struct {
		app    diaphone.AppID
		id     diaphone.DeviceID
		secret string
	}{{"1", "phone", phoneSecret}, {"1", "tablet", tabletSecret}, {"2", "tablet", foreignSecret}, {"3", "tablet", disabledSecret}} {
		device := diaphone.Device{App: d.app, ID: d.id, Platform: diaphone.Android, SecretHash: diaphone.HashToken(d.secret)}
		if d.id == "phone" {
			device.User, device.Channels = "one-ana", []diaphone.ChannelName{"one-news"}
		}
		if _, _, err := storagetest.Put(h.t.Context(), h.app.store, device, time.Now()); err != nil {
			h.t.Fatal(err)
		}
	}
	if h.message != "" {
		return
	}
	// One that waits for its time, so that all of it can be changed.
	m := &diaphone.Message{ID: diaphone.NewMessageID(time.Now()), App: "1", To: diaphone.Audience{Devices: []diaphone.DeviceID{"phone"}},
		When: diaphone.Always, SendAt: time.Now().Add(time.Hour), Notification: &diaphone.Notification{Body: "one-body"}}
	m.Schedule(time.Now())
	if _, err := h.app.store.Accept(h.t.Context(), m, storage.Idempotency{}, nil); err != nil {
		h.t.Fatal(err)
	}
	h.message = m.ID
}

// snapshot is what app 1 has, but for a device.
func (h *house) snapshot(but diaphone.DeviceID) string {
	h.t.Helper()
	ctx := h.t.Context()
	devices, _, err := h.app.store.ListDevices(ctx, "1", "", storage.Page{Limit: storage.MaxPage})
	if err != nil {
		h.t.Fatal(err)
	}
	devices = slices.DeleteFunc(devices, func(d diaphone.Device) bool { return d.ID == but })
	m, err := h.app.store.Message(ctx, "1", h.message)
	if err != nil {
		h.t.Fatal(err)
	}
	past, err := h.app.gateway.Past(h.app.gateway.Apps().ByID("1"), "news", diaphone.Position{}, 100)
	if err != nil {
		h.t.Fatal(err)
	}
	return fmt.Sprintf("%+v %v %v %d", devices, m.State, m.CancelledAt, len(past.Events))
}

var inPath = regexp.MustCompile(`:[a-z_]+`)

// target is where a caller finds the route.
func (h *house) target(r *route, c *caller) (method, path string) {
	method, path, _ = strings.Cut(r.is, " ")
	if method == "ANY" {
		method = http.MethodPost
	}
	path = cmp.Or(r.path, path)
	h.session++
	key := c.key
	if key == "" {
		key = "key-of-nobody"
	}
	values := map[string]string{":message_id": string(h.message), ":device_id": "phone", ":channel": "news", ":user_id": "ana", ":user": "ana",
		":webhook": "one-backend", ":app": "1", ":key": key, ":app_key": key, ":server": "418", ":session": fmt.Sprintf("session%06d", h.session)}
	return method, inPath.ReplaceAllStringFunc(path, func(name string) string { return values[name] })
}

// ask makes the request of a caller, and says what it got.
func (h *house) ask(r *route, c *caller) (got verdict, text string) {
	h.t.Helper()
	method, path := h.target(r, c)
	base, client := "http://"+h.app.Address(), h.http
	if c.local {
		base, client = "http://operators", h.local
	}
	if strings.HasPrefix(r.is, "GET /app") && !strings.HasPrefix(r.is, "GET /apps") && !c.local {
		return h.dial(path)
	}
	u, err := url.Parse(base + path)
	if err != nil {
		h.t.Fatal(err)
	}
	c.sign(method, u, r.body)
	for range 3 { // the first answer to a poll only opens
		req, err := http.NewRequestWithContext(h.t.Context(), method, u.String(), strings.NewReader(r.body))
		if err != nil {
			h.t.Fatal(err)
		}
		if r.body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		if c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		resp, err := client.Do(req)
		if err != nil {
			h.t.Fatal(err)
		}
		if r.class != socket || resp.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			return status(resp), string(body)
		}
		got, text = hear(resp.Body)
		_ = resp.Body.Close()
		if got != 0 {
			break
		}
	}
	return got, text
}

// status takes every success for one.
func status(resp *http.Response) verdict {
	if resp.StatusCode < 300 {
		return may
	}
	return verdict(resp.StatusCode)
}

// hear reads the lines of an HTTP transport until it is known whether the caller was
// let in; 0: this answer does not say.
func hear(body io.Reader) (got verdict, text string) {
	for lines := bufio.NewScanner(body); lines.Scan(); {
		text += lines.Text() + "\n"
		if got := greeting(lines.Text()); got != 0 {
			return got, text
		}
	}
	return 0, text
}

var closeCode = regexp.MustCompile(`\b4[0-9]{3}\b`)

func greeting(line string) verdict {
	if strings.Contains(line, "connection_established") {
		return may
	}
	code, _ := strconv.Atoi(closeCode.FindString(line)) // 0: there is none
	return verdict(code)
}

// dial connects a WebSocket, and gives how it was greeted.
func (h *house) dial(path string) (got verdict, text string) {
	h.t.Helper()
	conn, early, _, err := ws.Dial(h.t.Context(), "ws://"+h.app.Address()+path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	var from io.Reader = conn
	if early != nil {
		from = io.MultiReader(early, conn)
	}
	first, err := wsutil.ReadServerText(struct {
		io.Reader
		io.Writer
	}{from, conn})
	if err != nil {
		h.t.Fatal(err)
	}
	return greeting(string(first)), string(first)
}

// sign signs a request as Pusher's SDKs do.
func (c *caller) sign(method string, u *url.URL, body string) {
	if c.secret == "" {
		return
	}
	q := u.Query()
	q.Set("auth_key", c.key)
	q.Set("auth_timestamp", fmt.Sprint(time.Now().Add(c.skew).Unix()))
	q.Set("auth_version", "1.0")
	if body != "" {
		sum := md5.Sum([]byte(body))
		q.Set("body_md5", hex.EncodeToString(sum[:]))
	}
	text, err := url.QueryUnescape(q.Encode()) // in order, and not escaped
	if err != nil {
		panic(err) // it was encoded just now
	}
	mac := hmac.New(sha256.New, []byte(c.secret))
	mac.Write([]byte(method + "\n" + u.Path + "\n" + text))
	q.Set("auth_signature", hex.EncodeToString(mac.Sum(nil)))
	if strings.HasPrefix(u.Path, "/apps/") { // elsewhere a query would be refused as such
		u.RawQuery = q.Encode()
	}
}
