package channels

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/diaphone-dev/diaphone"
)

// While keys are rotated both work, each also for what a connection made with the
// other one asks. One that is disabled, like one that is gone, is nobody's.
func TestKeysAreRotated(t *testing.T) {
	h := openAt(t, "", diaphone.App{ID: "1", Keys: []diaphone.Key{
		{Key: "old", Secret: "old-secret"},
		{Key: "new", Secret: "new-secret"},
		{Key: "off", Secret: "off-secret", Disabled: true},
	}})
	keys := map[string]bool{"old": true, "new": true, "off": false, "gone": false}
	for key, works := range keys {
		status, text := h.do(request{path: "/apps/1/events", body: event, key: key, secret: key + "-secret"})
		if works && status != http.StatusOK || !works && (status != http.StatusUnauthorized || !strings.Contains(text, "Unknown auth_key")) {
			t.Errorf("publish with %q: %d %s", key, status, text)
		}
		if !works {
			v := h.dial("/app/" + key)
			v.expectError(codeUnknownApp, "not known")
			v.expectClose(codeUnknownApp)
			continue
		}
		v := h.joinAs("/app/" + key)
		for other, good := range keys {
			channel := "private-" + other
			v.emit("pusher:subscribe", map[string]string{"channel": channel,
				"auth": other + ":" + sign(secretOf(other+"-secret"), channelText(v.id, chName(channel), ""))})
			if good {
				if f := v.hear(); f.Event != "pusher_internal:subscription_succeeded" {
					t.Errorf("connected with %q, subscribed with %q: %+v", key, other, f)
				}
				continue
			}
			v.expectError(nil, "Invalid key")
			v.hear() // the same for the channel
		}
		v.emit("pusher:signin", map[string]string{"user_data": `{"id":"ana"}`,
			"auth": "off:" + sign("off-secret", userText(v.id, `{"id":"ana"}`))})
		v.expectError(nil, "Invalid key")
	}
}

// The secret of one key does not go with another.
func TestKeysHaveTheirOwnSecrets(t *testing.T) {
	h := open(t)
	if status, text := h.do(request{path: "/apps/1/events", body: event, key: "next-key", secret: "app-secret"}); status != http.StatusUnauthorized {
		t.Errorf("%d %s", status, text)
	}
}

func TestADisabledApp(t *testing.T) {
	h := openAt(t, "", diaphone.App{ID: "1", Keys: testApps[0].Keys, Disabled: true}, testApps[1])
	v := h.dial("/app/app-key")
	v.expectError(codeDisabled, "disabled")
	v.expectClose(codeDisabled)
	for _, r := range []request{
		{path: "/apps/1/events", body: event},
		{method: http.MethodGet, path: "/apps/1/channels"},
	} {
		if status, text := h.do(r); status != http.StatusForbidden || !strings.Contains(text, "disabled") {
			t.Errorf("%s: %d %s", r.path, status, text)
		}
		r.key, r.secret = "app-key", "wrong"
		if status, _ := h.do(r); status != http.StatusUnauthorized {
			t.Errorf("%s with a wrong secret: %d", r.path, status)
		}
	}
	h.joinAs("/app/key2")
}

func TestTLSOnly(t *testing.T) {
	h := openFor(t, diaphone.ChannelSettings{TLSOnly: true}, diaphone.Limits{})
	v := h.dial("/app/app-key")
	v.expectError(codeNeedsTLS, "wss://")
	v.expectClose(codeNeedsTLS)
	// The same over the HTTP transports, whose first answer only opens; and nothing of the API.
	heard := ""
	for range 3 {
		status, text := h.raw(http.MethodPost, "/pusher/app/app-key/418/abcdefgh/xhr?protocol=7", "")
		if heard += text; status != http.StatusOK || strings.Contains(heard, "4000") {
			break
		}
	}
	if !strings.Contains(heard, "4000") {
		t.Errorf("over HTTP: %s", heard)
	}
	h.publish(event)
	// The house's server believes proxies on loopback, as echo does unless told.
	v = h.dialWith("/app/app-key", ws.HandshakeHeaderHTTP{"X-Forwarded-Proto": []string{"https"}})
	if f := v.hear(); f.Event != "pusher:connection_established" {
		t.Errorf("heard %+v", f)
	}
}
