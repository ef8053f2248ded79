package diaphone_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

func TestWhatContradictsTheModeIsRefused(t *testing.T) {
	badge := 1
	data := map[string]string{"k": "v"}
	pushType := func(kind string) *diaphone.APNsOverride {
		return &diaphone.APNsOverride{Headers: map[string]string{"apns-push-type": kind}}
	}
	for i, c := range []struct {
		n    diaphone.Notification
		want string // pointers below /notification
	}{
		{diaphone.Notification{Mode: "alert", Title: "x"}, ""},
		{diaphone.Notification{Mode: "alert", Sound: "x", Data: data}, ""},
		{diaphone.Notification{Mode: "alert", Badge: &badge, APNs: pushType("alert")}, ""},
		{diaphone.Notification{Mode: "alert", FCM: []byte(`{"notification":{"title_loc_key":"x"}}`)}, ""},
		{diaphone.Notification{Mode: "alert", Data: data}, "mode"},
		{diaphone.Notification{Mode: "alert"}, "mode"},
		{diaphone.Notification{Mode: "alert", Title: "x", APNs: pushType("background")}, "apns/headers/apns-push-type"},
		{diaphone.Notification{Mode: "background"}, ""},
		{diaphone.Notification{Mode: "background", Data: data, Priority: "normal", APNs: pushType("background")}, ""},
		{diaphone.Notification{Mode: "background", Title: "x", Body: "x", Image: "https://x", Badge: &badge, Sound: "x"}, "title body image badge sound"},
		{diaphone.Notification{Mode: "background", Priority: "high"}, "priority"},
		{diaphone.Notification{Mode: "data", Data: data, Priority: "high"}, ""},
		{diaphone.Notification{Mode: "data", Data: data, Priority: "normal"}, ""},
		{diaphone.Notification{Mode: "data"}, "."},
		{diaphone.Notification{Mode: "data", Data: data, Body: "x"}, "body"},
		{diaphone.Notification{Mode: "voip", Data: data}, ""},
		{diaphone.Notification{Mode: "voip", Data: data, Priority: "normal"}, "priority"},
		{diaphone.Notification{Mode: "voip", Data: data, Title: "Ben is calling", APNs: pushType("alert")}, "title apns/headers/apns-push-type"},
		{diaphone.Notification{Mode: "voip"}, "."},
		{diaphone.Notification{Mode: "loud", Title: "x"}, "mode"},
		{diaphone.Notification{Title: "x", Priority: "normal", APNs: pushType("background")}, ""},
	} {
		m := diaphone.Message{To: diaphone.Audience{Users: []diaphone.UserID{"ana"}}, When: diaphone.Always, Notification: &c.n}
		var got []string
		var e *diaphone.Error
		if err := m.Validate(1); errors.As(err, &e) {
			for _, f := range e.Fields {
				got = append(got, strings.TrimPrefix(strings.Replace(f.Pointer, "/notification", ".", 1), "./"))
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("case %d %+v: refused at %q, want %q", i, c.n, got, c.want)
		}
	}
}

func TestWhatModesStandFor(t *testing.T) {
	for _, c := range []struct {
		n        diaphone.Notification
		kind     string
		silent   bool
		priority diaphone.Priority
		ttl      int
	}{
		{diaphone.Notification{Title: "x"}, "alert", false, "high", diaphone.DefaultTTL},
		{diaphone.Notification{}, "background", true, "high", diaphone.DefaultTTL},
		{diaphone.Notification{Mode: "alert"}, "alert", false, "high", diaphone.DefaultTTL},
		{diaphone.Notification{Mode: "background"}, "background", true, "normal", diaphone.DefaultTTL},
		{diaphone.Notification{Mode: "data"}, "background", true, "high", diaphone.DefaultTTL},
		{diaphone.Notification{Mode: "data", Priority: "normal"}, "background", true, "normal", diaphone.DefaultTTL},
		{diaphone.Notification{Mode: "voip"}, "voip", true, "high", 30},
	} {
		n := c.n
		if n.APNsPushType() != c.kind || n.Silent() != c.silent || n.EffectivePriority() != c.priority || n.TTLSeconds() != c.ttl {
			t.Errorf("%+v: %s, silent %t, %s, %d s", n, n.APNsPushType(), n.Silent(), n.EffectivePriority(), n.TTLSeconds())
		}
	}
}

func TestRouteOfACall(t *testing.T) {
	app := &diaphone.App{ID: "1", Credentials: []diaphone.Credential{
		{Name: "apns", Provider: diaphone.APNs, Environment: diaphone.Sandbox}, {Name: "fcm", Provider: diaphone.FCM},
	}}
	appleOnly := &diaphone.App{ID: "1", Credentials: app.Credentials[:1]}
	call := &diaphone.Message{Notification: &diaphone.Notification{Mode: diaphone.ModeVoIP}}
	other := &diaphone.Message{Notification: &diaphone.Notification{Title: "x"}}
	for _, c := range []struct {
		app      *diaphone.App
		platform diaphone.Platform
		kinds    string
		call     string
		other    string
	}{
		{app, diaphone.IOS, "apns apns-voip", "apns apns-voip", "apns apns"},
		{app, diaphone.IOS, "apns-voip", "apns apns-voip", "no_token"},
		{app, diaphone.IOS, "fcm apns-voip", "apns apns-voip", "fcm fcm"},
		{app, diaphone.IOS, "fcm", "no_voip_token", "fcm fcm"},
		{app, diaphone.IOS, "apns", "no_voip_token", "apns apns"},
		{app, diaphone.IOS, "", "no_token", "no_token"},
		{app, diaphone.Android, "fcm", "fcm fcm", "fcm fcm"},
		{app, diaphone.Web, "", "no_token", "no_token"},
		{appleOnly, diaphone.Android, "fcm", "no_credential", "no_credential"},
	} {
		d := &diaphone.Device{Platform: c.platform}
		for kind := range strings.FieldsSeq(c.kinds) {
			d.Tokens = append(d.Tokens, diaphone.Token{Kind: diaphone.TokenKind(kind)})
		}
		for m, want := range map[*diaphone.Message]string{call: c.call, other: c.other} {
			lane, kind, reason := c.app.Route(m, d)
			if got := strings.TrimSpace(lane.Credential + " " + string(kind) + reason); got != want {
				t.Errorf("%s with %q, %q: %q, want %q", c.platform, c.kinds, m.Notification.Mode, got, want)
			}
		}
	}
}

func TestVoIPTokensAreTokensOfAPNs(t *testing.T) {
	d := diaphone.Device{ID: "d", Platform: diaphone.IOS, Tokens: []diaphone.Token{
		{Kind: diaphone.TokenAPNs, Value: "ab"}, {Kind: diaphone.TokenAPNsVoIP, Value: "cd", Environment: diaphone.Sandbox},
	}}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
	d.Tokens[1].Value = "not hex"
	if err := d.Validate(); err == nil {
		t.Error("a token that is not hex passes")
	}
}
