package diaphone

import "strings"

// Mode says what a notification is for. Push type, priority and all that providers
// want to see along with them follow from it. Without a mode a notification that shows
// something is as ModeAlert, any other as ModeData.
type Mode string

// The modes.
const (
	ModeAlert      Mode = "alert"      // the phone shows or plays something
	ModeBackground Mode = "background" // the app fetches what is new when the phone finds it convenient
	ModeData       Mode = "data"       // the app is woken at once, where the phone allows that; nothing is shown
	ModeVoIP       Mode = "voip"       // a call: the app rings at once or never
)

// ringTime is the TTL, in seconds, of a call that names none: so long a phone rings.
const ringTime = 30

// silent: the phone's system shows nothing; what is to be seen is the app's affair.
func (m Mode) silent() bool { return m == ModeBackground || m == ModeData || m == ModeVoIP }

// Silent tells whether the phone's system is told to show nothing.
func (n *Notification) Silent() bool { return n.Mode.silent() || n.Mode == "" && !n.Visible() }

// APNsPushType gives the apns-push-type that the mode asks for.
func (n *Notification) APNsPushType() string {
	switch {
	case n.Mode == ModeVoIP:
		return "voip"
	case n.Silent():
		return "background" // the only one that Apple has for it
	}
	return "alert"
}

// validateMode refuses what contradicts the mode, for a field that had to be ignored
// would be a fault that nobody hears of.
func (n *Notification) validateMode(f *fieldErrors) {
	const at = "/notification/"
	switch n.Mode {
	case "", ModeAlert, ModeBackground, ModeData, ModeVoIP:
	default:
		f.addf(at+"mode", "unknown_value", "mode %q: use %s, %s, %s or %s", word(string(n.Mode)), ModeAlert, ModeBackground, ModeData, ModeVoIP)
		return
	}
	if n.Mode == ModeAlert && !n.Visible() && n.APNs == nil && len(n.FCM) == 0 {
		f.addf(at+"mode", "contradiction", "mode %s is for what is seen or heard: give the notification a title, a body, an image, a badge or a sound", n.Mode)
	}
	if n.Mode.silent() {
		for _, visible := range []struct {
			field string
			set   bool
		}{{"title", n.Title != ""}, {"body", n.Body != ""}, {"image", n.Image != ""}, {"badge", n.Badge != nil}, {"sound", n.Sound != ""}} {
			if visible.set {
				f.addf(at+visible.field, "contradiction", "with mode %s the phone shows nothing by itself: put %s into data, for the app", n.Mode, visible.field)
			}
		}
	}
	switch {
	case n.Mode == ModeBackground && n.Priority == PriorityHigh:
		f.addf(at+"priority", "contradiction", "mode %s has priority %s; mode %s wakes the app at once", n.Mode, PriorityNormal, ModeData)
	case n.Mode == ModeVoIP && n.Priority == PriorityNormal:
		f.addf(at+"priority", "contradiction", "a call has priority %s", PriorityHigh)
	}
	if n.Mode == "" || n.APNs == nil {
		return
	}
	const header = "apns-push-type"
	if kind, set := n.APNs.Headers[header]; set && !strings.EqualFold(kind, n.APNsPushType()) {
		f.addf(at+"apns/headers/"+header, "contradiction", "mode %s is sent as %s: leave the header or the mode out", n.Mode, n.APNsPushType())
	}
}
