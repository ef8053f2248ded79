package diaphone_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, c := range []struct {
		name string
		err  error
		ok   bool
	}{
		{"every legal character", diaphone.ChannelName("private-Foo_1234@=,.;-").Validate(), true},
		{"164 characters", diaphone.ChannelName(long[:164]).Validate(), true},
		{"165 characters", diaphone.ChannelName(long[:165]).Validate(), false},
		{"empty channel", diaphone.ChannelName("").Validate(), false},
		{"space", diaphone.ChannelName("a b").Validate(), false},
		{"not ASCII", diaphone.ChannelName("zoë").Validate(), false},
		{"newline at the end", diaphone.ChannelName("a\n").Validate(), false},
		{"hash", diaphone.ChannelName("#x").Validate(), false},
		{"user channel", diaphone.UserChannel("zoë").Validate(), true},
		{"user channel of nobody", diaphone.UserChannel("").Validate(), false},
		{"user", diaphone.UserID("auth0|5f7").Validate(), true},
		{"user of 128 runes", diaphone.UserID(strings.Repeat("ë", 128)).Validate(), true},
		{"user of 129", diaphone.UserID(long[:129]).Validate(), false},
		{"user with a control character", diaphone.UserID("a\x00b").Validate(), false},
		{"user that is not UTF-8", diaphone.UserID("a\xff").Validate(), false},
		{"device", diaphone.DeviceID("6f1c-~:@=,;._A").Validate(), true},
		{"device with a slash", diaphone.DeviceID("a/b").Validate(), false},
		{"device of dots", diaphone.DeviceID("..").Validate(), false},
		{"event", diaphone.ValidateEventName("client-typing"), true},
		{"event of the protocol", diaphone.ValidateEventName("pusher:error"), false},
		{"internal event", diaphone.ValidateEventName("pusher_internal:x"), false},
		{"event of 200", diaphone.ValidateEventName(long), true},
		{"event of 201", diaphone.ValidateEventName(long + "x"), false},
		{"socket", diaphone.SocketID("218.77341").Validate(), true},
		{"socket without a dot", diaphone.SocketID("218").Validate(), false},
		{"socket with a newline", diaphone.SocketID("218.77341\n").Validate(), false},
	} {
		if (c.err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, c.err)
		}
		if c.err != nil && diaphone.CodeOf(c.err) != diaphone.Invalid {
			t.Errorf("%s: code %s", c.name, diaphone.CodeOf(c.err))
		}
	}
}

func TestMessageIDsSortByTimeAndComeBack(t *testing.T) {
	now := time.Now()
	var ids []diaphone.MessageID
	for i := range 1000 {
		id := diaphone.NewMessageID(now.Add(time.Duration(i) * time.Millisecond))
		b, ok := id.Bytes()
		if !ok || diaphone.MessageIDFromBytes(b) != id || b[6]>>4 != 7 || b[8]>>6 != 2 {
			t.Fatalf("%s: %x, %v", id, b, ok)
		}
		ids = append(ids, id)
	}
	if !slices.IsSorted(ids) {
		t.Error("ids made later do not sort later")
	}
	for _, wrong := range []diaphone.MessageID{"", "msg_", "msg_x", ids[0] + "0", ids[0][4:], diaphone.MessageID(strings.ToUpper(string(ids[0])))} {
		if _, ok := wrong.Bytes(); ok {
			t.Errorf("%q passes for a message id", wrong)
		}
	}
}

func TestDeliveryIDIsStableAndCanonical(t *testing.T) {
	a, b := diaphone.DeliveryID("msg_1", "d"), diaphone.DeliveryID("msg_1", "e")
	if a != diaphone.DeliveryID("msg_1", "d") || a == b || len(a) != 36 || strings.ToLower(a) != a || a[14] != '8' {
		t.Errorf("%s and %s", a, b)
	}
}

func TestASecretDoesNotPrint(t *testing.T) {
	const canary = "canary-3141592"
	type holder struct{ S diaphone.Secret }
	s := diaphone.Secret(canary)
	text, err := json.Marshal(holder{s})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s, "h", holder{s})
	all := fmt.Sprintf("%v %s %q %x %d %+v %#v %v", s, s, s, s, s, holder{s}, holder{s}, &holder{s}) + s.String() + string(text) + log.String()
	if strings.Contains(all, canary) || strings.Contains(all, fmt.Sprintf("%x", canary)) {
		t.Errorf("the secret is in %s", all)
	}
	if s.Reveal() != canary || !s.Equal(canary) || s.Equal(canary+"x") {
		t.Error("the secret is lost")
	}
}

