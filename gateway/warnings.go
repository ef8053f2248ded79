package gateway

import (
	"encoding/json"
	"strings"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
)

// warnings tells what a provider takes and phones then treat otherwise than a publisher
// would think. It looks at what is sent, raw overrides included.
func warnings(m *diaphone.Message, p diaphone.ProviderName, r *providers.Rendered) []diaphone.FieldError {
	w := &warner{m: m, n: m.Notification}
	w.timing()
	switch p {
	case diaphone.APNs:
		w.apple(r)
	case diaphone.FCM:
		w.google(r)
	}
	return w.found
}

// longestRing is how many seconds a call may reasonably wait for a phone.
const longestRing = 60

type warner struct {
	m     *diaphone.Message
	n     *diaphone.Notification
	found []diaphone.FieldError
}

func (w *warner) warn(field, code, detail string) {
	w.found = append(w.found, diaphone.FieldError{Pointer: strings.TrimSuffix("/notification/"+field, "/"), Code: code, Detail: detail})
}

func (w *warner) timing() {
	if w.n.Mode == diaphone.ModeVoIP && w.n.TTLSeconds() > longestRing {
		w.warn("ttl", "late_call", "a phone that was away may ring so many seconds late: few calls last beyond a minute without an answer")
	}
	if w.n.TTLSeconds() == 0 && w.n.EffectivePriority() == diaphone.PriorityNormal {
		w.warn("priority", "normal_now_or_never",
			"ttl 0 is now or never, and with priority normal a sleeping phone need not wake now: most will never get it")
	}
}

// apple: "Pushing background updates to your App" and "Sending notification requests to
// APNs" of Apple's documentation.
func (w *warner) apple(r *providers.Rendered) {
	var payload struct {
		APS struct {
			Alert   any `json:"alert"`
			Badge   any `json:"badge"`
			Sound   any `json:"sound"`
			Mutable any `json:"mutable-content"`
		} `json:"aps"`
	}
	_ = json.Unmarshal(r.Payload, &payload) // we have made it; of an odd override nothing is said
	aps := &payload.APS
	visible := aps.Alert != nil || aps.Badge != nil || aps.Sound != nil
	switch kind := r.Header["apns-push-type"]; {
	case kind == "background" && visible:
		w.warn("apns/headers/apns-push-type", "background_shows",
			"a background push must not carry an alert, a badge or a sound: Apple may drop it; send it as alert")
	case kind == "background":
		w.warn("", "background_throttled",
			"iOS lets a background push run the app two or three times an hour at best, and never after the user has swiped the app away")
	case kind == "voip" && w.n.Mode != diaphone.ModeVoIP:
		w.warn("apns/headers/apns-push-type", "voip_without_mode", "only mode voip goes to the devices' PushKit tokens: Apple refuses a voip push to any other")
	case kind == "alert" && !visible:
		w.warn("", "alert_shows_nothing", "the push type is alert, and there is nothing to show or to play: iOS ignores it")
	}
	if aps.Mutable != nil && aps.Alert == nil {
		w.warn("", "image_without_text", "iOS runs the service extension that fetches the image only for a notification with a title or a body")
	} else if w.n.Image != "" {
		w.warn("image", "image_needs_extension", "iOS shows the image only if the app has a notification service extension that fetches it")
	}
}

// google: "Set and manage Android message priority" of Google's documentation.
func (w *warner) google(r *providers.Rendered) {
	var message struct {
		Notification any `json:"notification"`
		Android      struct {
			Priority     string `json:"priority"`
			Notification any    `json:"notification"`
		} `json:"android"`
	}
	_ = json.Unmarshal(r.Payload, &message)
	shown := message.Notification != nil || message.Android.Notification != nil
	if strings.EqualFold(message.Android.Priority, "high") && !shown && w.n.Mode != diaphone.ModeVoIP {
		w.warn("priority", "high_shows_nothing",
			"high priority is for what the user sees: Android treats an app's messages as normal when they wake it and it then shows nothing")
	}
	if w.n.Visible() && !shown {
		w.warn("", "android_shows_nothing", "on Android a badge or a sound alone shows nothing: add a title or a body")
	}
}
