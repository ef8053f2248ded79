package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/sim"
)

func alert(text string) string { return fmt.Sprintf(`{"aps":{"alert":%q}}`, text) }

// bodies returns what a phone shows, oldest first.
func (b *lab) bodies(device string) string {
	b.t.Helper()
	entries := b.inbox(device)
	out := make([]string, len(entries))
	for i, e := range entries {
		out[len(entries)-1-i] = e.Body
	}
	return strings.Join(out, ",")
}

func TestAPNsOffline(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	expect := func(got pushed) {
		t.Helper()
		if got.status != 200 {
			t.Errorf("got %d %q", got.status, got.Reason)
		}
	}
	b.move("ana", "offline")
	later := fmt.Sprint(time.Now().Add(time.Hour).Unix())
	expect(b.push(ana.Token, alert("first"), "apns-expiration", later))
	expect(b.push(ana.Token, alert("second")))
	expect(b.push(ana.Token, alert("now or never"), "apns-expiration", "0"))
	expect(b.push(ana.Token, alert("too late"), "apns-expiration", "1000"))
	expect(b.push(ana.VoIPToken, alert("call"), "apns-push-type", "voip", "apns-topic", b.cred.Topic+".voip"))
	if got := b.bodies("ana"); got != "" {
		t.Errorf("offline the phone shows %s", got)
	}
	b.move("ana", "online")
	// One of each topic was kept: the newest that may wait.
	if got := b.bodies("ana"); got != "second,call" {
		t.Errorf("online it shows %s", got)
	}
	for _, e := range b.inbox("ana") {
		if e.Delivered.Before(e.Received) {
			t.Errorf("received %v, delivered %v", e.Received, e.Delivered)
		}
	}
	b.move("ana", "offline")
	b.move("ana", "online")
	if got := b.bodies("ana"); got != "second,call" {
		t.Errorf("later it shows %s", got)
	}
}

// TestAPNsExpires waits for a stored notification to expire.
func TestAPNsExpires(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	b.move("ana", "offline")
	expires := time.Now().Add(2 * time.Second).Truncate(time.Second)
	b.push(ana.Token, alert("brief"), "apns-expiration", fmt.Sprint(expires.Unix()))
	<-time.After(time.Until(expires))
	b.move("ana", "online")
	if got := b.bodies("ana"); got != "" {
		t.Errorf("the phone shows %s", got)
	}
}

func TestAPNsUninstalled(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	b.move("ana", "offline")
	b.push(ana.Token, alert("waiting"))
	gone := b.move("ana", "uninstalled")
	if again := b.move("ana", "uninstalled"); !again.Uninstalled.Equal(gone.Uninstalled) {
		t.Errorf("uninstalled at %v, then at %v", gone.Uninstalled, again.Uninstalled)
	}
	got := b.push(ana.Token, hello)
	if got.status != 410 || got.Reason != "Unregistered" || got.Timestamp != gone.Uninstalled.UnixMilli() {
		t.Errorf("got %+v, want Unregistered since %d", got, gone.Uninstalled.UnixMilli())
	}
	b.move("ana", "online")
	if got := b.push(ana.Token, alert("back")); got.status != 200 {
		t.Errorf("installed again: %+v", got)
	}
	if got := b.bodies("ana"); got != "back" {
		t.Errorf("the phone shows %s", got)
	}
}

func TestFCMOffline(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "android")
	bearer := "Bearer " + b.access()
	send := func(text, android string) {
		t.Helper()
		body := fmt.Sprintf(`{"message":{"token":%q,"notification":{"body":%q},"android":{%s}}}`, ana.Token, text, android)
		if got := b.fcm("diaphone-sim", bearer, body); got.status != 200 {
			t.Fatalf("%s: %d %s", text, got.status, got.Error.Message)
		}
	}
	b.move("ana", "offline")
	send("a", "")
	send("k1", `"collapse_key":"1"`)
	send("k1 again", `"collapse_key":"1"`)
	send("never", `"ttl":"0s"`)
	for i := 2; i <= 5; i++ { // the fifth key drives out the oldest
		send(fmt.Sprint("k", i), fmt.Sprintf(`"collapse_key":"%d"`, i))
	}
	b.move("ana", "online")
	if got := b.bodies("ana"); got != "a,k2,k3,k4,k5" {
		t.Errorf("the phone shows %s", got)
	}

	b.ok(nil, "DELETE", "/sim/inbox", "")
	b.move("ana", "offline")
	for i := range 100 {
		send(fmt.Sprint(i), "")
	}
	b.move("ana", "online")
	if got := len(b.inbox("ana")); got != 100 {
		t.Errorf("%d of 100 messages arrived", got)
	}

	b.ok(nil, "DELETE", "/sim/inbox", "")
	b.move("ana", "offline")
	for i := range 101 {
		send(fmt.Sprint(i), "")
	}
	send("after", "")
	b.move("ana", "online")
	got := b.inbox("ana")
	if len(got) != 2 || string(got[1].Payload) != `{"message_type":"deleted_messages"}` || got[0].Body != "after" {
		t.Errorf("after the hundred and first: %+v", got)
	}
}

// TestTokensSurviveARestart starts a second simulator on the folder of the first.
func TestTokensSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	first := startIn(t, dir, sim.Options{})
	ios, android := first.add("ana", "ios"), first.add("bob", "android")
	access := first.access()
	_, key := first.account()
	first.stop()

	second := startIn(t, dir, sim.Options{})
	if got := second.push(ios.Token, hello, "authorization", "bearer "+first.jwt); got.Reason != "BadDeviceToken" {
		t.Errorf("before the phone is added: %+v", got)
	}
	if again := second.add("ana", "ios"); again.Token != ios.Token || again.VoIPToken != ios.VoIPToken {
		t.Errorf("tokens %+v and %+v", ios, again)
	}
	if again := second.add("bob", "android"); again.Token != android.Token {
		t.Errorf("tokens %q and %q", android.Token, again.Token)
	}
	if got := second.push(ios.Token, hello, "authorization", "bearer "+first.jwt); got.status != 200 {
		t.Errorf("%+v", got)
	}
	if got := second.fcm("diaphone-sim", "Bearer "+access, fmt.Sprintf(`{"message":{"token":%q}}`, android.Token)); got.status != 200 {
		t.Errorf("%+v", got)
	}
	account, sameKey := second.account()
	if !sameKey.Equal(key) || account.TokenURI != "http://"+second.addr+"/token" {
		t.Errorf("token_uri %s; same key: %v", account.TokenURI, sameKey.Equal(key))
	}
}