func TestValidationPointsAtEveryFault(t *testing.T) {
	ttl, badge := -1, -2
	m := diaphone.Message{
		To: diaphone.Audience{Channels: []diaphone.ChannelName{"ok", "not ok"}, Users: []diaphone.UserID{""}}, When: "sometimes",
		Event: &diaphone.Event{Name: "pusher:x", Data: strings.Repeat("x", 11), ExceptSocket: "1"},
		Notification: &diaphone.Notification{TTL: &ttl, Badge: &badge, Priority: "urgent", Image: "ftp://x", CollapseID: strings.Repeat("x", 65),
			Data: map[string]string{"google.x": "", "a/b~c": "fine", "aps": ""}},
	}
	var e *diaphone.Error
	if !errors.As(m.Validate(10), &e) || e.Code != diaphone.Invalid {
		t.Fatalf("%v", m.Validate(10))
	}
	var got []string
	for _, f := range e.Fields {
		got = append(got, f.Pointer+" "+f.Code)
	}
	want := []string{"/to/users/0 malformed", "/to/channels/1 malformed", "/when unknown_value", "/event/name malformed", "/event/data too_large",
		"/event/except_socket malformed", "/notification/collapse_id too_long", "/notification/priority unknown_value", "/notification/ttl out_of_range",
		"/notification/badge out_of_range", "/notification/image malformed", "/notification/data/aps reserved", "/notification/data/google.x reserved"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestRoute(t *testing.T) {
	app := &diaphone.App{ID: "1", Credentials: []diaphone.Credential{
		{Name: "apns", Provider: diaphone.APNs, Environment: diaphone.Production},
		{Name: "apns-sandbox", Provider: diaphone.APNs, Environment: diaphone.Sandbox},
		{Name: "fcm", Provider: diaphone.FCM},
	}}
	token := func(k diaphone.TokenKind, e diaphone.Environment) diaphone.Token {
		return diaphone.Token{Kind: k, Environment: e}
	}
	topical := &diaphone.App{ID: "1", Credentials: []diaphone.Credential{
		{Name: "chat", Provider: diaphone.APNs, Environment: diaphone.Sandbox, Topic: "com.example.chat"},
		{Name: "calls", Provider: diaphone.APNs, Environment: diaphone.Sandbox, Topic: "com.example.calls"},
	}}
	of := func(topic string) diaphone.Token {
		return diaphone.Token{Kind: diaphone.TokenAPNs, Environment: diaphone.Sandbox, Topic: topic}
	}
	gone := diaphone.Token{Kind: diaphone.TokenFCM, GoneAt: time.Unix(1, 0)}
	for _, c := range []struct {
		app    *diaphone.App
		tokens []diaphone.Token
		want   string
	}{
		{app, nil, " no_token"},
		{app, []diaphone.Token{token(diaphone.TokenAPNs, "")}, "apns "},
		{app, []diaphone.Token{token(diaphone.TokenAPNs, diaphone.Sandbox)}, "apns-sandbox "},
		{app, []diaphone.Token{token(diaphone.TokenFCM, ""), token(diaphone.TokenAPNs, "")}, "fcm "},
		{&diaphone.App{Credentials: app.Credentials[:1]}, []diaphone.Token{token(diaphone.TokenAPNs, diaphone.Sandbox)}, " no_credential"},
		{&diaphone.App{Credentials: app.Credentials[:1]}, []diaphone.Token{token(diaphone.TokenFCM, ""), token(diaphone.TokenAPNs, "")}, "apns "},
		{topical, []diaphone.Token{of("")}, "chat "},
		{topical, []diaphone.Token{of("com.example.calls")}, "calls "},
		{topical, []diaphone.Token{of("com.example.other")}, " no_credential"},
		{app, []diaphone.Token{gone}, " token_gone"},
		{app, []diaphone.Token{gone, token(diaphone.TokenAPNs, "")}, "apns "},
	} {
		lane, _, reason := c.app.Route(&diaphone.Message{Notification: &diaphone.Notification{Title: "x"}}, &diaphone.Device{Tokens: c.tokens})
		if got := lane.Credential + " " + reason; got != c.want {
			t.Errorf("%v: %q, want %q", c.tokens, got, c.want)
		}
	}
}

func TestKindsOfChannels(t *testing.T) {
	type kind struct{ auth, presence, encrypted, cache bool }
	for name, want := range map[diaphone.ChannelName]kind{
		"news":                       {},
		"cache-x":                    {cache: true},
		"private-x":                  {auth: true},
		"private-cache-x":            {auth: true, cache: true},
		"private-encrypted-x":        {auth: true, encrypted: true},
		"private-encrypted-cache-":   {auth: true, encrypted: true, cache: true},
		"presence-x":                 {auth: true, presence: true},
		"presence-cache-x":           {auth: true, presence: true, cache: true},
		"cache":                      {},
		"news-cache-x":               {},
		"private-private-cache-x":    {auth: true},
		"presence-encrypted-cache-x": {auth: true, presence: true},
		"cache-private-x":            {cache: true},
		"#server-to-user-cache-x":    {},
	} {
		if got := (kind{name.NeedsAuth(), name.IsPresence(), name.IsEncrypted(), name.IsCache()}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestKindOfAChannel(t *testing.T) {
	for name, want := range map[diaphone.ChannelName]diaphone.ChannelKind{
		"news": diaphone.Public, "cache-x": diaphone.Public, "cache-private-x": diaphone.Public, "news-private-x": diaphone.Public,
		"private-x": diaphone.Private, "private-cache-x": diaphone.Private, "private-presence-x": diaphone.Private,
		"private-encrypted-x": diaphone.Encrypted, "private-encrypted-cache-x": diaphone.Encrypted,
		"presence-x": diaphone.Presence, "presence-cache-x": diaphone.Presence, "presence-encrypted-x": diaphone.Presence,
		"#server-to-user-private-x": diaphone.Personal,
	} {
		if got := name.Kind(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// FuzzNames holds names against Pusher's alphabet and lengths, said in another way.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"news", "private-chat_7@=,.;", "#server-to-user-ana", "#x", "", "ü", "a b", "a\n", strings.Repeat("a", 165)} {
		f.Add(seed)
	}
	legal := regexp.MustCompile(`\A[A-Za-z0-9_\-=@,.;]{1,164}\z`)
	f.Fuzz(func(t *testing.T, name string) {
		c := diaphone.ChannelName(name)
		user, reserved := c.User()
		want := legal.MatchString(name)
		if reserved {
			want = user.Validate() == nil
		}
		if err := c.Validate(); (err == nil) != want {
			t.Errorf("channel %q: %v", name, err)
		}
		ours := strings.HasPrefix(name, "pusher:") || strings.HasPrefix(name, "pusher_internal:")
		if err := diaphone.ValidateEventName(name); err == nil && (name == "" || ours) {
			t.Errorf("event %q is taken", name)
		}
	})
}
