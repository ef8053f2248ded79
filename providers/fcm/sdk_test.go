package fcm

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"firebase.google.com/go/v4/messaging"

	"github.com/diaphone-dev/diaphone"
)

// Our message is what Google's SDK would send for the same notification.
func TestTheSDKWritesTheSame(t *testing.T) {
	for i, n := range []diaphone.Notification{
		{Title: "Ana", Body: "a < b & \"c\"\u2028", Data: map[string]string{"chat": "7", "<": "é"}, TTL: ptr(60)},
		{Title: "Ana", Image: "https://example.com/a.png", CollapseID: "chat-7", Priority: diaphone.PriorityNormal, Badge: ptr(0), Sound: "default", TTL: ptr(0)},
		{Data: map[string]string{"Sync": "1"}},
		{Badge: ptr(3)},
		{Sound: "bell", Badge: ptr(1)},
		{Mode: diaphone.ModeVoIP, Data: map[string]string{"call": "1"}, TTL: ptr(30)},
		{Mode: diaphone.ModeBackground},
		{Body: "only", CollapseID: "x"},
		{},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			const ttl = 45
			m := golden(n)
			text, err := json.Marshal(objectOf(m, ttl))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := parsed(t, text), parsed(t, theirs(t, m, ttl)); !reflect.DeepEqual(got, want) {
				t.Errorf("we write\n%v\nthe SDK\n%v", got, want)
			}
		})
	}
}

func parsed(t *testing.T, text []byte) (object map[string]any) {
	t.Helper()
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

// theirs is the message as the SDK encodes its own types.
func theirs(t *testing.T, m *diaphone.Message, ttl int) []byte {
	t.Helper()
	n := m.Notification
	life := time.Duration(ttl) * time.Second
	typed := &messaging.Message{
		Data:    n.Data,
		Android: &messaging.AndroidConfig{Priority: string(n.EffectivePriority()), TTL: &life, CollapseKey: n.CollapseID},
	}
	if n.Mode != diaphone.ModeVoIP {
		typed.APNS = &messaging.APNSConfig{Headers: appleHeaders(m, ttl), Payload: &messaging.APNSPayload{Aps: &messaging.Aps{
			Badge: n.Badge, Sound: n.Sound, ContentAvailable: n.Silent(), MutableContent: n.Image != "",
		}}}
	}
	if n.Title != "" || n.Body != "" || n.Image != "" {
		typed.Notification = &messaging.Notification{Title: n.Title, Body: n.Body, ImageURL: n.Image}
		typed.Android.Notification = &messaging.AndroidNotification{Sound: n.Sound, Tag: n.CollapseID, NotificationCount: n.Badge}
	}
	text, err := typed.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	// The API's own words are upper case (AndroidMessagePriority).
	upper := strings.NewReplacer(`"priority":"high"`, `"priority":"HIGH"`, `"priority":"normal"`, `"priority":"NORMAL"`)
	return []byte(upper.Replace(string(text)))
}
