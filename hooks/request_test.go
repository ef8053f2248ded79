package hooks

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/egress"
	"github.com/diaphone-dev/diaphone/storage"
)

// The vectors of webhooks, beside those of the door.
func TestSignatureVectors(t *testing.T) {
	text, err := os.ReadFile("../api/channels/testdata/pusher-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			ID, Key, Secret, Body string
			Signature             string `json:"X-Pusher-Signature"`
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, v := range file.Vectors {
		if !strings.HasPrefix(v.ID, "W") {
			continue
		}
		tried++
		app := &diaphone.App{Keys: []diaphone.Key{{Key: v.Key, Secret: diaphone.Secret(v.Secret)}}}
		r, err := newRequest(context.Background(), app, &diaphone.Webhook{URL: "https://example.com/"}, []byte(v.Body), 3)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Header.Get("X-Pusher-Signature"); got != v.Signature || r.Header.Get("X-Pusher-Key") != v.Key {
			t.Errorf("%s: %s, want %s", v.ID, got, v.Signature)
		}
		if sign(app.Keys[0].Secret, []byte(v.Body+"\n")) == v.Signature {
			t.Errorf("%s: a newline more changes nothing", v.ID)
		}
	}
	if tried != 3 {
		t.Errorf("%d vectors tried", tried)
	}
}

// The vectors of the reference libraries of Standard Webhooks, and what is no secret.
func TestStandardVectors(t *testing.T) {
	for _, v := range []struct {
		secret   diaphone.Secret
		id, body string
		unix     int64
		want     string
	}{
		{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", `{"test": 2432232314}`, 1614265330, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
		{"whsec_plJ3nmyCDGBKInavdOK15jsl", "msg_loFOjxBNrRLzqYUf", `{"event_type":"ping","data":{"success":true}}`, 1731705121, "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="},
	} {
		got, err := signStandard([]diaphone.Secret{v.secret}, v.id, v.unix, []byte(v.body))
		if err != nil || got != v.want {
			t.Errorf("%s: %s, %v; want %s", v.id, got, err, v.want)
		}
		if other, _ := signStandard([]diaphone.Secret{v.secret}, v.id, v.unix+1, []byte(v.body)); other == v.want {
			t.Errorf("%s: the time is not signed", v.id)
		}
	}
	for _, bad := range []diaphone.Secret{"", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_geheim!", "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} {
		if _, err := signStandard([]diaphone.Secret{bad}, "x", 1, nil); err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v", bad.Reveal(), err)
		}
	}
	if key, err := SigningKey(NewSecret([32]byte{1, 31: 9})); err != nil || len(key) != 32 || key[0] != 1 || key[31] != 9 {
		t.Errorf("a new secret is %v, %v", key, err)
	}
}

func TestBody(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123)
	notice := func(seq uint64, n diaphone.Notice) storage.QueuedNotice {
		n.At, n.ID = at.Add(time.Duration(seq)*time.Hour), "ntc_x"
		return storage.QueuedNotice{Seq: seq, Notice: n}
	}
	for want, notices := range map[string][]storage.QueuedNotice{
		`{"time_ms":1700003600123,"events":[{"name":"channel_vacated","channel":"a","id":"ntc_x","seq":1}]}`: {
			notice(1, diaphone.Notice{Kind: diaphone.ChannelVacated, Channel: "a"})},
		`{"time_ms":1700007200123,"events":[{"name":"client_event","channel":"presence-a","user_id":"7","event":"client-e","data":"","socket_id":"1.2","id":"ntc_x","seq":2},` +
			`{"name":"subscription_count","channel":"a","subscription_count":0,"id":"ntc_x","seq":3},{"name":"cache_miss","channel":"cache-a","id":"ntc_x","seq":4}]}`: {
			notice(2, diaphone.Notice{Kind: diaphone.ClientEvent, Channel: "presence-a", User: "7", Socket: "1.2", Event: "client-e"}),
			notice(3, diaphone.Notice{Kind: diaphone.SubscriptionCount, Channel: "a"}),
			notice(4, diaphone.Notice{Kind: diaphone.CacheMiss, Channel: "cache-a"})},
	} {
		got, err := encode(notices)
		if err != nil || string(got) != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}

// An app without keys can sign nothing, and a forged signature does not get in.
func TestWithoutAKey(t *testing.T) {
	hook := &diaphone.Webhook{URL: "https://example.com/", Headers: map[string]diaphone.Secret{"X-Pusher-Signature": "forged", "X-Pusher-Key": "forged"}}
	r, err := newRequest(context.Background(), &diaphone.App{}, hook, []byte("{}"), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"X-Pusher-Key", "X-Pusher-Signature"} {
		if got := r.Header.Values(name); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What goes wrong has a name, which repeats nothing of the URL.
func TestFaults(t *testing.T) {
	quick := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/silence" {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}))
	defer quick.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	client := egress.New(egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}).Client(Timeout)
	defer client.CloseIdleConnections()
	for at, want := range map[string]string{
		quick.URL + "/secret":                    "connection lost",
		quick.URL + "/silence":                   "timeout",
		"http://" + closed.Addr().String() + "/": "connection refused",
		secure.URL + "/secret":                   "TLS",
		"https://[::1]/secret":                   "forbidden address",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		r, err := newRequest(ctx, &diaphone.App{}, &diaphone.Webhook{URL: at}, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s was answered", at)
		} else if got := faultOf(err); got != want {
			t.Errorf("%s: %q, want %q; %v", at, got, want, err)
		}
		cancel()
	}
	if got := faultOf(context.Canceled); got != "cut short" {
		t.Errorf("%q", got)
	}
	if got := faultOf(&url.Error{Err: &net.DNSError{Name: "secret", IsTimeout: true}}); got != "host not found" {
		t.Errorf("%q", got)
	}
}

// The wait grows, is drawn from the whole window, and ends at a minute.
func TestWaits(t *testing.T) {
	for tries, window := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second, 7: time.Minute, 8: time.Minute, 5000: time.Minute} {
		var least, most = time.Hour, time.Duration(0)
		for range 1000 {
			w := (&answer{}).wait(tries)
			least, most = min(least, w), max(most, w)
		}
		if most > window || most < window*9/10 || least > window/10 {
			t.Errorf("after %d attempts: %s to %s, want 0 to %s", tries, least, most, window)
		}
	}
}
